#!/usr/bin/env bats
# Tags: words that entries have in common, given by who makes them, by which they are removed together.
load ../helper

# tags_of KEY: as ls says, joined.
tags_of() { "$SC" ls --json -- "$1" | jq -r --arg key "$1" 'select(.key == $key) | .tags | join(" ")'; }
offered() { "$SC" complete bash "$@" | tail -n +2 | cut -f 1; }

@test "--tag of get, run, warm and put: the entry has them, sorted, each once; ls shows them" {
	"$SC" get --tag b --tag a --tag=b k -- echo x >/dev/null
	[ "$(tags_of k)" = 'a b' ]
	echo x | "$SC" put --tag only p
	[ "$(tags_of p)" = only ]
	"$SC" warm --tag w w -- true
	wait_until '[ "$(tags_of w)" = w ]'
	"$SC" run --tag r --no-cwd -- echo x >/dev/null
	[ "$("$SC" ls --json run: | jq -c .tags)" = '["r"]' ]
	entry none x
	[ "$("$SC" ls --json none | jq -c .tags)" = '[]' ]
	[ "$("$SC" ls -l | awk '{ print NF, $(NF - 1), $NF }' | sed 's/#.*//')" = $'9 a,b k\n9 - none\n9 only p\n9 r run:echo\n9 w w' ]
}

@test "rm --tag: what has the tag goes with its files, all else stays, also a tag that only begins so" {
	local k
	for k in 1 2; do printf x | "$SC" put --tag red --tag round red$k; done
	printf x | "$SC" put --tag redder redder
	printf x | "$SC" put --tag round round
	printf x | "$SC" put -b other --tag red red
	printf x | "$SC" put red
	run -0 "$SC" rm --tag red
	assert_output ''
	run -0 "$SC" ls
	assert_output $'red\nredder\nround'
	run -0 "$SC" ls -b other
	assert_output red
	wait_until '[ "$(find "$SC_DIR/objects" -name "*.out" | wc -l)" = 4 ]'
	run -0 "$SC" rm --tag never
	run -0 "$SC" rm --tag redder --tag never --tag=round
	run -0 "$SC" ls
	assert_output red
	run -0 "$SC" rm -b other --tag red
	run -0 "$SC" ls -b other
	assert_output ''
}

@test "rm --tag: a kept failure with the tag goes too, and the good one beside it stays" {
	"$SC" get k -- echo good >/dev/null
	run -3 "$SC" get -r --tag t --keep-failures 1h k -- fails -o bad 3
	run -0 "$SC" rm --tag t
	run -0 "$SC" get k
	assert_output good
	run -0 "$SC" get -t 0 --keep-failures 1h k -- echo anew
	assert_output anew
}

@test "tags are those of who leads; a hit or a follower changes none; the next run brings its own" {
	bg a "$SC" get --tag lead k -- gate "$G"
	step "$G" out x
	bg b "$SC" get --tag follow k -- gate "$G"
	shows b 'x\n'
	step "$G" exit 0
	assert_rc 0 a b
	[ "$(tags_of k)" = lead ]
	"$SC" get --tag hit k -- false >/dev/null
	[ "$(tags_of k)" = lead ]
	"$SC" get -r --tag anew k -- echo x >/dev/null
	[ "$(tags_of k)" = anew ]
	run -0 "$SC" rm --tag lead
	[ "$(tags_of k)" = anew ]
	"$SC" get -r k -- echo x >/dev/null
	[ -z "$(tags_of k)" ]
	run -0 "$SC" rm --tag anew
	run -0 "$SC" get k
}

@test "a renewal has the tags of the caller that began it" {
	"$SC" get -t 1ms --stale 1d --tag old k -- echo old >/dev/null
	wait_until '"$SC" get -t 1ms --stale 1d --tag new k -- echo new >/dev/null && [ "$(sqlite3 -readonly "$SC_DIR/index.db" "SELECT tags FROM entry")" = new ]'
	[ "$(sqlite3 -readonly "$SC_DIR/index.db" 'SELECT group_concat(tag) FROM tag')" = new ]
}

@test "rm --tag of runs in flight: their readers finish, nothing is kept, newcomers start a new run; others go on" {
	local g2 g3
	g2=$(new_gate g2) g3=$(new_gate g3)
	bg a "$SC" get --tag t --tag u k -- gate "$G"
	step "$G" out old
	bg other "$SC" get --tag u q -- gate "$g2"
	step "$g2" out x
	shows other 'x\n'
	run -0 "$SC" rm --tag t
	bg c "$SC" get k -- gate "$g3"
	step "$g3" out new
	shows c 'new\n'
	step "$G" exit 0
	step "$g2" exit 0
	step "$g3" exit 0
	assert_rc 0 a c other
	is_file "$T/a.out" 'old\n'
	run -0 "$SC" get k
	assert_output new
	[ "$(tags_of q)" = u ]
}

@test "a run keeps its tags over the end of a daemon: they are its entry's, and rm --tag knows it" {
	local g2
	g2=$(new_gate g2)
	bg a "$SC" get --tag t k -- gate "$G"
	bg b "$SC" get --tag u l -- gate "$g2"
	gate_up
	gate_up "$g2"
	kill_daemon
	start_daemon
	run -0 "$SC" rm --tag u
	step "$G" exit 0
	step "$g2" exit 0
	assert_rc 0 a b
	[ "$(tags_of k)" = t ]
	run -1 "$SC" get l
}

