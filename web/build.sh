#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Called by meson: build.sh NPM NODE TYPES OUT STAMP DEPFILE
# Installs the packages when the lock file has changed, builds the client into OUT. Several builds at a time take turns.
set -eu
npm=$1 node=$2 types=$(realpath "$3") out=$4 stamp=$5 depfile=$6
cd "$(dirname "$0")"
here=$PWD
exec 9>.lock
flock 9
cmp -s package-lock.json node_modules/.socle-lock || {
    echo "Installing the host client's npm packages"
    "$npm" ci --ignore-scripts --loglevel=error
    cp package-lock.json node_modules/.socle-lock
}
cmp -s "$types" src/vim/types.gen.ts || cp "$types" src/vim/types.gen.ts
"$node" build.mjs "$out"
cd "$OLDPWD"
sed "s|^[^:]*:|$stamp:|; s|\$| $here/package-lock.json|" "$out/.d" >"$depfile"
touch "$stamp"
