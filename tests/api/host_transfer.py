#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files to and from datastores by HTTP: parts, ranges, holes; and nbdkit, which reads a disk by ranges. TAP.

usage: host_transfer.py BUILD
"""

import base64
import email
import hashlib
import html.parser
import http.client
import os
import random
import socket
import subprocess
import sys
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create  # noqa: E402
from host import Host, Tap, context, eventually, write_at  # noqa: E402

MIB = 1 << 20


class Folder:
    """/folder of the host, as its root."""

    def __init__(self, host):
        self.host = host
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"root:{host.password}".encode()).decode()}

    def url(self, name):
        return f"/folder/{urllib.parse.quote(name)}?dcPath=ha-datacenter&dsName=datastore1"

    def connection(self):
        return http.client.HTTPSConnection("127.0.0.1", self.host.port, context=context(), timeout=60)

    def ask(self, method, name, body=None, **headers):
        """Status, headers and body."""
        connection = self.connection()
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, self.url(name), body, {**self.headers, **named})
        answer = connection.getresponse()
        result = answer.status, answer.headers, answer.read()
        connection.close()
        return result


def whole(tap, host, folder):
    data = random.Random(1).randbytes(3 * MIB + 17)
    tap.equal("a new file", folder.ask("PUT", "a/b/new", data)[0], 201)
    with open(host.path("a/b/new"), "rb") as file:
        tap.check("as it was sent", file.read() == data)
    tap.equal("over it", folder.ask("PUT", "a/b/new", data[:100])[0], 200)
    tap.check("read again", folder.ask("GET", "a/b/new")[2] == data[:100])
    sparse = bytes(8 * MIB) + b"end" + bytes(MIB)
    folder.ask("PUT", "sparse", sparse)
    with open(host.path("sparse"), "rb") as file:
        tap.check("zeros are zeros", file.read() == sparse)
    tap.check("and take no room", os.stat(host.path("sparse")).st_blocks * 512 < MIB, os.stat(host.path("sparse")))
    folder.ask("PUT", "chunks", (data[at:at + 1000] for at in range(0, len(data), 1000)))
    with open(host.path("chunks"), "rb") as file:
        tap.check("in chunks", file.read() == data)
    broken = folder.connection()
    broken.putrequest("PUT", folder.url("broken"))
    for key, value in {**folder.headers, "Content-Length": str(len(data))}.items():
        broken.putheader(key, value)
    broken.endheaders()
    broken.send(data[:MIB])
    broken.sock.close()
    tap.check("what breaks off leaves nothing", eventually(lambda: not [n for n in os.listdir(host.path()) if "broken" in n]),
              os.listdir(host.path()))


def parts(tap, host, folder):
    data = random.Random(2).randbytes(2 * MIB)
    size = len(data)

    def part(first, end, body=None):
        return folder.ask("PUT", "large", data[first:end] if body is None else body, Content_Range=f"bytes {first}-{end - 1}/{size}")

    def there():
        return folder.ask("PUT", "large", b"", Content_Range=f"bytes */{size}")[1].get("Range")

    tap.equal("nothing is there", there(), None)
    tap.equal("a part", part(0, MIB)[0], 202)
    tap.equal("is kept", there(), f"bytes=0-{MIB - 1}")
    status, headers, _ = part(MIB + 1, size)
    tap.equal("no gap", (status, headers["Content-Range"]), (416, f"bytes */{MIB}"))
    tap.equal("nor twice", part(MIB // 2, size)[0], 416)
    broken = folder.connection()
    broken.putrequest("PUT", folder.url("large"))
    for key, value in {**folder.headers, "Content-Length": str(size - MIB), "Content-Range": f"bytes {MIB}-{size - 1}/{size}"}.items():
        broken.putheader(key, value)
    broken.endheaders()
    broken.send(data[MIB:MIB + 300000])
    eventually(lambda: os.path.getsize(host.path(".large.partial")) > MIB)
    broken.sock.close()
    have = eventually(lambda: there() not in (None, f"bytes=0-{MIB - 1}") and there())
    tap.check("a part that breaks off is kept as far as it came", have, there())
    at = int(have.split("-")[1]) + 1
    tap.check("nobody sees it meanwhile", not os.path.exists(host.path("large")))
    tap.equal("the rest makes the file", part(at, size)[0], 201)
    with open(host.path("large"), "rb") as file:
        tap.check("as it was", file.read() == data)
    tap.equal("nothing else is left", [n for n in os.listdir(host.path()) if "large" in n and n != "large"], [])
    part(0, MIB)
    tap.equal("from the start again", part(0, size)[0], 200)
    for bad in ("bytes 5-4/10", "bytes 0-10/10", "lines 0-1/2", "bytes 0-1", "bytes -1-2/9", "bytes 0x1-2/9", "bytes 0-1/*"):
        tap.equal(f"{bad!r} is none", folder.ask("PUT", "x", b"ab", Content_Range=bad)[0], 400)


def ranges(tap, host, folder):
    data = random.Random(3).randbytes(100000)
    folder.ask("PUT", "r", data)
    for text, want in (("0-0", data[:1]), ("99990-", data[99990:]), ("-5", data[-5:]), ("5-2000000", data[5:])):
        status, headers, body = folder.ask("GET", "r", Range=f"bytes={text}")
        tap.check(f"{text}", status == 206 and body == want and headers["Content-Range"].endswith("/100000"), headers)
    tap.equal("behind the end", folder.ask("GET", "r", Range="bytes=100000-")[0], 416)
    status, headers, body = folder.ask("GET", "r", Range="bytes=0-9, 500-509,-3")
    message = email.message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    tap.equal("several at once", (status, [p["Content-Range"] for p in message.get_payload()]),
              (206, ["bytes 0-9/100000", "bytes 500-509/100000", "bytes 99997-99999/100000"]))
    tap.check("each as it is", all(part in body for part in (data[:10], data[500:510], data[-3:])))
    tap.equal("too many are none", folder.ask("GET", "r", Range="bytes=" + ",".join(["0-1"] * 40))[0], 200)
    tap.equal("more than all is none", len(folder.ask("GET", "r", Range="bytes=0-,0-,0-")[2]), 100000)


def conditions(tap, host, folder):
    """RFC 9110, 13: what a client has of a file is not sent again, nor continued with another's rest."""
    folder.ask("PUT", "c", b"0123456789")
    _, headers, _ = folder.ask("HEAD", "c")
    tag, date = headers["ETag"], headers["Last-Modified"]
    status, headers, body = folder.ask("GET", "c", If_None_Match=f'"other", {tag}')
    tap.equal("it is the client's", (status, headers["ETag"], body), (304, tag, b""))
    tap.equal("by its time", folder.ask("GET", "c", If_Modified_Since=date)[0], 304)
    tap.equal("a tag says more than a time", folder.ask("GET", "c", If_Modified_Since=date, If_None_Match='"other"')[0], 200)
    tap.equal("not that one", folder.ask("GET", "c", If_Match='"other"')[0], 412)
    tap.equal("that one", folder.ask("GET", "c", If_Match=tag)[0], 200)
    tap.equal("a newer one", folder.ask("GET", "c", If_Unmodified_Since="Mon, 01 Jan 2001 00:00:00 GMT")[0], 412)
    tap.equal("no date is no condition", folder.ask("GET", "c", If_Modified_Since="yesterday")[0], 200)
    for known, want in ((tag, 206), (date, 206), ('"other"', 200), ("Mon, 01 Jan 2001 00:00:00 GMT", 200), (f"W/{tag}", 200)):
        tap.equal(f"the rest of {known}", folder.ask("GET", "c", Range="bytes=3-", If_Range=known)[0], want)
    tap.equal("not over what is there", folder.ask("PUT", "c", b"x", If_None_Match="*")[0], 412)
    tap.equal("only over what is there", folder.ask("PUT", "none", b"x", If_Match="*")[0], 412)
    tap.equal("over what it was", folder.ask("PUT", "c", b"9876543210", If_Match=tag)[0], 200)
    tap.equal("which it is no longer", folder.ask("PUT", "c", b"x", If_Match=tag)[0], 412)
    tap.equal("nor to be removed", folder.ask("DELETE", "c", If_Match=tag)[0], 412)
    write_at(host.path("c"), 0, b"abcdefghij")
    tap.check("written in place is another", folder.ask("HEAD", "c")[1]["ETag"] != tag)


