#!/usr/bin/env bats
# FAULTS A13, A30, B03, B05, B06, B22, B24, C01: a process is killed at any of its system calls, or they fail: the invariants hold. One
# undisturbed run (round.bash, scene run) tells which calls there are: each is "NAME N", the Nth of its kind, which is how strace
# counts. A sample of them is taken whose seed is printed if a test fails (SEED=n takes it again); with SOAK=1 all of them.
load ../helper

prepare() {
	: "${SEED:=$RANDOM}"
	echo "SEED=$SEED"
}

round() { # DIR SCENE VICTIM RUNS SIGN STRACE OPTION…: says what is wrong, if something is; SIGN is what strace prints if it struck
	local sign=$5
	bash "$TREE/tests/faults/round.bash" "$1" "$2" "$3" "$4" strace -o "$1.strace" "${@:6}" >"$1.log" 2>&1 || mv "$1.log" "$1.failed"
	grep -qF "$sign" "$1.strace" || : >"$1.missed"
	rm -rf "$1"
}

# Each line of stdin is a round. None fails. Which call is the Nth may differ from one time to the next, but most are met.
play() {
	local rounds missed
	export -f round
	export TREE HELPERS SC_TEST SCD_TEST
	mkdir -p "$T/rounds"
	awk -v dir="$T/rounds" '{ print dir "/" NR, $0 }' | xargs -P "${ROUNDS:-3}" -L 1 bash -c 'round "$@"' round
	cat "$T/rounds"/*.failed 2>/dev/null || true
	[ -z "$(find "$T/rounds" -name '*.failed' -print -quit)" ]
	rounds=$(find "$T/rounds" -name '*.strace' | wc -l) missed=$(find "$T/rounds" -name '*.missed' | wc -l)
	echo "$rounds rounds, $missed of them without a fault"
	[ "$rounds" -gt 0 ] && [ $((3 * missed)) -le $((2 * rounds)) ]
}

# What VICTIM calls in SCENE: "NAME N" for each, in order. What comes before our own first call is the loader's.
calls() { # SCENE VICTIM [STRACE OPTION…]
	local attached=0
	if [[ $2 =~ ^(writer|index)$ ]]; then attached=1; fi
	bash "$TREE/tests/faults/round.bash" "$T/trace" "$1" "$2" 1 strace "${@:3}" -o "$T/trace.strace" >&2
	sed -E 's/^[0-9]+ +//' "$T/trace.strace" | grep -oE '^[a-z0-9_]+\(|^.*F_GETFD.*|^umask.*' | awk -v ours=$attached '
		/F_GETFD|^umask/ { ours = 1 }
		{ sub(/\(.*/, ""); n[$0]++ }
		ours && !/^(execve|exit_group|exit)$/ { print $0, n[$0] }'
}

# So many lines of stdin, or all of them.
sample() {
	if [ "${SOAK:-0}" = 1 ]; then
		cat
	else
		awk -v seed="$SEED" 'BEGIN { srand(seed) } { print rand(), $0 }' | sort -n | cut -d ' ' -f 2- | head -n "$1"
	fi
}

die_at() { # VICTIM RUNS HOW MANY
	calls run "$1" >"$T/calls"
	sample "$3" <"$T/calls" | while read -r name n; do
		echo "run $1 $2 'killed by SIGKILL' -e trace=$name -e inject=$name:signal=SIGKILL:when=$n"
	done | play
}

@test "A30: a client that dies at any system call: the others get all of it, nothing is left" {
	die_at leader 2 10
}

@test "A30: a follower that dies at any system call: nobody notices" {
	die_at follower 1 6
}

@test "A13 A30: a writer that dies at any system call: clients end well, the command runs at most twice, nothing is left" {
	die_at writer 2 12
}

@test "A13 A30: a daemon that dies at any system call: one run, everybody gets all of it, nothing is left" {
	die_at daemon 1 16
}

@test "A13 A30: a daemon that dies at any system call of its index thread: the same" {
	die_at index 1 6
}

