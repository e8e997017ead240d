/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/dev/uart16550.h"

#include <sys/eventfd.h>

#include "tests/device/chip.h"
#include "vm/dev/uart16550_regs.h"

enum { COM1 = 0x3f8, RING = 64 };

/* The port and the far ends of its rings. */
struct line {
    struct chip chip;
    struct bytering tx, rx;        /* the port's ends */
    struct bytering tx_out, rx_in; /* ours */
    struct bytering_shared *shared[2];
    struct uart16550_params params;
    int fd[4];
};

static void line_open(struct line *l)
{
    for (int i = 0; i < 4; i++)
        l->fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (int i = 0; i < 2; i++)
        l->shared[i] = aligned_alloc(64, bytering_shared_size(RING));
    memset(l->shared[0], 0, bytering_shared_size(RING));
    memset(l->shared[1], 0, bytering_shared_size(RING));
    CHECK_EQ(bytering_init_writer(&l->tx, l->shared[0], RING, l->fd[0], l->fd[1]), 0);
    CHECK_EQ(bytering_init_reader(&l->tx_out, l->shared[0], RING, l->fd[0], l->fd[1]), 0);
    CHECK_EQ(bytering_init_writer(&l->rx_in, l->shared[1], RING, l->fd[2], l->fd[3]), 0);
    CHECK_EQ(bytering_init_reader(&l->rx, l->shared[1], RING, l->fd[2], l->fd[3]), 0);
    l->params = (struct uart16550_params){.base = COM1, .irq = 4, .tx = &l->tx, .rx = &l->rx};
    chip_open(&l->chip, &uart16550_class, &l->params);
}

static void line_close(struct line *l)
{
    chip_close(&l->chip);
    for (int i = 0; i < 4; i++)
        (void)close(l->fd[i]);
    free(l->shared[0]);
    free(l->shared[1]);
}

static uint8_t in(struct line *l, unsigned reg)
{
    return (uint8_t)chip_in(&l->chip, (uint16_t)(COM1 + reg), 1);
}

static void out(struct line *l, unsigned reg, uint8_t v)
{
    chip_out(&l->chip, (uint16_t)(COM1 + reg), 1, v);
}

static void send(struct line *l, const char *s)
{
    CHECK_EQ(bytering_write(&l->rx_in, s, strlen(s)), strlen(s));
    chip_settle(&l->chip);
}

static void power_on_state(void)
{
    struct line l;
    line_open(&l);
    CHECK_EQ(in(&l, UART_IER), 0);
    CHECK_EQ(in(&l, UART_IIR), IIR_NONE);
    CHECK_EQ(in(&l, UART_LCR), 0);
    CHECK_EQ(in(&l, UART_LSR), LSR_THRE | LSR_TEMT);
    CHECK_EQ(in(&l, UART_MSR), MSR_DCD | MSR_DSR | MSR_CTS);
    CHECK_EQ(chip_in(&l.chip, COM1 + UART_LSR, 2),
             LSR_THRE | LSR_TEMT | (MSR_DCD | MSR_DSR | MSR_CTS) << 8);
    line_close(&l);
}

static void divisor_hides_behind_dlab(void)
{
    struct line l;
    line_open(&l);
    out(&l, UART_LCR, LCR_DLAB | 3);
    out(&l, UART_THR, 0x0c);
    out(&l, UART_IER, 0x34);
    CHECK_EQ(in(&l, UART_RBR), 0x0c);
    CHECK_EQ(in(&l, UART_IER), 0x34);
    out(&l, UART_LCR, 3);
    CHECK_EQ(in(&l, UART_IER), 0);
    CHECK_EQ(bytering_used(&l.tx_out), 0);
    out(&l, UART_SCR, 0xa5);
    CHECK_EQ(in(&l, UART_SCR), 0xa5);
    line_close(&l);
}

