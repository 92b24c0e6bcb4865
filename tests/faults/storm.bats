#!/usr/bin/env bats
# FAULTS A23, G19, G21, G23: the same again and again, at random moments, under load.
# run: alone
# run: sealed too, in a soak
load ../helper

random_seed() {
	seed=${SEED:-$RANDOM}
	echo "seed $seed"
	RANDOM=$seed
}

# Six workers: a caller with the command and one that comes a moment later, both want the same bytes. The next key when both have
# them, until the test makes $T/enough.
worker() { # NUMBER
	local key i=0 a b
	while [ ! -e "$T/enough" ]; do
		key=w$1-$((i++))
		"$SC" get "$key" -- sh -c 'echo run >>"$T/count-$0"; for part in 0 1 2 3 4; do flood -s $((part * 30000)) 30000; sleep 0.01; done' \
			"$key" >"$T/$key.a" 2>"$T/$key.err" &
		a=$!
		"$SC" get "$key" -- sh -c 'echo run >>"$T/count-$0"; flood 150000' "$key" >"$T/$key.b" 2>>"$T/$key.err" &
		b=$!
		wait $a || echo "$key: a: $?" >>"$T/wrong"
		wait $b || echo "$key: b: $?" >>"$T/wrong"
		flood 150000 | cmp - "$T/$key.a" >>"$T/wrong" 2>&1 || true
		flood 150000 | cmp - "$T/$key.b" >>"$T/wrong" 2>&1 || true
		if [ -s "$T/$key.err" ]; then (echo "$key says:" && cat "$T/$key.err") >>"$T/wrong"; fi
		"$2" "$key"
		rm "$T/$key".{a,b,err}
	done
	echo "$i" >"$T/done-$1"
}

ran_once_and_is_kept() {
	[ "$(lines_in "$T/count-$1")" = 1 ] || echo "$1 ran $(lines_in "$T/count-$1") times" >>"$T/wrong"
	"$SC" get "$1" 2>>"$T/wrong" | cmp - "$T/$1.a" >>"$T/wrong" 2>&1 || echo "$1 is not kept" >>"$T/wrong"
}
nothing_more() { :; }

# kills N AFTER: so many daemons, each at a random moment of its life under this load.
kills() {
	local left=$1 pid
	while ((left > 0)); do
		pid=$(daemon_pid)
		[ -n "$pid" ] || continue
		sleep "0.0$((30 + RANDOM % 60))" # not to wait for anything: to be at a random moment
		kill -9 "$pid" 2>/dev/null || continue
		((left--)) || true
		"$2" $left
		wait_until "dead $pid"
	done
}

storm() { # AFTER-KILL AFTER-KEY KILLS
	local nr pids=()
	export T SC
	: >"$T/wrong"
	for nr in {1..6}; do
		worker "$nr" "$2" 3>&- &
		pids+=($!)
	done
	kills "$3" "$1"
	touch "$T/enough"
	wait "${pids[@]}"
	echo "keys: $(cat "$T"/done-*)"
	is_empty "$T/wrong"
	wait_until '[ "$(flights)" = 0 ]'
}

@test "A23: two hundred daemons are killed under load: every stream is whole and kept, every command ran once" {
	random_seed
	storm nothing_more ran_once_and_is_kept 200
}

lose_index() { if (($1 % 5 == 0)); then rm -f "$SC_DIR"/index.db*; fi; }

@test "A23: the same with the index deleted in between: every stream is whole" {
	random_seed
	storm lose_index nothing_more 100
}

@test "G21: wake-ups that are lost are made good within a second: every byte, the right status, a held command goes on" {
	use_test_build
	mkdir -m 700 "$SC_DIR"
	echo 'window = 64K' >"$SC_DIR/config"
	export SC_FAULT=drop_wakes
	bg a "$SC" get k -- sh -c 'flood 300000; sleep 0.1; exit 3'
	bg b "$SC" get k
	assert_rc 3 a
	is_flood "$T/a.out" 300000
	[[ $(rc b) =~ ^(1|3)$ ]] # it may have come too late
	bg warm "$SC" warm w -- sh -c 'sleep 0.1; echo x'
	assert_rc 0 warm
	bg c "$SC" get w
	assert_rc 0 c
	is_file "$T/c.out" 'x\n'
}

