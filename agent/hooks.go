package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/cli"
	"cellwarden/agent/config"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/explain"
	"cellwarden/agent/localapi"
	"cellwarden/agent/update/launch"
	"cellwarden/agent/worker"
	"cellwarden/modem"
	"cellwarden/modem/profile"
)

// Hooks are the verbs of the command line that this package owns.
func Hooks(version string) cli.Hooks {
	return cli.Hooks{
		Run:            func(ctx context.Context, args []string, env cli.Env) int { return runVerb(ctx, args, env, version) },
		Explain:        explainVerb,
		Profiles:       profilesVerb,
		Config:         configVerb,
		DiagnoseDirect: diagnoseDirect,
		Lang:           deviceLang,
		More:           []cli.Verb{targetVerb},
	}
}

func failed(env cli.Env, err error) int {
	fmt.Fprintf(env.Stderr, "cellwarden: %v\n", err)
	return explain.ExitFailed
}

func flags(name string, env cli.Env) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(env.Stderr)
	f.Usage = func() { env.Usage(env.Stderr, f) }
	return f
}

func runVerb(ctx context.Context, args []string, env cli.Env, version string) int {
	f := flags("run", env)
	path := f.String("config", config.DefaultPath, "the config file")
	if f.Parse(args) != nil {
		return explain.ExitFailed
	}
	if code, ok := launch.Start(ctx, *path, version, logger(env.Stderr, config.Default.Log)); ok {
		return code
	}
	cfg, on, err := config.LoadOn(os.DirFS("/"), *path)
	if err != nil {
		return failed(env, err)
	}
	standOn(on, cfg, env)
	log := logger(env.Stderr, cfg.Log)
	rec := modem.NewRecorder()
	logTraffic(rec, log)
	hw, done, err := device.New(cfg, rec)
	if err != nil {
		return failed(env, err)
	}
	defer done()
	device.AttachBoardControls(&hw, on, log)
	defer settleDown()()
	err = Run(ctx, Options{Config: cfg, Version: version, Hardware: hw, Log: log,
		Recorder: rec, Board: boardName(on)})
	if errors.Is(err, worker.ErrRestart) {
		return launch.Again(log)
	}
	if err != nil {
		return failed(env, err)
	}
	return 0
}

// logger writes one line per change. Times are left to whoever collects the
// log, unless nobody does.
func logger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	opt := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

func explainVerb(ctx context.Context, args []string, env cli.Env) int {
	f := flags("explain", env)
	asJSON := f.Bool("json", false, "one JSON object a line")
	trace := f.Bool("trace", false, "each observation, the weight it gave, and the verdict's change")
	lang := f.String("lang", "", "zh or en")
	weights := f.String("weights", "", "an operator's weight table over the built-in one")
	if f.Parse(args) != nil {
		return explain.ExitFailed
	}
	table, err := loadWeights(*weights)
	if err != nil {
		return failed(env, err)
	}
	code, err := explain.Files(env.Stdout, f.Args(), explain.Options{JSON: *asJSON, Trace: *trace, Lang: env.Lang(*lang), Weights: table})
	if err != nil {
		return failed(env, err)
	}
	return code
}

// deviceLang is what the config says; only root and the agent may be able to read it.
func deviceLang() string {
	b, err := os.ReadFile(config.DefaultPath)
	if err != nil {
		return ""
	}
	return config.Lang(string(b))
}

