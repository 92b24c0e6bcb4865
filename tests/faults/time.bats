#!/usr/bin/env bats
# FAULTS T: clocks that jump, sleep, or were never right. The daemon's clocks are the test's; boots and namespaces are in root_time.bats.
load ../helper
load clock

SOON=$((60 * SLACK)) # seconds that a test may take

@test "T01: a day ahead by the wall clock, in the same boot: nothing expires early {
	start_daemon_with_clocks
	"$SC" get -t 1h k -- fails -o x >/dev/null
	set_clocks 0 $DAY
	is_between "$(age_of k)" 0 $SOON
	run -0 "$SC" ls
	assert_output k
	next_daemon
	is_between "$(age_of k)" 0 $SOON
	"$SC" get -t 1h late -- fails -o x >/dev/null
	set_clocks 0 0
	is_between "$(age_of late)" 0 $SOON
	is_between "$(age_of k)" 0 $SOON
	[ "$(objects)" = 4 ]
}

@test "T01 T02: the caller's wall clock decides nothing" {
	use_test_build
	start_daemon
	for when in '+1 day' '-1 day' '@1970-01-01 00:00:01' '@2100-01-01 00:00:00'; do
		run -0 env FAKETIME_DONT_FAKE_MONOTONIC=1 ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 \
			faketime -f "$when" "$SC" get -t 1h k -- fails -n "$T/count" -o x
		assert_output x
	done
	[ "$(lines_in "$T/count")" = 1 ]
	is_between "$(age_of k)" 0 $SOON
}

@test "T02: a day back by the wall clock: nothing lives longer" {
	start_daemon_with_clocks
	"$SC" get -t 1h k -- fails -o x >/dev/null
	set_clocks $((HOUR / 2)) $((HOUR / 2 - DAY))
	is_between "$(age_of k)" 1800 $((1800 + SOON))
	[ "$(age_of -t 10m k)" = miss ]
	set_clocks $((HOUR + 1000)) $((HOUR - DAY))
	[ "$(age_of k)" = miss ]
	run -0 "$SC" ls
	assert_output ''
	next_daemon
	[ "$(age_of k)" = miss ]
	wait_until '[ "$(objects)" = 0 ]'
}

@test "T03: eight hours of suspend count: what lived for one is stale at once, what lives for a day is that much older" {
	start_daemon_with_clocks
	"$SC" get -t 1h short -- fails -o x >/dev/null
	"$SC" get -t 1d long -- fails -o x >/dev/null
	let_pass $((8 * HOUR))
	# At its first access: the daemon's timers have slept, too.
	[ "$(age_of short)" = miss ]
	is_between "$(age_of long)" 28800 $((28800 + SOON))
	run -0 "$SC" ls
	assert_output long
	[ "$(age_of -t 1h long)" = miss ]
}

@test "T03: a run that sleeps with the machine goes on, for those that wait for it, too, and is as old as it is" {
	use_test_build
	start_daemon_with_clocks
	bg a with_clocks "$SC" get k -- gate "$G"
	gate_up
	bg b with_clocks "$SC" get --wait 1h k
	step "$G" out one
	shows a 'one\n'
	shows b 'one\n'
	let_pass $((8 * HOUR))
	bg c with_clocks "$SC" get k
	shows c 'one\n'
	run -0 "$SC" ps
	assert_output --partial '8h'
	assert_output --partial '3 readers'
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a b c
	for n in a b c; do shows $n 'one\ntwo\n'; done
	is_between "$(age_of k)" 0 $SOON # from its end
}

@test "T03: a machine that sleeps while a caller waits for the daemon's answer: the daemon is not taken for hung" {
	use_test_build
	start_daemon_with_clocks
	"$SC" get k -- fails -o x >/dev/null
	kill -STOP "$(daemon_pid)"
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 bg a with_clocks strace -o "$T/looks" -e trace=pread64 "$SC" get k -- fails -o directly
	wait_until '[ "$(grep -c "= 8" "$T/looks")" -ge 2 ]' # it has begun to look at the daemon's pulse
	let_pass $((8 * HOUR))
	wait_until '[ "$(grep -c "= 8" "$T/looks")" -ge 3 ] || ! is_running a'
	kill -CONT "$(daemon_pid)"
	assert_rc 0 a
	! grep -q 'not answering' "$T/a.err"
}

