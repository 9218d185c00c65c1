package install

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/flash/flashtest"
	"cellwarden/agent/update"
	"cellwarden/protocol"
)

const (
	dir      = "/state/update"
	packaged = "/usr/bin/cellwarden"
)

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func document(t testing.TB, payload any) []byte {
	t.Helper()
	raw, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	d := update.Document{Signed: raw}
	for _, k := range []string{"an", "bo"} {
		d.Sign(key(k))
	}
	out, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func rootDocument(t testing.TB) []byte {
	r := update.Root{Type: "root", V: 1, Version: 1, Expires: "2030-01-01T00:00:00Z", Threshold: 2}
	for _, k := range []string{"an", "bo", "chen"} {
		r.Keys = append(r.Keys, update.PublicKey(key(k).Public().(ed25519.PublicKey)))
	}
	return document(t, r)
}

// release is what a board runs: its bytes say which version they are.
type release struct {
	version string
	binary  []byte
}

// newRelease is like the one before but for a tenth.
func newRelease(version string, size int) release {
	rng := rand.New(rand.NewPCG(11, 12))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	change := rand.New(rand.NewPCG(uint64(len(version)), uint64(version[len(version)-1])))
	for range size / 200 {
		at := change.IntN(size - 20)
		copy(b[at:], fmt.Sprintf("%08x", change.Uint32()))
	}
	copy(b, "VERSION "+version+"\n")
	return release{version, b}
}

func says(binary []byte) string {
	line, _, _ := strings.Cut(string(binary), "\n")
	return strings.TrimPrefix(line, "VERSION ")
}

// site is the server with a release on it.
type site struct {
	files    map[string][]byte
	manifest update.Manifest
}

func publish(t testing.TB, r release, olds ...release) *site {
	t.Helper()
	s := &site{files: map[string][]byte{}}
	m := update.Manifest{Type: "manifest", V: 1, Version: r.version, Target: "armv7", Expires: "2030-01-01T00:00:00Z",
		Size: int64(len(r.binary)), SHA256: sum(r.binary)}
	add := func(f update.Form, data []byte) {
		f.Size, f.SHA256 = int64(len(data)), sum(data)
		s.files[f.Name] = data
		m.Forms = append(m.Forms, f)
	}
	var whole bytes.Buffer
	z := gzip.NewWriter(&whole)
	if _, err := z.Write(r.binary); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	add(update.Form{Kind: update.Gzip, Name: "whole.gz"}, whole.Bytes())
	for _, old := range olds {
		var patch bytes.Buffer
		if err := update.WriteDelta(&patch, old.binary, r.binary); err != nil {
			t.Fatal(err)
		}
		add(update.Form{Kind: update.DeltaForm, From: sum(old.binary), Name: "from-" + old.version + ".delta"}, patch.Bytes())
	}
	s.manifest = m
	s.files["manifest.json"] = document(t, m)
	return s
}

// serve answers over connections in memory; each is cut after bytes, 0 never.
func (s *site) serve(cutAfter func() int) func(ctx context.Context, host string, port uint16) (net.Conn, error) {
	return func(context.Context, string, uint16) (net.Conn, error) {
		client, server := net.Pipe()
		limit := cutAfter()
		go func() {
			defer server.Close()
			req, err := http.ReadRequest(bufio.NewReader(server))
			if err != nil {
				return
			}
			rec := httptest.NewRecorder()
			http.ServeContent(rec, req, "", time.Time{}, bytes.NewReader(s.files[req.URL.Path[1:]]))
			var out bytes.Buffer
			if err := rec.Result().Write(&out); err != nil {
				return
			}
			answer := out.Bytes()
			if limit > 0 {
				answer = answer[:min(limit, len(answer))]
			}
			_, _ = server.Write(answer) // the board may have gone
		}()
		return client, nil
	}
}

// board is a machine with its flash: what an honest observer knows of it.
type board struct {
	t       testing.TB
	name    string
	fs      *flashtest.FS
	pkg     release
	line    update.Line
	policy  update.Policy
	dial    func(ctx context.Context, host string, port uint16) (net.Conn, error)
	reports []protocol.Update
	spent   uint64
	broken  map[string]bool // versions that crash
	sick    map[string]bool // versions that run and never get well
	noexec  bool
	strange bool  // a config that the packaged binary refuses
	full    int64 // once a download begins, others leave so much room
	target  string
}

func newBoard(t testing.TB, fs *flashtest.FS, pkg release) *board {
	b := &board{t: t, fs: fs, pkg: pkg, broken: map[string]bool{}, sick: map[string]bool{}, target: "armv7",
		line: update.Line{Now: time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC), Trusted: true}}
	fs.Under = dir
	fs.Put(packaged, pkg.binary)
	return b
}

// boot is a start of the service: the binary that runs, proved to be whole.
func (b *board) boot(known ...release) (exe, version string, trial bool) {
	b.t.Helper()
	d := Dir{b.fs, dir}
	exe, trial = d.Next(b.pkg.version, !b.strange)
	if b.fs.Off {
		return "", "", false
	}
	if exe == "" {
		exe = packaged
	}
	have := b.fs.Names[exe]
	if have == nil {
		b.t.Fatalf("%s: starts %s, which is not there", b.name, exe)
	}
	for _, r := range append(known, b.pkg) {
		if bytes.Equal(have.Data, r.binary) {
			return exe, r.version, trial
		}
	}
	b.t.Fatalf("%s: starts %s, which is no whole release: %d bytes, %q", b.name, exe, len(have.Data), says(have.Data))
	return
}

func (b *board) open(exe, version string) *Runner {
	r, _ := Open(Host{Dir: Dir{b.fs, dir}, Package: b.pkg.version, Version: version, Exe: exe, Target: b.target, Root: rootDocument(b.t), Policy: b.policy,
		Dial: func(ctx context.Context, host string, port uint16) (net.Conn, error) { return b.dial(ctx, host, port) },
		Line: func() update.Line { return b.line }, Need: func() []string { return []string{"modem", "broker"} },
		Runs: func(path, version string) error {
			if b.noexec {
				return errors.New("permission denied")
			}
			if got := says(b.fs.Names[path].Data); got != version {
				return fmt.Errorf("it says %q", got)
			}
			return nil
		},
		Report: func(u protocol.Update) error {
			if b.fs.Off {
				return flashtest.ErrPower
			}
			if u.State == "fetching" && b.full > 0 {
				b.fs.Room = b.full
			}
			b.reports = append(b.reports, u)
			return nil
		},
		Spent: func(n uint64) { b.spent += n }})
	return r
}

// last is the newest report, as "state code".
func (b *board) last() string {
	if len(b.reports) == 0 {
		return ""
	}
	u := b.reports[len(b.reports)-1]
	return strings.TrimSpace(u.State + " " + u.Code)
}

// work has r go on until it waits for something that n steps do not bring.
func work(r *Runner, n int) (ready bool) {
	for range n {
		wait, ready := r.Step(context.Background())
		if ready {
			return true
		}
		if wait < 0 {
			return false
		}
	}
	return false
}
