package web

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// Size of a plot in its own units, with room for what stands beside the axes.
const (
	plotW, plotH              = 360, 150
	padLeft, padRight         = 40, 6
	padTop, padBottom         = 8, 20
	rsrpLow, rsrpHigh float64 = -125, -65 // dBm
	hole                      = 11 * time.Minute
	day                       = 24 * time.Hour
)

// bands are the levels of LTE (package threegpp, grade): what a technician calls good.
var bands = []struct {
	low  float64
	name string
}{{-125, "very_weak"}, {-110, "weak"}, {-100, "good"}, {-80, "excellent"}}

// drawing is an SVG under construction. Everything written as text is escaped.
type drawing struct{ strings.Builder }

func (d *drawing) begin(title, said string) {
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotW, plotH, html.EscapeString(title+". "+said))
}
func (d *drawing) end() string { d.WriteString("</svg>"); return d.String() }

func (d *drawing) label(x, y float64, anchor, s string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(s))
}

func (d *drawing) rect(class string, x, y, w, h float64) {
	fmt.Fprintf(d, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, class, x, y, max(w, 0), max(h, 0))
}

func (d *drawing) path(class, points string) {
	if points != "" {
		fmt.Fprintf(d, `<path class="%s" d="%s"/>`, class, points)
	}
}

// axis is a place on one axis.
func axis(v, low, high, from, to float64) float64 {
	return from + (min(max(v, low), high)-low)/(high-low)*(to-from)
}

// signalPlot is a day of RSRP in its bands, with SINR as a dashed line on the same
// height (0 dB at the bottom, 30 dB at the top); "" where nothing was read.
func signalPlot(lang text.Lang, loc *time.Location, levels []localapi.LevelPoint) string {
	if len(levels) < 2 {
		return ""
	}
	end := time.Unix(levels[len(levels)-1].Unix, 0)
	from := end.Add(-day)
	x := func(at int64) float64 {
		return axis(float64(at), float64(from.Unix()), float64(end.Unix()), padLeft, plotW-padRight)
	}
	y := func(v float64) float64 { return axis(v, rsrpLow, rsrpHigh, plotH-padBottom, padTop) }
	low, high, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0
	var line, sinr strings.Builder
	last := int64(0)
	for _, p := range levels {
		verb := "L"
		if p.Unix-last > int64(hole/time.Second) {
			verb = "M"
		}
		last = p.Unix
		if p.RSRP != nil {
			fmt.Fprintf(&line, "%s%.1f %.1f", verb, x(p.Unix), y(*p.RSRP))
			low, high, sum, n = min(low, *p.RSRP), max(high, *p.RSRP), sum+*p.RSRP, n+1
		}
		if p.SINR != nil {
			fmt.Fprintf(&sinr, "%s%.1f %.1f", verb, x(p.Unix), axis(*p.SINR, 0, 30, plotH-padBottom, padTop))
		}
	}
	if n == 0 {
		return ""
	}
	var d drawing
	d.begin(text.T(lang, "page.signal_day"), text.T(lang, "plot.signal", fmt.Sprintf("%.0f", low), fmt.Sprintf("%.0f", high), fmt.Sprintf("%.0f", sum/float64(n))))
	for i, b := range bands {
		top := rsrpHigh
		if i+1 < len(bands) {
			top = bands[i+1].low
		}
		d.rect(fmt.Sprintf("b%d", i), padLeft, y(top), plotW-padLeft-padRight, y(b.low)-y(top))
		d.label(padLeft+4, (y(top)+y(b.low))/2+4, "start", text.Word(lang, "grade", b.name))
	}
	for _, v := range []float64{-120, -110, -100, -80} {
		d.label(padLeft-4, y(v)+4, "end", fmt.Sprintf("%.0f", v))
	}
	for h := range 5 {
		at := from.Add(time.Duration(h) * day / 4)
		anchor := map[int]string{0: "start", 4: "end"}[h]
		if anchor == "" {
			anchor = "middle"
		}
		d.label(x(at.Unix()), plotH-6, anchor, at.In(loc).Format("15:04"))
	}
	d.label(plotW-padRight-4, padTop+12, "end", "RSRP dBm — · SINR 0–30 dB - -")
	d.path("line2", sinr.String())
	// A level that stands alone between two holes is a line of no length.
	d.path("line", line.String())
	return d.end()
}

