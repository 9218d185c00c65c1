// Package record is the flight recorder: a bounded ring of the observations
// that a judgement rests on, in the form that is exported and read back. It is
// pure. It decides nothing and keeps no identity in clear: numbers of cards,
// subscribers and modules are hashed or cut before they are kept, message texts
// are replaced by a sentence of the same meaning.
//
// Folding what the ring holds into a fresh diag.Known gives the verdict that was
// given live. While nothing has fallen out that is so by construction; after
// that the ring keeps, of each kind, as many as a judgement reads.
package record

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// Now is the kind of the entry that only says that time has passed.
const Now = "now"

// Fact is one observation's content as it is exported.
type Fact struct {
	Kind   string          `json:"kind"`
	Source string          `json:"source"`
	Value  json.RawMessage `json:"value,omitempty"`
}

// Clock says what the wall clock showed. Entries after it follow by the
// monotonic clock, until the next one.
type Clock struct {
	Wall    string `json:"wall"` // RFC 3339
	Trusted bool   `json:"trusted"`
}

// kinds are the facts that a recording can hold, by their stable names.
var kinds = func() map[string]reflect.Type {
	m := map[string]reflect.Type{}
	for _, f := range []threegpp.Fact{
		threegpp.Registration{}, threegpp.SIM{}, threegpp.SIMPresence{}, threegpp.SIMDetect{}, threegpp.SIMSlot{}, threegpp.CardValidity{},
		threegpp.ICCID{}, threegpp.IMSI{}, threegpp.IMEI{}, threegpp.ModemIdentity{}, threegpp.Signal{}, threegpp.ServingCell{},
		threegpp.ServiceState{}, threegpp.RadioLink{}, threegpp.Operator{}, threegpp.Scan{}, threegpp.Functionality{},
		threegpp.Attach{}, threegpp.ContextState{}, threegpp.ContextConfig{}, threegpp.ContextEvent{}, threegpp.Reject{},
		threegpp.ExtendedError{}, threegpp.Refusal{}, threegpp.Silence{}, threegpp.Done{}, threegpp.Restarted{}, threegpp.SMS{},
		threegpp.SMSStored{}, threegpp.USSD{}, threegpp.RadioLock{}, threegpp.PowerState{}, threegpp.NetworkTime{},
		threegpp.ByteCounters{}, threegpp.ModemProbe{}, threegpp.Backoff{}, threegpp.SubscriptionPCO{}, threegpp.Unparsed{}, threegpp.PoweredOff{}, threegpp.PowerSaving{},
	} {
		m[f.Kind()] = reflect.TypeOf(f)
	}
	for name, f := range map[string]any{
		"port": diag.Port{}, "disturbance": diag.Disturbance{}, "interface": diag.Interface{}, "probe_result": diag.ProbeResult{},
		"traffic": diag.Traffic{}, "usage": diag.Usage{}, "plan": diag.PlanFact{}, "sim_status": diag.SIMStatusFact{},
		"neighbours": diag.NeighboursFact{}, "last_good": diag.LastGood{}, "settings": diag.Settings{}, "history": diag.History{}, "repaired": diag.Repaired{},
		Now: struct{}{},
	} {
		if _, taken := m[name]; taken {
			panic("record: two kinds are named " + name) // read by every test
		}
		m[name] = reflect.TypeOf(f)
	}
	return m
}()

var names = func() map[reflect.Type]string {
	m := map[reflect.Type]string{}
	for name, t := range kinds {
		m[t] = name
	}
	return m
}()

// encode is fact as it is kept. It must be masked already.
func encode(source string, fact any) (Fact, error) {
	kind, ok := names[reflect.TypeOf(fact)]
	if !ok {
		return Fact{}, fmt.Errorf("record: %T is no kind of fact", fact)
	}
	f := Fact{Kind: kind, Source: source}
	if kind == Now {
		return f, nil
	}
	value, err := json.Marshal(fact)
	if err != nil {
		return Fact{}, fmt.Errorf("record: %s: %w", kind, err)
	}
	f.Value = value
	return f, nil
}

