/* SPDX-License-Identifier: Apache-2.0 */
/* The .vmx dictionary: a list of lines, each with its bytes as found and, if it is an entry, its
 * key and unescaped value.
 *
 * There is no public specification; this follows what ESXi and Workstation write and what libvirt's
 * vmx driver documents. Values without quotes and a comment behind a value are read because people
 * write them by hand. Deliberately missing: conversion from other encodings than UTF-8. */
#include "config/vmxfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/parse_num.h"
#include "base/utf8.h"

struct line {
    char *raw; /* as in the file, end of line included */
    size_t raw_len;
    char *key; /* NULL for comments and blank lines */
    char *value;
    size_t key_len;
};

/* Where keys stand: for each hash, in open addressing, 1 + the last line that has the key. It is
 * made when somebody looks for a key in a file that is long enough for that (most are not), and
 * made anew after lines have gone. */
struct index {
    uint32_t *slot; /* owned; NULL: none */
    size_t count;   /* a power of two, at least twice as many as there are lines */
    bool twice;     /* some key stands twice */
};

enum { INDEXED_LINES = 128 };

struct vmxfile {
    char *name;
    struct line *lines;
    size_t count, cap;
    struct index index;
    size_t size; /* of all raw lines */
    bool crlf;   /* how new lines end */
};

static void line_free(struct line *line)
{
    free(line->raw);
    free(line->key);
    free(line->value);
}

int vmxfile_create(const char *name, struct vmxfile **ret_vmx)
{
    struct vmxfile *vmx = calloc(1, sizeof *vmx);

    if (vmx)
        vmx->name = strdup(name);
    if (!vmx || !vmx->name) {
        vmxfile_destroy(vmx);
        return -ENOMEM;
    }
    *ret_vmx = vmx;
    return 0;
}

void vmxfile_destroy(struct vmxfile *vmx)
{
    if (!vmx)
        return;
    for (size_t i = 0; i < vmx->count; i++)
        line_free(&vmx->lines[i]);
    free(vmx->lines);
    free(vmx->index.slot);
    free(vmx->name);
    free(vmx);
}

const char *vmxfile_name(const struct vmxfile *vmx)
{
    return vmx->name;
}

/* Text. */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

static bool is_key_char(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && c != '=' && c != '"' && c != '#';
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if (*text & 0x80)
            return false;
    return true;
}

