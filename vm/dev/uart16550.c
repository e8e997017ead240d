/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A: PC16550D data sheet, section 8. Missing on purpose: time (baud rate, the receiver's
 * character time-out is immediate), break, parity and framing errors, which a byte ring can not
 * carry. */
#include "vm/dev/uart16550.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/lock.h"
#include "base/range.h"
#include "vm/dev/uart16550_regs.h"

enum { FIFO_SIZE = 16 };

struct uart16550 {
    struct dev_env env;
    struct bytering *tx_ring, *rx_ring; /* borrowed, or NULL */
    struct loop_source tx_space, rx_data;
    pthread_mutex_t lock; /* all below */
    bool irq_level;

    uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
    bool overrun;      /* LSR.OE */
    bool thre_pending; /* THRE interrupt not yet seen in IIR */
    uint8_t rx_len, tx_len;
    uint8_t rx[FIFO_SIZE]; /* received, oldest first */
    uint8_t tx[FIFO_SIZE]; /* could not go out yet, oldest first */
};

static unsigned fifo_size(const struct uart16550 *u)
{
    return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned rx_trigger(const struct uart16550 *u)
{
    static const uint8_t trigger[] = {1, 4, 8, 14};

    return u->fcr & FCR_ENABLE ? trigger[u->fcr >> 6] : 1;
}

/* Highest interrupt of those that are enabled and pending (table in 8.6.4). */
static uint8_t pending(const struct uart16550 *u)
{
    if ((u->ier & IER_LINE) && u->overrun)
        return IIR_LINE;
    if ((u->ier & IER_RDA) && u->rx_len)
        return u->rx_len >= rx_trigger(u) ? IIR_RDA : IIR_TIMEOUT;
    if ((u->ier & IER_THRE) && u->thre_pending)
        return IIR_THRE;
    if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

/* The chip lowers and raises its line when one cause is served and the next takes over; here it
 * just stays up. Drivers read IIR until nothing is pending (an edge-triggered PC interrupt needs
 * that anyway), and sixteen characters cost two changes of the wire and not thirty-two. */
static void update_irq(struct uart16550 *u)
{
    bool gate = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    bool level = gate && pending(u) != IIR_NONE;

    if (level != u->irq_level) {
        u->irq_level = level;
        irq_set(&u->env.irq[0], level);
    }
}

/* The modem lines as inputs: what is connected is always ready; in loop-back they are the outputs
 * (8.6.6). */
static uint8_t modem_lines(const struct uart16550 *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_DCD | MSR_DSR | MSR_CTS;
    return (u->mcr & MCR_DTR ? MSR_DSR : 0) | (u->mcr & MCR_RTS ? MSR_CTS : 0) |
           (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void update_msr(struct uart16550 *u)
{
    uint8_t now = modem_lines(u);
    uint8_t changed = (uint8_t)((now ^ u->msr) & 0xf0);

    u->msr = (uint8_t)(now | (u->msr & MSR_DELTAS) | (changed & MSR_CTS ? MSR_DCTS : 0) |
                       (changed & MSR_DSR ? MSR_DDSR : 0) | (changed & MSR_DCD ? MSR_DDCD : 0) |
                       (changed & u->msr & MSR_RI ? MSR_TERI : 0));
}

/* Receiving. */

static void rx_push(struct uart16550 *u, uint8_t byte)
{
    if (u->rx_len < fifo_size(u)) {
        u->rx[u->rx_len++] = byte;
        return;
    }
    u->overrun = true;
    if (!(u->fcr & FCR_ENABLE))
        u->rx[0] = byte; /* without FIFO the holding register is overwritten (8.6.3) */
}

/* Characters stay in the ring until there is room: a guest that is slow loses none. */
static void rx_fill(struct uart16550 *u)
{
    if (!u->rx_ring || (u->mcr & MCR_LOOP))
        return;
    while (u->rx_len < fifo_size(u)) {
        size_t n = bytering_read(u->rx_ring, u->rx + u->rx_len, fifo_size(u) - u->rx_len);
        if (n == 0)
            break; /* only now will the ring wake us for more */
        u->rx_len = (uint8_t)(u->rx_len + n);
    }
}

static uint8_t rx_pop(struct uart16550 *u)
{
    uint8_t byte = u->rx[0];

    if (u->rx_len) {
        u->rx_len--;
        memmove(u->rx, u->rx + 1, u->rx_len);
    }
    if (!u->rx_len)
        rx_fill(u);
    return byte;
}

static void on_rx_data(void *ctx, uint32_t events)
{
    struct uart16550 *u = ctx;

    (void)events;
    bytering_clear(u->rx_ring);
    LOCK_SCOPE(&u->lock);
    rx_fill(u);
    update_irq(u);
}

/* Transmitting. */

static bool tx_out(struct uart16550 *u, uint8_t byte)
{
    return !u->tx_ring || bytering_write(u->tx_ring, &byte, 1);
}

static void tx_flush(struct uart16550 *u)
{
    unsigned sent = 0;

    if (!u->tx_len)
        return;
    while (sent < u->tx_len && tx_out(u, u->tx[sent]))
        sent++;
    u->tx_len = (uint8_t)(u->tx_len - sent);
    memmove(u->tx, u->tx + sent, u->tx_len);
    if (!u->tx_len)
        u->thre_pending = true;
}

static void on_tx_space(void *ctx, uint32_t events)
{
    struct uart16550 *u = ctx;

    (void)events;
    bytering_clear(u->tx_ring);
    LOCK_SCOPE(&u->lock);
    tx_flush(u);
    update_irq(u);
}

static void tx_write(struct uart16550 *u, uint8_t byte)
{
    if (u->mcr & MCR_LOOP) {
        rx_push(u, byte);
        u->thre_pending = true;
        return;
    }
    tx_flush(u);
    if (!u->tx_len && tx_out(u, byte)) {
        u->thre_pending = true;
        return;
    }
    u->thre_pending = false;
    if (u->tx_len < fifo_size(u))
        u->tx[u->tx_len++] = byte;
}

/* Registers. */

static void fcr_write(struct uart16550 *u, uint8_t v)
{
    bool toggled = (v ^ u->fcr) & FCR_ENABLE;

    if (toggled || ((v & FCR_ENABLE) && (v & FCR_RX_RESET)))
        u->rx_len = 0;
    if (toggled || ((v & FCR_ENABLE) && (v & FCR_TX_RESET))) {
        if (u->tx_len)
            u->thre_pending = true;
        u->tx_len = 0;
    }
    u->fcr = v & FCR_ENABLE ? v & FCR_STORED : 0;
    rx_fill(u);
}

static void ier_write(struct uart16550 *u, uint8_t v)
{
    v &= IER_MASK;
    /* Enabling it with an empty transmitter interrupts at once (8.6.4, note). */
    if ((v & ~u->ier & IER_THRE) && !u->tx_len)
        u->thre_pending = true;
    u->ier = v;
}

static uint8_t iir_read(struct uart16550 *u)
{
    uint8_t id = pending(u);

    if (id == IIR_THRE) {
        u->thre_pending = false;
        update_irq(u);
    }
    return id | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t lsr_read(struct uart16550 *u)
{
    tx_flush(u);
    uint8_t lsr = (uint8_t)((u->rx_len ? LSR_DR : 0) | (u->overrun ? LSR_OE : 0) |
                            (u->tx_len ? 0 : LSR_THRE | LSR_TEMT));
    u->overrun = false;
    update_irq(u);
    return lsr;
}

static uint64_t uart16550_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct uart16550 *u = dev;
    uint8_t v = 0;

    (void)region, (void)size;
    LOCK_SCOPE(&u->lock);
    switch (offset) {
    case UART_RBR:
        if (u->lcr & LCR_DLAB)
            return u->dll;
        v = rx_pop(u);
        update_irq(u);
        return v;
    case UART_IER:
        return u->lcr & LCR_DLAB ? u->dlm : u->ier;
    case UART_IIR:
        return iir_read(u);
    case UART_LCR:
        return u->lcr;
    case UART_MCR:
        return u->mcr;
    case UART_LSR:
        return lsr_read(u);
    case UART_MSR:
        v = u->msr;
        u->msr &= 0xf0;
        update_irq(u);
        return v;
    case UART_SCR:
        return u->scr;
    default:
        return 0xff;
    }
}

static void uart16550_write(void *dev, unsigned region, uint64_t offset, unsigned size,
                            uint64_t value)
{
    struct uart16550 *u = dev;
    uint8_t v = (uint8_t)value;

    (void)region, (void)size;
    LOCK_SCOPE(&u->lock);
    switch (offset) {
    case UART_THR:
        if (u->lcr & LCR_DLAB)
            u->dll = v;
        else
            tx_write(u, v);
        break;
    case UART_IER:
        if (u->lcr & LCR_DLAB)
            u->dlm = v;
        else
            ier_write(u, v);
        break;
    case UART_FCR:
        fcr_write(u, v);
        break;
    case UART_LCR:
        u->lcr = v;
        return;
    case UART_MCR:
        u->mcr = v & MCR_MASK;
        update_msr(u);
        rx_fill(u);
        break;
    case UART_SCR:
        u->scr = v;
        return;
    default:
        return; /* LSR and MSR: factory test only (8.6.3, 8.6.7) */
    }
    update_irq(u);
}

/* Life. */

static void uart16550_reset(void *dev)
{
    struct uart16550 *u = dev;

    LOCK_SCOPE(&u->lock);
    u->ier = u->fcr = u->lcr = u->mcr = u->scr = u->dlm = 0;
    u->dll = 1;
    u->overrun = u->thre_pending = false;
    u->rx_len = u->tx_len = 0;
    u->msr = modem_lines(u);
    update_irq(u);
}

static void uart16550_quiesce(void *dev)
{
    struct uart16550 *u = dev;

    loop_del(&u->rx_data);
    loop_del(&u->tx_space);
}

static int start(struct uart16550 *u)
{
    int rc = 0;

    if (u->rx_ring)
        rc = loop_add_fd(u->env.loop, &u->rx_data, u->rx_ring->wait_fd, EPOLLIN, on_rx_data, u);
    if (rc == 0 && u->tx_ring)
        rc = loop_add_fd(u->env.loop, &u->tx_space, u->tx_ring->wait_fd, EPOLLIN, on_tx_space, u);
    return rc;
}

static void uart16550_resume(void *dev)
{
    struct uart16550 *u = dev;

    (void)start(u);
    LOCK_SCOPE(&u->lock);
    tx_flush(u);
    rx_fill(u);
    u->irq_level = false;
    update_irq(u);
}

static int uart16550_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    const struct uart16550_params *p = params;

    (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "uart16550",
                    .space = DEV_PIO,
                    .base = p->base,
                    .size = UART_PORTS,
                    .min_width = 1,
                    .max_width = 1}},
        .region_count = 1,
        .isa_irq = {p->irq},
    };
    return 0;
}

static void uart16550_destroy(void *dev)
{
    struct uart16550 *u = dev;

    if (!u)
        return;
    uart16550_quiesce(u);
    (void)pthread_mutex_destroy(&u->lock);
    free(u);
}

static int uart16550_create(const struct dev_env *env, const void *params, void **ret_dev,
                            struct err *err)
{
    const struct uart16550_params *p = params;
    struct uart16550 *u = calloc(1, sizeof *u);

    if (!u)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    u->env = *env;
    u->tx_ring = p->tx;
    u->rx_ring = p->rx;
    (void)pthread_mutex_init(&u->lock, NULL);
    int rc = start(u);
    if (rc < 0) {
        uart16550_destroy(u);
        return err_sys(err, rc, "cannot create %s", env->name);
    }
    uart16550_reset(u);
    *ret_dev = u;
    return 0;
}

static int uart16550_post_load(void *object, struct err *err)
{
    const struct uart16550 *u = object;

    if (u->rx_len > FIFO_SIZE || u->tx_len > FIFO_SIZE)
        return err_set(err, -EINVAL, "uart16550: more in a FIFO than it holds");
    return 0;
}

static const struct state_field uart16550_fields[] = {
    STATE_FIELD(struct uart16550, ier, STATE_U8),
    STATE_FIELD(struct uart16550, fcr, STATE_U8),
    STATE_FIELD(struct uart16550, lcr, STATE_U8),
    STATE_FIELD(struct uart16550, mcr, STATE_U8),
    STATE_FIELD(struct uart16550, msr, STATE_U8),
    STATE_FIELD(struct uart16550, scr, STATE_U8),
    STATE_FIELD(struct uart16550, dll, STATE_U8),
    STATE_FIELD(struct uart16550, dlm, STATE_U8),
    STATE_FIELD(struct uart16550, overrun, STATE_BOOL),
    STATE_FIELD(struct uart16550, thre_pending, STATE_BOOL),
    STATE_FIELD(struct uart16550, rx_len, STATE_U8),
    STATE_FIELD(struct uart16550, tx_len, STATE_U8),
    STATE_FIELD(struct uart16550, rx, STATE_U8),
    STATE_FIELD(struct uart16550, tx, STATE_U8),
};

static const struct state_table uart16550_state = {
    .name = "uart16550",
    .version = 1,
    .size = sizeof(struct uart16550),
    .fields = uart16550_fields,
    .field_count = ARRAY_SIZE(uart16550_fields),
    .post_load = uart16550_post_load,
};

const struct dev_class uart16550_class = {
    .name = "uart16550",
    .place = DEV_IN_VMM,
    .layout = uart16550_layout,
    .create = uart16550_create,
    .destroy = uart16550_destroy,
    .reset = uart16550_reset,
    .quiesce = uart16550_quiesce,
    .resume = uart16550_resume,
    .read = uart16550_read,
    .write = uart16550_write,
    .state = &uart16550_state,
};
