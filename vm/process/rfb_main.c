/* SPDX-License-Identifier: Apache-2.0 */
/* The program socle-rfb: the VM's screen for those who look at it. What it reads comes from
 * strangers, so it has next to nothing: video memory, which it cannot write, the console page, the
 * sockets it was given. It confines itself before it reads a byte. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/loop.h"
#include "vm/console/rfb.h"
#include "vm/process/console.h"
#include "vm/process/link.h"
#include "vm/process/sandbox.h"

enum { USERS_MAX = 16 };

/* One who speaks console.h; the first is our starter. */
struct user {
    struct program *program; /* NULL: the place is free */
    struct loop_source source;
};

struct program {
    struct loop *loop;
    struct rfb *rfb;
    struct console_page *page;
    struct bytering keys, tablet;
    char name[CONSOLE_TEXT_MAX];
    struct user user[USERS_MAX];
};

static void drop(struct user *user)
{
    int fd = user->source.fd;

    if (user == user->program->user)
        loop_stop(user->program->loop, 0);
    loop_del(&user->source);
    (void)close_fd(fd);
    user->program = NULL;
}

static void on_user(void *ctx, uint32_t events);

static void add_user(struct program *p, int fd)
{
    for (unsigned i = 0; i < USERS_MAX; i++) {
        struct user *user = &p->user[i];
        if (user->program)
            continue;
        user->program = p;
        if (loop_add_fd(p->loop, &user->source, fd, EPOLLIN, on_user, user) == 0)
            return;
        user->program = NULL;
        break;
    }
    (void)close_fd(fd);
}

static void answer(const struct user *user, uint32_t value)
{
    struct console_message m = {.kind = CONSOLE_DONE, .value = value};

    (void)console_send(user->source.fd, &m, NULL, 0);
}

static uint32_t screenshot(struct program *p, const struct console_message *m, int fd)
{
    cleanup_buf struct buf png = {0};

    if (rfb_screenshot(p->rfb, m->width, m->height, &png) < 0 || png.len > CONSOLE_PNG_MAX ||
        pwrite(fd, png.data, png.len, 0) != (ssize_t)png.len)
        return 0;
    return (uint32_t)png.len;
}

static uint32_t type(struct program *p, const struct console_message *m)
{
    uint32_t count = 0;

    while (count < m->value && count < CONSOLE_KEYS_MAX &&
           rfb_type(p->rfb, m->keys[count].usage, m->keys[count].modifiers) == 0)
        count++;
    return count;
}

/* What only the starter may say. Takes the descriptor. */
static void arrange(struct program *p, struct console_message *m, int fd)
{
    m->text[sizeof m->text - 1] = '\0';
    if (m->kind == CONSOLE_NAME)
        memcpy(p->name, m->text, sizeof p->name);
    else if (m->kind == CONSOLE_USER && fd >= 0)
        add_user(p, TAKE_FD(fd));
    else if (m->kind == CONSOLE_LISTEN && fd >= 0)
        (void)rfb_listen(p->rfb, TAKE_FD(fd), m->text);
    (void)close_fd(fd);
}

static void on_user(void *ctx, uint32_t events)
{
    struct user *user = ctx;
    struct program *p = user->program;
    struct console_message m;
    int fds[CONSOLE_FDS_MAX], rc = console_receive(user->source.fd, &m, fds);

    (void)events;
    if (rc < 0 && rc != -EAGAIN)
        drop(user);
    if (rc < 0)
        return;
    if (m.kind <= CONSOLE_LISTEN && user == p->user)
        arrange(p, &m, TAKE_FD(fds[0]));
    else if (m.kind == CONSOLE_VIEWER && fds[0] >= 0)
        rfb_add_viewer(p->rfb, TAKE_FD(fds[0]), m.value ? RFB_WEBSOCKET : RFB_PLAIN, NULL);
    else if (m.kind == CONSOLE_STREAM && fds[1] >= 0)
        rfb_add_stream(p->rfb, TAKE_FD(fds[0]), TAKE_FD(fds[1]));
    else if (m.kind == CONSOLE_SCREENSHOT && fds[0] >= 0)
        answer(user, screenshot(p, &m, fds[0]));
    else if (m.kind == CONSOLE_TYPE)
        answer(user, type(p, &m));
    else
        drop(user);
    for (unsigned i = 0; i < CONSOLE_FDS_MAX; i++)
        (void)close_fd(fds[i]);
}

static int map_video(struct rfb_config *config, struct err *err)
{
    struct stat st;

    if (fstat(VM_FD_VIDEO, &st) < 0 || st.st_size <= 0)
        return err_set(err, -EINVAL, "no video memory was handed over");
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, VM_FD_VIDEO, 0);
    if (at == MAP_FAILED)
        return err_sys(err, -errno, "cannot map the video memory");
    config->video = at;
    config->video_size = (uint64_t)st.st_size;
    return 0;
}

static int start(struct program *p, struct err *err)
{
    static const int keys[] = {VM_FD_KEYS, VM_FD_KEYS + 1};
    static const int tablet[] = {VM_FD_TABLET, VM_FD_TABLET + 1};
    struct rfb_config config = {.keys = &p->keys, .tablet = &p->tablet, .name = p->name};
    int rc = loop_create(&p->loop);

    if (rc == 0)
        rc = console_page_map(VM_FD_CONSOLE_PAGE, &p->page, err);
    if (rc == 0)
        rc = map_video(&config, err);
    if (rc == 0)
        rc = console_page_writer(p->page, CONSOLE_KEYS, keys, &p->keys);
    if (rc == 0)
        rc = console_page_writer(p->page, CONSOLE_TABLET, tablet, &p->tablet);
    config.loop = p->loop;
    config.page = p->page;
    if (rc == 0)
        rc = rfb_create(&config, &p->rfb, err);
    if (rc < 0)
        return err && err->code ? rc : err_sys(err, rc, "console");
    add_user(p, VM_FD_CONTROL);
    return 0;
}

int main(void)
{
    static struct program program;
    struct err err = ERR_INIT;

    log_open("rfb", LOG_INFO, -1);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (start(&program, &err) < 0) {
        log_error("%s", err.text);
        return EXIT_FAILURE;
    }
    sandbox_enter(SANDBOX_RFB);
    (void)loop_run(program.loop);
    rfb_destroy(program.rfb);
    _exit(EXIT_SUCCESS);
}
