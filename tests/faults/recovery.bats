#!/usr/bin/env bats
# FAULTS B07, B14 to B17, B19, D01 to D05, G11: a cache that was changed, damaged or taken away while nobody looked, or while
# somebody did.
load ../helper
load damage

prepare() { use_test_build; }

# What the index moved aside stays for people.
cleanup() { rm -f "$SC_DIR"/index.db.bad-*; }

# again FAULT: the next daemon; "walk": it walks at once and without a grace; "boot": the machine was booted meanwhile.
again() {
	"$SC" daemon stop
	SC_FAULT=$1 start_daemon
}

is_miss() { # KEY: without a word and without a byte
	run -1 --separate-stderr "$SC" get "$1"
	[ -z "$output$stderr" ]
}

# How often a client has compared an entry with its sums.
proofs() { grep -c '^hit_verified ' "$T/passed" || true; }

# ---- the walk --------------------------------------------------------------------------------------------------------

@test "B17 G11: what belongs to no entry goes, rows without objects go, everything else stays" {
	local hex=ab0123456789abcdef0123456789abcd gone
	make gone x
	gone=$made
	entry k 'kept\n'
	"$SC" daemon stop
	mkdir -p "$SC_DIR/objects/ab" "$SC_DIR/objects/notes"
	for name in $hex.out $hex.err README $hex $hex.out.swp; do echo x >"$SC_DIR/objects/ab/$name"; done
	ln -s /etc/passwd "$SC_DIR/objects/ab/ab0123456789abcdef0123456789abc2.out"
	mkfifo "$SC_DIR/objects/ab/ab0123456789abcdef0123456789abc3.out"
	mkdir "$SC_DIR/objects/ab/ab0123456789abcdef0123456789abc4.out"
	rm "$gone.out"
	SC_FAULT=walk start_daemon
	walked
	grep -q 'event=walk .*bad-rows=1 .*orphans=2 ' "$SC_DIR/scd.log"
	[ ! -e "$SC_DIR/objects/ab/$hex.out" ]
	[ ! -e "$SC_DIR/objects/ab/$hex.err" ]
	[ ! -e "$gone.err" ]
	for name in README $hex $hex.out.swp; do is_file "$SC_DIR/objects/ab/$name" 'x\n'; done
	[ -L "$SC_DIR/objects/ab/ab0123456789abcdef0123456789abc2.out" ]
	[ -p "$SC_DIR/objects/ab/ab0123456789abcdef0123456789abc3.out" ]
	[ -d "$SC_DIR/objects/ab/ab0123456789abcdef0123456789abc4.out" ]
	[ -d "$SC_DIR/objects/notes" ]
	[ "$("$SC" ls)" = k ]
	[ "$("$SC" get k)" = kept ]
	ANY_FILES=1
}

@test "G11: what a daemon left behind when it was killed between row and object goes with the next one's walk" {
	entry k old
	"$SC" daemon stop
	SC_KILLAT=before_older_unlinked:1:$T/killed start_daemon
	export SC_FAULT=walk # whoever starts the next one
	run "$SC" get -r k -- printf new
	wait_until '[ -s "$T/killed" ]' # which is behind the answer
	wait_until 'dead "$(cut -d " " -f 2 "$T/killed")"'
	start_daemon
	walked
	grep -q 'event=walk .*orphans=2 ' "$SC_DIR/scd.log"
	[ "$(objects)" = 2 ]
	[ "$("$SC" get k)" = new ]
}

@test "G11: a walk leaves a run alone whose writer has not come back to this daemon yet" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	shows a 'one\n'
	local writer
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	kill_daemon
	SC_FAULT=walk start_daemon
	walked
	[ "$(objects)" = 2 ]
	kill -CONT "$writer"
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'one\ntwo\n'
	run -0 "$SC" verify
}

