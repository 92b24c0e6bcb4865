#!/usr/bin/env bats
# `sc warm`: the run is begun in the background, and kept; nothing is printed and nobody is waited for.
load ../helper

ends() { timeout $((20 * SLACK)) "$@"; } # 124: it hung

# warm ARG…: returns at once, 0, and says nothing.
warm() {
	local got=0
	ends "$SC" warm "$@" >"$T/warm.out" 2>"$T/warm.err" || got=$?
	[ $got = 0 ] || { echo "status $got: $(cat "$T/warm.err")" >&2 && return 1; }
	is_empty "$T/warm.out"
	is_empty "$T/warm.err"
}
is_key() { [ "$("$SC" ls)" = "$1" ]; }

@test "warm: it returns before the command ends; callers meanwhile follow, later ones have a hit" {
	warm k -- gate "$G"
	gate_up
	bg a "$SC" get k
	bg b "$SC" get k -- touch "$T/ran"
	step "$G" out one
	step "$G" err oops
	for n in a b; do shows $n 'one\n'; done
	is_empty "$T/warm.out"
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a b
	for n in a b; do
		is_file "$T/$n.out" 'one\ntwo\n'
		is_file "$T/$n.err" 'oops\n'
	done
	is_empty "$T/warm.out"
	is_empty "$T/warm.err"
	run -0 --separate-stderr "$SC" get k -- touch "$T/ran"
	assert_output $'one\ntwo'
	[ "$stderr" = oops ]
	[ ! -e "$T/ran" ]
	[ "$(runs)" = 1 ]
}

@test "warm: the run is registered when it returns: the next call never runs the command itself" {
	for nr in {1..20}; do
		warm "k$nr" -- sh -c 'echo "$0"' "$nr"
		run -0 "$SC" get "k$nr"
		assert_output "$nr"
	done
}

@test "warm: nobody ever reads: it ends and is kept" {
	warm k -- gate "$G"
	step "$G" fill 3M
	step "$G" exit 0
	wait_until 'is_key k'
	"$SC" get k | cmp - <(flood 3M)
}

@test "warm: a fresh entry: nothing runs, -r and -t as with get" {
	entry k 'old\n'
	warm k -- fails -n "$T/count"
	[ ! -e "$T/count" ]
	warm -r k -- gate "$G"
	gate_up
	run -0 "$SC" get k
	assert_output old
	step "$G" out new
	step "$G" exit 0
	wait_until '[ "$("$SC" get k)" = new ]'
	wait_until '! "$SC" get -t 300ms k >/dev/null'
	warm -t 300ms k -- fails -n "$T/count" -o newer
	wait_until '[ "$(lines_in "$T/count")" = 1 ]'
}

@test "warm: a run going on: nothing runs, and it is no longer stopped when its readers leave" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	warm k -- touch "$T/ran"
	kill -TERM "$(pid_of a)"
	assert_rc 143 a
	step "$G" out two
	step "$G" exit 0
	wait_until 'is_key k'
	run -0 "$SC" get k
	assert_output $'one\ntwo'
	[ ! -e "$T/ran" ]
	is_empty "$G/signals"
}

@test "warm: a reader that joined and leaves does not stop it, nor does one that leaves while no daemon lives" {
	warm k -- gate "$G"
	step "$G" trap TERM
	bg_sh a '"$SC" get k | head -n 1'
	bg b "$SC" get k
	step "$G" out one
	[ "$(pipe_status a)" = '141 0' ]
	shows b 'one\n'
	kill_daemon
	kill -TERM "$(pid_of b)"
	assert_rc 143 b
	lonely_for_long
	step "$G" out two
	step "$G" exit 0
	wait_until 'is_key k'
	run -0 "$SC" get k
	assert_output $'one\ntwo'
	is_empty "$G/signals"
}

@test "warm: no back-pressure: it runs ahead of a reader that has stopped" {
	mkdir -m 700 "$SC_DIR"
	echo 'window = 1M' >"$SC_DIR/config"
	start_daemon
	warm k -- gate "$G"
	step "$G" fill 1
	bg a "$SC" get k
	wait_until '[ -s "$T/a.out" ]'
	kill -STOP "$(pid_of a)"
	step "$G" fill 64M
	step "$G" exit 0
	wait_until 'is_key k'
	kill -CONT "$(pid_of a)"
	assert_rc 0 a
	is_flood "$T/a.out" $((64 * 1048576 + 1))
}

