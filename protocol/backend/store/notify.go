package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event is something that webhooks may want to know.
type Event struct {
	Tenant  string
	Type    string // alert.raised, group.changed, device.silent, ...
	Subject string // what must stay in order among itself: alert/12
	Data    any
}

// maxEventData bounds the data of an event: with its frame it stays below the
// 20 kB that Standard Webhooks advises.
const maxEventData = 18 << 10

// CloudEvent is the body of a webhook: CloudEvents 1.0 in JSON.
type CloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Time        string          `json:"time"`
	ContentType string          `json:"datacontenttype"`
	Sequence    string          `json:"sequence"` // of two with the same subject the higher one is the later
	Data        json.RawMessage `json:"data"`
}

// Notify writes an event for every endpoint that wants its type, and says for how
// many. It is sent after the commit.
func (t *Tx) Notify(ctx context.Context, e Event) (int, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return 0, err
	}
	if len(data) > maxEventData {
		data = []byte(`{"error":"too large for a webhook: ask the API"}`)
	}
	var ids []int64
	rows, err := t.Query(ctx, "SELECT id, types FROM endpoint WHERE tenant = ? AND disabled IS NULL", e.Tenant)
	if err != nil {
		return 0, err
	}
	err = scan(rows, func(r *sql.Rows) error {
		var id int64
		var types string
		if err := r.Scan(&id, &types); err != nil {
			return err
		}
		if Wants(types, e.Type) {
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, endpoint := range ids {
		n := time.Now().UnixNano() // of one subject transactions follow each other: its device is locked
		c := CloudEvent{SpecVersion: "1.0", ID: "msg_" + rand.Text(), Source: "cellwarden/" + e.Tenant, Type: e.Type, Subject: e.Subject,
			Time: time.UnixMilli(t.now).UTC().Format(time.RFC3339Nano), ContentType: "application/json", Sequence: fmt.Sprintf("%020d", n), Data: data}
		body, err := json.Marshal(c)
		if err != nil {
			return 0, err
		}
		if _, err := t.Exec(ctx, "INSERT INTO outbox (id, endpoint, type, subject, n, body, created, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			c.ID, endpoint, e.Type, clean(e.Subject, 200), n, string(body), t.now, t.now); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// Wants reports whether a list of types (comma-separated, "alert.*" allowed, "" all)
// holds one.
func Wants(types, one string) bool {
	if strings.TrimSpace(types) == "" {
		return true
	}
	for _, want := range strings.Split(types, ",") {
		want = strings.TrimSpace(want)
		if stem, ok := strings.CutSuffix(want, "*"); want == one || ok && strings.HasPrefix(one, stem) {
			return true
		}
	}
	return false
}

// AlertData is the data of an event about one alert.
type AlertData struct {
	Alert    *Alert   `json:"alert"`
	Device   string   `json:"device"`
	Site     string   `json:"site,omitempty"`
	District string   `json:"district,omitempty"`
	SalesPH  *float64 `json:"sales_per_h,omitempty"`
}

// tellAlert writes an event about an alert, unless it is muted.
func (t *Tx) tellAlert(ctx context.Context, what string, a *Alert) (int, error) {
	if muted, err := t.muted(ctx, a); err != nil || muted {
		return 0, err
	}
	d := AlertData{Alert: a, Device: a.Dev}
	var site, district sql.NullString
	if err := t.QueryRow(ctx, "SELECT s.name, s.district, d.sales_per_h FROM device d LEFT JOIN site s ON s.id = d.site WHERE d.id = ?", a.Device).
		Scan(&site, &district, &d.SalesPH); err != nil {
		return 0, err
	}
	d.Site, d.District = site.String, district.String
	return t.Notify(ctx, Event{Tenant: a.Tenant, Type: what, Subject: fmt.Sprintf("alert/%d", a.ID), Data: d})
}

func (t *Tx) muted(ctx context.Context, a *Alert) (bool, error) {
	if a.Muted != nil && *a.Muted > t.now {
		return true, nil
	}
	n := 0
	err := t.QueryRow(ctx, `SELECT count(*) FROM mute WHERE tenant = ? AND since <= ? AND until > ? AND (class = '' OR class = ?) AND
		(device IS NULL OR device = ?) AND (site IS NULL OR site = (SELECT site FROM device WHERE id = ?))`,
		a.Tenant, t.now, t.now, a.Class, a.Device, a.Device).Scan(&n)
	return n > 0, err
}
