#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The closing line of `make check` must not lie: test_summary over results of every kind. TAP."""

import sys

import test_summary

CASES = [
    ("cases are counted", {"result": "OK", "stdout": "1..2\nok 1 - a\nok 2\n"}, (2, 0, 0)),
    ("a failed case", {"result": "FAIL", "stdout": "ok 1\nnot ok 2 - b\n"}, (1, 1, 0)),
    ("skipped and todo", {"result": "OK", "stdout": "ok 1 # SKIP no KVM\nnot ok 2 - x # TODO y\n"},
     (0, 0, 2)),
    ("a crash after good cases", {"result": "FAIL", "stdout": "1..3\nok 1\n"}, (1, 1, 0)),
    ("a time limit without output", {"result": "TIMEOUT"}, (0, 1, 0)),
    ("an error of the protocol", {"result": "ERROR", "stdout": "ok 1\n"}, (1, 1, 0)),
    ("a program without TAP", {"result": "OK", "stdout": "fine\n"}, (1, 0, 0)),
    ("a skipped program", {"result": "SKIP", "stdout": ""}, (0, 0, 1)),
]


def main():
    failed = False
    print(f"1..{len(CASES)}")
    for number, (name, entry, want) in enumerate(CASES, 1):
        got = test_summary.count(entry)
        failed |= got != want
        print(("ok" if got == want else "not ok") + f" {number} - {name}")
        if got != want:
            print(f"# got {got}, not {want}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
