#!/usr/bin/env bats
# What is sealed is, to who asks, what it would be in the clear; to who has only the disk it is nothing; and what somebody has done to it there
# is found out before a byte of it is given out.
load ../helper
load ../faults/damage

CANARY=canary-5d1f

prepare() {
	mkdir -m 700 "$SC_DIR"
	K=$T/key
	"$SC" keygen "$K" >"$T/made"
	config
}

config() { printf '%s\n' 'encrypt = on' "key-file = $K" "$@" >"$SC_DIR/config"; }
plainly() { printf '%s\n' "$@" >"$SC_DIR/config"; } # without either

# Nowhere on the disk, whoever looks; also not as it is in UTF-16, base64 or hex.
nowhere() { # [DIRECTORY…]
	local as
	for as in "$CANARY" "$(printf %s "$CANARY" | base64)" "$(printf %s "$CANARY" | od -An -tx1 | tr -d ' \n')"; do
		if grep -raF -- "$as" "${@:-$SC_DIR}"; then return 1; fi
	done >&2
}

out_of() { find "$SC_DIR/objects" -name '*.out'; }

# ---- the same as in the clear ----------------------------------------------------------------------------------------

@test "D12: what is printed, a key's name, its tags and the command stand in no file of the cache, while running and after" {
	config 'show-commands = on'
	bg a "$SC" get --tag "tag-$CANARY" "key-$CANARY" -- sh -c 'exec gate "$0"' "$G" "arg-$CANARY"
	gate_up
	step "$G" out "$CANARY 1"
	step "$G" err "$CANARY 2"
	shows a "$CANARY 1\n"
	nowhere
	bg b "$SC" get "key-$CANARY" -- false
	shows b "$CANARY 1\n"
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/b.out" "$CANARY 1\n"
	is_file "$T/b.err" "$CANARY 2\n"
	printf %s "$CANARY" | "$SC" put "put-$CANARY"
	"$SC" get --keep-failures 1h "failed-$CANARY" -- fails -o "$CANARY" 3 >"$T/out" || [ $? = 3 ]
	nowhere
	"$SC" ls --json >"$T/ls"
	grep -qF "key-$CANARY" "$T/ls"
	"$SC" explain "key-$CANARY" >"$T/explained"
	"$SC" touch "key-$CANARY"
	"$SC" get "no-$CANARY" >"$T/out" || [ $? = 1 ]
	"$SC" rm "put-$CANARY"
	nowhere
	"$SC" daemon stop
	nowhere
	start_daemon
	is_file <("$SC" get "key-$CANARY") "$CANARY 1\n"
	nowhere
}

@test "D12: --sealed of get, run, warm and put: sealed while encrypt is off; another entry is not" {
	plainly "key-file = $K"
	"$SC" get --sealed "a-$CANARY" -- echo "$CANARY" >"$T/a"
	"$SC" run --sealed --tag "$CANARY" -- echo "$CANARY" >"$T/b"
	"$SC" warm --sealed "c-$CANARY" -- echo "$CANARY"
	wait_until '"$SC" get "c-$CANARY" >"$T/c"'
	echo "$CANARY" | "$SC" put --sealed "d-$CANARY"
	"$SC" get "d-$CANARY" >"$T/d"
	for f in a b c d; do is_file "$T/$f" "$CANARY\n"; done
	nowhere "$SC_DIR/objects" "$SC_DIR/flights"
	nowhere
	"$SC" get clear -- echo in-the-clear >"$T/out"
	grep -qraF in-the-clear "$SC_DIR/objects"
	nowhere
}

@test "with --sealed what lies there in the clear is not taken, and is gone when the new one is there" {
	plainly
	"$SC" get k -- echo "$CANARY" >"$T/out"
	is_file <("$SC" get --sealed k -- echo "$CANARY 2") "$CANARY 2\n"
	is_file <("$SC" get k -- echo "$CANARY 3") "$CANARY 2\n"
	wait_until '[ "$(out_of | wc -l)" = 1 ]'
	nowhere "$SC_DIR/objects"
}

