// Package view turns a Status into the words that a person reads, in the order
// in which they are read: what is wrong, who acts, how, whether it returns by
// itself, and only then the evidence. The command line lays them out as text
// and the page as HTML, so the two can never say different things.
//
// It fetches nothing and decides nothing; the same Status gives the same Page.
package view

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"cellwarden/agent/carrier"
	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/text"
	"cellwarden/protocol"
)

// Moods say how the page looks: one word for colour and mark.
const (
	Good   = "good"   // healthy
	Fault  = "fault"  // a verdict stands
	Unsure = "unsure" // not decided, or nothing known yet
)

// Page is what to show, all of it in one language.
type Page struct {
	Lang       text.Lang   `json:"lang"`
	Mood       string      `json:"mood"`
	Device     string      `json:"device,omitempty"`
	At         string      `json:"at,omitempty"`
	Title      string      `json:"title"`
	Verdict    string      `json:"verdict"`
	Line       string      `json:"line"`
	Detail     string      `json:"detail,omitempty"`
	Who        string      `json:"who"`
	Do         string      `json:"do"`
	Returns    string      `json:"returns,omitempty"`
	ResumesAt  string      `json:"resumes_at,omitempty"`
	Since      string      `json:"since,omitempty"`
	Candidates []Candidate `json:"candidates"` // when not decided
	Ladder     []Rung      `json:"ladder"`
	Steps      []string    `json:"steps"`
	For        []Proof     `json:"for"`
	Against    []Proof     `json:"against"`
	Unknown    []string    `json:"unknown"`
	Decide     string      `json:"decide,omitempty"`
	Usage      *Bar        `json:"usage,omitempty"`
	Warnings   []string    `json:"warnings"`
	Troubles   []Trouble   `json:"troubles"`
	Rows       []Row       `json:"rows"`
	Probes     []Row       `json:"probes"`
	Recovery   *Recovery   `json:"recovery,omitempty"`
}

// Candidate is one cause that the evidence leaves.
type Candidate struct {
	Title   string `json:"title"`
	Percent string `json:"percent"`
}

// Rung is one layer.
type Rung struct {
	State diag.GateState `json:"state"`
	Name  string         `json:"name"`
	Word  string         `json:"word"`
	Fact  string         `json:"fact,omitempty"`
	Layer diag.Layer     `json:"layer"`
}

// Proof is one piece of evidence.
type Proof struct {
	Text   string `json:"text"`
	Source string `json:"source"`
	// Strength is a word: beside signal levels a figure in dB would be misread.
	Strength string `json:"strength"`
}

// Bar is usage against the plan. Percent is -1 when there is no quota.
type Bar struct {
	Percent float64 `json:"percent"`
	Text    string  `json:"text"`
	Notes   string  `json:"notes"`
	// The notes in two lines: what will happen, and the dates.
	Ahead, Dates string `json:"-"`
}

// Trouble is something wrong with the agent, and its cure.
type Trouble struct {
	Text string `json:"text"`
	Hint string `json:"hint"`
}

// Row is one labelled line. Key names it whatever the language.
type Row struct {
	Key   string `json:"key"`
	Label string `json:"label"`
	Value string `json:"value"`
	Bad   bool   `json:"bad,omitempty"`
}

// builder holds what every sentence needs.
type builder struct {
	lang text.Lang
	loc  *time.Location
	s    localapi.Status
}

// Build is the page of s. Times are shown in loc.
func Build(lang text.Lang, loc *time.Location, s localapi.Status) Page {
	b := builder{lang, loc, s}
	p := b.diagnosis()
	p.Device, p.At = cmp.Or(s.Name, s.Device), b.at()
	if d, ok := between(s.Since, s.At); ok {
		span := ""
		if d >= time.Minute {
			span = b.span(d)
		}
		p.Since = b.clock(s.Since, span)
	}
	if s.Usage != nil {
		p.Usage = b.usage(*s.Usage)
		for _, w := range s.Usage.Warnings {
			p.Warnings = append(p.Warnings, b.warning(w))
		}
	}
	for _, t := range s.Troubles {
		p.Troubles = append(p.Troubles, b.trouble(t))
	}
	p.Rows = b.rows()
	p.Recovery = b.recovery()
	for _, pr := range s.Probes {
		p.Probes = append(p.Probes, b.probe(pr))
	}
	return p
}

