package transcript

import (
	"strings"

	"cellwarden/modem/threegpp"
)

// assembler makes exchanges of pieces.
type assembler struct {
	out     *Transcript
	host    *host
	met     map[string]bool
	open    *Entry // a command that waits for its answer
	openDir dir
	silent  []int // entries whose command got no answer, by index
	answers int   // answers seen at all
	arrows  bool  // the text tells who sent what
	timeout bool  // the text speaks of a command that timed out
	routed  bool  // the last line was +CMT: its text follows
}

func (a *assembler) form(name string) {
	if !a.met[name] {
		a.met[name] = true
		a.out.Forms = append(a.out.Forms, name)
	}
}

// answerForm is a line of registration that leads with <n>: an answer, though no
// command was shown. A message by itself has the area, in quotes, in its place.
var answerForm = lazy(`^\+C(?:|G|E|5G)REG: ?\d,\d{1,2}(?:$|,")`)

// noAnswer is how logs say that nothing came.
var noAnswer = lazy(`(?i)time[d -]*out|no (?:response|answer|reply)|not respond|unresponsive|无响应|无应答|超时|没有回应`)

// timeoutSet is a program's own setting.
var timeoutSet = lazy(`(?i)time-?out (?:set|is|of|=|:|to|\d)|set(?:ting)? time-?out`)

func saysNoAnswer(s string) bool { return noAnswer().MatchString(s) && !timeoutSet().MatchString(s) }

// pieces takes the pieces of one raw line (or of lines lines, of a dump).
func (a *assembler) pieces(line, lines int, ps []piece) {
	used, unread := false, ""
	for _, p := range ps {
		switch state, why := a.piece(line, p); state {
		case isUsed:
			used = true
		case isUnread:
			unread = why
			a.unread(line, p.text, why)
		}
	}
	switch {
	case lines == 0:
	case used:
		a.out.Used += lines
	case unread != "":
		a.out.UnreadTotal += lines
	default:
		a.out.Passed += lines
	}
}

type state int

const (
	isPassed state = iota
	isUsed
	isUnread
)

func (a *assembler) piece(line int, p piece) (state, string) {
	a.arrows = a.arrows || p.dir != unknown
	switch {
	case a.routed && !isCommand(p.text):
	case isCommand(p.text) && (p.dir != received || a.open == nil || !strings.EqualFold(a.open.Cmd, p.text)):
		if p.dir == received && a.open == nil {
			return isPassed, "" // an echo of what was not shown
		}
		a.routed = false
		a.command(line, p)
		return isUsed, ""
	case isCommand(p.text):
		return isUsed, "" // the echo
	}
	if a.routed {
		// The text of a message that was routed here (+CMT) is on the line after.
		a.routed = false
		last := &a.out.Entries[len(a.out.Entries)-1]
		last.URC[len(last.URC)-1] += "\n" + p.text
		return isUsed, ""
	}
	if isFinalWord(p.text) || prefixed().MatchString(p.text) {
		return a.answer(line, p)
	}
	if a.open != nil && len(a.open.Resp) == 0 && saysNoAnswer(p.text) {
		a.timeout = true
		a.close()
		return isUsed, ""
	}
	if a.open != nil && freeText(a.open.Cmd) && len(p.text) <= maxFree && p.dir != sent {
		if len(a.open.Resp) > 0 && knownURC(p.text) {
			a.close() // its OK was not shown, and this is no part of it
			return a.answer(line, p)
		}
		a.open.Resp = append(a.open.Resp, p.text)
		a.answers++
		return isUsed, ""
	}
	if facts, tool, ok := a.host.feed(p); ok {
		a.close()
		a.form(tool)
		if len(facts) > 0 {
			a.add(Entry{Line: line, Facts: facts, Tool: tool})
		}
		return isUsed, ""
	}
	if isModem(p.text) {
		return a.answer(line, p)
	}
	if a.open != nil && p.dir == received {
		a.open.Resp = append(a.open.Resp, p.text)
		a.answers++
		return isUsed, ""
	}
	a.timeout = a.timeout || saysNoAnswer(p.text)
	return isPassed, ""
}

// maxFree bounds a line without a prefix in an answer: a message of 160
// characters in UCS-2, as hex, has 640.
const maxFree = 700

