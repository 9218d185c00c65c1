package uplink

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"cellwarden/agent/flash"
)

// TLS says how an ssl:// broker is verified and what we show it. Files are read
// anew for each connection, so that a renewed certificate needs no restart.
type TLS struct {
	CAFile     string   // PEM; "": the system's authorities
	CertFile   string   // PEM, our own certificate and its chain
	KeyFile    string   // PEM
	KeyHandle  uint32   // instead of KeyFile: an ECDSA P-256 key that a TPM 2.0 keeps under this handle
	ServerName string   // default: the host of the address
	Pins       []string // SHA-256 of a public key (SPKI) in the verified chain, base64; any one suffices
	AllowTLS12 bool     // for brokers without TLS 1.3; costs one more round trip
	// SessionFile keeps the session tickets over a restart, mode 0600: it makes
	// the first handshake 1 to 2 KB cheaper. "": in memory only.
	SessionFile string
	// OpenTPM opens the TPM that has KeyHandle; nil: the board's own.
	OpenTPM func() (io.ReadWriteCloser, error)
}

// maxPEM bounds a certificate file: the largest bundle of all public
// authorities has 250 KB.
const maxPEM = 1 << 20

// expiryWarning: half a certificate of 60 days; time for a visit to the site.
const expiryWarning = 30 * 24 * time.Hour

func (t TLS) check() error {
	if (t.CertFile == "") != (t.KeyFile == "" && t.KeyHandle == 0) {
		return errors.New("uplink: a client certificate needs both its file and the file of its key")
	}
	for _, p := range t.Pins {
		if raw, err := base64.StdEncoding.DecodeString(p); err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("uplink: pin %q: want base64 of a SHA-256 (44 characters)", p)
		}
	}
	return nil
}

// tlsConfig reads the files and builds the config for one connection to b.
func (u *Uplink) tlsConfig(b broker) (*tls.Config, error) {
	t := u.opt.TLS
	cfg := &tls.Config{
		ServerName: t.ServerName,
		MinVersion: tls.VersionTLS13,
		// One small key share: the hybrid post-quantum one adds 1.2 KB each way.
		CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256},
		ClientSessionCache: u.cache,
		Time:               u.certTime,
	}
	if cfg.ServerName == "" {
		cfg.ServerName = b.host
	}
	if t.AllowTLS12 {
		cfg.MinVersion = tls.VersionTLS12
	}
	identity := sha256.New()
	if t.CAFile != "" {
		pem, err := readPEM(t.CAFile)
		if err != nil {
			return nil, &stageError{WhyBadCert, fmt.Errorf("authorities: %w", err)}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &stageError{WhyBadCert, fmt.Errorf("authorities: no certificate in %s", t.CAFile)}
		}
		identity.Write(pem)
	}
	own, err := t.ownCert()
	if err != nil {
		return nil, &stageError{WhyOwnCert, err}
	}
	if own != nil {
		cfg.Certificates = []tls.Certificate{*own}
		for _, der := range own.Certificate {
			identity.Write(der)
		}
		u.warnExpiry(own)
	}
	if len(t.Pins) > 0 {
		cfg.VerifyConnection = func(cs tls.ConnectionState) error { return checkPins(cs, t.Pins) }
	}
	// A ticket stands for who we were when we got it: not for another
	// certificate, nor for other authorities.
	u.cache.use(hex.EncodeToString(identity.Sum(nil)))
	return cfg, nil
}

// certTime is the time by which certificates are judged. A board that has lost
// its clock and heard nothing yet is certainly not earlier than the last date at
// which a broker's certificate began.
func (u *Uplink) certTime() time.Time {
	now := u.opt.Now()
	if !now.Trusted && now.Wall.Before(u.state.CertDate) {
		return u.state.CertDate
	}
	return now.Wall
}

// untimely finds the date that would make sense of a chain which failed by its
// dates alone while nobody vouches for our clock: when its youngest certificate
// began. Without a clock a validity period cannot be judged; authority, name and
// pin still are, by the attempt that is made with this date.
func (u *Uplink) untimely(err error) (time.Time, bool) {
	var failed *tls.CertificateVerificationError
	var invalid x509.CertificateInvalidError
	if u.opt.Now().Trusted || !errors.As(err, &failed) || !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return time.Time{}, false
	}
	var began time.Time
	for _, c := range failed.UnverifiedCertificates {
		if c.NotBefore.After(began) {
			began = c.NotBefore
		}
	}
	return began, true
}

// dated takes the date of a chain that was verified as a lower bound of the time.
func (u *Uplink) dated(cs tls.ConnectionState) {
	if len(cs.PeerCertificates) == 0 {
		return
	}
	began := cs.PeerCertificates[0].NotBefore
	if !u.opt.Now().Trusted {
		u.emit(NotBefore{Time: began, Until: cs.PeerCertificates[0].NotAfter})
	}
	if !began.Equal(u.state.CertDate) {
		u.state.CertDate = began
		u.changed()
	}
}

// ownCert loads our certificate; nil when there is none.
func (t TLS) ownCert() (*tls.Certificate, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	cert, err := readPEM(t.CertFile)
	if err != nil {
		return nil, err
	}
	if t.KeyHandle != 0 {
		return t.tpmCert(cert)
	}
	key, err := readPEM(t.KeyFile)
	if err != nil {
		return nil, err
	}
	return t.pair(cert, key)
}

