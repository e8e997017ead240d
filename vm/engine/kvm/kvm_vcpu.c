/* SPDX-License-Identifier: Apache-2.0 */
/* A processor under KVM: the run loop. An exit for a port or a memory access is carried out on the
 * bus and the guest goes on; nothing on that way locks, allocates or logs. Linux
 * Documentation/virt/kvm/api.rst, section 5.
 *
 * Getting a vCPU's attention is free of races: the request is noted, immediate_exit set, then the
 * thread signalled. If it is in KVM_RUN the signal ends that; if it is on its way there,
 * immediate_exit does. KVM_RUN completes a half-done access before it returns, so whoever sees
 * ENGINE_EXIT_KICKED finds the vCPU between two instructions. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "vm/engine/cpu_state.h"
#include "vm/engine/kvm/kvm_internal.h"

static int kick_signal(void)
{
    return SIGRTMIN;
}

static void kick_handler(int signal)
{
    (void)signal; /* its arrival is all */
}

int kvm_kick_init(void)
{
    struct sigaction action = {.sa_handler = kick_handler}; /* no SA_RESTART: KVM_RUN must return */
    sigset_t set;

    (void)sigemptyset(&action.sa_mask);
    if (sigaction(kick_signal(), &action, NULL))
        return -errno;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, kick_signal());
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* inherited by vCPU threads */
}

/* The one register in which a new vCPU is not as after power-on: without fast strings Linux drops
 * rep movsb. */
static int set_misc_enable(struct engine_vcpu *vcpu)
{
    union {
        struct kvm_msrs head;
        uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } msrs = {.head.nmsrs = 1};

    msrs.head.entries[0] = (struct kvm_msr_entry){.index = msr_info[MSR_SLOT_misc_enable].index,
                                                  .data = CPU_MISC_ENABLE_POWER_ON};
    return ioctl(vcpu->fd, KVM_SET_MSRS, &msrs) < 0 ? -errno : 0;
}

static int vcpu_setup(struct engine_vcpu *vcpu)
{
    struct engine_vm *vm = vcpu->vm;
    cleanup_free struct cpuid_table *cpuid = malloc(sizeof *cpuid);
    uint64_t mcg_cap = BIT(8) /* MCG_CTL is there */ | MSR_MC_BANKS;
    int rc;

    if (!cpuid)
        return -ENOMEM;
    *cpuid = vm->cpuid;
    cpuid_set_cpu(&vm->model, cpuid, vcpu->index);
    rc = kvm_set_cpuid(vcpu->fd, cpuid);
    if (!rc && vm->model.tsc_khz && vm->caps.tsc_control &&
        ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)vm->model.tsc_khz) < 0)
        rc = -errno;
    if (!rc && ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &mcg_cap) < 0)
        rc = -errno;
    return rc ? rc : set_misc_enable(vcpu);
}

DEFINE_CLEANUP(struct engine_vcpu *, kvm_vcpu_destroy)

int kvm_vcpu_create(struct engine_vm *vm, unsigned index, struct engine_vcpu **ret_vcpu,
                    struct err *err)
{
    CLEANUP(kvm_vcpu_destroy_cleanup_) struct engine_vcpu *vcpu = NULL;
    int rc;

    if (index >= vm->model.cpus)
        return err_set(err, -EINVAL, "processor %u of %u", index, vm->model.cpus);
    vcpu = calloc(1, sizeof *vcpu);
    if (!vcpu)
        return err_sys(err, -ENOMEM, "processor %u", index);
    *vcpu = (struct engine_vcpu){
        .vm = vm, .bus = vm->bus, .run = MAP_FAILED, .index = index, .fresh = true};
    vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)kvm_vcpu_apic_id(vcpu));
    if (vcpu->fd < 0)
        return err_sys(err, -errno, "cannot create processor %u", index);
    vcpu->run = mmap(NULL, vm->vcpu_mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (vcpu->run == MAP_FAILED)
        return err_sys(err, -errno, "cannot share memory with processor %u", index);
    rc = vcpu_setup(vcpu);
    if (rc)
        return err_sys(err, rc, "cannot set up processor %u", index);
    atomic_store(&vm->vcpu[index], vcpu);
    *ret_vcpu = TAKE_PTR(vcpu);
    return 0;
}

void kvm_vcpu_destroy(struct engine_vcpu *vcpu)
{
    if (!vcpu)
        return;
    if (atomic_load(&vcpu->vm->vcpu[vcpu->index]) == vcpu)
        atomic_store(&vcpu->vm->vcpu[vcpu->index], NULL);
    if (vcpu->run != MAP_FAILED)
        (void)munmap(vcpu->run, vcpu->vm->vcpu_mmap_size);
    (void)close_fd(vcpu->fd);
    free(vcpu);
}

