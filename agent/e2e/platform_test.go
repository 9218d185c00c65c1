package e2e

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/protocol"
	"cellwarden/protocol/backend/platform"
	"cellwarden/protocol/backend/platform/platformtest"
	"cellwarden/protocol/backend/receiver"
	"cellwarden/protocol/backend/store"
	"cellwarden/protocol/backend/watch"
)

const oneLinkCard, gslCard = "89860400000000000015", "89860600000000000013"

// gslMock is Huawei's platform with one card, cut off at its owner's own threshold.
func gslMock(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/auth/tokens") {
		w.Header().Set("X-Subject-Token", "demo")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("{}"))
		return
	}
	_, _ = w.Write([]byte(`{"iccid":"` + gslCard +
		`","sim_status":20,"operator_status":2,"exceed_cut_net_flag":true,"flow_used":20,"flow_left":10}`))
}

// platformStand is everything real between a SIM platform's HTTP interface and the modem:
// adapter, schedule, store, broker, agent.
type platformStand struct {
	*testing.T
	mock    *platformtest.OneLink
	working platformtest.OneLinkCard
	r       *receiver.Receiver
	modem   *simulator
	agent   *machine
}

func newPlatformStand(t *testing.T) *platformStand {
	t.Helper()
	b := newBroker(t, nil, "127.0.0.1", "")
	mock := platformtest.NewOneLink("100123", "cwDemoPass")
	mock.PerSecond = 5
	working := platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "00", StopReason: "00000000000", Used: "10240.00",
		Plans: [][2]string{{"30720.00", "20480.00"}}}
	mock.SetPool("P1", "1048576", "0")
	oneLink, gsl := httptest.NewServer(mock), httptest.NewServer(http.HandlerFunc(gslMock))
	t.Cleanup(oneLink.Close)
	t.Cleanup(gsl.Close)

	// What goes down is signed, as the agent's config wants it.
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(dev string, c protocol.Command) (protocol.Command, error) {
		return protocol.SignCommand(key, dev, c)
	}

	ctx, cancel := context.WithCancel(context.Background())
	var r *receiver.Receiver
	var all sync.WaitGroup
	cfg := receiver.Config{Database: "sqlite:" + t.TempDir() + "/cw.db", Broker: b.url(), Works: []func(context.Context,
		*store.Store){func(ctx context.Context, s *store.Store) {
		w, err := watch.New(s, watch.Options{Tenant: "cw", Every: 200 * time.Millisecond, Again: 2 * time.Second, Send: r.Send,
			Sign: sign, Accounts: []watch.Account{
				{Account: platform.Account{Name: "mobile", Platform: "onelink", Host: oneLink.URL, User: "100123", Password: "cwDemoPass"},
					Cards: []string{"898604"}},
				{Account: platform.Account{Name: "huawei", Platform: "huawei-gsl", Host: gsl.URL, User: "cw/demo", Password: "demo",
					Setting: map[string]string{"iam": gsl.URL}}, Cards: []string{"898606"}}}})
		if err != nil {
			t.Error(err)
			return
		}
		w.Run(ctx)
	}}}
	r, err = receiver.New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	all.Go(func() { _ = r.Run(ctx) }) // it ends with ctx
	t.Cleanup(func() { cancel(); all.Wait() })
	x := &platformStand{T: t, mock: mock, working: working, r: r}
	x.card(oneLinkCard)
	modem := newModem(t, "healthy-quectel")
	m := newMachine(t, nil, strings.Replace(plain(modem.port), "[modem]\n", "[modem]\npoll = \"1s\"\n",
		1)+fmt.Sprintf("[uplink]\nbrokers = [%q]\ncommand_keys = [%q]\n", b.url(), base64.StdEncoding.EncodeToString(pub))+testPace)
	m.start()
	m.connected()
	x.modem, x.agent = modem, m
	return x
}

// card says which card is in the machine.
func (x *platformStand) card(iccid string) {
	x.Helper()
	err := x.r.Store().Tx(x.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(x.Context(), `INSERT INTO device (tenant, dev, iccid, created) VALUES ('cw', ?, ?, 1)
			ON CONFLICT (tenant, dev) DO UPDATE SET iccid = excluded.iccid`, device, iccid)
		return err
	})
	if err != nil {
		x.Fatal(err)
	}
}

