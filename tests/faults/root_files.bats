#!/usr/bin/env bats
# Files in and out on file systems that differ in what they can do, and of other owners; as root.
load ../helper

# on FS SCRIPT: the script with such a file system, of 300 MiB, at $FS, the cache on it, and its daemon running. `ways FILE` says how the
# kernel was asked to copy in a trace, and whether it did.
on() {
	export -f is_flood wait_until
	SLACK=$SLACK FS=$T/fs KIND=$1 SCRIPT=$2 run -0 unshare -m --propagation private bash -c '
		mkdir -p "$FS" && truncate -s 300M "$T/image" || exit 90
		"mkfs.$KIND" -q "$T/image" >"$T/mkfs" 2>&1 && mount -o loop "$T/image" "$FS" && chmod 700 "$FS" || exit 91
		export SC_DIR=$FS/cache
		room() { wait_until "[ \"\$(df -m --output=avail \"\$FS\" | tail -n 1)\" -gt $1 ]"; } # MiB, once what was removed is let go of
		traced() { ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -o "$T/trace" -e trace=ioctl,copy_file_range "$@"; }
		ways() { sed -nE "s/^(ioctl).*FICLONE.* = (-?[0-9]).*/clone \2/p; s/^(copy_file_range).* = (-?[0-9]+).*/range \2/p" "$T/trace" | uniq; }
		"$SC" daemon start
		eval "$SCRIPT"
		"$SC" daemon stop
		umount "$FS"' 3>&-
	rm -f "$T/image"
	echo "$output"
}

@test "put FILE, get -o: a reflink where the file system can; it is on the same blocks, and stays right when FILE changes" {
	on btrfs '
		flood 20000001 >"$FS/file"; sync -f "$FS/file"
		traced "$SC" put k "$FS/file"; ways
		traced "$SC" get -o "$FS/out" k; ways
		is_flood "$FS/out" 20000001; echo "out $?"
		object=$(find "$SC_DIR/objects" -name "*.out")
		sync -f "$FS"
		filefrag -v "$FS/file" "$FS/out" "$object" | grep -c shared
		echo changed >"$FS/file"; echo changed >>"$FS/out"
		"$SC" get k >"$T/got"; is_flood "$T/got" 20000001; echo "kept $?"'
	[ "$output" = $'clone 0\nclone 0\nout 0\n'"${lines[3]}"$'\nkept 0' ]
	[ "${lines[3]}" -ge 3 ]
}

@test "put FILE, get -o: copy_file_range where it cannot; read and write from another file system" {
	on ext4 '
		flood 3M >"$FS/file"
		traced "$SC" put k "$FS/file"; ways
		traced "$SC" get -o "$FS/out" k; ways
		is_flood "$FS/out" 3M; echo "out $?"
		flood 3M >"$T/far"
		traced "$SC" put far "$T/far"; ways
		traced "$SC" get -o "$T/farout" far; ways
		is_flood "$T/farout" 3M; echo "out $?"'
	[ "$output" = $'clone -1\nrange 1048576\nrange 0\nclone -1\nrange 1048576\nout 0\nclone -1\nrange -1\nclone -1\nrange -1\nout 0' ]
}

@test "put --move: by a second name on ext4, btrfs and tmpfs alike, no copy; from another one a copy" {
	for fs in ext4 btrfs; do
		on $fs '
			flood 3M >"$FS/file"
			inode=$(stat -c %i "$FS/file")
			traced "$SC" put --move k "$FS/file"; echo "status $?"; ways
			[ -e "$FS/file" ] || echo gone
			[ "$(find "$SC_DIR/objects" -inum "$inode" -name "*.out" -links 1 | wc -l)" = 1 ] && echo same
			flood 3M >"$T/far"
			"$SC" put --move far "$T/far"; echo "status $?"
			[ -e "$T/far" ] || echo gone
			"$SC" get far >"$T/got"; is_flood "$T/got" 3M; echo "far $?"'
		[ "$output" = $'status 0\ngone\nsame\nstatus 0\ngone\nfar 0' ]
	done
}

