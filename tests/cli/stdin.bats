#!/usr/bin/env bats
# --stdin: our stdin is read to its end first, its hash joins the key, and the command gets it. --print-key.
# run: sealed too
load ../helper

# What lib/digest.c and cmd/key.c do, by another's hand: stdin in, the suffix of the key out.
suffix() {
	python3 -c '
import hashlib, struct, sys
def hashed(b): return hashlib.blake2b(b, digest_size=16)
def field(b): return struct.pack("<Q", len(b)) + b
content = hashlib.blake2b(digest_size=16)
while block := sys.stdin.buffer.read(1 << 20): content.update(block)
print(hashed(field(b"sc-key-1") + field(b"stdin") + field(b"") + field(content.digest())).hexdigest())'
}

@test "--stdin: the key is KEY#<hash>, as foretold; it is the key in every other verb" {
	local key
	key=k#$(printf 'input\n' | suffix)
	run -0 "$SC" get --stdin k -- cat < <(printf 'input\n')
	assert_output input
	run -0 "$SC" ls
	assert_output "$key"
	run -0 "$SC" get "$key"
	assert_output input
	run -0 "$SC" get --stdin --status-fd 7 k < <(printf 'input\n') 7>"$T/status" # without a command: only looked for
	assert_output input
	[ "$(field key "$T/status") $(field source "$T/status")" = "$key hit" ]
	"$SC" rm "$key"
	run -1 "$SC" get --stdin k < <(printf 'input\n')
}

@test "--stdin: the same input is a hit, another runs it; without the option it is another key" {
	run -0 "$SC" get --stdin k -- sh -c 'fails -n "$T/count"; cat' < <(echo a)
	run -0 "$SC" get --stdin k -- sh -c 'fails -n "$T/count"; cat' < <(echo a)
	assert_output a
	[ "$(lines_in "$T/count")" = 1 ]
	run -0 "$SC" get --stdin k -- sh -c 'fails -n "$T/count"; cat' < <(echo b)
	assert_output b
	[ "$(lines_in "$T/count")" = 2 ]
	run -1 "$SC" get k
}

@test "--stdin: two at once with the same input share a run; one with another does not" {
	echo same >"$T/same"
	local g
	g=$(new_gate other)
	bg_sh a '"$SC" get --stdin k -- gate "$G" <"$T/same"'
	gate_up
	bg_sh b '"$SC" get --stdin k -- touch "$T/ran" <"$T/same"'
	bg_sh c 'echo else | "$SC" get --stdin k -- gate "$T/other"'
	gate_up "$g"
	step "$G" out x
	shows b 'x\n'
	step "$G" exit 0
	step "$g" exit 0
	assert_rc 0 a b c
	[ ! -e "$T/ran" ]
	is_empty "$T/c.out"
}

@test "--stdin: every byte, binary, from the beginning; 200 MiB; from a pipe, a file and the middle of a file" {
	flood 200M | "$SC" get --stdin k -- cat | cmp - <(flood 200M)
	run -0 "$SC" ls
	assert_output "k#$(flood 200M | suffix)"
	flood 3000001 >"$T/in"
	"$SC" get --stdin file -- cat <"$T/in" | cmp - "$T/in"
	head -c 5 /dev/zero | "$SC" get --stdin nul -- cat | cmp - <(head -c 5 /dev/zero)
	{ head -c 7 >/dev/null && "$SC" get --stdin middle -- cat; } <"$T/in" | cmp - <(tail -c +8 "$T/in")
}

@test "--stdin: an empty one and a closed one are the same" {
	run -0 --separate-stderr "$SC" get --stdin k -- sh -c 'cat; echo end' </dev/null
	assert_output end
	run -0 --separate-stderr bash -c '"$SC" get --stdin k <&-'
	assert_output end
	[ -z "$stderr" ]
	run -0 "$SC" ls
	assert_output "k#$(printf '' | suffix)"
	run -0 --separate-stderr bash -c '"$SC" get --stdin l -- cat <&-'
	assert_output ''
}

# Another gate feeds a pipe, $T/in.
feed() {
	[ -p "$T/in" ] || mkfifo "$T/in"
	F=$(new_gate "feed$1")
	export F
	bg_sh "feed$1" 'exec gate "$F" >"$T/in"'
}

@test "--stdin: nothing runs before its end" {
	feed 1
	bg_sh a 'exec "$SC" get --stdin k -- fails -o ran -n "$T/count" <"$T/in"'
	step "$F" out more
	wait_until '[ -n "$(find "/proc/$(pid_of a)/fd" -lname "$T/cache/#* (deleted)")" ]' # the spool: without a name
	[ ! -e "$T/count" ]
	is_running a
	step "$F" exit 0
	assert_rc 0 a feed1
	is_file "$T/a.out" 'ran\n'
}

@test "--stdin: a signal while it is read ends us: nothing has run, nothing is left" {
	local signal
	for signal in INT TERM HUP; do
		feed $signal
		bg_sh a 'exec env --default-signal=INT "$SC" get --stdin -o "$T/out" k -- touch "$T/ran" <"$T/in"'
		step "$F" out more
		wait_until '[ -n "$(find "$T" -maxdepth 1 -name ".out.sc-*")" ]'
		kill -$signal "$(pid_of a)"
		assert_rc $((128 + $(kill -l $signal))) a
		[ -z "$(find "$T" -maxdepth 1 -name ".out.sc-*")" ]
		step "$F" exit 0
		assert_rc 0 feed$signal
	done
	[ ! -e "$T/ran" ] && [ ! -e "$T/out" ]
}

