package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/flash"
	"cellwarden/agent/instant"
	"cellwarden/agent/journal"
	"cellwarden/agent/localapi"
	"cellwarden/agent/outbox"
	"cellwarden/agent/probe"
	"cellwarden/agent/remedy"
	"cellwarden/agent/worker"
	"cellwarden/modem"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// Bounds of the loop's queues.
const (
	// eventQueue is the loop's inbox: two full poll rounds of facts. Producers
	// wait when it is full; nothing is dropped.
	eventQueue = 256
	// commitRetry is how soon a failed commit is tried again: a full disk is not
	// helped by asking more often.
	commitRetry = 15 * time.Second
	// gatherMost is how many events and calls are worked off before one commit for all
	// of them.
	gatherMost = 4 * outbox.CommitRecords
	// gatherWait is how long a durable event waits for those that were handed in
	// together with the one before it, and gatherMemory how long ago that may have been:
	// writers that were all answered by one commit come back within a millisecond or
	// two, and one page of flash each would cost ten times as much. One that hands in
	// alone never waits.
	gatherWait   = 4 * time.Millisecond
	gatherMemory = 50 * time.Millisecond
	// drainAtEnd bounds what is worked off when the agent is told to stop.
	drainAtEnd = 2 * time.Second
	// ackSync is how often deliveries are noted on the flash, one page each time;
	// the outbox does so itself after 256. What a power cut forgets is sent again.
	ackSync = 15 * time.Minute
	// bootSlack is how far the wall clock may move before the outbox is told anew
	// when this boot began: what a clock drifts in three days.
	bootSlack = 30 * time.Second
)

// loop owns the core. Everything else talks to it through events and calls.
type loop struct {
	core   *core.Core
	hw     device.Hardware
	log    *slog.Logger
	events chan core.Event
	calls  chan func()
	over   chan struct{} // closed when the loop has ended and answers nobody
	queue  *queue
	budget *budget
	// recorder is the modem's traffic; nil: there is none.
	recorder *modem.Recorder
	version  string
	board    string
	journal  *journal.Book
	name     string // of the machine, for people
	modem    *worker.Modem
	probe    *worker.Probe
	saver    *flash.StateDir
	block    *board.Block
	clock    *worker.Clock  // nil: nobody is asked for the time
	updates  *worker.Update // nil: its directory cannot be used

	words       chan []byte   // last words for the uplink, the newest only
	nudges      chan struct{} // to the uplink: one that waits is enough
	port0       string        // modem.port of the config
	overData    func(addr string) bool
	wayKnown    bool // overData knows; else it says no to all
	commitEvery time.Duration
	journalSum  [32]byte                                      // of the diary as it was last saved
	journalAt   time.Duration                                 // mono of the diary's next save
	commitAt    time.Duration                                 // mono; 0 when nothing is staged
	openReal    func() (*outbox.Outbox, outbox.Report, error) // the outbox on the flash
	boxAt       time.Duration                                 // mono, before which it is not tried again
	commitNow   bool                                          // somebody waits for a commit ...
	askedAt     time.Duration                                 // ... since then, mono
	group       int                                           // how many the last commit answered ...
	groupAt     time.Duration                                 // ... and when
	commitBad   bool
	ackAt       time.Duration              // mono of the next SyncAcks
	bootWall    time.Time                  // when this boot began, as the outbox was told; zero: not yet
	bootAt      time.Duration              // mono, before which a failure to tell it is not repeated
	watching    map[chan struct{}]struct{} // who wants to know that something changed
	waiting     map[uint64]chan<- error    // durable appends, by seq
	tokens      map[string]chan<- accepted
	watchers    map[string]*watcher
	saved       map[string]error // last result of each persist
	troubles    troubles
	uplink      uplinkView
	machine     room
	updateFrom  int // minutes of the day of update.window; both 0: always
	updateTo    int
}

type accepted struct {
	seq uint64
	err error
}

// watcher is somebody who waits for a diagnosis and follows the layers.
type watcher struct {
	progress chan localapi.Progress
	done     chan diag.Diagnosis
	last     map[diag.Layer]diag.GateState
}

// begin tells what the start has found amiss.
func (l *loop) begin(found outbox.Report) {
	now := l.hw.Now()
	l.troubles.file("disk", l.saver.Writable(), now)
	if found.Damaged+found.Recovered+found.Quarantined > 0 || found.StateLost && !found.Created {
		l.troubles.set("damage", "store_damaged", now, found.String())
		l.log.Warn("the store was damaged", "found", found.String())
	}
	if !now.Trusted && now.Wall.Before(board.NotBefore) {
		l.log.Warn("the clock is wrong; times are put right once the network or a time server tells", "wall", now.Wall.UTC().Format(time.RFC3339))
	}
}

