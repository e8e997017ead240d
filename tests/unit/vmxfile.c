/* SPDX-License-Identifier: Apache-2.0 */
/* The .vmx dictionary: reading, keeping every byte that is not changed, refusing nonsense. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/vmxfile.h"
#include "tests/tap.h"

static struct vmxfile *parse(const char *text, struct err *err)
{
    struct vmxfile *vmx = NULL;

    return vmxfile_parse("t.vmx", text, strlen(text), &vmx, err) < 0 ? NULL : vmx;
}

static void check_bytes(const struct vmxfile *vmx, const char *want)
{
    cleanup_buf struct buf out = {0};

    vmxfile_write(vmx, &out);
    CHECK_STR(buf_cstr(&out), want);
}

static void reads_what_people_write(void)
{
    cleanup_vmxfile struct vmxfile *vmx = parse("#!/usr/bin/vmware\n\n a.b = \"x y\" # why\n"
                                                "c=plain#x\nE = \"\"\nd = \"1|0A2|227|7c|zz|\"",
                                                NULL);
    REQUIRE(vmx);
    CHECK_STR(vmxfile_get(vmx, "A.B"), "x y");
    CHECK_STR(vmxfile_get(vmx, "c"), "plain");
    CHECK_STR(vmxfile_get(vmx, "e"), "");
    CHECK_STR(vmxfile_get(vmx, "d"), "1\n2\"7||zz|");
    CHECK(!vmxfile_get(vmx, "a"));
}

static void walks_keys_in_order(void)
{
    cleanup_vmxfile struct vmxfile *vmx = parse("# c\nB = 1\n\na = 2\nb = 3\n", NULL);
    size_t at = 0;

    REQUIRE(vmx);
    CHECK_STR(vmxfile_next_key(vmx, &at), "B");
    CHECK_STR(vmxfile_next_key(vmx, &at), "a");
    CHECK_STR(vmxfile_next_key(vmx, &at), "b");
    CHECK(!vmxfile_next_key(vmx, &at));
}

static void last_duplicate_counts(void)
{
    static const char text[] = "a = \"1\"\n# between\nA = \"2\"\n";
    cleanup_vmxfile struct vmxfile *vmx = parse(text, NULL);

    REQUIRE(vmx);
    CHECK_STR(vmxfile_get(vmx, "a"), "2");
    check_bytes(vmx, text);
    CHECK_EQ(vmxfile_set(vmx, "a", "3"), 0);
    check_bytes(vmx, "# between\nA = \"3\"\n");
    vmxfile_remove(vmx, "a");
    check_bytes(vmx, "# between\n");
}

static void changes_one_line_only(void)
{
    cleanup_vmxfile struct vmxfile *vmx =
        parse("  Key =  \"old\"\r\nother = odd   # kept\r\n# end", NULL);

    REQUIRE(vmx);
    CHECK_EQ(vmxfile_set(vmx, "OTHER", "odd"), 0); /* no change, not even of spelling */
    CHECK_EQ(vmxfile_set(vmx, "key", "a|b\"c\nd"), 0);
    CHECK_EQ(vmxfile_set(vmx, "new.key", "\xc3\xa4"), 0);
    check_bytes(vmx, "Key = \"a|7Cb|22c|0Ad\"\r\nother = odd   # kept\r\n# end\r\n"
                     "new.key = \"\xc3\xa4\"\r\n");
    CHECK_STR(vmxfile_get(vmx, "key"), "a|b\"c\nd");
}

static void first_foreign_text_makes_it_utf8(void)
{
    cleanup_vmxfile struct vmxfile *vmx = parse(".encoding = \"GBK\"\na = \"1\"\n", NULL);

    REQUIRE(vmx);
    CHECK_EQ(vmxfile_set(vmx, "a", "2"), 0);
    check_bytes(vmx, ".encoding = \"GBK\"\na = \"2\"\n");
    CHECK_EQ(vmxfile_set(vmx, "a", "\xc3\xa4"), 0);
    check_bytes(vmx, ".encoding = \"UTF-8\"\na = \"\xc3\xa4\"\n");
    CHECK_EQ(vmxfile_set(vmx, ".Encoding", "GBK"), -EINVAL);
}

