package localapi

import (
	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
	"slices"
	"strings"
	"time"
)

// Counters are what the shell knows beside the core's View.
type Counters struct {
	Now            instant.Instant
	Device, Name   string
	Version, Board string
	Modem          ModemCounters
	Outbox         Outbox
	UplinkOn       bool // there is a broker in the config
	SentToday      uint64
	BytesToday     uint64
	RetryAt        time.Duration // of the uplink, by Now.Mono
	Troubles       []Trouble
	Update         *Update
	Recovery       *Recovery
	Machine        *Machine
}

// ModemCounters are what the shell has seen of the AT port.
type ModemCounters struct {
	Port, Profile string
	State, Detail string // of the port, as core.PortState has it
	Reopens       int
	Unparsed      uint64
	LastAnswer    time.Duration // by Now.Mono
	Answered      bool          // since the start
}

// Build is the one picture that the CLI, the page and the JSON render. It is a pure
// function: the same view and counters give the same Status.
func Build(v core.View, c Counters) Status {
	now := c.Now
	s := Status{
		V: 1, Device: c.Device, Name: c.Name, Version: c.Version, Board: c.Board, At: core.WireTime(now),
		UptimeS:   int64((now.Mono - v.Start.Mono) / time.Second),
		Diagnosis: v.Diagnosis, Since: core.WireTime(v.Since),
		Standing: []Finding{}, Probes: []Probe{},
		Modem: modemStatus(v, c.Modem, now.Mono), SIM: simStatus(v), Radio: radioStatus(v.Known), Network: networkStatus(v),
		Usage: BuildUsage(v), Troubles: append([]Trouble{}, c.Troubles...), Update: c.Update, Recovery: c.Recovery, Machine: c.Machine, Outbox: c.Outbox,
	}
	s.Whitelist = v.Whitelist
	if !now.Trusted {
		s.Troubles = append(s.Troubles, Trouble{Key: "clock_untrusted", Since: core.WireTime(v.Start)})
	}
	if f := finding(v.Standing); f != nil {
		s.Standing = append(s.Standing, *f)
	}
	s.Pending, s.LastFault = finding(v.Pending), finding(v.Last)
	for _, p := range v.Known.Probes {
		s.Probes = append(s.Probes, Probe{Probe: p.Result.Probe, Target: p.Result.Target, Host: p.Result.Host,
			Result: p.Result.Result, Millis: p.Result.Millis, AgoS: int64(now.Sub(p.At) / time.Second)})
	}
	s.Uplink = Uplink{State: "off", SentToday: c.SentToday, BytesToday: c.BytesToday}
	if c.UplinkOn {
		s.Uplink.State, s.Uplink.Broker, s.Uplink.LastError = "connecting", v.Uplink.Broker, v.Uplink.Reason
		if v.Uplink.State != "" {
			s.Uplink.State = v.Uplink.State
		}
		if left := c.RetryAt - now.Mono; left > 0 && s.Uplink.State != "connected" {
			s.Uplink.RetryInS = int64(left / time.Second)
		}
	}
	return s
}

func finding(f *core.Fault) *Finding {
	if f == nil {
		return nil
	}
	return &Finding{Class: f.Class, Verdict: f.Verdict, Since: core.WireTime(f.Since),
		LastedS: int64(f.Lasted / time.Second), EndedBy: f.EndedBy, RaiseInS: int64((f.RaiseIn + time.Second - 1) / time.Second)}
}

func modemStatus(v core.View, c ModemCounters, now time.Duration) ModemStatus {
	m := ModemStatus{Port: c.Port, State: c.State, Profile: c.Profile,
		Manufacturer: v.Known.Identity.Manufacturer, Model: v.Known.Identity.Model, Revision: v.Known.Identity.Revision,
		IMEI: redacted(v.Known.IMEI), Reopens: c.Reopens, Unparsed: c.Unparsed, LastAnswerS: -1}
	if c.Answered {
		m.LastAnswerS = int64((now - c.LastAnswer) / time.Second)
	}
	if m.State == "held" {
		m.HeldBy = c.Detail
	}
	if m.State == "garbage" {
		m.State = "silent"
	}
	return m
}

// redacted shows that an identity is known, and enough of it to tell two apart.
func redacted(id string) string {
	if len(id) < 10 {
		return strings.Repeat("*", len(id))
	}
	return id[:4] + "…" + id[len(id)-4:]
}

func simStatus(v core.View) SIMStatus {
	s := SIMStatus{State: string(v.Known.SIM), ICCID: redacted(v.Known.ICCID), Platform: v.SIMStatus}
	if o := v.Known.Operator; o != nil {
		s.Operator = o.Name
	}
	if s.Operator == "" {
		s.Operator = v.Known.HomePLMN
	}
	return s
}

