// Package journal is the diary of one device: thirty days of faults, recovery steps,
// restarts, card changes and messages, and a day of signal levels, in bounded memory
// and in few bytes of the flash. It is pure: the core's events and effects go in.
//
// It names nobody: of a message it keeps what it means, of a card that it changed.
package journal

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"cellwarden/agent/carrier"
	"cellwarden/agent/core"
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// Bounds of the diary.
const (
	Keep       = 30 * 24 * time.Hour
	maxEntries = 400              // a bad month's; the oldest goes first
	maxBytes   = 1 << 20          // of what is unpacked again
	LevelEvery = 5 * time.Minute  // one level for so long
	maxLevels  = 24 * 12          // a day of them
	together   = 10 * time.Minute // repeats of the same within it are one entry with a count
	maxWord    = 48               // bytes of a word that comes from elsewhere
)

// Kinds of entries; the words are below "journal." in agent/text.
const (
	Started = "started" // the agent
	Fault   = "fault"   // What: class, Why: verdict
	Over    = "over"    // What: class, Why: what ended it
	Step    = "step"    // What: step, Why: result
	Deed    = "deed"    // What: what a technician did
	Repair  = "repair"  // What: on, off
	Restart = "restart" // of the module; What: crash, ""
	Card    = "card"    // another card
	Message = "message" // What: its meaning
)

// Entry is one thing that happened. Unix is in seconds; Guess: no clock was trusted.
type Entry struct {
	Unix   int64  `json:"t"`
	Guess  bool   `json:"g,omitempty"`
	Kind   string `json:"k"`
	What   string `json:"w,omitempty"`
	Why    string `json:"y,omitempty"`
	Lasted int64  `json:"d,omitempty"` // seconds
	Count  int    `json:"n,omitempty"` // of repeats, 0 is one
	Sent   int64  `json:"s,omitempty"` // of a message, by its service centre
}

// Level is the signal of LevelEvery: means, in dBm and dB. NaN is not known.
type Level struct {
	Unix       int64
	RSRP, SINR float64
}

// Book is the diary. The zero value is empty. One owner.
type Book struct {
	entries []Entry
	levels  []Level
	sum     struct {
		slot       int64
		rsrp, sinr float64
		n, m       int
	}
	card  string
	hash  func(string) string
	dirty bool
}

// kept is what goes to the flash, deflated.
type kept struct {
	V       int         `json:"v"`
	Entries []Entry     `json:"e"`
	Levels  [][3]*int32 `json:"l"` // Unix/300, RSRP, SINR in tenths; null is not known
	Card    string      `json:"c,omitempty"`
}

// Open reads what Bytes made; nothing is an empty book. hash hides a card's number.
func Open(data []byte, hash func(string) string) (*Book, error) {
	b := &Book{hash: hash}
	if len(data) == 0 {
		return b, nil
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), maxBytes))
	var k kept
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	if err != nil {
		return b, fmt.Errorf("journal: %w", err)
	}
	b.entries, b.card = k.Entries[:min(len(k.Entries), maxEntries)], k.Card
	for _, l := range k.Levels[:min(len(k.Levels), maxLevels)] {
		if l[0] != nil {
			b.levels = append(b.levels, Level{int64(*l[0]) * int64(LevelEvery/time.Second), whole(l[1]), whole(l[2])})
		}
	}
	return b, nil
}

func whole(v *int32) float64 {
	if v == nil {
		return math.NaN()
	}
	return float64(*v) / 10
}

func tenths(v float64) *int32 {
	if math.IsNaN(v) || math.Abs(v) > 1000 {
		return nil
	}
	n := int32(math.Round(v * 10))
	return &n
}

// Bytes is what to keep: about 4 kB for a bad month.
func (b *Book) Bytes() []byte {
	k := kept{V: 1, Entries: b.entries, Levels: [][3]*int32{}, Card: b.card}
	for _, l := range b.levels {
		slot := int32(l.Unix / int64(LevelEvery/time.Second))
		k.Levels = append(k.Levels, [3]*int32{&slot, tenths(l.RSRP), tenths(l.SINR)})
	}
	raw, err := json.Marshal(k)
	if err != nil {
		panic("journal: " + err.Error()) // numbers and texts always marshal
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(raw)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("journal: " + err.Error()) // a buffer takes everything
	}
	return out.Bytes()
}

// Since are the entries from then on, oldest first.
func (b *Book) Since(t time.Time) []Entry {
	i, _ := slices.BinarySearchFunc(b.entries, t.Unix(), func(e Entry, at int64) int { return int(min(max(e.Unix-at, -1), 1)) })
	return slices.Clone(b.entries[i:])
}

// Levels are those of the last day, oldest first.
func (b *Book) Levels() []Level { return slices.Clone(b.levels) }

