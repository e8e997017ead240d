#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command of `socle vm|host|...` at a host, by its local socket."""

import os
import re
import signal
import subprocess
import sys
import time

from client import Host, Socle, Tap, complains, eventually


def machine(tap, socle, host):
    made = socle("vm", "create", "web", "--memory", "64M", "--disk", "16M", "--set", "socle.engine=bt",
                 "--note", "first, \"second\"", "-o", "json")
    tap.check("vm create", made.status == 0 and made.json == [{"id": "1", "name": "web"}], made)
    rows = socle.rows("vm", "list")
    tap.check("vm list: json", len(rows) == 1 and rows[0]["name"] == "web" and rows[0]["power"] == "off"
              and rows[0]["memory"] == 64 << 20 and rows[0]["cpus"] == 1
              and rows[0]["file"] == "[datastore1] web/web.vmx", rows)
    said = socle("vm", "list", "-o", "csv", "--columns", "note,name,memory")
    tap.check("vm list: csv with columns", said.out.startswith("note,name,memory\n") and said.csv ==
              [{"note": 'first, "second"', "name": "web", "memory": str(64 << 20)}], said)
    said = socle("vm", "list")
    tap.check("vm list: table", re.search(r"^ID +NAME .*\n1 +web +off +1 +64 M ", said.out), said)
    show = socle.rows("vm", "show", "web")
    tap.check("vm show", show["disks"] == ["[datastore1] web/web.vmdk"] and show["firmware"] == "efi"
              and show["networks"][0].startswith("VM Network (00:0c:29:"), show)
    tap.check("vm set", socle("vm", "set", "web", "--cpus", "2", "--memory", "128", "--note", "n").status == 0
              and socle.rows("vm", "show", "web")["cpus"] == 2)
    tap.check("vm rename", socle("vm", "rename", "web", "www").status == 0
              and socle.rows("vm", "list")[0]["name"] == "www")
    tap.check("by id", socle.rows("vm", "show", "1")["name"] == "www")
    complains(tap, "a name that is not there, with the nearest", socle("vm", "show", "wwv"), 3, 'did you mean "www"')
    complains(tap, "delete asks", socle("vm", "delete", "www"), 2, "--force")
    tap.check("vm unregister, register", socle("vm", "unregister", "www").status == 0
              and socle.rows("vm", "list") == []
              and socle("vm", "register", "web/web.vmx", "--name", "web").status == 0
              and [vm["name"] for vm in socle.rows("vm", "list")] == ["web"])


def power(tap, socle, host):
    tap.check("vm start", socle("vm", "start", "web").status == 0 and socle.rows("vm", "show", "web")["power"] == "on")
    complains(tap, "a second start is the host's no", socle("vm", "start", "web"), 1, "Powered on")
    shot = f"{host.folder}/shot.png"
    said = socle("vm", "screenshot", "web", shot)
    with open(shot, "rb") as file:
        tap.check("vm screenshot", said.status == 0 and file.read(8) == b"\x89PNG\r\n\x1a\n", said)
    tap.check("vm reset", socle("vm", "reset", "web").status == 0)
    complains(tap, "vm reboot needs tools", socle("vm", "reboot", "web"), 1, "Tools")
    complains(tap, "vm shutdown, a guest that does not listen", socle("vm", "shutdown", "web", "--wait", "1"), 1,
              "still on after 1 s")
    tap.check("vm stop", socle("vm", "stop", "web").status == 0 and socle.rows("vm", "show", "web")["power"] == "off")
    socle("vm", "start", "web")
    tap.check("vm suspend, and start resumes", socle("vm", "suspend", "web").status == 0
              and socle.rows("vm", "show", "web")["power"] == "suspended" and socle("vm", "start", "web").status == 0
              and socle.rows("vm", "show", "web")["power"] == "on" and socle("vm", "stop", "web").status == 0)
    complains(tap, "no screenshot of a VM that is off", socle("vm", "screenshot", "web", f"{host.folder}/no"), 1, "does not run")
    said = socle("vm", "start", "nix", "web", "nax")
    tap.check("those behind a wrong name are done too", said.status == 3 and len(said.err.splitlines()) == 2
              and socle.rows("vm", "show", "web")["power"] == "on", said)
    socle("vm", "stop", "web")


