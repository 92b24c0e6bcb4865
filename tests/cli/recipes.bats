#!/usr/bin/env bats
# The recipes of README.md, each taken from there and run as it is printed, among stand-ins for what it names: programs that count how
# often they were run, runners of CI that obey the YAML, a docker that makes namespaces. tmux, fzf, git, make, ninja and the shells are real.
load ../helper

BOUND=$((60 * SLACK))

prepare() {
	mkdir "$T/bin" "$T/work"
	ln -s "$SC" "$T/bin/sc"
	PATH=$T/bin:$PATH
	cd "$T/work"
}

cleanup() {
	local job
	for job in term term2; do
		if [ -e "$T/$job.control" ] && is_running $job; then
			step "$T:$job.control" close
			wait_until "! is_running $job"
		fi
	done
	if [ -n "${TMUX_TMPDIR:-}" ]; then tmux kill-server 2>/dev/null || true; fi
}

# recipe HEADING [LANGUAGE]: the fenced code of this recipe.
recipe() {
	awk -v heading="### $1" -v fence="\`\`\`${2:-sh}" '
		/^##/ { here = $0 == heading }
		here && code && $0 == "```" { exit }
		here && code { print; lines++ }
		here && $0 == fence { code = 1 }
		END { if (!lines) { print "no code below " heading >"/dev/stderr"; exit 1 } }' "$ROOT/README.md"
}

# stand_in FILE: a program, which is stdin, behind a line that counts its runs in $T/NAME.runs.
stand_in() {
	mkdir -p "$(dirname "$1")"
	{
		printf '#!/bin/sh\necho run >>"%s"\n' "$T/$(basename "$1").runs"
		cat
	} >"$1"
	chmod +x "$1"
}
times() { [ "$(lines_in "$T/$1.runs")" = "$2" ] || { echo "$1: $(lines_in "$T/$1.runs") runs, not $2" >&2 && return 1; }; }

needs() { command -v "$1" >/dev/null || skip "missing tool: $1"; }

# A command that the test steps: the gate of this name, as a stand-in.
gated() { # FILE GATE
	new_gate "$2" >/dev/null
	stand_in "$1" <<<"exec gate '$T/$2'"
}

@test "every recipe has a test here" {
	local heading n=0
	while read -r heading; do
		grep -qE "recipe [\"']?${heading}[\"']?[ )]" "$BATS_TEST_FILENAME" || { echo "no test of: $heading" >&2 && return 1; }
		n=$((n + 1))
	done < <(awk '/^## / { here = /^## Recipes$/ } here && sub(/^### /, "")' "$ROOT/README.md")
	[ $n -ge 13 ]
}

# ---- builds ----------------------------------------------------------------------------------------------------------

prepare_gen() {
	stand_in gen <<<'cat "$1" && ! grep -q wrong "$1"'
	echo one >api.yaml
}
both_are() { is_file client/api.json "$1" && is_file server/api.json "$1"; }
# Another api.yaml, which is newer than what was made of it also where time is coarse.
now_is() {
	touch -d '1 minute ago' client/api.json server/api.json
	echo "$1" >api.yaml
}

@test "Makefile: make -j runs the step once for both, a failure leaves what there was, and what was there before is a hit" {
	prepare_gen
	{ printf 'all: client/api.json server/api.json\n' && recipe Makefile make; } >Makefile
	run -0 timeout $BOUND make -j4
	both_are 'one\n'
	times gen 1
	run -0 timeout $BOUND make -q
	now_is wrong
	run -2 timeout $BOUND make -k -j4
	both_are 'one\n'
	now_is two
	run -0 timeout $BOUND make -j4
	both_are 'two\n'
	: >"$T/gen.runs"
	now_is one
	run -0 timeout $BOUND make -j4
	both_are 'one\n'
	times gen 0
	sed -i 's/cat "$1"/tr a-z A-Z <"$1"/' gen # another tool
	run -0 timeout $BOUND make -j4
	both_are 'ONE\n'
	times gen 1
}

@test "Ninja: one run for both, and none of what make has made" {
	needs ninja
	prepare_gen
	recipe Ninja ninja >build.ninja
	run -0 timeout $BOUND ninja -j4
	both_are 'one\n'
	times gen 1
	run -0 timeout $BOUND ninja -j4
	assert_output --partial 'no work to do'
	now_is two
	{ printf 'all: client/api.json server/api.json\n' && recipe Makefile make; } >Makefile
	run -0 timeout $BOUND make -j4
	both_are 'two\n'
	times gen 2
	touch -d '1 minute ago' client/api.json server/api.json
	run -0 timeout $BOUND ninja -j4
	refute_output --partial 'no work to do'
	both_are 'two\n'
	times gen 2
}

# ---- runners of CI ---------------------------------------------------------------------------------------------------

# runner KIND FILE NUMBER: one job, as the runner does it: a new checkout at $WORKSPACE of what is in $T/project, the cache restored from
# $T/saved, the steps, and the cache saved. Its status is the job's. A machine of its own each time: nothing else stays.
runner() {
	rm -rf "$WORKSPACE"
	cp -r "$T/project" "$WORKSPACE"
	mkdir -p "$T/saved"
	env -u SC_DIR timeout $BOUND python3 - "$@" <<-'END'
		import os, re, subprocess, sys, tarfile, yaml

		kind, file, number = sys.argv[1:]
		workspace, saved = os.environ['WORKSPACE'], os.environ['T'] + '/saved/'
		with open(file) as f:
		    text = yaml.safe_load(f)

		def shell(options, script, env):
		    env = {**os.environ, **env, 'CI': 'true'}
		    print('+', script, flush=True)
		    return subprocess.run(['bash', *options, '-c', script], cwd=workspace, env=env, stdin=subprocess.DEVNULL).returncode

		def names():
		    return sorted(os.listdir(saved), key=lambda n: os.stat(saved + n).st_mtime_ns, reverse=True)

		def restore(name):
		    with tarfile.open(saved + name) as tar:
		        tar.extractall(workspace)
		    print('restored', name, flush=True)

		# Below the workspace, at rest, and the directory that sc was told.
		def save(name, path, sc_dir):
		    path = os.path.join(workspace, path)
		    if path != sc_dir or not path.startswith(workspace + '/'):
		        sys.exit(f'saved is {path}, but SC_DIR is {sc_dir}')
		    if os.path.exists(path + '/sock') or os.path.exists(path + '/index.db-wal'):
		        sys.exit('the daemon is still at work')
		    with tarfile.open(saved + name, 'w') as tar:
		        tar.add(path, os.path.relpath(path, workspace))

		def github(job):
		    known = {'github.workspace': workspace, 'github.run_id': number, 'github.run_attempt': '1', 'runner.os': 'Linux'}
		    def expand(value):
		        return re.sub(r'\$\{\{ *([\w.]+) *\}\}', lambda m: known[m[1]], str(value))
		    assert job['runs-on'].startswith('ubuntu-')
		    env = {name: expand(value) for name, value in job['env'].items()}
		    known.update({'env.' + name: value for name, value in env.items()})
		    status, after = 0, None
		    for step in job['steps']:
		        assert set(step) <= {'uses', 'with', 'run', 'if'}, step
		        condition = step.get('if', 'success()')
		        assert condition in ('success()', 'always()'), condition
		        if status and condition != 'always()':
		            continue
		        if 'run' in step:
		            status = shell(['--noprofile', '--norc', '-e'], expand(step['run']), env) or status
		        elif step['uses'].startswith('actions/cache@'):
		            key, path = expand(step['with']['key']), expand(step['with']['path'])
		            prefixes = expand(step['with']['restore-keys']).split()
		            for name in names():
		                if any(name.startswith(p) for p in [key] + prefixes):
		                    restore(name)
		                    break
		            assert key not in names(), 'a saved one is never changed'
		            after = key, path
		        else:
		            assert step['uses'].startswith('actions/checkout@'), step
		    if not status: # actions/cache saves nothing of a job that has failed
		        save(*after, env['SC_DIR'])
		    return status

		def gitlab(job):
		    assert set(job) == {'variables', 'cache', 'script', 'after_script'}, job
		    known = {'CI_PROJECT_DIR': workspace}
		    env = {name: re.sub(r'\$(\w+)', lambda m: known[m[1]], value) for name, value in job['variables'].items()}
		    cache = job['cache']
		    path, = cache['paths']
		    if cache['key'] in names():
		        restore(cache['key'])
		    status = shell(['-eo', 'pipefail'], '\n'.join(job['script']), env)
		    shell(['-eo', 'pipefail'], '\n'.join(job['after_script']), env)
		    if cache['when'] == 'always' or status == 0:
		        save(cache['key'], path, env['SC_DIR'])
		    return status

		if kind == 'github':
		    job, = text['jobs'].values()
		    sys.exit(github(job))
		job, = text.values()
		sys.exit(gitlab(job))
	END
}

prepare_project() {
	mkdir -p "$T/project/src"
	echo one >"$T/project/src/data"
	stand_in "$T/project/report.sh" <<<'sed "s/^/report of /" src/data; ! grep -q wrong src/data'
	python3 -c 'import yaml' || skip 'missing tool: python3-yaml'
	export WORKSPACE=$T/checkout
}

@test "GitHub Actions: what one job has made is a hit in the next, on another machine; SC_DIR is what is saved, and at rest" {
	prepare_project
	recipe 'GitHub Actions' yaml >"$T/ci.yml"
	run -0 runner github "$T/ci.yml" 1
	is_file "$WORKSPACE/report.txt" 'report of one\n'
	times report.sh 1
	run -0 runner github "$T/ci.yml" 2
	assert_line 'restored sc-Linux-1-1'
	is_file "$WORKSPACE/report.txt" 'report of one\n'
	times report.sh 1
	[ "$(ls "$T/saved")" = $'sc-Linux-1-1\nsc-Linux-2-1' ]
	SC_DIR=$WORKSPACE/.sc run -0 "$SC" config
	assert_line --regexp "^max-size +1G +.*config:1$"
	echo wrong >"$T/project/src/data"
	run -1 runner github "$T/ci.yml" 3
	[ ! -e "$WORKSPACE/report.txt" ]
	[ -z "$(daemon_pids "$WORKSPACE/.sc")" ]
	echo two >"$T/project/src/data"
	run -0 runner github "$T/ci.yml" 4
	is_file "$WORKSPACE/report.txt" 'report of two\n'
	times report.sh 3
}

@test "GitLab CI: the same, in different directories, and also of a job that has failed" {
	prepare_project
	recipe 'GitLab CI' yaml >"$T/ci.yml"
	run -0 runner gitlab "$T/ci.yml" 1
	is_file "$WORKSPACE/report.txt" 'report of one\n'
	times report.sh 1
	export WORKSPACE=$T/elsewhere
	run -0 runner gitlab "$T/ci.yml" 2
	assert_line 'restored sc'
	is_file "$WORKSPACE/report.txt" 'report of one\n'
	times report.sh 1
	echo wrong >"$T/project/src/data"
	mv "$T/saved/sc" "$T/before"
	cp "$T/before" "$T/saved/sc"
	run -1 runner gitlab "$T/ci.yml" 3
	run -1 cmp -s "$T/before" "$T/saved/sc"
	[ -z "$(daemon_pids "$WORKSPACE/.sc")" ]
	echo one >"$T/project/src/data"
	run -0 runner gitlab "$T/ci.yml" 4
	is_file "$WORKSPACE/report.txt" 'report of one\n'
	times report.sh 2
}

# ---- at a terminal ---------------------------------------------------------------------------------------------------

