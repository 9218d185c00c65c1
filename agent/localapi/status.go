package localapi

import (
	"cellwarden/agent/diag"
	"cellwarden/protocol"
)

// Status is the one picture of the device that the CLI, the page and the JSON
// render. Times are RFC 3339 strings; identities are redacted ("8986…3456").
type Status struct {
	V         int            `json:"v"` // 1
	Device    string         `json:"device"`
	Name      string         `json:"name,omitempty"` // for people
	Version   string         `json:"version"`
	Board     string         `json:"board,omitempty"` // its name among the targets
	At        protocol.Time  `json:"at"`
	UptimeS   int64          `json:"uptime_s"`
	Diagnosis diag.Diagnosis `json:"diagnosis"`
	Since     protocol.Time  `json:"since"`             // since when the present verdict stands
	Standing  []Finding      `json:"standing"`          // alerts raised and not cleared
	Pending   *Finding       `json:"pending,omitempty"` // judged, not held long enough to be raised
	LastFault *Finding       `json:"last_fault,omitempty"`
	Modem     ModemStatus    `json:"modem"`
	SIM       SIMStatus      `json:"sim"`
	Radio     RadioStatus    `json:"radio"`
	Network   NetworkStatus  `json:"network"`
	Probes    []Probe        `json:"probes"`
	Usage     *Usage         `json:"usage,omitempty"` // nil: no data interface and no plan
	Outbox    Outbox         `json:"outbox"`
	Recovery  *Recovery      `json:"recovery,omitempty"`
	Update    *Update        `json:"update,omitempty"`  // nil: no updates over the air
	Machine   *Machine       `json:"machine,omitempty"` // nil: nothing of the machine is read
	Uplink    Uplink         `json:"uplink"`
	Whitelist bool           `json:"whitelist,omitempty"` // taken for a card that reaches listed hosts only (定向)
	Troubles  []Trouble      `json:"troubles"`            // the agent's own: full disk, unreadable config reload, held port
}

// Finding is one fault, standing or past.
type Finding struct {
	Class    diag.Code     `json:"class"`
	Verdict  diag.Verdict  `json:"verdict"`
	Since    protocol.Time `json:"since"`
	LastedS  int64         `json:"lasted_s,omitempty"`
	EndedBy  string        `json:"ended_by,omitempty"`
	RaiseInS int64         `json:"raise_in_s,omitempty"` // pending only
}

// ModemStatus is the module and its port.
type ModemStatus struct {
	Port         string `json:"port"`
	State        string `json:"state"` // ok, silent, lost, held, absent
	HeldBy       string `json:"held_by,omitempty"`
	Profile      string `json:"profile"`
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	Revision     string `json:"revision,omitempty"`
	IMEI         string `json:"imei,omitempty"` // redacted
	Reopens      int    `json:"reopens"`
	Unparsed     uint64 `json:"unparsed"`      // lines no parser knew
	LastAnswerS  int64  `json:"last_answer_s"` // seconds ago, -1 never
}

// SIMStatus is the card and what the platform said of it.
type SIMStatus struct {
	State    string              `json:"state"`           // threegpp.SIMState
	ICCID    string              `json:"iccid,omitempty"` // redacted
	Operator string              `json:"operator,omitempty"`
	Platform *protocol.SIMStatus `json:"platform,omitempty"`
}

// RadioStatus is level and cell. Nil means not known.
type RadioStatus struct {
	RAT   string   `json:"rat,omitempty"`
	RSSI  *float64 `json:"rssi_dbm,omitempty"`
	RSRP  *float64 `json:"rsrp_dbm,omitempty"`
	RSRQ  *float64 `json:"rsrq_db,omitempty"`
	SINR  *float64 `json:"sinr_db,omitempty"`
	Grade string   `json:"grade"` // excellent good fair weak very_weak unusable unknown
	Camp  string   `json:"camp,omitempty"`
	Cell  string   `json:"cell,omitempty"`
	Band  int      `json:"band,omitempty"`
}

// NetworkStatus is registration and session.
type NetworkStatus struct {
	Registration string `json:"registration"`    // home roaming searching denied idle unknown emergency
	Cause        string `json:"cause,omitempty"` // "EMM #7 EPS services not allowed"
	PLMN         string `json:"plmn,omitempty"`
	APN          string `json:"apn,omitempty"`
	LastGoodAPN  string `json:"last_good_apn,omitempty"` // set only where it differs from APN
	Attached     *bool  `json:"attached,omitempty"`
	Session      string `json:"session"` // active inactive unknown
	Interface    string `json:"interface,omitempty"`
}

// Probe is the last result for one probe and target.
type Probe struct {
	Probe  string `json:"probe"`
	Target string `json:"target"`
	Host   string `json:"host,omitempty"`
	Result string `json:"result"`
	Millis int64  `json:"ms,omitempty"`
	AgoS   int64  `json:"ago_s"`
}

// Usage is this cycle against the plan.
type Usage struct {
	UsedBytes   uint64             `json:"used_bytes"` // in the operator's count, as far as known
	TodayBytes  uint64             `json:"today_bytes"`
	OwnBytes    uint64             `json:"own_bytes"`
	QuotaBytes  uint64             `json:"quota_bytes,omitempty"`
	Percent     float64            `json:"percent,omitempty"`
	CycleStart  string             `json:"cycle_start,omitempty"`
	CycleEnd    string             `json:"cycle_end,omitempty"`
	ExhaustedOn string             `json:"exhausted_on,omitempty"`
	PlusMinusD  float64            `json:"plus_minus_days,omitempty"`
	OnExhaust   string             `json:"on_exhaust,omitempty"`
	Pool        bool               `json:"pool,omitempty"`
	Expires     string             `json:"expires,omitempty"`
	Warnings    []protocol.Warning `json:"warnings"`

	RawBytes     uint64  `json:"raw_bytes"`               // as the interface counts, both directions
	RxBytes      uint64  `json:"rx_bytes"`                // of RawBytes, received
	TxBytes      uint64  `json:"tx_bytes"`                // of RawBytes, sent
	ErrorPercent float64 `json:"error_percent,omitempty"` // how far UsedBytes may be off
	Reconciled   bool    `json:"reconciled,omitempty"`    // the operator's own figure is in it

	UndatedBytes uint64 `json:"undated_bytes,omitempty"` // of RawBytes, counted while no clock was trusted

	CycleEndBytes  uint64 `json:"cycle_end_bytes,omitempty"` // foretold for the cycle's end
	PlusMinusBytes uint64 `json:"plus_minus_bytes,omitempty"`
}

// Outbox is what waits to be sent.
type Outbox struct {
	Waiting   int    `json:"waiting"`
	Bytes     int64  `json:"bytes"`
	CapBytes  int64  `json:"cap_bytes"`
	OldestS   int64  `json:"oldest_s,omitempty"`
	Dropped   uint64 `json:"dropped,omitempty"`
	LastError string `json:"last_error,omitempty"`
}

// Uplink is the broker connection.
type Uplink struct {
	State      string `json:"state"` // connected connecting down off
	Broker     string `json:"broker,omitempty"`
	LastError  string `json:"last_error,omitempty"`
	SentToday  uint64 `json:"sent_today"` // messages
	BytesToday uint64 `json:"bytes_today"`
	RetryInS   int64  `json:"retry_in_s,omitempty"`
}

// Trouble is something wrong with the agent itself. Key is in agent/text.
type Trouble struct {
	Key   string        `json:"key"`
	Args  []string      `json:"args,omitempty"`
	Since protocol.Time `json:"since"`
}
