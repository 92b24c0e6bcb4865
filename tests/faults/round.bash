#!/bin/bash
# One run of a scenario with one fault in it, and then the invariants that hold after every fault (FAULTS, I1 to I8). Started by
# killpoints.bats and syscalls.bats, several at a time.
#
#   round.bash DIR SCENE VICTIM RUNS WORD…
#
# DIR is made and belongs to the round. WORDs are put in front of the command of VICTIM: leader, follower, other (who removes or
# stops), daemon, next (the daemon after a restart). If it is writer or index (a thread of the daemon) they are a tracer, which is
# attached to it. RUNS is how often the cached command may run. DIR/killed is there if a kill point has struck. Prints what is wrong and
# ends with 1; else with 0.
set -eEu
bats_require_minimum_version() { :; }
bats_load_library() { :; }
# shellcheck source=tests/helper.bash
. "$(dirname "${BASH_SOURCE[0]}")/../helper.bash"

T=$1 scene=$2 victim=$3 allowed=$4
shift 4
with=("$@")
export T G=$T SC_DIR=$T/cache HOME=$T/home TMPDIR=$T PATH=$HELPERS:$PATH
unset SC_KILLAT SC_STOPAT SC_FLIGHTS SC_TTL SC_STRICT SC_DISABLE
: "${SCD_TEST:?}"
SC=$SC_TEST
# The leak checker does not work under a tracer.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
umask 022
mkdir -p "$T" "$HOME"
mkdir -m 700 "$SC_DIR"
: >"$T/.quiet"

OUT='' ERR=''
for n in 1 2 3 4; do
	OUT+="stdout, piece $n of 4"$'\n' ERR+="stderr, piece $n of 4"$'\n'
done
status=0     # what the command ends with
old_out=$OUT # what callers may get instead, whole and with 0
orphans=0    # objects no row names are no fault: FORMAT says which deaths leave them. The next walk takes them
incomplete=125 # what a caller may end with that has a clean beginning
command=(pieces -n "$T/runs" -g "$T/go")

# ---- the pieces of a scene -------------------------------------------------------------------------------------------

fault() {
	trap - ERR
	set +e
	echo "$scene, $victim, ${with[*]}: $*"
	for f in "$T"/*.rc "$T"/*.out "$T"/*.err "$T/runs" "$SC_DIR/scd.log"; do
		[ ! -e "$f" ] || tail -n 40 "$f" | sed "s|^|	${f#"$T"/}: |"
	done
	procs on "$T" >"$T/.left"
	sed 's|^|	still there: |' "$T/.left"
	while read -r n _; do kill -9 "$n"; done <"$T/.left" 2>/dev/null
	exit 1
}
# Bounds are there to be kept on a busy machine, too.
SLACK=$((3 * SLACK))
trap 'fault "line $LINENO: $BASH_COMMAND"' ERR

front() { # sets front to the words before a command of this kind
	front=()
	if [ "$1" = "$victim" ]; then front=("${with[@]}"); fi
	if [ "$1:$victim" = leader:writer ]; then front=(env "SC_STOPAT=session_made:1:$T/stopped"); fi
}

attach() { # PID
	"${with[@]}" -p "$1" >"$T/attached" 2>&1 </dev/null &
	disown
	wait_until "grep -q attached '$T/attached' || dead $!"
}

client() { # NAME KIND ARG…
	local name=$1
	front "$2"
	bg "$name" "${front[@]}" "$SC" "${@:3}"
	if [ "$2:$victim" = leader:writer ]; then
		wait_until '[ -s "$T/stopped" ] || [ -e "$T/a.rc" ]'
		writer=$(cut -d ' ' -f 2 "$T/stopped")
		attach "$writer"
		kill -CONT "$writer"
	fi
}

scd() { # daemon or next: returns when it is ready, or dead
	front "$1"
	: >"$T/ready"
	"${front[@]}" "$SCD_TEST" --ready-fd=9 "$SC_DIR" 9>"$T/ready" </dev/null >>"$T/.quiet" 2>&1 &
	daemon=$!
	disown $daemon 2>>"$T/.quiet" || true # gone already
	# One that cannot tell that it is ready is when its socket is there.
	wait_until "[ -s '$T/ready' ] || dead $daemon || [ $scene = errors -a -S '$SC_DIR/sock' ]"
	if [ "$1:$victim" = daemon:index ]; then
		attach "$(cd "/proc/$daemon/task" && grep -lx index ./*/comm | cut -d / -f 2)"
	fi
}

