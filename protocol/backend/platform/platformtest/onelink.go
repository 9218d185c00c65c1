// Package platformtest plays SIM platforms, for tests and the demo: servers that check
// what a real one checks (login, signature, a call's own number, batch sizes, calls a
// second) and answer in its forms. All identities are invented.
package platformtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A OneLinkCard is what the mock holds of one card. Amounts are KB, as text.
type OneLinkCard struct {
	Platform   string // OneLink-PB, OneLink-CT
	Status     string // cardStatus, in that platform's alphabet
	StopReason string // positions
	Used       string // dataAmount; " " is how the platform writes no value
	Plans      [][2]string
	DataClosed bool   // service 11 suspended
	Pool       string // group
	Separated  string // 0 separated, 1 not, 2 query failed
	Online     bool
}

// OneLink is China Mobile's platform, version 5.
type OneLink struct {
	AppID, Password string
	PerSecond       int // calls that it allows in any second; 0: any number

	mu     sync.Mutex
	cards  map[string]*OneLinkCard
	pools  map[string][2]string
	tokens map[string]bool
	seen   map[string]bool
	calls  []time.Time
	logins int
	worst  int
	n      int
	over   map[string]string
}

// NewOneLink makes a platform without cards.
func NewOneLink(appid, password string) *OneLink {
	return &OneLink{AppID: appid, Password: password, cards: map[string]*OneLinkCard{}, pools: map[string][2]string{},
		tokens: map[string]bool{},
		seen:   map[string]bool{}, over: map[string]string{}}
}

// Set puts a card in, or in another state.
func (o *OneLink) Set(iccid string, c OneLinkCard) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cards[iccid] = &c
}

// SetPool says what a pool holds in KB, and what is left.
func (o *OneLink) SetPool(id, total, left string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pools[id] = [2]string{total, left}
}

// Expire ends all tokens.
func (o *OneLink) Expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.tokens)
}

// Answer makes a call (the last part of its path) answer with this body from now on; ""
// ends that.
func (o *OneLink) Answer(call, body string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over[call] = body
}

// Seen is how often the platform was asked, how often logged in to, and the most calls
// that came within one second.
func (o *OneLink) Seen() (calls, logins, worst int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n, o.logins, o.worst
}

func (o *OneLink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	say := func(status, message string, result any) {
		raw, _ := json.Marshal(map[string]any{"status": status, "message": message, "result": result})
		w.Write(raw)
	}
	none := []any{}
	q := r.URL.Query()
	if !o.count(say) {
		return
	}
	call := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if call == "batch" {
		call = strings.Split(r.URL.Path, "/")[4]
	}
	id := q.Get("transid")
	if !strings.HasPrefix(id, o.AppID) || len(id) != len(o.AppID)+22 || strings.Trim(id, "0123456789") != "" || o.seen[id] {
		say("12004", "transid不合法", none)
		return
	}
	o.seen[id] = true
	if call == "token" {
		if q.Get("appid") != o.AppID || q.Get("password") != o.Password {
			say("12022", "appid或密码错误", none)
			return
		}
		o.logins++
		tok := fmt.Sprintf("CWDEMO%016d", o.logins)
		o.tokens[tok] = true
		say("0", "正确", []any{map[string]string{"token": tok}})
		return
	}
	if !o.tokens[q.Get("token")] {
		say("12021", "TOKEN不存在或已过期，请重新获取", none)
		return
	}
	if body := o.over[call]; body != "" {
		w.Write([]byte(body))
		return
	}
	if ids := q.Get("iccids"); ids != "" {
		o.batch(call, strings.Split(ids, "_"), say)
		return
	}
	if g := q.Get("groupId"); g != "" {
		p, ok := o.pools[g]
		if !ok {
			say("12009", "群组不属于该客户", none)
			return
		}
		say("0", "正确", []any{map[string]any{"accmMarginList": []any{map[string]string{"offeringId": "9001", "totalAmount": p[0],
			"remainAmount": p[1]}}}})
		return
	}
	c := o.cards[q.Get("iccid")]
	if c == nil {
		say("12010", "卡号不存在", none)
		return
	}
	say("0", "正确", []any{c.answer(call)})
}

func (o *OneLink) count(say func(string, string, any)) bool {
	now := time.Now()
	o.n++
	o.calls = append(o.calls, now)
	for len(o.calls) > 0 && now.Sub(o.calls[0]) >= time.Second {
		o.calls = o.calls[1:]
	}
	o.worst = max(o.worst, len(o.calls))
	if o.PerSecond > 0 && len(o.calls) > o.PerSecond {
		say("12098x", "too often", []any{})
		return false
	}
	return true
}

func (o *OneLink) batch(call string, ids []string, say func(string, string, any)) {
	if len(ids) > 100 {
		say("11000", "参数错误", []any{})
		return
	}
	var list []any
	for _, id := range ids {
		c := o.cards[id]
		if c == nil {
			if len(ids) == 1 {
				say("12010", "卡号不存在", []any{})
				return
			}
			continue
		}
		if call == "sim-platform" {
			list = append(list, map[string]string{"iccid": id, "platformType": c.Platform})
		} else {
			list = append(list, map[string]any{"iccid": id, "dataAmount": c.Used, "apnDataAmountList": []any{}})
		}
	}
	if call == "sim-platform" {
		say("0", "正确", list)
		return
	}
	say("0", "正确", []any{map[string]any{"dataAmountList": list}})
}

func (c *OneLinkCard) answer(call string) any {
	switch call {
	case "sim-status":
		return map[string]string{"cardStatus": c.Status, "lastChangeDate": "2026-11-20 08:00:00"}
	case "sim-stop-reason":
		return map[string]string{"platformType": c.Platform, "stopReason": c.StopReason}
	case "sim-data-usage":
		return map[string]any{"dataAmount": c.Used, "apnUseAmountList": []any{}}
	case "sim-data-margin":
		var list []any
		for i, p := range c.Plans {
			total, _ := strconv.ParseFloat(p[0], 64)
			left, _ := strconv.ParseFloat(p[1], 64)
			list = append(list, map[string]string{"offeringId": strconv.Itoa(8001 + i), "offeringName": "DEMO", "totalAmount": p[0],
				"useAmount": strconv.FormatFloat(total-left, 'f', 2, 64), "remainAmount": p[1]})
		}
		return map[string]any{"accmMarginList": list}
	case "sim-session":
		st := map[bool]string{true: "01", false: "00"}[c.Online]
		return map[string]any{"simSessionList": []any{map[string]string{"apnId": "CMIOT", "status": st, "rat": "6"}}}
	case "sim-communication-function-status":
		st := map[bool]string{true: "0", false: "1"}[c.DataClosed]
		return map[string]any{"serviceTypeList": []any{map[string]string{"serviceType": "01", "serviceStatus": "0"},
			map[string]string{"serviceType": "11", "serviceStatus": st}}}
	case "group-by-member":
		if c.Pool == "" {
			return map[string]any{"groupList": []any{}}
		}
		return map[string]any{"groupList": []any{map[string]string{"groupId": c.Pool, "offeringId": "9001"}}}
	case "card-bind-status":
		return map[string]string{"separated": c.Separated}
	case "sim-imei":
		return map[string]string{"imei": "860000000000017"}
	}
	return map[string]string{}
}

// Direct makes h answer without a network: what is asked is handed to it.
func Direct(h http.Handler) http.RoundTripper { return direct{h} }

type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := newRecorder()
	d.h.ServeHTTP(rec, r)
	return rec.response(r), nil
}
