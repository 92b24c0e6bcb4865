#!/usr/bin/env bats
# Back-pressure: how far a run may be ahead of who reads it.
# run: sealed too, in a soak
load ../helper

MIB=1048576
SIZE=$((64 * MIB))

with_window() {
	mkdir -m 700 "$SC_DIR"
	echo "window = $1" >"$SC_DIR/config"
	start_daemon
}

# A reader that is stepped: `sc get` into a FIFO of which the test takes as much as it likes.
slow_reader() { # NAME ARG…
	local name=$1
	shift
	mkfifo "$T/$name.fifo"
	bg "$name" bash -c 'fifo=$1; shift; exec "$@" >"$fifo"' - "$T/$name.fifo" "$SC" get "$@"
}

take() { head -c "$1" <&"$2"; } # BYTES FD

size() { find "$SC_DIR/objects" -name '*.out' -printf '%s\n'; }
# The command sleeps because its pipe is full.
is_held() { grep -q pipe_write "/proc/$(gate_pid)/wchan"; }
held_at() { is_held && [ "$(size)" -ge "$1" ]; }

# What a reader has put into its pipe, up to 1 MiB, is not yet taken by the test. Once held, a command goes on when a quarter of the
# window is free.
assert_ahead() { # WINDOW TAKEN
	wait_until "held_at $(($1 + $2 - ($2 ? $1 / 4 : 0)))"
	local ahead=$(($(size) - $2))
	[ $ahead -le $(($1 + MIB + 256 * 1024)) ] || { echo "ahead by $ahead with a window of $1" >&2; return 1; }
}

@test "A20: a command is held when it is a window ahead of its only reader, and not before" {
	local taken=0 fd amount
	with_window 2M
	slow_reader r k -- gate "$G"
	exec {fd}<"$T/r.fifo"
	gate_up
	step_nowait "$G" fill $SIZE
	for amount in 0 1 300000 5000000 $((20 * MIB)); do
		take "$amount" "$fd" >>"$T/all"
		taken=$((taken + amount))
		assert_ahead $((2 * MIB)) $taken
	done
	cat <&"$fd" >>"$T/all" &
	step "$G" exit 0
	assert_rc 0 r
	wait $!
	exec {fd}<&-
	is_flood "$T/all" $SIZE
}

@test "A20: stdout and stderr count together" {
	local err
	with_window 1M
	bg r "$SC" get k -- gate "$G"
	gate_up
	step "$G" fill 1
	shows r "$(flood 1)"
	kill -STOP "$(pid_of r)"
	step "$G" fill 600000
	step_nowait "$G" fillerr $SIZE
	err_size() { find "$SC_DIR/objects" -name '*.err' -printf '%s\n'; }
	wait_until 'is_held && [ "$(err_size)" -ge $((MIB - 600000)) ]'
	err=$(err_size)
	[ "$err" -le $((MIB - 600000 + 256 * 1024)) ]
	kill -CONT "$(pid_of r)"
	step "$G" exit 0
	assert_rc 0 r
	[ "$(stat -c %s "$T/r.err")" = $SIZE ]
}

@test "A20: window = none: a command is never held" {
	local fd
	with_window none
	slow_reader r k -- gate "$G"
	exec {fd}<"$T/r.fifo"
	gate_up
	step "$G" fill $SIZE
	[ "$(size)" = $SIZE ] || wait_until '[ "$(size)" = $SIZE ]'
	step "$G" exit 0
	take $SIZE "$fd" >"$T/all"
	exec {fd}<&-
	assert_rc 0 r
	is_flood "$T/all" $SIZE
}

@test "A20: a window of nothing still lets every byte through" {
	with_window 0
	bg r "$SC" get k -- gate "$G"
	gate_up
	step "$G" fill 5000000
	step "$G" exit 0
	assert_rc 0 r
	is_flood "$T/r.out" 5000000
}

@test "A19: a slow reader and a stopped one never slow a fast one" {
	local fd
	with_window 1M
	slow_reader slow k -- gate "$G"
	exec {fd}<"$T/slow.fifo"
	gate_up
	bg stopped "$SC" get k
	step "$G" outn ''
	wait_until '"$SC" ps | grep -q "2 readers"'
	kill -STOP "$(pid_of stopped)"
	bg fast "$SC" get k
	step "$G" fill $SIZE
	step "$G" exit 0
	assert_rc 0 fast
	is_flood "$T/fast.out" $SIZE
	kill -CONT "$(pid_of stopped)"
	take $SIZE "$fd" >"$T/all"
	exec {fd}<&-
	assert_rc 0 slow stopped
	is_flood "$T/all" $SIZE
	is_flood "$T/stopped.out" $SIZE
}

# Once its fastest reader is dead, only the slow one counts: the command is held until that has come so far.
fastest_dies() {
	local fd
	slow_reader slow k -- gate "$G"
	exec {fd}<"$T/slow.fifo"
	gate_up
	bg fast "$SC" get k
	step "$G" fill $((20 * MIB))
	wait_until '[ "$(stat -c %s "$T/fast.out")" = $((20 * MIB)) ]'
	if [ "$1" = without-daemon ]; then kill_daemon; fi
	kill -9 "$(pid_of fast)"
	wait_until 'dead "$(pid_of fast)"'
	step_nowait "$G" fill $((44 * MIB))
	wait_until is_held
	take $((10 * MIB)) "$fd" >>"$T/all"
	[ "$(size)" -le $((22 * MIB)) ]
	take $((12 * MIB)) "$fd" >>"$T/all"
	assert_ahead $MIB $((22 * MIB))
	take $((42 * MIB)) "$fd" >>"$T/all"
	step "$G" exit 0
	exec {fd}<&-
	assert_rc 0 slow
	is_flood "$T/all" $SIZE
}

@test "A20: a killed reader's place never holds the command, nor lets it run away" {
	with_window 1M
	fastest_dies with-daemon
}

@test "G25: the same while no daemon lives" {
	with_window 1M
	fastest_dies without-daemon
	"$SC" get k >"$T/again"
	is_flood "$T/again" $SIZE
}

# A command that is held by its only reader, who then goes.
left_alone() { # ARG…
	local fd
	with_window 1M
	slow_reader r "$@" -- gate "$G"
	exec {fd}<"$T/r.fifo"
	gate_up
	step_nowait "$G" fill $SIZE
	assert_ahead $MIB 0
	exec {fd}<&-
	assert_rc 141 r
}

@test "a command that is held is stopped at once when its last reader goes" {
	left_alone k
	wait_until 'dead "$(gate_pid)"'
	wait_until nothing_kept
}

@test "--finish: without readers a command is held by nobody, and kept" {
	left_alone --finish k
	step "$G" exit 0
	wait_until '[ "$("$SC" ls)" = k ]'
	"$SC" get k >"$T/all"
	is_flood "$T/all" $SIZE
}
