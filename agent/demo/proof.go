package demo

import (
	"context"
	"fmt"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
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
	Warnings              []string
	Foretold, Exhausted   string // dates
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
	d.clock.run(d.pace.watch)
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
	r := Report{Handed: len(d.sold), Repeats: repeats, Messages: len(list), Moved: d.net.moved(), Metered: metered,
		Exhausted: d.cutAt.Format(time.DateOnly), ResumesAt: d.said.ResumesAt, Story: d.clock.wall().Sub(opening)}
	wanted := map[uint64]int{}
	for _, s := range d.sold {
		if s.receipt.Durable {
			r.Durable++
		}
		if s.offline {
			r.Kept++
		}
		wanted[s.receipt.Seq] = s.n
	}
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
			r.Alerts = append(r.Alerts, b.Class)
		case *protocol.Clear:
			r.Clears = append(r.Clears, b.Class+" by "+b.EndedBy)
		case *protocol.Warning:
			if b.Kind == "threshold" {
				r.Warnings = append(r.Warnings, fmt.Sprint(b.Percent))
			} else {
				r.Warnings = append(r.Warnings, b.Kind)
			}
			if b.Kind == "forecast" {
				r.Foretold = b.ExhaustedOn
			}
		}
	}
	r.Missing += len(wanted)
	r.Holes = int(highest) - len(list)
	r.Wall = time.Since(d.began)
	r.judge(malformed)
	return r, d.verdict(r)
}

// judge words what must hold.
func (r *Report) judge(malformed error) {
	check := func(ok bool, format string, args ...any) {
		r.Checks = append(r.Checks, Check{ok, fmt.Sprintf(format, args...)})
	}
	check(r.Durable == r.Handed && r.Handed > 0, "%d machine events handed in, %d on disk before the answer", r.Handed, r.Durable)
	check(r.Delivered == r.Handed && r.Missing == 0 && r.OutOfOrder == 0 && r.Kept > 0,
		"%d at the backend: %d missing, %d out of order; %d of them were kept while offline", r.Delivered, r.Missing, r.OutOfOrder, r.Kept)
	check(r.Holes == 0 && malformed == nil, "%d messages in all, numbered without a hole; %d repeated on the wire, recognised by their number", r.Messages, r.Repeats)
	check(fmt.Sprint(r.Alerts, r.Clears) == "[over_quota] [over_quota by cycle_start]", "alerts %v, cleared %v", r.Alerts, r.Clears)
	check(r.ResumesAt == newMonth.Format(time.RFC3339), "said on the day of the stop: back on %s; it was back at %s", r.ResumesAt, back.Format("02 Jan 15:04"))
	check(fmt.Sprint(r.Warnings) == "[forecast 80 95 100 restored]", "warned before the stop: %v; foretold %s, came %s", r.Warnings, r.Foretold, r.Exhausted)
	check(r.Metered == r.Moved && r.Moved > 0, "%d bytes moved (%s), %d metered", r.Moved, view.Bytes(r.Moved), r.Metered)
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
	d.tell.plain(fmt.Sprintf("  %s of the story in %.0f s\n", span(r.Story), r.Wall.Seconds()))
	if bad > 0 {
		return fmt.Errorf("demo: %d of %d promises did not hold", bad, len(r.Checks))
	}
	return nil
}
