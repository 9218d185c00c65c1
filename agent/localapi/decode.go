package localapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cellwarden/agent/diag"
	"cellwarden/protocol"
)

// Limits of what is taken in.
const (
	maxBodyBytes = 8 << 10 // an event with 4 KiB of data, its other fields, and indentation
	maxDataBytes = 4 << 10 // compacted: more than that is a file, and 30 MB a month is not made for files
	maxNameBytes = 64      // it becomes an MQTT payload field and a log key
	maxNoteBytes = 200     // a technician's sentence
	maxHistory   = 500     // rows: 13 months of days, with room
)

// DecodeEvent reads and checks one event. The error is an *Invalid.
func DecodeEvent(body []byte) (Event, error) {
	var e Event
	if err := decode(body, &e); err != nil {
		return Event{}, err
	}
	return e, e.check()
}

func (e *Event) check() error {
	switch {
	case e.Name == "":
		return &Invalid{"name", "is missing"}
	case len(e.Name) > maxNameBytes:
		return &Invalid{"name", fmt.Sprintf("is longer than %d bytes", maxNameBytes)}
	case strings.ContainsFunc(e.Name, func(r rune) bool { return !nameRune(r) }):
		return &Invalid{"name", fmt.Sprintf("%q: letters, digits and . _ - / only", e.Name)}
	}
	if e.Level == "" {
		e.Level = "info"
	}
	if !slices.Contains([]string{"info", "warn", "alert"}, e.Level) {
		return &Invalid{"level", fmt.Sprintf("%q: info, warn or alert", e.Level)}
	}
	if e.At != "" {
		at, err := time.Parse(time.RFC3339, e.At)
		if err != nil {
			return &Invalid{"at", fmt.Sprintf("%q: a time such as 2026-11-22T08:00:00+08:00", e.At)}
		}
		// A clock that was never set says 1970. The year 10000, which an offset can
		// make of 9999, is no RFC 3339 any more: no backend could read it.
		if y := at.UTC().Year(); y < 1970 || y > 2100 {
			return &Invalid{"at", fmt.Sprintf("%q: want a year from 1970 to 2100", e.At)}
		}
	}
	if len(e.Data) > 0 {
		var b bytes.Buffer
		if err := json.Compact(&b, e.Data); err != nil {
			return &Invalid{"data", "is not JSON"}
		}
		e.Data = b.Bytes()
	}
	if string(e.Data) == "null" {
		e.Data = nil
	}
	if len(e.Data) > maxDataBytes {
		return &Invalid{"data", fmt.Sprintf("is %d bytes, at most %d", len(e.Data), maxDataBytes)}
	}
	if err := protocol.CheckData(e.Data); err != nil {
		return &Invalid{"data", "is " + err.Error()}
	}
	return nil
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/", r)
}

func (c *Confirmation) check() error {
	switch {
	case !slices.Contains(diag.Classes, c.Class):
		return &Invalid{"class", fmt.Sprintf("%q is no diagnosis class", c.Class)}
	case !slices.Contains([]string{"technician", "owner", "backend"}, c.By):
		return &Invalid{"by", fmt.Sprintf("%q: technician, owner or backend", c.By)}
	case len(c.Note) > maxNoteBytes:
		return &Invalid{"note", fmt.Sprintf("is longer than %d bytes", maxNoteBytes)}
	}
	return nil
}

// decode reads exactly one JSON object without unknown fields into to.
func decode(body []byte, to any) error {
	if !utf8.Valid(body) {
		return &Invalid{"", "the body is not UTF-8"}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return &Invalid{"", "the body is empty"}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(to)
	if err == nil {
		if end := d.InputOffset(); len(bytes.TrimSpace(body[end:])) > 0 {
			return &Invalid{place(body, end+1), "more follows after the object"}
		}
		return nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return &Invalid{place(body, syntax.Offset), syntax.Error()}
	case errors.As(err, &kind) && kind.Field == "":
		return &Invalid{place(body, kind.Offset), "an object { } is wanted, not " + kind.Value}
	case errors.As(err, &kind):
		return &Invalid{kind.Field, fmt.Sprintf("is %s, want %s", kind.Value, kind.Type)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Invalid{place(body, int64(len(body))), "the JSON ends too early"}
	}
	return &Invalid{"", strings.TrimPrefix(err.Error(), "json: ")} // unknown field "x"
}

// place is the line and column, from 1, of the byte before offset, which is
// where encoding/json puts its errors.
func place(body []byte, offset int64) string {
	before := body[:min(max(offset-1, 0), int64(len(body)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}
