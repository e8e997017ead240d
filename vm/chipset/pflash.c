/* SPDX-License-Identifier: Apache-2.0 */
/* Intel 28F128J3 data sheet (commands, status register), JEDEC JESD68.01 (CFI query). Missing on
 * purpose: time (an operation is done when its last write returns), suspend, protection registers.
 * On purpose unlike the chip: programming stores the byte instead of only clearing bits, and
 * "clear status" clears the ready bit too, which is how OVMF tells flash from ROM: QEMU does both,
 * and firmware is tested against that. */
#include "vm/chipset/pflash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/lock.h"
#include "base/range.h"

enum {
    CMD_PROGRAM_ALT = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM = 0x40,
    CMD_CLEAR_STATUS = 0x50,
    CMD_LOCK = 0x60,
    CMD_READ_STATUS = 0x70,
    CMD_READ_ID = 0x90,
    CMD_CFI = 0x98,
    CMD_CONFIRM = 0xd0,
    CMD_BUFFERED = 0xe8,
    CMD_READ_ARRAY = 0xff,
    CMD_LOCK_SET = 0x01,

    STATUS_READY = 0x80,
    STATUS_ERASE_ERROR = 0x20,
    STATUS_PROGRAM_ERROR = 0x10,
    STATUS_SEQUENCE_ERROR = STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR,
    STATUS_LOCKED = 0x02,

    MANUFACTURER_INTEL = 0x89,
    DEVICE_28F128J3 = 0x18,

    BUFFER_SIZE = 32,
    QUERY_SIZE = 0x40,
};
#define SIZE_MAX_ MIB(16)
#define QUIET_NS  UINT64_C(200000000) /* on disk that long after the last change */

/* What reads show. */
enum mode { MODE_ARRAY, MODE_STATUS, MODE_ID, MODE_CFI, MODE_MAX };

struct pflash {
    struct dev_env env;
    struct pflash_params params;
    uint8_t *host; /* owned mapping */
    struct loop_source quiet;
    pthread_mutex_t lock; /* all below */
    bool readable;        /* as set_readable was told */
    bool dirty;           /* changed since it was last on disk */
    uint8_t query[QUERY_SIZE];

    uint8_t mode, status;
    uint8_t command; /* whose next write is awaited, or 0 */
    uint8_t expected, filled;
    uint32_t buffer_at; /* offset of buffer[0] */
    uint8_t buffer[BUFFER_SIZE];
};

static void set_mode(struct pflash *f, enum mode mode)
{
    bool want = mode == MODE_ARRAY;

    f->mode = (uint8_t)mode;
    if (want == f->readable || !f->params.set_readable)
        return;
    int rc = f->params.set_readable(f->params.ctx, f->params.base, f->params.size, f->host, want);
    f->readable = want && rc == 0;
}

/* On disk. */

static void sync_now(struct pflash *f)
{
    if (f->dirty)
        (void)msync(f->host, f->params.size, MS_SYNC);
    f->dirty = false;
}

static void on_quiet(void *ctx, uint32_t events)
{
    struct pflash *f = ctx;

    (void)events;
    LOCK_SCOPE(&f->lock);
    sync_now(f);
}

static void changed(struct pflash *f)
{
    if (!f->dirty) /* one timer call a burst, not one a byte */
        (void)loop_timer_arm(&f->quiet, clock_monotonic(dev_clock(&f->env)) + QUIET_NS);
    f->dirty = true;
}

/* Operations. */

static void program(struct pflash *f, uint64_t offset, const uint8_t *bytes, unsigned count)
{
    f->status |= STATUS_READY;
    if (f->params.readonly) {
        f->status |= STATUS_PROGRAM_ERROR | STATUS_LOCKED;
        return;
    }
    memcpy(f->host + offset, bytes, count);
    changed(f);
}

static void erase(struct pflash *f, uint64_t offset)
{
    f->status |= STATUS_READY;
    if (f->params.readonly) {
        f->status |= STATUS_ERASE_ERROR | STATUS_LOCKED;
        return;
    }
    memset(f->host + align_down(offset, PFLASH_BLOCK_SIZE), 0xff, PFLASH_BLOCK_SIZE);
    changed(f);
}

static void sequence_error(struct pflash *f)
{
    f->status |= STATUS_READY | STATUS_SEQUENCE_ERROR;
    f->command = 0;
}

