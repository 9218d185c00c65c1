package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"cellwarden/agent"
	"cellwarden/agent/cli"
	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/meter"
	"cellwarden/agent/text"
	"cellwarden/agent/uplink"
	"cellwarden/modem"
	"cellwarden/modem/modemtest"
	"cellwarden/protocol"
)

// Options say how the story is told.
type Options struct {
	Out      io.Writer
	TTY      bool      // colours
	Fast     bool      // for tests: no time to read
	Log      io.Writer // the agent's log; nil: into a file that is shown when something fails
	KeepPage bool      // after the end the agent goes on until ctx ends
	Getenv   func(string) string
	Version  string
}

// The story's calendar, in the machine's own time.
var (
	beijing  = time.FixedZone("CST", 8*3600)
	opening  = time.Date(2026, time.March, 20, 8, 0, 0, 0, beijing)
	newMonth = time.Date(2026, time.April, 1, 0, 0, 0, 0, beijing)
	// back is when the carrier opens the line again: some minutes late, as they are.
	back = newMonth.Add(7 * time.Minute)
)

const (
	deviceID = "vm-0017"
	quota    = 100 << 20
	// beat is how often something happens in the machine's world, from 7 to 23 h.
	beat = 10 * time.Minute
	// patience bounds each wait of the story, in real time. What is waited for
	// takes a second or two; a loaded computer gets the rest.
	patience = 60 * time.Second
)

// configFile is the agent's config, as a merchant would write it.
const configFile = `
[device]
id = "vm-0017"
[modem]
port = "%s"
poll = "10m"
[data]
interfaces = ["wwan*"]
poll = "10m"
[plan]
quota_bytes = 104857600
cycle_day = 1
utc_offset = "+08:00"
on_exhaust = "stop"
carrier = "460-00"
[uplink]
unsigned_commands = true # the broker is in this process
brokers = ["tcp://%s"]
report_every = "6h"
[probes]
third_party = ["192.0.2.1:443", "198.51.100.1:443"]
http_url = "http://192.0.2.1/generate_204"
[store]
dir = "%s"
[api]
socket = "%s"
http = "%s"
`

// modemFile is the simulated modem at the beginning.
const modemFile = `A healthy line of China Mobile.
-- device --
manufacturer Quectel
model EC20F
revision EC20CEFAGR06A05M4G
carrier 460-00
clock 2026-03-20T08:00:00+08:00
-- modem --
signal rsrp=-88 rsrq=-9 sinr=14
session active addr=10.63.118.204
-- script --
`

// pace is how many times as fast as real time the story runs, and how often the
// agent asks the modem: over dull days every few hours, not every six seconds.
// When something happens it asks at once, as ever.
type pace struct {
	morning, days, watch float64
	poll                 time.Duration
}

var (
	paceToWatch = pace{morning: 1700, days: 60_000, watch: 25, poll: 2 * time.Hour}
	paceToTest  = pace{morning: 100_000, days: 1_000_000, watch: 400, poll: 6 * time.Hour}
)

// quick is the uplink's pace: its times are real ones and do not shrink with the
// story's.
var quick = uplink.Timing{
	Connect: 2 * time.Second, Write: 5 * time.Second, Ack: 5 * time.Second, KeepAlive: 30 * time.Second,
	Linger: 20 * time.Millisecond, Spread: -1, RetryMin: 200 * time.Millisecond, RetryMax: 500 * time.Millisecond,
	RefusedMin: 500 * time.Millisecond, RefusedMax: time.Second, Stable: time.Second,
	Attempt: 10 * time.Millisecond, Attempts: 1000, DrainPerSec: -1,
}

// drama is the running story.
type drama struct {
	opt    Options
	pace   pace
	tell   *teller
	clock  *clock
	net    *network
	back   *backend
	modem  interface{ Do(line string) error }
	client *localapi.Client
	socket string
	page   string
	began  time.Time

	aloud   atomic.Bool // each sale is told
	cut     atomic.Bool // the line was stopped once
	over    atomic.Bool // the last words: nobody listens any more
	next    time.Time   // the machine's next beat
	sold    []sold
	today   int // sales since the morning
	cutAt   time.Time
	resumes string // what was said of the return, RFC 3339
}

