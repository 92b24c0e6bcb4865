#!/usr/bin/env bats
# `sc hold`: KEY exists, and is VALUE, while CMD runs; one caller holds it at a time; it is gone when CMD or we have ended, however that comes
# about; no daemon's death changes that; and nobody makes anything else of it meanwhile.
# run: sealed too, in a soak
load ../helper

BOUND=$((30 * SLACK))

# holder NAME ARG…: `sc hold ARG…` in the background, whose CMD is a gate of this name, and is held.
holder() {
	local name=$1
	shift
	rm -rf "$T/$name.gate"
	mkdir "$T/$name.gate"
	bg "$name" env --default-signal=INT,QUIT "$SC" hold "$@" -- gate "$T/$name.gate"
	gate_up "$T/$name.gate"
}
tell() { step "$T/$1.gate" "${@:2}"; }
ends() { tell "$1" exit "${2:-0}" && assert_rc "${2:-0}" "$1"; }

# is KEY TEXT: what it is now; is_gone KEY: nothing, at once.
is() { run -0 timeout $BOUND "$SC" get "$1" && assert_output "$2"; }
is_gone() {
	run -1 --separate-stderr timeout $BOUND "$SC" get "$1"
	[ -z "$output$stderr" ]
}

# held_by NAME CMD…: refused with 124, by one line that names the holder.
held_by() {
	local name=$1
	shift
	run -124 --separate-stderr timeout $BOUND "$@"
	[ -z "$output" ] && [ "${#stderr_lines[@]}" = 1 ]
	[[ $stderr =~ ^sc:\ .*:\ is\ held\ by\ pid\ $(pid_of "$name"),\ for\  ]]
}

@test "hold: KEY is VALUE, as a line, while CMD runs, and gone when it has ended" {
	is_gone k
	holder a k "a value"
	is k "a value"
	run -0 timeout $BOUND "$SC" get -t 0 k -- touch "$T/ran"
	assert_output "a value"
	run -0 timeout $BOUND "$SC" get --wait 0 k
	"$SC" get k | cmp - <(echo "a value")
	ends a
	is_gone k
	[ ! -e "$T/ran" ]
	wait_until '[ "$(flights)" = 0 ]'
	wait_until nothing_kept
}

@test "hold: it is there before CMD begins, and gone before hold ends" {
	local n
	for n in {1..30}; do
		run -0 "$SC" hold k $n -- "$SC" get k
		assert_output $n
		is_gone k
	done
}

# A daemon of the test build that stops itself at this point; it is ready when this returns.
daemon_that_stops_at() {
	: >"$T/ready"
	mkdir -p -m 700 "$SC_DIR"
	SC_STOPAT=$1:1:$T/stopped "$SCD_TEST" --ready-fd=9 "$SC_DIR" 9>"$T/ready" </dev/null >"$T/.scd" 2>&1 3>&- &
	disown
	wait_until '[ -s "$T/ready" ]'
}
# sleeps PID CALL: in the kernel, in a call of this name.
sleeps() { grep -q "$2" "/proc/$1/wchan" 2>/dev/null; }

@test "hold: CMD does not begin before the daemon has said that KEY is held" {
	use_test_build
	daemon_that_stops_at lease_held
	bg a "$SC" hold k v -- gate "$G"
	wait_until '[ -s "$T/stopped" ]'
	# Both wait: hold for the daemon, and CMD, which has not begun, for hold.
	wait_until 'sleeps "$(pid_of a)" poll && sleeps "$(pgrep -P "$(pid_of a)")" pipe'
	[ "$(runs)" = 0 ]
	kill -CONT "$(daemon_pid)"
	gate_up
	is k v
	step "$G" exit 0
	assert_rc 0 a
}

@test "hold: it does not end before the daemon has said that KEY is gone" {
	use_test_build
	daemon_that_stops_at lease_gone
	bg a "$SC" hold k v -- gate "$G"
	step "$G" exit 0
	wait_until '[ -s "$T/stopped" ]'
	# CMD has been waited for, and what hold waits for now is the daemon.
	wait_until '{ [ ! -e "/proc/$(gate_pid)" ] && sleeps "$(pid_of a)" poll; } || ! is_running a'
	is_running a
	kill -CONT "$(daemon_pid)"
	assert_rc 0 a
	is_gone k
}

