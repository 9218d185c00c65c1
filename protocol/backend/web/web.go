package web

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cellwarden/protocol/backend/store"
)

//go:embed static/*
var static embed.FS

//go:embed pages.html
var pagesHTML string

// Options of the page.
type Options struct {
	Tenant string // of those who log in by a proxy, and of an open page
	Login  Login
	Zone   *time.Location // of times on the page and of "today"; nil: +08:00
	Now    func() time.Time
	Log    *slog.Logger
}

// Server serves the page and its API.
type Server struct {
	s     *store.Store
	opt   Options
	auth  *auth
	pages *template.Template
}

// New makes a page over a store.
func New(s *store.Store, opt Options) (*Server, error) {
	if opt.Zone == nil {
		opt.Zone = time.FixedZone("+08:00", 8*3600)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	a, err := newAuth(opt.Login, opt.Tenant)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	w := &Server{s: s, opt: opt, auth: a}
	w.pages, err = template.New("pages").Funcs(w.funcs()).Parse(pagesHTML)
	return w, err
}

func (w *Server) funcs() template.FuncMap {
	at := func(v int64) time.Time { return time.UnixMilli(v).In(w.opt.Zone) }
	return template.FuncMap{
		"age":   func(l tongue, v int64) string { return l.age(w.opt.Now().Sub(at(v))) },
		"when":  func(v int64) string { return at(v).Format("01-02 15:04") },
		"iso":   func(v int64) string { return at(v).Format(time.RFC3339) },
		"money": money, "bytes": bytesText,
		"pct":   func(p float64) int { return int(p*100 + 0.5) },
		"path":  url.PathEscape,
		"deref": func(v *float64) float64 { return *v },
		"curve": func(name string, p *plotted) map[string]any { return map[string]any{"Name": name, "P": p} },
		"size": func(v *int64) string {
			if v == nil {
				return "?"
			}
			return bytesText(*v)
		},
		"check": func(l tongue, c string) string {
			if c == "visit" {
				c = "look"
			}
			return l.say(c)
		},
	}
}

// Register puts the pages on a mux.
func (w *Server) Register(mux *http.ServeMux) {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic("web: " + err.Error()) // the folder is embedded
	}
	mux.Handle("GET /static/", http.StripPrefix("/static/", cached(http.FileServerFS(files))))
	mux.HandleFunc("GET /{$}", w.page(Reader, w.overview))
	mux.HandleFunc("GET /group", w.page(Reader, w.group))
	mux.HandleFunc("GET /device/{dev}", w.page(Reader, w.device))
	mux.HandleFunc("GET /find", w.page(Reader, w.find))
	mux.HandleFunc("GET /audit", w.page(Admin, w.audit))
	mux.HandleFunc("POST /alert/{id}/{do}", w.page(Act, w.act))
	mux.HandleFunc("POST /device/{dev}/note", w.page(Act, w.note))
	mux.HandleFunc("GET /export/{what}", w.page(Reader, w.export))
	mux.HandleFunc("GET /api/v1/overview", w.page(Reader, w.apiOverview))
	mux.HandleFunc("GET /api/v1/standing", w.page(Reader, w.apiStanding))
	mux.HandleFunc("GET /api/v1/silences", w.page(Reader, w.apiSilences))
	mux.HandleFunc("GET /api/v1/sims", w.page(Reader, w.apiSims))
	mux.HandleFunc("GET /api/openapi.json", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(openAPI) // the reader may have left
	})
	mux.HandleFunc("GET /login", w.loginPage)
	mux.HandleFunc("POST /login", w.login)
	mux.HandleFunc("POST /logout", w.logout)
	mux.HandleFunc("GET /login/oidc", w.beginOIDC)
	mux.HandleFunc("GET /login/oidc/back", w.endOIDC)
}

//go:embed openapi.json
var openAPI []byte

func cached(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		h.ServeHTTP(w, r)
	})
}

// webError is an answer with a status.
type webError struct {
	status int
	text   string
}

func (e webError) Error() string { return e.text }

