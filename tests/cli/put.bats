#!/usr/bin/env bats
# `sc put`: what FILE or stdin has to give becomes the entry, and can be followed while it arrives.
# run: sealed too, in a soak
load ../helper

# giver NAME ARG…: `sc put ARG…` in the background, with its stdin from a gate that `give NAME` steps.
giver() {
	local name=$1
	shift
	rm -rf "$T/$name.gate" "$T/$name.in"
	mkdir "$T/$name.gate"
	mkfifo "$T/$name.in"
	bg "feed.$name" sh -c 'exec gate "$0" >"$1"' "$T/$name.gate" "$T/$name.in"
	bg "$name" env --default-signal=INT,QUIT sh -c 'in=$1; shift; exec "$@" <"$in"' - "$T/$name.in" "$SC" put "$@"
	gate_up "$T/$name.gate"
	# It is known by now, or will not be: then a test that needs it says so.
	wait_until '"$SC" ps 2>/dev/null | grep -q .' 2 2>/dev/null || true
}
give() { step "$T/$1.gate" "${@:2}"; }
all_given() { give "$1" exit 0 && assert_rc 0 "feed.$1"; }

arrived() { wait_until "\"\$SC\" ps | grep -q '  $1 reader'"; } # so many follow the only run
runs_now() { "$SC" ps | wc -l; }
BOUND=$((30 * SLACK))

@test "put: what stdin or FILE has is the entry, every byte: text, binary, nothing, two hundred MiB" {
	run -0 --separate-stderr bash -c 'echo text | "$SC" put k'
	[ -z "$output$stderr" ]
	run -0 "$SC" get k
	assert_output text
	flood 3000001 >"$T/file"
	run -0 --separate-stderr "$SC" put k "$T/file" </dev/null
	[ -z "$output$stderr" ]
	"$SC" get k | cmp - "$T/file"
	printf 'a\0b\377\n\n' >"$T/binary"
	"$SC" put binary <"$T/binary"
	"$SC" get binary | cmp - "$T/binary"
	"$SC" put empty </dev/null
	run -0 "$SC" get empty -- touch "$T/ran"
	assert_output ''
	[ ! -e "$T/ran" ]
	flood 200M | "$SC" put big
	"$SC" get big | cmp - <(flood 200M)
	run -0 "$SC" ls
	assert_output $'big\nbinary\nempty\nk'
}

@test "put: FILE is read from its beginning, stdin from where it is; FILE stays what it was" {
	printf 'one\ntwo\n' >"$T/file"
	{ read -r _ && "$SC" put rest; } <"$T/file"
	run -0 "$SC" get rest
	assert_output two
	{ read -r _ && "$SC" put whole "$T/file"; } <"$T/file"
	run -0 "$SC" get whole
	assert_output $'one\ntwo'
	is_file "$T/file" 'one\ntwo\n'
}

@test "put: followers attach while it arrives and see each line at once" {
	giver a k
	give a out one
	bg b "$SC" get k
	bg c "$SC" get k -- touch "$T/ran"
	shows b 'one\n'
	shows c 'one\n'
	give a out two
	bg d "$SC" get k
	for n in b c d; do shows $n 'one\ntwo\n'; done
	give a outn three
	for n in b c d; do shows $n 'one\ntwo\nthree'; done
	all_given a
	assert_rc 0 a b c d
	for n in a b c d; do is_empty "$T/$n.err"; done
	is_empty "$T/a.out"
	[ ! -e "$T/ran" ]
	run -0 "$SC" get k -- touch "$T/ran"
	assert_output $'one\ntwo\nthree'
	[ ! -e "$T/ran" ]
}

@test "put: a FIFO as FILE" {
	mkfifo "$T/fifo"
	bg a "$SC" put k "$T/fifo"
	bg feed sh -c 'exec gate "$G" >"$T/fifo"'
	step "$G" out one
	bg b "$SC" get k --wait 1h
	shows b 'one\n'
	step "$G" exit 0
	assert_rc 0 a b feed
	run -0 "$SC" get k
	assert_output one
}

