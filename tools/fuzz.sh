#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Gives everything that looks for mistakes with random input the same time: tools/fuzz.sh FUZZ PLAIN SECONDS [NAME]...
#
# - FUZZ, a build with -Dfuzz=true: its libFuzzer targets. Inputs that reach new code are kept in FUZZ/corpus, findings in
#   FUZZ/findings; a finding belongs into fuzz/corpus under a name that says what it was.
# - PLAIN, an ordinary build: programs that compare the software engine with the processor, with Zydis, or with itself,
#   from a new seed every time. What they say about a difference is kept in FUZZ/findings too, with the command.
# NAMEs choose some of them. Exits 1 when something was found.
set -eu
fuzz=$1 plain=$2 seconds=$3
shift 3
chosen=$* status=0
findings=$fuzz/findings
mkdir -p "$findings"

is_chosen() {
    case " ${chosen:-$1} " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# found NAME LOG
found() {
    status=1
    tail -n 30 "$2"
    echo "fuzz: $1: found something, see $findings"
}

# run_target NAME PROGRAM
run_target() {
    mkdir -p "$fuzz/corpus/$1"
    "$2" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="$findings/$1-" "$fuzz/corpus/$1" "fuzz/corpus/$1" >"$findings/$1.log" 2>&1 ||
        found "$1" "$findings/$1.log"
    grep -E 'number_of_executed_units' "$findings/$1.log" || true
}

# compare NAME STRIDE PROGRAM ARGUMENTS: runs PROGRAM ARGUMENTS SEED until the time is over; STRIDE between seeds.
# shellcheck disable=SC2086 # arguments are words on purpose
compare() {
    is_chosen "$1" || return 0
    if [ ! -x "$3" ]; then
        echo "fuzz: $1 is not built"
        return 0
    fi
    echo "fuzz: $1, $seconds s"
    seed=$(date +%s)
    seed=$((seed * 1000000))
    end=$(($(date +%s) + seconds))
    while [ "$(date +%s)" -lt "$end" ]; do
        echo "$3 $4 $seed" >"$findings/$1.log"
        "$3" $4 "$seed" >>"$findings/$1.log" 2>&1 || {
            cp "$findings/$1.log" "$findings/$1-$seed"
            found "$1" "$findings/$1.log"
            break
        }
        seed=$((seed + $2))
    done
}

for program in "$fuzz"/fuzz/fuzz-*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    name=${program##*/fuzz-}
    is_chosen "$name" || continue
    echo "fuzz: $name, $seconds s"
    run_target "$name" "$program"
done
compare bt-native 500 "$plain/tests/bt/bt-native" 500
compare bt-jit-diff 500 "$plain/tests/bt/bt-jit-diff" 500x
compare bt-jit-diff32 500 "$plain/tests/bt/bt-jit-diff" "--32 500x"
for lab in 6.1-cloud/vmlinuz installer-i386/linux; do # lock-step, by other interrupts each time
    [ ! -e "build/lab/$lab" ] || compare "bt-lockstep-${lab%%/*}" 1 "$plain/tests/bt/bt-lockstep" "build/lab/$lab 600000"
done
compare vec-diff 1 "$plain/tests/bt/vec-diff" 1
compare bt-zydis 2 "$plain/tests/unit/test-bt_zydis" 300000
exit $status
