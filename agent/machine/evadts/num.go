package evadts

import (
	"fmt"
	"strconv"
)

// Num is a counter or an amount, never below zero. The zero Num is unknown: the
// machine did not say, which is another thing than a zero that it said.
type Num struct{ next int64 } // the number and one

// Of is the Num of v, which is not below zero.
func Of(v int64) Num { return Num{max(v, -1) + 1} }

// Known reports whether the audit has n.
func (n Num) Known() bool { return n.next > 0 }

// V is the number, 0 where it is not known.
func (n Num) V() int64 { return max(n.next-1, 0) }

// Or is n, or m where n is not known.
func (n Num) Or(m Num) Num {
	if n.Known() {
		return n
	}
	return m
}

// Add sums what is known; nothing known stays unknown.
func (n Num) Add(m Num) Num {
	switch {
	case !m.Known():
		return n
	case !n.Known():
		return m
	}
	return Of(n.V() + m.V())
}

func (n Num) String() string {
	if !n.Known() {
		return "-"
	}
	return strconv.FormatInt(n.V(), 10)
}

// MarshalJSON writes null for what is not known.
func (n Num) MarshalJSON() ([]byte, error) {
	if !n.Known() {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, n.V(), 10), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Num) UnmarshalJSON(data []byte) error {
	*n = Num{}
	if string(data) == "null" {
		return nil
	}
	v, err := strconv.ParseInt(string(data), 10, 63)
	if err != nil || v < 0 {
		return fmt.Errorf("%.40s is no count", data)
	}
	*n = Of(v)
	return nil
}

// Counters of 32 bits that began below zero are sent as numbers just under 2^32
// (a Coffeemar G250 sends 4294967295): they count nothing. No counter of a machine
// comes this near by honest means: 2^32 minor units are 42 million.
const (
	negativeFrom = 1<<32 - 1<<20
	negativeTo   = 1<<32 - 1
)

// maxDigits keeps a number far inside of int64. The standard's longest has 10.
const maxDigits = 15

// number reads an element of digits. ok is false when it is no number at all;
// an empty one and a counter below zero are unknown.
func number(s string) (n Num, negative, ok bool) {
	s = trim(s)
	if s == "" {
		return Num{}, false, true
	}
	if s[0] == '-' {
		_, twice, ok := number(s[1:])
		ok = ok && len(s) > 1 && !twice
		return Num{}, ok, ok
	}
	if len(s) > maxDigits {
		return Num{}, false, false
	}
	var v int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return Num{}, false, false
		}
		v = v*10 + int64(s[i]-'0')
	}
	if v >= negativeFrom && v <= negativeTo {
		return Num{}, true, true
	}
	return Of(v), false, true
}

// trim cuts the blanks with which makers pad an element.
func trim(s string) string {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}
