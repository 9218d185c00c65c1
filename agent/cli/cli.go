package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	ossignal "os/signal"
	"strings"
	"syscall"
	"time"

	"cellwarden/agent/clean"
	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// Exit codes.
const (
	exitOK    = 0
	exitFail  = 1
	exitFault = 3
	exitRetry = 4 // an event was not kept; the same call may succeed later
)

// Env is all that a verb may touch outside its arguments.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	TTY            bool           // Stdout is a terminal
	Location       *time.Location // times are shown in it; nil is UTC
	Version        string
	Socket         string // of the daemon, unless --socket or CELLWARDEN_SOCKET says otherwise; "" is the default
	Hooks          Hooks
}

// A Func is a verb: its arguments, and the exit code.
type Func func(ctx context.Context, args []string, env Env) int

// Hooks are the verbs that other packages own. A nil one is not in this build.
type Hooks struct {
	Run      Func
	Explain  Func
	Profiles Func
	Config   Func
	// DiagnoseDirect judges the modem at port without a daemon.
	DiagnoseDirect func(ctx context.Context, port string, progress func(localapi.Progress)) (diag.Diagnosis, error)
	Lang           func() string // the device's language, where neither --lang nor the locale says one
	More           []Verb        // further verbs, listed after the built-in ones
}

// Verb is one row of the table.
type Verb struct {
	Name    string
	Args    string // "NAME [--data JSON]"
	Summary string // where agent/text has no verb.NAME
	Do      Func
}

// verbs is the table; agent/text has the summaries.
func (h Hooks) verbs() []Verb {
	return append([]Verb{
		{"run", "[--config FILE]", "", h.Run},
		{"status", "[--all] [--watch]", "", status},
		{"diagnose", "[--direct PORT]", "", diagnose},
		{"explain", "FILE...", "", h.Explain},
		{"event", "put NAME [--data JSON | --data-file FILE] [--level LEVEL] [--at TIME] [--no-wait]", "", event},
		{"usage", "[--by hour|day|cycle] [-n N] [--csv]", "", usage},
		{"audit", "FILE...", "", audit},
		{"machine", "[read | filled [SELECTION...]]", "", machine},
		{"bundle", "[-o FILE] [--scenario]", "", bundle},
		{"confirm", "CLASS [--by WHO] [--note TEXT]", "", confirm},
		{"config", "check|show|example", "", h.Config},
		{"profiles", "", "", h.Profiles},
		{"update", "FILE|URL [--now] [--again] | status", "", updateVerb},
		{"log", "[--since 7d|DATE]", "", logVerb},
		{"signal", "[--once]", "", signal},
		{"sim", "", "", sim},
		{"did", "WHAT", "", did},
		{"repair", "on|off", "", repair},
		{"codes", "", "", codes},
		{"completion", "bash|zsh|fish", "", completion(h.verbs)},
		{"version", "", "", version},
	}, h.More...)
}

// Main runs one command line, without the program's name, and returns the exit
// code. It ends on SIGINT and SIGTERM by cancelling the verb's context.
func Main(args []string, env Env) int {
	ctx, stop := ossignal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if env.Location == nil {
		env.Location = time.UTC
	}
	if env.Getenv == nil {
		env.Getenv = func(string) string { return "" }
	}
	verbs := env.Hooks.verbs()
	if len(args) == 0 || args[0] != "bundle" { // a bundle holds what the modem really said
		done := env.cleanly()
		defer done()
	}
	if len(args) == 0 {
		env.help(env.Stderr, verbs)
		return exitFail
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(rest) == 0 {
			env.help(env.Stdout, verbs)
			return exitOK
		}
		name, rest = rest[0], []string{"--help"}
	case "-v", "-version", "--version":
		name = "version"
	}
	for _, v := range verbs {
		if v.Name != name {
			continue
		}
		if v.Do == nil {
			return env.fail(env.Lang(""), &localapi.Error{Err: fmt.Errorf("%s: not in this build", name), Hint: "not_supported"})
		}
		return v.Do(ctx, rest, env)
	}
	fmt.Fprintf(env.Stderr, "cellwarden: unknown verb %q\n", name)
	if near := nearest(name, verbs); near != "" {
		env.hint(env.Lang(""), "unknown_verb", "cellwarden "+near)
	}
	fmt.Fprintln(env.Stderr)
	env.help(env.Stderr, verbs)
	return exitFail
}

// cleanly puts a filter before both outputs: modems, operators and platforms name
// themselves, and what they write must not act on a terminal. done ends it.
func (e *Env) cleanly() (done func()) {
	out, bad := clean.NewWriter(e.Stdout), clean.NewWriter(e.Stderr)
	if e.TTY {
		out, bad = clean.NewTerminal(e.Stdout), clean.NewTerminal(e.Stderr)
	}
	e.Stdout, e.Stderr = out, bad
	return func() {
		// An output that has gone away has been told of already, by the verb.
		_ = out.Flush()
		_ = bad.Flush()
	}
}

// help lists the verbs.
func (e Env) help(w io.Writer, verbs []Verb) {
	lang := e.Lang("")
	fmt.Fprint(w, "usage: cellwarden VERB [flags]\n\n")
	for _, v := range verbs {
		said := v.Summary
		if key := "verb." + v.Name; text.Has(lang, key) {
			said = text.T(lang, key)
		}
		fmt.Fprintf(w, "  %-10s %s\n", v.Name, said)
	}
	fmt.Fprintf(w, "\n%s\n", text.T(lang, "ui.verbs"))
}

