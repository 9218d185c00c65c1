// Package watch is where both halves meet: it reads from the store how devices stand,
// holds silences against each other (backend/fleet), asks SIM platforms (backend/platform)
// when it matters, tells devices what it learned, and writes what it found as alerts.
//
// One goroutine owns the judgement; a worker for each account asks. It decides nothing of
// its own: rules are in fleet, priorities in platform.
package watch

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/fleet"
	"cellwarden/protocol/backend/platform"
	"cellwarden/protocol/backend/store"
)

// Pace of the watch.
const (
	// DefaultEvery is how often changes of status are read: a will is 10 to 30 minutes
	// late by itself, so seconds are enough.
	DefaultEvery = 5 * time.Second
	// fullEvery: names, sites, usage and what no status tells.
	fullEvery = time.Minute
	// statusLife is how long a sim_status waits at the broker for a device that sleeps; a
	// day later the platform is asked again anyhow.
	statusLife = 24 * time.Hour
	// nearShare of the quota makes a card urgent.
	nearShare = 0.8
	// silentFor is how long a machine is silent before it is an alert: cards that are
	// registered anew and short cuts of power have passed by then.
	silentFor = 10 * time.Minute
	// neighbourLife is how long word of an outage waits for a member that wakes.
	neighbourLife = 2 * time.Hour
	// maxAnswers bounds what waits between the workers and the judgement.
	maxAnswers = 256
)

// Account is an account of a SIM platform with the cards that it holds.
type Account struct {
	platform.Account
	Cards []string `toml:"cards"` // beginnings of ICCIDs; none: all that no other account holds
}

// Options of a watch.
type Options struct {
	Tenant    string
	Accounts  []Account
	Transport http.RoundTripper // nil: the usual one
	Every     time.Duration
	SilentFor time.Duration
	Again     time.Duration // how soon a card in trouble is asked for again, and then less and less; 0: 5 min
	// Send takes a command to a device. Sign signs it first, where devices want that.
	Send func(ctx context.Context, device string, c protocol.Command) error
	Sign func(device string, c protocol.Command) (protocol.Command, error)
	Log  *slog.Logger
}

type account struct {
	Account
	worker *platform.Worker
}

type device struct {
	id                      int64
	dev, site, district     string
	carrier, iccid          string
	up                      bool
	known                   bool // a status was seen
	upAt, heard             int64
	why, boot               string
	used, quota             int64
	last                    *protocol.Last
	sim                     *platform.Status
	account                 *account
	silence                 int64 // row of silence
	stopped                 bool  // it says itself that its line may be stopped
	told, wanted, neighbour bool  // raised; asked for; told of its neighbours
}

type answer struct {
	account *account
	platform.Answer
}

// Watch is one that runs.
type Watch struct {
	opt      Options
	s        *store.Store
	log      *slog.Logger
	accounts []*account
	fleet    *fleet.Watch
	table    *fleet.Table
	devices  map[int64]*device
	byCard   map[string]*device
	saying   map[int64]bool
	cursor   int64
	full     time.Time
	answers  chan answer
	commands int
}

// New opens the accounts.
func New(s *store.Store, opt Options) (*Watch, error) {
	if opt.Every == 0 {
		opt.Every = DefaultEvery
	}
	if opt.SilentFor == 0 {
		opt.SilentFor = silentFor
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	table, err := fleet.LoadTable()
	if err != nil {
		return nil, err
	}
	w := &Watch{opt: opt, s: s, log: opt.Log, fleet: fleet.NewWatch(), table: table, devices: map[int64]*device{},
		byCard:  map[string]*device{},
		answers: make(chan answer, maxAnswers)}
	for _, a := range opt.Accounts {
		ad, err := platform.Open(a.Account, opt.Transport)
		if err != nil {
			return nil, err
		}
		acc := &account{Account: a}
		acc.worker = platform.NewWorker(ad, func(x platform.Answer) { w.answers <- answer{acc, x} })
		if opt.Again > 0 {
			acc.worker.Again(opt.Again)
		}
		w.accounts = append(w.accounts, acc)
	}
	return w, nil
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, a := range w.accounts {
		all.Go(func() { a.worker.Run(ctx) })
	}
	w.fleet.Young(time.Now()) // what was before the start is not known
	tick := time.NewTicker(w.opt.Every)
	defer tick.Stop()
	w.look(ctx)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			w.look(ctx)
		case a := <-w.answers:
			if err := w.answered(ctx, a); err != nil && ctx.Err() == nil {
				w.log.Warn("sim platform", "error", err.Error())
			}
		}
	}
	stop()
	go func() { // workers may wait with an answer
		for range w.answers {
		}
	}()
	all.Wait()
	close(w.answers)
}

func (w *Watch) look(ctx context.Context) {
	now := time.Now()
	err := w.read(ctx, now)
	if err == nil {
		err = w.readStops(ctx)
	}
	if err == nil {
		err = w.judgeAll(ctx, now)
	}
	if err != nil && ctx.Err() == nil {
		w.log.Warn("fleet", "error", err.Error())
	}
}

// read takes what changed since the last look; each minute it takes all.
func (w *Watch) read(ctx context.Context, now time.Time) error {
	cursor := w.cursor
	if now.Sub(w.full) >= fullEvery {
		cursor = 0
		w.full = now
	}
	rows, err := w.s.Query(ctx, `SELECT d.id, d.dev, coalesce(s.name, ''), coalesce(s.district, ''), d.carrier, d.iccid, n.up, n.up_at, n.heard, n.up_why, n.boot,
		n.used, n.quota FROM device d JOIN device_now n ON n.device = d.id LEFT JOIN site s ON s.id = d.site WHERE d.tenant = ? AND n.up_at >= ?`, w.opt.Tenant, cursor)
	if err != nil {
		return err
	}
	var list []device
	for rows.Next() {
		var d device
		var up *bool
		if err := rows.Scan(&d.id, &d.dev, &d.site, &d.district, &d.carrier, &d.iccid, &up, &d.upAt, &d.heard, &d.why, &d.boot, &d.used,
			&d.quota); err != nil {
			return errors.Join(err, rows.Close())
		}
		d.known, d.up = up != nil, up != nil && *up
		list = append(list, d)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for i := range list {
		if err := w.take(ctx, &list[i], now); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) take(ctx context.Context, d *device, now time.Time) error {
	w.cursor = max(w.cursor, d.upAt)
	old := w.devices[d.id]
	if old == nil {
		old = &device{id: d.id, up: true}
		w.devices[d.id] = old
	}
	wasUp := old.up
	old.dev, old.site, old.district, old.carrier, old.iccid = d.dev, d.site, d.district, d.carrier, d.iccid
	old.up, old.known, old.upAt, old.heard, old.why, old.boot, old.used, old.quota = d.up, d.known, d.upAt, d.heard, d.why, d.boot, d.used, d.quota
	pool := ""
	if old.sim != nil {
		pool = old.sim.Pool
	}
	w.fleet.Know(fleet.Machine{ID: old.id, Tenant: w.opt.Tenant, Site: old.site, District: old.district, Carrier: old.carrier,
		Pool: pool})
	if card := platform.First19(old.iccid); card != "" && w.byCard[card] != old {
		for k, x := range w.byCard { // another card is in the machine
			if x == old {
				w.want(old, false)
				delete(w.byCard, k)
				old.sim = nil
			}
		}
		if old.account = w.holder(old.iccid); old.account != nil {
			w.byCard[platform.First19(old.iccid)] = old
			old.account.worker.Know([]platform.Card{{ICCID: old.iccid}})
		}
	}
	switch {
	case !old.known:
		return nil
	case wasUp && !old.up:
		return w.fell(ctx, old)
	case !wasUp && old.up:
		return w.back(ctx, old, now)
	}
	w.want(old, w.urgent(old))
	return nil
}

// urgent: the machine is silent, or has passed 80 % of its data, or says itself that its
// line may be stopped, or its card is; until it is open again.
func (w *Watch) urgent(d *device) bool {
	return d.known && !d.up || d.quota > 0 && float64(d.used) >= nearShare*float64(d.quota) || d.stopped || d.sim != nil &&
		d.sim.Stopped()
}

// stops are the classes of which the platform knows more than the device.
var stops = []string{"arrears", "over_quota", "admin_suspended", "expired_or_cancelled", "suspended_unspecified", "imei_lock",
	"ambiguous"}

// readStops takes which machines say themselves that their line may be stopped.
func (w *Watch) readStops(ctx context.Context) error {
	in, arg := store.In(w.s, stops)
	rows, err := w.s.Query(ctx, "SELECT device FROM alert WHERE tenant = ? AND source = 'device' AND closed IS NULL AND class "+in,
		w.opt.Tenant, arg)
	if err != nil {
		return err
	}
	now := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return errors.Join(err, rows.Close())
		}
		now[id] = true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for id := range w.saying {
		if d := w.devices[id]; d != nil && !now[id] {
			d.stopped = false
			w.want(d, w.urgent(d))
		}
	}
	for id := range now {
		if d := w.devices[id]; d != nil && !d.stopped {
			d.stopped = true
			w.want(d, true)
		}
	}
	w.saying = now
	return nil
}

func (w *Watch) want(d *device, yes bool) {
	if d.account == nil || yes == d.wanted {
		return
	}
	d.wanted = yes
	if yes {
		d.account.worker.Want(platform.Card{ICCID: d.iccid})
	} else {
		d.account.worker.Calm(platform.Card{ICCID: d.iccid})
	}
}

// holder is the account with the longest beginning of this ICCID.
func (w *Watch) holder(iccid string) (best *account) {
	most := -1
	for _, a := range w.accounts {
		if len(a.Cards) == 0 && most < 0 {
			best, most = a, 0
		}
		for _, p := range a.Cards {
			if strings.HasPrefix(iccid, p) && len(p) > most {
				best, most = a, len(p)
			}
		}
	}
	return best
}

func ms(v int64) time.Time { return time.UnixMilli(v) }

func (w *Watch) fell(ctx context.Context, d *device) error {
	var raw sql.NullString
	if err := w.s.QueryRow(ctx, "SELECT last FROM device_now WHERE device = ?", d.id).Scan(&raw); err != nil {
		return err
	}
	d.last = nil
	if l, err := protocol.DecodeLast([]byte(raw.String)); raw.Valid && err == nil {
		d.last = &l
	}
	found := w.fleet.Silent(d.id, ms(d.upAt), ms(d.heard))
	if d.why == "stop" || d.last != nil && d.last.Fault != nil && d.last.Fault.Verdict == "confirmed" {
		w.fleet.Explain(d.id, "alert")
	}
	w.want(d, true)
	err := w.s.Tx(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(ctx, "SELECT id FROM silence WHERE device = ? AND closed IS NULL", d.id).Scan(&d.silence)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return tx.QueryRow(ctx, "INSERT INTO silence (tenant, device, since, heard, boot) VALUES (?, ?, ?, ?, ?) RETURNING id",
			w.opt.Tenant, d.id, d.upAt, d.heard, d.boot).
			Scan(&d.silence)
	})
	if err == nil {
		err = w.write(ctx, found)
	}
	if err != nil {
		return err
	}
	return w.judge(ctx, d, time.Now())
}

