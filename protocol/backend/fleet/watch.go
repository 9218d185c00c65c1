package fleet

import (
	"slices"
	"strings"
	"time"
)

// What the rules of Watch rest on.
const (
	// Window is the smear of wills after one fault: 10 to 30 minutes.
	Window = 20 * time.Minute
	// FalseAYear is how many false outages a year all groups together may have by chance.
	FalseAYear = 1.0
	// overlap: a window that moves with each will looks oftener than windows side by side.
	overlap = 3
	// leastSites: fewer sites than this are never an outage, however rare silences are.
	leastSites = 4
	// contrastP is how sure the contrast with other carriers has to be: over simulated years
	// 0.001 finds an outage of small groups half a minute later, 0.003 has twice the false ones.
	contrastP = 0.0015
	// dispersion of the negative binomial, until a fleet's own is known.
	dispersion = 2
	// history is what the baseline remembers, prior how many days the tenant's mean weighs
	// beside it.
	historyDays = 28
	priorDays   = 14
	// startRate is the silences of a site and hour before anything was seen: four a month.
	startRate = 4.0 / 720
	// poolP and poolLeast: when members of a pool are silent together.
	poolP     = 0.001
	poolLeast = 3
	// youngFor: how long after the receiver's or broker's own trouble silences say
	// nothing: 1.5 keepalives and the longest backoff of a device.
	youngFor = 35 * time.Minute
	// ourShare: when this share of all sites, of several carriers and districts, is
	// silent at once, it is us.
	ourShare  = 0.5
	ourSites  = 8
	maxSilent = 200_000
)

// A Machine is what is known of one machine before it falls silent.
type Machine struct {
	ID       int64
	Tenant   string
	Site     string // "" : a site of its own
	District string // province/city/district
	Carrier  string // home operator, digits
	Pool     string
}

// A Kind is what a finding is about.
type Kind string

// The kinds of findings.
const (
	Outage Kind = "outage" // a carrier, in a district
	Site   Kind = "site"   // one site: power, or its own network
	Pool   Kind = "pool"   // the members of a data pool
	Ours   Kind = "ours"   // our broker, our receiver, our database
)

// A Finding is one cause for several silences. While it stands it is given again with
// Changed, when members join; at the end with Ended.
type Finding struct {
	Kind     Kind
	Tenant   string
	Carrier  string // of an outage
	Scope    string // the district; the site; the pool
	Verdict  string // confirmed, likely, undecided
	Class    string // carrier_outage, over_quota, power: what it is for a member
	From     time.Time
	Seen     time.Time // when it was found
	Ended    time.Time
	Members  []int64
	Sites    int     // of the scope
	Down     int     // of those, silent
	P        float64 // that chance does this in a window
	Contrast float64 // that others in the district are silent as often; 1: there are none
	DecideBy string
}

type machine struct {
	Machine
	site    *site
	silent  bool
	at      time.Time // of the will
	heard   time.Time // the last packet before
	explain string    // why its silence is no riddle: its own alert, a mute, an ordered stop, site, pool, ours
	outage  *Finding
	counted bool // in the baselines
}

type site struct {
	name     string
	machines []*machine
	down     int
	mixed    bool // of several carriers
}

// group is one carrier in one scope.
type group struct {
	key    groupKey
	sites  map[*site]int // machines of this carrier there
	recent []*machine    // that fell silent within Window, unexplained; the oldest first
	base   baseline
	outage *Finding
}

type groupKey struct{ tenant, carrier, scope string }

// Watch holds what is seen together. One goroutine owns it.
type Watch struct {
	machines map[int64]*machine
	sites    map[[2]string]*site
	groups   map[groupKey]*group
	scopes   map[[2]string][]*group // tenant, scope: the groups of each carrier
	pools    map[[3]string]*pool
	means    map[string]*baseline // of a tenant, all sites
	usage    map[[2]string]float64

	recent     []*machine // that fell silent within Window, for whatever reason
	youngUntil time.Time
	ours       *Finding
	nSites     int
	found      []Finding
}

type pool struct {
	key     [3]string
	members map[*machine]bool
	silent  int
	finding *Finding
}

// NewWatch makes one that knows no machine.
func NewWatch() *Watch {
	return &Watch{machines: map[int64]*machine{}, sites: map[[2]string]*site{}, groups: map[groupKey]*group{},
		scopes: map[[2]string][]*group{},
		pools:  map[[3]string]*pool{}, means: map[string]*baseline{}, usage: map[[2]string]float64{}}
}

