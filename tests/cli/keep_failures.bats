#!/usr/bin/env bats
# --keep-failures: a failure is kept for a while, for those who ask for it, and never instead of what is good.
load ../helper
load ../faults/clock

cleanup() {
	if [ -n "$(daemon_pids)" ]; then "$SC" daemon stop --now >/dev/null 2>&1 || true; fi
}

# keep KEY STATUS TEXT: a failure that is kept for an hour.
keep() { "$SC" get -r --keep-failures 1h "$1" -- fails -o "$3" -e "$3 err" "$2" >/dev/null 2>&1 3>&- || [ $? = "$2" ]; }
again() { "$SC" get --keep-failures 1h "$@" 3>&-; }
rows() { sqlite3 -readonly "$SC_DIR/index.db" 'SELECT count(*) FROM entry'; }
source_of() {
	"$SC" get --status-fd 9 "$@" 9>"$T/status" >"$T/served" 2>"$T/said" 3>&- || true
	field source "$T/status"
}

@test "--keep-failures: bytes and status again, to who gives the option; a miss for who does not" {
	run -3 --separate-stderr again k -- fails -n "$T/count" -o out -e err 3
	[ "$output $stderr" = 'out err' ]
	for nr in 1 2; do
		run -3 --separate-stderr again k -- fails -n "$T/count" -o out -e err 3
		[ "$output $stderr" = 'out err' ]
	done
	[ "$(lines_in "$T/count")" = 1 ]
	run -3 --separate-stderr again k
	[ "$output $stderr" = 'out err' ]
	[ "$(source_of --keep-failures 1h k)" = hit ]
	[ "$(jq -c '[.exit, .signal, .bytes, .stderr_bytes, .ttl, .complete]' "$T/status")" = '[3,null,4,4,3600,true]' ]
	run -1 "$SC" get k
	assert_output ''
	run -0 "$SC" ls
	assert_output ''
	run -5 "$SC" get k -- fails -n "$T/count" -o mine 5
	[ "$(lines_in "$T/count")" = 2 ]
	run -3 again k # his was not to be kept
	run -0 "$SC" verify
	run -143 again l -- fails -k 15
	run -143 again l -- touch "$T/ran"
	[ ! -e "$T/ran" ]
	run -3 again --atomic k
	refute_output --partial out
	run -3 again -o "$T/file" k
	[ ! -e "$T/file" ]
}

@test "--keep-failures: for so long as the maker and the caller say, and -t; 0 is not at all" {
	start_daemon_with_clocks
	keep k 3 x
	run -3 again k -- true
	let_pass $((HOUR / 2))
	[ "$(source_of --keep-failures 20m k -- true)" = run ] # which is good, and ends the failure
	is_empty "$T/served"
	keep l 3 x
	let_pass $((HOUR / 2))
	run -3 again l
	run -3 again -t 40m l
	run -1 again -t 20m l
	run -1 again -t 0 l
	run -1 "$SC" get --keep-failures 0 l
	let_pass $((HOUR / 2 + 1000))
	run -1 "$SC" get --keep-failures 1d l
	run -4 "$SC" get --keep-failures 0 m -- fails 4
	run -1 again m
	let_pass_awake $((24 * HOUR)) # a daemon that slept is not woken for it
	wait_until '[ "$(rows)" = 0 ]'
	wait_until '[ "$(objects)" = 0 ]'
}

@test "--keep-failures: never instead of what is good; what is good ends it" {
	entry k 'good\n'
	keep k 3 bad
	run -0 again k
	assert_output good
	[ "$(rows)" = 2 ]
	[ "$(objects)" = 4 ]
	"$SC" get -r k -- printf 'better\n' >/dev/null
	run -0 again k
	assert_output better
	wait_until '[ "$(rows)" = 1 ] && [ "$(objects)" = 2 ]'
	keep l 3 bad
	entry l 'good\n'
	run -0 again l
	assert_output good
	wait_until '[ "$(rows)" = 2 ] && [ "$(objects)" = 4 ]'
}

@test "--keep-failures: behind an entry that is too old for me; one that may be served stale comes first" {
	start_daemon_with_clocks
	"$SC" get -t 1h --stale 1h k -- printf 'old\n' >/dev/null
	let_pass $((HOUR + 1000))
	run -0 "$SC" get -t 1h --stale 1h --keep-failures 1h k -- fails -n "$T/count" -o bad 3
	assert_output old
	wait_until '[ "$(rows)" = 2 ]'
	run -3 again k -- true
	assert_output bad
	# While the failure is kept nobody tries again who takes it.
	let_pass_awake 11000
	run -0 "$SC" get -t 1h --stale 1h --keep-failures 1h k -- fails -n "$T/count" -o bad 3
	assert_output old
	[ "$(flights)" = 0 ]
	[ "$(lines_in "$T/count")" = 1 ]
	run -0 "$SC" get -t 1h --stale 1h k -- fails -n "$T/count" -o new
	assert_output old
	wait_until '[ "$("$SC" get k)" = new ]'
	wait_until '[ "$(rows)" = 1 ]'
}

@test "--keep-failures: an older run that ends later replaces neither a newer failure nor a newer success" {
	local g2
	g2=$(new_gate g2)
	bg a again k -- gate "$G"
	step "$G" out older
	bg b again -r k -- gate "$g2"
	step "$g2" out newer
	step "$g2" exit 4
	assert_rc 4 b
	step "$G" exit 3
	assert_rc 3 a
	run -4 again k
	assert_output newer
	bg c again -r k -- gate "$G"
	gate_up "$G" 2
	bg d again -r k -- gate "$g2"
	gate_up "$g2" 2
	step "$g2" out good
	step "$g2" exit 0
	assert_rc 0 d
	step "$G" out bad
	step "$G" exit 3
	assert_rc 3 c
	run -0 again k
	assert_output good
	wait_until '[ "$(rows)" = 1 ] && [ "$(objects)" = 2 ]'
}

