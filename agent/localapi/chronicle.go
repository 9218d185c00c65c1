package localapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"cellwarden/agent/journal"
)

// Chronicled is a Backend that keeps a diary.
type Chronicled interface {
	// Chronicle is what happened from then on, oldest first, and a day of levels.
	Chronicle(ctx context.Context, since time.Time) (Chronicle, error)
}

// Chronicle is the answer to GET /v1/log.
type Chronicle struct {
	Entries []journal.Entry `json:"entries"`
	Levels  []LevelPoint    `json:"levels"`
}

// LevelPoint is the mean of five minutes; nil is not known.
type LevelPoint struct {
	Unix int64    `json:"t"`
	RSRP *float64 `json:"rsrp_dbm,omitempty"`
	SINR *float64 `json:"sinr_db,omitempty"`
}

// Identified is a Backend that knows the numbers of card and module in full. They are
// for the device's own page and console, and never go over the wire.
type Identified interface {
	Identities(ctx context.Context) (Identities, error)
}

// Identities are in clear; "" is not read yet.
type Identities struct {
	ICCID string `json:"iccid,omitempty"`
	IMEI  string `json:"imei,omitempty"`
}

// Aimed is a Backend that can read the level every second for a while.
type Aimed interface {
	Aim(ctx context.Context, d time.Duration) error
}

// AimFor is how long one request keeps the quick readings up.
const AimFor = time.Minute

func (s *server) chronicle(routes Routes) {
	routes["GET /v1/log"] = func(w http.ResponseWriter, r *http.Request) {
		c, ok := s.b.(Chronicled)
		if !ok {
			refuse(w, ErrUnsupported)
			return
		}
		var since time.Time
		if q := r.URL.Query().Get("since"); q != "" {
			t, err := time.Parse(time.RFC3339, q)
			if err != nil {
				refuse(w, &Invalid{"since", fmt.Sprintf("%.40q: RFC 3339, such as 2026-11-22T00:00:00Z", q)})
				return
			}
			since = t
		}
		get(w, r, func(ctx context.Context) (any, error) { return c.Chronicle(ctx, since) })
	}
	routes["GET /v1/identities"] = func(w http.ResponseWriter, r *http.Request) {
		i, ok := s.b.(Identified)
		if !ok {
			refuse(w, ErrUnsupported)
			return
		}
		get(w, r, func(ctx context.Context) (any, error) { return i.Identities(ctx) })
	}
	routes["POST /v1/aim"] = func(w http.ResponseWriter, r *http.Request) {
		a, ok := s.b.(Aimed)
		if !ok {
			refuse(w, ErrUnsupported)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		if err := a.Aim(ctx, AimFor); err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// Chronicle is what the daemon's diary says from then on.
func (c *Client) Chronicle(ctx context.Context, since time.Time) (Chronicle, error) {
	path := "/v1/log"
	if !since.IsZero() {
		path += "?" + url.Values{"since": {since.Format(time.RFC3339)}}.Encode()
	}
	return ask[Chronicle](ctx, c, path)
}

// Identities are the numbers of card and module, in full.
func (c *Client) Identities(ctx context.Context) (Identities, error) {
	return ask[Identities](ctx, c, "/v1/identities")
}

// Aim has the level read every second for AimFor.
func (c *Client) Aim(ctx context.Context) error {
	_, err := post[struct{}](ctx, c, "/v1/aim", struct{}{})
	return err
}
