package install

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cellwarden/agent/flash"
	"cellwarden/agent/update"
	"cellwarden/protocol"
)

const (
	// syncEvery is how much of a download a power cut may cost; each costs two pages
	// of flash.
	syncEvery = 128 << 10
	// lookAgain is how often a wait is judged anew; it costs nothing on the air.
	lookAgain = time.Minute
	// firstRetry, maxRetry and maxFails bound what a server that cannot be reached
	// costs: a try an hour, and an end after four days.
	firstRetry = 5 * time.Second
	maxRetry   = time.Hour
	maxFails   = 100
	// failsTold is how many in a row the backend hears of.
	failsTold = 5
	// reserve stays free on the flash: state files, and what the file system itself
	// needs to work.
	reserve = 256 << 10
)

// Host is what the Runner needs to know and to do outside.
type Host struct {
	Dir
	Package string // version of the installed package
	Version string // that runs
	Exe     string // file of what runs
	Target  string // a name of scripts/build.sh
	Root    []byte // the packaged root document; nil: updates are off
	Policy  update.Policy
	// Dial opens a connection on the way that downloads take.
	Dial func(ctx context.Context, host string, port uint16) (net.Conn, error)
	// Line says how things stand; Spent of it is the Runner's to know.
	Line func() update.Line
	// Need names what works now and must work with the new binary too.
	Need func() []string
	// Runs starts the binary at path and refuses it unless it says version.
	Runs func(path, version string) error
	// Report tells the backend. Nil says that it is on the flash.
	Report func(protocol.Update) error
	// Spent is told what went over the air.
	Spent func(bytes uint64)
}

// job is the update under way, as it is kept.
type job struct {
	Source  string            `json:"source"` // URL or path of the manifest
	Command string            `json:"command,omitempty"`
	Now     bool              `json:"now,omitempty"`
	Again   bool              `json:"again,omitempty"`
	Form    string            `json:"form,omitempty"` // SHA-256 of the one under way
	Have    int64             `json:"have,omitempty"` // bytes of it that are on the flash
	Bad     []string          `json:"bad,omitempty"`  // forms that came to nothing
	Why     *protocol.Refusal `json:"why,omitempty"`  // the last of them
	Day     string            `json:"day,omitempty"`
	Spent   int64             `json:"spent,omitempty"` // on Day
}

// Runner carries one update at a time to the point where the new binary may be
// tried. It is used by one goroutine; Step does the work.
type Runner struct {
	h     Host
	root  update.Root
	off   string // why there are no updates
	trust trust
	slots update.Slots

	job      *job
	doc      []byte // the manifest's document
	manifest *update.Manifest
	form     update.Form
	wait     *protocol.Refusal // what is waited for
	told     string            // the code of the wait, or state, that was reported last
	fails    int               // of the line, in a row without a byte
	running  string            // SHA-256 of Exe
}

// Open reads what was kept. Damage costs at most the update under way: what cannot
// be read is forgotten, and damaged says which file.
func Open(h Host) (r *Runner, damaged []string) {
	r = &Runner{h: h}
	note := func(name string, err error) {
		if err != nil {
			damaged = append(damaged, name+": "+err.Error())
		}
	}
	var err error
	if r.slots, err = h.Slots(); err != nil {
		note(slotsFile, err)
	}
	if err := h.load(trustFile, &r.trust); err != nil {
		note(trustFile, err)
		r.trust = trust{}
	}
	r.chooseRoot()
	floor, changed := r.slots.Settle(h.Package)
	if changed {
		// The floor first: a cut between the two must not forget it.
		note(trustFile, h.raise(floor))
		note(slotsFile, h.keep(r.slots))
		h.drop("a", "b") // this is the packaged binary: nobody runs from there
	}
	r.trust.Floor = update.Newest(r.trust.Floor, floor)
	var j job
	err = h.load(jobFile, &j)
	note(jobFile, err)
	switch {
	case r.slots.Trial != nil, j.Source != "" && r.off != "":
		h.drop(jobFile, manifestFile, download) // it has done its work, or may do none
	case err == nil && j.Source != "":
		r.job = &j
		if r.doc, err = h.read(manifestFile); err != nil {
			note(manifestFile, err)
		}
	}
	return r, damaged
}