@test "put: a good entry is what others get until the commit" {
	entry k 'old\n'
	giver a k
	give a out new
	bg b "$SC" get -r k -- gate "$G" # also whoever refreshes beside it
	wait_until '[ "$(runs_now)" = 2 ] || [ "$(runs)" = 1 ]'
	run -0 "$SC" get k
	assert_output old
	run -0 "$SC" get k -- touch "$T/ran"
	assert_output old
	all_given a
	assert_rc 0 a
	step "$G" exit 1
	assert_rc 1 b
	run -0 "$SC" get k
	[ ! -e "$T/ran" ]
}

@test "put: it dooms an older run, and is never overtaken by it" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out run
	shows a 'run\n'
	giver p k
	give p out put
	bg b "$SC" get k # the newest there is
	shows b 'put\n'
	all_given p
	assert_rc 0 p b
	run -0 "$SC" get k
	assert_output put
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'run\n'
	run -0 "$SC" get k
	assert_output put
}

@test "put: an older run that ends first is not committed, whatever becomes of the put" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out run
	giver p k
	give p out put
	wait_until '[ "$(runs_now)" = 2 ]'
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'run\n'
	run -0 "$SC" ls
	assert_output ''
	kill -TERM "$(pid_of p)"
	assert_rc 143 p
	all_given p
	run -1 "$SC" get k
	wait_until nothing_kept
}

@test "put: a run begun later, by --refresh, wins over it" {
	giver p k
	give p out put
	bg a "$SC" get -r k -- gate "$G"
	step "$G" out run
	step "$G" exit 0
	assert_rc 0 a
	all_given p
	assert_rc 0 p
	run -0 "$SC" get k
	assert_output run
}

@test "put: of two at once the newer wins, whichever ends first; never a mix" {
	for first in a b; do
		giver a "k$first"
		give a out a1
		giver b "k$first"
		give b out b1
		give a out a2
		give b out b2
		bg f "$SC" get "k$first"
		shows f 'b1\nb2\n'
		if [ $first = a ]; then
			all_given a && assert_rc 0 a
			all_given b && assert_rc 0 b
		else
			all_given b && assert_rc 0 b
			all_given a && assert_rc 0 a
		fi
		assert_rc 0 f
		run -0 "$SC" get "k$first"
		assert_output $'b1\nb2'
	done
}

@test "put: of three at once the third waits: never more than two runs of a key" {
	giver a k
	give a out a
	giver b k
	give b out b
	wait_until '[ "$(runs_now)" = 2 ]'
	giver c k
	give c out c
	for _ in {1..20}; do [ "$(runs_now)" = 2 ]; done
	all_given a
	assert_rc 0 a
	wait_until '[ "$(runs_now)" = 2 ]' # b and c
	all_given c
	assert_rc 0 c
	run -0 "$SC" get k
	assert_output c
	all_given b
	assert_rc 0 b
	run -0 "$SC" get k
	assert_output c
}

@test "put: a crowd of them ends, with one of their values, and never more than two at a time" {
	mkdir "$T/crowd"
	start_daemon
	bg crowd crowd 40 "$T/crowd" bash -c 'flood 300K | sed "s/^/$0/" | "$SC" put k' '{}'
	while is_running crowd; do
		[ "$(runs_now)" -le 2 ]
	done
	assert_rc 0 crowd
	is_file "$T/crowd.out" '0 40\n'
	"$SC" get k >"$T/got"
	for nr in {0..39}; do
		if flood 300K | sed "s/^/$nr/" | cmp -s - "$T/got"; then return 0; fi
	done
	echo 'a mix' && return 1
}

@test "put: a third that waits is ended by Ctrl-C at once, and has changed nothing" {
	local start
	giver a k && give a out a
	giver b k && give b out b
	wait_until '[ "$(runs_now)" = 2 ]'
	giver c k && give c out c
	wait_until 'grep -q poll "/proc/$(pid_of c)/wchan"' # for the daemon's answer
	start=$(now_ms)
	kill -INT "$(pid_of c)"
	assert_rc 130 c
	[ $(($(now_ms) - start)) -lt $((5000 * SLACK)) ]
	all_given c
	all_given a && all_given b
	assert_rc 0 a b
	run -0 "$SC" get k
	assert_output b
}

