package metertest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"
	"cellwarden/modem/modemtest"
)

// newModem puts a healthy Quectel EC20 on a terminal of the name ttyUSB2, and has
// the machine use it. counters tells that it was asked what it counted.
func (m *machine) newModem() (_ *modemtest.PTY, counters *atomic.Bool) {
	m.t.Helper()
	sc, err := modemtest.Builtin("healthy-quectel")
	if err != nil {
		m.t.Fatal(err)
	}
	m.modem = filepath.Join(m.t.TempDir(), "ttyUSB2")
	counters = &atomic.Bool{}
	pty, err := modemtest.StartPTYTraced(m.t.Context(), m.modem, modemtest.NewPlayer(sc, 1), modemtest.NewClock(1), func(_ time.Duration, _ modemtest.Direction, b []byte) {
		if bytes.Contains(b, []byte("+QGDCNT?")) {
			counters.Store(true)
		}
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = pty.Close() })
	m.write()
	return pty, counters
}

// An RNDIS modem names its interface eth7, which no pattern of the config fits:
// the USB device of its serial port tells.
func TestInterfaceFoundThroughTheModemsUSBDevice(t *testing.T) {
	t.Parallel()
	p := boardtest.NewPair(t, "eth7")
	m := newMachine(t, p.Device, "1s", "")
	m.ifaces = `"ppp*"`
	m.newModem()
	m.first = `set -e
mount -t tmpfs none /sys/class
mkdir -p /sys/class/usb/1-1.2/1-1.2:1.2 /sys/class/usb/1-1.2/1-1.2:1.0 /sys/class/tty/ttyUSB2 /sys/class/net/eth7
echo 2c7c >/sys/class/usb/1-1.2/idVendor
ln -s ../../usb/1-1.2/1-1.2:1.2 /sys/class/tty/ttyUSB2/device
ln -s ../../usb/1-1.2/1-1.2:1.0 /sys/class/net/eth7/device`
	before := kernel(t, p)
	m.start()
	for range 5 {
		p.Exchange(30_000, 200_000)
		m.looked(1)
	}
	line, used := agree(t, m, p)
	moved := line - int64(before)
	t.Logf("FIGURE found through the modem's USB device: kernel %d bytes, agent %d off", moved, used-moved)
	if used != moved || moved < 5*230_000 {
		t.Error("off")
	}
}

// Power is cut to the board, not to the modem, which went on counting: its
// +QGDCNT brings back what was counted and not kept, and what moved before the
// agent was up again, less the slack for framing. A new boot id and an empty run
// directory are what a power cut leaves.
func TestPowerCutWithAModemThatCounts(t *testing.T) {
	t.Parallel()
	p := boardtest.NewPair(t, link)
	m := newMachine(t, p.Device, "1s", "")
	pty, asked := m.newModem()
	var past int64 // what interfaces that are gone had moved
	modemShows := func() {
		rx, tx := p.Counters()
		if err := pty.Do(fmt.Sprintf("+QGDCNT? -> +QGDCNT: %d,%d | OK", 5000+tx, 70_000+past+int64(rx))); err != nil {
			t.Fatal(err)
		}
	}
	boot := func(id string) string {
		file := filepath.Join(t.TempDir(), "boot_id")
		if err := os.WriteFile(file, []byte(id+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return "mount --bind " + file + " /proc/sys/kernel/random/boot_id || exit 1"
	}
	m.first = boot("11111111-1111-4111-8111-111111111111")
	p.Exchange(1000, 2000)
	modemShows()
	before := int64(kernel(t, p))
	m.start()
	m.until("the question for the modem's count", asked.Load)
	m.looked(2) // the first count goes to the flash at once
	p.Exchange(30_000, 40_000)
	_, counted := agree(t, m, p) // and not kept: less than store.meter_flush_bytes
	m.stop(syscall.SIGKILL)
	past = int64(kernel(t, p))
	truth := past - before
	if err := os.Remove(filepath.Join(m.run, "meter.state")); err != nil {
		t.Fatal(err)
	}
	p.Delete()
	p.Create()
	p.Exchange(10_000, 20_000) // before the agent is up
	modemShows()
	m.first = boot("22222222-2222-4222-8222-222222222222")
	m.start()
	m.until("the modem's count", func() bool { return int64(m.used()) > counted })
	line, used := agree(t, m, p)
	truth += line
	t.Logf("FIGURE power cut, modem counting on: moved %d bytes, %d at risk, lost %d", truth, counted, truth-used)
	if lost := truth - used; lost < 0 || lost > truth/16 {
		t.Error("out of bounds")
	}
}
