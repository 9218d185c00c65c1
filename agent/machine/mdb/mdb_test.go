package mdb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// brief is an event in one line.
func brief(e Event) string {
	s := string(e.Kind)
	add := func(format string, args ...any) { s += " " + fmt.Sprintf(format, args...) }
	switch e.Kind {
	case Sale:
		add("%s", e.Pay)
	case Silent, Speaks:
	default:
		add("%s", e.Device)
	}
	if e.Item != Unknown && (e.Kind == Sale || e.Kind == Failed || e.Kind == Wanted) {
		add("#%d", e.Item)
	}
	switch {
	case e.Price != Unknown && e.Kind != Tubes && e.Kind != Silent && e.Kind != Speaks:
		add("%d/%d %s", e.Price, e.Decimals, e.Currency)
	case e.Raw != Unknown && (e.Kind == Sale || e.Kind == Failed):
		add("raw %d", e.Raw)
	}
	if e.Code != "" {
		add("%s", e.Code)
	}
	for _, t := range e.Tubes {
		add("%dx%d", t.Count, t.Value)
		if t.Full {
			s += "!"
		}
	}
	if e.Kind == Stacker {
		add("%d %v", e.Count, e.Full)
	}
	if e.Inferred {
		add("inferred")
	}
	return s
}

// hear gives what a decoder makes of the three forms of one story.
func hear(b *bus) map[string][]string {
	out := map[string][]string{}
	run := func(name string, frames []Frame) {
		var d Decoder
		for _, f := range frames {
			for _, e := range d.Frame(f) {
				if e.Kind != Wanted && e.Kind != Tubes && e.Kind != Stacker && e.Kind != Speaks {
					out[name] = append(out[name], brief(e))
				}
			}
		}
	}
	run("frames", b.frames)
	var s Sniffer
	run("sniffer", append(s.Feed([]byte(b.lines.String())), s.Flush()...))
	var t Tap
	run("tap", append(b.feed(&t), t.Feed(b.at, []byte{0xff, 0x00, 0x0B})...))
	return out
}

