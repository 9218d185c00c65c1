package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"cellwarden/protocol"
)

// now is a row of device_now: how a device stands.
type now struct {
	Heard                int64
	Up                   *bool
	UpAt                 int64
	UpBoot               string
	UpMono               int64
	UpWhy                string
	Boot                 string
	StateEp              string
	StateSeq, StateAt    int64
	Class                string
	RSRP                 *float64
	Used, Quota, Waiting int64
	State                *string
	InvEp                string
	InvSeq               int64
	Inventory            *string
	LastAt               int64
	LastBoot             string
	LastMono             int64
	Last                 *string
	dirty                bool
}

const nowColumns = `heard, up, up_at, up_boot, up_mono, up_why, boot, state_ep, state_seq, state_at, class, rsrp, used, quota, waiting, state,
	inv_ep, inv_seq, inventory, last_at, last_boot, last_mono, last`

func (n *now) fields() []any {
	return []any{&n.Heard, &n.Up, &n.UpAt, &n.UpBoot, &n.UpMono, &n.UpWhy, &n.Boot, &n.StateEp, &n.StateSeq, &n.StateAt, &n.Class, &n.RSRP,
		&n.Used, &n.Quota, &n.Waiting, &n.State, &n.InvEp, &n.InvSeq, &n.Inventory, &n.LastAt, &n.LastBoot, &n.LastMono, &n.Last}
}

func (in *intake) readNow(ctx context.Context, is string, arg any) error {
	rows, err := in.Query(ctx, "SELECT device, "+nowColumns+" FROM device_now WHERE device "+is, arg)
	if err != nil {
		return err
	}
	err = scan(rows, func(r *sql.Rows) error {
		var id int64
		n := &now{}
		if err := r.Scan(append([]any{&id}, n.fields()...)...); err != nil {
			return err
		}
		in.devices[id].now = n
		return nil
	})
	for _, d := range in.devices {
		if d.now == nil {
			d.now = &now{}
		}
	}
	return err
}

// status takes what stands on the status topic. Of one boot the order is known;
// else the later to arrive counts.
func (n *now) status(s protocol.Status, arrived int64) {
	if n.Up != nil {
		before := protocol.Status{Up: *n.Up, Boot: n.UpBoot, MonoMS: n.UpMono}
		if later, known := s.After(before); known && !later {
			return
		}
	}
	up := s.Up
	n.Up, n.UpAt, n.UpBoot, n.UpMono, n.UpWhy = &up, arrived, clean(s.Boot, 36), s.MonoMS, clean(s.Why, 40)
}

// proveUp: what was recorded after the will shows that the device is back, whatever
// the status says. Mere arrival does not: it may be a backlog.
func (n *now) proveUp(at protocol.Time, arrived int64) {
	if n.Up == nil || *n.Up {
		return
	}
	if ms, ok := trusted(at); ok && ms > n.UpAt && ms <= arrived {
		up := true
		n.Up, n.UpWhy = &up, ""
		n.UpAt = arrived
	}
}

func (n *now) takeState(b *protocol.State, e *protocol.Envelope, at int64, p place, d *dev) {
	if n.StateSeq > 0 && !p.after(d.place(n.StateEp, n.StateSeq)) {
		return
	}
	text := string(e.Body)
	n.StateEp, n.StateSeq, n.StateAt, n.State, n.Boot = e.Epoch, int64(e.Seq), at, &text, clean(e.At.Boot, 36)
	n.Class, n.RSRP, n.Used, n.Quota, n.Waiting = clean(b.Class, 40), sane(b.RSRP), whole(b.UsedBytes), whole(b.QuotaBytes), int64(b.Waiting)
}

func (n *now) takeInventory(e *protocol.Envelope, p place, d *dev) {
	if n.InvSeq > 0 && !p.after(d.place(n.InvEp, n.InvSeq)) {
		return
	}
	text := string(e.Body)
	n.InvEp, n.InvSeq, n.Inventory = e.Epoch, int64(e.Seq), &text
}

// lastWords takes last words if they are newer than those that are known.
func (n *now) lastWords(l protocol.Last) bool {
	ms, ok := trusted(l.At)
	switch {
	case l.At.Boot != "" && l.At.Boot == n.LastBoot:
		if l.At.MonoMS <= n.LastMono {
			return false
		}
	case ok && ms < n.LastAt:
		return false
	}
	raw, err := json.Marshal(l)
	if err != nil {
		return false
	}
	text := string(raw)
	n.Last, n.LastBoot, n.LastMono = &text, clean(l.At.Boot, 36), l.At.MonoMS
	if ok {
		n.LastAt = ms
	}
	return true
}

func (in *intake) writeNow(ctx context.Context) error {
	type line struct {
		id int64
		*now
	}
	var list []line
	for _, id := range in.order {
		if d := in.devices[id]; d.now.dirty {
			list = append(list, line{id, d.now})
		}
	}
	cols := []column{
		{"device", "bigint", pick(list, func(l *line) int64 { return l.id })},
		{"heard", "bigint", pick(list, func(l *line) int64 { return l.Heard })},
		{"up", "boolean", pick(list, func(l *line) *bool { return l.Up })},
		{"up_at", "bigint", pick(list, func(l *line) int64 { return l.UpAt })},
		{"up_boot", "text", pick(list, func(l *line) string { return l.UpBoot })},
		{"up_mono", "bigint", pick(list, func(l *line) int64 { return l.UpMono })},
		{"up_why", "text", pick(list, func(l *line) string { return l.UpWhy })},
		{"boot", "text", pick(list, func(l *line) string { return l.Boot })},
		{"state_ep", "text", pick(list, func(l *line) string { return l.StateEp })},
		{"state_seq", "bigint", pick(list, func(l *line) int64 { return l.StateSeq })},
		{"state_at", "bigint", pick(list, func(l *line) int64 { return l.StateAt })},
		{"class", "text", pick(list, func(l *line) string { return l.Class })},
		{"rsrp", "real", pick(list, func(l *line) *float64 { return l.RSRP })},
		{"used", "bigint", pick(list, func(l *line) int64 { return l.Used })},
		{"quota", "bigint", pick(list, func(l *line) int64 { return l.Quota })},
		{"waiting", "bigint", pick(list, func(l *line) int64 { return l.Waiting })},
		{"state", "json", pick(list, func(l *line) *string { return l.State })},
		{"inv_ep", "text", pick(list, func(l *line) string { return l.InvEp })},
		{"inv_seq", "bigint", pick(list, func(l *line) int64 { return l.InvSeq })},
		{"inventory", "json", pick(list, func(l *line) *string { return l.Inventory })},
		{"last_at", "bigint", pick(list, func(l *line) int64 { return l.LastAt })},
		{"last_boot", "text", pick(list, func(l *line) string { return l.LastBoot })},
		{"last_mono", "bigint", pick(list, func(l *line) int64 { return l.LastMono })},
		{"last", "json", pick(list, func(l *line) *string { return l.Last })},
	}
	set := ""
	for _, c := range cols[1:] {
		set += ", " + c.name + " = excluded." + c.name
	}
	if err := in.insert(ctx, "device_now", "ON CONFLICT (device) DO UPDATE SET "+set[2:], cols, nil); err != nil {
		return fmt.Errorf("device_now: %w", err)
	}
	return nil
}
