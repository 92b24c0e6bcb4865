#!/usr/bin/env bats
# Key options of get and warm: --file --mtime --env make KEY#<hash> of KEY. (--stdin has a file of its own, and so has run.)
load ../helper
load ../key
load ../faults/clock

key() { "$SC" get --print-key "$@"; }

# refused REGEX WORD…: `sc WORD…` is 125 with one line, and nothing is run or started.
refused() {
	local regex=$1 got=0
	shift
	timeout 20 "$SC" "$@" >"$T/out" 2>"$T/err" || got=$?
	[ $got = 125 ] || { echo "sc $*: status $got" >&2 && return 1; }
	is_message "$T/err" "$regex" || { echo "(sc $*)" >&2 && return 1; }
	is_empty "$T/out"
	[ ! -e "$T/ran" ]
	no_daemon
}

# Everything in $T/in was there long ago, also for a file system that counts in seconds: what is declared old may be remembered.
age() { set_clocks 10000 10000; }
later() { with_clocks "$@"; }

# opened FILE CMD…: what CMD opened of $T/in, a line each.
opened() {
	local out=$1
	shift
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -e trace=openat,openat2,open -E LD_PRELOAD="$HELPERS/shim_clock.so" \
		-E SHIM_CLOCK="$T/clocks" -o "$out" "$@" || return
	sed -i -n -E 's/^[0-9]+ +//; /(RDONLY|RDWR|WRONLY)/{/shim_clock|\/clocks|\/lib\/|\/proc\/|\/etc\/|"[^"]*cache"|"hashes"/!p}' "$out"
}

@test "the key is KEY#<hash>, as documented: recomputed with printf and b2sum" {
	cd "$T"
	printf 'content\n' >f
	touch -d @1700000000.123456789 f
	export V='a b' E=''
	file() { declared file f "$(printf 'content\n' | b2)"; }
	run -0 key --file f k
	assert_output "k#$(suffix file)"
	mtime() { declared mtime f "$(printf %s 1700000000.123456789 | b2)"; }
	run -0 key --mtime f k
	assert_output "k#$(suffix mtime)"
	[ "$(stat -L -c %.9Y f)" = 1700000000.123456789 ]
	set_env() { declared env V "$(printf '=a b' | b2)"; }
	run -0 key --env V k
	assert_output "k#$(suffix set_env)"
	empty_env() { declared env E "$(printf '=' | b2)"; }
	run -0 key --env E k
	assert_output "k#$(suffix empty_env)"
	unset_env() { declared env U "$(printf '' | b2)"; }
	run -0 key --env U k
	assert_output "k#$(suffix unset_env)"
	all() { empty_env && unset_env && set_env && file && mtime && declared stdin '' "$(printf in | b2)"; }
	run -0 key --stdin --mtime f --file f k --env V --env U --env E < <(printf in)
	assert_output "k#$(suffix all)"
	run -0 key --env E --file f --env E --file f --env U --mtime f --env V --stdin -- k < <(printf in)
	assert_output "k#$(suffix all)"
	[ ! -e "$SC_DIR" ]
	no_daemon
}

@test "--file of a directory: names, modes, contents and links below it, as documented" {
	mkdir -p "$T/d/sub/deep" "$T/d/sub.d" "$T/d/empty"
	cd "$T/d"
	echo one >sub/one
	echo two >sub.d/two
	echo 'before sub/' >sub-
	: >empty.file
	chmod 4755 sub/one
	chmod 1777 sub.d
	chmod 600 sub.d/two
	ln -s ../one sub/deep/link
	ln -s 'nowhere at all' dangling
	mkfifo pipe
	printf x >$'new\nline'
	printf x >$'\xff\e[31m'
	of_tree() { declared dir "$T/d" "$(tree "$T/d")"; }
	run -0 timeout 20 "$SC" get --print-key --file "$T/d" k
	assert_output "k#$(suffix of_tree)"
	of_empty() { declared dir empty "$(printf '' | b2)"; }
	run -0 key --file empty k
	assert_output "k#$(suffix of_empty)"
}