# A terminal with tmux in it, whose server is this test's.
use_tmux() {
	needs tmux
	export TMUX_TMPDIR=$T
	recipe tmux tmux >"$T/tmux.conf"
}
terminal() { bg "$1" env TERM=xterm LC_ALL=C.UTF-8 pty "$T/$1.control" sh -c 'stty rows 24 cols 100 && exec "$@"' sh "${@:2}"; }

@test "tmux: the status line of two clients is one run, and shows what it printed" {
	use_tmux
	gated "$T/bin/curl" sky
	terminal term tmux -f "$T/tmux.conf" new-session cat
	gate_up "$T/sky"
	terminal term2 tmux attach-session
	readers 2
	step "$T/sky" out 'Paris: +20C'
	step "$T/sky" exit 0
	wait_until 'grep -qF "Paris: +20C" "$T/term.out" && grep -qF "Paris: +20C" "$T/term2.out"'
	times curl 1
	refresh() { tmux list-clients -F '#{client_name}' | xargs -n 1 tmux refresh-client -S -t; }
	wait_until 'refresh && [ "$("$SC" stats --json | jq "select(.scope == \"cache\").hits")" -ge 3 ]' # at the next interval
	times curl 1
	"$SC" touch -t 1ms weather # as if it were old
	wait_until 'refresh && [ "$(runs "$T/sky")" = 2 ]'
	step "$T/sky" exit 28
	wait_until '[ -z "$("$SC" ps)" ]'
	run -0 "$SC" get -t 30s --stale 5m weather -- fails 1
	assert_output 'Paris: +20C'
	times curl 2
}

@test "fzf: a preview that is killed by a move goes on, and to come back is no second run" {
	needs fzf
	needs tmux
	export TMUX_TMPDIR=$T
	new_gate a
	new_gate b
	stand_in "$T/bin/kubectl" <<-'END'
		case $1 in
		get) printf 'pod/a\npod/b\n' ;;
		describe) exec gate "$T/${2#pod/}" ;;
		esac
	END
	recipe fzf >"$T/recipe.sh"
	SHELL=/bin/sh tmux -f /dev/null new-session -d -x 100 -y 30 "sh '$T/recipe.sh' >'$T/chosen'; tmux wait-for -S over"
	gate_up "$T/a"
	tmux send-keys Up
	gate_up "$T/b"
	wait_until '[ "$("$SC" ps --json | jq "select(.key == \"describe:pod/a\").readers")" = 0 ]'
	step "$T/a" out 'all about a'
	step "$T/a" exit 0
	wait_until '"$SC" ls | grep -qx "describe:pod/a"'
	tmux send-keys Down
	wait_until 'tmux capture-pane -p | grep -qF "all about a"'
	wait_until '[ "$("$SC" ps --json | jq .readers)" = 0 ]'
	tmux send-keys Up
	readers 1
	step "$T/b" out 'all about b'
	wait_until 'tmux capture-pane -p | grep -qF "all about b"'
	step "$T/b" exit 0
	wait_until '"$SC" ls | grep -qx "describe:pod/b"'
	tmux send-keys Enter
	wait_until '[ -s "$T/chosen" ]'
	is_file "$T/chosen" 'pod/b\n'
	[ "$(runs "$T/a") $(runs "$T/b")" = '1 1' ]
}

@test "direnv: the vault is asked once for all shells, what it said is in their environment, and nowhere on the disk" {
	needs direnv
	needs jq
	stand_in "$T/bin/vault" <<<'echo "{\"TOKEN\":\"it'"'"'s canary-77\",\"USER_NAME\":\"app\"}"'
	recipe direnv >.envrc
	direnv allow . 2>"$T/err"
	for _ in 1 2 3; do
		run -0 direnv exec . sh -c 'echo "$TOKEN $USER_NAME"'
		assert_line "it's canary-77 app"
	done
	times vault 1
	run -1 grep -ra canary-77 "$SC_DIR"
	"$SC" rm "env:$PWD"
	run -0 direnv exec . true
	times vault 2
}

