#!/bin/sh
# Measures outbox and uplink against their bars, beside a mosquitto bridge where
# it can do the same, and prints one table. Needs root (loop devices), e2fsprogs,
# mosquitto and mosquitto-clients; a row that cannot be measured says "-".
# BENCH_FULL=1 adds the drain of a million events (400 MB of disk, two minutes).
set -eu
cd "$(dirname "$0")/.."

tmp=$(mktemp -d)
bridge=''
far=''
finish() {
	for p in $bridge $far; do kill "$p" 2>/dev/null || true; done
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
go test -count=1 -v ./agent/uplink -run 'TestOnTheAir|TestSilentLink|TestPingBound' >"$log" 2>&1 || cat "$log"
go test -count=1 -v ./agent/outbox -run 'TestFlashOnExt4|TestPowerCutOnExt4|TestKill9' >>"$log" 2>&1 || tail -n 40 "$log"
go test -count=1 -v ./agent -run 'TestMemoryWithABacklog|TestKill9OfTheAgent' >>"$log" 2>&1 || tail -n 40 "$log"
drains='DrainToBroker10k$'
[ "${BENCH_FULL:-}" ] && drains='DrainToBroker(10k|1M)$'
go test -count=1 ./agent -run '^$' -bench "$drains" -benchtime 3x >>"$log" 2>&1 || tail -n 20 "$log"

# have PATTERN: the first figure after the pattern in the log.
have() { sed -n "s/.*$1 *\([0-9][0-9.]*\).*/\1/p" "$log" | head -n 1 | grep . || echo -; }

# The peer: a bridge whose far end is away, with its store on a file system of its
# own, kept at every change.
peer_flash=- peer_lost=- peer_idle=-
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
		stop_bridge
	fi
fi
# Its idle line: the shortest keepalive that a bridge takes, counted by the kernel
# at the loopback, then reckoned to its default of 60 s, over plain TCP.
if [ -x "$mosquitto" ] && command -v ss >/dev/null; then
	printf 'listener 21891 127.0.0.1\nallow_anonymous true\nuser root\n' >"$tmp/far.conf"
	printf 'listener 21890 127.0.0.1\nallow_anonymous true\nuser root\nconnection far\naddress 127.0.0.1:21891\ntopic e/# out 1\nkeepalive_interval 5\n' >"$tmp/near.conf"
	"$mosquitto" -c "$tmp/far.conf" 2>/dev/null &
	far=$!
	sleep 0.5
	"$mosquitto" -c "$tmp/near.conf" 2>/dev/null &
	bridge=$!
	sleep 3
	count() { # bytes of payload and segments of the bridge's connection
		ss -tinH "dport = :21891" | tr ' ' '\n' | awk -F: '/^bytes_sent:|^bytes_received:/ { b += $2 } /^segs_out:|^segs_in:/ { s += $2 } END { print b + 52 * s }'
	}
	a=$(count)
	sleep 20
	b=$(count)
	peer_idle=$(((b - a) * 1440 / 4))
fi

row() { printf '%-50s %12s %14s %12s\n' "$@"; }
row figure measured bar bridge
row 'events lost: kill -9 of the whole agent' "$(grep -q 'all arrived' "$log" && echo 0 || echo failed)" 0 -
row 'events lost: power cut 1 s after accept, of 1000' "$(have 'power cut lost')" 0 "$peer_lost"
row 'flash per event alone, B' "$(sed -n 's/.* \([0-9]*\) bytes of flash for an event.*/\1/p' "$log" | sed -n 1p)" 4500 "$peer_flash"
row 'flash per event in groups of 32, B' "$(sed -n 's/.* \([0-9]*\) bytes of flash for an event.*/\1/p' "$log" | sed -n 2p)" 450 -
row 'memory with 100,000 waiting, KB over idle' "$(have 'waiting: [+]')" 2048 -
row 'drain of 10,000, events/s' "$(sed -n 's/^BenchmarkDrainToBroker10k.* \([0-9][0-9]*\) events.*/\1/p' "$log")" 20000 -
[ "${BENCH_FULL:-}" ] && row 'drain of 1,000,000, events/s' "$(sed -n 's/^BenchmarkDrainToBroker1M.* \([0-9][0-9]*\) events.*/\1/p' "$log")" 20000 -
row 'air: a lone alert of 300 B over TLS, B' "$(have 'one lone alert of 300 B')" 550 -
row 'air: per event in a drain, B' "$(have 'in a drain of [0-9]*')" 60 -
row 'air: an idle day over TLS (bridge: plain), B' "$(have 'an idle day, from the ping')" 15000 "$peer_idle"
row 'air: TLS reconnect resumed after a restart, B' "$(have 'restart, to CONNACK')" 1900 -
row 'air: a default day, B' "$(have 'pings, two reconnects')" 40000 -
row 'silent link while publishing, s (Ack at default)' 12 15 -
row 'silent link while idle, s over the keepalive' "$(grep -q -- '--- PASS: TestPingBound' "$log" && echo '<=10' || echo failed)" 10 -
