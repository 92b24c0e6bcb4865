#!/usr/bin/env bats
# Never worse than not using sc: where there is no cache to be had the command runs directly, one line says why, and the exit
# status is the command's. --strict: 125 instead.
load ../helper

# bypasses REGEX: with things as they are.
bypasses() {
	local got=0
	printf 'input\n' >"$T/in"
	rm -f "$T/ran"
	timeout $((20 * SLACK)) "$SC" get k -- sh -c 'echo out; cat; exit 5' <"$T/in" >"$T/out" 2>"$T/err" || got=$?
	[ $got = 5 ] || { echo "status $got: $(cat "$T/err")" >&2 && return 1; }
	is_file "$T/out" 'out\n' # stdin is /dev/null
	is_message "$T/err" "$1"
	got=0
	timeout $((20 * SLACK)) "$SC" get --strict k -- touch "$T/ran" >"$T/out" 2>"$T/err" || got=$?
	[ $got = 125 ] || { echo "--strict: status $got" >&2 && return 1; }
	is_empty "$T/out"
	is_message "$T/err" "$1"
	got=0
	SC_STRICT=1 timeout $((20 * SLACK)) "$SC" get k -- touch "$T/ran" >"$T/out" 2>"$T/err" || got=$?
	[ $got = 125 ] || { echo "SC_STRICT=1: status $got" >&2 && return 1; }
	[ ! -e "$T/ran" ]
	run -127 timeout $((20 * SLACK)) "$SC" get k -- no-such-command-here
	echo x >"$T/plain"
	run -126 timeout $((20 * SLACK)) "$SC" get k -- "$T/plain"
	run -143 timeout $((20 * SLACK)) "$SC" get k -- fails -k 15
}

@test "the cache directory is a file: bypass" {
	echo precious >"$SC_DIR"
	ANY_FILES=1
	bypasses "$SC_DIR"
	is_file "$SC_DIR" 'precious\n'
}

@test "the cache directory is a symbolic link: bypass, and nothing appears behind it" {
	mkdir "$T/real"
	ln -s "$T/real" "$SC_DIR"
	ANY_FILES=1
	bypasses "$SC_DIR"
	[ -z "$(ls -A "$T/real")" ]
}

@test "the cache directory is writable by others: bypass, with the line that mends it" {
	for mode in 777 770 702; do
		mkdir -m "$mode" "$T/d$mode"
		chmod "$mode" "$T/d$mode"
		SC_DIR=$T/d$mode bypasses 'chmod'
		[ -z "$(ls -A "$T/d$mode")" ]
		[ "$(stat -c %a "$T/d$mode")" = "$mode" ]
	done
}

@test "the cache directory is ours and merely readable by others: it is made 0700 and used" {
	mkdir -m 755 "$SC_DIR"
	run -0 --separate-stderr "$SC" get k -- echo x
	[ -z "$stderr" ]
	[ "$(stat -c %a "$SC_DIR")" = 700 ]
	run -0 "$SC" get k
}

@test "the daemon's program is missing: bypass" {
	mkdir "$T/bin"
	cp "$SC" "$T/bin/sc"
	SC=$T/bin/sc bypasses '^sc: '
}

@test "the daemon's program cannot run: bypass" {
	mkdir "$T/bin"
	cp "$SC" "$T/bin/sc"
	printf '#!/bin/sh\necho broken >&2\nexit 1\n' >"$T/bin/scd"
	chmod +x "$T/bin/scd"
	SC=$T/bin/sc bypasses '^sc: '
}

@test "P14: something that is no socket lies at the socket's place: it is not removed; bypass" {
	for kind in file directory link fifo; do
		local d="$T/$kind"
		mkdir -m 700 "$d"
		case $kind in
		file) echo precious >"$d/sock" ;;
		directory) mkdir "$d/sock" ;;
		link) ln -s "$T/elsewhere" "$d/sock" ;;
		fifo) mkfifo "$d/sock" ;;
		esac
		SC_DIR=$d bypasses '^sc: '
		[ -e "$d/sock" ] || [ -L "$d/sock" ]
		[ ! -e "$T/elsewhere" ]
		[ -z "$(daemon_pids "$d")" ]
	done
}