struck() { [ -e "$T/killed" ]; }
moved() { [ -s "$T/$1.out" ] || [ -e "$T/$1.rc" ]; }
all_moved() { moved a && moved b && moved c && moved d; }
go() { : >"$T/go"; }
readers() { "$SC" ps 2>>"$T/.quiet" | sed -nE 's/.* ([0-9]+) readers? .*/\1/p'; }
first_writer() { parent_of "$(head -n 1 "$T/runs")" 2>>"$T/.quiet" || true; }
kill_it() { [ -z "$1" ] || kill -9 "$1" 2>>"$T/.quiet" || true; }
ask() { sqlite3 -readonly "$SC_DIR/index.db" "$1" 2>>"$T/.quiet"; }
entry_is_there() { "$SC" get "${@:2}" "$1" -- pieces >"$T/entry.out" 2>&1; }

# The leader, three followers that join while it runs; everybody has got the first lines or has ended.
begin() {
	client a leader get "$@" k -- "${command[@]}"
	wait_until '[ "$(runs)" -ge 1 ] || [ -e "$T/a.rc" ] || [ -s "$T/a.out" ]'
	client b follower get k -- "${command[@]}"
	for name in c d; do client "$name" others get k -- "${command[@]}"; done
}

# ---- scenes ----------------------------------------------------------------------------------------------------------

scene_run() { # a run from its beginning to its end
	scd daemon
	begin
	wait_until all_moved
	go
	judge a b c d
}

scene_unwritable() { # a run while its writer's system calls fail: everybody gets all of it, who comes later by a run of his own
	allowed=4
	incomplete=-
	scene_run
	"$SC" rm k # that it could not be stored is remembered for a minute
}

scene_uncommitted() { # a run while those of the index thread fail: everybody gets all of it, nobody runs it again
	incomplete=-
	scene_run
	fault_is_gone
}

fault_is_gone() { # with the daemon whose calls fail
	local pid
	pid=$(daemon_pid)
	kill_it "$pid"
	[ -z "$pid" ] || wait_until "dead $pid"
}

scene_errors() { # a run while the daemon's system calls fail: everybody gets all of it, by bypass at worst; then they do not any more
	allowed=4
	orphans=1
	incomplete=-
	scene_run
	fault_is_gone
}

scene_cold() { # the same, and the leader starts the daemon
	begin
	wait_until all_moved
	go
	judge a b c d
}

scene_fail() { # the command fails: nothing is kept
	command+=(-s 3)
	status=3
	scene_run
}

scene_spill() { # the objects may not grow in the middle: the rest goes through the ring. Then they may
	echo 'max-entry = 100' >"$SC_DIR/config"
	scene_run
	rm "$SC_DIR/config"
	daemon=$(daemon_pid)
	kill_it "$daemon"
	[ -z "$daemon" ] || wait_until "dead $daemon"
}

scene_grow() { # a run that is large enough for room to be made
	scd daemon
	client x other get big -- flood 17000000
	rc x 20 >>"$T/.quiet" || fault "I1: x has not ended"
}

scene_hit() { # there is an entry
	scd daemon
	entry_is_there k || struck
	command=(pieces -n "$T/runs")
	for name in a b c d; do client "$name" "$([ $name = a ] && echo leader || echo others)" get k -- "${command[@]}"; done
	judge a b c d
}

scene_hot() { # an entry is asked for again: one puts it into memory, the others find it there, or it was all in vain
	scd daemon
	entry_is_there k || struck
	"$SC" get k >"$T/entry.out" 2>&1 || struck
	command=(pieces -n "$T/runs")
	client a leader get k -- "${command[@]}"
	wait_until '[ -e "$T/a.rc" ]'
	for name in b c d; do client "$name" others get k -- "${command[@]}"; done
	judge a b c d
}

scene_refresh() { # an entry is replaced
	old_out=old
	orphans=1
	scd daemon
	"$SC" get k -- printf old >"$T/entry.out" 2>&1 || struck
	begin -r
	wait_until all_moved
	go
	judge a b c d
}

