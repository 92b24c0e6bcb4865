#!/usr/bin/env bats
# FAULTS B11, B15, S06, as root: the cache directory under other mounts, devices in the place of files.
load ../helper

prepare() { use_test_build; }

# in_mounts SCRIPT: the script in a mount namespace of its own.
in_mounts() {
	export -f wait_until daemon_pids daemon_pid dead start_daemon
	SCRIPT=$1 run -0 unshare -m --propagation private bash -c 'set -e; eval "$SCRIPT"' 3>&-
	echo "$output"
}

@test "B15: another file system is mounted over the cache directory: the daemon goes, the next get starts one there" {
	export SC_FAULT=walk # looks often
	in_mounts '
		"$SC" get k -- echo below
		pid=$(daemon_pid)
		mount -t tmpfs -o mode=700 none "$SC_DIR"
		"$SC" get k -- echo above
		wait_until "dead $pid"
		"$SC" get k
		daemon_pids | wc -l
		"$SC" daemon stop
		umount "$SC_DIR"
		"$SC" get k
		daemon_pids | wc -l
		"$SC" daemon stop'
	[ "$output" = $'below\nabove\nabove\n1\nbelow\n1' ]
}

@test "B11: through a read-only mount hits come from the daemon on the writable side; with none running: bypass" {
	mkdir "$T/ro"
	in_mounts '
		start_daemon
		mount --bind "$SC_DIR" "$T/ro"
		mount -o remount,bind,ro "$T/ro"
		"$SC" get k -- echo kept
		SC_DIR=$T/ro "$SC" get k 2>&1
		SC_DIR=$T/ro "$SC" get l -- echo made 2>&1
		"$SC" get l
		"$SC" daemon stop
		SC_DIR=$T/ro "$SC" get k -- echo direct 2>"$T/err"
		"$SC" get k
		"$SC" daemon stop'
	[ "$output" = $'kept\nkept\nmade\nmade\ndirect\nkept' ]
	is_message "$T/err" 'read-only.*running the command directly'
}

@test "S06: a device in the place of an object, of index.db, log or lock: not opened, not written, no hang" {
	local name made
	ASAN_OPTIONS=detect_leaks=0 start_daemon
	"$SC" get --status-fd 9 k -- true 9>"$T/made" >/dev/null 3>&-
	made=$(field generation "$T/made")
	made=$SC_DIR/objects/${made:0:2}/$made.out
	for device in 'c 1 5' 'c 5 0' 'b 7 0'; do # zero, tty, loop0
		rm "$made"
		# shellcheck disable=SC2086
		mknod -m 600 "$made" $device
		bg calls strace -f -o "$T/traced" -e trace=open,openat,openat2 -p "$(daemon_pid)"
		wait_until 'grep -q attached "$T/calls.err"'
		run -1 timeout 20 "$SC" get k
		assert_output ''
		kill "$(pid_of calls)"
		rc calls
		# To open some devices is to rewind a tape; to look at the name is not.
		run grep "${made##*/}" "$T/traced"
		refute_output --partial O_RDONLY
		"$SC" get --status-fd 9 k -- true 9>"$T/made" >/dev/null 3>&-
		made=$(field generation "$T/made")
		made=$SC_DIR/objects/${made:0:2}/$made.out
	done
	"$SC" daemon stop
	for name in index.db scd.log lock; do
		for device in 'c 1 5' 'c 1 7'; do # zero, full
			mkdir -m 700 "$T/d"
			# shellcheck disable=SC2086
			mknod -m 600 "$T/d/$name" $device
			SC_DIR=$T/d run -0 timeout 20 "$SC" get l -- echo x
			assert_line x
			if [ -n "$(daemon_pids "$T/d")" ]; then SC_DIR=$T/d "$SC" daemon stop --now; fi
			rm -rf "$T/d"
		done
	done
	ANY_FILES=1
}