// freeText reports whether the command is answered in lines without a prefix.
func freeText(cmd string) bool {
	c := strings.ToUpper(strings.TrimSpace(cmd))
	for _, name := range [...]string{"ATI", "AT+CGMI", "AT+CGMM", "AT+CGMR", "AT+CGSN", "AT+CIMI", "AT+GSN", "AT+GMM", "AT+GMR", "AT+GMI", "AT+CCID", "AT+QCCID", "AT+CIFSR", "AT+CMGR", "AT+CMGL", "AT!", "AT^", "AT%", "AT#", "AT+CNUM", "AT+QGMR", "AT+NUESTATS", "AT+CIPSTATUS", "AT+CIPSTART", "AT+VER"} {
		if strings.HasPrefix(c, name) {
			return true
		}
	}
	return false
}

func (a *assembler) command(line int, p piece) {
	if a.open != nil && len(a.open.Resp) == 0 && strings.EqualFold(a.open.Cmd, p.text) && a.openDir == sent && p.dir == unknown {
		return // the echo of a line with an arrow
	}
	a.close()
	a.open, a.openDir = &Entry{Line: line, Cmd: p.text}, p.dir
}

func (a *assembler) answer(line int, p piece) (state, string) {
	if a.open != nil {
		a.open.Resp = append(a.open.Resp, p.text)
		a.answers++
		if f, ok := threegpp.ParseFinal(p.text); ok {
			_ = f
			a.close()
		}
		return isUsed, ""
	}
	known := false
	for _, f := range threegpp.URC(p.text) {
		if _, no := f.(threegpp.Unparsed); !no {
			known = true
		}
	}
	known = known && !answerForm().MatchString(p.text)
	if _, final := threegpp.ParseFinal(p.text); final && !known {
		return isPassed, "" // the end of an answer whose command was not shown
	}
	if !known {
		// An answer whose command was not shown: its prefix names it.
		if name, _, ok := strings.Cut(p.text, ":"); ok && prefixed().MatchString(p.text) {
			if facts := threegpp.Reply("AT"+strings.TrimSpace(name)+"?", []string{p.text, "OK"}); understood(facts) {
				a.add(Entry{Line: line, Cmd: "AT" + strings.TrimSpace(name) + "?", Resp: []string{p.text, "OK"}})
				return isUsed, ""
			}
		}
		return isUnread, NoCommand
	}
	a.answers++
	a.routed = strings.HasPrefix(p.text, "+CMT:") || strings.HasPrefix(p.text, "+CBM:")
	if n := len(a.out.Entries); n > 0 && a.out.Entries[n-1].URC != nil {
		a.out.Entries[n-1].URC = append(a.out.Entries[n-1].URC, p.text)
	} else {
		a.add(Entry{Line: line, URC: []string{p.text}})
	}
	return isUsed, ""
}

func understood(facts []threegpp.Fact) bool {
	known := false
	for _, f := range facts {
		switch f.(type) {
		case threegpp.Unparsed:
			return false
		case threegpp.Done:
		default:
			known = true
		}
	}
	return known
}

func (a *assembler) add(e Entry) { a.out.Entries = append(a.out.Entries, e) }

func (a *assembler) close() {
	if a.open == nil {
		return
	}
	if len(a.open.Resp) == 0 {
		a.silent = append(a.silent, len(a.out.Entries))
	}
	a.add(*a.open)
	a.open = nil
}

func (a *assembler) unread(line int, text, why string) {
	if len(a.out.Unread) >= MaxUnread {
		return
	}
	text = threegpp.Redact(text)
	if len(text) > 120 {
		text = strings.ToValidUTF8(text[:120], "") + "…"
	}
	a.out.Unread = append(a.out.Unread, Unread{line, text, why})
}

// finish decides what a command without an answer means. It is the modem's
// silence only where the text shows answers at all, or says that nothing came;
// a list of commands is a list. The last command of a text may just be where
// the recording ended.
func (a *assembler) finish() {
	last := a.open != nil && len(a.open.Resp) == 0 && !a.timeout
	a.close()
	shows := a.answers > 0 || a.timeout || a.arrows && len(a.silent) >= 3
	drop := map[int]bool{}
	for n, i := range a.silent {
		if !shows || last && n == len(a.silent)-1 && (a.answers > 0 || len(a.silent) < 3) {
			drop[i] = true
			e := a.out.Entries[i]
			a.unread(e.Line, e.Cmd, NoAnswer)
			a.out.UnreadTotal++
			a.out.Used = max(0, a.out.Used-1)
		}
	}
	kept := a.out.Entries[:0]
	for i, e := range a.out.Entries {
		if !drop[i] {
			kept = append(kept, e)
		}
	}
	a.out.Entries = kept
}
