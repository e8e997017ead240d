/* SPDX-License-Identifier: Apache-2.0 */
/* `socle disk`. See docs/man/socle-disk.1. Everything that reads opens read-only and looks inside
 * for the format, which is right for a tool and would be wrong for a running guest. */
#include "cli/cmd_disk.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/parse_num.h"
#include "base/range.h"
#include "disk/disk.h"

struct options {
    const char *format, *from, *provision, *adapter, *size, *parent;
    enum aio_engine engine;
    bool json, quiet;
    unsigned count;
    char **names;
};

static const char usage_text[] =
    "Usage: socle disk COMMAND [OPTION]... FILE...\n"
    "\n"
    "  create --size SIZE [--format F] [--provision P] [--adapter A] FILE\n"
    "                     make an empty disk\n"
    "  create --parent FILE CHILD\n"
    "                     make a disk that holds what changes from FILE on (a snapshot)\n"
    "  merge CHILD        bring what CHILD holds into its parent, and remove CHILD\n"
    "  info [--json] FILE show what a disk is\n"
    "  check [--json] FILE\n"
    "                     look for damage; exit status 4 when there is some\n"
    "  map [--json] FILE  list which parts hold data\n"
    "  convert [--format F] [--provision P] SOURCE TARGET\n"
    "                     copy a disk to another format\n"
    "  extend --size SIZE FILE\n"
    "                     a larger size\n"
    "  defragment FILE    write a sparse disk anew, in the order of its content\n"
    "  shrink FILE        give back the room of what reads zero\n"
    "  inflate FILE       give all of it its room\n"
    "\n"
    "  --size SIZE        bytes, or a number with K, M, G or T\n"
    "  --format F         of what is made: raw, vmdk-flat, vmdk-sparse, vmdk-stream\n"
    "                     (default: vmdk-flat for .vmdk, raw for .img, .raw, .iso)\n"
    "  --provision P      thin (default), lazy (room reserved), eager (zeroed)\n"
    "  --adapter A        lsilogic (default), buslogic, ide, pvscsi\n"
    "  --from F           what SOURCE or FILE is: raw or vmdk (default: look inside)\n"
    "  --engine E         auto, uring or plain file I/O\n"
    "  --quiet            no progress bar\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 usage, 3 file missing or unusable, 4 damage found, "
    "130 cancelled.\n";

static volatile sig_atomic_t cancelled;

static void on_signal(int sig)
{
    cancelled = 1;
}

static int failed(const struct err *err)
{
    (void)fprintf(stderr, "socle disk: %s\n", err->text);
    return err->code == -ECANCELED ? DISK_EXIT_CANCELLED : DISK_EXIT_FAILED;
}

static int bad_file(const struct err *err)
{
    (void)failed(err);
    return DISK_EXIT_BAD_FILE;
}

static int usage(const char *what, const char *which)
{
    (void)fprintf(stderr, "socle disk: %s%s (see socle disk --help)\n", what, which);
    return DISK_EXIT_USAGE;
}

/* -- Progress ------------------------------------------------------------------------------------
 */

struct progress {
    bool shown;
    int percent;
};

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
    enum { WIDTH = 40 };
    struct progress *progress = ctx;
    int percent = total ? (int)((long double)done * 100 / total) : 100;
    char bar[WIDTH + 1] = {0};

    if (progress->shown && percent != progress->percent) {
        memset(bar, '#', (size_t)(percent * WIDTH / 100));
        (void)fprintf(stderr, "\r[%-*s] %3d %%%s", WIDTH, bar, percent, done == total ? "\n" : "");
        progress->percent = percent;
    }
    return cancelled ? -ECANCELED : 0;
}

/* Ctrl-C asks; the library undoes what it began. */
static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
}

/* -- A disk that is read -------------------------------------------------------------------------
 */

struct opened {
    struct disk_dir dir;
    struct disk *disk;
};

static void opened_close(struct opened *opened)
{
    disk_close(opened->disk);
    disk_dir_close(&opened->dir);
}
#define OPENED_INIT  \
    {                \
        .dir.fd = -1 \
    }

static void warn_about_name(const struct disk *disk, const char *name)
{
    const char *dot = strrchr(name, '.');
    struct disk_info info;

    disk_get_info(disk, &info);
    if (dot && strcasecmp(dot, ".vmdk") && !strcmp(info.format, "vmdk"))
        (void)fprintf(stderr,
                      "socle disk: warning: \"%s\" is read as VMDK because it begins like one; "
                      "--from raw reads it as it is\n",
                      name);
}

static int open_source(const struct options *options, const char *path, unsigned flags,
                       struct aio *aio, struct opened *ret_opened, struct err *err)
{
    struct disk_options how = {.flags = DISK_READONLY | DISK_PROBE | DISK_DEVICE | flags,
                               .format = options->from};
    const char *name;
    int rc = disk_dir_open_for(&ret_opened->dir, path, &name, err);

