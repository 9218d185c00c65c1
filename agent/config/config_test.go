package config

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

var update = flag.Bool("update", false, "write the messages into testdata/bad; read the diff")

// Each file in testdata/bad ends with the messages that it must give.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	const mark = "# want: "
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var input, want []string
			for line := range strings.Lines(string(text)) {
				if message, ok := strings.CutPrefix(line, mark); ok {
					want = append(want, strings.TrimSuffix(message, "\n"))
				} else {
					input = append(input, line)
				}
			}
			c, err := Parse(name, []byte(strings.Join(input, "")))
			if err == nil {
				t.Fatalf("taken as it is: %s", c.Redacted())
			}
			got := err.Error()
			if strings.Contains(got, "swordfish") || strings.Contains(got, "12345678") {
				t.Errorf("the message shows a password: %s", got)
			}
			if *update {
				out := strings.Join(input, "") + mark + strings.ReplaceAll(got, "\n", "\n"+mark) + "\n"
				if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}

func TestExampleReadsAsDefault(t *testing.T) {
	got, err := Parse("example.toml", []byte(Example))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, Default) {
		t.Errorf("the example differs from Default:\n%s\nDefault:\n%s", got.Redacted(), Default.Redacted())
	}
	if empty, err := Parse("empty.toml", nil); err != nil || !reflect.DeepEqual(empty, Default) {
		t.Errorf("an empty file: %v, %v", empty, err)
	}
}

// option is a line of the example that waits to be taken into use.
var option = regexp.MustCompile(`(?m)^#(\[[a-z.]+\]|[a-z_0-9]+ = )`)

func TestExampleOptionsAllRead(t *testing.T) {
	text := option.ReplaceAllString(Example, "$1")
	if n := len(option.FindAllString(Example, -1)); n < 20 {
		t.Fatalf("only %d options found", n)
	}
	c, err := Parse("example.toml", []byte(text))
	if err != nil {
		t.Fatalf("with every option in use: %v", err)
	}
	if c.Plan.QuotaBytes != 30_000_000 || c.Plan.IMEIBound == nil || c.Diag.Hold["weak_signal"] != Duration(5*time.Minute) {
		t.Errorf("options are lost: %s", c.Redacted())
	}
}

func TestExampleNamesEveryKey(t *testing.T) {
	names, keys := sections()
	at := indexLines(option.ReplaceAllString(Example, "$1"))
	for _, section := range names {
		for _, key := range keys[section] {
			if path := section + "." + key; at[path] == 0 && path != "uplink.password" { // better in its file
				t.Errorf("%s is not in the example", path)
			}
		}
	}
}

// A mute modem must be named within 30 s at default settings: the longest wait
// for the next poll, its timeout, the dialogue's 15 s of getting back in step
// (at.ResyncBound), and 3 s for opening the port and asking once more.
func TestDefaultTimesHoldThirtySeconds(t *testing.T) {
	sum := Default.Modem.Poll.Std() + Default.Modem.CommandTimeout.Std() + 15*time.Second + 3*time.Second
	if sum > 30*time.Second {
		t.Errorf("a mute modem is named after %v", sum)
	}
}

func TestMissingFileTellsHowToMakeOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cellwarden.toml")
	_, err := Load(path)
	want := path + ": no such file; make one with: cellwarden config example -o " + path
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	if err == nil || !strings.Contains(err.Error(), "cannot be read: is a directory; ") {
		t.Errorf("a directory: %v", err)
	}
	big := filepath.Join(dir, "big.toml")
	if err := os.WriteFile(big, []byte(strings.Repeat("# x\n", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(big)
	if err == nil || !strings.Contains(err.Error(), "larger than 65536 bytes") {
		t.Errorf("a file of 256 kB: %v", err)
	}
}

func TestGoodFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "good.toml")
	// As a Windows editor saves it.
	text := "\ufeff[device]\r\nid = \"vm-0042\"\r\n\r\n[uplink]\r\nbrokers = [\"mqtts://[2001:db8::1]:8883\", \"tcp://10.0.0.1\"]\r\nusername = \"m\"\r\npassword = \"swordfish\"\r\nkeepalive = \"1h30m\"\r\n\r\n[probes]\r\nown = [\"[2001:db8::2]:443\"]\r\ndns = [\"192.0.2.53\", \"192.0.2.54:5353\"]\r\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Device.ID != "vm-0042" || c.Uplink.KeepAlive.Std() != 90*time.Minute || c.Uplink.Window != Default.Uplink.Window {
		t.Errorf("read %s", c.Redacted())
	}
	if got := fmt.Sprint(c.Probes.DNSServers()); got != "[192.0.2.53:53 192.0.2.54:5353]" {
		t.Errorf("DNS servers %s", got)
	}
	if p, err := c.Uplink.BrokerPassword(); err != nil || p.Reveal() != "swordfish" {
		t.Errorf("the password is lost: %v", err)
	}
	c.Data.Interfaces[0] = "changed"
	if Default.Data.Interfaces[0] == "changed" {
		t.Error("a loaded config shares its lists with Default")
	}
}