// BuildDiagnosis is the page of a diagnosis without a device around it, as
// explain and diagnose --direct have it.
func BuildDiagnosis(lang text.Lang, loc *time.Location, d diag.Diagnosis) Page {
	return (&builder{lang, loc, localapi.Status{Diagnosis: d}}).diagnosis()
}

func (b *builder) t(key string, args ...string) string { return text.T(b.lang, key, args...) }

func (b *builder) diagnosis() Page {
	d := b.s.Diagnosis
	class := d.Class
	nothing := class == "" // the loop has not judged yet
	if nothing {
		class = diag.Ambiguous
	}
	variants := Variants(b.s)
	c := text.Class(b.lang, class, variants...)
	// Lists are never nil, so that the page's script need not ask.
	p := Page{
		Lang: b.lang, Mood: Fault, Title: c.Title, Line: c.Line, Do: c.What, Returns: c.Returns,
		Verdict: text.Word(b.lang, "verdict", string(d.Verdict)), Detail: b.detail(d.Detail),
		Candidates: []Candidate{}, Steps: c.Steps, For: b.proofs(d.Evidence), Against: b.proofs(d.Against),
		Unknown: []string{}, Warnings: []string{}, Troubles: []Trouble{}, Rows: []Row{}, Probes: []Row{},
	}
	switch {
	case nothing:
		p.Mood, p.Line = Unsure, b.t("ui.known_little")
		p.Do, p.Returns, p.Steps, c.Who = "", "", []string{}, "nobody"
	case class == diag.Healthy:
		p.Mood = Good
	case d.Verdict == diag.Undecided:
		p.Mood = Unsure
	}
	if class == diag.SuspendedUnspecified || slices.ContainsFunc(variants, func(v string) bool { return text.Variant(b.lang, class, v) }) {
		p.Detail = "" // the words of the variant, or of the group, have said it
	}
	who := d.Act.Who
	if who == "" {
		who = c.Who
	}
	p.Who = text.Word(b.lang, "who", who)
	// The class's own key says no more than the class, and less than a variant.
	if d.Act.What.Key != "class."+string(class)+".what" && text.Has(b.lang, d.Act.What.Key) {
		p.Do = text.Render(b.lang, d.Act.What)
	}
	if t, err := time.Parse(time.RFC3339, d.Act.ResumesAt); err == nil {
		p.ResumesAt = t.In(b.zone(t)).Format(minuteLayout)
	}
	if d.Verdict == diag.Undecided || class == diag.Ambiguous || class == diag.SuspendedUnspecified {
		for _, k := range d.Candidates {
			if k.Class != class {
				p.Candidates = append(p.Candidates, Candidate{text.Class(b.lang, k.Class).Title, fmt.Sprintf("%.0f%%", k.P*100)})
			}
		}
	}
	for _, u := range d.Unknown {
		p.Unknown = append(p.Unknown, text.Render(b.lang, u))
	}
	p.Decide = text.Render(b.lang, d.DecideBy)
	gates := map[diag.Layer]diag.Gate{}
	for _, g := range d.Gates {
		gates[g.Layer] = g
	}
	for _, l := range diag.Layers {
		g := gates[l]
		if g.State == "" {
			g.State = diag.GateUnknown
		}
		p.Ladder = append(p.Ladder, b.rung(diag.Gate{Layer: l, State: g.State, Fact: g.Fact}))
	}
	return p
}

// rung is one layer of the ladder.
func (b *builder) rung(g diag.Gate) Rung {
	return Rung{g.State, b.t("layer." + string(g.Layer)), text.Word(b.lang, "gate", string(g.State)), text.Render(b.lang, g.Fact), g.Layer}
}

// Progress is one layer while a diagnosis runs.
func Progress(lang text.Lang, p localapi.Progress) Rung {
	b := builder{lang: lang}
	r := b.rung(diag.Gate{Layer: p.Layer, State: p.State, Fact: p.Fact})
	if r.Fact == "" {
		r.Fact = p.Doing
	}
	return r
}

func (b *builder) detail(t diag.Text) string {
	if t.Key != "" && !text.Has(b.lang, t.Key) && t.English == "" {
		return "" // a mark for a variant, not a sentence
	}
	return text.Render(b.lang, t)
}

func (b *builder) proofs(all []diag.Evidence) []Proof {
	out := []Proof{}
	for _, e := range all {
		out = append(out, Proof{text.Render(b.lang, e.Fact), b.source(e.Source), text.Word(b.lang, "strength", strength(e.WeightDB))})
	}
	return out
}

// source is where evidence comes from, as a technician knows it: "at:+CPIN" is the
// command AT+CPIN, "urc:+CEREG" what the modem said unasked.
func (b *builder) source(s string) string {
	head, rest, _ := strings.Cut(s, ":")
	switch {
	case head == "at" && rest != "" && !text.Has(b.lang, "source."+rest):
		return "AT" + rest
	case head == "urc" && rest != "":
		return rest
	case head == "urc":
		head = "at"
	}
	return text.Word(b.lang, "source", head)
}

// strength sorts a weight: 10 dB make a cause ten times as likely, 5 dB three times.
func strength(dB float64) string {
	switch w := math.Abs(dB); {
	case w >= 10:
		return "strong"
	case w >= 5:
		return "fair"
	}
	return "weak"
}

// Variants names what refines the class's words: the detail of the diagnosis,
// what the plan does when it is used up, and what the SIM platform said.
func Variants(s localapi.Status) []string {
	var v []string
	add := func(ok bool, name string) {
		if ok {
			v = append(v, name)
		}
	}
	reason, state := "", ""
	if p := s.SIM.Platform; p != nil {
		reason, state = p.Reason, p.State
	}
	switch s.Diagnosis.Class {
	case diag.OverQuota:
		if s.Usage != nil {
			add(s.Usage.OnExhaust == "overage", "overage")
			add(s.Usage.OnExhaust == "throttle", "throttled")
			add(s.Usage.Pool, "pool")
		}
		add(state == "test", "test")
		add(reason == "pool" || reason == "threshold", reason)
	case diag.AdminSuspended:
		add(reason != "", reason)
	case diag.ExpiredOrCancelled:
		add(state == "cancelled", state)
	case diag.SIMLocked:
		add(s.SIM.State != "", s.SIM.State)
	case diag.CloudUnreachable:
		for _, p := range s.Probes {
			add(p.Result == "cert_not_yet_valid", "clock")
		}
	}
	// "detail.interference" or "interference": the last word names the variant.
	if key := s.Diagnosis.Detail.Key; key != "" {
		v = append(v, key[strings.LastIndexByte(key, '.')+1:])
	}
	return v
}

func (b *builder) usage(u localapi.Usage) *Bar {
	bar := &Bar{Percent: -1, Text: Bytes(u.UsedBytes)}
	if u.QuotaBytes > 0 {
		bar.Percent = u.Percent
		if bar.Percent == 0 {
			bar.Percent = float64(u.UsedBytes) / float64(u.QuotaBytes) * 100
		}
		// Rounded down: 99.6 % is not used up.
		bar.Text = fmt.Sprintf("%.0f%%  %s", math.Floor(bar.Percent), b.t("ui.of", Bytes(u.UsedBytes), Bytes(u.QuotaBytes)))
	}
	var ahead []string
	if u.Pool {
		ahead = append(ahead, b.t("ui.pool"))
	}
	if u.QuotaBytes > 0 && u.OnExhaust != "" {
		ahead = append(ahead, text.Word(b.lang, "exhaust", u.OnExhaust))
	}
	switch {
	case u.ExhaustedOn == "":
	case u.PlusMinusD > 0:
		ahead = append(ahead, b.t("ui.forecast", u.ExhaustedOn, fmt.Sprintf("%.0f", math.Ceil(u.PlusMinusD))))
	default:
		ahead = append(ahead, b.t("ui.forecast_plain", u.ExhaustedOn))
	}
	var dates []string
	if u.CycleStart != "" && u.CycleEnd != "" {
		dates = append(dates, b.t("ui.cycle", b.day(u.CycleStart), b.day(u.CycleEnd)))
	}
	dates = append(dates, b.t("ui.today", Bytes(u.TodayBytes)))
	if u.Expires != "" {
		dates = append(dates, b.t("ui.expires", b.day(u.Expires)))
	}
	own := ""
	if u.OwnBytes > 0 {
		own = b.t("ui.own", Bytes(u.OwnBytes))
	}
	bar.Ahead, bar.Dates = b.join(ahead...), b.join(dates...)
	bar.Notes = b.join(bar.Ahead, bar.Dates, own)
	return bar
}

func (b *builder) warning(w protocol.Warning) string {
	var args []string
	switch w.Kind {
	case "threshold":
		args = []string{fmt.Sprint(w.Percent)}
	case "forecast":
		args = []string{w.ExhaustedOn}
	case "expiry":
		args = []string{fmt.Sprint(w.Days), ""}
		if u := b.s.Usage; u != nil {
			args[1] = b.day(u.Expires)
		}
	case "retention":
		args = []string{fmt.Sprint(w.Days)}
	}
	if !text.Has(b.lang, "warning."+w.Kind) {
		return w.Kind
	}
	return b.t("warning."+w.Kind, args...)
}

