package platform

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func init() {
	makers["soracom"] = func(c *client) (Adapter, error) {
		s := &soracom{c: c}
		s.token.fetch = s.login
		return s, nil
	}
}

type soracom struct {
	c     *client
	token tokens
}

// soracomLife is what we ask for: a day, as the platform gives when it is not asked.
const soracomLife = 24 * time.Hour

func (p *soracom) login(ctx context.Context) (string, time.Duration, error) {
	c := p.c
	body, err := json.Marshal(map[string]any{"authKeyId": c.a.User, "authKey": string(c.a.Key),
		"tokenTimeoutSeconds": int(soracomLife / time.Second)})
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
	key, tok := n.at("apiKey").text(), n.at("token").text()
	if err == nil && (key == "" || tok == "") {
		err = c.errorf("token", Malformed, "", "no token in the answer")
	}
	if err != nil {
		return "", 0, err
	}
	return key + "\n" + tok, soracomLife * 9 / 10, nil
}

func (p *soracom) ask(ctx context.Context, call, id string, q url.Values) (out node, err error) {
	c := p.c
	err = p.token.with(ctx, func(both string) error {
		key, tok, _ := strings.Cut(both, "\n")
		n, _, err := c.do(ctx, func() (request, error) {
			return request{call: call, method: http.MethodGet, url: c.a.Host + strings.Replace(c.m.Path[call], "{id}", url.PathEscape(id),
				1), query: q,
				header: map[string]string{"X-Soracom-API-Key": key, "X-Soracom-Token": tok}}, nil
		}, parseJSON, func(a answer, n node) error { return c.byHTTP(call, a) })
		out = n
		return err
	})
	return out, err
}

func (p *soracom) Card(ctx context.Context, k Card) (Status, error) {
	c := p.c
	s := c.status()
	s.ICCID = k.ICCID
	list, err := p.ask(ctx, "query", "", url.Values{"iccid": {c.card(k)}})
	if err != nil {
		return s, err
	}
	sim := list.at("0")
	id := sim.at("simId").text()
	if id == "" {
		return s, c.errorf("query", NoCard, "", "")
	}
	s.State = c.look(&s, "state", "status", strings.ToLower(sim.at("status").text()))
	se := sim.at("sessionStatus")
	s.Session, s.IMEI = se.at("online").flag(), se.at("imei").text()
	s.ExpiresAt = sim.at("expiryTime").moment(c.m.zone)
	if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(s.AsOf) && s.Stopped() {
		s.Reason, s.Derived = "expiry", true
		s.raw("expiryAction", sim.at("expiryAction").text())
	}
	month := time.Date(s.AsOf.UTC().Year(), s.AsOf.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	// Seconds here; milliseconds elsewhere on the same platform.
	st, err := p.ask(ctx, "stats", id, url.Values{"from": {strconv.FormatInt(month.Unix(), 10)},
		"to": {strconv.FormatInt(s.AsOf.Unix(), 10)}, "period": {"month"}})
	if kind := KindOf(err); err != nil && kind != NoCard && kind != Parameter {
		return s, err
	}
	var sum uint64
	seen := false
	for _, m := range st.list() {
		classes, _ := m.at("dataTrafficStatsMap").v.(map[string]any)
		for _, v := range classes {
			for _, f := range []string{"uploadByteSizeTotal", "downloadByteSizeTotal"} {
				if b := c.bytes(node{v}.at(f), f, c.m.Unit); b != nil {
					sum, seen = sum+*b, true
				}
			}
		}
	}
	if seen {
		c.used(&s, &sum)
	}
	s.settle()
	return s, nil
}

func (x *soracom) base() *client { return x.c }
