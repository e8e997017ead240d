#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The closing line of `make check`, from meson's testlog.json: N passed, N failed.

Counts cases where a program speaks TAP and programs otherwise. A program that ended badly without
a case of its own that failed (a crash, a time limit) is one failure. What was skipped is said on a
line before, because a test that did not run proves nothing."""

import json
import re
import sys

GOOD = {"OK", "EXPECTEDFAIL"}
CASE = re.compile(r"^(not )?ok\b[^#\n]*(?:#\s*(SKIP|TODO)\b)?", re.M | re.I)


def count(entry):
    """(passed, failed, skipped) of one test program."""
    passed = failed = skipped = 0
    for match in CASE.finditer(entry.get("stdout") or ""):
        if match.group(2):
            skipped += 1
        elif match.group(1):
            failed += 1
        else:
            passed += 1
    if entry["result"] == "SKIP":
        return passed, failed, skipped or 1
    if entry["result"] not in GOOD:
        return passed, failed or 1, skipped
    return (passed, failed, skipped) if passed + failed + skipped else (1, 0, 0)


def main(argv):
    totals = [0, 0, 0]
    try:
        with open(argv[1], encoding="utf-8") as log:
            for line in log:
                totals = [a + b for a, b in zip(totals, count(json.loads(line)))]
    except (OSError, ValueError, KeyError, IndexError) as error:
        print(f"test_summary: no results: {error}", file=sys.stderr)
        return 1
    if totals[2]:
        print(f"{totals[2]} skipped")
    print(f"{totals[0]} passed, {totals[1]} failed")
    return 0 if totals[0] and not totals[1] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
