package modemtest

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	// splitGap separates the pieces of a split answer, so that a reader on a
	// pty sees them one by one.
	splitGap = 5 * time.Millisecond
	// rebootAfterOK is how long a module takes from the OK of +CFUN=1,1 to
	// its restart.
	rebootAfterOK = 200 * time.Millisecond
	// maxCommand bounds a command line, and the text at a prompt; what is
	// longer is cut, as in a module.
	maxCommand = 4096
	// maxWaiting bounds commands that wait while the modem thinks; modules
	// have a small buffer and lose the rest.
	maxWaiting = 64

	ctrlZ  = 0x1A
	escape = 0x1B
)

// An OutputKind says what an Output is.
type OutputKind int

// What can come out of a Player.
const (
	Bytes  OutputKind = iota // Data leaves the modem
	Vanish                   // the port disappears
	Return                   // the port is there again
)

// An Output is one thing that the modem does at the time At.
type Output struct {
	At   time.Duration
	Kind OutputKind
	Data []byte

	urc string // the unsolicited line in Data, "" where it is an answer or noise
}

// A Player plays one scenario. It is pure: its only clock is the time given to
// it, which must not go back. It is for one goroutine; Runner, Pipe and PTY
// put it behind a lock.
type Player struct {
	sc       *Scenario
	m        model
	rand     *rand.Rand
	recorded bool // answer only what the recording holds
	dead     bool // answer only explicit replies

	now    time.Duration
	seq    int
	due    []event // ordered by (at, seq)
	out    []Output
	rules  []*rule
	asked  map[*rule]int
	delays []delay
	cues   []cue
	counts map[string]int // how often each command was asked, for cues

	split       int
	lineFree    time.Duration // when the last piece of what was sent has left
	muted       bool
	mutes       int // how often it went mute: a boot ends only its own muteness
	gone        bool
	holdUntil   time.Duration
	promptNever bool
	sent        int

	// The answer in the making.
	answering bool
	deferred  []string // unsolicited lines that wait for the answer's end

	// The byte side.
	input   []byte
	line    []byte
	busy    bool
	waiting []string
	text    *answer // set while the text of a prompt is awaited
	life    int     // grows when the dialogue is lost; stale events compare it

	freeAt time.Duration // the reply side: when the modem has answered
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type delay struct {
	rule *rule
	by   time.Duration
	once bool
}

// A cue is unsolicited lines of a recording, with their place in its order.
type cue struct {
	lines []string
	after string // the command that they follow, "" for the start
	count int    // how often it was asked by then
	by    time.Duration
}

// NewPlayer makes a Player at time 0. The seed decides the noise and nothing else.
func NewPlayer(sc *Scenario, seed uint64) *Player {
	p := &Player{
		sc:       sc,
		m:        newModel(sc),
		rand:     rand.New(rand.NewPCG(seed, seed)),
		recorded: sc.Device["unlisted"] == "unsupported",
		dead:     sc.Device["unlisted"] == "silent",
		asked:    map[*rule]int{},
		counts:   map[string]int{},
		cues:     slices.Clone(sc.cues),
	}
	for _, act := range sc.modem {
		act(p)
	}
	for _, t := range sc.script {
		p.schedule(t)
	}
	for _, c := range p.cues {
		p.at(c.by, func() { p.playCues(func(other cue) bool { return other.by <= c.by }) })
	}
	p.run(0)
	return p
}

func (p *Player) schedule(t timedAction) {
	p.at(t.at, func() {
		t.act(p)
		if t.every == 0 {
			return
		}
		next := t
		next.at += t.every
		if t.until == 0 || next.at < t.until {
			p.schedule(next)
		}
	})
}

// at plans do for the time t.
func (p *Player) at(t time.Duration, do func()) {
	p.seq++
	e := event{t, p.seq, do}
	i, _ := slices.BinarySearchFunc(p.due, e, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
	})
	p.due = slices.Insert(p.due, i, e)
}

// run lets happen what is due by now.
func (p *Player) run(now time.Duration) {
	for len(p.due) > 0 && p.due[0].at <= now {
		e := p.due[0]
		p.due = p.due[1:]
		p.now = max(p.now, e.at)
		e.do()
	}
	p.now = max(p.now, now)
}

// wall is the modem's own clock.
func (p *Player) wall() time.Time { return p.sc.Start.Add(p.now + p.m.clockShift) }

