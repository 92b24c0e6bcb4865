#!/usr/bin/env bats
# `sc doctor`: looks at everything sc stands on, says of each whether it is well, and ends with 1 when something is to be mended.
load ../helper

# How much is free is the machine's affair.
prepare() {
	mkdir -p "$HOME/.config/sc"
	echo 'min-free = none' >"$HOME/.config/sc/config"
	cp "$HOME/.config/sc/config" "$T/good"
}

# doctor STATUS: ends so; its lines are in $T/lines.
doctor() {
	local got=0
	timeout $((30 * SLACK)) "$SC" doctor >"$T/lines" 2>"$T/err" || got=$?
	is_empty "$T/err"
	[ $got = "$1" ] || { echo "doctor: status $got, expected $1:" && cat "$T/lines" && return 1; } >&2
	! grep -vE '^(ok|warning|problem): [a-z]+: .' "$T/lines" >&2
}

# finds REGEX: exactly one line matches.
finds() {
	[ "$(grep -cE -- "$1" "$T/lines")" = 1 ] || { echo "not one line that matches /$1/:" && cat "$T/lines" && return 1; } >&2
}
all_ok() { ! grep -v '^ok: ' "$T/lines" >&2; }

@test "all is well before the first use, and nothing is made or started" {
	doctor 0
	all_ok
	finds "^ok: program: sc [^ ]+, daemon $(dirname "$(readlink -f "$SC")")/scd$"
	finds "^ok: directory: $SC_DIR is not there yet"
	finds "^ok: config: $HOME/.config/sc/config$"
	[ ! -e "$SC_DIR" ]
	no_daemon
}

@test "all is well in use: with a daemon, after a daemon, after one that was killed" {
	entry k x
	doctor 0
	all_ok
	finds "^ok: directory: $SC_DIR, by SC_DIR: ours, mode 0700, on [A-Za-z0-9]+$"
	finds '^ok: space: [^ ]+ free(, [0-9]+ inodes)?, min-free is none$'
	finds "^ok: limits: $(ulimit -Hn) descriptors, of which a caller here may have $(ulimit -Sn)$"
	finds "^ok: limits: $(ulimit -u) processes of one user$"
	finds '^ok: clock: '
	finds "^ok: daemon: pid $(daemon_pid), build "
	kill_daemon
	doctor 0
	all_ok
	finds '^ok: daemon: none is running'
	no_daemon
	entry l x
	"$SC" daemon stop
	doctor 0
	all_ok
	no_daemon
}

@test "a bad line of config is a problem, with file, line and reason; corrected, it is none" {
	printf 'ttl = soon\ntll = 5m\n[bucket A]\nttl = 1h\n' >>"$HOME/.config/sc/config"
	doctor 1
	finds "^problem: config: $HOME/.config/sc/config:2: ttl = soon: not a duration, such as 10m or forever \(correct it, then sc daemon restart\)$"
	finds "^problem: config: $HOME/.config/sc/config:3: there is no setting \"tll\" \("
	finds "^problem: config: $HOME/.config/sc/config:4: \[bucket A\] names no bucket"
	[ "$(grep -c ': config:' "$T/lines")" = 3 ]
	cp "$T/good" "$HOME/.config/sc/config"
	doctor 0
	chmod 666 "$HOME/.config/sc/config"
	doctor 1
	finds "^problem: config: $HOME/.config/sc/config: is writable by others, so it is not read \(chmod go-w\)$"
	rm "$HOME/.config/sc/config"
	[ "$("$SC" doctor | grep -c "^ok: config: none, neither in $SC_DIR nor at $HOME/.config/sc/config")" = 1 ]
}

@test "a config that is newer than the daemon is a warning" {
	touch -d '1 hour ago' "$HOME/.config/sc/config"
	start_daemon
	doctor 0
	all_ok
	touch -d '1 hour' "$HOME/.config/sc/config"
	doctor 0
	finds '^warning: daemon: config was changed after it had started; .* \(sc daemon restart\)$'
}

