#!/usr/bin/env bats
# `sc touch`: an entry is from then on as old as if it had been made just now.
# run: sealed too
load ../helper
load ../faults/clock.bash

# row KEY FIELD: what ls says of it.
row() { "$SC" ls --json "$1" | jq -c "select(.key == \"$1\") | .$2"; }

@test "touch: an old entry is young again, with the same bytes, and lives as long as it was to from now on" {
	start_daemon_with_clocks
	"$SC" get -t 10h k -- printf 'x\n' >/dev/null
	let_pass $((9 * HOUR))
	is_between "$(age_of k)" 32400 32500
	[ "$(age_of -t 1h k)" = miss ]
	run -0 "$SC" touch k
	assert_output ''
	is_between "$(age_of -t 1h k)" 0 100
	is_file "$T/served" 'x\n'
	[ "$(row k ttl)" = 36000 ]
	let_pass $((9 * HOUR))
	is_between "$(age_of k)" 32400 32500
	let_pass $((2 * HOUR))
	[ "$(age_of k)" = miss ]
}

@test "touch -t: it lives for so long from now on, longer or shorter than before, or for ever" {
	start_daemon_with_clocks
	entry k x
	run -0 "$SC" touch -t 1d k
	let_pass $((23 * HOUR))
	[ "$(row k ttl)" = 86400 ]
	is_between "$(age_of k)" 82800 82900
	run -0 "$SC" touch --ttl 1m k
	is_between "$(age_of k)" 0 50
	let_pass 120000
	[ "$(age_of k)" = miss ]
	entry l x
	run -0 "$SC" touch -t forever l
	let_pass $((30 * YEAR))
	is_between "$(age_of l)" 900000000 999999999
	[ "$(row l ttl)" = null ]
}

@test "touch: the timer that removes what is over knows of it, whichever way its life was changed" {
	"$SC" get -t 1h k -- fails -o x >/dev/null
	run -0 "$SC" touch -t 300ms k
	wait_until '[ "$(objects)" = 0 ]'
	"$SC" get -t 2s k -- echo x >/dev/null
	run -0 "$SC" touch -t 1h k
	"$SC" get -t 2s witness -- fails -o x >/dev/null
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 1 ]'
	run -0 "$SC" get k
	assert_output x
}

@test "touch: what has expired, also if it may still be served stale, is not there, and is not brought back" {
	start_daemon_with_clocks
	"$SC" get -t 1h --stale 5h k -- echo x >/dev/null
	let_pass $((2 * HOUR))
	run -1 "$SC" touch -t 1d k
	run -1 "$SC" get k
	[ "$("$SC" get --stale 1d --status-fd 3 k -- false 3>&1 >/dev/null 2>&1 | jq -r .source)" = stale ]
}

@test "touch: stale and hits stay with it; other buckets and kept failures stay as they were" {
	start_daemon_with_clocks
	"$SC" get -t 1h --stale 5h k -- echo x >/dev/null
	"$SC" get k >/dev/null
	"$SC" get -b other k -- echo y >/dev/null
	run -3 "$SC" get --keep-failures 2h bad -- fails 3
	let_pass $((HOUR / 2))
	run -0 "$SC" touch k
	[ "$(row k stale)" = 18000 ]
	[ "$(row k hits)" = 1 ]
	jq -e '.age < 100' <<<"$("$SC" ls --json k)"
	jq -e '.age >= 1800' <<<"$("$SC" ls -b other --json k)"
	run -1 "$SC" touch bad
	let_pass $((HOUR * 3 / 4))
	run -1 "$SC" get -b other k
	run -0 "$SC" get k
	let_pass $HOUR
	run -0 "$SC" get --keep-failures 2h bad -- true # the failure is over as it was to be
}

@test "touch: its new age outlives the daemon" {
	start_daemon_with_clocks
	"$SC" get -t 1h k -- echo x >/dev/null
	let_pass $((HOUR / 2))
	run -0 "$SC" touch k
	next_daemon
	let_pass $((HOUR * 3 / 4))
	is_between "$(age_of k)" 2700 2800
	let_pass $((HOUR / 2))
	[ "$(age_of k)" = miss ]
}

@test "touch of several: each is touched, also behind one that is not there, which is said, and the status is 1" {
	start_daemon_with_clocks
	printf x | "$SC" put -b b -- -a
	printf x | "$SC" put -b b $'c\n\xff'
	let_pass 60000
	run -1 --separate-stderr "$SC" touch -b b $'none\e[31m' $'c\n\xff' -- -a
	[ -z "$output" ]
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'none.*: no such key'
	run -1 grep -q $'\e' "$T/err"
	"$SC" ls -b b --json | jq -s -e 'length == 2 and all(.age < 50)'
	run -1 "$SC" touch -- -a
}

@test "touch of a key in flight alone is 1, and changes nothing about the run" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out x
	run -1 "$SC" touch k
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" touch k
	run -0 "$SC" get k
	assert_output x
}

@test "touch: an entry is used by it: it is not the next to go" {
	mkdir -m 700 "$SC_DIR"
	echo 'max-files = 3' >"$SC_DIR/config"
	for k in 1 2 3; do printf x | "$SC" put $k; done
	run -0 "$SC" touch 1
	printf x | "$SC" put 4
	wait_until '[ "$("$SC" ls | wc -l)" = 3 ]'
	run -0 "$SC" ls
	assert_output $'1\n3\n4'
}

@test "touch: usage" {
	local words
	for words in '' '-t 0 k' '-t soon k' '-t' '-b A k' "$(printf 'x%.0s' {1..4097})"; do run -2 "$SC" touch $words; done
	run -2 "$SC" touch k ''
	[ ! -e "$SC_DIR" ]
	mkdir "$T/bad"
	chmod 777 "$T/bad"
	SC_DIR=$T/bad run -125 --separate-stderr "$SC" touch k
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$T/bad"
}
