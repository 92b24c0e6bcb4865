#!/usr/bin/env bats
# -o FILE: a regular file is replaced as a whole when, and only when, the run has succeeded; anything else is written in place.
# run: sealed too
load ../helper

prepare() { mkdir "$T/d" && export O=$T/d/out; }

# Nothing lies in the directory of FILE but what is named.
only_there() {
	printf '%s\n' "$@" | sort >"$T/.names"
	ls -A "$T/d" | sort | diff - "$T/.names" >&2
}
nothing_there() { [ -z "$(ls -A "$T/d")" ]; }
temporary_there() { wait_until '[ -n "$(find "$T/d" -name ".out.sc-??????")" ]'; }
INTERRUPTIBLE=(env --default-signal=INT,QUIT) # bash ignores them for what runs in the background

@test "-o: every byte goes into FILE for the first caller, a follower and a hit, none to stdout; stderr is as always" {
	bg a "$SC" get -o "$T/d/a" k -- gate "$G"
	gate_up
	bg b "$SC" get --output="$T/d/b" k
	step "$G" fill 1000001
	step "$G" err oops
	step "$G" nul 5
	step "$G" fill 3M
	wait_until '[ -s "$T/a.err" ] && [ -s "$T/b.err" ]' # while it runs
	step "$G" exit 0
	assert_rc 0 a b
	"$SC" get k -o "$T/d/c" >"$T/c.out" 2>"$T/c.err"
	"$SC" get k 2>/dev/null >"$T/want"
	for name in a b c; do
		cmp "$T/want" "$T/d/$name"
		is_empty "$T/$name.out"
		is_file "$T/$name.err" 'oops\n'
	done
	[ "$(stat -c %s "$T/d/c")" = $((1000001 + 5 + 3 * 1048576)) ]
	only_there a b c
	[ "$(runs)" = 1 ]
}

@test "-o: an empty output is an empty FILE, also in place of a full one" {
	"$SC" get -o "$O" k -- true
	[ -e "$O" ]
	is_empty "$O"
	echo old >"$O"
	"$SC" get -o "$O" k
	is_empty "$O"
	only_there out
}

@test "-o: until the run has succeeded FILE is what it was; then it is another file, as a whole" {
	local inode
	echo old >"$O"
	inode=$(stat -c %i "$O")
	bg a "$SC" get -o "$O" k -- gate "$G"
	step "$G" fill 2M
	temporary_there
	is_file "$O" 'old\n'
	exec 5<"$O"
	step "$G" exit 0
	assert_rc 0 a
	is_flood "$O" 2M
	[ "$(stat -c %i "$O")" != "$inode" ]
	[ "$(cat <&5)" = old ]
	only_there out
}

@test "-o: a failing run leaves FILE untouched, live and followed; its stderr is shown, its status is ours" {
	echo old >"$O"
	touch -d 2001-02-03 "$O"
	bg a "$SC" get -o "$O" k -- gate "$G"
	gate_up
	bg b "$SC" get -o "$T/d/new" k
	step "$G" out lost
	step "$G" err why
	wait_until '[ -s "$T/b.err" ]'
	step "$G" exit 7
	assert_rc 7 a b
	is_file "$O" 'old\n'
	[ "$(date -r "$O" +%Y)" = 2001 ]
	only_there out
	for name in a b; do
		is_empty "$T/$name.out"
		is_file "$T/$name.err" 'why\n'
	done
	run -143 "$SC" get -o "$O" k -- fails -o lost -k 15
	run -127 "$SC" get -o "$O" k -- no-such-command-here
	run -1 "$SC" get -o "$O" no-such-key
	is_file "$O" 'old\n'
	only_there out
}

@test "-o: a new FILE has mode 0666 less umask, a replaced one its old mode; its time is now" {
	local start
	(umask 027 && "$SC" get -o "$O" k -- echo x)
	[ "$(stat -c %a "$O")" = 640 ]
	chmod 604 "$O"
	touch -d 2001-02-03 "$O"
	start=$(date +%s)
	(umask 077 && "$SC" get -o "$O" k)
	[ "$(stat -c %a "$O")" = 604 ]
	[ "$(stat -c %Y "$O")" -ge "$start" ]
	chmod 600 "$O"
	bg a "$SC" get -o "$O" l -- gate "$G"
	step "$G" out secret
	temporary_there
	[ "$(stat -c %a "$T"/d/.out.sc-*)" = 600 ]
	step "$G" exit 0
	assert_rc 0 a
}