// chooseRoot takes the newer of the packaged root and the kept one.
func (r *Runner) chooseRoot() {
	r.off = ""
	if len(r.h.Root) == 0 {
		r.off = "update.root_file is not set in the config"
		return
	}
	root, err := update.OwnRoot(r.h.Root)
	if err != nil {
		r.off = "update.root_file: " + err.Error()
	}
	if kept, err := update.OwnRoot(r.trust.Root); err == nil && kept.Version > root.Version {
		root, r.off = kept, ""
	}
	r.root = root
}

// Trial says whether a binary is on trial.
func (r *Runner) Trial() bool { return r.slots.Trial != nil }

// Needs is what the trial must reach.
func (r *Runner) Needs() []string {
	if r.slots.Trial == nil {
		return nil
	}
	return r.slots.Trial.Need
}

// Confirmed ends the trial well.
func (r *Runner) Confirmed() error {
	err := r.h.Confirm()
	if err == nil {
		r.slots, err = r.h.Slots()
	}
	return err
}

// Lasted notes that the binary that runs works on: what it was started for before
// without lasting no longer counts against it.
func (r *Runner) Lasted() error {
	if c := r.slots.Current; c == nil || c.Version != r.h.Version || !r.slots.Lasted() {
		return nil
	}
	return r.h.keep(r.slots)
}

// Stopped notes that the binary was ended in good order, before it could last. It is
// for the end, when nothing else of the Runner runs any more.
func (r *Runner) Stopped() error {
	if c := r.slots.Current; c == nil || c.Version != r.h.Version || !r.slots.Stopped() {
		return nil
	}
	return r.h.keep(r.slots)
}

// TellResult reports how the last trial ended, until that is on the flash once.
func (r *Runner) TellResult() {
	res := r.slots.Result
	if res == nil || r.slots.Trial != nil {
		return
	}
	u := protocol.Update{Version: res.Version, State: "confirmed", Code: res.Code, Detail: res.Detail}
	if res.Code != "" {
		u.State = "rolled_back"
	}
	if r.report(u) == nil {
		r.slots.Result = nil
		_ = r.h.keep(r.slots) // told twice, if need be
	}
}

func (r *Runner) report(u protocol.Update) error {
	u.Runs = r.h.Version
	if r.job != nil {
		u.Command = r.job.Command
	}
	if r.manifest != nil && u.Version == "" {
		u.Version = r.manifest.Version
	}
	return r.h.Report(u)
}

// tell reports what matters less than a result: a lost one is only missed.
func (r *Runner) tell(u protocol.Update) { _ = r.report(u) }

// Offer begins an update; one under way gives way to it, and what was downloaded
// counts if the new one wants the same file.
func (r *Runner) Offer(a protocol.UpdateArgs, command string) error {
	if r.off != "" {
		return protocol.Refuse(protocol.UpdateOff, "%s", r.off)
	}
	if r.slots.Trial != nil {
		return protocol.Refuse(protocol.UpdateBusy, "%s is on trial", r.slots.Trial.Version)
	}
	if !filepath.IsAbs(a.URL) {
		if _, err := parseURL(a.URL); err != nil {
			return err
		}
	}
	j := &job{Source: a.URL, Command: command, Now: a.Now, Again: a.Again}
	if old := r.job; old != nil {
		j.Form, j.Have, j.Day, j.Spent = old.Form, old.Have, old.Day, old.Spent
	}
	r.h.drop(manifestFile)
	if err := r.h.save(jobFile, j); err != nil {
		return protocol.Refuse(protocol.UpdateStorage, "%v", err)
	}
	r.job, r.doc, r.manifest, r.wait, r.told, r.fails = j, nil, nil, nil, "", 0
	r.tell(protocol.Update{State: "offered"})
	return nil
}