// pair is a certificate chain with its key, both in PEM.
func (t TLS) pair(cert, key []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.CertFile, err)
	}
	return &pair, nil
}

func readPEM(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPEM {
		return nil, fmt.Errorf("%s has %d bytes; the limit is %d", name, info.Size(), maxPEM)
	}
	return os.ReadFile(name)
}

// errPin: the chain is good but none of its keys is one that the config names.
var errPin = errors.New("no key in the broker's certificate chain is one of the pinned ones")

// checkPins also runs on a resumed session, unlike VerifyPeerCertificate.
func checkPins(cs tls.ConnectionState, pins []string) error {
	for _, chain := range cs.VerifiedChains {
		for _, cert := range chain {
			sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
			for _, p := range pins {
				if base64.StdEncoding.EncodeToString(sum[:]) == p {
					return nil
				}
			}
		}
	}
	return errPin
}

// warnExpiry reports, daily, when our certificate ends soon. A clock that is
// not trusted says nothing.
func (u *Uplink) warnExpiry(own *tls.Certificate) {
	now := u.opt.Now()
	if !now.Trusted || len(own.Certificate) == 0 {
		return
	}
	leaf, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		return // the broker will say so
	}
	left := leaf.NotAfter.Sub(now.Wall)
	switch {
	case left >= expiryWarning && !u.warned.IsZero():
		u.warned = time.Time{}
		u.emit(CertRenewed{NotAfter: leaf.NotAfter})
	case left < expiryWarning && now.Wall.Sub(u.warned) >= 24*time.Hour:
		u.warned = now.Wall
		u.emit(CertExpiring{NotAfter: leaf.NotAfter, DaysLeft: int(left / (24 * time.Hour))})
	}
}

// checkExpiry is warnExpiry for a connection that lives for months.
func (u *Uplink) checkExpiry() {
	if own, err := u.opt.TLS.ownCert(); err == nil && own != nil {
		u.warnExpiry(own)
	}
}

// maxSessions: one ticket for each of a few brokers.
const maxSessions = 4

// maxSessionFile bounds what is read back: a ticket with its chain has 2 to 6 KB.
const maxSessionFile = 64 << 10

// sessionCache keeps TLS sessions in memory and, with a file, over a restart.
// crypto/tls calls Get and Put from its own places, hence the mutex.
type sessionCache struct {
	file string

	mu       sync.Mutex
	identity string
	sessions map[string]*tls.ClientSessionState
	dirty    bool
}

// savedSessions is the form of the file. It holds secrets.
type savedSessions struct {
	Identity string         `json:"identity"`
	Sessions []savedSession `json:"sessions"`
}

type savedSession struct {
	Key    string `json:"key"`
	Ticket []byte `json:"ticket"`
	State  []byte `json:"state"`
}

// newSessionCache reads the file, if there is a good one; anything else costs
// one full handshake and is not worth an error.
func newSessionCache(file string) *sessionCache {
	c := &sessionCache{file: file, sessions: map[string]*tls.ClientSessionState{}}
	if file == "" {
		return c
	}
	raw, err := flash.ReadFile(flash.OS{}, file)
	var saved savedSessions
	if err != nil || len(raw) > maxSessionFile || json.Unmarshal(raw, &saved) != nil || len(saved.Sessions) > maxSessions {
		return c
	}
	c.identity = saved.Identity
	for _, s := range saved.Sessions {
		state, err := tls.ParseSessionState(s.State)
		if err != nil {
			continue
		}
		if cs, err := tls.NewResumptionState(s.Ticket, state); err == nil {
			c.sessions[s.Key] = cs
		}
	}
	return c
}

// use drops the sessions of another identity.
func (c *sessionCache) use(identity string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.identity != identity {
		c.identity = identity
		clear(c.sessions)
	}
}

// Get implements tls.ClientSessionCache.
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sessions[key]
	return s, ok
}

// Put implements tls.ClientSessionCache.
func (c *sessionCache) Put(key string, s *tls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
	if s == nil {
		delete(c.sessions, key)
		return
	}
	if _, have := c.sessions[key]; !have && len(c.sessions) >= maxSessions {
		clear(c.sessions)
	}
	c.sessions[key] = s
}

// save writes the file when something changed. It is not synced: a lost file
// costs one full handshake, a sync costs flash each time.
func (c *sessionCache) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == "" || !c.dirty {
		return nil
	}
	c.dirty = false
	saved := savedSessions{Identity: c.identity}
	for key, s := range c.sessions {
		ticket, state, err := s.ResumptionState()
		if err != nil || state == nil {
			continue
		}
		raw, err := state.Bytes()
		if err != nil {
			continue
		}
		saved.Sessions = append(saved.Sessions, savedSession{Key: key, Ticket: ticket, State: raw})
	}
	var buf bytes.Buffer
	if err := json.NewEncoder(&buf).Encode(saved); err != nil {
		return fmt.Errorf("tls sessions: %w", err)
	}
	if err := flash.WriteVolatile(flash.OS{}, c.file, buf.Bytes()); err != nil {
		return fmt.Errorf("tls sessions: %w", err)
	}
	return nil
}
