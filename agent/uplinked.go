package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/flash"
	"cellwarden/agent/uplink"
	"cellwarden/protocol"
)

// fromUplink turns the uplink's events into the core's. It is called from the
// uplink's goroutine.
func (l *loop) fromUplink(e uplink.Event, files *flash.StateDir) {
	at := l.at()
	tell := func(link core.Link, addr string) {
		link.OverData = l.overData(addr)
		l.events <- core.LinkChanged{At: at, Link: link}
	}
	trouble := func(part, key string, args ...string) {
		l.post(func() { l.troubles.set(part, key, l.hw.Now(), args...) })
	}
	switch e := e.(type) {
	case uplink.Connecting:
		tell(core.Link{State: "connecting", Broker: e.Broker}, "")
	case uplink.WeakBind:
		l.log.Warn("the uplink's way out", "note", e.Note) // empty: all is well again
	case uplink.Connected:
		l.budget.over(!l.wayKnown || l.overData(e.Addr))
		tell(core.Link{State: "connected", Broker: e.Broker}, e.Addr)
		l.post(func() { delete(l.troubles, "uplink") })
	case uplink.Disconnected:
		tell(core.Link{State: "down", Broker: e.Broker, Reason: words(e.Why, e.Err), Result: result(e.Why)}, "")
	case uplink.Unreachable:
		l.doubtTime(e.Why)
		tell(core.Link{State: "down", Broker: e.Broker, Reason: words(e.Why, e.Err), Result: result(e.Why)}, "")
	case uplink.Refused:
		l.doubtTime(e.Why)
		tell(core.Link{State: "down", Broker: e.Broker, Reason: words(e.Why, e.Err), Result: result(e.Why)}, "")
		trouble("uplink", "uplink_refused", e.Hint)
		l.log.Error("the broker refuses this device", "broker", e.Broker, "why", string(e.Why), "hint", e.Hint)
	case uplink.Waiting:
		until := at.Instant.Mono + e.For
		l.post(func() { l.uplink.retryAt = until })
	case uplink.Delivered:
		l.events <- core.Delivered{At: at, Count: len(e.Seqs), Bytes: uint64(e.Bytes)}
		l.post(func() {
			l.today()
			l.uplink.sent += uint64(len(e.Seqs))
		})
	case uplink.Commanded:
		l.events <- core.Received{At: core.At{Instant: e.At}, Raw: e.Raw, Retained: e.Retained}
	case uplink.Traffic:
		l.events <- core.Spent{At: at, Bytes: e.WireBytes}
		if err := l.budget.spend(e.WireBytes, at.Instant); err != nil {
			l.log.Warn("the day's traffic not kept", "error", err)
		}
	case uplink.StateChanged:
		data, err := json.Marshal(e.State)
		if err == nil {
			err = files.Save("uplink.now", data)
		}
		if err == nil && e.Durable {
			err = files.Save("uplink", data)
		}
		if err != nil {
			l.log.Warn("uplink state not kept", "error", err)
		}
	case uplink.CertExpiring:
		trouble("cert", "cert_expiring", fmt.Sprint(e.DaysLeft))
		l.post(func() { l.warnCert(e.DaysLeft) })
	case uplink.CertRenewed:
		l.post(func() { delete(l.troubles, "cert") })
	case uplink.NotBefore:
		if l.hw.HearTime != nil {
			l.hw.HearTime(string(board.TimeTLS), e.Time)
			l.hw.HearTime(string(board.TimeUntil), e.Until)
		}
	case uplink.Unsendable:
		l.log.Error("message cannot be sent and was given up", "seq", e.Seq, "error", e.Err)
	case uplink.CommandDropped:
		l.log.Warn("commands thrown away", "count", e.Count)
	case uplink.MessageTooLong:
		l.log.Warn("a message to this device was read past: it is too long", "bytes", e.Bytes, "limit", e.Limit)
	case uplink.DayUsedUp:
		l.log.Warn("the broker has sent more than a day may bring: no command is taken until tomorrow", "bytes", e.Bytes)
	case uplink.Unsubscribed:
		l.log.Warn("the broker refuses the command topic: no command will come", "topic", e.Topic)
	}
}

// doubtTime asks what the time is where a certificate failed by its dates alone: it
// may be our clock that is wrong.
func (l *loop) doubtTime(why uplink.Why) {
	if l.clock != nil && (why == uplink.WhyCertExpired || why == uplink.WhyCertNotYetValid) {
		l.clock.Again()
	}
}

// warnCert tells the backend, which can renew it, that the device's certificate
// ends in so many days.
func (l *loop) warnCert(days int) {
	body, err := json.Marshal(protocol.Warning{Kind: "certificate", Days: days})
	if err != nil {
		l.log.Error("message cannot be encoded", "error", err)
		return
	}
	l.store(core.Store{Type: protocol.TypeWarning, Priority: core.EventPriority, Body: body, At: l.at().Instant})
}

// post runs f in the loop soon. The uplink never waits for the loop's answer.
func (l *loop) post(f func()) {
	l.events <- posted{l.at(), f}
}

// posted is a call that takes its turn among the events.
type posted struct {
	core.At
	f func()
}

// today starts the day's counter anew.
func (l *loop) today() {
	if day := l.hw.Now().Wall.UTC().Format(time.DateOnly); day != l.uplink.day {
		l.uplink.day, l.uplink.sent = day, 0
	}
}

// tally is what a report tells of the shell: core.Stock.
func (l *loop) tally() (waiting int, counts map[string]int) {
	st := l.queue.box.Stats()
	_, air := l.budget.left(l.hw.Now())
	counts = map[string]int{"dropped": int(st.Evicted), "damaged": int(st.Damaged), "unparsed": int(l.uplink.unparsed),
		"reopens": l.uplink.reopens, "air": int(air)}
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
	return l.queue.box.Len(), counts
}

// admit implements uplink.Options.Admit.
func (l *loop) admit(t protocol.Type, bytes int) bool {
	ok, news := l.budget.admit(t, bytes, l.hw.Now())
	if news != "" {
		l.log.Warn("the day's bytes are used up; they wait until midnight UTC", "what", string(news))
	}
	return ok
}

func words(why uplink.Why, err error) string {
	if err == nil {
		return string(why)
	}
	return err.Error()
}

// result words a lost or failed connection as a probe of the own service would.
// A link that we closed ourselves, or that ended after it had worked, is no
// result: the next attempt will tell.
func result(why uplink.Why) string {
	switch why {
	case uplink.WhyDNS:
		return "not_resolved" // no such name, or no answer: the probes tell which
	case uplink.WhyTimeout, uplink.WhyAckTimeout, uplink.WhyPing:
		return "timeout"
	case uplink.WhyConnect:
		return "refused"
	case uplink.WhyCertNotYetValid:
		return "cert_not_yet_valid"
	case uplink.WhyBadCert, uplink.WhyCertExpired:
		return "bad_cert"
	case uplink.WhyClientID, uplink.WhyCredentials, uplink.WhyNotAuthorised, uplink.WhyOwnCert:
		return "unauthorized"
	case uplink.WhyUnavailable, uplink.WhyProtocol, uplink.WhyNotTLS, uplink.WhyTLS:
		return "refused"
	}
	return ""
}
