package platform

import (
	"context"
	"sync"
	"time"
)

// calls counts those of an adapter, 0 where that cannot be told.
func calls(a Adapter) int {
	if c, ok := a.(interface{ base() *client }); ok {
		return c.base().calls()
	}
	return 0
}

// CountsOf are what an adapter counted of codes that it does not know.
func CountsOf(a Adapter) []Count {
	if c, ok := a.(interface{ base() *client }); ok {
		return c.base().Counts()
	}
	return nil
}

// An Answer is what came of a job. Of a batch there is one for each card that the
// platform knows; of a job that failed, one without a Status.
type Answer struct {
	Card   Card
	Why    Why
	Status Status
	Err    error
}

// A Worker asks for one account by its schedule, one job at a time.
type Worker struct {
	adapter Adapter
	sink    func(Answer)
	wake    chan struct{}

	mu    sync.Mutex
	sched *Schedule
}

// NewWorker makes one. Sink is called for each answer, from the goroutine of Run.
func NewWorker(a Adapter, sink func(Answer)) *Worker {
	return &Worker{adapter: a, sink: sink, wake: make(chan struct{}, 1), sched: ScheduleOf(a)}
}

// Know makes cards known, for the daily batch and the sweep.
func (w *Worker) Know(list []Card) { w.with(func(s *Schedule) { each(list, s.Card) }) }

// Want asks for a card as soon as the account's limit lets it, and again while it stays
// wanted.
func (w *Worker) Want(c Card) { w.with(func(s *Schedule) { s.Wants(c, time.Now()) }) }

// Again sets how soon a card that stays wanted is asked for again, before Run.
func (w *Worker) Again(d time.Duration) { w.with(func(s *Schedule) { s.Again = d }) }

// Calm ends Want.
func (w *Worker) Calm(c Card) { w.with(func(s *Schedule) { s.Calm(c) }) }

func each(list []Card, f func(Card)) {
	for _, c := range list {
		f(c)
	}
}

func (w *Worker) with(f func(*Schedule)) {
	w.mu.Lock()
	f(w.sched)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run asks until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	for {
		w.mu.Lock()
		job, wait, ok := w.sched.Next(time.Now())
		w.mu.Unlock()
		if !ok {
			t := time.NewTimer(max(wait, time.Millisecond))
			select {
			case <-t.C:
			case <-w.wake:
				t.Stop()
			case <-ctx.Done():
				t.Stop()
				return
			}
			continue
		}
		before := calls(w.adapter)
		err := w.do(ctx, job)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		w.sched.Done(job, calls(w.adapter)-before, err, time.Now())
		w.mu.Unlock()
	}
}

func (w *Worker) do(ctx context.Context, job Job) error {
	if job.Why == Daily {
		list, err := w.adapter.(Batcher).Cards(ctx, job.Cards)
		if err != nil && ctx.Err() == nil {
			w.sink(Answer{Why: Daily, Err: err})
		}
		for _, s := range list {
			w.sink(Answer{Card: Card{ICCID: s.ICCID}, Why: Daily, Status: s})
		}
		return err
	}
	s, err := w.adapter.Card(ctx, job.Cards[0])
	if ctx.Err() == nil {
		w.sink(Answer{Card: job.Cards[0], Why: job.Why, Status: s, Err: err})
	}
	return err
}
