# shellcheck shell=sh
# Plays in a root with nothing but BusyBox, this test, the simulated modem and two
# unpacked archives, /v1 and /v2: install, use, upgrade, crash, stop, remove, purge.
# shellcheck disable=SC1091,SC2154 # lib.sh is beside this file and has $edit
# shellcheck disable=SC2015 # A && B || C: fail is meant for both
. /test/lib.sh
printf 'AGAIN=1\nLOG_BYTES=400\n' >/test/default

step "the installer refuses a program of another CPU and leaves nothing behind"
mkdir /wrong && cp -R /v1/. /wrong && echo "not a program" >/wrong/cellwarden
expect "does not run on this CPU" /wrong/install.sh
[ ! -e /usr/bin/cellwarden ] && [ ! -e /etc/cellwarden ] || fail "something is there"

step "install: it starts, as its user"
mkdir -p /etc/default && cp /test/default /etc/default/cellwarden
/v1/install.sh || fail "install.sh: $?"
expect v1.0.0 cellwarden version
until_true says "Version *v1.0.0" cellwarden status --all
runs_as_user "$(cat /run/cellwarden.agent.pid)"
[ "$(stat -c %a /etc/cellwarden/cellwarden.toml) $(stat -c %U:%G /etc/cellwarden/cellwarden.toml)" = "640 root:cellwarden" ] || fail "the config may be read by others: $(ls -l /etc/cellwarden)"
[ "$(stat -c %a:%U /var/lib/cellwarden)" = 700:cellwarden ] || fail "the state is open: $(ls -ld /var/lib/cellwarden)"
[ -L /etc/init.d/S90cellwarden ] || fail "nothing starts it at boot"
cmp /test/default /etc/default/cellwarden || fail "the settings were overwritten"
expect "cellwarden config check" cat /etc/cellwarden/cellwarden.toml
cellwarden config check || fail "the packaged config is wrong"

step "edit the config, restart: it reads the modem"
modem
configure /etc/cellwarden/cellwarden.toml
/etc/init.d/cellwarden restart
until_true says "Modem *ok" cellwarden status --all
expect "runs, pid" /etc/init.d/cellwarden status --all
put_event

step "the log is there and limited"
until_true test -s /run/cellwarden.log.1
until_true test -s /run/cellwarden.log
for log in /run/cellwarden.log /run/cellwarden.log.1; do
	[ "$(wc -c <$log)" -lt 1000 ] || fail "$log has $(wc -c <$log) bytes"
	[ "$(stat -c %a $log)" = 640 ] || fail "all can read $log"
done

step "upgrade: the new program, the old config, the waiting event"
/v2/install.sh || fail "install.sh: $?"
expect v2.0.0 cellwarden version
until_true says "Version *v2.0.0" cellwarden status --all
until_true queue_kept
expect "$edit" cat /etc/cellwarden/cellwarden.toml
runs_as_user "$(cat /run/cellwarden.agent.pid)"
[ "$(grep -c cellwarden /etc/passwd)" = 1 ] && [ "$(grep -c cellwarden: /etc/group)" = 1 ] || fail "a second user"

step "killed, it comes back"
kill -9 "$(cat /run/cellwarden.agent.pid)"
until_true queue_kept

step "stop and start"
/etc/init.d/cellwarden stop
expect "does not run" /etc/init.d/cellwarden status --all
! pidof cellwarden || fail "still there: $(ps)"
/etc/init.d/cellwarden start
expect "runs already" /etc/init.d/cellwarden start
until_true queue_kept

step "downgrade: what is kept can be read by the older one"
/v1/install.sh || fail "install.sh: $?"
until_true says "Version *v1.0.0" cellwarden status --all
until_true queue_kept

step "remove: no program, but config and events"
sh /usr/lib/cellwarden/install.sh remove || fail "remove"
! pidof cellwarden || fail "still runs: $(ps)"
for gone in /usr/bin/cellwarden /usr/lib/cellwarden /etc/init.d/cellwarden /etc/init.d/S90cellwarden /run/cellwarden; do
	[ ! -e $gone ] && [ ! -L $gone ] || fail "$gone is left"
done
expect "$edit" cat /etc/cellwarden/cellwarden.toml
/v2/install.sh || fail "install.sh: $?"
until_true queue_kept

step "purge: nothing is left"
/v2/install.sh purge || fail "purge"
left=$(find / -xdev -name '*cellwarden*' -not -path '/v[12]/*' -not -path '/wrong/*' -not -path '/proc/*')
[ -z "$left" ] || fail "left: $left"
! grep cellwarden /etc/passwd /etc/group /etc/shadow || fail "the user is left"
expect "root:x:0:" cat /etc/passwd
expect "dialout:x:20:machine" cat /etc/group
echo "all steps passed"
