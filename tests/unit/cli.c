/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: what `socle run` makes of its arguments, statuses and messages, the terminal.
 * vm_start is this test's: it records what it was asked to run and ends as the case wants. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/range.h"
#include "cli/cmd_run.h"
#include "cli/exit.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "tests/tap.h"
#include "vm/process/run.h"

static struct buf ran; /* what vm_start got, as a dictionary; empty: it was not called */
static int end_wanted;
static const char *end_text;

struct vm {
    struct err err;
};

int vm_start(const struct vmcfg *cfg, int console_fd, struct loop *loop, struct vm **ret_vm,
             struct err *err)
{
    CHECK((console_fd >= 0) == (cfg->serial.type == VMCFG_STREAM_STDIO));
    CHECK(loop);
    (void)close_fd(console_fd);
    CHECK_EQ(vmcfg_encode(cfg, &ran), 0);
    if (end_wanted < 0)
        return end_text ? err_set(err, end_wanted, "%s", end_text) : end_wanted;
    *ret_vm = calloc(1, sizeof **ret_vm);
    if (end_text)
        (void)err_set(&(*ret_vm)->err, -EIO, "%s", end_text);
    loop_stop(loop, end_wanted);
    return 0;
}

bool vm_ended(const struct vm *vm, enum vm_end *ret_end, struct err *err)
{
    *ret_end = (enum vm_end)end_wanted;
    *err = vm->err;
    return true;
}

uint8_t vm_exit_status(const struct vm *vm)
{
    (void)vm;
    return 67;
}

int vm_move_card(struct vm *vm, unsigned slot)
{
    (void)vm, (void)slot;
    return 0;
}

void vm_on_no_space(struct vm *vm, void (*no_space)(void *ctx, const char *file), void *ctx)
{
    (void)vm, (void)no_space, (void)ctx;
}

int vm_retry(struct vm *vm)
{
    (void)vm;
    return 0;
}

int vm_power_button(struct vm *vm)
{
    (void)vm;
    return 0;
}

void vm_destroy(struct vm *vm)
{
    free(vm);
}

