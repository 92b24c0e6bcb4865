#!/usr/bin/env bats
# `sc rm`: afterwards nothing asked for can be served.
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
