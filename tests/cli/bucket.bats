#!/usr/bin/env bats
# `-b`, `--bucket`: a space of keys of its own, of every verb that knows keys, with defaults of its own.
load ../helper

# in_bucket BUCKET KEY: what is stored there.
in_bucket() { "$SC" get -b "$1" "$2"; }

@test "the same key in two buckets is two entries, of every verb that makes one" {
	"$SC" get -b a k -- echo get-a >/dev/null
	"$SC" get k --bucket b -- echo get-b >/dev/null
	run -1 "$SC" get k
	[ "$(in_bucket a k)" = get-a ]
	[ "$(in_bucket b k)" = get-b ]
	echo put-a | "$SC" put -b a p
	echo put-default | "$SC" put p
	[ "$(in_bucket a p)" = put-a ]
	[ "$(in_bucket default p)" = put-default ]
	[ "$("$SC" run -b a --no-cwd echo x)" = x ]
	[ "$("$SC" run --bucket=b --no-cwd -v echo x 2>&1 >"$T/got" | grep -c 'hit')" = 0 ]
	"$SC" warm -b a w -- echo warmed
	[ "$("$SC" get -b a -w 20 w)" = warmed ]
	run -1 "$SC" get -w 0 w
	[ "$("$SC" ls -b b | sed 's/#.*//')" = $'k\nrun:echo' ]
	run -0 "$SC" ls
	assert_output p
}

@test "callers of one key in two buckets do not meet: each bucket has its run" {
	local other
	other=$(new_gate other)
	bg a "$SC" get -b a k -- gate "$G"
	bg b "$SC" get -b b k -- gate "$other"
	gate_up
	gate_up "$other"
	step "$G" out of-a
	step "$other" out of-b
	shows a 'of-a\n'
	shows b 'of-b\n'
	[ "$("$SC" ps -b a | wc -l)" = 1 ]
	[ -z "$("$SC" ps)" ]
	run -0 "$SC" rm -b a k
	step "$G" exit 0
	step "$other" exit 0
	assert_rc 0 a b
	run -1 "$SC" get -b a k
	[ "$(in_bucket b k)" = of-b ]
}

@test "rm is of one bucket, by key and by prefix" {
	local name
	for name in a b; do for k in k1 k2; do echo x | "$SC" put -b $name $k; done; done
	run -0 "$SC" rm -b a k1
	run -0 "$SC" rm --prefix k -b b
	run -0 "$SC" ls -b a
	assert_output k2
	run -0 "$SC" ls -b b
	assert_output ''
}

@test "--bucket beats SC_BUCKET, also one that could not be; the last one counts; --status-fd says which" {
	SC_BUCKET=env "$SC" get -b said k --status-fd 3 -- echo x 3>"$T/status" >/dev/null
	[ "$(field bucket "$T/status")" = said ]
	SC_BUCKET='A/B' "$SC" get -b first -b last k -- echo y >/dev/null
	[ "$(in_bucket last k)" = y ]
	run -1 "$SC" get -b first k
	SC_BUCKET=said run -0 "$SC" get k
	assert_output x
	[ "$(SC_BUCKET=said "$SC" ls -b last)" = k ]
}

@test "a name that no bucket has is a usage error of every verb, before anything is run or started" {
	local name verb
	for name in '' A a/b 'a b' '*' $'a\e[31m' "$(printf 'x%.0s' {1..65})"; do
		run -125 --separate-stderr "$SC" get -b "$name" k -- touch "$T/ran"
		[ "$(wc -l <<<"$stderr")" = 1 ]
		[[ $stderr == *'--bucket: '*' is no name of a bucket'* && $stderr != *$'\e'* ]]
		run -125 "$SC" run -b "$name" -- touch "$T/ran"
		run -125 "$SC" warm -b "$name" k -- touch "$T/ran"
		for verb in 'put k' 'rm k' ls ps; do
			run -2 "$SC" $verb --bucket "$name" </dev/null
		done
	done
	[ ! -e "$T/ran" ]
	[ ! -e "$SC_DIR" ]
	echo x | "$SC" put -b "$(printf 'x%.0s' {1..64})" k
	echo x | "$SC" put -b .-_09az k
}

