#!/usr/bin/env bats
# `sc explain KEY`: the entry, the runs, what became of the last one, and why the last question was a miss.
load ../helper

# of KEY FILTER: out of the JSON.
of() { "$SC" explain --json "$1" | jq -c "$2"; }

missed() { # KEY CAUSE: why the last miss was one
	local got
	got=$(of "$1" .miss.cause)
	[ "$got" = "\"$2\"" ] || { "$SC" explain "$1" >&2 && return 1; }
}

ended() { # KEY CAUSE: what became of the last run or entry; waited for
	wait_until "[ \"\$(of '$1' .last.cause)\" = '\"$2\"' ]" || { "$SC" explain "$1" >&2 && return 1; }
}

# The writer of the command at gate G cannot write any more, because of ERROR.
writer_fails() {
	use_test_build
	bg tracer env ASAN_OPTIONS=detect_leaks=0 strace -qq -o "$T/trace" -e trace=write -e "inject=write:error=$1" -p "$(parent_of "$(gate_pid)")"
	wait_until '[ "$(awk "/TracerPid/ { print \$2 }" /proc/"$(parent_of "$(gate_pid)")"/status)" != 0 ]'
}

@test "explain: never seen, expired, too old, refreshed" {
	run -1 "$SC" get k
	missed k never
	[ "$(of k .last)" = null ]
	run -0 "$SC" get -t 300ms k -- true
	missed k never
	ended k expired
	run -0 "$SC" get k -- true
	missed k expired
	[ "$(of k .last)" = null ]
	wait_until '"$SC" get -t 1ms k -- true && [ "$(of k .miss.cause)" = "\"old\"" ]'
	run -0 "$SC" get -r k -- true
	missed k refreshed
	run -1 "$SC" get other
	missed other never
}

@test "explain: expired says when the entry's time was over, also while its row is still there" {
	run -0 "$SC" get -t 1s --stale 1h k -- true
	local created
	created=$(of k .entry.created)
	wait_until '[ "$(of k .entry.fresh)" = false ]'
	run -1 "$SC" get k
	missed k expired
	python3 -c 'import sys; a, b = map(float, sys.argv[1:]); assert abs(b - a - 1) < 0.001, (a, b)' "$created" "$(of k .miss.time)"
}

@test "explain: the run before failed, with a status or a signal; also one that is kept" {
	run -3 "$SC" get k -- fails 3
	ended k failed
	[ "$(of k '[.last.exit, .last.signal]')" = '[3,null]' ]
	run -1 "$SC" get k
	missed k failed
	[ "$(of k '[.miss.exit, .miss.signal]')" = '[3,null]' ]
	run "$SC" get k -- sh -c 'kill -TERM $$'
	run -1 "$SC" get k
	[ "$(of k '[.miss.cause, .miss.exit, .miss.signal]')" = '["failed",null,15]' ]
	run -3 "$SC" get --keep-failures 1h f -- fails 3
	run -1 "$SC" get f
	missed f failed
	[ "$(of f '[.entry, .failure.exit, .failure.fresh]')" = '[null,3,true]' ]
	run -0 "$SC" explain f
	assert_line 'entry: none'
	assert_line --regexp '^kept failure: 0, status 3, '
}

@test "explain: its last reader left; its writer was killed; it was not to be kept" {
	bg_sh cut '"$SC" get cut -- gate "$G" | head -n 1'
	gate_up
	step "$G" out x
	[ "$(pipe_status cut)" = '141 0' ]
	ended cut cancelled
	run -1 "$SC" get cut
	missed cut cancelled
	"$SC" explain cut | grep -qF 'its last reader left (--finish lets such a run end and be kept)'
	use_test_build
	bg lost "$SC" get --strict lost -- gate "$(new_gate g2)"
	gate_up "$T/g2"
	kill -9 "$(parent_of "$(gate_pid "$T/g2")")"
	rc lost
	ended lost lost
	run -1 "$SC" get lost
	missed lost lost
	run -0 "$SC" get -t 0 once -- true
	run -1 "$SC" get once
	missed once unkept
}