@test "a directory that others may write into, that is a link, that cannot be made" {
	mkdir -m 777 "$SC_DIR"
	chmod 777 "$SC_DIR"
	doctor 1
	finds "^problem: directory: $SC_DIR is writable by others \(mode 0777\) \(chmod go-w $SC_DIR\)$"
	chmod 700 "$SC_DIR"
	doctor 0
	mv "$SC_DIR" "$T/real"
	ln -s real "$SC_DIR"
	doctor 1
	finds "^problem: directory: $SC_DIR is a symbolic link"
	SC_DIR=$T/missing/cache doctor 1
	SC_DIR=$T/missing/cache finds "^problem: directory: $T/missing/cache cannot be made: $T/missing: No such file"
	[ ! -e "$T/missing" ]
	SC_DIR=$HOME/missing/cache doctor 0
	rm "$SC_DIR"
}

# What doctor, config, ps and status might change: names, modes, times of change, bytes.
state() {
	(cd "$T" && find cache -printf '%p %m %s %C@\n' | sort && find cache -type f ! -name lock -exec cat {} + | cksum)
}

@test "who only looks changes nothing: no mode, no file, no daemon" {
	entry k x
	"$SC" daemon stop
	rm "$SC_DIR/lock"
	chmod 755 "$SC_DIR"
	local before verb
	before=$(state)
	for verb in doctor 'doctor --json' config 'config --json' ps 'daemon status' 'daemon stop' sync; do
		# shellcheck disable=SC2086
		run "$SC" $verb
		[ "$(state)" = "$before" ] || { echo "$verb: has changed something" && diff <(echo "$before") <(state); }
	done
	no_daemon
	doctor 0
	finds "^warning: directory: $SC_DIR is readable by others \(mode 0755\) \(the next caller sets it to 0700\)$"
	[ "$(grep -vc '^ok: ' "$T/lines")" = 1 ]
	run -0 --separate-stderr "$SC" get k
	assert_output x
	[ "$(stat -c %a "$SC_DIR")" = 700 ]
	doctor 0
	all_ok
}

@test "who only looks makes no lock either, when the daemon it looks at hangs" {
	local pid verb
	start_daemon
	pid=$(daemon_pid)
	rm "$SC_DIR/lock"
	kill -STOP "$pid"
	for verb in doctor ps; do
		run "$SC" "$verb"
		assert_output --partial 'not answering'
		[ ! -e "$SC_DIR/lock" ]
	done
	kill -KILL "$pid"
	wait_until "dead $pid"
}

@test "less free than min-free is a problem" {
	mkdir -m 700 "$SC_DIR"
	echo 'min-free = 1000000T' >"$HOME/.config/sc/config"
	doctor 1
	finds '^problem: space: .* free, less than min-free, 977P: nothing new is kept \(make room, or set min-free\)$'
}

@test "too few descriptors for a daemon are a problem, few a warning" {
	prlimit --nofile=50:50 "$SC" doctor >"$T/lines" || [ $? = 1 ]
	finds '^problem: limits: 50 descriptors are allowed, too few to start a daemon, which needs 64 \('
	prlimit --nofile=500:500 "$SC" doctor >"$T/lines"
	finds '^warning: limits: 500 descriptors '
}

@test "few processes are a warning" {
	wait_until 'prlimit --nproc=200 "$SC" doctor >"$T/lines"' # others of us may have that many just now
	finds '^warning: limits: 200 processes of one user \(raise ulimit -u\)$'
}

@test "which variable says where the cache is" {
	unset SC_DIR
	doctor 0
	finds "^ok: directory: $HOME/.cache/sc is not there yet"
	mkdir -p "$HOME/.cache/sc" "$T/xdg/sc"
	chmod 700 "$HOME/.cache/sc" "$T/xdg/sc"
	doctor 0
	finds "^ok: directory: $HOME/.cache/sc, by HOME: "
	XDG_CACHE_HOME=$T/xdg doctor 0
	finds "^ok: directory: $T/xdg/sc, by XDG_CACHE_HOME: "
	export SC_DIR=$T/cache
}

@test "T05: a clock that was never set, or is a century ahead, is a problem" {
	use_test_build
	local year
	for year in 1971 2150; do
		printf '%020d %020d ' 0 $((($(date -d "$year-01-02" +%s) - $(date +%s)) * 1000)) >"$T/clocks"
		LD_PRELOAD="$HELPERS/shim_clock.so" SHIM_CLOCK="$T/clocks" doctor 1
		finds "^problem: clock: the machine's clock cannot be right.* \(set it\)$"
	done
}

@test "swap is noted, and no more" {
	doctor 0
	if [ "$(lines_in /proc/swaps)" -gt 1 ]; then finds '^ok: swap: on: '; else finds '^ok: swap: none$'; fi
}

