/* SPDX-License-Identifier: Apache-2.0 */
/* Drives forbidden system calls in a thread of each class and sees the process die of each. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/range.h"
#include "tests/tap.h"
#include "vm/process/sandbox.h"

struct probe {
    const char *name;
    long nr, arg[6];
};

static char path[] = "/etc/passwd";

static const struct probe forbidden[] = {
    {"openat", SYS_openat, {AT_FDCWD, (long)path, O_RDONLY}},
#if defined(__x86_64__) /* elsewhere there are only their newer forms */
    {"open", SYS_open, {(long)path, O_RDONLY}},
    {"creat", SYS_creat, {(long)path, 0}},
    {"fork", SYS_fork, {0}},
    {"unlink", SYS_unlink, {(long)path}},
    {"rename", SYS_rename, {(long)path, (long)path}},
#endif
    {"execve", SYS_execve, {(long)path, 0, 0}},
    {"execveat", SYS_execveat, {AT_FDCWD, (long)path}},
    {"socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
    {"connect", SYS_connect, {0, 0, 0}},
    {"ptrace", SYS_ptrace, {PTRACE_TRACEME}},
    {"process_vm_readv", SYS_process_vm_readv, {1}},
    {"clone", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
    {"setuid", SYS_setuid, {0}},
    {"kill", SYS_kill, {1, 0}},
    {"mount", SYS_mount, {(long)path, (long)path, (long)path, 0, 0}},
    {"memfd_create", SYS_memfd_create, {(long)path, 0}},
    {"mmap executable",
     SYS_mmap,
     {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
    {"mprotect executable", SYS_mprotect, {0, 4096, PROT_EXEC}},
    {"ioctl TIOCSTI", SYS_ioctl, {0, 0x5412, (long)path}},
    {"prctl", SYS_prctl, {1, 0, 0, 0, 0}},
    {"seccomp", SYS_seccomp, {0, 0, 0}},
    {"bpf", SYS_bpf, {0, 0, 0}},
    {"keyctl", SYS_keyctl, {0}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"io_uring_setup", SYS_io_uring_setup, {1, 0}},
    {"real-time priority", SYS_sched_setscheduler, {0, SCHED_FIFO, (long)path}},
};

struct thread_arg {
    enum sandbox_class class;
    const struct probe *probe;
};

static void *confined(void *arg)
{
    const struct thread_arg *a = arg;
    const struct probe *p = a->probe;

    sandbox_enter(a->class);
    if (p)
        (void)syscall(p->nr, p->arg[0], p->arg[1], p->arg[2], p->arg[3], p->arg[4], p->arg[5]);
    else
        free(malloc(1 << 20)); /* what is allowed goes on working */
    return NULL;
}

/* The status of a process one of whose threads is confined and makes the call. */
static int try(enum sandbox_class class, const struct probe *probe)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        struct thread_arg arg = {class, probe};
        pthread_t thread;
        if (pthread_create(&thread, NULL, confined, &arg) != 0 || pthread_join(thread, NULL) != 0)
            _exit(99);
        _exit(0);
    }
    (void)waitpid(pid, &status, 0);
    return status;
}

__attribute__((unused)) static void forbidden_calls_kill(void)
{
    for (unsigned c = 0; c < SANDBOX_CLASSES; c++)
        for (unsigned i = 0; i < ARRAY_SIZE(forbidden); i++) {
            int status = try((enum sandbox_class)c, &forbidden[i]);
            if (!CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS))
                (void)printf("# class %u, %s: status 0x%x\n", c, forbidden[i].name, status);
        }
}

__attribute__((unused)) static void confined_threads_still_work(void)
{
    for (unsigned c = 0; c < SANDBOX_CLASSES; c++) {
        int status = try((enum sandbox_class)c, NULL);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

__attribute__((unused)) static void no_files_by_name(void)
{
    int status, have = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1); /* its version */

    pid_t pid = fork();
    if (pid == 0) {
        sandbox_no_files();
        _exit(open("/dev/null", O_RDONLY) < 0 && open("/", O_RDONLY | O_DIRECTORY) < 0 &&
                      memfd_create("x", 0) >= 0
                  ? 0
                  : 1);
    }
    (void)waitpid(pid, &status, 0);
    if (have < 1)
        (void)puts("# this kernel has no Landlock");
    CHECK_EQ(WEXITSTATUS(status), have < 1);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
int main(void)
{
    (void)puts("1..0 # SKIP builds with sanitizers are not confined");
    return 0;
}
#else
TAP_MAIN(TAP_CASE(forbidden_calls_kill), TAP_CASE(confined_threads_still_work),
         TAP_CASE(no_files_by_name))
#endif
