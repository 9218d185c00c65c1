package platform

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

func init() {
	makers["hologram"] = func(c *client) (Adapter, error) { return &hologram{c}, nil }
}

type hologram struct{ c *client }

func (h *hologram) links(ctx context.Context, q url.Values) (node, error) {
	c := h.c
	n, _, err := c.do(ctx, func() (request, error) {
		return request{call: "links", method: http.MethodGet, url: c.a.Host + c.m.Path["links"], query: q,
			header: map[string]string{"Authorization": basic("apikey", string(c.a.Key))}}, nil
	}, parseJSON, func(a answer, n node) error {
		if n.v == nil || a.status != 200 {
			err := c.byHTTP("links", a)
			if e, is := err.(*Error); is && e.Kind == Token {
				e.Kind = Refused
			}
			return err
		}
		if ok := n.at("success").text(); ok == "true" {
			return nil
		}
		// The error is a sentence; there is no code.
		text := n.at("error").text()
		switch low := strings.ToLower(text); {
		case strings.Contains(low, "rate limit"):
			return c.errorf("links", Rate, "", text)
		case strings.Contains(low, "auth") || strings.Contains(low, "api key") || strings.Contains(low, "permission"):
			return c.errorf("links", Refused, "", text)
		case strings.Contains(low, "not found"):
			return c.errorf("links", NoCard, "", text)
		}
		c.count("error", "sentence")
		return c.errorf("links", Other, "", text)
	})
	return n, err
}

func (h *hologram) read(l node) Status {
	c := h.c
	s := c.status()
	s.ICCID = l.at("sim").text()
	code := strings.ToUpper(l.at("state").text())
	s.State = c.look(&s, "state", "state", code)
	s.Reason = c.m.Table["reason"][code]
	c.used(&s, c.bytes(l.at("cur_billing_data_used"), "cur_billing_data_used", c.m.Unit))
	// Cap = the plan's data + what may go over; -1 is no limit, and a plan of 0 is pay as you go.
	plan, over := c.bytes(l.at("plan", "data"), "plan.data", c.m.Unit), c.left(l.at("overagelimit"), "overagelimit", c.m.Unit)
	if plan != nil && *plan > 0 && over != nil && *over >= 0 {
		full := *plan + uint64(*over)
		s.Plan = &full
	}
	if t := l.at("whenexpires").moment(c.m.zone); !t.IsZero() {
		s.CycleDay = t.Day()
		if s.Reason != "manual" && s.Stopped() && reached(s.Used, s.Plan) {
			s.ResumeAt = t
		}
	}
	s.settle()
	return s
}

func (h *hologram) Card(ctx context.Context, k Card) (Status, error) {
	n, err := h.links(ctx, url.Values{"sim": {h.c.card(k)}, "limit": {"1"}})
	if err != nil {
		return h.c.status(), err
	}
	for _, l := range n.at("data").list() {
		if s := h.read(l); SameCard(s.ICCID, k.ICCID) {
			return s, nil
		}
	}
	return h.c.status(), h.c.errorf("links", NoCard, "", "")
}

func (h *hologram) Page(ctx context.Context, cursor string) ([]Status, string, error) {
	q := url.Values{"limit": {strconv.Itoa(h.c.m.Limits.Page)}}
	if cursor != "" {
		q.Set("startafter", cursor)
	}
	n, err := h.links(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var out []Status
	next := ""
	for _, l := range n.at("data").list() {
		out, next = append(out, h.read(l)), l.at("id").text()
	}
	if n.at("continues").text() != "true" || next == cursor {
		next = ""
	}
	return out, next, nil
}

func (x *hologram) base() *client { return x.c }
