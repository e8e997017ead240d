/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the VMDK descriptor. Deliberately missing: change tracking (the line is
 * ignored), encryption (refused). */
#include "disk/vmdk_desc.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse_num.h"
#include "base/range.h"

enum { LINE_MAX_ = 1024 };

/* -- Reading -------------------------------------------------------------------------------------
 */

static bool leaves_folder(const char *name)
{
    if (*name == '/' || !*name)
        return true;
    for (const char *at = name; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (!strncmp(at, "..", 2) && (at[2] == '/' || !at[2]))
            return true;
    }
    return false;
}

/* The next word of the line, cut out; NULL when there is none. */
static char *word(char **at)
{
    char *start = *at + strspn(*at, " \t");
    char *end = start + strcspn(start, " \t");

    if (!*start)
        return NULL;
    *at = *end ? end + 1 : end;
    *end = '\0';
    return start;
}

/* The quoted name, cut out. */
static char *quoted(char **at)
{
    char *start = *at + strspn(*at, " \t"), *end;

    if (*start != '"' || !(end = strchr(start + 1, '"')))
        return NULL;
    *end = '\0';
    *at = end + 1;
    return start + 1;
}

static int parse_extent_type(const char *text, enum vmdk_extent_type *ret_type, struct err *err)
{
    if (!strcmp(text, "VMFS") || !strcmp(text, "FLAT"))
        *ret_type = VMDK_FLAT;
    else if (!strcmp(text, "SPARSE"))
        *ret_type = VMDK_SPARSE;
    else if (!strcmp(text, "ZERO"))
        *ret_type = VMDK_ZERO;
    else
        return err_set(err, -ENOTSUP, "extents of type \"%.32s\" are not supported", text);
    return 0;
}

/* ACCESS SECTORS TYPE ["FILE" [OFFSET]], the line without its access word. */
static int parse_extent(struct vmdk_extent *extent, char *line, struct err *err)
{
    const char *sectors = word(&line), *type = word(&line), *name, *offset;
    int rc;

    if (!sectors || !type || parse_u64(sectors, 1, DISK_SIZE_MAX / DISK_SECTOR, &extent->sectors))
        return err_set(err, -EINVAL, "extent of %.32s sectors", sectors ? sectors : "no");
    rc = parse_extent_type(type, &extent->type, err);
    if (rc || extent->type == VMDK_ZERO)
        return rc;
    name = quoted(&line);
    if (!name || strlen(name) >= sizeof extent->file)
        return err_set(err, -EINVAL, "extent without a file, or with too long a name");
    if (leaves_folder(name))
        return err_set(err, -EXDEV, "extent \"%s\": path leaves the folder of the descriptor",
                       name);
    memcpy(extent->file, name, strlen(name) + 1);
    offset = word(&line);
    if (offset && parse_u64(offset, 0, UINT64_MAX / DISK_SECTOR - extent->sectors, &extent->offset))
        return err_set(err, -EINVAL, "extent \"%s\": offset \"%.32s\"", extent->file, offset);
    return 0;
}

static int add_extent(struct vmdk_desc *desc, char *line, bool readonly, struct err *err)
{
    struct vmdk_extent *extent;
    int rc;

    if (desc->extent_count == VMDK_EXTENTS_MAX)
        return err_set(err, -EFBIG, "more than %d extents", VMDK_EXTENTS_MAX);
    if (!(desc->extent_count & (desc->extent_count - 1))) {
        size_t room = desc->extent_count ? desc->extent_count * 2 : 1;
        extent = realloc(desc->extents, room * sizeof *extent);
        if (!extent)
            return err_sys(err, -ENOMEM, "extents");
        desc->extents = extent;
    }
    extent = &desc->extents[desc->extent_count];
    *extent = (struct vmdk_extent){.readonly = readonly};
    rc = parse_extent(extent, line, err);
    if (rc)
        return rc;
    desc->extent_count++;
    desc->sectors += extent->sectors;
    if (desc->sectors > DISK_SIZE_MAX / DISK_SECTOR)
        return err_set(err, -EFBIG, "the extents are larger than 62 TiB together");
    return 0;
}

