#!/usr/bin/env bats
# FAULTS P08: programs of different versions of the protocol on one cache. The test build is in the middle, one older and one
# newer were built beside it.
load ../helper

prepare() {
	use_test_build
	OLDER=$(dirname "$SC_TEST")/older/$(basename "$SC_TEST")
	NEWER=$(dirname "$SC_TEST")/newer/$(basename "$SC_TEST")
}

cleanup() { # which no other could
	if [ -n "$(daemon_pids)" ]; then timeout 20 "$NEWER" daemon stop --now; fi
}

@test "P08: a newer client: the older daemon goes, a new one starts, what is finished stays a hit, without a message" {
	entry k 'x\n'
	local old
	old=$(daemon_pid)
	run -0 --separate-stderr timeout $((20 * SLACK)) "$NEWER" get k -- false
	assert_output x
	[ -z "$stderr" ]
	wait_until "dead $old"
	[ "$(daemon_pids | wc -l)" = 1 ]
	grep -q 'event=skew' "$SC_DIR/scd.log"
}

@test "P08: a hundred newer clients at once and an older daemon: one new daemon, one run, no message" {
	mkdir "$T/crowd"
	entry k 'x\n'
	local old
	old=$(daemon_pid)
	run -0 timeout $((60 * SLACK)) crowd 100 "$T/crowd" "$NEWER" get l -- fails -n "$T/count" -o y
	assert_output '0 100'
	for nr in {0..99}; do
		is_file "$T/crowd/$nr.out" 'y\n'
		is_empty "$T/crowd/$nr.err"
	done
	[ "$(lines_in "$T/count")" = 1 ]
	dead "$old"
	[ "$(daemon_pids | wc -l)" = 1 ]
}

@test "P08: an older client: its command runs directly, with one line; the daemon and its cache are unaffected" {
	entry k 'x\n'
	local pid got=0
	pid=$(daemon_pid)
	timeout $((20 * SLACK)) "$OLDER" get k -- fails -o direct 5 >"$T/out" 2>"$T/err" || got=$?
	[ $got = 5 ]
	is_file "$T/out" 'direct\n'
	is_message "$T/err" 'newer version'
	run -125 timeout $((20 * SLACK)) "$OLDER" get --strict k -- touch "$T/ran"
	run -125 timeout $((20 * SLACK)) "$OLDER" get k
	# Nothing of what it says is obeyed.
	run -125 timeout $((20 * SLACK)) "$OLDER" rm k
	run -125 timeout $((20 * SLACK)) "$OLDER" daemon stop
	run -125 timeout $((20 * SLACK)) "$OLDER" ls
	[ ! -e "$T/ran" ]
	[ "$(daemon_pids)" = "$pid" ]
	run -0 --separate-stderr "$SC" get k
	assert_output x
	[ -z "$stderr" ]
	[ "$(flights)" = 0 ]
}

@test "P08: runs under an older daemon that a newer one replaces go on to their end, for leader and followers, and are not kept" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b "$SC" get k
	shows a 'one\n'
	shows b 'one\n'
	run -0 --separate-stderr timeout $((20 * SLACK)) "$NEWER" get l -- echo y
	assert_output y
	[ -z "$stderr" ]
	wait_until 'grep -q "from=awaited to=awaited" "$SC_DIR/scd.log"' # the new one knows of the run
	wait_until '[ "$(grep -c "event=skew ours=1000000" "$SC_DIR/scd.log")" -ge 1 ]' # and its writer has come
	step "$G" out two
	shows a 'one\ntwo\n'
	shows b 'one\ntwo\n'
	run ! dead "$(gate_pid)"
	# Whoever asks the new daemon does not wait for it for ever, and leads.
	bg c timeout $((20 * SLACK)) "$NEWER" get k -- fails -o new
	assert_rc 0 c
	is_file "$T/c.out" 'new\n'
	is_empty "$T/c.err"
	step "$G" exit 0
	assert_rc 0 a b
	for n in a b; do
		is_file "$T/$n.out" 'one\ntwo\n'
		is_empty "$T/$n.err"
	done
	run -0 "$NEWER" get k
	assert_output new
	wait_until '[ "$(flights)" = 0 ]'
}