// run steps the core until ctx ends, then works off what is left.
func (l *loop) run(ctx context.Context) error {
	defer close(l.over)
	l.step(core.Started{At: l.at()})
	l.leftAudit()
	for {
		c, stop := l.hw.Timer(l.next())
		select {
		case <-ctx.Done():
			stop()
			l.finish()
			return nil
		case ev := <-l.events:
			l.take(ev)
		case ev := <-l.machine.events:
			l.machineStep(ev)
		case f := <-l.calls:
			f()
		case <-c:
			l.step(core.Tick{At: l.at()})
		}
		stop()
		l.gather()
		l.flush()
	}
}

// gather works off what has come meanwhile, so that one commit serves all of it.
func (l *loop) gather() {
	for range gatherMost {
		select {
		case ev := <-l.events:
			l.take(ev)
		case f := <-l.calls:
			f()
		default:
			return
		}
	}
}

func (l *loop) at() core.At { return core.At{Instant: l.hw.Now()} }

// next is when something is due.
func (l *loop) next() time.Duration {
	next := l.core.Next()
	if l.commitAt > 0 {
		next = min(next, l.commitAt)
	}
	if l.queue.lost != nil {
		next = min(next, l.boxAt)
	}
	next = min(next, l.machine.tickAt)
	return max(next, l.hw.Now().Mono)
}

// take handles what came through the queue.
func (l *loop) take(ev core.Event) {
	switch e := ev.(type) {
	case posted:
		e.f()
		return
	case core.PortState:
		l.port(e)
	case core.ProbeDone:
		if e.Result.Target == probe.Own && e.Result.Result == probe.OK {
			l.pathOpen()
		}
	case core.LinkChanged:
		l.uplink.connected = e.Link.State == "connected"
	case core.Observed:
		l.uplink.lastAnswer, l.uplink.answered = e.Instant.Mono, true
		if _, ok := e.Fact.(threegpp.Unparsed); ok {
			l.uplink.unparsed++
		}
		if store, ok := e.Fact.(threegpp.SMSStored); ok {
			l.troubles.messages(store, l.hw.Now())
		}
	}
	l.step(ev)
}

// pathOpen has the uplink try now: the own service was reached, so there is no
// need to sit out a long wait.
func (l *loop) pathOpen() {
	if l.uplink.connected {
		return
	}
	select {
	case l.nudges <- struct{}{}:
	default:
	}
}

// port keeps what the status shows of the port, and says aloud what only a
// person can mend.
func (l *loop) port(e core.PortState) {
	u := &l.uplink
	if e.State == "ok" {
		if e.Reopened {
			u.reopens++
		}
		u.modemPort, u.profile = e.Detail, e.Profile
	}
	u.portState, u.portDetail = e.State, e.Detail
	at := l.hw.Now()
	port := cmp.Or(u.modemPort, l.port0)
	switch e.State {
	case "ok", "lost", "silent":
		delete(l.troubles, "modem")
		if e.State == "silent" && u.modemPort == "" {
			// One that has answered before is the diagnosis's business.
			l.troubles.set("modem", "port_silent", at, port)
		}
	case "held":
		l.troubles.set("modem", "port_held", at, port, e.Detail)
	case "garbage":
		l.troubles.set("modem", "not_a_modem", at, port)
	case "absent":
		l.troubles.set("modem", "port_absent", at, e.Detail)
	case "unreadable":
		l.troubles.set("modem", "port_unreadable", at, e.Detail)
	}
	if e.State == "ok" {
		l.log.Info("modem port", "state", e.State, "port", e.Detail)
	} else {
		l.log.Warn("modem port", "state", e.State, "detail", e.Detail)
	}
}

// step gives the core one event and carries out what it wants.
func (l *loop) step(ev core.Event) {
	effects := l.core.Step(ev)
	l.note(ev, effects)
	for _, e := range effects {
		switch e := e.(type) {
		case core.Ask:
			if !l.modem.Request(e) { // cannot be: the core asks one round at a time
				l.log.Error("a round was asked while one runs")
			}
		case core.RunProbe:
			if !l.probe.Request(e.Spec) { // cannot be either
				l.log.Error("a probe was asked while one runs")
			}
		case core.LookAtLinks:
			l.look()
		case core.TakeStock:
			waiting, counts := l.tally()
			l.step(core.Stock{At: l.at(), Waiting: waiting, Counts: counts})
		case core.Store:
			l.store(e)
		case core.LastWords:
			l.lastWords(e.Words)
		case core.Persist:
			l.persist(e)
		case core.Answer:
			l.answer(e)
		case core.Block:
			l.block.Want(e.On)
			l.settleBlock()
		case core.DeleteMessages:
			l.modem.Request(e) // where too much waits, the next slow round tries again
		case core.Remedy:
			if !l.modem.Request(e) {
				l.step(core.RemedyDone{At: l.at(), Step: e.Step, Result: remedy.Failed, Detail: "the modem worker is busy"})
			}
		case core.HearTime:
			if l.hw.HearTime != nil {
				l.hw.HearTime(string(board.TimeCloud), e.Wall)
			}
		case core.SendBundle:
			l.sendBundle(e.ID)
		case core.StartUpdate:
			l.startUpdate(e)
		case core.ReadMachine:
			l.readMachine(e.ID)
		case core.Log:
			l.log.Log(context.Background(), slog.Level(e.Level), e.Msg, e.Attrs...)
		}
	}
	l.follow()
	for c := range l.watching {
		select {
		case c <- struct{}{}:
		default: // one that waits stands for all
		}
	}
}

