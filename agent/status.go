package agent

import (
	"cellwarden/agent/core"
	"cellwarden/agent/localapi"
	"time"
)

// uplinkView is what the status shows of the uplink, kept by the loop from the
// uplink's events.
type uplinkView struct {
	on         bool
	connected  bool
	day        string
	sent       uint64
	retryAt    time.Duration
	modemPort  string
	profile    string
	reopens    int
	portState  string
	portDetail string
	lastAnswer time.Duration
	answered   bool
	unparsed   uint64
}

// status is what the CLI, the page and the JSON render.
func (l *loop) status() localapi.Status {
	now, u := l.hw.Now(), l.uplink
	st, waiting := l.queue.box.Stats(), l.queue.box.Len()
	box := localapi.Outbox{Waiting: waiting, Bytes: st.Bytes, CapBytes: st.CapBytes, Dropped: st.Evicted, LastError: st.LastError}
	if waiting > 0 && st.Oldest.Boot == core.WireTime(now).Boot {
		box.OldestS = (now.Mono.Milliseconds() - st.Oldest.MonoMS) / 1000
	}
	_, air := l.budget.left(now)
	return localapi.Build(l.core.View(), localapi.Counters{Now: now, Device: l.queue.device, Name: l.name, Version: l.version, Board: l.board,
		Modem: localapi.ModemCounters{Port: u.modemPort, Profile: u.profile, State: u.portState, Detail: u.portDetail,
			Reopens: u.reopens, Unparsed: u.unparsed, LastAnswer: u.lastAnswer, Answered: u.answered},
		Outbox: box, UplinkOn: u.on, SentToday: u.sent, BytesToday: air, RetryAt: u.retryAt, Troubles: l.troubles.list(), Recovery: localapi.BuildRecovery(l.core.Remedies()), Update: l.updateStatus(), Machine: l.machineStatus()})
}
