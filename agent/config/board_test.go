package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	targets "cellwarden/firmware-targets"
)

// on is a machine whose device tree says so.
func on(compatible ...string) fstest.MapFS {
	return fstest.MapFS{
		"proc/device-tree/compatible": {Data: []byte(strings.Join(compatible, "\x00") + "\x00")},
		"system/build.prop":           {Data: []byte("ro.build=1\n")},
	}
}

func writeFiles(t *testing.T, files map[string]string) (config string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cellwarden.toml")
}

// Android has other paths and no resolvers; the file says nothing of them.
func TestBoardSuppliesWhatTheFileLeavesOut(t *testing.T) {
	path := writeFiles(t, map[string]string{"cellwarden.toml": "[device]\nid = \"vm-1\"\n"})
	c, b, err := LoadOn(on("rockchip,rk3399-evb", "rockchip,rk3399"), path)
	if err != nil {
		t.Fatal(err)
	}
	if b.Target == nil || b.Target.Name != "rk3399-android" || b.By != "rockchip,rk3399-evb" {
		t.Fatalf("the board is %+v", b)
	}
	if c.Store.Dir != "/data/cellwarden/state" || c.API.Socket != "/dev/cellwarden/api.sock" || len(c.Probes.DNS) != 2 {
		t.Errorf("store %s, socket %s, dns %v", c.Store.Dir, c.API.Socket, c.Probes.DNS)
	}
	// Which modem is in it no processor decides: the example is not taken for a fact.
	if c.Modem != Default.Modem {
		t.Errorf("modem %+v", c.Modem)
	}
}

// The example writes out what is no board's business only: on OpenWrt it means the
// board's paths and wear all the same.
func TestExampleLeavesTheBoardItsSay(t *testing.T) {
	path := writeFiles(t, map[string]string{"cellwarden.toml": Example})
	c, b, err := LoadOn(fstest.MapFS{"proc/device-tree/compatible": {Data: []byte("hilink,hlk-7688a\x00mediatek,mt7628an-soc\x00")}}, path)
	if err != nil {
		t.Fatal(err)
	}
	if b.Target == nil || b.Target.Name != "mt7688" || c.Store.Dir != "/etc/cellwarden/state" || c.Store.MeterFlushBytes != 256<<10 || c.API.Socket != "/var/run/cellwarden/api.sock" {
		t.Errorf("board %+v, store %+v, socket %s", b, c.Store, c.API.Socket)
	}
}

const ownBoard = `name = "k2"
title = "kiosk 2"
build = ["armv7"]
[paths]
state = "/mnt/data/cw"
[flash]
wear = "sturdy"
[data]
interfaces = ["ppp0"]
[modem]
profile = "quectel-ec2x"
usb = "2c7c:0125"
usb_interface = 2
[net]
dns = ["10.0.0.1"]
ca_file = "/etc/ca.pem"
`

func TestOwnBoardFileBesideTheConfig(t *testing.T) {
	path := writeFiles(t, map[string]string{"cellwarden.toml": Example, "board.toml": ownBoard})
	c, b, err := LoadOn(on("rockchip,rk3399"), path)
	if err != nil {
		t.Fatal(err)
	}
	if b.Target.Name != "k2" || b.By != filepath.Join(filepath.Dir(path), BoardFile) {
		t.Errorf("the board is %s by %s", b.Target.Name, b.By)
	}
	m := c.Modem
	if m.USBVendor != "2c7c" || m.USBProduct != "0125" || m.USBInterface != 2 || m.Profile != "quectel-ec2x" || m.Port != "auto" {
		t.Errorf("modem %+v", m)
	}
	if c.Store.Dir != "/mnt/data/cw" || c.Store.MeterFlushBytes != 64<<10 || !reflect.DeepEqual(c.Data.Interfaces, []string{"ppp0"}) ||
		c.Uplink.CAFile != "/etc/ca.pem" || !reflect.DeepEqual(c.Probes.DNS, []string{"10.0.0.1"}) {
		t.Errorf("store %+v, interfaces %v, ca %s, dns %v", c.Store, c.Data.Interfaces, c.Uplink.CAFile, c.Probes.DNS)
	}
	if reflect.DeepEqual(Default.Data.Interfaces, []string{"ppp0"}) {
		t.Error("Default was changed")
	}
}

