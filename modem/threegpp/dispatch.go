package threegpp

import "strings"

// A parser turns one line into facts. Nil means that it is not in a form that
// the parser knows; an empty slice means that the line is understood and says
// nothing that anyone needs.
type parser func(l line) []Fact

// quiet is a line that is understood and has no fact.
var quiet = []Fact{}

func ignore(line) []Fact { return quiet }

// one is a single fact, as parsers return it.
func one(f Fact) []Fact { return []Fact{f} }

// form says how a prefix is met.
type form int

const (
	answer form = iota // only in answer to a command
	both               // in answer, or by itself
	event              // only by itself, whatever command is in flight
	result             // after the OK of the command that asked for it
)

type entry struct {
	name  string
	form  form
	parse parser
}

// A table is searched from the top: a modem sends a few lines a second, and a
// map of this size costs 17 kB of code to fill it.
type table []entry

func (t table) find(name string) (entry, bool) {
	for i := range t {
		if t[i].name == name {
			return t[i], true
		}
	}
	return entry{}, false
}

// find picks the parser for a line: by its prefix, else by the whole line.
func find(l line) (entry, bool) {
	if l.name != "" {
		return prefixes.find(l.name)
	}
	return banners.find(l.text)
}

// Reply turns the answer to one command line into facts. command is the line as
// sent, with or without AT, in any case, possibly several commands in one
// ("AT+CSQ;+CPIN?"); lines are all that the modem sent until the final result,
// echo, blank and unsolicited lines included.
//
// The facts of the lines come first, in their order. A success ends with what
// the command has set and Done; an error with a Refusal, and after it the cause
// or the state of the card that it names. No line at all is one Silence. Lines
// without a final result, as in fragments, have neither.
func Reply(command string, lines []string) []Fact {
	subs := parseCommand(command)
	r := reply{subs: subs, command: command, text: commandText(subs)}
	for _, text := range lines {
		text = strings.TrimSpace(text)
		if text == "" || isEcho(command, text) {
			continue
		}
		r.take(text)
	}
	return r.finish()
}

// isEcho reports whether text is the command sent back (ATE1). A bare "AT" in
// front of it may be missing when the modem swallowed it while waking up.
func isEcho(command, text string) bool {
	command = strings.TrimSpace(command)
	return strings.EqualFold(text, command) || strings.EqualFold(text, stripAT(command)) && len(text) > 1
}

type reply struct {
	subs    []subcommand
	command string // as sent
	text    string // as facts carry it
	facts   []Fact
	block   []string // lines of a command that is answered in free text
	owner   *subcommand
	seen    map[string]int
	lines   int // lines that were no echo and not blank
	ok, bad bool
}

func (r *reply) take(text string) {
	r.lines++
	if f, isFinal := ParseFinal(text); isFinal {
		if isHangUp(text, r.subs) {
			r.facts = append(r.facts, hangUp(text))
			return
		}
		r.final(f)
		return
	}
	l := newLine(nil, text)
	if r.isBlockLine(l) {
		r.block = append(r.block, text)
		return
	}
	n := r.seen[l.name]
	if r.seen == nil {
		r.seen = make(map[string]int, 4)
	}
	if isURC(l, r.subs, n) {
		if l.name == "" {
			l.cmd = owner(r.subs, "", 0) // "CONNECT OK" has its target in the command
		}
		r.facts = append(r.facts, parseURC(l)...)
		return
	}
	r.seen[l.name] = n + 1
	l.cmd = owner(r.subs, l.name, n)
	r.facts = append(r.facts, r.parseAnswer(l)...)
}

