#!/usr/bin/env bats
# `sc ls` and `sc ps` in their plain form.
load ../helper

@test "ls: finished entries, bytewise by key, one a line, no header" {
	run -0 "$SC" ls
	assert_output ''
	for k in b a B ä aa 'a b' _ 10 9; do entry "$k" 'x\n'; done
	"$SC" ls >"$T/got"
	printf '%s\n' b a B ä aa 'a b' _ 10 9 | LC_ALL=C sort >"$T/want"
	diff "$T/want" "$T/got"
	LC_ALL=C.UTF-8 "$SC" ls | diff "$T/want" -
}

@test "ls PREFIX: only keys that begin with it, taken literally" {
	for k in ab abc a% a%b b; do entry "$k" 'x\n'; done
	run -0 "$SC" ls ab
	assert_output $'ab\nabc'
	run -0 "$SC" ls a%
	assert_output $'a%\na%b'
	run -0 "$SC" ls c
	assert_output ''
}

@test "ls: more than fits one answer" {
	mkdir "$T/crowd"
	local long
	long=$(printf 'long%.0s' {1..250})
	run -0 crowd 300 "$T/crowd" "$SC" get "$long-{}" -- true
	assert_output '0 300'
	for nr in {0..299}; do echo "$long-$nr"; done | LC_ALL=C sort >"$T/want"
	"$SC" ls | cmp - "$T/want"
}

@test "ls: what runs or has failed is not listed" {
	bg a "$SC" get going -- gate "$G"
	gate_up
	run -3 "$SC" get bad -- fails 3
	run -0 "$SC" ls
	assert_output ''
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" ls
	assert_output going
}

@test "S09: ls: a key as it is into a pipe, escaped on a terminal" {
	local key=$'a\e[31mb\nc\xff'
	entry "$key" 'x\n'
	"$SC" ls >"$T/raw"
	printf '%s\n' "$key" | cmp - "$T/raw"
	pty - "$SC" ls >"$T/shown"
	[ "$(lines_in "$T/shown")" = 1 ]
	run -1 grep -q $'\e' "$T/shown"
	LC_ALL=C run -1 grep -aq $'\xff' "$T/shown"
	grep -qF '[31mb' "$T/shown"
}

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
