#!/usr/bin/env bats
# --foreground: the command stays at its caller's terminal, and when it is stopped only it is. Its writer does not stay.
# run: sealed too, in a soak
load ../helper

# at_terminal NAME SCRIPT: a bash of that script on a terminal of its own; `key NAME …` types there.
at_terminal() {
	bg "$1" pty "$T/$1.control" bash -c "$2"
	wait_until '[ -p "$T/'"$1"'.control" ]'
}
tty_do() { # NAME LINE…
	local before
	before=$(lines_in "$T/$1.control.acks")
	printf '%s\n' "${*:2}" >"$T/$1.control"
	wait_until '[ "$(lines_in "$T/'"$1"'.control.acks")" -gt '"$before"' ]'
}
said() { wait_until "grep -qF -- '$2' '$T/$1.out'"; } # what the terminal shows
ids() { ps -o sid=,pgid=,tty= -p "$1" | tr -s ' '; }
client() { procs on "$T" | sed -nE "s|^([0-9]+) $SC get .*--foreground.*|\\1|p" | head -n 1; }
is_stopped() { [[ $(sed -e 's/.*) //' "/proc/$1/stat") == T* ]]; }

@test "--foreground: the command reads /dev/tty, in the session, process group and terminal of its caller" {
	at_terminal p 'echo "shell $$"; "$SC" get --foreground k -- sh -c "read -r word </dev/tty; echo got \$word; exec gate \"\$G\""'
	wait_until '"$SC" ps | grep -q .'
	tty_do p type secret
	said p 'got secret'
	gate_up
	[ "$(ids "$(gate_pid)")" = "$(ids "$(sed -n 's/^shell //p' "$T/p.out")")" ]
	# Its writer is elsewhere.
	[ "$(ps -o tty= -p "$(parent_of "$(gate_pid)")" | tr -d ' ')" = '?' ]
	step "$G" where
	said p /dev/null
	step "$G" exit 3
	assert_rc 3 p
	wait_until nothing_kept
}

@test "without --foreground /dev/tty is not the command's" {
	at_terminal p '"$SC" get k -- sh -c "read -r word </dev/tty; echo status \$?"'
	assert_rc 0 p
	run -1 grep -q 'status 0' "$T/p.out"
}

@test "--foreground in a shell with job control: the command is in the caller's job" {
	at_terminal p 'set -m; "$SC" get --foreground k -- gate "$G"; echo "ended $?"'
	gate_up
	local client
	client=$(client)
	[ "$(ids "$(gate_pid)")" = "$(ids "$client")" ]
	step "$G" exit 0
	said p 'ended 0'
	assert_rc 0 p
}

@test "--foreground: Ctrl-C ends command and caller as without sc: the command gets it once, a loop stops" {
	at_terminal p 'for nr in 1 2; do "$SC" get --foreground k -- gate "$G"; echo behind; done'
	step "$G" trap INT
	step "$G" out shown
	said p shown
	tty_do p key '^C'
	wait_until '[ -s "$G/signals" ]'
	wait_until 'grep -q to=stopping "$SC_DIR/scd.log"'
	step "$G" out still # it catches the signal and tidies up
	is_running p
	step "$G" kill INT
	assert_rc 130 p
	is_file "$G/signals" 'INT\n'
	run -1 grep -q behind "$T/p.out"
	wait_until nothing_kept
}

@test "--foreground: Ctrl-C, and the command does not catch it: nothing is left" {
	at_terminal p '"$SC" get --foreground k -- gate "$G"; echo behind'
	gate_up
	tty_do p key '^C'
	assert_rc 130 p
	dead "$(gate_pid)"
	run -1 grep -q behind "$T/p.out"
	wait_until nothing_kept
}

@test "--foreground: Ctrl-C at its terminal while others follow: they get all it printed, and its status" {
	at_terminal p '"$SC" get --foreground k -- gate "$G"'
	step "$G" out one
	bg a "$SC" get k
	shows a 'one\n'
	tty_do p key '^C'
	assert_rc 130 p a
	is_file "$T/a.out" 'one\n'
	wait_until nothing_kept
}

@test "--foreground: Ctrl-Z stops command and caller, fg continues both; nothing is lost" {
	local client
	at_terminal p 'set -m; "$SC" get --foreground k -- gate "$G"; echo "stopped $?"; fg >/dev/null; echo "ended $?"'
	step "$G" out one
	said p one
	client=$(client)
	bg a "$SC" get k
	shows a 'one\n'
	tty_do p key '^Z'
	said p 'stopped 148'
	wait_until '! is_stopped "$(gate_pid)"' # fg
	step "$G" out two
	said p two
	shows a 'one\ntwo\n'
	wait_until '! is_stopped "$client"'
	step "$G" exit 5
	said p 'ended 5'
	assert_rc 5 a
	is_empty "$G/signals"
}

@test "--foreground: Ctrl-Z and nobody continues it yet: both are stopped, a follower goes on waiting" {
	at_terminal p 'set -m; "$SC" get --foreground k -- gate "$G"; echo "stopped $?"; read -r; fg >/dev/null'
	step "$G" out one
	said p one
	bg a "$SC" get k
	shows a 'one\n'
	tty_do p key '^Z'
	said p 'stopped 148'
	is_stopped "$(gate_pid)"
	run -124 "$SC" get -w 2s k
	is_running a
	tty_do p type ''
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 p a
	is_file "$T/a.out" 'one\ntwo\n'
}

