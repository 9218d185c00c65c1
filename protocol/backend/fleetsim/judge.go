package fleetsim

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/fleet"
)

// judgeAfter is when a silence is judged: the platform has been asked by then.
const judgeAfter = 15 * time.Minute

// Result is what came of it.
type Result struct {
	Messages       int
	Silences       int
	OutagesPlayed  int
	OutagesFound   int
	OutagesFalse   int
	Alerts         int
	Rows           map[string]*Row // by the class played
	Weeks          []fleet.Week    // with the platform's word
	Right, Without Column
}

// Column counts what was said with 0.8 and more.
type Column struct{ Said, Right int }

// Row is one cause that was played.
type Row struct {
	Played        int
	Without, With Column
	Agent         int // the machine itself named it when it was back
}

type silence struct {
	since, heard time.Duration
	boot         int
	truth        string
	with         *fleet.Probable
	closed       fleet.Closed
	own          string
}

func (r *Result) row(class string) *Row {
	if r.Rows == nil {
		r.Rows = map[string]*Row{}
	}
	if r.Rows[class] == nil {
		r.Rows[class] = &Row{}
	}
	return r.Rows[class]
}

func (s *Sim) wall(d time.Duration) time.Time { return s.cfg.From.Add(d) }

// silent takes a will.
func (s *Sim) silent(m *machine, heard time.Duration) {
	down := false
	s.arrive(m, Arrival{Status: &protocol.Status{V: 1, Up: down}})
	s.Result.Silences++
	x := &silence{since: s.now, heard: heard, boot: m.boot, truth: m.cause()}
	s.open[m] = x
	s.tell("%s is silent (played: %s)", m.dev, x.truth)
	s.found(s.watch.Silent(int64(m.n), s.wall(s.now), s.wall(heard)))
	n := m.will
	s.at(s.now+judgeAfter, func() {
		if s.open[m] == x && m.will == n {
			s.judge(m, x)
		}
	})
}

func (s *Sim) found(list []fleet.Finding) {
	for _, f := range list {
		if f.Kind != fleet.Outage || !f.Ended.IsZero() || !f.Seen.Equal(s.wall(s.now)) {
			continue
		}
		played := 0
		for _, id := range f.Members {
			if s.byID[id].causes["carrier_outage"] > 0 {
				played++
			}
		}
		if len(f.Members) > 0 && f.Down == len(f.Members) || played*2 >= len(f.Members) {
			s.tell("found: outage of %s in %s, %s, %d of %d sites", f.Carrier, f.Scope, f.Verdict, f.Down, f.Sites)
		}
		if played*2 >= len(f.Members) {
			s.Result.OutagesFound++
		} else {
			s.Result.OutagesFalse++
		}
	}
}

func (s *Sim) judge(m *machine, x *silence) {
	q := fleet.Silence{Now: s.wall(s.now), Since: s.wall(x.since), Last: m.told}
	q.Neighbours, q.Down, _ = s.watch.Of(int64(m.n))
	switch s.watch.Explained(int64(m.n)) {
	case string(fleet.Outage):
		q.Outage = true
	case string(fleet.Site):
		q.SiteDark = true
	}
	for _, o := range m.site.machines {
		if o != m && s.open[o] == nil && !q.SiteDark {
			q.SiteLit = true
			q.SameCarrierLit = q.SameCarrierLit || o.carrier == m.carrier
		}
	}
	same := 0
	for _, h := range s.hist[m] {
		if d := (h.At.Sub(q.Since)%(24*time.Hour) + 24*time.Hour) % (24 * time.Hour); d < 30*time.Minute ||
			d > 23*time.Hour+30*time.Minute {
			same++
		}
	}
	q.ClosingHour = same >= 3
	for _, b := range s.boots[m][max(len(s.boots[m])-3, 0):] {
		q.Returns++
		if b {
			q.Booted++
		}
	}
	without := s.table.Judge(q)
	online := false
	q.Platform = &fleet.PlatformWord{State: m.card.state, Reason: m.card.reason, Session: &online, Used: min(m.cycleB/float64(m.quota),
		2), AsOf: q.Now}
	with := s.table.Judge(q)
	x.with = &with
	x.closed = fleet.Closed{At: q.Since, Features: q.Features(), Said: with.Class, P: with.P, Group: with.Group}
	r := s.Result.row(x.truth)
	r.Played++
	group := s.table.Group[x.truth]
	count := func(p fleet.Probable, row, all *Column) {
		if p.P < fleet.Certain {
			return
		}
		row.Said, all.Said = row.Said+1, all.Said+1
		if p.Class == x.truth || p.Class == "suspended_unspecified" && group == "subscription" {
			row.Right, all.Right = row.Right+1, all.Right+1
		}
	}
	count(without, &r.Without, &s.Result.Without)
	count(with, &r.With, &s.Result.Right)
	s.tell("%s: %s %.0f %% with the platform's word, %s %.0f %% without", m.dev, with.Class, with.P*100, without.Class, without.P*100)
}

