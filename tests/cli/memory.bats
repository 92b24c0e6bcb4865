#!/usr/bin/env bats
# The memory tier: what is asked for again comes from memory, byte for byte what is on the disk, and as long as that is an entry; it never
# takes more than `memory`, and whoever loads it may do what he likes.
load ../helper
load ../faults/damage
load ../faults/clock

prepare() { use_test_build; }

config() { # LINE…: before the daemon starts
	mkdir -p -m 700 "$SC_DIR"
	printf '%s\n' "$@" >"$SC_DIR/config"
}

figure() { "$SC" stats --json | jq -s ".[0].$1"; } # of the cache
is() { # FIGURE VALUE
	local got
	got=$(figure "$1")
	[ "$got" = "$2" ] || { echo "$1: $got, expected $2" >&2 && return 1; }
}
in_memory() { [ "$("$SC" explain --json "$1" | jq .entry.memory)" = true ]; }
cold() { ! in_memory "$1" || { echo "$1 lies in memory" >&2 && return 1; }; } # "!" alone ends no test
loaded() { wait_until "in_memory '$1'"; }
hot() { # KEY TEXT: an entry that lies in memory
	entry "$1" "$2"
	heat "$1"
}
heat() {
	"$SC" get "$1" >"$T/heat" && "$SC" get "$1" >"$T/heat" || return
	loaded "$1"
}
fds_in_memory() { find "/proc/$(daemon_pid)/fd" -lname '/memfd:sc-entry*' | wc -l; }
no_complaint() { if grep 'event=dropped' "$SC_DIR/scd.log" >&2; then return 1; fi; }
large() { # KEY SIZE
	"$SC" get "$1" -- flood "$2" >/dev/null 3>&-
}

@test "the second reader puts it there, the third finds it there: bytes, order of both streams, status" {
	local n
	run_it() { "$SC" get -v --status-fd 9 k --keep-failures 1h -- sh -c 'echo 1; echo 2 >&2; echo 3; echo 4 >&2; exit $0' "$1" >"$T/both" 2>&1 9>"$T/st"; }
	for status in 0 3; do
		"$SC" rm k
		run -$status run_it "$status"
		[ "$(grep -v '^sc: ' "$T/both" | sort)" = "$(printf '1\n2\n3\n4')" ]
		for n in 1 2 3 4; do
			run -$status run_it "$status"
			# In the order in which they were recorded, each time.
			grep -v '^sc: ' "$T/both" >"$T/now"
			[ $n != 1 ] || cp "$T/now" "$T/first"
			cmp "$T/now" "$T/first"
			[ "$(sort "$T/now")" = "$(printf '1\n2\n3\n4')" ]
			[ "$(field source "$T/st") $(field exit "$T/st") $(field bytes "$T/st") $(field stderr_bytes "$T/st")" = "hit $status 4 4" ]
			[ "$(grep -c 'from memory' "$T/both")" = $((n > 2)) ]
			[ $n -lt 2 ] || wait_until '[ "$(figure memory_entries)" = 1 ]'
		done
	done
	is loads 2
	is memory_hits 4
	[ $(($(figure memory_served_bytes) % 4)) = 0 ]
	[ "$(figure memory_served_bytes)" -ge $((4 * (4 + 4 + 12))) ] # a head for each record of stderr
	is memory_entries 1
	is memory_bytes $((3 * 4096))
	[ "$(fds_in_memory)" = 2 ]
	no_complaint
}

@test "every size, every kind of stdout, -o and --atomic" {
	local size
	for size in 0 1 4095 4096 4097 65536 3000001; do
		large "k$size" $size
		heat "k$size"
		"$SC" get "k$size" >"$T/file"
		is_flood "$T/file" $size
		"$SC" get "k$size" | cat >"$T/piped"
		is_flood "$T/piped" $size
		: >"$T/added"
		"$SC" get "k$size" >>"$T/added"
		is_flood "$T/added" $size
		"$SC" get -o "$T/out" "k$size"
		is_flood "$T/out" $size
		"$SC" get --atomic "k$size" | cmp - "$T/out"
		"$SC" get "k$size" >/dev/null
	done
	is loads 7
	is memory_hits 42
	no_complaint
}

