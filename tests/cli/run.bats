#!/usr/bin/env bats
# sc run: the key is made of CMD's words, the directory, and what is declared.
# run: sealed too
load ../helper
load ../key

key() { "$SC" run --print-key "$@"; }

# The declarations of every run: its words, and where.
words() {
	local word
	declared arg '' "$(for word in "$@"; do text "$word"; done | b2)"
}
here() { declared cwd '' "$(pwd -P | tr -d '\n' | b2)"; }

@test "run: the key is run:<basename>#<hash>, as documented: recomputed with printf and b2sum" {
	cd "$T"
	echo x >f
	plain() { words ls -l 'a b' ''; }
	run -0 key --no-cwd ls -l 'a b' ''
	assert_output "run:ls#$(suffix plain)"
	in_place() { words /bin/ls && here; }
	run -0 key /bin/ls
	assert_output "run:ls#$(suffix in_place)"
	all() { words cc -c && here && declared env V "$(printf =v | b2)" && declared file f "$(echo x | b2)"; }
	V=v run -0 key --file f --env V -- cc -c
	assert_output "run:cc#$(suffix all)"
	with_stdin() { words cc && declared stdin '' "$(printf in | b2)"; }
	run -0 key --no-cwd --stdin cc < <(printf in)
	assert_output "run:cc#$(suffix with_stdin)"
	[ ! -e "$SC_DIR" ]
	no_daemon
}

@test "run: the same command in the same directory runs once; its key is the key in every other verb" {
	local key
	run -0 "$SC" run fails -n "$T/count" -o made
	assert_output made
	run -0 "$SC" run fails -n "$T/count" -o made
	assert_output made
	[ "$(lines_in "$T/count")" = 1 ]
	key=$(key fails -n "$T/count" -o made)
	run -0 "$SC" ls
	assert_output "$key"
	run -0 "$SC" get "$key"
	assert_output made
	run -0 "$SC" ls run:fails
	assert_output "$key"
	"$SC" rm "$key"
	run -0 "$SC" run --status-fd 9 fails -n "$T/count" -o made 9>"$T/status"
	[ "$(field key "$T/status") $(field source "$T/status")" = "$key run" ]
	[ "$(lines_in "$T/count")" = 2 ]
}

@test "run: words, their order and borders, and the directory make another key; --no-cwd leaves the directory out" {
	local keys
	mkdir "$T/d"
	keys() {
		key ls a b
		key ls b a
		key ls 'a b'
		key ls ab
		key ls a b ''
		key /bin/ls a b
		key ./ls a b
		key --no-cwd ls a b
		key --env HOME ls a b
		(cd "$T/d" && key ls a b)
	}
	[ "$(keys | sort -u | wc -l)" = 10 ]
	[ "$(cd "$T/d" && key --no-cwd ls a b)" = "$(key --no-cwd ls a b)" ]
	ln -s d "$T/link"
	[ "$(cd "$T/link" && key ls)" = "$(cd "$T/d" && key ls)" ]
	[ "$(cd "$T/d" && "$SC" run pwd)" = "$T/d" ]
	[ "$(cd "$T" && "$SC" run pwd)" = "$T" ]
}

@test "run: options end where CMD begins, with or without a --" {
	run -0 "$SC" run printf '%s.' -t --refresh -h --help -- x
	assert_output -- '-t.--refresh.-h.--help.--.x.'
	run -0 "$SC" run -t 1h -- printf '%s.' --
	assert_output -- '--.'
	[ "$(key -- ls -l)" = "$(key ls -l)" ]
	[ "$(key --ttl=1h -v ls -- -l)" != "$(key ls -l)" ]
	printf '#!/bin/sh\necho dashed\n' >"$T/--help"
	chmod +x "$T/--help"
	PATH=$T:$PATH run -0 "$SC" run -- --help
	assert_output dashed
	cp "$T/--help" "$T/--"
	PATH=$T:$PATH run -0 "$SC" run -- --
	assert_output dashed
	run -0 "$SC" run --help ls
	assert_output --partial -- '--no-cwd'
	run -0 "$SC" run -t 1h -h
	assert_output --partial 'usage: sc run'
	run -0 bash -c 'cd "$T" && "$SC" run -o -h echo x && cat ./-h' # the value of an option
	assert_output x
}

