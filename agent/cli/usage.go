package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

func usage(ctx context.Context, args []string, env Env) int {
	f := env.flags("usage")
	by := f.String("by", "day", "hour, day or cycle")
	n := f.Int("n", 14, "how many rows")
	asCSV := f.Bool("csv", false, "print the rows as CSV")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	c := f.client()
	u, err := c.Usage(ctx)
	if err != nil {
		return env.fail(lang, err)
	}
	h, err := c.History(ctx, *by, *n)
	if err != nil {
		return env.fail(lang, err)
	}
	hours, err := c.History(ctx, "hour", weekHours)
	if err != nil {
		return env.fail(lang, err)
	}
	busy := busiest(hours.Rows)
	switch {
	case *f.json:
		err = env.printJSON(struct {
			Usage   localapi.Usage      `json:"usage"`
			History localapi.History    `json:"history"`
			Busiest []localapi.UsageRow `json:"busiest_hours"`
		}{u, h, busy})
	case *asCSV:
		err = usageCSV(env.Stdout, h)
	default:
		err = usageText(env, lang, u, h, busy)
	}
	if err != nil {
		return env.fail(lang, err)
	}
	return exitOK
}

// usageCSV prints the rows, oldest first. The columns are for programs: they keep
// their names and places, and new ones come last. from is RFC 3339 for hours and a
// date otherwise, in the operator's time; used_bytes and quota_bytes are 0 but for
// cycles.
func usageCSV(w io.Writer, h localapi.History) error {
	// Times and numbers: nothing that would have to be quoted. New columns come last.
	var b strings.Builder
	b.WriteString("from,total_bytes,own_bytes,used_bytes,quota_bytes,rx_bytes,tx_bytes\n")
	for _, r := range h.Rows {
		fmt.Fprintf(&b, "%s,%d,%d,%d,%d,%d,%d\n", r.From, r.TotalBytes, r.OwnBytes, r.UsedBytes, r.QuotaBytes, r.RxBytes, r.TxBytes)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The history has the hours of a week; the three busiest point at what burns data.
const weekHours, busyHours = 7 * 24, 3

// busiest is the hours with most traffic, the most first.
func busiest(rows []localapi.UsageRow) []localapi.UsageRow {
	top := []localapi.UsageRow{}
	for _, r := range rows {
		i := len(top)
		for i > 0 && top[i-1].TotalBytes < r.TotalBytes {
			i--
		}
		if r.TotalBytes > 0 && i < busyHours {
			top = slices.Insert(top, i, r)
			top = top[:min(len(top), busyHours)]
		}
	}
	return top
}

// when is a row's date, or its hour, in 16 columns.
func when(r localapi.UsageRow) string {
	return strings.Replace(r.From[:min(len(r.From), len("2006-01-02T15:04"))], "T", " ", 1)
}

// usageText shows this cycle against the plan, and a bar for each row against
// the largest, the agent's own part of it marked.
func usageText(env Env, lang text.Lang, u localapi.Usage, h localapi.History, busy []localapi.UsageRow) error {
	p := view.Build(lang, env.Location, localapi.Status{Usage: &u})
	t := func(key string, args ...string) string { return text.T(lang, key, args...) }
	join := func(parts ...string) string {
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator(lang))
	}
	var b strings.Builder
	say := func(s string) {
		for _, line := range wrap(s, columns) {
			fmt.Fprintln(&b, line)
		}
	}
	end, undated, own := "", "", ""
	if u.CycleEndBytes > 0 {
		end = t("ui.cycle_end", view.Bytes(u.CycleEndBytes), view.Bytes(u.PlusMinusBytes))
	}
	if u.UndatedBytes > 0 {
		undated = t("ui.undated", view.Bytes(u.UndatedBytes))
	}
	if u.OwnBytes > 0 {
		own = t("ui.own", view.Bytes(u.OwnBytes))
	}
	say(strings.TrimSpace(bar(p.Usage.Percent) + " " + p.Usage.Text))
	say(join(p.Usage.Ahead, end))
	say(p.Usage.Dates)
	say(t("ui.counted", view.Bytes(u.RawBytes), join(t("ui.both", view.Bytes(u.RxBytes), view.Bytes(u.TxBytes)), own, undated), fmt.Sprintf("%.1f", u.ErrorPercent)))
	for _, w := range p.Warnings {
		say("! " + w)
	}
	usageRows(&b, lang, h)
	if len(busy) > 0 {
		var said []string
		for _, r := range busy {
			said = append(said, when(r)+" "+view.Bytes(r.TotalBytes))
		}
		say(t("ui.busy", join(said...)))
	}
	out := b.String()
	if env.look(lang).ascii {
		out = strings.NewReplacer("±", "+/-", "…", ".").Replace(out)
	}
	_, err := io.WriteString(env.Stdout, out)
	return err
}

// usageRows is the table: when, how much, and a bar.
func usageRows(b *strings.Builder, lang text.Lang, h localapi.History) {
	var most, sum uint64
	full := 50 // columns of the longest bar
	for _, r := range h.Rows {
		most, sum = max(most, r.TotalBytes), sum+r.TotalBytes
		if r.QuotaBytes > 0 {
			full = 25 // what the operator counts of its plan comes after it
		}
	}
	if len(h.Rows) > 0 {
		fmt.Fprintln(b)
	}
	weekdays := strings.Fields(text.T(lang, "ui.weekdays"))
	owns := false
	for _, r := range h.Rows {
		n, own := 0, 0
		if most > 0 {
			n = int(float64(r.TotalBytes) / float64(most) * float64(full))
			own = int(float64(min(r.OwnBytes, r.TotalBytes)) / float64(most) * float64(full))
		}
		owns = owns || own > 0
		from := when(r)
		if day, err := time.Parse(time.DateOnly, r.From); err == nil && h.By != "cycle" {
			from += " " + weekdays[day.Weekday()]
		}
		line := fmt.Sprintf("%s %10s  %s", pad(from, 16), view.Bytes(r.TotalBytes), strings.Repeat("#", n-own)+strings.Repeat("=", own))
		if r.QuotaBytes > 0 {
			line = fmt.Sprintf("%s %s %.0f%%", pad(line, 29+full), text.T(lang, "ui.of", view.Bytes(r.UsedBytes), view.Bytes(r.QuotaBytes)), math.Floor(100*float64(r.UsedBytes)/float64(r.QuotaBytes)))
		}
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
	if len(h.Rows) > 1 {
		fmt.Fprintf(b, "%s %10s\n", pad(text.T(lang, "ui.total"), 16), view.Bytes(sum))
	}
	if owns {
		fmt.Fprintln(b, text.T(lang, "ui.bars"))
	}
}
