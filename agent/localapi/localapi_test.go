package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/protocol"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a Backend whose answers a test sets.
type fake struct {
	mu      sync.Mutex
	events  []Event
	receipt Receipt
	err     error
	run     func(ctx context.Context, progress func(Progress)) (diag.Diagnosis, error)
	record  func(io.Writer) error
	said    Confirmation
	asked   string
}

func (f *fake) Status(context.Context) (Status, error) {
	return Status{V: 1, Device: "vm-1", Diagnosis: diag.Diagnosis{Class: diag.SIMAbsent}}, f.err
}
func (f *fake) PutEvent(_ context.Context, e Event, durable bool) (Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return Receipt{}, f.err
	}
	f.events = append(f.events, e)
	r := f.receipt
	if r == (Receipt{}) {
		r = Receipt{ID: "1a2b3c4d-7", Seq: 7, Durable: durable}
	}
	return r, nil
}
func (f *fake) Diagnose(ctx context.Context, progress func(Progress)) (diag.Diagnosis, error) {
	return f.run(ctx, progress)
}
func (f *fake) Usage(context.Context) (Usage, error) { return Usage{UsedBytes: 5}, f.err }
func (f *fake) History(_ context.Context, by string, n int) (History, error) {
	f.asked = fmt.Sprintf("%s %d", by, n)
	return History{By: by, Rows: []UsageRow{{From: "2026-11-01", TotalBytes: 1}}}, f.err
}
func (f *fake) Guard(context.Context) (Guard, error) { return Guard{Level: "save"}, f.err }
func (f *fake) Record(_ context.Context, w io.Writer) error {
	return f.record(w)
}
func (f *fake) Confirm(_ context.Context, c Confirmation) error { f.said = c; return f.err }

// serveFake runs b on a real unix socket and returns a client of it.
func serveFake(t *testing.T, b Backend) (*Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "c.sock")
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, Handler(b)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil after its context ended", err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket file was left behind")
		}
	})
	return NewClient(path), path
}

func TestEventIsAnsweredOnlyAsDurableAsItIs(t *testing.T) {
	for _, tt := range []struct {
		name, query, body string
		backend           *fake // nil: one that accepts
		code              int
		want              []string // in the body
		retryAfter        string
	}{
		{name: "durable", body: `{"name":"sale","data":{"cents": 350}}`, code: 201, want: []string{`"seq":7`, `"durable":true`}},
		{name: "at once, and says so", query: "?durable=false", body: `{"name":"sale"}`, code: 202, want: []string{`"durable":false`}},
		{name: "a backend that does not confirm is never called durable", body: `{"name":"sale"}`,
			backend: &fake{receipt: Receipt{ID: "x", Durable: false}}, code: 503, want: []string{"did not confirm"}, retryAfter: "30"},
		{name: "asked at once, was durable anyway", query: "?durable=false", body: `{"name":"sale"}`,
			backend: &fake{receipt: Receipt{ID: "x", Seq: 1, Durable: true}}, code: 201, want: []string{`"durable":true`}},
		{name: "full disk", body: `{"name":"sale"}`,
			backend: &fake{err: fmt.Errorf("put: %w", &Unavailable{"no space left on device", 90 * time.Second})},
			code:    503, want: []string{"no space left on device", `"retry_after_s":90`, `"hint":"store_full"`}, retryAfter: "90"},
		{name: "a store that hangs", body: `{"name":"sale"}`, backend: &fake{err: context.DeadlineExceeded}, code: 503, want: []string{"may have been kept"}, retryAfter: "30"},
		{name: "bug in the backend", body: `{"name":"sale"}`, backend: &fake{err: errors.New("broken")}, code: 500, want: []string{"broken"}},
		{name: "bad query", query: "?durable=perhaps", body: `{"name":"sale"}`, code: 400, want: []string{`"place":"durable"`}},
		{name: "8 KiB and more", body: `{"name":"sale","data":"` + strings.Repeat("x", 9000) + `"}`, code: 400, want: []string{"larger than 8192 bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if tt.backend == nil {
				tt.backend = &fake{}
			}
			Handler(tt.backend).ServeHTTP(w, httptest.NewRequest("POST", "/v1/events"+tt.query, strings.NewReader(tt.body)))
			if w.Code != tt.code || w.Header().Get("Retry-After") != tt.retryAfter {
				t.Errorf("answer %d, Retry-After %q; want %d, %q", w.Code, w.Header().Get("Retry-After"), tt.code, tt.retryAfter)
			}
			for _, want := range tt.want {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("%q not in %s", want, w.Body)
				}
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("not JSON: %s", w.Body)
			}
		})
	}
}

