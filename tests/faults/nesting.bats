#!/usr/bin/env bats
# FAULTS G16 to G18: runs that need themselves or each other. Whatever would wait for itself runs its command directly; every test
# ends within a bound.
load ../helper

prepare() {
	cat >"$T/inner" <<'END'
#!/bin/sh
# inner WAY GATE KEY [OPTION…]: a command that gets KEY once its gate (-: none) is open, as WAY says: with the environment as it
# is (plain), without it (bare), from a session of its own (apart). Then says how that ended.
way=$1 gate=$2 key=$3
shift 3
[ "$gate" = - ] || gate "$gate"
set -- "$SC" get "$@" "$key" -- sh -c 'echo direct && echo direct >>"$0"' "$T/direct"
case $way in
bare) set -- env -i PATH="$PATH" HOME="$HOME" SC_DIR="$SC_DIR" "$@" ;;
apart) set -- setsid -w "$@" ;;
esac
"$@" &
echo $! >"$T/client.$key"
wait $!
echo "$key $?" >>"$T/statuses"
END
	chmod +x "$T/inner"
	: >"$T/direct"
	: >"$T/statuses"
	GA=$(new_gate ga) GB=$(new_gate gb) GC=$(new_gate gc)
}

BOUND=$((30 * SLACK))

# went_direct N: so often a command was run directly. ended STATUS N: so many inner ones ended so.
went_direct() { [ "$(lines_in "$T/direct")" = "$1" ]; }
ended() { [ "$(grep -c " $1\$" "$T/statuses")" = "$2" ]; }
# followed KEY N: the run of KEY gets N readers by their connections.
readers() { "$SC" ps | awk -v key="$1" '$NF == key { print $6 }'; }
followed() { wait_until "[ \"\$(readers '$1')\" = '$2' ]"; }
open_gate() { step "$1" exit 0; }
says_why() { grep -hE '^sc: .*waits for us' "$T/$1.err" | sort -u | wc -l; }

@test "G16: a command that asks for its own key gets it run directly, with one line; --strict: 125; never a deadlock" {
	run -0 --separate-stderr timeout $BOUND "$SC" get k -- "$SC" get k -- echo inner
	assert_output inner
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'k: its run waits for us.*directly'
	run -125 timeout $BOUND "$SC" get l -- "$SC" get --strict l -- echo inner
	run -0 --separate-stderr timeout $BOUND "$SC" get m -- "$SC" get n -- "$SC" get m -- echo inner
	assert_output inner
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'm: its run waits for us.*directly'
}

@test "G16: without a command, or to refresh: told at once, as well" {
	run -125 --separate-stderr timeout $BOUND "$SC" get k -- "$SC" get k
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'k: its run waits for us'
	run -125 timeout $BOUND "$SC" get k -- "$SC" get --wait 1h k
	run -0 timeout $BOUND "$SC" get k -- "$SC" get -r k -- echo inner
	assert_line inner
	run -1 timeout $BOUND "$SC" get k2 -- "$SC" get --wait 0 k2
}

@test "G16: a run that was removed is not waited for by its own command, which begins a new one" {
	bg a "$SC" get k -- "$T/inner" plain "$GA" k
	gate_up "$GA"
	"$SC" rm k
	open_gate "$GA"
	assert_rc 0 a
	ended 0 1
	is_file "$T/a.out" 'direct\n'
	is_empty "$T/a.err"
	run -0 "$SC" get k
	assert_output direct
}

