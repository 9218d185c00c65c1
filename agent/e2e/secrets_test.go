package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"cellwarden/protocol"
)

// What must be seen nowhere. The numbers are nobody's.
var secret = map[string]string{
	"IMSI":            "460009988776655",
	"ICCID":           "89860099887766554433",
	"IMEI":            "860011223344556",
	"own number":      "13900000042",
	"sender":          "13911111143",
	"neighbour card":  "89860011223344556677",
	"PIN":             "73915284",
	"APN user":        "vend-apn-user",
	"APN password":    "vend-apn-word",
	"broker password": "vend-broker-word",
	"portal ticket":   "vend-portal-ticket",
}

// shapes are the ways in which a secret may hide: as it is, as hex of its letters
// or of UCS2 (+CSCS, +CUSD), and with its digits swapped in pairs (SIM files, PDUs).
func shapes(s string) []string {
	ucs2 := ""
	for _, u := range utf16.Encode([]rune(s)) {
		ucs2 += fmt.Sprintf("%04X", u)
	}
	swapped := []byte(s + "F"[:len(s)%2])
	for i := 0; i+1 < len(swapped); i += 2 {
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	}
	return []string{s, strings.ToUpper(hex.EncodeToString([]byte(s))), ucs2, string(swapped)}
}

// scenario is a modem that says every identity there is, in replies, in messages
// and in lines that no parser knows.
func secretScenario() string {
	return `A modem that tells everything.
-- device --
profile       quectel-ec2x
manufacturer  Quectel
model         EC20F
revision      EC20CEFAGR06A05M4G
carrier       460-00
imsi          ` + secret["IMSI"] + `
iccid         ` + secret["ICCID"] + `
imei          ` + secret["IMEI"] + `
pin           ` + secret["PIN"] + `
-- modem --
sim ready
reg home
signal rsrp=-88 rsrq=-9 sinr=14
session active addr=10.63.118.204
+CNUM -> +CNUM: "own","` + secret["own number"] + `",129 | OK
`
}

