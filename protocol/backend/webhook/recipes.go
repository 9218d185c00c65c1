package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cellwarden/protocol/backend/store"
	"cellwarden/protocol/schema"
)

// Kinds of endpoints.
const (
	KindCloudEvents  = "cloudevents"
	KindFeishu       = "feishu"       // 飞书 custom robot
	KindDingTalk     = "dingtalk"     // 钉钉 custom robot
	KindWeCom        = "wecom"        // 企业微信 group robot
	KindAlertmanager = "alertmanager" // POST /api/v2/alerts
)

// Kinds lists every kind.
var Kinds = []string{KindCloudEvents, KindFeishu, KindDingTalk, KindWeCom, KindAlertmanager}

// request is one try, ready to go.
type request struct {
	url    string
	header map[string]string
	body   []byte
}

// render makes the request of one event in the form of its endpoint.
func render(e endpoint, id string, body []byte, now time.Time) (request, error) {
	r := request{url: e.url, header: map[string]string{"Content-Type": "application/json; charset=utf-8", "User-Agent": "cellwarden-receiver"}, body: body}
	if e.kind == KindCloudEvents || e.kind == "" {
		r.header["Content-Type"] = "application/cloudevents+json; charset=utf-8"
		r.header["webhook-id"], r.header["webhook-timestamp"] = id, strconv.FormatInt(now.Unix(), 10)
		sig, err := Sign(id, now.Unix(), body, e.secret, e.secretOld)
		if sig != "" {
			r.header["webhook-signature"] = sig
		}
		return r, err
	}
	var c store.CloudEvent
	if err := json.Unmarshal(body, &c); err != nil {
		return r, err
	}
	var out any
	switch e.kind {
	case KindFeishu:
		m := map[string]any{"msg_type": "text", "content": map[string]string{"text": Text("zh", c)}}
		if e.secret != "" { // open.feishu.cn: HMAC-SHA256 of nothing, the key is timestamp, newline, secret
			ts := strconv.FormatInt(now.Unix(), 10)
			mac := hmac.New(sha256.New, []byte(ts+"\n"+e.secret))
			m["timestamp"], m["sign"] = ts, base64.StdEncoding.EncodeToString(mac.Sum(nil))
		}
		out = m
	case KindDingTalk:
		out = map[string]any{"msgtype": "text", "text": map[string]string{"content": Text("zh", c)}}
		if e.secret != "" { // open.dingtalk.com: HMAC-SHA256 of timestamp in ms, newline, secret; the key is the secret
			ts := strconv.FormatInt(now.UnixMilli(), 10)
			mac := hmac.New(sha256.New, []byte(e.secret))
			mac.Write([]byte(ts + "\n" + e.secret))
			sep := "?"
			if strings.Contains(r.url, "?") {
				sep = "&"
			}
			r.url += sep + "timestamp=" + ts + "&sign=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		}
	case KindWeCom:
		out = map[string]any{"msgtype": "text", "text": map[string]string{"content": Text("zh", c)}}
	case KindAlertmanager:
		list, err := forAlertmanager(c)
		if err != nil {
			return r, err
		}
		out = list
	default:
		return r, fmt.Errorf("endpoint of kind %q: want one of %s", e.kind, strings.Join(Kinds, ", "))
	}
	raw, err := json.Marshal(out)
	r.body = raw
	return r, err
}

// accepted judges an answer: 2xx alone is success, and a robot also says 0 inside.
func accepted(kind string, status int, answer []byte) error {
	if status < 200 || status > 299 {
		return fmt.Errorf("status %d", status)
	}
	var said struct {
		Code    *int   `json:"code"`    // Feishu
		ErrCode *int   `json:"errcode"` // DingTalk, WeCom
		Msg     string `json:"msg"`
		ErrMsg  string `json:"errmsg"`
	}
	switch kind {
	case KindFeishu, KindDingTalk, KindWeCom:
		if err := json.Unmarshal(answer, &said); err != nil {
			return errors.New("the robot's answer is no JSON")
		}
		for _, c := range []*int{said.Code, said.ErrCode} {
			if c != nil && *c != 0 {
				return fmt.Errorf("the robot says %d %s", *c, said.Msg+said.ErrMsg)
			}
		}
	}
	return nil
}

// data is what events about alerts and groups have in common.
type data struct {
	store.AlertData
	Class   string   `json:"class"`
	Act     string   `json:"act"`
	Who     string   `json:"who"`
	Size    int      `json:"size"`
	Devices []string `json:"devices"`
	Sites   []string `json:"sites"`
	LostPH  float64  `json:"lost_per_h"`
}

// Text is an event in a few lines for people, "en" or "zh".
func Text(lang string, c store.CloudEvent) string {
	var d data
	_ = json.Unmarshal(c.Data, &d) // another shape: the type and subject are told
	var b strings.Builder
	head := map[string]map[string]string{
		"en": {"raised": "Fault", "changed": "Changed", "cleared": "Over", "escalated": "Still standing"},
		"zh": {"raised": "故障", "changed": "变化", "cleared": "已恢复", "escalated": "仍未恢复"},
	}[lang][c.Type[strings.LastIndex(c.Type, ".")+1:]]
	if head == "" {
		head = c.Type
	}
	class, act := d.Class, d.Act
	if d.Alert != nil {
		class, act = d.Alert.Class, d.Alert.Act
	}
	title, what := Words(lang, class, act)
	colon, stop := ": ", ". "
	if lang == "zh" {
		colon, stop = "：", "。"
	}
	b.WriteString(head + colon + title)
	switch {
	case d.Size > 0 && lang == "zh":
		fmt.Fprintf(&b, "，%d 台设备", d.Size)
	case d.Size > 0:
		fmt.Fprintf(&b, ", %d devices", d.Size)
	}
	names := d.Devices
	if d.Alert != nil {
		names = []string{d.Device}
	}
	if len(names) > 0 {
		b.WriteString("\n" + strings.Join(names, ", "))
	}
	if d.Site != "" {
		b.WriteString("\n" + d.Site)
	} else if len(d.Sites) > 0 {
		b.WriteString("\n" + strings.Join(d.Sites, ", "))
	}
	if what != "" && !strings.HasSuffix(c.Type, ".cleared") {
		b.WriteString("\n" + strings.TrimSuffix(strings.TrimSuffix(what, "。"), ".") + strings.TrimSpace(stop))
	}
	if c.Subject != "" && title == "" {
		b.WriteString("\n" + c.Subject)
	}
	return b.String()
}

// words of every act, from the contract.
var words = func() map[string]map[string]struct{ Title, What string } {
	raw, err := schema.Files.ReadFile("acts.json")
	out := map[string]map[string]struct{ Title, What string }{}
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil { // the file is in the binary, and a test reads it
		panic("webhook: acts.json: " + err.Error())
	}
	return out
}()

// own are words of what only the backend says.
var own = map[string]map[string][2]string{
	"en": {store.ClassBlind: {"The agent cannot see the modem", "Look whether another program holds the modem's port"},
		"silent": {"Silent", ""}, "carrier_outage": {"Operator outage", ""}, "pool_exhausted": {"Data pool used up", ""}},
	"zh": {store.ClassBlind: {"程序看不到模块", "检查模块串口是否被其他程序占用"},
		"silent": {"失联", ""}, "carrier_outage": {"运营商故障", ""}, "pool_exhausted": {"流量池用完", ""}},
}

// Words gives a class's title and what to do, in "en" or "zh"; a variant of the act
// says it more exactly.
func Words(lang, class, act string) (title, what string) {
	title = class
	for _, code := range []string{class, act} {
		if w, ok := words[code][lang]; ok {
			if w.Title != "" {
				title = w.Title
			}
			if w.What != "" {
				what = w.What
			}
		}
	}
	if o, ok := own[lang][class]; ok && title == class {
		return o[0], o[1]
	}
	return title, what
}

// resendWithin is how far ahead endsAt of a standing alert is set: Alertmanager
// forgets one that is not sent again (resolve_timeout is 5 min by default), and we
// send only changes.
const resendWithin = 7 * 24 * time.Hour

// forAlertmanager is an alert or group as Alertmanager's API v2 takes it. Labels that
// are not known are left out: for its inhibitions a label that is missing on both sides
// counts as equal.
func forAlertmanager(c store.CloudEvent) (any, error) {
	var d data
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339Nano, c.Time)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{"alertname": c.Type, "subject": c.Subject}
	put := func(k, v string) {
		if v != "" {
			labels[k] = v
		}
	}
	class, act, starts := d.Class, d.Act, at
	if d.Alert != nil {
		class, act, starts = d.Alert.Class, d.Alert.Act, time.UnixMilli(d.Alert.Opened)
		labels["alertname"] = class
		put("device", d.Device)
		put("who", d.Alert.Who)
		put("source", d.Alert.Source)
	} else {
		put("class", d.Class)
		put("who", d.Who)
		labels["alertname"] = strings.SplitN(c.Type, ".", 2)[0]
	}
	put("site", d.Site)
	put("district", d.District)
	ends := at.Add(resendWithin)
	if strings.HasSuffix(c.Type, ".cleared") {
		ends = at
	}
	title, what := Words("en", class, act)
	return []any{map[string]any{"labels": labels, "startsAt": starts.UTC().Format(time.RFC3339), "endsAt": ends.UTC().Format(time.RFC3339),
		"annotations": map[string]string{"summary": title, "description": what}}}, nil
}