func TestPasswordIsNeverShown(t *testing.T) {
	c := Default.clone()
	c.Uplink.Password = "swordfish"
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "config", c, "password", c.Uplink.Password)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{c.Redacted(), string(asJSON), log.String(), fmt.Sprint(&c)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		shown = append(shown, fmt.Sprintf(verb, c.Uplink.Password), fmt.Sprintf(verb, c), fmt.Sprintf(verb, c.Uplink))
	}
	for _, s := range shown {
		for _, secret := range []string{"swordfish", "73776f7264", "73776F7264"} { // and its hex
			if strings.Contains(s, secret) {
				t.Errorf("shown in %s", s)
			}
		}
	}
	if !strings.Contains(c.Redacted(), `password = "(set, not shown)"  # not the default`) {
		t.Errorf("nobody sees that a password is set:\n%s", c.Redacted())
	}
}

// What config show prints can be read again, but for the secret.
func TestRedactedIsTOML(t *testing.T) {
	c := Default.clone()
	yes := true
	c.Device.Name = "左 \"1\" \\ \u0007\u007f"
	c.Plan.IMEIBound = &yes
	c.Diag.Hold = map[string]Duration{"weak_signal": Duration(time.Minute), "congestion": Duration(90 * time.Second)}
	var back Config
	r := reader{name: "shown"}
	decode(t, c.Redacted(), &r, &back)
	if len(r.problems) > 0 || !reflect.DeepEqual(back, emptied(c)) {
		t.Errorf("%v\n%s\nread back as\n%s", r.problems, c.Redacted(), back.Redacted())
	}
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ name, content, want, err string }{
		{"plain", "swordfish", "swordfish", ""},
		{"line end", "swordfish\r\n", "swordfish", ""},
		{"spaces belong to it", " sword fish \n", " sword fish ", ""},
		{"empty", "\n", "", "the file is empty"},
		{"two lines", "swordfish\nmore\n", "", "more than one line"},
		{"huge", strings.Repeat("x", 5000), "", "more than 4096 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(tc.name, " ", "_"))
			if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			u := Uplink{PasswordFile: path}
			got, err := u.BrokerPassword()
			if got.Reveal() != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %q, %v", got.Reveal(), err)
			}
			if err != nil && (!strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "swordfish")) {
				t.Errorf("the message is %v", err)
			}
		})
	}
	if _, err := ReadSecret(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := Default.clone()
	c.Uplink.PasswordFile = write("password", 0o644)
	c.Uplink.KeyFile = write("key", 0o640)
	c.Uplink.CAFile = dir
	c.Uplink.CertFile = filepath.Join(dir, "none")
	got := Problems(CheckFiles(c)).Error()
	want := ": uplink.password_file: " + c.Uplink.PasswordFile + " is open to every user; run: chmod 640 " + c.Uplink.PasswordFile + "\n" +
		": uplink.ca_file: " + dir + " is a directory; name the file in it\n" +
		": uplink.cert_file: " + c.Uplink.CertFile + " cannot be read: no such file or directory; put the file there, or correct the path"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if p := CheckFiles(Default); len(p) > 0 {
		t.Errorf("Default names files: %v", p)
	}
}