// Know enters a machine, or what has changed of one.
func (w *Watch) Know(m Machine) {
	if old := w.machines[m.ID]; old != nil {
		if old.Machine == m {
			return
		}
		w.forget(old)
	}
	name := m.Site
	if name == "" {
		name = "machine " + itoa(m.ID)
	}
	sk := [2]string{m.Tenant, name}
	s := w.sites[sk]
	if s == nil {
		s = &site{name: name}
		w.sites[sk] = s
		w.nSites++
	}
	x := &machine{Machine: m, site: s}
	s.machines = append(s.machines, x)
	s.mixed = s.mixed || s.machines[0].Carrier != m.Carrier
	w.machines[m.ID] = x
	if m.Carrier != "" && m.District != "" {
		for _, scope := range scopesOf(m.District) {
			g := w.group(groupKey{m.Tenant, m.Carrier, scope})
			g.sites[s]++
		}
	}
	if m.Pool != "" {
		k := [3]string{m.Tenant, m.Carrier, m.Pool}
		if w.pools[k] == nil {
			w.pools[k] = &pool{key: k, members: map[*machine]bool{}}
		}
		w.pools[k].members[x] = true
	}
}

// Forget takes a machine out.
func (w *Watch) Forget(id int64) {
	if m := w.machines[id]; m != nil {
		w.forget(m)
	}
}

func (w *Watch) forget(m *machine) {
	if m.silent {
		m.site.down--
	}
	delete(w.machines, m.ID)
	m.site.machines = slices.DeleteFunc(m.site.machines, func(x *machine) bool { return x == m })
	m.site.mixed = slices.ContainsFunc(m.site.machines, func(x *machine) bool { return x.Carrier != m.site.machines[0].Carrier })
	for _, scope := range scopesOf(m.District) {
		if g := w.groups[groupKey{m.Tenant, m.Carrier, scope}]; g != nil {
			if g.sites[m.site]--; g.sites[m.site] <= 0 {
				delete(g.sites, m.site)
			}
			g.recent = slices.DeleteFunc(g.recent, func(x *machine) bool { return x == m })
		}
	}
	if p := w.pools[[3]string{m.Tenant, m.Carrier, m.Pool}]; p != nil {
		if p.members[m] && m.silent {
			p.silent--
		}
		delete(p.members, m)
	}
}

// scopesOf are the district and what it lies in, the smallest first.
func scopesOf(district string) []string {
	if district == "" {
		return nil
	}
	out := []string{district}
	for i := len(district) - 1; i > 0; i-- {
		if district[i] == '/' {
			out = append(out, district[:i])
		}
	}
	return out
}

func (w *Watch) group(k groupKey) *group {
	g := w.groups[k]
	if g == nil {
		g = &group{key: k, sites: map[*site]int{}}
		w.groups[k] = g
		sk := [2]string{k.tenant, k.scope}
		w.scopes[sk] = append(w.scopes[sk], g)
	}
	return g
}

// PoolUsed tells how much of a pool is used, 0 to 1, as the platform said.
func (w *Watch) PoolUsed(tenant, name string, share float64) {
	w.usage[[2]string{tenant, name}] = share
}

// Young tells that the broker or the receiver itself was away until now: what falls
// silent within the next half hour says nothing of the machines.
func (w *Watch) Young(now time.Time) { w.youngUntil = now.Add(youngFor) }

// Silent takes a machine's will. Heard is its last packet, if known.
func (w *Watch) Silent(id int64, now, heard time.Time) []Finding {
	m := w.machines[id]
	if m == nil || m.silent {
		return nil
	}
	m.silent, m.at, m.heard, m.explain, m.counted = true, now, heard, "", false
	m.site.down++
	p := w.pools[[3]string{m.Tenant, m.Carrier, m.Pool}]
	if p != nil && p.members[m] {
		p.silent++
	}
	w.found = nil
	w.recent = append(trim(w.recent, now), m)
	if now.Before(w.youngUntil) {
		m.explain = "young" // it says nothing of others; what it says of itself still counts
		return nil
	}
	if w.usRule(now) {
		m.explain = string(Ours)
		return w.take()
	}
	w.siteRule(m, now)
	if p != nil && m.explain == "" {
		w.poolRule(p, now)
	}
	if m.explain == "" {
		w.enter(m, now)
	}
	return w.take()
}