def by_descriptor(tap, host, folder):
    """A program on this machine, with all rights, is given the file itself; nobody else is."""
    data = random.Random(5).randbytes(MIB)
    folder.ask("PUT", "d", data)
    tap.check("through the front: bytes", folder.ask("GET", "d", Socle_Descriptor="1")[2] == data)

    def ask(*headers):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{host.root}/run/local.sock")
            lines = [f"GET {folder.url('d')} HTTP/1.1", "Host: x", "Connection: close", "Socle-Descriptor: 1", *headers, "", ""]
            s.sendall("\r\n".join(lines).encode())
            return socket.recv_fds(s, 65536, 4)[:2]

    login = f"Authorization: {folder.headers['Authorization']}"
    answer, given = ask(login)
    tap.check("on this machine: the descriptor", answer.startswith(b"HTTP/1.1 200 ") and len(given) == 1 and
              b"Content-Length: 0" in answer, answer)
    with open(given[0], "rb") as file:
        tap.check("which is the file", file.read() == data)
        tap.raises("to read only", OSError, lambda: os.write(file.fileno(), b"x"))
    answer, given = ask()
    tap.check("not without a login", answer.startswith(b"HTTP/1.1 401 ") and not given, answer)
    answer, given = ask(login, 'If-Match: "other"')
    tap.check("conditions hold", answer.startswith(b"HTTP/1.1 412 ") and not given, answer)


