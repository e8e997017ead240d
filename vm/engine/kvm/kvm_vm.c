/* SPDX-License-Identifier: Apache-2.0 */
/* A VM under KVM: its making and its end, and the engine's table of functions. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "vm/engine/kvm/kvm.h"
#include "vm/engine/kvm/kvm_internal.h"

static int enable(struct engine_vm *vm, uint32_t cap, uint64_t arg)
{
    struct kvm_enable_cap enable = {.cap = cap, .args = {arg}};

    return ioctl(vm->fd, KVM_ENABLE_CAP, &enable) < 0 ? -errno : 0;
}

/* Before the interrupt controllers and the first vCPU exist. */
static int configure(struct engine_vm *vm, struct err *err)
{
    uint64_t identity = KVM_IDENTITY_MAP_ADDRESS;
    int rc = enable(vm, KVM_CAP_X2APIC_API,
                    KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);

    if (!rc)
        rc = enable(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1);
    if (!rc)
        rc = enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
    if (!rc && vm->caps.user_msr)
        rc = enable(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
    if (!rc && vm->caps.triple_fault)
        rc = enable(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
    if (!rc && vm->caps.vcpu_id_max) /* KVM sizes tables by it */
        rc = enable(vm, KVM_CAP_MAX_VCPU_ID, (uint64_t)cpu_model_max_apic_id(&vm->model) + 1);
    if (!rc && ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
        rc = -errno;
    if (!rc && ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS_ADDRESS) < 0)
        rc = -errno;
    return rc ? err_sys(err, rc, "cannot configure the VM") : 0;
}

static int build_cpuid(struct engine_vm *vm, struct err *err)
{
    cleanup_free struct cpuid_table *supported = malloc(sizeof *supported);
    uint32_t tsc_khz = vm->model.tsc_khz;
    int rc;

    if (!supported)
        return err_sys(err, -ENOMEM, "CPUID");
    if (!tsc_khz || !vm->caps.tsc_control) {
        rc = ioctl(vm->fd, KVM_GET_TSC_KHZ, 0);
        if (rc < 0)
            rc = ioctl(vm->kvm_fd, KVM_GET_TSC_KHZ, 0);
        tsc_khz = rc > 0 ? (uint32_t)rc : 0;
    }
    rc = kvm_supported_cpuid(vm->kvm_fd, supported, err);
    return rc ? rc : cpuid_build(&vm->model, supported, tsc_khz, &vm->cpuid, err);
}

static int prepare(struct engine_vm *vm, struct err *err)
{
    int size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), rc;

    if (size < (int)sizeof(struct kvm_run))
        return err_set(err, -ENOTSUP, "KVM shares %d bytes of a vCPU", size);
    vm->vcpu_mmap_size = (unsigned)size;
    rc = kvm_supported_msrs(vm->kvm_fd, vm->msr_supported);
    if (rc)
        return err_sys(err, rc, "KVM does not say which MSRs it has");
    rc = kvm_kick_init();
    return rc ? err_sys(err, rc, "cannot install a signal handler") : 0;
}

static void kvm_vm_destroy(struct engine_vm *vm)
{
    if (!vm)
        return;
    (void)close_fd(vm->fd);
    (void)close_fd(vm->kvm_fd);
    (void)pthread_mutex_destroy(&vm->lock);
    free(vm->route);
    free(vm->route_bound);
    free(vm);
}

DEFINE_CLEANUP(struct engine_vm *, kvm_vm_destroy)

static int kvm_vm_create(const struct engine_vm_config *config, struct engine_vm **ret_vm,
                         struct err *err)
{
    CLEANUP(kvm_vm_destroy_cleanup_) struct engine_vm *vm = calloc(1, sizeof *vm);
    int rc;

    if (!vm)
        return err_sys(err, -ENOMEM, "VM");
    vm->kvm_fd = vm->fd = -1;
    (void)pthread_mutex_init(&vm->lock, NULL);
    vm->gmem = config->gmem;
    vm->bus = config->bus;
    vm->model = *config->model;
    vm->model.cpus = config->cpus;
    rc = cpu_model_check(&vm->model, err);
    if (rc)
        return rc;
    vm->kvm_fd = kvm_open(err);
    if (vm->kvm_fd < 0)
        return vm->kvm_fd;
    rc = kvm_caps_read(vm->kvm_fd, &vm->caps, err);
    if (rc)
        return rc;
    if (config->cpus > MIN((unsigned)ENGINE_CPUS_MAX, vm->caps.vcpus))
        return err_set(err, -ERANGE, "%u processors, of at most %u", config->cpus,
                       MIN((unsigned)ENGINE_CPUS_MAX, vm->caps.vcpus));
    vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
    if (vm->fd < 0)
        return err_sys(err, -errno, "cannot create a VM");
    rc = prepare(vm, err);
    if (!rc)
        rc = configure(vm, err);
    if (!rc)
        rc = build_cpuid(vm, err);
    if (!rc)
        rc = kvm_irqchip_init(vm, err);
    if (!rc)
        rc = kvm_memory_init(vm, err);
    if (rc)
        return rc;
    *ret_vm = TAKE_PTR(vm);
    return 0;
}

static const struct cpuid_table *shown_cpuid(const struct engine_vm *vm)
{
    return &vm->cpuid;
}

const struct engine engine_kvm = {
    .name = "kvm",
    .probe = kvm_probe,
    .vm_create = kvm_vm_create,
    .vm_destroy = kvm_vm_destroy,
    .cpuid = shown_cpuid,
    .map = kvm_map,
    .unmap = kvm_unmap,
    .dirty_enable = kvm_dirty_enable,
    .dirty_fetch = kvm_dirty_fetch,
    .irq_line = kvm_irq_line,
    .pirq = kvm_pirq,
    .msi_alloc = kvm_msi_alloc,
    .msi_free = kvm_msi_free,
    .msi_set = kvm_msi_set,
    .msi_send = kvm_msi_send,
    .irqfd = kvm_irqfd,
    .doorbell = kvm_doorbell,
    .irqchip_get = kvm_irqchip_get,
    .irqchip_set = kvm_irqchip_set,
    .pit_disable = kvm_pit_disable,
    .vcpu_create = kvm_vcpu_create,
    .vcpu_destroy = kvm_vcpu_destroy,
    .vcpu_run = kvm_vcpu_run,
    .vcpu_kick = kvm_vcpu_kick,
    .vcpu_reset = kvm_vcpu_reset,
    .vcpu_get_state = kvm_vcpu_get_state,
    .vcpu_set_state = kvm_vcpu_set_state,
    .vcpu_nmi = kvm_vcpu_nmi,
    .smi = kvm_smi,
    .vcpu_smi = kvm_vcpu_smi,
    .in_smm = kvm_in_smm,
};
