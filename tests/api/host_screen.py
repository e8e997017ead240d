#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A VM's screen and serial port through the host: tickets and their WebSocket, screenshots, scan codes. TAP.

usage: host_screen.py BUILD
"""

import http.client
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[1:1] = [HERE, f"{HERE}/../lab"]
import screen  # noqa: E402
from client import Client, connect, create, wait  # noqa: E402
from host import Host, Tap, context, eventually  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402

USAGES = {**{chr(ord("a") + n): 4 + n for n in range(26)}, " ": 0x2c, "-": 0x2d, "/": 0x38}
BOOT_S = 90


def scan_codes(text):
    """As Packer's: a code for each key, shift for capitals."""
    events = []
    for c in text:
        shift = vim.UsbScanCodeSpec.ModifierType(leftShift=c.isupper())
        events.append(vim.UsbScanCodeSpec.KeyEvent(usbHidCode=USAGES[c.lower()] << 16 | 7, modifiers=shift))
    return vim.UsbScanCodeSpec(keyEvents=events)


def contains(tap, name, part, text):
    return tap.check(name, part in text, f"no {part!r} in\n{text}")


def get(host, path, cookie):
    connection = http.client.HTTPSConnection("127.0.0.1", host.port, context=context(), timeout=30)
    connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type"), answer.read()


def shown(host, vm, cookie, text):
    """The screen's text by pictures, once it has that."""
    def look():
        status, _, body = get(host, f"/screen?id={vm._moId}", cookie)
        seen.append(screen.from_png(body).text() if status == 200 else f"status {status}")
        return text in seen[-1]
    seen = []
    eventually(look, BOOT_S)
    return seen[-1]


def while_off(tap, host, client, vm, cookie):
    for kind in ("webmks", "serial"):
        tap.raises(f"off, there is no ticket for {kind}", vim.fault.InvalidState,
                   lambda kind=kind: vm.AcquireTicket(kind))
    tap.raises("nor a screenshot", vim.fault.InvalidPowerState, lambda: wait(vm.CreateScreenshot_Task()))
    tap.raises("nor a keyboard", vim.fault.InvalidPowerState, lambda: vm.PutUsbScanCodes(scan_codes("a")))
    tap.equal("nor a picture", get(host, f"/screen?id={vm._moId}", cookie)[0], 409)


def pictures(tap, host, client, vm, cookie):
    status, kind, body = get(host, f"/screen?id={vm._moId}", cookie)
    tap.equal("a picture by HTTP", (status, kind), (200, "image/png"))
    picture = screen.from_png(body)
    tap.equal("of text mode's size", (picture.width, picture.height), (720, 400))
    small = screen.from_png(get(host, f"/screen?id={vm._moId}&w=180", cookie)[2])
    tap.equal("and a smaller one", (small.width, small.height), (180, 100))
    tap.equal("not without a session", get(host, f"/screen?id={vm._moId}", None)[0], 401)
    tap.equal("not of a VM that is none", get(host, "/screen?id=4711", cookie)[0], 404)
    names = [wait(vm.CreateScreenshot_Task()) for _ in range(2)]
    tap.equal("screenshots have names", names, [f"[datastore1] screen/screen-{n}.png" for n in (1, 2)])
    with open(host.path("screen/screen-2.png"), "rb") as file:
        tap.equal("and are what is on the screen", screen.from_png(file.read()).text(), picture.text())


def typing(tap, host, client, vm, cookie):
    tap.equal("scan codes are typed", vm.PutUsbScanCodes(scan_codes("Scan codes/")), 11)
    contains(tap, "and arrive", "Scan codes/", shown(host, vm, cookie, "Scan codes/"))
    bad = vim.UsbScanCodeSpec(keyEvents=[vim.UsbScanCodeSpec.KeyEvent(usbHidCode=0x40001)])
    tap.raises("what is no key of a keyboard is refused", vmodl.fault.InvalidArgument,
               lambda: vm.PutUsbScanCodes(bad))


