package targets

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed *.toml
var files embed.FS

// maxFile bounds one file: the longest built-in one has a kilobyte and a half. It
// also bounds the time that the TOML library may take for a malicious one.
const maxFile = 8 << 10

// Target is one board. Empty fields are not known.
type Target struct {
	Name   string   `toml:"name"`
	Title  string   `toml:"title"`
	CPU    string   `toml:"cpu"`    // "Cortex-A7"
	Float  string   `toml:"float"`  // soft, vfpv2, vfpv3, vfpv4, hard (part of the architecture)
	Build  []string `toml:"build"`  // names of scripts/build.sh that run on it, the best first
	Init   string   `toml:"init"`   // systemd, sysv, busybox, procd, android
	Memory Size     `toml:"memory"` // what the agent may take: the Go runtime's soft limit
	// Template are the sections that the integrator has to fill in.
	Template []string `toml:"template"`

	Detect Signs  `toml:"detect"`
	Paths  Paths  `toml:"paths"`
	Flash  Flash  `toml:"flash"`
	Data   Data   `toml:"data"`
	Net    Net    `toml:"net"`
	Modem  Modem  `toml:"modem"`
	GPIO   GPIO   `toml:"gpio"`
	LED    LED    `toml:"led"`
	Dialer Dialer `toml:"dialer"`
}

// Signs are by what the board is recognised. See Match.
type Signs struct {
	// Compatible are strings of the device tree; one that goes on behind a "-"
	// counts too: boards made from a maker's own tree say "rockchip,rk3566-evb2-…".
	Compatible []string `toml:"compatible"`
	Model      []string `toml:"model"` // how the device tree's model, or DMI's vendor and product, begins
	CPU        []string `toml:"cpu"`   // the name in /proc/cpuinfo, up to " rev"
	Arch       []string `toml:"arch"`  // GOARCH, where nothing else tells
	OS         string   `toml:"os"`    // "android": only there
}

// Paths are directories.
type Paths struct {
	State  string `toml:"state"` // survives a power cut
	Config string `toml:"config"`
	Run    string `toml:"run"` // in memory
}

// Flash is what the state is written to.
type Flash struct {
	Kind string `toml:"kind"` // spi-nor, raw-nand, emmc, sd, ssd
	Wear string `toml:"wear"` // fragile, ordinary, sturdy
}

// Data are the interfaces that the plan pays for.
type Data struct {
	Interfaces []string `toml:"interfaces"`
}

// Net is for boards without the usual files (Android).
type Net struct {
	DNS    []string `toml:"dns"`
	CAFile string   `toml:"ca_file"`
	CADir  string   `toml:"ca_dir"`
}

// Modem is how it is attached: by USB, or by a UART.
type Modem struct {
	Profile      string `toml:"profile"`
	USB          string `toml:"usb"`           // "2c7c:0125"
	USBInterface *int   `toml:"usb_interface"` // of the AT port; nil: the first that answers
	UART         string `toml:"uart"`
	Baud         int    `toml:"baud"`
}

// GPIO are the lines that lead to the modem; nil: there is none.
type GPIO struct {
	PowerKey   *Line `toml:"power_key"`
	Reset      *Line `toml:"reset"`
	SlotSwitch *Line `toml:"slot_switch"`
	SIMDetect  *Line `toml:"sim_detect"`
}

// Lines are the lines that there are, by their key.
func (g GPIO) Lines() map[string]*Line {
	m := map[string]*Line{"power_key": g.PowerKey, "reset": g.Reset, "slot_switch": g.SlotSwitch, "sim_detect": g.SIMDetect}
	for k, l := range m {
		if l == nil {
			delete(m, k)
		}
	}
	return m
}

// Line is one line of a chip, as gpioinfo(1) counts them.
type Line struct {
	Chip      string   `toml:"chip"` // "gpiochip0"
	Line      int      `toml:"line"`
	ActiveLow bool     `toml:"active_low"`
	Hold      Duration `toml:"hold"` // how long it is pressed
}

// LED is one of /sys/class/leds.
type LED struct {
	Name string `toml:"name"`
}

// Dialer is the program that brings the data session up, and how it is told to do so
// anew. The commands are run without a shell.
type Dialer struct {
	Name     string   `toml:"name"` // pppd, quectel-CM, ModemManager, netifd, ril
	HangUp   string   `toml:"hang_up"`
	Dial     string   `toml:"dial"`
	Requires []string `toml:"requires"` // files that must be there
}

