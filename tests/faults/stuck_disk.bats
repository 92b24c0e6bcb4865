#!/usr/bin/env bats
# The loop never waits for the disk: what may takes place in the index thread. Here that thread is held in the middle of such work
# (SC_STUCK of lib/killpoint.h), for as long as the test likes, and hits and streams go on as if nothing were.
load ../helper

prepare() { use_test_build; }

cleanup() { rm -f "$T/stuck"; }

# The daemon, and a disk that does not answer when it is asked for this.
stick_at() { # WHAT [ENTRY…]
	# A checkpoint comes after a few commits, not after hundreds.
	bg daemon env "SC_STUCK=$1:$T/stuck" SC_FAULT=small_wal "$(dirname "$SC")/scd" "$SC_DIR"
	wait_until '"$SC" daemon status >/dev/null 2>&1'
	entry hit 'there\n'
	for name in "${@:2}"; do entry "$name" 'x\n'; done
	: >"$T/stuck"
}
is_stuck() { [ -s "$T/stuck" ]; }
let_go() { rm "$T/stuck"; }

# Hits, a list, an answer that there is nothing, a live run of a leader and a follower; all while the thread is where it was.
all_is_well() {
	local n g
	for ((n = 0; n < 50; n++)); do
		"$SC" get hit >"$T/out" 2>"$T/err"
		is_file "$T/out" 'there\n'
		is_empty "$T/err"
	done
	run -0 "$SC" ls
	assert_line hit
	run -1 "$SC" get nothing
	g=$(new_gate "g$RANDOM")
	bg live "$SC" get live -- gate "$g"
	step "$g" out one
	shows live 'one\n'
	bg follows "$SC" get live
	shows follows 'one\n'
	step "$g" out two
	shows live 'one\ntwo\n'
	shows follows 'one\ntwo\n'
	step "$g" exit 3
	assert_rc 3 live follows
	[ "$(lines_in "$T/stuck")" = 1 ]
}

@test "a commit that the disk does not answer: hits, lists and runs go on; then it is kept" {
	stick_at transaction
	bg a "$SC" get new -- echo x
	wait_until is_stuck
	all_is_well
	is_running a
	let_go
	assert_rc 0 a
	run -0 "$SC" get new
	assert_output x
}

@test "the file of a run that has ended, whose unlinking takes for ever: hits, lists and runs go on; then its end is told" {
	local file
	stick_at flight
	bg a "$SC" get new -- echo x
	wait_until is_stuck
	file=$(ls "$SC_DIR/flights")
	all_is_well
	is_running a
	[ -e "$SC_DIR/flights/$file" ]
	let_go
	assert_rc 0 a
	[ ! -e "$SC_DIR/flights/$file" ]
	run -0 "$SC" get new
	assert_output x
}

@test "the file of a run that has failed, whose unlinking takes for ever: its end is told, and hits, lists and runs go on" {
	stick_at flight
	run -3 "$SC" get failed -- sh -c 'echo x; exit 3'
	assert_output x
	wait_until is_stuck
	all_is_well
	let_go
	wait_until '[ -z "$(ls "$SC_DIR/flights")" ]'
}

@test "a removal that the disk does not answer: hits, lists and runs go on; then it is gone" {
	stick_at transaction old
	bg a "$SC" rm old
	wait_until is_stuck
	all_is_well
	is_running a
	let_go
	assert_rc 0 a
	run -1 "$SC" get old
}

@test "an object whose unlinking takes for ever: hits, lists and runs go on; who replaced it has its answer" {
	stick_at unlink old
	run -0 "$SC" get -r old -- echo y
	assert_output y
	wait_until is_stuck
	run -0 "$SC" get old
	assert_output y
	all_is_well
	let_go
	wait_until '[ "$(objects)" = 4 ]'
}

@test "a checkpoint that takes for ever: hits, lists and runs go on" {
	local n
	stick_at checkpoint
	for ((n = 0; n < 20; n++)); do
		bg "a$n" "$SC" get "k$n" -- echo x
		wait_until '! is_running a$n || is_stuck'
		if is_stuck; then break; fi
	done
	all_is_well
	let_go
	run -0 "$SC" get k0
	assert_output x
}

@test "a walk that comes no further: hits, lists and runs go on" {
	entry hit 'there\n'
	"$SC" daemon stop
	: >"$T/stuck"
	bg daemon env "SC_STUCK=walk:$T/stuck" SC_FAULT=walk "$(dirname "$SC")/scd" "$SC_DIR"
	wait_until is_stuck
	all_is_well
	let_go
	wait_until 'grep -q "event=walk " "$T/daemon.err"'
}

@test "the blocks of a large object are not freed by the loop: it holds none that is to be unlinked" {
	local pid held
	stick_at unlink
	pid=$(daemon_pid)
	run -3 "$SC" get failed -- sh -c 'echo x; exit 3'
	wait_until is_stuck
	bg a "$SC" get dies -- gate "$G"
	step "$G" out y
	kill -9 "$(parent_of "$(gate_pid)")" "$(pid_of a)"
	rc a >/dev/null
	wait_until 'grep -q "to=settled why=.lost" "$T/daemon.err"'
	bg b "$SC" get kept -- echo z
	shows b 'z\n'
	wait_until 'grep -q "to=committing" "$T/daemon.err"'
	held=$(find "/proc/$pid/fd" -lname "*/objects/*" -printf '%l\n')
	[ -z "$held" ] || { echo "$held" && false; } >&2
	let_go
	assert_rc 0 b
}
