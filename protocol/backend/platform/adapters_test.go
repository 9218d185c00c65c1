package platform

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/emmansun/gmsm/sm3"
	"golang.org/x/tools/txtar"
)

// The mocks below compute what the platform computes in their own way, not by the
// adapter's functions.

const telecomVectorSign = "031F9E0F61CB311C0A875EB2EF279298009BE5A554CAE486C464E38708189B6242ABC7726EA3E60D8947BF84B930991E" +
	"C5B581DE26F425CBFC6C89B70E0A9DE75384E99F4EE2B22B1D1BA437AC29411C49C763B2D5563354B77CCEC8AAAE8A18" +
	"964CA541D607249F41782CCCEF3561AD"

func telecomCheck(w http.ResponseWriter, r *http.Request) bool {
	q := r.URL.Query()
	ok := q.Get("passWord") == "C5D70768B33EA16AACE719A03FF549596F63F31C67E53B1F" && q.Get("user_id") == "cwdemo01" &&
		q.Get("access_number") == "1064900000017"
	if q.Get("method") == "queryCardMainStatus" {
		ok = ok && q.Get("sign") == telecomVectorSign
	}
	if !ok {
		w.Write([]byte("-3：sign参数值错误"))
	}
	return ok
}

func cmpCheck(w http.ResponseWriter, r *http.Request) bool {
	keys := []string{}
	for k := range r.URL.Query() {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	text := ""
	for i, k := range keys {
		if i > 0 {
			text += "&"
		}
		text += k + "=" + r.URL.Query().Get(k)
	}
	sum := md5.Sum([]byte(text + "0f1e2d3c4b5a69788796a5b4c3d2e1f0" + r.Header.Get("Timestamp")))
	want := strings.ToUpper(hex.EncodeToString([]byte(hex.EncodeToString(sum[:]))))
	if r.Header.Get("Sign") != want || r.Header.Get("AppKey") != "cwapp" || r.Header.Get("Timestamp") != "20261122103000" {
		w.Write([]byte(`{"result":"-3","resultMsg":"sign"}`))
		return false
	}
	return true
}

func unicomCheck(w http.ResponseWriter, r *http.Request) bool {
	var m struct {
		AppID     string `json:"app_id"`
		Timestamp string `json:"timestamp"`
		TransID   string `json:"trans_id"`
		Token     string `json:"token"`
		Data      struct {
			OpenID string `json:"openId"`
		}
	}
	raw, _ := io.ReadAll(r.Body)
	json.Unmarshal(raw, &m)
	h := sm3.New()
	io.WriteString(h, "app_id"+m.AppID+"timestamp"+m.Timestamp+"trans_id"+m.TransID+"cwDemoSecret0123456789abcdefgh")
	if hex.EncodeToString(h.Sum(nil)) != m.Token || len(m.TransID) != 23 || len(m.Timestamp) != 23 || m.Timestamp[19] != ' ' ||
		m.Data.OpenID != "cwDemoOpen1" {
		w.Write([]byte(`{"status":"1004","message":"token error"}`))
		return false
	}
	return true
}

func aiotCheck(w http.ResponseWriter, r *http.Request) bool {
	raw, _ := io.ReadAll(r.Body)
	h := hmac.New(sha256.New, []byte("cwdemosecretkey0"))
	h.Write([]byte(r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n" + string(raw)))
	keys := strings.Index(string(raw), `"ak"`) < strings.Index(string(raw), `"iccid`) && strings.Index(string(raw),
		`"nonce"`) < strings.Index(string(raw), `"timestamp"`)
	if r.Header.Get("Authorization") != "Bearer method=HmacSHA256&sign="+base64.StdEncoding.EncodeToString(h.Sum(nil)) || !keys {
		w.Write([]byte(`{"code":"12022","msg":"sign","data":null}`))
		return false
	}
	return true
}

func alibabaCheck(w http.ResponseWriter, r *http.Request) bool {
	// The canonical query is what a query encodes to, sorted, but for three characters.
	q := r.URL.Query()
	sign := q.Get("Signature")
	q.Del("Signature")
	pct := func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(s, "+", "%20"), "*", "%2A"), "%7E", "~")
	}
	h := hmac.New(sha1.New, []byte("testsecret&"))
	io.WriteString(h, "GET&%2F&"+pct(url.QueryEscape(pct(q.Encode()))))
	if base64.StdEncoding.EncodeToString(h.Sum(nil)) != sign {
		w.WriteHeader(400)
		w.Write([]byte(`{"Code":"SignatureDoesNotMatch","Success":false}`))
		return false
	}
	return true
}

