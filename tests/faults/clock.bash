# A daemon, or a client, whose clocks the test sets (helpers/shim_clock.c). Loaded by the tests of time, and of what is remembered of files.
# shellcheck shell=bash

HOUR=3600000 DAY=86400000 YEAR=31536000000 # ms
export HOUR DAY YEAR

# set_clocks BOOT WALL [RUN]: ms that are from now on added to CLOCK_BOOTTIME, the wall clock and CLOCK_MONOTONIC. In place: the file is
# mapped.
set_clocks() {
	local fd
	exec {fd}<>"$T/clocks"
	printf '%020d %020d %020d ' "$1" "$2" "${3:-0}" >&"$fd"
	exec {fd}>&-
}

# A suspend: both clocks go on by it.
let_pass() {
	passed=$((${passed:-0} + $1))
	set_clocks $passed $passed "${awake:-0}"
}

# Just so much time, awake: all clocks go on by it.
let_pass_awake() {
	awake=$((${awake:-0} + $1))
	let_pass "$1"
}

with_clocks() { env LD_PRELOAD="$HELPERS/shim_clock.so" SHIM_CLOCK="$T/clocks" "$@"; }

start_daemon_with_clocks() {
	[ -e "$T/clocks" ] || set_clocks 0 0
	[ -d "$SC_DIR" ] || mkdir -m 700 "$SC_DIR"
	export -f with_clocks
	bg daemon with_clocks "$(dirname "$SC")/scd" "$SC_DIR"
	wait_until '"$SC" daemon status >/dev/null 2>&1'
}

next_daemon() { # as if the machine had been booted anew, where the boot id is another one
	"$SC" daemon stop --now
	assert_rc 0 daemon
	start_daemon_with_clocks
}

# What is served, and of which age in seconds; "miss" if nothing is.
age_of() {
	rm -f "$T/status"
	"$SC" get --status-fd 9 "$@" 9>"$T/status" >"$T/served" 2>&1 3>&- || { echo miss && return; }
	printf '%.0f\n' "$(field age "$T/status")"
}
is_between() { [[ $1 =~ ^[0-9]+$ ]] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }
