package platform

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

func init() {
	makers["http"] = func(c *client) (Adapter, error) { return &httpForm{c}, nil }
}

type httpForm struct{ c *client }

// Form reads the common form: {iccid, state, reason, since, resume_at, cycle_day,
// plan_bytes, used_bytes, used_as_of, expires_at, pool, session, imei, carrier_raw},
// answered to a question, or sent by a platform that pushes. States and reasons are those
// of sim_status; what is neither is unknown.
func Form(m *Mapping, raw []byte, now time.Time) (Status, error) {
	n, err := parseJSON(raw)
	if err != nil {
		return Status{}, err
	}
	c := &client{m: m, counts: map[string]int{}}
	return c.form(n, now)
}

func (c *client) form(n node, now time.Time) (Status, error) {
	s := Status{AsOf: now, ICCID: n.at("iccid").text()}
	if err := CheckICCID(s.ICCID); err != nil {
		return s, err
	}
	if n.at("state").text() == "" {
		return s, errors.New("state is empty")
	}
	s.State = c.look(&s, "state", "state", n.at("state").text())
	s.say(c.look(&s, "reason", "reason", n.at("reason").text()))
	for name, t := range map[string]*time.Time{"since": &s.Since, "resume_at": &s.ResumeAt, "used_as_of": &s.UsedAsOf,
		"expires_at": &s.ExpiresAt, "as_of": &s.AsOf} {
		if v := n.at(name); v.text() != "" {
			*t = v.moment(c.m.zone)
		}
	}
	s.Used, s.Plan = c.bytes(n.at("used_bytes"), "used_bytes", "B"), c.bytes(n.at("plan_bytes"), "plan_bytes", "B")
	if d := n.at("cycle_day").text(); len(d) == 1 || len(d) == 2 {
		for _, r := range d {
			s.CycleDay = s.CycleDay*10 + int(r-'0')
		}
		if s.CycleDay < 1 || s.CycleDay > 31 {
			s.CycleDay = 0
		}
	}
	s.Pool, s.Session, s.IMEI = n.at("pool").text(), n.at("session").flag(), n.at("imei").text()
	s.raw("carrier_raw", n.at("carrier_raw").text())
	s.settle()
	return s, nil
}

func (h *httpForm) Card(ctx context.Context, k Card) (Status, error) {
	c := h.c
	n, _, err := c.do(ctx, func() (request, error) {
		return request{call: "card", method: http.MethodGet, url: c.a.Host, query: url.Values{"iccid": {k.ICCID}},
			header: map[string]string{"Authorization": "Bearer " + string(c.a.Key)}}, nil
	}, parseJSON, func(a answer, n node) error {
		err := c.byHTTP("card", a)
		if e, is := err.(*Error); is && e.Kind == Token {
			e.Kind = Refused
		}
		return err
	})
	if err != nil {
		return c.status(), err
	}
	s, err := c.form(n, time.Now())
	if err != nil || !SameCard(s.ICCID, k.ICCID) {
		return c.status(), c.errorf("card", Malformed, "", "the answer is not the common form of this card")
	}
	return s, nil
}

func (x *httpForm) base() *client { return x.c }
