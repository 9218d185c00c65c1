package device

import (
	"context"
	"crypto/x509"
	"os"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/probe"
	"cellwarden/agent/wayout"
	"cellwarden/modem"
	"cellwarden/protocol"
)

// New is the device that the agent runs on. rec, where not nil, records
// what the modem says. The caller closes it.
func New(cfg config.Config, rec *modem.Recorder) (Hardware, func(), error) {
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
		Timer: Timer(clock.Now),
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
	out := wayout.New(os.DirFS("/"), cfg.Probes.DNSServers())
	hw.Way = out.By
	env := func(iface string) probe.Env {
		return probe.Env{Way: out.By(iface), Now: func() time.Time { return clock.Now().Wall }}
	}
	hw.RunProbe = probeOver(cfg, iface, env)
	hw.OpenAudit, hw.OpenBus = openMachine(cfg.Machine)
	hw.AskTime = func(ctx context.Context, server string) (time.Time, error) {
		e := env(iface())
		s, err := probe.SNTP(ctx, e, server)
		return e.Now().Add(s.Offset), err
	}
	if cfg.Modem.Port != "none" {
		spec := ModemSpec(cfg, rec)
		line.spec = &spec
		hw.OpenModem = func(ctx context.Context) (Modem, error) {
			found, err := anyModem(spec)
			if err != nil {
				return nil, err
			}
			m, err := OpenModem(ctx, found)
			if err == nil {
				line.opened(m.Port())
			}
			return m, err
		}
	}
	return hw, func() { _ = links.Close() }, nil
}

// Timer waits on the monotonic clock. CLOCK_BOOTTIME also counts sleep,
// Go's timers do not: after a suspend the timer is late, and the loop finds
// everything due at once.
func Timer(now func() instant.Instant) func(time.Duration) (<-chan time.Time, func()) {
	return func(mono time.Duration) (<-chan time.Time, func()) {
		t := time.NewTimer(max(0, mono-now().Mono))
		return t.C, func() { t.Stop() }
	}
}

// probeOver runs probes over the data interface as it is now.
func probeOver(cfg config.Config, iface func() string, env func(iface string) probe.Env) func(context.Context, core.ProbeSpec) diag.ProbeResult {
	specs := probe.Round(targets(cfg))
	return func(ctx context.Context, s core.ProbeSpec) diag.ProbeResult {
		over := iface()
		if over == "" && len(cfg.Data.Interfaces) > 0 {
			// Over another way it would prove nothing of this line.
			return diag.ProbeResult{Probe: s.Probe, Target: s.Target, Host: s.Host, Result: probe.NotSent, Detail: "no data interface"}
		}
		env := env(over)
		if s.Target == probe.Own && cfg.Uplink.CAFile != "" {
			// The own service is trusted as the uplink trusts it; read anew, as there.
			pem, err := os.ReadFile(cfg.Uplink.CAFile)
			env.RootCAs = x509.NewCertPool()
			if err != nil || !env.RootCAs.AppendCertsFromPEM(pem) {
				return diag.ProbeResult{Probe: s.Probe, Target: s.Target, Host: s.Host, Result: probe.NotSent, Detail: "uplink.ca_file cannot be read"}
			}
		}
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

// dnsName is what the carrier's resolver is asked for: a name that every
// resolver knows.
const dnsName = "www.baidu.com"

func targets(cfg config.Config) probe.Targets {
	t := probe.Targets{Name: dnsName, ThirdParty: cfg.Probes.ThirdParty, HTTPURL: cfg.Probes.HTTPURL, Own: cfg.Probes.Own,
		NTP: nil, WhitelistOnly: protocol.Is(cfg.Plan.WhitelistOnly)}
	if len(t.Own) == 0 {
		t.Brokers = cfg.Uplink.Brokers
	}
	return t
}

func ProbeRound(cfg config.Config) []core.ProbeSpec {
	var out []core.ProbeSpec
	for _, s := range probe.Round(targets(cfg)) {
		out = append(out, core.ProbeSpec{Probe: s.Probe, Target: s.Target, Host: s.Host, Cost: probe.Cost(s)})
	}
	return out
}
