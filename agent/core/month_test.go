package core

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cellwarden/modem/modemtest"
)

// TestMonthOfOneDevice plays a month and lays what was raised beside what a
// person wants to hear: the table section of the scenario says of each thing
// that happens (from, for how long it is watched) which alerts belong to it.
// What is raised outside all of them is one too many.
func TestMonthOfOneDevice(t *testing.T) {
	const file = scenarioDir + "/months/month-of-one-device.txtar"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := modemtest.Parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		from, until time.Duration
		what, want  string
		raised      []string
	}
	var rows []*row
	table, _ := sc.Section("table")
	for _, line := range strings.Split(strings.TrimSpace(table.Data), "\n") {
		part := strings.Split(line, " | ")
		from, long, _ := strings.Cut(part[0], " ")
		at, err1 := modemtest.ParseTime(from)
		d, err2 := modemtest.ParseTime(long)
		if err1 != nil || err2 != nil || len(part) != 3 {
			t.Fatalf("table: %q: %v %v", line, err1, err2)
		}
		rows = append(rows, &row{from: at, until: at + d, what: part[1], want: part[2]})
	}
	w := newWorld(t, sc)
	w.play()
	for _, s := range w.seen {
		stamp, rest, _ := strings.Cut(s, "  ")
		words := strings.Fields(rest)
		var h, m, sec int
		if _, err := fmt.Sscanf(stamp, "%d:%d:%d", &h, &m, &sec); err != nil || len(words) < 2 || words[0] != "alert" && words[0] != "clear" && words[0] != "warning" {
			continue
		}
		at := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second
		said := words[1]
		if words[0] == "clear" {
			said = "clear"
		}
		i := slices.IndexFunc(rows, func(r *row) bool { return at >= r.from && at <= r.until })
		if i < 0 {
			t.Errorf("%s: nothing had happened", s)
			continue
		}
		rows[i].raised = append(rows[i].raised, said)
	}
	type sum struct {
		times, wanted, raised int
		want                  string
	}
	sums, order := map[string]*sum{}, []string{}
	for _, r := range rows {
		got := "nothing"
		if len(r.raised) > 0 {
			got = strings.Join(r.raised, ", ")
		}
		if got != r.want {
			t.Errorf("at %v, %s: raised %s, a person wants %s", r.from, r.what, got, r.want)
		}
		if sums[r.what] == nil {
			sums[r.what] = &sum{want: r.want}
			order = append(order, r.what)
		}
		s := sums[r.what]
		s.times++
		s.raised += len(r.raised)
		if r.want != "nothing" {
			s.wanted += len(strings.Split(r.want, ", "))
		}
	}
	var b strings.Builder
	for _, what := range order {
		s := sums[what]
		fmt.Fprintf(&b, "\n%-55s %2d times  wanted %d (%s)  raised %d", what, s.times, s.wanted, s.want, s.raised)
	}
	t.Log(b.String())
	if len(rows) < 30 {
		t.Errorf("only %d things happen in this month", len(rows))
	}
}
