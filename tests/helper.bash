# What every test of sc stands on. Each test gets a cache directory of its own, may start what it likes through `bg`, steps the
# cached command (`gate`) through `step`, waits for conditions and never for time, and is failed by teardown if it leaves a
# process, a flight or a file that does not belong in a cache.
#
# A test's loops do not count in $i: `run` of bats 1.8 does.
#
#   $SC  the sc under test · $HELPERS  where the programs of tests/helpers are · $T  this test's directory · $G  its gate
# shellcheck shell=bash

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${SC:=$ROOT/build/sc}" "${HELPERS:=$ROOT/build/helpers}"
: "${SC_TEST:=$(dirname "$SC")/test/$(basename "$SC")}"
export SC HELPERS SC_TEST

# Programs under a sanitizer are slower and larger; bounds on time and memory are multiplied by this.
SLACK=1
if [ "${SAN:-0}" = 1 ]; then SLACK=8; fi
export SLACK

setup() {
	unset SC_TTL SC_BUCKET SC_STRICT SC_DISABLE SC_FLIGHTS SC_KILLAT SC_FAULT MAKEFLAGS MFLAGS MAKELEVEL
	unset "${!XDG_@}"
	PATH=$HELPERS:$PATH
	umask 022
	T=$BATS_TEST_TMPDIR
	G=$T/gate
	export T G HOME=$T/home SC_DIR=$T/cache TMPDIR=$T
	mkdir -p "$HOME" "$G"
	: >"$T/.quiet" # what bash says about ended jobs
	if [ "${SC_TEST_MODE:-clear}" = sealed ]; then seal_everything; fi
	if declare -F prepare >/dev/null; then prepare; fi
}

# Of files with a line "# run: sealed too", the second time: whatever has no config of its own.
seal_everything() {
	mkdir -p "$HOME/.config/sc"
	(umask 077 && printf '%064d\n' 42 >"$HOME/master-key")
	printf '%s\n' 'encrypt = on' "key-file = $HOME/master-key" >"$HOME/.config/sc/config"
}

# The runner's own alarm for a test that hangs is no process of the test.
left_over() {
	local line
	while read -r line; do
		[[ -z $line || $line =~ ^[0-9]+\ sleep\ ${BATS_TEST_TIMEOUT:-never}$ ]] || echo "$line"
	done <<<"$(procs on "$T")"
}

stop_daemon() {
	[ -n "$(daemon_pids)" ] || return 0
	timeout 20 "$SC" daemon stop --now >"$T/.stop" 2>&1 </dev/null || { echo "daemon stop --now: status $?" && cat "$T/.stop" && return 1; }
}

teardown() {
	local left bad=0
	if declare -F cleanup >/dev/null; then cleanup || bad=1; fi
	stop_daemon || bad=1
	# The writer of a run that ends just now may have started the next one, to tell it.
	if ! wait_until '[ -z "$(left_over)" ] || { [[ $(left_over) != *scd* ]] || stop_daemon && false; }' 10; then
		echo "processes left:"
		left_over
		bad=1
	fi >&2
	if [ $bad = 1 ]; then procs end "$T" >/dev/null; fi
	if [ -d "$SC_DIR" ] && [ -z "${ANY_FILES:-}" ]; then
		left=$(strangers "$SC_DIR")
		if [ -n "$left" ]; then
			echo "files that do not belong in a cache at rest:"
			echo "$left"
			bad=1
		fi >&2
	fi
	if [ -n "${BATS_ERROR_STATUS:-}" ] && [ "${BATS_ERROR_STATUS:-0}" != 0 ] && [ -f "$SC_DIR/scd.log" ]; then
		echo "--- the end of scd.log"
		tail -n 20 "$SC_DIR/scd.log"
	fi >&2
	chmod -R u+rwx "$T" 2>/dev/null || true
	return $bad
}

# Names below a cache directory that a cache at rest does not have: temporaries, flights, anything unknown.
strangers() {
	(cd "$1" && find . -mindepth 1 | grep -Ev \
		-e '^\./(lock|sock|config|hashes|scd\.log(\.1)?|index\.db(-wal|-shm)?|objects|flights)$' \
		-e '^\./objects/[0-9a-f]{2}$' -e '^\./objects/([0-9a-f]{2})/\1[0-9a-f]{30}\.(out|err)$')
	return 0
}

