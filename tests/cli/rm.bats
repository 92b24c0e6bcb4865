#!/usr/bin/env bats
# `sc rm`: afterwards nothing asked for can be served.
# run: sealed too, in a soak
load ../helper

@test "rm: the key is gone, its files too, others stay" {
	entry a 'A\n'
	entry b 'B\n'
	run -0 "$SC" rm a
	assert_output ''
	run -1 "$SC" get a
	run -0 "$SC" get b
	assert_output B
	run -0 "$SC" ls
	assert_output b
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 1 ]'
}

@test "rm: several keys, and keys that were never there, are 0" {
	for k in a b c; do entry $k 'x\n'; done
	run -0 "$SC" rm a never c
	run -0 "$SC" ls
	assert_output b
	run -0 "$SC" rm never
	run -0 "$SC" rm -- -dash
}

@test "rm: a key with a dash, behind --" {
	"$SC" get -- -k -- echo x >/dev/null
	run -0 "$SC" rm -- -k
	run -1 "$SC" get -- -k
}

@test "rm of a key in flight: its readers finish, nothing is kept, newcomers start a new run" {
	local g2
	g2=$(new_gate g2)
	bg a "$SC" get k -- gate "$G"
	step "$G" out old
	bg b "$SC" get k
	shows b 'old\n'
	run -0 "$SC" rm k
	bg c "$SC" get k -- gate "$g2"
	step "$g2" out new
	shows c 'new\n'
	bg d "$SC" get k # joins the new one, never the removed one
	shows d 'new\n'
	step "$G" out older
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/a.out" 'old\nolder\n'
	is_file "$T/b.out" 'old\nolder\n'
	step "$g2" exit 0
	assert_rc 0 c d
	run -0 "$SC" get k
	assert_output new
}

@test "rm of a key in flight, and nobody asks again: nothing is kept" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out x
	shows a 'x\n'
	run -0 "$SC" rm k
	run -1 "$SC" get k # it is not followed either
	step "$G" exit 0
	assert_rc 0 a
	is_file "$T/a.out" 'x\n'
	run -1 "$SC" get k
	wait_until nothing_kept
}

@test "rm while a refresh runs: neither the old nor the new is served" {
	entry k 'old\n'
	bg a "$SC" get -r k -- gate "$G"
	step "$G" out new
	shows a 'new\n'
	run -0 "$SC" rm k
	run -1 "$SC" get k
	step "$G" exit 0
	assert_rc 0 a
	run -1 "$SC" get k
}

@test "rm of an entry that is being read: the reader gets all of it" {
	mkfifo "$T/pipe"
	"$SC" get k -- flood 3M >/dev/null
	exec {held}<>"$T/pipe"
	bg_sh a '"$SC" get k >"$T/pipe"'
	head -c 10 <&"$held" >"$T/first"
	run -0 "$SC" rm k
	wait_until '[ "$(objects)" = 0 ]'
	head -c $((3 * 1048576 - 10)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 a
	cat "$T/first" "$T/rest" >"$T/all"
	is_flood "$T/all" 3M
}

@test "rm without a daemon starts one and removes what is there" {
	entry k 'x\n'
	kill_daemon
	run -0 --separate-stderr "$SC" rm k
	[ -z "$stderr" ]
	run -1 "$SC" get k
}

@test "rm that cannot be promised is 125" {
	mkdir "$T/bad"
	chmod 777 "$T/bad"
	SC_DIR=$T/bad run -125 --separate-stderr "$SC" rm k
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$T/bad"
}

# put_keys: each line of stdin is a key.
put_keys() {
	local k
	while IFS= read -r k; do printf x | "$SC" put "$k" || return; done
}

@test "rm --prefix: every key that begins so goes with its files, all others stay" {
	printf '%s\n' a ab ab/ ab/1 ab/2 aB ac b | put_keys
	run -0 "$SC" rm --prefix ab
	assert_output ''
	run -0 "$SC" ls
	assert_output "$(printf '%s\n' a aB ac b)"
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 4 ]'
	run -0 "$SC" rm --prefix=b
	run -0 "$SC" ls
	assert_output "$(printf '%s\n' a aB ac)"
}