@test "--file: unchanged it is a hit, changed it is run, changed back it is a hit" {
	echo one >"$T/f"
	local get=("$SC" get --file "$T/f" k -- fails -n "$T/count" -o)
	run -0 "${get[@]}" A
	run -0 "${get[@]}" B
	assert_output A
	echo two >"$T/f"
	run -0 "${get[@]}" B
	assert_output B
	echo one >"$T/f"
	touch -d @1 "$T/f"
	run -0 "${get[@]}" C
	assert_output A
	[ "$(lines_in "$T/count")" = 2 ]
	run -1 "$SC" get k
	run -0 "$SC" get "$(key --file "$T/f" k)"
	assert_output A
	run -0 "$SC" get --file "$T/f" k # without a command: only looked for
	assert_output A
	"$SC" rm "$(key --file "$T/f" k)"
	run -1 "$SC" get --file "$T/f" k
}

@test "--file of a directory: what changes the key, and what does not" {
	mkdir -p "$T/d/sub"
	cd "$T"
	echo a >d/a
	ln -s a d/link
	local before after
	before=$(key --file d k)
	changes() {
		after=$(key --file d k)
		[ "$after" != "$before" ] || { echo "not changed by: $*" >&2 && return 1; }
		before=$after
	}
	stays() {
		after=$(key --file d k)
		[ "$after" = "$before" ] || { echo "changed by: $*" >&2 && return 1; }
	}
	touch -d @1 d/a d/sub d && stays times
	cat d/a >/dev/null && stays reading
	cp -a d e && rm -r d && mv e d && stays 'another inode'
	chmod 700 d && stays 'its own mode'
	echo b >d/a && changes content
	chmod 600 d/a && changes 'a mode'
	chmod 700 d/a && changes 'an x'
	chmod 700 d/sub && changes "a directory's mode"
	mv d/a d/b && changes 'a name'
	ln -sf b d/link && changes "a link's target"
	rm d/link && cp -p d/b d/link && changes 'a link that becomes a file'
	mkdir d/new && changes 'an empty directory'
	mkfifo d/pipe && changes 'a FIFO'
	: >d/.hidden && changes 'a hidden file'
	mv d/b d/sub/b && changes 'a file moved'
	echo c >d/sub/b && changes 'content further down'
	rm -r d && echo x >d && changes 'a file in its place'
}

@test "--file: a link is followed, below a directory none is; a loop is no end" {
	mkdir "$T/d" "$T/elsewhere"
	cd "$T"
	echo a >d/a
	ln -s d link
	ln -s d/a to_a
	ln -s . d/loop
	ln -s ../elsewhere d/away
	[ "$(key --file link k)" != "$(key --file d k)" ] # the name is in it
	of_link() { declared dir link "$(tree d)"; }
	[ "$(key --file link k)" = "k#$(suffix of_link)" ]
	of_file() { declared file to_a "$(echo a | b2)"; }
	[ "$(key --file to_a k)" = "k#$(suffix of_file)" ]
	local before
	before=$(key --file d k)
	echo new >elsewhere/new
	[ "$(key --file d k)" = "$before" ]
	ln -s self self
	refused 'self.*levels' get --file self k -- touch "$T/ran"
}

