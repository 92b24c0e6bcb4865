#!/usr/bin/env bats
# FAULTS S01, S02 and others that need a second uid, as root.
load ../helper

OTHER=(setpriv --reuid=12345 --regid=12345 --clear-groups)

prepare() {
	# What the other uid must be able to reach, it can.
	chmod 755 "$T" "$HOME"
	local d=$T
	while [ "$d" != / ]; do
		chmod o+x "$d"
		d=$(dirname "$d")
	done
	mkdir -m 777 "$T/others"
}

@test "S01: another uid does not reach the cache: bypass for it, nothing for the owner to notice" {
	entry k 'secret\n'
	SC_DIR=$SC_DIR run -0 --separate-stderr "${OTHER[@]}" "$SC" get k -- echo own
	assert_output own
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$SC_DIR"
	run -125 "${OTHER[@]}" "$SC" get k
	run -99 "${OTHER[@]}" "$HELPERS/rawclient" "$SC_DIR/sock" hello
	run -0 --separate-stderr "$SC" get k
	assert_output secret
	[ -z "$stderr" ]
}

@test "S02: another uid that can reach the socket is closed by the daemon, and its uid is logged" {
	entry k 'secret\n'
	chmod 777 "$SC_DIR" "$SC_DIR/sock"
	run -0 "${OTHER[@]}" "$HELPERS/rawclient" "$SC_DIR/sock" hello
	assert_output closed
	run -0 "${OTHER[@]}" "$HELPERS/rawclient" "$SC_DIR/sock" after-hello < <(flood 1K)
	assert_output closed
	chmod 700 "$SC_DIR"
	chmod 600 "$SC_DIR/sock"
	wait_until 'grep -q 12345 "$SC_DIR/scd.log"'
	run -0 --separate-stderr "$SC" get k
	assert_output secret
	[ -z "$stderr" ]
}

@test "P17: a daemon of another uid is not talked to: bypass" {
	mkdir "$SC_DIR"
	chmod 777 "$SC_DIR" # the directory becomes ours again, the socket stays somebody else's: as after a careless chmod
	bg impostor "${OTHER[@]}" "$HELPERS/rawclient" "$SC_DIR/sock" sit
	shows impostor 'sitting\n'
	chmod 777 "$SC_DIR/sock"
	chmod 700 "$SC_DIR"
	run -0 --separate-stderr timeout 20 "$SC" get k -- echo x
	assert_output x
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" .
	run -125 timeout 20 "$SC" get --strict k -- touch "$T/ran"
	[ ! -e "$T/ran" ]
	kill "$(pid_of impostor)"
	rc impostor >/dev/null
}

@test "S03: a fallback directory that somebody else has made: refused, with its owner and mode, bypass" {
	local dir=/tmp/sc-12346 mine=(setpriv --reuid=12346 --regid=12346 --clear-groups)
	[ ! -e "$dir" ] && [ ! -L "$dir" ]
	for kind in other symlink file; do
		case $kind in
		other) mkdir -m 700 "$dir" && chown 12345 "$dir" ;;
		symlink) mkdir -m 700 "$T/others/$kind" && chown 12346 "$T/others/$kind" && ln -s "$T/others/$kind" "$dir" ;;
		file) echo x >"$dir" && chown 12346 "$dir" ;;
		esac
		run -0 --separate-stderr "${mine[@]}" env -i "PATH=$PATH" "$SC" get k -- echo direct
		rm -rf "$dir"
		assert_output direct
		printf '%s\n' "$stderr" >"$T/err"
		is_message "$T/err" "$dir"
		if [ $kind = other ]; then is_message "$T/err" 12345; fi
		if [ $kind = symlink ]; then [ -z "$(ls -A "$T/others/$kind")" ]; fi
	done
}

@test "S03: a cache directory of another uid is refused: bypass" {
	mkdir -m 700 "$T/theirs"
	chown 12345:12345 "$T/theirs"
	SC_DIR=$T/theirs run -0 --separate-stderr "$SC" get k -- echo direct
	assert_output direct
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$T/theirs"
	is_message "$T/err" 12345
	[ -z "$(ls -A "$T/theirs")" ]
}

@test "S20: as root with another user's HOME: nothing of root's is made there" {
	mkdir -m 755 "$T/others/home"
	chown 12345:12345 "$T/others/home"
	unset SC_DIR
	local was=no
	[ ! -e /tmp/sc-0 ] || was=yes
	HOME=$T/others/home run -0 "$SC" get S20-$$ -- echo x
	assert_line x
	[ -z "$(find "$T/others/home" -uid 0)" ]
	if [ -n "$(daemon_pids /tmp/sc-0)" ]; then
		SC_DIR=/tmp/sc-0 "$SC" rm S20-$$
		SC_DIR=/tmp/sc-0 "$SC" daemon stop --now
		if [ $was = no ]; then rm -rf /tmp/sc-0; fi
	fi
	export SC_DIR=$T/cache
}

@test "B12: a uid without a passwd entry and without a home" {
	local who=(setpriv --reuid=12347 --regid=12347 --clear-groups)
	mkdir -m 700 "$T/others/cache"
	chown 12347:12347 "$T/others/cache"
	SC_DIR=$T/others/cache run -0 --separate-stderr "${who[@]}" env -u HOME "$SC" get k -- echo x
	assert_output x
	[ -z "$stderr" ]
	SC_DIR=$T/others/cache run -0 "${who[@]}" env -u HOME "$SC" get k
	assert_output x
	SC_DIR=$T/others/cache "${who[@]}" "$SC" daemon stop
}

@test "G06: from another pid and mount namespace: the first daemon is used, a second refuses" {
	entry k 'x\n'
	local pid
	pid=$(daemon_pid)
	run -0 --separate-stderr unshare --pid --fork --mount --mount-proc "$SC" get k
	assert_output x
	[ -z "$stderr" ]
	run -0 --separate-stderr unshare --pid --fork --mount --mount-proc "$SC" get l -- echo y
	assert_output y
	[ -z "$stderr" ]
	run timeout 20 unshare --pid --fork --mount --mount-proc "$SC" daemon run
	[ "$status" != 0 ]
	[ "$status" != 124 ]
	[ "$(daemon_pids)" = "$pid" ]
	run -0 "$SC" get l
	assert_output y
}