// profilesVerb prints the modem families in the columns of a console: how each
// answers what is asked of it, then its models and where the facts are from.
func profilesVerb(_ context.Context, args []string, env cli.Env) int {
	f := flags("profiles", env)
	if err := f.Parse(args); err != nil || f.NArg() > 0 {
		return explain.ExitFailed
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%-*s", profileColumn, "PROFILE")
	for _, i := range profile.Items {
		out.WriteString(strings.ToUpper(i.Name) + "  ")
	}
	for _, r := range profile.Table() {
		fmt.Fprintf(&out, "\n%-*s", profileColumn, r.Name)
		for i, how := range r.How {
			fmt.Fprintf(&out, "%-*s", len(profile.Items[i].Name)+2, how)
		}
	}
	out.WriteString("\n\nown: as the family documents. 3gpp: not documented, the 3GPP way.\n-: neither, so it is not asked.\n")
	for _, r := range profile.Table() {
		fmt.Fprintf(&out, "\n%-*s", profileColumn, r.Name)
		column(&out, strings.Join(r.Families, ", "))
		column(&out, "from: "+strings.Join(r.Sources, "; "))
		if len(r.Unseen) > 0 {
			column(&out, "in no capture or manual here: "+strings.Join(r.Unseen, ", "))
		}
	}
	for line := range strings.Lines(out.String()) {
		if _, err := fmt.Fprintln(env.Stdout, strings.TrimRight(line, " \n")); err != nil {
			return failed(env, err)
		}
	}
	return 0
}

// The second column of the table of profiles, on a console of 80 columns.
const profileColumn, profileEnd = 16, 79

// column writes text into the second column, over as many lines as it takes.
func column(out *strings.Builder, text string) {
	if text == "" {
		return
	}
	at := profileColumn
	for _, word := range strings.Fields(text) {
		if at > profileColumn && at+len(word) > profileEnd {
			fmt.Fprintf(out, "\n%*s", profileColumn, "")
			at = profileColumn
		}
		out.WriteString(word + " ")
		at += len(word) + 1
	}
	fmt.Fprintf(out, "\n%*s", profileColumn, "")
}

func configVerb(_ context.Context, args []string, env cli.Env) int {
	f := flags("config", env)
	path := f.String("config", config.DefaultPath, "the config file")
	if len(args) == 0 {
		return failed(env, fmt.Errorf("config: say check, show or example"))
	}
	if f.Parse(args[1:]) != nil {
		return explain.ExitFailed
	}
	if f.NArg() > 0 {
		*path = f.Arg(0)
	}
	switch args[0] {
	case "example":
		fmt.Fprint(env.Stdout, config.Example)
		return 0
	case "check", "show":
		cfg, on, err := config.LoadOn(os.DirFS("/"), *path)
		if err != nil {
			return failed(env, err)
		}
		if args[0] == "show" {
			if on.Target != nil {
				fmt.Fprintf(env.Stdout, "# board: %s (%s)\n", on.Target.Name, on.By)
			}
			fmt.Fprint(env.Stdout, cfg.Redacted())
			return 0
		}
		if found := config.CheckFiles(cfg); len(found) > 0 {
			return failed(env, config.Problems(found))
		}
		fmt.Fprintf(env.Stdout, "%s: good\n", *path)
		return 0
	}
	return failed(env, fmt.Errorf("config %s: say check, show or example", args[0]))
}

// Direct diagnosis asks three times (the three reads of an absent card, three
// samples of the level), five seconds apart.
const (
	directRounds = 3
	directPause  = 5 * time.Second
)

// diagnoseDirect judges the modem at port without a daemon. It knows nothing of
// plan, platform and history, and says so in the verdict.
func diagnoseDirect(ctx context.Context, port string, progress func(localapi.Progress)) (diag.Diagnosis, error) {
	clock, err := board.OpenClock()
	if err != nil {
		return diag.Diagnosis{}, err
	}
	var k diag.Known
	see := func(source string, facts ...any) {
		for _, f := range facts {
			k.Observe(diag.Observation{At: clock.Now(), Source: source, Fact: f})
		}
	}
	shown := map[diag.Layer]diag.GateState{}
	show := func() diag.Diagnosis {
		d := diag.Diagnose(&k, nil)
		for _, g := range d.Gates {
			if shown[g.Layer] != g.State {
				shown[g.Layer] = g.State
				progress(localapi.Progress{Layer: g.Layer, State: g.State, Fact: g.Fact})
			}
		}
		return d
	}
	cfg := config.Default
	cfg.Modem.Port = port
	m, err := device.OpenModem(ctx, device.ModemSpec(cfg, nil))
	if err != nil {
		// At a port where something else talks there is no modem to judge.
		state, detail := device.PortTrouble(err)
		if state == "silent" {
			see("port", diag.Port{State: state, Detail: detail})
			return show(), nil
		}
		return diag.Diagnosis{}, err
	}
	defer m.Close()
	queries := []modem.Query{"identify", "functionality", "sim", "iccid", "imsi", "registration", "operator", "radio", "cell", "attach", "contexts", "addresses", "apn", "error", "presence", "locks"}
	for round := range directRounds {
		for _, q := range queries {
			progress(localapi.Progress{Layer: layerOf(q), State: localapi.Checking, Doing: string(q)})
			for _, a := range m.Ask(ctx, q) {
				for _, f := range a.Facts {
					see("at:"+worker.CommandName(a.Command), f)
				}
			}
		}
		show()
		if round < directRounds-1 {
			if err := hearFor(ctx, m, directPause, func(ev modem.Event) {
				for _, f := range ev.Facts {
					see("urc:"+worker.CommandName(ev.Line), f)
				}
			}); err != nil {
				return diag.Diagnosis{}, err
			}
		}
	}
	return show(), nil
}

func hearFor(ctx context.Context, m device.Modem, d time.Duration, heard func(modem.Event)) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case ev := <-m.Unsolicited():
			heard(ev)
		case <-t.C:
			return nil
		case <-m.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func layerOf(q modem.Query) diag.Layer {
	switch q {
	case "sim", "iccid", "imsi", "presence":
		return diag.LayerSIM
	case "radio", "cell":
		return diag.LayerRadio
	case "registration", "operator", "error", "locks":
		return diag.LayerRegistration
	case "attach", "contexts", "addresses", "apn":
		return diag.LayerSession
	case "identify":
		return diag.LayerPort
	}
	return diag.LayerModem
}
