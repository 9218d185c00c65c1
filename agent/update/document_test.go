package update

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
)

// keyOf gives the same key for the same name in every run.
func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func keys(names ...string) (out []ed25519.PrivateKey) {
	for _, n := range names {
		out = append(out, keyOf(n))
	}
	return out
}

func signed(t testing.TB, payload any, by ...ed25519.PrivateKey) Document {
	t.Helper()
	raw, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	d := Document{Signed: raw}
	for _, k := range by {
		d.Sign(k)
	}
	return d
}

func bytesOf(t testing.TB, d Document) []byte {
	t.Helper()
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// rootOf is a root of two of the named keys.
func rootOf(version int, expires string, names ...string) Root {
	r := Root{Type: "root", V: 1, Version: version, Expires: expires, Threshold: 2}
	for _, k := range keys(names...) {
		r.Keys = append(r.Keys, PublicKey(k.Public().(ed25519.PublicKey)))
	}
	return r
}

const (
	farOff = "2030-01-01T00:00:00Z"
	past   = "2026-01-01T00:00:00Z"
)

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func sampleManifest() Manifest {
	return Manifest{Type: "manifest", V: 1, Version: "v1.3.0", Target: "armv7", Expires: farOff, Size: 100, SHA256: sum("new"),
		Forms: []Form{{Kind: Gzip, Name: "cellwarden-armv7.gz", Size: 60, SHA256: sum("gz")},
			{Kind: DeltaForm, From: sum("old"), Name: "cellwarden-armv7.delta", Size: 9, SHA256: sum("delta")}}}
}

func device() Device {
	return Device{Root: rootOf(1, farOff, "an", "bo", "chen"), Target: "armv7", Floor: "v1.2.0",
		Now: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC), Trusted: true}
}

// Each way in which an offer can be wrong is refused by its own code, and the
// right one is taken.
func TestOffers(t *testing.T) {
	two := keys("an", "bo")
	with := func(change func(*Manifest)) Document {
		m := sampleManifest()
		change(&m)
		return signed(t, m, two...)
	}
	good := with(func(*Manifest) {})
	forged := signed(t, sampleManifest(), two...)
	forged.Sigs[1].Sig[5] ^= 1
	altered := good
	altered.Signed = []byte(strings.Replace(string(good.Signed), "v1.3.0", "v9.9.9", 1))
	twice := signed(t, sampleManifest(), keyOf("an"))
	twice.Sigs = append(twice.Sigs, twice.Sigs[0])
	otherPurpose := Document{Signed: good.Signed}
	for _, k := range two {
		otherPurpose.Sigs = append(otherPurpose.Sigs, Signature{KeyID(k.Public().(ed25519.PublicKey)), ed25519.Sign(k, good.Signed)})
	}
	for _, tt := range []struct {
		name string
		doc  Document
		dev  func(*Device)
		want string // code, "" is taken
	}{
		{name: "signed by two of three", doc: good},
		{name: "signed by all three", doc: signed(t, sampleManifest(), keys("an", "bo", "chen")...)},
		{name: "a stranger's signature beside two good ones", doc: signed(t, sampleManifest(), keys("an", "bo", "mallory")...)},
		{name: "one key short", doc: signed(t, sampleManifest(), keyOf("an")), want: protocol.UpdateFewKeys},
		{name: "one key twice", doc: twice, want: protocol.UpdateFewKeys},
		{name: "a stranger as the second", doc: signed(t, sampleManifest(), keys("an", "mallory")...), want: protocol.UpdateFewKeys},
		{name: "one bit of a signature", doc: forged, want: protocol.UpdateSignature},
		{name: "the payload changed afterwards", doc: altered, want: protocol.UpdateSignature},
		{name: "signed without the head, as for another purpose", doc: otherPurpose, want: protocol.UpdateSignature},
		{name: "lower version", doc: with(func(m *Manifest) { m.Version = "v1.1.9" }), want: protocol.UpdateVersion},
		{name: "same version", doc: with(func(m *Manifest) { m.Version = "v1.2.0" }), want: protocol.UpdateVersion},
		{name: "commits after the same version", doc: with(func(m *Manifest) { m.Version = "v1.2.0-3-gabc12" })},
		{name: "over a build without a version", doc: good, dev: func(d *Device) { d.Floor = "dev" }},
		{name: "a version without a place in the order", doc: with(func(m *Manifest) { m.Version = "dev" }), want: protocol.UpdateMalformed},
		{name: "another target", doc: with(func(m *Manifest) { m.Target = "mipsle" }), want: protocol.UpdateTarget},
		{name: "ARMv7 for a board of ARMv5", doc: good, dev: func(d *Device) { d.Target = "armv5" }, want: protocol.UpdateCPU},
		{name: "arm64 for a board of ARMv7", doc: with(func(m *Manifest) { m.Target = "arm64" }), want: protocol.UpdateTarget},
		{name: "ARMv5 for a board of ARMv7", doc: with(func(m *Manifest) { m.Target = "armv5" }), want: protocol.UpdateTarget},
		{name: "expired", doc: with(func(m *Manifest) { m.Expires = past }), want: protocol.UpdateExpired},
		{name: "expired before this program was made, and a clock nobody vouches for", doc: with(func(m *Manifest) { m.Expires = Made.Format(time.RFC3339) }),
			dev: func(d *Device) { d.Trusted = false }, want: protocol.UpdateExpired},
		{name: "expired before a clock was last trusted", doc: with(func(m *Manifest) { m.Expires = "2026-12-24T00:00:00Z" }),
			dev: func(d *Device) { d.Trusted, d.Past = false, time.Date(2027, 1, 3, 0, 0, 0, 0, time.UTC) }, want: protocol.UpdateExpired},
		{name: "nobody knows whether it has expired", doc: with(func(m *Manifest) { m.Expires = "2026-12-24T00:00:00Z" }),
			dev: func(d *Device) { d.Trusted, d.Now = false, time.Unix(0, 0) }},
		{name: "the root expired", doc: good, dev: func(d *Device) { d.Root.Expires = past }, want: protocol.UpdateExpired},
		{name: "taken back before", doc: good, dev: func(d *Device) { d.Tried = "v1.3.0" }, want: protocol.UpdateTried},
		{name: "of a later format", doc: with(func(m *Manifest) { m.V = 2 }), want: protocol.UpdateTooNew},
		{name: "a root as a manifest", doc: signed(t, rootOf(1, farOff, "an", "bo"), two...), want: protocol.UpdateMalformed},
		{name: "a form that climbs out of its folder", doc: with(func(m *Manifest) { m.Forms[0].Name = "../../etc/passwd" }), want: protocol.UpdateMalformed},
		{name: "a binary larger than any", doc: with(func(m *Manifest) { m.Size = MaxBinary + 1 }), want: protocol.UpdateMalformed},
		{name: "no hash", doc: with(func(m *Manifest) { m.SHA256 = "" }), want: protocol.UpdateMalformed},
	} {
		dev := device()
		if tt.dev != nil {
			tt.dev(&dev)
		}
		m, root, err := Judge(bytesOf(t, tt.doc), dev)
		if code(err) != tt.want {
			t.Errorf("%s: %v, want code %q", tt.name, err, tt.want)
		}
		if err == nil && (m.Size != 100 || root != nil) {
			t.Errorf("%s: manifest %+v, root %s", tt.name, m, root)
		}
	}
}

