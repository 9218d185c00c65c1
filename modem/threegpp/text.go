package threegpp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The kinds of the facts, as logs, recordings and evidence name them.
func (Registration) Kind() string    { return "registration" }
func (SIM) Kind() string             { return "sim" }
func (SIMPresence) Kind() string     { return "sim_presence" }
func (SIMDetect) Kind() string       { return "sim_detect" }
func (SIMSlot) Kind() string         { return "sim_slot" }
func (CardValidity) Kind() string    { return "card_validity" }
func (ICCID) Kind() string           { return "iccid" }
func (IMSI) Kind() string            { return "imsi" }
func (IMEI) Kind() string            { return "imei" }
func (ModemIdentity) Kind() string   { return "modem_identity" }
func (Signal) Kind() string          { return "signal" }
func (ServingCell) Kind() string     { return "serving_cell" }
func (ServiceState) Kind() string    { return "service_state" }
func (RadioLink) Kind() string       { return "radio_link" }
func (Operator) Kind() string        { return "operator" }
func (Scan) Kind() string            { return "scan" }
func (Functionality) Kind() string   { return "functionality" }
func (Attach) Kind() string          { return "attach" }
func (ContextState) Kind() string    { return "context_state" }
func (ContextConfig) Kind() string   { return "context_config" }
func (ContextEvent) Kind() string    { return "context_event" }
func (Reject) Kind() string          { return "reject" }
func (ExtendedError) Kind() string   { return "extended_error" }
func (Refusal) Kind() string         { return "refusal" }
func (Silence) Kind() string         { return "silence" }
func (Done) Kind() string            { return "done" }
func (Restarted) Kind() string       { return "restarted" }
func (PoweredOff) Kind() string      { return "powered_off" }
func (PowerSaving) Kind() string     { return "power_saving" }
func (SMS) Kind() string             { return "sms" }
func (SMSStored) Kind() string       { return "sms_stored" }
func (USSD) Kind() string            { return "ussd" }
func (RadioLock) Kind() string       { return "radio_lock" }
func (PowerState) Kind() string      { return "power" }
func (NetworkTime) Kind() string     { return "network_time" }
func (ByteCounters) Kind() string    { return "byte_counters" }
func (ModemProbe) Kind() string      { return "modem_probe" }
func (Backoff) Kind() string         { return "backoff" }
func (SubscriptionPCO) Kind() string { return "subscription_pco" }
func (Unparsed) Kind() string        { return "unparsed" }

var statNames = map[RegStat]string{
	RegIdle: "idle", RegHome: "home", RegSearching: "searching", RegDenied: "denied",
	RegUnknown: "unknown", RegRoaming: "roaming", RegSMSHome: "SMS only, home",
	RegSMSRoaming: "SMS only, roaming", RegEmergency: "emergency only",
	RegHomeNoCSFB: "home, no CSFB", RegRoamNoCSFB: "roaming, no CSFB",
	RegRLOS: "restricted local service", RegNordicNoUICC: "no UICC",
}

func (s RegStat) String() string {
	if name, ok := statNames[s]; ok {
		return name
	}
	return "stat " + strconv.Itoa(int(s))
}

// words joins the parts that are not empty, and masks what could be an identity
// in any of them: modems put theirs into the strangest fields.
func words(parts ...string) string { return maskRuns(joined(parts...)) }

// joined is words for the parts of facts themselves, which keep what was said.
func joined(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p)
	}
	return b.String()
}

// labelled is "label value", or "" for an empty value.
func labelled(label, v string) string {
	if v == "" {
		return ""
	}
	return label + " " + v
}

func known(label string, n int) string {
	if n < 0 {
		return ""
	}
	return joined(label, strconv.Itoa(n))
}

func measured(label string, f *float64) string {
	if f == nil {
		return ""
	}
	return label + " " + strconv.FormatFloat(math.Round(*f*100)/100, 'f', -1, 64)
}

func (r Registration) String() string {
	cause := ""
	if r.Cause.Known() {
		cause = r.Cause.String()
	}
	return words(string(r.Domain), r.Stat.String(), labelled("area", r.Area), labelled("cell", r.Cell), cause)
}

func (s SIM) String() string {
	if s.State == SIMUnknown {
		return words("SIM unknown", labelled("said", s.Text))
	}
	return words("SIM", string(s.State), labelled("said", s.Text))
}

func (s SIMPresence) String() string {
	if s.Inserted {
		return "card detected"
	}
	return "no card detected"
}

func (s SIMSlot) String() string { return "card slot " + strconv.Itoa(s.Slot) + " (" + s.Source + ")" }

func (s SIMDetect) String() string {
	if s.Enabled {
		return "card detection on"
	}
	return "card detection off"
}

func (c CardValidity) String() string {
	if c.NoCard {
		return "no card"
	}
	return fmt.Sprintf("card valid for CS %t, for PS %t", c.ValidCS, c.ValidPS)
}

func (i ICCID) String() string { return "ICCID " + mask(i.Value) }
func (i IMSI) String() string  { return "IMSI " + mask(i.Value) }
func (i IMEI) String() string  { return "IMEI " + mask(i.Value) }