@test "put --move: an immutable FILE, one that only grows, one that is a mount: 125, and nothing changes; a FILE of somebody else is copied" {
	on ext4 '
		for flag in i a; do
			echo x >"$FS/file$flag"; chattr +$flag "$FS/file$flag"
			"$SC" put --move k "$FS/file$flag" 2>&1; echo "status $?"
			stat -c "%a %h %s" "$FS/file$flag"
			chattr -$flag "$FS/file$flag"
		done
		echo x >"$FS/mounted"; mount --bind "$FS/mounted" "$FS/mounted"
		"$SC" put --move k "$FS/mounted" 2>&1; echo "status $?"
		umount "$FS/mounted"
		"$SC" ls
		echo theirs >"$FS/theirs"; chown 12345 "$FS/theirs"; inode=$(stat -c %i "$FS/theirs")
		"$SC" put --move k "$FS/theirs"; echo "status $?"
		[ -e "$FS/theirs" ] || echo gone
		find "$SC_DIR/objects" -inum "$inode"
		find "$SC_DIR/objects" -uid 12345
		"$SC" get k'
	[ "${#lines[@]}" = 11 ]
	assert_line --index 0 --partial 'not permitted'
	assert_line --index 1 'status 125'
	assert_line --index 2 '644 1 2'
	assert_line --index 3 --partial 'not permitted'
	assert_line --index 5 '644 1 2'
	assert_line --index 6 --partial 'mounted'
	assert_line --index 7 'status 125'
	assert_line --index 8 'status 0'
	assert_line --index 9 gone
	assert_line --index 10 theirs
}

@test "put FILE: a disk that is full: 125, FILE stays with --move, too; with room again it is stored" {
	on ext4 '
		mkdir "$T/far"; flood 400M >"$T/far/file"
		"$SC" put k "$T/far/file" 2>&1; echo "status $?"
		"$SC" put --move k "$T/far/file" 2>&1; echo "status $?"
		[ "$(stat -c %s "$T/far/file")" = $((400 << 20)) ] && echo there
		room 220
		flood 200M >"$FS/file"
		"$SC" put k "$FS/file" 2>&1; echo "status $?"
		wait_until "[ -z \"\$(ls -A \"\$SC_DIR/flights\")\" ]"
		"$SC" put --move k "$FS/file" 2>&1; echo "status $?"
		"$SC" get k | tail -c 1M | cmp - <(flood 200M | tail -c 1M) && echo same'
	assert_line --index 0 --regexp 'could not be stored: .*(space|large)'
	assert_line --index 1 'status 125'
	assert_line --index 2 --regexp 'could not be stored: .*(space|large)'
	assert_line --index 3 'status 125'
	assert_line --index 4 there
	assert_line --index 5 --regexp 'could not be stored: .*(space|large)'
	assert_line --index 6 'status 125'
	assert_line --index 7 'status 0' # it needs no room
	assert_line --index 8 same
}

@test "B08: sync: a disk that took what it could not keep: 125, and it says why; what an earlier one had kept is there" {
	FS=$T/fs run -0 unshare -m --propagation private bash -c '
		mkdir -p "$FS" "$T/thin" && mount -t tmpfs -o size=24m none "$T/thin" && truncate -s 300M "$T/thin/image" || exit 90
		mkfs.ext4 -q -J size=4 "$T/thin/image" && mount -o loop "$T/thin/image" "$FS" && chmod 700 "$FS" || exit 91
		export SC_DIR=$FS/cache
		echo small | "$SC" put small
		"$SC" sync; echo "status $?"
		flood 80M | "$SC" put big; echo "put $?"
		timeout 60 "$SC" sync; echo "status $?"
		"$SC" get small
		"$SC" daemon stop --now >/dev/null 2>&1
		umount "$FS" 2>/dev/null || umount -l "$FS"' 3>&-
	assert_line --index 0 'status 0'
	assert_line --index 1 'put 0'
	assert_line --index 2 --regexp '^sc: sync: .*(EIO|space|[Rr]ead-only)' # as the loop device has it
	assert_line --index 3 'status 125'
	assert_line --index 4 small
}
