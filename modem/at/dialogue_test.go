package at

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// line starts a dialogue with a modem that answers as reply says, in a bubble.
func line(t *testing.T, opt Options, reply func(cmd string) string, test func(t *testing.T, d *Dialogue, p *memPort)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		answering(p, ready(reply))
		d := New(p, opt)
		test(t, d, p)
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func drain(d *Dialogue) []string {
	synctest.Wait()
	var got []string
	for {
		select {
		case l := <-d.Unsolicited():
			got = append(got, l.Text)
		default:
			return got
		}
	}
}

func TestReplies(t *testing.T) {
	long := strings.Repeat("x", lineMax+1)
	tests := []struct {
		name, cmd, reply string
		want             []string // lines of the answer
		urcs             []string
	}{
		{"a read command", "AT+CSQ", "\r\n+CSQ: 20,99\r\n\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, nil},
		{"AT may be left out", "+CSQ", "\r\n+CSQ: 20,99\r\n\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, nil},
		{"echo on", "AT+CSQ", "AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, nil},
		{"lines that end in CR alone", "AT+CSQ", "\r+CSQ: 20,99\r\rOK\r", []string{"+CSQ: 20,99", "OK"}, nil},
		{"lines that end in LF alone", "AT+CSQ", "+CSQ: 20,99\nOK\n", []string{"+CSQ: 20,99", "OK"}, nil},
		{"NULs and stray bytes before OK", "AT+S=1", "\x00\x00\xff\x00OK\r\n", []string{"OK"}, nil},
		{"CME error is an answer", "AT+CPIN?", "\r\n+CME ERROR: 10\r\n", []string{"+CME ERROR: 10"}, nil},
		{"CMS error is an answer", "AT+CMGR=1", "\r\n+CMS ERROR: 321\r\n", []string{"+CMS ERROR: 321"}, nil},
		{"Huawei COMMAND NOT SUPPORT", "AT^X?", "\r\nCOMMAND NOT SUPPORT\r\n", []string{"COMMAND NOT SUPPORT"}, nil},
		{"TOO MANY PARAMETERS", "AT+X=1,2", "\r\nTOO MANY PARAMETERS\r\n", []string{"TOO MANY PARAMETERS"}, nil},
		{"Fibocom L610 CME text", "AT+ICCID", "\r\n+CME ERROR: Excute command failure\r\n", []string{"+CME ERROR: Excute command failure"}, nil},
		{"an answer without a name", "AT+CIMI", "\r\n460000000000001\r\n\r\nOK\r\n", []string{"460000000000001", "OK"}, nil},
		{"an answer with a cousin's name", "AT+QCCID", "\r\n+CCID: 89860000000000000000\r\n\r\nOK\r\n", []string{"+CCID: 89860000000000000000", "OK"}, nil},
		{"an answer with a declared name", "AT+UCGED?", "+UCGED: 5\r\n+RSRP: 1\r\nOK\r\n", []string{"+UCGED: 5", "+RSRP: 1", "OK"}, nil},
		{"ATI", "ATI", "Quectel\r\nEC25\r\nRevision: X\r\nOK\r\n", []string{"Quectel", "EC25", "Revision: X", "OK"}, nil},
		{"no line at all is right for a list", "AT+CGDCONT?", "\r\nOK\r\n", []string{"OK"}, nil},
		{"another's line inside a reply", "AT+CSQ", "\r\n+CGEV: NW DETACH\r\n+CSQ: 20,99\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, []string{"+CGEV: NW DETACH"}},
		{"the reply's own name, unsolicited", "AT+CEREG?", "\r\n+CEREG: 2 urc\r\n+CEREG: 2,1\r\nOK\r\n", []string{"+CEREG: 2,1", "OK"}, []string{"+CEREG: 2 urc"}},
		{"NO CARRIER of the data call beside us", "AT+CSQ", "\r\nNO CARRIER\r\n+CSQ: 20,99\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, []string{"NO CARRIER"}},
		{"NO CARRIER to a dial command", "ATD*99#", "\r\nNO CARRIER\r\n", []string{"NO CARRIER"}, nil},
		{"an SMS header keeps its PDU", "AT+CSQ", "\r\n+CMT: ,23\r\n0791FAKE\r\n+CSQ: 20,99\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, []string{"+CMT: ,23\n0791FAKE"}},
		{"an SMS header whose PDU was lost", "AT+CSQ", "\r\n+CMT: ,23\r\n+CSQ: 20,99\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, []string{"+CMT: ,23"}},
		{"an over-long line is dropped to its end", "AT+CSQ", "\r\n" + long + "\r\n+CSQ: 20,99\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, nil},
		{"64 KiB of noise", "AT+CSQ", strings.Repeat("\xfe\x81\x00\xe5", 16<<10) + "\r\n+CSQ: 20,99\r\nOK\r\n", []string{"+CSQ: 20,99", "OK"}, nil},
		{"a digit is data unless the modem speaks digits", "AT+X?", "4\r\nOK\r\n", []string{"4", "OK"}, nil},
		{"a prompt sign in a reply is text", "AT+X?", "> hello\r\nOK\r\n", []string{"> hello", "OK"}, nil},
		{"a verbose CCFC-like answer", "AT+CEER", "+CEER: No report available\r\nOK\r\n", []string{"+CEER: No report available", "OK"}, nil},
	}
	opt := Options{
		IsURC:   func(line, _ string, _ int) bool { return strings.HasSuffix(line, "urc") },
		Answers: map[string][]string{"+UCGED": {"+RSRP"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line(t, opt, func(string) string { return tt.reply }, func(t *testing.T, d *Dialogue, p *memPort) {
				got, err := d.Command(t.Context(), tt.cmd, second)
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("answer %q, %v, want %q", got, err, tt.want)
				}
				if urcs := drain(d); !slices.Equal(urcs, tt.urcs) {
					t.Errorf("unsolicited %q, want %q", urcs, tt.urcs)
				}
				// Nothing of it is left for the next command.
				if next, err := d.Command(t.Context(), "AT", second); err != nil || !slices.Equal(next, []string{"OK"}) {
					t.Errorf("next answer %q, %v", next, err)
				}
			})
		})
	}
}

func TestLateAnswerIsSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		go func() {
			for {
				select {
				case <-p.freed:
					return
				case s := <-p.heard:
					if strings.HasPrefix(s, "\x1b") {
						continue // no text is waited for
					}
					if s == "AT+COPS?\r" {
						time.Sleep(4 * second)
						p.send("+COPS: 0,2,\"46000\",7\r\nOK\r\n")
						continue
					}
					p.send(ready(func(string) string { return "+CSQ: 20,99\r\nOK\r\n" })(strings.TrimSpace(s)))
				}
			}
		}()
		d := New(p, Options{})
		defer d.Close()
		_, err := d.Command(t.Context(), "AT+COPS?", 2*second)
		if !errors.Is(err, ErrTimeout) || err.Error() != "at: +COPS?: no final result in time (2s)" {
			t.Fatalf("error %v", err)
		}
		for range 3 {
			got, err := d.Command(t.Context(), "AT+CSQ", 2*second)
			if err != nil || !slices.Equal(got, []string{"+CSQ: 20,99", "OK"}) {
				t.Fatalf("answer %q, %v", got, err)
			}
		}
		if urcs := drain(d); len(urcs) != 0 {
			t.Errorf("the late answer became unsolicited: %q", urcs)
		}
		if c := d.Counters(); c.Timeouts < 1 || c.Late == 0 || c.Resyncs != 1 {
			t.Errorf("counters %+v", c)
		}
	})
}

// The engine alone fails this: that is why the package exists.
func TestBareOKOfAnotherQuestion(t *testing.T) {
	first := true
	line(t, Options{}, func(cmd string) string {
		if first {
			first = false
			return "OK\r\n" // somebody else's
		}
		return "+CSQ: 20,99\r\nOK\r\n"
	}, func(t *testing.T, d *Dialogue, p *memPort) {
		if _, err := d.Command(t.Context(), "AT+CSQ", second); !errors.Is(err, ErrOutOfStep) {
			t.Errorf("a bare OK passed for a reading: %v", err)
		}
		if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || len(got) != 2 {
			t.Errorf("after it: %q, %v", got, err)
		}
	})
}

// Noise that reads like text must not stand in for the one line that the answer
// always has. (Found by a simulated day: +CFUN? "answered" with six words and OK.)
func TestNoiseIsNoReading(t *testing.T) {
	first := true
	line(t, Options{}, func(string) string {
		if first {
			first = false
			return "tKg\r\n6z0c\r\nlht'+CSQ: 20,99\r\nOK\r\n"
		}
		return "+CSQ: 20,99\r\nOK\r\n"
	}, func(t *testing.T, d *Dialogue, p *memPort) {
		if got, err := d.Command(t.Context(), "AT+CSQ", second); !errors.Is(err, ErrOutOfStep) {
			t.Errorf("noise passed for a reading: %q, %v", got, err)
		}
		if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || len(got) != 2 {
			t.Errorf("after it: %q, %v", got, err)
		}
	})
}

func TestRebootEndsTheCommand(t *testing.T) {
	for _, banner := range DefaultBanners {
		line(t, Options{}, func(string) string { return "\x00\x00\r\n" + banner + "\r\n" }, func(t *testing.T, d *Dialogue, p *memPort) {
			start := time.Now()
			if _, err := d.Command(t.Context(), "AT+CSQ", 60*second); !errors.Is(err, ErrRebooted) {
				t.Errorf("%s: %v", banner, err)
			}
			if took := time.Since(start); took > second {
				t.Errorf("%s: took %v", banner, took)
			}
			if urcs := drain(d); !slices.Equal(urcs, []string{banner}) {
				t.Errorf("%s: unsolicited %q", banner, urcs)
			}
		})
	}
}

func TestMuteModemIsLostWithinTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		d := New(p, Options{})
		start := time.Now()
		_, err := d.Command(t.Context(), "AT+CSQ", second)
		if !errors.Is(err, ErrLost) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took > ResyncBound {
			t.Errorf("took %v, bound %v", took, ResyncBound)
		}
		<-d.Done()
		if _, err := d.Command(t.Context(), "AT+CSQ", second); !errors.Is(err, ErrLost) {
			t.Errorf("a lost line answered: %v", err)
		}
		d.Close()
		for range len(p.heard) {
			if cmd := <-p.heard; strings.Contains(cmd, "Z") {
				t.Errorf("sent %q", cmd)
			}
		}
	})
}

func TestBlockedWriteDoesNotHoldTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		p.stuck = true
		d := New(p, Options{})
		start := time.Now()
		_, err := d.Command(t.Context(), "AT+CSQ", second)
		if !errors.Is(err, ErrWriteBlocked) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took > writeTimeout+second {
			t.Errorf("took %v", took)
		}
		<-d.Done()
		d.Close()
	})
}

