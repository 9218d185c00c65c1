package mdb

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// bus composes what goes over an MDB bus. It gives the same story as frames, as lines
// of the sniffer and as bytes of a tap.
type bus struct {
	at     time.Duration
	frames []Frame
	lines  strings.Builder
	bytes  []byte
	times  []time.Duration // of each byte
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// raw puts one byte of the bus, as the driver would hand it over.
func (b *bus) raw(c byte, mode bool) {
	switch {
	case mode:
		b.bytes = append(b.bytes, 0xff, 0x00, c)
	case c == 0xff:
		b.bytes = append(b.bytes, 0xff, 0xff)
	default:
		b.bytes = append(b.bytes, c)
	}
	for len(b.times) < len(b.bytes) {
		b.times = append(b.times, b.at)
	}
}

func (b *bus) line(master bool, cmd, data string) {
	aa := "80"
	if master {
		aa = "00"
	}
	fmt.Fprintf(&b.lines, "x,%s,%010d,%s,%s\r\n", aa, int64(b.at/tick), cmd, data)
}

// feed gives the bytes to a tap, each at its time.
func (b *bus) feed(t *Tap) (out []Frame) {
	for i := range b.bytes {
		out = append(out, t.Feed(b.times[i], b.bytes[i:i+1])...)
	}
	return out
}

// ask is the master's block: the command byte and its data.
func (b *bus) ask(block string) {
	b.at += 5 * time.Millisecond
	d := unhex(block)
	b.frames = append(b.frames, Frame{At: b.at, Master: true, Cmd: d[0], Data: d[1:]})
	b.line(true, fmt.Sprintf("%02X", d[0]), strings.ToUpper(hex.EncodeToString(d[1:])))
	b.raw(d[0], true)
	for _, c := range append(d[1:], sumOf(d)) {
		b.raw(c, false)
	}
}

// word is ACK, NAK or RET of the master or a peripheral.
func (b *bus) word(master bool, w Word) {
	b.at += 2 * time.Millisecond
	b.frames = append(b.frames, Frame{At: b.at, Master: master, Word: w})
	b.line(master, "", map[Word]string{ACK: "ACK", NAK: "NAK", RET: "RET"}[w])
	b.raw(map[Word]byte{ACK: 0x00, NAK: 0xff, RET: 0xaa}[w], !master)
}

// says is a peripheral's block.
func (b *bus) says(block string) {
	b.at += 2 * time.Millisecond
	d := unhex(block)
	b.frames = append(b.frames, Frame{At: b.at, Data: d})
	b.line(false, "", strings.ToUpper(hex.EncodeToString(d)))
	for _, c := range d {
		b.raw(c, false)
	}
	b.raw(sumOf(d), true)
}

// told is a command that the peripheral acknowledges; got an answer that the master
// acknowledges.
func (b *bus) told(block string)        { b.ask(block); b.word(false, ACK) }
func (b *bus) got(block, answer string) { b.ask(block); b.says(answer); b.word(true, ACK) }

// setup is what a machine does after power-on: every device says its scale.
func (b *bus) setup() {
	b.got("11 00 03 10 01 01", "01 02 11 56 01 02 1E 00")                // reader: 156, scale 1, 2 decimals
	b.got("09", "03 11 56 0A 02 00 00 01 05 0A 32 64")                   // changer: scale 10
	b.got("31", "01 11 56 00 64 02 01 90 00 00 01 01 02 05 0A 14")       // validator: scale 100
	b.got("0A", "00 02 00 14 07 03 00 00 00 00 00 00 00 00 00 00 00 00") // tubes
	b.got("36", "00 2A")
}

// buy is a cashless vend of price and item, delivered.
func (b *bus) buy(price, item string) {
	b.got("12", "03 03 E8")
	b.told("13 00 " + price + item)
	b.got("12", "05 "+price)
	b.told("13 02 " + item)
	b.told("13 04")
	b.got("12", "07")
}
