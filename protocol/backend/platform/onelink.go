package platform

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func init() {
	makers["onelink"] = func(c *client) (Adapter, error) {
		o := &onelink{c: c, which: map[string]string{}}
		o.token.fetch = o.login
		o.ask = o.v5
		return o, nil
	}
	makers["onelink-aiot"] = func(c *client) (Adapter, error) {
		o := &onelink{c: c, which: map[string]string{}}
		o.ask = o.aiot
		return o, nil
	}
}

// onelink is China Mobile's platform, in both generations: the answers are the same, the
// way to ask is not.
type onelink struct {
	c     *client
	token tokens
	ask   func(ctx context.Context, call string, args map[string]string) (node, error)

	mu    sync.Mutex
	which map[string]string // the alphabet of a card's status: OneLink-CT, OneLink-PB. It does not change
}

// maxWhich bounds what is remembered of cards: the largest account asked for here has
// some hundred thousand.
const maxWhich = 200000

// tokenLife: the token lives one hour, by some two; public clients keep it 30 to 50 min.
const tokenLife = 45 * time.Minute

// TransID is appid, time and 8 digits: unique for each call.
func (o *onelink) transID(now time.Time) string {
	return o.c.a.User + now.In(o.c.m.zone).Format("20060102150405") + o.c.number(8)
}

// onelinkV2Token is how the older generation makes its token: no call is needed.
func onelinkV2Token(appid, password, transid string) string {
	sum := sha256.Sum256([]byte(appid + password + transid))
	return hex.EncodeToString(sum[:])
}

func (o *onelink) login(ctx context.Context) (string, time.Duration, error) {
	n, _, err := o.c.do(ctx, func() (request, error) {
		return request{call: "token", method: http.MethodGet, url: o.c.a.Host + o.c.m.Path["token"],
			query: url.Values{"appid": {o.c.a.User}, "password": {string(o.c.a.Password)}, "transid": {o.transID(time.Now())}}}, nil
	}, parseJSON, o.judge("token"))
	if err != nil {
		return "", 0, err
	}
	tok := n.at("result", "0", "token").text()
	if tok == "" {
		return "", 0, o.c.errorf("token", Malformed, "", "no token in the answer")
	}
	return tok, tokenLife, nil
}

func (o *onelink) judge(call string) func(answer, node) error {
	return func(a answer, n node) error {
		if n.v == nil {
			return o.c.byHTTP(call, a)
		}
		code, text := n.at("status").text(), n.at("message").text()
		if code == "" {
			code, text = n.at("code").text(), n.at("msg").text()
		}
		return o.c.frame(call, code, text)
	}
}

func (o *onelink) v5(ctx context.Context, call string, args map[string]string) (out node, err error) {
	err = o.withToken(ctx, func(tok string) error {
		n, _, err := o.c.do(ctx, func() (request, error) {
			id := o.transID(time.Now())
			q := url.Values{"transid": {id}, "token": {tok}}
			if o.c.scheme == "v2" {
				q.Set("token", onelinkV2Token(o.c.a.User, string(o.c.a.Password), id))
				q.Set("appid", o.c.a.User)
			}
			for k, v := range args {
				q.Set(k, v)
			}
			return request{call: call, method: http.MethodGet, url: o.c.a.Host + o.c.m.Path[call], query: q}, nil
		}, parseJSON, o.judge(call))
		out = n.at("result", "0")
		return err
	})
	return out, err
}

func (o *onelink) withToken(ctx context.Context, f func(string) error) error {
	if o.c.scheme == "v2" {
		return f("")
	}
	return o.token.with(ctx, f)
}

// aiotSign is the signature of the new generation: HMAC-SHA256 over path, query and body,
// one a line; what a call has not is an empty line.
func aiotSign(secret, path, query, body string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(path + "\n" + query + "\n" + body))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (o *onelink) aiot(ctx context.Context, call string, args map[string]string) (node, error) {
	n, _, err := o.c.do(ctx, func() (request, error) {
		nonce := make([]byte, 16)
		if _, err := rand.Read(nonce); err != nil {
			return request{}, err
		}
		b := map[string]string{"ak": o.c.a.User, "timestamp": strconv.FormatInt(time.Now().Unix(), 10),
			"nonce": hex.EncodeToString(nonce)}
		for k, v := range args {
			b[k] = v
		}
		body, err := json.Marshal(b) // a map is written compact, its keys sorted
		if err != nil {
			return request{}, err
		}
		path := o.c.m.Path[call]
		return request{call: call, method: http.MethodPost, url: o.c.a.Host + path, body: body, header: map[string]string{
			"Authorization": "Bearer method=HmacSHA256&sign=" + aiotSign(string(o.c.a.Key), path, "", string(body))}}, nil
	}, parseJSON, o.judge(call))
	// The data of the new frame are an object, or a list of one.
	d := n.at("data")
	if _, is := d.v.([]any); is {
		d = d.at("0")
	}
	return d, err
}