@test "--file, --mtime: what is missing or cannot be read is an error, before anything is run" {
	cd "$T"
	ln -s nowhere dangling
	refused '--file missing: No such file' get --file missing k -- touch "$T/ran"
	refused '--file dangling: No such' get --file dangling k -- touch "$T/ran"
	refused '--mtime missing: No such' get --mtime missing k -- touch "$T/ran"
	refused '--file missing: No such' warm --file missing k -- touch "$T/ran"
	refused '--file missing: No such' get --print-key --file missing k
	refused '--file missing' get --file missing --stdin k -- touch "$T/ran" < <(echo x)
	echo x >f
	refused 'Not a directory' get --file f/ k -- touch "$T/ran"
	SC_DISABLE=1 refused '--file missing' get --file missing k -- touch "$T/ran"
	mkdir d
	mkfifo pipe
	refused 'pipe: neither' get --file pipe k -- touch "$T/ran"
	refused 'null: neither' get --file /dev/null k -- touch "$T/ran"
	echo x >d/secret
	if [ "$(id -u)" != 0 ]; then
		chmod 0 d/secret
		refused 'd/secret: Permission' get --file d k -- touch "$T/ran"
		chmod 0 d
		refused 'd: Permission' get --file d k -- touch "$T/ran"
		chmod 700 d
	fi
	refused $'esc\\\\x1b.*No such' get --file $'esc\e[31m' k -- touch "$T/ran"
	run -1 grep -q $'\e' "$T/err"
	refused 'one.*long' get --file "one/$(printf 'x%.0s' {1..300})" k -- touch "$T/ran" || refused 'No such' get --file "one/$(printf 'x%.0s' {1..300})" k
	"$SC" get --status-fd 9 -q --file missing k -- true 9>"$T/status" && return 1
	[ "$(field error "$T/status")" = '--file missing: No such file or directory' ]
}

@test "--env: not set, empty and each value are three" {
	local unset_key
	unset V
	unset_key=$(key --env V k)
	[ "$(V='' key --env V k)" != "$unset_key" ]
	[ "$(V=1 key --env V k)" != "$unset_key" ]
	[ "$(V=1 key --env V k)" != "$(V='' key --env V k)" ]
	[ "$(V=1 key --env V k)" != "$(V=1 key --env V --env W k)" ]
	[ "$(W=1 key --env V k)" = "$unset_key" ]
	[ "$(V=$'a\n\xff' key --env V k)" != "$(V=$'a\n\xfe' key --env V k)" ]
}

@test "--mtime: the time decides, and nothing else; of a link it is that of what it points to" {
	cd "$T"
	echo a >f
	ln -s f l
	touch -d @1700000000.000000001 f
	local before
	before=$(key --mtime f k)
	echo b >f
	touch -d @1700000000.000000001 f
	[ "$(key --mtime f k)" = "$before" ]
	before=$(key --mtime l k)
	touch -h -d @5 l
	[ "$(key --mtime l k)" = "$before" ]
	touch -d @1700000000.000000002 f
	[ "$(key --mtime l k)" != "$before" ]
	mkfifo pipe
	run -0 timeout 20 "$SC" get --print-key --mtime pipe k
	before=$(key --mtime . k)
	touch -d @7 .
	[ "$(key --mtime . k)" != "$before" ]
}

@test "keys and paths with newline, ESC, invalid UTF-8 and leading dashes work, and none comes to a terminal raw" {
	local name
	cd "$T"
	for name in $'new\nline' $'\e[31mred' $'\xff\xfe' -dash --file '#' ' ' '*' $'tab\t'; do
		printf '%s' "$name" >"./$name"
		one() { declared file "$name" "$(printf '%s' "$name" | b2)"; }
		[ "$("$SC" get --print-key "--file=$name" -- "$name")" = "$name#$(suffix one)" ]
		run -0 "$SC" get --file "$name" -- "$name" -- printf '%s' x
		assert_output x
		run -0 "$SC" get -- "$name#$(suffix one)"
		assert_output x
	done
	pty - "$SC" get --print-key --file $'\e[31mred' -- $'\e[31mred' >"$T/shown"
	run -1 grep -q $'\e' "$T/shown"
}

@test "warm takes them too: what it makes is what get finds" {
	echo x >"$T/f"
	"$SC" warm --file "$T/f" --env HOME k -- gate "$G"
	gate_up
	bg a "$SC" get --env HOME --file "$T/f" k
	step "$G" out made
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'made\n'
}

@test "two at once with the same files share a run" {
	echo x >"$T/f"
	bg a "$SC" get --file "$T/f" k -- gate "$G"
	gate_up
	bg b "$SC" get --file "$T/f" k -- touch "$T/ran"
	step "$G" out x
	shows b 'x\n'
	step "$G" exit 0
	assert_rc 0 a b
	[ ! -e "$T/ran" ]
}

