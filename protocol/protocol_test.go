package protocol

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// testKey is made from a fixed seed: it signs nothing outside the tests.
var (
	testKey = ed25519.NewKeyFromSeed([]byte("cellwarden test key, not secret!"))
	testPub = testKey.Public().(ed25519.PublicKey)
)

func TestCheckDeviceID(t *testing.T) {
	for _, tt := range []struct {
		id, want string // want: part of the error, "" for none
	}{
		{"cw-000123", ""},
		{"00:1A:2B_x", ""},
		{strings.Repeat("a", MaxDeviceID), ""},
		{strings.Repeat("a", MaxDeviceID+1), "too long"},
		{"", "empty"},
		{"a/b", `'/'`},
		{"a+", `'+'`},
		{"#", `'#'`},
		{"a\x00b", `'\x00'`},
		{"a.b", `'.'`},
		{"$SYS", `'$'`},
		{"机器", "place 1"},
		{"a b", `' '`},
	} {
		err := CheckDeviceID(tt.id)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.id, err, tt.want)
		}
	}
}

func TestParseTopic(t *testing.T) {
	for _, tt := range []struct {
		topic string
		want  Topic
		fails string
	}{
		{topic: "cw/dev-1/a", want: Topic{"cw", "dev-1", LeafAlert}},
		{topic: "acme/site9/dev-1/w", want: Topic{"acme/site9", "dev-1", LeafStatus}},
		{topic: "dev-1/a", fails: "want <prefix>"},
		{topic: "cw/dev-1/z", fails: "unknown leaf"},
		{topic: "cw//a", fails: "empty"},
		{topic: "/dev-1/a", fails: "prefix of 0 bytes"},
		{topic: "cw//dev-1/a", fails: "empty level"},
		{topic: "cw/+/a", fails: "'+'"},
		{topic: "cw/" + strings.Repeat("x", 200) + "/a", fails: "too long"},
	} {
		got, err := ParseTopic(tt.topic)
		if tt.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%q: %v, want %q", tt.topic, err, tt.fails)
			}
			continue
		}
		if err != nil || got != tt.want || got.String() != tt.topic {
			t.Errorf("%q: %+v %v", tt.topic, got, err)
		}
	}
}

func TestEveryTypeHasOneTopic(t *testing.T) {
	seen := map[Type]Leaf{}
	for _, row := range Leaves {
		if len(row.Leaf) != 1 {
			t.Errorf("leaf %q: one byte is enough and each is paid for", row.Leaf)
		}
		for _, typ := range row.Types {
			if other, dup := seen[typ]; dup {
				t.Errorf("%s is on %s and on %s", typ, other, row.Leaf)
			}
			seen[typ] = row.Leaf
		}
	}
	for typ := range bodies {
		if _, err := LeafFor(typ); err != nil {
			t.Error(err)
		}
	}
}

