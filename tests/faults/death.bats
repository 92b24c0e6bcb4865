#!/usr/bin/env bats
# FAULTS A: processes that die or stop.
load ../helper

@test "A02: the leader is killed after LEAD, before there is a writer: exactly one of the waiters leads again, all get everything" {
	use_test_build
	start_daemon
	for round in {1..20}; do
		mkdir "$T/crowd$round"
		bg killed env SC_KILLAT=lead_granted:1 "$SC" get "k$round" -- fails -n "$T/count$round" -o out
		run -0 crowd 10 "$T/crowd$round" "$SC" get "k$round" -- fails -n "$T/count$round" -o out
		assert_output '0 10'
		# The doomed client was granted the lead in most rounds; where it came late it had a hit.
		[[ $(rc killed) =~ ^(137|0)$ ]]
		for nr in {0..9}; do
			is_file "$T/crowd$round/$nr.out" 'out\n'
			is_empty "$T/crowd$round/$nr.err"
		done
		[ "$(lines_in "$T/count$round")" = 1 ]
	done
}

@test "A02: a leader killed after LEAD leaves nothing behind: the next caller leads at once" {
	use_test_build
	SC_KILLAT=lead_granted:1 run -137 "$SC" get k -- fails -n "$T/count"
	run -0 timeout 5 "$SC" get k -- fails -n "$T/count" -o x
	assert_output x
	[ "$(lines_in "$T/count")" = 1 ]
	[ "$(flights)" = 0 ]
}

@test "A01: a client killed before it reaches the daemon: no entry, no run" {
	use_test_build
	SC_KILLAT=cli_start:1 run -137 "$SC" get k -- fails -n "$T/count"
	[ ! -e "$T/count" ]
	run -1 "$SC" get k
}

@test "A03: the leader is killed with SIGKILL in the middle: the others get everything, the entry is kept, one run" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k -- gate "$G"
	bg c "$SC" get k
	step "$G" fill 500K
	for n in a b c; do wait_until "[ \"\$(stat -c %s '$T/$n.out')\" = 512000 ]"; done
	kill -9 "$(pid_of a)"
	assert_rc 137 a
	step "$G" fill 500K
	step "$G" exit 0
	assert_rc 0 b c
	is_flood "$T/b.out" 1000K
	is_flood "$T/c.out" 1000K
	"$SC" get k >"$T/d.out"
	is_flood "$T/d.out" 1000K
	[ "$(runs)" = 1 ]
}

@test "A04: SIGTERM of a lone leader stops the command, of one with followers or --finish it does not" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out x
	shows a 'x\n'
	kill -TERM "$(pid_of a)"
	assert_rc 143 a
	wait_until 'dead "$(gate_pid)"'
	wait_until nothing_kept
	bg a "$SC" get --finish l -- gate "$G"
	gate_up "$G" 2
	kill -TERM "$(pid_of a)"
	assert_rc 143 a
	step "$G" exit 0
	wait_until '[ "$("$SC" ls)" = l ]'
}

@test "A05: Ctrl-C on a lone leader: the command gets SIGINT once, sc waits for it and dies of SIGINT, a shell's loop stops" {
	bg p pty "$T/control" bash -c 'for nr in 1 2 3; do "$SC" get "k$nr" -- gate "$G"; echo "behind $nr"; done'
	step "$G" trap INT
	step "$G" out shown
	wait_until 'grep -q shown "$T/p.out"'
	printf 'key ^C\n' >"$T/control"
	wait_until '[ -s "$G/signals" ]'
	is_running p # the command is not dead yet
	step "$G" out still
	is_running p
	step "$G" kill INT
	assert_rc 130 p
	grep -q 'killed by signal 2' "$T/p.err"
	run -1 grep -q behind "$T/p.out"
	[ "$(cat "$G/signals")" = INT ]
	[ "$(runs)" = 1 ]
	wait_until nothing_kept
}