@test "G17: two trees that need each other: one of the two is run directly, in either order and at once" {
	for round in {1..6}; do
		: >"$T/direct" && : >"$T/statuses"
		local a=$round.a b=$round.b ga gb
		ga=$(new_gate "ga$round") gb=$(new_gate "gb$round")
		bg a "$SC" get "$a" -- "$T/inner" plain "$ga" "$b"
		bg b "$SC" get "$b" -- "$T/inner" plain "$gb" "$a"
		gate_up "$ga" && gate_up "$gb"
		case $((round % 3)) in
		0) open_gate "$ga" && followed "$b" 2 && open_gate "$gb" ;;
		1) open_gate "$gb" && followed "$a" 2 && open_gate "$ga" ;;
		2) step_nowait "$ga" exit 0 && step_nowait "$gb" exit 0 ;;
		esac
		assert_rc 0 a b
		went_direct 1
		ended 0 2
		is_file "$T/a.out" 'direct\n'
		is_file "$T/b.out" 'direct\n'
		[ "$(says_why a)" = 1 ]
		[ "$(says_why b)" = 1 ] # what one said the other replays
	done
}

@test "G17: two trees that need each other, both --strict: one is told 125, the other gets its output" {
	bg a "$SC" get a -- "$T/inner" plain "$GA" b --strict
	bg b "$SC" get b -- "$T/inner" plain "$GB" a --strict
	gate_up "$GA" && gate_up "$GB"
	open_gate "$GA"
	followed b 2
	open_gate "$GB"
	assert_rc 0 a b
	went_direct 0
	ended 125 1
	ended 0 1
}

@test "G17: three trees in a ring: one is run directly, the other two share" {
	bg a "$SC" get a -- "$T/inner" plain "$GA" b
	bg b "$SC" get b -- "$T/inner" bare "$GB" c
	bg c "$SC" get c -- "$T/inner" plain "$GC" a
	gate_up "$GA" && gate_up "$GB" && gate_up "$GC"
	open_gate "$GB"
	followed c 2
	open_gate "$GA"
	followed b 2
	open_gate "$GC"
	assert_rc 0 a b c
	went_direct 1
	ended 0 3
	for n in a b c; do is_file "$T/$n.out" 'direct\n'; done
}

@test "G17: a run begun in between: A gets C, whose command gets B, whose command gets A" {
	bg a "$SC" get a -- sh -c 'gate "$1" && exec "$SC" get c -- "$T/inner" bare - b' - "$GA"
	bg b "$SC" get b -- "$T/inner" bare "$GB" a
	gate_up "$GA" && gate_up "$GB"
	open_gate "$GA"
	followed b 2
	open_gate "$GB"
	assert_rc 0 a b
	went_direct 1
	ended 0 2
}

@test "G17: somebody who waits for the next run of a key is asked again when a circle would close" {
	# b is being stopped and has no end yet: who wants it waits for the next run.
	local g2
	g2=$(new_gate g2)
	bg b1 "$SC" get b -- gate "$g2"
	step "$g2" ignore TERM
	step "$g2" out x
	shows b1 'x\n'
	bg a "$SC" get a -- "$T/inner" plain "$GA" b
	gate_up "$GA"
	kill -TERM "$(pid_of b1)"
	wait_until '"$SC" ps | grep -q . && grep -q "to=stopping" "$SC_DIR/scd.log"'
	bg b2 "$SC" get b -- "$T/inner" bare - a
	open_gate "$GA"
	kill -9 "$(gate_pid "$g2")"
	assert_rc 0 a b2
	[ "$(rc b1)" = 143 ]
	grep -q direct "$T/a.out"
}

@test "G17: who waits in line for a key's next run is waited with: the run that needs them is told" {
	local g1
	g1=$(new_gate g1)
	bg b1 "$SC" get b -- gate "$g1"
	gate_up "$g1"
	bg b2 "$SC" get -r b -- "$T/inner" bare "$GB" a
	gate_up "$GB"
	bg a "$SC" get a -- "$T/inner" plain "$GA" b -r -v
	gate_up "$GA"
	open_gate "$GA"
	wait_until 'grep -q "waiting for the next run" "$T/a.err"' # for an end of b1 or b2
	open_gate "$GB"
	assert_rc 0 b2 a
	[ "$(says_why b2)" = 1 ]
	is_file "$T/b2.out" 'direct\n'
	is_file "$T/a.out" 'direct\n'
	ended 0 2
	open_gate "$g1"
	assert_rc 0 b1
}

