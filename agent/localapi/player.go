package localapi

import (
	"context"
	"io"
)

// Player is a Backend that can write its recording as a scenario file, which the
// modem simulator plays.
type Player interface {
	RecordScenario(ctx context.Context, w io.Writer) error
}

// RecordScenario copies the recording as a scenario file to w.
func (c *Client) RecordScenario(ctx context.Context, w io.Writer) error {
	return c.export(ctx, "/v1/record/scenario", w)
}
