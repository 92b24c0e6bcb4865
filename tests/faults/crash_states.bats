#!/usr/bin/env bats
# FAULTS D03: power is lost. What client, writer and daemon do to the files of a cache is recorded (helpers/shim_record.c); behind any
# step of it the machine stops, what was not synced is lost, zeroed or torn (helpers/replay.c), and a daemon of the next boot
# serves what is left of it (crash.bash): bytes of a complete run, or nothing. A sample of the states is taken whose seed is
# printed if a test fails (SEED=n takes it again); with SOAK=1 all steps, each in several ways.
load ../helper

prepare() {
	use_test_build
	: "${SEED:=$RANDOM}"
	echo "SEED=$SEED"
	R=$BATS_FILE_TMPDIR
}

recorded() {
	LD_PRELOAD=$HELPERS/shim_record.so SHIM_RECORD=$R/record SHIM_RECORD_DIR=$SC_DIR "$@"
}

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
	esac
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

@test "D03: the record of a life is complete: replayed to its end it is the directory" {
	mkdir -m 700 "$R/right" "$SC_DIR"
	live
	replay "$R/record" "$T/replayed" 1000000 kept kept 1
	# Not its mapped pages: SQLite's, which has its own way to check them, and the counter in the lock.
	truncate -s 4096 "$T/lock"
	cp "$T/lock" "$SC_DIR/lock"
	cp "$T/lock" "$T/replayed/lock"
	rm -f "$SC_DIR/index.db-shm" "$T/replayed/index.db-shm"
	diff <(cd "$SC_DIR" && find . ! -name sock | sort) <(cd "$T/replayed" && find . ! -name sock | sort)
	diff -r --exclude=sock "$SC_DIR" "$T/replayed"
	[ -S "$T/replayed/sock" ]
	# And more than appending has happened: SQLite has copied its log into its file, and begun it anew.
	[ "$(grep -ac '^sync ' "$R/record")" -gt 8 ]
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

# Each line of stdin is a state. In some of them something is left to be served, or the test would prove nothing.
play() {
	export -f round
	export TREE HELPERS SC_TEST SCD_TEST
	mkdir -p "$T/rounds"
	awk -v dir="$T/rounds" -v record="$R/record" -v right="$R/right" '{ print dir "/" NR, record, right, $0 }' |
		xargs -P "${ROUNDS:-3}" -L 1 bash -c 'round "$@"' round
	cat "$T/rounds"/*.failed 2>/dev/null || true
	[ -z "$(find "$T/rounds" -name '*.failed' -print -quit)" ]
	echo "$(find "$T/rounds" -name '*.log' | wc -l) states, $(cat "$T/rounds"/*.hits | wc -l) hits"
	[ "$(cat "$T/rounds"/*.hits | wc -l)" -gt 0 ]
}

states() { # NAMES BYTES…
	local n count names=$1 bytes
	count=$(replay count "$R/record")
	for ((n = 0; n <= count; n++)); do
		for bytes in "${@:2}"; do echo "$n $bytes $names $((SEED * 1000 + n))"; done
	done
}

@test "D03: power is lost behind any step, names as with a journal: right bytes or a miss, and it works on" {
	states cut dropped zeroed torn mixed | sample 50 | play
}

@test "D03: power is lost behind any step, names in any order: right bytes or a miss, and it works on" {
	states any kept dropped zeroed torn mixed | sample 50 | play
}

@test "D03: power is lost behind any step, all names there, bytes not: right bytes or a miss, and it works on" {
	states kept dropped zeroed torn mixed | sample 40 | play
}