@test "A05: Ctrl-C on a lone leader whose command does not catch it: nothing is left" {
	bg p pty "$T/control" bash -c '"$SC" get k -- gate "$G"; echo behind'
	step "$G" out shown
	wait_until 'grep -q shown "$T/p.out"'
	printf 'key ^C\n' >"$T/control"
	assert_rc 130 p
	dead "$(gate_pid)"
	wait_until nothing_kept
}

@test "A06: Ctrl-C on a leader with followers: it leaves at once and says for whom the run goes on; they complete" {
	bg p pty "$T/control" "$SC" get k -- gate "$G"
	gate_up
	for n in a b c; do bg $n "$SC" get k; done
	step "$G" out one
	for n in a b c; do shows $n 'one\n'; done
	printf 'key ^C\n' >"$T/control"
	assert_rc 130 p
	grep -q 'still running for 3 others' "$T/p.out"
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a b c
	for n in a b c; do is_file "$T/$n.out" 'one\ntwo\n'; done
	[ ! -s "$G/signals" ]
}

@test "A07: Ctrl-C on a follower ends only that follower" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg p pty "$T/control" "$SC" get k
	step "$G" out one
	wait_until 'grep -q one "$T/p.out"'
	printf 'key ^C\n' >"$T/control"
	assert_rc 130 p
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'one\ntwo\n'
}

@test "A10: the leader is stopped and continued: followers are unaffected, then it prints the rest" {
	bg a "$SC" get k -- gate "$G"
	step "$G" fill 100K
	bg b "$SC" get k
	wait_until '[ "$(stat -c %s "$T/a.out")" = 102400 ]'
	kill -STOP "$(pid_of a)"
	step "$G" fill 300K
	step "$G" exit 0
	assert_rc 0 b
	is_flood "$T/b.out" 400K
	kill -CONT "$(pid_of a)"
	assert_rc 0 a
	is_flood "$T/a.out" 400K
}

@test "A14: a command killed by SIGKILL: everybody gets the bytes so far, 137, and is told; not cached" {
	bg a "$SC" get k -- gate "$G"
	step "$G" outn partial
	bg b "$SC" get k
	shows a partial
	shows b partial
	step "$G" kill KILL
	assert_rc 137 a b
	for n in a b; do
		is_file "$T/$n.out" partial
		grep -q 'command killed by signal 9' "$T/$n.err"
	done
	run -1 "$SC" get k
	wait_until nothing_kept
}

@test "A15: a grandchild that keeps stdout open: the run lasts until end of file, as with \$(…)" {
	bg a "$SC" get k -- gate "$G"
	step "$G" fork child
	step "$G" out one
	step "$G" exit 0
	shows a 'one\n'
	bg b "$SC" get k
	shows b 'one\n'
	is_running a
	step "$G:child" out two
	shows a 'one\ntwo\n'
	shows b 'one\ntwo\n'
	step "$G:child" exit 0
	assert_rc 0 a b
	run -0 "$SC" get k
	assert_output $'one\ntwo'
}

@test "A17: a command that closes stdout early and runs on: its status is awaited" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	step "$G" close out
	step "$G" close err
	shows a 'one\n'
	step "$G" trap USR1
	is_running a
	step "$G" exit 3
	assert_rc 3 a
}

@test "A18: a thousand followers are killed with SIGKILL: nobody notices, the daemon holds no more descriptors" {
	use_test_build
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	bg b "$SC" get k
	shows b 'one\n'
	local pid before
	pid=$(daemon_pid)
	before=$(fd_count "$pid")
	run -0 timeout $((120 * SLACK)) killer 1000 "$SC" get k
	[ "$(daemon_pids)" = "$pid" ]
	wait_until '[ "$(fd_count "$pid")" -le "$before" ]'
	step "$G" out two
	shows b 'one\ntwo\n'
	step "$G" exit 0
	assert_rc 0 a b
	is_empty "$T/a.err"
	is_empty "$T/b.err"
	[ "$(runs)" = 1 ]
}