@test "T05: clocks that were never set, or far ahead, then right: within a boot nothing is stale or immortal for it" {
	local now
	now=$(now_ms)
	for wall in $((1000 - now)) $((130 * YEAR - now)); do
		set_clocks 0 "$wall"
		start_daemon_with_clocks
		"$SC" get -t 1h "k$wall" -- fails -o x >/dev/null
		is_between "$(age_of "k$wall")" 0 $SOON
		set_clocks 0 0
		is_between "$(age_of "k$wall")" 0 $SOON
		set_clocks $((HOUR + 1000)) 0
		[ "$(age_of "k$wall")" = miss ]
		"$SC" daemon stop
		assert_rc 0 daemon
	done
}

@test "T06: a life of nothing shares a run and keeps nothing; for ever, and more than a number holds, is for ever" {
	start_daemon_with_clocks
	bg a "$SC" get -t 0 none -- gate "$G"
	step "$G" out one
	bg b "$SC" get -t 0 none -- gate "$G"
	shows b 'one\n'
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(runs)" = 1 ]
	wait_until nothing_kept
	for ttl in forever 99999999999999999999d 18446744073709551615 18446744073709551614ms 18446744073709551615ms 1e30s 300000d; do
		if ! "$SC" get -t "$ttl" "k$ttl" -- fails -o x >/dev/null 2>"$T/err"; then
			is_message "$T/err" 'ttl|duration' # what is no duration is told, never taken for another
			continue
		fi
		echo "k$ttl" >>"$T/kept"
	done
	[ "$(lines_in "$T/kept")" -ge 5 ]
	let_pass $((800 * YEAR))
	while read -r key; do
		is_between "$(age_of "$key")" 25228800000 $((25228800000 + SOON))
		[ "$(age_of -t 799d "$key")" = miss ]
	done <"$T/kept"
	for ttl in -1 -1h '' x 1x '1 h' 1h- nan; do
		run -125 --separate-stderr "$SC" get -t "$ttl" bad -- touch "$T/ran"
	done
	[ ! -e "$T/ran" ]
}

@test "T06: a life ends after its last millisecond, of whatever length" {
	local ms
	start_daemon_with_clocks
	for ms in 1000000 3600000 86400000 31536000000 4294967296 9007199254740993; do
		passed=0
		set_clocks 0 0
		"$SC" get -r -t "${ms}ms" k -- fails -o x >/dev/null
		let_pass $((ms - SOON * 1000))
		is_between "$(age_of k)" $((ms / 1000 - SOON)) $((ms / 1000))
		let_pass $((SOON * 1000 + 1))
		[ "$(age_of k)" = miss ]
	done
}

@test "T07: time zone, daylight saving, and touched files have no influence" {
	local zone
	start_daemon_with_clocks
	"$SC" get -t 1h k -- fails -o x >/dev/null
	for zone in UTC Asia/Kathmandu America/New_York Pacific/Kiritimati right/UTC :nonsense 'XXX-14YYY,J1,J365' ''; do
		export TZ=$zone
		is_between "$(age_of k)" 0 $SOON
		next_daemon
		is_between "$(age_of k)" 0 $SOON
	done
	unset TZ
	for when in '1970-01-01 00:00:01' '2100-01-01' '1999-12-31 23:59:60'; do
		find "$SC_DIR" -exec touch -h -d "$when" {} + 2>/dev/null || true
		is_between "$(age_of k)" 0 $SOON
		next_daemon
		is_between "$(age_of k)" 0 $SOON
		is_file "$T/served" 'x\n'
	done
}

@test "T08: a thousand keys that are over on resume: each is made once, by however many it is asked for" {
	local n=$((SLACK > 1 ? 200 : 1000)) job
	start_daemon_with_clocks
	mkdir "$T/count" "$T/d1" "$T/d2" "$T/d3"
	for job in 1 2 3; do
		if [ $job = 2 ]; then let_pass $((8 * HOUR)); fi
		bg "c$job" crowd $n "$T/d$job" "$SC" get -t 1h 'k{}' -- fails -n "$T/count/{}" -o x
		if [ $job = 1 ]; then rc c1 120; fi
	done
	rc c2 120
	rc c3 120
	for job in 1 2 3; do is_file "$T/c$job.out" "0 $n\n"; done
	[ "$(find "$T/count" -type f | wc -l)" = $n ]
	[ "$(cat "$T"/count/* | wc -l)" = $((2 * n)) ] # each once before, once after
}
