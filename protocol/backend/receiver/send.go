package receiver

import (
	"context"
	"fmt"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/store"
)

// Send sends a command of the backend's own to one device, retained until it answers or
// the command expires. A command that is to be signed comes signed.
func (r *Receiver) Send(ctx context.Context, device string, c protocol.Command) error {
	raw, err := protocol.MarshalCommand(c)
	if err != nil {
		return err
	}
	expires, err := time.Parse(time.RFC3339, c.Expires)
	if err != nil {
		return err
	}
	retained := r.cfg.AMQP == ""
	err = r.store.Tx(ctx, func(tx *store.Tx) error {
		var id int64
		if err := tx.QueryRow(ctx, "SELECT id FROM device WHERE tenant = ? AND dev = ?", r.tenant(), device).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO command (id, device, did, sent, expires, retained) VALUES (?, ?, ?, ?, ?, ?)", c.ID, id, c.Do,
			tx.Now(),
			expires.UnixMilli(), retained)
		return err
	})
	if err != nil {
		return fmt.Errorf("command %s: %w", c.Do, err)
	}
	topic := protocol.Topic{Prefix: r.cfg.Prefix, Device: device, Leaf: protocol.LeafCommand}.String()
	return r.data.Publish(ctx, topic, retained, raw)
}