def devices(tap, socle, host):
    def labels():
        return {d["label"]: d for d in socle.rows("vm", "device", "list", "web")}

    tap.check("device add disk", socle("vm", "device", "add", "disk", "web", "--size", "8M").status == 0
              and labels()["Hard disk 2"]["size"] == 8 << 20, labels())
    tap.check("device add nic", socle("vm", "device", "add", "nic", "web", "--model", "e1000e", "--mac",
                                      "00:50:56:00:00:01").status == 0
              and labels()["Network adapter 2"]["mac"] == "00:50:56:00:00:01", labels())
    complains(tap, "a network that is not there", socle("vm", "device", "add", "nic", "web", "nix"), 1, "network")
    with open(f"{host.folder}/a.iso", "wb") as file:
        file.write(os.urandom(100000))
    socle("datastore", "mkdir", "isos/deep", "--parents")
    socle("datastore", "upload", f"{host.folder}/a.iso", "isos/deep/")
    tap.check("device add cd", socle("vm", "device", "add", "cd", "web", "isos/deep/a.iso").status == 0
              and labels()["CD/DVD drive 1"]["backing"] == "[datastore1] isos/deep/a.iso", labels())
    tap.check("it is a SATA drive, with a controller", labels()["SATA controller 0"]["key"] == 15000
              and labels()["CD/DVD drive 1"]["key"] == 16000, labels())
    tap.check("device insert takes out", socle("vm", "device", "insert", "web", "CD/DVD drive 1").status == 0
              and not labels()["CD/DVD drive 1"].get("backing"), labels())
    key = str(labels()["Hard disk 2"]["key"])
    tap.check("device remove, by key and label", socle("vm", "device", "remove", "web", key, "Network adapter 2",
                                                       "CD/DVD drive 1", "--delete-file").status == 0
              and not {"Hard disk 2", "Network adapter 2", "CD/DVD drive 1"} & set(labels())
              and not os.path.exists(host.path("web/web_1.vmdk")), labels())
    complains(tap, "a device that is not there", socle("vm", "device", "remove", "web", "Sound"), 3, '"Sound"')


def snapshots(tap, socle, host):
    def names():
        return [s["name"] for s in socle.rows("vm", "snapshot", "list", "web")]

    for name in ("one", "two"):
        socle("vm", "snapshot", "take", "web", name, "--note", f"as {name}")
    rows = socle.rows("vm", "snapshot", "list", "web")
    tap.check("snapshot take, list", [(s["name"], s["parent"], s["current"], s["note"]) for s in rows]
              == [("one", None, False, "as one"), ("two", "one", True, "as two")], rows)
    tap.check("snapshot revert", socle("vm", "snapshot", "revert", "web", "one").status == 0
              and [s["name"] for s in socle.rows("vm", "snapshot", "list", "web") if s["current"]] == ["one"])
    tap.check("snapshot delete", socle("vm", "snapshot", "delete", "web", "two").status == 0 and names() == ["one"])
    tap.check("snapshot delete --all", socle("vm", "snapshot", "delete", "web", "--all").status == 0 and names() == [])
    complains(tap, "a snapshot that is not there", socle("vm", "snapshot", "revert", "web", "x"), 3, '"x"')


def clones(tap, socle, host):
    tap.check("vm clone", socle("vm", "clone", "web", "copy", "-o", "json").json[0]["name"] == "copy"
              and socle.rows("vm", "show", "copy")["disks"] == ["[datastore1] copy/copy.vmdk"])
    complains(tap, "--linked needs a snapshot", socle("vm", "clone", "copy", "x", "--linked"), 2, "take one first")
    socle("vm", "snapshot", "take", "copy", "base")
    tap.check("vm clone --linked", socle("vm", "clone", "copy", "linked", "--linked").status == 0)
    complains(tap, "a name is given once", socle("vm", "clone", "web", "copy"), 1, "copy")
    tap.equal("vm delete of several", [socle("vm", "delete", "linked", "copy", "--force").status,
                                       [vm["name"] for vm in socle.rows("vm", "list")]], [0, ["web"]])


