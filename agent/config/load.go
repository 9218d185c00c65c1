package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"
)

const (
	// maxFile bounds the config: the example has about 9 kB.
	maxFile = 64 << 10
	// maxShown is how many problems are told at once; more do not fit a screen.
	maxShown = 20
)

// Problem is one thing that is wrong with the file.
type Problem struct {
	File string
	Line int    // 0: not a line of the file
	Key  string // "section.key", "" for the file as a whole
	What string
	Cure string

	restsOn []string // other keys that the problem is about
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Key != "" {
		key := p.Key
		if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) }) {
			key = strconv.Quote(key) // a foreign key must not move the cursor
		}
		b.WriteString(": " + key)
	}
	b.WriteString(": " + p.What)
	if p.Cure != "" {
		b.WriteString("; " + p.Cure)
	}
	return b.String()
}

// Problems is the error of Load and Parse: all that is wrong, by line.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps))
	for i, p := range ps {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(ps)-i))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// unreadable words why the config at path could not be read.
func unreadable(path string, err error) Problems {
	p := Problem{File: path, What: reason(err), Cure: "give the agent the right to read it"}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.What = "no such file"
		p.Cure = "make one with: cellwarden config example -o " + path
	case errors.Is(err, errTooLong):
		p.Cure = "see cellwarden config example for what belongs in it"
	}
	return Problems{p}
}

var errTooLong = fmt.Errorf("larger than %d bytes, which is no config", maxFile)

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errTooLong
	}
	return text, err
}

// reason is the error without the path, which the problem names already.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return "cannot be read: " + err.Error()
}

// Parse reads text over Default; name stands for the file in messages. Its
// error is a Problems.
func Parse(name string, text []byte) (Config, error) { return parseOver(Default, name, text) }

func parseOver(base Config, name string, text []byte) (Config, error) {
	if len(text) > maxFile {
		return Config{}, Problems{{File: name, What: errTooLong.Error()}}
	}
	if line := nestedTooOften(string(text)); line > 0 {
		return Config{}, Problems{{File: name, Line: line, What: "more dots and braces than any config has", Cure: "put texts in quotes, and compare with: cellwarden config example"}}
	}
	var tree map[string]any
	if _, err := toml.Decode(string(text), &tree); err != nil {
		return Config{}, Problems{syntaxProblem(name, err)}
	}
	r := reader{name: name, lines: indexLines(strings.TrimPrefix(string(text), "\ufeff"))}
	c := base.clone()
	r.table("", tree, reflect.ValueOf(&c).Elem())
	// The default stands in for a value that could not be read. A rule that
	// joins such a value with another one would then speak of what nobody wrote.
	unread := map[string]bool{}
	for _, p := range r.problems {
		unread[withoutIndex(p.Key)] = true
	}
	for _, p := range Check(c) {
		if !slices.ContainsFunc(p.restsOn, func(key string) bool { return unread[key] }) {
			r.add(p.Key, p.What, p.Cure)
		}
	}
	if len(r.problems) > 0 {
		sort.SliceStable(r.problems, func(i, j int) bool {
			a, b := r.problems[i], r.problems[j]
			return cmp.Or(a.Line-b.Line, strings.Compare(a.Key, b.Key)) < 0
		})
		return Config{}, r.problems
	}
	return c, nil
}

// syntaxProblem words an error of the TOML library. What it quotes of a
// password is left out.
func syntaxProblem(name string, err error) Problem {
	p := Problem{File: name, What: "not TOML", Cure: "compare with: cellwarden config example"}
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		p.Line, p.Key = syntax.Position.Line, syntax.LastKey
		if strings.HasSuffix(p.Key, "password") {
			p.What, p.Cure = "the value cannot be read", `put it in quotes: password = "..."`
		} else {
			p.What = "not TOML: " + strings.TrimSuffix(syntax.Message, ".")
		}
	}
	return p
}

// clone makes lists and maps of its own, so that nobody edits Default.
func (c Config) clone() Config {
	c.Data.Interfaces = slices.Clone(c.Data.Interfaces)
	c.Plan.Thresholds = slices.Clone(c.Plan.Thresholds)
	c.Uplink.Commands = slices.Clone(c.Uplink.Commands)
	c.Probes.ThirdParty = slices.Clone(c.Probes.ThirdParty)
	c.Probes.NTP = slices.Clone(c.Probes.NTP)
	c.Machine.ReadAt, c.Machine.Fill, c.Machine.Items = slices.Clone(c.Machine.ReadAt), slices.Clone(c.Machine.Fill), slices.Clone(c.Machine.Items)
	return c
}

