#!/usr/bin/env bats
# FAULTS G: many at once, and bad moments.
# run: alone
# run: sealed too, in a soak
load ../helper

# all_are DIR N TEXT: N callers of a crowd printed that, and no message.
all_are() {
	local nr
	printf '%b' "$3" >"$T/.all"
	for ((nr = 0; nr < $2; nr++)); do
		cmp "$T/.all" "$1/$nr.out" || return 1
		is_empty "$1/$nr.err" || return 1
	done
}

@test "G01: a thousand callers of one key, cold, no daemon: one run, a thousand equal outputs, in ten seconds" {
	local start took
	mkdir "$T/crowd"
	start=$(now_ms)
	run -0 crowd 1000 "$T/crowd" "$SC" get k -- sh -c 'echo run >>"$0"; echo output' "$T/count"
	took=$(($(now_ms) - start))
	assert_output '0 1000'
	[ "$(lines_in "$T/count")" = 1 ]
	all_are "$T/crowd" 1000 'output\n'
	[ "$(daemon_pids | wc -l)" = 1 ]
	echo "took $took ms"
	[ $took -lt $((10000 * SLACK)) ]
}

@test "G01: five hundred callers follow one run while it is going on" {
	mkdir "$T/crowd"
	bg c crowd 500 "$T/crowd" "$SC" get k -- gate "$G"
	step "$G" out one
	wait_until '[ "$(cat "$T"/crowd/*.out | grep -c one)" = 500 ]' 60
	step "$G" out two
	wait_until '[ "$(cat "$T"/crowd/*.out | grep -c two)" = 500 ]' 60
	step "$G" exit 0
	[ "$(rc c 60)" = 0 ]
	is_file "$T/c.out" '0 500\n'
	all_are "$T/crowd" 500 'one\ntwo\n'
	[ "$(runs)" = 1 ]
}

@test "G02: a thousand callers of a thousand keys: a thousand runs, no error" {
	mkdir "$T/crowd"
	run -0 crowd 1000 "$T/crowd" "$SC" get 'k{}' -- fails -n "$T/count" -o 'value {}'
	assert_output '0 1000'
	[ "$(lines_in "$T/count")" = 1000 ]
	for nr in {0..999}; do
		is_file "$T/crowd/$nr.out" "value $nr\n"
		is_empty "$T/crowd/$nr.err"
	done
	[ "$("$SC" ls | wc -l)" = 1000 ]
	kill_daemon
	[ "$("$SC" ls | wc -l)" = 1000 ]
}

@test "G03: two hundred callers race to start the daemon, again and again: one daemon, no error" {
	local rounds=20
	if [ "${SOAK:-0}" = 1 ]; then rounds=200; fi
	mkdir "$T/crowd"
	for ((round = 0; round < rounds; round++)); do
		run -0 crowd 200 "$T/crowd" "$SC" get k -- echo x
		assert_output '0 200'
		all_are "$T/crowd" 200 'x\n'
		wait_until '[ "$(daemon_pids | wc -l)" = 1 ]' 10 # a loser may still be on its way out
		case $((round % 3)) in
		0) kill_daemon ;; # leaves its socket
		1) "$SC" daemon stop ;;
		2) "$SC" daemon stop && rm -rf "$SC_DIR" ;;
		esac
	done
}

@test "G06: a second daemon on the same directory refuses, its callers use the first" {
	entry k 'x\n'
	local pid
	pid=$(daemon_pid)
	for _ in 1 2 3; do
		bg d "$SC" daemon run
		wait_until '! is_running d'
		[ "$(rc d)" != 0 ]
		[ "$(daemon_pids)" = "$pid" ]
	done
	run -0 --separate-stderr "$SC" get k
	assert_output x
	[ -z "$stderr" ]
}

