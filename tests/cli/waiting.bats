#!/usr/bin/env bats
# What a person sees who waits: the line on stderr, and --wait.
# run: sealed too, in a soak
load ../helper

prepare() {
	use_test_build
	export TERM=xterm SC_PATIENCE_MS=1
}

# terminal NAME SCRIPT: a job at a terminal of its own; its keyboard is keys NAME LINE.
terminal() { bg "$1" pty "$T/$1.tty" bash -c "$2"; }
keys() { step "$T:$1.tty" "$2"; }

# What came through a terminal, and how often the line was drawn.
saw() { wait_until "grep -qaE -- '$2' '$T/$1.out'"; }
drawn() { grep -ao $'\e\\[Ks'"[^"$'\e'"]*$2" "$T/$1.out" | wc -l; }

# Everything a terminal has shown, line by line as it stands there at the end.
screen() { sed -e 's/.*\x1b\[K//' "$T/$1.out"; }


@test "G20: nothing printed for a while: the line says who runs it and since when, and goes for the first byte" {
	terminal a 'exec "$SC" get k -- gate "$G"'
	gate_up
	terminal b 'exec "$SC" get k'
	saw a "sc: k: running for [0-9]+s \(pid $(gate_pid)\), no output yet"
	saw b "sc: k: run by another caller for [0-9]+s \(pid $(gate_pid)\), no output yet"
	step "$G" out hello
	saw a hello
	saw b hello
	step "$G" err oh
	step "$G" exit 3
	assert_rc 3 a b
	for name in a b; do
		[ "$(screen $name)" = $'hello\noh' ]
		grep -qaF $'\e[Khello' "$T/$name.out"
	done
}

@test "it is there again when the command falls silent, and is erased at the end" {
	terminal a 'exec "$SC" get k -- gate "$G"'
	gate_up
	saw a 'no output yet'
	step "$G" out hello
	saw a 'sc: k: running for [0-9]+s \(pid [0-9]+\), 6, '
	step "$G" exit 0
	assert_rc 0 a
	[ "$(screen a)" = hello ]
	[ "$(tail -c 3 "$T/a.out")" = $'\e[K' ]
}

@test "a line that the command has begun and not ended is left as it is" {
	terminal a 'exec "$SC" get k -- gate "$G"'
	gate_up
	saw a 'no output yet'
	step "$G" outn one
	saw a 'one'
	local before
	before=$(drawn a '')
	terminal b 'exec "$SC" get k >"$T/file"'
	wait_until '[ "$(drawn b "")" -ge 2 ]'
	[ "$(drawn a '')" = "$before" ]
	step "$G" out two
	saw a 'onetwo'
	wait_until '[ "$(drawn a "")" -gt '"$before"' ]'
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(screen a)" = onetwo ]
}

@test "stdout in a file: the line stays and moves while bytes come, none of it in the file" {
	terminal a 'exec "$SC" get k -- gate "$G" >"$T/file"'
	terminal c 'exec "$SC" get k -- gate "$G" | cat >"$T/piped"'
	terminal b 'exec "$SC" get -o "$T/other" k -- gate "$G"'
	gate_up
	readers 3
	for nr in a b c; do saw $nr 'no output yet'; done
	step "$G" fill 300000
	for nr in a b c; do saw $nr 'pid [0-9]+\), 293K, [0-9.]+[KM]/s'; done
	step "$G" exit 0
	assert_rc 0 a b c
	is_flood "$T/file" 300000
	is_flood "$T/piped" 300000
	is_flood "$T/other" 300000
	for nr in a b c; do [ -z "$(screen $nr)" ]; done
}

@test "the last run tells how long this one will take" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	step "$G" exit 0
	assert_rc 0 a
	terminal b 'exec "$SC" get -r k -- gate "$G"'
	gate_up "$G" 2
	terminal c 'stty cols 60; exec "$SC" get -t 0 k'
	saw b 'longer than last time \([0-9.]+m?s\)'
	saw c 'caller for [0-9]+s, no output yet, longer'
	step "$G" exit 0
	assert_rc 0 b c
}

