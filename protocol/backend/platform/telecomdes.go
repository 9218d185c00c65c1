package platform

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf16"
)

// The block cipher of China Telecom's classic platform is DES (FIPS 46-3) but for one
// table: its key is permuted by columns 1 to 7, each from the last row up, so that the
// second half reads otherwise than PC-1. crypto/des therefore gives another result.
// The tables below are FIPS 46-3's, that one aside.

var (
	desIP = [64]byte{58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32,
		24, 16, 8,
		57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7}
	desE = [48]byte{32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17, 16, 17, 18, 19, 20, 21, 20, 21,
		22, 23, 24, 25,
		24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1}
	desP = [32]byte{16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11,
		4, 25}
	desPC2 = [48]byte{14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55,
		30, 40,
		51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32}
	desShift = [16]byte{1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1}
	desS     = [8][64]byte{
		{14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8, 4, 1, 14, 8, 13, 6,
			2, 11, 15, 12, 9, 7,
			3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13},
		{15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5, 0, 14, 7, 11, 10, 4,
			13, 1, 5, 8, 12, 6,
			9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9},
		{10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1, 13, 6, 4, 9, 8, 15,
			3, 0, 11, 1, 2, 12,
			5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12},
		{7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9, 10, 6, 9, 0, 12, 11,
			7, 13, 15, 1, 3, 14,
			5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14},
		{2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6, 4, 2, 1, 11, 10, 13,
			7, 8, 15, 9, 12, 5,
			6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3},
		{12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8, 9, 14, 15, 5, 2, 8,
			12, 3, 7, 0, 4, 10,
			1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13},
		{4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6, 1, 4, 11, 13, 12, 3,
			7, 14, 10, 15, 6, 8,
			0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12},
		{13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2, 7, 11, 4, 1, 9, 12,
			14, 2, 0, 6, 10, 13,
			15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11},
	}
	desPC1, desFP = telecomPC1(), inverse(desIP)
)

// telecomPC1 is the table that differs: columns 1 to 7, each from the bottom.
func telecomPC1() (t [56]byte) {
	i := 0
	for col := 1; col <= 7; col++ {
		for row := 7; row >= 0; row-- {
			t[i] = byte(col + 8*row)
			i++
		}
	}
	return t
}

func inverse(p [64]byte) (t [64]byte) {
	for i, v := range p {
		t[v-1] = byte(i + 1)
	}
	return t
}

// permute takes bits of v (width of them, the highest is bit 1) in the order of table.
func permute(v uint64, width int, table []byte) (out uint64) {
	for _, b := range table {
		out = out<<1 | v>>(width-int(b))&1
	}
	return out
}

func desKeys(key uint64, pc1 [56]byte) (keys [16]uint64) {
	k := permute(key, 64, pc1[:])
	l, r := k>>28, k&(1<<28-1)
	for i, n := range desShift {
		l, r = (l<<n|l>>(28-n))&(1<<28-1), (r<<n|r>>(28-n))&(1<<28-1)
		keys[i] = permute(l<<28|r, 56, desPC2[:])
	}
	return keys
}

func desBlock(block uint64, keys [16]uint64) uint64 {
	v := permute(block, 64, desIP[:])
	l, r := v>>32, v&(1<<32-1)
	for _, k := range keys {
		x := permute(r, 32, desE[:]) ^ k
		var f uint64
		for i := range desS {
			six := x >> (42 - 6*i) & 63
			f = f<<4 | uint64(desS[i][six&32|six<<4&16|six>>1&15])
		}
		l, r = r, l^permute(f, 32, desP[:])
	}
	return permute(r<<32|l, 64, desFP[:])
}

// utf16Blocks cuts a text into blocks of four UTF-16 characters, filled with zeros.
func utf16Blocks(s string) []uint64 {
	u := utf16.Encode([]rune(s))
	var out []uint64
	for len(u) > 0 {
		var b [8]byte
		n := min(len(u), 4)
		for i, c := range u[:n] {
			binary.BigEndian.PutUint16(b[2*i:], c)
		}
		out, u = append(out, binary.BigEndian.Uint64(b[:])), u[n:]
	}
	return out
}

// telecomEncrypt is E: each block by each key in turn, as upper-case hex. The key of an
// account has nine characters, which are three keys of three.
func telecomEncrypt(text, key string) string {
	var keys [][16]uint64
	for k := []rune(key); len(k) > 0; {
		n := min(len(k), 3)
		for _, b := range utf16Blocks(string(k[:n])) {
			keys = append(keys, desKeys(b, desPC1))
		}
		k = k[n:]
	}
	var out []byte
	for _, b := range utf16Blocks(text) {
		for _, k := range keys {
			b = desBlock(b, k)
		}
		out = binary.BigEndian.AppendUint64(out, b)
	}
	return strings.ToUpper(hex.EncodeToString(out))
}
