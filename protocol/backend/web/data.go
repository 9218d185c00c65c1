package web

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sort"
	"time"

	"cellwarden/protocol/backend/fleet"
	"cellwarden/protocol/backend/store"
)

// Limits of what one screen reads and shows.
const (
	maxAlerts  = 20_000 // open ones of a tenant
	shownLines = 12     // of a part of the page; the rest is behind "more"
	staleAfter = 5 * time.Minute
	// guessed is what share of an alert counts where it is not certain what ends it.
	likelyShare, undecidedShare = 0.85, 0.5
)

// A Standing is one alert that stands, of one device: of several it is the one that says
// most.
type Standing struct {
	Alert    int64   `json:"alert"`
	Device   string  `json:"device"`
	Site     string  `json:"site,omitempty"`
	Source   string  `json:"source"`
	Class    string  `json:"class"`
	Verdict  string  `json:"verdict"`
	Who      string  `json:"who"`
	Act      string  `json:"act,omitempty"`
	Resumes  string  `json:"resumes,omitempty"`
	Opened   int64   `json:"opened"`
	Acked    string  `json:"acked_by,omitempty"`
	Muted    int64   `json:"muted_until,omitempty"`
	Assigned string  `json:"assigned,omitempty"`
	Sales    float64 `json:"sales_per_h"`
	Guessed  bool    `json:"sales_guessed,omitempty"`
	Pool     string  `json:"pool,omitempty"`
	id       int64
	today    float64
}

// A Group is one line of the page: what one act ends.
type Group struct {
	Do      string     `json:"do"` // pay, visit, ask, wait, us, nobody
	Class   string     `json:"class"`
	Act     string     `json:"act,omitempty"`
	Of      string     `json:"of,omitempty"` // a pool, an outage's district
	Resumes string     `json:"resumes,omitempty"`
	Verdict string     `json:"verdict"`
	N       int        `json:"n"`
	Sales   float64    `json:"sales_per_h"`
	AtStake float64    `json:"at_stake_per_h"` // times how likely it is that this act ends it
	Guessed bool       `json:"guessed,omitempty"`
	Since   int64      `json:"since"`
	Members []Standing `json:"-"`
}

// Overview is the first screen.
type Overview struct {
	Now       int64       `json:"now"`
	LostHour  float64     `json:"lost_per_h"`
	LostToday float64     `json:"lost_today"`
	Guessed   bool        `json:"guessed,omitempty"`
	Heard     int         `json:"heard"`
	Silent    int         `json:"silent"`
	Explained int         `json:"explained"`
	Never     int         `json:"never_seen"`
	Last      int64       `json:"last_message"` // arrival
	Stale     bool        `json:"stale"`
	Groups    []Group     `json:"groups"`
	Outages   []Outage    `json:"outages"`
	Runs      []Running   `json:"running_out"`
	Undecided []Undecided `json:"undecided"`
	Platforms []Platform  `json:"platforms"`
	Weeks     []Week      `json:"reliability"`
}

// An Outage stands.
type Outage struct {
	Carrier string `json:"carrier"`
	Scope   string `json:"scope"`
	Verdict string `json:"verdict"`
	Since   int64  `json:"since"`
	N       int    `json:"machines"`
}

// Running is a device whose data ends soon.
type Running struct {
	Device string  `json:"device"`
	Used   int64   `json:"used_bytes"`
	Quota  int64   `json:"quota_bytes"`
	Share  float64 `json:"share"`
	AsOf   int64   `json:"as_of"`
}

// Undecided is a silence of which nobody knows the cause, and what would tell.
type Undecided struct {
	Device string  `json:"device"`
	Since  int64   `json:"since"`
	Said   string  `json:"said"`
	P      float64 `json:"p"`
	Check  string  `json:"check"`
	Sales  float64 `json:"sales_per_h"`
}

// Platform is how fresh an account's answers are.
type Platform struct {
	Account string `json:"account"`
	Last    int64  `json:"last_answer"`
	Cards   int    `json:"cards"`
	Stopped int    `json:"stopped"`
	Errors  int    `json:"errors"`
}

// Week is how right the probable causes of a week were.
type Week struct {
	Monday  int64   `json:"monday"`
	Said    int     `json:"said"`
	Right   int     `json:"right"`
	LogLoss float64 `json:"log_loss"`
}

// do is who acts, in the page's words.
func (s Standing) do() string {
	switch {
	case s.Resumes != "" && s.Who != "technician":
		return "wait"
	case s.Who == "owner":
		return "pay"
	case s.Who == "technician":
		return "visit"
	case s.Who == "operator":
		return "ask"
	case s.Who == "backend":
		return "us"
	}
	return "nobody"
}

func (s Standing) share() float64 {
	switch s.Verdict {
	case "confirmed":
		return 1
	case "likely":
		return likelyShare
	}
	return undecidedShare
}

