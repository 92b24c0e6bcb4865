#!/usr/bin/env bats
# `sc stats`: what was asked, run, kept and given up, of the cache and of each bucket, the same figures in three forms.
load ../helper

# figure BUCKET NAME: as JSON has it; BUCKET "" is the cache.
figure() {
	"$SC" stats --json | python3 -c '
import json, sys
for line in sys.stdin:
    o = json.loads(line)
    if (o["scope"] == "cache") if not sys.argv[1] else (o["bucket"] == sys.argv[1]):
        print(json.dumps(o[sys.argv[2]]))' "$1" "$2"
}

is() { # BUCKET NAME VALUE
	local got
	got=$(figure "$1" "$2")
	[ "$got" = "$3" ] || { echo "bucket '$1', $2: $got, expected $3" >&2 && return 1; }
}

# The same out of the OpenMetrics text, which has to be valid.
metric() { "$SC" stats --openmetrics | python3 "$ROOT/tests/openmetrics.py" | awk -v n="$1" '$1 == n { print $2 }'; }

@test "stats: each answer and each end of a run is counted once, in its bucket and in the cache's sum" {
	entry a '123456789\n'
	"$SC" get a >"$T/o"
	"$SC" get a >"$T/o"
	run -1 "$SC" get nothing
	run -3 "$SC" get f --keep-failures 1h -- fails 3
	run -3 "$SC" get f --keep-failures 1h -- fails 3
	"$SC" get -t 0 once -- echo x >"$T/o"
	run -0 env SC_BUCKET=other "$SC" get a -- echo other
	bg one "$SC" get shared -- gate "$G"
	gate_up
	bg two "$SC" get shared -- false
	readers 2
	is default runs 1
	is '' runs 1
	step "$G" exit 0
	assert_rc 0 one two
	is default hits 2
	is default misses 1
	is default failures 1
	is default failure_hits 1
	is default follows 1
	is default leads 4
	is default commits 2
	is default unkept 1
	is default served_bytes 20
	is default stored_bytes 10
	is default bypasses 0
	is default runs 0
	is default entries 3
	is other leads 1
	is other commits 1
	is other entries 1
	is other hits 0
	is '' leads 5
	is '' commits 3
	is '' entries 4
	is '' damaged 0
}

@test "stats: stopped, lost and bypassed, removed, expired, evicted and damaged ones" {
	use_test_build
	mkdir -p "$SC_DIR" && chmod 700 "$SC_DIR"
	printf '[bucket tiny]\nmax-files = 64\n' >"$SC_DIR/config"
	entry gone x
	"$SC" rm gone
	bg_sh cut '"$SC" get cut -- gate "$G" | head -n 1'
	gate_up
	step "$G" out x
	[ "$(pipe_status cut)" = '141 0' ]
	wait_until '[ "$(figure default cancels)" = 1 ]'
	bg lost "$SC" get --strict lost -- gate "$(new_gate g2)"
	gate_up "$T/g2"
	kill -9 "$(parent_of "$(gate_pid "$T/g2")")"
	rc lost
	is default lost 1
	run -0 "$SC" get -t 300ms short -- true
	wait_until '[ "$(figure default expired)" = 1 ]'
	# The command asks for what it is making.
	run -0 "$SC" get in -- "$SC" get in -- true
	is default bypasses 1
	entry bad x
	rm "$(sqlite3 "$SC_DIR/index.db" "SELECT lower(hex(gen)) FROM entry WHERE key = CAST('bad' AS BLOB)" | sed "s,^\(..\).*,$SC_DIR/objects/\1/&.out,")"
	run -1 "$SC" get bad
	wait_until '[ "$(figure default removed)" = 2 ]'
	for n in $(seq 66); do SC_BUCKET=tiny entry "k$n" x; done
	wait_until '[ "$(figure tiny evicted)" -ge 1 ]'
	[ $(($(figure tiny entries) + $(figure tiny evicted))) = 66 ]
}

@test "stats: --json is one object a line, the cache's first, with each field of its kind" {
	entry a 'x\n'
	SC_BUCKET=b.2 entry a 'x\n'
	"$SC" stats --json >"$T/j"
	python3 - "$T/j" <<-'END'
		import json, sys, time
		rows = [json.loads(line) for line in open(sys.argv[1])]
		assert [(r["scope"], r["bucket"]) for r in rows] == [("cache", None), ("bucket", "b.2"), ("bucket", "default")], rows
		every = ["entries", "bytes", "runs", "hits", "stale_hits", "failure_hits", "follows", "leads", "misses", "bypasses", "commits",
		    "failures", "cancels", "lost", "unkept", "removed", "expired", "evicted", "served_bytes", "stored_bytes",
		    "memory_hits", "memory_served_bytes", "loads"]
		cache = ["connections", "damaged", "watchers", "uptime", "started", "max_bytes", "max_entries", "memory_entries", "memory_bytes",
		    "max_memory_bytes"]
		for r in rows:
		    assert sorted(r) == sorted(["scope", "bucket"] + every + (cache if r["scope"] == "cache" else [])), sorted(r)
		    for name in every:
		        assert type(r[name]) is int and r[name] >= 0, name
		c = rows[0]
		assert c["entries"] == 2 and c["bytes"] == 2 * 4096 and c["connections"] == 1
		assert rows[1]["bytes"] == 4096
		assert c["max_bytes"] == 10 << 30 and c["max_entries"] == 1000000
		assert c["max_memory_bytes"] == 64 << 20 and c["memory_entries"] == c["memory_bytes"] == 0
		assert 0 <= c["uptime"] < 600 and abs(time.time() - c["uptime"] - c["started"]) < 60, c
	END
}