@test "--keep-failures: not found, not executable, a run that is stopped or lost, and one that was removed are not kept" {
	run -127 again k -- no-such-command-here
	run -127 again k -- sh -c 'exit 127'
	: >"$T/plain"
	run -126 again k -- "$T/plain"
	bg_sh a '"$SC" get --keep-failures 1h k -- gate "$G" | head -n 1'
	step "$G" out x
	[ "$(pipe_status a)" = '141 0' ]
	wait_until '[ "$(flights)" = 0 ]'
	bg b again --strict k -- gate "$G"
	gate_up "$G" 2
	kill -9 "$(parent_of "$(gate_pid)")"
	assert_rc 125 b
	bg c again k -- gate "$G"
	gate_up "$G" 3
	run -0 "$SC" rm k
	step "$G" exit 3
	assert_rc 3 c
	run -1 again k
	wait_until nothing_kept
	[ "$(rows)" = 0 ]
}

@test "--keep-failures: all who wait have it once; who leads says whether it is kept" {
	bg a again k -- gate "$G"
	step "$G" out x
	bg b "$SC" get k -- touch "$T/ran"
	bg c again k -- touch "$T/ran"
	shows b 'x\n'
	shows c 'x\n'
	step "$G" exit 3
	assert_rc 3 a b c
	run -3 again k -- touch "$T/ran"
	[ ! -e "$T/ran" ]
	bg d "$SC" get l -- gate "$G"
	gate_up "$G" 2
	bg e again l -- touch "$T/ran"
	readers 2
	step "$G" exit 4
	assert_rc 4 d e
	run -1 again l
}

@test "--keep-failures: rm of the key and of what begins so takes it" {
	keep k 3 x
	run -0 "$SC" rm k
	run -1 again k
	wait_until nothing_kept
	entry k 'good\n'
	keep k 3 x
	run -0 "$SC" rm k
	run -1 again k
	wait_until nothing_kept
	for nr in {100..170}; do
		entry "p$nr" x
		keep "p$nr" 3 x
	done
	keep q 3 x
	run -0 "$SC" rm --prefix p
	[ "$(rows)" = 1 ]
	run -3 again q
	run -0 "$SC" rm --prefix q
	[ "$(rows)" = 0 ]
	wait_until nothing_kept
}

@test "--keep-failures: it outlives the daemon, stopped or killed, also one killed between the failure and its row" {
	keep k 3 x
	kill_daemon
	run -3 again k -- true
	assert_output --partial x
	"$SC" daemon stop
	run -3 again k -- true
	bg a again l -- gate "$G"
	step "$G" out y
	kill_daemon
	step "$G" exit 4
	assert_rc 4 a
	run -4 again l -- true
	assert_output y
}

@test "--keep-failures: what the walk finds of it is no orphan; without its file the row is none" {
	use_test_build
	export SC_FAULT=walk
	entry k 'good\n'
	keep k 3 x
	"$SC" daemon stop
	start_daemon
	wait_until 'grep -q "event=walk " "$SC_DIR/scd.log"'
	[ "$(objects)" = 4 ]
	run -0 "$SC" verify
	"$SC" rm k
	keep k 3 x
	find "$SC_DIR/objects" -name '*.out' -exec rm {} +
	run -0 again k -- fails -o new
	assert_output new
}

@test "keep-failures in config: for those who do not say; a bucket's own; the option beats it" {
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' 'keep-failures = 1h' '[bucket b]' 'keep-failures = 0' >"$SC_DIR/config"
	run -3 "$SC" get k -- fails -o x 3
	run -3 "$SC" get k -- true
	assert_output x
	run -0 "$SC" get --keep-failures 0 k -- true
	SC_BUCKET=b run -3 "$SC" get k -- fails -o x 3
	SC_BUCKET=b run -1 "$SC" get k
	SC_BUCKET=b run -3 again k -- fails -o x 3
	SC_BUCKET=b run -3 again k
}

@test "keep-failures: a put that is given up leaves none" {
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' 'keep-failures = 1h' >"$SC_DIR/config"
	mkfifo "$T/pipe"
	exec {held}<>"$T/pipe"
	bg a "$SC" put k "$T/pipe"
	echo x >&"$held"
	wait_until '[ "$(flights)" = 1 ]'
	kill -TERM "$(pid_of a)"
	rc a >/dev/null
	exec {held}>&-
	wait_until '[ "$(flights)" = 0 ]'
	run -1 "$SC" get k
	[ "$(rows)" = 0 ]
}

@test "finish in config: a run ends and is kept although its last reader has left; of a bucket alone" {
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' '[bucket b]' 'finish = on' >"$SC_DIR/config"
	export SC_BUCKET=b
	bg_sh a '"$SC" get k -- gate "$G" | head -n 1'
	step "$G" out x
	[ "$(pipe_status a)" = '141 0' ]
	step "$G" out y
	step "$G" exit 0
	wait_until '[ "$("$SC" get k)" = $'"'x\ny'"' ]'
	export SC_BUCKET=c
	bg_sh b '"$SC" get k -- gate "$G" | head -n 1'
	step "$G" out x
	[ "$(pipe_status b)" = '141 0' ]
	wait_until 'dead $(gate_pid)'
}
