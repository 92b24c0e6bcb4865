#!/usr/bin/env bats
# FAULTS P, S22: peers that do not keep to the protocol, numbers out of range, and the socket's place. While each of them talks a run
# goes on and ends as it should.
load ../helper

prepare() {
	use_test_build # whose descriptors can be counted
	"$SC" get known -- echo known >/dev/null
	bg run "$SC" get run -- gate "$G"
	step "$G" out one
	shows run 'one\n'
	SOCK=$SC_DIR/sock
	PID=$(daemon_pid)
}

# Everybody else is unaffected, and it is still the same daemon.
unaffected() {
	run -0 --separate-stderr timeout $((5 * SLACK)) "$SC" get known
	assert_output known
	[ -z "$stderr" ]
	bg follower "$SC" get run
	shows follower 'one\n'
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 run follower
	is_file "$T/run.out" 'one\ntwo\n'
	is_empty "$T/run.err"
	is_file "$T/follower.out" 'one\ntwo\n'
	run -0 "$SC" get run
	assert_output $'one\ntwo'
	[ "$(daemon_pids)" = "$PID" ]
	rawclient "$SOCK" hello | grep -qx answered
	[ "$(stat -c %s "$SC_DIR/scd.log")" -lt $((4 << 20)) ]
}

grown() { # less than so many KiB since $BEFORE
	local now
	now=$(memory "$PID" VmHWM)
	echo "peak memory: $BEFORE KiB, now $now KiB"
	[ $((now - BEFORE)) -lt $(($1 * SLACK * SLACK)) ]
}

@test "P01: garbage: that connection is closed" {
	run -0 rawclient "$SOCK" bytes < <(printf 'GET / HTTP/1.0\r\n\r\n')
	assert_output closed
	run -0 rawclient "$SOCK" bytes < <(flood 100K)
	assert_output closed
	run -0 rawclient "$SOCK" after-hello < <(flood 100K)
	assert_output closed
	run -0 rawclient "$SOCK" after-hello < <(head -c 100 /dev/zero)
	assert_output closed
	unaffected
}

@test "P01 S24: random frames: the daemon lives, memory does not grow, the log is limited" {
	local n=200000 seed=$((RANDOM * 32768 + RANDOM))
	if [ "${SOAK:-0}" = 1 ]; then n=1000000; fi
	if [ "$SLACK" -gt 1 ]; then n=20000; fi
	echo "seed $seed"
	rawclient "$SOCK" random 2000 1
	BEFORE=$(memory "$PID" VmHWM)
	run -0 timeout $((90 * SLACK)) rawclient "$SOCK" random $n $seed
	grown 4096
	unaffected
}

@test "P02: frames cut at every byte, the peer gone: nothing is leaked" {
	BEFORE=$(memory "$PID" VmHWM)
	before=$(fd_count "$PID")
	for _ in {1..30}; do rawclient "$SOCK" cut >/dev/null; done
	wait_until '[ "$(fd_count "$PID")" -le "$before" ]'
	grown 1024
	unaffected
}

@test "P03: an oversized length is refused before anything is allocated" {
	BEFORE=$(memory "$PID" VmHWM)
	for n in 4294967295 2147483648 1000000000 65537 0; do
		run -0 rawclient "$SOCK" header $n
		assert_output closed
	done
	grown 1024
	unaffected
}

@test "P04: five bytes that claim four billion elements: closed, memory grows by less than a MiB" {
	BEFORE=$(memory "$PID" VmHWM)
	run -0 rawclient "$SOCK" amplify
	assert_output '20 closed, 0 open'
	grown 1024
	unaffected
}

@test "P05: a nesting bomb is refused" {
	BEFORE=$(memory "$PID" VmHWM)
	for n in 9 1000 65536 100000; do
		run -0 rawclient "$SOCK" nest $n
		assert_output closed
	done
	grown 1024
	unaffected
}

@test "P06: five hundred connections that say nothing: a hit is not delayed, they are ended after the handshake limit" {
	ulimit -S -n "$(ulimit -H -n)"
	bg idle rawclient "$SOCK" idle 500
	shows idle 'open 500\n'
	local start
	start=$(now_ms)
	for _ in {1..20}; do
		run -0 --separate-stderr "$SC" get known
		assert_output known
		[ -z "$stderr" ]
	done
	[ $(($(now_ms) - start)) -lt $((2000 * SLACK)) ]
	assert_rc 0 idle
	is_file "$T/idle.out" 'open 500\nclosed 500\n'
	unaffected
}

@test "P07: a peer that never reads is dropped, the daemon keeps little for it" {
	BEFORE=$(memory "$PID" VmHWM)
	run -0 rawclient "$SOCK" deaf 9110 # STATUS
	assert_output --regexp '^closed after '
	grown 2048
	unaffected
}

@test "P11: well-formed messages in any order, from anybody, in pieces: that connection only" {
	local n=20000 seed=$((RANDOM * 32768 + RANDOM))
	if [ "$SLACK" -gt 1 ]; then n=3000; fi
	echo "seed $seed"
	rawclient "$SOCK" orders 500 1
	BEFORE=$(memory "$PID" VmHWM)
	run -0 timeout $((90 * SLACK)) rawclient "$SOCK" orders $n $seed
	grown 8192
	unaffected
}

