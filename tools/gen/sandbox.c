/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the filters of vm/process/sandbox.def: `sandbox header` prints them as arrays of BPF
 * instructions, `sandbox doc` the table of docs/sandbox.md. Runs at build time, so the programs
 * themselves neither need libseccomp nor its work. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <linux/vhost.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/range.h"
#include "vm/engine/kvm/kvm_ioctls.h"
#include "vm/process/sandbox.h"

#define VHOST_IOCTL_TYPE (VHOST_VIRTIO << 8)

enum { MAIN = 1, VCPU = 2, VMX_MAIN = 4, VMX_CALL = 8, VMX_IO = 16, IRQ = 32, RFB = 64 };

static const char *const class_names[SANDBOX_CLASSES] = {
    "vmm-main", "vmm-vcpu", "vmx-main", "vmx-call", "vmx-io", "vmm-irq", "rfb"};

struct rule {
    unsigned classes;
    const char *call;
    int arg; /* -1: any arguments */
    uint64_t mask, value;
    const char *why;
    const char *condition;
    int kvm; /* enum kvm_ioctl_class, or -1 */
};

#define CALL(classes_, call_, why_) \
    {.classes = (classes_), .call = #call_, .arg = -1, .why = (why_), .kvm = -1},
#define CALL_IF(classes_, call_, arg_, mask_, value_, why_)      \
    {.classes = (classes_),                                      \
     .call = #call_,                                             \
     .arg = (arg_),                                              \
     .mask = (mask_),                                            \
     .value = (value_),                                          \
     .why = (why_),                                              \
     .condition = "argument " #arg_ " & " #mask_ " is " #value_, \
     .kvm = -1},
#define KVM_CALLS(classes_, kvm_) \
    {.classes = (classes_), .call = "ioctl", .arg = -1, .kvm = (kvm_)},

static const struct rule rules[] = {
#include "vm/process/sandbox.def"
};
enum { RULES = sizeof rules / sizeof rules[0] };

static void die(const char *what, const char *name, int rc)
{
    (void)fprintf(stderr, "sandbox: %s %s: %s\n", what, name, strerror(-rc));
    exit(EXIT_FAILURE);
}

static void allow(scmp_filter_ctx ctx, const char *call, const struct scmp_arg_cmp *cmp)
{
    int nr = seccomp_syscall_resolve_name(call);

    if (nr == __NR_SCMP_ERROR)
        die("no system call", call, -ENOSYS);
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, cmp ? 1 : 0, cmp);
    if (rc < 0 && rc != -EEXIST && rc != -EDOM) /* EDOM: not on this architecture */
        die("cannot allow", call, rc);
}

static void add_rule(scmp_filter_ctx ctx, const struct rule *r)
{
    if (r->kvm >= 0) {
        for (int i = 0; i < KVM_IOCTL_COUNT; i++) {
            struct scmp_arg_cmp cmp =
                SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, kvm_ioctls[i].request);
            if ((int)kvm_ioctls[i].class == r->kvm)
                allow(ctx, r->call, &cmp);
        }
        return;
    }
    struct scmp_arg_cmp cmp =
        SCMP_CMP((unsigned)MAX(r->arg, 0), SCMP_CMP_MASKED_EQ, r->mask, r->value);
    allow(ctx, r->call, r->arg < 0 ? NULL : &cmp);
}

/* The filter of one class as C source. */
static void print_filter(unsigned class)
{
    (void)seccomp_api_set(3); /* KILL_PROCESS, whatever the kernel (or emulator) that builds can */
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    struct sock_filter insn;
    FILE *bpf = tmpfile();

    if (!ctx || !bpf)
        die("out of", "memory", -ENOMEM);
    for (unsigned i = 0; i < RULES; i++)
        if (rules[i].classes & 1u << class)
            add_rule(ctx, &rules[i]);
    /* A binary tree over the call numbers: a call costs few instructions whichever it is. */
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int rc = seccomp_export_bpf(ctx, fileno(bpf));
    if (rc < 0)
        die("cannot make the filter of", class_names[class], rc);
    seccomp_release(ctx);
    rewind(bpf);
    (void)lseek(fileno(bpf), 0, SEEK_SET);
    (void)printf("static const struct sock_filter filter_%u[] = { /* %s */\n", class,
                 class_names[class]);
    while (fread(&insn, sizeof insn, 1, bpf) == 1)
        (void)printf("    {0x%04x, %u, %u, 0x%08x},\n", insn.code, insn.jt, insn.jf, insn.k);
    (void)printf("};\n");
    (void)fclose(bpf);
}

static void print_header(void)
{
    (void)printf("/* Made by tools/gen/sandbox.c from vm/process/sandbox.def. */\n");
    for (unsigned c = 0; c < SANDBOX_CLASSES; c++)
        print_filter(c);
    (void)printf("static const struct sock_fprog filters[] = {\n");
    for (unsigned c = 0; c < SANDBOX_CLASSES; c++)
        (void)printf(
            "    {sizeof filter_%u / sizeof filter_%u[0], (struct sock_filter *)filter_%u},\n", c,
            c, c);
    (void)printf("};\n");
}

static void print_doc(void)
{
    (void)printf("| system call | only when | vmm main | vmm vCPU | vmx main | vmx call | vmx I/O "
                 "| vmm irq | rfb | "
                 "why |\n"
                 "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (unsigned i = 0; i < RULES; i++) {
        const struct rule *r = &rules[i];
        (void)printf("| %s | %s |", r->call,
                     r->kvm >= 0    ? (r->kvm == KVM_IOCTL_VM ? "a KVM request of the VM"
                                                              : "a KVM request of the vCPU")
                     : r->condition ? r->condition
                                    : "");
        for (unsigned c = 0; c < SANDBOX_CLASSES; c++)
            (void)printf(" %s |", r->classes & 1u << c ? "x" : "");
        (void)printf(" %s |\n", r->why ? r->why : "running the guest: vm/engine/kvm/kvm_ioctls.h");
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "header"))
        print_header();
    else if (argc == 2 && !strcmp(argv[1], "doc"))
        print_doc();
    else
        return (void)fprintf(stderr, "usage: sandbox header|doc\n"), EXIT_FAILURE;
    return EXIT_SUCCESS;
}
