// Package threegpp turns what a modem says into typed facts, and back into the
// words of the field. It is pure: no clock, no I/O, no goroutine. It knows the
// line formats of 3GPP TS 27.007 and TS 27.005 and, in files named after the
// vendor, the formats that vendors document; it knows nothing of what the
// facts mean for a subscription (package diag does).
//
// Rules that every parser here keeps:
//
//   - Unknown is not false. A field that was not sent is nil or has its
//     Unknown value; it is never a zero that reads like a measurement.
//   - A line that no parser owns becomes an Unparsed fact, with the line kept.
//   - A reject number is never stored without its protocol.
package threegpp

import (
	"fmt"
	"strings"
	"time"
)

// A Fact is one typed thing that a modem said, or failed to say.
type Fact interface {
	// Kind names the fact in logs, recordings and evidence: "registration".
	Kind() string
	// String renders the fact for people. Identities are redacted in it.
	String() string
}

// Protocol says which NAS table a cause number belongs to.
type Protocol string

// The protocols of causes.tsv; a number means nothing without one of these.
const (
	ProtoUnknown Protocol = ""
	EMM          Protocol = "emm"    // TS 24.301 §9.9.3.9
	ESM          Protocol = "esm"    // TS 24.301 §9.9.4.4
	GMM          Protocol = "gmm"    // TS 24.008 §10.5.5.14
	MM           Protocol = "mm"     // TS 24.008 §10.5.3.6
	SM           Protocol = "sm"     // TS 24.008 §10.5.6.6
	FiveGMM      Protocol = "5gmm"   // TS 24.501 §9.11.3.2
	FiveGSM      Protocol = "5gsm"   // TS 24.501 §9.11.4.2
	CME          Protocol = "cme"    // TS 27.007 §9.2
	CMS          Protocol = "cms"    // TS 27.005 §3.2.5, TS 24.011, TS 23.040
	PrivateCause Protocol = "vendor" // cause_type 1: not for any table
)

// SessionProtocol reports whether p numbers session (not mobility) causes.
func (p Protocol) SessionProtocol() bool { return p == ESM || p == SM || p == FiveGSM }

// MobilityProtocol reports whether p numbers mobility (registration) causes.
func (p Protocol) MobilityProtocol() bool { return p == EMM || p == GMM || p == MM || p == FiveGMM }

// RejectCause is a cause number together with its table. The zero value means
// "no cause was given", which is unknown, not none.
type RejectCause struct {
	Protocol Protocol
	Number   int
}

// Known reports whether a cause was given at all.
func (c RejectCause) Known() bool { return c.Protocol != ProtoUnknown }

func (c RejectCause) String() string {
	if !c.Known() {
		return "no cause given"
	}
	return fmt.Sprintf("%s #%d", strings.ToUpper(string(c.Protocol)), c.Number)
}

// Domain is the registration that a +CxREG line speaks of.
type Domain string

// The domains and their commands.
const (
	CS  Domain = "cs"  // +CREG
	PS  Domain = "ps"  // +CGREG
	EPS Domain = "eps" // +CEREG
	NR  Domain = "5gs" // +C5GREG
)

// RegStat is <stat> of TS 27.007 §7.2 and §10.1.20 to §10.1.22, 0..11, or a
// vendor value (Nordic: 90 = UICC failure).
type RegStat int

// Registration states. Values not listed are kept as numbers.
const (
	RegUnknownStat  RegStat = -1
	RegIdle         RegStat = 0 // not registered, not searching
	RegHome         RegStat = 1
	RegSearching    RegStat = 2
	RegDenied       RegStat = 3
	RegUnknown      RegStat = 4 // e.g. out of coverage of this RAT
	RegRoaming      RegStat = 5
	RegSMSHome      RegStat = 6
	RegSMSRoaming   RegStat = 7
	RegEmergency    RegStat = 8
	RegHomeNoCSFB   RegStat = 9
	RegRoamNoCSFB   RegStat = 10
	RegRLOS         RegStat = 11
	RegNordicNoUICC RegStat = 90
)

// Registered reports whether s lets the domain's service be used. 6 and 7 are
// SMS only and do not count for data.
func (s RegStat) Registered() bool {
	return s == RegHome || s == RegRoaming || s == RegHomeNoCSFB || s == RegRoamNoCSFB
}

// Registration is one +CREG, +CGREG, +CEREG or +C5GREG line.
type Registration struct {
	Domain Domain
	Stat   RegStat
	Area   string // LAC or TAC, hex as sent, "" when not sent
	Cell   string // CI, hex as sent, "" when not sent
	AcT    int    // access technology, TS 27.007 §7.3; -1 when not sent
	Cause  RejectCause
	URC    bool // unsolicited, so no <n> led the line
	// PSM timers in seconds; -1 when not sent or deactivated.
	ActiveTimeS, PeriodicTAUS int
}

// SIMState is the state of the card as +CPIN and its errors tell it.
type SIMState string

// Card states.
const (
	SIMReady    SIMState = "ready"
	SIMPIN      SIMState = "pin"
	SIMPUK      SIMState = "puk"
	SIMLock     SIMState = "lock" // PH-*, subsidy or network personalisation
	SIMAbsent   SIMState = "absent"
	SIMRemoved  SIMState = "removed" // a URC saw it go
	SIMNotReady SIMState = "not_ready"
	SIMFailure  SIMState = "failure"
	SIMBusy     SIMState = "busy"
	SIMWrong    SIMState = "wrong"
	SIMRefused  SIMState = "refused" // a bare ERROR: nothing is known but that
	SIMUnknown  SIMState = ""
)

// SIM is one statement about the card.
type SIM struct {
	State SIMState
	Text  string // as the modem worded it: "SIM PIN", "CME 10"
	URC   bool
}

// SIMPresence is what a card-detect pin says (+QSIMSTAT, #QSS, +CSDT). It is
// wrong on boards that leave the pin unwired: weigh it only with +CPIN.
type SIMPresence struct {
	Inserted bool
	Detect   *bool // whether detection is enabled, where the modem tells
	URC      bool
}

// SIMDetect is whether the module watches a card-detect pin (+QSIMDET, +CSDT).
type SIMDetect struct{ Enabled, Set bool }

// SIMSlot is the card slot that the modem uses, counted as its vendor counts.
type SIMSlot struct {
	Slot   int
	Source string // "+QUIMSLOT"
}

// CardValidity is the network's mark on the card, Huawei ^SYSINFOEX sim_state.
type CardValidity struct {
	ValidCS, ValidPS bool
	NoCard           bool
}

// Identity values are secrets: String redacts them.
type (
	// ICCID is the card's number, 19 or 20 digits.
	ICCID struct{ Value string }
	// IMSI is the subscriber's number, up to 15 digits.
	IMSI struct{ Value string }
	// IMEI is the module's number, 15 digits.
	IMEI struct{ Value string }
)

// ModemIdentity comes from +CGMI, +CGMM, +CGMR and ATI; fields not told are "".
type ModemIdentity struct{ Manufacturer, Model, Revision string }

// Signal is one reading of level and quality. Nil: not told or "not known or
// not detectable" (99, 255), which is not the same as no signal.
type Signal struct {
	RAT      string   // "gsm", "umts", "lte", "ltem", "nbiot", "nr", "" when not told
	RSSI     *float64 // dBm, wideband
	RSRP     *float64 // dBm; RSCP for umts
	RSRQ     *float64 // dB; Ec/No for umts
	SINR     *float64 // dB; nil where the family's scale is not dB
	BER      int      // class 0..7, -1 not known
	NotKnown bool     // the modem answered, and said that it does not know
	Port     string   // antenna port where the reading is per port, else ""
	Source   string   // "+CSQ", "+CESQ", "+QENG", ...
}

// CampState says how the modem sits on its serving cell.
type CampState string

// Camping states, from +QENG, +CPSI, ^SYSINFOEX and kin.
const (
	CampUnknown   CampState = ""
	CampSearching CampState = "searching" // no cell
	CampLimited   CampState = "limited"   // on a cell, not allowed to register
	CampIdle      CampState = "idle"      // registered, idle
	CampConnected CampState = "connected"
	CampNoService CampState = "no_service" // vendor says no service: no cell or limited
	CampLowPower  CampState = "low_power"  // radio off
	CampOnline    CampState = "online"     // on a cell, service in some form
)

// ServingCell is the modem's own picture of the cell it sits on.
type ServingCell struct {
	State  CampState
	RAT    string
	PLMN   string // MCC+MNC digits, "" when not told
	TAC    string
	Cell   string
	PCI    int // -1 when not told
	EARFCN int // -1 when not told
	Band   int // -1 when not told
	Source string
}

// ServiceState is a vendor's plain word on service (^MODE, +NO Service, ^SRVST).
type ServiceState struct {
	Service CampState // CampNoService, CampLimited, CampOnline, CampSearching
	Text    string
	RAT     string // as in Signal, "" when not told
}

// RadioLink is +CSCON: whether the radio connection to the cell stands. Up and
// down again without a registration means that the network did not take us.
type RadioLink struct{ Connected bool }

// Operator is +COPS?. Mode: 0 automatic, 1 manual, 2 deregistered, 4 manual
// then automatic. Name and PLMN are "" when no operator is selected.
type Operator struct {
	Mode       int
	Name, PLMN string
	AcT        int // -1 when not told
}

// ScanEntry is one network of +COPS=?. Stat: 0 unknown, 1 available,
// 2 current, 3 forbidden.
type ScanEntry struct {
	Stat              int
	Long, Short, PLMN string
	AcT               int // -1 when not told
}

// Scan is +COPS=?; an empty list is a scan that heard nobody.
type Scan struct{ Networks []ScanEntry }

// Functionality is +CFUN?, or a +CFUN that was set (Set true).
type Functionality struct {
	Level int
	Set   bool
}

// Attach is +CGATT?.
type Attach struct{ Attached bool }

// ContextState is one line of +CGACT? or of a vendor's equivalent (+QIACT?,
// +CNACT?). Addr is "" when not told.
type ContextState struct {
	CID    int
	Active bool
	Addr   string
	// ByAddress: told by its address alone (+CGPADDR), which some firmware keeps
	// showing after the session is lost.
	ByAddress bool `json:",omitempty"`
}

// ContextConfig is one line of +CGDCONT? or of +QICSGP. The password is never kept.
type ContextConfig struct {
	CID       int
	Type, APN string
	Set       bool   // it was set by a command, not read
	AuthHash  string // a short hash of user and password where both were shown; "" otherwise
	AuthPart  string `json:",omitempty"` // "user" or "password" where the hash is of one alone
}

// ContextEvent is +CGEV (TS 27.007 §10.1.19) or a vendor's equivalent
// (+QIURC: "pdpdeact", +PDP: DEACT, +PPPD: DISCONNECTED).
type ContextEvent struct {
	By    string // "NW", "ME" or ""
	Event string // "DETACH", "PDN ACT", "PDN DEACT", "DEACT", "ACT", "MODIFY", "REACT", "REJECT", "CLASS", "RESTR", ...
	CID   int    // -1 when not told
	Text  string
}

// Reject is a cause that the network gave for refusing, from wherever it was
// read: a +CxREG cause field is in Registration instead.
type Reject struct {
	Cause     RejectCause
	Procedure string // "attach", "session", "detach", "" when not told
	Text      string // the modem's own words, "" when only a number
	Source    string // "+CEER", "+CNEC_EMM", "^REJINFO", "+CME ERROR", "#CEERNET"
	PLMN      string // who refused, where told
}