# Readers that come, read so much and go, again and again, beside one that reads on to the end.
@test "G19: sixty-four readers join and leave at random moments for a while: all that is printed is right" {
	local nr seconds=6 pids=()
	if [ "${SOAK:-0}" = 1 ]; then seconds=60; fi
	random_seed
	bg l "$SC" get k -- bash -c 'end=$((SECONDS + $1)); at=0; while ((SECONDS < end)); do flood -s $at 70001; at=$((at + 70001)); sleep 0.01; done; echo $at >"$T/size"' - $seconds
	wait_until '[ -s "$T/l.out" ]'
	: >"$T/wrong"
	for nr in {1..64}; do
		(
			RANDOM=$((seed + nr))
			while is_running l; do
				n=$((RANDOM * 20 + 1))
				"$SC" get k 2>>"$T/wrong" | head -c $n | cmp -n $n - <(flood 30000000) >>"$T/wrong" 2>&1 || [ ${PIPESTATUS[2]} = 0 ] || echo "$nr: $n" >>"$T/wrong"
			done
		) 3>&- &
		pids+=($!)
	done
	assert_rc 0 l
	wait "${pids[@]}"
	is_flood "$T/l.out" "$(cat "$T/size")"
	! grep -v 'EOF on -' "$T/wrong"
}

# Each writes to a file of its own: a command that was run directly may outlive the caller that was killed, and writes on.
random_operations() { # NUMBER END
	local n=0 out
	RANDOM=$((seed + $1))
	while ((SECONDS < $2)); do
		out=$T/$1.$((n++)).out
		key=s$((RANDOM % 8))
		case $((RANDOM % 12)) in
		0) "$SC" rm "$key" ;;
		1) "$SC" get -r "$key" -- sh -c 'flood 90000; exit 3' ;;
		2) flood 90000 | "$SC" put -t 1 "$key" ;;
		3) "$SC" warm "$key" -- flood 90000 ;;
		4) "$SC" get "$key" -- sh -c 'flood 50000; sleep 0.02; flood -s 50000 40000' | head -c 100 ;;
		5) "$SC" ls && "$SC" ps ;;
		6) timeout -s KILL 0.05 "$SC" get "$key" -- sh -c 'flood 50000; sleep 0.2; flood -s 50000 40000' ;;
		7) "$SC" get --strict -w 10 "$key" ;;
		*) "$SC" get -t 1 "$key" -- sh -c 'flood 50000; sleep 0.02; flood -s 50000 40000' ;;
		esac >"$out" 2>>"$T/$1.err" || true
		# Whatever it was: a part of these bytes and nothing else, but for lists and names.
		head -c 5 "$out" | grep -q '^[s0-9a-f]' || flood 90000 | cmp -n "$(stat -c %s "$out")" - "$out" >>"$T/wrong" 2>&1 ||
			od -A d -c "$out" | head -n 20 >>"$T/wrong"
		rm "$out"
	done
}

# Some process of the cache dies: a client or a writer; now and then the daemon.
random_kills() {
	local pid
	while ((SECONDS < $1)); do
		if ((RANDOM % 20 == 0)); then pid=$(daemon_pid); else pid=$(procs on "$SC_DIR" | awk '/ get | put | warm /{ print $1 }' | shuf -n 1); fi
		if [ -n "$pid" ]; then kill -9 "$pid" 2>/dev/null || true; fi
		sleep "0.0$((10 + RANDOM % 80))" # to be at a random moment
	done
}

@test "G23: anything at random, and anybody dies at random: only bytes of the runs are printed, nothing is left, nothing grows" {
	random_seed
	local nr pid before fds end=$((SECONDS + 10)) pids=()
	if [ "${SOAK:-0}" = 1 ]; then end=$((SECONDS + 3600)); fi
	entry first 'x\n'
	: >"$T/wrong"
	for nr in {1..6}; do
		random_operations "$nr" $end 3>&- &
		pids+=($!)
	done
	random_kills $end
	wait "${pids[@]}"
	is_empty "$T/wrong"
	wait_until '[ "$(flights)" = 0 ] || ! "$SC" ls >/dev/null'
	run -0 "$SC" get first
	assert_output x
	# Nothing is held by one that has served all this but what an idle one holds.
	kill_daemon
	start_daemon
	pid=$(daemon_pid)
	before=$(fd_count "$pid")
	random_operations 9 $((SECONDS + 2))
	"$SC" rm --all # what lies in memory, too
	wait_until '[ "$(fd_count '"$pid"')" -le '"$before"' ]'
	[ "$(daemon_pid)" = "$pid" ]
	[ "$(memory "$pid")" -lt $((30000 * SLACK)) ]
}
