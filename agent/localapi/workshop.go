package localapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Watched is a Backend that says when its Status may have changed: a value on the
// channel, of which one may stand for many. It ends with ctx.
type Watched interface {
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// Workshop is a Backend that a technician can work with.
type Workshop interface {
	// Repair begins or ends repair mode: no step of recovery is taken.
	Repair(ctx context.Context, on bool) error
	// Hold keeps recovery off for so long, at most 10 min; 0 lets it go on.
	Hold(ctx context.Context, d time.Duration) error
	// Did records what was done, one of Deeds, and has all looked at again.
	Did(ctx context.Context, what string) error
}

// Deeds are what a technician can say that he did; the words are below "deed." in
// agent/text.
var Deeds = []string{"card_reseated", "card_changed", "bill_paid", "antenna_replaced", "dialer_restarted", "modem_restarted", "moved", "cross_card_here_ok", "cross_card_here_bad", "cross_card_there_ok", "cross_card_there_bad"}

// Deed is the body of POST /v1/did.
type Deed struct {
	What string `json:"what"`
}

// Check refuses what is no deed.
func (d Deed) Check() error {
	if !slices.Contains(Deeds, d.What) {
		return &Invalid{"what", fmt.Sprintf("%.32q: one of %s", d.What, strings.Join(Deeds, ", "))}
	}
	return nil
}

// RepairMode is the body of POST /v1/repair.
type RepairMode struct {
	On bool `json:"on"`
}

// HoldOff is the body of POST /v1/hold.
type HoldOff struct {
	Seconds int `json:"seconds"` // 0 to 600
}

// maxHold is the longest that a payment may keep recovery off, in seconds.
const maxHold = 600

func (s *server) workshop(routes Routes) {
	routes["POST /v1/did"] = func(w http.ResponseWriter, r *http.Request) {
		var d Deed
		s.work(w, r, &d, func(ctx context.Context, shop Workshop) error {
			if err := d.Check(); err != nil {
				return err
			}
			return shop.Did(ctx, d.What)
		})
	}
	routes["POST /v1/repair"] = func(w http.ResponseWriter, r *http.Request) {
		var m RepairMode
		s.work(w, r, &m, func(ctx context.Context, shop Workshop) error { return shop.Repair(ctx, m.On) })
	}
	routes["POST /v1/hold"] = func(w http.ResponseWriter, r *http.Request) {
		var h HoldOff
		s.work(w, r, &h, func(ctx context.Context, shop Workshop) error {
			if h.Seconds < 0 || h.Seconds > maxHold {
				return &Invalid{"seconds", fmt.Sprintf("%d: 0 to %d", h.Seconds, maxHold)}
			}
			return shop.Hold(ctx, time.Duration(h.Seconds)*time.Second)
		})
	}
}

// work reads the body of one request and does what it asks.
func (s *server) work(w http.ResponseWriter, r *http.Request, body any, do func(context.Context, Workshop) error) {
	shop, ok := s.b.(Workshop)
	if !ok {
		refuse(w, ErrUnsupported)
		return
	}
	b, err := readBody(w, r)
	if err == nil {
		err = decode(b, body)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		err = do(ctx, shop)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Did tells the daemon what a technician did.
func (c *Client) Did(ctx context.Context, what string) error {
	_, err := post[struct{}](ctx, c, "/v1/did", Deed{what})
	return err
}

// Repair begins or ends repair mode.
func (c *Client) Repair(ctx context.Context, on bool) error {
	_, err := post[struct{}](ctx, c, "/v1/repair", RepairMode{on})
	return err
}

// Hold keeps recovery off for so long.
func (c *Client) Hold(ctx context.Context, d time.Duration) error {
	_, err := post[struct{}](ctx, c, "/v1/hold", HoldOff{int(d / time.Second)})
	return err
}