@test "explain: a run whose writer was killed while no daemon lived is lost, as the next one finds it" {
	use_test_build
	bg lost "$SC" get --strict lost -- gate "$G"
	gate_up
	local writer
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer" "$(pid_of lost)"
	kill_daemon
	kill -9 "$writer"
	wait_until "dead $writer"
	start_daemon
	ended lost lost
	kill -CONT "$(pid_of lost)"
	rc lost
}

@test "explain: removed, also while it ran; evicted; unreadable" {
	mkdir -p "$SC_DIR" && chmod 700 "$SC_DIR"
	echo 'max-files = 64' >"$SC_DIR/config"
	entry k x
	"$SC" rm k
	ended k removed
	run -1 "$SC" get k
	missed k removed
	"$SC" explain k | grep -q 'it was removed$\|it was removed ('
	bg doomed "$SC" get doomed -- gate "$G"
	gate_up
	"$SC" rm doomed
	step "$G" exit 0
	assert_rc 0 doomed
	run -1 "$SC" get doomed
	missed doomed removed
	"$SC" explain doomed | grep -q 'while it ran it was removed'
	entry bad x
	rm "$SC_DIR"/objects/*/*.out
	run -1 "$SC" get bad
	missed bad unreadable
	ended bad unreadable
	run -1 "$SC" get bad
	missed bad unreadable
	entry out x
	for n in $(seq 70); do entry "n$n" x; done
	ended out evicted
	run -1 "$SC" get out
	missed out evicted
}

@test "explain: damaged bytes, found by verify, are unreadable" {
	entry k 'what it was\n'
	printf X | dd of="$(grep -l 'what it was' "$SC_DIR"/objects/*/*.out)" conv=notrunc status=none
	run "$SC" verify --repair
	ended k unreadable
	run -1 "$SC" get k
	missed k unreadable
}

@test "explain: too large, disk full, not to be stored otherwise: what it was, and that the next one was run directly" {
	local error word
	mkdir -p "$SC_DIR" && chmod 700 "$SC_DIR"
	echo 'max-entry = 64K' >"$SC_DIR/config"
	"$SC" get big -- flood 1M >"$T/o"
	ended big too-large
	run -0 "$SC" get -q big -- true
	missed big too-large
	for error in ENOSPC EIO; do
		word=$([ $error = EIO ] && echo unstored || echo disk-full)
		rm -f "$G/runs"
		bg a "$SC" get -q "$error" -- gate "$G"
		gate_up
		writer_fails $error
		step "$G" out x
		wait_until 'grep -q INJECTED "$T/trace"'
		step "$G" exit 0
		assert_rc 0 a
		rc tracer
		ended $error $word
		[ "$(of $error .last.error)" = "\"$error\"" ]
		run -0 "$SC" get -q $error -- true
		missed $error $word
	done
}

@test "get -v of what is not there says so, in the words that --status-fd has" {
	run -1 --separate-stderr "$SC" get -v --status-fd 1 nokey
	[ "$stderr" = 'sc: nokey: no such key' ]
	[ "$(jq -r .reason <<<"$output")" = 'no such key' ]
	run -1 --separate-stderr "$SC" get nokey
	[ -z "$output$stderr" ]
}

@test "explain: asked for from inside of its own run" {
	run -0 "$SC" get in -- "$SC" get in -- true
	missed in bypassed
}

