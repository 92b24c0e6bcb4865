#!/usr/bin/env bats
# FAULTS A12: the process that runs the command is killed.
load ../helper

kill_writer() {
	local writer
	writer=$(parent_of "$(gate_pid)")
	kill -9 "$writer"
	wait_until "dead $writer"
}


@test "A12: nothing printed yet: exactly one of many leads again, all get everything, two runs" {
	local nr names=()
	bg f0 "$SC" get k -- gate "$G"
	gate_up
	for nr in {1..9}; do
		bg f$nr "$SC" get k -- gate "$G"
		names+=(f$nr)
	done
	readers 10
	kill_writer
	gate_up "$G" 2
	step "$G" out all
	step "$G" exit 3
	assert_rc 3 f0 "${names[@]}"
	for nr in {0..9}; do
		is_file "$T/f$nr.out" 'all\n'
		is_empty "$T/f$nr.err"
	done
	[ "$(runs)" = 2 ]
}

# The leader and a follower have printed, of a run that is killed after so much; the second run repeats it and goes on.
goes_on_after() { # BYTES OF TOTAL
	local fd
	bg l "$SC" get k -- gate "$G"
	gate_up
	bg f "$SC" get k -- gate "$G"
	readers 2
	step "$G" fill "$1"
	wait_until '[ "$(cat "$T/l.out" "$T/f.out" | wc -c)" = '$((2 * $1))' ]'
	kill_writer
	gate_up "$G" 2
	bg late "$SC" get k
	readers 3
	# Half of what was printed first: nothing of it may come twice.
	step "$G" fill $(($1 / 2))
	step "$G" fill $(($2 - $1 / 2))
	step "$G" exit 0
	assert_rc 0 l f late
	is_flood "$T/l.out" "$2"
	is_flood "$T/f.out" "$2"
	is_flood "$T/late.out" "$2"
	is_empty "$T/l.err"
	is_empty "$T/f.err"
	[ "$(runs)" = 2 ]
	"$SC" get k >"$T/hit"
	is_flood "$T/hit" "$2"
}

@test "A12: one byte printed: every caller goes on after it with the second run" { goes_on_after 1 1000; }
@test "A12: half of it printed: every caller goes on after it" { goes_on_after 5000000 10000000; }
@test "A12: nearly all of it printed: every caller goes on after it" { goes_on_after 999990 1000000; }

@test "A12: a second run that prints something else: 125, naming the good bytes; who had printed nothing gets it whole" {
	bg l "$SC" get k -- gate "$G"
	gate_up
	step "$G" out 0123456789
	shows l '0123456789\n'
	bg stopped "$SC" get k -- gate "$G"
	readers 2
	shows stopped '0123456789\n'
	kill_writer
	gate_up "$G" 2
	bg late "$SC" get k
	readers 3
	step "$G" out 0123456_89
	assert_rc 125 l stopped
	is_message "$T/l.err" 'incomplete after 11 good bytes'
	is_file "$T/l.out" '0123456789\n'
	step "$G" exit 0
	assert_rc 0 late
	is_file "$T/late.out" '0123456_89\n'
}

@test "A12: a second run that prints less: 125, naming the good bytes" {
	bg l "$SC" get k -- gate "$G"
	gate_up
	step "$G" out 0123456789
	shows l '0123456789\n'
	kill_writer
	gate_up "$G" 2
	step "$G" outn 01234
	step "$G" exit 0
	assert_rc 125 l
	is_message "$T/l.err" 'incomplete after 11 good bytes'
	is_file "$T/l.out" '0123456789\n'
}

@test "A12: stderr that is repeated is not shown twice, however it is cut" {
	bg l "$SC" get k -- gate "$G"
	gate_up
	step "$G" errn ab
	step "$G" out x
	step "$G" errn cdef
	shows l 'x\n'
	wait_until '[ "$(cat "$T/l.err")" = abcdef ]'
	kill_writer
	gate_up "$G" 2
	step "$G" errn abcd
	step "$G" out x
	step "$G" errn efgh
	step "$G" out y
	step "$G" exit 0
	assert_rc 0 l
	is_file "$T/l.out" 'x\ny\n'
	is_file "$T/l.err" abcdefgh
}