@test "usage: PATH and NAME missing or empty, a NAME with =, a KEY that leaves no room" {
	local long
	long=$(printf 'x%.0s' {1..4063})
	refused '--file.*empty' get --file '' k -- touch "$T/ran"
	refused '--mtime.*empty' get --mtime= k -- touch "$T/ran"
	refused '--env.*empty' get --env '' k -- touch "$T/ran"
	refused "--env.*name.*'A=b'" get --env A=b k -- touch "$T/ran"
	refused '--file.*wants' get k --file
	refused '--no-cwd' get --no-cwd k -- touch "$T/ran"
	refused '--no-cwd' warm --no-cwd k -- touch "$T/ran"
	refused 4063 get --env HOME "x$long" -- touch "$T/ran"
	refused '--print-key.*--output' get --print-key -o "$T/file" k -- touch "$T/ran"
	run -0 "$SC" get --env HOME "$long" -- echo y
	[ ! -e "$T/file" ]
}

# ---- what is remembered of files -------------------------------------------------------------------------------------

many() { # 10 000 files of a few bytes below $T/in, and their names in $T/list
	python3 - "$T/in" <<'EOF'
import os, sys
for d in range(100):
    os.makedirs(f"{sys.argv[1]}/{d}")
    for f in range(100):
        with open(f"{sys.argv[1]}/{d}/{f}", "w") as file: file.write(f"{d} {f}\n" if f else "")
EOF
}

@test "10 000 unchanged files cost a stat each: none is opened a second time, as a tree or one by one" {
	use_test_build
	many
	age
	mkdir -m 700 "$SC_DIR"
	local first second
	opened "$T/first" "$SC" get --print-key --file "$T/in" k >"$T/key"
	[ "$(lines_in "$T/first")" = 10101 ]
	opened "$T/second" "$SC" get --print-key --file "$T/in" k >"$T/key2"
	[ "$(lines_in "$T/second")" = 101 ] # the directories, for their names
	cmp "$T/key" "$T/key2"
	first=$(key --file "$T/in" k)
	[ "$first" = "$(<"$T/key")" ]
	mapfile -t files < <(find "$T/in" -type f | sed 's/^/--file=/' | shuf)
	opened "$T/third" "$SC" get --print-key "${files[@]}" k >"$T/key"
	[ "$(lines_in "$T/third")" = 0 ]
	rm "$SC_DIR/hashes"
	[ "$(key "${files[@]}" k)" = "$(<"$T/key")" ]
	[ "$(du -k "$SC_DIR/hashes" | cut -f 1)" -le 16384 ]
	second=$(stat -c %s "$SC_DIR/hashes")
	[ "$second" -le 16777216 ]
	[ "$(stat -c %a "$SC_DIR/hashes")" = 600 ]
}

@test "a run over remembered files is a hit, and what has changed is noticed: size, mtime, or ctime alone" {
	use_test_build
	mkdir "$T/in"
	cd "$T/in"
	echo one >a
	echo one >b
	touch -d @1000 a b
	age
	remembered() { later "$SC" get --print-key --file a --file b k; }
	fresh() { rm -f "$SC_DIR/hashes" && key --file a --file b k; }
	mkdir -m 700 "$SC_DIR"
	local before
	before=$(remembered)
	[ "$(remembered)" = "$before" ]
	echo two >a
	touch -d @1000 a # only ctime tells
	[ "$(remembered)" != "$before" ]
	before=$(remembered)
	[ "$(fresh)" = "$before" ]
	mv a c && mv b a && mv c b # as by tools that put another file in a name's place
	[ "$(remembered)" = "$(fresh)" ]
	[ "$(remembered)" != "$before" ]
	printf 'longer\n' >>a
	[ "$(remembered)" = "$(fresh)" ]
}

