package platform

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/protocol/backend/platform/platformtest"
)

// noon is when the stories play: 22 November 2026, 10:30 in Beijing.
var noon = time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)

// play runs a story on a clock of its own, at noon.
func play(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(noon))
		f(t)
	})
}

func open(t *testing.T, a Account, h http.Handler) Adapter {
	t.Helper()
	if a.Name == "" {
		a.Name = "demo"
	}
	ad, err := Open(a, platformtest.Direct(h))
	if err != nil {
		t.Fatal(err)
	}
	return ad
}

// told is what a test reads of a Status: one line.
func told(s Status) string {
	var b strings.Builder
	b.WriteString(s.State + "/" + s.Reason)
	for _, r := range s.Also {
		b.WriteString("+" + r)
	}
	if s.Derived {
		b.WriteString(" derived")
	}
	num := func(name string, v *uint64) {
		if v != nil {
			raw, _ := json.Marshal(*v)
			b.WriteString(" " + name + "=" + string(raw))
		}
	}
	num("used", s.Used)
	num("plan", s.Plan)
	num("poolused", s.PoolUsed)
	num("pooltotal", s.PoolTotal)
	if s.Pool != "" {
		b.WriteString(" pool=" + s.Pool)
	}
	if s.Session != nil {
		b.WriteString(map[bool]string{true: " online", false: " offline"}[*s.Session])
	}
	if s.Separated != nil && *s.Separated {
		b.WriteString(" separated")
	}
	if !s.UsedAsOf.IsZero() {
		b.WriteString(" asof=" + s.UsedAsOf.Format("01-02T15:04Z07"))
	}
	if !s.ExpiresAt.IsZero() {
		b.WriteString(" expires=" + s.ExpiresAt.Format("2006-01-02"))
	}
	return b.String()
}

func ask(t *testing.T, a Adapter, iccid string) Status {
	t.Helper()
	s, err := a.Card(context.Background(), Card{ICCID: iccid})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scripted answers calls by what their URL holds: the first that fits.
type scripted struct {
	check func(w http.ResponseWriter, r *http.Request) bool // false: it has answered
	parts [][2]string                                       // what the URL or the body holds, the answer
	asked []string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.URL.Path)
	if s.check != nil && !s.check(w, r) {
		return
	}
	for _, p := range s.parts {
		if !strings.Contains(r.URL.String(), p[0]) {
			continue
		}
		if body, ok := strings.CutPrefix(p[1], "HTTP "); ok {
			var code string
			code, p[1], _ = strings.Cut(body, "\n")
			n, _ := strconv.Atoi(code)
			w.WriteHeader(n)
		}
		w.Write([]byte(p[1]))
		return
	}
	w.WriteHeader(http.StatusNotFound)
}
