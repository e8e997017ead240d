# SPDX-License-Identifier: Apache-2.0
"""A mix of what Python programs do: attributes, calls, dict, list and str, floats, sorting, generators."""


class Record:
    __slots__ = ("next", "d", "e", "i", "s")

    def __init__(self, following=None, d=0, e=0, i=0, s=""):
        self.next, self.d, self.e, self.i, self.s = following, d, e, i, s

    def copy(self):
        return Record(self.next, self.d, self.e, self.i, self.s)


def step(record, g):
    n = record.next.copy()
    record.i = 5
    n.i = record.i
    n.next = record.next
    if n.d == 0:
        n.i = 6 + g
        n.e = max(record.e, g)
    return n


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def primes(n):
    sieve = bytearray([1]) * (n + 1)
    for i in range(2, int(n ** .5) + 1):
        if sieve[i]:
            sieve[i * i::i] = bytes(len(range(i * i, n + 1, i)))
    return sum(sieve) - 2


def queens(n, row=0, columns=0, left=0, right=0):
    if row == n:
        return 1
    count = 0
    free = ((1 << n) - 1) & ~(columns | left | right)
    while free:
        bit = free & -free
        free ^= bit
        count += queens(n, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1)
    return count


def records():
    following = Record(None, 0, 1, 2, "SOME STRING")
    record = Record(following, 0, 3, 4, "OTHER")
    total = 0
    for i in range(250000):
        total += step(record, i % 7).i
        record.next = following
    return total


def words():
    count = {}
    for i in range(300000):
        key = "k%d" % (i * 7919 % 5003)
        count[key] = count.get(key, 0) + i
    return len(count), sum(v for k, v in sorted(count.items(), key=lambda item: item[1])[:100])


def series():
    x = 0.0
    for i in range(1, 600000):
        x += 1.0 / (i * i + 0.5)
    return x


print(records(), fibonacci(23), primes(200000), queens(9))
print(*words())
print("%.9f" % series(), sum(len(s) for s in " ".join("%x" % i for i in range(40000)).split()))