scene_renew() { # an entry whose time is over is served, and made anew in the background
	old_out=$'stdout, piece 1 of 4\n'
	orphans=1
	scd daemon
	"$SC" get -t 1ms --stale 1d k -- printf %s "$old_out" >"$T/entry.out" 2>&1 || struck
	# The first who finds it over is the one who makes it anew: that is the leader here.
	wait_until '! "$SC" get k >"$T/entry.out" 2>>"$T/.quiet" || struck'
	client a leader get -t 1h --stale 1d k -- "${command[@]}"
	wait_until '[ "$(runs)" -ge 1 ] || struck'
	for name in b c d; do client "$name" others get -t 1h --stale 1d k -- "${command[@]}"; done
	judge a b c d
	go
}

scene_touch() { # an entry is made young again
	scd daemon
	entry_is_there k || struck
	client x other touch -t 2h k
	[[ $(rc x) =~ ^(0|1|125|137)$ ]] || fault "touch: status $(rc x)"
	command=(pieces -n "$T/runs")
	client a leader get k -- "${command[@]}"
	judge a
}

scene_remove() { # an entry is removed
	orphans=1
	scd daemon
	entry_is_there k || struck
	client x other rm k
	if removed; then absent; fi
}

scene_put() { # FILE is stored
	orphans=1
	printf %s "$OUT" >"$T/file"
	scd daemon
	client x other put k "$T/file"
	given
	cmp -s "$T/file" <(printf %s "$OUT") || fault "put: FILE is not what it was"
}

scene_move() { # FILE is given away
	orphans=1
	printf %s "$OUT" >"$T/file"
	scd daemon
	client x other put --move k "$T/file"
	given
	if [ -e "$T/file" ]; then
		cmp -s "$T/file" <(printf %s "$OUT") || fault "put --move: FILE is not what it was"
		[ "$(rc x)" != 0 ] || fault "put --move: done, but FILE is still there"
	else
		cmp -s "$T/given" <(printf %s "$OUT") || fault "put --move: neither FILE nor entry"
	fi
}

# CMD of a hold: says who it is, looks whether another one's lives, and ends when it may.
holding='for p in $(cat "$0/holders" 2>/dev/null); do
	! grep -q "^State:[[:space:]]*[RSDTt]" "/proc/$p/status" 2>/dev/null || : >"$0/holders.twice"
done
echo $$ >>"$0/holders"
until [ -e "$0/go" ]; do sleep 0.01; done'
holder() { # NAME KIND ARG…
	client "$1" "$2" hold "${@:3}" -- sh -c "$holding" "$T"
	wait_until "[ -s '$T/holders' ] || [ -e '$T/$1.rc' ]"
}
is_held() { # as long as its CMD lives the key is there
	local got
	got=$("$SC" get k 2>>"$T/.quiet") || true
	[ "$got" = v ] || [ -e "$T/x.rc" ] || struck || fault "hold: CMD runs, but the key is '$got'"
}
let_go() { # both have ended; who was to be killed with 137
	local got
	go
	got=$(rc x) || fault "I1: hold has not ended"
	case $got:$victim in
	0:* | 137:other | 137:killed) ;;
	*) fault "hold: status $got" ;;
	esac
	got=$(rc y) || fault "I1: the hold that waits has not ended"
	[ "$got" = 0 ] || fault "hold --wait: status $got"
	[ ! -e "$T/holders.twice" ] || fault "hold: two held it at once"
	absent
}

scene_hold() { # a key is held; another one waits for it
	scd daemon
	holder x other k v
	client y others hold -w 1h k w -- sh -c "$holding" "$T"
	is_held
	let_go
}

scene_hold_restart() { # the daemon is killed while a key is held, the next one is there at once
	scd daemon
	holder x other k v
	kill_it "$(daemon_pid)"
	scd next
	client y others hold -w 1h k w -- sh -c "$holding" "$T"
	is_held
	wait_until 'grep -q "its holder is back" "$SC_DIR/scd.log" || struck || [ -e "$T/x.rc" ]'
	is_held
	let_go
}