@test "-o, --atomic, a closed stdin and an inherited limit on files load as well" {
	local way
	large k 100000
	"$SC" get k >/dev/null
	for way in '-o "$T/o"' '--atomic >/dev/null' '>/dev/null <&-' '>/dev/null 2>&-' '>"$T/o"' '| cat >"$T/o"'; do
		eval '"$SC" get k '"$way"
		loaded k
		is loads 1
		"$SC" daemon restart
		is memory_entries 0
	done
	# A limit of its files makes it give up, not die.
	bg_sh a '(ulimit -f 10 && exec "$SC" get k) | cat >"$T/o"'
	[ "$(pipe_status a)" = '0 0' ]
	is_flood "$T/o" 100000
	cold k
	"$SC" get k >/dev/null
	loaded k
}

@test "a hundred at once who read a cold entry: one of them loads it" {
	large k 1M
	"$SC" get k >/dev/null
	seq 100 | xargs -P 100 -I{} sh -c '"$SC" get k >"$T/o{}"'
	loaded k
	is loads 1
	for n in $(seq 100); do is_flood "$T/o$n" 1M; done
	no_complaint
}

@test "who loads is killed before it is done: the next one loads" {
	large k 100K
	"$SC" get k >/dev/null
	run -137 env SC_KILLAT=before_loaded:1 "$SC" get -o "$T/o" k
	is_flood "$T/o" 100K
	cold k
	"$SC" get k >/dev/null
	loaded k
	is loads 1
}

@test "who loads leaves: | head, a full disk, Ctrl-C; its status is as ever, and the next one loads" {
	large k 300K
	"$SC" get k >/dev/null
	bg_sh a '"$SC" get k | head -c 1 >/dev/null'
	[ "$(pipe_status a)" = '141 0' ]
	run -125 bash -c '"$SC" get -q k >/dev/full'
	mkfifo "$T/pipe"
	bg_sh b '"$SC" get k >"$T/pipe"'
	head -c 1 <"$T/pipe" >/dev/null
	rc b
	cold k
	"$SC" get k >/dev/null
	loaded k
	is loads 1
	no_complaint
}

@test "whose stdout is stuck loads later than somebody else, or never" {
	large k 3M
	"$SC" get k >/dev/null
	mkfifo "$T/pipe"
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 10 <&"$held" >/dev/null
	"$SC" get k >/dev/null
	cold k
	wait_until '"$SC" get k >/dev/null && in_memory k'
	is loads 1
	head -c $((3 * 1048576 - 10)) <&"$held" >/dev/null
	exec {held}>&-
	assert_rc 0 a
	# It came second: what it brought was not needed.
	is loads 1
	[ "$(fds_in_memory)" = 1 ]
	no_complaint
}

@test "memory = 0: nothing is loaded; what is larger than memory is not; what just fits is" {
	config 'memory = 0'
	entry k x
	for n in 1 2 3 4; do "$SC" get k >/dev/null; done
	is loads 0
	is max_memory_bytes 0
	cold k
	config 'memory = 100K'
	"$SC" daemon restart
	large over $((92 * 1024 + 4096 + 1))
	large fits $((92 * 1024 + 4096))
	for n in 1 2 3 4; do "$SC" get over >/dev/null; done
	heat fits
	is loads 1
	is memory_bytes $((100 * 1024))
	is max_memory_bytes $((100 * 1024))
	cold over
}

# 20K is room for two small ones and a half.
@test "when it is full what is asked for stays, and it never takes more than it may" {
	local n
	config 'memory = 20K'
	for n in 1 2 3 4 5; do entry "k$n" "text $n"; done
	for n in 1 2; do heat "k$n"; done
	for n in 3 4 5; do
		"$SC" get k1 >/dev/null
		"$SC" get "k$n" >/dev/null
		# Perhaps not asked at once: the one that went for it may have been in vain.
		wait_until "\"\$SC\" get k$n >/dev/null && in_memory k$n"
		in_memory k1
		[ "$(figure memory_bytes)" -le 20480 ]
		is memory_entries 2
		[ "$(fds_in_memory)" = 2 ]
	done
	cold k2
	for n in 1 2 3 4 5; do [ "$("$SC" get "k$n")" = "text $n" ]; done
}

@test "what somebody reads is not thrown out, and counts until he has done, also when it is removed meanwhile" {
	config 'memory = 3200K'
	mkfifo "$T/pipe"
	large k 3M
	heat k
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 10 <&"$held" >"$T/first"
	large l 1M
	for _ in 1 2 3; do "$SC" get l >/dev/null; done
	cold l
	in_memory k
	[ "$(figure memory_bytes)" -le $((3200 * 1024)) ]
	"$SC" rm k
	is memory_entries 1
	is memory_bytes $((3 * 1048576 + 4096))
	for _ in 1 2 3; do "$SC" get l >/dev/null; done
	cold l
	head -c $((3 * 1048576 - 10)) <&"$held" >"$T/rest"
	assert_rc 0 a
	exec {held}>&-
	cat "$T/first" "$T/rest" >"$T/all"
	is_flood "$T/all" 3M
	wait_until '[ "$(figure memory_entries)" = 0 ]'
	is memory_bytes 0
	[ "$(fds_in_memory)" = 0 ]
	"$SC" get l >/dev/null
	loaded l
}

@test "it is no longer than its entry: rm, prefix, refresh, put, expiry, -t, --tag; touch keeps it" {
	hot k one
	"$SC" rm k
	is memory_entries 0
	run -1 "$SC" get k
	hot k one
	hot k2 one
	"$SC" rm --prefix k
	is memory_entries 0
	hot k one
	[ "$("$SC" get -r k -- printf two)" = two ]
	is memory_entries 0
	[ "$("$SC" get k)" = two ]
	heat k
	printf three | "$SC" put k
	is memory_entries 0
	[ "$("$SC" get k)" = three ]
	heat k
	[ "$("$SC" get -t 0 k -- printf four)" = four ]
	[ "$("$SC" get k)" = three ] # not kept
	"$SC" touch -t 2h k
	in_memory k
	[ "$("$SC" get k)" = three ]
	"$SC" touch -t 100ms k
	wait_until '[ "$(figure memory_entries)" = 0 ]'
	run -1 "$SC" get k
	"$SC" get --tag t tagged -- printf x >/dev/null
	heat tagged
	"$SC" rm --tag t
	is memory_entries 0
	[ "$(fds_in_memory)" = 0 ]
	no_complaint
}

@test "what is evicted from the disk leaves memory, too" {
	config 'max-files = 3'
	hot k x
	for n in 1 2 3 4 5 6 7 8; do
		entry "x$n" x
		"$SC" get "x$n" >/dev/null
	done
	wait_until '[ -z "$("$SC" ls k)" ]'
	wait_until '! "$SC" explain --json k | jq -e .entry.memory >/dev/null'
	is memory_entries "$(fds_in_memory)"
}

@test "an entry whose file was damaged after it was loaded is served as it was; a new daemon finds out" {
	make k bytes
	heat k
	flip "$made.out" 2
	[ "$("$SC" get k)" = bytes ]
	rm "$made.out"
	[ "$("$SC" get k)" = bytes ]
	[ "$("$SC" get -r k -- printf new)" = new ]
	make l bytes
	heat l
	truncate -s 1 "$made.out"
	"$SC" daemon restart
	is memory_entries 0
	run -1 "$SC" get l
}

