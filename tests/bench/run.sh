#!/bin/bash
# `make bench`: how fast, as ratios to the plain tool in the same run, beside what was promised. Prints one row a measurement:
# medians of both sides, ratio, goal. With words as arguments (make bench ONLY="hit miss") only those rows; `scale` (make bench SCALE=1)
# only so. Every row has a cache of its own on the same file system as the file it is compared with; nothing is left behind. Exits 0 also
# when a goal is missed: times are looked at by people, never by tests.
#
#   $SC  the sc under test · $SCD_TEST  a daemon whose disk can be held · $BENCH  where the programs of this directory are
#   TMPDIR  where to work, else $BENCH
set -u
set -m # children get groups of their own: an interrupt ends them by cleanup, in order

ROWS='hit memory stuck pipe copy miss capture window followers delay takeover callers idle eviction'
ROWS+=' sealed_capture sealed_hit sealed_hot sealed_delay'
: "${SC:?}" "${SCD_TEST:?}" "${BENCH:?}"
unset SC_TTL SC_BUCKET SC_STRICT SC_DISABLE SC_FLIGHTS
PATH=$BENCH:$PATH

die() {
	echo "bench: $*" >&2
	exit 99
}

want=${*:-$ROWS}
for row in $want; do
	[[ " $ROWS scale " == *" $row "* ]] || die "no such row: $row ($ROWS)"
done

T=$(mktemp -d "${TMPDIR:-$BENCH}/tmp.XXXXXX") || exit 99
job=
daemon_pid() {
	"$SC" daemon status | sed -n 's/^running, pid \([0-9]*\),.*/\1/p'
}
cleanup() {
	trap '' INT TERM HUP
	if [ -n "$job" ] && kill -TERM -- "-$job" 2>/dev/null; then wait "$job"; fi
	close_cache
	rm -rf "$T"
}
trap 'cleanup 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# A cache of its own for each row, with its daemon up, so that no row pays for another's leftovers.
open_cache() {
	export SC_DIR=$T/cache
	mkdir "$SC_DIR" || exit 99
	"$SC" daemon start || die 'the daemon does not start'
}
close_cache() {
	[ -d "$T/cache" ] || return 0
	# Runs that were interrupted end first, else their writers would look for a daemon in a directory that is gone.
	SC_DIR=$T/cache "$SC" daemon stop
	rm -rf "$T/cache"
}

# get VARIABLE… -- CMD…: the numbers that CMD prints. In the background, so that an interrupt need not wait for its end.
get() {
	local names=()
	while [ "$1" != -- ]; do
		names+=("$1")
		shift
	done
	shift
	"$@" >"$T/numbers" &
	job=$!
	wait "$job" || die "failed: $*"
	job=
	# shellcheck disable=SC2229  # the names in it
	read -r "${names[@]}" <"$T/numbers"
}

middle() { # of numbers
	printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"
}

# ---- what is printed ------------------------------------------------------------------------------------------------

calc() { # expression [format]
	awk "BEGIN { printf \"${2:-%.2f}\", $1 }"
}
time_of() { # nanoseconds
	awk -v ns="$1" 'BEGIN {
		if (ns < 1e6) printf "%.0f µs", ns / 1e3
		else if (ns < 1e8) printf "%.2f ms", ns / 1e6
		else printf "%.2f s", ns / 1e9
	}'
}
rate_of() { # bytes nanoseconds
	awk -v b="$1" -v ns="$2" 'BEGIN { printf "%.2f GiB/s", b / ns * 1e9 / 2 ^ 30 }'
}
pad() { # width text: printf counts bytes
	printf '%s%*s' "$2" "$(($1 - ${#2} > 0 ? $1 - ${#2} : 0))" ''
}
# print_row WHAT OURS THEIRS RATIO [RELATION GOAL UNIT]
print_row() {
	local verdict='' goal=''
	if [ $# -gt 4 ]; then
		case $5 in
		'<=') goal="≤ $6$7" ;;
		'>=') goal="≥ $6$7" ;;
		esac
		verdict=$(awk "BEGIN { print ($4 $5 $6) ? \"met\" : \"missed\" }")
	fi
	printf '%s %s %s %s %s %s\n' "$(pad 31 "$1")" "$(pad 12 "$2")" "$(pad 32 "$3")" "$(pad 9 "$4${7:-×}")" "$(pad 9 "$goal")" "$verdict"
}
note() {
	echo "  $*"
}

