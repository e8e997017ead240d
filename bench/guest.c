/* SPDX-License-Identifier: Apache-2.0 */
/* Process 1 of the measured Linux guest, and, outside the guest as "bench-guest peer", the TCP peer
 * that it talks to. First of all the guest marks that it is up. Then "bench=" on its command line:
 *
 *   idle    says BENCH-READY and sleeps, so that somebody outside can look at the VMM's memory
 *   io      loads its modules, measures /dev/vda and eth0 as far as they are there
 *
 * Raw system calls where libc has none (libaio's), no shell: what is counted is the VMM. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/figures.h"

enum { BLOCK = 4096, LARGE = 1 << 20, DEPTH = 16, PORT = 7 };
#define GUEST_ADDRESS "10.9.0.2"
#define PEER_ADDRESS  "10.9.0.1"

static void fail(const char *what)
{
    printf("bench: ");
    fflush(stdout);
    perror(what);
    printf("BENCH-DONE\n");
    fflush(stdout);
    for (;;)
        pause();
}

/* A fixed sequence, the same for every VMM. */
static uint64_t random_below(uint64_t limit)
{
    static uint64_t state = 88172645463325252;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

static void load_modules(void)
{
    FILE *list = fopen("/modules", "re");
    char path[256];

    while (list && fgets(path, sizeof path, list)) {
        path[strcspn(path, "\n")] = '\0';
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
            perror(path);
        close(fd);
    }
    if (list)
        fclose(list);
}

struct disk {
    int fd;
    uint64_t blocks;
    char *buffer; /* LARGE */
    aio_context_t aio;
    struct iocb cb[DEPTH];
};

static void read_block(struct disk *d)
{
    if (pread(d->fd, d->buffer, BLOCK, (off_t)(random_below(d->blocks) * BLOCK)) != BLOCK)
        fail("read");
}

static void write_block(struct disk *d)
{
    if (pwrite(d->fd, d->buffer, BLOCK, (off_t)(random_below(d->blocks) * BLOCK)) != BLOCK)
        fail("write");
}

static void write_and_flush(struct disk *d)
{
    write_block(d);
    if (fdatasync(d->fd))
        fail("flush");
}

static void read_large(struct disk *d)
{
    uint64_t pieces = d->blocks * BLOCK / LARGE;

    if (pread(d->fd, d->buffer, LARGE, (off_t)(random_below(pieces) * LARGE)) != LARGE)
        fail("read");
}

static void submit(struct disk *d, unsigned slot)
{
    struct iocb *cb = &d->cb[slot];

    *cb = (struct iocb){.aio_data = slot,
                        .aio_lio_opcode = IOCB_CMD_PREAD,
                        .aio_fildes = (unsigned)d->fd,
                        .aio_buf = (uintptr_t)(d->buffer + slot * BLOCK),
                        .aio_nbytes = BLOCK,
                        .aio_offset = (int64_t)(random_below(d->blocks) * BLOCK)};
    if (syscall(SYS_io_submit, d->aio, 1, &cb) != 1)
        fail("io_submit");
}

/* One completion, and another read in its place. */
static void complete_one(struct disk *d)
{
    struct io_event event;

    if (syscall(SYS_io_getevents, d->aio, 1, 1, &event, NULL) != 1 || event.res != BLOCK)
        fail("io_getevents");
    submit(d, (unsigned)event.data);
}

static void measure_disk(void)
{
    struct disk d = {.fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC)};
    off_t size = d.fd < 0 ? 0 : lseek(d.fd, 0, SEEK_END);

    if (d.fd < 0)
        return;
    d.blocks = (uint64_t)size / BLOCK;
    if (posix_memalign((void **)&d.buffer, LARGE, LARGE) || !d.blocks)
        fail("disk");
    memset(d.buffer, 0x5a, LARGE);
    MEASURE(blk_read_4k, read_block(&d));
    MEASURE(blk_write_4k, write_block(&d));
    MEASURE(blk_read_1m, read_large(&d));
    MEASURE(blk_write_flush, write_and_flush(&d));
    if (syscall(SYS_io_setup, DEPTH, &d.aio))
        fail("io_setup");
    for (unsigned slot = 0; slot < DEPTH; slot++)
        submit(&d, slot);
    MEASURE(blk_read_4k_qd16, complete_one(&d));
    syscall(SYS_io_destroy, d.aio);
    close(d.fd);
}

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

static int interface_up(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = address_of(GUEST_ADDRESS), mask = address_of("255.255.255.0");
    struct ifreq request = {.ifr_name = "eth0"};
    int rc = -1;

    memcpy(&request.ifr_addr, &address, sizeof address);
    if (ioctl(fd, SIOCSIFADDR, &request) == 0) {
        memcpy(&request.ifr_netmask, &mask, sizeof mask);
        rc = ioctl(fd, SIOCSIFNETMASK, &request);
        request.ifr_flags = IFF_UP | IFF_RUNNING;
        rc |= ioctl(fd, SIOCSIFFLAGS, &request);
    }
    close(fd);
    return rc;
}

static void round_trip(int fd)
{
    char byte = 'x';

    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
        fail("round trip");
}

static void measure_net(void)
{
    struct sockaddr_in peer = address_of(PEER_ADDRESS);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (interface_up())
        return;
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer))
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    MEASURE(net_round_trip, round_trip(fd));
    close(fd);
}

/* Sends every byte back, one connection after the other. */
static int serve_peer(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 8)) {
        perror("bench-guest: peer");
        return 1;
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        char byte;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
            ;
        close(fd);
    }
}

static bool mode_is(const char *mode)
{
    char line[4096] = "", wanted[32];
    FILE *file = fopen("/proc/cmdline", "re");

    if (file && !fgets(line, sizeof line, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    (void)snprintf(wanted, sizeof wanted, "bench=%s", mode);
    return strstr(line, wanted);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "peer"))
        return serve_peer();
    LAB_MARK(LAB_READY);
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, "");
    mount("devtmpfs", "/dev", "devtmpfs", 0, "");
    printf("BENCH-READY\n");
    fflush(stdout);
    if (mode_is("io")) {
        load_modules();
        measure_disk();
        measure_net();
        printf("BENCH-DONE\n");
        fflush(stdout);
    }
    for (;;)
        pause();
}
