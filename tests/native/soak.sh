#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# Process 1 of the soak's guest (soak.py): two lanes run jobs in random order, each with a /tmp of its own, until
# soak_seconds=N are over. Each result is compared with the processor's, which is in /bench/expected.
# Kernel arguments: soak_seed=N too. The lines that begin with @@ are for soak.py.
b=/bin/busybox
argument() {
    $b sed -n "s/.*soak_$1=\([0-9]*\).*/\1/p" /proc/cmdline
}

# A wrong result goes out on the console, as far as that makes sense.
show() {
    echo "@@OUTPUT $1 $($b gzip -c /tmp/out | $b head -c 100000 | $b base64 -w 0)"
    echo "@@ERRORS $1 $($b head -c 3000 /tmp/err | $b base64 -w 0)"
}

job() {
    /bench/workload "prepare_$1" >/dev/null 2>&1
    /bench/workload "$1" >/tmp/out 2>/tmp/err
    status=$?
    digest=$($b md5sum </tmp/out | $b cut -c1-8)
    wanted=$($b sed -n "s/^$1 //p" /bench/expected)
    if [ "$status $digest" = "0 $wanted" ]; then
        echo "@@GOOD $lane $1"
    else
        show "$1"
        echo "@@WRONG $lane $1 status $status digest $digest wanted $wanted"
    fi
}

# Marsaglia's shifts, in 31 bits.
random() {
    seed=$(((seed ^ (seed << 13)) & 0x7fffffff))
    seed=$((seed ^ (seed >> 17)))
    seed=$(((seed ^ (seed << 5)) & 0x7fffffff))
}

lane() {
    lane=$1 seed=$(($(argument seed) * 2654435761 % 2147483647 + $1 + 1))
    $b mount -t tmpfs tmp /tmp
    export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LC_ALL=C PYTHONHASHSEED=0
    count=$($b wc -l </bench/order)
    random
    random
    while [ "$($b cut -d. -f1 /proc/uptime)" -lt "$(argument seconds)" ]; do
        random
        job "$($b sed -n "$((seed % count + 1))p" /bench/order)"
    done
}

if [ $# = 1 ]; then
    lane "$1"
    exit
fi
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
echo "@@INIT $($b nproc)"
for number in 1 2; do
    $b unshare -m "$0" $number &
done
wait
complaints=$($b dmesg | $b grep -E 'BUG|WARNING|Oops|stall|lockup|segfault|general protection|traps:|invalid opcode')
[ -z "$complaints" ] || echo "$complaints" | $b sed 's/^/@@KERNEL /'
echo "@@OFF"
$b poweroff -f
