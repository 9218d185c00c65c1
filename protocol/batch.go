package protocol

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// Limits of one PUBLISH that carries several envelopes.
const (
	// BatchItems is what a device puts into one batch. At 32 an envelope costs
	// 26 to 31 bytes; more saves little and loses more when a link drops.
	BatchItems = 32
	// BatchBytes bounds the JSON in one batch. It gzips to 1 to 4 KB, so that an
	// alert never waits behind more than a second or two of a slow uplink.
	BatchBytes = 16 << 10
	// MaxPublish is the largest payload that a reader looks at.
	MaxPublish = 64 << 10
	// MaxInflated is the most that a reader unpacks: 16 times what a device
	// sends. A gzip bomb ends here.
	MaxInflated = 256 << 10
	// MaxBatchItems is the most envelopes a reader takes from one batch.
	MaxBatchItems = 1024
)

// gzipMagic opens every gzip stream (RFC 1952 §2.3.1). A JSON object opens with
// "{", so the first byte tells a batch from a single envelope.
const gzipMagic = 0x1f

// Batcher packs envelopes into batches. The zero value is ready; it keeps its
// compressor (about 0.8 MB), so drop it when the backlog is gone. It is not
// safe for concurrent use.
type Batcher struct {
	zw  *gzip.Writer
	buf bytes.Buffer
}

// Encode packs envelopes, each as written by MarshalEnvelope, into one payload:
// gzip over one envelope a line. The result is the caller's.
func (b *Batcher) Encode(envelopes [][]byte) ([]byte, error) {
	if len(envelopes) == 0 || len(envelopes) > MaxBatchItems {
		return nil, fmt.Errorf("batch of %d envelopes: want 1 to %d", len(envelopes), MaxBatchItems)
	}
	b.buf.Reset()
	if b.zw == nil {
		zw, err := gzip.NewWriterLevel(&b.buf, gzip.BestCompression)
		if err != nil {
			return nil, fmt.Errorf("batch: %w", err)
		}
		b.zw = zw
	} else {
		b.zw.Reset(&b.buf)
	}
	total := 0
	for _, e := range envelopes {
		if bytes.IndexByte(e, '\n') >= 0 {
			return nil, errors.New("batch: an envelope spans lines")
		}
		if total += len(e) + 1; total > MaxInflated {
			return nil, fmt.Errorf("batch: more than %d bytes", MaxInflated)
		}
		b.zw.Write(e)            // to memory: cannot fail before Close tells
		b.zw.Write([]byte{'\n'}) // likewise
	}
	if err := b.zw.Close(); err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	if b.buf.Len() > MaxPublish {
		return nil, fmt.Errorf("batch: %d bytes packed; the limit is %d", b.buf.Len(), MaxPublish)
	}
	return bytes.Clone(b.buf.Bytes()), nil
}

// ErrNoEnvelope is wrapped by DecodePublish for a topic that carries something
// else: the status topic (see DecodeStatus) and the command topic.
var ErrNoEnvelope = errors.New("this topic carries no envelopes")

// DecodePublish reads the payload of one PUBLISH from a device: a single
// envelope or a batch, in the order in which the device wrote them. All or
// nothing: one bad envelope refuses the payload (DecodeItems keeps the others).
// The device of each must be that of the topic, and its type must belong there,
// because a broker's access rules guard the topic only.
func DecodePublish(topic string, payload []byte) ([]Envelope, error) {
	items, err := DecodeItems(topic, payload)
	if err != nil {
		return nil, err
	}
	out := make([]Envelope, 0, len(items))
	for _, it := range items {
		if it.Err != nil {
			return nil, it.Err
		}
		out = append(out, it.Envelope)
	}
	return out, nil
}

// Item is one line of a PUBLISH: an envelope, or why Raw is none.
type Item struct {
	Envelope Envelope
	Raw      []byte
	Err      error
}

// DecodeItems reads like DecodePublish, but judges each line for itself. An error
// says that nothing could be read at all.
func DecodeItems(topic string, payload []byte) ([]Item, error) {
	t, err := ParseTopic(topic)
	if err != nil {
		return nil, err
	}
	row, _ := infoOf(t.Leaf)
	if len(row.Types) == 0 {
		return nil, fmt.Errorf("topic %q: %w", topic, ErrNoEnvelope)
	}
	if len(payload) == 0 {
		return nil, errors.New("empty payload")
	}
	if len(payload) > MaxPublish {
		return nil, fmt.Errorf("payload of %d bytes; the limit is %d", len(payload), MaxPublish)
	}
	lines := [][]byte{payload}
	if payload[0] == gzipMagic {
		if lines, err = unpack(payload); err != nil {
			return nil, fmt.Errorf("batch: %w", err)
		}
	}
	out := make([]Item, 0, len(lines))
	for i, line := range lines {
		e, err := UnmarshalEnvelope(line)
		if err == nil {
			err = t.belongs(e)
		}
		if err != nil {
			err = fmt.Errorf("message %d of %d: %w", i+1, len(lines), err)
		}
		out = append(out, Item{e, line, err})
	}
	return out, nil
}

// ErrForged is wrapped when an envelope names another device than its topic.
var ErrForged = errors.New("the device in the message is not that of the topic")

func (t Topic) belongs(e Envelope) error {
	if e.Device != t.Device {
		return fmt.Errorf("device %q on the topic of %q: %w", e.Device, t.Device, ErrForged)
	}
	if want, err := LeafFor(e.Type); err == nil && want != t.Leaf {
		return fmt.Errorf("type %q belongs on leaf %q, not %q", e.Type, want, t.Leaf)
	}
	return nil
}

// unpack inflates a batch within its limits and splits it into lines.
func unpack(payload []byte) ([][]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(zr, MaxInflated+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > MaxInflated {
		return nil, fmt.Errorf("unpacks to more than %d bytes", MaxInflated)
	}
	lines := bytes.Split(bytes.TrimSuffix(plain, []byte("\n")), []byte("\n"))
	if len(lines) > MaxBatchItems {
		return nil, fmt.Errorf("%d envelopes; the limit is %d", len(lines), MaxBatchItems)
	}
	return lines, nil
}
