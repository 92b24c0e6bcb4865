#!/usr/bin/env bats
# Stdout and stderr: every byte, on the right stream, in the observed order.
# run: sealed too
load ../helper

@test "stderr is recorded and replayed between the same bytes of stdout, live, followed and later" {
	bg_sh a '"$SC" get k -- gate "$G" 2>&1'
	gate_up
	bg_sh b '"$SC" get k 2>&1'
	local so_far=''
	for line in 'out one' 'err two' 'out three' 'err four' 'err five' 'outn six' 'err seven' 'out eight'; do
		step "$G" "$line"
		so_far+=${line#* }
		case $line in outn*) ;; *) so_far+='\n' ;; esac
		shows a "$so_far" # so that the order is one that was observed
		shows b "$so_far"
	done
	step "$G" exit 0
	assert_rc 0 a b
	"$SC" get k >"$T/both" 2>&1
	is_file "$T/both" "$so_far"
	"$SC" get k >"$T/out" 2>"$T/err"
	is_file "$T/out" 'one\nthree\nsixeight\n'
	is_file "$T/err" 'two\nfour\nfive\nseven\n'
	[ "$(runs)" = 1 ]
}

@test "stdout goes to stdout and stderr to stderr, for the leader, a follower and a hit" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k
	step "$G" out out
	step "$G" err err
	shows b 'out\n'
	step "$G" exit 0
	assert_rc 0 a b
	"$SC" get k >"$T/c.out" 2>"$T/c.err"
	for n in a b c; do
		is_file "$T/$n.out" 'out\n'
		is_file "$T/$n.err" 'err\n'
	done
}

@test "a command that writes only to stderr is shown and replayed" {
	"$SC" get k -- sh -c 'echo only >&2' >"$T/a.out" 2>"$T/a.err"
	"$SC" get k >"$T/b.out" 2>"$T/b.err"
	for n in a b; do
		is_empty "$T/$n.out"
		is_file "$T/$n.err" 'only\n'
	done
}

@test "a large stderr: every byte, beside a large stdout, through pipes that fill" {
	"$SC" get k -- sh -c 'flood -e 3M & flood 5M; wait' 2> >(cat >"$T/a.err") | cat >"$T/a.out"
	wait_until '[ "$(stat -c %s "$T/a.err")" = 3145728 ]'
	is_flood "$T/a.out" 5M
	is_flood "$T/a.err" 3M
	"$SC" get k >"$T/b.out" 2>"$T/b.err"
	is_flood "$T/b.out" 5M
	is_flood "$T/b.err" 3M
}

@test "--stderr=inherit leaves the leader's stderr alone and unrecorded" {
	bg a "$SC" get --stderr=inherit k -- gate "$G"
	step "$G" out out
	bg b "$SC" get k
	shows b 'out\n'
	step "$G" err err
	wait_until '[ -s "$T/a.err" ]'
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/a.err" 'err\n'
	is_empty "$T/b.err"
	run -0 --separate-stderr "$SC" get k
	assert_output out
	[ -z "$stderr" ]
}

@test "--stderr=inherit hands the command the very file that is our stderr" {
	"$SC" get --stderr=inherit k -- readlink /proc/self/fd/2 >"$T/out" 2>"$T/err"
	is_file "$T/out" "$T/err\n"
}

@test "--stderr=replay is what happens without the option" {
	"$SC" get --stderr=replay k -- fails -o o -e e >"$T/out" 2>"$T/err"
	is_file "$T/out" 'o\n'
	is_file "$T/err" 'e\n'
}

# identical NAME STEP…: the output of those steps is $T/want, live, followed, and by a hit, into files and through pipes.
identical() {
	local g name=$1
	shift
	g=$(new_gate "g-$name")
	bg a "$SC" get "$name" -- gate "$g"
	gate_up "$g"
	bg_sh b '"$SC" get '"$name"' | cat'
	for line in "$@"; do step "$g" "$line"; done
	step "$g" exit 0
	assert_rc 0 a b
	"$SC" get "$name" >"$T/c.out" 2>"$T/c.err"
	"$SC" get "$name" 2>"$T/d.err" | cat >"$T/d.out"
	for n in a b c d; do
		cmp "$T/want" "$T/$n.out"
		is_empty "$T/$n.err"
	done
}

@test "every output arrives byte for byte: nothing, NULs, no final newline, all 256 values, block boundaries" {
	: >"$T/want"
	identical empty
	head -c 70000 /dev/zero >"$T/want"
	identical nuls 'nul 70000'
	printf 'no newline' >"$T/want"
	identical nonl 'outn no newline'
	printf '\n' >"$T/want"
	identical newline 'out '
	for size in 1 255 4095 4096 4097 65535 65536 65537 262144 262145 1048576 1048577; do
		flood $size >"$T/want"
		identical "size$size" "fill $size"
	done
	{ head -c 3 /dev/zero && printf 'a' && flood 9 && head -c 1 /dev/zero; } >"$T/want"
	identical mixed 'nul 3' 'outn a' 'fill 9' 'nul 1'
}

@test "an empty output is a result: kept, and a hit" {
	run -0 "$SC" get k -- fails -n "$T/count" 0
	assert_output ''
	run -0 "$SC" get k -- fails -n "$T/count" 0
	assert_output ''
	[ "$(lines_in "$T/count")" = 1 ]
}

@test "a hit is identical into a file, a pipe, an appended file, the middle of a file, over a file, and /dev/null" {
	"$SC" get k -- flood 3000001 >/dev/null
	"$SC" get k >"$T/file"
	is_flood "$T/file" 3000001
	"$SC" get k | cat >"$T/piped"
	is_flood "$T/piped" 3000001
	printf 'before' >"$T/appended"
	"$SC" get k >>"$T/appended"
	{ printf 'before' && flood 3000001; } | cmp - "$T/appended"
	{ printf 'before' && "$SC" get k && printf 'behind'; } >"$T/middle"
	{ printf 'before' && flood 3000001 && printf 'behind'; } | cmp - "$T/middle"
	"$SC" get k >/dev/null
	flood 3000001 >"$T/overwritten"
	tr '\0-\377' x <"$T/overwritten" >"$T/readwrite"
	"$SC" get k 1<>"$T/readwrite"
	cmp "$T/overwritten" "$T/readwrite"
}
