#!/usr/bin/env bats
# `sc ps`: the runs that go on, a row each, or as JSON.
load ../helper

@test "ps: runs going on, with their key, and nothing when there are none" {
	start_daemon
	run -0 --separate-stderr "$SC" ps
	refute_output --partial first-key
	bg a "$SC" get first-key -- gate "$G"
	bg b "$SC" get second-key -- gate "$(new_gate g2)"
	gate_up
	gate_up "$T/g2"
	run -0 "$SC" ps
	assert_line --partial first-key
	assert_line --partial second-key
	step "$T/g2" exit 0
	assert_rc 0 b
	run -0 "$SC" ps
	assert_line --partial first-key
	refute_line --partial second-key
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" ps
	refute_output --partial first-key
}

# The words of a key's row.
row() { "$SC" ps | awk -v key="$1" '$NF == key'; }

@test "ps: generation, state, age, bytes, rate, readers, lag, who leads, the command; oldest first, the same words in each row" {
	local fields=() other
	bg a "$SC" get k -- gate "$G"
	gate_up
	mkfifo "$T/go"
	bg_sh stuck '"$SC" get k | { read -r <"$T/go"; cat >"$T/taken"; }'
	wait_until 'row k | grep -q "  2 readers"'
	step "$G" fill 3000000
	wait_until '[ "$(cat "$T/a.out" | wc -c)" = 3000000 ]'
	other=$(new_gate other)
	bg b "$SC" get later -- gate "$other"
	gate_up "$other"
	wait_until 'row k | grep -qE "lag 0\.\.[0-9.]+M "'
	read -ra fields <<<"$(row k)"
	[ "${#fields[@]}" = 14 ]
	[[ ${fields[0]} =~ ^[0-9a-f]{8}$ ]]
	[ -f "$SC_DIR"/flights/"${fields[0]}"* ]
	[ "${fields[1]}" = running ]
	[[ ${fields[2]} =~ ^[0-9]+(ms|s|m[0-9]+s)$ ]]
	[ "${fields[3]}" = 2.9M ]
	[[ ${fields[4]} =~ ^[0-9.]+[KM]/s$ ]]
	[ "${fields[*]:5:2}" = '2 readers' ]
	[ "${fields[7]}" = lag ]
	[ "${fields[*]:9:5}" = "leader $(pid_of a) pid $(gate_pid) k" ]
	"$SC" ps | awk '{ print NF, $NF }' >"$T/rows"
	is_file "$T/rows" '14 k\n14 later\n'
	echo >"$T/go"
	step "$G" exit 0
	step "$other" exit 0
	assert_rc 0 a b stuck
}

@test "ps: a leader that is gone, a run that is stopped, one whose writer has not come back" {
	local writer
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k
	wait_until 'row k | grep -q "  2 readers"'
	kill -9 "$(pid_of a)"
	wait_until 'row k | grep -qE "  1 reader .* lag 0 .* leader - +pid $(gate_pid) "'
	step "$G" ignore TERM
	kill -TERM "$(pid_of b)"
	wait_until 'row k | grep -qE "^[0-9a-f]{8} +stopping .*  0 readers  lag - "'
	kill -KILL "$(gate_pid)"
	rc b >/dev/null
	bg c "$SC" get k -- gate "$G"
	gate_up "$G" 2
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	kill_daemon
	start_daemon
	wait_until 'row k | grep -qE "^[0-9a-f]{8} +awaited .* lag - +leader - +pid - "'
	kill -CONT "$writer"
	wait_until 'row k | grep -qE " running .* 1 reader .* lag 0 +leader - +pid $(gate_pid) "'
	step "$G" exit 0
	assert_rc 0 c
}

@test "ps never starts a daemon" {
	run -0 "$SC" ps
	no_daemon
	[ ! -e "$SC_DIR/sock" ]
}

@test "S09: ps: a key's escape sequences do not reach a terminal" {
	bg a "$SC" get $'k\e[31m\n' -- gate "$G"
	gate_up
	pty - "$SC" ps >"$T/shown"
	run -1 grep -q $'\e\[31m' "$T/shown"
	grep -qF '[31m' "$T/shown"
	step "$G" exit 0
	assert_rc 0 a
}

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
