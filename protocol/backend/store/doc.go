// Package store is the receiver's database: PostgreSQL for a fleet, SQLite for
// one machine or a trial, behind one type.
//
// # For whoever builds on it
//
// Open gives a Store with its schema migrated. Everything that belongs together is
// done in one transaction:
//
//	err := s.Tx(ctx, func(tx *store.Tx) error {
//		_, err := tx.Exec(ctx, `UPDATE device SET site = ? WHERE id = ?`, site, id)
//		return err
//	})
//
// SQL is written once, with "?" for arguments, in the part of the language that
// both databases speak; Tx.In makes the test for a list of ids. Times are
// milliseconds since 1970 in every column. A package that needs tables of its own
// adds migrations below migrations/postgres and migrations/sqlite (one number in
// both; 1 to 99 are the receiver's, 100 to 199 those of SIM platforms and of the
// fleet).
//
// What a backend's own rule finds (a machine is silent, a pool is empty) becomes an
// alert by Tx.Raise and Tx.Clear, with a source of its own: it then lives, is
// grouped, muted and sent like those of devices. Tx.Notify writes an event to every
// webhook that wants its type, in the same transaction.
//
// Tables: migrations/postgres/00001_first.sql, with a comment on each column that
// needs one. The ones to read: device (who they are), device_now (one row a device:
// how it stands), alert (one row an incident and class; closed is null while it
// stands), stream (what arrived of each epoch), state and event (history).
package store