@test "G17: nested use that is no circle shares: one run of L for K's command and for others" {
	local gl
	gl=$(new_gate gl)
	bg l "$SC" get l -- gate "$gl"
	step "$gl" out one
	bg k "$SC" get k -- "$T/inner" plain - l
	bg m "$SC" get m -- "$T/inner" bare - l
	shows k 'one\n'
	shows m 'one\n'
	# Begun inside of K, and followed from outside, and from inside of another.
	bg k2 "$SC" get k2 -- "$SC" get l2 -- gate "$GA"
	step "$GA" out two
	bg l2 "$SC" get l2
	bg m2 "$SC" get m2 -- "$T/inner" bare - l2
	shows m2 'two\n'
	open_gate "$gl"
	open_gate "$GA"
	assert_rc 0 k l m k2 l2 m2
	went_direct 0
	[ "$(runs "$gl") $(runs "$GA")" = '1 1' ]
	for n in k l m k2 l2 m2; do is_empty "$T/$n.err"; done
	is_file "$T/l2.out" 'two\n'
}

@test "G17: a caller in the session of the outer client is not inside of its run" {
	bg_sh s 'setsid -w sh -c "\"\$SC\" get k -- gate \"\$G\" >\"\$T/one\" & until [ -e \"\$G/runs\" ]; do sleep 0.02; done
		\"\$SC\" get k -- echo wrong >\"\$T/two\"; wait"'
	gate_up
	followed k 2
	step "$G" out x
	open_gate "$G"
	[ "$(pipe_status s)" = 0 ]
	is_file "$T/one" 'x\n'
	is_file "$T/two" 'x\n'
	is_empty "$T/s.err"
	[ "$(runs)" = 1 ]
}

@test "G18: with the environment stripped the session tells: itself, K to L to K, two trees" {
	bg k "$SC" get k -- "$T/inner" bare - k
	assert_rc 0 k
	went_direct 1
	[ "$(says_why k)" = 1 ]
	bg m "$SC" get m -- env -i PATH="$PATH" HOME="$HOME" SC_DIR="$SC_DIR" SC="$SC" T="$T" "$SC" get n -- "$T/inner" bare - m
	assert_rc 0 m
	went_direct 2
	bg a "$SC" get a -- "$T/inner" bare "$GA" b
	bg b "$SC" get b -- "$T/inner" bare "$GB" a
	gate_up "$GA" && gate_up "$GB"
	step_nowait "$GA" exit 0
	step_nowait "$GB" exit 0
	assert_rc 0 a b
	went_direct 3
	ended 0 4
}

@test "G18: in a session of its own the chain tells" {
	bg k "$SC" get k -- "$T/inner" apart - k
	assert_rc 0 k
	went_direct 1
	bg a "$SC" get a -- "$T/inner" apart "$GA" b
	bg b "$SC" get b -- "$T/inner" apart "$GB" a
	gate_up "$GA" && gate_up "$GB"
	open_gate "$GA"
	followed b 2
	open_gate "$GB"
	assert_rc 0 a b
	went_direct 2
}

@test "G18: an inner caller faster than its writer's word is found all the same, many times" {
	for nr in {1..25}; do
		run -0 timeout $BOUND "$SC" get "k$nr" -- env -i SC_DIR="$SC_DIR" HOME="$HOME" "$SC" get "k$nr" -- /bin/echo inner
		assert_line inner
	done
}

# outer WAY: a run k whose command will get k, of a daemon that is gone.
outer() {
	bg k "$SC" get k -- "$T/inner" "$1" "$GA" k
	gate_up "$GA"
	kill_daemon
}

