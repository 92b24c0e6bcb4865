#!/usr/bin/env bats
# `sc verify [--repair]`: every entry's bytes against their sums, and files that belong to none.
load ../helper
load ../faults/damage

prepare() { use_test_build; }

@test "verify: 0 without a word when all is good; else 1, a line for each bad entry, and nothing is changed without --repair" {
	export SC_FAULT=walk
	run -0 --separate-stderr "$SC" verify
	[ -z "$output$stderr" ]
	entry good 'good\n'
	make flipped bytes
	flip "$made.out" 2
	make erred out err
	flip "$made.err" 13
	make missing x
	rm "$made.out"
	make short xyz
	truncate -s 1 "$made.out"
	make linked xyz
	mv "$made.out" "$T/behind" && ln -s "$T/behind" "$made.out"
	make 'with space' bytes
	flip "$made.out" 2
	walked
	for _ in 1 2; do
		run -1 --separate-stderr "$SC" verify
		[ -z "$stderr" ]
		[ ${#lines[@]} = 6 ]
		assert_line --regexp '^flipped: .*not those that were stored$'
		assert_line --regexp '^erred: .*not those that were stored$'
		assert_line --regexp '^missing: .*missing$'
		assert_line --regexp '^short: .*size$'
		assert_line --regexp '^linked: .*link'
	done
	[ "$("$SC" ls | wc -l)" = 7 ]
	run -1 "$SC" verify --repair
	[ ${#lines[@]} = 6 ]
	assert_line --regexp '^missing: .*missing: removed$'
	[ "$("$SC" ls)" = good ]
	run -0 "$SC" verify
	assert_output ''
	[ "$("$SC" get good)" = good ]
	is_file "$T/behind" 'xyz\n'
}

@test "verify: files that belong to no entry are counted, and removed with --repair" {
	export SC_FAULT=walk
	start_daemon
	walked
	mkdir -p "$SC_DIR/objects/ab"
	touch "$SC_DIR"/objects/ab/ab0123456789abcdef0123456789abcd.{out,err}
	run -1 "$SC" verify
	assert_output '2 files belong to no entry'
	[ "$(objects)" = 2 ]
	run -1 "$SC" verify --repair
	assert_output '2 files belong to no entry: removed'
	[ "$(objects)" = 0 ]
	run -0 "$SC" verify
}

@test "verify: a hundred entries and runs going on: all are looked at, none is harmed" {
	mkdir "$T/crowd"
	run -0 crowd 100 "$T/crowd" "$SC" get 'k{}' -- flood 50000
	bg a "$SC" get running -- gate "$G"
	step "$G" out x
	export SC_KILLAT="*:0:$T/passed"
	run -0 --separate-stderr "$SC" verify
	[ -z "$output$stderr" ]
	[ "$(grep -c '^row_heard ' "$T/passed")" = 101 ]
	unset SC_KILLAT
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'x\n'
	run -2 "$SC" verify words
	run -2 "$SC" verify --repare
}