@test "stats: no limit is null in JSON, and infinite in OpenMetrics" {
	mkdir -p "$SC_DIR" && chmod 700 "$SC_DIR"
	echo 'max-files = none' >"$SC_DIR/config"
	is '' max_entries null
	[ "$(metric sc_max_entries)" = +Inf ]
}

@test "stats: --openmetrics is what OpenMetrics and the textfile collector of node_exporter both take, with the same figures" {
	local n
	for n in 1 2 3; do SC_BUCKET=b-$n entry k 'x\n' && SC_BUCKET=b-$n "$SC" get k >"$T/o"; done
	"$SC" stats --openmetrics >"$T/m"
	python3 "$ROOT/tests/openmetrics.py" <"$T/m" >"$T/samples"
	[ "$(metric 'sc_entries{bucket="b-2"}')" = 1 ]
	[ "$(metric 'sc_hits_total{bucket="b-3"}')" = 1 ]
	[ "$(metric 'sc_served_bytes_total{bucket="b-1"}')" = 2 ]
	grep -qE '^sc_uptime_seconds [0-9]+\.[0-9]{3}$' "$T/samples"
	# Every figure that JSON has is there, under its name.
	"$SC" stats --json | head -n 1 | jq -r 'keys[] | select(. != "scope" and . != "bucket")' >"$T/names"
	while read -r n; do grep -qE "^sc_${n}(_seconds)?(_total)?[{ ]" "$T/samples" || { echo "no $n" >&2 && return 1; }; done <"$T/names"
}

@test "stats: what the parser of these tests refuses (so that it can)" {
	local bad
	"$SC" stats --openmetrics >"$T/m"
	refuses() { run -1 python3 "$ROOT/tests/openmetrics.py"; }
	sed '$d' "$T/m" | refuses
	sed 's/_total / /' "$T/m" | refuses
	sed '/^# TYPE sc_damaged/d' "$T/m" | refuses
	sed 's/^\(sc_damaged_total.*\)/\1 1700000000/' "$T/m" | refuses
	sed 's/^\(sc_damaged_total.*\)/\1\n\1/' "$T/m" | refuses
	sed 's/^sc_damaged_total .*/sc_damaged_total none/' "$T/m" | refuses
	sed 's/^# EOF/\n# EOF/' "$T/m" | refuses
}

@test "stats: for people: the cache, then each bucket, a figure a line; stdout that is closed ends it silently" {
	entry a 'x\n'
	run -0 --separate-stderr "$SC" stats
	[ -z "$stderr" ]
	assert_line --index 0 'cache:'
	assert_line 'bucket default:'
	assert_line --regexp '^  commits +1  runs that were kept$'
	assert_line --regexp '^  max_bytes +10G  '
	run -141 --separate-stderr bash -c 'exec 5> >(:); wait $!; "$SC" stats >&5'
	[ -z "$stderr" ]
}

@test "stats: buckets beyond the bound are counted together, and nothing grows with them" {
	local n
	# Misses without a command: they make no entry, so there is nothing but the counters.
	for n in $(seq 1030); do printf '%s\n' "b$n"; done >"$T/buckets"
	start_daemon
	xargs -P 2 -I{} env SC_BUCKET={} "$SC" get k <"$T/buckets" || true
	"$SC" stats --json >"$T/j"
	python3 - "$T/j" <<-'END'
		import json, sys
		rows = [json.loads(line) for line in open(sys.argv[1])]
		assert rows[0]["misses"] == 1030
		others = [r for r in rows if r["scope"] == "bucket" and r["bucket"] is None]
		named = [r for r in rows if r["bucket"] is not None]
		assert len(others) == 1 and others[0]["misses"] == 6, others
		assert len(named) == 1024 and all(r["misses"] == 1 for r in named)
		assert [r["bucket"] for r in named] == sorted(r["bucket"] for r in named)
	END
	"$SC" stats --openmetrics | python3 "$ROOT/tests/openmetrics.py" >"$T/samples"
	grep -qxF 'sc_misses_total{bucket="+others"} 6' "$T/samples"
}

@test "stats: usage" {
	run -2 "$SC" stats k
	run -2 "$SC" stats --json --openmetrics
	run -2 "$SC" stats --jsn
	no_daemon
}
