#!/usr/bin/env bats
# --atomic: nothing is printed until the run has succeeded.
# run: sealed too
load ../helper

INTERRUPTIBLE=(env --default-signal=INT,QUIT) # bash ignores them for what runs in the background

@test "--atomic: nothing is printed while it runs; then all of it, in its order, for the first caller, a follower and a hit" {
	bg_sh a '"$SC" get --atomic k -- gate "$G" 2>&1'
	gate_up
	bg_sh b '"$SC" get --atomic k 2>&1'
	bg live "$SC" get k
	step "$G" out one
	step "$G" err two
	step "$G" outn three
	step "$G" err four
	shows live 'one\nthree'
	is_empty "$T/a.out"
	is_empty "$T/b.out"
	step "$G" exit 0
	assert_rc 0 a b live
	"$SC" get --atomic k >"$T/c.out" 2>&1
	for name in a b c; do is_file "$T/$name.out" 'one\ntwo\nthreefour\n'; done
}

@test "--atomic: of a run that fails nothing of its stdout is printed, its stderr is, its status is ours" {
	bg a "$SC" get --atomic k -- gate "$G"
	gate_up
	bg b "$SC" get --atomic k
	bg live "$SC" get k
	step "$G" fill 100K
	step "$G" err why
	step "$G" fill 100K
	step "$G" err therefore
	step "$G" exit 9
	assert_rc 9 a b live
	is_flood "$T/live.out" 200K
	for name in a b; do
		is_empty "$T/$name.out"
		is_file "$T/$name.err" 'why\ntherefore\n'
	done
	run -143 --separate-stderr "$SC" get --atomic k -- fails -o lost -k 15
	assert_output ''
	run -127 --separate-stderr "$SC" get --atomic k -- no-such-command-here
	[[ $stderr == *'not found'* ]]
}

@test "--atomic: every byte of a large output, into a pipe, a file, an appended one, the middle of one" {
	"$SC" get --atomic k -- flood 100M | cmp - <(flood 100M)
	printf before >"$T/appended"
	"$SC" get --atomic k >>"$T/appended"
	{ printf before && flood 100M; } | cmp - "$T/appended"
	{ printf before && "$SC" get --atomic l -- flood 300001 && printf behind; } >"$T/middle"
	{ printf before && flood 300001 && printf behind; } | cmp - "$T/middle"
}

@test "--atomic | head: 141 and silent, when it is printed" {
	run -0 --separate-stderr bash -c '"$SC" get --atomic k -- flood 5M | head -c 3 | wc -c; echo "${PIPESTATUS[0]}"'
	assert_line --index 0 3
	assert_line --index 1 141
	[ -z "$stderr" ]
	run -0 bash -c '"$SC" get --atomic k | head -c 3 | wc -c; echo "${PIPESTATUS[0]}"'
	assert_line --index 1 141
}

@test "--atomic: a pipe that nobody reads any more is noticed while it runs" {
	bg_sh a '"$SC" get --atomic k -- gate "$G" | true'
	gate_up
	[ "$(pipe_status a)" = '141 0' ]
	wait_until 'dead $(gate_pid)' 30
	wait_until nothing_kept
}

@test "--atomic: a signal while it runs: nothing is printed" {
	local signal
	for signal in INT TERM HUP; do
		local g
		g=$(new_gate "g$signal")
		bg a "${INTERRUPTIBLE[@]}" "$SC" get --atomic "k$signal" -- gate "$g"
		step "$g" fill 1M
		kill -$signal "$(pid_of a)"
		assert_rc $((128 + $(kill -l $signal))) a
		is_empty "$T/a.out"
		wait_until 'dead $(gate_pid "$g")' 30
	done
	wait_until nothing_kept
}