static bool copy_value(char *to, size_t room, const char *value)
{
    size_t len = strlen(value);

    if (len >= room)
        return false;
    memcpy(to, value, len + 1);
    return true;
}

static int parse_cid(const char *value, uint32_t *ret_cid, struct err *err)
{
    char *end;
    unsigned long cid = strtoul(value, &end, 16);

    if (!isxdigit((unsigned char)*value) || *end || end - value > 8)
        return err_set(err, -EINVAL, "content id \"%.32s\"", value);
    *ret_cid = (uint32_t)cid;
    return 0;
}

static int parse_version(struct vmdk_desc *desc, const char *value, struct err *err)
{
    if (parse_unsigned(value, 1, 4, &desc->version))
        return err_set(err, -ENOTSUP, "descriptor version \"%.32s\"", value);
    return 0;
}

static int parse_pair(struct vmdk_desc *desc, const char *key, const char *value, size_t value_at,
                      struct err *err)
{
    bool fits = true;

    if (!strcasecmp(key, "version"))
        return parse_version(desc, value, err);
    if (!strcasecmp(key, "CID")) {
        desc->cid_at = strlen(value) == 8 ? value_at : 0;
        return parse_cid(value, &desc->cid, err);
    }
    if (!strcasecmp(key, "parentCID")) {
        desc->parent_cid_at = strlen(value) == 8 ? value_at : 0;
        return parse_cid(value, &desc->parent_cid, err);
    }
    if (!strcasecmp(key, "encryptionKeys") || !strcasecmp(key, "ddb.encryption"))
        return err_set(err, -ENOTSUP, "encrypted disks are not supported");
    if (!strcasecmp(key, "parentFileNameHint")) {
        desc->parent_at = value_at;
        fits = copy_value(desc->parent, sizeof desc->parent, value);
    } else if (!strcasecmp(key, "createType"))
        fits = copy_value(desc->create_type, sizeof desc->create_type, value);
    else if (!strcasecmp(key, "ddb.adapterType"))
        fits = copy_value(desc->adapter, sizeof desc->adapter, value);
    else if (!strcasecmp(key, "ddb.uuid"))
        fits = copy_value(desc->uuid, sizeof desc->uuid, value);
    else if (!strcasecmp(key, "ddb.longContentID"))
        desc->long_cid_at = strlen(value) == 32 ? value_at + 24 : 0;
    else if (!strcasecmp(key, "ddb.thinProvisioned"))
        desc->thin = !strcmp(value, "1");
    return fits ? 0 : err_set(err, -EINVAL, "%s is too long", key);
}

/* `line` is a copy of what stands at `at` in the text. */
static int parse_line(struct vmdk_desc *desc, char *line, size_t at, struct err *err)
{
    char *start = line + strspn(line, " \t"), *equals = strchr(start, '='), *value, *end;
    static const char *const access[] = {"RW ", "RDONLY ", "NOACCESS "};

    if (!*start || *start == '#')
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(access); i++)
        if (!strncmp(start, access[i], strlen(access[i]))) {
            if (i == 2)
                return err_set(err, -ENOTSUP, "extents without access are not supported");
            return add_extent(desc, start + strlen(access[i]), i == 1, err);
        }
    if (!equals)
        return err_set(err, -EINVAL, "line \"%.40s\" is neither an extent nor a value", start);
    for (end = equals; end > start && isspace((unsigned char)end[-1]); end--)
        ;
    *end = '\0';
    value = equals + 1 + strspn(equals + 1, " \t");
    value += *value == '"';
    for (end = value + strlen(value); end > value && isspace((unsigned char)end[-1]); end--)
        ;
    end -= end > value && end[-1] == '"';
    *end = '\0';
    return parse_pair(desc, start, value, at + (size_t)(value - line), err);
}

static int finish(const struct vmdk_desc *desc, struct err *err)
{
    if (!desc->version)
        return err_set(err, -EINVAL, "the descriptor has no version");
    if (!desc->extent_count)
        return err_set(err, -EINVAL, "the descriptor has no extents");
    if (desc->parent_cid == VMDK_NO_PARENT)
        return 0;
    if (!*desc->parent)
        return err_set(err, -EINVAL, "it is the child of another disk and does not say of which");
    if (leaves_folder(desc->parent))
        return err_set(err, -EXDEV, "parent \"%s\": path leaves the folder of the descriptor",
                       desc->parent);
    return 0;
}

