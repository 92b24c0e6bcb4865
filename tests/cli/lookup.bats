#!/usr/bin/env bats
# `sc get KEY` without a command: a hit, a run to follow, or 1.
# run: sealed too
load ../helper

@test "get without a command: no such key is 1, nothing printed, nothing started" {
	run -1 --separate-stderr "$SC" get k
	[ -z "$output" ]
	run -0 "$SC" get k -- fails -o x
	assert_output x # the question left nothing behind
}

@test "get without a command: prints a hit, stdout and stderr" {
	"$SC" get k -- fails -o out -e err >/dev/null 2>&1
	run -0 --separate-stderr "$SC" get k
	[ "$output" = out ]
	[ "$stderr" = err ]
}

@test "get without a command: follows a run and has its status" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k
	step "$G" out x
	shows b 'x\n'
	step "$G" exit 9
	assert_rc 9 a b
}

@test "--wait without a command: the key is waited for" {
	bg b "$SC" get --wait 60s k
	start_daemon
	bg c "$SC" get -w 60s other
	bg a "$SC" get k -- gate "$G"
	step "$G" out x
	shows b 'x\n'
	step "$G" exit 0
	assert_rc 0 a b
	is_running c
	entry other 'o\n'
	assert_rc 0 c
	is_file "$T/c.out" 'o\n'
}

@test "--wait without a command: 124 when the key has not begun to exist by then" {
	run -124 --separate-stderr "$SC" get -w 200ms k
	[ -z "$output" ]
}

@test "--wait 0: only what is finished" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out x
	shows a 'x\n'
	run -1 --separate-stderr timeout 10 "$SC" get --wait 0 k
	[ -z "$output" ]
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" get --wait 0 k
	assert_output x
}

@test "--wait bounds the silence since the last byte: 124, the run and its other readers go on" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out x
	shows a 'x\n'
	bg b "$SC" get -w 300ms k
	assert_rc 124 b
	is_file "$T/b.out" 'x\n'
	step "$G" out y
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'x\ny\n'
	run -0 "$SC" get k
	assert_output $'x\ny'
}

@test "a key is data: dashes, spaces, slashes, newlines, other bytes, 1 to 4096 of them" {
	local long
	long=$(printf 'x%.0s' {1..4096})
	for key in k -k --help ' ' . .. ../../x /etc/passwd $'a\nb' $'\e[31m' '%n%s' "$long" $'\xff\xfe' 'ключ'; do
		run -0 "$SC" get -- "$key" -- fails -o "value of $key"
		run -0 "$SC" get -- "$key"
		assert_output "value of $key"
	done
}
