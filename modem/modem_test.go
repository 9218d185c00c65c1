package modem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/modem/at"
	"cellwarden/modem/modemtest"
	"cellwarden/modem/threegpp"
)

func scenario(t testing.TB, text string) *modemtest.Scenario {
	t.Helper()
	sc, err := modemtest.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// play opens a simulated modem in a bubble.
func play(t *testing.T, sc *modemtest.Scenario, test func(t *testing.T, m *Modem, p *modemtest.PipePort)) {
	t.Helper()
	playRecorded(t, sc, nil, test)
}

func playRecorded(t *testing.T, sc *modemtest.Scenario, rec *Recorder, test func(t *testing.T, m *Modem, p *modemtest.PipePort)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p := modemtest.Pipe(ctx, sc, modemtest.NewClock(1))
		m, err := Open(ctx, Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return p, nil }, Recorder: rec})
		if err != nil {
			t.Fatal(err)
		}
		test(t, m, p)
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

const ec20 = "an EC20\n-- device --\nprofile quectel-ec2x\nmanufacturer Quectel\nmodel EC20F\nrevision EC20CEFAGR06A05M4G\ncarrier 460-00\n" +
	"-- modem --\nsim ready\nreg home\nsignal rsrp=-88 rsrq=-9 sinr=14\nsession active addr=10.63.118.204\n"

func facts[T threegpp.Fact](answers []Answer) []T {
	var found []T
	for _, a := range answers {
		for _, f := range a.Facts {
			if v, ok := f.(T); ok {
				found = append(found, v)
			}
		}
	}
	return found
}

func TestPollOfAHealthyEC20(t *testing.T) {
	play(t, scenario(t, ec20), func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
		if id := m.Identity(); id.Manufacturer != "Quectel" || id.Model != "EC20F" || id.Revision != "EC20CEFAGR06A05M4G" {
			t.Errorf("identity %+v", id)
		}
		if got := m.Profile().Name; got != "quectel-ec2x" {
			t.Errorf("profile %s", got)
		}
		answers, err := m.Init(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(answers, func(a Answer) bool { return a.Command == "AT+CMEE=1" && a.Accepted() }) {
			t.Errorf("no +CMEE=1 in %v", answers)
		}
		var all []Answer
		for _, q := range DefaultPoll {
			answers := m.Ask(t.Context(), q)
			for _, a := range answers {
				if a.Query != q || a.Err != nil || a.Took < 0 {
					t.Errorf("%s: %+v", q, a)
				}
			}
			all = append(all, answers...)
		}
		if f := facts[threegpp.Functionality](all); len(f) != 1 || f[0].Level != 1 {
			t.Errorf("functionality %v", f)
		}
		if f := facts[threegpp.SIM](all); len(f) != 1 || f[0].State != threegpp.SIMReady {
			t.Errorf("sim %v", f)
		}
		if f := facts[threegpp.Registration](all); len(f) != 3 || f[0].Domain != threegpp.EPS || f[0].Stat != threegpp.RegHome {
			t.Errorf("registration %v", f)
		}
		if f := facts[threegpp.ServingCell](all); len(f) == 0 || f[0].PLMN != "46000" {
			t.Errorf("cell %v", f)
		}
		if f := facts[threegpp.Attach](all); len(f) != 1 || !f[0].Attached {
			t.Errorf("attach %v", f)
		}
		if f := facts[threegpp.Unparsed](all); len(f) != 0 {
			t.Errorf("unparsed %v", f)
		}
	})
}

// What Init refuses to do without is nothing: a modem that refuses a mode is
// asked for the next lower one, and kept whatever it says.
func TestInitFallsBack(t *testing.T) {
	sc := scenario(t, ec20+"+CEREG=5 -> ERROR\n+CEREG=3 -> +CME ERROR: 3\n+CEREG=2 -> OK\n+CGEREP=2,1 -> ERROR\n+CGEREP=1,0 -> ERROR\n+CNEC=24 -> ERROR\n+CREG=3 -> OK\n+CGREG=3 -> OK\n")
	play(t, sc, func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
		answers, err := m.Init(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range answers {
			if a.Query != Setup || a.Err != nil {
				t.Errorf("%+v", a)
			}
			got = append(got, fmt.Sprintf("%s %v", a.Command, a.Accepted()))
		}
		want := []string{"ATE0 true", "AT+CMEE=1 true", "AT+CEREG=5 false", "AT+CEREG=3 false", "AT+CEREG=2 true", "AT+CGREG=3 true", "AT+CREG=3 true",
			"AT+CGEREP=2,1 false", "AT+CGEREP=1,0 false", "AT+CNEC=24 false", "AT+COPS=3,2 true", "AT+CMGF=0 true", "AT+CNMI? true", "AT+CNMI=2,1 true"}
		if !slices.Equal(got, want) {
			t.Errorf("init\n got %q\nwant %q", got, want)
		}
	})
}

