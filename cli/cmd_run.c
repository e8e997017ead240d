/* SPDX-License-Identifier: Apache-2.0 */
/* `socle run`: reads the .vmx file if there is one, lays the options over it, runs the VM in the
 * foreground and turns its end into an exit status. */
#include "cli/cmd_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parse_num.h"
#include "cli/exit.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "config/nvram.h"
#include "config/vmcfg.h"
#include "vm/process/run.h"

/* What the options are applied to. */
struct run {
    struct vmcfg cfg;
    bool nics_given; /* the first --nic takes the place of the file's cards */
};

static int replace(char **field, const char *value, struct err *err)
{
    char *copy = strdup(value);

    if (!copy)
        return err_sys(err, -ENOMEM, "text");
    free(*field);
    *field = copy;
    return 0;
}

static int set_name(void *ctx, const char *value, struct err *err)
{
    return replace(&((struct run *)ctx)->cfg.name, value, err);
}

static int set_engine(void *ctx, const char *value, struct err *err)
{
    struct run *run = ctx;
    int rc = vmcfg_engine_parse(value, &run->cfg.engine);

    return rc < 0 ? err_set(err, rc, "not auto, kvm or bt") : 0;
}

static int set_cpus(void *ctx, const char *value, struct err *err)
{
    struct vmcfg *cfg = &((struct run *)ctx)->cfg;

    if (parse_unsigned(value, 1, VMCFG_CPUS_MAX, &cfg->cpus) < 0)
        return err_set(err, -EINVAL, "not a number from 1 to %d", VMCFG_CPUS_MAX);
    if (cfg->cores_per_socket && cfg->cpus % cfg->cores_per_socket)
        cfg->cores_per_socket = 0; /* the file's does not fit: all in one socket */
    return 0;
}

static int set_memory(void *ctx, const char *value, struct err *err)
{
    struct run *run = ctx;
    uint64_t size = 0;
    int rc = parse_size(value, MIB(1), &size);

    if (rc == -EINVAL)
        return err_set(err, rc, "not a size; write megabytes, or a number with K, M, G or T");
    if (rc < 0 || size < VMCFG_MEMORY_MIN || size > VMCFG_MEMORY_MAX || size % VMCFG_MEMORY_UNIT)
        return err_set(err, -EINVAL, "give a multiple of 4 MB, from 4 MB to 16 TB");
    run->cfg.memory = size;
    return 0;
}

static int set_firmware(void *ctx, const char *value, struct err *err)
{
    struct run *run = ctx;
    int rc = vmcfg_firmware_parse(value, &run->cfg.firmware);

    return rc < 0 ? err_set(err, rc, "not uefi, bios or none") : 0;
}

static int set_kernel(void *ctx, const char *value, struct err *err)
{
    return replace(&((struct run *)ctx)->cfg.kernel, value, err);
}

static int set_initrd(void *ctx, const char *value, struct err *err)
{
    return replace(&((struct run *)ctx)->cfg.initrd, value, err);
}

static int set_append(void *ctx, const char *value, struct err *err)
{
    return replace(&((struct run *)ctx)->cfg.append, value, err);
}

static int set_debug_exit(void *ctx, const char *value, struct err *err)
{
    struct run *run = ctx;

    return parse_unsigned(value, 1, VMCFG_DEBUG_EXIT_MAX, &run->cfg.debug_exit) < 0
               ? err_set(err, -EINVAL, "not an I/O port, like 0xf4")
               : 0;
}

/* "FILE,key=value,flag" in pieces. Two commas stand for one within a piece. */

/* Cuts the next piece off *rest, in place; NULL when none is left. */
static char *next_piece(char **rest)
{
    char *piece = *rest, *from = piece, *to = piece;

    if (!piece)
        return NULL;
    for (; *from; from++) {
        if (*from == ',' && from[1] != ',')
            break;
        from += *from == ',';
        *to++ = *from;
    }
    *rest = *from ? from + 1 : NULL;
    *to = '\0';
    return piece;
}

/* Is this piece KEY=value? Then *ret_value is the value. */
static bool piece_is(const char *piece, const char *key, const char **ret_value)
{
    size_t len = strlen(key);

    if (strncmp(piece, key, len) || piece[len] != '=')
        return false;
    *ret_value = piece + len + 1;
    return true;
}