@test "what is waited for is named: a key that does not exist, a run that is being stopped" {
	terminal w 'exec "$SC" get --wait 60s k'
	saw w 'sc: k: waiting for the key to begin to exist, [0-9]+s'
	entry k 'v\n'
	assert_rc 0 w
	[ "$(screen w)" = v ]

	bg a "$SC" get s -- gate "$G"
	gate_up
	step "$G" ignore TERM
	kill -TERM "$(pid_of a)"
	wait_until '"$SC" ps | grep -q stopping'
	terminal b 'exec "$SC" get s -- true'
	saw b 'sc: s: waiting for a run that is being stopped, [0-9]+s'
	kill -KILL "$(gate_pid)"
	assert_rc 0 b
	[ -z "$(screen b)" ]
	rc a >/dev/null
}

@test "E07: no line with TERM=dumb, TERM unset or empty, -q, one column, no terminal, in the background, beside a pager" {
	local name
	bg a "$SC" get k -- gate "$G"
	gate_up
	terminal dumb 'TERM=dumb exec "$SC" get k'
	terminal unset 'unset TERM; exec "$SC" get k'
	terminal empty 'TERM= exec "$SC" get k'
	terminal quiet 'exec "$SC" get -q k'
	terminal column 'stty cols 1; exec "$SC" get k'
	terminal raw 'stty -icanon; exec "$SC" get k'
	terminal background 'set -m; "$SC" get k & exec 2>/dev/null; wait $!'
	terminal foreign 'exec setsid -w "$SC" get k'
	terminal inherit 'exec "$SC" get --stderr=inherit k2 -- "$SC" get k'
	bg none "$SC" get k
	readers 11
	terminal plain 'exec "$SC" get k'
	wait_until '[ "$(drawn plain "yet")" -ge 2 ]'
	step "$G" out hello
	step "$G" exit 0
	assert_rc 0 a
	for name in dumb unset empty quiet column raw background foreign inherit none; do
		assert_rc 0 $name
		is_file "$T/$name.out" 'hello\n'
	done
	is_empty "$T/none.err"
	assert_rc 0 plain
	[ "$(screen plain)" = hello ]
}

@test "E07: a narrow terminal and the C locale: cut, never broken over two lines" {
	local key=$'schl\xc3\xbcssel\e[31m\xff'
	export key
	bg a "$SC" get "$key" -- gate "$G"
	gate_up
	terminal b 'stty cols 20; LANG=C LC_ALL=C exec "$SC" get "$key"'
	terminal c 'stty cols 2; exec "$SC" get "$key"'
	wait_until '[ "$(drawn b "")" -ge 2 ] && [ "$(drawn c "")" -ge 2 ]'
	grep -qaF $'\e[Ksc: schl\xc3\xbcssel\\x1b[\e[K' "$T/b.out"
	[ "$(tr -d '\n' <"$T/c.out" | sed -e 's/\x1b\[K//g' | tr -s s)" = s ]
	step "$G" exit 0
	assert_rc 0 a b c
	run -1 grep -qa $'\e\[31m' "$T/b.out"
}

@test "^C erases the line, of a follower and of one that waits for a key; another size of the terminal does nothing" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	terminal b 'exec "$SC" get k'
	terminal w 'exec "$SC" get --wait 60s other'
	terminal o 'exec "$SC" get --wait 60s -o "$T/file" other'
	saw b 'no output yet'
	saw w 'waiting for'
	saw o 'waiting for'
	for name in b w; do keys $name 'signal WINCH'; done
	wait_until '[ "$(drawn b yet)" -ge 2 ] && [ "$(drawn w waiting)" -ge 2 ]'
	keys b 'key ^C'
	keys w 'key ^C'
	keys o 'signal TERM'
	assert_rc 130 b w
	assert_rc 143 o
	[ "$(screen b)" = 'sc: k: still running for 1 other' ]
	[ -z "$(screen w)" ]
	[ -z "$(screen o)" ]
	for name in b w; do is_file "$T/$name.err" 'pty: killed by signal 2\n'; done
	[ ! -e "$T/file" ] && [ -z "$(find "$T" -name '.file.sc-*')" ]
	step "$G" exit 0
	assert_rc 0 a
}

