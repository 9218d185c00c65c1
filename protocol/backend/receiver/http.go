package receiver

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/ingest"
	"cellwarden/protocol/backend/store"
	"cellwarden/protocol/backend/webhook"
)

func (r *Receiver) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", r.health)
	mux.HandleFunc("GET /metrics", r.metrics)
	mux.HandleFunc("GET /api/v1/devices", r.guard(r.devices))
	mux.HandleFunc("GET /api/v1/alerts", r.guard(r.alerts))
	mux.HandleFunc("POST /api/v1/alerts/{id}/ack", r.guard(r.ack))
	mux.HandleFunc("POST /api/v1/alerts/{id}/mute", r.guard(r.mute))
	mux.HandleFunc("GET /api/v1/endpoints", r.guard(r.endpoints))
	mux.HandleFunc("POST /api/v1/endpoints", r.guard(r.addEndpoint))
	mux.HandleFunc("GET /api/v1/dead-letters", r.guard(r.deadLetters))
	mux.HandleFunc("POST /api/v1/dead-letters/{id}/again", r.guard(r.again))
	mux.HandleFunc("POST /api/v1/devices/{device}/commands", r.guard(r.command))
	if len(r.cfg.Pages) == 0 {
		mux.HandleFunc("GET /{$}", r.guard(r.page))
	}
	for _, add := range r.cfg.Pages {
		add(mux, r.store)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		w.Header().Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, req)
	})
}

// apiError is an answer with a status.
type apiError struct {
	status int
	text   string
}

func (e apiError) Error() string { return e.text }

func bad(format string, args ...any) error {
	return apiError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// guard asks for the token, and renders what do returns as JSON. A page of another
// site cannot post here: a browser that says where it comes from must come from us.
func (r *Receiver) guard(do func(w http.ResponseWriter, req *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		given, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if r.cfg.Token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(r.cfg.Token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, `{"error":"want Authorization: Bearer and the token"}`, http.StatusUnauthorized)
			return
		}
		if from := req.Header.Get("Sec-Fetch-Site"); req.Method != http.MethodGet && from != "" && from != "same-origin" && from != "none" {
			http.Error(w, `{"error":"from another site"}`, http.StatusForbidden)
			return
		}
		out, err := do(w, req)
		var api apiError
		switch {
		case errors.As(err, &api):
		case err != nil:
			r.log.Warn("API", "path", req.URL.Path, "error", err.Error())
			api = apiError{http.StatusServiceUnavailable, "the database does not answer; try again"}
		case out == nil:
			return // do has answered
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		if api.status != 0 {
			w.WriteHeader(api.status)
			out = map[string]string{"error": api.text}
		}
		_ = json.NewEncoder(w).Encode(out) // the reader may have left
	}
}

// tenant is whose data is asked for: with one prefix that is the prefix.
func (r *Receiver) tenant() string { return r.cfg.Prefix }

func number(req *http.Request, name string, otherwise, most int64) (int64, error) {
	text := req.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, bad("%s: want a number, 0 to %d", name, most)
	}
	return n, nil
}

func (r *Receiver) devices(_ http.ResponseWriter, req *http.Request) (any, error) {
	limit, err := number(req, "limit", 100, 1000)
	if err != nil {
		return nil, err
	}
	return r.store.Devices(req.Context(), r.tenant(), req.FormValue("after"), int(limit))
}

func (r *Receiver) alerts(_ http.ResponseWriter, req *http.Request) (any, error) {
	limit, err := number(req, "limit", 100, 1000)
	if err != nil {
		return nil, err
	}
	before, err := number(req, "before", 0, 1<<62)
	if err != nil {
		return nil, err
	}
	return r.store.Alerts(req.Context(), r.tenant(), req.FormValue("all") != "", before, int(limit))
}

func pathID(req *http.Request) (int64, error) {
	id, err := strconv.ParseInt(req.PathValue("id"), 10, 64)
	if err != nil {
		return 0, bad("id: want a number")
	}
	return id, nil
}

// read takes a JSON body of at most 64 KB.
func read(req *http.Request, into any) error {
	raw, err := io.ReadAll(io.LimitReader(req.Body, 64<<10))
	if err != nil {
		return bad("the body cannot be read")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return bad("want a JSON object: %v", err)
	}
	return nil
}

func (r *Receiver) ack(_ http.ResponseWriter, req *http.Request) (any, error) {
	var b struct{ By string }
	id, err := pathID(req)
	if err == nil {
		err = read(req, &b)
	}
	if err == nil && b.By == "" {
		err = bad("by: who takes it on")
	}
	if err != nil {
		return nil, err
	}
	done := false
	err = r.store.Tx(req.Context(), func(tx *store.Tx) error {
		if done, err = tx.Ack(req.Context(), id, b.By); err != nil {
			return err
		}
		return tx.Audit(req.Context(), b.By, fmt.Sprintf("took on alert %d", id))
	})
	return map[string]bool{"acked": done}, err
}

