// Package flash is what of the agent survives a power cut: small state files that
// are replaced whole (WriteFile), states that are written often and go into one of two
// slots in place (Slots), and the directory that holds them (StateDir). It has the one
// file system interface (FS) that all durable files of the agent go through, so that
// tests can put a disk under it that forgets what was not synced (flashtest).
//
// Nobody else in the agent renames a file over another or calls fsync. What the state
// means is not known here.
package flash
