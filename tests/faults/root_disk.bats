#!/usr/bin/env bats
# FAULTS B01 and B04, as root: a file system without room for a cache. Each in a mount namespace of its own.
load ../helper

# in_small OPTIONS SCRIPT: the script with a small tmpfs at $SMALL.
in_small() {
	mkdir -p "$T/small"
	export -f wait_until
	export SLACK
	SMALL=$T/small OPTIONS=$1 SCRIPT=$2 run -0 unshare -m --propagation private bash -c '
		mount -t tmpfs -o "$OPTIONS,mode=700" none "$SMALL" || exit 90
		export SC_DIR=$SMALL/cache
		eval "$SCRIPT"' 3>&-
	echo "$output"
}

@test "B01: no space when the cache is made: bypass, one warning" {
	in_small size=64k '
		head -c 1M /dev/zero >"$SMALL/full" 2>/dev/null
		"$SC" get k -- sh -c "echo direct; exit 3" >"$T/out" 2>"$T/err"
		echo "status $?"'
	assert_line 'status 3'
	is_file "$T/out" 'direct\n'
	is_message "$T/err" 'space|full'
}

@test "B01: no inodes when the cache is made: bypass, one warning" {
	in_small size=1m,nr_inodes=12 '
		for nr in {1..20}; do : >"$SMALL/$nr"; done 2>/dev/null
		"$SC" get k -- sh -c "echo direct; exit 3" >"$T/out" 2>"$T/err"
		echo "status $?"
		"$SC" get --strict k -- touch "$T/ran" 2>/dev/null
		echo "strict $?"'
	assert_line 'status 3'
	assert_line 'strict 125'
	[ ! -e "$T/ran" ]
	is_file "$T/out" 'direct\n'
	is_message "$T/err" 'space|inode|full'
}

@test "B01: no inodes for an object, with the daemon there: bypass, one warning; with room again it is used again" {
	in_small size=8m,nr_inodes=400 '
		"$SC" get first -- echo x >"$T/first"
		i=0; while : >"$SMALL/fill$((i += 1))"; do :; done 2>/dev/null
		"$SC" get k -- sh -c "echo direct; exit 3" >"$T/out" 2>"$T/err"
		echo "status $?"
		"$SC" get first
		rm "$SMALL"/fill*
		"$SC" get k -- echo kept 2>&1
		"$SC" get k 2>&1
		"$SC" daemon stop'
	assert_line --index 0 'status 3'
	assert_line --index 1 x
	assert_line --index 2 kept
	assert_line --index 3 kept
	is_file "$T/out" 'direct\n'
	is_message "$T/err" 'space|inode|full'
}

@test "keygen: no space, and no inodes: 125, one line, and no half of a key is left" {
	in_small size=64k '
		head -c 1M /dev/zero >"$SMALL/full" 2>/dev/null
		"$SC" keygen "$SMALL/key" 2>"$T/err"
		echo "status $?"
		ls "$SMALL"
		rm "$SMALL/full"
		"$SC" keygen "$SMALL/key" >/dev/null
		echo "then $?"'
	assert_output $'status 125\nfull\nthen 0'
	is_message "$T/err" 'small/key: No space'
	in_small size=1m,nr_inodes=12 '
		for nr in {1..20}; do : >"$SMALL/$nr"; done 2>/dev/null
		"$SC" keygen "$SMALL/key" 2>"$T/err"
		echo "status $?"
		[ ! -e "$SMALL/key" ]
		echo "gone $?"'
	assert_output $'status 125\ngone 0'
	is_message "$T/err" 'small/key: No space'
}

@test "B01: a read-only file system: bypass, one warning" {
	in_small size=1m '
		mount -o remount,ro "$SMALL"
		"$SC" get k -- sh -c "echo direct; exit 3" >"$T/out" 2>"$T/err"
		echo "status $?"'
	assert_line 'status 3'
	is_file "$T/out" 'direct\n'
	is_message "$T/err" 'read-only'
}

@test "-o: a disk that is full under FILE: 125, FILE untouched, no temporary; the run goes on for the others and is kept" {
	in_small size=256k '
		export SC_DIR=$T/cache
		mkdir "$SMALL/d" && echo old >"$SMALL/d/out"
		"$SC" get -o "$SMALL/d/out" k -- flood 2M 2>"$T/err"
		echo "first $?"
		"$SC" get -o "$SMALL/d/out" k 2>>"$T/err"
		echo "hit $?"
		SC_DISABLE=1 "$SC" get -o "$SMALL/d/out" k -- flood 2M 2>/dev/null
		echo "bypass $?"
		ls -A "$SMALL/d"
		cat "$SMALL/d/out"
		"$SC" get k >"$T/out"
		"$SC" daemon stop'
	assert_line --index 0 'first 125'
	assert_line --index 1 'hit 125'
	assert_line --index 2 --regexp '^bypass [1-9]'
	assert_line --index 3 out
	assert_line --index 4 old
	is_flood "$T/out" 2M
	[ "$(grep -c 'No space' "$T/err")" = 2 ]
}

