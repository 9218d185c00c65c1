package targets

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cellwarden/modem/profile"
)

// What issue and README promise to be here.
func TestBoardsThatWereAskedFor(t *testing.T) {
	for what, names := range map[string][]string{
		"ARM926, soft float":             {"arm926"},
		"ARMv6":                          {"arm1176"},
		"Cortex-A7 and A8":               {"imx6ull", "v3s", "t3", "am335x"},
		"Cortex-A35, A53, A55":           {"px30", "rk3566", "rk3568", "imx8m"},
		"Rockchip with Android":          {"rk3288-android", "rk3399-android"},
		"OpenWrt gateways":               {"mt7688", "mt7621"},
		"Raspberry Pi with a modem HAT":  {"rpi-hat"},
		"a POS terminal with a PC's CPU": {"x86-pos"},
	} {
		for _, name := range names {
			if _, err := Get(name); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// Every file names its sources, only builds and modem profiles that exist, and keeps
// what no board decides (which modem, how it is wired) as an example.
func TestFiles(t *testing.T) {
	out, err := exec.Command("../scripts/build.sh", "-l").Output()
	if err != nil {
		t.Fatal(err)
	}
	if known := strings.Fields(string(out)); !slices.Equal(known, Builds) {
		t.Errorf("scripts/build.sh makes %v, Builds are %v", known, Builds)
	}
	profiles, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("*.toml")
	if err != nil || len(paths) != len(Names()) {
		t.Fatalf("%d files, %d names, %v", len(paths), len(Names()), err)
	}
	for _, p := range append(paths, "example/board.toml") {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(p, string(text))
		if err != nil {
			t.Error(err)
			continue
		}
		own := strings.HasPrefix(p, "example/")
		if !own && !strings.Contains(string(text), "\n# Source: ") && !strings.HasPrefix(string(text), "# Source: ") {
			t.Errorf("%s: names no source", p)
		}
		if _, ok := profiles.Get(b.Modem.Profile); !ok {
			t.Errorf("%s: there is no profile %q", p, b.Modem.Profile)
		}
		d := b.Detect
		if len(d.Compatible)+len(d.Model)+len(d.CPU)+len(d.Arch) == 0 {
			t.Errorf("%s: cannot be recognised", p)
		}
		for _, missing := range []struct{ key, value string }{{"cpu", b.CPU}, {"float", b.Float}, {"init", b.Init}, {"paths.state", b.Paths.State},
			{"paths.config", b.Paths.Config}, {"paths.run", b.Paths.Run}, {"flash.kind", b.Flash.Kind}, {"flash.wear", b.Flash.Wear}} {
			if missing.value == "" {
				t.Errorf("%s: %s is missing", p, missing.key)
			}
		}
		if b.Memory < 8<<20 || b.Memory > 64<<20 || len(b.Data.Interfaces) == 0 {
			t.Errorf("%s: memory %d, interfaces %v", p, b.Memory, b.Data.Interfaces)
		}
		if b.Init == "android" && (len(b.Net.DNS) == 0 || b.Net.CADir == "") {
			t.Errorf("%s: Android needs its own name servers and certificates", p)
		}
		for _, section := range []string{"modem", "gpio", "led", "dialer"} {
			if !own && !b.IsTemplate(section) {
				t.Errorf("%s: [%s] is not marked as a template: no processor decides it", p, section)
			}
		}
		if k := b.Known(); !own && (k.Modem != Modem{} || len(k.GPIO.Lines()) > 0 || k.Paths != b.Paths) {
			t.Errorf("%s: Known does not leave out the templates, or leaves out more: %+v", p, k)
		}
	}
}

const (
	cpuARM926 = "processor\t: 0\nmodel name\t: ARM926EJ-S rev 5 (v5l)\nBogoMIPS\t: 199.06\nFeatures\t: swp half thumb fastmult edsp java \nCPU implementer\t: 0x41\nCPU architecture: 5TEJ\nCPU part\t: 0x926\n\nHardware\t: Atmel AT91SAM9\n"
	cpuPi1    = "processor\t: 0\nmodel name\t: ARMv6-compatible processor rev 7 (v6l)\nBogoMIPS\t: 697.95\nFeatures\t: half thumb fastmult vfp edsp java tls\nCPU implementer\t: 0x41\nCPU architecture: 7\nCPU part\t: 0xb76\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi Model B Rev 2\n"
	cpuPi1Old = "Processor\t: ARMv6-compatible processor rev 7 (v6l)\nBogoMIPS\t: 697.95\nFeatures\t: swp half thumb fastmult vfp edsp java tls\nCPU architecture: 7\n"
	cpuA7     = "processor\t: 0\nmodel name\t: ARMv7 Processor rev 5 (v7l)\nFeatures\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae\nCPU architecture: 7\nCPU part\t: 0xc07\n"
	cpuA55    = "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd05\n"
	cpuMT7688 = "system type\t\t: MediaTek MT7688 ver:1 eco:2\nmachine\t\t\t: Hi-Link HLK-7688A\nprocessor\t\t: 0\ncpu model\t\t: MIPS 24KEc V5.5\n"
	cpuPC     = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Celeron(R) J1900\n"
)

// Device trees as the boards' makers and mainline have them.
func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Facts
		want string
		by   string
	}{
		{"i.MX6ULL EVK", Facts{Compatible: []string{"fsl,imx6ull-14x14-evk", "fsl,imx6ull"}, CPU: ParseCPU(cpuA7), Arch: "arm"}, "imx6ull", "fsl,imx6ull-14x14-evk"},
		{"a module's own i.MX6ULL", Facts{Compatible: []string{"phytec,imx6ull-pbacd10-emmc", "phytec,imx6ull-pcl063", "fsl,imx6ull"}, Arch: "arm"}, "imx6ull", "fsl,imx6ull"},
		{"Lichee Pi Zero", Facts{Compatible: []string{"licheepi,licheepi-zero", "allwinner,sun8i-v3s"}, Arch: "arm"}, "v3s", "allwinner,sun8i-v3s"},
		{"CQA3T with T3", Facts{Compatible: []string{"qihua,t3-cqa3t-bv3", "allwinner,sun8i-t3", "allwinner,sun8i-r40"}, Arch: "arm"}, "t3", "allwinner,sun8i-t3"},
		{"BeagleBone Black", Facts{Compatible: []string{"ti,am335x-bone-black", "ti,am335x-bone", "ti,am33xx"}, Arch: "arm"}, "am335x", "ti,am33xx"},
		{"RK3566 from the maker's tree", Facts{Compatible: []string{"rockchip,rk3566-evb2-lp4x-v10"}, CPU: ParseCPU(cpuA55), Arch: "arm64"}, "rk3566", "rockchip,rk3566-evb2-lp4x-v10"},
		{"RK3288 with Android", Facts{Compatible: []string{"rockchip,rk3288-evb-android-rk808-edp", "rockchip,rk3288"}, Android: true, Arch: "arm"}, "rk3288-android", "rockchip,rk3288-evb-android-rk808-edp"},
		{"RK3288 with Debian is not described", Facts{Compatible: []string{"asus,rk3288-tinker", "rockchip,rk3288"}, Arch: "arm"}, "", ""},
		{"RK3399 with Android", Facts{Compatible: []string{"rockchip,rk3399-firefly-android", "rockchip,rk3399"}, Android: true, Arch: "arm64"}, "rk3399-android", "rockchip,rk3399-firefly-android"},
		{"HLK-7688A with OpenWrt", Facts{Compatible: []string{"hilink,hlk-7688a", "mediatek,mt7628an-soc"}, CPU: ParseCPU(cpuMT7688), Arch: "mipsle"}, "mt7688", "mediatek,mt7628an-soc"},
		{"MT7621 router", Facts{Compatible: []string{"xiaomi,mir3g", "mediatek,mt7621-soc"}, Arch: "mipsle"}, "mt7621", "mediatek,mt7621-soc"},
		{"Raspberry Pi 4", Facts{Compatible: []string{"raspberrypi,4-model-b", "brcm,bcm2711"}, Model: "Raspberry Pi 4 Model B Rev 1.4", Arch: "arm64"}, "rpi-hat", "brcm,bcm2711"},
		{"Raspberry Pi Zero W", Facts{Compatible: []string{"raspberrypi,model-zero-w", "brcm,bcm2835"}, CPU: ParseCPU(cpuPi1), Arch: "arm"}, "arm1176", "brcm,bcm2835"},
		{"an AT91SAM9G25 without a device tree", Facts{CPU: ParseCPU(cpuARM926), Arch: "arm"}, "arm926", "ARM926EJ-S"},
		{"a PC", Facts{Model: "ACME POS-1000", CPU: ParseCPU(cpuPC), Arch: "amd64"}, "x86-pos", "amd64"},
		{"an unknown Cortex-A7", Facts{Compatible: []string{"acme,soc9000"}, CPU: ParseCPU(cpuA7), Arch: "arm"}, "", ""},
		{"a machine that says nothing", Facts{}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, by, err := Detect(c.f)
			if err != nil {
				t.Fatal(err)
			}
			name := ""
			if got != nil {
				name = got.Name
			}
			if name != c.want || by != c.by {
				t.Errorf("is %q by %q, want %q by %q", name, by, c.want, c.by)
			}
			// The quick look at the text must not pass over a board that fits.
			for _, n := range Names() {
				text, err := Text(n)
				if err != nil {
					t.Fatal(err)
				}
				b, err := Parse(n+".toml", text)
				if err != nil {
					t.Fatal(err)
				}
				if rank, _ := b.Match(c.f); rank > 0 && !c.f.mentioned(text) {
					t.Errorf("%s fits and would not be read", n)
				}
			}
		})
	}
	own, err := Parse("board.toml", "name=\"k2\"\ntitle=\"x\"\nbuild=[\"arm64\"]\n[detect]\nmodel=[\"ACME Kiosk\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	if rank, by := own.Match(Facts{Compatible: []string{"acme,x"}, Model: "ACME Kiosk 2 rev B"}); rank < byCompatible || by != "ACME Kiosk 2 rev B" {
		t.Errorf("a model that begins so: %d %q", rank, by)
	}
}

