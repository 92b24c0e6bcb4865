#!/usr/bin/env bats
# `sc config`: every setting with its value and where that comes from; what is wrong with the file; and that the daemon obeys
# the same.
load ../helper

config() { # LINE…: is the config of the cache directory
	mkdir -p -m 700 "$SC_DIR"
	printf '%s\n' "$@" >"$SC_DIR/config"
}

# is_set NAME VALUE ORIGIN: exactly one line says so, whatever the columns.
is_set() {
	local got
	got=$("$SC" config 2>/dev/null | awk -v name="$1" '$1 == name { $1 = $1; print }')
	[ "$got" = "$1 $2 $3" ] || { echo "'$got', expected '$1 $2 $3'" >&2 && return 1; }
}

# said STATUS LINE…: `sc config` ends so, and these are its messages.
said() {
	local want=$1 got=0
	shift
	"$SC" config >"$T/out" 2>"$T/err" || got=$?
	if (($#)); then printf '%s\n' "$@"; fi | diff - "$T/err" >&2
	[ $got = "$want" ] || { echo "status $got, expected $want" >&2 && return 1; }
}

@test "without a file every setting has its default; nothing is made, no daemon started" {
	run -0 --separate-stderr "$SC" config
	[ -z "$stderr" ]
	printf '%s\n' "dir $SC_DIR SC_DIR" 'ttl 1h default' 'stale 0s default' 'keep-failures 0s default' \
		'finish off default' 'show-commands off default' 'max-size 10G default' 'max-files 1000000 default' 'max-entry none default' 'min-free auto default' 'memory 64M default' 'window 16M default' 'idle-exit 10m default' \
		'network-fs off default' 'encrypt off default' 'key-file none default' 'bucket default default' 'strict off default' 'disable off default' >"$T/want"
	"$SC" config | awk '{ $1 = $1; print }' | diff "$T/want" -
	[ ! -e "$SC_DIR" ]
	no_daemon
}

@test "columns: names, values and origins begin below each other" {
	config 'ttl = 90061s' '[bucket a-bucket-with-a-long-name]' 'max-files = 7'
	"$SC" config | grep -v '^dir ' | sed -E 's/^([^ ]+ +)([^ ]+ +)(.*)/\1|\2|/; s/[^|]/ /g' | sort -u >"$T/columns"
	[ "$(lines_in "$T/columns")" = 1 ]
}

@test "a value of the file has the file and the line; the last good one counts" {
	config '# comment' 'ttl = 5m' 'max-files = 10' 'ttl = 90m' 'ttl = never'
	is_set ttl 1h30m "$SC_DIR/config:4"
	is_set max-files 10 "$SC_DIR/config:3"
	is_set max-size 10G default
	config ''
	is_set ttl 1h default
}

@test "the environment beats the file, and is named" {
	config 'ttl = 5m' '[bucket ci]' 'ttl = 6m'
	SC_TTL=7s is_set ttl 7s SC_TTL
	SC_TTL=7s is_set bucket.ci.ttl 7s SC_TTL
	SC_TTL='' is_set ttl 5m "$SC_DIR/config:1"
	SC_STRICT=1 is_set strict on SC_STRICT
	SC_STRICT=0 is_set strict off default
	SC_DISABLE=1 is_set disable on SC_DISABLE
	SC_BUCKET=ci is_set bucket ci SC_BUCKET
	export XDG_CACHE_HOME=$HOME/caches
	mkdir "$XDG_CACHE_HOME"
	is_set dir "$SC_DIR" SC_DIR
	unset SC_DIR
	is_set dir "$XDG_CACHE_HOME/sc" XDG_CACHE_HOME
	unset XDG_CACHE_HOME
	is_set dir "$HOME/.cache/sc" default
}

@test "a variable that cannot be meant is said, and does not count" {
	SC_TTL=soon said 0 'sc: SC_TTL: is no duration, so get, warm and put refuse to run (say 90s, 1h30m, 2d or forever)'
	SC_TTL=soon is_set ttl 1h default
	SC_BUCKET=A/B said 0 'sc: SC_BUCKET: is no name of a bucket, so whatever takes KEY refuses to run (say 1 to 64 of a-z 0-9 . _ -)'
	SC_BUCKET=A/B is_set bucket default default
	SC_BUCKET=A/B run -125 "$SC" get k -- touch "$T/ran"
	SC_BUCKET=A/B run -2 "$SC" rm k
	SC_BUCKET=A/B run -2 "$SC" ls
	SC_BUCKET=A/B run -2 "$SC" ps
	[ ! -e "$T/ran" ]
	no_daemon
}

@test "the file of the cache directory hides the one of XDG_CONFIG_HOME, and that the one of HOME, also before there is a directory" {
	export XDG_CONFIG_HOME=$T/xdg
	mkdir -p "$XDG_CONFIG_HOME/sc" "$HOME/.config/sc"
	echo 'ttl = 2m' >"$XDG_CONFIG_HOME/sc/config"
	printf '\nttl = 3m\n' >"$HOME/.config/sc/config"
	is_set ttl 2m "$XDG_CONFIG_HOME/sc/config:1"
	XDG_CONFIG_HOME='' is_set ttl 3m "$HOME/.config/sc/config:2"
	[ ! -e "$SC_DIR" ]
	config 'ttl = 1m'
	is_set ttl 1m "$SC_DIR/config:1"
}

@test "a bucket's section: what it says, and from the cache what it does not" {
	config 'ttl = 5m' '[bucket ci]' 'max-size = 1G' '[bucket big.one_2-x]' 'max-entry = 2G' 'ttl = forever' '[bucket ci]' 'max-files=9'
	is_set bucket.ci.max-size 1G "$SC_DIR/config:3"
	is_set bucket.ci.max-files 9 "$SC_DIR/config:8"
	is_set bucket.ci.max-entry none default
	is_set bucket.ci.ttl 5m "$SC_DIR/config:1"
	is_set bucket.big.one_2-x.max-entry 2G "$SC_DIR/config:5"
	is_set bucket.big.one_2-x.ttl forever "$SC_DIR/config:6"
	is_set bucket.big.one_2-x.max-size none default
	[ "$("$SC" config | grep -c '^bucket\.')" = 16 ]
	said 0
	config 'stale = 5m' 'finish = on' '[bucket ci]' 'keep-failures = 10s' 'finish = off' '[bucket z]' 'stale = forever'
	is_set keep-failures 0s default
	is_set bucket.ci.stale 5m "$SC_DIR/config:1"
	is_set bucket.ci.keep-failures 10s "$SC_DIR/config:4"
	is_set bucket.ci.finish off "$SC_DIR/config:5"
	is_set bucket.z.stale forever "$SC_DIR/config:7"
	is_set bucket.z.keep-failures 0s default
	is_set bucket.z.finish on "$SC_DIR/config:2"
	config 'show-commands = on' '[bucket ci]' 'show-commands = off' '[bucket z]' 'ttl = 1h'
	is_set bucket.ci.show-commands off "$SC_DIR/config:3"
	is_set bucket.z.show-commands on "$SC_DIR/config:1"
}

@test "what is printed can be put into a file and means the same" {
	config 'ttl = 90061500ms' 'stale = 1500ms' 'keep-failures = 90s' 'finish = on' 'show-commands = on' 'max-size = 2500000' 'max-files = 12345' 'max-entry = 1536K' 'min-free = none' 'memory = 0' 'window = 3000000' \
		'idle-exit = forever' 'network-fs = on' '[bucket b]' 'ttl = 1d2h' 'stale = 0' 'finish = off' 'show-commands = off' 'max-size = 2M' 'max-files = none' 'max-entry = 1'
	"$SC" config >"$T/first"
	{
		grep -vE '^(dir|bucket|strict|disable|bucket\..*) ' "$T/first" | awk '{ print $1 " = " $2 }'
		echo '[bucket b]'
		sed -n 's/^bucket\.b\.//p' "$T/first" | awk '{ print $1 " = " $2 }'
	} >"$SC_DIR/config"
	said 0
	diff <(awk '{ print $1, $2 }' "$T/first") <(awk '{ print $1, $2 }' "$T/out")
	is_set ttl 90061500ms "$SC_DIR/config:1"
	is_set min-free none "$SC_DIR/config:9"
	is_set memory 0 "$SC_DIR/config:10"
}

@test "bad lines: each is named with file, line and reason, the good part counts, also for the daemon, which logs each" {
	config 'tll = 1h' 'ttl = soon' 'max-size = 0' 'max-files = 99999999999999999999' 'max-size = 9999999T' 'nonsense' 'more nonsense' \
		'max-entry = 11G' '[bucket A]' 'ttl = 2m' '[limits]' 'ttl = 3m' '[bucket ok]' 'min-free = 1G' 'ttl = 4m'
	said 0 \
		"sc: $SC_DIR/config:1: there is no setting \"tll\"" \
		"sc: $SC_DIR/config:2: ttl = soon: not a duration, such as 10m or forever" \
		"sc: $SC_DIR/config:3: max-size = 0: 0 would keep nothing (none: no limit)" \
		"sc: $SC_DIR/config:4: max-files = 99999999999999999999: too large (none: no limit)" \
		"sc: $SC_DIR/config:5: max-size = 9999999T: too large (none: no limit)" \
		"sc: $SC_DIR/config:6: is neither \"setting = value\" nor a comment" \
		"sc: $SC_DIR/config:7: is neither \"setting = value\" nor a comment" \
		"sc: $SC_DIR/config:9: [bucket A] names no bucket, 1 to 64 of a-z 0-9 . _ - (what follows is not read)" \
		"sc: $SC_DIR/config:11: there is no section [limits] (what follows is not read)" \
		"sc: $SC_DIR/config:14: min-free is of the whole cache, not of a bucket (it belongs above the first section)" \
		"sc: $SC_DIR/config:8: max-entry = 11G: larger than max-size, 10G"
	is_set ttl 1h default
	is_set max-size 10G default
	is_set max-entry none default
	is_set bucket.ok.ttl 4m "$SC_DIR/config:15"
	start_daemon
	[ "$(grep -c 'event=config file="config" line=' "$SC_DIR/scd.log")" = 11 ]
	grep -q 'event=config file="config" line=7 why=' "$SC_DIR/scd.log"
	SC_BUCKET=ok "$SC" get k -- true
	SC_BUCKET=ok "$SC" get --status-fd 3 k 3>"$T/status"
	[ "$(field ttl "$T/status")" = 240 ]
}

@test "the ttl of a bucket is what its runs store; SC_TTL and -t beat it; keys of one bucket are not those of another" {
	config 'ttl = 5m' '[bucket ci]' 'ttl = 6m'
	stored() { # what this entry was stored with
		"$SC" get --status-fd 3 "$1" 3>"$T/status" >"$T/got" && field ttl "$T/status"
	}
	entry k default
	[ "$(stored k)" = 300 ]
	export SC_BUCKET=ci
	run -1 "$SC" get k
	entry k ci
	[ "$(stored k)" = 360 ]
	is_file "$T/got" ci
	SC_TTL=7m entry l x
	[ "$(stored l)" = 420 ]
	"$SC" get -t 8m m -- true
	[ "$(stored m)" = 480 ]
	echo x | "$SC" put n
	[ "$(stored n)" = 360 ]
	SC_BUCKET=other entry k other
	[ "$(SC_BUCKET=other stored k)" = 300 ]
	run -0 "$SC" ls
	assert_output $'k\nl\nm\nn'
	"$SC" rm k
	run -1 "$SC" get k
	unset SC_BUCKET
	run -0 "$SC" ls
	assert_output k
	[ "$(stored k)" = 300 ]
	is_file "$T/got" default
}

@test "ps shows the runs of the bucket" {
	bg a env SC_BUCKET=ci "$SC" get k -- gate "$G"
	gate_up
	run -0 "$SC" ps
	assert_output ''
	SC_BUCKET=ci run -0 "$SC" ps
	assert_output --partial ' k'
	step "$G" exit 0
	assert_rc 0 a
}

@test "a file that may not be read, or not be trusted: the defaults, why, and 125" {
	config 'ttl = 5m'
	chmod 666 "$SC_DIR/config"
	said 125 "sc: $SC_DIR/config: is writable by others, so it is not read (chmod go-w)"
	grep -qE '^ttl +1h +default$' "$T/out"
	rm "$SC_DIR/config"
	ln -s /dev/null "$SC_DIR/config"
	said 125 "sc: $SC_DIR/config: is a symbolic link, so it is not read"
	rm "$SC_DIR/config"
	mkfifo "$SC_DIR/config"
	said 125 "sc: $SC_DIR/config: is not a regular file, so it is not read"
	rm "$SC_DIR/config"
	chmod 777 "$SC_DIR"
	said 125 "sc: config: $SC_DIR is writable by others (mode 0777) (chmod go-w $SC_DIR)"
	chmod 700 "$SC_DIR"
}

@test "a config that is newer than the daemon is said, until the daemon is restarted" {
	config 'ttl = 5m'
	touch -d '1 hour ago' "$SC_DIR/config"
	start_daemon
	said 0
	touch -d '1 hour' "$SC_DIR/config"
	said 0 'sc: config: it was changed after the daemon had started, which still obeys what it read then (sc daemon restart)'
	touch -d '1 hour ago' "$SC_DIR/config"
	said 0
}

@test "--json: one object a line; seconds, bytes, null for none and forever; the origin in fields" {
	config 'ttl = 1500ms' 'max-size = 2G' 'network-fs = on' '[bucket ci]' 'ttl = forever' 'max-files = 5' 'oops'
	SC_STRICT=1 "$SC" config --json >"$T/rows" 2>"$T/err"
	is_message "$T/err" 'config:7: is neither'
	[ "$(lines_in "$T/rows")" = 27 ]
	jq -e . "$T/rows" >/dev/null
	of() { jq -c "select(.name == \"$1\" and .bucket == $2) | [.value, .origin, .file, .line, .variable]" "$T/rows"; }
	[ "$(of dir null)" = "[\"$SC_DIR\",\"environment\",null,null,\"SC_DIR\"]" ]
	[ "$(of ttl null)" = "[1.5,\"file\",\"$SC_DIR/config\",1,null]" ]
	[ "$(of max-size null)" = "[2147483648,\"file\",\"$SC_DIR/config\",2,null]" ]
	[ "$(of max-entry null)" = '[null,"default",null,null,null]' ]
	[ "$(of network-fs null)" = "[true,\"file\",\"$SC_DIR/config\",3,null]" ]
	[ "$(of strict null)" = '[true,"environment",null,null,"SC_STRICT"]' ]
	[ "$(of ttl '"ci"')" = "[null,\"file\",\"$SC_DIR/config\",5,null]" ]
	[ "$(of max-files '"ci"')" = "[5,\"file\",\"$SC_DIR/config\",6,null]" ]
	[[ "$(of min-free null)" =~ ^\[[1-9][0-9]*,\"default\", ]]
}

@test "what a file, a path or a variable is called does nothing to a terminal" {
	export SC_DIR=$T/$'c\e[31m\xff'
	config $'t\e]0;x = 1'
	"$SC" config >"$T/out" 2>"$T/err"
	LC_ALL=C run -1 grep -qE $'\e|\xff' "$T/out" "$T/err"
	"$SC" config --json 2>"$T/err" | jq -e . >/dev/null
}

@test "usage, and a stdout that takes nothing" {
	run -2 --separate-stderr "$SC" config ttl
	[ -z "$output" ]
	run -2 --separate-stderr "$SC" config --jsn
	[[ $stderr == *"--json"* ]]
	run -125 bash -c '"$SC" config >/dev/full'
	bg_sh closed '"$SC" config | true'
	[[ "$(pipe_status closed)" =~ ^(0|141)\ 0$ ]]
	no_daemon
}

@test "encrypt: a value that is neither on nor off is on, and is complained of" {
	config 'encrypt = maybe'
	"$SC" config >"$T/out" 2>"$T/err"
	is_message "$T/err" 'config:1: encrypt = maybe: is neither on nor off, so it is on'
	grep -Eq '^encrypt +on ' "$T/out"
	"$SC" get k -- echo canary-5d1f >"$T/out" 2>"$T/err"
	run -1 grep -ra canary-5d1f "$SC_DIR/objects"
}
