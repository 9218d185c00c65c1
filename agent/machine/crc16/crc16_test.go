package crc16

import "testing"

// The check value of the CRC catalogue, and what other people's devices sent.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       uint16
	}{
		{"the catalogue's check value", "123456789", 0xBB3D},
		{"our first handshake", "CWD0000001RR00L06\x03", 0x930C},
		{"the older revision", "CWD0000001RR01L01\x03", 0x6333},
		{"the standard's own example", "XYZ1234567RR00L06\x03", 0x067B},
		{"Crane 423, which is master", "CNV   DE32SR01L01\x03", 0x9B75},
		{"Ephor's reply", "00EPHOR00001R01L01\x03", 0x80FE},
		{"Ephor as master", "EPHOR00001SR01L01\x03", 0x90F9},
		{"a data block up to ETB", "DXS*RST7654321*VA*V0/6*1\r\nST*001*0001\r\n\x17", 0xC917},
		{"DDCMP header of FINISH", "\x81\x02\x40\x05\x03\x01", 0x20A3},
		{"DDCMP FINISH", "\x77\xff", 0xB067},
	} {
		if got := String(0, c.data); got != c.want || Sum(0, []byte(c.data)) != c.want {
			t.Errorf("%s: %04X, want %04X", c.name, got, c.want)
		}
	}
}