// isBlockLine reports whether l belongs to a command that answers in lines
// without a prefix of its own, and remembers that command.
func (r *reply) isBlockLine(l line) bool {
	if r.owner == nil {
		for i := range r.subs {
			if blockOf(&r.subs[i]) != nil {
				r.owner = &r.subs[i]
			}
		}
	}
	if r.owner == nil {
		return false
	}
	if l.name == "" {
		_, banner := banners.find(l.text)
		return !banner
	}
	if e, ok := prefixes.find(l.name); ok && (e.form == event || e.form == both) && !answers(r.owner, l.name) {
		return false
	}
	return answers(r.owner, l.name) || owner(r.subs, l.name, 0) == nil
}

func (r *reply) parseAnswer(l line) []Fact {
	if l.cmd != nil && l.cmd.op == "=?" && l.cmd.name != "+COPS" {
		return nil // what the modem supports is no fact about its state
	}
	// Some firmware leaves the prefix out: "servingcell","SEARCH".
	if l.name == "" && l.cmd != nil {
		if p, ok := prefixes.find(l.cmd.name); ok && strings.HasPrefix(l.text, `"`) {
			if facts := p.parse(l); facts != nil {
				return facts
			}
		}
	}
	if e, ok := find(l); ok {
		if facts := e.parse(l); facts != nil {
			return facts
		}
	}
	if l.text == "@" || l.text == ">" { // prompts for data
		return nil
	}
	if facts := alarmByWords(l); facts != nil {
		return facts
	}
	return one(Unparsed{Line: l.text, Command: r.text})
}

func (r *reply) final(f Final) {
	if f.OK {
		r.ok = true
		return
	}
	r.bad = true
	r.flush()
	r.facts = append(r.facts, refusalFacts(r.subs, r.text, f)...)
}

// flush turns the lines of a block command into facts.
func (r *reply) flush() {
	if r.owner == nil || len(r.block) == 0 {
		return
	}
	for _, f := range blockOf(r.owner)(r.owner, r.block) {
		if u, ok := f.(Unparsed); ok {
			u.Command = r.text
			f = u
		}
		r.facts = append(r.facts, f)
	}
	r.block = nil
}

func (r *reply) finish() []Fact {
	r.flush()
	switch {
	case r.lines == 0:
		r.facts = append(r.facts, Silence{Command: r.text})
		for i := range r.subs {
			if probe, ok := silentProbe(&r.subs[i]); ok {
				r.facts = append(r.facts, probe)
			}
		}
	case r.ok && !r.bad:
		for i := range r.subs {
			r.facts = append(r.facts, setFacts(&r.subs[i])...)
		}
		r.facts = append(r.facts, Done{Command: r.text})
	}
	return r.facts
}

// owner is the command that a line with this prefix answers: the n-th one of
// the name where a command line has several, the last where it has fewer, nil
// where it has none. A line without a prefix goes to the last command.
func owner(subs []subcommand, name string, n int) *subcommand {
	var found *subcommand
	for i := range subs {
		if name == "" || answers(&subs[i], name) {
			found = &subs[i]
			if name != "" && n == 0 && subs[i].op != "=" {
				return found
			}
			n--
		}
	}
	return found
}

// aliases are answers whose prefix is not the name of the command.
var aliases = map[string][]string{
	"+ICCID":       {"+CCID", "ICCID"},
	"+CCID":        {"+ICCID", "+QCCID", "CCID"},
	"+QCCID":       {"+CCID"},
	"+CICCID":      {"+ICCID"},
	"+CIPSTATUS":   {"STATE"},
	"+CIPSTART":    {"STATE"},
	"^NDISSTATQRY": {"^NDISSTAT"},
	"+EEMGINFO":    {"+EEMLTESVC", "+EEMGINFO"},
	"+GSN":         {"+CGSN", "IMEI"},
	"+CGSN":        {"+GSN", "IMEI"},
}

// answers reports whether a line with this prefix can answer c.
func answers(c *subcommand, name string) bool {
	if c.name == name {
		return true
	}
	for _, a := range aliases[c.name] {
		if a == name {
			return true
		}
	}
	return false
}

