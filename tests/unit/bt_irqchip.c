/* SPDX-License-Identifier: Apache-2.0 */
/* The software engine's IOAPIC, lines, messages and eventfds, and the state of all its interrupt
 * controllers. Intel 82093AA data sheet; SDM volume 3, 11.11. */
#include <sys/eventfd.h>
#include <time.h>

#include "base/loop.h"
#include "base/range.h"
#include "tests/unit/bt_rig.h"
#include "vm/engine/irqchip_state.h"

enum { LEVEL = 1 << 15, REMOTE_IRR = 1 << 14, MASKED = 1 << 16, LOGICAL = 1 << 11 };

/* All local APICs enabled, and the PIC silent. */
static void use_apics(void)
{
    apic_enable_all();
    out(0x21, 0xff);
    out(0xa1, 0xff);
}

static void line(unsigned gsi, bool level)
{
    CHECK_EQ(bt_irqchip_line(rig.chip, gsi, level), 0);
}

static void ioapic_registers(void)
{
    REQUIRE(rig_open());
    CHECK_EQ(ioapic_in(1), 0x170011);
    CHECK_EQ(ioapic_in(0), 0);
    ioapic_out(0, 0xff000000);
    CHECK_EQ(ioapic_in(0), 0x0f000000);
    CHECK_EQ(ioapic_in(2), 0x0f000000);
    for (unsigned pin = 0; pin < 24; pin++)
        CHECK_EQ(ioapic_in((uint8_t)(0x10 + pin * 2)), MASKED);
    ioapic_pin(5, 0xffffffff, 0x12);
    CHECK_EQ(ioapic_in(0x1a), 0x1afff); /* delivery status and remote IRR are read-only */
    CHECK_EQ(ioapic_in(0x1b), 0x12000000);
    CHECK_EQ(ioapic_in(0x40), 0); /* behind the last pin */
    ioapic_out(0x40, 1);
    ioapic_out(0xff, 1);
    CHECK_EQ(bus_read(rig.bus, BUS_MMIO, BT_IOAPIC_BASE, 4), 0xff);
    CHECK_EQ(bus_read(rig.bus, BUS_MMIO, BT_IOAPIC_BASE + 0x40, 4), 0);
    rig_close();
}

static void ioapic_edge(void)
{
    REQUIRE(rig_open());
    use_apics();
    ioapic_pin(9, 0x41, 1);
    line(9, true);
    CHECK_EQ(rig_take(1), 0x41);
    apic_eoi(1);
    line(9, true); /* no edge */
    CHECK_EQ(rig_take(1), NOTHING);
    line(9, false);
    line(9, true);
    CHECK_EQ(rig_take(1), 0x41);
    apic_eoi(1);
    line(9, false);
    ioapic_pin(9, MASKED | 0x41, 1); /* what comes while masked is lost */
    line(9, true);
    line(9, false);
    ioapic_pin(9, 0x41, 1);
    CHECK_EQ(rig_take(1), NOTHING);
    CHECK_EQ(bt_irqchip_line(rig.chip, 24, true), -EINVAL);
    rig_close();
}

