package protocol

import "encoding/json"

// Version is the version of the wire format. A reader accepts its own version
// and the one before; unknown fields are ignored.
const Version = 1

// Type says what the body of an Envelope is.
type Type string

// The message types, up (device to backend).
const (
	TypeAlert   Type = "alert"   // a fault stands: Alert
	TypeClear   Type = "clear"   // a fault ended: Clear
	TypeWarning Type = "warning" // usage or plan: Warning
	TypeEvent   Type = "event"   // the machine's own event: MachineEvent
	TypeState   Type = "state"   // periodic report: State
	TypeGap     Type = "gap"     // messages were dropped: Gap
	TypeReply   Type = "reply"   // answer to a Command: Reply
	TypeLearned Type = "learned" // a verdict was confirmed later: Learned
	TypeUpdate  Type = "update"  // how an update of the agent goes: Update

	TypeInventory Type = "inventory" // what the device is made of: Inventory
	TypeCard      Type = "card"      // another card is in the slot: CardChanged
	TypeBlind     Type = "blind"     // the agent cannot see the modem: Blind
	TypeRecovery  Type = "recovery"  // a step to bring the machine back: Recovery
)

// Time is one instant, by both clocks. Wall is RFC 3339 with milliseconds and
// may be wrong when Trusted is false; Boot and MonoMS always order.
type Time struct {
	Wall      string `json:"wall"`           // RFC 3339, UTC, milliseconds
	Trusted   bool   `json:"ok"`             // the clock could be trusted; when false do not sort by wall
	Boot      string `json:"boot,omitempty"` // first 8 digits of the kernel's boot id
	MonoMS    int64  `json:"mono"`           // milliseconds since boot, CLOCK_BOOTTIME
	Corrected bool   `json:"fix,omitempty"`  // Wall was untrusted when recorded and was put right later
}

// Envelope is what crosses the wire, up. Epoch and Seq together are unique for
// a device for ever: a receiver dedupes on them.
type Envelope struct {
	V      int             `json:"v"`    // version of the format
	Device string          `json:"dev"`  // the device, as in the topic
	Epoch  string          `json:"ep"`   // 8 hex digits, drawn when the device's store was created
	Seq    uint64          `json:"seq"`  // 1, 2, 3 ... within the epoch
	Type   Type            `json:"type"` // what the body is
	At     Time            `json:"at"`   // when it was recorded
	Body   json.RawMessage `json:"body"` // the message
}

// Candidate is one class that the evidence leaves, with its probability.
type Candidate struct {
	Class string  `json:"class"` // a diagnosis class
	P     float64 `json:"p"`     // 0 to 1; all classes together make 1
}

// Evidence is one fact that was weighed. WeightDB is in decibans: +10 makes the
// class ten times likelier.
type Evidence struct {
	For      string  `json:"for"`       // the class that it speaks for
	Fact     string  `json:"fact"`      // English, for logs and backends
	Source   string  `json:"source"`    // at:+CPIN (an answer), urc:+CEREG (unasked), meter, sms, probe:tcp, backend, plan, ...
	WeightDB float64 `json:"weight_db"` // decibans; below 0 it speaks against the class
}

// Action says who has to do what. Who is owner, technician, operator, backend
// or nobody. ResumesAt (RFC 3339) is set where it comes back by itself.
type Action struct {
	Who       string `json:"who"`                  // owner, technician, operator, backend, nobody
	What      string `json:"what"`                 // one English sentence
	ResumesAt string `json:"resumes_at,omitempty"` // RFC 3339, only where it comes back by itself

	Code  string   `json:"code,omitempty"`  // what, as a code: over_quota.pool; schema/acts.json has its words in every language
	Steps []string `json:"steps,omitempty"` // for a technician, in order, as codes: over_quota.pool.1
}