func newID(prefix string) string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // it never fails (crypto/rand)
	return prefix + hex.EncodeToString(b)
}

// command signs and sends one.
func (w *Watch) command(ctx context.Context, d *device, c protocol.Command) error {
	if w.opt.Send == nil {
		return nil
	}
	if w.opt.Sign != nil {
		var err error
		if c, err = w.opt.Sign(d.dev, c); err != nil {
			return fmt.Errorf("signing: %w", err)
		}
	}
	w.commands++
	return w.opt.Send(ctx, d.dev, c)
}

// answered takes what a platform said.
func (w *Watch) answered(ctx context.Context, a answer) error {
	d := w.byCard[platform.First19(a.Card.ICCID)]
	if d == nil {
		if a.Err != nil {
			w.log.Warn("sim platform", "account", a.account.Name, "why", a.Why.String(), "error", a.Err.Error())
		}
		return nil
	}
	if a.Err != nil {
		w.log.Warn("sim platform", "account", a.account.Name, "device", d.dev, "error", a.Err.Error())
		return w.s.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE sim SET error = ? WHERE device = ?", a.Err.Error(), d.id)
			return err
		})
	}
	s := a.Status
	if d.sim != nil && a.Why == platform.Daily { // a batch tells the usage, and no state
		kept := *d.sim
		kept.Used, kept.UsedAsOf = s.Used, s.UsedAsOf
		s = kept
	}
	before := d.sim
	d.sim = &s
	if err := w.store(ctx, d, before); err != nil {
		return err
	}
	if s.Pool != "" && s.PoolUsed != nil && s.PoolTotal != nil && *s.PoolTotal > 0 {
		w.fleet.PoolUsed(w.opt.Tenant, s.Pool, float64(*s.PoolUsed)/float64(*s.PoolTotal))
	}
	if s.State != "unknown" && (before == nil && (s.Stopped() || !d.up || d.stopped) || before != nil && platform.News(*before, s)) {
		cmd, err := s.Command(newID("sim-"), a.account.Name, time.Now(), statusLife)
		if err != nil {
			return err
		}
		if err := w.command(ctx, d, cmd); err != nil {
			w.log.Warn("sim_status", "device", d.dev, "error", err.Error())
		}
	}
	w.want(d, w.urgent(d))
	if !d.up {
		if s.Stopped() {
			w.fleet.Explain(d.id, "alert")
		}
		return w.judge(ctx, d, time.Now())
	}
	return nil
}