@test "A12: stderr that differs is shown whole after one line; stdout decides" {
	bg l "$SC" get k -- gate "$G"
	gate_up
	step "$G" err 'pid 17'
	step "$G" out x
	shows l 'x\n'
	wait_until '[ -s "$T/l.err" ]'
	kill_writer
	gate_up "$G" 2
	step "$G" err 'pid 18'
	step "$G" out x
	step "$G" out y
	step "$G" err end
	step "$G" exit 0
	assert_rc 0 l
	is_file "$T/l.out" 'x\ny\n'
	grep -vx 'sc: k: .*second time.*' "$T/l.err" >"$T/rest"
	[ "$(lines_in "$T/l.err")" = 4 ]
	is_file "$T/rest" 'pid 17\npid 18\nend\n'
}

@test "A12: a second run that says less on stderr: what it says is shown whole at its end" {
	bg l "$SC" get k -- gate "$G"
	gate_up
	step "$G" errn abc
	step "$G" out x
	shows l 'x\n'
	wait_until '[ "$(cat "$T/l.err")" = abc ]'
	kill_writer
	gate_up "$G" 2
	step "$G" out x
	step "$G" errn ab
	step "$G" exit 0
	assert_rc 0 l
	is_file "$T/l.out" 'x\n'
	[ "$(tail -n 1 "$T/l.err")" = ab ]
}

@test "A12: --strict: 125 naming the good bytes, no second run" {
	bg l "$SC" get --strict k -- gate "$G"
	gate_up
	bg nothing "$SC" get --strict k2 -- gate "$(new_gate g2)"
	gate_up "$T/g2"
	step "$G" out abc
	shows l 'abc\n'
	kill_writer
	kill -9 "$(parent_of "$(gate_pid "$T/g2")")"
	assert_rc 125 l nothing
	is_message "$T/l.err" 'incomplete after 4 good bytes'
	is_message "$T/nothing.err" 'died'
	[ "$(runs)" = 1 ]
	[ "$(runs "$T/g2")" = 1 ]
}

@test "A12: lost twice: who has printed stops with 125, who has not runs the command itself; no third shared run" {
	bg printed "$SC" get k -- gate "$G"
	gate_up
	step "$G" out abc
	shows printed 'abc\n'
	kill_writer
	gate_up "$G" 2
	step "$G" out abc
	kill_writer
	assert_rc 125 printed
	is_message "$T/printed.err" 'incomplete after 4 good bytes'
	wait_until nothing_kept
	bg silent "$SC" get j -- gate "$G"
	gate_up "$G" 3
	kill_writer
	gate_up "$G" 4
	kill_writer
	gate_up "$G" 5
	step "$G" out self
	step "$G" exit 4
	assert_rc 4 silent
	is_file "$T/silent.out" 'self\n'
	is_message "$T/silent.err" 'directly'
	wait_until nothing_kept
}

@test "A12: followers without a command wait for one who can lead" {
	bg l "$SC" get k -- gate "$G"
	gate_up
	bg printed "$SC" get k
	bg nothing "$SC" get k
	readers 3
	kill -STOP "$(pid_of nothing)"
	step "$G" out abc
	shows printed 'abc\n'
	shows l 'abc\n'
	# The one who can lead is the last to hear of it.
	kill -STOP "$(pid_of l)"
	kill_writer
	kill -CONT "$(pid_of nothing)"
	wait_until '[ "$(grep -c "dying\|lost" "$SC_DIR/scd.log")" -ge 1 ]'
	wait_until '! "$SC" ps | grep -q .'
	is_running printed
	kill -CONT "$(pid_of l)"
	gate_up "$G" 2
	step "$G" out abc
	step "$G" out def
	step "$G" exit 0
	assert_rc 0 l printed nothing
	is_file "$T/l.out" 'abc\ndef\n'
	is_file "$T/printed.out" 'abc\ndef\n'
	is_file "$T/nothing.out" 'abc\ndef\n'
}

@test "A12: nobody is left who can lead: 1, or 125 for one that has printed" {
	bg l "$SC" get --finish k -- gate "$G"
	gate_up
	bg printed "$SC" get k
	readers 2
	step "$G" out abc
	shows printed 'abc\n'
	kill -9 "$(pid_of l)"
	bg nothing bash -c 'kill -STOP $$; exec "$@"' - "$SC" get k
	wait_until 'grep -q "^State:.T" "/proc/$(pid_of nothing)/status"'
	readers 1
	kill_writer
	assert_rc 125 printed
	is_message "$T/printed.err" 'incomplete after 4 good bytes'
	kill -CONT "$(pid_of nothing)"
	assert_rc 1 nothing
}

