# SPDX-License-Identifier: Apache-2.0
"""CPU time of a process and all that it started, in nanoseconds: what the scheduler has counted for it.

Wall time is worth nothing on a machine that others use as well. What the scheduler also knows is how
long a thread was ready to run and did not; without that, wall time becomes what it would be alone.
"""

import os
import time

CPUCLOCK_SCHED = 2  # clock ids of other processes: include/linux/posix-timers_types.h, clock_getcpuclockid(3)


def family(pid):
    """The process and its descendants."""
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children = file.read().split()
        except OSError:
            continue
        for child in children:
            yield from family(int(child))


def of_process(pid):
    """User and system time of all its threads, those that have ended included."""
    try:
        return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        return 0


def of_family(pid):
    return sum(of_process(member) for member in family(pid))


def of_threads(pid):
    """thread -> (CPU time, time it waited for a CPU)"""
    found = {}
    for member in family(pid):
        try:
            for thread in os.listdir(f"/proc/{member}/task"):
                with open(f"/proc/{member}/task/{thread}/schedstat", encoding="ascii") as file:
                    ran, waited, _ = file.read().split()
                found[int(thread)] = (int(ran), int(waited))
        except OSError:
            continue
    return found