@test "what config says of a bucket holds for --bucket: ttl" {
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' 'ttl = 5m' '[bucket ci]' 'ttl = 6m' >"$SC_DIR/config"
	stored() { "$SC" get -b "$1" --status-fd 3 k 3>"$T/status" >"$T/got" && field ttl "$T/status"; }
	"$SC" get -b ci k -- true
	"$SC" get -b other k -- true
	[ "$(stored ci)" = 360 ]
	[ "$(stored other)" = 300 ]
	echo x | "$SC" put --bucket ci k
	[ "$(stored ci)" = 360 ]
}

@test "what config says of a bucket holds for --bucket: stale, keep-failures, max-entry" {
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' '[bucket f]' 'keep-failures = 1h' '[bucket small]' 'max-entry = 10' '[bucket s]' 'stale = 1h' >"$SC_DIR/config"
	run -3 "$SC" get -b f k -- fails -o first 3
	run -3 "$SC" get -b f k -- true
	assert_output first
	run -3 "$SC" get k -- fails -o first 3
	run -0 "$SC" get k -- true
	run -125 "$SC" put -b small k <<<'more than ten bytes'
	run -0 "$SC" put k <<<'more than ten bytes'
	run -1 "$SC" get -b small k
	"$SC" get -b s -t 1ms k -- echo old >/dev/null
	"$SC" get -b t -t 1ms k -- echo old >/dev/null
	# Only the clock makes them older than that.
	wait_until '[ "$("$SC" get -b s --status-fd 3 k 3>&1 >/dev/null | jq -r .source)" = stale ]'
	run -1 "$SC" get -b t k
}

@test "what config says of a bucket holds for --bucket: finish" {
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' '[bucket b]' 'finish = on' >"$SC_DIR/config"
	bg_sh a '"$SC" get -b b k -- gate "$G" | head -n 1'
	step "$G" out x
	[ "$(pipe_status a)" = '141 0' ]
	step "$G" exit 0
	wait_until '[ "$("$SC" get -b b k)" = x ]'
}

@test "what config says of a bucket holds for --bucket: max-files, and nothing is driven out of another" {
	local k
	mkdir -m 700 "$SC_DIR"
	printf '%s\n' '[bucket few]' 'max-files = 2' >"$SC_DIR/config"
	for k in 1 2 3 4; do
		echo x | "$SC" put -b few $k
		echo x | "$SC" put -b many $k
	done
	wait_until '[ "$("$SC" ls -b few | wc -l)" = 2 ]'
	[ "$("$SC" ls -b many | wc -l)" = 4 ]
}

@test "completion: keys of the bucket that the line names" {
	echo x | "$SC" put -b elsewhere there
	entry here x
	[ "$("$SC" complete bash get -b elsewhere '' | tail -n +2 | cut -f 1)" = there ]
	[ "$("$SC" complete bash ls --bucket=elsewhere '' | tail -n +2 | cut -f 1)" = there ]
	[ "$("$SC" complete bash rm '' | tail -n +2 | cut -f 1)" = here ]
}

@test "hold: the same key is held in two buckets by two; rm --all is refused in the one where it is, of every bucket too, and rm --tag is not" {
	mkfifo "$T/go"
	bg a "$SC" hold -b a k of-a -- cat "$T/go"
	wait_until '[ "$("$SC" get -b a k)" = of-a ]'
	run -0 "$SC" hold --bucket b k of-b -- "$SC" get -b b k
	assert_output of-b
	run -1 "$SC" get k
	printf x | "$SC" put -b a --tag t other
	printf x | "$SC" put -b b --tag t other
	run -125 "$SC" rm -b a --all
	run -125 "$SC" rm -b '*' --all
	[ "$("$SC" ls -b a)$("$SC" ls -b b)" = otherother ]
	run -0 "$SC" rm -b a --tag t
	run -0 "$SC" rm -b b --all
	run -1 "$SC" touch -b a k
	run -125 "$SC" hold -b A k -- touch "$T/ran"
	echo >"$T/go"
	assert_rc 0 a
	run -0 "$SC" rm -b '*' --all
	[ ! -e "$T/ran" ]
}

@test "explain and watch are of one bucket" {
	"$SC" get -b a k -- echo x >/dev/null
	[ "$("$SC" explain -b a --json k | jq -r '[.bucket, .entry.bytes] | join(" ")')" = 'a 2' ]
	[ "$("$SC" explain --json k | jq -c '[.bucket, .entry]')" = '["default",null]' ]
	[ "$("$SC" watch --initial --count 1 -b a --json | jq -r .bucket)" = a ]
	run -2 "$SC" explain -b A k
	run -2 "$SC" watch -b A
}
