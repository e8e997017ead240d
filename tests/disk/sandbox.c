/* SPDX-License-Identifier: Apache-2.0 */
/* An I/O thread behind its system call filter: after aio_adopt a disk is read, written, flushed and
 * discarded with nothing but the calls that aio.h names, and closed with those that free memory and
 * descriptors; any other one kills. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/range.h"
#include "tests/disk/folder.h"

static const int allowed[] = {SYS_io_uring_enter,
                              SYS_ppoll,
                              SYS_preadv,
                              SYS_preadv2,
                              SYS_pwritev,
                              SYS_fdatasync,
                              SYS_fallocate,
                              SYS_read,
                              SYS_write,
                              SYS_exit_group,
                              /* closing: */ SYS_close,
                              SYS_munmap,
                              SYS_brk,
                              SYS_futex};

/* A sanitizer's runtime makes calls of its own. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { CONFINED = 0 };
#elif defined __has_feature
enum { CONFINED = !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) };
#else
enum { CONFINED = 1 };
#endif

static int sandbox(void)
{
    struct sock_filter filter[2 * ARRAY_SIZE(allowed) + 2];
    struct sock_fprog program = {.filter = filter};
    unsigned short n = 0;

    filter[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        filter[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program.len = n;
    if (!CONFINED)
        return 0;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program) ? -errno
                                                                                        : 0;
}

/* Enough places that several tables change and the cache is used. */
static int work(struct disk *disk)
{
    static uint8_t bytes[KIB(200)];
    int rc = 0;

    for (unsigned i = 0; i < 600 && !rc; i++) {
        uint64_t offset = i * KIB(1024) + 3 * DISK_SECTOR;

        memset(bytes, (int)i, sizeof bytes);
        rc = disk_pwrite(disk, bytes, i % 3 ? DISK_SECTOR : sizeof bytes, offset);
        rc = rc ? rc : disk_pread(disk, bytes, sizeof bytes, offset);
        if (!rc && bytes[0] != (uint8_t)i)
            rc = -EILSEQ;
        if (i % 50 == 20)
            rc = rc ? rc : disk_flush(disk);
        if (i % 50 == 30)
            rc = rc ? rc : disk_op_sync(disk, DISK_DISCARD, MIB(2), offset - 3 * DISK_SECTOR);
        if (i % 50 == 40)
            rc = rc ? rc : disk_op_sync(disk, DISK_WRITE_ZEROES, MIB(2), offset);
    }
    return rc ? rc : disk_flush(disk);
}

static void confined(enum disk_format_id format, enum aio_engine engine)
{
    struct disk_spec spec = {.format = format, .size = GIB(1)};
    const char *name = format == DISK_RAW ? "a.img" : "a.vmdk";
    struct folder folder;
    struct disk *disk;
    struct aio *aio;
    int status = 0;
    pid_t pid;

    folder_make(&folder);
    folder_require(!aio_create(engine, &aio, NULL), "aio");
    CHECK_EQ(disk_create(&folder.dir.host, name, &spec, aio, NULL, NULL, NULL), 0);
    pid = fork();
    if (!pid) {
        struct aio *own;

        if (aio_create(engine, &own, NULL) ||
            disk_open(&folder.dir.host, name, &(struct disk_options){0}, own, &disk, NULL) ||
            aio_adopt(own) || sandbox())
            _exit(98);
        if (work(disk))
            _exit(97);
        disk_close(disk);
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    aio_destroy(aio);
    folder_remove(&folder);
}

static void raw_uring(void)
{
    confined(DISK_RAW, AIO_URING);
}
static void flat_plain(void)
{
    confined(DISK_VMDK_FLAT, AIO_PLAIN);
}
static void sparse_uring(void)
{
    confined(DISK_VMDK_SPARSE, AIO_URING);
}
static void sparse_plain(void)
{
    confined(DISK_VMDK_SPARSE, AIO_PLAIN);
}

TAP_MAIN(TAP_CASE(raw_uring), TAP_CASE(flat_plain), TAP_CASE(sparse_uring), TAP_CASE(sparse_plain))
