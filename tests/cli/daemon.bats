#!/usr/bin/env bats
# The daemon's life, and the verbs about it.
load ../helper

@test "the daemon is started by the first call that needs it, and serves the next" {
	no_daemon
	entry k 'x\n'
	local pid
	pid=$(daemon_pid)
	[ -n "$pid" ]
	run -0 "$SC" get k
	[ "$(daemon_pids)" = "$pid" ]
}

@test "daemon start, status, stop" {
	run -0 "$SC" daemon start
	local pid
	pid=$(daemon_pid)
	[ -n "$pid" ]
	run -0 "$SC" daemon start # there is one already: that is what was wanted
	[ "$(daemon_pids)" = "$pid" ]
	run -0 "$SC" daemon status
	assert_output --regexp "pid $pid"
	run -0 "$SC" daemon stop
	no_daemon
	[ ! -e "$SC_DIR/sock" ]
}

@test "daemon status and daemon stop never start a daemon" {
	run "$SC" daemon status
	no_daemon
	run "$SC" daemon stop
	no_daemon
	[ ! -e "$SC_DIR/sock" ]
}

@test "daemon stop with a run: says that it waits for it, and goes when it has ended; nothing is said of what waits for no run" {
	bg a "$SC" get k -- gate "$G"
	gate_up
	bg s "$SC" daemon stop
	wait_until '[ -s "$T/s.err" ]'
	is_file "$T/s.err" 'sc: daemon: waiting for 1 run to end (--now does not)\n'
	[ -n "$(daemon_pid)" ]
	step "$G" exit 0
	assert_rc 0 a s
	no_daemon
	entry other 'x\n'
	run -0 --separate-stderr "$SC" daemon stop
	[ -z "$output$stderr" ]
}

@test "daemon restart: another process, the same entries" {
	entry k 'x\n'
	local pid
	pid=$(daemon_pid)
	run -0 "$SC" daemon restart
	[ -n "$(daemon_pid)" ]
	[ "$(daemon_pid)" != "$pid" ]
	run -0 "$SC" get k
	assert_output x
}

@test "daemon restart reads config anew, with runs going on it goes over to them" {
	entry k 'x\n'
	echo 'ttl = 250s' >"$SC_DIR/config"
	"$SC" get --status-fd 3 before -- true 3>"$T/s"
	[ "$(field ttl "$T/s")" = 3600 ]
	run -0 "$SC" daemon restart
	"$SC" get --status-fd 3 after -- true 3>"$T/s"
	[ "$(field ttl "$T/s")" = 250 ]
}

@test "daemon run stays in the foreground, serves, and goes on SIGTERM with its socket" {
	bg d "$SC" daemon run
	wait_until '[ -S "$SC_DIR/sock" ]'
	entry k 'x\n'
	[ "$(daemon_pids | wc -l)" = 1 ]
	is_running d
	kill -TERM "$(daemon_pid)"
	wait_until '! is_running d'
	wait_until no_daemon
	[ ! -e "$SC_DIR/sock" ]
	run -0 "$SC" get k
	assert_output x
}

@test "a second daemon for the same directory refuses, and the first goes on" {
	entry k 'x\n'
	local pid
	pid=$(daemon_pid)
	bg d "$SC" daemon run
	wait_until '! is_running d'
	[ "$(rc d)" != 0 ]
	[ -s "$T/d.err" ]
	[ "$(daemon_pids)" = "$pid" ]
	run -0 "$SC" get k
	assert_output x
}

@test "daemon stop with runs says how many and waits for them" {
	bg a "$SC" get a -- gate "$G"
	bg b "$SC" get b -- gate "$(new_gate g2)"
	gate_up
	gate_up "$T/g2"
	bg stop "$SC" daemon stop
	wait_until 'grep -q 2 "$T/stop.out" "$T/stop.err"'
	is_running stop
	step "$G" exit 0
	assert_rc 0 a
	is_running stop
	[ -n "$(daemon_pid)" ]
	step "$T/g2" exit 0
	assert_rc 0 b stop
	wait_until no_daemon
	run -0 "$SC" ls
	assert_output $'a\nb'
}

@test "the daemon goes after its idle time, and the next call just works" {
	mkdir -m 700 "$SC_DIR"
	echo 'idle-exit = 1s' >"$SC_DIR/config"
	entry k 'x\n'
	[ -n "$(daemon_pid)" ]
	wait_until no_daemon
	[ ! -e "$SC_DIR/sock" ]
	run -0 --separate-stderr "$SC" get k
	assert_output x
	[ -z "$stderr" ]
}

