package fleet

import (
	"slices"
	"time"
)

// usRule: half of all sites at once, of several carriers and districts, is no outage of
// anybody but ourselves.
func (w *Watch) usRule(now time.Time) bool {
	if w.ours != nil {
		return true
	}
	if w.nSites < ourSites {
		return false
	}
	if float64(len(w.recent)) < ourShare*float64(w.nSites) {
		return false
	}
	carriers, districts, seen := map[string]bool{}, map[string]bool{}, map[*site]bool{}
	for _, m := range w.recent {
		if m.silent {
			seen[m.site], carriers[m.Carrier], districts[m.District] = true, true, true
		}
	}
	recent := len(seen)
	if float64(recent) < ourShare*float64(w.nSites) || len(carriers) < 2 || len(districts) < 2 {
		return false
	}
	w.ours = &Finding{Kind: Ours, Verdict: "likely", Class: "ours", Scope: "backend", From: now, Seen: now, Sites: w.nSites, Down: recent,
		DecideBy: "the broker's and the receiver's own logs"}
	w.found = append(w.found, *w.ours)
	for _, m := range w.recent {
		w.Explain(m.ID, string(Ours))
	}
	return true
}

// siteRule: all machines of a site silent within one window. Of two carriers and more it
// is the site's power or network; of one carrier it may be the carrier, and counts.
func (w *Watch) siteRule(m *machine, now time.Time) {
	s := m.site
	if len(s.machines) < 2 || s.down < len(s.machines) || !s.mixed {
		return
	}
	first := now
	for _, x := range s.machines {
		if x.at.Before(now.Add(-Window - 10*time.Minute)) {
			return // it was silent long before the others
		}
		if x.outage != nil {
			return
		}
		if x.heard.Before(first) && !x.heard.IsZero() {
			first = x.heard
		}
	}
	f := Finding{Kind: Site, Tenant: m.Tenant, Scope: s.name, Class: "power", Verdict: "likely", From: first, Seen: now, Sites: 1,
		Down:     1,
		DecideBy: "the boot ids on return: changed means that the power was gone"}
	for _, x := range s.machines {
		w.Explain(x.ID, string(Site))
		x.explain = string(Site)
		f.Members = append(f.Members, x.ID)
	}
	w.found = append(w.found, f)
}

// poolRule: among the cards of one carrier those of this pool are silent far oftener than
// the others.
func (w *Watch) poolRule(p *pool, now time.Time) {
	if p.finding != nil {
		for m := range p.members {
			if m.silent && m.explain == "" {
				w.Explain(m.ID, string(Pool))
				p.finding.Members = append(p.finding.Members, m.ID)
			}
		}
		p.finding.Down = p.silent
		return
	}
	since := now.Add(-Window - 10*time.Minute)
	in, out, nOut := map[*site]bool{}, map[*site]bool{}, map[*site]bool{}
	all := map[*site]bool{}
	var members []int64
	for m := range p.members {
		all[m.site] = true
		if m.silent && m.explain == "" && m.outage == nil && !m.at.Before(since) {
			in[m.site] = true
			members = append(members, m.ID)
		}
	}
	if len(in) < poolLeast {
		return
	}
	for k, g := range w.groups {
		if k.tenant != p.key[0] || k.carrier != p.key[1] {
			continue
		}
		for s := range g.sites {
			for _, m := range s.machines {
				if m.Carrier == p.key[1] && m.Pool != p.key[2] {
					nOut[s] = true
					if m.silent && !m.at.Before(since) {
						out[s] = true
					}
				}
			}
		}
	}
	used, known := w.usage[[2]string{p.key[0], p.key[2]}]
	f := Finding{Kind: Pool, Tenant: p.key[0], Carrier: p.key[1], Scope: p.key[2], Class: "over_quota", Seen: now, From: now,
		Members: members, Sites: len(all), Down: len(in),
		P: fisher(len(in), len(all), len(out), len(nOut)), Contrast: 1, DecideBy: "the SIM platform's word on the pool"}
	f.Contrast = f.P
	switch {
	case len(nOut) == 0 && (!known || used < 0.95):
		return // nothing to hold it against: the carrier's own rule sees to it
	case len(nOut) > 0 && f.P >= poolP:
		return
	case known && used >= 0.95:
		f.Verdict = "confirmed"
		f.DecideBy = ""
	case known && used < 0.8:
		return // the platform says that there is data left
	case len(in)*2 < len(all):
		return // a pool stops all of its members
	default:
		f.Verdict = "undecided"
	}
	for _, id := range members {
		m := w.machines[id]
		if !m.heard.IsZero() && m.heard.Before(f.From) {
			f.From = m.heard
		}
		w.Explain(id, string(Pool))
	}
	slices.Sort(f.Members)
	p.finding = &f
	w.found = append(w.found, f)
}