/* A pipe that two hex digits do not follow stands for itself. NULL: out of memory. */
static char *unescape(const char *p, const char *end, size_t *ret_len)
{
    char *text = malloc((size_t)(end - p) + 1), *to = text;

    if (!text)
        return NULL;
    while (p < end) {
        int high = *p == '|' && end - p > 2 ? hex_value(p[1]) : -1;
        int low = high < 0 ? -1 : hex_value(p[2]);
        if (low >= 0) {
            *to++ = (char)(high << 4 | low);
            p += 3;
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
    *ret_len = (size_t)(to - text);
    return text;
}

static void put_escaped(struct buf *out, const char *value)
{
    for (; *value; value++)
        if (*value == '|' || *value == '"' || is_control(*value))
            buf_printf(out, "|%02X", (unsigned char)*value);
        else
            buf_put(out, value, 1);
}

/* The line of an entry, as ESXi spells it, with the file's end of line. */
static int spell(const struct vmxfile *vmx, const char *key, const char *value, char **ret_raw,
                 size_t *ret_len)
{
    cleanup_buf struct buf out = {0};

    buf_printf(&out, "%s = \"", key);
    put_escaped(&out, value);
    buf_put_str(&out, vmx->crlf ? "\"\r\n" : "\"\n");
    if (out.failed)
        return -ENOMEM;
    *ret_len = out.len;
    *ret_raw = (char *)TAKE_PTR(out.data);
    return 0;
}

/* Reading. */

struct reader {
    struct vmxfile *vmx;
    struct err *err;
    size_t number;       /* of the line, from 1 */
    size_t foreign_line; /* first line with bytes beyond ASCII, 0: none */
};

static int bad_line(const struct reader *rd, const char *reason)
{
    return err_set(rd->err, -EBADMSG, "%s:%zu: %s", rd->vmx->name, rd->number, reason);
}

/* Where the value is within [p, end): behind blanks, with or without quotes. */
static int find_value(const struct reader *rd, const char *p, const char *end,
                      const char **ret_value, const char **ret_value_end)
{
    const char *value = p, *after;

    if (p < end && *p == '"') {
        value = p + 1;
        p = memchr(value, '"', (size_t)(end - value));
        if (!p)
            return bad_line(rd, "the value has no closing quote");
        after = p + 1;
    } else {
        while (p < end && !is_blank(*p) && *p != '#' && *p != '"')
            p++;
        after = p;
    }
    after = skip_blanks(after, end);
    if (after < end && *after != '#')
        return bad_line(rd, "text behind the value (a quote inside a value is written |22)");
    *ret_value = value;
    *ret_value_end = p;
    return 0;
}

static int check_entry(struct reader *rd, const struct line *line, size_t value_len)
{
    if (line->key_len > VMXFILE_KEY_MAX)
        return bad_line(rd, "the key is too long");
    if (value_len > VMXFILE_VALUE_MAX)
        return bad_line(rd, "the value is too long");
    if (strlen(line->value) != value_len)
        return bad_line(rd, "a zero byte in the value");
    if (!rd->foreign_line && (!is_ascii(line->key) || !is_ascii(line->value)))
        rd->foreign_line = rd->number;
    if (!utf8_valid(line->key) || !utf8_valid(line->value))
        return bad_line(rd, "not UTF-8; convert the file to UTF-8");
    return 0;
}

/* Fills key and value of `line` from its text [p, end), without the end of line. */
static int parse_entry(struct reader *rd, const char *p, const char *end, struct line *line)
{
    const char *key = p, *value = p, *value_end = p;
    size_t value_len = 0;

    while (p < end && is_key_char(*p))
        p++;
    line->key_len = (size_t)(p - key);
    const char *equals = skip_blanks(p, end);
    if (!line->key_len || equals == end || *equals != '=')
        return bad_line(rd, "not of the form key = \"value\"");
    int rc = find_value(rd, skip_blanks(equals + 1, end), end, &value, &value_end);
    if (rc < 0)
        return rc;
    line->key = strndup(key, line->key_len);
    line->value = unescape(value, value_end, &value_len);
    if (!line->key || !line->value)
        return -ENOMEM;
    return check_entry(rd, line, value_len);
}

static int add_line(struct vmxfile *vmx, struct line **ret_line)
{
    if (vmx->count == VMXFILE_LINES_MAX)
        return -E2BIG;
    if (vmx->count == vmx->cap) {
        size_t cap = vmx->cap ? 2 * vmx->cap : 64;
        struct line *lines = reallocarray(vmx->lines, cap, sizeof *lines);
        if (!lines)
            return -ENOMEM;
        vmx->lines = lines;
        vmx->cap = cap;
    }
    *ret_line = &vmx->lines[vmx->count++];
    **ret_line = (struct line){0};
    return 0;
}

/* One line, [p, end) with its end of line. */
static int parse_line(struct reader *rd, const char *p, const char *end)
{
    struct line *line;
    int rc = add_line(rd->vmx, &line);

    if (rc == -E2BIG)
        return bad_line(rd, "too many lines");
    if (rc < 0)
        return rc;
    line->raw_len = (size_t)(end - p);
    line->raw = malloc(line->raw_len);
    if (!line->raw)
        return -ENOMEM;
    memcpy(line->raw, p, line->raw_len);
    rd->vmx->size += line->raw_len;

    if (end > p && end[-1] == '\n')
        end--;
    if (end > p && end[-1] == '\r')
        end--;
    if (rd->number == 1) {
        rd->vmx->crlf = end < p + line->raw_len && *end == '\r';
        if (end - p >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
            p += 3; /* the mark that Windows editors put in front of UTF-8 */
    }
    for (const char *c = p; c < end; c++)
        if (is_control(*c) && *c != '\t')
            return bad_line(rd, "a control character; this is no .vmx file");
    p = skip_blanks(p, end);
    return p == end || *p == '#' ? 0 : parse_entry(rd, p, end, line);
}

static int parse_lines(struct reader *rd, const char *p, const char *end)
{
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *next = newline ? newline + 1 : end;
        rd->number++;
        int rc = parse_line(rd, p, next);
        if (rc < 0)
            return rc;
        p = next;
    }
    return 0;
}

static bool is_utf8_name(const char *encoding)
{
    return !strcasecmp(encoding, "UTF-8") || !strcasecmp(encoding, "UTF8");
}

static int check_encoding(struct reader *rd)
{
    const char *encoding = vmxfile_get(rd->vmx, ".encoding");

    if (!rd->foreign_line || !encoding || is_utf8_name(encoding))
        return 0;
    return err_set(rd->err, -EBADMSG,
                   "%s:%zu: text in encoding \"%s\"; convert the file to UTF-8 and set .encoding",
                   rd->vmx->name, rd->foreign_line, encoding);
}

int vmxfile_parse(const char *name, const void *data, size_t len, struct vmxfile **ret_vmx,
                  struct err *err)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    int rc = vmxfile_create(name, &vmx);

    if (rc < 0)
        return err_sys(err, rc, "%s", name);
    if (len > VMXFILE_SIZE_MAX)
        return err_set(err, -EBADMSG, "%s: larger than a .vmx file can be (1 MiB)", name);
    struct reader rd = {.vmx = vmx, .err = err};
    rc = len ? parse_lines(&rd, data, (const char *)data + len) : 0;
    if (!rc)
        rc = check_encoding(&rd);
    if (rc == -ENOMEM)
        return err_sys(err, rc, "%s", name);
    if (rc < 0)
        return rc;
    *ret_vmx = TAKE_PTR(vmx);
    return 0;
}

static int read_file(int fd, struct buf *out)
{
    enum { STEP = 16 << 10 }; /* most are smaller; a host reads a thousand at its start */
    ssize_t n = 1;

    while (out->len <= VMXFILE_SIZE_MAX && n) {
        uint8_t *at = buf_grow(out, STEP);
        if (!at)
            return -ENOMEM;
        n = read(fd, at, STEP);
        out->len -= STEP - (size_t)(n > 0 ? n : 0);
        if (n < 0 && errno != EINTR)
            return -errno;
    }
    return 0;
}

int vmxfile_load(const char *path, struct vmxfile **ret_vmx, struct err *err)
{
    cleanup_buf struct buf data = {0};
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, -errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EBADMSG, "%s: not a regular file", path);
    int rc = read_file(fd, &data);
    if (rc < 0)
        return err_sys(err, rc, "%s", path);
    return vmxfile_parse(path, data.data, data.len, ret_vmx, err);
}

