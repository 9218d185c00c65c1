#!/bin/sh
# Builds the packages into dist/, each with its service, licences and bill of
# materials:
#
#   scripts/package.sh [-o DIR] [-t TARGET] [KIND...]
#
# KIND is deb, ipk, tar, android (all four by default), or sbom: bill and notices
# alone. -t makes only what is for that target of scripts/build.sh.
#
# The same source, VERSION and Go give the same bytes. SOURCE_DATE_EPOCH is the time
# of all files; without it that of the last commit. Needs GNU tar and gzip, and once
# the network: nfpm, which writes .deb and .ipk, is fetched through Go's module proxy
# in one pinned version and is no part of the program.
set -eu
cd "$(dirname "$0")/.."

readonly NFPM=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
readonly FILES=firmware-targets/packaging

# The largest .deb (xz), 4.5 MB: what a machine loads over a plan of 30 MB a month. An
# .ipk has gzip inside, which opkg asks for, and needs half a MB more.
readonly DEB_BYTES=4500000 IPK_BYTES=5242880

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

out=dist only=
while getopts o:t: opt; do
	case $opt in
	o) out=$OPTARG ;;
	t) only=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- deb ipk tar android
for kind; do
	case $kind in deb | ipk | tar | android | sbom) ;; *) usage ;; esac
done

: "${VERSION:=$(git describe --tags --always --dirty 2>/dev/null || echo dev)}"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
: "${MAINTAINER:=The cellwarden authors <cellwarden@example.org>}" # RFC 2606: nobody's
export VERSION SOURCE_DATE_EPOCH MAINTAINER

# A package's version begins with a digit, and a later one sorts behind. Between two
# releases git describe gives v1.2.3-4-gabcdef0, which becomes 1.2.3+4.gabcdef0;
# before the first one abcdef0, which becomes 0.0.0~TIME.abcdef0. A release candidate
# v1.2.3-rc1 becomes 1.2.3~rc1.
VERSION_DEB=${VERSION#v}
case $VERSION_DEB in
[0-9]*.[0-9]*) VERSION_DEB=$(echo "$VERSION_DEB" | sed -e 's/-rc/~rc/' -e 's/-\([0-9]*\)-g/+\1.g/' -e 's/-/./g') ;;
*) VERSION_DEB=0.0.0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$(echo "$VERSION_DEB" | tr - .) ;;
esac
export VERSION_DEB

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
out=$(cd "$out" && pwd)

# go_arch TARGET: as nfpm calls it.
go_arch() {
	case $1 in
	armv[567]) echo "arm${1#armv}" ;;
	*) echo "$1" ;;
	esac
}

wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

# prepare TARGET: builds the program and what goes with it, once; sets BIN and GEN.
prepare() {
	GEN=$work/$1 BIN=$work/bin/cellwarden-$1
	export GEN BIN
	[ ! -d "$GEN" ] || return 0
	scripts/build.sh -o "$work/bin" "$1"
	mkdir -p "$GEN"
	go run "./$FILES/bom" -version "$VERSION" -sbom "$GEN/sbom.cdx.json" -notices "$GEN/notices" "$BIN"
	printf 'cellwarden (%s) unstable; urgency=medium\n\n  * Version %s. What changed is in the history of the project.\n\n -- %s  %s\n' \
		"$VERSION_DEB" "$VERSION" "$MAINTAINER" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" >"$GEN/changelog"
	cp $FILES/cellwarden.1 "$GEN"
	gzip -9nk "$GEN/notices" "$GEN/sbom.cdx.json" "$GEN/changelog" "$GEN/cellwarden.1"
	cp LICENSE "$GEN"
}

# fits FILE: notes a package that is too large; the script fails at its end.
fits() {
	size=$(wc -c <"$1")
	most=$DEB_BYTES
	case $1 in *.ipk) most=$IPK_BYTES ;; esac
	[ "$size" -le "$most" ] || over="$over ${1##*/}:$size"
}