func TestStories(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(*bus)
		want string
	}{
		{"a vend by card", func(b *bus) { b.setup(); b.buy("01 5E", "00 0C") }, "sale cashless #12 350/2 156"},
		{"two vends of the same thing", func(b *bus) { b.setup(); b.buy("01 5E", "00 0C"); b.buy("01 5E", "00 0C") },
			"sale cashless #12 350/2 156; sale cashless #12 350/2 156"},
		{"success is said three times", func(b *bus) {
			b.setup()
			b.told("13 00 01 5E 00 0C")
			b.got("12", "05 01 5E")
			b.told("13 02 00 0C")
			b.told("13 02 00 0C")
			b.told("13 02 00 0C")
		}, "sale cashless #12 350/2 156"},
		{"success is not heard by the reader at first", func(b *bus) {
			b.setup()
			b.told("13 00 01 5E 00 0C")
			b.got("12", "05 01 5E")
			b.ask("13 02 00 0C")
			b.word(false, NAK)
			b.ask("13 02 00 0C") // silence
			b.told("13 02 00 0C")
		}, "sale cashless #12 350/2 156"},
		{"approval with RET: said again", func(b *bus) {
			b.setup()
			b.told("13 00 01 5E 00 0C")
			b.ask("12")
			b.says("05 01 5E")
			b.word(true, RET)
			b.says("05 01 5E")
			b.word(true, ACK)
			b.told("13 02 00 0C")
		}, "sale cashless #12 350/2 156"},
		{"the machine is reset between approval and success", func(b *bus) {
			b.setup()
			b.told("13 00 01 5E 00 0C")
			b.got("12", "05 01 5E")
			b.told("10")
			b.got("12", "00")
		}, "sale cashless #12 350/2 156 inferred"},
		{"a reset before approval is none", func(b *bus) { b.setup(); b.told("13 00 01 5E 00 0C"); b.told("10") }, ""},
		{"an approval that the master did not take is none", func(b *bus) {
			b.setup()
			b.told("13 00 01 5E 00 0C")
			b.ask("12")
			b.says("05 01 5E")
			b.word(true, NAK)
			b.told("10")
		}, ""},
		{"a reset after the sale adds none", func(b *bus) { b.setup(); b.buy("01 5E", "00 0C"); b.told("10") }, "sale cashless #12 350/2 156"},
		{"the product did not come out", func(b *bus) {
			b.setup()
			b.told("13 00 01 5E 00 0C")
			b.got("12", "05 01 5E")
			b.told("13 03")
			b.told("13 04")
		}, "vend_failed cashless #12 350/2 156"},
		{"denied, and cancelled", func(b *bus) {
			b.setup()
			b.told("13 00 01 5E 00 0C")
			b.got("12", "06")
			b.told("13 00 01 5E 00 0C")
			b.told("13 01")
			b.told("10")
		}, ""},
		{"we were plugged in during the vend", func(b *bus) { b.told("13 02 00 0C") }, "sale cashless #12"},
		{"the scale was not seen: raw units", func(b *bus) { b.buy("00 23", "00 0C") }, "sale cashless #12 raw 35"},
		{"the machine does not tell the item", func(b *bus) { b.setup(); b.buy("01 5E", "FF FF") }, "sale cashless 350/2 156"},
		{"prices of four bytes", func(b *bus) {
			b.setup()
			b.told("13 00 00 00 01 5E 00 0C")
			b.got("12", "05 00 00 01 5E")
			b.told("13 02 00 0C")
		}, "sale cashless #12 350/2 156"},
		{"the second reader", func(b *bus) {
			b.got("61 00 03 10 01 01", "01 02 19 78 05 02 1E 00")
			b.told("63 00 00 1E 00 03")
			b.got("62", "05 00 1E")
			b.told("63 02 00 03")
		}, "sale cashless2 #3 150/2 978"},
		{"a vend for cash, which the machine reports", func(b *bus) { b.setup(); b.told("13 05 00 96 00 07") }, "sale cash #7 150/2 156"},
		{"the same reported to both readers", func(b *bus) {
			b.setup()
			b.told("13 05 00 96 00 07")
			b.told("63 05 00 96 00 07")
		}, "sale cash #7 150/2 156"},
		{"and said again at once", func(b *bus) {
			b.setup()
			b.ask("13 05 00 96 00 07")
			b.word(false, NAK)
			b.told("13 05 00 96 00 07")
			b.told("13 05 00 96 00 07")
		}, "sale cash #7 150/2 156"},
		{"the same thing bought again ten seconds later", func(b *bus) {
			b.setup()
			b.told("13 05 00 96 00 07")
			b.at += 10 * time.Second
			b.told("13 05 00 96 00 07")
		}, "sale cash #7 150/2 156; sale cash #7 150/2 156"},
		{"free, test, token, and money that went back", func(b *bus) {
			b.setup()
			b.told("13 05 00 00 80 07")
			b.told("13 05 00 96 40 07")
			b.told("13 05 00 96 10 07")
			b.told("13 05 00 96 20 07")
		}, "sale free #7 0/2 156; sale test #7 150/2 156; sale token #7 150/2 156"},
		{"with currency behind (expanded)", func(b *bus) { b.setup(); b.told("13 05 00 00 00 96 00 07 11 56") }, "sale cash #7 150/2 156"},
		{"coins to the tube and to the box, one rejected, one paid out", func(b *bus) {
			b.setup()
			b.got("0B", "52 0F") // tube, type 2
			b.got("0B", "43 00 74 00")
			b.told("0D 12")
		}, "coin_in coin 100/2 156; coin_in coin 500/2 156; paid_out coin 100/2 156"},
		{"a coin that the master did not take comes again", func(b *bus) {
			b.setup()
			b.ask("0B")
			b.says("52 0F")
			b.ask("0B")
			b.says("52 0F")
			b.word(true, ACK)
		}, "coin_in coin 100/2 156"},
		{"coins without a scale", func(b *bus) { b.got("0B", "52 0F") }, "coin_in coin"},
		{"a bill in escrow is no money, a stacked one is", func(b *bus) {
			b.setup()
			b.got("33", "91")
			b.got("33", "81")
			b.got("33", "A1 B1 C1")
		}, "bill_in bill 200/2 156; bill_in bill 200/2 156"},
		{"a coin jam, said at every poll, and its end", func(b *bus) {
			b.setup()
			b.got("0B", "0C")
			b.got("0B", "0C")
			b.got("0B", "52 10")
		}, "fault coin coin_jam; coin_in coin 100/2 156; fault_over coin coin_jam"},
		{"the cash box is out, then a bill jams, then a reset", func(b *bus) {
			b.got("33", "08")
			b.got("33", "05")
			b.got("33", "06")
		}, "fault bill cash_box_out; fault_over bill cash_box_out; fault bill bill_jam; fault_over bill bill_jam"},
		{"the changer's own diagnosis", func(b *bus) {
			b.got("0F 05", "15 02")
			b.got("0F 05", "03 00")
		}, "fault coin cassette_removed; fault_over coin cassette_removed"},
		{"the reader malfunctions", func(b *bus) { b.got("12", "0A 30"); b.got("12", "03 03 E8") },
			"fault cashless cashless_fault; fault_over cashless cashless_fault"},
		{"out of service and back", func(b *bus) { b.told("14 00"); b.told("14 00"); b.told("14 01") },
			"reader_disabled cashless; reader_enabled cashless"},
		{"an answer without a question", func(b *bus) { b.says("05 01 5E"); b.word(true, ACK); b.word(false, ACK) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bus
			c.tell(&b)
			for form, got := range hear(&b) {
				if said := strings.Join(got, "; "); said != c.want {
					t.Errorf("%s: heard %q, want %q", form, said, c.want)
				}
			}
			if c.want != "" && len(hear(&b)) != 3 {
				t.Errorf("only %d of three forms said anything", len(hear(&b)))
			}
		})
	}
}

