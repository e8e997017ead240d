# SPDX-License-Identifier: Apache-2.0
"""`socle` at a host of a test: runs it, reads what it prints."""

import csv
import io
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../api"))
from host import Host, Tap, eventually  # noqa: E402, F401 - for those who import us


class Said:
    """One command's end: status, what it printed, what it complained of."""

    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"status {self.status}\n{self.out}\n{self.err}"

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def csv(self):
        return list(csv.DictReader(io.StringIO(self.out, newline="")))


class Socle:
    """`socle` at one host, by its folder; `where` and `env` say otherwise."""

    def __init__(self, host, where=None, **env):
        self.path = f"{host.build}/socle"
        self.where = ["--root", host.root] if where is None else where
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SOCLE_")}
        self.env = {**clean, "HOME": host.folder, **env}

    def __call__(self, *words, stdin=""):
        done = subprocess.run([self.path, *words, *self.where], capture_output=True, check=False,
                              text=True, env=self.env, input=stdin, timeout=120)
        return Said(done)

    def rows(self, *words):
        return self(*words, "-o", "json").json


def complains(tap, name, said, status, text):
    """One line on standard error with the text in it, nothing on standard output, its own status."""
    lines = said.err.splitlines()
    tap.check(name, said.status == status and len(lines) == 1 and text in lines[0] and not said.out, said)
