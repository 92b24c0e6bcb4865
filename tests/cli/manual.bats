#!/usr/bin/env bats
# The manual: three pages without a fault, that say of each verb, option, setting and variable what sc says of it; and whatever is in the
# table of verbs and options is everywhere a person looks for it.
load ../helper

needs() { command -v "$1" >/dev/null || skip "missing tool: $1"; }

# page FILE: as scdoc makes it; text FILE: as a person reads it, on one line, with single spaces.
page() { "$SC" table | awk -f "$ROOT/cmd/manual.awk" -v bin=sc - "$ROOT/$1" | scdoc; }
text() { page "$1" | mandoc -T ascii -O width=300 | col -bx | tr -s ' \n' ' '; }

rows() { "$SC" table | tr '\t' '\034'; }

prepare() {
	needs scdoc
	needs mandoc
}

@test "every page is made by scdoc, and mandoc finds nothing wrong with it" {
	local file made
	for file in cmd/sc.1.scd daemon/scd.8.scd lib/sc-config.5.scd; do
		made=$T/$(basename "${file%.scd}") # mandoc holds the section against the name
		page "$file" >"$made"
		# Paragraphs that scdoc begins although a heading has just done so.
		mandoc -T lint -W warning "$made" | grep -v 'skipping paragraph macro' >"$T/faults" || true
		is_empty "$T/faults"
		run -1 grep -E '[{]sc[}]|^@' "$made"
	done
}

@test "sc(1) shows every verb with its words, and every option with its letter, its value and what it does" {
	local kind verb a b value rest
	text cmd/sc.1.scd >"$T/text"
	while IFS=$'\034' read -r kind verb a b value rest; do
		case $kind in
		verb) grep -qF -- " sc $verb ${a:+"$(options_mark "$verb")$a "}" "$T/text" ;;
		option) grep -qF -- " ${a:+-$a, }--$b ${value:+$value }$(tr -s ' ' <<<"$rest") " "$T/text" ;;
		esac || { echo "sc(1) lacks: $kind $verb $a $b" >&2 && return 1; }
	done < <(rows)
}

options_mark() { if rows | grep -q "^option$(printf '\034')$1$(printf '\034')"; then echo '[OPTIONS] '; fi; }