@test "G11: walks without a grace while a hundred runs begin, end, fail and are replaced: every entry is whole" {
	export SC_FAULT=walk
	start_daemon
	bg walker bash -c 'while [ ! -e "$T/enough" ]; do "$SC" verify --repair || exit; done'
	mkdir "$T/crowd"
	local round
	for round in 1 2 3; do
		run -0 crowd 30 "$T/crowd" "$SC" get -r 'k{}' -- bash -c 'echo $0; exit $(($0 % 5 == 0))' '{}'
		run -0 crowd 30 "$T/crowd" "$SC" get -r 'm{}' -- flood 70000
	done
	touch "$T/enough"
	assert_rc 0 walker
	is_empty "$T/walker.out"
	[ "$(grep -c 'event=walk .*bad-rows=0 .*orphans=0 .*why=""' "$SC_DIR/scd.log")" = "$(walks)" ]
	local nr
	for nr in {0..29}; do
		if ((nr % 5)); then [ "$("$SC" get "k$nr")" = "$nr" ]; fi
		"$SC" get "m$nr" | cmp - <(flood 70000)
	done
	wait_until '[ "$(objects)" = $((2 * 54)) ]'
}

# ---- trust -----------------------------------------------------------------------------------------------------------

@test "an entry of another boot is verified by its first reader, and by no other in this boot" {
	make k out err
	again boot
	export SC_KILLAT="*:0:$T/passed"
	for _ in 1 2 3; do
		run -0 --separate-stderr "$SC" get k
		[ "$output$stderr" = outerr ]
	done
	[ "$(proofs)" = 1 ]
	unset SC_KILLAT
	again boot
	export SC_KILLAT="*:0:$T/passed"
	run -0 --separate-stderr "$SC" get k
	[ "$output$stderr" = outerr ]
	[ "$(proofs)" = 1 ]
}

@test "an entry of this boot is not verified; one with a second name is, by each" {
	make k out
	export SC_KILLAT="*:0:$T/passed"
	"$SC" get k
	[ "$(proofs)" = 0 ]
	ln "$made.out" "$T/linked"
	for _ in 1 2; do [ "$("$SC" get k)" = out ]; done
	[ "$(proofs)" = 2 ]
	printf 'bad\n' >"$T/linked"
	is_miss k
	run -0 --separate-stderr "$SC" get k -- echo new
	assert_output new
	[ -z "$stderr" ]
	[ "$(cat "$T/linked")" = bad ] # nothing was written through it
	[[ $("$SC" daemon status) == *'1 found damaged'* ]]
}

@test "D01: any byte of a clear entry of another boot flipped: a miss, not a byte of it, and it is made anew" {
	local key at n=0 text='twenty-seven bytes of stdout' err='and stderr'
	make probe "$text" "$err"
	local sizes=("$(stat -c %s "$made.out")" "$(stat -c %s "$made.err")") s
	for s in out err; do
		for ((at = 0; at < sizes[n]; at++)); do
			make "$s-$at" "$text" "$err"
			echo "$made.$s $at" >>"$T/flips"
		done
		n=1
	done
	"$SC" daemon stop
	while read -r file at; do flip "$file" "$at"; done <"$T/flips"
	SC_FAULT=boot start_daemon
	[ "$("$SC" get probe 2>/dev/null)" = "$text" ]
	n=0
	for key in $("$SC" ls | grep -v probe); do
		is_miss "$key"
		n=$((n + 1))
	done
	[ $n = $((sizes[0] + sizes[1])) ]
	[ "$(grep -c event=entry-bad "$SC_DIR/scd.log")" = $n ]
	[[ $("$SC" daemon status) == *"($n found damaged)"* ]]
	wait_until '[ "$("$SC" ls)" = probe ]'
	run -0 --separate-stderr "$SC" get out-3 -- echo new
	assert_output new
	[ -z "$stderr" ]
	wait_until '[ "$(objects)" = 4 ]'
}

@test "D02 D03: truncated to every length, appended to, or full of zeros: a miss" {
	local at text='twenty-seven bytes of stdout' err='and stderr' sizes s n=0
	make probe "$text" "$err"
	sizes=("$(stat -c %s "$made.out")" "$(stat -c %s "$made.err")")
	for s in out err; do
		for ((at = 0; at < sizes[n]; at++)); do
			make "$s-$at" "$text" "$err"
			truncate -s "$at" "$made.$s"
		done
		make "$s-longer" "$text" "$err"
		echo >>"$made.$s"
		make "$s-zeros" "$text" "$err"
		truncate -s 0 "$made.$s"
		truncate -s "${sizes[n]}" "$made.$s"
		n=1
	done
	again boot
	for key in $("$SC" ls | grep -v probe); do is_miss "$key"; done
	[ "$("$SC" get probe 2>/dev/null)" = "$text" ]
	wait_until '[ "$("$SC" ls)" = probe ]'
}

