#!/usr/bin/env bats
# `sc put KEY FILE`: by whichever way the kernel takes, what is stored is FILE, and what is summed is what is stored; with --move
# FILE is gone afterwards, and not before. Reflinks and other file systems are in faults/root_files.bats.
load ../helper

# The sum in the index, and that of the same bytes when they came through a pipe.
sum_of() { sqlite3 -readonly "$SC_DIR/index.db" "SELECT hex(out_sum) FROM entry WHERE key = CAST('$1' AS BLOB)"; }
is_right() { # KEY FILE
	"$SC" get "$1" | cmp - "$2"
	"$SC" get "$1" | "$SC" put "again.$1"
	[ -n "$(sum_of "$1")" ]
	[ "$(sum_of "$1")" = "$(sum_of "again.$1")" ]
}

object_of() { # KEY: the name of its object
	local gen
	gen=$(sqlite3 -readonly "$SC_DIR/index.db" "SELECT lower(hex(gen)) FROM entry WHERE key = CAST('$1' AS BLOB)")
	echo "$SC_DIR/objects/${gen:0:2}/$gen.out"
}
inode() { stat -c %i "$1"; }
nothing_stored() { run -0 "$SC" ls && assert_output '' && wait_until nothing_kept; }

# stopped_put POINT:COUNT ARG…: `sc put ARG…` in the background, stopped there; `go_on` lets it go on.
stopped_put() {
	use_test_build
	rm -f "$T/stopped"
	bg p env SC_STOPAT="$1:$T/stopped" "$SC" put "${@:2}"
	wait_until '[ -s "$T/stopped" ]'
	wait_until 'grep -q "^State:.T" "/proc/$(pid_of p)/status"'
}
go_on() { kill -CONT "$(pid_of p)"; }

# ---- ways ------------------------------------------------------------------------------------------------------------

@test "put FILE: every size, whatever the kernel can do for it, and however little of it" {
	local size way nr=0
	use_test_build
	start_daemon
	for size in 0 1 4095 4096 4097 262144 1048576 1048577 3000001; do
		flood "$size" >"$T/file"
		for way in none ioctl:error=EOPNOTSUPP copy_file_range:error=EXDEV copy_file_range:error=ENOSYS:when=2+ \
			copy_file_range:error=EINVAL:when=3 copy_file_range:error=EINTR:when=1 copy_file_range:error=EIO:when=2 \
			copy_file_range:retval=0:when=1; do
			nr=$((nr + 1))
			if [ $way = none ]; then
				"$SC" put "k$nr" "$T/file"
			else
				ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -o "$T/trace" -e "trace=${way%%:*}" -e "inject=$way" "$SC" put "k$nr" "$T/file"
			fi
			"$SC" get "k$nr" | cmp - "$T/file"
			sum_of "k$nr" >>"$T/sums.$size"
		done
		is_right "k$nr" "$T/file"
		[ "$(sort -u "$T/sums.$size" | wc -l)" = 1 ]
	done
	flood 3000001 | cmp - "$T/file"
}

@test "put FILE: no byte of a large one passes through us, where the kernel copies" {
	use_test_build
	start_daemon
	flood 8M >"$T/file"
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -o "$T/trace" -e trace=write,ioctl,copy_file_range "$SC" put k "$T/file"
	# A reflink, or copies of it all, and nothing written by hand.
	grep -qE 'FICLONE.* = 0$|copy_file_range.* = 1048576$' "$T/trace"
	run ! grep -E '^write.* = [0-9]{5,}$' "$T/trace"
	is_right k "$T/file"
}

@test "put FILE: one that changes while it is put: what is summed is what is stored" {
	flood 3M >"$T/file"
	start_daemon
	stopped_put bytes_given:3 k "$T/file"
	printf 'changed' | dd of="$T/file" bs=1 seek=2500000 conv=notrunc status=none
	printf 'changed' | dd of="$T/file" bs=1 seek=10 conv=notrunc status=none
	printf 'longer' >>"$T/file"
	go_on
	assert_rc 0 p
	"$SC" get k >"$T/got"
	[ "$(wc -c <"$T/got")" -ge 3145728 ]
	cmp -n 262144 "$T/got" <(flood 3M) # this much had been taken
	is_right k "$T/got"
}

@test "put FILE: one that becomes shorter while it is put" {
	flood 3M >"$T/file"
	start_daemon
	stopped_put bytes_given:2 k "$T/file"
	truncate -s 1000 "$T/file"
	go_on
	assert_rc 0 p
	"$SC" get k >"$T/got"
	cmp -n 262144 "$T/got" <(flood 3M)
	is_right k "$T/got"
}

