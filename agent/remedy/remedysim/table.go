package remedysim

import (
	"slices"
	"time"

	"cellwarden/agent/remedy"
)

// Row sums up many incidents of one class under one policy.
type Row struct {
	Class             string
	N                 int
	Median, P90       time.Duration // from the end of the cause to service; of hopeless ones nothing
	NewsMedian        time.Duration // of those with news
	NoNewsMedian      time.Duration
	NotBack           int // of those that could have come back
	Disturb, Resets   float64
	PerDayResets      float64 // at worst in one incident, by its length
	MostAnHour        int
	RateLimited       int
	Bytes             float64
	HopelessDisturb   float64
	newsCount, hopeCt int
}

// Policy plays one incident.
type Policy func(in Incident, seed uint64) Outcome

// ByLadder is the policy of a table of ladders.
func ByLadder(t *remedy.Table, able func(remedy.Step) bool) Policy {
	return func(in Incident, seed uint64) Outcome { return Climb(t, in, seed, able) }
}

// Play runs n incidents of a class, the same ones for every policy.
func (w World) Play(class string, n int, p Policy) Row {
	row := Row{Class: class, N: n}
	var back, news, quiet []time.Duration
	for seed := range uint64(n) {
		in := w.Draw(class, seed)
		out := p(in, seed)
		row.Disturb += float64(out.Disturbances) / float64(n)
		row.Resets += float64(out.Resets) / float64(n)
		row.Bytes += float64(out.Bytes) / float64(n)
		row.MostAnHour = max(row.MostAnHour, out.MostAnHour)
		if out.RateLimited {
			row.RateLimited++
		}
		if days := (in.Over + out.Back).Hours() / 24; days > 0 {
			row.PerDayResets = max(row.PerDayResets, float64(out.Resets)/max(1, days))
		}
		if in.Hopeless {
			row.HopelessDisturb += float64(out.Disturbances)
			row.hopeCt++
			continue
		}
		if !out.Came {
			row.NotBack++
		}
		back = append(back, out.Back)
		if in.News > 0 {
			news = append(news, out.Back-(in.News-in.Over))
			row.newsCount++
		} else {
			quiet = append(quiet, out.Back)
		}
	}
	row.Median, row.P90 = quantile(back, 0.5), quantile(back, 0.9)
	row.NewsMedian, row.NoNewsMedian = quantile(news, 0.5), quantile(quiet, 0.5)
	if row.hopeCt > 0 {
		row.HopelessDisturb /= float64(row.hopeCt)
	}
	return row
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(q*float64(len(list))))]
}

// Cost is what the search makes small: the mean time to service in minutes, plus what
// each disturbance costs, in minutes of service. A module reset loses about a minute
// and wears trust with the operator.
func Cost(r Row, meanBack time.Duration) float64 {
	return meanBack.Minutes() + 0.5*r.Disturb + r.Resets
}

// Waits are those that the search tries for each rung. The shortest is what a round of
// judgement takes: before it nobody knows whether the step before has helped.
var Waits = []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, 45 * time.Second, time.Minute, 90 * time.Second,
	2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute}

// Search finds, rung by rung and twice over, the waits of a class that make Cost the
// smallest within the budgets; the waits that a standard sets stay. It returns the
// ladder, its cost, and the cost of the ladder that it began with.
func (w World) Search(t *remedy.Table, class string, n int) (found remedy.Ladder, cost, before float64) {
	try := func(l remedy.Ladder) float64 {
		c := *t
		c.Class = map[string]remedy.Ladder{class: l}
		return w.costOf(&c, class, n)
	}
	found = t.Class[class]
	found.Rungs = slices.Clone(found.Rungs)
	before = try(found)
	cost = before
	for range 2 {
		for i := range found.Rungs {
			if found.Rungs[i].Bound != "" {
				continue
			}
			best := found.Rungs[i].Wait()
			for _, wait := range Waits {
				found.Rungs[i] = found.Rungs[i].With(wait)
				if got := try(found); got < cost-0.005 {
					cost, best = got, wait
				}
			}
			found.Rungs[i] = found.Rungs[i].With(best)
		}
	}
	return found, cost, before
}

func (w World) costOf(t *remedy.Table, class string, n int) float64 {
	row, mean := Row{}, time.Duration(0)
	counted := 0
	for seed := range uint64(n) {
		in := w.Draw(class, seed)
		out := Climb(t, in, seed, nil)
		row.Disturb += float64(out.Disturbances) / float64(n)
		row.Resets += float64(out.Resets) / float64(n)
		if !in.Hopeless {
			mean += min(out.Back, 12*time.Hour)
			counted++
		}
	}
	if counted > 0 {
		mean /= time.Duration(counted)
	}
	return Cost(row, mean)
}
