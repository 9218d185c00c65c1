package store

import (
	"context"
	"database/sql"
	"encoding/json"
)

// DeviceNow is how a device stands.
type DeviceNow struct {
	ID        int64           `json:"-"`
	Dev       string          `json:"device"`
	Site      string          `json:"site,omitempty"`
	Up        *bool           `json:"up"`    // null: no status was seen
	UpAt      int64           `json:"up_at"` // milliseconds since 1970, as all times
	Heard     int64           `json:"heard"`
	Class     string          `json:"class"` // of the newest state
	RSRP      *float64        `json:"rsrp_dbm,omitempty"`
	Used      int64           `json:"used_bytes"`
	Quota     int64           `json:"quota_bytes"`
	Waiting   int64           `json:"waiting"`
	SalesPH   *float64        `json:"sales_per_h,omitempty"`
	Last      json.RawMessage `json:"last,omitempty"`
	Inventory json.RawMessage `json:"inventory,omitempty"`
}

// Devices lists devices of a tenant by name, those after a name.
func (s *Store) Devices(ctx context.Context, tenant, after string, limit int) ([]DeviceNow, error) {
	rows, err := s.Query(ctx, `SELECT d.id, d.dev, coalesce(s.name, ''), n.up, n.up_at, n.heard, n.class, n.rsrp, n.used, n.quota, n.waiting, d.sales_per_h, n.last, n.inventory
		FROM device d JOIN device_now n ON n.device = d.id LEFT JOIN site s ON s.id = d.site WHERE d.tenant = ? AND d.dev > ? ORDER BY d.dev LIMIT ?`, tenant, after, limit)
	if err != nil {
		return nil, err
	}
	list := []DeviceNow{}
	err = scan(rows, func(r *sql.Rows) error {
		var d DeviceNow
		var last, inv sql.NullString
		if err := r.Scan(&d.ID, &d.Dev, &d.Site, &d.Up, &d.UpAt, &d.Heard, &d.Class, &d.RSRP, &d.Used, &d.Quota, &d.Waiting, &d.SalesPH, &last, &inv); err != nil {
			return err
		}
		if last.Valid {
			d.Last = json.RawMessage(last.String)
		}
		if inv.Valid {
			d.Inventory = json.RawMessage(inv.String)
		}
		list = append(list, d)
		return nil
	})
	return list, err
}
