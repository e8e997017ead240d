/* SPDX-License-Identifier: Apache-2.0 */
/* What this host's KVM can do: the list of what the engine cannot be without (all of it is in Linux
 * 5.15), the optional abilities, supported CPUID leaves and MSRs. Linux
 * Documentation/virt/kvm/api.rst, sections 4 and 8. */
#include <asm/kvm_para.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "vm/engine/kvm/kvm_internal.h"

static const struct {
    int cap;
    const char *name;
} required[] = {
    {KVM_CAP_USER_MEMORY, "user memory"},
    {KVM_CAP_EXT_CPUID, "CPUID"},
    {KVM_CAP_SET_TSS_ADDR, "TSS address"},
    {KVM_CAP_SET_IDENTITY_MAP_ADDR, "identity map address"},
    {KVM_CAP_IRQCHIP, "interrupt controllers"},
    {KVM_CAP_PIT2, "PIT"},
    {KVM_CAP_IRQ_ROUTING, "interrupt routing"},
    {KVM_CAP_IRQFD, "irqfd"},
    {KVM_CAP_IRQFD_RESAMPLE, "irqfd with resampling"},
    {KVM_CAP_IOEVENTFD, "ioeventfd"},
    {KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd of any length"},
    {KVM_CAP_SIGNAL_MSI, "MSI"},
    {KVM_CAP_READONLY_MEM, "read-only memory"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
    {KVM_CAP_MP_STATE, "processor run state"},
    {KVM_CAP_XSAVE, "XSAVE"},
    {KVM_CAP_XCRS, "XCR0"},
    {KVM_CAP_VCPU_EVENTS, "pending events"},
    {KVM_CAP_DEBUGREGS, "debug registers"},
    {KVM_CAP_SREGS2, "system registers"},
    {KVM_CAP_EXCEPTION_PAYLOAD, "exception payloads"},
    {KVM_CAP_X2APIC_API, "32-bit APIC ids"},
    {KVM_CAP_ADJUST_CLOCK, "guest clock"},
    {KVM_CAP_GET_TSC_KHZ, "TSC rate"},
    {KVM_CAP_MCE, "machine checks"},
    {KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, "dirty log with manual protection"},
};

int kvm_open(struct err *err)
{
    cleanup_fd int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int version;

    if (fd < 0)
        return err_sys(err, -errno, "cannot open /dev/kvm");
    version = ioctl(fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION)
        return err_set(err, -ENOTSUP, "/dev/kvm has API version %d, not %d", version,
                       KVM_API_VERSION);
    return TAKE_FD(fd);
}

static unsigned extension(int fd, int cap)
{
    int value = ioctl(fd, KVM_CHECK_EXTENSION, cap);

    return value < 0 ? 0 : (unsigned)value;
}

int kvm_caps_read(int kvm_fd, struct kvm_caps *ret_caps, struct err *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(required); i++)
        if (!extension(kvm_fd, required[i].cap))
            return err_set(err, -ENOTSUP, "this host's KVM lacks %s", required[i].name);
    *ret_caps = (struct kvm_caps){
        .smm = extension(kvm_fd, KVM_CAP_X86_SMM) &&
               extension(kvm_fd, KVM_CAP_MULTI_ADDRESS_SPACE) >= KVM_SPACES,
        .user_msr = extension(kvm_fd, KVM_CAP_X86_USER_SPACE_MSR),
        .vcpu_id_max = extension(kvm_fd, KVM_CAP_MAX_VCPU_ID),
        .tsc_control = extension(kvm_fd, KVM_CAP_TSC_CONTROL),
        .triple_fault = extension(kvm_fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT),
        .vcpus = extension(kvm_fd, KVM_CAP_MAX_VCPUS),
        .slots = extension(kvm_fd, KVM_CAP_NR_MEMSLOTS),
        .routes = extension(kvm_fd, KVM_CAP_IRQ_ROUTING),
    };
    return 0;
}

/* What KVM leaves to us, since it depends on what we do: the deadline timer on its own local APIC,
 * extended message destinations on our translating them (kvm_irqchip.c), the brand string (it says
 * nothing there) on whose it is to be. */
static void add_ours(int kvm_fd, struct cpuid_entry *e)
{
    if (e->leaf == 1 && extension(kvm_fd, KVM_CAP_TSC_DEADLINE_TIMER))
        e->reg[CPUID_ECX] |= BIT(24);
    if (e->leaf == 0x40000001)
        e->reg[CPUID_EAX] |= BIT(KVM_FEATURE_MSI_EXT_DEST_ID);
    if (e->leaf >= 0x80000002 && e->leaf <= 0x80000004)
        (void)__get_cpuid(e->leaf, &e->reg[CPUID_EAX], &e->reg[CPUID_EBX], &e->reg[CPUID_ECX],
                          &e->reg[CPUID_EDX]);
}

int kvm_supported_cpuid(int kvm_fd, struct cpuid_table *ret_table, struct err *err)
{
    enum { MAX_ENTRIES = 256 };
    cleanup_free struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof *cpuid + MAX_ENTRIES * sizeof cpuid->entries[0]);

    if (!cpuid)
        return err_sys(err, -ENOMEM, "CPUID");
    cpuid->nent = MAX_ENTRIES;
    if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
        return err_sys(err, -errno, "KVM does not say which CPUID it supports");
    if (cpuid->nent > CPUID_ENTRIES_MAX)
        return err_set(err, -ENOSPC, "KVM supports %u CPUID leaves, more than %d", cpuid->nent,
                       CPUID_ENTRIES_MAX);
    ret_table->count = cpuid->nent;
    for (unsigned i = 0; i < cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *from = &cpuid->entries[i];
        ret_table->entry[i] = (struct cpuid_entry){
            .leaf = from->function,
            .subleaf = from->index,
            .indexed = from->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .reg = {from->eax, from->ebx, from->ecx, from->edx},
        };
        add_ours(kvm_fd, &ret_table->entry[i]);
    }
    return 0;
}

int kvm_set_cpuid(int vcpu_fd, const struct cpuid_table *table)
{
    cleanup_free struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof *cpuid + table->count * sizeof cpuid->entries[0]);

    if (!cpuid)
        return -ENOMEM;
    cpuid->nent = table->count;
    for (unsigned i = 0; i < table->count; i++) {
        const struct cpuid_entry *from = &table->entry[i];
        cpuid->entries[i] = (struct kvm_cpuid_entry2){
            .function = from->leaf,
            .index = from->subleaf,
            .flags = from->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = from->reg[CPUID_EAX],
            .ebx = from->reg[CPUID_EBX],
            .ecx = from->reg[CPUID_ECX],
            .edx = from->reg[CPUID_EDX],
        };
    }
    return ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0 ? -errno : 0;
}

int kvm_supported_msrs(int kvm_fd, uint8_t supported[MSR_SLOT_MAX])
{
    enum { MAX_MSRS = 1024 };
    cleanup_free struct kvm_msr_list *list =
        calloc(1, sizeof *list + MAX_MSRS * sizeof list->indices[0]);

    if (!list)
        return -ENOMEM;
    list->nmsrs = MAX_MSRS;
    if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
        return -errno;
    for (unsigned slot = 0; slot < MSR_SLOT_MAX; slot++) {
        supported[slot] = msr_info[slot].presence == MSR_ALWAYS;
        for (unsigned i = 0; i < list->nmsrs && !supported[slot]; i++)
            supported[slot] = list->indices[i] == msr_info[slot].index;
    }
    return 0;
}
