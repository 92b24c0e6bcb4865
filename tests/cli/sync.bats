#!/usr/bin/env bats
# `sc sync`: what is stored is on the disk when it returns, or it says that it is not.
load ../helper

# An entry for each KEY, and then the daemon under strace: its calls that reach the disk go to $T/calls. Ends with the daemon.
watch_daemon() { # KEY… -- [STRACE OPTION…]
	use_test_build
	ASAN_OPTIONS=detect_leaks=0 start_daemon
	for (( ; $# > 0; )); do
		if [ "$1" = -- ]; then shift && break; fi
		entry "$1" 'x\n'
		shift
	done
	bg strace strace -f -qq -o "$T/calls" -e trace=syncfs,fsync,fdatasync "$@" -p "$(daemon_pid)"
	wait_until '[ -e "$T/calls" ]'
	wait_until '[ "$(awk "/TracerPid/ { print \$2 }" /proc/"$(daemon_pid)"/status)" != 0 ]'
}

@test "sync: everything is on the disk: objects and directories, then the index, which has nothing left to recover" {
	watch_daemon k1 k2 k3
	[ -s "$SC_DIR/index.db-wal" ]
	run -0 --separate-stderr "$SC" sync
	[ -z "$output$stderr" ]
	# The file system of the cache, and after it the WAL and index.db.
	wait_until '[ "$(grep -c "sync.* = 0" "$T/calls")" -ge 3 ]'
	run -0 awk '{ sub(/\(.*/, "", $2); print $2 }' "$T/calls"
	assert_line --index 0 syncfs
	assert_line --index 1 --regexp 'f(data)?sync'
	assert_line --index 2 --regexp 'f(data)?sync'
	# All of it is in index.db itself.
	cp "$SC_DIR/index.db" "$T/alone.db"
	run -0 sqlite3 "$T/alone.db" 'SELECT count(*) FROM entry'
	assert_output 3
	"$SC" daemon stop
	rc strace
}

@test "sync: an error of the disk is told, and is no reason to stop" {
	local bad
	for bad in syncfs:EIO syncfs:ENOSPC fsync,fdatasync:EIO; do
		watch_daemon "k$bad" -- -e "inject=${bad%:*}:error=${bad#*:}:when=1"
		run -125 --separate-stderr "$SC" sync
		printf '%s\n' "$stderr" >"$T/err"
		case $bad in
		*EIO) is_message "$T/err" 'sync: .*EIO|sync: .*[Ii]nput/output' ;;
		*) is_message "$T/err" 'sync: .*space' ;;
		esac
		run -0 "$SC" get "k$bad"
		assert_output x
		run -0 "$SC" sync
		"$SC" daemon stop --now
		rc strace
	done
}

@test "B08: after a sync that has failed every entry is held against its sum before it is given out" {
	entry good 'good\n'
	entry bad 'what it was\n'
	printf X | dd of="$(grep -l 'what it was' "$SC_DIR"/objects/*/*.out)" conv=notrunc status=none
	watch_daemon k -- -e inject=syncfs:error=EIO:when=1
	run -125 "$SC" sync
	run -1 "$SC" get bad
	run -0 "$SC" get good
	assert_output good
	"$SC" daemon stop --now
	rc strace
}

@test "sync: hits are served while it lasts" {
	watch_daemon k -- -e inject=syncfs:delay_enter=3000000:when=1
	bg s "$SC" sync
	wait_until 'grep -q syncfs "$T/calls"'
	run -0 --separate-stderr "$SC" get k
	assert_output x
	[ -z "$stderr" ]
	is_running s
	run -0 "$SC" daemon status
	is_running s
	assert_rc 0 s
	is_empty "$T/s.err"
	"$SC" daemon stop
	rc strace
}

@test "sync: without a daemon, or a cache: 0, and none is started or made" {
	run -0 --separate-stderr "$SC" sync
	[ -z "$output$stderr" ]
	[ ! -e "$SC_DIR" ]
	entry k 'x\n'
	kill_daemon
	use_test_build
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -o "$T/trace" -e trace=syncfs "$SC" sync
	grep -q 'syncfs.* = 0' "$T/trace"
	no_daemon
	run -125 --separate-stderr env ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" strace -o "$T/trace" -e trace=syncfs -e inject=syncfs:error=EIO "$SC" sync
	assert_regex "$stderr" 'EIO'
	run -0 "$SC" get k
	assert_output x
}

@test "B08: after a sync without a daemon that has failed the next daemon has every entry held against its sum, also if it is the second" {
	entry good 'good\n'
	entry bad 'what it was\n'
	kill_daemon
	printf X | dd of="$(grep -l 'what it was' "$SC_DIR"/objects/*/*.out)" conv=notrunc status=none
	use_test_build
	run -125 env ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" strace -o "$T/trace" -e trace=syncfs -e inject=syncfs:error=EIO "$SC" sync
	grep -q 'syncfs.* = -1 EIO' "$T/trace"
	no_daemon
	SC_KILLAT=transaction_begun:1 run -137 "$SCD_TEST" "$SC_DIR"
	run -1 "$SC" get bad
	run -0 "$SC" get good
	assert_output good
	# Once is enough: what was compared is right.
	kill_daemon
	run -0 "$SC" get good
	[ "$(sqlite3 -readonly "$SC_DIR/index.db" 'SELECT count(*) FROM entry WHERE proved <> 0')" = 1 ]
}

@test "sync: takes no words; a run in progress is not waited for" {
	run -2 "$SC" sync k
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	run -0 "$SC" sync
	is_running a
	step "$G" exit 0
	assert_rc 0 a
}