# ---- the rows -------------------------------------------------------------------------------------------------------

GIB=$((1 << 30))

row_hit() {
	local a b
	stream 100 >"$T/file"
	"$SC" get key -- stream 100 >/dev/null
	get a b -- race -n 600 -w 20 -p "$SC" get --strict key ::: cat "$T/file"
	print_row 'hit, 100 bytes' "$(time_of "$a")" "cat FILE: $(time_of "$b")" "$(calc "$a/$b")" '<=' 0.80 ×
}

# What the memory tier is worth: beside a cache with `memory = 0` whose files are in the page cache, and beside one whose files are not. Then a
# mix of 300 keys of up to 256 KiB, 38 MiB in all, that fit and that do not.
row_memory() {
	local a b a99 b99 size dir budget key
	for dir in disk some all; do mkdir -m 700 "$T/$dir"; done
	echo 'memory = 0' >"$T/disk/config"
	echo 'memory = 8M' >"$T/some/config"
	for size in 100 1M; do
		for dir in "$SC_DIR" "$T/disk"; do
			stream $size | SC_DIR=$dir "$SC" put "key$size"
			for _ in 1 2; do SC_DIR=$dir "$SC" get "key$size" >/dev/null; done
		done
		# env costs a start of its own: on the other side, too.
		get a b -- race -n 600 -w 20 -p env "SC_DIR=$SC_DIR" "$SC" get --strict "key$size" ::: env "SC_DIR=$T/disk" "$SC" get --strict "key$size"
		print_row "hit in memory, $size" "$(time_of "$a")" "page cache: $(time_of "$b")" "$(calc "$a/$b")"
	done
	SC_DIR=$T/disk "$SC" sync
	get a b -- race -n 100 -p -b "find '$T/disk/objects' -name '*.out' | xargs -I@ dd if=/dev/null of=@ oflag=nocache conv=notrunc,fdatasync count=0 status=none" \
		env "SC_DIR=$SC_DIR" "$SC" get --strict key1M ::: env "SC_DIR=$T/disk" "$SC" get --strict key1M
	print_row '  file not in the page cache' "$(time_of "$a")" "disk: $(time_of "$b")" "$(calc "$a/$b")"
	for ((key = 0; key < 300; key++)); do
		for dir in "$T/disk" "$T/some" "$T/all"; do
			stream $(((key * 7919 % 256 + 1) * 1024)) | SC_DIR=$dir "$SC" put "k$key"
		done
	done
	for budget in all some; do
		get a b a99 b99 -- mix 1 300 6000 "$SC" "$T/$budget" "$T/disk"
		print_row "Zipf, ${budget} of it fits" "$(time_of "$a")" "memory = 0: $(time_of "$b")" "$(calc "$a/$b")"
		print_row '  99 % within' "$(time_of "$a99")" "memory = 0: $(time_of "$b99")" "$(calc "$a99/$b99")"
		note "$(SC_DIR=$T/$budget "$SC" stats | awk 'NR == 1, /^bucket/ { if ($1 ~ /^(hits|memory_hits|loads|memory_entries|memory_bytes)$/) printf "%s %s, ", $1, $2 }')"
	done
	for dir in disk some all; do SC_DIR=$T/$dir "$SC" daemon stop; done
}

# A hit while the daemon's disk does not answer a commit, and while it does.
row_stuck() {
	local a b dir other
	for dir in "$T/stuck" "$T/idle"; do
		mkdir -m 700 "$dir"
		SC_STUCK=transaction:$T/stuck/disk "$SCD_TEST" "$dir" >"$dir.log" 2>&1 &
		until SC_DIR=$dir "$SC" daemon status >/dev/null 2>&1; do sleep 0.05; done
		SC_DIR=$dir "$SC" get key -- stream 100 >/dev/null
	done
	: >"$T/stuck/disk"
	SC_DIR=$T/stuck "$SC" get other -- true &
	other=$!
	until [ -s "$T/stuck/disk" ]; do sleep 0.05; done
	get a b -- race -n 600 -w 20 -p env "SC_DIR=$T/stuck" "$SC" get --strict key ::: env "SC_DIR=$T/idle" "$SC" get --strict key
	rm "$T/stuck/disk"
	wait "$other"
	for dir in "$T/stuck" "$T/idle"; do SC_DIR=$dir "$SC" daemon stop; done
	wait
	print_row '  while a commit is stuck' "$(time_of "$a")" "an idle disk: $(time_of "$b")" "$(calc "$a/$b")" '<=' 1.2 ×
}

