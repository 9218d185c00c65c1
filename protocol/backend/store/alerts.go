package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"cellwarden/protocol"
)

const alertColumns = `id, tenant, device, source, key, incident, class, verdict, who, act, resumes, unstable, ep, first_seq, last_seq, clear_seq,
	opened, changed, closed, ended_by, next, body, acked_by, acked_at, muted_until, escalated, group_id`

func (a *Alert) fields(body *sql.NullString) []any {
	return []any{&a.ID, &a.Tenant, &a.Device, &a.Source, &a.Key, &a.Incident, &a.Class, &a.Verdict, &a.Who, &a.Act, &a.Resumes, &a.Unstable,
		&a.Ep, &a.First, &a.Last, &a.Clear, &a.Opened, &a.Changed, &a.Closed, &a.EndedBy, &a.Next, body, &a.AckedBy, &a.AckedAt, &a.Muted,
		&a.Escalated, &a.Group}
}

// scanAlert reads a row of alertColumns, and what more is asked for.
func scanAlert(r interface{ Scan(...any) error }, more ...any) (*Alert, error) {
	a := &Alert{}
	var body sql.NullString
	if err := r.Scan(append(a.fields(&body), more...)...); err != nil {
		return nil, err
	}
	if body.Valid {
		a.Body = json.RawMessage(body.String)
	}
	return a, nil
}

// told is a device's alerts of one source within an intake.
type told struct {
	d      *dev
	source string
	rows   map[string]*Alert
}

// settleAlerts brings the alerts of all devices that said something of one up to
// date, and writes what is to be told.
func (in *intake) settleAlerts(ctx context.Context) error {
	books := map[[2]any]*told{}
	var order [][2]any
	var touched []int64
	book := func(d *dev, source string) *told {
		k := [2]any{d.id, source}
		if books[k] == nil {
			books[k] = &told{d, source, map[string]*Alert{}}
			order = append(order, k)
		}
		return books[k]
	}
	for _, id := range in.order {
		d := in.devices[id]
		for _, t := range d.tells {
			book(d, t.alert.Source)
		}
		if d.last != nil {
			book(d, SourceDevice)
		}
		if len(d.tells) > 0 || d.last != nil {
			touched = append(touched, id)
		}
	}
	if len(touched) == 0 {
		return nil
	}
	if err := in.readAlerts(ctx, touched, book); err != nil {
		return fmt.Errorf("alert: %w", err)
	}
	var all []*Alert
	siblings := map[*Alert][]*Alert{}
	for _, k := range order {
		b := books[k]
		rows := b.settle()
		for _, a := range rows {
			siblings[a] = rows
		}
		all = append(all, rows...)
	}
	if err := in.writeAlerts(ctx, all); err != nil {
		return fmt.Errorf("alert: %w", err)
	}
	for _, a := range all {
		if what := a.became(siblings[a]); what != "" {
			n, err := in.tellAlert(ctx, what, a)
			if err != nil {
				return fmt.Errorf("outbox: %w", err)
			}
			in.res.Events += n
		}
	}
	return nil
}

// readAlerts reads the rows that what was told may change: those that are open, and
// those of the same key or incident.
func (in *intake) readAlerts(ctx context.Context, devices []int64, book func(*dev, string) *told) error {
	var keys []string
	incidents := []string{""}
	for _, id := range devices {
		d := in.devices[id]
		for _, t := range d.tells {
			keys, incidents = append(keys, t.alert.Key), append(incidents, t.alert.Incident)
		}
		if f := d.last; f != nil && f.Fault != nil {
			keys = append(keys, alertKey(f.Fault.Incident, f.Fault.Class, f.Fault.Since))
		}
	}
	is, arg := In(in.s, devices)
	isKey, argKey := In(in.s, append(keys, ""))
	isInc, argInc := In(in.s, incidents)
	rows, err := in.Query(ctx, "SELECT "+alertColumns+" FROM alert WHERE device "+is+" AND (closed IS NULL OR key "+isKey+" OR incident "+isInc+")", arg, argKey, argInc)
	if err != nil {
		return err
	}
	return scan(rows, func(r *sql.Rows) error {
		a, err := scanAlert(r)
		if err != nil {
			return err
		}
		if a.Source != SourceDevice && a.Source != SourceAgent {
			return nil
		}
		was := *a
		a.was = &was
		d := in.devices[a.Device]
		a.Dev = d.name
		if a.Source == SourceAgent && !slices.ContainsFunc(d.tells, func(t tell) bool { return t.alert.Source == SourceAgent }) {
			return nil
		}
		book(d, a.Source).rows[a.Key] = a
		return nil
	})
}

