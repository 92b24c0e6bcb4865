#!/bin/bash
# One power loss: the directory as the disk may have it (helpers/replay.c), a daemon of the next boot on it, and what callers get.
# Started by crash_states.bats, several at a time.
#
#   crash.bash DIR RECORD RIGHT STEPS BYTES NAMES SEED
#
# DIR is made and belongs to the round. What is replayed has the cache in `cache` and what it was given in `files`. RIGHT/KEY.* is what
# complete runs of a key print, stdout and stderr in one; a KEY that begins with `small` is of the bucket `small`. The scene has marked in
# the record what was promised at that step, until it marks `over KEY`:
#
#   sure KEY.N     the key is served, with the bytes of RIGHT/KEY.N
#   moved KEY.N    these bytes are in files/KEY, or the key is served
#
# Prints what is wrong and ends with 1; else with 0. DIR.hits is which keys were served, a line each; DIR.kept which promises were looked at.
set -eEu
bats_require_minimum_version() { :; }
bats_load_library() { :; }
# shellcheck source=tests/helper.bash
. "$(dirname "${BASH_SOURCE[0]}")/../helper.bash"

T=$1 record=$2 right=$3
shift 3
state=("$@")
export T SC_DIR=$T/disk/cache HOME=$T/home TMPDIR=$T PATH=$HELPERS:$PATH
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
	(cd "$T/disk" && find . -type f ! -path ./lock -printf '	%s %p\n')
	tail -n 30 "$SC_DIR/scd.log" "$T/daemon.err" | sed 's/^/	/'
	procs on "$T" >"$T/.left"
	sed 's|^|	still there: |' "$T/.left"
	while read -r n _; do kill -9 "$n"; done <"$T/.left" 2>/dev/null
	exit 1
}
SLACK=$((3 * SLACK))
trap 'fault "line $LINENO: $BASH_COMMAND"' ERR

boot() {
	replay "$record" "$T/disk" "${state[@]}"
	[ -d "$SC_DIR" ] || mkdir -m 700 "$SC_DIR" # the first steps are its making
	: >"$T/ready"
	SC_FAULT=boot bg daemon bash -c 'exec "$0" --ready-fd=9 "$1" 9>"$2"' "$SCD_TEST" "$SC_DIR" "$T/ready"
	wait_until '[ -s "$T/ready" ] || [ -e "$T/daemon.rc" ]'
	[ "$(cat "$T/ready")" = ready ] || fault "the daemon does not start: $(cat "$T/ready")"
}

declare -A sure=() moved=()
promised() {
	local what name key
	while read -r what name; do
		key=${name%.*}
		case $what in
		sure) sure[$key]=$right/$name ;;
		moved) moved[$key]=$right/$name ;;
		over) unset "sure[$key]" "moved[$key]" ;;
		*) fault "mark $what" ;;
		esac
	done < <(replay marks "$record" "${state[0]}")
}

# at KEY ARG…: `sc ARG… KEY`, in its bucket.
at() {
	local bucket=default
	if [[ $1 == small* ]]; then bucket=small; fi
	SC_BUCKET=$bucket timeout $((10 * SLACK)) "$SC" "${@:2}" "$1"
}

# A miss, or the bytes of some complete run of this key; but what was promised is there.
is_right() { # KEY
	local got=0 file
	at "$1" get >"$T/out" 2>"$T/err" || got=$?
	cat "$T/out" "$T/err" >"$T/both"
	if [ -n "${sure[$1]:-}${moved[$1]:-}" ]; then echo "$1" >>"$T.kept"; fi
	if [ $got = 1 ] && [ ! -s "$T/both" ]; then
		[ -z "${sure[$1]:-}" ] || fault "$1: was stored before a sync, and is not there"
		[ -z "${moved[$1]:-}" ] || cmp "${moved[$1]}" "$T/disk/files/$1" || fault "$1: neither FILE is there nor the entry"
		return 0
	fi
	[ $got = 0 ] || fault "$1: status $got: $(cat "$T/err")"
	echo "$1" >>"$T.hits"
	if [ -n "${sure[$1]:-}" ]; then
		cmp "${sure[$1]}" "$T/both" || fault "$1: not what was stored before a sync"
	fi
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
	for key in kept "${keys[@]}"; do at "$key" rm || fault "rm $key"; done
	[ -z "$("$SC" ls)$(SC_BUCKET=small "$SC" ls)" ] || fault "ls: $("$SC" ls)"
	[ -z "$("$SC" ps)" ] || fault "ps: $("$SC" ps)"
}

mapfile -t keys < <(cd "$right" && printf '%s\n' * | sed 's/\..*//' | sort -u)
promised
boot
for key in "${keys[@]}"; do is_right "$key"; done
# Whoever looks at all of it and mends it takes nothing away that was right.
timeout $((10 * SLACK)) "$SC" verify --repair >"$T/verify" 2>&1 || [ $? = 1 ] || fault "verify --repair: $(cat "$T/verify")"
for key in "${!sure[@]}"; do is_right "$key"; done
works
wait_until '[ "$(flights)" = 0 ]' || fault 'a flight is left'
timeout $((20 * SLACK)) "$SC" daemon stop --now >>"$T/.quiet" 2>&1 || fault "daemon stop: status $?"
wait_until '[ -z "$(procs on "$T")" ]' || fault 'processes are left'
# No index that had to be thrown away among them: what SQLite was promised, it got.
[ -z "$(strangers "$SC_DIR")" ] || fault "$(strangers "$SC_DIR")"
