#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that a purpose needs, and says so; does nothing when they are there.
#   tools/packages.sh PURPOSE...      purposes: build, test, lab, fuzz, bench, profile, aarch64, suites, web, demo, clients
# Needs root or passwordless sudo only when something is missing.
set -eu

build="gcc clang make meson ninja-build pkg-config liburing-dev zlib1g-dev libseccomp-dev libssl-dev libcrypt-dev libc6-dev libpng-dev nettle-dev libexpat1-dev libjansson-dev libcurl4-openssl-dev libsqlite3-dev"
test="chromium nbdkit gvncviewer openssl curl golang-go golang-github-vmware-govmomi-dev ruby-rbvmomi packer nginx libvirt-clients python3-pyvmomi python3-lxml acpica-tools busybox-static dmidecode ovmf seabios passt e2fsprogs qemu-utils mtools dosfstools xorriso python3 libclang-rt-14-dev mandoc clang-format grub-common grub-pc-bin grub-efi-amd64-bin libzydis-dev libzycore-dev"
demo="nginx passt e2fsprogs python3 pci.ids"
lab="gcc make libc6-dev libunwind-dev kmod python3"
fuzz="clang llvm libclang-rt-14-dev"
bench="gcc libc6-dev python3 kmod mtools dosfstools grub-common grub-pc-bin grub-efi-amd64-bin util-linux golang-go golang-github-vmware-govmomi-dev"
profile="linux-perf binutils"
clients="ansible ansible-core"
suites="gcc make libc6-dev-i386 lib32gcc-12-dev xz-utils"
aarch64="gcc-aarch64-linux-gnu"

command -v npm >/dev/null && web="" || web="nodejs npm" # whoever has Node.js from elsewhere keeps it

wanted=""
for purpose in "$@"; do
    case $purpose in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    lab) wanted="$wanted $lab" ;;
    fuzz) wanted="$wanted $fuzz" ;;
    bench) wanted="$wanted $bench" ;;
    profile) wanted="$wanted $profile" ;;
    clients) wanted="$wanted $clients" ;;
    suites) wanted="$wanted $suites" ;;
    aarch64) wanted="$wanted $aarch64" ;;
    web) wanted="$wanted $web" ;;
    demo) wanted="$wanted $demo" ;;
    *) echo "packages.sh: no purpose \"$purpose\"" >&2; exit 2 ;;
    esac
done

missing=""
for package in $wanted; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Installing Debian packages:$missing"
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
export DEBIAN_FRONTEND=noninteractive

# Services that come with a package (nginx) stay off: Socle starts its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$sudo rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
fi

# shellcheck disable=SC2086 # the list is words on purpose
{ $sudo apt-get update -q=2 && $sudo apt-get install -q=2 -y --no-install-recommends $missing >/dev/null; } ||
    { echo "packages.sh: could not install; as root: apt-get install$missing" >&2; exit 1; }