scene_hold_killed() { # the holder is killed: its command dies before the other one's begins
	scd daemon
	holder x other k v
	client y others hold -w 1h k w -- sh -c "$holding" "$T"
	kill -9 "$(pid_of x)" 2>>"$T/.quiet" || true
	[[ $(rc x) =~ ^(0|137)$ ]] || fault "hold: status $(rc x)"
	victim=killed
	let_go
}

scene_sync() { # the disk is written to
	scd daemon
	entry_is_there k || struck
	client x other sync
	[[ $(rc x) =~ ^(0|125|137)$ ]] || fault "sync: status $(rc x)"
	command=(pieces -n "$T/runs")
	client a leader get k -- "${command[@]}"
	judge a
}

scene_remove_run() { # a run is removed while it goes on: its readers finish, it is not kept
	scd daemon
	begin
	wait_until all_moved
	client x other rm k
	rc x >/dev/null
	go
	judge a b c d
	if removed; then absent; fi
}

scene_clear() { # an entry and a run go with all others that begin so
	scd daemon
	entry_is_there kx || struck
	begin
	wait_until all_moved
	client x other rm --prefix k
	rc x >/dev/null
	go
	judge a b c d
	if removed; then absent && absent kx; fi
}

scene_remove_restart() { # a run is removed, then the daemon dies: it is not kept by the next one either
	scd daemon
	begin
	wait_until all_moved
	client x other rm k
	rc x >/dev/null
	kill_it "$(daemon_pid)"
	scd next
	go
	judge a b c d
	if removed; then absent; fi
}

scene_refresh_restart() { # a newer run has been kept, then the daemon dies: the older one does not replace it
	scd daemon
	begin
	wait_until all_moved
	client x other get -r k -- printf new
	[[ $(rc x) =~ ^(0|125|137)$ ]]
	kill_it "$(daemon_pid)"
	scd next
	go
	judge a b c d
	[ "$(rc x)" != 0 ] || [ "$("$SC" get k -- pieces -n "$T/runs" 2>>"$T/.quiet")" = new ] || fault "the older run replaced the newer"
	old_out=new
	orphans=1
}

scene_leave() { # the last reader leaves
	scd daemon
	client a leader get k -- "${command[@]}"
	wait_until 'moved a'
	kill -TERM "$(pid_of a)" 2>>"$T/.quiet" || true
	case $(rc a) in
	143) whole_or_prefix a 143 ;;
	*) judge a ;; # it had ended by then, or was the one to die
	esac
	wait_until '[ "$(runs)" = 0 ] || dead "$(tail -n 1 "$T/runs")"'
	go
}

scene_restart() { # the daemon is killed in the middle, the next one is there at once
	scd daemon
	begin
	wait_until all_moved
	kill_it "$(daemon_pid)"
	scd next
	wait_until '[ "$(readers)" = 4 ] || struck || [ -e "$T/a.rc" ]'
	go
	judge a b c d
}

scene_stop() { # the daemon is told to stop in the middle
	scd daemon
	begin
	wait_until all_moved
	client x other daemon stop --now
	[[ $(rc x) =~ ^(0|125|137)$ ]]
	go
	judge a b c d
}

scene_idle() { # nobody needs the daemon any more
	echo 'idle-exit = 50ms' >"$SC_DIR/config"
	scd daemon
	wait_until no_daemon
	rm "$SC_DIR/config"
}

scene_expire() { # an entry's time is over
	orphans=1
	scd daemon
	entry_is_there k -t 100ms || struck
	wait_until '[ "$(objects)" = 0 ] || struck'
}

scene_evict() { # the cache is above its limit: entries go, and the totals are those of what is left
	local n
	orphans=1
	echo 'max-files = 3' >"$SC_DIR/config"
	scd daemon
	entry_is_there k || struck
	entry_is_there k || struck
	for n in 1 2 3 4 5; do entry_is_there "x$n" || struck; done
	wait_until '[ "$(ask "SELECT count(*) FROM entry")" -le 3 ] || struck'
	# Who has died is followed by one that goes on with it.
	"$SC" get x1 -- pieces >"$T/x1.out" 2>&1 || fault "I3: x1: status $?"
	wait_until '"$SC" ls >>"$T/.quiet" 2>&1 && [ "$(ask "SELECT count(*) FROM entry")" -le 3 ]' || fault "B04: above the limit"
	[ "$(ask 'SELECT entries, bytes FROM meta')" = "$(ask 'SELECT count(*), sum(bytes) FROM entry')" ] || fault "B04: totals"
	[ "$(ask 'SELECT entries, bytes FROM buckets')" = "$(ask 'SELECT count(*), sum(bytes) FROM entry')" ] || fault "B04: totals of buckets"
}