// enter counts a silence into its groups and tests them, the smallest scope first.
func (w *Watch) enter(m *machine, now time.Time) {
	if m.Carrier == "" {
		return
	}
	first := true // one silence a site and window: five machines of one site are one event
	for i, scope := range scopesOf(m.District) {
		g := w.groups[groupKey{m.Tenant, m.Carrier, scope}]
		g.recent = trim(g.recent, now)
		if i == 0 {
			first = !slices.ContainsFunc(g.recent, func(x *machine) bool { return x.site == m.site })
		}
		g.recent = append(g.recent, m)
		if g.outage != nil {
			w.join(g, m)
			return
		}
	}
	if first {
		m.counted = true
		w.mean(m.Tenant).take(now, 1)
	}
	for _, scope := range scopesOf(m.District) {
		g := w.groups[groupKey{m.Tenant, m.Carrier, scope}]
		if first {
			g.base.take(now, 1)
		}
		w.outage(g, m, now)
	}
}

func (w *Watch) join(g *group, m *machine) {
	if m.outage == nil {
		m.outage = g.outage
		g.outage.Members = append(g.outage.Members, m.ID)
		g.outage.Down++
		w.found = append(w.found, *g.outage)
	}
}

// trim leaves what fell silent within the window.
func trim(list []*machine, now time.Time) []*machine {
	i := 0
	for i < len(list) && list[i].at.Before(now.Add(-Window)) {
		i++
	}
	return list[i:]
}

// outage is the count against the baseline and the contrast with the other carriers.
func (w *Watch) outage(g *group, m *machine, now time.Time) bool {
	// What a smaller scope has reported proves nothing of this one: it needs others.
	down := map[*site]bool{}
	var members []*machine
	for _, x := range g.recent {
		if x.silent && x.explain == "" && x.outage == nil {
			down[x.site] = true
			members = append(members, x)
		}
	}
	k := len(down)
	if k < leastSites {
		return false
	}
	mean := g.base.rate(now, float64(len(g.sites)), w.mean(m.Tenant), float64(w.nSites)) * Window.Hours()
	p := nbTail(k, mean, dispersion)
	if p > FalseAYear/(26280*overlap*float64(max(len(w.groups), 1))) {
		return false
	}
	f := Finding{Kind: Outage, Tenant: g.key.tenant, Carrier: g.key.carrier, Scope: g.key.scope, Class: "carrier_outage", Seen: now,
		Sites: len(g.sites), Down: k, P: p, Contrast: 1}
	others, othersDown := w.others(g, now)
	switch {
	case others == 0:
		f.Verdict, f.DecideBy = "likely", "a machine of another carrier in the district: there is none"
	default:
		if f.Contrast = fisher(w.downOf(g, now), len(g.sites), othersDown, others); f.Contrast >= contrastP {
			return false
		}
		f.Verdict = "confirmed"
	}
	for _, x := range members {
		if !x.heard.IsZero() && x.heard.After(f.From) && x.heard.Before(members[0].at) {
			f.From = x.heard // it began after the last of them was heard
		}
		f.Members = append(f.Members, x.ID)
	}
	if f.From.IsZero() {
		f.From = members[0].at
	}
	g.outage = &f
	for _, x := range members {
		x.outage = g.outage
		w.uncount(x)
	}
	w.absorb(g, now)
	w.found = append(w.found, f)
	return true
}