// reader copies a TOML tree into the struct and notes what does not fit.
type reader struct {
	name     string
	lines    lineIndex
	problems Problems
}

func (r *reader) add(key, what, cure string) {
	r.problems = append(r.problems, Problem{File: r.name, Line: r.lines.of(key), Key: key, What: what, Cure: cure})
}

func (r *reader) table(path string, tree map[string]any, into reflect.Value) {
	for _, key := range sortedKeys(tree) {
		full := key
		if path != "" {
			full = path + "." + key
		}
		if field, ok := fieldByKey(into, key); ok {
			r.value(full, tree[key], field)
		} else {
			what := "unknown key"
			if _, section := tree[key].(map[string]any); section {
				what = "unknown section"
			}
			r.add(full, what, cureUnknown(path, key))
		}
	}
}

// value copies one value. Only the types that Config has are known.
func (r *reader) value(path string, v any, into reflect.Value) {
	switch to := into.Addr().Interface().(type) {
	case *Duration:
		r.duration(path, v, to)
		return
	case *map[string]Duration:
		tree, ok := v.(map[string]any)
		if !ok {
			r.add(path, "want a section, have "+typeName(v), "write ["+path+"]")
			return
		}
		*to = map[string]Duration{}
		for _, key := range sortedKeys(tree) {
			var d Duration
			if r.duration(path+"."+key, tree[key], &d) {
				(*to)[key] = d
			}
		}
		return
	case **bool:
		if b, ok := v.(bool); ok {
			*to = &b
		} else {
			r.mismatch(path, "true or false", v, "true")
		}
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		tree, ok := v.(map[string]any)
		if !ok {
			r.add(path, "want a section, have "+typeName(v), "write ["+path+"] and its keys below")
			return
		}
		r.table(path, tree, into)
	case reflect.String:
		if s, ok := v.(string); ok {
			into.SetString(s)
			return
		}
		example := `"..."`
		switch t := v.(type) {
		case int64, bool:
			example = fmt.Sprintf("%q", fmt.Sprint(t))
		case time.Time:
			example = fmt.Sprintf("%q", t.Format(time.DateOnly))
		}
		if into.Type() == reflect.TypeFor[Secret]() {
			example = `"..."`
		}
		r.mismatch(path, "text in quotes", v, example)
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			into.SetBool(b)
			return
		}
		r.mismatch(path, "true or false", v, literal(into))
	case reflect.Int, reflect.Int64:
		n, ok := v.(int64)
		if !ok || into.OverflowInt(n) {
			r.mismatch(path, "a whole number", v, literal(into))
			return
		}
		into.SetInt(n)
	case reflect.Uint64:
		switch n, ok := v.(int64); {
		case !ok:
			r.mismatch(path, "a whole number", v, wholeExample(path, v, into))
		case n < 0:
			r.add(path, "must not be negative", "write "+lastKey(path)+" = "+literal(into))
		default:
			into.SetUint(uint64(n))
		}
	case reflect.Float64:
		switch n := v.(type) {
		case float64:
			into.SetFloat(n)
		case int64:
			into.SetFloat(float64(n))
		default:
			r.mismatch(path, "a number", v, literal(into))
		}
	case reflect.Slice:
		r.list(path, v, into)
	default:
		panic("config: " + path + " has a type that the reader does not know: " + into.Type().String())
	}
}

func (r *reader) list(path string, v any, into reflect.Value) {
	items, ok := v.([]any)
	if !ok {
		example := "[1, 2]"
		if into.Type().Elem().Kind() == reflect.String {
			example = `["..."]`
			if s, isText := v.(string); isText && !strings.Contains(s, "@") { // a URL may hold a password
				example = fmt.Sprintf("[%q]", s)
			}
		}
		r.mismatch(path, "a list", v, example)
		return
	}
	list := reflect.MakeSlice(into.Type(), len(items), len(items))
	before := len(r.problems)
	for i, item := range items {
		r.value(fmt.Sprintf("%s[%d]", path, i), item, list.Index(i))
	}
	if len(r.problems) == before {
		into.Set(list)
	}
}

