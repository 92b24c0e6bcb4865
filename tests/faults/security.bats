#!/usr/bin/env bats
# FAULTS S: what others may see, plant and inherit.
load ../helper

@test "S07: files are 0600 and directories 0700, whatever the umask and the parent's setgid bit" {
	mkdir "$T/setgid"
	chmod 2775 "$T/setgid"
	for mask in 000 022 077 177; do
		for parent in "$T" "$T/setgid"; do
			export SC_DIR=$parent/c$mask
			# umask 177 would keep the command from making files for itself; it makes none.
			(umask $mask && "$SC" get k -- fails -o out -e err >/dev/null 2>&1)
			bg a bash -c 'umask $0; exec "$SC" get l -- gate "$G"' $mask
			gate_up
			[ "$(flights)" = 1 ]
			run -0 find "$SC_DIR" -type d -not -perm 700 -not -perm 2700
			assert_output ''
			run -0 find "$SC_DIR" -not -type d -not -perm 600
			assert_output ''
			step "$G" exit 0
			assert_rc 0 a
			rm "$G/runs"
			"$SC" daemon stop
			run -0 find "$SC_DIR" -type f -not -perm 600
			assert_output ''
		done
	done
	export SC_DIR=$T/cache
}

tree() { (cd "$T" && find . -path ./cache -prune -o -printf '%p %s %T@\n' | sort); }

@test "S08: hostile keys: only generations are names on disk, nothing outside the cache changes" {
	local keys=('../../x' '/etc/passwd' '../sock' 'objects' '-rf' '.' '..' $'a\nb' $'\e[2J' $'\xff\xfe' '%n%s%x' '$(touch x)' '`touch x`'
		"'; DROP TABLE entry; --" '*' ' ' "$(printf 'x%.0s' {1..4096})")
	mkdir "$T/cwd"
	cd "$T/cwd"
	touch "$T/.want" "$T/out" "$T/err"
	tree >"$T/out"
	local nr
	for nr in "${!keys[@]}"; do
		[ "$("$SC" get -- "${keys[nr]}" -- echo "value $nr" 2>>"$T/err")" = "value $nr" ]
	done
	for nr in "${!keys[@]}"; do
		[ "$("$SC" get -- "${keys[nr]}" 2>>"$T/err")" = "value $nr" ] # none is another
	done
	[ "$("$SC" ls | wc -c)" = "$(($(printf '%s\n' "${keys[@]}" | wc -c)))" ]
	[ -z "$(strangers "$SC_DIR")" ]
	diff <(cat "$T/out") <(tree) | grep -v -e '^[<>] \. ' -e '\./out ' -e '\./err ' -e '\./\.want ' -e '^[-0-9]' >"$T/.want" || true
	is_empty "$T/.want"
	[ -z "$(ls -A "$T/cwd")" ]
	is_empty "$T/err"
	run -0 "$SC" rm -- "${keys[@]}"
	wait_until nothing_kept
}

@test "S08: an empty key and one over 4096 bytes are refused" {
	run -125 "$SC" get '' -- touch "$T/ran"
	run -125 "$SC" get "$(printf 'x%.0s' {1..4097})" -- touch "$T/ran"
	run -125 "$SC" get "$(printf 'x%.0s' {1..100000})" -- touch "$T/ran"
	run -2 "$SC" rm ''
	run -2 "$SC" rm "$(printf 'x%.0s' {1..4097})"
	[ ! -e "$T/ran" ]
}

@test "S09: escape sequences in a key: the log stays one line an event, without them" {
	"$SC" get $'k\n2026 pid=1 event=forged\e[2J' -- true
	"$SC" rm $'k\n2026 pid=1 event=forged\e[2J'
	"$SC" daemon stop
	run -1 grep -q '^2026 pid=1 event=forged' "$SC_DIR/scd.log"
	run -1 grep -q $'\e' "$SC_DIR/scd.log"
}

