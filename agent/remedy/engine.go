package remedy

import (
	"hash/fnv"
	"slices"
	"time"
)

// forget is how long service must have been back before the next fault of a class
// starts its ladder from the bottom again.
const forget = time.Hour

// quietMost is the longest that a step waits for the machine to be quiet. A line that
// carries something is not cut in the middle of it; one that never rests is.
const quietMost = 10 * time.Minute

// Input is how things stand at one moment.
type Input struct {
	Now   time.Duration // monotonic, of this run of the program
	Class string        // the judged class; "healthy" or "" where nothing is to be done
	Since time.Duration // Now when Class was first judged
	Card  string        // hash of the card in use; budgets of one card are not another's
	// Sure: the verdict is confirmed or likely. An unsure class climbs only the
	// ladder of "ambiguous".
	Sure bool
	// Passing: packets pass both ways. No step that cuts the line is taken then.
	Passing bool
	// Busy: the machine's traffic moves, so a step that cuts the line waits a while.
	Busy bool
	// BackOff is until when the network told the module to wait (T3346, T3396); 0 none.
	BackOff time.Duration
	// HeldUntil: the machine's software holds steps off, since money moves; 0 not.
	HeldUntil time.Duration
	// PausedUntil: a technician is at work (repair mode); 0 not.
	PausedUntil time.Duration
	// Able says which steps this board, module and config can take.
	Able func(Step) bool
}

// Why says why no step is taken now. The values are text keys and cross the wire.
type Why string

// Reasons to wait.
const (
	WhyNothing   Why = ""          // nothing is to be done
	WhyRunning   Why = "running"   // a step is under way
	WhyWaiting   Why = "waiting"   // the next rung's time has not come
	WhyPaused    Why = "paused"    // repair mode
	WhyHeld      Why = "held"      // a payment is running
	WhyBackOff   Why = "back_off"  // the network's own timer runs
	WhyPassing   Why = "passing"   // the line carries data
	WhyBusy      Why = "busy"      // waits for quiet
	WhyBudget    Why = "budget"    // a limit is reached
	WhyExhausted Why = "exhausted" // nothing more can be done from here
)

// Decision is what Look says: a Step to take now, or Why not and when to look again.
type Decision struct {
	Step  Step
	Class string
	Rung  int    // 1 is the first; those of the patient schedule count on
	News  string // the news that brought the step forward, "" none
	Why   Why
	Next  Step          // the step that is waited for, "" none
	At    time.Duration // when to look again, by Input.Now; 0 not by itself
}

// NewsTechnician is the news that every class hears: somebody at the machine says that
// he has done something.
const NewsTechnician = "technician"

// Result is how a step ended.
type Result string

// Results of a step.
const (
	Done        Result = "done"        // carried out; whether it helped is judged anew
	Failed      Result = "failed"      // it could not be carried out
	Interrupted Result = "interrupted" // the program ended while it ran
)

// State is what an Engine must not forget: it is kept before each step begins.
// Times are running time of the program in nanoseconds, summed over all runs.
type State struct {
	Ran    time.Duration              `json:"ran"`
	Spent  map[string][]time.Duration `json:"spent,omitempty"` // by budget and card
	Climbs map[string]Climb           `json:"climbs,omitempty"`
	News   string                     `json:"news,omitempty"`
	NewsAt time.Duration              `json:"news_at,omitempty"` // when it counts
	Step   Step                       `json:"step,omitempty"`    // under way
	Class  string                     `json:"class,omitempty"`
	ByNews bool                       `json:"by_news,omitempty"` // the step under way answers to news, and is no rung
	Steps  uint64                     `json:"steps,omitempty"`   // taken ever, for the jitter
}

// Climb is how far one class (or family) has climbed.
type Climb struct {
	Rung int           `json:"rung"`           // how many are behind
	At   time.Duration `json:"at"`             // when the last ended, or the climb began
	Well time.Duration `json:"well,omitempty"` // since when service is back; 0 it is not
}