@test "explain: --json is one object, with each field of its kind; a run in progress is in it" {
	run -0 "$SC" get -t 90 --stale 10 --tag a --tag b k -- sh -c 'printf abc; echo err >&2'
	bg a "$SC" get -r k -- gate "$G"
	step "$G" out 12345
	"$SC" explain --json k >"$T/j"
	[ "$(lines_in "$T/j")" = 1 ]
	python3 - "$T/j" "$(gate_pid)" "$(pid_of a)" <<-'END'
		import json, re, sys, time
		o = json.loads(open(sys.argv[1]).read())
		now = time.time()
		assert list(o) == ["key", "bucket", "entry", "failure", "runs", "last", "miss", "other_command"], list(o)
		assert (o["key"], o["bucket"], o["failure"], o["last"], o["other_command"]) == ("k", "default", None, None, None), o
		e = o["entry"]
		assert re.fullmatch("[0-9a-f]{32}", e.pop("generation"))
		assert abs(now - e.pop("created")) < 60 and 0 <= e.pop("age") < 60 and 0 <= e.pop("took") < 60
		assert e == {"ttl": 90.0, "stale": 10.0, "fresh": True, "exit": 0, "signal": None, "bytes": 3, "stderr_bytes": 16, "hits": 0, "tags": ["a", "b"], "command": None, "memory": False, "sealed": False}, e
		(r,) = o["runs"]
		assert re.fullmatch("[0-9a-f]{32}", r.pop("generation")) and 0 <= r.pop("age") < 60
		pids = {"leader": int(sys.argv[3]), "pid": int(sys.argv[2])}
		assert r.pop("lag_least") <= 6 and r.pop("lag_most") <= 6
		assert r == {"state": "running", "bytes": 6, "stderr_bytes": 0, "readers": 1, "command": None, **pids}, r
		m = o["miss"]
		assert abs(now - m.pop("time")) < 60 and 0 <= m.pop("age") < 60
		assert m == {"cause": "refreshed", "exit": None, "signal": None, "error": None}, m
	END
	run -0 "$SC" explain k
	assert_line --regexp '^entry: 19, status 0, made .* ago, took .*, served 0 times, generation [0-9a-f]{32}, good for 1m'
	assert_line --regexp '^run: running for .*, 6 so far, 1 reader, generation [0-9a-f]{32}$'
	assert_line --regexp '^last miss: .* ago: a new one was asked for \(--refresh\)$'
	step "$G" exit 0
	assert_rc 0 a
}

@test "explain: history outlives the daemon that stops, and is of this bucket and this key alone" {
	run -3 "$SC" get k -- fails 3
	"$SC" daemon stop
	ended k failed
	run -1 "$SC" get k
	missed k failed
	[ "$(of kk .last)" = null ]
	[ "$(SC_BUCKET=other of k '[.bucket, .last, .miss]')" = '["other",null,null]' ]
	"$SC" daemon stop
	missed k failed
}

@test "explain: of how many keys history is known is bounded; the oldest go" {
	local n
	start_daemon
	run -1 "$SC" get first
	"$SC" daemon stop
	missed first never
	sqlite3 "$SC_DIR/index.db" "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4100)
		INSERT INTO history (bucket, key, fate, fate_exit, fate_signal, fate_error, fate_ms, miss, miss_exit, miss_signal, miss_error, miss_ms, missed_ms, other_ms, sealed)
		SELECT 'default', CAST('n' || i AS BLOB), 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0 FROM n"
	run -1 "$SC" get last
	"$SC" daemon stop
	[ "$(sqlite3 "$SC_DIR/index.db" 'SELECT count(*) FROM history')" -le 4096 ]
	missed last never
	[ "$(of first .miss)" = null ]
}

@test "explain: a key that is no text: escaped on a terminal, exact in JSON" {
	local key=$'n\nl\e[31m\x9b\xff'
	entry "$key" x
	pty - "$SC" explain "$key" >"$T/shown"
	run -1 grep -aq $'\e\\|\x9b\\|\xff' "$T/shown"
	grep -qF 'key: n\nl' "$T/shown"
	"$SC" explain --json "$key" >"$T/j"
	python3 - "$T/j" <<-'END'
		import base64, json, sys
		o = json.loads(open(sys.argv[1]).read())
		assert o["key"] is None and base64.b64decode(o["key_b64"]) == b"n\nl\x1b[31m\x9b\xff", o
	END
}

@test "explain: it only looks: it makes nothing fresher, and is no question of its own" {
	entry k x
	"$SC" explain k >"$T/o"
	missed k never
	run -0 "$SC" explain nothing
	assert_output $'key: nothing\nentry: none'
	[ "$("$SC" stats --json | head -n 1 | jq '[.hits, .misses]' -c)" = '[0,0]' ]
}

@test "explain: usage" {
	run -2 "$SC" explain
	run -2 "$SC" explain ''
	run -2 "$SC" explain a b
	run -2 "$SC" explain "$(printf '%04097d' 0)"
	no_daemon
}
