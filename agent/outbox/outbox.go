package outbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"cellwarden/agent/flash"
)

// Defaults and limits of Options.
const (
	DefaultCapBytes     = 4 << 20   // about 8,000 lone events, 12,000 in groups: a week at one a minute
	DefaultSegmentBytes = 256 << 10 // few files, and little lost at once when the oldest goes
	DefaultMaxStaged    = 256       // eight commits that fail

	minSegment   = pageSize
	minSegments  = 8    // reserves, and something to share
	maxMaxStaged = 4000 // with alertSpare less than numberJump
	// alertSpare is what may be staged on top by alerts alone.
	alertSpare = 32
	// maxStagedBytes bounds the memory of what is staged; alerts may go 1/8 over.
	maxStagedBytes = 256 << 10
	// maxCommitBytes is one write: it bounds the memory of a commit.
	maxCommitBytes = 64 << 10
	// maxPayload keeps a record well under a segment.
	maxPayload = 32 << 10

	// CommitRecords staged are committed at once.
	CommitRecords = 32
	// CommitEveryMS is how long a record may stay staged: what a power cut may
	// take of events whose writer did not wait for the commit.
	CommitEveryMS = 3000

	// writeTries is how many commits may fail on one segment, by other than lack of
	// room, before the next goes to another one.
	writeTries = 3

	// maxBad is how many quarantined files are kept for somebody to look at.
	maxBad = 2
)

// reserve is how many segments each priority keeps for itself.
var reserve = [priorities]int{Metric: 1, State: 1, Event: 1, Alert: 2}

// Errors that callers tell apart.
var (
	ErrClosed  = errors.New("outbox: closed")
	ErrStaged  = errors.New("outbox: too much waits to be written; the last commit's error says why")
	ErrTooLong = errors.New("outbox: payload too long")
)

// Options are the settings of a store. Zero values take the defaults.
type Options struct {
	FS           flash.FS  // nil: the operating system's
	CapBytes     int64     // all that the directory may hold
	SegmentBytes int       // a multiple of 4096; made smaller where fewer than 8 would fit
	MaxStaged    int       // records, at most 4000; alerts may go 32 over
	Prealloc     bool      // make every segment at Open: later the disk may be full, and no first use costs more
	Rand         io.Reader // the epoch is drawn from it; nil: crypto/rand
}

// Report says what Open found.
type Report struct {
	Created     bool            // there was no store
	Waiting     [priorities]int // records, by Priority
	Segments    int             // live ones
	Recovered   int             // segments whose header was damaged and that were found by their records
	Damaged     int             // accepted records lost to damage, so far as Open had to read
	Cut         int             // records that were being written when the power went, not confirmed
	Quarantined int             // files set aside as bad-NNNN
	StateLost   bool            // no valid slot: everything on the flash is delivered again
	Troubles    []error         // what did not work and is tried again later
}

// String is one line for the log.
func (r Report) String() string {
	n := 0
	for _, w := range r.Waiting {
		n += w
	}
	s := fmt.Sprintf("%d waiting in %d segments", n, r.Segments)
	if r.Created {
		s = "new store"
	}
	for _, p := range [...]struct {
		n    int
		what string
	}{
		{r.Recovered, "segments recovered without header"},
		{r.Damaged, "records damaged"},
		{r.Cut, "cut off while written"},
		{r.Quarantined, "files quarantined"},
		{len(r.Troubles), "troubles"},
	} {
		if p.n > 0 {
			s += fmt.Sprintf(", %d %s", p.n, p.what)
		}
	}
	if r.StateLost {
		s += ", state file lost: all is delivered again"
	}
	return s
}

// Stats is a picture of the store. Counters are since Open.
type Stats struct {
	Waiting   [priorities]int // accepted and not acked, by Priority
	Staged    int
	InFlight  int
	Bytes     int64 // in live segments
	DiskBytes int64 // of all files
	CapBytes  int64
	Oldest    Stamp // of the oldest waiting record, if Waiting is not all 0
	Evicted   uint64
	Damaged   uint64
	Failures  uint64 // failed writes and reads
	LastError string // "" after a commit that worked
}

