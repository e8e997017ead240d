/* SPDX-License-Identifier: Apache-2.0 */
/* One thing at a time, n times: micro NAME N. The same static program runs in the guest and
 * natively, and prints a sum that must be the same everywhere. It is also what the compiler's
 * workload compiles. */
#include <fcntl.h>
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, TWO_MIB = 2 << 20 };

static uint64_t seed = UINT64_C(88172645463325252);

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void *allocate(size_t size)
{
    void *p = malloc(size);
    if (!p)
        abort();
    return p;
}

static void nothing(int n) {}

/* floating point and vectors */

enum { ORDER = 500 };

static void swap_rows(double *a, int k, int p)
{
    for (int j = k; j < ORDER; j++) {
        double t = a[j * ORDER + k];
        a[j * ORDER + k] = a[j * ORDER + p];
        a[j * ORDER + p] = t;
    }
}

/* One step of an LU decomposition by columns with partial pivoting. */
static void eliminate(double *a, int k)
{
    int pivot = k;

    for (int i = k + 1; i < ORDER; i++)
        if (fabs(a[k * ORDER + i]) > fabs(a[k * ORDER + pivot]))
            pivot = i;
    swap_rows(a, k, pivot);
    double inverse = 1.0 / a[k * ORDER + k];
    for (int i = k + 1; i < ORDER; i++)
        a[k * ORDER + i] *= inverse;
    for (int j = k + 1; j < ORDER; j++) {
        double factor = a[j * ORDER + k];
        for (int i = k + 1; i < ORDER; i++)
            a[j * ORDER + i] -= factor * a[k * ORDER + i];
    }
}

static void linpack(int n)
{
    double *a = allocate(sizeof *a * ORDER * ORDER), sum = 0;

    for (int round = 0; round < n; round++) {
        for (int i = 0; i < ORDER * ORDER; i++)
            a[i] = (double)(int64_t)(random64() % 2000001) / 1000000.0 - 1;
        for (int k = 0; k < ORDER - 1; k++)
            eliminate(a, k);
        for (int i = 0; i < ORDER; i++)
            sum += log(fabs(a[i * ORDER + i]));
    }
    printf("%.6f\n", sum);
}

struct body {
    double place[3], speed[3], mass;
};

static void attract(struct body *a, struct body *b)
{
    double d[3], m = 0;

    for (int c = 0; c < 3; c++) {
        d[c] = a->place[c] - b->place[c];
        m += d[c] * d[c];
    }
    m = 0.001 / (m * sqrt(m));
    for (int c = 0; c < 3; c++) {
        a->speed[c] -= d[c] * b->mass * m;
        b->speed[c] += d[c] * a->mass * m;
    }
}

static void nbody(int n)
{
    struct body p[5] = {{{0, 0, 0}, {0, 0, 0}, 39.47},
                        {{4.84, -1.16, -.10}, {.60, 2.81, -.02}, .037},
                        {{8.34, 4.12, -.4}, {-1.01, 1.82, .008}, .011},
                        {{12.89, -15.11, -.22}, {1.08, .86, -.01}, .0017},
                        {{15.37, -25.9, .17}, {.97, .59, -.034}, .002}};

    for (int k = 0; k < n / 10; k++) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++)
                attract(&p[i], &p[j]);
        for (int i = 0; i < 5; i++)
            for (int c = 0; c < 3; c++)
                p[i].place[c] += 0.001 * p[i].speed[c];
    }
    printf("%.9f\n", p[0].place[0] + p[1].place[1]);
}

static void x87(int n)
{
    long double sum = 0, x = 1.0L;

    for (int i = 1; i <= n; i++) {
        x = x * 1.0000001L + 0.5L / i;
        sum += x;
    }
    printf("%.9Lf\n", sum / n);
}