// Size is a number of bytes, written "12MiB".
type Size uint64

// UnmarshalText reads "12MiB" or "512KiB".
func (s *Size) UnmarshalText(b []byte) error {
	text := string(b)
	for unit, shift := range map[string]int{"KiB": 10, "MiB": 20} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			v, err := strconv.ParseUint(n, 10, 20)
			*s = Size(v << shift)
			return err
		}
	}
	return fmt.Errorf(`%q is no size; write "12MiB"`, text)
}

// Duration is written "300ms" or "2s".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// Wear classes: how often the meter may write. A power cut forgets at most so much
// traffic; at 1 MB a day these are four, eight and sixteen writes a day.
const (
	flushFragile  = 256 << 10 // SPI NOR, raw NAND, SD cards: no or unknown wear levelling
	flushOrdinary = 128 << 10 // eMMC
	flushSturdy   = 64 << 10  // SSD
)

// FlushBytes is how much traffic the meter may count between two writes; 0 where the
// flash is not known.
func (f Flash) FlushBytes() uint64 {
	return map[string]uint64{"fragile": flushFragile, "ordinary": flushOrdinary, "sturdy": flushSturdy}[f.Wear]
}

// IsTemplate reports whether a section ("modem") is for the integrator to fill in.
func (t *Target) IsTemplate(section string) bool { return slices.Contains(t.Template, section) }

// Known is t without the sections that are templates: what may be used as it stands.
func (t *Target) Known() Target {
	k := *t
	for _, section := range t.Template {
		if f, ok := fieldByKey(reflect.ValueOf(&k).Elem(), section); ok {
			f.SetZero()
		}
	}
	return k
}

// Names lists the built-in boards.
func Names() []string {
	entries, _ := files.ReadDir(".") // embedded: it cannot fail
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	return names
}

// Text is the file of a built-in board.
func Text(name string) (string, error) {
	b, err := files.ReadFile(name + ".toml")
	if errors.Is(err, fs.ErrNotExist) || !namePattern.MatchString(name) {
		return "", fmt.Errorf("target %q: there is no such board; there are: %s", name, strings.Join(Names(), ", "))
	}
	return string(b), err
}

// Get reads a built-in board.
func Get(name string) (*Target, error) {
	text, err := Text(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".toml", text)
}