@test "G09, G10: removed during a replay: it finishes from what it has open, with the daemon gone too" {
	mkfifo "$T/pipe"
	"$SC" get k -- flood 5M >/dev/null
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 1000 <&"$held" >"$T/first"
	"$SC" rm k
	wait_until '[ "$(objects)" = 0 ]'
	kill_daemon
	head -c $((5 * 1048576 - 1000)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 a
	cat "$T/first" "$T/rest" >"$T/all"
	is_flood "$T/all" 5M
	run -1 "$SC" get k
}

@test "G14: a failing command and a hundred waiters: all fail together with the same status, nobody runs it again in turn" {
	mkdir "$T/crowd"
	bg c crowd 100 "$T/crowd" "$SC" get k -- gate "$G"
	step "$G" out doomed
	wait_until '[ "$(cat "$T"/crowd/*.out | grep -c doomed)" = 100 ]' 60
	local start took
	start=$(now_ms)
	step "$G" exit 7
	[ "$(rc c)" = 0 ]
	took=$(($(now_ms) - start))
	is_file "$T/c.out" '7 100\n'
	for nr in {0..99}; do is_file "$T/crowd/$nr.out" 'doomed\n'; done
	[ "$(runs)" = 1 ]
	echo "took $took ms"
	[ $took -lt $((2000 * SLACK)) ]
	run -1 "$SC" get k
}

# The writer of a gate's run, held still so that it cannot register with the next daemon.
hold_writer() { WRITER=$(parent_of "$(gate_pid "${1:-$G}" 1)") && kill -STOP "$WRITER"; }

@test "G24: a newcomer asks the next daemon before the writer has registered there: it waits and joins, one run" {
	for round in {1..8}; do
		local g
		g=$(new_gate "g$round")
		bg a "$SC" get "k$round" -- gate "$g"
		step "$g" out one
		shows a 'one\n'
		hold_writer "$g"
		kill_daemon
		bg b "$SC" get "k$round" -- gate "$g"
		wait_until '[ -n "$(daemon_pid)" ]'
		if [ $((round % 2)) = 0 ]; then wait_until '[ -S "$SC_DIR/sock" ]'; fi
		kill -CONT "$WRITER"
		shows b 'one\n'
		step "$g" out two
		step "$g" exit 0
		assert_rc 0 a b
		is_file "$T/b.out" 'one\ntwo\n'
		is_empty "$T/b.err"
		[ "$(runs "$g")" = 1 ]
	done
}

@test "G24: the daemon killed and a newcomer at the same moment, many times: one run" {
	local want=''
	bg a "$SC" get k -- gate "$G"
	for round in {1..15}; do
		step "$G" out "$round"
		want+="$round\n"
		kill -9 "$(daemon_pid)"
		bg "b$round" "$SC" get k -- gate "$G"
		shows "b$round" "$want"
	done
	step "$G" exit 0
	assert_rc 0 a b{1..15}
	for n in a b{1..15}; do
		is_file "$T/$n.out" "$want"
		is_empty "$T/$n.err"
	done
	[ "$(runs)" = 1 ]
}

@test "G24: a writer that does not register in time: the newcomer leads, the old run's readers finish, the newer result stays" {
	local g2
	g2=$(new_gate g2)
	bg a "$SC" get k -- gate "$G"
	step "$G" out old
	shows a 'old\n'
	hold_writer
	kill_daemon
	bg b "$SC" get k -- gate "$g2"
	gate_up "$g2" # after three seconds
	kill -CONT "$WRITER"
	step "$g2" out new
	shows b 'new\n'
	step "$g2" exit 0
	assert_rc 0 b
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'old\n'
	run -0 "$SC" get k
	assert_output new
}

@test "G24: removed in the old daemon: the old run is not joined through the new one and not kept" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out old
	shows a 'old\n'
	"$SC" rm k
	kill_daemon
	run -1 "$SC" get k
	run -0 "$SC" get k -- echo new
	assert_output new
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'old\n'
	run -0 "$SC" get k
	assert_output new
}

@test "G24: refreshed in the old daemon: the older run, committed through the new one, does not replace the newer" {
	local g2
	g2=$(new_gate g2)
	bg a "$SC" get k -- gate "$G"
	step "$G" out old
	shows a 'old\n'
	bg b "$SC" get -r k -- gate "$g2"
	step "$g2" out new
	shows b 'new\n'
	kill_daemon
	start_daemon
	step "$g2" exit 0
	assert_rc 0 b
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output new
}

@test "G24: removed, then nothing but the end of the run after the daemon's death: nothing is kept" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out old
	shows a 'old\n'
	"$SC" rm k
	kill_daemon
	step "$G" exit 0
	assert_rc 0 a
	run -1 "$SC" get k
	wait_until nothing_kept
}
