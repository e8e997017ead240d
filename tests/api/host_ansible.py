#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ansible's community.vmware against a whole host: each task of ansible.yml is a step. TAP.

usage: host_ansible.py BUILD ANSIBLE-PLAYBOOK
"""

import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
from host import Host, Tap  # noqa: E402
from client import Client, connect, create  # noqa: E402


def play(host, name, program):
    variables = {"port": host.port, "password": host.password, "host": name,
                 "ansible_python_interpreter": "/usr/bin/python3"}
    environment = {
        "PATH": os.environ["PATH"], "HOME": host.folder, "ANSIBLE_STDOUT_CALLBACK": "json", "LC_ALL": "C.UTF-8",
        "ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_DEPRECATION_WARNINGS": "False", "TMPDIR": host.folder}
    done = subprocess.run([program, "-i", "localhost,", "-e", json.dumps(variables), f"{HERE}/ansible.yml"],
                          capture_output=True, text=True, timeout=280, check=False, env=environment)
    try:
        return json.loads(done.stdout[done.stdout.index("{"):])
    except ValueError:
        raise RuntimeError(done.stdout + done.stderr) from None


def tasks(tap, host, program):
    client = Client(connect(host))
    create(client, "ansible vm")
    result = play(host, client.host.name, program)
    for task in result["plays"][0]["tasks"]:
        outcome = task["hosts"]["localhost"]
        wrong = outcome.get("failed") or outcome.get("unreachable")
        tap.check(task["task"]["name"], not wrong, outcome.get("module_stderr") or outcome.get("msg") or outcome)


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([tasks], host, sys.argv[2])


main()