// spare is a segment file without records.
type spare struct {
	id, size int
	raw      bool // not known to be written full of zeros
}

// Outbox is one open store.
type Outbox struct {
	mu      sync.Mutex
	fs      flash.FS
	dir     string
	lock    io.Closer
	closed  bool
	cap     int64
	segSize int
	maxRecs int // MaxStaged

	st        state
	stateFile flash.File
	dirty     bool // the state file is behind
	unsaved   int  // acks since the last attempt to write it durably
	jotted    int  // those of them that were written without

	lanes [priorities]*lane
	free  []spare // may be used now
	dead  []spare // free once the state file is written
	bad   []int   // numbers of quarantined files, oldest first
	units int     // size of those, in segments
	names map[string]bool

	nextSeq     uint64
	staged      int
	stagedBytes int
	stagedMono  int64 // of the oldest staged
	stagedAlert bool

	rd      reader
	wbuf    []byte
	counts  Stats
	lastErr error
}

func (o *Outbox) path(name string) string { return filepath.Join(o.dir, name) }

// failed remembers an error for Stats and gives it back.
func (o *Outbox) failed(err error) error {
	o.counts.Failures++
	o.lastErr = err
	return err
}

// Epoch is 8 hex digits drawn when the store was made.
func (o *Outbox) Epoch() string { return fmt.Sprintf("%08x", o.st.epoch) }

// Append stages a record and gives it its number. It is accepted after the next
// Commit that returns nil. The payload is copied.
func (o *Outbox) Append(p Priority, at Stamp, payload []byte) (uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return 0, ErrClosed
	case p >= priorities:
		return 0, fmt.Errorf("outbox: no such priority: %d", p)
	case len(payload) > o.MaxPayload():
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, len(payload), o.MaxPayload())
	}
	if _, err := at.pack(); err != nil {
		return 0, err
	}
	recs, size := o.maxRecs, maxStagedBytes
	if p == Alert {
		recs, size = recs+alertSpare, size+size/8
	}
	if o.staged >= recs || o.stagedBytes+len(payload) > size {
		if o.lastErr != nil {
			return 0, fmt.Errorf("%w: %w", ErrStaged, o.lastErr)
		}
		return 0, ErrStaged
	}
	seq := o.nextSeq
	o.nextSeq++
	l := o.lanes[p]
	l.staged = append(l.staged, Record{seq, p, at, append([]byte(nil), payload...)})
	if o.staged == 0 {
		o.stagedMono = at.MonoMS
	}
	o.staged++
	o.stagedBytes += len(payload)
	o.stagedAlert = o.stagedAlert || p == Alert
	return seq, nil
}

// MaxPayload is the longest payload in bytes.
func (o *Outbox) MaxPayload() int { return min(maxPayload, o.segSize/4) }

// Due tells whether a Commit should be made now: an alert or CommitRecords records
// are staged, or one for CommitEveryMS. nowMonoMS is the clock of Stamp.MonoMS.
func (o *Outbox) Due(nowMonoMS int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.staged == 0 {
		return false
	}
	age := nowMonoMS - o.stagedMono
	return o.stagedAlert || o.staged >= CommitRecords || age >= CommitEveryMS || age < 0
}

// Staged is how many records wait for a Commit.
func (o *Outbox) Staged() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.staged
}

// IsStaged tells whether a record still waits for a Commit that works. After a
// Commit with an error it tells which records were accepted nonetheless.
func (o *Outbox) IsStaged(seq uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lanes {
		for _, r := range l.staged {
			if r.Seq == seq {
				return true
			}
		}
	}
	return false
}

// Len is how many accepted records are not acked.
func (o *Outbox) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, l := range o.lanes {
		n += l.live()
	}
	return n
}