@test "warm: a command that fails is not kept; one that is not there neither; warm itself is 0" {
	warm k -- fails -n "$T/count" -o x 3
	wait_until '[ -e "$T/count" ]'
	wait_until nothing_kept
	warm l -- no-such-command-here
	wait_until nothing_kept
	warm m -- gate "$G"
	gate_up
	bg a "$SC" get m
	step "$G" out x
	shows a 'x\n'
	step "$G" exit 4
	assert_rc 4 a
	wait_until nothing_kept
}

@test "warm: x=\$(sc warm …) and sc warm … | cat return at once, with a cold daemon" {
	run -0 ends bash -c 'x=$("$SC" warm k -- gate "$G" 2>&1); echo "[$? $x]"'
	assert_output '[0 ]'
	gate_up
	"$SC" daemon stop --now
	run -0 ends bash -c '"$SC" warm l -- gate "$0" 2>&1 | cat' "$(new_gate g2)"
	assert_output ''
	gate_up "$T/g2"
	mkfifo "$T/endless"
	run -0 ends bash -c 'exec 5<>"$T/endless"; "$SC" warm m -- gate "$0" 2>&1 <&5 | cat' "$(new_gate g3)"
	gate_up "$T/g3"
	for g in "$G" "$T/g2" "$T/g3"; do step "$g" exit 0; done
	wait_until 'is_key $'\''k\nl\nm'\'
}

@test "warm: in make -j it returns at once; the command has no jobserver, and descriptors 0 to 2 only" {
	cat >"$T/command" <<-'END'
		#!/bin/sh
		env | grep -E '^(MAKEFLAGS|MAKELEVEL)=' >"$T/make.env"
		ls /proc/self/fd >"$T/fds" # and its own, of the directory
		readlink /proc/self/fd/0 >"$T/stdin"
		exec gate "$G"
	END
	chmod +x "$T/command"
	printf 'all: a b\na:\n\t+@"$(SC)" warm k -- "$(T)/command"\nb:\n\t@echo $@\n' >"$T/Makefile"
	cd "$T"
	run -0 ends bash -c 'make -kj4 CANARY=1 2>&1 7>"$T/seven" | cat'
	refute_output --partial jobserver
	assert_line b
	gate_up
	run -1 grep -q jobserver "$T/make.env"
	grep -q '^MAKEFLAGS=.*k.*CANARY=1' "$T/make.env"
	is_file "$T/fds" '0\n1\n2\n3\n'
	is_file "$T/stdin" '/dev/null\n'
	step "$G" exit 0
	wait_until 'is_key k'
}

@test "warm: a make in it builds" {
	printf 'all: a b\na b:\n\t@echo $@\n' >"$T/inner.mk"
	printf 'all:\n\t+@"$(SC)" warm k -- $(MAKE) -f inner.mk\n' >"$T/Makefile"
	cd "$T"
	run -0 ends make -j4
	wait_until 'is_key k'
	run -0 "$SC" get k
	refute_output --partial jobserver
	assert_line a
	assert_line b
}

@test "warm: a descriptor that the caller holds on a pipe is closed when the call is over, though the command runs on" {
	mkfifo "$T/pipe"
	exec {keep}<>"$T/pipe"
	exec {write}>"$T/pipe"
	exec {read}<"$T/pipe"
	warm k -- gate "$G"
	gate_up
	exec {keep}>&- {write}>&-
	run -0 ends cat <&"$read"
	assert_output ''
	exec {read}<&-
	step "$G" exit 0
	wait_until 'is_key k'
}

@test "warm: Ctrl-C right behind it does not reach the command, nor does the end of the terminal" {
	bg p pty "$T/control" bash -c '"$SC" warm k -- gate "$G"; echo warmed; exec sleep 1000'
	wait_until 'grep -q warmed "$T/p.out"'
	step "$G" trap INT
	step "$G" trap HUP
	printf 'key ^C\n' >"$T/control"
	assert_rc 130 p
	step "$G" out x
	step "$G" exit 0
	wait_until 'is_key k'
	is_empty "$G/signals"
}

