// Package packed reads the tables and texts that are linked in. They are plain
// files in the tree and in every ordinary build; for the boards, scripts/build.sh
// has them deflated, which saves 0.1 MB, and Text tells which it was given. It
// knows nothing of what the texts say.
package packed

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
)

// mark begins a deflated file. No text begins with a zero byte.
const mark = "\x00deflate\x00"

// Text returns what the file read before it was packed. A file that is damaged
// is a broken build, which the tests of the binary would have met: it panics.
func Text(file string) string {
	body, ok := strings.CutPrefix(file, mark)
	if !ok {
		return file
	}
	var b strings.Builder
	if _, err := io.Copy(&b, flate.NewReader(strings.NewReader(body))); err != nil {
		panic("packed: " + err.Error())
	}
	return b.String()
}

// Pack is Text's other direction. What would not become smaller stays as it is.
func Pack(text string) string {
	var b bytes.Buffer
	b.WriteString(mark)
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic("packed: " + err.Error()) // only for a level that does not exist
	}
	io.WriteString(w, text) // into memory: neither fails
	w.Close()
	if b.Len() >= len(text) {
		return text
	}
	return b.String()
}
