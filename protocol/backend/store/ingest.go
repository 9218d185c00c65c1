package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cellwarden/protocol"
)

// Message is one thing that arrived: an envelope, a status, last words, or what
// could not be read. Exactly one of them is set.
type Message struct {
	Tenant  string
	Device  string // as in the topic
	Arrived int64  // milliseconds since 1970

	Envelope *protocol.Envelope
	Body     any // of the envelope, decoded; nil for a type that is not known
	Status   *protocol.Status
	Last     *protocol.Last
	Rejected *Rejected
}

// Rejected is what was refused, with as much of it as helps to find out why.
type Rejected struct {
	Topic  string
	Reason string // unreadable, too_large, forged, topic, too_new, epochs, late, unknown_device, refused
	Detail string
	Size   int
	Head   []byte
}

// maxHead is how much of a rejected payload is kept.
const maxHead = 1 << 10

// Result counts what Ingest did with its messages.
type Result struct {
	New, Repeated int
	Rejected      map[string]int // by reason
	Events        int            // written for webhooks
}

// ids remembers the numbers of devices.
type ids struct {
	sync.Mutex
	known    map[[2]string]int64
	day      int64
	rejected int
}

// maxIDs bounds it: 200,000 names take about 30 MB.
const maxIDs = 200_000

// Ingest writes messages in one transaction: all or nothing. What was written
// before is left out, whoever wrote it and however it was packed. The result does
// not depend on the order in which messages arrive, save for what only arrival can
// tell (heard, arrived, the order of two statuses of different boots).
func (s *Store) Ingest(ctx context.Context, list []Message) (Result, error) {
	res := Result{Rejected: map[string]int{}}
	if len(list) == 0 {
		return res, nil
	}
	err := s.Tx(ctx, func(tx *Tx) error {
		res = Result{Rejected: map[string]int{}}
		return tx.ingest(ctx, list, &res)
	})
	return res, err
}

// intake is one Ingest under way.
type intake struct {
	*Tx
	res      *Result
	devices  map[int64]*dev
	order    []int64
	rejected []Rejected
	events   []row
	states   []row
	replies  []row
}

// dev is one device within an intake.
type dev struct {
	id     int64
	tenant string
	name   string
	stream map[string]*stream
	now    *now
	tells  []tell
	last   *protocol.Last
}

type stream struct {
	seen         Seen
	firstAt      int64
	newest       int64
	gaps         int64
	alert, blind int64
	dirty        bool
}

// row is one envelope that is new.
type row struct {
	d *dev
	m *Message
}