static void ioapic_level(void)
{
    REQUIRE(rig_open());
    use_apics();
    ioapic_pin(20, LEVEL | 0x51, 2);
    line(20, true);
    CHECK_EQ(ioapic_in(0x38), LEVEL | REMOTE_IRR | 0x51);
    CHECK_EQ(rig_take(2), 0x51);
    CHECK_EQ(apic_in(2, 0x1a0), BIT(0x11)); /* TMR */
    apic_eoi(2);
    CHECK_EQ(rig_take(2), 0x51); /* still asserted */
    line(20, false);
    apic_eoi(2);
    CHECK_EQ(ioapic_in(0x38), LEVEL | 0x51);
    CHECK_EQ(rig_take(2), NOTHING);
    ioapic_pin(20, LEVEL | MASKED | 0x51, 2);
    line(20, true);
    CHECK_EQ(rig_take(2), NOTHING);
    ioapic_pin(20, LEVEL | 0x51, 2); /* a level is there when it is unmasked */
    CHECK_EQ(rig_take(2), 0x51);
    /* Masked while in service: Linux' way to end without an EOI register, by way of an edge. */
    ioapic_pin(20, LEVEL | MASKED | 0x51, 2);
    CHECK_EQ(ioapic_in(0x38), LEVEL | MASKED | REMOTE_IRR | 0x51);
    ioapic_out(0x38, MASKED | 0x51);
    ioapic_out(0x38, LEVEL | MASKED | 0x51);
    CHECK_EQ(ioapic_in(0x38), LEVEL | MASKED | 0x51);
    apic_eoi(2);
    CHECK_EQ(rig_take(2), NOTHING);
    ioapic_out(0x38, LEVEL | 0x52); /* another end does not count for it */
    CHECK_EQ(rig_take(2), 0x52);
    apic_out(2, 0x300, 0x40061);
    CHECK_EQ(rig_take(2), 0x61);
    apic_eoi(2);
    CHECK_EQ(rig_take(2), NOTHING);
    apic_eoi(2);
    CHECK_EQ(rig_take(2), 0x52);
    rig_close();
}

/* An end is that of the pins with its vector; pins may share one. */
static void ioapic_end(void)
{
    REQUIRE(rig_open());
    use_apics();
    ioapic_pin(20, LEVEL | 0x51, 2);
    ioapic_pin(21, LEVEL | 0x61, 2);
    ioapic_pin(22, LEVEL | 0x61, 2);
    line(20, true);
    CHECK_EQ(rig_take(2), 0x51);
    line(21, true);
    line(22, true);
    CHECK_EQ(rig_take(2), 0x61);
    line(21, false);
    line(22, false);
    line(20, false);
    apic_eoi(2);
    CHECK_EQ(ioapic_in(0x38), LEVEL | REMOTE_IRR | 0x51);
    CHECK_EQ(ioapic_in(0x3a), LEVEL | 0x61);
    CHECK_EQ(ioapic_in(0x3c), LEVEL | 0x61);
    rig_close();
}

/* A level-triggered interrupt that nobody takes is not lost. */
static void ioapic_nobody(void)
{
    REQUIRE(rig_open());
    ioapic_pin(20, LEVEL | 0x51, 2);
    line(20, true);
    CHECK_EQ(ioapic_in(0x38), LEVEL | 0x51);
    use_apics();
    line(20, true);
    CHECK_EQ(rig_take(2), 0x51);
    rig_close();
}

static void ioapic_modes(void)
{
    REQUIRE(rig_open());
    use_apics();
    for (unsigned i = 0; i < RIG_CPUS; i++)
        apic_out(i, 0xd0, BIT(24 + i));
    ioapic_pin(5, LOGICAL | 0x61, 0x0a);
    line(5, true);
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(rig_take(1), 0x61);
    CHECK_EQ(rig_take(2), NOTHING);
    CHECK_EQ(rig_take(3), 0x61);
    ioapic_pin(6, LOGICAL | 0x100 | 0x71, 0x0f); /* lowest priority */
    line(6, true);
    CHECK(bt_irqchip_pending(&rig.vcpu[0]) != bt_irqchip_pending(&rig.vcpu[2]));
    ioapic_pin(7, 0x400, 3);
    line(7, true);
    CHECK_EQ(rig_requests(3), BT_REQUEST_NMI);
    ioapic_pin(8, 0x700 | 0x44, 2); /* ExtINT: its wire is LINT0 */
    line(8, true);
    CHECK_EQ(rig_requests(2), 0);
    rig_close();
}

