package core

import (
	"encoding/json"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/goodset"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/remedy"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// An Event is something that happened, stamped where it was seen.
type Event interface{ when() instant.Instant }

// At stamps an event.
type At struct{ Instant instant.Instant }

func (a At) when() instant.Instant { return a.Instant }

type (
	// Started is the first event.
	Started struct{ At }
	// Tick says only that time has passed.
	Tick struct{ At }
	// Observed is one fact from the modem. Unsolicited ones are judged at once,
	// replies when their round is done.
	Observed struct {
		At
		Source      string
		Fact        any
		Unsolicited bool
	}
	// RoundDone ends the round that an Ask began.
	RoundDone struct{ At }
	// PortState is the AT port: ok, silent, garbage, lost, held, absent. Profile
	// is the family that an open modem belongs to.
	PortState struct {
		At
		State, Detail string
		Profile       string
		Reopened      bool
	}
	// ProbeDone is one reachability result.
	ProbeDone struct {
		At
		Result diag.ProbeResult
		Cost   int // bytes spent
	}
	// Links is one look at the data interfaces.
	Links struct {
		At
		Readings []meter.Reading
		Data     diag.Interface // the one that carries data now
	}
	// LinkGone is the kernel's last word on an interface that was deleted; a zero
	// Reading says that such words were lost.
	LinkGone struct {
		At
		Reading meter.Reading
	}
	// LinkChanged is the uplink's state.
	LinkChanged struct {
		At
		Link Link
	}
	// Delivered says that the broker acknowledged messages.
	Delivered struct {
		At
		Count int
		Bytes uint64
	}
	// Received is one raw command from the broker. Retained: the broker had kept it.
	Received struct {
		At
		Raw      []byte
		Retained bool
	}
	// Handed is an event of the machine's own. Happened is set where the machine
	// says when.
	Handed struct {
		At
		Token    string
		Event    protocol.MachineEvent
		Durable  bool
		Happened time.Time
	}
	// DiagnoseNow asks for a fresh judgement; the answer carries the token.
	DiagnoseNow struct {
		At
		Token string
	}
	// Confirmed tells what a fault really was.
	Confirmed struct {
		At
		Class diag.Code
		By    string
	}
	// Spent is traffic that the agent itself caused, in bytes.
	Spent struct {
		At
		Bytes uint64
	}
	// RemedyBegun says that a step begins now: what the modem then says is our doing.
	RemedyBegun struct {
		At
		Step remedy.Step
	}
	// RemedyDone says how a step ended. Whether it helped is judged anew.
	RemedyDone struct {
		At
		Step   remedy.Step
		Result remedy.Result
		Detail string // of a step that failed, for the log
	}
	// HoldOff keeps recovery off while money moves, for so long; 0 lets it go on.
	HoldOff struct {
		At
		For time.Duration
	}
	// Repair begins or ends repair mode.
	Repair struct {
		At
		On bool
	}
	// SettingsRead are settings as somebody read them: the dialer's files (hashed), what
	// the machine's software registered (payment parameters).
	SettingsRead struct {
		At
		Read map[string]goodset.Setting
	}
	// RestoreSettings puts the good set ID back, as far as the agent can.
	RestoreSettings struct {
		At
		ID    int
		Token string
	}
	// Aim has the level read every second for so long: somebody turns the antenna.
	Aim struct {
		At
		For time.Duration
	}
	// Did is a technician's word that something was done: card_reseated, bill_paid, …
	Did struct {
		At
		What string
	}
	// Stock is what the shell has counted when a report is made: how many messages
	// wait in the outbox, and protocol.State.Counts.
	Stock struct {
		At
		Waiting int
		Counts  map[string]int
	}
	// MessagesDeleted says how many parts of messages went from the modem's store.
	MessagesDeleted struct {
		At
		Parts int
	}
	// AboutToSell says that somebody stands at the machine and has chosen: the path is
	// needed in a moment.
	AboutToSell struct{ At }
	// MachineHabit says what an hour without service costs now, by the machine's own
	// habit; nil: not known.
	MachineHabit struct {
		At
		Lost *protocol.Lost
	}
	// Stopping is the last event.
	Stopping struct{ At }
)

// Link is the uplink's state.
type Link struct {
	State  string // connected, connecting, down, off
	Broker string
	Reason string // why it is down
	Result string // as a probe's result: timeout, refused, bad_cert, cert_not_yet_valid, nxdomain; "" when up
	// OverData: the broker is reached over the data interface, so that the
	// connection's fate is evidence of the line.
	OverData bool
}

// An Effect is something to do.
type Effect interface{ effect() }

// Priority of a message in the outbox.
type Priority int

// Priorities, lowest first.
const (
	Metric Priority = iota
	State
	EventPriority
	Alert
)

// Log levels.
const (
	LevelDebug = -4
	LevelInfo  = 0
	LevelWarn  = 4
	LevelError = 8
)

type (
	// Ask asks the modem; each fact comes back as Observed, then one RoundDone.
	Ask struct{ Queries []string }
	// RunProbe runs one test; the answer is ProbeDone.
	RunProbe struct{ Spec ProbeSpec }
	// LookAtLinks reads the data interfaces' counters; the answer is Links.
	LookAtLinks struct{}
	// TakeStock asks for the shell's counts; the answer is Stock.
	TakeStock struct{}
	// Store puts a message into the outbox. Now: commit at once. Token: tell the
	// local requester when it is durable.
	Store struct {
		Type     protocol.Type
		Priority Priority
		Body     json.RawMessage
		At       instant.Instant
		Now      bool
		Token    string
	}
	// Persist keeps a snapshot under a name: "core" and "meter" on the flash,
	// "meter.now" in memory, for a kill that is no power cut.
	Persist struct {
		Name string
		Data []byte
	}
	// Block stops the machine's own traffic over the data interfaces, or lets it
	// pass again.
	Block struct{ On bool }
	// Answer ends a DiagnoseNow.
	Answer struct {
		Token     string
		Diagnosis diag.Diagnosis
	}
	// Remedy takes one step to bring the modem back; the answers are RemedyBegun, where
	// it begins at all, and RemedyDone. Port is the state of the AT port that it is for.
	Remedy struct {
		Step remedy.Step
		Port string
		Why  string
		// APN is what last_good_apn writes. CID and PDPType name the context, "" lets the
		// worker find the one that carries the data.
		APN, CID, PDPType string
		To, Text          string // of send_sms
	}
	// Restored answers a RestoreSettings: what is being written, what only its owner can
	// write, and why nothing is.
	Restored struct {
		Token        string
		Wrote, Leave []string
		Error        string
	}
	// DeleteMessages makes room in the modem's message store.
	DeleteMessages struct{ Messages []threegpp.SMS }
	// SendBundle answers the command ID with the flight recorder's content.
	SendBundle struct{ ID string }
	// HearTime hands on what the backend says the time is, just now.
	HearTime struct{ Wall time.Time }
	// StartUpdate hands an update command on; whoever carries it out answers it.
	StartUpdate struct {
		ID   string
		Args protocol.UpdateArgs
	}
	// ReadMachine reads the machine's audit for a command; whoever carries it out
	// answers the command.
	ReadMachine struct{ ID string }
	// Log writes one line; Attrs are key, value pairs.
	Log struct {
		Level int
		Msg   string
		Attrs []any
	}
)

func (Ask) effect()            {}
func (RunProbe) effect()       {}
func (LookAtLinks) effect()    {}
func (TakeStock) effect()      {}
func (Store) effect()          {}
func (Persist) effect()        {}
func (Block) effect()          {}
func (Answer) effect()         {}
func (Remedy) effect()         {}
func (DeleteMessages) effect() {}
func (SendBundle) effect()     {}
func (HearTime) effect()       {}
func (StartUpdate) effect()    {}
func (ReadMachine) effect()    {}
func (Restored) effect()       {}
func (Log) effect()            {}