def archives(tap, socle, host, folder, files):
    """The same package in one file, as several programs write such files."""
    order = sorted(files, key=lambda f: not f.endswith(".ovf"))
    for kind in ("ustar", "gnu", "pax"):
        archive = f"{folder}/{kind} web.ova"
        subprocess.run(["tar", "-C", folder, f"--format={kind}", "-cf", archive, *(f"./{f}" for f in order)], check=True)
        said = socle("vm", "import", archive, "--name", kind, "-o", "json")
        tap.check(f"vm import of an .ova, {kind}", said.status == 0 and said.json[0]["name"] == kind, said)
        with open(host.path(f"{kind}/{kind}-flat.vmdk"), "rb") as file:
            file.seek(1 << 20)
            tap.equal(f"{kind}: with what was on its disk", file.read(7), b"payload")
        socle("vm", "delete", kind, "--force")
    whole = os.path.getsize(archive)
    os.truncate(archive, whole // 2)
    complains(tap, "half of an archive", socle("vm", "import", archive, "--name", "no"), 1, "damaged")
    subprocess.run(["tar", "-C", folder, "-cf", archive, *order[1:]], check=True)
    complains(tap, "an archive without a descriptor", socle("vm", "import", archive, "--name", "no"), 1, "no .ovf")
    complains(tap, "no archive at all", socle("vm", "import", f"{folder}/none.ova"), 3, "none.ova")
    os.remove(archive)


def packages(tap, socle, host):
    folder = f"{host.folder}/out"
    with open(host.path("web/web-flat.vmdk"), "r+b") as file:
        file.seek(1 << 20)
        file.write(b"payload")
    said = socle("vm", "export", "web", folder)
    files = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    tap.check("vm export", said.status == 0 and {"web.mf", "web.ovf"} < set(files)
              and any(f.endswith(".vmdk") for f in files), (said, files))
    said = socle("vm", "import", f"{folder}/web.ovf", "--name", "back", "--map", "VM Network=VM Network", "-o", "json")
    tap.check("vm import", said.status == 0 and said.json[0]["name"] == "back", said)
    with open(host.path("back/back-flat.vmdk"), "rb") as file:
        file.seek(1 << 20)
        tap.equal("with what was on its disk", file.read(7), b"payload")
    socle("vm", "delete", "back", "--force")
    archives(tap, socle, host, folder, files)
    disk = next(f"{folder}/{f}" for f in files if f.endswith(".vmdk"))
    with open(disk, "r+b") as file:
        file.seek(600)
        file.write(b"x")
    complains(tap, "a damaged package", socle("vm", "import", f"{folder}/web.ovf", "--name", "no"), 1, "damaged")
    os.unlink(f"{folder}/web.mf")
    os.unlink(disk)
    complains(tap, "a package without its disk", socle("vm", "import", f"{folder}/web.ovf", "--name", "no"), 3, "cannot read")
    tap.check("nothing is left of it", eventually(lambda: [vm["name"] for vm in socle.rows("vm", "list")] == ["web"]))
    complains(tap, "no package", socle("vm", "import", "/nix.ovf"), 3, "/nix.ovf")


def performance(tap, socle, host):
    counters = {c["counter"]: c for c in socle.rows("perf", "counters")}
    tap.check("perf counters", counters["cpu.usage.average"]["unit"] == "%", list(counters)[:5])
    complains(tap, "perf: a counter that is not there", socle("perf", "host", "--counter", "nix"), 3, '"nix"')
    rows = {}
    while not (rows := {r["counter"]: r for r in socle.rows("perf", "host")}).get("mem.usage.average"):
        time.sleep(1)  # for the first sample of 20 s; the test's limit ends it
    memory = rows["mem.usage.average"]
    tap.check("perf host", 0 < memory["last"] <= 100 and memory["values"][-1] == memory["last"] <= memory["max"], memory)
    table = socle("perf", "host", "--counter", "mem.usage.average", "--samples", "1")
    tap.check("perf: a curve in a table", re.search(r"mem\.usage\.average +[0-9.]+ .* % +█$", table.out.splitlines()[1]), table)
    tap.check("perf vm", socle("perf", "vm", "web", "--all").status == 0)


def files(tap, socle, host):
    name = 'a b%;é"'
    with open(f"{host.folder}/up", "wb") as file:
        file.write(os.urandom(3000001))
    tap.check("datastore upload", socle("datastore", "upload", f"{host.folder}/up", name).status == 0
              and os.path.getsize(host.path(name)) == 3000001)
    rows = {f["name"]: f for f in socle.rows("datastore", "browse")}
    tap.check("datastore browse", rows[name]["size"] == 3000001 and rows["web"]["type"] == "folder", rows)
    tap.check("datastore download", socle("datastore", "download", name, f"{host.folder}/down").status == 0)
    with open(f"{host.folder}/up", "rb") as a, open(f"{host.folder}/down", "rb") as b:
        tap.check("what came back is what went", a.read() == b.read())
    tap.check("datastore cp, mv, rm", socle("datastore", "cp", name, "isos/").status == 0
              and socle("datastore", "mv", f"isos/{name}", "datastore1:isos/c").status == 0
              and os.path.exists(host.path("isos/c")) and socle("datastore", "rm", name, "[datastore1] isos").status == 0
              and not os.path.exists(host.path("isos")) and not os.path.exists(host.path(name)))
    complains(tap, "a file that is not there", socle("datastore", "download", "nix", f"{host.folder}/x"), 3, "no such file")
    tap.check("and nothing is left of it", not [f for f in os.listdir(host.folder) if f.startswith("x")])
    complains(tap, "a datastore that is not there", socle("datastore", "upload", f"{host.folder}/up", "[nix] x"), 3, "no such datastore")
    with open(host.path("sparse"), "wb") as file:
        file.truncate(1 << 33)
    tap.check("a file of holes takes no room here either", socle("datastore", "download", "sparse", f"{host.folder}/sparse").status == 0
              and os.path.getsize(f"{host.folder}/sparse") == 1 << 33 and os.stat(f"{host.folder}/sparse").st_blocks < 1000)
    tap.check("a pipe gets its bytes", socle("datastore", "download", "web/web.vmx", "-").out.startswith(".encoding"))
    complains(tap, "out of the datastore", socle("datastore", "download", "../../../password", "-"), 3, "no such file")
    rows = socle.rows("datastore", "list")
    tap.check("datastore list", rows[0]["name"] == "datastore1" and rows[0]["capacity"] > rows[0]["free"] > 0, rows)


def people(tap, socle, host):
    with open(f"{host.folder}/anna", "w", encoding="ascii") as file:
        file.write("Secret-12345\n")
    tap.check("user add", socle("user", "add", "anna", "--new-password-file", f"{host.folder}/anna", "--description",
                                "A. \x1b[31mred").status == 0)
    table = socle("user", "list")
    tap.check("control characters are shown, not sent", "\\x1b[31mred" in table.out and "\x1b" not in table.out, table)
    tap.check("but json has them", socle.rows("user", "list")[1]["description"] == "A. \x1b[31mred")
    tap.check("role add, show", socle("role", "add", "Starter", "VirtualMachine.Interact.PowerOn").status == 0
              and {"privilege": "VirtualMachine.Interact.PowerOn"} in socle.rows("role", "show", "Starter"))
    tap.check("role list", {"Admin", "Starter"} <= {r["name"] for r in socle.rows("role", "list")})
    tap.check("permission set, list", socle("permission", "set", "anna", "Starter").status == 0
              and ("anna", "Starter") in [(p["user"], p["role"]) for p in socle.rows("permission", "list")])
    complains(tap, "a role in use stays", socle("role", "remove", "Starter"), 1, "use")
    tap.check("permission remove, role remove, user remove", [socle(*words).status for words in (
        ("permission", "remove", "anna"), ("role", "remove", "Starter"), ("user", "password", "anna",
         "--new-password-file", f"{host.folder}/anna"), ("user", "remove", "anna"))] == [0, 0, 0, 0])
    complains(tap, "an account that is not there", socle("user", "remove", "anna"), 3, "")


def rest(tap, socle, host):
    show = socle.rows("host", "show")
    tap.check("host show", show["threads"] == os.cpu_count() and show["vms"] == 1 and show["memory"] > 1 << 29, show)
    tap.check("host advanced", socle("host", "advanced", "set", "Security.AccountLockFailures", "7").status == 0
              and socle.rows("host", "advanced", "list", "Security.AccountLockFailures") ==
              [{"name": "Security.AccountLockFailures", "value": 7}])
    complains(tap, "an option that is not there", socle("host", "advanced", "set", "Nix", "1"), 1, "'Nix'")
    tap.check("network list", "VM Network" in [n["name"] for n in socle.rows("network", "list")])
    tap.equal("network switch, portgroup", [socle(*words).status for words in (
        ("network", "switch", "add", "inner"), ("network", "portgroup", "add", "Lab", "--switch", "inner", "--vlan", "7"))],
              [0, 0])
    tap.check("network portgroup list", {"name": "Lab", "switch": "inner", "vlan": 7} in
              socle.rows("network", "portgroup", "list") and "inner" in [s["name"] for s in socle.rows("network", "switch", "list")])
    complains(tap, "a port group has its name alone", socle("network", "portgroup", "add", "Lab"), 1, "Lab")
    tap.equal("network portgroup remove, switch remove", [socle(*words).status for words in (
        ("network", "portgroup", "remove", "Lab"), ("network", "switch", "remove", "inner"))], [0, 0])
    tap.check("host services list", any(s["running"] in (True, False) for s in socle.rows("host", "services", "list")))
    complains(tap, "host services start: not in hosted mode", socle("host", "services", "start", "TSM-SSH"), 1, "")
    tap.check("host maintenance", socle("host", "maintenance", "on").status == 0
              and socle.rows("host", "show")["maintenance"] is True)
    complains(tap, "and no VM starts", socle("vm", "start", "web"), 1, "")
    tap.check("host maintenance off", socle("host", "maintenance", "off").status == 0)
    tasks = socle.rows("task", "list")
    tap.check("task list", any(t["state"] == "success" for t in tasks), tasks)
    tap.check("task wait: one that has ended", socle("task", "wait", tasks[-1]["id"]).status in (0, 1))
    complains(tap, "task cancel: none", socle("task", "cancel", "nix"), 3, "")
    events = socle.rows("event", "list", "--count", "1000", "--vm", "web")
    tap.check("event list: of a VM, oldest first", any("powered on" in e["message"] for e in events)
              and [e["key"] for e in events] == sorted(e["key"] for e in events), events)
    tap.check("event list: no event of a session of ours", not any(
        "logged" in e["message"] for e in socle.rows("event", "list", "--count", "1000")))
    tap.check("vm autostart", socle("vm", "autostart", "on", "web", "--delay", "9").status == 0
              and [(a["name"], a["start"], a["delay"]) for a in socle.rows("vm", "autostart", "list")] == [("web", "powerOn", 9)]
              and socle("vm", "autostart", "off", "web").status == 0)


def follow(tap, socle, host):
    with subprocess.Popen([socle.path, "event", "follow", "--vm", "web", *socle.where], env=socle.env, text=True,
                          stdout=subprocess.PIPE) as process:
        seen = process.stdout.readline()
        time.sleep(0.3)
        socle("vm", "set", "web", "--note", "seen")
        line = ""
        for line in process.stdout:
            if "econfigured" in line:
                break
        process.send_signal(signal.SIGINT)
        tap.check("event follow: what was, and what comes", "web" in seen and "econfigured" in line, seen + line)
        tap.equal("Ctrl-C ends it with 130", process.wait(10), 130)


def rights(tap, socle, host):
    """The socket's mode keeps others out; and should it not, they have no rights."""
    local, mine = f"{host.root}/run/local.sock", os.geteuid()
    tap.equal("mode of the local socket", os.stat(local).st_mode & 0o777, 0o600)
    if mine:
        tap.check("another user # SKIP needs root", True)
        return

    def as_nobody():
        os.setgid(65534)
        os.setuid(65534)

    def ask():
        done = subprocess.run(["/usr/bin/python3", "-c", f"""
import socket
s = socket.socket(socket.AF_UNIX); s.connect({local!r})
s.sendall(b'GET /sdk/vim25/8.0.3.0/AuthorizationManager/ha-authmgr/roleList HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
print(s.recv(65536).decode())"""], capture_output=True, text=True, preexec_fn=as_nobody, check=False, timeout=20)
        return done.stdout + done.stderr

    os.chmod(host.folder, 0o711)
    tap.check("another user cannot connect", "PermissionError" in ask(), ask())
    os.chmod(local, 0o666)
    answer = ask()
    tap.check("and has no rights if he can", " 401 " in answer and "NotAuthenticated" in answer, answer)
    os.chmod(local, 0o600)


def usage(tap, socle, host):
    cases = [
        (["vm"], "Usage: socle vm COMMAND"), (["vm", "lst"], "did you mean list?"),
        (["vm", "list", "--frob"], 'unknown option "--frob"'), (["vm", "start"], "missing: socle vm start VM..."),
        (["vm", "list", "x"], '"x" is too much'), (["vm", "list", "-o", "xml"], "not table, json or csv"),
        (["vm", "list", "--columns", "nix"], 'no column "nix"'), (["vm", "create", "x", "--cpus", "0"], "--cpus"),
        (["vm", "create", "x", "--memory", "1.5G"], "not a size"), (["vm", "create", "x", "--set", "="], "KEY=VALUE"),
        (["vm", "set", "web"], "nothing to set"), (["vm", "device", "add", "disk", "web"], "--size and --file"),
        (["event", "list", "--count", "0"], "--count"),
    ]
    for words, text in cases:
        said = Socle(host, [] if words == ["vm"] else None)(*words)
        tap.check(f"socle {' '.join(words)}", said.status == 2 and text in said.err and
                  (len(said.err.splitlines()) == 1 or words == ["vm"]), said)
    nowhere = Socle(host, [])
    complains(tap, "no host was said", nowhere("vm", "list"), 2, "which host?")
    complains(tap, "no such folder", Socle(host, ["--root", "/nix"])("vm", "list"), 4, "/nix")
    complains(tap, "a folder without a host", Socle(host, ["--root", host.folder])("vm", "list"), 4, "socle up")
    tap.check("SOCLE_ROOT", Socle(host, [], SOCLE_ROOT=host.root)("vm", "list").status == 0)
    said = nowhere("vm", "snapshot", "--help")
    tap.check("a group's commands", said.status == 0 and "snapshot take VM NAME" in said.out and "  list" not in said.out, said)
    said = nowhere("vm", "snapshot")
    tap.check("a group alone", said.status == 2 and "snapshot take VM NAME" in said.err, said)
    complains(tap, "not of the group", nowhere("vm", "snapshot", "tak", "x"), 2, "did you mean snapshot take?")
    complains(tap, "options come first", nowhere("vm", "--root", "x", "list"), 2, "options come after the command")
    complains(tap, "no memory", socle("vm", "create", "none", "--memory", "0"), 2, "--memory")
    said = nowhere("help", "vm", "snapshot", "take")
    tap.check("help of one", said.status == 0 and "Usage: socle vm snapshot take" in said.out, said)
    said = nowhere("vm", "--help")
    verbs = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)*)", said.out)
    tap.check("vm --help lists commands", len(verbs) > 20, said)
    for noun in ("vm", "host", "datastore", "network", "task", "event", "user", "role", "permission", "perf"):
        said = nowhere("help", noun)
        tap.check(f"socle help {noun}", said.status == 0 and f"Usage: socle {noun} COMMAND" in said.out, said)
        for verb in re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)*)", said.out):
            help_of = nowhere(noun, *verb.split(), "--help")
            if help_of.status or f"Usage: socle {noun} {verb}" not in help_of.out:
                tap.check(f"{noun} {verb} --help", False, help_of)


def the_end(tap, socle, host):
    tap.check("vm delete --force", socle("vm", "delete", "web", "--force").status == 0
              and not os.path.exists(host.path("web")))
    sessions = len(host.processes("socle-hostd"))
    tap.check("hostd has not died on the way", sessions == 1 and "starting it again" not in host.log())
    host.stop()
    complains(tap, "a host that is down", socle("vm", "list"), 4, "no host is up")


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([machine, power, devices, snapshots, clones, packages, files, people, rest, performance, follow, rights, usage, the_end],
                  Socle(host), host)


if __name__ == "__main__":
    main()