row_pipe() {
	local a b
	stream 1G >"$T/file"
	"$SC" get key -- stream 1G >/dev/null
	get a b -- race -n 11 -p "$SC" get --strict key ::: cat "$T/file"
	print_row 'hit, 1 GiB into a pipe' "$(rate_of $GIB "$a")" "cat FILE |: $(rate_of $GIB "$b")" "$(calc "$b/$a")" '>=' 2.5 ×
}

row_copy() {
	local a b
	stream 1G >"$T/file"
	"$SC" get key -- stream 1G >/dev/null
	# Each into a new file, which is gone before the next; what a disk does later is nobody's time.
	get a b -- race -n 11 -2 -a "rm '$T/copy'" -b "rm '$T/copy'" \
		"$SC" get --strict -o "$T/copy" key ::: cp "$T/file" "$T/copy"
	print_row 'hit, 1 GiB by -o' "$(rate_of $GIB "$a")" "cp: $(rate_of $GIB "$b")" "$(calc "$b/$a")" '>=' 1.0 ×
}

row_miss() {
	local a b
	get a b -- race -n 300 -w 20 "$SC" get 'key{}' -- true ::: true
	print_row 'miss of true' "$(time_of "$a")" "true: $(time_of "$b")" "$(calc "($a-$b)/1e6" %+.2f)" '<=' 1.5 ' ms'
	# A miss makes three files. An ext4 without a journal is slow at it after many removals, which is not ours to mend.
	get a b -- race -n 200 stream -c "$T/new{}" 0 ::: stream 0
	note "of which making three files here: $(calc "3*($a-$b)/1e6") ms"
}

row_capture() {
	local a b
	get a b -- race -n 5 -w 0 -2 -a "$SC rm key{}" -b "rm '$T/file'" \
		"$SC" get 'key{}' -- stream 2G ::: sh -c "stream 2G | tee '$T/file' >/dev/null"
	print_row 'capture, 2 GiB' "$(rate_of $((2 * GIB)) "$a")" "cmd | tee FILE: $(rate_of $((2 * GIB)) "$b")" \
		"$(calc "$b/$a")" '>=' 1.5 ×
}

# A command whose only reader takes what it can, held to the reader's pace, and not.
row_window() {
	local a b
	mkdir -m 700 "$T/none"
	echo 'window = none' >"$T/none/config"
	get a b -- race -n 7 -w 1 -2 -p -a "$SC rm key{}" -b "env SC_DIR=$T/none $SC rm key{}" \
		"$SC" get 'key{}' -- stream 1G ::: env "SC_DIR=$T/none" "$SC" get 'key{}' -- stream 1G
	SC_DIR=$T/none "$SC" daemon stop
	print_row '1 GiB with a window' "$(rate_of $GIB "$a")" "without: $(rate_of $GIB "$b")" "$(calc "$b/$a")"
}

# some_followers N null|pipe RUNS: the median in $took. The first run does not count: it warms memory (see race -2).
some_followers() {
	local i all=()
	for ((i = 0; i <= $3; i++)); do
		get took -- followers "$1" "$2" "$T/go" "$SC" get "key$i" -- stream -r -g "$T/go" 1G
		[ "$i" = 0 ] || all+=("$took")
		"$SC" rm "key$i"
	done
	took=$(middle "${all[@]}")
}
row_followers() {
	local took one=0 null=0 n
	mkfifo "$T/go"
	for n in 1 16 64; do
		some_followers "$n" null 5
		if [ "$n" = 1 ]; then
			one=$took
			print_row '1 follower of 1 GiB, /dev/null' "$(time_of "$took")" '' 1.00
		else
			print_row "$n followers, /dev/null" "$(time_of "$took")" "1 follower: $(time_of "$one")" "$(calc "$took/$one")" '<=' 1.6 ×
		fi
	done
	null=$one
	for n in 1 16 64; do
		some_followers "$n" pipe $((n == 64 ? 1 : 3))
		if [ "$n" = 1 ]; then
			one=$took
			print_row '1 follower into a pipe' "$(time_of "$took")" "1 to /dev/null: $(time_of "$null")" "$(calc "$took/$null")"
		else
			print_row "$n followers into pipes" "$(time_of "$took")" "1 into a pipe: $(time_of "$one")" "$(calc "$took/$one")"
		fi
	done
}

