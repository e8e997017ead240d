#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What VMs ask, and what becomes of the answer; a real guest, pyVmomi and the command line. TAP.

usage: host_questions.py BUILD [SCENARIO...]
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import guest  # noqa: E402
from client import cancel, connect, create, devices, disk, events_of, reconnect, wait  # noqa: E402
from guest import SLOTS, Guest  # noqa: E402
from host import eventually  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402
from slow_disk import slow_disk  # noqa: E402
from small import Small, may_mount  # noqa: E402


def question(vm):
    return vm.runtime.question


def asked(vm):
    return eventually(lambda: question(vm), 60)


def answer(vm, label):
    """By the label, as Ansible does it."""
    q = question(vm)
    vm.AnswerVM(q.id, next(c.key for c in q.choice.choiceInfo if c.label == label))


def keys(path):
    with open(path, encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(" = ", 1) for line in file if " = " in line)


def copy_of(host, client, name, copy, edit=None):
    """Registered, of a copied folder."""
    shutil.copytree(host.path(name), host.path(copy))
    path = host.path(copy, f"{name}.vmx")
    with open(path, encoding="utf-8") as file:
        text = file.read().replace(f'displayName = "{name}"', f'displayName = "{copy}"')
    with open(path, "w", encoding="utf-8") as file:
        file.write(edit(text) if edit else text)
    return wait(client.folder.RegisterVM_Task(f"[datastore1] {copy}/{name}.vmx", None, False, client.pool)), path


def who(path):
    k = keys(path)
    return k["uuid.bios"], k["ethernet0.generatedAddress"]


def copied(tap, host, client):
    first = create(client, "first")
    wait(first.PowerOn())
    wait(first.PowerOff())
    tap.check("a VM that was made here asks nothing", question(first) is None)
    was = who(host.path("first", "first.vmx"))

    vm, path = copy_of(host, client, "first", "second")
    task = vm.PowerOn()
    tap.check("a copied folder asks", asked(vm))
    q = question(vm)
    tap.check("as ESXi does", q.text.startswith("msg.uuid.altered:") and q.message[0].id == "msg.uuid.altered", q)
    tap.equal("with its choices", [c.label for c in q.choice.choiceInfo],
              ["button.uuid.cancel", "button.uuid.movedTheVM", "button.uuid.copiedTheVM"])
    tap.equal("and what is proposed", q.choice.defaultIndex, 2)
    tap.equal("in the summary as well", vm.summary.runtime.question.id, q.id)
    tap.equal("the start waits", (task.info.state, vm.runtime.powerState), ("running", "poweredOff"))
    tap.check("an event says so", eventually(lambda: any("moved or copied" in t for t in events_of(client, "VmMessageEvent"))))
    tap.raises("no other start meanwhile", vim.fault.TaskInProgress, lambda: wait(vm.PowerOn()))
    tap.raises("another question is not asked", vmodl.fault.InvalidArgument, lambda: vm.AnswerVM("_vmx0", "1"))
    tap.raises("nor is there such a choice", vmodl.fault.InvalidArgument, lambda: vm.AnswerVM(q.id, "7"))
    answer(vm, "button.uuid.copiedTheVM")
    wait(task)
    tap.equal("copied: it runs, and asks no more", (vm.runtime.powerState, question(vm)), ("poweredOn", None))
    tap.check("with a uuid and an address of its own", all(a != b for a, b in zip(was, who(path))), (was, who(path)))
    tap.equal("which the API has", vm.config.hardware.device and
              devices(vm, vim.vm.device.VirtualEthernetCard)[0].macAddress, who(path)[1].strip('"'))
    wait(vm.PowerOff())
    wait(vm.PowerOn())
    tap.check("it is at home now", question(vm) is None)
    wait(vm.PowerOff())

    vm, path = copy_of(host, client, "first", "third")
    task = vm.PowerOn()
    tap.check("the next one asks", asked(vm))
    answer(vm, "button.uuid.cancel")
    tap.raises("cancelled, it does not start", Exception, lambda: wait(task))
    tap.equal("and is off", (vm.runtime.powerState, question(vm)), ("poweredOff", None))
    task = vm.PowerOn()
    asked(vm)
    wait(vm.PowerOff())
    tap.raises("switched off while it asks, it does not start", Exception, lambda: wait(task))
    tap.equal("is off, and asks nothing", (vm.runtime.powerState, question(vm)), ("poweredOff", None))
    tap.raises("another time there is nothing to switch off", vim.fault.InvalidPowerState, lambda: wait(vm.PowerOff()))
    task = vm.PowerOn()
    asked(vm)
    shown = host.socle("vm", "answer", "third", "--output", "json", "--root", host.root)
    tap.equal("the command line shows it", [c["text"] for c in json.loads(shown.stdout or "[]")],
              ["Cancel", "I Moved It", "I Copied It"])
    done = host.socle("vm", "answer", "third", "I Moved It", "--root", host.root)
    tap.equal("and answers it", (done.returncode, done.stderr), (0, ""))
    wait(task)
    tap.equal("moved: it stays who it is", who(path), was)
    wait(vm.PowerOff())

    vm, path = copy_of(host, client, "first", "late")
    task = vm.PowerOn()
    asked(vm)
    tap.raises("while it asks, it becomes no template", vim.fault.TaskInProgress, vm.MarkAsTemplate)
    wait(client.host.EnterMaintenanceMode_Task(0))
    answer(vm, "button.uuid.movedTheVM")
    tap.raises("the host closed meanwhile: it does not start", vim.fault.InvalidState, lambda: wait(task))
    tap.equal("and is off, asking nothing", (vm.runtime.powerState, question(vm)), ("poweredOff", None))
    wait(client.host.ExitMaintenanceMode_Task(0))
    wait(vm.PowerOn())
    wait(vm.PowerOff())

    action = 'uuid.action = "create"\n'
    vm, path = copy_of(host, client, "first", "fourth", lambda text: text + action)
    wait(vm.PowerOn())
    tap.check("one that has its answer does not ask", who(path)[0] != was[0], (was, who(path)))
    wait(vm.PowerOff())
    foreign = 'uuid.location = "56 4d 1f 2e 3d 4c 5b 6a-79 88 97 a6 b5 c4 d3 e2"'
    vm, path = copy_of(host, client, "first", "fifth", lambda text: "\n".join(
        foreign if line.startswith("uuid.location") else line for line in text.splitlines()) + "\n")
    wait(vm.PowerOn())
    tap.equal("one from another product starts as whom it is", who(path), was)
    wait(vm.PowerOff())
    wait(vm.Relocate(vim.vm.RelocateSpec(datastore=client.datacenter.datastore[0])))
    wait(vm.PowerOn())
    tap.check("what the host itself moves does not ask", question(vm) is None)
    wait(vm.PowerOff())


