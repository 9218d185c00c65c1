package localapi

import (
	"context"
	"net/http"

	"cellwarden/protocol"
)

// Updater is a Backend that can be updated.
type Updater interface {
	// Update offers a manifest by URL or by its path on the device. A
	// *protocol.Refusal says why it is not taken.
	Update(ctx context.Context, a protocol.UpdateArgs) error
}

// Update is how updates of the agent stand.
type Update struct {
	Slot    string            `json:"slot,omitempty"` // a, b; "": the installed package runs
	Package string            `json:"package"`        // version of the installed package
	Root    int               `json:"root"`           // version of the keys
	Floor   string            `json:"floor"`          // an update must be newer
	Trial   string            `json:"trial,omitempty"`
	Offered string            `json:"offered,omitempty"` // version under way
	Source  string            `json:"source,omitempty"`  // of its manifest; "" when none is under way
	Form    string            `json:"form,omitempty"`    // gzip, delta
	Have    int64             `json:"have,omitempty"`    // bytes of Size
	Size    int64             `json:"size,omitempty"`
	Wait    *protocol.Refusal `json:"wait,omitempty"`
	Refused *UpdateRefused    `json:"refused,omitempty"` // the last one
	Failed  string            `json:"failed,omitempty"`  // the version that was taken back last
}

// UpdateRefused is an offer that was refused.
type UpdateRefused struct {
	Version string `json:"version,omitempty"`
	At      string `json:"at,omitempty"`
	protocol.Refusal
}

func (s *server) update(w http.ResponseWriter, r *http.Request) {
	u, ok := s.b.(Updater)
	if !ok {
		refuse(w, ErrUnsupported)
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	var a protocol.UpdateArgs
	if err := decode(body, &a); err != nil {
		refuse(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	if err := u.Update(ctx, a); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Update offers an update.
func (c *Client) Update(ctx context.Context, a protocol.UpdateArgs) error {
	_, err := post[struct{}](ctx, c, "/v1/update", a)
	return err
}
