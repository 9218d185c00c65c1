package agent

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/probe"
	"cellwarden/modem"
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
	sel := board.Selection{Patterns: cfg.Data.Interfaces}
	hw := Hardware{
		Now:   clock.Now,
		Timer: realTimer(clock.Now),
		Links: func() ([]meter.Reading, diag.Interface, error) {
			now := clock.Now()
			r, err := links.Read(now, sel)
			if err != nil {
				return nil, diag.Interface{}, err
			}
			return r, dataInterface(r), nil
		},
		HearTime: func(source string, at time.Time) { clock.Tell(board.TimeSource(source), at) },
	}
	hw.RunProbe = probeOver(cfg, func() string {
		_, d, err := hw.Links()
		if err != nil || !d.Present {
			return ""
		}
		return d.Name
	}, clock)
	if cfg.Modem.Port != "none" {
		spec := modemSpec(cfg, rec)
		hw.OpenModem = func(ctx context.Context) (Modem, error) {
			m, err := modem.Open(ctx, spec)
			if err != nil {
				return nil, err
			}
			return m, nil
		}
	}
	return hw, func() { _ = links.Close() }, nil
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

// probeOver runs probes over the data interface as it is now.
func probeOver(cfg config.Config, iface func() string, clock *board.Clock) func(context.Context, core.ProbeSpec) diag.ProbeResult {
	servers := cfg.Probes.DNSServers()
	if len(servers) == 0 {
		servers = probe.SystemResolvers(os.DirFS("/"))
	}
	specs := probe.Round(targets(cfg))
	return func(ctx context.Context, s core.ProbeSpec) diag.ProbeResult {
		env := probe.Env{Interface: iface(), Resolver: servers, Now: func() time.Time { return clock.Now().Wall }}
		for _, full := range specs {
			if full.Probe == s.Probe && full.Target == s.Target && full.Host == s.Host {
				return probe.Run(ctx, env, full)
			}
		}
		return probe.Run(ctx, env, probe.Spec{Probe: s.Probe, Target: s.Target, Host: s.Host})
	}
}