# Each of the calls in $T/calls fails, once or from then on.
fail_at() { # SCENE VICTIM RUNS HOW MANY ERROR… -- STRACE OPTION…
	local scene=$1 victim=$2 runs=$3 many=$4 errors=()
	shift 4
	for (( ; $# > 0; )); do
		[ "$1" != -- ] || break
		errors+=("$1")
		shift
	done
	shift
	while read -r name n; do
		for error in "${errors[@]}"; do printf '%s\n' "$name $n $error" "$name $n+ $error"; done
	done <"$T/calls" | sample "$many" | while read -r name n error; do
		echo "$scene $victim $runs (INJECTED) $* -e trace=$name -e inject=$name:error=$error:when=$n"
	done | play
}

@test "B24 C01: any system call of the daemon fails, once or from then on: everybody gets all of it, nothing hangs" {
	calls errors daemon -f | grep -E '^(openat2?|write|pwrite64|fsync|fdatasync|ftruncate|unlinkat|mkdirat|pread64|fcntl) ' >"$T/calls"
	fail_at errors daemon 4 20 ENOSPC EIO EDQUOT EROFS EMFILE -- -f
}

@test "B22 B24: openat2 or locks that the kernel or the file system does not have: everybody gets all of it, nothing hangs" {
	printf '%s\n' 'openat2 1' 'fcntl 30' 'ftruncate 1' >"$T/calls"
	fail_at errors daemon 4 9 ENOSYS EOPNOTSUPP EPERM -- -f
}

@test "B22: a kernel, or a filter of system calls, without openat2: the cache works as ever, and follows no link at the end of a name" {
	local error made without
	use_test_build
	export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
	for error in ENOSYS EPERM; do
		export SC_DIR=$T/$error
		without=(strace -f -qq -o "$T/trace.$error" -e trace=openat2 -e "inject=openat2:error=$error")
		bg daemon "${without[@]}" "$(dirname "$SC")/scd" "$SC_DIR"
		wait_until '[ -S "$SC_DIR/sock" ]'
		"$SC" get k -- echo once
		run -0 --separate-stderr "$SC" get --status-fd 9 k -- echo twice 9>"$T/status"
		[ "$output$stderr" = once ]
		[ "$(field source "$T/status")" = hit ]
		echo given >"$T/file"
		"${without[@]}" -o "$T/trace.put" "$SC" put --move given "$T/file"
		[ ! -e "$T/file" ]
		run -0 "$SC" get given
		assert_output given
		made=$(field generation "$T/status")
		made=$SC_DIR/objects/${made:0:2}/$made.out
		rm "$made"
		echo evil >"$T/target"
		ln -s "$T/target" "$made"
		[ "$(stat -c %s "$T/target")" = 5 ] # as long as it was
		run -1 "$SC" get k
		assert_output ''
		"$SC" rm k given
		wait_until '[ "$(objects)" = 0 ]'
		grep -q "$error.*INJECTED" "$T/trace.$error"
		"$SC" daemon stop
		rc daemon >/dev/null
	done
	is_file "$T/target" 'evil\n'
	export SC_DIR=$T/cache
}

@test "B03 B24: any system call of the index thread fails, once or from then on: one run, everybody gets all of it" {
	calls run index | grep -E '^(openat|write|pwrite64|fsync|fdatasync|ftruncate|unlinkat) ' >"$T/calls"
	fail_at uncommitted index 1 12 ENOSPC EIO EDQUOT EROFS --
}

@test "B05 B06 B24: any write of a run's writer fails, once or from then on: everybody gets all of it, nothing is left" {
	calls run writer | grep -E '^(write|pread64) ' >"$T/calls"
	fail_at unwritable writer 4 12 ENOSPC EIO EDQUOT EROFS --
}

@test "B03: a commit that fails: output and status are fine, one line says that it is not kept, and nothing is left" {
	local thread
	start_daemon
	entry old 'old\n'
	thread=$(cd "/proc/$(daemon_pid)/task" && grep -lx index ./*/comm | cut -d / -f 2)
	bg tracer strace -qq -o "$T/trace" -e trace=pwrite64 -e inject=pwrite64:error=ENOSPC -p "$thread"
	wait_until '! grep -q "^TracerPid:.0$" "/proc/'"$(daemon_pid)/task/$thread"'/status"'
	run -0 --separate-stderr "$SC" get k -- echo out
	assert_output out
	printf '%s\n' "$stderr" >"$T/said"
	is_message "$T/said" 'k: not kept: No space left on device'
	bg_sh p 'echo x | "$SC" put k'
	[ "$(pipe_status p)" = '0 125' ]
	is_message "$T/p.err" 'k: could not be stored: No space'
	kill -TERM "$(pid_of tracer)"
	rc tracer >/dev/null
	wait_until '[ "$(flights)" = 0 ] && [ "$(objects)" = 2 ]'
	run -0 "$SC" ls
	assert_output old
	run -0 --separate-stderr "$SC" get k -- echo again
	[ -z "$stderr" ]
}
