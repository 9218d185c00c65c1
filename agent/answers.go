package agent

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"

	"cellwarden/agent/core"
	"cellwarden/protocol"
)

// Bounds of a bundle on the air.
const (
	// bundlePart is how much gzip one answer carries: in base64 and its envelope it
	// stays below protocol.MaxEnvelope.
	bundlePart = 10 << 10
	// maxBundle is the whole: the recorder's 128 KB of lines pack to about 20 KB.
	maxBundle = 64 << 10
	// bundleAir is what a byte of it costs on the air: base64, packets, answers.
	bundleAir = 1.5
)

// sendBundle answers a bundle command with the flight recorder's content, in
// pieces, as far as the day's bytes allow. Only the first piece passes the
// backlog; it says how many there are.
func (l *loop) sendBundle(id string) {
	parts, err := l.bundle()
	if err != nil {
		l.answerCommand(core.Alert, protocol.Reply{ID: id, Error: err.Error()})
		return
	}
	for i, gz := range parts {
		result, err := json.Marshal(protocol.BundlePart{Part: i + 1, Parts: len(parts), GZ: gz})
		if err != nil {
			l.log.Error("answer cannot be encoded", "error", err)
			return
		}
		p := core.EventPriority
		if i == 0 {
			p = core.Alert
		}
		l.answerCommand(p, protocol.Reply{ID: id, OK: true, Result: result})
	}
}

func (l *loop) bundle() ([][]byte, error) {
	var text, packed, gz bytes.Buffer
	if err := writeBundle(&text, l.recorder, l.version, l.core.View(), l.core.Recording()); err != nil {
		return nil, err
	}
	if err := json.Compact(&packed, text.Bytes()); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	w := gzip.NewWriter(&gz)
	_, _ = w.Write(packed.Bytes()) // a Buffer takes all
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if gz.Len() > maxBundle {
		return nil, fmt.Errorf("the recording takes %d bytes, at most %d are sent; fetch it on the spot with cellwarden bundle", gz.Len(), maxBundle)
	}
	cost := uint64(float64(gz.Len()) * bundleAir)
	if left, _ := l.budget.left(l.hw.Now()); cost > left {
		return nil, fmt.Errorf("the recording costs %d bytes, %d are left of uplink.daily_budget_bytes; ask again after midnight UTC", cost, left)
	}
	var parts [][]byte
	for rest := gz.Bytes(); len(rest) > 0; {
		n := min(len(rest), bundlePart)
		parts = append(parts, rest[:n])
		rest = rest[n:]
	}
	return parts, nil
}

func (l *loop) answerCommand(p core.Priority, r protocol.Reply) {
	body, err := json.Marshal(r)
	if err != nil {
		l.log.Error("answer cannot be encoded", "error", err)
		return
	}
	l.store(core.Store{Type: protocol.TypeReply, Priority: p, Body: body, At: l.at().Instant, Now: true})
}
