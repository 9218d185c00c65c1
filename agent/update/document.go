package update

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"cellwarden/protocol"
)

// Bounds of a document: a manifest with five deltas and a change of two roots has
// about 4 KB.
const (
	MaxDocument = 32 << 10
	maxRoots    = 8  // changes of keys in one document: a board that lay a year in a store
	maxKeys     = 16 // of a root
	maxForms    = 16 // of a manifest
	// MaxBinary is the largest binary: twice the limit of scripts/build.sh.
	MaxBinary = 24_000_000
	// format is the version of both payloads.
	format = 1
)

// head opens the signed bytes, so that a signature made for another purpose with
// the same key never fits.
const head = "cellwarden-update\n"

// Document is a payload with its signatures. Signed holds the payload's exact
// bytes: what is signed is head and these, so that nobody has to write JSON the
// same way twice.
type Document struct {
	Signed []byte      `json:"signed"`
	Sigs   []Signature `json:"sigs"`
	// Roots are changes of keys that lead to the root which signed this, oldest
	// first. A device takes those that follow on its own.
	Roots []Document `json:"roots,omitempty"`
}

// Signature is one key's. Key is its id, see KeyID.
type Signature struct {
	Key string `json:"key"`
	Sig []byte `json:"sig"`
}

// Root says which keys count. It is signed by Threshold of its own keys and, where
// it follows on another, by that one's threshold of that one's keys too.
type Root struct {
	Type      string   `json:"type"` // "root"
	V         int      `json:"v"`
	Version   int      `json:"version"` // 1, 2, 3: each follows on the one before
	Expires   string   `json:"expires"` // RFC 3339
	Threshold int      `json:"threshold"`
	Keys      []string `json:"keys"` // Ed25519, base64
}

// Manifest is one binary for one target.
type Manifest struct {
	Type    string `json:"type"` // "manifest"
	V       int    `json:"v"`
	Version string `json:"version"` // what `cellwarden version` prints: v1.2.3
	Target  string `json:"target"`  // a name of scripts/build.sh
	Expires string `json:"expires"` // RFC 3339
	Size    int64  `json:"size"`    // of the binary
	SHA256  string `json:"sha256"`  // of the binary, hex
	Forms   []Form `json:"forms"`
}

