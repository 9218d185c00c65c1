package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/fixture"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// beijing is fixed, so that goldens do not depend on the zone files.
var beijing = time.FixedZone("", 8*3600)

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./agent/cli -update writes it; read the diff)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n--- got\n%s--- want\n%s", path, got, want)
	}
}

// daemon is a backend on a real socket.
type daemon struct {
	status  localapi.Status
	events  []localapi.Event
	err     error
	steps   []localapi.Progress
	usage   localapi.Usage
	hours   []localapi.UsageRow
	history localapi.History
	record  string
	said    localapi.Confirmation
}

func (d *daemon) Status(context.Context) (localapi.Status, error) { return d.status, d.err }
func (d *daemon) PutEvent(_ context.Context, e localapi.Event, durable bool) (localapi.Receipt, error) {
	if d.err != nil {
		return localapi.Receipt{}, d.err
	}
	d.events = append(d.events, e)
	return localapi.Receipt{ID: "1a2b3c4d-9", Seq: 9, Durable: durable}, nil
}
func (d *daemon) Diagnose(_ context.Context, progress func(localapi.Progress)) (diag.Diagnosis, error) {
	for _, p := range d.steps {
		progress(p)
	}
	return d.status.Diagnosis, d.err
}
func (d *daemon) Usage(context.Context) (localapi.Usage, error) { return d.usage, d.err }
func (d *daemon) History(_ context.Context, by string, n int) (localapi.History, error) {
	h := d.history
	if by == "hour" && d.hours != nil {
		h.Rows = d.hours
	}
	h.By, h.Rows = by, h.Rows[max(0, len(h.Rows)-n):]
	return h, d.err
}
func (d *daemon) Guard(context.Context) (localapi.Guard, error) { return localapi.Guard{}, d.err }
func (d *daemon) Record(_ context.Context, w io.Writer) error {
	if _, err := io.WriteString(w, d.record); err != nil {
		return err
	}
	return d.err
}
func (d *daemon) Confirm(_ context.Context, c localapi.Confirmation) error {
	d.said = c
	return d.err
}

// call runs one command line against d (nil: no daemon runs).
func call(t *testing.T, d *daemon, env Env, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	env.Socket = filepath.Join(t.TempDir(), "c.sock")
	if d != nil {
		l, err := localapi.Listen(env.Socket, -1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- localapi.Serve(ctx, l, localapi.Handler(d)) }()
		defer func() {
			cancel()
			<-done
		}()
	}
	var out, errs bytes.Buffer
	env.Stdout, env.Stderr, env.Location = &out, &errs, beijing
	if env.Version == "" {
		env.Version = "0.1.0"
	}
	code = Main(args, env)
	return code, out.String(), errs.String()
}

func locale(values ...string) func(string) string {
	return func(k string) string {
		for i := 0; i+1 < len(values); i += 2 {
			if values[i] == k {
				return values[i+1]
			}
		}
		return ""
	}
}

func TestStatusText(t *testing.T) {
	for name, s := range fixture.Statuses() {
		for _, lang := range []string{"zh", "en"} {
			t.Run(name+" "+lang, func(t *testing.T) {
				want := exitFault
				switch name {
				case "healthy":
					want = exitOK
				case "unknown":
					want = exitFail
				}
				env := Env{Getenv: locale("LANG", "en_US.UTF-8")}
				code, out, errs := call(t, &daemon{status: s}, env, "status", "--lang", lang)
				if code != want || errs != "" {
					t.Errorf("exit %d, want %d; stderr %q", code, want, errs)
				}
				lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
				if len(lines) > 24 {
					t.Errorf("%d rows, at most 24", len(lines))
				}
				checkWidth(t, lines)
				if !strings.Contains(lines[0], view.Build(text.Lang(lang), beijing, s).Title) {
					t.Errorf("the first line is not the verdict: %q", lines[0])
				}
				golden(t, "status_"+name+"."+lang+".txt", out)

				_, out, _ = call(t, &daemon{status: s}, env, "status", "--all", "--lang", lang)
				checkWidth(t, strings.Split(out, "\n"))
				for _, step := range text.Class(text.Lang(lang), s.Diagnosis.Class, view.Variants(s)...).Steps {
					if head, _, _ := strings.Cut(step, " "); !strings.Contains(out, clipTo(head, 12)) {
						t.Errorf("--all lacks the step %q", step)
					}
				}
			})
		}
	}
	s := fixture.Statuses()["over_quota"]
	_, out, _ := call(t, &daemon{status: s}, Env{}, "status", "--all", "--lang", "zh")
	golden(t, "status_all.zh.txt", out)
}