@test "S12: the daemon's environment is the allow-list, with no secret of the caller" {
	use_test_build
	export SECRET_TOKEN=canary-7f3a AWS_SECRET_ACCESS_KEY=canary-7f3a LD_LIBRARY_PATH=/nowhere XDG_RUNTIME_DIR=$T LANG=C
	entry k 'x\n'
	local pid
	pid=$(daemon_pid)
	tr '\0' '\n' <"/proc/$pid/environ" >"$T/environ"
	[ -s "$T/environ" ] || echo "(empty)"
	run -1 grep -a canary-7f3a "$T/environ"
	# SC_DIR HOME PATH LANG TZ XDG_* and what systemd passes (SC_FAULT and SC_KILLAT are of test builds, ASAN_OPTIONS of theirs)
	run -1 grep -avE '^((SC_DIR|HOME|PATH|LANG|TZ|XDG_[A-Z_]*|NOTIFY_SOCKET|LISTEN_(PID|FDS|FDNAMES)|WATCHDOG_(PID|USEC)|INVOCATION_ID|JOURNAL_STREAM|(RUNTIME|STATE|CACHE|LOGS|CONFIGURATION|CREDENTIALS)_DIRECTORY|SC_(FAULT|KILLAT)|[A-Z]+SAN_OPTIONS)=|$)' "$T/environ"
}

@test "S13: secrets in a command's arguments are not in the index, the log, ls, ps or the daemon's sight" {
	"$SC" get k -- fails -e 'nothing' 0 canary-7f3a >/dev/null 2>&1
	bg a "$SC" get l -- bash -c 'exec gate "$G"' canary-7f3a
	gate_up
	run -1 grep -ra canary-7f3a "$SC_DIR"
	run -1 grep -a canary-7f3a "/proc/$(daemon_pid)/cmdline"
	run -1 bash -c '{ "$SC" ps; "$SC" ls; "$SC" daemon status; } | grep canary'
	step "$G" exit 0
	assert_rc 0 a
	"$SC" daemon stop
	run -1 grep -ra canary-7f3a "$SC_DIR"
}

@test "S14: the command has the descriptors it would have without sc: the caller's extra ones, and no other" {
	echo x >"$T/a"
	mkfifo "$T/f"
	exec 5<"$T/a" 7>>"$T/b" 9<>"$T/f"
	fds | grep -v '^[012] ' >"$T/want"
	"$SC" get k -- fds >"$T/got"
	diff <(grep -v '^[012] ' "$T/got") "$T/want"
	grep -qx '0 rw\? /dev/null' "$T/got"
	grep -q '^1 w pipe:' "$T/got"
	grep -q '^2 w pipe:' "$T/got"
	SC_DISABLE=1 "$SC" get l -- fds >"$T/got"
	diff <(grep -v '^[012] ' "$T/got") "$T/want"
}

@test "S15: daemon and writer hold only descriptors of their own" {
	use_test_build
	mkfifo "$T/caller"
	bg a bash -c 'for fd in {3..20}; do eval "exec $fd<>\"\$T/caller\""; done; exec "$SC" get k -- gate "$G"'
	gate_up
	local writer
	writer=$(parent_of "$(gate_pid)")
	find "/proc/$(daemon_pid)/fd" -printf '%l\n' >"$T/daemon.fds"
	find "/proc/$writer/fd" -printf '%l\n' >"$T/writer.fds"
	for who in daemon writer; do
		[ -s "$T/$who.fds" ]
		run -1 grep -F "$T/caller" "$T/$who.fds"
		run -1 grep -Fx -e "$T/a.out" -e "$T/a.err" "$T/$who.fds"
	done
	grep -qF "$T/caller" <(find "/proc/$(gate_pid)/fd" -printf '%l\n') # the command has them
	step "$G" exit 0
	assert_rc 0 a
}

@test "S15: with twenty descriptors on pipes every kind of pipeline ends with the command" {
	run -0 timeout $((20 * SLACK)) bash -c '
		for fd in {3..20}; do eval "exec $fd> >(cat >/dev/null)"; done
		x=$("$SC" get k -- echo x)
		"$SC" get l -- echo y | cat
		"$SC" get m -- echo z 2>&1 | cat | cat
		echo "$x"'
	assert_output $'y\nz\nx'
	[ -n "$(daemon_pid)" ]
	# The end of everything behind a descriptor that a call which starts the daemon inherits.
	"$SC" daemon stop
	run -0 timeout $((20 * SLACK)) bash -c '{ "$SC" get n -- echo x >&2; } 3>&1 4>&1 17>&1 2>/dev/null | cat; echo ended'
	assert_output ended
	[ -n "$(daemon_pid)" ]
}

