package board

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	targets "cellwarden/firmware-targets"

	"golang.org/x/sys/unix"
)

// A Check is one thing that a board's file promises, as the board has it.
type Check struct {
	// What is the key of its words in package text: "check.cpu".
	What  string `json:"what"`
	State string `json:"state"` // ok, missing, fill_in (the file does not say yet), unknown
	// Found is what is there, or what was looked for.
	Found string `json:"found,omitempty"`
}

// The states of a Check.
const (
	CheckOK      = "ok"
	CheckMissing = "missing"
	CheckFillIn  = "fill_in"
	CheckUnknown = "unknown"
)

// minState is what the state directory's file system should have free: the outbox's
// default of 16 MiB, the meter's state, and two binaries for an update.
const minState = 16<<20 + 1<<20

// machine is the board that is checked. root is "/", or a copy of a board's /proc,
// /sys and /dev.
type machine struct {
	root string
	fs   fs.FS
	out  []Check
}

// CheckTarget looks whether everything that t promises is on the machine at root. arch
// and build are GOARCH and the build ("armv7") of the running binary; an unknown build
// is "". It writes nothing but one empty file into the state directory, which it
// removes.
func CheckTarget(root string, t *targets.Target, arch, build string) []Check {
	m := &machine{root: root, fs: os.DirFS(root)}
	facts := targets.ReadFacts(m.fs, arch)
	m.identity(t, facts)
	m.cpu(t, facts, build)
	m.memory(t)
	m.init(t)
	m.paths(t)
	if !m.template(t, "data") {
		m.data(t)
	}
	if !m.template(t, "modem") {
		m.modem(t.Modem)
	}
	if !m.template(t, "gpio") {
		for _, key := range []string{"power_key", "reset", "slot_switch", "sim_detect"} {
			if l := t.GPIO.Lines()[key]; l != nil {
				m.must("gpio", m.there("dev/"+l.Chip), fmt.Sprintf("%s: /dev/%s line %d", key, l.Chip, l.Line))
			}
		}
	}
	if !m.template(t, "led") && t.LED.Name != "" {
		m.must("led", m.there("sys/class/leds/"+t.LED.Name+"/brightness"), t.LED.Name)
	}
	if !m.template(t, "dialer") && t.Dialer.Name != "" {
		m.dialer(t.Dialer)
	}
	if !m.template(t, "net") {
		m.net(t.Net)
	}
	return m.out
}

func (m *machine) add(what, state, found string) {
	m.out = append(m.out, Check{What: what, State: state, Found: found})
}

func (m *machine) must(what string, ok bool, found string) {
	state := CheckMissing
	if ok {
		state = CheckOK
	}
	m.add(what, state, found)
}

func (m *machine) template(t *targets.Target, section string) bool {
	if t.IsTemplate(section) {
		m.add(section, CheckFillIn, "")
		return true
	}
	return false
}

func (m *machine) there(name string) bool {
	_, err := os.Stat(filepath.Join(m.root, name))
	return err == nil
}

func (m *machine) read(name string) string {
	b, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		return ""
	}
	return strings.Trim(string(b), "\x00 \t\r\n")
}

func (m *machine) glob(pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(m.root, pattern)) // the patterns are ours
	return found
}

// below is a path that glob has found, without the root.
func (m *machine) below(found string) string { return strings.TrimPrefix(found, m.root) }

func (m *machine) identity(t *targets.Target, f targets.Facts) {
	rank, by := t.Match(f)
	if rank == 0 {
		by = strings.Join(append(slices.Clone(f.Compatible), f.Model, f.CPU.Name), " ")
	}
	m.must("board", rank > 0, strings.TrimSpace(by))
}

func (m *machine) cpu(t *targets.Target, f targets.Facts, build string) {
	if build == "" {
		m.add("cpu", CheckUnknown, strings.Join(t.Build, ", "))
		return
	}
	err := f.CPU.Runs(build, f.Arch)
	switch {
	case err != nil:
		m.add("cpu", CheckMissing, err.Error())
	case !slices.Contains(t.Build, build):
		m.add("cpu", CheckMissing, build+": "+strings.Join(t.Build, ", "))
	default:
		m.add("cpu", CheckOK, build)
	}
}