static int slot_piece(const char *value, unsigned *ret_slot, struct err *err)
{
    return parse_unsigned(value, 1, VMCFG_SLOTS_MAX, ret_slot) < 0
               ? err_set(err, -EINVAL, "slot \"%s\" is not a number from 1 to %d", value,
                         VMCFG_SLOTS_MAX)
               : 0;
}

/* What is said of a disk behind its file name. */
static int disk_piece(struct vmcfg_disk *disk, enum vmcfg_bus *bus, const char *piece,
                      struct err *err)
{
    const char *value;

    if (!strcmp(piece, "readonly")) {
        disk->readonly = true;
        return 0;
    }
    if (piece_is(piece, "bus", &value))
        return vmcfg_bus_parse(value, bus) < 0
                   ? err_set(err, -EINVAL, "bus \"%s\" is not virtio, scsi, sata, nvme or ide",
                             value)
                   : 0;
    if (piece_is(piece, "format", &value))
        return vmcfg_disk_format_parse(value, &disk->format) < 0
                   ? err_set(err, -EINVAL, "format \"%s\" is not auto, raw or vmdk", value)
                   : 0;
    if (piece_is(piece, "slot", &value))
        return slot_piece(value, &disk->slot, err);
    return err_set(
        err, -EINVAL,
        "\"%s\" is not bus=BUS, format=FORMAT, slot=N or readonly (a comma in a file name is "
        "written twice)",
        piece);
}

static int add_disk(struct vmcfg *cfg, const char *text, bool cdrom, struct err *err)
{
    cleanup_free char *copy = strdup(text), *file = NULL;
    struct vmcfg_disk wanted = {.cdrom = cdrom, .bus = cdrom ? VMCFG_BUS_SATA : VMCFG_BUS_VIRTIO};
    char *rest = copy;
    int rc = 0;

    if (!copy || !(file = strdup(next_piece(&rest))))
        return err_sys(err, -ENOMEM, "disk");
    if (!*file)
        return err_set(err, -EINVAL, "a file name is missing");
    for (char *piece; !rc && (piece = next_piece(&rest));)
        rc = disk_piece(&wanted, &wanted.bus, piece, err);
    if (rc < 0)
        return rc;
    struct vmcfg_disk *disk = vmcfg_add_disk(cfg, wanted.bus, err);
    if (!disk)
        return -E2BIG;
    disk->cdrom = wanted.cdrom;
    disk->readonly = wanted.readonly || wanted.cdrom;
    disk->format = wanted.format;
    disk->slot = wanted.slot;
    disk->file = TAKE_PTR(file);
    return 0;
}

static int set_disk(void *ctx, const char *value, struct err *err)
{
    return add_disk(&((struct run *)ctx)->cfg, value, false, err);
}

static int set_cdrom(void *ctx, const char *value, struct err *err)
{
    return add_disk(&((struct run *)ctx)->cfg, value, true, err);
}

static int nic_connection(struct vmcfg_nic *nic, const char *piece, struct err *err)
{
    const char *ifname;

    if (!strcmp(piece, "user"))
        return 0;
    if (!piece_is(piece, "tap", &ifname))
        return err_set(err, -EINVAL, "\"%s\" is not user or tap=IFNAME", piece);
    if (!*ifname || strlen(ifname) > VMCFG_IFNAME_MAX)
        return err_set(err, -EINVAL, "an interface's name has 1 to %d bytes", VMCFG_IFNAME_MAX);
    nic->type = VMCFG_NIC_TAP;
    (void)snprintf(nic->ifname, sizeof nic->ifname, "%s", ifname);
    return 0;
}

static int nic_piece(struct vmcfg_nic *nic, const char *piece, struct err *err)
{
    const char *value;

    if (piece_is(piece, "model", &value))
        return vmcfg_nic_model_parse(value, &nic->model) < 0
                   ? err_set(err, -EINVAL,
                             "model \"%s\" is not virtio, vmxnet3, e1000, e1000e or "
                             "vlance",
                             value)
                   : 0;
    if (piece_is(piece, "slot", &value))
        return slot_piece(value, &nic->slot, err);
    if (piece_is(piece, "queues", &value))
        return parse_unsigned(value, 1, VMCFG_NIC_QUEUES_MAX, &nic->queues) < 0
                   ? err_set(err, -EINVAL, "queues \"%s\" is not a number from 1 to %d", value,
                             VMCFG_NIC_QUEUES_MAX)
                   : 0;
    if (!piece_is(piece, "mac", &value))
        return err_set(err, -EINVAL, "\"%s\" is not model=MODEL, mac=ADDRESS, queues=N or slot=N",
                       piece);
    nic->mac_static = true;
    return vmcfg_mac_parse(value, nic->mac) < 0
               ? err_set(err, -EINVAL, "\"%s\" is not an address like 00:50:56:00:00:01", value)
               : 0;
}

