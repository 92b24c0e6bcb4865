#!/usr/bin/env bats
# `sc ls`: finished entries; PREFIX, -l, -0, --sort, --json.
load ../helper

# Any bytes but NUL; the last ones are no UTF-8, or orders to a terminal.
odd_keys() {
	local k
	for k in plain -dash --prefix $'new\nline' $'tab\t' 'back\slash' '"quote"' "it's" ' space ' 'ünïcode' $'esc\e[31m' $'del\x7f' $'c1\xc2\x9b31m' $'bad\xff' $'\xc3x'; do
		printf '%s\0' "$k"
	done
}

put_odd_keys() {
	local k
	while IFS= read -rd '' k; do printf x | "$SC" put -- "$k"; done < <(odd_keys)
}

sorted() { LC_ALL=C sort -z; }

# size: bytes for a key of that name.
sized() { head -c "$2" /dev/zero | "$SC" put "$1"; }

@test "ls: finished entries, bytewise by key, one a line, no header" {
	run -0 "$SC" ls
	assert_output ''
	for k in b a B ä aa 'a b' _ 10 9; do entry "$k" 'x\n'; done
	"$SC" ls >"$T/got"
	printf '%s\n' b a B ä aa 'a b' _ 10 9 | LC_ALL=C sort >"$T/want"
	diff "$T/want" "$T/got"
	LC_ALL=C.UTF-8 "$SC" ls | diff "$T/want" -
}

@test "ls PREFIX: only keys that begin with it, taken literally" {
	for k in ab abc a% a%b b; do entry "$k" 'x\n'; done
	run -0 "$SC" ls ab
	assert_output $'ab\nabc'
	run -0 "$SC" ls a%
	assert_output $'a%\na%b'
	run -0 "$SC" ls c
	assert_output ''
}

@test "ls: more than fits one answer" {
	mkdir "$T/crowd"
	local long
	long=$(printf 'long%.0s' {1..250})
	run -0 crowd 300 "$T/crowd" "$SC" get "$long-{}" -- true
	assert_output '0 300'
	for nr in {0..299}; do echo "$long-$nr"; done | LC_ALL=C sort >"$T/want"
	"$SC" ls | cmp - "$T/want"
}

@test "ls: what runs or has failed is not listed" {
	bg a "$SC" get going -- gate "$G"
	gate_up
	run -3 "$SC" get bad -- fails 3
	run -0 "$SC" ls
	assert_output ''
	step "$G" exit 0
	assert_rc 0 a
	run -0 "$SC" ls
	assert_output going
}

@test "S09: ls: a key as it is into a pipe, escaped on a terminal" {
	local key=$'a\e[31mb\nc\xff'
	entry "$key" 'x\n'
	"$SC" ls >"$T/raw"
	printf '%s\n' "$key" | cmp - "$T/raw"
	pty - "$SC" ls >"$T/shown"
	[ "$(lines_in "$T/shown")" = 1 ]
	run -1 grep -q $'\e' "$T/shown"
	LC_ALL=C run -1 grep -aq $'\xff' "$T/shown"
	grep -qF '[31mb' "$T/shown"
}

@test "ls -0: every key as it is, bytewise, a NUL behind each" {
	put_odd_keys
	"$SC" ls -0 | cmp - <(odd_keys | sorted)
	"$SC" ls --null -- -d | cmp - <(printf -- '-dash\0')
	"$SC" ls -0 $'bad\xff' | cmp - <(printf 'bad\xff\0')
	"$SC" ls -0 none | cmp - /dev/null
}

@test "S09: no form of ls sends a key to a terminal as it is" {
	local form
	put_odd_keys
	for form in '' -0 -l --json '--sort=size -l'; do
		pty - "$SC" ls $form >"$T/shown"
		[ -s "$T/shown" ]
		LC_ALL=C run -1 grep -qaP '\x1b|\xff|\xc2\x9b|\x7f' "$T/shown"
	done
}

@test "ls --json: one object a line, and each key comes back exactly" {
	put_odd_keys
	"$SC" ls --json >"$T/rows"
	python3 - "$T/rows" >"$T/keys" <<-'END'
		import sys, json, base64
		for line in open(sys.argv[1], encoding='utf-8'):
		    row = json.loads(line)
		    assert ('key_b64' in row) == (row['key'] is None), row
		    key = base64.b64decode(row['key_b64'], validate=True) if row['key'] is None else row['key'].encode()
		    sys.stdout.buffer.write(key + b'\0')
	END
	cmp "$T/keys" <(odd_keys | sorted)
	pty - "$SC" ls --json | tr -d '\r' | jq -r .bucket | sort -u >"$T/buckets"
	is_file "$T/buckets" 'default\n'
}

@test "ls --json: what it says of an entry is so" {
	local before after
	before=$(now_ms)
	"$SC" get -b b -t 90s --stale 1m -- k -- sh -c 'printf 12345; printf 123 >&2' >/dev/null 2>&1
	after=$(now_ms)
	"$SC" get -b b --status-fd 3 k 3>"$T/status" >/dev/null 2>&1
	"$SC" ls -b b --json >"$T/row"
	[ "$(lines_in "$T/row")" = 1 ]
	[ "$(jq -r 'keys_unsorted | join(" ")' "$T/row")" = 'key bucket generation exit signal bytes stderr_bytes created age ttl stale took hits tags command memory sealed' ]
	[ "$(jq -c '[.key, .bucket, .exit, .signal, .bytes, .ttl, .stale, .hits]' "$T/row")" = '["k","b",0,null,5,90,60,1]' ]
	[ "$(field generation "$T/row")" = "$(field generation "$T/status")" ]
	[ "$(field stderr_bytes "$T/row")" = "$(stat -c %s "$SC_DIR"/objects/*/"$(field generation "$T/row")".err)" ]
	jq -e --argjson from $before --argjson to $after '.created * 1000 >= $from and .created * 1000 <= $to' "$T/row"
	jq -e '.age >= 0 and .age <= 20 and .took > 0 and .took <= 20' "$T/row"
	"$SC" get -t forever l -- true
	[ "$("$SC" ls --json | jq -c .ttl)" = null ]
}