func (x *platformStand) deny(cause string) {
	x.modem.do("session closed")
	x.modem.do("reg denied cause=" + cause)
}

// stopped is the card as it is when these positions hold.
func (x *platformStand) stopped(reason string) {
	c := x.working
	c.Status, c.StopReason = "02", reason
	if reason == "02000000000" {
		c.Separated = "0"
	}
	x.mock.Set(oneLinkCard, c)
}

// says waits for a verdict, and judges the time from the first poll after now.
func (x *platformStand) says(what string, class diag.Code, verdict diag.Verdict, zh ...string) {
	x.Helper()
	var polled time.Time
	last := ""
	defer func() {
		if x.Failed() {
			x.Logf("%s: the agent says %s", what, last)
		}
	}()
	before, _, _ := x.mock.Seen()
	until(x, "a verdict on "+what, patient, func() bool {
		if n, _, _ := x.mock.Seen(); polled.IsZero() && n > before {
			polled = time.Now()
		}
		d := x.agent.status().Diagnosis
		last = fmt.Sprintf("%s %s %v", d.Class, d.Verdict, d.Candidates)
		return d.Class == class && (d.Verdict == verdict || d.Verdict == diag.Confirmed)
	})
	took := time.Duration(0)
	if !polled.IsZero() {
		took = time.Since(polled)
	}
	x.Logf("FIGURE platform: %s named %s after the poll: %s", what, seconds(took), last)
	promised(x, what+" named after the poll", took, 5*time.Second)
	out, _, _ := x.agent.run("status", "--lang", "zh")
	hasAll(x, what, out, zh...)
}

// The platform says that the bill is not paid: the agent names arrears, confirmed, in
// Chinese, within 5 s of the poll. It is paid: word goes down, the agent restarts the
// radio by itself, and the line is open.
func TestThePlatformsWordReachesTheMachine(t *testing.T) {
	t.Parallel()
	x := newPlatformStand(t)
	x.stopped("00002000000")
	x.deny("8")
	x.says("arrears", diag.Arrears, diag.Confirmed, "欠费")
	cycles := func() (n int) {
		if x.r.Store().QueryRow(t.Context(), "SELECT count(*) FROM event WHERE type = 'recovery' AND body LIKE '%radio_cycle%'").Scan(&n) != nil {
			return -1
		}
		return n
	}
	if n := cycles(); n != 0 {
		t.Errorf("%d radio cycles while the bill was not paid", n)
	}
	x.mock.Set(oneLinkCard, x.working)
	until(t, "the agent restarting the radio", patient, func() bool { return cycles() > 0 })
	x.modem.do("reg home")
	x.modem.do("session active addr=10.63.118.204")
	until(t, "the line being open again", patient, func() bool {
		return !slices.Contains(diag.StopGroup,
			x.agent.status().Diagnosis.Class)
	})
}

// The other reasons of the same platform, and the owner's own threshold of another.
func TestEveryReasonOfThePlatform(t *testing.T) {
	t.Parallel()
	x := newPlatformStand(t)
	x.stopped("20000000000")
	x.deny("8")
	x.says("expiry", diag.ExpiredOrCancelled, diag.Likely, "到期")
	x.stopped("00000000200")
	x.says("manual", diag.AdminSuspended, diag.Likely)
	c := x.working
	c.DataClosed, c.Pool, c.Used = true, "P1", "512.00"
	x.mock.Set(oneLinkCard, c)
	x.says("pool", diag.OverQuota, diag.Likely, "流量")
	x.stopped("00002000000")
	x.says("arrears", diag.Arrears, diag.Likely, "欠费")
	x.card(gslCard)
	x.says("threshold", diag.OverQuota, diag.Likely, "达量断网")
	// A module that is not the one that the card is bound to: networks refuse it with #6.
	x.stopped("02000000000")
	x.card(oneLinkCard)
	x.deny("6")
	x.says("IMEI", diag.IMEILock, diag.Likely)
}