// settle merges what was told, and says which rows stand. It gives those that are
// new or changed, closed ones first.
func (b *told) settle() []*Alert {
	d := b.d
	for _, t := range d.tells {
		if t.alert.Source != b.source {
			continue
		}
		a := b.rows[t.alert.Key]
		if a == nil {
			a = &Alert{}
			b.rows[t.alert.Key] = a
		}
		a.merge(t, d.place)
		a.Tenant, a.Device, a.Dev = d.tenant, d.id, d.name
	}
	top := place{}
	for ep, st := range d.stream {
		seq := st.alert
		if b.source == SourceAgent {
			seq = st.blind
		}
		if p := d.place(ep, seq); seq > 0 && (top.ep == "" || p.after(top)) {
			top = p
		}
	}
	if b.source == SourceDevice && d.last != nil && top.ep == "" {
		b.lastWords(d)
	}
	var rows []*Alert
	for _, a := range b.rows {
		rows = append(rows, a)
	}
	slices.SortFunc(rows, func(x, y *Alert) int {
		if x.Opened != y.Opened {
			return int(min(max(x.Opened-y.Opened, -1), 1))
		}
		if x.Key < y.Key {
			return -1
		}
		return 1
	})
	settle(rows, top, d.place)
	return rows
}

// lastWords takes the fault that stands from the retained last words of a device
// whose alerts were never seen: a backend that starts later knows the fleet.
func (b *told) lastWords(d *dev) {
	f := d.last.Fault
	key := ""
	if f != nil && f.Class != "" {
		key = alertKey(f.Incident, f.Class, f.Since)
		if b.rows[key] == nil {
			at := timeOf(d.last.At, d.now.Heard)
			b.rows[key] = &Alert{Tenant: d.tenant, Device: d.id, Dev: d.name, Source: b.source, Key: key, Incident: clean(f.Incident, 100),
				Class: clean(f.Class, 100), Verdict: clean(f.Verdict, 100), Who: clean(f.Who, 100), Act: clean(f.Act, 100), Resumes: clean(f.ResumesAt, 100),
				Unstable: f.Unstable, Opened: timeOf(f.Since, at), Changed: at}
		}
	}
	for k, a := range b.rows {
		if k != key && a.Last == 0 && a.Clear == 0 { // known from earlier last words only, and no longer said
			a.Clear, a.endsAt, a.EndedBy = 1, timeOf(d.last.At, d.now.Heard), "last_words"
		}
	}
}