def console(tap, host, client, vm, _cookie):
    ticket = vm.AcquireTicket("webmks")
    tap.equal("a ticket says where", (ticket.port, ticket.cfgFile),
              (host.port, "/vmfs/volumes/datastore1/screen/screen.vmx"))
    tap.check("and who", len(ticket.sslThumbprint) == 59)
    socket = screen.web(host, f"/ticket/{ticket.ticket}")
    tap.check("it opens a WebSocket", socket.good, socket.head)
    contains(tap, "of the subprotocol", "Sec-WebSocket-Protocol: binary", socket.head)
    viewer = screen.Viewer(socket)
    tap.equal("with RFB in it", (viewer.version, viewer.name), (b"RFB 003.008\n", "screen"))
    viewer.type("Console A")
    contains(tap, "what is typed there arrives", "Console A", viewer.wait_for("Console A", BOOT_S))
    tap.equal("by extended keys, too", viewer.extended, True)
    for xt in (0x35, 0x26, 0x18, 0x26, 0x35):  # /lol/, by place
        viewer.place(xt)
    contains(tap, "which are places", "/lol/", viewer.wait_for("/lol/", BOOT_S))
    tap.equal("the ticket was good once", screen.web(host, f"/ticket/{ticket.ticket}").status, 404)
    second = screen.Viewer(screen.web(host, f"/ticket/{vm.AcquireMksTicket().ticket}"))
    tap.equal("two see the same", second.look().text(), viewer.look().text())
    tap.equal("no ticket, no console", screen.web(host, "/ticket/" + 40 * "0").status, 404)
    ticket = vm.AcquireTicket("mks").ticket
    tap.equal("not in another subprotocol", screen.web(host, f"/ticket/{ticket}", protocols="chat").status, 400)
    tap.raises("other kinds are not there", vmodl.fault.InvalidArgument, lambda: vm.AcquireTicket("device"))
    for pid in host.processes("socle-rfb"):
        os.kill(pid, 9)
    try:
        while True:
            viewer.look()
            time.sleep(0.1)
    except (EOFError, OSError):
        pass
    tap.equal("without its console's process the VM runs on", vm.runtime.powerState, "poweredOn")
    again = screen.Viewer(screen.web(host, f"/ticket/{vm.AcquireTicket('webmks').ticket}"))
    contains(tap, "and there is a new one", "/lol/", again.look().text())


def serial(tap, host, client, vm, cookie):
    socket = screen.web(host, f"/ticket/{vm.AcquireTicket('serial').ticket}")
    tap.check("the serial port has a WebSocket, too", socket.good, socket.head)
    vm.PutUsbScanCodes(scan_codes("to the port"))
    socket.settimeout(BOOT_S)
    said = b""
    while b"to the port" not in said:
        more = socket.recv(4096)
        if not more:
            break
        said += more
    contains(tap, "and what the guest sends comes there", "to the port", said.decode(errors="replace"))
    socket.sendall(b"Back")
    contains(tap, "what is written to it arrives", "Back", shown(host, vm, cookie, "Back"))
    socket.close()


def permissions(tap, host, client, vm, _cookie):
    client.content.accountManager.CreateUser(
        vim.host.LocalAccountManager.AccountSpecification(id="reader", password="Secret-12345"))
    client.content.authorizationManager.SetEntityPermissions(
        client.content.rootFolder, [vim.AuthorizationManager.Permission(
            principal="reader", group=False, roleId=-2, propagate=True)])
    si = connect(host, "reader", "Secret-12345")
    its = Client(si).same(vm)
    for name, method in (("ticket", lambda: its.AcquireTicket("webmks")), ("MKS ticket", its.AcquireMksTicket),
                         ("screenshot", its.CreateScreenshot_Task),
                         ("typing", lambda: its.PutUsbScanCodes(scan_codes("a")))):
        tap.raises(f"who may only read gets no {name}", vim.fault.NoPermission, method)
    tap.equal("nor a picture", get(host, f"/screen?id={vm._moId}", si._stub.cookie.split(";")[0])[0], 403)


def boots(tap, host, client, vm, cookie):
    wait(vm.PowerOn())
    tap.check("the guest shows its prompt", shown(host, vm, cookie, ">").startswith(">"))


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        si = connect(host)
        client, cookie = Client(si), si._stub.cookie.split(";")[0]
        vm = create(client, "screen")
        with open(host.path("screen/screen-flat.vmdk"), "r+b") as file:
            file.write(screen.ECHO)
        tap.run([while_off, boots, typing, pictures, console, serial, permissions], host, client, vm, cookie)


main()