// Do performs one script line, given without a time, at the time that the
// Player has reached: "sim absent", "+CSQ -> +CSQ: 5,99 | OK".
func (p *Player) Do(line string) error { return p.DoAt(p.now, line) }

// DoAt is Do at the time now.
func (p *Player) DoAt(now time.Duration, line string) error {
	act, _, _, err := parseLine(strings.TrimSpace(line))
	if err != nil {
		return err
	}
	p.run(now)
	act(p)
	return nil
}

// Advance returns what leaves the modem by now, in order.
func (p *Player) Advance(now time.Duration) []Output {
	p.run(now)
	n, _ := slices.BinarySearchFunc(p.out, now, func(o Output, t time.Duration) int {
		if o.At <= t {
			return -1
		}
		return 1
	})
	outputs := slices.Clone(p.out[:n])
	p.out = slices.Delete(p.out, 0, n)
	return outputs
}

// Next returns when Advance has something to do next, and false when never.
func (p *Player) Next() (time.Duration, bool) {
	switch {
	case len(p.out) == 0 && len(p.due) == 0:
		return 0, false
	case len(p.out) == 0:
		return p.due[0].at, true
	case len(p.due) == 0:
		return p.out[0].At, true
	}
	return min(p.out[0].At, p.due[0].at), true
}

// Holding reports whether the port takes no bytes now.
func (p *Player) Holding() bool { return p.now < p.holdUntil }

// Ask gives the modem a whole command ("AT+CSQ" or "+CSQ") and returns the lines of its
// answer, the final result last, and how long it takes to come. silent means
// that no answer will ever come. Unsolicited lines are left to Unsolicited,
// also those that a real port would show between the lines of the answer.
func (p *Player) Ask(now time.Duration, command string) (lines []string, delay time.Duration, silent bool) {
	p.run(now)
	if p.muted || p.gone {
		return nil, 0, true
	}
	start := max(p.now, p.freeAt, p.holdUntil)
	if p.text != nil {
		a := p.textAnswer(command)
		p.freeAt = start + a.after
		return a.lines, p.freeAt - p.now, false
	}
	command = strings.TrimSpace(command)
	if !strings.HasPrefix(upper(command), "AT") {
		command = "AT" + command
	}
	a, urcs := p.command(command)
	if a.silent {
		return nil, 0, true
	}
	if a.prompt {
		if p.promptNever {
			return nil, 0, true
		}
		p.text = &a
		return []string{"> "}, start - p.now, false
	}
	p.freeAt = start + a.after
	p.at(p.freeAt, func() {
		for _, line := range slices.Concat(a.inside, urcs) {
			p.urc(line)
		}
	})
	p.run(p.now)
	return a.lines, p.freeAt - p.now, false
}

// Unsolicited returns the unsolicited lines by now. Noise and the leaving of
// the port have no lines and are dropped.
func (p *Player) Unsolicited(now time.Duration) []string {
	var lines []string
	for _, o := range p.Advance(now) {
		if o.urc != "" {
			lines = append(lines, o.urc)
		}
	}
	return lines
}

// command makes the answer to one command line, and collects the unsolicited
// lines that it causes: they follow the answer.
func (p *Player) command(text string) (answer, []string) {
	text = strings.TrimSpace(text[len("AT"):]) // the caller saw to the AT
	p.answering, p.deferred = true, nil
	a := p.reply(text)
	key := normalise(text)
	for i, d := range p.delays {
		if d.rule.matches(key) {
			a.after += d.by
			if d.once {
				p.delays = slices.Delete(p.delays, i, i+1)
			}
			break
		}
	}
	p.counts[key]++
	p.playCues(func(c cue) bool { return c.after == key && c.count <= p.counts[key] })
	urcs := p.deferred
	p.answering, p.deferred = false, nil
	return a, urcs
}

// playCues plays the recorded unsolicited lines up to the last that is ready,
// so that their order is kept.
func (p *Player) playCues(ready func(cue) bool) {
	last := -1
	for i, c := range p.cues {
		if ready(c) {
			last = i
		}
	}
	for _, c := range p.cues[:last+1] {
		for _, line := range c.lines {
			p.urc(line)
		}
	}
	p.cues = p.cues[last+1:]
}

