# SPDX-License-Identifier: Apache-2.0
"""A VM's screen as tests see it: a viewer (RFB 3.8, plain or in a WebSocket), pictures, and what is
written in them; and a guest of one sector that shows what is typed."""

import base64
import hashlib
import os
import socket
import ssl
import struct
import time
import zlib

# Clears the screen (text mode 3), shows ">", then each key. SeaBIOS does the same at COM1.
#   mov ax,3; int 10h; mov ax,0e3eh; xor bx,bx; int 10h;
#   loop: xor ah,ah; int 16h; mov ah,0eh; xor bx,bx; int 10h; jmp loop
ECHO = bytes.fromhex("b80300cd10" "b83e0e31dbcd10" "30e4cd16b40e31dbcd10ebf4").ljust(510, b"\0") + b"\x55\xaa"
VGA_ROM = "/usr/share/seabios/vgabios-stdvga.bin"
LETTER_A = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")  # as every VGA has it, 8 by 16
CELL_HEIGHT = 16
RAW, COPY, TIGHT, ZRLE = 0, 1, 7, 16
DESKTOP_SIZE, QEMU_KEY, QEMU_LEDS = -223, -258, -261


class Picture:
    """`lines`: one list of 0xrrggbb a line."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.lines = [[0] * width for _ in range(height)]

    def text(self):
        """What is written in it, in the VGA's font, by rows; cells of 9 pixels at 720, else 8."""
        return "\n".join(self.row(y) for y in range(0, self.height - CELL_HEIGHT + 1, CELL_HEIGHT)).rstrip()

    def row(self, top):
        cell = 9 if self.width == 720 else 8
        if len({pixel for line in self.lines[top:top + CELL_HEIGHT] for pixel in line}) == 1:
            return ""
        return "".join(self.character(x, top) for x in range(0, self.width, cell)).rstrip()

    def character(self, left, top):
        rows = [self.lines[top + y][left:left + 8] for y in range(CELL_HEIGHT)]
        paper = rows[0][0]
        glyph = bytes(sum((pixel != paper) << (7 - x) for x, pixel in enumerate(row)) for row in rows)
        return font().get(glyph, "?")


FONT = {}


def font():
    if not FONT:
        with open(VGA_ROM, "rb") as file:
            rom = file.read()
        start = rom.index(LETTER_A) - ord("A") * CELL_HEIGHT
        for code in range(0x7e, 0x1f, -1):
            FONT[rom[start + code * CELL_HEIGHT:start + (code + 1) * CELL_HEIGHT]] = chr(code)
    return FONT


def from_png(data):
    """One of eight bits a channel, RGB or RGBA, as a Picture."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:64]
    at, packed, head = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack_from(">I", data, at + 8 + length)[0]
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", body)
        if kind == b"IDAT":
            packed += body
        at += 12 + length
    width, height, step = *head[:2], {2: 3, 6: 4}[head[3]]
    assert head[2] == 8 and head[4:] == (0, 0, 0), head
    picture, plain, size = Picture(width, height), zlib.decompress(packed), width * step
    before = bytes(size)
    for y in range(height):
        line = plain[y * (size + 1):(y + 1) * (size + 1)]
        before = unfilter(line[0], bytearray(line[1:]), before, step)
        picture.lines[y] = [before[x] << 16 | before[x + 1] << 8 | before[x + 2] for x in range(0, size, step)]
    return picture


def unfilter(kind, line, above, step):
    for i in range(len(line)) if kind else ():
        a, b, c = (line[i - step], above[i], above[i - step]) if i >= step else (0, above[i], 0)
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
    return line


class WebSocket:
    """A client's side of RFC 6455, for bytes; looks like a socket."""

    def __init__(self, sock, host, path, protocols="binary"):
        self.sock, self.data = sock, b""
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                      f"Sec-WebSocket-Protocol: {protocols}\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = sock.recv(1)
            if not more:
                break
            head += more
        self.head = head.decode()
        self.status = int(self.head.split()[1]) if head else 0
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.good = self.status == 101 and base64.b64encode(accept).decode() in self.head

    def sendall(self, data):
        mask = os.urandom(4)
        length = bytes([128 | len(data)]) if len(data) < 126 else struct.pack(">BH", 128 | 126, len(data))
        self.sock.sendall(b"\x82" + length + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data)))

    def whole(self, count):
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def recv(self, count):
        while not self.data:
            first, length = self.whole(2)
            if length > 125:
                length = int.from_bytes(self.whole(2 if length == 126 else 8), "big")
            body = self.whole(length)
            if first & 15 == 8:
                return b""
            self.data += body if first & 15 < 3 else b""
        data, self.data = self.data[:count], self.data[count:]
        return data

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()


