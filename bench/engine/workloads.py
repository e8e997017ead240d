# SPDX-License-Identifier: Apache-2.0
"""What is measured, in which group, and how good it is to be, as multiples of native CPU time."""

INTEGER, VECTOR, KERNEL, ALL = "integer", "SIMD/FP", "kernel-bound", "all"

# workload: (group, must, aim); the single goals are judgement, the bars are those of the groups below
WORKLOADS = {
    "shell": (INTEGER, 4.2, 2.5),
    "fork": (KERNEL, 3.6, 2.8),
    "forkdyn": (KERNEL, 6.0, 4.0),
    "forkub": (KERNEL, 6.0, 3.5),
    "sha": (INTEGER, 3.5, 2.2),
    "shani": (VECTOR, 1.4, 1.2),
    "gzip": (INTEGER, 2.4, 1.8),
    "gunzip": (INTEGER, 2.4, 1.8),
    "xz": (INTEGER, 2.4, 1.8),
    "zstd": (INTEGER, 3.2, 2.2),
    "python": (INTEGER, 5.5, 3.2),
    "sqlite": (INTEGER, 4.5, 2.8),
    "cc1": (INTEGER, 5.0, 3.0),
    "aes": (VECTOR, 1.3, 1.15),
    "bignum": (INTEGER, 4.2, 2.5),
    "linpack": (VECTOR, 2.3, 1.6),
    "nbody": (VECTOR, 2.5, 1.8),
    "x87": (VECTOR, 1.1, 1.05),
    "avx2": (VECTOR, 1.6, 1.2),
    "stream": (VECTOR, 1.2, 1.1),
    "memcpy": (INTEGER, 1.6, 1.4),
    "chase": (INTEGER, 1.5, 1.2),
    "interp": (INTEGER, 3.0, 2.0),
    "syscall": (KERNEL, 2.6, 1.8),
    "pipe": (KERNEL, 7.0, 3.5),
    "signal": (KERNEL, 5.0, 3.0),
    "thread": (KERNEL, 2.6, 2.0),
    "pgfault": (KERNEL, 5.0, 2.5),
    "mmap": (KERNEL, 8.0, 4.0),
    "file": (KERNEL, 4.0, 2.5),
}

# group: (must, aim) for the geometric mean of its workloads; of all also: how many times faster than TCG
GROUPS = {INTEGER: (3.1, 2.1), VECTOR: (1.6, 1.3), KERNEL: (4.7, 2.9), ALL: (3.0, 2.1)}
TIMES_FASTER = (4, 6)

# From the start of the VMM to the guest's first program, CPU seconds: (must, aim); through firmware
# the bar is what TCG takes.
BOOTS = {"boot": (1.0, 0.6), "seabios": None, "ovmf": None}

SCALING = "scaling"  # the workload "parallel" on one and on two virtual CPUs
SCALING_MUST = 1.8
PARALLEL = "parallel"

# Not measured, but run for long by tests/native/soak.py.
HEAVY = ("compile", "database", "forkstorm", PARALLEL)

NAMES = [*BOOTS, *WORKLOADS, SCALING]


def group_of(name):
    return WORKLOADS[name][0]