@test "P12: numbers out of range are usage errors, or saturate where a duration is meant" {
	for d in -1 -0.5 nan NaN inf -inf 1e3 0x1 --; do
		run -125 --separate-stderr "$SC" get "--ttl=$d" k -- touch "$T/ran"
		printf '%s\n' "$stderr" >"$T/err"
		is_message "$T/err" .
		run -125 "$SC" get "--wait=$d" k -- touch "$T/ran"
	done
	for n in -1 2147483648 9223372036854775808 18446744073709551616 nan; do
		run -125 "$SC" get "--status-fd=$n" k -- touch "$T/ran"
	done
	[ ! -e "$T/ran" ]
	for d in 9223372036854775807 9223372036854775808 18446744073709551616d; do
		run -0 "$SC" get -t "$d" "k$d" -- echo x
	done
	run -0 "$SC" get -t 18446744073709551616d k18446744073709551616d
	assert_output x
	unaffected
}

# The generation of the run that is going on.
run_gen() { ls "$SC_DIR/flights"; }

@test "P10: who leads no run speaks of one, as client or as the writer of another: cut off and logged, the run goes on" {
	local gen what old=00112233445566778899aabbccddeeff
	gen=$(run_gen)
	for what in "done $gen" "may-stop $gen" "done $old"; do
		# shellcheck disable=SC2086  # two words
		run -0 rawpeer "$SC_DIR" dial $what hear
		assert_output closed
		# shellcheck disable=SC2086
		run -0 rawpeer "$SC_DIR" lead other $what hear
		assert_output $'LEAD\nclosed'
	done
	run -0 rawpeer "$SC_DIR" child dial started "$gen" 1 hear end-child
	assert_line closed
	run -0 rawpeer "$SC_DIR" child lead other started "$gen" 1 hear end-child
	assert_line closed
	wait_until 'grep -q "event=dropped.*out of order" "$SC_DIR/scd.log"'
	grep -q 'event=dropped.*speaks of a run it does not lead' "$SC_DIR/scd.log"
	run -1 "$SC" get other
	unaffected
}

@test "P10: registrations nobody waits for: of a run that has a writer, of none that is known; of a finished one: it is told so" {
	local gen known
	gen=$(run_gen)
	run -0 rawpeer "$SC_DIR" dial register run "$gen" hear
	assert_output closed
	grep -q 'event=dropped.*registers a run that has a writer' "$SC_DIR/scd.log"
	run -0 rawpeer "$SC_DIR" dial register run 00112233445566778899aabbccddeeff hear done 00112233445566778899aabbccddeeff hear
	assert_output $'REFUSE flags=0 reason=2\nclosed'
	known=$(find "$SC_DIR/objects" -name '*.out' -not -name "$gen.out" -printf '%f')
	run -0 rawpeer "$SC_DIR" dial register known "${known%.out}" hear
	assert_output 'SETTLED flags=1 reason=0'
	unaffected
}

@test "P10: somebody registers a run the next daemon waits for, with files that are none of it: refused, and its writer is taken" {
	local gen writer
	gen=$(run_gen)
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	kill_daemon
	start_daemon
	PID=$(daemon_pid)
	run -0 rawpeer "$SC_DIR" dial register run "$gen" hear
	kill -CONT "$writer"
	assert_output 'REFUSE flags=0 reason=2'
	grep -q event=register-refused "$SC_DIR/scd.log"
	unaffected
}

@test "P16: a hundred times a hundred descriptors nobody asked for: those connections end, nothing is leaked" {
	local before
	before=$(fd_count "$PID")
	run -0 rawpeer "$SC_DIR" strays 100 100
	assert_output '100 closed'
	run -0 rawpeer "$SC_DIR" strays 2 1
	assert_output '2 closed'
	wait_until '[ "$(fd_count "$PID")" -le "$before" ]'
	unaffected
}

@test "S22: a writer names the number of another process: when it is lost its own command is killed, and nobody by number" {
	bg innocent setsid gate "$(new_gate innocent)"
	gate_up "$T/innocent"
	run -0 rawpeer "$SC_DIR" lead mine child started own "$(gate_pid "$T/innocent")"
	[[ ${lines[1]} =~ ^child\ ([0-9]+)$ ]]
	wait_until "dead ${BASH_REMATCH[1]}"
	step "$T/innocent" out alive
	shows innocent 'alive\n'
	step "$T/innocent" exit 0
	assert_rc 0 innocent
	unaffected
}

# By somebody who has the page, as any process of this user may: a megabyte that no file has.
@test "a page that claims more than its file has: 125 naming the good bytes, the daemon is unharmed, the next run is kept" {
	local fd
	bg r "$SC" get --strict k -- gate "$(new_gate g2)"
	gate_up "$T/g2"
	step "$T/g2" out abc
	shows r 'abc\n'
	fd=$(find "/proc/$(pid_of r)/fd" -lname '*sc-page*' | head -n 1)
	python3 - "$fd" <<-'END'
		import os, struct, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		head = os.pread(fd, 4096, 0)
		at = head.index(struct.pack("<QQ", 4, 0), 64) # both lengths, behind what never changes
		os.pwrite(fd, struct.pack("<Q", 1 << 20), at)
	END
	assert_rc 125 r
	is_file "$T/r.out" 'abc\n'
	is_message "$T/r.err" 'incomplete after 4 good bytes'
	wait_until 'dead "$(gate_pid "$T/g2")"'
	entry k 'x\n'
	run -0 "$SC" get k
	assert_output x
	step "$G" exit 0
	assert_rc 0 run
}