// URC turns one unsolicited line into facts. A +CMT in text mode is two lines;
// hand them over joined by a newline to have the message read.
func URC(text string) []Fact {
	head, body, more := strings.Cut(strings.TrimSpace(text), "\n")
	l := newLine(nil, head)
	if more {
		if facts := routedSMS(l, strings.TrimSpace(body)); facts != nil {
			return facts
		}
	}
	if l.text == "" {
		return nil
	}
	return parseURC(l)
}

func parseURC(l line) []Fact {
	if e, ok := find(l); ok {
		if facts := e.parse(l); facts != nil {
			return facts
		}
	}
	if f, ok := ParseFinal(l.text); ok {
		if isHangUp(l.text, nil) {
			return one(hangUp(l.text))
		}
		if f.OK {
			return nil // the late OK of a command that was given up
		}
	}
	for _, read := range [...]parser{hostLog, byWords} {
		if facts := read(l); facts != nil {
			return facts
		}
	}
	return one(Unparsed{Line: l.text})
}

// IsURC reports whether text cannot belong to the answer to command, seen being
// the number of its lines with the same prefix that were already taken.
//
// A registration line is told by shape: the answer leads with <n>, so its
// second field is a bare number, while the second field of a URC is a quoted or
// hexadecimal area, or there is none (TS 27.007 §10.1.22).
//
// Shape cannot decide these; what is chosen:
//   - +CPIN, +CFUN, +CSQ and other one-line answers look like their URC. The
//     first is the answer, later ones are URCs. A URC that slips in before the
//     answer is so taken for it, and the answer for the URC: both say the
//     present state, so only the order of two readings of one second is lost.
//   - "+CREG: 2,5" is an answer (n=2, stat 5): as a URC it would be a stat with
//     an unquoted area of one digit, which no modem sends.
//   - "+CEREG: 1,1234,..." with an unquoted area counts as a URC when the second
//     field is not a registration state, since <stat> has at most two digits.
//   - NO CARRIER ends the answer to dial, answer, hang-up and data commands
//     only; for all others it is the loss of a data call.
//   - An unknown prefix is left to the answer: taking a line from a vendor's
//     answer does more harm than a strange line in it.
func IsURC(text, command string, seen int) bool {
	text = strings.TrimSpace(text)
	if text == "" || isEcho(command, text) {
		return false
	}
	subs := parseCommand(command)
	if _, ok := ParseFinal(text); ok {
		return isHangUp(text, subs)
	}
	return isURC(newLine(nil, text), subs, seen)
}

func isURC(l line, subs []subcommand, seen int) bool {
	e, knownLine := find(l)
	if l.name == "" {
		return knownLine
	}
	asked := owner(subs, l.name, seen)
	switch {
	case knownLine && e.form == event:
		return true
	case asked == nil:
		return knownLine && (e.form == both || e.form == result)
	case isRegistration(l.name):
		return asked.op != "?" || !leadsWithN(l)
	case knownLine && e.form == both:
		// A set command is not answered with its own prefix, and a one-line
		// answer has one line for each time that it was asked for.
		return asked.op == "=" && !answersSets[asked.name] || seen >= countOf(subs, l.name) && !manyLines[asked.name]
	}
	return false
}

func countOf(subs []subcommand, name string) int {
	n := 0
	for i := range subs {
		if answers(&subs[i], name) {
			n++
		}
	}
	return n
}

// isHangUp reports whether text is a NO CARRIER that does not answer subs.
func isHangUp(text string, subs []subcommand) bool {
	if strings.TrimSpace(text) != "NO CARRIER" {
		return false
	}
	for i := range subs {
		switch subs[i].name {
		case "D", "A", "H", "O", "H0", "O0", "+CGDATA", "+CHUP", "":
			return false
		}
	}
	return true
}

// hangUp is a NO CARRIER by itself: the data call of the port is gone.
func hangUp(text string) Fact {
	return ContextEvent{Event: "PDN DEACT", CID: -1, Text: strings.TrimSpace(text)}
}
