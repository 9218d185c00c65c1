package line

import (
	"context"
	"io"
	"time"

	"cellwarden/agent/machine/mdb"
)

// busTick is how often the decoder is told the time: often enough for its silence of
// 30 s, seldom enough for an idle board.
const busTick = 5 * time.Second

// Sniff listens to a sniffer on port until it is gone or ctx ends; say is called from
// one goroutine, in order. It closes port.
func Sniff(ctx context.Context, port io.ReadWriteCloser, say func(mdb.Event)) (version string, bad int) {
	for _, o := range []mdb.SnifferOut{mdb.AskVersion, mdb.StartSniff} {
		if _, err := port.Write(o.Bytes()); err != nil {
			port.Close()
			return "", 0
		}
	}
	var s mdb.Sniffer
	listen(ctx, port, say, func(_ time.Duration, b []byte, quiet bool) []mdb.Frame {
		if quiet {
			return s.Flush()
		}
		return s.Feed(b)
	}, mdb.StopSniff.Bytes())
	return s.Version, s.Bad
}

// Tap listens to a tap on port until it is gone or ctx ends. It closes port.
func Tap(ctx context.Context, port io.ReadWriteCloser, say func(mdb.Event)) (bad int) {
	var t mdb.Tap
	listen(ctx, port, say, func(at time.Duration, b []byte, quiet bool) []mdb.Frame {
		return t.Feed(at, b)
	}, nil)
	return t.Bad
}

// listen feeds what comes to frames, and the frames to a decoder. Frames have the
// adapter's clock; silence is judged by ours, so each is stamped when it comes.
func listen(ctx context.Context, port io.ReadWriteCloser, say func(mdb.Event), frames func(time.Duration, []byte, bool) []mdb.Frame,
	bye []byte) {
	began := time.Now()
	got, ended, stop := make(chan []byte), make(chan struct{}), make(chan struct{})
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
		}
	}()
	defer func() {
		close(stop)
		port.Close()
		<-ended
	}()
	var d mdb.Decoder
	tick := time.NewTicker(busTick)
	defer tick.Stop()
	tell := func(events []mdb.Event) {
		for _, e := range events {
			say(e)
		}
	}
	take := func(b []byte, quiet bool) {
		at := time.Since(began)
		for _, f := range frames(at, b, quiet) {
			f.At = at
			tell(d.Frame(f))
		}
	}
	tell(d.Tick(0))
	for {
		select {
		case b := <-got:
			take(b, false)
		case <-tick.C:
			take(nil, true)
			tell(d.Tick(time.Since(began)))
		case <-ended:
			take(nil, true)
			return
		case <-ctx.Done():
			if bye != nil {
				_, _ = port.Write(bye) // it goes on printing otherwise; a port that is gone does not
			}
			return
		}
	}
}
