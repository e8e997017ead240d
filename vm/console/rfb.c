/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/rfb.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nettle/des.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "vm/backend/input.h"
#include "vm/console/conn.h"
#include "vm/console/keymap.h"
#include "vm/console/rfb.h"
#include "vm/console/screenshot.h"
#include "vm/console/webstream.h"

#define MS UINT64_C(1000000)

enum {
    LOOK_MIN_MS = 40,
    LOOK_MAX_MS = 500,
    TYPE_MS = 10,
    STREAMS_MAX = 16,
    ANSWERS_MAX = 64 << 10
};

/* One connection of a viewer. */
struct looker {
    struct rfb *rfb; /* NULL: the place is free */
    struct conn conn;
    struct viewer *viewer;
    struct viewer_host host;
    uint64_t began_ns, deadline_ns; /* of the handshake; the second is 0 when it is done */
    char password[VIEWER_PASSWORD_MAX + 1];
};

/* A key on its way, pressed or released. */
struct typed {
    uint8_t usage;
    bool down;
};

struct rfb {
    struct rfb_config config;
    struct picture *picture;
    struct looker looker[RFB_VIEWERS_MAX];
    struct webstream *stream[STREAMS_MAX];
    struct loop_source listen;
    char password[VIEWER_PASSWORD_MAX + 1]; /* of those who come by `listen` */

    struct loop_source hurry; /* timer: handshakes that take too long */
    struct loop_source look;  /* timer */
    uint64_t looked_at;
    unsigned interval_ms;
    bool look_soon;

    struct loop_source type; /* timer */
    struct typed *typed;     /* a ring of RFB_TYPED_MAX */
    unsigned typed_at, typed_count;

    uint32_t pointer_x, pointer_y;
};

/* --- looking --- */

static void surface_of(struct rfb *rfb, struct display_surface *ret_surface)
{
    if (!rfb->config.video || !console_page_read(rfb->config.page, ret_surface))
        *ret_surface = (struct display_surface){.format = DISPLAY_BLANK};
    ret_surface->memory = rfb->config.video;
    ret_surface->size = rfb->config.video_size;
    surface_check(ret_surface);
}

static void hang_up(struct looker *l)
{
    viewer_destroy(l->viewer);
    conn_close(&l->conn);
    *l = (struct looker){0};
}

/* All of it, and every viewer hears of it. */
static bool look(struct rfb *rfb)
{
    struct display_surface surface;

    surface_of(rfb, &surface);
    if (picture_look(rfb->picture, &surface) <= 0)
        return false;
    for (unsigned i = 0; i < RFB_VIEWERS_MAX; i++) {
        struct looker *l = &rfb->looker[i];
        if (l->rfb && viewer_changed(l->viewer) < 0)
            hang_up(l);
    }
    return true;
}

static bool anybody_waits(const struct rfb *rfb)
{
    for (unsigned i = 0; i < RFB_VIEWERS_MAX; i++)
        if (rfb->looker[i].rfb && viewer_waits(rfb->looker[i].viewer) &&
            !conn_pending(&rfb->looker[i].conn))
            return true;
    return false;
}

/* The next look, if anybody waits for it. */
static void plan(struct rfb *rfb)
{
    unsigned ms = rfb->look_soon ? LOOK_MIN_MS : rfb->interval_ms;

    (void)loop_timer_arm(&rfb->look, anybody_waits(rfb) ? MAX(rfb->looked_at + ms * MS, 1u) : 0);
}

/* Gives a viewer what there is for it, as far as it takes it. */
static int serve(struct looker *l)
{
    int rc = conn_flush(&l->conn);

    while (rc == 0) {
        rc = viewer_output(l->viewer);
        if (rc < 0 || !l->viewer->out.len)
            break;
        conn_put(&l->conn, l->viewer->out.data, l->viewer->out.len);
        l->viewer->out.len = 0;
        rc = conn_flush(&l->conn);
    }
    if (rc >= 0) /* what it is answered while it does not read stays with the viewer */
        conn_listen(&l->conn, !l->conn.ended && l->viewer->out.len < ANSWERS_MAX);
    return l->conn.out.failed ? -ENOMEM : rc;
}

static void serve_all(struct rfb *rfb)
{
    for (unsigned i = 0; i < RFB_VIEWERS_MAX; i++) {
        struct looker *l = &rfb->looker[i];
        if (l->rfb && viewer_waits(l->viewer) && !conn_pending(&l->conn) && serve(l) < 0)
            hang_up(l);
    }
}