// Form is one way to download the binary: packed whole, or what differs from
// another one.
type Form struct {
	Kind   string `json:"kind"` // gzip, delta
	From   string `json:"from,omitempty"`
	Name   string `json:"name"` // a file beside the manifest
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// The kinds of forms.
const (
	Gzip      = "gzip"
	DeltaForm = "delta" // From is the SHA-256 of the binary that it changes
)

// KeyID names a key in signatures: the first eight hex digits of its SHA-256.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}

// Sign adds key's signature to d; one that it made before is replaced.
func (d *Document) Sign(key ed25519.PrivateKey) {
	id := KeyID(key.Public().(ed25519.PublicKey))
	d.Sigs = slices.DeleteFunc(d.Sigs, func(s Signature) bool { return s.Key == id })
	d.Sigs = append(d.Sigs, Signature{id, ed25519.Sign(key, d.message())})
}

func (d *Document) message() []byte { return append([]byte(head), d.Signed...) }

// Parse reads a document and judges nothing.
func Parse(data []byte) (Document, error) {
	var d Document
	if len(data) > MaxDocument {
		return d, protocol.Refuse(protocol.UpdateMalformed, "the document has more than %d bytes", MaxDocument)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return d, protocol.Refuse(protocol.UpdateMalformed, "the document: %v", err)
	}
	if len(d.Roots) > maxRoots || len(d.Sigs) > maxKeys {
		return d, protocol.Refuse(protocol.UpdateMalformed, "%d roots and %d signatures: at most %d and %d", len(d.Roots), len(d.Sigs), maxRoots, maxKeys)
	}
	return d, nil
}

// signedBy refuses a document that fewer than r.Threshold keys of r signed. Each
// key counts once, and a signature that names a key of r must be its own.
func (d *Document) signedBy(r Root) error {
	message := d.message()
	valid := map[string]bool{}
	for _, text := range r.Keys {
		key, err := protocol.ParsePublicKey(text)
		if err != nil {
			return protocol.Refuse(protocol.UpdateMalformed, "root %d: %v", r.Version, err)
		}
		id := KeyID(key)
		for _, s := range d.Sigs {
			if s.Key != id {
				continue
			}
			if !ed25519.Verify(key, message, s.Sig) {
				return protocol.Refuse(protocol.UpdateSignature, "the signature of key %s does not fit", id)
			}
			valid[text] = true
		}
	}
	if len(valid) < r.Threshold {
		return protocol.Refuse(protocol.UpdateFewKeys, "%d of the %d signatures that root %d wants", len(valid), r.Threshold, r.Version)
	}
	return nil
}

// payload unmarshals d's, after a look at what it says it is.
func (d *Document) payload(kind string, into any) error {
	var is struct {
		Type string `json:"type"`
		V    int    `json:"v"`
	}
	if err := json.Unmarshal(d.Signed, &is); err != nil || is.Type != kind {
		return protocol.Refuse(protocol.UpdateMalformed, "the payload is no %s", kind)
	}
	if is.V != format {
		return protocol.Refuse(protocol.UpdateTooNew, "the %s is of format %d, this agent reads %d", kind, is.V, format)
	}
	if err := json.Unmarshal(d.Signed, into); err != nil {
		return protocol.Refuse(protocol.UpdateMalformed, "the %s: %v", kind, err)
	}
	return nil
}

// OwnRoot reads a root that is trusted for where it lies: the file that the config
// names, or the one kept. Its own keys must have signed it.
func OwnRoot(data []byte) (Root, error) {
	d, err := Parse(data)
	if err != nil {
		return Root{}, err
	}
	return d.root()
}

// root reads d as a root that its own keys signed.
func (d *Document) root() (Root, error) {
	var r Root
	if err := d.payload("root", &r); err != nil {
		return r, err
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(r.Keys)))
	if r.Version < 1 || r.Threshold < 1 || len(distinct) != len(r.Keys) || r.Threshold > len(r.Keys) || len(r.Keys) > maxKeys {
		return r, protocol.Refuse(protocol.UpdateMalformed, "root %d: threshold %d of %d keys", r.Version, r.Threshold, len(distinct))
	}
	for _, text := range r.Keys {
		// Base64 writes the same 32 bytes in four ways (two bits are spare): only one
		// of them counts, or one key would sign for four.
		if key, err := protocol.ParsePublicKey(text); err != nil || PublicKey(key) != text {
			return r, protocol.Refuse(protocol.UpdateMalformed, "root %d: a key is not the base64 of 32 bytes as it is written", r.Version)
		}
	}
	if _, err := time.Parse(time.RFC3339, r.Expires); err != nil {
		return r, protocol.Refuse(protocol.UpdateMalformed, "root %d: expires %.32q is no time", r.Version, r.Expires)
	}
	return r, d.signedBy(r)
}

// Device is what a manifest is judged against.
type Device struct {
	Root   Root
	Target string
	Floor  string // the newest version that ever was confirmed here, or runs
	Runs   string // the version that runs
	Tried  string // the version that was taken back last, "" for none
	Again  bool   // it may be tried again, also where it once was confirmed
	// Now is the time; where it is not trusted an expiry is judged by Past alone, since
	// a board that lost its clock may be the one that waits for the repair.
	Now     time.Time
	Trusted bool
	// Past is the latest moment that is surely over, whatever the clock shows: when a
	// clock was last trusted here, or Made. Zero: Made.
	Past time.Time
}

// Made is before any release of this program: what expired by then is refused by any
// clock.
var Made = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// past is the later of Past and Made.
func (dev Device) past() time.Time {
	if dev.Past.After(Made) {
		return dev.Past
	}
	return Made
}

// Judge reads a manifest, following the changes of keys that lead to it. Root is
// the one that then counts and NewRoot the document to keep as such, nil where
// none was newer: they are right even when the manifest is refused.
func Judge(data []byte, dev Device) (m Manifest, newRoot []byte, err error) {
	d, err := Parse(data)
	if err != nil {
		return m, nil, err
	}
	root := dev.Root
	for i := range d.Roots {
		next := &d.Roots[i]
		r, err := next.root()
		if err != nil {
			return m, newRoot, err
		}
		if r.Version <= root.Version {
			continue
		}
		if r.Version != root.Version+1 {
			return m, newRoot, protocol.Refuse(protocol.UpdateRoot, "root %d does not follow on root %d", r.Version, root.Version)
		}
		if err := next.signedBy(root); err != nil {
			return m, newRoot, protocol.Refuse(protocol.UpdateRoot, "root %d is not signed by the keys of root %d: %v", r.Version, root.Version, err)
		}
		root = r
		if newRoot, err = json.Marshal(Document{Signed: next.Signed, Sigs: next.Sigs}); err != nil {
			return m, nil, err
		}
	}
	if err := dev.current("root", root.Expires); err != nil {
		return m, newRoot, err
	}
	if err := d.signedBy(root); err != nil {
		return m, newRoot, err
	}
	if err := d.payload("manifest", &m); err != nil {
		return m, newRoot, err
	}
	return m, newRoot, dev.check(m)
}