// GoString keeps %#v from printing what String masks.
func (i ICCID) GoString() string { return i.String() }

// GoString keeps %#v from printing what String masks.
func (i IMSI) GoString() string { return i.String() }

// GoString keeps %#v from printing what String masks.
func (i IMEI) GoString() string { return i.String() }

func (m ModemIdentity) String() string { return words(m.Manufacturer, m.Model, m.Revision) }

func (s Signal) String() string {
	if s.NotKnown {
		return words(s.RAT, "signal not known", s.Port)
	}
	return words(s.RAT, measured("RSSI", s.RSSI), measured("RSRP", s.RSRP), measured("RSRQ", s.RSRQ),
		measured("SINR", s.SINR), labelled("port", s.Port))
}

func (c ServingCell) String() string {
	return words(string(c.State), c.RAT, labelled("PLMN", c.PLMN), labelled("area", c.TAC),
		labelled("cell", c.Cell), known("PCI", c.PCI), known("EARFCN", c.EARFCN), known("band", c.Band))
}

func (s ServiceState) String() string {
	return words(string(s.Service), s.RAT, labelled("said", s.Text))
}

func (r RadioLink) String() string {
	if r.Connected {
		return "radio link up"
	}
	return "radio link released"
}

func (o Operator) String() string {
	return words("operator", o.Name, o.PLMN, "mode", strconv.Itoa(o.Mode), known("AcT", o.AcT))
}

func (s Scan) String() string {
	if len(s.Networks) == 0 {
		return "scan heard no network"
	}
	var b strings.Builder
	b.WriteString("scan heard")
	for _, n := range s.Networks {
		fmt.Fprintf(&b, " %s(%d)", n.PLMN, n.Stat)
	}
	return maskRuns(b.String())
}

func (f Functionality) String() string { return words(setWord(f.Set), "CFUN", strconv.Itoa(f.Level)) }

func setWord(set bool) string {
	if set {
		return "set"
	}
	return ""
}

func (a Attach) String() string {
	if a.Attached {
		return "packet service attached"
	}
	return "packet service detached"
}

func (c ContextState) String() string {
	state := "inactive"
	if c.Active {
		state = "active"
	}
	return words(known("context", c.CID), state, c.Addr)
}

func (c ContextConfig) String() string {
	apn := c.APN
	if apn == "" {
		apn = "(blank)"
	}
	auth := ""
	if c.AuthHash != "" {
		auth = "with credentials"
	}
	return words(setWord(c.Set), known("context", c.CID), c.Type, "APN", apn, auth)
}

func (e ContextEvent) String() string { return words(e.By, e.Event, known("context", e.CID)) }

func (r Reject) String() string {
	return words(r.Cause.String(), r.Procedure, labelled("by", r.PLMN), labelled("from", r.Source))
}

func (e ExtendedError) String() string { return words("extended error:", e.Text) }

func (r Refusal) String() string {
	return words(r.Command, "refused:", r.Final, known("", r.Code), r.Text)
}

func (s Silence) String() string   { return words(s.Command, "not answered") }
func (d Done) String() string      { return words(d.Command, "done") }
func (r Restarted) String() string { return words("modem started:", r.Text) }

func (PoweredOff) String() string { return "modem switched off" }

func (p PowerSaving) String() string {
	if p.Asked {
		return "power saving asked for"
	}
	return "no power saving"
}

func (s SMS) String() string {
	return words("SMS from", mask(s.From), "of", strconv.Itoa(len([]rune(s.Text))), "characters")
}

// GoString keeps %#v from printing what String masks.
func (s SMS) GoString() string { return s.String() }

func (s SMSStored) String() string {
	return words("SMS store", s.Storage, known("index", s.Index), known("used", s.Used), known("of", s.Total))
}

func (u USSD) String() string {
	return words("USSD", strconv.Itoa(u.M), "of", strconv.Itoa(len([]rune(u.Text))), "characters")
}

// GoString keeps %#v from printing what String masks.
func (u USSD) GoString() string { return u.String() }

func (l RadioLock) String() string {
	state := "not locked"
	if l.Locked {
		state = "locked"
	}
	return words(setWord(l.Set), l.Lock, state, l.Detail)
}

func (p PowerState) String() string {
	return words(measured("temperature", p.TemperatureC), measured("supply mV", p.SupplyMV), p.Alarm)
}

func (t NetworkTime) String() string {
	source := "modem clock"
	if t.NITZ {
		source = "network time"
	}
	return source + " " + t.Time.Format("2006-01-02T15:04:05-07:00")
}

func (c ByteCounters) String() string { return fmt.Sprintf("tx %d rx %d bytes", c.TxBytes, c.RxBytes) }

func (p ModemProbe) String() string { return words(p.Probe, p.Target, p.Result, p.Detail) }

func (b Backoff) String() string { return words("back-off", strconv.Itoa(b.Seconds), "s", b.Source) }

func (p SubscriptionPCO) String() string { return "operator says " + p.State }

func (u Unparsed) String() string { return "not understood: " + Redact(u.Line) }
