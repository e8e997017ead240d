#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules that a compiler does not keep. Usage: lint.py ROOT RULE...  (or: list, all)

Prints one line per violation, `file:line: what`, and exits 1 if there was one. Looks at the files
that git knows or would add; without git at everything but build/."""

import os
import re
import subprocess
import sys
import tempfile

import layers

LICENSE = "SPDX-License-Identifier: Apache-2.0"
BANNED = {
    "strcpy": "snprintf or memcpy with a checked length", "strcat": "struct buf",
    "stpcpy": "struct buf", "strncat": "struct buf", "sprintf": "snprintf",
    "vsprintf": "vsnprintf", "gets": "getline", "scanf": "base/parse_num.h",
    "sscanf": "base/parse_num.h", "fscanf": "base/parse_num.h", "atoi": "base/parse_num.h",
    "atol": "base/parse_num.h", "atoll": "base/parse_num.h", "atof": "base/parse_num.h",
    "strtok": "strtok_r", "localtime": "localtime_r", "gmtime": "gmtime_r", "ctime": "strftime",
    "asctime": "strftime", "system": "posix_spawn or execve", "popen": "posix_spawn or execve",
    "mktemp": "mkostemp", "tmpnam": "mkostemp", "tempnam": "mkostemp", "rand": "getrandom",
    "srand": "getrandom", "alloca": "a bounded array", "longjmp": "a status",
}
# What only ever meets our own words may take the short way.
OUR_OWN = ("tests/", "bench/", "lab/", "fuzz/", "tools/")
FINE_THERE = {"atof", "atoi", "popen", "rand", "srand", "sscanf", "system"}
# An instruction that faults is left from deep within: one place does that, and the stand-in of a test.
UNWINDING = ("vm/engine/bt/except.c", "tests/bt/vec_fake.c")
MACHINE_PATHS = re.compile(r"(?<![\w.-])/(home|root|work|Users)/")


def files(root):
    """Paths relative to root, sorted."""
    try:
        out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                             check=True, capture_output=True).stdout
        names = [n.decode() for n in out.split(b"\0") if n]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, dirs, found in os.walk(root):
            dirs[:] = [d for d in dirs if d not in (".git", "build")]
            names += [os.path.relpath(os.path.join(folder, f), root) for f in found]
    return sorted(n for n in set(names) if os.path.isfile(os.path.join(root, n)))


def read(root, name):
    with open(os.path.join(root, name), "rb") as file:
        return file.read().decode("utf-8", "replace")


def is_c(name):
    return name.endswith((".c", ".h"))


def without_comments(text, keep_strings=False):
    """The same text with comments (and the insides of strings) blanked, so that lines still count."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'" and keep_strings:
            return found
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def longest_prefix(name, table):
    fits = [d for d in table if name.startswith(d + "/")]
    return max(fits, key=len) if fits else None


def may_include(home, target):
    allowed = layers.LAYERS[home].split()
    there = longest_prefix(target, layers.LAYERS)
    if there == "tests" and home != "tests":
        return home in ("fuzz", "bench")
    return (home == there or "*" in allowed or target in allowed or there in allowed)


def rule_layers(root):
    """Includes point only to what stands further left (tools/lint/layers.py)."""
    for name in filter(is_c, files(root)):
        home = longest_prefix(name, layers.LAYERS)
        if not home:
            yield f"{name}:1: its directory is not in the table of layers"
            continue
        text = without_comments(read(root, name), keep_strings=True)
        for number, line in enumerate(text.split("\n"), 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
            if not match:
                continue
            quote, target = match.groups()
            if quote == "<":
                homes = layers.SYSTEM.get(target)
                if homes is not None and home not in homes.split():
                    yield f"{name}:{number}: <{target}> is for {homes} only"
            elif not longest_prefix(target, layers.LAYERS):
                if "/" in target or not (".gen." in target or os.path.isfile(
                        os.path.join(root, os.path.dirname(name), target))):
                    yield f"{name}:{number}: \"{target}\" is in no known layer"
            elif not may_include(home, target):
                yield f"{name}:{number}: {home} must not include \"{target}\""


def rule_headers(root):
    """Every header compiles alone and says #pragma once."""
    names = [n for n in files(root) if n.endswith(".h")]
    for name in names:
        if "#pragma once" not in read(root, name):
            yield f"{name}:1: no #pragma once"
    with tempfile.TemporaryDirectory() as folder:
        for i, name in enumerate(names):
            with open(os.path.join(folder, f"{i}.c"), "w", encoding="utf-8") as file:
                file.write(f'#include "{name}"\nstruct alone_;\n')
        compiler = os.environ.get("CC", "cc").split()
        flags = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-Wno-unused-function",
                 "-fsyntax-only", "-I", root]
        gen = os.environ.get("LINT_GENERATED")
        flags += ["-I", gen] if gen else []
        sources = [os.path.join(folder, f"{i}.c") for i in range(len(names))]
        done = subprocess.run(compiler + flags + sources, capture_output=True, text=True) \
            if sources else None
        for line in done.stderr.split("\n") if done and done.returncode else []:
            if ": error:" in line or "fatal error:" in line:
                yield line.replace(root + "/", "").replace(folder + "/", "alone ")