# The same reader and the same command on both sides; only what lies between them differs.
follow_lines() { # KEY OTHERS [OPTION OF THE RUN…]
	local status
	"$SC" get "${@:3}" "$1" -- lines say "$T/go" 500 2000 >/dev/null &
	for ((i = 0; i < $2; i++)); do "$SC" get -q -w 10 "$1" >/dev/null & done
	"$SC" get -q -w 10 "$1" | lines hear "$T/go"
	status=$?
	[ "$status" = 0 ] || kill "$!"
	wait
	return "$status"
}
tee_lines() {
	lines say "$T/go" 500 2000 | tee "$T/file" | lines hear "$T/go"
}
row_delay() {
	local i a b p p99
	local -a ours ours99 theirs theirs99
	mkfifo "$T/go"
	for i in {1..5}; do
		get p p99 -- follow_lines "key$i" 0
		ours+=("$p") ours99+=("$p99")
		get p p99 -- tee_lines
		theirs+=("$p") theirs99+=("$p99")
	done
	a=$(middle "${ours[@]}") b=$(middle "${theirs[@]}")
	print_row 'a line to a follower, median' "$(time_of "$a")" "cmd | tee FILE | reader: $(time_of "$b")" "$(calc "$a/$b")" '<=' 2 ×
	a=$(middle "${ours99[@]}") b=$(middle "${theirs99[@]}")
	print_row '  99th percentile' "$(time_of "$a")" "cmd | tee FILE | reader: $(time_of "$b")" "$(calc "$a/$b")"
	ours=() ours99=()
	for i in {1..3}; do
		get p p99 -- follow_lines "many$i" 63
		ours+=("$p") ours99+=("$p99")
	done
	a=$(middle "${ours[@]}") b=$(middle "${theirs[@]}")
	print_row '  to one of 64, median' "$(time_of "$a")" "cmd | tee FILE | reader: $(time_of "$b")" "$(calc "$a/$b")"
	a=$(middle "${ours99[@]}") b=$(middle "${theirs99[@]}")
	print_row '  99th percentile' "$(time_of "$a")" "cmd | tee FILE | reader: $(time_of "$b")" "$(calc "$a/$b")"
}

row_takeover() {
	local a b
	mkdir "$T/marks"
	get a b -- takeover 40 "$T/marks" "$SC"
	print_row "a dead writer's second run" "$(time_of "$a")" "a miss to its first byte: $(time_of "$b")" "$(calc "$a/$b")"
}

row_callers() {
	local a b n i all_a=() all_b=() quick=()
	mkfifo "$T/go"
	stream 4096 >"$T/file"
	for i in 1 2 3; do
		# Held until the last has been started: nobody finds it finished.
		get n -- callers -g "$T/go" 1000 "$T/file" "$SC" get "held$i" -- stream -c "$T/runs" -g "$T/go" 4096
		all_a+=("$n")
		get n -- callers 1000 "$T/file" cat "$T/file"
		all_b+=("$n")
		get n -- callers 1000 "$T/file" "$SC" get "quick$i" -- stream -c "$T/quick-runs" 4096
		quick+=("$n")
	done
	a=$(middle "${all_a[@]}") b=$(middle "${all_b[@]}") n=$(middle "${quick[@]}")
	print_row '1000 cold callers, all follow' "$(time_of "$a")" "1000 × cat: $(time_of "$b")" "$(calc "$a/$b")" '<=' 2 ×
	print_row '  and of a command of no time' "$(time_of "$n")" "1000 × cat: $(time_of "$b")" "$(calc "$n/$b")" '<=' 2 ×
	note "runs counted in 3 rounds of each: $(wc -l <"$T/runs") and $(wc -l <"$T/quick-runs") (one a round is the promise)"
}