@test "P08: an older run that fails, and one whose readers leave, under a newer daemon: status and stop as ever" {
	local g2
	g2=$(new_gate g2)
	bg a "$SC" get a -- gate "$G"
	bg_sh b '"$SC" get b -- gate "$T/g2" | head -n 1'
	gate_up "$g2"
	step "$G" out one
	"$NEWER" get l -- true
	step "$G" exit 6
	assert_rc 6 a
	step "$g2" out one
	[ "$(pipe_status b)" = '141 0' ]
	wait_until 'dead "$(gate_pid "$T/g2")"' 30
	wait_until '[ "$(flights)" = 0 ]'
	run -1 "$NEWER" get a
	run -1 "$NEWER" get b
}

@test "P08: older and newer clients by the dozen, on a cache of neither: each one ends with its command's output" {
	mkdir "$T/crowd"
	entry k 'x\n'
	printf '#!/bin/sh\ncase $(($1 %% 3)) in 0) sc=%s ;; 1) sc=%s ;; 2) sc=%s ;; esac\nexec "$sc" get k$(($1 / 9)) -- fails -o out\n' \
		"$OLDER" "$SC" "$NEWER" >"$T/some"
	chmod +x "$T/some"
	run -0 timeout $((60 * SLACK)) crowd 90 "$T/crowd" "$T/some" '{}'
	assert_output '0 90'
	for nr in {0..89}; do is_file "$T/crowd/$nr.out" 'out\n'; done
	run -0 --separate-stderr timeout $((20 * SLACK)) "$NEWER" get k
	assert_output x
	[ -z "$stderr" ]
	wait_until '[ "$(daemon_pids | wc -l)" = 1 ]'
	wait_until '[ "$(flights)" = 0 ]'
}

@test "P08: who only looks, of a newer version: the older daemon stays, its run too, and each says how it is" {
	local pid
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	pid=$(daemon_pid)
	run -0 --separate-stderr timeout $((20 * SLACK)) "$NEWER" doctor
	[ -z "$stderr" ]
	assert_line --regexp "^warning: daemon: pid $pid is of an older version, build [^ ]+; this sc is [^ ]+ \\(sc daemon restart\\)\$"
	run -0 --separate-stderr timeout $((20 * SLACK)) "$NEWER" doctor --json
	[ "$(jq -r 'select(.check == "daemon") | .level' <<<"$output")" = warning ]
	run -0 --separate-stderr timeout $((20 * SLACK)) "$NEWER" config
	[ -z "$stderr" ]
	for verb in ps 'daemon status'; do
		# shellcheck disable=SC2086
		run -125 --separate-stderr timeout $((20 * SLACK)) "$NEWER" $verb
		[ -z "$output" ]
		[[ $stderr == 'sc: '*': the daemon is of an older version than this sc (sc daemon restart)' ]]
	done
	[ "$(daemon_pids)" = "$pid" ]
	run -1 grep -qE 'event=(stop|skew)' "$SC_DIR/scd.log"
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output one
}

@test "P08: doctor of an older version: the cache cannot be used with it, which is a problem" {
	entry k x
	run -1 --separate-stderr timeout $((20 * SLACK)) "$OLDER" doctor
	[ -z "$stderr" ]
	assert_line --regexp "^problem: daemon: pid $(daemon_pid) is of a newer version, build [^ ]+; this sc is [^ ]+ \\(install the newer sc\\)\$"
	run -0 --separate-stderr timeout $((20 * SLACK)) "$OLDER" config
	[ -z "$stderr" ]
}

@test "P08: sync and stop of a newer version: the older daemon goes, what is stored is on the disk" {
	entry k x
	run -0 --separate-stderr timeout $((20 * SLACK)) "$NEWER" sync
	[ -z "$stderr" ]
	no_daemon
	entry l x
	run -0 --separate-stderr timeout $((20 * SLACK)) "$NEWER" daemon stop
	[ -z "$stderr" ]
	no_daemon
	run -0 --separate-stderr "$SC" get k
	assert_output x
}

@test "P08: fields of a newer peer behind those we know are ignored, of whatever kind they are" {
	entry k 'x\n'
	run -0 rawpeer "$SC_DIR" extra dial status hear ask k hear
	assert_line --index 0 --partial REPORT
	assert_line --index 1 --partial HIT
	run -0 rawpeer "$SC_DIR" extra lead l child started own 1 done own hear end-child
	assert_line --index 0 LEAD
	assert_line --index 2 'SETTLED flags=1 reason=0'
	run -0 "$SC" get l
	assert_output ''
	run -1 grep -q event=dropped "$SC_DIR/scd.log"
}
