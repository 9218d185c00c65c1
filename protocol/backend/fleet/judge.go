package fleet

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"cellwarden/protocol"
)

//go:embed words.toml
var wordsFile string

// Causes of a silence, beside the diagnosis classes of a device: a machine that is without
// power, that is dead, that was told to stop; and our own side.
const (
	Power      = "power"
	DeviceDead = "device_dead"
	Stop       = "stop"
)

// Certain is from where on a cause is named; below Undecided none is.
const (
	Certain   = 0.8
	Undecided = 0.6
)

// Silence is what is known of a machine that is silent. What is not known is nil, zero or
// false; a zero never speaks against anything.
type Silence struct {
	Now, Since time.Time
	Last       *protocol.Last // its last words

	Ordered    bool // it said why:"stop"
	Installing bool // an update was under way

	Platform *PlatformWord

	SiteDark        bool // all machines of its site, of several carriers, within one window
	SiteLit         bool // another machine of its site is heard
	SameCarrierLit  bool // and has the same operator
	ClosingHour     bool
	Returns, Booted int // of the last returns: how many, and how many with another boot id

	Outage, Pool, Ours bool // what Watch says of it
	Neighbours, Down   int  // same operator and district

	RSRPFell float64 // dB within a week
	Grew     bool    // the queue, before
	Runs     bool    // the forecast of the day on which the data ends is today
}

// PlatformWord is what the SIM platform said of the card.
type PlatformWord struct {
	State, Reason string
	Session       *bool
	Used          float64 // share of the plan, below 0: not known
	AsOf          time.Time
	UsedAsOf      time.Time
}

// Probable is what a machine is probably silent for.
type Probable struct {
	Class      string // ambiguous below Undecided
	P          float64
	Group      string // subscription, machine, radio, ordered, ours
	GroupP     float64
	Candidates []protocol.Candidate // three at most
	Evidence   []protocol.Evidence  // what spoke for the first, the heaviest first
	Check      string               // a key of Decide; "" when nothing is left to decide
	DecideBy   string               // its words
	Ask        bool                 // the check is a call to the SIM platform
}

// A Table says what speaks for what.
type Table struct {
	Prior  map[string]float64
	Group  map[string]string
	Row    map[string]Row
	Decide map[string]string
}

// A Row is one feature.
type Row struct {
	Group string
	DB    map[string]float64
}

// LoadTable reads the built-in table.
func LoadTable() (*Table, error) { return ParseTable(wordsFile) }

// ParseTable reads a table, for a fleet that has fitted its own.
func ParseTable(text string) (*Table, error) {
	t := &Table{}
	meta, err := toml.Decode(text, t)
	if err != nil {
		return nil, fmt.Errorf("words: %w", err)
	}
	if bad := meta.Undecoded(); len(bad) > 0 {
		return nil, fmt.Errorf("words: %s is not known here", bad[0])
	}
	for c, p := range t.Prior {
		if p <= 0 || t.Group[c] == "" {
			return nil, fmt.Errorf("words: %s wants a prior above 0 and a group", c)
		}
	}
	for name, r := range t.Row {
		for c := range r.DB {
			if _, known := t.Prior[c]; !known {
				return nil, fmt.Errorf("words: row %s names %s, which has no prior", name, c)
			}
		}
	}
	return t, nil
}

// A Feature is one row that holds, with its weight and what it rests on.
type Feature struct {
	Row    string
	Scale  float64 // 1, or less for what is old
	Class  string  // of alert_open: what it speaks for
	Source string
	Fact   string
}

