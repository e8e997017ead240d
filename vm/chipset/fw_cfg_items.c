/* SPDX-License-Identifier: Apache-2.0 */
/* The list of things that fw_cfg offers, and the file directory made from it (QEMU,
 * docs/specs/fw_cfg.rst, "File Directory"). */
#include "vm/chipset/fw_cfg_items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

int fw_cfg_items_create(struct fw_cfg_items **ret_items)
{
    static const uint8_t revision[4] = {3}; /* bit 0: ports, bit 1: DMA */
    struct fw_cfg_items *items = calloc(1, sizeof *items);

    if (!items)
        return -ENOMEM;
    (void)fw_cfg_add_bytes(items, FW_CFG_SIGNATURE, "QEMU", 4);
    (void)fw_cfg_add_bytes(items, FW_CFG_ID, revision, sizeof revision);
    (void)fw_cfg_add_borrowed(items, FW_CFG_FILE_DIR, NULL, 0);
    int rc = items->status;
    if (rc < 0)
        fw_cfg_items_destroy(items);
    else
        *ret_items = items;
    return rc;
}

void fw_cfg_items_destroy(struct fw_cfg_items *items)
{
    if (!items)
        return;
    for (unsigned i = 0; i < items->count; i++) {
        free(items->item[i].owned);
        free(items->item[i].initial);
        buf_free(&items->item[i].made);
    }
    buf_free(&items->directory);
    free(items);
}

int fw_cfg_items_status(const struct fw_cfg_items *items)
{
    return items->status;
}

/* Adding. */

static struct fw_cfg_item *find(struct fw_cfg_items *items, uint16_t key)
{
    for (unsigned i = 0; i < items->count; i++)
        if (items->item[i].key == key)
            return &items->item[i];
    return NULL;
}

int fw_cfg_file_key(const struct fw_cfg_items *items, const char *name)
{
    for (unsigned i = 0; i < items->count; i++)
        if (*name && !strcmp(items->item[i].name, name))
            return items->item[i].key;
    return -ENOENT;
}

static int fail(struct fw_cfg_items *items, int rc)
{
    if (items->status == 0)
        items->status = rc;
    return rc;
}

static int add(struct fw_cfg_items *items, const struct fw_cfg_item *item, bool copy)
{
    struct fw_cfg_item *slot = &items->item[items->count];

    if (items->count == FW_CFG_ITEMS_MAX)
        return fail(items, -ENOSPC);
    if (item->len > UINT32_MAX)
        return fail(items, -EINVAL);
    *slot = *item;
    if (copy) {
        slot->owned = malloc(item->len ? item->len : 1);
        slot->initial = item->writable ? malloc(item->len ? item->len : 1) : NULL;
        if (!slot->owned || (item->writable && !slot->initial)) {
            free(slot->owned);
            free(slot->initial);
            return fail(items, -ENOMEM);
        }
        if (item->len) {
            memcpy(slot->owned, item->data, item->len);
            if (slot->initial)
                memcpy(slot->initial, item->data, item->len);
        }
        slot->data = slot->owned;
    }
    items->count++;
    return 0;
}

static int add_numbered(struct fw_cfg_items *items, uint16_t key, const void *data, size_t len,
                        bool copy)
{
    /* Files have the numbers from 0x20 on; architecture-specific ones begin at 0x8000. */
    if ((key & 0x4000) || (key >= FW_CFG_FILE_FIRST && key < 0x8000))
        return fail(items, -EINVAL);
    if (find(items, key))
        return fail(items, -EEXIST);
    return add(items, &(struct fw_cfg_item){.key = key, .data = data, .len = len}, copy);
}

int fw_cfg_add_bytes(struct fw_cfg_items *items, uint16_t key, const void *data, size_t len)
{
    return add_numbered(items, key, data, len, true);
}

int fw_cfg_add_borrowed(struct fw_cfg_items *items, uint16_t key, const void *data, size_t len)
{
    return add_numbered(items, key, data, len, false);
}

int fw_cfg_add_u16(struct fw_cfg_items *items, uint16_t key, uint16_t v)
{
    uint8_t bytes[2];

    le16_store(bytes, v);
    return fw_cfg_add_bytes(items, key, bytes, sizeof bytes);
}

int fw_cfg_add_u32(struct fw_cfg_items *items, uint16_t key, uint32_t v)
{
    uint8_t bytes[4];

    le32_store(bytes, v);
    return fw_cfg_add_bytes(items, key, bytes, sizeof bytes);
}

int fw_cfg_add_u64(struct fw_cfg_items *items, uint16_t key, uint64_t v)
{
    uint8_t bytes[8];

    le64_store(bytes, v);
    return fw_cfg_add_bytes(items, key, bytes, sizeof bytes);
}