@test "-o: a link is followed, also a chain and one whose file is not there yet; it stays a link" {
	mkdir "$T/real"
	echo old >"$T/real/file"
	chmod 640 "$T/real/file"
	ln -s ../real/file "$T/d/one"
	ln -s one "$T/d/two"
	ln -s "$T/real/later" "$T/d/dangling"
	"$SC" get -o "$T/d/two" k -- echo x
	[ -L "$T/d/one" ] && [ -L "$T/d/two" ]
	is_file "$T/real/file" 'x\n'
	[ "$(stat -c %a "$T/real/file")" = 640 ]
	(cd "$T/d" && "$SC" get -o dangling k)
	[ -L "$T/d/dangling" ]
	is_file "$T/real/later" 'x\n'
	[ "$(ls -A "$T/real")" = $'file\nlater' ]
	only_there dangling one two
	ln -s circle "$T/d/circle"
	run -125 "$SC" get -o "$T/d/circle" k
}

@test "-o: a FIFO, /dev/null, /dev/stdout, a descriptor, a terminal are written in place" {
	local null
	mkfifo "$T/d/fifo"
	bg_sh a 'cat "$T/d/fifo"'
	"$SC" get -o "$T/d/fifo" k -- flood 3000001
	assert_rc 0 a
	is_flood "$T/a.out" 3000001
	[ -p "$T/d/fifo" ]
	null=$(stat -c '%t:%T %i' /dev/null)
	"$SC" get -o /dev/null k
	[ "$(stat -c '%t:%T %i' /dev/null)" = "$null" ]
	"$SC" get -o /dev/stdout k | cmp - "$T/a.out"
	"$SC" get -o >(cat >"$T/sub") k
	wait_until 'cmp -s "$T/sub" "$T/a.out"'
	"$SC" get -o /dev/fd/7 k 7>"$T/seven"
	is_flood "$T/seven" 3000001
	"$SC" get line -- echo text >/dev/null
	[ "$(pty - "$SC" get -o /dev/tty line)" = text ]
}

@test "-o /dev/stdout: a file that the shell opened is written where it stands, appended to and in the middle" {
	"$SC" get k -- flood 300001 >/dev/null
	printf before >"$T/appended"
	"$SC" get -o /dev/stdout k >>"$T/appended"
	{ printf before && flood 300001; } | cmp - "$T/appended"
	{ printf before && "$SC" get -o /dev/stdout k && printf behind; } >"$T/middle"
	{ printf before && flood 300001 && printf behind; } | cmp - "$T/middle"
	printf before >"$T/both"
	{ "$SC" get -o /proc/self/fd/1 k && "$SC" get -o /dev/stdout l -- echo live; } >>"$T/both"
	{ printf before && flood 300001 && echo live; } | cmp - "$T/both"
}

# unwritable REGEX FILE: found out before anything runs.
unwritable() {
	local got=0
	"$SC" get -o "$2" k -- touch "$T/ran" >"$T/out" 2>"$T/err" || got=$?
	[ $got = 125 ] || { echo "$2: status $got" >&2 && return 1; }
	is_empty "$T/out"
	is_message "$T/err" "$1"
	[ ! -e "$T/ran" ]
	got=0
	SC_DISABLE=1 "$SC" get -o "$2" k -- touch "$T/ran" 2>/dev/null || got=$?
	[ $got = 125 ]
	[ ! -e "$T/ran" ]
}

@test "-o: a directory, an unwritable place, a FILE that may not be written: 125, before anything runs" {
	unwritable 'directory' "$T/d"
	unwritable 'directory' "$T/d/"
	unwritable 'directory' "$T/d/new/"
	unwritable 'No such' "$T/nowhere/out"
	echo file >"$T/file"
	unwritable 'Not a directory' "$T/file/out"
	unwritable 'too long' "$T/d/$(printf 'x%.0s' {1..256})"
	unwritable 'closed|bad' /dev/stdin
	unwritable . /dev/fd/99
	if [ "$(id -u)" != 0 ]; then
		echo old >"$O"
		chmod 444 "$O"
		unwritable 'denied' "$O"
		is_file "$O" 'old\n'
		mkdir -m 555 "$T/closed"
		unwritable 'denied' "$T/closed/out"
		unwritable . /proc/version
		rm -f "$O"
	fi
	nothing_there
	no_daemon
}

