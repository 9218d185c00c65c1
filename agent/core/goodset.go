package core

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cellwarden/agent/goodset"
	"cellwarden/agent/remedy"
	"cellwarden/modem/threegpp"
)

// byPerson is the class and the news of a step that a person ordered.
const byPerson = "person"

// noteSetting takes what the modem answers of its own settings. Identities and
// credentials are compared by their hash.
func (c *Core) noteSetting(fact any) {
	read := map[string]goodset.Setting{}
	open := func(key, value string) { read["modem."+key] = goodset.Setting{Value: value} }
	secret := func(key, value string) { read["modem."+key] = goodset.Setting{Value: c.hash(value), Secret: true} }
	switch f := fact.(type) {
	case threegpp.ContextConfig:
		open(fmt.Sprintf("apn.%d", f.CID), strings.TrimSpace(f.Type+" "+f.APN))
		if f.AuthHash != "" {
			secret(fmt.Sprintf("auth.%d", f.CID), f.AuthHash)
		}
	case threegpp.Operator:
		open("operator_mode", strconv.Itoa(f.Mode))
	case threegpp.RadioLock:
		open("lock."+f.Lock, map[bool]string{true: "on", false: "off"}[f.Locked])
	case threegpp.ModemIdentity:
		open("firmware", f.Revision)
	case threegpp.ICCID:
		secret("card", f.Value)
	case threegpp.IMEI:
		secret("imei", f.Value)
	default:
		return
	}
	c.noteSettings(read)
}

// noteSettings takes settings as they were read: the modem's, the dialer's files, what
// the machine's software registered. What changes is told to nobody but the book, until
// the line fails.
func (c *Core) noteSettings(read map[string]goodset.Setting) {
	if c.book.See(read) {
		c.dirty = true
	}
}

// settingsWork keeps the present settings as good.
func (c *Core) settingsWork() {
	at := time.Time{}
	if c.now.Trusted {
		at = c.now.Wall.UTC().Truncate(time.Second)
	}
	if c.book.AllWorks(at) {
		c.dirty = true
		c.emit(Log{LevelInfo, "good settings kept", []any{"set", c.book.Last}})
	}
}

// restoreSettings puts a good set back, as far as the agent can write it: an APN, by the
// step that the ladder has for it and within its budget. The rest is named for its owner.
func (c *Core) restoreSettings(e RestoreSettings) {
	done := Restored{Token: e.Token}
	set, err := c.book.Find(e.ID)
	if err != nil {
		done.Error = err.Error()
		c.emit(done)
		return
	}
	write, leave := c.book.Restore(set)
	for _, w := range write {
		cid, isAPN := strings.CutPrefix(w.Key, "modem.apn.")
		kind, apn, _ := strings.Cut(w.New.Value, " ")
		switch {
		case !isAPN || apn == "" || len(done.Wrote) > 0: // one APN a step
			leave = append(leave, w.Key)
		case c.remedies.port != "ok":
			done.Error = "the modem does not answer: " + w.Key + " cannot be written now"
		default:
			if at, ok := c.remedies.engine.Order(c.now.Mono, stepLastAPN, c.simKey()); !ok {
				done.Error = fmt.Sprintf("%s is not written now: the limit of changes is reached for another %s", w.Key, (at - c.now.Mono).Round(time.Minute))
				break
			}
			done.Wrote = append(done.Wrote, w.Key)
			c.take(remedy.Decision{Step: stepLastAPN, Class: byPerson, News: byPerson}, Remedy{APN: apn, PDPType: kind, CID: cid})
		}
	}
	slices.Sort(leave)
	done.Leave = slices.Compact(leave)
	c.emit(done)
}

// bookView is a copy for the views.
func (c *Core) bookView() goodset.Book {
	b := c.book
	b.Good, b.Now = slices.Clone(b.Good), maps.Clone(b.Now)
	return b
}