func (w *Watch) store(ctx context.Context, d *device, before *platform.Status) error {
	s := d.sim
	opt := func(t time.Time) *int64 {
		if t.IsZero() {
			return nil
		}
		v := t.UnixMilli()
		return &v
	}
	num := func(v *uint64) *int64 {
		if v == nil {
			return nil
		}
		n := int64(*v)
		return &n
	}
	var share *float64
	if s.PoolUsed != nil && s.PoolTotal != nil && *s.PoolTotal > 0 {
		v := float64(*s.PoolUsed) / float64(*s.PoolTotal)
		share = &v
	}
	return w.s.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO sim (device, account, state, reason, raw, pool, pool_share, used, plan, used_as_of, expires, session, as_of)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET account = excluded.account, state = excluded.state, reason = excluded.reason,
			raw = excluded.raw, pool = excluded.pool, pool_share = excluded.pool_share, used = excluded.used, plan = excluded.plan, used_as_of = excluded.used_as_of,
			expires = excluded.expires, session = excluded.session, as_of = excluded.as_of, error = ''`,
			d.id, d.account.Name, s.State, s.Reason, s.Raw, s.Pool, share, num(s.Used), num(s.Plan), opt(s.UsedAsOf), opt(s.ExpiresAt), s.Session, s.AsOf.UnixMilli())
		if err != nil || before != nil && before.State == s.State && before.Reason == s.Reason {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO sim_status (device, at, state, reason, raw) VALUES (?, ?, ?, ?, ?)", d.id,
			s.AsOf.UnixMilli(), s.State, s.Reason, s.Raw); err != nil {
			return err
		}
		what := ""
		switch {
		case s.Stopped() && (before == nil || !before.Stopped()):
			what = "sim.stopped"
		case before != nil && before.Stopped() && s.State == "active":
			what = "sim.resumed"
		}
		if what == "" {
			return nil
		}
		_, err = tx.Notify(ctx, store.Event{Tenant: w.opt.Tenant, Type: what, Subject: "device/" + d.dev,
			Data: map[string]any{"device": d.dev, "state": s.State, "reason": s.Reason, "carrier_raw": s.Raw, "account": d.account.Name}})
		return err
	})
}

func toJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(raw)
}