func TestConfigWinsOverTheBoard(t *testing.T) {
	path := writeFiles(t, map[string]string{"board.toml": ownBoard, "cellwarden.toml": `
[modem]
port = "/dev/ttyS3"
profile = "3gpp"
[data]
interfaces = ["eth7"]
[uplink]
ca_file = "/own/ca.pem"
[probes]
dns = ["192.0.2.1"]
[store]
dir = "/own/state"
meter_flush_bytes = 131072
[api]
socket = "/own/api.sock"
`})
	c, _, err := LoadOn(fstest.MapFS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Modem.Port != "/dev/ttyS3" || c.Modem.USBVendor != "" || c.Modem.Profile != "3gpp" || c.Data.Interfaces[0] != "eth7" || c.Uplink.CAFile != "/own/ca.pem" ||
		c.Probes.DNS[0] != "192.0.2.1" || c.Store.Dir != "/own/state" || c.Store.MeterFlushBytes != 128<<10 || c.API.Socket != "/own/api.sock" {
		t.Errorf("%s", c.Redacted())
	}
}

func TestBoardWithUART(t *testing.T) {
	file := strings.Replace(ownBoard, "usb = \"2c7c:0125\"\nusb_interface = 2", "uart = \"/dev/ttymxc2\"\nbaud = 921600", 1)
	path := writeFiles(t, map[string]string{"cellwarden.toml": Example, "board.toml": file})
	c, _, err := LoadOn(fstest.MapFS{}, path)
	if err != nil || c.Modem.Port != "/dev/ttymxc2" || c.Modem.Baud != 921600 {
		t.Errorf("modem %+v, %v", c.Modem, err)
	}
	path = writeFiles(t, map[string]string{"cellwarden.toml": Example, "board.toml": strings.Replace(file, "921600", "12345", 1)})
	_, _, err = LoadOn(fstest.MapFS{}, path)
	if want := "board k2: modem.baud: 12345 is not a line speed; write 115200, or what the module is set to: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("a speed that no UART has: %v", err)
	}
}

func TestUnknownBoardHasTheDefaults(t *testing.T) {
	path := writeFiles(t, map[string]string{"cellwarden.toml": "[device]\ntarget = \"auto\"\n"})
	c, b, err := LoadOn(fstest.MapFS{"proc/device-tree/compatible": {Data: []byte("acme,soc9000\x00")}}, path)
	if err != nil || b.Target != nil && b.By != "amd64" {
		t.Fatalf("%+v, %v", b, err)
	}
	if b.Target == nil && !reflect.DeepEqual(c, Default) {
		t.Errorf("%s", c.Redacted())
	}
}

func TestBadBoard(t *testing.T) {
	for _, c := range []struct{ name, config, board, want string }{
		{"a board that is not there", "[device]\ntarget = \"imx7\"\n", "", `cellwarden.toml:2: device.target: target "imx7": there is no such board; there are: am335x,`},
		{"a file that is not there", "[device]\n\ntarget = \"/nowhere/board.toml\"\n", "", `cellwarden.toml:3: device.target: open /nowhere/board.toml: no such file or directory; correct it, or write "auto"`},
		{"a typing error in board.toml", "", ownBoard + "dsn = []\n", "board.toml:17: net.dsn: unknown key; the keys here are dns, ca_file, ca_dir"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"cellwarden.toml": c.config}
			if c.board != "" {
				files["board.toml"] = c.board
			}
			_, _, err := LoadOn(fstest.MapFS{}, writeFiles(t, files))
			var p Problems
			if !errors.As(err, &p) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// What a board says of the config's own keys must be what the config takes.
func TestEveryBuiltInBoardStandsUnderTheConfig(t *testing.T) {
	for _, name := range targets.Names() {
		path := writeFiles(t, map[string]string{"cellwarden.toml": "[device]\ntarget = \"" + name + "\"\n"})
		if _, b, err := LoadOn(fstest.MapFS{}, path); err != nil || b.Target.Name != name {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}