/* The writes of a buffered program: count - 1, count bytes of one buffer, confirm. */
static void buffered(struct pflash *f, uint64_t offset, uint8_t v)
{
    if (!f->expected) {
        f->expected = v < BUFFER_SIZE ? (uint8_t)(v + 1) : 0;
        f->filled = 0;
        f->buffer_at = (uint32_t)align_down(offset, BUFFER_SIZE);
        if (f->expected)
            memcpy(f->buffer, f->host + f->buffer_at, BUFFER_SIZE);
        else
            sequence_error(f);
    } else if (f->filled < f->expected) {
        if (align_down(offset, BUFFER_SIZE) != f->buffer_at) {
            sequence_error(f);
            return;
        }
        f->buffer[offset - f->buffer_at] = v;
        f->filled++;
    } else if (v == CMD_CONFIRM) {
        program(f, f->buffer_at, f->buffer, BUFFER_SIZE);
        f->command = 0;
    } else {
        sequence_error(f);
    }
}

/* A first write: a command. */
static void begin(struct pflash *f, uint8_t command)
{
    switch (command) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT:
    case CMD_ERASE:
    case CMD_LOCK:
        f->command = command;
        set_mode(f, MODE_STATUS);
        break;
    case CMD_BUFFERED:
        f->command = command;
        f->expected = 0;
        f->status |= STATUS_READY; /* a buffer is free */
        set_mode(f, MODE_STATUS);
        break;
    case CMD_CLEAR_STATUS:
        f->status = 0;
        set_mode(f, MODE_ARRAY);
        break;
    case CMD_READ_STATUS:
        set_mode(f, MODE_STATUS);
        break;
    case CMD_READ_ID:
        set_mode(f, MODE_ID);
        break;
    case CMD_CFI:
        set_mode(f, MODE_CFI);
        break;
    default: /* read array, and what is no command */
        set_mode(f, MODE_ARRAY);
        break;
    }
}

/* A second or later write. */
static void go_on(struct pflash *f, uint64_t offset, uint8_t v)
{
    uint8_t command = f->command;

    if (command == CMD_BUFFERED) {
        buffered(f, offset, v);
        return;
    }
    f->command = 0;
    if (command == CMD_PROGRAM || command == CMD_PROGRAM_ALT)
        program(f, offset, &v, 1);
    else if (v == CMD_READ_ARRAY)
        set_mode(f, MODE_ARRAY); /* gives up */
    else if (command == CMD_ERASE && v == CMD_CONFIRM)
        erase(f, offset);
    else if (command == CMD_LOCK && (v == CMD_LOCK_SET || v == CMD_CONFIRM))
        f->status |= STATUS_READY; /* blocks have no locks to keep */
    else
        sequence_error(f);
}

static uint8_t byte_read(const struct pflash *f, uint64_t offset)
{
    switch (f->mode) {
    case MODE_STATUS:
        return f->status;
    case MODE_ID:
        return (offset & 0xff) == 0   ? MANUFACTURER_INTEL
               : (offset & 0xff) == 1 ? DEVICE_28F128J3
                                      : 0;
    case MODE_CFI:
        return (offset & 0xff) < QUERY_SIZE ? f->query[offset & 0xff] : 0;
    default:
        return f->host[offset];
    }
}

static uint64_t pflash_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct pflash *f = dev;

    (void)region, (void)size;
    LOCK_SCOPE(&f->lock);
    return byte_read(f, offset);
}

static void pflash_write(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct pflash *f = dev;

    (void)region, (void)size;
    if (f->params.may_write && !f->params.may_write(f->params.ctx))
        return;
    LOCK_SCOPE(&f->lock);
    if (f->command)
        go_on(f, offset, (uint8_t)value);
    else
        begin(f, (uint8_t)value);
}

/* JESD68.01, 2: the query structure, of one region of equal blocks. */
static void make_query(struct pflash *f)
{
    uint8_t *q = f->query;
    uint32_t blocks = (uint32_t)(f->params.size / PFLASH_BLOCK_SIZE);

    memcpy(q + 0x10, "QRY", 3);
    le16_store(q + 0x13, 0x0001);           /* command set: Intel/Sharp extended */
    le16_store(q + 0x15, 0x0031);           /* its own table */
    q[0x1b] = 0x27, q[0x1c] = 0x36;         /* 2.7 V to 3.6 V */
    q[0x1f] = 7, q[0x20] = 7, q[0x21] = 10; /* typically 128 us, 128 us, 1 s */
    q[0x23] = 4, q[0x24] = 4, q[0x25] = 4;  /* at most 16 times that */
    q[0x27] = (uint8_t)(64 - __builtin_clzll(f->params.size - 1)); /* rounded up */
    q[0x2a] = 5;                                                   /* a buffer of 32 bytes */
    q[0x2c] = 1;
    le16_store(q + 0x2d, (uint16_t)(blocks - 1));
    le16_store(q + 0x2f, PFLASH_BLOCK_SIZE / 256);
    memcpy(q + 0x31, "PRI10", 5);
}