// page asks who it is, refuses what may not be, and says what went wrong.
func (w *Server) page(role string, do func(rw http.ResponseWriter, r *http.Request, u User) error) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		u := w.auth.who(r, w.opt.Now())
		api := strings.HasPrefix(r.URL.Path, "/api/")
		switch {
		case u.Name == "" && !api && r.Method == http.MethodGet:
			http.Redirect(rw, r, "/login?to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		case u.Name == "":
			http.Error(rw, "not logged in", http.StatusUnauthorized)
			return
		case !u.may(role):
			http.Error(rw, "your role does not allow this", http.StatusForbidden)
			return
		case r.Method != http.MethodGet && !ours(r):
			http.Error(rw, "this comes from another site", http.StatusForbidden)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), userKey{}, u), 10*time.Second)
		defer cancel()
		err := do(rw, r.WithContext(ctx), u)
		var we webError
		switch {
		case errors.As(err, &we):
			http.Error(rw, we.text, we.status)
		case err != nil && ctx.Err() == nil:
			w.opt.Log.Warn("page", "path", r.URL.Path, "error", err.Error())
			http.Error(rw, "the database does not answer; try again", http.StatusServiceUnavailable)
		}
	}
}

// lang is the reader's: of the query, kept in a cookie, else what the browser prefers.
func (w *Server) lang(rw http.ResponseWriter, r *http.Request) tongue {
	if q := r.FormValue("lang"); q == "zh" || q == "en" {
		http.SetCookie(rw, &http.Cookie{Name: "cw_lang", Value: q, Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode})
		return langOf(q)
	}
	if c, err := r.Cookie("cw_lang"); err == nil {
		return langOf(c.Value)
	}
	return langOf(r.Header.Get("Accept-Language"))
}

// view is what every page gets.
type view struct {
	L     tongue
	Other string
	U     User
	Now   int64
	CanDo bool
	Data  any
}

// S says a word of the page.
func (v view) S(key string, args ...any) string { return v.L.say(key, args...) }

// Class is a cause in words.
func (v view) Class(class, act string) string { return v.L.class(class, act) }

// What is what to do, in words.
func (v view) What(class, act string) string { return v.L.what(class, act) }

// State is a card's state or reason in words.
func (v view) State(s string) string { return v.L.state(s) }

// Count is a number of machines.
func (v view) Count(n int) string { return v.L.count(n) }