static int set_nic(void *ctx, const char *value, struct err *err)
{
    struct run *run = ctx;
    cleanup_free char *copy = strdup(value);
    char *rest = copy;

    if (!run->nics_given)
        run->cfg.nic_count = 0;
    run->nics_given = true;
    struct vmcfg_nic *nic = copy ? vmcfg_add_nic(&run->cfg, err) : NULL;
    if (!nic)
        return -E2BIG;
    int rc = nic_connection(nic, next_piece(&rest), err);
    for (char *piece; !rc && (piece = next_piece(&rest));)
        rc = nic_piece(nic, piece, err);
    return rc;
}

static int set_stream(struct vmcfg_stream *stream, const char *value, struct err *err)
{
    const char *path = NULL;

    if (!strcmp(value, "stdio"))
        stream->type = VMCFG_STREAM_STDIO;
    else if (!strcmp(value, "none"))
        stream->type = VMCFG_STREAM_NONE;
    else if (piece_is(value, "unix", &path))
        stream->type = VMCFG_STREAM_UNIX;
    else if (piece_is(value, "file", &path))
        stream->type = VMCFG_STREAM_FILE;
    else
        return err_set(err, -EINVAL, "not stdio, unix=PATH, file=PATH or none");
    if (path && !*path)
        return err_set(err, -EINVAL, "a path is missing");
    return path ? replace(&stream->path, path, err) : 0;
}

static int set_serial(void *ctx, const char *value, struct err *err)
{
    return set_stream(&((struct run *)ctx)->cfg.serial, value, err);
}

static int set_console(void *ctx, const char *value, struct err *err)
{
    return set_stream(&((struct run *)ctx)->cfg.console, value, err);
}

/* ADDR:PORT; an IPv6 address may stand in brackets, and no address is this machine itself. */
static int set_vnc(void *ctx, const char *value, struct err *err)
{
    struct vmcfg *cfg = &((struct run *)ctx)->cfg;
    const char *colon = strrchr(value, ':');
    size_t len = colon ? (size_t)(colon - value) : 0;
    unsigned port;

    if (!colon || parse_unsigned(colon + 1, 1, UINT16_MAX, &port) < 0)
        return err_set(err, -EINVAL, "not an address and a port, like 127.0.0.1:5900");
    bool brackets = len > 2 && value[0] == '[' && value[len - 1] == ']';
    cleanup_free char *address = brackets ? strndup(value + 1, len - 2) : strndup(value, len);
    cfg->vnc_port = (uint16_t)port;
    return replace(&cfg->vnc_addr, !address || *address ? address ? address : "" : "127.0.0.1",
                   err);
}

/* The first line of a file, which others cannot see as they see a command line. */
static int set_vnc_password(void *ctx, const char *value, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = file_load(AT_FDCWD, value, 4096, &text, err);

    if (rc < 0)
        return rc;
    char *password = (char *)buf_cstr(&text);
    password[strcspn(password, "\r\n")] = '\0';
    if (!*password)
        return err_set(err, -EINVAL, "its first line is empty");
    return replace(&((struct run *)ctx)->cfg.vnc_password, password, err);
}