func (in *intake) writeAlerts(ctx context.Context, list []*Alert) error {
	col := func(f func(a *Alert) string) []string {
		return pick(list, func(a **Alert) string { return f(*a) })
	}
	num := func(f func(a *Alert) int64) []int64 {
		return pick(list, func(a **Alert) int64 { return f(*a) })
	}
	cols := []column{
		{"tenant", "text", col(func(a *Alert) string { return a.Tenant })},
		{"device", "bigint", num(func(a *Alert) int64 { return a.Device })},
		{"source", "text", col(func(a *Alert) string { return a.Source })},
		{"key", "text", col(func(a *Alert) string { return a.Key })},
		{"incident", "text", col(func(a *Alert) string { return a.Incident })},
		{"class", "text", col(func(a *Alert) string { return a.Class })},
		{"verdict", "text", col(func(a *Alert) string { return a.Verdict })},
		{"who", "text", col(func(a *Alert) string { return a.Who })},
		{"act", "text", col(func(a *Alert) string { return a.Act })},
		{"resumes", "text", col(func(a *Alert) string { return a.Resumes })},
		{"unstable", "boolean", pick(list, func(a **Alert) bool { return (*a).Unstable })},
		{"ep", "text", col(func(a *Alert) string { return a.Ep })},
		{"first_seq", "bigint", num(func(a *Alert) int64 { return a.First })},
		{"last_seq", "bigint", num(func(a *Alert) int64 { return a.Last })},
		{"clear_seq", "bigint", num(func(a *Alert) int64 { return a.Clear })},
		{"opened", "bigint", num(func(a *Alert) int64 { return a.Opened })},
		{"changed", "bigint", num(func(a *Alert) int64 { return a.Changed })},
		{"closed", "bigint", pick(list, func(a **Alert) *int64 { return (*a).Closed })},
		{"ended_by", "text", col(func(a *Alert) string { return a.EndedBy })},
		{"next", "text", col(func(a *Alert) string { return a.Next })},
		{"body", "json", pick(list, func(a **Alert) *string {
			if (*a).Body == nil {
				return nil
			}
			text := string((*a).Body)
			return &text
		})},
	}
	set := ""
	for _, c := range cols[4:] {
		set += ", " + c.name + " = excluded." + c.name
	}
	byKey := map[string]*Alert{}
	for _, a := range list {
		byKey[fmt.Sprint(a.Device, a.Source, a.Key)] = a
	}
	return in.insert(ctx, "alert", "ON CONFLICT (device, source, key) DO UPDATE SET "+set[2:]+" RETURNING id, device, source, key", cols, func(r *sql.Rows) error {
		var id, device int64
		var source, key string
		if err := r.Scan(&id, &device, &source, &key); err != nil {
			return err
		}
		byKey[fmt.Sprint(device, source, key)].ID = id
		return nil
	})
}

// Own is an alert of one of the backend's own rules.
type Own struct {
	Device   int64
	Source   string // the rule: silence, pool, ...
	Incident string // pairs it with its Clear
	Class    string
	Verdict  string // confirmed, likely, undecided
	Who, Act string
	Body     any // what the rule knows
	Since    int64
}

// Raise opens an alert of a rule, or changes the one of the same incident. Another
// one of the same device, source and class ends as replaced.
func (t *Tx) Raise(ctx context.Context, o Own) error {
	raw, err := json.Marshal(o.Body)
	if err != nil {
		return err
	}
	was, err := t.own(ctx, o)
	if err != nil {
		return err
	}
	a := &Alert{Device: o.Device, Source: clean(o.Source, 40), Incident: clean(o.Incident, 100), Class: clean(o.Class, 40), Verdict: o.Verdict, Who: o.Who,
		Act: o.Act, Body: raw, Opened: o.Since, Changed: t.now, Key: clean(o.Incident+"/"+o.Class, 100)}
	if err := t.QueryRow(ctx, "SELECT tenant, dev FROM device WHERE id = ?", o.Device).Scan(&a.Tenant, &a.Dev); err != nil {
		return fmt.Errorf("device %d: %w", o.Device, err)
	}
	what := EventRaised
	if was != nil && was.Key != a.Key {
		if _, err := t.Exec(ctx, "UPDATE alert SET closed = ?, ended_by = 'replaced' WHERE id = ?", t.now, was.ID); err != nil {
			return err
		}
	} else if was != nil {
		what = EventChanged
		a.was = was
		if a.became(nil) == "" {
			what = ""
		}
	}
	in := &intake{Tx: t}
	if err := in.writeAlerts(ctx, []*Alert{a}); err != nil || what == "" {
		return err
	}
	_, err = t.tellAlert(ctx, what, a)
	return err
}