func TestCPURuns(t *testing.T) {
	for _, c := range []struct {
		name, cpuinfo, arch string
		runs                []string
		refused             string // what the highest refused build is told
	}{
		{"ARM926 (AT91SAM9G25)", cpuARM926, "arm", []string{"armv5"},
			"armv7 needs more than this processor has (ARM926EJ-S: swp half thumb fastmult edsp java); take armv5"},
		{"Raspberry Pi 1, which says architecture 7", cpuPi1, "arm", []string{"armv5", "armv6"},
			"armv7 needs more than this processor has (ARMv6-compatible processor: half thumb fastmult vfp edsp java tls); take armv6"},
		{"Raspberry Pi 1, kernel 3.6", cpuPi1Old, "arm", []string{"armv5", "armv6"},
			"armv7 needs more than this processor has (ARMv6-compatible processor: swp half thumb fastmult vfp edsp java tls); take armv6"},
		{"Cortex-A7", cpuA7, "arm", []string{"armv5", "armv6", "armv7"}, ""},
		{"Cortex-A55", cpuA55, "arm64", []string{"armv5", "armv6", "armv7", "arm64"}, ""},
		{"a 32-bit program on Cortex-A55", cpuA55, "arm", []string{"armv5", "armv6", "armv7"}, ""},
		{"MT7688", cpuMT7688, "mipsle", []string{"mipsle"}, "armv7 is for another processor than mipsle"},
		{"a PC", cpuPC, "amd64", []string{"amd64"}, "armv7 is for another processor than amd64"},
		{"an empty file: nobody knows", "", "arm", []string{"armv5", "armv6", "armv7"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cpu := ParseCPU(c.cpuinfo)
			var runs []string
			for _, b := range Builds {
				if cpu.Runs(b, c.arch) == nil {
					runs = append(runs, b)
				}
			}
			if !slices.Equal(runs, c.runs) {
				t.Errorf("%+v runs %v, want %v", cpu, runs, c.runs)
			}
			if err := cpu.Runs("armv7", c.arch); c.refused != "" && (err == nil || err.Error() != c.refused) {
				t.Errorf("armv7: %v", err)
			}
		})
	}
	if err := ParseCPU(cpuA7).Runs("armv8", "arm"); err == nil || !strings.HasPrefix(err.Error(), "armv8 is no build") {
		t.Errorf("an unknown build: %v", err)
	}
}