@test "an entry whose file was damaged before it could be loaded never gets there" {
	make k bytes err
	"$SC" get k >/dev/null 2>&1
	flip "$made.err" 13
	for _ in 1 2 3; do "$SC" get k >/dev/null 2>&1; done
	cold k
	flip "$made.err" 13
	"$SC" get k >/dev/null 2>&1
	loaded k
	is loads 1
	no_complaint
}

@test "of another boot: loaded only after it was proved; verify reads the disk, and what it finds bad leaves memory" {
	make k bytes
	"$SC" get k >/dev/null
	"$SC" daemon stop
	SC_FAULT=boot start_daemon
	[ "$("$SC" get k)" = bytes ] # was asked for before, but is not known to be good before this
	cold k
	is loads 0
	[ "$("$SC" get k)" = bytes ]
	loaded k
	is loads 1
	flip "$made.out" 2
	run -1 "$SC" verify
	assert_line --partial 'k: '
	in_memory k
	run -1 "$SC" verify --repair
	is memory_entries 0
	run -1 "$SC" get k
}

@test "what is stale is not loaded, for it will not be there for long; what lies in memory is served from there, stale or not" {
	local key
	start_daemon_with_clocks
	for key in k l; do
		"$SC" get -t 1h --stale 1d $key -- printf $key >/dev/null
		"$SC" get $key >/dev/null
	done
	heat l
	let_pass $((2 * HOUR))
	for _ in 1 2 3; do
		[ "$("$SC" get -t 1h --stale 1d --status-fd 9 k -- false 9>"$T/st")" = k ]
		[ "$(field source "$T/st")" = stale ]
	done
	cold k
	is memory_hits 1
	[ "$("$SC" get -t 1h --stale 1d --status-fd 9 l -- false 9>"$T/st")" = l ]
	[ "$(field source "$T/st")" = stale ]
	is memory_hits 2
	is loads 1
}

@test "a daemon that is killed, or restarted, begins cold" {
	hot k x
	kill_daemon
	for _ in 1 2; do [ "$("$SC" get k)" = x ]; done
	is memory_hits 0
	loaded k
	# One that stops tells the index what was asked for; the next one need not wait to be told.
	"$SC" daemon restart
	is memory_entries 0
	[ "$("$SC" get k)" = x ]
	is memory_hits 0
	loaded k
}

@test "warm asks and reads nothing: it does not load, and is in nobody's way" {
	entry k x
	"$SC" get k >/dev/null
	"$SC" warm k -- false
	cold k
	"$SC" get k >/dev/null
	loaded k
}

@test "what a reader gets of memory cannot be written, cut, grown, mapped for writing, unsealed, or made executable" {
	make k out err
	heat k
	bg a rawpeer "$SC_DIR" dial ask k hear try
	assert_rc 0 a
	cat "$T/a.out" >&2
	[ "$(lines_in "$T/a.out")" = 3 ]
	run -0 head -n 1 "$T/a.out"
	assert_output --regexp '^HIT flags=(32|40) '
	[ "$(grep -c ' write=EPERM grow=EPERM cut=EPERM punch=EPERM map=EPERM unseal=EPERM ' "$T/a.out")" = 2 ]
	# Before Linux 6.3 there was no such promise.
	if [ "$(printf '%s\n' 6.3 "$(uname -r)" | sort -V | head -n 1)" = 6.3 ]; then
		[ "$(grep -c ' exec=EPERM$' "$T/a.out")" = 2 ]
	fi
	[ "$("$SC" get k 2>"$T/e")" = out ]
	is_file "$T/e" 'err\n'
}

