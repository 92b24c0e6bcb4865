#!/usr/bin/env bats
# --stale: what is too old is served at once, and made anew in the background, once. The daemon's clocks are the test's.
load ../helper
load ../faults/clock

cleanup() {
	if [ -n "$(daemon_pids)" ]; then "$SC" daemon stop --now >/dev/null 2>&1 || true; fi
}

# An entry KEY of TEXT that is an hour too old, and may be served for a day more.
old_entry() {
	"$SC" get -t 1h --stale 1d "$1" -- printf '%b' "$2" >/dev/null 3>&-
	let_pass $((2 * HOUR))
}
old() { "$SC" get -t 1h --stale 1d "$@"; }
ends() { timeout $((20 * SLACK)) "$@"; } # 124: it hung
source_of() { # source_of ARG…: of a call that prints to $T/served
	"$SC" get --status-fd 9 "$@" 9>"$T/status" >"$T/served" 2>"$T/said" 3>&- || true
	field source "$T/status"
}

@test "--stale: the old entry at once; what is made in the background is served as soon as it is there, and prints nothing anywhere else" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	run -0 --separate-stderr ends "$SC" get -t 1h --stale 1d k -- gate "$G"
	assert_output old
	[ -z "$stderr" ]
	gate_up
	[ "$(source_of -t 1h --stale 1d k -- touch "$T/ran")" = stale ]
	[ "$(jq -c '[.exit, .bytes, .ttl, .complete, .error]' "$T/status")" = '[0,4,3600,true,null]' ]
	is_between "$(jq '.age | floor' "$T/status")" 7200 $((7200 + 60 * SLACK))
	step "$G" out new
	step "$G" err loud
	is_file "$T/served" 'old\n'
	step "$G" exit 0
	wait_until '[ "$(source_of -t 1h --stale 1d k -- touch "$T/ran")" = hit ]'
	is_file "$T/served" 'new\n'
	is_file "$T/said" 'loud\n'
	[ "$(runs)" = 1 ]
	[ ! -e "$T/ran" ]
}

@test "--stale: how long is the shorter of the entry's and mine; without either it is a miss" {
	start_daemon_with_clocks
	old_entry k 'old\n' # a day, an hour of which is over
	"$SC" get -t 1h none -- printf 'x\n' >/dev/null
	let_pass $((2 * HOUR)) # three hours too old
	[ "$(source_of --stale 2h k -- false)" = run ]
	[ "$(source_of k)" = miss ]
	[ "$(source_of --stale 1d none -- true)" = run ]
	old_entry l 'old\n'
	[ "$(source_of --stale 30m l -- false)" = run ]
	[ "$(source_of --stale forever l -- true)" = stale ]
	# Mine, where I take nothing so old as its own life.
	"$SC" get -t 1d --stale 1d m -- printf 'x\n' >/dev/null
	let_pass $((2 * HOUR))
	[ "$(source_of m)" = hit ]
	[ "$(source_of -t 1h --stale 30m m -- false)" = run ]
	[ "$(source_of -t 1h --stale 2h m -- false)" = stale ]
	[ "$(source_of -t 0 --stale 1d m -- false)" = run ]
	let_pass $((3 * DAY))
	wait_until '[ -z "$("$SC" ls)" ]'
	[ "$(source_of --stale forever m -- false)" = run ]
}

@test "stale in config: for those who do not say, also without a command, who start nothing; a bucket's own; flags beat it" {
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' 'ttl = 1h' 'stale = 1d' '[bucket b]' 'stale = 1h' >"$SC_DIR/config"
	start_daemon_with_clocks
	entry k 'old\n'
	SC_BUCKET=b "$SC" get k -- printf 'of b\n' >/dev/null
	let_pass $((3 * HOUR))
	[ "$(source_of k)" = stale ]
	is_file "$T/served" 'old\n'
	[ "$(flights)" = 0 ]
	[ "$(SC_BUCKET=b source_of k)" = miss ]
	[ "$(source_of --stale 0 k -- false)" = run ]
	[ "$(source_of k -- gate "$G")" = stale ]
	gate_up
	step "$G" exit 0
	wait_until '[ "$(source_of k)" = hit ]'
}

