package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Redacted is the effective config as TOML, with "(set, not shown)" for what
// is secret. Lines that differ from Default are marked.
func (c Config) Redacted() string {
	var b strings.Builder
	have, standard := reflect.ValueOf(c), reflect.ValueOf(Default)
	for i := range have.NumField() {
		section := keyOf(have.Type().Field(i))
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[%s]\n", section)
		values, defaults := have.Field(i), standard.Field(i)
		for j := range values.NumField() {
			mark := ""
			if !reflect.DeepEqual(values.Field(j).Interface(), defaults.Field(j).Interface()) {
				mark = "  # not the default"
			}
			key := keyOf(values.Type().Field(j))
			if p := values.Field(j); p.Kind() == reflect.Pointer {
				if p.IsNil() {
					continue // not known, which TOML cannot say
				}
				fmt.Fprintf(&b, "%s = %s%s\n", key, literal(p.Elem()), mark)
				continue
			}
			fmt.Fprintf(&b, "%s = %s%s\n", key, literal(values.Field(j)), mark)
		}
	}
	return b.String()
}

// literal is a value as TOML.
func literal(v reflect.Value) string {
	switch t := v.Interface().(type) {
	case Duration:
		return strconv.Quote(t.String())
	case Secret:
		return strconv.Quote(t.String())
	case map[string]Duration:
		keys := make([]string, 0, len(t))
		for k := range t {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for i, k := range keys {
			keys[i] = fmt.Sprintf("%s = %q", k, t[k].String())
		}
		if len(keys) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(keys, ", ") + " }"
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// quote makes a TOML basic string; TOML has no \x escape.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
