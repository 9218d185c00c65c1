package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"cellwarden/agent/diag"
	"cellwarden/agent/flash"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// maxEventInput bounds what --data and --data-file read; the daemon's own limit
// is lower and names it.
const maxEventInput = 64 << 10

func status(ctx context.Context, args []string, env Env) int {
	f := env.flags("status")
	all := f.Bool("all", false, "everything, however long")
	live := f.Bool("watch", false, "look again every two seconds, until Ctrl-C")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	if *live {
		return watch(ctx, env, lang, f.client(), *all)
	}
	st, err := f.client().Status(ctx)
	if err != nil {
		return env.fail(lang, err)
	}
	if *f.json {
		err = env.printJSON(st)
	} else {
		err = env.Page(view.Build(lang, env.Location, st), *all)
	}
	if err != nil {
		return env.fail(lang, err)
	}
	return verdictCode(st.Diagnosis)
}

func diagnose(ctx context.Context, args []string, env Env) int {
	f := env.flags("diagnose")
	direct := f.String("direct", "", "the modem's AT port, when no daemon runs")
	all := f.Bool("all", false, "everything, however long")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	progress := func(p localapi.Progress) { env.progress(lang, p) }
	if *f.json {
		progress = func(localapi.Progress) {}
	}
	var d diag.Diagnosis
	var err error
	page := func() view.Page { return view.BuildDiagnosis(lang, env.Location, d) }
	switch {
	case *direct != "" && env.Hooks.DiagnoseDirect == nil:
		err = &localapi.Error{Err: errors.New("diagnose --direct: not in this build"), Hint: "not_supported"}
	case *direct != "":
		d, err = env.Hooks.DiagnoseDirect(ctx, *direct, progress)
	default:
		c := f.client()
		if d, err = c.Diagnose(ctx, progress); err == nil {
			if st, err := c.Status(ctx); err == nil {
				st.Diagnosis = d
				page = func() view.Page { return view.Build(lang, env.Location, st) }
			}
		}
	}
	if err != nil {
		return env.fail(lang, err)
	}
	if *f.json {
		err = env.printJSON(d)
	} else {
		fmt.Fprintln(env.Stdout)
		err = env.Page(page(), *all)
	}
	if err != nil {
		return env.fail(lang, err)
	}
	return verdictCode(d)
}

// progress prints one layer as it is checked: the outcome as a line, what is
// being asked only where the line can be taken back.
func (e Env) progress(lang text.Lang, p localapi.Progress) {
	l := e.look(lang)
	r := view.Progress(lang, p)
	clear := ""
	if e.TTY && !l.ascii {
		clear = "\r\x1b[K"
	}
	if p.State == localapi.Checking {
		if clear != "" {
			fmt.Fprintf(e.Stdout, "%s%s", clear, clip(text.T(lang, "ui.checking", strings.TrimSpace(r.Name+" "+p.Doing)), columns-1))
		}
		return
	}
	mark := map[diag.GateState]string{diag.GatePassed: "✓", diag.GateFailed: "✗", diag.GateMasked: "-"}[p.State]
	switch {
	case mark == "":
		mark = "?"
	case l.ascii:
		mark = strings.NewReplacer("✓", "+", "✗", "x").Replace(mark)
	}
	said := r.Word
	if r.Fact != "" {
		said += separator(lang) + r.Fact
	}
	fmt.Fprintf(e.Stdout, "%s%s\n", clear, clip(mark+" "+pad(r.Name, layerWidth(lang))+"  "+said, columns))
}

func layerWidth(lang text.Lang) int {
	n := 0
	for _, l := range diag.Layers {
		n = max(n, width(text.T(lang, "layer."+string(l))))
	}
	return n
}

