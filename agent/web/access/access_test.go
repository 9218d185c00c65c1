package access

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const actPIN, readPIN = "804512", "275190"

type stand struct {
	door *Door
	now  time.Time
	jar  []*http.Cookie
}

func newStand(t *testing.T) *stand {
	t.Helper()
	var pins Pins
	for role, pin := range map[Role]string{Reader: readPIN, Actor: actPIN} {
		if err := pins.Set(role, pin); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := ParsePins(pins.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{now: time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)}
	s.door = &Door{Names: []string{"vm17.shop.lan"}, Now: func() time.Time { return s.now }, Pins: func() (Pins, error) { return kept, nil }}
	return s
}

// ask is one request from a laptop on the LAN, unless header says "from: machine".
func (s *stand) ask(method, host, body string, header ...string) (*httptest.ResponseRecorder, *http.Request) {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.Host, r.RemoteAddr = host, "192.168.4.77:50000"
	local := net.Addr(&net.TCPAddr{IP: net.ParseIP("192.168.4.1"), Port: 8788})
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name == "from" {
			r.RemoteAddr = "127.0.0.1:50000"
			continue
		}
		r.Header.Set(name, value)
	}
	for _, c := range s.jar {
		r.AddCookie(c)
	}
	return httptest.NewRecorder(), r
}

func (s *stand) login(pin string) *httptest.ResponseRecorder {
	w, r := s.ask("POST", "192.168.4.1", pin)
	s.door.Login(w, r)
	if w.Code == 200 {
		s.jar = w.Result().Cookies()
	}
	return w
}

func (s *stand) may(method, host string, need Role, header ...string) int {
	w, r := s.ask(method, host, "", header...)
	if s.door.May(w, r, need) {
		return 200
	}
	return w.Code
}

func TestNamesThatAForeignPageCouldPointHereAreRefused(t *testing.T) {
	s := newStand(t)
	for host, want := range map[string]bool{
		"localhost:8788": true, "127.0.0.1": true, "[::1]:8788": true, "192.168.4.1:8788": true, "VM17.shop.lan": true,
		"vm17": false, "vm17.local": false, "192.168.4.2": false, "evil.example": false, "localhost.evil.example": false, "": false,
	} {
		if _, r := s.ask("GET", host, ""); s.door.Host(r) != want {
			t.Errorf("%q: %v, want %v", host, !want, want)
		}
	}
}

func TestStrangerOnTheNetworkNeedsAPin(t *testing.T) {
	s := newStand(t)
	if got := s.may("GET", "192.168.4.1", Reader); got != 401 {
		t.Errorf("a stranger reads: %d", got)
	}
	token := s.login(readPIN).Body.String()
	if got := s.may("GET", "192.168.4.1", Reader); got != 200 {
		t.Errorf("a reader reads: %d", got)
	}
	if got := s.may("POST", "192.168.4.1", Actor, tokenName+": "+token); got != 401 {
		t.Errorf("a reader acts: %d", got)
	}
	token = s.login(actPIN).Body.String()
	for name, tt := range map[string]struct {
		header []string
		want   int
	}{
		"with the token":      {[]string{tokenName + ": " + token}, 200},
		"without the token":   {nil, 403},
		"with another token":  {[]string{tokenName + ": " + token + "x"}, 403},
		"from a foreign page": {[]string{tokenName + ": " + token, "Origin: https://evil.example"}, 403},
		"from a foreign site": {[]string{tokenName + ": " + token, "Sec-Fetch-Site: cross-site"}, 403},
		"from our own page":   {[]string{tokenName + ": " + token, "Origin: http://192.168.4.1", "Sec-Fetch-Site: same-origin"}, 200},
	} {
		if got := s.may("POST", "192.168.4.1", Actor, tt.header...); got != tt.want {
			t.Errorf("an actor acts %s: %d, want %d", name, got, tt.want)
		}
	}
	s.now = s.now.Add(sessionLife)
	if got := s.may("GET", "192.168.4.1", Reader); got != 401 {
		t.Errorf("after twelve hours: %d", got)
	}
}

func TestGuesserIsLockedOutAndTheOwnerComesInAfterwards(t *testing.T) {
	s := newStand(t)
	for range triesFree {
		if got := s.login("000001").Code; got != 401 {
			t.Fatalf("a wrong PIN: %d", got)
		}
	}
	if got := s.login(actPIN).Code; got != 429 {
		t.Errorf("the right PIN during the lock: %d", got)
	}
	tries := 0
	for end := s.now.Add(24 * time.Hour); s.now.Before(end); s.now = s.now.Add(time.Minute) {
		if s.login("000002").Code == 401 {
			tries++
		}
	}
	if tries > 35 {
		t.Errorf("%d tries in a day: six digits would last %d years", tries, 1_000_000/tries/365)
	}
	s.now = s.now.Add(time.Hour)
	if got := s.login(actPIN).Code; got != 200 {
		t.Errorf("the right PIN after the lock: %d", got)
	}
}

func TestWhoStandsAtTheMachineMayAct(t *testing.T) {
	s := newStand(t)
	w, r := s.ask("GET", "localhost", "", "from: machine")
	token := s.door.Token(w, r)
	s.jar = w.Result().Cookies()
	if token == "" || s.may("POST", "localhost", Actor, "from: machine", tokenName+": "+token) != 200 {
		t.Error("a technician at the machine may not act")
	}
	if s.may("POST", "localhost", Actor, "from: machine") != 403 {
		t.Error("a foreign page in the machine's own browser may act")
	}
	if w, r := s.ask("GET", "192.168.4.1", ""); s.door.Token(w, r) == "" {
		return
	}
}

func TestPinThatIsNoneIsRefusedWithTheReason(t *testing.T) {
	var p Pins
	for pin, want := range map[string]string{
		"1234": "want 6", "111111": "tried first", "123456": "tried first", "987654": "tried first", strings.Repeat("a", 65): "want 6",
	} {
		if err := p.Set(Actor, pin); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", pin, err)
		}
	}
	if err := p.Set(Actor, actPIN); err != nil {
		t.Fatal(err)
	}
	if err := p.Set(Reader, actPIN); err == nil {
		t.Error("both roles have one PIN")
	}
	if strings.Contains(string(p.Bytes()), actPIN) {
		t.Error("the PIN is kept in clear")
	}
}

func FuzzPins(f *testing.F) {
	f.Add([]byte(`{"act":{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","hash":"AAAA","rounds":100000}}`))
	f.Add([]byte(`{"root":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePins(data)
		if err == nil && p.Has() {
			if _, err := ParsePins(p.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
