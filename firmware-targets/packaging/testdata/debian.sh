# shellcheck shell=sh
# Plays in a Debian root with the packages /v1.deb, /v2.deb and /v3.deb (which brings
# another config) and the simulated modem: with systemd when that runs, else with the
# SysV script. Installed, used, upgraded, downgraded, removed, purged.
# shellcheck disable=SC1091,SC2154 # lib.sh is beside this file and has $edit
# shellcheck disable=SC2015 # A && B || C: fail is meant for both
. /test/lib.sh
export DEBIAN_FRONTEND=noninteractive
exec </dev/null
echo 'AGAIN=1' >/etc/default/cellwarden.test

systemd() { [ -d /run/systemd/system ]; }
agent_pid() {
	if systemd; then systemctl show -p MainPID --value cellwarden; else cat /run/cellwarden.agent.pid; fi
}
cellwarden_pid_after() { # another one than this, when there is one
	pid=$(agent_pid)
	case $pid in 0 | "$1") ;; *) echo "$pid" ;; esac
}
service_is() { # service_is running|stopped
	if systemd; then
		case $1 in
		running) systemctl -q is-active cellwarden ;;
		stopped) ! systemctl -q is-active cellwarden ;;
		esac
	else
		case $1 in
		running) /etc/init.d/cellwarden status ;;
		stopped) ! pidof cellwarden ;;
		esac
	fi
}
passes() { ping -q -c 1 -W 2 10.9.0.2; }
sold_out() { # what the machine sends until nothing passes any more: 120 kB a time
	ping -q -c 1 -W 2 -s 60000 10.9.0.2 && sleep 2
	! passes
}
edits_kept() {
	expect "$edit" cat /etc/cellwarden/cellwarden.toml
	[ ! -e /etc/cellwarden/cellwarden.toml.dpkg-new ] || fail "dpkg left a question"
}

restart() { if systemd; then systemctl restart cellwarden; else invoke-rc.d cellwarden restart; fi; }
runs() { # runs VERSION SLOT: that one, and no trial any more
	says "Version *$1" cellwarden status --all && says "$2" cellwarden update status &&
		! says "on trial" cellwarden update status
}
release() { echo /releases/cellwarden-"$1"-*.json; }

step "install: it starts, as its user"
dpkg -i /v1.deb || fail "dpkg: $?"
until_true service_is running
until_true says "Version *v1.0.0" cellwarden status --all
runs_as_user "$(agent_pid)"
[ "$(stat -c %a:%U:%G /etc/cellwarden/cellwarden.toml)" = 640:root:cellwarden ] || fail "the config may be read by others: $(ls -l /etc/cellwarden)"
[ "$(stat -c %a:%U /var/lib/cellwarden)" = 700:cellwarden ] || fail "the state is open: $(ls -ld /var/lib/cellwarden)"
if systemd; then
	expect enabled systemctl is-enabled cellwarden
	# Bit 13 is CAP_NET_RAW; nothing else, also not by a program that it starts.
	[ "$(agent_of "$(agent_pid)" CapBnd)" = 0000000000002000 ] || fail "capabilities: $(grep Cap "/proc/$(agent_pid)/status")"
	[ "$(agent_of "$(agent_pid)" CapEff)" = 0000000000002000 ] || fail "capabilities: $(grep Cap "/proc/$(agent_pid)/status")"
	[ "$(agent_of "$(agent_pid)" NoNewPrivs)$(agent_of "$(agent_pid)" Seccomp)" = 12 ] || fail "no seccomp filter"
else
	[ -e /etc/rc2.d/S01cellwarden ] || [ -e /etc/rc2.d/S02cellwarden ] || fail "nothing starts it at boot: $(ls /etc/rc2.d)"
fi

step "edit the config, restart: it reads the modem, and keeps an event"
modem
configure /etc/cellwarden/cellwarden.toml
restart
until_true says "Modem *ok" cellwarden status
put_event

step "upgrade: the new program, the old config, the waiting event"
before=$(agent_pid)
dpkg -i /v2.deb || fail "dpkg: $?"
until_true says "Version *v2.0.0" cellwarden status --all
until_true queue_kept
[ "$(agent_pid)" != "$before" ] || fail "the old one still runs"
edits_kept
runs_as_user "$(agent_pid)"

step "downgrade: what is kept can be read by the older one"
dpkg -i /v1.deb || fail "dpkg: $?"
until_true says "Version *v1.0.0" cellwarden status --all
until_true queue_kept
edits_kept

step "an upgrade with another config leaves the edited one, and the new one beside it"
dpkg --force-confold -i /v3.deb || fail "dpkg: $?"
until_true queue_kept
edits_kept
expect "a new option" cat /etc/cellwarden/cellwarden.toml.dpkg-dist

step "killed, it comes back"
# With the modem in use: the simulator forgets a killed program's claim of the port
# only at the next byte.
until_true says "Modem *ok" cellwarden status
kill -9 "$(agent_pid)"
until_true queue_kept
until_true says "Modem *ok" cellwarden status

step "an update from a file is tried and confirmed, and runs after a restart"
cat >>/etc/cellwarden/cellwarden.toml <<-end
	[update]
	root_file = "/releases/root.json"
	confirm_after = "3s"
	confirm_within = "2m"
