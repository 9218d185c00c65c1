package at

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	engine "github.com/warthog618/modem/at"
)

// What the engine was given and did not read before its time was up is thrown away: the
// next command's answer is its own.
func TestNothingIsLeftInTheEngine(t *testing.T) {
	line(t, Options{}, func(string) string { return "+CSQ: 20,99\r\nOK\r\n" }, func(t *testing.T, d *Dialogue, p *memPort) {
		for range 200 {
			d.mu.Lock()
			for range 3 {
				d.feed("+CSQ: 1,99")
				d.feed("OK")
			}
			d.mu.Unlock()
			synctest.Wait() // what is in the engine's hands is there
			d.mu.Lock()
			d.feed("+CSQ: 2,99")
			d.feed("OK")
			d.drain()
			d.mu.Unlock()
			if got, err := d.Command(t.Context(), "AT+CSQ", second); err != nil || !slices.Equal(got, []string{"+CSQ: 20,99", "OK"}) {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
}

// What comes back from the engine is what went in, whatever the text looks like.
func TestAnswerThroughTheEngine(t *testing.T) {
	for _, reply := range [][]string{
		{"OK"}, {"ERROR"}, {"+CME ERROR: 10"}, {"+CMS ERROR: 321"}, {"COMMAND NOT SUPPORT"},
		{"+X: 1", "OK"}, {"+X: 1", "+X: 2", "NOT KNOWN"}, {"> quoted", "ERRORS 0", "ATI", "OK"},
		{"CONNECTED", "text", "+CME ERROR: 3"}, {"+X: 1", "+CIS ERROR: 7"},
	} {
		opt := Options{Final: func(line string) (success, final bool) {
			if line == "NOT KNOWN" {
				return false, true
			}
			return DefaultFinal(line)
		}}
		line(t, opt, func(string) string { return strings.Join(reply, "\r\n") + "\r\n" }, func(t *testing.T, d *Dialogue, p *memPort) {
			if got, err := d.Command(t.Context(), "AT+X?", second); err != nil || !slices.Equal(got, reply) {
				t.Errorf("%q came back as %q, %v", reply, got, err)
			}
		})
	}
}

// alone is the engine over a port without the discipline, and the modem's side.
func alone(t *testing.T, test func(t *testing.T, a *engine.AT, p *memPort)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newMemPort()
		a := engine.New(p)
		test(t, a, p)
		p.Close()
		<-a.Closed()
	})
}

// The three that doc.go names. Should one of them fail with a later version of the
// engine, a part of this package may go.
func TestEngineAloneTakesALateAnswer(t *testing.T) {
	alone(t, func(t *testing.T, a *engine.AT, p *memPort) {
		if _, err := a.Command("+COPS?", engine.WithTimeout(second)); !errors.Is(err, engine.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		<-p.heard
		go func() {
			<-p.heard
			p.send("+COPS: 0,0,\"late\"\r\nOK\r\n" + "+CSQ: 20,99\r\nOK\r\n")
		}()
		got, err := a.Command("+CSQ", engine.WithTimeout(second))
		if err != nil || !slices.Equal(got, []string{`+COPS: 0,0,"late"`}) {
			t.Errorf("the late answer is no longer taken: %q, %v", got, err)
		}
	})
}

func TestEngineAloneGivesAURCTwice(t *testing.T) {
	alone(t, func(t *testing.T, a *engine.AT, p *memPort) {
		handled := make(chan []string, 1)
		if err := a.AddIndication("+CREG:", func(lines []string) { handled <- lines }); err != nil {
			t.Fatal(err)
		}
		go func() {
			<-p.heard
			p.send("+CREG: 5\r\n+CSQ: 20,99\r\nOK\r\n")
		}()
		got, err := a.Command("+CSQ", engine.WithTimeout(second))
		if u := <-handled; err != nil || !slices.Equal(got, []string{"+CREG: 5", "+CSQ: 20,99"}) || len(u) != 1 {
			t.Errorf("no longer in both: answer %q, handler %q, %v", got, u, err)
		}
	})
}

func TestEngineAloneRunsHandlersSideBySide(t *testing.T) {
	alone(t, func(t *testing.T, a *engine.AT, p *memPort) {
		two := make(chan struct{})
		done := make(chan string, 2)
		err := a.AddIndication("+N:", func(lines []string) {
			if lines[0] == "+N: 1" {
				<-two // one after the other, this would never end
			}
			done <- lines[0]
			if lines[0] == "+N: 2" {
				close(two)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		p.send("+N: 1\r\n+N: 2\r\n")
		if first := <-done; first != "+N: 2" {
			t.Errorf("%q first: handlers are no longer side by side", first)
		}
		<-done
	})
}
