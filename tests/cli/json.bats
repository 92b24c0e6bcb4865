#!/usr/bin/env bats
# `--json` of verbs whose plain form is tested elsewhere: one object a line, that a parser reads back.
load ../helper

@test "ps --json: what it says of a run is so; bytes, seconds, null for what is not known" {
	local hex
	run -0 --separate-stderr "$SC" ps --json
	[ -z "$output$stderr" ]
	[ ! -e "$SC_DIR/sock" ]
	bg a "$SC" get -b b $'k\n\e[31m' -- gate "$G"
	gate_up
	step "$G" out 1234
	step "$G" err 12
	shows a '1234\n'
	wait_until '"$SC" ps -b b --json | jq -e ".lag_most == 0"'
	"$SC" ps --bucket b --json >"$T/row"
	[ "$(lines_in "$T/row")" = 1 ]
	[ "$(jq -r 'keys_unsorted | join(" ")' "$T/row")" = 'key bucket generation state age bytes stderr_bytes readers lag_least lag_most leader pid command' ]
	[ "$(jq -c '[.key, .bucket, .state, .bytes, .readers, .lag_least, .lag_most]' "$T/row")" = '["k\n\u001b[31m","b","running",5,1,0,0]' ]
	hex=$(field generation "$T/row")
	[ -f "$SC_DIR/flights/$hex" ]
	[ "$(field stderr_bytes "$T/row")" = "$(stat -c %s "$SC_DIR/objects/${hex:0:2}/$hex.err")" ]
	[ "$(field leader "$T/row")" = "$(pid_of a)" ]
	[ "$(field pid "$T/row")" = "$(gate_pid)" ]
	jq -e '.age >= 0 and .age < 20' "$T/row"
	run -0 "$SC" ps --json
	assert_output ''
	step "$G" exit 0
	assert_rc 0 a
}

@test "ps --json: a run that nobody has come back for is null where nothing is known; a key of any bytes comes back" {
	local writer
	"$SC" warm $'k\xff' -- gate "$G"
	gate_up
	"$SC" ps --json >"$T/row"
	[ "$(jq -c '[.key, .key_b64, .readers, .lag_least, .lag_most, .leader]' "$T/row")" = '[null,"a/8=",0,null,null,null]' ]
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	kill_daemon
	start_daemon
	[ "$("$SC" ps --json | jq -c '[.state, .bytes, .pid]')" = '["awaited",0,null]' ]
	kill -CONT "$writer"
	wait_until '[ "$("$SC" ps --json | jq -r .state)" = running ]'
	step "$G" exit 0
	wait_until '[ "$(flights)" = 0 ]'
}

@test "S09: ps --json sends no key to a terminal as it is" {
	bg a "$SC" get $'k\e[31m\xc2\x9b31m\xff' -- gate "$G"
	bg b "$SC" get $'k\e[31m\xc2\x9b31m' -- gate "$G"
	gate_up "$G" 2
	pty - "$SC" ps --json >"$T/shown"
	[ "$(lines_in "$T/shown")" = 2 ]
	LC_ALL=C run -1 grep -qaP '\x1b|\xff|\xc2\x9b' "$T/shown"
	kill -9 $(cat "$G/runs")
	rc a >/dev/null
	rc b >/dev/null
}

@test "version --json: the build and the number of the protocol; also as --version" {
	local words
	for words in 'version --json' '--version --json' '-V --json'; do
		run -0 --separate-stderr "$SC" $words
		[ -z "$stderr" ]
		[ "$(jq -c 'keys_unsorted' <<<"$output")" = '["version","protocol"]' ]
		[ "sc $(jq -r .version <<<"$output")" = "$("$SC" version)" ]
		[ "$(jq .protocol <<<"$output")" = "$(sed -n 's/^#define SC_PROTO_VERSION //p' "$ROOT/lib/proto.h")" ]
	done
	[ "$("$SC" --version)" = "$("$SC" version)" ]
	run -2 "$SC" version --jsn
	run -2 "$SC" version x
	run -125 bash -c '"$SC" version --json >/dev/full'
	[ ! -e "$SC_DIR" ]
}