@test "hold: without VALUE it is nothing, and exists all the same; a VALUE may be long, and of any bytes" {
	holder a k
	run -0 "$SC" get k
	assert_output ''
	ends a
	long=$(flood 100K | base64 -w0 | head -c 100000)
	run -0 "$SC" hold k "$long" -- "$SC" get k
	assert_output "$long"
	"$SC" hold k $'a\e\xff\nb' -- "$SC" get k | cmp - <(printf 'a\e\xff\nb\n')
	run -0 "$SC" hold -- -k -v -- "$SC" get -- -k
	assert_output -- -v
}

@test "hold: CMD keeps all of ours: stdin, stdout, stderr, directory, environment, descriptors, mask, process group, terminal" {
	cd "$T"
	run -0 --separate-stderr bash -c 'echo in | X=y "$SC" hold k v -- sh -c "cat; pwd; echo \$X; echo err >&2; echo seven >&7" 7>seven'
	assert_output "in"$'\n'"$T"$'\n'y
	[ "$stderr" = err ]
	is_file "$T/seven" 'seven\n'
	run -0 "$SC" hold k -- sh -c 'ps -o pgid= -p $$; ps -o pgid= -p $PPID'
	[ "${lines[0]}" = "${lines[1]}" ]
	run -0 sh -c 'trap "" INT; exec "$0" hold k -- sh -c "grep -i sigign /proc/self/status; grep -i sigblk /proc/self/status"' "$SC"
	ignored=$output
	run -0 sh -c 'trap "" INT; grep -i sigign /proc/self/status; grep -i sigblk /proc/self/status'
	assert_output "$ignored"
	# Nothing of ours reaches it.
	run -0 "$SC" hold k -- sh -c 'ls -l /proc/self/fd'
	refute_output --partial cache
	refute_output --partial socket
}

@test "hold: its status is CMD's: 0, 7, 126, 127 and 128+n; usage is 125" {
	for n in 0 1 7 124 125 255; do run -$n "$SC" hold k -- sh -c "exit $n"; done
	run -127 --separate-stderr "$SC" hold k -- no-such-command
	[[ $stderr == *'command not found'* ]]
	: >"$T/plain"
	run -126 "$SC" hold k -- "$T/plain"
	run -137 --separate-stderr "$SC" hold k -- sh -c 'kill -9 $$'
	[[ $stderr == 'sc: k: command killed by signal 9' ]]
	run -137 --separate-stderr "$SC" hold -q k -- sh -c 'kill -9 $$'
	[ -z "$stderr" ]
	is_gone k
	for words in '' 'k' 'k v' 'k --' 'k v w -- true' 'k v true' '-- true' '-t x k -- true' '--nope k -- true' '-w'; do
		# shellcheck disable=SC2086
		run -125 --separate-stderr "$SC" hold $words
		[ "${#stderr_lines[@]}" = 1 ] && [ -z "$output" ]
	done
	run -125 "$SC" hold '' -- true
	run -125 "$SC" hold k -- ''
	run -125 "$SC" hold "$(printf 'x%.0s' {1..4097})" -- true
}

@test "hold: of a hundred callers at once one holds it, all others are told 124, and none of their commands runs" {
	mkdir "$T/crowd"
	bg crowd crowd 100 "$T/crowd" "$SC" hold k '{}' -- sh -c 'echo "$0" >>"$1"; exec gate "$2"' '{}' "$T/ran" "$G"
	gate_up
	wait_until '[ "$(cat "$T/crowd"/*.err | grep -c "is held by pid")" = 99 ]'
	[ "$(lines_in "$T/ran")" = 1 ]
	is k "$(cat "$T/ran")"
	step "$G" exit 5
	assert_rc 0 crowd
	is_file "$T/crowd.out" '5 1\n124 99\n'
	[ "$(lines_in "$T/ran")" = 1 ]
	is_gone k
}

@test "hold: a hundred that wait for it hold it one after the other, never two at once" {
	mkdir "$T/crowd"
	run -0 timeout $((60 * SLACK)) crowd 100 "$T/crowd" "$SC" hold --wait forever k '{}' -- \
		sh -c 'mkdir "$1/only" && echo "$0" >>"$1/order" && [ "$("$2" get k)" = "$0" ] && rmdir "$1/only"' '{}' "$T" "$SC"
	assert_output '0 100'
	[ "$(sort -u "$T/order" | wc -l)" = 100 ]
	[ ! -e "$T/only" ]
	is_gone k
}

@test "hold --wait: waits so long, then 124 naming the holder; and takes it as soon as it is free" {
	holder a k mine
	held_by a "$SC" hold k -- touch "$T/ran"
	held_by a "$SC" hold -w 100ms k -- touch "$T/ran"
	bg b "$SC" hold -w 1h k yours -- "$SC" get k
	bg c "$SC" hold --wait=1h other x -- true # nobody's: at once
	assert_rc 0 c
	ends a 3
	assert_rc 0 b
	is_file "$T/b.out" 'yours\n'
	[ ! -e "$T/ran" ]
}

