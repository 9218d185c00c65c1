package mqtt

import (
	"context"
	"fmt"
	"time"

	"cellwarden/protocol/backend/ingest"
	"cellwarden/protocol/backend/store"

	"github.com/eclipse/paho.golang/paho"
)

// DrainOut takes a receiver out of the group for good: it unsubscribes, so that no
// further share comes to it, commits and acknowledges what the broker still keeps for
// it, and ends the session when nothing has come for quiet.
func DrainOut(ctx context.Context, opt Options, s *store.Store, quiet time.Duration) error {
	line, hangUp := context.WithCancel(ctx)
	defer hangUp()
	opt.drain = true
	src, err := Open(line, opt)
	if err != nil {
		return err
	}
	if err := src.cm.AwaitConnection(ctx); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if err := src.Drain(ctx); err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	idle, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.AfterFunc(quiet, stop)
	loop := &ingest.Loop{Source: src, Store: s, Log: opt.Log, Stats: &ingest.Stats{}, Wrote: func(store.Result) { timer.Reset(quiet) }}
	if err := loop.Run(idle); err != nil {
		return err
	}
	time.Sleep(ackGrace)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	now := uint32(0)
	src.expire.Store(&paho.DisconnectProperties{SessionExpiryInterval: &now})
	return src.cm.Disconnect(end)
}