@test "D04: the objects of two entries of one size exchanged: a miss of both" {
	make a one
	local a=$made
	make b two
	mv "$a.out" "$T/out" && mv "$made.out" "$a.out" && mv "$T/out" "$made.out"
	again boot
	is_miss a
	is_miss b
}

@test "D04: the object of an older generation restored, under its name and under the newer one's: a miss, never the older bytes" {
	make k older
	local old=$made
	cp -p "$old.out" "$T/out"
	"$SC" get -r --status-fd 9 k -- echo newer 9>"$T/made" >/dev/null 3>&-
	made=$(field generation "$T/made")
	made=$SC_DIR/objects/${made:0:2}/$made
	wait_until '[ ! -e "$old.out" ]'
	[ "$(stat -c %s "$T/out")" = "$(stat -c %s "$made.out")" ]
	cp "$T/out" "$old.out"
	run -0 "$SC" get k
	assert_output newer
	cp "$T/out" "$made.out"
	again boot
	is_miss k
	rm "$old.out" # so young an orphan is not yet the walk's
}

@test "a bad entry met with a command: exactly one run makes it anew, for a hundred callers" {
	make k old
	flip "$made.out" 1
	again boot
	mkdir "$T/crowd"
	run -0 crowd 100 "$T/crowd" "$SC" get k -- fails -n "$T/count" -o new
	assert_output '0 100'
	for nr in {0..99}; do is_file "$T/crowd/$nr.out" 'new\n'; done
	[ "$(lines_in "$T/count")" = 1 ]
}

@test "a bad entry with -o: FILE is as it was" {
	make k old
	flip "$made.out" 1
	again boot
	echo before >"$T/file"
	run -1 "$SC" get -o "$T/file" k
	is_file "$T/file" 'before\n'
	run -0 "$SC" get -o "$T/file" k -- echo new
	is_file "$T/file" 'new\n'
}

@test "B07: an object that cannot be read from its first byte on: a miss, nobody is told; later: 125 with what was good" {
	command -v strace >/dev/null || skip "missing tool: strace"
	make k old
	# The client's reads of the object: a pread is of nothing else.
	run -0 --separate-stderr env ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" strace -qq -o "$T/trace" -P "$made.out" -e inject=splice,sendfile,pread64,copy_file_range:error=EIO "$SC" get k -- echo new
	assert_output new
	[ -z "$stderr" ]
	"$SC" get l -- flood 3M >"$T/out"
	run -125 bash -c 'ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -qq -o "$T/trace" -e inject=pread64:error=EIO:when=5+ "$SC" get l >"$T/file"' 2>"$T/err"
	flood 3M | cmp -n "$(stat -c %s "$T/file")" - "$T/file"
	[ -s "$T/file" ]
}

@test "B19: an object cut short under a reader: 125 with what was good, never a signal" {
	"$SC" get --status-fd 9 k -- flood 8M 9>"$T/made" >/dev/null
	made=$(field generation "$T/made")
	mkfifo "$T/pipe"
	exec {held}<>"$T/pipe"
	bg a bash -c 'exec "$SC" get k >"$T/pipe"'
	head -c 1 <&"$held" >"$T/first"
	truncate -s 4096 "$SC_DIR/objects/${made:0:2}/$made.out"
	cat <&"$held" >"$T/rest" &
	assert_rc 125 a
	kill $! && exec {held}>&-
	cat "$T/first" "$T/rest" >"$T/all"
	wait_until '[ -s "$T/all" ]'
	flood 8M | cmp -n 4096 - "$T/all"
	is_miss k
}

# ---- the index -------------------------------------------------------------------------------------------------------

# In every case: no error for a caller, the entry is a miss at worst, one line in the log, and what is left of the old one goes.
survives() { # HOW SAVED: the index has been spoiled; SAVED: how many files of the old one are kept
	run -0 --separate-stderr "$SC" get other -- echo other
	assert_output other
	[ -z "$stderr" ]
	run -0 --separate-stderr "$SC" get k -- echo "made with $1"
	[[ $output == "made with "* || $output == kept ]]
	[ -z "$stderr" ]
	"$SC" get k >/dev/null
}