/* GSI 0 is the IOAPIC's pin 2; a line is up while anybody holds it up. */
static void wiring(void)
{
    int fd = eventfd(0, EFD_NONBLOCK), resample = eventfd(0, EFD_NONBLOCK);

    REQUIRE(rig_open());
    use_apics();
    ioapic_pin(0, 0x40, 0);
    ioapic_pin(2, 0x42, 0);
    line(0, true);
    line(0, false);
    CHECK_EQ(rig_take(0), 0x42);
    apic_eoi(0);
    out(0x43, 0x34);
    out(0x40, 0xe8);
    out(0x40, 0x03);
    rig_advance(1000000);
    CHECK_EQ(rig_take(0), 0x42);
    apic_eoi(0);
    ioapic_pin(17, LEVEL | 0x51, 0);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, 17, fd, resample, true), 0);
    CHECK_EQ(eventfd_write(fd, 1), 0);
    CHECK(bt_irqchip_poll(rig.chip, 0));
    line(17, true);
    CHECK_EQ(rig_take(0), 0x51);
    apic_eoi(0); /* lowers the eventfd's part only */
    CHECK_EQ(rig_take(0), 0x51);
    line(17, false);
    apic_eoi(0);
    CHECK_EQ(rig_take(0), NOTHING);
    rig_close();
    (void)close(fd);
    (void)close(resample);
}

static void messages(void)
{
    unsigned route, other;

    REQUIRE(rig_open());
    use_apics();
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfee02000, 0x4055), 0);
    CHECK_EQ(rig_take(2), 0x55);
    CHECK_EQ(apic_in(2, 0x190 + 0x10), 0); /* an edge */
    apic_eoi(2);
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfee02000, 0xc056), 0);
    CHECK_EQ(rig_take(2), 0x56);
    CHECK_EQ(apic_in(2, 0x1a0), BIT(0x16));
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfee03000, 0x0400), 0);
    CHECK_EQ(rig_requests(3), BT_REQUEST_NMI);
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfed03000, 0x41), -EINVAL);
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, UINT64_C(0x1fee03000), 0x41), -EINVAL);
    for (unsigned i = 0; i < RIG_CPUS; i++)
        apic_out(i, 0xd0, BIT(24 + i));
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfee03004, 0x41), 0); /* logical */
    CHECK_EQ(rig_take(0), 0x41);
    CHECK_EQ(rig_take(1), 0x41);
    apic_eoi(0);
    apic_eoi(1);
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfee0300c, 0x41), 0); /* to one of them */
    CHECK(bt_irqchip_pending(&rig.vcpu[0]) != bt_irqchip_pending(&rig.vcpu[1]));
    CHECK_EQ(bt_irqchip_msi_alloc(rig.chip, &route), 0);
    CHECK_EQ(route, ENGINE_GSI_LINES);
    CHECK_EQ(bt_irqchip_msi_alloc(rig.chip, &other), 0);
    CHECK(route != other);
    CHECK_EQ(bt_irqchip_msi_set(rig.chip, other + 1, 0xfee00000, 0), -EINVAL);
    bt_irqchip_msi_free(rig.chip, route);
    CHECK_EQ(bt_irqchip_msi_set(rig.chip, route, 0xfee00000, 0), -EINVAL);
    bt_irqchip_msi_free(rig.chip, route); /* twice, and what never was */
    bt_irqchip_msi_free(rig.chip, UINT32_MAX);
    bt_irqchip_msi_free(rig.chip, 3);
    unsigned n = 0;
    while (bt_irqchip_msi_alloc(rig.chip, &route) == 0)
        n++;
    CHECK_EQ(n, BT_ROUTES_MAX - 1);
    rig_close();
}

/* Bits 11-5 of the address are bits 14-8 of the destination. */
static void messages_extended(void)
{
    static const uint32_t ids[RIG_CPUS] = {0, 0x101, 0x1ff, 0x7f02};

    REQUIRE(rig_open_with(ids));
    x2apic_enable_all();
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfee01020, 0x61), 0);
    CHECK_EQ(rig_take(1), 0x61);
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfeeff020, 0x62), 0);
    CHECK_EQ(rig_take(2), 0x62);
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfee02fe0, 0x63), 0);
    CHECK_EQ(rig_take(3), 0x63);
    CHECK_EQ(bt_irqchip_msi_send(rig.chip, 0xfee01000, 0x64), 0); /* not 0x101 */
    for (unsigned i = 0; i < RIG_CPUS; i++)
        CHECK_EQ(rig_take(i), NOTHING);
    rig_close();
}

