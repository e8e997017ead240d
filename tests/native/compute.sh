# SPDX-License-Identifier: Apache-2.0
# What a guest computes; the host runs it with the same busybox, and must get the same. Sourced by a
# shell of busybox: compute FILE works on 5 MiB of data, a few kinds of instructions at a time.
digests() {
    for tool in md5sum sha1sum sha256sum sha512sum sha3sum; do
        echo "$tool $($tool <"$1" | cut -d' ' -f1)"
    done
    echo "crc32 $(crc32 "$1" | cut -d' ' -f1)"
}

compression() {
    head -c 524288 "$1" | gzip -9 | md5sum
    head -c 524288 "$1" | gzip | gunzip | md5sum
    head -c 65536 "$1" | bzip2 | bunzip2 | md5sum
}

# IEEE arithmetic is exact to the last bit; of the functions, as many digits as every libm has.
floating_point() {
    mawk 'BEGIN {
        for (i = 1; i < 4000; i++) {
            sum += i / 7 - i * 0.3 + sqrt(i); inverse += 1 / (i * i)
            waves += sin(i) * cos(i / 3) + atan2(i, 5); logs += log(i) - exp(-i / 100)
            whole = (whole * 16807 + int(sum)) % 2147483647
        }
        printf "%.17g %.17g %.11g %.11g %d %g %g\n", sum, inverse, waves, logs, whole, 1e308 * 10, -1e-300 / 1e20
    }'
}

integers() {
    n=1 x=88172645463325252 all=0
    while [ $n -le 3000 ]; do
        x=$((x ^ (x << 13)))
        x=$((x ^ (x >> 7)))
        x=$((x ^ (x << 17)))
        all=$((all + x / (n * 3) - x % 1000003 + (x * n & 0xffff)))
        n=$((n + 1))
    done
    echo "$x $all"
}

text() {
    head -c 100000 "$1" | od -An -v -tx4 | tr ' ' '\n' | sort | uniq -c | sort -rn | head -n 500 | md5sum
    head -c 100000 "$1" | base64 | sed 's/[a-f]\{2,\}/<&>/g' | md5sum
}

compute() {
    digests "$1"
    compression "$1"
    floating_point
    integers
    text "$1"
}