@test "the daemon does not go with a run, nor with a reader, however long they are idle" {
	mkdir -m 700 "$SC_DIR" "$T/clock"
	echo 'idle-exit = 500ms' | tee "$SC_DIR/config" >"$T/clock/config"
	bg a "$SC" get k -- gate "$G"
	step "$G" out x
	shows a 'x\n'
	local pid
	pid=$(daemon_pid)
	for _ in 1 2; do # two idle times of another daemon go by
		SC_DIR=$T/clock entry k 'x\n'
		wait_until '[ -z "$(daemon_pids "$T/clock")" ]'
	done
	[ "$(daemon_pids)" = "$pid" ]
	step "$G" exit 0
	assert_rc 0 a
	"$SC" get big -- flood 3M >"$T/out"
	pid=$(daemon_pid)
	mkfifo "$T/pipe"
	exec {held}<>"$T/pipe"
	bg_sh r '"$SC" get big >"$T/pipe"'
	head -c 10 <&"$held" >"$T/first"
	pid=$(daemon_pid)
	for _ in 1 2; do
		SC_DIR=$T/clock entry k 'x\n'
		wait_until '[ -z "$(daemon_pids "$T/clock")" ]'
	done
	[ "$(daemon_pids)" = "$pid" ]
	head -c $((3 * 1048576 - 10)) <&"$held" >"$T/rest"
	exec {held}>&-
	assert_rc 0 r
	wait_until no_daemon
}

@test "a daemon that nobody uses takes no processor time" {
	entry k 'x\n'
	local pid before
	pid=$(daemon_pid)
	before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
	mkdir -m 700 "$T/clock"
	echo 'idle-exit = 2s' >"$T/clock/config"
	SC_DIR=$T/clock entry k 'x\n'
	wait_until '[ -z "$(daemon_pids "$T/clock")" ]'
	[ $(($(awk '{ print $14 + $15 }' "/proc/$pid/stat") - before)) -le 2 ]
}

@test "nothing is inherited by the daemon: directory, umask, session, terminal, descriptors, signals" {
	use_test_build
	mkdir "$T/here"
	cd "$T/here"
	mkfifo "$T/pipe"
	exec 7<>"$T/pipe"
	bash -c 'trap "" USR1 HUP; umask 0; exec "$SC" get k -- true'
	local pid
	pid=$(daemon_pid)
	[ "$(readlink "/proc/$pid/cwd")" = / ]
	[ "$(awk '/^Umask/ { print $2 }' "/proc/$pid/status")" = 0077 ]
	[ "$(ps -o sid= -p "$pid" | tr -d ' ')" != "$(ps -o sid= -p $$ | tr -d ' ')" ]
	[ "$(ps -o tty= -p "$pid" | tr -d ' ')" = '?' ]
	[ "$(awk '/^SigBlk/ { print $2 }' "/proc/$pid/status")" = 0000000000000000 ]
	[ $((16#$(awk '/^SigIgn/ { print $2 }' "/proc/$pid/status") & ((1 << 9) | 1))) = 0 ] # USR1, HUP
	run -1 grep -qF "$T/pipe" <(readlink "/proc/$pid/fd/"*)
	exec 7>&-
	cd /
	rmdir "$T/here"
}

@test "a thousand entries' daemon keeps no descriptor of them" {
	use_test_build
	mkdir "$T/crowd"
	start_daemon
	local before
	before=$(fd_count "$(daemon_pid)")
	run -0 crowd 200 "$T/crowd" "$SC" get 'k{}' -- echo '{}'
	assert_output '0 200'
	wait_until '[ "$(fd_count "$(daemon_pid)")" -le "$before" ]'
}

@test "a cache directory in which everything is missing but the directory is made anew" {
	mkdir -m 700 "$SC_DIR"
	entry k 'x\n'
	"$SC" daemon stop
	rm -r "$SC_DIR/objects" "$SC_DIR/flights" "$SC_DIR/lock" "$SC_DIR"/index.db*
	run -0 --separate-stderr "$SC" get k -- echo y
	assert_output y
	[ -z "$stderr" ]
	run -0 "$SC" get k
}

@test "the cache directory: SC_DIR, else XDG_CACHE_HOME/sc, else HOME/.cache/sc" {
	local dir
	unset SC_DIR
	export XDG_CACHE_HOME=$T/xdg
	for dir in "$T/xdg/sc" "$T/home/.cache/sc"; do
		run -0 --separate-stderr "$SC" get k -- echo x
		[ -z "$stderr" ]
		[ -S "$dir/sock" ]
		[ "$(stat -c %a "$dir")" = 700 ]
		run -0 "$SC" daemon stop
		unset XDG_CACHE_HOME
	done
	export SC_DIR=$T/cache
}

@test "daemon stop waits for runs however long they are silent" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	bg s "$SC" daemon stop
	wait_until 'grep -q waiting "$T/s.err"'
	run -124 "$SC" get -w 3s k # longer than a daemon may be silent
	kill -0 "$(pid_of s)"
	step "$G" exit 0
	assert_rc 0 a
	assert_rc 0 s
	[ "$(lines_in "$T/s.err")" = 1 ]
}