static void eventfd_message(void)
{
    int fd = eventfd(3, EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);
    uint64_t count = 0;
    unsigned route;

    REQUIRE(rig_open());
    use_apics();
    CHECK_EQ(bt_irqchip_msi_alloc(rig.chip, &route), 0);
    CHECK_EQ(bt_irqchip_msi_set(rig.chip, route, 0xfee01000, 0x41), 0);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route, fd, -1, true), 0);
    CHECK(bt_irqchip_poll(rig.chip, 0)); /* was signalled already: counts, once */
    CHECK_EQ(rig_take(1), 0x41);
    apic_eoi(1);
    CHECK(bt_irqchip_poll(rig.chip, 0));
    CHECK_EQ(rig_take(1), NOTHING);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route, fd, -1, true), -EBUSY);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route, other, fd, true), -EINVAL); /* no resampling here */
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route + 1, other, -1, true), -EINVAL);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route, -1, -1, true), -EINVAL);
    CHECK_EQ(bt_irqchip_msi_set(rig.chip, route, 0xfee02000, 0x42), 0); /* while bound */
    CHECK_EQ(eventfd_write(fd, 1), 0);
    CHECK(bt_irqchip_poll(rig.chip, 0));
    CHECK_EQ(rig_take(2), 0x42);
    bt_irqchip_msi_free(rig.chip, route); /* kept: it is bound */
    CHECK_EQ(bt_irqchip_msi_set(rig.chip, route, 0xfee02000, 0x52), 0);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route, fd, -1, false), 0);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route, fd, -1, false), -ENOENT);
    CHECK_EQ(eventfd_write(fd, 1), 0);
    CHECK(bt_irqchip_poll(rig.chip, 0));
    CHECK_EQ(rig_take(2), NOTHING);
    CHECK_EQ(read(fd, &count, sizeof count), sizeof count); /* stays for the pending bit */
    CHECK_EQ(count, 1);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route, fd, -1, true), 0); /* and once more */
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, route, other, -1, true), 0);
    CHECK_EQ(eventfd_write(other, 1), 0);
    CHECK(bt_irqchip_poll(rig.chip, 0));
    CHECK_EQ(rig_take(2), 0x52);
    rig_close();
    (void)close(fd);
    (void)close(other);
}