@test "--stdin: the command gets it on 0, to seek in, and no other descriptor of ours" {
	local without
	printf abcdef >"$T/in"
	without=$("$SC" get j -- sh -c 'ls /proc/self/fd | wc -l' <"$T/in")
	run -0 "$SC" get --stdin k -- sh -c 'head -c 3; ls /proc/self/fd | wc -l' <"$T/in"
	assert_output "abc$without"
	# What is kept aside sealed comes by a pipe.
	[ "${SC_TEST_MODE:-clear}" = clear ] || return 0
	run -0 "$SC" get --stdin l -- python3 -c 'import os; print(os.read(0, 2), os.lseek(0, 0, 0), os.read(0, 9))' <"$T/in"
	assert_output "b'ab' 0 b'abcdef'"
}

@test "--stdin: in a bypass the command gets it too, forked or not; a failure's status is its own" {
	mkdir -m 777 "$T/bad"
	chmod 777 "$T/bad"
	for options in '' --atomic "-o /dev/stdout" "-o $T/out"; do
		# shellcheck disable=SC2086
		flood 300001 | SC_DISABLE=1 "$SC" get --stdin $options k -- cat >"$T/plain"
		[ "$options" != "-o $T/out" ] || mv "$T/out" "$T/plain"
		is_flood "$T/plain" 300001
		# shellcheck disable=SC2086
		flood 300001 | SC_DIR=$T/bad "$SC" get -q --stdin $options k -- cat >"$T/plain"
		[ "$options" != "-o $T/out" ] || mv "$T/out" "$T/plain"
		is_flood "$T/plain" 300001
	done
	run -4 --separate-stderr bash -c 'echo x | SC_DISABLE=1 "$SC" get --stdin k -- sh -c "cat; exit 4"'
	assert_output x
	[ ! -e "$SC_DIR" ] # SC_DISABLE keeps nothing there
	[ -z "$(ls -A "$T/bad")" ]
}

@test "--stdin: a lost run that is led a second time gets all of it again" {
	bg_sh a 'flood 300001 | "$SC" get --stdin k -- sh -c "cksum >&3; exec gate \$G" 3>>"$T/sums"'
	gate_up
	kill -9 "$(parent_of "$(gate_pid)")"
	gate_up "$G" 2
	step "$G" out x
	step "$G" exit 0
	[ "$(pipe_status a)" = '0 0' ]
	[ "$(lines_in "$T/sums")" = 2 ]
	[ "$(sort -u "$T/sums")" = "$(flood 300001 | cksum)" ]
}

@test "B22 --stdin: a file system without files that have no name: the same, and none with a name is left" {
	use_test_build
	start_daemon
	bg_sh a 'printf "the input\n" | LD_PRELOAD=$HELPERS/shim_fail.so SHIM_NO_TMPFILE=1 "$SC" get --stdin --status-fd 9 k -- sh -c "cat; gate $G" 9>"$T/status"'
	gate_up
	[ -z "$(find "$T" -name 'sc-*')" ]
	step "$G" exit 0
	[ "$(pipe_status a)" = '0 0' ]
	is_file "$T/a.out" 'the input\n'
	run -0 "$SC" get --stdin --status-fd 9 k 9>"$T/status" <<<'the input'
	assert_output 'the input'
	[ "$(field source "$T/status")" = hit ]
}

@test "--stdin: no room for it, or it cannot be read: 125, before anything runs" {
	run -125 --separate-stderr bash -c 'ulimit -f 512; flood 2M | "$SC" get --stdin k -- touch "$T/ran"'
	[[ $stderr == *'no room'* ]]
	run -125 bash -c 'ulimit -f 0; flood 2M | SC_DISABLE=1 "$SC" get --stdin k -- touch "$T/ran" 2>&1 | cat; exit ${PIPESTATUS[1]}'
	assert_output --partial 'no room'
	run -125 --separate-stderr "$SC" get --stdin k -- touch "$T/ran" </tmp
	[[ $stderr == *'directory'* ]]
	[ ! -e "$T/ran" ]
}

@test "--stdin: one that somebody made non-blocking is waited for" {
	feed 1
	bg_sh a 'exec python3 -c "import os, sys
os.set_blocking(0, False)
os.execv(sys.argv[1], sys.argv[1:])" "$SC" get --stdin -o "$T/out" k -- cat <"$T/in"'
	wait_until '[ -n "$(find "$T" -maxdepth 1 -name ".out.sc-*")" ]'
	step "$F" out late
	step "$F" exit 0
	assert_rc 0 a
	is_file "$T/out" 'late\n'
}

@test "--print-key prints the key and runs nothing" {
	run -0 --separate-stderr "$SC" get --print-key k -- touch "$T/ran"
	assert_output k
	run -0 --separate-stderr "$SC" get --print-key --stdin k -- touch "$T/ran" < <(flood 1M)
	assert_output "k#$(flood 1M | suffix)"
	[ -z "$stderr" ]
	[ ! -e "$T/ran" ]
	[ ! -e "$SC_DIR" ]
	no_daemon
	run -125 bash -c '"$SC" get --print-key k >/dev/full'
	[ "$(pty - "$SC" get --print-key $'a\nb')" = 'a\nb' ]
}

@test "--stdin: a KEY that leaves no room for the hash is refused; the longest that does is not" {
	local long
	long=$(printf 'x%.0s' {1..4063})
	run -0 "$SC" get --stdin "$long" -- echo y </dev/null
	run -0 bash -c '"$SC" ls | wc -c'
	assert_output 4097
	run -125 --separate-stderr "$SC" get --stdin "x$long" -- touch "$T/ran" </dev/null
	[[ $stderr == *4063* ]]
	[ ! -e "$T/ran" ]
}