@test "bytes, both streams' order, exit status and signals of a sealed entry, live, followed and replayed" {
	local status
	for status in 0 3 143; do
		bg a bash -c '"$SC" get --keep-failures 1h -r "$@" 2>&1' - k -- gate "$G"
		gate_up "$G" 1
		bg b bash -c '"$SC" get k -- false 2>&1'
		readers 2
		step "$G" out 1
		step "$G" err 2
		step "$G" out 3
		case $status in
		143) kill -TERM "$(gate_pid)" ;;
		*) step "$G" exit $status ;;
		esac
		assert_rc $status a b
		for f in a b; do [ "$(grep -v '^sc: ' "$T/$f.out")" = $'1\n2\n3' ]; done
		run -$status bash -c '"$SC" get --keep-failures 1h k -- false 2>&1 | grep -v "^sc: "; exit ${PIPESTATUS[0]}'
		assert_output $'1\n2\n3'
		"$SC" rm k >"$T/out" 2>&1 || true
		rm -rf "$G"
		mkdir "$G"
	done
}

@test "D14: sealed outputs of every length around a frame's: live, replayed, from memory, into a file" {
	local size
	for size in 0 1 2 4095 65515 65535 65536 65537 131071 131072 131073 262144 1048577; do
		flood $size >"$T/want"
		"$SC" get "k$size" -- flood $size | cmp "$T/want" -
		"$SC" get "k$size" | cmp "$T/want" -
		"$SC" get -o "$T/file" "k$size"
		cmp "$T/want" "$T/file"
		"$SC" get "k$size" | cmp "$T/want" -
	done
}

@test "put, put --move and --if-absent: FILE's bytes, sealed, and FILE is gone where it was to be" {
	printf '%s\n' "$CANARY" >"$T/file"
	"$SC" put a "$T/file"
	"$SC" put --move --sealed b "$T/file"
	[ ! -e "$T/file" ]
	run -1 "$SC" put --if-absent b </dev/null
	for k in a b; do is_file <("$SC" get $k) "$CANARY\n"; done
	nowhere
}

@test "hold: VALUE is sealed, and read like any other" {
	bg a "$SC" hold "key-$CANARY" "$CANARY" -- gate "$G"
	gate_up
	is_file <("$SC" get "key-$CANARY") "$CANARY\n"
	nowhere
	kill_daemon
	is_file <("$SC" get "key-$CANARY") "$CANARY\n"
	nowhere
	step "$G" exit 0
	assert_rc 0 a
	wait_until '[ "$(flights)" = 0 ]'
	bg b "$SC" hold empty -- gate "$G"
	gate_up "$G" 2
	is_file <("$SC" get empty) ''
	step "$G" exit 0
	assert_rc 0 b
}

@test "a daemon killed in the middle: the run goes on, the next one is joined, committed, and read" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	step "$G" out 1
	shows a '1\n'
	kill_daemon
	bg b "$SC" get k -- false
	shows b '1\n'
	step "$G" out 2
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/b.out" '1\n2\n'
	is_file <("$SC" get k) '1\n2\n'
	[ "$(runs)" = 1 ]
}

@test "streaming-only: what the objects cannot take is read through the ring, the canary is nowhere" {
	config 'max-entry = 1000'
	"$SC" get k -- sh -c 'flood 200000; echo "$0"' "$CANARY" >"$T/out" 2>"$T/err"
	{ flood 200000 && echo "$CANARY"; } | cmp "$T/out" -
	is_message "$T/err" 'not kept: too large'
	nowhere
}

@test "verify: sealed entries are held against their sums, with their key and without; what is damaged is named" {
	"$SC" get good -- echo x >"$T/out"
	run -0 "$SC" verify
	make bad "the output"
	flip "$made.out" 30
	run -1 "$SC" verify
	assert_line --partial 'bad: its bytes are not those that were stored'
	refute_line --partial good
	run -1 "$SC" verify --repair
	run -0 "$SC" verify
	is_file <("$SC" get good) 'x\n'
}