/* Looking up. */

static bool has_key(const struct line *line, const char *key, size_t len)
{
    return line->key && line->key_len == len && !strcasecmp(line->key, key);
}

static size_t hash(const char *key)
{
    uint32_t h = 2166136261;

    for (; *key; key++)
        h = (h ^ (uint32_t)(*key >= 'A' && *key <= 'Z' ? *key + 32 : (unsigned char)*key)) *
            16777619;
    return h;
}

/* Where the key is in the index, or would be. */
static uint32_t *slot_of(const struct vmxfile *vmx, const char *key, size_t len)
{
    const struct index *index = &vmx->index;
    size_t at = hash(key) & (index->count - 1);

    while (index->slot[at] && !has_key(&vmx->lines[index->slot[at] - 1], key, len))
        at = (at + 1) & (index->count - 1);
    return &index->slot[at];
}

static void index_line(struct vmxfile *vmx, size_t i)
{
    const struct line *line = &vmx->lines[i];
    uint32_t *slot = line->key ? slot_of(vmx, line->key, line->key_len) : NULL;

    if (!slot)
        return;
    vmx->index.twice |= *slot != 0;
    *slot = (uint32_t)i + 1;
}

static void index_drop(struct vmxfile *vmx)
{
    free(TAKE_PTR(vmx->index.slot));
}

/* Without memory for it keys are found as in short files. */
static void index_make(struct vmxfile *vmx)
{
    size_t count = 2 * INDEXED_LINES;

    while (count < 2 * vmx->cap)
        count *= 2;
    vmx->index = (struct index){.slot = calloc(count, sizeof(uint32_t)), .count = count};
    for (size_t i = 0; vmx->index.slot && i < vmx->count; i++)
        index_line(vmx, i);
}

static struct line *find(const struct vmxfile *vmx, const char *key)
{
    size_t len = strlen(key);

    if (vmx->count >= INDEXED_LINES && !vmx->index.slot)
        index_make((struct vmxfile *)(uintptr_t)vmx); /* it is no part of what the file says */
    if (vmx->index.slot) {
        uint32_t line = *slot_of(vmx, key, len);
        return line ? &vmx->lines[line - 1] : NULL;
    }
    for (size_t i = vmx->count; i-- > 0;)
        if (has_key(&vmx->lines[i], key, len))
            return &vmx->lines[i];
    return NULL;
}