@test "A21: a closed stdout ends silently with 141: a leader's, others read on and notice nothing" {
	bg_sh a '"$SC" get k -- gate "$G" | head -n 1'
	gate_up
	bg b "$SC" get k
	step "$G" out one
	shows b 'one\n'
	[ "$(pipe_status a)" = '141 0' ]
	is_empty "$T/a.err"
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 b
	is_file "$T/b.out" 'one\ntwo\n'
	is_empty "$T/b.err"
	[ ! -s "$G/signals" ]
	run -0 "$SC" get k
	assert_output $'one\ntwo'
}

@test "A21: a closed stdout ends silently with 141: a follower's, the leader notices nothing" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg_sh b '"$SC" get k | head -n 1'
	step "$G" out one
	[ "$(pipe_status b)" = '141 0' ]
	is_empty "$T/b.err"
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'one\ntwo\n'
	is_empty "$T/a.err"
}

@test "A21: a closed stdout ends silently with 141: the last reader's stops the command, with --finish the run is kept" {
	bg_sh a '"$SC" get k -- gate "$G" | head -n 1'
	step "$G" out one
	[ "$(pipe_status a)" = '141 0' ]
	is_empty "$T/a.err"
	wait_until 'dead "$(gate_pid)"'
	wait_until nothing_kept
	bg_sh a '"$SC" get --finish k -- gate "$G" | head -n 1'
	gate_up "$G" 2
	step "$G" out one
	[ "$(pipe_status a)" = '141 0' ]
	step "$G" exit 0
	wait_until '[ "$("$SC" ls)" = k ]'
}

@test "A22: the daemon is killed while idle: a hundred concurrent calls just work, without a message" {
	mkdir "$T/one" "$T/two"
	entry k 'x\n'
	kill_daemon
	run -0 crowd 100 "$T/one" "$SC" get k -- false
	assert_output '0 100'
	[ "$(daemon_pids | wc -l)" = 1 ]
	kill_daemon
	run -0 crowd 100 "$T/two" "$SC" get 'new{}' -- echo x
	assert_output '0 100'
	for nr in {0..99}; do
		for d in one two; do
			is_file "$T/$d/$nr.out" 'x\n'
			is_empty "$T/$d/$nr.err"
		done
	done
	[ "$(daemon_pids | wc -l)" = 1 ]
}

@test "A23: the daemon is killed at random points of many runs: every stream completes and is kept, one run each" {
	mkdir "$T/crowd"
	local seed=$RANDOM rounds=12
	if [ "${SOAK:-0}" = 1 ]; then rounds=200; fi
	echo "seed $seed"
	RANDOM=$seed
	for ((round = 0; round < rounds; round++)); do
		mkdir "$T/crowd/$round"
		bg c crowd 12 "$T/crowd/$round" sh -c '"$SC" get "$0" -- sh -c "echo run >>\"$T/count-$0\"; flood 40K; flood -s 40K 60K"' "k$round-{}"
		wait_until '[ -e "$T/crowd/$round/begun" ]'
		for ((nr = RANDOM % 400; nr > 0; nr--)); do :; done
		pid=$(daemon_pid)
		if [ -n "$pid" ]; then kill -9 "$pid" || true; fi
		assert_rc 0 c
		is_file "$T/c.out" '0 12\n'
		for nr in {0..11}; do
			is_flood "$T/crowd/$round/$nr.out" 100K
			is_empty "$T/crowd/$round/$nr.err"
			[ "$(lines_in "$T/count-k$round-$nr")" = 1 ]
			"$SC" get "k$round-$nr" | cmp - "$T/crowd/$round/$nr.out"
		done
		rm -r "$T/crowd/$round"
	done
}

@test "A23: the writer dies before it has registered with the next daemon: readers that are back there are told" {
	bg a "$SC" get --strict k -- gate "$G"
	gate_up
	bg b "$SC" get --strict k -- gate "$G"
	step "$G" out one
	for n in a b; do shows $n 'one\n'; done
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	kill_daemon
	start_daemon
	wait_until '"$SC" ps | grep -q " 2 readers "'
	kill -9 "$writer"
	assert_rc 125 a b
	for n in a b; do
		is_file "$T/$n.out" 'one\n'
		is_message "$T/$n.err" 'died: output is incomplete after 4 good bytes'
	done
	[ "$(runs)" = 1 ]
	wait_until nothing_kept
}

