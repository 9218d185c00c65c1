package at

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// unruly is a modem that answers in order, as modems do, and otherwise does
// every wrong thing that issue reports tell of. Its answers carry the number of
// their question, so that a mix-up shows.
type unruly struct {
	rnd  *rand.Rand
	mu   sync.Mutex
	port modemSide
	urcs []string // sent, in order
	dead time.Time
	stop chan struct{}
	slow time.Duration // what a unit of its delays is; a millisecond in simulation
	text string        // the command that it waits for the text of
	did  map[string]int
}

// modemSide is the modem's end of a line.
type modemSide interface {
	send(s string)
	hears() <-chan string
	gone() <-chan struct{}
}

func (p *memPort) hears() <-chan string  { return p.heard }
func (p *memPort) gone() <-chan struct{} { return p.freed }

// The faults, by the names that issue reports give them. Each must have
// happened for the test to prove anything.
var faults = []string{
	"late answer", "no answer", "mute for a while", "reboot in mid-command", "echo", "CR only", "NUL bytes", "split line",
	"URC inside a reply", "URC with the reply's own prefix", "noise", "64 KiB of noise", "over-long line", "vendor final",
	"prompt", "prompt never comes", "error in place of a prompt",
}

// do counts a fault; modem and host both cause some.
func (u *unruly) do(fault string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.did[fault]++
}

func (u *unruly) send(s string) { u.on().send(s) }

// on is the port that is open now.
func (u *unruly) on() modemSide {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.port
}

// urc sends an unsolicited line; some carry the name of a reply.
func (u *unruly) urc() {
	line := fmt.Sprintf("+URC: %d", len(u.urcs))
	if u.rnd.IntN(2) == 0 {
		u.do("URC with the reply's own prefix")
		line = fmt.Sprintf("+Q: unsolicited,%d", len(u.urcs))
	}
	u.urcs = append(u.urcs, line)
	u.send("\r\n" + line + "\r\n")
}

func (u *unruly) noise() {
	n := []int{1, 7, 300, lineMax + 99, 64 << 10}[u.rnd.IntN(5)]
	if n > 1000 && u.rnd.IntN(10) != 0 {
		n = 30
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = 0x80 | byte(u.rnd.UintN(256))
		if u.rnd.IntN(8) == 0 {
			b[i] = "\x00\r\n\x07\x7f"[u.rnd.IntN(5)]
		}
	}
	u.do("noise")
	if n == 64<<10 {
		u.do("64 KiB of noise")
	}
	if n > lineMax && n < 64<<10 { // one line
		u.do("over-long line")
		b = bytes.Repeat([]byte{'x'}, n)
	}
	u.send(string(b) + "\r\n")
}

func wanted(cmd string) []string {
	name, arg, _ := strings.Cut(strings.TrimPrefix(cmd, "AT"), "=")
	n, _ := strconv.Atoi(arg)
	switch {
	case name == "+P" && n%4 == 0:
		return []string{fmt.Sprintf("+CMS ERROR: %d", n)}
	case name == "+P":
		return []string{fmt.Sprintf("+P: %d", n), "OK"}
	case name == "+S" && n%3 == 0:
		return []string{"ERROR"}
	case name == "+S":
		return []string{"OK"}
	case n%5 == 0:
		return []string{fmt.Sprintf("+CME ERROR: %d", n)}
	case n%7 == 0:
		return []string{"COMMAND NOT SUPPORT"}
	}
	return []string{fmt.Sprintf("%s: %d", name, n), fmt.Sprintf("%s: more,%d", name, n), "OK"}
}

// refusedPrompt is the final result of a command that takes a text, when it
// comes before the prompt.
func refusedPrompt(cmd string) string {
	_, arg, _ := strings.Cut(cmd, "=")
	return "+CMS ERROR: 5" + arg
}

