package worker

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"slices"
	"time"

	"cellwarden/agent/device"
	"cellwarden/agent/machine"
	"cellwarden/agent/machine/ddcmp"
	"cellwarden/agent/machine/dex"
	"cellwarden/agent/machine/line"
	"cellwarden/agent/machine/mdb"
)

// MachineOptions say how the machine is read.
type MachineOptions struct {
	Audit string // off, dex, ddcmp
	Bus   string // off, sniffer, tap
	ID    dex.ID
	Codes ddcmp.Codes
}

// Machine is the worker of the machine's ports: it polls the audit port when it is
// asked, and listens to the payment bus.
type Machine struct {
	hw     device.Hardware
	log    *slog.Logger
	opt    MachineOptions
	file   AuditFile
	polls  chan uint64
	events chan<- machine.Event
}

// NewMachine makes the worker; events is where it tells what it learns.
func NewMachine(hw device.Hardware, opt MachineOptions, file AuditFile, log *slog.Logger, events chan<- machine.Event) *Machine {
	return &Machine{hw: hw, log: log, opt: opt, file: file, polls: make(chan uint64, 1), events: events}
}

// Request asks for one poll, whose audit gets the number seq. It is false where one
// waits already.
func (w *Machine) Request(seq uint64) bool {
	select {
	case w.polls <- seq:
		return true
	default:
		return false
	}
}

func (w *Machine) at() machine.At { return machine.At{Instant: w.hw.Now()} }

func (w *Machine) tell(ctx context.Context, e machine.Event) {
	select {
	case w.events <- e:
	case <-ctx.Done():
	}
}

// RunAudit polls until ctx ends.
func (w *Machine) RunAudit(ctx context.Context) error {
	var rev dex.Revision // the one that worked last
	for {
		select {
		case <-ctx.Done():
			return nil
		case seq := <-w.polls:
			w.poll(ctx, seq, &rev)
		}
	}
}

// poll reads one audit. What was kept is handed over however the session ended: the
// machine may have cleared what is in it.
func (w *Machine) poll(ctx context.Context, seq uint64, rev *dex.Revision) {
	port, err := w.hw.OpenAudit()
	if err != nil {
		w.log.Warn("audit port", "error", err)
		w.tell(ctx, machine.ReadFailed{At: w.at(), Source: w.opt.Audit, Reason: "no_port"})
		return
	}
	var kept []byte
	keep := func(text []byte) error {
		if err := w.file.Keep(seq, text); err != nil {
			w.log.Error("the audit is not kept, so it is not acknowledged", "error", err)
			return err
		}
		kept = slices.Clone(text)
		return nil
	}
	reason := ""
	if w.opt.Audit == "ddcmp" {
		end := line.DDCMP(ctx, port, w.opt.Codes, w.hw.Now().Wall, keep)
		reason = string(end.Reason)
		w.log.Info("audit read", "by", "ddcmp", "end", reason, "bytes", len(end.Audit), "damaged", end.Bad)
	} else {
		end := line.DEX(ctx, port, w.opt.ID, *rev, keep)
		reason = string(end.Reason)
		if end.Reason == dex.Done {
			*rev = end.Rev
		}
		w.log.Info("audit read", "by", "dex", "end", reason, "code", end.Code, "bytes", len(end.Audit), "damaged", end.Bad,
			"machine_began", end.Master)
	}
	if kept != nil {
		w.tell(ctx, machine.AuditRead{At: w.at(), Seq: seq, Source: w.opt.Audit, Text: kept})
		return
	}
	if ctx.Err() == nil {
		w.tell(ctx, machine.ReadFailed{At: w.at(), Source: w.opt.Audit, Reason: reason})
	}
}

// RunBus listens until ctx ends, and opens the port again when it was lost.
func (w *Machine) RunBus(ctx context.Context) error {
	wait, last := reopenMin, ""
	for ctx.Err() == nil {
		port, err := w.hw.OpenBus()
		if err != nil {
			if err.Error() != last {
				last = err.Error()
				w.log.Warn("payment bus", "error", err)
			}
		} else {
			began := w.hw.Now()
			w.listen(ctx, port)
			last = ""
			if ctx.Err() == nil {
				w.tell(ctx, machine.Heard{At: w.at(), Event: mdb.Event{Kind: mdb.Silent}})
			}
			if w.hw.Now().Sub(began) > reopenMax {
				wait = reopenMin
			}
		}
		c, stop := w.hw.Timer(w.hw.Now().Mono + wait)
		select {
		case <-ctx.Done():
		case <-c:
		}
		stop()
		wait = min(2*wait, reopenMax)
	}
	return nil
}

func (w *Machine) listen(ctx context.Context, port io.ReadWriteCloser) {
	say := func(e mdb.Event) { w.tell(ctx, machine.Heard{At: w.at(), Event: e}) }
	if w.opt.Bus == "tap" {
		bad := line.Tap(ctx, port, say)
		w.log.Info("payment bus lost", "by", "tap", "bytes_without_a_frame", bad)
		return
	}
	version, bad := line.Sniff(ctx, port, say)
	w.log.Info("payment bus lost", "by", "sniffer", "adapter", version, "lines_not_read", bad)
}

// AuditState names the kept audit among the states of the store.
const AuditState = "audit"

// AuditFile is the audit on the flash, as the machine sent it: from before the machine
// was told that we have it until the next one. It lies deflated in two slots that are
// written in turn: an audit of 8 KB costs the flash one page, a new file 70 KB.
type AuditFile struct {
	Save func(name string, data []byte) error // durable when it returns nil
	Load func(name string) []byte
}

// seqLen is the number in front of the text.
const seqLen = 8

// maxKept bounds what is read back.
const maxKept = 64 << 10

// Keep puts one on the flash; it is there when Keep returns nil.
func (f AuditFile) Keep(seq uint64, text []byte) error {
	var b bytes.Buffer
	b.Write(binary.BigEndian.AppendUint64(nil, seq))
	zw, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return err
	}
	if _, err := zw.Write(text); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	return f.Save(AuditState, b.Bytes())
}

// Kept gives the one on the flash; 0 where there is none.
func (f AuditFile) Kept() (seq uint64, text []byte, err error) {
	data := f.Load(AuditState)
	if len(data) < seqLen {
		return 0, nil, nil
	}
	text, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data[seqLen:])), maxKept))
	return binary.BigEndian.Uint64(data), text, err
}

// MachineTick is how often the machine's judgement is told the time.
const MachineTick = time.Minute