func (o *onelink) alphabet(ctx context.Context, iccid string) (string, error) {
	o.mu.Lock()
	w, known := o.which[iccid]
	o.mu.Unlock()
	if known {
		return w, nil
	}
	n, err := o.ask(ctx, "which", map[string]string{"iccids": iccid})
	if err != nil {
		return "", err
	}
	for _, f := range []string{"platformType", "simPlatform", "platform"} {
		if w = n.find(f).text(); w != "" {
			break
		}
	}
	if w != "" {
		o.keep(iccid, w)
	}
	return w, nil
}

func (o *onelink) keep(iccid, w string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.which) >= maxWhich {
		clear(o.which)
	}
	o.which[iccid] = w
}

func (o *onelink) Card(ctx context.Context, k Card) (Status, error) {
	c := o.c
	s := c.status()
	s.ICCID = k.ICCID
	one := map[string]string{"iccid": c.card(k)}
	if k.ICCID == "" {
		one = map[string]string{"msisdn": k.MSISDN}
	}
	w := ""
	if k.ICCID != "" {
		var err error
		if w, err = o.alphabet(ctx, c.card(k)); err != nil && KindOf(err) != NoCard {
			return s, err
		}
	}
	n, err := o.ask(ctx, "status", one)
	if err != nil {
		return s, err
	}
	s.Since = n.at("lastChangeDate").moment(c.m.zone)
	code := n.at("cardStatus").text()
	// More than the status is a help, not a condition: what fails is left out, except
	// what every further call would meet too.
	var stop error
	more := func(call string, args map[string]string) node {
		if stop != nil {
			return node{}
		}
		n, err := o.ask(ctx, call, args)
		switch KindOf(err) {
		case OK, Empty, NoCard, Parameter, Malformed, Other, Busy:
		default:
			stop = err
		}
		if err != nil {
			c.count(call, string(KindOf(err)))
			return node{}
		}
		return n
	}
	why := more("why", one)
	if w == "" {
		w = why.at("platformType").text()
	}
	lag := c.m.Lag
	switch {
	case strings.HasSuffix(w, "CT"):
		s.State, lag = c.look(&s, "state_ct", "cardStatus", code), "live"
	case strings.HasSuffix(w, "PB"):
		s.State = c.look(&s, "state_pb", "cardStatus", code)
	case code != "":
		// Which alphabet is not known. PB writes two digits and CT one.
		table := "state_ct"
		if len(code) == 2 {
			table = "state_pb"
		}
		s.State = c.look(&s, table, "cardStatus", code)
	}
	o.why(&s, why)
	o.figures(&s, lag, more, one)
	o.services(&s, more("services", one))
	if s.State != "active" && s.State != "ready" {
		b := more("bound", one)
		switch v := b.find("separated").text() + b.find("sepStatus").text() + b.find("result").text(); c.m.Table["separated"][v] {
		case "yes":
			s.Separated = new(bool)
			*s.Separated = true
		case "no":
			s.Separated = new(bool)
		}
		s.IMEI = more("imei", one).find("imei").text()
	}
	se := more("session", one).find("simSessionList").list()
	if len(se) > 0 {
		on := slices.ContainsFunc(se, func(x node) bool { return x.at("status").text() == "01" })
		s.Session = &on
	}
	s.settle()
	return s, stop
}

// why reads the positions of stopReason, and the words that newer accounts get beside.
func (o *onelink) why(s *Status, n node) {
	p := n.at("stopReason").text()
	if strings.Trim(p, "0") != "" && strings.Trim(p, "0123456789") == "" {
		s.raw("stopReason", p)
		for i, d := range p {
			if d != '2' {
				continue
			}
			pos := strconv.Itoa(i + 1)
			r, known := o.c.m.Table["reason_position"][pos]
			if !known {
				o.c.count("stopReason", "position "+pos)
				r = "unknown"
			}
			s.say(r)
		}
	} else if p != "" && strings.Trim(p, "0") != "" {
		o.c.count("stopReason", p)
	}
	s.raw("shutdownReasonDesc", n.at("shutdownReasonDesc").text())
}