var (
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	usbPattern  = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{4}$`)
	chipPattern = regexp.MustCompile(`^gpiochip[0-9]{1,4}$`)
)

// Builds are the names of scripts/build.sh.
var Builds = []string{"armv5", "armv6", "armv7", "arm64", "mipsle", "amd64"}

// words are the values that a key may have.
var words = map[string][]string{
	"float":      {"soft", "vfpv2", "vfpv3", "vfpv4", "hard"},
	"build":      Builds,
	"init":       {"systemd", "sysv", "busybox", "procd", "android"},
	"template":   {"paths", "flash", "data", "net", "modem", "gpio", "led", "dialer"},
	"flash.kind": {"spi-nor", "raw-nand", "emmc", "sd", "ssd"},
	"flash.wear": {"fragile", "ordinary", "sturdy"},
	"detect.os":  {"android"},
}

// Parse reads one file; file is its name, for messages. Every error names the line
// and the cure.
func Parse(file, text string) (*Target, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("target: %s: longer than %d bytes, which is no board", file, maxFile)
	}
	var t Target
	meta, err := toml.Decode(text, &t)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("target: %s:%d: %s", file, pe.Position.Line, strings.TrimSuffix(pe.Message, "."))
		}
		return nil, fmt.Errorf("target: %s: %w", file, err)
	}
	bad := func(key, what, cure string) error {
		return fmt.Errorf("target: %s:%d: %s: %s; %s", file, lineOf(text, key), key, what, cure)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		return nil, bad(extra[0].String(), "unknown key", "the keys here are "+strings.Join(keysBeside(extra[0]), ", "))
	}
	switch stem := strings.TrimSuffix(path.Base(file), ".toml"); {
	case !namePattern.MatchString(t.Name):
		return nil, bad("name", fmt.Sprintf("%q cannot be a board's name", t.Name), "use a-z 0-9 . _ -, such as "+`"acme-kiosk2"`)
	case stem != t.Name && stem != ownFile:
		return nil, bad("name", fmt.Sprintf("is %q, the file's name says %q", t.Name, stem), "make them the same")
	case t.Title == "":
		return nil, bad("title", "is missing", "say in a few words which board it is")
	case len(t.Build) == 0:
		return nil, bad("build", "is missing", "name what scripts/build.sh makes for it: "+strings.Join(Builds, ", "))
	}
	if key, what, cure := t.wrong(); key != "" {
		return nil, bad(key, what, cure)
	}
	return &t, nil
}

// ownFile is the name under which an integrator's board lies beside the config.
const ownFile = "board"

// wrong is the first value that cannot be.
func (t *Target) wrong() (key, what, cure string) {
	texts := map[string][]string{"float": {t.Float}, "build": t.Build, "init": {t.Init}, "template": t.Template,
		"flash.kind": {t.Flash.Kind}, "flash.wear": {t.Flash.Wear}, "detect.os": {t.Detect.OS}}
	for _, key := range []string{"float", "build", "init", "template", "flash.kind", "flash.wear", "detect.os"} {
		for _, v := range texts[key] {
			// An empty word is a key that is absent, but in a list it was written.
			written := v != "" || key == "build" || key == "template"
			if written && !slices.Contains(words[key], v) {
				return key, fmt.Sprintf("%q is not known", v), "write one of " + strings.Join(words[key], ", ")
			}
		}
	}
	for _, p := range []struct{ key, path string }{{"paths.state", t.Paths.State}, {"paths.config", t.Paths.Config}, {"paths.run", t.Paths.Run},
		{"net.ca_file", t.Net.CAFile}, {"net.ca_dir", t.Net.CADir}, {"modem.uart", t.Modem.UART}} {
		if p.path != "" && !path.IsAbs(p.path) {
			return p.key, fmt.Sprintf("%q is not an absolute path", p.path), "begin it with /"
		}
	}
	m := t.Modem
	switch {
	case m.USB != "" && !usbPattern.MatchString(m.USB):
		return "modem.usb", fmt.Sprintf("%q is not what lsusb shows", m.USB), `write "2c7c:0125", in lower case`
	case m.USB != "" && m.UART != "":
		return "modem.uart", "the modem is on USB too", "name one of them"
	case m.USBInterface != nil && (*m.USBInterface < 0 || *m.USBInterface > 31):
		return "modem.usb_interface", "is out of range", "write 0 to 31, bInterfaceNumber of the AT port"
	case m.UART != "" && m.Baud <= 0:
		return "modem.baud", "is missing", "write the UART's speed, such as 115200"
	}
	for _, key := range []string{"power_key", "reset", "slot_switch", "sim_detect"} {
		l := t.GPIO.Lines()[key]
		switch {
		case l == nil:
		case !chipPattern.MatchString(l.Chip) || l.Line < 0 || l.Line > 1023:
			return "gpio." + key, "names no line", `write { chip = "gpiochip0", line = 6 }, as gpioinfo shows it`
		case l.Hold < 0 || time.Duration(l.Hold) > maxHold:
			return "gpio." + key, "hold is out of range", "write up to " + maxHold.String()
		}
	}
	return "", "", ""
}

// maxHold is longer than any module's manual asks for (power off: 3 s and a bit).
const maxHold = 10 * time.Second

// lineOf is the line of a dotted key, of its section where the key is not there, or 1.
func lineOf(text, key string) int {
	section, last := "", key
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		section, last = key[:i], key[i+1:]
	}
	in, best, n := "", 1, 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			in = strings.Trim(line, "[] ")
			if in == section || in == key {
				best = n
			}
			continue
		}
		name, value, found := strings.Cut(line, "=")
		switch name = strings.TrimSpace(name); {
		case !found:
		case in == section && name == last:
			return n
		// The key of an inline table.
		case in != "" && in+"."+name == section && strings.Contains(value, last):
			return n
		}
	}
	return best
}

// keysBeside lists what may stand where an unknown key stood.
func keysBeside(key toml.Key) []string {
	typ := reflect.TypeFor[Target]()
	for _, part := range key[:len(key)-1] {
		f, ok := fieldByKey(reflect.New(typ).Elem(), part)
		if !ok {
			break // the section itself is unknown: name its peers
		}
		typ = f.Type()
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
	}
	var keys []string
	for i := range typ.NumField() {
		keys = append(keys, typ.Field(i).Tag.Get("toml"))
	}
	return keys
}

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	if v.Kind() == reflect.Struct {
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("toml") == key {
				return v.Field(i), true
			}
		}
	}
	return reflect.Value{}, false
}
