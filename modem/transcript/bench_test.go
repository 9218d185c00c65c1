package transcript

import (
	"bytes"
	"testing"
)

func BenchmarkProse(b *testing.B) { bench(b, "hello, world: this is a line of a log\n") }
func BenchmarkAnswer(b *testing.B) {
	bench(b, "[10:05:01.123] AT+CSQ\n[10:05:01.130] +CSQ: 20,99\n[10:05:01.140] OK\n")
}

func bench(b *testing.B, text string) {
	data := bytes.Repeat([]byte(text), 100_000/len(text))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		Read(data)
	}
}