@test "Prompt: it does not wait for what finds it out, and shows it the next time" {
	stand_in "$T/bin/git" <<-'END'
		g=$T/git$(wc -l <"$T/git.runs")
		mkdir -p "$g" && exec gate "$g"
	END
	{ recipe Prompt && echo "PS1=\"ready \$PS1\""; } >"$T/rc"
	shown() { wait_until "[ \"\$(grep -cF 'ready $1 \$ ' '$T/term.out')\" = $2 ]"; }
	bg term env TERM=dumb pty "$T/term.control" bash --rcfile "$T/rc" -i
	shown '' 1
	gate_up "$T/git1"
	step "$T:term.control" type '' # while nothing is known, and somebody is at it
	shown '' 2
	gate_up "$T/git2"
	step "$T/git1" exit 0
	step "$T/git2" out heads/main-dirty
	step "$T/git2" exit 0
	wait_until '[ -z "$("$SC" ps)" ]'
	step "$T:term.control" type ''
	shown heads/main-dirty 1
	gate_up "$T/git3"
	step "$T:term.control" type 'echo "in $PWD"' # while it is being found out anew
	shown heads/main-dirty 2
	grep -qF "in $T/work" "$T/term.out"
	gate_up "$T/git4"
	step "$T/git3" exit 1
	step "$T/git4" exit 1
	wait_until '[ -z "$("$SC" ps)" ]'
	run -0 "$SC" get "state:$PWD" # what failed takes nothing away
	assert_output heads/main-dirty
}

# ---- what somebody else starts ---------------------------------------------------------------------------------------

@test "Git hook: a tree is tested once, a failure stops the push, and what is not committed is tested each time" {
	needs git
	local git=(git -c user.name=me -c user.email=me@here -c init.defaultBranch=main)
	"${git[@]}" init -q --bare "$T/one.git"
	"${git[@]}" init -q --bare "$T/two.git"
	"${git[@]}" init -q .
	printf 'check:\n\techo run >>"$T/check.runs"; cat; cat state; ! grep -q bad state\n' >Makefile
	echo good >state
	"${git[@]}" add . && "${git[@]}" commit -qm 'first'
	recipe 'Git hook' >.git/hooks/pre-push
	chmod +x .git/hooks/pre-push
	run -0 timeout $BOUND "${git[@]}" push "$T/one.git" HEAD:main
	assert_line good
	times check 1
	run -0 timeout $BOUND "${git[@]}" push "$T/two.git" HEAD:main
	assert_line good
	"${git[@]}" commit -q --amend -m 'same tree'
	run -0 timeout $BOUND "${git[@]}" push -f "$T/one.git" HEAD:main
	times check 1
	echo bad >state
	run -1 timeout $BOUND "${git[@]}" push "$T/one.git" HEAD:other
	run -1 timeout $BOUND "${git[@]}" push "$T/one.git" HEAD:other
	times check 3
	"${git[@]}" commit -qam 'bad'
	run -1 timeout $BOUND "${git[@]}" push "$T/one.git" HEAD:main
	run -1 timeout $BOUND "${git[@]}" push "$T/one.git" HEAD:main
	times check 5
	[ "$(git -C "$T/one.git" show main:state)" = good ]
	echo better >state
	"${git[@]}" commit -qam 'good'
	run -0 timeout $BOUND "${git[@]}" push "$T/one.git" HEAD:main
	times check 6
}

# cron LINE: its command, as cron runs it; what it prints would be mailed.
cron() {
	local minute hour day month weekday command
	read -r minute hour day month weekday command <<<"$1"
	[[ "$minute $hour $day $month $weekday" =~ ^[0-9*/,\ -]+$ ]]
	[[ $command != *%* ]] # would be a newline
	cd "$HOME" || return
	exec env -i HOME="$HOME" LOGNAME=me SHELL=/bin/sh PATH=/usr/bin:/bin /bin/sh -c "$command" </dev/null
}

