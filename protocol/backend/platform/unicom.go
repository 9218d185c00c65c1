package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
)

func init() {
	makers["unicom"] = func(c *client) (Adapter, error) { return &unicom{c}, nil }
}

type unicom struct{ c *client }

// unicomToken signs a call. SM3 is over names and values, the secret bare at the end.
// SHA-256, which some accounts have, is over the values alone.
func unicomToken(scheme, app, timestamp, trans, secret string) string {
	if scheme == "sha256" {
		sum := sha256.Sum256([]byte(app + timestamp + trans + secret))
		return hex.EncodeToString(sum[:])
	}
	sum := sm3.Sum([]byte("app_id" + app + "timestamp" + timestamp + "trans_id" + trans + secret))
	return hex.EncodeToString(sum[:])
}

func (u *unicom) ask(ctx context.Context, call string, data map[string]any) (node, error) {
	c := u.c
	n, _, err := c.do(ctx, func() (request, error) {
		now := time.Now().In(c.m.zone)
		// A space, not a point, stands before the milliseconds.
		ts := now.Format("2006-01-02 15:04:05 ") + fmt.Sprintf("%03d", now.Nanosecond()/1e6)
		trans := strings.NewReplacer("-", "", ":", "", " ", "").Replace(ts) + c.number(6)
		data["openId"], data["version"], data["messageId"] = c.setting["open_id"], "1.0", "cw-"+c.number(12)
		body, err := json.Marshal(map[string]any{"app_id": c.a.User, "timestamp": ts, "trans_id": trans,
			"token": unicomToken(c.scheme, c.a.User, ts, trans, string(c.a.Key)), "data": data})
		return request{call: call, method: http.MethodPost, url: c.a.Host + c.m.Path[call], body: body}, err
	}, parseJSON, func(a answer, n node) error {
		if n.v == nil {
			return c.byHTTP(call, a)
		}
		if err := c.frame(call, n.at("status").text(), n.at("message").text()); err != nil {
			return err
		}
		return c.frame(call, n.at("data", "resultCode").text(), n.at("data", "resultDesc").text())
	})
	return n.at("data"), err
}

func (u *unicom) Cards(ctx context.Context, list []Card) ([]Status, error) {
	c := u.c
	if len(list) > c.m.Limits.Batch {
		return nil, c.errorf("details", Parameter, "", "more cards than a batch holds")
	}
	ids := make([]string, len(list))
	for i, k := range list {
		ids[i] = c.card(k)
	}
	n, err := u.ask(ctx, "details", map[string]any{"iccids": ids})
	if KindOf(err) == Empty {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Status
	for _, t := range n.at("terminals").list() {
		s := c.status()
		s.ICCID = t.at("iccid").text()
		s.State = c.look(&s, "state", "simStatus", t.at("simStatus").text())
		s.IMEI = t.at("imei").text()
		if q, known := c.plans[t.at("ratePlan").text()]; known {
			s.Plan = &q
		}
		c.used(&s, c.bytes(t.at("monthToDateDataUsage"), "monthToDateDataUsage", c.m.Unit))
		s.raw("ratePlan", t.at("ratePlan").text())
		s.settle()
		out = append(out, s)
	}
	return out, nil
}

func (u *unicom) Card(ctx context.Context, k Card) (Status, error) {
	list, err := u.Cards(ctx, []Card{k})
	if err != nil {
		return u.c.status(), err
	}
	for _, s := range list {
		if !SameCard(s.ICCID, k.ICCID) {
			continue
		}
		se, err := u.ask(ctx, "session", map[string]any{"iccid": u.c.card(k)})
		if err == nil {
			begin := se.find("dateSessionStarted").text() + se.find("sessionBegin").text()
			end := se.find("dateSessionEnded").text() + se.find("sessionEnd").text()
			if begin != "" {
				on := end == ""
				s.Session = &on
			}
		}
		if k := KindOf(err); k == Rate || k == Refused {
			return s, err
		}
		return s, nil
	}
	return u.c.status(), u.c.errorf("details", NoCard, "", "")
}

func (x *unicom) base() *client { return x.c }