@test "G13: a hundred callers when it is over, with --stale: all answered at once, one renewal" {
	local n=$((SLACK > 1 ? 30 : 100))
	start_daemon_with_clocks
	old_entry k 'old\n'
	mkdir "$T/d"
	run -0 ends crowd $n "$T/d" "$SC" get -t 1h --stale 1d k -- gate "$G"
	assert_output "0 $n"
	for nr in 0 $((n / 2)) $((n - 1)); do
		is_file "$T/d/$nr.out" 'old\n'
		is_empty "$T/d/$nr.err"
	done
	[ "$(cat "$T"/d/*.out | sort -u)" = old ]
	gate_up # in the background: nobody has waited for it
	[ "$(runs)" = 1 ]
	step "$G" out new
	step "$G" exit 0
	wait_until '[ "$(old k -- false)" = new ]'
	[ "$(runs)" = 1 ]
}

@test "--stale: a renewal that fails leaves the entry, and none starts for 10 s; then one" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	run -0 old k -- fails -n "$T/count" -o bad 3
	assert_output old
	wait_until '[ "$(lines_in "$T/count")" = 1 ]'
	wait_until '[ "$(flights)" = 0 ]'
	for nr in 1 2 3; do [ "$(old k -- fails -n "$T/count" -o bad 3)" = old ]; done
	let_pass_awake 9000
	[ "$(old k -- fails -n "$T/count" -o bad 3)" = old ]
	[ "$(flights)" = 0 ]
	[ "$(lines_in "$T/count")" = 1 ]
	let_pass_awake 1500
	[ "$(old k -- fails -n "$T/count" -k 9)" = old ]
	wait_until '[ "$(lines_in "$T/count")" = 2 ]'
	wait_until '[ "$(flights)" = 0 ]'
	[ "$(old k -- fails -n "$T/count")" = old ]
	[ "$(flights)" = 0 ]
	[ "$(lines_in "$T/count")" = 2 ]
	# Whoever insists gets a run; what it makes is renewed again when it is over, whatever had failed before.
	[ "$(old -r k -- printf 'new\n')" = new ]
	let_pass $((2 * HOUR))
	[ "$(old k -- printf 'newer\n')" = new ]
	wait_until '[ "$(old k -- false)" = newer ]'
}

@test "--stale: a renewal whose command is not there fails like any other; one whose writer is killed, too" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	run -0 --separate-stderr old k -- no-such-command-here
	assert_output old
	[ -z "$stderr" ]
	wait_until '[ "$(flights)" = 0 ]'
	[ "$(old k -- fails -n "$T/count")" = old ]
	[ ! -e "$T/count" ]
	let_pass_awake 11000
	[ "$(old k -- gate "$G")" = old ]
	gate_up
	kill -9 "$(parent_of "$(gate_pid)")"
	wait_until '[ "$(flights)" = 0 ]'
	[ "$(old k -- fails -n "$T/count")" = old ]
	[ ! -e "$T/count" ]
}

@test "--stale: a run that keeps nothing renews nothing: it is not begun anew with every call" {
	start_daemon_with_clocks
	"$SC" get -t 1h --stale 1d k -- printf 'old\n' >/dev/null
	let_pass $((2 * HOUR))
	for nr in 1 2 3 4; do
		[ "$(SC_TTL=0 "$SC" get --stale 1d k -- fails -n "$T/count" -o x)" = old ]
		wait_until '[ "$(flights)" = 0 ]'
	done
	[ "$(lines_in "$T/count")" -le 1 ]
}