/* Is there something new? The next interval follows from that. `whole`: be sure. */
static void refresh(struct rfb *rfb, bool whole)
{
    struct display_surface surface;

    surface_of(rfb, &surface);
    bool changed = (whole || !picture_same(rfb->picture, &surface)) && look(rfb);
    if (changed || rfb->look_soon)
        rfb->interval_ms = LOOK_MIN_MS;
    else
        rfb->interval_ms = MIN(rfb->interval_ms * 2, (unsigned)LOOK_MAX_MS);
    rfb->look_soon = false;
    rfb->looked_at = clock_now();
}

static void on_look(void *ctx, uint32_t events)
{
    struct rfb *rfb = ctx;

    (void)events;
    refresh(rfb, rfb->look_soon);
    serve_all(rfb); /* there may be news beside the picture's */
    plan(rfb);
}

/* Somebody does something, and wants to see it. */
static void soon(struct rfb *rfb)
{
    rfb->look_soon = true;
    rfb->interval_ms = LOOK_MIN_MS;
}

/* --- keys and pointer --- */

static void send_key(struct rfb *rfb, uint8_t usage, bool down)
{
    struct input_event event = {.kind = INPUT_KEY, .usage = usage, .down = down};

    if (rfb->config.keys)
        (void)input_send(rfb->config.keys, &event);
    soon(rfb);
}

static void host_key(void *ctx, uint8_t usage, bool down)
{
    send_key(((struct looker *)ctx)->rfb, usage, down);
}

static uint16_t across(uint32_t at, uint32_t size)
{
    return (uint16_t)(size > 1 ? MIN((uint64_t)at * INPUT_RANGE / (size - 1), (uint64_t)INPUT_RANGE)
                               : 0);
}

static void host_pointer(void *ctx, uint32_t x, uint32_t y, unsigned buttons, int wheel)
{
    struct rfb *rfb = ((struct looker *)ctx)->rfb;
    struct input_event event = {.wheel = (int8_t)wheel, .buttons = (uint8_t)buttons};
    bool tablet =
        rfb->config.tablet && atomic_load_explicit(&rfb->config.page->tablet, memory_order_relaxed);
    struct bytering *ring = tablet ? rfb->config.tablet : rfb->config.keys;

    if (tablet) {
        event.kind = INPUT_ABSOLUTE;
        event.x = across(x, rfb->picture->width);
        event.y = across(y, rfb->picture->height);
    } else { /* x and y have 16 bits */
        event.kind = INPUT_POINTER;
        event.dx = (int16_t)((int32_t)x - (int32_t)rfb->pointer_x);
        event.dy = (int16_t)((int32_t)y - (int32_t)rfb->pointer_y);
    }
    rfb->pointer_x = x;
    rfb->pointer_y = y;
    if (ring)
        (void)input_send(ring, &event);
    soon(rfb);
}

static unsigned host_leds(void *ctx)
{
    return atomic_load_explicit(&((struct looker *)ctx)->rfb->config.page->leds,
                                memory_order_relaxed);
}

/* The next of what is to be typed: one at a time, as no guest's driver takes them all at once. */
static void on_type(void *ctx, uint32_t events)
{
    struct rfb *rfb = ctx;

    (void)events;
    if (!rfb->typed_count)
        return;
    struct typed t = rfb->typed[rfb->typed_at];
    rfb->typed_at = (rfb->typed_at + 1) % RFB_TYPED_MAX;
    rfb->typed_count--;
    send_key(rfb, t.usage, t.down);
    (void)loop_timer_arm(&rfb->type, rfb->typed_count ? clock_now() + TYPE_MS * MS : 0);
    plan(rfb);
}

static void queue_key(struct rfb *rfb, uint8_t usage, bool down)
{
    rfb->typed[(rfb->typed_at + rfb->typed_count++) % RFB_TYPED_MAX] = (struct typed){usage, down};
}

int rfb_type(struct rfb *rfb, uint8_t usage, uint8_t modifiers)
{
    unsigned events = 2 + 2 * (unsigned)__builtin_popcount(modifiers);
    bool idle = !rfb->typed_count;

    if (rfb->typed_count + events > RFB_TYPED_MAX)
        return -ENOBUFS;
    for (unsigned i = 0; i < 8; i++)
        if (modifiers & BIT(i))
            queue_key(rfb, (uint8_t)(USAGE_LEFT_CONTROL + i), true);
    queue_key(rfb, usage, true);
    queue_key(rfb, usage, false);
    for (unsigned i = 8; i-- > 0;)
        if (modifiers & BIT(i))
            queue_key(rfb, (uint8_t)(USAGE_LEFT_CONTROL + i), false);
    if (idle)
        (void)loop_timer_arm(&rfb->type, clock_now() + TYPE_MS * MS);
    return 0;
}

