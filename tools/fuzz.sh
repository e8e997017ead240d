#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of a fuzz build for some seconds: tools/fuzz.sh BUILD SECONDS
# Inputs that reach new code are kept in BUILD/corpus, findings in BUILD/findings; a finding belongs into fuzz/corpus with
# a name that says what it was. Exits 1 when something was found.
set -eu
build=$1 seconds=$2 status=0
mkdir -p "$build/findings"
for program in "$build"/fuzz/fuzz-*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    name=${program##*/fuzz-}
    mkdir -p "$build/corpus/$name"
    echo "fuzz: $name, $seconds s"
    "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="$build/findings/$name-" "$build/corpus/$name" "fuzz/corpus/$name" \
        >"$build/findings/$name.log" 2>&1 || { status=1; tail -n 30 "$build/findings/$name.log"; }
    grep -E 'number_of_executed_units' "$build/findings/$name.log" || true
done
exit $status