/* Attention */

static void request(struct engine_vcpu *vcpu, unsigned what)
{
    int tid;

    atomic_fetch_or(&vcpu->requests, what);
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    tid = atomic_load(&vcpu->tid);
    if (tid)
        (void)syscall(SYS_tgkill, getpid(), tid, kick_signal());
}

void kvm_vcpu_kick(struct engine_vcpu *vcpu)
{
    request(vcpu, KVM_REQUEST_KICK);
}

int kvm_vcpu_nmi(struct engine_vcpu *vcpu)
{
    request(vcpu, KVM_REQUEST_NMI);
    return 0;
}

int kvm_vcpu_smi(struct engine_vm *vm, unsigned index)
{
    struct engine_vcpu *vcpu = atomic_load(&vm->vcpu[index]);
    int rc = vm->caps.smm ? kvm_memory_use_smm(vm) : -ENOSYS;

    if (!rc && vcpu)
        request(vcpu, KVM_REQUEST_SMI);
    return rc;
}

int kvm_smi(struct engine_vm *vm)
{
    int rc = 0;

    for (unsigned i = 0; i < vm->model.cpus && !rc; i++)
        rc = kvm_vcpu_smi(vm, i);
    return rc;
}

bool kvm_in_smm(struct engine_vm *vm, unsigned index)
{
    return atomic_load(&vm->vcpu[index])->run->flags & KVM_RUN_X86_SMM;
}

/* A processor that waits for INIT or SIPI has nowhere to go for a system management interrupt yet;
 * firmware does not count on it. */
static void deliver_smi(struct engine_vcpu *vcpu)
{
    struct kvm_mp_state state;

    if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) < 0 ||
        state.mp_state == KVM_MP_STATE_UNINITIALIZED ||
        state.mp_state == KVM_MP_STATE_INIT_RECEIVED)
        return;
    (void)ioctl(vcpu->fd, KVM_SMI, 0);
}

/* KVM_RUN was interrupted. True: somebody wants vcpu_run to return. */
static bool take_requests(struct engine_vcpu *vcpu)
{
    unsigned requests;

    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    requests = atomic_exchange(&vcpu->requests, 0);
    if (requests & KVM_REQUEST_NMI)
        (void)ioctl(vcpu->fd, KVM_NMI, 0);
    if (requests & KVM_REQUEST_SMI)
        deliver_smi(vcpu);
    return requests & KVM_REQUEST_KICK;
}

/* Accesses */

static inline uint64_t load(const void *p, unsigned size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        return le16_load(p);
    case 4:
        return le32_load(p);
    default:
        return le64_load(p);
    }
}

static inline void store(void *p, unsigned size, uint64_t v)
{
    switch (size) {
    case 1:
        *(uint8_t *)p = (uint8_t)v;
        break;
    case 2:
        le16_store(p, (uint16_t)v);
        break;
    case 4:
        le32_store(p, (uint32_t)v);
        break;
    default:
        le64_store(p, v);
    }
}

/* String instructions come as one exit with `count` elements. */
static inline void port_access(struct engine_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;
    uint16_t port = run->io.port;
    bool out = run->io.direction == KVM_EXIT_IO_OUT;

    for (uint32_t n = run->io.count; n; n--, data += size)
        if (out)
            bus_write(vcpu->bus, BUS_PIO, port, size, load(data, size));
        else
            store(data, size, bus_read(vcpu->bus, BUS_PIO, port, size));
}

/* A memory access that crosses a page or a region comes in pieces of any length up to 8: they are
 * made of naturally sized ones. */
static __attribute__((noinline)) void memory_access_odd(struct engine_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    uint64_t addr = run->mmio.phys_addr;

    for (unsigned done = 0; done < run->mmio.len && done < sizeof run->mmio.data;) {
        unsigned left = run->mmio.len - done, size = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (run->mmio.is_write)
            bus_write(vcpu->bus, BUS_MMIO, addr + done, size, load(run->mmio.data + done, size));
        else
            store(run->mmio.data + done, size, bus_read(vcpu->bus, BUS_MMIO, addr + done, size));
        done += size;
    }
}