# ---- what somebody has done to it ------------------------------------------------------------------------------------

# A miss for who comes now: the command is run, and nothing of what lies there is seen.
is_a_miss() { # KEY WHAT
	local got
	got=$("$SC" get "$1" -- echo anew 2>"$T/err") || { echo "$2: status $?" >&2 && return 1; }
	[ "$got" = anew ] || { echo "$2: $got" >&2 && return 1; }
	[ ! -s "$T/err" ] || { cat "$T/err" >&2 && return 1; }
	"$SC" rm "$1"
}

@test "D01: a bit flipped in any byte of a small sealed entry, of either stream: a miss, never a wrong byte" {
	local s at size
	for s in out err; do
		make k "the output $CANARY" "the error output"
		size=$(stat -c %s "$made.$s")
		for ((at = 0; at < size; at++)); do
			make k "the output $CANARY" "the error output"
			flip "$made.$s" $at
			is_a_miss k "$s, byte $at"
		done
	done
}

@test "D01: damage in a later frame of a sealed entry: 125 for its reader, who has seen good bytes only; a miss for the next" {
	"$SC" get k -- flood 300000 >"$T/out"
	flip "$(out_of)" 200000
	run -125 --separate-stderr bash -c '"$SC" get k -- echo anew >"$T/out"'
	[[ $stderr == 'sc: k: the object is damaged: output is incomplete after '*' good bytes' ]]
	[ -s "$T/out" ]
	flood 300000 | cmp -n "$(stat -c %s "$T/out")" - "$T/out"
	is_a_miss k 'after it'
}

@test "D02: a sealed entry cut off at any length, or with something behind its end: a miss" {
	local s at size
	for s in out err; do
		make k "the output" "the error output"
		size=$(stat -c %s "$made.$s")
		for ((at = 0; at < size; at += 3)); do
			make k "the output" "the error output"
			truncate -s $at "$made.$s"
			is_a_miss k "$s cut at $at"
		done
		make k "the output" "the error output"
		printf x >>"$made.$s"
		is_a_miss k "junk behind $s"
	done
}

@test "D03: a sealed entry of zeros: a miss" {
	make k "the output"
	head -c "$(stat -c %s "$made.out")" /dev/zero >"$T/zeros"
	cat "$T/zeros" >"$made.out"
	is_a_miss k zeros
}

@test "D04: another key's object, the other stream's, an older generation's, the same key's in another cache: a miss" {
	local other
	make a "the output" "the output"
	other=$made
	make b "the output" "the output"
	cp "$other.out" "$made.out"
	is_a_miss b "another key's"
	make b "the output" "the output"
	cp "$other.err" "$made.err"
	is_a_miss b "another key's errors"
	make b "" "0123"
	cp "$made.err" "$T/err"
	"$SC" get -r b -- fails -o '' -e 0123 0 >"$T/out" 2>&1
	made=$(find "$SC_DIR/objects" -name '*.err' -newer "$T/err" | head -n 1)
	[ -n "$made" ]
	cp "$T/err" "$made"
	is_a_miss b "an older generation's"
	SC_DIR=$T/other-cache "$SC" daemon stop
	mkdir -m 700 "$T/other-cache"
	cp "$SC_DIR/config" "$T/other-cache/config"
	SC_DIR=$T/other-cache "$SC" get c -- echo "the output" >"$T/out"
	"$SC" get c -- echo "the output" >"$T/out"
	for f in $(out_of); do
		[ "$(stat -c %s "$f")" != "$(stat -c %s "$(find "$T/other-cache/objects" -name '*.out')")" ] ||
			cat "$(find "$T/other-cache/objects" -name '*.out')" >"$f"
	done
	SC_DIR=$T/other-cache "$SC" daemon stop
	is_a_miss c "another cache's"
}