static void transmits_and_interrupts_once_a_burst(void)
{
    struct line l;
    char got[RING] = "";
    line_open(&l);
    out(&l, UART_FCR, FCR_ENABLE);
    out(&l, UART_MCR, MCR_OUT2);
    out(&l, UART_IER, IER_THRE);
    CHECK(l.chip.level[0]);
    CHECK_EQ(in(&l, UART_IIR), IIR_FIFOS | IIR_THRE);
    CHECK(!l.chip.level[0]);
    CHECK_EQ(in(&l, UART_IIR), IIR_FIFOS | IIR_NONE);
    for (const char *s = "sixteen letters."; *s; s++)
        out(&l, UART_THR, (uint8_t)*s);
    CHECK_EQ(l.chip.edges[0], 2);
    CHECK(l.chip.level[0]);
    CHECK_EQ(bytering_read(&l.tx_out, got, sizeof got), 16);
    CHECK_STR(got, "sixteen letters.");
    out(&l, UART_IER, 0); /* off and on again interrupts again: what Linux probes for */
    CHECK(!l.chip.level[0]);
    (void)in(&l, UART_IIR);
    out(&l, UART_IER, IER_THRE);
    CHECK_EQ(in(&l, UART_IIR), IIR_FIFOS | IIR_THRE);
    line_close(&l);
}

static void out2_gates_the_wire(void)
{
    struct line l;
    line_open(&l);
    out(&l, UART_IER, IER_THRE);
    CHECK(!l.chip.level[0]);
    out(&l, UART_MCR, MCR_OUT2);
    CHECK(l.chip.level[0]);
    line_close(&l);
}

static void waits_while_the_ring_is_full(void)
{
    struct line l;
    char got[2 * RING];
    line_open(&l);
    out(&l, UART_FCR, FCR_ENABLE);
    out(&l, UART_MCR, MCR_OUT2);
    out(&l, UART_IER, IER_THRE);
    for (unsigned i = 0; i < RING; i++)
        out(&l, UART_THR, (uint8_t)i);
    CHECK_EQ(in(&l, UART_LSR), LSR_THRE | LSR_TEMT);
    out(&l, UART_THR, RING);
    CHECK_EQ(in(&l, UART_LSR), 0);
    (void)in(&l, UART_IIR);
    CHECK(!l.chip.level[0]);
    for (unsigned i = 1; i < 16; i++) /* the FIFO takes what the ring does not */
        out(&l, UART_THR, (uint8_t)(RING + i));
    out(&l, UART_THR, 0xff); /* written over the edge: lost, as on the chip */
    CHECK_EQ(bytering_read(&l.tx_out, got, sizeof got), RING);
    chip_settle(&l.chip);
    CHECK(l.chip.level[0]);
    CHECK_EQ(in(&l, UART_LSR), LSR_THRE | LSR_TEMT);
    CHECK_EQ(bytering_read(&l.tx_out, got + RING, RING), 16);
    for (unsigned i = 0; i < RING + 16; i++)
        CHECK_EQ((uint8_t)got[i], i);
    line_close(&l);
}

static void receives_by_trigger_and_timeout(void)
{
    struct line l;
    line_open(&l);
    out(&l, UART_FCR, FCR_ENABLE | 0x40); /* trigger at 4 */
    out(&l, UART_MCR, MCR_OUT2);
    out(&l, UART_IER, IER_RDA | IER_LINE);
    CHECK(!l.chip.level[0]);
    send(&l, "ab");
    CHECK(l.chip.level[0]);
    CHECK_EQ(in(&l, UART_IIR), IIR_FIFOS | IIR_TIMEOUT);
    send(&l, "cd");
    CHECK_EQ(in(&l, UART_IIR), IIR_FIFOS | IIR_RDA);
    CHECK_EQ(in(&l, UART_LSR) & (LSR_DR | LSR_OE), LSR_DR);
    for (const char *s = "abcd"; *s; s++)
        CHECK_EQ(in(&l, UART_RBR), *s);
    CHECK(!l.chip.level[0]);
    CHECK_EQ(in(&l, UART_LSR) & LSR_DR, 0);
    line_close(&l);
}

