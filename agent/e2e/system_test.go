package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/diag"
)

// initramfs writes a root file system as the kernel unpacks it (cpio "newc",
// Documentation/driver-api/early-userspace/buffer-format.rst).
type initramfs struct {
	bytes.Buffer
	inode int
}

func (c *initramfs) add(name string, mode, major, minor int, data []byte) {
	c.inode++
	fmt.Fprintf(c, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	c.WriteString(name + "\x00")
	c.align()
	c.Write(data)
	c.align()
}

func (c *initramfs) align() { c.Write(make([]byte, (4-c.Len()%4)%4)) }

func (c *initramfs) dir(name string)               { c.add(name, 0o040755, 0, 0, nil) }
func (c *initramfs) file(name string, data []byte) { c.add(name, 0o100755, 0, 0, data) }

func (c *initramfs) copy(t *testing.T, name, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	c.file(name, data)
}

// The board's own file: modem on the second serial line, reset line on a chip that the
// emulated board has.
const systemBoard = `name = "virt"
title = "an emulated board"
build = ["armv7"]
init = "busybox"
memory = "12MiB"
[detect]
compatible = ["linux,dummy-virt"]
[paths]
state = "/var/lib/cellwarden"
config = "/etc/cellwarden"
run = "/run/cellwarden"
[modem]
uart = "/dev/ttyS0"
baud = 115200
profile = "quectel-ec2x"
[gpio]
reset = { chip = "gpiochip0", line = 5, hold = "300ms" }
`

const systemRC = `#!/bin/sh
export PATH=/bin:/sbin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
for m in failover net_failover virtio_mmio virtio_net; do insmod /lib/$m.ko; done
ip link set lo up
i=0
until ip link set eth0 up 2>/dev/null || [ $i -gt 50 ]; do i=$((i+1)); usleep 100000; done
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
echo "CHECK begins"
cellwarden target check
echo "CHECK ends $?"
`

// A Debian kernel, BusyBox as init and the ARMv7 binary as its service: the modem is on
// a second serial line, the board is known by its device tree. The card is pulled and
// the broker hears of it; the modem falls mute, and after five minutes the agent presses
// the reset line through the kernel's driver of the emulated board's GPIO chip. Eight
// minutes; scripts/system.sh brings the kernel.
func TestSmallSystem(t *testing.T) {
	t.Parallel()
	from := os.Getenv("CELLWARDEN_SYSTEM")
	if from == "" {
		t.Skip("nightly: make test-system runs it")
	}
	modem := newModem(t, "healthy-quectel")
	b := newBroker(t, nil, "127.0.0.1", "")
	k := newBackend(b)

	var root initramfs
	for _, dir := range []string{"bin", "sbin", "usr", "usr/bin", "etc", "etc/init.d", "etc/cellwarden", "lib", "dev", "proc", "sys", "run", "var", "var/lib", "var/lib/cellwarden", "tmp"} {
		root.dir(dir)
	}
	root.add("dev/console", 0o020600, 5, 1, nil)
	root.copy(t, "bin/busybox", filepath.Join(from, "busybox"))
	for _, name := range []string{"sh", "mount", "insmod", "ip", "echo", "usleep", "kill", "pidof", "sleep"} {
		root.add("bin/"+name, 0o120777, 0, 0, []byte("busybox"))
	}
	root.add("init", 0o120777, 0, 0, []byte("bin/busybox"))
	root.add("linuxrc", 0o120777, 0, 0, []byte("bin/busybox"))
	root.add("sbin/init", 0o120777, 0, 0, []byte("../bin/busybox"))
	for _, module := range []string{"failover", "net_failover", "virtio_mmio", "virtio_net"} {
		root.copy(t, "lib/"+module+".ko", filepath.Join(from, module+".ko"))
	}
	root.copy(t, "usr/bin/cellwarden", crossBuild(t, "armv7"))
	root.file("etc/init.d/rcS", []byte(systemRC))
	root.file("etc/inittab", []byte("::sysinit:/etc/init.d/rcS\n::respawn:/usr/bin/cellwarden run\n"))
	root.file("etc/cellwarden/board.toml", []byte(systemBoard))
	root.file("etc/cellwarden/cellwarden.toml", []byte(fmt.Sprintf(`
[device]
id = %q
[data]
interfaces = ["none0"]
[modem]
poll = "2s"
[uplink]
brokers = ["mqtt://10.0.2.2:%s"]
[probes]
daily_budget_bytes = 0
ntp = []
[api]
http = ""
[store]
outbox_bytes = 1048576
%s`, device, b.port, testPace)))
	root.add("TRAILER!!!", 0, 0, 0, nil)
	image := filepath.Join(t.TempDir(), "root.cpio")
	if err := os.WriteFile(image, root.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	var console lines
	qemu := command(nil, "qemu-system-arm", "-M", "virt,highmem=off", "-cpu", "cortex-a7", "-m", "256", "-nographic", "-no-reboot", "-nodefaults",
		"-kernel", filepath.Join(from, "vmlinuz"), "-initrd", image, "-append", "console=ttyAMA0 panic=5 loglevel=4",
		"-serial", "stdio", "-chardev", "serial,id=modem,path="+modem.port, "-device", "pci-serial,chardev=modem",
		"-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n")
	qemu.Stdout, qemu.Stderr = &console, &console
	began := time.Now()
	start(t, qemu)
	t.Cleanup(func() {
		kill(qemu, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("the console:\n%s", console.String())
		}
	})

	until(t, "the agent at the backend", patient, func() bool {
		_, online := k.seen()
		return len(online) > 0 && online[len(online)-1].Up
	})
	t.Logf("FIGURE system: at the broker %s after power-on", seconds(time.Since(began)))
	hasAll(t, "target check", console.String(), "virt: an emulated board (/etc/cellwarden/board.toml)", "board: linux,dummy-virt",
		"modem's UART: /dev/ttyS0", "GPIO line: reset: /dev/gpiochip0 line 5", "CHECK ends 3") // 3: no data interface, by default

	onset := time.Now()
	modem.do("sim absent")
	a, _ := k.alert(diag.SIMAbsent, patient)
	t.Logf("FIGURE system: alert sim_absent at the backend %s after the card was pulled", seconds(time.Since(onset)))
	wantAlert(t, a, "technician", diag.Confirmed, diag.Likely)
	modem.do("sim ready")
	k.cleared(diag.SIMAbsent, patient)

	modem.do("mute")
	onset = time.Now()
	k.alert(diag.ModemFault, patient)
	const resetWithin = 8 * time.Minute // five by promise, and what the raising takes
	until(t, "the reset line pressed", resetWithin, func() bool { return strings.Contains(console.String(), "modem reset by its line") })
	t.Logf("FIGURE system: the reset line was pressed %s after the modem fell mute", seconds(time.Since(onset)))
	for line := range strings.Lines(console.String()) {
		if strings.Contains(line, "modem reset by its line") && !strings.Contains(line, "error=<nil>") {
			t.Errorf("%s", line)
		}
	}
	modem.do("unmute")
	k.cleared(diag.ModemFault, patient)
}