func TestPortGone(t *testing.T) {
	line(t, Options{}, func(string) string { return "" }, func(t *testing.T, d *Dialogue, p *memPort) {
		time.AfterFunc(2*second, func() { p.Close() })
		_, err := d.Command(t.Context(), "AT+CSQ", 60*second)
		if !errors.Is(err, ErrLost) {
			t.Errorf("error %v", err)
		}
		if _, ok := <-d.Unsolicited(); ok {
			t.Error("the queue stays open")
		}
	})
}

func TestReadsOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		p.empty = 200 // bufio gives up after 100 of these
		answering(p, ready(func(string) string { return "+CSQ: 20,99\r\nOK\r\n" }))
		d := New(p, Options{})
		defer d.Close()
		if got, err := d.Command(t.Context(), "AT+CSQ", 10*second); err != nil || len(got) != 2 {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestCancelledCommandLeavesNothing(t *testing.T) {
	slow := true
	line(t, Options{}, func(string) string {
		if slow {
			slow = false
			time.Sleep(3 * second)
			return "+CSQ: 1,99\r\nOK\r\n"
		}
		return "+CSQ: 2,99\r\nOK\r\n"
	}, func(t *testing.T, d *Dialogue, p *memPort) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*second)
		defer cancel()
		if _, err := d.Command(ctx, "AT+CSQ", 60*second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || got[0] != "+CSQ: 2,99" {
			t.Errorf("next: %q, %v", got, err)
		}
		gone, cancel2 := context.WithCancel(t.Context())
		cancel2()
		if _, err := d.Command(gone, "AT+CSQ", second); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || got[0] != "+CSQ: 2,99" {
			t.Errorf("after a command that was never sent: %q, %v", got, err)
		}
	})
}

