package watch

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/fleet"
	"cellwarden/protocol/backend/store"
)

// source is who says so, in the table of alerts.
const source = "silence"

// silenceOf gathers what is known of a silent machine.
func (w *Watch) silenceOf(ctx context.Context, d *device, now time.Time) fleet.Silence {
	s := fleet.Silence{Now: now, Since: ms(d.upAt), Last: d.last, Ordered: d.why == "stop"}
	if d.last != nil {
		s.Installing = d.last.Update != ""
	}
	if d.sim != nil {
		s.Platform = &fleet.PlatformWord{State: d.sim.State, Reason: d.sim.Reason, Session: d.sim.Session, Used: -1, AsOf: d.sim.AsOf,
			UsedAsOf: d.sim.UsedAsOf}
		if d.sim.Plan != nil && d.sim.Used != nil && *d.sim.Plan > 0 {
			s.Platform.Used = float64(*d.sim.Used) / float64(*d.sim.Plan)
		}
	}
	s.Neighbours, s.Down, _ = w.fleet.Of(d.id)
	switch w.fleet.Explained(d.id) {
	case string(fleet.Outage):
		s.Outage = true
	case string(fleet.Pool):
		s.Pool = true
	case string(fleet.Site):
		s.SiteDark = true
	case string(fleet.Ours):
		s.Ours = true
	}
	if d.site != "" && !s.SiteDark {
		for _, o := range w.devices {
			if o != d && o.site == d.site && o.up && o.known {
				s.SiteLit = true
				s.SameCarrierLit = s.SameCarrierLit || o.carrier == d.carrier
			}
		}
	}
	// The habits of its last silences.
	rows, err := w.s.Query(ctx, "SELECT since, truth FROM silence WHERE device = ? AND closed IS NOT NULL ORDER BY id DESC LIMIT 7", d.id)
	if err != nil {
		return s
	}
	same := 0
	for rows.Next() {
		var since int64
		var truth string
		if rows.Scan(&since, &truth) != nil {
			break
		}
		if s.Returns < 3 {
			s.Returns++
			if truth == fleet.Power {
				s.Booted++
			}
		}
		if d := (ms(since).Sub(s.Since)%(24*time.Hour) + 24*time.Hour) % (24 * time.Hour); d < 30*time.Minute ||
			d > 23*time.Hour+30*time.Minute {
			same++
		}
	}
	_ = rows.Close() // what was read serves
	s.ClosingHour = same >= 3
	return s
}

// acts is who acts on a cause, and how it is called in the acts of the protocol.
var acts = map[string]string{"over_quota": "owner", "arrears": "owner", "expired_or_cancelled": "owner", "admin_suspended": "owner",
	"imei_lock":             "owner",
	"suspended_unspecified": "owner", "carrier_outage": "operator", "weak_signal": "technician", "sim_fault": "technician", "modem_fault": "technician",
	"device_dead": "technician", "power": "technician", "stop": "nobody", "ours": "backend", "ambiguous": "technician"}

// judge says what a silent machine is probably silent for, and raises it once it has
// been silent for long enough.
func (w *Watch) judge(ctx context.Context, d *device, now time.Time) error {
	if d.silence == 0 {
		return nil
	}
	s := w.silenceOf(ctx, d, now)
	p := w.table.Judge(s)
	verdict := "undecided"
	switch {
	case d.sim != nil && d.sim.Stopped() && !d.sim.Derived && p.P >= fleet.Certain && p.Group == "subscription":
		verdict = "confirmed" // the platform's own word
	case p.P >= fleet.Certain:
		verdict = "likely"
	}
	if p.Ask {
		w.want(d, true)
	}
	body := struct {
		fleet.Probable
		Features []fleet.Feature
	}{p, s.Features()}
	return w.s.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE silence SET said = ?, p = ?, grp = ?, decide = ?, body = ? WHERE id = ?", p.Class, p.P, p.Group,
			p.Check, toJSON(body), d.silence); err != nil {
			return err
		}
		if now.Sub(s.Since) < w.opt.SilentFor || s.Ours || s.Ordered {
			return nil
		}
		class := p.Class
		if verdict == "undecided" {
			class = "ambiguous"
		}
		d.told = true
		if err := clearOthers(ctx, tx, d.id, class, "refined"); err != nil {
			return err
		}
		return tx.Raise(ctx, store.Own{Device: d.id, Source: source, Incident: fmt.Sprintf("silence-%d", d.silence), Class: class,
			Verdict: verdict, Who: acts[class],
			Body: protocol.Alert{Class: class, Verdict: verdict, Candidates: p.Candidates, Evidence: p.Evidence,
				DecideBy: p.DecideBy}, Since: d.upAt})
	})
}

// judgeAll raises the silences that have lasted for long enough, and looks again once a
// minute at those that are told: neighbours come and go.
func (w *Watch) judgeAll(ctx context.Context, now time.Time) error {
	for _, d := range w.devices {
		if !d.known || d.up || d.silence == 0 || d.told && !w.full.Equal(now) || now.Sub(ms(d.upAt)) < w.opt.SilentFor {
			continue
		}
		if err := w.judge(ctx, d, now); err != nil {
			return err
		}
	}
	return nil
}

// back closes a silence, with its truth where somebody knows it.
func (w *Watch) back(ctx context.Context, d *device, now time.Time) error {
	found := w.fleet.Back(d.id, now)
	w.want(d, w.urgent(d))
	if d.silence != 0 {
		if err := w.close(ctx, d); err != nil {
			return err
		}
		d.silence, d.told = 0, false
	}
	return w.write(ctx, found)
}

