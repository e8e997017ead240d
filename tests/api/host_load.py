#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What strangers and bad networks do to a host: others do not notice, memory stays, it goes on. TAP.

usage: host_load.py BUILD
"""

import http.client
import json
import os
import re
import socket
import ssl
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect  # noqa: E402
from host import Host, Tap, context, eventually  # noqa: E402
from pyVmomi import vim  # noqa: E402

ENVELOPE = ('<?xml version="1.0"?>{dtd}<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>'
            '<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this>{more}'
            '</RetrieveServiceContent></Body></Envelope>')
CONNECTIONS, SLOW = 1000, 50


def resident(host):
    """KiB of hostd."""
    (pid,) = host.processes("socle-hostd")
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def open_tls(host):
    plain = socket.create_connection(("127.0.0.1", host.port), timeout=30)
    return context().wrap_socket(plain)


def post(host, body, headers="", length=None):
    """Status of one request, sent as it is."""
    with open_tls(host) as s:
        s.sendall(f"POST /sdk HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/xml\r\n{headers}"
                  f"Content-Length: {len(body) if length is None else length}\r\n\r\n".encode())
        try:
            s.sendall(body)
        except OSError:
            pass  # refused before all was sent
        answer = b""
        try:
            while part := s.recv(65536):
                answer += part
        except OSError:
            pass
    return int(answer.split()[1]) if answer else 0, answer


def cookie(client):
    return f"Cookie: {client.si._stub.cookie.split(';')[0]}\r\n"


def latency(client, seconds=1.0):
    """Of a small request, over and over: median and longest, in ms."""
    taken, end = [], time.monotonic() + seconds
    while time.monotonic() < end or len(taken) < 20:
        began = time.monotonic()
        client.si.CurrentTime()
        taken.append((time.monotonic() - began) * 1000)
    return statistics.median(taken), max(taken)


def bodies(tap, host, client):
    before = resident(host)
    plain = ENVELOPE.format(dtd="", more="")
    tap.equal("the plain request", post(host, plain.encode())[0], 200)
    bomb = ('<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(8)) + "]>")
    status, answer = post(host, ENVELOPE.format(dtd=bomb, more="&i;").encode())
    tap.check("a document type ends the reading", status == 500 and b"aaaa" not in answer, answer[-300:])
    outside = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    status, answer = post(host, ENVELOPE.format(dtd=outside, more="&f;").encode())
    tap.check("nothing of the host is in an answer", status == 500 and b"root:" not in answer, answer[-300:])
    for what, headers in (("a stranger", ""), ("somebody logged in", cookie(client))):
        for levels in (1000, 10000, 100000):
            began = time.monotonic()
            deep = ENVELOPE.format(dtd="", more="<a>" * levels + "</a>" * levels).encode()
            status = post(host, deep, headers)[0]
            want = 500 if len(deep) < 65536 or headers else 413
            tap.check(f"{levels} levels from {what}: {want}, soon", status == want and time.monotonic() - began < 2,
                      (status, time.monotonic() - began))
    large = ENVELOPE.format(dtd="", more=f"<!--{'x' * (1 << 20)}-->").encode()
    tap.equal("1 MiB from a stranger", post(host, large)[0], 413)
    tap.equal("and from somebody logged in", post(host, large, cookie(client))[0], 200)
    tap.equal("a key of nobody is a stranger's", post(host, large, "Cookie: vmware_soap_session=\"x\"\r\n")[0], 413)
    key = re.search('session="?([^";]*)', cookie(client))[1]
    for what, text, want in (("a session's key", f"\n {key} ", 200), ("a key of nobody", "x" * len(key), 413),
                             ("no key", "", 413)):
        header = f"<Header><vcSessionCookie>{text}</vcSessionCookie></Header><Body>"
        told = large.replace(b"<Body>", header.encode())
        tap.equal(f"1 MiB with {what} in the SOAP header", post(host, told)[0], want)
    late = large.replace(b"</Envelope>", f"<vcSessionCookie>{key}</vcSessionCookie></Envelope>".encode())
    tap.equal("a key that comes too late is none", post(host, late)[0], 413)
    tap.equal("17 MiB are too many for anybody", post(host, b"x" * (17 << 20), cookie(client))[0], 413)
    many = ENVELOPE.format(dtd="", more="<a/>" * 3000000).encode()
    began = time.monotonic()
    tap.equal("three million elements", post(host, many, cookie(client))[0], 500)
    tap.check("found out soon", time.monotonic() - began < 5, time.monotonic() - began)
    tap.check("memory is as before", eventually(lambda: resident(host) < before + 40 * 1024), (before, resident(host)))


def answered(s, seconds):
    """What has come, b"" if nothing."""
    s.settimeout(seconds)
    try:
        return s.recv(4096)
    except (ssl.SSLWantReadError, TimeoutError):
        return b""
    finally:
        s.settimeout(30)


def pour(host, head, part, most):
    """Sends until there is an answer: how much that was, and the answer's first line."""
    sent, answer = 0, b""
    with open_tls(host) as s:
        s.sendall(head.encode())
        try:
            while sent < most and not (answer := answered(s, 0)):
                s.sendall(part)
                sent += len(part)
            return sent, (answer or answered(s, 10)).split(b"\r\n")[0]
        except OSError as error:
            return sent, str(error).encode()


