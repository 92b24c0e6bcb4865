#!/usr/bin/env bats
# `sc watch`: a line for each thing that happens to a key, each once, as it happens.
load ../helper

# watching NAME [OPTION…]: watches in the background, and does so by now.
watching() {
	local name=$1 n
	shift
	start_daemon
	n=$("$SC" stats --json | head -n 1 | jq .watchers)
	bg "$name" "$SC" watch "$@"
	watchers $((n + 1))
}

watchers() { wait_until "[ \"\$(\"\$SC\" stats --json | head -n 1 | jq .watchers)\" = $1 ]"; }

# story KEY: the events of a key in the JSON of $T/w.out, in a row; those that were there in brackets.
story() { jq -r --arg k "$1" 'select(.key == $k) | if .initial then "[\(.event)]" else .event end' "$T/w.out" | paste -sd ' '; }

tells() { # KEY WORDS: it comes to that
	wait_until "[ \"\$(story '$1')\" = '$2' ]" || { echo "$1: $(story "$1"), expected $2" >&2 && return 1; }
}

stop_watching() { kill "$(pid_of w)" && rc w >"$T/.rc"; }

@test "watch: start and commit, fail, end, cancel, lost, remove, expire and evict: of each its kind, once, in its order" {
	use_test_build
	mkdir -p "$SC_DIR" && chmod 700 "$SC_DIR"
	echo 'max-files = 64' >"$SC_DIR/config"
	watching w --json
	entry good 'x\n'
	tells good 'start commit'
	run -3 "$SC" get bad -- fails 3
	tells bad 'start fail'
	run -0 "$SC" get -t 0 once -- true
	tells once 'start end'
	bg_sh cut '"$SC" get cut -- gate "$G" | head -n 1'
	gate_up
	step "$G" out x
	[ "$(pipe_status cut)" = '141 0' ]
	tells cut 'start cancel'
	bg lost "$SC" get --strict lost -- gate "$(new_gate g2)"
	gate_up "$T/g2"
	kill -9 "$(parent_of "$(gate_pid "$T/g2")")"
	rc lost
	tells lost 'start lost'
	"$SC" rm good nothing
	tells good 'start commit remove'
	run -0 "$SC" get -t 300ms short -- true
	tells short 'start commit expire'
	# Doomed while it runs: its end is told all the same.
	bg doomed "$SC" get doomed -- gate "$(new_gate g3)"
	gate_up "$T/g3"
	"$SC" rm doomed
	step "$T/g3" exit 0
	assert_rc 0 doomed
	tells doomed 'start end'
	entry gone 'x\n'
	rm "$SC_DIR"/objects/*/*.out
	run -1 "$SC" get gone
	tells gone 'start commit remove'
	entry k0 x
	for n in $(seq 70); do entry "k$n" x; done
	wait_until '[ "$(jq -s "map(select(.event == \"evict\")) | length" "$T/w.out")" -ge 6 ]'
	tells nothing ''
	[ "$(jq -r 'select(.key == "doomed" and .event == "end").reason' "$T/w.out")" = removed ]
	[ "$(jq -r 'select(.key == "once" and .event == "end").reason' "$T/w.out")" = ttl ]
	[ "$(jq -r 'select(.key == "gone" and .event == "remove").reason' "$T/w.out")" = damaged ]
	# A run is one generation from its beginning to its end, and its entry too.
	run -0 jq -r 'select(.key == "good").generation' "$T/w.out"
	[ "${lines[0]}" = "${lines[1]}" ] && [ "${lines[0]}" = "${lines[2]}" ]
	stop_watching
}

@test "watch: --json is one object a line, with each field of its kind" {
	watching w --json
	run -0 "$SC" get -t 90 k -- sh -c 'printf abc; echo err >&2'
	run -4 "$SC" get --keep-failures 1h f -- fails 4
	run "$SC" get s -- sh -c 'kill -TERM $$'
	tells s 'start fail'
	stop_watching
	python3 - "$T/w.out" <<-'END'
		import json, re, sys, time
		rows = [json.loads(line) for line in open(sys.argv[1])]
		fields = ["event", "time", "bucket", "key", "generation", "initial", "exit", "signal", "bytes", "stderr_bytes", "ttl", "kept",
		    "reason", "error", "missed"]
		for r in rows:
		    assert list(r) == fields, list(r)
		    assert abs(time.time() - r["time"]) < 60 and r["bucket"] == "default" and r["initial"] is False and r["missed"] is None
		    assert re.fullmatch("[0-9a-f]{32}", r["generation"])
		    assert r["reason"] is None and r["error"] is None
		say = lambda r: tuple(r[f] for f in ("event", "key", "exit", "signal", "bytes", "ttl", "kept"))
		assert [say(r) for r in rows] == [
		    ("start", "k", None, None, None, None, None), ("commit", "k", 0, None, 3, 90.0, None),
		    ("start", "f", None, None, None, None, None), ("fail", "f", 4, None, 0, None, True),
		    ("start", "s", None, None, None, None, None), ("fail", "s", None, 15, 0, None, False)], [say(r) for r in rows]
		assert rows[1]["stderr_bytes"] == 4 + 12, rows[1]
		assert rows == sorted(rows, key=lambda r: r["time"])
	END
}

@test "watch: what cannot be stored is told as such, with the reason" {
	mkdir -p "$SC_DIR" && chmod 700 "$SC_DIR"
	echo 'max-entry = 64K' >"$SC_DIR/config"
	watching w --json
	"$SC" get big -- flood 1M >"$T/o"
	tells big 'start end'
	[ "$(jq -c 'select(.event == "end") | [.reason, .error]' "$T/w.out")" = '["store","EFBIG"]' ]
	stop_watching
}

@test "watch: for people a line has its time, what happened, the generation, a word, the key" {
	watching w
	entry a 'x\n'
	run -3 "$SC" get b -- fails 3
	"$SC" rm a
	wait_until '[ "$(lines_in "$T/w.out")" = 5 ]'
	stop_watching
	run -0 cat "$T/w.out"
	local time='20[0-9-]+T[0-9:]+\.[0-9]{3}Z' gen='[0-9a-f]{8}'
	assert_line --index 0 --regexp "^$time  start    $gen  -         a\$"
	assert_line --index 1 --regexp "^$time  commit   $gen  2         a\$"
	assert_line --index 2 --regexp "^$time  start    $gen  -         b\$"
	assert_line --index 3 --regexp "^$time  fail     $gen  exit=3    b\$"
	assert_line --index 4 --regexp "^$time  remove   $gen  2         a\$"
}

@test "watch: PREFIX and the bucket say of which keys one is told" {
	watching w --json a/
	entry a/1 x
	entry b/1 x
	SC_BUCKET=other entry a/2 x
	entry a/ x
	tells a/ 'start commit'
	stop_watching
	run -0 jq -r .key "$T/w.out"
	assert_output $'a/1\na/1\na/\na/'
	SC_BUCKET=other watching w --json --initial
	tells a/2 '[commit]'
	SC_BUCKET=other entry a/3 x
	tells a/3 'start commit'
	stop_watching
}

@test "watch: --initial tells of runs in progress and of entries, then goes on; expired ones and failures are no entries" {
	entry b 'x\n'
	entry a 'x\n'
	run -3 "$SC" get --keep-failures 1h f -- fails 3
	bg run "$SC" get z -- gate "$G"
	gate_up
	watching w --json --initial
	tells z '[start]'
	tells b '[commit]'
	step "$G" exit 0
	tells z '[start] commit'
	assert_rc 0 run
	stop_watching
	run -0 jq -r '"\(.event) \(.key)"' "$T/w.out"
	assert_output $'start z\ncommit a\ncommit b\ncommit z'
}

# The listing stands still, because nobody reads it, and behind where it stands a run ends that went on when it began, another begins and
# ends, an entry is made anew and one goes.
@test "watch: hold and release: a lease is told of once, what it takes the place of is removed first, and --initial knows it" {
	watching w --json
	entry k 'old\n'
	tells k 'start commit'
	bg h "$SC" hold k value -- gate "$G"
	gate_up
	tells k 'start commit remove hold'
	run -124 "$SC" hold k other -- touch "$T/ran"
	watching i --initial --json
	wait_until '[ -s "$T/i.out" ]'
	[ "$(jq -r '[.event, .key, .initial] | @csv' "$T/i.out")" = '"hold","k",true' ]
	[ "$(jq -r .generation "$T/i.out")" = "$(jq -r 'select(.event == "hold").generation' "$T/w.out")" ]
	kill_daemon # it ends who watch; the next one tells of the lease it has found, and of its end
	assert_rc 125 w i
	watching w --initial --json
	tells k '[hold]'
	step "$G" exit 0
	assert_rc 0 h
	tells k '[hold] release'
	bg h "$SC" hold -w 20 k -- gate "$G"
	wait_until '[ "$(runs)" = 2 ]'
	tells k '[hold] release hold'
	kill -9 "$(pid_of h)"
	tells k '[hold] release hold release'
	stop_watching
	[ ! -e "$T/ran" ]
}

@test "watch: --initial: what changes behind the listing while it lasts is told once, as it is" {
	local long n fd
	long=$(printf '%04000d' 0)
	for n in $(seq 100 299); do printf '%s\n' "$n"; done | xargs -P 2 -I{} sh -c 'echo x | "$SC" put "k{}-$1"' sh "$long"
	for n in anew goes stays; do entry "z$n" 'x\n'; done
	bg run "$SC" get zran -- gate "$G"
	gate_up
	mkfifo "$T/fifo"
	exec {fd}<>"$T/fifo"
	bg_sh slow 'exec "$SC" watch --initial --json >"$T/fifo"'
	watchers 1
	step "$G" exit 0
	assert_rc 0 run
	entry zlater 'x\n'
	run -0 "$SC" get -r zanew -- echo y
	"$SC" rm zgoes
	bg all cat "$T/fifo"
	exec {fd}>&-
	cp /dev/null "$T/w.out"
	wait_until 'grep -q "\"zstays\"" "$T/all.out"'
	entry last x
	wait_until 'grep -q "\"commit\".*\"last\"" "$T/all.out"'
	kill "$(pid_of slow)" "$(pid_of all)"
	rc all >"$T/.rc"
	cp "$T/all.out" "$T/w.out"
	[ "$(story zran)" = '[start] commit' ]
	[ "$(story zlater)" = 'start commit' ]
	[ "$(story zstays)" = '[commit]' ]
	[ "$(story zanew)" = 'start commit' ]
	[ "$(story zgoes)" = remove ]
	[ "$(jq -s 'map(select(.event == "missed")) | length' "$T/w.out")" = 0 ]
	[ "$(jq -r 'select(.key[0:1] == "k").key' "$T/w.out" | sort -u | wc -l)" = 200 ]
	[ "$(jq -r 'select(.key[0:1] == "k").key' "$T/w.out" | wc -l)" = 200 ]
}

@test "watch: --initial: a run that ends in the moment of the question is told to be there first, and then to have ended" {
	bg run "$SC" get z -- gate "$G"
	gate_up
	local daemon gate
	daemon=$(daemon_pid) gate=$(gate_pid)
	kill -STOP "$daemon"
	bg w "$SC" watch --initial --json --count 2
	wait_until '[ -n "$(find /proc/"$(pid_of w)"/fd -lname "socket:*")" ] && grep -q "^State:.S" /proc/"$(pid_of w)"/status'
	step "$G" exit 3
	wait_until "dead $gate"
	kill -CONT "$daemon"
	assert_rc 0 w
	assert_rc 3 run
	[ "$(story z)" = '[start] fail' ]
}

@test "watch: --initial in the middle of a storm: no generation is told twice, and what is there at the end has been told" {
	local n
	for n in $(seq 60); do printf 'k%d\n' "$n"; done >"$T/keys"
	xargs -P 2 -I{} "$SC" get {} -- echo one <"$T/keys" >"$T/o"
	bg_sh storm 'cat "$T/keys" "$T/keys" "$T/keys" | xargs -P 4 -I{} sh -c '\''"$SC" get -r {} -- echo two; case {} in *7) "$SC" rm {} ;; esac'\'' >"$T/o"'
	for n in 1 2 3 4; do watching "w$n" --initial --json; done
	rc storm
	entry last x
	for n in 1 2 3 4; do wait_until "grep -q '\"commit\".*\"last\"' '$T/w$n.out'"; done
	"$SC" ls >"$T/ls"
	for n in 1 2 3 4; do kill "$(pid_of "w$n")" && rc "w$n" >"$T/.rc"; done
	python3 - "$T" <<-'END'
		import json, sys, collections
		ls = set(open(sys.argv[1] + "/ls").read().split())
		for n in range(1, 5):
		    rows = [json.loads(line) for line in open(f"{sys.argv[1]}/w{n}.out")]
		    assert not [r for r in rows if r["event"] == "missed"]
		    count = collections.Counter((r["event"], r["generation"]) for r in rows)
		    assert not [c for c in count.items() if c[1] > 1], [c for c in count.items() if c[1] > 1]
		    there, going = {}, set()
		    for r in rows:
		        if r["event"] == "start":
		            going.add(r["generation"])
		        elif r["event"] == "remove":
		            there.pop(r["key"], None)
		        else:
		            if not r["initial"]:
		                assert r["generation"] in going, r
		            going.discard(r["generation"])
		            if r["event"] == "commit":
		                there[r["key"]] = r["generation"]
		    assert set(there) == ls, set(there) ^ ls
		    assert not going
	END
}

@test "watch: who does not read is told how many he has missed, costs a bounded memory, and holds nobody up" {
	local long n fd before
	long=$(printf '%04000d' 0)
	mkfifo "$T/fifo"
	exec {fd}<>"$T/fifo"
	start_daemon
	bg_sh slow 'exec "$SC" watch --json >"$T/fifo"'
	watchers 1
	watching w --json
	entry "first-$long" x
	before=$(memory "$(daemon_pid)")
	for n in $(seq 600); do printf '%s\n' "$n"; done | xargs -P 2 -I{} sh -c 'echo x | "$SC" put "k{}-$1"' sh "$long"
	# 1202 events of 4 KB each: of nearly 5 MB a fifth may be kept. A sanitizer keeps what is freed.
	[ "${SAN:-0}" = 1 ] || [ $(($(memory "$(daemon_pid)") - before)) -lt $((8000 * SLACK)) ]
	bg all cat "$T/fifo"
	exec {fd}>&-
	wait_until '[ "$(jq -s "map(if .missed then .missed else 1 end) | add" "$T/all.out" 2>/dev/null)" = 1202 ]'
	[ "$(jq -r 'select(.event == "missed").missed' "$T/all.out" | paste -sd+ | bc)" -gt 300 ]
	# Who reads has missed nothing.
	wait_until '[ "$(lines_in "$T/w.out")" = 1202 ]'
	[ "$(jq -s 'map(select(.missed)) | length' "$T/w.out")" = 0 ]
	# And what comes now is told to both.
	entry after x
	wait_until '[ "$(grep -c "\"after\"" "$T/all.out")" = 2 ]'
	kill "$(pid_of slow)" "$(pid_of all)"
	stop_watching
	rc all >"$T/.rc"
}

@test "watch: --count ends it after so many lines, --wait with 124 after so long without one" {
	watching w --count 3 --json
	entry a x
	entry b x
	assert_rc 0 w
	[ "$(story a)" = 'start commit' ]
	[ "$(story b)" = start ]
	run -0 "$SC" watch --initial -n 2
	[ ${#lines[@]} = 2 ]
	run -124 --separate-stderr "$SC" watch --wait 200ms
	[ -z "$output$stderr" ]
	run -124 "$SC" watch -i -w 0
	watchers 0
}

@test "watch: a key that is no text: escaped on a terminal, exact in JSON" {
	local key=$'n\nl\e[31m\x9b\xff'
	watching w --json
	bg seen pty - "$SC" watch --count 2
	watchers 2
	entry "$key" x
	assert_rc 0 seen
	run -1 grep -aq $'\e\\|\x9b\\|\xff' "$T/seen.out"
	grep -qF 'n\nl\x1b[31m\x9b\xff' "$T/seen.out" || grep -qF 'n\nl\e[31m\x9b\xff' "$T/seen.out"
	[ "$(tr -d '\r' <"$T/seen.out" | wc -l)" = 2 ]
	wait_until '[ "$(lines_in "$T/w.out")" = 2 ]'
	stop_watching
	python3 - "$T/w.out" <<-'END'
		import base64, json, sys
		for line in open(sys.argv[1]):
		    r = json.loads(line)
		    assert r["key"] is None and base64.b64decode(r["key_b64"]) == b"n\nl\x1b[31m\x9b\xff", r
	END
}

@test "watch: ends silently with 141 when nobody reads it any more, also while nothing happens" {
	start_daemon
	bg_sh w '"$SC" watch | head -n 0'
	[ "$(pipe_status w)" = '141 0' ]
	is_empty "$T/w.err"
	watchers 0
}

@test "watch: a daemon that goes ends it with a word; none that comes later makes it look whole" {
	watching w
	kill_daemon
	assert_rc 125 w
	is_message "$T/w.err" 'watch: .*went away'
	watching w
	"$SC" daemon stop
	assert_rc 125 w
}

@test "watch: the 65th is refused with a word" {
	local n
	start_daemon
	for n in $(seq 64); do bg "w$n" "$SC" watch; done
	watchers 64
	run -125 --separate-stderr "$SC" watch
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'watch: so many'
	for n in $(seq 64); do kill "$(pid_of "w$n")"; done
	watchers 0
}

@test "watch: usage" {
	run -2 "$SC" watch a b
	run -2 "$SC" watch --count 0
	run -2 "$SC" watch --count x
	run -2 "$SC" watch --wait never
	run -2 "$SC" watch "$(printf '%04097d' 0)"
	no_daemon
}