@test "-o: names as long as may be, beginning with a dash or a dot, with odd bytes" {
	local name
	"$SC" get k -- echo x >/dev/null
	cd "$T/d"
	for name in "$(printf 'x%.0s' {1..255})" -- -o .hidden $'new\nline \xff%s'; do
		"$SC" get -o "$name" k
		is_file "./$name" 'x\n'
		rm -- "./$name"
	done
	nothing_there
}

@test "-o: a signal while it runs leaves no temporary and the old FILE, and ends us" {
	local signal
	echo old >"$O"
	for signal in INT TERM HUP QUIT USR1; do
		local g
		g=$(new_gate "g$signal")
		bg a "${INTERRUPTIBLE[@]}" "$SC" get -o "$O" "k$signal" -- gate "$g"
		step "$g" fill 1M
		temporary_there
		kill -$signal "$(pid_of a)"
		assert_rc $((128 + $(kill -l $signal))) a
		only_there out
		is_file "$O" 'old\n'
		wait_until 'dead $(gate_pid "$g")' 30
	done
	wait_until nothing_kept
}

@test "-o: a signal before the answer, when nothing was begun, leaves no temporary either" {
	local signal
	entry k 'x\n'
	echo old >"$O"
	kill -STOP "$(daemon_pid)"
	for signal in INT TERM HUP; do
		bg a "${INTERRUPTIBLE[@]}" "$SC" get -o "$O" k
		temporary_there
		kill -$signal "$(pid_of a)"
		assert_rc $((128 + $(kill -l $signal))) a
		only_there out
		is_file "$O" 'old\n'
	done
	kill -CONT "$(daemon_pid)"
}

@test "-o: a follower that is told to go leaves no temporary; the others go on" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get -o "$O" k
	step "$G" fill 1M
	temporary_there
	kill -TERM "$(pid_of b)"
	assert_rc 143 b
	nothing_there
	step "$G" exit 0
	assert_rc 0 a
	is_flood "$T/a.out" 1M
}

@test "-o: what reads our stdout or stderr may go: FILE is made all the same" {
	bg_sh a '"$SC" get -o "$O" k -- gate "$G" 2>&1 | true'
	step "$G" err one
	step "$G" fill 1M
	step "$G" err two
	step "$G" exit 0
	[ "$(pipe_status a)" = '0 0' ]
	is_flood "$O" 1M
	only_there out
}

@test "-o: the reader of a FIFO goes: silent, 141, and the run is stopped as by | head" {
	mkfifo "$T/d/fifo"
	bg a "$SC" get -o "$T/d/fifo" k -- gate "$G"
	bg_sh b 'head -n 1 "$T/d/fifo"'
	step "$G" out one
	assert_rc 0 b
	assert_rc 141 a
	is_empty "$T/a.err"
	wait_until 'dead $(gate_pid)' 30
	wait_until nothing_kept
}

@test "-o: no room for FILE: 125, no temporary, FILE untouched; the run goes on for the others" {
	echo old >"$O"
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg_sh b 'ulimit -f 512; exec "$SC" get -o "$O" k'
	temporary_there
	step "$G" fill 2M
	assert_rc 125 b
	is_message "$T/b.err" "$O.*large"
	is_file "$O" 'old\n'
	only_there out
	step "$G" exit 0
	assert_rc 0 a
	is_flood "$T/a.out" 2M
	run -125 --separate-stderr bash -c 'ulimit -f 512; exec "$SC" get -o "$O" k' # a hit
	only_there out
	is_file "$O" 'old\n'
	run -125 "$SC" get -o /dev/full k
}

@test "-o: no room for FILE of a last reader: 125, and the run is kept" {
	bg a "$SC" get -o /dev/full k -- gate "$G"
	step "$G" fill 1M
	step "$G" exit 0
	assert_rc 125 a
	"$SC" get k >"$T/kept"
	is_flood "$T/kept" 1M
}

@test "-o: the writer dies in the middle: what lies in the temporary nobody has seen, the run is made anew" {
	bg a "$SC" get -o "$O" k -- gate "$G"
	step "$G" fill 1M
	wait_until '[ "$(stat -c %s "$T"/d/.out.sc-*)" = 1048576 ]'
	kill -9 "$(parent_of "$(gate_pid)")"
	gate_up "$G" 2
	step "$G" outn other
	step "$G" exit 0
	assert_rc 0 a
	is_file "$O" other
	[ "$(runs)" = 2 ]
	only_there out
}