// Decode reads a fact back as diag.Known takes it.
func (f Fact) Decode() (any, error) {
	t, ok := kinds[f.Kind]
	if !ok {
		return nil, fmt.Errorf("fact of unknown kind %q", f.Kind)
	}
	v := reflect.New(t)
	if len(f.Value) > 0 {
		if err := json.Unmarshal(f.Value, v.Interface()); err != nil {
			return nil, fmt.Errorf("fact %s: %w", f.Kind, err)
		}
	}
	return v.Elem().Interface(), nil
}

// Limits of the ring.
const (
	// MaxBytes bounds the memory: about two hours of polls of a healthy line, and
	// days of what matters once the repetitions are thinned.
	MaxBytes = 256 << 10
	// entryBytes and streamBytes are what an entry and a stream cost in memory
	// beside their texts.
	entryBytes, streamBytes = 56, 160
	// keepOfKind is how many of one stream stay of the older half: as many as
	// diag.Known remembers of the kinds that it keeps in lists.
	keepOfKind = 64
	// keepSteady is the same for kinds of which only the newest says anything.
	keepSteady = 2
)

// steady are those kinds.
var steady = map[string]bool{"done": true, "traffic": true, "usage": true, "last_good": true, "settings": true, "operator": true,
	"attach": true, "modem_identity": true, "iccid": true, "imsi": true, "imei": true, "sim_presence": true, "functionality": true,
	"unparsed": true, "extended_error": true, "plan": true, "sim_status": true, "neighbours": true, "network_time": true, Now: true}

// A Ring keeps the newest observations. The zero value is empty, with MaxBytes.
type Ring struct {
	Max     int // bytes; 0 is MaxBytes
	entries []entry
	streams map[string]*stream
	bytes   int
	dropped int
}

// A stream is what supersedes each other: one kind from one source.
type stream struct {
	key, kind, source string
	newest            string // value; equal ones share memory
	count             int    // while thinning
}

type entry struct {
	at, offset time.Duration // offset: from the monotonic to the wall clock
	stream     *stream
	value      string
	trusted    bool
	own        bool // its value is not shared with the one before
}

func (e entry) size() int {
	if e.own {
		return entryBytes + len(e.value)
	}
	return entryBytes
}

func (s *stream) size() int { return streamBytes + len(s.key) + len(s.source) }

// Add keeps one observation, which must have been through Mask.
func (r *Ring) Add(o diag.Observation) error {
	f, err := encode(o.Source, o.Fact)
	if err != nil {
		return err
	}
	if r.streams == nil {
		r.streams = map[string]*stream{}
	}
	key := f.Kind + "/" + f.Source + "/" + part(o.Fact)
	s := r.streams[key]
	if s == nil {
		s = &stream{key: key, kind: f.Kind, source: f.Source}
		r.streams[key] = s
		r.bytes += s.size()
	}
	e := entry{at: o.At.Mono, offset: time.Duration(o.At.Wall.UnixNano()) - o.At.Mono, trusted: o.At.Trusted, stream: s, own: s.newest != string(f.Value)}
	if e.own {
		s.newest = string(f.Value)
	}
	e.value = s.newest
	r.entries = append(r.entries, e)
	r.bytes += e.size()
	if r.bytes > r.max() {
		r.thin()
	}
	return nil
}

func (r *Ring) max() int {
	if r.Max > 0 {
		return r.Max
	}
	return MaxBytes
}

// part tells apart what does not supersede each other within a kind: the
// registrations of the domains, the probes of the hosts.
func part(fact any) string {
	switch f := fact.(type) {
	case threegpp.Registration:
		return string(f.Domain)
	case threegpp.Signal:
		return f.Source + f.Port
	case threegpp.ContextState:
		return strconv.Itoa(f.CID)
	case threegpp.ContextConfig:
		return strconv.Itoa(f.CID)
	case threegpp.RadioLock:
		return f.Lock
	case diag.ProbeResult:
		return f.Target + "/" + f.Host
	}
	return ""
}

