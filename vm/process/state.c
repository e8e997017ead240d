/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/state.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/range.h"

/* --- records: u16 length of the name, name, u32 length, bytes --- */

static size_t open_record(struct buf *out, const char *name, const char *what)
{
    size_t len = strlen(name) + strlen(what);

    buf_put_le16(out, (uint16_t)len);
    buf_put_str(out, name);
    buf_put_str(out, what);
    buf_put_le32(out, 0);
    return out->len;
}

static void close_record(struct buf *out, size_t start)
{
    if (!out->failed)
        le32_store(out->data + start - 4, (uint32_t)(out->len - start));
}

/* The next record, which must have this name. */
static int next_record(struct state_records *r, const char *name, const char *what,
                       const uint8_t **ret, size_t *ret_len, struct err *err)
{
    size_t name_len = r->len >= 2 ? le16_load(r->data) : 0, own = strlen(name);

    if (r->len < 6 + name_len)
        return err_set(err, -EBADMSG, "it ends before \"%s%s\"", name, what);
    const char *have = (const char *)r->data + 2;
    uint32_t len = le32_load(r->data + 2 + name_len);
    if (name_len != own + strlen(what) || memcmp(have, name, own) != 0 ||
        memcmp(have + own, what, strlen(what)) != 0)
        return err_set(err, -EBADMSG, "it has \"%.*s\" where this VM has \"%s%s\"",
                       (int)MIN(name_len, (size_t)40), have, name, what);
    if (len > r->len - 6 - name_len)
        return err_set(err, -EBADMSG, "\"%s%s\" is cut off", name, what);
    *ret = r->data + 6 + name_len;
    *ret_len = len;
    r->data = *ret + len;
    r->len -= 6 + name_len + len;
    return 0;
}

/* A record that is one section of a table. */
void state_put_section(struct buf *out, const char *name, const struct state_table *table,
                       const void *object)
{
    size_t start = open_record(out, name, "");

    state_save(table, object, out);
    close_record(out, start);
}

int state_take_section(struct state_records *r, const char *name, const struct state_table *table,
                       void *object, struct err *err)
{
    const uint8_t *data;
    size_t len, used;
    int rc = next_record(r, name, "", &data, &len, err);

    if (rc == 0)
        rc = state_load(table, object, data, len, &used, err);
    if (rc == 0 && used != len)
        rc = err_set(err, -EBADMSG, "bytes are left over");
    return rc < 0 ? err_prefix(err, rc, "%s", name) : 0;
}

/* --- interrupts on their way: vectors whose eventfd still holds a message, because the guest has
 * --- masked it; one bit each. A message that is delivered meanwhile comes twice, which is allowed.
 */

enum { PENDING_BYTES = (PCI_MSIX_VECTORS_MAX + PCI_MSI_VECTORS_MAX) / 8 };

static const int *vector_fds(const struct board_device *d, unsigned vector)
{
    return vector < PCI_MSIX_VECTORS_MAX ? &d->msix_fd[vector]
                                         : &d->msi_fd[vector - PCI_MSIX_VECTORS_MAX];
}

static void put_pending(struct buf *out, const struct board_device *d)
{
    uint8_t bits[PENDING_BYTES] = {0};

    for (unsigned i = 0; i < PENDING_BYTES * 8; i++) {
        struct pollfd p = {.fd = *vector_fds(d, i), .events = POLLIN};
        if (p.fd >= 0 && poll(&p, 1, 0) == 1)
            bits[i / 8] |= (uint8_t)(1u << i % 8);
    }
    size_t start = open_record(out, d->name, "/pending");
    buf_put(out, bits, sizeof bits);
    close_record(out, start);
}

static int take_pending(struct state_records *r, const struct board_device *d, struct err *err)
{
    const uint64_t one = 1;
    const uint8_t *bits;
    size_t len;
    int rc = next_record(r, d->name, "/pending", &bits, &len, err);

    if (rc < 0)
        return rc;
    if (len != PENDING_BYTES)
        return err_set(err, -EBADMSG, "%s: %zu bytes of pending interrupts", d->name, len);
    for (unsigned i = 0; i < PENDING_BYTES * 8; i++)
        if (bits[i / 8] & 1u << i % 8 && *vector_fds(d, i) >= 0)
            (void)!write(*vector_fds(d, i), &one, sizeof one);
    return 0;
}

/* --- configuration spaces, with vmm --- */

static void put_shell(struct buf *out, const struct board_device *d)
{
    size_t start = open_record(out, d->name, "/pci");

    pci_shell_save(d->shell, out);
    close_record(out, start);
    put_pending(out, d);
}

static int take_shell(struct state_records *r, const struct board_device *d, struct err *err)
{
    const uint8_t *data;
    size_t len, used;
    int rc = next_record(r, d->name, "/pci", &data, &len, err);

    if (rc == 0)
        rc = pci_shell_load(d->shell, data, len, &used, err);
    if (rc == 0 && used != len)
        rc = err_set(err, -EBADMSG, "bytes are left over");
    return rc < 0 ? err_prefix(err, rc, "%s", d->name) : take_pending(r, d, err);
}

/* --- memory of a device's own: up to its last byte that is not zero --- */

static uint8_t *map_ram(const struct board_device *d, uint64_t *ret_size)
{
    for (unsigned i = 0; i < d->layout.region_count && d->ram_fd >= 0; i++) {
        if (!d->layout.region[i].ram)
            continue;
        *ret_size = d->layout.region[i].size;
        void *at = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, d->ram_fd, 0);
        return at == MAP_FAILED ? NULL : at;
    }
    *ret_size = 0;
    return NULL;
}