static void refuses_with_line(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a = \"1\"\nnonsense\n", "t.vmx:2: not of the form key = \"value\""},
        {"= \"1\"\n", "t.vmx:1: not of the form key = \"value\""},
        {"a \"1\"\n", "t.vmx:1: not of the form key = \"value\""},
        {"\n\na = \"1\n", "t.vmx:3: the value has no closing quote"},
        {"a = \"1\" 2\n", "t.vmx:1: text behind the value (a quote inside a value is written |22)"},
        {"a = 1 2\n", "t.vmx:1: text behind the value (a quote inside a value is written |22)"},
        {"a = \"abc|00\"\n", "t.vmx:1: a zero byte in the value"},
        {"a = \"\x01\"\n", "t.vmx:1: a control character; this is no .vmx file"},
        {"a = \"\xe4\"\n", "t.vmx:1: not UTF-8; convert the file to UTF-8"},
        {"a = \"|E4\"\n", "t.vmx:1: not UTF-8; convert the file to UTF-8"},
        {"b = 1\na = \"\xc3\xa4\"\n.encoding = \"GBK\"\n",
         "t.vmx:2: text in encoding \"GBK\"; convert the file to UTF-8 and set .encoding"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        cleanup_vmxfile struct vmxfile *vmx = parse(cases[i].text, &err);
        CHECK(!vmx);
        CHECK_EQ(err.code, -EBADMSG);
        CHECK_STR(err.text, cases[i].message);
    }
    struct vmxfile *vmx = NULL;
    struct err err = ERR_INIT;
    CHECK_EQ(vmxfile_parse("t.vmx", "a = \"\0\"\n", 9, &vmx, &err), -EBADMSG);
    CHECK_STR(err.text, "t.vmx:1: a control character; this is no .vmx file");
}

static void has_limits(void)
{
    cleanup_buf struct buf text = {0};
    cleanup_vmxfile struct vmxfile *vmx = NULL, *none = NULL;
    struct err err = ERR_INIT;

    for (int i = 0; i < VMXFILE_LINES_MAX; i++)
        buf_put_str(&text, "a=1\n");
    CHECK_EQ(vmxfile_parse("t.vmx", text.data, text.len, &vmx, &err), 0);
    REQUIRE(vmx);
    CHECK_EQ(vmxfile_set(vmx, "b", "2"), -E2BIG);
    CHECK_EQ(vmxfile_set(vmx, "a", "2"), 0); /* takes out the duplicates */
    check_bytes(vmx, "a = \"2\"\n");
    buf_put_str(&text, "a=1\n");
    CHECK_EQ(vmxfile_parse("t.vmx", text.data, text.len, &none, &err), -EBADMSG);
    CHECK_STR(err.text, "t.vmx:16385: too many lines");

    cleanup_free char *big = malloc(VMXFILE_SIZE_MAX + 1),
                      *value = calloc(1, VMXFILE_VALUE_MAX + 2);
    REQUIRE(big && value);
    memset(big, '\n', VMXFILE_SIZE_MAX + 1);
    CHECK_EQ(vmxfile_parse("t.vmx", big, VMXFILE_SIZE_MAX + 1, &none, &err), -EBADMSG);
    memset(value, 'x', VMXFILE_VALUE_MAX);
    CHECK_EQ(vmxfile_set(vmx, "v", value), 0);
    value[VMXFILE_VALUE_MAX] = 'x';
    CHECK_EQ(vmxfile_set(vmx, "w", value), -E2BIG);
    value[VMXFILE_KEY_MAX] = '\0';
    CHECK_EQ(vmxfile_set(vmx, value, "1"), 0);
    value[VMXFILE_KEY_MAX] = 'x';
    value[VMXFILE_KEY_MAX + 1] = '\0';
    CHECK_EQ(vmxfile_set(vmx, value, "1"), -EINVAL);
    CHECK_EQ(vmxfile_set(vmx, "a b", "1"), -EINVAL);
    CHECK_EQ(vmxfile_set(vmx, "", "1"), -EINVAL);
    CHECK_EQ(vmxfile_set(vmx, "a", "\xff"), -EINVAL);
}

