#!/usr/bin/env bats
# `key-file`: master keys that a daemon reads at its start. One that cannot be had is a daemon that does not start, and says how to mend it.
load ../helper

prepare() {
	mkdir -m 700 "$SC_DIR"
	K=$T/key
	"$SC" keygen "$K" >"$T/made"
	fingerprint=$(sed 's/.*fingerprint //' "$T/made")
}

config() { printf '%s\n' "$@" >"$SC_DIR/config"; }

# finds LEVEL TEXT: doctor says so of the keys.
finds() { "$SC" doctor | grep -qF -- "$1: keys: $2" || { "$SC" doctor >&2 && return 1; }; }

# refused FILE WHY [MEND]: no daemon starts with this key-file. Callers are told in its own words, run directly, and nothing is stored.
refused() {
	local line="key-file: $1: $2${3:+ ($3)}"
	config "key-file = $1"
	rm -f "$SC_DIR/lock" # what failed before was another key
	run -125 --separate-stderr "$SC" daemon start
	[[ $stderr == *"$line"* ]] || { echo "$stderr" >&2 && return 1; }
	run -0 --separate-stderr "$SC" get k -- echo canary-7f3a
	[ "$output" = canary-7f3a ]
	[[ $stderr == "sc: k: "*"$line"* ]] || { echo "$stderr" >&2 && return 1; }
	run -125 bash -c 'echo canary-7f3a | "$SC" put k'
	wait_until no_daemon
	run -1 grep -ra canary-7f3a "$SC_DIR"
	run -1 "$SC" doctor
	assert_line --partial "problem: keys: $1: $2: no daemon starts with it${3:+ ($3)}"
}

@test "D11: a key that others may read: the chmod that mends it, and after that all is well" {
	for mode in 644 640 604 610 660; do
		chmod $mode "$K"
		refused "$K" 'others may read or write it' "chmod 600 $K"
	done
	chmod 600 "$K"
	rm -f "$SC_DIR/lock"
	run -0 --separate-stderr "$SC" get k -- echo x
	[ -z "$stderr" ]
	run -0 "$SC" doctor
	finds ok "$K: fingerprint $fingerprint"
}

@test "D11: missing, short, long, no hex, zeros, a directory, a link, a FIFO, a device, somebody else's" {
	refused "$T/none" 'there is no such file' "sc keygen $T/none"
	local bad='it is no key: neither 32 bytes nor 64 hex digits, or all zeros'
	head -c 31 /dev/urandom >"$T/bad" && chmod 600 "$T/bad"
	refused "$T/bad" "$bad"
	head -c 33 /dev/urandom >"$T/bad"
	refused "$T/bad" "$bad"
	sed 's/^./g/' "$K" >"$T/bad"
	refused "$T/bad" "$bad"
	: >"$T/bad"
	refused "$T/bad" "$bad"
	head -c 32 /dev/zero >"$T/bad"
	refused "$T/bad" "$bad"
	mkdir "$T/dir"
	refused "$T/dir" 'a link, or no regular file'
	ln -s "$K" "$T/link"
	refused "$T/link" 'a link, or no regular file'
	mkfifo -m 600 "$T/fifo"
	refused "$T/fifo" 'a link, or no regular file'
	refused /dev/null 'a link, or no regular file'
	refused /etc/passwd 'it belongs to somebody else'
}

@test "D11: one of several that is bad, and two that are the same" {
	head -c 32 /dev/urandom >"$T/raw" && chmod 600 "$T/raw"
	config "key-file = $K:$T/raw"
	"$SC" get k -- echo x >"$T/out"
	finds ok "$K: fingerprint $fingerprint"
	[ "$("$SC" doctor | grep -c 'ok: keys: ')" = 2 ]
	"$SC" daemon stop
	chmod 644 "$T/raw"
	run -125 --separate-stderr "$SC" daemon start
	[[ $stderr == *"key-file: $T/raw: others may read or write it (chmod 600 $T/raw)"* ]]
	cp -p "$K" "$T/copy"
	config "key-file = $K:$T/copy"
	rm -f "$SC_DIR/lock"
	run -125 --separate-stderr "$SC" daemon start
	[[ $stderr == *"key-file: $T/copy: the same key as $K"* ]]
	wait_until no_daemon
}

@test "key-file: what is no absolute path is a bad line, and none is set" {
	config 'key-file = key' 'ttl = 5m'
	"$SC" config >"$T/out" 2>"$T/err"
	is_message "$T/err" 'config:1: key-file = key: not an absolute path'
	grep -Eq '^key-file +none +default$' "$T/out"
	config "key-file = $K:key"
	"$SC" config 2>"$T/err" | grep -Eq '^key-file +none +default$'
	config "key-file = $K"
	"$SC" config | awk '$1 == "key-file" { print $2, $3 }' | grep -qxF "$K $SC_DIR/config:1"
	[ "$("$SC" config --json | jq -r 'select(.name == "key-file").value')" = "$K" ]
	config "key-file = $K" 'key-file = none'
	[ "$("$SC" config --json | jq -c 'select(.name == "key-file") | [.value, .line]')" = '[null,2]' ]
}

@test "D12: the key is in no file of the cache, nor in what the daemon or doctor says" {
	config "key-file = $K"
	"$SC" get k -- echo x >"$T/out"
	{ "$SC" doctor && "$SC" doctor --json && "$SC" config && "$SC" daemon status; } >"$T/said"
	"$SC" daemon stop
	run -1 grep -raF "$(cat "$K")" "$SC_DIR" "$T/said"
	# Nor as it is in memory.
	python3 - "$K" "$SC_DIR" "$T/said" <<-'END'
		import os, sys
		key = bytes.fromhex(open(sys.argv[1]).read())
		for top in sys.argv[2:]:
		    for f in [top] if os.path.isfile(top) else [os.path.join(d, n) for d, _, names in os.walk(top) for n in names]:
		        assert key not in open(f, "rb").read(), f
	END
	grep -qF "event=key fingerprint=$fingerprint seals=1" "$SC_DIR/scd.log"
}

@test "a credential that the service manager has laid there is the key, if key-file names none; others may not read that either" {
	local credentials=$T/credentials k2=$T/key2
	mkdir -m 700 "$credentials"
	cp "$K" "$credentials/sc.key"
	export CREDENTIALS_DIRECTORY=$credentials
	for mode in 400 440 600; do
		chmod $mode "$credentials/sc.key"
		echo 'encrypt = on' >"$SC_DIR/config"
		"$SC" config | awk '$1 == "key-file" { print $2, $3 }' | grep -qxF "$credentials/sc.key CREDENTIALS_DIRECTORY"
		"$SC" get k$mode -- echo x >"$T/out"
		"$SC" daemon stop
		is_file <("$SC" get k$mode) 'x\n' # another daemon, the same key
		finds ok "$credentials/sc.key: fingerprint $fingerprint"
		"$SC" daemon stop
	done
	"$SC" keygen "$k2" >"$T/made2"
	config "key-file = $k2"
	"$SC" doctor | grep -qF "$(sed 's/.*fingerprint //' "$T/made2")"
	: >"$SC_DIR/config"
	chmod 444 "$credentials/sc.key"
	rm -f "$SC_DIR/lock"
	run -125 --separate-stderr "$SC" daemon start
	[[ $stderr == *"key-file: $credentials/sc.key: others may read or write it"* ]]
	rm "$credentials/sc.key"
	"$SC" get k -- echo y >"$T/out"
}
