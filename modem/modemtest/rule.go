package modemtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A rule is an explicit reply: a command pattern and its answers in turn.
type rule struct {
	key     string // normalised, without a trailing *
	tail    bool   // the pattern ended in *
	answers []answer
}

// An answer is what the modem says to one command.
type answer struct {
	lines  []string
	silent bool          // no answer ever comes
	after  time.Duration // how long the modem thinks
	split  int           // pieces of so many bytes; 0: whatever the line does
	inside []string      // unsolicited lines between the lines of the answer
	prompt bool          // ask for text first
	// onText, where prompt is set, makes the answer from the text sent.
	onText func(text string) answer
}

func ok(lines ...string) answer { return answer{lines: append(lines, "OK")} }

func bare(lines ...string) answer { return answer{lines: lines} }

// normalise makes the key that commands are compared by: no leading AT, no
// blanks, upper case.
func normalise(command string) string {
	key := upper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, command))
	return strings.TrimPrefix(key, "AT")
}

// upper is strings.ToUpper for ASCII alone: a module knows no other letters,
// and the length stays the same whatever noise is in the text.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func (r *rule) matches(key string) bool {
	if r.tail {
		return strings.HasPrefix(key, r.key)
	}
	return key == r.key
}

func newRule(command string) *rule {
	key := normalise(command)
	key, tail := strings.CutSuffix(key, "*")
	return &rule{key: key, tail: tail}
}

// parseRule reads "command [options] -> line | line".
func parseRule(text string) (*rule, error) {
	end := strings.IndexByte(text, '[')
	if arrow := strings.Index(text, "->"); end < 0 || arrow < end {
		end = arrow
	}
	command := strings.TrimSpace(text[:end])
	if command == "" {
		return nil, fmt.Errorf("a reply line begins with the command that it answers")
	}
	r := newRule(command)
	first, err := parseAnswer(text[end:])
	if err != nil {
		return nil, err
	}
	r.answers = []answer{first}
	return r, nil
}

// parseAnswer reads "[options] -> line | line".
func parseAnswer(text string) (answer, error) {
	var a answer
	text = strings.TrimSpace(text)
	for strings.HasPrefix(text, "[") {
		option, rest, closed := strings.Cut(text[1:], "]")
		if !closed {
			return a, fmt.Errorf("option %q has no closing bracket", text)
		}
		if err := a.option(strings.TrimSpace(option)); err != nil {
			return a, err
		}
		text = strings.TrimSpace(rest)
	}
	lines, found := strings.CutPrefix(text, "->")
	if !found {
		return a, fmt.Errorf("expected \"-> answer\" at %q", text)
	}
	lines = strings.TrimSpace(lines)
	if lines == "" {
		return a, fmt.Errorf("no answer after ->; write \"-> silence\" where the modem says nothing")
	}
	if lines == "silence" {
		a.silent = true
		return a, nil
	}
	for line := range strings.SplitSeq(lines, " | ") {
		line, err := unescape(strings.TrimSpace(line))
		if err != nil {
			return a, err
		}
		if line == "" {
			return a, fmt.Errorf("an empty line in the answer")
		}
		a.lines = append(a.lines, line)
	}
	return a, nil
}

func (a *answer) option(text string) error {
	word, value, _ := strings.Cut(text, " ")
	value = strings.TrimSpace(value)
	var err error
	switch word {
	case "after":
		a.after, err = ParseTime(value)
	case "split":
		a.split, err = parseCount(value, 1, maxSplit)
	case "urc-inside":
		if value == "" {
			return fmt.Errorf("urc-inside needs a line: [urc-inside +CREG: 1]")
		}
		a.inside = append(a.inside, value)
	case "prompt":
		if value != "" {
			return fmt.Errorf("prompt takes no value")
		}
		a.prompt = true
	default:
		return fmt.Errorf("unknown option [%s]; there are [after 30s], [split 3], [urc-inside +CREG: 1] and [prompt]", text)
	}
	if err != nil {
		return fmt.Errorf("[%s]: %w", text, err)
	}
	return nil
}

func parseCount(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is not a number from %d to %d", s, least, most)
	}
	return n, nil
}

// unescape turns \r \n \t \\ \| and \xHH into their bytes.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", fmt.Errorf(`a line ends in a single \; write \\ for the sign itself`)
		}
		switch s[i] {
		case 'r':
			b.WriteByte('\r')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '\\', '|':
			b.WriteByte(s[i])
		case 'x':
			if i+3 > len(s) {
				return "", fmt.Errorf(`\x needs two hex digits`)
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf(`\x%s: not two hex digits`, s[i+1:i+3])
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			return "", fmt.Errorf(`\%c is not known; there are \r \n \t \\ \| and \xHH`, s[i])
		}
	}
	return b.String(), nil
}
