package modemtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
)

// maxControlLine bounds one line on the control channel: the longest SMS fits.
const maxControlLine = 16 << 10

// ServeControl lets hands and tests play along: each line that comes in over
// the listener is one script line without a time, done at once and answered
// with "ok" or "error: ...". It returns when ctx ends, with the listener and
// all connections closed.
func ServeControl(ctx context.Context, l net.Listener, do func(line string) error) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		_ = l.Close() // makes Accept return
	})()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("modemtest: control: %w", err)
		}
		conns.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			defer conn.Close()
			in := bufio.NewScanner(conn)
			in.Buffer(nil, maxControlLine)
			for in.Scan() {
				line := strings.TrimSpace(in.Text())
				if line == "" {
					continue
				}
				reply := "ok\n"
				if err := do(line); err != nil {
					reply = "error: " + err.Error() + "\n"
				}
				if _, err := conn.Write([]byte(reply)); err != nil {
					return
				}
			}
		})
	}
}
