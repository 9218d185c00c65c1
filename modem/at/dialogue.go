package at

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	engine "github.com/warthog618/modem/at"
)

// Limits of the line. Each has its reason.
const (
	// ResyncBound is how long a Command may spend, after a fault, on proving
	// that the line is in step, before the line is given up as lost. It leaves
	// room for one timed-out command and one re-open within the 30 s in which
	// a mute modem must be named; a modem that boots for longer is re-opened.
	ResyncBound = 10 * time.Second
	// proveTimeout is the wait for one AT or marker while proving step: these
	// are answered from the modem's own memory, in milliseconds.
	proveTimeout = 2 * time.Second
	// quietTime without a byte ends a late answer: at 9600 baud a modem that
	// is sending leaves no gap of this length inside a reply.
	quietTime = 300 * time.Millisecond
	// quietMax bounds the wait for quiet on a line that never is.
	quietMax = 2 * time.Second
	// writeTimeout is how long the kernel may take to accept one command. A
	// tty accepts at once unless the modem has stopped reading for good.
	writeTimeout = 5 * time.Second
	// urcQueue is the number of unsolicited lines that may wait for the
	// owner: a boot emits about ten, a flapping cell a few a second.
	urcQueue = 256
	// replyMax bounds one reply: +CLAC and a full +CMGL are the longest.
	replyMax = 64 << 10
	// emptyReadPause is slept after a read that returned nothing: some ports
	// use that for "nothing yet", and must not make a busy loop.
	emptyReadPause = 20 * time.Millisecond
	// closeWait is how long Close waits for the port's reader and writer. A
	// port that does not come back within it is abandoned.
	closeWait = 2 * time.Second
)

// Why a question could not be asked or was not answered. A modem's own ERROR
// is none of these: it is the last line of an answer.
var (
	// ErrTimeout: no final result came in the time given. The line is in doubt
	// and proves step before the next command.
	ErrTimeout = errors.New("no final result in time")
	// ErrOutOfStep: an answer came that cannot be this question's.
	ErrOutOfStep = errors.New("the answer belongs to another question")
	// ErrRebooted: the modem announced a restart before it answered. Its
	// settings (echo, error and URC modes) are gone.
	ErrRebooted = errors.New("the modem restarted")
	// ErrWriteBlocked: the port did not accept the command; it is abandoned.
	ErrWriteBlocked = errors.New("the port does not accept data")
	// ErrLost: step could not be proved within the bound, or the port failed.
	// Only a new port helps.
	ErrLost = errors.New("the line is lost, re-open the port")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the line is closed")
)

// A Line is one line that no command asked for.
type Line struct {
	At   time.Time // when its last byte was read
	Text string
}

// Kinds of a traced line.
const (
	Sent     byte = '>' // a command
	Received byte = '<' // a line of its answer
	Unasked  byte = '!' // an unsolicited line
	Dropped  byte = '~' // an echo, or a line of an answer that came too late
)

// Options tell a Dialogue what it does not know of itself. The zero value works.
type Options struct {
	// IsURC reports whether line, which arrived while command was in flight
	// with seen reply lines before it, is unsolicited. Lines that lead with
	// another command's name never reach it. Nil: none is.
	IsURC func(line, command string, seen int) bool
	// Final reports whether line is a final result, and whether of success.
	// Nil: DefaultFinal. A single digit (ATV0) counts only once a bare AT was
	// answered with 0.
	Final func(line string) (success, final bool)
	// Banners are lines by which the modem announces a restart. Nil: DefaultBanners.
	Banners []string
	// Answers lists, for a command's name, foreign names that its answer also
	// uses: {"+UCGED": {"+RSRP", "+RSRQ"}}.
	Answers map[string][]string
	// Trace, when set, is called in order for each command sent and each line
	// received. It must be quick, and must redact what it keeps.
	Trace func(kind byte, at time.Time, line string)
	// OpenBound replaces ResyncBound for the first proof of a new line; 0
	// keeps it. A search among several ports uses a short one.
	OpenBound time.Duration
}

// DefaultBanners are the restart lines that are told apart from any answer.
var DefaultBanners = []string{"RDY", "APP RDY", "^SYSSTART"}

// Counters tell how the line has behaved. They only grow.
type Counters struct {
	Commands   int // commands that got their own final result
	Timeouts   int
	Late       int // lines of late answers that were swallowed
	Resyncs    int // times that step had to be proved after a fault
	OutOfStep  int // answers refused because they were another question's
	Reboots    int
	NoiseBytes int // bytes dropped: control bytes, garbage, over-long lines
	LongLines  int
	URCs       int
	DroppedURC int // unsolicited lines lost because their queue was full
}