/* --- viewers --- */

/* VNC authentication: DES with the password as its key, the bits of each byte the other way round
 * (RFC 6143, 7.2.2, and every implementation). */
static int host_respond(void *ctx, const uint8_t challenge[RFB_CHALLENGE_LEN],
                        uint8_t ret_response[RFB_CHALLENGE_LEN])
{
    const struct looker *l = ctx;
    struct des_ctx des;
    uint8_t key[DES_KEY_SIZE];

    for (unsigned i = 0; i < DES_KEY_SIZE; i++) {
        uint8_t byte = (uint8_t)l->password[i];
        key[i] = 0;
        for (unsigned bit = 0; bit < 8; bit++)
            key[i] |= (uint8_t)((byte >> bit & 1) << (7 - bit));
    }
    (void)des_set_key(&des, key); /* a weak key is the person's choice */
    des_encrypt(&des, RFB_CHALLENGE_LEN, ret_response, challenge);
    return 0;
}

static int take_input(struct looker *l)
{
    cleanup_buf struct buf data = {0};
    int rc = conn_read(&l->conn, &data);

    if (rc == -EAGAIN)
        return 0;
    int taken = viewer_input(l->viewer, data.data, data.len);
    return rc < 0 ? rc : taken;
}

static void on_viewer(void *ctx, uint32_t events)
{
    struct looker *l = ctx;
    struct rfb *rfb = l->rfb;
    enum viewer_state before = l->viewer->state;
    int rc = 0;

    if (!l->conn.ended && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        rc = take_input(l);
    if (rc < 0) { /* it may still hear why */
        conn_put(&l->conn, l->viewer->out.data, l->viewer->out.len);
        conn_end(&l->conn);
        (void)conn_flush(&l->conn);
        hang_up(l);
        plan(rfb);
        return;
    }
    if (l->viewer->state == VIEWER_RUNNING)
        l->deadline_ns = 0;
    else if (l->viewer->state == VIEWER_RESPONSE && before != VIEWER_RESPONSE)
        l->deadline_ns = clock_now() + RFB_PASSWORD_S * 1000 * MS;
    /* Who asks gets what is, not what was when somebody last looked; if that was long ago, surely
     * so. Who asks all the time does it when it has just been given something. */
    uint64_t since = clock_now() - rfb->looked_at;
    if (viewer_waits(l->viewer) && since >= LOOK_MIN_MS * MS)
        refresh(rfb, since >= LOOK_MAX_MS * MS);
    if (l->rfb && serve(l) < 0)
        hang_up(l);
    plan(rfb);
}

/* Armed as long as there are handshakes: looks after all of them. */
static void on_hurry(void *ctx, uint32_t events)
{
    struct rfb *rfb = ctx;
    uint64_t now = clock_now(), next = 0;

    (void)events;
    for (unsigned i = 0; i < RFB_VIEWERS_MAX; i++) {
        struct looker *l = &rfb->looker[i];
        if (l->rfb && l->deadline_ns && l->deadline_ns <= now)
            hang_up(l);
        else if (l->rfb && l->deadline_ns && (!next || l->deadline_ns < next))
            next = l->deadline_ns;
    }
    (void)loop_timer_arm(&rfb->hurry, next);
}

static int open_looker(struct looker *l, int fd, enum rfb_framing framing)
{
    uint8_t challenge[RFB_CHALLENGE_LEN];
    struct loop *loop = l->rfb->config.loop;
    static const int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int rc = conn_open(&l->conn, loop, fd, framing == RFB_WEBSOCKET, on_viewer, l);
    if (rc == 0 && getrandom(challenge, sizeof challenge, 0) != sizeof challenge)
        rc = -EIO;
    if (rc == 0)
        rc = viewer_create(&l->host, l->rfb->picture, challenge, &l->viewer);
    l->began_ns = clock_now();
    l->deadline_ns = l->began_ns + RFB_HANDSHAKE_S * 1000 * MS;
    on_hurry(l->rfb, 0);
    return rc < 0 ? rc : serve(l);
}

/* For one more. NULL: all are viewers. */
static struct looker *free_place(struct rfb *rfb)
{
    struct looker *oldest = NULL;

    for (unsigned i = 0; i < RFB_VIEWERS_MAX; i++) {
        struct looker *l = &rfb->looker[i];
        if (!l->rfb)
            return l;
        if (l->deadline_ns && (!oldest || l->began_ns < oldest->began_ns))
            oldest = l;
    }
    if (oldest)
        hang_up(oldest);
    return oldest;
}

void rfb_add_viewer(struct rfb *rfb, int fd, enum rfb_framing framing, const char *password)
{
    struct looker *l = free_place(rfb);

    if (!l) {
        conn_refuse(fd, framing == RFB_WEBSOCKET);
        return;
    }
    (void)look(rfb); /* so that it is told the size that is */
    l->rfb = rfb;
    if (password)
        (void)strncpy(l->password, password, VIEWER_PASSWORD_MAX);
    l->host = (struct viewer_host){.key = host_key,
                                   .pointer = host_pointer,
                                   .leds = host_leds,
                                   .respond = *l->password ? host_respond : NULL,
                                   .ctx = l,
                                   .name = rfb->config.name};
    if (open_looker(l, fd, framing) < 0)
        hang_up(l);
}

static void on_listen(void *ctx, uint32_t events)
{
    struct rfb *rfb = ctx;
    int fd = accept4(rfb->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0)
        rfb_add_viewer(rfb, fd, RFB_PLAIN, rfb->password);
}

int rfb_listen(struct rfb *rfb, int fd, const char *password)
{
    if (password)
        (void)strncpy(rfb->password, password, VIEWER_PASSWORD_MAX);
    int rc = rfb->listen.loop
                 ? -EBUSY
                 : loop_add_fd(rfb->config.loop, &rfb->listen, fd, EPOLLIN, on_listen, rfb);
    if (rc < 0)
        (void)close_fd(fd);
    return rc;
}

static void stream_ended(void *ctx, struct webstream *webstream)
{
    struct rfb *rfb = ctx;

    for (unsigned i = 0; i < STREAMS_MAX; i++)
        if (rfb->stream[i] == webstream)
            rfb->stream[i] = NULL;
    webstream_destroy(webstream);
}

void rfb_add_stream(struct rfb *rfb, int websocket, int stream)
{
    unsigned i = 0;

    while (i < STREAMS_MAX && rfb->stream[i])
        i++;
    if (i == STREAMS_MAX) {
        conn_refuse(websocket, true);
        (void)close_fd(stream);
        return;
    }
    (void)webstream_create(rfb->config.loop, websocket, stream, stream_ended, rfb, &rfb->stream[i]);
}

int rfb_screenshot(struct rfb *rfb, uint32_t width, uint32_t height, struct buf *out)
{
    if (look(rfb))
        serve_all(rfb);
    plan(rfb);
    return screenshot_png(rfb->picture, width, height, out);
}

/* --- life --- */

int rfb_create(const struct rfb_config *config, struct rfb **ret_rfb, struct err *err)
{
    struct rfb *rfb = calloc(1, sizeof *rfb);
    int rc = rfb ? 0 : -ENOMEM;

    if (rc == 0) {
        rfb->config = *config;
        rfb->interval_ms = LOOK_MIN_MS;
        rfb->typed = calloc(RFB_TYPED_MAX, sizeof *rfb->typed);
        rc = rfb->typed ? picture_create(&rfb->picture) : -ENOMEM;
    }
    if (rc == 0)
        rc = loop_add_timer(config->loop, &rfb->look, on_look, rfb);
    if (rc == 0)
        rc = loop_add_timer(config->loop, &rfb->hurry, on_hurry, rfb);
    if (rc == 0)
        rc = loop_add_timer(config->loop, &rfb->type, on_type, rfb);
    if (rc < 0) {
        rfb_destroy(rfb);
        return err_sys(err, rc, "console");
    }
    *ret_rfb = rfb;
    return 0;
}

void rfb_destroy(struct rfb *rfb)
{
    if (!rfb)
        return;
    for (unsigned i = 0; i < RFB_VIEWERS_MAX; i++)
        if (rfb->looker[i].rfb)
            hang_up(&rfb->looker[i]);
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        webstream_destroy(rfb->stream[i]);
    int listen = rfb->listen.loop ? rfb->listen.fd : -1;
    loop_del(&rfb->listen);
    (void)close_fd(listen);
    loop_del(&rfb->look);
    loop_del(&rfb->hurry);
    loop_del(&rfb->type);
    picture_destroy(rfb->picture);
    free(rfb->typed);
    free(rfb);
}
