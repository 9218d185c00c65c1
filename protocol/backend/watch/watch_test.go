package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/platform"
	"cellwarden/protocol/backend/platform/platformtest"
	"cellwarden/protocol/backend/store"
)

// stand is a store with machines, a mock of OneLink and a watch over both.
type stand struct {
	*testing.T
	s    *store.Store
	mock *platformtest.OneLink
	mu   sync.Mutex
	sent map[string][]protocol.Command
}

const card = "89860400000000000015"

func newStand(t *testing.T) *stand {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/cw.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	x := &stand{T: t, s: s, mock: platformtest.NewOneLink("100123", "cwDemoPass"), sent: map[string][]protocol.Command{}}
	x.mock.Set(card, platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "00", StopReason: "0", Used: "1024.00",
		Plans: [][2]string{{"30720.00", "29696.00"}}})
	return x
}

func (x *stand) run() {
	x.Helper()
	w, err := New(x.s, Options{Tenant: "cw", Every: 10 * time.Millisecond, SilentFor: time.Millisecond, Again: 20 * time.Millisecond,
		Transport: platformtest.Direct(x.mock),
		Accounts: []Account{{Account: platform.Account{Name: "mobile", Platform: "onelink", Host: "https://onelink.example",
			User: "100123", Password: "cwDemoPass", Calls: 1000, Per: "1s"}}},
		Send: func(_ context.Context, device string, c protocol.Command) error {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.sent[device] = append(x.sent[device], c)
			return nil
		}})
	if err != nil {
		x.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { w.Run(ctx) })
	x.Cleanup(func() { cancel(); done.Wait() })
}

func (x *stand) exec(q string, args ...any) {
	x.Helper()
	if err := x.s.Tx(x.Context(), func(tx *store.Tx) error { _, err := tx.Exec(x.Context(), q, args...); return err }); err != nil {
		x.Fatal(err)
	}
}

func (x *stand) one(q string, args ...any) (text string) {
	x.Helper()
	if err := x.s.QueryRow(x.Context(), q, args...).Scan(&text); err != nil && !strings.Contains(err.Error(), "no rows") {
		x.Fatal(err)
	}
	return text
}

func (x *stand) until(what string, ok func() bool) {
	x.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			x.Fatalf("not within 30 s: %s; alerts %s; card %s; said %s", what,
				x.one("SELECT group_concat(class || ' ' || verdict || ' ' || coalesce(ended_by, '?'), ', ') FROM alert"),
				x.one("SELECT state || ' ' || reason FROM sim"), x.one("SELECT said || ' ' || p FROM silence"))
		}
	}
}

func (x *stand) add(id int, iccid string) {
	x.exec("INSERT INTO device (id, tenant, dev, carrier, iccid, created) VALUES (?, 'cw', ?, '46000', ?, 1)", id, fmt.Sprintf("vm-%d",
		id), iccid)
	x.exec("INSERT INTO device_now (device, heard, up, up_at, boot, used, quota, last) VALUES (?, ?, TRUE, ?, 'b1', 10, 100, ?)", id,
		time.Now().UnixMilli(), time.Now().UnixMilli(),
		`{"v":1,"at":{"wall":"2026-11-22T04:21:07.250Z","ok":true,"boot":"b1","mono":1},"class":"healthy","verdict":"healthy","used_bytes":10,"quota_bytes":100,"on_exhaust":"stop","rsrp_dbm":-90}`)
}

func (x *stand) status(id int, up bool, boot string) {
	x.exec("UPDATE device_now SET up = ?, up_at = ?, boot = ? WHERE device = ?", up, time.Now().UnixMilli()+1, boot, id)
}