func (r *Receiver) mute(_ http.ResponseWriter, req *http.Request) (any, error) {
	var b struct {
		By    string
		Until time.Time
	}
	id, err := pathID(req)
	if err == nil {
		err = read(req, &b)
	}
	if err == nil && b.By == "" {
		err = bad("by: who mutes it")
	}
	if ahead := time.Until(b.Until); err == nil && (ahead <= 0 || ahead.Milliseconds() > store.MaxMute) {
		err = bad("until: RFC 3339, later than now and at most 31 days ahead: a mute has an end")
	}
	if err != nil {
		return nil, err
	}
	err = r.store.Tx(req.Context(), func(tx *store.Tx) error { return tx.Mute(req.Context(), id, b.Until.UnixMilli(), b.By) })
	return map[string]bool{"muted": err == nil}, err
}

func (r *Receiver) endpoints(_ http.ResponseWriter, req *http.Request) (any, error) {
	rows, err := r.store.Query(req.Context(), "SELECT id, kind, url, types, coalesce(disabled, 0), why FROM endpoint WHERE tenant = ? ORDER BY id", r.tenant())
	if err != nil {
		return nil, err
	}
	type e struct {
		ID       int64  `json:"id"`
		Kind     string `json:"kind"`
		Host     string `json:"host"` // a robot's url holds its key
		Types    string `json:"types"`
		Disabled int64  `json:"disabled,omitempty"`
		Why      string `json:"why,omitempty"`
	}
	list := []e{}
	for rows.Next() {
		var x e
		if err := rows.Scan(&x.ID, &x.Kind, &x.Host, &x.Types, &x.Disabled, &x.Why); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		_, host, _ := strings.Cut(x.Host, "://")
		x.Host, _, _ = strings.Cut(host, "/")
		list = append(list, x)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

func (r *Receiver) addEndpoint(_ http.ResponseWriter, req *http.Request) (any, error) {
	var b struct{ Kind, URL, Secret, Types, By string }
	if err := read(req, &b); err != nil {
		return nil, err
	}
	id, err := AddEndpoint(req.Context(), r.store, r.tenant(), b.Kind, b.URL, b.Secret, b.Types, r.cfg.Plain)
	return map[string]int64{"id": id}, err
}

// AddEndpoint enters a webhook. types is comma-separated, "alert.*" allowed, "" all.
func AddEndpoint(ctx context.Context, s *store.Store, tenant, kind, url, secret, types string, plain bool) (id int64, err error) {
	if kind == "" {
		kind = webhook.KindCloudEvents
	}
	if !slices.Contains(webhook.Kinds, kind) {
		return 0, bad("kind %q: want one of %s", kind, strings.Join(webhook.Kinds, ", "))
	}
	if err := webhook.CheckURL(url, plain); err != nil {
		return 0, bad("%v", err)
	}
	if kind == webhook.KindCloudEvents && secret != "" {
		if err := webhook.CheckSecret(secret); err != nil {
			return 0, bad("%v", err)
		}
	}
	if types == "" && kind != webhook.KindCloudEvents {
		types = "group.*,alert.escalated,outage.*" // people read these; programs read all
	}
	err = s.Tx(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, "INSERT INTO endpoint (tenant, kind, url, secret, types) VALUES (?, ?, ?, ?, ?) RETURNING id", tenant, kind, url, secret, types).Scan(&id)
	})
	return id, err
}

