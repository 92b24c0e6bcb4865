#!/usr/bin/env bats
# What is over is removed by itself: rows and files.
# run: sealed too
load ../helper

rows() { sqlite3 -readonly "$SC_DIR/index.db" 'SELECT count(*) FROM entry'; }

@test "expired rows and files are removed by a timer, without anybody asking" {
	start_daemon
	for nr in 1 2 3; do
		"$SC" get -t 300ms "gone$nr" -- fails -o "$nr" -e "$nr" >/dev/null 2>&1
	done
	entry stays 'x\n'
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 1 ]'
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.err" -size +0 | wc -l)" = 0 ]'
	wait_until '[ "$(rows)" = 1 ]'
	run -0 "$SC" ls
	assert_output stays
}

@test "an expired entry is not listed and not served while its files are still there" {
	"$SC" get -t 300ms k -- fails -o x >/dev/null
	run -0 "$SC" ls
	assert_output k
	wait_until '! "$SC" get k >/dev/null'
	run -0 "$SC" ls
	assert_output ''
}

@test "what expired while no daemon lived is removed after the next one has started" {
	"$SC" get -t 300ms k -- fails -o x >/dev/null
	kill_daemon
	entry clock 'c\n'
	kill_daemon
	[ "$(objects)" -gt 0 ]
	"$SC" get -t 1h clock >/dev/null
	wait_until '! "$SC" get k >/dev/null 2>&1'
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 1 ]'
}

@test "G08: an entry that expires while it is being read is read to its end" {
	mkfifo "$T/pipe"
	"$SC" get -t 500ms k -- flood 3M >/dev/null
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 10 <&"$held" >"$T/first"
	wait_until '[ "$(objects)" = 0 ]'
	head -c $((3 * 1048576 - 10)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 a
	cat "$T/first" "$T/rest" >"$T/all"
	is_flood "$T/all" 3M
}