func TestDeviceID(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, tc := range []struct {
		name     string
		fs       fstest.MapFS
		id, want string
		from     string
	}{
		{"configured", fstest.MapFS{"proc/device-tree/serial-number": file("A1")}, "vm-7", "vm-7", "config"},
		{"Raspberry Pi", fstest.MapFS{"proc/device-tree/serial-number": file("10000000ABCDEF01\x00")}, "auto", "cw-10000000abcdef01", "/proc/device-tree/serial-number"},
		{"x86 POS", fstest.MapFS{"sys/class/dmi/id/product_serial": file("PF-00X-1\n")}, "auto", "cw-pf-00x-1", "/sys/class/dmi/id/product_serial"},
		{"unprogrammed board", fstest.MapFS{
			"proc/device-tree/serial-number":  file("0000000000000000\x00"),
			"sys/class/dmi/id/product_serial": file("To be filled by O.E.M.\n"),
			"etc/machine-id":                  file("0123456789abcdef0123456789abcdef\n"),
		}, "auto", "cw-", "/etc/machine-id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, from, err := DeviceID(tc.fs, tc.id)
			if err != nil || !strings.HasPrefix(got, tc.want) || from != tc.from || !idPattern.MatchString(got) {
				t.Errorf("got %q from %s, %v", got, from, err)
			}
			if strings.Contains(got, "0123456789ab") {
				t.Errorf("%q shows the machine id", got)
			}
		})
	}
	if _, _, err := DeviceID(fstest.MapFS{"etc/machine-id": file("uninitialized\n")}, "auto"); !errors.Is(err, ErrNoID) {
		t.Errorf("a board without numbers: %v", err)
	}
}

func TestLinesOfKeys(t *testing.T) {
	at := indexLines("# [not] = 1\na = 1\n[x] # c\n\n\"k.q\" = \"\"\"\n[y]\nz = 1\\\"\"\"\"\"\"\nlist = [ # [\n  \"]\", '\\',\n]\nb.c = {d = 1}\n[ x . \"y\" ]\nlast=1")
	want := lineIndex{"a": 2, "x": 3, "x.k.q": 5, "x.list": 8, "x.b.c": 11, "x.y": 12, "x.y.last": 13}
	if !reflect.DeepEqual(at, want) {
		t.Errorf("got  %v\nwant %v", at, want)
	}
	for path, line := range map[string]int{"x.list[3]": 8, "x.b.c.d": 11, "x.none": 3, "none.a": 0} {
		if got := at.of(path); got != line {
			t.Errorf("%s is said to be on line %d, want %d", path, got, line)
		}
	}
}

// Each of these took the TOML library from 3 to 59 s.
func TestNestingThatWouldHangTheLibraryIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"dotted key":   strings.Repeat("a.", 32_000) + "a = 1",
		"section":      "[" + strings.Repeat("a.", 32_000) + "a]\nb = 1",
		"inline table": "a = " + strings.Repeat("{a=", 16_000),
		"quoted keys":  strings.Repeat(`"a".`, 16_000) + "a = 1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("deep.toml", []byte(text))
			want := "deep.toml:1: more dots and braces than any config has; put texts in quotes, and compare with: cellwarden config example"
			if err == nil || err.Error() != want {
				t.Errorf("got %.200v", err)
			}
		})
	}
	if _, err := Parse("dots.toml", []byte("[device]\nname = \""+strings.Repeat(".", 128)+"\" # "+strings.Repeat("{", 300)+"\n")); err != nil {
		t.Errorf("dots in a text, braces in a comment: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Example))
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("fuzz.toml", text)
		var problems Problems
		switch {
		case err == nil:
			if again := Check(c); len(again) > 0 {
				t.Errorf("taken, but %v", again)
			}
		case !errors.As(err, &problems) || len(problems) == 0:
			t.Errorf("not a list of problems: %v", err)
		default:
			lines := strings.Count(string(text), "\n") + 1
			for _, p := range problems {
				if p.Line < 0 || p.Line > lines || p.What == "" || p.File != "fuzz.toml" {
					t.Errorf("%+v in a text of %d lines", p, lines)
				}
			}
		}
	})
}