func checkWidth(t *testing.T, lines []string) {
	t.Helper()
	for _, l := range lines {
		if width(l) > columns {
			t.Errorf("%d columns: %q", width(l), l)
		}
	}
}

func TestStatusOnPoorTerminals(t *testing.T) {
	d := &daemon{status: fixture.Statuses()["sim_absent"]}
	for _, tt := range []struct {
		name       string
		env        Env
		lang       string
		ascii, esc bool
	}{
		{"serial console without a locale", Env{}, "en", true, false},
		{"TERM=dumb", Env{TTY: true, Getenv: locale("TERM", "dumb", "LANG", "en_US.UTF-8")}, "en", true, false},
		{"UTF-8 terminal", Env{TTY: true, Getenv: locale("LANG", "en_US.UTF-8", "TERM", "xterm")}, "en", false, true},
		{"NO_COLOR", Env{TTY: true, Getenv: locale("LANG", "en_US.UTF-8", "NO_COLOR", "1")}, "en", false, false},
		{"pipe", Env{Getenv: locale("LC_ALL", "en_US.utf8")}, "en", false, false},
		{"Chinese needs UTF-8 anyway", Env{}, "zh", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, out, _ := call(t, d, tt.env, "status", "--lang", tt.lang)
			if got := !strings.ContainsFunc(out, func(r rune) bool { return r > 0x7e }); got != tt.ascii {
				t.Errorf("only ASCII: %v, want %v:\n%s", got, tt.ascii, out)
			}
			if got := strings.Contains(out, "\x1b["); got != tt.esc {
				t.Errorf("colour: %v, want %v", got, tt.esc)
			}
		})
	}
}

func TestStatusJSONIsTheStatus(t *testing.T) {
	s := fixture.Statuses()["over_quota"]
	code, out, _ := call(t, &daemon{status: s}, Env{}, "status", "--json")
	var got localapi.Status
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFault {
		t.Fatalf("exit %d, %v", code, err)
	}
	if got.Diagnosis.Class != diag.OverQuota || got.Usage.QuotaBytes != s.Usage.QuotaBytes || got.Diagnosis.Act.ResumesAt != "2026-12-01T00:00:00+08:00" {
		t.Errorf("got %+v", got)
	}
}

func TestDaemonNotRunning(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"diagnose"}, {"usage"}, {"bundle"}, {"confirm", "arrears"}} {
		code, out, errs := call(t, nil, Env{Getenv: locale("LANG", "zh_CN.UTF-8")}, args...)
		if code != exitFail || out != "" || !strings.Contains(errs, "is not running") || !strings.Contains(errs, "cellwarden diagnose --direct") || !strings.Contains(errs, "服务没有运行") {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, code, out, errs)
		}
	}
}