// No identity and no secret leaves the agent in clear: not by a log at debug level
// with the AT trace, an error, the status, a diagnosis, a bundle, a scenario, the
// page, config show, what goes to the broker, what is kept on the flash, or the
// trace of a crash. All of it from the binary that boards get.
func TestNoIdentityIsSeenAnywhere(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	if _, err := exec.LookPath("mosquitto_passwd"); err != nil {
		t.Skip("SKIPPED, NOT PROVED: mosquitto_passwd is missing (apt install mosquitto)")
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	passwords := filepath.Join(dir, "passwords")
	if out, err := exec.Command("mosquitto_passwd", "-b", "-c", passwords, "machine", secret["broker password"]).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %s", out)
	}
	// An operator's portal, which names the subscriber in its URL.
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://portal.example/?msisdn="+secret["own number"]+"&imsi="+secret["IMSI"])
		w.Header().Set("Set-Cookie", "ticket="+secret["portal ticket"])
		w.WriteHeader(http.StatusFound)
	}))
	defer portal.Close()
	site := newSite(t)
	b := newBroker(t, nil, "127.0.0.1", "allow_anonymous true\npassword_file "+passwords)
	k := newBackend(b)
	modem := newModem(t, file("modem.txtar", secretScenario()))
	web := "127.0.0.1:" + fmt.Sprint(20_000+rand.IntN(12_000))
	m := newMachine(t, nil, fmt.Sprintf(`
[device]
id = %q
[modem]
port = %q
poll = "1s"
[data]
interfaces = ["none0"]
[uplink]
unsigned_commands = true
brokers = [%q]
username = "machine"
password_file = %q
commands = ["plan", "sim_status", "neighbours", "diagnose", "report", "bundle", "confirm", "update"]
[update]
root_file = %q
[probes]
third_party = []
http_url = "%s/generate_204"
dns = []
ntp = []
[log]
level = "debug"
[api]
http = %q
%s`, device, modem.port, b.url(), file("broker-password", secret["broker password"]+"\n"), site.root(t, dir), portal.URL, web, testPace))
	m.start()
	m.connected()
	until(t, "the card read", patient, func() bool { s := m.status(); return s.SIM.ICCID != "" && s.Modem.IMEI != "" })

	for _, line := range []string{
		"sms from=" + secret["sender"] + " text=尊敬的客户，您的号码" + secret["own number"] + "因欠费已停机，卡号" + secret["ICCID"],
		`urc +CLIP: "` + secret["own number"] + `",129`,
		`urc +CUSD: 0,"您的号码` + secret["own number"] + `余额0元",72`,
		`urc +CMTI: "SM",3`,
		"urc ^IMSI:" + secret["IMSI"],
		"urc +UNKNOWN: card " + secret["ICCID"] + " of " + secret["IMEI"],
		`urc +QICSGP: 1,"cmiot","` + secret["APN user"] + `","` + secret["APN password"] + `",1`,
		`urc AT+CPIN="` + secret["PIN"] + `"`,
		"urc junk" + secret["IMSI"] + "junk",
	} {
		modem.do(line)
	}
	raw := "card " + secret["ICCID"] + " of " + secret["own number"] + " is active"
	for id, args := range map[string]string{
		"c-status":    `{"iccid":"` + secret["ICCID"] + `","state":"active","carrier_raw":"` + raw + `","source":"` + secret["own number"] + `"}`,
		"c-stranger":  `{"iccid":"` + secret["neighbour card"] + `","state":"active"}`,
		"c-plan":      `{"iccid":"` + secret["ICCID"] + `","quota_bytes":31457280}`,
		"c-plan-bad":  `{"iccid":` + secret["ICCID"] + `,"quota_bytes":"` + secret["own number"] + `"}`,
		"c-plan-num":  `{"cycle_day":` + secret["ICCID"] + `}`,
		"c-class-bad": `{"class":"` + secret["IMSI"] + `"}`,
	} {
		do := map[string]string{"c-status": "sim_status", "c-stranger": "sim_status", "c-class-bad": "confirm"}[id]
		if do == "" {
			do = "plan"
		}
		sendCommand(t, b, id, do, args)
	}
	sendCommand(t, b, "c-update", "update", `{"url":"`+portal.URL+`/m.json?ticket=`+secret["portal ticket"]+`","now":true}`)
	answered := func(id string) (parts []protocol.Reply) {
		for _, e := range k.once() {
			var r protocol.Reply
			if e.Type == protocol.TypeReply && json.Unmarshal(e.Body, &r) == nil && r.ID == id {
				parts = append(parts, r)
			}
		}
		return parts
	}
	for _, id := range []string{"c-status", "c-stranger", "c-plan", "c-plan-bad", "c-plan-num", "c-class-bad", "c-update"} {
		until(t, "the answer to "+id, patient, func() bool { return len(answered(id)) > 0 })
	}
	// The portal stands in the update's way, which is said with its name.
	until(t, "the update to wait", patient, func() bool {
		u := m.status().Update
		return u != nil && u.Wait != nil && strings.Contains(u.Wait.Detail, "portal.example")
	})

	seen := map[string]string{}
	for _, args := range [][]string{
		{"status", "--all"}, {"status", "--all", "--lang", "zh"}, {"status", "--json"}, {"diagnose"}, {"diagnose", "--json"}, {"usage"}, {"usage", "--json"},
		{"update", "status"}, {"config", "show", "--config", m.config}, {"config", "check", "--config", m.config},
		{"bundle", "-o", filepath.Join(dir, "bundle.json")}, {"bundle", "--scenario", "-o", filepath.Join(dir, "bundle.txtar")},
		{"explain", "--trace", filepath.Join(dir, "bundle.json")}, {"explain", "--json", filepath.Join(dir, "bundle.json")},
	} {
		out, errs, _ := m.run(args...)
		seen["cellwarden "+strings.Join(args, " ")] = out + errs
	}
	for _, name := range []string{"bundle.json", "bundle.txtar"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = string(text)
	}
	for _, path := range []string{"/v1/status", "/view?lang=zh", "/view?lang=en", "/v1/usage"} {
		resp, err := http.Get("http://" + web + path)
		if err != nil {
			t.Fatal(err)
		}
		seen["page "+path] = drain(resp.Body)
		resp.Body.Close()
	}

	b.command("c-report", "report")
	b.command("c-bundle", "bundle")
	for _, id := range []string{"c-report", "c-bundle"} {
		until(t, "the answer to "+id, patient, func() bool { return len(answered(id)) > 0 })
	}
	var packed []byte
	until(t, "every part of the bundle", patient, func() bool {
		packed = nil
		parts := answered("c-bundle")
		for want := 1; want <= len(parts); want++ {
			for _, r := range parts {
				var p protocol.BundlePart
				if json.Unmarshal(r.Result, &p) == nil && p.Part == want {
					packed = append(packed, p.GZ...)
					if p.Part == p.Parts {
						return true
					}
				}
			}
		}
		return false
	})
	zr, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	seen["bundle over the air"] = string(text)
	for _, e := range k.once() {
		seen["messages to the broker"] += string(e.Body) + "\n"
	}

	// The trace of a crash, then what is on the flash and in /run.
	_ = m.cmd.Process.Signal(syscall.SIGQUIT)
	<-m.ended
	m.cmd = nil
	seen["log and trace"] = m.log.String()
	hasAll(t, "the log", seen["log and trace"], "goroutine ", "+QICSGP: 1", "AT+CIMI", "level=DEBUG")
	for _, top := range []string{m.state, filepath.Dir(m.socket)} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s can be read by others: %v", path, info.Mode())
			}
			body, err := os.ReadFile(path)
			seen["kept "+d.Name()] = string(body)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	for name, s := range secret {
		for where, text := range seen {
			if name == "portal ticket" && where == "kept job.json" {
				continue // the download needs it after a restart too
			}
			for _, shape := range shapes(s) {
				if i := strings.Index(strings.ToUpper(text), strings.ToUpper(shape)); i >= 0 {
					t.Errorf("the %s is in %s: …%s…", name, where, text[max(0, i-80):min(len(text), i+len(shape)+20)])
				}
			}
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d places were looked at", len(seen))
	}
}

// sendCommand sends one command with args.
func sendCommand(t *testing.T, b *broker, id, do, args string) {
	t.Helper()
	topic := protocol.Topic{Prefix: protocol.DefaultPrefix, Device: device, Leaf: protocol.LeafCommand}.String()
	raw := fmt.Sprintf(`{"v":1,"id":%q,"expires":%q,"do":%q,"args":%s}`, id, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), do, args)
	if out, err := command(b.ns, "mosquitto_pub", b.args("-q", "1", "-t", topic, "-m", raw)...).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}