// A Dialogue is one AT line. One command is in flight at a time; calls wait
// for their turn. Its methods are safe for concurrent use.
type Dialogue struct {
	port  io.ReadWriteCloser
	opt   Options
	eng   *engine.AT
	turn  chan struct{} // held by whoever speaks
	urcs  chan Line     // written by the reader only
	done  chan struct{} // closed when the line is lost
	wr    chan []byte
	wrote chan error

	readerGone, writerGone, portGone chan struct{}

	mu        sync.Mutex
	fill      *sync.Cond // toEngine, idle or lost changed
	toEngine  []byte
	idle      bool          // the engine has read all of toEngine and asks for more
	next      *exchange     // prepared, its command not yet written
	now       *exchange     // in flight
	doubt     bool          // step must be proved before the next command
	fresh     bool          // doubt is that of a new line, not of a fault
	late      *exchange     // whose answer may still come while in doubt
	inSMS     bool          // the modem may be waiting for a message text
	digits    bool          // the modem answers with digits (ATV0)
	knowsURCs bool          // Options.IsURC was given
	bound     time.Duration // of the next proof
	marks     bool          // the modem has answered a marker
	begun     bool          // a line has been read
	tail      *Line         // a URC whose second line has not come yet
	lastByte  time.Time
	lost      error
	closeErr  error
	count     Counters
	asm       assembler
}

// exchange is one command and what has come of it.
type exchange struct {
	cmd     string // with its AT
	names   []string
	sms     string // message text, "" for a plain command
	prompt  bool   // the prompt came
	timeout time.Duration
	fed     int  // lines that the engine was given for its answer
	size    int  // their bytes
	kin     bool // a line with this command's name was seen, even if unsolicited
	probe   bool // asked by prove
	written bool // the engine waits for a final result
	ended   bool
	err     error
}

// New starts a dialogue over port, which it owns from now on.
func New(port io.ReadWriteCloser, opt Options) *Dialogue {
	knowsURCs := opt.IsURC != nil
	if opt.IsURC == nil {
		opt.IsURC = func(string, string, int) bool { return false }
	}
	if opt.Final == nil {
		opt.Final = DefaultFinal
	}
	if opt.Banners == nil {
		opt.Banners = DefaultBanners
	}
	if opt.Trace == nil {
		opt.Trace = func(byte, time.Time, string) {}
	}
	if opt.OpenBound == 0 {
		opt.OpenBound = ResyncBound
	}
	d := &Dialogue{
		port: port, opt: opt, doubt: true, fresh: true, knowsURCs: knowsURCs, bound: opt.OpenBound,
		turn: make(chan struct{}, 1), urcs: make(chan Line, urcQueue), done: make(chan struct{}),
		wr: make(chan []byte), wrote: make(chan error, 1),
		readerGone: make(chan struct{}), writerGone: make(chan struct{}), portGone: make(chan struct{}),
		lastByte: time.Now(),
	}
	d.fill = sync.NewCond(&d.mu)
	go d.reader()
	go d.writer()
	d.eng = engine.New((*discipline)(d))
	return d
}

// Unsolicited delivers the lines that no command asked for, once each and in
// order of arrival. It is closed when the line is lost.
func (d *Dialogue) Unsolicited() <-chan Line { return d.urcs }

// Done is closed when the line is lost or closed; Err tells why.
func (d *Dialogue) Done() <-chan struct{} { return d.done }

// Err is nil while the line lives.
func (d *Dialogue) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// Counters returns a snapshot.
func (d *Dialogue) Counters() Counters {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.count
	c.NoiseBytes += d.asm.noise
	c.LongLines += d.asm.long
	return c
}

// Close ends the dialogue and closes the port. It waits for the port's reader
// and writer, but not for ever: a port that hangs is abandoned.
func (d *Dialogue) Close() error {
	d.fail(ErrClosed)
	limit := time.NewTimer(closeWait)
	defer limit.Stop()
	for _, gone := range []chan struct{}{d.portGone, d.readerGone, d.writerGone} {
		select {
		case <-gone:
		case <-limit.C:
			return fmt.Errorf("at: close: %w", ErrWriteBlocked)
		}
	}
	<-d.eng.Closed()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closeErr
}

// Command sends one command line ("AT+CSQ", the AT may be left out) and
// returns all lines of its answer, the original final result last. The error
// tells that there was no answer of its own: ErrTimeout, ErrOutOfStep,
// ErrRebooted, ErrWriteBlocked, ErrLost, ErrClosed or the context's, wrapped
// with the command up to its first '=', so that no secret is in it.
//
// timeout counts from the moment the port took the command. After a fault the
// next Command first proves step, which takes up to the line's bound more.
func (d *Dialogue) Command(ctx context.Context, cmd string, timeout time.Duration) ([]string, error) {
	return d.ask(ctx, cmd, "", timeout)
}