static void slow_guest_loses_nothing(void)
{
    struct line l;
    const char *text = "The quick brown fox jumps over the lazy dog";
    line_open(&l);
    for (int fifo = 0; fifo < 2; fifo++) {
        out(&l, UART_FCR, fifo ? FCR_ENABLE : 0);
        send(&l, text);
        for (const char *s = text; *s; s++) {
            CHECK_EQ(in(&l, UART_LSR) & (LSR_DR | LSR_OE), LSR_DR);
            CHECK_EQ(in(&l, UART_RBR), *s);
        }
        CHECK_EQ(in(&l, UART_LSR) & LSR_DR, 0);
        send(&l, "x"); /* and the ring wakes us again */
        CHECK_EQ(in(&l, UART_RBR), 'x');
    }
    line_close(&l);
}

static void loops_back(void)
{
    struct line l;
    line_open(&l);
    out(&l, UART_MCR, MCR_LOOP | MCR_OUT2 | MCR_RTS);
    CHECK_EQ(in(&l, UART_MSR) & 0xf0, MSR_DCD | MSR_CTS); /* how Linux looks for a port */
    out(&l, UART_MCR, MCR_LOOP | MCR_OUT1 | MCR_DTR);
    CHECK_EQ(in(&l, UART_MSR), MSR_RI | MSR_DSR | MSR_DCTS | MSR_DDSR | MSR_DDCD);
    out(&l, UART_MCR, MCR_LOOP);
    CHECK_EQ(in(&l, UART_MSR), MSR_TERI | MSR_DDSR);
    out(&l, UART_THR, 'q');
    CHECK_EQ(in(&l, UART_LSR), LSR_DR | LSR_THRE | LSR_TEMT);
    out(&l, UART_THR, 'r'); /* no FIFO: an overrun, and the newer one stays */
    CHECK_EQ(in(&l, UART_LSR), LSR_DR | LSR_OE | LSR_THRE | LSR_TEMT);
    CHECK_EQ(in(&l, UART_RBR), 'r');
    CHECK_EQ(bytering_used(&l.tx_out), 0);
    line_close(&l);
}

static void line_status_interrupts(void)
{
    struct line l;
    line_open(&l);
    out(&l, UART_IER, IER_LINE);
    out(&l, UART_MCR, MCR_LOOP | MCR_OUT2);
    out(&l, UART_THR, 1);
    out(&l, UART_THR, 2); /* an overrun */
    CHECK_EQ(in(&l, UART_IIR), IIR_LINE);
    CHECK(!l.chip.level[0]); /* loop-back has the wire's gate shut */
    out(&l, UART_MCR, MCR_OUT2);
    CHECK(l.chip.level[0]);
    CHECK_EQ(in(&l, UART_LSR) & LSR_OE, LSR_OE);
    CHECK(!l.chip.level[0]);
    CHECK_EQ(in(&l, UART_LSR) & LSR_OE, 0);
    out(&l, UART_IER, IER_MODEM); /* lowest of all */
    CHECK_EQ(in(&l, UART_IIR), IIR_MODEM);
    (void)in(&l, UART_MSR);
    CHECK_EQ(in(&l, UART_IIR), IIR_NONE);
    line_close(&l);
}

static void writing_the_same_enables_is_no_event(void)
{
    struct line l;
    line_open(&l);
    out(&l, UART_IER, IER_THRE);
    CHECK_EQ(in(&l, UART_IIR), IIR_THRE);
    out(&l, UART_IER, IER_THRE | IER_RDA);
    CHECK_EQ(in(&l, UART_IIR), IIR_NONE);
    line_close(&l);
}