// Engine walks the ladders. One owner; not safe for concurrent use.
type Engine struct {
	table *Table
	seed  string
	s     State
	now   time.Duration // Input.Now of the last call
	busy  time.Duration // since when a step waits for quiet, running time; 0 none does
}

// New starts an engine from what was kept. seed differs between devices, so that
// they do not act in step. now is the monotonic time at the start.
func New(t *Table, seed string, kept State, now time.Duration) *Engine {
	e := &Engine{table: t, seed: seed, s: sound(kept), now: now}
	if e.s.Spent == nil {
		e.s.Spent = map[string][]time.Duration{}
	}
	if e.s.Climbs == nil {
		e.s.Climbs = map[string]Climb{}
	}
	return e
}

// sound takes out of a kept state what no engine has written.
func sound(s State) State {
	s.Ran = max(s.Ran, 0)
	s.NewsAt = min(max(s.NewsAt, 0), s.Ran+forget)
	for key, list := range s.Spent {
		list = slices.DeleteFunc(list, func(at time.Duration) bool { return at < 0 || at > s.Ran })
		if slices.Sort(list); len(list) == 0 {
			delete(s.Spent, key)
			continue
		}
		s.Spent[key] = list
	}
	for key, c := range s.Climbs {
		c.Rung = min(max(c.Rung, 0), 1000)
		c.At = min(max(c.At, 0), s.Ran+forget)
		c.Well = min(max(c.Well, 0), s.Ran)
		s.Climbs[key] = c
	}
	return s
}

// Interrupted is the step that was under way when the program ended, "" none. It has
// been paid for; Ended must be told.
func (e *Engine) Interrupted() (Step, string) { return e.s.Step, e.s.Class }

// State is what to keep.
func (e *Engine) State() State { return e.s }

// pass moves the running time on. A clock that goes back moves nothing.
func (e *Engine) pass(now time.Duration) {
	if now > e.now {
		e.s.Ran += now - e.now
	}
	e.now = now
}

// climbKey is what a class climbs under: its family, or itself.
func (e *Engine) climbKey(class string) string {
	if f := e.table.Class[class].Family; f != "" {
		return f
	}
	return class
}

// Tell takes good news: a bill is paid, a cycle begun, a card changed, a technician
// says that he is done. It brings the class's news step forward, once, so long after:
// a line that comes back by itself then needs none.
func (e *Engine) Tell(now time.Duration, what string, after time.Duration) {
	e.pass(now)
	if after > 0 {
		after += time.Duration(float64(after) * e.random(what, -2)) // up to twice: not all machines in step
	}
	e.s.News, e.s.NewsAt = what, e.s.Ran+after
}

// Look says what to do now. Where it names a step, the step is paid for: keep State,
// then carry it out, then call Ended.
func (e *Engine) Look(in Input) Decision {
	e.pass(in.Now)
	if e.s.Step != "" {
		return Decision{Why: WhyRunning, Next: e.s.Step, Class: e.s.Class}
	}
	class := in.Class
	if class != "healthy" && class != "" && !in.Sure {
		class = "ambiguous"
	}
	ladder, ok := e.table.Class[class]
	e.rest(class)
	if !ok {
		e.s.News = ""
		return Decision{}
	}
	key := e.climbKey(class)
	climb := e.climb(key, class, in)
	d := Decision{Class: class, Rung: climb.Rung + 1}
	step, due, news := e.next(ladder, class, climb, in)
	if step == "" {
		d.Why = WhyExhausted
		return d
	}
	d.Next, d.News = step, news
	if why, at := e.forbidden(step, in); why != WhyNothing {
		d.Why, d.At = why, at
		return d
	}
	if due > e.s.Ran {
		d.Why, d.At = WhyWaiting, e.mono(due)
		return d
	}
	if free := e.free(step, in.Card); free > e.s.Ran {
		d.Why, d.At = WhyBudget, e.mono(free)
		return d
	}
	if wait := e.waitQuiet(step, in); wait > 0 {
		d.Why, d.At = WhyBusy, e.now+wait
		return d
	}
	e.take(step, class, in.Card, news)
	d.Step, d.Next = step, ""
	return d
}

