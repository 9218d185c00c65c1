package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // the driver named sqlite
)

//go:embed migrations
var migrations embed.FS

// Store is one database. It is safe for concurrent use, also of several processes
// where it is PostgreSQL.
type Store struct {
	DB       *sql.DB
	Postgres bool
	now      func() time.Time
	ids      ids
	limits   Limits
}

// Limits bound what devices may make the database hold.
type Limits struct {
	Epochs        int           // of one device; 50: a store is made anew when flash is wiped, a few times in a machine's life
	EpochBurst    int           // of one device within EpochWindow; 5: a bench where flash is wiped again and again
	EpochWindow   time.Duration // 50 min: with the burst, one each ten minutes
	RejectedADay  int           // rows of rejected a day; 10,000: enough to see a pattern, 10 MB
	UnknownDevice bool          // take devices that nobody entered; else they are rejected
}

// DefaultLimits are those of a receiver whose config says nothing.
var DefaultLimits = Limits{Epochs: 50, EpochBurst: 5, EpochWindow: 50 * time.Minute, RejectedADay: 10_000, UnknownDevice: true}

// Open connects to "postgres://..." or opens "sqlite:PATH" (":memory:" too), and
// brings the schema up to date. Several processes may do so at once.
func Open(ctx context.Context, where string) (*Store, error) {
	s := &Store{now: time.Now, limits: DefaultLimits}
	path, isSQLite := strings.CutPrefix(where, "sqlite:")
	switch {
	case isSQLite:
		q := url.Values{"_pragma": {"journal_mode(WAL)", "busy_timeout(10000)", "synchronous(FULL)", "foreign_keys(1)"}, "_txlock": {"immediate"}}
		db, err := sql.Open("sqlite", "file:"+path+"?"+q.Encode())
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		db.SetMaxOpenConns(4)
		if path == ":memory:" {
			db.SetMaxOpenConns(1) // each connection would be a database of its own
		}
		s.DB = db
	case strings.HasPrefix(where, "postgres:"), strings.HasPrefix(where, "postgresql:"):
		cfg, err := pgx.ParseConfig(where)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err) // pgx leaves the password out of it
		}
		s.Postgres = true
		s.DB = stdlib.OpenDB(*cfg)
		s.DB.SetMaxOpenConns(16)
		s.DB.SetMaxIdleConns(8)
	default:
		return nil, errors.New("store: want postgres://user:password@host/database or sqlite:path")
	}
	if err := s.migrate(ctx); err != nil {
		_ = s.DB.Close() // the first error tells more
		return nil, fmt.Errorf("store: %w", err)
	}
	return s, nil
}

// SetLimits changes the limits; before the first Ingest.
func (s *Store) SetLimits(l Limits) { s.limits = l }

// SetClock replaces the clock, for tests.
func (s *Store) SetClock(now func() time.Time) { s.now = now }

// Close closes the database.
func (s *Store) Close() error { return s.DB.Close() }

func (s *Store) migrate(ctx context.Context) error {
	dialect, dir := goose.DialectSQLite3, "migrations/sqlite"
	var opts []goose.ProviderOption
	if s.Postgres {
		dialect, dir = goose.DialectPostgres, "migrations/postgres"
		locker, err := lock.NewPostgresSessionLocker() // several receivers start at once
		if err != nil {
			return err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	sub, err := fs.Sub(migrations, dir)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, s.DB, sub, opts...)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return s.Maintain(ctx, Retention{})
}

// Tx is one transaction. Its methods take SQL with "?" for arguments.
type Tx struct {
	tx  *sql.Tx
	s   *Store
	now int64
}

// Tx runs do in a transaction and commits it, or rolls back when do fails.
func (s *Store) Tx(ctx context.Context, do func(*Tx) error) error {
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says only that
	if err := do(&Tx{tx, s, s.now().UnixMilli()}); err != nil {
		return err
	}
	return tx.Commit()
}

// Now is the transaction's time, in milliseconds since 1970.
func (t *Tx) Now() int64 { return t.now }

// Exec runs a statement.
func (t *Tx) Exec(ctx context.Context, q string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, t.s.bind(q), args...)
}

// Query runs a query. Close the rows.
func (t *Tx) Query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, t.s.bind(q), args...)
}

// QueryRow runs a query that gives one row.
func (t *Tx) QueryRow(ctx context.Context, q string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.s.bind(q), args...)
}

// Query runs a query outside of a transaction. Close the rows.
func (s *Store) Query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return s.DB.QueryContext(ctx, s.bind(q), args...)
}

// QueryRow runs a query that gives one row, outside of a transaction.
func (s *Store) QueryRow(ctx context.Context, q string, args ...any) *sql.Row {
	return s.DB.QueryRowContext(ctx, s.bind(q), args...)
}

// bind writes "?" as PostgreSQL wants it: $1, $2, ... No statement of ours has a
// "?" in a text.
func (s *Store) bind(q string) string {
	if !s.Postgres || !strings.Contains(q, "?") {
		return q
	}
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(q, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		q = after
	}
}

// In makes the test that a column is one of a list: "device "+in, with arg as the
// argument. T is int64 or string.
func In[T int64 | string](s *Store, list []T) (in string, arg any) {
	if s.Postgres {
		return "= ANY(?)", list
	}
	raw, err := json.Marshal(list)
	if err != nil { // numbers and texts always render
		panic("store: " + err.Error())
	}
	return "IN (SELECT value FROM json_each(?))", string(raw)
}

// Poison reports whether err is about the data, so that the same data would fail
// again: a constraint or an encoding (SQLSTATE classes 22 and 23). All else is
// about the database, and passes.
func Poison(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23")
	}
	var code interface{ Code() int }
	if errors.As(err, &code) {
		const constraint, mismatch, toobig = 19, 20, 18 // sqlite.org/rescode.html
		c := code.Code() & 0xff
		return c == constraint || c == mismatch || c == toobig
	}
	return false
}

// clean makes foreign text fit a text column: no NUL, which PostgreSQL refuses, and
// no more than limit bytes.
func clean(text string, limit int) string {
	text = strings.ReplaceAll(text, "\x00", "�")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return text
}
