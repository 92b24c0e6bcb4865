#!/bin/bash
# Runs the tests that `make check` has built and sums them up; the last line is "N passed, N failed".
#
#   tests/run.sh [PATTERN…]      only files whose path contains a PATTERN
#
# Make says in PLAIN, HOOKED, B, BIN, SAN and UNITS what was built where. Each file of tests runs by itself, as many at a time as
# there are processors; one with a line "# run: alone" after the others. "# run: sealed too" a second time, with everything
# sealed; "…, in a soak" only with SOAK=1. All of them speak TAP. Started by root, the tests
# run as an unprivileged uid on a copy of the tree, but tests/faults/root_*.bats, which need root; SC_TEST_UID names the uid.
set -u
shopt -s nullglob

# What one file of tests gets: a home, a place for temporary files, and nothing of ours.
run_file() {
	local file=$1 id=$2 mode=$3 log=$SC_CHECK/log/$2 start=$SECONDS status as=()

	mkdir -p "$SC_CHECK/home/$id" "$SC_CHECK/tmp/$id"
	if [ "$(id -u)" = 0 ] && [[ $file != */root_* ]]; then
		chown "$SC_TEST_UID:$SC_TEST_UID" "$SC_CHECK/home/$id" "$SC_CHECK/tmp/$id"
		as=(setpriv "--reuid=$SC_TEST_UID" "--regid=$SC_TEST_UID" --clear-groups)
	fi
	# Only where everybody may look: a directory on PATH that may not be searched makes "not found" a "not executable".
	local env=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb "HOME=$SC_CHECK/home/$id" "TMPDIR=$SC_CHECK/tmp/$id"
		"SC=$SC" "SCD=$SCD" "SC_TEST=$SC_TEST" "SCD_TEST=$SCD_TEST" "HELPERS=$HELPERS" "SAN=$SAN" "SOAK=${SOAK:-0}" "SEED=${SEED-}" "SIM_SEED=${SIM_SEED-}" "TREE=$PWD" "SC_TEST_MODE=$mode"
		BATS_LIB_PATH=/usr/lib/bats
		ASAN_OPTIONS=abort_on_error=1:disable_coredump=0:allocator_may_return_null=1:detect_stack_use_after_return=1:verify_asan_link_order=0
		UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 TSAN_OPTIONS=halt_on_error=1)
	local run=("$file")
	case $file in
	*.bats) run=(bats --formatter tap "$file") ;;
	# ThreadSanitizer knows only some layouts of memory; with randomisation off it gets one of them.
	*/tsan_*) run=(setarch -R "$file") ;;
	esac

	timeout -k 10 "$SC_FILE_SECONDS" "${as[@]}" "${env[@]}" "${run[@]}" </dev/null >"$log.tap" 2>&1
	status=$?
	case $file in
	*.bats) cat "$log.tap" ;;
	*) cmocka_to_tap <"$log.tap" ;;
	esac | judge "$status" >"$log.out"
	tail -n 1 "$log.out" >"$log.sum"
	# One write, so that two files that end at the same time do not mix.
	[ "$mode" = clear ] || mode_shown=" ($mode)"
	printf '%s\n' "$(printf '%-40s %s  %ss\n' "${file#"$SC_STRIP"}${mode_shown-}" "$(cat "$log.sum")" "$((SECONDS - start))"
		sed '$d' "$log.out")"
}

# cmocka could print TAP itself, but asks the environment for it at every line, and some tests clear the environment.
cmocka_to_tap() {
	awk '
		over { if (!/^\[  (PASSED|FAILED)  \]|^ *[0-9]+ FAILED TEST|^ *$/) print; next }
		/^\[==========\] Running [0-9]+ test/ { print "1.." $3; next }
		/^\[==========\] [0-9]+ test\(s\) run/ { over = 1; next }
		/^\[ RUN      \]/ { held = ""; next }
		/^\[       OK \]/ { print "ok " ++n " " $NF; held = ""; next }
		/^\[  SKIPPED \]/ { print "ok " ++n " " $NF " # skip"; held = ""; next }
		/^\[  FAILED  \]/ { print "not ok " ++n " " $NF; printf "%s", held; held = ""; next }
		{ held = held $0 "\n" }
		END { printf "%s", held }'
}