int fw_cfg_add_string(struct fw_cfg_items *items, uint16_t key, const char *s)
{
    return fw_cfg_add_bytes(items, key, s, strlen(s) + 1);
}

static int add_file(struct fw_cfg_items *items, const char *name, struct fw_cfg_item item,
                    bool copy)
{
    size_t len = strlen(name);

    if (!len || len > FW_CFG_NAME_MAX)
        return fail(items, -EINVAL);
    if (fw_cfg_file_key(items, name) >= 0)
        return fail(items, -EEXIST);
    if (items->files == FW_CFG_FILES_MAX)
        return fail(items, -ENOSPC);
    memcpy(item.name, name, len + 1);
    item.key = (uint16_t)(FW_CFG_FILE_FIRST + items->files);
    int rc = add(items, &item, copy);
    items->files += rc == 0;
    return rc;
}

int fw_cfg_add_file(struct fw_cfg_items *items, const char *name, const void *data, size_t len)
{
    return add_file(items, name, (struct fw_cfg_item){.data = data, .len = len}, true);
}

int fw_cfg_add_file_borrowed(struct fw_cfg_items *items, const char *name, const void *data,
                             size_t len)
{
    return add_file(items, name, (struct fw_cfg_item){.data = data, .len = len}, false);
}

int fw_cfg_add_file_generated(struct fw_cfg_items *items, const char *name,
                              fw_cfg_generate_fn *generate, void *ctx)
{
    return add_file(items, name, (struct fw_cfg_item){.generate = generate, .ctx = ctx}, false);
}

int fw_cfg_add_file_writable(struct fw_cfg_items *items, const char *name, const void *data,
                             size_t len, fw_cfg_written_fn *written, void *ctx)
{
    const struct fw_cfg_item item = {
        .data = data, .len = len, .writable = true, .written = written, .ctx = ctx};

    return add_file(items, name, item, true);
}

/* Using. */

static void forget(struct fw_cfg_item *item)
{
    buf_free(&item->made);
    item->generated = item->fetched = false;
    item->data = NULL;
    item->len = 0;
}

static void generate(struct fw_cfg_item *item, struct err *err)
{
    if (!item->generate || item->generated)
        return;
    int rc = item->generate(item->ctx, &item->made, err);
    if (rc == 0 && item->made.failed)
        rc = err_sys(err, -ENOMEM, "out of memory");
    if (rc == 0 && item->made.len > UINT32_MAX)
        rc = err_set(err, -EFBIG, "more than 4 GiB");
    if (rc < 0) {
        (void)err_prefix(err, rc, "cannot make \"%s\" for the firmware", item->name);
        buf_free(&item->made);
    }
    item->generated = true;
    item->data = item->made.data;
    item->len = item->made.len;
}

static void make_directory(struct fw_cfg_items *items, struct fw_cfg_item *directory,
                           struct err *err)
{
    struct buf *out = &items->directory;

    if (out->len)
        return;
    uint8_t *count = buf_grow(out, 4);
    if (count)
        be32_store(count, items->files);
    for (unsigned i = 0; i < items->count; i++) {
        struct fw_cfg_item *item = &items->item[i];
        if (!item->name[0])
            continue;
        generate(item, err);
        uint8_t *line = buf_grow(out, 64);
        if (!line)
            break;
        be32_store(line, (uint32_t)item->len);
        be16_store(line + 4, item->key);
        memcpy(line + 8, item->name, sizeof item->name);
    }
    directory->data = out->data;
    directory->len = out->failed ? 0 : out->len;
}

const struct fw_cfg_item *fw_cfg_items_get(struct fw_cfg_items *items, uint16_t key,
                                           struct err *err)
{
    struct fw_cfg_item *item = find(items, key);

    if (item && key == FW_CFG_FILE_DIR)
        make_directory(items, item, err);
    else if (item) {
        /* What was made for the directory's sake may be out of date: firmware reads the directory
         * first of all, and then sets the machine up that the tables describe. */
        if (item->generate && !item->fetched)
            forget(item);
        item->fetched = true;
        generate(item, err);
    }
    return item;
}

int fw_cfg_items_writable(struct fw_cfg_items *items, const struct fw_cfg_item *item,
                          uint64_t offset, uint64_t len, uint8_t **ret_at)
{
    (void)items;
    if (!item->writable)
        return -EPERM;
    if (!range_within(offset, len, item->len))
        return -ERANGE;
    *ret_at = item->owned + offset;
    return 0;
}

void fw_cfg_items_reset(struct fw_cfg_items *items)
{
    for (unsigned i = 0; i < items->count; i++) {
        struct fw_cfg_item *item = &items->item[i];
        if (item->writable && item->len)
            memcpy(item->owned, item->initial, item->len);
        if (item->generate || item->key == FW_CFG_FILE_DIR)
            forget(item);
    }
    buf_free(&items->directory);
}
