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
)

// Time is one instant, by both clocks. Wall is RFC 3339 with milliseconds and
// may be wrong when Trusted is false; Boot and MonoMS always order.
type Time struct {
	Wall      string `json:"wall"`
	Trusted   bool   `json:"ok"`
	Boot      string `json:"boot,omitempty"` // first 8 digits of the kernel's boot id
	MonoMS    int64  `json:"mono"`           // milliseconds since boot, CLOCK_BOOTTIME
	Corrected bool   `json:"fix,omitempty"`  // Wall was untrusted when recorded and was put right later
}

// Envelope is what crosses the wire, up. Epoch and Seq together are unique for
// a device for ever: a receiver dedupes on them.
type Envelope struct {
	V      int             `json:"v"`
	Device string          `json:"dev"`
	Epoch  string          `json:"ep"`  // 8 hex digits, drawn when the device's store was created
	Seq    uint64          `json:"seq"` // 1, 2, 3 ... within the epoch
	Type   Type            `json:"type"`
	At     Time            `json:"at"`
	Body   json.RawMessage `json:"body"`
}

// Candidate is one class that the evidence leaves, with its probability.
type Candidate struct {
	Class string  `json:"class"`
	P     float64 `json:"p"`
}

// Evidence is one fact that was weighed. WeightDB is in decibans: +10 makes the
// class ten times likelier.
type Evidence struct {
	For      string  `json:"for"`
	Fact     string  `json:"fact"` // English, for logs and backends
	Source   string  `json:"source"`
	WeightDB float64 `json:"weight_db"`
}

// Action says who has to do what. Who is owner, technician, operator, backend
// or nobody. ResumesAt (RFC 3339) is set where it comes back by itself.
type Action struct {
	Who       string `json:"who"`
	What      string `json:"what"`
	ResumesAt string `json:"resumes_at,omitempty"`
}

// Alert tells that a fault stands. Class is a name of diagnosis_classes.
type Alert struct {
	Class      string      `json:"class"`
	Verdict    string      `json:"verdict"` // confirmed, likely, undecided
	Since      Time        `json:"since"`
	Candidates []Candidate `json:"candidates,omitempty"`
	Evidence   []Evidence  `json:"evidence,omitempty"`
	DecideBy   string      `json:"decide_by,omitempty"`
	Act        *Action     `json:"act,omitempty"`
	Unstable   bool        `json:"unstable,omitempty"`
}

// Clear ends an Alert of the same class.
type Clear struct {
	Class     string `json:"class"`
	Since     Time   `json:"since"`
	LastedMS  int64  `json:"lasted_ms"`
	EndedBy   string `json:"ended_by,omitempty"` // what ended it: "cycle_start", "recovered", "sms_topup", "superseded", ...
	FollowsTo string `json:"next,omitempty"`     // the class that replaced it, "" when healthy
}

// Warning comes before a stop: of the plan, or of kind certificate, when the
// device's own ends in Days days (below 0: it has ended).
type Warning struct {
	Kind        string  `json:"kind"` // threshold, forecast, unusual, expiry, retention, restored, certificate
	Percent     int     `json:"percent,omitempty"`
	UsedBytes   uint64  `json:"used_bytes"`
	QuotaBytes  uint64  `json:"quota_bytes,omitempty"`
	CycleStart  string  `json:"cycle_start,omitempty"`
	CycleEnd    string  `json:"cycle_end,omitempty"`
	ExhaustedOn string  `json:"exhausted_on,omitempty"` // date, forecast
	PlusMinusD  float64 `json:"plus_minus_days,omitempty"`
	Days        int     `json:"days,omitempty"` // to expiry or end of retention
}

// MachineEvent is what the machine's own software handed in.
type MachineEvent struct {
	Name  string          `json:"name"`
	Level string          `json:"level,omitempty"` // info (default), warn, alert
	Data  json.RawMessage `json:"data,omitempty"`
}