@test "run: bad input is 125 with one line, before anything is run" {
	refused() {
		local regex=$1 got=0
		shift
		"$SC" run "$@" >"$T/out" 2>"$T/err" || got=$?
		[ $got = 125 ]
		is_message "$T/err" "$regex"
		is_empty "$T/out"
		[ ! -e "$T/ran" ]
		no_daemon
	}
	refused CMD
	refused CMD --
	refused CMD -t 1h
	refused 'empty word' ''
	refused 'empty word' -- '' x
	refused 'unknown.*--no-cwd' --no-cdw touch "$T/ran"
	refused 'no-cwd.*no value' --no-cwd=x touch "$T/ran"
	refused 'missing: No such' --file "$T/missing" touch "$T/ran"
	refused 'missing: No such' --mtime "$T/missing" -- touch "$T/ran"
	refused NAME --env = touch "$T/ran"
	refused '--wait 0' --wait 0 touch "$T/ran"
	refused '--atomic.*--output' --atomic -o "$T/out2" touch "$T/ran"
	refused '--print-key.*--output' --print-key -o "$T/out2" touch "$T/ran"
	SC_DISABLE=1 refused 'missing: No such' --file "$T/missing" touch "$T/ran"
	mkdir "$T/gone"
	cd "$T/gone"
	rmdir "$T/gone"
	refused 'current directory.*--no-cwd' touch "$T/ran"
	run -0 "$SC" run --no-cwd echo here
	assert_output here
	cd "$T"
}

@test "run: failures and commands that cannot be run have the status they would have" {
	run -3 "$SC" run sh -c 'echo out; exit 3'
	assert_output out
	run -127 --separate-stderr "$SC" run no-such-command
	[[ $stderr == *'no-such-command'* ]]
	run -126 --separate-stderr "$SC" run /
	run -143 --separate-stderr "$SC" run sh -c 'kill $$'
	[ -z "$("$SC" ls)" ]
	SC_DISABLE=1 run -3 "$SC" run sh -c 'exit 3'
}

@test "run: two at once share a run; a declared file that differs is another one" {
	echo x >"$T/f"
	bg a "$SC" run --file "$T/f" gate "$G"
	gate_up
	bg b "$SC" run --file "$T/f" gate "$G"
	readers 2
	step "$G" out shared
	shows a 'shared\n'
	shows b 'shared\n'
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(runs)" = 1 ]
	echo y >"$T/f"
	bg c "$SC" run --file "$T/f" gate "$G"
	gate_up "$G" 2
	step "$G" exit 0
	assert_rc 0 c
}

@test "run: names with newline, ESC, invalid UTF-8, a slash at the end, or far too long" {
	local name
	cd "$T"
	for name in $'new\nline' $'\e[31m' $'\xff\xfe' '#' 'a b'; do
		printf '#!/bin/sh\necho made\n' >"$name"
		chmod +x "$name"
		one() { words "./$name" && here; }
		[ "$(key "./$name")" = "run:$name#$(suffix one)" ]
		run -0 "$SC" run "./$name"
		assert_output made
		run -0 "$SC" get "$(key "./$name")"
		assert_output made
	done
	pty - "$SC" ls >"$T/shown"
	run -1 grep -q $'\e' "$T/shown"
	name=$(printf 'x%.0s' {1..5000})
	run -0 key "$name"
	[ "${#output}" = $((4 + 255 + 33)) ]
	[ "$(key "$name")" != "$(key "${name}y")" ]
	run -127 --separate-stderr "$SC" run "$name" || [ "$status" = 126 ]
	run -0 key d/
	[[ $output == run:#* ]]
}

@test "run --stdin: the command gets all of it, again when it is led a second time, and in a bypass" {
	run -0 "$SC" run --stdin cat < <(echo a)
	assert_output a
	run -0 "$SC" run --stdin sh -c 'fails -n "$0"; cat' "$T/count" < <(echo b)
	run -0 "$SC" run --stdin sh -c 'fails -n "$0"; cat' "$T/count" < <(echo b)
	assert_output b
	[ "$(lines_in "$T/count")" = 1 ]
	bg_sh a 'flood 300001 | "$SC" run --stdin -- sh -c "cksum >&3; exec gate \$G" 3>>"$T/sums"'
	gate_up
	kill -9 "$(parent_of "$(gate_pid)")"
	gate_up "$G" 2
	step "$G" out x
	step "$G" exit 0
	[ "$(pipe_status a)" = '0 0' ]
	[ "$(lines_in "$T/sums")" = 2 ]
	[ "$(sort -u "$T/sums")" = "$(flood 300001 | cksum)" ]
	flood 300001 | SC_DISABLE=1 "$SC" run --stdin cat >"$T/plain"
	is_flood "$T/plain" 300001
	mkdir -m 777 "$T/bad"
	chmod 777 "$T/bad"
	flood 300001 | SC_DIR=$T/bad "$SC" run -q --stdin --atomic --file "$T/count" cat >"$T/plain"
	is_flood "$T/plain" 300001
	[ -z "$(ls -A "$T/bad")" ]
}

@test "run: the command has no descriptor of ours, and no environment it was not given" {
	local without
	echo x >"$T/f"
	without=$(sh -c 'ls /proc/self/fd | wc -l' </dev/null)
	run -0 "$SC" run --file "$T/f" --file "$T" sh -c 'ls /proc/self/fd | wc -l'
	assert_output "$without"
}