func (w *Watch) close(ctx context.Context, d *device) error {
	return w.s.Tx(ctx, func(tx *store.Tx) error {
		var since int64
		var boot, said string
		if err := tx.QueryRow(ctx, "SELECT since, boot, said FROM silence WHERE id = ?", d.silence).Scan(&since, &boot,
			&said); err != nil {
			return err
		}
		own, stopped := "", ""
		err := tx.QueryRow(ctx, `SELECT class FROM alert WHERE device = ? AND source = 'device' AND (closed IS NULL OR closed >= ?) ORDER BY opened DESC LIMIT 1`,
			d.id, since-int64(time.Hour/time.Millisecond)).Scan(&own)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var reason string
		err = tx.QueryRow(ctx, "SELECT reason FROM sim_status WHERE device = ? AND at >= ? AND state IN ('suspended', 'data_cut') ORDER BY at DESC LIMIT 1", d.id,
			since-int64(time.Hour/time.Millisecond)).Scan(&reason)
		if err == nil {
			stopped = map[string]string{"quota": "over_quota", "pool": "over_quota", "threshold": "over_quota", "arrears": "arrears",
				"expiry": "expired_or_cancelled",
				"manual": "admin_suspended", "imei_lock": "imei_lock"}[reason]
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		truth, by := fleet.Truth(own, stopped, d.boot != "" && boot != "" && d.boot != boot, d.last != nil && d.last.Update != "")
		if _, err := tx.Exec(ctx, "UPDATE silence SET closed = ?, truth = ?, truth_by = ? WHERE id = ?", tx.Now(), truth, by,
			d.silence); err != nil {
			return err
		}
		return clearOthers(ctx, tx, d.id, "", "recovered")
	})
}

// clearOthers ends what we said of a device, but for one class.
func clearOthers(ctx context.Context, tx *store.Tx, device int64, but, by string) error {
	rows, err := tx.Query(ctx, "SELECT class FROM alert WHERE device = ? AND source = ? AND closed IS NULL AND class <> ?", device,
		source, but)
	if err != nil {
		return err
	}
	var open []string
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			return errors.Join(err, rows.Close())
		}
		open = append(open, c)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, c := range open {
		if err := tx.Clear(ctx, store.Own{Device: device, Source: source, Class: c}, by); err != nil {
			return err
		}
	}
	return nil
}

// write keeps what the fleet's rules found, and tells the members and their neighbours.
func (w *Watch) write(ctx context.Context, found []fleet.Finding) error {
	for _, f := range found {
		err := w.s.Tx(ctx, func(tx *store.Tx) error {
			if !f.Ended.IsZero() {
				_, err := tx.Exec(ctx, "UPDATE finding SET closed = ? WHERE tenant = ? AND kind = ? AND carrier = ? AND scope = ? AND closed IS NULL", f.Ended.UnixMilli(),
					w.opt.Tenant, string(f.Kind), f.Carrier, f.Scope)
				if err != nil || f.Kind != fleet.Outage {
					return err
				}
				_, err = tx.Notify(ctx, store.Event{Tenant: w.opt.Tenant, Type: "outage.cleared", Subject: "outage/" + f.Carrier + "/" +
					f.Scope, Data: f})
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO finding (tenant, kind, carrier, scope, class, verdict, opened, n, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (tenant, kind, carrier, scope) WHERE closed IS NULL DO UPDATE SET n = excluded.n, body = excluded.body, verdict = excluded.verdict`,
				w.opt.Tenant, string(f.Kind), f.Carrier, f.Scope, f.Class, f.Verdict, f.From.UnixMilli(), len(f.Members), toJSON(f))
			if err != nil || f.Kind != fleet.Outage && f.Kind != fleet.Ours {
				return err
			}
			what := "outage.raised"
			if f.Kind == fleet.Ours {
				what = "backend.trouble"
			}
			_, err = tx.Notify(ctx, store.Event{Tenant: w.opt.Tenant, Type: what, Subject: "outage/" + f.Carrier + "/" + f.Scope,
				Data: f})
			return err
		})
		if err != nil {
			return err
		}
		if f.Kind == fleet.Outage || f.Kind == fleet.Pool {
			w.tell(ctx, f)
		}
	}
	return nil
}

// maxTold bounds how many machines are told of one finding: word to each costs it some
// 300 bytes, and the first few hundred are who can use it.
const maxTold = 500

// tell lets the members, and others of the carrier in the district, know of each other:
// retained, so that a member that wakes hears it.
func (w *Watch) tell(ctx context.Context, f fleet.Finding) {
	n := 0
	for _, id := range f.Members {
		d := w.devices[id]
		if d == nil || n >= maxTold || d.neighbour {
			continue
		}
		n++
		d.neighbour = f.Ended.IsZero()
		same, down, pool := w.fleet.Of(id)
		args, err := json.Marshal(protocol.Neighbours{SameCarrier: same, SameCarrierDown: down, SamePoolDown: pool,
			AsOf: time.Now().UTC().Format(time.RFC3339)})
		if err != nil {
			return
		}
		c := protocol.Command{V: protocol.Version, ID: newID("nb-"), Expires: time.Now().Add(neighbourLife).UTC().Format(time.RFC3339),
			Do: "neighbours", Args: args}
		if err := w.command(ctx, d, c); err != nil {
			w.log.Warn("neighbours", "device", d.dev, "error", err.Error())
		}
	}
	if !f.Ended.IsZero() {
		for _, id := range f.Members {
			if d := w.devices[id]; d != nil {
				d.neighbour = false
			}
		}
	}
}
