package platform

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

func init() {
	makers["jasper"] = func(c *client) (Adapter, error) {
		n, err := strconv.Atoi(c.setting["iccid"])
		if err != nil || n != 0 && n != 19 && n != 20 {
			return nil, fmt.Errorf("setting iccid: want 0, 19 or 20")
		}
		day, err := strconv.Atoi(c.setting["cycle_day"])
		if err != nil || day < 0 || day > 31 {
			return nil, fmt.Errorf("setting cycle_day: want 0 to 31")
		}
		m := *c.m
		m.ICCID, m.Cycle = n, day
		c.m = &m
		return &jasper{c}, nil
	}
}

type jasper struct{ c *client }

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func (j *jasper) ask(ctx context.Context, call string, k Card) (node, error) {
	c := j.c
	path := strings.Replace(c.m.Path[call], "{iccid}", url.PathEscape(c.card(k)), 1)
	if call == "session" {
		path = strings.Replace(path, "sessionDetails", url.PathEscape(c.setting["session_call"]), 1)
	}
	n, _, err := c.do(ctx, func() (request, error) {
		return request{call: call, method: http.MethodGet, url: c.a.Host + path,
			header: map[string]string{"Authorization": basic(c.a.User, string(c.a.Key)), "Accept": "application/json"}}, nil
	}, parseJSON, func(a answer, n node) error {
		if code := n.at("errorCode").text(); code != "" {
			if _, known := c.m.Frame[code]; known || a.status == 200 {
				return c.frame(call, code, n.at("errorMessage").text())
			}
		}
		err := c.byHTTP(call, a)
		if e, is := err.(*Error); is && e.Kind == Token {
			e.Kind = Refused // there is no token: the user's key has ended
		}
		return err
	})
	return n, err
}

func (j *jasper) Card(ctx context.Context, k Card) (Status, error) {
	c := j.c
	s := c.status()
	s.ICCID = k.ICCID
	d, err := j.ask(ctx, "details", k)
	if err != nil {
		return s, err
	}
	s.State = c.look(&s, "state", "status", strings.TrimSuffix(d.at("status").text(), "_NAME"))
	s.IMEI = d.at("imei").text()
	if q, known := c.plans[d.at("ratePlan").text()]; known {
		s.Plan = &q
	}
	u, err := j.ask(ctx, "usage", k)
	if err == nil {
		c.used(&s, c.bytes(u.at("ctdDataUsage"), "ctdDataUsage", c.m.Unit))
		over, override := u.at("overageLimitReached").flag(), u.at("overageLimitOverride").text()
		if over != nil && *over && override == "DEFAULT" && s.State == "suspended" {
			s.say("quota")
			s.raw("overageLimitReached", "true")
		}
	}
	if kind := KindOf(err); err != nil && kind != NoCard && kind != Other && kind != Malformed && kind != Parameter {
		return s, err
	}
	se, err := j.ask(ctx, "session", k)
	if err == nil && se.at("dateSessionStarted").text() != "" {
		end := se.at("lastSessionEndTime").text() + se.at("dateSessionEnded").text()
		on := end == ""
		s.Session = &on
	}
	s.settle()
	if KindOf(err) == Rate {
		return s, err
	}
	return s, nil
}

func (x *jasper) base() *client { return x.c }
