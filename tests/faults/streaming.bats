#!/usr/bin/env bats
# FAULTS B02, B06, B20, G15: a run whose output cannot be stored goes through the ring of its page to those who read it. Here a limit on
# the size of files (B20) stands for the disk that is full; root_disk.bats has real ones.
# run: sealed too, in a soak
load ../helper

MIB=1048576
RING=$((4 * MIB))

# unkept NAME ARG…: `sc get ARG…` that may store 1 MiB. Its own stdout and stderr are pipes, which have no limit.
unkept() {
	[ -n "$(daemon_pid)" ] || start_daemon # without that limit
	local name=$1
	shift
	bg "$name" bash -c 'set -o pipefail; out=$1; shift
		{ (ulimit -f 1024; exec "$@") 2>&1 >&4 4>&- | cat >&2; } 4>&1 | cat >"$out"' - "$T/$name.all" "$SC" get "$@"
}

# A reader that is stepped, through a FIFO.
slow_reader() { # NAME ARG…
	local name=$1
	shift
	mkfifo "$T/$name.fifo"
	bg "$name" bash -c 'fifo=$1; shift; exec "$@" >"$fifo"' - "$T/$name.fifo" "$SC" get "$@"
}

# A run that cannot be stored, and who reads it: a leads, b reads as fast as it can, s what the test takes from $fd.
slow_and_quick() {
	unkept a k -- gate "$G"
	gate_up
	slow_reader s k
	exec {fd}<"$T/s.fifo"
	bg b "$SC" get k
	step "$G" out begin
	shows b 'begin\n'
}

client_of() { pgrep -o -f -x "$SC get $* -- gate $G"; } # its writer is younger

streaming() { grep -q 'streaming only' "$SC_DIR/scd.log"; }
# The command sleeps because its pipe is full.
is_held() { grep -q pipe_write "/proc/$(gate_pid)/wchan"; }

@test "B20: a limit on files is passed in the middle: all who read get all of it and the status, one line, nothing is kept" {
	unkept a k -- gate "$G"
	gate_up
	bg b "$SC" get k -- false
	bg c "$SC" get --stderr=replay k
	step "$G" out begin
	shows b 'begin\n'
	shows c 'begin\n'
	step "$G" fill $((20 * MIB))
	step "$G" err 'in between'
	step "$G" fillerr $((3 * MIB))
	step "$G" fill 100000
	step "$G" err end
	step "$G" exit 3
	assert_rc 3 a b c
	{ echo begin && flood $((20 * MIB + 100000)); } >"$T/want"
	for n in a.all b.out c.out; do cmp "$T/want" "$T/$n"; done
	{ echo 'in between' && flood $((3 * MIB)) && echo end; } >"$T/want.err"
	cmp "$T/want.err" "$T/b.err"
	cmp "$T/want.err" "$T/c.err"
	tail -n 1 "$T/a.err" >"$T/said"
	is_message "$T/said" 'k: not kept: too large'
	head -n -1 "$T/a.err" | cmp - "$T/want.err"
	[ "$(runs)" = 1 ]
	wait_until nothing_kept
}

@test "B20: stdout and stderr keep their order through the ring" {
	bg a bash -c 'set -o pipefail; out=$1; shift; (ulimit -f 64; exec "$@" 2>&1) | cat >"$out"' - "$T/a.all" "$SC" get -q k -- sh -c '
		i=0
		while [ $i -lt 2000 ]; do
			echo "out $i, which is as long as it takes to fill a file of sixty-four blocks before long"
			[ $((i % 7)) != 3 ] || echo "err $i" >&2
			i=$((i + 1))
		done'
	assert_rc 0 a
	for ((i = 0; i < 2000; i++)); do
		echo "out $i, which is as long as it takes to fill a file of sixty-four blocks before long"
		[ $((i % 7)) != 3 ] || echo "err $i"
	done >"$T/want"
	# The two pipes of the command are read when they are: each stream keeps its order, and nothing is lost or twice.
	cmp <(grep ^out "$T/want") <(grep ^out "$T/a.all")
	cmp <(grep ^err "$T/want") <(grep ^err "$T/a.all")
}