func (r *Receiver) deadLetters(_ http.ResponseWriter, req *http.Request) (any, error) {
	rows, err := r.store.Query(req.Context(), `SELECT l.id, l.endpoint, l.type, l.subject, l.died, l.tries, l.error FROM dead_letter l JOIN endpoint e ON e.id = l.endpoint
		WHERE e.tenant = ? ORDER BY l.died DESC LIMIT 500`, r.tenant())
	if err != nil {
		return nil, err
	}
	type l struct {
		ID       string `json:"id"`
		Endpoint int64  `json:"endpoint"`
		Type     string `json:"type"`
		Subject  string `json:"subject"`
		Died     int64  `json:"died"`
		Tries    int    `json:"tries"`
		Error    string `json:"error"`
	}
	list := []l{}
	for rows.Next() {
		var x l
		if err := rows.Scan(&x.ID, &x.Endpoint, &x.Type, &x.Subject, &x.Died, &x.Tries, &x.Error); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, x)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

func (r *Receiver) again(_ http.ResponseWriter, req *http.Request) (any, error) {
	err := r.store.Tx(req.Context(), func(tx *store.Tx) error { return webhook.Again(req.Context(), tx, req.PathValue("id")) })
	if errors.Is(err, webhook.ErrNoLetter) {
		return nil, apiError{http.StatusNotFound, err.Error()}
	}
	r.hooks.Wake()
	return map[string]bool{"again": err == nil}, err
}

// command sends a command that was made (and signed, where devices want that)
// elsewhere: signing keys are not here. It is retained, so that a device that sleeps
// gets it, and removed when the answer has come.
func (r *Receiver) command(_ http.ResponseWriter, req *http.Request) (any, error) {
	raw, err := io.ReadAll(io.LimitReader(req.Body, protocol.MaxCommand+1))
	if err != nil {
		return nil, bad("the body cannot be read")
	}
	c, err := protocol.DecodeCommand(raw)
	if err != nil {
		return nil, bad("%v", err)
	}
	expires, err := time.Parse(time.RFC3339, c.Expires)
	if err != nil || !expires.After(time.Now()) {
		return nil, bad("expires: want RFC 3339, later than now")
	}
	device := req.PathValue("device")
	if err := protocol.CheckDeviceID(device); err != nil {
		return nil, bad("%v", err)
	}
	retained := r.cfg.AMQP == ""
	var id int64
	err = r.store.Tx(req.Context(), func(tx *store.Tx) error {
		if err := tx.QueryRow(req.Context(), "SELECT id FROM device WHERE tenant = ? AND dev = ?", r.tenant(), device).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(req.Context(), "INSERT INTO command (id, device, did, sent, expires, retained) VALUES (?, ?, ?, ?, ?, ?)", c.ID, id, c.Do, tx.Now(),
			expires.UnixMilli(), retained)
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, apiError{http.StatusNotFound, "no such device"}
	case store.Poison(err):
		return nil, apiError{http.StatusConflict, "this id was sent before"}
	case err != nil:
		return nil, err
	}
	topic := protocol.Topic{Prefix: r.cfg.Prefix, Device: device, Leaf: protocol.LeafCommand}.String()
	if err := r.data.Publish(req.Context(), topic, retained, raw); err != nil {
		return nil, apiError{http.StatusServiceUnavailable, "the broker does not take it: " + err.Error()}
	}
	return map[string]any{"sent": true, "retained": retained}, nil
}

// health is 200 while messages can be taken, else 503 with what is wrong.
func (r *Receiver) health(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), 2*time.Second)
	defer cancel()
	wrong := []string{}
	if err := r.store.DB.PingContext(ctx); err != nil {
		wrong = append(wrong, "the database does not answer")
	}
	if up, err := r.data.Up(); !up {
		wrong = append(wrong, fmt.Sprintf("no connection to the broker: %v", err))
	}
	w.Header().Set("Content-Type", "application/json")
	if len(wrong) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ok": len(wrong) == 0, "wrong": wrong})
}

// gauges are numbers that cost a query: read again when they are older than a moment.
type gauges struct {
	sync.Mutex
	at   time.Time
	text string
}

const gaugeEvery = 10 * time.Second

func (r *Receiver) metrics(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var b strings.Builder
	one := func(name, kind, help string, lines ...string) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n%s\n", name, help, name, kind, strings.Join(lines, "\n"))
	}
	num := func(name string, v any) string { return fmt.Sprintf("%s %v", name, v) }
	s := &r.stats
	one("cw_receiver_publishes_total", "counter", "MQTT messages taken", num("cw_receiver_publishes_total", s.Publishes.Load()))
	one("cw_receiver_bytes_total", "counter", "payload bytes taken", num("cw_receiver_bytes_total", s.Bytes.Load()))
	one("cw_receiver_envelopes_total", "counter", "envelopes committed, new or delivered again",
		num(`cw_receiver_envelopes_total{result="new"}`, s.New.Load()), num(`cw_receiver_envelopes_total{result="repeated"}`, s.Repeated.Load()))
	var lines []string
	for i, name := range ingest.Reasons {
		lines = append(lines, num(`cw_receiver_rejected_total{reason="`+name+`"}`, s.Rejected[i].Load()))
	}
	one("cw_receiver_rejected_total", "counter", "messages refused", lines...)
	one("cw_receiver_commits_total", "counter", "transactions", num("cw_receiver_commits_total", s.Commits.Load()))
	one("cw_receiver_commit_seconds_total", "counter", "time in them", num("cw_receiver_commit_seconds_total", float64(s.CommitNanos.Load())/1e9))
	age := time.Since(r.began).Seconds()
	if at := s.LastCommit.Load(); at > 0 {
		age = time.Since(time.UnixMilli(at)).Seconds()
	}
	one("cw_receiver_commit_age_seconds", "gauge", "since the last commit", num("cw_receiver_commit_age_seconds", age))
	one("cw_receiver_database_retries_total", "counter", "transactions that the database did not take", num("cw_receiver_database_retries_total", s.Retries.Load()))
	up, _ := r.data.Up()
	one("cw_receiver_broker_up", "gauge", "1 while the connection stands", num("cw_receiver_broker_up", map[bool]int{true: 1}[up]))
	one("cw_receiver_status_holder", "gauge", "1 while this receiver takes the retained topics", num("cw_receiver_status_holder", map[bool]int{true: 1}[r.holder.Load()]))
	one("cw_webhook_tries_total", "counter", "webhooks sent, failed tries, dead letters", num(`cw_webhook_tries_total{result="sent"}`, r.hooks.Sent.Load()),
		num(`cw_webhook_tries_total{result="failed"}`, r.hooks.Failed.Load()), num(`cw_webhook_tries_total{result="dead"}`, r.hooks.Dead.Load()))
	r.gauges.Lock()
	defer r.gauges.Unlock()
	if time.Since(r.gauges.at) > gaugeEvery {
		ctx, cancel := context.WithTimeout(req.Context(), 3*time.Second)
		defer cancel()
		text, err := r.countAll(ctx)
		if err != nil { // the rest still tells that
			text = ""
		}
		r.gauges.text, r.gauges.at = text, time.Now()
	}
	b.WriteString(r.gauges.text)
	_, _ = io.WriteString(w, b.String()) // the reader may have left
}

