#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What happens to VMs while they run: suspend, snapshots, hot changes; real guests, pyVmomi. TAP.

usage: host_running.py BUILD [SCENARIO...]
"""

import os
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import guest  # noqa: E402
from client import Client, connect, reconnect, vmm_of, wait  # noqa: E402
from guest import Guest  # noqa: E402
from host import Host, Tap, eventually  # noqa: E402
from pyVmomi import vim  # noqa: E402


# suspend

def suspend(tap, host, client):
    """In the middle of a computation, which then has the right result; over a restart of hostd."""
    one = Guest(host, client, "suspend").boot()
    want = one.command("seq 1 30000 | md5sum")
    one.command("dmesg -n 7; echo kept >/tmp/file; (for i in 1 2 3 4 5 6; do seq 1 30000 | md5sum; done "
                ">/tmp/sums; echo all >/tmp/done) &")
    one.command("dd if=/dev/urandom of=/tmp/data bs=1M count=8; md5sum /tmp/data >/tmp/data.md5")
    before = float(one.command("cut -d' ' -f1 /proc/uptime"))
    wait(one.vm.Suspend())
    tap.equal("it is suspended", one.state(), "suspended")
    tap.equal("and its processes are gone", host.processes("socle-vmm"), [])
    name = one.vmx["checkpoint.vmState"]
    tap.check("the .vmx names the state as ESXi's does", name.startswith("suspend-") and name.endswith(".vmss"),
              name)
    size = os.stat(one.path(name))
    tap.check("memory that is zero takes no room", size.st_blocks * 512 < size.st_size * 0.8,
              (size.st_blocks * 512, size.st_size))
    tap.raises("it can not be suspended twice", vim.fault.InvalidPowerState, lambda: wait(one.vm.Suspend()))
    host.stop(signal.SIGKILL)
    host.start()
    client.__init__(eventually(lambda: reconnect(host)))
    one.vm = client.same(one.vm)
    tap.equal("a new hostd knows it", one.state(), "suspended")
    wait(one.vm.PowerOn())
    tap.equal("it goes on", one.state(), "poweredOn")
    tap.equal("and is not suspended any more", one.vmx["checkpoint.vmState"], "")
    one.attach()
    tap.equal("with what it had in memory", one.command("cat /tmp/file; md5sum -c /tmp/data.md5"),
              "kept\n/tmp/data: OK")
    tap.equal("what it was at goes on, and is right",
              one.command("while [ ! -f /tmp/done ]; do sleep 0.2; done; sort -u /tmp/sums"), want)
    after = float(one.command("cut -d' ' -f1 /proc/uptime"))
    tap.check("its time goes on where it stood", before <= after < before + 60, (before, after))
    clock = int(one.command("hwclock -u -r >/dev/null; date -u +%s -d \"$(cat /sys/class/rtc/rtc0/date) "
                            "$(cat /sys/class/rtc/rtc0/time)\""))
    tap.check("the clock on the board has the time of day", abs(clock - time.time()) < 30, clock)
    tap.equal("the disk works", one.command("dd if=/dev/vda of=/dev/null bs=1M count=4 2>/dev/null; echo $?"), "0")
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    tap.check("the state file is gone", eventually(lambda: not os.path.exists(one.path(name))))
    one.remove()


def discard(tap, host, client):
    """A suspended VM that is powered off starts anew; a state that does not fit is refused."""
    one = Guest(host, client, "discard").boot()
    one.command("echo kept >/tmp/file")
    wait(one.vm.Suspend())
    name = one.vmx["checkpoint.vmState"]
    tap.raises("its hardware stays", vim.fault.InvalidPowerState,
               lambda: wait(one.vm.Reconfigure(vim.vm.ConfigSpec(memoryMB=64))))
    with open(one.path("discard.vmx"), "r+", encoding="utf-8") as file:
        text = file.read().replace('memSize = "128"', 'memSize = "96"')
        file.seek(0)
        file.write(text)
        file.truncate()
    one.vm.Reload()
    fault = tap.raises("another machine can not go on from it", vim.fault.GenericVmConfigFault,
                       lambda: wait(one.vm.PowerOn()))
    tap.check("and hears why", fault and "128" in fault.reason and "96" in fault.reason, fault and fault.reason)
    tap.equal("it is still suspended", one.state(), "suspended")
    with open(one.path(name), "r+b") as file:
        file.write(b"x" * 64)
    tap.raises("nor can anybody from a damaged one", vim.fault.GenericVmConfigFault,
               lambda: wait(one.vm.PowerOn()))
    wait(one.vm.PowerOff())
    tap.equal("off", one.state(), "poweredOff")
    tap.check("the state is gone", eventually(lambda: not os.path.exists(one.path(name))))
    one.boot()
    tap.equal("it starts anew", one.command("cat /tmp/file 2>/dev/null"), "(1)")
    one.remove()


# processes that die

def killed(tap, host, client):
    for name in ("vmm", "vmx"):
        one = Guest(host, client, f"kill-{name}").boot()
        keeper = host.processes("socle-keeper")[0]
        os.kill(vmm_of(keeper, name), signal.SIGKILL)
        tap.check(f"{name} killed: the VM is off", eventually(lambda: one.state() == "poweredOff"))
        spec = vim.event.EventFilterSpec(entity=vim.event.EventFilterSpec.ByEntity(
            entity=one.vm, recursion="self"))
        texts = [e.fullFormattedMessage for e in client.content.eventManager.QueryEvents(spec)
                 if isinstance(e, vim.event.VmPoweredOffEvent)]
        tap.check("and an event says which, and how", texts and name in texts[-1] and "signal 9" in texts[-1], texts)
        wait(one.vm.PowerOn())
        tap.equal("it starts again", one.state(), "poweredOn")
        one.remove()


SCENARIOS = [suspend, discard, killed]


def main():
    build, names = os.path.abspath(sys.argv[1]), sys.argv[2:]
    guest.prepare(build)
    with Host(build) as host:
        client = Client(connect(host))
        Tap().run([s for s in SCENARIOS if not names or s.__name__ in names], host, client)


if __name__ == "__main__":
    main()