// ruled looks for an explicit reply.
func (p *Player) ruled(text string) (answer, bool) {
	key := normalise(text)
	for i := len(p.rules) - 1; i >= 0; i-- {
		r := p.rules[i]
		if !r.matches(key) {
			continue
		}
		n := min(p.asked[r], len(r.answers)-1)
		p.asked[r]++
		a := r.answers[n]
		if a.prompt {
			shown := a
			shown.prompt = false
			a.onText = func(string) answer { return shown }
		}
		// The caller may add to these.
		a.lines, a.inside = slices.Clone(a.lines), slices.Clone(a.inside)
		return a, true
	}
	return answer{}, false
}

func (p *Player) setRule(r *rule) {
	p.dropRule(r)
	p.rules = append(p.rules, r)
	delete(p.asked, r)
}

func (p *Player) dropRule(r *rule) {
	p.rules = slices.DeleteFunc(p.rules, func(old *rule) bool { return old.key == r.key && old.tail == r.tail })
}

func (p *Player) setDelay(d delay) {
	p.delays = slices.DeleteFunc(p.delays, func(old delay) bool {
		return old.rule.key == d.rule.key && old.rule.tail == d.rule.tail
	})
	if d.by > 0 {
		p.delays = append(p.delays, d)
	}
}

// Write gives the modem bytes from the host.
func (p *Player) Write(now time.Duration, b []byte) {
	p.run(now)
	if p.muted || p.gone {
		return
	}
	if p.Holding() {
		p.input = append(p.input, b...)
		return
	}
	p.read(b)
}

// read takes bytes as the module's UART does.
func (p *Player) read(b []byte) {
	for _, c := range b {
		if p.text != nil {
			p.readText(c)
			continue
		}
		if p.m.echo {
			p.emitByte(c)
		}
		switch {
		case c == '\r' || c == '\n' && len(p.line) > 0:
			text := string(bytes.Trim(p.line, " \t\x00"))
			p.line = p.line[:0]
			p.enter(text)
		case c == '\b' || c == 0x7F:
			p.line = p.line[:max(0, len(p.line)-1)]
		case c == '\n' || c == escape || c == ctrlZ || len(p.line) == maxCommand:
		default:
			p.line = append(p.line, c)
		}
	}
}

// readText takes one byte of the text that a prompt asked for.
func (p *Player) readText(c byte) {
	switch c {
	case escape:
		p.text, p.line = nil, p.line[:0]
		p.send([]byte("\r\nOK\r\n"), "")
	case ctrlZ:
		text := string(p.line)
		p.line = p.line[:0]
		p.respond(p.textAnswer(text), nil)
	default:
		if len(p.line) < maxCommand {
			p.line = append(p.line, c)
		}
	}
}

func (p *Player) textAnswer(text string) answer {
	a := *p.text
	p.text = nil
	return a.onText(text)
}

// enter takes a whole command line.
func (p *Player) enter(text string) {
	if p.busy {
		if len(p.waiting) < maxWaiting {
			p.waiting = append(p.waiting, text)
		}
		return
	}
	// A module acts on what follows the first AT: noise before it is lost.
	i := strings.Index(upper(text), "AT")
	if i < 0 {
		return
	}
	a, urcs := p.command(text[i:])
	switch {
	case a.silent, a.prompt && p.promptNever:
		for _, line := range urcs {
			p.urc(line)
		}
	case a.prompt:
		p.text = &a
		p.send([]byte("\r\n> "), "")
	default:
		p.respond(a, urcs)
	}
}

// respond sends an answer when its time has come, then takes the next command.
func (p *Player) respond(a answer, urcs []string) {
	life := p.life
	p.busy = true
	finish := func() {
		if p.life != life {
			return
		}
		p.sendAnswer(a)
		for _, line := range urcs {
			p.urc(line)
		}
		p.busy = false
		for !p.busy && p.text == nil && len(p.waiting) > 0 {
			next := p.waiting[0]
			p.waiting = p.waiting[1:]
			p.enter(next)
		}
	}
	if a.after == 0 {
		finish()
		return
	}
	p.at(p.now+a.after, finish)
}

func (p *Player) sendAnswer(a answer) {
	lines := a.lines
	if len(a.inside) > 0 {
		place := min(1, len(lines)-1)
		lines = slices.Concat(lines[:place], a.inside, lines[place:])
	}
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString("\r\n")
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	pieces := p.split
	if a.split > 0 {
		pieces = a.split
	}
	p.sendPieces(b.Bytes(), "", pieces)
}