func (u *unruly) run() {
	for {
		p := u.on()
		var cmd string
		select {
		case <-u.stop:
			return
		case cmd = <-p.hears():
		case <-p.gone(): // a new port follows
			time.Sleep(time.Millisecond)
			continue
		case <-time.After(time.Duration(u.rnd.IntN(3000)) * u.slow):
			u.urc()
			continue
		}
		if time.Now().Before(u.dead) {
			continue
		}
		if strings.Contains(cmd, "\x1b") && u.text != "" {
			u.text = ""
			u.send("\r\nOK\r\n")
			continue
		}
		cmd = strings.TrimSpace(strings.TrimLeft(cmd, "\x1b"))
		if cmd == "" {
			continue
		}
		if u.text != "" { // whatever it is, the modem takes it for the text
			if !strings.HasSuffix(cmd, "\x1a") {
				continue
			}
			cmd, u.text = u.text, ""
		} else if strings.HasPrefix(cmd, "AT+P=") {
			switch u.rnd.IntN(4) {
			case 0:
				u.do("prompt never comes")
				u.text = cmd
				continue
			case 1:
				u.do("error in place of a prompt")
				u.send("\r\n" + refusedPrompt(cmd) + "\r\n")
				continue
			}
			u.do("prompt")
			u.text = cmd
			u.send("\r\n> ")
			continue
		}
		u.answer(cmd)
	}
}

func (u *unruly) answer(cmd string) {
	sleep := func(maxUnits int) { time.Sleep(time.Duration(1+u.rnd.IntN(maxUnits)) * u.slow) }
	sleep(50)
	switch u.rnd.IntN(40) {
	case 0: // past any timeout used here
		u.do("late answer")
		sleep(12_000)
	case 1:
		u.do("no answer")
		return
	case 2: // everything heard in it is gone
		u.do("mute for a while")
		u.dead = time.Now().Add(time.Duration(u.rnd.IntN(40_000)) * u.slow)
		return
	case 3:
		u.do("reboot in mid-command")
		sleep(3000)
		line := "RDY"
		u.urcs = append(u.urcs, line)
		u.send("\x00\r\n" + line + "\r\n")
		return
	}
	if u.rnd.IntN(3) == 0 {
		u.do("echo")
		u.send(cmd + "\r")
	}
	var lines []string
	switch cmd {
	case "AT":
		lines = []string{"OK"}
	case "AT+CMEE?", "AT+CFUN?", "AT+CSCS?", "AT+CMGF?":
		lines = []string{strings.TrimSuffix(cmd[2:], "?") + ": 1", "OK"}
	default:
		lines = wanted(cmd)
	}
	if lines[0] == "COMMAND NOT SUPPORT" {
		u.do("vendor final")
	}
	end := u.rnd.IntN(4)
	switch end {
	case 1:
		u.do("CR only")
	case 3:
		u.do("NUL bytes")
	}
	for i, line := range lines {
		if u.rnd.IntN(6) == 0 {
			if i > 0 {
				u.do("URC inside a reply")
			}
			u.urc()
		}
		if u.rnd.IntN(12) == 0 {
			u.noise()
		}
		port := u.on() // half a line on the next port would be a line that nobody sent
		if u.rnd.IntN(4) == 0 {
			u.do("split line")
			cut := u.rnd.IntN(len(line))
			port.send(line[:cut])
			sleep(120)
			line = line[cut:]
		}
		port.send(line + []string{"\r\n", "\r", "\r\n\r\n", "\x00\r\n"}[end])
		if u.rnd.IntN(5) == 0 {
			sleep(80)
		}
	}
}

// isTestURC is the shape rule of this modem's one ambiguous line.
func isTestURC(line, _ string, _ int) bool {
	return strings.HasPrefix(line, "+URC:") || strings.Contains(line, "unsolicited") || line == "RDY"
}

var oneSeed = flag.Int("seed", -1, "run and trace one seed only")

const (
	propertySeeds    = 2500
	commandsPerSeed  = 25
	propertyTimeouts = 4 // seconds, at most
	// propertyBound is what a call may take beyond its own timeout: the proof
	// before it, or a write that is stuck, and some scheduling.
	propertyBound = ResyncBound + time.Second
)

