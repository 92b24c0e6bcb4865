#!/usr/bin/env bats
# `sc keygen`: a new master key in a file of its own: whole or not at all, nobody else's to read, and never in the place of anything.
load ../helper

F=

prepare() {
	F=$T/files/key
	mkdir "$T/files"
}

# is_key FILE: 64 digits and a newline, which only we can read.
is_key() {
	[ "$(stat -c '%a %s %F %h' "$1")" = '600 65 regular file 1' ]
	grep -qxE '[0-9a-f]{64}' "$1"
}

# The fingerprint of the key in a file, as lib/FORMAT.md has it.
fingerprint() {
	python3 -c 'import hashlib, sys
print(hashlib.blake2b(b"sc fingerprint", key=bytes.fromhex(open(sys.argv[1]).read()), digest_size=32).hexdigest()[:16])' "$1"
}

# refused STATUS REGEX WORD…: so ends keygen, with one line, nothing printed, and nothing made or changed.
refused() {
	local want=$1 regex=$2 got=0 before
	shift 2
	before=$(cd "$T/files" && find . -printf '%p %i %M %s %T@ %l\n' | sort)
	"$SC" keygen "$@" >"$T/out" 2>"$T/err" || got=$?
	if [ $got != "$want" ]; then
		echo "sc keygen $*: status $got, expected $want: $(cat "$T/err")" >&2
		return 1
	fi
	is_message "$T/err" "$regex"
	is_empty "$T/out"
	[ "$(cd "$T/files" && find . -printf '%p %i %M %s %T@ %l\n' | sort)" = "$before" ]
}

@test "keygen: a key in a new file, and its fingerprint; it starts no daemon and makes no cache" {
	run -0 --separate-stderr "$SC" keygen "$F"
	[ -z "$stderr" ]
	is_key "$F"
	assert_output "$F: fingerprint $(fingerprint "$F")"
	run -1 grep -q "$(cat "$F")" <<<"$output"
	no_daemon
	[ ! -e "$SC_DIR" ]
}

@test "keygen: two calls make two keys, with two fingerprints" {
	local one two
	one=$("$SC" keygen "$F")
	two=$("$SC" keygen "$F.2")
	run -1 cmp -s "$F" "$F.2"
	[ "${one##* }" != "${two##* }" ]
}

@test "keygen: of many at once with one name one makes it, and the others say that it exists" {
	mkdir "$T/crowd"
	run -0 crowd 30 "$T/crowd" "$SC" keygen "$F"
	assert_output $'0 1\n125 29'
	is_key "$F"
	[ "$(cat "$T"/crowd/*.out)" = "$F: fingerprint $(fingerprint "$F")" ]
}

@test "keygen: 0600 whatever the umask" {
	local mask
	for mask in 000 022 077 0277 0777; do
		(umask "$mask" && exec "$SC" keygen "$F.$mask")
		is_key "$F.$mask"
	done
}

@test "keygen: what is there stays: a key, any other file, a link, also one that leads nowhere, a directory, a FIFO" {
	"$SC" keygen "$F"
	: >"$T/files/empty"
	ln -s key "$T/files/link"
	ln -s nowhere "$T/files/dangling"
	mkdir "$T/files/directory"
	mkfifo "$T/files/fifo"
	for name in key empty link dangling directory fifo; do
		refused 125 "files/$name: exists already \\(.*never overwritten.*\\)" "$T/files/$name"
	done
	is_key "$F"
}

@test "keygen: FILE is relative to where we are, and any name" {
	local name
	cd "$T/files"
	for name in key ./a ../files/b 'with space' $'new\nline' $'\e[31m\xff' -; do
		run -0 "$SC" keygen "$name"
		[ "${#lines[@]}" = 1 ]
		run -1 grep -q $'\e' <<<"$output"
		is_key "./$name"
	done
	run -0 "$SC" keygen -- --dashes
	is_key ./--dashes
	ln -s . "$T/files/here"
	run -0 "$SC" keygen here/c
	is_key c
}

@test "keygen: where no file can be made: one line that says why" {
	refused 125 'missing/key: No such file or directory' "$T/files/missing/key"
	: >"$T/files/file"
	refused 125 'Not a directory' "$T/files/file/key"
	refused 125 'Is a directory' "$T/files/key/"
	refused 125 'name too long' "$T/files/$(printf 'x%.0s' {1..300})"
	mkdir -m 500 "$T/files/closed"
	refused 125 'closed/key: Permission denied' "$T/files/closed/key"
}

@test "keygen: a file that may have no byte, a full disk, one that fails: one line, and nothing is left" {
	use_test_build
	local how path
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # it does not work under a tracer
	run -125 --separate-stderr bash -c 'ulimit -f 0; exec "$0" keygen "$1" 2> >(cat >&2)' "$SC" "$F"
	[ -z "$output" ]
	[ ! -e "$F" ]
	# The key, its file, its directory; what was asked for at last.
	for how in write:error=ENOSPC write:error=EDQUOT write:error=EIO fsync:error=EIO fsync:error=ENOSPC:when=1 fsync:error=EIO:when=2; do
		# As often as the path's own descriptors are used, not the one that the complaint goes to.
		strace -o "$T/trace" -P "$F" -P "$T/files" -e "trace=${how%%:*}" -e "inject=$how" "$SC" keygen "$F" >"$T/out" 2>"$T/err" && false
		grep -q INJECTED "$T/trace"
		is_message "$T/err" "$F: (No space|Disk quota|Input/output)"
		is_empty "$T/out"
		[ "$(ls -A "$T/files")" = '' ]
	done
	run -0 "$SC" keygen "$F"
}

@test "keygen: a signal in the middle of it: the file is whole" {
	use_test_build
	local call got
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
	for call in fchmod write fsync; do
		got=0
		strace -o "$T/trace" -P "$F" -e "trace=$call" -e "inject=$call:signal=TERM:when=1" "$SC" keygen "$F" 2>"$T/err" || got=$?
		[ $got = 143 ]
		is_key "$F"
		rm "$F"
	done
}

@test "keygen: its stdout is full or closed: the key is there, and the status says so" {
	local got=0
	"$SC" keygen "$F" >/dev/full 2>"$T/err" || got=$?
	[ $got = 125 ]
	is_message "$T/err" 'space|write'
	is_key "$F"
}

@test "keygen: usage" {
	refused 2 'FILE is missing'
	refused 2 'FILE is empty' ''
	refused 2 'one FILE' "$F" "$F.2"
	refused 2 "unknown option '--json'" --json "$F"
	refused 2 "unknown option '-f'" -f "$F"
	run -0 --separate-stderr "$SC" keygen --help
	assert_line --index 0 "usage: sc keygen FILE"
	[ ! -e "$F" ]
}
