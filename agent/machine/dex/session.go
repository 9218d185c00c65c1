package dex

import "time"

// Waits and budgets, with the paragraph of EVA-DTS 6.2 or the reason.
const (
	turnround   = 12 * time.Millisecond   // §4.5.8: at least 10 ms before any answer, half duplex
	phasePause  = 120 * time.Millisecond  // §4.5.8: at least 100 ms before the second handshake
	listenFor   = 1100 * time.Millisecond // a machine that is master calls within a second
	answerIn    = 3500 * time.Millisecond // §4.5.8 timer D is 2 s inside a phase; slow changers were given 3 to 4 s
	callAgain   = 1 * time.Second         // between two calls; what public firmware uses
	charGap     = 300 * time.Millisecond  // §4.5.8 timer B is 100 ms; USB bridges deliver in lumps
	blockWait   = 5 * time.Second         // between blocks: slow changers take 3 to 4 s
	phaseWait   = 20 * time.Second        // between phases the standard has no limit; a large audit takes seconds to build
	wackAfter   = 700 * time.Millisecond  // the machine waits 1 s for an answer: before that we ask it to wait
	repeatAfter = 900 * time.Millisecond  // a block that comes again so late is one whose answer was lost
	pollWACK    = 300 * time.Millisecond  // §4.4: after WACK the sender waits 100 to 500 ms, then ENQ
	sessionMax  = 3 * time.Minute         // 64 KB at 9600 baud take 70 s

	maxCalls   = 3        // ENQ of ours in one try
	maxTries   = 2        // tries in one poll, the second after a pause
	maxRepeats = 3        // of one block, either way
	maxWACK    = 40       // of either side in one phase: 12 s
	maxAudit   = 64 << 10 // bytes
)

// Reason says how a session ended.
type Reason string

// The reasons.
const (
	Done        Reason = "done"        // the audit is whole and kept
	NoAnswer    Reason = "no_answer"   // nobody answered our calls
	Lost        Reason = "lost"        // the machine fell silent in the middle
	Damaged     Reason = "damaged"     // blocks came damaged again and again
	Refused     Reason = "refused"     // the machine's response was not 00; Code has it
	NotARead    Reason = "not_a_read"  // the machine asked for something else than to be read
	TooLarge    Reason = "too_large"   // more than 64 KB
	NotKept     Reason = "not_kept"    // the audit could not be put on the flash, so it was not acknowledged
	Overtime    Reason = "overtime"    // the session took too long
	Disappeared Reason = "disappeared" // the port went
)

// Effect is something to do: exactly one field is set.
type Effect struct {
	Send  Out    // write this frame
	Store []byte // keep this audit on the flash, then call Stored
	End   *End   // the session is over
}

// End is how it ended, and what was learned of the machine.
type End struct {
	Reason Reason
	Code   string // the machine's response code, where it refused
	Peer   string // its communication id
	Master bool   // the machine began
	Audit  []byte // with Done
	Rev    Revision
	Noise  int // bytes that were part of nothing
	Bad    int // blocks that came damaged
}

type state uint8

const (
	listening state = iota
	calling         // ENQ sent, DLE 0 awaited
	asking          // our block sent, DLE 1 awaited
	ending          // EOT sent; the other's ENQ awaited
	asked           // DLE 0 sent, its block awaited
	turning         // its block acknowledged, EOT awaited
	replying        // ENQ sent for the second handshake of ours, DLE 0 awaited
	replied         // our second block sent, DLE 1 awaited
	data            // its ENQ for data, or the next block, awaited
	keeping         // the last block is in, the flash is not
	closing         // the last answer is sent, EOT awaited
	over
)

// Session is one poll of a machine. It is not safe for concurrent use.
type Session struct {
	id   ID
	rev  Revision
	st   state
	scan scanner

	now, began time.Duration
	until      time.Duration // when the present wait is over
	sendAt     time.Duration // when queued frames may go
	queue      []Out
	last       Out // our last answer, for a repeat
	heardAt    time.Duration
	answeredAt time.Duration

	calls, tries, repeats, wacks int
	collided                     bool
	revisions                    int
	master                       bool // the machine began
	second                       bool // the first handshake is over
	parity                       bool // the next block is answered by DLE 1
	storing, kept                bool
	peer, code                   string
	audit, block                 []byte
	bad                          int
	out                          []Effect
}

// New begins a poll at now, which is any clock that only grows. The id must pass
// Check. With first the session begins with that revision (Rev6 where it is "").
func New(id ID, first Revision, now time.Duration) *Session {
	if first == "" {
		first = Rev6
	}
	return &Session{id: id, rev: first, now: now, began: now, until: now + listenFor}
}

// Frame is what an Out of this session looks like on the line.
func (s *Session) Frame(o Out) []byte { return o.Bytes(s.id, s.rev) }

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
		s.torn()
	}
	s.heardAt = now
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
		s.torn()
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
	if s.st == keeping && s.storing {
		s.storing = false
		if !ok {
			s.end(NotKept)
		} else {
			s.kept = true
			if s.wacks == 0 {
				s.accept() // else the machine asks again, and is answered then
			}
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

// flush gives the frames whose time has come behind the other effects.
func (s *Session) flush() []Effect {
	for len(s.queue) > 0 && s.now >= s.sendAt && s.st != over {
		s.out = append(s.out, Effect{Send: s.queue[0]})
		s.queue = s.queue[1:]
	}
	return s.out
}

// send queues one frame. Whatever waited is no answer any more.
func (s *Session) send(o Out, after time.Duration) {
	s.queue = append(s.queue[:0], o)
	s.sendAt = s.now + after
	s.answeredAt = s.sendAt
}

// answer sends an answer of ours, which ENQ may ask for again.
func (s *Session) answer(o Out) {
	s.last = o
	s.send(o, turnround)
}

func (s *Session) wait(st state, d time.Duration) {
	s.st, s.until = st, s.now+d
}

// enter enters a state with fresh budgets.
func (s *Session) enter(st state, d time.Duration) {
	s.repeats, s.wacks = 0, 0
	s.wait(st, d)
}

// end is the end. Once the audit is kept and acknowledged nothing can spoil it.
func (s *Session) end(r Reason) {
	if s.st == closing {
		r = Done
	}
	e := &End{Reason: r, Code: s.code, Peer: s.peer, Master: s.master, Rev: s.rev, Noise: s.scan.noise, Bad: s.bad}
	if r == Done {
		e.Audit = s.audit
	}
	s.queue = nil
	s.st = over
	s.out = append(s.out, Effect{End: e})
}

// torn drops a block that broke off, and asks for it again.
func (s *Session) torn() {
	begun := s.scan.inBlock || s.scan.tail > 0
	s.scan.reset()
	if begun {
		s.damaged()
	}
}

// damaged asks for the block again, a few times.
func (s *Session) damaged() {
	if s.st != asked && s.st != data {
		return // nothing was expected: noise
	}
	s.bad++
	if s.repeats++; s.repeats > maxRepeats {
		s.end(Damaged)
		return
	}
	s.send(SendNAK, turnround)
	s.wait(s.st, blockWait)
}
