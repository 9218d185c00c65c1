package web

import (
	"errors"
	"fmt"
	"strings"

	"rsc.io/qr/coding"
)

// quiet is the margin that readers need, in modules (ISO/IEC 18004 §6.3.8).
const quiet = 4

// qrSVG is text as a QR code, level L: a screen is clean, and the fewer modules the
// larger each.
func qrSVG(said string) (string, error) {
	enc := coding.String(said)
	for v := coding.Version(coding.MinVersion); v <= coding.MaxVersion; v++ {
		if enc.Bits(v) > v.DataBytes(coding.L)*8 {
			continue
		}
		plan, err := coding.NewPlan(v, coding.L, 0)
		if err != nil {
			return "", err
		}
		code, err := plan.Encode(enc)
		if err != nil {
			return "", err
		}
		var b strings.Builder
		n := code.Size + 2*quiet
		fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="qr" viewBox="0 0 %d %d" role="img" aria-label="QR"><path d="`, n, n)
		for y := range code.Size {
			for x := 0; x < code.Size; x++ {
				from := x
				for x < code.Size && code.Black(x, y) {
					x++
				}
				if x > from {
					fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
				}
			}
		}
		b.WriteString(`"/></svg>`)
		return b.String(), nil
	}
	return "", errors.New("too long for a QR code")
}