// A machine falls silent; the platform is asked, says arrears, and it is an alert with the
// platform's word; the machine is told, for when it wakes. The bill is paid: the machine
// is told again. It returns, and the truth is kept.
func TestASilentMachineInArrears(t *testing.T) {
	x := newStand(t)
	x.add(1, card)
	x.run()
	x.until("the sweep asking for the card", func() bool { return x.one("SELECT state FROM sim") == "active" })
	x.mock.Set(card, platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "02", StopReason: "00002000000", Used: " "})
	x.status(1, false, "b1")
	x.until("the alert", func() bool {
		return x.one("SELECT class || ' ' || verdict || ' ' || who FROM alert WHERE source = 'silence' AND closed IS NULL") == "arrears confirmed owner"
	})
	if said := x.one("SELECT said || ' ' || decide FROM silence"); said != "arrears " {
		t.Errorf("said %q", said)
	}
	word := func(n int) string {
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(x.sent["vm-1"]) <= n {
			return ""
		}
		c := x.sent["vm-1"][n]
		var s protocol.SIMStatus
		if err := json.Unmarshal(c.Args, &s); err != nil {
			t.Fatal(err)
		}
		return c.Do + " " + s.State + " " + s.Reason + " " + s.CarrierRaw
	}
	if got := word(0); got != "sim_status suspended arrears cardStatus 02; stopReason 00002000000" {
		t.Errorf("the machine is told %q", got)
	}
	x.mock.Set(card, platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "00", StopReason: "0", Used: "1024.00"})
	x.until("the machine being told that the bill is paid", func() bool {
		for n := 1; word(n) != ""; n++ { // a busy machine may be told of the stop twice
			if strings.HasPrefix(word(n), "sim_status active none") {
				return true
			}
		}
		return false
	})
	x.status(1, true, "b1")
	x.until("the truth", func() bool {
		return x.one("SELECT truth || ' ' || truth_by FROM silence WHERE closed IS NOT NULL") == "arrears platform"
	})
	if n := x.one("SELECT count(*) FROM alert WHERE closed IS NULL"); n != "0" {
		t.Errorf("%s alerts stand", n)
	}
	if h := x.one("SELECT group_concat(state || ' ' || reason, ', ') FROM (SELECT * FROM sim_status ORDER BY at)"); h != "active none, suspended arrears, active none" {
		t.Errorf("history: %s", h)
	}
}

// It comes back with another boot id: the power was gone.
func TestAMachineWithoutPower(t *testing.T) {
	x := newStand(t)
	x.add(1, "")
	x.run()
	x.status(1, false, "b1")
	x.until("the alert", func() bool { return x.one("SELECT count(*) FROM alert WHERE source = 'silence'") == "1" })
	if v := x.one("SELECT class FROM alert WHERE source = 'silence'"); v != "ambiguous" {
		t.Errorf("without any word it is called %s", v)
	}
	x.status(1, true, "b2")
	x.until("the truth", func() bool {
		return x.one("SELECT truth || ' ' || truth_by FROM silence WHERE closed IS NOT NULL") == "power boot"
	})
}

// A machine that says itself that its line is stopped makes its card urgent, though it is
// not silent: the platform knows the reason.
func TestItsOwnAlertMakesACardUrgent(t *testing.T) {
	x := newStand(t)
	x.add(1, card)
	x.run()
	x.until("the sweep asking for the card", func() bool { return x.one("SELECT state FROM sim") == "active" })
	x.mock.Set(card, platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "02", StopReason: "20000000000"})
	x.exec(`INSERT INTO alert (tenant, device, source, key, incident, class, verdict, who, act, resumes, unstable, ep, first_seq, last_seq, clear_seq, opened, changed, ended_by, next)
		VALUES ('cw', 1, 'device', 'k', '', 'suspended_unspecified', 'likely', 'owner', '', '', FALSE, '', 1, 1, 0, 1, 1, '', '')`)
	x.until("the machine being told", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return len(x.sent["vm-1"]) > 0 && strings.Contains(string(x.sent["vm-1"][0].Args), `"reason":"expiry"`)
	})
}
