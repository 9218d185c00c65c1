package web

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Roles, each with what is below it: read sees, act takes on, mutes, assigns and notes,
// admin sees the audit too.
const (
	Reader = "read"
	Act    = "act"
	Admin  = "admin"
	noRole = ""
)

var roles = map[string]int{noRole: 0, Reader: 1, Act: 2, Admin: 3}

// A User is who is logged in.
type User struct {
	Name   string `json:"n"`
	Role   string `json:"r"`
	Tenant string `json:"t"`
	Until  int64  `json:"u"`
}

func (u User) may(role string) bool { return roles[u.Role] >= roles[role] && u.Tenant != "" }

// Login says who may come in. The first way that fits decides.
type Login struct {
	// Open lets everybody in with this role: for a trial on a loopback address only.
	Open string
	// Users come of a password file (ReadUsers).
	Users []Account
	// A proxy that has logged in its users names them in a header; only requests from
	// Proxies are believed.
	ProxyHeader, ProxyRole string
	Proxies                []netip.Prefix
	// OIDC, where it is configured (NewOIDC).
	OIDC *OIDC
	// Key signs the cookies: 32 bytes, the same for all that serve; nil: drawn at start.
	Key []byte
	// Secure marks cookies for https only. Leave it off for a trial on http.
	Secure bool
}

// An Account is a line of the password file: name:role:tenant:hash. Hash is bcrypt, or
// sha256:HEX of a long random token for programs.
type Account struct{ Name, Role, Tenant, Hash string }

// ReadUsers reads a password file; empty lines and those with # are passed over.
func ReadUsers(r io.Reader) (list []Account, err error) {
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		p := strings.SplitN(line, ":", 4)
		if len(p) != 4 || p[0] == "" || p[2] == "" {
			return nil, fmt.Errorf("line %d: want name:role:tenant:hash", n)
		}
		if roles[p[1]] == 0 {
			return nil, fmt.Errorf("line %d: role %q: want read, act or admin", n, p[1])
		}
		token := strings.HasPrefix(p[3], "sha256:") && len(p[3]) == 7+64
		if _, err := bcrypt.Cost([]byte(p[3])); err != nil && !token {
			return nil, fmt.Errorf("line %d: the hash is neither bcrypt ($2y$...) nor sha256: and 64 digits", n)
		}
		list = append(list, Account{p[0], p[1], p[2], p[3]})
	}
	return list, in.Err()
}

// Timing of logins.
const (
	sessionLife = 12 * time.Hour // a day's work
	// maxFailed logins of one address within failedFor are answered; then it waits. Bcrypt
	// costs some 50 ms of a processor for each.
	maxFailed  = 10
	failedFor  = 5 * time.Minute
	maxAddress = 10_000
)

// dummy is compared with where no such user is, so that both take equally long.
var dummy, _ = bcrypt.GenerateFromPassword([]byte("no such user"), bcrypt.DefaultCost)

type auth struct {
	Login
	tenant string
	mu     sync.Mutex
	failed map[string]failure
}

type failure struct {
	n     int
	until time.Time
}

func newAuth(l Login, tenant string) (*auth, error) {
	if l.Open != "" && roles[l.Open] == 0 || l.ProxyRole != "" && roles[l.ProxyRole] == 0 {
		return nil, errors.New("role: want read, act or admin")
	}
	if l.Open == "" && len(l.Users) == 0 && l.ProxyHeader == "" && l.OIDC == nil {
		return nil, errors.New("nobody could log in: name a password file, a proxy's header or an OIDC issuer")
	}
	if l.ProxyHeader != "" && len(l.Proxies) == 0 {
		return nil, errors.New("a proxy's header needs the addresses that are believed")
	}
	if len(l.Key) == 0 {
		l.Key = make([]byte, 32)
		_, _ = rand.Read(l.Key) // it never fails (crypto/rand)
	}
	if len(l.Key) < 32 {
		return nil, errors.New("the cookie key wants 32 bytes")
	}
	return &auth{Login: l, tenant: tenant, failed: map[string]failure{}}, nil
}