@test "rm --prefix goes by bytes: none is a letter, a pattern, or the last one" {
	local k keys=($'p\xff' $'p\xff\xff' $'p\xff\xffz' $'p\xfe' $'\xff' $'\xff\xff' $'\xff\xffa' p% p_ q)
	for k in "${keys[@]}"; do printf x | "$SC" put "$k"; done
	run -0 "$SC" rm --prefix $'p\xff\xff'
	for k in $'p\xff\xff' $'p\xff\xffz'; do run -1 "$SC" get "$k"; done
	run -0 "$SC" rm --prefix $'\xff\xff'
	for k in $'\xff\xff' $'\xff\xffa'; do run -1 "$SC" get "$k"; done
	run -0 "$SC" rm --prefix p%
	run -1 "$SC" get p%
	for k in $'p\xff' $'p\xfe' $'\xff' p_ q; do run -0 "$SC" get "$k"; done
}

@test "rm --prefix is of one bucket, and 0 when nothing begins so" {
	entry a x
	printf x | SC_BUCKET=other "$SC" put a
	run -0 "$SC" rm --prefix never
	run -0 "$SC" rm --prefix a
	run -1 "$SC" get a
	SC_BUCKET=other run -0 "$SC" get a
}

@test "rm --prefix of runs in flight: their readers finish, nothing is kept, newcomers start a new run, other runs go on" {
	local g2 g3
	g2=$(new_gate g2) g3=$(new_gate g3)
	bg a "$SC" get p/1 -- gate "$G"
	step "$G" out old
	bg b "$SC" get p/1
	shows b 'old\n'
	bg other "$SC" get q -- gate "$g2"
	step "$g2" out x
	shows other 'x\n'
	run -0 "$SC" rm --prefix p/
	run -1 "$SC" get p/1 # it is not followed either
	bg c "$SC" get p/1 -- gate "$g3"
	step "$g3" out new
	shows c 'new\n'
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/a.out" 'old\n'
	is_file "$T/b.out" 'old\n'
	step "$g2" exit 0
	step "$g3" exit 0
	assert_rc 0 c other
	run -0 "$SC" get p/1
	assert_output new
	run -0 "$SC" get q
	assert_output x
}

@test "rm --prefix of a thousand keys, more than one batch, among others" {
	seq -f 'k/%04g' 1000 | put_keys
	printf '%s\n' k k0 j | put_keys
	[ "$("$SC" ls k/ | wc -l)" = 1000 ]
	run -0 "$SC" rm --prefix k/
	run -0 "$SC" ls
	assert_output "$(printf '%s\n' j k k0)"
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 3 ]'
}

@test "rm --prefix without a daemon starts one; a daemon killed in its middle is followed by one that removes the rest" {
	seq -f 'k/%g' 600 | put_keys
	stop_daemon
	SC_KILLAT=batch_gone:2 "$SCD_TEST" --ready-fd=9 "$SC_DIR" 9>"$T/ready" 3>&- &
	wait_until '[ -s "$T/ready" ]'
	run -0 "$SC" rm --prefix k/
	wait $! || [ $? = 137 ]
	run -0 "$SC" ls
	assert_output ''
}

@test "rm --prefix that cannot be promised is 125" {
	mkdir "$T/bad"
	chmod 777 "$T/bad"
	SC_DIR=$T/bad run -125 --separate-stderr "$SC" rm --prefix k
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" "$T/bad"
}

@test "rm --all: everything of the bucket with its files, kept failures and runs too, and nothing of another" {
	printf '%s\n' a b $'c\xff' $'\xff\xff' | put_keys
	printf x | "$SC" put -b other a
	run -3 "$SC" get --keep-failures 1h bad -- fails 3
	bg run "$SC" get running -- gate "$G"
	step "$G" out x
	shows run 'x\n'
	run -0 "$SC" rm --all
	assert_output ''
	run -0 "$SC" ls
	assert_output ''
	run -0 "$SC" get --keep-failures 1h bad -- true
	step "$G" exit 0
	assert_rc 0 run
	run -1 "$SC" get running
	run -0 "$SC" ls -b other
	assert_output a
	run -0 "$SC" rm bad
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 1 ]'
	run -0 "$SC" rm --all
}