// Gap reports messages that were dropped to make room, or lost to a damaged store.
type Gap struct {
	Priority string `json:"priority"`
	Count    uint64 `json:"count"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	From     Time   `json:"from"`
	To       Time   `json:"to"`
	Reason   string `json:"reason"` // "full", "damaged"
}

// State is the periodic report.
type State struct {
	Class      string   `json:"class"`
	Verdict    string   `json:"verdict"`
	RSRP       *float64 `json:"rsrp_dbm,omitempty"`
	SINR       *float64 `json:"sinr_db,omitempty"`
	CSQ        *int     `json:"csq,omitempty"`
	RAT        string   `json:"rat,omitempty"`
	PLMN       string   `json:"plmn,omitempty"`
	UsedBytes  uint64   `json:"used_bytes"`
	OwnBytes   uint64   `json:"own_bytes,omitempty"` // the agent's share of UsedBytes
	QuotaBytes uint64   `json:"quota_bytes,omitempty"`
	Waiting    int      `json:"waiting,omitempty"` // messages in the outbox
	UptimeS    int64    `json:"uptime_s"`
	AgentV     string   `json:"agent,omitempty"`
	Modem      string   `json:"modem,omitempty"`
	// Counts leaves out zeros. Since the store was opened: dropped (evicted
	// messages), damaged (lost to a bad store). Since the start of the agent:
	// unparsed (modem lines), reopens (of the port). Today: air (bytes that the
	// agent's own session took, headers included).
	Counts map[string]int `json:"n,omitempty"`
}

// Plan is the tariff of one SIM, in the words of the SIM platforms. Pushed by
// the backend or written in the config; zero values mean "not known".
type Plan struct {
	QuotaBytes    uint64 `json:"quota_bytes,omitempty" toml:"quota_bytes"`
	CycleDay      int    `json:"cycle_day,omitempty" toml:"cycle_day"`   // 1..31; 29..31 mean the last day in shorter months
	UTCOffset     string `json:"utc_offset,omitempty" toml:"utc_offset"` // the operator's, "+08:00"
	OnExhaust     string `json:"on_exhaust,omitempty" toml:"on_exhaust"` // stop, overage, throttle
	Pool          bool   `json:"pool,omitempty" toml:"pool"`             // the quota is shared with other SIMs
	Expires       string `json:"expires,omitempty" toml:"expires"`       // last paid day, "2027-06-30"
	RetentionDays int    `json:"retention_days,omitempty" toml:"retention_days"`
	IMEIBound     *bool  `json:"imei_bound,omitempty" toml:"imei_bound"`
	WhitelistOnly bool   `json:"whitelist_only,omitempty" toml:"whitelist_only"` // 定向: only listed hosts answer
	TestBytes     uint64 `json:"test_bytes,omitempty" toml:"test_bytes"`         // free test allowance before activation
	SilentUntil   string `json:"silent_until,omitempty" toml:"silent_until"`     // end of the silent period, date
	Thresholds    []int  `json:"thresholds,omitempty" toml:"thresholds"`         // per cent, default 80 95 100
	Carrier       string `json:"carrier,omitempty" toml:"carrier"`               // MCC-MNC of the home operator, "460-00"
}

// PlanArgs are the args of "plan". Without an ICCID the plan is of the card in the
// device; with one it is kept for that card, which may be the other of two.
type PlanArgs struct {
	Plan
	ICCID string `json:"iccid,omitempty"`
}

// SIMStatus is what the SIM platform says of the card, as the backend pushed it.
// States: test inventory ready active suspended data_cut pre_cancelled cancelled
// unknown. Reasons: none quota threshold pool arrears expiry manual imei_lock
// real_name region_lock violation lost unknown. Times are RFC 3339.
type SIMStatus struct {
	ICCID      string `json:"iccid,omitempty"`
	State      string `json:"state"`
	Reason     string `json:"reason,omitempty"`
	AsOf       string `json:"as_of,omitempty"`
	Since      string `json:"since,omitempty"`
	ResumeAt   string `json:"resume_at,omitempty"`
	UsedBytes  uint64 `json:"used_bytes,omitempty"`
	UsedAsOf   string `json:"used_as_of,omitempty"`
	ExpiresAt  string `json:"expires_at,omitempty"`
	CycleDay   int    `json:"cycle_day,omitempty"`
	PlanBytes  uint64 `json:"plan_bytes,omitempty"`
	Source     string `json:"source,omitempty"`
	CarrierRaw string `json:"carrier_raw,omitempty"`
}

// Neighbours is what the backend knows of the owner's other machines nearby.
type Neighbours struct {
	SameCarrier     int    `json:"same_carrier"`
	SameCarrierDown int    `json:"same_carrier_down"`
	SamePoolDown    int    `json:"same_pool_down,omitempty"`
	AsOf            string `json:"as_of,omitempty"`
}

// Command is one message down (backend to device). Sig is Ed25519 over the
// canonical bytes (see SigningBytes), base64, where the config demands it.
type Command struct {
	V       int             `json:"v"`
	ID      string          `json:"id"`      // unique; a seen id is refused
	Expires string          `json:"expires"` // RFC 3339; refused after, when the clock is trusted
	Do      string          `json:"do"`      // plan, sim_status, neighbours, diagnose, report, bundle, confirm, time, config, update
	Args    json.RawMessage `json:"args,omitempty"`
	Sig     string          `json:"sig,omitempty"`
}

// Reply answers a Command.
type Reply struct {
	ID     string          `json:"id"`
	OK     bool            `json:"ok"`
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// Settings are what a "config" command may set, by the config file's names.
// Empty ones stay as they are. Durations are written "30m".
type Settings struct {
	ReportEvery string            `json:"uplink.report_every,omitempty"` // 1m to 168h
	ProbeEvery  string            `json:"probes.interval,omitempty"`     // 1m to 168h
	Hold        map[string]string `json:"diag.hold,omitempty"`           // by class, 0s to 24h
	Plan        *Plan             `json:"plan,omitempty"`
}

// ConfigArgs are the args of "config". Reset drops what earlier commands set,
// pushed plans too, before the rest is taken over.
type ConfigArgs struct {
	Settings
	Reset bool `json:"reset,omitempty"`
}

// TimeArgs are the args of "time": what the time is, RFC 3339.
type TimeArgs struct {
	Now string `json:"now"`
}

// BundlePart is the result in each answer to "bundle": joined in order of Part,
// the GZ make one gzip file with a recording in JSON.
type BundlePart struct {
	Part  int    `json:"part"` // from 1
	Parts int    `json:"parts"`
	GZ    []byte `json:"gz"`
}

// Learned tells the backend what a verdict turned out to be.
type Learned struct {
	Carrier   string `json:"carrier,omitempty"`
	Said      string `json:"said"`
	Was       string `json:"was"`
	Confirmed string `json:"confirmed"` // by what: cycle_start, sms_topup, reseated, backend
}