@test "D06: without its key an entry is a miss; with several all are opened, the first seals" {
	local k2=$T/key2
	"$SC" keygen "$k2" >/dev/null
	"$SC" get a -- echo first >"$T/out"
	"$SC" daemon stop
	printf 'encrypt = on\nkey-file = %s\n' "$k2" >"$SC_DIR/config"
	run -1 "$SC" get a
	"$SC" doctor >"$T/doctor"
	fingerprint=$(sed 's/.*fingerprint //' "$T/made")
	grep -qxF "warning: keys: 1 entry is sealed by $fingerprint, which is not here, so they are not given out (name its file in key-file behind the others, or let them go)" "$T/doctor"
	"$SC" get b -- echo second >"$T/out"
	"$SC" daemon stop
	printf 'encrypt = on\nkey-file = %s:%s\n' "$k2" "$K" >"$SC_DIR/config"
	is_file <("$SC" get a) 'first\n'
	is_file <("$SC" get b) 'second\n'
	is_file <("$SC" get -r a -- echo third) 'third\n'
	is_file <("$SC" get a) 'third\n'
	"$SC" daemon stop
	printf 'encrypt = on\nkey-file = %s\n' "$k2" >"$SC_DIR/config"
	is_file <("$SC" get a) 'third\n'
	is_file <("$SC" get b) 'second\n'
}

@test "D07: an entry in the clear while encrypt is on: a miss, and it is removed" {
	plainly
	"$SC" get k -- echo "$CANARY" >"$T/out"
	"$SC" daemon stop
	config
	sqlite3 "$SC_DIR/index.db" 'UPDATE meta SET encrypt = 1' # or all of it would go
	run -1 "$SC" get k
	wait_until '[ "$(objects)" = 0 ]'
	nowhere "$SC_DIR/objects"
}

@test "a writer that is killed: who has printed ends with 125 and says after how much, who has not gets all of a second run" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get --atomic k -- gate "$G"
	readers 2
	step "$G" out 12345
	shows a '12345\n'
	kill -9 "$(parent_of "$(gate_pid)")"
	assert_rc 125 a
	is_message "$T/a.err" 'output is incomplete after 6 good bytes'
	gate_up "$G" 2
	step "$G" out anew
	step "$G" exit 0
	assert_rc 0 b
	is_file "$T/b.out" 'anew\n'
}

# ---- who looks into a process ----------------------------------------------------------------------------------------

@test "D12: nobody but root looks into daemon, writer, reader or who feeds stdin, none of them leaves a core; the command has the caller's limit, and may be looked into" {
	[ "${SAN:-0}" = 0 ] || skip 'missing tool: sanitizers look into them'
	local pid
	ulimit -S -c 4096 2>/dev/null || true
	bg a "$SC" get k -- bash -c 'ulimit -S -c; exec gate "$0"' "$G"
	gate_up
	shows a "$(ulimit -S -c)\n"
	for pid in "$(daemon_pid)" "$(parent_of "$(gate_pid)")"; do
		grep -Eq '^Max core file size +[01] ' "/proc/$pid/limits"
	done
	[ "$(id -u)" = 0 ] || for pid in "$(daemon_pid)" "$(parent_of "$(gate_pid)")" "$(pid_of a)"; do
		[ ! -r "/proc/$pid/environ" ] || ! cat "/proc/$pid/environ" >"$T/environ" 2>&1
		[ "$(stat -c %u "/proc/$pid/environ")" = 0 ]
	done
	[ "$(stat -c %u "/proc/$(gate_pid)/environ")" = "$(id -u)" ]
	flood 3000000 >"$T/in"
	bg b bash -c 'exec "$SC" get --stdin fed -- gate "$0" b <"$T/in"' "$G"
	gate_up "$G" 2
	for pid in $(procs on "$T" | awk '/get --stdin fed/ && !/bash/ { print $1 }'); do
		[ "$(id -u)" = 0 ] || [ "$(stat -c %u "/proc/$pid/environ")" = 0 ]
		echo "$pid" >>"$T/looked"
	done
	[ "$(lines_in "$T/looked")" = 3 ] # reader, writer, feeder
	step "$G:b" exit 0
	assert_rc 0 b
	step "$G" exit 0
	assert_rc 0 a
}

