#!/usr/bin/env bats
# --linger DUR: how long the run waits, once the command has ended, for the end of what it has left its stdout or stderr to.
load ../helper

# Something left behind that holds the pipes: the gate's child.
leave_child() {
	step "$G" fork child
	step "$G" "$@"
	step "$G" exit "${STATUS:-0}"
}
end_child() { step "$G:child" exit 0; }

@test "A15: without --linger the run lasts until the end of file" {
	bg a "$SC" get k -- gate "$G"
	leave_child out one
	shows a 'one\n'
	bg clock "$SC" get --linger 1s clock -- sh -c 'sleep 1000 & echo $! >"$T/sleep"'
	assert_rc 0 clock
	is_running a
	step "$G:child" out two
	end_child
	assert_rc 0 a
	is_file "$T/a.out" 'one\ntwo\n'
	kill "$(cat "$T/sleep")"
}

@test "A15: --linger ends it so long after the command, with the command's status, for everybody; it is kept" {
	local start took
	bg a "$SC" get --linger 2s k -- gate "$G"
	gate_up
	bg b "$SC" get k
	step "$G" fork child
	step "$G" out one
	start=$(now_ms)
	step "$G" exit 0
	step "$G:child" out two # while it is still waited for
	assert_rc 0 a b
	took=$(($(now_ms) - start))
	[ $took -ge 1900 ]
	for n in a b; do is_file "$T/$n.out" 'one\ntwo\n'; done
	run -0 "$SC" get k
	assert_output $'one\ntwo'
	end_child # it was left alone
}

@test "A15: --linger: what comes too late is nobody's, and who says it is not killed" {
	bg a "$SC" get --linger 0 k -- gate "$G"
	STATUS=0 leave_child out one
	assert_rc 0 a
	step "$G:child" ignore PIPE
	step "$G:child" trap USR1
	run -0 "$SC" get k
	assert_output one
	end_child
}

@test "--linger: a failing command's status, a signal's too; not kept" {
	bg a "$SC" get --linger 0 k -- gate "$G"
	STATUS=7 leave_child err oops
	assert_rc 7 a
	is_file "$T/a.err" 'oops\n'
	end_child
	wait_until nothing_kept
	bg b "$SC" get --linger 100ms k -- gate "$G"
	gate_up "$G" 2
	step "$G" fork child
	step "$G" kill TERM
	assert_rc 143 b
	end_child
	wait_until nothing_kept
}

@test "--linger 0: all that was printed before the end is there, also a full pipe on each side" {
	# Printed by what is left behind, too: whoever has written it before the command ended.
	bg a "$SC" get --linger 0 k -- sh -c 'sleep 1000 & echo $! >"$T/sleep"; flood 300001; flood 200003 >&2'
	assert_rc 0 a
	kill "$(cat "$T/sleep")"
	is_flood "$T/a.out" 300001
	is_flood "$T/a.err" 200003
	"$SC" get k >"$T/hit.out" 2>"$T/hit.err"
	is_flood "$T/hit.out" 300001
	is_flood "$T/hit.err" 200003
}

@test "--linger 0: the same, many times, with a writer that comes late" {
	use_test_build
	local pid
	# The writer stands still while the command fills its pipe, and ends.
	bg a "$SC" get --linger 0 k -- gate "$G"
	gate_up
	pid=$(parent_of "$(gate_pid)")
	step "$G" fork child
	kill -STOP "$pid"
	step "$G" fill 200000
	step "$G" fillerr 60000
	step "$G" exit 0
	kill -CONT "$pid"
	assert_rc 0 a
	is_flood "$T/a.out" 200000
	is_flood "$T/a.err" 60000
	end_child
	for nr in {1..20}; do
		"$SC" get --linger 0 "k$nr" -- sh -c 'sleep 1000 & echo $! >"$T/sleep"; flood 100001' >"$T/out"
		kill "$(cat "$T/sleep")"
		is_flood "$T/out" 100001
	done
}

@test "--linger: what is left behind prints without end: it ends all the same" {
	local got=0
	timeout $((30 * SLACK)) "$SC" get --linger 300ms k -- sh -c 'flood 100G & echo $! >"$T/endless"; echo x >&2' >"$T/out" 2>"$T/err" || got=$?
	[ $got = 0 ]
	kill "$(cat "$T/endless")" 2>/dev/null || true
	is_file "$T/err" 'x\n'
	is_flood "$T/out" "$(stat -c %s "$T/out")"
	"$SC" get k 2>/dev/null | cmp - "$T/out"
}

@test "--linger: held by back-pressure when the time comes: every byte before it is there" {
	mkdir -m 700 "$SC_DIR"
	echo 'window = 1M' >"$SC_DIR/config"
	start_daemon
	bg a "$SC" get --linger 200ms k -- gate "$G"
	step "$G" fill 1
	wait_until '[ -s "$T/a.out" ]'
	step "$G" fork child
	kill -STOP "$(pid_of a)"
	step "$G" fill $((1048576 + 4096))
	wait_until 'grep -q futex "/proc/$(parent_of "$(gate_pid)")/wchan"' # what comes now stays in the pipe
	step "$G" fill 60000
	step "$G" exit 0
	wait_until '[ "$(flights)" = 0 ]'
	kill -CONT "$(pid_of a)"
	assert_rc 0 a
	is_flood "$T/a.out" $((1048576 + 4096 + 60001))
	end_child
}

@test "--linger: nothing holds a pipe: nobody waits, however long it is" {
	local start d
	start=$(now_ms)
	for d in 1h forever 500000000000d; do
		run -0 timeout 20 "$SC" get --linger $d "k$d" -- echo x
		assert_output x
	done
	[ $(($(now_ms) - start)) -lt $((15000 * SLACK)) ]
	# One that closes them while it is waited for.
	bg a "$SC" get --linger 1h k -- gate "$G"
	leave_child out one
	shows a 'one\n'
	end_child
	assert_rc 0 a
}

@test "--linger: a very long one is one, not none" {
	for d in forever 213503982334d; do
		bg a "$SC" get --linger $d "k$d" -- gate "$G"
		gate_up
		step "$G" fork child
		step "$G" exit 0
		step "$G:child" out late
		shows a 'late\n'
		end_child
		assert_rc 0 a
		rm "$G/runs"
	done
}

@test "--linger: the run outlives its command's end without a daemon, and is kept by the next" {
	bg a "$SC" get --linger 1s k -- gate "$G"
	step "$G" fork child
	step "$G" out one
	kill_daemon
	step "$G" exit 0
	assert_rc 0 a
	end_child
	run -0 "$SC" get k
	assert_output one
}

@test "--linger: the last reader leaves while the rest is waited for: what is left of the command is stopped" {
	local child
	bg a "$SC" get --linger 1h k -- gate "$G"
	step "$G" fork child
	child=$(procs child "$(gate_pid)")
	step "$G" out one
	step "$G" exit 0
	shows a 'one\n'
	kill -TERM "$(pid_of a)"
	assert_rc 143 a
	wait_until 'dead $child'
	wait_until nothing_kept
}

@test "--linger: the option is the leader's; a bad duration is a usage error" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get --linger 0 k -- true
	leave_child out one
	shows b 'one\n'
	bg clock "$SC" get --linger 500ms clock -- sh -c 'sleep 1000 & echo $! >"$T/sleep"'
	assert_rc 0 clock
	is_running b
	end_child
	assert_rc 0 a b
	kill "$(cat "$T/sleep")"
	run -125 "$SC" get --linger 10x l -- touch "$T/ran"
	run -125 "$SC" get --linger= l -- touch "$T/ran"
	[ ! -e "$T/ran" ]
}
