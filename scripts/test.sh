#!/bin/sh
# usage: test.sh TIMEOUT PACKAGE...
# Runs every test of the project once: the named packages under the race detector, the
# rest as the device is built, without cgo. Both run to their end, and either can fail.
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
failed=0
# shellcheck disable=SC2086 # lists of packages
CGO_ENABLED=$cgo go test $race -count=1 -vet=all -p 2 -timeout "$timeout" $raced || failed=1
# What is judged by its memory is judged without the detector's.
[ -z "$race" ] || go test -count=1 -timeout "$timeout" -run '^TestMemory' ./agent || failed=1
# shellcheck disable=SC2086
go test -count=1 -vet=all -p 2 -timeout "$timeout" $rest || failed=1
exit $failed
