#!/bin/sh
# Puts cellwarden on an Android board over adb, as a service of its init:
#
#   push.sh [-s SERIAL] [-l SECLABEL] install|remove|purge|status
#
# The board's build must be one that lets adb be root (userdebug, eng, or a vendor's).
# -l sets the SELinux label of the service, where SELinux enforces: a label that the
# board's policy lets init start and that may open ttys and sockets; many boards for
# machines are permissive and need none. install overwrites the program and the
# service, never the config. remove keeps config and state, purge removes them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
serial='' label=''
while getopts s:l: opt; do
	case $opt in
	s) serial=$OPTARG ;;
	l) label=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

die() {
	echo "push: $*" >&2
	exit 1
}

# adb with the device that was named. Without standard input: adb shell would eat it.
board() { adb ${serial:+-s "$serial"} "$@" </dev/null; }

# sh COMMAND: run on the board. Old adb has no exit codes, so success is printed.
on_board() { board shell "{ $1; } && echo done." | tr -d '\r' | grep -q '^done\.$'; }
prop() { board shell getprop "$1" | tr -d '\r'; }

prepare() {
	command -v adb >/dev/null || die "adb is not here: install Android's platform tools"
	board root >/dev/null || true
	board wait-for-device
	# shellcheck disable=SC2016 # the board is to expand it
	on_board 'test "$(id -u)" = 0' || die "adb is not root on the board: use a userdebug build"
	board remount >/dev/null || true
	etc=/vendor/etc/init bin=/vendor/bin
	if ! on_board "test -d $etc"; then etc=/system/etc/init bin=/system/bin; fi
	on_board "test -d $etc" || die "no $etc: before Android 7 the service has to be imported in the board's init.rc"
	on_board "touch $bin/.cellwarden && rm $bin/.cellwarden" ||
		die "$bin is read-only: adb disable-verity, adb reboot, and again"
}

install() {
	case $(prop ro.product.cpu.abi) in
	arm64*) file=cellwarden-arm64 ;;
	armeabi-v7a) file=cellwarden-armv7 ;;
	x86_64) file=cellwarden-amd64 ;;
	*) die "no binary for $(prop ro.product.cpu.abi)" ;;
	esac
	[ -f "$here/$file" ] || die "$file is not in this package"
	# Under another name first: what runs cannot be written, and a broken cable
	# must not leave half a program.
	board push "$here/$file" "$bin/cellwarden.new" >/dev/null
	on_board "chmod 755 $bin/cellwarden.new && $bin/cellwarden.new version" || die "the board cannot run $file"

	wrapper=$(for w in /system/bin/logwrapper /vendor/bin/logwrapper; do if on_board "test -x $w"; then echo "$w"; fi; done | head -n 1)
	rc=$(mktemp)
	trap 'rm -f "$rc"' EXIT
	sed -e "/^service/s|@LOGWRAPPER@ |${wrapper:+$wrapper }|" -e "s|@LOGWRAPPER@|logwrapper|" -e "s|@BIN@|$bin/cellwarden|" \
		-e "s|^@SECLABEL@|${label:+    seclabel $label}|" "$here/cellwarden.rc" >"$rc"
	on_board 'stop cellwarden; true'
	on_board "mv $bin/cellwarden.new $bin/cellwarden && sync" || die "the program could not be put in its place"
	board push "$rc" "$etc/cellwarden.rc" >/dev/null
	on_board "chmod 644 $etc/cellwarden.rc"
	if ! on_board 'test -f /data/cellwarden/cellwarden.toml'; then
		on_board 'mkdir -p /data/cellwarden'
		board push "$here/cellwarden.toml" /data/cellwarden/cellwarden.toml >/dev/null
	fi
	on_board 'chown radio:radio /data/cellwarden /data/cellwarden/cellwarden.toml && chmod 750 /data/cellwarden && chmod 640 /data/cellwarden/cellwarden.toml'
	echo "push: installed. init reads a new service at boot only, so: adb reboot"
	echo "push: then on the board: CELLWARDEN_SOCKET=/dev/cellwarden/api.sock $bin/cellwarden status"
}

remove() {
	on_board 'stop cellwarden; true'
	on_board "rm -f $bin/cellwarden $bin/cellwarden.new $etc/cellwarden.rc && sync" || die "could not be removed"
}

case "${1:-}" in
install) prepare && install ;;
remove) prepare && remove && echo "push: removed; config and state are in /data/cellwarden" ;;
purge)
	prepare && remove
	on_board 'rm -rf /data/cellwarden /dev/cellwarden' || die "/data/cellwarden could not be removed"
	echo "push: removed with config and state"
	;;
status)
	prepare
	board shell "getprop init.svc.cellwarden; CELLWARDEN_SOCKET=/dev/cellwarden/api.sock $bin/cellwarden status"
	;;
*)
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
