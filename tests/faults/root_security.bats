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
	for kind in other open symlink file; do
		case $kind in
		open) mkdir "$dir" && chmod 777 "$dir" && chown 12345 "$dir" ;;
		other) mkdir -m 700 "$dir" && chown 12345 "$dir" ;;
		symlink) mkdir -m 700 "$T/others/$kind" && chown 12346 "$T/others/$kind" && ln -s "$T/others/$kind" "$dir" ;;
		file) echo x >"$dir" && chown 12346 "$dir" ;;
		esac
		run -0 --separate-stderr "${mine[@]}" env -i "PATH=$PATH" "$SC" get k -- echo direct
		rm -rf "$dir"
		assert_output direct
		printf '%s\n' "$stderr" >"$T/err"
		is_message "$T/err" "$dir"
		if [ $kind = other ]; then is_message "$T/err" '12345 \(mode 0700\)'; fi
		if [ $kind = open ]; then is_message "$T/err" '12345 \(mode 0777\)'; fi
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

@test "S20: as root with another user's XDG_CACHE_HOME, or with his cache: nothing of root's is made there" {
	local was=no dir
	mkdir -m 755 "$T/others/xdg" "$T/others/used"
	mkdir -m 700 "$T/others/used/sc"
	chown -R 12345:12345 "$T/others/xdg" "$T/others/used"
	unset SC_DIR
	[ ! -e /tmp/sc-0 ] || was=yes
	for dir in xdg used; do
		HOME=$T/others/xdg XDG_CACHE_HOME=$T/others/$dir run -0 "$SC" get "S20-$$" -- echo x
		assert_line x
		HOME=$T/others/xdg XDG_CACHE_HOME=$T/others/$dir run "$SC" doctor
		[ -z "$(find "$T/others/xdg" "$T/others/used" -uid 0)" ]
		[ -z "$(daemon_pids "$T/others/$dir/sc")" ]
	done
	if [ -n "$(daemon_pids /tmp/sc-0)" ]; then
		SC_DIR=/tmp/sc-0 "$SC" rm "S20-$$"
		SC_DIR=/tmp/sc-0 "$SC" daemon stop --now
	fi
	if [ $was = no ]; then rm -rf /tmp/sc-0; fi
	export SC_DIR=$T/cache
}

@test "S20: set-uid, the caller's environment does not say where: not by SC_DIR, HOME or XDG" {
	local dir=/tmp/sc-12349 bin=$T/others/bin his=$T/others/his name
	local good=0
	# The leak checker cannot look into what is set-uid, and ends it with 1.
	if [ "${SAN:-}" = 1 ]; then good=1; fi
	[ ! -e "$dir" ] && [ ! -L "$dir" ]
	mkdir -m 755 "$bin"
	cp "$SC" "$bin/sc"
	cp "$(dirname "$SC")/scd" "$bin/scd"
	chown 12349:12349 "$bin/sc"
	chmod 4755 "$bin/sc"
	mkdir -m 777 "$his" "$his/home" "$his/xdg" "$his/config"
	mkdir -p "$his/config/sc"
	echo 'max-size = 4711M' >"$his/config/sc/config"
	chown -R 12349:12349 "$his" # so that they would be taken, were they looked at
	chmod 777 "$his/"*
	for name in SC_DIR=$his/dir HOME=$his/home XDG_CACHE_HOME=$his/xdg; do
		run -$good --separate-stderr "${OTHER[@]}" env -i "PATH=$PATH" "XDG_CONFIG_HOME=$his/config" "$name" \
			"$bin/sc" config
		[[ ${lines[0]} =~ ^dir\ +$dir\ +default$ ]]
		[[ $output != *4711* ]]
		run -$good --separate-stderr "${OTHER[@]}" env -i "PATH=$PATH" "$name" "$bin/sc" get --stdin k -- cat <<<x
		assert_output x
		[ "$(find "$his" -newer "$his/config/sc/config" -type f)" = '' ]
		[ "$(stat -c %u "$dir")" = 12349 ]
	done
	setpriv --reuid=12349 --regid=12349 --clear-groups env "SC_DIR=$dir" "$SC" daemon stop --now
	rm -rf "$dir"
}

@test "B18: the default place on a network file system: the next one is used silently, doctor says so" {
	use_test_build
	local home=$T/others/home dir=/var/tmp/sc-12348 type
	[ ! -e "$dir" ] && [ ! -L "$dir" ]
	mkdir -m 755 "$home"
	chown 12348:12348 "$home"
	for type in 6969 ff534d42 65735546 1021997 c36400; do # NFS, CIFS, FUSE and virtiofs, 9p, Ceph
		local on=(setpriv --reuid=12348 --regid=12348 --clear-groups env -u SC_DIR "HOME=$home" "LD_PRELOAD=$HELPERS/shim_fail.so" "SHIM_FILESYSTEM=$home:$type")
		run -0 --separate-stderr "${on[@]}" "$SC" get k -- echo x
		assert_output x
		[ -z "$stderr" ]
		run -0 --separate-stderr "${on[@]}" "$SC" get k # shared, not bypassed
		assert_output x
		[ -n "$(daemon_pids "$dir")" ]
		run -0 --separate-stderr "${on[@]}" "$SC" doctor
		assert_line --regexp "^ok: directory: $dir: ours, mode 0700, on "
		assert_line "warning: directory: $dir is used because the usual place is on a network file system (set SC_DIR to say where)"
		[ -z "$(ls -A "$home")" ]
		"${on[@]}" "$SC" daemon stop --now
		rm -rf "$dir"
	done
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

@test "D12: swap that is not encrypted: doctor warns if something is sealed, and says so else; none, or one in memory, is well" {
	local swaps=$T/swaps
	doctor_of() { # LINE OF /proc/swaps
		printf 'Filename Type Size Used Priority\n%s' "$1" >"$swaps"
		unshare --mount sh -c 'mount --bind "$0" /proc/swaps && exec "$1" doctor' "$swaps" "$SC" | grep ': swap: '
	}
	mkdir -m 700 -p "$SC_DIR"
	: >"$SC_DIR/config"
	run doctor_of $'/dev/nothing partition 1 0 -2\n'
	assert_output 'ok: swap: on: what passes through memory may be written to a disk by the machine'
	echo 'encrypt = on' >"$SC_DIR/config"
	run doctor_of $'/dev/zram0 partition 1 0 -2\n/dev/nothing partition 1 0 -2\n'
	assert_output 'warning: swap: /dev/nothing is not encrypted: what is sealed on the disk may come to lie there in the clear (encrypt it, or swapoff)'
	run doctor_of $'/dev/zram0 partition 1 0 -2\n'
	assert_output 'ok: swap: on, and encrypted or in memory'
	run doctor_of ''
	assert_output 'ok: swap: none'
}
