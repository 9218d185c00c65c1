package platform

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// A node is a place in an answer, JSON or XML. What is not there is the empty node, and
// every question to it gives "no value": platforms write no value as null, as "", as " ",
// as an empty list and as nothing at all, and none of these is 0.
type node struct{ v any }

// maxDepth is how deep an answer nests. The deepest documented one has six levels.
const maxDepth = 32

func parseJSON(raw []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // an IMSI or ICCID that is sent as a number keeps its digits
	var v any
	if err := d.Decode(&v); err != nil {
		return node{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return node{}, errors.New("more after the JSON")
	}
	return node{v}, nil
}

// parseXML reads elements by their local names; an element that comes several times is
// a list.
func parseXML(raw []byte) (node, error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	type open struct {
		kids map[string]any
		text strings.Builder
	}
	stack := []*open{{kids: map[string]any{}}}
	var names []string
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return node{}, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if len(stack) > maxDepth {
				return node{}, errors.New("nested too deep")
			}
			stack, names = append(stack, &open{kids: map[string]any{}}), append(names, t.Name.Local)
		case xml.CharData:
			if stack[len(stack)-1].text.Len() < 64<<10 {
				stack[len(stack)-1].text.Write(t)
			}
		case xml.EndElement:
			top, name := stack[len(stack)-1], names[len(names)-1]
			stack, names = stack[:len(stack)-1], names[:len(names)-1]
			var v any = top.text.String()
			if len(top.kids) > 0 {
				v = top.kids
			}
			up := stack[len(stack)-1].kids
			switch was := up[name].(type) {
			case nil:
				up[name] = v
			case []any:
				up[name] = append(was, v)
			default:
				up[name] = []any{was, v}
			}
		}
	}
	if len(stack[0].kids) == 0 {
		return node{}, errors.New("no XML element")
	}
	return node{stack[0].kids}, nil
}

// at goes down by names; "0" is the first of a list.
func (n node) at(path ...string) node {
	for _, p := range path {
		switch v := n.v.(type) {
		case map[string]any:
			n = node{v[p]}
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i < 0 || i >= len(v) {
				return node{}
			}
			n = node{v[i]}
		default:
			return node{}
		}
	}
	return n
}

// list is the items of a list. One that stands alone, as XML writes it, is a list of one.
func (n node) list() []node {
	switch v := n.v.(type) {
	case nil, string:
		return nil
	case []any:
		out := make([]node, len(v))
		for i := range v {
			out[i] = node{v[i]}
		}
		return out
	}
	return []node{n}
}

// find is the first node of this name, wherever it stands: XML answers wrap differently
// from account to account.
func (n node) find(name string) node { return n.findIn(name, maxDepth) }

func (n node) findIn(name string, depth int) node {
	if depth == 0 {
		return node{}
	}
	switch v := n.v.(type) {
	case map[string]any:
		if x, ok := v[name]; ok {
			return node{x}
		}
		for _, x := range v {
			if f := (node{x}).findIn(name, depth-1); f.v != nil {
				return f
			}
		}
	case []any:
		for _, x := range v {
			if f := (node{x}).findIn(name, depth-1); f.v != nil {
				return f
			}
		}
	}
	return node{}
}

// text is a value as written, "" when there is none.
func (n node) text() string {
	switch v := n.v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// flag is a truth value, nil when there is none.
func (n node) flag() *bool {
	yes, no := true, false
	switch strings.ToLower(n.text()) {
	case "true", "1", "yes":
		return &yes
	case "false", "0", "no":
		return &no
	}
	return nil
}

// units are the factors to bytes. A megabyte is 1024 KB on every platform but Hologram,
// which counts bytes itself.
var units = map[string]int64{"B": 1, "BYTES": 1, "KB": 1 << 10, "K": 1 << 10, "MB": 1 << 20, "M": 1 << 20, "GB": 1 << 30,
	"G": 1 << 30, "TB": 1 << 40}

// maxBytes is more than any card or pool moves in a month (1 PB), and a figure beyond it
// is a mistake.
const maxBytes = 1 << 50

// volume is an amount in bytes, with its sign: what is left may be below nothing. Unit
// is that of the mapping file; a suffix at the value ("29.90MB") goes before it.
func (n node) volume(unit string) (*int64, error) {
	s := n.text()
	if s == "" {
		return nil, nil
	}
	digits := strings.TrimRightFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == ' ' })
	if suffix := strings.TrimSpace(s[len(digits):]); suffix != "" {
		unit = strings.ToUpper(suffix)
	}
	factor, known := units[unit]
	if !known {
		return nil, fmt.Errorf("unit %q is not known", clip(unit, 12))
	}
	if len(digits) > 40 || strings.ContainsAny(digits, "eE/_xX") {
		return nil, fmt.Errorf("amount %q is no decimal number", clip(s, 40))
	}
	r, ok := new(big.Rat).SetString(digits)
	if !ok {
		return nil, fmt.Errorf("amount %q is no decimal number", clip(s, 40))
	}
	r.Mul(r, new(big.Rat).SetInt64(factor))
	if r.Cmp(new(big.Rat).SetInt64(maxBytes)) > 0 || r.Cmp(new(big.Rat).SetInt64(-maxBytes)) < 0 {
		return nil, fmt.Errorf("amount %q is too large", clip(s, 40))
	}
	whole, _ := new(big.Int).SetString(r.FloatString(0), 10)
	v := whole.Int64()
	return &v, nil
}

// moment reads a time by one of the layouts; one without a zone is taken in zone. A
// number is seconds or milliseconds since 1970, by its size.
func (n node) moment(zone *time.Location, layouts ...string) time.Time {
	s := n.text()
	if s == "" {
		return time.Time{}
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) != 8 && len(s) != 14 {
		if i > 1e11 {
			return time.UnixMilli(i).In(zone)
		}
		return time.Unix(i, 0).In(zone)
	}
	for _, l := range append(layouts, time.RFC3339, "2006-01-02T15:04:05.000-0700", "2006-01-02 15:04:05",
		"2006-01-02 15:04:05.000-0700", "20060102150405", "20060102", "2006-01-02") {
		if t, err := time.ParseInLocation(l, s, zone); err == nil {
			if t.Year() < 2000 || t.Year() > 2199 {
				return time.Time{}
			}
			return t
		}
	}
	return time.Time{}
}