@test "--foreground: when its last reader leaves only the command is signalled, never the group" {
	# A sibling in the same process group, a child of the command's too, live on.
	mkdir "$T/sibling"
	bg_sh p '"$SC" get --foreground k -- gate "$G" | head -n 1; exec gate "$T/sibling"'
	step "$G" trap TERM
	step "$G" fork child
	step "$G" out one
	gate_up "$T/sibling"
	wait_until '[ "$(cat "$G/signals")" = TERM ]'
	step "$T/sibling" trap TERM
	step "$G" kill TERM
	wait_until 'dead "$(gate_pid)"'
	step "$G:child" err alive
	step "$G:child" exit 0
	wait_until nothing_kept
	step "$T/sibling" exit 0
	assert_rc 0 p
	is_empty "$T/sibling/signals"
}

@test "--foreground: a command that ignores TERM is killed five seconds later, it alone" {
	mkdir "$T/sibling"
	bg_sh p '"$SC" get --foreground k -- gate "$G" | head -n 1; exec gate "$T/sibling"'
	step "$G" ignore TERM
	step "$G" out one
	gate_up "$T/sibling"
	wait_until 'dead "$(gate_pid)"' 30
	wait_until nothing_kept
	step "$T/sibling" exit 0
	assert_rc 0 p
}

@test "--foreground: a lost writer: only the command is killed, and it is made anew" {
	[ "${SC_TEST_MODE:-clear}" = clear ] || return 0 # sealed, it is not gone on with
	mkdir "$T/sibling"
	bg_sh p 'gate "$T/sibling" & "$SC" get --foreground k -- gate "$G"; echo "ended $?"; wait'
	gate_up "$T/sibling"
	step "$G" out one
	shows p 'one\n'
	kill -9 "$(parent_of "$(gate_pid)")"
	gate_up "$G" 2
	dead "$(gate_pid "$G" 1)"
	step "$G" out one
	step "$G" out two
	step "$G" exit 0
	step "$T/sibling" exit 0
	assert_rc 0 p
	is_file "$T/p.out" 'one\ntwo\nended 0\n'
}

@test "--foreground: a get of the same key from the same session follows: it is not inside" {
	bg_sh p 'setsid -w sh -c "\"\$SC\" get --foreground k -- gate \"\$G\" >\"\$T/one\" & until [ -e \"\$G/runs\" ]; do sleep 0.02; done
		\"\$SC\" get k -- echo wrong >\"\$T/two\"; wait"'
	gate_up
	wait_until '"$SC" ps | grep -q "  2 readers"'
	step "$G" out x
	step "$G" exit 0
	[ "$(pipe_status p)" = 0 ]
	is_file "$T/one" 'x\n'
	is_file "$T/two" 'x\n'
	is_empty "$T/p.err"
	[ "$(runs)" = 1 ]
}

@test "--foreground: the same after a restart of the daemon" {
	mkdir "$T/hold"
	bg_sh p 'setsid -w sh -c "\"\$SC\" get --foreground k -- gate \"\$G\" >\"\$T/one\" & gate \"\$T/hold\"; \"\$SC\" get k -- echo wrong >\"\$T/two\"; wait"'
	gate_up
	kill_daemon
	start_daemon
	wait_until '"$SC" ps | grep -q "  1 reader"'
	step "$T/hold" exit 0
	wait_until '"$SC" ps | grep -q "  2 readers"'
	step "$G" out x
	step "$G" exit 0
	[ "$(pipe_status p)" = 0 ]
	is_file "$T/two" 'x\n'
	is_empty "$T/p.err"
}

@test "--foreground: its own command is inside of it, by its environment" {
	run -0 --separate-stderr timeout $((30 * SLACK)) "$SC" get --foreground k -- "$SC" get k -- echo inner
	assert_output inner
	[[ $stderr == *'waits for us'* ]]
}

@test "--foreground: the daemon killed in the middle: the run goes on, is kept, and stopped alone" {
	mkdir "$T/sibling"
	bg_sh p '"$SC" get --foreground k -- gate "$G" | head -n 1; exec gate "$T/sibling"'
	gate_up
	kill_daemon
	start_daemon
	wait_until '"$SC" ps | grep -q "pid $(gate_pid)"'
	step "$G" trap TERM
	step "$G" out one
	gate_up "$T/sibling"
	wait_until '[ -s "$G/signals" ]'
	step "$G" kill TERM
	step "$T/sibling" exit 0
	assert_rc 0 p
	wait_until nothing_kept
}

@test "--foreground: the terminal closes: the command gets HUP, nothing is left" {
	at_terminal p '"$SC" get --foreground k -- gate "$G"'
	step "$G" out one
	said p one
	printf 'close\n' >"$T/p.control"
	wait_until 'dead "$(gate_pid)"'
	rc p
	wait_until nothing_kept
}

@test "--stdin typed at a terminal: up to ^D it is read, then the command runs, and may ask for more there" {
	at_terminal p '"$SC" get --stdin k -- sh -c "cat; read -r word </dev/tty; echo got \$word"'
	tty_do p type first
	tty_do p key '^D'
	wait_until '"$SC" ps | grep -q .'
	tty_do p type second
	said p 'got second'
	assert_rc 0 p
	run -0 bash -c 'echo first | "$SC" get --stdin k -- touch "$T/ran"'
	assert_output $'first\ngot second'
	[ ! -e "$T/ran" ]
}

@test "--stdin from a pipe does not bring the command to the foreground" {
	at_terminal p 'echo x | "$SC" get --stdin k -- gate "$G"'
	gate_up
	[ "$(ps -o tty= -p "$(gate_pid)" | tr -d ' ')" = '?' ]
	step "$G" exit 0
	assert_rc 0 p
}