@test "-o: FILE that cannot be replaced, though the directory may be written: 125, before anything runs" {
	in_small size=256k '
		export SC_DIR=$T/cache
		mkdir "$SMALL/d" && echo old | tee "$SMALL/d/mounted" >"$SMALL/d/theirs"
		mount --bind "$SMALL/d/mounted" "$SMALL/d/mounted"
		"$SC" get -o "$SMALL/d/mounted" k -- touch "$T/ran" 2>&1
		echo "mounted $?"
		chmod 1777 "$SMALL/d" "$SMALL"
		chmod 666 "$SMALL/d/theirs"
		cd "$SMALL/d"
		SC_DISABLE=1 setpriv --reuid=12345 --clear-groups "$SC" get -o theirs k -- touch "$T/ran" 2>&1
		echo "sticky $?"
		ls -A "$SMALL/d"'
	assert_line --regexp 'mounted there'
	assert_line 'mounted 125'
	assert_line --regexp 'not permitted'
	assert_line 'sticky 125'
	assert_line mounted
	assert_line theirs
	[ "${#lines[@]}" = 6 ] # and no temporary
	[ ! -e "$T/ran" ]
}

@test "a spool that cannot be made anywhere: 125, before anything runs" {
	in_small size=64k '
		for dir in /tmp /var/tmp; do
			mount --bind "$dir" "$dir" && mount -o remount,bind,ro "$dir" || exit 91
		done
		export TMPDIR=/nowhere SC_DISABLE=1
		"$SC" get --atomic k -- echo ran 2>&1
		echo "atomic $?"
		"$SC" get --stdin k -- echo ran </dev/null 2>&1
		echo "stdin $?"'
	assert_line --index 0 --partial 'no room'
	assert_line --index 1 'atomic 125'
	assert_line --index 2 --partial 'no room'
	assert_line --index 3 'stdin 125'
}

@test "put: a disk that is full: stdin is read to its end, then 125; the old entry stays, and with room again it is stored" {
	in_small size=4m '
		echo old | "$SC" put k
		flood 8M | "$SC" put k 2>"$T/err"
		echo "full ${PIPESTATUS[*]}"
		"$SC" get k
		wait_until "[ -z \"\$(ls \"\$SC_DIR/flights\")\" ]"
		flood 1M | "$SC" put k
		echo "room ${PIPESTATUS[*]}"
		"$SC" get k | cmp - <(flood 1M)
		echo "same $?"
		"$SC" daemon stop'
	assert_line --index 0 'full 0 125'
	assert_line --index 1 old
	assert_line --index 2 'room 0 0'
	assert_line --index 3 'same 0'
	is_message "$T/err" 'k: .*space'
}

@test "B04: min-free: as much of the file system is left to others, and the cache gives way to what they write" {
	in_small size=64m '
		mkdir -m 700 "$SC_DIR" && echo "min-free = 32M" >"$SC_DIR/config"
		avail() { df --output=avail -B1 "$SMALL" | tail -n 1; }
		rows() { sqlite3 -readonly "$SC_DIR/index.db" "SELECT count(*) FROM entry"; }
		for nr in {1..60}; do "$SC" get "k$nr" -- flood 1M >/dev/null; done
		wait_until "[ \$(avail) -ge $((32 << 20)) ]"
		[ "$(rows)" -ge 20 ] && "$SC" get k60 | cmp - <(flood 1M) && echo kept
		flood 20M >"$SMALL/theirs"
		"$SC" get k -- echo made
		wait_until "[ \$(avail) -ge $((32 << 20)) ]"
		[ "$(rows)" -ge 1 ] && echo given
		flood 20M >>"$SMALL/theirs"
		"$SC" get k2 -- echo also made
		"$SC" get --strict k3 -- echo still a cache
		wait_until "[ \$(rows) -le 2 ]"
		"$SC" daemon stop'
	assert_line --index 0 kept
	assert_line --index 1 made
	assert_line --index 2 given
	assert_line --index 3 'also made'
	assert_line --index 4 'still a cache'
}

