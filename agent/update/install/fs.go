// Package install carries out what package update allows: it fetches manifest and
// binary, writes the free slot, has it tried, and starts the right binary at each
// start of the service. All it keeps lies in one directory:
//
//	slots.json     what starts next (update.Slots)
//	trust.json     the root and the newest version that ran
//	job.json       the update under way, and how far it is
//	manifest.json  its manifest
//	download       the form under way
//	a, b           the slots
//
// It decides nothing about versions, keys or budgets.
package install

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"cellwarden/agent/flash"
)

// maxState bounds a state file: the manifest is the largest.
const maxState = 64 << 10

// Dir is the directory of the updates.
type Dir struct {
	FS   flash.FS
	Path string
}

func (d Dir) path(name string) string { return filepath.Join(d.Path, name) }

// read reads a small file; one that is not there is nil without an error.
func (d Dir) read(name string) ([]byte, error) {
	f, err := d.FS.Open(d.path(name), false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, maxState))
}

// write replaces a file so that a power cut leaves the old content or the new.
func (d Dir) write(name string, data []byte) error { return flash.WriteFile(d.FS, d.path(name), data) }

// load reads name into v. What is not there or cannot be read leaves v as it is:
// everything kept here has a safe zero value.
func (d Dir) load(name string, v any) error {
	data, err := d.read(name)
	if err != nil || data == nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func (d Dir) save(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return d.write(name, data)
}

// drop removes files that are no longer needed; only room is lost by one that
// stays.
func (d Dir) drop(names ...string) {
	gone := false
	for _, n := range names {
		gone = d.FS.Remove(d.path(n)) == nil || gone
	}
	if gone {
		_ = d.FS.SyncDir(d.Path)
	}
}
