package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Retention is how long history is kept; 0 is for ever. It counts from arrival: a
// device with a wrong clock would write into 1970.
type Retention struct {
	Events, States time.Duration
}

// DefaultRetention: events 13 months, so that a month can be put beside that of the
// year before; states 35 days.
var DefaultRetention = Retention{Events: 396 * 24 * time.Hour, States: 35 * 24 * time.Hour}

// monthsAhead is how many partitions are made before they are needed: a receiver
// that maintains daily may miss a month and still finds its tables.
const monthsAhead = 2

// Maintain makes the partitions of the coming months and drops what is older than r
// allows. Run it once a day; several receivers may at once.
func (s *Store) Maintain(ctx context.Context, r Retention) error {
	now := s.now().UTC()
	for table, keep := range map[string]time.Duration{"event": r.Events, "state": r.States} {
		if !s.Postgres {
			if keep > 0 {
				if _, err := s.DB.ExecContext(ctx, "DELETE FROM "+table+" WHERE arrived < ?", now.Add(-keep).UnixMilli()); err != nil {
					return err
				}
			}
			continue
		}
		month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
		for i := range monthsAhead + 1 {
			from, to := month.AddDate(0, i, 0), month.AddDate(0, i+1, 0)
			err := s.partition(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s_%s PARTITION OF %s FOR VALUES FROM (%d) TO (%d)",
				table, from.Format("200601"), table, from.UnixMilli(), to.UnixMilli()))
			if err != nil {
				return fmt.Errorf("partition of %s: %w", table, err)
			}
		}
		if keep <= 0 {
			continue
		}
		old, err := s.partitions(ctx, table)
		if err != nil {
			return err
		}
		for _, name := range old {
			from, err := time.Parse("200601", strings.TrimPrefix(name, table+"_"))
			if err == nil && from.AddDate(0, 1, 0).Before(now.Add(-keep)) {
				if err := s.partition(ctx, "DROP TABLE IF EXISTS "+name); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	_, err := s.DB.ExecContext(ctx, s.bind("DELETE FROM rejected WHERE at < ?"), now.Add(-90*24*time.Hour).UnixMilli())
	return err
}

// partition changes tables under a lock, so that receivers that start at once do not
// do it together.
func (s *Store) partition(ctx context.Context, q string) error {
	return s.Tx(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(7305)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, q)
		return err
	})
}

func (s *Store) partitions(ctx context.Context, table string) ([]string, error) {
	rows, err := s.Query(ctx, `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(? AS regclass)`, table)
	if err != nil {
		return nil, err
	}
	var names []string
	err = scan(rows, func(r *sql.Rows) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		names = append(names, name)
		return nil
	})
	return names, err
}