// Explain tells that a silence is no riddle: the machine's own alert, an ordered stop, a
// mute. It does not count towards an outage then.
func (w *Watch) Explain(id int64, why string) {
	if m := w.machines[id]; m != nil && m.silent && m.explain == "" {
		m.explain = why
		for _, scope := range scopesOf(m.District) {
			if g := w.groups[groupKey{m.Tenant, m.Carrier, scope}]; g != nil {
				g.recent = slices.DeleteFunc(g.recent, func(x *machine) bool { return x == m })
			}
		}
		w.uncount(m)
	}
}

// uncount takes a silence out of the baselines: it had a cause of its own.
func (w *Watch) uncount(m *machine) {
	if !m.counted {
		return
	}
	m.counted = false
	for _, scope := range scopesOf(m.District) {
		if g := w.groups[groupKey{m.Tenant, m.Carrier, scope}]; g != nil {
			g.base.take(m.at, -1)
		}
	}
	w.mean(m.Tenant).take(m.at, -1)
}

// Back takes a machine that is heard again.
func (w *Watch) Back(id int64, now time.Time) []Finding {
	m := w.machines[id]
	if m == nil || !m.silent {
		return nil
	}
	m.silent = false
	m.site.down--
	w.found = nil
	if p := w.pools[[3]string{m.Tenant, m.Carrier, m.Pool}]; p != nil && p.members[m] {
		p.silent--
		if p.finding != nil && p.silent*2 < len(p.finding.Members) {
			w.end(p.finding, now)
			p.finding = nil
		}
	}
	for _, scope := range scopesOf(m.District) {
		g := w.groups[groupKey{m.Tenant, m.Carrier, scope}]
		if g == nil {
			continue
		}
		g.recent = slices.DeleteFunc(g.recent, func(x *machine) bool { return x == m })
		if g.outage != nil && m.outage == g.outage {
			still := 0
			for _, id := range g.outage.Members {
				if x := w.machines[id]; x != nil && x.silent && x.outage == g.outage {
					still++
				}
			}
			if still*2 <= len(g.outage.Members) {
				w.end(g.outage, now)
				g.outage = nil
			}
		}
	}
	m.outage = nil
	if m.explain == string(Site) && m.site.down == 0 {
		w.found = append(w.found, Finding{Kind: Site, Tenant: m.Tenant, Scope: m.site.name, Class: "power", Verdict: "likely", From: m.at,
			Seen: now, Ended: now})
	}
	if w.ours != nil && w.downSites()*4 < w.nSites {
		w.end(w.ours, now)
		w.ours = nil
	}
	return w.take()
}

func (w *Watch) end(f *Finding, now time.Time) {
	f.Ended = now
	w.found = append(w.found, *f)
}

func (w *Watch) take() []Finding {
	f := w.found
	w.found = nil
	return f
}

// Explained says why a silent machine is silent, as far as Watch knows; "" when it does
// not.
func (w *Watch) Explained(id int64) string {
	m := w.machines[id]
	switch {
	case m == nil || !m.silent:
		return ""
	case m.outage != nil:
		return string(Outage)
	}
	return m.explain
}

// Of counts, for a machine, the others of its carrier in its district and how many of
// them are silent, and the silent members of its pool: what a device is told as its
// neighbours.
func (w *Watch) Of(id int64) (same, down, poolDown int) {
	m := w.machines[id]
	if m == nil {
		return 0, 0, 0
	}
	if g := w.groups[groupKey{m.Tenant, m.Carrier, m.District}]; g != nil {
		for s := range g.sites {
			for _, x := range s.machines {
				if x.Carrier == m.Carrier && x != m {
					same++
					if x.silent {
						down++
					}
				}
			}
		}
	}
	if p := w.pools[[3]string{m.Tenant, m.Carrier, m.Pool}]; p != nil && p.members[m] {
		poolDown = p.silent
		if m.silent {
			poolDown--
		}
	}
	return same, down, poolDown
}

// downSites counts the sites that are wholly silent.
func (w *Watch) downSites() int {
	n := 0
	for _, s := range w.sites {
		if len(s.machines) > 0 && s.down == len(s.machines) {
			n++
		}
	}
	return n
}

func itoa(n int64) string {
	if n == 0 {
		return "0"
	}
	var b []byte
	for neg := n < 0; n != 0; n /= 10 {
		d := n % 10
		if neg {
			d = -d
		}
		b = append(b, byte('0'+d))
	}
	slices.Reverse(b)
	return string(b)
}

// within reports whether scope lies in outer, or is it.
func within(scope, outer string) bool { return scope == outer || strings.HasPrefix(scope, outer+"/") }
