package cli

import (
	"context"
	"io"
	"strings"
	"testing"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
)

// TestPriorsShownAndReset goes over the real socket: what was learned is shown
// with the base beside it, and forgotten when told so.
func TestPriorsShownAndReset(t *testing.T) {
	d := &daemon{learned: localapi.Experience{Home: "46000", Faults: 3, Counts: map[diag.Code]int{diag.OverQuota: 3}, Whitelist: true,
		Priors: []localapi.Prior{{Class: diag.OverQuota, Base: 7, Now: 8.4}, {Class: diag.Arrears, Base: 6, Now: 5.9}}}}
	code, out, errs := call(t, d, Env{Getenv: locale()}, "priors", "show", "--lang", "zh")
	if code != exitOK || !strings.Contains(out, "运营商 46000 有 3 次故障") || !strings.Contains(out, " 7.00 % ->  8.40 %  流量用尽停网  (3)") ||
		!strings.Contains(out, "定向卡") {
		t.Errorf("show: %d %q %q", code, out, errs)
	}
	if code, out, _ := call(t, d, Env{Getenv: locale()}, "priors", "--json"); code != exitOK || !strings.Contains(out, `"now": 8.4`) && !strings.Contains(out, `"now":8.4`) {
		t.Errorf("json: %d %q", code, out)
	}
	if code, out, errs := call(t, d, Env{Getenv: locale()}, "priors", "reset"); code != exitOK || !strings.Contains(out, "built-in") {
		t.Errorf("reset: %d %q %q", code, out, errs)
	}
	if _, out, _ := call(t, d, Env{Getenv: locale()}, "priors"); !strings.Contains(out, "nothing learned yet") {
		t.Errorf("after the reset: %q", out)
	}
	if code, _, errs := call(t, d, Env{Getenv: locale()}, "priors", "drop"); code != exitFail || !strings.Contains(errs, "show or reset") {
		t.Errorf("an unknown word: %d %q", code, errs)
	}
}

func TestBundleAsScenario(t *testing.T) {
	d := &daemon{record: "[{}]"}
	if code, out, errs := call(t, d, Env{Getenv: locale()}, "bundle", "--scenario"); code != exitOK || out != "-- modem --\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, out, _ := call(t, d, Env{Getenv: locale()}, "bundle"); code != exitOK || out != "[{}]" {
		t.Errorf("%d %q", code, out)
	}
}

func (d *daemon) Experience(context.Context) (localapi.Experience, error) { return d.learned, d.err }

func (d *daemon) Forget(context.Context) error {
	d.learned = localapi.Experience{}
	return d.err
}

func (d *daemon) RecordScenario(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "-- modem --\n")
	return err
}
