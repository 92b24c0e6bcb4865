#!/bin/bash
# What `make lint` looks at: layout, static analysis, headers that compile alone, and the rules of the house, of which "one
# door per danger" is the first. Prints every fault, then says how many kinds of check failed.
set -u
shopt -s nullglob
cd "$(dirname "$0")/.." || exit 2

: "${CC:=gcc}" "${CPPFLAGS:=-D_GNU_SOURCE -DSC_BIN='\"sc\"' -I. -I${B:-build}}"
eval "flags=(-std=gnu11 $CPPFLAGS)"
failed=0

check() {
	local what=$1
	shift
	if ! "$@"; then
		echo "lint: $what: failed"
		failed=$((failed + 1))
	fi
}

sources=(lib/*.c cmd/*.c daemon/*.c)
headers=(lib/*.h cmd/*.h daemon/*.h)
tests=(tests/unit/*.[ch] tests/sim/*.[ch] tests/helpers/*.[ch])

# ---- layout and analysis --------------------------------------------------------------------------------------------

tidy() {
	local out
	out=$(printf '%s\0' "${sources[@]}" |
		xargs -0 -I{} -P "$(nproc)" clang-tidy --quiet {} -- "${flags[@]}" 2>&1 | grep -v ' warnings\? generated\.$')
	[ -z "$out" ] || { printf '%s\n' "$out" && return 1; }
}

shell_scripts() {
	shellcheck -x -e SC2015 tests/*.sh tests/*/*.sh tests/*.bash tests/*/*.bash completions/*.bash .ci/run
}

headers_alone() {
	local h bad=0
	for h in "${headers[@]}"; do
		"$CC" "${flags[@]}" -Wall -Wextra -fsyntax-only -x c -include "$h" /dev/null || bad=1
	done
	return $bad
}

check clang-format clang-format --dry-run -Werror "${sources[@]}" "${headers[@]}" "${tests[@]}"
check clang-tidy tidy
check cppcheck cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	--suppress=missingIncludeSystem --suppress=unmatchedSuppression -j "$(nproc)" -D_GNU_SOURCE '-DSC_BIN="sc"' \
	--include=tests/cppcheck.h -I. "-I${B:-build}" lib cmd daemon
check shellcheck shell_scripts
check 'a header that does not compile alone' headers_alone

# ---- one door per danger --------------------------------------------------------------------------------------------

# A file without its comments, with the numbers of its lines.
bare() {
	"$CC" -fpreprocessed -dD -E -w -x c "$1" 2>/dev/null |
		awk '/^# [0-9]+ "/ { line = $2 - 1; next } { print ++line ":" $0 }'
}
stripped=$(mktemp) || exit 2
trap 'rm -f "$stripped"' EXIT
for f in "${sources[@]}" "${headers[@]}"; do
	bare "$f" | sed "s|^|$f:|"
done >"$stripped"

# only WHAT REGEX DOOR…: the regex may match in the files named (or below a directory named), and nowhere else.
only() {
	local what=$1 regex=$2 door allowed='^$'
	shift 2
	for door in "$@"; do
		case $door in
		*/) allowed="$allowed|^$door" ;;
		*) allowed="$allowed|^$door:" ;;
		esac
	done
	check "$what: its door is ${*:-nowhere}" not_found "$regex" "$allowed"
}
not_found() {
	! grep -E "^[^:]*:[0-9]+:.*($1)" "$stripped" | grep -vE "$2"
}
call() {
	echo "(^|[^A-Za-z0-9_>.])($1)\\("
}

only uv.h 'include <uv\.h>' daemon/{main,listener,conn,ticker}.{c,h} daemon/daemon.h
only sodium.h 'include <sodium' lib/seal.c lib/digest.c
only msgpack.h 'include <msgpack' lib/pack.c
only sqlite3.h 'include <sqlite3\.h>' daemon/index.c daemon/index_file.c daemon/index_parts.h daemon/index_thread.c daemon/sql.c daemon/sql.h
only xxhash.h 'include .xxhash\.h' lib/checksum.c
only ini.h 'include <ini\.h>' lib/config.c
only jansson.h 'include <jansson\.h>' cmd/
only sockets "$(call 'socket|bind|connect|accept4?|listen')" lib/sock.c daemon/listener.c
only 'processes' "$(call 'fork|vfork|clone|exec[lv]p?e?|execvpe|fexecve|posix_spawnp?|wait|waitpid|waitid|wait3|wait4|kill|killpg')" \
	cmd/spawn.c cmd/spawn_beside.c cmd/spawn_command.c cmd/spawn_feed.c cmd/writer.c lib/killpoint.c
only 'a shell' "$(call 'system|popen')"
only 'names in the cache and of the caller' "$(call 'unlink|unlinkat|rename|renameat2?|linkat?|symlinkat?|ftruncate|truncate')" \
	lib/beneath.c lib/memfd.c lib/sock.c lib/log.c lib/lockfile.c lib/keyfile.c daemon/index_file.c daemon/listener.c daemon/walk.c \
	cmd/output.c cmd/move.c cmd/spool.c lib/object.c
only 'our own name, which a packager may change' '"[^"]*(^|[( ])sc (get|run|warm|put|hold|rm|touch|ls|ps|explain|watch|stats|sync|verify|doctor|config|keygen|daemon|help|version|makes)\b'
only 'what is remembered of files' '"hashes"|SC_HASHES_SIZE' cmd/hashes.c lib/limits.h
only 'files of memory' "$(call 'memfd_create')|F_(ADD|GET)_SEALS" lib/memfd.c
only 'directories that are read' "$(call 'opendir|fdopendir|readdir|scandir|n?ftw|fts_open')" cmd/content.c cmd/doctor.c lib/object.c daemon/
only getenv "$(call 'getenv|secure_getenv|setenv|putenv|unsetenv')" lib/paths.c lib/config.c lib/killpoint.c cmd/
only 'the clock' "$(call 'clock_gettime|gettimeofday|time')" lib/clock.c
only stdout "$(call 'v?printf|puts|putchar')|STDOUT_FILENO|[^a-z_]stdout[^a-z_]" cmd/ daemon/main.c
only 'the end of the process' "$(call 'exit|_exit|abort|quick_exit|errx?|die')" cmd/ daemon/main.c lib/err.c
only 'unbounded text' "$(call 'gets|strcpy|stpcpy|strcat|v?sprintf|atoi|atol|alloca|strtok')"
only 'a directory above another: lib/' 'include "(cmd|daemon)/' cmd/ daemon/
only 'the daemon is none of the client' 'include "daemon/' daemon/
only 'the client is none of the daemon' 'include "cmd/' cmd/

# ---- words ----------------------------------------------------------------------------------------------------------

no_leftover_words() {
	! grep -nE '(TODO|FIXME|\bXXX\b|[Ii]ssue #?[0-9])' "${sources[@]}" "${headers[@]}" "${tests[@]}" tests/*.sh Makefile |
		grep -v '^tests/lint.sh:'
}
short_readmes() {
	local f bad=0
	for f in */README.md; do
		if [ "$(wc -l <"$f")" -gt 40 ]; then
			echo "$f: over 40 lines"
			bad=1
		fi
	done
	return $bad
}
listed() {
	local f bad=0
	for f in "${sources[@]}"; do
		grep -qF "	$f" Makefile || { echo "$f: not in the Makefile" && bad=1; }
	done
	return $bad
}
check 'words that are for later' no_leftover_words
check 'READMEs' short_readmes
check 'sources' listed

if [ "$failed" != 0 ]; then
	echo "lint: $failed kinds of check failed"
	exit 1
fi
echo 'lint: clean'
