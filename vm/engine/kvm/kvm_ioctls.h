/* SPDX-License-Identifier: Apache-2.0 */
/* Every ioctl that the KVM engine makes, and when: the one list behind the seccomp filters and
 * docs/engine.md. A filter compares the request argument (the second) with these numbers.
 *
 *     KVM_IOCTL_SETUP   before the VM runs, on the thread that creates it
 *     KVM_IOCTL_VM      at run time, from any thread of `vmm`: a guest that writes a BAR, an MSI-X
 *                       entry or a mask bit reaches these from its vCPU thread
 *     KVM_IOCTL_VCPU    at run time, on the vCPU's own thread only
 *
 * A vCPU thread needs VM and VCPU, every other thread of `vmm` VM only.
 *
 * The list is empty where there is no KVM engine. */
#pragma once

#include <linux/kvm.h>
#include <stdint.h>

enum kvm_ioctl_class { KVM_IOCTL_SETUP, KVM_IOCTL_VM, KVM_IOCTL_VCPU };

struct kvm_ioctl {
    const char *name;
    uint32_t request;
    enum kvm_ioctl_class class;
    const char *why;
};

#define KVM_IOCTL_(request, class, why)           \
    {                                             \
#request, (uint32_t)(request), class, why \
    }

static const struct kvm_ioctl kvm_ioctls[] = {
#if defined(__x86_64__)
    KVM_IOCTL_(KVM_GET_API_VERSION, KVM_IOCTL_SETUP, "is this KVM"),
    KVM_IOCTL_(KVM_CHECK_EXTENSION, KVM_IOCTL_SETUP, "what it can do"),
    KVM_IOCTL_(KVM_GET_SUPPORTED_CPUID, KVM_IOCTL_SETUP, "what CPUID may say"),
    KVM_IOCTL_(KVM_GET_MSR_INDEX_LIST, KVM_IOCTL_SETUP, "which MSRs are state"),
    KVM_IOCTL_(KVM_GET_VCPU_MMAP_SIZE, KVM_IOCTL_SETUP, "the shared page of a vCPU"),
    KVM_IOCTL_(KVM_GET_TSC_KHZ, KVM_IOCTL_SETUP, "the guest's TSC rate"),
    KVM_IOCTL_(KVM_SET_TSC_KHZ, KVM_IOCTL_SETUP, "a TSC rate that the model asks for"),
    KVM_IOCTL_(KVM_CREATE_VM, KVM_IOCTL_SETUP, "the VM"),
    KVM_IOCTL_(KVM_ENABLE_CAP, KVM_IOCTL_SETUP, "32-bit APIC ids, dirty log, user-space MSRs"),
    KVM_IOCTL_(KVM_SET_IDENTITY_MAP_ADDR, KVM_IOCTL_SETUP, "Intel's real-mode page table"),
    KVM_IOCTL_(KVM_SET_TSS_ADDR, KVM_IOCTL_SETUP, "Intel's real-mode TSS"),
    KVM_IOCTL_(KVM_CREATE_IRQCHIP, KVM_IOCTL_SETUP, "PIC, IOAPIC, local APICs"),
    KVM_IOCTL_(KVM_CREATE_PIT2, KVM_IOCTL_SETUP, "8254"),
    KVM_IOCTL_(KVM_CREATE_VCPU, KVM_IOCTL_SETUP, "a processor"),
    KVM_IOCTL_(KVM_SET_CPUID2, KVM_IOCTL_SETUP, "what CPUID says"),
    KVM_IOCTL_(KVM_GET_SREGS, KVM_IOCTL_SETUP, "the probe"),
    KVM_IOCTL_(KVM_SET_SREGS, KVM_IOCTL_SETUP, "the probe"),
    KVM_IOCTL_(KVM_X86_SETUP_MCE, KVM_IOCTL_SETUP, "machine-check banks"),

    KVM_IOCTL_(KVM_SET_USER_MEMORY_REGION, KVM_IOCTL_VM, "device memory moves with its BAR"),
    KVM_IOCTL_(KVM_SET_GSI_ROUTING, KVM_IOCTL_VM, "a message route changes"),
    KVM_IOCTL_(KVM_IRQFD, KVM_IOCTL_VM, "an interrupt source is bound, masked, unmasked"),
    KVM_IOCTL_(KVM_IOEVENTFD, KVM_IOCTL_VM, "doorbells move with their BAR"),
    KVM_IOCTL_(KVM_IRQ_LINE, KVM_IOCTL_VM, "an interrupt line changes"),
    KVM_IOCTL_(KVM_SIGNAL_MSI, KVM_IOCTL_VM, "a message without a route"),
    KVM_IOCTL_(KVM_GET_DIRTY_LOG, KVM_IOCTL_VM, "migration, display"),
    KVM_IOCTL_(KVM_CLEAR_DIRTY_LOG, KVM_IOCTL_VM, "migration, display"),
    KVM_IOCTL_(KVM_GET_IRQCHIP, KVM_IOCTL_VM, "save"),
    KVM_IOCTL_(KVM_SET_IRQCHIP, KVM_IOCTL_VM, "restore, reset"),
    KVM_IOCTL_(KVM_GET_PIT2, KVM_IOCTL_VM, "save"),
    KVM_IOCTL_(KVM_SET_PIT2, KVM_IOCTL_VM, "restore, reset"),
    KVM_IOCTL_(KVM_GET_CLOCK, KVM_IOCTL_VM, "save"),
    KVM_IOCTL_(KVM_SET_CLOCK, KVM_IOCTL_VM, "restore"),

    KVM_IOCTL_(KVM_RUN, KVM_IOCTL_VCPU, "run"),
    KVM_IOCTL_(KVM_NMI, KVM_IOCTL_VCPU, "non-maskable interrupt"),
    KVM_IOCTL_(KVM_SMI, KVM_IOCTL_VCPU, "system management interrupt"),
    KVM_IOCTL_(KVM_GET_REGS, KVM_IOCTL_VCPU, "save, and what a failed vCPU was doing"),
    KVM_IOCTL_(KVM_SET_REGS, KVM_IOCTL_VCPU, "restore, reset"),
    KVM_IOCTL_(KVM_GET_SREGS2, KVM_IOCTL_VCPU, "save"),
    KVM_IOCTL_(KVM_SET_SREGS2, KVM_IOCTL_VCPU, "restore, reset"),
    KVM_IOCTL_(KVM_GET_XSAVE, KVM_IOCTL_VCPU, "save"),
    KVM_IOCTL_(KVM_SET_XSAVE, KVM_IOCTL_VCPU, "restore, reset"),
    KVM_IOCTL_(KVM_GET_XCRS, KVM_IOCTL_VCPU, "save"),
    KVM_IOCTL_(KVM_SET_XCRS, KVM_IOCTL_VCPU, "restore, reset"),
    KVM_IOCTL_(KVM_GET_MSRS, KVM_IOCTL_VCPU, "save"),
    KVM_IOCTL_(KVM_SET_MSRS, KVM_IOCTL_VCPU, "restore, reset"),
    KVM_IOCTL_(KVM_GET_LAPIC, KVM_IOCTL_VCPU, "save"),
    KVM_IOCTL_(KVM_SET_LAPIC, KVM_IOCTL_VCPU, "restore, reset"),
    KVM_IOCTL_(KVM_GET_DEBUGREGS, KVM_IOCTL_VCPU, "save"),
    KVM_IOCTL_(KVM_SET_DEBUGREGS, KVM_IOCTL_VCPU, "restore, reset"),
    KVM_IOCTL_(KVM_GET_VCPU_EVENTS, KVM_IOCTL_VCPU, "save"),
    KVM_IOCTL_(KVM_SET_VCPU_EVENTS, KVM_IOCTL_VCPU, "restore, reset"),
    KVM_IOCTL_(KVM_GET_MP_STATE, KVM_IOCTL_VCPU, "save"),
    KVM_IOCTL_(KVM_SET_MP_STATE, KVM_IOCTL_VCPU, "restore, reset"),
#endif
};

enum { KVM_IOCTL_COUNT = sizeof kvm_ioctls / sizeof kvm_ioctls[0] };
