/* SPDX-License-Identifier: Apache-2.0 */
/* A 32-bit guest's only program: says that it runs, lets a child work for it through a pipe, and
 * switches off. Freestanding: there is no 32-bit C library on a 64-bit Debian. */
enum {
    SYS_EXIT = 1,
    SYS_FORK = 2,
    SYS_READ = 3,
    SYS_WRITE = 4,
    SYS_WAITPID = 7,
    SYS_PIPE = 42,
    SYS_REBOOT = 88
};

static int call(int nr, long a, long b, long c)
{
    int rc;

    __asm__ volatile("int $0x80" : "=a"(rc) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
    return rc;
}

static void say(const char *text)
{
    int len = 0;

    while (text[len])
        len++;
    (void)call(SYS_WRITE, 1, (long)text, len);
}

static unsigned long long factorial(unsigned n)
{
    return n ? n * factorial(n - 1) : 1; /* 64-bit products in 32-bit registers */
}

void _start(void)
{
    unsigned long long result = 0;
    int fd[2];

    say("SOCLE-INIT-32\n");
    (void)call(SYS_PIPE, (long)fd, 0, 0);
    int child = call(SYS_FORK, 0, 0, 0);
    if (child == 0) {
        result = factorial(20);
        (void)call(SYS_WRITE, fd[1], (long)&result, sizeof result);
        (void)call(SYS_EXIT, 0, 0, 0);
    }
    (void)call(SYS_READ, fd[0], (long)&result, sizeof result);
    (void)call(SYS_WAITPID, child, 0, 0);
    say(result == 2432902008176640000ull ? "SOCLE-CHILD-RIGHT\n" : "SOCLE-CHILD-WRONG\n");
    __asm__ volatile("int $0x80" ::"a"(SYS_REBOOT), "b"(0xfee1dead), "c"(0x28121969),
                     "d"(0x4321fedc));
    for (;;)
        ;
}
