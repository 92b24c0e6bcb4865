#!/usr/bin/env bats
# FAULTS A25, C12, C13: a machine that is busy.
# run: alone
load ../helper

all_got_x() {
	local nr
	for ((nr = 0; nr < $1; nr++)); do
		is_file "$T/crowd/$nr.out" 'x\n' && is_empty "$T/crowd/$nr.err" || return 1
	done
}

@test "A25, C12: a daemon that is merely busy, or only starting, is waited for: two hundred cold callers under a load of fifty" {
	local pids=() nr
	for nr in {1..50}; do
		sh -c 'while :; do :; done' 3>&- &
		pids+=($!)
	done
	mkdir "$T/crowd"
	run timeout $((240 * SLACK)) crowd 200 "$T/crowd" "$SC" get 'k{}' -- fails -o x
	kill -9 "${pids[@]}"
	assert_output '0 200'
	all_got_x 200
}

@test "C13: a thousand clients while the daemon stands still for a second: all are served, without a message" {
	local pid until
	start_daemon
	pid=$(daemon_pid)
	mkdir "$T/crowd"
	kill -STOP "$pid"
	# Behind us in line for a processor, or the second would be as long as they all take to start.
	bg c nice -n 19 crowd 1000 "$T/crowd" "$SC" get k -- fails -n "$T/count" -o x
	wait_until '[ -e "$T/crowd/begun" ]'
	until=$((${EPOCHREALTIME/./} + 1000000)) # the one second that is promised
	wait_until '((${EPOCHREALTIME/./} >= until))'
	kill -CONT "$pid"
	[ "$(rc c $((60 * SLACK)))" = 0 ]
	is_file "$T/c.out" '0 1000\n'
	all_got_x 1000
	[ "$(lines_in "$T/count")" = 1 ]
	[ "$(daemon_pids)" = "$pid" ]
}

# Each answer alone is quick; all that come in one turn of the loop take more than a client's patience.
@test "A25: a daemon on a slow disk is waited for: fifty callers, each file it opens takes 20 ms" {
	use_test_build
	mkdir -m 700 "$SC_DIR"
	bg daemon env ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e trace=openat,openat2 \
		-e inject=openat,openat2:delay_enter=20000 "$(dirname "$SC")/scd" "$SC_DIR"
	wait_until '"$SC" daemon status >/dev/null 2>&1'
	mkdir "$T/crowd"
	run timeout $((60 * SLACK)) crowd 50 "$T/crowd" "$SC" get 'k{}' -- fails -o x
	assert_output '0 50'
	all_got_x 50
}

@test "A26: a daemon that takes four seconds to close its index is waited for by who told it to stop" {
	use_test_build
	ASAN_OPTIONS=detect_leaks=0 start_daemon
	entry k x
	local daemon
	daemon=$(daemon_pid)
	bg slow strace -f -o /dev/null -e trace=fdatasync,fsync -e inject=fdatasync,fsync:delay_enter=4000000:when=1 -p "$daemon"
	wait_until 'grep -q attached "$T/slow.err"'
	run -0 "$SC" daemon stop --now
	assert_output ''
	dead "$daemon"
	rc slow
}
