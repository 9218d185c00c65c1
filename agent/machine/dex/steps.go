package dex

import "bytes"

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