// Step works until the update under way has to wait, and says how long; ready
// means that the new binary is to be started now. Without an update it waits for
// an offer: -1.
func (r *Runner) Step(ctx context.Context) (wait time.Duration, ready bool) {
	if r.job == nil {
		return -1, false
	}
	err := r.advance(ctx)
	var refusal *protocol.Refusal
	var line *lineError
	switch {
	case err == nil:
		return 0, true
	case ctx.Err() != nil:
		return 0, false
	case errors.As(err, &refusal) && strings.HasPrefix(refusal.Code, "wait_"):
		r.waits(refusal)
		return lookAgain, false
	case errors.As(err, &line) && r.fails < maxFails:
		r.fails++
		r.waits(protocol.Refuse(protocol.UpdateLine, "%v", line.err))
		return min(firstRetry<<min(r.fails-1, 16), maxRetry), false
	case errors.As(err, &line):
		refusal = protocol.Refuse(protocol.UpdateServer, "%d times in a row: %v", r.fails, line.err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		refusal = protocol.Refuse(protocol.UpdateNoRoom, "%v", err)
	case refusal == nil:
		refusal = protocol.Refuse(protocol.UpdateStorage, "%v", err)
	}
	r.refuse(refusal)
	return -1, false
}

// waits tells once what is waited for. A line that breaks now and then is none of
// the backend's business.
func (r *Runner) waits(why *protocol.Refusal) {
	r.wait = why
	if r.told == why.Code || why.Code == protocol.UpdateLine && r.fails < failsTold {
		return
	}
	r.told = why.Code
	r.tell(protocol.Update{State: "waiting", Code: why.Code, Detail: why.Detail, Form: r.form.Kind, Have: r.job.Have, Size: r.form.Size})
}

// refuse ends the update under way.
func (r *Runner) refuse(why *protocol.Refusal) {
	u := protocol.Update{State: "refused", Code: why.Code, Detail: why.Detail}
	said := update.Refused{Refusal: *why}
	if r.manifest != nil {
		said.Version = r.manifest.Version
	}
	if l := r.h.Line(); l.Trusted {
		said.At = l.Now.UTC().Format(time.RFC3339)
	}
	r.slots.Refused = &said
	_ = r.h.keep(r.slots) // for the status alone
	r.tell(u)
	r.h.drop(jobFile, manifestFile, download, r.slots.Free())
	r.job, r.doc, r.manifest, r.wait, r.form = nil, nil, nil, nil, update.Form{}
}

// advance goes from where the update is to its end.
func (r *Runner) advance(ctx context.Context) error {
	if r.doc == nil {
		doc, err := r.readManifest(ctx)
		if err != nil {
			return err
		}
		if err := r.judge(doc); err != nil {
			return err
		}
		if err := r.h.write(manifestFile, doc); err != nil {
			return err
		}
		r.doc = doc
	} else if err := r.judge(r.doc); err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	slot := r.slots.Free()
	if err := r.obtain(ctx, slot); err != nil {
		return err
	}
	// So long a download may have outlived its manifest.
	if err := r.judge(r.doc); err != nil {
		return err
	}
	m := r.manifest
	if err := r.h.Runs(r.h.path(slot), m.Version); err != nil {
		r.h.drop(slot)
		return protocol.Refuse(protocol.UpdateNotRun, "%v", err)
	}
	next := r.slots
	next.Try(update.Binary{Slot: slot, Version: m.Version, Size: m.Size, SHA256: m.SHA256}, r.h.Package, r.h.Need())
	if err := r.h.keep(next); err != nil {
		return err
	}
	r.slots = next
	r.h.drop(jobFile, manifestFile, download)
	r.tell(protocol.Update{State: "installed", Form: r.form.Kind, Have: r.form.Size, Size: r.form.Size})
	r.job = nil
	return nil
}

// readManifest fetches the document, or reads it from a stick.
func (r *Runner) readManifest(ctx context.Context) (doc []byte, err error) {
	if filepath.IsAbs(r.job.Source) {
		f, err := flash.OpenForeign(r.job.Source)
		if err != nil {
			return nil, protocol.Refuse(protocol.UpdateServer, "%v", err)
		}
		defer f.Close()
		return io.ReadAll(io.NewSectionReader(f, 0, update.MaxDocument+1)) // Parse refuses what is longer
	}
	if _, wait := r.allowed(); wait != nil {
		return nil, wait
	}
	u, err := parseURL(r.job.Source)
	if err != nil {
		return nil, err
	}
	spent, err := r.h.get(ctx, u, 0, update.MaxDocument+1, func(body io.Reader, _ int64) (err error) {
		if doc, err = io.ReadAll(body); err != nil {
			return &lineError{err}
		}
		return nil
	})
	r.spend(spent)
	return doc, err
}

// judge holds the document against what is so now, and keeps a root that it
// brought.
func (r *Runner) judge(doc []byte) error {
	l := r.h.Line()
	dev := update.Device{Root: r.root, Target: r.h.Target, Floor: r.floor(), Runs: r.h.Version, Tried: r.slots.Failed, Again: r.job.Again, Now: l.Now, Trusted: l.Trusted, Past: l.Past}
	m, newRoot, err := update.Judge(doc, dev)
	if m.Version != "" {
		r.manifest = &m // named in the refusal, if it is one
	}
	if newRoot != nil {
		t := trust{Root: newRoot, Floor: r.trust.Floor}
		if err := r.h.save(trustFile, t); err != nil {
			return err
		}
		r.trust = t
		r.chooseRoot()
	}
	return err
}

// floor is what a new version must come after.
func (r *Runner) floor() string {
	if c := r.slots.Current; c != nil {
		return update.Newest(r.trust.Floor, r.h.Version, c.Version)
	}
	return update.Newest(r.trust.Floor, r.h.Version)
}

// prepare chooses the form and makes room.
func (r *Runner) prepare() error {
	if r.running == "" {
		if f, err := r.h.FS.Open(r.h.Exe, false); err == nil {
			size, _ := f.Size()
			r.running, _ = hash(io.NewSectionReader(f, 0, size)) // unread: no delta fits
			_ = f.Close()
		}
	}
	form, err := r.manifest.Choose(r.running, r.job.Bad)
	if err != nil {
		if r.job.Why != nil {
			return r.job.Why
		}
		return err
	}
	r.form = form
	if r.job.Form != form.SHA256 {
		r.h.drop(download)
		r.job.Form, r.job.Have = form.SHA256, 0
	}
	r.h.drop(r.slots.Free())
	need := r.manifest.Size + reserve
	if !filepath.IsAbs(r.job.Source) {
		need += form.Size - r.job.Have
	}
	free, err := r.h.FS.Free(r.h.Path)
	if err != nil {
		return err
	}
	if free < uint64(need) {
		return protocol.Refuse(protocol.UpdateNoRoom, "%d bytes are needed in %s, %d are free", need, r.h.Path, free)
	}
	return nil
}

// obtain brings the binary into slot, whole and verified. A form that comes to
// nothing is not tried again.
func (r *Runner) obtain(ctx context.Context, slot string) error {
	var file flash.File
	var err error
	if filepath.IsAbs(r.job.Source) {
		file, err = flash.OpenForeign(filepath.Join(filepath.Dir(r.job.Source), r.form.Name))
		if err != nil {
			return protocol.Refuse(protocol.UpdateServer, "%v", err)
		}
	} else if file, err = r.fetch(ctx); err != nil {
		return err
	}
	defer file.Close()
	err = r.unpack(file, slot)
	var bad *protocol.Refusal
	if errors.As(err, &bad) {
		r.job.Bad, r.job.Why = append(r.job.Bad, r.form.Name), bad
		r.job.Form, r.job.Have = "", 0
		if err := r.h.save(jobFile, r.job); err != nil {
			return err
		}
		if err := r.prepare(); err != nil { // the last form's words are the refusal
			return err
		}
		return r.obtain(ctx, slot)
	}
	return err
}

// fetch downloads the form, from where it stood.
func (r *Runner) fetch(ctx context.Context) (flash.File, error) {
	u, err := parseURL(r.job.Source)
	if err != nil {
		return nil, err
	}
	u = beside(*u, r.form.Name)
	out, err := r.h.FS.Open(r.h.path(download), true)
	if errors.Is(err, fs.ErrNotExist) {
		out, err = r.h.FS.Create(r.h.path(download), 0o600)
	}
	if err != nil {
		return nil, err
	}
	for r.job.Have < r.form.Size {
		if err := r.part(ctx, u, out); err != nil {
			return nil, errors.Join(err, out.Close())
		}
	}
	return out, nil
}

// part downloads what may go now, in one connection.
func (r *Runner) part(ctx context.Context, u *url.URL, out flash.File) error {
	may, wait := r.allowed()
	if wait != nil {
		return wait
	}
	if r.told != "fetching" {
		r.told = "fetching"
		r.tell(protocol.Update{State: "fetching", Form: r.form.Kind, Have: r.job.Have, Size: r.form.Size})
	}
	r.wait = nil
	began, at := r.job.Have, r.job.Have
	end := min(r.form.Size, at+max(1, int64(float64(may)/headers)))
	spent, err := r.h.get(ctx, u, at, end, func(body io.Reader, size int64) error {
		if size >= 0 && size != r.form.Size {
			return protocol.Refuse(protocol.UpdateTruncated, "%s has %d bytes on the server, %d are signed", r.form.Name, size, r.form.Size)
		}
		buf := make([]byte, piece)
		for {
			n, err := io.ReadFull(body, buf)
			if n > 0 {
				if _, err := out.WriteAt(buf[:n], at); err != nil {
					return err
				}
				at += int64(n)
			}
			if at-r.job.Have >= syncEvery {
				if err := r.have(out, at); err != nil {
					return err
				}
			}
			switch err {
			case nil:
			case io.EOF, io.ErrUnexpectedEOF:
				return nil // below it is seen how far it came
			default:
				return &lineError{err}
			}
		}
	})
	r.spend(spent)
	if at > r.job.Have {
		if e := r.have(out, at); e != nil {
			return e
		}
	}
	if at > began {
		r.fails = 0
	}
	if err == nil && at < end {
		err = &lineError{fmt.Errorf("the connection ended %d bytes early", end-at)}
	}
	return err
}

// have notes durably that the first n bytes are on the flash.
func (r *Runner) have(out flash.File, n int64) error {
	if err := out.Sync(); err != nil {
		return err
	}
	quarter := func(n int64) int64 { return 4 * n / r.form.Size }
	tell := r.form.Size > 4*syncEvery && n < r.form.Size && quarter(n) > quarter(r.job.Have)
	r.job.Have = n
	if err := r.h.save(jobFile, r.job); err != nil {
		return err
	}
	if tell {
		r.tell(protocol.Update{State: "fetching", Form: r.form.Kind, Have: n, Size: r.form.Size})
	}
	return nil
}

// line is how things stand, with what was spent today. Days without a clock are
// one: rather too little is fetched than too much.
func (r *Runner) line() update.Line {
	l := r.h.Line()
	if day := l.Now.UTC().Format(time.DateOnly); l.Trusted && day != r.job.Day {
		r.job.Day, r.job.Spent = day, 0
	}
	l.Spent = r.job.Spent
	return l
}

func (r *Runner) allowed() (int64, *protocol.Refusal) { return r.h.Policy.Allow(r.line(), r.job.Now) }

func (r *Runner) spend(n int64) {
	if n > 0 && r.line().OverData {
		r.job.Spent += n
		r.h.Spent(uint64(n))
	}
}

// unpack writes the binary from the form in file into slot. A Refusal says that
// the form is not what was signed.
func (r *Runner) unpack(file flash.File, slot string) error {
	f, m := r.form, r.manifest
	if n, err := file.Size(); err != nil || n != f.Size {
		return protocol.Refuse(protocol.UpdateTruncated, "%s has %d bytes, %d are signed", f.Name, n, f.Size)
	}
	switch sum, err := hash(io.NewSectionReader(file, 0, f.Size)); {
	case err != nil:
		return err
	case sum != f.SHA256:
		return protocol.Refuse(protocol.UpdateHash, "%s is not the file that was signed", f.Name)
	}
	packed := io.NewSectionReader(file, 0, f.Size)
	var in io.Reader
	var err error
	if f.Kind == update.DeltaForm {
		old, e := r.h.FS.Open(r.h.Exe, false)
		if e != nil {
			return e
		}
		defer old.Close()
		size, e := old.Size()
		if e != nil {
			return e
		}
		in, err = update.OpenDelta(old, size, packed)
	} else {
		in, err = gzip.NewReader(packed)
	}
	if err != nil {
		return protocol.Refuse(protocol.UpdateMalformed, "%s: %v", f.Name, err)
	}
	out, err := r.h.FS.Create(r.h.path(slot), 0o700)
	if err != nil {
		return err
	}
	sum, err := fill(out, in, m.Size)
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	var damaged *formError
	switch {
	case errors.As(err, &damaged):
		return protocol.Refuse(protocol.UpdateMalformed, "%s: %v", f.Name, damaged.err)
	case err != nil:
		return err
	case sum != m.SHA256:
		return protocol.Refuse(protocol.UpdateHash, "%s does not unpack to the binary that was signed", f.Name)
	}
	if err := r.h.FS.SyncDir(r.h.Path); err != nil {
		return err
	}
	return r.h.verify(slot, m.Size, m.SHA256)
}

// formError is a form that does not unpack, as against a disk that does not write.
type formError struct{ err error }

func (e *formError) Error() string { return e.err.Error() }

// fill copies exactly size bytes and returns their SHA-256.
func fill(out flash.File, in io.Reader, size int64) (string, error) {
	h := sha256.New()
	buf := make([]byte, piece)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if at+int64(n) > size {
			return "", &formError{errors.New("it unpacks to more than was signed")}
		}
		h.Write(buf[:n])
		if _, err := out.WriteAt(buf[:n], at); err != nil {
			return "", err
		}
		at += int64(n)
		switch {
		case (err == io.EOF || err == io.ErrUnexpectedEOF) && at == size:
			return hex.EncodeToString(h.Sum(nil)), nil
		case err != nil:
			return "", &formError{err}
		}
	}
}

// Status is what the status page shows.
type Status struct {
	Off     string            // why there are no updates; "" when there are
	Root    int               // version of the root
	Floor   string            // a new version must come after it
	Current string            // slot that runs when all is well, "" the packaged
	Trial   string            // version on trial
	Offered string            // version under way
	Source  string            // where it comes from
	Form    string            // gzip, delta
	Have    int64             // bytes of it
	Size    int64             // of
	Wait    *protocol.Refusal // what is waited for
	Refused *update.Refused   // the last refusal
	Failed  string            // the version that was taken back last
}

// Status says how the update stands.
func (r *Runner) Status() Status {
	s := Status{Off: r.off, Root: r.root.Version, Floor: r.floor(), Wait: r.wait, Refused: r.slots.Refused, Failed: r.slots.Failed}
	if c := r.slots.Current; c != nil {
		s.Current = c.Slot
	}
	if t := r.slots.Trial; t != nil {
		s.Trial = t.Version
	}
	if r.job != nil {
		s.Source, s.Form, s.Have, s.Size = told(r.job.Source), r.form.Kind, r.job.Have, r.form.Size
		if r.manifest != nil {
			s.Offered = r.manifest.Version
		}
	}
	return s
}