static uint64_t drain(int fd)
{
    uint64_t count = 0;

    return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

static void signal_line(int fd)
{
    CHECK_EQ(eventfd_write(fd, 1), 0);
    CHECK(bt_irqchip_poll(rig.chip, 0));
}

static void eventfd_line(void)
{
    int fd = eventfd(0, EFD_NONBLOCK), resample = eventfd(0, EFD_NONBLOCK);
    int second = eventfd(0, EFD_NONBLOCK), second_resample = eventfd(0, EFD_NONBLOCK);

    REQUIRE(rig_open());
    use_apics();
    ioapic_pin(11, LEVEL | 0x51, 0);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, 11, fd, resample, true), 0);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, 11, second, second_resample, true), 0);
    signal_line(fd);
    CHECK_EQ(rig_take(0), 0x51);
    CHECK_EQ(drain(resample), 0);
    apic_eoi(0);
    CHECK_EQ(drain(resample), 1); /* all who share the line look again */
    CHECK_EQ(drain(second_resample), 1);
    CHECK_EQ(rig_take(0), NOTHING); /* lowered with the end */
    CHECK_EQ(ioapic_in(0x26), LEVEL | 0x51);
    signal_line(second);
    CHECK_EQ(rig_take(0), 0x51);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, 11, second, -1, false), 0);
    CHECK(rig.chip->level[11] != 0); /* the other one may hold it */
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, 11, fd, -1, false), 0);
    CHECK_EQ(rig.chip->level[11], 0);
    apic_eoi(0);
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(drain(resample), 0);
    /* The PIC's end of interrupt is one too. */
    out(0x20, 0x11);
    out(0x21, 0x20);
    out(0x21, 0x04);
    out(0x21, 0x01);
    out(0x4d0, 0x20);
    ioapic_pin(5, MASKED, 0);
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, 5, fd, resample, true), 0);
    signal_line(fd);
    CHECK_EQ(rig_take(0), 0x25);
    out(0x20, 0x20);
    CHECK_EQ(drain(resample), 1);
    CHECK_EQ(rig_take(0), NOTHING);
    /* Without resampling a signal is a pulse. */
    CHECK_EQ(bt_irqchip_irqfd(rig.chip, 4, second, -1, true), 0);
    ioapic_pin(4, 0x61, 0);
    signal_line(second);
    CHECK_EQ(rig.chip->level[4], 0);
    CHECK_EQ(rig_take(0), 0x24);
    CHECK_EQ(rig_take(0), 0x61);
    rig_close();
    (void)close(fd);
    (void)close(resample);
    (void)close(second);
    (void)close(second_resample);
}

/* PIRQs on inputs of the PIC, as the chip set leads them; two share one. */
static void pirqs(void)
{
    int fd[2], resample[2];

    REQUIRE(rig_open());
    for (unsigned i = 0; i < 2; i++) {
        fd[i] = eventfd(0, EFD_NONBLOCK);
        resample[i] = eventfd(0, EFD_NONBLOCK);
        CHECK_EQ(bt_irqchip_irqfd(rig.chip, i ? 21 : 17, fd[i], resample[i], true), 0);
    }
    static const uint8_t icw[2][4] = {{0x11, 0x20, 0x04, 0x01}, {0x11, 0x28, 0x02, 0x01}};
    for (unsigned chip = 0; chip < 2; chip++)
        for (unsigned i = 0; i < 4; i++)
            out((chip ? 0xa0 : 0x20) + (i > 0), icw[chip][i]);
    out(0x4d1, 0x0c); /* 10 and 11: levels */
    signal_line(fd[0]);
    CHECK_EQ(rig_take(0), NOTHING); /* led nowhere */
    CHECK_EQ(bt_irqchip_pirq(rig.chip, 17, 10), 0);
    CHECK_EQ(rig_take(0), 0x2a); /* it still holds */
    CHECK_EQ(bt_irqchip_pirq(rig.chip, 21, 10), 0);
    signal_line(fd[1]);
    out(0xa0, 0x20); /* ended: all that share it are asked */
    out(0x20, 0x20);
    CHECK_EQ(drain(resample[0]), 1);
    CHECK_EQ(drain(resample[1]), 1);
    CHECK_EQ(rig_take(0), NOTHING);
    signal_line(fd[1]);
    CHECK_EQ(bt_irqchip_pirq(rig.chip, 21, 11), 0); /* moves while it is up */
    CHECK_EQ(rig_take(0), 0x2b);
    CHECK_EQ(bt_irqchip_pirq(rig.chip, 21, -1), 0);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    CHECK_EQ(drain(resample[1]), 0);
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(bt_irqchip_pirq(rig.chip, 15, 5), -EINVAL);
    CHECK_EQ(bt_irqchip_pirq(rig.chip, 24, 5), -EINVAL);
    CHECK_EQ(bt_irqchip_pirq(rig.chip, 16, 16), -EINVAL);
    rig_close();
    for (unsigned i = 0; i < 2; i++) {
        (void)close(fd[i]);
        (void)close(resample[i]);
    }
}

