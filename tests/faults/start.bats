#!/usr/bin/env bats
# FAULTS A27, A31, G04, G05, G07: the daemon's coming and going, at bad moments.
load ../helper

# all_ran_x N: of a crowd, each printed x.
all_ran_x() {
	local nr
	for ((nr = 0; nr < $1; nr++)); do is_file "$T/crowd/$nr.out" 'x\n' || return 1; done
}

@test "A27: a daemon that dies of every question: two hundred callers run directly, three daemons are started and no fourth" {
	use_test_build
	mkdir "$T/crowd"
	local start took
	start=$(now_ms)
	SC_KILLAT=hello:1 run -0 crowd 200 "$T/crowd" "$SC" get 'k{}' -- fails -n "$T/count" -o x
	took=$(($(now_ms) - start))
	assert_output '0 200'
	all_ran_x 200
	[ "$(lines_in "$T/count")" = 200 ]
	for nr in {0..199}; do is_message "$T/crowd/$nr.err" 'daemon.*running the command directly'; done
	[ "$(grep -c event=start "$SC_DIR/scd.log")" = 3 ]
	echo "took $took ms"
	[ $took -lt $((10000 * SLACK)) ]
	# Nor does the next caller try, although the fault is gone: not before the minute is over.
	run -0 --separate-stderr "$SC" get k -- echo y
	assert_output y
	[[ $stderr == *'several times within a minute'* ]]
	no_daemon
	rm "$SC_DIR/lock" # as when the minute is over
	run -0 --separate-stderr "$SC" get k -- echo y
	[ -z "$stderr" ]
	[ -n "$(daemon_pid)" ]
}

@test "A27: a daemon that has answered somebody is started again however often it is killed" {
	for round in {1..8}; do
		run -0 --separate-stderr "$SC" get k -- echo x
		assert_output x
		[ -z "$stderr" ]
		kill_daemon
	done
}

@test "A27, G05: a daemon that cannot start: within two seconds everybody runs directly, with its own words; it is tried three times" {
	mkdir -m 700 "$SC_DIR"
	echo precious >"$SC_DIR/flights"
	ANY_FILES=1
	mkdir "$T/crowd"
	local start took
	start=$(now_ms)
	run -4 --separate-stderr "$SC" get k -- fails -o x 4
	took=$(($(now_ms) - start))
	assert_output x
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "the daemon did not start: $SC_DIR"
	[ $took -lt $((2000 * SLACK)) ]
	run -0 crowd 50 "$T/crowd" "$SC" get 'k{}' -- fails -o x
	assert_output '0 50'
	all_ran_x 50
	[ "$(grep -c event=no-start "$SC_DIR/scd.log")" = 3 ]
	is_file "$SC_DIR/flights" 'precious\n'
	no_daemon
}

@test "G04: a client is killed while it holds the start lock: the next one goes on at once" {
	use_test_build
	local start took
	start=$(now_ms)
	for nr in {1..10}; do
		SC_KILLAT=start_locked:1 run -137 "$SC" get "k$nr" -- touch "$T/ran"
	done
	[ ! -e "$T/ran" ]
	no_daemon
	run -0 --separate-stderr "$SC" get k -- echo x
	assert_output x
	[ -z "$stderr" ]
	took=$(($(now_ms) - start))
	[ $took -lt $((5000 * SLACK)) ]
}

@test "G04: among a hundred callers one is killed with the start lock: all others get through, without a message" {
	use_test_build
	for round in 1 2 3 4 5; do
		mkdir "$T/crowd"
		bg killed env SC_KILLAT=start_locked:1 "$SC" get k -- fails -o x
		run -0 crowd 50 "$T/crowd" "$SC" get k -- fails -o x
		assert_output '0 50'
		all_ran_x 50
		for nr in {0..49}; do is_empty "$T/crowd/$nr.err"; done
		[[ $(rc killed) =~ ^(137|0)$ ]]
		"$SC" daemon stop
		rm -r "$T/crowd" "$SC_DIR"
	done
}

@test "A31: clients come exactly when the daemon goes because it is idle: they just work, without a message" {
	local rounds=40
	if [ "${SOAK:-0}" = 1 ]; then rounds=1000; fi
	mkdir -m 700 "$SC_DIR"
	echo 'idle-exit = 4ms' >"$SC_DIR/config"
	for ((round = 0; round < rounds; round++)); do
		for ((nr = round % 60 * 20; nr > 0; nr--)); do :; done
		"$SC" get k -- fails -o x 2>>"$T/err"
	done >"$T/out"
	[ "$(grep -cx x "$T/out")" = "$rounds" ]
	is_empty "$T/err"
	[ "$(grep -hc event=start "$SC_DIR"/scd.log)" -gt 3 ]
}

@test "A31: the daemon dies just before it closes its socket for idleness: the next client just works, without a message" {
	use_test_build
	mkdir -m 700 "$SC_DIR"
	echo 'idle-exit = 50ms' >"$SC_DIR/config"
	for round in {1..12}; do
		run -0 --separate-stderr env SC_KILLAT=idle_before_close:1 "$SC" get "k$round" -- echo x
		assert_output x
		[ -z "$stderr" ]
		wait_until no_daemon
		[ -S "$SC_DIR/sock" ] # not removed, so it was there that it died
	done
	run -0 "$SC" ls
	[ "${#lines[@]}" = 12 ]
}

@test "G07: the daemon is restarted, stopped and killed again and again under a hundred clients: all succeed" {
	local end=$((${EPOCHREALTIME/./} + 4000000)) turn=0 n=0
	if [ "${SOAK:-0}" = 1 ]; then end=$((end + 56000000)); fi
	mkdir "$T/crowd"
	while ((${EPOCHREALTIME/./} < end)); do
		bg c timeout $((60 * SLACK)) crowd 100 "$T/crowd" "$SC" get "k$n-{}" -- fails -n "$T/count$n" -o x
		while is_running c; do
			case $((turn++ % 3)) in
			0) "$SC" daemon restart --now 2>>"$T/restart.err" || true ;; # another may come in between
			1) "$SC" daemon stop --now ;;
			2) pid=$(daemon_pid) && if [ -n "$pid" ]; then kill -9 "$pid" || true; fi ;;
			esac
		done
		assert_rc 0 c
		is_file "$T/c.out" '0 100\n'
		all_ran_x 100
		[ "$(lines_in "$T/count$n")" = 100 ]
		n=$((n + 1))
	done
	echo "$n crowds, $turn turns"
	[ "$turn" -gt "$n" ]
	# What the last one of those killed has left is the next one's.
	wait_until '"$SC" ls >"$T/.ls" && [ "$(flights)" = 0 ]'
	wait_until '[ "$(daemon_pids | wc -l)" -le 1 ]'
}