@test "cron: what was there is given out until the new is complete, and if it fails; its mail is what the command says" {
	export SC_DIR=$HOME/.cache/sc # where it is by itself
	mkdir -p "$HOME/.local/bin"
	ln -s "$SC" "$HOME/.local/bin/sc"
	local line
	line=$(recipe cron crontab)
	stand_in "$HOME/bin/fetch-prices" <<<'echo 1'
	bg cron cron "$line"
	assert_rc 0 cron
	is_empty "$T/cron.out"
	is_empty "$T/cron.err"
	run -0 "$SC" get prices
	assert_output 1
	stand_in "$HOME/bin/fetch-prices" <<<"exec '$HELPERS/gate' '$G'"
	bg cron cron "$line"
	step "$G" out 2
	run -0 "$SC" get prices
	assert_output 1
	step "$G" exit 0
	assert_rc 0 cron
	run -0 "$SC" get prices
	assert_output 2
	bg cron cron "$line"
	gate_up "$G" 2
	step "$G" out half
	step "$G" err 'no route to market'
	step "$G" exit 3
	assert_rc 3 cron
	is_empty "$T/cron.out"
	is_file "$T/cron.err" 'no route to market\n'
	run -0 "$SC" get prices
	assert_output 2
}

# ---- between callers -------------------------------------------------------------------------------------------------

@test "Somebody else's build: it is waited for, live, and its status decides" {
	stand_in "$T/bin/git" <<<'echo c0ffee'
	stand_in deploy <<<'echo deployed'
	recipe "Somebody else's build" >"$T/recipe.sh"
	bg waits sh "$T/recipe.sh"
	start_daemon
	bg build "$SC" get build:c0ffee -- gate "$G"
	step "$G" out compiling
	shows waits 'compiling\n'
	step "$G" exit 0
	assert_rc 0 build waits
	is_file "$T/waits.out" 'compiling\ndeployed\n'
	"$SC" rm build:c0ffee
	bg waits sh "$T/recipe.sh"
	bg build "$SC" get build:c0ffee -- gate "$G"
	gate_up "$G" 2
	step "$G" out compiling
	shows waits 'compiling\n'
	step "$G" exit 2
	assert_rc 2 build waits
	times deploy 1
}

