#!/usr/bin/env bats
# FAULTS C01, C02, C04, C05: descriptors, memory and processes run out, in the daemon and in its callers.
load ../helper

prepare() { use_test_build; } # dynamic, for the shim, and its descriptors can be counted

cleanup() { if [ -e "$T/control" ]; then set_memory 0; fi; }

SHIM=$HELPERS/shim_fail.so

# daemon_with WORD…: the daemon, started in these surroundings.
daemon_with() {
	bg daemon "$@" "$(dirname "$SC")/scd" "$SC_DIR"
	wait_until '"$SC" daemon status >/dev/null 2>&1'
}

# all_ran_x N [some]: of a crowd, each printed x and said one line at most. "some": or ended with 125 and said how many good bytes
# there were, because the daemon could not hear the run's writer.
all_ran_x() {
	local nr
	for ((nr = 0; nr < $1; nr++)); do
		if [ "${2:-}" = some ] && grep -q 'incomplete after [0-9]* good bytes' "$T/crowd/$nr.err"; then continue; fi
		is_file "$T/crowd/$nr.out" 'x\n' || return 1
		[ ! -s "$T/crowd/$nr.err" ] || is_message "$T/crowd/$nr.err" 'running the command directly|not kept: Cannot allocate' || return 1
	done
}

@test "C01: the daemon has no descriptor left: sixty callers get their output all the same; with room again all is well" {
	local pid base room
	start_daemon
	pid=$(daemon_pid)
	base=$(fd_count "$pid")
	for room in 0 1 3 12 30; do
		mkdir "$T/crowd"
		prlimit --pid "$pid" --nofile=$((base + room)):
		run -0 timeout $((30 * SLACK)) crowd 60 "$T/crowd" "$SC" get "k$room-{}" -- fails -n "$T/count$room" -o x
		assert_output --regexp '^0 [0-9]+(.125 [0-9]+)?$'
		all_ran_x 60 some
		[ "$(lines_in "$T/count$room")" = 60 ]
		prlimit --pid "$pid" --nofile=1024:
		[ "$(daemon_pids)" = "$pid" ]
		wait_until '[ "$(fd_count "$pid")" -le $base ]'
		run -0 --separate-stderr "$SC" get "then$room" -- echo y
		[ -z "$stderr" ]
		run -0 --separate-stderr "$SC" get "then$room"
		assert_output y
		rm -r "$T/crowd"
	done
	"$SC" daemon restart # what could not be unlinked without a descriptor
	[ "$(flights)" = 0 ]
}

@test "C01: the daemon raises its soft limit to the hard one" {
	(ulimit -S -n 64 && "$SC" get k -- true)
	run -0 awk '/^Max open files/ { print $4 == $5 }' "/proc/$(daemon_pid)/limits"
	assert_output 1
}

# limited N CMD…: with no descriptors but 0, 1 and 2, and room for N in all.
limited() {
	local n=$1
	shift
	(
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
		done
		ulimit -n "$n"
		exec "$@"
	)
}

@test "C02: a caller may open few descriptors, whatever their number: its command runs, its stdin is /dev/null, cold and warm" {
	local n got dir
	[ "$SLACK" -gt 1 ] || SC=$(dirname "$(dirname "$SC_TEST")")/sc # static: it needs none to begin
	echo input >"$T/in"
	for dir in cold warm; do
		export SC_DIR=$T/$dir
		if [ $dir = warm ]; then "$SC" daemon start; fi
		for n in {4..24}; do # a dynamic command needs one
			got=0
			limited "$n" timeout 30 "$SC" get "k$n" -- sh -c 'cat; echo x; exit 7' <"$T/in" >"$T/out" 2>"$T/err" || got=$?
			[ $got = 7 ] || { echo "$dir, $n: $got" && cat "$T/err" && return 1; }
			is_file "$T/out" 'x\n'
			[ ! -s "$T/err" ] || is_message "$T/err" 'running the command directly'
		done
		# With the fault gone; those who could not start a daemon keep nobody else from it.
		run -0 --separate-stderr "$SC" get k -- echo y
		[ -z "$stderr" ]
		wait_until '[ "$(flights)" = 0 ]'
		"$SC" daemon stop
	done
	export SC_DIR=$T/cache
}

