#!/usr/bin/env bats
# FAULTS E and P13, P15: places where sc is called, and odd directories.
load ../helper

@test "E01: make -j64 | cat, cold, ends with the build" {
	printf 'K = $(shell seq 1 100)\nall: $(K)\n$(K):\n\t@"$(SC)" get k$@ -- echo made $@\n' >"$T/Makefile"
	run -0 timeout $((60 * SLACK)) bash -c 'make -j64 -f "$T/Makefile" 2>&1 | cat'
	[ "${#lines[@]}" = 100 ]
	assert_line 'made 77'
	[ -n "$(daemon_pid)" ]
}

@test "E01: a make under sc keeps its jobserver" {
	printf 'all: a b\na b:\n\t@echo $@\n' >"$T/inner.mk"
	printf 'all:\n\t+@"$(SC)" get k -- $(MAKE) -f inner.mk\n' >"$T/Makefile"
	cd "$T"
	run -0 timeout $((20 * SLACK)) make -j4
	refute_output --partial jobserver
	assert_line a
	assert_line b
}

@test "E02: ninja ends with the build, cold" {
	command -v ninja >/dev/null || skip 'missing tool: ninja'
	printf 'rule r\n  command = "%s" get $out -- sh -c "echo $out" >$out\nbuild a: r\nbuild b: r\nbuild c: r\n' "$SC" >"$T/build.ninja"
	cd "$T"
	run -0 timeout $((20 * SLACK)) bash -c 'ninja 2>&1 | cat'
	is_file b 'b\n'
	[ -n "$(daemon_pid)" ]
}

@test "E02: ninja under a terminal ends with the build, cold, and shows what the commands printed" {
	command -v ninja >/dev/null || skip 'missing tool: ninja'
	printf 'rule r\n  command = "%s" get $out -- sh -c "echo made $out; echo $out >$out"\n' "$SC" >"$T/build.ninja"
	printf 'build %s: r\n' a b c d e f >>"$T/build.ninja"
	printf 'rule con\n  command = "%s" get $out -- sh -c "echo made $out; echo $out >$out"\n  pool = console\nbuild z: con a\n' "$SC" >>"$T/build.ninja"
	cd "$T"
	bg p pty - ninja
	assert_rc 0 p
	for n in a f z; do
		is_file $n "$n\n"
		grep -q "made $n" "$T/p.out"
	done
	[ -n "$(daemon_pid)" ]
}

@test "E06: while read; do sc get …; done: the loop's input is intact" {
	printf '%s\n' one two three four >"$T/in"
	while read -r line; do
		"$SC" get "$line" -- sh -c 'cat; echo "$0"' "$line"
		"$SC" get "$line"
		"$SC" ls >/dev/null
	done <"$T/in" >"$T/out"
	is_file "$T/out" 'one\none\ntwo\ntwo\nthree\nthree\nfour\nfour\n'
}

@test "E06: the loop's input is intact in a bypass too" {
	printf '%s\n' one two three >"$T/in"
	while read -r line; do
		SC_DISABLE=1 "$SC" get "$line" -- sh -c 'cat; echo "$0"' "$line"
		"$SC" get nothing-there || true
	done <"$T/in" >"$T/out"
	is_file "$T/out" 'one\ntwo\nthree\n'
}

@test "E07: without a terminal, with a dumb one, in LANG=C: the same bytes and no decoration" {
	for env in TERM=dumb LANG=C LC_ALL=C TERM= COLUMNS=1; do
		run -0 --separate-stderr env "$env" "$SC" get "k$env" -- printf 'ключ\n'
		assert_output 'ключ'
		[ -z "$stderr" ]
		pty - env "$env" "$SC" get "k$env" >"$T/shown"
		is_file "$T/shown" 'ключ\n'
	done
}

@test "P13: a stale socket file and no listener: the next call just works, without a message" {
	mkdir -m 700 "$SC_DIR"
	rawclient "$SC_DIR/sock" plant
	[ -S "$SC_DIR/sock" ]
	run -0 --separate-stderr "$SC" get k -- echo x
	assert_output x
	[ -z "$stderr" ]
	kill_daemon # leaves another
	[ -S "$SC_DIR/sock" ]
	run -0 --separate-stderr "$SC" get k
	assert_output x
	[ -z "$stderr" ]
}

@test "P15: a cache directory path of two hundred characters, and of a thousand" {
	local part
	part=$(printf 'long-%.0s' {1..20})
	for dir in "$T/$part/$part" "$T/$part/$part/$part/$part/$part/$part/$part/$part/$part/$part"; do
		[ ${#dir} -ge 200 ]
		mkdir -p "$(dirname "$dir")"
		export SC_DIR=$dir
		run -0 --separate-stderr "$SC" get k -- echo x
		assert_output x
		[ -z "$stderr" ]
		[ -S "$dir/sock" ]
		bg a "$SC" get l -- gate "$G"
		gate_up
		bg b "$SC" get l
		step "$G" out y
		shows a 'y\n'
		shows b 'y\n'
		kill_daemon
		step "$G" exit 0
		assert_rc 0 a b
		rm "$G/runs"
		run -0 --separate-stderr "$SC" get l
		assert_output y
		[ -z "$stderr" ]
		"$SC" daemon stop
	done
	export SC_DIR=$T/cache
}

@test "P15: a cache directory with spaces, quotes and other bytes in its path" {
	export SC_DIR="$T/a b'\"\$(x)ключ"
	run -0 --separate-stderr "$SC" get k -- echo x
	assert_output x
	[ -z "$stderr" ]
	run -0 "$SC" get k
	"$SC" daemon stop
	export SC_DIR=$T/cache
}