// usagePlot is this cycle's sum day by day against the plan, and the forecast with its
// uncertainty; "" where neither cycle nor day is known.
func usagePlot(lang text.Lang, u localapi.Usage, h localapi.History, now time.Time) string {
	start, err1 := time.Parse(time.RFC3339, u.CycleStart)
	end, err2 := time.Parse(time.RFC3339, u.CycleEnd)
	if err1 != nil || err2 != nil || !end.After(start) || now.Before(start) {
		return ""
	}
	top := float64(max(u.QuotaBytes, u.UsedBytes, u.CycleEndBytes+u.PlusMinusBytes, 1)) * 1.05
	x := func(t time.Time) float64 {
		return axis(float64(t.Unix()), float64(start.Unix()), float64(end.Unix()), padLeft, plotW-padRight)
	}
	y := func(v float64) float64 { return axis(v, 0, top, plotH-padBottom, padTop) }
	// The days are as the interface counts; the sum ends where the operator's count is.
	var raw float64
	var days []float64
	var dates []time.Time
	for _, r := range h.Rows {
		t, err := time.ParseInLocation(time.DateOnly, r.From, start.Location())
		if err != nil || t.Before(start.Truncate(time.Second).AddDate(0, 0, -1)) || !t.AddDate(0, 0, 1).After(start) {
			continue
		}
		raw += float64(r.TotalBytes)
		days, dates = append(days, raw), append(dates, t.AddDate(0, 0, 1))
	}
	scale := 1.0
	if raw > 0 {
		scale = float64(u.UsedBytes) / raw
	}
	line := fmt.Sprintf("M%.1f %.1f", x(start), y(0))
	for i, v := range days {
		at := dates[i]
		if at.After(now) {
			at = now
		}
		line += fmt.Sprintf("L%.1f %.1f", x(at), y(v*scale))
	}
	if len(days) == 0 {
		line += fmt.Sprintf("L%.1f %.1f", x(now), y(float64(u.UsedBytes)))
	}
	var d drawing
	said := text.T(lang, "plot.usage", view.Bytes(u.UsedBytes), u.CycleStart[:min(10, len(u.CycleStart))], u.CycleEnd[:min(10, len(u.CycleEnd))])
	if u.QuotaBytes > 0 {
		said += text.T(lang, "plot.quota", view.Bytes(u.QuotaBytes))
	}
	if u.CycleEndBytes > 0 {
		said += text.T(lang, "plot.forecast", view.Bytes(u.CycleEndBytes), view.Bytes(u.PlusMinusBytes))
	}
	d.begin(text.T(lang, "ui.usage"), said)
	d.path("axis", fmt.Sprintf("M%d %dV%dH%d", padLeft, padTop, plotH-padBottom, plotW-padRight))
	if u.CycleEndBytes > 0 {
		low, high := float64(u.CycleEndBytes)-float64(u.PlusMinusBytes), float64(u.CycleEndBytes+u.PlusMinusBytes)
		d.path("cone", fmt.Sprintf("M%.1f %.1fL%.1f %.1fL%.1f %.1fZ", x(now), y(float64(u.UsedBytes)), x(end), y(low), x(end), y(high)))
		d.path("line2", fmt.Sprintf("M%.1f %.1fL%.1f %.1f", x(now), y(float64(u.UsedBytes)), x(end), y(float64(u.CycleEndBytes))))
	}
	if u.QuotaBytes > 0 {
		d.path("quota", fmt.Sprintf("M%d %.1fH%d", padLeft, y(float64(u.QuotaBytes)), plotW-padRight))
		d.label(padLeft+4, y(float64(u.QuotaBytes))+12, "start", view.Bytes(u.QuotaBytes))
	}
	d.path("line", line)
	d.label(padLeft-4, y(float64(u.UsedBytes))+4, "end", short(u.UsedBytes))
	d.label(padLeft, plotH-6, "start", start.Format("01-02"))
	d.label(x(now), plotH-6, "middle", now.In(start.Location()).Format("01-02"))
	d.label(plotW-padRight, plotH-6, "end", end.Format("01-02"))
	return d.end()
}

// short is a size in at most five characters, for the side of an axis.
func short(n uint64) string {
	return strings.ReplaceAll(strings.ReplaceAll(view.Bytes(n), " ", ""), "B", "")
}
