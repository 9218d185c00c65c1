package ddcmp

import (
	"bytes"
	"time"
)

// Waits and budgets (EVA-DTS 6.2 §3.4), with what USB bridges and slow lines need.
const (
	turnround  = 45 * time.Millisecond  // at least 40 ms after what came
	stackIn    = 400 * time.Millisecond // 250 ms, and 33 ms for the frame at 2400 baud
	ackIn      = 400 * time.Millisecond // 170 ms, and the frame
	charGap    = 150 * time.Millisecond // 65 ms; USB bridges deliver in lumps
	linkWait   = 6 * time.Second        // the link: 5 s
	readWait   = 16 * time.Second       // the same around READ: 15 s
	sessionMax = 8 * time.Minute        // 64 KB at 2400 baud take five

	maxStarts = 10
	maxTries  = 5 // of one message
	maxAudit  = 64 << 10
)

// Reason says how a session ended.
type Reason string

// The reasons. They are those of package dex where they mean the same.
const (
	Done        Reason = "done"
	NoAnswer    Reason = "no_answer"
	Lost        Reason = "lost"
	Damaged     Reason = "damaged"
	Refused     Reason = "refused" // the machine rejected us, by a security code perhaps
	TooLarge    Reason = "too_large"
	NotKept     Reason = "not_kept"
	Overtime    Reason = "overtime"
	Disappeared Reason = "disappeared"
)

// Effect is something to do: exactly one field is set.
type Effect struct {
	Send  []byte // write these bytes, made by one of the Outs
	Store []byte // keep this audit on the flash, then call Stored
	End   *End
}

// End is how it ended.
type End struct {
	Reason Reason
	Peer   string // the serial number that the machine says
	Audit  []byte // with Done
	Bad    int    // messages that came damaged
}

type state uint8

const (
	starting state = iota
	who            // WHO ARE YOU sent
	reading        // READ sent
	receiving
	keeping
	finishing
	over
)

// Session is one poll of a machine. It is not safe for concurrent use.
type Session struct {
	codes Codes
	wall  time.Time
	st    state
	scan  scanner

	now, began, until, sendAt, heardAt time.Duration
	queue                              [][]byte
	last                               message // ours that awaits its ACK
	acked                              bool
	rr, xx                             byte
	tries, starts, bad                 int
	nacked                             bool // one NACK a bad sequence
	block                              byte
	peer                               string
	audit                              []byte
	out                                []Effect
}

// New begins a poll. now is any clock that only grows, wall what the time is for the
// machine's own book of readers.
func New(codes Codes, wall time.Time, now time.Duration) *Session {
	return &Session{codes: codes, wall: wall, now: now, began: now, until: now}
}

// Deadline is when Tick must be called next, if nothing comes before.
func (s *Session) Deadline() time.Duration {
	d := min(s.until, s.began+sessionMax)
	if len(s.queue) > 0 {
		d = min(d, s.sendAt)
	}
	if s.scan.partial() {
		d = min(d, s.heardAt+charGap)
	}
	return d
}

// Over reports whether the session has ended.
func (s *Session) Over() bool { return s.st == over }

// Bytes takes what the port has read.
func (s *Session) Bytes(now time.Duration, got []byte) []Effect {
	s.begin(now)
	if s.scan.partial() && now-s.heardAt > charGap {
		s.scan.reset()
	}
	s.heardAt = now
	if s.st != keeping {
		s.until = max(s.until, now+ackIn) // who is talking is waited for
	}
	for _, b := range got {
		if s.st == over {
			break
		}
		if t, ok := s.scan.feed(b); ok {
			s.token(t)
		}
	}
	return s.flush()
}

// Tick takes the passing of time.
func (s *Session) Tick(now time.Duration) []Effect {
	s.begin(now)
	if s.scan.partial() && now-s.heardAt >= charGap {
		s.scan.reset()
		s.damaged(badData)
	}
	if s.st != over && now-s.began >= sessionMax {
		s.end(Overtime)
	}
	if s.st != over && now >= s.until {
		s.silence()
	}
	return s.flush()
}

// Stored tells that the audit is on the flash, or that it could not be put there.
func (s *Session) Stored(now time.Duration, ok bool) []Effect {
	s.begin(now)
	if s.st == keeping {
		if !ok {
			s.end(NotKept)
		} else {
			s.say(SendFinish, finishing)
		}
	}
	return s.flush()
}

// Gone tells that the port is.
func (s *Session) Gone(now time.Duration) []Effect {
	s.begin(now)
	if s.st != over {
		s.end(Disappeared)
	}
	return s.flush()
}

func (s *Session) begin(now time.Duration) { s.now, s.out = max(now, s.now), nil }

func (s *Session) flush() []Effect {
	for len(s.queue) > 0 && s.now >= s.sendAt && s.st != over {
		s.out = append(s.out, Effect{Send: s.queue[0]})
		s.sendAt = s.now + airtime(s.queue[0]) + turnround
		s.queue = s.queue[1:]
	}
	return s.out
}

// put queues bytes. They may follow one another: an ACK and then our next message.
func (s *Session) put(b []byte, wait time.Duration) {
	if len(s.queue) == 0 {
		s.sendAt = max(s.sendAt, s.now+turnround)
	}
	s.until = s.sendAt + airtime(b) + wait
	for _, q := range s.queue {
		s.until += airtime(q) + turnround
	}
	s.queue = append(s.queue, b)
}

// airtime is how long b is on the line: ten bits a byte.
func airtime(b []byte) time.Duration { return time.Duration(len(b)) * 10 * time.Second / Baud }