def web(host, path, **options):
    """A WebSocket to a host of tests/api/host.py."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = socket.create_connection(("127.0.0.1", host.port), 30)
    return WebSocket(context.wrap_socket(sock), f"127.0.0.1:{host.port}", path, **options)


class Viewer:
    """Raw pixels and whole pictures: what it shows is what there is."""

    def __init__(self, sock, password=None):
        self.sock = sock
        sock.settimeout(30)
        self.version = self.take(12)
        sock.sendall(b"RFB 003.008\n")
        self.types = self.take(self.take(1)[0])
        if password is None:
            sock.sendall(b"\x01")
        else:
            sock.sendall(b"\x02")
            sock.sendall(password(self.take(16)))
        self.result = struct.unpack(">I", self.take(4))[0]
        if self.result:
            return
        sock.sendall(b"\x01")
        width, height = struct.unpack(">HH", self.take(4))
        self.format = self.take(16)
        self.name = self.take(struct.unpack(">I", self.take(4))[0]).decode()
        self.picture = Picture(width, height)
        encodings = (RAW, DESKTOP_SIZE, QEMU_KEY, QEMU_LEDS)
        sock.sendall(struct.pack(">BxH", 2, len(encodings)) + struct.pack(f">{len(encodings)}i", *encodings))
        self.leds, self.extended = None, False

    def take(self, count):
        data = bytearray()
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError("the server has closed the connection")
            data += more
        return bytes(data)

    def look(self, incremental=False):
        """Asks for an update and waits for it."""
        self.sock.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, 0xffff, 0xffff))
        kind, count = struct.unpack(">BxH", self.take(4))
        assert kind == 0, kind
        for _ in range(count):
            self.rectangle(*struct.unpack(">HHHHi", self.take(12)))
        return self.picture

    def rectangle(self, x, y, width, height, encoding):
        if encoding == RAW:
            data = self.take(width * height * 4)
            for row in range(height):
                pixels = struct.unpack_from(f"<{width}I", data, row * width * 4)
                self.picture.lines[y + row][x:x + width] = [p & 0xffffff for p in pixels]
        elif encoding == DESKTOP_SIZE:
            self.picture = Picture(width, height)
        elif encoding == QEMU_LEDS:
            self.leds = self.take(1)[0]
        elif encoding == QEMU_KEY:
            self.extended = True
        else:
            raise ValueError(f"encoding {encoding} was not asked for")

    def key(self, keysym, down):
        self.sock.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def type(self, text):
        for c in text:
            self.key(ord(c), True)
            self.key(ord(c), False)
            time.sleep(0.02)

    def place(self, xt, keysym=0):
        """The key at a place, pressed and released."""
        for down in (1, 0):
            self.sock.sendall(struct.pack(">BBHII", 255, 0, down, keysym, xt))

    def point(self, x, y, buttons=0):
        self.sock.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def wait_for(self, text, seconds=60):
        """The picture's text once it has that; or as it is then."""
        end = time.monotonic() + seconds
        seen = self.look().text()
        while text not in seen and time.monotonic() < end:
            time.sleep(0.2)
            seen = self.look().text()
        return seen