// SMSPrompt sends a command that is answered with a prompt (+CMGS, +CMGW),
// then text and Ctrl-Z. timeout covers both.
func (d *Dialogue) SMSPrompt(ctx context.Context, cmd, text string, timeout time.Duration) ([]string, error) {
	return d.ask(ctx, cmd, text, timeout)
}

func (d *Dialogue) ask(ctx context.Context, cmd, text string, timeout time.Duration) ([]string, error) {
	cmd = "AT" + body(strings.TrimSpace(cmd))
	if strings.ContainsAny(cmd, "\r\n\x1a\x1b") || strings.ContainsAny(text, "\x1a\x1b") {
		return nil, fmt.Errorf("at: %s: control character in the command", Name(cmd))
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("at: %s: %w", Name(cmd), context.Cause(ctx))
	case <-d.done:
		return nil, fmt.Errorf("at: %s: %w", Name(cmd), d.Err())
	}
	if err := d.prove(ctx); err != nil {
		return nil, fmt.Errorf("at: %s: %w", Name(cmd), err)
	}
	lines, err := d.exchange(ctx, &exchange{cmd: cmd, sms: text, timeout: timeout})
	if err != nil {
		if errors.Is(err, ErrTimeout) {
			return nil, fmt.Errorf("at: %s: %w (%v)", Name(cmd), err, timeout)
		}
		return nil, fmt.Errorf("at: %s: %w", Name(cmd), err)
	}
	return lines, nil
}

// Name is a command line without its AT and its parameters, fit for errors:
// "+CPIN" of "AT+CPIN=1234".
func Name(cmd string) string {
	name, _, _ := strings.Cut(body(strings.TrimSpace(cmd)), "=")
	if name == "" {
		return "AT"
	}
	return name
}

// exchange has the engine carry out one command. What comes back is the engine's
// answer; the discipline has seen to it that the engine got this command's lines and
// no others, and exactly one final result, or none and its time was up.
func (d *Dialogue) exchange(ctx context.Context, x *exchange) ([]string, error) {
	x.names = commandNames(x.cmd)
	d.mu.Lock()
	if d.lost != nil {
		defer d.mu.Unlock()
		return nil, d.lost
	}
	d.next = x
	d.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.end(x, context.Cause(ctx))
	})
	defer stop()

	var info []string
	var err error
	if x.sms == "" {
		info, err = d.eng.Command(body(x.cmd), engine.WithTimeout(x.timeout))
	} else {
		info, err = d.eng.SMSCommand(body(x.cmd), x.sms, engine.WithTimeout(x.timeout))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = nil
	if errors.Is(err, engine.ErrDeadlineExceeded) {
		d.end(x, ErrTimeout)
	}
	lines, isResult := answer(info, err)
	if !isResult {
		d.drain()
	}
	switch {
	case x.err != nil:
		return nil, x.err
	case d.lost != nil && !x.ended:
		return nil, d.lost
	case !x.ended || !isResult || len(info) != x.fed: // nothing is certain any more
		d.failLocked(fmt.Errorf("%w: engine: %d of %d lines: %v", ErrLost, len(info), x.fed, err))
		return nil, d.lost
	}
	d.count.Commands++
	return lines, nil
}

// end finishes x once: with its final result (err nil), or without. Then the line is in
// doubt from now on. Caller holds mu.
func (d *Dialogue) end(x *exchange, err error) {
	if x.ended && (x.err != nil || err != ErrTimeout) {
		return // a time that was up first is all that comes later than the end
	}
	x.ended, x.err = true, err
	if err != nil {
		if errors.Is(err, ErrTimeout) {
			d.count.Timeouts++
		}
		d.mistrust()
		if !x.probe { // a proof swallows what the fault before it left
			d.late = x
		}
		d.inSMS = d.inSMS || x.sms != ""
		if x.written && err != ErrTimeout { // after that the engine waits no longer
			d.feed("ERROR")
		}
	}
	if d.now == x {
		d.now = nil
	}
}

// drain waits until the engine, which waits for no answer, has thrown away what it was
// given: what its time-out left unread would be read as the next command's. It reads
// line by line and holds one in its hands, so a further, empty line is handed in, and
// once that was taken nothing older is left. Caller holds mu.
func (d *Dialogue) drain() {
	d.toEngine = append(d.toEngine[:0], "\r\n"...)
	d.idle = false
	d.fill.Broadcast()
	for !d.idle && d.lost == nil {
		d.fill.Wait()
	}
}

// mistrust marks the line as one whose step must be proved. Caller holds mu.
func (d *Dialogue) mistrust() { d.doubt, d.fresh = true, false }

