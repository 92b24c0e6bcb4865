#!/usr/bin/env bats
# FAULTS D03: power is lost. What client, writer and daemon do to the files of a cache is recorded (helpers/shim_record.c); behind any
# step of it the machine stops, what was not synced is lost, zeroed or torn (helpers/replay.c), and a daemon of the next boot
# serves what is left of it (crash.bash): bytes of a complete run, or nothing, but all that a sync has answered for. There are two lives:
# one of runs, one of FILEs, syncs and evictions. A sample of the states is taken whose seed is printed if a test fails (SEED=n
# takes it again); with SOAK=1 all steps, each in several ways.
load ../helper

prepare() {
	use_test_build
	: "${SEED:=$RANDOM}"
	echo "SEED=$SEED"
	# The disk: the cache, and the files it is given.
	W=$T/disk
	export SC_DIR=$W/cache
}

# A life's record and what is right in it: made by one test, played by others.
of_life() {
	R=$BATS_FILE_TMPDIR/$1
	mkdir -p "$R/right"
}

recorded() {
	LD_PRELOAD=$HELPERS/shim_record.so SHIM_RECORD=$R/record SHIM_RECORD_DIR=$W "$@"
}

# Read by crash.bash: what holds in every state from here on.
mark() { echo "mark $*" >>"$R/record"; }

# The daemon, because one that a client starts would not be recorded. A checkpoint comes after a few commits, not after hundreds.
scd() {
	rm -f "$T/ready"
	SC_FAULT=small_wal recorded bg daemon bash -c 'exec "$0" --ready-fd=9 "$1" 9>"$2"' "$(dirname "$SC")/scd" "$SC_DIR" "$T/ready"
	wait_until '[ -s "$T/ready" ]'
	[ "$(cat "$T/ready")" = ready ]
}

# make KEY SIZE OPTION…: a run of its own bytes, noted as right.
made=0
make() {
	local key=$1 size=$2 way=$3
	shift 3
	made=$((made + 1))
	flood -s $((made * 1048576)) "$size" >"$R/right/$key.$made"
	case $way in
	get)
		echo "run $made" >>"$R/right/$key.$made"
		recorded "$SC" get "$@" "$key" -- sh -c 'flood -s "$1" "$2"; echo "run $3" >&2' - $((made * 1048576)) "$size" $made \
			>"$T/out" 2>"$T/err"
		cat "$T/out" "$T/err" | cmp - "$R/right/$key.$made"
		;;
	put) recorded "$SC" put "$@" "$key" <"$R/right/$key.$made" ;;
	file | clone | move | named)
		recorded dd if="$R/right/$key.$made" of="$W/files/$key" bs=64K status=none
		case $way in
		file) recorded "$SC" put "$@" "$key" "$W/files/$key" ;;
		clone) SHIM_RECORD_CLONE=1 recorded "$SC" put "$@" "$key" "$W/files/$key" ;;
		*)
			if [ "$way" = named ]; then ln "$W/files/$key" "$T/other.$key"; fi
			recorded sync "$W/files/$key" "$W/files"
			mark moved "$key.$made"
			recorded "$SC" put --move "$@" "$key" "$W/files/$key"
			[ ! -e "$W/files/$key" ]
			;;
		esac
		;;
	esac
	last=$key.$made
}

begin() {
	mkdir "$W"
	recorded mkdir -m 700 "$SC_DIR" "$W/files"
	printf '[bucket small]\nmax-files = 2\n' | recorded dd of="$SC_DIR/config" status=none
	chmod 600 "$SC_DIR/config"
	recorded sync -f "$W"
}

# A life with all that changes files: begun, kept, replaced, put, removed, expired, failed, stopped, killed.
live() {
	local key
	scd
	make kept 5000 get
	make empty 0 get
	make large 300K get
	make short 100 put
	recorded "$SC" get kept >/dev/null 2>&1
	make kept 70000 get -r
	recorded "$SC" rm short
	make brief 2000 get -t 100ms
	recorded "$SC" get bad -- sh -c 'flood 3000; exit 3' >/dev/null 2>&1 || [ $? = 3 ]
	wait_until '[ "$("$SC" ls | grep -c brief)" = 0 ]'
	for key in one two three; do make $key 700 get; done
	"$SC" daemon stop
	assert_rc 0 daemon
	scd
	make kept 9000 get -r
	make large 40000 put
	recorded "$SC" rm one
	# In the middle of a run the daemon dies, later the run with the next one.
	recorded bg a "$SC" get --strict short -- gate "$G"
	step "$G" fill 6000
	kill_daemon
	scd
	step "$G" fill 6000
	kill -9 "$(parent_of "$(gate_pid)")"
	assert_rc 125 a
	make short 6000 get
	make one 1500 get
	kill_daemon
}

# sync KEY.N…: `sc sync`; these were stored before it, and stay as they are until they are marked as over.
sync_all() {
	local name
	recorded "$SC" sync
	for name in "$@"; do mark sure "$name"; done
}

# Evicted are the older ones of the bucket.
crowd() {
	local key
	for key in "$@"; do SC_BUCKET=small make "small-$key" 3000 file; done
	wait_until '[ "$(SC_BUCKET=small "$SC" ls | wc -l)" -le 2 ]'
}