// The standard's own checksum.
func TestChecksum(t *testing.T) {
	if got := sumOf(unhex("02 00 01 05 02 00 07 01 02 05 14 FF")); got != 0x2C {
		t.Errorf("%02X, want 2C", got)
	}
}

// What the tubes and the stacker hold, kept up to date by what goes in and out.
func TestTubes(t *testing.T) {
	var b bus
	b.setup()
	b.got("0B", "52 04")
	b.told("0D 21")
	b.got("0A", "00 04 00 12 04 03 00 00 00 00 00 00 00 00 00 00 00 00")
	b.got("36", "80 64")
	var d Decoder
	var got []string
	for _, f := range b.frames {
		for _, e := range d.Frame(f) {
			if e.Kind == Tubes || e.Kind == Stacker {
				got = append(got, brief(e))
			}
		}
	}
	want := "tubes coin 0x10 20x50! 7x100 3x500 0x1000; stacker bill 42 false; tubes coin 0x10 18x50 4x100! 3x500 0x1000; stacker bill 100 true"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

// The bus stops while the tap has power, and comes back. Without any frame ever that
// is said too.
func TestSilence(t *testing.T) {
	var d Decoder
	var got []string
	hear := func(list []Event) {
		for _, e := range list {
			got = append(got, fmt.Sprint(e.At, " ", brief(e)))
		}
	}
	hear(d.Tick(0))
	for s := time.Second; s <= 40*time.Second; s += time.Second {
		hear(d.Tick(s))
	}
	hear(d.Frame(Frame{At: 41 * time.Second, Master: true, Cmd: 0x0B}))
	for s := 42 * time.Second; s <= 80*time.Second; s += time.Second {
		hear(d.Tick(s))
	}
	if s := strings.Join(got, "; "); s != "30s bus_silent; 41s bus_speaks; 1m11s bus_silent" {
		t.Error(s)
	}
}

// Somebody wants something: that is known before the sale.
func TestWanted(t *testing.T) {
	var b bus
	b.told("13 00 01 5E 00 0C")
	b.told("13 00 01 5E 00 0C")
	var d Decoder
	n := 0
	for _, f := range b.frames {
		for _, e := range d.Frame(f) {
			if e.Kind == Wanted && e.Item == 12 {
				n++
			}
		}
	}
	if n != 1 {
		t.Errorf("told %d times, want once", n)
	}
}

// Only the master's line is tapped: sales are still heard, once.
func TestMasterOnly(t *testing.T) {
	d := Decoder{MasterOnly: true}
	var got []string
	for _, block := range []string{"13 00 01 5E 00 0C", "12", "13 02 00 0C", "13 02 00 0C", "13 04", "13 05 00 96 00 07"} {
		raw := unhex(block)
		for _, e := range d.Frame(Frame{At: time.Second, Master: true, Cmd: raw[0], Data: raw[1:]}) {
			if e.Kind == Sale {
				got = append(got, brief(e))
			}
		}
	}
	if s := strings.Join(got, "; "); s != "sale cashless #12 raw 350; sale cash #7 raw 150" {
		t.Error(s)
	}
}

// The sniffer's lines come some milliseconds out of order, cut anywhere, with faulty
// frames, other services' lines and noise between them.
func TestSnifferLines(t *testing.T) {
	var b bus
	b.setup()
	for range 20 {
		b.buy("01 5E", "00 0C")
	}
	lines := strings.SplitAfter(b.lines.String(), "\n")
	rng := rand.New(rand.NewPCG(7, 7))
	for i := 0; i+1 < len(lines)-1; i += 2 {
		if rng.IntN(2) == 0 {
			lines[i], lines[i+1] = lines[i+1], lines[i]
		}
	}
	text := "x,ACK\r\nv,3.0.1.0\r\n" + strings.Join(lines, "") + "x,01,0000000001,13,0200\r\nx,zz\r\nx,00,xx,13,\r\n" +
		strings.Repeat("x", 300) + "\nd,STATUS\r\n"
	var s Sniffer
	var d Decoder
	sales := 0
	count := func(frames []Frame) {
		for _, f := range frames {
			for _, e := range d.Frame(f) {
				if e.Kind == Sale && e.Price == 350 {
					sales++
				}
			}
		}
	}
	for len(text) > 0 {
		n := min(1+rng.IntN(40), len(text))
		count(s.Feed([]byte(text[:n])))
		text = text[n:]
	}
	count(s.Flush())
	if sales != 20 {
		t.Errorf("%d sales, want 20", sales)
	}
	if s.Bad != 3 || s.Errors != 1 || s.Version != "3.0.1.0" {
		t.Errorf("%d bad lines, %d faulty frames, version %q", s.Bad, s.Errors, s.Version)
	}
}

// The adapter is told three things and no more; the same one could move money.
func TestSnifferIsToldNothingElse(t *testing.T) {
	for o := range 256 {
		if b := SnifferOut(o).Bytes(); b != nil && !bytes.Contains([]byte("V\nX,1\nX,0\n"), b) {
			t.Errorf("%d says %q", o, b)
		}
	}
}

// A tap that comes in the middle, and bytes that are no frame.
func TestTapFindsItsWay(t *testing.T) {
	var b bus
	b.setup()
	b.buy("01 5E", "00 0C")
	b.buy("01 5E", "00 FF")
	sold := func(raw []byte) int {
		var tap Tap
		var d Decoder
		n := 0
		for i := range raw {
			for _, f := range tap.Feed(time.Duration(i), raw[i:i+1]) {
				for _, e := range d.Frame(f) {
					if e.Kind == Sale {
						n++
					}
				}
			}
		}
		return n
	}
	if n := sold(b.bytes); n != 2 {
		t.Errorf("%d sales of 2", n)
	}
	for cut := range 40 {
		if n := sold(b.bytes[cut:]); n != 2 {
			t.Errorf("cut by %d bytes: %d sales of 2", cut, n)
		}
	}
	if n := sold(append(append([]byte{0xff, 0x07, 9, 9, 0xff, 0x00, 0x13, 1, 2, 3}, bytes.Repeat([]byte{5}, 200)...), b.bytes...)); n != 2 {
		t.Errorf("after noise: %d sales of 2", n)
	}
}

func FuzzSniffer(f *testing.F) {
	var b bus
	b.setup()
	b.buy("01 5E", "00 0C")
	f.Add([]byte(b.lines.String()))
	f.Add([]byte("x,00,9999999999,13,05\nx,80,0,,ACK\nx,00,1,,ACK\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var s Sniffer
		var d Decoder
		for _, fr := range append(s.Feed(in), s.Flush()...) {
			for _, e := range d.Frame(fr) {
				check(t, e)
			}
		}
		if len(s.held) > maxHeld+1 || len(s.line) > maxLine {
			t.Fatal("it holds too much")
		}
	})
}

func FuzzTap(f *testing.F) {
	var b bus
	b.setup()
	b.buy("01 5E", "00 0C")
	f.Add(b.bytes)
	f.Fuzz(func(t *testing.T, in []byte) {
		var tap Tap
		var d Decoder
		for _, fr := range tap.Feed(time.Second, in) {
			for _, e := range d.Frame(fr) {
				check(t, e)
			}
		}
		if len(tap.buf) > maxExchange {
			t.Fatal("it holds too much")
		}
	})
}

func check(t *testing.T, e Event) {
	if e.Price < Unknown || e.Raw < Unknown || e.Item < Unknown || e.Item > noItem || e.Decimals < Unknown || e.Decimals > 4 {
		t.Fatalf("%+v", e)
	}
}

// day is 20,000 lines of a sniffer: polls, and a hundred vends.
func day() ([]byte, int) {
	var b bus
	b.setup()
	for i := range 9300 {
		if i%93 == 0 {
			b.buy("01 5E", "00 0C")
		}
		b.told([]string{"0B", "33", "12"}[i%3])
		b.at += 4 * time.Second
	}
	return []byte(b.lines.String()), bytes.Count([]byte(b.lines.String()), []byte("\n"))
}

func BenchmarkDay(b *testing.B) {
	text, lines := day()
	b.ReportAllocs()
	for b.Loop() {
		var s Sniffer
		var d Decoder
		n := 0
		for at := 0; at < len(text); at += 64 {
			for _, f := range s.Feed(text[at:min(at+64, len(text))]) {
				for _, e := range d.Frame(f) {
					if e.Kind == Sale {
						n++
					}
				}
			}
		}
		if n != 100 {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)*20000/float64(lines), "ms/20000lines")
}
