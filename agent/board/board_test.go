package board

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cellwarden/agent/instant"
)

func TestTimeTrust(t *testing.T) {
	right := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	type tell struct {
		source TimeSource
		wall   time.Time
		mono   time.Duration
		ok     bool
	}
	for _, tc := range []struct {
		name   string
		told   []tell
		system time.Time
		mono   time.Duration
		ntp    bool
		want   time.Time
		by     TimeSource
	}{
		{"nobody vouches", nil, right, time.Hour, false, right, TimeNone},
		{"NTP holds the kernel", nil, right, time.Hour, true, right, TimeNTP},
		{"NTP claims 1970", nil, time.Unix(100, 0), time.Hour, true, time.Unix(100, 0), TimeNone},
		{"NITZ agrees with the system", []tell{{TimeNITZ, right, time.Hour, false}}, right.Add(4 * time.Second), time.Hour, false, right.Add(4 * time.Second), TimeNITZ},
		{"no RTC: NITZ, a second witness, and the time since", []tell{{"sntp/a", right, time.Hour, false}, {TimeNITZ, right, time.Hour, true}}, time.Unix(3700, 0), 2 * time.Hour, false, right.Add(time.Hour), TimeNITZ},
		{"the clock jumps two days ahead by hand", []tell{{TimeCloud, right, time.Hour, true}}, right.Add(48 * time.Hour), time.Hour + time.Minute, false, right.Add(time.Minute), TimeCloud},
		{"NITZ cannot contradict the cloud", []tell{{TimeCloud, right, time.Hour, true}, {TimeNITZ, right.Add(8 * time.Hour), time.Hour, false}}, right, time.Hour, false, right, TimeCloud},
		{"the cloud overrules NITZ", []tell{{TimeNITZ, right.Add(8 * time.Hour), time.Hour, false}, {TimeCloud, right, time.Hour, true}}, right, time.Hour, false, right, TimeCloud},
		{"NITZ of 1980, as some cells send", []tell{{TimeNITZ, time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC), time.Hour, false}}, right, time.Hour, true, right, TimeNTP},
		{"two time servers that agree", []tell{{"sntp/a", right, time.Hour, false}, {"sntp/b", right.Add(time.Second), time.Hour, true}}, time.Unix(3700, 0), 2 * time.Hour, false, right.Add(time.Hour + time.Second), TimeSNTP},
		{"one time server, twice, is one witness", []tell{{"sntp/a", right, time.Hour, false}, {"sntp/a", right, time.Hour, false}}, time.Unix(3700, 0), time.Hour, false, time.Unix(3700, 0), TimeNone},
		{"one answer of the year 2035, with a clock that a battery keeps", []tell{{"sntp/a", right.AddDate(9, 0, 0), time.Hour, false}}, right, time.Hour, false, right, TimeNone},
		{"a rogue cell of 2035, and a time server that is right", []tell{{TimeNITZ, right.AddDate(9, 0, 0), time.Hour, false}, {"sntp/a", right, time.Hour, false}, {"sntp/b", right, time.Hour, true}}, time.Unix(3700, 0), time.Hour, false, right, TimeSNTP},
		{"the broker's certificate bounds one time server", []tell{{TimeTLS, right.AddDate(0, -2, 0), time.Hour, true}, {TimeUntil, right.AddDate(0, 10, 0), time.Hour, true}, {"sntp/a", right, time.Hour, true}}, time.Unix(3700, 0), time.Hour, false, right, TimeSNTP},
		{"and keeps out what lies beyond it", []tell{{TimeTLS, right.AddDate(0, -2, 0), time.Hour, true}, {TimeUntil, right.AddDate(0, 10, 0), time.Hour, true}, {"sntp/a", right.AddDate(9, 0, 0), time.Hour, false}}, right, time.Hour, false, right, TimeNone},
		{"NITZ says the same six hours later", []tell{{TimeNITZ, right, time.Hour, false}, {TimeNITZ, right.Add(time.Hour), 2 * time.Hour, false}, {TimeNITZ, right.Add(6 * time.Hour), 7 * time.Hour, true}}, time.Unix(3700, 0), 7 * time.Hour, false, right.Add(6 * time.Hour), TimeNITZ},
		{"a time server, and NTP holds the kernel since", []tell{{TimeSNTP, right, time.Hour, false}}, right.Add(time.Minute), time.Hour, true, right.Add(time.Minute), TimeNTP},
		{"a time server cannot contradict NITZ", []tell{{"sntp/b", right, time.Hour, false}, {TimeNITZ, right, time.Hour, true}, {TimeSNTP, right.Add(8 * time.Hour), time.Hour, false}}, right, time.Hour, false, right, TimeNITZ},
		{"a certificate lifts 1970 and vouches for nothing", []tell{{TimeTLS, right, time.Hour, true}}, time.Unix(3700, 0), 2 * time.Hour, false, right.Add(time.Hour), TimeNone},
		{"a clock past the certificate is left alone", []tell{{TimeTLS, right, time.Hour, true}}, right.Add(48 * time.Hour), time.Hour, false, right.Add(48 * time.Hour), TimeNone},
		{"a certificate does not hold NITZ up", []tell{{TimeTLS, right.Add(48 * time.Hour), time.Hour, true}, {TimeNITZ, right, time.Hour, false}}, right, time.Hour, false, right, TimeNITZ},
		{"the year 10000, signed or not", []tell{{TimeCloud, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Hour, false}}, right, time.Hour, false, right, TimeNone},
		{"a certificate of 9999", []tell{{TimeTLS, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Hour, false}}, right, time.Hour, false, right, TimeNone},
		{"an unknown source", []tell{{"cell broadcast", right, time.Hour, false}}, time.Unix(3700, 0), time.Hour, false, time.Unix(3700, 0), TimeNone},
		{"a crystal drifts 2 s a day", []tell{{TimeCloud, right, 0, true}}, right.Add(20*24*time.Hour + 40*time.Second), 20 * 24 * time.Hour, false, right.Add(20*24*time.Hour + 40*time.Second), TimeCloud},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var trust TimeTrust
			for _, x := range tc.told {
				if ok := trust.Tell(x.source, x.wall, x.mono); ok != x.ok {
					t.Errorf("tell %v: %v", x, ok)
				}
			}
			wall, by := trust.Judge(tc.system, tc.mono, tc.ntp)
			if !wall.Equal(tc.want) || by != tc.by {
				t.Errorf("%v by %q, want %v by %q", wall, by, tc.want, tc.by)
			}
		})
	}
}

