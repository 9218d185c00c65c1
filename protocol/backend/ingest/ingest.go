// Package ingest takes what devices publish from a broker into the store: nothing is
// acknowledged before it is committed, and nothing that is broken holds up the rest.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/store"
)

// Publish is one message as the broker delivered it.
type Publish struct {
	Topic   string
	Payload []byte
	Handle  any // the source's own, to acknowledge it
}

// Source delivers messages and takes their acknowledgements. What was not
// acknowledged comes again, perhaps to another receiver.
type Source interface {
	// Next waits for at least one message and gives those that came within a moment.
	Next(ctx context.Context) ([]Publish, error)
	// Ack tells the broker that these are committed, in the order in which they came.
	Ack([]Publish)
}

// Bounds of one transaction.
const (
	// MaxBatch is how many messages wait for one commit, and the Receive Maximum.
	MaxBatch = 500
	// Linger is how long a batch waits to become full: a commit takes about 1 ms, and
	// an alert must not wait.
	Linger = 20 * time.Millisecond
	// maxEnvelopes and maxBytes end a transaction early: 500 full batches would be
	// 16,000 envelopes and 128 MB.
	maxEnvelopes = 4000
	maxBytes     = 8 << 20
)

// Waits between tries while the database is away.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 10 * time.Second
)

// Loop moves messages from one source into the store.
type Loop struct {
	Source Source
	Store  *store.Store
	Log    *slog.Logger
	Stats  *Stats
	// Wrote is called after each commit with what it did; nil is allowed.
	Wrote func(store.Result)
	// Clock is time.Now but in tests.
	Clock func() time.Time
}

// Run works until ctx ends. What is under way is then committed and acknowledged
// first, if the database answers within a second.
func (l *Loop) Run(ctx context.Context) error {
	if l.Clock == nil {
		l.Clock = time.Now
	}
	for {
		batch, err := l.Source.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for len(batch) > 0 {
			n, list := l.take(batch)
			drain, cancel := grace(ctx, time.Second)
			err := l.write(drain, list)
			cancel()
			if err != nil { // stopped while the database was away: all of it comes again
				return nil
			}
			l.Source.Ack(batch[:n])
			batch = batch[n:]
		}
	}
}

// grace lives until extra after ctx ends.
func grace(ctx context.Context, extra time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(extra, cancel) })
	return out, func() { stop(); cancel() }
}

// take decodes as many messages as fit one transaction.
func (l *Loop) take(batch []Publish) (n int, list []store.Message) {
	size := 0
	for _, p := range batch {
		if n > 0 && (len(list) >= maxEnvelopes || size >= maxBytes) {
			break
		}
		n++
		l.Stats.Publishes.Add(1)
		l.Stats.Bytes.Add(uint64(len(p.Payload)))
		for _, m := range Decode(p.Topic, p.Payload, l.Clock().UnixMilli()) {
			if m.Envelope != nil {
				size += len(m.Envelope.Body)
			}
			list = append(list, m)
		}
	}
	return n, list
}