def elsewhere(tap, host, client):
    """A page of another server makes a browser ask: the cookie that comes along counts nothing."""
    plain = ENVELOPE.format(dtd="", more="").replace("RetrieveServiceContent", "CurrentTime")
    for origin, want in (("https://x", 200), ("https://X", 200), ("https://x:8080", 500), ("https://evil.example", 500), ("null", 500), ("x", 500)):
        status, answer = post(host, plain.encode(), f"{cookie(client)}Origin: {origin}\r\n")
        tap.check(f"asked by {origin}: {want}", status == want and (want == 200 or b"NotAuthenticated" in answer), answer[-300:])


def endless(tap, host, client):
    """Chunks without end, and heads without end."""
    head = "POST /sdk HTTP/1.1\r\nHost: x\r\n{}Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for what, headers in (("a stranger", ""), ("somebody logged in", cookie(client))):
        sent, line = pour(host, head.format(headers), chunk, 64 << 20)
        tap.check(f"chunks from {what} end", sent < 24 << 20 and b" 413 " in line, (sent, line))
    sent, line = pour(host, "GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: " + b"y" * 4000 + b"\r\n", 4 << 20)
    tap.check("heads end too", sent < 3 << 20 and b" 400 " in line, (sent, line))


def slow(tap, host, client):
    """Clients that send a byte now and then, or do not read; others meanwhile."""
    calm = latency(client)
    held, plain = [], ENVELOPE.format(dtd="", more="").encode()
    for n in range(SLOW):
        s = open_tls(host)
        head = f"POST /sdk HTTP/1.1\r\nHost: x\r\nContent-Length: {len(plain)}\r\n\r\n".encode()
        s.sendall(head[:20] if n % 2 else head + plain[:10])
        held.append(s)
    for _ in range(3):
        for s in held:
            s.sendall(b"a")
        time.sleep(0.2)
    busy = latency(client)
    print(f"# with {SLOW} slow clients: {calm[0]:.1f} -> {busy[0]:.1f} ms", flush=True)
    tap.check("slow clients hold up nobody", busy[0] < 5 * calm[0] + 20, (calm, busy))
    for s in held:
        s.close()


