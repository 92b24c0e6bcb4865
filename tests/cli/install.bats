#!/usr/bin/env bats
# `make install` into a directory, under another name: what is there works from there and calls itself so, and `make uninstall` leaves
# nothing.
load ../helper

NAME=stream-cache

needs() { command -v "$1" >/dev/null || skip "missing tool: $1"; }

# Building it all under another name takes a while, so it is done once.
setup_file() {
	export TREE_COPY=$BATS_FILE_TMPDIR/tree DEST="$BATS_FILE_TMPDIR/dest dir"
	mkdir "$TREE_COPY"
	tar -C "$ROOT" -c --exclude=./.git --exclude=./build . | tar -C "$TREE_COPY" -x
	make_it install
}

prepare() {
	NEW=$DEST/opt/it/bin/$NAME
	SHARE=$DEST/opt/it/share
	SC=$NEW # what teardown stops
	cd "$T" || return
}

make_it() {
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$TREE_COPY" B=b CFLAGS=-O1 BIN=$NAME PREFIX=/opt/it DESTDIR="$DEST" "$@" 3>&-
}

@test "what is installed: the program, its daemon, three pages, three completions, under the name it was given, and nothing else" {
	(cd "$DEST/opt/it" && find . ! -type d -printf '%m %P\n' | sort -k 2) >"$T/found"
	diff - "$T/found" <<-END
		755 bin/$NAME
		755 libexec/$NAME/scd
		644 share/bash-completion/completions/$NAME
		644 share/fish/vendor_completions.d/$NAME.fish
		644 share/man/man1/$NAME.1
		644 share/man/man5/$NAME-config.5
		644 share/man/man8/scd.8
		644 share/zsh/site-functions/_$NAME
	END
	[ "$(find "$DEST" ! -type d | wc -l)" = 8 ]
}

@test "it runs from there, and finds its daemon there" {
	run -0 "$NEW" get k -- echo made
	assert_output made
	run -0 "$NEW" get k
	assert_output made
	[ "$(readlink "/proc/$(daemon_pid)/exe")" = "$DEST/opt/it/libexec/$NAME/scd" ] || [ "$(id -u)" != 0 ]
	run -0 "$NEW" doctor
	refute_output --partial problem
}

@test "messages, help, manual and completions carry the name, and no other" {
	local verb page
	run -0 "$NEW" version
	assert_output --regexp "^$NAME "
	run -125 "$NEW" get
	assert_output --regexp "^$NAME: .*'$NAME help get'"
	"$NEW" table | awk -F '\t' '$1 == "verb" { print $2 }' >"$T/verbs"
	[ -s "$T/verbs" ]
	while read -r verb; do
		run -0 "$NEW" help "$verb"
		assert_line --index 0 --regexp "^usage: $NAME $verb"
		refute_output --regexp '(^|[^a-z/~.-])sc([^a-z-]|$)'
	done <"$T/verbs"
	run -0 "$NEW" help
	refute_output --regexp '(^|[^a-z/~.-])sc([^a-z-]|$)'
	for page in man1/$NAME.1 man5/$NAME-config.5 man8/scd.8; do
		grep -q -- "stream\\\\-cache\|$NAME" "$SHARE/man/$page"
		# But for directories and files, which are called so whatever the program is.
		run -1 grep -nE "(^|[^A-Za-z0-9/.-])sc( |\\\\f|'|\$)" "$SHARE/man/$page"
	done
	grep -q "^complete -F _sc $NAME\$\|complete -F _sc $NAME\$" "$SHARE/bash-completion/completions/$NAME"
	grep -qx "#compdef $NAME" "$SHARE/zsh/site-functions/_$NAME"
	grep -q "^complete -c $NAME " "$SHARE/fish/vendor_completions.d/$NAME.fish"
}

@test "man shows the pages by that name" {
	needs mandoc
	local page
	for page in "1 $NAME" "5 $NAME-config" "8 scd"; do
		# shellcheck disable=SC2086
		mandoc -T ascii "$SHARE/man/man${page% *}/${page#* }.${page% *}" | col -bx >"$T/text"
		grep -q "^${page#* }(${page% *})" "$T/text"
		grep -qE "^ +${page#* } - [a-z]" "$T/text"
	done
	grep -q "Nothing older than ten minutes" <(mandoc -T ascii "$SHARE/man/man1/$NAME.1")
}

@test "bash, zsh and fish complete it by that name" {
	needs fish
	needs zsh
	PATH=$DEST/opt/it/bin:$PATH
	# shellcheck disable=SC2016
	run -0 fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$SHARE/fish/vendor_completions.d/$NAME.fish" "$NAME versi"
	assert_output --regexp '^version'
	# shellcheck disable=SC2016
	run -0 bash -c '. "$1"; complete -p "$2"; COMP_LINE="$2 versi" COMP_POINT=${#COMP_LINE} COMP_WORDS=("$2" versi) COMP_CWORD=1; _sc "$2" versi "$2"; echo "$COMPREPLY"' \
		- "$SHARE/bash-completion/completions/$NAME" "$NAME"
	assert_line --index 0 "complete -F _sc $NAME"
	assert_line --index 1 version
}

@test "uninstall takes away what install has put there, and nothing else" {
	local copy=$T/dest
	cp -a "$DEST" "$copy"
	: >"$copy/opt/it/share/man/man1/other.1"
	DEST=$copy make_it uninstall
	[ "$(find "$copy" ! -type d)" = "$copy/opt/it/share/man/man1/other.1" ]
	[ ! -e "$copy/opt/it/libexec/$NAME" ]
	DEST=$copy make_it uninstall
}

@test "without scdoc install says what is missing, and installs nothing" {
	mkdir "$T/path"
	find /bin/ /usr/bin/ -maxdepth 1 ! -type d ! -name scdoc -exec ln -sf -t "$T/path" {} +
	rm -rf "$TREE_COPY/b/man"
	DEST=$T/none PATH=$T/path make_it install >"$T/out" 2>&1 && return 1
	grep -q "scdoc is missing" "$T/out" || { cat "$T/out" >&2; return 1; }
	[ ! -e "$T/none" ]
}
