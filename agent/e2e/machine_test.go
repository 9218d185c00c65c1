package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"cellwarden/agent/machine/vmcsim"
	"cellwarden/protocol"
)

// terminal is a pseudo terminal in raw mode: the wire between the agent and a machine.
func terminal(t testing.TB) (end *os.File, path string) {
	t.Helper()
	end, agent, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end.Close(); agent.Close() })
	fd := int(agent.Fd())
	tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	tio.Iflag, tio.Oflag, tio.Lflag = 0, 0, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, tio); err != nil {
		t.Fatal(err)
	}
	return end, agent.Name()
}

// sniffer prints what it is given, once it was told to, as the adapter on a payment bus
// does.
type sniffer struct {
	end *os.File
	at  int64 // 0.1 ms
	on  atomic.Bool
}

func newSniffer(t testing.TB) (*sniffer, string) {
	end, path := terminal(t)
	s := &sniffer{end: end}
	go func() {
		buf := make([]byte, 64)
		for {
			n, err := end.Read(buf)
			if err != nil {
				return
			}
			if bytes.Contains(buf[:n], []byte("X,1")) {
				s.on.Store(true)
			}
		}
	}()
	return s, path
}

// vend is one sale by card, as it goes over the bus.
func (s *sniffer) vend(price, item int) {
	line := func(master bool, cmd, data string) {
		s.at += 50
		who := "80"
		if master {
			who = "00"
		}
		fmt.Fprintf(s.end, "x,%s,%010d,%s,%s\r\n", who, s.at, cmd, data)
	}
	line(true, "13", fmt.Sprintf("00%04X%04X", price, item))
	line(false, "", "ACK")
	line(true, "12", "")
	line(false, "", fmt.Sprintf("05%04X", price))
	line(true, "", "ACK")
	line(true, "13", fmt.Sprintf("02%04X", item))
	line(false, "", "ACK")
	line(true, "13", "04")
	line(false, "", "ACK")
	s.at += 1000
}

// setup is what the machine says at its start: the scale of its prices.
func (s *sniffer) setup() {
	fmt.Fprintf(s.end, "x,00,%010d,11,0003100101\r\nx,80,%010d,,010211560102%s\r\nx,00,%010d,,ACK\r\n", s.at+1, s.at+2, "1E00", s.at+3)
}

// A day's sales from the payment bus and an audit over DEX, through the agent and a real
// broker to a consumer: each once, in order, over an outage of the broker and a kill -9.
func TestMachineSalesReachTheBackend(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	b := newBroker(t, nil, "127.0.0.1", "")
	k := newBackend(b)
	bus, busPort := newSniffer(t)
	jack, jackPort := terminal(t)
	board := vmcsim.NewBoard("77")
	for i := len(board.Columns); i < 36; i++ {
		board.Columns = append(board.Columns, vmcsim.Column{Name: fmt.Sprint(11 + i), Price: 150, Count: int64(40 * i),
			Value: int64(6000 * i), Level: 12})
	}
	board.Happened("EGS")
	go func() { _ = (&vmcsim.DEX{Board: board}).Serve(jack) }() // ends with the terminal
	m := newMachine(t, nil, plain("none")+fmt.Sprintf("[uplink]\nbrokers = [%q]\n[machine]\naudit = \"dex\"\naudit_port = %q\n"+
		"interval_reset_accepted = true\nbus = \"sniffer\"\nbus_port = %q\nsales_within = \"3s\"\nread_at = [%q]\n",
		b.url(), jackPort, busPort, farTime()))
	heard := func() {
		until(t, "the sniffer told to begin", patient, bus.on.Load)
		bus.setup()
	}
	m.start()
	m.connected()
	heard()
	sold := 0
	sell := func(n int) {
		for range n {
			sold++
			bus.vend(100+sold, sold%30)
		}
	}
	kept := func() {
		until(t, "the sales in the store", patient, func() bool { s := m.status().Machine; return s != nil && s.TodayCount >= int64(sold) })
	}
	sell(40)
	kept()
	until(t, "the first sales at the backend", patient, func() bool { return len(k.sales()) >= sold })
	b.stop()
	out, errs, code := m.run("machine", "read", "--socket", m.socket)
	if code != 0 {
		t.Fatalf("machine read: %s%s", out, errs)
	}
	until(t, "the audit", patient, func() bool { s := m.status().Machine; return s != nil && s.LastAudit != nil })
	sell(30)
	kept()
	until(t, "every sale on the flash", patient, func() bool { return len(sales(t, m.outboxTypes())) >= sold })
	m.kill()
	bus.on.Store(false)
	m.start()
	heard()
	today := m.status().Machine.TodayCount
	for range 30 {
		sold++
		bus.vend(100+sold, sold%30)
	}
	until(t, "the sales after the start", patient, func() bool { return m.status().Machine.TodayCount >= today+30 })
	b.start()
	until(t, "every sale at the backend", patient, func() bool { return len(k.sales()) >= sold })
	got := k.sales()
	if len(got) != sold {
		t.Errorf("%d sales arrived, %d were made", len(got), sold)
	}
	for i, s := range got {
		if s.Price == nil || *s.Price != int64(101+i) || s.Selection != fmt.Sprint((1+i)%30) || s.Kind != "cashless" || s.Currency != "156" {
			t.Fatalf("sale %d is %+v", i+1, s)
		}
	}
	until(t, "the audit at the backend", patient, func() bool {
		return len(k.bodies(protocol.TypeAuditRaw)) > 0 &&
			len(k.bodies(protocol.TypeAudit)) > 0
	})
	raw := k.bodies(protocol.TypeAuditRaw)[0].(*protocol.AuditRaw)
	text, err := protocol.UnpackAudit([]protocol.AuditRaw{*raw}, nil)
	if err != nil || !strings.Contains(string(text), "EA1*EGS") {
		t.Errorf("the raw audit: %v\n%s", err, text)
	}
	if a := k.bodies(protocol.TypeAudit)[0].(*protocol.MachineAudit); a.State != "baseline" || a.G85 != "ok" || a.Ref != raw.Ref {
		t.Errorf("the audit: %+v", a)
	}
	if d := board.Deleted(); len(d) != 1 {
		t.Errorf("the machine, which is in AUTO, cleared %v", d)
	}
	// Once more too soon is refused, with the reason.
	if _, errs, code := m.run("machine", "read", "--socket", m.socket); code != 1 || !strings.Contains(errs, "less than 15m0s ago") {
		t.Errorf("a second read: exit %d: %s", code, errs)
	}
	t.Logf("FIGURE machine: %d sales made, %d arrived once and in order, over an outage and a kill -9", sold, len(got))
}

