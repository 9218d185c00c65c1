package agent

import (
	"bytes"
	"cmp"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/instant"
	"cellwarden/agent/outbox"
	"cellwarden/agent/uplink"
	"cellwarden/protocol"
)

// queue puts the loop's messages into the outbox and gives them to the uplink as
// envelopes. The outbox is safe for both at once; reports belongs to the loop.
//
// A record's payload is the message type, a newline and the body. The envelope
// is made when it is sent: only then its number is fixed and its time may be
// put right.
type queue struct {
	device string
	wake   chan struct{}
	mu     sync.Mutex     // of box and tag against the uplink; only the loop changes them
	box    *outbox.Outbox // the loop reads it without mu
	lost   error          // why box is in memory; nil: it is on the flash. The loop's.
	tag    uint64         // on the numbers that the uplink gets: memoryTag or 0

	// reports are the gap messages whose gap the outbox still holds, by number:
	// the gap is taken over only when its report is on the flash, and a commit
	// that fails for a while makes no second report of it.
	reports map[uint64]outbox.Gap

	// Sales of the machine's bus come one by one, and each by itself costs 450 bytes on
	// the air: they wait for company until hold has passed, and whatever else is sent
	// takes them along. 0: they do not wait.
	hold time.Duration
	now  func() instant.Instant
	due  atomic.Int64 // milliseconds of this boot when held sales must go, 0: none is held
}

func newQueue(device string, box *outbox.Outbox) *queue {
	return &queue{device: device, box: box, wake: make(chan struct{}, 1), reports: map[uint64]outbox.Gap{}}
}

var priorities = map[core.Priority]outbox.Priority{
	core.Metric: outbox.Metric, core.State: outbox.State, core.EventPriority: outbox.Event, core.Alert: outbox.Alert,
}

// put stages one message and gives it its number.
func (q *queue) put(s core.Store) (uint64, error) {
	payload := append(append([]byte(s.Type), '\n'), s.Body...)
	w := core.WireTime(s.At)
	// What no envelope carries must be refused now: accepted, it would be on the
	// flash and never leave it. The number and the epoch only have the right size.
	env := protocol.Envelope{V: protocol.Version, Device: q.device, Epoch: "00000000", Seq: math.MaxUint64, Type: s.Type, At: w, Body: s.Body}
	if _, err := protocol.MarshalEnvelope(env); err != nil {
		return 0, err
	}
	return q.box.Append(priorities[s.Priority], outbox.Stamp{Boot: w.Boot, MonoMS: w.MonoMS,
		WallMS: s.At.Wall.UnixMilli(), Trusted: s.At.Trusted}, payload)
}

// commit makes what is staged durable and tells the uplink.
func (q *queue) commit() error {
	err := cmp.Or(q.box.Commit(), q.lost)
	q.ring()
	return err
}

// gaps takes over what was lost. report makes the message that tells of one.
// After a crash between the two commits a gap is told twice, never not at all.
func (q *queue) gaps(report func(outbox.Gap) (core.Store, error)) error {
	for seq, g := range q.reports {
		if q.box.IsStaged(seq) {
			return nil // the next commit tries again
		}
		if err := q.box.AckGaps(g); err != nil {
			return err
		}
		delete(q.reports, seq)
	}
	gaps := q.box.Gaps()
	if len(gaps) == 0 {
		return nil
	}
	for _, g := range gaps {
		s, err := report(g)
		if err != nil {
			return err
		}
		seq, err := q.put(s)
		if err != nil {
			return err
		}
		q.reports[seq] = g
	}
	if err := q.commit(); err != nil {
		return err
	}
	for seq, g := range q.reports {
		if err := q.box.AckGaps(g); err != nil {
			return err
		}
		delete(q.reports, seq)
	}
	return nil
}

// stamp is at as it goes over the wire: put right where the time of its boot has
// become known since.
func (q *queue) stamp(at outbox.Stamp) protocol.Time {
	at, fixed := q.box.Corrected(at)
	return protocol.Time{Wall: time.UnixMilli(at.WallMS).UTC().Format("2006-01-02T15:04:05.000Z07:00"), Trusted: at.Trusted,
		Boot: at.Boot, MonoMS: at.MonoMS, Corrected: fixed}
}

// Take implements uplink.Source.
func (q *queue) Take(max, maxBytes int) []uplink.Item {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		records := q.box.Peek(max, maxBytes)
		if q.held(records) {
			return nil
		}
		items := make([]uplink.Item, 0, len(records))
		for _, r := range records {
			q.box.Take(r.Seq)
			item, err := q.item(r)
			if err != nil {
				// Its checksum holds and it is still no message: a fault of this
				// program wrote it. It would block the rest for ever.
				_ = q.box.Ack(r.Seq) // a failure costs another look after the restart
				continue
			}
			items = append(items, item)
		}
		// Nothing but unreadable ones must not look like an empty outbox.
		if len(items) > 0 || len(records) == 0 {
			return items
		}
	}
}

// held reports whether nothing waits but sales that may wait longer. It is asked by the
// uplink's goroutine; who has waited through another boot goes at once.
func (q *queue) held(records []outbox.Record) bool {
	q.due.Store(0)
	if q.hold <= 0 || len(records) == 0 || q.box.Len() >= protocol.BatchItems {
		return false
	}
	now := core.WireTime(q.now())
	due := int64(math.MaxInt64)
	for _, r := range records {
		if !bytes.HasPrefix(r.Payload, []byte(protocol.TypeSale+"\n")) || r.At.Boot != now.Boot {
			return false
		}
		due = min(due, r.At.MonoMS+q.hold.Milliseconds())
	}
	if now.MonoMS >= due {
		return false
	}
	q.due.Store(due)
	return true
}

// release tells the uplink when held sales must go.
func (q *queue) release(now instant.Instant) {
	if due := q.due.Load(); due > 0 && now.Mono.Milliseconds() >= due {
		q.due.Store(0)
		q.ring()
	}
}

// ring wakes the uplink.
func (q *queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) item(r outbox.Record) (uplink.Item, error) {
	t, body, _ := bytes.Cut(r.Payload, []byte{'\n'})
	env := protocol.Envelope{V: protocol.Version, Device: q.device, Epoch: q.box.Epoch(), Seq: r.Seq, Type: protocol.Type(t),
		At: q.stamp(r.At), Body: body}
	data, err := protocol.MarshalEnvelope(env)
	return uplink.Item{Seq: r.Seq | q.tag, Type: env.Type, Payload: data, Urgent: r.Priority == outbox.Alert}, err
}

// Ack implements uplink.Source. What could not be noted is sent again after a
// restart, with the same numbers; the outbox's Stats hold the error.
func (q *queue) Ack(seqs []uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	_ = q.box.Ack(q.ours(seqs)...)
}

// Release implements uplink.Source.
func (q *queue) Release(seqs []uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.box.Release(q.ours(seqs)...)
}

// ours are the numbers of the store in use. Those of one in memory that was left mean
// others now.
func (q *queue) ours(seqs []uint64) []uint64 {
	out := make([]uint64, 0, len(seqs))
	for _, seq := range seqs {
		if seq&memoryTag == q.tag {
			out = append(out, seq&^memoryTag)
		}
	}
	return out
}

// epoch names the store.
func (q *queue) epoch() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.box.Epoch()
}

// Wake implements uplink.Source.
func (q *queue) Wake() <-chan struct{} { return q.wake }