static void fifo_resets(void)
{
    struct line l;
    line_open(&l);
    out(&l, UART_FCR, FCR_ENABLE);
    send(&l, "abc");
    out(&l, UART_FCR, FCR_ENABLE | FCR_RX_RESET);
    CHECK_EQ(in(&l, UART_LSR) & LSR_DR, 0);
    CHECK_EQ(in(&l, UART_IIR) & IIR_FIFOS, IIR_FIFOS);
    send(&l, "def");
    out(&l, UART_FCR, 0);
    CHECK_EQ(in(&l, UART_IIR) & IIR_FIFOS, 0);
    CHECK_EQ(in(&l, UART_LSR) & LSR_DR, 0); /* switching the FIFOs empties them */
    out(&l, UART_FCR, FCR_RX_RESET);        /* without the enable bit nothing else counts */
    send(&l, "g");
    CHECK_EQ(in(&l, UART_RBR), 'g');
    out(&l, UART_FCR, FCR_ENABLE);
    for (unsigned i = 0; i <= RING; i++)
        out(&l, UART_THR, 'x');
    CHECK_EQ(in(&l, UART_LSR) & LSR_THRE, 0);
    out(&l, UART_FCR, FCR_ENABLE | FCR_TX_RESET);
    CHECK_EQ(in(&l, UART_LSR) & LSR_THRE, LSR_THRE);
    line_close(&l);
}

static void survives_a_move(void)
{
    struct line l;
    line_open(&l);
    out(&l, UART_FCR, FCR_ENABLE);
    out(&l, UART_MCR, MCR_OUT2);
    out(&l, UART_IER, IER_RDA);
    out(&l, UART_SCR, 0x5a);
    send(&l, "moved");
    CHECK_EQ(in(&l, UART_RBR), 'm');
    l.chip.level[0] = false; /* the new machine's wire */
    chip_replace(&l.chip);
    CHECK(l.chip.level[0]);
    CHECK_EQ(in(&l, UART_SCR), 0x5a);
    CHECK_EQ(in(&l, UART_RBR), 'o');
    line_close(&l);
}

static void bad_state_is_refused(void)
{
    struct line l;
    struct buf saved CLEANUP(buf_free) = {0};
    unsigned refused = 0;
    line_open(&l);
    state_save(uart16550_class.state, l.chip.dev, &saved);
    for (size_t i = 0; i < saved.len; i++) { /* somewhere in there are the two lengths */
        uint8_t was = saved.data[i];
        struct err err = ERR_INIT;
        saved.data[i] = 17;
        int rc = state_load(uart16550_class.state, l.chip.dev, saved.data, saved.len, NULL, &err);
        refused += rc < 0 && strstr(err.text, "than it holds");
        l.chip.class->reset(l.chip.dev);
        saved.data[i] = was;
    }
    CHECK_EQ(refused, 2);
    line_close(&l);
}

static void unconnected_port_swallows(void)
{
    struct chip c;
    const struct uart16550_params params = {.base = COM1, .irq = 4};
    chip_open(&c, &uart16550_class, &params);
    for (unsigned i = 0; i < 100; i++)
        chip_out(&c, COM1, 1, i);
    CHECK_EQ(chip_in(&c, COM1 + UART_LSR, 1), LSR_THRE | LSR_TEMT);
    chip_close(&c);
}

TAP_MAIN(TAP_CASE(power_on_state), TAP_CASE(divisor_hides_behind_dlab),
         TAP_CASE(transmits_and_interrupts_once_a_burst), TAP_CASE(out2_gates_the_wire),
         TAP_CASE(waits_while_the_ring_is_full), TAP_CASE(receives_by_trigger_and_timeout),
         TAP_CASE(slow_guest_loses_nothing), TAP_CASE(loops_back), TAP_CASE(line_status_interrupts),
         TAP_CASE(writing_the_same_enables_is_no_event), TAP_CASE(fifo_resets),
         TAP_CASE(bad_state_is_refused), TAP_CASE(survives_a_move),
         TAP_CASE(unconnected_port_swallows))