// ExtendedError is +CEER. Neutral is true for texts that report nothing.
type ExtendedError struct {
	Text    string
	Neutral bool
}

// Refusal is a command that the modem answered with an error. A refusal is
// data: what it means depends on the command.
type Refusal struct {
	Command string // as sent, without secrets: "+CGACT=1,1"
	Final   string // "ERROR", "CME", "CMS", "NO CARRIER", ...
	Code    int    // -1 when verbose and not in the table, or when none was given
	Text    string
}

// Silence is a command that got no final answer in its time.
type Silence struct{ Command string }

// Done is a command that was answered with a success final. It is how a modem
// proves that it lives, and how a set command is seen to have worked.
type Done struct{ Command string }

// Restarted is a boot banner (RDY, APP RDY, ^SYSSTART, +PBREADY...). Crash: it
// names a failure of the firmware as the reason.
type Restarted struct {
	Text  string
	Crash bool `json:",omitempty"`
}

// PoweredOff says that the module was switched off in order, by command or key.
type PoweredOff struct{}

// PowerSaving is whether the module was told to ask the network for power saving
// (+CPSMS, TS 27.007 §7.38). What was granted stands in Registration.
type PowerSaving struct{ Asked bool }

// SMS is a received message. From and Text are needed by the diagnosis; String
// shows neither number nor text.
type SMS struct {
	From string
	At   time.Time // service-centre time, zero when not told
	Text string
	// Concatenation: reference, number of parts, this part; zero when single.
	Ref, Parts, Part int
	Index            int // storage index, -1 when routed
}

// SMSStored is +CMTI, or a used/total reading of +CPMS.
type SMSStored struct {
	Storage     string
	Index       int // -1 for a +CPMS reading
	Used, Total int // -1 when not told
}

// USSD is +CUSD; M as TS 27.007 §7.15.
type USSD struct {
	M    int
	Text string
}

// RadioLock is a lock that keeps the modem from parts of the air: a cell,
// band, RAT or operator lock, read back or set.
type RadioLock struct {
	Lock   string // "cell", "band", "rat", "plmn"
	Locked bool
	Detail string
	PLMN   string `json:",omitempty"` // of an operator lock, where it was named by number
	Set    bool
}

// PowerState is temperature in °C and supply in mV; nil when not told. Alarm is
// a vendor's warning word ("overheated", "undervoltage", "battery low").
type PowerState struct {
	TemperatureC *float64
	SupplyMV     *float64
	Alarm        string
}

// NetworkTime is +CCLK?, +CTZE or NITZ. It may be a module's default date.
type NetworkTime struct {
	Time time.Time
	NITZ bool // from the network, not from the module's own clock
}

// ByteCounters are the module's own data counters since its last reset.
type ByteCounters struct{ TxBytes, RxBytes uint64 }

// ModemProbe is a reachability test that the module's own IP stack ran
// (+QPING, +CPING, +CDNSGIP, sockets).
type ModemProbe struct {
	Probe  string // "ping", "dns", "tcp", "udp", "http", "tls", "mqtt"
	Target string // host or address as asked
	OK     bool
	Result string // "ok", "timeout", "refused", "dns_error", "tls_error", "error"
	Detail string
}

// Backoff is a timer that the network imposed, in seconds (T3396, T3346, +QNWCFG "backoff").
type Backoff struct {
	Seconds int
	Source  string // "+QNWCFG", or "%MDMEV" where the modem itself imposed it
}

// SubscriptionPCO is what operator-specific PCO says of the line, for the
// operators whose codes are known: "provisioned", "out_of_data", "unprovisioned".
type SubscriptionPCO struct{ State, Raw string }

// Unparsed is a line that no parser owns. It is kept and counted, never guessed.
type Unparsed struct {
	Line    string
	Command string // in answer to what, "" for unsolicited
}