@test "hold: what was there before is gone with the first moment, and does not come back" {
	entry k 'old\n'
	bg r "$SC" get -r k -- gate "$G"
	step "$G" out run
	holder a k held
	is k held
	step "$G" exit 0
	assert_rc 0 r
	is_file "$T/r.out" 'run\n'
	is k held
	run -0 "$SC" ls
	assert_output ''
	ends a
	is_gone k
}

@test "hold: rm of a held key is refused with 125 and changes nothing, also by a prefix" {
	entry kx 'x\n'
	holder a kk held
	run -125 --separate-stderr "$SC" rm kk
	[[ $stderr =~ ^sc:\ kk:\ is\ held\ by\ pid\ $(pid_of a), ]]
	run -125 --separate-stderr "$SC" rm --prefix k
	[[ $stderr =~ held\ by\ pid ]]
	is kk held
	is kx x
	SC_BUCKET=other "$SC" rm kk
	"$SC" rm --prefix kx
	ends a
	"$SC" rm kk
	is_gone kx
}

@test "hold: nobody stores anything of a held key: put is refused, --if-absent with 1, --refresh runs its command directly" {
	holder a k held
	echo x >"$T/x"
	run -125 --separate-stderr "$SC" put k "$T/x"
	[[ $stderr =~ ^sc:\ k:\ is\ held\ by\ pid ]]
	run -1 --separate-stderr "$SC" put --if-absent k "$T/x"
	[ -z "$stderr" ]
	cp "$T/x" "$T/y"
	run -125 "$SC" put --move k "$T/y"
	is_file "$T/y" 'x\n'
	run -0 --separate-stderr "$SC" get -r k -- echo direct
	[ "$output" = direct ]
	[[ $stderr =~ held\ by\ pid.*running\ the\ command\ directly ]]
	run -125 "$SC" get --strict -r k -- touch "$T/ran"
	run -0 "$SC" warm k -- touch "$T/ran"
	[ ! -e "$T/ran" ]
	is k held
	ends a
	is_gone k
}

@test "hold: who waits for the key to exist gets VALUE" {
	bg b "$SC" get -w 1h k
	wait_until '"$SC" daemon status | grep -q . && [ -n "$(daemon_pid)" ]'
	holder a k here
	assert_rc 0 b
	is_file "$T/b.out" 'here\n'
	ends a
}

@test "hold: other buckets and other keys are not concerned" {
	holder a k one
	SC_BUCKET=other run -1 "$SC" get k
	run -0 env SC_BUCKET=other "$SC" hold k two -- sh -c '"$0" get k; SC_BUCKET= "$0" get k' "$SC"
	assert_output $'two\none'
	entry l 'l\n'
	is l l
	ends a
}

@test "hold: CMD that dies takes KEY with it, by whatever signal" {
	local sig
	for sig in TERM KILL INT; do
		holder a k v
		kill -$sig "$(gate_pid "$T/a.gate")"
		assert_rc $((128 + $(kill -l $sig))) a
		is_gone k
	done
}

@test "hold: a signal to hold alone reaches CMD, which decides; hold ends as it does" {
	local sig
	for sig in TERM INT HUP QUIT USR1; do
		holder a k v
		tell a trap $sig
		kill -$sig "$(pid_of a)"
		wait_until '[ "$(lines_in "$T/a.gate/signals")" = 1 ]'
		is k v
		ends a 9
		holder a k v
		kill -$sig "$(pid_of a)"
		assert_rc $((128 + $(kill -l $sig))) a
		is_gone k
	done
}

@test "hold: kill -9 of hold: CMD dies with it, and KEY is gone when it has" {
	holder a k v
	cmd=$(gate_pid "$T/a.gate")
	bg b "$SC" hold -w 1h k next -- sh -c '! grep -q "^State:[[:space:]]*[RSDTt]" "/proc/$0/status"' "$cmd"
	kill -9 "$(pid_of a)"
	assert_rc 137 a
	assert_rc 0 b
	dead "$cmd"
	is_gone k
}

@test "hold: kill -9 of hold while it waits, or has not begun, leaves nothing" {
	holder a k v
	bg b "$SC" hold -w 1h k next -- touch "$T/ran"
	wait_until '"$SC" daemon status | grep -q .'
	kill -9 "$(pid_of b)"
	ends a
	is_gone k
	[ ! -e "$T/ran" ]
	wait_until '[ "$(flights)" = 0 ]'
}