// mono turns a moment of the running time into one of Input.Now.
func (e *Engine) mono(ran time.Duration) time.Duration { return e.now + ran - e.s.Ran }

// climb finds the climb of a class, or begins it.
func (e *Engine) climb(key, class string, in Input) Climb {
	c, ok := e.s.Climbs[key]
	if !ok || c.Well > 0 && e.s.Ran-c.Well >= forget {
		since := max(0, min(e.now-in.Since, e.s.Ran))
		c = Climb{At: e.s.Ran - since + e.spread(class)}
	} else if c.Well > 0 { // while it was gone no wait has passed
		c.At += e.s.Ran - c.Well
	}
	c.Well = 0
	e.s.Climbs[key] = c
	return c
}

// rest marks the climbs that are not wanted now, and drops those that are forgotten.
func (e *Engine) rest(class string) {
	for key, c := range e.s.Climbs {
		if key == e.climbKey(class) {
			continue
		}
		if c.Well == 0 {
			c.Well = max(e.s.Ran, 1)
		}
		if e.s.Ran-c.Well >= forget {
			delete(e.s.Climbs, key)
			continue
		}
		e.s.Climbs[key] = c
	}
}

// next is the step that stands next for a climb, and when it is due. Steps that the
// board cannot take are passed over.
func (e *Engine) next(l Ladder, class string, c Climb, in Input) (step Step, due time.Duration, news string) {
	able := func(s Step) bool { return s != "" && (in.Able == nil || in.Able(s)) }
	if e.s.News != NewsTechnician && !slices.Contains(l.Hears, e.s.News) {
		e.s.News = "" // says nothing of this fault
	}
	if e.s.News != "" && able(l.News) {
		return l.News, e.s.NewsAt, e.s.News
	}
	for i := c.Rung; i < len(l.Rungs); i++ {
		if r := l.Rungs[i]; able(r.Step) {
			if i > c.Rung { // those before cannot be taken: their waits are not waited for
				c.Rung = i
				e.s.Climbs[e.climbKey(class)] = c
			}
			return r.Step, c.At + e.jitter(time.Duration(r.After), class, i), ""
		}
	}
	if !able(l.Patient) {
		return "", 0, ""
	}
	if c.Rung < len(l.Rungs) {
		c.Rung = len(l.Rungs)
		e.s.Climbs[e.climbKey(class)] = c
	}
	i := c.Rung - len(l.Rungs)
	return l.Patient, c.At + e.jitter(time.Duration(l.Waits[min(i, len(l.Waits)-1)]), class, c.Rung), ""
}

// forbidden says whether step may not be taken now, and until when.
func (e *Engine) forbidden(step Step, in Input) (Why, time.Duration) {
	if in.PausedUntil > in.Now {
		return WhyPaused, in.PausedUntil
	}
	cuts := e.table.disturbs(step) >= DisturbsSession
	switch {
	case cuts && in.HeldUntil > in.Now:
		return WhyHeld, in.HeldUntil
	case cuts && in.BackOff > in.Now:
		return WhyBackOff, in.BackOff
	case cuts && in.Passing:
		return WhyPassing, 0
	}
	return WhyNothing, 0
}

func (e *Engine) waitQuiet(step Step, in Input) time.Duration {
	if !in.Busy || e.table.disturbs(step) < DisturbsSession {
		e.busy = 0
		return 0
	}
	if e.busy == 0 {
		e.busy = max(e.s.Ran, 1)
	}
	return max(0, quietMost-(e.s.Ran-e.busy))
}

// budgetKey is under which a budget is kept.
func (e *Engine) budgetKey(budget, card string) string {
	if e.table.Budget[budget].Of == "card" {
		return budget + " " + card
	}
	return budget
}

