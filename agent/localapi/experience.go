package localapi

import (
	"context"
	"io"
	"net/http"

	"cellwarden/agent/diag"
)

// Experience is what the agent learned: the faults that were confirmed later, of
// the card's home operator, and the priors that they moved.
type Experience struct {
	Home      string            `json:"home,omitempty"` // PLMN of the card's operator
	Faults    int               `json:"faults"`         // confirmed, of that operator
	Counts    map[diag.Code]int `json:"counts,omitempty"`
	Priors    []Prior           `json:"priors,omitempty"`    // those that moved
	Whitelist bool              `json:"whitelist,omitempty"` // only listed hosts answer, as it seems (定向)
}

// Prior is how likely a class is before any evidence, in per cent.
type Prior struct {
	Class diag.Code `json:"class"`
	Base  float64   `json:"base"`
	Now   float64   `json:"now"`
}

// Learned is a Backend that can show what it learned and forget it.
type Learned interface {
	Experience(ctx context.Context) (Experience, error)
	Forget(ctx context.Context) error
}

// Player is a Backend that can write its recording as a scenario file, which the
// modem simulator plays.
type Player interface {
	RecordScenario(ctx context.Context, w io.Writer) error
}

func (s *server) experience(ctx context.Context) (any, error) {
	l, ok := s.b.(Learned)
	if !ok {
		return nil, ErrUnsupported
	}
	return l.Experience(ctx)
}

func (s *server) forget(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	l, ok := s.b.(Learned)
	if !ok {
		refuse(w, ErrUnsupported)
		return
	}
	if err := l.Forget(ctx); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Experience is what the agent learned.
func (c *Client) Experience(ctx context.Context) (Experience, error) {
	return ask[Experience](ctx, c, "/v1/experience")
}

// Forget resets the priors to the built-in ones.
func (c *Client) Forget(ctx context.Context) error {
	_, err := post[struct{}](ctx, c, "/v1/experience/forget", struct{}{})
	return err
}

// RecordScenario copies the recording as a scenario file to w.
func (c *Client) RecordScenario(ctx context.Context, w io.Writer) error {
	return c.export(ctx, "/v1/record/scenario", w)
}