@test "put FILE: followers see a large one grow" {
	flood 20M >"$T/file"
	start_daemon
	stopped_put bytes_given:3 k "$T/file"
	bg b "$SC" get k
	wait_until '[ -s "$T/b.out" ]'
	[ "$(wc -c <"$T/b.out")" -lt 20971520 ]
	go_on
	assert_rc 0 p b
	cmp "$T/b.out" "$T/file"
}

@test "put FILE: more than may be written: 125, as from stdin; the old entry stays" {
	echo old | "$SC" put k
	flood 3M >"$T/file"
	run -125 --separate-stderr bash -c 'ulimit -f 1024; exec "$SC" put k "$T/file"'
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'k: could not be stored'
	run -0 "$SC" get k
	assert_output old
	wait_until '[ "$(flights)" = 0 ]'
}

@test "put FILE: larger than max-entry: 125, moved or not; FILE stays; one that just fits is taken" {
	local way
	mkdir -m 700 "$SC_DIR"
	echo 'max-entry = 1M' >"$SC_DIR/config"
	for way in '' --move; do
		flood 1048577 >"$T/file"
		# shellcheck disable=SC2086  # no word is meant
		run -125 --separate-stderr "$SC" put $way k "$T/file"
		printf '%s\n' "$stderr" >"$T/err"
		is_message "$T/err" 'k: could not be stored: .*large'
		is_flood "$T/file" 1048577
		run -0 stat -c '%a %h' "$T/file"
		assert_output '644 1'
		wait_until nothing_kept
		flood 1M >"$T/file"
		# shellcheck disable=SC2086
		"$SC" put $way k "$T/file"
		"$SC" get k | cmp - <(flood 1M)
		"$SC" rm k
	done
	[ ! -e "$T/file" ]
}

# ---- --move ----------------------------------------------------------------------------------------------------------

@test "put --move: FILE is gone, its very bytes are the entry, and nobody else's" {
	for mode in 600 644 666 400 755; do
		flood 3000001 >"$T/file"
		chmod $mode "$T/file"
		was=$(inode "$T/file")
		run -0 --separate-stderr "$SC" put --move k "$T/file"
		[ -z "$output$stderr" ]
		[ ! -e "$T/file" ]
		[ "$(inode "$(object_of k)")" = "$was" ]
		run -0 stat -c '%a %h' "$(object_of k)"
		assert_output '600 1'
		flood 3000001 >"$T/copy"
		is_right k "$T/copy"
	done
	wait_until '[ "$(objects)" = 4 ]' # k, again.k
	: >"$T/empty"
	"$SC" put --move e "$T/empty"
	[ ! -e "$T/empty" ]
	run -0 "$SC" get e
	assert_output ''
	cd "$T"
	echo here >./-f
	"$SC" put --move here ./-f
	[ ! -e ./-f ]
	run -0 "$SC" get here
	assert_output here
}

@test "put --move: where there is no cache yet" {
	echo x >"$T/file"
	no_daemon
	[ ! -e "$SC_DIR" ]
	"$SC" put --move k "$T/file"
	[ ! -e "$T/file" ]
	run -0 "$SC" get k
	assert_output x
}

@test "put --move: without a FILE, or for no time: a usage error" {
	echo x >"$T/file"
	for args in '--move k' '--move' '--move -t 0 k file' '--move k file file'; do
		# shellcheck disable=SC2086  # words are meant
		run -2 --separate-stderr bash -c 'cd "$T" && exec "$SC" put "$@"' - $args </dev/null
		[ -z "$output" ]
	done
	is_file "$T/file" 'x\n'
	no_daemon
}

@test "put --move: a FILE that is missing, unreadable, special or not ours to remove: 125, and nothing changes" {
	local kind
	mkdir "$T/dir" "$T/closed"
	mkfifo "$T/fifo"
	echo x >"$T/target" && ln -s target "$T/link" && ln -s nowhere "$T/dangling"
	echo x >"$T/secret" && chmod 000 "$T/secret"
	echo x >"$T/closed/file" && chmod 555 "$T/closed"
	for kind in missing dir fifo link dangling secret closed/file dir/ missing/file /dev/null target/file; do
		[ "${kind:0:1}" = / ] || kind=$T/$kind
		if [ "$(id -u)" = 0 ] && [[ $kind = */secret || $kind = */closed/file ]]; then continue; fi
		run -125 --separate-stderr "$SC" put --move k "$kind"
		[ -z "$output" ]
		printf '%s\n' "$stderr" >"$T/err"
		is_message "$T/err" "k: "
	done
	chmod 600 "$T/secret" && is_file "$T/secret" 'x\n'
	is_file "$T/target" 'x\n'
	is_file "$T/closed/file" 'x\n'
	[ -L "$T/link" ] && [ -p "$T/fifo" ] && [ -d "$T/dir" ]
	nothing_stored
}

