#!/usr/bin/env bats
# FAULTS C: what the caller's limits and descriptors do.
load ../helper

@test "C06: not found 127, not executable 126, argument list too long 126, for leader and followers, not cached" {
	echo x >"$T/plain"
	run -127 "$SC" get a -- "$T/none"
	run -126 "$SC" get b -- "$T/plain"
	mkdir "$T/a" "$T/b"
	run -0 crowd 10 "$T/a" "$SC" get c -- "$T/none"
	assert_output '127 10'
	run -0 crowd 10 "$T/b" "$SC" get d -- "$T/plain"
	assert_output '126 10'
	wait_until nothing_kept
}

@test "C06: a command whose arguments are too long for the kernel, though sc's own were not: 126" {
	# The kernel puts a script's interpreter in front of its arguments: what just fits for sc does not fit for the script.
	printf '#!/bin/sh %s\n' "$(printf 'x%.0s' {1..200})" >"$T/script"
	chmod +x "$T/script"
	ulimit -S -s 1024 # arguments and environment may take a quarter of it
	local low=0 high=262144 middle pad block
	block=$(printf 'x%.0s' {1..65536})
	fits() {
		pad=()
		local n=$1
		for (( ; n > 65536; n -= 65537)); do pad+=("$block"); done
		pad+=("${block:0:n}")
		"$SC" got k -- "$T/script" "${pad[@]}" >/dev/null 2>&1 || [ $? != 126 ] # a verb that is not there, but as long
	}
	while ((high - low > 1)); do
		middle=$(((low + high) / 2))
		if fits $middle; then low=$middle; else high=$middle; fi
	done
	[ $low -gt 100000 ]
	fits $low
	run -126 --separate-stderr "$SC" get k -- "$T/script" "${pad[@]}"
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'too long'
	run -1 "$SC" get k
}

# with_closed DIGITS CMD…: with those of the descriptors 0, 1, 2 closed.
with_closed() {
	local which=$1
	shift
	(
		case $which in *0*) exec 0<&- ;; esac
		case $which in *2*) exec 2>&- ;; esac
		case $which in *1*) exec 1>&- ;; esac
		exec "$@"
	)
}

@test "C07: each of the eight ways to close descriptors 0, 1 and 2: the command runs, nothing of ours gets there" {
	local which got want
	for which in _ 0 1 2 01 02 12 012; do
		got=0 want=0
		case $which in *1*) want=125 ;; esac
		with_closed $which "$SC" get "k$which" -- fails -n "$T/count" -o out -e err >"$T/out" 2>"$T/err" </dev/null || got=$?
		[ $got = $want ] || { echo "closed $which: $got" >&2 && return 1; }
		case $which in
		*1*) is_empty "$T/out" ;;
		*) is_file "$T/out" 'out\n' ;;
		esac
		case $which in
		*2*) is_empty "$T/err" ;;
		*1*) # what goes to stderr goes on, and says what is wrong with stdout
			[ "$(lines_in "$T/err")" = 2 ]
			grep -qx err "$T/err"
			grep -q '^sc: .*write error' "$T/err"
			;;
		*) is_file "$T/err" 'err\n' ;;
		esac
	done
	[ "$(lines_in "$T/count")" = 8 ]
}

@test "C07: the same for a hit, with the daemon's start on the way" {
	local which got want
	for which in _ 0 1 2 01 02 12 012; do
		entry "k$which" 'out\n'
		kill_daemon
		got=0 want=0
		case $which in *1*) want=125 ;; esac
		with_closed $which "$SC" get "k$which" >"$T/out" 2>"$T/err" </dev/null || got=$?
		[ $got = $want ] || { echo "closed $which: $got" >&2 && return 1; }
		run -0 "$SC" get "k$which" # whose bytes nobody has written into
		assert_output out
	done
}

@test "C07: the command under closed descriptors has all three, none of them a file of the cache" {
	for which in 0 2 02 1 01 12 012; do
		with_closed $which "$SC" get "k$which" -- sh -c 'fds >"$T/fds"' || true
		run -0 cut -d ' ' -f 1 "$T/fds"
		assert_line --index 0 0
		assert_line --index 1 1
		assert_line --index 2 2
		run -1 grep -F "$SC_DIR" "$T/fds"
	done
}

@test "C08: stdout is /dev/full: write error, 125; the entry and others are fine" {
	local got=0
	entry k 'x\n'
	"$SC" get k >/dev/full 2>"$T/err" || got=$?
	[ $got = 125 ]
	is_message "$T/err" 'write error|no space'
	run -0 "$SC" get k
	assert_output x
	bg_sh a 'got=0; "$SC" get l -- gate "$G" >/dev/full || got=$?; echo $got'
	gate_up
	bg b "$SC" get l
	step "$G" out y
	shows b 'y\n'
	step "$G" exit 0
	assert_rc 0 a b
	is_file "$T/a.out" '125\n'
	run -0 "$SC" get l
	assert_output y
	got=0
	"$SC" get m -- fails -o z >/dev/full 2>"$T/err" || got=$? # nobody else reads
	[ $got = 125 ]
	is_message "$T/err" 'write error|no space'
	run -0 "$SC" get m
	assert_output z
}

@test "C08: stderr is /dev/full: stdout is whole, the status the command's" {
	"$SC" get k -- fails -o out -e err >"$T/out" 2>/dev/full || true
	is_file "$T/out" 'out\n'
	"$SC" get k >"$T/out" 2>"$T/err"
	is_file "$T/out" 'out\n'
	is_file "$T/err" 'err\n'
}

@test "C09: a stdout that does not block gets every byte, and its flags are left alone" {
	for _ in live hit; do
		nonblock "$SC" get k -- flood 3M >"$T/out"
		is_flood "$T/out" 3M
	done
	got=0
	nonblock "$SC" get l -- fails -o x 7 >"$T/out" || got=$?
	[ $got = 7 ]
	is_file "$T/out" 'x\n'
}

@test "C11: a hundred followers of a large run: the daemon's memory stays under 20 MiB" {
	local size=64M pid fds
	if [ "${SOAK:-0}" = 1 ]; then size=1G; fi
	start_daemon
	pid=$(daemon_pid)
	bg crowd bash -c 'for ((n = 0; n < 100; n++)); do "$SC" get k -- sh -c "gate \"\$G\" && flood \$1" - "$0" >/dev/null & done
		failed=0
		for job in $(jobs -p); do wait "$job" || failed=$((failed + 1)); done
		echo "$failed failed"' $size
	gate_up
	wait_until '[ "$("$SC" ps | grep -c "100 readers")" = 1 ]' 60
	step "$G" exit 0
	[ "$(rc crowd 300)" = 0 ]
	is_file "$T/crowd.out" '0 failed\n'
	"$SC" get k | cmp - <(flood $size)
	echo "$(memory "$pid" VmHWM) KiB at most"
	[ "$(memory "$pid" VmHWM)" -lt $((20 * 1024 * SLACK)) ]
	[ "$(runs)" = 1 ]
}

@test "C01: a daemon that cannot open an object now does not take its entry for gone" {
	entry k 'x\n'
	local pid soft
	pid=$(daemon_pid)
	soft=$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")
	# Room for the connection, none for the object.
	prlimit --pid "$pid" --nofile="$(($(ls "/proc/$pid/fd" | sort -n | tail -n 1) + 2)):"
	run -0 "$SC" get k -- echo y
	assert_line y
	prlimit --pid "$pid" --nofile="$soft:"
	run -0 "$SC" get k
	assert_output x
}
