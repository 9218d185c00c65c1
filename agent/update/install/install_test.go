package install

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/flash/flashtest"
	"cellwarden/agent/update"
	"cellwarden/protocol"
)

// stand is a board on v1.0.0 and a server with v1.1.0, whole and as a delta.
func stand(t *testing.T) (*board, *site) {
	one, two := newRelease("v1.0.0", 600_000), newRelease("v1.1.0", 600_000)
	standSite.Do(func() { standSite.site = *publish(t, two, one) })
	s := &site{files: map[string][]byte{}, manifest: standSite.manifest}
	for name, data := range standSite.files {
		s.files[name] = bytes.Clone(data) // a test may spoil its own
	}
	b := newBoard(t, flashtest.New(1), one)
	b.dial = s.serve(func() int { return 0 })
	return b, s
}

// standSite is made once: the delta takes most of a test's time.
var standSite struct {
	sync.Once
	site
}

func offer(t *testing.T, r *Runner) {
	t.Helper()
	if err := r.Offer(protocol.UpdateArgs{URL: "http://s/manifest.json"}, "c-7"); err != nil {
		t.Fatal(err)
	}
}

// What goes wrong on the way is refused by its own code, nothing is switched, and
// nothing is left behind but what the next try needs.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*board, *site)
		want   string
	}{
		{"all is well", nil, ""},
		{"the delta is another file: the whole one is taken", func(_ *board, s *site) { s.files["from-v1.0.0.delta"][9] ^= 1 }, ""},
		{"both are other files", func(_ *board, s *site) {
			s.files["from-v1.0.0.delta"][9] ^= 1
			s.files["whole.gz"][90] ^= 1
		}, protocol.UpdateHash},
		{"cut short on the server", func(_ *board, s *site) {
			for _, n := range []string{"from-v1.0.0.delta", "whole.gz"} {
				s.files[n] = s.files[n][:len(s.files[n])-1]
			}
		}, protocol.UpdateTruncated},
		{"grown on the server", func(_ *board, s *site) {
			s.files["from-v1.0.0.delta"] = append(s.files["from-v1.0.0.delta"], 0)
		}, protocol.UpdateTruncated},
		{"not there", func(_ *board, s *site) { delete(s.files, "manifest.json") }, protocol.UpdateMalformed},
		{"a page instead of a manifest", func(_ *board, s *site) { s.files["manifest.json"] = []byte("<html>log in</html>") }, protocol.UpdateMalformed},
		{"for another board", func(b *board, _ *site) { b.target = "mipsle" }, protocol.UpdateTarget},
		{"for a higher CPU", func(b *board, _ *site) { b.target = "armv5" }, protocol.UpdateCPU},
		{"no room", func(b *board, _ *site) { b.fs.Room = 600_000 + reserve }, protocol.UpdateNoRoom},
		{"does not run here", func(b *board, _ *site) { b.noexec = true }, protocol.UpdateNotRun},
		{"not what its manifest says", func(b *board, s *site) {
			s.manifest.Version = "v1.2.0"
			s.files["manifest.json"] = document(b.t, s.manifest)
		}, protocol.UpdateNotRun},
		{"expired", func(b *board, _ *site) { b.line.Now = b.line.Now.AddDate(10, 0, 0) }, protocol.UpdateExpired},
	} {
		b, s := stand(t)
		if tt.change != nil {
			tt.change(b, s)
		}
		r := b.open(packaged, "v1.0.0")
		offer(t, r)
		ready := work(r, 20)
		if tt.want == "" {
			if !ready || b.last() != "installed" {
				t.Errorf("%s: ready %v, %+v", tt.name, ready, b.reports)
			}
			continue
		}
		if ready || b.last() != "refused "+tt.want {
			t.Errorf("%s: ready %v, heard %q, want %s: %+v", tt.name, ready, b.last(), tt.want, b.reports)
		}
		if st := r.Status(); st.Refused == nil || st.Refused.Code != tt.want || st.Source != "" {
			t.Errorf("%s: status %+v", tt.name, st)
		}
		for name := range b.fs.Names {
			if strings.HasSuffix(name, "/download") || strings.HasSuffix(name, "/job.json") {
				t.Errorf("%s: leaves %s", tt.name, name)
			}
		}
	}
}