@test "put: INT, TERM, HUP end it: nothing is committed, the old entry stays, it dies of the signal" {
	local signal
	entry k 'old\n'
	for signal in INT TERM HUP; do
		giver a k
		give a out new
		wait_until '[ "$(runs_now)" = 1 ]'
		kill -$signal "$(pid_of a)"
		assert_rc $((128 + $(kill -l $signal))) a
		is_empty "$T/a.err"
		all_given a
		run -0 "$SC" get k
		assert_output old
		wait_until '[ "$(flights)" = 0 ] && [ "$(objects)" = 2 ]'
	done
}

@test "put: who leaves a run that was removed meanwhile is not told that it will be kept" {
	giver a k
	give a out new
	bg f "$SC" get k
	arrived 1
	"$SC" rm k
	kill -TERM "$(pid_of f)"
	assert_rc 143 f
	is_file "$T/f.err" 'sc: k: still running, not to be kept\n'
	all_given a
	assert_rc 0 a
	run -1 "$SC" get k
}

@test "put: FILE - is stdin; ./- is a file of that name" {
	cd "$T"
	echo file >./-
	echo in | "$SC" put k -
	[ "$("$SC" get k)" = in ]
	"$SC" put k ./- </dev/null
	[ "$("$SC" get k)" = file ]
	run -2 "$SC" put --move k -
	[ -e ./- ]
}

@test "put: one that was given up is told of as that, not as a run that nobody read" {
	watcher() { bg w "$SC" watch --json --count 2 k && wait_until '"$SC" stats --json | head -n 1 | jq -e ".watchers == 1" >/dev/null'; }
	start_daemon
	watcher
	giver a k
	give a out new
	wait_until '[ "$(runs_now)" = 1 ]'
	kill -TERM "$(pid_of a)"
	assert_rc 143 a
	all_given a
	assert_rc 0 w
	[ "$(jq -r '[.event, .reason] | join(" ")' "$T/w.out")" = $'start \ncancel put' ]
	wait_until '[ "$("$SC" explain --json k | jq -r .last.cause)" = given-up ]'
	"$SC" explain k | grep -q 'the put ended before its input did'
	run -1 "$SC" get k
	[ "$("$SC" explain --json k | jq -r .miss.cause)" = given-up ]
}

@test "put: Ctrl-C at a terminal: it dies of SIGINT, a shell's loop stops, nothing is committed" {
	bg p pty "$T/control" bash -c 'for nr in 1 2; do "$SC" put k; echo behind; done'
	wait_until '[ -p "$T/control" ]'
	printf 'type typed\n' >"$T/control"
	wait_until '[ "$(runs_now)" = 1 ]'
	bg f "$SC" get k
	shows f 'typed\n'
	printf 'key ^C\n' >"$T/control"
	assert_rc 130 p
	run -1 grep -q behind "$T/p.out"
	assert_rc 125 f
	wait_until nothing_kept
}

@test "put: what is typed at a terminal up to ^D is kept" {
	bg p pty "$T/control" "$SC" put k
	wait_until '[ -p "$T/control" ]'
	printf 'type typed\n' >"$T/control"
	bg f "$SC" get -w 1h k
	shows f 'typed\n'
	printf 'key ^D\n' >"$T/control"
	assert_rc 0 p f
	run -0 "$SC" get k
	assert_output typed
}

