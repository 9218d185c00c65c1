package platform

import (
	"container/heap"
	"time"
)

// Why a card is asked for, the most urgent first.
type Why int

// The reasons to ask.
const (
	Urgent Why = iota // its machine fell silent, or passed 80 % of its data
	Daily             // yesterday's usage, in batches
	Sweep             // all cards in turn, slowly
)

func (w Why) String() string { return [...]string{"urgent", "daily", "sweep"}[w] }

// When a card is asked again.
const (
	// UrgentAgain is how soon a card whose machine is still silent is asked again: a
	// bill that was paid shows within minutes on the platforms that are live. It doubles
	// up to UrgentMost: what has not changed in an hour is not in a hurry.
	UrgentAgain = 5 * time.Minute
	UrgentMost  = time.Hour
	// NoCardAgain: a card that the platform does not know is a mistake in a list, and
	// lists change by hand.
	NoCardAgain = 7 * 24 * time.Hour
	// SweepShare: the sweep takes one of ten calls that the account allows.
	SweepShare = 10
	// SweepAgain is the shortest time between two sweeps over the same card. Hour 3 of
	// the platform's day begins the daily batch: figures of the day before are in then.
	SweepAgain = 24 * time.Hour
	dailyHour  = 3
	// MaxCards bounds an account: a million cards at one call a second are swept in
	// twelve days already.
	MaxCards = 1_000_000
	// resting is for how long an account is left alone whose login was refused.
	resting = refusedFor
)

// A Job is what to ask next: one card, or a batch.
type Job struct {
	Why   Why
	Cards []Card
}

// Schedule says whom to ask when, for one account. It is pure: the time comes in. One
// goroutine owns it.
type Schedule struct {
	// Again stands in the place of UrgentAgain, for accounts that may be asked oftener.
	Again time.Duration

	batch int
	gap   time.Duration // between two calls of this account
	zone  *time.Location

	cards  map[string]*asked
	order  []string
	urgent due

	sweepAt   int
	sweepNext time.Time
	rest      time.Time
	day       string // of the last daily batch
	dailyLeft []string
}

// asked is what is known of one card.
type asked struct {
	card   Card
	last   time.Time
	not    time.Time     // not before
	again  time.Duration // 0: not urgent
	at     time.Time     // when it is due, while urgent
	index  int
	queued bool
}

// NewSchedule makes one for an account whose limit is one call each gap, and whose
// batches hold batch cards (0: there are none).
func NewSchedule(gap time.Duration, batch int, zone *time.Location) *Schedule {
	return &Schedule{Again: UrgentAgain, gap: gap, batch: batch, zone: zone, cards: map[string]*asked{}}
}

// ScheduleOf makes the schedule of an adapter's account.
func ScheduleOf(a Adapter) *Schedule {
	c, _ := a.(interface{ base() *client })
	if c == nil {
		return NewSchedule(time.Second, 0, time.UTC)
	}
	batch := 0
	if _, ok := a.(Batcher); ok && c.base().m.Lag != "hours" {
		batch = c.base().m.Limits.Batch
	}
	return NewSchedule(c.base().limit.base, batch, c.base().m.zone)
}

// Card makes a card known; the same card again changes nothing.
func (s *Schedule) Card(c Card) {
	k := key(c)
	if s.cards[k] != nil || len(s.cards) >= MaxCards {
		return
	}
	s.cards[k] = &asked{card: c}
	s.order = append(s.order, k)
}

func key(c Card) string {
	if c.ICCID != "" {
		return First19(c.ICCID)
	}
	return c.MSISDN
}

// Wants makes a card urgent: at once, unless it was asked within UrgentAgain.
func (s *Schedule) Wants(c Card, now time.Time) {
	s.Card(c)
	a := s.cards[key(c)]
	if a == nil || a.again > 0 {
		return
	}
	a.again, a.at = s.Again, now
	if !a.last.IsZero() && a.last.Add(s.Again).After(now) {
		a.at = a.last.Add(s.Again)
	}
	if a.not.After(a.at) {
		a.at = a.not
	}
	s.push(a)
}

// Calm ends what Wants began: the machine is back.
func (s *Schedule) Calm(c Card) {
	if a := s.cards[key(c)]; a != nil && a.again > 0 {
		a.again = 0
		if a.queued {
			heap.Remove(&s.urgent, a.index)
			a.queued = false
		}
	}
}

