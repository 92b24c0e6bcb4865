#!/usr/bin/env bats
# FAULTS A08, A09, A11, E03: signals from terminals, from their absence, and from those who sweep up.
load ../helper

@test "A08: a second Ctrl-C while the command cleans up: sc is gone at once, the command is seen off all the same" {
	bg p pty "$T/control" "$SC" get k -- gate "$G"
	step "$G" trap INT
	step "$G" out shown
	wait_until 'grep -q shown "$T/p.out"'
	printf 'key ^C\n' >"$T/control"
	wait_until '[ "$(cat "$G/signals")" = INT ]'
	is_running p
	printf 'key ^C\n' >"$T/control"
	local start
	start=$(now_ms)
	assert_rc 130 p
	[ $(($(now_ms) - start)) -lt $((3000 * SLACK)) ] # the command's grace is not over
	grep -q 'killed by signal 2' "$T/p.err"
	step "$G" out still # the command is not hurried
	[ "$(cat "$G/signals")" = INT ]
	step "$G" exit 0
	wait_until nothing_kept
}

@test "A09: the terminal closes: the lone leader's command gets SIGHUP, nothing is kept" {
	bg p pty "$T/control" "$SC" get k -- gate "$G"
	step "$G" trap HUP
	step "$G" out shown
	wait_until 'grep -q shown "$T/p.out"'
	printf 'close\n' >"$T/control"
	wait_until '[ "$(cat "$G/signals")" = HUP ]'
	step "$G" kill HUP
	assert_rc 129 p
	wait_until nothing_kept
}

@test "A09: the terminal of a leader with followers closes: they complete, the run is kept" {
	bg p pty "$T/control" "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k
	step "$G" out one
	shows b 'one\n'
	printf 'close\n' >"$T/control"
	assert_rc 129 p
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 b
	is_file "$T/b.out" 'one\ntwo\n'
	[ ! -s "$G/signals" ]
	run -0 "$SC" get k
	assert_output $'one\ntwo'
}

# Of the process whose pid is given.
dispositions() { awk '/^Sig(Ign|Blk)/' "/proc/$1/status"; }

@test "A09: under nohup, and with any other signal ignored or not, the command has the dispositions it would have without sc" {
	local n
	for n in 'HUP' 'INT QUIT' 'PIPE CHLD USR1' 'XFSZ TERM ALRM TSTP'; do
		rm -f "$G/runs"
		bg plain bash -c "trap '' $n; exec gate \"\$0\"" "$(new_gate plain)"
		bg a bash -c "trap '' $n; exec \"\$SC\" get 'k$n' -- gate \"\$G\""
		gate_up "$T/plain"
		gate_up
		diff <(dispositions "$(gate_pid "$T/plain")") <(dispositions "$(gate_pid)")
		step "$T/plain" exit 0
		step "$G" exit 0
		assert_rc 0 plain a
		rm "$T/plain/runs"
	done
}

@test "A09: under nohup a hangup of leader and command changes nothing" {
	bg a nohup "$SC" get k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	kill -HUP "$(pid_of a)" "$(gate_pid)"
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'one\ntwo\n'
}

@test "A11: the writer is stopped: nobody takes it for dead, --wait ends with 124; after CONT all complete, one run, kept" {
	local writer
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b "$SC" get k
	shows a 'one\n'
	shows b 'one\n'
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	step "$G" out two
	run -124 --separate-stderr "$SC" get -w 4s k -- false # longer than any patience of ours
	assert_output one
	is_running a
	is_running b
	shows a 'one\n'
	# Nor does the next daemon, which hears nothing of it.
	kill_daemon
	run -124 "$SC" get -w 1s k
	kill -CONT "$writer"
	shows a 'one\ntwo\n'
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/b.out" 'one\ntwo\n'
	is_empty "$T/a.err"
	is_empty "$T/b.err"
	run -0 "$SC" get k -- false
	assert_output $'one\ntwo'
	[ "$(runs)" = 1 ]
}

# What a CI does at the end of a job: SIGKILL for everything with its cookie in the environment.
sweep() {
	local p
	for p in /proc/[0-9]*; do
		if grep -qzxF "JOB_COOKIE=$1" "$p/environ" 2>/dev/null; then kill -9 "${p#/proc/}" || true; fi
	done
}

@test "E03: a sweeper kills leader, writer and command of one job: callers of another lead in their place, the daemon lives" {
	local pid g2
	g2=$(new_gate g2)
	bg a env JOB_COOKIE="$T" "$SC" get k -- gate "$G" # starts the daemon, too
	gate_up
	pid=$(daemon_pid)
	bg b "$SC" get k -- gate "$g2"
	bg c "$SC" get k -- gate "$g2"
	wait_until '"$SC" ps | grep -q " 3 readers"'
	sweep "$T"
	assert_rc 137 a
	dead "$(gate_pid)"
	gate_up "$g2"
	step "$g2" out one
	shows b 'one\n'
	shows c 'one\n'
	step "$g2" exit 0
	assert_rc 0 b c
	[ "$(runs "$g2")" = 1 ]
	[ "$(daemon_pids)" = "$pid" ]
	run -0 "$SC" get k -- false
	assert_output one
}

@test "E03: a sweeper kills a follower and a caller of a hit; the run goes on" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b env JOB_COOKIE="$T" "$SC" get k
	shows b 'one\n'
	sweep "$T"
	assert_rc 137 b
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'one\ntwo\n'
	is_empty "$T/a.err"
}
