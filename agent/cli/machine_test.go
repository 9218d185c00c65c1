package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/fixture"
)

// machinist is a daemon that reads a machine.
type machinist struct {
	*daemon
	read   int
	filled []string
}

func (m *machinist) ReadMachine(context.Context) error { m.read++; return m.err }
func (m *machinist) Filled(_ context.Context, s []string) error {
	m.filled = append(m.filled, s...)
	return m.err
}

// vending is a healthy device whose machine has a jam and wants to be filled.
func vending() localapi.Status {
	s := fixture.Statuses()["healthy"]
	at := s.At
	s.Machine = &localapi.Machine{Name: "SNACK 36 CWT0000042", LastAudit: &at, Source: "dex", G85: "ok", Bus: true, TodayCount: 42, TodayValue: 8400, TodayFrom: "mdb",
		Usual: 61.3, LostPerHour: 1250, Decimals: 2, Currency: "EUR",
		Notices: []localapi.MachineNotice{{Kind: "column_jam", Selection: "11", Code: "EJB_11", How: "reported", Source: "dex", Detail: "motor jam", Since: at}},
		Stock: []localapi.MachineColumn{{Selection: "2", Name: "COLA", Level: 3, Capacity: 20, Fill: 17, Low: true}, {Selection: "11", Name: "CRISPS", Level: 20, Capacity: 20},
			{Selection: "12", Name: "TEA", Level: -1}}}
	return s
}

// What stands, what was sold against habit, what to bring, column by column; exit 3 as
// for any fault.
func TestMachineVerb(t *testing.T) {
	d := &machinist{daemon: &daemon{status: vending()}}
	for lang, wants := range map[string][]string{
		"en": {"column jam or failed delivery 11 (EJB_11 motor jam, reported by the machine", "42 vends, 84.00 EUR, usual by now 61, an hour away costs 12.50 EUR",
			"2 COLA +17", "level 3/20  +17", "level not known"},
		"zh": {"卡货或未出货 11（EJB_11 货道电机卡住，机器上报", "42 笔，84.00 EUR，往常此时 61 笔，停一小时损失 12.50 EUR", "2 COLA +17", "存量 3/20"},
	} {
		code, out, errs := callAny(t, d, "machine", "--lang", lang)
		if code != exitFault || errs != "" {
			t.Errorf("%s: exit %d: %s", lang, code, errs)
		}
		for _, w := range wants {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in\n%s", lang, w, out)
			}
		}
	}
	if code, out, _ := callAny(t, d, "machine", "--json"); code != exitFault || !strings.Contains(out, `"lost_per_hour": 1250`) {
		t.Errorf("exit %d:\n%s", code, out)
	}
	if code, _, errs := callAny(t, d, "machine", "read"); code != exitOK || d.read != 1 {
		t.Errorf("read: exit %d, %d times: %s", code, d.read, errs)
	}
	if code, _, errs := callAny(t, d, "machine", "filled", "2", "11"); code != exitOK || !slices.Equal(d.filled, []string{"2", "11"}) {
		t.Errorf("filled: exit %d, %v: %s", code, d.filled, errs)
	}
	if code, _, errs := callAny(t, d, "machine", "write"); code != exitFail || !strings.Contains(errs, "read or filled") {
		t.Errorf("exit %d: %s", code, errs)
	}
	d.err = &localapi.Invalid{Reason: "the machine was read less than 15m0s ago"}
	if code, _, errs := callAny(t, d, "machine", "read"); code != exitFail || !strings.Contains(errs, "15m0s ago") {
		t.Errorf("exit %d: %s", code, errs)
	}
	d.err = nil
	d.status.Machine = nil
	if code, _, errs := callAny(t, d, "machine"); code != exitFail || !strings.Contains(errs, "[machine]") {
		t.Errorf("without a machine: exit %d: %s", code, errs)
	}
}

// A backend that reads no machine says so, and the status of a device has its lines.
func TestMachineElsewhere(t *testing.T) {
	plain := &daemon{status: vending()}
	if code, _, _ := callAny(t, plain, "machine", "read"); code != exitFail {
		t.Errorf("exit %d of a backend without a machine", code)
	}
	_, out, _ := callAny(t, plain, "status", "--all", "--lang", "en")
	for _, w := range []string{"column jam or failed delivery 11", "sold today", "to fill"} {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
}

// callAny is call with any backend.
func callAny(t *testing.T, b localapi.Backend, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	env := Env{Socket: filepath.Join(t.TempDir(), "c.sock"), Location: beijing}
	l, err := localapi.Listen(env.Socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- localapi.Serve(ctx, l, localapi.Handler(b)) }()
	defer func() { cancel(); <-done }()
	var out, errs bytes.Buffer
	env.Stdout, env.Stderr = &out, &errs
	return Main(args, env), out.String(), errs.String()
}