@test "--stale: the renewal outlives its caller, whose output is closed or who is killed, and keeps none of its descriptors" {
	start_daemon_with_clocks
	"$SC" get -t 1h --stale 1d k -- sh -c 'yes old | head -n 1000000' >/dev/null
	let_pass $((2 * HOUR))
	run -0 ends bash -c '"$SC" get -t 1h --stale 1d k -- gate "$G" | head -n 1; echo "${PIPESTATUS[0]}"'
	assert_output $'old\n141'
	gate_up
	run -0 ends bash -c 'x=$("$SC" get -t 1h --stale 1d k -- false 2>&1); echo "${#x}"'
	assert_output 3999999
	step "$G" exit 1
	wait_until '[ "$(flights)" = 0 ]'
	let_pass_awake 11000
	mkfifo "$T/pipe"
	exec {held}<>"$T/pipe"
	bg a bash -c 'exec "$SC" get -t 1h --stale 1d k -- gate "$G" >"$T/pipe" 2>&1'
	gate_up "$G" 2
	kill -9 "$(pid_of a)"
	assert_rc 137 a
	exec {held}>&-
	step "$G" out new
	step "$G" exit 0
	wait_until '[ "$(old k -- false)" = new ]'
	[ "$(runs)" = 2 ]
}

@test "--stale: a reader that has stopped in the old bytes holds neither the renewal nor others up, and gets all of them" {
	start_daemon_with_clocks
	"$SC" get -t 1h --stale 1d k -- flood 3M >/dev/null
	let_pass $((2 * HOUR))
	mkfifo "$T/pipe"
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get -t 1h --stale 1d k -- gate "$G" >"$T/pipe"'
	gate_up
	"$SC" ps | grep '  0 readers' # it reads something else
	step "$G" fill 40M
	step "$G" exit 0
	wait_until '[ "$(source_of k)" = hit ]'
	is_flood "$T/served" 40M
	head -c $((3 * 1048576)) <&"$held" >"$T/all"
	exec {held}>&-
	[ "$(pipe_status a)" = 0 ]
	is_flood "$T/all" 3M
}

@test "--stale: a daemon that is killed, or stopped, during the renewal: still the old entry, no second renewal, and it is kept" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	[ "$(old k -- gate "$G")" = old ]
	gate_up
	kill_daemon
	assert_rc 137 daemon
	start_daemon_with_clocks
	for nr in 1 2 3; do [ "$(old k -- touch "$T/ran")" = old ]; done
	next_daemon
	for nr in 1 2 3; do [ "$(old k -- touch "$T/ran")" = old ]; done
	wait_until '"$SC" ps | grep -q "  0 readers"'
	step "$G" out new
	step "$G" exit 0
	wait_until '[ "$(old k -- touch "$T/ran")" = new ]'
	[ ! -e "$T/ran" ]
	[ "$(runs)" = 1 ]
}

@test "--stale: a renewal that fails under the next daemon is one that has failed" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	[ "$(old k -- gate "$G")" = old ]
	gate_up
	next_daemon
	wait_until '"$SC" ps | grep -q "  0 readers"'
	step "$G" exit 1
	wait_until '[ "$(flights)" = 0 ]'
	[ "$(old k -- touch "$T/ran")" = old ]
	[ "$(flights)" = 0 ]
	[ ! -e "$T/ran" ]
}

@test "--stale: a renewal is followed by those who take nothing stale, and led by nobody beside it; --refresh starts a newer run" {
	local g2
	g2=$(new_gate g2)
	start_daemon_with_clocks
	old_entry k 'old\n'
	[ "$(old k -- gate "$G")" = old ]
	step "$G" out new
	bg a "$SC" get k -- false
	bg b "$SC" get --stale 1m k -- false
	shows a 'new\n'
	shows b 'new\n'
	bg c "$SC" get -r --stale 1d k -- gate "$g2"
	step "$g2" out newer
	shows c 'newer\n'
	[ "$(old k -- false)" = old ]
	step "$g2" exit 0
	assert_rc 0 c
	[ "$(old k -- false)" = newer ]
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(old k -- false)" = newer ]
	[ "$(runs)" = 1 ]
	[ "$(runs "$g2")" = 1 ]
}

@test "--stale: rm during a renewal: nothing is left, what is made is not kept, the next caller leads" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	[ "$(old k -- gate "$G")" = old ]
	gate_up
	run -0 "$SC" rm k
	step "$G" out new
	[ "$(old k -- fails -o third)" = third ]
	step "$G" exit 0
	wait_until '[ "$(flights)" = 0 ]'
	[ "$(old k -- false)" = third ]
}

