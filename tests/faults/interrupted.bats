#!/usr/bin/env bats
# FAULTS B09, B10: calls that move less than they were given, and calls that are interrupted, in client, writer and daemon at once.
# run: sealed too
load ../helper

prepare() {
	use_test_build
	: "${SEED:=$RANDOM}"
	echo "SEED=$SEED"
}

# Both sides; the daemon is started here, because one that a client starts has nothing preloaded.
with() { # VARIABLE
	shim=(env "LD_PRELOAD=$HELPERS/shim_short.so" "$1=$SEED")
	bg daemon "${shim[@]}" "$(dirname "$SC")/scd" "$SC_DIR"
	wait_until '"$SC" daemon status >/dev/null 2>&1'
	SC_PLAIN=$SC
	printf '#!/bin/bash\nexec %s %q "$@"\n' "${shim[*]}" "$SC" >"$T/sc"
	chmod +x "$T/sc"
	SC=$T/sc
}

cleanup() { SC=${SC_PLAIN:-$SC}; }

# Both streams, lengths around the sizes of buffers and frames.
says='flood "$1"; flood -e -s 7 "$2"; flood -s "$1" "$3"'
run_it() { "$SC" get "$@" -- sh -c "$says" - $((size)) $((size / 3)) $((size / 2)); }

everything() {
	local size
	for size in 0 1 4095 65537 300001; do
		flood $((size + size / 2)) >"$T/want.out"
		flood -s 7 $((size / 3)) >"$T/want.err"
		bg a run_it "k$size"
		bg b run_it "k$size"
		assert_rc 0 a b
		run_it "k$size" >"$T/hit.out" 2>"$T/hit.err"
		run_it "k$size" 2>"$T/pipe.err" | cat >"$T/pipe.out"
		run_it "k$size" -o "$T/file.out" 2>"$T/file.err"
		for name in a b hit pipe file; do
			cmp "$T/want.out" "$T/$name.out"
			cmp "$T/want.err" "$T/$name.err"
		done
	done
	flood 200001 | "$SC" put put
	"$SC" get put | cmp - <(flood 200001)
	for status in 0 3 255; do
		run -$status "$SC" get "s$status" -- fails -o x $status
		assert_output x
	done
	run -143 --separate-stderr "$SC" get term -- fails -o x -k 15
	assert_output x
	[ "$("$SC" ls | wc -l)" = 7 ]
	"$SC" rm put s0
	run -1 "$SC" get put
	# All of it is on the disk as it was told: another daemon serves it.
	kill_daemon
	"$SC_PLAIN" get k300001 2>/dev/null | cmp - <(flood 450001)
	wait_until '[ "$(objects)" = 10 ] && [ "$(flights)" = 0 ]'
}

@test "B09: every call moves some of its bytes only: no gap, no repeat, live, followed, replayed, put" {
	with SHIM_SHORT
	everything
}

@test "B10: every other call is interrupted: the exact output, the exact status" {
	with SHIM_EINTR
	everything
}

@test "B10: client, writer and daemon under a flood of signals: the exact output, the exact status" {
	start_daemon
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k
	bg storm bash -c 'while [ ! -e "$T/enough" ]; do kill -WINCH "$@" 2>/dev/null; kill -CHLD "$@" 2>/dev/null; done' - \
		"$(daemon_pid)" "$(pid_of a)" "$(pid_of b)" "$(parent_of "$(gate_pid)")"
	local n
	for n in {1..20}; do
		step "$G" fill 50000
		step "$G" err "$n"
	done
	step "$G" exit 9
	assert_rc 9 a b
	: >"$T/enough"
	assert_rc 0 storm
	is_flood "$T/a.out" 1000000
	is_flood "$T/b.out" 1000000
	printf '%s\n' {1..20} | cmp - "$T/a.err"
	printf '%s\n' {1..20} | cmp - "$T/b.err"
}
