/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware images and variable stores: the packaged ones where they are installed, and everything
 * that is not one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/firmware/efi_load.h"

enum { STORE = 64 << 10 };

static char dir[] = "/tmp/socle-efi-XXXXXX";
static char template_path[64], code_path[64], nvram_path[64];

static void write_at(const char *path, uint64_t at, const void *data, size_t len)
{
    cleanup_fd int fd = open(path, O_RDWR | O_CREAT, 0600);

    CHECK(fd >= 0 && pwrite(fd, data, len, (off_t)at) == (ssize_t)len);
}

/* A store with a right header, of `size` bytes. */
static void make_store(const char *path, uint64_t size, uint64_t fv_length)
{
    static const uint8_t guid[16] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                     0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
    uint8_t h[72] = {0};
    uint16_t sum = 0;

    memcpy(h + 16, guid, sizeof guid);
    le64_store(h + 32, fv_length);
    memcpy(h + 40, "_FVH", 4);
    le16_store(h + 48, sizeof h);
    for (unsigned i = 0; i < sizeof h; i += 2)
        sum = (uint16_t)(sum + le16_load(h + i));
    le16_store(h + 50, (uint16_t)-sum);
    (void)unlink(path);
    write_at(path, 0, h, sizeof h);
    CHECK_EQ(truncate(path, (off_t)size), 0);
}

static void set_up(void)
{
    static const uint8_t zero[4096];

    if (!*code_path)
        CHECK(mkdtemp(dir));
    (void)snprintf(template_path, sizeof template_path, "%s/vars.fd", dir);
    (void)snprintf(code_path, sizeof code_path, "%s/code.fd", dir);
    (void)snprintf(nvram_path, sizeof nvram_path, "%s/vm.nvram", dir);
    make_store(template_path, STORE, STORE);
    write_at(code_path, 0, zero, sizeof zero);
    CHECK_EQ(truncate(code_path, 256 << 10), 0);
    (void)unlink(nvram_path);
}

static int open_pair(int *ret_code, int *ret_vars, struct err *err)
{
    struct efi_paths paths = {
        .code = code_path, .vars_template = template_path, .nvram = nvram_path};

    *err = ERR_INIT;
    return efi_open(&paths, ret_code, ret_vars, err);
}

static void store_is_made_and_kept(void)
{
    struct err err;
    struct rom vars = {0}, code = {0};
    int code_fd = -1, vars_fd = -1;

    set_up();
    REQUIRE(!open_pair(&code_fd, &vars_fd, &err));
    REQUIRE(!efi_vars_map(vars_fd, &vars, &err) && !efi_code_map(code_fd, &code, &err));
    CHECK_EQ(vars.size, STORE);
    CHECK_EQ(bios_base(&code), GMEM_HIGH - (256 << 10));
    ((uint8_t *)vars.data)[STORE - 1] = 0x5a;
    rom_unmap(&vars);
    rom_unmap(&code);

    int again = -1, code2 = -1;
    CHECK_EQ(open_pair(&code2, &again, &err), -EBUSY); /* somebody has it */
    CHECK(strstr(err.text, "in use"));
    CHECK_EQ(again, -1);
    (void)close_fd(vars_fd);
    (void)close_fd(code_fd);

    REQUIRE(!open_pair(&code_fd, &vars_fd, &err));
    REQUIRE(!efi_vars_map(vars_fd, &vars, &err));
    CHECK_EQ(((uint8_t *)vars.data)[STORE - 1], 0x5a);
    rom_unmap(&vars);
    (void)close_fd(vars_fd);
    (void)close_fd(code_fd);
    struct stat st;
    CHECK_EQ(stat(nvram_path, &st), 0);
    CHECK_EQ(st.st_nlink, 1);
    CHECK_EQ(st.st_mode & 07777, 0600);
}

static void check_refused(const char *text)
{
    struct err err;
    int code = -1, vars = -1;
    struct stat before, after;

    CHECK_EQ(stat(nvram_path, &before), 0);
    CHECK(open_pair(&code, &vars, &err) < 0);
    CHECK(code == -1 && vars == -1);
    if (!CHECK(strstr(err.text, text) && strstr(err.text, nvram_path)))
        (void)printf("# %s\n", err.text);
    CHECK_EQ(stat(nvram_path, &after), 0);
    CHECK(before.st_ino == after.st_ino && before.st_size == after.st_size);
}

