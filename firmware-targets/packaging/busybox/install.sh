#!/bin/sh
# Installs cellwarden on a board without a package manager, from the unpacked
# archive; BusyBox is enough.
#
#   ./install.sh [install]    or the newer version over the older one
#   ./install.sh remove       keeps config, waiting events and the meter
#   ./install.sh purge        removes these too, and the user
#
# Installed, it is /usr/lib/cellwarden/install.sh. Run it as root. The config is
# never overwritten. A power cut leaves the old program or the new one.
set -eu

BIN=/usr/bin/cellwarden
LIB=/usr/lib/cellwarden
ETC=/etc/cellwarden
STATE=/var/lib/cellwarden
INIT=/etc/init.d/cellwarden
UNIT=/etc/systemd/system/cellwarden.service
RUN=/run/cellwarden

here=$(cd "$(dirname "$0")" && pwd)

die() {
	echo "install: $*" >&2
	exit 1
}

has() { command -v "$1" >/dev/null; }

# put FILE PLACE MODE: whole or not at all, and on the flash.
put() {
	cp "$here/$1" "$2.new"
	chmod "$3" "$2.new"
	sync
	mv -f "$2.new" "$2"
}

# free FILE: the lowest number from 900 down that no line of FILE has, as uid or gid.
free() {
	n=900
	while cut -d : -f 3 "$1" | grep -qx "$n"; do n=$((n - 1)); done
	echo "$n"
}

in_file() { grep -q "^$1:" "$2" 2>/dev/null; }

# add_user makes the user and group cellwarden, in dialout. By hand: not every
# BusyBox has adduser, and those that have one differ.
add_user() {
	touch /etc/passwd /etc/group
	in_file dialout /etc/group || echo "dialout:x:$(in_file '[^:]*:[^:]*:20' /etc/group && free /etc/group || echo 20):" >>/etc/group
	in_file cellwarden /etc/group || echo "cellwarden:x:$(free /etc/group):" >>/etc/group
	gid=$(sed -n 's/^cellwarden:[^:]*:\([0-9]*\):.*/\1/p' /etc/group)
	in_file cellwarden /etc/passwd || echo "cellwarden:x:$(free /etc/passwd):$gid:cellwarden:$STATE:/bin/false" >>/etc/passwd
	if [ -f /etc/shadow ] && ! in_file cellwarden /etc/shadow; then
		echo "cellwarden:*:1:0:99999:7:::" >>/etc/shadow
	fi
	for group in dialout gpio; do
		if in_file "$group" /etc/group && ! grep "^$group:" /etc/group | cut -d : -f 4 | grep -qw cellwarden; then
			sed -e "/^$group:.*:\$/s/\$/cellwarden/;t" -e "/^$group:/s/\$/,cellwarden/" /etc/group >/etc/group.new
			chmod 644 /etc/group.new
			mv /etc/group.new /etc/group
		fi
	done
}

drop_user() {
	for file in /etc/passwd /etc/group /etc/shadow; do
		[ -f "$file" ] || continue
		sed -e '/^cellwarden:/d' -e '/^dialout:/s/\([:,]\)cellwarden\(,\|$\)/\1/' -e '/^gpio:/s/\([:,]\)cellwarden\(,\|$\)/\1/' \
			-e 's/,$//' "$file" >"$file.new"
		if [ "$file" = /etc/shadow ]; then chmod 640 "$file.new"; else chmod 644 "$file.new"; fi
		mv "$file.new" "$file"
	done
}

systemd() { [ -d /run/systemd/system ] && has systemctl; }

# at_boot has the service started at boot, in the way of this board.
at_boot() {
	if has update-rc.d; then
		update-rc.d cellwarden defaults >/dev/null
	elif [ -d /etc/rcS.d ] || [ -d /etc/rc5.d ]; then
		for dir in /etc/rcS.d /etc/rc5.d; do
			[ ! -d "$dir" ] || ln -sf ../init.d/cellwarden "$dir/S90cellwarden"
		done
	elif grep -qs 'init\.d/S' /etc/init.d/rcS; then
		ln -sf cellwarden /etc/init.d/S90cellwarden
	else
		echo "install: how this board starts its services is not known; let it run at boot: $INIT start"
	fi
}

install() {
	[ -f "$here/cellwarden" ] || die "the program is not beside this script: unpack the archive and run the script there"
	[ "$here" != "$LIB" ] || die "this is the installed script: run the one in the unpacked archive"
	# A program for a better CPU dies of an illegal instruction; better now than as
	# a service.
	chmod +x "$here/cellwarden"
	version=$("$here/cellwarden" version 2>/dev/null) || die "the program does not run on this CPU ($(uname -m)): take the archive for it"
	need=$(($(wc -c <"$here/cellwarden") / 1024 + 256))
	room=$(df -k "$(dirname "$BIN")" 2>/dev/null | awk 'END { print $(NF-2) }')
	case $room in
	'' | *[!0-9]*) ;; # df cannot tell
	*) [ "$room" -ge "$need" ] || die "$(dirname "$BIN") has $room KiB of room, $need are needed" ;;
	esac

	add_user
	mkdir -p "$LIB" "$ETC" "$STATE" "$(dirname "$BIN")" "$(dirname "$INIT")" /etc/default
	chown cellwarden:cellwarden "$STATE"
	chmod 700 "$STATE"
	put cellwarden "$BIN" 755
	put install.sh "$LIB/install.sh" 755
	for file in LICENSE notices.gz sbom.cdx.json.gz; do put "$file" "$LIB/$file" 644; done
	if [ ! -f "$ETC/cellwarden.toml" ]; then
		put cellwarden.toml "$ETC/cellwarden.toml" 640
		chown root:cellwarden "$ETC" "$ETC/cellwarden.toml"
		chmod 750 "$ETC"
	fi
	[ -f /etc/default/cellwarden ] || put cellwarden.default /etc/default/cellwarden 644
	if systemd; then
		put cellwarden.service "$UNIT" 644
		systemctl daemon-reload
		systemctl -q enable cellwarden
		systemctl restart cellwarden
	else
		put cellwarden.init "$INIT" 755
		at_boot
		"$INIT" restart
	fi
	echo "install: $version"
}

remove() {
	if systemd; then
		systemctl -q disable --now cellwarden || true
	elif [ -x "$INIT" ]; then
		"$INIT" stop
	fi
	if has update-rc.d; then update-rc.d -f cellwarden remove >/dev/null 2>&1 || true; fi
	rm -f "$BIN" "$BIN.new" "$INIT" "$UNIT" /etc/init.d/S90cellwarden /etc/rcS.d/S90cellwarden /etc/rc5.d/S90cellwarden
	rm -rf "$LIB" "$RUN" "$RUN.log" "$RUN.log.1"
	if systemd; then systemctl daemon-reload; fi
	sync
}

[ "$(id -u)" = 0 ] || die "run it as root"
case "${1:-install}" in
install) install ;;
remove)
	remove
	echo "install: removed; config is in $ETC, events and meter in $STATE"
	;;
purge)
	remove
	rm -rf "$ETC" "$STATE" /etc/default/cellwarden
	drop_user
	sync
	echo "install: removed with config and state"
	;;
*)
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