// lastWords hands them to the uplink, which may be at work elsewhere: only the newest
// count.
func (l *loop) lastWords(w protocol.Last) {
	raw, err := protocol.MarshalLast(w)
	if err != nil {
		l.log.Error("last words cannot be encoded", "error", err.Error())
		return
	}
	select {
	case <-l.words:
	default:
	}
	l.words <- raw
}

func (l *loop) look() {
	l.troubles.file("disk", l.saver.Writable(), l.hw.Now())
	readings, data, err := l.hw.Links()
	l.troubles.file("links", err, l.hw.Now())
	if err != nil {
		return // the counters keep; the next look has them
	}
	l.block.Over(data.Name)
	l.settleBlock()
	l.step(core.Links{At: l.at(), Readings: readings, Data: data})
	v := l.core.View()
	l.budget.plan(v.Usage)
	if l.hw.ShowState != nil {
		l.hw.ShowState(v.Diagnosis.Class == diag.Healthy)
	}
}

// store puts a message into the outbox. A message that cannot even be staged is
// a trouble that the status shows; the machine's own software is told.
func (l *loop) store(s core.Store) {
	seq, err := l.queue.put(s)
	if err != nil {
		l.troubles.file("store", err, l.hw.Now())
		l.log.Error("message not kept", "type", string(s.Type), "error", err)
	}
	if s.Token != "" {
		ch := l.tokens[s.Token]
		delete(l.tokens, s.Token)
		switch {
		case ch == nil:
		case err != nil:
			ch <- accepted{err: err}
		case s.Now:
			wait := make(chan error, 1)
			l.waiting[seq] = wait
			go func() { ch <- accepted{seq, <-wait} }()
		default:
			ch <- accepted{seq: seq}
		}
	}
	if err != nil {
		return
	}
	if s.Now && !l.commitNow {
		l.commitNow, l.askedAt = true, l.hw.Now().Mono
	} else if !s.Now && l.commitAt == 0 {
		l.commitAt = l.hw.Now().Mono + l.commitEvery
	}
}

// flush commits what is due.
func (l *loop) flush() {
	now := l.hw.Now()
	l.machineDue(now)
	l.queue.release(now)
	l.retryBox(now.Mono)
	l.bootKnown(now)
	l.keepJournal(now.Mono)
	switch {
	case l.commitNow && l.company(now.Mono):
		l.commitAt = l.askedAt + gatherWait
	case l.commitNow, l.commitAt > 0 && now.Mono >= l.commitAt, !l.commitBad && l.queue.box.Due(now.Mono.Milliseconds()):
		l.commit()
	}
	if now.Mono >= l.ackAt {
		l.ackAt = now.Mono + ackSync
		if err := l.queue.box.SyncAcks(); err != nil {
			l.troubles.file("store", err, now)
		}
	}
}

// company tells whether more writers are to be expected at once: those that the last
// commit answered.
func (l *loop) company(now time.Duration) bool {
	return l.group > 1 && len(l.waiting) < l.group && now < l.askedAt+gatherWait && l.askedAt < l.groupAt+gatherMemory
}

// bootKnown tells the outbox when this boot began, as soon as the time is known:
// what was recorded in 1970 gets its true time when it is sent.
func (l *loop) bootKnown(now instant.Instant) {
	if !now.Trusted || now.Mono < l.bootAt {
		return
	}
	began := now.Wall.Add(-now.Mono)
	if d := began.Sub(l.bootWall); -bootSlack < d && d < bootSlack {
		return
	}
	if err := l.queue.box.SetBootWall(core.WireTime(now).Boot, began.UnixMilli()); err != nil {
		l.bootAt = now.Mono + commitRetry
		l.troubles.file("store", err, now)
		return
	}
	l.bootWall = began
}

