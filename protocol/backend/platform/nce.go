package platform

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func init() {
	makers["1nce"] = func(c *client) (Adapter, error) {
		n := &nce{c: c}
		n.token.fetch = n.login
		return n, nil
	}
}

type nce struct {
	c     *client
	token tokens
}

func (p *nce) login(ctx context.Context) (string, time.Duration, error) {
	c := p.c
	n, _, err := c.do(ctx, func() (request, error) {
		return request{call: "token", method: http.MethodPost, url: c.a.Host + c.m.Path["token"],
			body:   []byte(`{"grant_type":"client_credentials"}`),
			header: map[string]string{"Authorization": basic(c.a.User, string(c.a.Password))}}, nil
	}, parseJSON, func(a answer, n node) error {
		err := c.byHTTP("token", a)
		if e, is := err.(*Error); is && e.Kind == Token {
			e.Kind = Refused
		}
		return err
	})
	if err != nil {
		return "", 0, err
	}
	return bearer(c, n.at("access_token").text(), n.at("expires_in").text())
}

// bearer takes a token with its life in seconds; a tenth of it is left as a margin.
func bearer(c *client, tok, seconds string) (string, time.Duration, error) {
	if tok == "" {
		return "", 0, c.errorf("token", Malformed, "", "no token in the answer")
	}
	life, err := time.ParseDuration(seconds + "s")
	if err != nil || life <= 0 || life > 48*time.Hour {
		life = time.Hour
	}
	return tok, life * 9 / 10, nil
}

func (p *nce) ask(ctx context.Context, call string, k Card, q url.Values) (out node, err error) {
	c := p.c
	err = p.token.with(ctx, func(tok string) error {
		n, _, err := c.do(ctx, func() (request, error) {
			return request{call: call, method: http.MethodGet, url: c.a.Host + strings.Replace(c.m.Path[call], "{iccid}",
				url.PathEscape(c.card(k)), 1), query: q,
				header: map[string]string{"Authorization": "Bearer " + tok}}, nil
		}, parseJSON, func(a answer, n node) error { return c.byHTTP(call, a) })
		out = n
		return err
	})
	return out, err
}

func (p *nce) Card(ctx context.Context, k Card) (Status, error) {
	c := p.c
	s := c.status()
	s.ICCID = k.ICCID
	sim, err := p.ask(ctx, "sim", k, nil)
	if err != nil {
		return s, err
	}
	s.State = c.look(&s, "state", "status", strings.ToUpper(sim.at("status").text()))
	s.IMEI = sim.at("imei").text()
	q, err := p.ask(ctx, "quota", k, nil)
	if kind := KindOf(err); err != nil && kind != NoCard && kind != Parameter {
		return s, err
	}
	// Used = all that was ever bought less what is left; after a top-up total_volume is
	// only what was left then and the new part. What is left may be below nothing.
	total := c.bytes(q.at("accumulated_total_volume"), "accumulated_total_volume", c.m.Unit)
	if total == nil {
		total = c.bytes(q.at("total_volume"), "total_volume", c.m.Unit)
	}
	if left := c.left(q.at("volume"), "volume", c.m.Unit); left != nil && total != nil {
		used := uint64(max(int64(*total)-*left, 0))
		s.Plan = total
		c.used(&s, &used)
	}
	s.ExpiresAt = q.at("expiry_date").moment(c.m.zone)
	if d := q.at("status", "description").text(); d != "" {
		if st := c.look(&s, "state_quota", "quota.status", d); st != "active" && s.State == "active" {
			s.State = st
		}
		s.say(c.m.Table["reason_quota"][d])
	}
	st, err := p.ask(ctx, "status", k, nil)
	if err == nil {
		word := strings.ToUpper(st.at("status").text() + st.at("status", "description").text())
		switch word { // attached and offline are one to two days old: no proof of anything
		case "ONLINE":
			on := true
			s.Session = &on
		case "BLOCKED":
			if s.State == "active" {
				s.State = "data_cut"
			}
			s.raw("status", word)
		}
		if st.at("data_traffic_limit_state").text() == "REACHED" {
			if s.State == "active" {
				s.State = "data_cut"
			}
			s.say("quota")
		}
	}
	if s.Stopped() && (s.Reason == "" || s.Reason == "unknown") {
		p.events(ctx, k, &s)
	}
	s.settle()
	if k := KindOf(err); k == Rate || k == Away {
		return s, err
	}
	return s, nil
}

// events hold the exact cause of the last refusal: the best reason of all platforms.
func (p *nce) events(ctx context.Context, k Card, s *Status) {
	ev, err := p.ask(ctx, "events", k, url.Values{"page": {"1"}, "pageSize": {"20"}})
	if err != nil {
		return
	}
	list := ev.list()
	if l := ev.at("events").list(); l != nil {
		list = l
	}
	for _, e := range list {
		if cause := e.find("data_service_failure_cause").text(); cause != "" {
			s.say(p.c.look(s, "reason_event", "data_service_failure_cause", cause))
			return
		}
	}
}

func (x *nce) base() *client { return x.c }
