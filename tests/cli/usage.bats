#!/usr/bin/env bats
# Bad input: one clear line, nothing started, 125 where a command was to be run and 2 elsewhere.
load ../helper

# refused STATUS REGEX WORD…: `sc WORD…` ends so, says one line that matches, prints nothing, starts nothing.
refused() {
	local status=$1 regex=$2 got=0
	shift 2
	timeout 20 "$SC" "$@" >"$T/out" 2>"$T/err" || got=$?
	if [ $got != "$status" ]; then
		echo "sc $*: status $got, expected $status: $(cat "$T/err")" >&2
		return 1
	fi
	is_message "$T/err" "$regex" || { echo "(sc $*)" >&2 && return 1; }
	is_empty "$T/out"
	[ ! -e "$T/ran" ] || { echo "sc $*: ran the command" >&2 && return 1; }
	no_daemon || { echo "sc $*: started a daemon" >&2 && return 1; }
	[ ! -e "$SC_DIR" ] || { echo "sc $*: made the cache directory" >&2 && return 1; }
}

long_key() { printf 'x%.0s' {1..4097}; }

@test "bad input to get: empty key, key over 4096 bytes, no key" {
	refused 125 key get '' -- touch "$T/ran"
	refused 125 key get ''
	refused 125 '4096' get "$(long_key)" -- touch "$T/ran"
	refused 125 '4096' get "$(long_key)"
	refused 125 key get
	refused 125 . get --
	refused 125 . get -t 1h
}

@test "bad input to get: a command without --, a second word after KEY, nothing after --" {
	refused 125 -- get k touch "$T/ran"
	refused 125 -- get k l -- touch "$T/ran"
	refused 125 -- get -t 1h k touch "$T/ran"
	refused 125 . get k --
	refused 125 . get -t 1h k --
	refused 125 . get -- -k --
}

@test "bad input to get: an unknown option, with the nearest suggestion; none is abbreviated" {
	refused 125 '--refresh' get --refesh k -- touch "$T/ran"
	refused 125 '--strict' get k --stirct -- touch "$T/ran"
	refused 125 '--finish' get --finsh k -- touch "$T/ran"
	refused 125 '--status-fd' get --status-df 3 k -- touch "$T/ran"
	refused 125 '--refre' get --refre k -- touch "$T/ran"
	refused 125 '--fin' get --fin k -- touch "$T/ran"
	refused 125 '-Z' get -Z k -- touch "$T/ran"
	refused 125 'zzzzzzzz' get --zzzzzzzz k -- touch "$T/ran"
}

@test "bad input to get: an option's value missing, unknown or unwanted" {
	refused 125 '-t' get k -t -- touch "$T/ran"
	refused 125 '-t' get k -t
	refused 125 'stderr' get --stderr k
	refused 125 'stderr' get --stderr=both k -- touch "$T/ran"
	refused 125 'stderr' get --stderr= k -- touch "$T/ran"
	refused 125 'refresh' get --refresh=yes k -- touch "$T/ran"
}

@test "bad input to get: --atomic with -o, an empty FILE, values to options that take none" {
	refused 125 '--atomic.*--output' get --atomic -o "$T/file" k -- touch "$T/ran"
	refused 125 '--atomic.*--output' get k --output="$T/file" --atomic -- touch "$T/ran"
	refused 125 'FILE' get -o '' k -- touch "$T/ran"
	refused 125 'FILE' get --output= k -- touch "$T/ran"
	refused 125 '-o' get k -o
	refused 125 'atomic' get --atomic=yes k -- touch "$T/ran"
	refused 125 'stdin' get --stdin=x k -- touch "$T/ran"
	refused 125 'print-key' get --print-key=x k -- touch "$T/ran"
	[ ! -e "$T/file" ]
}

@test "bad input to get: durations" {
	local d
	for d in '' ' ' x 10x 1h1h 1m1h -1 -1s 1,5h 1e3 0x10 nan NaN inf '1 h' '1h ' h 1hh 1.h.5 --; do
		refused 125 . get "--ttl=$d" k -- touch "$T/ran"
		refused 125 . get "--wait=$d" k -- touch "$T/ran"
	done
	refused 125 '10x' get -t 10x k -- touch "$T/ran"
}