func TestDiagnoseShowsEachLayerAsItComes(t *testing.T) {
	s := fixture.Statuses()["sim_absent"]
	d := &daemon{status: s, steps: []localapi.Progress{
		{Layer: diag.LayerPort, State: localapi.Checking, Doing: "AT"},
		{Layer: diag.LayerPort, State: diag.GatePassed, Doing: "AT"},
		{Layer: diag.LayerModem, State: diag.GateUnknown},
		{Layer: diag.LayerSIM, State: localapi.Checking, Doing: "AT+CPIN?"},
		{Layer: diag.LayerSIM, State: diag.GateFailed, Fact: s.Diagnosis.Gates[2].Fact},
		{Layer: diag.LayerRadio, State: diag.GateMasked},
	}}
	code, out, errs := call(t, d, Env{}, "diagnose", "--lang", "zh")
	if code != exitFault || errs != "" {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
	if strings.Contains(out, "\r") {
		t.Error("a carriage return in a pipe")
	}
	golden(t, "diagnose.zh.txt", out)
	_, out, _ = call(t, d, Env{TTY: true, Getenv: locale("LANG", "zh_CN.UTF-8")}, "diagnose")
	if !strings.Contains(out, "\r\x1b[K正在检查：SIM 卡 AT+CPIN?") {
		t.Errorf("a terminal does not see what is being asked: %q", out)
	}
	code, out, _ = call(t, d, Env{}, "diagnose", "--json")
	var got diag.Diagnosis
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Class != diag.SIMAbsent || code != exitFault {
		t.Errorf("--json: exit %d, %v, %+v", code, err, got)
	}
}

func TestDiagnoseDirect(t *testing.T) {
	if code, _, errs := call(t, nil, Env{}, "diagnose", "--direct", "/dev/ttyUSB2"); code != exitFail || !strings.Contains(errs, "not in this build") {
		t.Errorf("without the hook: exit %d, %q", code, errs)
	}
	var port string
	env := Env{Hooks: Hooks{DiagnoseDirect: func(_ context.Context, p string, progress func(localapi.Progress)) (diag.Diagnosis, error) {
		port = p
		progress(localapi.Progress{Layer: diag.LayerPort, State: diag.GateFailed})
		return diag.Diagnosis{Class: diag.ModemFault, Verdict: diag.Confirmed}, nil
	}}}
	code, out, _ := call(t, nil, env, "diagnose", "--direct", "/dev/ttyUSB2", "--lang", "en")
	if code != exitFault || port != "/dev/ttyUSB2" || !strings.Contains(out, "x port") || !strings.Contains(out, "Modem defective or hung (confirmed)") {
		t.Errorf("exit %d, port %q:\n%s", code, port, out)
	}
	env.Hooks.DiagnoseDirect = func(context.Context, string, func(localapi.Progress)) (diag.Diagnosis, error) {
		return diag.Diagnosis{}, errors.New("/dev/ttyUSB2: held by pppd (pid 812)")
	}
	if code, _, errs := call(t, nil, env, "diagnose", "--direct", "/dev/ttyUSB2"); code != exitFail || !strings.Contains(errs, "pppd") {
		t.Errorf("failure: exit %d, %q", code, errs)
	}
}

func TestEventPut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(file, []byte(`{"slot": 4}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		d     *daemon
		args  []string
		stdin string
		code  int
		want  string // in stdout and stderr together
		data  string
	}{
		{name: "plain", d: &daemon{}, args: []string{"put", "sale"}, want: "on disk, survives a power cut, id 1a2b3c4d-9"},
		{name: "flags after the name", d: &daemon{}, args: []string{"put", "sale", "--data", `{"cents":350}`, "--level", "warn"}, want: "on disk", data: `{"cents":350}`},
		{name: "from a pipe", d: &daemon{}, args: []string{"put", "jam", "--data-file", "-"}, stdin: `[1, 2]`, want: "on disk", data: `[1,2]`},
		{name: "from a file", d: &daemon{}, args: []string{"put", "jam", "--data-file", file}, want: "on disk", data: `{"slot":4}`},
		{name: "at once", d: &daemon{}, args: []string{"put", "sale", "--no-wait"}, want: "not on disk yet"},
		{name: "JSON answer", d: &daemon{}, args: []string{"put", "sale", "--json"}, want: `"durable": true`},
		{name: "no such file", d: &daemon{}, args: []string{"put", "sale", "--data-file", file + "x"}, code: 1, want: "no such file"},
		{name: "text that is no JSON", d: &daemon{}, args: []string{"put", "sale", "--data", "hello"}, code: 1, want: "needs quotes"},
		{name: "bad level is the daemon's word", d: &daemon{}, args: []string{"put", "sale", "--level", "panic"}, code: 1, want: `level: "panic"`},
		{name: "full disk: try again", d: &daemon{err: &localapi.Unavailable{Reason: "no space left on device", RetryAfter: 90 * time.Second}}, args: []string{"put", "sale"}, code: 4, want: "Try again in 90 s"},
		{name: "no daemon: try again", args: []string{"put", "sale"}, code: 4, want: "not running"},
		{name: "no name", d: &daemon{}, args: []string{"put"}, code: 1, want: "an argument is missing"},
		{name: "other action", d: &daemon{}, args: []string{"get", "sale"}, code: 1, want: `unknown action "get"`},
		{name: "two sources of data", d: &daemon{}, args: []string{"put", "sale", "--data", "1", "--data-file", "-"}, code: 1, want: "exclude each other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := call(t, tt.d, Env{Stdin: strings.NewReader(tt.stdin)}, append([]string{"event"}, tt.args...)...)
			if code != tt.code || !strings.Contains(out+errs, tt.want) {
				t.Errorf("exit %d, want %d; %q not in %q, %q", code, tt.code, tt.want, out, errs)
			}
			if tt.data != "" && (len(tt.d.events) != 1 || string(tt.d.events[0].Data) != tt.data) {
				t.Errorf("the daemon got %+v", tt.d.events)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	rows := []localapi.UsageRow{
		{From: "2026-11-19", OwnBytes: 130_000, TotalBytes: 1_048_576},
		{From: "2026-11-20", OwnBytes: 431_000, TotalBytes: 8_388_608, RxBytes: 6_388_608, TxBytes: 2_000_000},
		{From: "2026-11-21", TotalBytes: 0},
	}
	d := &daemon{usage: *fixture.Statuses()["over_quota"].Usage, history: localapi.History{Rows: rows}, hours: []localapi.UsageRow{
		{From: "2026-11-20T13:00:00+08:00", TotalBytes: 900_000},
		{From: "2026-11-20T14:00:00+08:00", TotalBytes: 4_000_000},
		{From: "2026-11-20T15:00:00+08:00", TotalBytes: 0},
		{From: "2026-11-20T16:00:00+08:00", TotalBytes: 3_000_000},
		{From: "2026-11-20T17:00:00+08:00", TotalBytes: 40_000},
	}}
	d.usage.RawBytes, d.usage.ErrorPercent, d.usage.Reconciled = 30_000_000, 1.25, true
	d.usage.RxBytes, d.usage.TxBytes = 22_000_000, 8_000_000
	d.usage.CycleEndBytes, d.usage.PlusMinusBytes = 38_000_000, 2_000_000
	for _, lang := range []string{"zh", "en"} {
		code, out, errs := call(t, d, Env{}, "usage", "--lang", lang)
		if code != exitOK || errs != "" {
			t.Errorf("exit %d, %q", code, errs)
		}
		checkWidth(t, strings.Split(out, "\n"))
		golden(t, "usage."+lang+".txt", out)
	}
	d.usage.UndatedBytes = 900_000
	d.history.Rows = []localapi.UsageRow{
		{From: "2026-10-01", TotalBytes: 1_500_000_000, OwnBytes: 80_000_000, UsedBytes: 1_600_000_000, QuotaBytes: 1_050_000_000},
		{From: "2026-11-01", TotalBytes: 900_000_000, UsedBytes: 1_040_000_000, QuotaBytes: 1_050_000_000},
	}
	for _, lang := range []string{"zh", "en"} {
		_, out, _ := call(t, d, Env{}, "usage", "--by", "cycle", "--lang", lang)
		checkWidth(t, strings.Split(out, "\n"))
		golden(t, "usage_cycles."+lang+".txt", out)
	}
	d.history.Rows = rows
	_, out, _ := call(t, d, Env{}, "usage", "--csv", "-n", "2")
	if want := "from,total_bytes,own_bytes,used_bytes,quota_bytes,rx_bytes,tx_bytes\n2026-11-20,8388608,431000,0,0,6388608,2000000\n2026-11-21,0,0,0,0,0,0\n"; out != want {
		t.Errorf("--csv = %q, want %q", out, want)
	}
	_, out, _ = call(t, d, Env{}, "usage", "--json", "--by", "hour")
	var got struct {
		Usage   localapi.Usage
		History localapi.History
		Busiest []localapi.UsageRow `json:"busiest_hours"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.History.By != "hour" || len(got.History.Rows) != 5 || len(got.Busiest) != 3 || got.Busiest[0].TotalBytes != 4_000_000 || got.Usage.QuotaBytes != 31_457_280 {
		t.Errorf("--json: %v, %+v", err, got)
	}
	if code, _, errs := call(t, d, Env{}, "usage", "--by", "week"); code != exitFail || !strings.Contains(errs, "hour, day or cycle") {
		t.Errorf("--by week: exit %d, %q", code, errs)
	}
	d.err = localapi.ErrNoUsage
	if code, _, errs := call(t, d, Env{}, "usage"); code != exitFail || !strings.Contains(errs, "hint: no data interface is configured") {
		t.Errorf("nothing metered: exit %d, %q", code, errs)
	}
}

func TestBundleIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "record.txtar")
	d := &daemon{record: "-- modem --\n+CPIN? -> OK\n"}
	code, _, errs := call(t, d, Env{}, "bundle", "-o", file)
	if b, err := os.ReadFile(file); code != exitOK || err != nil || string(b) != d.record || !strings.Contains(errs, "25 B") {
		t.Errorf("exit %d, %v, %q, %q", code, err, b, errs)
	}
	if code, out, _ := call(t, d, Env{}, "bundle"); code != exitOK || out != d.record {
		t.Errorf("to standard output: exit %d, %q", code, out)
	}
	if code, out, errs := call(t, d, Env{TTY: true}, "bundle"); code != exitFail || out != "" || !strings.Contains(errs, "-o") {
		t.Errorf("to a terminal: exit %d, %q, %q", code, out, errs)
	}
	os.Remove(file)
	d.err = errors.New("ring unreadable")
	if code, _, _ := call(t, d, Env{}, "bundle", "-o", file); code != exitFail {
		t.Errorf("broken export: exit %d", code)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("a broken export left %v", left)
	}
}