# How followers of a put that ends with SIGNAL fare.
followers_of() {
	[ "${SC_TEST_MODE:-clear}" = clear ] || return 0 # where it is sealed nobody goes on: see sealed.bats
	local signal=$1
	# With a command: one of them makes it, and goes on where it was.
	giver a k
	give a out one
	bg b "$SC" get k -- sh -c 'fails -n "$0"; echo one; echo two' "$T/count"
	shows b 'one\n'
	kill -$signal "$(pid_of a)"
	assert_rc $((128 + $(kill -l $signal))) a
	assert_rc 0 b
	is_file "$T/b.out" 'one\ntwo\n'
	[ "$(lines_in "$T/count")" = 1 ]
	all_given a
	"$SC" rm k
	# Without one: what has been printed is not whole.
	giver a k
	give a out one
	bg b "$SC" get k
	bg c "$SC" get k -o "$T/file"
	shows b 'one\n'
	arrived 2
	kill -$signal "$(pid_of a)"
	assert_rc 125 b
	assert_rc 1 c
	is_message "$T/b.err" 'incomplete after 4 good bytes'
	is_file "$T/b.out" 'one\n'
	[ ! -e "$T/file" ]
	all_given a
	# Nothing printed yet.
	giver a k
	wait_until '[ "$(runs_now)" = 1 ]'
	bg b "$SC" get k
	bg c "$SC" get k -- echo made
	arrived 2
	kill -$signal "$(pid_of a)"
	assert_rc 0 c
	is_file "$T/c.out" 'made\n'
	[[ $(rc b) =~ ^[01]$ ]]
	all_given a
	"$SC" rm k
}

@test "put: TERM: followers with a command ask again, the others are told 125 with the good bytes, or 1" { followers_of TERM; }
@test "put: INT: followers with a command ask again, the others are told 125 with the good bytes, or 1" { followers_of INT; }
@test "put: kill -9 of it is a dead writer: the same" { followers_of KILL; }

@test "put: kill -9 of it: the old entry stays, nothing is left" {
	entry k 'old\n'
	giver a k
	give a out new
	wait_until '[ "$(runs_now)" = 1 ]'
	kill -9 "$(pid_of a)"
	assert_rc 137 a
	all_given a
	wait_until '[ "$(flights)" = 0 ] && [ "$(objects)" = 2 ]'
	run -0 "$SC" get k
	assert_output old
}

@test "put: kill -9 of it: a follower without a command waits for one that can lead" {
	[ "${SC_TEST_MODE:-clear}" = clear ] || return 0
	giver a k
	give a out one
	bg b "$SC" get k
	bg c "$SC" get k -- gate "$G"
	shows b 'one\n' && shows c 'one\n'
	kill -9 "$(pid_of a)"
	step "$G" out one
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 b c
	is_file "$T/b.out" 'one\ntwo\n'
	is_file "$T/c.out" 'one\ntwo\n'
	all_given a
}

@test "put: readers that leave do not stop it" {
	giver a k
	give a out one
	bg b "$SC" get k
	bg_sh c '"$SC" get k | head -n 1'
	shows b 'one\n'
	kill -TERM "$(pid_of b)"
	assert_rc 143 b
	give a out two
	[ "$(pipe_status c)" = '141 0' ]
	wait_until '"$SC" ps | grep -q "  0 readers"'
	give a out three
	all_given a
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output $'one\ntwo\nthree'
}

@test "put: the last reader leaves while no daemon lives: it goes on" {
	giver a k
	give a out one
	bg b "$SC" get k
	shows b 'one\n'
	kill_daemon
	kill -TERM "$(pid_of b)"
	assert_rc 143 b
	lonely_for_long
	all_given a
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output one
}

@test "put: no back-pressure: a stopped follower does not hold it" {
	mkdir -m 700 "$SC_DIR"
	echo 'window = 1M' >"$SC_DIR/config"
	start_daemon
	giver a k
	give a fill 1
	bg b "$SC" get k
	wait_until '[ -s "$T/b.out" ]'
	kill -STOP "$(pid_of b)"
	give a fill 64M
	all_given a
	assert_rc 0 a
	kill -CONT "$(pid_of b)"
	assert_rc 0 b
	is_flood "$T/b.out" $((64 * 1048576 + 1))
}

@test "put: the daemon is killed in the middle: it registers with the next, newcomers join there, and it is committed" {
	giver a k
	give a out one
	bg b "$SC" get k
	shows b 'one\n'
	kill_daemon
	give a out two
	shows b 'one\ntwo\n'
	bg c "$SC" get k
	shows c 'one\ntwo\n'
	kill_daemon
	give a out three
	all_given a
	assert_rc 0 a b c
	for n in b c; do is_file "$T/$n.out" 'one\ntwo\nthree\n'; done
	run -0 "$SC" get k
	assert_output $'one\ntwo\nthree'
}