    rc = rc ? rc : disk_open(&ret_opened->dir.host, name, &how, aio, &ret_opened->disk, err);
    if (!rc && !options->from)
        warn_about_name(ret_opened->disk, name);
    return rc;
}

/* -- info, check, map ----------------------------------------------------------------------------
 */

static void print_json_string(const char *text)
{
    (void)putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            (void)printf("\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            (void)printf("\\u%04x", c);
        else
            (void)putchar(c);
    }
    (void)putchar('"');
}

static void print_info_json(const struct disk_info *info)
{
    (void)printf("{\"format\": \"%s\", \"createType\": \"%s\", \"size\": %" PRIu64
                 ", \"room\": %" PRIu64 ", \"grain\": %u, \"cid\": \"%08x\", \"extents\": %u, "
                 "\"thin\": %s, \"unclean\": %s, \"adapter\": ",
                 info->format, info->create_type, info->size, info->room, info->grain, info->cid,
                 info->extents, info->thin ? "true" : "false", info->unclean ? "true" : "false");
    print_json_string(info->adapter);
    (void)printf(", \"uuid\": ");
    print_json_string(info->uuid);
    (void)printf(", \"ancestors\": %u, \"parent\": ", info->ancestors);
    print_json_string(info->parent);
    (void)printf("}\n");
}

/* Text of a hostile file goes to a terminal: only what is printable. */
static void print_text(const char *key, const char *text)
{
    (void)printf("%-14s", key);
    for (; *text; text++)
        (void)putchar(*text >= 0x20 && *text < 0x7f ? *text : '?');
    (void)putchar('\n');
}

static void print_info(const struct disk_info *info)
{
    (void)printf("%-14s%s %s\n", "format", info->format, info->create_type);
    (void)printf("%-14s%" PRIu64 " bytes (%.2f GiB)\n", "size", info->size,
                 (double)info->size / (double)GIB(1));
    (void)printf("%-14s%" PRIu64 " bytes\n", "takes", info->room);
    if (info->grain)
        (void)printf("%-14s%u bytes\n", "grain", info->grain);
    (void)printf("%-14s%s\n", "thin", info->thin ? "yes" : "no");
    if (strcmp(info->format, "raw")) {
        (void)printf("%-14s%u\n%-14s%08x\n", "extents", info->extents, "content id", info->cid);
        print_text("adapter", info->adapter);
        print_text("uuid", info->uuid);
    }
    if (info->ancestors) {
        print_text("parent", info->parent);
        (void)printf("%-14s%u\n", "ancestors", info->ancestors);
    }
    if (info->unclean)
        (void)printf("%-14s%s\n", "closed", "no: in use, or its writer died");
}

static int cmd_info(const struct options *options, struct aio *aio, struct err *err)
{
    CLEANUP(opened_close) struct opened opened = OPENED_INIT;
    struct disk_info info;

    /* Header and descriptor only, so a disk in use can be looked at too. */
    if (open_source(options, options->names[0], DISK_NOLOCK, aio, &opened, err))
        return bad_file(err);
    disk_get_info(opened.disk, &info);
    if (options->json)
        print_info_json(&info);
    else
        print_info(&info);
    return DISK_EXIT_OK;
}

static void on_problem(void *ctx, const char *text)
{
    (void)fprintf(stderr, "%s: %s\n", (const char *)ctx, text);
}

static int cmd_check(const struct options *options, struct aio *aio, struct err *err)
{
    CLEANUP(opened_close) struct opened opened = OPENED_INIT;
    struct disk_check check = {.problem = on_problem, .ctx = options->names[0]};

    if (open_source(options, options->names[0], 0, aio, &opened, err))
        return bad_file(err);
    if (disk_check(opened.disk, &check, err))
        return failed(err);
    if (options->json)
        (void)printf("{\"problems\": %" PRIu64 ", \"leaks\": %" PRIu64 ", \"used\": %" PRIu64 "}\n",
                     check.problems, check.leaks, check.used);
    else
        (void)printf("%s: %" PRIu64 " problems, %" PRIu64 " grains in use, %" PRIu64
                     " grains unused\n",
                     options->names[0], check.problems, check.used, check.leaks);
    return check.problems ? DISK_EXIT_DAMAGED : DISK_EXIT_OK;
}

static void print_part(const struct options *options, uint64_t start, uint64_t end,
                       enum disk_state state, bool first)
{
    const char *name = state == DISK_DATA ? "data" : state == DISK_ZERO ? "zero" : "hole";

    if (options->json)
        (void)printf("%s{\"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"state\": \"%s\"}",
                     first ? "" : ",\n ", start, end - start, name);
    else
        (void)printf("%16" PRIu64 " %16" PRIu64 " %s\n", start, end - start, name);
}