@test "hold: a daemon that is killed changes nothing: CMD runs on, the next one honours it at once, and hold lets go of it there" {
	holder a k v
	kill_daemon
	is k v
	run -124 --separate-stderr "$SC" hold k -- true
	wait_until '[ "$(grep -c "its holder is back" "$SC_DIR/scd.log")" = 1 ]'
	held_by a "$SC" hold k -- true
	run -125 "$SC" rm k
	kill_daemon
	ends a 4
	is_gone k
	wait_until '[ "$(flights)" = 0 ]'
}

@test "hold: daemon stop does not wait for it, nor end it; and a restart keeps it" {
	holder a k v
	timeout $BOUND "$SC" daemon stop
	is k v
	timeout $BOUND "$SC" daemon restart
	is k v
	ends a
	is_gone k
}

@test "hold: daemon and hold killed together: the next daemon finds nothing" {
	holder a k v
	kill -STOP "$(daemon_pid)"
	kill -9 "$(pid_of a)"
	kill -9 "$(daemon_pid)"
	assert_rc 137 a
	wait_until 'dead "$(gate_pid "$T/a.gate")"'
	is_gone k
	wait_until '[ "$(flights)" = 0 ]'
}

@test "hold: a holder that is stopped holds on, as long as its daemon lives" {
	holder a -t 50ms k v
	kill -STOP "$(pid_of a)"
	tell a out x
	shows a 'x\n'
	is k v
	held_by a "$SC" hold -w 100ms k -- true
	kill -CONT "$(pid_of a)"
	ends a
}

@test "hold: -t: a holder that does not come to the next daemon in that time holds no more; what it ran is ended, and it says 125" {
	holder a -t 300ms k v
	tell a ignore HUP
	kill -STOP "$(pid_of a)"
	kill_daemon
	is k v
	wait_until '! "$SC" get k >"$T/got"'
	is_empty "$T/got"
	run -0 "$SC" hold k next -- "$SC" get k
	assert_output next
	kill -CONT "$(pid_of a)"
	assert_rc 125 a
	is_message "$T/a.err" 'not ours any more'
	wait_until 'dead "$(gate_pid "$T/a.gate")"'
	is_gone k
}

@test "hold: the next daemon waits for a stopped holder as long as -t says, and goes on with it" {
	holder a --ttl 1h k v
	kill -STOP "$(pid_of a)"
	kill_daemon
	is k v
	run -124 --separate-stderr "$SC" hold k -- true
	[[ $stderr == *'is held by a process of the daemon before, for '* ]]
	run -125 "$SC" rm k
	kill -CONT "$(pid_of a)"
	wait_until 'grep -q "its holder is back" "$SC_DIR/scd.log"'
	held_by a "$SC" hold k -- true
	ends a 6
	is_gone k
}

@test "hold: never without the lease: where there is no daemon to be had CMD is not run, and the status is 125" {
	mkdir -m 755 "$T/plain"
	: >"$T/plain/file"
	run -125 --separate-stderr env SC_DIR="$T/plain/file" "$SC" hold k -- touch "$T/ran"
	[ "${#stderr_lines[@]}" = 1 ]
	run -125 env SC_DISABLE=1 SC_DIR="$T/plain/file" "$SC" hold k -- touch "$T/ran"
	run -125 --separate-stderr "$SC" hold -q k -- touch "$T/ran" 3>&- <&- 2>&1 || true
	rm -f "$T/ran"
	start_daemon
	kill -STOP "$(daemon_pid)"
	run -125 --separate-stderr timeout $BOUND "$SC" hold k -- touch "$T/ran"
	[[ $stderr == *'not answering'* ]]
	kill -CONT "$(daemon_pid)"
	[ ! -e "$T/ran" ]
	is_gone k
}

@test "hold: the cache directory is removed under it: KEY cannot be there, so CMD is ended" {
	holder a k v
	kill_daemon
	rm -rf "$SC_DIR"
	assert_rc 125 a
	is_message "$T/a.err" 'not ours any more'
	wait_until 'dead "$(gate_pid "$T/a.gate")"'
}

@test "hold: who is inside of what holds KEY does not wait for itself" {
	run -125 --separate-stderr timeout $BOUND "$SC" hold -w forever k v -- "$SC" hold -w forever k w -- touch "$T/ran"
	[[ $stderr == *'is held by what we are inside of' ]]
	run -0 timeout $BOUND "$SC" hold k v -- "$SC" hold l w -- sh -c '"$0" get k; "$0" get l' "$SC"
	assert_output $'v\nw'
	run -0 timeout $BOUND "$SC" get x -- "$SC" hold k v -- "$SC" get k
	assert_output v
	run -0 timeout $BOUND "$SC" hold k v -- "$SC" get y -- "$SC" get k
	assert_output v
	[ ! -e "$T/ran" ]
}