// Over a link that breaks every 20 KB, with restarts and a power cut between, no
// byte that is on the flash is fetched twice.
func TestDownloadResumes(t *testing.T) {
	one, two := newRelease("v1.0.0", 600_000), newRelease("v1.1.0", 600_000)
	s := publish(t, two) // no delta: noise does not pack
	b := newBoard(t, flashtest.New(3), one)
	b.line.OverData = true
	b.policy = update.Policy{DayBytes: 10 << 20, UntilPercent: 70}
	connections := 0
	b.dial = s.serve(func() int { connections++; return 20_000 })
	r := b.open(packaged, "v1.0.0")
	offer(t, r)
	ready, starts := false, 0
	for !ready {
		if starts++; starts > 60 {
			t.Fatalf("not through: %+v", r.Status())
		}
		if ready = work(r, 3); ready {
			break
		}
		if starts%10 == 5 {
			b.fs.CutAt = b.fs.Ops + 2
			work(r, 1)
			b.fs.Restart(true)
		}
		r = b.open(packaged, "v1.0.0")
	}
	size := uint64(len(s.files["whole.gz"]))
	// An answer's head and the part of a connection that a power cut forgot.
	if overhead := b.spent - size; b.spent < size || overhead > size/8+uint64(connections)*600 {
		t.Errorf("%d bytes for %d in %d connections and %d starts", b.spent, size, connections, starts)
	}
	t.Logf("FIGURE %d bytes on the air for %d, %d connections, %d starts of the agent", b.spent, size, connections, starts)
}

// A server that does not know ranges is refused once it costs the same bytes again.
func TestServerWithoutRanges(t *testing.T) {
	b, s := stand(t)
	whole := s.files["whole.gz"]
	s.manifest.Forms = s.manifest.Forms[:1]
	s.files["manifest.json"] = document(t, s.manifest)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a real line: its end is an end, whoever is quicker
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			server, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := server.Read(buf)
			body := whole
			if strings.Contains(string(buf[:n]), "manifest.json") {
				body = s.files["manifest.json"]
			}
			_, _ = server.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"))
			_, _ = server.Write(body[:min(len(body), 30_000)])
			_ = server.Close()
		}
	}()
	b.dial = func(context.Context, string, uint16) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	r := b.open(packaged, "v1.0.0")
	offer(t, r)
	if work(r, 5); b.last() != "refused "+protocol.UpdateNoResume {
		t.Errorf("heard %+v", b.reports)
	}
}

// The day's bytes spread one download over days, and a used-up plan stops it
// until the next cycle; the backend hears of each wait once.
func TestDownloadStaysInsideTheBudget(t *testing.T) {
	one, two := newRelease("v1.0.0", 600_000), newRelease("v1.1.0", 600_000)
	s := publish(t, two)
	b := newBoard(t, flashtest.New(3), one)
	b.dial = s.serve(func() int { return 0 })
	b.line.OverData, b.line.Quota, b.line.Used = true, 30_000_000, 22_000_000
	b.policy = update.Policy{From: 60, To: 300, Zone: time.FixedZone("", 8*3600), DayBytes: 200_000, UntilPercent: 70}
	r := b.open(packaged, "v1.0.0")
	offer(t, r)
	if work(r, 3); b.last() != "waiting "+protocol.UpdateQuota || b.spent != 0 {
		t.Fatalf("plan used up: %q, spent %d", b.last(), b.spent)
	}
	b.line.Used = 0
	for day := range 10 {
		before := b.spent
		ready := work(r, 3)
		const handshake = 3000 // the answer's head and what was under way when the bound was reached
		if got := b.spent - before; got > 200_000+handshake {
			t.Errorf("day %d: %d bytes", day, got)
		}
		if ready {
			if day < 2 {
				t.Errorf("through on day %d", day)
			}
			break
		}
		if b.last() != "waiting "+protocol.UpdateDayBytes {
			t.Fatalf("day %d: %q", day, b.last())
		}
		b.line.Now = b.line.Now.Add(12 * time.Hour)
		if work(r, 3); b.last() != "waiting "+protocol.UpdateOffPeak {
			t.Fatalf("at noon of day %d: %q", day, b.last())
		}
		b.line.Now = b.line.Now.Add(12 * time.Hour)
		r = b.open(packaged, "v1.0.0") // and a restart each night
	}
	if b.last() != "installed" {
		t.Errorf("not through: %+v", r.Status())
	}
}