# TAP in; the failures with what was said about them, then "N passed, N failed" out. What a plan promised and nobody ran
# has failed, and so has a file that ends badly without a failed test.
judge() {
	awk -v status="$1" '
		function fail(what) { failed++; print "  FAILED " what }
		/^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; planned = 1; next }
		/^(not )?ok / {
			seen++; bad = /^not /; showing = 0
			name = $0; sub(/^(not )?ok [0-9]+ *(- )?/, "", name)
			if (match(name, /# *[Ss][Kk][Ii][Pp]/)) {
				reason = substr(name, RSTART + RLENGTH); sub(/^[: ]+/, "", reason)
				if (reason ~ /^\(?missing tool:/) { skipped++; print "  not run: " name }
				else fail("(skipped) " name)
			} else if (bad) { fail(name); showing = shown = 1 }
			else passed++
			next
		}
		{ held[++lines] = $0; if (showing) print "    " $0 }
		END {
			if (!planned) fail("the file did not begin (status " status ")")
			if (seen < plan) shown = 0
			for (; seen < plan; seen++) fail("a test that was planned did not run (status " status ")")
			if (status != 0 && !failed) fail("ended with status " status)
			if (failed && !shown) {
				from = lines > 120 ? lines - 119 : 1
				for (i = from; i <= lines; i++) print "    " held[i]
			}
			printf "%d passed, %d failed\n", passed, failed
		}'
}

if [ "${1-}" = --file ]; then
	run_file "$2" "$3" "$4"
	exit 0
fi

PLAIN=${PLAIN:-build} HOOKED=${HOOKED:-build/test} B=${B:-build} BIN=${BIN:-sc} SAN=${SAN:-0}
cd "$(dirname "$0")/.." || exit 2
# What is already running of somebody else's is no business of the tests.
for name in $(compgen -e SC_ || true); do
	case $name in SC_TEST_UID | SC_FILE_SECONDS | SC_KEEP) ;; *) unset "$name" ;; esac
done
SC_TEST_UID=${SC_TEST_UID:-54321}
# Of one file. Not BATS_TEST_TIMEOUT: its own sleep looks like a process that the test has left behind.
SC_FILE_SECONDS=${SC_FILE_SECONDS:-$(((SAN ? 1600 : 400) * (${SOAK:-0} ? 5 : 1)))}