func (t *Tx) ingest(ctx context.Context, list []Message, res *Result) error {
	in := &intake{Tx: t, res: res, devices: map[int64]*dev{}}
	of, err := in.identify(ctx, list)
	if err != nil {
		return fmt.Errorf("devices: %w", err)
	}
	if err := in.lock(ctx); err != nil {
		return fmt.Errorf("streams: %w", err)
	}
	for i := range list {
		m := &list[i]
		d := of[i]
		switch {
		case m.Rejected != nil:
			in.reject(*m.Rejected)
			continue
		case d == nil:
			in.reject(Rejected{Topic: m.Tenant + "/" + m.Device, Reason: "unknown_device"})
			continue
		case m.Envelope != nil:
			in.envelope(d, m)
		case m.Status != nil:
			d.now.status(*m.Status, m.Arrived)
		case m.Last != nil:
			if d.now.lastWords(*m.Last) {
				d.last = m.Last
			}
		}
		d.now.Heard = max(d.now.Heard, m.Arrived)
		d.now.dirty = true
	}
	for _, write := range []func(context.Context) error{in.writeStreams, in.writeEvents, in.writeStates, in.writeNow, in.settleAlerts, in.writeReplies, in.writeRejected} {
		if err := write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// identify finds the numbers of all devices, and enters those that are new.
func (in *intake) identify(ctx context.Context, list []Message) ([]*dev, error) {
	want := map[[2]string]int64{}
	for i := range list {
		if list[i].Rejected == nil {
			want[[2]string{list[i].Tenant, list[i].Device}] = 0
		}
	}
	var missing [][2]string
	in.s.ids.Lock()
	for k := range want {
		if id, ok := in.s.ids.known[k]; ok {
			want[k] = id
		} else {
			missing = append(missing, k)
		}
	}
	in.s.ids.Unlock()
	slices.SortFunc(missing, func(a, b [2]string) int { return strings.Compare(a[0]+"/"+a[1], b[0]+"/"+b[1]) })
	if len(missing) > 0 {
		names := pick(missing, func(k *[2]string) string { return k[1] })
		if in.s.limits.UnknownDevice {
			cols := []column{{"tenant", "text", pick(missing, func(k *[2]string) string { return k[0] })}, {"dev", "text", names},
				{"created", "bigint", pick(missing, func(*[2]string) int64 { return in.now })}}
			if err := in.insert(ctx, "device", "ON CONFLICT DO NOTHING", cols, nil); err != nil {
				return nil, err
			}
		}
		is, arg := In(in.s, names)
		rows, err := in.Query(ctx, "SELECT id, tenant, dev FROM device WHERE dev "+is, arg)
		if err != nil {
			return nil, err
		}
		err = scan(rows, func(r *sql.Rows) error {
			var id int64
			var k [2]string
			if err := r.Scan(&id, &k[0], &k[1]); err != nil {
				return err
			}
			if _, wanted := want[k]; wanted {
				want[k] = id
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	of := make([]*dev, len(list))
	for i := range list {
		k := [2]string{list[i].Tenant, list[i].Device}
		id := want[k]
		if id == 0 || list[i].Rejected != nil {
			continue
		}
		if in.devices[id] == nil {
			in.devices[id] = &dev{id: id, tenant: k[0], name: k[1], stream: map[string]*stream{}}
			in.order = append(in.order, id)
		}
		of[i] = in.devices[id]
	}
	slices.Sort(in.order)
	return of, nil
}

// remember keeps the numbers of committed devices.
func (s *Store) remember(devices map[int64]*dev) {
	s.ids.Lock()
	defer s.ids.Unlock()
	if s.ids.known == nil || len(s.ids.known) > maxIDs {
		s.ids.known = map[[2]string]int64{}
	}
	for id, d := range devices {
		s.ids.known[[2]string{d.tenant, d.name}] = id
	}
}

// lock takes the devices, in the order of their numbers so that two receivers never
// wait for each other, and reads what is known of them.
func (in *intake) lock(ctx context.Context) error {
	if len(in.order) == 0 {
		return nil
	}
	is, arg := In(in.s, in.order)
	if in.s.Postgres {
		rows, err := in.Query(ctx, "SELECT id FROM device WHERE id "+is+" ORDER BY id FOR NO KEY UPDATE", arg)
		if err != nil {
			return err
		}
		if err := scan(rows, func(*sql.Rows) error { return nil }); err != nil {
			return err
		}
	}
	rows, err := in.Query(ctx, "SELECT device, ep, CAST(seen AS text), floor, first_at, newest, gaps, alert_seq, blind_seq FROM stream WHERE device "+is, arg)
	if err != nil {
		return err
	}
	err = scan(rows, func(r *sql.Rows) error {
		var id int64
		var ep, seen string
		st := &stream{}
		if err := r.Scan(&id, &ep, &seen, &st.seen.Floor, &st.firstAt, &st.newest, &st.gaps, &st.alert, &st.blind); err != nil {
			return err
		}
		floor := st.seen.Floor
		var err error
		st.seen, err = ParseSeen(seen)
		st.seen.Floor = floor
		in.devices[id].stream[ep] = st
		return err
	})
	if err != nil {
		return err
	}
	return in.readNow(ctx, is, arg)
}

// envelope takes one envelope in, if it is new.
func (in *intake) envelope(d *dev, m *Message) {
	e := m.Envelope
	reject := func(reason, detail string) {
		head, err := protocol.NewBody(e)
		if err != nil {
			head = []byte(err.Error())
		}
		in.reject(Rejected{Topic: m.Tenant + "/" + m.Device, Reason: reason, Detail: detail, Size: len(e.Body), Head: head})
	}
	if e.Seq > MaxSeq {
		reject("refused", "seq beyond 2^53")
		return
	}
	st := d.stream[e.Epoch]
	if st == nil {
		if why := in.tooMany(d, m.Arrived); why != "" {
			reject("epochs", why)
			return
		}
		st = &stream{firstAt: m.Arrived}
		d.stream[e.Epoch] = st
	}
	if !st.seen.Add(e.Seq) {
		if e.Seq < st.seen.Floor {
			reject("late", "its place was closed: too many holes before it")
		} else {
			in.res.Repeated++
		}
		return
	}
	in.res.New++
	st.dirty = true
	if ms, ok := trusted(e.At); ok {
		st.newest = max(st.newest, ms)
	}
	at := timeOf(e.At, m.Arrived)
	place := func() place { return d.place(e.Epoch, int64(e.Seq)) }
	d.now.proveUp(e.At, m.Arrived)
	switch b := m.Body.(type) {
	case *protocol.State:
		d.now.takeState(b, e, at, place(), d)
		in.states = append(in.states, row{d, m})
		return
	case *protocol.Inventory:
		d.now.takeInventory(e, place(), d)
	case *protocol.Gap:
		st.gaps += int64(min(b.Count, MaxSeq))
	case *protocol.Alert, *protocol.Clear:
		st.alert = max(st.alert, int64(e.Seq))
	case *protocol.Blind:
		st.blind = max(st.blind, int64(e.Seq))
	case *protocol.Reply:
		in.replies = append(in.replies, row{d, m})
	}
	if t, ok := tellOf(*e, m.Body, at); ok {
		d.tells = append(d.tells, t)
	}
	in.events = append(in.events, row{d, m})
}

// tooMany says why d may not begin one more epoch now.
func (in *intake) tooMany(d *dev, arrived int64) string {
	l := in.s.limits
	recent := 0
	for _, st := range d.stream {
		if arrived-st.firstAt < l.EpochWindow.Milliseconds() {
			recent++
		}
	}
	switch {
	case len(d.stream) >= l.Epochs:
		return fmt.Sprintf("%d epochs of this device are known, the limit", len(d.stream))
	case recent >= l.EpochBurst:
		return fmt.Sprintf("%d epochs of this device began within %s, the limit", recent, l.EpochWindow)
	}
	return ""
}

// place is where a message of d stands among all of d.
func (d *dev) place(ep string, seq int64) place {
	st := d.stream[ep]
	if st == nil {
		return place{ep: ep, seq: seq}
	}
	if st.newest > 0 {
		return place{st.newest, ep, seq}
	}
	return place{st.firstAt, ep, seq}
}

func (in *intake) reject(r Rejected) {
	in.res.Rejected[r.Reason]++
	r.Head = r.Head[:min(len(r.Head), maxHead)]
	in.rejected = append(in.rejected, r)
}

// trusted is a device's time in milliseconds, where its clock could be trusted.
func trusted(t protocol.Time) (int64, bool) {
	if !t.Trusted {
		return 0, false
	}
	at, err := time.Parse(time.RFC3339, t.Wall)
	if err != nil || at.Year() < 2020 || at.Year() > 2200 {
		return 0, false
	}
	return at.UnixMilli(), true
}

func (in *intake) writeStreams(ctx context.Context) error {
	type line struct {
		id int64
		ep string
		*stream
	}
	var list []line
	for _, id := range in.order {
		for ep, st := range in.devices[id].stream {
			if st.dirty {
				list = append(list, line{id, ep, st})
			}
		}
	}
	cols := []column{
		{"device", "bigint", pick(list, func(l *line) int64 { return l.id })},
		{"ep", "text", pick(list, func(l *line) string { return l.ep })},
		{"seen", "int8multirange", pick(list, func(l *line) string { return l.seen.String() })},
		{"floor", "bigint", pick(list, func(l *line) int64 { return int64(l.seen.Floor) })},
		{"first_at", "bigint", pick(list, func(l *line) int64 { return l.firstAt })},
		{"newest", "bigint", pick(list, func(l *line) int64 { return l.newest })},
		{"gaps", "bigint", pick(list, func(l *line) int64 { return l.gaps })},
		{"holes", "bigint", pick(list, func(l *line) int64 { return max(0, whole(l.seen.Holes())-l.gaps) })},
		{"alert_seq", "bigint", pick(list, func(l *line) int64 { return l.alert })},
		{"blind_seq", "bigint", pick(list, func(l *line) int64 { return l.blind })},
	}
	return in.insert(ctx, "stream", `ON CONFLICT (device, ep) DO UPDATE SET seen = excluded.seen, floor = excluded.floor, newest = excluded.newest,
		gaps = excluded.gaps, holes = excluded.holes, alert_seq = excluded.alert_seq, blind_seq = excluded.blind_seq`, cols, nil)
}

func (in *intake) writeEvents(ctx context.Context) error {
	type e = row
	cols := []column{
		{"device", "int", pick(in.events, func(r *e) int64 { return r.d.id })},
		{"ep", "text", pick(in.events, func(r *e) string { return r.m.Envelope.Epoch })},
		{"seq", "bigint", pick(in.events, func(r *e) int64 { return int64(r.m.Envelope.Seq) })},
		{"type", "text", pick(in.events, func(r *e) string { return string(r.m.Envelope.Type) })},
		{"at", "bigint", pick(in.events, func(r *e) int64 { return timeOf(r.m.Envelope.At, r.m.Arrived) })},
		{"at_ok", "boolean", pick(in.events, func(r *e) bool { _, ok := trusted(r.m.Envelope.At); return ok })},
		{"arrived", "bigint", pick(in.events, func(r *e) int64 { return r.m.Arrived })},
		{"body", "json", pick(in.events, func(r *e) string { return string(r.m.Envelope.Body) })},
	}
	if err := in.insert(ctx, "event", "", cols, nil); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	return nil
}

func (in *intake) writeStates(ctx context.Context) error {
	type e = row
	st := func(r *e) *protocol.State { return r.m.Body.(*protocol.State) }
	cols := []column{
		{"device", "int", pick(in.states, func(r *e) int64 { return r.d.id })},
		{"seq", "bigint", pick(in.states, func(r *e) int64 { return int64(r.m.Envelope.Seq) })},
		{"at", "bigint", pick(in.states, func(r *e) int64 { return timeOf(r.m.Envelope.At, r.m.Arrived) })},
		{"at_ok", "boolean", pick(in.states, func(r *e) bool { _, ok := trusted(r.m.Envelope.At); return ok })},
		{"arrived", "bigint", pick(in.states, func(r *e) int64 { return r.m.Arrived })},
		{"class", "text", pick(in.states, func(r *e) string { return clean(st(r).Class, 40) })},
		{"rsrp", "real", pick(in.states, func(r *e) *float64 { return sane(st(r).RSRP) })},
		{"sinr", "real", pick(in.states, func(r *e) *float64 { return sane(st(r).SINR) })},
		{"rat", "text", pick(in.states, func(r *e) string { return clean(st(r).RAT, 10) })},
		{"plmn", "text", pick(in.states, func(r *e) string { return clean(st(r).PLMN, 10) })},
		{"used", "bigint", pick(in.states, func(r *e) int64 { return whole(st(r).UsedBytes) })},
		{"own", "bigint", pick(in.states, func(r *e) int64 { return whole(st(r).OwnBytes) })},
		{"quota", "bigint", pick(in.states, func(r *e) int64 { return whole(st(r).QuotaBytes) })},
		{"waiting", "int", pick(in.states, func(r *e) int64 { return int64(max(0, min(st(r).Waiting, 1<<31-1))) })},
		{"uptime", "int", pick(in.states, func(r *e) int64 { return max(0, min(st(r).UptimeS, 1<<31-1)) })},
		{"counts", "json", pick(in.states, func(r *e) *string { return counts(st(r).Counts) })},
	}
	if err := in.insert(ctx, "state", "", cols, nil); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// sane leaves out what no modem reports and a real column may not hold.
func sane(v *float64) *float64 {
	if v == nil || *v < -1000 || *v > 1000 {
		return nil
	}
	return v
}

func whole(v uint64) int64 { return int64(min(v, 1<<62)) }

func counts(m map[string]int) *string {
	if len(m) == 0 {
		return nil
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	text := string(raw)
	return &text
}

func (in *intake) writeReplies(ctx context.Context) error {
	for _, r := range in.replies {
		b := r.m.Body.(*protocol.Reply)
		if _, err := in.Exec(ctx, "UPDATE command SET replied = ?, ok = ?, error = ? WHERE device = ? AND id = ? AND replied IS NULL",
			r.m.Arrived, b.OK, clean(b.Error, 300), r.d.id, clean(b.ID, protocol.MaxID)); err != nil {
			return fmt.Errorf("command: %w", err)
		}
	}
	return nil
}

// writeRejected keeps what was refused, up to a number of rows a day.
func (in *intake) writeRejected(ctx context.Context) error {
	const dayMS = 24 * 3600 * 1000
	list := in.rejected
	in.s.ids.Lock()
	if day := in.now / dayMS; day != in.s.ids.day {
		in.s.ids.day, in.s.ids.rejected = day, 0
	}
	list = list[:min(len(list), max(0, in.s.limits.RejectedADay-in.s.ids.rejected))]
	in.s.ids.rejected += len(list)
	in.s.ids.Unlock()
	cols := []column{
		{"at", "bigint", pick(list, func(*Rejected) int64 { return in.now })},
		{"topic", "text", pick(list, func(r *Rejected) string { return clean(strings.ToValidUTF8(r.Topic, "?"), 200) })},
		{"reason", "text", pick(list, func(r *Rejected) string { return r.Reason })},
		{"detail", "text", pick(list, func(r *Rejected) string { return clean(strings.ToValidUTF8(r.Detail, "?"), 300) })},
		{"size", "bigint", pick(list, func(r *Rejected) int64 { return int64(r.Size) })},
		{"head", "bytea", pick(list, func(r *Rejected) []byte { return append([]byte{}, r.Head...) })},
	}
	if err := in.insert(ctx, "rejected", "", cols, nil); err != nil {
		return fmt.Errorf("rejected: %w", err)
	}
	in.s.remember(in.devices)
	return nil
}
