# Entries whose files are known, and what spoils them. Loaded behind helper.bash.

walks() { grep -c 'event=walk ' "$SC_DIR/scd.log" || true; }
walked() { wait_until "[ \$(walks) -gt ${1:-0} ]"; }

# make KEY TEXT [ERRTEXT]: an entry, and the name of its objects in $made.
make() {
	"$SC" get --status-fd 9 "$1" -- fails -o "$2" ${3:+-e "$3"} 0 9>"$T/made" >/dev/null 2>&1 3>&-
	made=$(field generation "$T/made")
	made=$SC_DIR/objects/${made:0:2}/$made
}

# flip FILE AT: one bit of the byte there is another.
flip() {
	local old
	old=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\$(printf %o $((old ^ 1 << $2 % 8)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