@test "C02: not even one descriptor: the command runs" {
	[ "$SLACK" = 1 ] || SC=$SC_TEST # a program under a sanitizer is not static
	[ "$SLACK" -gt 1 ] || SC=$(dirname "$(dirname "$SC_TEST")")/sc
	local least=3
	[ "$SLACK" = 1 ] || least=4
	limited $least "$SC" get k -- "$SC" version >"$T/out" 2>"$T/err"
	grep -q '^sc ' "$T/out"
	is_message "$T/err" 'running the command directly'
}

# set_memory N [STAY]: from now on in so many calls for memory one fails, with STAY all after it; 0: none does.
set_memory() {
	local bytes
	bytes=$(printf '\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16)) 0 "${2:-0}" 0 0 0)
	printf '%b' "$bytes" | dd of="$T/control" conv=notrunc status=none
}

daemon_with_little_memory() {
	head -c 12 /dev/zero >"$T/control"
	daemon_with env LD_PRELOAD="$SHIM" SHIM_MEMORY="$T/control"
}

@test "C04: each call for memory fails once in the daemon: that caller runs directly, others are fine, the daemon lives" {
	local n pid got step=1
	if [ "${SOAK:-0}" != 1 ]; then step=2; fi
	daemon_with_little_memory
	pid=$(daemon_pid)
	bg a "$SC" get run -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	for ((n = 1 + RANDOM % step; n <= 110; n += step)); do
		set_memory $n
		for _ in run hit; do
			got=0
			"$SC" get "k$n" -- fails -o x >"$T/out" 2>"$T/err" || got=$?
			if [ $got = 125 ]; then # the daemon could not hear the run's writer
				is_message "$T/err" 'incomplete after [02] good bytes'
			else
				is_file "$T/out" 'x\n'
				[ ! -s "$T/err" ] || is_message "$T/err" 'running the command directly|not kept: Cannot allocate'
			fi
		done
		got=0
		"$SC" get run -w 0 >"$T/out" 2>"$T/err" || got=$?
		[[ $got =~ ^(1|124|125)$ ]]
		"$SC" ls >"$T/out" 2>&1 || true
		"$SC" rm "k$n" >"$T/out" 2>&1 || true
		[ "$(daemon_pids)" = "$pid" ] || { echo "gone at call $n" && cat "$T/daemon.err" && return 1; }
	done
	set_memory 0
	bg b "$SC" get run
	shows b 'one\n'
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/a.out" 'one\ntwo\n'
	is_file "$T/b.out" 'one\ntwo\n'
	run -0 --separate-stderr "$SC" get k -- echo y
	[ -z "$stderr" ]
	run -0 "$SC" get k
	assert_output y
}

@test "C04: a list is cut off wherever the daemon has no memory for it; the daemon lives" {
	local n pid long
	long=$(head -c 3000 /dev/zero | tr '\0' k)
	daemon_with_little_memory
	pid=$(daemon_pid)
	for n in {1..9}; do "$SC" put "$long$n" </dev/null; done
	for n in {1..40}; do
		set_memory "$n"
		"$SC" ls >"$T/out" 2>&1 || true
		set_memory 0
		[ "$(daemon_pids)" = "$pid" ] || { echo "gone at call $n" && cat "$T/daemon.err" && return 1; }
	done
	run -0 "$SC" ls
	[ "${#lines[@]}" = 9 ]
}

@test "C04: the same for the first run of an idle daemon" {
	local n pid
	daemon_with_little_memory
	pid=$(daemon_pid)
	for n in {1..40}; do
		wait_until '[ "$(flights)" = 0 ]'
		set_memory $n
		"$SC" get "k$n" -- fails -o x >"$T/out" 2>"$T/err" || is_message "$T/err" 'incomplete after [02] good bytes'
		set_memory 0
		[ "$(daemon_pids)" = "$pid" ] || { echo "gone at call $n" && cat "$T/daemon.err" && return 1; }
	done
	run -0 --separate-stderr "$SC" get k -- echo y
	[ -z "$stderr" ]
}

@test "C04: the daemon has no memory at all for a while: callers run directly; then all is as before, and nothing has leaked" {
	local n pid fds
	daemon_with_little_memory
	pid=$(daemon_pid)
	bg a "$SC" get run -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	fds=$(fd_count "$pid")
	mkdir "$T/crowd"
	for n in 1 3 7 12 20 31 45 60; do
		set_memory $n 1
		run -0 timeout $((60 * SLACK)) crowd 10 "$T/crowd" "$SC" get "k$n-{}" -- fails -o x
		set_memory 0
		assert_output --regexp '^0 [0-9]+(.125 [0-9]+)?$'
		all_ran_x 10 some
		[ "$(daemon_pids)" = "$pid" ] || { echo "gone at call $n" && cat "$T/daemon.err" && return 1; }
		run -0 --separate-stderr "$SC" get "then$n" -- echo y
		[ -z "$stderr" ]
		run -0 "$SC" get "then$n"
		assert_output y
	done
	wait_until '[ "$(fd_count "$pid")" -le "$fds" ]'
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'one\n'
	run -0 "$SC" get run
	assert_output one
}

@test "C04: a call for memory fails while the daemon starts: it starts, or says why it does not" {
	local n got seed=$RANDOM
	echo "seed $seed"
	RANDOM=$seed
	mkdir -m 700 "$SC_DIR"
	for _ in {1..25}; do
		n=$((1 + RANDOM % 2600))
		head -c 12 /dev/zero >"$T/control"
		set_memory $n
		# One that does not start leaves its memory to the kernel.
		bg daemon env LD_PRELOAD="$SHIM" SHIM_MEMORY="$T/control" "ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0" "$(dirname "$SC")/scd" "$SC_DIR"
		wait_until '! is_running daemon || "$SC" daemon status >/dev/null 2>&1'
		if is_running daemon; then
			"$SC" get k -- echo x >"$T/out"
			"$SC" daemon stop
			assert_rc 0 daemon
		else
			assert_rc 1 daemon
			grep -q '^scd: .' "$T/daemon.err"
		fi
	done
}

@test "C05: no process for the daemon: bypass with one line, and it does not keep later callers from starting it" {
	for n in 1 2 1+ 1 1 1; do
		run -5 --separate-stderr env LD_PRELOAD="$SHIM" SHIM_FORK="$n" "$SC" get k -- fails -o x 5
		assert_output x
		printf '%s\n' "$stderr" >"$T/err"
		is_message "$T/err" 'the daemon did not start'
	done
	no_daemon
	run -0 --separate-stderr "$SC" get k -- echo y
	assert_output y
	[ -z "$stderr" ]
}

@test "C05: no process for the writer, none for the command: the caller runs it directly, once; nothing is left" {
	"$SC" daemon start
	local n nr=0
	for n in 1 1+ 2 2+; do
		nr=$((nr + 1))
		run -5 --separate-stderr env LD_PRELOAD="$SHIM" SHIM_FORK="$n" "$SC" get "k$nr" -- fails -n "$T/count" -o x 5
		assert_output x
		if [ "$n" != 2 ]; then [ -n "$stderr" ]; fi
		[ "$(lines_in "$T/count")" = "$nr" ]
		wait_until '[ "$(flights)" = 0 ]'
	done
}

@test "C05: a leader that gets no process for the writer: those that wait lead in its place, one run, no message" {
	"$SC" daemon start
	for n in 1+ 2+; do
		for round in {1..5}; do
			mkdir "$T/crowd"
			bg poor env LD_PRELOAD="$SHIM" SHIM_FORK="$n" "$SC" get "k$n-$round" -- fails -o poor
			run -0 timeout $((30 * SLACK)) crowd 10 "$T/crowd" "$SC" get "k$n-$round" -- fails -n "$T/count$n-$round" -o x
			assert_output '0 10'
			[[ $(rc poor) = 0 ]]
			[[ $(cat "$T/poor.out") =~ ^(x|poor)$ ]]
			all_ran_x 10
			[ "$(lines_in "$T/count$n-$round")" = 1 ]
			rm -r "$T/crowd"
		done
	done
}
