#!/usr/bin/env bats
# A daemon that was killed or stopped is not missed: entries stay, runs go on, newcomers join them through the next one.
# run: sealed too
load ../helper

@test "after kill -9 of the daemon every finished entry is still a hit, at once, without a message" {
	for nr in {1..50}; do entry "k$nr" "value $nr\n"; done
	kill_daemon
	for nr in {1..50}; do
		"$SC" get "k$nr" -- false >"$T/out" 2>"$T/err"
		is_file "$T/out" "value $nr\n"
		is_empty "$T/err"
	done
	run -0 "$SC" ls
	[ "${#lines[@]}" = 50 ]
}

@test "an entry is a hit after kill -9 right behind its run's end" {
	for nr in {1..15}; do
		entry "k$nr" "value $nr\n"
		kill_daemon
		run -0 "$SC" get "k$nr"
		assert_output "value $nr"
	done
}

@test "a run in progress goes on when the daemon is killed, is joined through the new one, and kept: one run" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	kill_daemon
	step "$G" out two
	shows a 'one\ntwo\n'
	bg b "$SC" get k -- gate "$G"
	shows b 'one\ntwo\n'
	bg c "$SC" get k
	step "$G" out three
	shows c 'one\ntwo\nthree\n'
	step "$G" exit 0
	assert_rc 0 a b c
	for n in a b c; do
		is_file "$T/$n.out" 'one\ntwo\nthree\n'
		is_empty "$T/$n.err"
	done
	run -0 "$SC" get k
	assert_output $'one\ntwo\nthree'
	[ "$(runs)" = 1 ]
}

@test "a run whose daemon was killed ends and is kept, although nobody else called meanwhile" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	kill_daemon
	step "$G" exit 0
	assert_rc 0 a
	is_empty "$T/a.err"
	run -0 "$SC" get k -- false
	assert_output one
}

@test "a failing run whose daemon was killed: its status for everybody, not kept" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b "$SC" get k
	shows b 'one\n'
	kill_daemon
	step "$G" exit 6
	assert_rc 6 a b
	run -1 "$SC" get k
	wait_until nothing_kept
}

@test "the daemon killed again and again under a run: one run, whole, kept" {
	bg a "$SC" get k -- gate "$G"
	local want=''
	for nr in {1..12}; do
		step "$G" out "line $nr"
		want+="line $nr\n"
		bg "b$nr" "$SC" get k
		shows "b$nr" "$want"
		kill_daemon
	done
	step "$G" exit 0
	assert_rc 0 a b{1..12}
	for n in a b{1..12}; do is_file "$T/$n.out" "$want"; done
	run -0 "$SC" get k
	[ "${#lines[@]}" = 12 ]
	[ "$(runs)" = 1 ]
}

# five_go_on CMD: five runs whose daemon CMD takes away.
five_go_on() {
	for nr in 1 2 3 4 5; do
		bg "a$nr" "$SC" get "k$nr" -- gate "$(new_gate "g$nr")"
		step "$T/g$nr" out one
		shows "a$nr" 'one\n'
	done
	"$@"
	wait_until no_daemon
	for nr in 1 2 3 4 5; do
		bg "b$nr" "$SC" get "k$nr" -- false
		shows "b$nr" 'one\n'
		step "$T/g$nr" out two
		step "$T/g$nr" exit 0
	done
	assert_rc 0 a{1..5} b{1..5}
	for nr in 1 2 3 4 5; do
		is_file "$T/a$nr.out" 'one\ntwo\n'
		is_file "$T/b$nr.out" 'one\ntwo\n'
		is_empty "$T/a$nr.err"
		is_empty "$T/b$nr.err"
		[ "$(runs "$T/g$nr")" = 1 ]
		run -0 "$SC" get "k$nr" -- false
		assert_output $'one\ntwo'
	done
}

@test "A26: daemon stop --now with five runs: it goes at once, they go on, register with the next, and are kept" {
	five_go_on "$SC" daemon stop --now
}

terminate_daemon() { kill -TERM "$(daemon_pid)"; }

@test "A26: SIGTERM of the daemon with five runs: it goes at once, they register with the next, and are kept" {
	five_go_on terminate_daemon
}

@test "the last reader leaves while no daemon lives: the command is stopped all the same" {
	bg_sh a '"$SC" get k -- gate "$G" | head -n 1'
	gate_up
	kill_daemon
	step "$G" out one
	[ "$(pipe_status a)" = '141 0' ]
	wait_until 'dead $(gate_pid)' 30
	wait_until nothing_kept
}
