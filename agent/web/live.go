package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// Pace and bounds of what is sent to the viewers.
const (
	maxViewers = 16                     // below the listener's 32 connections; the next one asks by itself
	apart      = 250 * time.Millisecond // between two pictures: a round of a modem is a burst of facts
	refresh    = 5 * time.Second        // ages and counters move although nothing happened
	unwatched  = time.Second            // where the backend cannot say that something changed
	liveFor    = 10 * time.Minute       // then the browser comes again, and is looked at again
	sendWithin = 10 * time.Second       // to a viewer that does not read
	checkFor   = 3 * time.Minute        // every layer, an operator's DNS timing out several times
	maxSteps   = 64                     // of a check, that a slow viewer may be behind
)

// hub makes one picture for all viewers of a language. It works only while somebody
// looks: a page that nobody has open costs nothing.
type hub struct {
	ctx context.Context // the agent's
	b   localapi.Backend
	loc *time.Location

	mu       sync.Mutex
	viewers  map[*viewer]struct{}
	stop     context.CancelFunc // of the goroutine that serves the viewers
	checking atomic.Bool
}

// viewer is one open page. What it has not read yet is bounded: of pictures the newest
// counts, of steps the first maxSteps.
type viewer struct {
	lang  text.Lang
	wake  chan struct{}
	mu    sync.Mutex
	view  []byte
	steps [][]byte
}

func newHub(ctx context.Context, b localapi.Backend, loc *time.Location) *hub {
	return &hub{ctx: ctx, b: b, loc: loc, viewers: map[*viewer]struct{}{}}
}

func (v *viewer) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

func (v *viewer) show(picture []byte) {
	v.mu.Lock()
	v.view = picture
	v.mu.Unlock()
	v.poke()
}

func (v *viewer) step(s []byte) {
	v.mu.Lock()
	if len(v.steps) < maxSteps {
		v.steps = append(v.steps, s)
	}
	v.mu.Unlock()
	v.poke()
}

func (v *viewer) take() (steps [][]byte, picture []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	steps, picture = v.steps, v.view
	v.steps, v.view = nil, nil
	return steps, picture
}

// enter lets one more look on, nil where too many do.
func (h *hub) enter(lang text.Lang) *viewer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.viewers) >= maxViewers {
		return nil
	}
	v := &viewer{lang: lang, wake: make(chan struct{}, 1)}
	h.viewers[v] = struct{}{}
	if h.stop == nil {
		ctx, stop := context.WithCancel(h.ctx)
		h.stop = stop
		go h.run(ctx)
	}
	return v
}

func (h *hub) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers, v)
	if len(h.viewers) == 0 && h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// each calls f for those who look on now.
func (h *hub) each(f func(*viewer)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for v := range h.viewers {
		f(v)
	}
}

// run sends a picture when something changed, and every refresh.
func (h *hub) run(ctx context.Context) {
	every := unwatched
	var changed <-chan struct{}
	if w, ok := h.b.(localapi.Watched); ok {
		if c, err := w.Watch(ctx); err == nil {
			changed, every = c, refresh
		}
	}
	for {
		h.picture(ctx)
		if !sleep(ctx, apart) {
			return
		}
		t := time.NewTimer(every - apart)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-t.C:
		}
		t.Stop()
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// picture asks once and shows the answer in each language that somebody reads.
func (h *hub) picture(ctx context.Context) {
	made := map[text.Lang][]byte{}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	s, err := h.b.Status(ctx)
	if ctx.Err() != nil {
		return
	}
	h.each(func(v *viewer) {
		if made[v.lang] == nil {
			if err != nil {
				made[v.lang] = event("silent", []byte(`{}`))
			} else if body, err := h.view(v.lang, s); err == nil {
				made[v.lang] = event("view", body)
			}
		}
		v.show(made[v.lang])
	})
}

// view is what the page shows: the words of the status, and what the script needs as
// numbers.
func (h *hub) view(lang text.Lang, s localapi.Status) ([]byte, error) {
	return json.Marshal(picture{view.Build(lang, h.loc, s), deeds(lang, s.Diagnosis.Class), s.Radio, text.Word(lang, "grade", s.Radio.Grade), h.checking.Load()})
}

// picture is one answer for the page's script.
type picture struct {
	Page     view.Page            `json:"page"`
	Deeds    []deed               `json:"deeds"`
	Radio    localapi.RadioStatus `json:"radio"`
	Grade    string               `json:"grade"`
	Checking bool                 `json:"checking"`
}

// event is one message of a text/event-stream (WHATWG HTML §9.2). data has no newline:
// it is JSON.
func event(name string, data []byte) []byte {
	return bytes.Join([][]byte{[]byte("event: " + name + "\ndata: "), data, []byte("\n\n")}, nil)
}

// live is GET live?lang=…: the viewer's stream.
func (h *hub) live(w http.ResponseWriter, r *http.Request) {
	v := h.enter(text.Pick(r.URL.Query().Get("lang"), ""))
	if v == nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer h.leave(v)
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // not every ResponseWriter has deadlines; the sockets served here do
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	ctx, cancel := context.WithTimeout(r.Context(), liveFor)
	defer cancel()
	write := func(b []byte) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(sendWithin))
		_, err := w.Write(b)
		return err == nil && rc.Flush() == nil
	}
	if !write([]byte("retry: 2000\n\n")) {
		return
	}
	go h.picture(ctx) // at once, though others look on already
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
		}
		steps, picture := v.take()
		for _, s := range steps {
			if !write(s) {
				return
			}
		}
		if picture != nil && !write(picture) {
			return
		}
	}
}

// check is POST check: every layer now. All who look on see it.
func (h *hub) check(w http.ResponseWriter, _ *http.Request) {
	if !h.checking.CompareAndSwap(false, true) {
		http.Error(w, localapi.ErrBusy.Error(), http.StatusConflict)
		return
	}
	go h.runCheck()
	w.WriteHeader(http.StatusAccepted)
}

// runCheck outlives the request: who pressed the button may have lost the network.
func (h *hub) runCheck() {
	ctx, cancel := context.WithTimeout(h.ctx, checkFor)
	defer cancel()
	h.each(func(v *viewer) { v.step(event("begin", []byte(`{}`))) })
	_, err := h.b.Diagnose(ctx, func(p localapi.Progress) {
		h.each(func(v *viewer) {
			if body, err := json.Marshal(view.Progress(v.lang, p)); err == nil {
				v.step(event("layer", body))
			}
		})
	})
	h.checking.Store(false)
	h.each(func(v *viewer) {
		said := ""
		if err != nil {
			said = text.Reason(v.lang, err.Error())
		}
		body, err := json.Marshal(map[string]string{"error": said})
		if err == nil {
			v.step(event("end", body))
		}
	})
	h.picture(ctx)
}