static uint64_t cpu_time(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void nap(unsigned ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* Waits for the thread's work. */
static bool arrives(struct bt_vcpu *vcpu, int want)
{
    uint8_t vector = 0;

    for (unsigned i = 0; i < 2000 && !bt_irqchip_pending(vcpu); i++)
        nap(1);
    return bt_irqchip_interrupt(vcpu, &vector) && vector == want;
}

static atomic_bool thread_started;

static void on_thread_start(void)
{
    atomic_store(&thread_started, true);
}

/* With its thread, the host's clock and no bus. */
static void thread(void)
{
    static struct bt_vcpu vcpu;
    struct bt_irqchip_config config = {.tsc_hz = 1000000000, .thread_start = on_thread_start};
    int fd = eventfd(0, EFD_NONBLOCK);
    struct bt_irqchip *chip = NULL;
    uint64_t cpu;

    CHECK_EQ(bt_irqchip_create(&(struct bt_irqchip_config){0}, &chip, NULL), -EINVAL);
    REQUIRE(CHECK_EQ(bt_irqchip_create(&config, &chip, NULL), 0));
    REQUIRE(CHECK_EQ(bt_lapic_create(chip, &vcpu, 0), 0));
    bt_lapic_write(&vcpu, 0xf0, 4, 0x1ff);
    bt_lapic_write(&vcpu, 0x350, 4, 0x10000);
    CHECK_EQ(bt_irqchip_irqfd(chip, 5, fd, -1, true), 0);
    (void)pthread_mutex_lock(&chip->lock);
    bt_ioapic_write(&chip->ioapic, 0, 0x1a);
    bt_ioapic_write(&chip->ioapic, 0x10, 0x41);
    (void)pthread_mutex_unlock(&chip->lock);
    for (unsigned i = 0; i < 100; i++) {
        CHECK_EQ(eventfd_write(fd, 1), 0);
        CHECK(arrives(&vcpu, 0x41));
        bt_lapic_write(&vcpu, 0xb0, 4, 0);
    }
    CHECK(atomic_load(&thread_started));
    uint64_t start = clock_now();
    bt_lapic_write(&vcpu, 0x3e0, 4, 0xb);
    bt_lapic_write(&vcpu, 0x320, 4, 1 << 17 | 0x61);
    bt_lapic_write(&vcpu, 0x380, 4, 5000000);
    for (unsigned i = 0; i < 4; i++) {
        CHECK(arrives(&vcpu, 0x61));
        bt_lapic_write(&vcpu, 0xb0, 4, 0);
    }
    CHECK(clock_now() - start >= 20000000);
    bt_lapic_write(&vcpu, 0x320, 4, 0x62);
    for (unsigned i = 0; i < 3; i++) { /* each when there is no other deadline */
        bt_lapic_write(&vcpu, 0x380, 4, 1000000);
        CHECK(arrives(&vcpu, 0x62));
        bt_lapic_write(&vcpu, 0xb0, 4, 0);
    }
    cpu = cpu_time();
    nap(200);
    CHECK(cpu_time() - cpu < 10000000); /* nothing to do, nothing done */
    bt_lapic_destroy(&vcpu);
    bt_irqchip_destroy(chip);
    (void)close(fd);
}

/* State */

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 8;
}

static void random_accesses(unsigned n)
{
    static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40,
                                     0x41, 0x42, 0x43, 0x61, 0x20,  0x43,  0x40};
    uint64_t value;

    while (n--) {
        unsigned cpu = next_random() % RIG_CPUS, a = next_random(), b = next_random() << 8;
        b ^= next_random();
        switch (next_random() % 16) {
        case 0 ... 3:
            out(ports[a % ARRAY_SIZE(ports)], (uint8_t)b);
            break;
        case 4:
            (void)in(ports[a % ARRAY_SIZE(ports)]);
            break;
        case 5:
            ioapic_out((uint8_t)(a % 0x44), b);
            break;
        case 6:
            bus_write(rig.bus, BUS_MMIO, BT_IOAPIC_BASE + a % 0x100, 1u << b % 4, b);
            break;
        case 7:
            line(a % ENGINE_GSI_LINES, b & 1);
            break;
        case 8:
            (void)bt_irqchip_msi_send(rig.chip, 0xfee00000 | (a & 0xfffff), b);
            break;
        case 9 ... 10:
            bt_lapic_write(&rig.vcpu[cpu], (a % 0x44) << 4, 4, b);
            break;
        case 11:
            (void)bt_lapic_read(&rig.vcpu[cpu], a % 0x1000, 1u << b % 4);
            break;
        case 12:
            (void)bt_lapic_msr_write(&rig.vcpu[cpu], 0x800 + a % 0x100, b & 1 ? b : b & 0xf0fff);
            (void)bt_lapic_msr_read(&rig.vcpu[cpu], 0x800 + b % 0x100, &value);
            break;
        case 13:
            (void)bt_lapic_set_base(&rig.vcpu[cpu], 0xfee00000 | (a & 0xc00));
            bt_lapic_set_deadline(&rig.vcpu[cpu], rig_tsc() + b);
            break;
        case 14:
            rig_advance(a % 4 ? a & 0xffff : (uint64_t)a << 12);
            break;
        default:
            (void)rig_take(cpu);
            bt_lapic_set_cr8(&rig.vcpu[cpu], b & 15 & a);
        }
        if (!(n % 64)) /* mostly enabled */
            bt_lapic_write(&rig.vcpu[cpu], 0xf0, 4, 0x1ff);
    }
}

static void check_invariants(void)
{
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        bool bit = bt_irqchip_pending(&rig.vcpu[i]);
        (void)pthread_mutex_lock(&rig.chip->lock);
        bt_lapic_update(rig.vcpu[i].lapic);
        (void)pthread_mutex_unlock(&rig.chip->lock);
        CHECK_EQ(bt_irqchip_pending(&rig.vcpu[i]), bit);
    }
    unsigned armed = 0;
    for (struct bt_timer *t = rig.chip->timers.head; t; t = t->next)
        armed++;
    CHECK(armed <= RIG_CPUS + 1);
}

struct saved {
    struct irqchip_state chip;
    uint64_t base[RIG_CPUS], deadline[RIG_CPUS];
    uint32_t lapic[RIG_CPUS][CPU_LAPIC_REGISTERS];
};

static void save(struct saved *s)
{
    memset(s, 0, sizeof *s);
    CHECK_EQ(bt_irqchip_get(rig.chip, &s->chip), 0);
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        s->base[i] = rig.vcpu[i].apic_base;
        s->deadline[i] = bt_lapic_deadline(&rig.vcpu[i]);
        bt_lapic_get_state(&rig.vcpu[i], s->lapic[i]);
    }
}

static void load(const struct saved *s)
{
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        (void)bt_lapic_restore_base(&rig.vcpu[i], s->base[i]);
        bt_lapic_set_state(&rig.vcpu[i], s->lapic[i]);
        bt_lapic_set_deadline(&rig.vcpu[i], s->deadline[i]);
    }
    CHECK_EQ(bt_irqchip_set(rig.chip, &s->chip), 0);
}

