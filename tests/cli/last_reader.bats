#!/usr/bin/env bats
# When nobody reads a run any more it is stopped; before that nobody's leaving is noticed.
# run: sealed too, in a soak
load ../helper

# The end of a run that was stopped: its command is dead, nothing was kept.
stopped() {
	local pid
	pid=$(gate_pid)
	wait_until "dead $pid" 30
	wait_until nothing_kept
	run -1 "$SC" get k
}

@test "the last reader closes its pipe: the command is stopped, nothing is kept, nothing is left" {
	bg_sh a '"$SC" get k -- gate "$G" | head -n 1'
	step "$G" out one
	shows a 'one\n'
	[ "$(pipe_status a)" = '141 0' ]
	stopped
	is_empty "$T/a.err"
}

@test "the last reader closes its pipe while the command prints: the same" {
	run -0 bash -c '"$SC" get k -- sh -c "echo \$\$ >>\"\$G/runs\"; exec flood 100G" | head -c 10 | wc -c; echo ${PIPESTATUS[0]}'
	assert_line --index 0 10
	assert_line --index 1 141
	stopped
}

@test "the last reader dies of a signal: the command gets that signal first" {
	for signal in TERM HUP; do
		local g
		g=$(new_gate "g$signal")
		bg a "$SC" get "k$signal" -- gate "$g"
		step "$g" trap $signal
		step "$g" out x
		shows a 'x\n'
		kill -$signal "$(pid_of a)"
		wait_until '[ "$(cat "$g/signals")" = $signal ]'
		step "$g" kill TERM
		assert_rc $((128 + $(kill -l $signal))) a
		wait_until nothing_kept
	done
}

@test "the last reader is killed with -9: the command is stopped" {
	bg a "$SC" get k -- gate "$G"
	step "$G" trap TERM
	step "$G" out x
	shows a 'x\n'
	kill -9 "$(pid_of a)"
	wait_until '[ "$(cat "$G/signals")" = TERM ]'
	step "$G" kill TERM
	stopped
}

@test "A16: a command that ignores TERM is killed five seconds later, with everything in its group" {
	local child start
	bg_sh a '"$SC" get k -- gate "$G" | head -n 1'
	step "$G" trap TERM
	step "$G" fork child
	step "$G:child" ignore TERM
	child=$(procs child "$(gate_pid)")
	[ -n "$child" ]
	start=$(now_ms)
	step "$G" out one
	[ "$(pipe_status a)" = '141 0' ]
	wait_until '[ "$(cat "$G/signals")" = TERM ]'
	wait_until 'dead $(gate_pid)' 30
	[ $(($(now_ms) - start)) -ge 4500 ]
	wait_until 'dead $child'
	stopped
}

@test "a child of the command that outlives it is killed too, when the last reader is gone" {
	local child
	bg_sh a '"$SC" get k -- gate "$G" | head -n 1'
	step "$G" fork child
	step "$G:child" ignore TERM
	child=$(procs child "$(gate_pid)")
	step "$G" out one # the command itself dies of TERM at once
	[ "$(pipe_status a)" = '141 0' ]
	stopped
	wait_until 'dead $child' 30
}

@test "the last of several readers counts: each may be the one" {
	for last in a b c; do
		local g others
		g=$(new_gate "g$last")
		bg a "$SC" get "k$last" -- gate "$g"
		gate_up "$g"
		bg b "$SC" get "k$last"
		bg c "$SC" get "k$last" -- true
		step "$g" out x
		for n in a b c; do shows $n 'x\n'; done
		for n in a b c; do
			[ $n != $last ] || continue
			kill -TERM "$(pid_of $n)"
			assert_rc 143 $n
		done
		step "$g" out y # still going on
		shows $last 'x\ny\n'
		kill -TERM "$(pid_of $last)"
		assert_rc 143 $last
		wait_until 'dead "$(gate_pid "$g")"'
		wait_until nothing_kept
	done
}

@test "a reader goes away: nobody notices" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg_sh b '"$SC" get k | head -n 1'
	bg c "$SC" get k
	step "$G" out one
	for n in a b c; do shows $n 'one\n'; done
	[ "$(pipe_status b)" = '141 0' ]
	kill -9 "$(pid_of c)"
	assert_rc 137 c
	step "$G" out two
	shows a 'one\ntwo\n'
	step "$G" exit 0
	assert_rc 0 a
	is_empty "$T/a.err"
	run -0 "$SC" get k
	assert_output $'one\ntwo'
}

