/* SPDX-License-Identifier: Apache-2.0 */
/* Is this KVM usable? A /dev/kvm that opens is no proof: there are back ends that emulate the
 * guest's kernel code, slowly and incompletely. So a tiny guest runs what every kernel uses
 * (kvm_probe_guest.S), in long mode at CPL 0, under a time limit. A vCPU that emulates shows as an
 * instruction that fails, or as processor time beside the same work done here. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/loop.h"
#include "base/range.h"
#include "vm/engine/kvm/kvm_internal.h"
#include "vm/engine/kvm/kvm_probe_guest.h"

/* A processor needs less than a millisecond; KVM within an emulated machine some tens. The limit is
 * for what hangs. Slow is what takes SLOW times as long as our own loop, and SLACK_NS. */
enum { LIMIT_NS = 1000 * 1000 * 1000, TICK_NS = 5 * 1000 * 1000 };
enum { SLOW = 50, SLACK_NS = 10 * 1000 * 1000 };

extern const uint8_t kvm_probe_guest[], kvm_probe_guest_end[];

static const char *const steps[] = {
    [0] = "to start",
    [PROBE_STARTED] = "cmpxchg16b",
    [PROBE_CMPXCHG16B] = "xsave and xrstor",
    [PROBE_XSAVE_XRSTOR] = "exceptions through an IDT",
    [PROBE_EXCEPTIONS] = "page-table switches",
    [PROBE_PAGE_TABLES] = "a page fault",
    [PROBE_PAGE_FAULT] = "model-specific registers",
    [PROBE_MSRS] = "kernel code at speed",
    [PROBE_SPEED] = "its end",
};

struct probe {
    int kvm_fd, vm_fd, vcpu_fd;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
    timer_t timer;
    bool timer_made;
    unsigned step;     /* the last one done */
    uint64_t loop_ns;  /* processor time of our own loop */
    uint64_t start_ns; /* of the guest's */
};

static void probe_close(struct probe *p)
{
    if (p->timer_made)
        (void)timer_delete(p->timer);
    if (p->run != MAP_FAILED)
        (void)munmap(p->run, p->run_size);
    (void)close_fd(p->vcpu_fd);
    (void)close_fd(p->vm_fd);
    (void)close_fd(p->kvm_fd);
    if (p->memory != MAP_FAILED)
        (void)munmap(p->memory, PROBE_MEMORY);
}

static void put(struct probe *p, unsigned address, uint64_t value)
{
    le64_store(p->memory + address, value);
}

/* One 2-MiB page one to one, the second 2 MiB by a page table; twice, with different tables. */
static void write_memory(struct probe *p)
{
    enum { TABLE = 3, LARGE = 0x83 };

    put(p, PROBE_PML4, PROBE_PDPT | TABLE);
    put(p, PROBE_PDPT, PROBE_PD | TABLE);
    put(p, PROBE_PD, LARGE);
    put(p, PROBE_PD + 8, PROBE_PT | TABLE);
    put(p, PROBE_PML4_B, PROBE_PDPT_B | TABLE);
    put(p, PROBE_PDPT_B, PROBE_PD_B | TABLE);
    put(p, PROBE_PD_B, LARGE);
    put(p, PROBE_PD_B + 8, PROBE_PT_B | TABLE);
    put(p, PROBE_PT_B, PROBE_PAGE_B | TABLE);
    put(p, PROBE_GDT + 8, UINT64_C(0x00af9b000000ffff));
    put(p, PROBE_GDT + 16, UINT64_C(0x00cf93000000ffff));
    memcpy(p->memory + PROBE_CODE, kvm_probe_guest,
           (size_t)(kvm_probe_guest_end - kvm_probe_guest));
}

static int set_cpuid(struct probe *p, struct err *err)
{
    struct cpuid_table table;
    int rc = kvm_supported_cpuid(p->kvm_fd, &table, err);

    if (rc)
        return rc;
    rc = kvm_set_cpuid(p->vcpu_fd, &table);
    return rc ? err_sys(err, rc, "cannot set CPUID") : 0;
}

