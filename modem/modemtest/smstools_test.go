package modemtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// The SMS daemon of smstools fetches from the simulator's terminal the messages
// that the scenario puts on the card, whole where they came in parts, and sends
// one of its own through it.
func TestSmstoolsReadsAndSends(t *testing.T) {
	smsd, err := exec.LookPath("smsd")
	if err != nil {
		t.Skip("SKIPPED: smsd is not installed, so smstools was not tried (apt-get install smstools)")
	}
	modem, err := StartPTY(t.Context(), filepath.Join(t.TempDir(), "modem"), NewPlayer(mmScenario(t), 1), NewClock(1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := modem.Close(); err != nil {
			t.Error(err)
		}
	}()
	long := strings.Repeat("尊敬的客户，您的套餐将于月底到期。", 8) // three parts
	for _, text := range []string{"您的流量已用完", long} {
		if err := modem.Do("sms from=10086 at=2026-01-27T09:00:00+08:00 text=" + text); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	for _, d := range []string{"outgoing", "checked", "incoming", "sent", "failed"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`devices = M
outgoing = %[1]s/outgoing
checked = %[1]s/checked
incoming = %[1]s/incoming
sent = %[1]s/sent
failed = %[1]s/failed
logfile = %[1]s/log
infofile = %[1]s/working
pidfile = %[1]s/pid
loglevel = 7
delaytime = 1
errorsleeptime = 1
internal_combine = yes
[M]
device = %[2]s
baudrate = 115200
incoming = yes
init = ATE0
check_network = 1
pre_init = no
`, dir, modem.Path())
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "outgoing", "m"), []byte("To: 8613900000000\n\nfault 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, exec.Command(smsd, "-t", "-c"+filepath.Join(dir, "conf")))

	got := func(sub string) string {
		var all string
		files, _ := filepath.Glob(filepath.Join(dir, sub, "*"))
		for _, f := range files {
			text, _ := os.ReadFile(f)
			all += string(text) + "\n"
		}
		return all
	}
	done := func() bool {
		in := got("incoming")
		return strings.Contains(in, bigEndian("您的流量已用完")) && strings.Contains(in, bigEndian(long)) && strings.Contains(in, "From: 10086") && strings.Contains(got("sent"), "fault 7")
	}
	for deadline := time.Now().Add(mmPatience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("incoming\n%ssent\n%sfailed\n%sits log\n%s", got("incoming"), got("sent"), got("failed"), log)
		}
	}
}

// bigEndian is text as smsd leaves it in its file: UCS-2, as on the air.
func bigEndian(text string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return string(b)
}
