#!/bin/sh
# Runs every benchmark of the tree, one package after the other so that they do
# not disturb each other, and prints one table.
set -eu
cd "$(dirname "$0")/.."

packages=$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of packages
if ! go test -run '^$' -bench . -benchmem -benchtime "${BENCH_TIME:-200ms}" -p 1 $packages >"$log" 2>&1; then
	cat "$log"
	exit 1
fi
awk '
	/^cpu: / && !cpu { cpu = substr($0, 6); print cpu }
	/^pkg: / { sub("^cellwarden/", "", $2); pkg = $2 }
	/^Benchmark/ && NF > 2 {
		sub("^Benchmark", "", $1)
		ns = ""; rest = ""
		for (i = 3; i < NF; i += 2) {
			if ($(i+1) == "ns/op") ns = $i
			else rest = rest "  " $i " " $(i+1)
		}
		if (ns == "") time = "-"
		else if (ns < 1e3) time = sprintf("%.3g ns", ns)
		else if (ns < 1e6) time = sprintf("%.3g us", ns / 1e3)
		else if (ns < 1e9) time = sprintf("%.3g ms", ns / 1e6)
		else time = sprintf("%.3g s", ns / 1e9)
		printf "%-18s %-34s %10s%s\n", pkg, $1, time, rest
	}' "$log"

# What is promised of times and packets: only a quiet machine keeps them.
CELLWARDEN_BENCH=1 go test -count=1 -p 1 -v -run 'JudgementIsCheap|OnTheAir|ColdStart|MuteAtAnyMoment' \
	./agent/diag ./agent/uplink ./agent/e2e >"$log" 2>&1 || failed=1
grep -E 'FIGURE|B on the air|worst-case|promised|^(---|ok|FAIL)' "$log" | sed 's/^ *[a-z_]*\.go:[0-9]*: //'
exit "${failed:-0}"