@test "put: a daemon killed and not missed by anybody: the end of stdin starts the next, and commits" {
	giver a k
	give a out one
	wait_until '[ "$(runs_now)" = 1 ]'
	kill_daemon
	all_given a
	assert_rc 0 a
	is_empty "$T/a.err"
	run -0 "$SC" get k
	assert_output one
}

@test "put: daemon stop --now in the middle loses nothing" {
	giver a k
	give a out one
	wait_until '[ "$(runs_now)" = 1 ]'
	"$SC" daemon stop --now
	give a out two
	all_given a
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output $'one\ntwo'
}

# not_stored REGEX SETUP: `flood | sc put k` behind SETUP: the giver is heard to its end, then 125 with one line.
not_stored() {
	run bash -c "$2"$'\nflood 5M | "$SC" put k 2>"$T/err"; echo "${PIPESTATUS[*]}"'
	assert_output '0 125'
	is_message "$T/err" "$1"
}

@test "put: what cannot be stored: stdin is read to its end, then 125; the old entry stays" {
	entry k 'old\n'
	not_stored 'k: .*too large' 'ulimit -f 512'
	wait_until '[ "$(flights)" = 0 ] && [ "$(objects)" = 2 ]'
	chmod 500 "$SC_DIR/flights"
	not_stored 'k: .*ermission' :
	chmod 700 "$SC_DIR/flights"
	run -0 "$SC" get k
	assert_output old
	flood 5M | "$SC" put k
	"$SC" get k | cmp - <(flood 5M)
}

@test "put: no cache to be had: the same; -q says nothing" {
	mkdir -m 0 "$T/closed"
	not_stored "$T/closed" 'export SC_DIR=$T/closed/cache'
	not_stored /proc/cache 'export SC_DIR=/proc/cache'
	mkdir "$T/alone"
	cp "$SC" "$T/alone/sc"
	not_stored 'daemon did not start' 'SC=$T/alone/sc'
	run bash -c 'flood 5M | SC_DIR=/proc/cache "$SC" put -q k 2>&1; echo "${PIPESTATUS[*]}"'
	assert_output '0 125'
	# A FILE need not be heard to its end.
	mkfifo "$T/fifo"
	SC_DIR=/proc/cache bg a "$SC" put k "$T/fifo"
	bg feed sh -c 'exec gate "$G" >"$T/fifo"'
	assert_rc 125 a
	step "$G" exit 0
	assert_rc 0 feed
}

@test "put: a FILE that is missing, may not be read, is a directory; a stdin that is closed: 125, and nothing changed" {
	: >"$T/secret" && chmod 0 "$T/secret"
	refused() { # REGEX SCRIPT
		run -125 --separate-stderr bash -c "$2"
		[ -z "$output" ]
		printf '%s\n' "$stderr" >"$T/err"
		is_message "$T/err" "$1"
	}
	all_refused() {
		refused 'k: .*missing.*No such' '"$SC" put k "$T/missing" </dev/null'
		refused 'k: .*secret.*denied' '"$SC" put k "$T/secret"'
		refused 'k: .*directory' '"$SC" put k "$T"'
		refused 'k: .*directory' '"$SC" put k <"$T"'
		refused 'k: stdin: ' '"$SC" put k <&-'
		refused 'k: stdin: ' '"$SC" put k 0>"$T/written"'
	}
	all_refused
	no_daemon && [ ! -e "$SC_DIR" ]
	bg a "$SC" get k -- gate "$G"
	step "$G" out run
	all_refused
	step "$G" exit 0 # it was not doomed
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output run
	all_refused
	run -0 "$SC" get k
	assert_output run
}

@test "put: a FILE that cannot be read to its end: 125, and the old entry stays" {
	entry k 'old\n'
	run -125 --separate-stderr "$SC" put k /proc/self/mem
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'k: cannot be read to its end'
	run -0 "$SC" get k
	assert_output old
	wait_until '[ "$(flights)" = 0 ] && [ "$(objects)" = 2 ]'
}

