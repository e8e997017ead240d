#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/gen/vim.py on small declarations: what is made of them, and what it refuses, with the place.
Usage: vim_gen.py ROOT"""

import os
import subprocess
import sys
import tempfile

GOOD = """# SPDX
versions
    1.0
    2.0

data Base vim.Base 1.0
    default                          int
    list                             Kind[] ? 2.0

data Sub vim.Sub : Base 2.0
    any                              any ?  # a comment
    owner                            Thing ?

fault MethodFault vmodl.MethodFault 1.0

enum Kind vim.Kind 1.0
    a-b
    c

managed ManagedObject vmodl.ManagedObject 1.0

managed Thing vim.Thing : ManagedObject 1.0
    name                             string !System.View
  Do_Task do 2.0 !Thing.Do
    what                             Sub ?
    where                            Thing !Thing.Use
    -> Task : Base
    throws MethodFault
  Undo undo

managed Task vim.Task : ManagedObject 1.0
"""
HEADER = [
    "struct vim_Sub {\n    struct vim_data self;\n    int32_t default_;\n    VIM_LIST(enum vim_Kind) list;\n"
    "    struct vim_any any;\n    struct vim_ref owner;\n};",
    "enum vim_Kind {\n    VIM_Kind_UNSET,\n    VIM_Kind_a_b,\n    VIM_Kind_c,\n};",
    "struct vim_Do_Task_args {\n    struct vim_data self;\n    struct vim_Sub *what;\n    struct vim_ref where;\n};",
    "VIM_P_Thing_name,", "VIM_C_Do_Task,",
]
TABLES = [
    '{"list", {VIM_ENUM, true, VIM_E_Kind}, offsetof(struct vim_Base, list), VIM_OPTIONAL, 1, NULL},',
    '{"where", {VIM_REF, false, VIM_M_Thing}, offsetof(struct vim_Do_Task_args, where), 0, 1, "Thing.Use"},',
    '{"Sub", "vim.Sub", &vim_types[VIM_T_Base],', 'true, 1, "Thing.Do", faults_Do_Task, 1},',
    'false, 0, "", NULL, 0},',
]
TS = ['export interface Sub extends Base {\n  any?: unknown;\n  owner?: Ref<"Thing">;\n}',
      'export type Kind = "a-b" | "c";', "Do_Task(args: Do_TaskRequestType): Promise<Ref<\"Task\">>;"]
RBAC = ["WITHOUT_PRIVILEGE(Undo) /* Thing */"]
BAD = [
    ("data X vim.X 1.0\n    a  Nothing\n", "X.a: no type Nothing"),
    ("data X vim.X : Nothing 1.0\n", "Nothing"),
    ("data Base vim.Base 1.0\n", "more.def:1: Base"),
    ("data X vim.X 9.9\n", "9.9"),
    ("thing X vim.X 1.0\n", "more.def:1: X"),
    ("    a  int\n", "more.def:1: a line that belongs to nothing"),
    ("data X vim.X 1.0\n   a  int\n", "more.def:2: a line that belongs to nothing"),
    ("data X vim.X : Base 1.0\n    default  int\n", "X: a property twice"),
    ("data X vim.X 1.0\n    a\n", "more.def:2:"),
    ("data X vim.X : Y 1.0\n\ndata Y vim.Y : X 1.0\n", "its bases"),
    ("managed X vim.X : Thing 1.0\n  Go go\n    throws Base\n", "Go: throws Base"),
]


def run(root, folder, kind, *texts):
    names = []
    for name, text in zip(("good.def", "more.def"), texts):
        names.append(os.path.join(folder, name))
        with open(names[-1], "w", encoding="utf-8") as file:
            file.write(text)
    out = os.path.join(folder, "out")
    done = subprocess.run([sys.executable, "-B", os.path.join(root, "tools/gen/vim.py"), kind, out] + names,
                          capture_output=True, text=True, check=False)
    text = ""
    if done.returncode == 0:
        with open(out, encoding="utf-8") as file:
            text = file.read()
    return done.returncode, text, done.stderr


def main():
    number = 0
    print(f"1..{4 + len(BAD)}")
    with tempfile.TemporaryDirectory() as folder:
        for kind, parts in (("header", HEADER), ("tables", TABLES), ("ts", TS), ("rbac", RBAC)):
            number += 1
            status, text, stderr = run(sys.argv[1], folder, kind, GOOD)
            missing = [p for p in parts if p not in text]
            for part in missing + ([stderr] if status else []):
                print("# " + part.replace("\n", "\n#   "))
            print(f"{'not ok' if missing or status else 'ok'} {number} - {kind}")
        for text, why in BAD:
            number += 1
            status, _, stderr = run(sys.argv[1], folder, "header", GOOD, text)
            right = status == 1 and why in stderr and "Traceback" not in stderr
            if not right:
                print(f"# status {status}: {stderr.strip()[-300:]}")
            print(f"{'ok' if right else 'not ok'} {number} - refuses: {why}")


main()