static int cmd_map(const struct options *options, struct aio *aio, struct err *err)
{
    CLEANUP(opened_close) struct opened opened = OPENED_INIT;
    enum disk_state state = DISK_HOLE, part = DISK_HOLE;
    uint64_t at = 0, start = 0, length;
    bool first = true;

    if (open_source(options, options->names[0], 0, aio, &opened, err))
        return bad_file(err);
    if (options->json)
        (void)putchar('[');
    for (; at < disk_size(opened.disk) && !cancelled; at += length) {
        int rc = disk_map(opened.disk, at, &state, &length);
        if (rc) {
            (void)err_sys(err, rc, "cannot map \"%s\" at %" PRIu64, options->names[0], at);
            return failed(err);
        }
        if (at && state != part) {
            print_part(options, start, at, part, first);
            first = false;
            start = at;
        }
        part = state;
    }
    print_part(options, start, at, part, first);
    if (options->json)
        (void)printf("]\n");
    return cancelled ? DISK_EXIT_CANCELLED : DISK_EXIT_OK;
}

/* -- create, convert -----------------------------------------------------------------------------
 */

/* 0, or the exit status. */
static int make_spec(const struct options *options, const char *name, struct disk_spec *ret_spec)
{
    static const char *const adapters[] = {"lsilogic", "buslogic", "ide", "pvscsi"};
    const char *dot = strrchr(name, '.');
    size_t i = 0;

    *ret_spec =
        (struct disk_spec){.adapter = options->adapter,
                           .format = dot && !strcasecmp(dot, ".vmdk") ? DISK_VMDK_FLAT : DISK_RAW};
    if (options->format && !disk_format_parse(options->format, &ret_spec->format))
        return usage("unknown format ", options->format);
    if (options->provision && !disk_provision_parse(options->provision, &ret_spec->provision))
        return usage("unknown provisioning ", options->provision);
    while (options->adapter && i < ARRAY_SIZE(adapters) && strcmp(options->adapter, adapters[i]))
        i++;
    return i == ARRAY_SIZE(adapters) ? usage("unknown adapter ", options->adapter) : 0;
}

static int cmd_create(const struct options *options, struct aio *aio, struct err *err)
{
    struct progress progress = {.shown = !options->quiet && isatty(STDERR_FILENO), .percent = -1};
    CLEANUP(disk_dir_close) struct disk_dir dir = {.fd = -1};
    struct disk_spec spec;
    const char *name;
    int status = make_spec(options, options->names[0], &spec);

    if (status)
        return status;
    if (options->parent) {
        spec.parent = options->parent;
        spec.format = options->format ? spec.format : DISK_VMDK_SPARSE;
    }
    if (!options->size && !options->parent)
        return usage("create needs --size or --parent", "");
    if (options->size && parse_size(options->size, 1, &spec.size))
        return usage("not a size: ", options->size);
    if (disk_dir_open_for(&dir, options->names[0], &name, err) ||
        disk_create(&dir.host, name, &spec, aio, on_progress, &progress, err))
        return failed(err);
    return DISK_EXIT_OK;
}

static int cmd_convert(const struct options *options, struct aio *aio, struct err *err)
{
    struct progress progress = {.shown = !options->quiet && isatty(STDERR_FILENO), .percent = -1};
    CLEANUP(opened_close) struct opened opened = OPENED_INIT;
    CLEANUP(disk_dir_close) struct disk_dir dir = {.fd = -1};
    struct disk_spec spec;
    const char *name;
    int status = make_spec(options, options->names[1], &spec);

    if (status)
        return status;
    if (open_source(options, options->names[0], 0, aio, &opened, err))
        return bad_file(err);
    if (disk_dir_open_for(&dir, options->names[1], &name, err) ||
        disk_convert(opened.disk, &dir.host, name, &spec, aio, on_progress, &progress, err))
        return failed(err);
    return DISK_EXIT_OK;
}

static int cmd_merge(const struct options *options, struct aio *aio, struct err *err)
{
    struct progress progress = {.shown = !options->quiet && isatty(STDERR_FILENO), .percent = -1};
    CLEANUP(disk_dir_close) struct disk_dir dir = {.fd = -1};
    const char *name;
    int rc = disk_dir_open_for(&dir, options->names[0], &name, err);

    rc = rc ? rc : disk_merge(&dir.host, name, aio, on_progress, &progress, err);
    if (rc)
        return failed(err);
    rc = dir.host.unlink(&dir.host, name);
    rc = rc ? rc : dir.host.sync(&dir.host);
    if (rc) {
        (void)err_sys(err, rc, "merged, but cannot remove \"%s\"", options->names[0]);
        return failed(err);
    }
    return DISK_EXIT_OK;
}

typedef int change_fn(const struct disk_host *host, const char *name, struct aio *aio,
                      disk_progress_fn *progress, void *ctx, struct err *err);