func radioStatus(k diag.Summary) RadioStatus {
	r := RadioStatus{Grade: "unknown"}
	if k.Signal != nil {
		r.RAT, r.RSSI, r.RSRP, r.RSRQ, r.SINR = k.Signal.RAT, k.Signal.RSSI, k.Signal.RSRP, k.Signal.RSRQ, k.Signal.SINR
		if k.Grade != "" {
			r.Grade = string(k.Grade)
		}
	}
	if k.Cell != nil {
		r.Camp, r.Cell = string(k.Cell.State), k.Cell.Cell
		if k.Cell.Band > 0 {
			r.Band = k.Cell.Band
		}
		if r.RAT == "" {
			r.RAT = k.Cell.RAT
		}
	}
	return r
}

var registrations = map[threegpp.RegStat]string{
	threegpp.RegIdle: "idle", threegpp.RegHome: "home", threegpp.RegSearching: "searching", threegpp.RegDenied: "denied",
	threegpp.RegUnknown: "unknown", threegpp.RegRoaming: "roaming", threegpp.RegHomeNoCSFB: "home", threegpp.RegRoamNoCSFB: "roaming",
	threegpp.RegEmergency: "emergency", threegpp.RegRLOS: "emergency",
}

func networkStatus(v core.View) NetworkStatus {
	n := NetworkStatus{Registration: "unknown", PLMN: v.Known.ServingPLMN, APN: v.Known.APN, Attached: v.Known.Attached,
		Session: "unknown", Interface: v.Interface.Name}
	if r := v.Known.Registration; r != nil {
		if w, ok := registrations[r.Stat]; ok {
			n.Registration = w
		}
	}
	if v.LastGood.APN != "" && !strings.EqualFold(v.LastGood.APN, v.Known.APN) {
		n.LastGoodAPN = v.LastGood.APN
	}
	if v.Known.Cause.Known() && (v.Known.Registered == nil || !*v.Known.Registered) {
		n.Cause = v.Known.Cause.String()
		if info, ok := threegpp.LookUp(v.Known.Cause); ok {
			n.Cause += " " + info.Name
		}
	}
	if up := v.Known.SessionUp; up != nil {
		n.Session = map[bool]string{true: "active", false: "inactive"}[*up]
	}
	return n
}

// BuildUsage is this cycle against the plan; nil when nothing is metered.
func BuildUsage(v core.View) *Usage {
	u := v.Usage
	if u.LifetimeBytes == 0 && u.QuotaBytes == 0 && !v.Interface.Present {
		return nil
	}
	out := &Usage{UsedBytes: u.UsedBytes, TodayBytes: u.TodayBytes, OwnBytes: u.OwnBytes, QuotaBytes: u.QuotaBytes,
		RawBytes: u.RawBytes, RxBytes: u.RawBytes - u.TxBytes, TxBytes: u.TxBytes, UndatedBytes: u.UnplacedBytes, ErrorPercent: u.ErrorPercent, Reconciled: u.Reconciled,
		Percent: u.Percent, OnExhaust: u.OnExhaust, Pool: u.Pool, Expires: v.Plan.Expires, Warnings: v.Warnings}
	if out.Warnings == nil {
		out.Warnings = []protocol.Warning{}
	}
	if u.TimeKnown {
		out.CycleStart, out.CycleEnd = u.Cycle.Start.Format(time.RFC3339), u.Cycle.End.Format(time.RFC3339)
	} else {
		out.UsedBytes = u.UnplacedBytes // without a date it belongs to no cycle yet
	}
	if u.Forecast.Known {
		out.CycleEndBytes, out.PlusMinusBytes = u.Forecast.CycleEndBytes, u.Forecast.PlusMinusBytes
	}
	if u.Forecast.Known && u.Forecast.Exhausts {
		out.ExhaustedOn, out.PlusMinusD = u.Forecast.ExhaustedOn.Format(time.DateOnly), u.Forecast.PlusMinusDays
	}
	return out
}

// UsageRows are the newest n bars, all for 0, with the quiet hours or days between
// them, which the meter does not keep.
func UsageRows(bars []meter.Bar, format string, n int) []UsageRow {
	var rows []UsageRow
	for i := len(bars) - 1; i >= 0 && (n <= 0 || len(rows) < n); i-- {
		b := bars[i]
		rows = append(rows, UsageRow{From: b.Start.Format(format), OwnBytes: b.Own, TotalBytes: b.Bytes, RxBytes: b.Bytes - b.Tx, TxBytes: b.Tx, UsedBytes: b.Used, QuotaBytes: b.Quota})
		long := b.End.Sub(b.Start)
		for quiet := b.Start.Add(-long); i > 0 && bars[i-1].End.Add(-long).Before(quiet) && len(rows) < n; quiet = quiet.Add(-long) {
			rows = append(rows, UsageRow{From: quiet.Format(format)})
		}
	}
	slices.Reverse(rows)
	return rows
}
