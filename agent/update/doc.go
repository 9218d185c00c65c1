// Package update decides which binary this device may run: it reads signed
// manifests and roots, compares versions, rebuilds a binary from a delta, and
// says which slot starts next. It reads no file, asks no network and knows no
// time of its own; package install does all that with what it is told here.
//
// Nothing that comes over the air is believed. A manifest is taken when enough of
// the root's keys signed its exact bytes, it is for this target, newer than
// anything that ran here, and not expired. The keys change by a root that both the
// old and the new keys signed.
package update
