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
	makers["huawei-gsl"] = func(c *client) (Adapter, error) {
		g := &gsl{c: c}
		z, err := parseZone(c.setting["usage_zone"])
		if err != nil {
			return nil, err
		}
		g.zone = z
		g.token.fetch = g.login
		return g, nil
	}
}

type gsl struct {
	c     *client
	zone  *time.Location
	token tokens
}

// iamLife: the token of Huawei's IAM lives 24 hours.
const iamLife = 22 * time.Hour

func (g *gsl) login(ctx context.Context) (string, time.Duration, error) {
	c := g.c
	domain, name, split := strings.Cut(c.a.User, "/")
	if !split {
		name = domain
	}
	body, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{
			"user": map[string]any{"name": name, "password": string(c.a.Password), "domain": map[string]string{"name": domain}}}},
		"scope": map[string]any{"project": map[string]string{"name": c.setting["project"]}}}})
	if err != nil {
		return "", 0, err
	}
	_, a, err := c.do(ctx, func() (request, error) {
		return request{call: "token", method: http.MethodPost, url: c.setting["iam"] + c.m.Path["token"], body: body}, nil
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
	tok := a.header.Get("X-Subject-Token") // in the header, not in the body
	if tok == "" {
		return "", 0, c.errorf("token", Malformed, "", "no X-Subject-Token in the answer")
	}
	return tok, iamLife, nil
}

func (g *gsl) ask(ctx context.Context, call string, q url.Values) (out node, err error) {
	c := g.c
	err = g.token.with(ctx, func(tok string) error {
		n, _, err := c.do(ctx, func() (request, error) {
			return request{call: call, method: http.MethodGet, url: c.a.Host + c.m.Path[call], query: q,
				header: map[string]string{"X-Auth-Token": tok}}, nil
		}, parseJSON, func(a answer, n node) error {
			if code := n.at("error_code").text(); code != "" {
				return c.frame(call, code, n.at("error_msg").text())
			}
			return c.byHTTP(call, a)
		})
		out = n
		return err
	})
	return out, err
}

func (g *gsl) read(n node) Status {
	c := g.c
	s := c.status()
	s.ICCID = n.at("iccid").text()
	s.State = c.look(&s, "state", "sim_status", n.at("sim_status").text())
	s.say(c.look(&s, "reason", "operator_status", n.at("operator_status").text()))
	for _, f := range []string{"cut_net_flag", "exceed_cut_net_flag"} {
		if v := n.at(f).flag(); v != nil && *v {
			if s.State == "active" || s.State == "test" {
				s.State = "data_cut"
			}
			s.raw(f, "true")
			if f == "exceed_cut_net_flag" {
				s.say("threshold")
			}
		}
	}
	if used := c.bytes(n.at("flow_used"), "flow_used", c.m.Unit); used != nil {
		at := s.AsOf.In(g.zone)
		s.Used, s.UsedAsOf = used, time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, g.zone)
		total := c.bytes(n.at("flow_total"), "flow_total", c.m.Unit)
		if left := c.left(n.at("flow_left"), "flow_left", c.m.Unit); total == nil && left != nil {
			t := uint64(max(int64(*used)+*left, 0))
			total = &t
		}
		s.Plan = total
	}
	if p := n.at("sim_pool_id").text(); p != "" && p != "0" {
		s.Pool, s.Plan = p, nil // flow_left of a member is the pool's, not its own
	}
	s.IMEI = n.at("imei").text()
	s.ExpiresAt = n.at("expire_time").moment(c.m.zone).In(g.zone)
	if s.ExpiresAt.Year() < 2000 {
		s.ExpiresAt = time.Time{}
	}
	s.settle()
	return s
}

func (g *gsl) Card(ctx context.Context, k Card) (Status, error) {
	n, err := g.ask(ctx, "sim", url.Values{"iccid": {g.c.card(k)}})
	if err != nil {
		return g.c.status(), err
	}
	s := g.read(n)
	if !SameCard(s.ICCID, k.ICCID) {
		return g.c.status(), g.c.errorf("sim", NoCard, "", "")
	}
	return s, nil
}

func (g *gsl) Page(ctx context.Context, cursor string) ([]Status, string, error) {
	page := 1 // offset is a page number
	if cursor != "" {
		page, _ = strconv.Atoi(cursor)
	}
	n, err := g.ask(ctx, "list", url.Values{"limit": {strconv.Itoa(g.c.m.Limits.Page)}, "offset": {strconv.Itoa(page)}})
	if err != nil {
		return nil, "", err
	}
	var out []Status
	for _, v := range n.at("sim_cards").list() {
		out = append(out, g.read(v))
	}
	total, _ := strconv.Atoi(n.at("count").text())
	if len(out) == 0 || page*g.c.m.Limits.Page >= total {
		return out, "", nil
	}
	return out, strconv.Itoa(page + 1), nil
}

func (x *gsl) base() *client { return x.c }