static const struct option run_options[] = {
    {"name", "NAME", "what the VM is called", set_name},
    {"engine", "auto|kvm|bt", "how instructions run (default auto: kvm where it works)",
     set_engine},
    {"cpus", "N", "virtual CPUs, 1 to 768 (default 1)", set_cpus},
    {"memory", "SIZE", "guest memory: megabytes, or a number with K, M, G or T\n(default 512M)",
     set_memory},
    {"firmware", "uefi|bios|none", "what starts the guest (default none with --kernel, else uefi)",
     set_firmware},
    {"kernel", "FILE", "start this Linux, PVH or Multiboot kernel directly", set_kernel},
    {"initrd", "FILE", "its initial RAM disk", set_initrd},
    {"append", "STRING", "its command line", set_append},
    {"debug-exit", "PORT",
     "end with exit status (v << 1 | 1) & 0xff when the guest\nwrites v to this I/O port (usual: "
     "0xf4)",
     set_debug_exit},
    {"disk", "FILE[,...]",
     "add a disk; ,bus=virtio|scsi|sata|nvme|ide ,format=auto|raw|vmdk\n"
     ",readonly ,slot=N (of the slots 1 to 4 with hot-plug)",
     set_disk},
    {"cdrom", "FILE", "add a CD drive with this image", set_cdrom},
    {"nic", "user|tap=IFNAME[,...]",
     "add a network card; ,model=virtio|vmxnet3|e1000|e1000e\n"
     ",mac=ADDRESS ,queues=N (tap: pairs of queues) ,slot=N",
     set_nic},
    {"serial", "TYPE",
     "serial port: stdio, unix=PATH, file=PATH or none\n"
     "(default stdio with --kernel, else none)",
     set_serial},
    {"console", "TYPE", "virtio console (hvc0 in Linux), in the same words (default none)",
     set_console},
    {"vnc", "ADDR:PORT", "show the screen to VNC clients there", set_vnc},
    {"vnc-password", "FILE", "ask them for the password that FILE holds (8 characters count)",
     set_vnc_password},
};

static const struct command_line run_line = {
    .command = "socle run",
    .operands = "[VM.vmx]",
    .about = "Runs a virtual machine in the foreground until it is switched off. Options override "
             "the file.",
    .options = run_options,
    .count = ARRAY_SIZE(run_options),
    .notes =
        "On a terminal, --serial stdio sends every key to the guest; Ctrl-A x ends the VM,\n"
        "Ctrl-A p (or the signal USR1) presses its power button, Ctrl-A h shows the others. Exit "
        "status: 0 the guest switched itself off, 1 the host failed,\n"
        "2 usage, 3 a bad file, 4 no engine, 5 triple fault, 6 a process of the VM died,\n"
        "7 ended from outside; what the guest wrote with --debug-exit.",
};

static int fail(int status, const struct err *err)
{
    (void)fprintf(stderr, "socle run: %s\n", err->text);
    return status;
}

static void print_warnings(const char *text)
{
    for (size_t len; *text; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        (void)fprintf(stderr, "socle run: warning: %.*s\n", (int)len, text);
    }
}

/* "/a/b.vmx": folder "/a" (NULL for "b.vmx") and stem "b". */
static int split_path(const char *path, char **ret_folder, char **ret_stem)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    size_t len = strlen(file), cut = len > 4 && !strcasecmp(file + len - 4, ".vmx") ? 4 : 0;
    cleanup_free char *folder =
        slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
    cleanup_free char *stem = strndup(file, len - cut);

    if (!stem || (slash && !folder))
        return -ENOMEM;
    *ret_folder = TAKE_PTR(folder);
    *ret_stem = TAKE_PTR(stem);
    return 0;
}

static int read_vmx(struct vmcfg *cfg, const char *path, struct vmxfile **ret_vmx,
                    struct buf *warnings, struct err *err)
{
    cleanup_free char *folder = NULL, *stem = NULL;
    int rc = vmxfile_load(path, ret_vmx, err);

    if (!rc && split_path(path, &folder, &stem) < 0)
        rc = err_sys(err, -ENOMEM, "%s", path);
    if (!rc)
        rc = vmcfg_from_vmx(cfg, *ret_vmx, folder, warnings, err);
    if (!rc && !cfg->name)
        cfg->name = TAKE_PTR(stem);
    return rc;
}

/* Another product's variables stay where they are (config/nvram.h). */
static int leave_foreign_nvram(struct vmcfg *cfg, struct vmxfile *vmx, const char *path,
                               struct buf *warnings, struct err *err)
{
    cleanup_free char *was = cfg->nvram ? strdup(cfg->nvram) : NULL, *own = NULL;
    int rc = nvram_leave_foreign(cfg, path, &own, err);

    if (rc < 0 || !own)
        return rc;
    rc = vmxfile_set(vmx, NVRAM_OWN_KEY, own);
    rc = rc < 0 ? err_sys(err, rc, "%s", path) : vmxfile_save(vmx, path, err);
    if (rc == 0)
        buf_printf(warnings,
                   "%s has the firmware variables of another product: this VM starts "
                   "with fresh ones, in %s\n",
                   was, own);
    return rc;
}

/* A VM keeps its identity: the UUID that it got is written into its file, as ESXi does. Network
 * addresses follow from it. */
