/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/serial_hub.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/tap.h"

struct rig {
    struct loop *loop;
    struct serial_hub *hub;
    int vm;
};

static struct rig open_rig(void)
{
    struct rig rig = {0};

    CHECK_EQ(loop_create(&rig.loop), 0);
    CHECK_EQ(serial_hub_create(rig.loop, &rig.hub, &rig.vm), 0);
    return rig;
}

static void close_rig(struct rig *rig)
{
    serial_hub_destroy(rig->hub);
    (void)close_fd(rig->vm);
    loop_destroy(rig->loop);
}

static void turn(struct rig *rig)
{
    for (unsigned i = 0; i < 8; i++)
        (void)loop_run_once(rig->loop, 0);
}

static int attach(struct rig *rig)
{
    int fd = -1;

    CHECK_EQ(serial_hub_attach(rig->hub, &fd), 0);
    return fd;
}

/* What is there for him now, as text; "" when nothing is, "(end)" after the end. */
static const char *heard(int fd)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

    if (n == 0)
        return "(end)";
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void say(int fd, const char *text)
{
    CHECK_EQ(send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void everybody_sees_what_was_and_what_comes(void)
{
    struct rig rig = open_rig();

    say(rig.vm, "before ");
    turn(&rig);
    int one = attach(&rig), two = attach(&rig);
    CHECK_STR(heard(one), "before ");
    say(rig.vm, "after");
    turn(&rig);
    CHECK_STR(heard(one), "after");
    CHECK_STR(heard(two), "before after");
    close_fd(one);
    turn(&rig);
    say(rig.vm, "!");
    turn(&rig);
    CHECK_STR(heard(two), "!");
    close_rig(&rig);
    CHECK_STR(heard(two), "(end)");
    close_fd(two);
}

static void everybody_types(void)
{
    struct rig rig = open_rig();
    int one = attach(&rig), two = attach(&rig);

    say(one, "a");
    turn(&rig);
    say(two, "b");
    turn(&rig);
    CHECK_STR(heard(rig.vm), "ab");
    CHECK_EQ(shutdown(one, SHUT_WR), 0); /* who has nothing more to type still looks on */
    turn(&rig);
    say(rig.vm, "c");
    turn(&rig);
    CHECK_STR(heard(one), "c");
    close_fd(one);
    close_fd(two);
    close_rig(&rig);
}

/* 64 KiB are kept of 640 KiB. The watcher's socket holds some more: what he reads then is a piece
 * of the beginning, and the end without a gap. */
static void who_lags_loses_the_oldest(void)
{
    struct rig rig = open_rig();
    int late = attach(&rig);
    enum { BLOCK = 65536 };
    static char block[BLOCK + 1], got[2 << 20]; /* the last line's NUL */
    size_t len = 0;

    for (unsigned i = 0; i < 100; i++) {
        for (size_t j = 0; j < (size_t)BLOCK; j += 8)
            (void)snprintf(block + j, 9, "%7zu\n", (i * (size_t)BLOCK + j) / 8);
        for (size_t at = 0; at < (size_t)BLOCK;) {
            ssize_t n = send(rig.vm, block + at, (size_t)BLOCK - at, MSG_DONTWAIT | MSG_NOSIGNAL);
            at += (size_t)(n > 0 ? n : 0);
            turn(&rig);
        }
    }
    for (ssize_t n = 1; n > 0 && len < sizeof got; len += (size_t)n) {
        n = recv(late, got + len, sizeof got - len, MSG_DONTWAIT);
        if (n < 0)
            break;
        turn(&rig);
    }
    REQUIRE(len > SERIAL_HUB_RING && len < 50 * (size_t)BLOCK);
    for (size_t j = 8; j < SERIAL_HUB_RING; j += 8) {
        char want[9];
        (void)snprintf(want, sizeof want, "%7zu\n", (100 * (size_t)BLOCK - j) / 8);
        REQUIRE(!memcmp(got + len - j, want, 8));
    }
    close_fd(late);
    close_rig(&rig);
}

static void a_vm_that_takes_nothing_holds_typing_back(void)
{
    struct rig rig = open_rig();
    int one = attach(&rig);
    static char block[4096];
    size_t typed = 0, taken = 0;
    ssize_t n = 1;

    memset(block, 'x', sizeof block);
    for (unsigned i = 0; i < 1000 && n > 0; i++) {
        n = send(one, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        typed += (size_t)(n > 0 ? n : 0);
        turn(&rig);
    }
    CHECK(n < 0 && errno == EAGAIN);
    while ((n = recv(rig.vm, block, sizeof block, MSG_DONTWAIT)) > 0) {
        taken += (size_t)n;
        turn(&rig);
    }
    CHECK_EQ(taken, typed);
    close_fd(one);
    close_rig(&rig);
}

static void there_is_room_for_so_many(void)
{
    struct rig rig = open_rig();
    int fd[SERIAL_HUB_WATCHERS], more = -1;

    for (unsigned i = 0; i < SERIAL_HUB_WATCHERS; i++)
        fd[i] = attach(&rig);
    CHECK_EQ(serial_hub_attach(rig.hub, &more), -EUSERS);
    close_fd(fd[3]);
    turn(&rig);
    fd[3] = attach(&rig);
    for (unsigned i = 0; i < SERIAL_HUB_WATCHERS; i++)
        close_fd(fd[i]);
    close_rig(&rig);
}

/* A VM that ends: its last words are still told, by the ring and to those who watch. */
static void last_words(void)
{
    struct rig rig = open_rig();
    int one = attach(&rig);

    say(rig.vm, "panic");
    rig.vm = close_fd(rig.vm);
    close_rig(&rig);
    CHECK_STR(heard(one), "panic");
    CHECK_STR(heard(one), "(end)");
    close_fd(one);
}

TAP_MAIN(TAP_CASE(everybody_sees_what_was_and_what_comes), TAP_CASE(everybody_types),
         TAP_CASE(who_lags_loses_the_oldest), TAP_CASE(a_vm_that_takes_nothing_holds_typing_back),
         TAP_CASE(there_is_room_for_so_many), TAP_CASE(last_words))