// From a stick: manifest and form lie in one folder, no byte goes over the air.
func TestFromAStick(t *testing.T) {
	b, s := stand(t)
	stick := t.TempDir()
	for name, data := range s.files {
		if err := os.WriteFile(filepath.Join(stick, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.dial = nil
	r := b.open(packaged, "v1.0.0")
	if err := r.Offer(protocol.UpdateArgs{URL: filepath.Join(stick, "manifest.json")}, ""); err != nil {
		t.Fatal(err)
	}
	if !work(r, 1) {
		t.Fatalf("not ready: %+v", b.reports)
	}
	if exe, version, trial := b.boot(newRelease("v1.1.0", 600_000)); version != "v1.1.0" || !trial {
		t.Errorf("starts %s, %s, trial %v", exe, version, trial)
	}
}

// What must never be in the way of a start: files that are empty, damaged, of
// another time, or not there.
func TestDamagedStateStartsThePackage(t *testing.T) {
	one, two := newRelease("v1.0.0", 3000), newRelease("v1.1.0", 3000)
	good := func(b *board) {
		b.fs.Put(dir+"/a", two.binary)
		s := update.Slots{}
		s.Try(update.Binary{Slot: "a", Version: two.version, Size: 3000, SHA256: sum(two.binary)}, one.version, nil)
		s.Confirm()
		if err := (Dir{b.fs, dir}).keep(s); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		damage func(*board)
		want   string
	}{
		"untouched":                {func(*board) {}, "v1.1.0"},
		"empty slots.json":         {func(b *board) { b.fs.Names[dir+"/slots.json"].Data = nil }, "v1.0.0"},
		"half of slots.json":       {func(b *board) { f := b.fs.Names[dir+"/slots.json"]; f.Data = f.Data[:len(f.Data)/2] }, "v1.0.0"},
		"the slot is gone":         {func(b *board) { delete(b.fs.Names, dir+"/a") }, "v1.0.0"},
		"one bit of the slot":      {func(b *board) { f := b.fs.Names[dir+"/a"]; f.Data = bytes.Clone(f.Data); f.Data[2000] ^= 4 }, "v1.0.0"},
		"the slot is cut":          {func(b *board) { f := b.fs.Names[dir+"/a"]; f.Data = f.Data[:2999] }, "v1.0.0"},
		"another package":          {func(b *board) { b.pkg.version = "v1.0.1" }, "v1.0.1"},
		"noise in all state files": {func(b *board) { b.fs.Names[dir+"/slots.json"].Data = []byte("\x00\xff{") }, "v1.0.0"},
	} {
		b := newBoard(t, flashtest.New(1), one)
		b.name = name
		good(b)
		tt.damage(b)
		if _, version, _ := b.boot(two); version != tt.want {
			t.Errorf("%s: %s runs, want %s", name, version, tt.want)
		}
		// And the agent opens over it.
		r := b.open(packaged, b.pkg.version)
		if st := r.Status(); st.Off != "" || st.Root != 1 {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// Without a root there are no updates.
func TestOffWithoutARoot(t *testing.T) {
	b, _ := stand(t)
	r, _ := Open(Host{Dir: Dir{b.fs, dir}, Package: "v1.0.0", Version: "v1.0.0"})
	err := r.Offer(protocol.UpdateArgs{URL: "http://s/manifest.json"}, "")
	if err == nil || !strings.HasPrefix(err.Error(), protocol.UpdateOff) {
		t.Errorf("offered: %v", err)
	}
}

// An older package is installed over an update: it runs, and the update's version
// stays the floor, over restarts and with trust.json lost before.
func TestFloorOutlivesThePackage(t *testing.T) {
	one, two := newRelease("v1.0.0", 3000), newRelease("v1.1.0", 3000)
	b := newBoard(t, flashtest.New(1), one)
	b.dial = publish(t, two).serve(func() int { return 0 })
	r := b.open(packaged, one.version)
	offer(t, r)
	if !work(r, 3) {
		t.Fatalf("%+v", b.reports)
	}
	exe, version, _ := b.boot(one, two)
	if err := b.open(exe, version).Confirmed(); err != nil {
		t.Fatal(err)
	}
	delete(b.fs.Names, dir+"/trust.json")
	b.pkg.version = "v1.0.1"
	for range 2 {
		exe, version, _ := b.boot(two)
		if version != "v1.0.1" {
			t.Fatalf("%s runs", version)
		}
		r = b.open(exe, version)
		if got := r.Status().Floor; got != "v1.1.0" {
			t.Errorf("floor %q", got)
		}
	}
	offer(t, r)
	if work(r, 3); b.last() != "refused "+protocol.UpdateVersion {
		t.Errorf("heard %q", b.last())
	}
	if b.fs.Names[dir+"/a"] != nil {
		t.Error("the slot that nobody runs keeps its room")
	}
}

// The flash fills up while the binary is written: refused, and the room given back.
func TestFlashFillsUpMeanwhile(t *testing.T) {
	b, _ := stand(t)
	b.full = 100_000
	r := b.open(packaged, "v1.0.0")
	offer(t, r)
	if work(r, 3); b.last() != "refused "+protocol.UpdateNoRoom {
		t.Errorf("heard %+v", b.reports)
	}
	if n := b.fs.Size(); n > 1000 {
		t.Errorf("%d bytes left behind", n)
	}
}