// say sends a message of ours that wants an ACK, and enters the state of its answer.
func (s *Session) say(o Out, st state) {
	s.xx++
	s.last = message{out: o, rr: s.rr, xx: s.xx, codes: s.codes, at: s.wall}
	s.acked, s.tries, s.st = false, 0, st
	s.put(s.last.bytes(), ackIn)
}

// end is the end. Once the audit is kept nothing can spoil it.
func (s *Session) end(r Reason) {
	if s.st == finishing {
		r = Done
	}
	e := &End{Reason: r, Peer: s.peer, Bad: s.bad}
	if r == Done {
		e.Audit = s.audit
	}
	s.queue, s.st = nil, over
	s.out = append(s.out, Effect{End: e})
}

func (s *Session) token(t token) {
	switch t.kind {
	case gotStack:
		if s.st == starting && s.starts > 0 {
			s.say(SendWho, who)
		}
	case gotACK:
		s.gotRR(t.rr)
	case gotNACK:
		if t.rr == s.xx && !s.acked { // it says that it has it, in the form of a complaint
			s.gotRR(t.rr)
			return
		}
		s.again()
	case gotData:
		s.gotRR(t.rr) // data may carry the ACK
		s.data(t)
	case gotBad:
		s.damaged(t.reason)
	}
}

// gotRR: the machine has our message number rr.
func (s *Session) gotRR(rr byte) {
	if s.st == starting || rr != s.xx || s.acked {
		return
	}
	s.acked = true
	s.tries = 0
	switch s.st {
	case who:
		s.until = s.now + linkWait
	case reading:
		s.until = s.now + readWait
	case finishing:
		s.end(Done)
	}
}

// damaged complains once about what came, and is silent until something whole comes.
func (s *Session) damaged(reason byte) {
	s.bad++
	if s.st == starting || s.st == keeping || s.st == over {
		return
	}
	if s.bad > maxTries*maxTries {
		s.end(Damaged)
		return
	}
	if !s.nacked {
		s.nacked = true
		s.put(message{out: SendNACK, reason: reason, rr: s.rr}.bytes(), linkWait)
	}
}

// again sends what awaits its ACK once more.
func (s *Session) again() {
	if s.st == starting || s.st == keeping || s.acked {
		return
	}
	if s.tries++; s.tries >= maxTries {
		s.end(Lost)
		return
	}
	s.last.rr = s.rr
	s.put(s.last.bytes(), ackIn)
}

// ack answers data.
func (s *Session) ack(wait time.Duration) { s.put(message{out: SendACK, rr: s.rr}.bytes(), wait) }

// data takes a data message in order; one that came before is only acknowledged.
func (s *Session) data(t token) {
	s.nacked = false
	switch s.st {
	case who, reading, receiving:
	case keeping, finishing:
		s.ack(linkWait)
		return
	default:
		return
	}
	if t.xx != s.rr+1 {
		if t.xx == s.rr {
			s.ack(linkWait) // our ACK was lost
		}
		return
	}
	if !s.acked {
		return // data before it has our request: of a session before
	}
	s.rr = t.xx
	switch d := t.data; {
	case s.st == who && bytes.HasPrefix(d, []byte{0x88, 0xE0}):
		s.ack(linkWait)
		if len(d) < 3 || d[2] != 1 {
			s.end(Refused)
			return
		}
		if len(d) >= 15 {
			s.peer = serial(d[7:15])
		}
		s.say(SendRead, reading)
	case s.st == reading && bytes.HasPrefix(d, []byte{0x88, 0xE2}):
		s.ack(readWait)
		if len(d) < 3 || d[2] != 1 {
			s.end(Refused)
			return
		}
		s.st = receiving
	case s.st == receiving && len(d) >= 2 && d[0] == 0x99:
		s.take(t)
	default:
		s.ack(linkWait)
	}
}

// serial is the serial number without its padding.
func serial(b []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, b))
}

// take takes a block of the audit. Old units do not set the bit of the last one: the
// end of an audit is known by its own last line too.
func (s *Session) take(t token) {
	if t.data[1] != s.block {
		s.end(Damaged) // a block is missing although all came in order
		return
	}
	s.block++
	s.tries = 0
	text := t.data[2:]
	if len(s.audit)+len(text) > maxAudit {
		s.end(TooLarge)
		return
	}
	s.audit = append(s.audit, text...)
	s.ack(linkWait)
	if t.last || ended(s.audit) {
		s.st = keeping
		s.until = s.now + readWait
		s.out = append(s.out, Effect{Store: s.audit})
	}
}

// ended: the text ends with a whole DXE line.
func ended(text []byte) bool {
	if !bytes.HasSuffix(text, []byte("\n")) {
		return false
	}
	at := bytes.LastIndexByte(bytes.TrimRight(text, "\r\n"), '\n')
	return bytes.HasPrefix(text[at+1:], []byte("DXE*"))
}

// silence: what was awaited did not come.
func (s *Session) silence() {
	switch s.st {
	case starting:
		if s.starts++; s.starts > maxStarts {
			s.end(NoAnswer)
			return
		}
		s.put(message{out: SendStart}.bytes(), stackIn)
	case keeping:
		s.end(NotKept)
	case who, reading, finishing:
		if s.acked {
			s.end(Lost)
			return
		}
		s.again()
	case receiving:
		if s.tries++; s.tries >= maxTries {
			s.end(Lost)
			return
		}
		s.ack(linkWait) // our ACK was lost, perhaps
	}
}