deb() { # deb TARGET DEBIAN_ARCH
	wanted "$1" || return 0
	prepare "$1"
	DEB_ARCH=$2 go run $NFPM package -f $FILES/deb/nfpm.yaml -p deb -t "$out/cellwarden_${VERSION_DEB}_$2.deb"
	fits "$out/cellwarden_${VERSION_DEB}_$2.deb"
}

ipk() { # ipk TARGET OPENWRT_ARCH
	wanted "$1" || return 0
	prepare "$1"
	sed "s/@OPENWRT_ARCH@/$2/" $FILES/openwrt/nfpm.yaml >"$work/ipk.yaml"
	ipk=$out/cellwarden_${VERSION_DEB}_$2.ipk
	GO_ARCH=$(go_arch "$1") go run $NFPM package -f "$work/ipk.yaml" -p ipk -t "$ipk"
	# opkg reads gzip only, and nfpm packs at the default level: gzip -9 saves 3 %.
	rm -rf "$work/ipk" && mkdir "$work/ipk" && tar -C "$work/ipk" -xzf "$ipk"
	gzip -d "$work/ipk/data.tar.gz" && gzip -9n "$work/ipk/data.tar"
	tar -C "$work/ipk" --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - \
		./debian-binary ./control.tar.gz ./data.tar.gz | gzip -9n >"$ipk"
	fits "$ipk"
}

# pack NAME: the folder work/NAME as an archive.
pack() {
	tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$1" | gzip -9n >"$out/$1.tar.gz"
	echo "$out/$1.tar.gz"
}

tarball() { # tarball TARGET
	wanted "$1" || return 0
	prepare "$1"
	name=cellwarden-$VERSION_DEB-$1
	mkdir -p "$work/$name"
	install -m 755 "$BIN" "$work/$name/cellwarden"
	install -m 755 $FILES/busybox/install.sh $FILES/cellwarden.init "$work/$name"
	install -m 644 $FILES/cellwarden.toml $FILES/cellwarden.default $FILES/cellwarden.service \
		"$GEN/LICENSE" "$GEN/notices.gz" "$GEN/sbom.cdx.json.gz" "$work/$name"
	pack "$name"
}

android() {
	name=cellwarden-$VERSION_DEB-android
	mkdir -p "$work/$name"
	for target in arm64 armv7; do
		prepare $target
		install -m 755 "$BIN" "$work/$name"
		install -m 644 "$GEN/sbom.cdx.json.gz" "$work/$name/sbom-$target.cdx.json.gz"
	done
	install -m 755 $FILES/android/push.sh "$work/$name"
	install -m 644 $FILES/android/cellwarden.rc $FILES/android/cellwarden.toml "$GEN/LICENSE" "$GEN/notices.gz" "$work/$name"
	pack "$name"
}

over=
for kind; do
	case $kind in
	deb)
		deb armv5 armel
		deb armv7 armhf
		deb arm64 arm64
		deb amd64 amd64
		;;
	ipk)
		ipk mipsle mipsel_24kc
		ipk armv7 arm_cortex-a7_neon-vfpv4
		ipk arm64 aarch64_cortex-a53
		;;
	tar) for target in $(scripts/build.sh -l); do tarball "$target"; done ;;
	android) android ;;
	sbom)
		for target in $(scripts/build.sh -l); do
			wanted "$target" || continue
			prepare "$target"
			cp "$GEN/sbom.cdx.json" "$out/cellwarden-$target.cdx.json"
			cp "$GEN/notices" "$out/cellwarden-$target.notices"
		done
		;;
	esac
done
(cd "$out" && rm -f SHA256SUMS && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS && cat SHA256SUMS)
if [ -n "$over" ]; then
	echo "package: over the limit ($DEB_BYTES bytes a .deb, $IPK_BYTES an .ipk):$over (what is linked in: make footprint)" >&2
	exit 1
fi
