#!/bin/bash
# One power loss: the directory as the disk may have it (helpers/replay.c), a daemon of the next boot on it, and what callers get.
# Started by crash_states.bats, several at a time.
#
#   crash.bash DIR RECORD RIGHT STEPS BYTES NAMES SEED
#
# DIR is made and belongs to the round. RIGHT/KEY.* is what complete runs of a key print, stdout and stderr in one. Prints what is
# wrong and ends with 1; else with 0. DIR.hits is how many keys were served.
set -eEu
bats_require_minimum_version() { :; }
bats_load_library() { :; }
# shellcheck source=tests/helper.bash
. "$(dirname "${BASH_SOURCE[0]}")/../helper.bash"

T=$1 record=$2 right=$3
shift 3
state=("$@")
export T SC_DIR=$T/cache HOME=$T/home TMPDIR=$T PATH=$HELPERS:$PATH
: "${SCD_TEST:?}"
unset SC_KILLAT SC_STOPAT SC_FLIGHTS SC_TTL SC_STRICT SC_DISABLE SC_FAULT
SC=$SC_TEST
umask 022
mkdir -p "$T" "$HOME"
: >"$T/.quiet"

fault() {
	trap - ERR
	set +e
	echo "steps, bytes, names, seed: ${state[*]}: $*"
	(cd "$SC_DIR" && find . -type f ! -path ./lock -printf '	%s %p\n')
	tail -n 30 "$SC_DIR/scd.log" "$T/daemon.err" | sed 's/^/	/'
	procs on "$T" >"$T/.left"
	sed 's|^|	still there: |' "$T/.left"
	while read -r n _; do kill -9 "$n"; done <"$T/.left" 2>/dev/null
	exit 1
}
SLACK=$((3 * SLACK))
trap 'fault "line $LINENO: $BASH_COMMAND"' ERR

boot() {
	replay "$record" "$SC_DIR" "${state[@]}"
	: >"$T/ready"
	SC_FAULT=boot bg daemon bash -c 'exec "$0" --ready-fd=9 "$1" 9>"$2"' "$SCD_TEST" "$SC_DIR" "$T/ready"
	wait_until '[ -s "$T/ready" ] || [ -e "$T/daemon.rc" ]'
	[ "$(cat "$T/ready")" = ready ] || fault "the daemon does not start: $(cat "$T/ready")"
}

# A miss, or the bytes of some complete run of this key.
is_right() { # KEY
	local got=0 file
	timeout $((10 * SLACK)) "$SC" get "$1" >"$T/out" 2>"$T/err" || got=$?
	cat "$T/out" "$T/err" >"$T/both"
	if [ $got = 1 ] && [ ! -s "$T/both" ]; then return; fi
	[ $got = 0 ] || fault "$1: status $got: $(cat "$T/err")"
	echo "$1" >>"$T.hits"
	for file in "$right/$1".*; do
		if cmp -s "$file" "$T/both"; then return; fi
	done
	fault "$1: served, but not the bytes of a run of it"
}

works() {
	local key
	timeout $((10 * SLACK)) "$SC" get -r kept -- printf anew >"$T/out" 2>&1
	[ "$(cat "$T/out")" = anew ] || fault "a new run: $(cat "$T/out")"
	[ "$(timeout $((10 * SLACK)) "$SC" get kept 2>&1)" = anew ] || fault "what the new run has made is not served"
	for key in "${keys[@]}"; do timeout $((10 * SLACK)) "$SC" rm "$key" || fault "rm $key"; done
	[ -z "$("$SC" ls)" ] || fault "ls: $("$SC" ls)"
	[ -z "$("$SC" ps)" ] || fault "ps: $("$SC" ps)"
}

mapfile -t keys < <(cd "$right" && printf '%s\n' * | sed 's/\..*//' | sort -u)
boot
for key in "${keys[@]}"; do is_right "$key"; done
works
wait_until '[ "$(flights)" = 0 ]' || fault 'a flight is left'
timeout $((20 * SLACK)) "$SC" daemon stop --now >>"$T/.quiet" 2>&1 || fault "daemon stop: status $?"
wait_until '[ -z "$(procs on "$T")" ]' || fault 'processes are left'
# No index that had to be thrown away among them: what SQLite was promised, it got.
[ -z "$(strangers "$SC_DIR")" ] || fault "$(strangers "$SC_DIR")"
