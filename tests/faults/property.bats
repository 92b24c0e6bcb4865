#!/usr/bin/env bats
# Whatever is printed, in whatever pieces, to however many who read it at whatever speed: it is the same for all of them, sealed or clear, while
# it is made, from the disk, and from memory. SEED=n begins with that one; SOAK=1 tries many.
load ../helper

ROUNDS=10
[ "${SOAK:-0}" = 0 ] || ROUNDS=300

# all_read N SEED: N of them, begun at once; each has what this seed's command prints, on both streams.
all_read() {
	local n pids=() pid
	for ((n = 1; n <= $1; n++)); do
		bash -c 'set -o pipefail; "$SC" get "${@:3}" k -- torrent "$1" 2>"$T/$2.stderr" | torrent -r "$1$2" >"$T/$2.stdout"' - \
			"$2" "$n" "${@:3}" 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid"; done
	for ((n = 1; n <= $1; n++)); do
		cmp "$T/want" "$T/$n.stdout" || return
		cmp "$T/1.stderr" "$T/$n.stderr" || return
		[ "$(sed '/^after [0-9]*$/d' "$T/$n.stderr" | wc -l)" = 0 ] || return
	done
}

@test "D14: random outputs in random pieces to one to eight readers at random speeds, sealed or clear, live, cold or hot: always the same" {
	local seed=${SEED:-$((RANDOM * 32768 + RANDOM))} round
	for ((round = 0; round < ROUNDS; round++, seed++)); do
		torrent -b $seed >"$T/want"
		sealed=()
		((seed % 2)) || sealed=(--sealed)
		for how in live cold loading hot hot; do
			all_read $((1 + (seed + round) % 8)) $seed "${sealed[@]}" ||
				{ echo "SEED=$seed, $how${sealed[*]:+, sealed}" >&2 && return 1; }
		done
		"$SC" rm k
	done
	# Hot was hot, and live was shared.
	[ "$("$SC" stats --json | jq -s '.[0].memory_hits')" -ge $ROUNDS ]
	[ "$("$SC" stats --json | jq -s '.[0].leads')" = $ROUNDS ]
}
