package core

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/remedy"
	"cellwarden/modem/modemtest"
	"cellwarden/modem/profile"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the want sections of the scenarios")

const scenarioDir = "../testdata/scenarios"

// TestScenarios plays each scenario file: what the modem and the world do, what
// the agent concludes. One goroutine, one queue ordered by time, a virtual clock.
//
// The world section has lines "time thing ...": the net (net third_party=timeout),
// the uplink (uplink connected | uplink down timeout), the data interface
// (iface up | down | gone), bytes that move (move rx tx),
// commands from the backend (plan {...}, sim_status {...}, neighbours {...}), a
// restart of the agent (restart, kill) or the board (reboot), a step of the wall
// clock (clock TIME | clock untrusted), a technician at work (repair on, did
// card_reseated), a payment under way (hold 5m), what somebody says the fault was
// (confirm class by), whether the card is taken for a whitelist one (whitelist), and
// the end (end).
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(scenarioDir + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s: %v", scenarioDir, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) { playFile(t, f) })
	}
}

func playFile(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := modemtest.Parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, sc)
	w.play()
	got := strings.Join(w.seen, "\n") + "\n"
	want, ok := sc.Section("want")
	if *update {
		ar := txtar.Parse(data)
		for i := range ar.Files {
			if ar.Files[i].Name == "want" {
				ar.Files[i].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		ar.Files = append(ar.Files, txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !ok || len(w.seen) == 0 {
		t.Fatalf("the scenario wants nothing, or nothing was seen")
	}
	if got != want.Data {
		t.Errorf("saw\n%swant\n%s", got, want.Data)
	}
}

type worldEvent struct {
	at   time.Duration
	line string
}

// world is everything outside the core, on a virtual clock.
type world struct {
	t       *testing.T
	sc      *modemtest.Scenario
	player  *modemtest.Player
	profile *profile.Profile
	core    *Core
	opt     Options
	now     time.Duration
	boot    string
	script  []worldEvent
	net     map[string]string
	rx, tx  uint64
	index   int
	addr    string
	iface   string // "", up, down or gone
	kept    map[string][]byte
	seen    []string
	pending []timed
	lost    bool
	ended   bool
	stores  int
	began   time.Duration // when this boot began
	skew    time.Duration
	doubted bool
	after   func()       // after each step; may be nil
	count   func(Effect) // of each effect; may be nil
}

type timed struct {
	at time.Duration
	ev func() Event
}

func newWorld(t *testing.T, sc *modemtest.Scenario) *world {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	p, ok := set.Get(sc.Device["profile"])
	if !ok {
		p, _ = set.Get(profile.Ground)
	}
	w := &world{t: t, sc: sc, player: modemtest.NewPlayer(sc, 1), profile: p, boot: "boot-1", net: map[string]string{},
		kept: map[string][]byte{}, index: 2, addr: "10.0.0.2"}
	w.opt = Options{Device: "vm-1", Version: "test", Unsigned: true, Salt: "s", Poll: 10 * time.Second, SlowPoll: 10 * time.Minute, LinkPoll: 10 * time.Second,
		ReportEvery: time.Hour, ProbeEvery: 6 * time.Hour, ProbeBudget: 200_000, HasModem: true, ModemAt: "auto", Steps: []remedy.Step{StepRadioCycle},
		Allowed: []string{"plan", "sim_status", "neighbours", "diagnose", "report", "confirm"},
		Probes: []ProbeSpec{{"dns", "carrier", "name", 200}, {"tcp", "third_party", "a:443", 300}, {"tcp", "third_party", "b:443", 300},
			{"http", "third_party", "http://h/204", 900}, {"tcp", "own", "own:8883", 300}}}
	if s, ok := sc.Section("world"); ok {
		for i, line := range strings.Split(s.Data, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "# ") {
				continue
			}
			when, rest, _ := strings.Cut(line, " ")
			at, err := modemtest.ParseTime(when)
			if err != nil {
				t.Fatalf("%s:%d: %v", sc.Name, s.Line+i, err)
			}
			if line, every, ok := strings.Cut(strings.TrimSpace(rest), " every "); ok {
				step, until, _ := strings.Cut(every, " until ")
				d, err1 := modemtest.ParseTime(step)
				end, err2 := modemtest.ParseTime(until)
				if err1 != nil || err2 != nil {
					t.Fatalf("%s:%d: every D until T: %v %v", sc.Name, s.Line+i, err1, err2)
				}
				for ; at <= end; at += d {
					w.script = append(w.script, worldEvent{at, line})
				}
				continue
			}
			w.script = append(w.script, worldEvent{at, strings.TrimSpace(rest)})
		}
	}
	sort.SliceStable(w.script, func(i, j int) bool { return w.script[i].at < w.script[j].at })
	if v, ok := sc.Device["block_at"]; ok {
		if w.opt.BlockAt, err = strconv.Atoi(v); err != nil {
			t.Fatalf("%s: block_at: %v", sc.Name, err)
		}
	}
	if v, ok := sc.Device["poll"]; ok { // a month in seconds needs a slower poll
		d, err := modemtest.ParseTime(v)
		if err != nil {
			t.Fatalf("%s: poll: %v", sc.Name, err)
		}
		w.opt.Poll, w.opt.LinkPoll = d, d
	}
	return w
}

func (w *world) instant() instant.Instant {
	trusted := w.sc.Device["clock_trusted"] != "false" && !w.doubted
	return instant.Instant{Boot: w.boot, Mono: w.now - w.began, Wall: w.sc.Start.Add(w.now + w.skew), Trusted: trusted}
}

func (w *world) start() {
	m := (*meter.Meter)(nil)
	if len(w.kept) > 0 {
		var err error
		if m, err = meter.RestoreNewest(w.opt.Meter, w.kept["meter"], w.kept["meter.now"]); err != nil {
			w.t.Fatal(err)
		}
	}
	c, err := New(w.opt, w.instant(), w.kept["core"], m)
	if err != nil {
		w.t.Fatal(err)
	}
	w.core = c
	w.pending = nil
	w.init()
	w.step(Started{At{w.instant()}})
	if state := w.sc.Device["port"]; state != "" {
		w.trouble(state)
		return
	}
	w.step(PortState{At: At{w.instant()}, State: "ok", Detail: "sim"})
}

// trouble is a port that cannot be opened.
func (w *world) trouble(state string) {
	w.lost = true
	w.step(PortState{At: At{w.instant()}, State: state, Detail: "no such modem on USB"})
}

// init makes the gentle settings of the profile, as the shell does.
func (w *world) init() {
	for _, step := range w.profile.Init {
		for _, try := range step.Tries {
			lines, _, _ := w.player.Ask(w.now, try)
			if n := len(lines); n > 0 && lines[n-1] == "OK" {
				break
			}
		}
	}
}

// next is when the core wants a tick, in the world's time.
func (w *world) next() time.Duration { return w.began + w.core.Next() }

// play runs the world to its end.
func (w *world) play() {
	w.start()
	const longest = 400 * 24 * time.Hour
	stalls := 0
	for !w.ended && w.now < longest {
		next := w.next()
		if at, ok := w.player.Next(); ok {
			next = min(next, at)
		}
		if len(w.script) > 0 {
			next = min(next, w.script[0].at)
		}
		for _, p := range w.pending {
			next = min(next, p.at)
		}
		if next > w.now {
			w.now = next
		}
		w.urcs()
		for len(w.script) > 0 && w.script[0].at <= w.now {
			line := w.script[0].line
			w.script = w.script[1:]
			w.happen(line)
		}
		due := w.pending
		w.pending = nil
		sort.SliceStable(due, func(i, j int) bool { return due[i].at < due[j].at })
		for _, p := range due {
			if p.at <= w.now {
				w.step(p.ev())
			} else {
				w.pending = append(w.pending, p)
			}
		}
		if w.next() <= w.now {
			before := w.next()
			w.step(Tick{At{w.instant()}})
			if w.next() == before && len(w.pending) == 0 {
				if stalls++; stalls > 1000 {
					w.t.Fatalf("at %v the core wants a tick now, again and again (link %v poll %v report %v probes %v persist %v)", w.now,
						w.core.linkAt, w.core.pollAt, w.core.reportAt, w.core.probes.due(), w.core.persistAt)
				}
				w.now += time.Millisecond // nothing came of it: time goes on
			}
		}
	}
}

func (w *world) urcs() {
	if w.lost {
		w.player.Unsolicited(w.now)
		return
	}
	for _, line := range w.player.Unsolicited(w.now) {
		for _, f := range threegpp.URC(line) {
			w.step(Observed{At: At{w.instant()}, Source: "urc:" + line[:min(len(line), 8)], Fact: f, Unsolicited: true})
		}
	}
}

func (w *world) happen(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "port": // port absent | unreadable | ok: as the shell finds it
		if rest != "ok" {
			w.sc.Device["port"] = rest
			w.trouble(rest)
			return
		}
		delete(w.sc.Device, "port")
		w.lost = false
		w.step(PortState{At: At{w.instant()}, State: "ok", Detail: "sim", Reopened: true})
	case "net":
		for _, kv := range strings.Fields(rest) {
			k, v, _ := strings.Cut(kv, "=")
			w.net[k] = v
		}
	case "uplink":
		state, result, _ := strings.Cut(rest, " ")
		w.step(LinkChanged{At{w.instant()}, Link{State: state, Broker: "own:8883", Result: strings.TrimSpace(result), Reason: result, OverData: w.sc.Device["uplink"] == "data"}})
	case "move":
		f := strings.Fields(rest)
		rx, err1 := strconv.ParseUint(f[0], 10, 64)
		tx, err2 := strconv.ParseUint(f[1], 10, 64)
		if err1 != nil || err2 != nil {
			w.t.Fatalf("%s: move %q", w.sc.Name, rest)
		}
		w.rx, w.tx = w.rx+rx, w.tx+tx
	case "iface": // iface up | down | gone: the data interface of the host
		w.iface = rest
	case "addr":
		w.addr = strings.TrimPrefix(rest, "none")
	case "plan", "sim_status", "neighbours":
		w.stores++
		cmd := protocol.Command{V: 1, ID: "c" + strconv.Itoa(w.stores), Expires: w.instant().Wall.Add(time.Hour).UTC().Format(time.RFC3339), Do: verb, Args: json.RawMessage(rest)}
		raw, err := protocol.MarshalCommand(cmd)
		if err != nil {
			w.t.Fatalf("%s: %s: %v", w.sc.Name, verb, err)
		}
		w.step(Received{At: At{w.instant()}, Raw: raw})
	case "clock": // the wall clock is set: to a time, or untrusted
		rest, w.doubted = strings.TrimSuffix(rest, " untrusted"), strings.HasSuffix(rest, "untrusted")
		if rest == "untrusted" {
			break
		}
		to, err := time.Parse(time.RFC3339, rest)
		if err != nil {
			w.t.Fatalf("%s: clock: %v", w.sc.Name, err)
		}
		w.skew = to.Sub(w.sc.Start.Add(w.now))
	case "repair":
		w.step(Repair{At{w.instant()}, rest == "on"})
	case "did":
		w.step(Did{At{w.instant()}, rest})
	case "hold": // a payment runs for so long
		d, err := modemtest.ParseTime(rest)
		if err != nil {
			w.t.Fatalf("%s: hold: %v", w.sc.Name, err)
		}
		w.step(HoldOff{At{w.instant()}, d})
	case "confirm":
		class, by, _ := strings.Cut(rest, " ")
		w.step(Confirmed{At: At{w.instant()}, Class: diag.Code(class), By: by})
	case "whitelist":
		w.say("whitelist", map[bool]string{true: "learned", false: "not learned"}[w.core.View().Whitelist])
	case "reboot", "off": // the board loses power, for a time: another boot, counters at zero, the memory gone
		if verb == "off" {
			d, err := modemtest.ParseTime(rest)
			if err != nil {
				w.t.Fatalf("%s: off: %v", w.sc.Name, err)
			}
			w.skew += d
		}
		w.boot += "x"
		w.began, w.rx, w.tx = w.now, 0, 0
		delete(w.kept, "meter.now")
		w.start()
	case "usage":
		u := w.core.View().Usage
		w.say("usage", fmt.Sprintf("%.1f of %.1f MB", float64(u.UsedBytes)/1e6, float64(u.QuotaBytes)/1e6),
			u.Cycle.Start.Format(time.DateOnly)+" to "+u.Cycle.End.Format(time.DateOnly), fmt.Sprintf("unplaced %.1f MB", float64(u.UnplacedBytes)/1e6))
	case "restart":
		w.step(Stopping{At{w.instant()}})
		w.start()
	case "kill":
		w.start()
	case "status":
		d := w.core.View().Diagnosis
		w.say("status", string(d.Class), string(d.Verdict), string(d.Layer))
	case "end":
		w.ended = true
	default:
		w.t.Fatalf("%s: world: unknown %q", w.sc.Name, verb)
	}
}

func (w *world) say(words ...string) {
	s := w.now.Round(time.Second)
	stamp := fmt.Sprintf("%d:%02d:%02d", int(s.Hours()), int(s.Minutes())%60, int(s.Seconds())%60)
	w.seen = append(w.seen, stamp+"  "+strings.TrimRight(strings.Join(words, "  "), " "))
}

func (w *world) later(d time.Duration, ev func() Event) {
	w.pending = append(w.pending, timed{w.now + d, ev})
}

func (w *world) step(ev Event) {
	effects := w.core.Step(ev)
	if w.after != nil {
		w.after()
	}
	for _, e := range effects {
		if w.count != nil {
			w.count(e)
		}
		switch e := e.(type) {
		case Ask:
			w.ask(e.Queries)
		case RunProbe:
			r := w.probe(e.Spec)
			d := 100 * time.Millisecond
			if r.Result == "timeout" {
				d = 5 * time.Second
			}
			w.later(d, func() Event { return ProbeDone{At{w.instant()}, r, e.Spec.Cost} })
		case LookAtLinks:
			w.later(0, func() Event {
				if w.iface == "gone" {
					return Links{At{w.instant()}, nil, diag.Interface{}}
				}
				i := diag.Interface{Name: "wwan0", Present: true, Up: w.iface != "down"}
				if i.Up {
					i.Addr = w.addr
				}
				return Links{At{w.instant()}, []meter.Reading{{At: w.instant(), Interface: "wwan0", Index: w.index, RxBytes: w.rx, TxBytes: w.tx, Bits: 64}}, i}
			})
		case TakeStock:
			w.step(Stock{At: At{w.instant()}})
		case Store:
			w.stored(e)
		case Persist:
			w.kept[e.Name] = e.Data
		case Block:
			if w.opt.BlockAt > 0 {
				w.say("block", strconv.FormatBool(e.On))
			}
		case Remedy:
			w.say("remedy", string(e.Step), e.Why)
			for _, cmd := range stepCommands[e.Step] {
				w.player.Ask(w.now, cmd)
			}
			w.later(10*time.Second, func() Event { return RemedyDone{At: At{w.instant()}, Step: e.Step, Result: remedy.Done} })
		}
	}
}

// stepCommands are what the worker sends for a step.
var stepCommands = map[remedy.Step][]string{StepRadioCycle: {"AT+CFUN=0", "AT+CFUN=1"}, "reregister": {"AT+COPS=0"}, "radio_on": {"AT+CFUN=1"},
	"soft_reset": {"AT+CFUN=1,1"}, "reattach": {"AT+CGATT=0", "AT+CGATT=1"}}

// ask answers a round from the simulated modem: the real replies, parsed by the
// real parsers, with the round's commands taken from the profile.
func (w *world) ask(queries []string) {
	if w.lost {
		return
	}
	type answer struct {
		cmd   string
		lines []string
	}
	var answers []answer
	silent := 0
	for _, q := range queries {
		for _, cmd := range w.profile.Recipes[profile.Query(q)].Commands {
			lines, _, mute := w.player.Ask(w.now, cmd)
			if mute {
				lines = nil
				silent++
			}
			answers = append(answers, answer{cmd, lines})
			if silent == 1 {
				break
			}
		}
		if silent > 0 {
			break
		}
	}
	took := 300 * time.Millisecond
	if silent > 0 {
		took = 20 * time.Second // the command's time and the dialogue's tries to get back in step
	}
	w.later(took, func() Event {
		for _, a := range answers {
			for _, f := range threegpp.Reply(a.cmd, a.lines) {
				w.step(Observed{At: At{w.instant()}, Source: "at:" + a.cmd, Fact: f})
			}
		}
		return RoundDone{At{w.instant()}}
	})
	if silent > 0 {
		w.later(took, func() Event { return PortState{At: At{w.instant()}, State: "lost", Detail: "sim"} })
		w.lost = true
		w.reopen(took + time.Second)
	}
}

// reopen tries the port again and again, as the shell does.
func (w *world) reopen(after time.Duration) {
	w.later(after, func() Event {
		if _, _, mute := w.player.Ask(w.now, "AT"); mute {
			w.reopen(30 * time.Second)
			return PortState{At: At{w.instant()}, State: "silent", Detail: "no answer to AT"}
		}
		w.lost = false
		return PortState{At: At{w.instant()}, State: "ok", Detail: "sim", Reopened: true}
	})
}

func (w *world) probe(s ProbeSpec) diag.ProbeResult {
	r := diag.ProbeResult{Probe: s.Probe, Target: s.Target, Host: s.Host, Result: "ok"}
	for _, key := range []string{s.Target, s.Probe + "/" + s.Target} {
		if v, ok := w.net[key]; ok {
			r.Result = v
		}
	}
	return r
}

func (w *world) stored(s Store) {
	switch s.Type {
	case protocol.TypeAlert:
		var a protocol.Alert
		w.decode(s.Body, &a)
		words := []string{"alert", a.Class, a.Verdict, "act: " + a.Act.Who}
		if a.Act.ResumesAt != "" {
			words = append(words, "back: "+a.Act.ResumesAt)
		}
		if a.Unstable {
			words = append(words, "unstable")
		}
		w.say(words...)
		for _, e := range a.Evidence {
			w.seen = append(w.seen, "            + "+e.Fact)
		}
	case protocol.TypeClear:
		var c protocol.Clear
		w.decode(s.Body, &c)
		w.say("clear", c.Class, "lasted "+(time.Duration(c.LastedMS)*time.Millisecond).Round(time.Second).String(), "by "+c.EndedBy, c.FollowsTo)
	case protocol.TypeWarning:
		var x protocol.Warning
		w.decode(s.Body, &x)
		words := []string{"warning", x.Kind, strconv.Itoa(x.Percent), x.ExhaustedOn}
		if x.Days > 0 {
			words = []string{"warning", x.Kind, fmt.Sprint(x.Days, " days")}
		}
		w.say(words...)
	case protocol.TypeReply:
		var r protocol.Reply
		w.decode(s.Body, &r)
		if !r.OK {
			w.say("refused", r.Error)
		}
	case protocol.TypeLearned:
		var x protocol.Learned
		w.decode(s.Body, &x)
		w.say("learned", "said "+x.Said, "was "+x.Was, "by "+x.Confirmed)
	}
}

func (w *world) decode(raw json.RawMessage, to any) {
	if err := json.Unmarshal(raw, to); err != nil {
		w.t.Fatal(err)
	}
}
