/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's state saved by its keeper and gone on from, without a host daemon: in the lab by KVM,
 * elsewhere by the software engine (SOCLE_ENGINE). Beside the program: socle-keeper, its pair, a
 * kernel and the test guest's initramfs, or by name: state KERNEL INITRD. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "tests/tap.h"
#include "vm/process/keeper.h"

enum { BOOT_S = 300, ANSWER_S = 120 };

static const char *kernel = "vmlinuz", *initrd = "initrd";
static const char socket_path[] = "state.sock", state_path[] = "state.vmss";

struct machine {
    int keeper, serial;
    struct keeper_message said; /* last of the keeper's */
    char text[65536];           /* what came from the serial port and has not been looked for */
    size_t len;
};

static bool portable; /* processors as every engine has them */

static bool start(struct machine *m, const char *engine, const char *state)
{
    struct err err = ERR_INIT;
    cleanup_vmcfg struct vmcfg cfg;

    vmcfg_init(&cfg);
    *m = (struct machine){.keeper = -1, .serial = -1};
    cfg.kernel = strdup(kernel);
    cfg.initrd = strdup(initrd);
    cfg.append = strdup("console=ttyS0 quiet panic=-1 socle.test=run");
    cfg.state = state ? strdup(state) : NULL;
    cfg.serial.type = VMCFG_STREAM_STDIO; /* the keeper's */
    cfg.memory = MIB(128);
    cfg.cpus = 2;
    cfg.portable_cpu = portable;
    memcpy(cfg.uuid, "the same machine", sizeof cfg.uuid);
    (void)vmcfg_engine_parse(engine, &cfg.engine);
    keeper_forget(socket_path);
    int rc = vmcfg_finish(&cfg, &err);
    if (rc == 0)
        rc = keeper_start(&cfg, socket_path, NULL, &err);
    if (rc == 0)
        rc = keeper_connect(socket_path, &m->keeper);
    if (rc < 0)
        (void)printf("# %s\n", err.text);
    return rc == 0;
}

static void stop(struct machine *m)
{
    (void)keeper_send(m->keeper, KEEPER_STOP);
    m->keeper = close_fd(m->keeper);
    m->serial = close_fd(m->serial);
}

static bool await(struct machine *m, enum keeper_kind kind, unsigned seconds)
{
    uint64_t end = clock_now() + (uint64_t)seconds * 1000000000;

    while (clock_now() < end) {
        struct pollfd ready = {.fd = m->keeper, .events = POLLIN};
        int rc = poll(&ready, 1, 100) == 1 ? keeper_receive(m->keeper, &m->said, NULL) : -EAGAIN;
        if (rc == 0 && m->said.kind == kind)
            return true;
        if (rc == -EPIPE || (rc == 0 && m->said.kind == KEEPER_ENDED))
            break;
    }
    (void)printf("# message %u, value %u: %s\n", m->said.kind, m->said.value, m->said.text);
    return false;
}

static bool expect(struct machine *m, const char *wanted, unsigned seconds)
{
    uint64_t end = clock_now() + (uint64_t)seconds * 1000000000;

    for (;;) {
        m->text[m->len] = '\0';
        const char *found = strstr(m->text, wanted);
        if (found) {
            size_t used = (size_t)(found - m->text) + strlen(wanted);
            memmove(m->text, m->text + used, m->len -= used);
            return true;
        }
        struct pollfd ready = {.fd = m->serial, .events = POLLIN};
        ssize_t n = 0;
        if (poll(&ready, 1, 100) == 1)
            n = read(m->serial, m->text + m->len, sizeof m->text - 1 - m->len);
        m->len += n > 0 ? (size_t)n : 0;
        if (clock_now() > end || m->len == sizeof m->text - 1)
            break;
    }
    (void)printf("# no \"%s\", but: %.200s\n", wanted, m->text);
    return false;
}

static void say(struct machine *m, const char *command)
{
    (void)!write(m->serial, command, strlen(command));
}

