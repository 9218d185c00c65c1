package localapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// DefaultSocket is where the daemon listens unless the config says otherwise.
const DefaultSocket = "/run/cellwarden/api.sock"

// BoardSockets are where it listens on boards whose /run is elsewhere: OpenWrt,
// Android.
var BoardSockets = []string{"/var/run/cellwarden/api.sock", "/dev/cellwarden/api.sock"}

// FindSocket is the socket that is there, DefaultSocket when none is.
func FindSocket() string {
	for _, s := range append([]string{DefaultSocket}, BoardSockets...) {
		if _, err := os.Stat(s); err == nil {
			return s
		}
	}
	return DefaultSocket
}

// Limits of the server.
const (
	socketMode    = 0o660                  // owner and group may put events; the group is the machine's software
	socketDirMode = 0o755                  // the socket's own mode guards it
	maxSocketPath = 107                    // sun_path holds 108 bytes with its end
	maxConns      = 32                     // the machine's programs, a CLI or two, a page; each costs some kB
	maxHeader     = 8 << 10                // no cookies, no tokens
	headerTimeout = 5 * time.Second        // a local client that takes longer is stuck
	readTimeout   = 15 * time.Second       // at most 8 KiB of body
	idleTimeout   = 30 * time.Second       // a page that refreshes every few seconds keeps its connection
	shutdownGrace = 2 * time.Second        // requests in flight get that long
	staleDial     = 500 * time.Millisecond // a living daemon accepts at once
)

// Listen opens the unix socket at path: the directory is made, a socket file
// that a killed daemon left behind is replaced, and the new one appears with
// its mode set. gid gives it to a group; -1 leaves it.
func Listen(path string, gid int) (net.Listener, error) {
	if len(path) > maxSocketPath-len(".new") {
		return nil, fmt.Errorf("localapi: socket path of %d bytes: at most %d: choose a shorter path in the config", len(path), maxSocketPath-len(".new"))
	}
	if err := os.MkdirAll(filepath.Dir(path), socketDirMode); err != nil {
		return nil, fmt.Errorf("localapi: socket directory: %w: create it for the service's user, or set another socket in the config", err)
	}
	if err := free(path); err != nil {
		return nil, err
	}
	// Bound under another name and renamed, so that nobody ever connects to a
	// socket with the umask's mode, and a stale file is replaced in one step.
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("localapi: socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("localapi: socket: %w: is the directory writable for the service's user?", err)
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(tmp, socketMode)
	if err == nil && gid >= 0 {
		err = os.Chown(tmp, -1, gid)
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		l.Close()
		os.Remove(tmp)
		return nil, fmt.Errorf("localapi: socket: %w", err)
	}
	return &unixListener{Listener: l, path: path}, nil
}

// free makes sure that no one serves at path and that nothing but a socket is
// there to be replaced.
func free(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("localapi: socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("localapi: %s is there and is no socket: move it away, or set another socket in the config", path)
	}
	c, err := net.DialTimeout("unix", path, staleDial)
	if err == nil {
		c.Close()
		return fmt.Errorf("localapi: %s: another cellwarden is running and answers there: stop it first", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("localapi: socket: %w", err)
	}
	return nil
}

// unixListener removes its file when it is closed, once.
type unixListener struct {
	net.Listener
	path string
	once sync.Once
}

func (l *unixListener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		os.Remove(l.path)
		err = l.Listener.Close()
	})
	return err
}

// Serve answers on l with h until ctx ends, then lets requests in flight finish
// for a moment. It closes l. It returns nil when ctx ended it.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	return serve(ctx, l, nil, h, readTimeout)
}

// ServeTLS is Serve for those who speak TLS.
func ServeTLS(ctx context.Context, l net.Listener, conf *tls.Config, h http.Handler) error {
	return serve(ctx, l, conf, h, readTimeout)
}

func serve(ctx context.Context, l net.Listener, conf *tls.Config, h http.Handler, read time.Duration) error {
	srv := &http.Server{
		Handler:           served(h),
		ConnContext:       knowGuest,
		ReadHeaderTimeout: min(headerTimeout, read),
		ReadTimeout:       read,
		WriteTimeout:      2 * read, // an answer that nobody reads; a stream's writes set their own
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// Requests end with the agent: a diagnosis does not outlive it.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	l = newCrowd(l, maxConns)
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	err := srv.Serve(l)
	if !stop() {
		<-stopped
	}
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("localapi: serve: %w", err)
}
