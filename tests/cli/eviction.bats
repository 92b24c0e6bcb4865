#!/usr/bin/env bats
# The cache stays within its limits: what nobody asks for goes first, what is being read stays.
load ../helper

# prepare is called by setup; each test writes the limits it is about.
limits() { # LINE…
	mkdir -p -m 700 "$SC_DIR"
	printf '%s\n' "$@" >"$SC_DIR/config"
}

# Of the index; sqlite3 waits for nobody.
ask() { sqlite3 -readonly "$SC_DIR/index.db" "$1"; }
rows() { ask "SELECT count(*) FROM entry${1:+ WHERE bucket = '$1'}"; }
fill() { # PREFIX FIRST LAST SIZE: entries that can be told from each other
	local nr
	for nr in $(seq "$2" "$3"); do
		"$SC" get "$1$nr" -- sh -c "echo $1$nr && flood $4" >/dev/null 3>&-
	done
}
# SIEVE's hand comes by again and again, because all that is younger is asked for: an entry is not spared for one visit.
turn() { # PREFIX
	local at
	for at in {1..10}; do
		fill "$1" "$at" "$at" 10
		"$SC" get "$1$at" >/dev/null
	done
}
is_kept() { [ "$(ask "SELECT count(*) FROM entry WHERE key = CAST('$1' AS BLOB)")" = 1 ]; }
# What is kept is whole, and every object belongs to something that is kept.
all_whole() { # SIZE
	local key
	for key in $("$SC" ls); do
		"$SC" get "$key" >"$T/got"
		{ echo "$key" && flood "$1"; } | cmp - "$T/got"
	done
	wait_until '[ "$(objects)" = $((2 * $(ask "SELECT count(*) FROM entry"))) ]'
}
totals_are_right() {
	[ "$(ask 'SELECT entries, bytes FROM meta')" = "$(ask 'SELECT count(*), coalesce(sum(bytes), 0) FROM entry')" ]
	[ "$(ask 'SELECT name, entries, bytes FROM buckets ORDER BY name')" = \
		"$(ask 'SELECT bucket, count(*), sum(bytes) FROM entry GROUP BY bucket ORDER BY bucket')" ]
}

@test "max-size: what is kept does not grow beyond it, and what is kept is whole" {
	limits 'max-size = 1M'
	fill k 1 30 100K
	wait_until '[ "$(ask "SELECT bytes FROM meta")" -le 1048576 ]'
	[ "$(rows)" -ge 7 ] # no more is evicted than is needed
	is_kept k30
	wait_until '[ "$(du -s --apparent-size -B1 "$SC_DIR/objects" | cut -f 1)" -le $((1048576 + 257 * 4096 + 65536)) ]'
	all_whole 100K
	totals_are_right
}

@test "max-files: there are not more entries than that" {
	limits 'max-files = 5'
	fill k 1 20 10
	wait_until '[ "$(rows)" -le 5 ]'
	[ "$(rows)" = 5 ]
	is_kept k20
	all_whole 10
	totals_are_right
}

@test "a bucket has limits of its own" {
	limits 'max-files = 30' '[bucket other]' 'max-files = 1' '[bucket default]' 'max-files = 4' 'max-size = 50K'
	fill k 1 10 10
	wait_until '[ "$(rows)" = 4 ]'
	is_kept k10
	fill l 1 10 15K
	wait_until '[ "$(ask "SELECT bytes FROM buckets")" -le 51200 ]'
	is_kept l10
	all_whole 15K
	totals_are_right
}

@test "what is too much in one bucket drives nothing out of another; what is too much in all of them does" {
	limits 'max-files = 12' '[bucket small]' 'max-files = 2'
	fill k 1 8 10
	SC_BUCKET=small fill s 1 20 10
	wait_until '[ "$(rows small)" = 2 ]'
	[ "$(rows default)" = 8 ]
	SC_BUCKET=small run -0 "$SC" get s20
	assert_line s20
	SC_BUCKET=third fill t 1 8 10
	wait_until '[ "$(rows)" = 12 ]'
	totals_are_right
}

