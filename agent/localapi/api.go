package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"cellwarden/agent/diag"
)

// Backend answers what the API is asked. Package agent implements it by asking
// the loop; every method ends when ctx does.
type Backend interface {
	Status(ctx context.Context) (Status, error)
	// PutEvent accepts one event. With durable it returns only when the event
	// is on the flash. An *Unavailable says that nothing was kept.
	PutEvent(ctx context.Context, e Event, durable bool) (Receipt, error)
	// Diagnose checks every layer now. progress is called from one goroutine at
	// a time and must not be called after Diagnose returned.
	Diagnose(ctx context.Context, progress func(Progress)) (diag.Diagnosis, error)
	// Usage is ErrNoUsage when nothing is metered.
	Usage(ctx context.Context) (Usage, error)
	// History is the newest n rows by hour, day or cycle, oldest first.
	History(ctx context.Context, by string, n int) (History, error)
	Guard(ctx context.Context) (Guard, error)
	// Record writes the flight recorder's export.
	Record(ctx context.Context, w io.Writer) error
	Confirm(ctx context.Context, c Confirmation) error
}

// Event is what the machine's own software hands in: a sale, a jam, a reading.
type Event struct {
	Name  string          `json:"name"`            // 1 to 64 of a-z A-Z 0-9 . _ - /
	Level string          `json:"level,omitempty"` // info (default), warn, alert
	Data  json.RawMessage `json:"data,omitempty"`  // any JSON, at most 4 KiB
	At    string          `json:"at,omitempty"`    // RFC 3339, when it happened; "" is now
}

// Receipt says that an event was accepted. Seq is 0 where it is not numbered
// yet, which only an event that is not durable may be.
type Receipt struct {
	ID      string `json:"id"`
	Seq     uint64 `json:"seq"`
	Durable bool   `json:"durable"`
}

// Progress is one layer while a diagnosis runs.
type Progress struct {
	Layer diag.Layer     `json:"layer"`
	State diag.GateState `json:"state"`           // Checking, or how it came out
	Doing string         `json:"doing,omitempty"` // "AT+CPIN?", "dns carrier"
	Fact  diag.Text      `json:"fact"`
}

// Checking is the state of a layer that is being asked about.
const Checking diag.GateState = "checking"

// Step is one line of the answer to POST /v1/diagnose: exactly one field is set.
type Step struct {
	Progress  *Progress       `json:"progress,omitempty"`
	Diagnosis *diag.Diagnosis `json:"diagnosis,omitempty"`
	Problem   *Problem        `json:"problem,omitempty"`
}

// UsageRow is what moved in one hour, day or cycle, as the interface counts. The
// operator's count of it is known for cycles alone.
type UsageRow struct {
	From       string `json:"from"`                  // RFC 3339 for hours, a date otherwise
	TotalBytes uint64 `json:"total_bytes"`           // both directions
	RxBytes    uint64 `json:"rx_bytes"`              // of the total, received
	TxBytes    uint64 `json:"tx_bytes"`              // of the total, sent
	OwnBytes   uint64 `json:"own_bytes"`             // the agent's own share of the total
	UsedBytes  uint64 `json:"used_bytes,omitempty"`  // cycles: in the operator's count
	QuotaBytes uint64 `json:"quota_bytes,omitempty"` // cycles: the plan of then
}

// History is usage over time, oldest first.
type History struct {
	By   string     `json:"by"` // hour, day, cycle
	Rows []UsageRow `json:"rows"`
}

// Guard tells the machine's software how to treat the data that is left.
type Guard struct {
	Level     string  `json:"level"` // none, save, strict (as the meter names them), stopped, unknown
	LeftBytes uint64  `json:"left_bytes,omitempty"`
	Percent   float64 `json:"percent,omitempty"` // used
	CycleEnd  string  `json:"cycle_end,omitempty"`
	Blocked   bool    `json:"blocked,omitempty"` // the agent stops the machine's traffic, as data.block_at orders
}

// Confirmation tells what a fault turned out to be.
type Confirmation struct {
	Class diag.Code `json:"class"`          // what was really wrong
	By    string    `json:"by"`             // technician, owner, backend
	Note  string    `json:"note,omitempty"` // at most 200 bytes
}

// Problem is the body of every refusal.
type Problem struct {
	Error       string `json:"error"`
	Hint        string `json:"hint,omitempty"`  // key below "hint." in agent/text
	Place       string `json:"place,omitempty"` // where in the request: "line 2, column 7", "level"
	RetryAfterS int    `json:"retry_after_s,omitempty"`
}

// What a Backend may answer besides other errors, which become a 500.
var (
	ErrBusy        = errors.New("another diagnosis is running")
	ErrNoUsage     = errors.New("nothing is metered")
	ErrUnsupported = errors.New("this build does not have it")
)

// Unavailable says that an event could not be kept, why, and when to try again.
type Unavailable struct {
	Reason     string
	RetryAfter time.Duration
}

func (e *Unavailable) Error() string { return "event not kept: " + e.Reason }

// NotNow says why something cannot be done at this moment.
type NotNow struct{ Reason string }

func (e *NotNow) Error() string { return e.Reason }

// Invalid says where a request is wrong.
type Invalid struct{ Place, Reason string }

func (e *Invalid) Error() string {
	if e.Place == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %s", e.Place, e.Reason)
}
