// Package web is the page for the person at the machine: one HTML file, one
// style sheet and one script, all in the binary, that show what cellwarden
// status shows and have buttons for what a technician does.
//
// It needs nothing from outside the machine and judges nothing: package view
// says what to show, package access who may see it and who may press. What the
// modem, a message or a broker said reaches the page as text only.
package web

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/text"
	"cellwarden/agent/web/access"
)

//go:embed page
var page embed.FS

// answerTimeout is below the page's own patience, so that a stuck loop is told
// as such.
const answerTimeout = 5 * time.Second

// maxBody bounds what a button sends.
const maxBody = 4 << 10

// policy allows what the page is made of and nothing else: no inline script or
// style, no other host, no frame, no form. The empty data: icon keeps browsers from
// asking for one.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Options are what the page needs.
type Options struct {
	Context  context.Context // ends what goes on between requests; nil never ends
	Backend  localapi.Backend
	Door     *access.Door
	Location *time.Location // times are shown in it; nil is that of the machine
	// OnNetwork: the listener can be reached from other machines, so that nobody is
	// let in before there is a PIN.
	OnNetwork bool
}

type site struct {
	Options
	hub *hub
}

// Handler serves the page, what it asks for, and the reading part of the local API.
func Handler(o Options) http.Handler {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Context == nil {
		o.Context = context.Background()
	}
	s := &site{o, newHub(o.Context, o.Backend, o.Location)}
	open, read, act := localapi.Routes{}, localapi.Routes{}, localapi.Routes{}
	for path, file := range map[string]struct{ name, kind string }{
		"GET /":         {"index.html", "text/html; charset=utf-8"},
		"GET /page.css": {"page.css", "text/css; charset=utf-8"},
		"GET /page.js":  {"page.js", "text/javascript; charset=utf-8"},
		"GET /tools.js": {"tools.js", "text/javascript; charset=utf-8"},
	} {
		open[path] = func(w http.ResponseWriter, r *http.Request) {
			body, err := page.ReadFile("page/" + file.name)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", file.kind)
			// The files change with the binary: ask again, it is local.
			w.Header().Set("Cache-Control", "no-cache")
			w.Write(body)
		}
	}
	open["GET /words"] = words
	open["GET /session"] = s.session
	open["POST /login"] = o.Door.Login
	open["POST /leave"] = func(w http.ResponseWriter, r *http.Request) {
		if o.Door.May(w, r, access.Reader) {
			o.Door.Leave(w, r)
		}
	}
	read["GET /view"] = s.view
	read["GET /live"] = s.hub.live
	act["POST /check"] = s.hub.check
	s.tools(read, act)
	api := localapi.ReadOnly(o.Backend)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		access.Headers(h)
		h.Set("Content-Security-Policy", policy)
		if !o.Door.Host(r) {
			http.Error(w, "open this page by the machine's IP address, localhost, or a name of api.names in the config", http.StatusMisdirectedRequest)
			return
		}
		if s.closed(w) {
			return
		}
		key := r.Method + " " + r.URL.Path
		if r.Method == http.MethodHead {
			key = "GET " + r.URL.Path
		}
		switch {
		case open[key] != nil:
			open[key](w, r)
		case read[key] != nil:
			if o.Door.May(w, r, access.Reader) {
				read[key](w, r)
			}
		case act[key] != nil:
			if o.Door.May(w, r, access.Actor) {
				act[key](w, r)
			}
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			if o.Door.May(w, r, access.Reader) {
				api.ServeHTTP(w, r)
			}
		case act["POST "+r.URL.Path] != nil || open["POST "+r.URL.Path] != nil:
			h.Set("Allow", http.MethodPost)
			http.Error(w, "this changes something: it is a POST", http.StatusMethodNotAllowed)
		default:
			http.NotFound(w, r)
		}
	})
}

// closed answers everybody on a network until there is a PIN, with the cure.
func (s *site) closed(w http.ResponseWriter) bool {
	if !s.OnNetwork {
		return false
	}
	pins, err := s.Door.Pins()
	if err == nil && pins.Has() {
		return false
	}
	cure := text.T(text.ZH, "page.no_pin") + "\n" + text.T(text.EN, "page.no_pin")
	if err != nil {
		cure = err.Error()
	}
	http.Error(w, cure, http.StatusForbidden)
	return true
}

// words are the page's own, in one language.
func words(w http.ResponseWriter, r *http.Request) {
	lang := text.Pick(r.URL.Query().Get("lang"), "")
	out := map[string]string{}
	for _, key := range text.Keys(lang) {
		switch name, inUI := strings.CutPrefix(key, "ui."); {
		case strings.HasPrefix(key, "deed."):
			out[key] = text.T(lang, key, "{0}", "{1}") // the script fills them in
		case strings.HasPrefix(key, "page."):
			out[strings.TrimPrefix(key, "page.")] = text.T(lang, key, "{0}", "{1}") // the script fills them in
		case inUI && !text.Has(lang, "page."+name):
			out[name] = text.T(lang, key, "{0}", "{1}") // the script fills them in
		}
	}
	answer(w, out)
}

// session tells the page who its reader is, and gives the token of its buttons.
func (s *site) session(w http.ResponseWriter, r *http.Request) {
	token := s.Door.Token(w, r)
	role := map[access.Role]string{access.Nobody: "nobody", access.Reader: "read", access.Actor: "act"}[s.Door.Who(r)]
	answer(w, map[string]any{"role": role, "token": token, "can": s.can()})
}

// view is one picture, for a page that has no stream.
func (s *site) view(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	st, err := s.Backend.Status(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	body, err := s.hub.view(text.Pick(r.URL.Query().Get("lang"), ""), st)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	send(w, body)
}

func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	send(w, body)
}

func send(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(body) // an error here means that the browser has gone
}

// body reads what a button sent.
func body(w http.ResponseWriter, r *http.Request, to any) bool {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

// refuse says in the reader's language why something was not done.
func refuse(w http.ResponseWriter, lang text.Lang, err error) {
	code := http.StatusServiceUnavailable
	var bad *localapi.Invalid
	switch {
	case errors.As(err, &bad):
		code = http.StatusBadRequest
	case errors.Is(err, localapi.ErrUnsupported):
		code = http.StatusNotImplemented
	}
	http.Error(w, text.Reason(lang, err.Error()), code)
}
