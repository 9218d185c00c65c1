// Package access decides who may see the page and press its buttons. On the loopback
// address whoever stands at the machine may; on a network a PIN is asked for. It keeps
// out foreign pages (DNS rebinding, cross-site requests, frames) whatever the address.
//
// A visitor goes through these states:
//
//	stranger --right PIN--> reader or actor --12 h, or "leave"--> stranger
//	stranger --three wrong PINs--> locked (1 min, doubling to 1 h) --> stranger
package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of the door.
const (
	sessionLife = 12 * time.Hour // a day's work at most
	maxSessions = 16             // the oldest goes
	triesFree   = 3              // wrong PINs before the first lock
	lockFirst   = time.Minute
	lockMost    = time.Hour
	lockForget  = 24 * time.Hour // after so long without a wrong PIN the count begins anew
	maxPIN      = 256            // bytes of a request that brings one
)

const (
	cookieName = "cw"
	tokenName  = "X-Cellwarden-Token" // must come with everything that changes something
)

// Door is one listener's. Now and Pins are required.
type Door struct {
	Names []string                // host names under which the page may be opened, besides localhost
	Now   func() time.Time        // any clock that moves on
	Pins  func() (Pins, error)    // read at each try, so that a new PIN counts at once
	Tell  func(event, who string) // of locks and logins, for the log; may be nil

	mu       sync.Mutex
	sessions []session // the oldest first
	wrong    int
	wrongAt  time.Time
	locked   time.Time // until
}

type session struct {
	id, token string
	role      Role
	until     time.Time
}

// Headers sets what every answer has, the page's policy aside.
func Headers(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY") // old Android browsers
}

// Host reports whether the page may be opened under the name that the request has:
// localhost, a configured name, or the very address that it came in on. Any other name
// could have been pointed here by a foreign page.
func (d *Door) Host(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(strings.TrimSuffix(host, "."), "[]"))
	if host == "localhost" || slices.ContainsFunc(d.Names, func(n string) bool { return strings.EqualFold(n, host) }) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("")
}

// atMachine reports whether the request comes from this machine itself.
func atMachine(r *http.Request) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// foreign reports whether a request was caused by a page of somebody else's.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// Who says what the sender of a request may do.
func (d *Door) Who(r *http.Request) Role {
	role, _ := d.look(r)
	if role == Nobody && atMachine(r) {
		return Actor
	}
	return role
}

func (d *Door) look(r *http.Request) (Role, string) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return Nobody, ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Now()
	for _, s := range d.sessions {
		if subtle.ConstantTimeCompare([]byte(s.id), []byte(c.Value)) == 1 && now.Before(s.until) {
			return s.role, s.token
		}
	}
	return Nobody, ""
}

// May reports whether the request may do what needs a role, and answers it where not.
// What changes something (any method but GET and HEAD) needs the token that Token gave.
func (d *Door) May(w http.ResponseWriter, r *http.Request, need Role) bool {
	if !d.Host(r) {
		http.Error(w, "open this page by the machine's IP address, localhost, or a name of api.names", http.StatusMisdirectedRequest)
		return false
	}
	if d.Who(r) < need {
		http.Error(w, "a PIN is needed", http.StatusUnauthorized)
		return false
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	_, token := d.look(r)
	if foreign(r) || token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(r.Header.Get(tokenName))) != 1 {
		http.Error(w, "this came from another page: open the page again", http.StatusForbidden)
		return false
	}
	return true
}

// Token gives the visitor's token, and somebody at the machine a session for it.
func (d *Door) Token(w http.ResponseWriter, r *http.Request) string {
	if _, token := d.look(r); token != "" {
		return token
	}
	if !atMachine(r) || foreign(r) {
		return ""
	}
	return d.enter(w, r, Actor)
}

func (d *Door) enter(w http.ResponseWriter, r *http.Request, role Role) string {
	s := session{secret(), secret(), role, d.Now().Add(sessionLife)}
	d.mu.Lock()
	d.sessions = append(d.sessions, s)
	d.sessions = d.sessions[max(0, len(d.sessions)-maxSessions):]
	d.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.id, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil, MaxAge: int(sessionLife / time.Second)})
	return s.token
}

func secret() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}

// Login is POST with the PIN as its body. It answers the token.
func (d *Door) Login(w http.ResponseWriter, r *http.Request) {
	if !d.Host(r) || foreign(r) {
		http.Error(w, "this came from another page", http.StatusForbidden)
		return
	}
	body := make([]byte, maxPIN)
	n, _ := r.Body.Read(body) // a PIN comes in one piece; what is cut fits none
	role, wait, err := d.try(strings.TrimSpace(string(body[:n])))
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		http.Error(w, "locked after wrong PINs", http.StatusTooManyRequests)
	case role == Nobody:
		http.Error(w, "wrong PIN", http.StatusUnauthorized)
	default:
		d.tell("login", r.RemoteAddr)
		token := d.enter(w, r, role)
		w.Write([]byte(token)) // an error here means that the browser has gone
	}
}

// try compares a PIN, one at a time for the whole device: a guesser with many
// addresses gains nothing.
func (d *Door) try(pin string) (Role, time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Now()
	if wait := d.locked.Sub(now); wait > 0 {
		return Nobody, wait, nil
	}
	pins, err := d.Pins()
	if err != nil {
		return Nobody, 0, err
	}
	if now.Sub(d.wrongAt) >= lockForget {
		d.wrong = 0
	}
	role := pins.Role(pin)
	if role != Nobody {
		d.wrong = 0
		return role, 0, nil
	}
	d.wrong++
	d.wrongAt = now
	if over := d.wrong - triesFree; over >= 0 {
		d.locked = now.Add(min(lockFirst<<min(over, 10), lockMost))
		d.tell("locked", "")
	}
	return Nobody, 0, nil
}

func (d *Door) tell(event, who string) {
	if d.Tell != nil {
		d.Tell(event, who)
	}
}

// Leave ends the visitor's session.
func (d *Door) Leave(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		d.mu.Lock()
		d.sessions = slices.DeleteFunc(d.sessions, func(s session) bool { return s.id == c.Value })
		d.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1})
}
