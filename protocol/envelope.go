package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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

	TypeInventory: func() any { return new(Inventory) },
	TypeCard:      func() any { return new(CardChanged) },
	TypeBlind:     func() any { return new(Blind) },
	TypeRecovery:  func() any { return new(Recovery) },

	TypeAudit:    func() any { return new(MachineAudit) },
	TypeAuditRaw: func() any { return new(AuditRaw) },
	TypeSale:     func() any { return new(Sale) },
	TypeNotice:   func() any { return new(Notice) },
}

// Types are the message types that this version knows, sorted.
func Types() []Type { return slices.Sorted(maps.Keys(bodies)) }

// BodyOf gives a pointer to a new body struct of type t, nil for a type that this
// version does not know.
func BodyOf(t Type) any {
	if mk := bodies[t]; mk != nil {
		return mk()
	}
	return nil
}

// DecodeBody reads the body into a pointer to the struct of its type, as the
// comments of the Type constants name it. A type that this version does not know
// gives nil and no error.
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

	// Boot and MonoMS are of the moment when the connection was begun, the same in
	// its up:true and in its last will: of two status messages of one boot that of
	// the higher mono is of the later connection, and of one connection false is
	// after true.
	Boot   string `json:"boot,omitempty"` // first 8 digits of the kernel's boot id
	MonoMS int64  `json:"mono,omitempty"` // milliseconds since boot when the connection was begun
}

// After reports whether s is later than before, of the same device, as far as the
// two can tell: known is false across boots, or when one has no mono.
func (s Status) After(before Status) (later, known bool) {
	switch {
	case s.Boot != before.Boot || s.MonoMS == 0 || before.MonoMS == 0:
		return false, false
	case s.MonoMS != before.MonoMS:
		return s.MonoMS > before.MonoMS, true
	}
	return !s.Up && before.Up, true
}

// MarshalStatus writes s as JSON, with the version set.
func MarshalStatus(s Status) []byte {
	s.V = Version
	out, err := marshal(s)
	if err != nil { // a struct of numbers, a bool and strings always renders
		panic("protocol: status: " + err.Error())
	}
	return out
}

// maxStatus bounds a status message: ours has 60 bytes.
const maxStatus = 512

// DecodeStatus reads a message from a device's status topic.
func DecodeStatus(payload []byte) (Status, error) {
	var s Status
	if err := decodePlain("status", payload, maxStatus, &s, func() int { return s.V }); err != nil {
		return Status{}, err
	}
	return s, nil
}

// decodePlain reads a message that has no envelope into v and checks its version.
func decodePlain(what string, payload []byte, limit int, v any, version func() int) error {
	if err := checkJSON(payload, limit); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := json.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if version() > Version {
		return fmt.Errorf("%s: version %d: %w", what, version(), ErrTooNew)
	}
	if version() < 1 {
		return fmt.Errorf("%s: version %d is not supported", what, version())
	}
	return nil
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
