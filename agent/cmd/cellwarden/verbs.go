package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"cellwarden/agent"
	"cellwarden/agent/cli"
	"cellwarden/agent/config"
	"cellwarden/agent/device"
	"cellwarden/agent/explain"
	"cellwarden/agent/update/launch"
	"cellwarden/agent/worker"
	"cellwarden/modem"
)

// hooks are the verbs that need the agent, the modem or this machine.
func hooks(version string) cli.Hooks {
	return cli.Hooks{
		Run:            func(ctx context.Context, args []string, env cli.Env) int { return runVerb(ctx, args, env, version) },
		Explain:        explainVerb,
		Profiles:       profilesVerb,
		Config:         configVerb,
		DiagnoseDirect: diagnoseDirect,
		Lang:           deviceLang,
		More:           []cli.Verb{targetVerb, pinVerb},
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
	applyBoardDefaults(on, cfg, env)
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
	err = agent.Run(ctx, agent.Options{Config: cfg, Version: version, Hardware: hw, Log: log,
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
	table, err := agent.LoadWeights(*weights)
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

func configVerb(_ context.Context, args []string, env cli.Env) int {
	f := flags("config", env)
	path := f.String("config", config.DefaultPath, "the config file")
	out := f.String("o", "", "example: the file to write, with its folder; one that is there stays")
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
		if *out != "" {
			if err := writeExample(*out); err != nil {
				return failed(env, err)
			}
			return 0
		}
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

// writeExample begins a config file. It may come to hold a password, so that only its
// owner reads it, and a file that is there is never written over.
func writeExample(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("config example: %w", err)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("config example: %s is there already: edit it, or name another file", name)
	}
	if err != nil {
		return fmt.Errorf("config example: %w", err)
	}
	_, err = io.WriteString(file, config.Example)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("config example: %s: %w", name, err)
	}
	return nil
}

// logTraffic writes each line that passes the modem's port into the log, at the
// level debug, as the recorder keeps it: redacted. kind is ">" for what was sent,
// "<" for its answer, "!" for what came unasked, "~" for what was dropped.
func logTraffic(rec *modem.Recorder, log *slog.Logger) {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	rec.Log = func(r modem.Record) { log.Debug("at", "kind", string(r.Kind), "line", r.Line) }
}
