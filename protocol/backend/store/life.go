package store

import (
	"encoding/json"
	"fmt"
	"slices"

	"cellwarden/protocol"
)

// Sources of alerts that devices make. Those of the backend's own rules are named by
// the rule.
const (
	SourceDevice = "device" // a fault of the line
	SourceAgent  = "agent"  // the agent cannot see the modem
)

// ClassBlind is the class of an alert of SourceAgent.
const ClassBlind = "agent_blind"

// Alert is one row of the table alert: one class of one incident of one device.
type Alert struct {
	ID        int64           `json:"id"`
	Tenant    string          `json:"tenant"`
	Device    int64           `json:"-"`
	Dev       string          `json:"device"`
	Source    string          `json:"source"`
	Key       string          `json:"-"`
	Incident  string          `json:"incident"`
	Class     string          `json:"class"`
	Verdict   string          `json:"verdict"`
	Who       string          `json:"who"`
	Act       string          `json:"act"`
	Resumes   string          `json:"resumes_at,omitempty"`
	Unstable  bool            `json:"unstable,omitempty"`
	Ep        string          `json:"-"`
	First     int64           `json:"-"` // seq of its first message
	Last      int64           `json:"-"` // seq of the alert that tells most
	Clear     int64           `json:"-"` // seq of its clear, 0 none
	Opened    int64           `json:"opened"`
	Changed   int64           `json:"changed"`
	Closed    *int64          `json:"closed,omitempty"`
	EndedBy   string          `json:"ended_by,omitempty"`
	Next      string          `json:"next,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"`
	AckedBy   string          `json:"acked_by,omitempty"`
	AckedAt   *int64          `json:"acked_at,omitempty"`
	Muted     *int64          `json:"muted_until,omitempty"`
	Escalated int             `json:"escalated,omitempty"`
	Group     *int64          `json:"group,omitempty"`

	was    *Alert // as it stood in the database, nil when it is new
	endsAt int64  // of the clear
}

// place orders a device's messages over its epochs.
type place struct {
	newest int64 // of the epoch: its newest trusted time, or when it first arrived
	ep     string
	seq    int64
}

func (p place) after(q place) bool {
	switch {
	case p.ep == q.ep:
		return p.seq > q.seq
	case p.newest != q.newest:
		return p.newest > q.newest
	}
	return p.ep > q.ep
}

// tell is one message that concerns an alert, already taken apart.
type tell struct {
	alert Alert // with Ep, Last = its seq, Opened, Changed = its time; Closed set for a clear
	clear bool
}

// tellOf takes an envelope of type alert, clear or blind apart. at is its time.
func tellOf(e protocol.Envelope, body any, at int64) (tell, bool) {
	t := tell{alert: Alert{Ep: e.Epoch, First: int64(e.Seq), Last: int64(e.Seq), Changed: at, Body: e.Body}}
	a := &t.alert
	var since protocol.Time
	switch b := body.(type) {
	case *protocol.Alert:
		a.Source, a.Incident, a.Class, a.Verdict, a.Unstable, since = SourceDevice, b.Incident, b.Class, b.Verdict, b.Unstable, b.Since
		if b.Act != nil {
			a.Who, a.Resumes, a.Act = b.Act.Who, b.Act.ResumesAt, b.Act.Code
		}
		if a.Act == "" {
			a.Act = b.Class
		}
	case *protocol.Clear:
		a.Source, a.Incident, a.Class, a.EndedBy, a.Next, since = SourceDevice, b.Incident, b.Class, b.EndedBy, b.FollowsTo, b.Since
		t.clear = true
	case *protocol.Blind:
		a.Source, a.Incident, a.Class, a.Verdict, a.Who, a.Act, since = SourceAgent, b.Incident, ClassBlind, "confirmed", "technician", "blind."+b.Why, b.Since
		if t.clear = b.Over; t.clear {
			a.EndedBy = "recovered"
		}
	default:
		return tell{}, false
	}
	if a.Class == "" {
		return tell{}, false
	}
	a.Opened = timeOf(since, at)
	a.Key = alertKey(a.Incident, a.Class, since)
	if a.Incident == "" {
		a.Incident = a.Key
	}
	if !t.clear && a.Who == "" {
		a.Who = "technician" // an alert that names nobody is not lost
	}
	for _, text := range []*string{&a.Incident, &a.Class, &a.Verdict, &a.Who, &a.Act, &a.Resumes, &a.EndedBy, &a.Next, &a.Key} {
		*text = clean(*text, 100)
	}
	return t, true
}

