package webhook

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cellwarden/protocol/backend/store"
)

// Schedule is when an event is tried again after each failure (Standard Webhooks:
// over several days). After the last it is a dead letter.
var Schedule = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour}

const (
	// perEndpoint is how many tries of one endpoint run at once: one slow customer
	// holds two goroutines and no more.
	perEndpoint = 2
	// lease is how long a claimed event is nobody else's: longer than a try may take.
	lease = 60 * time.Second
	// openAfter failures in a row of one endpoint, it is only tried each openFor.
	openAfter = 5
	openFor   = 30 * time.Second
	// slowest is the longest that Retry-After may ask for.
	slowest = 24 * time.Hour
	// look is how often the table is read when nobody wakes the worker.
	look = 250 * time.Millisecond
)

// Worker sends what stands in the outbox. Several may run over one database.
type Worker struct {
	Store  *store.Store
	Client *http.Client
	Log    *slog.Logger
	Clock  func() time.Time // time.Now but in tests

	Sent, Failed, Dead atomic.Uint64

	wake     chan struct{}
	mu       sync.Mutex
	circuits map[int64]*circuit
	running  sync.WaitGroup
}

// circuit is how one endpoint does.
type circuit struct {
	flying   int
	failures int       // in a row
	until    time.Time // not before
}

type endpoint struct {
	id                int64
	kind, url         string
	secret, secretOld string
}

type letter struct {
	id, typ, subject string
	n, created       int64
	body             []byte
	tries            int
	to               endpoint
}

// NewWorker makes a worker; Run makes it work.
func NewWorker(s *store.Store, client *http.Client, log *slog.Logger) *Worker {
	return &Worker{Store: s, Client: client, Log: log, Clock: time.Now, wake: make(chan struct{}, 1), circuits: map[int64]*circuit{}}
}

// Wake says that something was written.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends and waits for the tries under way.
func (w *Worker) Run(ctx context.Context) {
	defer w.running.Wait()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if err := w.Once(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("webhooks wait for the database", "error", err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second):
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-tick.C:
		}
	}
}

