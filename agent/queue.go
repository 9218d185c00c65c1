package agent

import (
	"sync"

	"cellwarden/agent/core"
	"cellwarden/agent/outbox"
	"cellwarden/agent/uplink"
	"cellwarden/protocol"
)

// queue is the outbox between its two users: the loop appends and commits, the
// uplink takes and acks. The outbox has one owner at a time; mu hands it over.
//
// A record's payload is the message type, a newline and the body. The envelope
// is made when it is sent: only then its number is fixed and its time may be
// put right.
type queue struct {
	device string
	wake   chan struct{}

	mu  sync.Mutex
	box *outbox.Outbox
	err error // of the last commit, nil after one that worked
}

func newQueue(device string, box *outbox.Outbox) *queue {
	return &queue{device: device, box: box, wake: make(chan struct{}, 1)}
}

var priorities = map[core.Priority]outbox.Priority{
	core.Metric: outbox.Metric, core.State: outbox.State, core.EventPriority: outbox.Event, core.Alert: outbox.Alert,
}

// put stages one message and gives it its number.
func (q *queue) put(s core.Store) (uint64, error) {
	payload := append(append([]byte(s.Type), '\n'), s.Body...)
	w := core.WireTime(s.At)
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.Append(priorities[s.Priority], outbox.Stamp{Boot: w.Boot, MonoMS: w.MonoMS,
		WallMS: s.At.Wall.UnixMilli(), Trusted: s.At.Trusted}, payload)
}

// commit makes what is staged durable. durable reports whether seq is.
func (q *queue) commit() error {
	q.mu.Lock()
	err := q.box.Commit()
	q.err = err
	q.mu.Unlock()
	q.nudge()
	return err
}

func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) staged(seq uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.IsStaged(seq)
}

func (q *queue) due(monoMS int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.Due(monoMS)
}

func (q *queue) hasStaged() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.Staged() > 0
}

func (q *queue) stats() (outbox.Stats, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.Stats(), q.box.Len()
}

// gaps takes over what was lost: report stores the report of each.
func (q *queue) gaps(report func(outbox.Gap) error) {
	q.mu.Lock()
	gaps := q.box.Gaps()
	q.mu.Unlock()
	for _, g := range gaps {
		if report(g) != nil {
			return
		}
		q.mu.Lock()
		err := q.box.AckGaps(g)
		q.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// timeKnown says when this boot began, so that earlier stamps can be put right.
func (q *queue) timeKnown(boot string, bootWallMS int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.SetBootWall(boot, bootWallMS)
}

func (q *queue) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.Close()
}

// Take implements uplink.Source.
func (q *queue) Take(max, maxBytes int) []uplink.Item {
	q.mu.Lock()
	defer q.mu.Unlock()
	var items []uplink.Item
	var seqs, bad []uint64
	for _, r := range q.box.Peek(max, maxBytes) {
		seqs = append(seqs, r.Seq)
		item, err := q.item(r)
		if err != nil {
			bad = append(bad, r.Seq)
			continue
		}
		items = append(items, item)
	}
	q.box.Take(seqs...)
	if len(bad) > 0 {
		// A record whose own checksum holds and that is still no message was
		// written by a fault of ours: it would block the rest for ever.
		_ = q.box.Ack(bad...)
	}
	return items
}

func (q *queue) item(r outbox.Record) (uplink.Item, error) {
	t, body := protocol.Type(r.Payload), []byte(nil)
	for i, b := range r.Payload {
		if b == '\n' {
			t, body = protocol.Type(r.Payload[:i]), r.Payload[i+1:]
			break
		}
	}
	at, fixed := q.box.Corrected(r.At)
	env := protocol.Envelope{V: protocol.Version, Device: q.device, Epoch: q.box.Epoch(), Seq: r.Seq, Type: t,
		At: wireStamp(at, fixed), Body: body}
	data, err := protocol.MarshalEnvelope(env)
	return uplink.Item{Seq: r.Seq, Type: t, Payload: data, Urgent: r.Priority == outbox.Alert}, err
}

// Ack implements uplink.Source.
func (q *queue) Ack(seqs []uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.box.Ack(seqs...); err != nil {
		q.err = err // they will be sent again, with the same numbers
	}
}

// Release implements uplink.Source.
func (q *queue) Release(seqs []uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.box.Release(seqs...)
}

// Wake implements uplink.Source.
func (q *queue) Wake() <-chan struct{} { return q.wake }

func (q *queue) epoch() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.Epoch()
}