// farTime is a time of day that is neither soon nor just past: only a command reads.
func farTime() string { return time.Now().Add(12 * time.Hour).Format("15:04") }

// sales counts the messages of that type among payloads.
func sales(t testing.TB, payloads []string) (list []string) {
	t.Helper()
	for _, p := range payloads {
		if strings.HasPrefix(p, string(protocol.TypeSale)+"\n") {
			list = append(list, p)
		}
	}
	return list
}

// outboxTypes are the payloads on the flash, as far as they can be told apart there: the
// type, a newline and a JSON object.
func (m *machine) outboxTypes() (list []string) {
	m.t.Helper()
	for _, name := range mustGlob(m.t, filepath.Join(m.state, "outbox", "seg-*")) {
		data, err := os.ReadFile(name)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, typ := range []protocol.Type{protocol.TypeSale, protocol.TypeAudit, protocol.TypeAuditRaw} {
			mark := []byte(string(typ) + "\n{")
			for rest := data; ; {
				i := bytes.Index(rest, mark)
				if i < 0 {
					break
				}
				rest = rest[i:]
				var body json.RawMessage
				if err := json.NewDecoder(bytes.NewReader(rest[len(typ)+1:])).Decode(&body); err == nil {
					list = append(list, string(typ)+"\n"+string(body))
				}
				rest = rest[len(mark):]
			}
		}
	}
	return list
}