// After a power cut of some hours one source is enough; after a week it takes two.
func TestLastGoodTimeIsAWitnessForADay(t *testing.T) {
	good := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		nitz time.Time
		ok   bool
	}{
		{"five hours later", good.Add(5 * time.Hour), true},
		{"a week later", good.AddDate(0, 0, 7), false},
		{"a day before", good.AddDate(0, 0, -1), false},
	} {
		var trust TimeTrust
		trust.Good(good)
		if ok := trust.Tell(TimeNITZ, tc.nitz, time.Minute); ok != tc.ok {
			t.Errorf("%s: believed %v", tc.name, ok)
		}
	}
}

func TestClockRuns(t *testing.T) {
	c, err := OpenClock()
	if err != nil {
		t.Fatal(err)
	}
	a := c.Now()
	told := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	if !c.Tell(TimeCloud, told) {
		t.Fatal("a told time was refused")
	}
	b := c.Now()
	if len(a.Boot) != 36 || b.Sub(a) < 0 || b.Mono == 0 {
		t.Errorf("%v then %v", a, b)
	}
	if !b.Trusted || b.Wall.Sub(told) > time.Minute || c.Source() != TimeCloud {
		t.Errorf("told %v, now %v by %q", told, b.Wall, c.Source())
	}
}

