#!/bin/sh
# Brings a bare Debian machine what the tests use besides Go. When everything is
# there it does nothing. Without root, or without a way to install, it says what
# to install and the tests go on: those that miss something skip, and say so.
set -eu
PATH=$PATH:/usr/sbin:/sbin

# program, its Debian package, what is not proved without it
table='
mosquitto        mosquitto          the uplink against a real broker
mosquitto_sub    mosquitto-clients  what an ordinary subscriber sees
psql             postgresql         that a database keeps each message once, in order
qemu-arm         qemu-user          that the ARM binaries run
ip               iproute2           binding, routes and counters in network namespaces
nft              nftables           dropped and rejected packets
mkfs.ext4        e2fsprogs          flash wear, a full disk
swtpm            swtpm              that the uplink'\''s key may be in a TPM
tpm2_readpublic  tpm2-tools         that the uplink'\''s key may be in a TPM
mount            mount              flash wear, a full disk
busybox          busybox-static     that the installer needs nothing but BusyBox
gcc              build-essential    races between goroutines
shellcheck       shellcheck         that the packages'\'' scripts are sound
systemd-analyze  systemd            that systemd takes the unit
gammu            gammu              that an independent program can use the simulated modem
smsd             smstools           that an SMS daemon can use it
nats-server      nats-server        the uplink against NATS
rabbitmq-server  rabbitmq-server    the uplink against RabbitMQ
ModemManager     modemmanager       that ModemManager reads what it plays
gdbus            libglib2.0-bin     that ModemManager reads what it plays
dbus-daemon      dbus-daemon        that ModemManager reads what it plays
chromium         chromium           the technician'\''s page in a browser
python3          python3            that the consumer in Python runs
node             nodejs             that an independent validator takes the AsyncAPI document
npm              npm                that an independent validator takes the AsyncAPI document
'

missing() {
	echo "$table" | while read -r program package what; do
		[ -n "$program" ] || continue
		command -v "$program" >/dev/null || echo "$package|$program|$what"
	done
}

# One package of npm, beside the system's: the validator of AsyncAPI.
npm_dir=${CELLWARDEN_NPM:-/var/cache/cellwarden-npm}
npm_package() {
	if [ -d "$npm_dir/node_modules/@asyncapi/parser" ] || ! command -v npm >/dev/null || ! mkdir -p "$npm_dir" 2>/dev/null; then
		return
	fi
	echo "test-deps: npm install @asyncapi/parser"
	(cd "$npm_dir" && npm install --no-audit --no-fund --silent @asyncapi/parser@3.6.6 >/dev/null 2>&1) ||
		echo "test-deps: could not install it - the test of the AsyncAPI document will say SKIP"
}

want=$(missing)
[ -n "$want" ] || { npm_package; exit 0; }
packages=$(echo "$want" | cut -d '|' -f 1 | sort -u | tr '\n' ' ')

echo "test-deps: not here:"
echo "$want" | awk -F '|' '{ printf "  %-14s (package %s): %s\n", $2, $1, $3 }'

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "test-deps: cannot install without root and apt-get; tests that need these will say SKIP. To have them all:"
	echo "  sudo apt-get update && sudo apt-get install --no-install-recommends $packages"
	exit 0
fi

# Debian starts a broker on port 1883, an SMS daemon and a ModemManager when these
# are installed. The tests start their own, so nothing is to be started, now or at boot.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

# Another apt-get may be at work for a while: wait for it.
apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@"
}
log=$(mktemp)
echo "test-deps: apt-get install $packages"
# One that cannot be had must not keep the others away.
# shellcheck disable=SC2086 # a list of packages
if ! { apt update && apt install --no-install-recommends $packages; } >"$log" 2>&1; then
	for package in $packages; do
		apt install --no-install-recommends "$package" >>"$log" 2>&1 || true
	done
fi
for service in mosquitto:mosquitto smstools:smstools modemmanager:ModemManager; do
	case " $packages" in
	*" ${service%:*} "*)
		if [ -d /run/systemd/system ]; then
			systemctl disable --now "${service#*:}" >>"$log" 2>&1 || true
		fi
		;;
	esac
done

want=$(missing)
if [ -n "$want" ]; then
	tail -n 20 "$log"
	echo "test-deps: could not install $(echo "$want" | cut -d '|' -f 1 | sort -u | tr '\n' ' ')- tests that need them will say SKIP"
fi
rm -f "$log"
npm_package