// thin makes room, to three quarters. Of the older half goes what was said again
// often enough since; when that is not enough, the oldest go, but for the newest
// word of each stream.
func (r *Ring) thin() {
	r.keep(func(i, later int, e entry) bool {
		most := keepOfKind
		if steady[e.stream.kind] {
			most = keepSteady
		}
		return i >= len(r.entries)/2 || later < most
	})
	for n := keepOfKind / 2; r.bytes > r.max()*3/4 && n >= 0; n /= 2 {
		cut := len(r.entries) * 3 / 4
		r.keep(func(i, later int, _ entry) bool { return i >= cut || later < max(n, 1) })
		if n == 0 {
			break
		}
	}
	for r.bytes > r.max()*3/4 && len(r.entries) > 1 {
		cut := (len(r.entries) + 3) / 4
		r.keep(func(i, _ int, _ entry) bool { return i >= cut })
	}
}

// keep drops the entries that want does not want: i is the entry's place, later
// how many of its stream came after it.
func (r *Ring) keep(want func(i, later int, e entry) bool) {
	for _, s := range r.streams {
		s.count = 0
	}
	kept := make([]bool, len(r.entries))
	for i := len(r.entries) - 1; i >= 0; i-- {
		e := r.entries[i]
		kept[i] = want(i, e.stream.count, e)
		e.stream.count++
	}
	out := make([]entry, 0, len(r.entries))
	for i, e := range r.entries {
		if kept[i] {
			out = append(out, e)
		}
	}
	r.dropped += len(r.entries) - len(out)
	r.entries, r.bytes = out, 0
	// The first one left of a value pays for it; streams with nothing left go.
	first := map[*stream]string{}
	for i := range r.entries {
		e := &r.entries[i]
		v, ok := first[e.stream]
		e.own = !ok || v != e.value
		first[e.stream] = e.value
		r.bytes += e.size()
	}
	for key, s := range r.streams {
		if _, ok := first[s]; ok {
			r.bytes += s.size()
		} else {
			delete(r.streams, key)
		}
	}
}

// Bytes is the memory that the ring takes, never more than Max.
func (r *Ring) Bytes() int { return r.bytes }

// Len is how many observations are kept.
func (r *Ring) Len() int { return len(r.entries) }

// Dropped is how many entries have been thinned out.
func (r *Ring) Dropped() int { return r.dropped }

// Entry is one exported entry. At is in seconds since the recording began.
type Entry struct {
	At    float64 `json:"at"`
	Fact  *Fact   `json:"fact,omitempty"`
	Clock *Clock  `json:"clock,omitempty"`
}

// Export lists what is kept, oldest first, with the clock wherever it changed.
func (r *Ring) Export() []Entry {
	var out []Entry
	for i, e := range r.entries {
		at := (e.at - r.entries[0].at).Seconds()
		if i == 0 || e.offset != r.entries[i-1].offset || e.trusted != r.entries[i-1].trusted {
			wall := time.Unix(0, int64(e.at+e.offset)).UTC().Format(time.RFC3339Nano)
			out = append(out, Entry{At: at, Clock: &Clock{wall, e.trusted}})
		}
		f := &Fact{Kind: e.stream.kind, Source: e.stream.source}
		if e.value != "" {
			f.Value = json.RawMessage(e.value)
		}
		out = append(out, Entry{At: at, Fact: f})
	}
	return out
}

// A Stamper gives observations times that survive an export: whole
// milliseconds, and a wall clock that follows the monotonic one until it is off
// by more than drift.
type Stamper struct {
	offset  time.Duration
	trusted bool
	set     bool
}

// drift is how far the wall clock may wander before it is read anew: NTP slews
// it by half a millisecond a second, and no rule asks for better than a second.
const drift = time.Second

// Stamp is at, as it is observed.
func (s *Stamper) Stamp(at instant.Instant) instant.Instant {
	loc := at.Wall.Location()
	at.Mono = at.Mono.Truncate(time.Millisecond)
	offset := time.Duration(at.Wall.UnixNano()) - at.Mono
	if off := offset - s.offset; !s.set || at.Trusted != s.trusted || off > drift || off < -drift {
		s.offset, s.trusted, s.set = offset.Truncate(time.Millisecond), at.Trusted, true
	}
	at.Wall = time.Unix(0, int64(at.Mono+s.offset)).In(loc)
	return at
}