func TestSelection(t *testing.T) {
	s := Selection{Patterns: []string{"wwan0", "ppp*", "usb[01]"}}
	for name, want := range map[string]bool{
		"wwan0": true, "wwan1": false, "ppp7": true, "usb1": true, "usb2": false, "lo": false, "eth0": false, "enx0": true,
	} {
		if got := s.matches(name, map[string]bool{"enx0": true}); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (Selection{Patterns: []string{"*"}}).matches("lo", nil) {
		t.Error("the loopback is no line")
	}
	for _, bad := range [][]string{{""}, {"net/usb0"}, {"usb["}, make([]string, 17)} {
		if err := (Selection{Patterns: bad}).Check(); err == nil || !strings.HasPrefix(err.Error(), "board: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// fakeSys is a board with a Quectel module at 1-1.2 (ttyUSB2 on interface 2, its
// network function on interface 4) and an Ethernet port.
func fakeSys(t *testing.T) string {
	root := t.TempDir()
	usb := "devices/platform/soc/usb1/1-1/1-1.2"
	write := func(path, content string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(from, to string) {
		from = filepath.Join(root, from)
		if err := os.MkdirAll(filepath.Dir(from), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, to), from); err != nil {
			t.Fatal(err)
		}
	}
	write(usb+"/idVendor", "2c7c\n")
	write("devices/platform/soc/usb1/1-1/1-1.22/idVendor", "0bda\n") // a neighbour whose name begins alike
	for name, dir := range map[string]string{
		"wwan0": usb + "/1-1.2:1.4/net/wwan0",
		"eth0":  "devices/platform/soc/eth/net/eth0",
		"enx1":  "devices/platform/soc/usb1/1-1/1-1.22/1-1.22:1.0/net/enx1",
	} {
		write(dir+"/ifindex", map[string]string{"wwan0": "5\n", "eth0": "2\n", "enx1": "3\n"}[name])
		write(dir+"/statistics/rx_bytes", "1000\n")
		write(dir+"/statistics/tx_bytes", "18446744073709551615\n")
		link(dir+"/device", filepath.Dir(filepath.Dir(dir)))
		link("class/net/"+name, dir)
	}
	write("class/net/bonding_masters", "\n")
	write(usb+"/1-1.2:1.2/ttyUSB2/tty/ttyUSB2/dev", "188:2\n")
	link(usb+"/1-1.2:1.2/ttyUSB2/tty/ttyUSB2/device", usb+"/1-1.2:1.2/ttyUSB2")
	link("class/tty/ttyUSB2", usb+"/1-1.2:1.2/ttyUSB2/tty/ttyUSB2")
	write("devices/platform/soc/uart/tty/ttyS0/dev", "4:64\n")
	link("devices/platform/soc/uart/tty/ttyS0/device", "devices/platform/soc/uart")
	link("class/tty/ttyS0", "devices/platform/soc/uart/tty/ttyS0")
	return root
}

func TestDataInterfaceOfAUSBModem(t *testing.T) {
	root := fakeSys(t)
	usb := USBDeviceOf(root, "/dev/ttyUSB2")
	if !strings.HasSuffix(usb, "/1-1/1-1.2") {
		t.Fatalf("USB device %q", usb)
	}
	if s0 := USBDeviceOf(root, "/dev/ttyS0"); s0 != "" {
		t.Errorf("a UART is on USB: %q", s0)
	}
	if none := USBDeviceOf(root, "/dev/ttyUSB9"); none != "" {
		t.Errorf("a port that is not there: %q", none)
	}
	rs, err := ReadSys(root, instant.Instant{}, Selection{USBDevice: usb})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rs {
		if r.RxBytes != 1000 || r.TxBytes != 1<<64-1 {
			t.Errorf("%+v", r)
		}
		if r.Skip {
			got = append(got, "-"+r.Interface)
		} else {
			got = append(got, r.Interface)
		}
	}
	if s := strings.Join(got, " "); s != "-eth0 -enx1 wwan0" {
		t.Error(s)
	}
	if _, err := ReadSys(t.TempDir(), instant.Instant{}, Selection{}); err == nil {
		t.Error("no /sys at all is no error")
	}
	// qmimux0 on wwan0, both named: the lower one counts.
	for name, index := range map[string]string{"qmimux0": "7\n", "qmimux1": "8\n"} {
		dir := filepath.Join(root, "class/net", name)
		for file, data := range map[string]string{"ifindex": index, "statistics/rx_bytes": "900\n", "statistics/tx_bytes": "900\n"} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../wwan0", filepath.Join(dir, "lower_wwan0")); err != nil {
			t.Fatal(err)
		}
	}
	for want, sel := range map[string]Selection{
		"enx1:skip eth0:skip qmimux0:stacked qmimux1:stacked wwan0:counts": {Patterns: []string{"qmimux*"}, USBDevice: usb},
		"enx1:skip eth0:skip qmimux0:counts qmimux1:counts wwan0:skip":     {Patterns: []string{"qmimux*"}},
	} {
		rs, err := ReadSys(root, instant.Instant{}, sel)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rs {
			how := "counts"
			if r.Skip {
				how = "skip"
			} else if r.Stacked {
				how = "stacked"
			}
			got = append(got, r.Interface+":"+how)
		}
		sort.Strings(got)
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s, want %s", s, want)
		}
	}
}

// netlinkLink builds a link message as the kernel does.
func netlinkLink(index uint32, name string, stats []byte, kind uint16) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], index)
	attr := func(kind uint16, data []byte) {
		n := len(data) + 4
		b = binary.NativeEndian.AppendUint16(b, uint16(n))
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, data...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	attr(unix.IFLA_IFNAME, append([]byte(name), 0))
	attr(kind, stats)
	return b
}