// host asks an unruly modem and checks what it is credited with.
type host struct {
	fatal     func(format string, args ...any)
	seed      int
	rnd       *rand.Rand
	u         *unruly
	open      func() *Dialogue // a new line to the same modem
	simulated bool             // in simulated time, so that a time can be judged
	stick     func()           // makes writes of the present line block; nil: cannot

	d       *Dialogue
	got     []string // unsolicited, of all lines
	wait    sync.WaitGroup
	opens   int
	asked   int
	ok      int
	reopens int
	slowest time.Duration
	total   Counters
}

func (h *host) connect() {
	h.opens++
	h.d = h.open()
	urcs := h.d.Unsolicited()
	h.wait.Go(func() {
		for l := range urcs {
			if l.Text[0] < 0x80 { // random bytes may spell a word
				h.got = append(h.got, l.Text)
			}
		}
	})
}

func (h *host) disconnect() {
	if err := h.d.Close(); err != nil && !errors.Is(err, ErrWriteBlocked) {
		h.fatal("seed %d: close: %v", h.seed, err)
	}
	h.wait.Wait()
	c := h.d.Counters()
	h.total.Timeouts += c.Timeouts
	h.total.Late += c.Late
	h.total.Resyncs += c.Resyncs
	h.total.Reboots += c.Reboots
	h.total.NoiseBytes += c.NoiseBytes
	h.total.LongLines += c.LongLines
	h.total.URCs += c.URCs
	h.total.Commands += c.Commands
	h.total.OutOfStep += c.OutOfStep
}

// run asks n commands. settle is called before a line is closed: bytes in a
// closed port are gone.
func (h *host) run(n int, maxTimeout time.Duration, settle func()) {
	h.connect()
	running := make(chan struct{})
	go func() { defer close(running); h.u.run() }()
	for i := range n {
		if h.stick != nil && h.rnd.IntN(60) == 0 {
			h.u.do("blocked write")
			h.stick()
		}
		h.command(1+i, time.Duration(1+h.rnd.IntN(int(maxTimeout/second)))*second, settle)
		if h.rnd.IntN(5) == 0 {
			time.Sleep(time.Duration(h.rnd.IntN(5000)) * h.u.slow)
		}
	}
	close(h.u.stop)
	<-running
	settle()
	h.disconnect()
	if strings.Join(h.got, "|") != strings.Join(h.u.urcs, "|") && (h.opens == 1 || !inOrder(h.got, h.u.urcs)) {
		h.fatal("seed %d: unsolicited\n got %q\nwant %q", h.seed, h.got, h.u.urcs)
	}
}

func (h *host) command(n int, timeout time.Duration, settle func()) {
	cmd := fmt.Sprintf("AT+%s=%d", []string{"Q", "S", "R", "P"}[h.rnd.IntN(4)], n)
	h.asked++
	start := time.Now()
	var lines []string
	var err error
	if strings.HasPrefix(cmd, "AT+P") {
		lines, err = h.d.SMSPrompt(context.Background(), cmd, "00FAKE", timeout)
	} else {
		lines, err = h.d.Command(context.Background(), cmd, timeout)
	}
	took := time.Since(start)
	h.slowest = max(h.slowest, took)
	if h.simulated && took > max(timeout, writeTimeout)+propertyBound {
		h.fatal("seed %d: %s took %v", h.seed, cmd, took)
	}
	switch {
	case err == nil:
		h.ok++
		var real []string // random bytes may spell a word now and then
		for _, l := range lines[:len(lines)-1] {
			if linePrefix(l) != "" {
				real = append(real, l)
			}
		}
		real = append(real, lines[len(lines)-1])
		said := strings.Join(real, "|")
		if said != strings.Join(wanted(cmd), "|") && !(strings.HasPrefix(cmd, "AT+P") && said == refusedPrompt(cmd)) {
			h.fatal("seed %d: %s was credited with %q, its answer is %q", h.seed, cmd, lines, wanted(cmd))
		}
	case errors.Is(err, ErrLost), errors.Is(err, ErrWriteBlocked):
		h.reopens++
		settle()
		h.disconnect()
		h.connect()
	case errors.Is(err, ErrTimeout), errors.Is(err, ErrRebooted), errors.Is(err, ErrOutOfStep):
	default:
		h.fatal("seed %d: %s: %v", h.seed, cmd, err)
	}
}

