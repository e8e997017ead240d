# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: many processors, and memory above the hole below 4 GiB."""

import vm as lab
from vm import Vm


def eight_processors(tap):
    vm = Vm("--cpus", "8").boot()
    tap.equal("a kernel boots with 8 processors", vm.command("nproc"), "8")
    ran = vm.command("for n in 0 1 2 3 4 5 6 7; do taskset -a -c $n true || taskset $((1 << n)) true || "
                     "echo $n; done 2>/dev/null")
    tap.equal("each runs a program", ran, "")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def more_than_255(tap):
    """All processors exist; the kernel is told to start just one, since they share one of L1's."""
    vm = Vm("--cpus", "288", append="maxcpus=1", memory="1G").boot()
    tap.equal("a kernel sees 288 processors", vm.command("cat /sys/devices/system/cpu/present"), "0-287")
    vm.command("echo 1 >/sys/devices/system/cpu/cpu287/online")
    tap.equal("and starts the last one, whose APIC ID needs x2APIC",
              vm.command("cat /sys/devices/system/cpu/online"), "0,287")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def most(tap):
    vm = Vm("--cpus", "768", append="nr_cpus=1", memory="256M").boot()
    tap.equal("768 processors are accepted", vm.command("nproc"), "1")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    status, _ = lab.refused("--cpus", "769", *lab.KERNEL)
    tap.equal("769 are not", status, lab.USAGE)


def above_the_hole(tap):
    vm = Vm(memory="5G").boot()
    kib = int(vm.command("sed -n 's/MemTotal: *//p' /proc/meminfo").split()[0])
    tap.check("a kernel has 5 GiB", 4800 << 10 < kib < 5120 << 10, kib)
    ranges = vm.command("grep 'System RAM' /proc/iomem")
    tap.match("some of it above 4 GiB", r"(?m)^ *100000000-[0-9a-f]+ : System RAM", ranges)
    vm.command("mount -t tmpfs -o size=90% big /mnt; head -c 33554432 /dev/urandom >/mnt/a")
    tap.equal("which keeps what is in it", vm.command("cp /mnt/a /mnt/b; cmp /mnt/a /mnt/b"), "")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


lab.main([eight_processors, more_than_255, most, above_the_hole])