@test "a scan of things asked for once does not drive out what is asked for" {
	limits 'max-files = 10'
	fill old 1 3 10
	fill hot 1 1 10
	fill old 4 6 10
	"$SC" get hot1 >/dev/null
	fill scan 1 40 10
	wait_until '[ "$(rows)" -le 10 ]'
	is_kept hot1
	! is_kept old1
}

@test "G10: an entry that is being read is passed over, and read to its end" {
	limits 'max-files = 3'
	mkfifo "$T/pipe"
	"$SC" get k -- flood 3M >/dev/null
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 10 <&"$held" >"$T/first"
	turn x
	wait_until '[ "$(rows)" -le 3 ]'
	is_kept k
	head -c $((3 * 1048576 - 10)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 a
	cat "$T/first" "$T/rest" >"$T/all"
	is_flood "$T/all" 3M
	turn y
	wait_until '! is_kept k'
}

@test "an entry is passed over also while those read it that came when it was a run" {
	limits 'max-files = 3'
	mkfifo "$T/pipe"
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k -- flood 3M >"$T/pipe"'
	head -c 10 <&"$held" >"$T/first"
	wait_until 'is_kept k'
	fill x 1 20 10
	wait_until '[ "$(rows)" -le 3 ]'
	is_kept k
	head -c $((3 * 1048576 - 10)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 a
}

@test "when all that is kept is being read, the cache is above its limit until somebody has done reading" {
	limits 'max-files = 2'
	local nr
	for nr in 1 2; do
		mkfifo "$T/pipe$nr"
		"$SC" get "k$nr" -- flood 3M >/dev/null
	done
	exec {held1}<>"$T/pipe1" {held2}<>"$T/pipe2"
	bg_sh a '"$SC" get k1 >"$T/pipe1"'
	bg_sh b '"$SC" get k2 >"$T/pipe2"'
	head -c 10 <&"$held1" >/dev/null
	head -c 10 <&"$held2" >/dev/null
	fill x 1 1 10
	[ "$(rows)" = 3 ]
	is_kept x1
	head -c $((3 * 1048576 - 10)) <&"$held1" >/dev/null
	assert_rc 0 a
	wait_until '[ "$(rows)" = 2 ]'
	is_kept k2
	head -c $((3 * 1048576 - 10)) <&"$held2" >/dev/null
	assert_rc 0 b
	exec {held1}>&- {held2}>&-
}

@test "what is above the limits when the daemon starts is brought down, without anybody asking" {
	fill k 1 30 10
	kill_daemon
	limits 'max-files = 4'
	start_daemon
	wait_until '[ "$(rows)" -le 4 ]'
	all_whole 10
	totals_are_right
}

@test "B04: room is made for a run before it has written more" {
	limits 'max-size = 40M'
	fill k 1 20 1M
	[ "$(rows)" = 20 ]
	bg a rawpeer "$SC_DIR" lead run grown own 20M hear
	shows a 'LEAD\n'
	# 20 MiB, and 16 more that it may write before it says so.
	wait_until '[ "$(ask "SELECT bytes FROM meta")" -le $(((40 - 20 - 16) << 20)) ]'
	[ "$(rows)" -ge 1 ]
	kill -9 "$(pid_of a)"
	assert_rc 137 a
}

@test "B04: when nothing can go, the largest run is told to grow no more" {
	limits 'max-size = 64M'
	start_daemon
	bg a rawpeer "$SC_DIR" lead small grown own 17M hear
	bg b rawpeer "$SC_DIR" lead large grown own 40M hear
	shows b 'LEAD\n'
	wait_until 'grep -q "event=no-room.* bytes=41943040" "$SC_DIR/scd.log"'
	[ "$(grep -c event=no-room "$SC_DIR/scd.log")" = 1 ]
	kill -9 "$(pid_of a)" "$(pid_of b)"
	assert_rc 137 a
	assert_rc 137 b
}

@test "hits are counted, and told before the daemon goes" {
	fill k 1 2 10
	for nr in 1 2 3; do "$SC" get k1 >/dev/null; done
	"$SC" daemon stop
	[ "$(ask "SELECT group_concat(key || ' ' || visited || ' ' || hits) FROM entry ORDER BY id")" = 'k1 1 3,k2 0 0' ]
}
