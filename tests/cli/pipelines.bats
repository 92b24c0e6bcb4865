#!/usr/bin/env bats
# A pipeline ends when its command ends, also when this very call started the daemon: nothing of the caller's is held on to.
# run: sealed too
load ../helper

ends() { timeout $((20 * SLACK)) "$@"; } # 124: it hung

@test "out=\$(sc get …) ends with the command, with a cold daemon" {
	no_daemon
	run -0 ends bash -c 'out=$("$SC" get k -- echo x); echo "[$out]"'
	assert_output '[x]'
	[ -n "$(daemon_pid)" ] # which lives on
}

@test "out=\$(sc get … 2>&1) ends, also of a failing command" {
	run -0 ends bash -c 'out=$("$SC" get k -- sh -c "echo x; echo y >&2; exit 3" 2>&1); echo "$? $out"'
	assert_output $'3 x\ny'
	[ -n "$(daemon_pid)" ]
}

@test "sc get … | cat ends with the command, with a cold daemon" {
	run -0 ends bash -c '"$SC" get k -- echo x | cat'
	assert_output x
	run -0 ends bash -c '"$SC" get k 2>&1 | cat'
	assert_output x
	[ -n "$(daemon_pid)" ]
}

@test "like ssh: a stdin that never ends, stdout and stderr pipes: it ends with the command" {
	mkfifo "$T/endless"
	run -0 ends bash -c 'exec 5<>"$T/endless"; "$SC" get k -- sh -c "echo x; echo y >&2" 2>&1 <&5 | cat'
	assert_line x
	assert_line y
	[ -n "$(daemon_pid)" ]
}

@test "other verbs that start a daemon end in a pipe too" {
	run -0 ends bash -c '"$SC" ls 2>&1 | cat'
	"$SC" daemon stop
	run -0 ends bash -c '"$SC" daemon start 2>&1 | cat'
	run -0 ends bash -c '"$SC" daemon restart 2>&1 | cat'
	[ -n "$(daemon_pid)" ]
}

@test "make -j8 | cat ends with the build, with a cold daemon" {
	printf 'K = 1 2 3 4 5 6 7 8 9 10 11 12\nall: $(K)\n$(K):\n\t@"$(SC)" get $@ -- echo made $@\n' >"$T/Makefile"
	run -0 ends bash -c 'make -j8 -f "$T/Makefile" 2>&1 | cat'
	[ "${#lines[@]}" = 12 ]
	assert_line 'made 7'
	[ -n "$(daemon_pid)" ]
}

@test "a descriptor that the caller holds on a pipe is closed when the call is over" {
	mkfifo "$T/pipe"
	exec {keep}<>"$T/pipe"
	exec {write}>"$T/pipe"
	exec {read}<"$T/pipe"
	"$SC" get k -- echo x >/dev/null # inherits $write
	[ -n "$(daemon_pid)" ]
	exec {keep}>&- {write}>&-
	run -0 ends cat <&"$read"
	assert_output ''
}

@test "| head ends silently with 141, also where SIGPIPE is ignored" {
	"$SC" get k -- flood 20M >/dev/null
	run -0 --separate-stderr ends bash -c '"$SC" get k | head -c 5 >/dev/null; echo "${PIPESTATUS[*]}"'
	assert_output '141 0'
	[ -z "$stderr" ]
	run -0 --separate-stderr ends bash -c 'trap "" PIPE; "$SC" get k | head -c 5 >/dev/null; echo "${PIPESTATUS[*]}"'
	assert_output '141 0'
	[ -z "$stderr" ]
	run -0 --separate-stderr ends bash -c 'trap "" PIPE; "$SC" get l -- flood 1G | head -c 5 >/dev/null; echo "${PIPESTATUS[*]}"'
	assert_output '141 0'
	[ -z "$stderr" ]
}