func mustGlob(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// bodies are those of one type, once each, in order.
func (k *backend) bodies(typ protocol.Type) (list []any) {
	k.t.Helper()
	for _, e := range k.once() {
		if e.Type == typ {
			list = append(list, body(k.t, e))
		}
	}
	return list
}

func (k *backend) sales() (list []protocol.Sale) {
	k.t.Helper()
	for _, b := range k.bodies(protocol.TypeSale) {
		list = append(list, *b.(*protocol.Sale))
	}
	return list
}

// The agent is killed around the last acknowledgement of a read from a machine in AUTO,
// which then clears its finished events: whatever the machine has cleared is in the
// outbox after the next start.
func TestMachineKilledAroundTheLastAcknowledgement(t *testing.T) {
	t.Parallel()
	const blockBytes = 200
	probe := vmcsim.NewBoard("77")
	probe.Happened("EGS")
	last := 6 + (len(probe.Text())+blockBytes-1)/blockBytes // the frame with the last block
	var cleared, kept atomic.Int32
	t.Run("each", func(t *testing.T) {
		for _, at := range []struct {
			frame int
			after time.Duration
		}{
			{last - 1, 0}, {last, 0}, {last, 1 * time.Millisecond}, {last, 3 * time.Millisecond}, {last, 6 * time.Millisecond}, {last,
				10 * time.Millisecond},
			{last, 12 * time.Millisecond}, {last, 14 * time.Millisecond}, {last, 18 * time.Millisecond}, {last, 25 * time.Millisecond},
			{last + 1, 0}, {last + 1, 1 * time.Millisecond}, {last + 1, 5 * time.Millisecond}, {last + 1, 30 * time.Millisecond},
		} {
			t.Run(fmt.Sprintf("frame %d, %v after it", at.frame-last, at.after), func(t *testing.T) {
				t.Parallel()
				jack, port := terminal(t)
				board := vmcsim.NewBoard("77")
				board.Happened("EGS")
				ref := protocol.AuditRef([]byte(board.Text()))
				m := newMachine(t, nil, plain("none")+fmt.Sprintf("[machine]\naudit = \"dex\"\naudit_port = %q\n"+
					"interval_reset_accepted = true\nread_at = [%q]\n", port, farTime()))
				m.start()
				pid, dead := m.cmd.Process.Pid, make(chan struct{})
				vmc := &vmcsim.DEX{Board: board, Faults: vmcsim.Faults{BlockBytes: blockBytes}, Sent: func(n int) {
					if n == at.frame {
						time.AfterFunc(at.after, func() {
							_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended: the wait below tells
							close(dead)
						})
					}
				}}
				go func() { _ = vmc.Serve(io.ReadWriter(jack)) }()
				if out, errs, code := m.run("machine", "read", "--socket", m.socket); code != 0 {
					t.Fatalf("machine read: %s%s", out, errs)
				}
				select {
				case <-dead:
				case <-time.After(patient):
					t.Fatal("the session never came so far")
				}
				m.kill()
				m.start()
				has := func() bool {
					for _, p := range m.outboxTypes() {
						if strings.HasPrefix(p, string(protocol.TypeAuditRaw)) && strings.Contains(p, ref) {
							return true
						}
					}
					return false
				}
				if files := mustGlob(t, filepath.Join(m.state, "audit.state")); len(files) > 0 {
					until(t, "the kept audit in the outbox", patient, has)
					kept.Add(1)
				}
				if len(board.Deleted()) > 0 {
					cleared.Add(1)
					if !has() {
						t.Errorf("the machine has cleared %v, and the outbox does not have it", board.Deleted())
					}
				}
			})
		}
	})
	if cleared.Load() == 0 || kept.Load() < cleared.Load() {
		t.Errorf("the machine cleared %d times and %d audits were kept: the kills miss the moment", cleared.Load(), kept.Load())
	}
	t.Logf("FIGURE machine: 14 kills around the last acknowledgement; the machine cleared its events %d times, "+
		"%d audits were in the outbox, 0 were missing",
		cleared.Load(), kept.Load())
}

// Sales that the machine's own software hands in count for the day, and reach the
// backend as the events that they are; a read without a port is refused with the reason.
func TestMachineSoftwareHandsInSales(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil, plain("none"))
	m.start()
	if m.status().Machine != nil {
		t.Error("a machine is shown, though nothing of one is known")
	}
	for _, data := range []string{`{"sel":"12","price":350,"kind":"cashless"}`, `{"sel":"3","price":200,"kind":"cash"}`, `{"kind":"test","price":100}`, `[1]`} {
		if _, errs, code := m.run("event", "put", "sale", "--data", data, "--socket", m.socket); code != 0 {
			t.Fatalf("%s: %s", data, errs)
		}
	}
	if s := m.status().Machine; s == nil || s.TodayCount != 3 || s.TodayValue != 550 || s.TodayFrom != "software" {
		t.Errorf("the machine is %+v, want 3 vends for 550 and the test not among them", s)
	}
	out, errs, code := m.run("machine", "--lang", "en", "--socket", m.socket)
	if code != 0 || !strings.Contains(out, "3 vends, 5.50") {
		t.Errorf("cellwarden machine: exit %d: %s%s", code, out, errs)
	}
	if _, errs, code := m.run("machine", "read", "--socket", m.socket); code != 1 || !strings.Contains(errs, "machine.audit") {
		t.Errorf("a read without a port: exit %d: %s", code, errs)
	}
}
