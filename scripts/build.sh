#!/bin/sh
# Builds the device's binary for one or more targets, as Go builds everywhere: the
# stock toolchain and standard library, static, stripped:
#
#   scripts/build.sh [-o DIR] [-s] [-g] TARGET...   "host" is the machine at hand
#   scripts/build.sh -l                        lists the targets
#
# A TARGET may also be a board of firmware-targets.
#
# -s also writes SHA256SUMS. -g leaves the symbols in, for scripts/footprint, and
# allows any size. The same source and VERSION give the same bytes in
# any folder: no paths, no build id, no state of the checkout.
set -eu
cd "$(dirname "$0")/.."

# The largest binary for the common boards (ARMv7, arm64), 12 MB: the small ones leave some 30 MB of flash
# to the integrator, and an update needs room for two beside the queue. A program that
# outgrew it could not replace itself.
readonly LIMIT_BYTES=12582912 # 12 MiB

# target: GOOS GOARCH and the CPU level. A wrong level dies of an illegal
# instruction, so there is one binary for each.
table='
armv5  GOARCH=arm    GOARM=5            ARM926: no floating point unit
armv6  GOARCH=arm    GOARM=6            ARM1176
armv7  GOARCH=arm    GOARM=7            Cortex-A7, A8, A9: VFPv3
arm64  GOARCH=arm64  GOARM64=v8.0       Cortex-A35, A53, A55, A72
mipsle GOARCH=mipsle GOMIPS=softfloat   MT7628, MT7688, MT7621: no FPU
amd64  GOARCH=amd64  GOAMD64=v1         x86-64 POS
'

usage() {
	echo "usage: scripts/build.sh [-o DIR] [-s] [-g] TARGET... | -l" >&2
	exit 2
}

names() { echo "$table" | awk 'NF { print $1 }'; }

out=build sums="" strip="-s -w"
while getopts o:sgl opt; do
	case $opt in
	o) out=$OPTARG ;;
	s) sums=yes ;;
	g) strip= ;;
	l)
		names
		exit 0
		;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage

# Without net/http's copy of HTTP/2, 0.5 MB that no part of the agent uses: a tag of
# the library itself.
readonly TAGS=nethttpomithttp2

# build NAME FILE LIMIT [VARIABLE=VALUE...]; a LIMIT of 0 is none.
build() {
	name=$1 file=$2 limit=$3
	shift 3
	env CGO_ENABLED=0 GOOS=linux "$@" go build -trimpath -buildvcs=false -tags "$TAGS" \
		-ldflags "$strip -buildid= -X main.version=${VERSION:-dev}" -o "$file" ./agent/cmd/cellwarden
	size=$(wc -c <"$file")
	awk -v n="$name" -v f="$file" -v s="$size" -v l="$limit" 'BEGIN {
		printf "%-7s %-24s %9d bytes  %.2f MB", n, f, s, s / 1e6
		if (l > 0) printf " of %.2f", l / 1e6
		print "" }'
	if [ "$limit" -gt 0 ] && [ "$size" -gt "$limit" ]; then
		over="$over $name"
	fi
}

mkdir -p "$out"
over=
for target; do
	if [ "$target" = host ]; then
		build host "$out/cellwarden" 0
		continue
	fi
	# The name of a board stands for the first build of its file.
	if [ -f "firmware-targets/$target.toml" ]; then
		target=$(sed -n 's/^build *= *\["\([a-z0-9]*\)".*/\1/p' "firmware-targets/$target.toml")
	fi
	row=$(echo "$table" | awk -v t="$target" '$1 == t { print $2, $3 }')
	if [ -z "$row" ]; then
		echo "build: no target \"$target\"; there are: host $(names | tr '\n' ' ')" >&2
		exit 2
	fi
	limit=0
	case $strip$row in -s*GOARM=7* | -s*GOARCH=arm64*) limit=$LIMIT_BYTES ;; esac
	# shellcheck disable=SC2086 # two variables in one row
	build "$target" "$out/cellwarden-$target" "$limit" $row
done
if [ -n "$sums" ]; then
	(cd "$out" && sha256sum cellwarden-* >SHA256SUMS && cat SHA256SUMS)
fi
if [ -n "$over" ]; then
	echo "build: over the limit of $LIMIT_BYTES bytes:$over (why there is one: scripts/build.sh; what is linked in: go version -m FILE)" >&2
	exit 1
fi