# untested: the verbs and options that no line of a test has together: the option behind `"$SC" VERB`, `sc VERB`, a table's `STATUS VERB`, or a
# function that says `"$SC" VERB … "$@"`, and before the `--` that begins CMD.
untested() {
	rows >"$T/rows"
	python3 - "$T/rows" "$ROOT"/tests/cli/*.bats "$ROOT"/tests/faults/*.bats <<-'END'
		import re, sys
		rows = [line.rstrip('\n').split('\034') for line in open(sys.argv[1])]
		verbs = {row[1] for row in rows if row[0] == 'verb'}
		options = {(row[1], row[3]): '--%s(?![\w-])%s' % (row[3], '|-[a-zA-Z0-9]*' + row[2] if row[2] else '') for row in rows if row[0] == 'option'}
		says = re.compile(r'(?:\$\(?SC(?:_TEST)?\)?["\x27]*|(?<![\w/.-])sc|^\s*\d+) ([a-z]+)(?![\w-])')
		seen = set()
		for path in sys.argv[2:]:
		    function, short, lines = None, {}, open(path).read().replace('\\\n', ' ').split('\n')
		    for line in lines:
		        begins = re.match(r'\s*(\w+)\(\) [{(]', line)
		        function = begins.group(1) if begins else function
		        said = says.search(line)
		        if function and said and said.group(1) in verbs and '"$@"' in line: short[function] = said.group(1)
		        if re.search(r'[})]$', line): function = None
		    for line in lines:
		        if re.match(r'\s*(#|@test)', line): continue
		        heads = [(m.end(), m.group(1)) for m in says.finditer(line)]
		        heads += [(m.end(), short[m.group()]) for m in re.finditer(r'(?<![\w/.-])\w+(?![\w-])', line) if m.group() in short]
		        for at, verb in heads:
		            words = re.split(r' -- |; | \| | && | \|\| |"\$SC"', line[at:])[0]
		            seen |= {key for key, option in options.items() if key[0] == verb and re.search(r'(?<![\w-])(?:%s)' % option, words)}
		for verb, name in sorted(set(options) - seen): print(verb, '--' + name)
	END
}

# There is one way for an option to be new: its row. What the row says is shown by help and manual, offered by completion, and tested.
@test "every option of the table is in help, in the manual, completed in every shell, and in a test" {
	local kind verb letter name value rest shell missing=()
	text cmd/sc.1.scd >"$T/text"
	while IFS=$'\034' read -r kind verb letter name value rest; do
		[ "$kind" = option ] || continue
		"$SC" help "$verb" | grep -qE -- " --$name( |\$)" || missing+=("help $verb: --$name")
		grep -qF -- "--$name " "$T/text" || missing+=("sc(1): --$name")
		for shell in bash zsh fish; do
			"$SC" complete "$shell" "$verb" "--$name" | cut -f 1 | grep -qxF -- "--$name" || missing+=("completion in $shell: $verb --$name")
		done
	done < <(rows)
	while read -r verb name; do missing+=("tests: $verb $name"); done < <(untested)
	if [ ${#missing[@]} != 0 ]; then
		printf 'missing in %s\n' "${missing[@]}" >&2
		return 1
	fi
}

@test "every verb of the table is in help, in the manual, completed in every shell, and in a test" {
	local kind verb rest shell
	text cmd/sc.1.scd >"$T/text"
	cat "$ROOT"/tests/cli/*.bats "$ROOT"/tests/faults/*.bats >"$T/tests"
	while IFS=$'\034' read -r kind verb rest; do
		[ "$kind" = verb ] || continue
		"$SC" help | grep -qE "^[ a-z]{9}$verb "
		grep -qF " sc $verb " "$T/text"
		for shell in bash zsh fish; do "$SC" complete "$shell" "$verb" | cut -f 1 | grep -qx "$verb"; done
		grep -qE "(\"\\\$SC\"|refused [0-9]+ [^ ]+) $verb( |\$)" "$T/tests" || { echo "no test says: sc $verb" >&2 && return 1; }
	done < <(rows)
}

@test "sc-config(5) has every setting that config may set, and no other" {
	sed -nE 's/^\t\[SET_[A-Z_]+\] = \{"([a-z-]+)".*/\1/p' "$ROOT/lib/config.c" | sort >"$T/known"
	[ "$(lines_in "$T/known")" -ge 8 ]
	sed -n '/^# SETTINGS/,/^# EXAMPLE/p' "$ROOT/lib/sc-config.5.scd" | sed -n 's/^\*\(.*\)\*$/\1/p' | sort -u >"$T/told"
	diff -u "$T/known" "$T/told"
}