func TestConfirm(t *testing.T) {
	d := &daemon{}
	code, out, _ := call(t, d, Env{}, "confirm", "sim_absent", "--note", "card lay beside the slot", "--lang", "zh")
	if code != exitOK || d.said.Class != diag.SIMAbsent || d.said.By != "technician" || !strings.Contains(out, "没有检测到 SIM 卡") {
		t.Errorf("exit %d, %+v, %q", code, d.said, out)
	}
}

func TestVerbsAndFlagsThatDoNotExist(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 1, "usage: cellwarden VERB"},
		{[]string{"help"}, 0, "usage: cellwarden VERB"},
		{[]string{"help", "bundle"}, 0, "  -o           "},
		{[]string{"help", "status"}, 0, "usage: cellwarden status [--all]"},
		{[]string{"status", "-h"}, 0, "usage: cellwarden status [--all]"},
		{[]string{"staus"}, 1, "did you mean: cellwarden status"},
		{[]string{"daignose"}, 1, "did you mean: cellwarden diagnose"},
		{[]string{"xyzzy"}, 1, `unknown verb "xyzzy"`},
		{[]string{"status", "--jsno"}, 1, "usage: cellwarden status [--all]"},
		{[]string{"status", "now"}, 1, `unexpected argument "now"`},
		{[]string{"status", "--lang", "fr"}, 1, `--lang "fr": zh or en`},
		{[]string{"run"}, 1, "run: not in this build"},
		{[]string{"version"}, 0, "cellwarden 0.1.0 linux/"},
		{[]string{"--version"}, 0, "cellwarden 0.1.0 linux/"},
		{[]string{"version", "--json"}, 0, `"version": "0.1.0"`},
	} {
		code, out, errs := call(t, nil, Env{}, tt.args...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) {
			t.Errorf("%q: exit %d, want %d; %q not in:\n%s%s", tt.args, code, tt.code, tt.want, out, errs)
		}
		if tt.code == 0 && errs != "" {
			t.Errorf("%q: success wrote to stderr: %q", tt.args, errs)
		}
	}
	if near := nearest("xyzzy", Hooks{}.verbs()); near != "" {
		t.Errorf("xyzzy is near %q", near)
	}
}