/* Into a new file, and that was all of this run. */
static bool suspend(struct machine *m)
{
    struct keeper_change change = {.flags = VM_CHANGE_END, .changes = m->said.changes};
    struct err err = ERR_INIT;

    (void)unlink(state_path);
    cleanup_fd int fd = open(state_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    change.state_fd = fd;
    if (fd < 0 || keeper_change(m->keeper, &change, &err) < 0 ||
        !await(m, KEEPER_CHANGED, ANSWER_S))
        return false;
    (void)printf("# saved in %lld ms\n", (long long)m->said.us / 1000);
    bool saved =
        m->said.value == 0 && await(m, KEEPER_ENDED, ANSWER_S) && m->said.value == VM_END_SUSPENDED;
    if (!saved)
        (void)printf("# %s\n", m->said.text);
    m->keeper = close_fd(m->keeper);
    m->serial = close_fd(m->serial);
    return saved;
}

/* A guest with something in memory, saved; false: not even that. */
static bool save(struct machine *m, const char *engine)
{
    if (!start(m, engine, NULL) || !await(m, KEEPER_RUNNING, ANSWER_S) ||
        keeper_serial(socket_path, &m->serial) < 0 || !expect(m, "SOCLE-COMMANDS", BOOT_S))
        return false;
    say(m, "echo kept >/tmp/file; (while :; do :; done) & echo saved\n");
    return expect(m, "saved", ANSWER_S) && suspend(m);
}

static const char *own_engine(void)
{
    const char *engine = getenv("SOCLE_ENGINE");

    return engine ? engine : "bt";
}

/* There are no disks, so it may go on from the same state as often as we like. In the end it is
 * saved again, or switched off. */
static void goes_on(const char *engine, bool save_again)
{
    const struct keeper_change go = {.state_fd = -1};
    struct machine m;

    REQUIRE(start(&m, engine, state_path));
    if (!await(&m, KEEPER_PAUSED, ANSWER_S)) {
        /* The guest may use what only the other engine's processor has: then it hears so. */
        CHECK(!portable && strcmp(engine, own_engine()) != 0 && m.said.kind == KEEPER_ENDED &&
              strstr(m.said.text, "the guest may use what processors here have not"));
        return;
    }
    REQUIRE(keeper_serial(socket_path, &m.serial) == 0);
    CHECK(keeper_change(m.keeper, &go, NULL) == 0);
    CHECK(await(&m, KEEPER_RUNNING, ANSWER_S) && await(&m, KEEPER_CHANGED, ANSWER_S));
    say(&m, "cat /tmp/file; for n in 1 2; do taskset $n true && echo runs on $n; done; sleep 1; "
            "echo slept; dmesg | grep -cE 'BUG:|WARNING:|Oops|stall'\n");
    CHECK(expect(&m, "kept", ANSWER_S) && expect(&m, "runs on 1", ANSWER_S));
    CHECK(expect(&m, "runs on 2", ANSWER_S) && expect(&m, "slept", ANSWER_S));
    CHECK(expect(&m, "0\r\n", ANSWER_S));
    if (save_again) {
        CHECK(suspend(&m));
        return;
    }
    say(&m, "poweroff -f\n");
    CHECK(await(&m, KEEPER_ENDED, ANSWER_S) && m.said.value == VM_END_POWER_OFF);
    stop(&m);
}

static void saved(void)
{
    struct machine m;

    CHECK(save(&m, own_engine()));
}

static void goes_on_there(void)
{
    goes_on(own_engine(), false);
}

static void goes_on_by_translation_or_hears_why_not(void)
{
    goes_on("bt", false);
}

/* With processors that both have it goes there, and back. */
static void portable_goes_on_by_translation(void)
{
    struct machine m;

    portable = true;
    CHECK(save(&m, own_engine()));
    goes_on("bt", true);
}

static void portable_goes_on_from_translation(void)
{
    goes_on(own_engine(), false);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(saved), TAP_CASE(goes_on_there), TAP_CASE(goes_on_by_translation_or_hears_why_not),
        TAP_CASE(portable_goes_on_by_translation), TAP_CASE(portable_goes_on_from_translation)};

    if (argc == 3) {
        kernel = argv[1];
        initrd = argv[2];
    }
    return tap_run_(cases, 5);
}
