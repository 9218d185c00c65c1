package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// watchEvery is how often status --watch looks: the agent's own poll is slower.
const watchEvery = 2 * time.Second

// again calls f now and then every d, until ctx ends or f says no.
func again(ctx context.Context, d time.Duration, f func() bool) {
	t := time.NewTicker(d)
	defer t.Stop()
	for f() {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// home puts the cursor to the top and clears what is below, where that can be done.
func (e Env) home() {
	if e.TTY && e.Getenv("TERM") != "dumb" {
		fmt.Fprint(e.Stdout, "\x1b[H\x1b[J")
	}
}

// watch shows the status anew until somebody ends it; the exit code is the last verdict's.
func watch(ctx context.Context, env Env, lang text.Lang, c *localapi.Client, all bool) int {
	code := exitFail
	again(ctx, watchEvery, func() bool {
		st, err := c.Status(ctx)
		if ctx.Err() != nil {
			return false
		}
		env.home()
		if err != nil {
			code = env.fail(lang, err)
			return true // it may come back
		}
		code = verdictCode(st.Diagnosis)
		return env.Page(view.Build(lang, env.Location, st), all) == nil
	})
	return code
}

func logVerb(ctx context.Context, args []string, env Env) int {
	f := env.flags("log")
	since := f.String("since", "30d", "from when on: 7d, 12h, 2026-11-22, or RFC 3339")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	from, err := sinceWhen(*since, time.Now(), env.Location)
	if err != nil {
		return f.wrong(err)
	}
	c, err := f.client().Chronicle(ctx, from)
	if err != nil {
		return env.fail(lang, err)
	}
	if *f.json {
		if err := env.printJSON(c.Entries); err != nil {
			return env.fail(lang, err)
		}
		return exitOK
	}
	events := view.Chronicle(lang, env.Location, c.Entries)
	if len(events) == 0 {
		fmt.Fprintln(env.Stdout, text.T(lang, "journal.none"))
	}
	for _, e := range events {
		for i, line := range wrap(e.Text, columns-20) {
			when := ""
			if i == 0 {
				when = e.When
			}
			if _, err := fmt.Fprintf(env.Stdout, "%s %s\n", pad(when, 18), line); err != nil {
				return env.fail(lang, err)
			}
		}
	}
	return exitOK
}

// sinceWhen reads a span before now, a date or a time.
func sinceWhen(s string, now time.Time, loc *time.Location) (time.Time, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days, "%d", &n); err == nil && n >= 0 && n <= 366 && fmt.Sprint(n) == days {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %.32q: write such as 7d, 12h, 2026-11-22 or 2026-11-22T08:00:00+08:00", s)
}

// signal shows the level every second, with the best so far, while an antenna is turned.
func signal(ctx context.Context, args []string, env Env) int {
	f := env.flags("signal")
	once := f.Bool("once", false, "one reading")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	lang, c := env.Lang(*f.lang), f.client()
	if *f.json || *once {
		st, err := c.Status(ctx)
		switch {
		case err != nil:
		case *f.json:
			err = env.printJSON(st.Radio)
		default:
			_, err = fmt.Fprintln(env.Stdout, radioLine(lang, env.Location, st))
		}
		if err != nil {
			return env.fail(lang, err)
		}
		return exitOK
	}
	code := exitOK
	var best *float64
	var asked time.Time
	again(ctx, time.Second, func() bool {
		if time.Since(asked) > localapi.AimFor*3/4 {
			asked = time.Now()
			if err := c.Aim(ctx); err != nil && ctx.Err() == nil {
				code = env.fail(lang, err)
				return false
			}
		}
		st, err := c.Status(ctx)
		if err != nil {
			if ctx.Err() == nil {
				code = env.fail(lang, err)
			}
			return false
		}
		level := st.Radio.RSRP
		if level == nil {
			level = st.Radio.RSSI
		}
		line := radioLine(lang, env.Location, st)
		if level != nil {
			if best == nil || *level > *best {
				best = level
			}
			n := int(min(max((*level+125)/60*barSize, 0), barSize))
			line = "[" + strings.Repeat("#", n) + strings.Repeat(".", barSize-n) + "] " + line + separator(lang) + text.T(lang, "page.best", fmt.Sprintf("%.0f", *best))
		}
		if env.TTY {
			_, err = fmt.Fprintf(env.Stdout, "\r\x1b[K%s", clip(line, columns-1))
		} else {
			_, err = fmt.Fprintln(env.Stdout, line)
		}
		return err == nil
	})
	if env.TTY {
		fmt.Fprintln(env.Stdout)
	}
	return code
}

func radioLine(lang text.Lang, loc *time.Location, st localapi.Status) string {
	for _, r := range view.Build(lang, loc, st).Rows {
		if r.Key == "radio" {
			return r.Value
		}
	}
	return text.Word(lang, "grade", "")
}

// sim shows the numbers in full: this is the device's own console.
func sim(ctx context.Context, args []string, env Env) int {
	f := env.flags("sim")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	lang, c := env.Lang(*f.lang), f.client()
	id, err := c.Identities(ctx)
	if err == nil && *f.json {
		err = env.printJSON(id)
	} else if err == nil {
		if id == (localapi.Identities{}) {
			fmt.Fprintln(env.Stdout, text.T(lang, "page.none_read"))
		}
		for _, x := range [][2]string{{"ICCID", id.ICCID}, {"IMEI", id.IMEI}} {
			if x[1] != "" {
				fmt.Fprintf(env.Stdout, "%s  %s\n", pad(x[0], 6), x[1])
			}
		}
	}
	if err != nil {
		return env.fail(lang, err)
	}
	return exitOK
}

// did records what a technician did; all layers are looked at again.
func did(ctx context.Context, args []string, env Env) int {
	f := env.flags("did")
	ops, code, ok := f.parse(args, 1, 1)
	if !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	if (localapi.Deed{What: ops[0]}).Check() != nil {
		fmt.Fprintf(env.Stderr, "cellwarden did: %.40q\n", ops[0])
		for _, d := range localapi.Deeds {
			fmt.Fprintf(env.Stderr, "  %s%s\n", pad(d, 22), text.T(lang, "deed."+d))
		}
		return exitFail
	}
	if err := f.client().Did(ctx, ops[0]); err != nil {
		return env.fail(lang, err)
	}
	fmt.Fprintln(env.Stdout, text.T(lang, "page.noted"))
	return exitOK
}

// repair begins or ends repair mode.
func repair(ctx context.Context, args []string, env Env) int {
	f := env.flags("repair")
	ops, code, ok := f.parse(args, 1, 1)
	if !ok {
		return code
	}
	if ops[0] != "on" && ops[0] != "off" {
		return f.wrong(errors.New("say on or off"))
	}
	lang, c := env.Lang(*f.lang), f.client()
	err := c.Repair(ctx, ops[0] == "on")
	if err != nil {
		return env.fail(lang, err)
	}
	st, err := c.Status(ctx)
	if err != nil {
		return env.fail(lang, err)
	}
	if r := view.Build(lang, env.Location, st).Recovery; r != nil {
		fmt.Fprintln(env.Stdout, text.T(lang, "page.recovery")+separator(lang)+r.Line)
	}
	return exitOK
}

// codes prints the list that hangs beside the machine: each class with the code that a
// lamp or a display shows, in both languages.
func codes(_ context.Context, args []string, env Env) int {
	f := env.flags("codes")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	if *f.json {
		type row struct{ Code, Class, ZH, EN string }
		var rows []row
		for _, c := range diag.Classes {
			rows = append(rows, row{view.DisplayCode(c), string(c), text.Class(text.ZH, c).Title, text.Class(text.EN, c).Title})
		}
		if env.printJSON(rows) != nil {
			return exitFail
		}
		return exitOK
	}
	for _, c := range diag.Classes {
		fmt.Fprintf(env.Stdout, "%s  %s%s\n", view.DisplayCode(c), pad(text.Class(text.ZH, c).Title, 30), text.Class(text.EN, c).Title)
	}
	return exitOK
}

// completion prints a script for the shell, made from the table of verbs.
func completion(verbs func() []Verb) Func {
	return func(_ context.Context, args []string, env Env) int {
		f := env.flags("completion")
		ops, code, ok := f.parse(args, 1, 1)
		if !ok {
			return code
		}
		var names []string
		for _, v := range verbs() {
			names = append(names, v.Name)
		}
		all := strings.Join(names, " ")
		switch ops[0] {
		case "bash":
			fmt.Fprintf(env.Stdout, "_cellwarden() {\n  if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W %q -- \"$2\")); else COMPREPLY=($(compgen -f -- \"$2\")); fi\n}\ncomplete -F _cellwarden cellwarden\n", all+" help")
		case "zsh":
			fmt.Fprintf(env.Stdout, "#compdef cellwarden\n_arguments '1:verb:(%s help)' '*:file:_files'\n", all)
		case "fish":
			for _, v := range verbs() {
				fmt.Fprintf(env.Stdout, "complete -c cellwarden -n __fish_use_subcommand -f -a %s -d '%s'\n", v.Name, strings.ReplaceAll(text.T(env.Lang(""), "verb."+v.Name), "'", "’"))
			}
		default:
			return f.wrong(fmt.Errorf("%.16q: bash, zsh or fish", ops[0]))
		}
		return exitOK
	}
}
