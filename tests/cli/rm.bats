#!/usr/bin/env bats
# `sc rm`: afterwards nothing asked for can be served.
load ../helper

@test "rm: the key is gone, its files too, others stay" {
	entry a 'A\n'
	entry b 'B\n'
	run -0 "$SC" rm a
	assert_output ''
	run -1 "$SC" get a
	run -0 "$SC" get b
	assert_output B
	run -0 "$SC" ls
	assert_output b
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 1 ]'
}

@test "rm: several keys, and keys that were never there, are 0" {
	for k in a b c; do entry $k 'x\n'; done
	run -0 "$SC" rm a never c
	run -0 "$SC" ls
	assert_output b
	run -0 "$SC" rm never
	run -0 "$SC" rm -- -dash
}

@test "rm: a key with a dash, behind --" {
	"$SC" get -- -k -- echo x >/dev/null
	run -0 "$SC" rm -- -k
	run -1 "$SC" get -- -k
}

@test "rm of a key in flight: its readers finish, nothing is kept, newcomers start a new run" {
	local g2
	g2=$(new_gate g2)
	bg a "$SC" get k -- gate "$G"
	step "$G" out old
	bg b "$SC" get k
	shows b 'old\n'
	run -0 "$SC" rm k
	bg c "$SC" get k -- gate "$g2"
	step "$g2" out new
	shows c 'new\n'
	bg d "$SC" get k # joins the new one, never the removed one
	shows d 'new\n'
	step "$G" out older
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/a.out" 'old\nolder\n'
	is_file "$T/b.out" 'old\nolder\n'
	step "$g2" exit 0
	assert_rc 0 c d
	run -0 "$SC" get k
	assert_output new
}

@test "rm of a key in flight, and nobody asks again: nothing is kept" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out x
	shows a 'x\n'
	run -0 "$SC" rm k
	run -1 "$SC" get k # it is not followed either
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'x\n'
	run -1 "$SC" get k
	wait_until nothing_kept
}

@test "rm while a refresh runs: neither the old nor the new is served" {
	entry k 'old\n'
	bg a "$SC" get -r k -- gate "$G"
	step "$G" out new
	shows a 'new\n'
	run -0 "$SC" rm k
	run -1 "$SC" get k
	step "$G" exit 0
	assert_rc 0 a
	run -1 "$SC" get k
}

@test "rm of an entry that is being read: the reader gets all of it" {
	mkfifo "$T/pipe"
	"$SC" get k -- flood 3M >/dev/null
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 10 <&"$held" >"$T/first"
	run -0 "$SC" rm k
	wait_until '[ "$(objects)" = 0 ]'
	head -c $((3 * 1048576 - 10)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 a
	cat "$T/first" "$T/rest" >"$T/all"
	is_flood "$T/all" 3M
}

@test "rm without a daemon starts one and removes what is there" {
	entry k 'x\n'
	kill_daemon
	run -0 --separate-stderr "$SC" rm k
	[ -z "$stderr" ]
	run -1 "$SC" get k
}

@test "rm that cannot be promised is 125" {
	mkdir "$T/bad"
	chmod 777 "$T/bad"
	SC_DIR=$T/bad run -125 --separate-stderr "$SC" rm k
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$T/bad"
}