// Stats is the picture now. It may read one page.
func (o *Outbox) Stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.counts
	s.Staged, s.CapBytes = o.staged, o.cap
	s.DiskBytes = stateBytes + int64(o.used())*int64(o.segSize)
	oldest := uint64(0)
	for p, l := range o.lanes {
		s.Waiting[p] = l.live()
		for _, seg := range l.segs {
			s.Bytes += int64(seg.size)
		}
		if !o.closed && len(l.win) == 0 {
			o.next(l)
		}
		for _, e := range l.win {
			if e.state == inFlight {
				s.InFlight++
			}
		}
		if len(l.win) > 0 && (oldest == 0 || l.win[0].seq < oldest) {
			oldest, s.Oldest = l.win[0].seq, l.win[0].at.unpack()
		}
	}
	if o.lastErr != nil {
		s.LastError = o.lastErr.Error()
	}
	return s
}

// Gaps are the losses that nobody has taken over, at most one per priority and
// reason. They survive a restart.
func (o *Outbox) Gaps() []Gap {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]Gap, 0, len(o.st.gaps))
	for _, g := range o.st.gaps {
		out = append(out, g.unpack())
	}
	return out
}

// AckGaps takes over gaps as Gaps returned them: after a record that reports them
// is accepted. What was lost since stays. Durable when it returns nil.
func (o *Outbox) AckGaps(gaps ...Gap) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	changed := false
	for _, g := range gaps {
		changed = o.st.takeGap(g) || changed
	}
	if !changed {
		return nil
	}
	o.dirty = true
	return o.persist()
}

// SetBootWall says when a boot began, by the wall clock, as soon as that is known:
// wall now minus CLOCK_BOOTTIME now, in milliseconds since 1970. It is kept for the
// last eight boots, so that records of an earlier one can be put right.
func (o *Outbox) SetBootWall(boot string, bootWallMS int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := bootNumber(boot)
	if err != nil {
		return err
	}
	if o.closed {
		return ErrClosed
	}
	if !o.st.setClock(n, bootWallMS) {
		return nil
	}
	o.dirty = true
	return o.persist()
}

// Corrected is Correct with what SetBootWall has said of the stamp's boot.
func (o *Outbox) Corrected(at Stamp) (Stamp, bool) {
	n, err := bootNumber(at.Boot)
	if err != nil {
		return at, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.st.clocks {
		if c.boot == n {
			return Correct(at, at.Boot, c.wall)
		}
	}
	return at, false
}

// Close commits what is staged, saves the acks and gives the directory free. The
// store is closed also where that fails.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	err := o.commit()
	if o.dirty {
		err = errors.Join(err, o.persist())
	}
	return errors.Join(err, o.shutAll())
}

func (o *Outbox) shutAll() error {
	o.closed = true
	for _, l := range o.lanes {
		for _, s := range l.segs {
			o.shut(s)
		}
	}
	var err error
	if o.stateFile != nil {
		err = o.stateFile.Close()
		o.stateFile = nil
	}
	return errors.Join(err, o.lock.Close())
}

func (opt Options) withDefaults() Options {
	if opt.FS == nil {
		opt.FS = flash.OS{}
	}
	if opt.Rand == nil {
		opt.Rand = rand.Reader
	}
	if opt.CapBytes == 0 {
		opt.CapBytes = DefaultCapBytes
	}
	if opt.SegmentBytes == 0 {
		opt.SegmentBytes = DefaultSegmentBytes
	}
	if opt.MaxStaged == 0 {
		opt.MaxStaged = DefaultMaxStaged
	}
	opt.MaxStaged = min(opt.MaxStaged, maxMaxStaged)
	opt.SegmentBytes = min(max(opt.SegmentBytes/pageSize*pageSize, minSegment), maxSegment)
	for opt.SegmentBytes > minSegment && opt.segments() < minSegments {
		opt.SegmentBytes = max(opt.SegmentBytes/2/pageSize*pageSize, minSegment)
	}
	return opt
}

// segments is how many fit under the cap.
func (opt Options) segments() int {
	return int((opt.CapBytes - stateBytes) / int64(opt.SegmentBytes))
}
