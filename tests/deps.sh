#!/bin/bash
# Installs the Debian packages of the sets named as arguments (build, test, lint, man) that are missing. When none is, it asks
# dpkg's database once and touches neither network nor sudo.
set -u

build='gcc libc6-dev make pkg-config libuv1-dev libsqlite3-dev libmsgpack-dev libsodium-dev uthash-dev libxxhash-dev
	libjansson-dev libinih-dev'
test='libcmocka-dev bats bats-support bats-assert sqlite3 strace jq faketime procps psmisc util-linux bsdutils python3 ninja-build
	e2fsprogs btrfs-progs scdoc mandoc zsh fish dash git tmux fzf direnv python3-yaml'
man=scdoc
lint='clang clang-tidy clang-format cppcheck shellcheck libclang-rt-14-dev'

wanted=
for set in "$@"; do
	case $set in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $test" ;;
	lint) wanted="$wanted $lint" ;;
	man) wanted="$wanted $man" ;;
	*)
		echo "deps.sh: no such set of packages: $set (build, test, lint, man)" >&2
		exit 2
		;;
	esac
done
# shellcheck disable=SC2086  # words are meant
set -- $wanted

if ! command -v dpkg-query >/dev/null; then
	echo "deps: this is not a Debian system, so nothing is checked or installed; these Debian packages are needed: $*" >&2
	exit 0
fi

missing_of() {
	# dpkg-query fails for names it does not know and still prints the others.
	dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
		awk 'BEGIN { for (i = 1; i < ARGC; i++) want[i] = ARGV[i]; n = ARGC; ARGC = 1 }
			$2 == "installed" { have[$1] = 1 }
			END { for (i = 1; i < n; i++) if (!(want[i] in have)) printf " %s", want[i] }' "$@"
}

missing=$(missing_of "$@")
[ -z "$missing" ] && exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		echo "deps: missing packages, and neither root nor passwordless sudo to install them. Run:" >&2
		echo "  sudo apt-get install$missing" >&2
		exit 1
	fi
	as_root='sudo -n'
fi
if ! command -v apt-get >/dev/null; then
	echo "deps: missing packages, and no apt-get to install them with:$missing" >&2
	exit 1
fi

echo "deps: installing$missing" >&2
apt() {
	# sudo drops the environment, so it is given behind it. Another apt on the machine is waited for.
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}
apt update >&2 || echo "deps: apt-get update failed; trying with the lists there are" >&2
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing >&2

# shellcheck disable=SC2086
missing=$(missing_of $missing)
if [ -n "$missing" ]; then
	echo "deps: apt-get could not install:$missing" >&2
	exit 1
fi