// Once starts what is due and can start now. The tries go on behind it.
func (w *Worker) Once(ctx context.Context) error {
	now := w.Clock()
	rows, err := w.Store.Query(ctx, `SELECT e.id, e.kind, e.url, e.secret, e.secret_old FROM endpoint e WHERE e.disabled IS NULL
		AND EXISTS (SELECT 1 FROM outbox o WHERE o.endpoint = e.id AND o.next_at <= ?)`, now.UnixMilli())
	if err != nil {
		return err
	}
	var due []endpoint
	for rows.Next() {
		var e endpoint
		if err := rows.Scan(&e.id, &e.kind, &e.url, &e.secret, &e.secretOld); err != nil {
			_ = rows.Close()
			return err
		}
		due = append(due, e)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, e := range due {
		room := w.room(e.id, now)
		if room == 0 {
			continue
		}
		list, err := w.claim(ctx, e, room, now)
		if err != nil {
			return err
		}
		for _, l := range list {
			w.fly(e.id, 1)
			w.running.Add(1)
			go func() {
				defer w.running.Done()
				w.try(context.WithoutCancel(ctx), l)
				w.fly(e.id, -1)
				w.Wake()
			}()
		}
	}
	return nil
}

func (w *Worker) circuit(id int64) *circuit {
	if w.circuits[id] == nil {
		w.circuits[id] = &circuit{}
	}
	return w.circuits[id]
}

// room is how many tries of an endpoint may start now.
func (w *Worker) room(id int64, now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.circuit(id)
	switch {
	case now.Before(c.until):
		return 0
	case c.failures >= openAfter:
		return max(0, 1-c.flying)
	}
	return perEndpoint - c.flying
}

func (w *Worker) fly(id int64, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.circuit(id).flying += n
}

// claim takes events for one endpoint and commits the lease before any is sent, so
// that no connection is held over a slow customer. Of one subject the earlier goes
// first: a "cleared" waits for its "raised".
func (w *Worker) claim(ctx context.Context, e endpoint, n int, now time.Time) (list []letter, err error) {
	err = w.Store.Tx(ctx, func(tx *store.Tx) error {
		list = nil
		skip := ""
		if w.Store.Postgres {
			skip = " FOR UPDATE SKIP LOCKED"
		}
		rows, err := tx.Query(ctx, `SELECT id, type, subject, n, body, created, tries FROM outbox o WHERE endpoint = ? AND next_at <= ?
			AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.endpoint = o.endpoint AND p.subject = o.subject AND p.n < o.n)
			ORDER BY next_at LIMIT ?`+skip, e.id, now.UnixMilli(), n)
		if err != nil {
			return err
		}
		for rows.Next() {
			l := letter{to: e}
			if err := rows.Scan(&l.id, &l.typ, &l.subject, &l.n, &l.body, &l.created, &l.tries); err != nil {
				_ = rows.Close()
				return err
			}
			list = append(list, l)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		for _, l := range list {
			if _, err := tx.Exec(ctx, "UPDATE outbox SET next_at = ? WHERE id = ?", now.Add(lease).UnixMilli(), l.id); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// verdict is what one try came to.
type verdict struct {
	err   error
	gone  bool          // 410: nobody wants these any more
	after time.Duration // at the earliest
}

func (w *Worker) try(ctx context.Context, l letter) {
	v := w.send(ctx, l)
	w.mu.Lock()
	c := w.circuit(l.to.id)
	if v.err == nil {
		c.failures, c.until = 0, time.Time{}
	} else {
		c.failures++
		if c.failures >= openAfter || v.after > 0 {
			c.until = w.Clock().Add(max(openFor, v.after))
		}
	}
	w.mu.Unlock()
	// The outcome must be written, or it is sent twice: the same id tells the reader.
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := w.note(ctx, l, v)
		if err == nil {
			return
		}
		w.Log.Warn("the outcome of a webhook cannot be written", "id", l.id, "error", err.Error())
		if wait > 8*time.Second { // its lease ends and it is tried again
			return
		}
		time.Sleep(wait)
	}
}

func (w *Worker) send(ctx context.Context, l letter) verdict {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	r, err := render(l.to, l.id, l.body, w.Clock())
	if err != nil {
		return verdict{err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(r.body))
	if err != nil {
		return verdict{err: errors.New("the url cannot be used")}
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	res, err := w.Client.Do(req)
	if err != nil {
		var u interface{ Unwrap() error }
		if errors.As(err, &u) && u.Unwrap() != nil {
			err = u.Unwrap() // without the url, which may hold a robot's key
		}
		return verdict{err: err}
	}
	defer res.Body.Close() //nolint:errcheck // only read
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	v := verdict{err: accepted(l.to.kind, res.StatusCode, answer), gone: res.StatusCode == http.StatusGone}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		v.after = time.Minute
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
			v.after = min(time.Duration(s)*time.Second, slowest)
		}
	}
	return v
}

// note writes what became of a letter.
func (w *Worker) note(ctx context.Context, l letter, v verdict) error {
	now := w.Clock()
	if v.err == nil {
		w.Sent.Add(1)
		return w.Store.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM outbox WHERE id = ?", l.id)
			return err
		})
	}
	said := v.err.Error()
	said = strings.ToValidUTF8(said[:min(len(said), 300)], "")
	w.Failed.Add(1)
	if l.tries >= len(Schedule) || v.gone {
		w.Dead.Add(1)
		return w.Store.Tx(ctx, func(tx *store.Tx) error {
			if v.gone {
				if _, err := tx.Exec(ctx, "UPDATE endpoint SET disabled = ?, why = ? WHERE id = ?", now.UnixMilli(), "410 Gone: it wants no more", l.to.id); err != nil {
					return err
				}
			}
			return Bury(ctx, tx, l.id, said)
		})
	}
	wait := max(jitter(Schedule[l.tries]), v.after)
	return w.Store.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE outbox SET tries = tries + 1, next_at = ?, error = ? WHERE id = ?", now.Add(wait).UnixMilli(), said, l.id)
		return err
	})
}

// jitter spreads tries by up to a tenth.
func jitter(d time.Duration) time.Duration { return d + rand.N(d/10+1) }

// Bury makes a dead letter of an event.
func Bury(ctx context.Context, tx *store.Tx, id, why string) error {
	if _, err := tx.Exec(ctx, `INSERT INTO dead_letter (id, endpoint, type, subject, n, body, created, died, tries, error)
		SELECT id, endpoint, type, subject, n, body, created, ?, tries + 1, ? FROM outbox WHERE id = ?`, tx.Now(), why, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "DELETE FROM outbox WHERE id = ?", id)
	return err
}

// ErrNoLetter says that there is no dead letter of that id.
var ErrNoLetter = errors.New("no dead letter of that id")

// Again sends a dead letter once more, from the first try, with the same id.
func Again(ctx context.Context, tx *store.Tx, id string) error {
	res, err := tx.Exec(ctx, `INSERT INTO outbox (id, endpoint, type, subject, n, body, created, next_at)
		SELECT id, endpoint, type, subject, n, body, created, ? FROM dead_letter WHERE id = ?`, tx.Now(), id)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrNoLetter, err)
	}
	_, err = tx.Exec(ctx, "DELETE FROM dead_letter WHERE id = ?", id)
	return err
}

// Waiting is how many events wait, and since when the oldest does (milliseconds since
// 1970, 0 none).
func Waiting(ctx context.Context, s *store.Store) (n, oldest int64, err error) {
	var at sql.NullInt64
	err = s.QueryRow(ctx, "SELECT count(*), min(created) FROM outbox").Scan(&n, &at)
	return n, at.Int64, err
}