func TestHooksGetTheirArguments(t *testing.T) {
	var got string
	hook := func(name string) Func {
		return func(_ context.Context, args []string, env Env) int {
			got = fmt.Sprintf("%s %q", name, args)
			return exitFault
		}
	}
	h := Hooks{Run: hook("run"), Explain: hook("explain"), Profiles: hook("profiles"), Config: hook("config"),
		More: []Verb{{Name: "sell", Summary: "sweets", Do: hook("sell")}}}
	for _, name := range []string{"run", "explain", "profiles", "config", "sell"} {
		code, _, _ := call(t, nil, Env{Hooks: h}, name, "--flag", "x")
		if want := name + ` ["--flag" "x"]`; code != exitFault || got != want {
			t.Errorf("exit %d, got %s, want %s", code, got, want)
		}
	}
	if _, out, _ := call(t, nil, Env{Hooks: h}, "help"); !strings.Contains(out, "sell       sweets") {
		t.Errorf("help lacks the further verb:\n%s", out)
	}
}

func TestWidthAndWrap(t *testing.T) {
	for s, want := range map[string]int{"": 0, "SIM": 3, "SIM 卡": 6, "信号弱，数据": 12, "✓": 1, "8986…0017": 9, "e\u0301": 1, "\x1b[1;31m✗\x1b[0m session": 9} {
		if got := width(s); got != want {
			t.Errorf("width(%q) = %d, want %d", s, got, want)
		}
	}
	for _, tt := range []struct {
		s    string
		n    int
		want string
	}{
		{"断电，重新插拔 SIM 卡。", 10, "断电，重新|插拔 SIM|卡。"},
		{"信号正常。", 8, "信号正|常。"}, // a full stop never starts a line
		{"网关（自家）", 6, "网关|（自|家）"},
		{"take it out, wipe it", 12, "take it out,|wipe it"},
		{"abcdefghij", 4, "abcd|efgh|ij"},
		{"", 10, ""},
	} {
		if got := strings.Join(wrap(tt.s, tt.n), "|"); got != tt.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.s, tt.n, got, tt.want)
		}
	}
	if got := clip("信号太弱了", 6); got != "信号…" || width(got) > 6 {
		t.Errorf("clip = %q", got)
	}
	if pad("卡", 4) != "卡  " {
		t.Errorf("pad = %q", pad("卡", 4))
	}
}

