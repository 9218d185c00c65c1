package platform

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func init() {
	makers["emnify"] = func(c *client) (Adapter, error) {
		e := &emnify{c: c}
		e.token.fetch = e.login
		return e, nil
	}
}

type emnify struct {
	c     *client
	token tokens
}

func (e *emnify) login(ctx context.Context) (string, time.Duration, error) {
	c := e.c
	body, err := json.Marshal(map[string]string{"application_token": string(c.a.Password)})
	if err != nil {
		return "", 0, err
	}
	n, _, err := c.do(ctx, func() (request, error) {
		return request{call: "token", method: http.MethodPost, url: c.a.Host + c.m.Path["token"], body: body}, nil
	}, parseJSON, func(a answer, n node) error {
		err := c.byHTTP("token", a)
		if e, is := err.(*Error); is && e.Kind == Token {
			e.Kind = Refused
		}
		return err
	})
	tok := n.at("auth_token").text()
	if err == nil && tok == "" {
		err = c.errorf("token", Malformed, "", "no token in the answer")
	}
	if err != nil {
		return "", 0, err
	}
	return tok, jwtLife(tok, time.Now()), nil
}

// jwtLife is how long a JWT is good, by its exp; 4 hours, as emnify's are, when it says
// nothing. The signature is the platform's concern.
func jwtLife(tok string, now time.Time) time.Duration {
	life := 4 * time.Hour
	if parts := strings.Split(tok, "."); len(parts) == 3 {
		var claims struct{ Exp int64 }
		if raw, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(raw, &claims) == nil && claims.Exp > 0 {
			life = min(max(time.Unix(claims.Exp, 0).Sub(now), time.Minute), 48*time.Hour)
		}
	}
	return life * 9 / 10
}

func (e *emnify) ask(ctx context.Context, call, id string, q url.Values) (out node, err error) {
	c := e.c
	err = e.token.with(ctx, func(tok string) error {
		n, _, err := c.do(ctx, func() (request, error) {
			return request{call: call, method: http.MethodGet, url: c.a.Host + strings.Replace(c.m.Path[call], "{id}", url.PathEscape(id),
				1), query: q,
				header: map[string]string{"Authorization": "Bearer " + tok}}, nil
		}, parseJSON, func(a answer, n node) error { return c.byHTTP(call, a) })
		out = n
		return err
	})
	return out, err
}

func (e *emnify) Card(ctx context.Context, k Card) (Status, error) {
	c := e.c
	s := c.status()
	s.ICCID = k.ICCID
	list, err := e.ask(ctx, "sim", "", url.Values{"q": {"iccid:" + c.card(k)}, "per_page": {"1"}})
	if err != nil {
		return s, err
	}
	sim := list.at("0")
	if !SameCard(sim.at("iccid").text(), k.ICCID) {
		return s, c.errorf("sim", NoCard, "", "")
	}
	s.State = c.look(&s, "state", "status", strings.ToUpper(sim.at("status", "description").text()))
	// The unit of all else is the endpoint, not the card.
	id := sim.at("endpoint", "id").text()
	if id == "" {
		s.settle()
		return s, nil
	}
	con, err := e.ask(ctx, "connectivity", id, nil)
	if err != nil {
		return s, err
	}
	switch word := con.at("status", "description").text(); word {
	case "BLOCKED": // the traffic limit
		if s.State == "active" {
			s.State = "data_cut"
		}
		s.raw("connectivity", word)
	case "ONLINE":
		on := true
		s.Session = &on
	}
	q, err := e.ask(ctx, "quota", id, nil)
	if kind := KindOf(err); err != nil && kind != NoCard && kind != Parameter {
		return s, err
	}
	if d := q.at("status", "description").text(); d != "" {
		if st := c.look(&s, "state_quota", "quota.status", d); st != "active" && s.State == "active" {
			s.State = st
		}
		s.say(c.m.Table["reason_quota"][d])
	}
	s.ExpiresAt = q.at("expiry_date").moment(c.m.zone)
	st, err := e.ask(ctx, "stats", id, nil)
	if kind := KindOf(err); err != nil && kind != NoCard && kind != Parameter {
		return s, err
	}
	c.used(&s, c.bytes(st.at("current_month", "data", "volume"), "current_month.data.volume", c.m.Unit))
	// What was bought is what is left and what was used; last_volume_added is the newest part.
	if left, added := c.left(q.at("volume"), "volume", c.m.Unit), c.bytes(q.at("last_volume_added"), "last_volume_added",
		c.m.Unit); left != nil && added != nil && *added > 0 {
		plan := *added
		s.Plan = &plan
		if s.Used == nil {
			u := uint64(max(int64(plan)-*left, 0))
			c.used(&s, &u)
		}
	}
	s.settle()
	return s, nil
}

func (x *emnify) base() *client { return x.c }