@test "^Z erases the line, fg brings it back, and nothing is lost" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	terminal b 'set -m; "$SC" get k; echo stopped $?; read -r; fg >/dev/null; echo ended $?'
	terminal w 'set -m; "$SC" get --wait 60s other; echo stopped $?; read -r; fg >/dev/null; echo ended $?'
	saw b 'no output yet'
	saw w 'waiting for'
	keys b 'key ^Z'
	keys w 'key ^Z'
	saw b 'stopped 148'
	saw w 'stopped 148'
	local before
	before=$(drawn b yet)
	[ "$(drawn w 's')" -gt 0 ]
	keys b 'type '
	keys w 'type '
	wait_until '[ "$(drawn b yet)" -gt '"$before"' ]'
	step "$G" out hello
	step "$G" exit 0
	entry other 'v\n'
	saw b 'ended 0'
	saw w 'ended 0'
	assert_rc 0 a b w
	screen b | grep -qx hello
	screen w | grep -qx v
	[ "$(screen b | grep -c sc:)" = 0 ]
	[ "$(screen w | grep -c sc:)" = 0 ]
}

@test "A11: the writer is stopped: the line says how long nothing came, nobody dies of it but by --wait; then all is complete" {
	local writer
	terminal a 'exec "$SC" get k -- gate "$G"'
	gate_up
	step "$G" out one
	saw a one
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	bg w "$SC" get --wait 300ms k
	terminal b 'exec "$SC" get k'
	assert_rc 124 w
	is_file "$T/w.out" 'one\n'
	is_message "$T/w.err" 'nothing came within --wait'
	saw a 'pid [0-9]+\), 4, nothing for [2-9]s'
	saw b 'run by another caller .*, 4, nothing for [2-9]s'
	"$SC" ps | grep -q ' running .* 2 readers .* k$'
	kill -CONT "$writer"
	step "$G" out two
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(screen a)" = $'one\ntwo' ]
	[ "$(screen b)" = $'one\ntwo' ]
	[ "$(runs)" = 1 ]
}

@test "--wait: also while a run is being stopped, and while its writer has not come back to a new daemon" {
	bg a "$SC" get s -- gate "$G"
	gate_up
	step "$G" ignore TERM
	kill -TERM "$(pid_of a)"
	wait_until '"$SC" ps | grep -q stopping'
	run -124 --separate-stderr timeout 20 "$SC" get --wait 200ms s -- true
	[ -z "$output" ]
	kill -KILL "$(gate_pid)"
	rc a >/dev/null

	bg b "$SC" get r -- gate "$G"
	gate_up "$G" 2
	local writer
	writer=$(parent_of "$(gate_pid)")
	kill -STOP "$writer"
	kill_daemon
	run -124 --separate-stderr timeout 20 "$SC" get --wait 200ms r -- true
	[ -z "$output" ]
	kill -CONT "$writer"
	step "$G" exit 0
	assert_rc 0 b
}

@test "--wait: time in which nobody took what we print is no silence" {
	mkdir -m 700 "$SC_DIR"
	echo 'window = 64K' >"$SC_DIR/config"
	mkfifo "$T/go"
	bg_sh a '"$SC" get --wait 300ms k -- flood 3000000 | { read -r <"$T/go"; exec cat; }'
	wait_until '[ -n "$(find "$SC_DIR/objects" -name "*.out" -size +100k)" ]'
	# Held up for longer than --wait: so long takes one that waits for nothing.
	run -124 "$SC" get --wait 600ms absent
	echo >"$T/go"
	[ "$(pipe_status a)" = '0 0' ]
	is_flood "$T/a.out" 3000000
}