func (dev Device) current(what, expires string) error {
	t, err := time.Parse(time.RFC3339, expires)
	if err != nil {
		return protocol.Refuse(protocol.UpdateMalformed, "the %s: expires %.32q is no time", what, expires)
	}
	if dev.Trusted && !t.After(dev.Now) {
		return protocol.Refuse(protocol.UpdateExpired, "the %s ended on %s", what, expires)
	}
	if past := dev.past(); !dev.Trusted && !t.After(past) {
		return protocol.Refuse(protocol.UpdateExpired, "the %s ended on %s, and it was later than that already on %s, though no clock is trusted now",
			what, expires, past.UTC().Format(time.DateOnly))
	}
	return nil
}

// check judges a manifest whose signatures are right.
func (dev Device) check(m Manifest) error {
	if err := m.form(); err != nil {
		return err
	}
	if err := dev.current("manifest", m.Expires); err != nil {
		return err
	}
	if m.Target != dev.Target {
		if higher(m.Target, dev.Target) {
			return protocol.Refuse(protocol.UpdateCPU, "it is for %s, this board has %s: it would die of an illegal instruction", m.Target, dev.Target)
		}
		return protocol.Refuse(protocol.UpdateTarget, "it is for %s, this board is %s", m.Target, dev.Target)
	}
	again := dev.Again && m.Version == dev.Tried
	if !Newer(m.Version, dev.Floor) && !(again && m.Version == dev.Floor && Newer(m.Version, dev.Runs)) {
		return protocol.Refuse(protocol.UpdateVersion, "%s is not newer than %s, which ran here", m.Version, dev.Floor)
	}
	if m.Version == dev.Tried && !again {
		return protocol.Refuse(protocol.UpdateTried, "%s was taken back here", m.Version)
	}
	return nil
}

// form refuses what no signing tool writes.
func (m Manifest) form() error {
	bad := func(what string) error { return protocol.Refuse(protocol.UpdateMalformed, "the manifest: %s", what) }
	if _, ok := parseVersion(m.Version); !ok {
		return bad("version wants v1.2.3 or v1.2.3-4-gabcdef")
	}
	if !sized(m.Size, m.SHA256) {
		return bad("size or sha256 of the binary")
	}
	if len(m.Forms) == 0 || len(m.Forms) > maxForms {
		return bad("number of forms")
	}
	for _, f := range m.Forms {
		if !sized(f.Size, f.SHA256) || !fileName(f.Name) {
			return bad("a form's size, sha256 or name")
		}
	}
	return nil
}

func sized(n int64, sum string) bool {
	raw, err := hex.DecodeString(sum)
	return err == nil && len(raw) == sha256.Size && n > 0 && n <= MaxBinary
}

// fileName holds a form's name to one path segment that needs no escaping.
func fileName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return s != "" && len(s) <= 128 && s[0] != '.' && strings.Trim(s, letters) == ""
}

// higher reports whether target a is the same kind of CPU as b at a higher level:
// armv7 above armv5.
func higher(a, b string) bool {
	const arm = "armv"
	return strings.HasPrefix(a, arm) && strings.HasPrefix(b, arm) && a > b
}

// Choose is the smallest form that this device can use: running is the SHA-256 of
// the binary at hand, and bad are the names of forms that came to nothing.
func (m Manifest) Choose(running string, bad []string) (Form, error) {
	var best Form
	for _, f := range m.Forms {
		fits := f.Kind == Gzip || f.Kind == DeltaForm && f.From == running
		if fits && !slices.Contains(bad, f.Name) && (best.Name == "" || f.Size < best.Size) {
			best = f
		}
	}
	if best.Name == "" {
		return best, protocol.Refuse(protocol.UpdateNoForm, "none of %d forms fits, %d came to nothing", len(m.Forms), len(bad))
	}
	return best, nil
}

// PublicKey is how a root names key.
func PublicKey(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }
