#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client that is no Python against a whole host: COMMAND URL PASSWORD THUMBPRINT says its steps as TAP.

usage: host_client.py BUILD COMMAND...
"""

import hashlib
import os
import ssl
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from host import Host  # noqa: E402


def thumbprint(host):
    with open(f"{host.root}/tls/cert.pem", encoding="ascii") as file:
        digest = hashlib.sha1(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest().upper()
    return ":".join(digest[i:i + 2] for i in range(0, 40, 2))


def main():
    with Host(sys.argv[1]) as host:
        done = subprocess.run([*sys.argv[2:], f"https://127.0.0.1:{host.port}/sdk", host.password, thumbprint(host)],
                              check=False, timeout=150)
    sys.exit(done.returncode)


main()