static void foreign_stores_are_refused(void)
{
    set_up();
    write_at(nvram_path, 0, "my diary", 8);
    check_refused("is not a UEFI variable store");

    make_store(nvram_path, STORE, STORE);
    write_at(nvram_path, 16, "x", 1);
    check_refused("not of variables");

    make_store(nvram_path, STORE, STORE);
    write_at(nvram_path, 50, "\xff", 1);
    check_refused("checksum");

    make_store(nvram_path, STORE, STORE);
    write_at(nvram_path, 48, "\xff\xff", 2);
    check_refused("header length");

    make_store(nvram_path, STORE / 2, STORE);
    check_refused("truncated");

    make_store(nvram_path, STORE * 2, STORE * 2);
    check_refused("another firmware");

    make_store(nvram_path, 0, 0);
    check_refused("is not a UEFI variable store");

    (void)unlink(nvram_path);
    CHECK_EQ(mkdir(nvram_path, 0700), 0);
    check_refused("");
    (void)rmdir(nvram_path);
    CHECK_EQ(symlink(template_path, nvram_path), 0);
    int code = -1, vars = -1;
    struct err err;
    CHECK(open_pair(&code, &vars, &err) < 0);
    CHECK_EQ(vars, -1);
    (void)unlink(nvram_path);
}

static void missing_firmware_names_the_package(void)
{
    struct efi_paths paths = {.code = "/nonexistent/OVMF.fd", .vars_template = template_path};
    struct err err = ERR_INIT;
    int code = -1, vars = -1;

    set_up();
    CHECK_EQ(efi_open(&paths, &code, &vars, &err), -ENOENT);
    CHECK_STR(err.text,
              "UEFI firmware \"/nonexistent/OVMF.fd\" is not there; Debian's package ovmf "
              "has it");
    err = ERR_INIT;
    CHECK_EQ(bios_open("/nonexistent/bios.bin", &code, &err), -ENOENT);
    CHECK(strstr(err.text, "package seabios"));
    CHECK_EQ(truncate(code_path, 70000), 0);
    CHECK_EQ(bios_open(code_path, &code, &err), -EINVAL);
    CHECK(strstr(err.text, "70000 bytes"));
}

/* Both builds that Debian packages, with the sizes that make 4 MiB together. */
static void packaged_firmware_is_accepted(void)
{
    set_up();
    if (access(EFI_CODE_PATH, R_OK) < 0 || access(BIOS_PATH, R_OK) < 0) {
        (void)printf("# skipped: no ovmf, no seabios\n");
        return;
    }
    for (int secure = 0; secure < 2; secure++) {
        struct efi_paths paths = {.secure_boot = secure};
        struct rom code = {0}, vars = {0};
        struct err err = ERR_INIT;
        int code_fd = -1, vars_fd = -1;
        if (!CHECK(!efi_open(&paths, &code_fd, &vars_fd, &err)))
            (void)printf("# %s\n", err.text);
        REQUIRE(!efi_code_map(code_fd, &code, &err) && !efi_vars_map(vars_fd, &vars, &err));
        CHECK_EQ(code.size + vars.size, MIB(4));
        rom_unmap(&code);
        rom_unmap(&vars);
        (void)close_fd(code_fd);
        (void)close_fd(vars_fd);
    }
}

static void bios_is_shadowed(void)
{
    struct gmem *gmem;
    struct rom rom = {0};
    uint8_t byte = 0;
    int fd = -1;

    set_up();
    write_at(code_path, (128 << 10), "\x11", 1);
    write_at(code_path, (256 << 10) - 1, "\x22", 1);
    REQUIRE(!bios_open(code_path, &fd, NULL) && !bios_map(fd, &rom, NULL));
    REQUIRE(!gmem_create(MIB(4), GMEM_PAGES_AUTO, &gmem, NULL));
    CHECK_EQ(bios_shadow(&rom, gmem), 0);
    CHECK_EQ(gmem_read(gmem, gpa(BIOS_SHADOW_BASE), &byte, 1), 0);
    CHECK_EQ(byte, 0x11);
    CHECK_EQ(gmem_read(gmem, gpa(MIB(1) - 1), &byte, 1), 0);
    CHECK_EQ(byte, 0x22);
    CHECK_EQ(gmem_read(gmem, gpa(BIOS_SHADOW_BASE - 1), &byte, 1), 0);
    CHECK_EQ(byte, 0);
    gmem_destroy(gmem);
    rom_unmap(&rom);
    (void)close_fd(fd);
}

static void clean_up(void)
{
    (void)unlink(template_path);
    (void)unlink(code_path);
    (void)unlink(nvram_path);
    CHECK_EQ(rmdir(dir), 0); /* nothing else was left there */
}

TAP_MAIN(TAP_CASE(store_is_made_and_kept), TAP_CASE(foreign_stores_are_refused),
         TAP_CASE(missing_firmware_names_the_package), TAP_CASE(packaged_firmware_is_accepted),
         TAP_CASE(bios_is_shadowed), TAP_CASE(clean_up))