@test "hold: what CMD leaves behind does not keep KEY" {
	run -0 "$SC" hold k v -- sh -c 'gate "$G" >/dev/null 2>&1 &'
	is_gone k
	gate_up
	step "$G" exit 0
}

@test "hold: a daemon that only waits for a holder does not go for being idle" {
	local pid n
	mkdir -m 700 "$SC_DIR" "$T/idle"
	echo 'idle-exit = 50ms' | tee "$SC_DIR/config" >"$T/idle/config"
	holder a -t 1h k v
	kill -STOP "$(pid_of a)"
	kill_daemon
	is k v # of the next one, which nobody is connected to afterwards
	pid=$(daemon_pid)
	# Those that came later, and have nothing to wait for, go meanwhile.
	for n in 1 2 3; do
		echo x | SC_DIR=$T/idle "$SC" put "k$n"
		wait_until '[ -z "$(daemon_pids "$T/idle")" ]'
	done
	[ "$(daemon_pid)" = "$pid" ]
	kill -CONT "$(pid_of a)"
	ends a
	wait_until no_daemon
}

@test "hold: explain and ps say who holds a key, also those of the next daemon" {
	local cmd
	holder a k v
	cmd=$(pgrep -P "$(pid_of a)")
	for _ in before after; do
		"$SC" explain k >"$T/explained"
		grep -Eq '^held: for .*, by (pid [0-9]+|a process of the daemon before), generation [0-9a-f]{32}$' "$T/explained"
		[ "$("$SC" explain --json k | jq -c '[.runs[] | .state, .pid]')" = "[\"held\",$cmd]" ]
		[ "$("$SC" ps --json | jq -c '[.key, .state, .readers, .bytes, .pid, .lag_least]')" = "[\"k\",\"held\",0,0,$cmd,null]" ]
		"$SC" ps | grep -Eq "^[0-9a-f]{8} +held .* 0 readers  lag - .* pid $cmd +k\$"
		kill_daemon
		is k v
		wait_until '[ "$("$SC" ps --json | jq .pid)" = "'"$cmd"'" ]'
	done
	bg b "$SC" get other -- gate "$G"
	gate_up
	[ "$("$SC" ps --json | jq -r .key)" = $'other\nk' ]
	[ "$("$SC" ps -b elsewhere)" = '' ]
	step "$G" exit 0
	assert_rc 0 b
	ends a
	[ "$("$SC" ps)" = '' ]
}

@test "hold: ps lists more holders than fit one answer, each once, oldest first" {
	local n
	for n in {101..140}; do
		bg h$n "$SC" hold "k$n" -- sleep 600
		wait_until '[ "$("$SC" get -w 0 k'$n' >/dev/null; echo $?)" = 0 ]'
	done
	"$SC" ps --json | jq -r .key >"$T/keys"
	printf 'k%d\n' {101..140} | diff - "$T/keys"
	for n in {101..140}; do kill -TERM "$(pgrep -P "$(pid_of h$n)")"; done
	for n in {101..140}; do assert_rc 143 h$n; done
}

@test "hold: ps lists runs and holders together, also where one answer holds either alone: long keys, long command lines" {
	local long words n
	mkdir -p -m 700 "$SC_DIR"
	echo 'show-commands = on' >"$SC_DIR/config"
	long=$(printf 'x%.0s' {1..4092})
	words=$(printf 'w%.0s' {1..2000})
	for n in {101..131}; do "$SC" warm "$long$n" -- sh -c 'exec sleep 600' "$words"; done
	for n in {201..232}; do bg h$n "$SC" hold "$long$n" -- sleep 600; done
	wait_until '[ "$("$SC" ps --json | wc -l)" = 63 ]'
	"$SC" ps --json | jq -r '.state, .key[-3:]' | paste - - | sort >"$T/rows"
	[ "$(grep -c '^held' "$T/rows")" = 32 ]
	[ "$(grep -c '^running' "$T/rows")" = 31 ]
	for n in {201..232}; do kill -TERM "$(pgrep -P "$(pid_of h$n)")"; done
	for n in {201..232}; do assert_rc 143 h$n; done
	"$SC" ps --json | jq .pid | xargs kill -TERM
	wait_until '[ -z "$("$SC" ps)" ]'
}