# Short, because a socket's path has 107 bytes; of our own making, because what still mentions it at the end is a leftover.
SC_CHECK=$(mktemp -d /tmp/sc-check.XXXXXX) || exit 2
SC_STRIP=$PWD/
# Every process a test started names our directory in its command or its environment.
leftovers() {
	local p
	for p in /proc/[0-9]*; do
		[ "${p#/proc/}" = $$ ] && continue
		if tr '\0' '\n' <"$p/cmdline" 2>/dev/null | grep -qF "$SC_CHECK" ||
			tr '\0' '\n' <"$p/environ" 2>/dev/null | grep -qF "$SC_CHECK"; then
			echo "${p#/proc/}"
		fi
	done 2>/dev/null
}
# shellcheck disable=SC2317  # called by trap
clean_up() {
	local p
	for p in $(leftovers); do # of a run that was interrupted
		kill -KILL "$p" 2>/dev/null
	done
	chmod -R u+rwX "$SC_CHECK" 2>/dev/null
	rm -rf "$SC_CHECK"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
mkdir "$SC_CHECK/log" "$SC_CHECK/home" "$SC_CHECK/tmp"

if [ "$(id -u)" = 0 ]; then
	# The tree may lie where the other uid cannot look, and nothing of it should be the tests' to change.
	chmod 711 "$SC_CHECK" "$SC_CHECK/home" "$SC_CHECK/tmp"
	mkdir "$SC_CHECK/tree"
	built=("$PLAIN/$BIN" "$PLAIN/scd" "$HOOKED"/{,older/,newer/}{"$BIN",scd})
	# shellcheck disable=SC2206  # make gives a list of words
	built+=(${UNITS-})
	[ -d "$B/helpers" ] && built+=("$B/helpers")
	tar -c --exclude=./.git --exclude=./build . | tar -x -C "$SC_CHECK/tree" --no-same-owner || exit 2
	tar -c --transform='s,^/,,' -P "${built[@]}" | tar -x -C "$SC_CHECK/tree" --no-same-owner || exit 2
	chmod -R go+rX,go-w "$SC_CHECK/tree"
	cd "$SC_CHECK/tree" || exit 2
	SC_STRIP=$PWD/
	where() { echo "$PWD/${1#/}"; }
else
	where() { realpath -sm "$1"; }
fi

SC=$(where "$PLAIN/$BIN") SCD=$(where "$PLAIN/scd")
SC_TEST=$(where "$HOOKED/$BIN") SCD_TEST=$(where "$HOOKED/scd")
HELPERS=$(where "$B/helpers")
export SC SCD SC_TEST SCD_TEST HELPERS SAN SC_CHECK SC_STRIP SC_TEST_UID SC_FILE_SECONDS

wanted() {
	local pattern
	[ $# -eq 1 ] && return 0
	for pattern in "${@:2}"; do
		# shellcheck disable=SC2053  # a pattern is meant
		[[ $1 == *$pattern* ]] && return 0
	done
	return 1
}

sealed_in_a_soak=
[ "${SOAK:-0}" = 0 ] || sealed_in_a_soak='(, in a soak)?'
together=() alone=() left_out=() n=0
for f in ${UNITS-} tests/cli/*.bats tests/faults/*.bats; do
	wanted "$f" "$@" || continue
	if [[ $f == */root_* ]] && [ "$(id -u)" != 0 ]; then
		left_out+=("$f")
		continue
	fi
	n=$((n + 1))
	if [[ $f == *.bats ]] && grep -q '^# run: alone' "$f"; then
		alone+=("$(where "$f")" "$n" clear)
	else
		together+=("$(where "$f")" "$n" clear)
	fi
	# The same again, with everything sealed.
	if [[ $f == *.bats ]] && grep -qE "^# run: sealed too$sealed_in_a_soak\$" "$f"; then
		n=$((n + 1))
		together+=("$(where "$f")" "$n" sealed)
	fi
done

run_all() {
	local at_once=$1
	shift
	[ $# -eq 0 ] || printf '%s\0' "$@" | xargs -0 -n 3 -P "$at_once" "$PWD/tests/run.sh" --file
}
run_all "${JOBS:-$(nproc)}" "${together[@]}"
run_all 1 "${alone[@]}"

for f in "${left_out[@]}"; do
	echo "$f: not run (needs root)"
done

failed=0
for _ in 1 2 3 4 5 6 7 8 9 10; do
	left=$(leftovers)
	[ -z "$left" ] && break
	sleep 0.3 # a daemon that was told to stop may still be on its way out
done
if [ -n "$left" ]; then
	failed=1
	echo "FAILED: processes were left behind"
	for p in $left; do
		echo "    $p: $(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null)"
		kill -KILL "$p" 2>/dev/null
	done
fi

passed=0
for id in $(seq 1 "$n"); do
	if ! read -r p _ f _ <"$SC_CHECK/log/$id.sum"; then
		p=0 f=1
	fi 2>/dev/null
	passed=$((passed + p)) failed=$((failed + f))
done
if [ "$n" = 0 ]; then
	echo "no test matches"
	failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