func TestUnmarshalEnvelopeRefuses(t *testing.T) {
	good := `{"v":1,"dev":"d","ep":"0123abcd","seq":1,"type":"event","at":{"wall":"","ok":false,"mono":1},"body":{"name":"x"}}`
	if _, err := UnmarshalEnvelope([]byte(good)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in the good one", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	deep := strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth)
	for _, tt := range []struct{ name, in, want string }{
		{"newer version", swap(`"v":1`, `"v":2`), "not known"},
		{"no version", swap(`"v":1,`, ``), "version 0"},
		{"seq 0", swap(`"seq":1`, `"seq":0`), "sequence 0"},
		{"negative seq", swap(`"seq":1`, `"seq":-1`), "cannot unmarshal"},
		{"device with slash", swap(`"dev":"d"`, `"dev":"d/e"`), "'/'"},
		{"epoch upper case", swap(`0123abcd`, `0123ABCD`), "epoch"},
		{"type with space", swap(`"type":"event"`, `"type":"an event"`), "type"},
		{"body is a string", swap(`{"name":"x"}`, `"x"`), "not a JSON object"},
		{"body is missing", swap(`,"body":{"name":"x"}`, ``), "not a JSON object"},
		{"trailing bytes", good + "{}", "after top-level"},
		{"not UTF-8", swap(`"x"`, "\"\xff\""), "UTF-8"},
		{"too deep", swap(`{"name":"x"}`, deep), "deep"},
		{"too long", swap(`"x"`, `"`+strings.Repeat("x", MaxEnvelope)+`"`), "limit"},
		{"truncated", good[:len(good)-3], "unexpected end"},
	} {
		if _, err := UnmarshalEnvelope([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	// A brace in a string is no nesting; a newer device's field and type pass.
	for _, in := range []string{
		swap(`"x"`, `"`+strings.Repeat("{", MaxDepth+1)+`\""`),
		swap(`"seq":1`, `"seq":1,"hop":3`),
		swap(`"type":"event"`, `"type":"later"`),
	} {
		if e, err := UnmarshalEnvelope([]byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
		} else if body, err := e.DecodeBody(); err != nil || (e.Type == "later") != (body == nil) {
			t.Errorf("%s: body %v, %v", in, body, err)
		}
	}
}

// sale is a 14-field machine event as in the field, about 230 bytes of data.
func sale(seq uint64) []byte {
	data := fmt.Sprintf(`{"slot":%d,"fen":%d,"paid":"wechat","temp":%d.%d,"stock":%d,"door":false,"order":"20261122%06d"}`,
		seq%40, 100+seq*7%900, seq%5+3, seq%10, 9-seq%9, seq*7919%1000000)
	body, err := NewBody(MachineEvent{Name: "sale", Data: json.RawMessage(data)})
	if err != nil {
		panic(err)
	}
	wall := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC).Add(time.Duration(seq) * 47 * time.Second)
	out, err := MarshalEnvelope(Envelope{V: 1, Device: "cw-000123", Epoch: "9a0b1c2d", Seq: seq, Type: TypeEvent,
		At: Time{Wall: wall.Format("2006-01-02T15:04:05.000Z07:00"), Trusted: true, Boot: "1f2e3d4c", MonoMS: int64(seq)*47_000 + int64(seq*31%997)}, Body: body})
	if err != nil {
		panic(err)
	}
	return out
}

func TestBatchThereAndBack(t *testing.T) {
	var b Batcher
	for round := uint64(0); round < 3; round++ { // the compressor is used again
		var in [][]byte
		plain := 0
		for i := uint64(1); i <= BatchItems; i++ {
			in = append(in, sale(round*100+i))
			plain += len(in[i-1])
		}
		payload, err := b.Encode(in)
		if err != nil {
			t.Fatal(err)
		}
		list, err := DecodePublish("cw/cw-000123/e", payload)
		if err != nil || len(list) != BatchItems {
			t.Fatalf("%d, %v", len(list), err)
		}
		for i, e := range list {
			if again, _ := MarshalEnvelope(e); !bytes.Equal(again, in[i]) {
				t.Fatalf("message %d came back as %s, sent %s", i, again, in[i])
			}
		}
		per := float64(len(payload)) / BatchItems
		t.Logf("%d events of %d B: %d B packed, %.1f B each", BatchItems, plain/BatchItems, len(payload), per)
		if per > 50 {
			t.Errorf("%.1f bytes an event; the figure to hold on the air is 60 with all overhead", per)
		}
	}
}

func gz(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	zw.Write(plain)
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodePublishRefuses(t *testing.T) {
	other := bytes.Replace(sale(1), []byte("cw-000123"), []byte("cw-000124"), 1)
	batch := gz(t, append(append(sale(1), '\n'), sale(2)...))
	for _, tt := range []struct {
		name, topic string
		payload     []byte
		want        string
	}{
		{"a device on another's topic", "cw/cw-000123/e", other, `device "cw-000124" on the topic`},
		{"an event on the alert topic", "cw/cw-000123/a", sale(1), "belongs on leaf"},
		{"a stranger in a batch", "cw/cw-000123/e", gz(t, append(append(sale(1), '\n'), other...)), "message 2 of 2"},
		{"nothing", "cw/cw-000123/e", nil, "empty"},
		{"the status topic", "cw/cw-000123/w", []byte(`{"v":1,"up":true}`), "carries no envelopes"},
		{"gzip of nothing", "cw/cw-000123/e", gz(t, nil), "message 1 of 1"},
		{"cut batch", "cw/cw-000123/e", batch[:len(batch)-5], "unexpected EOF"},
		{"flipped bit in a batch", "cw/cw-000123/e", flip(batch, len(batch)-7), "checksum"},
		{"too many lines", "cw/cw-000123/e", gz(t, bytes.Repeat([]byte("{}\n"), MaxBatchItems+1)), "envelopes; the limit"},
		{"too long", "cw/cw-000123/e", make([]byte, MaxPublish+1), "limit"},
	} {
		if _, err := DecodePublish(tt.topic, tt.payload); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x40
	return b
}

// TestGzipBomb: 60 KB that unpack to 60 MB cost the reader no more than its bound.
func TestGzipBomb(t *testing.T) {
	bomb := gz(t, make([]byte, 60<<20))
	if len(bomb) > MaxPublish {
		t.Fatalf("the bomb has %d bytes: it would be refused by its size", len(bomb))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := DecodePublish("cw/d/e", bomb)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Fatalf("error %v", err)
	}
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 8*MaxInflated {
		t.Errorf("allocated %d bytes on a bomb; the bound is %d", spent, 8*MaxInflated)
	}
}

func TestBatcherRefuses(t *testing.T) {
	var b Batcher
	if _, err := b.Encode(nil); err == nil {
		t.Error("an empty batch was packed")
	}
	if _, err := b.Encode([][]byte{[]byte("{\n}")}); err == nil {
		t.Error("an envelope over two lines was packed")
	}
	if _, err := b.Encode([][]byte{make([]byte, MaxInflated)}); err == nil {
		t.Error("a batch that no reader would unpack was packed")
	}
	if out, err := b.Encode([][]byte{sale(1)}); err != nil {
		t.Errorf("after refusals: %v", err)
	} else if list, err := DecodePublish("cw/cw-000123/e", out); err != nil || len(list) != 1 {
		t.Errorf("after refusals: %d, %v", len(list), err)
	}
}

func TestCommandSignature(t *testing.T) {
	c := Command{V: 1, ID: "c1", Expires: "2026-12-01T00:00:00Z", Do: "plan", Args: json.RawMessage(`{ "quota_bytes" : 1 }`)}
	signed, err := SignCommand(testKey, "cw-1", c)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := MarshalCommand(signed)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeCommand(wire)
	if err != nil {
		t.Fatal(err)
	}
	otherKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)).Public().(ed25519.PublicKey)
	if err := got.Verify("cw-1", otherKey, testPub); err != nil {
		t.Errorf("second of two keys: %v", err)
	}
	const layout = "cellwarden-command\n1\ncw-1\nc1\n2026-12-01T00:00:00Z\nplan\n{\"quota_bytes\":1}"
	if s := string(got.SigningBytes("cw-1")); s != layout {
		t.Errorf("signed bytes %q, documented as %q", s, layout)
	}
	for _, tt := range []struct {
		name   string
		change func(*Command)
		device string
		keys   []ed25519.PublicKey
		want   error
	}{
		{"another machine", func(*Command) {}, "cw-2", []ed25519.PublicKey{testPub}, ErrBadSignature},
		{"no key", func(*Command) {}, "cw-1", nil, ErrBadSignature},
		{"wrong key", func(*Command) {}, "cw-1", []ed25519.PublicKey{otherKey}, ErrBadSignature},
		{"short key", func(*Command) {}, "cw-1", []ed25519.PublicKey{{1, 2}}, ErrBadSignature},
		{"other id", func(c *Command) { c.ID = "c2" }, "cw-1", []ed25519.PublicKey{testPub}, ErrBadSignature},
		{"later expiry", func(c *Command) { c.Expires = "2026-12-02T00:00:00Z" }, "cw-1", []ed25519.PublicKey{testPub}, ErrBadSignature},
		{"other deed", func(c *Command) { c.Do = "config" }, "cw-1", []ed25519.PublicKey{testPub}, ErrBadSignature},
		{"other args", func(c *Command) { c.Args = json.RawMessage(`{"quota_bytes":2}`) }, "cw-1", []ed25519.PublicKey{testPub}, ErrBadSignature},
		{"args with space", func(c *Command) { c.Args = json.RawMessage(`{"quota_bytes": 1}`) }, "cw-1", []ed25519.PublicKey{testPub}, ErrBadSignature},
		{"other version", func(c *Command) { c.V = 0 }, "cw-1", []ed25519.PublicKey{testPub}, ErrBadSignature},
		{"unsigned", func(c *Command) { c.Sig = "" }, "cw-1", []ed25519.PublicKey{testPub}, ErrNoSignature},
		{"half a signature", func(c *Command) { c.Sig = c.Sig[:44] }, "cw-1", []ed25519.PublicKey{testPub}, ErrBadSignature},
	} {
		bad := got
		tt.change(&bad)
		if err := bad.Verify(tt.device, tt.keys...); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestDecodeCommandRefuses(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"newline in the id", `{"v":1,"id":"a\nb","expires":"2026-12-01T00:00:00Z","do":"report"}`, "id"},
		{"no id", `{"v":1,"expires":"2026-12-01T00:00:00Z","do":"report"}`, "id"},
		{"no expiry", `{"v":1,"id":"a","do":"report"}`, "RFC 3339"},
		{"expiry in words", `{"v":1,"id":"a","expires":"tomorrow","do":"report"}`, "RFC 3339"},
		{"a shell line", `{"v":1,"id":"a","expires":"2026-12-01T00:00:00Z","do":"rm -rf"}`, "do"},
		{"args a list", `{"v":1,"id":"a","expires":"2026-12-01T00:00:00Z","do":"report","args":[1]}`, "args"},
		{"newer", `{"v":2,"id":"a","expires":"2026-12-01T00:00:00Z","do":"report"}`, "not known"},
		{"no JSON", `report`, "invalid character"},
		{"too long", `{"v":1,"id":"` + strings.Repeat("a", MaxCommand) + `"}`, "limit"},
		{"deep", strings.Repeat("[", 100), "deep"},
	} {
		if _, err := DecodeCommand([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestReplay(t *testing.T) {
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	year1970 := time.Date(1970, 1, 1, 0, 3, 0, 0, time.UTC)
	cmd := func(id string, in time.Duration) Command {
		return Command{V: 1, ID: id, Expires: now.Add(in).Format(time.RFC3339), Do: "report"}
	}
	var r Replay
	step := func(what string, c Command, at time.Time, trusted bool, want error) {
		t.Helper()
		var kept Replay // it lives on disk between commands
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &kept); err != nil {
			t.Fatal(err)
		}
		r = kept
		if err := r.Accept(c, at, trusted); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	step("fresh", cmd("a", time.Hour), now, true, nil)
	step("again", cmd("a", time.Hour), now, true, ErrReplayed)
	step("again, the clock lost", cmd("a", time.Hour), year1970, false, ErrReplayed)
	step("expired", cmd("b", -time.Second), now, true, ErrExpired)
	step("expires this second", cmd("b", 0), now, true, ErrExpired)
	step("32 days ahead", cmd("c", 32*24*time.Hour), now, true, ErrTooFarAhead)
	step("clock in 1970, expiry unknown", cmd("d", 2*time.Hour), year1970, false, nil)
	step("the first expired and was forgotten", cmd("e", 5*time.Hour), now.Add(90*time.Minute), true, nil)
	if len(r.Seen) != 2 {
		t.Errorf("%d ids kept, want d and e", len(r.Seen))
	}
	step("replay of a forgotten one, the clock lost", cmd("a", time.Hour), year1970, false, ErrReplayed)
}

// TestReplayIsBounded: with more commands than it can remember, none gets in twice.
func TestReplayIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	var r Replay
	var sent []Command
	for i := range 5 * MaxSeen {
		c := Command{V: 1, ID: fmt.Sprintf("c%d", i), Expires: now.Add(time.Duration(i+1) * time.Minute).Format(time.RFC3339), Do: "report"}
		if err := r.Accept(c, now, false); err != nil {
			t.Fatalf("fresh %d: %v", i, err)
		}
		sent = append(sent, c)
	}
	if len(r.Seen) != MaxSeen {
		t.Errorf("%d ids kept, the bound is %d", len(r.Seen), MaxSeen)
	}
	for i, c := range sent {
		if err := r.Accept(c, now, false); !errors.Is(err, ErrReplayed) {
			t.Errorf("replay of %d: %v", i, err)
		}
	}
	if raw, _ := json.Marshal(r); len(raw) > 8<<10 {
		t.Errorf("state of %d bytes", len(raw))
	}
}

func TestParsePublicKey(t *testing.T) {
	if k, err := ParsePublicKey("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="); err != nil || len(k) != 32 {
		t.Errorf("%d, %v", len(k), err)
	}
	for _, bad := range []string{"", "abc", "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1f"} {
		if _, err := ParsePublicKey(bad); err == nil {
			t.Errorf("%q was taken for a key", bad)
		}
	}
}

func FuzzDecodePublish(f *testing.F) {
	files, topics := goldens(f)
	for name, raw := range files {
		f.Add(topics[name], raw)
	}
	f.Add("cw/cw-000123/e", gz(f, append(append(sale(1), '\n'), sale(2)...)))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		list, err := DecodePublish(topic, payload)
		if err != nil {
			return
		}
		for _, e := range list {
			raw, err := MarshalEnvelope(e)
			if err != nil {
				if strings.Contains(err.Error(), "limit is") { // escapes may lengthen it
					continue
				}
				t.Fatalf("accepted but cannot be written: %v", err)
			}
			if _, err := DecodePublish(topic, raw); err != nil {
				t.Fatalf("accepted once only: %v\n%s", err, raw)
			}
			e.DecodeBody()
		}
	})
}

func FuzzDecodeCommand(f *testing.F) {
	files, _ := goldens(f)
	f.Add(files["command"])
	f.Add([]byte(`{"v":1,"id":"a","expires":"2026-12-01T00:00:00Z","do":"report","args":{"a":{}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := DecodeCommand(payload)
		if err != nil {
			return
		}
		if n := bytes.Count(c.SigningBytes("d"), []byte("\n")) - bytes.Count(c.Args, []byte("\n")); n != 6 {
			t.Fatalf("%d newlines before the args: the layout is ambiguous", n)
		}
		if c.Verify("d", testPub) == nil {
			t.Fatal("a foreign signature fits")
		}
	})
}
