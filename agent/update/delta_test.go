package update

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// code makes bytes as a compiler would: instructions that repeat, with addresses
// in between that move when something is inserted.
func program(rng *rand.Rand, functions int, moved uint32) []byte {
	var out []byte
	for i := range functions {
		body := rand.New(rand.NewPCG(uint64(i), 7))
		for range 20 + body.IntN(40) {
			out = binary.LittleEndian.AppendUint32(out, 0xe5900000|uint32(body.IntN(64)))
			if body.IntN(4) == 0 {
				out = binary.LittleEndian.AppendUint32(out, 0x10000+uint32(body.IntN(1<<14))+moved)
			}
		}
		if moved > 0 && i == functions/2 {
			for range 50 {
				out = append(out, byte(rng.Uint32()))
			}
		}
	}
	return out
}

func makeDelta(t testing.TB, old, neu []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteDelta(&b, old, neu); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func apply(old, patch []byte) ([]byte, error) {
	r, err := OpenDelta(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, MaxBinary))
}

func TestDeltaRebuilds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	old := program(rng, 400, 0)
	noise := make([]byte, 5000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for name, neu := range map[string][]byte{
		"nothing changed":         old,
		"all addresses moved":     program(rng, 400, 0x40),
		"grown at the end":        append(bytes.Clone(old), noise...),
		"begins anew":             append(bytes.Clone(noise), old...),
		"nothing in common":       noise,
		"cut short":               old[:1000],
		"halves swapped":          append(bytes.Clone(old[len(old)/2:]), old[:len(old)/2]...),
		"shorter than any anchor": []byte("hello"),
		"empty":                   {},
	} {
		patch := makeDelta(t, old, neu)
		got, err := apply(old, patch)
		if err != nil || !bytes.Equal(got, neu) {
			t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(neu), err)
		}
		if name == "all addresses moved" && len(patch) > len(neu)/10 {
			t.Errorf("%s: %d bytes for %d", name, len(patch), len(neu))
		}
	}
}

// A delta that was cut anywhere never passes for a whole one.
func TestDeltaTruncated(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	old := program(rng, 40, 0)
	neu := program(rng, 40, 0x40)
	patch := makeDelta(t, old, neu)
	for n := range len(patch) {
		if got, err := apply(old, patch[:n]); err == nil {
			t.Fatalf("cut at %d of %d: %d bytes and no error", n, len(patch), len(got))
		}
	}
}

// Two builds of ours, in CELLWARDEN_DELTA_OLD and _NEW: what a delta costs against
// the whole. For the figures in README.md.
func TestDeltaFigures(t *testing.T) {
	oldFile, newFile := os.Getenv("CELLWARDEN_DELTA_OLD"), os.Getenv("CELLWARDEN_DELTA_NEW")
	if oldFile == "" || newFile == "" {
		t.Skip("SKIPPED: name two builds in CELLWARDEN_DELTA_OLD and CELLWARDEN_DELTA_NEW")
	}
	old, err := os.ReadFile(oldFile)
	if err != nil {
		t.Fatal(err)
	}
	neu, err := os.ReadFile(newFile)
	if err != nil {
		t.Fatal(err)
	}
	patch := makeDelta(t, old, neu)
	if got, err := apply(old, patch); err != nil || !bytes.Equal(got, neu) {
		t.Fatalf("%d bytes of %d: %v", len(got), len(neu), err)
	}
	var whole bytes.Buffer
	z, err := gzip.NewWriterLevel(&whole, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(neu); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("FIGURE binary %d, gzip %d, delta %d bytes", len(neu), whole.Len(), len(patch))
}

// No patch, as it comes out of gzip, makes the reader panic, read outside of the old
// file or take more than its few buffers: what comes out is bounded by the caller, as
// install does.
func FuzzDelta(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	old := program(rng, 20, 0)
	plain := func(patch []byte) []byte {
		z, err := gzip.NewReader(bytes.NewReader(patch))
		if err != nil {
			f.Fatal(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			f.Fatal(err)
		}
		return raw
	}
	f.Add(plain(makeDelta(f, old, program(rng, 20, 0x40))))
	f.Add([]byte(deltaMagic + "\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00\x00"))
	f.Add([]byte(deltaMagic + "\x01\x00\x01"))
	f.Add(append(binary.AppendVarint([]byte(deltaMagic+"\x01\x00"), int64(len(old))), 7)) // adds to what is not there
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := &delta{in: bufio.NewReader(bytes.NewReader(raw)), old: inside{t, bytes.NewReader(old), int64(len(old))}, size: int64(len(old))}
		const bound = 1 << 20
		if _, err := io.Copy(io.Discard, io.LimitReader(r, bound)); err != nil && err == io.EOF {
			t.Fatal("an end that is no end")
		}
	})
}

// inside fails on a read beyond the file.
type inside struct {
	t    *testing.T
	r    io.ReaderAt
	size int64
}

func (i inside) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > i.size {
		i.t.Errorf("reads %d bytes at %d of %d", len(p), off, i.size)
	}
	return i.r.ReadAt(p, off)
}
