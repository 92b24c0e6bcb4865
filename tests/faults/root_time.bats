#!/usr/bin/env bats
# FAULTS T, as root: other boots, and time namespaces.
load ../helper
load clock

SOON=$((60 * SLACK))

# in_boot NAME SCRIPT: the script where the machine's boot is another one; its daemon lives there, too. NAME "none": it has no id.
in_boot() {
	local id=$T/boot.$1
	[ "$1" != none ] || id=/dev/null
	[ -e "$id" ] || cat /proc/sys/kernel/random/uuid >"$id"
	export -f wait_until age_of field with_clocks set_clocks start_daemon_with_clocks bg booted
	export T HOUR DAY YEAR SLACK
	ID=$id SCRIPT=$2 run -0 unshare -m --propagation private bash -c '
		mount --bind "$ID" /proc/sys/kernel/random/boot_id || exit 90
		eval "$SCRIPT"
		"$SC" daemon stop --now' 3>&-
	echo "$output"
}

# booted WALL: ten seconds ago, and the wall clock is WALL ms from the machine's.
booted() { set_clocks $((10000 - $(awk '{ printf "%d", $1 * 1000 }' /proc/uptime))) "$1" && start_daemon_with_clocks; }

@test "T04: another boot: an entry is as old as the wall clock says; over is over" {
	in_boot one 'booted 0; "$SC" get -t 1h k -- echo x; age_of k'
	is_between "${lines[1]}" 0 $SOON
	in_boot two 'booted $((HOUR / 2)); age_of k; age_of -t 10m k; "$SC" ls'
	is_between "${lines[0]}" 1800 $((1800 + SOON))
	[ "${lines[1]}" = miss ]
	[ "${lines[2]}" = k ]
	in_boot three 'booted $((HOUR + 1000)); age_of k; "$SC" ls; wait_until "[ -z \"\$(find \"\$SC_DIR/objects\" -type f)\" ]"'
	assert_output miss
}

@test "T04 T05: made in the future, as far as another boot can tell: stale, and made anew" {
	in_boot one 'booted $((130 * YEAR)); "$SC" get -t 1h k -- echo x; "$SC" get -t forever e -- echo x'
	in_boot two 'booted 0; age_of k; age_of e; "$SC" get -t 1h k -- echo new; age_of k'
	assert_line --index 0 miss
	assert_line --index 1 miss
	assert_line --index 2 new
	is_between "${lines[3]}" 0 $SOON
}

@test "T05: made in 1970 by a clock that was right later, and the other way round: stale, never immortal" {
	in_boot one 'booted $((5000 - $(date +%s) * 1000)); "$SC" get -t 1h k -- echo x; age_of k'
	is_between "${lines[1]}" 0 $SOON
	in_boot two 'booted 0; age_of k; "$SC" get -t 1h k -- echo y; age_of k'
	assert_line --index 0 miss
	in_boot three 'booted $((5000 - $(date +%s) * 1000)); age_of k'
	assert_output miss
}

@test "T05: a wall clock that stands still over boots: an entry of another one is at least as old as this one" {
	in_boot one 'booted 0; "$SC" get -t 1h k -- echo x'
	in_boot two 'booted 0; age_of k
		up=$(awk "{ printf \"%d\", \$1 * 1000 }" /proc/uptime)
		set_clocks $((HOUR / 2 - up)) 0; age_of k
		set_clocks $((HOUR + 1000 - up)) 0; age_of k'
	is_between "${lines[0]}" 0 $SOON
	is_between "${lines[1]}" 1790 $((1800 + SOON))
	[ "${lines[2]}" = miss ]
}

@test "T04: no boot id to be had: what either clock calls over is over" {
	in_boot none 'booted 0; "$SC" get -t 1h k -- echo x; age_of k
		up=$(awk "{ printf \"%d\", \$1 * 1000 }" /proc/uptime)
		set_clocks $((20000 - up)) $((HOUR + 1000)); age_of k
		set_clocks $((20000 - up)) -$HOUR; age_of k
		set_clocks $((11000 - up + HOUR)) 0; age_of k'
	is_between "${lines[1]}" 0 $SOON
	[ "${lines[2]}" = miss ]
	[ "${lines[3]}" = miss ]
	[ "${lines[4]}" = miss ]
}

# elsewhen SECONDS CMD…: in a time namespace whose clocks are so much ahead.
elsewhen() { unshare --time --boottime "$1" --monotonic "$1" -- "${@:2}"; }

@test "T03: a daemon in another time namespace than the one before it: ages are the machine's, never shorter, never longer" {
	local first second up
	up=$(cut -d . -f 1 /proc/uptime)
	for first in 0 1000000 -$((up / 2)); do
		for second in 0 1000000 -$((up / 2)); do
			elsewhen "$first" "$SC" get -r -t 1h k -- fails -o x >/dev/null
			elsewhen "$first" "$SC" get -r -t 300ms over -- fails -o x >/dev/null
			"$SC" daemon stop
			elsewhen "$second" "$SC" daemon start
			is_between "$(age_of k)" 0 $SOON
			wait_until '[ "$(age_of over)" = miss ]'
			"$SC" daemon stop
		done
	done
}

@test "T03: callers in another time namespace than the daemon's: they lead, follow, wait and list as others do" {
	local up
	up=$(cut -d . -f 1 /proc/uptime)
	start_daemon
	for ns in 1000000 -$((up / 2)); do
		G=$(new_gate "g$ns")
		bg a elsewhen "$ns" "$SC" get "k$ns" -- gate "$G"
		step "$G" out one
		bg b elsewhen "$ns" "$SC" get --wait 1h "k$ns"
		bg c "$SC" get --wait 1h "k$ns"
		for n in a b c; do shows $n 'one\n'; done
		run -0 elsewhen "$ns" "$SC" ps
		assert_output --regexp '^[0-9a-f]{8}  running +[0-9]+(\.[0-9])?m?s '
		kill_daemon # the next one is found there, and started from there
		step "$G" out two
		step "$G" exit 0
		assert_rc 0 a b c
		for n in a b c; do shows $n 'one\ntwo\n'; done
		for n in a b c; do is_empty "$T/$n.err"; done
		is_between "$(age_of "k$ns")" 0 $SOON
		elsewhen "$ns" "$SC" get --status-fd 9 "k$ns" 9>"$T/status"
		is_between "$(printf %.0f "$(field age "$T/status")")" 0 $SOON
		run -124 elsewhen "$ns" "$SC" get --wait 100ms "never$ns"
	done
}
