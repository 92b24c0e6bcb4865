#!/bin/bash
# `make demo`: the main job on a real build step, as it happens. Three shells ask at the same time for one key whose command
# compiles this project into one archive on stdout; a fourth comes when a third of it is done. What is shown is what their own
# stdout and stderr have received by then. At the end: how often the command ran, whether all have the same bytes, and what a
# later call takes. Exits 1 if any of it is not as promised. Leaves nothing behind.
#
#   $SC  the sc to show · $B  where `make` builds
set -u
set -m # callers get groups of their own: an interrupt ends them by cleanup, in order
cd "$(dirname "$0")/.." || exit 2
: "${B:=build}" "${SC:=$PWD/$B/sc}"
unset SC_TTL SC_BUCKET SC_STRICT SC_DISABLE SC_FLIGHTS

SHELLS=4
ROWS=10 # of progress, at most
LC_ALL=C.UTF-8

T=$(mktemp -d) || exit 1
export SC_DIR=$T/cache COUNT=$T/runs
pids=()
# shellcheck disable=SC2317  # reached by the trap
cleanup() {
	local p
	trap '' INT TERM HUP
	for p in "${pids[@]}"; do kill -TERM -- "-$p"; done
	wait
	"$SC" daemon stop
	rm -rf "$T"
}
trap 'cleanup >/dev/null 2>&1' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[m'
fi

# ---- the command ----------------------------------------------------------------------------------------------------

# An archive is its magic and its members one after the other, so it can be printed while it is being made. Each object is
# announced on stderr when its bytes are out.
# shellcheck disable=SC2016  # for the shell that sc starts
build='
echo run >>"$COUNT"
cd "$1"; B=$2; W=$3; shift 3
printf "!<arch>\n"
for source; do
	object=$W/${source##*/}; object=${object%.c}.o
	gcc -std=gnu11 -O2 -g -D_GNU_SOURCE -DSC_BIN="\"sc\"" -DSC_BUILD="\"demo\"" -I. -I"$B" -c -o "$object" "$source" &&
	rm -f "$W/one.a" && ar rcSD "$W/one.a" "$object" && tail -c +9 "$W/one.a" || exit
	echo "${source##*/}" >&2
done'
sources=(lib/*.c daemon/*.c)
mkdir "$T/work"

ask() { # number
	"$SC" get -v --status-fd 3 archive -- sh -c "$build" build "$PWD" "$B" "$T/work" "${sources[@]}" 3>"$T/status$1"
}

# ---- callers and what they report -----------------------------------------------------------------------------------

mkfifo "$T/events"
exec 9<>"$T/events"
begin=$EPOCHREALTIME
since() { # in seconds: 1.23
	local us=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
	printf '%d.%02d' $((us / 1000000)) $((us % 1000000 / 10000))
}

# Whatever a caller gets on stderr becomes an event; its stdout is a file, as `sc get … >FILE` would have it.
start_caller() {
	{
		ask "$1" 2>&1 >"$T/$1.a"
		echo "exit $?"
	} | while IFS= read -r line; do echo "$1 $line"; done >&9 &
	pids+=("$!")
	cell[$1]='asks' has[$1]=0 asked[$1]=$EPOCHREALTIME
}

cell=('') has=('') asked=('') exit=('') took=('') role=('' '' '' '' '')
bytes() {
	local n
	n=$(stat -c %s "$T/$1.a")
	printf '%d.%d K' $((n / 1024)) $((n % 1024 * 10 / 1024))
}
show() {
	local i
	printf '%s%7s%s' "$dim" "$(since "$begin") s" "$plain"
	for ((i = 1; i <= SHELLS; i++)); do printf '  %-16s' "${cell[i]:-}"; done | sed 's/ *$//'
	echo
}
heading() {
	local i
	printf '%s%7s' "$bold" time
	for ((i = 1; i <= SHELLS; i++)); do printf '  %-16s' "shell $i"; done | sed 's/ *$//'
	echo "$plain"
}

# ---- the run, live --------------------------------------------------------------------------------------------------

echo "${bold}One key, $SHELLS shells, one run$plain"
echo
echo "each:  sc get archive -- sh -c '${#sources[@]} times: gcc -O2 -c …; print the object' >N.a"
echo
heading
for i in 1 2 3; do start_caller "$i"; done
show

step=$(((${#sources[@]} + ROWS - 1) / ROWS)) shown=0 told=0 ended=0
while [ "$ended" -lt "$SHELLS" ]; do
	IFS= read -r -t 60 line <&9 || {
		echo "demo: nothing has happened for a minute" >&2
		exit 1
	}
	i=${line%% *} line=${line#* }
	case $line in
	*': running the command') role[i]=leads ;;
	*': following a run that is going on') role[i]=follows ;;
	'exit '*)
		exit[i]=${line#exit } took[i]=$(since "${asked[i]}")
		ended=$((ended + 1))
		[ "$ended" -lt "$SHELLS" ] || show
		continue
		;;
	*.c)
		has[i]=$((has[i] + 1))
		cell[i]=$(printf '%2d/%d %8s' "${has[i]}" "${#sources[@]}" "$(bytes "$i")")
		;;
	*) echo "shell $i: $line" ;;
	esac
	if [ -n "${role[i]}" ] && [ "${cell[i]}" = asks ]; then
		cell[i]=${role[i]}
		told=$((told + 1))
		[ "$told" -lt 3 ] || show # the first three have been told, or the late one
	fi
	# A row when the last of those who have begun has received another few objects.
	least=${#sources[@]}
	for ((n = 1; n < ${#has[@]}; n++)); do [ "${has[n]}" -ge "$least" ] || least=${has[n]}; done
	if [ "$least" -ge $((shown + step)) ]; then
		shown=$((least - least % step))
		show
		if [ "${#has[@]}" -le "$SHELLS" ] && [ "$least" -ge $((${#sources[@]} / 3)) ]; then
			start_caller "$SHELLS"
		fi
	fi
done
wait
pids=()

# ---- what came of it ------------------------------------------------------------------------------------------------

bad=0
wrong() {
	echo "NOT AS PROMISED: $*"
	bad=1
}
source_of() { # number: what its --status-fd line says
	sed -n 's/.*"source":"\([a-z]*\)".*/\1/p' "$T/status$1"
}

echo
for ((i = 1; i <= SHELLS; i++)); do
	sum=$(sha256sum <"$T/$i.a")
	printf '%7s  %-8s exit %d  %8d bytes  sha256 %.16s…  %s s\n' "shell $i" "$(source_of "$i")" "${exit[i]}" \
		"$(stat -c %s "$T/$i.a")" "$sum" "${took[i]}"
	[ "${exit[i]}" = 0 ] || wrong "shell $i: exit status ${exit[i]}"
	cmp -s "$T/1.a" "$T/$i.a" || wrong "shell $i has other bytes than shell 1"
done
echo

leaders=$(for ((i = 1; i <= SHELLS; i++)); do source_of "$i"; done | grep -c '^run$')
[ "$leaders" = 1 ] || wrong "$leaders callers say that theirs was the run"
runs=$(wc -l <"$COUNT")
[ "$runs" = 1 ] || wrong "the command ran $runs times"
members=$(ar t "$T/1.a" | wc -l)
[ "$members" = "${#sources[@]}" ] || wrong "the archive has $members members"
if [ "$bad" = 0 ]; then
	printf '%-14s %s\n' 'runs counted:' "$runs (each appends a line to a file)" \
		'outputs:' "$SHELLS, all identical; ar finds $members objects in it"
fi

begin=$EPOCHREALTIME
"$SC" get --status-fd 3 archive >"$T/later.a" 2>"$T/later.err" 3>"$T/status-later"
later=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
[ "$(source_of -later)" = hit ] || wrong 'the later call is no hit'
cmp -s "$T/1.a" "$T/later.a" || wrong 'the later call has other bytes'
if [ "$bad" = 0 ]; then
	awk -v run="${took[1]}" -v us="$later" 'BEGIN {
		printf "%-14s hit in %.1f ms, same bytes: %d times as fast as the run\n", "asked later:", us / 1e3, run * 1e6 / us
	}'
fi
exit "$bad"
