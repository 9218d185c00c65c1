#!/bin/sh
# Boots a small ARM system in qemu-system-arm with the agent as its service and a
# simulated modem on a second serial line (agent/e2e, TestSmallSystem). For the
# nightly run: it needs Debian, qemu-system-arm and, once, 45 MB for Debian's armhf
# kernel and busybox, which are kept in build/system.
set -eu
cd "$(dirname "$0")/.."

command -v qemu-system-arm >/dev/null || {
	echo "system: qemu-system-arm is missing: apt-get install --no-install-recommends qemu-system-arm" >&2
	exit 1
}

dir=$PWD/build/system
if [ ! -f "$dir/busybox" ]; then
	rm -rf "$dir"
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/parts" "$dir/root"
	# apt beside the machine's own: another architecture must not show there.
	: >"$dir/status"
	cat >"$dir/apt.conf" <<-end
		APT::Architecture "armhf";
		APT::Architectures "armhf";
		APT::Sandbox::User "root";
		Dir::State "$dir";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "$dir/parts";
		Dir::Etc::parts "$dir/parts";
	end
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main" >"$dir/sources.list"
	export APT_CONFIG="$dir/apt.conf"
	apt-get -q update
	kernel=$(apt-cache depends linux-image-armmp | sed -n 's/^  Depends: \(linux-image-[0-9].*-armmp\)$/\1/p')
	(cd "$dir/root" && apt-get -q download "$kernel" busybox-static && for deb in *.deb; do dpkg-deb -x "$deb" .; done)
	mv "$dir"/root/boot/vmlinuz-* "$dir/vmlinuz"
	for module in failover net_failover virtio_mmio virtio_net; do
		find "$dir/root/lib/modules" -name "$module.ko" -exec mv {} "$dir/" \;
	done
	mv "$dir/root/bin/busybox" "$dir/busybox"
	rm -rf "$dir/root" "$dir/cache" "$dir/lists"
fi
CELLWARDEN_SYSTEM=$dir exec go test -count=1 -timeout 15m -v -run SmallSystem ./agent/e2e