// sold is one event of the machine, and the agent's receipt.
type sold struct {
	n       int
	receipt localapi.Receipt
	offline bool
	took    time.Duration
}

// Run tells the story and proves it. The error says what did not hold.
func Run(ctx context.Context, opt Options) (Report, error) {
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	dir, err := os.MkdirTemp("", "cellwarden-demo-")
	if err != nil {
		return Report{}, fmt.Errorf("demo: %w", err)
	}
	logPath := filepath.Join(dir, "agent.log")
	d := &drama{opt: opt, pace: paceToWatch, tell: &teller{out: opt.Out, colour: opt.TTY && opt.Getenv("NO_COLOR") == "" && opt.Getenv("TERM") != "dumb"},
		clock: newClock(opening), began: time.Now(), next: opening.Add(beat), socket: filepath.Join(dir, "api.sock")}
	defer d.clock.stop()
	if opt.Fast {
		d.pace = paceToTest
	}
	logTo := opt.Log
	if logTo == nil {
		f, err := os.Create(logPath)
		if err != nil {
			return Report{}, fmt.Errorf("demo: %w", err)
		}
		defer f.Close()
		logTo = f
	}
	report, err := d.play(ctx, dir, logTo)
	if err != nil && ctx.Err() == nil && opt.Log == nil {
		return report, fmt.Errorf("%w; the agent's log is kept in %s", err, logPath)
	}
	_ = os.RemoveAll(dir) // what is left lies in the folder for temporary files
	return report, err
}

// play sets the stage, runs the acts beside the agent, and clears the stage.
func (d *drama) play(ctx context.Context, dir string, logTo io.Writer) (r Report, err error) {
	server, addr, err := startBroker()
	if err != nil {
		return r, err
	}
	defer server.Close()
	if d.net, err = newNetwork(d.clock.now, addr, quota); err != nil {
		return r, err
	}
	defer d.net.close()
	if d.back, err = newBackend(addr, d.heard, d.status); err != nil {
		return r, err
	}
	defer d.back.close()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	port, open, err := startModem(ctx, filepath.Join(dir, "ttyUSB2"), d)
	if err != nil {
		return r, err
	}
	if d.page, err = freePage(); err != nil {
		return r, err
	}
	cfg, err := config.Parse("demo.toml", fmt.Appendf(nil, configFile, port, d.net.address(), filepath.Join(dir, "state"), d.socket, d.page))
	if err != nil {
		return r, err
	}
	cfg.Modem.Poll = config.Duration(d.pace.poll) // longer than a config may say
	hw, done, err := d.hardware(cfg, open)
	if err != nil {
		return r, err
	}
	defer done()
	d.client = localapi.NewClient(d.socket)

	ready, ended := make(chan struct{}), make(chan error, 1)
	agentCtx, stopAgent := context.WithCancel(ctx)
	defer stopAgent()
	d.prologue(ctx)
	d.net.open("10.63.118.204")
	go func() {
		ended <- agent.Run(agentCtx, agent.Options{Config: cfg, Version: d.opt.Version, Hardware: hw,
			Log: slog.New(slog.NewTextHandler(logTo, nil)), Recorder: modem.NewRecorder(), Ready: func() { close(ready) }, Timing: quick})
		stop() // without an agent there is no story
	}()
	select {
	case <-ready:
		r, err = d.acts(ctx)
	case <-ctx.Done():
		err = ctx.Err()
	}
	stopAgent()
	if e := <-ended; e != nil {
		err = fmt.Errorf("the agent gave up: %w", e)
	}
	return r, err
}

