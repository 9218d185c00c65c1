package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/carrier"
	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/probe"
	"cellwarden/modem"
	"cellwarden/modem/at"
)

// NewHardware is the device that the agent runs on. rec, where not nil, records
// what the modem says. The caller closes it.
func NewHardware(cfg config.Config, rec *modem.Recorder) (Hardware, func(), error) {
	clock, err := board.OpenClock()
	if err != nil {
		return Hardware{}, nil, err
	}
	links, err := board.OpenLinks("")
	if err != nil {
		return Hardware{}, nil, err
	}
	line := &dataLine{links: links, sel: board.Selection{Patterns: cfg.Data.Interfaces}}
	read := func() ([]meter.Reading, error) { return line.read(clock.Now()) }
	hw := Hardware{
		Now:   clock.Now,
		Timer: realTimer(clock.Now),
		Links: func() ([]meter.Reading, diag.Interface, error) {
			r, err := read()
			if err != nil {
				return nil, diag.Interface{}, err
			}
			return r, dataInterface(r), nil
		},
		OverData: func(addr string) bool {
			r, err := read()
			if err != nil {
				return false
			}
			d := dataInterface(r)
			return d.Addr != "" && routedFrom(addr) == d.Addr
		},
		WatchLinks: watchLinks(clock, line.selection),
		HearTime:   func(source string, at time.Time) { clock.Tell(board.TimeSource(source), at) },
	}
	iface := func() string {
		_, d, err := hw.Links()
		if err != nil || !d.Present {
			return ""
		}
		return d.Name
	}
	hw.RunProbe = probeOver(cfg, iface, clock)
	hw.AskTime = func(ctx context.Context, server string) (time.Time, error) {
		env := probeEnv(cfg, iface(), clock)
		s, err := probe.SNTP(ctx, env, server)
		return env.Now().Add(s.Offset), err
	}
	if cfg.Modem.Port != "none" {
		spec := modemSpec(cfg, rec)
		line.spec = &spec
		hw.OpenModem = func(ctx context.Context) (Modem, error) {
			found, err := anyModem(spec)
			if err != nil {
				return nil, err
			}
			m, err := openModem(ctx, found)
			if err == nil {
				line.opened(m.Port())
			}
			return m, err
		}
	}
	return hw, func() { _ = links.Close() }, nil
}

// openModem opens a modem and makes its settings. A refused setting is noted by
// Init and is no error.
func openModem(ctx context.Context, spec modem.Spec) (Modem, error) {
	m, err := modem.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	if _, err := m.Init(ctx); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// modemSpec says which modem the config means.
func modemSpec(cfg config.Config, rec *modem.Recorder) modem.Spec {
	m := cfg.Modem
	spec := modem.Spec{Baud: m.Baud, Timeout: m.CommandTimeout.Std(), Recorder: rec}
	if m.Profile != "auto" {
		spec.Profile = m.Profile
	}
	if m.Port != "auto" {
		spec.Port = m.Port
		return spec
	}
	spec.USB.Vendor, spec.USB.Product = strings.ToLower(m.USBVendor), strings.ToLower(m.USBProduct)
	if m.USBInterface >= 0 {
		spec.USB.Interface = fmt.Sprintf("%02x", m.USBInterface)
	}
	return spec
}

// modemVendors are USB vendors that make cellular modems (the Linux option and
// qcserial drivers list them). Without a vendor in the config only their ports
// are opened: a stranger's serial adapter may be a card reader.
var modemVendors = []string{
	"2c7c", // Quectel
	"1e0e", // SIMCom (Qualcomm)
	"12d1", // Huawei
	"2cb7", // Fibocom
	"1508", // Fibocom
	"1199", // Sierra
	"1546", // u-blox
	"1bc7", // Telit
	"1e2d", // Cinterion
	"19d2", // ZTE
	"2dee", // MeiG
	"2ecc", // China Mobile
	"1782", // UNISOC (Air724)
	"19d1", // openLuat
	"2949", // Neoway
}

// anyModem fills in the vendor of whatever modem is plugged in, where the
// config names neither a port nor a vendor.
func anyModem(spec modem.Spec) (modem.Spec, error) {
	if spec.Port != "" || spec.USB.Vendor != "" {
		return spec, nil
	}
	root := spec.SysRoot
	if root == "" {
		root = "/sys"
	}
	ports, err := at.FindPort(root, spec.USB)
	if err != nil {
		return spec, err
	}
	for _, p := range ports {
		if slices.Contains(modemVendors, p.Vendor) {
			spec.USB.Vendor, spec.USB.Product = p.Vendor, p.Product
			return spec, nil
		}
	}
	return spec, fmt.Errorf("%w: no port of a known modem maker under %s; set modem.port, or modem.usb_vendor", modem.ErrNotFound, root)
}

// realTimer waits on the monotonic clock. CLOCK_BOOTTIME also counts sleep,
// Go's timers do not: after a suspend the timer is late, and the loop finds
// everything due at once.
func realTimer(now func() instant.Instant) func(time.Duration) (<-chan time.Time, func()) {
	return func(mono time.Duration) (<-chan time.Time, func()) {
		t := time.NewTimer(max(0, mono-now().Mono))
		return t.C, func() { t.Stop() }
	}
}

// dataInterface is the one that carries data: the first of the selection that
// has an address, else the first that is there.
func dataInterface(readings []meter.Reading) diag.Interface {
	var first diag.Interface
	for _, r := range readings {
		if r.Skip {
			continue
		}
		d := diag.Interface{Name: r.Interface, Present: true}
		if nic, err := net.InterfaceByIndex(r.Index); err == nil {
			d.Up = nic.Flags&net.FlagUp != 0
			d.Addr = address(nic)
		}
		if d.Addr != "" && d.Up {
			return d
		}
		if !first.Present {
			first = d
		}
	}
	return first
}

// somewhere is an address of the wide internet, to ask the kernel for its
// default route; nothing is sent there.
const somewhere = "223.5.5.5:53"

// routedFrom is the local address that the kernel would send from to addr; ""
// when there is no way. A connected UDP socket asks without sending.
func routedFrom(addr string) string {
	if addr == "" {
		addr = somewhere
	}
	c, err := net.Dial("udp", addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	local, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return ""
	}
	return local.Addr().Unmap().String()
}

// address is the interface's first address that leads anywhere.
func address(nic *net.Interface) string {
	addrs, err := nic.Addrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr().String()
		}
	}
	return ""
}

