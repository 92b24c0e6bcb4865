#!/usr/bin/env bats
# `sc version`, and `--version`: which build this is, for people and for programs.
load ../helper

@test "version: one line with a number, and starts nothing" {
	for form in version --version; do
		run -0 --separate-stderr "$SC" $form
		[ "${#lines[@]}" = 1 ]
		[ -z "$stderr" ]
		assert_output --regexp '^sc '
	done
	[ ! -e "$SC_DIR" ]
}

@test "version --json: the build and the number of the protocol; also as --version" {
	local words
	for words in 'version --json' '--version --json' '-V --json'; do
		run -0 --separate-stderr "$SC" $words
		[ -z "$stderr" ]
		[ "$(jq -c 'keys_unsorted' <<<"$output")" = '["version","protocol"]' ]
		[ "sc $(jq -r .version <<<"$output")" = "$("$SC" version)" ]
		[ "$(jq .protocol <<<"$output")" = "$(sed -n 's/^#define SC_PROTO_VERSION //p' "$ROOT/lib/proto.h")" ]
	done
	[ "$("$SC" --version)" = "$("$SC" version)" ]
	run -2 "$SC" version --jsn
	run -2 "$SC" version x
	run -125 bash -c '"$SC" version --json >/dev/full'
	[ ! -e "$SC_DIR" ]
}