@test "S10: a cache directory writable by group or world is refused, and not repaired" {
	for mode in 0770 0777 0720; do
		rm -rf "$T/w"
		mkdir "$T/w"
		chmod $mode "$T/w"
		SC_DIR=$T/w run -0 --separate-stderr "$SC" get k -- echo direct
		assert_output direct
		printf '%s\n' "$stderr" >"$T/err"
		is_message "$T/err" "chmod.*$T/w"
		[ -z "$(ls -A "$T/w")" ]
		[ -z "$(daemon_pids "$T/w")" ]
	done
}

@test "S05: links planted as objects, log, lock, socket or index are not followed and not written" {
	echo precious >"$T/target"
	local name
	for name in scd.log lock index.db; do
		mkdir -m 700 "$T/d-$name"
		ln -s "$T/target" "$T/d-$name/$name"
		SC_DIR=$T/d-$name run -0 "$SC" get k -- echo x
		assert_line x
		is_file "$T/target" 'precious\n'
		if [ -n "$(daemon_pids "$T/d-$name")" ]; then SC_DIR=$T/d-$name "$SC" daemon stop; fi
	done
	for name in objects flights; do
		mkdir -m 700 "$T/d-$name" "$T/behind-$name"
		ln -s "$T/behind-$name" "$T/d-$name/$name"
		SC_DIR=$T/d-$name run -0 "$SC" get k -- echo x
		assert_line x
		[ -z "$(ls -A "$T/behind-$name")" ]
		if [ -n "$(daemon_pids "$T/d-$name")" ]; then SC_DIR=$T/d-$name "$SC" daemon stop; fi
	done
}

@test "S21: PATH=/evil at the daemon's start: the daemon is sc's own" {
	mkdir "$T/evil"
	for name in scd sc sh env; do
		printf '#!/bin/bash\necho %s >>"%s"\n' $name "$T/ran" >"$T/evil/$name"
		chmod +x "$T/evil/$name"
	done
	run -0 --separate-stderr env PATH="$T/evil" "$SC" get k -- /bin/echo x
	assert_output x
	[ -z "$stderr" ]
	[ ! -e "$T/ran" ]
	[ "$(daemon_pids | wc -l)" = 1 ]
	"$SC" daemon stop
	cd "$T/evil"
	run -0 env PATH=.: "$SC" get k
	assert_output x
	[ ! -e "$T/ran" ]
}

@test "S16: daemon and writer leave no core when they abort; the command's own limit is the caller's" {
	core_limit() { awk '/^Max core file size/ { print $5, $6 }' "/proc/$1/limits"; }
	local writer
	ulimit -S -c "$(ulimit -H -c)"
	cd "$T"
	bg plain gate "$(new_gate plain)"
	bg a "$SC" get k -- gate "$G"
	gate_up "$T/plain"
	gate_up
	writer=$(parent_of "$(gate_pid)")
	[ "$(core_limit "$(gate_pid)")" = "$(core_limit "$(gate_pid "$T/plain")")" ]
	[ "$(core_limit "$writer")" = '1 1' ]
	[ "$(core_limit "$(daemon_pid)")" = '1 1' ]
	[ "$(core_limit "$(pid_of a)")" = "$(core_limit "$(gate_pid "$T/plain")")" ]
	local daemon
	daemon=$(daemon_pid)
	kill -ABRT "$daemon" "$writer"
	wait_until "dead $daemon && dead $writer"
	gate_up "$G" 2 # it had printed nothing, and leads anew
	step "$G" exit 0
	assert_rc 0 a
	step "$T/plain" exit 0
	assert_rc 0 plain
	run find "$T" / -maxdepth 1 -name 'core*' -newer "$T/plain.pid"
	assert_output ''
}

@test "S04: ~/.cache may be a link; what lies inside of sc/ may not" {
	unset SC_DIR
	mkdir -m 700 "$T/elsewhere"
	ln -s "$T/elsewhere" "$HOME/.cache"
	run -0 --separate-stderr "$SC" get k -- echo x
	assert_output x
	[ -z "$stderr" ]
	[ -S "$T/elsewhere/sc/sock" ]
	run -0 "$SC" get k
	assert_output x
	"$SC" daemon stop
	mv "$T/elsewhere/sc" "$T/elsewhere/real"
	ln -s real "$T/elsewhere/sc"
	run -0 --separate-stderr "$SC" get k -- echo direct
	assert_output direct
	printf '%s\n' "$stderr" >"$T/err"
	is_message "$T/err" 'link.*running the command directly'
	export SC_DIR=$T/cache
}