// said takes what a machine tells: an alert that ended or stands says why it was gone.
func (s *Sim) said(m *machine, e *protocol.Envelope) {
	if e.Type != protocol.TypeAlert {
		return
	}
	s.Result.Alerts++
	var a protocol.Alert
	if json.Unmarshal(e.Body, &a) != nil || len(s.hist[m]) == 0 {
		return
	}
	h := &s.hist[m][len(s.hist[m])-1]
	at, err := time.Parse(time.RFC3339, a.Since.Wall)
	if err == nil && h.Truth == "" && at.After(h.At.Add(-2*time.Hour)) {
		h.Truth, h.By = fleet.Truth(a.Class, "", false, false)
	}
	if x := h.Said; x != "" && a.Class != "" {
		s.tell("%s says it was %s (%s)", m.dev, a.Class, a.Verdict)
	}
}

// heardOf closes a silence.
func (s *Sim) heardOf(m *machine) {
	s.arrive(m, Arrival{Status: &protocol.Status{V: 1, Up: true, Boot: fmt.Sprintf("%08x", m.n),
		MonoMS: (s.now - m.began).Milliseconds() + 1}})
	s.found(s.watch.Back(int64(m.n), s.wall(s.now)))
	x := s.open[m]
	if x == nil {
		return
	}
	delete(s.open, m)
	booted := m.boot != x.boot
	s.boots[m] = append(s.boots[m], booted)
	if x.closed.At.IsZero() {
		x.closed.At = s.wall(x.since)
	}
	platform := map[string]string{"quota": "over_quota", "arrears": "arrears", "expiry": "expired_or_cancelled",
		"manual": "admin_suspended", "imei_lock": "imei_lock"}[m.card.reason]
	x.closed.Truth, x.closed.By = fleet.Truth("", platform, booted, false)
	s.hist[m] = append(s.hist[m], x.closed)
	s.tell("%s is back after %s", m.dev, (s.now - x.since).Round(time.Minute))
}

func (s *Sim) closeAll() {
	var all []fleet.Closed
	for _, m := range s.machines {
		for _, c := range s.hist[m] {
			if c.Said != "" {
				all = append(all, c)
			}
		}
	}
	s.Result.Weeks = fleet.Reliability(all)
}

// Table is the result for people.
func (r Result) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-22s %7s  %-22s %-22s\n", "cause played", "times", "without the platform", "with its word")
	fmt.Fprintf(&b, "%-22s %7s  %10s %10s  %10s %10s\n", "", "", "said", "right", "said", "right")
	var names []string
	for c := range r.Rows {
		names = append(names, c)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := r.Rows[names[i]].Played, r.Rows[names[j]].Played
		return a > b || a == b && names[i] < names[j]
	})
	for _, c := range names {
		x := r.Rows[c]
		fmt.Fprintf(&b, "%-22s %7d  %10d %10d  %10d %10d\n", c, x.Played, x.Without.Said, x.Without.Right, x.With.Said, x.With.Right)
	}
	judged := 0
	for _, x := range r.Rows {
		judged += x.Played
	}
	fmt.Fprintf(&b, "%-22s %7d  %10d %9.1f%%  %10d %9.1f%%\n", "all", judged, r.Without.Said, share(r.Without), r.Right.Said,
		share(r.Right))
	fmt.Fprintf(&b, "outages: %d played, %d found, %d false; %d messages, %d alerts of the machines\n", r.OutagesPlayed,
		r.OutagesFound, r.OutagesFalse, r.Messages, r.Alerts)
	return b.String()
}

func share(c Column) float64 { return 100 * float64(c.Right) / float64(max(c.Said, 1)) }