func TestSMSPrompt(t *testing.T) {
	const pdu = "0011000000FF"
	tests := []struct {
		name, prompt, after string
		want                []string
		err                 error
	}{
		{"prompt and space", "\r\n> ", "\r\n+CMGS: 7\r\n\r\nOK\r\n", []string{"+CMGS: 7", "OK"}, nil},
		{"echo of command and text", "AT+CMGS=5\r\r\n> ", pdu + "\x1a\r\n+CMGS: 7\r\n\r\nOK\r\n", []string{"+CMGS: 7", "OK"}, nil},
		{"a URC between", "\r\n+CGEV: NW DETACH\r\n> ", "\r\n+CMGS: 7\r\nOK\r\n", []string{"+CMGS: 7", "OK"}, nil},
		{"refused at once", "\r\n+CMS ERROR: 304\r\n", "", []string{"+CMS ERROR: 304"}, nil},
		{"refused after the text", "\r\n> ", "\r\n+CMS ERROR: 38\r\n", []string{"+CMS ERROR: 38"}, nil},
		{"a prompt that never comes", "\r\n", "", nil, ErrTimeout},
		{"no end after the text", "\r\n> ", "\r\n", nil, ErrTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newMemPort()
				texting, escaped := false, false
				answering(p, func(cmd string) string {
					switch {
					case strings.HasPrefix(cmd, "\x1b"):
						escaped, texting = true, false
						return "\r\nOK\r\n"
					case cmd == pdu+"\x1a":
						return tt.after
					case texting:
						return "> " // all else is text to it
					case cmd == "AT+CMGS=5":
						texting = tt.err != nil
						return tt.prompt
					}
					return ready(func(string) string { return "ERROR\r\n" })(cmd)
				})
				d := New(p, Options{})
				defer d.Close()
				got, err := d.SMSPrompt(t.Context(), "AT+CMGS=5", pdu, 5*second)
				if !errors.Is(err, tt.err) || !slices.Equal(got, tt.want) {
					t.Errorf("answer %q, %v, want %q, %v", got, err, tt.want, tt.err)
				}
				if tt.err != nil && strings.Contains(err.Error(), "=5") {
					t.Errorf("the error shows parameters: %v", err)
				}
				if next, err := d.Command(t.Context(), "AT", second); err != nil || !slices.Equal(next, []string{"OK"}) {
					t.Errorf("next answer %q, %v", next, err)
				}
				if escaped != (tt.err != nil) {
					t.Errorf("escaped: %v", escaped)
				}
			})
		})
	}
}