# A life of what is given: FILEs by every way, moved ones, syncs, evictions, removals.
live_on_files() {
	local -a kept=()
	scd
	make run 4000 get -t 1d && kept+=("$last")
	make ranged 1200K file -t 1d && kept+=("$last")
	make cloned 50000 clone && kept+=("$last")
	make moved 70000 move
	crowd a b c d
	sync_all "${kept[@]}"
	make later 3000 get
	make moved-too 9000 move
	make named 6000 named
	mark over ranged
	recorded "$SC" rm ranged
	make ranged 40000 clone && kept=("$last")
	recorded bg a "$SC" get goes-on -- gate "$G"
	step "$G" fill 6000
	make again 5000 file
	sync_all "${kept[@]}" "$last"
	step "$G" exit 0
	mark over run
	make run 8000 get -r
	crowd e f g
	"$SC" daemon stop
	assert_rc 0 a daemon
	cat "$T/a.out" "$T/a.err" >"$R/right/goes-on.0"
	scd
	make moved-later 2000 move
	mark over moved
	recorded "$SC" rm moved
	make run 700 get -r && kept=("$last")
	kill_daemon
	scd
	recorded "$SC" get again >/dev/null
	sync_all "${kept[@]}"
	crowd h i j
	make last 30000 file
	kill_daemon
}

# What is in DIR is what replaying the whole record leaves.
record_is_complete() {
	local dir
	replay "$R/record" "$T/replayed" 1000000 kept kept 1
	for dir in "$W" "$T/replayed"; do
		# Not its mapped pages: SQLite's, which has its own way to check them, and the counter in the lock.
		truncate -s 4096 "$dir/cache/lock"
		cp "$W/cache/lock" "$dir/cache/lock" 2>/dev/null || [ "$dir" = "$W" ]
		rm -f "$dir/cache/index.db-shm"
	done
	diff <(cd "$W" && find . ! -name sock | sort) <(cd "$T/replayed" && find . ! -name sock | sort)
	diff -r --exclude=sock "$W" "$T/replayed"
	[ -S "$T/replayed/cache/sock" ]
	# And more than appending has happened: SQLite has copied its log into its file, and begun it anew.
	[ "$(grep -ac '^sync ' "$R/record")" -gt 8 ]
}

@test "D03: the record of a life is complete: replayed to its end it is the directory" {
	of_life runs
	begin
	live
	record_is_complete
}

@test "D03: the record of a life with FILEs is complete: replayed to its end it is the directory" {
	of_life files
	begin
	live_on_files
	record_is_complete
	# By every way there is, or the states would prove nothing about it.
	[ "$(grep -ac '^link files/[a-z-]* cache/objects/' "$R/record")" = 3 ]
	[ "$(grep -ac '^unlink files/' "$R/record")" = 4 ]
	[ "$(grep -ac '^write [0-9]* 1048576 ' "$R/record")" -ge 1 ] # the second piece of a copy
	[ "$(grep -ac '^syncfs' "$R/record")" -ge 4 ]
}

round() { # DIR RECORD RIGHT STATE…
	bash "$TREE/tests/faults/crash.bash" "$@" >"$1.log" 2>&1 || mv "$1.log" "$1.failed"
	rm -rf "$1"
}

sample() {
	if [ "${SOAK:-0}" = 1 ]; then
		cat
	else
		awk -v seed="$SEED" 'BEGIN { srand(seed) } { print rand(), $0 }' | sort -n | cut -d ' ' -f 2- | head -n "$1"
	fi
}

# Each line of stdin is a state. In some of them something is left to be served, and of a life with promises some promise is to be
# kept, or the test would prove nothing.
play() { # [promises]
	export -f round
	export TREE HELPERS SC_TEST SCD_TEST
	mkdir -p "$T/rounds"
	awk -v dir="$T/rounds" -v record="$R/record" -v right="$R/right" '{ print dir "/" NR, record, right, $0 }' |
		xargs -P "${ROUNDS:-3}" -L 1 bash -c 'round "$@"' round
	cat "$T/rounds"/*.failed 2>/dev/null || true
	[ -z "$(find "$T/rounds" -name '*.failed' -print -quit)" ]
	echo "$(find "$T/rounds" -name '*.log' | wc -l) states, $(cat "$T/rounds"/*.hits | wc -l) hits"
	[ "$(cat "$T/rounds"/*.hits | wc -l)" -gt 0 ]
	[ $# = 0 ] || [ "$(cat "$T/rounds"/*.kept | wc -l)" -gt 0 ]
}

states() { # NAMES BYTES…
	local n count names=$1 bytes
	count=$(replay count "$R/record")
	for ((n = 0; n <= count; n++)); do
		for bytes in "${@:2}"; do echo "$n $bytes $names $((SEED * 1000 + n))"; done
	done
}

@test "D03: power is lost behind any step, names as with a journal: right bytes or a miss, and it works on" {
	of_life runs
	states cut dropped zeroed torn mixed | sample 22 | play
}

@test "D03: power is lost behind any step, names in any order: right bytes or a miss, and it works on" {
	of_life runs
	states any kept dropped zeroed torn mixed | sample 22 | play
}

@test "D03: power is lost behind any step, all names there, bytes not: right bytes or a miss, and it works on" {
	of_life runs
	states kept dropped zeroed torn mixed | sample 16 | play
}

@test "D03: power is lost among FILEs and syncs, names as with a journal: what was synced is served, what was moved is not lost" {
	of_life files
	states cut kept dropped zeroed torn mixed | sample 22 | play promises
}

@test "D03: power is lost among FILEs and syncs, names in any order: what was synced is served, what was moved is not lost" {
	of_life files
	states any kept dropped zeroed torn mixed | sample 22 | play promises
}

@test "D03: power is lost among FILEs and syncs, all names there, bytes not: what was synced is served, what was moved is not lost" {
	of_life files
	states kept dropped zeroed torn mixed | sample 16 | play promises
}
