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

# The daemon that logs to a file, as one that a client has started does, with its calls on that file failing.
log_fails() { # STRACE OPTION…
	: >"$T/ready"
	bg daemon bash -c 'exec strace -f -qq -o "$0.strace" "${@:3}" "$1" --ready-fd=9 "$2" 9>"$0"' "$T/ready" "$(dirname "$SC")/scd" "$SC_DIR" "$@"
	wait_until '[ "$(cat "$T/ready")" = ready ]'
}

@test "B23: the log cannot be written, or not even opened: nobody notices" {
	use_test_build
	local how
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # it does not work under a tracer
	mkdir -m 700 "$SC_DIR"
	for how in write:error=ENOSPC write:error=EIO:when=2+ openat:error=ENOSPC; do
		# strace knows a descriptor by its path, a name only as it was given.
		log_fails -P "$SC_DIR/scd.log" -P scd.log -e "trace=${how%%:*}" -e "inject=$how"
		run -0 --separate-stderr "$SC" get "k$how" -- echo x
		assert_output x
		[ -z "$stderr" ]
		run -0 --separate-stderr "$SC" get "k$how"
		assert_output x
		[ -z "$stderr" ]
		"$SC" daemon stop
		assert_rc 0 daemon
		grep -q INJECTED "$T/ready.strace"
	done
	rm "$SC_DIR/scd.log"
	mkdir "$SC_DIR/scd.log"
	run -0 --separate-stderr "$SC" get k -- echo y
	assert_output y
	[ -z "$stderr" ]
	"$SC" daemon stop
	rmdir "$SC_DIR/scd.log"
}

@test "B18: a cache directory that was asked for on a network file system: bypass, the line names the setting; with it it is used" {
	use_test_build
	local with=(env "LD_PRELOAD=$HELPERS/shim_fail.so" "SHIM_FILESYSTEM=$SC_DIR:6969")
	run -3 --separate-stderr "${with[@]}" "$SC" get k -- sh -c 'echo direct; exit 3'
	assert_output direct
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'network-fs = on'
	run -125 "${with[@]}" "$SC" get --strict k -- touch "$T/ran"
	[ ! -e "$T/ran" ]
	no_daemon
	mkdir -p -m 700 "$SC_DIR"
	echo 'network-fs = on' >"$SC_DIR/config"
	run -0 --separate-stderr "${with[@]}" "$SC" get k -- echo x
	assert_output x
	[ -z "$stderr" ]
	run -0 "${with[@]}" "$SC" get k
	assert_output x
}
