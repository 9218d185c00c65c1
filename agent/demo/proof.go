package demo

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

// Report is what was counted.
type Report struct {
	Handed, Durable, Kept int // events of the machine; durable at once; handed in while offline
	Delivered             int // of them at the backend, each once
	Repeats               int // messages that came more than once and were recognised
	OutOfOrder, Missing   int
	Messages, Holes       int // all of the agent's messages, and numbers that never came
	Moved, Metered        uint64
	Alerts, Clears        []string
	RaisedAfter           time.Duration // the alert, after the stop
	ClearedAfter          time.Duration // its end, after the return
	Warnings              []string      // before the stop
	Restored              bool          // the new plan was told of
	Foretold, Exhausted   time.Time     // the day that the plan runs out
	ResumesAt             string
	Story, Wall           time.Duration
	Checks                []Check
}

// Check is one thing that the story set out to prove.
type Check struct {
	OK   bool
	Text string
}

// prove counts both sides.
func (d *drama) prove(ctx context.Context) (Report, error) {
	d.clock.run(d.pace.morning)
	// The last messages and bytes may still be on their way.
	var metered uint64
	if _, err := d.await(ctx, "the meter to have read the last bytes", func(s localapi.Status) bool {
		h, err := d.client.History(ctx, "cycle", 12)
		if err != nil {
			return false
		}
		metered = 0
		for _, r := range h.Rows {
			metered += r.TotalBytes
		}
		return s.Outbox.Waiting == 0 && metered == d.net.moved()
	}); err != nil && ctx.Err() != nil {
		return Report{}, err
	}
	list, repeats, malformed := d.back.arrived()
	r := Report{Handed: len(d.sold), Kept: len(d.kept()), Repeats: repeats, Messages: len(list), Moved: d.net.moved(), Metered: metered,
		Exhausted: d.cutAt, ResumesAt: d.resumes, Story: d.clock.wall().Sub(opening)}
	wanted := map[uint64]int{}
	for _, s := range d.sold {
		if s.receipt.Durable {
			r.Durable++
		}
		wanted[s.receipt.Seq] = s.n
	}
	var incidents []string
	var highest uint64
	last := 0
	for _, e := range list {
		highest = max(highest, e.Seq)
		if s, ok := saleOf(e); ok {
			if wanted[e.Seq] != s.N {
				r.Missing++ // another event under this one's number
				continue
			}
			r.Delivered++
			if s.N < last {
				r.OutOfOrder++
			}
			last = s.N
			delete(wanted, e.Seq)
		}
		switch body, _ := e.DecodeBody(); b := body.(type) {
		case *protocol.Alert:
			if slices.Contains(incidents, b.Incident) {
				continue // something about it changed
			}
			incidents = append(incidents, b.Incident)
			r.Alerts = append(r.Alerts, b.Class+" "+b.Verdict)
			r.RaisedAfter = wallOf(e.At).Sub(d.cutAt)
		case *protocol.Clear:
			r.Clears = append(r.Clears, b.Class+" by "+b.EndedBy)
			r.ClearedAfter = wallOf(e.At).Sub(back)
		case *protocol.Warning:
			r.warned(b, wallOf(e.At))
		}
	}
	r.Missing += len(wanted)
	r.Holes = int(highest) - len(list)
	r.Wall = time.Since(d.began)
	r.judge(malformed)
	return r, d.verdict(r)
}

// warned notes a warning of the month that the story is about.
func (r *Report) warned(w *protocol.Warning, at time.Time) {
	switch {
	case w.Kind == meter.KindRestored:
		r.Restored = true
	case !at.Before(newMonth):
	case w.Kind == meter.KindThreshold:
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d %%", w.Percent))
	default:
		r.Warnings = append(r.Warnings, w.Kind)
		if w.Kind == meter.KindForecast {
			r.Foretold, _ = time.Parse(time.DateOnly, w.ExhaustedOn) // the zero date fails the check
		}
	}
}

// How long after its reason the alert and its end may come, in the story. Each
// must stand for a minute; the rest is for a slow computer.
const soon = 15 * time.Minute

// judge words what must hold.
func (r *Report) judge(malformed error) {
	check := func(ok bool, format string, args ...any) {
		r.Checks = append(r.Checks, Check{ok, fmt.Sprintf(format, args...)})
	}
	within := func(d time.Duration) bool { return d >= 0 && d <= soon }
	warned := strings.Join(r.Warnings, ", ")
	check(warned == "forecast, 80 %, 95 %, 100 %" && r.Restored && math.Abs(r.Exhausted.Sub(r.Foretold).Hours()) < 48,
		"warned in time: %s; the plan was foretold to end on %s and did on %s", warned, r.Foretold.Format("02 Jan"), r.Exhausted.Format("02 Jan"))
	alerts := strings.Join(r.Alerts, ", ")
	check(alerts == "over_quota confirmed" && within(r.RaisedAfter), "the right cause and no other: %s, %s after the stop", alerts, span(r.RaisedAfter))
	check(r.ResumesAt == newMonth.Format(time.RFC3339), "the right return: foretold for %s, came at %s", clockTime(r.ResumesAt), back.Format("02 Jan 15:04"))
	check(fmt.Sprint(r.Clears) == "[over_quota by cycle_start]" && within(r.ClearedAfter), "its end, told too: %s, %s after the return", strings.Join(r.Clears, ", "), span(r.ClearedAfter))
	check(r.Durable == r.Handed && r.Handed > 0, "events handed in: %d, on disk before the machine had its answer: %d", r.Handed, r.Durable)
	check(r.Delivered == r.Handed && r.Missing == 0 && r.OutOfOrder == 0 && r.Kept > 0,
		"events at the backend: %d (%d had waited), missing %d, out of order %d", r.Delivered, r.Kept, r.Missing, r.OutOfOrder)
	check(r.Holes == 0 && malformed == nil, "messages of the agent: %d, gaps in their numbers %d, repeated %d", r.Messages, r.Holes, r.Repeats)
	check(r.Metered == r.Moved && r.Moved > 0, "bytes moved: %d, metered: %d (%s)", r.Moved, r.Metered, view.Bytes(r.Metered))
}

func clockTime(rfc3339 string) string {
	t, err := time.Parse(time.RFC3339, rfc3339)
	if err != nil {
		return "no date"
	}
	return t.In(beijing).Format("02 Jan 15:04")
}

// verdict prints the proof; its error says what did not hold.
func (d *drama) verdict(r Report) error {
	d.tell.head("What this run proved", "这次运行证明了什么")
	bad := 0
	for _, c := range r.Checks {
		mark := d.tell.paint("32", "✓")
		if !c.OK {
			mark = d.tell.paint("1;31", "✗")
			bad++
		}
		lines := wrap(c.Text, columns-2)
		d.tell.plain(mark + " " + lines[0] + "\n")
		for _, l := range lines[1:] {
			d.tell.plain("  " + l + "\n")
		}
	}
	d.tell.plain(fmt.Sprintf("%s of the story in %.0f s of yours\n", span(r.Story), r.Wall.Seconds()))
	if bad == 0 {
		d.tell.plain("提前预警，原因和恢复时间都报对；断网期间的事件全部送达，不丢、不重、不乱序\n")
	}
	if bad > 0 {
		return fmt.Errorf("demo: %d of %d promises did not hold", bad, len(r.Checks))
	}
	return nil
}