// Features says which rows hold. Kept with the prediction, they are what weights are
// fitted on.
func (s Silence) Features() (list []Feature) {
	add := func(row, source, fact string, scale float64) {
		list = append(list, Feature{Row: row, Scale: scale, Source: source, Fact: fact})
	}
	s.plan(add)
	s.platform(add)
	switch {
	case s.SiteDark:
		add("site_dark", "fleet", "all machines of the site fell silent together", 1)
	case s.SameCarrierLit:
		add("same_carrier_lit", "fleet", "another machine of the site with the same operator is heard", 1)
	case s.SiteLit:
		add("site_lit", "fleet", "another machine of the site is heard", 1)
	}
	if s.ClosingHour {
		add("closing_hour", "fleet", "it falls silent at this hour on other days too", 1)
	}
	switch {
	case s.Returns >= 3 && s.Booted == s.Returns:
		add("boots_on_return", "envelopes", "it had been started anew at its last returns", 1)
	case s.Returns >= 3 && s.Booted == 0:
		add("same_boot_on_return", "envelopes", "it had been running at its last returns", 1)
	}
	switch {
	case s.Ours:
		add("our_side", "fleet", "half of the fleet fell silent at once", 1)
	case s.Pool:
		add("pool_stopped", "fleet", "the members of its data pool fell silent together", 1)
	case s.Outage:
		add("outage_open", "fleet", "an outage of its operator in its district stands", 1)
	case s.Neighbours >= 10 && s.Down*20 <= s.Neighbours:
		add("no_outage", "fleet", fmt.Sprintf("%d of %d neighbours with the same operator are silent", s.Down, s.Neighbours), 1)
	}
	if s.Ordered {
		add("ordered", "status", "it said that it was told to stop", 1)
	} else if s.Installing {
		add("installing", "update", "an update was being installed", 1)
	} else if s.Last != nil {
		add("not_ordered", "status", "nobody told it to stop", 1)
	}
	s.radio(add)
	if l := s.Last; l != nil && l.Fault != nil && !s.Since.IsZero() {
		days := max(s.Now.Sub(s.Since).Hours()/24, 0)
		if db := 20 - 3*days; db > 0 {
			list = append(list, Feature{"alert_open", db / 20, l.Fault.Class, "alert", "its own alert stands: " + l.Fault.Class})
		}
	}
	return list
}

func (s Silence) plan(add func(row, source, fact string, scale float64)) {
	l := s.Last
	if l == nil {
		return
	}
	if l.Quota > 0 {
		share := float64(l.Used) / float64(l.Quota)
		fact := fmt.Sprintf("its meter stood at %.0f %% of the plan", share*100)
		stops := l.OnExhaust == "" || l.OnExhaust == "stop"
		switch {
		case share >= 0.97 && stops:
			add("used_up", "last words", fact, 1)
		case share >= 0.95 && stops:
			add("nearly_used", "last words", fact, 1)
		case share < 0.8 && !l.Pool:
			add("data_left", "last words", fact, 1)
		}
	}
	if s.Runs {
		add("forecast_today", "warning", "its data was to end today", 1)
	}
	if end, err := time.Parse(time.DateOnly, l.Expires); err == nil {
		if s.Now.After(end.AddDate(0, 0, 1)) {
			add("expired", "plan", "its last paid day was "+l.Expires, 1)
		} else {
			add("paid", "plan", "it is paid until "+l.Expires, 1)
		}
	}
}

func (s Silence) platform(add func(row, source, fact string, scale float64)) {
	p := s.Platform
	if p == nil {
		return
	}
	scale := 1.0
	if s.Now.Sub(p.AsOf) > 24*time.Hour {
		scale = 0.5
	}
	if p.Session != nil {
		if *p.Session {
			add("session_present", "platform", "the network has a data session of the card", scale)
		} else {
			add("session_absent", "platform", "the network has no data session of the card", scale)
		}
	}
	row := map[string]string{"quota": "platform_quota", "pool": "platform_quota", "threshold": "platform_quota",
		"arrears": "platform_arrears",
		"expiry":  "platform_expiry", "manual": "platform_manual", "real_name": "platform_manual", "region_lock": "platform_manual",
		"violation": "platform_manual", "lost": "platform_manual", "imei_lock": "platform_imei"}[p.Reason]
	switch {
	case p.State == "suspended" || p.State == "data_cut" || p.State == "inventory":
		if row == "" {
			row = "platform_stopped"
		}
		add(row, "platform", "the SIM platform says "+p.State+", "+p.Reason, scale)
	case p.State == "cancelled" || p.State == "pre_cancelled":
		add("platform_expiry", "platform", "the SIM platform says "+p.State, scale)
	case p.State == "active" && (p.Used < 1 || p.Used < 0):
		add("platform_active", "platform", "the SIM platform says active", scale)
	}
}

func (s Silence) radio(add func(row, source, fact string, scale float64)) {
	l := s.Last
	if s.RSRPFell >= 6 {
		add("signal_falling", "states", fmt.Sprintf("its signal fell by %.0f dB within a week", s.RSRPFell), 1)
	}
	if l == nil {
		return
	}
	if l.RSRP != nil {
		fact := fmt.Sprintf("its last signal was %.0f dBm", *l.RSRP)
		switch {
		case *l.RSRP < -115:
			add("signal_weak", "last words", fact, 1)
		case *l.RSRP > -100:
			add("signal_good", "last words", fact, 1)
		}
	}
	if l.Fault != nil && l.Fault.Unstable {
		add("flapping", "alert", "its fault came and went", 1)
	}
	switch {
	case s.Grew || l.Waiting > 20:
		add("queue_grew", "last words", fmt.Sprintf("%d messages waited", l.Waiting), 1)
	case l.Waiting == 0:
		add("queue_empty", "last words", "nothing waited", 1)
	}
}

