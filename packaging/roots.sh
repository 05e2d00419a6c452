#!/bin/bash
# Makes the root of a small Debian in which the tests of packages install, send and remove: roots.sh 12|13 FOLDER. One that this script made is kept.
# Needs root, mmdebstrap and the mirror that this host's apt uses. Packages that the tests replace lie in the root's cache of apt, because the tests have no network.
set -euo pipefail
case ${1:-} in
12) suite=bookworm include=cron,ca-certificates rivals=msmtp-mta ;;
# rpm is for the packages of other systems, which are tried here.
13) suite=trixie include=cron,ca-certificates,nodejs,rpm rivals='msmtp-mta exim4-daemon-light' ;;
*)
  echo 'usage: roots.sh 12|13 FOLDER' >&2
  exit 2
  ;;
esac
folder=$2
made=$(sha256sum <"$0")
[ "$made" != "$(cat "$folder/etc/made-by" 2>/dev/null)" ] || exit 0
find_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p
}
mirror=$(find_mirror)
# apt knows whose a mirror is when it has its lists.
[ -n "$mirror" ] || apt-get -qq update
[ -n "$mirror" ] || mirror=$(find_mirror)
[ -n "$mirror" ] || {
  echo 'roots.sh: apt of this host has no mirror of Debian' >&2
  exit 1
}
hooks=()
# Each alone, because they exclude each other.
for package in $rivals; do
  hooks+=(--customize-hook="APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG apt-get -qq install --yes --no-install-recommends --download-only $package")
done
rm -rf "$folder.new"
mkdir -p "$(dirname "$folder")"
# What is installed by now need not lie in the cache.
mmdebstrap --quiet --variant=minbase --include="$include" --skip=cleanup/apt/lists,cleanup/apt/cache \
  --customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb' "${hooks[@]}" "$suite" "$folder.new" "$mirror"
echo "$made" >"$folder.new/etc/made-by"
rm -rf "$folder"
mv "$folder.new" "$folder"