// New messages are announced unless a program before us has chosen how.
func TestInitLeavesARoutingOfMessagesAlone(t *testing.T) {
	for answer, want := range map[string]bool{"+CNMI: 0,0,0,0,0": true, "+CNMI: 2,2,0,0,0": false, "+CNMI: 1,1,0,0,0": false} {
		play(t, scenario(t, ec20+"+CNMI? -> "+answer+" | OK\n"), func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
			answers, err := m.Init(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if set := slices.ContainsFunc(answers, func(a Answer) bool { return a.Command == "AT+CNMI=2,1" }); set != want {
				t.Errorf("%s: set %v, want %v", answer, set, want)
			}
		})
	}
}

// Everything that a whole run sends, seen from the modem's side.
func TestNothingHarmfulIsSent(t *testing.T) {
	rec := NewRecorder()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p := modemtest.Pipe(ctx, scenario(t, ec20), modemtest.NewClock(1))
		m, err := Open(ctx, Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return p, nil }, Recorder: rec})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if _, err := m.Init(ctx); err != nil {
			t.Fatal(err)
		}
		for _, q := range append([]Query{Identify, Presence, ICCID, IMSI, IMEI, APN, Backoff, Locks, Counters, Temperature, SMS, Clock}, DefaultPoll...) {
			m.Ask(ctx, q)
		}
	})
	records, _ := rec.Records()
	sent := 0
	for _, r := range records {
		if r.Kind != at.Sent {
			continue
		}
		sent++
		for _, bad := range []string{"ATZ", "AT&", "ATD", "ATH", "+COPS=0", "+COPS=1", "+COPS=2", "+COPS=?", "+CFUN=", "+CGATT=", "+CGACT=", "+CGDCONT=", "+CPIN=", "+CMGD"} {
			if strings.HasPrefix(strings.TrimPrefix(r.Line, "AT"), strings.TrimPrefix(bad, "AT")) {
				t.Errorf("sent %q", r.Line)
			}
		}
	}
	if sent < 30 {
		t.Errorf("only %d commands", sent)
	}
}

func TestRefusalIsAFact(t *testing.T) {
	play(t, scenario(t, ec20+"+CPIN? -> +CME ERROR: 10\n"), func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
		a := m.Ask(t.Context(), SIM)
		if f := facts[threegpp.SIM](a); len(f) != 1 || f[0].State != threegpp.SIMAbsent || a[0].Err != nil {
			t.Errorf("%+v", a)
		}
	})
}

func TestSilenceIsAFact(t *testing.T) {
	play(t, scenario(t, ec20+"+COPS? -> silence\n"), func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
		a := m.Ask(t.Context(), Operator)
		if f := facts[threegpp.Silence](a); len(f) != 1 || f[0].Command != "AT+COPS?" {
			t.Errorf("%+v", a)
		}
		if !errors.Is(a[0].Err, at.ErrTimeout) || a[0].Took != 5*time.Second {
			t.Errorf("%v after %v", a[0].Err, a[0].Took)
		}
		if a := m.Ask(t.Context(), SIM); len(facts[threegpp.SIM](a)) != 1 {
			t.Errorf("the next question: %+v", a)
		}
	})
}

// modem.command_timeout holds where the profile names no time of its own.
func TestTimeoutOfTheConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p := modemtest.Pipe(ctx, scenario(t, ec20+"+COPS? -> silence\n+QIACT? -> silence\n"), modemtest.NewClock(1))
		m, err := Open(ctx, Spec{Timeout: 2 * time.Second, Opener: func(context.Context) (io.ReadWriteCloser, error) { return p, nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if a := m.Ask(ctx, Operator); a[0].Took != 2*time.Second {
			t.Errorf("+COPS? timed out after %v", a[0].Took)
		}
		if a := m.Ask(ctx, Contexts); a[1].Took != 10*time.Second { // as the profile of EC2x says
			t.Errorf("%s timed out after %v", a[1].Command, a[1].Took)
		}
	})
}

func TestQueryThatTheFamilyCannotAnswer(t *testing.T) {
	play(t, scenario(t, "a stranger\n-- device --\nmanufacturer Nobody\nmodel N1\n-- modem --\nreg home\n"), func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
		if m.Profile().Name != "3gpp" {
			t.Errorf("profile %s", m.Profile().Name)
		}
		a := m.Ask(t.Context(), Cell)
		if len(a) != 1 || !errors.Is(a[0].Err, ErrNotSupported) || a[0].Err.Error() != "modem: cell: this family of modems cannot tell (profile 3gpp)" {
			t.Errorf("%+v", a)
		}
	})
}

// The time from a mute modem to the loss of its line, and from there to the
// verdict of a re-open, stays within what the README promises.
func TestMuteModem(t *testing.T) {
	play(t, scenario(t, ec20), func(t *testing.T, m *Modem, p *modemtest.PipePort) {
		if _, err := m.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Do("mute"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		silences := 0
		for _, q := range DefaultPoll {
			a := m.Ask(t.Context(), q)
			silences += len(facts[threegpp.Silence](a))
			if m.Err() != nil {
				break
			}
		}
		<-m.Done()
		if silences < 2 || !errors.Is(m.Err(), at.ErrLost) {
			t.Errorf("%d silences, %v", silences, m.Err())
		}
		m.Close()
		again, err := p.Reopen()
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return again, nil }})
		if !errors.Is(err, ErrNoAnswer) {
			t.Errorf("re-open: %v", err)
		}
		if took := time.Since(start); took > 25*time.Second {
			t.Errorf("a mute modem took %v", took)
		}
	})
}

// garbage is a port behind which something other than a modem talks.
type garbage struct {
	io.Writer
	text string
	done chan struct{}
}

func (g *garbage) Read(b []byte) (int, error) {
	select {
	case <-g.done:
		return 0, io.EOF
	case <-time.After(100 * time.Millisecond):
		return copy(b, g.text), nil
	}
}
func (g *garbage) Close() error { close(g.done); return nil }

func TestNotAModem(t *testing.T) {
	for _, tt := range []struct{ name, says, want string }{
		{"silence", "", "modem: port: no modem answers: not the modem's AT port, or the modem is off or hangs"},
		{"garbage", "\x8f\x91\xfe\xf0\xc3\r", "modem: port: no modem answers: it sends bytes that are no AT answers: wrong port or wrong speed"},
		{"a GPS receiver", "$GNRMC,,V,,,,,,,,,,N*4D\r\n", "modem: port: no modem answers: it sends lines that are no AT answers: wrong port, this is not the AT one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				port := &garbage{Writer: io.Discard, text: tt.says, done: make(chan struct{})}
				start := time.Now()
				_, err := Open(t.Context(), Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return port, nil }})
				if !errors.Is(err, ErrNoAnswer) || err.Error() != tt.want {
					t.Errorf("error %v\nwant  %s", err, tt.want)
				}
				if took := time.Since(start); took > openBound+time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestRestartRepeatsInit(t *testing.T) {
	play(t, scenario(t, ec20), func(t *testing.T, m *Modem, p *modemtest.PipePort) {
		if _, err := m.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := m.Ask(t.Context(), SIM); len(a) != 1 {
			t.Errorf("%+v", a)
		}
		if err := p.Do("reboot"); err != nil {
			t.Fatal(err)
		}
		var restarted bool
		for !restarted {
			for _, f := range (<-m.Unsolicited()).Facts {
				_, ok := f.(threegpp.Restarted)
				restarted = restarted || ok
			}
		}
		time.Sleep(30 * time.Second)
		a := m.Ask(t.Context(), SIM)
		if len(a) < 8 || a[0].Query != Setup || a[len(a)-1].Query != SIM {
			t.Errorf("%d answers: %+v", len(a), a)
		}
		if a := m.Ask(t.Context(), SIM); len(a) != 1 {
			t.Errorf("init once more: %+v", a)
		}
	})
}

func TestEventsComeOnce(t *testing.T) {
	play(t, scenario(t, ec20+"-- script --\n20s reg denied cause=7\n"), func(t *testing.T, m *Modem, p *modemtest.PipePort) {
		if _, err := m.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		var denied []threegpp.Registration
		for range len(m.Unsolicited()) {
			for _, f := range (<-m.Unsolicited()).Facts {
				if r, ok := f.(threegpp.Registration); ok && r.Domain == threegpp.EPS && r.Stat == threegpp.RegDenied {
					denied = append(denied, r)
				}
			}
		}
		if len(denied) != 1 || !denied[0].URC || denied[0].Cause != (threegpp.RejectCause{Protocol: threegpp.EMM, Number: 7}) {
			t.Errorf("%+v", denied)
		}
	})
}

func TestIdentitiesAreMasked(t *testing.T) {
	const imsi, iccid, imei = "460001234567890", "89860012345678901234", "861234567890123"
	rec := NewRecorder()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		sc := scenario(t, ec20+"+CIMI -> "+imsi+" | OK\n+QCCID -> +QCCID: "+iccid+" | OK\n+CGSN -> "+imei+" | OK\n")
		p := modemtest.Pipe(ctx, sc, modemtest.NewClock(1))
		m, err := Open(ctx, Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return p, nil }, Recorder: rec})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		var all []Answer
		for _, q := range []Query{IMSI, ICCID, IMEI} {
			all = append(all, m.Ask(ctx, q)...)
		}
		all = append(all, m.Do(ctx, `AT+CPIN="4321"`, time.Second)...)
		all = append(all, m.SendSMS(ctx, "+8613912345678", "hello")...)
		if f := facts[threegpp.IMSI](all); len(f) != 1 || f[0].Value != imsi {
			t.Errorf("the fact lost its value: %v", f)
		}
		text := fmt.Sprintf("%v", all)
		for _, a := range all {
			text += a.Command + strings.Join(a.Lines, "\n") + fmt.Sprint(a.Err)
		}
		records, _ := rec.Records()
		text += fmt.Sprint(records)
		for _, secret := range []string{imsi, iccid, imei, "4321\"", "3912345678", "hello"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is shown in %s", secret, text)
			}
		}
	})
}

