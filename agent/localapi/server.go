package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"cellwarden/protocol"
)

// How long one request may take. The loop answers in milliseconds; these only
// bound what a stuck disk or modem can cost.
const (
	answerTimeout   = 5 * time.Second  // a snapshot of what the loop has
	durableTimeout  = 20 * time.Second // a grouped commit and a slow flash
	diagnoseTimeout = 3 * time.Minute  // every layer, an operator's DNS timing out several times
	recordTimeout   = 2 * time.Minute  // the ring, read from flash
	writeTimeout    = 10 * time.Second // one write to a client that does not read
	retryAfter      = 30 * time.Second // when a Backend does not say
)

// Handler serves the whole API. It is for the unix socket: whoever may open
// that may put events.
func Handler(b Backend) http.Handler {
	s := &server{b: b, diagnosing: make(chan struct{}, 1)}
	routes := s.readOnly()
	routes["POST /v1/events"] = s.events
	routes["POST /v1/diagnose"] = s.diagnose
	routes["GET /v1/record"] = s.record
	routes["GET /v1/record/scenario"] = s.recordScenario
	routes["POST /v1/confirm"] = s.confirm
	routes["POST /v1/update"] = s.update
	routes["POST /v1/machine/read"] = s.machinist(readMachine)
	routes["POST /v1/machine/filled"] = s.machinist(filled)
	s.workshop(routes)
	s.chronicle(routes)
	return routes
}

// ReadOnly serves what changes nothing and names nobody: status, usage and
// guard. It is for the page's listener.
func ReadOnly(b Backend) http.Handler { return (&server{b: b}).readOnly() }

type server struct {
	b          Backend
	diagnosing chan struct{} // one diagnosis at a time
}

func (s *server) readOnly() Routes {
	ask := func(f func(context.Context) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { get(w, r, f) }
	}
	return Routes{
		"GET /v1/status":        ask(func(ctx context.Context) (any, error) { return s.b.Status(ctx) }),
		"GET /v1/usage":         ask(func(ctx context.Context) (any, error) { return s.b.Usage(ctx) }),
		"GET /v1/guard":         ask(func(ctx context.Context) (any, error) { return s.b.Guard(ctx) }),
		"GET /v1/usage/history": s.history,
	}
}

// Routes are handlers by method and path, "GET /v1/status"; a HEAD is served as
// a GET. With no pattern in any path, http.ServeMux would be 25 kB of the
// device's binary for a look-up.
type Routes map[string]http.HandlerFunc