func code(err error) string {
	var r *protocol.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	if err != nil {
		return "no refusal: " + err.Error()
	}
	return ""
}

// Keys change by a root that the old and the new threshold signed; a board that
// missed two changes catches up from one document.
func TestKeysRotate(t *testing.T) {
	first := rootOf(1, past, "an", "bo", "chen") // ended meanwhile: what leads on from it still counts
	second := signed(t, rootOf(2, past, "bo", "chen", "dai"), keys("an", "bo", "dai")...)
	third := signed(t, rootOf(3, farOff, "dai", "er", "fu"), keys("chen", "dai", "er")...)
	manifest := func(roots []Document, by ...string) []byte {
		d := signed(t, sampleManifest(), keys(by...)...)
		d.Roots = roots
		return bytesOf(t, d)
	}
	dev := device()
	dev.Root = first
	_, kept, err := Judge(manifest([]Document{second, third}, "er", "fu"), dev)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OwnRoot(kept)
	if err != nil || got.Version != 3 {
		t.Fatalf("kept root %d: %v", got.Version, err)
	}
	dev.Root = got
	if _, kept, err = Judge(manifest([]Document{second, third}, "er", "fu"), dev); err != nil || kept != nil {
		t.Errorf("with the new root: %v, root %s", err, kept)
	}
	if _, _, err = Judge(manifest(nil, "an", "bo"), dev); code(err) != protocol.UpdateFewKeys {
		t.Errorf("the old keys after the change: %v", err)
	}
	dev.Root = first
	for name, tt := range map[string]struct {
		roots []Document
		want  string
	}{
		"the new keys alone":         {[]Document{signed(t, rootOf(2, farOff, "dai", "er", "fu"), keys("dai", "er", "fu")...)}, protocol.UpdateRoot},
		"one old key":                {[]Document{signed(t, rootOf(2, farOff, "dai", "er", "fu"), keys("an", "dai", "er")...)}, protocol.UpdateRoot},
		"too few of its own keys":    {[]Document{signed(t, rootOf(2, farOff, "dai", "er", "fu"), keys("an", "bo", "dai")...)}, protocol.UpdateFewKeys},
		"a step left out":            {[]Document{third}, protocol.UpdateRoot},
		"one key counted three ways": {[]Document{signed(t, rootOf(2, farOff, "dai", "dai", "dai"), keys("an", "bo", "dai")...)}, protocol.UpdateMalformed},
		"a threshold of none":        {[]Document{signed(t, Root{Type: "root", V: 1, Version: 2, Expires: farOff}, keys("an", "bo")...)}, protocol.UpdateMalformed},
	} {
		if _, kept, err := Judge(manifest(tt.roots, "dai", "er"), dev); code(err) != tt.want || kept != nil {
			t.Errorf("%s: %v, kept %s; want %s", name, err, kept, tt.want)
		}
	}
	// A change that is right stays so when what it brings is not.
	if _, kept, err := Judge(manifest([]Document{second, third}, "mallory"), dev); code(err) != protocol.UpdateFewKeys || kept == nil {
		t.Errorf("a good change with a bad manifest: %v, kept %s", err, kept)
	}
}

