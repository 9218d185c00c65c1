package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/flash"
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
