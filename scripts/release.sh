#!/bin/sh
# Makes what devices update from: for each target the program, packed, with a delta
# from each earlier release, and the manifest, to be signed on the machines that hold
# the keys:
#
#   VERSION=v1.3.0 scripts/release.sh -e EXPIRES [-f OLD]... [-r ROOT]... [-o DIR] [TARGET...]
#
# EXPIRES is a date such as 2027-06-30, OLD the folder of an earlier release that is
# in the field (its bin/ is what the packages of that version hold), ROOT a change of
# keys that devices may have missed. All targets by default. DIR, by default
# dist/update-VERSION, goes onto the web server once the manifests are signed; keep it
# for the deltas of later releases. Trees with edits have no VERSION and are refused.
set -eu
cd "$(dirname "$0")/.."

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

: "${VERSION:=$(git describe --tags --dirty 2>/dev/null || true)}"
export VERSION
olds='' roots='' expires='' out=dist/update-$VERSION
while getopts e:f:r:o: opt; do
	case $opt in
	e) expires=$OPTARG ;;
	f)
		if [ ! -d "$OPTARG/bin" ]; then
			echo "release: $OPTARG/bin is not there: -f wants the folder of an earlier release" >&2
			exit 1
		fi
		olds="$olds$OPTARG
"
		;;
	r) roots="$roots$OPTARG
" ;;
	o) out=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ -n "$expires" ] || usage
# shellcheck disable=SC2046 # a list of names
[ $# -gt 0 ] || set -- $(scripts/build.sh -l)

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
env GOOS= GOARCH= go build -o "$tmp/cellwarden-sign" ./agent/cmd/cellwarden-sign
scripts/build.sh -o "$out/bin" "$@"
for target; do
	# The flags of the signing tool, one argument a line: folders may have spaces.
	(
		set -- manifest -version "$VERSION" -target "$target" -expires "$expires" -binary "$out/bin/cellwarden-$target" -o "$out"
		while IFS= read -r old; do
			# A target may be new.
			[ ! -f "$old/bin/cellwarden-$target" ] || set -- "$@" -from "$old/bin/cellwarden-$target"
		done <<-end
			${olds%?}
		end
		while IFS= read -r root; do
			[ -z "$root" ] || set -- "$@" -roots "$root"
		done <<-end
			${roots%?}
		end
		"$tmp/cellwarden-sign" "$@"
	)
done
echo "to be signed: $out/cellwarden-$VERSION-*.json, each by: cellwarden-sign sign -key KEY FILE"