func header(name, value string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get(name) != value && !strings.Contains(r.URL.Path, "auth") && !strings.Contains(r.URL.Path, "token") {
			w.WriteHeader(401)
			return false
		}
		return true
	}
}

func gslCheck(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/auth/tokens") {
		return header("X-Auth-Token", "iamtoken1")(w, r)
	}
	raw, _ := io.ReadAll(r.Body)
	if !strings.Contains(string(raw), `"password":"cwDemo"`) {
		w.WriteHeader(401)
		return false
	}
	w.Header().Set("X-Subject-Token", "iamtoken1")
	w.WriteHeader(201)
	w.Write([]byte(`{}`))
	return false
}

// checks are what each platform's mock checks before it answers.
var checks = map[string]func(http.ResponseWriter, *http.Request) bool{
	"telecom": telecomCheck, "telecom-5gcmp": cmpCheck, "unicom": unicomCheck, "onelink-aiot": aiotCheck, "alibaba": alibabaCheck, "huawei-gsl": gslCheck,
	"jasper":   header("Authorization", "Basic Y3d1c2VyOjAwMDAwMDAwLTExMTEtNDIyMi04MzMzLTQ0NDQ0NDQ0NDQ0NA=="),
	"hologram": header("Authorization", "Basic YXBpa2V5OmN3RGVtb0hvbG9ncmFtS2V5"), "1nce": header("Authorization",
		"Bearer eyJjdyI6ImRlbW8ifQ"),
	"emnify": header("Authorization", "Bearer eyJjdyI6ImRlbW8ifQ"), "soracom": header("X-Soracom-Token", "cwtoken"),
}

// Each file of testdata/answers is a story: an account, a card, what the platform answers
// to which call, and what the adapter says of the card.
func TestAdaptersReadTheDocumentedAnswers(t *testing.T) {
	names, err := filepath.Glob("testdata/answers/*.txtar")
	if err != nil || len(names) < 26 {
		t.Fatal(err, len(names))
	}
	for _, name := range names {
		story, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		a, card, srv, want := Account{}, Card{}, &scripted{}, ""
		for _, f := range story.Files {
			switch f.Name {
			case "account":
				_, err = toml.Decode(string(f.Data), &a)
			case "card":
				_, err = toml.Decode(string(f.Data), &card)
			case "want":
				want = strings.TrimSpace(string(f.Data))
			default:
				srv.parts = append(srv.parts, [2]string{strings.TrimPrefix(f.Name, "*"), strings.TrimSuffix(string(f.Data), "\n")})
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", name, f.Name, err)
			}
		}
		srv.check = checks[a.Platform]
		t.Run(strings.TrimSpace(string(story.Comment)), func(t *testing.T) {
			play(t, func(t *testing.T) {
				s, err := open(t, a, srv).Card(context.Background(), card)
				if err != nil {
					t.Fatalf("%s: %v; asked %v", name, err, srv.asked)
				}
				if got := told(s); got != want {
					t.Errorf("%s: says %s\nwant %s", name, got, want)
				}
				if s.Stopped() && s.Raw == "" {
					t.Error("the platform's own words are missing")
				}
			})
		})
	}
}

