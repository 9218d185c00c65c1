package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
	"cellwarden/protocol"
)

// updateVerb offers an update to the daemon, or says how updates stand.
func updateVerb(ctx context.Context, args []string, env Env) int {
	f := env.flags("update")
	now := f.Bool("now", false, "do not wait for the hours of update.window")
	again := f.Bool("again", false, "also a version that was taken back before")
	ops, code, ok := f.parse(args, 1, 1)
	if !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	c := f.client()
	if ops[0] == "status" {
		st, err := c.Status(ctx)
		if err != nil {
			return env.fail(lang, err)
		}
		if *f.json {
			if err := env.printJSON(st.Update); err != nil {
				return env.fail(lang, err)
			}
			return exitOK
		}
		for _, line := range view.Update(lang, st) {
			fmt.Fprintln(env.Stdout, line)
		}
		return exitOK
	}
	a := protocol.UpdateArgs{URL: ops[0], Now: *now, Again: *again}
	if !strings.Contains(a.URL, "://") {
		path, err := filepath.Abs(a.URL)
		if err != nil {
			return env.fail(lang, err)
		}
		a.URL = path
	}
	err := c.Update(ctx, a)
	var le *localapi.Error
	if errors.As(err, &le) && strings.HasPrefix(le.Hint, "update.") {
		fmt.Fprintf(env.Stderr, "cellwarden: %v\n%s\n", err, text.T(lang, le.Hint))
		return exitFail
	}
	if err != nil {
		return env.fail(lang, err)
	}
	fmt.Fprintln(env.Stdout, text.T(lang, "update.taken"))
	return exitOK
}