func (w *Server) show(rw http.ResponseWriter, r *http.Request, name string, u User, data any) error {
	l := w.lang(rw, r)
	other := "zh"
	if l == "zh" {
		other = "en"
	}
	var b bytes.Buffer
	if err := w.pages.ExecuteTemplate(&b, name, view{l, other, u, w.opt.Now().UnixMilli(), u.may(Act), data}); err != nil {
		return err
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := b.WriteTo(rw)
	return err
}

// part is one heading of the overview with its groups.
type part struct {
	Do    string
	N     int
	Sales float64
	Lines []Group
	More  int
}

func (w *Server) overview(rw http.ResponseWriter, r *http.Request, u User) error {
	o, err := Read(r.Context(), w.s, u.Tenant, w.opt.Now().In(w.opt.Zone))
	if err != nil {
		return err
	}
	var parts []part
	for _, g := range o.Groups {
		if len(parts) == 0 || parts[len(parts)-1].Do != g.Do {
			parts = append(parts, part{Do: g.Do})
		}
		p := &parts[len(parts)-1]
		p.N += g.N
		p.Sales += g.AtStake
		if len(p.Lines) < shownLines {
			p.Lines = append(p.Lines, g)
		} else {
			p.More++
		}
	}
	return w.show(rw, r, "overview", u, struct {
		Overview
		Parts []part
	}{o, parts})
}

// maxMembers is how many devices of a group one page shows; the CSV has all.
const maxMembers = 200

func (w *Server) group(rw http.ResponseWriter, r *http.Request, u User) error {
	list, err := standing(r.Context(), w.s, u.Tenant, w.opt.Now().In(w.opt.Zone))
	if err != nil {
		return err
	}
	for _, g := range groups(list) {
		if g.Do == r.FormValue("do") && g.Class == r.FormValue("class") && g.Act == r.FormValue("act") && g.Of == r.FormValue("of") &&
			g.Resumes == r.FormValue("resumes") {
			more := max(len(g.Members)-maxMembers, 0)
			g.Members = g.Members[:len(g.Members)-more]
			return w.show(rw, r, "group", u, struct {
				Group
				More int
			}{g, more})
		}
	}
	http.Redirect(rw, r, "/", http.StatusSeeOther) // it has ended meanwhile
	return nil
}

func (w *Server) find(rw http.ResponseWriter, r *http.Request, u User) error {
	q := strings.TrimSpace(r.FormValue("q"))
	var dev string
	err := w.s.QueryRow(r.Context(), "SELECT dev FROM device WHERE tenant = ? AND dev >= ? ORDER BY dev LIMIT 1", u.Tenant, q).Scan(&dev)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !strings.HasPrefix(dev, q) || q == "" {
		return webError{http.StatusNotFound, "no device begins with this"}
	}
	if err != nil {
		return err
	}
	http.Redirect(rw, r, "/device/"+url.PathEscape(dev), http.StatusSeeOther)
	return nil
}

// muteFor is how long the page's one button mutes.
const muteFor = 24 * time.Hour

func (w *Server) act(rw http.ResponseWriter, r *http.Request, u User) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return webError{http.StatusBadRequest, "alert: want a number"}
	}
	err = w.s.Tx(r.Context(), func(tx *store.Tx) error {
		var tenant string
		if err := tx.QueryRow(r.Context(), "SELECT tenant FROM alert WHERE id = ?", id).Scan(&tenant); err != nil || tenant != u.Tenant {
			if err == nil || errors.Is(err, sql.ErrNoRows) {
				return webError{http.StatusNotFound, "no such alert"}
			}
			return err
		}
		switch r.PathValue("do") {
		case "ack":
			if _, err := tx.Ack(r.Context(), id, u.Name); err != nil {
				return err
			}
			return tx.Audit(r.Context(), u.Name, fmt.Sprintf("took on alert %d", id))
		case "mute":
			return tx.Mute(r.Context(), id, tx.Now()+muteFor.Milliseconds(), u.Name)
		case "assign":
			whom := strings.TrimSpace(r.FormValue("whom"))
			if whom == "" || len(whom) > 100 {
				return webError{http.StatusBadRequest, "whom: want a name"}
			}
			_, err := tx.Exec(r.Context(), `INSERT INTO assignment (alert, whom, at, who) VALUES (?, ?, ?, ?)
				ON CONFLICT (alert) DO UPDATE SET whom = excluded.whom, at = excluded.at, who = excluded.who`, id, whom, tx.Now(), u.Name)
			if err != nil {
				return err
			}
			return tx.Audit(r.Context(), u.Name, fmt.Sprintf("assigned alert %d to %s", id, whom))
		}
		return webError{http.StatusNotFound, "want ack, mute or assign"}
	})
	if err != nil {
		return err
	}
	return goBack(rw, r)
}

// goBack leads to where the form stands: a path of ours, and nothing else.
func goBack(rw http.ResponseWriter, r *http.Request) error {
	http.Redirect(rw, r, local(r.FormValue("to")), http.StatusSeeOther)
	return nil
}

// local is a path of this site.
func local(to string) string {
	if u, err := url.Parse(to); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to,
		"//") || strings.Contains(to, "\\") {
		return "/"
	}
	return to
}

func (w *Server) note(rw http.ResponseWriter, r *http.Request, u User) error {
	text := strings.TrimSpace(r.FormValue("text"))
	if text == "" || len(text) > 1000 {
		return webError{http.StatusBadRequest, "text: want 1 to 1000 bytes"}
	}
	err := w.s.Tx(r.Context(), func(tx *store.Tx) error {
		var id int64
		err := tx.QueryRow(r.Context(), "SELECT id FROM device WHERE tenant = ? AND dev = ?", u.Tenant, r.PathValue("dev")).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return webError{http.StatusNotFound, "no such device"}
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(r.Context(), "INSERT INTO note (device, at, who, what) VALUES (?, ?, ?, ?)", id, tx.Now(), u.Name,
			strings.ReplaceAll(text, "\x00", "")); err != nil {
			return err
		}
		return tx.Audit(r.Context(), u.Name, "noted on "+r.PathValue("dev"))
	})
	if err != nil {
		return err
	}
	return goBack(rw, r)
}

