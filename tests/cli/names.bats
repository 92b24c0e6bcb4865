#!/usr/bin/env bats
# `encrypt = on`: what keys, tags and commands are called lies nowhere in the cache directory, nor what was stored before.
load ../helper

prepare() {
	mkdir -m 700 "$SC_DIR"
	"$SC" keygen "$T/key" >/dev/null
}

config() { printf '%s\n' "key-file = $T/key" "$@" >"$SC_DIR/config"; }
told() { grep -raq canary-7f3a "$SC_DIR"; }

@test "encrypt turned on: nothing of what was stored in the clear is left, and the order goes on" {
	local order='SELECT ord FROM meta' before
	config 'show-commands = on'
	run -0 --separate-stderr "$SC" get --tag canary-7f3a canary-7f3a/key -- echo canary-7f3a
	[ -z "$stderr" ]
	run -1 "$SC" get canary-7f3a/missed
	told
	"$SC" daemon stop
	told
	before=$(sqlite3 "$SC_DIR/index.db" "$order")
	[ "$before" -gt 0 ]
	config 'encrypt = on'
	start_daemon
	wait_until '[ "$(objects)" = 0 ]'
	run -1 grep -ra canary-7f3a "$SC_DIR"
	[ "$(sqlite3 "$SC_DIR/index.db" "$order")" = "$before" ]
	grep -q 'event=index-removed why="names in the clear"' "$SC_DIR/scd.log"
	"$SC" daemon restart
	[ "$(grep -c 'event=index-removed' "$SC_DIR/scd.log")" = 1 ]
}

@test "encrypt turned on: a daemon that was killed leaves its WAL, which goes as well" {
	config
	run -0 "$SC" get canary-7f3a/key -- echo canary-7f3a
	kill_daemon
	grep -aq canary-7f3a "$SC_DIR/index.db-wal"
	config 'encrypt = on'
	start_daemon
	wait_until '[ "$(objects)" = 0 ]'
	run -1 grep -ra canary-7f3a "$SC_DIR"
}

@test "encrypt: what was asked for is remembered, and is not told" {
	config 'encrypt = on'
	run -1 "$SC" get canary-7f3a/key
	run -3 "$SC" get canary-7f3a/fails -- sh -c 'exit 3'
	"$SC" daemon stop
	[ "$(sqlite3 "$SC_DIR/index.db" 'SELECT count(*) FROM history')" = 2 ]
	run -1 grep -ra canary-7f3a "$SC_DIR"
	run -0 "$SC" explain canary-7f3a/fails
	assert_output --partial 'the run failed, with status 3'
	run -0 "$SC" explain canary-7f3a/key
	assert_output --partial 'last miss: '
}
