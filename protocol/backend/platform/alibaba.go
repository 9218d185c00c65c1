package platform

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func init() {
	makers["alibaba"] = func(c *client) (Adapter, error) { return &alibaba{c}, nil }
}

type alibaba struct{ c *client }

// rfc3986 is percent-encoding as the signature wants it: a space is %20, ~ stays.
func rfc3986(s string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
}

// alibabaSign is version 1 of the RPC signature.
func alibabaSign(method, secret string, params map[string]string) string {
	var parts []string
	for _, k := range sortedKeys(params) {
		parts = append(parts, rfc3986(k)+"="+rfc3986(params[k]))
	}
	h := hmac.New(sha1.New, []byte(secret+"&"))
	h.Write([]byte(method + "&" + rfc3986("/") + "&" + rfc3986(strings.Join(parts, "&"))))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (p *alibaba) ask(ctx context.Context, call string, args map[string]string) (node, error) {
	c := p.c
	n, _, err := c.do(ctx, func() (request, error) {
		nonce := make([]byte, 16)
		if _, err := rand.Read(nonce); err != nil {
			return request{}, err
		}
		params := map[string]string{"Action": c.m.Path[call], "Version": c.setting["version"], "Format": "JSON", "AccessKeyId": c.a.User,
			"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": hex.EncodeToString(nonce),
			"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05Z"), "RegionId": c.setting["region"]}
		for k, v := range args {
			params[k] = v
		}
		q := url.Values{"Signature": {alibabaSign(http.MethodGet, string(c.a.Key), params)}}
		for k, v := range params {
			q.Set(k, v)
		}
		return request{call: call, method: http.MethodGet, url: c.a.Host + "/", query: q}, nil
	}, parseJSON, func(a answer, n node) error {
		if n.v == nil {
			return c.byHTTP(call, a)
		}
		if n.at("Success").text() == "true" {
			return nil
		}
		return c.frame(call, n.at("Code").text(), n.at("Message").text()+n.at("ErrorMessage").text())
	})
	return n.at("Data"), err
}

func (p *alibaba) Card(ctx context.Context, k Card) (Status, error) {
	c := p.c
	s := c.status()
	s.ICCID = k.ICCID
	d, err := p.ask(ctx, "detail", map[string]string{"Iccid": c.card(k)})
	if err != nil {
		return s, err
	}
	s.State = c.look(&s, "state", "Status", d.find("Status").text())
	if os := d.find("OsStatus").text(); os != "" {
		if st := c.look(&s, "state_os", "OsStatus", os); st != "active" && st != "unknown" || s.State == "unknown" {
			s.State = st
		}
		if r, known := c.m.Table["reason"][os]; known {
			s.say(r)
		}
	}
	v := d.at("VsimCardInfo")
	if v.v == nil {
		v = d
	}
	added, rest := c.bytes(v.find("PeriodAddFlow"), "PeriodAddFlow", c.m.Unit), c.left(v.find("PeriodRestFlow"), "PeriodRestFlow",
		c.m.Unit)
	if added != nil && rest != nil {
		used := uint64(max(int64(*added)-*rest, 0))
		s.Plan = added
		c.used(&s, &used)
	}
	// A card of several networks has a status for each.
	for _, ps := range d.find("ListPsimCards").list() {
		s.raw("network "+ps.at("Vendor").text(), ps.at("OsStatus").text())
	}
	s.ExpiresAt = d.find("ExpireTime").moment(c.m.zone)
	s.settle()
	return s, nil
}

func (x *alibaba) base() *client { return x.c }