const char *vmxfile_get(const struct vmxfile *vmx, const char *key)
{
    const struct line *line = find(vmx, key);

    return line ? line->value : NULL;
}

const char *vmxfile_next_key(const struct vmxfile *vmx, size_t *at)
{
    while (*at < vmx->count) {
        const struct line *line = &vmx->lines[(*at)++];
        if (line->key)
            return line->key;
    }
    return NULL;
}

int vmxfile_complain(const struct vmxfile *vmx, const char *key, struct err *err, int code,
                     const char *fmt, ...)
{
    const struct line *line = find(vmx, key);
    char reason[ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    if (!line)
        return err_set(err, code, "%s: %s: %s", vmx->name, key, reason);
    return err_set(err, code, "%s:%zu: %s = \"%.80s\": %s", vmx->name,
                   (size_t)(line - vmx->lines) + 1, line->key, line->value, reason);
}

static bool has_value(const struct vmxfile *vmx, const char *key, const char **ret_value)
{
    *ret_value = vmxfile_get(vmx, key);
    return *ret_value && **ret_value;
}

int vmxfile_get_bool(const struct vmxfile *vmx, const char *key, bool *v, struct err *err)
{
    static const char *const words[][2] = {{"FALSE", "TRUE"}, {"no", "yes"}, {"off", "on"},
                                           {"0", "1"},        {"f", "t"},    {"n", "y"}};
    const char *value;

    if (!has_value(vmx, key, &value))
        return 0;
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        for (unsigned truth = 0; truth < 2; truth++)
            if (!strcasecmp(value, words[i][truth])) {
                *v = truth;
                return 0;
            }
    return vmxfile_complain(vmx, key, err, -EINVAL, "neither TRUE nor FALSE");
}

int vmxfile_get_u64(const struct vmxfile *vmx, const char *key, uint64_t min, uint64_t max,
                    uint64_t *v, struct err *err)
{
    const char *value;
    int rc = has_value(vmx, key, &value) ? parse_u64(value, min, max, v) : 0;

    if (rc < 0)
        return vmxfile_complain(vmx, key, err, -EINVAL, "not a number from %llu to %llu",
                                (unsigned long long)min, (unsigned long long)max);
    return 0;
}

int vmxfile_get_unsigned(const struct vmxfile *vmx, const char *key, unsigned min, unsigned max,
                         unsigned *v, struct err *err)
{
    uint64_t wide = *v;
    int rc = vmxfile_get_u64(vmx, key, min, max, &wide, err);

    *v = (unsigned)wide;
    return rc;
}

int vmxfile_get_i64(const struct vmxfile *vmx, const char *key, int64_t min, int64_t max,
                    int64_t *v, struct err *err)
{
    const char *value;
    int rc = has_value(vmx, key, &value) ? parse_i64(value, min, max, v) : 0;

    if (rc < 0)
        return vmxfile_complain(vmx, key, err, -EINVAL, "not a number from %lld to %lld",
                                (long long)min, (long long)max);
    return 0;
}

/* Changing. */

static bool key_valid(const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < len; i++)
        if (!is_key_char(key[i]))
            return false;
    return len > 0 && len <= VMXFILE_KEY_MAX && utf8_valid(key);
}

/* Takes out the entries of `key`, or with `prefix` of all that begin so, but not the line `keep`
 * (NULL: all of them). */
static void drop(struct vmxfile *vmx, const char *key, bool prefix, const struct line *keep)
{
    size_t kept = 0, len = strlen(key);

    for (size_t i = 0; i < vmx->count; i++) {
        struct line line = vmx->lines[i];
        bool goes =
            prefix ? line.key && !strncasecmp(line.key, key, len) : has_key(&line, key, len);
        if (goes && &vmx->lines[i] != keep) {
            vmx->size -= line.raw_len;
            line_free(&line);
        } else {
            vmx->lines[kept++] = line;
        }
    }
    if (kept < vmx->count)
        index_drop(vmx);
    vmx->count = kept;
}