@test "durations that are good: each unit, fractions, joined, forever, beyond every number" {
	for d in 0 90 0.5 90s 500ms 1.5h 2d 1h30m 1d2h3m4s5ms forever 99999999999999999999999d 9223372036854775808; do
		run -0 "$SC" get -t "$d" "k$d" -- echo "$d"
		assert_output "$d"
		[ "$d" != 0 ] || continue
		run -0 "$SC" get -w "$d" "w$d" -- echo "$d"
		assert_output "$d"
	done
	run -0 "$SC" get -t 99999999999999999999999d k99999999999999999999999d
}

@test "bad input to get: a status descriptor out of range, not a number, or not open" {
	local n
	for n in -1 x '' 1x 2147483648 99999999999999999999 9223372036854775808 nan 1.5; do
		refused 125 . get "--status-fd=$n" k -- touch "$T/ran"
	done
	exec 77>&-
	refused 125 77 get --status-fd 77 k -- touch "$T/ran"
}

@test "options stand before or after KEY, their values joined or apart; all behind the -- is the command's" {
	run -0 "$SC" get -t 1h a -- printf '%s.' -t --refresh -- x
	assert_output -- '-t.--refresh.--.x.'
	run -0 "$SC" get b -t 1h --finish -- echo b
	run -0 "$SC" get -t1h c -- echo c
	run -0 "$SC" get --ttl=1h d -- echo d
	run -0 "$SC" get --ttl 1h e -v -- echo e
	run -0 "$SC" get a -t 1h
	assert_output -- '-t.--refresh.--.x.'
}

@test "get -- -k -- CMD: a -- before KEY only ends the options" {
	run -0 "$SC" get -- -k -- echo x
	assert_output x
	run -0 "$SC" get -- -k
	assert_output x
	run -0 "$SC" get -t 1h -- -k
	assert_output x
	run -0 "$SC" get -- plain -- echo y
	assert_output y
}

@test "verbs that run no command: 2" {
	refused 2 . rm
	refused 2 key rm ''
	refused 2 key rm a ''
	refused 2 --prefix rm --prefix
	refused 2 --prefix rm --prefix ''
	refused 2 --prefix rm --prefix a b
	refused 2 --prefix rm --prefix a --prefix b
	refused 2 '4096' rm "$(long_key)"
	refused 2 . rm --nothing a
	refused 2 . ls a b
	refused 2 . ls --nothing
	refused 2 . ps extra
	refused 2 . ps --nothing
	refused 2 . daemon
	refused 2 'start' daemon strat
	refused 2 . daemon stop --nothing
	refused 2 . daemon status extra
	refused 2 . help no-such-verb
	refused 2 . version extra
}

@test "an unknown verb is 2, with the nearest suggestion" {
	refused 2 'get' gte k
	refused 2 'daemon' deamon stop
	refused 2 'version' verison
	refused 2 'qqqqqqqqqqqq' qqqqqqqqqqqq
	refused 2 . --frobnicate
	refused 2 . ''
}

@test "sc alone says how it is used, and is 2" {
	run -2 --separate-stderr "$SC"
	[ -z "$output" ]
	[ -n "$stderr" ]
	[ ! -e "$SC_DIR" ]
}

@test "a bad word in an error is shown escaped: one line" {
	refused 125 . get k $'--a\nb\e[31m' -- touch "$T/ran"
	refused 2 . $'a\nb'
	run -1 grep -q $'\e' "$T/err"
	# Whatever verb it is a word too much, or an unknown one, of.
	local verb
	for verb in $("$SC" table | awk -F '\t' '$1 == "verb" { print $2 }'); do
		timeout 20 "$SC" "$verb" $'\e[31m' $'\e[31m' $'--\e[31m' </dev/null >"$T/out" 2>"$T/err" || true
		timeout 20 "$SC" "$verb" $'\e[31m' </dev/null >>"$T/out" 2>>"$T/err" || true
		LC_ALL=C run -1 grep -q $'\e' "$T/err"
	done
}