end
restart
until_true says "Modem *ok" cellwarden status
expect accepted cellwarden update "$(release v2.1.0)"
until_true runs v2.1.0 "slot a"
restart
until_true runs v2.1.0 "slot a"
until_true says "Modem *ok" cellwarden status
queue_kept || fail "events are lost"
runs_as_user "$(agent_pid)"
if systemd; then
	expect /var/lib/cellwarden/update/a readlink "/proc/$(agent_pid)/exe"
	[ "$(agent_of "$(agent_pid)" CapEff)" = 0000000000002000 ] || fail "capabilities: $(grep Cap "/proc/$(agent_pid)/status")"
	[ "$(agent_of "$(agent_pid)" NoNewPrivs)$(agent_of "$(agent_pid)" Seccomp)" = 12 ] || fail "no seccomp filter"
fi

step "a release that crashes is taken back"
before=$(agent_pid)
expect accepted cellwarden update "$(release v2.2.0)"
until_true says "v2.2.0 was taken back" cellwarden update status
until_true runs v2.1.0 "slot a"
until_true says "Modem *ok" cellwarden status
queue_kept || fail "events are lost"
! systemd || [ "$(agent_pid)" = "$before" ] || fail "systemd had to start it again"

if systemd; then
	step "a confirmed release that dies early eight times in a row gives way to the package, and comes back when told"
	mkdir -p /etc/systemd/system/cellwarden.service.d
	printf '[Service]\nRestartSec=1\n' >/etc/systemd/system/cellwarden.service.d/quick.conf
	systemctl daemon-reload && restart
	until_true runs v2.1.0 "slot a"
	deaths=0
	while [ $deaths -lt 12 ] && runs v2.1.0 "slot a"; do
		before=$(agent_pid)
		kill -9 "$before"
		deaths=$((deaths + 1))
		until_true says "^[0-9]" cellwarden_pid_after "$before"
		until_true says "Version" cellwarden status --all
	done
	[ $deaths = 8 ] || fail "left after $deaths deaths"
	until_true runs v2.0.0 "v2.1.0 was taken back"
	expect /usr/bin/cellwarden readlink "/proc/$(agent_pid)/exe"
	until_true says "Modem *ok" cellwarden status
	queue_kept || fail "events are lost"
	expect accepted cellwarden update "$(release v2.1.0)"
	until_true says "it is not newer" cellwarden update status
	expect accepted cellwarden update "$(release v2.1.0)" --again
	until_true runs v2.1.0 "slot a"
	rm -r /etc/systemd/system/cellwarden.service.d
	systemctl daemon-reload
fi

if systemd; then
	step "what the administrator disabled stays disabled"
	systemctl -q disable cellwarden
	dpkg -i --force-confold /v2.deb || fail "dpkg: $?"
	expect disabled systemctl is-enabled cellwarden
	systemctl -q enable cellwarden

	step "with block-at.conf it has the capability that nft wants, and works"
	mkdir -p /etc/systemd/system/cellwarden.service.d
	cp /usr/share/doc/cellwarden/examples/block-at.conf /etc/systemd/system/cellwarden.service.d/
	systemctl daemon-reload && systemctl restart cellwarden
	until_true service_is running
	[ "$(agent_of "$(agent_pid)" CapEff)" = 0000000000003000 ] || fail "capabilities: $(grep Cap "/proc/$(agent_pid)/status")"
	until_true queue_kept

	step "there the machine's traffic is stopped at the quota, and passes with a bigger plan"
	until_true runs v2.1.0 "slot a"
	ip netns add far
	ip link add wwan0 type veth peer name far0
	ip link set far0 netns far
	ip addr add 10.9.0.1/24 dev wwan0 && ip link set wwan0 up
	ip -n far addr add 10.9.0.2/24 dev far0 && ip -n far link set far0 up
	cat >>/etc/cellwarden/cellwarden.toml <<-end
		[data]
		interfaces = ["wwan0"]
		poll = "1s"
		block_at = "100%"
		[plan]
		quota_bytes = 300000
		cycle_day = 1
	end
	restart
	until_true passes
	until_true says "Modem *ok" cellwarden status
	until_true sold_out
	expect drop nft list ruleset
	! passes || fail "blocked, and yet it passes"
	sed -i 's/^quota_bytes = .*/quota_bytes = 300000000/' /etc/cellwarden/cellwarden.toml
	restart
	until_true passes
	[ -z "$(nft list ruleset)" ] || fail "left in nftables: $(nft list ruleset)"
	rm -r /etc/systemd/system/cellwarden.service.d
	systemctl daemon-reload && restart

	step "its words are in the journal"
	expect "modem port" journalctl -u cellwarden --no-pager
fi

step "remove: no program, but config and events"
dpkg -r cellwarden || fail "dpkg: $?"
until_true service_is stopped
! pidof cellwarden || fail "still runs"
[ ! -e /usr/bin/cellwarden ] || fail "the program is left"
edits_kept
dpkg -i --force-confold /v2.deb || fail "dpkg: $?"
until_true queue_kept

step "purge: nothing is left"
dpkg -P cellwarden || fail "dpkg: $?"
! pidof cellwarden || fail "still runs"
rm -r /etc/default/cellwarden.test /releases
left=$(find / -xdev -name '*cellwarden*' -not -path '/proc/*' -not -path '/var/log/journal/*' -not -path '/sys/*')
[ -z "$left" ] || fail "left: $left"
! getent passwd cellwarden || fail "the user is left"
! getent group cellwarden || fail "the group is left"
expect "" dpkg --audit
echo "all steps passed"