static int change(const struct options *options, change_fn *run, struct aio *aio, struct err *err)
{
    struct progress progress = {.shown = !options->quiet && isatty(STDERR_FILENO), .percent = -1};
    CLEANUP(disk_dir_close) struct disk_dir dir = {.fd = -1};
    const char *name;
    int rc = disk_dir_open_for(&dir, options->names[0], &name, err);

    rc = rc ? rc : run(&dir.host, name, aio, on_progress, &progress, err);
    return rc ? failed(err) : DISK_EXIT_OK;
}

static int cmd_extend(const struct options *options, struct aio *aio, struct err *err)
{
    struct progress progress = {.shown = !options->quiet && isatty(STDERR_FILENO), .percent = -1};
    CLEANUP(disk_dir_close) struct disk_dir dir = {.fd = -1};
    const char *name;
    uint64_t size;

    if (!options->size)
        return usage("extend needs --size", "");
    if (parse_size(options->size, 1, &size))
        return usage("not a size: ", options->size);
    if (disk_dir_open_for(&dir, options->names[0], &name, err) ||
        disk_extend(&dir.host, name, size, false, aio, on_progress, &progress, err))
        return failed(err);
    return DISK_EXIT_OK;
}

static int cmd_defragment(const struct options *options, struct aio *aio, struct err *err)
{
    return change(options, disk_defragment, aio, err);
}

static int cmd_shrink(const struct options *options, struct aio *aio, struct err *err)
{
    return change(options, disk_shrink, aio, err);
}

static int cmd_inflate(const struct options *options, struct aio *aio, struct err *err)
{
    return change(options, disk_inflate, aio, err);
}

/* -- The command line ----------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    unsigned files;
    int (*run)(const struct options *options, struct aio *aio, struct err *err);
} commands[] = {
    {"create", 1, cmd_create},   {"info", 1, cmd_info},
    {"check", 1, cmd_check},     {"map", 1, cmd_map},
    {"convert", 2, cmd_convert}, {"merge", 1, cmd_merge},
    {"extend", 1, cmd_extend},   {"defragment", 1, cmd_defragment},
    {"shrink", 1, cmd_shrink},   {"inflate", 1, cmd_inflate},
};

/* 0, or the exit status + 1 (help is a success). */
static int parse(int argc, char **argv, struct options *options)
{
    enum { FORMAT = 1, FROM, PROVISION, ADAPTER, SIZE, PARENT, ENGINE, JSON, QUIET, HELP };
    static const struct option longs[] = {
        {"format", 1, NULL, FORMAT},   {"from", 1, NULL, FROM}, {"provision", 1, NULL, PROVISION},
        {"adapter", 1, NULL, ADAPTER}, {"size", 1, NULL, SIZE}, {"parent", 1, NULL, PARENT},
        {"engine", 1, NULL, ENGINE},   {"json", 0, NULL, JSON}, {"quiet", 0, NULL, QUIET},
        {"help", 0, NULL, HELP},       {NULL, 0, NULL, 0},
    };
    const char **texts[] = {
        NULL,           &options->format, &options->from, &options->provision, &options->adapter,
        &options->size, &options->parent};
    int option;

    optind = 0; /* glibc: a new scan */
    opterr = 0;
    while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (option >= FORMAT && option <= PARENT)
            *texts[option] = optarg;
        else if (option == ENGINE && !aio_engine_parse(optarg, &options->engine))
            return usage("unknown engine ", optarg) + 1;
        else if (option == JSON)
            options->json = true;
        else if (option == QUIET)
            options->quiet = true;
        else if (option == HELP || option == 'h')
            return (void)fputs(usage_text, stdout), DISK_EXIT_OK + 1;
        else if (option == '?')
            return usage("unknown option, or one without its value: ", argv[optind - 1]) + 1;
    }
    options->names = argv + optind;
    options->count = (unsigned)(argc - optind);
    return 0;
}

static int run(unsigned command, const struct options *options)
{
    cleanup_aio struct aio *aio = NULL;
    struct err err = ERR_INIT;

    if (options->count != commands[command].files)
        return usage(commands[command].files == 1 ? "expected one file after "
                                                  : "expected two files after ",
                     commands[command].name);
    if (aio_create(options->engine, &aio, &err))
        return failed(&err);
    catch_signals();
    return commands[command].run(options, aio, &err);
}

int cmd_disk(int argc, char **argv)
{
    struct options options = {0};
    int status;

    if (argc < 2)
        return usage("no command", "");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return (void)fputs(usage_text, stdout), DISK_EXIT_OK;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (!strcmp(argv[1], commands[i].name)) {
            status = parse(argc - 1, argv + 1, &options);
            return status ? status - 1 : run(i, &options);
        }
    return usage("unknown command ", argv[1]);
}
