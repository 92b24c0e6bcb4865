# What cmd/key.h and cmd/content.h say, by another's hand: printf and b2sum. Loaded by the tests of keys.
# shellcheck shell=bash

b2() { b2sum -l 128 | cut -c 1-32; }

# le64 N: eight bytes, the lowest first.
le64() {
	local hex
	hex=$(printf '%016x' "$1")
	unhex "${hex:14:2}${hex:12:2}${hex:10:2}${hex:8:2}${hex:6:2}${hex:4:2}${hex:2:2}${hex:0:2}"
}
unhex() {
	local at
	for ((at = 0; at < ${#1}; at += 2)); do printf '%b' "\x${1:at:2}"; done
}

# A field of this text; of these bytes in hex.
text() { local LC_ALL=C && le64 "${#1}" && printf %s "$1"; }
hex() { le64 $((${#1} / 2)) && unhex "$1"; }

# declared KIND NAME VALUE: one declaration, its value in hex.
declared() { text "$1" && text "$2" && hex "$3"; }

# suffix CMD…: the key's hash; CMD prints the declarations, in order.
suffix() { { text sc-key-1 && "$@"; } | b2; }

# tree DIR: what is below it, hashed.
tree() {
	(
		cd "$1" || exit
		find . -mindepth 1 -printf '%P\0' | LC_ALL=C sort -z | while IFS= read -r -d '' name; do
			text "$name"
			if [ -L "$name" ]; then
				text l && text "$(readlink "$name")"
			elif [ -f "$name" ]; then
				text "$(stat -c 'f0%a' "$name" | sed -E 's/^f0(....)$/f\1/')" && hex "$(b2 <"$name")"
			else
				text "$(stat -c '%A 0%a' "$name" | sed -E 's/^(.)[^ ]* 0?(....)$/\1\2/')" && text ''
			fi
		done
	) | b2
}