def reset(host, one):
    """As its keeper is asked for it: the API does not while there is a question."""
    keeper, folder = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET), os.getcwd()
    os.chdir(host.root)
    keeper.connect(f"run/vm/{one.vm._moId}.sock")
    os.chdir(folder)
    keeper.send(struct.pack("<IIqQQ512s", 7, 0, 0, 0, 0, b""))
    keeper.close()


@contextlib.contextmanager
def answering(host, vm):
    """Whatever is asked meanwhile is tried again."""
    own, done = vim.VirtualMachine(vm._moId, connect(host)._stub), threading.Event()

    def watch():
        while not done.wait(0.2):
            if question(own):
                with contextlib.suppress(vmodl.fault.InvalidArgument):
                    answer(own, "button.retry")
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def resets(tap, host, small, one, name):
    """Resets before, while and after the guest stands still for room: in each it boots again, and its disk works."""
    write = f"(cat /tmp/data; cat /tmp/data) | dd of=/dev/{name} bs=64k seek={{}} conv=fsync 2>/dev/null"
    small.fill()
    one.send(write.format(64) + "\n")
    tap.check("for a reset it asks again", asked(one.vm))
    reset(host, one)
    reset(host, one)
    tap.check("and goes on asking", question(one.vm) is not None)
    small.empty()
    answer(one.vm, "button.retry")
    one.expect_commands(guest.BOOT_S)
    tap.equal("then it boots again", one.command(f"dd if=/dev/{name} of=/dev/null bs=64k 2>/dev/null; echo $?"), "0")
    for delay in ("", "sleep 0.05; ", "sleep 0.3; "):
        one.command("seq 1 900000 | head -c 2097152 >/tmp/data")
        small.fill()
        one.send(f"({write.format(128)} &); {delay}echo b >/proc/sysrq-trigger\n")
        time.sleep(1)
        small.empty()
        with answering(host, one.vm):
            one.expect_commands(guest.BOOT_S)
        tap.equal(f"its own reset ({delay or 'at once'}): it boots again", question(one.vm), None)
    tap.equal("and its disk works", one.command(f"dd if=/dev/zero of=/dev/{name} bs=64k count=8 conv=fsync 2>/dev/null; echo $?"), "0")