/* Runs `socle run WORDS`; *ret_text is what it printed to standard error. */
static int run(const char *words, char *ret_text, size_t size)
{
    char copy[1024], *argv[64] = {copy}, *save = NULL;
    int argc = 0, keep = dup(STDERR_FILENO), fd = memfd_create("stderr", MFD_CLOEXEC);

    (void)snprintf(copy, sizeof copy, "run %s", words);
    for (char *word = strtok_r(copy, " ", &save); word && argc < 63;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    argv[argc] = NULL;
    buf_free(&ran);
    CHECK(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    int status = cmd_run(argc, argv);
    CHECK(dup2(keep, STDERR_FILENO) == STDERR_FILENO);
    ssize_t n = pread(fd, ret_text, size - 1, 0);
    ret_text[n > 0 ? n : 0] = '\0';
    (void)close_fd(keep);
    (void)close_fd(fd);
    return status;
}

static bool ran_with(const char *line)
{
    return ran.len && strstr(buf_cstr(&ran), line);
}

static void bad_usage_is_one_line_and_status_2(void)
{
    static const struct {
        const char *words, *message;
    } cases[] = {
        {"", "nothing to run: give a .vmx file, --kernel, --disk or --cdrom"},
        {"--cpu 2", "unknown option \"--cpu\"; did you mean --cpus?"},
        {"--mem=1G", "unknown option \"--mem=1G\"; \"socle run --help\" lists all"},
        {"--kernle k", "unknown option \"--kernle\"; did you mean --kernel?"},
        {"-x", "unknown option \"-x\"; \"socle run --help\" lists all"},
        {"--cpus", "--cpus needs a value: --cpus N"},
        {"--cpus 0", "--cpus \"0\": not a number from 1 to 768"},
        {"--cpus 769", "--cpus \"769\": not a number from 1 to 768"},
        {"--cpus=two", "--cpus \"two\": not a number from 1 to 768"},
        {"--memory 1.5G",
         "--memory \"1.5G\": not a size; write megabytes, or a number with K, M, G or T"},
        {"--memory 17T", "--memory \"17T\": give a multiple of 4 MB, from 4 MB to 16 TB"},
        {"--memory 6", "--memory \"6\": give a multiple of 4 MB, from 4 MB to 16 TB"},
        {"--engine xen", "--engine \"xen\": not auto, kvm or bt"},
        {"--firmware auto", "--firmware \"auto\": not uefi, bios or none"},
        {"--initrd i", "initrd \"i\": needs a kernel"},
        {"--disk ,readonly", "--disk \",readonly\": a file name is missing"},
        {"--disk a,bus=usb",
         "--disk \"a,bus=usb\": bus \"usb\" is not virtio, scsi, sata, nvme or ide"},
        {"--disk a,ro",
         "--disk \"a,ro\": \"ro\" is not bus=BUS, format=FORMAT, slot=N or readonly (a comma "
         "in a file name is written twice)"},
        {"--nic bridge", "--nic \"bridge\": \"bridge\" is not user or tap=IFNAME"},
        {"--nic tap=a-name-that-is-too-long",
         "--nic \"tap=a-name-that-is-too-long\": an interface's name has 1 to 15 bytes"},
        {"--kernel k --nic user,mac=01:00:00:00:00:00",
         "ethernet0: 01:00:00:00:00:00 is a group address; a card needs its own"},
        {"--nic user,mac=1",
         "--nic \"user,mac=1\": \"1\" is not an address like 00:50:56:00:00:01"},
        {"--debug-exit 0xfffd", "--debug-exit \"0xfffd\": not an I/O port, like 0xf4"},
        {"--serial tty", "--serial \"tty\": not stdio, unix=PATH, file=PATH or none"},
        {"--serial unix=", "--serial \"unix=\": a path is missing"},
        {"--vnc 127.0.0.1", "--vnc \"127.0.0.1\": not an address and a port, like 127.0.0.1:5900"},
        {"--vnc localhost:1 --kernel k", "vnc \"localhost\": not an IPv4 or IPv6 address"},
        {"--vnc :0 --kernel k", "--vnc \":0\": not an address and a port, like 127.0.0.1:5900"},
        {"a.vmx b.vmx", "one VM at a time: \"b.vmx\" is too much"},
        {"--firmware none --disk d", "firmware none: nothing to start; give a kernel"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[1024], want[1024];
        (void)snprintf(want, sizeof want, "socle run: %s\n", cases[i].message);
        CHECK_EQ(run(cases[i].words, text, sizeof text), EXIT_USAGE);
        CHECK_STR(text, want);
        CHECK_EQ(ran.len, 0);
    }
}

static void options_reach_the_vm(void)
{
    char text[1024];

    end_wanted = VM_END_POWER_OFF;
    end_text = NULL;
    CHECK_EQ(run("--name n --engine=kvm --cpus 4 --memory 1G --kernel k --initrd i --append quiet "
                 "--debug-exit 0xf4 "
                 "--disk a,,b.xyz,readonly,format=raw --cdrom c.iso --disk d "
                 "--nic user --nic tap=t0,mac=52:54:00:00:00:01 --serial file=s",
                 text, sizeof text),
             EXIT_OK);
    CHECK_STR(text, "");
    static const char *const lines[] = {"displayName = \"n\"\n",
                                        "socle.engine = \"kvm\"\n",
                                        "numvcpus = \"4\"\n",
                                        "cpuid.coresPerSocket = \"4\"\n",
                                        "memSize = \"1024\"\n",
                                        "firmware = \"none\"\n",
                                        "socle.kernel = \"k\"\n",
                                        "socle.initrd = \"i\"\n",
                                        "socle.append = \"quiet\"\n",
                                        "socle.debugExit = \"244\"\n",
                                        "virtio0:0.fileName = \"a,b.xyz\"\n",
                                        "virtio0:0.readonly = \"TRUE\"\n",
                                        "virtio0:0.socle.format = \"raw\"\n",
                                        "sata0:0.deviceType = \"cdrom-image\"\n",
                                        "sata0:0.fileName = \"c.iso\"\n",
                                        "virtio0:1.fileName = \"d\"\n",
                                        "ethernet0.connectionType = \"nat\"\n",
                                        "ethernet1.vnet = \"t0\"\n",
                                        "ethernet1.address = \"52:54:00:00:00:01\"\n",
                                        "serial0.fileName = \"s\"\n"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (!CHECK(ran_with(lines[i])))
            (void)printf("# %s", lines[i]);
}

static void defaults_follow_from_what_is_given(void)
{
    char text[1024];

    end_wanted = VM_END_POWER_OFF;
    CHECK_EQ(run("--kernel k", text, sizeof text), EXIT_OK);
    CHECK(ran_with("firmware = \"none\"") && ran_with("serial0.fileType = \"stdio\""));
    CHECK(ran_with("memSize = \"512\"") && ran_with("displayName = \"vm\""));
    CHECK_EQ(run("--disk d,bus=nvme", text, sizeof text), EXIT_OK);
    CHECK(ran_with("firmware = \"efi\"") && ran_with("serial0.present = \"FALSE\""));
    CHECK_STR(text, "socle run: warning: nvme0:0: attached as virtio; this version has no SCSI and "
                    "NVMe controllers\n");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    CHECK(file && fputs(text, file) >= 0);
    CHECK(file && fclose(file) == 0);
}

/* What ESXi's firmware left stays; the second start finds ours, and says nothing. */
static void foreign_variables_stay(const char *folder, const char *path)
{
    char text[1024], want[256], theirs[256], head[5] = "";

    (void)snprintf(theirs, sizeof theirs, "%s/esx.nvram", folder);
    write_file(theirs, "MRVN, and what only VMware's firmware reads: longer than a header");
    write_file(path, "firmware = \"efi\"\nnvram = \"esx.nvram\"\n");
    for (unsigned n = 0; n < 2; n++) {
        cleanup_vmxfile struct vmxfile *vmx = NULL;
        CHECK_EQ(run(path, text, sizeof text), EXIT_OK);
        CHECK((strstr(text, "web.socle.nvram") != NULL) == (n == 0));
        (void)snprintf(want, sizeof want, "nvram = \"%s/web.socle.nvram\"\n", folder);
        CHECK(ran_with(want));
        REQUIRE(vmxfile_load(path, &vmx, NULL) == 0);
        CHECK_STR(vmxfile_get(vmx, "socle.nvram"), "web.socle.nvram");
        CHECK_STR(vmxfile_get(vmx, "nvram"), "esx.nvram");
    }
    int fd = open(theirs, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && read(fd, head, 4) == 4);
    CHECK_STR(head, "MRVN");
    (void)close_fd(fd);
    CHECK_EQ(unlink(theirs), 0);
}

static void options_override_the_file(void)
{
    char folder[] = "/tmp/socle-cli.XXXXXX", path[64], words[256], text[1024], want[256];
    struct err err = ERR_INIT;

    REQUIRE(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/web.vmx", folder);
    write_file(path, "# mine\nmemSize = \"256\"\nnumvcpus = \"2\"\nfirmware = \"efi\"\n"
                     "cpuid.coresPerSocket = \"2\"\nguestinfo.x = \"kept\"\n"
                     "virtio0:0.present = \"TRUE\"\nvirtio0:0.fileName = \"a.vmdk\"\n"
                     "ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"virtio\"\n"
                     "ethernet1.present = \"TRUE\"\nethernet1.virtualDev = \"virtio\"\n");
    end_wanted = VM_END_POWER_OFF;
    (void)snprintf(words, sizeof words, "--cpus 3 %s --disk b --nic user", path);
    CHECK_EQ(run(words, text, sizeof text), EXIT_OK);
    CHECK_STR(text, "");
    CHECK(ran_with("numvcpus = \"3\"") && ran_with("cpuid.coresPerSocket = \"3\""));
    CHECK(ran_with("memSize = \"256\"") && ran_with("displayName = \"web\""));
    CHECK(ran_with("virtio0:1.fileName = \"b\"") && ran_with("ethernet0.") &&
          !ran_with("ethernet1."));
    (void)snprintf(want, sizeof want, "virtio0:0.fileName = \"%s/a.vmdk\"\n", folder);
    CHECK(ran_with(want));
    (void)snprintf(want, sizeof want, "nvram = \"%s/web.nvram\"\n", folder);
    CHECK(ran_with(want));

    /* The file has the VM's UUID now, and the next run finds it. */
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    REQUIRE(vmxfile_load(path, &vmx, &err) == 0);
    CHECK_STR(vmxfile_get(vmx, "guestinfo.x"), "kept");
    (void)snprintf(want, sizeof want, "uuid.bios = \"%s\"\n", vmxfile_get(vmx, "uuid.bios"));
    CHECK(ran_with(want));
    CHECK_EQ(run(path, text, sizeof text), EXIT_OK);
    CHECK(ran_with(want));

    foreign_variables_stay(folder, path);

    write_file(path, "memSize = \"x\"\n");
    CHECK_EQ(run(path, text, sizeof text), EXIT_BAD_FILE);
    (void)snprintf(want, sizeof want,
                   "socle run: %s:1: memSize = \"x\": not a number from 4 to 16777216\n", path);
    CHECK_STR(text, want);
    write_file(path, "socle.initrd = \"i\"\n");
    CHECK_EQ(run(path, text, sizeof text), EXIT_BAD_FILE);
    (void)snprintf(want, sizeof want, "socle run: %s: initrd \"%s/i\": needs a kernel\n", path,
                   folder);
    CHECK_STR(text, want);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(run(path, text, sizeof text), EXIT_BAD_FILE);
    (void)snprintf(want, sizeof want, "socle run: %s: No such file or directory\n", path);
    CHECK_STR(text, want);
    CHECK_EQ(ran.len, 0);
    CHECK_EQ(rmdir(folder), 0);
}

static void ends_have_their_statuses(void)
{
    static const struct {
        int end, status;
        const char *text, *message;
    } cases[] = {
        {VM_END_POWER_OFF, 0, NULL, ""},
        {-ENOMEM, 1, NULL, "socle run: vm: Cannot allocate memory\n"},
        {VM_END_BAD_FILE, 3, "k: not a kernel", "socle run: vm: k: not a kernel\n"},
        {VM_END_NO_ENGINE, 4, "why", "socle run: vm: why\n"},
        {VM_END_TRIPLE_FAULT, 5, NULL, "socle run: vm: triple fault\n"},
        {VM_END_DIED, 6, "vmx was killed by signal 31",
         "socle run: vm: vmx was killed by signal 31\n"},
        {VM_END_STOPPED, 7, NULL, "socle run: vm: ended from outside\n"},
        {VM_END_EXIT, 67, "the guest ended with exit status 67", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[1024];
        end_wanted = cases[i].end;
        end_text = cases[i].text;
        CHECK_EQ(run("--kernel k", text, sizeof text), cases[i].status);
        CHECK_STR(text, cases[i].message);
    }
    end_text = NULL;
}

/* Terminal. */

static unsigned quits;
static void on_quit(void *ctx)
{
    (void)ctx;
    quits++;
}

static unsigned presses;
static void on_power_button(void *ctx)
{
    (void)ctx;
    presses++;
}

static unsigned slots_seen;

static void on_slot(void *ctx, unsigned slot)
{
    (void)ctx;
    slots_seen = slots_seen * 10 + slot;
}

static const struct terminal_user user = {on_quit, on_power_button, on_slot, NULL};

static size_t read_some(struct loop *loop, int fd, char *text, size_t size)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    size_t len = 0;

    for (int i = 0; i < 20 && len < size - 1; i++) {
        (void)loop_run_once(loop, 10);
        if (poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & POLLIN) {
            ssize_t n = read(fd, text + len, size - 1 - len);
            len += n > 0 ? (size_t)n : 0;
        } else if (len) {
            break;
        }
    }
    text[len] = '\0';
    return len;
}

static void keys_of_a_terminal(void)
{
    struct termios before, during, after;
    int master = -1, slave = -1, vm = -1;
    struct terminal *terminal = NULL;
    struct loop *loop = NULL;
    char text[512];

    REQUIRE(openpty(&master, &slave, NULL, NULL, NULL) == 0 && loop_create(&loop) == 0);
    int out = dup(slave);
    REQUIRE(tcgetattr(slave, &before) == 0);
    REQUIRE(terminal_open(loop, slave, out, &user, &terminal, &vm, NULL) == 0);
    CHECK(tcgetattr(slave, &during) == 0 && !(during.c_lflag & (ICANON | ECHO | ISIG)));
    quits = 0;
    CHECK_EQ(write(master,
                   "a\x03\x01\x01z\x01qb\x01"
                   "ac",
                   11),
             11);
    (void)read_some(loop, vm, text, sizeof text);
    CHECK_STR(text, "a\x03\x01zb\x01"
                    "c");
    CHECK_EQ(write(vm, "login: ", 7), 7);
    (void)read_some(loop, master, text, sizeof text);
    CHECK_STR(text, "login: ");
    CHECK_EQ(write(master, "\x01h", 2), 2);
    (void)read_some(loop, master, text, sizeof text);
    CHECK(strstr(text, "Ctrl-A x"));
    CHECK_EQ(quits, 0);
    CHECK_EQ(write(master, "\x01", 1), 1); /* the two keys need not come together */
    (void)loop_run_once(loop, 100);
    CHECK_EQ(write(master, "x", 1), 1);
    (void)loop_run_once(loop, 100);
    CHECK_EQ(quits, 1);
    CHECK_EQ(presses, 0);
    CHECK_EQ(write(master, "\x01p", 2), 2);
    (void)loop_run_once(loop, 100);
    CHECK_EQ(presses, 1);
    CHECK_EQ(write(master,
                   "\x01"
                   "4\x01"
                   "1",
                   4),
             4);
    (void)loop_run_once(loop, 100);
    CHECK_EQ(slots_seen, 41);
    CHECK_EQ(write(vm, "bye", 3), 3); /* the last words arrive although no loop runs any more */
    vm = close_fd(vm);
    terminal_close(terminal);
    CHECK(tcgetattr(slave, &after) == 0 && after.c_lflag == before.c_lflag &&
          after.c_iflag == before.c_iflag);
    loop_destroy(loop);
    REQUIRE(loop_create(&loop) == 0);
    (void)read_some(loop, master, text, sizeof text);
    CHECK_STR(text, "bye");
    loop_destroy(loop);
    (void)close_fd(master);
    (void)close_fd(slave);
    (void)close_fd(out);
}

/* A process with a raw terminal gets `sig`; afterwards the terminal must be as before. */
static void check_restored_after(int sig)
{
    struct termios before, after;
    int master = -1, slave = -1, status = 0;
    char ready;
    int tell[2];

    REQUIRE(openpty(&master, &slave, NULL, NULL, NULL) == 0 && pipe2(tell, O_CLOEXEC) == 0);
    REQUIRE(tcgetattr(slave, &before) == 0);
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct terminal *terminal = NULL;
        struct loop *loop = NULL;
        int vm;
        if (loop_create(&loop) < 0 ||
            terminal_open(loop, slave, dup(slave), &user, &terminal, &vm, NULL) < 0)
            _exit(9);
        (void)!write(tell[1], "r", 1);
        if (!sig)
            exit(0); /* atexit */
        for (;;)
            (void)pause();
    }
    tell[1] = close_fd(tell[1]);
    CHECK(read(tell[0], &ready, 1) == 1);
    CHECK(tcgetattr(slave, &after) == 0 && (sig == 0 || !(after.c_lflag & ICANON)));
    if (sig)
        CHECK_EQ(kill(pid, sig), 0);
    if (sig == SIGTSTP) {
        CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
        CHECK(tcgetattr(slave, &after) == 0 && after.c_lflag == before.c_lflag);
        CHECK_EQ(kill(pid, SIGCONT), 0);
        for (int i = 0; i < 200 && tcgetattr(slave, &after) == 0 && after.c_lflag & ICANON; i++)
            (void)usleep(10000);
        CHECK(!(after.c_lflag & ICANON));
        CHECK_EQ(kill(pid, SIGSEGV), 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(sig == 0 ? WIFEXITED(status) : WIFSIGNALED(status));
    CHECK(tcgetattr(slave, &after) == 0 && after.c_lflag == before.c_lflag);
    (void)close_fd(master);
    (void)close_fd(slave);
    (void)close_fd(tell[0]);
}

static void terminal_is_restored_whatever_happens(void)
{
    check_restored_after(0);
    check_restored_after(SIGSEGV);
    check_restored_after(SIGABRT);
    check_restored_after(SIGTSTP);
}

/* Pipes and files: Ctrl-A is a byte like others, the end of input ends nothing. */
static void without_a_terminal(void)
{
    int in[2], out[2], vm = -1;
    struct terminal *terminal = NULL;
    struct loop *loop = NULL;
    char text[64];

    REQUIRE(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && loop_create(&loop) == 0);
    REQUIRE(terminal_open(loop, in[0], out[1], &user, &terminal, &vm, NULL) == 0);
    quits = 0;
    CHECK_EQ(write(in[1], "\x01xy", 3), 3);
    (void)close_fd(in[1]);
    (void)read_some(loop, vm, text, sizeof text);
    CHECK_STR(text, "\x01xy");
    for (int i = 0; i < 10; i++)
        CHECK(loop_run_once(loop, 0) >= 0);
    CHECK_EQ(loop_run_once(loop, 0), 0); /* nothing spins at the end of input */
    CHECK_EQ(quits, 0);
    CHECK_EQ(write(vm, "out", 3), 3);
    (void)read_some(loop, out[0], text, sizeof text);
    CHECK_STR(text, "out");
    (void)close_fd(vm);
    terminal_close(terminal);
    loop_destroy(loop);
    (void)close_fd(in[0]);
    (void)close_fd(out[0]);
    (void)close_fd(out[1]);
}

static void a_big_file_as_input_waits_for_the_vm(void)
{
    enum { SIZE = 1 << 20 };
    int file = memfd_create("in", MFD_CLOEXEC), sink = memfd_create("out", MFD_CLOEXEC), vm = -1;
    cleanup_free uint8_t *want = malloc(SIZE), *got = calloc(1, SIZE);
    struct terminal *terminal = NULL;
    struct loop *loop = NULL;
    size_t len = 0;

    REQUIRE(file >= 0 && sink >= 0 && want && got && loop_create(&loop) == 0);
    for (size_t i = 0; i < SIZE; i++)
        want[i] = (uint8_t)(i * 2654435761u >> 13);
    REQUIRE(write(file, want, SIZE) == SIZE && lseek(file, 0, SEEK_SET) == 0);
    REQUIRE(terminal_open(loop, file, sink, &user, &terminal, &vm, NULL) == 0);
    for (int i = 0; i < 100; i++)
        CHECK(loop_run_once(loop, 0) >= 0);
    for (int i = 0; i < 4 * SIZE / 4096 && len < SIZE; i++) {
        CHECK(loop_run_once(loop, 0) >= 0);
        ssize_t n = recv(vm, got + len, SIZE - len, MSG_DONTWAIT);
        len += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQ(len, SIZE);
    CHECK(!memcmp(got, want, SIZE));
    CHECK_EQ(send(vm, want, 5000, 0), 5000);
    (void)close_fd(vm);
    terminal_close(terminal);
    struct stat st;
    CHECK(fstat(sink, &st) == 0 && st.st_size == 5000);
    loop_destroy(loop);
    (void)close_fd(file);
    (void)close_fd(sink);
}

TAP_MAIN(TAP_CASE(bad_usage_is_one_line_and_status_2), TAP_CASE(options_reach_the_vm),
         TAP_CASE(defaults_follow_from_what_is_given), TAP_CASE(options_override_the_file),
         TAP_CASE(ends_have_their_statuses), TAP_CASE(keys_of_a_terminal),
         TAP_CASE(terminal_is_restored_whatever_happens), TAP_CASE(without_a_terminal),
         TAP_CASE(a_big_file_as_input_waits_for_the_vm))
