package modem

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cellwarden/modem/at"
	"cellwarden/modem/modemtest"
	"cellwarden/modem/threegpp"

	"github.com/creack/pty"
)

// usbTree is a sysfs with one USB modem of three ttys, and device nodes of their
// names that lead to pseudo terminals.
type usbTree struct {
	t    *testing.T
	root string
	dev  []string
}

// plug gives the modem's interfaces the names first, first+1 and so on, each
// leading to a terminal.
func (u *usbTree) plug(first int, terminals ...string) {
	u.t.Helper()
	check := func(err error) {
		u.t.Helper()
		if err != nil {
			u.t.Fatal(err)
		}
	}
	device := filepath.Join(u.root, "devices/usb1/1-1")
	check(os.MkdirAll(device, 0o700))
	check(os.WriteFile(filepath.Join(device, "idVendor"), []byte("2c7c\n"), 0o600))
	check(os.WriteFile(filepath.Join(device, "idProduct"), []byte("0125\n"), 0o600))
	for i, terminal := range terminals {
		name := fmt.Sprintf("ttyCWTEST%d_%d", os.Getpid(), first+i)
		iface := filepath.Join(device, fmt.Sprintf("1-1:1.%d", i))
		check(os.MkdirAll(filepath.Join(iface, name), 0o700))
		check(os.WriteFile(filepath.Join(iface, "bInterfaceNumber"), []byte(fmt.Sprintf("%02x\n", i)), 0o600))
		check(os.MkdirAll(filepath.Join(u.root, "class/tty", name), 0o700))
		check(os.Symlink(filepath.Join(iface, name), filepath.Join(u.root, "class/tty", name, "device")))
		node := "/dev/" + name
		if err := os.Symlink(terminal, node); err != nil {
			u.t.Skipf("SKIPPED: no device node can be made here: %v", err)
		}
		u.dev = append(u.dev, node)
	}
}

func (u *usbTree) unplug() {
	for _, node := range u.dev {
		_ = os.Remove(node)
	}
	u.dev = nil
	_ = os.RemoveAll(filepath.Join(u.root, "devices"))
	_ = os.RemoveAll(filepath.Join(u.root, "class"))
	_ = os.MkdirAll(filepath.Join(u.root, "class/tty"), 0o700)
}

// Three ttys of which the third answers AT; the modem is pulled out and comes
// back under other names.
func TestFoundByUSBNumbersUnderAnyName(t *testing.T) {
	t.Parallel()
	u := &usbTree{t: t, root: t.TempDir()}
	defer u.unplug()
	mute := func() string { // the diagnostic and the GNSS port: nobody answers there
		master, tty, err := pty.Open()
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { master.Close(); tty.Close() })
		return tty.Name()
	}
	spec := Spec{USB: at.USBMatch{Vendor: "2c7c", Product: "0125"}, SysRoot: u.root}
	open := func(first int, sim *modemtest.PTY) *Modem {
		t.Helper()
		target, err := filepath.EvalSymlinks(sim.Path())
		if err != nil {
			t.Fatal(err)
		}
		u.plug(first, mute(), mute(), target)
		m, err := Open(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if want := u.dev[2]; m.Port() != want {
			t.Errorf("opened %s, want %s", m.Port(), want)
		}
		if got := facts[threegpp.SIM](m.Ask(t.Context(), SIM)); len(got) != 1 || got[0].State != threegpp.SIMReady {
			t.Errorf("%s: %v", m.Port(), got)
		}
		return m
	}
	sim := terminal(t, ec20)
	m := open(0, sim)
	u.unplug()
	if err := sim.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-time.After(patience):
		t.Fatal("the pulled modem was not noticed")
	}
	_ = m.Close()
	if _, err := Open(t.Context(), spec); !errors.Is(err, ErrNotFound) {
		t.Errorf("while it is away: %v", err)
	}
	_ = open(4, terminal(t, ec20)).Close()
}