def thousand(tap, host, client):
    held, errors = [], []
    before = resident(host)

    def dial(count):
        for _ in range(count):
            try:
                held.append(open_tls(host))
            except (OSError, ssl.SSLError) as error:
                errors.append(error)

    threads = [threading.Thread(target=dial, args=(CONNECTIONS // 10,)) for _ in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.equal("a thousand connections", (len(held), errors[:3]), (CONNECTIONS, []))
    median, longest = latency(client)
    print(f"# beside {len(held)} connections: {median:.1f} ms, at most {longest:.1f}", flush=True)
    tap.check("and others are served as ever", median < 100, (median, longest))
    plain = ENVELOPE.format(dtd="", more="").encode()
    request = f"POST /sdk HTTP/1.1\r\nHost: x\r\nContent-Length: {len(plain)}\r\n\r\n".encode() + plain
    began, good = time.monotonic(), 0
    for s in held:
        s.sendall(request)
    for s in held:
        good += s.recv(65536).startswith(b"HTTP/1.1 200")
    print(f"# all of them ask at once: {time.monotonic() - began:.2f} s", flush=True)
    tap.equal("each has its answer", good, CONNECTIONS)
    for s in held:
        s.close()
    tap.check("memory is as before", eventually(lambda: resident(host) < before + 40 * 1024), (before, resident(host)))


def login_time(host, user, password):
    began = time.monotonic()
    try:
        connect(host, user, password)
    except vim.fault.InvalidLogin:
        pass
    return time.monotonic() - began


def guessing(tap, host, client):
    """Who guesses learns nothing by the time it takes: not whether the name is one, not whether it is
    locked, not whether the password was right meanwhile."""
    client.content.accountManager.CreateUser(vim.host.LocalAccountManager.AccountSpecification(
        id="victim", password="victims-secret-1"))
    client.content.authorizationManager.SetEntityPermissions(client.content.rootFolder, [
        vim.AuthorizationManager.Permission(principal="victim", group=False, roleId=-2, propagate=True)])
    known = [login_time(host, "victim", "wrong") for _ in range(5)]
    locked = [login_time(host, "victim", "victims-secret-1") for _ in range(5)]
    unknown = [login_time(host, f"nobody{n}", "wrong") for n in range(5)]
    tap.raises("locked after five", vim.fault.InvalidLogin, lambda: connect(host, "victim", "victims-secret-1"))
    best = [min(times) for times in (known, locked, unknown)]  # others use the machine too
    print("# known, locked, unknown: " + ", ".join(f"{m * 1000:.0f} ms" for m in best), flush=True)
    tap.check("all take as long", max(best) < 2.5 * min(best), (known, locked, unknown))
    texts = [e.fullFormattedMessage for e in client.content.eventManager.QueryEvents(
        vim.event.EventFilterSpec(eventTypeId=["vim.event.BadUsernameSessionEvent"]))]
    tap.check("each guess is an event", sum("victim" in t for t in texts) >= 5, texts)
    tap.check("root is not locked by it", connect(host))


class Guesser(threading.Thread):
    """Wrong passwords, one after another, as fast as they are refused."""

    def __init__(self, host, end):
        super().__init__(daemon=True)
        self.host, self.end, self.taken = host, end, []

    def run(self):
        while not self.end.is_set():
            began = time.monotonic()
            login_status(self.host, "127.0.0.1")
            self.taken.append(time.monotonic() - began)


def login_status(host, source):
    with context().wrap_socket(socket.create_connection(("127.0.0.1", host.port), timeout=120, source_address=(source, 0))) as s:
        s.sendall(b"GET /folder HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic dXNlcjpndWVzc2Vk\r\n\r\n")
        return int(s.recv(4096).split()[1])


def crowd(tap, host, client):
    """Many who guess at once hold up themselves: neither another's login nor what else is done off the loop."""
    end = threading.Event()
    guessers = [Guesser(host, end) for _ in range(40)]
    for guesser in guessers:
        guesser.start()
    eventually(lambda: sum(bool(g.taken) for g in guessers) > 10)
    browser, logins, browsed = client.content.rootFolder.childEntity[0].datastore[0].browser, [], []
    for _ in range(5):
        began = time.monotonic()
        tap.equal("another's login is answered", login_status(host, "127.0.0.2"), 401)
        logins.append(time.monotonic() - began)
        began = time.monotonic()
        task = browser.SearchDatastore_Task("[datastore1]")
        eventually(lambda t=task: t.info.state == "success")
        browsed.append(time.monotonic() - began)
    end.set()
    for guesser in guessers:
        guesser.join()
    guess, login, search = (statistics.median(x) for x in ([t for g in guessers for t in g.taken], logins, browsed))
    print(f"# a guess {guess:.2f} s, another's login {login:.2f} s, a search {search:.2f} s", flush=True)
    tap.check("sooner than the crowd's", login < guess / 2, (login, guess))
    tap.check("so are searches", search < guess / 2, (search, guess))


def tasks(tap, host, client):
    """As many as there can be: the next caller is told so, and by which."""
    link = http.client.HTTPSConnection("127.0.0.1", host.port, context=context())
    key = client.si._stub.cookie.split('"')[1]
    body = json.dumps({"datastorePath": "[datastore1] none"})
    browser = client.datacenter.datastore[0].browser._moId
    last = refused = None
    for _ in range(4097):
        link.request("POST", f"/sdk/vim25/8.0.3.0/HostDatastoreBrowser/{browser}/SearchDatastore_Task", body,
                     {"Content-Type": "application/json", "vmware-api-session-id": key})
        answer = link.getresponse()
        told = json.loads(answer.read())
        if answer.status != 200:
            refused = told
            break
        last = told
    tap.equal("one too many", refused and refused["_typeName"], "TaskInProgress")
    tap.equal("a task is named", refused.get("task", {}).get("type"), "Task")
    tap.check("that is there", last["value"].split("-")[0] == refused["task"]["value"].split("-")[0]
              and vim.Task(refused["task"]["value"], client.si._stub).info.state, (last, refused))


def main():
    with Host(sys.argv[1]) as host:
        client = Client(connect(host))
        Tap().run([bodies, elsewhere, endless, slow, thousand, crowd, guessing, tasks] if not sys.argv[2:] else [globals()[n] for n in sys.argv[2:]], host, client)


main()
