package dex

import (
	"bytes"
	"time"
)

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

// token takes one thing that the machine sent.
func (s *Session) token(t token) {
	switch t.kind {
	case gotENQ:
		s.enq()
	case gotACK0, gotACK1:
		s.acked(t.kind == gotACK1)
	case gotWACK:
		s.waited()
	case gotNAK:
		s.refusedBlock()
	case gotEOT:
		s.eot()
	case gotHeader:
		s.header(t.data)
	case gotBlock, gotLast:
		s.take(t.data, t.kind == gotLast)
	case gotBad:
		s.damaged()
	}
}

// enq: the machine begins something, or asks for our last answer again.
func (s *Session) enq() {
	switch s.st {
	case listening:
		s.beSlave()
	case calling:
		// Both called at once. The machine calls again; then it is the master.
		if !s.collided {
			s.collided = true
			s.queue = nil
			s.wait(calling, answerIn)
			return
		}
		s.beSlave()
	case ending: // the second handshake, the machine's
		s.answer(SendACK0)
		s.enter(asked, answerIn)
	case asked:
		s.repeat()
	case closing:
		if s.now-s.answeredAt < repeatAfter { // so soon it is another session's
			s.end(Done)
			return
		}
		s.repeat()
	case turning:
		if s.second && (s.now-s.answeredAt < repeatAfter || s.repeats == maxRepeats) { // so soon it is the data's: EOT was lost
			s.toData()
			s.enq()
			return
		}
		s.repeat()
	case data:
		if s.last == SendACK0 || s.last == SendACK1 {
			s.repeat()
			return
		}
		s.answer(SendACK0)
		s.parity = true
		s.enter(data, phaseWait)
	case keeping:
		if s.kept {
			s.accept()
			return
		}
		s.wack()
	}
}

// beSlave: the machine is the master of the first handshake.
func (s *Session) beSlave() {
	s.master = true
	s.answer(SendACK0)
	s.enter(asked, answerIn)
}

// repeat sends our last answer again.
func (s *Session) repeat() {
	if s.repeats++; s.repeats > maxRepeats {
		s.end(Lost)
		return
	}
	s.send(s.last, turnround)
	s.wait(s.st, answerIn)
}

// acked: DLE 0 or DLE 1 came.
func (s *Session) acked(one bool) {
	switch {
	case !one && (s.st == calling || s.st == listening): // unasked: it wants us to be master
		s.answer(SendRead)
		s.enter(asking, answerIn)
	case !one && s.st == replying:
		s.answer(SendAccept)
		s.enter(replied, answerIn)
	case !one && (s.st == asking || s.st == replied): // it has not had the block
		s.again()
	case one && s.st == asking:
		s.send(SendEOT, turnround)
		s.second = true
		s.enter(ending, phaseWait)
	case one && s.st == replied:
		s.send(SendEOT, turnround)
		s.toData()
	}
}

// toData waits for the audit. The machine may build it for seconds.
func (s *Session) toData() {
	s.last = 0
	s.second = true
	s.enter(data, phaseWait)
}

// again sends our block once more.
func (s *Session) again() {
	if s.repeats++; s.repeats > maxRepeats {
		s.end(Damaged)
		return
	}
	s.send(s.last, turnround)
	s.wait(s.st, answerIn)
}

// waited: the machine asks for patience; ENQ asks it again.
func (s *Session) waited() {
	switch s.st {
	case calling, asking, replying, replied:
		if s.wacks++; s.wacks > maxWACK {
			s.end(Lost)
			return
		}
		s.send(SendENQ, pollWACK)
		s.wait(s.st, pollWACK+answerIn)
	}
}

// refusedBlock: NAK, our block came damaged.
func (s *Session) refusedBlock() {
	switch s.st {
	case asking, replied:
		s.again()
	case calling, replying:
		s.send(SendENQ, pollWACK)
	}
}

// eot: the machine ends its phase.
func (s *Session) eot() {
	switch s.st {
	case turning:
		if !s.second && s.master { // the first handshake was the machine's: ours is the second
			s.send(SendENQ, phasePause)
			s.enter(replying, phasePause+answerIn)
			return
		}
		if s.code != "" && s.code != "00" {
			s.declined()
			return
		}
		s.toData()
	case closing:
		s.end(Done)
	case asked, data, replied, asking:
		if s.st == data && s.last == 0 {
			return // a repeated end of the handshake before
		}
		s.retry(Lost)
	}
}

// header takes the block of a handshake.
func (s *Session) header(text []byte) {
	switch s.st {
	case asked:
	case turning: // our answer was lost
		s.repeat()
		return
	case data:
		if s.last != 0 || !s.second {
			return
		}
	default:
		return
	}
	switch {
	case s.master && !s.second: // ID, operation, revision and level
		if len(text) > idLen {
			s.peer = printable(text[:idLen])
		}
		if len(text) <= idLen || text[idLen] != 'S' {
			s.end(NotARead)
			return
		}
	default: // response code and ID; the printed example of §4.7 has them the other way round
		s.code, s.peer = response(text)
	}
	s.answer(SendACK1)
	s.enter(turning, answerIn)
}