// Note takes one event of the core and what the core wanted because of it. It reports
// whether an entry was made.
func (b *Book) Note(ev core.Event, at instant.Instant, effects []core.Effect) bool {
	b.dirty = false
	switch e := ev.(type) {
	case core.Started:
		b.add(at, Entry{Kind: Started})
	case core.Did:
		b.add(at, Entry{Kind: Deed, What: e.What})
	case core.Repair:
		b.add(at, Entry{Kind: Repair, What: map[bool]string{true: "on", false: "off"}[e.On]})
	case core.Observed:
		b.fact(at, e.Fact)
	}
	for _, e := range effects {
		if s, ok := e.(core.Store); ok {
			b.told(at, s)
		}
	}
	return b.dirty
}

func (b *Book) fact(at instant.Instant, fact any) {
	switch f := fact.(type) {
	case threegpp.Restarted:
		b.add(at, Entry{Kind: Restart, What: map[bool]string{true: "crash"}[f.Crash]})
	case threegpp.ICCID:
		card := b.hash(f.Value)
		if card != "" && b.card != "" && card != b.card {
			b.add(at, Entry{Kind: Card})
		}
		if card != "" {
			b.card = card
		}
	case threegpp.SMS:
		if f.Part > 1 {
			return // its first part was noted
		}
		e := Entry{Kind: Message, What: string(carrier.Classify(f.From, f.Text))}
		if !f.At.IsZero() {
			e.Sent = f.At.Unix()
		}
		if e.Sent != 0 && slices.ContainsFunc(b.entries, func(x Entry) bool { return x.Kind == Message && x.Sent == e.Sent && x.What == e.What }) {
			return // read again from the store
		}
		b.add(at, e)
	case threegpp.Signal:
		b.level(at, f)
	}
}

// told takes what goes to the backend as what happened.
func (b *Book) told(at instant.Instant, s core.Store) {
	switch s.Type {
	case protocol.TypeAlert:
		var a protocol.Alert
		if json.Unmarshal(s.Body, &a) == nil {
			b.add(at, Entry{Kind: Fault, What: a.Class, Why: a.Verdict})
		}
	case protocol.TypeClear:
		var c protocol.Clear
		if json.Unmarshal(s.Body, &c) == nil {
			b.add(at, Entry{Kind: Over, What: c.Class, Why: c.EndedBy, Lasted: c.LastedMS / 1000})
		}
	case protocol.TypeRecovery:
		var r protocol.Recovery
		if json.Unmarshal(s.Body, &r) == nil {
			b.add(at, Entry{Kind: Step, What: r.Step, Why: r.Result})
		}
	}
}

func (b *Book) add(at instant.Instant, e Entry) {
	e.Unix, e.Guess = at.Wall.Unix(), !at.Trusted
	e.What, e.Why = e.What[:min(len(e.What), maxWord)], e.Why[:min(len(e.Why), maxWord)]
	b.dirty = true
	for i := len(b.entries) - 1; i >= 0 && e.Unix-b.entries[i].Unix < int64(together/time.Second); i-- {
		if x := &b.entries[i]; x.Kind == e.Kind && x.What == e.What && x.Why == e.Why && x.Sent == e.Sent {
			x.Count = max(x.Count, 1) + 1
			return
		}
	}
	b.entries = append(b.entries, e)
	// A clock that was put right may have gone back.
	slices.SortStableFunc(b.entries, func(x, y Entry) int { return int(min(max(x.Unix-y.Unix, -1), 1)) })
	if at.Trusted {
		b.entries = slices.DeleteFunc(b.entries, func(x Entry) bool { return e.Unix-x.Unix > int64(Keep/time.Second) })
	}
	b.entries = b.entries[max(0, len(b.entries)-maxEntries):]
}

// level adds one reading to the mean of its time.
func (b *Book) level(at instant.Instant, s threegpp.Signal) {
	if s.Port != "" || s.RSRP == nil && s.SINR == nil || !at.Trusted {
		return
	}
	every := int64(LevelEvery / time.Second)
	slot := at.Wall.Unix() / every
	if slot != b.sum.slot {
		b.sum.slot, b.sum.rsrp, b.sum.sinr, b.sum.n, b.sum.m = slot, 0, 0, 0, 0
	}
	l := Level{Unix: slot * every, RSRP: math.NaN(), SINR: math.NaN()}
	if s.RSRP != nil {
		b.sum.rsrp += *s.RSRP
		b.sum.n++
	}
	if s.SINR != nil {
		b.sum.sinr += *s.SINR
		b.sum.m++
	}
	if b.sum.n > 0 {
		l.RSRP = b.sum.rsrp / float64(b.sum.n)
	}
	if b.sum.m > 0 {
		l.SINR = b.sum.sinr / float64(b.sum.m)
	}
	if n := len(b.levels); n > 0 && b.levels[n-1].Unix >= l.Unix {
		if b.levels[n-1].Unix == l.Unix {
			b.levels[n-1] = l
		}
		return
	}
	b.levels = append(b.levels, l)
	b.levels = slices.DeleteFunc(b.levels, func(x Level) bool { return l.Unix-x.Unix > 24*3600 })
	b.levels = b.levels[max(0, len(b.levels)-maxLevels):]
}