@test "Tags: a deploy removes what the old version has made, and what it is making is not kept" {
	stand_in render <<<'echo "page $1"'
	stand_in deploy <<<'exit "${FAILS:-0}"'
	recipe Tags >"$T/recipe.sh"
	export page=home
	bg old "$SC" get --tag site html:old -- gate "$G"
	gate_up
	entry other x
	FAILS=1 run -1 timeout $BOUND sh "$T/recipe.sh"
	assert_output 'page home'
	run -0 "$SC" get html:home
	run -0 timeout $BOUND sh "$T/recipe.sh"
	times render 1
	run -1 "$SC" get html:home
	step "$G" exit 0
	assert_rc 0 old
	run -0 "$SC" ls
	assert_output other
	head -n 1 "$T/recipe.sh" | sh
	page=about sh <(head -n 1 "$T/recipe.sh")
	eval "$(grep -o '`sc rm --tag "page[^`]*' "$ROOT/README.md" | tr -d '`')"
	run -0 "$SC" ls html:
	assert_output html:about
}

# The words of `docker run` obeyed: a root, a mount and a process namespace of its own, the volumes mounted, the variables set, and nothing
# else of ours. The image is a directory of the test, where CMD is run.
prepare_docker() {
	unshare -Urmp --fork --mount-proc true 2>/dev/null || skip 'missing tool: namespaces of our own'
	cat >"$T/bin/docker" <<-'END'
		#!/bin/bash
		set -eu
		user= volumes=() words=()
		[ "$1" = run ] && shift
		while [[ $1 == -* ]]; do
			case $1 in
			--rm) shift && continue ;;
			-u) user=$2 ;;
			-v) volumes+=("$2") ;;
			-e) words+=("$2") ;;
			*) exit 125 ;;
			esac
			shift 2
		done
		[ "$user" = "$(id -u)" ]
		image=$T/$1 root=$T/root
		shift
		mkdir -p "$root"
		words=(env -i -C "$image" "T=$T" "PATH=$PATH" HOME=/ "${words[@]}" "$@")
		exec unshare -Urmp --fork --kill-child bash -eu -c '
			root=$1 n=$2
			shift 2
			mount -t tmpfs none "$root"
			for entry in /*; do
				if [ -L "$entry" ]; then
					cp -P "$entry" "$root/"
				elif [ -d "$entry" ]; then
					mkdir "$root$entry"
					[ "$entry" = /proc ] || mount --rbind "$entry" "$root$entry"
				fi
			done
			mount -t proc none "$root/proc"
			for volume in "${@:1:n}"; do
				[ -d "${volume%%:*}" ]
				mkdir -p "$root${volume#*:}"
				mount --bind "${volume%%:*}" "$root${volume#*:}"
			done
			shift "$n"
			exec chroot "$root" "$@"
		' bash "$root" "${#volumes[@]}" "${volumes[@]}" "${words[@]}"
	END
	chmod +x "$T/bin/docker"
	export SC_DIR=$HOME/.cache/sc
	gated one/fetch-deps deps
	mkdir "$T/one" "$T/two"
	mv one/fetch-deps "$T/one/"
	cp "$T/one/fetch-deps" "$T/two/"
	recipe Containers >"$T/recipe.sh"
	[ "$(grep -c ^docker "$T/recipe.sh")" = 2 ]
	grep -v ' two ' "$T/recipe.sh" >"$T/one.sh"
	grep -v ' one ' "$T/recipe.sh" >"$T/two.sh"
}

@test "Containers: of two at once one runs it, and of one that comes later none" {
	prepare_docker
	bg one sh "$T/one.sh"
	gate_up "$T/deps"
	bg two sh "$T/two.sh"
	readers 2
	step "$T/deps" out x
	shows one 'x\n'
	shows two 'x\n'
	step "$T/deps" exit 0
	assert_rc 0 one two
	run -0 timeout $BOUND sh "$T/recipe.sh"
	assert_output $'x\nx'
	run -0 "$SC" get deps # of ours, too
	assert_output x
	times fetch-deps 1
}

@test "Containers: one that is killed takes its run and the daemon with it, and who follows goes on by a run of its own" {
	prepare_docker
	bg one sh "$T/one.sh"
	gate_up "$T/deps"
	bg two sh "$T/two.sh"
	readers 2
	step "$T/deps" out x
	shows two 'x\n'
	kill -9 "$(procs child "$(pid_of one)")"
	assert_rc 137 one
	gate_up "$T/deps" 2
	step "$T/deps" out x
	step "$T/deps" out y
	step "$T/deps" exit 0
	assert_rc 0 two
	is_file "$T/two.out" 'x\ny\n'
	times fetch-deps 2
}

# ---- without sc ------------------------------------------------------------------------------------------------------

# In SHELL, with the function, and nothing in PATH but what the words need.
without() { # SHELL SCRIPT [ARG…]
	local shell
	shell=$(command -v "$1")
	PATH=$T/few timeout -k 1 $BOUND "$shell" -c "$(recipe 'Without sc')"$'\n'"$2" "$1" "${@:3}"
}

in_every_shell() {
	local shell tool
	mkdir "$T/few"
	for tool in sh cat wc env sleep timeout; do ln -s "$(command -v $tool)" "$T/few/"; done
	echo x >"$T/few/plain"
	for shell in bash dash zsh sh; do
		needs $shell
		echo "in $shell" # what fails is said below it
		"$1" $shell
	done
}

is_a_bypass() {
	local sh=$1 k
	for k in 'sc get k --' 'sc get -t 1h --stale 5m -r -q k --tag a -w 3s --' 'sc get --ttl=1h -t1h --file /nowhere "a key" -b x --finish --' \
		'sc run' 'sc run --' 'sc run --file src --env CC -t 1h --no-cwd -r' 'sc run --tag=x -w 1m --keep-failures 3s --'; do
		run -5 --separate-stderr without "$sh" "echo mine | { $k sh -c 'cat; echo \"\$# <\$1> <\$2>\"; exit 5' -t 'a  b' ''; r=\$?; cat; exit \$r; }"
		assert_output $'2 <a  b> <>\nmine'
		[ -z "$stderr" ]
		run -127 without "$sh" "$k no-such-command-here"
		run -126 without "$sh" "$k $T/few/plain"
		run -143 without "$sh" "$k sh -c 'kill \$\$'"
		run -0 without "$sh" "set -eu; x=\$($k sh -c 'echo -n; echo z'); echo \"[\$x]\""
		assert_output '[z]'
	done
	run -0 without "$sh" "echo mine | sc get -t 1h --stdin k -- cat"
	assert_output mine
	run -0 without "$sh" "echo mine | sc run --stdin cat"
	assert_output mine
	run -0 without "$sh" "verb=a; sc run sh -c :; echo \$verb" # it leaves nothing of its own behind
	assert_output a
}
is_refused() {
	local sh=$1 k
	for k in 'sc get -o f k --' 'sc get k -of --' 'sc run --output=f' 'sc run --strict' 'sc get --print-key k --' 'sc warm k --' 'sc hold k --'; do
		run -125 --separate-stderr without "$sh" "$k env -C '$T' sh -c 'echo ran >ran'"
		[ -z "$output" ]
		[ "${#stderr_lines[@]}" = 1 ]
		[ ! -e "$T/ran" ]
	done
	run -125 --separate-stderr without "$sh" 'sc'
	run -125 --separate-stderr without "$sh" 'sc rm --all'
	run -1 --separate-stderr without "$sh" 'sc get -w 1m k'
	[ -z "$output$stderr" ]
}
# Options, with a value where they take one, as the program itself lists them.
knows_options() {
	local sh=$1 option
	while read -r option; do
		case $option in
		-o* | --output* | --print-key | --strict) run -125 without "$sh" "sc run $option sh -c 'echo ran'" ;;
		*)
			run -0 without "$sh" "sc run $option sh -c 'echo ran'"
			assert_output ran
			;;
		esac
	done <"$T/options"
}
calls_sc() {
	local sh=$1
	ln -sf "$SC" "$T/few/sc"
	run -0 without "$sh" "sc get k$sh -- sh -c 'echo x; echo run >>$T/called.runs'"
	assert_output x
	run -0 without "$sh" "sc get k$sh"
	assert_output x
	run -0 without "$sh" 'command -v sc'
	assert_output "$T/few/sc"
}

@test "Without sc: get and run run CMD as it stands, with its status, and without stdin, in bash, dash and zsh" {
	in_every_shell is_a_bypass
}

@test "Without sc: what would be something else is refused, and no key exists" {
	in_every_shell is_refused
}

@test "Without sc: it knows every option there is, and which of them have a value" {
	"$SC" help run | awk '/^ +-/ {
		long = $1 ~ /,$/ ? 2 : 1
		value = $(long + 1) ~ /^([A-Z]+|[a-z]+[|].*)$/ ? " value" : ""
		if (long == 2) print substr($1, 1, 2) value
		print $long value
	}' >"$T/options"
	grep -qx -- '--ttl value' "$T/options"
	grep -qx -- '-t value' "$T/options"
	grep -qx -- -r "$T/options"
	[ "$(lines_in "$T/options")" -ge 25 ]
	in_every_shell knows_options
}

@test "Without sc: where there is one it is called, and there is no function" {
	in_every_shell calls_sc
}