// each runs a query over its rows.
func each(ctx context.Context, s *store.Store, q string, scan func(*sql.Rows) error, args ...any) error {
	rows, err := s.Query(ctx, q, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// standing reads what stands, one row a device.
func standing(ctx context.Context, s *store.Store, tenant string, now time.Time) ([]Standing, error) {
	// What a machine sells an hour where nobody knows: the median of those that are known.
	var median float64
	err := s.QueryRow(ctx, `SELECT coalesce((SELECT sales_per_h FROM device WHERE tenant = ? AND sales_per_h IS NOT NULL ORDER BY sales_per_h LIMIT 1 OFFSET
		(SELECT count(*) / 2 FROM device WHERE tenant = ? AND sales_per_h IS NOT NULL)), 0)`, tenant, tenant).Scan(&median)
	if err != nil {
		return nil, err
	}
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location()).UnixMilli()
	best := map[int64]Standing{}
	err = each(ctx, s, `SELECT a.id, a.device, d.dev, coalesce(s.name, ''), a.source, a.class, a.verdict, a.who, a.act, a.resumes, a.opened, a.acked_by,
		coalesce(a.muted_until, 0), d.sales_per_h, coalesce(m.pool, ''), coalesce(x.whom, '')
		FROM alert a JOIN device d ON d.id = a.device LEFT JOIN site s ON s.id = d.site LEFT JOIN sim m ON m.device = d.id LEFT JOIN assignment x ON x.alert = a.id
		WHERE a.tenant = ? AND a.closed IS NULL ORDER BY a.id LIMIT ?`, func(r *sql.Rows) error {
		var x Standing
		var sales *float64
		err := r.Scan(&x.Alert, &x.id, &x.Device, &x.Site, &x.Source, &x.Class, &x.Verdict, &x.Who, &x.Act, &x.Resumes, &x.Opened,
			&x.Acked, &x.Muted, &sales, &x.Pool, &x.Assigned)
		if err != nil {
			return err
		}
		if x.Sales, x.Guessed = median, true; sales != nil {
			x.Sales, x.Guessed = *sales, false
		}
		x.today = x.Sales * time.Duration(max(now.UnixMilli()-max(x.Opened, midnight), 0)*int64(time.Millisecond)).Hours()
		if old, have := best[x.id]; !have || x.share() > old.share() || x.share() == old.share() && x.Source == store.SourceDevice {
			best[x.id] = x
		}
		return nil
	}, tenant, maxAlerts)
	out := make([]Standing, 0, len(best))
	for _, x := range best {
		out = append(out, x)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Sales > out[j].Sales || out[i].Sales == out[j].Sales && out[i].Device < out[j].Device
	})
	return out, err
}

// groups puts together what one act ends, the dearest first.
func groups(list []Standing) []Group {
	by := map[[5]string]*Group{}
	for _, x := range list {
		k := [5]string{x.do(), x.Class, x.Act, "", ""}
		if x.Pool != "" && x.Class == "over_quota" {
			k[3] = x.Pool
		}
		if k[0] == "wait" {
			k[4] = x.Resumes[:min(10, len(x.Resumes))]
		}
		g := by[k]
		if g == nil {
			g = &Group{Do: k[0], Class: k[1], Act: k[2], Of: k[3], Resumes: k[4], Verdict: x.Verdict, Since: x.Opened}
			by[k] = g
		}
		g.N++
		g.Sales += x.Sales
		g.AtStake += x.Sales * x.share()
		g.Guessed = g.Guessed || x.Guessed
		g.Since = min(g.Since, x.Opened)
		if x.Verdict != g.Verdict && g.Verdict == "confirmed" {
			g.Verdict = x.Verdict
		}
		g.Members = append(g.Members, x)
	}
	out := make([]Group, 0, len(by))
	for _, g := range by {
		out = append(out, *g)
	}
	order := []string{"pay", "visit", "ask", "us", "wait", "nobody"}
	total := map[string]float64{}
	for _, g := range out {
		total[g.Do] += g.AtStake
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		switch {
		case a.Do != b.Do && total[a.Do] != total[b.Do]:
			return total[a.Do] > total[b.Do]
		case a.Do != b.Do:
			return slices.Index(order, a.Do) < slices.Index(order, b.Do)
		case a.AtStake != b.AtStake:
			return a.AtStake > b.AtStake
		}
		return a.Class+a.Act+a.Of < b.Class+b.Act+b.Of
	})
	return out
}