func (w *Server) audit(rw http.ResponseWriter, r *http.Request, u User) error {
	type line struct {
		At        int64
		Who, What string
	}
	var list []line
	err := each(r.Context(), w.s, "SELECT at, who, what FROM audit ORDER BY at DESC LIMIT 200", func(rows *sql.Rows) error {
		var x line
		err := rows.Scan(&x.At, &x.Who, &x.What)
		list = append(list, x)
		return err
	})
	if err != nil {
		return err
	}
	return w.show(rw, r, "audit", u, list)
}

func asJSON(rw http.ResponseWriter, v any) error {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	return json.NewEncoder(rw).Encode(v)
}

func (w *Server) apiOverview(rw http.ResponseWriter, r *http.Request, u User) error {
	o, err := Read(r.Context(), w.s, u.Tenant, w.opt.Now().In(w.opt.Zone))
	if err != nil {
		return err
	}
	return asJSON(rw, o)
}

func (w *Server) apiStanding(rw http.ResponseWriter, r *http.Request, u User) error {
	list, err := standing(r.Context(), w.s, u.Tenant, w.opt.Now().In(w.opt.Zone))
	if err != nil {
		return err
	}
	return asJSON(rw, list)
}

// export writes a list as CSV. A cell that a spreadsheet would take for a formula gets a
// quote in front.
func (w *Server) export(rw http.ResponseWriter, r *http.Request, u User) error {
	name, isCSV := strings.CutSuffix(r.PathValue("what"), ".csv")
	var rows [][]string
	var err error
	switch {
	case name == "standing" && isCSV:
		var list []Standing
		list, err = standing(r.Context(), w.s, u.Tenant, w.opt.Now().In(w.opt.Zone))
		rows = append(rows, []string{"alert", "device", "site", "class", "verdict", "who", "do", "since", "sales_per_h", "acked_by",
			"assigned", "pool"})
		for _, x := range list {
			rows = append(rows, []string{strconv.FormatInt(x.Alert, 10), x.Device, x.Site, x.Class, x.Verdict, x.Who, x.do(),
				w.stamp(x.Opened), money(x.Sales), x.Acked, x.Assigned, x.Pool})
		}
	case name == "silences" && isCSV:
		var list []Silent
		list, err = w.silences(r.Context(), u.Tenant, 0, 10_000)
		rows = append(rows, []string{"device", "since", "closed", "said", "p", "decide", "truth", "truth_by"})
		for _, x := range list {
			rows = append(rows, []string{x.Device, w.stamp(x.Since), w.stamp(x.Closed), x.Said, fmt.Sprintf("%.2f", x.P), x.Check, x.Truth,
				x.By})
		}
	case name == "sims" && isCSV:
		var list []SIM
		list, err = w.sims(r.Context(), u.Tenant, "", 100_000)
		rows = append(rows, []string{"device", "account", "state", "reason", "raw", "pool", "used", "plan", "as_of"})
		for _, x := range list {
			rows = append(rows, []string{x.Device, x.Account, x.State, x.Reason, x.Raw, x.Pool, number(x.Used), number(x.Plan),
				w.stamp(x.AsOf)})
		}
	default:
		return webError{http.StatusNotFound, "want standing.csv, silences.csv or sims.csv"}
	}
	if err != nil {
		return err
	}
	rw.Header().Set("Content-Type", "text/csv; charset=utf-8")
	rw.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	_, _ = rw.Write([]byte("\xef\xbb\xbf")) // so that a spreadsheet reads Chinese
	out := csv.NewWriter(rw)
	for _, row := range rows {
		for i, c := range row {
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				row[i] = "'" + c
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (w *Server) stamp(v int64) string {
	if v == 0 {
		return ""
	}
	return time.UnixMilli(v).In(w.opt.Zone).Format(time.RFC3339)
}

func number(v *int64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatInt(*v, 10)
}
