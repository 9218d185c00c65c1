package transcript

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// dialogue is one visit: what was sent, and what came back.
var dialogue = []struct {
	sent bool
	text string
}{
	{true, "AT+CPIN?"}, {false, "+CPIN: READY"}, {false, "OK"},
	{true, "AT+CSQ"}, {false, "+CSQ: 20,99"}, {false, "OK"},
	{true, "at+cereg?"}, {false, `+CEREG: 2,3,"9FC5","011FCC67",7,0,8`}, {false, "OK"},
	{true, "AT+COPS?"}, {false, "+COPS: 0"}, {false, "OK"},
	{true, `AT+CGDCONT=1,"IP","cmiot"`}, {false, "OK"},
	{true, "AT+CGACT=1,1"}, {false, "+CME ERROR: 148"},
	{true, "ATI"}, {false, "Quectel"}, {false, "EC200A"}, {false, "Revision: EC200AEUHAR01A30M16"}, {false, "OK"},
	{false, "+CGEV: NW DETACH"},
}

// wraps are ways in which programs write such a visit down.
var wraps = map[string]func(i int, sent bool, text string) string{
	"as it is":          func(i int, sent bool, s string) string { return s },
	"indented":          func(i int, sent bool, s string) string { return "    " + s },
	"CR LF":             func(i int, sent bool, s string) string { return s + "\r" },
	"<CR><LF>":          func(i int, sent bool, s string) string { return s + "<CR><LF>" },
	"<cr><lf> around":   func(i int, sent bool, s string) string { return "<cr><lf>" + s + "<cr><lf>" },
	`\r\n`:              func(i int, sent bool, s string) string { return s + `\r\n` },
	`\x0d\x0a`:          func(i int, sent bool, s string) string { return s + `\x0d\x0a` },
	"{0D}{0A}":          func(i int, sent bool, s string) string { return s + "{0D}{0A}" },
	"[CR][LF]":          func(i int, sent bool, s string) string { return s + "[CR][LF]" },
	"^M":                func(i int, sent bool, s string) string { return s + "^M" },
	"^M^J":              func(i int, sent bool, s string) string { return s + "^M^J" },
	"pictures of CR LF": func(i int, sent bool, s string) string { return s + "␍␊" },
	">>> and <<<":       func(i int, sent bool, s string) string { return arrow(sent, ">>> ", "<<< ") + s },
	"> and <":           func(i int, sent bool, s string) string { return arrow(sent, "> ", "< ") + s },
	"-> and <-":         func(i int, sent bool, s string) string { return arrow(sent, "-> ", "<- ") + s },
	"--> and <--":       func(i int, sent bool, s string) string { return arrow(sent, "--> ", "<-- ") + s },
	"=> and <=":         func(i int, sent bool, s string) string { return arrow(sent, "=> ", "<= ") + s },
	"→ and ←":           func(i int, sent bool, s string) string { return arrow(sent, "→ ", "← ") + s },
	"TX: and RX:":       func(i int, sent bool, s string) string { return arrow(sent, "TX: ", "RX: ") + s },
	"[TX] and [RX]":     func(i int, sent bool, s string) string { return arrow(sent, "[TX] ", "[RX] ") + s },
	"SEND and RECV":     func(i int, sent bool, s string) string { return arrow(sent, "SEND: ", "RECV: ") + s },
	"Sent and Received": func(i int, sent bool, s string) string { return arrow(sent, "Sent: ", "Received: ") + s },
	"AT> and AT<":       func(i int, sent bool, s string) string { return arrow(sent, "AT> ", "AT< ") + s },
	"write and read": func(i int, sent bool, s string) string {
		return arrow(sent, "write: ", "read: ") + fmt.Sprintf("%q", s+"\r\n")
	},
	"b'...'":    func(i int, sent bool, s string) string { return arrow(sent, "Write: ", "Read: ") + "b'" + s + `\r\n'` },
	"发送 and 接收": func(i int, sent bool, s string) string { return arrow(sent, "发送：", "接收：") + s },
	"发→◇ and 收←◆": func(i int, sent bool, s string) string {
		return fmt.Sprintf("[10:05:%02d.120]", i) + arrow(sent, "发→◇", "收←◆") + s + "□"
	},
	"host and modem": func(i int, sent bool, s string) string { return arrow(sent, "HOST -> ", "MODEM -> ") + s },
	"[time]":         func(i int, sent bool, s string) string { return fmt.Sprintf("[10:05:%02d] ", i) + s },
	"[time.ms]":      func(i int, sent bool, s string) string { return fmt.Sprintf("[10:05:%02d.123] ", i) + s },
	"time and arrows": func(i int, sent bool, s string) string {
		return fmt.Sprintf("10:05:%02d.123 ", i) + arrow(sent, ">> ", "<< ") + s
	},
	"date and time":     func(i int, sent bool, s string) string { return fmt.Sprintf("2026-08-12 10:05:%02d,123 ", i) + s },
	"ISO 8601":          func(i int, sent bool, s string) string { return fmt.Sprintf("2026-08-12T10:05:%02d.123456Z ", i) + s },
	"with a zone":       func(i int, sent bool, s string) string { return fmt.Sprintf("[2026-08-12T10:05:%02d+08:00] ", i) + s },
	"slashes":           func(i int, sent bool, s string) string { return fmt.Sprintf("2026/08/12 10:05:%02d ", i) + s },
	"month and day":     func(i int, sent bool, s string) string { return fmt.Sprintf("[08-12 10:05:%02d.123] ", i) + s },
	"quectel-CM's time": func(i int, sent bool, s string) string { return fmt.Sprintf("[08-12_10:05:%02d:123] ", i) + s },
	"time behind":       func(i int, sent bool, s string) string { return s + fmt.Sprintf("   [10:05:%02d.123]", i) },
	"syslog":            func(i int, sent bool, s string) string { return fmt.Sprintf("Aug 12 10:05:%02d pos4 atd[17]: ", i) + s },
	"syslog with a level": func(i int, sent bool, s string) string {
		return fmt.Sprintf("<30>Aug  2 10:05:%02d pos4 atd[17]: <info> ", i) + s
	},
	"logread": func(i int, sent bool, s string) string {
		return fmt.Sprintf("Wed Aug 12 10:05:%02d 2026 user.info atd[17]: ", i) + s
	},
	"dmesg": func(i int, sent bool, s string) string { return fmt.Sprintf("[%5d.123456] ", 100+i) + s },
	"logcat": func(i int, sent bool, s string) string {
		return fmt.Sprintf("08-12 10:05:%02d.123  1234  1256 D AT      : ", i) + arrow(sent, "AT> ", "AT< ") + s
	},
	"logcat, brief": func(i int, sent bool, s string) string {
		return "D/AT      ( 1234): " + arrow(sent, "AT> ", "AT< ") + s
	},
	"ESP-IDF": func(i int, sent bool, s string) string {
		return fmt.Sprintf("I (%d) modem: ", 5000+i) + arrow(sent, "TX: ", "RX: ") + s
	},
	"Zephyr": func(i int, sent bool, s string) string {
		return fmt.Sprintf("[00:00:%02d.123,456] <dbg> modem_chat: ", i) + s
	},
	"Python logging": func(i int, sent bool, s string) string {
		return fmt.Sprintf("2026-08-12 10:05:%02d,123 DEBUG: ", i) + arrow(sent, "write ", "read ") + ": " + s
	},
	"[INFO] and a tag": func(i int, sent bool, s string) string {
		return "[INFO][CELL]: " + arrow(sent, "AT TX (10): ", "AT RX (21): ") + s
	},
	"line numbers": func(i int, sent bool, s string) string { return fmt.Sprintf("%4d\t%s", i+1, s) },
	"quoted reply": func(i int, sent bool, s string) string { return "| " + s },
	"colours":      func(i int, sent bool, s string) string { return "\x1b[32m" + s + "\x1b[0m" },
	"hex":          func(i int, sent bool, s string) string { return arrow(sent, "TX: ", "RX: ") + spaced(s+"\r\n") },
	"hex with time": func(i int, sent bool, s string) string {
		return fmt.Sprintf("[10:05:%02d.123] ", i) + arrow(sent, "SEND: ", "RECV: ") + spaced(s+"\r\n")
	},
}

func arrow(sent bool, out, in string) string {
	if sent {
		return out
	}
	return in
}

func spaced(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{s[i]})))
	}
	return b.String()
}

// TestHoweverItIsWrittenDown: a visit tells the same whatever a program put
// around its lines.
func TestHoweverItIsWrittenDown(t *testing.T) {
	var plain strings.Builder
	for _, d := range dialogue {
		plain.WriteString(d.text + "\n")
	}
	want := told(Read([]byte(plain.String())))
	for _, must := range []string{"SIM ready", "eps denied", "EMM #8", "cmiot", "Quectel", "NW DETACH"} {
		if !strings.Contains(want, must) {
			t.Fatalf("the plain visit does not tell %q:\n%s", must, want)
		}
	}
	for name, wrap := range wraps {
		var b strings.Builder
		for i, d := range dialogue {
			b.WriteString(wrap(i, d.sent, d.text) + "\n")
		}
		x := Read([]byte(b.String()))
		if got := told(x); got != want {
			t.Errorf("%s: tells\n%swant\n%sread %d of %d, not understood %v", name, got, want, x.Used, x.Lines, x.Unread)
		}
	}
}