// A technician's help is in the technician's language, every verb of it.
func TestHelpInChinese(t *testing.T) {
	_, out, _ := call(t, nil, Env{Getenv: func(k string) string { return map[string]string{"LANG": "zh_CN.UTF-8"}[k] }}, "help")
	for _, v := range (Hooks{}).verbs() {
		if !strings.Contains(out, text.T(text.ZH, "verb."+v.Name)) || text.T(text.EN, "verb."+v.Name) == "verb."+v.Name {
			t.Errorf("%s has no summary", v.Name)
		}
	}
	if strings.Contains(out, "list the modem") || !strings.Contains(out, "退出码") {
		t.Errorf("not Chinese:\n%s", out)
	}
}

// A serial console has no locale: there the device's language speaks.
func TestLanguageOfTheDevice(t *testing.T) {
	for _, tt := range []struct {
		flag, locale, device string
		want                 text.Lang
	}{
		{"", "", "zh", text.ZH}, {"", "C.UTF-8", "zh", text.ZH}, {"", "POSIX", "zh", text.ZH}, {"", "", "", text.EN},
		{"", "en_US.UTF-8", "zh", text.EN}, {"", "zh_CN.UTF-8", "en", text.ZH}, {"en", "", "zh", text.EN},
	} {
		env := Env{Getenv: func(string) string { return tt.locale }, Hooks: Hooks{Lang: func() string { return tt.device }}}
		if got := env.Lang(tt.flag); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// Who confirms a fault need not know the words by heart.
func TestConfirmNamesTheClasses(t *testing.T) {
	d := &daemon{}
	code, _, errs := call(t, d, Env{}, "confirm", "no_signal", "--lang", "zh")
	if code != 1 || d.said.Class != "" {
		t.Errorf("exit %d, told %+v", code, d.said)
	}
	for _, want := range []string{`no class "no_signal"`, "  over_quota              流量超套停机\n", "  sim_absent "} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not in:\n%s", want, errs)
		}
	}
}