@test "--stale: --strict takes it; -o and --atomic get it whole; --stderr and a terminal's foreground are nothing to the renewal" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	[ "$(old --strict k -- gate "$G")" = old ]
	gate_up
	old -o "$T/file" k -- false
	is_file "$T/file" 'old\n'
	[ "$(old --atomic k -- false)" = old ]
	step "$G" exit 1
	wait_until '[ "$(flights)" = 0 ]'
	let_pass_awake 11000
	run -0 --separate-stderr ends "$SC" get -t 1h --stale 1d --stderr=inherit --foreground k -- gate "$G"
	assert_output old
	[ -z "$stderr" ]
	gate_up "$G" 2
	step "$G" err loud
	step "$G" out new
	step "$G" exit 0
	wait_until '[ "$(old k -- false 2>"$T/err")" = new ]'
	is_file "$T/err" 'loud\n'
}

@test "--stale: --stdin is fed to the renewal" {
	start_daemon_with_clocks
	mkfifo "$G/gate"
	[ "$(echo in | old --stdin k -- sh -c 'cat; echo 1')" = $'in\n1' ]
	let_pass $((2 * HOUR))
	[ "$(echo in | old --stdin k -- sh -c 'cat; cat "$G/gate"; echo 2')" = $'in\n1' ]
	wait_until '[ "$(flights)" = 1 ]'
	: >"$G/gate"
	wait_until '[ "$(flights)" = 0 ]'
	wait_until '[ "$(echo in | old --stdin k -- false)" = $'"'in\n2'"' ]'
}

@test "--stale: the caller's directory and environment are the renewal's, a jobserver is not" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	mkdir "$T/here"
	cd "$T/here"
	[ "$(MAKEFLAGS='-j --jobserver-auth=8,9' WORD=mine old k -- sh -c 'pwd; echo "$WORD"; case $MAKEFLAGS in *jobserver*) echo jobserver ;; esac' 8</dev/null 9</dev/null)" = old ]
	wait_until '[ "$(old k -- false)" = "$T/here"$'"'\nmine'"' ]'
}

@test "--stale: with warm it says how long what it makes may be served, and renews in time" {
	start_daemon_with_clocks
	"$SC" warm -t 1h --stale 1d k -- printf 'old\n'
	wait_until '[ "$("$SC" get k)" = old ]'
	"$SC" warm -t 1h --stale 1d k -- touch "$T/ran"
	let_pass $((2 * HOUR))
	[ ! -e "$T/ran" ]
	[ "$(source_of --stale 1d k -- gate "$G")" = stale ]
	gate_up
	step "$G" exit 1
	wait_until '[ "$(flights)" = 0 ]'
	"$SC" warm -t 1h --stale 1d k -- printf 'new\n' # though a renewal has failed just now
	wait_until '[ "$("$SC" get k)" = new ]'
}

@test "--stale: an old entry that is damaged on the disk is not served: a miss, which is made" {
	start_daemon_with_clocks
	old_entry k 'old\n'
	find "$SC_DIR/objects" -name '*.out' -exec rm {} +
	[ "$(old k -- printf 'new\n')" = new ]
	old_entry l 'old\n'
	next_daemon
	[ "$(old l -- fails -o new -n "$T/count")" = old ]
}

@test "--stale: what could not be stored a moment ago is not tried again for the sake of an old entry" {
	mkdir -m 700 "$SC_DIR"
	echo 'max-entry = 1M' >"$SC_DIR/config"
	start_daemon_with_clocks
	old_entry k 'old\n'
	[ "$(old k -- sh -c 'echo run >>"$0"; flood 2M' "$T/count")" = old ]
	wait_until '[ "$(lines_in "$T/count")" = 1 ] && [ "$(flights)" = 0 ]'
	let_pass_awake 11000
	[ "$(old k -- sh -c 'echo run >>"$0"; flood 2M' "$T/count")" = old ]
	[ "$(flights)" = 0 ]
	[ "$(lines_in "$T/count")" = 1 ]
}

@test "--stale: usage" {
	run -125 "$SC" get --stale 1h k
	assert_output --partial '--stale without a command'
	for bad in '' -1 x 1y; do run -125 "$SC" get --stale "$bad" k -- true; done
	run -0 "$SC" get --stale 99999999999999d k -- true
}