// memory wants twice what the agent may take: the machine's own software comes first.
func (m *machine) memory(t *targets.Target) {
	for line := range strings.Lines(m.read("proc/meminfo")) {
		rest, ok := strings.CutPrefix(line, "MemAvailable:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 54)
		if err == nil {
			m.must("memory", kb<<10 >= 2*uint64(t.Memory), fmt.Sprintf("%d MiB", kb>>10))
			return
		}
	}
	m.add("memory", CheckUnknown, "MemAvailable") // kernels before 3.14
}

// initMarks show that an init system is the one that runs.
var initMarks = map[string][]string{
	"systemd": {"run/systemd/system"},
	"procd":   {"sbin/procd", "etc/rc.common"},
	"busybox": {"etc/inittab", "etc/init.d/rcS"},
	"sysv":    {"etc/init.d"},
	"android": {"system/build.prop"},
}

func (m *machine) init(t *targets.Target) {
	if t.Init == "" {
		return
	}
	m.must("init", slices.ContainsFunc(initMarks[t.Init], m.there), t.Init)
}

func (m *machine) paths(t *targets.Target) {
	if m.template(t, "paths") {
		return
	}
	if dir := t.Paths.State; dir != "" {
		real, st, err := m.statfs(dir)
		free := uint64(st.Bavail) * uint64(st.Bsize)
		found := fmt.Sprintf("%s: %d MiB", dir, free>>20)
		switch {
		case err != nil:
			m.add("state", CheckMissing, dir)
		case inMemory(st):
			m.add("state_memory", CheckMissing, dir)
		case !writable(real):
			m.add("state", CheckMissing, dir)
		default:
			m.must("room", free >= minState, found)
		}
	}
	if dir := t.Paths.Run; dir != "" {
		real, st, err := m.statfs(dir)
		m.must("run", err == nil && writable(real), dir)
		if err == nil && !inMemory(st) {
			m.add("run_flash", CheckMissing, dir)
		}
	}
	if dir := t.Paths.Config; dir != "" {
		m.must("config", m.there(dir), dir)
	}
}

// inMemory compares 32 bits: the field is signed and of another width on each
// architecture.
func inMemory(st unix.Statfs_t) bool {
	return uint32(st.Type) == unix.TMPFS_MAGIC || uint32(st.Type) == unix.RAMFS_MAGIC
}

// statfs looks at dir, or at the nearest directory above it that is there: the
// installer makes the rest.
func (m *machine) statfs(dir string) (string, unix.Statfs_t, error) {
	var st unix.Statfs_t
	for {
		real := filepath.Join(m.root, dir)
		err := unix.Statfs(real, &st)
		if err == nil || dir == "/" {
			return real, st, err
		}
		dir = path.Dir(dir)
	}
}

// writable tries: root reads permission bits one way, a read-only file system another.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".cellwarden-check-")
	if err != nil {
		return false
	}
	_ = f.Close()
	return os.Remove(f.Name()) == nil
}

func (m *machine) data(t *targets.Target) {
	var found []string
	for _, p := range m.glob("sys/class/net/*") {
		name := filepath.Base(p)
		if slices.ContainsFunc(t.Data.Interfaces, func(want string) bool { ok, _ := path.Match(want, name); return ok }) {
			found = append(found, name)
		}
	}
	if len(t.Data.Interfaces) > 0 {
		m.must("data", len(found) > 0, strings.Join(cmpOr(found, t.Data.Interfaces), " "))
	}
}

func cmpOr(a, b []string) []string {
	if len(a) > 0 {
		return a
	}
	return b
}

func (m *machine) modem(d targets.Modem) {
	if d.UART != "" {
		// The 8250 driver makes nodes for UARTs that are not there: type 0.
		m.must("uart", m.there(d.UART) && m.read("sys/class/tty/"+path.Base(d.UART)+"/type") != "0", d.UART)
	}
	if d.USB == "" {
		return
	}
	vendor, product, _ := strings.Cut(d.USB, ":")
	device := ""
	for _, id := range m.glob("sys/bus/usb/devices/*/idVendor") {
		rel := m.below(filepath.Dir(id))
		if m.read(rel+"/idVendor") == vendor && m.read(rel+"/idProduct") == product {
			device = rel
		}
	}
	m.must("usb", device != "", d.USB)
	if device == "" || d.USBInterface == nil {
		return
	}
	for _, number := range m.glob(device + ":*/bInterfaceNumber") {
		rel := m.below(filepath.Dir(number))
		if m.read(rel+"/bInterfaceNumber") != fmt.Sprintf("%02x", *d.USBInterface) {
			continue
		}
		// usb-serial puts ttyUSB2 below the interface, cdc_acm tty/ttyACM0.
		for _, tty := range append(m.glob(rel+"/ttyUSB*"), m.glob(rel+"/tty/tty*")...) {
			m.must("port", m.there("dev/"+filepath.Base(tty)), "/dev/"+filepath.Base(tty))
			return
		}
	}
	m.add("port", CheckMissing, fmt.Sprintf("%s interface %d", d.USB, *d.USBInterface))
}

// programDirs are where a program may be, beside PATH.
var programDirs = []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin", "/usr/local/sbin", "/system/bin", "/vendor/bin"}

func (m *machine) dialer(d targets.Dialer) {
	for _, file := range d.Requires {
		m.must("dialer", m.there(file), file)
	}
	for _, command := range []string{d.HangUp, d.Dial} {
		words := strings.Fields(command)
		if len(words) == 0 {
			continue
		}
		is := path.IsAbs(words[0]) && m.there(words[0]) ||
			slices.ContainsFunc(programDirs, func(dir string) bool { return m.there(dir + "/" + words[0]) })
		m.must("dialer", is, command)
	}
}

func (m *machine) net(n targets.Net) {
	if len(n.DNS) == 0 && !m.there("etc/resolv.conf") {
		m.add("dns", CheckMissing, "/etc/resolv.conf")
	}
	if n.CAFile != "" {
		m.must("ca", m.there(n.CAFile), n.CAFile)
	}
	if n.CADir != "" {
		files := m.glob(strings.TrimPrefix(n.CADir, "/") + "/*")
		m.must("ca", len(files) > 0, fmt.Sprintf("%s: %d", n.CADir, len(files)))
	}
}