// probeEnv is where a probe works: the interface and the resolvers as they are
// now; the board's own change with the network.
func probeEnv(cfg config.Config, iface string, clock *board.Clock) probe.Env {
	servers := cfg.Probes.DNSServers()
	if len(servers) == 0 {
		servers = probe.SystemResolvers(os.DirFS("/"))
	}
	return probe.Env{Interface: iface, Mark: board.OwnMark, Resolver: servers, Now: func() time.Time { return clock.Now().Wall }}
}

// probeOver runs probes over the data interface as it is now.
func probeOver(cfg config.Config, iface func() string, clock *board.Clock) func(context.Context, core.ProbeSpec) diag.ProbeResult {
	specs := probe.Round(targets(cfg))
	return func(ctx context.Context, s core.ProbeSpec) diag.ProbeResult {
		over := iface()
		if over == "" && len(cfg.Data.Interfaces) > 0 {
			// Over another way it would prove nothing of this line.
			return diag.ProbeResult{Probe: s.Probe, Target: s.Target, Host: s.Host, Result: probe.NotSent, Detail: "no data interface"}
		}
		env := probeEnv(cfg, over, clock)
		for _, full := range specs {
			if full.Probe == s.Probe && full.Target == s.Target && full.Host == s.Host {
				return probe.Run(ctx, env, full)
			}
		}
		return probe.Run(ctx, env, probe.Spec{Probe: s.Probe, Target: s.Target, Host: s.Host})
	}
}

// watchLinks hears of interfaces that are deleted; nil where the kernel does not
// tell (a sandbox without route netlink), and the polls count alone.
func watchLinks(clock *board.Clock, sel func() board.Selection) func(context.Context, func(meter.Reading)) error {
	w, err := board.OpenLinkWatch()
	if err != nil {
		return nil
	}
	return func(ctx context.Context, gone func(meter.Reading)) error {
		defer w.Close()
		return w.Run(ctx, clock.Now, sel, func(e board.LinkEvent) {
			if e.Gone || e.Reading.Index == 0 {
				gone(e.Reading)
			}
		})
	}
}

// roundingOf is how the operator of a home network counts; the zero rule, as the
// device counts, where nothing is published.
func roundingOf(plmn string) meter.Rounding {
	list, err := carrier.Load()
	if err != nil {
		return meter.Rounding{} // the files are built in, and tested
	}
	c, _ := carrier.ByPLMN(list, plmn)
	r := c.Rounding
	return meter.Rounding{UnitBytes: r.UnitBytes, Per: r.Per, SessionsPerDay: r.SessionsPerDay, PacketBytes: r.PacketBytes}
}
