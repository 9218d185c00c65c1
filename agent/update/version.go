package update

import (
	"strconv"
	"strings"
)

// A version is what `git describe --tags` says of a release: v1.2.3, or
// v1.2.3-14-gabcdef for 14 commits after it. Anything else ("dev", a bare hash, a
// dirty tree) has no place in an order.

// parseVersion gives the numbers that order versions.
func parseVersion(s string) (n [4]int, ok bool) {
	name, rest, after := strings.Cut(strings.TrimPrefix(s, "v"), "-")
	parts := strings.Split(name, ".")
	if after {
		count, hash, ok := strings.Cut(rest, "-g")
		if !ok || hash == "" || strings.Trim(hash, "0123456789abcdef") != "" {
			return n, false
		}
		parts = append(parts, count)
	} else {
		parts = append(parts, "0")
	}
	if len(parts) != len(n) {
		return n, false
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return n, false
		}
		n[i] = int(v)
	}
	return n, true
}

// Newer reports whether version a comes after b. One without a place in the order
// is newer than none and older than all.
func Newer(a, b string) bool {
	x, ok := parseVersion(a)
	if !ok {
		return false
	}
	y, ok := parseVersion(b)
	if !ok {
		return true
	}
	for i := range x {
		if x[i] != y[i] {
			return x[i] > y[i]
		}
	}
	return false
}

// Newest is the one of the versions that comes last.
func Newest(versions ...string) string {
	last := ""
	for _, v := range versions {
		if Newer(v, last) {
			last = v
		}
	}
	return last
}
