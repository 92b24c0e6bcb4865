#!/usr/bin/env bats
# DESIGN 7: how long a result lives, and how old a one a caller accepts. Nothing here sleeps: the age of an entry is what is
# waited for.
load ../helper

counted() { # counted [OPTION…] KEY: a run of it prints its number
	"$SC" get "$@" -- sh -c 'echo run >>"$0"; wc -l <"$0"' "$T/count"
}
misses() { ! "$SC" get "$@" >/dev/null 2>&1; }

@test "a result is served until its -t is over, then the command runs again" {
	[ "$(counted -t 600ms k)" = 1 ]
	[ "$(counted k)" = 1 ]
	wait_until 'misses k'
	[ "$(counted k)" = 2 ]
}

@test "-t is also the oldest a caller accepts; others still get what is there" {
	[ "$(counted -t 1h k)" = 1 ]
	wait_until 'misses -t 300ms k'
	[ "$("$SC" get k)" = 1 ]
	[ "$(counted -t 1h k)" = 1 ]
	[ "$(counted -t 300ms k)" = 2 ]
	[ "$("$SC" get -t 1h k)" = 2 ]
}

@test "a longer -t of a later caller does not lengthen an entry's life" {
	[ "$(counted -t 300ms k)" = 1 ]
	wait_until 'misses k'
	run -1 "$SC" get -t 1h k
	run -1 "$SC" get -t forever k
}

@test "-t 0 shares a run, and neither keeps nor accepts a finished one" {
	bg a "$SC" get -t 0 k -- gate "$G"
	step "$G" out x
	shows a 'x\n'
	bg b "$SC" get -t 0 k -- gate "$G"
	shows b 'x\n'
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(runs)" = 1 ]
	run -1 "$SC" get k
	entry k 'kept\n'
	run -1 "$SC" get -t 0 k
	[ "$(counted -t 0 k)" = 1 ]
	[ "$(counted -t 0 k)" = 2 ]
}

@test "a run that kept nothing does not take a good entry away from others" {
	entry k 'kept\n'
	[ "$(counted -t 0 k)" = 1 ]
	run -0 "$SC" get k
	assert_output kept
}

@test "-t forever does not end" {
	[ "$(counted -t forever k)" = 1 ]
	[ "$(counted -t 300ms clock)" = 2 ]
	wait_until 'misses clock'
	[ "$(counted k)" = 1 ]
}

@test "the life of a result counts from the run's end, and a run going on is fresh enough for everybody" {
	bg a "$SC" get -t 2s k -- gate "$G"
	step "$G" out x
	shows a 'x\n'
	entry clock 'c\n'
	wait_until 'misses -t 2500ms clock' # so the run is older than that
	bg b "$SC" get -t 1ms k
	shows b 'x\n'
	step "$G" exit 0
	assert_rc 0 a b
	run -0 "$SC" get k
	assert_output x
}

@test "SC_TTL and ttl in config set only what I store; -t on the command line beats both" {
	SC_TTL=300ms counted k >"$T/out"
	wait_until 'misses k'
	[ "$(counted k)" = 2 ]
	wait_until 'misses -t 300ms k'
	[ "$(SC_TTL=1ms "$SC" get k)" = 2 ] # it accepts any
	SC_TTL=1ms counted -t 1h l >"$T/out"
	[ "$("$SC" get l)" = 3 ]
	"$SC" daemon stop
	echo 'ttl = 300ms' >"$SC_DIR/config"
	[ "$(counted m)" = 4 ]
	wait_until 'misses m'
	[ "$(SC_TTL=1h counted m)" = 5 ]
	[ "$(counted -t 1h n)" = 6 ]
	entry clock 'c\n'
	wait_until 'misses clock'
	[ "$("$SC" get m)" = 5 ]
	[ "$("$SC" get n)" = 6 ]
}

@test "a result is kept for an hour if nobody says otherwise" {
	"$SC" get --status-fd 3 k -- true 3>"$T/made"
	"$SC" get --status-fd 3 k 3>"$T/found"
	[ "$(field ttl "$T/found")" = 3600 ]
}

@test "--refresh makes a new result; others get the good one until it is there" {
	entry k 'old\n'
	bg a "$SC" get --refresh k -- gate "$G"
	step "$G" out new
	shows a 'new\n'
	run -0 "$SC" get k
	assert_output old
	run -0 "$SC" get k -- fails -o never
	assert_output old
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output new
}

@test "--refresh that fails leaves the good result" {
	entry k 'old\n'
	run -4 "$SC" get -r k -- fails -o bad 4
	assert_output bad
	run -0 "$SC" get k
	assert_output old
}

@test "--refresh that is left by its last reader leaves the good result" {
	entry k 'old\n'
	bg_sh a '"$SC" get -r k -- gate "$G" | head -n 1'
	step "$G" out new
	[ "$(pipe_status a)" = '141 0' ]
	wait_until 'dead $(gate_pid)'
	run -0 "$SC" get k
	assert_output old
}

@test "--refresh of nothing is a first run, and is joined" {
	bg a "$SC" get -r k -- gate "$G"
	step "$G" out x
	bg b "$SC" get k -- gate "$G"
	shows b 'x\n'
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(runs)" = 1 ]
}

@test "refreshers that meet an older run start one newer, further ones share the next: never more than two runs of a key" {
	local g1 g2 g3
	g1=$(new_gate g1) g2=$(new_gate g2) g3=$(new_gate g3)
	bg a "$SC" get k -- gate "$g1"
	step "$g1" out first
	shows a 'first\n'
	bg b "$SC" get -r k -- gate "$g2"
	step "$g2" out second # begun after b asked
	shows b 'second\n'
	bg c "$SC" get -r k -- gate "$g3"
	bg d "$SC" get -r k -- gate "$g3"
	bg e "$SC" get k
	shows e 'second\n' # the newest run is fresh enough for who does not insist
	step "$g2" exit 0
	assert_rc 0 b e
	gate_up "$g3"
	step "$g3" out third
	shows c 'third\n'
	shows d 'third\n'
	step "$g1" exit 0 # the older run ends last
	assert_rc 0 a
	is_file "$T/a.out" 'first\n'
	step "$g3" exit 0
	assert_rc 0 c d
	[ "$(runs "$g3")" = 1 ]
	run -0 "$SC" get k
	assert_output third
}

@test "an older run is never kept over a newer one" {
	local g1 g2
	g1=$(new_gate g1) g2=$(new_gate g2)
	bg a "$SC" get k -- gate "$g1"
	gate_up "$g1"
	bg b "$SC" get -r k -- gate "$g2"
	gate_up "$g2"
	step "$g2" out newer
	step "$g2" exit 0
	assert_rc 0 b
	step "$g1" out older
	step "$g1" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'older\n'
	run -0 "$SC" get k
	assert_output newer
}
