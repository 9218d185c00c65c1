package agent

import (
	"cellwarden/agent/carrier"
	"cellwarden/agent/core"
	"cellwarden/agent/flash"
	"cellwarden/agent/instant"
	"cellwarden/agent/localapi"
	"cellwarden/modem/threegpp"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// troubles are the agent's own: what is wrong with it and since when, by the
// part that it concerns.
type troubles map[string]localapi.Trouble

func (t troubles) set(part, key string, at instant.Instant, args ...string) {
	if old, ok := t[part]; ok && old.Key == key && slices.Equal(old.Args, args) {
		return
	}
	t[part] = localapi.Trouble{Key: key, Args: args, Since: core.WireTime(at)}
}

// file names what a file system error means; nil ends the trouble.
func (t troubles) file(part string, err error, at instant.Instant) {
	where := ""
	var pe *fs.PathError
	if errors.As(err, &pe) {
		where = filepath.Dir(pe.Path)
	} else if err != nil {
		where = err.Error()
	}
	switch {
	case err == nil:
		delete(t, part)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, flash.ErrDiskFull):
		t.set(part, "disk_full", at, where)
	case errors.Is(err, syscall.EROFS), errors.Is(err, flash.ErrReadOnly):
		t.set(part, "disk_readonly", at, where)
	default:
		t.set(part, "unknown", at, err.Error())
	}
}

func (t troubles) list() []localapi.Trouble {
	out := []localapi.Trouble{}
	for _, part := range slices.Sorted(maps.Keys(t)) {
		out = append(out, t[part])
	}
	return out
}

// messages says when the store is nearly full. The agent deletes nothing that
// it did not put there unless modem.sms_delete says so, so a person has to.
func (t troubles) messages(s threegpp.SMSStored, at instant.Instant) {
	if s.Index >= 0 || s.Total <= 0 {
		return // a message was announced, or the size is not known
	}
	if s.Used+carrier.MessageRoom <= s.Total {
		delete(t, "messages")
		return
	}
	t.set("messages", "sms_full", at, strconv.Itoa(s.Used), strconv.Itoa(s.Total))
}