func (b *builder) trouble(t localapi.Trouble) Trouble {
	if !text.Has(b.lang, "trouble."+t.Key) {
		return Trouble{b.t("trouble.unknown", strings.Join(append([]string{t.Key}, t.Args...), " ")), b.t("troublehint.unknown")}
	}
	hint := ""
	if key := "troublehint." + t.Key; text.Has(b.lang, key) {
		hint = b.t(key, t.Args...)
	}
	var args []string
	for _, a := range t.Args {
		args = append(args, text.Reason(b.lang, a))
	}
	return Trouble{b.t("trouble."+t.Key, args...), hint}
}

func (b *builder) rows() []Row {
	var rows []Row
	add := func(key string, bad bool, parts ...string) {
		if v := b.join(parts...); v != "" {
			rows = append(rows, Row{key, b.t("ui." + key), v, bad})
		}
	}
	s := b.s
	b.machine(add)
	for _, f := range s.Standing {
		if f.Class != s.Diagnosis.Class { // that one is the headline already
			add("standing", true, b.finding(f))
		}
	}
	if f := s.Pending; f != nil {
		wait := ""
		if f.RaiseInS > 0 {
			wait = b.t("ui.raise_in", b.seconds(f.RaiseInS))
		}
		what := ""
		if f.Class != s.Diagnosis.Class {
			what = b.finding(*f)
		} // else the headline has said what
		add("pending", false, what, wait)
	}
	up := s.Uplink
	retry := ""
	if up.RetryInS > 0 {
		retry = b.t("ui.retry_in", b.seconds(up.RetryInS))
	}
	lastErr := ""
	if up.LastError != "" && up.State != "connected" {
		lastErr = b.t("ui.error", text.Reason(b.lang, up.LastError))
	}
	sent := ""
	if up.SentToday > 0 {
		sent = b.t("ui.sent_today", fmt.Sprint(up.SentToday), Bytes(up.BytesToday))
	}
	add("uplink", up.State == "down", text.Word(b.lang, "uplink", up.State), retry, lastErr, up.Broker, sent)
	o := s.Outbox
	waiting, oldest, dropped, outErr := b.t("ui.waiting_none"), "", "", ""
	if o.Waiting > 0 {
		waiting = b.t("ui.waiting", fmt.Sprint(o.Waiting))
		if o.OldestS > 0 {
			oldest = b.t("ui.oldest", b.seconds(o.OldestS))
		}
	}
	if o.Dropped > 0 {
		dropped = b.t("ui.dropped", fmt.Sprint(o.Dropped))
	}
	if o.LastError != "" {
		outErr = b.t("ui.error", text.Reason(b.lang, o.LastError))
	}
	add("outbox", o.Dropped > 0 || o.LastError != "", waiting, oldest, dropped, outErr)
	m := s.Modem
	held, last := "", ""
	if m.HeldBy != "" {
		held = b.t("ui.held_by", m.HeldBy)
	}
	switch {
	case m.LastAnswerS < 0:
		last = b.t("ui.last_answer_never")
	case m.State != "":
		last = b.t("ui.last_answer", b.seconds(m.LastAnswerS))
	}
	add("modem", m.State != "" && m.State != "ok", text.Word(b.lang, "modem", m.State), held,
		strings.TrimSpace(m.Manufacturer+" "+m.Model), m.Port, last)
	card := b.join(b.operator(s.SIM.Operator), s.SIM.ICCID)
	if card != "" && (s.SIM.State == "absent" || s.SIM.State == "removed") {
		card = b.t("ui.last_card", card)
	}
	if s.Whitelist {
		card = b.join(card, b.t("ui.learned_whitelist"))
	}
	add("sim", s.SIM.State != "" && s.SIM.State != "ready", text.Word(b.lang, "sim", s.SIM.State), card)
	if p := s.SIM.Platform; p != nil {
		reason, asOf := "", ""
		if p.Reason != "" && p.Reason != "none" {
			reason = text.Word(b.lang, "reason", p.Reason)
		}
		if t, err := time.Parse(time.RFC3339, p.AsOf); err == nil {
			asOf = b.t("ui.as_of", t.In(b.loc).Format(minuteLayout))
		}
		add("platform", p.State != "active" && p.State != "", text.Word(b.lang, "platform", p.State), reason, asOf)
	}
	add("radio", false, b.radio()...)
	n := s.Network
	cause, apn, session, lastGood := "", "", "", ""
	if n.Cause != "" {
		cause = n.Cause
		if b.lang != text.EN && strings.Contains(cause, " #") { // the name behind the number is English
			words := strings.Fields(cause)
			cause = strings.Join(words[:min(2, len(words))], " ")
		}
		cause = b.t("ui.cause", cause)
	}
	if n.APN != "" {
		apn = b.t("ui.apn", n.APN)
	}
	if n.LastGoodAPN != "" && n.LastGoodAPN != n.APN {
		lastGood = b.t("ui.last_good_apn", n.LastGoodAPN)
	}
	if n.Session != "" {
		session = b.t("layer.session") + " " + text.Word(b.lang, "session", n.Session)
	}
	add("network", n.Registration == "denied", text.Word(b.lang, "reg", n.Registration), cause, session, apn, lastGood, b.operator(n.PLMN), n.Interface)
	if f := s.LastFault; f != nil {
		ended := ""
		if f.EndedBy != "" {
			ended = b.t("ui.ended_by", text.Word(b.lang, "ended", f.EndedBy))
		}
		add("last_fault", false, b.finding(*f), ended)
	}
	if s.Update != nil {
		add("update", s.Update.Refused != nil || s.Update.Failed != "", b.update()...)
	}
	up1 := ""
	if s.UptimeS > 0 {
		up1 = b.t("ui.uptime", b.seconds(s.UptimeS))
	}
	if s.Version != "" || up1 != "" {
		add("version", false, s.Version, s.Board, up1)
	}
	return rows
}

