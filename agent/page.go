package agent

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/flash"
	"cellwarden/agent/journal"
	"cellwarden/agent/localapi"
	"cellwarden/agent/web"
	"cellwarden/agent/web/access"
)

// PinFile is where the PINs of the page are kept, below store.dir.
const PinFile = "pins.json"

// LoadPins reads the PINs of the page; no file is no PIN.
func LoadPins(dir string) (access.Pins, error) {
	data, err := flash.ReadFile(flash.OS{}, filepath.Join(dir, PinFile))
	if err != nil {
		return access.Pins{}, err
	}
	return access.ParsePins(data)
}

// page opens the technician's page.
func (o Options) page(ctx context.Context, b *backend) (func(context.Context) error, error) {
	api := o.Config.API
	var conf *tls.Config
	if api.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(api.TLSCert, api.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("api.tls_cert: %w", err)
		}
		conf = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	t, err := net.Listen("tcp", api.HTTP)
	if err != nil {
		return nil, err
	}
	at, err := netip.ParseAddrPort(t.Addr().String())
	network := err != nil || !at.Addr().Unmap().IsLoopback()
	began := time.Now() // with its monotonic reading: a lock does not end when the clock is set
	door := &access.Door{Names: api.Names, Now: func() time.Time { return began.Add(time.Since(began)) },
		Pins: func() (access.Pins, error) { return LoadPins(o.Config.Store.Dir) },
		Tell: func(what, who string) { o.Log.Info("page", "event", what, "from", who) }}
	if pins, err := door.Pins(); network && (err != nil || !pins.Has()) {
		o.Log.Warn("the page lets nobody in before there is a PIN: run cellwarden pin set", "address", api.HTTP, "error", err)
	}
	h := web.Handler(web.Options{Context: ctx, Backend: b, Door: door, OnNetwork: network})
	if conf != nil {
		return func(ctx context.Context) error { return localapi.ServeTLS(ctx, t, conf, h) }, nil
	}
	return func(ctx context.Context) error { return localapi.Serve(ctx, t, h) }, nil
}

// Watch implements localapi.Watched.
func (b *backend) Watch(ctx context.Context) (<-chan struct{}, error) {
	c := make(chan struct{}, 1)
	if err := tell(ctx, b.loop, func() { b.loop.watching[c] = struct{}{} }); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		// Where the loop has ended there is nobody to forget.
		_ = tell(context.WithoutCancel(ctx), b.loop, func() { delete(b.loop.watching, c) })
	})
	return c, nil
}

// Repair implements localapi.Workshop.
func (b *backend) Repair(ctx context.Context, on bool) error {
	return tell(ctx, b.loop, func() { b.loop.step(core.Repair{At: b.loop.at(), On: on}) })
}

// Hold implements localapi.Workshop.
func (b *backend) Hold(ctx context.Context, d time.Duration) error {
	return tell(ctx, b.loop, func() { b.loop.step(core.HoldOff{At: b.loop.at(), For: d}) })
}

// Did implements localapi.Workshop.
func (b *backend) Did(ctx context.Context, what string) error {
	return tell(ctx, b.loop, func() { b.loop.step(core.Did{At: b.loop.at(), What: what}) })
}

// Chronicle implements localapi.Chronicled.
func (b *backend) Chronicle(ctx context.Context, since time.Time) (localapi.Chronicle, error) {
	return ask(ctx, b.loop, func() localapi.Chronicle {
		out := localapi.Chronicle{Entries: append([]journal.Entry{}, b.loop.journal.Since(since)...), Levels: []localapi.LevelPoint{}}
		for _, l := range b.loop.journal.Levels() {
			p := localapi.LevelPoint{Unix: l.Unix}
			if v := l.RSRP; !math.IsNaN(v) {
				p.RSRP = &v
			}
			if v := l.SINR; !math.IsNaN(v) {
				p.SINR = &v
			}
			out.Levels = append(out.Levels, p)
		}
		return out
	})
}

// Identities implements localapi.Identified.
func (b *backend) Identities(ctx context.Context) (localapi.Identities, error) {
	return ask(ctx, b.loop, func() localapi.Identities {
		k := b.loop.core.View().Known
		return localapi.Identities{ICCID: k.ICCID, IMEI: k.IMEI}
	})
}

// Aim implements localapi.Aimed.
func (b *backend) Aim(ctx context.Context, d time.Duration) error {
	return tell(ctx, b.loop, func() { b.loop.step(core.Aim{At: b.loop.at(), For: d}) })
}

// When the diary goes to the flash: an entry soon, since a power cut is the usual end of
// a machine; levels alone twice a day, since each save costs a small flash some 20 KB.
// What has not changed is not saved again.
const (
	journalSoon = time.Minute
	journalLate = 12 * time.Hour
)

// openJournal reads the diary; one that cannot be read is set aside.
func openJournal(files *flash.StateDir, salt string) *journal.Book {
	hash := func(id string) string {
		sum := sha256.Sum256([]byte(salt + "/journal/" + id))
		return hex.EncodeToString(sum[:6])
	}
	b, err := journal.Open(files.Load("journal"), hash)
	if err != nil {
		files.SetAside("journal", err)
	}
	return b
}

// note writes into the diary what an event and its effects tell.
func (l *loop) note(ev core.Event, effects []core.Effect) {
	now := l.hw.Now()
	wait := journalLate
	if l.journal.Note(ev, now, effects) {
		wait = journalSoon
	}
	if at := now.Mono + wait; l.journalAt == 0 || at < l.journalAt {
		l.journalAt = at
	}
}

// keepJournal saves the diary when it is due.
func (l *loop) keepJournal(now time.Duration) {
	if now < l.journalAt {
		return
	}
	l.journalAt = now + journalLate
	data := l.journal.Bytes()
	if sum := sha256.Sum256(data); sum != l.journalSum {
		l.journalSum = sum
		if err := l.saver.Save("journal", data); err != nil {
			l.log.Warn("the diary is not kept", "error", err)
		}
	}
}