// What stands in the port when it is opened may begin in the middle of a line.
func TestHalfALineAtOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		p.send("F: 1\r\nOK\r\n+CGEV: NW DETACH\r\n")
		answering(p, ready(func(string) string { return "+CSQ: 20,99\r\nOK\r\n" }))
		d := New(p, Options{IsURC: func(line, _ string, _ int) bool { return strings.HasPrefix(line, "+CGEV") }})
		defer d.Close()
		if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || len(got) != 2 {
			t.Errorf("%q, %v", got, err)
		}
		if urcs := drain(d); !slices.Equal(urcs, []string{"+CGEV: NW DETACH"}) {
			t.Errorf("unsolicited %q", urcs)
		}
	})
}

// A program that was killed while it sent a message leaves the modem waiting for
// the rest of the text; to it every AT is text.
func TestModemLeftInAMessageText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		texting := true
		answering(p, func(cmd string) string {
			if strings.HasPrefix(cmd, "\x1b") {
				texting = false
				return "\r\nOK\r\n"
			}
			if texting {
				return "\r\n> "
			}
			return ready(func(string) string { return "+CSQ: 20,99\r\nOK\r\n" })(cmd)
		})
		d := New(p, Options{})
		defer d.Close()
		if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || !slices.Equal(got, []string{"+CSQ: 20,99", "OK"}) {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestModemThatAnswersInDigits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		answering(p, func(cmd string) string {
			switch cmd {
			case "AT":
				return "0\r"
			case "AT+BAD":
				return "4\r"
			}
			return strings.TrimSuffix(cmd[2:], "?") + ": 1\r\n0\r"
		})
		d := New(p, Options{})
		defer d.Close()
		// The markers are answered under V0 too, so step is proved.
		if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || !slices.Equal(got, []string{"+CSQ: 1", "0"}) {
			t.Errorf("%q, %v", got, err)
		}
		if got, err := d.Command(t.Context(), "AT+BAD", second); err != nil || !slices.Equal(got, []string{"4"}) {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestModemThatPassesOverMarkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		answering(p, func(cmd string) string {
			if cmd == "AT" {
				return "OK\r\n"
			}
			if cmd == "AT+CSQ" {
				return "+CSQ: 20,99\r\nOK\r\n"
			}
			return ""
		})
		d := New(p, Options{})
		defer d.Close()
		if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || len(got) != 2 {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestUnsolicitedQueueIsBounded(t *testing.T) {
	line(t, Options{}, func(string) string { return "OK\r\n" }, func(t *testing.T, d *Dialogue, p *memPort) {
		if _, err := d.Command(t.Context(), "AT", second); err != nil {
			t.Fatal(err)
		}
		const more = 10
		for i := range urcQueue + more {
			p.send(fmt.Sprintf("+URC: %d\r\n", i))
		}
		got := drain(d)
		if len(got) != urcQueue || got[0] != fmt.Sprintf("+URC: %d", more) {
			t.Errorf("%d lines, first %q", len(got), got[0])
		}
		if c := d.Counters(); c.DroppedURC != more || c.URCs != urcQueue+more {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestLinesAreStampedOnArrival(t *testing.T) {
	line(t, Options{}, func(string) string { return "OK\r\n" }, func(t *testing.T, d *Dialogue, p *memPort) {
		time.Sleep(3 * second)
		sent := time.Now()
		p.send("+CGEV: NW DETACH\r\n")
		synctest.Wait()
		time.Sleep(5 * second) // a slow owner
		if l := <-d.Unsolicited(); !l.At.Equal(sent) {
			t.Errorf("stamped %v after it was sent", l.At.Sub(sent))
		}
	})
}

func TestTraceIsInOrder(t *testing.T) {
	var got []string
	opt := Options{Trace: func(dir byte, _ time.Time, line string) { got = append(got, string(dir)+line) }}
	line(t, opt, func(string) string { return "AT+CSQ\r+CGEV: NW DETACH\r\n+CSQ: 20,99\r\nOK\r\n" }, func(t *testing.T, d *Dialogue, p *memPort) {
		if _, err := d.Command(t.Context(), "AT+CSQ", second); err != nil {
			t.Fatal(err)
		}
		want := []string{">AT+CSQ", "~AT+CSQ", "!+CGEV: NW DETACH", "<+CSQ: 20,99", "<OK"}
		if len(got) < len(want) || !slices.Equal(got[len(got)-len(want):], want) {
			t.Errorf("trace %q", got)
		}
	})
}

func TestControlCharactersAreRefused(t *testing.T) {
	line(t, Options{}, func(string) string { return "OK\r\n" }, func(t *testing.T, d *Dialogue, p *memPort) {
		if _, err := d.Command(t.Context(), "AT+CPIN=\"1\"\r\nAT+X", second); err == nil || strings.Contains(err.Error(), "\"1\"") {
			t.Errorf("error %v", err)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add("\r\n+CSQ: 20,99\r\n\r\nOK\r\n")
	f.Add("> \x1a\x00\xffRDY\r\n+CMT: ,1\r\n")
	f.Add("OK\rOK\r0\r\nNO CARRIER\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		d := &Dialogue{opt: Options{Final: DefaultFinal, IsURC: isTestURC, Banners: DefaultBanners, Trace: func(byte, time.Time, string) {}}, urcs: make(chan Line, urcQueue)}
		d.fill = sync.NewCond(&d.mu)
		x := &exchange{cmd: "AT+CSQ", names: []string{"+CSQ"}, written: true}
		d.now = x
		d.take([]byte(s), time.Now())
		fed := strings.Split(strings.TrimSuffix(string(d.toEngine), "\r\n"), "\r\n")
		for _, l := range fed {
			if len(l) > 3*lineMax || strings.ContainsAny(l, "\r\n\x00") {
				t.Errorf("line %q", l)
			}
		}
		if x.ended && x.err == nil {
			last := fed[len(fed)-1]
			if _, final := d.opt.Final(last); !final {
				t.Errorf("ended by %q", fed)
			}
			if n := len(fed) - 1; n != x.fed && fed[0] != x.cmd { // less the echo
				t.Errorf("%d lines counted of %q", x.fed, fed)
			}
		}
	})
}