@test "B02: the slowest reader sets the pace, no further ahead than the ring, and all get all of it" {
	local fd total=$((40 * MIB))
	slow_and_quick
	step_nowait "$G" fill $total
	wait_until is_held
	# What it has in its own pipe it has not been asked to print yet: no more than 1 MiB of it.
	[ "$(stat -c %s "$T/b.out")" -le $((MIB + RING + MIB)) ]
	head -c $((10 * MIB)) <&"$fd" >"$T/s.all"
	wait_until 'is_held && [ "$(stat -c %s "$T/b.out")" -gt '$((10 * MIB))' ]'
	[ "$(stat -c %s "$T/b.out")" -le $((10 * MIB + RING + MIB + MIB)) ]
	cat <&"$fd" >>"$T/s.all" &
	step "$G" exit 0
	assert_rc 0 a b s
	wait $!
	exec {fd}<&-
	{ echo begin && flood $total; } >"$T/want"
	for n in a.all b.out s.all; do cmp "$T/want" "$T/$n"; done
	wait_until nothing_kept
}

@test "B02: a reader that is stuck for 10 s while others wait is left behind: 125 with the good bytes named, the others get it all" {
	local fd good
	slow_and_quick
	step "$G" fill $((30 * MIB))
	step "$G" exit 0
	assert_rc 0 a b
	cat <&"$fd" >"$T/s.all"
	exec {fd}<&-
	assert_rc 125 s
	good=$(stat -c %s "$T/s.all")
	{ echo begin && flood $((30 * MIB)); } >"$T/want"
	cmp -n "$good" "$T/want" "$T/s.all"
	[ "$good" -lt $((30 * MIB)) ]
	is_message "$T/s.err" "too slow.* after $good good bytes"
}

@test "B02: a reader in the way that is killed holds nobody" {
	local fd
	unkept a k -- gate "$G"
	gate_up
	slow_reader s k
	exec {fd}<"$T/s.fifo"
	step "$G" out begin
	head -c 6 <&"$fd" >"$T/s.all"
	step_nowait "$G" fill $((30 * MIB))
	wait_until is_held
	kill -9 "$(pid_of s)"
	step "$G" exit 0
	assert_rc 0 a
	exec {fd}<&-
	assert_rc 137 s
	{ echo begin && flood $((30 * MIB)); } | cmp - "$T/a.all"
}

@test "G15: newcomers run their own at once, in parallel, while a run cannot be stored and for a while after; rm ends that" {
	mkdir "$T/crowd"
	unkept a k -- gate "$G"
	gate_up
	step "$G" fill $((2 * MIB))
	wait_until streaming
	run -0 timeout 60 crowd 100 "$T/crowd" "$SC" get k -- fails -n "$T/count" -o own
	assert_output '0 100'
	[ "$(wc -l <"$T/count")" = 100 ]
	for nr in {0..99}; do
		is_file "$T/crowd/$nr.out" 'own\n'
		is_message "$T/crowd/$nr.err" 'k: not shared'
	done
	run -125 "$SC" get --strict k -- touch "$T/ran"
	[ ! -e "$T/ran" ]
	run -1 "$SC" get k # there is nothing that could be read from its beginning
	step "$G" exit 0
	assert_rc 0 a
	run -0 --separate-stderr "$SC" get k -- echo own
	assert_output own
	"$SC" rm k
	run -0 --separate-stderr "$SC" get k -- echo shared
	[ -z "$stderr" ]
	run -0 "$SC" get k
	assert_output shared
}

@test "G15: a run that ends with the very bytes that cannot be stored is remembered all the same" {
	mkdir -m 700 "$SC_DIR" && echo 'max-entry = 4K' >"$SC_DIR/config"
	for status in 0 3; do
		run -$status --separate-stderr "$SC" get "k$status" -- sh -c 'head -c 5000 /dev/zero | tr "\\0" x; exit '$status
		[ "${#output}" = 5000 ]
		run -0 --separate-stderr "$SC" get "k$status" -- echo own
		assert_output own
		assert_regex "$stderr" 'not shared'
	done
}

