#!/bin/sh
# usage: test.sh TIMEOUT PACKAGE...
# Runs every test of the project once: the named packages under the race detector, the
# rest as the device is built, without cgo. All run to their end, and each can fail. The
# last line says how many tests passed, failed and were skipped, those above it why.
set -u
timeout=$1
shift
raced=$(printf 'cellwarden/%s\n' "$@")
rest=$(go list ./... | grep -Fvx "$raced")
race=-race cgo=1
if ! command -v "${CC:-gcc}" >/dev/null; then
	echo "test: no C compiler, so nothing is checked for races; install gcc and libc6-dev"
	race='' cgo=0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
go build -o "$dir/testsum" ./scripts/testsum || exit 1
# What is judged by its memory is judged once more without the detector's.
memory="-- CGO_ENABLED=0 -count=1 -timeout $timeout -run ^TestMemory ./agent"
[ -n "$race" ] || memory=
# shellcheck disable=SC2086 # lists of packages
"$dir/testsum" CGO_ENABLED=$cgo $race -count=1 -vet=all -p 2 -timeout "$timeout" $raced \
	$memory -- -count=1 -vet=all -p 2 -timeout "$timeout" $rest