@test "sc(1) has every variable of the environment that the sources ask for" {
	local name
	text cmd/sc.1.scd >"$T/text"
	for name in $(grep -hoE 'getenv\("[A-Z_]+"\)|env_dir\("[A-Z_]+"\)' "$ROOT"/cmd/*.c "$ROOT"/lib/*.c | cut -d '"' -f 2 | sort -u); do
		case $name in SC_KILLAT | SC_STOPAT | SC_STUCK | SC_FAULT | SC_PATIENCE_MS) continue ;; esac # of test builds
		grep -qwF "$name" "$T/text" || { echo "sc(1) lacks $name" >&2 && return 1; }
	done
}

# Computed by what KEYS of sc(1) says, and by nothing else.
@test "a key can be predicted from what sc(1) says of it" {
	mkdir -p "$T/work/tree/sub/deep" "$T/work/tree/sub.d"
	ln -s work "$T/link"
	cd "$T/link"
	printf 'content\n' >f
	touch -d @1700000000.123456789 f
	touch -d @-1.5 old
	ln -s f to-f
	printf 'one' >tree/sub/one
	chmod 4750 tree/sub/one
	chmod 1777 tree/sub.d
	: >tree/sub-
	ln -s ../../f tree/sub/deep/link
	mkfifo tree/pipe
	export V='a b' E=''
	{
		printf 'hello' | "$SC" get --stdin --print-key k -- cat
		"$SC" get --file f --print-key k
		"$SC" get --file to-f --print-key k
		"$SC" get --file tree --print-key k
		"$SC" get --mtime to-f --print-key k
		"$SC" get --mtime old --print-key k
		"$SC" get --env V --print-key k
		"$SC" get --env E --env U --print-key k
		"$SC" run --print-key /bin/echo 'a b' ''
		"$SC" run --no-cwd --print-key echo
		printf 'hello' | "$SC" run --stdin --mtime f --env V --file tree --file f --env V --env E --env U --print-key -- echo x
	} >"$T/got"
	python3 - >"$T/want" <<-'END'
		import hashlib, os, stat, struct
		def blake(b): return hashlib.blake2b(b, digest_size=16)
		def field(b): return struct.pack('<Q', len(b)) + b
		def declare(kind, name, of): return (kind.encode(), name.encode(), blake(of).digest())
		def key(word, *declared):
		    fields = [b'sc-key-1'] + [f for d in sorted(set(declared)) for f in d]
		    print(word + '#' + blake(b''.join(map(field, fields))).hexdigest())
		def read(path): return open(path, 'rb').read()
		def tree(top):
		    below = [os.path.relpath(os.path.join(at, name), top) for at, dirs, files in os.walk(top) for name in dirs + files]
		    out = b''
		    for name in sorted(map(os.fsencode, below)):
		        path = os.path.join(os.fsencode(top), name)
		        st = os.lstat(path)
		        kind = {stat.S_IFREG: 'f', stat.S_IFDIR: 'd', stat.S_IFLNK: 'l', stat.S_IFIFO: 'p'}[stat.S_IFMT(st.st_mode)]
		        what = kind if kind == 'l' else '%s%04o' % (kind, stat.S_IMODE(st.st_mode))
		        value = blake(read(path)).digest() if kind == 'f' else os.readlink(path) if kind == 'l' else b''
		        out += field(name) + field(what.encode()) + field(value)
		    return out
		def words(*all): return declare('arg', '', b''.join(field(w.encode()) for w in all))
		stdin = declare('stdin', '', b'hello')
		file = declare('file', 'f', read('f'))
		below = declare('dir', 'tree', tree('tree'))
		def mtime(name, text): return declare('mtime', name, text)
		full, empty, unset = declare('env', 'V', b'=a b'), declare('env', 'E', b'='), declare('env', 'U', b'')
		cwd = declare('cwd', '', os.fsencode(os.path.realpath('.')))
		key('k', stdin)
		key('k', file)
		key('k', declare('file', 'to-f', read('f')))
		key('k', below)
		key('k', mtime('to-f', b'1700000000.123456789'))
		key('k', mtime('old', b'-2.500000000'))
		key('k', full)
		key('k', empty, unset)
		key('run:echo', words('/bin/echo', 'a b', ''), cwd)
		key('run:echo', words('echo'))
		key('run:echo', words('echo', 'x'), cwd, stdin, mtime('f', b'1700000000.123456789'), full, below, file, empty, unset)
	END
	diff -u "$T/want" "$T/got"
	[ "$(stat -L -c %.9Y to-f)" = 1700000000.123456789 ]
	no_daemon
}

@test "sc(1) has every kind of declaration that cmd/key.h has, and no other" {
	sed -nE '/^ \*   option/,/\*\//s/^ \* {3}[^"]*"([a-z]+)" .*/\1/p' "$ROOT/cmd/key.h" | sort >"$T/known"
	[ "$(lines_in "$T/known")" -ge 7 ]
	sed -n '/^# KEYS/,/^# FRESHNESS/p' "$ROOT/cmd/sc.1.scd" | sed -nE 's/^:  ([a-z]+)$/\1/p' | grep -vx empty | sort >"$T/told"
	diff -u "$T/known" "$T/told"
}

# What contradicts what, in the words of sc(1) and of README.md (@); what the sources say of it (!); and who is refused so.
contradictions() {
	cat <<-'END'
		@--atomic with --output
		!--atomic and --output: one of them, FILE is replaced only on success anyway
		125 get --atomic --output f k -- true
		@--print-key with --output
		!--print-key and --output: one of them, nothing that could go into FILE is made
		125 get --print-key --output f k -- true
		@--wait 0 with CMD
		!--wait 0 takes only what is finished, but a command is given
		125 get --wait 0 k -- true
		@--refresh, --stale or --finish without CMD
		!--refresh without a command has nothing to run
		125 get --refresh k
		!--stale without a command has nothing to run
		125 get --stale 1m k
		!--finish without a command has nothing to run
		125 get --finish k
		@--foreground, --atomic, --output, --wait or --stderr=inherit with warm
		!warm runs CMD in the background: it takes no %s
		125 warm --foreground k -- true
		125 warm --atomic k -- true
		125 warm --output f k -- true
		125 warm --wait 1 k -- true
		125 warm --stderr=inherit k -- true
		@--move without FILE, or with --ttl 0
		!--move goes with a FILE
		2 put --move k
		!--move and --ttl 0: FILE would be lost
		2 put --move --ttl 0 k f
		@two of KEYs, --prefix, --tag, --all and --null with rm
		!KEYs, --prefix, --tag, --all and --null: one of them
		2 rm --prefix p a
		2 rm --tag t a
		2 rm --all a
		2 rm --null a
		2 rm --prefix p --tag t
		2 rm --prefix p --all
		2 rm --prefix p --null
		2 rm --tag t --all
		2 rm --tag t --null
		2 rm --all --null
		@--prefix more than once
		!--prefix: one at a time
		2 rm --prefix a --prefix b
		@--bucket '*' without --all
		!--bucket '*' is every bucket, and goes with --all alone
		2 rm --bucket * a
		2 rm --bucket * --prefix a
		@--ttl 0 with touch
		!--ttl 0 would be the end of it: say rm
		2 touch --ttl 0 a
		@two of --long, --null and --json
		!--long, --null and --json: one of them
		2 ls --long --null
		2 ls --long --json
		2 ls --null --json
		@--json with --openmetrics
		!either --json or --openmetrics, not both
		2 stats --json --openmetrics
		@--now with other than stop or restart
		!--now goes with stop and restart
		2 daemon start --now
		2 daemon status --now
		2 daemon run --now
	END
}

# What the sources refuse and name an option in, although nothing contradicts it: one word or value that is wrong by itself.
wrong_alone() {
	cat <<-'END'
		unknown option '--%s'
		unknown option '--%s', did you mean '--%s'?
		option '--%s' takes no value
		option '--%s' wants a value: %s
		--%s: '%s' is no duration (say 90s, 1h30m, 2d or forever)
		--%s: PATH is empty
		--bucket
		--count: '%s' is no number from 1 on
		--env takes a variable's name, and no value: '%s'
		--env: NAME is empty
		--output: FILE is empty
		--prefix: P has %zu bytes, %d are the most
		--prefix: P is empty, that would be every key: say --all
		--sort takes key, age, size or hits
		--status-fd %d is not open
		--status-fd takes a descriptor's number
		--stderr takes replay or inherit
		--tag: %d are the most
		--tag: '%s' is no tag (say 1 to %d characters of ASCII without space and comma)
	END
}

# refusals: the reasons of all usage errors in the sources that name an option, a line each.
refusals() {
	python3 - "$ROOT"/cmd/*.c <<-'END'
		import re, sys
		for path in sys.argv[1:]:
		    for call in re.findall(r'options_error\(.*?;', open(path).read(), re.S):
		        for text in re.findall(r'"((?:[^"\\]|\\.)*)"', call):
		            if re.search('--[a-z%]', text) or 'background' in text: print(text)
	END
}

# bullets < a section of a page: what stands before the colon, without its marks.
bullets() { sed -nE 's/^- (.*)[;.]$/\1/p' | sed -E "s/: .*//; s/\\\\\\*/STAR/; s/[*_]//g; s/STAR/*/"; }

@test "the contradictions that sc(1) lists are refused, each; README.md lists the same; the sources refuse no other" {
	local line reason='' words=() got n=0
	cd "$T"
	echo stays >f
	contradictions | sed -n 's/^@//p' >known
	sed -n '/^# OPTIONS THAT/,/^# EXIT/p' "$ROOT/cmd/sc.1.scd" | bullets >told
	diff -u known told
	tr '\n' ' ' <"$ROOT/README.md" | grep -oE 'refused; these are all: [^.]*\.' | sed 's/^refused; these are all: //; s/\.$//; s/`//g; s/; /\n/g' >told
	diff -u known told

	{ wrong_alone && contradictions | sed -n 's/^!//p' | grep -v '^%s'; } | sort -u >known
	refusals | sort -u >found
	diff -u known found
	sed -n '/^static bool check_warm/,/^}/p' "$ROOT/cmd/request.c" | grep -oE '"--[^"]+"' | tr -d '"' >found
	[ "$(paste -sd ' ' found)" = "$(contradictions | grep 'with warm$' | tr -d '@,' | sed 's/ or / /; s/ with warm//')" ]

	while IFS= read -r line; do
		case $line in
		@*) continue ;;
		!*) reason=${line#!} reason=${reason//%[sd]/*} && continue ;;
		esac
		read -ra words <<<"$line"
		got=0
		"$SC" "${words[@]:1}" >out 2>err </dev/null || got=$?
		[ $got = "${words[0]}" ] || { echo "sc ${words[*]:1}: $got" >&2 && return 1; }
		[ "$(lines_in err)" = 1 ]
		# shellcheck disable=SC2053 # what the sources put in is any word
		[[ $(cat err) == *$reason* ]] || { cat err >&2 && return 1; }
		is_empty out
		n=$((n + 1))
	done < <(contradictions)
	[ $n -ge 30 ]
	is_file f 'stays\n'
	no_daemon
}

# fields SECTION: those that sc(1) has there below JSON, a line each.
fields() {
	sed -n '/^# JSON/,/^# OPTIONS/p' "$ROOT/cmd/sc.1.scd" | awk -v want="## $1" '/^##? /{ on = $0 == want } on' | grep -oE '^(\[\[|\|) +\*.*' |
		grep -oE '\*[a-z_]+\*' | tr -d '*' | sort -u
}

# has_fields SECTION FILE [FILTER]: the objects in FILE have the fields that sc(1) has of SECTION, and no others.
has_fields() {
	fields "$1" >"$T/told"
	[ -s "$T/told" ]
	jq -r "${3:-.} | keys_unsorted[]" "$2" | sort -u >"$T/found"
	diff -u "$T/told" "$T/found" || { echo "sc(1), JSON, $1" >&2 && return 1; }
}

@test "sc(1) has every field that --json and --status-fd print, and no other" {
	local line='get, run, warm: the line of --status-fd' entry cause
	"$SC" get --status-fd 3 k -- fails -o out -e error 3>"$T/s" >"$T/out" 2>&1
	has_fields "$line" "$T/s"
	"$SC" ls --json >"$T/s"
	has_fields ls "$T/s"
	# What was said in one piece is 12 bytes longer where it is stored.
	[ "$(jq .stderr_bytes "$T/s")" = $((6 + 12)) ]
	entry=$(fields ls | grep -vxE 'key|bucket' | cat - <(echo fresh) | sort | paste -sd ' ')

	bg watcher "$SC" watch --json --initial --count 4
	wait_until '[ -s "$T/watcher.out" ]'
	"$SC" get --keep-failures 1h f -- fails 3 >"$T/out" 2>&1 || [ $? = 3 ]
	"$SC" rm k
	assert_rc 0 watcher
	has_fields watch "$T/watcher.out"

	bg run "$SC" get r -- gate "$G"
	gate_up
	"$SC" ps --json >"$T/s"
	has_fields ps "$T/s"
	"$SC" explain --json r >"$T/s"
	has_fields explain "$T/s"
	has_fields ps <(jq '.runs[0] + {key: 0, bucket: 0}' "$T/s")
	cause=$(jq -r '.miss | keys | join(" ")' "$T/s")
	step "$G" exit 0
	assert_rc 0 run
	"$SC" explain --json r >"$T/s"
	[ "$(jq -r '.entry | keys | join(" ")' "$T/s")" = "$entry" ]
	"$SC" explain --json f >"$T/s"
	[ "$(jq -r '.failure | keys | join(" ")' "$T/s")" = "$entry" ]
	for entry in $cause fresh; do
		sed -n '/^## explain/,/^## watch/p' "$ROOT/cmd/sc.1.scd" | grep -qF -- "*$entry*" || { echo "sc(1), JSON, explain: $entry" >&2 && return 1; }
	done

	"$SC" stats --json >"$T/s"
	has_fields stats "$T/s"
	"$SC" config --json >"$T/s"
	has_fields config "$T/s"
	"$SC" doctor --json >"$T/s" || [ $? = 1 ]
	has_fields doctor "$T/s"
	"$SC" version --json >"$T/s"
	has_fields version "$T/s"
	"$SC" get $'\xff' -- true
	"$SC" ls --json $'\xff' | jq -e '.key == null and .key_b64 == "/w=="'
	sed -n '/^# JSON/,/^## /p' "$ROOT/cmd/sc.1.scd" | grep -qF '*key_b64*'
}

@test "sc(1) has a section for each verb that takes --json" {
	local verb
	for verb in $("$SC" table | awk -F '\t' '$1 == "option" && $4 == "json" { print $2 }'); do
		[ -n "$(fields "$verb")" ] || { echo "sc(1), JSON: nothing of $verb" >&2 && return 1; }
	done
	[ -n "$verb" ]
}

@test "run: --stale, --finish, --linger, --foreground and --stderr are what they are with get" {
	run -0 "$SC" run --no-cwd --stale 1h echo kept
	[ "$("$SC" ls --json | jq .stale)" = 3600 ]
	"$SC" rm --all

	bg_sh a '"$SC" run --no-cwd --finish gate "$G" | head -n 1'
	step "$G" out one
	assert_rc 0 a
	step "$G" exit 0
	wait_until '[ "$("$SC" ls | wc -l)" = 1 ]'

	run -0 "$SC" run --no-cwd --linger 0 sh -c 'echo two; sleep 1000 & echo $! >"$T/sleep"'
	kill "$(cat "$T/sleep")"

	[ "$("$SC" run --no-cwd --foreground sh -c 'ps -o pgid= -p $$')" = "$(ps -o pgid= -p "$BASHPID")" ]
	[ "$("$SC" run --no-cwd sh -c 'ps -o pgid= -p $$; :')" != "$(ps -o pgid= -p "$BASHPID")" ]

	"$SC" run --no-cwd --stderr=inherit readlink /proc/self/fd/2 >"$T/out" 2>"$T/err"
	is_file "$T/out" "$T/err\n"
}

@test "warm: --keep-failures, --finish, --mtime, --print-key, --quiet and --verbose are what they are with get" {
	"$SC" warm --keep-failures 1h f -- fails 3
	wait_until '[ "$("$SC" explain --json f | jq .failure.exit)" = 3 ]'
	run -0 "$SC" warm --finish k -- echo kept
	wait_until '[ "$("$SC" get -w 0 k)" = kept ]'

	: >"$T/f"
	run -0 "$SC" warm --mtime "$T/f" --print-key m -- touch "$T/ran"
	assert_output "$("$SC" get --mtime "$T/f" --print-key m)"
	[ ! -e "$T/ran" ]

	run -0 "$SC" warm --verbose v -- true
	assert_output --partial 'running the command'
	run -0 env SC_DIR=/proc/cache "$SC" warm q -- true
	assert_output --partial directly
	run -0 env SC_DIR=/proc/cache "$SC" warm --quiet q -- true
	assert_output ''
	wait_until '[ "$(flights)" = 0 ]'
}
