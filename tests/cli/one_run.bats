#!/usr/bin/env bats
# The main job: one run, many live readers, later hits.
# run: sealed too
load ../helper

@test "one run: every caller prints the output while it is still being produced, and the next caller gets it from the cache" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k -- gate "$G"
	bg c "$SC" get k -- gate "$G"
	bg d "$SC" get k # without a command it follows just the same
	for nr in 1 2 3 4; do
		step "$G" out "line $nr"
		for n in a b c d; do
			wait_until "[ \"\$(tail -n 1 '$T/$n.out')\" = 'line $nr' ]" # before the next step
			is_running $n
		done
	done
	step "$G" exit 0
	assert_rc 0 a b c d
	for n in a b c d; do
		is_file "$T/$n.out" 'line 1\nline 2\nline 3\nline 4\n'
		is_empty "$T/$n.err"
	done
	run -0 --separate-stderr "$SC" get k -- gate "$G"
	assert_output $'line 1\nline 2\nline 3\nline 4'
	[ -z "$stderr" ]
	[ "$(runs)" = 1 ]
}

@test "one run: who comes in the middle gets the output from its first byte" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	step "$G" outn two
	shows a 'one\ntwo'
	bg b "$SC" get k -- gate "$G"
	shows b 'one\ntwo'
	step "$G" out three
	shows a 'one\ntwothree\n'
	shows b 'one\ntwothree\n'
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(runs)" = 1 ]
}

@test "one run: single bytes arrive as they are printed, through pipes too" {
	bg_sh a '"$SC" get k -- gate "$G" | cat'
	gate_up
	bg_sh b '"$SC" get k | cat | cat'
	for text in a ab abc abcd; do
		step "$G" outn "${text: -1}"
		shows a "$text"
		shows b "$text"
	done
	step "$G" exit 0
	assert_rc 0 a b
}

@test "G22: keys do not share runs, whatever their commands; one key does" {
	local g1 g2
	g1=$(new_gate g1) g2=$(new_gate g2)
	bg a "$SC" get a -- gate "$g1"
	bg b "$SC" get b -- gate "$g2"
	gate_up "$g1"
	gate_up "$g2"
	bg c "$SC" get a -- gate "$g2" # the key alone decides
	step "$g1" out first
	step "$g2" out second
	shows a 'first\n'
	shows b 'second\n'
	shows c 'first\n'
	step "$g1" exit 0
	step "$g2" exit 0
	assert_rc 0 a b c
	[ "$(runs "$g1")" = 1 ]
	[ "$(runs "$g2")" = 1 ]
}

@test "one run: a hundred callers at once of a real command, one run, equal outputs" {
	mkdir "$T/crowd"
	run -0 crowd 100 "$T/crowd" "$SC" get k -- sh -c 'echo run >>"$0"; flood 300K' "$T/count"
	assert_output '0 100'
	[ "$(lines_in "$T/count")" = 1 ]
	flood 300K >"$T/want"
	for nr in {0..99}; do
		cmp "$T/want" "$T/crowd/$nr.out"
		is_empty "$T/crowd/$nr.err"
	done
}

@test "one run: readers read on while the daemon does nothing, or is gone" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b "$SC" get k
	shows b 'one\n'
	kill -STOP "$(daemon_pid)"
	step "$G" out two
	shows a 'one\ntwo\n'
	shows b 'one\ntwo\n'
	kill_daemon
	step "$G" out three
	shows a 'one\ntwo\nthree\n'
	shows b 'one\ntwo\nthree\n'
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(runs)" = 1 ]
}

@test "one run: a slow reader slows nobody" {
	mkfifo "$T/pipe"
	bg_sh slow '"$SC" get k -- gate "$G" >"$T/pipe"'
	exec {held}<>"$T/pipe" # nobody reads it
	gate_up
	bg a "$SC" get k
	step "$G" fill 4M
	wait_until '[ "$(stat -c %s "$T/a.out")" = 4194304 ]'
	step "$G" exit 0
	assert_rc 0 a
	is_running slow
	is_flood "$T/a.out" 4M
	head -c 4194304 <"$T/pipe" >"$T/late"
	exec {held}>&-
	assert_rc 0 slow
	is_flood "$T/late" 4M
}

@test "one run: the first caller is only a reader: it leaves and the others go on" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b "$SC" get k -- gate "$G"
	shows a 'one\n'
	shows b 'one\n'
	kill -TERM "$(pid_of a)"
	assert_rc 143 a
	step "$G" out two
	shows b 'one\ntwo\n'
	step "$G" exit 0
	assert_rc 0 b
	run -0 "$SC" get k
	assert_output $'one\ntwo'
	[ "$(runs)" = 1 ]
}