// absorb ends the outages of smaller scopes in this one, and takes their members over: the
// largest scope with silent sites outside of the smaller ones is the one to tell of.
func (w *Watch) absorb(g *group, now time.Time) {
	for k, o := range w.groups {
		if o == g || o.outage == nil || k.tenant != g.key.tenant || k.carrier != g.key.carrier || !within(k.scope, g.key.scope) {
			continue
		}
		for _, id := range o.outage.Members {
			if x := w.machines[id]; x != nil && x.outage == o.outage {
				x.outage = g.outage
				g.outage.Members = append(g.outage.Members, id)
			}
		}
		w.end(o.outage, now)
		o.outage = nil
	}
}

// others counts, in the scope of g, the sites with machines of other carriers, and those
// of them that fell silent within the window, whatever the reason.
func (w *Watch) others(g *group, now time.Time) (n, down int) {
	seen, out := map[*site]bool{}, map[*site]bool{}
	for _, o := range w.scopes[[2]string{g.key.tenant, g.key.scope}] {
		if o == g {
			continue
		}
		for s := range o.sites {
			seen[s] = true
			for _, m := range s.machines {
				if m.Carrier != g.key.carrier && m.silent && !m.at.Before(now.Add(-Window)) && m.explain != "alert" {
					out[s] = true
				}
			}
		}
	}
	return len(seen), len(out)
}

func (w *Watch) downOf(g *group, now time.Time) int {
	n := 0
	for s := range g.sites {
		if slices.ContainsFunc(s.machines, func(m *machine) bool {
			return m.Carrier == g.key.carrier && m.silent && !m.at.Before(now.Add(-Window)) && m.explain != "alert"
		}) {
			n++
		}
	}
	return n
}

func (w *Watch) mean(tenant string) *baseline {
	if w.means[tenant] == nil {
		w.means[tenant] = &baseline{}
	}
	return w.means[tenant]
}

// baseline counts silences by day and by class of the hour, for the last 28 days.
type baseline struct {
	first int // day of the first silence or question
	day   [historyDays]int
	count [historyDays][4]float64
}

// classHours are the hours of a week in each class: weekdays by day and night, weekends
// by day and night.
var classHours = [4]float64{5 * 12, 5 * 12, 2 * 12, 2 * 12}

func class(t time.Time) int {
	c := 0
	if h := t.Hour(); h < 8 || h >= 20 {
		c = 1
	}
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		c += 2
	}
	return c
}

func dayOf(t time.Time) int { return int(t.Unix()/86400) + 1 }

func (b *baseline) take(t time.Time, n float64) {
	d := dayOf(t)
	if b.first == 0 {
		b.first = d
	}
	i := d % historyDays
	if b.day[i] != d {
		if n < 0 {
			return
		}
		b.day[i], b.count[i] = d, [4]float64{}
	}
	b.count[i][class(t)] += n
}

func (b *baseline) sum(t time.Time) (n, days float64) {
	d, c := dayOf(t), class(t)
	for i := range b.day {
		if b.day[i] > d-historyDays && b.day[i] <= d {
			n += b.count[i][c]
		}
	}
	if b.first > 0 {
		days = float64(min(d-b.first, historyDays))
	}
	return n, days
}

// rate is how many sites of the group fall silent in an hour of this class: its own
// history, drawn to the tenant's mean with the weight of 14 days.
func (b *baseline) rate(t time.Time, sites float64, tenant *baseline, tenantSites float64) float64 {
	share := classHours[class(t)] / 7 // hours of this class on an average day
	own, days := b.sum(t)
	all, allDays := tenant.sum(t)
	prior := startRate
	if h := allDays * share * tenantSites; h > 0 {
		const weight = 7 // days for which the start value stands beside the tenant's own
		prior = (all + startRate*weight*share*tenantSites) / (h + weight*share*tenantSites)
	}
	return (own + prior*priorDays*share*sites) / ((days + priorDays) * share * sites) * sites
}
