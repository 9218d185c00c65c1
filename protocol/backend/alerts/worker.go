package alerts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"cellwarden/protocol/backend/store"
)

// every is how often the alerts that stand are looked at.
const every = 5 * time.Second

// maxNames is how many devices an event names; the rest is a number.
const maxNames = 20

// GroupData is the data of an event about a group.
type GroupData struct {
	Group   int64    `json:"group"`
	Class   string   `json:"class"`
	Act     string   `json:"act"`
	Who     string   `json:"who"`
	Size    int      `json:"size"`
	New     int      `json:"new"`  // since the message before
	Gone    int      `json:"gone"` // since the message before
	Devices []string `json:"devices"`
	Sites   []string `json:"sites"`
	LostPH  float64  `json:"lost_per_h"` // sales an hour of all members, as far as known
}

// Run looks at the alerts until ctx ends. Several receivers may: one at a time works.
// wake is called when something was written for webhooks.
func Run(ctx context.Context, s *store.Store, log *slog.Logger, wake func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n, err := Once(ctx, s)
		if err != nil && ctx.Err() == nil {
			log.Warn("alerts wait for the database", "error", err.Error())
		}
		if n > 0 {
			wake()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Once carries out one plan, and says how many events it wrote.
func Once(ctx context.Context, s *store.Store) (events int, err error) {
	err = s.Tx(ctx, func(tx *store.Tx) error {
		events = 0
		if s.Postgres {
			mine := false
			if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock(7306)").Scan(&mine); err != nil || !mine {
				return err
			}
		}
		groups, err := readGroups(ctx, tx)
		if err != nil {
			return err
		}
		standing, err := readStanding(ctx, tx)
		if err != nil {
			return err
		}
		now := time.UnixMilli(tx.Now())
		was := map[int64][]int64{}
		for _, g := range groups {
			was[g.ID] = g.Sent
		}
		for _, step := range Plan(now, groups, standing) {
			n, err := carry(ctx, tx, now, step, was[step.Group])
			if err != nil {
				return fmt.Errorf("%s %s: %w", step.Do, step.Key, err)
			}
			events += n
		}
		return nil
	})
	return events, err
}

func readGroups(ctx context.Context, tx *store.Tx) (list []Group, err error) {
	rows, err := tx.Query(ctx, "SELECT id, tenant, key, due, sent_at, sent FROM alert_group WHERE kind = 'class' AND closed IS NULL ORDER BY id")
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var g Group
		var due, sentAt int64
		var sent string
		if err := rows.Scan(&g.ID, &g.Tenant, &g.Key, &due, &sentAt, &sent); err != nil {
			_ = rows.Close()
			return nil, err
		}
		g.Due, g.SentAt, g.Sent = time.UnixMilli(due), time.UnixMilli(sentAt), split(sent)
		list = append(list, g)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

func readStanding(ctx context.Context, tx *store.Tx) (list []Member, err error) {
	rows, err := tx.Query(ctx, `SELECT a.id, d.dev, coalesce(s.name, ''), a.tenant, a.class, a.act, a.who, a.opened, coalesce(d.sales_per_h, 0), a.unstable,
		a.acked_at IS NOT NULL, a.escalated, coalesce(a.group_id, 0), coalesce(a.muted_until, 0) > ? OR EXISTS (SELECT 1 FROM mute m WHERE m.tenant = a.tenant
			AND m.since <= ? AND m.until > ? AND (m.class = '' OR m.class = a.class) AND (m.device IS NULL OR m.device = a.device) AND (m.site IS NULL OR m.site = d.site))
		FROM alert a JOIN device d ON d.id = a.device LEFT JOIN site s ON s.id = d.site WHERE a.closed IS NULL ORDER BY a.id`, tx.Now(), tx.Now(), tx.Now())
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var m Member
		var opened int64
		if err := rows.Scan(&m.ID, &m.Device, &m.Site, &m.Tenant, &m.Class, &m.Act, &m.Who, &opened, &m.SalesPH, &m.Unstable, &m.Acked, &m.Escalated,
			&m.Group, &m.Muted); err != nil {
			_ = rows.Close()
			return nil, err
		}
		m.Opened = time.UnixMilli(opened)
		list = append(list, m)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

func carry(ctx context.Context, tx *store.Tx, now time.Time, s Step, was []int64) (int, error) {
	switch s.Do {
	case Open:
		var id int64
		if err := tx.QueryRow(ctx, "INSERT INTO alert_group (tenant, kind, key, opened, due) VALUES (?, 'class', ?, ?, ?) RETURNING id",
			s.Tenant, s.Key, tx.Now(), now.Add(Wait).UnixMilli()).Scan(&id); err != nil {
			return 0, err
		}
		return 0, belong(ctx, tx, id, s.Members)
	case Look:
		_, err := tx.Exec(ctx, "UPDATE alert_group SET due = ? WHERE id = ?", now.Add(Interval).UnixMilli(), s.Group)
		return 0, err
	case Close:
		_, err := tx.Exec(ctx, "UPDATE alert_group SET closed = ? WHERE id = ?", tx.Now(), s.Group)
		return 0, err
	case Escalate:
		if _, err := tx.Exec(ctx, "UPDATE alert SET escalated = ? WHERE id = ?", s.Level, s.Alert.ID); err != nil {
			return 0, err
		}
		m := s.Alert
		return tx.Notify(ctx, store.Event{Tenant: s.Tenant, Type: "alert.escalated", Subject: fmt.Sprintf("alert/%d", m.ID), Data: struct {
			Level   int      `json:"level"`
			Lost    float64  `json:"lost"`
			Alert   int64    `json:"id"`
			Class   string   `json:"class"`
			Act     string   `json:"act"`
			Who     string   `json:"who"`
			Device  string   `json:"device"`
			Devices []string `json:"devices"`
			Site    string   `json:"site,omitempty"`
			SalesPH float64  `json:"sales_per_h"`
		}{s.Level, s.Lost, m.ID, m.Class, m.Act, m.Who, m.Device, []string{m.Device}, m.Site, m.SalesPH}})
	}
	if err := belong(ctx, tx, s.Group, s.Members); err != nil {
		return 0, err
	}
	ids := IDs(s.Members)
	closed := any(nil)
	if s.Event == "group.cleared" {
		closed = tx.Now()
	}
	if _, err := tx.Exec(ctx, "UPDATE alert_group SET due = ?, sent_at = ?, sent = ?, closed = ? WHERE id = ?", now.Add(Interval).UnixMilli(), tx.Now(),
		join(ids), closed, s.Group); err != nil {
		return 0, err
	}
	return tx.Notify(ctx, store.Event{Tenant: s.Tenant, Type: s.Event, Subject: fmt.Sprintf("group/%d", s.Group), Data: describe(s, was, ids)})
}

// belong notes which group alerts belong to.
func belong(ctx context.Context, tx *store.Tx, group int64, members []Member) error {
	for _, m := range members {
		if m.Group == group {
			continue
		}
		if _, err := tx.Exec(ctx, "UPDATE alert SET group_id = ? WHERE id = ?", group, m.ID); err != nil {
			return err
		}
	}
	return nil
}

func describe(s Step, was, now []int64) GroupData {
	class, who, _ := strings.Cut(s.Key, "/")
	d := GroupData{Group: s.Group, Class: class, Act: class, Who: who, Size: len(s.Members), Devices: []string{}, Sites: []string{}}
	for i, m := range s.Members {
		if i == 0 {
			d.Act = m.Act
		} else if d.Act != m.Act {
			d.Act = class
		}
		d.LostPH += m.SalesPH
		if len(d.Devices) < maxNames {
			d.Devices = append(d.Devices, m.Device)
		}
		if m.Site != "" && len(d.Sites) < maxNames && !slices.Contains(d.Sites, m.Site) {
			d.Sites = append(d.Sites, m.Site)
		}
	}
	for _, id := range now {
		if !slices.Contains(was, id) {
			d.New++
		}
	}
	for _, id := range was {
		if !slices.Contains(now, id) {
			d.Gone++
		}
	}
	return d
}
