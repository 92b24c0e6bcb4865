#!/usr/bin/env bats
# The key alone decides. Who asks with another command than that which made it is told so, and no command line is kept for anybody to read
# unless `show-commands` says so.
load ../helper

# of KEY FILTER: out of the JSON.
of() { "$SC" explain --json "$1" | jq -c "$2"; }

config() {
	mkdir -p -m 700 "$SC_DIR"
	printf '%s\n' "$@" >"$SC_DIR/config"
}

# says TEXT FILE: a line of FILE has it.
says() { grep -qF -- "$1" "$2" || { cat "$2" >&2 && return 1; }; }

@test "G22: another command for a key gets what the first one made; -v and explain say so" {
	"$SC" get k -- echo one >"$T/out"
	[ "$(of k .other_command)" = null ]
	run -0 --separate-stderr "$SC" get -v k -- echo two
	[ "$output" = one ]
	[[ $stderr == *'another command made it'* ]]
	[ "$(of k .other_command.cause)" = '"command"' ]
	"$SC" explain k >"$T/explained"
	grep -Eq '^made by another command: [0-9.a-z]+ ago: who asked would have made it with another command' "$T/explained"
	# That is of the entry there is: what is made anew has been given to nobody yet.
	run -0 "$SC" get -r k -- echo two
	[ "$output" = two ]
	[ "$(of k .other_command)" = null ]
	# Also behind a restart, which is no question.
	run -0 "$SC" get k -- echo three
	"$SC" daemon restart
	[ "$(of k .other_command.cause)" = '"command"' ]
}

@test "G22: the same command says nothing, nor does who has none, nor what was put" {
	"$SC" get k -- echo one >"$T/out"
	"$SC" get -v k -- echo one 2>"$T/err" >"$T/out"
	"$SC" get -v k 2>>"$T/err" >"$T/out"
	echo x | "$SC" put p
	"$SC" get -v p -- echo one 2>>"$T/err" >"$T/out"
	run -1 grep 'another command' "$T/err"
	[ "$(of k .other_command)$(of p .other_command)" = nullnull ]
}

@test "G22: words that run together are another command: 'a b' is not a b" {
	"$SC" get k -- echo 'a b' >"$T/out"
	"$SC" get -v k -- echo a b >"$T/out" 2>"$T/err"
	says 'another command made it' "$T/err"
}

@test "G22: who joins a run of another command is told, also by a daemon that did not see it begin" {
	bg a "$SC" get --finish k -- gate "$G"
	gate_up
	bg b "$SC" get -v k -- true
	wait_until "grep -q 'of another command' '$T/b.err'"
	[ "$(of k .other_command.cause)" = '"command"' ]
	kill_daemon
	bg c "$SC" get -v k -- true
	wait_until "grep -q 'of another command' '$T/c.err'"
	bg d "$SC" get -v k -- gate "$G"
	wait_until "grep -q 'following' '$T/d.err'"
	run -1 grep 'another command' "$T/d.err"
	step "$G" exit 0
	for n in a b c d; do assert_rc 0 $n; done
	[ "$(runs)" = 1 ]
}

@test "S13: by default no word of a command is in the cache, in its memory for people, or shown" {
	bg a "$SC" get k -- bash -c 'exec gate "$0"' "$G" canary-7f3a
	gate_up
	{ "$SC" explain k && "$SC" explain --json k && "$SC" ps --json; } >"$T/shown"
	step "$G" exit 0
	assert_rc 0 a
	{ "$SC" explain k && "$SC" explain --json k && "$SC" ls --json; } >>"$T/shown"
	run -1 grep -r canary-7f3a "$T/shown"
	[ "$(of k .entry.command)" = null ]
	"$SC" daemon stop
	run -1 grep -ra canary-7f3a "$SC_DIR"
}

@test "show-commands = on: explain, ls and ps show the words, of runs and of entries" {
	config 'show-commands = on'
	bg a "$SC" get k -- bash -c 'exec gate "$0"' "$G" 'a b' $'\e[1m\xff' "it's"
	gate_up
	"$SC" ps --json >"$T/ps"
	"$SC" explain --json k >"$T/explained"
	# A daemon that did not see it begin hears it from the writer.
	kill_daemon
	"$SC" daemon start
	wait_until '[ "$(jq .runs[0].command[4] < <("$SC" explain --json k))" = "\"a b\"" ]'
	step "$G" exit 0
	assert_rc 0 a
	"$SC" ls --json >"$T/ls"
	"$SC" explain k >"$T/text"
	python3 - "$G" "$T"/{ps,explained,ls} <<-'END'
		import json, sys
		want = ["bash", "-c", 'exec gate "$0"', sys.argv[1], "a b", "\\x1b[1m\\xff", "it's"]
		ps, explained, ls = (json.load(open(f)) for f in sys.argv[2:])
		assert ps["command"] == want, ps
		assert explained["runs"][0]["command"] == want and explained["entry"] is None, explained
		assert ls["command"] == want, ls
	END
	says "  made by: bash -c 'exec gate \"\$0\"' $G 'a b' " "$T/text"
	run -1 grep -q $'\e' "$T/text"
}

@test "show-commands: of a bucket, and of that alone; the default of the cache holds in the others" {
	config '[bucket shown]' 'show-commands = on'
	"$SC" get -b shown k -- echo canary-7f3a >"$T/out"
	"$SC" get k -- echo canary-7f3a >"$T/out"
	[ "$("$SC" explain -b shown --json k | jq -c .entry.command)" = '["echo","canary-7f3a"]' ]
	[ "$(of k .entry.command)" = null ]
	config 'show-commands = on' '[bucket hidden]' 'show-commands = off'
	"$SC" daemon restart
	"$SC" get -r k -- echo x >"$T/out"
	"$SC" get -b hidden k -- echo x >"$T/out"
	[ "$(of k .entry.command)" = '["echo","x"]' ]
	[ "$("$SC" explain -b hidden --json k | jq -c .entry.command)" = null ]
}

@test "show-commands: a long command line is cut off at 1024 bytes, and explain shows that it is" {
	local long
	config 'show-commands = on'
	long=$(printf 'x%.0s' {1..5000})
	"$SC" get k -- true "$long" >"$T/out"
	[ "$(of k '.entry.command | map(length)')" = "[4,$((1024 - 5))]" ]
	"$SC" explain k >"$T/text"
	grep -Eq '^  made by: true x+\.\.\.$' "$T/text"
	"$SC" get e -- true '' 'a b' '' >"$T/out"
	"$SC" explain e >"$T/text"
	says "  made by: true '' 'a b' ''" "$T/text"
	# What fits is not cut.
	"$SC" get l -- true "${long:0:1018}" >"$T/out"
	[ "$(of l '.entry.command | map(length)')" = '[4,1018]' ]
	"$SC" explain l >"$T/text"
	grep -Eq '^  made by: true x{1018}$' "$T/text"
}