// urc sends an unsolicited line, after the answer that is being made.
func (p *Player) urc(line string) {
	if p.answering {
		p.deferred = append(p.deferred, line)
		return
	}
	p.send([]byte("\r\n"+line+"\r\n"), line)
}

func (p *Player) send(b []byte, urc string) { p.sendPieces(b, urc, p.split) }

// sendPieces puts bytes on the line behind what is still leaving. Only the
// last piece bears the unsolicited line.
func (p *Player) sendPieces(b []byte, urc string, size int) {
	if p.muted || p.gone {
		return
	}
	t := max(p.now, p.lineFree)
	if size == 0 || size > len(b) {
		size = max(1, len(b))
	}
	for len(b) > size {
		p.put(Output{At: t, Data: bytes.Clone(b[:size])})
		b = b[size:]
		t += splitGap
	}
	p.put(Output{At: t, Data: bytes.Clone(b), urc: urc})
	p.lineFree = t
}

// emitByte echoes; a run of echoed bytes makes one Output.
func (p *Player) emitByte(c byte) {
	if p.muted || p.gone {
		return
	}
	t := max(p.now, p.lineFree)
	if n := len(p.out); n > 0 && p.out[n-1].At == t && p.out[n-1].Kind == Bytes && p.out[n-1].urc == "" && p.split == 0 {
		p.out[n-1].Data = append(p.out[n-1].Data, c)
		return
	}
	p.put(Output{At: t, Data: []byte{c}})
}

func (p *Player) put(o Output) { p.out = append(p.out, o) }

// loseDialogue forgets what host and modem were in the midst of.
func (p *Player) loseDialogue() {
	p.life++
	p.busy, p.text, p.waiting = false, nil, nil
	p.input, p.line = nil, nil
	p.out = slices.DeleteFunc(p.out, func(o Output) bool { return o.At > p.now })
	p.lineFree, p.freeAt, p.holdUntil = p.now, p.now, 0
}

func (p *Player) mute() {
	p.loseDialogue()
	p.muted = true
	p.mutes++
}

func (p *Player) unmute() { p.muted = false }

func (p *Player) vanish(d time.Duration) {
	if p.gone {
		return
	}
	p.loseDialogue()
	p.gone = true
	p.put(Output{At: p.now, Kind: Vanish})
	p.at(p.now+d, func() {
		p.put(Output{At: p.now, Kind: Return})
		p.gone = false
	})
}

func (p *Player) holdWrite(d time.Duration) {
	p.holdUntil = max(p.holdUntil, p.now+d)
	p.at(p.holdUntil, func() {
		if p.Holding() || p.muted || p.gone {
			return
		}
		held := p.input
		p.input = nil
		p.read(held)
	})
}

func (p *Player) garbage(n int) {
	noise := make([]byte, n)
	for i := range noise {
		noise[i] = byte(p.rand.UintN(256))
	}
	noise[p.rand.IntN(n)] = 0 // there is always a NUL: readers stumble over it
	p.sendPieces(noise, "", 0)
}

// reboot is a restart of the module: mute, then the boot banner of the family.
func (p *Player) reboot() {
	p.mute()
	p.change(byModem, func() {
		p.m.restart()
		p.m.camping++ // no registration before the boot is over
	})
	mutes := p.mutes
	p.at(p.now+bootTime, func() {
		p.m.camping--
		if p.mutes != mutes {
			return // it went mute again, or rebooted again, meanwhile
		}
		p.unmute()
		p.camp()
		for i, line := range p.m.banner() {
			p.at(p.now+time.Duration(i)*bannerGap, func() { p.urc(line) })
		}
	})
}

// bannerGap spaces the lines of the boot banner.
const bannerGap = 300 * time.Millisecond

// banner is what the family says at boot; Quectel and SIMCom captures.
func (m *model) banner() []string {
	switch m.family {
	case quectel:
		lines := []string{"RDY", "+CFUN: 1", m.cpinURC()}
		if m.simReady() {
			lines = append(lines, "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE")
		}
		return lines
	case simcom:
		lines := []string{"RDY", m.cpinURC()}
		if m.simReady() {
			lines = append(lines, "SMS DONE", "PB DONE")
		}
		return lines
	}
	return []string{"RDY"}
}