@test "a file that was changed just now is not remembered: it may change again within a tick" {
	use_test_build
	mkdir "$T/in"
	echo one >"$T/in/young"
	mkdir -m 700 "$SC_DIR"
	set_clocks 0 -3600000 # for us it is in the future
	opened "$T/first" "$SC" get --print-key --file "$T/in/young" k
	opened "$T/second" "$SC" get --print-key --file "$T/in/young" k
	[ "$(lines_in "$T/second")" = 1 ]
	age
	opened "$T/third" "$SC" get --print-key --file "$T/in/young" k
	[ "$(lines_in "$T/third")" = 1 ]
	opened "$T/fourth" "$SC" get --print-key --file "$T/in/young" k
	[ "$(lines_in "$T/fourth")" = 0 ]
}

@test "what lies where hashes are remembered may be anything: the key is right, nothing is followed or waited for" {
	use_test_build
	mkdir "$T/in"
	echo one >"$T/in/a"
	age
	mkdir -m 700 "$SC_DIR"
	local want what
	want=$(key --file "$T/in/a" k)
	for what in link dangling fifo directory hardlink foreign garbage short long; do
		rm -rf "$SC_DIR/hashes"
		echo victim >"$T/victim"
		touch -d @1 "$T/victim"
		case $what in
		link) ln -s "$T/victim" "$SC_DIR/hashes" ;;
		dangling) ln -s "$T/made" "$SC_DIR/hashes" ;;
		fifo) mkfifo "$SC_DIR/hashes" ;;
		directory) mkdir "$SC_DIR/hashes" ;;
		hardlink) ln "$T/victim" "$SC_DIR/hashes" ;;
		foreign) : >"$SC_DIR/hashes" && chmod 666 "$SC_DIR/hashes" ;;
		garbage) head -c 16777216 /dev/urandom >"$SC_DIR/hashes" ;;
		short) head -c 100 /dev/urandom >"$SC_DIR/hashes" ;;
		long) truncate -s 10G "$SC_DIR/hashes" ;;
		esac
		for _ in 1 2 3; do
			run -0 --separate-stderr later timeout 20 "$SC" get --print-key --file "$T/in/a" k
			assert_output "$want"
			[ -z "$stderr" ]
		done
		[ "$(<"$T/victim") $(stat -c %Y "$T/victim")" = 'victim 1' ]
		[ ! -e "$T/made" ]
		case $what in garbage | short | long)
			opened "$T/again" "$SC" get --print-key --file "$T/in/a" k
			[ "$(lines_in "$T/again")" = 0 ]
			;;
		foreign) is_empty "$SC_DIR/hashes" ;;
		esac
		rm -rf "$SC_DIR/hashes"
	done
}

@test "a full disk, a limit, a directory that nobody may write to: not remembered, and nothing else" {
	use_test_build
	mkdir "$T/in"
	echo one >"$T/in/a"
	age
	mkdir -m 700 "$SC_DIR"
	local want
	want=$(key --file "$T/in/a" k)
	rm "$SC_DIR/hashes"
	run -0 --separate-stderr bash -c 'ulimit -f 10; LD_PRELOAD=$HELPERS/shim_clock.so SHIM_CLOCK=$T/clocks "$SC" get --print-key --file "$T/in/a" k'
	assert_output "$want"
	[ -z "$stderr" ]
	[ ! -e "$SC_DIR/hashes" ]
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 run -0 --separate-stderr strace -qq -o "$T/trace" -e trace=pwrite64 -e inject=pwrite64:error=ENOSPC \
		-E LD_PRELOAD="$HELPERS/shim_clock.so" -E SHIM_CLOCK="$T/clocks" "$SC" get --print-key --file "$T/in/a" k
	assert_output "$want"
	[ -z "$stderr" ]
	grep -q INJECTED "$T/trace"
	is_empty "$SC_DIR/hashes"
	run -0 later "$SC" get --print-key --file "$T/in/a" k # there is room again
	[ -s "$SC_DIR/hashes" ]
}

