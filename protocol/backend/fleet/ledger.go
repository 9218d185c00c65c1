package fleet

import (
	"fmt"
	"math"
	"sort"
	"time"
)

// A Closed silence is one whose truth came: the machine returned and said why it was gone,
// the boot id told of a power cut, the platform told of a stop, a technician confirmed.
type Closed struct {
	At       time.Time
	Features []Feature
	Said     string // the class that was said; ambiguous when none was
	P        float64
	Group    string
	Truth    string
	By       string // alert, boot, platform, technician
}

// Truth says what a silence was, from what the machine and others say when it is back; ""
// when nobody knows.
func Truth(own string, platform string, booted, update bool) (class, by string) {
	switch {
	case platform != "":
		return platform, "platform"
	case own != "" && own != "healthy" && own != "ambiguous":
		return own, "alert"
	case update:
		return Stop, "update"
	case booted:
		return Power, "boot"
	}
	return "", ""
}

// A Bin is one row of the reliability table: of what was said with a probability from Low
// to High, how much was right.
type Bin struct {
	Low, High float64
	N, Right  int
	Mean      float64 // of what was said
}

// leastBin: a share of fewer than this says nothing.
const leastBin = 30

// Enough reports whether the bin's share may be read.
func (b Bin) Enough() bool { return b.N >= leastBin }

// A Week is the reliability of one week's silences.
type Week struct {
	Monday  time.Time
	N, Open int // closed with a truth; without one
	LogLoss float64
	Bins    []Bin
}

// Reliability makes the table, a row a week, the newest first.
func Reliability(list []Closed) []Week {
	byWeek := map[time.Time]*Week{}
	for _, c := range list {
		day := time.Date(c.At.Year(), c.At.Month(), c.At.Day(), 0, 0, 0, 0, c.At.Location())
		monday := day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
		w := byWeek[monday]
		if w == nil {
			w = &Week{Monday: monday}
			for _, low := range []float64{0, 0.6, 0.8, 0.9, 0.95} {
				w.Bins = append(w.Bins, Bin{Low: low, High: 1})
				if n := len(w.Bins); n > 1 {
					w.Bins[n-2].High = low
				}
			}
			byWeek[monday] = w
		}
		if c.Truth == "" {
			w.Open++
			continue
		}
		w.N++
		right := c.Said == c.Truth
		for i := range w.Bins {
			b := &w.Bins[i]
			if c.P >= b.Low && (c.P < b.High || i == len(w.Bins)-1) {
				b.Mean = (b.Mean*float64(b.N) + c.P) / float64(b.N+1)
				b.N++
				if right {
					b.Right++
				}
			}
		}
		p := c.P
		if !right {
			p = 1 - p
		}
		w.LogLoss += -math.Log(max(p, 1e-3))
	}
	var out []Week
	for _, w := range byWeek {
		if w.N > 0 {
			w.LogLoss /= float64(w.N)
		}
		out = append(out, *w)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Monday.After(out[j].Monday) })
	return out
}

// A Change is one weight that Fit would set otherwise. A person takes it over, or not: no
// weight moves by itself.
type Change struct {
	Row, Class string
	From, To   float64
}

func (c Change) String() string {
	return fmt.Sprintf("%s %s: %+.1f -> %+.1f", c.Row, c.Class, c.From, c.To)
}

// ridge draws a fitted weight back to the table's; a row that was seen a few times stays
// where it was. fitSteps and fitRate are enough for a few thousand silences.
const (
	ridge    = 0.02
	fitSteps = 60
	fitRate  = 40.0
	leastFit = 50
)

// Fit finds weights under which the truths of list are likelier, drawn to the table's own.
func (t *Table) Fit(list []Closed) []Change {
	var known []Closed
	for _, c := range list {
		if _, have := t.Prior[c.Truth]; have {
			known = append(known, c)
		}
	}
	if len(known) < leastFit {
		return nil
	}
	now := &Table{Prior: t.Prior, Group: t.Group, Decide: t.Decide, Row: map[string]Row{}}
	for name, r := range t.Row {
		db := map[string]float64{}
		for c, v := range r.DB {
			db[c] = v
		}
		now.Row[name] = Row{r.Group, db}
	}
	for range fitSteps {
		grad := map[string]map[string]float64{}
		for _, c := range known {
			total, _ := now.weights(c.Features)
			sum := 0.0
			for _, db := range total {
				sum += math.Pow(10, db/10)
			}
			for _, f := range c.Features {
				for class := range now.Row[f.Row].DB {
					g := -math.Pow(10, total[class]/10) / sum
					if class == c.Truth {
						g++
					}
					if grad[f.Row] == nil {
						grad[f.Row] = map[string]float64{}
					}
					grad[f.Row][class] += g * f.Scale
				}
			}
		}
		for row, m := range grad {
			for class, g := range m {
				db := now.Row[row].DB
				db[class] += fitRate*g/float64(len(known)) - ridge*(db[class]-t.Row[row].DB[class])
			}
		}
	}
	var out []Change
	for name, r := range now.Row {
		for c, v := range r.DB {
			if d := v - t.Row[name].DB[c]; math.Abs(d) >= 1 {
				out = append(out, Change{name, c, t.Row[name].DB[c], math.Round(v*10) / 10})
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Row+out[i].Class < out[j].Row+out[j].Class
	})
	return out
}
