package store

import (
	"context"
	"time"
)

// Lead runs do while this process holds a role that one receiver at a time has: the
// database says which. It waits for the role, ends do's context when the database is
// lost, and begins again, until ctx ends. SQLite has one process, which has it.
func (s *Store) Lead(ctx context.Context, role int64, do func(context.Context)) {
	if !s.Postgres {
		do(ctx)
		return
	}
	for ctx.Err() == nil {
		s.lead(ctx, role, do)
		select {
		case <-ctx.Done():
		case <-time.After(leadEvery):
		}
	}
}

// leadEvery is how often the role is asked for, and whether it is still ours.
const leadEvery = 3 * time.Second

func (s *Store) lead(ctx context.Context, role int64, do func(context.Context)) {
	conn, err := s.DB.Conn(ctx)
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // the lock goes with it
	mine := false
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", role).Scan(&mine); err != nil || !mine {
		return
	}
	defer func() {
		// The connection goes back to the pool, and the lock must not go with it.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_, _ = conn.ExecContext(clean, "SELECT pg_advisory_unlock($1)", role) // a lost connection has lost it too
	}()
	held, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); do(held) }()
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if err := conn.PingContext(ctx); err != nil {
				cancel()
				<-done
				return
			}
		}
	}
}
