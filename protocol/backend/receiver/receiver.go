// Package receiver puts the backend's parts together: a source on a broker, the store,
// alerts, webhooks, and what it says of itself over HTTP.
package receiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/alerts"
	"cellwarden/protocol/backend/amqp"
	"cellwarden/protocol/backend/ingest"
	"cellwarden/protocol/backend/mqtt"
	"cellwarden/protocol/backend/store"
	"cellwarden/protocol/backend/webhook"
)

// Config is what a receiver needs to know. Database and one of Broker and AMQP are
// required.
type Config struct {
	Database string // postgres://... or sqlite:path
	Broker   string // mqtt://user:password@host:1883, mqtts://...
	AMQP     string // amqp://user:password@host:5672/ instead: RabbitMQ
	Queue    string // with AMQP; cellwarden by default
	Prefix   string // of topics; cw by default
	Share    string // of the shared subscriptions; "" for brokers without them
	ClientID string // fixed for each receiver: cw-receiver-1
	Listen   string // HTTP: 127.0.0.1:8080; "" none
	// Token guards the API: Authorization: Bearer TOKEN. Without one it answers only on
	// a loopback address.
	Token     string
	Allow     []netip.Prefix // private addresses that webhooks may go to
	Plain     bool           // webhooks may be http
	Retention store.Retention
	Limits    store.Limits
	Log       *slog.Logger

	// Pages and Works are what others add: handlers, and work that runs while the
	// receiver does.
	Pages []func(*http.ServeMux, *store.Store)
	Works []func(context.Context, *store.Store)
}

// Roles that one receiver at a time has, as advisory locks of PostgreSQL.
const roleStatus = 7307

// source is an ingest.Source that can be closed and says how it does.
type source interface {
	ingest.Source
	Up() (bool, error)
	Publish(ctx context.Context, topic string, retained bool, payload []byte) error
	Close()
}

// Receiver is one that runs.
type Receiver struct {
	cfg    Config
	log    *slog.Logger
	store  *store.Store
	data   source
	hooks  *webhook.Worker
	stats  ingest.Stats
	line   atomic.Value // of source: data, once it is open
	holder atomic.Bool  // of the retained topics
	began  time.Time
	gauges gauges
	addr   string
}

func (c *Config) defaults() error {
	if (c.Broker == "") == (c.AMQP == "") {
		return errors.New("name one of broker and amqp")
	}
	if c.Prefix == "" {
		c.Prefix = "cw"
	}
	if c.Queue == "" {
		c.Queue = "cellwarden"
	}
	if c.ClientID == "" {
		c.ClientID = "cw-receiver-1"
	}
	if c.Retention == (store.Retention{}) {
		c.Retention = store.DefaultRetention
	}
	if c.Limits == (store.Limits{}) {
		c.Limits = store.DefaultLimits
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Listen != "" && c.Token == "" {
		host, _, err := net.SplitHostPort(c.Listen)
		if ip, perr := netip.ParseAddr(host); err != nil || host != "localhost" && (perr != nil || !ip.IsLoopback()) {
			return fmt.Errorf("listen %q: without a token only a loopback address, as 127.0.0.1:8080", c.Listen)
		}
	}
	return nil
}

// New opens the database, waiting for it while ctx lives, and connects to the broker
// in the background.
func New(ctx context.Context, cfg Config) (*Receiver, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	r := &Receiver{cfg: cfg, log: cfg.Log, began: time.Now()}
	for {
		s, err := store.Open(ctx, cfg.Database)
		if err == nil {
			r.store = s
			break
		}
		cfg.Log.Warn("waiting for the database", "error", err.Error())
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(2 * time.Second):
		}
	}
	r.store.SetLimits(cfg.Limits)
	r.hooks = webhook.NewWorker(r.store, webhook.Client(cfg.Allow), cfg.Log)
	return r, nil
}

// Store is the receiver's database.
func (r *Receiver) Store() *store.Store { return r.store }

// Addr is where HTTP listens, once Run has begun.
func (r *Receiver) Addr() string { return r.addr }

// Up reports whether messages can come, and if not, why.
func (r *Receiver) Up() (bool, error) {
	if d, ok := r.line.Load().(*source); ok {
		return (*d).Up()
	}
	return false, errors.New("not started")
}

