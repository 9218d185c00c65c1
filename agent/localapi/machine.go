package localapi

import (
	"context"
	"encoding/json"
	"net/http"

	"cellwarden/protocol"
)

// Machine is the vending machine itself, as its audits and its payment bus show it.
// Money is in minor units of its currency.
type Machine struct {
	Name        string          `json:"name"`               // model and serial number, as it says them
	LastAudit   *protocol.Time  `json:"last_audit"`         // nil: none yet
	Source      string          `json:"source,omitempty"`   // dex, ddcmp
	G85         string          `json:"g85,omitempty"`      // of the last audit
	Failures    int             `json:"failures,omitempty"` // reads in a row that gave nothing
	Bus         bool            `json:"bus"`                // the payment bus is heard
	TodayCount  int64           `json:"today_count"`        // vends
	TodayValue  int64           `json:"today_value"`
	TodayFrom   string          `json:"today_from,omitempty"` // mdb, software, audit
	Usual       float64         `json:"usual"`                // vends that a day like this has had by now; -1 not known
	LostPerHour int64           `json:"lost_per_hour,omitempty"`
	Quiet       bool            `json:"quiet,omitempty"` // hardly anything is sold at this hour
	Decimals    int             `json:"decimals"`
	Currency    string          `json:"currency,omitempty"`
	LastSale    *protocol.Time  `json:"last_sale,omitempty"`
	Notices     []MachineNotice `json:"notices"`
	Stock       []MachineColumn `json:"stock"`
}

// MachineNotice is something that a person acts on, and that stands.
type MachineNotice struct {
	Kind      string        `json:"kind"`
	Selection string        `json:"sel,omitempty"`
	Code      string        `json:"code,omitempty"`
	How       string        `json:"how"` // reported, derived, inferred
	Source    string        `json:"source"`
	Detail    string        `json:"detail"` // English
	Since     protocol.Time `json:"since"`
}

// MachineColumn is one selection. Level is -1 where it is not known, Fill how many to
// bring.
type MachineColumn struct {
	Selection string `json:"sel"`
	Name      string `json:"name,omitempty"`
	Level     int64  `json:"level"`
	Capacity  int64  `json:"capacity,omitempty"`
	Fill      int64  `json:"fill,omitempty"`
	Low       bool   `json:"low,omitempty"`
}

// Machinist is a Backend that reads a machine.
type Machinist interface {
	// ReadMachine starts one read of the audit port, or says why not now.
	ReadMachine(ctx context.Context) error
	// Filled says that columns were filled; none named: all.
	Filled(ctx context.Context, selections []string) error
}

// Filling is the body of POST /v1/machine/filled.
type Filling struct {
	Selections []string `json:"selections,omitempty"` // none: all of them
}

// maxFilled bounds a Filling: a machine has some 60 columns, the largest 400.
const maxFilled = 400

// machinist serves one request of a Machinist.
func (s *server) machinist(do func(context.Context, Machinist, []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, ok := s.b.(Machinist)
		if !ok {
			refuse(w, ErrUnsupported)
			return
		}
		body, err := readBody(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		if err := do(ctx, m, body); err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func readMachine(ctx context.Context, m Machinist, _ []byte) error { return m.ReadMachine(ctx) }

func filled(ctx context.Context, m Machinist, body []byte) error {
	var f Filling
	if len(body) > 0 {
		if err := json.Unmarshal(body, &f); err != nil {
			return &Invalid{"", "not a list of selections: " + err.Error()}
		}
	}
	if len(f.Selections) > maxFilled {
		return &Invalid{"selections", "more than a machine has"}
	}
	return m.Filled(ctx, f.Selections)
}

// ReadMachine has the machine's audit read now.
func (c *Client) ReadMachine(ctx context.Context) error {
	_, err := post[struct{}](ctx, c, "/v1/machine/read", struct{}{})
	return err
}

// Filled says that columns were filled; none named: all.
func (c *Client) Filled(ctx context.Context, selections []string) error {
	_, err := post[struct{}](ctx, c, "/v1/machine/filled", Filling{selections})
	return err
}
