package cli

import (
	"context"
	"errors"
	"fmt"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// machine shows the vending machine itself, has its audit read, or notes that columns
// were filled.
func machine(ctx context.Context, args []string, env Env) int {
	f := env.flags("machine")
	ops, code, ok := f.parse(args, 0, maxFiles)
	if !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	done := func(key string, err error) int {
		if err != nil {
			return env.fail(lang, err)
		}
		fmt.Fprintln(env.Stdout, text.T(lang, "audit."+key))
		return exitOK
	}
	switch {
	case len(ops) == 0:
		return showMachine(ctx, env, lang, f)
	case ops[0] == "read" && len(ops) == 1:
		return done("asked", f.client().ReadMachine(ctx))
	case ops[0] == "filled":
		return done("filled", f.client().Filled(ctx, ops[1:]))
	}
	return f.wrong(fmt.Errorf("unknown action %q: read or filled", ops[0]))
}

func showMachine(ctx context.Context, env Env, lang text.Lang, f *flags) int {
	st, err := f.client().Status(ctx)
	if err != nil {
		return env.fail(lang, err)
	}
	if st.Machine == nil {
		return env.fail(lang, &localapi.Error{Err: errors.New(text.T(lang, "audit.off"))})
	}
	if *f.json {
		err = env.printJSON(st.Machine)
	} else {
		err = printMachine(env, lang, st)
	}
	if err != nil {
		return env.fail(lang, err)
	}
	if len(st.Machine.Notices) > 0 {
		return exitFault
	}
	return exitOK
}

// printMachine prints the lines about the machine, then every column.
func printMachine(env Env, lang text.Lang, st localapi.Status) error {
	const label = 14
	for _, r := range view.MachinePage(view.Build(lang, env.Location, st)) {
		if _, err := fmt.Fprintf(env.Stdout, "%s  %s\n", pad(r.Label, label), r.Value); err != nil {
			return err
		}
	}
	for _, c := range st.Machine.Stock {
		level := text.T(lang, "audit.unknown")
		if c.Level >= 0 {
			level = fmt.Sprint(c.Level)
			if c.Capacity > 0 {
				level += fmt.Sprintf("/%d", c.Capacity)
			}
		}
		if c.Fill > 0 {
			level += fmt.Sprintf("  +%d", c.Fill)
		}
		if _, err := fmt.Fprintf(env.Stdout, "  %s  %s %s\n", pad(clip(view.Column(c), 28), 28), text.T(lang, "audit.level"), level); err != nil {
			return err
		}
	}
	return nil
}
