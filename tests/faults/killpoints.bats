#!/usr/bin/env bats
# FAULTS A13, A30: whatever process dies at whatever point, the invariants hold. The points are found in the sources (lib/killpoint.h);
# round.bash plays a scene with one of them armed and looks at everything afterwards. Here each point is used in the first scene that
# comes by, at its first, second and last pass; with SOAK=1 in every scene, at every pass.
# run: sealed too, in a soak
load ../helper

# In which scene which process gets the kill point.
scenes=(
	run:daemon run:leader run:follower cold:leader fail:daemon fail:leader spill:leader spill:daemon grow:other grow:daemon
	hit:leader hit:daemon hot:leader hot:daemon refresh:leader refresh:daemon renew:leader renew:daemon touch:other touch:daemon remove:other remove:daemon remove_run:other remove_run:daemon clear:other clear:daemon leave:leader
	leave:daemon restart:leader restart:follower restart:next stop:leader stop:daemon stop:other idle:daemon expire:daemon
	evict:daemon lost:leader lost:follower lost:daemon both:next awaited:next leftover:leader remove_restart:next
	refresh_restart:next walk:next damaged:leader damaged:next booted:leader booted:next verify:other verify:daemon
	move:other move:daemon put:other put:daemon sync:daemon
	hold:other hold:daemon hold_restart:other hold_restart:next hold_killed:daemon
)

round() { # DIR SCENE VICTIM RUNS NAME COUNT FILE: says what is wrong, if something is
	bash "$TREE/tests/faults/round.bash" "$1" "$2" "$3" "$4" env "SC_KILLAT=$5:$6:$1/killed" >"$1.log" 2>&1 || mv "$1.log" "$1.failed"
	[ -s "$1/killed" ] || : >"$1.missed"
	rm -rf "$1"
}

# Each line of stdin is a round; its number in the file is its name.
play() { # DIRECTORY
	export -f round
	export TREE HELPERS SC_TEST SCD_TEST
	mkdir -p "$1"
	awk -v dir="$1" '{ print dir "/" NR, $0 }' | xargs -P "${ROUNDS:-3}" -L 1 bash -c 'round "$@"' round
}

names() { grep -rhoE 'KILLPOINT\("[a-z_]+"\)' "$TREE"/{cmd,daemon,lib} | cut -d '"' -f 2; }
file_of() { cd "$TREE" && grep -rlF "KILLPOINT(\"$1\")" cmd daemon lib; }

# How often the command may run: once more if it is not the daemon that dies (a writer, or the last reader), or a daemon that is not up
# yet, which nobody waits for.
runs_allowed() { # SCENE FILE
	case $1:$2 in
	*:cmd/* | cold:*) echo 2 ;;
	*) echo 1 ;;
	esac
}

# "SCENE VICTIM NAME PASSES" for every name that was passed in a scene; one process's passes count.
trace() {
	local s
	for s in "${scenes[@]}"; do echo "${s%:*} ${s#*:}"; done >"$T/scenes"
	export TREE HELPERS SC_TEST SCD_TEST
	xargs -P "${ROUNDS:-3}" -L 1 bash -c \
		'bash "$TREE/tests/faults/round.bash" "$0/$1-$2" "$1" "$2" 1 env "SC_KILLAT=*:0:$0/$1-$2.passed" || touch "$0/bad"' "$T" \
		<"$T/scenes" >&2
	while read -r scene victim; do
		[ -e "$T/$scene-$victim.passed" ] || continue
		sort "$T/$scene-$victim.passed" | uniq -c | awk -v s="$scene" -v v="$victim" \
			'$1 > n[$2] { n[$2] = $1 } END { for (name in n) print s, v, name, n[name] }' | sort
	done <"$T/scenes"
}

plan() { # from what trace says
	awk -v soak="${SOAK:-0}" '
		!soak && seen[$3] { next }
		{
			seen[$3] = 1
			for (i = 1; i <= $4; i++)
				if (i <= (soak ? 20 : 2) || i == $4)
					print $1, $2, $3, i
		}' | while read -r scene victim name count; do
		file=$(file_of "$name")
		echo "$scene $victim $(runs_allowed "$scene" "$file") $name $count $file"
	done
}

@test "A30: every kill point has a name of its own, and some scene comes by" {
	[ -z "$(names | sort | uniq -d)" ]
	# On a busy machine another process than the one that is meant may be the first to do what a scene is about: then it is played again.
	for _ in 1 2 3; do
		trace >>"$T/passed"
		[ ! -e "$T/bad" ]
		run comm -23 <(names | sort) <(cut -d ' ' -f 3 "$T/passed" | sort -u)
		[ -n "$output" ] || break
		rm -rf "$T"/*-*
	done
	assert_output ''
	awk '!seen[$0]++' "$T/passed" | plan >"$BATS_FILE_TMPDIR/plan"
}

# The rounds whose points lie there: none fails. How often a point is passed may differ from one time to the next, so a round that
# did not come to its point is tried again; each name must have been met.
die_at() { # DIRECTORY OF THE SOURCES
	local tries n line unmet
	grep -E " $1" "$BATS_FILE_TMPDIR/plan" >"$T/rounds1"
	cut -d ' ' -f 4 "$T/rounds1" | sort -u >"$T/names"
	for tries in 1 2 3; do
		play "$T/$tries" <"$T/rounds$tries"
		cat "$T/$tries"/*.failed 2>/dev/null || true
		[ -z "$(find "$T/$tries" -name '*.failed' -print -quit)" ]
		n=0
		while read -r line; do
			n=$((n + 1))
			if [ -e "$T/$tries/$n.missed" ]; then
				echo "$line" >>"$T/rounds$((tries + 1))"
			else
				echo "$line" | cut -d ' ' -f 4 >>"$T/met"
			fi
		done <"$T/rounds$tries"
		[ -s "$T/rounds$((tries + 1))" ] || break
	done
	unmet=$(comm -23 "$T/names" <(sort -u "$T/met"))
	[ -z "$unmet" ] || { echo "never met: $unmet" && return 1; }
}

@test "A30: a client or writer that dies at any kill point: clients end well, the command runs at most twice, nothing is left" {
	die_at 'cmd/'
}

@test "A13 A30 G24: a daemon that dies at any kill point: one run, everybody gets all of it, nothing is left" {
	die_at '(daemon|lib)/'
}
