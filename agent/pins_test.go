package agent

import (
	_ "github.com/BurntSushi/toml"
	_ "github.com/creack/pty"
	_ "github.com/eclipse/paho.mqtt.golang"
	_ "github.com/mochi-mqtt/server/v2"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/vishvananda/netlink"
	_ "github.com/warthog618/modem/at"
	_ "github.com/warthog618/modem/gsm"
	_ "github.com/warthog618/modem/trace"
	_ "github.com/warthog618/sms"
	_ "go.bug.st/serial"
	_ "go.uber.org/goleak"
	_ "golang.org/x/net/dns/dnsmessage"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/tools/txtar"
	_ "pgregory.net/rapid"
)