// Run works until ctx ends: what is under way is committed and acknowledged then.
func (r *Receiver) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer r.store.Close() //nolint:errcheck // all is committed
	// The connection outlives ctx by the last commit and its acknowledgements.
	line, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	var err error
	if r.cfg.AMQP != "" {
		r.data, err = amqp.Open(line, amqp.Options{URL: r.cfg.AMQP, Queue: r.cfg.Queue, Prefix: r.cfg.Prefix, Log: r.log})
	} else {
		r.data, err = mqtt.Open(line, mqtt.Options{URL: r.cfg.Broker, ClientID: r.cfg.ClientID, Prefix: r.cfg.Prefix, Share: r.cfg.Share, Log: r.log})
	}
	if err != nil {
		return err
	}
	r.line.Store(&r.data)
	var all sync.WaitGroup
	shutDown := func() {}
	if r.cfg.Listen != "" {
		l, err := net.Listen("tcp", r.cfg.Listen)
		if err != nil {
			return err
		}
		r.addr = l.Addr().String()
		srv := &http.Server{Handler: r.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
		all.Go(func() { _ = srv.Serve(l) }) // it ends by Shutdown
		shutDown = func() {
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = srv.Shutdown(end) // who still reads is cut off
		}
	}
	failed := make(chan error, 2)
	loop := func(ctx context.Context, s ingest.Source) {
		l := &ingest.Loop{Source: s, Store: r.store, Log: r.log, Stats: &r.stats, Wrote: func(res store.Result) {
			if res.Events > 0 {
				r.hooks.Wake()
			}
		}}
		if err := l.Run(ctx); err != nil {
			failed <- err
		}
	}
	all.Go(func() { loop(ctx, r.data); r.data.Close() })
	if r.cfg.AMQP == "" {
		all.Go(func() { r.store.Lead(ctx, roleStatus, func(held context.Context) { r.holdStatus(held, line, loop) }) })
	}
	all.Go(func() { r.hooks.Run(ctx) })
	all.Go(func() { alerts.Run(ctx, r.store, r.log, r.hooks.Wake) })
	all.Go(func() { r.maintain(ctx) })
	for _, work := range r.cfg.Works {
		all.Go(func() { work(ctx, r.store) })
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
		stop()
	}
	hangUpLater := time.AfterFunc(5*time.Second, hangUp)
	defer hangUpLater.Stop()
	if r.cfg.AMQP != "" {
		time.AfterFunc(1500*time.Millisecond, hangUp)
	}
	shutDown()
	all.Wait()
	return err
}

// holdStatus takes the retained topics while this receiver has the role.
func (r *Receiver) holdStatus(held, line context.Context, loop func(context.Context, ingest.Source)) {
	s, err := mqtt.Open(line, mqtt.Options{URL: r.cfg.Broker, ClientID: r.cfg.ClientID + "-status", Prefix: r.cfg.Prefix, Status: true, Log: r.log})
	if err != nil {
		r.log.Error("status", "error", err.Error())
		return
	}
	defer s.Close()
	r.holder.Store(true)
	var sweep sync.WaitGroup
	sweep.Go(func() { r.sweepCommands(held, s) })
	defer sweep.Wait()
	defer r.holder.Store(false)
	loop(held, s)
}

// sweepEvery is how often answered commands are removed from the broker. A device that
// gets one again refuses it, so a moment does no harm.
const sweepEvery = 2 * time.Second

// sweepCommands removes retained commands that were answered or have expired. Of one
// device the broker keeps the last one only.
func (r *Receiver) sweepCommands(ctx context.Context, s *mqtt.Source) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
		if err := r.sweep(ctx, s); err != nil && ctx.Err() == nil {
			r.log.Warn("retained commands", "error", err.Error())
		}
	}
}

func (r *Receiver) sweep(ctx context.Context, s *mqtt.Source) error {
	now := time.Now().UnixMilli()
	rows, err := r.store.Query(ctx, `SELECT d.id, d.dev, d.tenant FROM command c JOIN device d ON d.id = c.device WHERE c.retained
		GROUP BY d.id, d.dev, d.tenant HAVING count(*) = count(CASE WHEN c.replied IS NOT NULL OR c.expires < ? THEN 1 END) LIMIT 200`, now)
	if err != nil {
		return err
	}
	type one struct {
		id          int64
		dev, tenant string
	}
	var list []one
	for rows.Next() {
		var o one
		if err := rows.Scan(&o.id, &o.dev, &o.tenant); err != nil {
			return errors.Join(err, rows.Close())
		}
		list = append(list, o)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, o := range list {
		topic := protocol.Topic{Prefix: o.tenant, Device: o.dev, Leaf: protocol.LeafCommand}.String()
		if err := s.Publish(ctx, topic, true, nil); err != nil {
			return err
		}
		err := r.store.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE command SET retained = FALSE WHERE device = ? AND (replied IS NOT NULL OR expires < ?)", o.id, now)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Receiver) maintain(ctx context.Context) {
	for {
		if err := r.store.Maintain(ctx, r.cfg.Retention); err != nil && ctx.Err() == nil {
			r.log.Warn("maintenance", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(12 * time.Hour):
		}
	}
}
