#!/usr/bin/env bats
# FAULTS A30, B24, C01: a process is killed at any of its system calls, or the daemon's fail: the invariants hold. One undisturbed
# run (round.bash, scene run) tells which calls there are: each is "NAME N", the Nth of its kind, which is how strace counts. A
# sample of them is taken whose seed is printed (SEED=n takes it again); with SOAK=1 all of them.
load ../helper

prepare() {
	: "${SEED:=$RANDOM}"
	echo "SEED=$SEED"
}

round() { # DIR SCENE VICTIM RUNS STRACE OPTION…: says what is wrong, if something is
	bash "$TREE/tests/faults/round.bash" "$1" "$2" "$3" "$4" strace -o /dev/null "${@:5}" >"$1.log" 2>&1 || mv "$1.log" "$1.failed"
	rm -rf "$1"
}

# Each line of stdin is a round. None fails.
play() {
	export -f round
	export TREE HELPERS SC_TEST SCD_TEST
	mkdir -p "$T/rounds"
	awk -v dir="$T/rounds" '{ print dir "/" NR, $0 }' | xargs -P "${ROUNDS:-3}" -L 1 bash -c 'round "$@"' round
	cat "$T/rounds"/*.failed 2>/dev/null || true
	[ -z "$(find "$T/rounds" -name '*.failed' -print -quit)" ]
}

# What VICTIM calls in SCENE: "NAME N" for each, in order. Those of its start are the loader's, up to the first that is ours.
calls() { # SCENE VICTIM [STRACE OPTION…]
	bash "$TREE/tests/faults/round.bash" "$T/trace-$1-$2" "$1" "$2" 1 strace "${@:3}" -o "$T/$1-$2.trace" >&2
	sed -E 's/^[0-9]+ +//' "$T/$1-$2.trace" | grep -oE '^[a-z0-9_]+\(|^.*F_GETFD.*|^umask.*' | awk -v from="$([[ $2 =~ writer|index ]] && echo 1)" '
		/F_GETFD|^umask/ || from { ours = 1 }
		{ sub(/\(.*/, ""); n[$0]++ }
		ours && !/^(execve|exit_group|exit)$/ { print $0, n[$0] }'
}

# So many lines of stdin, or all of them.
sample() {
	if [ "${SOAK:-0}" = 1 ]; then cat; else awk -v seed="$SEED" 'BEGIN { srand(seed) } { print rand(), $0 }' | sort -n | cut -d ' ' -f 2- | head -n "$1"; fi
}

die_at() { # VICTIM RUNS HOW MANY
	calls run "$1" >"$T/calls"
	[ -s "$T/calls" ]
	sample "$3" <"$T/calls" | while read -r name n; do
		echo "run $1 $2 -e trace=$name -e inject=$name:signal=SIGKILL:when=$n"
	done | play
}

@test "A30: a client that dies at any system call: the others get all of it, nothing is left" {
	die_at leader 2 12
}

@test "A30: a follower that dies at any system call: nobody notices" {
	die_at follower 1 8
}

@test "A30: a writer that dies at any system call: clients end well, the command runs at most twice, nothing is left" {
	die_at writer 2 15
}

@test "A13 A30: a daemon that dies at any system call: one run, everybody gets all of it, nothing is left" {
	die_at daemon 1 20
}

@test "A13 A30: a daemon that dies at any system call of its index thread: the same" {
	die_at index 1 8
}

@test "B24 C01: any system call of the daemon fails, once or from then on: everybody gets all of it, nothing hangs" {
	calls errors daemon -f | grep -E '^(openat2?|write|pwrite64|fsync|fdatasync|ftruncate|unlinkat|mkdirat) ' >"$T/calls"
	awk '{ for (i = 1; i <= split("ENOSPC EIO EMFILE", e, " "); i++) for (k = 0; k < 2; k++) print $1, $2 (k ? "+" : ""), e[i] }' "$T/calls" |
		sample 20 | while read -r name n error; do
		echo "errors daemon 4 -f -e trace=$name -e inject=$name:error=$error:when=$n"
	done | play
}
