#!/usr/bin/env bats
# FAULTS B: places where no cache can be.
load ../helper

# The fallback of a user without a home; what lay there before stays.
cleanup() {
	[ -n "${FALLBACK:-}" ] || return 0
	SC_DIR=$FALLBACK "$SC" daemon stop --now >/dev/null 2>&1 || true
	wait_until '[ -z "$(daemon_pids "$FALLBACK")" ]'
	if [ "$FALLBACK_WAS" = no ]; then rm -rf "$FALLBACK"; fi
}

@test "B12: no HOME, HOME=/nonexistent, no XDG: it works from /tmp/sc-UID" {
	FALLBACK=/tmp/sc-$(id -u) FALLBACK_WAS=no
	[ ! -e "$FALLBACK" ] || FALLBACK_WAS=yes
	local key=B12-$$-$RANDOM
	run -0 --separate-stderr env -i "PATH=$PATH" "$SC" get "$key" -- echo x
	assert_output x
	[ -z "$stderr" ]
	[ -S "$FALLBACK/sock" ]
	[ "$(stat -c '%a %u' "$FALLBACK")" = "700 $(id -u)" ]
	run -0 --separate-stderr env -i "PATH=$PATH" HOME=/nonexistent "$SC" get "$key"
	assert_output x
	[ -z "$stderr" ]
	run -0 --separate-stderr env -i "PATH=$PATH" HOME= XDG_CACHE_HOME= SC_DIR= "$SC" get "$key"
	assert_output x
	[ -z "$stderr" ]
	[ ! -e /nonexistent ]
	env -i "PATH=$PATH" "$SC" rm "$key"
}

@test "B12: an empty environment but for SC_DIR: it works" {
	run -0 --separate-stderr env -i "SC_DIR=$SC_DIR" "$SC" get k -- /bin/echo x
	assert_output x
	[ -z "$stderr" ]
	run -0 env -i "SC_DIR=$SC_DIR" "$SC" get k
	assert_output x
}

@test "B13: the cache directory cannot be made: bypass, the message names the path and what to do" {
	mkdir "$T/closed"
	chmod 0 "$T/closed"
	export SC_DIR=$T/closed/cache
	run -3 --separate-stderr "$SC" get k -- sh -c 'echo direct; exit 3'
	assert_output direct
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$T/closed"
	is_message "$T/err" '\(.*\)' # what to do
	run -125 "$SC" get --strict k -- touch "$T/ran"
	[ ! -e "$T/ran" ]
	export SC_DIR=$T/cache
}

@test "B13: the cache directory is there and may not be entered: bypass" {
	mkdir -p "$T/closed/cache"
	chmod 0 "$T/closed"
	SC_DIR=$T/closed/cache run -0 --separate-stderr "$SC" get k -- echo direct
	assert_output direct
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$T/closed"
	SC_DIR=/proc/cache run -0 --separate-stderr "$SC" get k -- echo direct
	assert_output direct
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" /proc/cache
}

@test "B14: the cache directory is removed under a living daemon: streams finish, the next call starts one anew" {
	bg a "$SC" get k -- gate "$G"
	step "$G" fill 100K
	wait_until '[ "$(stat -c %s "$T/a.out")" = 102400 ]'
	rm -rf "$SC_DIR"
	step "$G" fill 100K
	step "$G" exit 0
	assert_rc 0 a
	is_flood "$T/a.out" 200K
	run -0 "$SC" get k -- echo anew
	assert_output anew
	run -0 "$SC" get k
	assert_output anew
	wait_until '[ "$(daemon_pids | wc -l)" = 1 ]'
}
