package at

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// rawPTY opens a pty that does not echo. It returns the modem's side and the
// path of the host's.
func rawPTY(t testing.TB) (*os.File, string) {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	path := tty.Name()
	tio, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	tio.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
	tio.Iflag &^= unix.ICRNL | unix.IXON
	tio.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, tio); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	// Non-blocking, so that Close ends a Read on it.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	side := os.NewFile(uintptr(fd), "pty")
	t.Cleanup(func() { side.Close() })
	return side, path
}

// serve answers commands on the modem's side of a pty until it is closed.
func serve(master io.ReadWriter, reply func(cmd string) string) {
	in := bufio.NewReader(master)
	for {
		cmd, err := in.ReadString('\r')
		if err != nil {
			return
		}
		out := ready(reply)(strings.TrimSpace(cmd))
		for out != "" { // split reads
			n := min(len(out), 5)
			if _, err := io.WriteString(master, out[:n]); err != nil {
				return
			}
			out = out[n:]
		}
	}
}

func TestPortOverPTY(t *testing.T) {
	defer goleak.VerifyNone(t)
	master, path := rawPTY(t)
	port, err := OpenPort(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve(master, func(cmd string) string {
			return "\r\n+CGEV: NW DETACH\r\n\r\n+CSQ: 20,99\r\n\r\nOK\r\n"
		})
	}()
	d := New(port, Options{})
	for range 20 {
		got, err := d.Command(t.Context(), "AT+CSQ", patience)
		if err != nil || !slices.Equal(got, []string{"+CSQ: 20,99", "OK"}) {
			t.Fatalf("%q, %v", got, err)
		}
		if u := <-d.Unsolicited(); u.Text != "+CGEV: NW DETACH" {
			t.Fatalf("unsolicited %q", u.Text)
		}
	}
	// The modem is pulled out.
	master.Close()
	<-served
	select {
	case <-d.Done():
	case <-time.After(patience):
		t.Fatal("a hang-up was not seen")
	}
	if _, err := d.Command(t.Context(), "AT+CSQ", time.Second); !errors.Is(err, ErrLost) {
		t.Errorf("after hang-up: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := port.Write([]byte("AT\r")); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if _, err := port.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if err := port.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	// It comes back, maybe under the same name.
	master, path = rawPTY(t)
	port, err = OpenPort(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	served = make(chan struct{})
	go func() {
		defer close(served)
		serve(master, func(string) string { return "+CSQ: 21,99\r\nOK\r\n" })
	}()
	d = New(port, Options{})
	if got, err := d.Command(t.Context(), "AT+CSQ", patience); err != nil || got[0] != "+CSQ: 21,99" {
		t.Errorf("%q, %v", got, err)
	}
	d.Close()
	master.Close()
	<-served
}

func openFiles(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(fds)
}

// A port that comes and goes leaves no descriptor, no goroutine and no memory
// behind. CELLWARDEN_REOPENS=10000 shows it for more; each costs a look at all
// processes for a holder.
func TestReopens(t *testing.T) {
	defer goleak.VerifyNone(t)
	reopens := 300
	if n, err := strconv.Atoi(os.Getenv("CELLWARDEN_REOPENS")); err == nil {
		reopens = n
	}
	const goroutinesOfOne = 6 // one that is just ending is no leak
	const heapNoise = 1 << 20
	master, path := rawPTY(t)
	// Kept open, so that the pty does not hang up in between.
	keep, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve(master, func(string) string { return "OK\r\n" })
	}()
	before, goroutines := 0, 0
	var heap uint64
	began := time.Now()
	for i := range reopens {
		port, err := OpenPort(path, 0)
		if err != nil {
			t.Fatalf("open %d: %v", i, err)
		}
		d := New(port, Options{})
		if i%50 == 0 {
			if _, err := d.Command(t.Context(), "AT", patience); err != nil {
				t.Fatalf("open %d: %v", i, err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatalf("close %d: %v", i, err)
		}
		if i == 0 {
			before, goroutines, heap = openFiles(t), runtime.NumGoroutine(), heapInUse()
		}
		// Under load some take their time to end; what never ends is a leak.
		for limit := time.Now().Add(patience); runtime.NumGoroutine() > goroutines+goroutinesOfOne; time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("%d goroutines after %d re-opens, %d after the first", runtime.NumGoroutine(), i, goroutines)
			}
		}
	}
	after, inUse := openFiles(t), heapInUse()
	if after != before {
		t.Errorf("%d descriptors after %d re-opens, %d before", after, reopens, before)
	}
	if inUse > heap+heapNoise {
		t.Errorf("%d bytes of heap after %d re-opens, %d before", inUse, reopens, heap)
	}
	t.Logf("%d re-opens in %v: descriptors %d and %d, heap %d and %d bytes", reopens, time.Since(began).Round(time.Second), before, after, heap, inUse)
	keep.Close()
	master.Close()
	<-served
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A write of what the modem never takes ends with Close, and a new port object
// can be opened at once.
func TestStuckWriteEndsWithClose(t *testing.T) {
	defer goleak.VerifyNone(t)
	master, path := rawPTY(t) // nobody reads the other side
	port, err := OpenPort(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	returned := make(chan error, 1)
	go func() {
		_, err := port.Write(make([]byte, 1<<20)) // more than any tty buffers
		returned <- err
	}()
	// Until the driver takes nothing: what waits on the other side no longer grows.
	for seen, still := -1, 0; still < 20; <-time.After(5 * time.Millisecond) {
		n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		if n == seen && n > 0 {
			still++
		} else {
			seen, still = n, 0
		}
	}
	if err := port.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	again, err := OpenPort(path, 0)
	if err != nil {
		t.Fatalf("the stuck port blocks a new one: %v", err)
	}
	if err := <-returned; !errors.Is(err, ErrClosed) {
		t.Errorf("the stuck write returned %v", err)
	}
	again.Close()
	master.Close()
}

// While a port is closed, another part of the program opens files, and one of
// them gets the number that the port's descriptor had. Neither a Read nor a
// Write of the port may reach it. (go.bug.st/serial alone lets both through.)
func TestClosedPortTouchesNoOtherFile(t *testing.T) {
	const rounds = 300
	_, path := rawPTY(t)
	keep, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0) // so that it does not hang up
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	for range rounds {
		port, err := OpenPort(path, 0)
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			for {
				n, err := port.Read(make([]byte, 16))
				if n > 0 {
					t.Error("read what the modem did not send")
				}
				if err != nil {
					return
				}
			}
		})
		wait.Go(func() {
			for {
				if _, err := port.Write([]byte("AT\r")); err != nil {
					return
				}
			}
		})
		wait.Go(func() {
			for range 20 { // pipes take the lowest free numbers
				var p [2]int
				if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
					t.Error(err)
					return
				}
				_, _ = unix.Write(p[1], []byte("foreign"))
				got := make([]byte, 64)
				if n, _ := unix.Read(p[0], got); string(got[:max(n, 0)]) != "foreign" {
					t.Errorf("another file got %q", got[:max(n, 0)])
				}
				unix.Close(p[0])
				unix.Close(p[1])
			}
		})
		if err := port.Close(); err != nil {
			t.Error(err)
		}
		wait.Wait()
	}
}

func TestPortErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, path := rawPTY(t)
	tests := []struct {
		name, path string
		want       error
		text       string
	}{
		{"absent", filepath.Join(dir, "ttyUSB9"), ErrNoPort, "at: open " + filepath.Join(dir, "ttyUSB9") + ": no such port: is the modem plugged in and powered? (ls /dev/ttyUSB* /dev/ttyACM*)"},
		{"a file", file, ErrNotTTY, "at: open " + file + ": not a serial port: name a tty such as /dev/ttyUSB2"},
		{"a device that is no tty", "/dev/null", ErrNotTTY, "at: open /dev/null: not a serial port: name a tty such as /dev/ttyUSB2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := OpenPort(tt.path, 0)
			if !errors.Is(err, tt.want) || err.Error() != tt.text {
				t.Errorf("error %v, want %s", err, tt.text)
			}
		})
	}
	t.Run("our own lock", func(t *testing.T) {
		first, err := OpenPort(path, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		_, err = OpenPort(path, 0)
		// Without root the kernel refuses before the lock is asked, and names nobody.
		pid := fmt.Sprintf("(pid %d)", os.Getpid())
		if !errors.Is(err, ErrHeld) || os.Geteuid() == 0 && !strings.Contains(err.Error(), pid) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("another program", func(t *testing.T) {
		tty, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer tty.Close()
		cmd := exec.Command("sleep", "60")
		cmd.Stdin = tty
		if err := cmd.Start(); err != nil {
			t.Skip(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		_, err = OpenPort(path, 0)
		want := fmt.Sprintf("at: open %s: held by sleep (pid %d): stop sleep, or give the agent another of the modem's ports", path, cmd.Process.Pid)
		if !errors.Is(err, ErrHeld) || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if h, ok := HolderOf(path); !ok || h.Name != "sleep" {
			t.Errorf("holder %v", h)
		}
	})
	t.Run("no permission", func(t *testing.T) {
		err := openError("/dev/ttyUSB2", os.ErrPermission, systemPaths)
		if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "dialout") {
			t.Errorf("error %v", err)
		}
	})
}

func TestLockFileOfPppd(t *testing.T) {
	dir := t.TempDir()
	paths := portPaths{proc: filepath.Join(dir, "proc"), lock: dir}
	_, path := rawPTY(t)
	if err := os.MkdirAll(filepath.Join(paths.proc, "4711"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/4711/comm", "pppd\n")
	lock := "LCK.." + filepath.Base(path)
	write(lock, "      4711\n")
	_, err := openPort(path, 0, paths)
	want := "at: open " + path + ": held by pppd (pid 4711): give the agent another of the modem's ports, this one carries the data"
	if !errors.Is(err, ErrHeld) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	write(lock, "      4712\n") // its owner is gone
	port, err := openPort(path, 0, paths)
	if err != nil {
		t.Fatalf("a stale lock file: %v", err)
	}
	port.Close()
}

// fakeSys builds a tree as Linux does for an EC25 on usb-serial (ttyUSB0 to 3),
// a u-blox on cdc_acm and a UART.
func fakeSys(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, path string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, to), path); err != nil {
			t.Fatal(err)
		}
	}
	put("devices/usb1/1-1/idVendor", "2c7c")
	put("devices/usb1/1-1/idProduct", "0125")
	put("devices/usb1/1-1/serial", "fake0001")
	for i := range 4 {
		dir := fmt.Sprintf("devices/usb1/1-1/1-1:1.%d", i)
		put(dir+"/bInterfaceNumber", fmt.Sprintf("%02x", i))
		put(fmt.Sprintf("%s/ttyUSB%d/uevent", dir, i), "")
		link("bus/usb-serial/drivers/option1", fmt.Sprintf("%s/ttyUSB%d/driver", dir, i))
		link(fmt.Sprintf("%s/ttyUSB%d", dir, i), fmt.Sprintf("class/tty/ttyUSB%d/device", i))
	}
	put("devices/usb1/1-2/idVendor", "1546")
	put("devices/usb1/1-2/idProduct", "1143")
	put("devices/usb1/1-2/1-2:1.2/bInterfaceNumber", "02")
	link("bus/usb/drivers/cdc_acm", "devices/usb1/1-2/1-2:1.2/driver")
	link("devices/usb1/1-2/1-2:1.2", "class/tty/ttyACM0/device")
	put("devices/platform/serial8250/uevent", "")
	link("devices/platform/serial8250", "class/tty/ttyS0/device")
	put("class/tty/console/uevent", "")
	return root
}

func TestFindPort(t *testing.T) {
	root := fakeSys(t)
	tests := []struct {
		want  USBMatch
		ports []string
	}{
		{USBMatch{Vendor: "2c7c", Product: "0125", Interface: "02"}, []string{"/dev/ttyUSB2"}},
		{USBMatch{Vendor: "2C7C"}, []string{"/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyUSB2", "/dev/ttyUSB3"}},
		{USBMatch{Vendor: "1546"}, []string{"/dev/ttyACM0"}},
		{USBMatch{Serial: "fake0001", Interface: "03"}, []string{"/dev/ttyUSB3"}},
		{USBMatch{Vendor: "1e0e"}, nil},
		{USBMatch{}, []string{"/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyUSB2", "/dev/ttyUSB3", "/dev/ttyACM0"}},
	}
	for _, tt := range tests {
		got, err := FindPort(root, tt.want)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range got {
			names = append(names, p.Path)
		}
		if !slices.Equal(names, tt.ports) {
			t.Errorf("%v: %q, want %q", tt.want, names, tt.ports)
		}
	}
	got, _ := FindPort(root, USBMatch{Interface: "02", Vendor: "2c7c"})
	want := PortInfo{Path: "/dev/ttyUSB2", Vendor: "2c7c", Product: "0125", Interface: "02", Serial: "fake0001", Driver: "option1", USBPath: "1-1"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
	if _, err := FindPort(filepath.Join(root, "none"), USBMatch{}); err == nil {
		t.Error("a missing sysfs passed")
	}
}
