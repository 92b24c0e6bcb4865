#!/usr/bin/env bats
# The exit status is the command's own, for whoever reads it and however.
# run: sealed too
load ../helper

# live_and_followed COMMAND-STEP STATUS: a leader and a follower of one run that ends by that step.
live_and_followed() {
	local g
	g=$(new_gate "g$3")
	bg a "$SC" get "k$3" -- gate "$g"
	step "$g" out x
	bg b "$SC" get "k$3"
	shows b 'x\n'
	step "$g" "$1"
	assert_rc "$2" a b
	is_file "$T/a.out" 'x\n'
	is_file "$T/b.out" 'x\n'
}

@test "D15: a command's exit status is the caller's, live, followed and replayed" {
	local n=0
	for status in 0 1 2 3 42 100 124 125 126 127 128 129 130 137 141 143 254 255; do
		live_and_followed "exit $status" $status $((n += 1))
	done
	run -0 "$SC" get k1 # what ended with 0 is the only kind that is kept
	assert_output x
	run -0 "$SC" get k1 -- false
	assert_output x
}

@test "D15: a command's exit status is the caller's: each of 0 to 255" {
	local status got
	for status in {0..255}; do
		got=0
		"$SC" get "k$status" -- fails -o "$status" "$status" >"$T/out" 2>>"$T/err" || got=$?
		[ $got = "$status" ]
		is_file "$T/out" "$status\n"
	done
}

@test "D15: a command killed by signal n: 128+n, live and followed" {
	local n=100
	for signal in HUP INT QUIT ABRT KILL USR1 SEGV PIPE ALRM TERM; do
		live_and_followed "kill $signal" $((128 + $(kill -l $signal))) $((n += 1))
	done
}

@test "D15: a command killed by signal n: 128+n, each signal that kills" {
	local signal got
	for signal in {1..16} {24..27} {29..31} {34..64}; do
		got=0
		"$SC" get "k$signal" -- fails -k "$signal" >/dev/null 2>"$T/err" || got=$?
		[ $got = $((128 + signal)) ] || { echo "signal $signal: $got" && false; } >&2
	done
}

@test "126 and 127: not executable and not found, for everybody, with a hint, and not kept" {
	run -127 --separate-stderr "$SC" get k -- no-such-command-here
	[ -z "$output" ]
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'no-such-command-here'
	run -127 --separate-stderr "$SC" get k -- 'echo x | cat'
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'sh -c' # no shell is involved
	run -127 "$SC" get k -- "$T/nothing/there"
	echo x >"$T/plain"
	run -126 --separate-stderr "$SC" get k -- "$T/plain"
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$T/plain"
	run -126 "$SC" get k -- "$T"
	run -1 "$SC" get k
	run -0 "$SC" get k -- fails -o now
	assert_output now
}

@test "126 and 127 at once for a crowd" {
	mkdir "$T/a" "$T/b"
	run -0 crowd 20 "$T/a" "$SC" get a -- no-such-command-here
	assert_output '127 20'
	echo x >"$T/plain"
	run -0 crowd 20 "$T/b" "$SC" get b -- "$T/plain"
	assert_output '126 20'
	nothing_kept
}