@test "many clients at once, each killed at any moment: every key is right, also by what they left behind" {
	use_test_build
	many
	age
	mkdir -m 700 "$SC_DIR"
	local nr want
	want=$(SC_DISABLE=1 key --file "$T/in" k)
	[ ! -e "$SC_DIR/hashes" ]
	for nr in {1..8}; do bg "killed$nr" with_clocks timeout -s KILL "0.0$nr" "$SC" get --print-key --file "$T/in" k; done
	for nr in {1..4}; do bg "client$nr" with_clocks "$SC" get --print-key --file "$T/in" k; done
	for nr in {1..8}; do rc "killed$nr" >/dev/null; done
	for nr in {1..4}; do
		assert_rc 0 "client$nr"
		[ "$(<"$T/client$nr.out")" = "$want" ]
	done
	[ "$(later "$SC" get --print-key --file "$T/in" k)" = "$want" ]
	opened "$T/last" "$SC" get --print-key --file "$T/in" k
	[ "$(lines_in "$T/last")" = 101 ]
}

@test "the daemon and its walk leave hashes alone; without a cache directory none is made to print a key" {
	use_test_build
	export SC_FAULT=walk
	mkdir "$T/in"
	echo one >"$T/in/a"
	age
	key --file "$T/in/a" k
	[ ! -e "$SC_DIR" ]
	run -0 later "$SC" get --file "$T/in/a" k -- echo x
	[ -s "$SC_DIR/hashes" ]
	cp "$SC_DIR/hashes" "$T/copy"
	touch "$SC_DIR/objects/00" 2>/dev/null || true
	"$SC" daemon stop
	start_daemon
	wait_until 'grep -q walk "$SC_DIR/scd.log"'
	run -0 "$SC" verify
	"$SC" daemon stop
	cmp "$T/copy" "$SC_DIR/hashes"
}

@test "a file that changes while it is read: the command is run directly, with one line; --strict and --print-key: 125" {
	use_test_build
	mkdir "$T/in"
	# Stopped at each read of it; then it is changed, and we go on.
	disturbed() {
		echo x >"$T/in/a"
		echo input >"$T/input"
		rm -f "$T/trace"
		# shellcheck disable=SC2016
		bg d env ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" bash -c 'exec "$@" <"$0"' "$T/input" strace -qq -o "$T/trace" -P "$T/in/a" -e trace=read -e inject=read:signal=STOP "$@"
		local pid try
		for try in {1..6}; do # three times, the content and the end
			wait_until '[ "$(grep -c "stopped by" "$T/trace")" -ge '"$try"' ] || ! is_running d'
			is_running d || break
			touch -d "@$try" "$T/in/a"
			pid=$(pgrep -P "$(pid_of d)")
			kill -CONT "$pid"
		done
	}
	disturbed "$SC" get --file "$T/in/a" k -- echo direct
	assert_rc 0 d
	is_file "$T/d.out" 'direct\n'
	is_message "$T/d.err" 'in/a: it is being changed while it is read.*directly'
	[ -z "$("$SC" ls)" ]
	disturbed "$SC" get -q --stdin --file "$T/in/a" k -- cat
	assert_rc 0 d
	is_file "$T/d.out" 'input\n'
	disturbed "$SC" get --strict --file "$T/in/a" k -- touch "$T/ran"
	assert_rc 125 d
	disturbed "$SC" get --print-key --file "$T/in/a" k -- touch "$T/ran"
	assert_rc 125 d
	is_empty "$T/d.out"
	[ ! -e "$T/ran" ]
}

@test "hashing that takes long shows a line at a terminal, gone at the end; -q shows none" {
	use_test_build
	export TERM=xterm SC_PATIENCE_MS=1
	truncate -s 200M "$T/large"
	pty - "$SC" get --file "$T/large" k -- echo made >"$T/shown"
	grep -qaE 'sc: k: waiting for what the key is made of to be read, [0-9]+m?s, [0-9.]+[KM], [0-9.]+[KMG]/s' "$T/shown"
	[ "$(sed -e 's/.*\x1b\[K//' "$T/shown" | tail -n 1)" = made ]
	rm "$SC_DIR/hashes"
	pty - "$SC" get -q --file "$T/large" k >"$T/shown"
	[ "$(<"$T/shown")" = made ]
}
