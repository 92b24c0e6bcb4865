#!/usr/bin/env bats
# A run that fails is everybody's failure, once.
# run: sealed too
load ../helper

@test "a failure reaches all concurrent callers with its bytes and its status, and is not cached" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b "$SC" get k -- gate "$G"
	bg c "$SC" get k
	for n in a b c; do shows $n 'one\n'; done
	step "$G" err 'no good'
	step "$G" outn end
	step "$G" exit 3
	assert_rc 3 a b c
	for n in a b c; do
		is_file "$T/$n.out" 'one\nend'
		grep -qx 'no good' "$T/$n.err"
	done
	[ "$(runs)" = 1 ]
	run -1 "$SC" get k
	wait_until nothing_kept
	run -0 "$SC" get k -- fails -o again -n "$T/count" 0
	assert_output again
	[ "$(lines_in "$T/count")" = 1 ]
}

@test "a failure keeps nothing of an earlier success from being served" {
	entry k 'good\n'
	run -5 "$SC" get -r k -- fails -o bad 5
	assert_output bad
	run -0 "$SC" get k
	assert_output good
}

@test "a run ended by a signal is not cached" {
	run -143 "$SC" get k -- fails -o x -k 15
	run -1 "$SC" get k
	wait_until nothing_kept
}

@test "a failure that printed nothing: nothing printed, its status, not cached" {
	run -1 --separate-stderr "$SC" get k -- false
	[ -z "$output$stderr" ]
	run -1 "$SC" get k
	wait_until nothing_kept
}