# Prints the processor time of a leader, its writer, 64 followers and the daemon in 6 s in which nothing happens.
idle_followers() {
	local i line writer pids=()
	exec 8<>"$T/ready" 9<>"$T/go"
	for i in {0..64}; do
		"$SC" get key -- stream -r -g "$T/go" 100 >/dev/null 2>"$T/ready" &
		pids+=("$!")
		read -r line <&8
		[ "$line" = ready ] || die "not ready but: $line"
	done
	read -r writer <"/proc/${pids[0]}/task/${pids[0]}/children"
	idle 6 "$(daemon_pid)" "${pids[@]}" "$writer"
	echo >&9
	wait "${pids[@]}"
}
row_idle() {
	local n
	mkfifo "$T/go" "$T/ready"
	get n -- idle_followers
	print_row 'idle: 64 followers' "$(calc "$n/6e6" %.3f) ms/s" 'processor time, with the daemon' \
		"$(calc "$n/6e9*600" %.2f)" '<=' 1 ' s/10 min'
}

# SEED=n takes the traces of a run that printed n.
row_eviction() {
	local seed=${SEED:-$(date +%s)} trace percent what sieve lru fifo
	for trace in zipf scan; do
		what='Zipf'
		[ $trace = zipf ] || what='Zipf and scans'
		for percent in 1 10; do
			get sieve lru fifo -- eviction "$seed" $trace $percent
			print_row "hits: $what, room $percent %" "$(calc "$sieve/1000" %.1f) %" \
				"LRU $(calc "$lru/1000" %.1f) %, FIFO $(calc "$fifo/1000" %.1f) %" "$(calc "$sieve/$lru")" '>=' 1.00 ×
		done
	done
	note "by SIEVE, of 1000000 requests (1500000 with scans) of 100000 keys; SEED=$seed"
}

# A million entries: `make bench SCALE=1`, N=… for another number. A tenth of them goes by its prefix, and a tenth in one moment, when its
# life is over. The slowest of many hits is also the machine's, and the slowest of more is slower: beside those while something happens are
# those of as long a time while nothing does.
ms_of() { # nanoseconds
	calc "$1/1e6" "${2:-%.2f}"
}
now_ms() { # of CLOCK_BOOTTIME
	awk '{ printf "%d", $1 * 1000 }' /proc/uptime
}
memory() { # VmRSS or VmHWM: KiB
	awk -v what="$1:" '$1 == what { print $2 }' "/proc/$(daemon_pid)/status"
}
# hits_while CMD…: $hits while it runs, "MEDIAN P99 P99.9 SLOWEST COUNT", and how long that was: $took
hits_while() {
	local from to prober
	scale until "$SC_DIR" kept/ "$kept" "$T/asking" >"$T/hits" &
	prober=$!
	job=$prober
	while [ ! -e "$T/asking" ]; do
		kill -0 "$prober" || die 'a hit failed'
		sleep 0.01
	done
	from=$(date +%s%N)
	"$@" >/dev/null || die "failed: $*"
	to=$(date +%s%N)
	rm "$T/asking"
	wait "$prober" || die 'a hit failed'
	job=
	took=$((to - from))
	read -r hits <"$T/hits"
}
note_hits() { # WHEN MEDIAN P99 P99.9 SLOWEST COUNT
	note "$1: $6 hits, half within $(time_of "$2"), 99 % $(time_of "$3"), 99.9 % $(time_of "$4"), all $(time_of "$5")"
}
row_while() { # WHAT CMD…
	local hits took during idle spent slowest before
	hits_while "${@:2}"
	during=$hits
	spent=$took
	sync -f "$SC_DIR"
	hits_while sleep "$(calc "$spent/1e9" %.3f)"
	idle=$hits
	read -r _ _ _ slowest _ <<<"$during"
	read -r _ _ _ before _ <<<"$idle"
	print_row "$1" "$(time_of "$spent")" "slowest hit $(time_of "$slowest"): $(time_of "$before")" \
		"$(ms_of "($slowest-$before)" %+.1f)" '<=' 10 ' ms'
	# shellcheck disable=SC2086  # the numbers in it
	note_hits 'while it lasts' $during
	# shellcheck disable=SC2086
	note_hits 'as long, idle' $idle
}