@test "rm --tag of a thousand entries, more than one batch, among others; a daemon killed in its middle is followed by one that removes the rest" {
	seq 600 | while read -r nr; do echo "put --tag t k$nr /dev/null"; done | xargs -P 4 -L 1 "$SC"
	printf x | "$SC" put stays
	stop_daemon
	SC_KILLAT=batch_gone:2 "$SCD_TEST" --ready-fd=9 "$SC_DIR" 9>"$T/ready" 3>&- &
	wait_until '[ -s "$T/ready" ]'
	run -0 "$SC" rm --tag t
	wait $! || [ $? = 137 ]
	run -0 "$SC" ls
	assert_output stays
	[ "$(sqlite3 -readonly "$SC_DIR/index.db" 'SELECT count(*) FROM tag')" = 0 ]
}

@test "tags go with their entries: expired, evicted, touched, removed by key" {
	tag_rows() { sqlite3 -readonly "$SC_DIR/index.db" 'SELECT count(*) FROM tag'; }
	mkdir -m 700 "$SC_DIR"
	echo 'max-files = 2' >"$SC_DIR/config"
	"$SC" get -t 300ms --tag a --tag b gone -- echo x >/dev/null
	wait_until '[ "$(tag_rows)" = 0 ]'
	local k
	for k in 1 2 3 4; do printf x | "$SC" put --tag t$k $k; done
	wait_until '[ "$(tag_rows)" = 2 ]'
	run -0 "$SC" touch -t 2h 4
	[ "$(tags_of 4)" = t4 ]
	run -0 "$SC" rm 4
	[ "$(tag_rows)" = 1 ]
}

@test "a tag is 1 to 64 printable characters of ASCII without space and comma, 16 of them at most: else nothing is run" {
	local tag words nr
	for tag in '' 'a b' a,b $'a\nb' $'a\e[31m' 'größe' $'\xff' "$(printf 'x%.0s' {1..65})"; do
		run -125 --separate-stderr "$SC" get --tag "$tag" k -- touch "$T/ran"
		[[ $stderr == *'is no tag'* && $stderr != *$'\e'* && $stderr != *$'\n'* ]]
		run -2 "$SC" put --tag "$tag" k </dev/null
		run -2 "$SC" rm --tag "$tag"
	done
	for nr in {1..17}; do words+=" --tag t$nr"; done
	run -125 "$SC" get $words k -- touch "$T/ran"
	run -2 "$SC" put $words k </dev/null
	run -2 "$SC" rm $words
	[ ! -e "$T/ran" ]
	[ ! -e "$SC_DIR" ]
	words=
	for nr in {10..25}; do words+=" --tag $(printf 'x%.0s' {1..62})$nr"; done
	run -0 "$SC" get $words k -- echo x
	[ "$("$SC" ls --json | jq '.tags | length')" = 16 ]
	run -0 "$SC" get --tag=-dash --tag '!"#$%&' l -- echo x
	[ "$(tags_of l)" = '!"#$%& -dash' ]
	run -0 "$SC" rm --tag=-dash
	run -1 "$SC" get l
	run -0 "$SC" rm $words
	run -1 "$SC" get k
}

@test "completion: tags of the bucket, of each shell, none of a daemon that does not run" {
	local shell
	run -0 "$SC" complete bash rm --tag ''
	assert_output ''
	no_daemon
	printf x | "$SC" put --tag red --tag round 1
	printf x | "$SC" put --tag red --tag blue 2
	printf x | "$SC" put -b b --tag elsewhere 3
	for shell in bash zsh fish; do
		[ "$("$SC" complete $shell rm --tag '' | tail -n +2 | cut -f 1)" = $'blue\nred\nround' ]
		[ "$("$SC" complete $shell get --tag r | tail -n +2 | cut -f 1)" = $'red\nround' ]
	done
	[ "$(offered put --tag=bl)" = --tag=blue ]
	[ "$(offered rm -b b --tag '')" = elsewhere ]
	[ -z "$(offered rm --tag x)" ]
}

@test "rm --tag with another selector is refused" {
	local words
	printf x | "$SC" put --tag t k
	for words in '--tag t k' '--tag t --all' '--tag t --prefix k' '--tag t -0' '-b * --tag t'; do
		set -f
		run -2 "$SC" rm $words </dev/null
		set +f
	done
	run -0 "$SC" get k
}

@test "who watches is told of what rm --tag and rm --all remove" {
	local how
	for how in '--tag t' --all '--all -b *'; do
		printf x | "$SC" put --tag t k1
		printf x | "$SC" put --tag t k2
		bg w "$SC" watch --initial --count 4 --json
		wait_until '[ "$(lines_in "$T/w.out")" = 2 ]'
		set -f
		run -0 "$SC" rm $how
		set +f
		assert_rc 0 w
		[ "$(jq -r '.event + " " + .key' "$T/w.out" | tail -n 2 | sort)" = $'remove k1\nremove k2' ]
	done
}