// Decode takes one message apart. It never fails: what cannot be read comes as
// rejected. arrived is in milliseconds since 1970.
func Decode(topic string, payload []byte, arrived int64) (list []store.Message) {
	rejected := func(reason, detail string, raw []byte) store.Message {
		return store.Message{Arrived: arrived, Rejected: &store.Rejected{Topic: topic, Reason: reason, Detail: detail, Size: len(raw), Head: raw}}
	}
	defer func() {
		if r := recover(); r != nil { // a bug of ours that a device found: it must not stop the others
			list = []store.Message{rejected("panic", fmt.Sprint(r, " ", string(debug.Stack())), payload)}
		}
	}()
	t, err := protocol.ParseTopic(topic)
	if err != nil {
		return []store.Message{rejected("topic", err.Error(), payload)}
	}
	m := store.Message{Tenant: t.Prefix, Device: t.Device, Arrived: arrived}
	switch t.Leaf {
	case protocol.LeafCommand:
		return nil // ours, going down
	case protocol.LeafStatus, protocol.LeafLast:
		if len(payload) == 0 {
			return nil // a retained message was removed
		}
		if t.Leaf == protocol.LeafStatus {
			s, err := protocol.DecodeStatus(payload)
			if err != nil {
				return []store.Message{rejected(reason(err), err.Error(), payload)}
			}
			m.Status = &s
			return []store.Message{m}
		}
		last, err := protocol.DecodeLast(payload)
		if err != nil {
			return []store.Message{rejected(reason(err), err.Error(), payload)}
		}
		m.Last = &last
		return []store.Message{m}
	}
	items, err := protocol.DecodeItems(topic, payload)
	if err != nil {
		return []store.Message{rejected(reason(err), err.Error(), payload)}
	}
	for i := range items {
		it := &items[i]
		if it.Err != nil {
			list = append(list, rejected(reason(it.Err), it.Err.Error(), it.Raw))
			continue
		}
		body, err := it.Envelope.DecodeBody()
		if err != nil {
			list = append(list, rejected("unreadable", err.Error(), it.Raw))
			continue
		}
		one := m
		one.Envelope, one.Body = &it.Envelope, body
		list = append(list, one)
	}
	return list
}

func reason(err error) string {
	switch {
	case errors.Is(err, protocol.ErrForged):
		return "forged"
	case errors.Is(err, protocol.ErrTooNew):
		return "too_new"
	case strings.Contains(err.Error(), "limit is"), strings.Contains(err.Error(), "unpacks to more"):
		return "too_large"
	}
	return "unreadable"
}

// write commits list. While the database is away it waits, and what is not taken
// from the source meanwhile is held by the broker. Data that the database refuses is
// found by halving and kept as rejected.
func (l *Loop) write(ctx context.Context, list []store.Message) error {
	wait := firstWait
	for {
		began := l.Clock()
		res, err := l.Store.Ingest(ctx, list)
		switch {
		case err == nil:
			l.Stats.committed(res, l.Clock(), l.Clock().Sub(began))
			if l.Wrote != nil {
				l.Wrote(res)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case store.Poison(err) && len(list) > 1:
			if err := l.write(ctx, list[:len(list)/2]); err != nil {
				return err
			}
			return l.write(ctx, list[len(list)/2:])
		case store.Poison(err) && list[0].Rejected == nil:
			l.Log.Warn("the database refuses a message", "device", list[0].Device, "error", err.Error())
			one := list[0]
			head := []byte(one.Device)
			if one.Envelope != nil {
				head = one.Envelope.Body
			}
			list = []store.Message{{Arrived: one.Arrived, Rejected: &store.Rejected{Topic: one.Tenant + "/" + one.Device, Reason: "refused", Detail: err.Error(), Size: len(head), Head: head}}}
			continue
		}
		l.Stats.Retries.Add(1)
		l.Log.Warn("the database does not take what arrived; it waits at the broker", "error", err.Error(), "next_try", wait.String())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, lastWait)
	}
}

// Stats counts what loops did. It is safe for concurrent use.
type Stats struct {
	Publishes, Bytes, New, Repeated, Retries, Commits, Events atomic.Uint64
	Rejected                                                  [len(Reasons)]atomic.Uint64
	CommitNanos                                               atomic.Int64 // all commits together
	LastCommit                                                atomic.Int64 // milliseconds since 1970, 0 none
}

// Reasons are those of rejected messages.
var Reasons = [...]string{"unreadable", "too_large", "forged", "topic", "too_new", "epochs", "late", "unknown_device", "refused", "panic"}

func (s *Stats) committed(r store.Result, now time.Time, took time.Duration) {
	s.New.Add(uint64(r.New))
	s.Repeated.Add(uint64(r.Repeated))
	s.Events.Add(uint64(r.Events))
	for i, name := range Reasons {
		s.Rejected[i].Add(uint64(r.Rejected[name]))
	}
	s.Commits.Add(1)
	s.CommitNanos.Add(int64(took))
	s.LastCommit.Store(now.UnixMilli())
}
