#!/usr/bin/env bats
# `sc help`, `sc version`.
load ../helper

@test "help lists every verb, on stdout, with 0, and starts nothing" {
	for form in help --help -h; do
		run -0 --separate-stderr "$SC" $form
		[ -z "$stderr" ]
		for verb in get run warm rm ls ps daemon help version; do assert_line --regexp "(^|[ ,|])$verb([ ,|]|\$)"; done
	done
	[ ! -e "$SC_DIR" ]
}

@test "help VERB lists its options" {
	run -0 --separate-stderr "$SC" help get
	[ -z "$stderr" ]
	for option in --ttl --refresh --finish --stderr --quiet --verbose --strict --status-fd --wait --output --atomic --file --mtime --env --stdin --print-key; do
		case $option in
		--quiet) assert_output --regexp '(^|[ ,])-q' ;;
		--output) assert_output --regexp '(^|[ ,])-o' ;;
		--verbose) assert_output --regexp '(^|[ ,])-v' ;;
		*) assert_output --partial -- "$option" ;;
		esac
	done
	for verb in rm ls ps daemon version help; do
		run -0 "$SC" help $verb
		assert_output --partial "$verb"
	done
	[ ! -e "$SC_DIR" ]
}

@test "no option takes a secret on the command line" {
	for verb in get run warm rm ls ps daemon; do
		run -0 "$SC" help $verb
		refute_output --regexp -- '--(key|password|secret)([ =]|$)'
	done
}

@test "version: one line with a number, and starts nothing" {
	for form in version --version; do
		run -0 --separate-stderr "$SC" $form
		[ "${#lines[@]}" = 1 ]
		[ -z "$stderr" ]
		assert_output --regexp '^sc '
	done
	[ ! -e "$SC_DIR" ]
}

@test "a full or closed stdout of ls: 125 with a message, 141 without one" {
	local long got=0
	long=$(printf 'x%.0s' {1..4000})
	for nr in {1..40}; do entry "$long$nr" 'x\n'; done
	"$SC" ls 2>"$T/err" >/dev/full || got=$?
	[ $got = 125 ]
	is_message "$T/err" 'space|write'
	run -0 --separate-stderr bash -c '"$SC" ls | head -c 5 >/dev/null; echo "${PIPESTATUS[*]}"'
	assert_output '141 0'
	[ -z "$stderr" ]
}
