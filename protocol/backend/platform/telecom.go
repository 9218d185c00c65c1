package platform

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

func init() {
	makers["telecom"] = func(c *client) (Adapter, error) {
		t := &telecom{c: c}
		t.ask = t.classic
		return t, nil
	}
	makers["telecom-5gcmp"] = func(c *client) (Adapter, error) {
		t := &telecom{c: c}
		t.ask = t.cmp
		return t, nil
	}
}

// telecom is China Telecom, in both generations.
type telecom struct {
	c   *client
	ask func(ctx context.Context, call string, k Card, args map[string]string, parse func([]byte) (node, error)) (node, error)
}

// number is the name and value of the parameter that names the card.
func (t *telecom) number(k Card) (string, string) {
	if t.c.setting["number"] == "access_number" && k.MSISDN != "" || k.ICCID == "" {
		return "access_number", k.MSISDN
	}
	return "iccid", t.c.card(k)
}

// telecomSign encrypts what is signed: the values, sorted as strings, with commas.
func telecomSign(key string, values ...string) string {
	slices.Sort(values)
	return telecomEncrypt(strings.Join(values, ","), key)
}

func (t *telecom) classic(ctx context.Context, call string, k Card, args map[string]string, parse func([]byte) (node, error)) (node,
	error) {
	c := t.c
	field, number := t.number(k)
	signed := []string{number, c.a.User, string(c.a.Password), call}
	for _, name := range c.m.Sign[call] {
		signed = append(signed, args[name])
	}
	n, _, err := c.do(ctx, func() (request, error) {
		q := url.Values{"method": {call}, "user_id": {c.a.User}, field: {number},
			c.setting["password_parameter"]: {telecomEncrypt(string(c.a.Password), string(c.a.Key))},
			"sign":                          {telecomSign(string(c.a.Key), signed...)}}
		for k, v := range args {
			q.Set(k, v)
		}
		return request{call: call, method: http.MethodGet, url: c.a.Host + c.m.Path["query"], query: q}, nil
	}, parse, t.judge(call))
	return n, err
}

// cmpSign is the newer platform's: MD5 over sorted parameters, secret and time, as hex of
// the hex.
func cmpSign(params map[string]string, secret, timestamp string) string {
	var parts []string
	for _, k := range sortedKeys(params) {
		parts = append(parts, k+"="+params[k])
	}
	sum := md5.Sum([]byte(strings.Join(parts, "&") + secret + timestamp))
	return strings.ToUpper(hex.EncodeToString([]byte(hex.EncodeToString(sum[:]))))
}

func (t *telecom) cmp(ctx context.Context, call string, k Card, args map[string]string, parse func([]byte) (node, error)) (node, error) {
	c := t.c
	field, number := t.number(k)
	params := map[string]string{field: number}
	for k, v := range args {
		params[k] = v
	}
	n, _, err := c.do(ctx, func() (request, error) {
		q := url.Values{}
		for k, v := range params {
			q.Set(k, v)
		}
		ts := time.Now().In(c.m.zone).Format("20060102150405")
		return request{call: call, method: http.MethodGet, url: c.a.Host + c.m.Path[call], query: q, header: map[string]string{
			"AppKey": c.a.User, "Timestamp": ts, "Sign": cmpSign(params, string(c.a.Key), ts)}}, nil
	}, parse, t.judge(call))
	return n, err
}

// bareError is how the classic platform says no: a code, a full-width colon, words. It
// is the whole body, and neither JSON nor XML.
var bareError = regexp.MustCompile(`^\s*"?(-?[0-9]{1,6})[：:](.*)`)

func (t *telecom) judge(call string) func(answer, node) error {
	return func(a answer, n node) error {
		if m := bareError.FindSubmatch(a.body); m != nil {
			return t.c.frame(call, string(m[1]), string(m[2]))
		}
		if n.v == nil {
			return t.c.byHTTP(call, a)
		}
		for _, f := range []string{"resultCode", "result", "IRESULT", "RspCode", "code"} {
			if v := n.find(f).text(); v != "" {
				return t.c.frame(call, v, n.find("resultMsg").text()+n.find("RspDesc").text())
			}
		}
		return t.c.errorf(call, Malformed, "", "no result code in the answer")
	}
}

func (t *telecom) Card(ctx context.Context, k Card) (Status, error) {
	c := t.c
	s := c.status()
	s.ICCID = k.ICCID
	args := map[string]string{}
	if c.m.Path["query"] == "" {
		args["queryDropCard"] = "false"
	}
	n, err := t.ask(ctx, "queryCardMainStatus", k, args, parseJSON)
	if err != nil {
		return s, err
	}
	for _, p := range n.find("productInfo").list() {
		code, name := p.at("productMainStatusCd").text(), p.at("productMainStatusName").text()
		if c.m.Table["skip"][code] != "" || code == "" && name == "" {
			continue
		}
		s.raw("productMainStatusName", name)
		if st, known := c.m.Table["state_name"][name]; known {
			s.State = st
			s.raw("productMainStatusCd", code)
		} else {
			s.State = c.look(&s, "state", "productMainStatusCd", code)
		}
		s.say(c.m.Table["reason_name"][name])
		s.say(c.m.Table["reason"][code])
		break
	}
	// In use, and cut off from data: two fields. Either may say stopped.
	switch c.look(&s, "state_cut", "netBlockStatusName", n.at("netBlockStatusName").text()) {
	case "data_cut":
		if s.State == "active" || s.State == "test" || s.State == "ready" || s.State == "" || s.State == "unknown" {
			s.State = "data_cut"
		}
	case "unknown":
		if s.State == "active" {
			s.State = "unknown" // a word that we do not know stands where the cut is told
		}
	}
	s.Since = time.Time{}
	args = map[string]string{}
	if c.m.Path["query"] != "" {
		args["needDtl"] = "0"
	}
	v, err := t.ask(ctx, "queryTraffic", k, args, parseXML)
	switch KindOf(err) {
	case OK:
		c.used(&s, c.bytes(v.find("TOTAL_BYTES_CNT"), "TOTAL_BYTES_CNT", c.m.Unit))
		err = nil
	case Rate, Refused, Token, Away, Skewed:
	default:
		c.count("queryTraffic", string(KindOf(err)))
		err = nil
	}
	s.settle()
	return s, err
}

func (x *telecom) base() *client { return x.c }