var carriers = sync.OnceValue(func() []carrier.Carrier {
	list, _ := carrier.Load() // built in, and tested
	return list
})

// operator is the name of the operator that a modem names by digits or in English.
func (b *builder) operator(s string) string {
	for _, c := range carriers() {
		if slices.Contains(c.PLMNs, s) || strings.EqualFold(c.Name, s) {
			if b.lang == text.ZH {
				return c.NameZH
			}
			return c.Name
		}
	}
	return s
}

func (b *builder) finding(f localapi.Finding) string {
	out := text.Class(b.lang, f.Class).Title
	lasted := ""
	if f.LastedS > 0 {
		lasted = b.t("ui.lasted") + " " + b.seconds(f.LastedS)
	}
	return b.bracket(out, b.join(text.Word(b.lang, "verdict", string(f.Verdict)), b.clock(f.Since), lasted))
}

func (b *builder) radio() []string {
	r := b.s.Radio
	parts := []string{text.Word(b.lang, "grade", r.Grade)}
	num := func(name string, v *float64, unit string) {
		if v != nil {
			parts = append(parts, fmt.Sprintf("%s %.0f %s", name, *v, unit))
		}
	}
	num("RSRP", r.RSRP, "dBm")
	num("SINR", r.SINR, "dB")
	if r.RSRP == nil {
		num("RSSI", r.RSSI, "dBm")
	}
	if r.RAT != "" {
		parts = append(parts, text.Word(b.lang, "rat", r.RAT))
	}
	if r.Band > 0 {
		parts = append(parts, b.t("ui.band", fmt.Sprint(r.Band)))
	}
	if r.Camp != "" {
		parts = append(parts, text.Word(b.lang, "camp", r.Camp))
	}
	if r.Cell != "" {
		parts = append(parts, b.t("ui.cell", r.Cell))
	}
	return parts
}

func (b *builder) probe(p localapi.Probe) Row {
	ms := ""
	if p.Millis > 0 {
		ms = fmt.Sprintf("%d ms", p.Millis)
	}
	label := text.Word(b.lang, "target", p.Target) + " " + text.Word(b.lang, "probe", p.Probe)
	return Row{p.Target + "." + p.Probe, label, b.join(text.Word(b.lang, "result", p.Result), ms, p.Host, b.t("ui.ago", b.seconds(p.AgoS))), p.Result != "ok"}
}

// join puts the parts that are not empty into one line.
func (b *builder) join(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	if b.lang == text.ZH {
		return strings.Join(kept, "，")
	}
	return strings.Join(kept, ", ")
}

func (b *builder) bracket(s, in string) string {
	switch {
	case in == "":
		return s
	case b.lang == text.ZH:
		return s + "（" + in + "）"
	}
	return s + " (" + in + ")"
}
