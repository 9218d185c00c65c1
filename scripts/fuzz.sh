#!/bin/sh
# Runs every fuzz target of the tree for FUZZ_TIME (20s): what reads bytes of others
# must stand any bytes. Fails when one finds something, or did fewer than LEAST
# executions: a target that hardly runs proves nothing.
#
#   scripts/fuzz.sh [NAME]   NAME is a part of "package.Target"
set -eu
cd "$(dirname "$0")/.."

: "${FUZZ_TIME:=20s}"
readonly LEAST=10000
# Making an interesting input small is stopped after so many tries: of the default, a
# minute for each, a target with large inputs spends its whole time on it.
readonly MINIMIZE=50x

want=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
git grep -l '^func Fuzz' -- '*_test.go' | xargs -n 1 dirname | sort -u >"$work/packages"
bad=0 count=0
while read -r package; do
	for target in $(go test -list '^Fuzz' "./$package" | grep '^Fuzz'); do
		case $package.$target in *"$want"*) ;; *) continue ;; esac
		count=$((count + 1))
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZ_TIME" -fuzzminimizetime "$MINIMIZE" \
			"./$package" >"$work/out" 2>&1; then
			found=
		else
			found=yes
		fi
		execs=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$work/out" | tail -n 1)
		if [ -n "$found" ]; then
			bad=1
			echo "FAIL  $package.$target after ${execs:-0} executions:"
			grep -v '^fuzz: ' "$work/out" | sed 's/^/      /'
		elif [ "${execs:-0}" -lt $LEAST ]; then
			bad=1
			echo "SLOW  $package.$target: ${execs:-0} executions in $FUZZ_TIME, want $LEAST: smaller seeds, or less work in each"
		else
			echo "ok    $package.$target: $execs executions"
		fi
	done
done <"$work/packages"
echo "$count targets"
[ "$count" -gt 0 ] || bad=1
exit $bad