@test "--atomic: the writer dies in the middle: nothing was printed, so the run is made anew, and only that is shown" {
	bg a "$SC" get --atomic k -- gate "$G"
	gate_up
	bg b "$SC" get --atomic k -- gate "$G"
	step "$G" out first
	step "$G" err first
	kill -9 "$(parent_of "$(gate_pid)")"
	gate_up "$G" 2
	step "$G" out second
	step "$G" exit 0
	assert_rc 0 a b
	for name in a b; do
		is_file "$T/$name.out" 'second\n'
		is_empty "$T/$name.err"
	done
	[ "$(runs)" = 2 ]
}

@test "--atomic: a full stdout: 125 with a message; the run is kept" {
	local got=0
	"$SC" get --atomic k -- flood 1M >/dev/full 2>"$T/err" || got=$?
	[ $got = 125 ]
	is_message "$T/err" 'space'
	"$SC" get k >"$T/kept"
	is_flood "$T/kept" 1M
}

@test "--atomic: the end of a silent run without a daemon is seen, too" {
	bg a "$SC" get --atomic k -- gate "$G"
	step "$G" out x
	kill_daemon
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'x\n'
}

@test "--atomic in a bypass: the same meaning" {
	export SC_DISABLE=1
	run -3 --separate-stderr "$SC" get --atomic k -- fails -o lost -e why 3
	assert_output ''
	[ "$stderr" = why ]
	run -143 --separate-stderr "$SC" get --atomic k -- fails -o lost -k 15
	assert_output ''
	run -127 --separate-stderr "$SC" get --atomic k -- no-such-command-here
	bg a "$SC" get --atomic --status-fd 7 k -- gate "$G" 7>"$T/status"
	step "$G" fill 3M
	is_empty "$T/a.out"
	step "$G" exit 0
	assert_rc 0 a
	is_flood "$T/a.out" 3M
	[ "$(field source "$T/status") $(field exit "$T/status") $(field bytes "$T/status")" = 'bypass 0 3145728' ]
	run -0 bash -c '"$SC" get --atomic k -- flood 5M | head -c 3 | wc -c; echo "${PIPESTATUS[0]}"'
	assert_line --index 1 141
	printf before >"$T/appended"
	"$SC" get --atomic k -- echo x >>"$T/appended"
	is_file "$T/appended" 'beforex\n'
}

@test "--atomic in a bypass: stdin is /dev/null, the caller's signals are the command's" {
	mkdir -m 777 "$T/bad"
	chmod 777 "$T/bad"
	export SC_DIR=$T/bad
	run -0 --separate-stderr "$SC" get --atomic k -- readlink /proc/self/fd/0
	assert_output /dev/null
	[[ $stderr == *directly* ]]
	run -0 env --ignore-signal=CHLD,HUP "$SC" get -q --atomic k -- grep SigIgn /proc/self/status
	[ $((0x${output##*	} & 0x10001)) = $((0x10001)) ]
	run -0 "$SC" get -q --atomic k -- grep SigBlk /proc/self/status
	assert_output --regexp 'SigBlk:.0000000000000000$'
	run -5 env --ignore-signal=CHLD "$SC" get -q --atomic k -- fails 5
	export SC_DIR=$T/cache
}

@test "--atomic in a bypass: a TERM is passed on; nothing is printed" {
	bg a env SC_DISABLE=1 "$SC" get --atomic k -- gate "$G"
	step "$G" trap TERM
	step "$G" out x
	kill -TERM "$(pid_of a)"
	wait_until '[ "$(cat "$G/signals")" = TERM ]'
	is_running a
	step "$G" kill TERM
	assert_rc 143 a
	is_empty "$T/a.out"
}

@test "--atomic in a bypass: no room to keep the output: 125, before anything is started" {
	run -125 --separate-stderr bash -c 'ulimit -f 0; SC_DISABLE=1 exec "$SC" get --atomic k -- touch "$T/ran" 2>&1 | cat; exit ${PIPESTATUS[0]}'
	assert_output --partial 'no room'
	[ ! -e "$T/ran" ]
}