static inline void memory_access(struct engine_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    unsigned size = run->mmio.len;

    if (__builtin_expect(!is_power_of_two(size) || size > 8, 0))
        memory_access_odd(vcpu);
    else if (run->mmio.is_write)
        bus_write(vcpu->bus, BUS_MMIO, run->mmio.phys_addr, size, load(run->mmio.data, size));
    else
        store(run->mmio.data, size, bus_read(vcpu->bus, BUS_MMIO, run->mmio.phys_addr, size));
}

static __attribute__((noinline)) void msr_access(struct engine_vcpu *vcpu, bool write)
{
    struct kvm_run *run = vcpu->run;
    const struct msr_policy *policy = msr_policy_find(run->msr.index);

    run->msr.error = !policy || (write && !policy->write_ignored);
    if (!write && policy)
        run->msr.data = policy->read;
}

/* Failures */

static void describe_registers(struct engine_vcpu *vcpu, char *text, size_t size)
{
    struct kvm_regs regs;
    struct kvm_sregs2 sregs;

    text[0] = 0;
    if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) || ioctl(vcpu->fd, KVM_GET_SREGS2, &sregs))
        return;
    (void)snprintf(text, size,
                   "; rip %04x:%llx rflags %llx rsp %llx rax %llx cr0 %llx cr2 %llx cr3 %llx "
                   "cr4 %llx efer %llx",
                   sregs.cs.selector, regs.rip, regs.rflags, regs.rsp, regs.rax, sregs.cr0,
                   sregs.cr2, sregs.cr3, sregs.cr4, sregs.efer);
}

static void describe_instruction(const struct kvm_run *run, char *text, size_t size)
{
    unsigned length = MIN(run->emulation_failure.insn_size, 15u);

    text[0] = 0;
    if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || run->internal.ndata < 3 ||
        !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
        return;
    size_t used = (size_t)snprintf(text, size, "; instruction");
    for (unsigned i = 0; i < length && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, " %02x",
                                 run->emulation_failure.insn_bytes[i]);
}

static enum engine_exit fail(struct engine_vcpu *vcpu, struct err *err)
{
    const struct kvm_run *run = vcpu->run;
    char registers[256], instruction[80];

    describe_registers(vcpu, registers, sizeof registers);
    switch (run->exit_reason) {
    case KVM_EXIT_FAIL_ENTRY:
        (void)err_set(err, -EIO, "processor %u: the hardware refused entry, reason 0x%llx%s",
                      vcpu->index, run->fail_entry.hardware_entry_failure_reason, registers);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        describe_instruction(run, instruction, sizeof instruction);
        (void)err_set(err, -EIO, "processor %u: KVM cannot go on, internal error %u%s%s",
                      vcpu->index, run->internal.suberror, instruction, registers);
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        (void)err_set(err, -EIO, "processor %u: system event %u%s", vcpu->index,
                      run->system_event.type, registers);
        break;
    default:
        (void)err_set(err, -EIO, "processor %u: KVM exit %u is not one we know%s", vcpu->index,
                      run->exit_reason, registers);
    }
    return ENGINE_EXIT_FAILED;
}

static enum engine_exit run_failed(struct engine_vcpu *vcpu, int code, struct err *err)
{
    char registers[256];

    describe_registers(vcpu, registers, sizeof registers);
    (void)err_sys(err, code, "processor %u: cannot run%s", vcpu->index, registers);
    return ENGINE_EXIT_FAILED;
}

enum engine_exit kvm_vcpu_run(struct engine_vcpu *vcpu, struct err *err)
{
    if (!atomic_load_explicit(&vcpu->tid, memory_order_relaxed))
        atomic_store(&vcpu->tid, (int)syscall(SYS_gettid));
    vcpu->fresh = false;
    for (;;) {
        if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
            /* EAGAIN: a SIPI or INIT arrived at a vCPU that waited for it. */
            if (errno != EINTR && errno != EAGAIN)
                return run_failed(vcpu, -errno, err);
            if (take_requests(vcpu))
                return ENGINE_EXIT_KICKED;
            continue;
        }
        switch (vcpu->run->exit_reason) {
        case KVM_EXIT_IO:
            port_access(vcpu);
            break;
        case KVM_EXIT_MMIO:
            memory_access(vcpu);
            break;
        case KVM_EXIT_X86_RDMSR:
            msr_access(vcpu, false);
            break;
        case KVM_EXIT_X86_WRMSR:
            msr_access(vcpu, true);
            break;
        case KVM_EXIT_INTR:
        case KVM_EXIT_IRQ_WINDOW_OPEN:
            break;
        case KVM_EXIT_SHUTDOWN:
            return ENGINE_EXIT_SHUTDOWN;
        default:
            return fail(vcpu, err);
        }
    }
}