@test "P10: what was loaded otherwise than asked is not taken: the peer is cut off, no descriptor stays, the next one loads" {
	local kind before
	make k out err
	"$SC" get k >/dev/null
	before=$(fd_count "$(daemon_pid)")
	for kind in open writable short long file pipe another lengths three; do
		bg a rawpeer "$SC_DIR" dial ask k hear loaded "$kind" hear
		assert_rc 0 a
		[ "$(sed -n 's/ .*//p; 2p' "$T/a.out" | xargs)" = 'HIT closed' ] || { cat "$T/a.out" >&2 && return 1; }
		grep -qE '^HIT flags=(16|24) ' "$T/a.out"
		wait_until '[ "$(fd_count "$(daemon_pid)")" = '"$before"' ]'
	done
	cold k
	# Nobody asked: before HIT, and twice.
	bg a rawpeer "$SC_DIR" dial loaded pipe hear
	assert_rc 0 a
	is_file "$T/a.out" 'closed\n'
	bg a rawpeer "$SC_DIR" dial ask k hear loaded good loaded good hear
	assert_rc 0 a
	[ "$(tail -n 1 "$T/a.out")" = closed ]
	loaded k
	is loads 1
	wait_until '[ "$(fd_count "$(daemon_pid)")" = '$((before + 2))' ]'
	bg a rawpeer "$SC_DIR" dial ask k hear loaded good hear
	assert_rc 0 a
	[ "$(tail -n 1 "$T/a.out")" = closed ]
	[ "$("$SC" get k 2>"$T/e")" = out ]
	is_file "$T/e" 'err\n'
	is memory_entries 1
}

@test "what was loaded of an entry that went meanwhile is not taken, without a word" {
	make k out
	"$SC" get k >/dev/null
	bg a env SC_STOPAT="before_loaded:1:$T/stopped" "$SC" get k
	wait_until '[ -s "$T/stopped" ] && grep -q "^State:.T" "/proc/$(pid_of a)/status"'
	[ "$("$SC" get -r k -- printf new)" = new ]
	kill -CONT "$(pid_of a)"
	assert_rc 0 a
	is_file "$T/a.out" 'out\n'
	is loads 0
	is memory_entries 0
	[ "$("$SC" get k)" = new ]
	no_complaint
}

@test "no memory to be had: nothing happens" {
	entry k x
	"$SC" get k >/dev/null
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -o "$T/trace" -e trace=memfd_create -e inject=memfd_create:error=ENOMEM "$SC" get k >"$T/o" 2>"$T/e"
	is_file "$T/o" x
	is_empty "$T/e"
	cold k
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -o "$T/trace" -e trace=write -e inject=write:error=ENOSPC:when=2+ "$SC" get k >"$T/o" 2>"$T/e"
	is_file "$T/o" x
	cold k
	"$SC" get k >/dev/null
	loaded k
	no_complaint
}

@test "explain, ls --json and -v say what lies in memory; stats counts it by bucket" {
	hot k x
	run -0 "$SC" explain k
	assert_line --partial ', in memory, '
	SC_BUCKET=other entry k y
	SC_BUCKET=other run -0 "$SC" explain k
	refute_output --partial 'in memory'
	[ "$("$SC" ls --json | jq .memory)" = true ]
	[ "$("$SC" ls --json -b other | jq .memory)" = false ]
	"$SC" get -v k >/dev/null 2>"$T/e"
	grep -q 'from memory' "$T/e"
	"$SC" get k >/dev/null
	"$SC" stats --json | jq -c 'select(.bucket == "default") | [.memory_hits, .memory_served_bytes, .loads, has("memory_entries")]' >"$T/j"
	is_file "$T/j" '[2,2,1,false]\n'
	"$SC" stats --openmetrics | python3 "$ROOT/tests/openmetrics.py" >"$T/m"
	grep -qxF 'sc_memory_hits_total{bucket="default"} 2' "$T/m"
	grep -qxF 'sc_loads_total{bucket="other"} 0' "$T/m"
	grep -qxF 'sc_max_memory_bytes 67108864' "$T/m"
}