static int set_registers(struct probe *p, struct err *err)
{
    const struct kvm_segment code = {
        .limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    const struct kvm_segment data = {
        .limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_regs regs = {.rip = PROBE_CODE, .rsp = PROBE_STACK, .rflags = 2};
    struct kvm_sregs sregs;

    if (ioctl(p->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
        return err_sys(err, -errno, "cannot read registers");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.gdt.base = PROBE_GDT;
    sregs.gdt.limit = 23;
    sregs.cr3 = PROBE_PML4;
    sregs.cr4 = 0x620;      /* PAE, OSFXSR, OSXMMEXCPT */
    sregs.cr0 = 0x80000033; /* PG, NE, ET, MP, PE */
    sregs.efer = 0x500;     /* LMA, LME */
    if (ioctl(p->vcpu_fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(p->vcpu_fd, KVM_SET_REGS, &regs) < 0)
        return err_sys(err, -errno, "cannot set registers");
    return 0;
}

static int build(struct probe *p, struct err *err)
{
    struct kvm_userspace_memory_region region = {.memory_size = PROBE_MEMORY};
    struct kvm_caps caps;
    int rc = kvm_caps_read(p->kvm_fd, &caps, err);

    if (rc)
        return rc;
    p->memory =
        mmap(NULL, PROBE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->memory == MAP_FAILED)
        return err_sys(err, -errno, "guest memory");
    write_memory(p);
    region.userspace_addr = (uintptr_t)p->memory;
    p->vm_fd = ioctl(p->kvm_fd, KVM_CREATE_VM, 0);
    if (p->vm_fd < 0)
        return err_sys(err, -errno, "cannot create a VM");
    if (ioctl(p->vm_fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS_ADDRESS) < 0 ||
        ioctl(p->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return err_sys(err, -errno, "cannot give memory to a VM");
    p->vcpu_fd = ioctl(p->vm_fd, KVM_CREATE_VCPU, 0);
    if (p->vcpu_fd < 0)
        return err_sys(err, -errno, "cannot create a processor");
    int size = ioctl(p->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    p->run_size = size < (int)sizeof *p->run ? sizeof *p->run : (size_t)size;
    p->run = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu_fd, 0);
    if (p->run == MAP_FAILED)
        return err_sys(err, -errno, "cannot share memory with a processor");
    rc = set_cpuid(p, err);
    return rc ? rc : set_registers(p, err);
}

/* Ticks from the limit on, so a signal that comes just before KVM_RUN does no harm. */
static int arm_limit(struct probe *p)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    struct itimerspec spec = {.it_value.tv_sec = LIMIT_NS / 1000000000,
                              .it_interval.tv_nsec = TICK_NS};
    int rc = kvm_kick_init();

    if (rc)
        return rc;
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &p->timer))
        return -errno;
    p->timer_made = true;
    return timer_settime(p->timer, 0, &spec, NULL) ? -errno : 0;
}

static const char *wanted(const struct probe *p)
{
    return p->step < ARRAY_SIZE(steps) ? steps[p->step] : "to go on";
}

static int too_slow(const struct probe *p, struct err *err)
{
    return err_set(err, -ETIME, "KVM needs more than %d ms for %s", LIMIT_NS / 1000000, wanted(p));
}

static uint64_t thread_time(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What the guest's loop does, as far as user code may. */
static uint64_t time_loop(void)
{
    uint64_t start = thread_time(), flags;

    for (volatile unsigned i = PROBE_LOOPS; i; i--)
        __asm__ volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
    return thread_time() - start;
}

/* The step before the guest's loop starts the clock, the step after reads it. */
static int check_speed(struct probe *p, struct err *err)
{
    uint64_t guest_ns = thread_time() - p->start_ns;

    if (p->step == PROBE_MSRS)
        p->start_ns = thread_time();
    if (p->step == PROBE_SPEED && guest_ns > SLOW * p->loop_ns + SLACK_NS)
        return err_set(err, -ETIME, "KVM runs kernel code %llu times slower than the processor",
                       (unsigned long long)(guest_ns / MAX(p->loop_ns, (uint64_t)1)));
    return 1;
}

/* 0: finished; 1: go on; negative: unusable. */
static int handle_exit(struct probe *p, struct err *err)
{
    const struct kvm_run *run = p->run;
    unsigned value;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        value = *((const uint8_t *)run + run->io.data_offset);
        if (run->io.direction != KVM_EXIT_IO_OUT || run->io.port != PROBE_PORT)
            return err_set(err, -EIO, "KVM got %s wrong: an access to port 0x%x", wanted(p),
                           run->io.port);
        if (value == PROBE_DONE && p->step == PROBE_SPEED)
            return 0;
        if (value != p->step + 1)
            return err_set(err, -EIO, "KVM got %s wrong", wanted(p));
        p->step = value;
        return check_speed(p, err);
    case KVM_EXIT_INTR:
        return 1;
    case KVM_EXIT_SHUTDOWN:
        return err_set(err, -EIO, "KVM ends in a triple fault at %s", wanted(p));
    case KVM_EXIT_INTERNAL_ERROR:
        return err_set(err, -EIO, "KVM has an internal error (%u) at %s", run->internal.suberror,
                       wanted(p));
    default:
        return err_set(err, -EIO, "KVM ends with exit %u at %s", run->exit_reason, wanted(p));
    }
}

static int run(struct probe *p, struct err *err)
{
    uint64_t deadline = clock_now() + LIMIT_NS;
    int rc = arm_limit(p);

    if (rc)
        return err_sys(err, rc, "cannot set a timer");
    p->loop_ns = time_loop();
    do {
        if (clock_now() >= deadline)
            return too_slow(p, err);
        if (ioctl(p->vcpu_fd, KVM_RUN, 0) == 0)
            rc = handle_exit(p, err);
        else if (errno == EINTR || errno == EAGAIN)
            rc = 1;
        else
            return err_sys(err, -errno, "KVM does not run a guest, at %s", wanted(p));
    } while (rc > 0);
    return rc;
}

static int try_once(struct err *err)
{
    CLEANUP(probe_close)
    struct probe p = {.vm_fd = -1, .vcpu_fd = -1, .memory = MAP_FAILED, .run = MAP_FAILED};
    int rc;

    p.kvm_fd = kvm_open(err);
    if (p.kvm_fd < 0)
        return p.kvm_fd;
    rc = build(&p, err);
    return rc ? rc : run(&p, err);
}

/* Time that is lost to others on a busy machine is not KVM's fault: what is too slow is tried
 * again. */
int kvm_probe(struct err *err)
{
    enum { TRIES = 3 };
    struct err why = ERR_INIT;
    int rc = -ETIME;

    for (unsigned i = 0; i < TRIES && rc == -ETIME; i++) {
        why = ERR_INIT;
        rc = try_once(&why);
    }
    if (rc < 0 && err)
        *err = why;
    return rc;
}