__attribute__((target("avx2,fma"), noinline)) static float avx2_round(float *a, float *b, int n)
{
    __m256 sum = _mm256_setzero_ps();
    __m256i hash = _mm256_setzero_si256();
    float t[8];
    int u[8];

    for (int i = 0; i < n; i += 8) {
        __m256 x = _mm256_loadu_ps(a + i), y = _mm256_loadu_ps(b + i);
        sum = _mm256_fmadd_ps(x, y, sum);
        hash = _mm256_add_epi32(
            hash, _mm256_shuffle_epi8(_mm256_castps_si256(x), _mm256_castps_si256(y)));
        _mm256_storeu_ps(a + i, _mm256_add_ps(x, _mm256_set1_ps(.5f)));
    }
    _mm256_storeu_ps(t, sum);
    _mm256_storeu_si256((void *)u, hash);
    return t[0] + t[7] + (float)(u[3] & 1);
}

static void avx2(int n)
{
    enum { SIZE = 65536 };
    float *a = allocate(SIZE * sizeof *a), *b = allocate(SIZE * sizeof *b), sum = 0;

    if (!__builtin_cpu_supports("avx2")) {
        puts("no AVX2");
        return;
    }
    for (int i = 0; i < SIZE; i++) {
        a[i] = (float)(i % 97);
        b[i] = 1.0f / (float)(i % 13 + 1);
    }
    for (int i = 0; i < n; i++)
        sum += avx2_round(a, b, SIZE);
    printf("%.3f\n", sum);
}

/* memory */

/* Triad and copy over three times 16 MiB. */
static void stream(int n)
{
    size_t size = 2 << 20;
    double *a = allocate(size * 8), *b = allocate(size * 8), *c = allocate(size * 8);

    for (size_t i = 0; i < size; i++) {
        a[i] = (double)i;
        b[i] = 2;
        c[i] = 3;
    }
    for (int round = 0; round < n; round++) {
        for (size_t i = 0; i < size; i++)
            a[i] = b[i] + 3.0 * c[i];
        for (size_t i = 0; i < size; i++)
            c[i] = a[i];
        __asm__ volatile("" : : : "memory");
    }
    printf("%.1f\n", a[size / 2] + c[7]);
}

static void copy(int n)
{
    size_t size = 256 << 10;
    char *a = allocate(size), *b = allocate(size);

    memset(a, 1, size);
    for (int i = 0; i < n * 4; i++) {
        memcpy(b, a, size - (i & 63));
        a[i & 4095]++;
        __asm__ volatile("" : : : "memory");
    }
    printf("%d\n", b[5]);
}