row_scale() {
	local n=${N:-1000000} tenth kept one ten one99 ten99 hits took built more first all=() at
	tenth=$((n / 10))
	kept=$((n - 2 * tenth))
	mkdir -m 700 "$T/ten"
	SC_DIR=$T/ten "$SC" daemon start
	get built -- scale build "$T/ten" kept/ 10 86400000
	get built -- scale build "$SC_DIR" kept/ "$kept" 86400000
	get more -- scale build "$SC_DIR" gone/ "$tenth" 86400000
	built=$((built + more))
	# Those of one moment: time enough to make them, and to have all on the disk.
	at=$(($(now_ms) + more * 3 / 2000000 + 15000))
	get more -- scale build "$SC_DIR" over/ "$tenth" "@$at"
	[ "$(now_ms)" -lt $((at - 4000)) ] || die 'the machine is too busy: entries were over before all were made'
	built=$((built + more))
	note "$n entries of 100 bytes, $(calc "$n*1e9/$built" %.0f) a second"

	note "index.db has $(calc "$(cat "$SC_DIR"/index.db* | wc -c)/$n" %.0f) bytes an entry"
	print_row 'memory of the daemon' "$(calc "$(memory VmRSS)/1024" %.0f) MiB" "at most $(calc "$(memory VmHWM)/1024" %.0f) MiB" \
		"$(calc "$(memory VmHWM)/1024" %.0f)" '<=' 64 ' MiB'
	sync -f "$SC_DIR"
	[ "$(now_ms)" -lt $((at - 500)) ] || die 'the machine is too busy: entries were over before the hits were looked at'
	while [ "$(now_ms)" -lt $((at - 500)) ]; do sleep 0.05; done
	row_while "$tenth are over at once" scale gone "$SC_DIR" $((n - tenth))
	row_while "rm --prefix of $tenth" "$SC" rm --prefix gone/

	get one ten one99 ten99 -- scale hits "$SC_DIR" kept/ "$kept" "$T/ten" kept/ 10
	print_row "hit, of $kept" "$(time_of "$one")" "of 10: $(time_of "$ten")" "$(calc "$one/$ten")" '<=' 1.1 ×
	print_row '  99 % within' "$(time_of "$one99")" "of 10: $(time_of "$ten99")" "$(calc "$one99/$ten99")"
	for ((i = 0; i < 11; i++)); do
		"$SC" daemon stop
		first=$(date +%s%N)
		"$SC" get "$(printf 'kept/%08d' $((RANDOM * 32768 % kept + RANDOM % 10)))" >"$T/first" || die 'no hit after the restart'
		all+=($(($(date +%s%N) - first)))
	done
	first=$(middle "${all[@]}")
	print_row 'restart to the first hit' "$(time_of "$first")" 'by sc get, which starts it' "$(ms_of "$first" %.0f)" '<=' 50 ' ms'
	row_while 'a walk over all' scale walk "$SC_DIR"
	note "the daemon that walked had $(calc "$(memory VmHWM)/1024" %.0f) MiB at most"
	SC_DIR=$T/ten "$SC" daemon stop
}

# shellcheck source=tests/bench/sealed.bash
. "$(dirname "$0")/sealed.bash"

# ---- all of it ------------------------------------------------------------------------------------------------------

free=$(df --output=avail -B1M "$T" | tail -1)
[ "$free" -ge 8192 ] || die "8 GiB of disk are needed in ${T%/*}, ${free} MiB are free (set TMPDIR)"
read -r load _ </proc/loadavg
echo "$(nproc) cores, $(uname -srm), $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 2 ^ 20 }' /proc/meminfo) of memory," \
	"$(df --output=fstype "$T" | tail -1), load $load"
busy=$(awk -F '[= ]' '/^some/ { print int($3) }' /proc/pressure/cpu 2>/dev/null)
[ "${busy:-0}" -lt 5 ] || echo "others are at work here (they waited for a processor ${busy} % of the last 10 s): trust no ratio below"
echo
printf '%s %s %s %s %s\n' "$(pad 31 what)" "$(pad 12 sc)" "$(pad 32 against)" "$(pad 9 ratio)" goal
for row in $want; do
	open_cache
	"row_$row"
	close_cache
	rm -rf "${T:?}"/*
done