func (s *Schedule) push(a *asked) {
	if !a.queued {
		a.queued = true
		heap.Push(&s.urgent, a)
	}
}

// Next gives the job that is due, or how long to wait for one.
func (s *Schedule) Next(now time.Time) (Job, time.Duration, bool) {
	if s.rest.After(now) {
		return Job{}, s.rest.Sub(now), false
	}
	if len(s.urgent) > 0 && !s.urgent[0].at.After(now) {
		a := heap.Pop(&s.urgent).(*asked)
		a.queued = false
		return Job{Urgent, []Card{a.card}}, 0, true
	}
	if job, ok := s.daily(now); ok {
		return job, 0, true
	}
	if job, ok := s.sweep(now); ok {
		return job, 0, true
	}
	wait := time.Minute
	if len(s.urgent) > 0 {
		wait = min(wait, s.urgent[0].at.Sub(now))
	}
	if s.sweepNext.After(now) {
		wait = min(wait, s.sweepNext.Sub(now))
	}
	return Job{}, wait, false
}

func (s *Schedule) daily(now time.Time) (Job, bool) {
	if s.batch == 0 {
		return Job{}, false
	}
	local := now.In(s.zone)
	if day := local.Format(time.DateOnly); local.Hour() >= dailyHour && s.day != day {
		s.day, s.dailyLeft = day, append(s.dailyLeft[:0], s.order...)
	}
	job := Job{Why: Daily}
	for len(s.dailyLeft) > 0 && len(job.Cards) < s.batch {
		if a := s.cards[s.dailyLeft[0]]; !a.not.After(now) {
			job.Cards = append(job.Cards, a.card)
		}
		s.dailyLeft = s.dailyLeft[1:]
	}
	return job, len(job.Cards) > 0
}

// maxLook bounds how many cards one step of the sweep passes over.
const maxLook = 1000

func (s *Schedule) sweep(now time.Time) (Job, bool) {
	if s.sweepNext.After(now) || len(s.order) == 0 {
		return Job{}, false
	}
	for range min(len(s.order), maxLook) {
		a := s.cards[s.order[s.sweepAt%len(s.order)]]
		s.sweepAt++
		if !a.not.After(now) && (a.last.IsZero() || !a.last.Add(SweepAgain).After(now)) {
			return Job{Sweep, []Card{a.card}}, true
		}
	}
	s.sweepNext = now.Add(time.Minute)
	return Job{}, false
}

// Done tells what came of a job: how many calls it took, and its error.
func (s *Schedule) Done(job Job, calls int, err error, now time.Time) {
	kind := KindOf(err)
	switch kind {
	case Refused, Token, Skewed:
		s.rest = now.Add(resting)
	case Rate, Away, Busy:
		s.rest = now.Add(max(s.gap*2, time.Second))
	}
	if job.Why == Sweep {
		s.sweepNext = now.Add(s.gap * time.Duration(SweepShare*max(calls, 1)))
	}
	failed := kind == Rate || kind == Away || kind == Busy || kind == Refused || kind == Token || kind == Skewed
	if failed && job.Why == Daily {
		for _, c := range job.Cards { // to be asked for once more
			s.dailyLeft = append(s.dailyLeft, key(c))
		}
	}
	if job.Why == Daily {
		return
	}
	for _, c := range job.Cards {
		a := s.cards[key(c)]
		if a == nil {
			continue
		}
		if !failed {
			a.last = now
		}
		if kind == NoCard {
			a.not = now.Add(NoCardAgain)
		}
		if a.again > 0 {
			a.at = now.Add(a.again)
			a.again = min(a.again*2, s.Again*(UrgentMost/UrgentAgain))
			if a.not.After(a.at) {
				a.at = a.not
			}
			s.push(a)
		}
	}
}

// due orders what is urgent by its time.
type due []*asked

func (d due) Len() int           { return len(d) }
func (d due) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d due) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

func (d *due) Push(x any) {
	a := x.(*asked)
	a.index = len(*d)
	*d = append(*d, a)
}

func (d *due) Pop() any {
	old := *d
	a := old[len(old)-1]
	*d = old[:len(old)-1]
	return a
}
