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
	port *memPort
	urcs []string // sent, in order
	dead time.Time
	stop chan struct{}
}

func (u *unruly) send(s string) { u.on().send(s) }

// on is the port that is open now.
func (u *unruly) on() *memPort {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.port
}

// urc sends an unsolicited line; some carry the name of a reply.
func (u *unruly) urc() {
	line := fmt.Sprintf("+URC: %d", len(u.urcs))
	if u.rnd.IntN(2) == 0 {
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
	if n > lineMax && n < 64<<10 { // one line
		b = bytes.Repeat([]byte{'x'}, n)
	}
	u.send(string(b) + "\r\n")
}

func wanted(cmd string) []string {
	name, arg, _ := strings.Cut(strings.TrimPrefix(cmd, "AT"), "=")
	n, _ := strconv.Atoi(arg)
	switch {
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

func (u *unruly) run() {
	for {
		p := u.on()
		var cmd string
		select {
		case <-u.stop:
			return
		case cmd = <-p.heard:
		case <-p.freed: // a new port follows
			time.Sleep(time.Millisecond)
			continue
		case <-time.After(time.Duration(u.rnd.IntN(3000)) * time.Millisecond):
			u.urc()
			continue
		}
		cmd = strings.TrimSpace(strings.TrimLeft(cmd, "\x1b"))
		if cmd == "" || time.Now().Before(u.dead) {
			continue
		}
		u.answer(cmd)
	}
}

func (u *unruly) answer(cmd string) {
	sleep := func(maxMS int) { time.Sleep(time.Duration(1+u.rnd.IntN(maxMS)) * time.Millisecond) }
	sleep(50)
	switch u.rnd.IntN(40) {
	case 0: // late, past any timeout used here
		sleep(12_000)
	case 1: // never answered
		return
	case 2: // mute for a while, everything heard in it is gone
		u.dead = time.Now().Add(time.Duration(u.rnd.IntN(40_000)) * time.Millisecond)
		return
	case 3: // reboot
		sleep(3000)
		line := "RDY"
		u.urcs = append(u.urcs, line)
		u.send("\x00\r\n" + line + "\r\n")
		return
	}
	if u.rnd.IntN(3) == 0 {
		u.send(cmd + "\r") // echo
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
	ends := []string{"\r\n", "\r", "\r\n\r\n", "\x00\r\n"}[u.rnd.IntN(4)]
	for _, line := range lines {
		if u.rnd.IntN(6) == 0 {
			u.urc()
		}
		if u.rnd.IntN(12) == 0 {
			u.noise()
		}
		port := u.on() // half a line on the next port would be a line that nobody sent
		if u.rnd.IntN(4) == 0 { // split
			cut := u.rnd.IntN(len(line))
			port.send(line[:cut])
			sleep(120)
			line = line[cut:]
		}
		port.send(line + ends)
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
)

// The promise of this package: an answer is never credited to another
// question, unsolicited lines arrive once and in order, and after any fault the
// line is in step again or lost within the bound.
func TestNeverOutOfStep(t *testing.T) {
	seeds := propertySeeds
	if testing.Short() {
		seeds /= 20
	}
	var total Counters
	asked, answered, reopened, opens := 0, 0, 0, 0
	var slowest time.Duration
	for seed := range seeds {
		if *oneSeed >= 0 && seed != *oneSeed {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			u := &unruly{rnd: rand.New(rand.NewPCG(uint64(seed), 7)), stop: make(chan struct{})}
			host := rand.New(rand.NewPCG(uint64(seed), 8))
			var got []string
			var d *Dialogue
			var wait sync.WaitGroup
			opens = 0
			open := func() {
				opens++
				port := newMemPort()
				cut := rand.New(rand.NewPCG(uint64(seed), 9))
				port.chop = func(n int) int { return 1 + cut.IntN(n) }
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
				d = New(port, opt)
				urcs := d.Unsolicited()
				wait.Go(func() {
					for l := range urcs {
						if l.Text[0] < 0x80 { // random bytes may spell a word
							got = append(got, l.Text)
						}
					}
				})
			}
			shut := func() {
				// Let what was sent be read: bytes in a closed port are gone.
				time.Sleep(time.Second)
				synctest.Wait()
				if err := d.Close(); err != nil {
					t.Fatalf("seed %d: close: %v", seed, err)
				}
				wait.Wait()
				c := d.Counters()
				total.Timeouts += c.Timeouts
				total.Late += c.Late
				total.Resyncs += c.Resyncs
				total.Reboots += c.Reboots
				total.NoiseBytes += c.NoiseBytes
				total.LongLines += c.LongLines
				total.URCs += c.URCs
				total.Commands += c.Commands
				total.DroppedURC += c.DroppedURC
				total.OutOfStep += c.OutOfStep
			}
			open()
			running := make(chan struct{})
			go func() { defer close(running); u.run() }()
			for i := range commandsPerSeed {
				cmd := fmt.Sprintf("AT+%s=%d", []string{"Q", "S", "R"}[host.IntN(3)], 1+i)
				timeout := time.Duration(1+host.IntN(propertyTimeouts)) * second
				asked++
				start := time.Now()
				lines, err := d.Command(context.Background(), cmd, timeout)
				took := time.Since(start)
				slowest = max(slowest, took)
				if took > timeout+ResyncBound+time.Second {
					t.Fatalf("seed %d: %s took %v", seed, cmd, took)
				}
				switch {
				case err == nil:
					answered++
					var real []string // random bytes may spell a word now and then
					for _, l := range lines[:len(lines)-1] {
						if linePrefix(l) != "" {
							real = append(real, l)
						}
					}
					real = append(real, lines[len(lines)-1])
					if want := wanted(cmd); strings.Join(real, "|") != strings.Join(want, "|") {
						t.Fatalf("seed %d: %s was credited with %q, its answer is %q", seed, cmd, lines, want)
					}
				case errors.Is(err, ErrLost):
					reopened++
					shut()
					open()
				case errors.Is(err, ErrTimeout), errors.Is(err, ErrRebooted), errors.Is(err, ErrOutOfStep):
				default:
					t.Fatalf("seed %d: %s: %v", seed, cmd, err)
				}
				if host.IntN(5) == 0 {
					time.Sleep(time.Duration(host.IntN(5000)) * time.Millisecond)
				}
			}
			close(u.stop)
			<-running
			shut()
			if strings.Join(got, "|") != strings.Join(u.urcs, "|") && (opens == 1 || !inOrder(got, u.urcs)) {
				t.Fatalf("seed %d: unsolicited\n got %q\nwant %q", seed, got, u.urcs)
			}
		})
	}
	t.Logf("%d commands, %d answered, %d re-opens, slowest call %v, %+v", asked, answered, reopened, slowest, total)
	if total.Late == 0 || total.Reboots == 0 || reopened == 0 || total.NoiseBytes == 0 || answered < asked/2 {
		t.Error("the test modem was too tame to prove anything")
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
