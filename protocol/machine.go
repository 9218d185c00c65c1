package protocol

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The message types of the machine itself (up): what its audit port, its payment
// bus and its own software say. Sales of the bus and windows of audits count the
// same vends twice: a reader adds the one or the other, never both.
const (
	TypeAudit    Type = "audit"     // one reading of the audit port: MachineAudit
	TypeAuditRaw Type = "audit_raw" // the audit itself: AuditRaw
	TypeSale     Type = "sale"      // a vend that was seen as it happened: Sale
	TypeNotice   Type = "notice"    // something that a person acts on: Notice
)

// Sold is a number of vends and what they cost. An absent field is not known,
// which is another thing than 0.
type Sold struct {
	Count *int64 `json:"count,omitempty"` // vends
	Value *int64 `json:"value,omitempty"` // minor units of the machine's currency
}

// SoldBy is what one selection sold in a window.
type SoldBy struct {
	Selection string           `json:"sel"`             // the machine's own name of the column
	Name      string           `json:"name,omitempty"`  // of the product, as the machine has it
	Price     *int64           `json:"price,omitempty"` // minor units, today's
	Free      *int64           `json:"free,omitempty"`  // free vends
	Test      *int64           `json:"test,omitempty"`  // test vends
	Paid      map[string]int64 `json:"paid,omitempty"`  // vends by kind of payment: cash, cashless, cashless2, token
	Level     *int64           `json:"level,omitempty"` // what the machine says is left
	Sold
}

// MachineAudit says what one reading of the machine's counters means. State:
// baseline (the first one, or after a break: nothing is counted), window (Sales and
// what follows are since From) or repeated (an audit that was taken in already).
type MachineAudit struct {
	State string `json:"state"` // baseline, window, repeated
	// Why a baseline was begun: first, board_changed, reinitialised, reads_back,
	// counter_back, too_large.
	Why        string          `json:"why,omitempty"`
	Source     string          `json:"source"`               // dex, ddcmp, file
	From       *Time           `json:"from,omitempty"`       // the reading before, which begins the window
	Sales      Sold            `json:"sales"`                // paid vends of the window
	Free       *int64          `json:"free,omitempty"`       // free vends of the window
	Test       *int64          `json:"test,omitempty"`       // test vends of the window
	Paid       map[string]Sold `json:"paid,omitempty"`       // by kind of payment: cash, cashless, cashless2, token
	Selections []SoldBy        `json:"selections,omitempty"` // those that sold something
	Total      Sold            `json:"total"`                // paid vends since the machine was initialised
	Decimals   int             `json:"decimals"`             // of the currency's minor unit
	Currency   string          `json:"currency,omitempty"`   // as the machine says it, a hint
	Tubes      *int64          `json:"tubes,omitempty"`      // minor units in the coin tubes
	G85        string          `json:"g85"`                  // ok, swapped, no_last_crlf, mismatch, missing
	// Reconciled: the selections add up to the machine's own count of the window.
	Reconciled bool     `json:"reconciled"`
	Notes      []string `json:"notes,omitempty"` // what a reader must know: rollover, interval_reset, other_reader, incomplete, ...
	Ref        string   `json:"ref,omitempty"`   // the AuditRaw of this reading
}

// AuditRaw is one part of the audit as the machine sent it. The Deflate of all parts
// joined is one stream of RFC 1951; where Base is set, the text of that earlier
// AuditRaw is its preset dictionary (RFC 1950 §2.2: of a long one the last 32 KB
// count), because two audits of a machine differ in few lines.
type AuditRaw struct {
	Ref     string `json:"ref"`            // names this audit: 8 hex digits, the CRC-32 of its text
	Base    string `json:"base,omitempty"` // the ref of the dictionary
	Part    int    `json:"part"`           // from 1
	Parts   int    `json:"parts"`          // how many there are
	Bytes   int    `json:"bytes"`          // of the whole text
	Deflate []byte `json:"z"`              // base64
}

// Sale is one vend that was seen as it happened, on the payment bus; the envelope
// says when.
type Sale struct {
	Source    string `json:"source"`             // mdb
	Kind      string `json:"kind"`               // cashless, cashless2, cash, token, free, test
	Selection string `json:"sel,omitempty"`      // the bus's number of the item, which need not be the audit's; absent where it does not tell
	Price     *int64 `json:"price,omitempty"`    // minor units; absent: not known
	Raw       *int64 `json:"raw,omitempty"`      // the price in units of the bus, where their scale was not seen
	Decimals  *int   `json:"decimals,omitempty"` // of the currency's minor unit, where the bus said it
	Currency  string `json:"currency,omitempty"` // ISO 4217, three digits, where the bus said it
	How       string `json:"how"`                // reported, or inferred: the bus was reset between approval and success
}