@test "put: -t is how long it is kept, 0 not at all; SC_TTL and the hour as everywhere" {
	ttl_of() { "$SC" get --status-fd 7 "$1" 7>"$T/status" >/dev/null && field ttl "$T/status"; }
	echo x | "$SC" put -t 90s a
	echo x | "$SC" put b --ttl=forever
	echo x | "$SC" put c
	echo x | SC_TTL=5m "$SC" put d
	[ "$(ttl_of a)" = 90 ]
	[ "$(ttl_of b)" = null ]
	[ "$(ttl_of c)" = 3600 ]
	[ "$(ttl_of d)" = 300 ]
	echo x | "$SC" put -t 300ms e
	wait_until '! "$SC" get e >/dev/null'
	echo x | "$SC" put -t 0 f
	run -1 "$SC" get f
	entry a 'x\n'
	echo y | "$SC" put -t 0 a
	run -0 "$SC" get a
	assert_output x
}

@test "put: usage errors are 2, one line, and change nothing" {
	refused() { # REGEX WORD…
		local got=0
		timeout 20 "$SC" put "${@:2}" >"$T/out" 2>"$T/err" </dev/null || got=$?
		[ $got = 2 ]
		is_message "$T/err" "$1"
		is_empty "$T/out"
		no_daemon && [ ! -e "$SC_DIR" ]
	}
	refused KEY
	refused KEY ''
	refused 4096 "$(printf 'x%.0s' {1..4097})"
	refused FILE a "$T/file" more
	refused FILE a -- echo x
	refused 'ttl' --tll 1h a
	refused '--ttl' -t x a
	refused . -t
	refused . a -t
	refused 'quiet' --quiet=yes a
	refused . --refresh a
	SC_TTL=x refused SC_TTL a
}

@test "put: rm while it arrives: its readers finish, nothing is kept; newcomers start anew" {
	giver a k
	give a out one
	bg b "$SC" get k
	shows b 'one\n'
	"$SC" rm k
	run -0 "$SC" get -t 0 k -- echo anew
	assert_output anew
	give a out two
	all_given a
	assert_rc 0 a b
	is_file "$T/b.out" 'one\ntwo\n'
	run -1 "$SC" get k
	wait_until nothing_kept
}

@test "put: a key inside of its own command: no deadlock, and what was put is kept" {
	run -0 timeout $BOUND "$SC" get k -- sh -c 'echo inner | "$SC" put k; echo outer'
	assert_output outer
	run -0 "$SC" get k
	assert_output inner
	run -0 timeout $BOUND "$SC" get -r k -- sh -c 'echo inner2 | env -i SC_DIR="$SC_DIR" "$SC" put k; echo outer'
	run -0 "$SC" get k
	assert_output inner2
	# From inside of both runs there may be of a key: one of them would have to end first.
	run -0 timeout $BOUND "$SC" get l -- "$SC" get -r l -- sh -c 'echo in | "$SC" put l; echo "put $?"'
	assert_line --partial 'put '
	# Fed by a follower of the very run.
	run -0 timeout $BOUND "$SC" get m -- sh -c '"$SC" get n -- echo part | "$SC" put m; "$SC" get m'
	assert_output part
}

@test "put: keys of strange bytes" {
	local key nr=0
	for key in $'a\nb' $'\e[31m' $'\xff\xfe' ' ' '%n%s' '../../x' "$(printf 'x%.0s' {1..4096})"; do
		nr=$((nr + 1))
		echo $nr | "$SC" put "$key"
		run -0 "$SC" get "$key"
		assert_output $nr
	done
	echo dash | "$SC" put -- -k
	run -0 "$SC" get -- -k
	assert_output dash
	run -125 --separate-stderr "$SC" put $'a\nb\e' "$T/missing"
	[ "${#stderr_lines[@]}" = 1 ]
	[[ $stderr != *$'\e'* ]]
}

@test "put: SC_DISABLE is of get, run and warm: it stores all the same" {
	echo x | SC_DISABLE=1 "$SC" put k
	run -0 "$SC" get k
	assert_output x
}
