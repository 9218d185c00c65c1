package cli

import (
	"context"
	"fmt"

	"cellwarden/agent/text"
)

// Priors shows what faults that were confirmed later taught the agent, or resets
// it to the built-in priors.
func Priors(ctx context.Context, args []string, env Env) int {
	f := env.flags("priors")
	ops, code, ok := f.parse(args, 0, 1)
	if !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	switch {
	case len(ops) == 0 || ops[0] == "show":
	case ops[0] == "reset":
		if err := f.client().Forget(ctx); err != nil {
			return env.fail(lang, err)
		}
		fmt.Fprintln(env.Stdout, text.T(lang, "ui.priors_reset"))
		return exitOK
	default:
		return f.wrong(fmt.Errorf("%q: show or reset", ops[0]))
	}
	e, err := f.client().Experience(ctx)
	if err != nil {
		return env.fail(lang, err)
	}
	if *f.json {
		if err := env.printJSON(e); err != nil {
			return env.fail(lang, err)
		}
		return exitOK
	}
	if e.Whitelist {
		fmt.Fprintln(env.Stdout, text.T(lang, "ui.learned_whitelist"))
	}
	if len(e.Priors) == 0 {
		fmt.Fprintln(env.Stdout, text.T(lang, "ui.priors_none"))
		return exitOK
	}
	fmt.Fprintln(env.Stdout, text.T(lang, "ui.priors", fmt.Sprint(e.Faults), e.Home))
	for _, p := range e.Priors {
		fmt.Fprintf(env.Stdout, "  %5.2f %% -> %5.2f %%  %s", p.Base, p.Now, text.Class(lang, p.Class).Title)
		if n := e.Counts[p.Class]; n > 0 {
			fmt.Fprintf(env.Stdout, "  (%d)", n)
		}
		fmt.Fprintln(env.Stdout)
	}
	return exitOK
}