// seal signs a value with what it is for, so that one cookie is never taken for another.
func (a *auth) seal(purpose string, v any) string {
	raw, _ := json.Marshal(v) // our own types always render
	body := base64.RawURLEncoding.EncodeToString(raw)
	return body + "." + base64.RawURLEncoding.EncodeToString(a.mac(purpose, body))
}

func (a *auth) mac(purpose, body string) []byte {
	h := hmac.New(sha256.New, a.Key)
	h.Write([]byte(purpose + "\x00" + body))
	return h.Sum(nil)
}

func (a *auth) unseal(purpose, text string, v any) bool {
	body, sig, ok := strings.Cut(text, ".")
	got, err := base64.RawURLEncoding.DecodeString(sig)
	if !ok || err != nil || !hmac.Equal(got, a.mac(purpose, body)) {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	return err == nil && json.Unmarshal(raw, v) == nil
}

const cookieName = "cw_session"

// who is the user of a request; the zero User when nobody is logged in.
func (a *auth) who(r *http.Request, now time.Time) User {
	if c, err := r.Cookie(cookieName); err == nil {
		var u User
		if a.unseal("session", c.Value, &u) && u.Until > now.Unix() {
			return u
		}
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		sum := sha256.Sum256([]byte(token))
		for _, x := range a.Users {
			if subtle.ConstantTimeCompare([]byte(x.Hash), []byte("sha256:"+hex.EncodeToString(sum[:]))) == 1 {
				return User{Name: x.Name, Role: x.Role, Tenant: x.Tenant}
			}
		}
	}
	if name := r.Header.Get(a.ProxyHeader); a.ProxyHeader != "" && name != "" {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		if ip, err := netip.ParseAddr(host); err == nil {
			for _, p := range a.Proxies {
				if p.Contains(ip.Unmap()) {
					return User{Name: name, Role: a.ProxyRole, Tenant: a.tenant}
				}
			}
		}
	}
	if a.Open != "" {
		return User{Name: "open", Role: a.Open, Tenant: a.tenant}
	}
	return User{}
}

// password checks a login, and slows an address down that guesses.
func (a *auth) password(r *http.Request, name, password string, now time.Time) (User, bool) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	a.mu.Lock()
	f := a.failed[host]
	if now.After(f.until) {
		f = failure{}
	}
	if f.n >= maxFailed {
		a.mu.Unlock()
		return User{}, false
	}
	if len(a.failed) > maxAddress {
		clear(a.failed)
	}
	a.failed[host] = failure{f.n + 1, now.Add(failedFor)}
	a.mu.Unlock()
	hash, found := dummy, Account{}
	for _, x := range a.Users {
		if x.Name == name && !strings.HasPrefix(x.Hash, "sha256:") {
			hash, found = []byte(x.Hash), x
		}
	}
	if len(password) > 72 || bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || found.Name == "" {
		return User{}, false
	}
	a.mu.Lock()
	delete(a.failed, host)
	a.mu.Unlock()
	return User{Name: found.Name, Role: found.Role, Tenant: found.Tenant, Until: now.Add(sessionLife).Unix()}, true
}

func (a *auth) set(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: a.Secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())})
}

// ours reports whether a posting comes from our own page.
func ours(r *http.Request) bool {
	if from := r.Header.Get("Sec-Fetch-Site"); from != "" {
		return from == "same-origin" || from == "none"
	}
	if o := r.Header.Get("Origin"); o != "" {
		_, host, _ := strings.Cut(o, "://")
		return host == r.Host
	}
	return r.Header.Get("Authorization") != "" // a program; it has no cookie to misuse
}

type userKey struct{}

func userOf(ctx context.Context) User {
	u, _ := ctx.Value(userKey{}).(User)
	return u
}