/* What stands behind the quoted name on its line counts as long as it is blank. */
static void find_parent_room(struct vmdk_desc *desc, const char *text, size_t len)
{
    size_t at = desc->parent_at, end = at + strlen(desc->parent);

    desc->parent_room = 0;
    if (!at || end >= len || text[at - 1] != '"' || text[end] != '"')
        return;
    for (end++; end < len && (text[end] == ' ' || text[end] == '\t'); end++)
        ;
    if (end < len && (text[end] == '\n' || text[end] == '\r'))
        desc->parent_room = end - at;
}

int vmdk_desc_parse(struct vmdk_desc *ret_desc, const char *text, size_t len, struct err *err)
{
    cleanup_vmdk_desc struct vmdk_desc desc = {.parent_cid = VMDK_NO_PARENT};
    int rc = 0;

    len = strnlen(text, len);
    for (size_t at = 0; at < len && !rc;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t line_len = newline ? (size_t)(newline - text) - at : len - at;
        char line[LINE_MAX_];

        if (line_len >= sizeof line)
            return err_set(err, -EINVAL, "the descriptor has a line of %zu bytes", line_len);
        memcpy(line, text + at, line_len);
        line[line_len] = '\0';
        if (line_len && line[line_len - 1] == '\r')
            line[line_len - 1] = '\0';
        rc = parse_line(&desc, line, at, err);
        at += line_len + 1;
    }
    rc = rc ? rc : finish(&desc, err);
    if (rc)
        return rc;
    find_parent_room(&desc, text, len);
    *ret_desc = desc;
    desc.extents = NULL;
    return 0;
}

void vmdk_desc_free(struct vmdk_desc *desc)
{
    free(desc->extents);
    desc->extents = NULL;
    desc->extent_count = 0;
}

/* -- Writing -------------------------------------------------------------------------------------
 */

static void print_extent(const struct vmdk_desc *desc, const struct vmdk_extent *extent,
                         struct buf *text)
{
    bool vmfs = !strcmp(desc->create_type, "vmfs");
    const char *type = extent->type == VMDK_SPARSE ? "SPARSE"
                       : extent->type == VMDK_ZERO ? "ZERO"
                       : vmfs                      ? "VMFS"
                                                   : "FLAT";

    buf_printf(text, "%s %" PRIu64 " %s", extent->readonly ? "RDONLY" : "RW", extent->sectors,
               type);
    if (extent->type != VMDK_ZERO)
        buf_printf(text, " \"%s\"", extent->file);
    if (extent->type == VMDK_FLAT && !vmfs)
        buf_printf(text, " %" PRIu64, extent->offset);
    buf_put_str(text, "\n");
}

/* The geometry that VMware's products write for disks of this size: 255/63 from 1 GiB on for SCSI.
 */
static void print_geometry(const struct vmdk_desc *desc, struct buf *text)
{
    bool ide = !strcmp(desc->adapter, "ide");
    unsigned heads = ide ? 16 : desc->sectors < MIB(2) ? 64 : desc->sectors < MIB(4) ? 128 : 255;
    unsigned sectors = ide || desc->sectors >= MIB(2) ? 63 : 32;
    uint64_t cylinders = desc->sectors / (heads * sectors);

    if (ide && cylinders > 16383)
        cylinders = 16383;
    buf_printf(text,
               "ddb.geometry.cylinders = \"%" PRIu64 "\"\nddb.geometry.heads = \"%u\"\n"
               "ddb.geometry.sectors = \"%u\"\n",
               cylinders, heads, sectors);
}