func TestDecodeEventNamesThePlace(t *testing.T) {
	long := strings.Repeat("n", 65)
	for _, tt := range []struct{ name, body, want string }{
		{"empty", "", "the body is empty"},
		{"blank", " \n", "the body is empty"},
		{"cut off", `{"name":"sale"`, "line 1, column 14: the JSON ends too early"},
		{"typo in the second line", "{\"name\":\"sale\",\n \"level\":warn}", "line 2, column 10: invalid character 'w' looking for beginning of value"},
		{"list", `[1]`, "line 1, column 1: an object { } is wanted, not array"},
		{"number as name", `{"name":7}`, "name: is number, want string"},
		{"no name", `{}`, "name: is missing"},
		{"long name", `{"name":"` + long + `"}`, "name: is longer than 64 bytes"},
		{"newline in name", `{"name":"a\nb"}`, `name: "a\nb": letters, digits and . _ - / only`},
		{"Han in name", `{"name":"卡货"}`, `name: "卡货": letters, digits and . _ - / only`},
		{"level", `{"name":"a","level":"panic"}`, `level: "panic": info, warn or alert`},
		{"time", `{"name":"a","at":"yesterday"}`, `at: "yesterday": a time such as 2026-11-22T08:00:00+08:00`},
		{"a year that no RFC 3339 has", `{"name":"a","at":"9999-12-31T23:59:59-12:00"}`, `at: "9999-12-31T23:59:59-12:00": want a year from 1970 to 2100`},
		{"data deeper than an envelope holds", `{"name":"a","data":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`, "data: is nested more than 14 deep"},
		{"unknown field", `{"name":"a","prio":1}`, `unknown field "prio"`},
		{"two objects", "{\"name\":\"a\"}\n{\"name\":\"b\"}", "line 1, column 13: more follows after the object"},
		{"large data", `{"name":"a","data":"` + strings.Repeat("d", 4096) + `"}`, "data: is 4098 bytes, at most 4096"},
		{"not UTF-8", "{\"name\":\"a\",\"data\":\"\xff\"}", "the body is not UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeEvent([]byte(tt.body))
			var bad *Invalid
			if !errors.As(err, &bad) || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
	e, err := DecodeEvent([]byte(`{"name":"door/open.1","level":"alert","at":"2026-11-22T08:00:00+08:00","data":{ "slot" : [ 1 , 2 ] } }` + "\n"))
	if err != nil || e.Level != "alert" || string(e.Data) != `{"slot":[1,2]}` || e.At == "" {
		t.Errorf("good event = %+v, %v", e, err)
	}
	if e, err := DecodeEvent([]byte(`{"name":"a","data":null}`)); err != nil || e.Data != nil || e.Level != "info" {
		t.Errorf("null data = %+v, %v", e, err)
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(`{"name":"sale","level":"warn","data":{"cents":350},"at":"2026-11-22T08:00:00Z"}`))
	f.Add([]byte("{\"name\":\"a\",\n\"data\":[[[["))
	f.Add([]byte(`{"name":"deep","data":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`))
	f.Add([]byte(`{"name":"html","data":"` + strings.Repeat("<", 4000) + `"}`))
	f.Add([]byte(`{"name":"year.10000","at":"9999-12-31T23:59:59-12:00"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := DecodeEvent(body)
		if err != nil {
			var bad *Invalid
			if !errors.As(err, &bad) || bad.Reason == "" {
				t.Fatalf("error without a reason: %v", err)
			}
			return
		}
		if e.Name == "" || len(e.Name) > maxNameBytes || len(e.Data) > maxDataBytes {
			t.Fatalf("accepted %+v", e)
		}
		body, err = protocol.NewBody(protocol.MachineEvent{Name: e.Name, Level: e.Level, Data: e.Data})
		if err != nil {
			t.Fatal(err)
		}
		env := protocol.Envelope{V: protocol.Version, Device: strings.Repeat("d", 64), Epoch: "0a1b2c3d", Seq: math.MaxUint64, Type: protocol.TypeEvent, Body: body}
		if _, err := protocol.MarshalEnvelope(env); err != nil {
			t.Fatalf("accepted, and no envelope carries it: %v", err)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeEvent(b)
		if err != nil && len(b) <= maxBodyBytes || again.Name != e.Name {
			t.Fatalf("%s does not survive a round: %v", b, err)
		}
	})
}

func TestClientAndServerOverTheSocket(t *testing.T) {
	b := &fake{
		run: func(_ context.Context, progress func(Progress)) (diag.Diagnosis, error) {
			progress(Progress{Layer: diag.LayerPort, State: Checking, Doing: "AT"})
			progress(Progress{Layer: diag.LayerSIM, State: diag.GateFailed})
			return diag.Diagnosis{Class: diag.SIMAbsent, Verdict: diag.Confirmed}, nil
		},
		record: func(w io.Writer) error { _, err := io.WriteString(w, "one\ntwo\n"); return err },
	}
	c, path := serveFake(t, b)
	ctx := t.Context()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket mode %v, %v; want 0660", info.Mode(), err)
	}
	if st, err := c.Status(ctx); err != nil || st.Device != "vm-1" || st.Diagnosis.Class != diag.SIMAbsent {
		t.Errorf("Status = %+v, %v", st, err)
	}
	if r, err := c.PutEvent(ctx, Event{Name: "sale", Data: json.RawMessage(`{"cents":350}`)}, true); err != nil || !r.Durable || r.Seq != 7 {
		t.Errorf("PutEvent = %+v, %v", r, err)
	}
	if r, err := c.PutEvent(ctx, Event{Name: "sale"}, false); err != nil || r.Durable {
		t.Errorf("PutEvent, not durable = %+v, %v", r, err)
	}
	if len(b.events) != 2 || string(b.events[0].Data) != `{"cents":350}` || b.events[0].Level != "info" {
		t.Errorf("the backend got %+v", b.events)
	}
	var seen []string
	d, err := c.Diagnose(ctx, func(p Progress) { seen = append(seen, fmt.Sprint(p.Layer, " ", p.State)) })
	if err != nil || d.Class != diag.SIMAbsent || strings.Join(seen, ", ") != "port checking, sim failed" {
		t.Errorf("Diagnose = %+v, %v; progress %q", d, err, seen)
	}
	if u, err := c.Usage(ctx); err != nil || u.UsedBytes != 5 {
		t.Errorf("Usage = %+v, %v", u, err)
	}
	if h, err := c.History(ctx, "hour", 24); err != nil || len(h.Rows) != 1 || b.asked != "hour 24" {
		t.Errorf("History = %+v, %v, asked %q", h, err, b.asked)
	}
	if g, err := c.Guard(ctx); err != nil || g.Level != "save" {
		t.Errorf("Guard = %+v, %v", g, err)
	}
	var rec strings.Builder
	if err := c.Record(ctx, &rec); err != nil || rec.String() != "one\ntwo\n" {
		t.Errorf("Record = %q, %v", rec.String(), err)
	}
	if err := c.Confirm(ctx, Confirmation{Class: diag.Arrears, By: "technician"}); err != nil || b.said.Class != diag.Arrears {
		t.Errorf("Confirm: %v, backend got %+v", err, b.said)
	}
	var e *Error
	if err := c.Confirm(ctx, Confirmation{Class: "cold", By: "technician"}); !errors.As(err, &e) || e.Code != 400 || e.Hint != "bad_request" {
		t.Errorf("Confirm of no class: %v", err)
	}
	if _, err := c.History(ctx, "week", 1); !errors.As(err, &e) || e.Code != 400 {
		t.Errorf("History by week: %v", err)
	}
}

func TestRefusalsReachTheClientWithTheirHint(t *testing.T) {
	b := &fake{run: func(context.Context, func(Progress)) (diag.Diagnosis, error) { return diag.Diagnosis{}, errNotAsked }}
	c, _ := serveFake(t, b)
	for _, tt := range []struct {
		err  error
		code int
		hint string
	}{
		{ErrNoUsage, 404, "no_usage"},
		{ErrUnsupported, 501, "not_supported"},
		{&Unavailable{Reason: "full"}, 503, "store_full"},
		{context.DeadlineExceeded, 504, "timeout"},
		{errors.New("odd"), 500, ""},
	} {
		b.err = tt.err
		_, err := c.Usage(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Hint != tt.hint {
			t.Errorf("%v reached the client as %+v", tt.err, err)
		}
	}
}

var errNotAsked = errors.New("not asked")

func TestOnlyOneDiagnosisAtATime(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	b := &fake{run: func(context.Context, func(Progress)) (diag.Diagnosis, error) {
		close(started)
		<-release
		return diag.Diagnosis{Class: diag.Healthy}, nil
	}}
	c, _ := serveFake(t, b)
	first := make(chan error, 1)
	go func() {
		_, err := c.Diagnose(t.Context(), func(Progress) {})
		first <- err
	}()
	<-started
	var e *Error
	if _, err := c.Diagnose(t.Context(), func(Progress) {}); !errors.As(err, &e) || e.Code != 409 || e.Hint != "busy" {
		t.Errorf("second diagnosis: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("first diagnosis: %v", err)
	}
}

func TestDiagnosisEndsWhenTheClientGoesAway(t *testing.T) {
	ended := make(chan error, 1)
	b := &fake{run: func(ctx context.Context, progress func(Progress)) (diag.Diagnosis, error) {
		progress(Progress{Layer: diag.LayerPort, State: Checking})
		<-ctx.Done()
		ended <- ctx.Err()
		return diag.Diagnosis{}, ctx.Err()
	}}
	c, _ := serveFake(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Diagnose(ctx, func(Progress) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("client: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("backend: %v", err)
	}
}

func TestDiagnosisOutlivesTheReadTimeout(t *testing.T) {
	const read = 30 * time.Millisecond
	b := &fake{run: func(ctx context.Context, progress func(Progress)) (diag.Diagnosis, error) {
		progress(Progress{Layer: diag.LayerPort, State: Checking})
		select {
		case <-ctx.Done():
			return diag.Diagnosis{}, errors.New("the read timeout ended it")
		case <-time.After(4 * read):
			return diag.Diagnosis{Class: diag.Healthy}, nil
		}
	}}
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, nil, Handler(b), read) }()
	if d, err := NewClient(path).Diagnose(t.Context(), func(Progress) {}); err != nil || d.Class != diag.Healthy {
		t.Errorf("Diagnose = %+v, %v", d, err)
	}
	cancel()
	<-done
}

// Somebody who asks and does not read holds a connection of 32 for a while only.
func TestAClientThatDoesNotReadIsLetGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.sock")
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, wrote := make(chan error, 1), make(chan error, 1)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 8<<20)) // more than a socket's buffers hold
		wrote <- err
	})
	go func() { done <- serve(ctx, l, nil, page, 30*time.Millisecond) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-wrote:
		if err == nil {
			t.Error("8 MB were taken by nobody")
		}
	case <-time.After(time.Minute):
		t.Error("the answer still waits after a minute")
	}
	cancel()
	<-done
}

func TestBrokenExportIsNeverTakenForWhole(t *testing.T) {
	b := &fake{}
	c, _ := serveFake(t, b)
	b.record = func(w io.Writer) error { return errors.New("ring unreadable") }
	var out strings.Builder
	var e *Error
	if err := c.Record(t.Context(), &out); !errors.As(err, &e) || e.Code != 500 || out.Len() > 0 {
		t.Errorf("failed before the first byte: %v, wrote %q", err, out.String())
	}
	b.record = func(w io.Writer) error {
		io.WriteString(w, "half")
		return errors.New("ring unreadable")
	}
	if err := c.Record(t.Context(), &out); err == nil {
		t.Error("failed in the middle: no error")
	}
}

func TestDiagnosisThatFailsInTheMiddle(t *testing.T) {
	b := &fake{run: func(_ context.Context, progress func(Progress)) (diag.Diagnosis, error) {
		progress(Progress{Layer: diag.LayerPort, State: Checking})
		return diag.Diagnosis{}, ErrUnsupported
	}}
	c, _ := serveFake(t, b)
	var e *Error
	if _, err := c.Diagnose(t.Context(), func(Progress) {}); !errors.As(err, &e) || e.Hint != "not_supported" {
		t.Errorf("error %v, want the problem of the last line", err)
	}
}

func TestReadOnlyHandlerChangesNothingAndExportsNothing(t *testing.T) {
	h := ReadOnly(&fake{})
	for _, tt := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/v1/status", 200}, {"GET", "/v1/usage", 200}, {"GET", "/v1/usage/history?by=day&n=7", 200}, {"GET", "/v1/guard", 200},
		{"POST", "/v1/events", 404}, {"POST", "/v1/diagnose", 404}, {"GET", "/v1/record", 404}, {"POST", "/v1/confirm", 404},
		{"POST", "/v1/status", 405}, {"GET", "/v1/events", 404},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, strings.NewReader(`{"name":"a"}`)))
		if w.Code != tt.code {
			t.Errorf("%s %s = %d, want %d", tt.method, tt.path, w.Code, tt.code)
		}
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	t.Run("stale socket of a killed daemon is replaced", func(t *testing.T) {
		path := filepath.Join(dir, "stale.sock")
		old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		old.SetUnlinkOnClose(false)
		old.Close()
		l, err := Listen(path, os.Getgid())
		if err != nil {
			t.Fatalf("Listen over a stale socket: %v", err)
		}
		l.Close()
	})
	t.Run("running daemon is left alone", func(t *testing.T) {
		path := filepath.Join(dir, "live.sock")
		l, err := Listen(path, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := Listen(path, -1); err == nil || !strings.Contains(err.Error(), "another cellwarden is running") {
			t.Errorf("second Listen: %v", err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the running daemon lost its socket: %v", err)
		}
	})
	t.Run("a file that is no socket is never removed", func(t *testing.T) {
		path := filepath.Join(dir, "config.toml")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(path, -1); err == nil || !strings.Contains(err.Error(), "is no socket") {
			t.Errorf("Listen on a file: %v", err)
		}
		if b, _ := os.ReadFile(path); string(b) != "precious" {
			t.Error("the file was touched")
		}
	})
	t.Run("directory cannot be made", func(t *testing.T) {
		if _, err := Listen(filepath.Join(dir, "config.toml", "c.sock"), -1); err == nil || !strings.Contains(err.Error(), "socket directory") {
			t.Errorf("Listen below a file: %v", err)
		}
	})
	t.Run("path too long for sun_path", func(t *testing.T) {
		if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 110)), -1); err == nil || !strings.Contains(err.Error(), "shorter path") {
			t.Errorf("long path: %v", err)
		}
	})
}

func TestClientSaysWhyItCannotReachTheDaemon(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	for name, path := range map[string]string{"no socket": filepath.Join(dir, "none.sock"), "killed daemon": stale} {
		_, err := NewClient(path).Status(t.Context())
		var e *Error
		if !errors.Is(err, ErrDown) || !errors.As(err, &e) || e.Hint != "daemon_down" {
			t.Errorf("%s: %v", name, err)
		}
	}
	var e *Error
	if err := NewClient(stale).explain(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}); !errors.Is(err, ErrPermission) || !errors.As(err, &e) || e.Hint != "permission" {
		t.Errorf("permission: %v", err)
	}
	mute, err := net.Listen("unix", filepath.Join(dir, "mute.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewClient(filepath.Join(dir, "mute.sock")).Status(ctx); !errors.Is(err, ErrTimeout) {
		t.Errorf("mute daemon: %v", err)
	}
}

func TestClientSurvivesWhatIsNoServerOfOurs(t *testing.T) {
	for _, tt := range []struct{ name, answer, want string }{
		{"closes at once", "", "EOF"},
		{"another protocol", "220 mail ready\r\n", "malformed HTTP"},
		{"a header without bounds", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n{}", "response headers exceeded"},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "unexpected EOF"},
		{"no JSON", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "answer not understood"},
		{"a refusal in other words", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "GET /v1/status: 502 Bad Gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s.sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				if c, err := l.Accept(); err == nil {
					c.Read(make([]byte, 4096)) // one write, one read
					io.WriteString(c, tt.answer)
					c.Close()
				}
			}()
			if _, err := NewClient(l.Addr().String()).Status(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Status: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMoreClientsThanSlotsAreServedInTurn(t *testing.T) {
	c, _ := serveFake(t, &fake{})
	errs := make(chan error)
	for range 3 * maxConns {
		go func() {
			_, err := c.Status(t.Context())
			errs <- err
		}()
	}
	for range 3 * maxConns {
		if err := <-errs; err != nil {
			t.Errorf("one of many clients: %v", err)
		}
	}
}

// A program that opens connections and says nothing, or drips a header byte by byte,
// keeps neither a technician nor a sale out.
func TestIdleAndDrippingConnectionsKeepNobodyOut(t *testing.T) {
	c, path := serveFake(t, &fake{})
	for i := range 200 {
		idle, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
		if i%2 == 0 {
			io.WriteString(idle, "GET /v1/status HTTP/1.1\r\nHost: ")
		}
	}
	for range 3 {
		if _, err := c.Status(t.Context()); err != nil {
			t.Errorf("status: %v", err)
		}
	}
	if _, err := c.PutEvent(t.Context(), Event{Name: "sale"}, true); err != nil {
		t.Errorf("a sale: %v", err)
	}
}
