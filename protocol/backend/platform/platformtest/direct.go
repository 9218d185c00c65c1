package platformtest

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// recorder keeps what a handler answers.
type recorder struct {
	code int
	head http.Header
	body bytes.Buffer
}

func newRecorder() *recorder { return &recorder{code: http.StatusOK, head: http.Header{}} }

func (r *recorder) Header() http.Header         { return r.head }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *recorder) response(req *http.Request) *http.Response {
	if r.head.Get("Date") == "" { // as a server sends it
		r.head.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	return &http.Response{StatusCode: r.code, Status: http.StatusText(r.code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.head,
		Body:   io.NopCloser(bytes.NewReader(r.body.Bytes())), ContentLength: int64(r.body.Len()), Request: req}
}