@test "B17 D05: index.db deleted, truncated, garbled, of a newer version or not ours between two daemons" {
	local how n=0
	for how in delete truncate empty garbage newer fifo directory; do
		entry k 'kept\n'
		entry l 'kept\n'
		"$SC" daemon stop
		case $how in
		delete) rm "$SC_DIR/index.db" ;;
		truncate) truncate -s 5000 "$SC_DIR/index.db" ;;
		empty) truncate -s 0 "$SC_DIR/index.db" ;;
		garbage) flood 50000 >"$SC_DIR/index.db" ;;
		newer) printf '\0\0\0\143' | dd of="$SC_DIR/index.db" bs=1 seek=60 conv=notrunc status=none ;;
		fifo) rm "$SC_DIR/index.db" && mkfifo "$SC_DIR/index.db" ;;
		directory) rm "$SC_DIR/index.db" && mkdir "$SC_DIR/index.db" ;;
		esac
		SC_FAULT=walk start_daemon
		survives "$how"
		walked "$n"
		[ "$(objects)" = 4 ]
		n=$(walks)
		case $how in
		delete | empty) [ ! -e "$SC_DIR/index.db.bad-1" ] ;;
		*)
			[ -e "$SC_DIR/index.db.bad-1" ]
			[ "$(grep -c event=index-bad "$SC_DIR/scd.log")" = 1 ]
			;;
		esac
		rm -rf "$SC_DIR"/index.db.bad-* "$SC_DIR/scd.log"
		"$SC" rm k l other
		"$SC" daemon stop
		n=0
	done
}

@test "B17: index.db deleted, replaced, truncated or garbled under a living daemon: it goes on with a fresh one" {
	local how pid
	export SC_FAULT=walk
	for how in delete replace truncate garbage; do
		entry k 'kept\n'
		for nr in {1..40}; do entry "many$nr" x; done
		pid=$(daemon_pid)
		case $how in
		delete) rm "$SC_DIR/index.db" ;;
		replace) echo x >"$T/x" && mv "$T/x" "$SC_DIR/index.db" ;;
		truncate) truncate -s 4096 "$SC_DIR/index.db" ;;
		garbage) flood 50000 | dd of="$SC_DIR/index.db" conv=notrunc status=none ;;
		esac
		survives "$how"
		[ "$(daemon_pid)" = "$pid" ]
		# To the next one nothing of it matters; what is in it by then is there.
		wait_until 'grep -q event=index-bad "$SC_DIR/scd.log"'
		entry later 'kept\n'
		[ "$(daemon_pid)" = "$pid" ]
		"$SC" daemon stop
		start_daemon
		[ "$("$SC" get later)" = kept ]
		survives "$how, then restarted"
		wait_until '[ "$(objects)" = $((2 * $("$SC" ls | wc -l))) ]'
		run -0 "$SC" verify
		"$SC" rm $("$SC" ls)
		"$SC" daemon stop
		rm -f "$SC_DIR"/index.db.bad-* "$SC_DIR/scd.log"
	done
}

@test "B17: any page of index.db overwritten while a daemon runs: no caller has an error" {
	local page pages
	export SC_FAULT=walk
	for nr in {1..60}; do entry "key$nr" "$nr"; done
	"$SC" daemon stop
	cp "$SC_DIR/index.db" "$T/saved"
	pages=$(($(stat -c %s "$T/saved") / 4096))
	[ "$pages" -ge 4 ]
	for ((page = 0; page < pages; page++)); do
		rm -f "$SC_DIR"/index.db*
		cp "$T/saved" "$SC_DIR/index.db"
		start_daemon
		flood 4096 | dd of="$SC_DIR/index.db" bs=4096 seek="$page" conv=notrunc status=none
		for nr in 1 30 60; do
			run -0 --separate-stderr "$SC" get "key$nr" -- printf "$nr"
			[ "$output" = "$nr" ]
			[ -z "$stderr" ]
		done
		run -0 --separate-stderr "$SC" get new -- echo new
		assert_output new
		[ -z "$stderr" ]
		run -0 --separate-stderr "$SC" get new -- echo new
		assert_output new
		[ -z "$stderr" ]
		"$SC" daemon stop
	done
}

