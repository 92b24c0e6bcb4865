#!/usr/bin/env bats
# `sc put --if-absent`: stored where there is neither an unexpired entry nor a run, by one of all who try; the others exit with 1 and change
# nothing.
# run: sealed too
load ../helper

BOUND=$((30 * SLACK))

# refused_silently CMD…: exits with 1 and says nothing.
refused_silently() {
	run -1 --separate-stderr timeout $BOUND "$@" </dev/null
	[ -z "$output$stderr" ]
}

@test "put --if-absent: stores where there is nothing, and then is refused with 1, silently, and the entry stays" {
	run -0 --separate-stderr bash -c 'echo one | "$SC" put --if-absent k'
	[ -z "$output$stderr" ]
	echo two >"$T/two"
	refused_silently "$SC" put --if-absent k "$T/two"
	refused_silently "$SC" put --if-absent -t 0 k "$T/two"
	run -0 "$SC" get k
	assert_output one
	"$SC" put k "$T/two" # without it: as ever
	run -0 "$SC" get k
	assert_output two
	"$SC" rm k
	run -0 "$SC" put --if-absent k "$T/two"
	refused_silently "$SC" put k --if-absent "$T/two"
}

@test "put --if-absent: of a hundred callers at once exactly one stores, and all others are told 1" {
	local round won
	for round in 1 2 3; do
		rm -rf "$T/crowd"
		mkdir "$T/crowd"
		run -0 crowd 100 "$T/crowd" sh -c 'echo "$1" | "$SC" put --if-absent "k$2" && echo won' - '{}' $round
		assert_output $'0 1\n1 99'
		won=$(grep -lx won "$T/crowd"/*.out)
		run -0 "$SC" get k$round
		assert_output "$(basename "$won" .out)"
		for err in "$T/crowd"/*.err; do is_empty "$err"; done
	done
}

@test "put --if-absent: of a crowd that finds no daemon, too" {
	mkdir "$T/crowd"
	no_daemon
	run -0 crowd 30 "$T/crowd" "$SC" put --if-absent k "$ROOT/README.md"
	assert_output $'0 1\n1 29'
	"$SC" get k | cmp - "$ROOT/README.md"
}

@test "put --if-absent: a run counts, whatever becomes of it, and goes on" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	echo x >"$T/x"
	refused_silently "$SC" put --if-absent k "$T/x"
	bg b "$SC" get k
	shows b 'one\n'
	step "$G" exit 3
	assert_rc 3 a b
	[ "$(runs)" = 1 ]
	run -0 "$SC" put --if-absent k "$T/x" # it failed, and left nothing
	run -0 "$SC" get k
	assert_output x
}

@test "put --if-absent: a run that a new daemon waits for counts, too" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	kill -STOP "$(parent_of "$(gate_pid)")"
	kill_daemon
	echo x >"$T/x"
	refused_silently "$SC" put --if-absent k "$T/x"
	kill -CONT "$(parent_of "$(gate_pid)")"
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output one
}

@test "put --if-absent: a run that was removed does not count: it will leave nothing" {
	bg a "$SC" get k -- gate "$G"
	step "$G" out one
	"$SC" rm k
	echo x >"$T/x"
	run -0 timeout $BOUND "$SC" put --if-absent k "$T/x"
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output x
}

@test "put --if-absent: a put that is still being given counts, and an entry that is over does not" {
	mkfifo "$T/in"
	bg a sh -c '"$SC" put --if-absent k <"$T/in"'
	exec {fd}>"$T/in"
	wait_until '"$SC" ps | grep -q .'
	echo x >"$T/x"
	refused_silently "$SC" put --if-absent k "$T/x"
	echo given >&"$fd"
	exec {fd}>&-
	assert_rc 0 a
	run -0 "$SC" get k
	assert_output given
	"$SC" put -t 100ms short "$T/x"
	wait_until '"$SC" put --if-absent short "$ROOT/README.md"'
	"$SC" get short | cmp - "$ROOT/README.md"
}

@test "put --if-absent: neither a stale entry nor a kept failure is one" {
	"$SC" get -t 1ms --stale 1h s -- echo old
	run -3 "$SC" get --keep-failures 1h f -- sh -c 'exit 3'
	echo x >"$T/x"
	wait_until '"$SC" put --if-absent s "$T/x"'
	run -0 "$SC" put --if-absent f "$T/x"
	run -0 "$SC" get f
	assert_output x
	run -0 "$SC" get s
	assert_output x
}

@test "put --if-absent: an entry whose object is gone is none" {
	entry k 'old\n'
	find "$SC_DIR/objects" -name '*.out' -delete
	echo x >"$T/x"
	run -0 "$SC" put --if-absent k "$T/x"
	run -0 "$SC" get k
	assert_output x
}

@test "put --if-absent: with what it is given it is patient: whoever feeds it meets no closed pipe" {
	entry k 'old\n'
	bg_sh a 'flood 3M | "$SC" put --if-absent k'
	[ "$(pipe_status a)" = '0 1' ]
	run -0 "$SC" get k
	assert_output old
}

@test "put --if-absent --move: refused, FILE is what it was; else it goes" {
	entry k 'old\n'
	echo file >"$T/file"
	chmod 640 "$T/file"
	refused_silently "$SC" put --if-absent --move k "$T/file"
	is_file "$T/file" 'file\n'
	[ "$(stat -c '%a %h' "$T/file")" = '640 1' ]
	run -0 "$SC" put --if-absent --move l "$T/file"
	[ ! -e "$T/file" ]
	run -0 "$SC" get l
	assert_output file
}

@test "put --if-absent: what the run of its own key stores is refused" {
	run -0 timeout $BOUND "$SC" get k -- sh -c 'echo inner | "$SC" put --if-absent k; echo "status $?"'
	assert_output 'status 1'
	run -0 "$SC" get k
	assert_output 'status 1'
}