# wait_until CONDITION [SECONDS]: looks every 20 ms, for 20 s.
wait_until() {
	local condition=$1 end=$((${EPOCHREALTIME/./} + ${2:-20} * 1000000 * SLACK))
	until eval "$condition"; do
		if ((${EPOCHREALTIME/./} > end)); then
			echo "waited in vain for: $condition" >&2
			return 1
		fi
		sleep 0.02
	done
}

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# ---- the cached command ----------------------------------------------------------------------------------------------

# step GATE[:NAME] LINE…: has the gate in directory GATE do one thing, and waits until it is done.
step() {
	local name=gate acks dir=$1 before fd
	shift
	case $dir in *:*) name=${dir##*:} dir=${dir%:*} ;; esac
	acks=$dir/acks
	if [ "$name" != gate ]; then acks=$dir/$name.acks; fi
	[ -p "$dir/$name" ] || mkfifo "$dir/$name" 2>/dev/null || [ -p "$dir/$name" ]
	before=$(lines_in "$acks")
	exec {fd}<>"$dir/$name"
	printf '%s\n' "$*" >&"$fd"
	wait_until '[ "$(lines_in "$acks")" -gt "$before" ]' || { exec {fd}>&-; return 1; }
	exec {fd}>&-
}

# The same without waiting, for steps that block until somebody reads. The gate must be up.
step_nowait() {
	local dir=$1
	shift
	printf '%s\n' "$*" >"$dir/gate"
}

lines_in() { if [ -e "$1" ]; then wc -l <"$1"; else echo 0; fi; }

# How often the command of this gate was started, and the pid of its nth run (the last).
runs() { lines_in "${1:-$G}/runs"; }
gate_pid() { sed -n "${2:-\$}p" "${1:-$G}/runs"; }
gate_up() { wait_until "[ \$(runs '${1:-$G}') -ge ${2:-1} ]"; }
new_gate() { mkdir -p "$T/$1" && echo "$T/$1"; }

# ---- what runs beside the test ---------------------------------------------------------------------------------------

# bg NAME CMD…: in the background; stdout to $T/NAME.out, stderr to $T/NAME.err, its pid in $T/NAME.pid, at its end the exit
# status in $T/NAME.rc.
bg() {
	local name=$1
	shift
	rm -f "$T/$name".{rc,pid,out,err,pipe} # nothing of an earlier job of that name is taken for this one
	(
		"$@" >"$T/$name.out" 2>"$T/$name.err" &
		echo $! >"$T/$name.pid"
		local status=0
		wait $! || status=$?
		echo $status >"$T/$name.rc.new"
		mv "$T/$name.rc.new" "$T/$name.rc"
	) >>"$T/.quiet" 2>&1 3>&- &
	wait_until "[ -s '$T/$name.pid' ]"
}

# The same for a line of shell; pipe_status NAME is its PIPESTATUS, joined by spaces.
bg_sh() {
	local name=$1 script=$2
	bg "$name" bash -c "$script"$'\n''echo "${PIPESTATUS[*]}" >"$0.pipe"' "$T/$name"
}

pid_of() { cat "$T/$1.pid"; }
is_running() { [ ! -e "$T/$1.rc" ]; }

# The PIPESTATUS of such a job, which ends.
pipe_status() { rc "$1" >/dev/null && cat "$T/$1.pipe"; }

# Waits for the end of a job and prints its status.
rc() {
	wait_until "[ -e '$T/$1.rc' ]" "${2:-20}" || { echo "still running"; return 1; }
	cat "$T/$1.rc"
}

# assert_rc STATUS NAME…: each has ended or now ends with that status.
assert_rc() {
	local want=$1 name got
	shift
	for name in "$@"; do
		got=$(rc "$name") || true
		if [ "$got" != "$want" ]; then
			echo "$name: status $got, expected $want"
			head -c 2000 "$T/$name.err"
			return 1
		fi >&2
	done
}