scene_lost() { # the writer is killed before anything was printed
	allowed=$((allowed + 1))
	# Two lost writers in a row: everybody runs it for himself.
	if [ "$victim" = leader ]; then allowed=6; fi
	command+=(-q)
	scd daemon
	begin
	wait_until '[ "$(readers)" = 4 ] || struck || [ -e "$T/a.rc" ]'
	kill_it "$(first_writer)"
	go
	judge a b c d
}

scene_both() { # daemon and writer are killed; the next daemon finds the flight of a dead run
	allowed=$((allowed + 1))
	scd daemon
	begin
	wait_until all_moved
	kill_it "$(daemon_pid)"
	kill_it "$(first_writer)"
	scd next
	go
	judge a b c d
}

scene_awaited() { # the writer dies after the next daemon has begun to wait for it, and readers with it
	local writer
	allowed=$((allowed + 1))
	scd daemon
	begin
	wait_until all_moved
	writer=$(first_writer)
	[ -z "$writer" ] || kill -STOP "$writer" 2>>"$T/.quiet" || true
	kill_it "$(daemon_pid)"
	scd next
	wait_until '[ "$(readers)" = 4 ] || struck || [ -e "$T/a.rc" ]'
	kill_it "$writer"
	go
	judge a b c d
}

scene_leftover() { # the daemon is killed between row and file; the next one, which the writer starts, finds the file of a finished run
	SC_KILLAT=before_flight_unlink:1 scd daemon
	begin
	wait_until all_moved
	go
	judge a b c d
}

orphan=$SC_DIR/objects/ab/ab0123456789abcdef0123456789abcd

scene_walk() { # a daemon finds what was left behind, and a row without its object, while callers come
	orphans=1
	scd daemon
	entry_is_there k || struck
	entry_is_there l || struck
	kill_it "$daemon"
	mkdir -p "$SC_DIR/objects/ab"
	echo x | tee "$orphan.out" >"$orphan.err"
	rm -f "$(find "$SC_DIR/objects" -name '*.out' ! -path "$orphan*" | head -n 1)"
	SC_FAULT=walk scd next
	begin
	wait_until all_moved
	go
	judge a b c d
}

scene_damaged() { # the machine was booted meanwhile, and a byte is another: one run makes it anew
	scd daemon
	entry_is_there k || struck
	timeout $((20 * SLACK)) "$SC" daemon stop >>"$T/.quiet" 2>&1
	find "$SC_DIR/objects" -name '*.out' -exec sh -c 'printf X | dd of="$1" bs=1 seek=5 conv=notrunc status=none' dd {} \;
	export SC_FAULT=boot # also for the one after that
	scd next
	begin
	wait_until all_moved
	go
	judge a b c d
}

scene_booted() { # the machine was booted meanwhile: an entry is verified and printed
	scd daemon
	entry_is_there k || struck
	timeout $((20 * SLACK)) "$SC" daemon stop >>"$T/.quiet" 2>&1
	export SC_FAULT=boot # also for the one after that
	scd next
	command=(pieces -n "$T/runs")
	for name in a b c d; do client "$name" "$([ $name = a ] && echo leader || echo others)" get k -- "${command[@]}"; done
	judge a b c d
}

scene_verify() { # everything is looked at while a run goes on
	scd daemon
	entry_is_there l || struck
	begin
	wait_until all_moved
	client x other verify --repair
	[[ $(rc x) =~ ^(0|125|137)$ ]] || fault "verify: status $(rc x)"
	go
	judge a b c d
}

# ---- the invariants --------------------------------------------------------------------------------------------------

text_of() { # FILE, exactly; sc's own lines on stderr are not the command's
	sed '/^sc: /d' "$1"
	echo x
}

