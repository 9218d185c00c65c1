package main

import (
	"strings"
	"testing"
)

// The story itself is tested in package demo; here are the command line's mistakes.
func TestCommandLine(t *testing.T) {
	for _, x := range []struct{ args, err, help string }{
		{"-slow", "flag provided but not defined: -slow", "-keep-page"},
		{"-fast now", `unknown argument "now"`, ""},
		{"-h", "help requested", "-fast"},
	} {
		var out, errs strings.Builder
		err := run(t.Context(), strings.Fields(x.args), &out, &errs, false)
		if err == nil || !strings.Contains(err.Error(), x.err) {
			t.Errorf("demo %s: error %v, want %s", x.args, err, x.err)
		}
		if !strings.Contains(errs.String(), x.help) {
			t.Errorf("demo %s: said %q, want the flags", x.args, errs.String())
		}
		if out.Len() > 0 {
			t.Errorf("demo %s: began with %q", x.args, out.String())
		}
	}
}