// nearest is the verb that name was probably meant to be, "" when none is near.
func nearest(name string, verbs []Verb) string {
	best, at := "", 1+len(name)/3 // one slip in three letters, and one
	for _, v := range verbs {
		if d := distance(name, v.Name); d <= at && (best == "" || d < at) {
			best, at = v.Name, d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// flags are the flags of one verb, with those that most verbs share.
type flags struct {
	*flag.FlagSet
	env    Env
	json   *bool
	lang   *string
	socket *string
}

func (e Env) flags(verb string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(verb, flag.ContinueOnError), env: e}
	f.SetOutput(io.Discard) // errors are printed once, below
	f.json = f.Bool("json", false, "print JSON")
	f.lang = f.String("lang", "", "zh or en; default from LC_ALL or LANG, else the config")
	f.socket = f.String("socket", "", "the daemon's socket")
	return f
}

// parse reads args, flags before and after the operands, and wants min to max
// operands. ok is false when the verb is over, with code as the exit code.
func (f *flags) parse(args []string, min, max int) (operands []string, code int, ok bool) {
	for len(args) > 0 {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			f.usage(f.env.Stdout)
			return nil, exitOK, false
		}
		if err != nil {
			return nil, f.wrong(err), false
		}
		if args = f.Args(); len(args) > 0 {
			operands, args = append(operands, args[0]), args[1:]
		}
	}
	if *f.lang != "" && *f.lang != "zh" && *f.lang != "en" {
		return nil, f.wrong(fmt.Errorf("--lang %q: zh or en", *f.lang)), false
	}
	if len(operands) < min {
		return nil, f.wrong(errors.New("an argument is missing")), false
	}
	if len(operands) > max {
		return nil, f.wrong(fmt.Errorf("unexpected argument %q", operands[max])), false
	}
	return operands, exitOK, true
}

func (f *flags) wrong(err error) int {
	fmt.Fprintf(f.env.Stderr, "cellwarden %s: %v\n", f.Name(), err)
	f.usage(f.env.Stderr)
	return exitFail
}

func (f *flags) usage(w io.Writer) { f.env.Usage(w, f.FlagSet) }

// Usage prints how the verb that f is named after is called.
func (e Env) Usage(w io.Writer, f *flag.FlagSet) {
	for _, v := range e.Hooks.verbs() {
		if v.Name == f.Name() {
			fmt.Fprintf(w, "usage: %s\n", strings.TrimSpace("cellwarden "+v.Name+" "+v.Args))
		}
	}
	f.VisitAll(func(g *flag.Flag) {
		dash := "--"
		if len(g.Name) == 1 {
			dash = "-"
		}
		fmt.Fprintf(w, "  %-12s %s\n", dash+g.Name, g.Usage)
	})
}

func (f *flags) client() *localapi.Client {
	path := localapi.FindSocket()
	for _, s := range []string{f.env.Socket, f.env.Getenv("CELLWARDEN_SOCKET"), *f.socket} {
		if s != "" {
			path = s
		}
	}
	return localapi.NewClient(path)
}

// Lang is the language: flag, else locale, else the device's.
func (e Env) Lang(flag string) text.Lang {
	locale := e.locale()
	if named, _, _ := strings.Cut(locale, "."); flag == "" && (named == "" || named == "C" || named == "POSIX") && e.Hooks.Lang != nil {
		flag = e.Hooks.Lang()
	}
	return text.Pick(flag, locale)
}

func (e Env) locale() string {
	for _, k := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := e.Getenv(k); v != "" {
			return v
		}
	}
	return ""
}

// look is how pages are drawn on this terminal. Boards seldom set a locale, so
// without one the marks are ASCII unless Chinese was asked for, which needs
// UTF-8 anyway.
func (e Env) look(lang text.Lang) look {
	dumb := e.Getenv("TERM") == "dumb"
	utf8 := strings.Contains(strings.ReplaceAll(strings.ToLower(e.locale()), "-", ""), "utf8")
	return look{
		ascii: dumb || !utf8 && lang == text.EN,
		color: e.TTY && !dumb && e.Getenv("NO_COLOR") == "",
	}
}

// Page prints p as this terminal can show it. Verbs of other packages use it
// for their own diagnoses, so that all look alike.
func (e Env) Page(p view.Page, all bool) error {
	l := e.look(p.Lang)
	l.all = all
	return printPage(e.Stdout, p, l)
}

// fail prints an error and the hint that goes with it.
func (e Env) fail(lang text.Lang, err error) int {
	fmt.Fprintf(e.Stderr, "cellwarden: %v\n", err)
	var le *localapi.Error
	if errors.As(err, &le) && le.Hint != "" {
		switch le.Hint {
		case "store_full":
			e.hint(lang, le.Hint, fmt.Sprint(le.RetryAfterS))
		case "permission":
			e.hint(lang, le.Hint, "cellwarden")
		default:
			e.hint(lang, le.Hint)
		}
	}
	return exitFail
}

func (e Env) hint(lang text.Lang, key string, args ...string) {
	fmt.Fprintf(e.Stderr, "hint: %s\n", text.T(lang, "hint."+key, args...))
}

func (e Env) printJSON(v any) error {
	enc := json.NewEncoder(e.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// verdictCode is the exit code of a diagnosis: nothing judged yet is a failure
// to tell, not health.
func verdictCode(d diag.Diagnosis) int {
	switch d.Class {
	case diag.Healthy:
		return exitOK
	case "":
		return exitFail
	}
	return exitFault
}