func (r *reader) duration(path string, v any, into *Duration) bool {
	switch t := v.(type) {
	case string:
		d, err := time.ParseDuration(t)
		if err != nil {
			r.add(path, fmt.Sprintf("%q is not a duration", t), `write "30s", "20m" or "1h"`)
			return false
		}
		*into = Duration(d)
		return true
	case int64:
		r.mismatch(path, "a duration in quotes", v, fmt.Sprintf("%q", strconv.FormatInt(t, 10)+"s"))
	default:
		r.mismatch(path, "a duration in quotes", v, `"30s"`)
	}
	return false
}

func (r *reader) mismatch(path, want string, have any, example string) {
	cure := "write " + lastKey(path) + " = " + example
	if strings.HasSuffix(path, "]") { // an item of a list
		cure = "write " + example + " there"
	}
	r.add(path, "want "+want+", have "+typeName(have), cure)
}

// byteUnits are what people write behind a number of bytes.
var byteUnits = []struct {
	suffix string
	factor float64
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"B", 1},
}

// wholeExample turns "30MB" into the number that was meant.
func wholeExample(path string, v any, into reflect.Value) string {
	text, ok := v.(string)
	if !ok || !strings.HasSuffix(path, "_bytes") {
		return literal(into)
	}
	text = strings.ToUpper(strings.TrimSpace(text))
	for _, u := range byteUnits {
		number, cut := strings.CutSuffix(text, u.suffix)
		if !cut {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && n >= 0 && n*u.factor < 1<<53 {
			return strconv.FormatUint(uint64(n*u.factor), 10)
		}
		break
	}
	return literal(into)
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case int64:
		return "a whole number"
	case float64:
		return "a fraction"
	case time.Time:
		return "a bare date"
	case []any:
		return "a list"
	case map[string]any:
		return "a section"
	case []map[string]any:
		return "a list of sections"
	}
	return "something else"
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func lastKey(path string) string {
	return withoutIndex(path[strings.LastIndexByte(path, '.')+1:])
}

// withoutIndex turns "key[2]" into "key".
func withoutIndex(path string) string {
	if i := strings.LastIndexByte(path, '['); i > 0 && strings.HasSuffix(path, "]") {
		return path[:i]
	}
	return path
}

// keyOf is the name of a struct field in the file.
func keyOf(f reflect.StructField) string { return f.Tag.Get("toml") }

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if keyOf(v.Type().Field(i)) == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// sections lists the keys of each section, in the order of the struct.
func sections() (names []string, keys map[string][]string) {
	keys = map[string][]string{}
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		section := t.Field(i)
		name := keyOf(section)
		names = append(names, name)
		for j := range section.Type.NumField() {
			keys[name] = append(keys[name], keyOf(section.Type.Field(j)))
		}
	}
	return names, keys
}

// cureUnknown says what may have been meant by a key that does not exist.
func cureUnknown(section, key string) string {
	names, keys := sections()
	if section == "" {
		if near := nearest(key, names); near != "" {
			return "did you mean [" + near + "]?"
		}
		if homes := having(key, names, keys); homes != "" {
			return "put it below " + homes
		}
		return "the sections are " + strings.Join(names, ", ")
	}
	if near := nearest(key, keys[section]); near != "" {
		return "did you mean " + near + "?"
	}
	if homes := having(key, names, keys); homes != "" {
		return "it belongs in " + homes
	}
	return "the keys of [" + section + "] are " + strings.Join(keys[section], ", ")
}

// having lists the sections that have such a key.
func having(key string, names []string, keys map[string][]string) string {
	var homes []string
	for _, n := range names {
		if slices.Contains(keys[n], key) {
			homes = append(homes, "["+n+"]")
		}
	}
	return strings.Join(homes, " or ")
}

// nearest is the known word that is at most a third of its letters away.
func nearest(word string, known []string) string {
	best, bestAt := "", 0
	for _, k := range known {
		d := distance(strings.ToLower(word), k)
		if d <= max(1, len(k)/3) && (best == "" || d < bestAt) {
			best, bestAt = k, d
		}
	}
	return best
}

// maxWord bounds the work of distance: no key is longer.
const maxWord = 64

// distance counts the letters to insert, drop, change or swap with a neighbour.
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