// Alert tells that a fault stands; one more with the same ID says that something
// about it changed. Class is a name of diagnosis_classes.
type Alert struct {
	Incident   string      `json:"id,omitempty"`         // pairs alert, changes and clear; unique for the device. Refined to another class it stays the same
	Class      string      `json:"class"`                // a diagnosis class; ambiguous when none can be named
	Verdict    string      `json:"verdict"`              // confirmed, likely, undecided
	Since      Time        `json:"since"`                // when the fault began
	Candidates []Candidate `json:"candidates,omitempty"` // the likeliest first, three at most
	Evidence   []Evidence  `json:"evidence,omitempty"`   // what spoke for the class, the heaviest first
	DecideBy   string      `json:"decide_by,omitempty"`  // English: the check that would decide; none when confirmed
	Act        *Action     `json:"act,omitempty"`        // who does what
	Unstable   bool        `json:"unstable,omitempty"`   // it comes and goes: no further alert and clear until it settles
	Lost       *Lost       `json:"lost,omitempty"`       // what it costs, where the machine's own habit tells
}

// Lost is what an hour without service costs at this time of the week, by what the
// machine usually sells.
type Lost struct {
	PerHour  int64  `json:"per_hour"`           // minor units of the currency
	Decimals int    `json:"decimals"`           // of the currency's minor unit
	Currency string `json:"currency,omitempty"` // as the machine says it
}

// Clear ends an Alert of the same class.
type Clear struct {
	Incident  string `json:"id,omitempty"`       // that of the alert
	Class     string `json:"class"`              // that of the alert
	Since     Time   `json:"since"`              // that of the alert
	LastedMS  int64  `json:"lasted_ms"`          // milliseconds
	EndedBy   string `json:"ended_by,omitempty"` // recovered, cycle_start, sms_topup, platform_resumed, reseated, backend, superseded (by another fault), refined (known more exactly)
	FollowsTo string `json:"next,omitempty"`     // the class that replaced it, none when healthy
}

// Warning comes before a stop: of the plan, or of kind certificate, when the
// device's own ends in Days days (below 0: it has ended).
type Warning struct {
	Kind        string  `json:"kind"`                      // threshold, forecast, unusual, expiry, retention, restored, certificate
	Percent     int     `json:"percent,omitempty"`         // of the quota: the threshold that was passed
	UsedBytes   uint64  `json:"used_bytes"`                // of this cycle
	QuotaBytes  uint64  `json:"quota_bytes,omitempty"`     // of this cycle
	CycleStart  string  `json:"cycle_start,omitempty"`     // date, the operator's
	CycleEnd    string  `json:"cycle_end,omitempty"`       // date, the operator's
	ExhaustedOn string  `json:"exhausted_on,omitempty"`    // date, forecast
	PlusMinusD  float64 `json:"plus_minus_days,omitempty"` // days that the forecast may be off
	Days        int     `json:"days,omitempty"`            // to the expiry, the end of retention or of the certificate; below 0: since
}

// MachineEvent is what the machine's own software handed in.
type MachineEvent struct {
	Name  string          `json:"name"`            // the machine's own
	Level string          `json:"level,omitempty"` // info (default), warn, alert
	Data  json.RawMessage `json:"data,omitempty"`  // any JSON
}

// Gap reports messages that were dropped to make room, or lost to a damaged store.
type Gap struct {
	Priority string `json:"priority"`  // alert, event, state or metric
	Count    uint64 `json:"count"`     // messages
	FirstSeq uint64 `json:"first_seq"` // of those that are lost; others between may have arrived
	LastSeq  uint64 `json:"last_seq"`  // see first_seq
	From     Time   `json:"from"`      // when the first was recorded
	To       Time   `json:"to"`        // when the last was recorded
	Reason   string `json:"reason"`    // full (dropped to make room), damaged (lost on the flash)
}