// free is the running time from which all budgets of step allow it.
func (e *Engine) free(step Step, card string) time.Duration {
	at := time.Duration(0)
	for _, name := range e.table.Step[step].Spends {
		b := e.table.Budget[name]
		spent := e.s.Spent[e.budgetKey(name, card)]
		if len(spent) >= b.Limit {
			at = max(at, spent[len(spent)-b.Limit]+time.Duration(b.Per))
		}
	}
	return at
}

// maxCards bounds the cards whose budgets are kept; the one unused longest goes.
const maxCards = 8

func (e *Engine) take(step Step, class, card, news string) {
	for _, name := range e.table.Step[step].Spends {
		key := e.budgetKey(name, card)
		list := append(slices.Clone(e.s.Spent[key]), e.s.Ran)
		if most := e.table.Budget[name].Limit; len(list) > most {
			list = list[len(list)-most:]
		}
		e.s.Spent[key] = list
	}
	for len(e.s.Spent) > maxCards*len(e.table.Budget) {
		oldest := ""
		for key, list := range e.s.Spent {
			if oldest == "" || list[len(list)-1] < e.s.Spent[oldest][len(e.s.Spent[oldest])-1] {
				oldest = key
			}
		}
		delete(e.s.Spent, oldest)
	}
	e.s.ByNews = news != ""
	if e.s.ByNews {
		e.s.News = ""
	}
	e.s.Step, e.s.Class = step, class
	e.s.Steps++
	e.busy = 0
}

// Order takes a step that a person asked for: no ladder and no wait, but within its
// budgets, and not while another one is under way. Where it may not be taken, at is when
// it may be, by now's clock. As with Look, the step is paid for: keep State first.
func (e *Engine) Order(now time.Duration, step Step, card string) (at time.Duration, ok bool) {
	e.pass(now)
	if e.s.Step != "" {
		return now + e.table.Timeout(e.s.Step), false
	}
	if free := e.free(step, card); free > e.s.Ran {
		return e.mono(free), false
	}
	e.take(step, "", card, "order")
	return now, true
}

// Ended takes how the step under way ended. The next rung's wait begins once its
// disturbance has settled.
func (e *Engine) Ended(now time.Duration, r Result) {
	e.pass(now)
	if e.s.Step == "" {
		return
	}
	if e.s.Class == "" { // ordered by a person: no rung of any climb
		e.s.Step, e.s.ByNews = "", false
		return
	}
	key := e.climbKey(e.s.Class)
	c := e.s.Climbs[key]
	if !e.s.ByNews {
		c.Rung++
	}
	c.At = e.s.Ran
	if r == Done {
		c.At += e.table.Settle(e.s.Step)
	}
	e.s.Climbs[key] = c
	e.s.Step, e.s.Class, e.s.ByNews = "", "", false
}

// jitter spreads a wait by up to a fifth either way, differently for each device,
// class and rung (TS.34 4.2_REQ_016). Waits of an hour and more, which stand for T1
// of TS.34 8.2.2_REQ_006, are only lengthened.
func (e *Engine) jitter(wait time.Duration, class string, rung int) time.Duration {
	u := e.random(class, rung)
	if wait >= time.Hour {
		return wait + time.Duration(float64(wait)*0.2*u)
	}
	return wait + time.Duration(float64(wait)*0.2*(2*u-1))
}

func (e *Engine) spread(class string) time.Duration {
	return time.Duration(float64(e.table.Class[class].Spread) * e.random(class, -1))
}

// random is a number from 0 to 1 that is the same whenever the same state is asked.
func (e *Engine) random(class string, rung int) float64 {
	h := fnv.New64a()
	h.Write([]byte(e.seed + "/" + class))
	n := e.s.Steps<<8 + uint64(rung&0xff)
	for range 8 {
		h.Write([]byte{byte(n)})
		n >>= 8
	}
	return float64(h.Sum64()>>11) / (1 << 53)
}