@test "G15: a put of a key that could not be stored is stored, and ends that" {
	unkept a k -- gate "$G"
	gate_up
	step "$G" fill $((2 * MIB))
	step "$G" exit 0
	assert_rc 0 a
	echo put | "$SC" put k
	"$SC" rm k
	run -0 --separate-stderr "$SC" get k -- echo shared
	[ -z "$stderr" ]
}

@test "B02: the last reader leaves: the command is stopped; with --finish it ends by itself" {
	unkept a k -- gate "$G"
	gate_up
	step "$G" fill $((2 * MIB))
	wait_until streaming
	kill -TERM "$(client_of k)"
	wait_until 'dead "$(gate_pid)"'
	rc a >/dev/null
	wait_until nothing_kept
	unkept b --finish k2 -- gate "$G"
	gate_up "$G" 2
	step "$G" fill $((2 * MIB))
	step "$G" out more
	kill -9 "$(client_of --finish k2)"
	step "$G" fill $((20 * MIB))
	step "$G" exit 0
	rc b >/dev/null
	wait_until nothing_kept
}

@test "B02: | head of a run that cannot be stored: 141, silently; the others get it all" {
	unkept a k -- gate "$G"
	gate_up
	bg_sh h '"$SC" get k | head -c 3000000'
	readers 2
	step "$G" fill $((2 * MIB))
	wait_until '[ "$(stat -c %s "$T/h.out")" = '$((2 * MIB))' ]'
	step "$G" fill $((8 * MIB))
	[ "$(pipe_status h)" = '141 0' ]
	is_flood "$T/h.out" 3000000
	is_empty "$T/h.err"
	step "$G" exit 0
	assert_rc 0 a
	is_flood "$T/a.all" $((10 * MIB))
}

@test "B02: the daemon is killed in the middle: all is read to its end, the next daemon lets nobody join" {
	unkept a k -- gate "$G"
	gate_up
	bg b "$SC" get k
	readers 2
	step "$G" fill $((2 * MIB))
	wait_until '[ "$(stat -c %s "$T/b.out")" = '$((2 * MIB))' ]'
	kill_daemon
	run -0 --separate-stderr "$SC" get k -- echo own
	assert_output own
	step "$G" fill $((8 * MIB))
	step "$G" exit 4
	assert_rc 4 a b
	is_flood "$T/a.all" $((10 * MIB))
	is_flood "$T/b.out" $((10 * MIB))
	wait_until nothing_kept
}

@test "B02: the writer is killed in the middle: 125 with the good bytes named; who has printed nothing runs it again" {
	unkept a k -- gate "$G"
	gate_up
	bg b "$SC" get -q k -- gate "$G"
	bg c "$SC" get -q --atomic k -- fails -o mine
	readers 3
	step "$G" fill $((5 * MIB))
	wait_until '[ "$(stat -c %s "$T/b.out")" = '$((5 * MIB))' ]'
	kill -9 "$(parent_of "$(gate_pid)")"
	assert_rc 125 a b
	is_message "$T/a.err" "after $((5 * MIB)) good bytes"
	is_flood "$T/b.out" $((5 * MIB))
	assert_rc 0 c
	is_file "$T/c.out" 'mine\n'
	[ "$(runs)" = 1 ]
	wait_until nothing_kept
}

@test "B02: --atomic prints nothing before the run has succeeded, and then all of it; -o replaces a file as a whole" {
	unkept a k -- gate "$G"
	gate_up
	bg b "$SC" get --atomic k
	bg c "$SC" get -o "$T/c.file" k
	readers 3
	step "$G" fill $((10 * MIB))
	step "$G" err said
	step "$G" fill $((10 * MIB))
	is_empty "$T/b.out"
	[ ! -e "$T/c.file" ]
	step "$G" exit 0
	assert_rc 0 a b c
	is_flood "$T/b.out" $((20 * MIB))
	is_flood "$T/c.file" $((20 * MIB))
	is_file "$T/b.err" 'said\n'
}

