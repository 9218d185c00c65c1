package transcript

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
)

// A pattern is an expression that is compiled at its first use, with words of
// which each line that fits holds one: most lines are refused by those alone.
type pattern struct {
	re      *regexp.Regexp
	needles []string // lower case; nil: none is known
}

func lazyPattern(expr string) func() pattern {
	return sync.OnceValue(func() pattern {
		p := pattern{re: regexp.MustCompile(expr)}
		if tree, err := syntax.Parse(expr, syntax.Perl); err == nil {
			p.needles = needles(tree)
		}
		return p
	})
}

// may reports whether a line, in lower case, can fit.
func (p pattern) may(lower string) bool {
	for _, n := range p.needles {
		if strings.Contains(lower, n) {
			return true
		}
	}
	return p.needles == nil
}

// needles gives literals of which any text that re matches holds at least one;
// nil where there is no such set. Of several sets the one whose shortest word is
// longest is the best.
func needles(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{strings.ToLower(string(re.Rune))}
	case syntax.OpCapture, syntax.OpPlus:
		return needles(re.Sub[0])
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if n := needles(sub); n != nil && shortest(n) > shortest(best) {
				best = n
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			n := needles(sub)
			if n == nil {
				return nil
			}
			all = append(all, n...)
		}
		return all
	}
	return nil
}

func shortest(words []string) int {
	if len(words) == 0 {
		return 0
	}
	n := len(words[0])
	for _, w := range words {
		n = min(n, len(w))
	}
	return n
}
