#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual pages that come from the tables of commands: well-formed, and each command in its page.
#   man.sh SOCLE-CLIENT NOUN...
client=$1
shift
count=0 failed=0
for noun in "$@"; do
    count=$((count + 1))
    said=$("$client" man "$noun" | mandoc -T lint -W warning 2>&1)
    verbs=$("$client" man "$noun" | mandoc -T ascii | sed 's,.\x08,,g' | grep -c "^     socle $noun [a-z]")
    if [ -z "$said" ] && [ "$verbs" -gt 1 ]; then
        echo "ok $count - socle-$noun.1"
    else
        failed=1
        echo "not ok $count - socle-$noun.1"
        echo "$said" | sed 's/^/# /'
    fi
done
echo "1..$count"
exit $failed
