package protocol

import (
	"fmt"
	"strings"
)

// DefaultPrefix is the first level of every topic unless the config says
// otherwise. Each topic byte is paid for on the air with every message.
const DefaultPrefix = "cw"

// Limits of the parts of a topic.
const (
	MaxDeviceID = 64 // bytes; with the prefix it stays far below the 256 that AWS IoT allows a topic
	MaxPrefix   = 64 // bytes
)

// Leaf is the last level of a topic: what kind of message travels there.
type Leaf string

// The leaves.
const (
	LeafAlert   Leaf = "a"
	LeafEvent   Leaf = "e"
	LeafState   Leaf = "s"
	LeafMetric  Leaf = "m"
	LeafReply   Leaf = "r"
	LeafStatus  Leaf = "w"
	LeafLast    Leaf = "l"
	LeafCommand Leaf = "d"
)

// LeafInfo is one row of the topic table.
type LeafInfo struct {
	Leaf     Leaf
	Down     bool // backend to device
	Retained bool
	Types    []Type // types of the envelopes that travel there; empty: no envelope
	What     string
}

// Leaves is the one table of topics: the code, REFERENCE.md and the tests read it.
// Every row is QoS 1.
var Leaves = []LeafInfo{
	{Leaf: LeafAlert, Types: []Type{TypeAlert, TypeClear, TypeCard, TypeBlind, TypeNotice},
		What: "a fault stands, a fault ended, another card, the agent cannot see the modem, what of the machine a person acts on"},
	{Leaf: LeafEvent, Types: []Type{TypeEvent, TypeSale, TypeAudit}, What: "the machine's own events, its sales and audits"},
	{Leaf: LeafState, Types: []Type{TypeState, TypeWarning, TypeLearned, TypeUpdate, TypeInventory, TypeRecovery},
		What: "periodic report, plan warnings, verdicts confirmed later, updates, what the device is made of, steps that bring it back"},
	{Leaf: LeafMetric, Types: []Type{TypeGap, TypeAuditRaw}, What: "about the stream itself: messages that were dropped; audits as the machine sent them"},
	{Leaf: LeafReply, Types: []Type{TypeReply}, What: "answers to commands"},
	{Leaf: LeafStatus, Retained: true, What: "online or not: Status, also the last will"},
	{Leaf: LeafLast, Retained: true, What: "last words and the fault that stands: Last"},
	{Leaf: LeafCommand, Down: true, What: "commands: Command"},
}

// LeafFor names the leaf on which envelopes of type t travel.
func LeafFor(t Type) (Leaf, error) {
	for _, row := range Leaves {
		for _, have := range row.Types {
			if have == t {
				return row.Leaf, nil
			}
		}
	}
	return "", fmt.Errorf("message type %q has no topic", t)
}

func infoOf(l Leaf) (LeafInfo, bool) {
	for _, row := range Leaves {
		if row.Leaf == l {
			return row, true
		}
	}
	return LeafInfo{}, false
}

// Topic is one topic in its parts: <prefix>/<device>/<leaf>.
type Topic struct {
	Prefix string
	Device string
	Leaf   Leaf
}

func (t Topic) String() string { return t.Prefix + "/" + t.Device + "/" + string(t.Leaf) }

// ParseTopic takes a topic apart. The prefix may have several levels.
func ParseTopic(s string) (Topic, error) {
	if len(s) > MaxPrefix+MaxDeviceID+4 {
		return Topic{}, fmt.Errorf("topic of %d bytes: too long", len(s))
	}
	parts := strings.Split(s, "/")
	if len(parts) < 3 {
		return Topic{}, fmt.Errorf("topic %q: want <prefix>/<device>/<leaf>", s)
	}
	n := len(parts)
	t := Topic{Prefix: strings.Join(parts[:n-2], "/"), Device: parts[n-2], Leaf: Leaf(parts[n-1])}
	if err := CheckPrefix(t.Prefix); err != nil {
		return Topic{}, fmt.Errorf("topic %q: %w", s, err)
	}
	if err := CheckDeviceID(t.Device); err != nil {
		return Topic{}, fmt.Errorf("topic %q: %w", s, err)
	}
	if _, ok := infoOf(t.Leaf); !ok {
		return Topic{}, fmt.Errorf("topic %q: unknown leaf %q", s, t.Leaf)
	}
	return t, nil
}

// CheckDeviceID refuses an id that would not be one clean topic level on every
// broker: 1 to 64 of A-Z a-z 0-9 _ : -. No "/", "+", "#" or NUL by MQTT 3.1.1
// §4.7; no "." because RabbitMQ and NATS write a topic level as ".". It is also
// what AWS IoT allows as a thing name.
func CheckDeviceID(id string) error {
	if id == "" {
		return fmt.Errorf("device id is empty; give 1 to %d of A-Z a-z 0-9 _ : -", MaxDeviceID)
	}
	if len(id) > MaxDeviceID {
		return fmt.Errorf("device id of %d bytes is too long; give at most %d", len(id), MaxDeviceID)
	}
	if i := badAt(id); i >= 0 {
		return fmt.Errorf("device id has %q at place %d; use only A-Z a-z 0-9 _ : -", id[i], i+1)
	}
	return nil
}

// CheckPrefix refuses a topic prefix that is empty, has an empty level, or
// holds anything but what a device id may hold and "/" between levels.
func CheckPrefix(p string) error {
	if p == "" || len(p) > MaxPrefix {
		return fmt.Errorf("topic prefix of %d bytes; give 1 to %d", len(p), MaxPrefix)
	}
	for _, level := range strings.Split(p, "/") {
		if level == "" {
			return fmt.Errorf("topic prefix %q has an empty level", p)
		}
		if i := badAt(level); i >= 0 {
			return fmt.Errorf("topic prefix %q has %q; use only A-Z a-z 0-9 _ : - and / between levels", p, level[i])
		}
	}
	return nil
}

// badAt is the place of the first byte that may not stand in a topic level, or -1.
func badAt(s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == ':', c == '-':
		default:
			return i
		}
	}
	return -1
}