// State is the periodic report.
type State struct {
	Class      string   `json:"class"`                 // a diagnosis class, healthy among them
	Verdict    string   `json:"verdict"`               // healthy, confirmed, likely, undecided
	RSRP       *float64 `json:"rsrp_dbm,omitempty"`    // dBm
	SINR       *float64 `json:"sinr_db,omitempty"`     // dB
	CSQ        *int     `json:"csq,omitempty"`         // reserved; not sent
	RAT        string   `json:"rat,omitempty"`         // gsm, umts, lte, ltem, nbiot, nr
	PLMN       string   `json:"plmn,omitempty"`        // of the serving network, digits: 46000
	UsedBytes  uint64   `json:"used_bytes"`            // of this cycle, as the operator would count them
	OwnBytes   uint64   `json:"own_bytes,omitempty"`   // the agent's own share of used_bytes
	QuotaBytes uint64   `json:"quota_bytes,omitempty"` // of the plan
	Waiting    int      `json:"waiting,omitempty"`     // messages in the queue
	UptimeS    int64    `json:"uptime_s"`              // seconds since the agent started
	AgentV     string   `json:"agent,omitempty"`       // the agent's version
	Modem      string   `json:"modem,omitempty"`       // its model
	// Counts leaves out zeros. Since the store was opened: dropped (evicted
	// messages), damaged (lost to a bad store). Since the start of the agent:
	// unparsed (modem lines), reopens (of the port). Today: air (bytes that the
	// agent's own session took, headers included).
	Counts map[string]int `json:"n,omitempty"`
}

// Plan is the tariff of one SIM, in the words of the SIM platforms. Pushed by
// the backend or written in the config; zero values mean "not known".
type Plan struct {
	QuotaBytes    uint64 `json:"quota_bytes,omitempty" toml:"quota_bytes"`       // a cycle's
	CycleDay      int    `json:"cycle_day,omitempty" toml:"cycle_day"`           // 1..31; 29..31 mean the last day in shorter months
	UTCOffset     string `json:"utc_offset,omitempty" toml:"utc_offset"`         // the operator's, "+08:00"
	OnExhaust     string `json:"on_exhaust,omitempty" toml:"on_exhaust"`         // stop, overage, throttle
	Pool          *bool  `json:"pool,omitempty" toml:"pool"`                     // the quota is shared with other SIMs; false clears what the config says
	Expires       string `json:"expires,omitempty" toml:"expires"`               // last paid day, "2027-06-30"
	RetentionDays int    `json:"retention_days,omitempty" toml:"retention_days"` // after expires, for which the number is kept
	IMEIBound     *bool  `json:"imei_bound,omitempty" toml:"imei_bound"`         // the card works in one module only
	WhitelistOnly *bool  `json:"whitelist_only,omitempty" toml:"whitelist_only"` // 定向: only listed hosts answer; as pool
	TestBytes     uint64 `json:"test_bytes,omitempty" toml:"test_bytes"`         // free test allowance before activation
	SilentUntil   string `json:"silent_until,omitempty" toml:"silent_until"`     // end of the silent period, date
	Thresholds    []int  `json:"thresholds,omitempty" toml:"thresholds"`         // per cent, default 80 95 100
	Carrier       string `json:"carrier,omitempty" toml:"carrier"`               // MCC-MNC of the home operator, "460-00"

	OveragePerMB float64 `json:"overage_per_mb,omitempty" toml:"overage_per_mb"` // price of a MB beyond the quota, in Currency
	Currency     string  `json:"currency,omitempty" toml:"currency"`             // ISO 4217, "CNY"
}

// Is reads a flag of which nothing may have been said.
func Is(flag *bool) bool { return flag != nil && *flag }

// PlanArgs are the args of "plan". Without an ICCID the plan is of the card in the
// device; with one it is kept for that card, which may be the other of two.
type PlanArgs struct {
	Plan
	ICCID string `json:"iccid,omitempty"` // of another card than the one in the device
}