func TestParseLink(t *testing.T) {
	s64 := make([]byte, 192)
	binary.NativeEndian.PutUint64(s64[16:], 5<<40)
	binary.NativeEndian.PutUint64(s64[24:], 7)
	s32 := make([]byte, 96)
	binary.NativeEndian.PutUint32(s32[8:], 4e9)
	binary.NativeEndian.PutUint32(s32[12:], 9)
	if k, ok := parseLink(netlinkLink(4, "wwan0", s64, unix.IFLA_STATS64)); !ok || k != (link{4, "wwan0", 5 << 40, 7}) {
		t.Errorf("64 bits: %+v %v", k, ok)
	}
	if k, ok := parseLink(netlinkLink(4, "ppp0", s32, unix.IFLA_STATS)); !ok || k != (link{4, "ppp0", 4e9, 9}) {
		t.Errorf("an old kernel: %+v %v", k, ok)
	}
	bridge := netlinkLink(4, "wwan0", s64, unix.IFLA_STATS64)
	bridge[0] = unix.AF_BRIDGE
	for name, b := range map[string][]byte{
		"a port leaves its bridge": bridge, "no counters": netlinkLink(4, "x", nil, unix.IFLA_MTU),
		"index 0": netlinkLink(0, "x", s64, unix.IFLA_STATS64), "short": {1, 2}, "nothing": nil,
	} {
		if k, ok := parseLink(b); ok {
			t.Errorf("%s: %+v", name, k)
		}
	}
}

func FuzzNetlink(f *testing.F) {
	body := netlinkLink(4, "wwan0", make([]byte, 192), unix.IFLA_STATS64)
	head := make([]byte, unix.SizeofNlMsghdr)
	binary.NativeEndian.PutUint32(head, uint32(len(head)+len(body)))
	binary.NativeEndian.PutUint16(head[4:], unix.RTM_NEWLINK)
	f.Add(append(head, body...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range messages(b) {
			if k, ok := parseLink(m.body); ok && (k.index <= 0 || k.name == "") {
				t.Fatalf("%+v", k)
			}
			_ = m.errno()
		}
	})
}

func BenchmarkRead(b *testing.B) {
	l, err := OpenLinks("")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Read(instant.Instant{}, Selection{Patterns: []string{"eth0"}}); err != nil {
			b.Fatal(err)
		}
	}
}
