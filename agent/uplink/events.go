package uplink

import (
	"time"

	"cellwarden/agent/instant"
)

// Event is something that the owner may want to know: one of the types below.
type Event interface{ event() }

// Connecting opens an attempt.
type Connecting struct{ Broker string }

// Connected says that the broker took us.
type Connected struct {
	Broker    string
	Addr      string // ip:port
	TLS       bool
	Resumed   bool // the TLS session of an earlier connection was used
	KeepAlive time.Duration
	Took      time.Duration // from dialling to CONNACK
}

// WeakBind says that the way out is bound more weakly than asked, or, with an empty
// Note, that it no longer is.
type WeakBind struct{ Note string }

// Refused says that somebody must change something: the broker or our own
// checks said no. The next attempt comes late.
type Refused struct {
	Broker string
	Why    Why
	Code   byte   // of the CONNACK, 0 when it was not the broker
	Hint   string // the cure, in English
	Err    error
}

// Unreachable says that an attempt failed on the way.
type Unreachable struct {
	Broker string
	Why    Why
	Hint   string // the cure where somebody on the site has it, else ""
	Err    error
}

// Disconnected ends what Connected began.
type Disconnected struct {
	Broker string
	Why    Why
	Err    error // nil when we stopped
	Lasted time.Duration
}

// Waiting says that nothing is tried for a while.
type Waiting struct {
	For time.Duration
	Why WaitWhy
}

// Delivered says that the broker acknowledged these messages.
type Delivered struct {
	Seqs  []uint64
	Bytes int // payload as sent, packed or not
}

// Unsendable says that a message has no topic, was given up and acknowledged to
// the Source: a fault of this program.
type Unsendable struct {
	Seq uint64
	Err error
}

// Commanded is a message from the command topic, as it came. Nothing in it was
// judged.
type Commanded struct {
	Raw      []byte
	At       instant.Instant
	Retained bool // the broker had kept it; it may come again at the next connect
}

// CommandDropped counts messages that were thrown away unread.
type CommandDropped struct{ Count int }

// MessageTooLong says that a message from the command topic was read past. It may come
// again at each connect, when the broker has it retained, and is said once.
type MessageTooLong struct{ Bytes, Limit int }

// DayUsedUp says that brokers have published to us what a day may bring: the command
// topic is left alone until a day after the first of it.
type DayUsedUp struct{ Bytes int }

// Unsubscribed says that the broker refused the command topic: messages go up,
// but no command will come.
type Unsubscribed struct{ Topic string }

// CertExpiring says that our own certificate ends in a month or less, or ended
// (DaysLeft below 0). It is repeated daily.
type CertExpiring struct {
	NotAfter time.Time
	DaysLeft int
}

// CertRenewed takes CertExpiring back: the files hold a certificate that is good
// for longer.
type CertRenewed struct{ NotAfter time.Time }

// NotBefore says that it is this time or later: the date from which a verified
// broker's certificate is good. It comes only while the clock is not trusted. It
// is a bound and no time: TLS 1.3 carries none. Until is the certificate's end, and
// bounds what a time server may claim.
type NotBefore struct{ Time, Until time.Time }

// Traffic is what went over the network since the last Traffic: TCP payload
// (TLS and MQTT included), and with the headers of IP and TCP, see wire; or what
// a lookup of the broker's name is taken to cost.
type Traffic struct {
	SentBytes, ReceivedBytes uint64
	WireBytes                uint64 // both ways, headers and repetitions included
}

// StateChanged carries what the owner should keep for the next run: over a restart of
// the agent, and where it is Durable over a power cut too.
type StateChanged struct {
	State   State
	Durable bool
}

func (Connecting) event()     {}
func (WeakBind) event()       {}
func (Connected) event()      {}
func (Refused) event()        {}
func (Unreachable) event()    {}
func (Disconnected) event()   {}
func (Waiting) event()        {}
func (Delivered) event()      {}
func (Unsendable) event()     {}
func (Commanded) event()      {}
func (CommandDropped) event() {}
func (MessageTooLong) event() {}
func (DayUsedUp) event()      {}
func (Unsubscribed) event()   {}
func (CertExpiring) event()   {}
func (CertRenewed) event()    {}
func (NotBefore) event()      {}
func (Traffic) event()        {}
func (StateChanged) event()   {}

// Why names a reason, stable, for logs and for words in two languages.
type Why string

// The reasons. The first group is met while connecting, the second ends a
// connection.
const (
	WhyDNS             Why = "dns"                // the name was not resolved
	WhyConnect         Why = "connect"            // no TCP connection
	WhyTimeout         Why = "timeout"            // no answer in time
	WhyBind            Why = "bind"               // the network interface could not be used
	WhyNotTLS          Why = "not_tls"            // the other side speaks no TLS
	WhyTLS             Why = "tls"                // the handshake failed for another reason
	WhyCertNotYetValid Why = "cert_not_yet_valid" // by our clock the broker's certificate begins later: mostly our clock
	WhyCertExpired     Why = "cert_expired"       // by our clock the broker's certificate has ended
	WhyBadCert         Why = "bad_cert"           // unknown authority, wrong name, wrong pin
	WhyOwnCert         Why = "own_cert"           // the broker refuses our certificate, or it cannot be read
	WhyOwnSecret       Why = "own_secret"         // our own password cannot be read
	WhyProtocol        Why = "protocol"           // CONNACK 1
	WhyClientID        Why = "client_id"          // CONNACK 2
	WhyUnavailable     Why = "unavailable"        // CONNACK 3
	WhyCredentials     Why = "credentials"        // CONNACK 4
	WhyNotAuthorised   Why = "not_authorised"     // CONNACK 5
	WhyClosed          Why = "closed"             // the other side closed the connection
	WhyBadPacket       Why = "bad_packet"         // the broker sent what MQTT forbids, or too much at once

	WhyStopped    Why = "stopped"      // we were told to
	WhyNetwork    Why = "network"      // the connection broke
	WhyAckTimeout Why = "ack_timeout"  // silence while a PUBACK was awaited
	WhyPing       Why = "ping_timeout" // silence after a ping
	WhyMoved      Why = "moved"        // the way to the broker is another one now: a cable, or a new address
	WhyFlood      Why = "flood"        // the broker sent more than the plan can bear
)

// WaitWhy names why nothing is tried.
type WaitWhy string

// The reasons to wait.
const (
	WaitSpread  WaitWhy = "spread"  // not all machines at once
	WaitBackoff WaitWhy = "backoff" // after a failure
	WaitRefused WaitWhy = "refused" // after a refusal
	WaitBudget  WaitWhy = "budget"  // the allowance of attempts is used up
)