@test "C10: memory that may not be locked: everything is sealed all the same, and doctor says what that means" {
	command -v prlimit >/dev/null
	prlimit --memlock=0:0 "$SC" get k -- echo "$CANARY" >"$T/out"
	is_file <("$SC" get k) "$CANARY\n"
	nowhere
	# A sanitizer locks nothing, and says it had.
	if [ "$(id -u)" != 0 ] && [ "${SAN:-0}" = 0 ]; then
		grep -q 'event=key-unlocked' "$SC_DIR/scd.log"
		"$SC" doctor | grep -qxF 'warning: keys: 0 bytes of memory may be locked, too few: keys may come to lie in swap (raise ulimit -l)'
	fi
}

# ---- what is kept aside ----------------------------------------------------------------------------------------------

# Whoever writes TEXT into a file, also into one without a name, is seen.
traced() { # COMMAND…
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -s 65536 -e trace=write,pwrite64,writev,pwritev,copy_file_range,splice,sendfile -o "$T/trace" "$@"
}

@test "D12: stdin that is part of the key, and what is kept back for --atomic, lie in no file in the clear; the command gets all of it" {
	use_test_build # whose writers may be looked into
	local n
	for n in 1 70000 3000000; do
		{ flood $n && echo "$CANARY"; } >"$T/in"
		"$SC" get --stdin k$n -- cat <"$T/in" | cmp - "$T/in"
		"$SC" get --stdin k$n -- false <"$T/in" | cmp - "$T/in"
	done
	config 'max-entry = 1000' # from here on everything is streaming-only
	"$SC" daemon stop
	"$SC" get --atomic -q a -- cat "$T/in" | cmp - "$T/in"
	SC_DISABLE=1 "$SC" get --atomic b -- cat "$T/in" | cmp - "$T/in"
	nowhere
	config
	"$SC" daemon stop
	printf '%s\n' "$CANARY" >"$T/in"
	start_daemon # not one that is traced
	traced "$SC" get --stdin small -- cat <"$T/in" >"$T/out"
	cmp "$T/in" "$T/out"
	# To the command's stdin, to the writer and to our stdout, all of them pipes but the last: to no other file.
	grep -F "$CANARY" "$T/trace" >"$T/writes"
	[ "$(grep -c . "$T/writes")" = 3 ] || { cat "$T/writes" >&2 && return 1; }
}

# ---- a key that dies with the daemon ---------------------------------------------------------------------------------

@test "without key-file: what the daemon has sealed is gone with it, rows and files; it stays for it, until its time is over" {
	printf '%s\n' 'encrypt = on' 'idle-exit = 100ms' >"$SC_DIR/config"
	"$SC" get -t 1h k -- echo "$CANARY" >"$T/out"
	bg idle bash -c '"$SC" get clock -- gate "$0"' "$G" # what comes behind it is later than any idle moment before
	gate_up
	step "$G" exit 3
	assert_rc 3 idle
	is_file <("$SC" get k) "$CANARY\n"
	[ "$(grep -c 'event=start ' "$SC_DIR/scd.log")" = 1 ]
	"$SC" touch -t 300ms k
	wait_until no_daemon
	grep -q 'event=stop why="idle"' "$SC_DIR/scd.log"
	[ "$(objects)" = 0 ]
	"$SC" get k -- echo "$CANARY" >"$T/out"
	kill_daemon
	run -1 "$SC" get k
	wait_until '[ "$(objects)" = 0 ]'
	nowhere
}