/* A chain through 8 MiB in random order: every load waits for the last, most of them miss. */
static void chase(int n)
{
    enum { COUNT = 1 << 17 };
    struct {
        uint32_t next, pad[15];
    } *a = allocate(sizeof *a * COUNT);
    uint32_t *order = allocate(sizeof *order * COUNT), x = 0;

    for (uint32_t i = 0; i < COUNT; i++)
        order[i] = i;
    for (uint32_t i = COUNT - 1; i; i--) {
        uint32_t j = random64() % i, t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        a[order[i]].next = order[(i + 1) % COUNT];
    for (int i = 0; i < n; i++)
        x = a[x].next;
    printf("%u\n", x);
}

/* An interpreter: an indirect jump for each of its operations. */
static void interp(int n)
{
    static unsigned char program[256];
    static void *const label[] = {&&l0, &&l1, &&l2, &&l3, &&l4, &&l5, &&l6, &&l7, &&l8, &&l9};
    uint64_t a = 1, b = 2, c = 3;
    int pc = 0;

    for (int i = 0; i < 255; i++)
        program[i] = random64() % 9;
    program[255] = 9;
#define NEXT                        \
    do {                            \
        if (--n < 0)                \
            goto end;               \
        goto *label[program[pc++]]; \
    } while (0)
    NEXT;
l0:
    a += b;
    NEXT;
l1:
    b ^= a;
    NEXT;
l2:
    c += a >> 3;
    NEXT;
l3:
    a = a * 5 + 1;
    NEXT;
l4:
    b -= c;
    NEXT;
l5:
    if (a & 4)
        c++;
    NEXT;
l6:
    a ^= c << 1;
    NEXT;
l7:
    b += 7;
    NEXT;
l8:
    c ^= b;
    NEXT;
l9:
    pc = 0;
    NEXT;
end:
    printf("%lx\n", a ^ b ^ c);
#undef NEXT
}

/* the kernel */

static void system_call(int n)
{
    long sum = 0;

    for (int i = 0; i < n; i++)
        sum += syscall(SYS_getppid) >= 0;
    printf("%ld\n", sum);
}

/* Two processes, one byte there and back: 2 n switches. */
static void ping_pong(int n)
{
    int there[2], back[2];
    char c = 0;

    if (pipe(there) || pipe(back))
        exit(1);
    if (!fork()) {
        for (int i = 0; i < n; i++) {
            if (read(there[0], &c, 1) != 1)
                _exit(1);
            c++;
            if (write(back[1], &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    for (int i = 0; i < n; i++)
        if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
            exit(1);
    wait(NULL);
    printf("%d\n", c);
}

static void page_fault(int n)
{
    int touched = 0;

    for (int i = 0; i < n; i += TWO_MIB / PAGE) {
        char *p = mmap(NULL, TWO_MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(p, TWO_MIB, MADV_NOHUGEPAGE);
        for (int j = 0; j < TWO_MIB; j += PAGE) {
            p[j]++;
            touched++;
        }
        munmap(p, TWO_MIB);
    }
    printf("%d\n", touched);
}

static void map_file(int n)
{
    int fd = open("/bench/text", O_RDONLY), sum = 0;

    for (int i = 0; i < n; i++) {
        volatile char *p = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE, fd, 0);
        sum += p[0] + p[40000];
        munmap((void *)p, 65536);
    }
    printf("%d\n", sum);
}

static void fork_and_wait(int n)
{
    int sum = 0, status;

    for (int i = 0; i < n; i++) {
        if (!fork())
            _exit(3);
        wait(&status);
        sum += WEXITSTATUS(status);
    }
    printf("%d\n", sum);
}

static void files(int n)
{
    char data[512], name[64];
    struct stat st;
    long sum = 0;

    memset(data, 'x', sizeof data);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "/tmp/f%d", i & 63);
        int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
        sum += write(fd, data, sizeof data);
        sum += pread(fd, data, sizeof data, 0);
        close(fd);
        stat(name, &st);
        sum += st.st_size;
        unlink(name);
    }
    printf("%ld\n", sum);
}

static volatile int signals;

static void on_signal(int number)
{
    signals++;
}

static void send_signals(int n)
{
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < n; i++)
        kill(getpid(), SIGUSR1);
    printf("%d\n", signals);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *count(void *n)
{
    for (long i = 0; i < (long)n; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        if (i % 64 == 0)
            sched_yield();
    }
    return NULL;
}

static void threads(int n)
{
    for (int round = 0; round < 20; round++) {
        pthread_t t[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&t[i], NULL, count, (void *)(long)(n / 4));
        for (int i = 0; i < 4; i++)
            pthread_join(t[i], NULL);
    }
    printf("%ld\n", counter);
}

static const struct {
    const char *name;
    void (*run)(int n);
} PROGRAMS[] = {
    {"true", nothing},   {"linpack", linpack},     {"nbody", nbody},    {"x87", x87},
    {"avx2", avx2},      {"stream", stream},       {"memcpy", copy},    {"chase", chase},
    {"interp", interp},  {"syscall", system_call}, {"pipe", ping_pong}, {"pgfault", page_fault},
    {"mmap", map_file},  {"fork", fork_and_wait},  {"file", files},     {"signal", send_signals},
    {"thread", threads},
};

int main(int argc, char **argv)
{
    int n = argc > 2 ? atoi(argv[2]) : 1;

    setvbuf(stdout, NULL, _IONBF, 0);
    for (size_t i = 0; i < sizeof PROGRAMS / sizeof PROGRAMS[0]; i++)
        if (argc > 1 && strcmp(argv[1], PROGRAMS[i].name) == 0) {
            PROGRAMS[i].run(n);
            return 0;
        }
    return 2;
}