// commit makes the staged records durable and tells those who wait. After a
// failure they are told that it is not durable; the record stays staged and the
// next commit tries again, so that a repeat by the machine may double it and
// nothing is lost.
func (l *loop) commit() {
	err := l.queue.commit()
	l.commitNow, l.group, l.groupAt = false, len(l.waiting), l.hw.Now().Mono
	l.troubles.file("store", err, l.hw.Now())
	if err != nil && !l.commitBad {
		l.log.Error("messages are not durable", "error", err)
	}
	if err == nil && l.commitBad {
		l.log.Info("messages are durable again")
	}
	l.commitBad = err != nil
	for seq, ch := range l.waiting {
		switch {
		case !l.queue.box.IsStaged(seq):
			ch <- l.queue.lost // nil: it is on the flash
		case err != nil:
			ch <- err
		default:
			continue
		}
		delete(l.waiting, seq)
	}
	l.commitAt = 0
	if l.queue.box.Staged() > 0 {
		wait := l.commitEvery
		if err != nil {
			wait = commitRetry
		}
		l.commitAt = l.hw.Now().Mono + wait
	}
	if err == nil {
		l.reportGaps()
	}
	l.settleMachine()
}

// reportGaps tells the backend what was dropped.
func (l *loop) reportGaps() {
	err := l.queue.gaps(func(g outbox.Gap) (core.Store, error) {
		body, err := json.Marshal(protocol.Gap{Priority: g.Priority.String(), Count: g.Count, FirstSeq: g.FirstSeq, LastSeq: g.LastSeq,
			From: l.queue.stamp(g.From), To: l.queue.stamp(g.To), Reason: string(g.Reason)})
		l.log.Warn("messages dropped", "priority", g.Priority.String(), "count", g.Count, "why", string(g.Reason))
		return core.Store{Type: protocol.TypeGap, Priority: core.EventPriority, Body: body, At: l.at().Instant}, err
	})
	l.troubles.file("store", err, l.hw.Now())
}

func (l *loop) persist(p core.Persist) {
	err := l.saver.Save(p.Name, p.Data)
	l.troubles.file("save", err, l.hw.Now())
	if err != nil && l.saved[p.Name] == nil {
		l.log.Error("state not kept", "name", p.Name, "error", err)
	}
	l.saved[p.Name] = err
}

func (l *loop) answer(a core.Answer) {
	if w := l.watchers[a.Token]; w != nil {
		delete(l.watchers, a.Token)
		w.done <- a.Diagnosis
		close(w.progress)
	}
}

// follow tells the watchers how the layers stand now.
func (l *loop) follow() {
	if len(l.watchers) == 0 {
		return
	}
	for _, g := range l.core.View().Diagnosis.Gates {
		for _, w := range l.watchers {
			if w.last[g.Layer] == g.State {
				continue
			}
			w.last[g.Layer] = g.State
			select {
			case w.progress <- localapi.Progress{Layer: g.Layer, State: g.State, Fact: g.Fact}:
			default: // a slow reader misses a step, not the verdict
			}
		}
	}
}

// ask runs f in the loop and returns what it makes. The value crosses a channel with
// room for it: the caller may have gone when f ends, and f writes nothing of the
// caller's. What f returns must share nothing that the loop changes.
func ask[T any](ctx context.Context, l *loop, f func() T) (v T, err error) {
	made := make(chan T, 1)
	select {
	case l.calls <- func() { made <- f() }:
	case <-ctx.Done():
		return v, ctx.Err()
	case <-l.over:
		return v, errStopping
	}
	select {
	case v = <-made:
		return v, nil
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

// tell runs f in the loop and waits for its end.
func tell(ctx context.Context, l *loop, f func()) error {
	_, err := ask(ctx, l, func() struct{} { f(); return struct{}{} })
	return err
}

// errStopping is what a request gets while the agent stops.
var errStopping = errors.New("the agent is stopping")

// finish works off what waits, within a bound, and keeps everything. A power
// cut is the usual end of a vending machine: nothing depends on this.
func (l *loop) finish() {
	deadline := time.NewTimer(drainAtEnd)
	defer deadline.Stop()
	for more := true; more; {
		select {
		case ev := <-l.events:
			l.take(ev)
		case ev := <-l.machine.events:
			l.machineStep(ev)
		case f := <-l.calls:
			f()
		case <-deadline.C:
			more = false
		default:
			more = false
		}
	}
	l.step(core.Stopping{At: l.at()})
	l.journalAt = 0
	l.keepJournal(0)
	l.block.Want(false)
	l.settleBlock()
	l.commit()
	for seq, ch := range l.waiting {
		ch <- errStopping
		delete(l.waiting, seq)
	}
	for token, w := range l.watchers {
		delete(l.watchers, token)
		close(w.progress)
	}
	if err := l.queue.box.Close(); err != nil {
		l.log.Error("outbox not closed", "error", err)
	}
	if err := l.budget.close(); err != nil {
		l.log.Error("the day's traffic not kept", "error", err)
	}
	l.saver.Close()
}
