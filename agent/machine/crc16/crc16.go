// Package crc16 is the one checksum of machine telemetry: CRC-16/ARC, which DEX
// blocks, DDCMP frames and the G85 line of an audit share (EVA-DTS 6.2 §4.4). It
// knows nothing of frames; who calls it says which bytes count.
package crc16

// table is of the reflected polynomial 0xA001 (x16+x15+x2+1).
var table = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
		t[i] = c
	}
	return t
}()

// Add carries the checksum crc over one more byte. It begins at 0.
func Add(crc uint16, b byte) uint16 { return crc>>8 ^ table[byte(crc)^b] }

// Sum carries crc over data; Sum(0, data) is the checksum of data.
func Sum(crc uint16, data []byte) uint16 {
	for _, b := range data {
		crc = Add(crc, b)
	}
	return crc
}

// String is Sum for text.
func String(crc uint16, text string) uint16 {
	for i := range len(text) {
		crc = Add(crc, text[i])
	}
	return crc
}