def names(tap, host, folder):
    """What can be no name, and what is the host's own, is neither written, read nor removed."""
    folder.ask("PUT", "plain", b"x")
    os.symlink("/etc", host.path("link"))
    os.symlink("plain", host.path("other"))
    before = sorted(os.listdir(host.path()))
    for name, want in ((".socle-datastore", 400), ("a/.socle-coming", 400), ("line\nbreak", 400), (b"caf\xe9", 400), ("link/x", 403),
                       ("other", 403), ("x" * 256, 400), ("%2e%2e/x", None), ("", 403)):
        status = folder.ask("PUT", name, b"y")[0]
        tap.check(f"PUT {name!r}", status == (want or status), status)
    tap.equal("DELETE of the datastore's mark", folder.ask("DELETE", ".socle-datastore")[0], 400)
    tap.equal("of the datastore", folder.ask("DELETE", "")[0], 405)
    tap.equal("of a link", folder.ask("DELETE", "other")[0], 403)
    tap.equal("GET of the mark", folder.ask("GET", ".socle-datastore")[0], 400)
    tap.equal("nothing came of it", [n for n in sorted(os.listdir(host.path())) if n != "%2e%2e"], before)
    connection = folder.connection()
    connection.request("GET", "/folder/plain", headers=folder.headers)
    tap.equal("a file of no datastore", connection.getresponse().status, 400)
    connection.close()
    os.unlink(host.path("link"))
    os.unlink(host.path("other"))


class Links(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.targets = []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.targets += [value for name, value in attrs if tag == "a" and name == "href"]


def browsed(tap, host, folder):
    """From the list of datastores every link leads on, whatever the names."""
    name = 'l<i>&"\'%41 ä#?;+'
    folder.ask("PUT", urllib.parse.quote(f"{name}/{name}"), b"found")
    seen, left = set(), ["/folder"]
    while left:
        url = left.pop()
        if url in seen:
            continue
        seen.add(url)
        connection = folder.connection()
        connection.request("GET", url, headers=folder.headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            tap.equal(url, answer.status, 200)
        if answer.headers["Content-Type"].startswith("text/html"):
            left += [urllib.parse.urljoin(url, target) for target in Links(body).targets]
        elif body == b"found":
            tap.check("a file with a name of its own", True)
        connection.close()
    tap.check("all were followed", len(seen) > 5, seen)


def nbdkit(tap, host, folder):
    """A disk read by ranges, as virt-v2v and backup tools do."""
    create(Client(connect(host)), "disk")
    flat = host.path("disk/disk-flat.vmdk")
    with open(flat, "r+b") as file:
        file.seek(MIB)
        file.write(random.Random(4).randbytes(MIB))
    copy = os.path.join(host.folder, "copy.img")
    url = f"https://127.0.0.1:{host.port}{folder.url('disk/disk-flat.vmdk')}"
    run = subprocess.run(["nbdkit", "-U", "-", "--readonly", "curl", f"url={url}", "user=root", f"password={host.password}",
                          "sslverify=false", "--run", f"nbdcopy $uri {copy}"], capture_output=True, text=True, timeout=120, check=False)
    tap.equal("nbdkit reads the disk", (run.returncode, run.stderr), (0, ""))
    with open(copy, "rb") as one, open(flat, "rb") as other:
        tap.equal("and gets it all", hashlib.sha256(one.read()).digest(), hashlib.sha256(other.read()).digest())


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        folder = Folder(host)
        tap.run([whole, parts, ranges, conditions, by_descriptor, names, browsed, nbdkit], host, folder)


if __name__ == "__main__":
    main()