/* Life. */

static void pflash_reset(void *dev)
{
    struct pflash *f = dev;

    LOCK_SCOPE(&f->lock);
    f->status = STATUS_READY;
    f->command = f->expected = f->filled = 0;
    f->buffer_at = 0;
    memset(f->buffer, 0, sizeof f->buffer);
    set_mode(f, MODE_ARRAY);
}

static void pflash_quiesce(void *dev)
{
    struct pflash *f = dev;

    LOCK_SCOPE(&f->lock);
    (void)loop_timer_arm(&f->quiet, 0);
    sync_now(f);
}

static void pflash_resume(void *dev)
{
    struct pflash *f = dev;

    LOCK_SCOPE(&f->lock);
    set_mode(f, f->mode);
}

static int pflash_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    const struct pflash_params *p = params;

    if (!p->size || p->size % PFLASH_BLOCK_SIZE || p->size > SIZE_MAX_ ||
        p->base % PFLASH_BLOCK_SIZE)
        return err_set(err, -EINVAL, "firmware variables: %llu bytes are not 4 KiB to 16 MiB",
                       (unsigned long long)p->size);
    *ret_layout = (struct dev_layout){
        .region = {{.name = "pflash",
                    .space = DEV_MMIO,
                    .base = p->base,
                    .size = p->size,
                    .max_width = 1}},
        .region_count = 1,
    };
    return 0;
}

static void pflash_destroy(void *dev)
{
    struct pflash *f = dev;

    if (!f)
        return;
    loop_del(&f->quiet);
    if (f->host) {
        sync_now(f);
        if (f->readable)
            (void)f->params.set_readable(f->params.ctx, f->params.base, f->params.size, f->host,
                                         false);
        (void)munmap(f->host, f->params.size);
    }
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

static int map_file(struct pflash *f)
{
    int access = f->params.readonly ? PROT_READ : PROT_READ | PROT_WRITE;
    struct stat st;

    if (fstat(f->params.fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size < f->params.size)
        return -ENODATA; /* touching what is missing would kill us */
    void *host = mmap(NULL, f->params.size, access, MAP_SHARED, f->params.fd, 0);

    if (host == MAP_FAILED)
        return -errno;
    f->host = host;
    return 0;
}

static int pflash_create(const struct dev_env *env, const void *params, void **ret_dev,
                         struct err *err)
{
    struct pflash *f = calloc(1, sizeof *f);

    if (!f)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    f->env = *env;
    f->params = *(const struct pflash_params *)params;
    (void)pthread_mutex_init(&f->lock, NULL);
    make_query(f);
    int rc = map_file(f);
    if (rc == 0)
        rc = loop_add_timer(env->loop, &f->quiet, on_quiet, f);
    if (rc < 0) {
        pflash_destroy(f);
        return err_sys(err, rc, "cannot map the firmware variables");
    }
    pflash_reset(f);
    *ret_dev = f;
    return 0;
}

static int pflash_post_load(void *object, struct err *err)
{
    const struct pflash *f = object;

    if (f->mode >= MODE_MAX || f->expected > BUFFER_SIZE || f->filled > f->expected ||
        !range_within(f->buffer_at, BUFFER_SIZE, f->params.size))
        return err_set(err, -EINVAL, "pflash: buffer out of range");
    return 0;
}

static const struct state_field pflash_fields[] = {
    STATE_FIELD(struct pflash, mode, STATE_U8),    STATE_FIELD(struct pflash, status, STATE_U8),
    STATE_FIELD(struct pflash, command, STATE_U8), STATE_FIELD(struct pflash, expected, STATE_U8),
    STATE_FIELD(struct pflash, filled, STATE_U8),  STATE_FIELD(struct pflash, buffer_at, STATE_U32),
    STATE_FIELD(struct pflash, buffer, STATE_U8),
};

static const struct state_table pflash_state = {
    .name = "pflash",
    .version = 1,
    .size = sizeof(struct pflash),
    .fields = pflash_fields,
    .field_count = ARRAY_SIZE(pflash_fields),
    .post_load = pflash_post_load,
};

const struct dev_class pflash_class = {
    .name = "pflash",
    .place = DEV_IN_VMM,
    .layout = pflash_layout,
    .create = pflash_create,
    .destroy = pflash_destroy,
    .reset = pflash_reset,
    .quiesce = pflash_quiesce,
    .resume = pflash_resume,
    .read = pflash_read,
    .write = pflash_write,
    .state = &pflash_state,
};
