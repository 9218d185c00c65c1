package protocol

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// dayOf is an audit's text as it is on the n-th day: few of its lines change.
func dayOf(n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "DXS*CWT0000042*VA*V0/6*1\r\nST*001*0001\r\nVA1*%d*%d*0*0\r\n", 150*n, n)
	for i := range 60 {
		fmt.Fprintf(&b, "PA1*%d*150*PRODUCT %d\r\nPA2*%d*%d*0*0\r\n", i, i*i, 100+n*(i%7)/6, 150*(100+n*(i%7)/6))
	}
	b.WriteString("SE*125*0001\r\nDXE*1*1\r\n")
	return b.Bytes()
}

// An audit goes whole the first time, and by what changed after that.
func TestAuditPackedOnTheOneBefore(t *testing.T) {
	first, second := dayOf(1), dayOf(2)
	whole, err := PackAudit(first, nil)
	if err != nil {
		t.Fatal(err)
	}
	next, err := PackAudit(second, first)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := UnpackAudit(whole, nil); err != nil || !bytes.Equal(got, first) {
		t.Errorf("the first came back as %d bytes, %v", len(got), err)
	}
	if got, err := UnpackAudit(next, first); err != nil || !bytes.Equal(got, second) {
		t.Errorf("the second came back as %d bytes, %v", len(got), err)
	}
	if _, err := UnpackAudit(next, nil); err == nil {
		t.Error("the second was read without the first")
	}
	if _, err := UnpackAudit(next, second); err == nil {
		t.Error("the second was read on another text than its base")
	}
	if a, b := len(whole[0].Deflate), len(next[0].Deflate); b*2 > a {
		t.Errorf("%d bytes for the first, %d for what changed", a, b)
	}
	t.Logf("%d bytes of text: %d the first time, %d after that", len(first), len(whole[0].Deflate), len(next[0].Deflate))
}

// Noise does not shrink: it goes in parts, each within an envelope.
func TestAuditInParts(t *testing.T) {
	text := make([]byte, maxAuditText)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range text {
		text[i] = byte(rng.Uint32())
	}
	parts, err := PackAudit(text, nil)
	if err != nil || len(parts) < 2 || len(parts) > maxAuditParts {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	for _, p := range parts {
		body, err := NewBody(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := MarshalEnvelope(Envelope{V: 1, Device: "d", Epoch: "9a0b1c2d", Seq: 1, Type: TypeAuditRaw, Body: body}); err != nil {
			t.Fatalf("part %d: %v", p.Part, err)
		}
	}
	slices.Reverse(parts)
	if got, err := UnpackAudit(parts, nil); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	for name, bad := range map[string][]AuditRaw{"a part is missing": parts[1:], "a part of another audit": append(slices.Clone(parts[1:]), AuditRaw{Ref: "x", Part: 1, Parts: len(parts)}), "nothing": nil} {
		if _, err := UnpackAudit(bad, nil); err == nil {
			t.Errorf("%s: read all the same", name)
		}
	}
	parts[0].Deflate[9] ^= 1
	if _, err := UnpackAudit(parts, nil); err == nil {
		t.Error("a flipped bit passed")
	}
	if _, err := PackAudit(append(text, 'x'), nil); err == nil {
		t.Error("more than the limit was packed")
	}
}