// figures reads usage, plan and pool. A card may hold several offerings: all count.
func (o *onelink) figures(s *Status, lag string, more func(string, map[string]string) node, one map[string]string) {
	c := o.c
	u := c.bytes(more("usage", one).at("dataAmount"), "dataAmount", c.m.Unit)
	var total, left int64
	offers := more("margin", one).find("accmMarginList").list()
	whole := len(offers) > 0
	for _, m := range offers {
		t, l := c.left(m.at("totalAmount"), "totalAmount", c.m.Unit), c.left(m.at("remainAmount"), "remainAmount", c.m.Unit)
		if l == nil {
			if used := c.left(m.at("useAmount"), "useAmount", c.m.Unit); used != nil && t != nil {
				v := *t - *used
				l = &v
			}
		}
		if t == nil || l == nil {
			whole = false
			break
		}
		total, left = total+*t, left+*l
	}
	if whole && total > 0 {
		plan := uint64(total)
		s.Plan = &plan
		if in := uint64(max(total-left, 0)); u == nil || in > *u {
			u = &in
		}
	}
	if u != nil {
		s.Used, s.UsedAsOf = u, c.m.asOf(lag, s.AsOf)
	}
	group := more("pool_of", one).find("groupList").at("0", "groupId").text()
	if group == "" {
		return
	}
	s.Pool = group
	var pt, pl int64
	list := more("pool", map[string]string{"groupId": group}).find("accmMarginList").list()
	for _, m := range list {
		t, l := c.left(m.at("totalAmount"), "totalAmount", c.m.Unit), c.left(m.at("remainAmount"), "remainAmount", c.m.Unit)
		if t == nil || l == nil {
			return
		}
		pt, pl = pt+*t, pl+*l
	}
	if pt > 0 {
		total, used := uint64(pt), uint64(max(pt-pl, 0))
		s.PoolTotal, s.PoolUsed = &total, &used
	}
}

// services: a card may be active and its data closed (service 11).
func (o *onelink) services(s *Status, n node) {
	for _, v := range n.find("serviceTypeList").list() {
		if v.at("serviceType").text() != "11" {
			continue
		}
		st := v.at("serviceStatus").text()
		if st == "0" && s.State == "active" {
			s.State, s.Reason = "data_cut", ""
			s.raw("service 11", st)
		}
	}
}

// Cards asks for the month's usage of up to 100 cards, up to yesterday.
func (o *onelink) Cards(ctx context.Context, list []Card) ([]Status, error) {
	c := o.c
	if c.m.Path["daily"] == "" {
		return nil, c.errorf("daily", Parameter, "", "this generation has no batch")
	}
	if len(list) > c.m.Limits.Batch {
		return nil, c.errorf("daily", Parameter, "", "more cards than a batch holds")
	}
	ids := make([]string, len(list))
	for i, k := range list {
		ids[i] = c.card(k)
	}
	s := c.status()
	month := c.m.asOf("midnight", s.AsOf).AddDate(0, 0, -1)
	n, err := o.ask(ctx, "daily", map[string]string{"iccids": strings.Join(ids, "_"), "queryDate": month.Format("200601")})
	if err != nil {
		return nil, err
	}
	var out []Status
	for _, v := range n.find("dataAmountList").list() {
		s := c.status()
		s.ICCID = v.at("iccid").text()
		i := slices.IndexFunc(list, func(k Card) bool { return SameCard(k.ICCID, s.ICCID) })
		u := c.bytes(v.at("dataAmount"), "dataAmount", c.m.Unit)
		if i < 0 || u == nil || month.Month() != s.AsOf.In(c.m.zone).Month() {
			continue // of no card that was asked for, or of the month that has ended
		}
		s.ICCID, s.State = list[i].ICCID, "unknown"
		s.Used, s.UsedAsOf = u, c.m.asOf("midnight", s.AsOf)
		out = append(out, s)
	}
	return out, nil
}

func (x *onelink) base() *client { return x.c }