@test "G18: after kill -9 of the daemon, the inner one asks before the outer has come back" {
	for way in plain bare; do
		outer $way
		open_gate "$GA"
		assert_rc 0 k
		"$SC" rm k
	done
	went_direct 2
	ended 0 2
}

@test "G18: after kill -9 of the daemon, the inner one asks when the outer has come back" {
	for way in plain bare; do
		outer $way
		start_daemon
		followed k 1
		open_gate "$GA"
		assert_rc 0 k
		"$SC" rm k
	done
	went_direct 2
	ended 0 2
}

# crossed WAY: two trees of which a's command already reads b, and a daemon that is gone.
crossed() {
	bg a "$SC" get a -- "$T/inner" "$1" "$GA" b
	bg b "$SC" get b -- "$T/inner" "$1" "$GB" a
	gate_up "$GA" && gate_up "$GB"
	open_gate "$GA"
	followed b 2
	kill_daemon
}

both_come_back() {
	start_daemon
	followed b 2 && followed a 1
}

# crossed_both_ways [CMD]: CMD is run before the second asks.
crossed_both_ways() {
	for way in plain bare; do
		crossed $way
		"${1:-:}"
		open_gate "$GB"
		assert_rc 0 a b
		"$SC" rm a b
		rm -rf "$GA" "$GB" && mkdir "$GA" "$GB"
	done
	went_direct 2
	ended 0 4
}

@test "G18: two trees, the daemon killed between the two questions: the second asks before the first has come back" {
	crossed_both_ways
}

@test "G18: two trees, the daemon killed between the two questions: the second asks when the first has come back" {
	crossed_both_ways both_come_back
}

@test "G18: two trees, the daemon killed between the two questions, both have printed: nothing is cut short" {
	for way in plain bare; do
		bg a "$SC" get a -- sh -c 'echo a; exec "$@"' - "$T/inner" $way "$GA" b
		bg b "$SC" get b -- sh -c 'echo b; exec "$@"' - "$T/inner" $way "$GB" a
		gate_up "$GA" && gate_up "$GB"
		open_gate "$GA"
		shows a 'a\nb\n'
		kill_daemon
		if [ $way = bare ]; then
			start_daemon # with nobody registered the session is not known yet
			wait_until '[ "$(grep -c "to=running why=.registered" "$SC_DIR/scd.log")" -ge 4 ]'
		fi
		open_gate "$GB"
		assert_rc 0 a b
		is_file "$T/a.out" 'a\nb\ndirect\n'
		is_file "$T/b.out" 'b\ndirect\n'
		"$SC" rm a b
		rm -rf "$GA" "$GB" && mkdir "$GA" "$GB"
	done
	went_direct 2
	ended 0 4
}

@test "G18: an inner caller let follow before its run's writer has registered is found when it does" {
	local writer
	bg a "$SC" get a -- "$T/inner" bare "$GA" b
	bg b "$SC" get b -- "$T/inner" bare "$GB" a
	gate_up "$GA" && gate_up "$GB"
	open_gate "$GB"
	followed a 2
	writer=$(parent_of "$(parent_of "$(gate_pid "$GA")")")
	kill -STOP "$writer"
	kill_daemon
	start_daemon
	followed a 2 # b needs a
	open_gate "$GA"
	followed b 2 # a needs b, but who that is nobody knows
	kill -CONT "$writer"
	assert_rc 0 a b
	went_direct 1
	ended 0 2
}

@test "G18: two trees, all of them held still while the next daemon comes: whoever closes the circle is told" {
	for way in plain bare; do
		crossed $way
		kill -STOP "$(cat "$T/client.b")" # the reader of b inside of a
		open_gate "$GB"
		followed a 2 # nobody knows of the other half
		kill -CONT "$(cat "$T/client.b")"
		assert_rc 0 a b
		"$SC" rm a b
		rm -rf "$GA" "$GB" && mkdir "$GA" "$GB"
	done
	went_direct 2
	ended 0 4
}

