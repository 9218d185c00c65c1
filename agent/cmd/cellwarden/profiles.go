package main

import (
	"cellwarden/agent/cli"
	"cellwarden/agent/explain"
	"cellwarden/modem/profile"
	"context"
	"fmt"
	"strings"
)

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
