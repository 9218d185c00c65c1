#!/bin/sh
# Measures outbox and uplink against their bars, beside a mosquitto bridge doing the
# same on the same path, and prints one table. Needs root (loop devices, network
# namespaces), e2fsprogs, iproute2, nftables, mosquitto and mosquitto-clients; a row
# that cannot be measured says "-". It takes six minutes.
#
# BENCH_FULL=1 adds the drain of a million events (400 MB of disk) and the default
# keepalive of 20 minutes in real time.
set -eu
cd "$(dirname "$0")/.."

tmp=$(mktemp -d)
bridge=''
finish() {
	for p in $bridge; do kill "$p" 2>/dev/null || true; done
	for m in "$tmp/mnt" "$tmp/cut"; do mountpoint -q "$m" 2>/dev/null && umount "$m"; done
	rm -rf "$tmp"
}
stop_bridge() {
	kill "$bridge" 2>/dev/null || true
	wait "$bridge" 2>/dev/null || true
	bridge=''
}
trap finish EXIT
trap 'exit 1' INT TERM

mosquitto=$(command -v mosquitto || echo /usr/sbin/mosquitto)
mkfs=$(command -v mkfs.ext4 || echo /usr/sbin/mkfs.ext4)
log=$tmp/log
: >"$log"
run() { # run PACKAGE NAMES [FLAG...]: tests that print figures, into the log
	package=$1 names=$2
	shift 2
	go test -count=1 -v -timeout 40m "$@" "$package" -run "$names" >>"$log" 2>&1 || { echo "bench-uplink: $package: $names:" && grep -- '--- FAIL\|_test.go' "$log" | tail -n 20; } >&2
}
export CELLWARDEN_BENCH=1
drains='DrainToBroker10k$'
if [ "${BENCH_FULL:-}" ]; then
	CELLWARDEN_BENCH=full
	drains='DrainToBroker(10k|1M)$'
fi
# What needs the processor goes first and alone; what only waits goes together.
go test -count=1 ./agent -run '^$' -bench "$drains" -benchtime 3x >>"$log" 2>&1 || tail -n 20 "$log" >&2
run ./agent/outbox 'TestFlashOnExt4|TestPowerCutOnExt4'
CELLWARDEN_LONG=10 run ./agent/outbox 'TestKill9|TestPowerCutAtEveryWrite'
run ./agent 'TestMemoryWithABacklog|TestKill9OfTheAgent|TestMemoryUnderALyingBroker'
run ./agent/uplink 'PeerBacklog'
run ./agent/uplink 'OnThePath|SilentPath|IdleInRealTime' -parallel 16

# have PATTERN: the first figure after the pattern in the log.
have() { sed -n "s/.*$1 *\([0-9][0-9.]*\).*/\1/p" "$log" | head -n 1 | grep . || echo -; }

# The peer: a bridge whose far end is away, with its store on a file system of its
# own, kept at every change.
peer_flash=- peer_flash32=- peer_lost=- peer_killed=-
publish() { # publish N GAP: N events of 300 bytes, QoS 1, over one connection
	awk -v n="$1" -v gap="$2" 'BEGIN { for (i = 0; i < n; i++) { s = sprintf("%06d", i); while (length(s) < 300) s = s "x"; print s; fflush(); if (gap) system("sleep " gap) } }' |
		mosquitto_pub -h 127.0.0.1 -p 21890 -i publisher -t e/1 -q 1 -l
}
if [ "$(id -u)" = 0 ] && [ -x "$mosquitto" ] && [ -x "$mkfs" ] && command -v mosquitto_pub >/dev/null; then
	mkdir "$tmp/mnt" "$tmp/cut"
	truncate -s 64M "$tmp/image"
	"$mkfs" -q -F -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$tmp/image"
	if mount -o loop,noatime "$tmp/image" "$tmp/mnt" 2>/dev/null; then
		dev=$(basename "$(findmnt -n -o SOURCE "$tmp/mnt")")
		sectors() { sync -f "$tmp/mnt"; awk '{ print $7 }' "/sys/block/$dev/stat"; }
		cat >"$tmp/bridge.conf" <<-CONF
			listener 21890 127.0.0.1
			allow_anonymous true
			user root
			persistence true
			persistence_location $tmp/mnt/
			autosave_on_changes true
			autosave_interval 1
			max_queued_messages 0
			connection far
			address 127.0.0.1:21891
			topic e/# out 1
			cleansession false
		CONF
		"$mosquitto" -c "$tmp/bridge.conf" 2>"$tmp/bridge.log" &
		bridge=$!
		sleep 1
		publish 10 0
		before=$(sectors) # it writes its whole store anew each time: the more waits, the dearer
		publish 100 0.02
		peer_flash=$((($(sectors) - before) * 512 / 100))
		stop_bridge
		sed -i 's/^autosave_interval.*/autosave_interval 32/' "$tmp/bridge.conf"
		"$mosquitto" -c "$tmp/bridge.conf" 2>>"$tmp/bridge.log" &
		bridge=$!
		sleep 1
		before=$(sectors)
		publish 640 0.002
		peer_flash32=$((($(sectors) - before) * 512 / 640))
		# The same broker as Debian ships it keeps its store at intervals.
		stop_bridge
		rm -f "$tmp"/mnt/*.db
		sync -f "$tmp/mnt"
		sed -i '/^autosave/d' "$tmp/bridge.conf"
		"$mosquitto" -c "$tmp/bridge.conf" 2>>"$tmp/bridge.log" &
		bridge=$!
		sleep 1
		publish 1000 0
		sleep 1
		cp "$tmp/image" "$tmp/after" # what has reached the device, as a power cut leaves it
		if mount -o loop "$tmp/after" "$tmp/cut" 2>/dev/null; then
			n=$(cat "$tmp"/cut/*.db 2>/dev/null | grep -a -o '0[0-9]\{5\}xxxx' | sort -u | wc -l)
			peer_lost=$((1000 - n))
		fi
		kill -9 "$bridge"
		wait "$bridge" 2>/dev/null || true
		n=$(cat "$tmp"/mnt/*.db 2>/dev/null | grep -a -o '0[0-9]\{5\}xxxx' | sort -u | wc -l)
		peer_killed=$((1000 - n))
	fi
fi

# told WHAT: the largest of the figures of that name.
told() { sed -n "s/.*FIGURE $1 = \([0-9.]*\)\$/\1/p" "$log" | sort -n | tail -n 1 | grep . || echo -; }
flash() { sed -n 's/.* \([0-9]*\) bytes of flash for an event.*/\1/p' "$log" | sed -n "$1p" | grep . || echo -; }
drain() { # drain WHICH COLUMN
	awk -v which="BenchmarkDrainToBroker$1-" -v unit="$2" 'index($1, which) == 1 || $1 == substr(which, 1, length(which) - 1) { for (i = 2; i <= NF; i++) if ($i == unit) print $(i - 1) }' "$log" | grep . || echo -
}
ka='keepalive 1m0s'
[ "${BENCH_FULL:-}" ] && ka='keepalive 20m0s'