@test "B02: --atomic: a run that cannot be stored and fails prints its stderr only" {
	unkept a k -- gate "$G"
	gate_up
	bg b "$SC" get --atomic k
	readers 2
	step "$G" fill $((10 * MIB))
	step "$G" err said
	step "$G" exit 5
	assert_rc 5 a b
	is_empty "$T/b.out"
	is_file "$T/b.err" 'said\n'
}

@test "B02: a renewal in the background that cannot be stored ends by itself and holds nobody" {
	start_daemon
	(ulimit -f 1024 && "$SC" warm k -- gate "$G")
	gate_up
	step "$G" fill $((20 * MIB))
	step "$G" exit 0
	wait_until '[ "$(flights)" = 0 ]'
	wait_until nothing_kept
}

@test "B02: put: those who follow it get all of it, its giver 125" {
	start_daemon
	bg_sh p '(ulimit -f 1024; gate "$G" | "$SC" put k; exit "${PIPESTATUS[1]}")'
	gate_up
	step "$G" out begin
	bg f "$SC" get k
	shows f 'begin\n'
	step "$G" fill $((10 * MIB))
	step "$G" exit 0
	[ "$(pipe_status p)" = 125 ]
	assert_rc 0 f
	{ echo begin && flood $((10 * MIB)); } | cmp - "$T/f.out"
	is_message "$T/p.err" 'File too large'
	wait_until nothing_kept
}

@test "B02: --linger cuts what the command has left behind, also where it cannot be stored" {
	unkept a --linger 0 k -- gate "$G"
	gate_up
	step "$G" fill $((3 * MIB))
	step "$G" fork rest
	wait_until '[ -p "$G/rest" ]'
	step "$G:rest" out last
	step "$G" exit 0
	assert_rc 0 a
	{ flood $((3 * MIB)) && echo last; } | cmp - "$T/a.all"
	step "$G:rest" exit 0
}

@test "B21: an output larger than max-entry: all who read get all of it, nothing is kept, newcomers run their own at once" {
	mkdir -m 700 "$SC_DIR"
	printf '[bucket default]\nmax-entry = 1M\n' >"$SC_DIR/config"
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg b "$SC" get k
	step "$G" fill 500000
	wait_until '[ "$(stat -c %s "$T/b.out")" = 500000 ]'
	step "$G" fill $((50 * MIB))
	run -0 --separate-stderr "$SC" get k -- echo own
	assert_output own
	[[ $stderr = *'not shared'*'max-entry'* ]]
	step "$G" exit 0
	assert_rc 0 a b
	is_flood "$T/a.out" $((50 * MIB + 500000))
	is_flood "$T/b.out" $((50 * MIB + 500000))
	is_message "$T/a.err" 'not kept: too large .*max-entry'
	is_empty "$T/b.err"
	wait_until nothing_kept
	# What just fits is kept.
	"$SC" get fits -- head -c $((1024 * 1024)) /dev/zero | cmp - <(head -c $((1024 * 1024)) /dev/zero)
	run -0 "$SC" ls
	assert_output fits
}

@test "B04: nothing is left that could be evicted for a run: it is streaming-only from there" {
	mkdir -m 700 "$SC_DIR"
	printf 'max-size = 40M\n' >"$SC_DIR/config"
	entry old 'old\n'
	bg a "$SC" get k -- flood $((200 * MIB))
	assert_rc 0 a
	is_flood "$T/a.out" $((200 * MIB))
	is_message "$T/a.err" 'not kept: No space left'
	wait_until '[ "$(flights)" = 0 ]'
	wait_until '[ "$(du -sm "$SC_DIR/objects" | cut -f 1)" -le 40 ]'
}