func event(ctx context.Context, args []string, env Env) int {
	f := env.flags("event")
	data := f.String("data", "", "JSON that goes with the event")
	file := f.String("data-file", "", "read that JSON from a file, - for standard input")
	level := f.String("level", "", "info, warn or alert; default info")
	at := f.String("at", "", "when it happened, RFC 3339; default now")
	noWait := f.Bool("no-wait", false, "do not wait until it is on disk")
	ops, code, ok := f.parse(args, 2, 2)
	if !ok {
		return code
	}
	if ops[0] != "put" {
		return f.wrong(fmt.Errorf("unknown action %q: put", ops[0]))
	}
	if *data != "" && *file != "" {
		return f.wrong(errors.New("--data and --data-file exclude each other"))
	}
	lang := env.Lang(*f.lang)
	e := localapi.Event{Name: ops[1], Level: *level, At: *at}
	if *data != "" {
		e.Data = json.RawMessage(*data)
	}
	if *file != "" {
		b, err := readInput(env, *file)
		if err != nil {
			return env.fail(lang, fmt.Errorf("--data-file: %w", err))
		}
		e.Data = b
	}
	if len(e.Data) > 0 && !json.Valid(e.Data) {
		return env.fail(lang, &localapi.Error{Err: errors.New(`data is not JSON; text needs quotes: --data '"text"'`), Hint: "bad_request"})
	}
	rec, err := f.client().PutEvent(ctx, e, !*noWait)
	if err != nil {
		env.fail(lang, err)
		var le *localapi.Error
		if errors.As(err, &le) && (le.Hint == "store_full" || le.Hint == "daemon_down" || le.Hint == "timeout") {
			return exitRetry
		}
		return exitFail
	}
	switch {
	case *f.json:
		err = env.printJSON(rec)
	case rec.Durable:
		_, err = fmt.Fprintln(env.Stdout, text.T(lang, "ui.event_durable", rec.ID))
	default:
		_, err = fmt.Fprintln(env.Stdout, text.T(lang, "ui.event_accepted", rec.ID))
	}
	if err != nil {
		fmt.Fprintf(env.Stderr, "cellwarden: %v\n", err) // the event is kept all the same
	}
	return exitOK
}

func readInput(env Env, name string) ([]byte, error) {
	in := env.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxEventInput+1))
	if err == nil && len(b) > maxEventInput {
		err = fmt.Errorf("larger than %d bytes", maxEventInput)
	}
	return b, err
}

func bundle(ctx context.Context, args []string, env Env) int {
	f := env.flags("bundle")
	out := f.String("o", "-", "the file to write, - for standard output")
	scenario := f.Bool("scenario", false, "as a scenario file that the modem simulator plays")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	record := f.client().Record
	if *scenario {
		record = f.client().RecordScenario
	}
	lang := env.Lang(*f.lang)
	if *out == "-" {
		if env.TTY {
			return f.wrong(errors.New("standard output is a terminal: name a file with -o"))
		}
		if err := record(ctx, env.Stdout); err != nil {
			return env.fail(lang, err)
		}
		return exitOK
	}
	size, err := flash.Export(*out, func(w io.Writer) error { return record(ctx, w) })
	if err != nil {
		return env.fail(lang, err)
	}
	fmt.Fprintln(env.Stderr, text.T(lang, "ui.bundle_done", *out, view.Bytes(uint64(size))))
	return exitOK
}

func confirm(ctx context.Context, args []string, env Env) int {
	f := env.flags("confirm")
	by := f.String("by", "technician", "technician, owner or backend")
	note := f.String("note", "", "a sentence for the record")
	ops, code, ok := f.parse(args, 1, 1)
	if !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	class := diag.Code(ops[0])
	if !slices.Contains(diag.Classes, class) {
		fmt.Fprintf(env.Stderr, "cellwarden confirm: no class %q\n", ops[0])
		for _, c := range diag.Classes {
			fmt.Fprintf(env.Stderr, "  %s%s\n", pad(string(c), 24), text.Class(lang, c).Title)
		}
		return exitFail
	}
	if err := f.client().Confirm(ctx, localapi.Confirmation{Class: class, By: *by, Note: *note}); err != nil {
		return env.fail(lang, err)
	}
	fmt.Fprintln(env.Stdout, text.T(lang, "ui.confirmed", text.Class(lang, class).Title))
	return exitOK
}

func version(_ context.Context, args []string, env Env) int {
	f := env.flags("version")
	if _, code, ok := f.parse(args, 0, 0); !ok {
		return code
	}
	if *f.json {
		err := env.printJSON(map[string]string{"version": env.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
		if err != nil {
			return exitFail
		}
		return exitOK
	}
	fmt.Fprintf(env.Stdout, "cellwarden %s %s/%s %s\n", env.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
	return exitOK
}
