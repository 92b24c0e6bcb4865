#!/usr/bin/env bats
# `sc help`, `sc version`.
load ../helper

verbs() { "$SC" table | awk -F '\t' '$1 == "verb" { print $2 }'; }
options_of() { "$SC" table | awk -F '\t' -v verb="$1" '$1 == "option" && $2 == verb { print $4 }'; }

# plain FILE: text for any terminal: printable ASCII, no line of more than 80 columns.
plain() {
	if LC_ALL=C grep -nE '[^ -~]|^.{81}' "$1"; then
		echo "^ not plain text of 80 columns"
		return 1
	fi >&2
}

@test "help lists every verb, in groups, on stdout, with 0, and starts nothing" {
	local form verb
	for form in help --help -h; do
		run -0 --separate-stderr "$SC" $form
		[ -z "$stderr" ]
		for verb in $(verbs); do assert_line --regexp "^  (make|look|tend|ask|    ) +$verb +[^ ]"; done
	done
	[ "$(verbs | wc -l)" -ge 13 ]
	[ ! -e "$SC_DIR" ]
}

@test "help fits a screen: 24 lines, 80 columns, as does what sc alone says" {
	"$SC" help >"$T/help"
	plain "$T/help"
	[ "$(lines_in "$T/help")" -le 24 ]
	run -2 "$SC"
	assert_output "$(cat "$T/help")"
}

@test "what is asked by programs is neither listed nor suggested" {
	run -0 "$SC" help
	refute_line --regexp '(complete|table) '
	run -2 "$SC" tabel
	refute_output --partial "'table'"
}

@test "help VERB: its words, what it does, each option with its letter and value, in 80 columns" {
	local kind verb letter name value rest
	for verb in $(verbs); do
		"$SC" help "$verb" >"$T/help.$verb"
		plain "$T/help.$verb"
		grep -qE "^usage: sc $verb( |\$)" "$T/help.$verb"
	done
	"$SC" table | tr '\t' '\034' >"$T/table"
	while IFS=$'\034' read -r kind verb letter name value rest; do
		[ "$kind" = option ] || continue
		[ -n "$rest" ]
		grep -qE -- "^  ${letter:+-$letter, } *--$name${value:+ ${value//|/\\|}}( |\$)" "$T/help.$verb" ||
			{ echo "help $verb does not show --$name" >&2 && return 1; }
	done <"$T/table"
	[ ! -e "$SC_DIR" ]
}

@test "help warm: not what warm refuses; it is refused all the same, with the reason" {
	"$SC" help warm >"$T/out"
	run -1 grep -E '^ +(-., )?--(foreground|output|atomic|wait|stderr)' "$T/out"
	grep -Eq '^ +-r, --refresh' "$T/out"
	run -125 --separate-stderr "$SC" warm --atomic k -- true
	[[ $stderr == *'in the background'* ]]
}

@test "-h and --help of a verb, wherever options stand; not as the value of one, nor as a word of CMD" {
	local form
	run -0 "$SC" help get
	local want=$output
	for form in -h --help '-h k' 'k -h' 'k --help -- false' '-t 1h -q --help' '--ttl=1h k -h'; do
		# shellcheck disable=SC2086
		run -0 --separate-stderr "$SC" get $form
		[ "$output" = "$want" ]
		[ -z "$stderr" ]
	done
	[ ! -e "$SC_DIR" ]
	run -0 "$SC" get k -- echo -h
	assert_output -- -h
	cd "$T"
	run -0 "$SC" get -o -h l -- echo x
	[ -z "$output" ]
	is_file ./-h 'x\n'
}

@test "S18: no option takes a key or a secret on the command line" {
	local verb
	"$SC" table | awk -F '\t' '$1 == "option" && (tolower($4) ~ /password|passphrase|secret|token/ || ($5 && $4 ~ /key/))' >"$T/bad"
	is_empty "$T/bad"
	for verb in $(verbs); do
		run -0 "$SC" help "$verb"
		refute_output --regexp '--[a-z-]*(key|password|passphrase|secret|token)[a-z-]*[ =][^ ]'
	done
}

@test "E07: TERM=dumb, one column, LANG=C, no terminal at all: the same plain text" {
	local words
	for words in help 'help get' 'help put' version 'get --help' doctor config ps ls; do
		case $words in ls) entry k x ;; esac
		# shellcheck disable=SC2086
		"$SC" $words >"$T/want" 2>"$T/err"
		# shellcheck disable=SC2086
		env -u TERM LANG=C LC_ALL=C "$SC" $words >"$T/got" 2>&1 </dev/null
		[ "$words" = doctor ] || cmp "$T/want" "$T/got"
		# shellcheck disable=SC2016
		LANG=C LC_ALL=C TERM=dumb COLUMNS=1 pty - sh -c 'stty cols 1 rows 1; exec "$0" '"$words" "$SC" >"$T/got"
		[ "$words" = doctor ] || cmp "$T/want" "$T/got"
		! LC_ALL=C grep -q '[^ -~]' "$T/got"
	done
	LANG=C TERM=dumb pty - sh -c 'stty cols 1; exec "$0" get w -- sh -c "echo a; echo b >&2; exit 3"' "$SC" >"$T/got" || [ $? = 3 ]
	is_file "$T/got" 'a\nb\n'
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
