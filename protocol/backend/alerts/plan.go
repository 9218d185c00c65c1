// Package alerts decides what people are told of the alerts that stand: many as one
// group, again when it changed, louder when it costs. plan.go is pure; worker.go
// carries it out.
package alerts

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Timing of groups. One event shows on many devices within half a minute; people read
// one message each five minutes at most, and are reminded twice a day.
const (
	Wait     = 30 * time.Second
	Interval = 5 * time.Minute
	Repeat   = 12 * time.Hour
)

// Levels are what a fault must have cost (sales an hour times hours) before it is told
// again to who did not take it on, in the tenant's currency.
var Levels = []float64{50, 200, 1000}

// Member is one alert that stands.
type Member struct {
	ID        int64
	Device    string
	Site      string
	Tenant    string
	Class     string
	Act       string
	Who       string
	Opened    time.Time
	SalesPH   float64 // 0: not known
	Muted     bool
	Unstable  bool
	Acked     bool
	Escalated int   // level that was told
	Group     int64 // that it belongs to, 0 none
}

// Group is alerts that are told together.
type Group struct {
	ID     int64
	Tenant string
	Key    string
	Due    time.Time // when to look
	SentAt time.Time // zero: never
	Sent   []int64   // the members that were told
}

// What a Step does.
const (
	Open     = "open"     // begin a group
	Tell     = "tell"     // write an event about it, look again after Interval
	Look     = "look"     // nothing to tell: look again after Interval
	Close    = "close"    // the group is over, nothing to tell
	Escalate = "escalate" // tell of one alert what it costs
)

// Step is one thing to do.
type Step struct {
	Do      string
	Tenant  string
	Key     string
	Group   int64    // 0 with Open
	Event   string   // with Tell: group.raised, group.changed, group.cleared
	Members []Member // now in it
	Alert   Member   // with Escalate
	Level   int      // with Escalate
	Lost    float64  // with Escalate: money so far
}

// Key is the group of an alert, "" when it is told to nobody: a class, for who acts.
func Key(m Member) string {
	if m.Muted || m.Unstable || m.Who == "nobody" {
		return ""
	}
	return m.Class + "/" + m.Who
}

// Plan says what to do now. It changes nothing: what it says is to be written with the
// events in one transaction.
func Plan(now time.Time, groups []Group, standing []Member) []Step {
	type id struct{ tenant, key string }
	in := map[id][]Member{}
	var order []id
	var steps []Step
	for _, m := range standing {
		key := Key(m)
		if key == "" {
			continue
		}
		k := id{m.Tenant, key}
		if in[k] == nil {
			order = append(order, k)
		}
		in[k] = append(in[k], m)
		if level, lost := cost(now, m); level > m.Escalated && !m.Acked {
			steps = append(steps, Step{Do: Escalate, Tenant: m.Tenant, Alert: m, Level: level, Lost: lost})
		}
	}
	open := map[id]bool{}
	for _, g := range groups {
		k := id{g.Tenant, g.Key}
		open[k] = true
		if now.Before(g.Due) {
			continue
		}
		members := in[k]
		s := Step{Do: Tell, Tenant: g.Tenant, Key: g.Key, Group: g.ID, Members: members}
		same := slices.Equal(IDs(members), g.Sent)
		switch {
		case len(members) == 0 && len(g.Sent) == 0:
			s.Do = Close // it came and went within the wait
		case len(members) == 0:
			s.Event = "group.cleared"
		case len(g.Sent) == 0:
			s.Event = "group.raised"
		case !same || now.Sub(g.SentAt) >= Repeat:
			s.Event = "group.changed"
		default:
			s.Do = Look
		}
		steps = append(steps, s)
	}
	for _, k := range order {
		if !open[k] {
			steps = append(steps, Step{Do: Open, Tenant: k.tenant, Key: k.key, Members: in[k]})
		}
	}
	return steps
}

// cost is the level of a fault and what it cost so far.
func cost(now time.Time, m Member) (level int, lost float64) {
	lost = m.SalesPH * max(0, now.Sub(m.Opened).Hours())
	for _, l := range Levels {
		if lost >= l {
			level++
		}
	}
	return level, lost
}

// IDs are the members' numbers, sorted.
func IDs(list []Member) []int64 {
	var ids []int64
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

func join(ids []int64) string {
	var b []string
	for _, id := range ids {
		b = append(b, strconv.FormatInt(id, 10))
	}
	return strings.Join(b, ",")
}

func split(text string) (ids []int64) {
	for _, f := range strings.Split(text, ",") {
		if id, err := strconv.ParseInt(f, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}