@test "G18: the same where the reader has printed: 125 that names the good bytes" {
	bg a "$SC" get a -- "$T/inner" plain "$GA" b
	bg b "$SC" get b -- sh -c 'echo begun; exec "$@"' - "$T/inner" plain "$GB" a
	gate_up "$GA" && gate_up "$GB"
	open_gate "$GA"
	shows a 'begun\n'
	kill_daemon
	kill -STOP "$(cat "$T/client.b")"
	open_gate "$GB"
	followed a 2
	kill -CONT "$(cat "$T/client.b")"
	assert_rc 0 a b
	ended 125 1
	grep -qE '^sc: b: its run waits for us: output is incomplete after [0-9]+ good bytes' "$T/a.err"
}

# stops_inside WORD…: a command that says `sc daemon WORD…` is not waited for by what it waits for.
stops_inside() {
	run -0 --separate-stderr timeout $BOUND "$SC" get k -- sh -c 'echo one; "$@" && echo two' - "$@"
	assert_output $'one\ntwo'
	[ -z "$stderr" ]
	run -0 "$SC" get k -- false # it was registered with the next daemon, and kept
	assert_output $'one\ntwo'
	"$SC" rm k
}

@test "G16: daemon stop and restart from inside of a run: the daemon goes at once, runs go on and are kept" {
	stops_inside "$SC" daemon stop
	stops_inside "$SC" daemon restart
	stops_inside "$SC" daemon stop --now
	stops_inside setsid -w "$SC" daemon stop                    # the chain tells
	stops_inside env -i SC_DIR="$SC_DIR" "$SC" daemon stop      # the session does
	stops_inside env -i SC_DIR="$SC_DIR" "$SC" daemon restart
	stops_inside "$SC" get inner -- "$SC" daemon stop --now
}

@test "G16: daemon stop from inside of a run of a run, of one in the foreground, of a warmed one" {
	run -0 timeout $BOUND "$SC" get a -- "$SC" get b -- "$SC" daemon stop
	run -0 timeout $BOUND "$SC" get --foreground c -- "$SC" daemon stop
	run -0 timeout $BOUND "$SC" warm d -- sh -c '"$SC" daemon restart; echo done'
	wait_until '[ "$("$SC" get -w 0 d)" = done ]'
	run -0 "$SC" ls
	assert_output $'a\nb\nc\nd'
}

@test "G16: daemon stop from inside of one run does not wait for others either; they lose nothing" {
	bg other "$SC" get other -- gate "$GA"
	step "$GA" out one
	run -0 timeout $BOUND "$SC" get k -- "$SC" daemon stop
	step "$GA" out two
	open_gate "$GA"
	assert_rc 0 other
	is_file "$T/other.out" 'one\ntwo\n'
	run -0 "$SC" get other
	assert_output $'one\ntwo'
}

@test "G16: somebody outside waits for the run that stops the daemon: both end" {
	bg k "$SC" get k -- sh -c 'gate "$0"; "$SC" daemon stop' "$GA"
	gate_up "$GA"
	bg s "$SC" daemon stop
	wait_until 'grep -q waiting "$T/s.err"'
	open_gate "$GA"
	assert_rc 0 k s
}

@test "G18: daemon stop with the environment stripped, faster than its writer's word, many times" {
	for nr in {1..15}; do
		run -0 timeout $BOUND "$SC" get "k$nr" -- env -i SC_DIR="$SC_DIR" "$SC" daemon stop
	done
}

@test "G18: daemon stop with the environment stripped, before the outer run has come back to a new daemon" {
	for round in {1..5}; do
		bg k "$SC" get "k$round" -- sh -c 'gate "$0"; env -i SC_DIR="$SC_DIR" "$SC" daemon stop' "$GA"
		gate_up "$GA" "$round"
		kill_daemon
		"$SC" daemon start
		open_gate "$GA"
		assert_rc 0 k
	done
}