static void remember_identity(const struct vmcfg *cfg, struct vmxfile *vmx, const char *path)
{
    char uuid[VMCFG_UUID_TEXT];
    struct err err = ERR_INIT;

    if (!vmx || vmxfile_get(vmx, "uuid.bios"))
        return;
    vmcfg_uuid_format(cfg->uuid, uuid);
    int rc = vmxfile_set(vmx, "uuid.bios", uuid);
    if (!rc)
        rc = vmxfile_save(vmx, path, &err);
    if (rc < 0)
        (void)fprintf(stderr, "socle run: warning: the VM gets a new UUID each time: %s\n",
                      err.code ? err.text : strerror(-rc));
}

/* A VM that runs, and what people want of it: keys at the terminal, SIGUSR1 (the power button), and
 * signals that end. */
struct running {
    struct loop *loop;
    struct vm *vm;
    struct loop_source button;
    struct loop_source retry; /* a write waits for room */
    uint64_t silent_until;    /* ns: that it does has been said lately */
};

enum { RETRY_S = 2, SAY_AGAIN_S = 60 };
#define SECOND UINT64_C(1000000000)

static void on_no_space(void *ctx, const char *file)
{
    struct running *running = ctx;

    if (clock_now() >= running->silent_until) {
        (void)fprintf(stderr, "socle run: no room for what the VM writes to \"%s\": it waits\n",
                      file);
        running->silent_until = clock_now() + SAY_AGAIN_S * SECOND;
    }
    (void)loop_timer_arm(&running->retry, clock_now() + RETRY_S * SECOND);
}

static void on_retry(void *ctx, uint32_t events)
{
    (void)events;
    (void)vm_retry(((struct running *)ctx)->vm);
}

static void on_power_button(void *ctx)
{
    struct running *running = ctx;

    if (running->vm)
        (void)vm_power_button(running->vm);
}

static void on_slot(void *ctx, unsigned slot)
{
    struct running *running = ctx;

    if (running->vm)
        (void)vm_move_card(running->vm, slot);
}

static void on_button_signal(void *ctx, uint32_t events)
{
    struct running *running = ctx;
    struct signalfd_siginfo info;

    (void)events;
    if (read(running->button.fd, &info, sizeof info) == sizeof info)
        on_power_button(running);
}

static int catch_button_signal(struct running *running)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno
                  : loop_add_fd(running->loop, &running->button, fd, EPOLLIN, on_button_signal,
                                running);
}

/* Ending from outside. The first signal ends the VM in an orderly way, the second one us. */

static struct loop *volatile stop_loop;

static void on_quit(void *ctx)
{
    loop_stop(((struct running *)ctx)->loop, VM_END_STOPPED);
}

static void on_stop_signal(int sig)
{
    struct loop *loop = stop_loop;
    int saved_errno = errno;

    stop_loop = NULL;
    if (loop) {
        loop_stop(loop, VM_END_STOPPED);
    } else {
        terminal_restore();
        (void)signal(sig, SIG_DFL);
        (void)raise(sig);
    }
    errno = saved_errno;
}

static void catch_stop_signals(struct loop *loop)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};

    stop_loop = loop;
    (void)sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
}

/* *ret_status: the guest's, with VM_END_EXIT. */
static int run_vm(const struct vmcfg *cfg, int *ret_status, struct err *err)
{
    struct running running = {.button.fd = -1};
    const struct terminal_user user = {on_quit, on_power_button, on_slot, &running};
    struct terminal *terminal = NULL;
    enum vm_end end;
    int console_fd = -1, rc = loop_create(&running.loop);

    if (rc < 0)
        return err_sys(err, rc, "event loop");
    catch_stop_signals(running.loop);
    rc = catch_button_signal(&running);
    if (!rc)
        rc = loop_add_timer(running.loop, &running.retry, on_retry, &running);
    if (!rc && (cfg->serial.type == VMCFG_STREAM_STDIO || cfg->console.type == VMCFG_STREAM_STDIO))
        rc = terminal_open(running.loop, STDIN_FILENO, STDOUT_FILENO, &user, &terminal, &console_fd,
                           err);
    if (!rc)
        rc = vm_start(cfg, console_fd, running.loop, &running.vm, err);
    if (!rc) {
        vm_on_no_space(running.vm, on_no_space, &running);
        rc = loop_run(running.loop);
    }
    if (running.vm && vm_ended(running.vm, &end, err)) {
        rc = (int)end;
        *ret_status = vm_exit_status(running.vm);
    }
    vm_destroy(running.vm);
    stop_loop = NULL;
    terminal_close(terminal);
    loop_del(&running.button);
    loop_del(&running.retry);
    (void)close_fd(running.button.fd);
    loop_destroy(running.loop);
    return rc == -ENOENT || rc == -EBADMSG || rc == -EACCES ? VM_END_BAD_FILE : rc;
}

