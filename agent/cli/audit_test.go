package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// composed is an audit made for this test; it ends without SE.
const composed = "DXS*CWT0000042*VA*V0/6*1\r\nST*001*0001\r\nID4*2*1978*EUR\r\nVA1*2350*12*850*4\r\nCA2*1350*7*450*2\r\n" +
	"DA2*1000*5*400*2\r\nPA1*11*150*CRISPS*20*18***6*4\r\nPA2*5*750*2*300\r\nEA2*EJB_11*1*2**1\r\nDXE*1*1\r\n"

func runAudit(t *testing.T, stdin string, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(append([]string{"audit"}, args...), Env{Stdin: strings.NewReader(stdin), Stdout: &o, Stderr: &e})
	return o.String(), e.String(), code
}

// Two files and standard input: one JSON object each, on a line of its own.
func TestAuditAsJSON(t *testing.T) {
	dir := t.TempDir()
	one := filepath.Join(dir, "one.dex")
	if err := os.WriteFile(one, []byte(composed), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := runAudit(t, composed, "--json", one, "-")
	if code != exitOK || errs != "" {
		t.Fatalf("exit %d, %s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines for two files:\n%s", len(lines), out)
	}
	for i, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if want := []string{one, "-"}[i]; got["file"] != want {
			t.Errorf("file %v, want %s", got["file"], want)
		}
		sales, _ := got["sales"].(map[string]any)
		for key, want := range map[string]float64{"value": 2350, "count": 12, "value_reset": 850, "count_reset": 4} {
			if sales[key] != want {
				t.Errorf("sales.%s is %v, want %v", key, sales[key], want)
			}
		}
		for _, key := range []string{"identity", "selections", "cash", "cashless", "events", "g85", "findings"} {
			if got[key] == nil {
				t.Errorf("%s is missing", key)
			}
		}
		if got["g85"] != "missing" {
			t.Errorf("g85 is %v", got["g85"])
		}
	}
}

// A broken file is named with its line; the good one beside it is still printed.
func TestAuditNamesTheBrokenLine(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for name, text := range map[string]string{good: composed, bad: strings.Replace(composed, "VA1*2350", "VA1*23:0", 1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, errs, code := runAudit(t, "", "--json", bad, good, filepath.Join(dir, "none"))
	if code != exitFail {
		t.Errorf("exit %d, want 1", code)
	}
	if !strings.Contains(errs, bad+":4: VA101 is no number") {
		t.Errorf("the line is not named: %s", errs)
	}
	if !strings.Contains(errs, "none") {
		t.Errorf("the file that is not there is not named: %s", errs)
	}
	if strings.Count(out, "\n") != 2 || !strings.Contains(out, `"value":2350`) {
		t.Errorf("printed:\n%s", out)
	}
}

// The page for people, in both languages.
func TestAuditForPeople(t *testing.T) {
	for lang, wants := range map[string][]string{
		"en": {"12 vends, 23.50 EUR", "11 CRISPS", "5 vends, 7.50 EUR, 6 left", "EJB_11 motor jam", "g85_missing"},
		"zh": {"12 笔，23.50 EUR", "11 CRISPS", "剩 6", "EJB_11 货道电机卡住"},
	} {
		out, errs, code := runAudit(t, composed, "--lang", lang, "-")
		if code != exitOK {
			t.Errorf("%s: exit %d: %s", lang, code, errs)
		}
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", lang, want, out)
			}
		}
	}
}
