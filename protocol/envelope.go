package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Limits of one message, the same for writer and reader.
const (
	MaxEnvelope = 16 << 10 // bytes of JSON: the largest single message; a diagnosis with all its evidence is 2 to 4 KB
	MaxDepth    = 16       // nested objects and arrays: ours use 5, a machine's own data gets the rest
	MaxID       = 64       // bytes of a command id
)

// ErrTooNew is wrapped when a message has a version above ours.
var ErrTooNew = errors.New("version not known to this reader")

// MarshalEnvelope checks e and writes it as one line of JSON.
func MarshalEnvelope(e Envelope) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	out, err := marshal(e)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	if err := checkJSON(out, MaxEnvelope); err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return out, nil
}

// UnmarshalEnvelope reads one envelope and checks it. Unknown fields and
// unknown types pass: a newer device of the same version may send them.
func UnmarshalEnvelope(data []byte) (Envelope, error) {
	var e Envelope
	if err := checkJSON(data, MaxEnvelope); err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	if err := e.check(); err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	return e, nil
}

// check refuses an envelope that a reader could not file.
func (e Envelope) check() error {
	if e.V > Version {
		return fmt.Errorf("version %d: %w", e.V, ErrTooNew)
	}
	if e.V < 1 || e.V < Version-1 {
		return fmt.Errorf("version %d is not supported", e.V)
	}
	if err := CheckDeviceID(e.Device); err != nil {
		return err
	}
	if !isEpoch(e.Epoch) {
		return fmt.Errorf("epoch %q: want 8 lower-case hex digits", clip(e.Epoch))
	}
	if e.Seq == 0 {
		return errors.New("sequence 0: the first is 1")
	}
	if !isWord(string(e.Type)) {
		return fmt.Errorf("type %q: want 1 to 32 of a-z and _", clip(string(e.Type)))
	}
	if !isObject(e.Body) {
		return errors.New("body is not a JSON object")
	}
	return nil
}

// MaxDataDepth is how deep a machine event's data may be nested: the envelope and
// its body are two of MaxDepth.
const MaxDataDepth = MaxDepth - 2

// CheckData refuses data of a machine event that no envelope could carry.
func CheckData(data json.RawMessage) error {
	if depth(data) > MaxDataDepth {
		return fmt.Errorf("nested more than %d deep", MaxDataDepth)
	}
	return nil
}

// NewBody renders v, one of the body structs, for Envelope.Body.
func NewBody(v any) (json.RawMessage, error) { return marshal(v) }

// bodies gives, for each type, a new body struct to unmarshal into.
var bodies = map[Type]func() any{
	TypeAlert:   func() any { return new(Alert) },
	TypeClear:   func() any { return new(Clear) },
	TypeWarning: func() any { return new(Warning) },
	TypeEvent:   func() any { return new(MachineEvent) },
	TypeState:   func() any { return new(State) },
	TypeGap:     func() any { return new(Gap) },
	TypeReply:   func() any { return new(Reply) },
	TypeLearned: func() any { return new(Learned) },
	TypeUpdate:  func() any { return new(Update) },
}

// DecodeBody reads the body into the struct of its type: *Alert, *Clear,
// *Warning, *MachineEvent, *State, *Gap, *Reply, *Learned or *Update. A type that this
// version does not know gives nil and no error.
func (e Envelope) DecodeBody() (any, error) {
	mk := bodies[e.Type]
	if mk == nil {
		return nil, nil
	}
	v := mk()
	if err := json.Unmarshal(e.Body, v); err != nil {
		return nil, fmt.Errorf("%s body: %w", e.Type, err)
	}
	return v, nil
}

// Status is what stands, retained, on a device's status topic: Up true from
// the device after it connected; false from the broker as its last will, or
// from the device when it stops in order (then Why is "stop").
type Status struct {
	V   int    `json:"v"`             // version of the format
	Up  bool   `json:"up"`            // connected
	Why string `json:"why,omitempty"` // stop: it was told to
}

// MarshalStatus writes s as JSON, with the version set.
func MarshalStatus(s Status) []byte {
	s.V = Version
	out, err := marshal(s)
	if err != nil { // a struct of an int, a bool and a string always renders
		panic("protocol: status: " + err.Error())
	}
	return out
}

// maxStatus bounds a status message: ours has 30 bytes.
const maxStatus = 512

// DecodeStatus reads a message from a device's status topic.
func DecodeStatus(payload []byte) (Status, error) {
	var s Status
	if err := checkJSON(payload, maxStatus); err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	if s.V > Version {
		return Status{}, fmt.Errorf("status: version %d: %w", s.V, ErrTooNew)
	}
	if s.V < 1 {
		return Status{}, fmt.Errorf("status: version %d is not supported", s.V)
	}
	return s, nil
}

// marshal is json.Marshal without the escapes for HTML, which cost air.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// checkJSON refuses what is too long, not UTF-8 or nested too deep, before a
// parser spends memory on it.
func checkJSON(data []byte, limit int) error {
	if len(data) > limit {
		return fmt.Errorf("%d bytes; the limit is %d", len(data), limit)
	}
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	if depth(data) > MaxDepth {
		return fmt.Errorf("nested more than %d deep", MaxDepth)
	}
	return nil
}

// depth is how deep objects and arrays are nested in data.
func depth(data []byte) (deepest int) {
	now, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

func isEpoch(s string) bool {
	if len(s) != 8 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isWord: 1 to 32 of a-z and _, the form of types and command names.
func isWord(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

func isObject(raw json.RawMessage) bool {
	t := bytes.TrimSpace(raw)
	return len(t) >= 2 && t[0] == '{' && t[len(t)-1] == '}'
}

// clip keeps foreign text short in an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