static int change_line(struct vmxfile *vmx, struct line *line, const char *value)
{
    cleanup_free char *raw = NULL, *copy = strdup(value);
    size_t len = 0;
    int rc = copy ? spell(vmx, line->key, value, &raw, &len) : -ENOMEM;

    if (!rc && vmx->size - line->raw_len + len > VMXFILE_SIZE_MAX)
        rc = -E2BIG;
    if (rc < 0)
        return rc;
    vmx->size += len - line->raw_len;
    line->raw_len = len;
    free(line->raw);
    free(line->value);
    line->raw = TAKE_PTR(raw);
    line->value = TAKE_PTR(copy);
    return 0;
}

/* The last line of a file may lack its end; before something follows it must have one. */
static int end_last_line(struct vmxfile *vmx)
{
    struct line *last = vmx->count ? &vmx->lines[vmx->count - 1] : NULL;
    const char *eol = vmx->crlf ? "\r\n" : "\n";

    if (!last || !last->raw_len || last->raw[last->raw_len - 1] == '\n')
        return 0;
    if (last->raw[last->raw_len - 1] == '\r')
        eol = "\n"; /* half of one is there */
    char *raw = realloc(last->raw, last->raw_len + strlen(eol));
    if (!raw)
        return -ENOMEM;
    last->raw = raw;
    memcpy(raw + last->raw_len, eol, strlen(eol));
    last->raw_len += strlen(eol);
    vmx->size += strlen(eol);
    return 0;
}

static int append_line(struct vmxfile *vmx, const char *key, const char *value)
{
    struct line *line;
    int rc = end_last_line(vmx);

    if (!rc)
        rc = add_line(vmx, &line);
    if (rc < 0)
        return rc;
    line->key_len = strlen(key);
    line->key = strdup(key);
    rc = line->key ? change_line(vmx, line, value) : -ENOMEM;
    if (rc < 0)
        line_free(&vmx->lines[--vmx->count]);
    else if (vmx->index.slot && vmx->index.count >= 2 * vmx->cap)
        index_line(vmx, vmx->count - 1);
    else
        index_drop(vmx);
    return rc;
}

static int set(struct vmxfile *vmx, const char *key, const char *value)
{
    struct line *line = find(vmx, key);

    if (!line)
        return append_line(vmx, key, value);
    if (!vmx->index.slot || vmx->index.twice) {
        drop(vmx, key, false, line);
        line = find(vmx, key);
    }
    return strcmp(line->value, value) ? change_line(vmx, line, value) : 0;
}

int vmxfile_set(struct vmxfile *vmx, const char *key, const char *value)
{
    if (!key_valid(key) || !utf8_valid(value) ||
        (!strcasecmp(key, ".encoding") && !is_utf8_name(value)))
        return -EINVAL;
    if (strlen(value) > VMXFILE_VALUE_MAX)
        return -E2BIG;
    /* A file of another encoding is ASCII until now; with this it becomes UTF-8 and says so. */
    const char *encoding = vmxfile_get(vmx, ".encoding");
    bool foreign = encoding && !is_utf8_name(encoding) && !(is_ascii(key) && is_ascii(value));
    int rc = foreign ? set(vmx, ".encoding", "UTF-8") : 0;
    return rc < 0 ? rc : set(vmx, key, value);
}

int vmxfile_set_bool(struct vmxfile *vmx, const char *key, bool v)
{
    return vmxfile_set(vmx, key, v ? "TRUE" : "FALSE");
}

int vmxfile_set_u64(struct vmxfile *vmx, const char *key, uint64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    return vmxfile_set(vmx, key, text);
}

void vmxfile_remove(struct vmxfile *vmx, const char *key)
{
    if (find(vmx, key))
        drop(vmx, key, false, NULL);
}

void vmxfile_remove_prefixed(struct vmxfile *vmx, const char *prefix)
{
    drop(vmx, prefix, true, NULL);
}

/* Writing. */

void vmxfile_write(const struct vmxfile *vmx, struct buf *out)
{
    for (size_t i = 0; i < vmx->count; i++)
        buf_put(out, vmx->lines[i].raw, vmx->lines[i].raw_len);
}

int vmxfile_save(const struct vmxfile *vmx, const char *path, struct err *err)
{
    cleanup_free char *target = realpath(path, NULL); /* behind a link */
    cleanup_buf struct buf data = {0};

    vmxfile_write(vmx, &data);
    if (data.failed)
        return err_sys(err, -ENOMEM, "%s", path);
    return file_replace(AT_FDCWD, target ? target : path, 0600, data.data, data.len, err);
}