@test "put --move: a FILE that somebody has open for writing is refused: what he still writes would be lost" {
	echo x >"$T/file"
	exec {held}>>"$T/file"
	run -125 --separate-stderr "$SC" put --move k "$T/file"
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'open for writing'
	exec {held}>&-
	nothing_stored
	is_file "$T/file" 'x\n'
	"$SC" put --move k "$T/file"
	[ ! -e "$T/file" ]
}

@test "put --move: a FILE with a second name is copied, and only the name that was given goes" {
	echo x >"$T/file"
	chmod 644 "$T/file"
	ln "$T/file" "$T/other"
	"$SC" put --move k "$T/file"
	[ ! -e "$T/file" ]
	[ "$(inode "$(object_of k)")" != "$(inode "$T/other")" ]
	echo y >>"$T/other"
	run -0 stat -c '%a %h' "$T/other"
	assert_output '644 1'
	run -0 "$SC" get k
	assert_output x
}

@test "put --move: a put that is not kept leaves FILE as it was: stopped, or the key removed meanwhile" {
	start_daemon
	for how in TERM INT rm; do
		flood 3M >"$T/file"
		chmod 664 "$T/file"
		stopped_put bytes_given:3 k "$T/file" --move
		[ "$(inode "$(find "$SC_DIR/objects" -name '*.out')")" = "$(inode "$T/file")" ]
		if [ $how = rm ]; then "$SC" rm k; else kill -$how "$(pid_of p)"; fi
		go_on
		case $how in
		TERM) assert_rc 143 p ;;
		INT) [[ $(rc p) =~ ^(0|130)$ ]] ;; # ignored in the background, as bash has it: then it is stored
		rm)
			assert_rc 125 p
			is_message "$T/p.err" 'FILE stays'
			;;
		esac
		if [ "$how:$(rc p)" = INT:0 ]; then
			"$SC" rm k
			continue
		fi
		is_flood "$T/file" 3M
		wait_until nothing_kept
		run -0 stat -c '%a %h' "$T/file"
		assert_output '664 1'
	done
}

@test "put --move: somebody opens FILE for writing meanwhile: nothing is stored, he is not kept waiting, FILE is his" {
	flood 3M >"$T/file"
	start_daemon
	stopped_put bytes_given:3 k "$T/file" --move
	bg w sh -c 'echo more >>"$T/file"'
	wait_until '[ -s "$T/w.pid" ]'
	wait_until 'grep -q break_lease "/proc/$(pid_of w)/wchan" || ! is_running w'
	go_on
	assert_rc 125 p
	is_message "$T/p.err" 'opened FILE for writing'
	assert_rc 0 w
	{ flood 3M && echo more; } | cmp - "$T/file"
	nothing_stored
	run -0 stat -c '%h' "$T/file"
	assert_output 1
}

@test "put --move: somebody opens FILE for writing after all of it is stored: it stays, and that is said" {
	echo x >"$T/file"
	start_daemon
	stopped_put before_file_goes:1 k "$T/file" --move
	bg w sh -c 'exec 5>>"$T/file"'
	wait_until 'grep -q break_lease "/proc/$(pid_of w)/wchan" || ! is_running w'
	go_on
	assert_rc 125 p
	is_message "$T/p.err" 'is stored, but FILE stays'
	assert_rc 0 w
	is_file "$T/file" 'x\n'
	run -0 "$SC" get k
	assert_output x
}

@test "put --move: a disk that does not keep what it took: FILE stays, and that is said" {
	use_test_build
	echo x >"$T/file"
	ASAN_OPTIONS=detect_leaks=0 start_daemon
	bg strace strace -f -qq -o "$T/calls" -e trace=syncfs -e inject=syncfs:error=EIO:when=1 -p "$(daemon_pid)"
	wait_until '[ -e "$T/calls" ]'
	wait_until '[ "$(awk "/TracerPid/ { print \$2 }" /proc/"$(daemon_pid)"/status)" != 0 ]'
	run -125 --separate-stderr "$SC" put --move k "$T/file"
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'k: is stored, but FILE stays: .*(EIO|[Ii]nput/output)'
	is_file "$T/file" 'x\n'
	run -0 "$SC" get k
	assert_output x
	# The disk is well again.
	run -0 "$SC" put --move k "$T/file"
	[ ! -e "$T/file" ]
	run -0 "$SC" get k
	assert_output x
	"$SC" daemon stop --now
	rc strace
}

@test "put --move: stopped while the disk is written to: it is stored, and FILE stays" {
	use_test_build
	echo x >"$T/file"
	ASAN_OPTIONS=detect_leaks=0 start_daemon
	bg strace strace -f -qq -o "$T/calls" -e trace=syncfs -e inject=syncfs:delay_enter=3000000:when=1 -p "$(daemon_pid)"
	wait_until '[ -e "$T/calls" ]'
	wait_until '[ "$(awk "/TracerPid/ { print \$2 }" /proc/"$(daemon_pid)"/status)" != 0 ]'
	bg p "$SC" put --move k "$T/file"
	wait_until 'grep -q syncfs "$T/calls"'
	is_file "$T/file" 'x\n'
	kill -TERM "$(pid_of p)"
	assert_rc 143 p
	is_file "$T/file" 'x\n'
	run -0 "$SC" get k
	assert_output x
	"$SC" daemon stop --now
	rc strace
}