// hardware is the device's serial port with the demo's clock, network and counters.
func (d *drama) hardware(cfg config.Config, open func(context.Context) (device.Modem, error)) (device.Hardware, func(), error) {
	real, done, err := device.New(cfg, nil)
	if err != nil {
		return device.Hardware{}, nil, err
	}
	if open == nil {
		open = real.OpenModem
	}
	return device.Hardware{
		Now: d.clock.now, Timer: d.clock.timer, Links: d.net.links,
		// There is no interface to bind to: the proxy in front of the broker is the
		// simulated network, and every byte takes it.
		OverData: func(string) bool { return true },
		RunProbe: func(_ context.Context, s core.ProbeSpec) diag.ProbeResult { return d.net.probe(s) },
		OpenModem: func(ctx context.Context) (device.Modem, error) {
			defer d.clock.hold()()
			m, err := open(ctx)
			if err != nil {
				return nil, err
			}
			return unhurried{m, d.clock}, nil
		},
	}, done, nil
}

// unhurried is a modem that the story waits for: a serial line is as slow as it is.
type unhurried struct {
	device.Modem
	clock *clock
}

func (m unhurried) Ask(ctx context.Context, q modem.Query) []modem.Answer {
	defer m.clock.hold()()
	return m.Modem.Ask(ctx, q)
}

func (m unhurried) Do(ctx context.Context, cmd string, timeout time.Duration) []modem.Answer {
	defer m.clock.hold()()
	return m.Modem.Do(ctx, cmd, timeout)
}

func (m unhurried) ReadSMS(ctx context.Context, index int) []modem.Answer {
	defer m.clock.hold()()
	return m.Modem.ReadSMS(ctx, index)
}

// startModem starts the simulated modem on a pseudo terminal, which the agent
// opens as any serial port. Where there is none (a sandbox without /dev/ptmx)
// it plays in memory, and open replaces the serial port.
func startModem(ctx context.Context, link string, d *drama) (port string, open func(context.Context) (device.Modem, error), err error) {
	sc, err := modemtest.Parse("demo", []byte(modemFile))
	if err != nil {
		return "", nil, err
	}
	tty, err := modemtest.StartPTYTraced(ctx, link, modemtest.NewPlayer(sc, 1), modemtest.NewClock(1), d.overhear())
	if err == nil {
		d.modem = tty
		return tty.Path(), nil, nil
	}
	pipe := modemtest.Pipe(ctx, sc, modemtest.NewClock(1))
	d.modem = pipe
	return link, func(ctx context.Context) (device.Modem, error) {
		m, err := modem.Open(ctx, modem.Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return pipe.Reopen() }})
		if err != nil {
			return nil, err
		}
		if _, err := m.Init(ctx); err != nil {
			_ = m.Close()
			return nil, err
		}
		return m, nil
	}, nil
}

// overhear tells what the modem says unasked of its session and of messages, as
// it crosses the serial line.
func (d *drama) overhear() func(time.Duration, modemtest.Direction, []byte) {
	var line []byte
	return func(_ time.Duration, dir modemtest.Direction, b []byte) {
		if dir != modemtest.ToHost {
			return
		}
		for _, c := range b {
			if c != '\r' && c != '\n' {
				line = append(line, c)
				continue
			}
			if s := string(line); strings.HasPrefix(s, "+CGEV:") || strings.HasPrefix(s, "+CMTI:") {
				d.say(byModem, "%s", s)
			}
			line = line[:0]
		}
	}
}