# I2: STATUS 0: all of one run; else a clean beginning.
whole_or_prefix() { # NAME STATUS
	local out err
	out=$(text_of "$T/$1.out") err=$(text_of "$T/$1.err")
	out=${out%x} err=${err%x}
	if [ "$2" = "$status" ]; then
		[[ $out$err == "$old_out" || ($out == "$OUT" && $err == "$ERR") ]] || fault "I2: $1: $2, but not the bytes of a run"
	else
		[[ $OUT == "$out"* && $ERR == "$err"* ]] || fault "I2: $1: $2, and not a clean beginning"
	fi
}

# I1, I2: everybody has ended or now does: with the command's own status, or 125; who was to be killed with 137.
judge() {
	local name got
	for name in "$@"; do
		got=$(rc "$name" 20) || fault "I1: $name has not ended"
		case $got:$victim:$name in
		"$status":* | "$incomplete":* | 137:leader:a | 137:follower:b) whole_or_prefix "$name" "$got" ;;
		*) fault "I2: $name: status $got" ;;
		esac
	done
}

# A put has ended: all of it is there, or nothing.
given() {
	local got
	got=$(rc x) || fault "I1: put has not ended"
	[[ $got =~ ^(0|125|137)$ ]] || fault "put: status $got"
	if "$SC" get k >"$T/given" 2>>"$T/.quiet"; then
		cmp -s "$T/given" <(printf %s "$OUT") || fault "I2: put: an entry of other bytes"
	else
		[ "$got" != 0 ] || fault "put: done, but there is no entry"
	fi
}

# Who was told that it is removed can rely on it. True if somebody was.
removed() {
	local got
	got=$(rc x) || fault "I1: rm has not ended"
	[[ $got =~ ^(0|125|137)$ ]] || fault "rm: status $got"
	[ "$got" = 0 ]
}
absent() {
	local got=0
	"$SC" get "${1:-k}" >"$T/absent.out" 2>"$T/absent.err" || got=$?
	[ "$got" = 1 ] || fault "removed, but get says $got"
}

# No pipe: what stands behind it would be seen.
others() {
	local line
	procs on "$T" >"$T/.procs"
	while read -r line; do
		[[ $line =~ ^[0-9]+\ (strace|([^ ]*/)?scd)\  ]] || echo "$line"
	done <"$T/.procs"
}

invariants() {
	local n got=0
	n=$(runs)
	[ "$n" -le "$allowed" ] || fault "I5: the command ran $n times"
	[ ! -e "$T/runs.twice" ] || fault "I8: a run began while another one's command lived"
	wait_until '[ -z "$(others)" ]' 10 || fault "I1, I8: processes are left"
	command=(pieces -n "$T/runs")
	timeout $((20 * SLACK)) "$SC" get k -- "${command[@]}" >"$T/again.out" 2>"$T/again.err" || got=$?
	[ "$got" = 0 ] || fault "I3: get afterwards: status $got"
	status=0
	whole_or_prefix again 0
	! grep -q '^sc: ' "$T/again.err" || fault "I3: get afterwards has something to say"
	timeout $((20 * SLACK)) "$SC" doctor >"$T/doctor" 2>&1 || fault "I3: doctor: status $?: $(grep -v '^ok: ' "$T/doctor")"
	wait_until '[ "$(flights)" = 0 ]' 10 || fault "I4: a flight is left"
	if [ $orphans = 1 ]; then
		timeout $((20 * SLACK)) "$SC" daemon stop --now >>"$T/.quiet" 2>&1 || fault "I3: daemon stop: status $?"
		SC_FAULT=walk scd walker
		wait_until 'grep -q "pid=$daemon event=walk " "$SC_DIR/scd.log"' || fault "I4: no walk"
	fi
	wait_until '[ "$(objects)" = $((2 * $("$SC" ls | wc -l))) ]' 10 || fault "I4: an object is left"
	timeout $((20 * SLACK)) "$SC" daemon stop --now >>"$T/.quiet" 2>&1 || fault "I3: daemon stop: status $?"
	wait_until '[ -z "$(procs on "$T")" ]' 10 || fault "I1: processes are left at the end"
	[ -z "$(strangers "$SC_DIR")" ] || fault "I4: $(strangers "$SC_DIR")"
	[ -z "$(ls -A "$HOME")" ] || fault "I7: $(ls -A "$HOME")"
}

"scene_$scene"
invariants