@test "B06: an error of the disk while a run is stored: doctor says so, with a daemon and without, for a day" {
	command -v strace >/dev/null || skip "missing tool: strace"
	use_test_build
	local pid object
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	pid=$(parent_of "$(gate_pid)")
	object=$(find "$SC_DIR/objects" -name '*.out')
	bg tracer strace -qq -o "$T/trace" -P "$object" -e inject=write,pwrite64,splice,writev,pwritev:error=EIO -p "$pid"
	wait_until '! grep -q "TracerPid:.0$" "/proc/'"$pid"'/status"'
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'one\ntwo\n'
	assert_rc 0 tracer
	grep -q INJECTED "$T/trace"
	doctor 0
	finds '^warning: errors: the disk did not take what a run printed: Input/output error, [0-9a-z]+ ago \(see scd.log there\)$'
	"$SC" daemon stop
	doctor 0
	finds '^warning: errors: the disk did not take .*: Input/output error, '
	[ "$("$SC" doctor --json | jq -r 'select(.check == "errors") | .level')" = warning ]
	# Yesterday's line, and one that nobody can have written.
	sed -i 's/^....-..-..T/2020-02-02T/' "$SC_DIR/scd.log"
	printf 'event=commit-failed why="x"\n\nwhy="streaming only: y"\n\xff\xfe event=sync-failed ' >>"$SC_DIR/scd.log"
	doctor 0
	all_ok
}

@test "several errors of a kind are one line, with the last one's reason; what has been rotated away counts" {
	mkdir -m 700 "$SC_DIR"
	local now
	now=$(date -u +%FT%T.000Z)
	printf '%s pid=1 event=commit-failed why="%s"\n' "$now" 'No space left on device' >"$SC_DIR/scd.log.1"
	printf '%s pid=1 event=commit-failed why="%s"\n' "$now" 'a \x1b[31m"quote"' >"$SC_DIR/scd.log"
	printf '%s pid=1 event=flight gen=0 from=running to=running why="streaming only: File too large"\n' "$now" >>"$SC_DIR/scd.log"
	doctor 0
	finds '^warning: errors: an entry could not be stored: a .*"quote", 2 times in a day, the last [0-9a-z]+ ago \(see scd.log there\)$'
	[ "$(grep -c ': errors: ' "$T/lines")" = 1 ]
	# Not ours to read, not to be waited for, not to be followed.
	rm "$SC_DIR/scd.log" "$SC_DIR/scd.log.1"
	mkfifo "$SC_DIR/scd.log"
	doctor 0
	all_ok
	rm "$SC_DIR/scd.log"
	printf '%s pid=1 event=commit-failed why="x"\n' "$now" >"$T/log"
	ln -s ../log "$SC_DIR/scd.log"
	doctor 0
	all_ok
	rm "$SC_DIR/scd.log"
}

@test "A27: a daemon that died of a fault: by which, before the next one starts and after" {
	use_test_build
	local pid
	entry k x
	pid=$(daemon_pid)
	kill -SEGV "$pid"
	wait_until "dead $pid"
	doctor 0
	finds '^warning: starts: the last daemon died of a fault of its own: SIGSEGV \(see scd.log there\)$'
	run -0 "$SC" get k
	assert_output x
	doctor 0
	finds '^warning: errors: a daemon died of a fault of its own: the daemon before: SIGSEGV, .* ago'
	[ "$(grep -c SIGSEGV "$T/lines")" = 1 ]
	kill_daemon # which is no fault of its own
	doctor 0
	[ "$(grep -c 'warning: starts' "$T/lines")" = 0 ]
}

@test "A27: a daemon that dies of every question: doctor says which line of it, and that none is tried" {
	use_test_build
	for nr in 1 2 3; do
		SC_FAULT=abort_on_hello run -0 --separate-stderr timeout $((20 * SLACK)) "$SC" get k -- echo direct
		assert_output direct
	done
	doctor 1
	finds '^problem: starts: 3 starts of a daemon failed .* before it is over: daemon/dispatch.c:[0-9]+: FAULT.*abort_on_hello.* \(see scd.log there\)$'
	no_daemon
}