// freePage is an address for the technician's page: the usual one if it is free.
func freePage() (string, error) {
	for _, addr := range []string{config.Default.API.HTTP, "127.0.0.1:0"} {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			defer l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", errors.New("demo: no free port on the loopback")
}

// acts is the story.
func (d *drama) acts(ctx context.Context) (Report, error) {
	for _, act := range []func(context.Context) error{d.selling, d.runningLow, d.stopped, d.offline, d.returned} {
		if err := act(ctx); err != nil {
			return Report{}, err
		}
	}
	r, err := d.prove(ctx)
	d.over.Store(true)
	if d.opt.KeepPage && ctx.Err() == nil {
		d.tell.plain(fmt.Sprintf("\nThe agent runs on; its page: http://%s/   (Ctrl-C ends it)\n", d.page))
		<-ctx.Done()
	}
	return r, err
}

// prologue says what is shown, and opens the first act.
func (d *drama) prologue(ctx context.Context) {
	d.tell.plain(strings.Join([]string{
		"cellwarden: a vending machine, its SIM card, and a data plan that runs out",
		"cellwarden：一台售货机、一张流量卡，流量用完的那几天",
		"",
		"Real:      the agent, its serial port, MQTT, the store on disk",
		"Simulated: modem, mobile network, and the calendar: twelve days in a minute",
		"The technician's page, while this runs: http://" + d.page + "/",
		"",
	}, "\n"))
	d.read(ctx, 3*time.Second)
	d.tell.head("1  Online and selling", "在线，正常卖货")
}

// selling is the first morning.
func (d *drama) selling(ctx context.Context) error {
	d.clock.run(d.pace.watch)
	st, err := d.await(ctx, "a healthy line", func(s localapi.Status) bool {
		return s.Diagnosis.Verdict == diag.AllWell && s.Uplink.State == "connected" && s.Modem.Model != ""
	})
	if err != nil {
		return err
	}
	d.say(byAgent, "all is well: %s %s answers, the card is ready, registered (%s), signal %s, data session up", st.Modem.Manufacturer, st.Modem.Model,
		st.Network.Registration, st.Radio.Grade)
	d.aloud.Store(true)
	d.clock.run(d.pace.morning)
	if err := d.live(ctx, opening.Add(3*time.Hour)); err != nil {
		return err
	}
	d.aloud.Store(false)
	return nil
}

// runningLow is the days until the plan is used up.
func (d *drama) runningLow(ctx context.Context) error {
	d.tell.head("2  The plan runs low, and it is said in time", "流量快用完，提前预警")
	d.clock.run(d.pace.days)
	for d.cutAt.IsZero() {
		if !d.next.Before(newMonth) {
			return errors.New("demo: the plan was not used up in March")
		}
		if err := d.live(ctx, d.next); err != nil {
			return err
		}
	}
	return nil
}

// The carrier's message at the stop: stored on the card, and announced.
var stopSMS = []string{
	"sms from=10086 at=%s text=【流量用尽提醒】尊敬的客户，您本月套餐流量已用完，上网功能已关闭，下月1日自动恢复。【中国移动】",
	`urc +CMTI: "SM",1`,
}

// stopped is the quota, and the verdict.
func (d *drama) stopped(ctx context.Context) error {
	d.tell.head("3  \"No service\": what is the cause?", "没有网络了，到底是什么原因？")
	d.clock.run(d.pace.watch)
	d.say(byCarrier, "100 MB are used up: the data session is closed, a new one is refused with cause 33")
	if err := d.modem.Do("session closed reject=33"); err != nil {
		return err
	}
	d.cut.Store(true)
	d.net.cut()
	if err := d.meanwhile(ctx, "the broken connection", func(s localapi.Status) bool { return s.Uplink.State != "connected" }); err != nil {
		return err
	}
	d.read(ctx, 2*time.Second)
	d.say(byCarrier, "an SMS to the card: 您本月套餐流量已用完 (your data is used up)")
	stamp := d.clock.wall().Format(time.RFC3339)
	for _, line := range stopSMS {
		if err := d.modem.Do(strings.ReplaceAll(line, "%s", stamp)); err != nil {
			return err
		}
	}
	if err := d.meanwhile(ctx, "the carrier's message to be read", func(s localapi.Status) bool { return s.Diagnosis.Verdict == diag.Confirmed }); err != nil {
		return err
	}
	st, err := d.await(ctx, "the alert", func(s localapi.Status) bool { return len(s.Standing) > 0 })
	if err != nil {
		return err
	}
	d.resumes = st.Diagnosis.Act.ResumesAt
	en, zh := view.Build(text.EN, beijing, st), view.Build(text.ZH, beijing, st)
	var proofs []string
	for _, e := range en.For {
		proofs = append(proofs, e.Text)
	}
	d.tell.say(d.clock.wall(), byAgent, fmt.Sprintf("%s, %s: %s", st.Standing[0].Class, en.Verdict, zh.Title), proofs...)
	d.read(ctx, 2*time.Second)
	d.say(byAgent, "who acts? %s: %s", en.Who, en.Do)
	d.say(byAgent, "back by itself? yes, on %s", en.ResumesAt)
	d.say(byAgent, "the backend cannot hear this now; whoever stands at the machine can")
	d.read(ctx, 6*time.Second)
	for _, lang := range []string{"en", "zh"} {
		if err := d.show(lang); err != nil {
			return err
		}
		d.read(ctx, 6*time.Second)
	}
	return ctx.Err()
}

// show prints what `cellwarden status` prints.
func (d *drama) show(lang string) error {
	var out, errs strings.Builder
	code := cli.Main([]string{"status", "--socket", d.socket, "--lang", lang}, cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: d.opt.Getenv, TTY: d.tell.colour, Location: beijing, Version: d.opt.Version})
	if errs.Len() > 0 {
		return fmt.Errorf("cellwarden status (%d): %s", code, strings.TrimSpace(errs.String()))
	}
	d.tell.plain(fmt.Sprintf("\n%s\n%s", d.tell.paint("1", "$ cellwarden status --lang "+lang), out.String()))
	return nil
}

