package main

import (
	"cellwarden/agent/board"
	"cellwarden/agent/config"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/worker"
	"cellwarden/modem"
	"context"
	"time"
)

// Direct diagnosis asks three times (the three reads of an absent card, three
// samples of the level), five seconds apart.
const (
	directRounds = 3
	directPause  = 5 * time.Second
)

// diagnoseDirect judges the modem at port without a daemon. It knows nothing of
// plan, platform and history, and says so in the verdict.
func diagnoseDirect(ctx context.Context, port string, progress func(localapi.Progress)) (diag.Diagnosis, error) {
	clock, err := board.OpenClock()
	if err != nil {
		return diag.Diagnosis{}, err
	}
	var k diag.Known
	see := func(source string, facts ...any) {
		for _, f := range facts {
			k.Observe(diag.Observation{At: clock.Now(), Source: source, Fact: f})
		}
	}
	shown := map[diag.Layer]diag.GateState{}
	show := func() diag.Diagnosis {
		d := diag.Diagnose(&k, nil)
		for _, g := range d.Gates {
			if shown[g.Layer] != g.State {
				shown[g.Layer] = g.State
				progress(localapi.Progress{Layer: g.Layer, State: g.State, Fact: g.Fact})
			}
		}
		return d
	}
	cfg := config.Default
	cfg.Modem.Port = port
	m, err := device.OpenModem(ctx, device.ModemSpec(cfg, nil))
	if err != nil {
		// At a port where something else talks there is no modem to judge.
		state, detail := device.PortTrouble(err)
		if state == "silent" {
			see("port", diag.Port{State: state, Detail: detail})
			return show(), nil
		}
		return diag.Diagnosis{}, err
	}
	defer m.Close()
	queries := []modem.Query{"identify", "functionality", "sim", "iccid", "imsi", "registration", "operator", "radio", "cell", "attach", "contexts", "addresses", "apn", "error", "presence", "locks"}
	for round := range directRounds {
		for _, q := range queries {
			progress(localapi.Progress{Layer: layerOf(q), State: localapi.Checking, Doing: string(q)})
			for _, a := range m.Ask(ctx, q) {
				for _, f := range a.Facts {
					see("at:"+worker.CommandName(a.Command), f)
				}
			}
		}
		show()
		if round < directRounds-1 {
			if err := hearFor(ctx, m, directPause, func(ev modem.Event) {
				for _, f := range ev.Facts {
					see("urc:"+worker.CommandName(ev.Line), f)
				}
			}); err != nil {
				return diag.Diagnosis{}, err
			}
		}
	}
	return show(), nil
}

func hearFor(ctx context.Context, m device.Modem, d time.Duration, heard func(modem.Event)) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case ev := <-m.Unsolicited():
			heard(ev)
		case <-t.C:
			return nil
		case <-m.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func layerOf(q modem.Query) diag.Layer {
	switch q {
	case "sim", "iccid", "imsi", "presence":
		return diag.LayerSIM
	case "radio", "cell":
		return diag.LayerRadio
	case "registration", "operator", "error", "locks":
		return diag.LayerRegistration
	case "attach", "contexts", "addresses", "apn":
		return diag.LayerSession
	case "identify":
		return diag.LayerPort
	}
	return diag.LayerModem
}