@test "a daemon of another build beside an sc is a warning, one that is none a problem" {
	mkdir "$T/alone"
	cp "$SC" "$T/alone/sc"
	printf '#!/bin/sh\necho scd of-old\n' >"$T/alone/scd"
	chmod +x "$T/alone/scd"
	SC=$T/alone/sc doctor 0
	finds "^warning: program: $T/alone/scd is of build of-old, this sc is [^ ]+ \\(install both\\)$"
	printf '#!/bin/sh\nexit 1\n' >"$T/alone/scd"
	SC=$T/alone/sc doctor 1
	finds "^problem: program: $T/alone/scd does not say of which build it is \\(install both\\)$"
	rm -r "$T/alone"
}

@test "a daemon that hangs is a problem, with what ends it" {
	local pid
	start_daemon
	pid=$(daemon_pid)
	kill -STOP "$pid"
	doctor 1
	finds "^problem: daemon: .*not answering.* \(kill -9 $pid loses nothing\)$"
	kill -CONT "$pid"
	doctor 0
}

@test "A27: a daemon that cannot start: how often, and its own words; mended, all is well" {
	mkdir -m 700 "$SC_DIR"
	echo precious >"$SC_DIR/flights"
	ANY_FILES=1
	run -0 --separate-stderr "$SC" get k -- true
	doctor 1
	finds "^problem: starts: 1 start of a daemon failed within the last minute: $SC_DIR: .* \(see scd.log there\)$"
	for nr in 1 2 3; do run -0 --separate-stderr "$SC" get k -- true; done
	doctor 1
	finds '^problem: starts: 3 starts of a daemon failed .*, so none is tried before it is over: '
	[ "$(grep -c event=no-start "$SC_DIR/scd.log")" = 3 ] # doctor has not tried either
	rm "$SC_DIR/flights" "$SC_DIR/lock"
	run -0 --separate-stderr "$SC" get k -- true
	[ -z "$stderr" ]
	doctor 0
	all_ok
}

@test "something else in the place of lock, or of the socket" {
	mkdir -m 700 "$SC_DIR"
	ANY_FILES=1
	mkdir "$SC_DIR/lock"
	doctor 1
	finds "^problem: starts: $SC_DIR/lock: .* \(remove it, sc makes a new one\)$"
	rmdir "$SC_DIR/lock"
	echo precious >"$SC_DIR/sock"
	doctor 1
	finds "^problem: daemon: $SC_DIR/sock: something that is not a socket lies there \(remove it\)$"
	is_file "$SC_DIR/sock" 'precious\n'
}

@test "an index that was put aside is a warning as long as it is kept" {
	entry k x
	"$SC" daemon stop
	echo garbage >"$SC_DIR/index.db"
	entry k x
	[ -e "$SC_DIR/index.db.bad-1" ]
	doctor 0
	finds "^warning: index: $SC_DIR/index.db.bad-\*: 1 file, 8, of an index that was bad and was put aside: corrupt \(look"
	rm "$SC_DIR/index.db.bad-1"
	doctor 0
	all_ok
}

@test "an sc without its daemon is a problem" {
	mkdir "$T/alone"
	cp "$SC" "$T/alone/sc"
	SC=$T/alone/sc doctor 1
	finds '^problem: program: there is no scd beside sc, nor in ../libexec/sc \(install both\)$'
	rm -r "$T/alone"
}

@test "--json: one object a line, with the same status" {
	run -0 "$SC" doctor --json
	jq -e . <<<"$output" >/dev/null
	[ "$(jq -r .level <<<"$output" | sort -u)" = ok ]
	echo 'tll = 5m' >>"$HOME/.config/sc/config"
	run -1 "$SC" doctor --json
	[ "$(jq -c 'select(.level != "ok") | [.level, .check, .text, .mend, .file, .line]' <<<"$output")" = \
		"[\"problem\",\"config\",\"$HOME/.config/sc/config:2: there is no setting \\\"tll\\\"\",\"correct it, then sc daemon restart\",\"$HOME/.config/sc/config\",2]" ]
}

@test "what a path or a bad line is called does nothing to a terminal" {
	export SC_DIR=$T/$'c\e[31m'
	mkdir -m 700 "$SC_DIR"
	printf 't\e]0;x = 1\n' >"$SC_DIR/config"
	doctor 1
	LC_ALL=C run -1 grep -q $'\e' "$T/lines"
}

@test "usage, and a stdout that takes nothing" {
	run -2 --separate-stderr "$SC" doctor me
	run -2 --separate-stderr "$SC" doctor --jsn
	[[ $stderr == *"--json"* ]]
	run -125 bash -c '"$SC" doctor >/dev/full'
}