def space(tap, host, client):
    """The datastore is full while the guest writes: it sees nothing of it but time."""
    if not may_mount():
        print("# left out: file systems can not be mounted here")
        return
    small = Small(host, client, "small")
    one = Guest(host, client, "space", disks=("disk",), extra=SLOTS)
    where = disk(-1, 12 << 10, 1000, 1)
    where.device.backing.fileName = "[small] tight.vmdk"
    wait(one.vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[where])))
    try:
        one.boot()
        name = next(d for d in one.command("cd /sys/block; ls -d vd*").split()
                    if one.command(f"cat /sys/block/{d}/size") == str(12 << 11))
        small.fill()
        one.command("seq 1 900000 | head -c 4194304 >/tmp/data; md5sum </tmp/data >/tmp/sum")
        one.send(f"dd if=/tmp/data of=/dev/{name} bs=64k conv=fsync 2>/dev/null; echo WRITTEN $?\n")
        tap.check("it asks", asked(one.vm), one.state())
        q = question(one.vm)
        tap.check("for room, as ESXi does", q.message[0].id == "msg.hbacommon.outofspace" and "[small] tight" in q.text, q)
        tap.equal("with its choices", [c.label for c in q.choice.choiceInfo], ["button.retry", "button.abort"])
        tap.check("an event says so", eventually(lambda: any("[small] tight" in t for t in events_of(client, "VmMessageEvent"))))
        tap.raises("nothing else begins", vim.fault.QuestionPending, lambda: wait(one.vm.Suspend()))
        answer(one.vm, "button.retry")
        tap.check("tried in vain, it asks again", eventually(lambda: question(one.vm) and question(one.vm).id != q.id, 60))
        os.kill(host.processes("socle-hostd")[0], signal.SIGKILL)
        client.__init__(eventually(lambda: reconnect(host)))
        one.vm = client.same(one.vm)
        tap.check("and so does a later hostd", asked(one.vm))
        small.empty()
        answer(one.vm, "button.retry")
        one.expect(r"WRITTEN 0\n")
        tap.check("with room the guest goes on, and no write failed", True)
        one.expect(r"SOCLE-STATUS 0\n")
        tap.equal("all is there", one.command(f"echo 3 >/proc/sys/vm/drop_caches; head -c 4194304 /dev/{name} | md5sum"),
                  one.command("cat /tmp/sum"))
        tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
        tap.check("nobody is asked", question(one.vm) is None)
        resets(tap, host, small, one, name)
        slow_disk(host.path("slow.vmdk"))
        manager = client.content.virtualDiskManager
        copies = [manager.CopyVirtualDisk_Task("[datastore1] slow.vmdk", client.datacenter, f"[datastore1] copy{n}.vmdk",
                                               client.datacenter, None, False) for n in range(4)]
        task = one.vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[disk(-1, 1024, 1000, 2)]))
        small.fill()
        one.send(f"dd if=/dev/urandom of=/dev/{name} bs=64k seek=64 conv=fsync 2>/dev/null\n")
        tap.check("full again", asked(one.vm))
        answer(one.vm, "button.abort")
        tap.equal("behind others, a change of the VM waits", task.info.state, "running")
        tap.check("cancelled: it is off", eventually(lambda: one.state() == "poweredOff"))
        tap.check("and asks nothing", question(one.vm) is None)
        for copy in copies:
            cancel(copy)
        tap.check("and the change ends", eventually(lambda: task.info.state == "error", 60), task.info.state)
        small.empty()
        one.remove()
    finally:
        small.umount()


SCENARIOS = [copied, space]


def main():
    guest.run(sys.argv[1], [s for s in SCENARIOS if not sys.argv[2:] or s.__name__ in sys.argv[2:]])


if __name__ == "__main__":
    main()