@test "A25: the daemon is stopped with SIGSTOP: bypass after two seconds of silence, with one line" {
	entry k 'x\n'
	local start took pid
	pid=$(daemon_pid)
	kill -STOP "$pid"
	start=$(now_ms)
	run -5 --separate-stderr timeout $((20 * SLACK)) "$SC" get k -- sh -c 'echo direct; exit 5'
	took=$(($(now_ms) - start))
	assert_output direct
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'daemon (is )?not answering'
	[ $took -ge 1900 ]
	[ $took -le $((8000 * SLACK)) ]
	run -125 --separate-stderr timeout $((20 * SLACK)) "$SC" get --strict k -- touch "$T/ran"
	[ ! -e "$T/ran" ]
	run -125 timeout $((20 * SLACK)) "$SC" get k
	kill -CONT "$pid"
	run -0 --separate-stderr "$SC" get k
	assert_output x
	[ -z "$stderr" ]
	[ "$(daemon_pid)" = "$pid" ]
}

@test "A13: a writer whose run the next daemon does not take back ends for its readers, and costs that daemon nothing" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	kill_daemon
	rm "$SC_DIR"/objects/*/*.err
	"$SC" daemon start
	local pid before
	pid=$(daemon_pid)
	wait_until 'grep -q event=register-refused "$SC_DIR/scd.log"'
	before=$(fd_count "$pid")
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'one\ntwo\n'
	[ "$(grep -c event=register-refused "$SC_DIR/scd.log")" = 1 ]
	[ "$(fd_count "$pid")" -le "$((before + 2))" ]
	wait_until '[ -z "$(ls "$SC_DIR/flights")" ]'
}

@test "A08: a second Ctrl-C while the command tidies up: it ends at once; the command is stopped all the same" {
	bg p pty "$T/control" "$SC" get k -- gate "$G"
	step "$G" trap INT
	step "$G" out shown
	wait_until 'grep -q shown "$T/p.out"'
	printf 'key ^C\n' >"$T/control"
	wait_until '[ -s "$G/signals" ]'
	is_running p
	printf 'key ^C\n' >"$T/control"
	assert_rc 130 p
	kill -0 "$(gate_pid)" # it has its five seconds
	is_file "$G/signals" 'INT\n'
	step "$G" kill INT
	wait_until nothing_kept
}

@test "A09: the terminal closes: the command of a lone leader gets HUP, one with followers goes on" {
	bg p pty "$T/control" "$SC" get k -- gate "$G"
	step "$G" trap HUP
	step "$G" out shown
	wait_until 'grep -q shown "$T/p.out"'
	printf 'close\n' >"$T/control"
	wait_until '[ -s "$G/signals" ]'
	step "$G" kill HUP
	assert_rc 129 p
	is_file "$G/signals" 'HUP\n'
	wait_until nothing_kept
	bg p pty "$T/control" "$SC" get l -- gate "$G"
	gate_up "$G" 2
	bg f "$SC" get l
	step "$G" out one
	shows f 'one\n'
	printf 'close\n' >"$T/control"
	assert_rc 129 p
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 f
	is_file "$T/f.out" 'one\ntwo\n'
}

@test "A09: under nohup the end of the terminal ends nobody; the command finds HUP ignored, and only HUP" {
	ignored() { echo $((16#$(awk '/^SigIgn/ { print $2 }' "/proc/$(gate_pid)/status"))); }
	bg p pty "$T/control" bash -c 'nohup "$SC" get k -- gate "$G" >"$T/out" 2>"$T/err" & wait'
	step "$G" out one
	[ $(($(ignored) & 1)) = 1 ]
	[ $(($(ignored) & 2)) = 0 ] || [ $(($(ignored) & 6)) = 6 ] # INT and QUIT as the shell leaves them in the background
	printf 'close\n' >"$T/control"
	rc p
	step "$G" out two
	step "$G" exit 0
	wait_until 'is_file "$T/out" "one\ntwo\n" 2>/dev/null'
	run -0 "$SC" get k
	assert_output $'one\ntwo'
	is_empty "$G/signals"
	# Without nohup it is not ignored.
	bg a "$SC" get l -- gate "$G"
	gate_up "$G" 2
	[ $(($(ignored) & 1)) = 0 ]
	step "$G" exit 0
	assert_rc 0 a
}

@test "A10: Ctrl-Z of the leader: the command and followers go on; after fg it prints the rest" {
	bg p pty "$T/control" bash -c 'set -m; "$SC" get k -- gate "$G"; echo "stopped $?"; read -r; fg >/dev/null; echo "ended $?"'
	step "$G" fill 10
	wait_until '[ -s "$T/p.out" ]'
	bg f "$SC" get k
	printf 'key ^Z\n' >"$T/control"
	wait_until 'grep -q "stopped 148" "$T/p.out"'
	step "$G" out two
	step "$G" err oops
	step "$G" exit 3
	assert_rc 3 f
	run -1 grep -q two "$T/p.out"
	printf 'type\n' >"$T/control"
	wait_until 'grep -q "ended 3" "$T/p.out"'
	rc p
	grep -q 'two$' "$T/p.out"
	grep -q 'oops$' "$T/p.out"
	[ "$(runs)" = 1 ]
	is_empty "$G/signals"
}

@test "A10: TSTP and CONT of a follower: the leader is unaffected, no byte of it is lost" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg f "$SC" get k
	step "$G" fill 100K
	wait_until '[ "$(stat -c %s "$T/f.out")" = 102400 ]'
	kill -TSTP "$(pid_of f)"
	wait_until 'grep -q "^State:.T" "/proc/$(pid_of f)/status"'
	step "$G" fill 300K
	wait_until '[ "$(stat -c %s "$T/a.out")" = 409600 ]'
	kill -CONT "$(pid_of f)"
	wait_until '[ "$(stat -c %s "$T/f.out")" = 409600 ]'
	kill -TSTP "$(pid_of f)"
	step "$G" fill 1M
	step "$G" exit 0
	assert_rc 0 a
	kill -CONT "$(pid_of f)"
	assert_rc 0 f
	is_flood "$T/f.out" $((1400 * 1024 + 24 * 1024))
}

@test "A11: the writer is stopped: no false death, --wait is over after its time; after CONT all complete" {
	local writer
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get -w 2s k
	step "$G" out one
	shows a 'one\n'
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	step "$G" out two
	assert_rc 124 b
	bg c "$SC" get k
	shows c 'one\n'
	kill -CONT "$writer"
	step "$G" exit 0
	assert_rc 0 a c
	is_file "$T/a.out" 'one\ntwo\n'
	is_file "$T/c.out" 'one\ntwo\n'
	[ "$(runs)" = 1 ]
}

@test "A12: Ctrl-C of a client that waits for an answer after a lost run ends it at once" {
	local signal printed
	for signal in INT TERM HUP; do
		for printed in yes no; do
			local g key=$signal.$printed
			g=$(new_gate "g$key")
			bg a "$SC" get "$key" -- gate "$g"
			gate_up "$g"
			bg f env --default-signal=INT,QUIT "$SC" get -v "$key"
			wait_until '"$SC" ps | grep -q "  2 readers"'
			if [ $printed = yes ]; then
				step "$g" out one
				shows f 'one\n'
			fi
			# It is waited for: it could lead again.
			kill -STOP "$(pid_of a)"
			kill -9 "$(parent_of "$(gate_pid "$g")")"
			wait_until 'grep -q "waiting for somebody" "$T/f.err"'
			kill -$signal "$(pid_of f)"
			assert_rc $((128 + $(kill -l $signal))) f
			kill -CONT "$(pid_of a)"
			gate_up "$g" 2
			if [ $printed = yes ]; then step "$g" out one; fi
			step "$g" exit 0
			assert_rc 0 a
		done
	done
}
