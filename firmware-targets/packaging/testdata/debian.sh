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
edits_kept() {
	expect "$edit" cat /etc/cellwarden/cellwarden.toml
	[ ! -e /etc/cellwarden/cellwarden.toml.dpkg-new ] || fail "dpkg left a question"
}

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
if systemd; then systemctl restart cellwarden; else invoke-rc.d cellwarden restart; fi
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
	rm -r /etc/systemd/system/cellwarden.service.d

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
rm /etc/default/cellwarden.test
left=$(find / -xdev -name '*cellwarden*' -not -path '/proc/*' -not -path '/var/log/journal/*' -not -path '/sys/*')
[ -z "$left" ] || fail "left: $left"
! getent passwd cellwarden || fail "the user is left"
! getent group cellwarden || fail "the group is left"
expect "" dpkg --audit
echo "all steps passed"