void vmdk_desc_print(const struct vmdk_desc *desc, struct buf *text)
{
    buf_printf(text,
               "# Disk DescriptorFile\nversion=%u\nencoding=\"UTF-8\"\nCID=%08x\n"
               "parentCID=%08x\ncreateType=\"%s\"\n",
               desc->version, desc->cid, desc->parent_cid, desc->create_type);
    if (desc->parent_cid != VMDK_NO_PARENT)
        buf_printf(text, "parentFileNameHint=\"%s\"\n", desc->parent);
    buf_put_str(text, "\n# Extent description\n");
    for (unsigned i = 0; i < desc->extent_count; i++)
        print_extent(desc, &desc->extents[i], text);
    buf_printf(text, "\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"%s\"\n", desc->adapter);
    print_geometry(desc, text);
    buf_printf(text, "ddb.longContentID = \"%08x%08x%08x%08x\"\n", desc->long_cid[0],
               desc->long_cid[1], desc->long_cid[2], desc->cid);
    if (desc->thin)
        buf_put_str(text, "ddb.thinProvisioned = \"1\"\n");
    buf_printf(text, "ddb.uuid = \"%s\"\nddb.virtualHWVersion = \"21\"\n", desc->uuid);
}

/* -- Changing ------------------------------------------------------------------------------------
 */

static bool is_extent_line(const char *line, size_t len)
{
    return (len > 3 && !memcmp(line, "RW ", 3)) || (len > 7 && !memcmp(line, "RDONLY ", 7));
}

static bool has_key(const char *line, size_t len, const char *key)
{
    size_t n = strlen(key);

    return len > n && !strncasecmp(line, key, n);
}

/* What of the values has been written. */
struct rewriting {
    const struct vmdk_desc *desc;
    struct buf *text;
    bool extents, resized, geometry, uuid, thin;
};

static void put_uuid(struct rewriting *r)
{
    if (!r->uuid && *r->desc->uuid)
        buf_printf(r->text, "ddb.uuid = \"%s\"\n", r->desc->uuid);
    r->uuid = true;
}

static void put_thin(struct rewriting *r)
{
    if (!r->thin && r->desc->thin)
        buf_put_str(r->text, "ddb.thinProvisioned = \"1\"\n");
    r->thin = true;
}

static void rewrite_line(struct rewriting *r, const char *line, size_t len)
{
    if (is_extent_line(line, len)) {
        for (unsigned i = 0; !r->extents && i < r->desc->extent_count; i++)
            print_extent(r->desc, &r->desc->extents[i], r->text);
        r->extents = true;
    } else if (r->resized && has_key(line, len, "ddb.geometry.")) {
        if (!r->geometry)
            print_geometry(r->desc, r->text);
        r->geometry = true;
    } else if (has_key(line, len, "ddb.uuid")) {
        put_uuid(r);
    } else if (has_key(line, len, "ddb.thinProvisioned")) {
        put_thin(r);
    } else {
        buf_put(r->text, line, len);
        buf_put_u8(r->text, '\n');
    }
}

void vmdk_desc_rewrite(const struct vmdk_desc *desc, const char *old, size_t len, struct buf *text)
{
    cleanup_vmdk_desc struct vmdk_desc before = {0};
    struct rewriting r = {.desc = desc, .text = text};

    len = strnlen(old, len);
    r.resized = vmdk_desc_parse(&before, old, len, NULL) || before.sectors != desc->sectors;
    for (size_t at = 0; at < len;) {
        const char *newline = memchr(old + at, '\n', len - at);
        size_t line = newline ? (size_t)(newline - old) - at : len - at;

        rewrite_line(&r, old + at, line);
        at += line + 1;
    }
    put_thin(&r);
    put_uuid(&r);
}

int vmdk_desc_set_parent(const struct vmdk_desc *desc, char *text, const char *parent, uint32_t cid,
                         size_t *ret_from, size_t *ret_to)
{
    size_t len = strlen(parent);
    char digits[9];

    if (!desc->parent_cid_at || len + 1 > desc->parent_room || strpbrk(parent, "\"\r\n"))
        return -ENOTSUP;
    (void)snprintf(digits, sizeof digits, "%08" PRIx32, cid);
    bool other = memcmp(text + desc->parent_cid_at, digits, 8) != 0;
    memcpy(text + desc->parent_cid_at, digits, 8);
    memset(text + desc->parent_at, ' ', desc->parent_room);
    memcpy(text + desc->parent_at, parent, len);
    text[desc->parent_at + len] = '"';
    *ret_from = other ? MIN(desc->parent_cid_at, desc->parent_at) : desc->parent_at;
    *ret_to = MAX(desc->parent_at + desc->parent_room, other ? desc->parent_cid_at + 8 : 0);
    return 0;
}