// Every platform's own way to say no becomes the kind that asks for the right thing.
func TestAdaptersKnowTheirErrors(t *testing.T) {
	telecom := Account{Platform: "telecom", Host: "https://ct.example", User: "cwdemo01", Password: "Str0ngPass", Key: "K7pQ2mX9c"}
	jasper := Account{Platform: "jasper", Host: "https://jasper.example", User: "cwuser", Key: "key"}
	unicom := Account{Platform: "unicom", Host: "https://cu.example", User: "app", Key: "secret"}
	hologram := Account{Platform: "hologram", Key: "k"}
	alibaba := Account{Platform: "alibaba", User: "testid", Key: "another"}
	form := Account{Platform: "http", Host: "https://form.example/card", Key: "k"}
	for _, c := range []struct {
		name   string
		acc    Account
		answer string
		kind   Kind
	}{
		{"Telecom: sign", telecom, "-3：sign参数值错误", Refused},
		{"Telecom: too frequent", telecom, "101004：访问过于频繁", Rate},
		{"Telecom: unknown card", telecom, "-4：卡号8986110000000000001不存在", NoCard},
		{"Telecom: busy", telecom, `"-7：卡忙"`, Busy},
		{"Telecom: a code of tomorrow", telecom, "-99：未知", Other},
		{"Telecom: HTML", telecom, "<html><head></head><body>login</body></html>", Malformed},
		{"Jasper: rate", jasper, `HTTP 400` + "\n" + `{"errorMessage":"Rate limit exceeded","errorCode":"40000029"}`, Rate},
		{"Jasper: key ended", jasper, `HTTP 401` + "\n" + `{}`, Refused},
		{"Jasper: unknown", jasper, `HTTP 404` + "\n" + `{"errorMessage":"not found","errorCode":"20000001"}`, NoCard},
		{"Unicom: the gateway", unicom, `{"status":"1004","message":"token error"}`, Other},
		{"Unicom: nothing in it", unicom, `{"status":"0000","data":{"resultCode":"1074","resultDesc":"无数据"}}`, NoCard},
		{"Hologram: rate, HTTP 200", hologram, `{"success":false,"error":"API rate limit exceeded"}`, Rate},
		{"Hologram: another card", hologram, `{"success":true,"data":[{"sim":"89462000000000000099","state":"LIVE"}]}`, NoCard},
		{"Alibaba: signature, HTTP 400", alibaba, `HTTP 400` + "\n" + `{"Code":"SignatureDoesNotMatch","Success":false,"Message":"..."}`,
			Refused},
		{"Alibaba: throttled", alibaba, `{"Code":"Throttling.User","Success":false}`, Rate},
		{"the common form: another card", form, `{"iccid":"89860400000000000023","state":"active"}`, Malformed},
		{"anybody: 429", form, "HTTP 429\nslow down", Rate},
		{"anybody: 503", form, "HTTP 503\n<html>", Away},
		{"anybody: half a body", form, `{"iccid":"89860`, Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T) {
				s, err := open(t, c.acc, &scripted{parts: [][2]string{{"", c.answer}}}).Card(context.Background(),
					Card{ICCID: "8986110000000000001"})
				if KindOf(err) != c.kind {
					t.Fatalf("%v (%s), want %s", err, KindOf(err), c.kind)
				}
				if strings.Contains(err.Error(), "8986110000000000001") || strings.Contains(err.Error(), "Str0ngPass") ||
					strings.Contains(err.Error(), "https") {
					t.Errorf("the error tells too much: %v", err)
				}
				if s.State == "active" || s.State == "suspended" {
					t.Errorf("says %s after no answer", told(s))
				}
			})
		})
	}
}

// A signed call that is refused while the platform's Date is ten minutes off is laid to
// our clock.
func TestAWrongClockIsNamed(t *testing.T) {
	play(t, func(t *testing.T) {
		a := open(t, Account{Platform: "alibaba", User: "testid", Key: "testsecret"},
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
				w.WriteHeader(400)
				w.Write([]byte(`{"Code":"InvalidTimeStamp.Expired","Success":false}`))
			}))
		_, err := a.Card(context.Background(), Card{ICCID: mobile})
		if KindOf(err) != Skewed || !strings.Contains(err.Error(), "clock of this machine is wrong") {
			t.Error(err)
		}
	})
}