// weights are the decibans of each class: the prior, and of each group of rows the
// heaviest one.
func (t *Table) weights(list []Feature) (total map[string]float64, by map[string][]protocol.Evidence) {
	total, by = map[string]float64{}, map[string][]protocol.Evidence{}
	type at struct{ group, class string }
	heaviest := map[at]protocol.Evidence{}
	for _, f := range list {
		r := t.Row[f.Row]
		db := r.DB
		if f.Class != "" {
			c := f.Class
			if _, known := t.Prior[c]; !known {
				c = map[string]string{"antenna_fault": "weak_signal", "no_coverage": "weak_signal", "sim_absent": "sim_fault",
					"sim_locked": "sim_fault",
					"congestion": "carrier_outage", "dialer_down": "modem_fault", "modem_off_or_airplane": "modem_fault"}[c]
			}
			db = map[string]float64{c: 20}
		}
		for c, v := range db {
			if _, known := t.Prior[c]; !known {
				continue
			}
			k := at{r.Group, c}
			if e, have := heaviest[k]; !have || math.Abs(v*f.Scale) > math.Abs(e.WeightDB) {
				heaviest[k] = protocol.Evidence{For: c, Fact: f.Fact, Source: f.Source, WeightDB: v * f.Scale}
			}
		}
	}
	sum := 0.0
	for _, p := range t.Prior {
		sum += p
	}
	for c, p := range t.Prior {
		total[c] = 10 * math.Log10(p/sum)
	}
	for k, e := range heaviest {
		total[k.class] += e.WeightDB
		by[k.class] = append(by[k.class], e)
	}
	return total, by
}

// Judge says what a machine is probably silent for.
func (t *Table) Judge(s Silence) Probable { return t.judge(s, s.Features()) }

func (t *Table) judge(s Silence, features []Feature) Probable {
	total, by := t.weights(features)
	sum := 0.0
	for _, db := range total {
		sum += math.Pow(10, db/10)
	}
	var out Probable
	groups := map[string]float64{}
	for c, db := range total {
		p := math.Pow(10, db/10) / sum
		out.Candidates = append(out.Candidates, protocol.Candidate{Class: c, P: p})
		groups[t.Group[c]] += p
	}
	sort.Slice(out.Candidates, func(i, j int) bool {
		a, b := out.Candidates[i], out.Candidates[j]
		return a.P > b.P || a.P == b.P && a.Class < b.Class
	})
	for g, p := range groups {
		if p > out.GroupP || p == out.GroupP && g < out.Group {
			out.Group, out.GroupP = g, p
		}
	}
	first := out.Candidates[0]
	out.Class, out.P = first.Class, first.P
	out.Evidence = by[first.Class]
	slices.SortFunc(out.Evidence, func(a, b protocol.Evidence) int {
		if d := math.Abs(b.WeightDB) - math.Abs(a.WeightDB); d != 0 {
			return int(math.Copysign(1, d))
		}
		return strings.Compare(a.Fact, b.Fact)
	})
	out.Check = t.check(s, out.Candidates)
	out.DecideBy, out.Ask = t.Decide[out.Check], out.Check == "platform"
	if first.P < Undecided {
		out.Class = "ambiguous"
	}
	out.Candidates = out.Candidates[:min(3, len(out.Candidates))]
	return out
}

// check is what would decide between the likeliest ones. What can be asked by itself goes
// before what needs a journey.
func (t *Table) check(s Silence, list []protocol.Candidate) string {
	if list[0].P >= 0.95 {
		return ""
	}
	sub := 0.0
	for _, c := range list {
		if t.Group[c.Class] == "subscription" {
			sub += c.P
		}
	}
	old := s.Platform == nil || s.Now.Sub(s.Platform.AsOf) > time.Hour
	a, b := list[0].Class, list[1].Class
	switch {
	case a == "ours":
		return "logs"
	case old && sub >= 0.02:
		return "platform"
	case b == "ours":
		return "logs"
	case a == Power || b == Power:
		return "boot"
	case a == "carrier_outage" || b == "carrier_outage":
		return "neighbours"
	}
	return "visit"
}
