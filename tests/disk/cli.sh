#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `socle disk` from outside: every verb, exit statuses, what is left behind, and qemu-img as the other reader.
#   cli.sh [EMULATOR...] TOOL      TOOL takes what follows `socle disk`
set -u

folder=$(mktemp -d)
trap 'rm -rf "$folder" "$folder.tool"' EXIT
cd "$folder" || exit 99
tool=$1
if [ $# -gt 1 ]; then
    tool=$folder.tool
    printf '#!/bin/sh\nexec %s "$@"\n' "$*" >"$tool"
    chmod +x "$tool"
fi
count=0
failed=0

check() { # WHAT COMMAND...
    what=$1
    shift
    count=$((count + 1))
    if "$@" >log 2>&1; then
        echo "ok $count - $what"
    else
        failed=1
        sed 's/^/# /' log
        echo "not ok $count - $what"
    fi
}

status() { # STATUS TEXT ARGUMENT...
    want=$1
    text=$2
    shift 2
    "$tool" "$@" >said 2>&1
    got=$?
    [ "$got" = "$want" ] && { [ -z "$text" ] || grep -qF -e "$text" said; } || { echo "$*: $got, $(cat said)"; return 1; }
}

same() { # FILE FORMAT, as qemu-img reads it
    qemu-img compare -q -f raw -F "$2" source.img "$1"
}

there_and_back() { # FORMAT
    rm -f a.vmdk a-flat.vmdk back.img
    "$tool" convert --quiet --format "$1" source.img a.vmdk && same a.vmdk vmdk &&
        "$tool" check a.vmdk && "$tool" convert --quiet --format raw a.vmdk back.img &&
        cmp source.img back.img && [ -z "$(ls ./*.part 2>/dev/null)" ]
}

from_qemu() { # SUBFORMAT
    rm -f q* back.img
    qemu-img convert -f raw -O vmdk -o subformat="$1" source.img q.vmdk &&
        "$tool" check q.vmdk && "$tool" convert --quiet q.vmdk back.img && cmp source.img back.img
}

cancelled() {
    "$tool" create --quiet --size 2G --provision eager --format raw big.img &
    pid=$!
    tries=0
    while [ ! -s big.img.part ] && [ $tries -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -INT "$pid"
    wait "$pid"
    [ $? = 130 ] && [ -z "$(ls big* 2>/dev/null)" ]
}

json() { # PYTHON-EXPRESSION ARGUMENT...
    expression=$1
    shift
    "$tool" "$@" | python3 -c "import json, sys; v = json.load(sys.stdin); sys.exit(not ($expression))"
}

head -c 9000000 /dev/urandom >source.img
truncate -s 30M source.img
head -c 300000 /dev/urandom >>source.img
truncate -s 33555968 source.img

echo 1..43
check "help" status 0 "Usage: socle disk" --help
check "help of a verb" status 0 "Usage: socle disk" create --help
check "no command" status 2 "no command"
check "unknown command" status 2 "unknown command" squeeze
check "unknown option" status 2 "--frob" info --frob a.img
check "missing file argument" status 2 "expected one file" info
check "missing size" status 2 "needs --size" create x.img
check "size: words" status 2 "not a size" create --size ten x.img
check "size: sign" status 2 "not a size" create --size -5G x.img
check "size: too large" status 1 "above 62 TiB" create --size 100T x.img
check "size: not a sector" status 1 "multiple of 512" create --size 1000 x.img
check "unknown format" status 2 "unknown format" create --size 1M --format qcow2 x.img
check "unknown provisioning" status 2 "unknown provisioning" create --size 1M --provision fat x.img
check "a stream cannot be created" status 1 "only be made by conversion" create --size 1M --format vmdk-stream x.vmdk
check "nothing was left behind" test "$(ls)" = "$(printf 'log\nsaid\nsource.img')"
check "missing folder" status 1 "No such file" create --size 1M none/x.img
check "missing file" status 3 "missing.vmdk" info missing.vmdk
check "create thin" status 0 "" create --size 10G t.vmdk
check "thin takes no room" json 'v["size"] == 10 << 30 and v["room"] < 65536 and v["thin"]' info --json t.vmdk
check "create lazy" status 0 "" create --size 8M --provision lazy l.vmdk
check "lazy has its room" json 'v["room"] >= 8 << 20 and not v["thin"]' info --json l.vmdk
check "create eager" status 0 "" create --size 8M --provision eager e.vmdk
check "no overwriting" status 1 "File exists" create --size 8M e.vmdk
check "map of an empty disk" json 'v == [{"start": 0, "length": 10 << 30, "state": "hole"}]' map --json t.vmdk
check "flat there and back" there_and_back vmdk-flat
check "stream there and back" there_and_back vmdk-stream
check "sparse there and back" there_and_back vmdk-sparse
# (where within a grain the hole begins is the file system's)
check "map of a sparse disk" json '[p["state"] for p in v] == ["data", "hole"] * 2 and 9000000 <= v[1]["start"] <= 9043968 and v[2]["start"] == 30 << 20' map --json a.vmdk
for subformat in monolithicSparse monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat streamOptimized; do
    check "$subformat of qemu-img" from_qemu $subformat
done
printf '\377\377\377\017' | dd of=a.vmdk bs=1 seek=$((31 * 512 + 4 * 200)) conv=notrunc 2>/dev/null
check "damage" status 4 "past the end of the file" check a.vmdk
snapshots() {
    rm -f p* c* back.img && "$tool" convert --quiet --format vmdk-flat source.img p.vmdk &&
        "$tool" create --parent p.vmdk c1.vmdk && "$tool" create --parent c1.vmdk c2.vmdk &&
        qemu-io -c "write -P 7 1M 300k" -c "write -z 3M 64k" c2.vmdk &&
        qemu-img convert -O raw c2.vmdk want.img && ! cmp -s want.img source.img &&
        "$tool" check c2.vmdk && "$tool" convert --quiet c2.vmdk back.img && cmp want.img back.img &&
        "$tool" merge --quiet c2.vmdk && [ ! -e c2.vmdk ] && "$tool" merge --quiet c1.vmdk && rm back.img &&
        "$tool" convert --quiet p.vmdk back.img && cmp want.img back.img
}
check "children, written by qemu-io, and merged" snapshots
"$tool" create --size 4M t2.vmdk
"$tool" create --parent p.vmdk c.vmdk
check "who the parent is" json 'v["parent"] == "p.vmdk" and v["ancestors"] == 1 and v["grain"] == 4096' info --json c.vmdk
check "merging what has no parent" status 1 "has no parent" merge p.vmdk
changes() {
    rm -f g* back.img && "$tool" convert --quiet --format vmdk-sparse source.img g.vmdk && "$tool" extend --quiet --size 3G g.vmdk &&
        "$tool" defragment --quiet g.vmdk && "$tool" shrink --quiet g.vmdk && "$tool" check g.vmdk && [ ! -e g.vmdk.part ] &&
        qemu-img convert -O raw g.vmdk back.img && [ "$(stat -c %s back.img)" = $((3 << 30)) ] &&
        cmp -n "$(stat -c %s source.img)" source.img back.img && rm back.img
}
check "a sparse disk grows and is put in order, for qemu-img too" changes
check "to what size" status 2 "needs --size" extend g.vmdk
check "not smaller" status 1 "smaller" extend --size 1M g.vmdk
check "inflating a thin one" status 0 "" inflate --quiet t2.vmdk
check "has its room then" json 'v["room"] >= 4 << 20 and not v["thin"]' info --json t2.vmdk
check "cancelling leaves nothing" cancelled
exit $failed