# Without room not even a row can be taken out of the index.
@test "B04: a disk that others have filled to the last byte: rm and rm --prefix make room" {
	in_small size=4m '
		for nr in {1..5}; do flood 300K | "$SC" put "k$nr"; done
		flood 8M >"$SMALL/theirs" 2>/dev/null
		"$SC" rm k1 2>&1
		echo "rm $?"
		"$SC" get k1 >/dev/null
		echo "get $?"
		"$SC" get k2 | cmp - <(flood 300K) && echo "k2 is whole"
		flood 8M >>"$SMALL/theirs" 2>/dev/null
		"$SC" rm --prefix k 2>&1
		echo "prefix $?"
		"$SC" ls
		"$SC" verify
		echo "verify $?"
		"$SC" daemon stop'
	assert_output 'rm 0
get 1
k2 is whole
prefix 0
verify 0'
}

@test "B04: a disk that others have filled to the last byte: who finds no room makes the cache give way" {
	in_small size=4m '
		mkdir -m 700 "$SC_DIR" && echo "min-free = 600K" >"$SC_DIR/config"
		for nr in {1..5}; do flood 300K | "$SC" put "k$nr"; done
		"$SC" daemon stop # the next one looks at its start, and then not before something grows
		"$SC" ls | wc -l
		flood 8M >"$SMALL/theirs" 2>/dev/null
		"$SC" get k -- echo made 2>/dev/null
		wait_until "[ \$(df --output=avail -B1 \"$SMALL\" | tail -n 1) -ge 600000 ]" && echo given
		"$SC" get --strict k -- echo kept
		"$SC" get k5 | cmp - <(flood 300K) && echo "the last is there"
		"$SC" verify
		echo "verify $?"
		"$SC" daemon stop'
	assert_output '5
made
given
kept
the last is there
verify 0'
}

# starts_full HOW: five entries, a daemon that is gone by HOW, and others who have filled the disk before the next one starts.
starts_full() {
	export HOW=$1
	in_small size=4m '
		for nr in {1..5}; do flood 300K | "$SC_TEST" put "k$nr"; done
		eval "$HOW"
		flood 8M >"$SMALL/theirs" 2>/dev/null
		echo $(df --output=avail -B1 "$SMALL" | tail -n 1)
		"$SC_TEST" get --strict k5 2>&1 | cmp - <(flood 300K) && echo "k5 is whole"
		flood 8M >>"$SMALL/theirs" 2>/dev/null
		"$SC_TEST" rm k5 2>&1
		echo "rm $?"
		"$SC_TEST" get k5
		echo "get $?"
		flood 8M >>"$SMALL/theirs" 2>/dev/null
		"$SC_TEST" rm --prefix k 2>&1
		echo "prefix $?"
		"$SC_TEST" ls
		"$SC_TEST" verify
		echo "verify $?"
		"$SC_TEST" get --strict k -- echo kept
		"$SC_TEST" get k
		"$SC_TEST" daemon stop'
	assert_output '0
k5 is whole
rm 0
get 1
prefix 0
verify 0
kept
kept'
}

@test "B04: a disk that others have filled to the last byte: a daemon starts on it, hits are served, rm makes room" {
	starts_full '"$SC_TEST" daemon stop'
}

@test "B04: the same after a daemon that was killed" {
	export -f kill_daemon daemon_pid daemon_pids dead
	starts_full kill_daemon
}

@test "B04: the same in the next boot, whose first row needs room of its own" {
	starts_full '"$SC_TEST" daemon stop; export SC_FAULT=boot'
}

# Their rows are in a WAL that has yet to go into the file, which grows by it.
@test "B04: a full disk, a killed daemon, and entries so small that many must go for one to start" {
	export -f kill_daemon daemon_pid daemon_pids dead
	in_small size=16m '
		mkdir -m 700 "$SC_DIR" && echo "min-free = none" >"$SC_DIR/config"
		for nr in {1..200}; do echo "value $nr" | "$SC" put "k$nr"; done
		kill_daemon
		flood 20M >"$SMALL/theirs" 2>/dev/null
		"$SC" get --strict k200 2>&1
		flood 20M >>"$SMALL/theirs" 2>/dev/null
		[ "$("$SC" ls | while read -r k; do "$SC" get "$k" 2>/dev/null; done | wc -l)" -ge 150 ] && echo "most are there"
		flood 20M >>"$SMALL/theirs" 2>/dev/null
		"$SC" rm --prefix k 2>&1
		echo "prefix $?"
		"$SC" get --strict k -- echo kept
		"$SC" get k
		"$SC" daemon stop'
	assert_output 'value 200
most are there
prefix 0
kept
kept'
}