// Notice tells something about the machine that a person acts on, and its end.
// Kinds: silent_seller, sold_out, low, column_jam, tubes_low, coin_fault,
// bill_fault, cashless_fault, cash_box_full, cash_box_out, door_open, temperature,
// board_changed, machine_silent, audit_unreconciled, counts_differ.
type Notice struct {
	Incident  string `json:"id"`             // the same at the beginning and at the end
	Kind      string `json:"kind"`           // one of the kinds above
	Stands    bool   `json:"stands"`         // false: it ended
	How       string `json:"how"`            // reported (the machine says so), derived (computed from what it says), inferred (from habit)
	Selection string `json:"sel,omitempty"`  // of the column or device
	Code      string `json:"code,omitempty"` // the EVA-DTS code, as the machine sent it
	Source    string `json:"source"`         // dex, ddcmp, mdb, agent
	Detail    string `json:"detail"`         // English
	Since     Time   `json:"since"`          // when it began, or when we first knew
}

// Limits of an audit on the wire.
const (
	maxAuditText = 64 << 10 // bytes of an audit's text
	// auditPart is the deflated bytes in one AuditRaw: base64 makes 10 KB of it,
	// which leaves an envelope's limit room.
	auditPart     = 7 << 10
	maxAuditParts = 10 // more than 64 KB of noise need
)

// AuditRef names an audit by its text.
func AuditRef(text []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(text)) }

// PackAudit makes the messages of an audit. base is the text of an audit that the
// backend has had whole, nil for none; two audits of a day differ in some 100 bytes.
func PackAudit(text, base []byte) ([]AuditRaw, error) {
	if len(text) > maxAuditText {
		return nil, fmt.Errorf("an audit of %d bytes; the limit is %d", len(text), maxAuditText)
	}
	var buf bytes.Buffer
	zw, err := flate.NewWriterDict(&buf, flate.BestCompression, base)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if _, err := zw.Write(text); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if err := zw.Close(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	one := AuditRaw{Ref: AuditRef(text), Bytes: len(text), Parts: max(1, (buf.Len()+auditPart-1)/auditPart)}
	if base != nil {
		one.Base = AuditRef(base)
	}
	var out []AuditRaw
	for one.Part = 1; one.Part <= one.Parts; one.Part++ {
		one.Deflate = bytes.Clone(buf.Next(auditPart))
		out = append(out, one)
	}
	return out, nil
}

// UnpackAudit joins the messages of one audit, in any order, into its text. base is
// the text that their Base names, nil where it names none.
func UnpackAudit(parts []AuditRaw, base []byte) ([]byte, error) {
	if len(parts) == 0 {
		return nil, errors.New("audit: no part of it")
	}
	head := parts[0]
	if head.Parts < 1 || head.Parts > maxAuditParts || head.Bytes < 0 || head.Bytes > maxAuditText {
		return nil, fmt.Errorf("audit %s: %d parts of %d bytes", clip(head.Ref), head.Parts, head.Bytes)
	}
	if head.Base != "" && (base == nil || AuditRef(base) != head.Base) {
		return nil, fmt.Errorf("audit %s: needs the text of audit %s", clip(head.Ref), clip(head.Base))
	}
	if head.Base == "" {
		base = nil
	}
	all := make([][]byte, head.Parts)
	for _, p := range parts {
		if p.Ref != head.Ref || p.Parts != head.Parts || p.Base != head.Base || p.Part < 1 || p.Part > head.Parts {
			return nil, fmt.Errorf("audit %s: part %d of %d of %s is of another", clip(head.Ref), p.Part, p.Parts, clip(p.Ref))
		}
		all[p.Part-1] = p.Deflate
	}
	for i, p := range all {
		if p == nil {
			return nil, fmt.Errorf("audit %s: part %d of %d is missing", clip(head.Ref), i+1, head.Parts)
		}
	}
	zr := flate.NewReaderDict(bytes.NewReader(bytes.Join(all, nil)), base)
	text, err := io.ReadAll(io.LimitReader(zr, maxAuditText+1))
	if err != nil {
		return nil, fmt.Errorf("audit %s: %w", clip(head.Ref), err)
	}
	if len(text) != head.Bytes || AuditRef(text) != head.Ref {
		return nil, fmt.Errorf("audit %s: %d bytes came out, with checksum %s", clip(head.Ref), len(text), AuditRef(text))
	}
	return text, nil
}
