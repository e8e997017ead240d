#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# Process 1 of the guest that suites.py runs. Kernel arguments: run=selftests, or run=A,B,... for
# those stressors of stress-ng, each=SECONDS. Says "@@ NAME STATUS" of each, then "@@OFF".
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /dev/shm /dev/pts
$b mount -t tmpfs shm /dev/shm
$b mount -t devpts pts /dev/pts
$b mount -t tmpfs tmp /tmp
export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root
cd /tmp || exit

# argument NAME: the kernel argument NAME=VALUE
argument() {
    $b sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" /proc/cmdline
}

# one NAME COMMAND...: what it said comes first if it failed
one() {
    name=$1
    shift
    "$@" >/tmp/out 2>&1
    status=$?
    [ $status = 0 ] || $b tail -n 30 /tmp/out
    echo "@@ $name $status"
}

run=$(argument run)
if [ "$run" = selftests ]; then
    for program in /x86/*; do
        one "${program##*/}" $b timeout 120 "$program"
    done
else
    for stressor in $(echo "$run" | $b tr , ' '); do
        one "$stressor" $b timeout 300 stress-ng "--$stressor" 1 --verify --timeout "$(argument each)"
    done
fi
$b dmesg | $b grep -E 'BUG:|WARNING:|Oops' | $b sed 's/^/@@COMPLAINT /'
echo "@@OFF"
$b poweroff -f
