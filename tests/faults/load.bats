#!/usr/bin/env bats
# FAULTS A25, C12: a machine that is busy.
# run: alone
load ../helper

@test "A25: a daemon that is merely busy is waited for: two hundred callers under a load of fifty" {
	local pids=() nr
	start_daemon
	for nr in {1..50}; do
		sh -c 'while :; do :; done' 3>&- &
		pids+=($!)
	done
	mkdir "$T/crowd"
	run timeout $((240 * SLACK)) crowd 200 "$T/crowd" "$SC" get 'k{}' -- fails -o x
	kill -9 "${pids[@]}"
	assert_output '0 200'
	for nr in {0..199}; do
		is_file "$T/crowd/$nr.out" 'x\n'
		is_empty "$T/crowd/$nr.err"
	done
}
