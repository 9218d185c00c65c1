// Package line runs a reader of the machine (DEX, DDCMP, the bus) on a port: it
// carries bytes, time and the flash between the port and the pure session, and
// decides nothing. It owns the port for one poll and closes it at the end, so that
// the machine no longer sees anybody (EVA-DTS 6.2 §4.4: a data carrier disappears).
package line

import (
	"context"
	"io"
	"time"

	"cellwarden/agent/machine/ddcmp"
	"cellwarden/agent/machine/dex"
)

// A session is a pure reader: what it wants to send is bytes by now.
type session interface {
	Bytes(now time.Duration, got []byte) []effect
	Tick(now time.Duration) []effect
	Stored(now time.Duration, ok bool) []effect
	Gone(now time.Duration) []effect
	Deadline() time.Duration
}

// effect is what any session wants.
type effect struct {
	send  []byte
	store []byte
	over  bool
}

// readChunk is the most that one read takes: a block of DEX is 250 bytes.
const readChunk = 512

// run drives s on port until it is over. keep puts an audit on the flash; it returns
// when it is there. A nil error of keep lets the machine forget what it sent.
func run(ctx context.Context, port io.ReadWriteCloser, s session, keep func([]byte) error) {
	began := time.Now()
	mono := func() time.Duration { return time.Since(began) }
	got, ended := make(chan []byte), make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			buf := make([]byte, readChunk)
			n, err := port.Read(buf)
			if n > 0 {
				select {
				case got <- buf[:n]:
				case <-stop:
					return
				}
			}
			if err != nil {
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	defer func() { // also ends the reader
		close(stop)
		port.Close()
		<-ended
	}()
	kept := make(chan error, 1)
	keeping := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	do := func(effects []effect) (over bool) {
		for _, e := range effects {
			if e.store != nil {
				keeping = true
				go func() { kept <- keep(e.store) }()
			}
			if e.send != nil {
				if _, err := port.Write(e.send); err != nil {
					over = over || anyOver(s.Gone(mono()))
				}
			}
			over = over || e.over
		}
		return over
	}
	defer func() {
		if keeping {
			<-kept
		}
	}()
	gone := ended
	for {
		timer.Reset(max(0, s.Deadline()-mono()))
		var effects []effect
		select {
		case b := <-got:
			effects = s.Bytes(mono(), b)
		case <-timer.C:
			effects = s.Tick(mono())
		case err := <-kept:
			keeping = false
			effects = s.Stored(mono(), err == nil)
		case <-gone:
			gone = nil
			effects = s.Gone(mono())
		case <-ctx.Done():
			effects = s.Gone(mono())
		}
		if do(effects) {
			return
		}
	}
}

func anyOver(effects []effect) bool {
	for _, e := range effects {
		if e.over {
			return true
		}
	}
	return false
}

// dexSession is a dex.Session for run.
type dexSession struct {
	*dex.Session
	end dex.End
}

func (d *dexSession) take(list []dex.Effect) (out []effect) {
	for _, e := range list {
		if e.End != nil {
			d.end = *e.End
		}
		out = append(out, effect{send: d.Session.Frame(e.Send), store: e.Store, over: e.End != nil})
	}
	return out
}

func (d *dexSession) Bytes(now time.Duration, b []byte) []effect {
	return d.take(d.Session.Bytes(now, b))
}
func (d *dexSession) Tick(now time.Duration) []effect { return d.take(d.Session.Tick(now)) }
func (d *dexSession) Stored(now time.Duration, ok bool) []effect {
	return d.take(d.Session.Stored(now, ok))
}
func (d *dexSession) Gone(now time.Duration) []effect { return d.take(d.Session.Gone(now)) }

// DEX reads one audit over DEX. It closes port.
func DEX(ctx context.Context, port io.ReadWriteCloser, id dex.ID, rev dex.Revision, keep func([]byte) error) dex.End {
	d := &dexSession{Session: dex.New(id, rev, 0)}
	run(ctx, port, d, keep)
	return d.end
}

// ddcmpSession is a ddcmp.Session for run.
type ddcmpSession struct {
	*ddcmp.Session
	end ddcmp.End
}

func (d *ddcmpSession) take(list []ddcmp.Effect) (out []effect) {
	for _, e := range list {
		if e.End != nil {
			d.end = *e.End
		}
		out = append(out, effect{send: e.Send, store: e.Store, over: e.End != nil})
	}
	return out
}

func (d *ddcmpSession) Bytes(now time.Duration, b []byte) []effect {
	return d.take(d.Session.Bytes(now, b))
}
func (d *ddcmpSession) Tick(now time.Duration) []effect { return d.take(d.Session.Tick(now)) }
func (d *ddcmpSession) Stored(now time.Duration, ok bool) []effect {
	return d.take(d.Session.Stored(now, ok))
}
func (d *ddcmpSession) Gone(now time.Duration) []effect { return d.take(d.Session.Gone(now)) }

// DDCMP reads one audit over DDCMP. wall is what the time is. It closes port.
func DDCMP(ctx context.Context, port io.ReadWriteCloser, codes ddcmp.Codes, wall time.Time, keep func([]byte) error) ddcmp.End {
	d := &ddcmpSession{Session: ddcmp.New(codes, wall, 0)}
	run(ctx, port, d, keep)
	return d.end
}