// Clear ends the alert that Raise opened, if it stands. by is as in Clear.EndedBy of
// the protocol.
func (t *Tx) Clear(ctx context.Context, o Own, by string) error {
	a, err := t.own(ctx, o)
	if a == nil || err != nil {
		return err
	}
	if _, err := t.Exec(ctx, "UPDATE alert SET closed = ?, ended_by = ? WHERE id = ?", t.now, clean(by, 40), a.ID); err != nil {
		return err
	}
	if err := t.QueryRow(ctx, "SELECT dev FROM device WHERE id = ?", a.Device).Scan(&a.Dev); err != nil {
		return err
	}
	a.Closed, a.EndedBy = &t.now, by
	_, err = t.tellAlert(ctx, EventCleared, a)
	return err
}

func (t *Tx) own(ctx context.Context, o Own) (*Alert, error) {
	if o.Source == SourceDevice || o.Source == SourceAgent {
		return nil, fmt.Errorf("source %q is the devices' own", o.Source)
	}
	a, err := scanAlert(t.QueryRow(ctx, "SELECT "+alertColumns+" FROM alert WHERE device = ? AND source = ? AND class = ? AND closed IS NULL", o.Device, o.Source, o.Class))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return a, err
}

// Ack notes that somebody took an alert on: it is not escalated any more. It says
// whether there was one to take.
func (t *Tx) Ack(ctx context.Context, alert int64, who string) (bool, error) {
	res, err := t.Exec(ctx, "UPDATE alert SET acked_by = ?, acked_at = ? WHERE id = ? AND closed IS NULL AND acked_at IS NULL", clean(who, 100), t.now, alert)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// MaxMute is the longest that anything may be muted.
const MaxMute = 31 * 24 * 3600 * 1000

// Mute keeps an alert's notifications back until a moment at most 31 days ahead. The
// alert stays in every list and count.
func (t *Tx) Mute(ctx context.Context, alert, until int64, who string) error {
	if until <= t.now || until > t.now+MaxMute {
		return errors.New("a mute has an end: later than now, at most 31 days ahead")
	}
	if _, err := t.Exec(ctx, "UPDATE alert SET muted_until = ? WHERE id = ? AND closed IS NULL", until, alert); err != nil {
		return err
	}
	return t.Audit(ctx, who, fmt.Sprintf("muted alert %d", alert))
}

// Audit notes who did what.
func (t *Tx) Audit(ctx context.Context, who, what string) error {
	_, err := t.Exec(ctx, "INSERT INTO audit (at, who, what) VALUES (?, ?, ?)", t.now, clean(who, 100), clean(what, 500))
	return err
}

// Alerts lists alerts of a tenant, the newest first: those that stand, or with all
// also those that ended. before is the id to go on from, 0 for the start.
func (s *Store) Alerts(ctx context.Context, tenant string, all bool, before int64, limit int) ([]*Alert, error) {
	q := "SELECT " + alertColumns + ", (SELECT dev FROM device d WHERE d.id = alert.device) FROM alert WHERE tenant = ?"
	if !all {
		q += " AND closed IS NULL"
	}
	args := []any{tenant}
	if before > 0 {
		q += " AND id < ?"
		args = append(args, before)
	}
	rows, err := s.Query(ctx, q+" ORDER BY id DESC LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, err
	}
	list := []*Alert{}
	err = scan(rows, func(r *sql.Rows) error {
		var dev string
		a, err := scanAlert(r, &dev)
		if err == nil {
			a.Dev = dev
			list = append(list, a)
		}
		return err
	})
	return list, err
}

// Body reads the body of a device's alert.
func (a *Alert) Protocol() (protocol.Alert, error) {
	var b protocol.Alert
	if len(a.Body) == 0 {
		return b, nil
	}
	err := json.Unmarshal(a.Body, &b)
	return b, err
}