@test "rm --all -b '*': everything of every bucket, more than one batch, runs too" {
	local name g2
	g2=$(new_gate g2)
	seq -f 'k/%g' 300 | put_keys
	for name in a b c-1; do printf x | "$SC" put -b $name k; done
	bg one "$SC" get -b a running -- gate "$G"
	bg two "$SC" get running -- gate "$g2"
	gate_up
	gate_up "$g2"
	run -0 "$SC" rm --all --bucket '*'
	for name in a b c-1 default; do [ -z "$("$SC" ls -b $name)" ]; done
	step "$G" exit 0
	step "$g2" exit 0
	assert_rc 0 one two
	for name in a default; do run -1 "$SC" get -b $name running; done
	wait_until '[ "$(objects)" = 0 ]'
	printf x | "$SC" put -b a new
	run -0 "$SC" get -b a new
}

@test "rm --all: what begins behind the question stays" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	run -0 "$SC" rm --all
	entry k new
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output new
}

@test "rm --all -b '*' without a daemon starts one; a daemon killed in its middle is followed by one that removes the rest" {
	seq -f 'k/%g' 600 | put_keys
	printf x | "$SC" put -b other k
	stop_daemon
	SC_KILLAT=batch_gone:2 "$SCD_TEST" --ready-fd=9 "$SC_DIR" 9>"$T/ready" 3>&- &
	wait_until '[ -s "$T/ready" ]'
	run -0 "$SC" rm -b '*' --all
	wait $! || [ $? = 137 ]
	[ -z "$("$SC" ls)$("$SC" ls -b other)" ]
}

@test "rm -0: the keys that stdin names, of any bytes, the last one with or without a NUL; all others stay" {
	local k
	for k in $'new\nline' -dash $'bad\xffx' $'esc\e[31m' 'two  words' --all stays; do printf x | "$SC" put -- "$k"; done
	printf '%s\0' $'new\nline' -dash never | "$SC" rm -0
	[ "$("$SC" ls -0 | tr '\0' '\n' | wc -l)" = 5 ]
	printf '%s\0%s' --all $'bad\xffx' | "$SC" rm --null
	"$SC" ls -0 | cmp - <(printf '%s\0' $'esc\e[31m' stays 'two  words')
	run -0 "$SC" rm -0 </dev/null
	"$SC" ls -0 | "$SC" rm -0
	run -0 "$SC" ls
	assert_output ''
}

@test "rm -0: a list that is still on its way is obeyed as it comes, in the bucket that was named" {
	printf x | "$SC" put -b b k1
	printf x | "$SC" put -b b k2
	printf x | "$SC" put k1
	mkfifo "$T/list"
	bg_sh rm '"$SC" rm -b b -0 <"$T/list"'
	exec {list}>"$T/list"
	printf 'k1\0' >&"$list"
	wait_until '[ "$("$SC" ls -b b)" = k2 ]'
	is_running rm
	printf 'k2\0' >&"$list"
	exec {list}>&-
	assert_rc 0 rm
	run -0 "$SC" ls -b b
	assert_output ''
	run -0 "$SC" ls
	assert_output k1
}

@test "rm -0: an empty key, one that is too long, a stdin that cannot be read" {
	printf x | "$SC" put k
	run -2 bash -c 'printf "\0k\0" | "$SC" rm -0'
	run -2 bash -c 'head -c 4097 /dev/zero | tr "\0" x | "$SC" rm -0'
	run -125 bash -c '"$SC" rm -0 <&-'
	run -125 --separate-stderr bash -c '"$SC" rm -0 <"$T"'
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'cannot read stdin'
	run -0 "$SC" get k
}

@test "rm: two selectors, none, a bucket that is none are refused, and nothing goes" {
	printf x | "$SC" put k
	local words
	for words in '--all k' '--all --prefix k' '-0 k' '-0 --all' '--null --prefix k' '--prefix k k' '' "-b *" '--prefix='; do
		run -2 "$SC" rm $words </dev/null
	done
	set -f
	for words in '-b * k' '-b * --prefix k' '-b * -0' '-b ** --all'; do
		run -2 "$SC" rm $words </dev/null
	done
	SC_BUCKET='*' run -2 "$SC" rm --all
	run -2 --separate-stderr "$SC" rm -b '*' k
	[[ $stderr == *"goes with --all"* ]]
	set +f
	run -0 "$SC" get k
}