@test "warm: a signal to the caller's group in the very moment of the fork does not reach the run" {
	use_test_build
	local signal
	start_daemon
	for signal in INT HUP QUIT TERM; do
		rm -f "$T/stopped"
		# The new writer stands still before it has left its caller's group.
		SC_STOPAT=writer_born:1:$T/stopped bg a setsid env --default-signal=INT,QUIT "$SC" warm "k$signal" -- fails -n "$T/count$signal" -o made
		wait_until '[ -s "$T/stopped" ]'
		assert_rc 0 a
		kill -$signal -- "-$(pid_of a)"
		kill -CONT "$(awk '{ print $2 }' "$T/stopped")"
		run -0 timeout 20 "$SC" get -w 10s "k$signal"
		assert_output made
		[ "$(lines_in "$T/count$signal")" = 1 ]
	done
}

@test "warm: kill -9 of the writer: nothing is kept, nothing is left, the next call leads" {
	local writer pid
	warm k -- gate "$G"
	gate_up
	pid=$(gate_pid)
	writer=$(parent_of "$pid")
	kill -9 "$writer"
	wait_until 'dead $pid'
	wait_until nothing_kept
	run -0 "$SC" get k -- echo anew
	assert_output anew
}

@test "warm: --stdin is read first, joins the key, and is the command's" {
	ends bash -c 'echo input | "$SC" warm --stdin k -- cat'
	wait_until '[ -n "$("$SC" ls)" ]'
	run -0 bash -c 'echo input | "$SC" get --stdin k -- touch "$T/ran"'
	assert_output input
	[ ! -e "$T/ran" ]
}

@test "warm: --linger and --status-fd" {
	"$SC" warm --status-fd 7 k -- true 7>"$T/status"
	[ "$(field source "$T/status") $(field key "$T/status")" = 'run k' ]
	wait_until 'is_key k'
	"$SC" warm --status-fd 7 k -- true 7>"$T/status"
	[ "$(field source "$T/status")" = hit ]
	warm --linger 0 l -- sh -c 'echo one; exec gate "$G" &'
	gate_up
	wait_until '[ "$("$SC" get -w 0 l)" = one ]'
	step "$G" exit 0
}

@test "warm: a bypass runs the command itself, its stdout nowhere, its status ours" {
	run -3 --separate-stderr env SC_DISABLE=1 "$SC" warm k -- sh -c 'echo out; echo err >&2; exit 3'
	[ -z "$output" ]
	[ "$stderr" = err ]
	run -0 --separate-stderr env SC_DIR=/proc/cache "$SC" warm k -- sh -c 'echo out; : >"$0"' "$T/ran"
	[ -z "$output" ]
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" '/proc/cache.*directly'
	[ -e "$T/ran" ]
	run -125 --separate-stderr env SC_DIR=/proc/cache "$SC" warm --strict k -- touch "$T/strict"
	[ ! -e "$T/strict" ]
	run -127 --separate-stderr env SC_DISABLE=1 "$SC" warm k -- no-such-command-here
	[ -z "$output" ]
	run -0 env SC_DISABLE=1 "$SC" warm k -- sh -c 'to=$(readlink "/proc/$$/fd/1"); echo "$to" >"$0"' "$T/stdout"
	is_file "$T/stdout" '/dev/null\n'
}

@test "warm: inside of the run itself it runs directly, and ends" {
	run -0 --separate-stderr ends "$SC" get k -- sh -c '"$SC" warm k -- sh -c "echo in; : >\"\$T/ran\""; echo out'
	assert_output out
	[ -e "$T/ran" ]
	[[ $stderr == *'waits for us'* ]]
}

@test "warm: usage errors are 125, one line, and run nothing" {
	refused() { # REGEX WORD…
		local got=0
		ends "$SC" warm "${@:2}" >"$T/out" 2>"$T/err" || got=$?
		[ $got = 125 ]
		is_message "$T/err" "$1"
		is_empty "$T/out"
		[ ! -e "$T/ran" ]
		no_daemon && [ ! -e "$SC_DIR" ]
	}
	refused 'warm.*command' k
	refused 'KEY' -- touch "$T/ran"
	refused 'warm.*--foreground' --foreground k -- touch "$T/ran"
	refused 'warm.*--atomic' --atomic k -- touch "$T/ran"
	refused 'warm.*--output' -o "$T/file" k -- touch "$T/ran"
	refused 'warm.*--wait' -w 1s k -- touch "$T/ran"
	refused 'warm.*--stderr=inherit' --stderr=inherit k -- touch "$T/ran"
	refused '--nothing' --nothing k -- touch "$T/ran"
	[ ! -e "$T/file" ]
}
