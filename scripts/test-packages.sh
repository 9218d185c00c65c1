#!/bin/sh
# The packages in whole systems: lintian, a Debian root with the SysV script, one of
# armhf under an emulator, and one that boots systemd. As root on a Debian machine
# with the network it installs what it needs; else it says what that is. Takes some
# eleven minutes and 2 GB below TMPDIR. CELLWARDEN_DEBIAN_MIRROR is another mirror.
#
#   scripts/test-packages.sh [TEST]    a pattern as for go test -run
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
export PATH

packages='lintian debootstrap systemd-container qemu-user-static busybox-static shellcheck man-db groff-base'
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "test-packages: needs root on a Debian machine, with: apt-get install $packages" >&2
	exit 1
fi
missing=
for package in $packages; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
done
if [ -n "$missing" ]; then
	echo "test-packages: apt-get install$missing"
	apt-get -q -y -o Dpkg::Use-Pty=0 update >/dev/null
	# shellcheck disable=SC2086 # a list
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends $missing >/dev/null
fi
CELLWARDEN_PACKAGES=1 exec go test -count=1 -v -timeout 60m -run "${1:-.}" ./firmware-targets/packaging/...