func TestVersions(t *testing.T) {
	inOrder := []string{"", "v0.9.0", "v1.0.0", "v1.0.0-1-g1234567", "v1.0.0-12-gabcdef0", "v1.0.1", "v1.2.0", "v1.10.0", "v2.0.0"}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got := Newer(a, b); got != (i > j) {
				t.Errorf("%q newer than %q: %v", a, b, got)
			}
		}
	}
	for _, s := range []string{"dev", "1234567", "v1.2", "v1.2.3-dirty", "v1.2.3-4-gabc-dirty", "v1.2.3.4", "v-1.2.3", "v1.2.x", "v1.2.3-4-g", "v1.2.99999999999"} {
		if Newer(s, "") {
			t.Errorf("%q has a place in the order", s)
		}
	}
	if got := Newest("dev", "v1.2.0", "v1.10.0", ""); got != "v1.10.0" {
		t.Errorf("newest %q", got)
	}
}

func TestChooseForm(t *testing.T) {
	m := sampleManifest()
	for _, tt := range []struct {
		running string
		bad     []string
		want    string
	}{
		{sum("old"), nil, "cellwarden-armv7.delta"},
		{sum("other"), nil, "cellwarden-armv7.gz"},
		{"", nil, "cellwarden-armv7.gz"},
		{sum("old"), []string{"cellwarden-armv7.delta"}, "cellwarden-armv7.gz"},
		{sum("old"), []string{"cellwarden-armv7.delta", "cellwarden-armv7.gz"}, ""},
	} {
		f, err := m.Choose(tt.running, tt.bad)
		if f.Name != tt.want || (tt.want == "") != (code(err) == protocol.UpdateNoForm) {
			t.Errorf("%v: %q %v, want %q", tt, f.Name, err, tt.want)
		}
	}
}

// No bytes make the reader panic, and none pass without two signatures.
// One key is one key, however its base64 is written: the last letter of 44 has two
// spare bits, and a newline is skipped.
func TestOneKeyDoesNotSignForTwo(t *testing.T) {
	an := PublicKey(keyOf("an").Public().(ed25519.PublicKey))
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := strings.IndexByte(letters, an[42])
	for name, again := range map[string]string{
		"spare bits": an[:42] + string(letters[last^1]) + "=",
		"newline":    an[:20] + "\n" + an[20:],
		"the same":   an,
	} {
		r := rootOf(1, farOff, "an")
		r.Keys = append(r.Keys, again)
		if _, err := OwnRoot(bytesOf(t, signed(t, r, keys("an")...))); code(err) != protocol.UpdateMalformed {
			t.Errorf("%s: a root of two keys that one signed: %v", name, err)
		}
	}
}

func FuzzJudge(f *testing.F) {
	dev := device()
	d := signed(f, sampleManifest(), keys("an", "bo")...)
	f.Add(bytesOf(f, d))
	d.Roots = []Document{signed(f, rootOf(2, farOff, "bo", "chen"), keys("an", "bo", "chen")...)}
	f.Add(bytesOf(f, d))
	f.Add([]byte(`{"signed":"e30=","sigs":[{"key":"","sig":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, root, err := Judge(data, dev)
		if err != nil && code(err) == "" {
			t.Fatalf("refused without a code: %v", err)
		}
		if err == nil && m.Version != "v1.3.0" {
			t.Fatalf("took %+v", m)
		}
		if root != nil {
			if _, err := OwnRoot(root); err != nil {
				t.Fatalf("keeps a root that it cannot read: %v", err)
			}
		}
	})
}
