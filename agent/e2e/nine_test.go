package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
)

// TestNineSituations plays, one after another on the pty, the nine situations
// that connection managers and watchdogs were measured on, and prints one table:
// what was said of each and how long after its onset. All nine must be told
// apart by what the owner and the technician read: class, layer and cause.
func TestNineSituations(t *testing.T) {
	t.Parallel()
	s := newStand(t, settings{modem: `poll = "2s"`, more: testPace})
	type situation struct {
		name    string
		begin   func()
		end     func()
		told    func(st localapi.Status) bool
		allowed time.Duration // from the onset to the verdict, on a busy machine
	}
	// causeOf is the network's cause as the verdict names it.
	causeOf := func(st localapi.Status) string {
		for _, e := range st.Diagnosis.Evidence {
			for _, a := range e.Fact.Args {
				if strings.Contains(a, " #") {
					return a
				}
			}
		}
		return ""
	}
	is := func(class diag.Code, layer diag.Layer, cause string) func(localapi.Status) bool {
		return func(st localapi.Status) bool {
			d := st.Diagnosis
			return d.Class == class && d.Verdict != diag.Undecided && d.Layer == layer && strings.Contains(causeOf(st), cause)
		}
	}
	home := func() {
		s.modem.do("signal rsrp=-88 rsrq=-9 sinr=14")
		s.modem.do("reg home")
		s.modem.do("session active addr=10.63.118.204")
		s.pass()
	}
	denied := func(cause string) func() {
		return func() {
			s.swallow()
			s.modem.do("session closed")
			s.modem.do("reg denied cause=" + cause)
		}
	}
	rows := []situation{
		{"healthy", func() {}, func() {}, is(diag.Healthy, "", ""), nineBound},
		{"SIM absent", func() { s.swallow(); s.modem.do("sim absent") }, func() { s.modem.do("sim ready"); home() }, is(diag.SIMAbsent, diag.LayerSIM, ""), nineBound},
		{"SIM failure", func() { s.swallow(); s.modem.do("sim failure") }, func() { s.modem.do("sim ready"); home() }, is(diag.SIMFault, diag.LayerSIM, ""), nineBound},
		{"denied, EMM cause 8", denied("8"), home, is(diag.SuspendedUnspecified, diag.LayerRegistration, "#8"), nineBound},
		{"PDP rejected, ESM cause 33", func() { s.swallow(); s.modem.do("session closed reject=33") }, home, is(diag.SuspendedUnspecified, diag.LayerSession, "#33"), nineBound},
		{"searching for ever", func() { s.swallow(); s.modem.do("signal none"); s.modem.do("reg searching") }, home, func(st localapi.Status) bool {
			// One device alone cannot tell a dead antenna from a dead spot: the two
			// are among the first three, and no stopped line is.
			d := st.Diagnosis
			lead := map[diag.Code]bool{}
			for _, c := range d.Candidates[:min(3, len(d.Candidates))] {
				lead[c.Class] = true
			}
			return d.Layer == diag.LayerRadio && lead[diag.NoCoverage] && lead[diag.AntennaFault] && !lead[diag.SuspendedUnspecified]
		}, nineBound},
		{"black hole", s.swallow, s.pass, is(diag.DataBlackHole, diag.LayerPath, ""), nineBound},
		{"denied, EMM cause 7, in arrears", func() {
			s.modem.do("sms from=10086 text=【停机提醒】尊敬的客户，您的号码因欠费已停机，请尽快缴费，缴费后办理复机。【中国移动】")
			denied("7")()
		}, nil, is(diag.Arrears, diag.LayerRegistration, "#7"), nineBound},
		{"mute modem", func() { s.modem.do("mute") }, nil, is(diag.ModemFault, diag.LayerPort, ""), nineBound},
	}
	s.healthy()
	var b strings.Builder
	said := map[string]string{}
	for _, r := range rows {
		onset := time.Now()
		r.begin()
		var st localapi.Status
		defer func() {
			if t.Failed() {
				t.Logf("%s: last said %s (%s) of %s, cause %q, %v", r.name, st.Diagnosis.Class, st.Diagnosis.Verdict, st.Diagnosis.Layer, causeOf(st), st.Diagnosis.Candidates)
			}
		}()
		took := until(t, "the verdict on "+r.name, r.allowed, func() bool {
			st = s.agent.status()
			return r.told(st)
		})
		took = max(took, time.Since(onset))
		d := st.Diagnosis
		what := strings.TrimSpace(fmt.Sprintf("%s %s %s", d.Class, d.Layer, causeOf(st)))
		if d.Verdict == diag.Undecided {
			what = fmt.Sprintf("%s or %s", d.Candidates[0].Class, d.Candidates[1].Class)
		}
		fmt.Fprintf(&b, "\nFIGURE nine: %-32s %-10s %-90s %6s", r.name, d.Verdict, what, seconds(took))
		if other, twice := said[what]; twice {
			t.Errorf("%s and %s are told alike: %s", r.name, other, what)
		}
		said[what] = r.name
		if r.end != nil {
			r.end()
			s.agent.says(diag.Healthy, patient)
		}
	}
	t.Log(b.String())
	if len(said) != 9 {
		t.Errorf("%d of 9 told apart", len(said))
	}
}

// nineBound is generous: a busy machine, three rounds of probes into a hole.
const nineBound = 90 * time.Second

// The recording, asked of the agent that runs.
func TestScenarioOfARunningAgent(t *testing.T) {
	t.Parallel()
	modem := newModem(t, "healthy-quectel")
	m := newMachine(t, nil, plain(modem.port))
	m.start()
	until(t, "the modem known", patient, func() bool { return m.status().Network.Registration == "home" })
	out, errs, code := m.run("bundle", "--scenario")
	if code != 0 || !strings.Contains(out, "-- modem --") || !strings.Contains(out, "+CPIN? -> +CPIN: READY | OK") {
		t.Errorf("bundle --scenario: %d %q %q", code, out, errs)
	}
}
