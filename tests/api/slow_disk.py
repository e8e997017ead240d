# SPDX-License-Identifier: Apache-2.0
"""A disk that takes its time to copy, for what is to be cancelled half-way."""

import os
import struct
import zlib

SLOW_GIB = 4


def slow_disk(path):
    """A stream-optimized disk whose every grain is there and holds zeros: seconds to copy, 32 MiB of file."""
    sector, tables, entries = 512, SLOW_GIB << 5, 512
    packed = zlib.compress(bytes(65536))
    grain = len(packed).to_bytes(4, "little") + packed
    at, directory = 128, []

    def header(place):
        return struct.pack("<IIIQQQQIQQQB4sH", 0x564D444B, 3, 0x30001, SLOW_GIB << 21, 128, 1, 1, entries, 0, place, 128,
                           0, b"\n \r\n", 1).ljust(sector, b"\0")

    def marker(kind, sectors):
        return struct.pack("<QII", sectors, 0, kind).ljust(sector, b"\0")

    text = (f'# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="streamOptimized"\n'
            f'RDONLY {SLOW_GIB << 21} SPARSE "{os.path.basename(path)}"\nddb.adapterType = "lsilogic"\n')
    with open(path, "wb") as file:
        file.write((header(2**64 - 1) + text.encode()).ljust(128 * sector, b"\0"))
        for table in range(tables):
            for entry in range(entries):
                lba = (table * entries + entry) * 128
                file.write((lba.to_bytes(8, "little") + grain).ljust(sector, b"\0"))
            directory.append(at + entries + 1)
            file.write(marker(1, 4) + struct.pack(f"<{entries}I", *range(at, at + entries)))
            at += entries + 5
        size = (4 * tables + sector - 1) // sector
        file.write(marker(2, size) + struct.pack(f"<{tables}I", *directory).ljust(size * sector, b"\0"))
        file.write(marker(3, 1) + header(at + 1) + marker(0, 0))
