package evadts

import (
	_ "embed"
	"strings"
)

//go:embed codes.tsv
var codesTSV string

// Code is what an event code of the standard means.
type Code struct {
	Kind string // the notice that it gives, "" for none
	Ends bool   // it ends that notice instead
	EN   string
	ZH   string
}

// columns of codes.tsv.
const columns = 5

// lookup finds the row of a code. The table is searched as text: an audit has few
// events, and most runs of the agent have none.
func lookup(code string) (Code, bool) {
	_, row, ok := strings.Cut(codesTSV, "\n"+code+"\t")
	if !ok || code == "" {
		return Code{}, false
	}
	row, _, _ = strings.Cut(row, "\n")
	f := strings.SplitN(row, "\t", columns-1)
	if len(f) != columns-1 {
		return Code{}, false
	}
	return Code{f[0], f[1] == "ends", f[2], f[3]}, true
}

// FindCode reads an event code as it is sent. base is the code of the standard in
// it and of the selection or device number behind it: ELA_12, ELA12 and "ela_12 "
// are all ELA of 12. A code that the standard does not have gives no base.
func FindCode(sent string) (c Code, base, of string) {
	s := strings.ToUpper(trim(sent))
	if c, ok := lookup(s); ok {
		return c, s, ""
	}
	if head, tail, cut := strings.Cut(s, "_"); cut {
		if c, ok := lookup(head); ok && isNumber(tail) {
			return c, head, tail
		}
		return Code{}, "", ""
	}
	if head := strings.TrimRight(s, "0123456789"); len(head) == 3 && len(s) > 3 {
		if c, ok := lookup(head); ok {
			return c, head, s[3:]
		}
	}
	return Code{}, "", ""
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