@test "newcomers wait until a stopped run is dead, then start a new one, whole" {
	local first
	bg_sh a '"$SC" get k -- gate "$G" | head -n 1'
	step "$G" trap TERM
	step "$G" out old
	[ "$(pipe_status a)" = '141 0' ]
	wait_until '[ -s "$G/signals" ]'
	first=$(gate_pid)
	bg b "$SC" get k -- fails -o new -n "$T/count"
	bg c "$SC" get k -- fails -o new -n "$T/count"
	is_running b
	[ ! -e "$T/count" ] # the old one still runs
	run ! dead "$first"
	step "$G" kill TERM
	assert_rc 0 b c
	is_file "$T/b.out" 'new\n'
	is_file "$T/c.out" 'new\n'
	[ "$(lines_in "$T/count")" = 1 ]
}

@test "--finish: the run goes on without readers and is kept" {
	bg_sh a '"$SC" get --finish k -- gate "$G" | head -n 1'
	step "$G" out one
	[ "$(pipe_status a)" = '141 0' ]
	step "$G" out two
	step "$G" exit 0
	wait_until '[ "$("$SC" ls)" = k ]'
	run -0 "$SC" get k
	assert_output $'one\ntwo'
	is_empty "$G/signals"
}

@test "--finish, given by any caller ever attached, also one that left before the others" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get --finish k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	shows b 'one\n'
	kill -TERM "$(pid_of b)"
	assert_rc 143 b
	kill -TERM "$(pid_of a)"
	assert_rc 143 a
	step "$G" out two
	step "$G" exit 0
	wait_until '[ "$("$SC" ls)" = k ]'
	run -0 "$SC" get k
	assert_output $'one\ntwo'
}

@test "--finish: a later caller follows a run that nobody reads" {
	bg_sh a '"$SC" get --finish k -- gate "$G" | head -n 1'
	step "$G" out one
	[ "$(pipe_status a)" = '141 0' ]
	bg b "$SC" get k -- gate "$G"
	shows b 'one\n'
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 b
	is_file "$T/b.out" 'one\ntwo\n'
	[ "$(runs)" = 1 ]
}

@test "--finish is remembered by the next daemon, and by the run itself while none lives" {
	local way
	for way in next-daemon no-daemon; do
		local g
		g=$(new_gate "g$way")
		bg a "$SC" get "$way" -- gate "$g"
		gate_up "$g"
		bg b "$SC" get --finish "$way" -- gate "$g"
		step "$g" out one
		shows b 'one\n'
		kill -TERM "$(pid_of b)"
		assert_rc 143 b
		kill_daemon
		if [ $way = next-daemon ]; then
			start_daemon
			wait_until '"$SC" ps | grep -q "  1 reader"'
		fi
		kill -TERM "$(pid_of a)"
		assert_rc 143 a
		if [ $way = no-daemon ]; then lonely_for_long; fi
		step "$g" out two
		step "$g" exit 0
		wait_until '"$SC" ls | grep -qx $way'
		run -0 "$SC" get "$way"
		assert_output $'one\ntwo'
		is_empty "$g/signals"
	done
}

@test "the last reader leaves by a signal while no daemon lives: it goes at once, the command is stopped" {
	local signal
	for signal in INT TERM HUP; do
		local g
		g=$(new_gate "g$signal")
		bg a env --default-signal=INT,QUIT "$SC" get "k$signal" -- gate "$g"
		step "$g" trap TERM
		step "$g" out one
		shows a 'one\n'
		kill_daemon
		kill -$signal "$(pid_of a)"
		assert_rc $((128 + $(kill -l $signal))) a
		wait_until '[ -s "$g/signals" ]' 30
		step "$g" kill TERM
		wait_until nothing_kept
	done
}

@test "one of two leaves while no daemon lives: nobody notices" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b "$SC" get k
	shows b 'one\n'
	kill_daemon
	kill -TERM "$(pid_of a)"
	assert_rc 143 a
	lonely_for_long
	step "$G" out two
	shows b 'one\ntwo\n'
	step "$G" exit 0
	assert_rc 0 b
	is_empty "$G/signals"
	run -0 "$SC" get k
	assert_output $'one\ntwo'
}
