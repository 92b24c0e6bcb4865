#!/usr/bin/env bats
# Words completed by the scripts in completions/, in the real shells: what is on the command line after Tab is what was meant. Nothing
# is ever started for it.
load ../helper

SCRIPTS=$ROOT/completions

prepare() {
	mkdir "$T/bin"
	ln -s "$SC" "$T/bin/sc"
	PATH=$T/bin:$PATH
	cd "$T"
}

cleanup() {
	if [ -e "$T/term.control" ]; then
		step "$T:term.control" close
		wait_until '! is_running term'
	fi
}

# Keys that shells would take apart, and those that a terminal would obey.
KEYS=(plain 'with space' "it's" 'q"uote' 'build:x86=1' 'a\b' '$HOME`id`' 'bang!' 'umläut' $'new\nline' $'esc\e[31m' $'bad\xff' '~tilde' '=equals' '*' '#hash' '(x);&')

put_keys() {
	local key
	for key in "${KEYS[@]}"; do entry "$key" x; done
}

# candidates SHELL WORD…: what is offered, without what it is.
candidates() {
	"$SC" complete "$@" | sed 1d | cut -f 1
}

# An interactive shell at a terminal, with the script in its place, and `show`, which writes its words to a file.
start_shell() {
	local shell=$1
	case $shell in
	bash)
		cat >"$T/rc" <<-'END'
			PS1='ready> '
			set +o history
			show() { printf '%s\0' "$@" >"$T/shown.new" && mv "$T/shown.new" "$T/shown"; }
			. "$SCRIPTS/sc.bash"
		END
		bg term env TERM=dumb SCRIPTS="$SCRIPTS" pty "$T/term.control" bash --rcfile "$T/rc" -i
		;;
	zsh)
		cat >"$T/.zshrc" <<-'END'
			PS1='ready> '
			show() { printf '%s\0' "$@" >"$T/shown.new" && mv "$T/shown.new" "$T/shown" }
			fpath=("$SCRIPTS" $fpath)
			autoload -U compinit
			compinit -u -D
			bindkey -e
			unsetopt beep
		END
		bg term env TERM=vt100 ZDOTDIR="$T" SCRIPTS="$SCRIPTS" pty "$T/term.control" zsh -d -i
		;;
	esac
	wait_until 'grep -q "ready> " "$T/term.out"'
}

# becomes LINE WORD…: LINE and Tab make a line of these words.
becomes() {
	local line=$1
	shift
	rm -f "$T/shown"
	step "$T:term.control" keys "$line"
	step "$T:term.control" key ^I
	step "$T:term.control" key ^A
	step "$T:term.control" type 'show '
	if ! wait_until '[ -e "$T/shown" ]' || ! printf '%s\0' "$@" | cmp - "$T/shown"; then
		echo "$line<Tab> became: $(tr '\0' '|' <"$T/shown")"
		return 1
	fi >&2
}

needs() { command -v "$1" >/dev/null || skip "missing tool: $1"; }

# What holds in every shell that edits the line by itself.
completes_lines() {
	put_keys
	start_shell "$1"
	becomes 'sc versi' sc version
	becomes 'sc get --refr' sc get --refresh
	becomes 'sc get --stderr=inh' sc get --stderr=inherit
	becomes 'sc get --stderr inh' sc get --stderr inherit
	becomes 'sc daemon resta' sc daemon restart
	becomes 'sc help doct' sc help doctor
	becomes 'sc get -t 1h pla' sc get -t 1h plain
	becomes 'sc rm plain umla' sc rm plain umla
	becomes 'sc rm plain uml' sc rm plain 'umläut'
	becomes 'sc get wi' sc get 'with space'
	becomes "sc get 'wi" sc get 'with space'
	becomes 'sc get "with sp' sc get 'with space'
	becomes 'sc get with\ s' sc get 'with space'
	becomes 'sc get it' sc get "it's"
	becomes "sc get \"it'" sc get "it's"
	becomes 'sc get q' sc get 'q"uote'
	becomes 'sc get build' sc get build:x86=1
	becomes 'sc get build:x' sc get build:x86=1
	becomes 'sc get build:x86=' sc get build:x86=1
	becomes "sc get '\$H" sc get '$HOME`id`'
	becomes 'sc get new' sc get $'new\nline'
	becomes 'sc get es' sc get $'esc\e[31m'
	becomes 'sc get bad' sc get $'bad\xff'
	becomes 'sc get plain ' sc get plain --
	: >"$T/some file"
	becomes 'sc put k som' sc put k 'some file'
	becomes 'sc get -o som' sc get -o 'some file'
	becomes 'sc get --output=som' sc get '--output=some file'
	becomes 'sc get k -- printen' sc get k -- printenv
	becomes 'sc get k -- cat som' sc get k -- cat 'some file'
	run -1 grep -q $'\e\\[31m' "$T/term.out"
}

@test "bash completes verbs, options, their values, keys of any bytes, files, and commands" {
	completes_lines bash
}

@test "zsh completes verbs, options, their values, keys of any bytes, files, and commands" {
	needs zsh
	completes_lines zsh
}

# fish_offers LINE [CANDIDATE…]: exactly these.
fish_offers() {
	local line=$1
	shift
	# shellcheck disable=SC2016
	fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$SCRIPTS/sc.fish" "$line" | cut -f 1 | sort >"$T/offered"
	if ! printf '%s\n' "$@" | LC_ALL=C sort | sed '/^$/d' | cmp - "$T/offered"; then
		echo "$line: fish offers" && cat "$T/offered"
		return 1
	fi >&2
}