func (r *Receiver) countAll(ctx context.Context) (string, error) {
	var b strings.Builder
	for _, g := range []struct{ name, help, query string }{
		{"cw_devices", "devices by what their status says", "SELECT CASE WHEN up IS NULL THEN 'unknown' WHEN up THEN 'up' ELSE 'down' END AS k, count(*) FROM device_now GROUP BY 1"},
		{"cw_alerts_open", "alerts that stand, by class", "SELECT class, count(*) FROM alert WHERE closed IS NULL GROUP BY 1"},
		{"cw_webhook_waiting", "events that wait, by endpoint", "SELECT CAST(endpoint AS text), count(*) FROM outbox GROUP BY 1"},
		{"cw_webhook_dead_letters", "events given up, by endpoint", "SELECT CAST(endpoint AS text), count(*) FROM dead_letter GROUP BY 1"},
		{"cw_receiver_holes", "messages that neither came nor are explained by a gap", "SELECT 'all', coalesce(sum(holes), 0) FROM stream"},
	} {
		rows, err := r.store.Query(ctx, g.query)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", g.name, g.help, g.name)
		for rows.Next() {
			var k string
			var n int64
			if err := rows.Scan(&k, &n); err != nil {
				return "", errors.Join(err, rows.Close())
			}
			fmt.Fprintf(&b, "%s{of=%q} %d\n", g.name, k, n)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms":    func(v int64) string { return time.UnixMilli(v).UTC().Format("2006-01-02 15:04:05") },
	"deref": func(b *bool) bool { return b != nil && *b },
	"title": func(lang, class, act string) string {
		title, _ := webhook.Words(lang, class, act)
		return title
	},
	"what": func(lang, class, act string) string {
		_, what := webhook.Words(lang, class, act)
		return what
	},
}).Parse(`<!doctype html><html lang="{{.Lang}}"><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>cellwarden</title>
<h1>cellwarden</h1><p>{{len .Alerts}} {{if eq .Lang "zh"}}个故障{{else}}faults stand{{end}}</p>
<table border="1" cellpadding="4">{{range .Alerts}}<tr><td>{{.Dev}}<td>{{title $.Lang .Class .Act}}<td>{{.Verdict}}<td>{{what $.Lang .Class .Act}}<td>{{.Who}}<td>{{ms .Opened}}{{end}}</table>
<table border="1" cellpadding="4">{{range .Devices}}<tr><td>{{.Dev}}<td>{{if .Up}}{{if deref .Up}}up{{else}}down{{end}}{{else}}?{{end}}<td>{{.Class}}<td>{{.Used}} / {{.Quota}}<td>{{ms .Heard}}{{end}}</table>`))

// page is a plain list, for a trial; the fleet's page takes its place.
func (r *Receiver) page(w http.ResponseWriter, req *http.Request) (any, error) {
	list, err := r.store.Alerts(req.Context(), r.tenant(), false, 0, 200)
	if err != nil {
		return nil, err
	}
	devices, err := r.store.Devices(req.Context(), r.tenant(), "", 200)
	if err != nil {
		return nil, err
	}
	lang := "en"
	if strings.HasPrefix(req.Header.Get("Accept-Language"), "zh") || req.FormValue("lang") == "zh" {
		lang = "zh"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return nil, page.Execute(w, struct {
		Lang    string
		Alerts  []*store.Alert
		Devices []store.DeviceNow
	}{lang, list, devices})
}