// alertKey is the same for all messages of one class of one incident. Devices of
// the first versions send no incident: since is as unique.
func alertKey(incident, class string, since protocol.Time) string {
	if incident != "" {
		return clean(incident+"/"+class, 100)
	}
	return clean(fmt.Sprintf("%s/%s/%d/%s", class, since.Boot, since.MonoMS, since.Wall), 100)
}

// merge takes one message into its row, which may be empty. The order in which
// messages are merged makes no difference.
func (a *Alert) merge(t tell, placeOf func(ep string, seq int64) place) {
	n := t.alert
	if a.Key == "" {
		was := a.was
		*a = n
		a.was = was
		if t.clear {
			a.Clear, a.endsAt, a.First, a.Last, a.Body = n.Last, n.Changed, 0, 0, nil
		}
		return
	}
	a.Opened = min(a.Opened, n.Opened)
	if t.clear {
		if a.Clear == 0 || n.Last > a.Clear || n.Ep != a.Ep {
			a.Clear, a.EndedBy, a.Next, a.endsAt = n.Last, n.EndedBy, n.Next, n.Changed
		}
		return
	}
	if a.First == 0 || n.First < a.First {
		a.First = n.First
	}
	if a.Last == 0 || placeOf(n.Ep, n.Last).after(placeOf(a.Ep, a.Last)) {
		a.Ep, a.Last, a.Changed, a.Body = n.Ep, n.Last, n.Changed, n.Body
		a.Verdict, a.Who, a.Act, a.Resumes, a.Unstable = n.Verdict, n.Who, n.Act, n.Resumes, n.Unstable
	}
}

// settle says which rows of one device and source stand. top is the newest alert or
// clear of that source. A row whose clear never came (it was dropped, or the store
// was wiped) ends when something newer is known: a device has one fault at a time.
func settle(rows []*Alert, top place, placeOf func(ep string, seq int64) place) {
	for _, a := range rows {
		switch {
		case a.Clear > 0 && a.Clear > a.Last:
			if a.endsAt != 0 { // else it was closed before, and nothing is new
				end := a.endsAt
				a.Closed = &end
			}
		case a.Last > 0 && placeOf(a.Ep, a.Last) == top, a.Last == 0 && a.Clear == 0 && top.ep == "":
			a.Closed, a.EndedBy, a.Next = nil, "", ""
		default:
			end := a.Changed
			a.Closed, a.EndedBy = &end, "replaced"
		}
	}
	// Closed rows are written first: only one row of a class may be open.
	slices.SortStableFunc(rows, func(x, y *Alert) int {
		switch {
		case (x.Closed == nil) == (y.Closed == nil):
			return 0
		case x.Closed != nil:
			return -1
		}
		return 1
	})
}

// What happened to an alert, as a webhook names it.
const (
	EventRaised  = "alert.raised"
	EventChanged = "alert.changed"
	EventCleared = "alert.cleared"
)

// became says what is to be told of a row, "" nothing. siblings are the rows of the
// same device and source: a fault that is known more exactly is a change.
func (a *Alert) became(siblings []*Alert) string {
	was := a.was
	switch {
	case a.Closed == nil && (was == nil || was.Closed != nil):
		for _, s := range siblings {
			if s != a && s.Incident == a.Incident && (s.was != nil || s.Closed != nil && s.EndedBy == "refined") {
				return EventChanged
			}
		}
		return EventRaised
	case a.Closed == nil:
		if a.Verdict != was.Verdict || a.Who != was.Who || a.Resumes != was.Resumes || a.Unstable != was.Unstable {
			return EventChanged
		}
	case was != nil && was.Closed == nil && a.EndedBy != "refined":
		return EventCleared
	}
	return ""
}

// timeOf is a device's time in milliseconds since 1970, or arrived where its clock
// could not be trusted.
func timeOf(t protocol.Time, arrived int64) int64 {
	if ms, ok := trusted(t); ok {
		return ms
	}
	return arrived
}
