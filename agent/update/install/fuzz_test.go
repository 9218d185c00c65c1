package install

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"cellwarden/agent/flash"
)

// Whoever owns the server, or stands between, says what he likes.
func FuzzServerAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 100-199/1000\r\n\r\nabc",
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes -1-9223372036854775808/*\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://portal.example/?msisdn=13900000042\r\n\r\n",
		"HTTP/1.1 416 x\r\n\r\n", "HTTP/1.1 503 x\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		f.Add([]byte(s), int64(100))
	}
	f.Fuzz(func(t *testing.T, b []byte, from int64) {
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: http.MethodGet})
		if err != nil {
			return
		}
		defer resp.Body.Close()
		size, err := answered(resp, from)
		if err == nil && resp.StatusCode != http.StatusPartialContent && (resp.StatusCode != http.StatusOK || from != 0) {
			t.Errorf("status %d taken for bytes from %d on", resp.StatusCode, from)
		}
		if err == nil && size < -1 && resp.StatusCode == http.StatusOK {
			t.Errorf("size %d", size)
		}
		if err != nil && (len(err.Error()) > 400 || strings.ContainsFunc(err.Error(), unicode.IsControl)) {
			t.Errorf("told as %q", err)
		}
	})
}

// The state files hold anything after a power cut on bad flash: the packaged binary
// starts, or one that is whole.
func FuzzKeptState(f *testing.F) {
	good := `{"v":1,"package":"v1","current":{"slot":"a","version":"v1.0.0","size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}`
	f.Add([]byte(good), []byte(`{"root":"e30=","floor":"v9.9.9"}`), []byte(`{"source":"http://h/m","have":-5,"form":"x"}`))
	f.Add([]byte(strings.Replace(good, `"a"`, `"./a"`, 1)), []byte(`null`), []byte(`[]`))
	f.Add([]byte(`{"trial":{"slot":"b","starts":-2147483648,"size":-1}}`), []byte(``), []byte(`{`))
	f.Fuzz(func(t *testing.T, slots, trusted, job []byte) {
		d := Dir{FS: flash.OS{}, Path: t.TempDir()}
		for name, data := range map[string][]byte{slotsFile: slots, trustFile: trusted, jobFile: job, "a": []byte("abc")} {
			if err := os.WriteFile(filepath.Join(d.Path, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if path, _ := d.Next("v1", true); path != "" && path != filepath.Join(d.Path, "a") {
			t.Errorf("starts %s", path)
		}
		if s, err := d.Slots(); err == nil && s.Current != nil && !isSlot(s.Current.Slot) {
			t.Errorf("reads slot %q", s.Current.Slot)
		}
	})
}
