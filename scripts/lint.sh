#!/bin/sh
# What is checked without running anything. Every check runs; the exit code is 1
# when one of them found something.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0

check() { # check NAME COMMAND...: the command's output is what it found
	name=$1
	shift
	if out=$("$@" 2>&1) && [ -z "$out" ]; then
		echo "ok    $name"
	else
		echo "FAIL  $name"
		echo "$out" | sed 's/^/      /'
		bad=1
	fi
}

# A path of one machine works on no other. The folder for temporary files is
# everywhere, but only scripts and what a reader types may name it: Go tests have
# one of their own.
# shellcheck disable=SC2317 # called through check
paths() {
	git grep -nIE --untracked '(^|[^[:alnum:]_.-])/(home|Users|root|work)/' -- ':!scripts'
	git grep -nIE --untracked '(^|[^[:alnum:]_.-])/tmp/' -- ':!scripts' ':!*.md'
	true # what they found is what counts
}

check gofmt gofmt -l agent modem protocol firmware-targets scripts
check "go vet" go vet ./...
check staticcheck go tool staticcheck ./...
if command -v shellcheck >/dev/null; then
	# shellcheck disable=SC2046 # no spaces in these names
	check shellcheck shellcheck $(git ls-files -co --exclude-standard '*.sh' .ci/run)
else
	echo "SKIP  shellcheck: not installed (Debian: apt-get install shellcheck)"
fi
check "paths of one machine" paths

# Known faults of what is linked in. Its database is on the network.
readonly VULNCHECK=golang.org/x/vuln/cmd/govulncheck@v1.1.4
if out=$(go run $VULNCHECK ./agent/cmd/cellwarden 2>&1); then
	echo "ok    govulncheck"
elif echo "$out" | grep -qE 'fetching vulnerabilities|dial tcp|no such host|proxyconnect|i/o timeout'; then
	echo "SKIP  govulncheck: its database cannot be reached from here (https://vuln.go.dev)"
else
	echo "FAIL  govulncheck"
	echo "$out" | sed 's/^/      /'
	bad=1
fi
exit $bad
