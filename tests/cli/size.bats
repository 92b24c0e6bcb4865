#!/usr/bin/env bats
# Outputs larger than any buffer, and than 32 bits.
load ../helper

@test "D14: five GiB: live, followed and replayed, byte for byte" {
	local size=5368709120 free
	free=$(df --output=avail -B1 "$BATS_TEST_TMPDIR" | tail -n 1)
	if [ "$free" -lt $((size + (1 << 30))) ]; then
		echo "only $free bytes free in $BATS_TEST_TMPDIR; six GiB are needed (TMPDIR=… may name another place)" >&2
		return 1
	fi
	# Both ends compare; a follower attaches while the first is on its way. Nothing but the object is on the disk.
	bg_sh a '"$SC" get k -- flood 5G | cmp - <(flood 5G)'
	wait_until '[ "$(objects)" -gt 0 ]'
	bg_sh b '"$SC" get k | cmp - <(flood 5G)'
	rc a 180 >/dev/null
	rc b 180 >/dev/null
	[ "$(cat "$T/a.pipe")" = '0 0' ]
	[ "$(cat "$T/b.pipe")" = '0 0' ]
	"$SC" get --status-fd 3 k 3>"$T/s" | cmp - <(flood 5G)
	[ "$(field bytes "$T/s")" = $size ]
	"$SC" rm k
	wait_until '[ "$(objects)" = 0 ]'
}
