// Command cellwarden-fleet plays a fleet with the agent's real core on a clock of its own,
// and says what the backend made of it.
//
//	cellwarden-fleet -machines 300 -for 720h        a month of three hundred machines
//	cellwarden-fleet -machines 30 -for 6h -v        one afternoon, told line by line
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"cellwarden/protocol/backend/fleetsim"
)

func main() {
	var cfg fleetsim.Config
	flag.IntVar(&cfg.Machines, "machines", 300, "how many")
	flag.IntVar(&cfg.Districts, "districts", 4, "over how many districts of one city")
	flag.Uint64Var(&cfg.Seed, "seed", 1, "another seed is another month")
	flag.DurationVar(&cfg.For, "for", 720*time.Hour, "how long")
	flag.DurationVar(&cfg.Poll, "poll", 5*time.Minute, "how often the agents ask their modems")
	flag.Float64Var(&cfg.Rate, "rate", 1, "how much happens: 1 is a quiet month")
	from := flag.String("from", "2026-11-02T00:00:00Z", "when it begins")
	verbose := flag.Bool("v", false, "tell what happens")
	flag.Parse()
	if err := run(cfg, *from, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "cellwarden-fleet:", err)
		os.Exit(1)
	}
}

func run(cfg fleetsim.Config, from string, verbose bool) (err error) {
	if cfg.From, err = time.Parse(time.RFC3339, from); err != nil {
		return fmt.Errorf("-from: %w", err)
	}
	if verbose {
		beijing := time.FixedZone("", 8*3600)
		cfg.Told = func(at time.Time, line string) { fmt.Println(at.In(beijing).Format("01-02 15:04"), line) }
	}
	s, err := fleetsim.New(cfg)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.Run(); err != nil {
		return err
	}
	fmt.Printf("%d machines, %v, seed %d: %d silences, %d steps of the core in %.1f s\n\n%s", cfg.Machines, cfg.For, cfg.Seed, s.Result.Silences, s.Steps,
		time.Since(began).Seconds(), s.Result.Table())
	return nil
}
