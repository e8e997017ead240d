# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: what a guest reads from its disks is what the images hold, and the other way round."""

import hashlib
import os
import signal
import subprocess

import vm as lab
from vm import SOCLE, Vm

MIB = 1 << 20
SIZE = 8 * MIB
FORMATS = ("raw", "vmdk-flat", "vmdk-sparse")
PATTERN = "yes 'socle pattern' | head -c 1048576"


def md5(data):
    return hashlib.md5(data).hexdigest()


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def image_path(name):
    return f"/tmp/{name}.{'raw' if name in ('raw', 'readonly') else 'vmdk'}"


def make_images():
    """{name: (path, content)}: random bytes with a hole, once in each format."""
    images = {}
    for name in (*FORMATS, "readonly"):
        content = os.urandom(3 * MIB) + bytes(2 * MIB) + os.urandom(SIZE - 5 * MIB)
        with open("/tmp/plain", "wb") as file:
            file.write(content)
        form = "raw" if name == "readonly" else name
        lab.output(SOCLE, "disk", "convert", "--quiet", "--from", "raw", "--format", form,
                   "/tmp/plain", image_path(name))
        images[name] = (image_path(name), content)
    return images


def expected(content):
    """What the disk holds after the guest wrote its pattern at 1 MiB."""
    pattern = (b"socle pattern\n" * (MIB // 14 + 1))[:MIB]
    return content[:MIB] + pattern + content[2 * MIB:]


def convert_back(path):
    lab.output(SOCLE, "disk", "convert", "--quiet", "--format", "raw", path, "/tmp/back")
    data = read_file("/tmp/back")
    os.unlink("/tmp/back")
    return data


def content(tap):
    images = make_images()
    before = read_file(images["readonly"][0])
    words = []
    for name, (path, _) in images.items():
        words += ["--disk", path + (",readonly" if name == "readonly" else "")]
    vm = Vm(*words).boot()
    disks = dict(zip(images, ("vda", "vdb", "vdc", "vdd")))
    for name, disk in disks.items():
        got = vm.command(f"md5sum </dev/{disk}")
        tap.equal(f"{name}: the guest reads what the image holds", got[:32], md5(images[name][1]))
    tap.equal("the disks have their size", vm.command("cat /sys/block/vd*/size").split(),
              [str(SIZE // 512)] * len(disks))
    vm.command(f"{PATTERN} >/tmp/pattern")
    for name in FORMATS:
        vm.command(f"dd if=/tmp/pattern of=/dev/{disks[name]} bs=64k seek=16 conv=fsync,notrunc")
    tap.equal("a read-only disk says so", vm.command(f"cat /sys/block/{disks['readonly']}/ro"), "1")
    said = vm.command(f"dd if=/tmp/pattern of=/dev/{disks['readonly']} bs=64k conv=fsync,notrunc")
    tap.match("and takes no writes", "not permitted|Read-only|error", said)
    in_use(tap, images)
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    for name in FORMATS:
        path, old = images[name]
        tap.equal(f"{name}: the image holds what the guest wrote", md5(convert_back(path)),
                  md5(expected(old)))
        checked = subprocess.run([SOCLE, "disk", "check", path], check=False, capture_output=True)
        tap.equal(f"{name}: the image passes the check", checked.returncode, 0)
    tap.check("the read-only image is as it was", read_file(images["readonly"][0]) == before)


def in_use(tap, images):
    """Called while a VM has the images open."""
    for name in FORMATS:
        path = images[name][0]
        status, said = lab.refused(*lab.KERNEL, "--disk", path)
        tap.equal(f"{name}: a second VM is refused", status, lab.BAD_FILE)
        tap.match("and told which disk is in use",
                  rf"\Asocle run: .*{os.path.basename(path)}.*in use.*\n\Z", said)


def discard(tap):
    """Room comes back, the rest stays: a sparse image and a raw file with holes."""
    path = "/tmp/trim.raw"
    data = os.urandom(SIZE)
    with open(path, "wb") as file:
        file.write(data)
    vm = Vm("--disk", path).boot()
    tap.equal("the guest discards", vm.command("blkdiscard -o 2097152 -l 4194304 /dev/vda"), "")
    wanted = data[:2 * MIB] + bytes(4 * MIB) + data[6 * MIB:]
    tap.equal("and reads zeroes there",
              vm.command("echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/vda")[:32], md5(wanted))
    lost_power(tap, vm, path, wanted)


def lost_power(tap, vm, path, data):
    """What was flushed is there though the VM was killed."""
    vm.command(f"{PATTERN} >/tmp/pattern; dd if=/tmp/pattern of=/dev/vda bs=64k seek=16 conv=fsync")
    vm.kill(signal.SIGKILL)
    vm.process.wait()
    tap.check("killed, it leaves no process", lab.eventually(lambda: not lab.processes()))
    tap.equal("what the guest had flushed is on the image", md5(read_file(path)),
              md5(expected(data)))
    tap.check("the discarded room is free", os.stat(path).st_blocks * 512 <= 5 * MIB,
              os.stat(path).st_blocks)


lab.main([content, discard])