# shows NAME TEXT: what the job has printed so far is exactly TEXT (printf %b), within the bound.
shows() {
	printf '%b' "$2" >"$T/.want"
	wait_until "cmp -s '$T/$1.out' '$T/.want'" || { diff -u "$T/.want" "$T/$1.out" >&2; return 1; }
}

is_file() { # is_file FILE TEXT: exactly
	printf '%b' "$2" | cmp - "$1" >&2 || { head -c 2000 "$1" >&2; return 1; }
}

is_empty() {
	if [ -s "$1" ]; then
		echo "not empty: $1" && head -c 2000 "$1"
		return 1
	fi >&2
}

# is_flood FILE SIZE: exactly so many bytes of the pattern.
is_flood() { flood "$2" | cmp - "$1" >&2; }

# One line of sc's own, and nothing else, that matches an extended regular expression.
is_message() { # FILE REGEX
	if [ "$(lines_in "$1")" != 1 ] || ! grep -qE '^sc: ' "$1" || ! grep -qiE -- "$2" "$1"; then
		echo "not one line of the kind 'sc: …' that matches /$2/:" && cat "$1"
		return 1
	fi >&2
}

gone() { ! kill -0 "$1" 2>/dev/null; } # a pid; what is dead but not yet waited for counts as there

dead() { # a pid that no longer runs
	local state
	state=$(sed -e 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
	case $state in Z* | X* | '') return 0 ;; *) return 1 ;; esac
}

# ---- the daemon and its directory ------------------------------------------------------------------------------------

daemon_pids() { procs daemon "${1:-$SC_DIR}"; }
daemon_pid() { daemon_pids | head -n 1; }
no_daemon() { [ -z "$(daemon_pids)" ]; }
start_daemon() { "$SC" daemon start 3>&- && [ -n "$(daemon_pid)" ]; }

kill_daemon() { # as the kernel would, with no chance to tidy up
	local pid
	pid=$(daemon_pid)
	[ -n "$pid" ]
	kill -9 "$pid"
	wait_until "dead $pid"
}

# Longer than a run without a daemon needs to notice that nobody reads it: another one is noticed.
lonely_for_long() {
	local g dir=$SC_DIR
	g=$(new_gate glonely)
	export SC_DIR=$T/clock
	bg_sh clock '"$SC" get k -- gate "$T/glonely" | head -n 1'
	gate_up "$g"
	kill_daemon
	step "$g" out x
	[ "$(pipe_status clock)" = '141 0' ]
	wait_until 'dead "$(gate_pid "$g")"' 30
	wait_until '[ "$(flights)" = 0 ]'
	"$SC" daemon stop --now
	export SC_DIR=$dir
}

# Where the test must look into a process (/proc/PID/fd, environ) or use a kill point: the build that permits it.
use_test_build() {
	[ -x "$SC_TEST" ] || { echo "no test build at $SC_TEST" >&2; return 1; }
	SC=$SC_TEST
}

# The process that runs the command whose pid is given: the writer.
parent_of() { awk '/^PPid/ { print $2 }' "/proc/$1/status"; }

readers() { wait_until "\"\$SC\" ps | grep -q '  $1 reader'"; } # so many read a run
objects() { find "$SC_DIR/objects" -type f 2>/dev/null | wc -l; }
flights() { find "$SC_DIR/flights" -type f 2>/dev/null | wc -l; }
nothing_kept() { [ "$(objects)" = 0 ] && [ "$(flights)" = 0 ] && [ -z "$("$SC" ls 2>&1)" ]; }

# The number of descriptors of a process, and its memory in KiB (VmRSS, VmHWM).
fd_count() { find "/proc/$1/fd" -mindepth 1 -maxdepth 1 | wc -l; }
memory() { awk -v what="${2:-VmRSS}:" '$1 == what { print $2 }' "/proc/$1/status"; }

# Puts a finished entry there.
entry() { "$SC" get "$1" -- printf '%b' "$2" >/dev/null 3>&-; }

# field NAME FILE: of a --status-fd line.
field() { jq -r ".$1" "$2"; }