// The promise of this package: an answer is never credited to another
// question, unsolicited lines arrive once and in order, and after any fault the
// line is in step again or lost within the bound.
func TestNeverOutOfStep(t *testing.T) {
	t.Parallel()
	seeds := propertySeeds
	if testing.Short() {
		seeds /= 20
	}
	sum := &tally{did: map[string]int{}}
	for seed := range seeds {
		if *oneSeed >= 0 && seed != *oneSeed {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			u := newUnruly(seed, time.Millisecond)
			cut := rand.New(rand.NewPCG(uint64(seed), 9))
			var port *memPort
			h := &host{fatal: t.Fatalf, simulated: true, seed: seed, u: u, rnd: rand.New(rand.NewPCG(uint64(seed), 8))}
			h.stick = func() {
				port.mu.Lock()
				defer port.mu.Unlock()
				port.stuck = true
			}
			h.open = func() *Dialogue {
				port = newMemPort()
				port.chop = func(n int) int { return 1 + cut.IntN(n) } // split and merged reads
				u.mu.Lock()
				u.port = port
				u.mu.Unlock()
				opt := Options{IsURC: isTestURC}
				if *oneSeed >= 0 {
					began := time.Now()
					opt.Trace = func(dir byte, at time.Time, line string) {
						t.Logf("%8.3f %c %.60q", at.Sub(began).Seconds(), dir, line)
					}
				}
				return New(port, opt)
			}
			h.run(commandsPerSeed, propertyTimeouts*second, func() {
				time.Sleep(time.Second)
				synctest.Wait()
			})
			sum.add(h)
		})
	}
	sum.check(t, append(faults, "blocked write"), seeds/25)
}

func newUnruly(seed int, slow time.Duration) *unruly {
	return &unruly{rnd: rand.New(rand.NewPCG(uint64(seed), 7)), stop: make(chan struct{}), slow: slow, did: map[string]int{}}
}

// tally is what all seeds came to.
type tally struct {
	mu                  sync.Mutex
	asked, ok, reopens  int
	slowest             time.Duration
	late, reboots, urcs int
	did                 map[string]int
}

func (s *tally) add(h *host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked += h.asked
	s.ok += h.ok
	s.reopens += h.reopens
	s.slowest = max(s.slowest, h.slowest)
	s.late += h.total.Late
	s.reboots += h.total.Reboots
	s.urcs += h.total.URCs
	for f, n := range h.u.did {
		s.did[f] += n
	}
}

// check refuses a run that was too tame to prove anything: each fault happened
// at least so many times.
func (s *tally) check(t *testing.T, faults []string, least int) {
	t.Helper()
	t.Logf("%d commands, %d answered, %d re-opens, %d late lines swallowed, %d unsolicited, slowest call %v; faults %v",
		s.asked, s.ok, s.reopens, s.late, s.urcs, s.slowest, s.did)
	if *oneSeed >= 0 {
		return
	}
	for _, f := range faults {
		if s.did[f] < max(least, 1) {
			t.Errorf("%q happened %d times, want %d at least", f, s.did[f], max(least, 1))
		}
	}
	if s.late == 0 || s.ok < s.asked/2 || least > 1 && (s.reboots == 0 || s.reopens == 0) {
		t.Errorf("late %d, reboots %d, re-opens %d, answered %d of %d", s.late, s.reboots, s.reopens, s.ok, s.asked)
	}
}

// inOrder reports whether got is sent without some lines, in order and none
// twice: bytes that arrive between two ports are nobody's.
func inOrder(got, sent []string) bool {
	i := 0
	for _, g := range got {
		for i < len(sent) && sent[i] != g {
			i++
		}
		if i == len(sent) {
			return false
		}
		i++
	}
	return true
}
