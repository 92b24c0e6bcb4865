#!/usr/bin/env bats
# --status-fd: one line of JSON that says what became of the call.
load ../helper

@test "--status-fd: every field, of a run" {
	"$SC" get -t 1h --status-fd 3 k -- fails -o out -e error 3>"$T/s" 2>"$T/err" >"$T/out"
	[ "$(lines_in "$T/s")" = 1 ]
	[ "$(jq -r 'keys_unsorted[]' "$T/s" | sort | tr '\n' ' ')" = \
		'age bucket bytes complete error exit generation key reason signal source stderr_bytes ttl ' ]
	[ "$(jq -c '[.source, .key, .bucket, .exit, .bytes, .stderr_bytes, .ttl, .complete, .error]' "$T/s")" = \
		'["run","k","default",0,4,6,3600,true,null]' ]
	[[ $(field generation "$T/s") =~ ^[0-9a-f]{32}$ ]]
	[ -e "$SC_DIR/objects/$(field generation "$T/s" | cut -c 1-2)/$(field generation "$T/s").out" ]
}

@test "--status-fd: a hit has the same generation, and an age" {
	"$SC" get -t 100s --status-fd 3 k -- echo abc 3>"$T/run" >"$T/out"
	"$SC" get --status-fd=4 k 4>"$T/hit" >"$T/out"
	[ "$(jq -c '[.source, .exit, .bytes, .stderr_bytes, .ttl, .complete]' "$T/hit")" = '["hit",0,4,0,100,true]' ]
	[ "$(field generation "$T/hit")" = "$(field generation "$T/run")" ]
	[ "$(jq '.age >= 0 and .age < 60' "$T/hit")" = true ]
}

@test "--status-fd: a follower, with the run's failure" {
	bg_sh a '"$SC" get --status-fd 3 k -- gate "$G" 3>"$T/a.s"'
	step "$G" out x
	bg_sh b '"$SC" get --status-fd 3 k 3>"$T/b.s"'
	shows b 'x\n'
	step "$G" exit 5
	rc a >/dev/null
	rc b >/dev/null
	[ "$(jq -c '[.source, .exit, .bytes, .complete]' "$T/a.s")" = '["run",5,2,true]' ]
	[ "$(jq -c '[.source, .exit, .bytes, .complete]' "$T/b.s")" = '["follow",5,2,true]' ]
	[ "$(field generation "$T/a.s")" = "$(field generation "$T/b.s")" ]
}

@test "--status-fd: a signal" {
	run -143 bash -c '"$SC" get --status-fd 3 k -- fails -k 15 3>"$T/s"'
	[ "$(field signal "$T/s")" = 15 ]
}

@test "--status-fd: a miss" {
	run -1 bash -c '"$SC" get --status-fd 3 k 3>"$T/s"'
	[ "$(jq -c '[.source, .key]' "$T/s")" = '["miss","k"]' ]
}

@test "--status-fd: a bypass, written before the command runs, exit null" {
	SC_DISABLE=1 "$SC" get --status-fd 3 k -- sh -c 'cat "$T/s"' 3>"$T/s" >"$T/seen"
	[ "$(jq -c '[.source, .exit]' "$T/s")" = '["bypass",null]' ]
	cmp "$T/s" "$T/seen"
	mkdir "$T/bad"
	chmod 777 "$T/bad"
	SC_DIR=$T/bad "$SC" get --status-fd 3 k -- true 3>"$T/s" 2>"$T/err"
	[ "$(jq -c '[.source, .exit]' "$T/s")" = '["bypass",null]' ]
	[ "$(field reason "$T/s")" != null ]
}

@test "--status-fd is not passed on to the command" {
	"$SC" get --status-fd 9 k -- fds 9>"$T/s" >"$T/out"
	run -1 grep -q '^9 ' "$T/out"
	SC_DISABLE=1 "$SC" get --status-fd 9 l -- fds 9>"$T/s" >"$T/out"
	run -1 grep -q '^9 ' "$T/out"
}

@test "--status-fd: odd keys are valid JSON; key_b64 only where key is not exact" {
	local key
	for key in $'a"b\\c\nd\te\e' 'ключ' ' '; do
		"$SC" get --status-fd 3 "$key" -- true 3>"$T/s"
		jq -j .key "$T/s" | cmp - <(printf %s "$key")
		[ "$(field key_b64 "$T/s")" = null ]
	done
	key=$'\xff\xfea'
	"$SC" get --status-fd 3 "$key" -- true 3>"$T/s"
	jq -j .key_b64 "$T/s" | base64 -d | cmp - <(printf %s "$key")
}

@test "--status-fd: a command that cannot be found" {
	run -127 bash -c '"$SC" get --status-fd 3 k -- no-such-command-here 3>"$T/s"'
	[ "$(field exit "$T/s")" = 127 ]
}

@test "S09: --status-fd: a terminal gets no control character of a key" {
	local key
	for key in $'a\e[31m' $'a\x7f' $'a\xc2\x9b31m' $'a\xff'; do
		pty - "$SC" get --status-fd 1 -- "$key" >"$T/shown" || true
		grep -q source "$T/shown"
		LC_ALL=C run -1 grep -qaP '\x1b|\xff|\xc2\x9b|\x7f' "$T/shown"
		"$SC" get --status-fd 3 -- "$key" 3>"$T/s" || true
		python3 -c 'import json, sys, base64; o = json.load(open(sys.argv[1])); k = o["key"]; assert (k.encode() if k is not None else base64.b64decode(o["key_b64"])) == sys.argv[2].encode("utf-8", "surrogateescape"), o' "$T/s" "$key"
	done
}