// What is wrong with a board file is told with its line and what to do.
func TestBadFiles(t *testing.T) {
	const good = "name = \"k2\"\ntitle = \"K2\"\nbuild = [\"armv7\"]\n"
	for _, c := range []struct{ name, text, want string }{
		{"a typing error in a key", good + "[modem]\nusb_iface = 2\n",
			"target: k2.toml:5: modem.usb_iface: unknown key; the keys here are profile, usb, usb_interface, uart, baud"},
		{"an unknown section", good + "[modme]\nusb = \"2c7c:0125\"\n",
			"target: k2.toml:4: modme: unknown key; the keys here are name, title, cpu, float, build, init, memory, template, detect, paths, flash, data, net, modem, gpio, led, dialer"},
		{"an unknown key of a line", good + "[gpio]\nreset = { chip = \"gpiochip0\", pin = 3 }\n",
			"target: k2.toml:5: gpio.reset.pin: unknown key; the keys here are chip, line, active_low, hold"},
		{"no TOML", good + "[modem\n", "target: k2.toml:5: expected '.' or ']' to end table name, but got '\\n' instead"},
		{"a name like another file's", "name = \"k3\"\n", `target: k2.toml:1: name: is "k3", the file's name says "k2"; make them the same`},
		{"no build", "name = \"k2\"\ntitle = \"K2\"\n", "target: k2.toml:1: build: is missing; name what scripts/build.sh makes for it: armv5, armv6, armv7, arm64, mipsle, amd64"},
		{"a build that nobody makes", "name = \"k2\"\ntitle = \"K2\"\nbuild = [\"armv8\"]\n", `target: k2.toml:3: build: "armv8" is not known; write one of armv5, armv6, armv7, arm64, mipsle, amd64`},
		{"a relative path", good + "[paths]\nstate = \"data\"\n", `target: k2.toml:5: paths.state: "data" is not an absolute path; begin it with /`},
		{"USB ids as 0x", good + "[modem]\nusb = \"0x2c7c:0x0125\"\n", `target: k2.toml:5: modem.usb: "0x2c7c:0x0125" is not what lsusb shows; write "2c7c:0125", in lower case`},
		{"a UART without speed", good + "[modem]\nuart = \"/dev/ttyS1\"\n", "target: k2.toml:4: modem.baud: is missing; write the UART's speed, such as 115200"},
		{"a GPIO as sysfs counts", good + "[gpio]\nreset = { chip = \"gpio\", line = 35 }\n", `target: k2.toml:5: gpio.reset: names no line; write { chip = "gpiochip0", line = 6 }, as gpioinfo shows it`},
		{"a power key held for a minute", good + "[gpio]\npower_key = { chip = \"gpiochip0\", line = 1, hold = \"1m\" }\n", "target: k2.toml:5: gpio.power_key: hold is out of range; write up to 10s"},
		{"an unknown wear class", good + "[flash]\nwear = \"slow\"\n", `target: k2.toml:5: flash.wear: "slow" is not known; write one of fragile, ordinary, sturdy`},
		{"memory without a unit", good + "memory = \"12\"\n", `target: k2.toml:4: "12" is no size; write "12MiB"`},
		{"far too long", strings.Repeat("# x\n", maxFile), "target: k2.toml: longer than 8192 bytes, which is no board"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("k2.toml", c.text)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	if _, err := Get("imx7"); err == nil || !strings.HasPrefix(err.Error(), `target "imx7": there is no such board; there are: am335x, arm1176`) {
		t.Errorf("an unknown board: %v", err)
	}
	if _, err := Get("../go"); err == nil {
		t.Error("a path is taken for a name")
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		text, err := Text(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add("name=1\n[gpio]\nreset={chip={a=1}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Parse("board.toml", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "target: board.toml") {
				t.Errorf("no place in %v", err)
			}
			return
		}
		for _, s := range b.Template {
			if _, ok := fieldByKeyOf(b.Known(), s); !ok {
				t.Errorf("template %q is no section", s)
			}
		}
	})
}

func FuzzParseCPU(f *testing.F) {
	for _, s := range []string{cpuARM926, cpuPi1, cpuPi1Old, cpuA7, cpuA55, cpuMT7688, cpuPC} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := ParseCPU(text)
		if c.Runs("armv7", "arm") == nil && c.Runs("armv5", "arm") != nil {
			t.Errorf("%+v runs armv7 and not armv5", c)
		}
	})
}

func fieldByKeyOf(v Target, key string) (any, bool) {
	f, ok := fieldByKey(reflect.ValueOf(v), key)
	return f, ok
}

// make build TARGET=mt7688 makes what the board's file names first.
func TestBuildOfABoard(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in -short: builds a board's binary")
	}
	dir := t.TempDir()
	out, err := exec.Command("../scripts/build.sh", "-o", dir, "mt7688").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := elf.Open(filepath.Join(dir, "cellwarden-mipsle"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != elf.EM_MIPS || f.ByteOrder != binary.LittleEndian {
		t.Errorf("is for %v, %v", f.Machine, f.ByteOrder)
	}
}
