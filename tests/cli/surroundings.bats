#!/usr/bin/env bats
# What the command sees of the world: the caller's, but for stdin.
load ../helper

@test "stdin is /dev/null for the command, and the caller's own stdin is not touched" {
	printf 'mine\n' >"$T/in"
	{
		run -0 "$SC" get k -- sh -c 'readlink /proc/self/fd/0; wc -c'
		assert_line --index 0 /dev/null
		assert_line --index 1 0
		read -r line
		[ "$line" = mine ]
	} <"$T/in"
	run -0 "$SC" get l -- readlink /proc/self/fd/0 <&-
	assert_output /dev/null
}

@test "the command has the caller's directory, environment, umask, limits, and signal mask and dispositions" {
	mkdir "$T/there dir"
	cd "$T/there dir"
	umask 013
	ulimit -S -n 77
	ulimit -S -c 0
	trap '' USR1 HUP
	export CANARY='a "b" $c'
	env -u SC_FLIGHTS -u _ senv SC_FLIGHTS _ >"$T/want"
	env -u _ "$SC" get k -- senv SC_FLIGHTS _ >"$T/got"
	diff -u "$T/want" "$T/got"
}

@test "the command gets its words exactly, empty and odd ones too" {
	run -0 "$SC" get k -- printf '<%s>' '' ' ' '--' -x $'a\nb' '*' '$HOME'
	assert_output $'<>< ><--><-x><a\nb><*><$HOME>'
}

@test "the command is found through the caller's PATH" {
	mkdir "$T/bin"
	printf '#!/bin/sh\necho found\n' >"$T/bin/own-command"
	chmod +x "$T/bin/own-command"
	PATH=$T/bin:$PATH run -0 "$SC" get k -- own-command
	assert_output found
	cd "$T"
	run -0 "$SC" get l -- bin/own-command
	assert_output found
}

@test "directory and environment are those of the caller who leads, not of the daemon or of who follows" {
	"$SC" daemon start 3>&-
	mkdir "$T/one" "$T/two"
	cd "$T/one"
	WHO=one bg a "$SC" get k -- sh -c 'gate "$G"; pwd; echo $WHO'
	gate_up
	cd "$T/two"
	WHO=two bg b "$SC" get k -- sh -c 'pwd; echo $WHO'
	step "$G" out x
	shows b 'x\n'
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/a.out" "x\n$T/one\none\n"
	is_file "$T/b.out" "x\n$T/one\none\n"
}

@test "a group and session of its own: a signal to the caller's group does not reach the command" {
	bg a setsid "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k
	step "$G" trap INT
	step "$G" trap HUP
	step "$G" out x
	shows b 'x\n'
	kill -HUP -- "-$(pid_of a)"
	assert_rc 129 a
	step "$G" out y
	shows b 'x\ny\n'
	step "$G" exit 0
	assert_rc 0 b
	is_empty "$G/signals"
}

@test "a caller that ignores SIGCHLD gets the command's status all the same, and the command finds it ignored" {
	run -3 timeout 20 bash -c 'trap "" CHLD; exec "$SC" get k -- fails 3'
	run -0 timeout 20 bash -c 'trap "" CHLD; exec "$SC" get l -- grep SigIgn /proc/self/status'
	[ $((16#${output##*[[:space:]]} >> 16 & 1)) = 1 ]
}