def rule_banned(root):
    """Functions that invite mistakes are not called; the message says what to use."""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for name in filter(is_c, files(root)):
        for number, line in enumerate(without_comments(read(root, name)).split("\n"), 1):
            for match in pattern.finditer(line):
                if name.startswith(OUR_OWN) and match.group(1) in FINE_THERE:
                    continue
                if name in UNWINDING and match.group(1) == "longjmp":
                    continue
                yield f"{name}:{number}: {match.group(1)}: use {BANNED[match.group(1)]}"


def rule_paths(root):
    """No absolute path of somebody's machine."""
    for name in files(root):
        if name.startswith("fuzz/corpus/") or name == "tools/lint/lint.py":
            continue
        for number, line in enumerate(read(root, name).split("\n"), 1):
            match = MACHINE_PATHS.search(line)
            if match:
                yield f"{name}:{number}: path of a machine: {line[match.start():][:40].strip()}"


def rule_license(root):
    """Every source file names its license at its top."""
    kinds = (".c", ".h", ".S", ".def", ".py", ".sh", ".lds", "meson.build", "meson_options.txt",
             "Makefile")
    for name in files(root):
        head = read(root, name).split("\n", 3)[:3]
        script = head[0].startswith("#!") and not name.startswith(("tests/golden/", "fuzz/corpus/"))
        if (name.endswith(kinds) or script) and not any(LICENSE in line for line in head):
            yield f"{name}:1: no \"{LICENSE}\" in the first three lines"


def rule_size(root):
    """A file stays readable in one sitting: 900 lines, tables excepted."""
    for name in files(root):
        if is_c(name) and not name.endswith(".gen.h"):
            count = read(root, name).count("\n")
            if count > 900:
                yield f"{name}:{count}: more than 900 lines; split it by noun"


def rule_manual(root):
    """socle-run(1) has every option of `socle run`, and no other."""
    source, page = "cli/cmd_run.c", "docs/man/socle-run.1"
    if not os.path.isfile(os.path.join(root, source)):
        return
    options = set(re.findall(r'^\s*\{"([a-z-]+)", (?:"|NULL)', read(root, source), flags=re.M))
    written = set(re.findall(r"^\.It Fl -([a-z-]+)", read(root, page), flags=re.M))
    for name in sorted(options ^ written):
        where, other = (page, source) if name in options else (source, page)
        yield f"{where}:1: no --{name}, which {other} has"


RULES = {name[5:]: rule for name, rule in list(globals().items()) if name.startswith("rule_")}


def main(argv):
    if len(argv) == 2 and argv[1] == "list":
        for name, rule in RULES.items():
            print(f"{name}: {rule.__doc__}")
        return 0
    if len(argv) < 3 or any(n not in RULES for n in argv[2:] if n != "all"):
        print("usage: lint.py ROOT RULE...; rules: all", *RULES, file=sys.stderr)
        return 2
    root = os.path.abspath(argv[1])
    wanted = RULES if "all" in argv[2:] else argv[2:]
    found = 0
    for name in wanted:
        for violation in RULES[name](root):
            print(f"{violation} [{name}]")
            found += 1
    print(f"{found} violations", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