func TestSendSMS(t *testing.T) {
	sc := scenario(t, ec20+"+CMGS=* [prompt] -> +CMGS: 7 | OK\n")
	play(t, sc, func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
		if a := m.SendSMS(t.Context(), "10001", "流量"); len(a) != 1 || !a[0].Accepted() {
			t.Errorf("%+v", a)
		}
		if a := m.SendSMS(t.Context(), "10001", strings.Repeat("0123456789", 30)); len(a) != 2 || !a[1].Accepted() {
			t.Errorf("two parts: %+v", a)
		}
		if a := m.SendSMS(t.Context(), "10001", strings.Repeat("0123456789", 60)); len(a) != 1 || a[0].Err == nil {
			t.Errorf("too long: %+v", a)
		}
		if a := m.USSD(t.Context(), `1",15;+CFUN=0`); len(a) != 1 || a[0].Err == nil {
			t.Errorf("USSD: %+v", a)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		spec Spec
		is   error
		want string
	}{
		{"nothing named", Spec{}, nil, "modem: neither a port nor a USB device is named"},
		{"no such profile", Spec{Port: "/dev/null", Profile: "nokia"}, nil, `modem: no profile is named "nokia"`},
		{"no such port", Spec{Port: dir + "/ttyUSB2"}, at.ErrNoPort, "at: open " + dir + "/ttyUSB2: no such port: is the modem plugged in and powered? (ls /dev/ttyUSB* /dev/ttyACM*)"},
		{"no such USB device", Spec{USB: at.USBMatch{Vendor: "2c7c"}, SysRoot: dir}, ErrNotFound, "modem: usb 2c7c:* interface *: no such modem on USB: is it plugged in and powered, and its driver loaded? (lsusb)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.MkdirAll(dir+"/class/tty", 0o700); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), tt.spec)
			if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
		})
	}
}

// A modem that comes and goes leaves nothing behind: synctest fails on a
// goroutine that outlives it, and their number must not grow with the re-opens.
// (Package at counts descriptors over real ptys.) CELLWARDEN_REOPENS=10000 shows
// it for more.
func TestReopens(t *testing.T) {
	reopens := 1000
	if n, err := strconv.Atoi(os.Getenv("CELLWARDEN_REOPENS")); err == nil {
		reopens = n
	}
	const goroutinesOfOne = 7 // one that is just ending is no leak
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p := modemtest.Pipe(ctx, scenario(t, ec20), modemtest.NewClock(1))
		rec := NewRecorder()
		before := 0
		for i := range reopens {
			m, err := Open(ctx, Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return p, nil }, Recorder: rec})
			if err != nil {
				t.Fatalf("open %d: %v", i, err)
			}
			if err := m.Close(); err != nil {
				t.Fatalf("close %d: %v", i, err)
			}
			if p, err = p.Reopen(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := runtime.NumGoroutine(); i == 0 {
				before = n
			} else if n > before+goroutinesOfOne {
				t.Fatalf("%d goroutines after %d re-opens, %d after the first", n, i, before)
			}
		}
		p.Close()
	})
}

// House rule: this package knows nothing of the agent.
func TestImportsNothingOfTheAgent(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", ".").Output()
	if err != nil {
		t.Skip(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(dep, "cellwarden/") && !strings.HasPrefix(dep, "cellwarden/modem") {
			t.Errorf("imports %s: package modem stands alone", dep)
		}
	}
}