/* Saved, restored into new ones and saved again is the same, and behaves the same. */
static void state_round_trip(void)
{
    static struct saved first, second;

    REQUIRE(rig_open());
    use_apics();
    CHECK(bt_lapic_set_base(&rig.vcpu[3], 0xfee00c00));
    ioapic_pin(20, LEVEL | 0x51, 1);
    line(20, true);
    CHECK_EQ(rig_take(1), 0x51);
    apic_out(1, 0x300, 0x40031);
    apic_out(0, 0x320, 1 << 17 | 0x61);
    apic_out(0, 0x3e0, 0xb);
    apic_out(0, 0x380, 1000000);
    apic_out(2, 0x320, 2 << 17 | 0x62);
    bt_lapic_set_deadline(&rig.vcpu[2], rig_tsc() + 3000000);
    out(0x43, 0x34);
    out(0x40, 0x9c);
    out(0x40, 0x2e);
    rig_advance(300000);
    save(&first);
    CHECK_EQ(first.lapic[0][0x39], 700000);
    CHECK_EQ(first.chip.pit[0].loaded_ago_ns, 300000);
    uint64_t now = rig.now;
    rig_close();
    REQUIRE(rig_open());
    rig.now = now;
    load(&first);
    save(&second);
    CHECK(!memcmp(&first, &second, sizeof first));
    apic_eoi(1);
    CHECK_EQ(rig_take(1), 0x51); /* the line is still up */
    line(20, false);
    apic_eoi(1);
    CHECK_EQ(rig_take(1), 0x31);
    rig_advance(699999);
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(rig_take(2), NOTHING);
    rig_advance(1);
    CHECK_EQ(rig_take(0), 0x61);
    CHECK_EQ(rig_take(2), 0x62);
    rig_close();
}

/* What no register can hold is not taken from a state either. */
static void impossible_state(void)
{
    static uint32_t registers[CPU_LAPIC_REGISTERS];

    REQUIRE(rig_open());
    memset(registers, 0xff, sizeof registers);
    bt_lapic_set_state(&rig.vcpu[1], registers);
    bt_lapic_get_state(&rig.vcpu[1], registers);
    CHECK_EQ(registers[0x02], 1 << 24);
    CHECK_EQ(registers[0x03], 0x50014);
    CHECK_EQ(registers[0x10], 0xffff0000); /* vectors 0-15 do not exist */
    CHECK_EQ(registers[0x20], 0xffff0000);
    CHECK_EQ(registers[0x27], 0xffffffff);
    CHECK_EQ(registers[0x37], 0x100ff);
    CHECK_EQ(registers[0x3f], 0);
    rig_close();
}

static void hostile_guest(void)
{
    static struct saved first, second, third;

    for (random_state = 1; random_state < 40; random_state++) {
        uint32_t seed = random_state;
        REQUIRE(rig_open());
        random_accesses(2000);
        check_invariants();
        save(&first);
        load(&first); /* settles what a save leaves out: who held a line, levels nobody took */
        save(&second);
        load(&second);
        save(&third);
        CHECK(!memcmp(&second, &third, sizeof second));
        random_accesses(200);
        check_invariants();
        rig_close();
        random_state = seed;
    }
}

static void hostile_state(void)
{
    static struct saved s;

    REQUIRE(rig_open());
    for (random_state = 1000; random_state < 1200; random_state++) {
        uint32_t seed = random_state;
        for (size_t i = 0; i < sizeof s; i++)
            ((uint8_t *)&s)[i] = (uint8_t)next_random();
        for (unsigned i = 0; i < IRQCHIP_PICS; i++) /* truth values come from the state's reader */
            memset(&s.chip.pic[i].read_isr, i, 7);
        s.chip.pit_disabled = false;
        for (unsigned i = 0; i < RIG_CPUS; i++)
            s.base[i] = 0xfee00000 | (s.base[i] & 0xc00);
        load(&s);
        check_invariants();
        random_accesses(100);
        check_invariants();
        random_state = seed;
    }
    rig_close();
}

TAP_MAIN(TAP_CASE(pirqs), TAP_CASE(ioapic_registers), TAP_CASE(ioapic_edge), TAP_CASE(ioapic_level),
         TAP_CASE(ioapic_end), TAP_CASE(ioapic_nobody), TAP_CASE(ioapic_modes), TAP_CASE(wiring),
         TAP_CASE(messages), TAP_CASE(messages_extended), TAP_CASE(eventfd_message),
         TAP_CASE(eventfd_line), TAP_CASE(thread), TAP_CASE(state_round_trip),
         TAP_CASE(impossible_state), TAP_CASE(hostile_guest), TAP_CASE(hostile_state))
