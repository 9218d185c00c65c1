package cli

import (
	"reflect"
	"strings"
	"testing"
	"unicode"

	"cellwarden/agent/localapi/fixture"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// poison puts s behind every text that v holds.
func poison(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(v.String() + s)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			poison(v.Field(i), s)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), s)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), s)
		}
	}
}

// hidden is the first rune of out that acts on a terminal or hides from the eye; 0 none.
func hidden(out string) rune {
	for _, r := range out {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return r
		}
	}
	return 0
}

var hostile = []string{"\x1b]0;pwned\x07\x1b[2J", "\u009b2J\u202eexe.\u200b", "\r\b\x00\x7f\xff"}

// Whatever modem, operator and platform write into the status, no verb lets through
// what acts on a terminal or hides from the eye.
func TestNoControlBytesOut(t *testing.T) {
	for _, s := range hostile {
		for name, status := range fixture.Statuses() {
			poison(reflect.ValueOf(&status).Elem(), s)
			d := &daemon{status: status, err: nil}
			for _, args := range [][]string{{"status", "--all"}, {"status", "--json"}, {"diagnose"}, {"usage"}, {"config", s}, {s}} {
				_, out, bad := call(t, d, Env{}, args...)
				if r := hidden(out + bad); r != 0 {
					t.Errorf("%q of %s printed %U", args, name, r)
				}
				if out+bad == "" {
					t.Errorf("%q of %s printed nothing", args, name)
				}
			}
		}
	}
}

func FuzzNoControlBytesOut(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	var b strings.Builder
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 100 {
			return
		}
		status := fixture.Statuses()["over_quota"]
		poison(reflect.ValueOf(&status).Elem(), s)
		b.Reset()
		env := Env{Stdout: &b, Stderr: &b, Location: beijing, Getenv: func(string) string { return "" }}
		done := env.cleanly()
		if err := env.Page(view.Build(text.ZH, beijing, status), true); err != nil {
			t.Fatal(err)
		}
		done()
		if r := hidden(b.String()); r != 0 || b.Len() == 0 {
			t.Fatalf("printed %U", r)
		}
	})
}