static int put_ram(struct buf *out, const struct board_device *d, struct err *err)
{
    uint64_t size, used;
    uint8_t *ram = map_ram(d, &size);

    if (!size)
        return 0;
    if (!ram)
        return err_sys(err, -errno, "cannot map the memory of %s", d->name);
    for (used = size; used && !ram[used - 1];)
        used--;
    size_t start = open_record(out, d->name, "/memory");
    buf_put(out, ram, used);
    close_record(out, start);
    (void)munmap(ram, size);
    return 0;
}

static int take_ram(struct state_records *r, const struct board_device *d, struct err *err)
{
    const uint8_t *data;
    uint64_t size;
    size_t len;
    uint8_t *ram = map_ram(d, &size);

    if (!size)
        return 0;
    if (!ram)
        return err_sys(err, -errno, "cannot map the memory of %s", d->name);
    int rc = next_record(r, d->name, "/memory", &data, &len, err);
    if (rc == 0 && len > size)
        rc = err_set(err, -EBADMSG, "%s has more memory than this one", d->name);
    if (rc == 0) {
        memcpy(ram, data, len);
        memset(ram + len, 0, size - len);
    }
    (void)munmap(ram, size);
    return rc;
}

/* --- devices --- */

static bool is_here(const struct state_machine *m, const struct board_device *d)
{
    return d->class->place == m->place;
}

static int put_device(const struct state_machine *m, struct buf *out, const struct board_device *d,
                      struct err *err)
{
    int rc = 0;

    if (is_here(m, d) && d->class->state)
        state_put_section(out, d->name, d->class->state, d->dev);
    if (is_here(m, d))
        rc = put_ram(out, d, err);
    if (d->shell)
        put_shell(out, d);
    return rc;
}

/* The device's own registers before its configuration space, which may act on them. */
static int take_device(const struct state_machine *m, struct state_records *r,
                       struct board_device *d, struct err *err)
{
    int rc = 0;

    if (is_here(m, d) && d->class->state)
        rc = state_take_section(r, d->name, d->class->state, d->dev, err);
    if (rc == 0 && is_here(m, d))
        rc = take_ram(r, d, err);
    if (rc == 0 && d->shell)
        rc = take_shell(r, d, err);
    return rc;
}

/* --- what firmware has chosen, and no device keeps --- */

struct choices {
    uint32_t smi_features;
};

static const struct state_field choice_fields[] = {
    STATE_FIELD(struct choices, smi_features, STATE_U32),
};
static const struct state_table choice_table = {.name = "choices",
                                                .version = 1,
                                                .size = sizeof(struct choices),
                                                .fields = choice_fields,
                                                .field_count = ARRAY_SIZE(choice_fields)};

/* --- a part --- */

int state_put(const struct state_machine *m, struct buf *out, struct err *err)
{
    struct choices choices = {atomic_load(&m->shared->smi_features)};
    int rc = 0;

    /* Devices first: an interrupt on its way is then seen there, or in a controller, or both. */
    for (unsigned i = 0; i < m->board->count && rc == 0; i++)
        rc = put_device(m, out, m->board->device[i], err);
    if (rc == 0 && m->engine)
        rc = m->put_engine(m->engine, out, err);
    state_put_section(out, "choices", &choice_table, &choices);
    if (rc == 0 && (out->failed || out->len > STATE_PART_MAX))
        rc = err_sys(err, -ENOMEM, "the VM's state");
    return rc;
}

int state_take(const struct state_machine *m, const uint8_t *data, size_t len, struct err *err)
{
    struct state_records r = {data, len};
    struct choices choices;
    int rc = 0;

    for (unsigned i = 0; i < m->board->count && rc == 0; i++)
        rc = take_device(m, &r, m->board->device[i], err);
    if (rc == 0 && m->engine)
        rc = m->take_engine(m->engine, &r, err);
    if (rc == 0)
        rc = state_take_section(&r, "choices", &choice_table, &choices, err);
    if (rc == 0 && r.len)
        rc = err_set(err, -EBADMSG, "it has more than this VM");
    if (rc == 0)
        atomic_store(&m->shared->smi_features, choices.smi_features);
    return rc;
}

int state_write(const struct state_machine *m, int fd, struct err *err)
{
    cleanup_buf struct buf out = {0};
    int rc = state_put(m, &out, err);

    if (rc < 0)
        return rc;
    rc = file_write_all(fd, out.data, out.len);
    return rc < 0 ? err_sys(err, rc, "the VM's state can not be written") : 0;
}

int state_load_part(int fd, struct buf *ret_bytes, struct err *err)
{
    uint8_t chunk[16384];
    ssize_t n;

    while ((n = read(fd, chunk, sizeof chunk)) > 0 && ret_bytes->len <= STATE_PART_MAX)
        buf_put(ret_bytes, chunk, (size_t)n);
    if (n != 0 || ret_bytes->failed)
        return err_sys(err, n < 0 ? -errno : -ENOMEM, "the saved state");
    return 0;
}

int state_read(const struct state_machine *m, int fd, struct err *err)
{
    cleanup_buf struct buf in = {0};
    int rc = state_load_part(fd, &in, err);

    if (rc == 0)
        rc = state_take(m, in.data, in.len, err);
    return rc < 0 ? err_prefix(err, rc, "the saved state does not fit") : 0;
}