@test "A12: the command and its children are dead before anyone leads again" {
	local first child
	bg l "$SC" get k -- gate "$G"
	gate_up
	first=$(gate_pid)
	step "$G" ignore TERM
	step "$G" fork child
	wait_until '[ -p "$G/child" ] || [ "$(procs child "$first" | wc -l)" = 1 ]'
	child=$(procs child "$first")
	bg f "$SC" get k -- sh -c "for p in $first $child; do
		case \$(sed -e 's/.*) //' /proc/\$p/stat 2>/dev/null) in '' | Z* | X*) ;; *) exit 9 ;; esac; done; exec gate $G"
	readers 2
	kill -9 "$(pid_of l)"
	wait_until 'dead "$(pid_of l)"'
	kill_writer
	gate_up "$G" 2
	dead "$first"
	dead "$child"
	step "$G" exit 0
	assert_rc 0 f
}

@test "A12: the writer is killed before its command has printed or the daemon heard of it: the command does not run on alone" {
	use_test_build
	# Dies right behind the start of the command, each time anew, until the caller runs the command itself.
	bg l env SC_KILLAT=command_started:1 "$SC" get k -- gate "$G"
	wait_until '[ "$(gate_pid)" = "$(pid_of l)" ]'
	while read -r pid; do
		[ "$pid" = "$(gate_pid)" ] || dead "$pid"
	done <"$G/runs"
	step "$G" exit 0
	assert_rc 0 l
}

@test "A12: the same while no daemon lives: the next daemon finds the run lost, one leads again" {
	bg l "$SC" get k -- gate "$G"
	gate_up
	bg f "$SC" get k -- gate "$G"
	readers 2
	step "$G" out abc
	shows f 'abc\n'
	shows l 'abc\n'
	kill_daemon
	kill_writer
	gate_up "$G" 2
	step "$G" out abc
	step "$G" out def
	step "$G" exit 0
	assert_rc 0 l f
	is_file "$T/l.out" 'abc\ndef\n'
	is_file "$T/f.out" 'abc\ndef\n'
	[ "$(runs)" = 2 ]
}

@test "A12: who waits for a key, and loses its run while no daemon lives, waits on with the next one and is asked once" {
	bg l "$SC" get k -- gate "$G"
	gate_up
	bg f "$SC" get k -v --wait 1m
	readers 2
	kill_daemon
	kill_writer
	kill -9 "$(pid_of l)"
	start_daemon
	# It knows after two seconds that nobody comes who can lead.
	wait_until 'grep -q "waiting for the key to begin to exist" "$T/f.err"'
	echo value | "$SC" put k
	assert_rc 0 f
	is_file "$T/f.out" 'value\n'
	[ "$(grep -c "waiting for" "$T/f.err")" = 2 ]
	! grep -q "does not read" "$SC_DIR/scd.log"
}

@test "A12: the writer dies where no daemon can be had any more: its readers notice all the same" {
	bg l "$SC" get --strict k -- gate "$G"
	gate_up
	bg f "$SC" get k
	readers 2
	step "$G" out abc
	shows f 'abc\n'
	shows l 'abc\n'
	kill_daemon
	mv "$SC_DIR" "$SC_DIR.away"
	touch "$SC_DIR"
	kill_writer
	assert_rc 125 l f
	is_message "$T/l.err" 'incomplete after 4 good bytes'
	is_message "$T/f.err" 'incomplete after 4 good bytes'
	rm "$SC_DIR"
	mv "$SC_DIR.away" "$SC_DIR"
	"$SC" get other -- true # the next daemon clears up
}

# It asks again and gets a hit; signals are caught since it followed.
@test "A12: Ctrl-C ends a caller that replays what a second run has left, in the middle of it" {
	mkfifo "$T/f.fifo"
	bg l "$SC" get k -- gate "$G"
	gate_up
	bg f env --default-signal=INT bash -c 'exec "$0" get k >"$1"' "$SC" "$T/f.fifo"
	exec {fd}<"$T/f.fifo"
	readers 2
	kill -STOP "$(pid_of f)"
	kill_writer
	gate_up "$G" 2
	step "$G" fill 3000000
	step "$G" exit 0
	assert_rc 0 l
	kill -CONT "$(pid_of f)"
	head -c 10 <&"$fd" >/dev/null # it prints, and stands at the end of the pipe
	kill -INT "$(pid_of f)"
	assert_rc 130 f
	exec {fd}<&-
}
