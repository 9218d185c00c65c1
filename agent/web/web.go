// Package web is the page for the person at the machine: one HTML file, one
// style sheet and one script, all in the binary, that show what cellwarden
// status shows.
//
// It is read-only, needs nothing from outside the machine and sets no cookie.
// It judges nothing: package view says what to show. It has no login, so the
// listener belongs on 127.0.0.1 or on a network that the owner trusts.
package web

import (
	"context"
	"embed"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

//go:embed page
var page embed.FS

// answerTimeout is below the page's own patience, so that a stuck loop is told
// as such.
const answerTimeout = 5 * time.Second

// policy allows what the page is made of and nothing else: no inline script,
// no other host, no frame, no form. The empty data: icon keeps browsers from
// asking for one.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// labels are the ui texts that the page's script puts around the view.
var labels = []string{"since", "who", "returns", "candidates", "decide", "warnings", "troubles", "steps", "ladder",
	"usage", "for", "against", "unknown", "evidence", "details", "probes", "language", "refreshed"}

// Handler serves the page, the view that it asks for, and the read-only part of
// the local API. Times are shown in the zone of the machine.
func Handler(b localapi.Backend) http.Handler { return handler(b, time.Local) }

func handler(b localapi.Backend, loc *time.Location) http.Handler {
	routes := localapi.Routes{}
	routes["GET /view"] = func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		s, err := b.Status(ctx)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		lang := text.Pick(r.URL.Query().Get("lang"), "")
		words := make(map[string]string, len(labels))
		for _, l := range labels {
			words[l] = text.T(lang, "ui."+l)
		}
		body, err := json.Marshal(struct {
			Page   view.Page         `json:"page"`
			Labels map[string]string `json:"labels"`
		}{view.Build(lang, loc, s), words})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(body) // an error here means that the browser has gone
	}
	for path, file := range map[string]struct{ name, kind string }{
		"GET /":         {"index.html", "text/html; charset=utf-8"},
		"GET /page.css": {"page.css", "text/css; charset=utf-8"},
		"GET /page.js":  {"page.js", "text/javascript; charset=utf-8"},
	} {
		routes[path] = func(w http.ResponseWriter, r *http.Request) {
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
	api := localapi.ReadOnly(b)
	return guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			api.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	}))
}

// guard sets the headers that every answer has, lets nothing but reading
// through, and refuses names that a foreign page could have pointed at this
// machine (DNS rebinding): without a login, the name in the address bar is all
// that tells who asks.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY") // old Android browsers
		if !local(r.Host) {
			http.Error(w, "open this page by the machine's IP address, localhost or a .local name", http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "this page only shows", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local reports whether host cannot be a name of the public DNS.
func local(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return net.ParseIP(strings.Trim(host, "[]")) != nil ||
		host != "" && !strings.Contains(host, ".") ||
		strings.HasSuffix(host, ".local")
}