static int report(const struct vmcfg *cfg, int end, const struct err *err)
{
    static const struct {
        enum exit_status status;
        const char *text;
    } ends[VM_END_MAX] = {
        [VM_END_POWER_OFF] = {EXIT_OK, NULL},
        [VM_END_STOPPED] = {EXIT_STOPPED, "ended from outside"},
        [VM_END_TRIPLE_FAULT] = {EXIT_TRIPLE_FAULT, "triple fault"},
        [VM_END_DIED] = {EXIT_VM_DIED, "a process of the VM died"},
        [VM_END_NO_ENGINE] = {EXIT_NO_ENGINE, "no engine works here"},
        [VM_END_BAD_FILE] = {EXIT_BAD_FILE, "a bad file"},
        [VM_END_SUSPENDED] = {EXIT_OK, "suspended"},
    };

    if (end == VM_END_POWER_OFF)
        return EXIT_OK;
    if (end < 0 || end >= VM_END_MAX)
        (void)fprintf(stderr, "socle run: %s: %s\n", cfg->name,
                      *err->text ? err->text : strerror(-end));
    else
        (void)fprintf(stderr, "socle run: %s: %s\n", cfg->name,
                      *err->text ? err->text : ends[end].text);
    return end < 0 || end >= VM_END_MAX ? EXIT_FAILED : (int)ends[end].status;
}

static int run_and_report(const struct vmcfg *cfg, struct err *err)
{
    int status = EXIT_FAILED, end = run_vm(cfg, &status, err);

    return end == VM_END_EXIT ? status : report(cfg, end, err);
}

/* File, options, defaults; what `vm_start` gets. Returns an exit status. */
static int prepare(struct run *run, const struct parsed_options *parsed, struct err *err)
{
    const char *path = parsed->operands[0];
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_buf struct buf warnings = {0};
    struct vmcfg *cfg = &run->cfg;

    if (parsed->operand_count > 1) {
        (void)err_set(err, -EINVAL, "one VM at a time: \"%s\" is too much", parsed->operands[1]);
        return EXIT_USAGE;
    }
    if (path && read_vmx(cfg, path, &vmx, &warnings, err) < 0)
        return EXIT_BAD_FILE;
    if (options_apply(parsed, run, err) < 0)
        return EXIT_USAGE;
    if (!path && !parsed->hit_count) {
        (void)err_set(err, -EINVAL,
                      "nothing to run: give a .vmx file, --kernel, --disk or --cdrom");
        return EXIT_USAGE;
    }
    if (!path && !cfg->kernel && cfg->firmware == VMCFG_FIRMWARE_AUTO)
        cfg->firmware = VMCFG_FIRMWARE_UEFI;
    if (nvram_default(cfg, path, err) < 0)
        return EXIT_FAILED;
    int rc = vmcfg_finish(cfg, err);
    if (rc < 0 && path)
        (void)err_prefix(err, rc, "%s", path);
    if (rc < 0)
        return path ? EXIT_BAD_FILE : EXIT_USAGE;
    if (leave_foreign_nvram(cfg, vmx, path, &warnings, err) < 0)
        return EXIT_FAILED;
    remember_identity(cfg, vmx, path);
    vmcfg_substitutions(cfg, &warnings);
    print_warnings(buf_cstr(&warnings));
    return EXIT_OK;
}

int cmd_run(int argc, char **argv)
{
    cleanup_options struct parsed_options parsed = {0};
    struct err err = ERR_INIT;
    struct run run = {0};

    if (options_parse(&run_line, argc, argv, &parsed, &err) < 0)
        return fail(EXIT_USAGE, &err);
    if (parsed.help) {
        options_help(&run_line, stdout);
        return EXIT_OK;
    }
    vmcfg_init(&run.cfg);
    int status = prepare(&run, &parsed, &err);
    if (status != EXIT_OK)
        (void)fail(status, &err);
    else
        status = run_and_report(&run.cfg, &err);
    vmcfg_free(&run.cfg);
    return status;
}