// offline is the rest of the month.
func (d *drama) offline(ctx context.Context) error {
	d.tell.head("4  Offline: it sells on, every event is kept", "断网照常卖货，事件一条不丢")
	d.clock.run(d.pace.days)
	return d.live(ctx, newMonth)
}

// returned is the new month.
func (d *drama) returned(ctx context.Context) error {
	d.tell.head("5  The month turns", "月初自动恢复")
	d.net.turn()
	if !d.clock.sleep(ctx.Done(), back) {
		return ctx.Err()
	}
	d.clock.run(d.pace.watch)
	d.read(ctx, time.Second)
	d.say(byCarrier, "a new month: the data session is let up again")
	if err := d.modem.Do("session active addr=10.63.118.209"); err != nil {
		return err
	}
	d.net.open("10.63.118.209")
	if err := d.meanwhile(ctx, "the broker to be reached again", func(s localapi.Status) bool { return s.Uplink.State == "connected" }); err != nil {
		return err
	}
	if _, err := d.await(ctx, "everything kept to be delivered and the fault to be over", func(s localapi.Status) bool {
		return s.Outbox.Waiting == 0 && len(s.Standing) == 0 && s.Diagnosis.Verdict == diag.AllWell
	}); err != nil {
		return err
	}
	kept := d.kept()
	d.say(byBackend, "%d kept events are here, from #%d to #%d, each once and in order", len(kept), kept[0].n, kept[len(kept)-1].n)
	d.read(ctx, 3*time.Second)
	d.aloud.Store(true)
	d.clock.run(d.pace.days)
	return d.live(ctx, newMonth.Add(8*time.Hour+10*time.Minute))
}

