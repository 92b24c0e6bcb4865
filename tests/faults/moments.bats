#!/usr/bin/env bats
# FAULTS G12, G19, G20, G22: callers that come at an odd moment, or with an odd question.
load ../helper

# most_at_once FILE: of lines "+" (begun) and "-" (ended), in their order, the most that were going on.
most_at_once() {
	awk '/\+/ { n++; if (n > most) most = n } /-/ { n-- } END { print most + 0 }' "$1"
}

@test "G12: a hundred refreshers: never more than two runs at once, few in all, the newest is kept; others get the good entry meanwhile" {
	mkdir "$T/crowd" "$T/others"
	entry k 'old\n'
	bg c crowd 100 "$T/crowd" "$SC" get -r k -- sh -c 'echo + >>"$T/runs"; grep -c + "$T/runs"; echo - >>"$T/runs"'
	run -0 crowd 20 "$T/others" "$SC" get k -- fails -o never
	assert_output '0 20'
	run -1 grep -rl never "$T/others"
	assert_rc 0 c
	is_file "$T/c.out" '0 100\n'
	[ "$(most_at_once "$T/runs")" -le 2 ]
	[ "$(most_at_once "$T/runs")" -ge 1 ]
	for nr in {0..99}; do
		grep -qx '[0-9][0-9]*' "$T/crowd/$nr.out"
		is_empty "$T/crowd/$nr.err"
	done
	# What is kept is what the newest run printed.
	[ "$("$SC" get k)" = "$(cat "$T"/crowd/*.out | sort -n | tail -n 1)" ]
}

@test "G12: a hundred refreshers meet a run: one newer run and no third beside them, which they all share" {
	local g2 n=1
	g2=$(new_gate g2)
	mkdir "$T/crowd"
	entry k 'good\n'
	bg a "$SC" get -r k -- gate "$G"
	step "$G" out older
	bg c crowd 100 "$T/crowd" "$SC" get -r k -- gate "$g2"
	gate_up "$g2"
	run -0 "$SC" get k
	assert_output good
	# Those that had come when a run began have it; who came later shares the next one.
	while is_running c; do
		[ "$(flights)" -le 2 ]
		[ $n -le 10 ]
		step "$g2" out newer
		wait_until 'grep -q newer "$T"/crowd/*.out'
		step "$g2" exit 0
		n=$((n + 1))
		wait_until '! is_running c || [ "$(runs "$g2")" = '$n' ]'
	done
	assert_rc 0 c
	run -0 "$SC" get k
	assert_output newer
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output newer
}

@test "G19: callers come at the instant a run ends, well or badly: all get all of it and its status, nobody a message" {
	local rounds=80 code round nr
	if [ "${SOAK:-0}" = 1 ]; then rounds=2500; fi
	mkdir "$T/crowd"
	flood 70K >"$T/want"
	# Each of the four waits a little longer than the one before, up to the time a run takes.
	printf '#!/bin/sh\nn=$(($1 * $2)); while [ $n -gt 0 ]; do n=$((n - 1)); done\nexec "$SC" get "$3" -- sh -c "flood 70K; exit $4"\n' >"$T/late"
	chmod +x "$T/late"
	for ((round = 0; round < rounds; round++)); do
		code=$((round % 2 * 3))
		run -0 crowd 4 "$T/crowd" "$T/late" '{}' $((round * 67 % 601)) "k$round" $code
		assert_output "$code 4"
		for nr in 0 1 2 3; do
			cmp "$T/want" "$T/crowd/$nr.out"
			is_empty "$T/crowd/$nr.err"
		done
	done
}

@test "G20: a command that prints nothing for long: followers wait, also over the daemon's death; --wait bounds the silence, of one alone" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k
	bg c "$SC" get k -- false
	run -124 --separate-stderr "$SC" get -w 3s k
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'wait'
	kill_daemon
	run -124 "$SC" get -w 2s k -- false
	for n in a b c; do
		is_running $n
		is_empty "$T/$n.out"
		is_empty "$T/$n.err"
	done
	step "$G" out x
	step "$G" exit 0
	assert_rc 0 a b c
	for n in a b c; do is_file "$T/$n.out" 'x\n'; done
	[ "$(runs)" = 1 ]
}

@test "G22: a finished entry is served whatever the command; another directory, environment or umask makes no other key" {
	entry k 'first\n'
	run -0 "$SC" get k -- echo second
	assert_output first
	cd /
	run -0 env OTHER=1 "$SC" get k -- false
	assert_output first
	(umask 077 && "$SC" get k -- no-such-command-here >"$T/out")
	is_file "$T/out" 'first\n'
}