func (t Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if serve, ok := t[method+" "+r.URL.Path]; ok {
		serve(w, r)
		return
	}
	for _, other := range []string{http.MethodGet, http.MethodPost} {
		if _, ok := t[other+" "+r.URL.Path]; ok {
			w.Header().Set("Allow", other)
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
	}
	http.NotFound(w, r)
}

// get answers with one JSON value.
func get(w http.ResponseWriter, r *http.Request, ask func(context.Context) (any, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	v, err := ask(ctx)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, v)
}

func (s *server) history(w http.ResponseWriter, r *http.Request) {
	by, n := r.URL.Query().Get("by"), 31
	if by == "" {
		by = "day"
	}
	if by != "hour" && by != "day" && by != "cycle" {
		refuse(w, &Invalid{"by", fmt.Sprintf("%q: hour, day or cycle", by)})
		return
	}
	if q := r.URL.Query().Get("n"); q != "" {
		v, err := strconv.Atoi(q)
		if err != nil || v < 1 || v > maxHistory {
			refuse(w, &Invalid{"n", fmt.Sprintf("%q: 1 to %d", q, maxHistory)})
			return
		}
		n = v
	}
	get(w, r, func(ctx context.Context) (any, error) { return s.b.History(ctx, by, n) })
}

func (s *server) events(w http.ResponseWriter, r *http.Request) {
	durable := true
	switch q := r.URL.Query().Get("durable"); q {
	case "", "true":
	case "false":
		durable = false
	default:
		refuse(w, &Invalid{"durable", fmt.Sprintf("%q: true or false", q)})
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	e, err := DecodeEvent(body)
	if err != nil {
		refuse(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), durableTimeout)
	defer cancel()
	rec, err := s.b.PutEvent(ctx, e, durable)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		refuse(w, &Unavailable{"the store did not answer in time; it may have been kept, so send it again with the same data", retryAfter})
	case err != nil:
		refuse(w, err)
	case durable && !rec.Durable:
		// Never say durable of what is not.
		refuse(w, &Unavailable{"the store did not confirm it", retryAfter})
	case rec.Durable:
		reply(w, http.StatusCreated, rec)
	default:
		reply(w, http.StatusAccepted, rec)
	}
}

func (s *server) confirm(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	var c Confirmation
	if err := decode(body, &c); err != nil {
		refuse(w, err)
		return
	}
	if err := c.check(); err != nil {
		refuse(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	if err := s.b.Confirm(ctx, c); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) diagnose(w http.ResponseWriter, r *http.Request) {
	select {
	case s.diagnosing <- struct{}{}:
		defer func() { <-s.diagnosing }()
	default:
		refuse(w, ErrBusy)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), diagnoseTimeout)
	defer cancel()
	out := startStream(w, "application/x-ndjson")
	var mu sync.Mutex // progress and the end may come from two goroutines
	enc := json.NewEncoder(out)
	send := func(st Step) {
		mu.Lock()
		defer mu.Unlock()
		if enc.Encode(st) != nil {
			cancel() // the client went away: nobody waits for the rest
		}
	}
	d, err := s.b.Diagnose(ctx, func(p Progress) { send(Step{Progress: &p}) })
	switch {
	case err != nil && !out.begun:
		refuse(w, err)
	case err != nil:
		_, p := problem(err)
		send(Step{Problem: &p})
	default:
		send(Step{Diagnosis: &d})
	}
}

func (s *server) record(w http.ResponseWriter, r *http.Request) { export(w, r, s.b.Record) }

func (s *server) recordScenario(w http.ResponseWriter, r *http.Request) {
	p, ok := s.b.(Player)
	if !ok {
		refuse(w, ErrUnsupported)
		return
	}
	export(w, r, p.RecordScenario)
}

func export(w http.ResponseWriter, r *http.Request, record func(context.Context, io.Writer) error) {
	ctx, cancel := context.WithTimeout(r.Context(), recordTimeout)
	defer cancel()
	out := startStream(w, "application/octet-stream")
	switch err := record(ctx, out); {
	case err != nil && !out.begun:
		refuse(w, err)
	case err != nil:
		// The status line is gone: break the connection, so that a cut-off
		// export never looks like a whole one.
		panic(http.ErrAbortHandler)
	}
}

// stream sends what is written to it at once, each write within writeTimeout.
type stream struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	kind  string
	begun bool
}

func startStream(w http.ResponseWriter, kind string) *stream {
	return &stream{w: w, rc: http.NewResponseController(w), kind: kind}
}

func (s *stream) Write(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", s.kind)
		s.w.Header().Set("Cache-Control", "no-store")
	}
	// Not every ResponseWriter has deadlines; the sockets served here do.
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := s.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, s.rc.Flush()
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &Invalid{"", fmt.Sprintf("the body is larger than %d bytes", maxBodyBytes)}
	case err != nil:
		return nil, &Invalid{"", "the body did not arrive: " + err.Error()}
	}
	return body, nil
}

func reply(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		refuse(w, fmt.Errorf("encode the answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(code)
	w.Write(append(b, '\n')) // an error here means that the client has gone
}

func refuse(w http.ResponseWriter, err error) {
	code, p := problem(err)
	if p.RetryAfterS > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfterS))
	}
	reply(w, code, p)
}

// problem is the answer that err becomes.
func problem(err error) (int, Problem) {
	var full *Unavailable
	var bad *Invalid
	var refused *protocol.Refusal
	var later *NotNow
	p := Problem{Error: err.Error()}
	switch {
	case errors.As(err, &bad):
		p.Hint, p.Place = "bad_request", bad.Place
		return http.StatusBadRequest, p
	case errors.As(err, &refused):
		p.Hint = "update." + refused.Code
		return http.StatusConflict, p
	case errors.As(err, &later):
		p.Hint = "not_now"
		return http.StatusConflict, p
	case errors.As(err, &full):
		wait := full.RetryAfter
		if wait <= 0 {
			wait = retryAfter
		}
		p.Hint, p.RetryAfterS = "store_full", int(math.Ceil(wait.Seconds()))
		return http.StatusServiceUnavailable, p
	case errors.Is(err, ErrBusy):
		p.Hint = "busy"
		return http.StatusConflict, p
	case errors.Is(err, ErrNoUsage):
		p.Hint = "no_usage"
		return http.StatusNotFound, p
	case errors.Is(err, ErrUnsupported):
		p.Hint = "not_supported"
		return http.StatusNotImplemented, p
	case errors.Is(err, context.DeadlineExceeded):
		p.Hint, p.Error = "timeout", "no answer in time"
		return http.StatusGatewayTimeout, p
	}
	return http.StatusInternalServerError, p
}
