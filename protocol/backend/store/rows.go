package store

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"strings"
)

// column is one column of rows to be written: vals is a slice, one value a row; a
// pointer that is nil writes null.
type column struct {
	name string
	kind string // PostgreSQL's: bigint, text, json, ...
	vals any
}

// sqliteParams is how many arguments one statement may have (32,766 by default).
const sqliteParams = 30_000

// insert writes rows in one statement. tail is what follows: ON CONFLICT ...,
// RETURNING ... With RETURNING, each gets the rows.
func (t *Tx) insert(ctx context.Context, table, tail string, cols []column, each func(*sql.Rows) error) error {
	n := reflect.ValueOf(cols[0].vals).Len()
	if n == 0 {
		return nil
	}
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = c.name
	}
	head := "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") "
	if t.s.Postgres {
		casts, args := make([]string, len(cols)), make([]any, len(cols))
		picks := make([]string, len(cols))
		for i, c := range cols {
			kind := c.kind
			picks[i] = fmt.Sprintf("c%d", i)
			if kind == "int8multirange" || kind == "json" { // sent as text
				picks[i] += "::" + kind
				kind = "text"
			}
			casts[i], args[i] = fmt.Sprintf("$%d::%s[]", i+1, kind), c.vals
		}
		as := make([]string, len(cols))
		for i := range cols {
			as[i] = fmt.Sprintf("c%d", i)
		}
		q := head + "SELECT " + strings.Join(picks, ", ") + " FROM unnest(" + strings.Join(casts, ", ") + ") AS u(" + strings.Join(as, ", ") + ") " + tail
		return t.run(ctx, q, args, each)
	}
	per := sqliteParams / len(cols)
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(cols)), ", ") + ")"
	for from := 0; from < n; from += per {
		to := min(n, from+per)
		args := make([]any, 0, (to-from)*len(cols))
		for row := from; row < to; row++ {
			for _, c := range cols {
				args = append(args, reflect.ValueOf(c.vals).Index(row).Interface())
			}
		}
		q := head + "VALUES " + strings.TrimSuffix(strings.Repeat(one+", ", to-from), ", ") + " " + tail
		if err := t.run(ctx, q, args, each); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) run(ctx context.Context, q string, args []any, each func(*sql.Rows) error) error {
	if each == nil {
		_, err := t.tx.ExecContext(ctx, q, args...)
		return err
	}
	rows, err := t.tx.QueryContext(ctx, q, args...)
	if err != nil {
		return err
	}
	return scan(rows, each)
}

// scan gives each row and closes rows.
func scan(rows *sql.Rows, each func(*sql.Rows) error) error {
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// pick makes a column of one field of each element.
func pick[E any, V any](list []E, f func(*E) V) []V {
	out := make([]V, len(list))
	for i := range list {
		out[i] = f(&list[i])
	}
	return out
}