// SIMStatus is what the SIM platform says of the card, as the backend pushed it.
// States: test inventory ready active suspended data_cut pre_cancelled cancelled
// unknown. Reasons: none quota threshold pool arrears expiry manual imei_lock
// real_name region_lock violation lost unknown. Times are RFC 3339.
type SIMStatus struct {
	ICCID      string `json:"iccid,omitempty"`       // of another card than the one in the device
	State      string `json:"state"`                 // test, inventory, ready, active, suspended, data_cut, pre_cancelled, cancelled, unknown
	Reason     string `json:"reason,omitempty"`      // none, quota, threshold, pool, arrears, expiry, manual, imei_lock, real_name, region_lock, violation, lost, unknown
	AsOf       string `json:"as_of,omitempty"`       // RFC 3339, when the platform said so; old news weighs less
	Since      string `json:"since,omitempty"`       // RFC 3339, since when it is so
	ResumeAt   string `json:"resume_at,omitempty"`   // RFC 3339, when the platform will open it again
	UsedBytes  uint64 `json:"used_bytes,omitempty"`  // of this cycle, the platform's count
	UsedAsOf   string `json:"used_as_of,omitempty"`  // RFC 3339, up to when used_bytes counts
	ExpiresAt  string `json:"expires_at,omitempty"`  // RFC 3339
	CycleDay   int    `json:"cycle_day,omitempty"`   // 1 to 31
	PlanBytes  uint64 `json:"plan_bytes,omitempty"`  // the quota
	Source     string `json:"source,omitempty"`      // who says so, for logs
	CarrierRaw string `json:"carrier_raw,omitempty"` // the platform's own words, for logs
}

// Neighbours is what the backend knows of the owner's other machines nearby.
type Neighbours struct {
	SameCarrier     int    `json:"same_carrier"`             // machines nearby with the same operator
	SameCarrierDown int    `json:"same_carrier_down"`        // of those, offline now
	SamePoolDown    int    `json:"same_pool_down,omitempty"` // offline machines whose cards share the quota
	AsOf            string `json:"as_of,omitempty"`          // RFC 3339; now when absent
}

// Command is one message down (backend to device). Sig is Ed25519 over the
// canonical bytes (see SigningBytes), base64, where the config demands it.
type Command struct {
	V       int             `json:"v"`              // version of the format, 1
	ID      string          `json:"id"`             // unique; a seen id is refused
	Expires string          `json:"expires"`        // RFC 3339; refused after, when the clock is trusted
	Do      string          `json:"do"`             // plan, sim_status, neighbours, diagnose, report, bundle, confirm, time, config, update, audit
	Args    json.RawMessage `json:"args,omitempty"` // a JSON object; which fields, depends on do
	Sig     string          `json:"sig,omitempty"`  // base64 of an Ed25519 signature
}

// Reply answers a Command.
type Reply struct {
	ID     string          `json:"id"`               // the command's
	OK     bool            `json:"ok"`               // it was obeyed
	Error  string          `json:"error,omitempty"`  // English, why not
	Result json.RawMessage `json:"result,omitempty"` // what was asked for
}

// Settings are what a "config" command may set, by the config file's names.
// Empty ones stay as they are. Durations are written "30m".
type Settings struct {
	ReportEvery string            `json:"uplink.report_every,omitempty"` // 1m to 168h
	ProbeEvery  string            `json:"probes.interval,omitempty"`     // 1m to 168h
	Hold        map[string]string `json:"diag.hold,omitempty"`           // by class, 0s to 24h
	Plan        *Plan             `json:"plan,omitempty"`                // as in plan
}

// ConfigArgs are the args of "config". Reset drops what earlier commands set,
// pushed plans too, before the rest is taken over.
type ConfigArgs struct {
	Settings
	Reset bool `json:"reset,omitempty"` // drop what earlier commands set
}

// TimeArgs are the args of "time": what the time is, RFC 3339.
type TimeArgs struct {
	Now string `json:"now"` // RFC 3339
}

// BundlePart is the result in each answer to "bundle": joined in order of Part,
// the GZ make one gzip file with a recording in JSON.
type BundlePart struct {
	Part  int    `json:"part"`  // from 1
	Parts int    `json:"parts"` // how many there are
	GZ    []byte `json:"gz"`    // base64
}

// Learned tells the backend what a verdict turned out to be.
type Learned struct {
	Carrier   string `json:"carrier,omitempty"` // home operator, digits: 46000
	Said      string `json:"said"`              // the class that was said
	Was       string `json:"was"`               // the class that it was
	Confirmed string `json:"confirmed"`         // by what: cycle_start, sms_topup, reseated, backend
}
