package protocol

// Inventory says what the device is made of. It is sent when the agent starts
// and whenever a field changed. Identities are in clear, hashed (12 hex digits,
// the same for the same identity and device) or left out, as the device's config
// decides: IDs says which.
type Inventory struct {
	Why      string   `json:"why"`                // start, change
	Changed  []string `json:"changed,omitempty"`  // which fields differ from the one before
	IDs      string   `json:"ids"`                // clear, hashed, none: what iccid, imsi and imei hold
	ICCID    string   `json:"iccid,omitempty"`    // of the card in use, by ids
	IMSI     string   `json:"imsi,omitempty"`     // of the card in use, by ids
	IMEI     string   `json:"imei,omitempty"`     // of the modem, by ids
	Maker    string   `json:"maker,omitempty"`    // the modem's
	Model    string   `json:"model,omitempty"`    // the modem's
	Firmware string   `json:"firmware,omitempty"` // the modem's
	Profile  string   `json:"profile,omitempty"`  // the modem family whose commands are spoken
	Board    string   `json:"board,omitempty"`    // the board, as its device tree or DMI names it
	OS       string   `json:"os,omitempty"`       // linux and its kernel's release
	Arch     string   `json:"arch,omitempty"`     // of the agent's binary: arm64, armv7
	Agent    string   `json:"agent,omitempty"`    // the agent's version
	Config   string   `json:"config,omitempty"`   // hash of the config in force, 8 hex digits; secrets are left out of it
	Plan     string   `json:"plan,omitempty"`     // hash of the plan in force, 8 hex digits; none when no plan is known
	APN      string   `json:"apn,omitempty"`      // in use
	Carrier  string   `json:"carrier,omitempty"`  // home operator of the card, digits: 46000
}

// CardChanged tells that another card is in the slot than the one last used. From
// and To are as iccid of Inventory, so both are empty where IDs is none.
type CardChanged struct {
	IDs     string `json:"ids"`               // clear, hashed, none: what from and to hold
	From    string `json:"from,omitempty"`    // ICCID of the card before
	To      string `json:"to,omitempty"`      // ICCID of the card now
	Known   bool   `json:"known,omitempty"`   // the card now was in this device before
	Carrier string `json:"carrier,omitempty"` // home operator of the card now, digits: 46000
}

// Why an agent is blind.
const (
	BlindPortHeld = "port_held" // another program holds the modem's port
	BlindNoPort   = "no_port"   // the port that the config names is not there
	BlindNeverMet = "never_met" // no modem has answered since the agent was installed
	BlindSilent   = "silent"    // the modem answered before and says nothing now
)

// Blind tells that the agent cannot see the modem, so that what it says of the
// line rests on probes and counters only; and, with Over set, that it sees again.
type Blind struct {
	Incident string `json:"id"`               // pairs the two
	Why      string `json:"why"`              // port_held, no_port, never_met, silent
	Since    Time   `json:"since"`            // since when
	Port     string `json:"port,omitempty"`   // the port, as the config names it
	Holder   string `json:"holder,omitempty"` // the program that holds it, where it can be told
	Over     bool   `json:"over,omitempty"`   // the agent sees again
}

// What became of a recovery step.
const (
	StepHelped  = "helped"  // service came back after it
	StepNoHelp  = "no_help" // carried out, no service
	StepFailed  = "failed"  // could not be carried out
	StepRefused = "refused" // a limit, a payment or a technician forbade it
)

// Recovery tells of one step that the agent took to bring the machine back.
type Recovery struct {
	Incident string `json:"id,omitempty"`        // the alert's
	Class    string `json:"class"`               // the diagnosis class whose ladder is climbed
	Step     string `json:"step"`                // what was done, a code: radio_restart, module_reset, ...
	Rung     int    `json:"rung,omitempty"`      // 1 is the first of the ladder
	Result   string `json:"result"`              // helped, no_help, failed, refused
	Why      string `json:"why,omitempty"`       // a code where it failed or was refused
	TookMS   int64  `json:"took_ms,omitempty"`   // milliseconds from its begin to its result
	Next     string `json:"next,omitempty"`      // the step that comes next, none when nothing more is done
	NextInS  int64  `json:"next_in_s,omitempty"` // seconds until then
}

// Standing is the fault that stands now, in short.
type Standing struct {
	Incident  string `json:"id"`                   // the alert's
	Class     string `json:"class"`                // a diagnosis class
	Verdict   string `json:"verdict"`              // confirmed, likely, undecided
	Since     Time   `json:"since"`                // when it began
	Who       string `json:"who,omitempty"`        // who acts: owner, technician, operator, backend, nobody
	Act       string `json:"act,omitempty"`        // the code of what to do, as in Action
	ResumesAt string `json:"resumes_at,omitempty"` // RFC 3339, only where it comes back by itself
	Unstable  bool   `json:"unstable,omitempty"`   // it comes and goes
}

// Last stands, retained, on a device's topic "l": what it knew when it last could
// say so. Beside a status of up:false these are its last words; for a backend that
// starts later it is the fault that stands. It is sent when the connection is made
// and when something in it changed that a reader would act on (see LastEvery).
type Last struct {
	V         int       `json:"v"`                     // version of the format
	At        Time      `json:"at"`                    // when it was said
	Class     string    `json:"class"`                 // the judgement: a diagnosis class, healthy among them
	Verdict   string    `json:"verdict"`               // healthy, confirmed, likely, undecided
	Fault     *Standing `json:"fault,omitempty"`       // none stands when absent
	Blind     string    `json:"blind,omitempty"`       // why the agent cannot see the modem; absent: it can
	Used      uint64    `json:"used_bytes"`            // of this cycle
	Quota     uint64    `json:"quota_bytes,omitempty"` // of the plan
	OnExhaust string    `json:"on_exhaust,omitempty"`  // stop, overage, throttle
	Pool      bool      `json:"pool,omitempty"`        // the quota is shared
	Expires   string    `json:"expires,omitempty"`     // last paid day
	RSRP      *float64  `json:"rsrp_dbm,omitempty"`    // dBm
	RAT       string    `json:"rat,omitempty"`         // gsm, umts, lte, ltem, nbiot, nr
	PLMN      string    `json:"plmn,omitempty"`        // of the serving network, digits: 46000
	Waiting   int       `json:"waiting,omitempty"`     // messages in the queue
	Agent     string    `json:"agent,omitempty"`       // the agent's version
	Update    string    `json:"update,omitempty"`      // state of an update under way: fetching, installed
}

// MarshalLast writes l as JSON, with the version set.
func MarshalLast(l Last) ([]byte, error) {
	l.V = Version
	out, err := marshal(l)
	if err != nil {
		return nil, err
	}
	return out, checkJSON(out, maxLast)
}

// maxLast bounds last words: ours have 300 to 600 bytes.
const maxLast = 4 << 10

// DecodeLast reads a message from a device's topic of last words.
func DecodeLast(payload []byte) (Last, error) {
	var l Last
	if err := decodePlain("last words", payload, maxLast, &l, func() int { return l.V }); err != nil {
		return Last{}, err
	}
	return l, nil
}
