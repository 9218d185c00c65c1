# shellcheck shell=sh
# What the scripts that play in a root have in common. A step that fails ends the
# script; each says what it is about.
# shellcheck disable=SC2034 # used by those that read this file

step() {
	echo "step: $*"
	doing=$*
}
fail() {
	echo "FAIL: $doing: $*"
	cellwarden status --all 2>&1 || true
	cat /run/cellwarden.log 2>/dev/null || journalctl -u cellwarden -n 30 --no-pager 2>/dev/null || true
	exit 1
}
expect() { # expect WANTED COMMAND...: the command's output has the wanted words
	wanted=$1
	shift
	said=$("$@" 2>&1) || true
	case $said in
	*"$wanted"*) ;;
	*) fail "\"$*\" said \"$said\", not \"$wanted\"" ;;
	esac
}
until_true() { # until_true COMMAND...: true within a minute
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 120 ] || fail "still not true after a minute: $* ($("$@" 2>&1))"
		sleep 0.5
	done
}
says() { # says WORDS COMMAND...: like expect, as a condition
	words=$1
	shift
	"$@" 2>&1 | grep -q -e "$words"
}

# modem starts the simulated modem at /dev/modem, for the group dialout as a real
# port is.
modem() {
	/modemsim -link /dev/modem healthy-quectel >/dev/null 2>&1 &
	until_true test -e /dev/modem
	port=$(readlink /dev/modem)
	chown 0:dialout "$port"
	chmod 660 "$port"
}

# configure is the edit that must survive everything. The broker is away for good,
# so that events wait.
edit='name = "edited by hand"'
configure() {
	cat >"$1" <<-end
		[device]
		$edit
		[modem]
		port = "/dev/modem"
		[uplink]
		brokers = ["mqtt://127.0.0.1:9"]
		[probes]
		daily_budget_bytes = 0
		interval = "24h"
		third_party = []
		http_url = ""
		ntp = []
	end
}

agent_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

# runs_as_user PID: the agent is nobody special.
runs_as_user() {
	uid=$(sed -n 's/^cellwarden:[^:]*:\([0-9]*\):.*/\1/p' /etc/passwd)
	dialout=$(sed -n 's/^dialout:[^:]*:\([0-9]*\):.*/\1/p' /etc/group)
	case $(agent_of "$1" Uid | cut -f 1) in
	"$uid") ;;
	*) fail "the agent's user is $(agent_of "$1" Uid), cellwarden is $uid" ;;
	esac
	case " $(agent_of "$1" Groups) " in
	*" $dialout "*) ;;
	*) fail "the agent's groups are $(agent_of "$1" Groups), dialout is $dialout" ;;
	esac
}

# waiting is how many messages the queue has. The broker is away, so none may go;
# alerts may join. queue_kept: what was there when kept was noted is still there.
waiting() { cellwarden status --all | sed -n 's/^Queue *\([0-9]*\) waiting.*/\1/p'; }
queue_kept() { [ "$(waiting)" -ge "$kept" ]; }
put_event() {
	cellwarden event put sale --data '{"item":1}' || fail "event"
	kept=1
	until_true queue_kept
	kept=$(waiting)
}
