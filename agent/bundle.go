package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cellwarden/agent/core"
	"cellwarden/modem"
)

// writeBundle exports the flight recorder as one case: the modem's traffic,
// redacted as it was read, and the context that the judgement rested on.
// Identities in the context are the salted hashes that the core compares.
func writeBundle(w io.Writer, rec *modem.Recorder, v core.View) error {
	id := modem.Identity{Manufacturer: v.Known.Identity.Manufacturer, Model: v.Known.Identity.Model, Revision: v.Known.Identity.Revision}
	raw, err := rec.Case("recording", id)
	if err != nil {
		return err
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	c["context"] = bundleContext(v)
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	return enc.Encode([]any{c})
}

func bundleContext(v core.View) map[string]any {
	x := map[string]any{"now": v.Now.Wall.Format(time.RFC3339), "clock_trusted": v.Now.Trusted, "plan": v.Plan}
	if v.Usage.TimeKnown {
		x["usage"] = map[string]any{"cycle_bytes": v.Usage.UsedBytes, "since": v.Usage.Cycle.Start.Format(time.RFC3339)}
	}
	if v.SIMStatus != nil {
		x["sim_status"] = v.SIMStatus
	}
	if g := v.LastGood; g.APN != "" || g.At != "" {
		good := map[string]any{"at": g.At, "iccid": g.ICCID, "imei": g.IMEI, "apn": g.APN, "plmn": g.PLMN}
		if g.RSRP != nil {
			good["rsrp_dbm"] = *g.RSRP
		}
		x["last_good"] = good
	}
	var probes []map[string]string
	for _, p := range v.Known.Probes {
		probes = append(probes, map[string]string{"probe": p.Result.Probe, "target": p.Result.Target, "result": p.Result.Result, "detail": p.Result.Detail})
	}
	if probes != nil {
		x["probes"] = probes
	}
	return x
}
