// Command waits plays the recovery ladders in the simulated world of package
// remedysim, beside a plain ping watchdog, and prints both as one table. With -search
// it looks for the waits that bring service back soonest within the budgets.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/remedy"
	"cellwarden/agent/remedy/remedysim"
)

func main() {
	n := flag.Int("n", 1000, "incidents of each class")
	search := flag.Bool("search", false, "search the waits instead of comparing")
	class := flag.String("class", "", "one class only")
	flag.Parse()
	w, err := remedysim.Builtin()
	if err != nil {
		fmt.Fprintln(os.Stderr, "waits:", err)
		os.Exit(1)
	}
	classes := slices.Sorted(maps.Keys(w.Class))
	if *class != "" {
		if _, ok := w.Class[*class]; !ok {
			fmt.Fprintf(os.Stderr, "waits: %q is not in the world; it has %s\n", *class, strings.Join(classes, ", "))
			os.Exit(1)
		}
		classes = []string{*class}
	}
	if *search {
		searchAll(w, classes, *n)
		return
	}
	compare(w, classes, *n)
}

func compare(w remedysim.World, classes []string, n int) {
	fmt.Printf("%d incidents of each class. Time from the end of the cause to service; disturbances and resets an incident.\n\n", n)
	fmt.Println("| class | median, ladder | watchdog | 9 of 10, ladder | watchdog | with news | without | disturbances, ladder | watchdog | fewer" +
		" | resets, ladder | watchdog | most attaches an hour, ladder | watchdog | rate-limited, ladder | watchdog |")
	fmt.Println("|" + strings.Repeat("---|", 16))
	for _, class := range classes {
		a := w.Play(class, n, remedysim.ByLadder(remedy.Builtin, nil))
		b := w.Play(class, n, remedysim.Watchdog)
		fewer := "-"
		if a.Disturb > 0 {
			fewer = fmt.Sprintf("%.0f×", b.Disturb/a.Disturb)
		}
		fmt.Printf("| `%s` | %s | %s | %s | %s | %s | %s | %.1f | %.1f | %s | %.2f | %.1f | %d | %d | %d | %d |\n", class,
			short(a.Median), short(b.Median), short(a.P90), short(b.P90), short(a.NewsMedian), short(a.NoNewsMedian),
			a.Disturb, b.Disturb, fewer, a.Resets, b.Resets, a.MostAnHour, b.MostAnHour, a.RateLimited, b.RateLimited)
	}
}

func searchAll(w remedysim.World, classes []string, n int) {
	fmt.Printf("Cost: minutes without service, half a minute a disturbance, one more a reset. %d incidents.\n\n", n)
	fmt.Println("| class | cost now | cost found | waits now | waits found |")
	fmt.Println("|---|---|---|---|---|")
	for _, class := range classes {
		now := remedy.Builtin.Class[class]
		found, cost, before := w.Search(remedy.Builtin, class, n)
		fmt.Printf("| `%s` | %.2f | %.2f | %s | %s |\n", class, before, cost, rungs(now), rungs(found))
	}
}

func rungs(l remedy.Ladder) string {
	out := []string{}
	for _, r := range l.Rungs {
		out = append(out, fmt.Sprintf("%s %s", r.Step, short(r.Wait())))
	}
	return strings.Join(out, ", ")
}

func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