// live lets the machine's world go on until t: traffic, sales, evenings.
func (d *drama) live(ctx context.Context, t time.Time) error {
	for !d.next.After(t) {
		if !d.clock.sleep(ctx.Done(), d.next) {
			return ctx.Err()
		}
		at := d.next
		if d.next = d.next.Add(beat); d.next.Hour() == 23 {
			d.next = d.next.Add(8 * time.Hour) // nothing moves at night
		}
		rx, tx := traffic(at)
		if d.net.use(rx, tx) {
			d.cutAt = at
			return nil
		}
		if e, ok := d.eventAt(at); ok {
			if err := d.hand(ctx, e); err != nil {
				return err
			}
		}
		if at.Hour() == 22 && at.Minute() == 0 {
			if err := d.evening(ctx, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// traffic is what the machine's advertising screen and its software move in one
// beat, more at weekends.
func traffic(at time.Time) (rx, tx uint64) {
	n := uint64(118_600)
	if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		n += n / 8
	}
	n += uint64(at.Minute()+7*at.Hour()) % 17 * 1000 // no two beats alike
	return n * 9 / 10, n / 10
}

var (
	slots  = []string{"A3", "B1", "A7", "C2", "D5"}
	prices = []int{350, 500, 300, 650, 400}
	payers = []string{"wechat", "alipay", "wechat", "unionpay"}
)

// eventAt is what the machine reports at a time: a sale every 70 minutes from
// 8:10 to 21:00, and one jam while the line is down.
func (d *drama) eventAt(at time.Time) (e localapi.Event, ok bool) {
	minute := at.Hour()*60 + at.Minute()
	n := len(d.sold) + 1
	e = localapi.Event{Name: "sale"}
	s := sale{N: n, Slot: slots[n%len(slots)], Fen: prices[n%len(prices)], Paid: payers[n%len(payers)]}
	switch {
	case at.Equal(newMonth.Add(-36*time.Hour + 20*time.Minute)):
		e.Name, e.Level = "jam", "warn"
	case minute < 8*60+10 || minute > 21*60 || (minute-8*60-10)%70 != 0:
		return e, false
	}
	e.Data, _ = json.Marshal(s) // a struct of strings and numbers
	return e, true
}

// hand gives one event to the agent, as the machine's software does, and while
// the line is up waits until the backend has it.
func (d *drama) hand(ctx context.Context, e localapi.Event) error {
	began := time.Now()
	r, err := d.client.PutEvent(ctx, e, true)
	if err != nil {
		return fmt.Errorf("demo: event: %w", err)
	}
	took := time.Since(began)
	s := sold{n: len(d.sold) + 1, receipt: r, offline: !d.net.isUp(), took: took}
	d.sold = append(d.sold, s)
	d.today++
	switch {
	case e.Name != "sale":
		d.say(byMachine, "%s #%d: slot %s is stuck; on disk, like every event", e.Name, s.n, slots[s.n%len(slots)])
	case d.aloud.Load():
		d.say(byMachine, "sale #%d: slot %s, ¥%.2f; on disk after %d ms", s.n, slots[s.n%len(slots)], float64(prices[s.n%len(prices)])/100, took.Milliseconds())
	}
	if s.offline {
		return nil
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		ok, news := d.back.has(r.Seq)
		if ok {
			return nil
		}
		select {
		case <-news:
		case <-limit.C:
			return fmt.Errorf("demo: event %d was not delivered in %v although the line is up", s.n, patience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// kept are the events that were handed in while the line was down.
func (d *drama) kept() (list []sold) {
	for _, s := range d.sold {
		if s.offline {
			list = append(list, s)
		}
	}
	return list
}

// evening sums the day up.
func (d *drama) evening(ctx context.Context, at time.Time) error {
	st, err := d.client.Status(ctx)
	if err != nil {
		return err
	}
	if d.net.isUp() {
		d.say(byMachine, "%d sales today, all delivered; %s used", d.today, view.Bytes(st.Usage.UsedBytes))
	} else {
		d.say(byMachine, "%d events today; %d wait on disk since the stop", d.today, len(d.kept()))
	}
	d.today = 0
	return nil
}

// heard tells what the backend learns.
func (d *drama) heard(e protocol.Envelope) {
	body, err := e.DecodeBody()
	if err != nil {
		d.say(byBackend, "a message that cannot be read: %v", err)
		return
	}
	switch b := body.(type) {
	case *protocol.MachineEvent:
		if s, ok := saleOf(e); ok && d.aloud.Load() {
			d.say(byBackend, "sale #%d is here (message %d)", s.N, e.Seq)
		}
	case *protocol.Warning:
		d.news(e.At, warning(b))
	case *protocol.Alert:
		d.news(e.At, fmt.Sprintf("ALERT %s (%s), %s acts, back by itself %s", b.Class, b.Verdict, b.Act.Who, clockTime(b.Act.ResumesAt)))
	case *protocol.Clear:
		d.news(e.At, fmt.Sprintf("CLEAR %s: over after %s, ended by %s", b.Class, span(time.Duration(b.LastedMS)*time.Millisecond), b.EndedBy))
	}
}

// news is a message at the backend. What waited for the line to return is told
// when it arrives, with the time that it was written.
func (d *drama) news(written protocol.Time, words string) {
	at := wallOf(written)
	if !d.cut.Load() {
		d.tell.say(at, byBackend, words)
		return
	}
	if at.Before(newMonth) {
		words = "of " + at.Format("02 Jan 15:04") + ": " + words
	}
	d.say(byBackend, "%s", words)
}

// wallOf is the zero time where there is none.
func wallOf(t protocol.Time) time.Time {
	at, err := time.Parse(time.RFC3339, t.Wall)
	if err != nil {
		return time.Time{}
	}
	return at.In(beijing)
}

func warning(w *protocol.Warning) string {
	switch w.Kind {
	case meter.KindForecast:
		on, _ := time.Parse(time.DateOnly, w.ExhaustedOn) // the zero date shows that it was none
		return fmt.Sprintf("WARNING at this pace the plan ends on %s", on.Format("02 Jan"))
	case meter.KindThreshold:
		return fmt.Sprintf("WARNING %d %% of the plan is used", w.Percent)
	case meter.KindRestored:
		return "the new month's plan is there"
	}
	return "WARNING " + w.Kind
}

// status is the machine's presence at the broker.
func (d *drama) status(up bool) {
	switch {
	case d.over.Load():
	case up:
		d.say(byBackend, "%s is online", deviceID)
	default:
		d.say(byBackend, "%s is gone, says its last will; why, nobody here can know", deviceID)
	}
}

// span words a duration in days and hours.
func span(d time.Duration) string {
	d = d.Round(time.Minute)
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	}
	return fmt.Sprintf("%d min", minutes)
}

func (d *drama) say(w who, format string, args ...any) {
	d.tell.say(d.clock.wall(), w, fmt.Sprintf(format, args...))
}

// Every look the story sees whether what it waits for is there: in the story's
// time where the agent lets time pass, in real time where messages are under way.
const (
	look     = time.Second
	realLook = 10 * time.Millisecond
)

// await lets the story go on until the agent's status is as wanted.
func (d *drama) await(ctx context.Context, what string, ok func(localapi.Status) bool) (localapi.Status, error) {
	return d.until(ctx, what, ok, func() bool { return d.clock.sleep(ctx.Done(), d.clock.wall().Add(look)) })
}

// meanwhile is await with the story standing all but still: it takes as long as
// it takes, and no computer is so slow that the story runs away from it.
func (d *drama) meanwhile(ctx context.Context, what string, ok func(localapi.Status) bool) error {
	_, err := d.until(ctx, what, ok, func() bool {
		select {
		case <-time.After(realLook):
			return true
		case <-ctx.Done():
			return false
		}
	})
	return err
}

func (d *drama) until(ctx context.Context, what string, ok func(localapi.Status) bool, wait func() bool) (localapi.Status, error) {
	limit := time.Now().Add(patience)
	for {
		st, err := d.client.Status(ctx)
		if err != nil {
			return st, err
		}
		if ok(st) {
			return st, nil
		}
		if time.Now().After(limit) {
			return st, fmt.Errorf("demo: waited %v for %s; the agent says %s (%s), uplink %s, %d waiting", patience, what,
				st.Diagnosis.Class, st.Diagnosis.Verdict, st.Uplink.State, st.Outbox.Waiting)
		}
		if !wait() {
			return st, ctx.Err()
		}
	}
}

// read gives the reader time.
func (d *drama) read(ctx context.Context, t time.Duration) {
	if d.opt.Fast {
		return
	}
	select {
	case <-time.After(t):
	case <-ctx.Done():
	}
}