// feed hands the engine one line. Caller holds mu.
func (d *Dialogue) feed(line string) {
	d.toEngine = append(d.toEngine, line...)
	d.toEngine = append(d.toEngine, "\r\n"...)
	d.fill.Broadcast()
}

// fail gives the line up.
func (d *Dialogue) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failLocked(err)
}

func (d *Dialogue) failLocked(err error) {
	if d.lost != nil {
		return
	}
	d.lost = err
	for _, x := range []*exchange{d.next, d.now} {
		if x != nil {
			d.end(x, err)
		}
	}
	close(d.done)
	d.fill.Broadcast()
	// Closing may hang with a stuck driver: never on the caller's path.
	go func() {
		cerr := d.port.Close()
		d.mu.Lock()
		d.closeErr = cerr
		d.mu.Unlock()
		close(d.portGone)
	}()
}

// discipline is the io.ReadWriter that the engine is given.
type discipline Dialogue

// Read gives the engine the lines that answer the command in flight.
func (l *discipline) Read(p []byte) (int, error) {
	d := (*Dialogue)(l)
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.toEngine) == 0 {
		if d.lost != nil {
			return 0, io.EOF
		}
		d.idle = true
		d.fill.Broadcast()
		d.fill.Wait()
	}
	d.idle = false
	n := copy(p, d.toEngine)
	d.toEngine = d.toEngine[:copy(d.toEngine, d.toEngine[n:])]
	return n, nil
}

// Write takes a command or a message text from the engine; the command in
// flight is the one that is written here.
func (l *discipline) Write(p []byte) (int, error) {
	d := (*Dialogue)(l)
	out := strings.TrimRight(string(p), "\r\n")
	if out == "\x1b" {
		// TS 27.005 §3.5.1: ESC leaves the text without sending it. The engine sends
		// it when the time of a message is up, and when it is told to.
		d.mu.Lock()
		if d.now != nil {
			d.end(d.now, ErrTimeout)
		}
		d.mu.Unlock()
		if err := d.write([]byte("\x1b\r")); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	text := strings.HasSuffix(out, "\x1a")
	d.mu.Lock()
	x := d.now
	if !text {
		x, d.next = d.next, nil
		d.now = x
		// V.250 §5.2.1: a command line ends with S3, CR alone. A stray LF
		// would lead the next line, or the message text.
		out += "\r"
	}
	if d.lost != nil || x == nil || x.ended {
		d.now = nil
		d.mu.Unlock()
		return 0, ErrClosed
	}
	x.written = true
	d.opt.Trace(Sent, time.Now(), strings.TrimRight(out, "\r\x1a"))
	d.mu.Unlock()

	if err := d.write([]byte(out)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// write hands p to the writer and waits for it, but not for ever.
func (d *Dialogue) write(p []byte) error {
	limit := time.NewTimer(writeTimeout)
	defer limit.Stop()
	select {
	case d.wr <- p:
	case <-d.done:
		return d.Err()
	}
	select {
	case err := <-d.wrote:
		if err != nil {
			d.fail(fmt.Errorf("%w: write: %v", ErrLost, err))
			return d.Err()
		}
		return nil
	case <-d.done:
		return d.Err()
	case <-limit.C:
		d.fail(ErrWriteBlocked)
		return d.Err()
	}
}

// writer is the only goroutine that writes to the port.
func (d *Dialogue) writer() {
	defer close(d.writerGone)
	for {
		select {
		case <-d.done:
			return
		case p := <-d.wr:
			n, err := d.port.Write(p)
			if err == nil && n < len(p) {
				err = io.ErrShortWrite
			}
			d.wrote <- err
		}
	}
}

// reader is the only goroutine that reads from the port.
func (d *Dialogue) reader() {
	defer close(d.readerGone)
	defer close(d.urcs)
	buf := make([]byte, 1024)
	for {
		n, err := d.port.Read(buf)
		if n > 0 {
			d.take(buf[:n], time.Now())
		}
		if err != nil {
			d.fail(fmt.Errorf("%w: read: %v", ErrLost, err))
			return
		}
		if n == 0 {
			time.Sleep(emptyReadPause)
		}
		select {
		case <-d.done:
			return
		default:
		}
	}
}

// take works through bytes that have arrived.
func (d *Dialogue) take(p []byte, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost != nil {
		return
	}
	d.lastByte = at
	for _, b := range p {
		if x := d.now; b == '>' && x != nil && x.sms != "" && !x.prompt && d.asm.atStart() {
			// TS 27.005 §4.3: the prompt is not ended by CR.
			x.prompt = true
			d.opt.Trace(Received, at, ">")
			d.toEngine = append(d.toEngine, '>')
			d.fill.Broadcast()
			continue
		}
		if line, ok := d.asm.push(b); ok {
			d.line(line, at)
		}
	}
}