row() { printf '%-56s %12s %10s %12s\n' "$@"; }
row figure measured bar bridge
row 'events lost: 1,000 kill -9 of the outbox' "$(grep -q '1000 kills.*none lost' "$log" && echo 0 || echo failed)" 0 -
row 'events lost: 12 kill -9 of the whole agent (bridge: 1)' "$(grep -q 'all arrived' "$log" && echo 0 || echo failed)" 0 "$peer_killed"
row 'events lost: power cut 1 s after accept, of 1,000' "$(have 'power cut lost')" 0 "$peer_lost"
row 'simulated power cuts, each followed by another, none lost' "$(sed -n 's/.*: \([0-9]*\) power cuts, .* evicted.*/\1/p' "$log" | grep . || echo failed)" - -
row 'flash per event alone, B' "$(flash 1)" 4500 "$peer_flash"
row 'flash per event in groups of 32, B' "$(flash 2)" 450 "$peer_flash32"
row 'memory with 100,000 waiting, KB over idle' "$(have 'waiting: [+]')" 2048 "$(told 'bridge: memory with 100,000 waiting, KB over idle')"
row 'memory under a broker that lies, peak, KB over one that does not' "$(sed -n 's/.*lies: [+]*\(-*[0-9]*\) KB.*/\1/p' "$log")" 2048 -
row 'lost of 10,000 waiting (bridge: 100,000)' "$([ "$(drain 10k events/s)" != - ] && echo 0 || echo failed)" 0 "$(told 'bridge: lost of 100000 waiting')"
row 'drain of 10,000, events/s' "$(drain 10k events/s)" 20000 "$(told 'bridge: drain of 10000, events\/s')"
row '  and processor time of ours per event, us' "$(drain 10k us-cpu/event)" 50 -
if [ "${BENCH_FULL:-}" ]; then
	row 'drain of 1,000,000, events/s (bridge: 60,000)' "$(drain 1M events/s)" 20000 "$(told 'bridge: drain of 60000, events\/s')"
	row '  and processor time of ours per event, us' "$(drain 1M us-cpu/event)" 50 -
fi
row 'air: a lone event of 300 B over TLS, B' "$(told 'one lone alert of 300 B, B')" 550 "$(told 'bridge: one lone event of 300 B, B')"
row 'air: per event in a drain, B' "$(told 'per event in a drain, B')" 60 "$(told 'bridge: per event in a drain, B')"
row 'air: an idle day over TLS, B' "$(told 'idle day over TLS, B')" 15000 "$(told 'bridge: idle day at its keepalive of 60 s, B')"
[ "${BENCH_FULL:-}" ] && row '  one keepalive of 20 min in real time, B' "$(told 'one keepalive of 20 min in real time, B')" 206 -
row 'air: TLS reconnect after a restart to CONNACK, B (bridge: in all)' "$(told 'TLS reconnect resumed after a restart to CONNACK, B')" 1900 "$(told 'bridge: TLS reconnect after a restart with all that belongs to it, B')"
row 'air: a default day, B' "$(told 'default day in all, B')" 40000 -
row 'silent link found while publishing, s' "$(told 'silent link found while publishing, s')" 15 "$(told 'bridge: silent link found while publishing, s')"
row "silent link found while idle, $ka, s over it" "$(told "silent link found while idle, $ka, s over the keepalive")" 10 "$(told 'bridge: silent link found while idle, s over the keepalive')"
