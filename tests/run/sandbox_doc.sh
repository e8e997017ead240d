#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# docs/sandbox.md has the table that the filters are made from.
#   sandbox_doc.sh GENERATOR DOCUMENT
"$1" doc >"${TMPDIR:-/tmp}/sandbox-table.$$"
if sed -n '/^| system call /,$p' "$2" | cmp -s - "${TMPDIR:-/tmp}/sandbox-table.$$"; then
    status=0
else
    echo "docs/sandbox.md is out of date: its table is the output of \"gen-sandbox doc\""
    status=1
fi
rm -f "${TMPDIR:-/tmp}/sandbox-table.$$"
exit $status