// Read reads the first screen.
func Read(ctx context.Context, s *store.Store, tenant string, now time.Time) (Overview, error) {
	o := Overview{Now: now.UnixMilli(), Groups: []Group{}, Outages: []Outage{}, Runs: []Running{}, Undecided: []Undecided{},
		Platforms: []Platform{}}
	list, err := standing(ctx, s, tenant, now)
	if err != nil {
		return o, err
	}
	for _, x := range list {
		if x.Class != "healthy" {
			o.LostHour += x.Sales
			o.LostToday += x.today
			o.Guessed = o.Guessed || x.Guessed
		}
	}
	o.Groups = groups(list)
	err = each(ctx, s, `SELECT CASE WHEN n.up IS NULL THEN 2 WHEN n.up THEN 1 ELSE 0 END AS k, count(*), max(n.heard) FROM device d JOIN device_now n ON n.device = d.id
		WHERE d.tenant = ? GROUP BY 1`, func(r *sql.Rows) error {
		var k, n int
		var heard int64
		if err := r.Scan(&k, &n, &heard); err != nil {
			return err
		}
		*[]*int{&o.Silent, &o.Heard, &o.Never}[k] = n
		o.Last = max(o.Last, heard)
		return nil
	}, tenant)
	if err != nil {
		return o, err
	}
	o.Stale = o.Heard > 0 && now.UnixMilli()-o.Last > staleAfter.Milliseconds()
	steps := []func() error{
		func() error {
			return each(ctx, s, `SELECT carrier, scope, verdict, opened, n FROM finding WHERE tenant = ? AND kind = 'outage' AND closed IS NULL ORDER BY n DESC LIMIT 20`, func(r *sql.Rows) error {
				var x Outage
				o.Outages = append(o.Outages, x)
				p := &o.Outages[len(o.Outages)-1]
				return r.Scan(&p.Carrier, &p.Scope, &p.Verdict, &p.Since, &p.N)
			}, tenant)
		},
		func() error {
			return each(ctx, s, `SELECT d.dev, n.used, n.quota, n.state_at FROM device_now n JOIN device d ON d.id = n.device WHERE d.tenant = ? AND n.quota > 0
				AND n.used * 10 >= n.quota * 8 ORDER BY n.used * 1.0 / n.quota DESC LIMIT ?`, func(r *sql.Rows) error {
				var x Running
				err := r.Scan(&x.Device, &x.Used, &x.Quota, &x.AsOf)
				x.Share = float64(x.Used) / float64(max(x.Quota, 1))
				o.Runs = append(o.Runs, x)
				return err
			}, tenant, shownLines)
		},
		func() error {
			return each(ctx, s, `SELECT d.dev, i.since, i.said, i.p, i.decide, coalesce(d.sales_per_h, 0) FROM silence i JOIN device d ON d.id = i.device
				WHERE i.tenant = ? AND i.closed IS NULL AND i.p < ? ORDER BY 6 DESC, i.since LIMIT ?`, func(r *sql.Rows) error {
				var x Undecided
				err := r.Scan(&x.Device, &x.Since, &x.Said, &x.P, &x.Check, &x.Sales)
				o.Undecided = append(o.Undecided, x)
				return err
			}, tenant, fleet.Certain, shownLines)
		},
		func() error {
			err := s.QueryRow(ctx, "SELECT count(*) FROM silence WHERE tenant = ? AND closed IS NULL AND p >= ?", tenant,
				fleet.Certain).Scan(&o.Explained)
			if err != nil {
				return err
			}
			return each(ctx, s, `SELECT m.account, max(m.as_of), count(*), sum(CASE WHEN m.state IN ('suspended', 'data_cut', 'cancelled', 'pre_cancelled') THEN 1 ELSE 0 END),
				sum(CASE WHEN m.error <> '' THEN 1 ELSE 0 END) FROM sim m JOIN device d ON d.id = m.device WHERE d.tenant = ? GROUP BY m.account ORDER BY 1`, func(r *sql.Rows) error {
				var x Platform
				err := r.Scan(&x.Account, &x.Last, &x.Cards, &x.Stopped, &x.Errors)
				o.Platforms = append(o.Platforms, x)
				return err
			}, tenant)
		},
		func() error { return weeks(ctx, s, tenant, now, &o) },
	}
	for _, f := range steps {
		if err := f(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// maxClosed bounds the silences that the reliability table is made of: four weeks.
const maxClosed = 20_000

func weeks(ctx context.Context, s *store.Store, tenant string, now time.Time, o *Overview) error {
	var list []fleet.Closed
	err := each(ctx, s, "SELECT since, said, p, truth FROM silence WHERE tenant = ? AND closed >= ? ORDER BY closed DESC LIMIT ?",
		func(r *sql.Rows) error {
			var at int64
			var c fleet.Closed
			err := r.Scan(&at, &c.Said, &c.P, &c.Truth)
			c.At = time.UnixMilli(at).In(now.Location())
			list = append(list, c)
			return err
		}, tenant, now.AddDate(0, 0, -28).UnixMilli(), maxClosed)
	for _, w := range fleet.Reliability(list) {
		x := Week{Monday: w.Monday.UnixMilli(), LogLoss: w.LogLoss}
		for _, b := range w.Bins {
			if b.Low >= fleet.Certain {
				x.Said, x.Right = x.Said+b.N, x.Right+b.Right
			}
		}
		o.Weeks = append(o.Weeks, x)
	}
	return err
}