@test "-o: many callers of one FILE: it is always whole" {
	local n
	"$SC" get k -- flood 500001 >/dev/null
	for n in {1..20}; do bg "c$n" "$SC" get -o "$O" k; done
	for n in {1..20}; do
		[ ! -e "$O" ] || is_flood "$O" 500001
		assert_rc 0 "c$n"
	done
	is_flood "$O" 500001
	only_there out
}

@test "-o: --status-fd counts what went into FILE" {
	"$SC" get -o "$O" --status-fd 7 k -- fails -o 12345 7>"$T/status"
	[ "$(field bytes "$T/status")" = 6 ]
	[ "$(field complete "$T/status")" = true ]
	"$SC" get -o "$O" --status-fd 7 k 7>"$T/status"
	[ "$(field source "$T/status") $(field bytes "$T/status")" = 'hit 6' ]
}

@test "-o in a bypass: the same meaning: all of it on success, untouched after a failure" {
	export SC_DISABLE=1
	echo old >"$O"
	chmod 640 "$O"
	run -3 --separate-stderr "$SC" get -o "$O" k -- fails -o lost -e why 3
	assert_output ''
	[ "$stderr" = why ]
	run -143 "$SC" get -o "$O" k -- fails -o lost -k 15
	run -127 "$SC" get -o "$O" k -- no-such-command-here
	is_file "$O" 'old\n'
	run -0 --separate-stderr "$SC" get -o "$O" --status-fd 7 k -- sh -c 'cat; flood 1M' 7>"$T/status"
	assert_output ''
	is_flood "$O" 1M
	[ "$(stat -c %a "$O")" = 640 ]
	[ "$(field source "$T/status") $(field exit "$T/status")" = 'bypass 0' ]
	"$SC" get -o /dev/stdout k -- echo place >"$T/out"
	is_file "$T/out" 'place\n'
	unset SC_DISABLE
	mkdir -m 777 "$T/bad"
	chmod 777 "$T/bad"
	SC_DIR=$T/bad "$SC" get -o "$O" --status-fd 7 k -- echo direct 2>"$T/err" 7>"$T/status"
	is_message "$T/err" 'directly'
	[[ $(field reason "$T/status") == *"$T/bad"* ]]
	is_file "$O" 'direct\n'
	only_there out
}

@test "-o inside the run of its own key: the inner one has no cache and keeps its promise; the run is not held up" {
	run -0 --separate-stderr "$SC" get k -- sh -c '"$SC" get -o "$O" k -- sh -c "echo inner; exit 0"; cat "$O"; echo outer'
	assert_line --index 0 inner
	assert_line --index 1 outer
	[[ $stderr == *'its run waits for us'* ]]
	only_there out
}

@test "-o in a bypass: a signal is passed on; no temporary is left, and no command" {
	local signal
	echo old >"$O"
	for signal in INT TERM HUP QUIT; do
		local g
		g=$(new_gate "g$signal")
		SC_DISABLE=1 bg a "${INTERRUPTIBLE[@]}" "$SC" get -o "$O" k -- gate "$g"
		step "$g" trap $signal
		kill -$signal "$(pid_of a)"
		wait_until '[ "$(cat "$g/signals")" = $signal ]'
		is_running a
		step "$g" out lost
		step "$g" kill $signal
		assert_rc $((128 + $(kill -l $signal))) a
		only_there out
		is_file "$O" 'old\n'
	done
	bg a env SC_DISABLE=1 "$SC" get -o "$O" k -- gate "$G"
	gate_up
	kill -9 "$(pid_of a)"
	wait_until 'dead $(gate_pid)'
	rm -f "$T"/d/.out.sc-?????? # the one thing that -9 may leave
	only_there out
}

@test "-o in a bypass: Ctrl-C reaches the command once, and we die of it" {
	echo old >"$O"
	mkfifo "$T/control"
	SC_DISABLE=1 bg a pty "$T/control" "$SC" get -o "$O" k -- gate "$G"
	step "$G" trap INT
	echo 'key ^C' >"$T/control"
	wait_until '[ "$(cat "$G/signals")" = INT ]'
	step "$G" out x
	is_file "$G/signals" 'INT\n'
	step "$G" kill INT
	assert_rc 130 a
	grep -q 'killed by signal 2' "$T/a.err"
	only_there out
	is_file "$O" 'old\n'
}