@test "ls --sort: largest, youngest and most served first; among equals by key" {
	sized b 5000
	sized c 70000
	sized a 5000
	sized d 0
	"$SC" get c >/dev/null
	"$SC" get a >/dev/null
	"$SC" get c >/dev/null
	run -0 "$SC" ls --sort size
	assert_output $'c\na\nb\nd'
	run -0 "$SC" ls --sort=hits
	assert_output $'c\na\nb\nd'
	run -0 "$SC" ls --sort key
	assert_output $'a\nb\nc\nd'
	"$SC" ls --json --sort age | jq -r .created >"$T/created"
	[ "$(lines_in "$T/created")" = 4 ]
	sort -rn "$T/created" | diff - "$T/created"
	"$SC" ls --json --sort age | jq -s -e 'map(.age) == (map(.age) | sort)'
	[ "$("$SC" ls --sort age | tail -n 1)" = b ]
	# Forms and orders go together, and with a prefix.
	[ "$("$SC" ls -l --sort size | awk '{ print $NF }' | tr '\n' ' ')" = 'c a b d ' ]
	"$SC" ls -0 --sort size | cmp - <(printf 'c\0a\0b\0d\0')
	run -0 "$SC" ls --sort hits c
	assert_output c
	run -0 "$SC" ls --sort hits none
	assert_output ''
}

@test "ls --sort: more than fits one answer, with long keys" {
	local long nr
	long=$(printf 'long%.0s' {1..250})
	for nr in {1..90}; do head -c $((nr * 10)) /dev/zero | "$SC" put "$long-$nr"; done
	for nr in {90..1}; do echo "$long-$nr"; done >"$T/want"
	"$SC" ls --sort size | cmp - "$T/want"
}

@test "ls -l: size, age, time left, hits, tags, key; the same words in each row" {
	"$SC" get -t 2h k -- flood 3000000 >/dev/null
	"$SC" get -t forever l -- printf x >/dev/null
	"$SC" get l >/dev/null
	"$SC" get l >/dev/null
	"$SC" get l >/dev/null
	"$SC" ls -l >"$T/rows"
	[ "$(awk '{ print NF, $NF }' "$T/rows")" = $'9 k\n9 l' ]
	[[ "$(awk '{ $1 = $1; print }' "$T/rows" | sed -n 1p)" =~ ^2\.9M\ [0-9]+(ms|s)\ old\ 1h59m[0-9]*s?\ left\ 0\ hits\ -\ k$ ]]
	[[ "$(awk '{ $1 = $1; print }' "$T/rows" | sed -n 2p)" =~ ^1\ [0-9]+(ms|s)\ old\ forever\ left\ 3\ hits\ -\ l$ ]]
	"$SC" ls --long k | diff - <(sed -n 1p "$T/rows") || [ "$("$SC" ls --long k | awk '{ print $NF }')" = k ]
}

@test "hits are counted before and after the index knows of them, across a restart of the daemon" {
	local nr
	entry k x
	for nr in 1 2 3; do "$SC" get k >/dev/null; done
	[ "$("$SC" ls --json | jq .hits)" = 3 ]
	"$SC" daemon restart
	[ "$("$SC" ls --json | jq .hits)" = 3 ]
	"$SC" get k >/dev/null
	[ "$("$SC" ls --json | jq .hits)" = 4 ]
	"$SC" get -r k -- echo new >/dev/null
	[ "$("$SC" ls --json | jq .hits)" = 0 ]
}

@test "ls: what cannot be meant is a usage error, and starts nothing" {
	run -2 "$SC" ls -l --json
	run -2 "$SC" ls -l0
	run -2 "$SC" ls --json --null
	run -2 --separate-stderr "$SC" ls --sort=name
	[[ $stderr == *'key, age, size or hits'* ]]
	run -2 "$SC" ls --sort
	run -2 "$SC" ls a b
	run -2 "$SC" ls "$(printf 'x%.0s' {1..4097})"
	[ ! -e "$SC_DIR" ]
}

@test "ls: a stdout that takes nothing is 125, one that nobody reads 141" {
	local form
	entry k x
	for form in '' --json '-l --sort size'; do
		run -125 bash -c '"$SC" ls '"$form"' >/dev/full'
	done
	seq -f 'key-%0200.0f' 600 | while read -r k; do echo "$k"; done | head -n 600 >"$T/keys"
	while read -r k; do echo "put $k /dev/null"; done <"$T/keys" | xargs -P 4 -L 1 "$SC"
	bg_sh closed '"$SC" ls | head -n 1'
	[ "$(pipe_status closed)" = '141 0' ]
	bg_sh closed '"$SC" ls --sort age --json | head -n 1'
	[ "$(pipe_status closed)" = '141 0' ]
}