@test "fish completes verbs, options, their values, keys, files, and commands" {
	needs fish
	put_keys
	fish_offers 'sc versi' version
	fish_offers 'sc get --refr' --refresh
	fish_offers 'sc get --stderr=' --stderr=inherit --stderr=replay
	fish_offers 'sc get --stderr ' inherit replay
	fish_offers 'sc daemon sta' start status
	fish_offers 'sc get -t 1h pl' plain
	fish_offers 'sc rm plain um' 'umläut'
	fish_offers 'sc get wi' 'with space'
	fish_offers "sc get 'wi" 'with space'
	fish_offers 'sc get with\ s' 'with space'
	fish_offers 'sc get it' "it's"
	fish_offers 'sc get build:' build:x86=1
	fish_offers 'sc get new' # its candidates are lines
	fish_offers 'sc get plain -- printen' printenv
	: >"$T/some file"
	fish_offers 'sc put k som' 'some file'
	fish_offers 'sc get --output=som' '--output=some file'
	fish_offers 'sc get k -- cat som' 'some file'
}

@test "every candidate, evaluated, is the key; whatever was typed of it, in any quotes" {
	local key raw got n
	put_keys
	[ "$(candidates bash get '' | wc -l)" = ${#KEYS[@]} ]
	for key in "${KEYS[@]}"; do
		for n in 1 2 3; do
			printf -v raw '%q' "${key::n}"
			for raw in "$raw" "'${key::n}" "\"${key::n}"; do
				case $raw in \'*\'* | \"*[\"\$\`\\!]*) continue ;; esac
				while IFS= read -r got; do
					case $raw in \'* | \"*) got+=${raw::1} ;; esac
					eval "got=$got"
					printf '%s\n' "${KEYS[@]@Q}" | grep -qxF -- "${got@Q}"
					[[ $got == "${key::n}"* ]]
				done < <(candidates bash get "$raw")
			done
		done
	done
	candidates zsh get '' >"$T/out"
	! LC_ALL=C.UTF-8 grep -q '[^[:print:]]' "$T/out"
}

@test "nothing the shell would have to expand is guessed at" {
	local raw
	entry 'a b' x
	entry '~t' x
	for raw in '$HOME' '"$x' '`id`' '~' "\$'a" '=a' '$(touch ran)' "\$'\\q'"; do
		run -0 "$SC" complete bash get "$raw"
		assert_output ''
	done
	[ ! -e ran ]
}

@test "completing starts no daemon, makes no directory, and says nothing, whatever stands on the line" {
	local line shell
	for shell in bash zsh fish; do
		for line in '' '-' 'get ' 'get -' 'get k' 'get -t' 'get -t ' 'get --ttl=' 'get --nothing ' 'get k l' 'get k -- ' 'rm ' 'rm --prefix ' 'ls ' 'ps ' \
			'nonsense ' 'daemon ' 'daemon stop ' 'config -' 'help ' 'put k f g' 'complete ' 'get -- ' 'get -- -k -- x'; do
			words=()
			read -ra words <<<"$line"
			case $line in *' ' | '') words+=('') ;; esac
			run -0 --separate-stderr "$SC" complete "$shell" "${words[@]}"
			[ -z "$stderr" ]
		done
	done
	no_daemon
	[ ! -e "$SC_DIR" ]
	run -2 --separate-stderr "$SC" complete
	[ -z "$output" ]
}

@test "keys of the bucket in question, runs in progress too" {
	bg a "$SC" get running -- gate "$G"
	gate_up
	entry done x
	SC_BUCKET=other entry elsewhere x
	[ "$(candidates bash get '')" = $'running\ndone' ]
	[ "$(SC_BUCKET=other candidates bash get '')" = elsewhere ]
	[ -z "$(SC_BUCKET='*' candidates bash get '')" ]
	bg h "$SC" hold taken -- gate "$(new_gate held)"
	gate_up "$T/held"
	"$SC" complete bash get '' | grep -qxF $'taken\theld'
	step "$T/held" exit 0
	assert_rc 0 h
	step "$G" exit 0
	assert_rc 0 a
}

@test "buckets that are in use, beside those of config, each once; none without a daemon" {
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' '[bucket ci]' 'ttl = 1h' >"$SC_DIR/config"
	[ "$(candidates bash get -b '' | sort | tr '\n' ' ')" = 'ci default ' ]
	no_daemon
	entry k x
	SC_BUCKET=web entry k x
	SC_BUCKET=ci entry k x
	[ "$(candidates bash get -b '' | sort | tr '\n' ' ')" = 'ci default web ' ]
	[ "$(candidates bash get --bucket w)" = web ]
}

@test "more keys than anybody reads: some, and one that keeps the shell from taking what those have in common" {
	local nr
	start_daemon
	for nr in {1..501}; do echo "get key-0$nr -- echo"; done | xargs -P 4 -L 1 "$SC" >/dev/null
	entry key-1 x
	candidates bash get key >"$T/out"
	[ "$(lines_in "$T/out")" = 501 ]
	[ "$(tail -n 1 "$T/out")" = key... ]
}

@test "a daemon that hangs does not hold up the line" {
	local pid
	entry k x
	pid=$(daemon_pid)
	kill -STOP "$pid"
	timeout 10 "$SC" complete bash get '' >"$T/out" 2>&1
	is_empty "$T/out"
	kill -CONT "$pid"
}
