package web

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cellwarden/protocol"
)

// Silent is one silence with what was said of it.
type Silent struct {
	ID     int64   `json:"id"`
	Device string  `json:"device"`
	Since  int64   `json:"since"`
	Closed int64   `json:"closed,omitempty"`
	Said   string  `json:"said"`
	P      float64 `json:"p"`
	Check  string  `json:"decide,omitempty"`
	Truth  string  `json:"truth,omitempty"`
	By     string  `json:"truth_by,omitempty"`
}

// SIM is what a platform last said of a device's card. The card's number is not in it.
type SIM struct {
	Device  string `json:"device"`
	Account string `json:"account"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
	Raw     string `json:"carrier_raw"`
	Pool    string `json:"pool,omitempty"`
	Used    *int64 `json:"used_bytes,omitempty"`
	Plan    *int64 `json:"plan_bytes,omitempty"`
	AsOf    int64  `json:"as_of"`
	Error   string `json:"error,omitempty"`
}

func (w *Server) silences(ctx context.Context, tenant string, before int64, limit int) (list []Silent, err error) {
	if before == 0 {
		before = 1 << 62
	}
	list = []Silent{}
	err = each(ctx, w.s, `SELECT i.id, d.dev, i.since, coalesce(i.closed, 0), i.said, i.p, i.decide, i.truth, i.truth_by FROM silence i JOIN device d ON d.id = i.device
		WHERE i.tenant = ? AND i.id < ? ORDER BY i.id DESC LIMIT ?`, func(r *sql.Rows) error {
		var x Silent
		err := r.Scan(&x.ID, &x.Device, &x.Since, &x.Closed, &x.Said, &x.P, &x.Check, &x.Truth, &x.By)
		list = append(list, x)
		return err
	}, tenant, before, limit)
	return list, err
}

func (w *Server) sims(ctx context.Context, tenant, after string, limit int) (list []SIM, err error) {
	list = []SIM{}
	err = each(ctx, w.s, `SELECT d.dev, m.account, m.state, m.reason, m.raw, m.pool, m.used, m.plan, m.as_of, m.error FROM sim m JOIN device d ON d.id = m.device
		WHERE d.tenant = ? AND d.dev > ? ORDER BY d.dev LIMIT ?`, func(r *sql.Rows) error {
		var x SIM
		err := r.Scan(&x.Device, &x.Account, &x.State, &x.Reason, &x.Raw, &x.Pool, &x.Used, &x.Plan, &x.AsOf, &x.Error)
		list = append(list, x)
		return err
	}, tenant, after, limit)
	return list, err
}

func limitOf(r *http.Request) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return 0, webError{http.StatusBadRequest, "limit: want 1 to 1000"}
	}
	return n, nil
}

func (w *Server) apiSilences(rw http.ResponseWriter, r *http.Request, u User) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	before, _ := strconv.ParseInt(r.FormValue("before"), 10, 64)
	list, err := w.silences(r.Context(), u.Tenant, before, limit)
	if err != nil {
		return err
	}
	return asJSON(rw, list)
}

func (w *Server) apiSims(rw http.ResponseWriter, r *http.Request, u User) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	list, err := w.sims(r.Context(), u.Tenant, r.FormValue("after"), limit)
	if err != nil {
		return err
	}
	return asJSON(rw, list)
}

// moment is one line of a device's timeline.
type moment struct {
	At   int64
	Kind string // alert, silence, card, note
	Text string
	End  int64
}

// plotted is a curve as the points of an SVG polyline.
type plotted struct {
	Points   string
	Low, Top string
	From, To int64
}

const plotWidth, plotHeight = 600, 80

// plot draws values over time. Fewer than two are no curve.
func plot(at []int64, v []float64, unit func(float64) string) *plotted {
	if len(at) < 2 {
		return nil
	}
	low, top := v[0], v[0]
	for _, x := range v {
		low, top = min(low, x), max(top, x)
	}
	span, high := max(float64(at[len(at)-1]-at[0]), 1), max(top-low, 1e-9)
	var b strings.Builder
	for i := range at {
		fmt.Fprintf(&b, "%.1f,%.1f ", float64(at[i]-at[0])/span*plotWidth, plotHeight-(v[i]-low)/high*plotHeight)
	}
	return &plotted{strings.TrimSpace(b.String()), unit(low), unit(top), at[0], at[len(at)-1]}
}

// maxStates is how many reports a curve is drawn of: a week of one an hour.
const maxStates = 200

func (w *Server) device(rw http.ResponseWriter, r *http.Request, u User) error {
	var d struct {
		Dev, Site, Class     string
		Up                   *bool
		UpAt, Heard, StateAt int64
		Used, Quota          int64
		RSRP                 *float64
		Sales                *float64
		Alerts               []Standing
		Bodies               []protocol.Alert
		Silence              *Silent
		Candidates           []protocol.Candidate
		Evidence             []protocol.Evidence
		SIM                  *SIM
		Line                 []moment
		Notes                []moment
		Signal, Data         *plotted
	}
	ctx := r.Context()
	var id int64
	err := w.s.QueryRow(ctx, `SELECT d.id, d.dev, coalesce(s.name, ''), n.class, n.up, n.up_at, n.heard, n.state_at, n.used, n.quota, n.rsrp, d.sales_per_h
		FROM device d JOIN device_now n ON n.device = d.id LEFT JOIN site s ON s.id = d.site WHERE d.tenant = ? AND d.dev = ?`, u.Tenant, r.PathValue("dev")).
		Scan(&id, &d.Dev, &d.Site, &d.Class, &d.Up, &d.UpAt, &d.Heard, &d.StateAt, &d.Used, &d.Quota, &d.RSRP, &d.Sales)
	if errors.Is(err, sql.ErrNoRows) {
		return webError{http.StatusNotFound, "no such device"}
	}
	if err != nil {
		return err
	}
	err = each(ctx, w.s, `SELECT a.id, a.source, a.class, a.verdict, a.who, a.act, a.opened, coalesce(a.closed, 0), a.acked_by, coalesce(a.muted_until, 0), coalesce(a.body, ''),
		coalesce(x.whom, '') FROM alert a LEFT JOIN assignment x ON x.alert = a.id WHERE a.device = ? ORDER BY a.opened DESC LIMIT 30`, func(rows *sql.Rows) error {
		var x Standing
		var closed int64
		var body string
		if err := rows.Scan(&x.Alert, &x.Source, &x.Class, &x.Verdict, &x.Who, &x.Act, &x.Opened, &closed, &x.Acked, &x.Muted, &body,
			&x.Assigned); err != nil {
			return err
		}
		d.Line = append(d.Line, moment{x.Opened, "alert", x.Class, closed})
		if closed == 0 {
			var b protocol.Alert
			_ = json.Unmarshal([]byte(body), &b) // of another form it has no evidence to show
			d.Alerts, d.Bodies = append(d.Alerts, x), append(d.Bodies, b)
		}
		return nil
	}, id)
	if err != nil {
		return err
	}
	var silence Silent
	var body string
	err = w.s.QueryRow(ctx, "SELECT id, since, said, p, decide, body FROM silence WHERE device = ? AND closed IS NULL",
		id).Scan(&silence.ID, &silence.Since, &silence.Said, &silence.P,
		&silence.Check, &body)
	if err == nil {
		var b struct {
			Candidates []protocol.Candidate
			Evidence   []protocol.Evidence
		}
		_ = json.Unmarshal([]byte(body), &b) // not yet judged
		d.Silence, d.Candidates, d.Evidence = &silence, b.Candidates, b.Evidence
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var m SIM
	err = w.s.QueryRow(ctx, "SELECT account, state, reason, raw, pool, used, plan, as_of, error FROM sim WHERE device = ?",
		id).Scan(&m.Account, &m.State, &m.Reason, &m.Raw, &m.Pool,
		&m.Used, &m.Plan, &m.AsOf, &m.Error)
	if err == nil {
		d.SIM = &m
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for _, q := range []struct {
		kind, query string
		into        *[]moment
	}{
		{"silence", "SELECT since, truth, coalesce(closed, 0) FROM silence WHERE device = ? AND closed IS NOT NULL ORDER BY id DESC LIMIT 20", &d.Line},
		{"card", "SELECT at, reason, 0 FROM sim_status WHERE device = ? ORDER BY at DESC LIMIT 20", &d.Line},
		{"note", "SELECT at, who || ': ' || what, 0 FROM note WHERE device = ? ORDER BY at DESC LIMIT 20", &d.Notes},
	} {
		err := each(ctx, w.s, q.query, func(rows *sql.Rows) error {
			x := moment{Kind: q.kind}
			err := rows.Scan(&x.At, &x.Text, &x.End)
			*q.into = append(*q.into, x)
			return err
		}, id)
		if err != nil {
			return err
		}
	}
	sortMoments(d.Line)
	var at, sat []int64
	var used, rsrp []float64
	err = each(ctx, w.s, "SELECT at, used, rsrp FROM state WHERE device = ? AND at >= ? ORDER BY at DESC LIMIT ?",
		func(rows *sql.Rows) error {
			var t, n int64
			var s *float64
			if err := rows.Scan(&t, &n, &s); err != nil {
				return err
			}
			at, used = append([]int64{t}, at...), append([]float64{float64(n)}, used...)
			if s != nil {
				sat, rsrp = append([]int64{t}, sat...), append([]float64{*s}, rsrp...)
			}
			return nil
		}, id, w.opt.Now().Add(-8*24*time.Hour).UnixMilli(), maxStates)
	if err != nil {
		return err
	}
	d.Data = plot(at, used, func(v float64) string { return bytesText(int64(v)) })
	d.Signal = plot(sat, rsrp, func(v float64) string { return fmt.Sprintf("%.0f dBm", v) })
	return w.show(rw, r, "device", u, d)
}

func sortMoments(list []moment) {
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && list[j].At > list[j-1].At; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

func (w *Server) loginPage(rw http.ResponseWriter, r *http.Request) {
	w.showLogin(rw, r, "")
}

func (w *Server) showLogin(rw http.ResponseWriter, r *http.Request, wrong string) {
	rw.Header().Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'")
	rw.Header().Set("Cache-Control", "no-store")
	if wrong != "" {
		rw.WriteHeader(http.StatusUnauthorized)
	}
	err := w.show(rw, r, "login", User{}, map[string]any{"To": local(r.FormValue("to")), "Wrong": wrong, "OIDC": w.auth.OIDC != nil,
		"Users": len(w.auth.Users) > 0})
	if err != nil {
		w.opt.Log.Warn("page", "path", "/login", "error", err.Error())
	}
}

func (w *Server) login(rw http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(rw, r.Body, 16<<10)
	if !ours(r) {
		http.Error(rw, "this comes from another site", http.StatusForbidden)
		return
	}
	u, ok := w.auth.password(r, r.FormValue("user"), r.FormValue("password"), w.opt.Now())
	if !ok {
		w.showLogin(rw, r, "bad_login")
		return
	}
	w.auth.set(rw, cookieName, w.auth.seal("session", u), sessionLife)
	http.Redirect(rw, r, local(r.FormValue("to")), http.StatusSeeOther)
}

func (w *Server) logout(rw http.ResponseWriter, r *http.Request) {
	w.auth.set(rw, cookieName, "", -time.Second)
	http.Redirect(rw, r, "/login", http.StatusSeeOther)
}

func (w *Server) beginOIDC(rw http.ResponseWriter, r *http.Request) {
	if w.auth.OIDC == nil {
		http.NotFound(rw, r)
		return
	}
	w.auth.beginOIDC(rw, r)
}

func (w *Server) endOIDC(rw http.ResponseWriter, r *http.Request) {
	if w.auth.OIDC == nil {
		http.NotFound(rw, r)
		return
	}
	u, err := w.auth.endOIDC(rw, r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusUnauthorized)
		return
	}
	w.auth.set(rw, cookieName, w.auth.seal("session", u), sessionLife)
	http.Redirect(rw, r, "/", http.StatusSeeOther)
}
