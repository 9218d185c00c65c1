package demo

import (
	"slices"
	"sync"
	"time"

	"cellwarden/agent/instant"
)

// lull is how long the clock stays slow after the modem's last answer: the next
// question of the same round follows within it.
const lull = 3 * time.Millisecond

// clock is the story's clock. Dull time passes fast, and never behind the
// agent's back, however busy the computer is:
//
//	fast  the agent waits for a time, and so does the story; time runs up to the
//	      first of them and stands there until the waiter has been woken
//	slow  somebody works (the modem answers, the story waits for a message):
//	      time runs as on the wall, so that no timeout is cut short
type clock struct {
	start time.Time // the wall at story time 0

	mu    sync.Mutex
	real  time.Time     // when story was true
	story time.Duration // since start
	speed float64       // of the fast time
	holds int           // reasons to be slow
	slow  time.Time     // slow until then in any case
	waits []*wait
	pulse *time.Timer
}

// wait is somebody who waits for a story time.
type wait struct {
	at    time.Duration
	c     chan time.Time
	agent bool
}

// boot is how long the board was up when the story began.
const boot = 40 * time.Second

func newClock(start time.Time) *clock {
	c := &clock{start: start, real: time.Now(), speed: 1}
	c.pulse = time.AfterFunc(time.Hour, c.beat)
	return c
}

// now is the agent's Now.
func (c *clock) now() instant.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	return instant.Instant{Boot: "d3a0d3a0-0000-4000-8000-000000000001", Mono: boot + c.story, Wall: c.start.Add(c.story), Trusted: true}
}

func (c *clock) wall() time.Time { return c.now().Wall }

// timer is the agent's Timer.
func (c *clock) timer(mono time.Duration) (<-chan time.Time, func()) {
	w := c.add(mono-boot, true)
	return w.c, func() { c.remove(w) }
}

// sleep waits until the story reaches t, or quit ends; it reports whether it did.
func (c *clock) sleep(quit <-chan struct{}, t time.Time) bool {
	w := c.add(t.Sub(c.start), false)
	defer c.remove(w)
	select {
	case <-w.c:
		return true
	case <-quit:
		return false
	}
}

func (c *clock) add(at time.Duration, agent bool) *wait {
	w := &wait{at: at, c: make(chan time.Time, 1), agent: agent}
	c.change(func() { c.waits = append(c.waits, w) })
	return w
}

func (c *clock) remove(w *wait) {
	c.change(func() { c.waits = slices.DeleteFunc(c.waits, func(x *wait) bool { return x == w }) })
}

// run sets how fast dull time passes.
func (c *clock) run(speed float64) { c.change(func() { c.speed = speed }) }

// hold makes time slow until release is called.
func (c *clock) hold() (release func()) {
	c.change(func() { c.holds++ })
	return func() {
		c.change(func() {
			c.holds--
			c.slow = c.real.Add(lull)
		})
	}
}

// change does f between two pieces of time.
func (c *clock) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	f()
	c.wake()
}

func (c *clock) beat() { c.change(func() {}) }

// fast reports whether everybody waits.
func (c *clock) fast() bool {
	agent, story := false, false
	for _, w := range c.waits {
		agent = agent || w.agent
		story = story || !w.agent
	}
	return agent && story && c.holds == 0
}

// first is the earliest time that is waited for.
func (c *clock) first() (at time.Duration, ok bool) {
	for _, w := range c.waits {
		if !ok || w.at < at {
			at, ok = w.at, true
		}
	}
	return at, ok
}

// advance brings story up to the present.
func (c *clock) advance() {
	now := time.Now()
	passed := now.Sub(c.real)
	c.real = now
	if !c.fast() {
		c.story += passed
		return
	}
	if rest := passed - max(0, now.Sub(c.slow)); rest > 0 { // the slow piece comes first
		c.story += rest
		passed -= rest
	}
	next := c.story + time.Duration(float64(passed)*c.speed)
	if at, _ := c.first(); next > at {
		next = max(at, c.story)
	}
	c.story = next
}

// wake wakes who is due and sees to it that the next one will be.
func (c *clock) wake() {
	c.waits = slices.DeleteFunc(c.waits, func(w *wait) bool {
		if w.at > c.story {
			return false
		}
		w.c <- c.start.Add(w.at)
		return true
	})
	at, ok := c.first()
	if !ok {
		c.pulse.Stop()
		return
	}
	gap := at - c.story
	if c.fast() {
		slow := min(max(0, c.slow.Sub(c.real)), gap)
		gap = slow + time.Duration(float64(gap-slow)/c.speed)
	}
	c.pulse.Reset(gap + 1)
}

// stop ends the clock's own timer.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulse.Stop()
}
