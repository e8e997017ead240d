#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each lint rule against small trees: what it must report, and what it must leave alone. TAP."""

import os
import sys
import tempfile

import lint

OK = "/* SPDX-License-Identifier: Apache-2.0 */\n"
H = OK + "#pragma once\n"

# rule, files, what the one violation contains (None: there must be none)
CASES = [
    ("layers", {"base/a.c": OK + '#include "wire/b.h"\n'}, "base/a.c:2: base must not include"),
    ("layers", {"vm/dev/a.c": OK + '#include "vm/process/b.h"\n'}, "vm/dev must not include"),
    ("layers", {"cli/a.c": OK + '#include "disk/vmdk.h"\n'}, "cli must not include"),
    ("layers", {"cli/a.c": OK + '#include "disk/disk.h"\n'}, None),
    ("layers", {"vm/process/a.c": OK + '#include "tests/tap.h"\n'}, "must not include"),
    ("layers", {"tests/a.c": OK + '#include "tests/tap.h"\n#include "disk/vmdk.h"\n'}, None),
    ("layers", {"vm/dev/a.c": OK + "#include <linux/kvm.h>\n"}, "is for vm/engine/kvm"),
    ("layers", {"vm/engine/kvm/a.c": OK + "#include <linux/kvm.h>\n"}, None),
    ("layers", {"new/a.c": OK}, "not in the table"),
    ("layers", {"base/a.c": OK + '// #include "wire/b.h"\n/*\n#include "wire/b.h"\n*/\n'}, None),
    ("headers", {"base/a.h": H + "uint8_t v;\n"}, "uint8_t"),
    ("headers", {"base/a.h": H + "#include <stdint.h>\nextern uint8_t v;\n"}, None),
    ("headers", {"base/a.h": OK + "struct a;\n"}, "no #pragma once"),
    ("banned", {"a.c": OK + "x = strcpy (a, b);\n"}, "a.c:2: strcpy: use snprintf"),
    ("banned", {"a.c": OK + "/* strcpy(a) */ s = \"system(1)\"; my_system(1); p->system(1);\n"}, None),
    ("banned", {"tests/a.c": OK + "popen(s); atoi(s);\n"}, None),
    ("banned", {"a.h": H + "int n = atoi(s);\n"}, "a.h:3: atoi"),
    ("paths", {"README.md": "cd " + "/ho" + "me/me/src\n"}, "README.md:1: path of a machine"),
    ("paths", {"README.md": "see docs/home/page, " + "/homework/x and net/work/x\n"}, None),
    ("license", {"a.py": "print(1)\n"}, "a.py:1: no"),
    ("license", {"run": "#!/bin/sh\n"}, "run:1: no"),
    ("license", {"run": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n", "a.md": "# A\n"}, None),
    ("manual", {"cli/cmd_run.c": OK + '    {"new", "N", "x", y},\n', "docs/man/socle-run.1": ""},
     "docs/man/socle-run.1:1: no --new"),
    ("manual", {"cli/cmd_run.c": OK, "docs/man/socle-run.1": ".It Fl -old Ar n\n"}, "no --old"),
    ("manual", {"cli/cmd_run.c": OK + '    {"a", NULL, "x", y},\n',
                "docs/man/socle-run.1": ".It Fl -a\n"}, None),
    ("size", {"a.c": OK + "\n" * 900}, "a.c:901: more than 900"),
    ("size", {"a.c": OK + "\n" * 899}, None),
]


def run_case(rule, tree, want):
    with tempfile.TemporaryDirectory() as root:
        for name, text in tree.items():
            os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
            with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                file.write(text)
        found = list(lint.RULES[rule](root))
    if want is None:
        return not found, found
    return len(found) >= 1 and want in found[0], found


def main():
    covered = {rule for rule, _, want in CASES if want}
    print(f"1..{len(CASES) + 1}")
    failed = covered != set(lint.RULES)
    print(("not ok" if failed else "ok") + " 1 - every rule has a case that it reports")
    for number, (rule, tree, want) in enumerate(CASES, 2):
        good, found = run_case(rule, tree, want)
        failed |= not good
        print(("ok" if good else "not ok") + f" {number} - {rule}: {want or 'nothing to report'}")
        if not good:
            print(f"# got {found}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