@test "B06 B07: a disk that refuses to read the index: misses, and with the disk mended everything is there" {
	command -v strace >/dev/null || skip "missing tool: strace"
	for nr in {1..60}; do entry "key$nr" "$nr"; done
	"$SC" daemon stop
	start_daemon
	strace -qq -f -o "$T/trace" -P "$SC_DIR/index.db" -e trace=pread64 -e inject=pread64:error=EIO -p "$(daemon_pid)" 2>"$T/attached" &
	local tracer=$!
	disown
	wait_until 'grep -q "" "/proc/$(daemon_pid)/status" && ! grep -q "TracerPid:.0$" "/proc/$(daemon_pid)/status"'
	run -0 --separate-stderr "$SC" get key30 -- echo direct
	[[ $output == 30 || $output == direct ]]
	run -125 --separate-stderr "$SC" ls # what is not all of them is not passed off as that
	[[ $stderr == 'sc: ls: is not complete: '* ]]
	kill "$tracer"
	wait_until "dead $tracer"
	grep -q EIO "$T/trace"
	for nr in {1..60}; do [ "$nr" = 30 ] || [ "$("$SC" get "key$nr")" = "$nr" ]; done
	[ ! -e "$SC_DIR/index.db.bad-1" ]
}

# ---- the directory ---------------------------------------------------------------------------------------------------

@test "B14: the cache directory removed under a daemon: it goes" {
	entry k x
	local pid
	pid=$(daemon_pid)
	rm -rf "$SC_DIR"
	wait_until "dead $pid"
	run -0 --separate-stderr "$SC" get k -- echo anew
	assert_output anew
	[ -z "$stderr" ]
	[ "$("$SC" get k)" = anew ]
}

@test "B15: the cache directory moved away, or replaced, while a run goes on: the daemon goes, the run's readers finish, the next get starts one there" {
	local pid how
	for how in empty other; do
		export G=$T/gate-$how
		mkdir "$G"
		bg a "$SC" get k$how -- gate "$G"
		step "$G" out one
		shows a 'one\n'
		pid=$(daemon_pid)
		mv "$SC_DIR" "$T/away-$how"
		[ $how = empty ] || { mkdir -m 700 "$SC_DIR" && echo 'idle-exit = 1h' >"$SC_DIR/config"; }
		wait_until "dead $pid"
		run -0 --separate-stderr "$SC" get "k$how" -- echo new
		assert_output new
		[ -z "$stderr" ]
		[ "$(daemon_pids | wc -l)" = 1 ]
		step "$G" out two
		step "$G" exit 0
		assert_rc 0 a
		is_file "$T/a.out" 'one\ntwo\n'
		is_empty "$T/a.err"
		[ "$("$SC" get "k$how")" = new ]
		[ "$(daemon_pids | wc -l)" = 1 ]
		[ -z "$(daemon_pids "$T/away-$how")" ]
		"$SC" daemon stop
		rm -rf "$SC_DIR"
	done
}

@test "B15: the cache directory moved away while a run goes on: nobody who takes part in that makes another one in its place" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg b "$SC" get k
	shows b 'one\n'
	local pid
	pid=$(daemon_pid)
	mv "$SC_DIR" "$T/away"
	wait_until "dead $pid"
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/a.out" 'one\ntwo\n'
	is_file "$T/b.out" 'one\ntwo\n'
	[ ! -e "$SC_DIR" ]
	no_daemon
	mv "$T/away" "$SC_DIR"
	wait_until '[ "$("$SC" get l -- echo x)" = x ]'
	wait_until '[ "$(flights)" = 0 ]'
}

@test "B16: the socket removed, or replaced: the daemon goes as after SIGTERM, there are never two, and everything is there" {
	local how pid
	for how in removed file; do
		entry k 'kept\n'
		bg a "$SC" get run$how -- gate "$(new_gate g$how)"
		step "$T/g$how" out one
		shows a 'one\n'
		pid=$(daemon_pid)
		rm "$SC_DIR/sock"
		[ $how = removed ] || echo mine >"$SC_DIR/sock"
		wait_until "dead $pid"
		grep -q 'event=gone' "$SC_DIR/scd.log"
		if [ $how = file ]; then
			is_file "$SC_DIR/sock" 'mine\n'
			rm "$SC_DIR/sock"
		fi
		run -0 --separate-stderr "$SC" get k
		assert_output kept
		[ -z "$stderr" ]
		[ "$(daemon_pids | wc -l)" = 1 ]
		step "$T/g$how" exit 0
		assert_rc 0 a
		is_file "$T/a.out" 'one\n'
		[ "$("$SC" get run$how)" = one ]
	done
}

