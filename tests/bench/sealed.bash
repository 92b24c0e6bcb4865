# shellcheck shell=bash
# The rows of sealed entries, for run.sh: beside libsodium alone (sodium.c), and beside the same entry in the clear.

SEALED=--sealed # the option that seals a run

# The cache of the row, with a key.
give_key() {
	"$SC" daemon stop
	"$SC" keygen "$T/key" >/dev/null || die 'no key'
	echo "key-file = $T/key" >"$SC_DIR/config"
	"$SC" daemon start || die 'the daemon does not start'
}

# From the command's pipe into a file. Whoever asks opens it at the same time, which is what the second row has on both sides.
row_sealed_capture() {
	local a b
	give_key
	get a b -- race -n 5 -w 0 -2 -a "$SC rm key{}" -b "rm '$T/file'" \
		"$SC" get $SEALED 'key{}' -- stream 1G ::: sh -c "stream 1G | sodium seal >'$T/file'"
	print_row 'sealed capture, 1 GiB' "$(rate_of "$GIB" "$a")" "cmd | libsodium >FILE: $(rate_of "$GIB" "$b")" \
		"$(calc "$b/$a")" '>=' 0.90 ×
	get a b -- race -n 5 -w 0 -2 -a "$SC rm key{}" -b "rm '$T/file'" \
		"$SC" get $SEALED 'key{}' -- stream 1G ::: sh -c "stream 1G | sodium seal | tee '$T/file' | sodium open >/dev/null"
	print_row '  that opens it again' "$(rate_of "$GIB" "$a")" "… | tee FILE | open: $(rate_of "$GIB" "$b")" "$(calc "$b/$a")"
	get a b -- race -n 5 -w 0 -2 -a "$SC rm key{}" -b "$SC rm key{}" \
		"$SC" get $SEALED 'key{}' -- stream 1G ::: "$SC" get 'key{}' -- stream 1G
	print_row '  and in the clear' "$(rate_of "$GIB" "$a")" "the same, clear: $(rate_of "$GIB" "$b")" "$(calc "$b/$a")"
	get a b -- sodium rate 1G
	note "libsodium here, in memory: seals $(rate_of "$GIB" "$a"), opens $(rate_of "$GIB" "$b")"
}

# From the file into a pipe.
row_sealed_hit() {
	local a b
	give_key
	stream 1G | sodium seal >"$T/file"
	"$SC" get $SEALED key -- stream 1G >/dev/null
	get a b -- race -n 11 -p "$SC" get --strict key ::: sodium open "$T/file"
	print_row 'sealed hit, 1 GiB into a pipe' "$(rate_of "$GIB" "$a")" "libsodium FILE |: $(rate_of "$GIB" "$b")" \
		"$(calc "$b/$a")" '>=' 0.90 ×
	stream 100 | sodium seal >"$T/file"
	"$SC" get $SEALED small -- stream 100 >/dev/null
	get a b -- race -n 600 -w 20 -p "$SC" get --strict small ::: sodium open "$T/file"
	print_row 'sealed hit, 100 bytes' "$(time_of "$a")" "libsodium FILE |: $(time_of "$b")" "$(calc "$a/$b")"
}

# What was asked for before comes from memory, in the clear or not.
row_sealed_hot() {
	local a b size key
	give_key
	for size in 100 1M; do
		"$SC" get $SEALED "sealed$size" -- stream $size >/dev/null
		"$SC" get "clear$size" -- stream $size >/dev/null
		for key in sealed clear sealed clear; do "$SC" get --strict "$key$size" >/dev/null; done
		get a b -- race -n 600 -w 20 -p "$SC" get --strict "sealed$size" ::: "$SC" get --strict "clear$size"
		print_row "sealed and hot, $size" "$(time_of "$a")" "hot, clear: $(time_of "$b")" "$(calc "$b/$a")" '>=' 0.95 ×
	done
	note "$("$SC" stats | awk 'NR == 1, /^bucket/ { if ($1 ~ /^(hits|memory_hits|memory_entries)$/) printf "%s %s, ", $1, $2 }')"
}

row_sealed_delay() {
	local i a b p p99
	local -a ours ours99 theirs theirs99
	give_key
	mkfifo "$T/go"
	for i in {1..5}; do
		get p p99 -- follow_lines "sealed$i" 0 $SEALED
		ours+=("$p") ours99+=("$p99")
		get p p99 -- follow_lines "clear$i" 0
		theirs+=("$p") theirs99+=("$p99")
	done
	a=$(middle "${ours[@]}") b=$(middle "${theirs[@]}")
	print_row 'a sealed line to a follower' "$(time_of "$a")" "in the clear: $(time_of "$b")" "$(calc "$a/$b")"
	a=$(middle "${ours99[@]}") b=$(middle "${theirs99[@]}")
	print_row '  99th percentile' "$(time_of "$a")" "in the clear: $(time_of "$b")" "$(calc "$a/$b")"
}