@test "put --move: another file that has taken FILE's name meanwhile is not removed" {
	echo x >"$T/file"
	echo other >"$T/other"
	start_daemon
	stopped_put before_file_goes:1 k "$T/file" --move
	mv "$T/other" "$T/file"
	go_on
	assert_rc 0 p
	is_file "$T/file" 'other\n'
	run -0 "$SC" get k
	assert_output x
}

@test "put --move: a page that cannot be used: 125, and FILE is as it was" {
	local nr
	use_test_build
	printf x | "$SC" put any # there is a daemon
	export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
	printf one >"$T/one" && printf two >"$T/two" && chmod 640 "$T/two"
	strace -o "$T/trace" -e trace=fcntl "$SC" put --move one "$T/one"
	nr=$(grep -n F_GET_SEALS "$T/trace" | head -n 1 | cut -d : -f 1)
	run -125 --separate-stderr strace -o "$T/trace" -e trace=fcntl -e inject=fcntl:error=EIO:when="$nr" "$SC" put --move two "$T/two"
	assert_regex "$stderr" 'page is not usable'
	is_file "$T/two" two
	[ "$(stat -c %a "$T/two")" = 640 ]
	run -1 "$SC" get two
	wait_until '[ "$(stat -c %h "$T/two")" = 1 ]'
}

@test "put --move: followers read it while it is taken" {
	flood 20M >"$T/file"
	start_daemon
	stopped_put bytes_given:3 k "$T/file" --move
	bg b "$SC" get k
	bg c "$SC" get k -- touch "$T/ran"
	wait_until '[ -s "$T/b.out" ] && [ -s "$T/c.out" ]'
	go_on
	assert_rc 0 p b c
	is_flood "$T/b.out" 20M
	is_flood "$T/c.out" 20M
	[ ! -e "$T/ran" ]
	[ ! -e "$T/file" ]
}

@test "put --move: the daemon is killed meanwhile: the next one keeps it, and FILE is gone" {
	flood 3M >"$T/file"
	start_daemon
	stopped_put bytes_given:3 k "$T/file" --move
	kill_daemon
	go_on
	assert_rc 0 p
	[ ! -e "$T/file" ]
	"$SC" get k | cmp - <(flood 3M)
}

@test "put --move: from another file system: copied, kept, then gone" {
	far=$(mktemp -d /dev/shm/sc-test.XXXXXX)
	flood 3M >"$far/file"
	[ "$(stat -c %d "$far")" != "$(stat -c %d "$T")" ]
	start_daemon
	stopped_put before_file_goes:1 k "$far/file" --move
	is_flood "$far/file" 3M
	"$SC" get k | cmp - "$far/file"
	go_on
	assert_rc 0 p
	[ -z "$(ls -A "$far")" ]
	"$SC" get k | cmp - <(flood 3M)
}
cleanup() { [ -z "${far:-}" ] || rm -rf "$far"; }

@test "put --move: no cache to be had: 125, FILE stays" {
	echo x >"$T/file"
	chmod 640 "$T/file"
	run -125 --separate-stderr env SC_DIR=/dev/null/cache "$SC" put --move k "$T/file"
	is_file "$T/file" 'x\n'
	run -0 stat -c '%a %h' "$T/file"
	assert_output '640 1'
}

@test "put --move: a third put of the key that waits is ended by a signal: FILE is as it was" {
	local n
	start_daemon
	for n in a b; do
		mkfifo "$T/$n.in"
		bg "feed$n" sh -c 'exec 5>"$0"; exec gate "$1" >&5' "$T/$n.in" "$(new_gate "g$n")"
		bg "$n" sh -c 'exec "$SC" put k <"$0"' "$T/$n.in"
		gate_up "$T/g$n"
	done
	wait_until '[ "$("$SC" ps | wc -l)" = 2 ]'
	flood 1M >"$T/file"
	chmod 664 "$T/file"
	bg p "$SC" put --move k "$T/file"
	wait_until '[ "$(stat -c %h "$T/file")" = 2 ]'
	wait_until 'grep -q poll "/proc/$(pid_of p)/wchan"'
	kill -TERM "$(pid_of p)"
	assert_rc 143 p
	is_flood "$T/file" 1M
	run -0 stat -c '%a %h' "$T/file"
	assert_output '664 1'
	for n in a b; do step "$T/g$n" exit 0; done
	assert_rc 0 a b feeda feedb
}
