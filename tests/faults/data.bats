#!/usr/bin/env bats
# FAULTS D: every byte, wherever it goes.
# run: sealed too
load ../helper

count() { tr -cd "$1" <"$T/file" | wc -c; }

@test "D14: outputs of every length around the sizes of buffers, with NULs and without a last newline: live, followed, replayed" {
	local size
	for size in 0 1 2 4095 4096 4097 65535 65536 65537 131071 131072 131073 262143 262144 262145 1048575 1048577; do
		bg "a$size" "$SC" get "k$size" -- sh -c 'flood "$1"; printf "\0\0x"' - $size
		bg "b$size" "$SC" get "k$size" -- sh -c 'flood "$1"; printf "\0\0x"' - $size
	done
	for size in 0 1 2 4095 4096 4097 65535 65536 65537 131071 131072 131073 262143 262144 262145 1048575 1048577; do
		assert_rc 0 "a$size" "b$size"
		{ flood $size && printf '\0\0x'; } >"$T/want"
		cmp "$T/want" "$T/a$size.out"
		cmp "$T/want" "$T/b$size.out"
		"$SC" get "k$size" | cmp "$T/want" -
		"$SC" get "k$size" >"$T/out"
		cmp "$T/want" "$T/out"
	done
	"$SC" get none -- true >"$T/out"
	is_empty "$T/out"
	"$SC" get none >"$T/out"
	is_empty "$T/out"
}

@test "D16: two gets and an echo share one stdout file, > and >>, hits and live runs: every byte of all three is there" {
	local mode round
	for mode in '>' '>>'; do
		for round in live hit; do
			rm -f "$T/file"
			eval '{
				"$SC" get a -- sh -c "head -c 2000000 /dev/zero | tr \"\\0\" a" 3>&- &
				"$SC" get b -- sh -c "head -c 3000000 /dev/zero | tr \"\\0\" b" 3>&- &
				echo ccc
				wait
			} '"$mode"'"$T/file"'
			[ "$(count a)" = 2000000 ]
			[ "$(count b)" = 3000000 ]
			[ "$(count c)" = 3 ]
			[ "$(stat -c %s "$T/file")" = 5000004 ]
		done
		"$SC" rm a b
	done
}

@test "D16: two processes append to a file that a get appends to, by descriptors of their own" {
	"$SC" get a -- sh -c 'head -c 1000000 /dev/zero | tr "\0" a' >/dev/null
	for _ in 1 2 3; do
		: >"$T/file"
		"$SC" get a >>"$T/file" 3>&- &
		"$SC" get a >>"$T/file" 3>&- &
		for _ in {1..100}; do echo ccc >>"$T/file"; done
		wait
		[ "$(count a)" = 2000000 ]
		[ "$(count c)" = 300 ]
	done
}

@test "D17: an entry is removed while its pages lie in a reader's pipe: the reader's bytes are unchanged" {
	mkfifo "$T/pipe"
	"$SC" get k -- flood 8M >/dev/null
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 1 <&"$held" >"$T/first" # the pipe is being filled
	run -0 "$SC" rm k
	wait_until '[ "$(objects)" = 0 ]'
	"$SC" get other -- head -c 16000000 /dev/zero >/dev/null # takes up the space that was freed
	"$SC" daemon stop --now
	head -c $((8 * 1048576 - 1)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 a
	cat "$T/first" "$T/rest" >"$T/all"
	is_flood "$T/all" 8M
}

@test "D17: an entry is replaced while its pages lie in a reader's pipe: the reader's bytes are unchanged" {
	mkfifo "$T/pipe"
	"$SC" get k -- flood 8M >/dev/null
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 1 <&"$held" >"$T/first"
	"$SC" get -r k -- head -c 16000000 /dev/zero >/dev/null
	head -c $((8 * 1048576 - 1)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 a
	cat "$T/first" "$T/rest" >"$T/all"
	is_flood "$T/all" 8M
}

@test "B17: an object deleted behind the index is a miss; a deleted or garbled index is begun anew" {
	entry k 'old\n'
	find "$SC_DIR/objects" -type f -delete
	run -0 --separate-stderr "$SC" get k -- echo new
	assert_output new
	[ -z "$stderr" ]
	for how in delete garbage; do
		"$SC" daemon stop
		case $how in
		delete) rm "$SC_DIR"/index.db* ;;
		garbage) flood 50000 >"$SC_DIR/index.db" ;;
		esac
		run -0 --separate-stderr "$SC" get k -- echo "after $how"
		assert_output "after $how"
		[ -z "$stderr" ]
		run -0 "$SC" get k
		assert_output "after $how"
	done
	ANY_FILES=1 # what was moved aside stays
}