static void size_limit_holds_while_setting(void)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL, *again = NULL;
    cleanup_free char *value = calloc(1, VMXFILE_VALUE_MAX + 1);
    cleanup_buf struct buf out = {0};
    int set = 0;

    REQUIRE(value && vmxfile_create("t.vmx", &vmx) == 0);
    memset(value, 'x', VMXFILE_VALUE_MAX);
    for (int i = 0; i < 32 && !set; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        set = vmxfile_set(vmx, key, value);
    }
    CHECK_EQ(set, -E2BIG);
    vmxfile_write(vmx, &out);
    CHECK(out.len <= VMXFILE_SIZE_MAX);
    CHECK_EQ(vmxfile_parse("t.vmx", out.data, out.len, &again, NULL), 0);
}

static void reads_types(void)
{
    cleanup_vmxfile struct vmxfile *vmx =
        parse("t = \"True\"\nf = \"no\"\none = \"1\"\nbad = \"maybe\"\n"
              "n = \"12\"\nneg = \"-5\"\nempty = \"\"\n",
              NULL);
    struct err err = ERR_INIT;
    bool b = false;
    uint64_t u = 9;
    int64_t s = 9;

    REQUIRE(vmx);
    CHECK(vmxfile_get_bool(vmx, "t", &b, &err) == 0 && b);
    CHECK(vmxfile_get_bool(vmx, "f", &b, &err) == 0 && !b);
    CHECK(vmxfile_get_bool(vmx, "one", &b, &err) == 0 && b);
    CHECK(vmxfile_get_bool(vmx, "absent", &b, &err) == 0 && b);
    CHECK_EQ(vmxfile_get_bool(vmx, "BAD", &b, &err), -EINVAL);
    CHECK_STR(err.text, "t.vmx:4: bad = \"maybe\": neither TRUE nor FALSE");
    CHECK(vmxfile_get_u64(vmx, "empty", 1, 2, &u, &err) == 0 && u == 9);
    CHECK(vmxfile_get_u64(vmx, "n", 1, 12, &u, &err) == 0 && u == 12);
    CHECK_EQ(vmxfile_get_u64(vmx, "n", 1, 11, &u, &err), -EINVAL);
    CHECK_STR(err.text, "t.vmx:5: n = \"12\": not a number from 1 to 11");
    CHECK(vmxfile_get_i64(vmx, "neg", -5, 5, &s, &err) == 0 && s == -5);
    CHECK_EQ(vmxfile_get_u64(vmx, "neg", 0, 11, &u, &err), -EINVAL);
}

static const char *golden(const char *name)
{
    static char path[512];
    const char *tests = getenv("SOCLE_TESTS");

    (void)snprintf(path, sizeof path, "%s/golden/vmx/%s", tests ? tests : "tests", name);
    return path;
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    int c;

    if (!file)
        return CHECK(file);
    while ((c = getc(file)) != EOF)
        buf_put_u8(out, (uint8_t)c);
    return fclose(file) == 0;
}

static void keeps_golden_files_byte_for_byte(void)
{
    static const char *const names[] = {"esxi8-debian.vmx", "esxi67-windows.vmx",
                                        "workstation-crlf.vmx", "socle-direct.vmx"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cleanup_vmxfile struct vmxfile *vmx = NULL;
        cleanup_buf struct buf want = {0}, got = {0};
        struct err err = ERR_INIT;
        if (!CHECK_EQ(vmxfile_load(golden(names[i]), &vmx, &err), 0)) {
            (void)printf("# %s\n", err.text);
            continue;
        }
        REQUIRE(read_file(golden(names[i]), &want));
        vmxfile_write(vmx, &got);
        CHECK_STR(buf_cstr(&got), buf_cstr(&want));
    }
}