// response finds code and ID in the second handshake's block, in either order.
func response(text []byte) (code, peer string) {
	isCode := func(b []byte) bool {
		return len(b) == 2 && (b[0] == '0' && b[1] >= '0' && b[1] <= '5' || b[0] == '9' && b[1] == '0')
	}
	switch {
	case len(text) >= 2 && isCode(text[:2]):
		return string(text[:2]), printable(text[2:min(len(text), 2+idLen)])
	case len(text) >= idLen+2 && isCode(text[idLen:idLen+2]):
		return string(text[idLen : idLen+2]), printable(text[:idLen])
	}
	return "00", "" // only 00 is needed, and the machine goes on as if it had said so
}

// printable keeps an identity readable.
func printable(b []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, b))
}

// declined: the machine's response was not 00. A revision that it does not know is
// tried in the other form once.
func (s *Session) declined() {
	if s.code == "02" && s.revisions == 0 {
		s.revisions++
		s.otherRevision()
		s.code = ""
		s.restart()
		return
	}
	s.end(Refused)
}

func (s *Session) otherRevision() {
	if s.rev == Rev6 {
		s.rev = Rev1
	} else {
		s.rev = Rev6
	}
}

// restart begins a try anew, after a pause.
func (s *Session) restart() {
	s.queue, s.last, s.calls, s.collided, s.second, s.master = nil, 0, 0, false, false, false
	s.audit, s.block, s.parity = nil, nil, false
	s.scan.reset()
	s.enter(listening, callAgain)
}

// retry begins again where a try failed before the machine can have cleared
// anything, else it ends.
func (s *Session) retry(r Reason) {
	if s.tries++; s.tries >= maxTries {
		s.end(r)
		return
	}
	s.restart()
}

// take takes a block of the audit.
func (s *Session) take(text []byte, lastOne bool) {
	switch s.st {
	case data:
		if s.last != SendACK0 && s.last != SendACK1 {
			s.parity = true // its ENQ was lost in noise
		}
	case keeping:
		return // it comes again while we keep it: WACK is under way
	case closing:
		s.repeat()
		return
	default:
		return
	}
	if s.block != nil && bytes.Equal(text, s.block) && s.now-s.answeredAt >= repeatAfter {
		s.repeat() // our answer was lost, and the block came again
		return
	}
	if len(s.audit)+len(text) > maxAudit {
		s.end(TooLarge)
		return
	}
	s.audit = append(s.audit, text...)
	s.block = append(s.block[:0], text...)
	if lastOne {
		s.storing = true
		s.enter(keeping, wackAfter)
		s.out = append(s.out, Effect{Store: s.audit})
		return
	}
	s.accept()
}

// accept answers a block: DLE 1 and DLE 0 in turn.
func (s *Session) accept() {
	o := SendACK0
	if s.parity {
		o = SendACK1
	}
	s.parity = !s.parity
	s.answer(o)
	if s.kept {
		s.enter(closing, answerIn)
		return
	}
	s.enter(data, blockWait)
}

// wack asks the machine to wait until the audit is kept.
func (s *Session) wack() {
	if s.wacks++; s.wacks > maxWACK {
		s.end(NotKept)
		return
	}
	s.send(SendWACK, turnround)
	s.wait(keeping, answerIn)
}

// silence: what was awaited did not come.
func (s *Session) silence() {
	switch s.st {
	case listening:
		s.calls++
		s.send(SendENQ, 0)
		s.enter(calling, answerIn)
	case calling:
		if s.calls < maxCalls {
			s.calls++
			s.collided = false
			s.send(SendENQ, 0)
			s.wait(calling, answerIn)
			return
		}
		if s.tries++; s.tries >= maxTries {
			s.end(NoAnswer)
			return
		}
		s.otherRevision() // some machines are silent to a revision that they do not know
		s.restart()
	case asking, replying, replied:
		if s.repeats++; s.repeats > maxRepeats {
			s.retry(Lost)
			return
		}
		s.send(SendENQ, 0) // its answer may have been lost: ask for it again
		s.wait(s.st, answerIn)
	case keeping:
		if s.kept {
			s.accept()
			return
		}
		s.wack()
	case closing:
		s.end(Done) // EOT did not come; the audit is whole
	case turning:
		if !s.second && s.master { // EOT was lost
			s.send(SendENQ, phasePause)
			s.enter(replying, phasePause+answerIn)
			return
		}
		if s.code != "" && s.code != "00" {
			s.declined()
			return
		}
		s.toData()
	case asked, data, ending:
		if len(s.audit) > 0 || s.repeats > 0 {
			s.end(Lost)
			return
		}
		s.retry(Lost)
	}
}