@test "in a bypass stdout and stderr are the caller's own" {
	mkdir "$T/bad"
	chmod 777 "$T/bad"
	SC_DIR=$T/bad "$SC" get k -- readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 >"$T/out" 2>"$T/err"
	is_file "$T/out" "/dev/null\n$T/out\n$T/err\n"
}

@test "-q: a bypass says nothing" {
	mkdir "$T/bad"
	chmod 777 "$T/bad"
	SC_DIR=$T/bad run -0 --separate-stderr "$SC" get -q k -- echo x
	assert_output x
	[ -z "$stderr" ]
}

@test "without a cache, get without a command is 125, and so is rm; neither starts anything" {
	mkdir "$T/bad"
	chmod 777 "$T/bad"
	export SC_DIR=$T/bad
	run -125 "$SC" get k
	run -125 "$SC" rm k
	no_daemon
	rmdir "$T/bad"
	export SC_DIR=$T/cache
}

@test "SC_DISABLE=1: the command runs directly; no daemon is asked or started, no directory made" {
	SC_DISABLE=1 run -3 --separate-stderr "$SC" get k -- sh -c 'readlink /proc/self/fd/0; exit 3'
	assert_output /dev/null
	[ ! -e "$SC_DIR" ]
	no_daemon
	entry k 'cached\n'
	kill -STOP "$(daemon_pid)" # it would be noticed
	SC_DISABLE=1 run -0 timeout "$SLACK" "$SC" get k -- echo direct
	kill -CONT "$(daemon_pid)"
	assert_output direct
	run -0 "$SC" get k
	assert_output cached
}

@test "SC_DISABLE=1 and --strict: there is no shared run to be had: 125, and why" {
	local verb
	for verb in get warm; do
		SC_DISABLE=1 run -125 --separate-stderr "$SC" $verb --strict k -- touch "$T/ran"
		[ "$stderr" = 'sc: k: there is no cache: SC_DISABLE is 1' ]
		SC_DISABLE=1 SC_STRICT=1 run -125 --separate-stderr "$SC" $verb k -- touch "$T/ran"
		[ "$stderr" = 'sc: k: there is no cache: SC_DISABLE is 1' ]
	done
	SC_DISABLE=1 run -125 "$SC" get --strict --status-fd 3 k -- touch "$T/ran" 3>"$T/s"
	[ "$(field error "$T/s")" = "there is no cache: SC_DISABLE is 1" ]
	[ ! -e "$T/ran" ]
}

@test "SC_DISABLE=1: the other verbs are as ever" {
	entry k 'x\n'
	SC_DISABLE=1 run -0 "$SC" ls
	assert_output k
	SC_DISABLE=1 run -0 "$SC" rm k
	run -1 "$SC" get k
}

@test "--strict with a cache: as without" {
	run -0 "$SC" get --strict k -- echo x
	assert_output x
	run -0 "$SC" get --strict k -- false
	assert_output x
	run -4 "$SC" get --strict l -- fails 4
}

@test "a daemon found beside sc, else in libexec, never through PATH" {
	mkdir -p "$T/one" "$T/two/bin" "$T/two/libexec/sc" "$T/path"
	cp "$SC" "$T/one/sc"
	cp "$(dirname "$SC")/scd" "$T/one/scd"
	cp "$SC" "$T/two/bin/sc"
	cp "$(dirname "$SC")/scd" "$T/two/libexec/sc/scd"
	printf '#!/bin/sh\ntouch "%s"\n' "$T/evil" >"$T/path/scd"
	chmod +x "$T/path/scd"
	for place in one two/bin; do
		PATH=$T/path:$PATH run -0 --separate-stderr "$T/$place/sc" get "k$place" -- echo x
		assert_output x
		[ -z "$stderr" ]
		[ -n "$(daemon_pid)" ]
		"$SC" daemon stop
		wait_until no_daemon
	done
	[ ! -e "$T/evil" ]
}