@test "B16: the socket removed while a hundred callers come: each gets its output, one daemon is left" {
	start_daemon
	mkdir "$T/crowd"
	bg remover bash -c 'for _ in {1..20}; do rm -f "$SC_DIR/sock"; [ ! -e "$T/enough" ] || break; sleep 0.05; done'
	run crowd 100 "$T/crowd" "$SC" get -q 'k{}' -- echo x
	touch "$T/enough"
	assert_output '0 100'
	for nr in {0..99}; do is_file "$T/crowd/$nr.out" 'x\n'; done
	rc remover >/dev/null
	wait_until '[ "$(daemon_pids | wc -l)" -le 1 ]'
}

# ---- what somebody has planted ---------------------------------------------------------------------------------------

# What is planted is as long as the row says, or its length would give it away.
@test "S05 S06: a link, FIFO, directory or socket in the place of an object: not followed, not waited for, a miss" {
	local what s size
	mkdir "$T/some"
	for what in symlink.out symlink.err fifo.out fifo.err directory.out directory.err socket.out socket.err; do
		s=${what#*.}
		case $what in
		fifo.out | socket.out) size=0 ;;
		directory.out) size=$(stat -c %s "$T/some") ;;
		*) size=1000 ;;
		esac
		"$SC" get --status-fd 9 k -- sh -c 'flood "$1"; [ "$2" = out ] || echo err >&2' - "$size" "$s" 9>"$T/made" >/dev/null 2>&1 3>&-
		made=$(field generation "$T/made")
		made=$SC_DIR/objects/${made:0:2}/$made
		size=$(stat -c %s "$made.$s")
		tr '\0' X </dev/zero | head -c "$size" >"$T/target"
		if [ "$what" = symlink.err ]; then cp "$made.err" "$T/target"; fi
		cp "$T/target" "$T/precious"
		rm "$made.$s"
		case $what in
		symlink.*) ln -s "$T/target" "$made.$s" ;;
		fifo.*) mkfifo "$made.$s" ;;
		directory.*) mkdir "$made.$s" ;;
		socket.*) (cd "$(dirname "$made")" && bg_socket "$(basename "$made.$s")") ;;
		esac
		run -1 timeout $((10 * SLACK)) "$SC" get k
		assert_output ''
		run -0 --separate-stderr timeout $((10 * SLACK)) "$SC" get k -- echo anew
		assert_output anew
		[ -z "$stderr" ]
		"$SC" rm k
		cmp "$T/target" "$T/precious"
	done
	ANY_FILES=1
}

bg_socket() { # a socket's name that nobody listens at
	timeout 20 "$HELPERS/rawclient" "$1" sit 3>&- >/dev/null 2>&1 &
	wait_until "[ -S '$1' ]"
	kill $! && wait $! || true
}

@test "S05 S06: a link, FIFO or directory in flights/, in the place of lock, log, objects/ or one of its directories: no hang, no byte written through it" {
	local where what
	mkdir "$T/behind"
	for where in flights/ab0123456789abcdef0123456789abcd flights lock scd.log objects sock config; do
		for what in symlink link fifo directory; do
			export SC_DIR=$T/d-${where//\//-}-$what
			mkdir -m 700 "$SC_DIR"
			[[ $where != */* ]] || mkdir -m 700 "$SC_DIR/${where%/*}"
			# Of this name alone: a second one would give a link away.
			rm -f "$T/target"
			echo precious >"$T/target"
			case $what:$where in
			directory:flights | directory:objects) continue ;;
			symlink:flights | symlink:objects) ln -s "$T/behind" "$SC_DIR/$where" ;;
			symlink:*) ln -s "$T/target" "$SC_DIR/$where" ;;
			link:*) ln "$T/target" "$SC_DIR/$where" ;;
			fifo:*) mkfifo "$SC_DIR/$where" ;;
			directory:*) mkdir "$SC_DIR/$where" ;;
			esac
			run -0 timeout $((20 * SLACK)) "$SC" get k -- echo x
			assert_line x
			run -0 timeout $((20 * SLACK)) "$SC" get k -- echo x
			assert_line x
			if [ -n "$(daemon_pids)" ]; then "$SC" daemon stop --now; fi
			is_file "$T/target" 'precious\n'
			[ -z "$(ls -A "$T/behind")" ]
		done
	done
	export SC_DIR=$T/cache
}