static void saves_atomically(void)
{
    char folder[] = "/tmp/socle-vmxfile.XXXXXX", path[64], link[64];
    cleanup_vmxfile struct vmxfile *vmx = parse("a = \"1\"\n", NULL), *back = NULL;
    struct err err = ERR_INIT;
    struct stat st;

    REQUIRE(vmx && mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/vm.vmx", folder);
    (void)snprintf(link, sizeof link, "%s/link.vmx", folder);
    CHECK_EQ(symlink("vm.vmx", link), 0);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
    CHECK(fd >= 0 && fchmod(fd, 0640) == 0);
    (void)close_fd(fd);
    CHECK_EQ(vmxfile_save(vmx, link, &err), 0);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640 && st.st_size == 8);
    CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    CHECK_EQ(vmxfile_load(path, &back, &err), 0);
    CHECK_EQ(unlink(link), 0);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rmdir(folder), 0); /* so nothing else was left in it */
    CHECK_EQ(vmxfile_save(vmx, path, &err), -ENOENT);
    CHECK_EQ(vmxfile_load(path, &back, &err), -ENOENT);
    CHECK_EQ(vmxfile_load("/dev/null", &back, &err), -EBADMSG);
}

/* A file that is long enough for an index says the same as the lines one after the other do. */
static void long_files(void)
{
    static const char twice[] = "Twice = \"1\"\ntwice = \"2\"\n";
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    char key[40], value[40];

    REQUIRE(!vmxfile_parse("vm.vmx", twice, sizeof twice - 1, &vmx, NULL));
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(key, sizeof key, "%s%u.key%u", i % 2 ? "Slot" : "slot", i / 10, i % 10);
        (void)snprintf(value, sizeof value, "%u", i);
        CHECK_EQ(vmxfile_set(vmx, key, value), 0);
    }
    CHECK_STR(vmxfile_get(vmx, "TWICE"), "2");
    CHECK_EQ(vmxfile_set(vmx, "twice", "3"), 0); /* the first of the two goes */
    CHECK_EQ(vmxfile_set(vmx, "sLOT7.key3", "other"), 0);
    vmxfile_remove(vmx, "slot8.KEY4");
    vmxfile_remove(vmx, "slot8.none");
    vmxfile_remove_prefixed(vmx, "SLOT9.");
    unsigned found = 0, wrong = 0;
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(key, sizeof key, "SLOT%u.KEY%u", i / 10, i % 10);
        (void)snprintf(value, sizeof value, i == 73 ? "other" : "%u", i);
        const char *got = vmxfile_get(vmx, key);
        found += got != NULL;
        wrong += got && strcmp(got, value) != 0;
    }
    CHECK_EQ(found, 3000 - 1 - 10);
    CHECK_EQ(wrong, 0);
    CHECK_STR(vmxfile_get(vmx, "twice"), "3");
    size_t at = 0, keys = 0;
    while (vmxfile_next_key(vmx, &at))
        keys++;
    CHECK_EQ(keys, 3000 - 1 - 10 + 1);
    vmxfile_remove_prefixed(vmx, "");
    CHECK(!vmxfile_get(vmx, "twice"));
}

TAP_MAIN(TAP_CASE(reads_what_people_write), TAP_CASE(walks_keys_in_order),
         TAP_CASE(last_duplicate_counts), TAP_CASE(changes_one_line_only),
         TAP_CASE(first_foreign_text_makes_it_utf8), TAP_CASE(refuses_with_line),
         TAP_CASE(has_limits), TAP_CASE(size_limit_holds_while_setting), TAP_CASE(reads_types),
         TAP_CASE(long_files), TAP_CASE(keeps_golden_files_byte_for_byte),
         TAP_CASE(saves_atomically))
