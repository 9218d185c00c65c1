package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/store"
)

// list is a source that gives what it has, once, and ends.
type list struct {
	batches [][]Publish
	acked   int
	done    context.CancelFunc
}

func (l *list) Next(ctx context.Context) ([]Publish, error) {
	if len(l.batches) == 0 {
		l.done()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b := l.batches[0]
	l.batches = l.batches[1:]
	return b, nil
}

func (l *list) Ack(p []Publish) { l.acked += len(p) }

func event(seq int, name string) Publish {
	raw := fmt.Sprintf(`{"v":1,"dev":"cw-1","ep":"00000001","seq":%d,"type":"event","at":{"wall":"","ok":false,"mono":0},"body":{"name":%q}}`, seq, name)
	return Publish{Topic: "cw/cw-1/e", Payload: []byte(raw)}
}

// One message that the database refuses stands in the middle of five hundred: the
// other 499 are stored, it is kept as rejected, and all are acknowledged.
func TestPoisonInTheMiddle(t *testing.T) {
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "cw.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's
	// A rule of the database that no check of ours knows.
	if _, err := s.DB.Exec(`CREATE TRIGGER refuse BEFORE INSERT ON event WHEN new.body LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'poison'); END`); err != nil {
		t.Fatal(err)
	}
	var batch []Publish
	for i := range 500 {
		name := "sale"
		if i == 250 {
			name = "poison"
		}
		batch = append(batch, event(i+1, name))
	}
	ctx, cancel := context.WithCancel(t.Context())
	src := &list{batches: [][]Publish{batch}, done: cancel}
	stats := &Stats{}
	l := &Loop{Source: src, Store: s, Log: slog.New(slog.DiscardHandler), Stats: stats}
	if err := l.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var events, rejected int
	if err := s.DB.QueryRow("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM rejected WHERE reason = 'refused')").Scan(&events, &rejected); err != nil {
		t.Fatal(err)
	}
	if events != 499 || rejected != 1 || src.acked != 500 {
		t.Errorf("%d events, %d rejected, %d acknowledged; want 499, 1, 500", events, rejected, src.acked)
	}
}

// Whatever comes on whatever topic, it is taken apart without a panic, and what is not
// read is kept as rejected.
func FuzzDecode(f *testing.F) {
	golden, err := filepath.Glob("../../testdata/golden/*.json")
	if err != nil || len(golden) == 0 {
		f.Fatal(err)
	}
	for _, path := range golden {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, leaf := range []string{"a", "e", "s", "w", "l"} {
			f.Add("cw/cw-000123/"+leaf, raw)
		}
		var b protocol.Batcher
		if packed, err := b.Encode([][]byte{raw[:len(raw)-1]}); err == nil {
			f.Add("cw/cw-000123/a", packed)
		}
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		for _, m := range Decode(topic, payload, 1) {
			set := 0
			for _, is := range []bool{m.Envelope != nil, m.Status != nil, m.Last != nil, m.Rejected != nil} {
				if is {
					set++
				}
			}
			if set != 1 {
				t.Fatalf("%d of its kinds are set", set)
			}
			if m.Rejected != nil && m.Rejected.Reason == "panic" {
				t.Fatal(m.Rejected.Detail)
			}
		}
	})
}
