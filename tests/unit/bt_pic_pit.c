/* SPDX-License-Identifier: Apache-2.0 */
/* The software engine's PIC pair and PIT, by register scripts: Intel 8259A and 8254 data sheets. */
#include "base/range.h"
#include "tests/unit/bt_rig.h"

/* The PIC's interrupts reach processor 0 by LINT0 as it is after power-on. */

static void init_pic(uint8_t first, uint8_t second, uint8_t icw4)
{
    out(0x20, 0x11);
    out(0xa0, 0x11);
    out(0x21, first);
    out(0xa1, second);
    out(0x21, 0x04);
    out(0xa1, 0x02);
    out(0x21, icw4);
    out(0xa1, icw4);
}

static void pulse(unsigned gsi)
{
    CHECK_EQ(bt_irqchip_line(rig.chip, gsi, true), 0);
    CHECK_EQ(bt_irqchip_line(rig.chip, gsi, false), 0);
}

static void init_as_firmware(void)
{
    REQUIRE(rig_open());
    init_pic(0x08, 0x70, 0x01);
    out(0x21, 0xb8); /* SeaBIOS: timer, keyboard, cascade, floppy */
    out(0xa1, 0x8f);
    CHECK_EQ(in(0x21), 0xb8);
    CHECK_EQ(in(0xa1), 0x8f);
    pulse(1);
    CHECK_EQ(rig_take(0), 0x09);
    pulse(14);
    CHECK_EQ(rig_take(0), NOTHING); /* 1 is in service, cascade comes behind */
    out(0x20, 0x20);
    CHECK_EQ(rig_take(0), 0x76);
    out(0x20, 0x0b);
    out(0xa0, 0x0b);
    CHECK_EQ(in(0x20), 0x04);
    CHECK_EQ(in(0xa0), 0x40);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    CHECK_EQ(in(0x20), 0);
    CHECK_EQ(in(0xa0), 0);
    pulse(3); /* masked: kept, until it is unmasked */
    CHECK_EQ(rig_take(0), NOTHING);
    out(0x20, 0x0a);
    CHECK_EQ(in(0x20), 0x08);
    out(0x21, 0xb0);
    CHECK_EQ(rig_take(0), 0x0b);
    rig_close();
}

static void init_as_linux(void)
{
    REQUIRE(rig_open());
    out(0x21, 0xff); /* mask, then look whether it is there */
    out(0xa1, 0xff);
    out(0x21, 0xfb);
    CHECK_EQ(in(0x21), 0xfb);
    init_pic(0x30, 0x38, 0x01);
    out(0x21, 0xfb);
    out(0xa1, 0xff);
    out(0x21, 0xfa);
    pulse(0);
    CHECK_EQ(rig_take(0), 0x30);
    pulse(0);
    CHECK_EQ(rig_take(0), NOTHING);
    out(0x20, 0x60); /* specific end of 0 */
    CHECK_EQ(rig_take(0), 0x30);
    out(0x20, 0x60);
    CHECK_EQ(rig_take(0), NOTHING);
    out(0x21, 0xfb);
    out(0xa1, 0xfe);
    pulse(8);
    CHECK_EQ(rig_take(0), 0x38);
    out(0xa0, 0x60);
    out(0x20, 0x62);
    pulse(8);
    CHECK_EQ(rig_take(0), 0x38);
    init_pic(0x30, 0x38, 0x01); /* starts over: nothing in service, no mask */
    pulse(8);
    CHECK_EQ(rig_take(0), 0x38);
    rig_close();
}

static void pic_priorities(void)
{
    REQUIRE(rig_open());
    init_pic(0x20, 0x28, 0x01);
    pulse(7);
    pulse(5);
    pulse(12);
    pulse(9);
    CHECK_EQ(rig_take(0), 0x29);
    CHECK_EQ(rig_take(0), NOTHING); /* 12 waits for 9, 5 for the cascade */
    out(0xa0, 0x20);
    CHECK_EQ(rig_take(0), NOTHING); /* the first chip still has the cascade in service */
    out(0x20, 0x20);
    CHECK_EQ(rig_take(0), 0x2c);
    pulse(1); /* nests */
    CHECK_EQ(rig_take(0), 0x21);
    out(0x20, 0x20);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    CHECK_EQ(rig_take(0), 0x25);
    out(0x20, 0xa0); /* ends 5 and makes it the lowest */
    pulse(5);
    pulse(6);
    CHECK_EQ(rig_take(0), 0x26);
    out(0x20, 0x20);
    CHECK_EQ(rig_take(0), 0x27);
    out(0x20, 0x20);
    CHECK_EQ(rig_take(0), 0x25);
    out(0x20, 0x20);
    out(0x20, 0xc7); /* back: 7 is the lowest */
    pulse(7);
    pulse(0);
    CHECK_EQ(rig_take(0), 0x20);
    rig_close();
}

static void pic_modes(void)
{
    REQUIRE(rig_open());
    init_pic(0x20, 0x28, 0x01);
    pulse(3);
    CHECK_EQ(rig_take(0), 0x23);
    pulse(6);
    CHECK_EQ(rig_take(0), NOTHING);
    out(0x21, 0x08);
    CHECK_EQ(rig_take(0), NOTHING);
    out(0x20, 0x68); /* special mask: a masked one in service holds nobody back */
    CHECK_EQ(rig_take(0), 0x26);
    out(0x20, 0x20); /* ends 6, not 3 */
    out(0x20, 0x0b);
    CHECK_EQ(in(0x20), 0x08);
    init_pic(0x20, 0x28, 0x03); /* automatic end of interrupt */
    pulse(10);
    pulse(11);
    pulse(4);
    CHECK_EQ(rig_take(0), 0x2a);
    CHECK_EQ(rig_take(0), 0x2b);
    CHECK_EQ(rig_take(0), 0x24);
    CHECK_EQ(in(0x20), 0);
    init_pic(0x20, 0x28, 0x11); /* special fully nested: the cascade nests in itself */
    pulse(13);
    CHECK_EQ(rig_take(0), 0x2d);
    pulse(9);
    CHECK_EQ(rig_take(0), 0x29);
    rig_close();
}

static void pic_poll_and_spurious(void)
{
    uint8_t vector = 0;

    REQUIRE(rig_open());
    init_pic(0x20, 0x28, 0x01);
    out(0x20, 0x0c);
    CHECK_EQ(in(0x20), 0);
    pulse(4);
    out(0x20, 0x0c);
    CHECK_EQ(in(0x20), 0x84); /* this is the acknowledge cycle */
    out(0x21, 0x80);
    CHECK_EQ(in(0x21), 0x80); /* and a read is a read again */
    CHECK_EQ(rig_take(0), NOTHING);
    out(0x20, 0x20);
    pulse(5);
    out(0x21, 0x20); /* gone between request and acknowledge */
    CHECK_EQ(bt_pic_acknowledge(&rig.chip->pic), 0x27);
    CHECK(!bt_irqchip_interrupt(&rig.vcpu[0], &vector));
    rig_close();
}

static void pic_levels(void)
{
    REQUIRE(rig_open());
    init_pic(0x20, 0x28, 0x01);
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    CHECK_EQ(in(0x4d0), 0xf8); /* timer, keyboard, cascade, RTC and FERR are edges */
    CHECK_EQ(in(0x4d1), 0xde);
    CHECK_EQ(bt_irqchip_line(rig.chip, 10, true), 0);
    CHECK_EQ(rig_take(0), 0x2a);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    CHECK_EQ(rig_take(0), 0x2a); /* still up */
    CHECK_EQ(bt_irqchip_line(rig.chip, 10, false), 0);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(bt_irqchip_line(rig.chip, 11, true), 0); /* withdrawn before it is taken */
    CHECK(bt_irqchip_pending(&rig.vcpu[0]));
    CHECK_EQ(bt_irqchip_line(rig.chip, 11, false), 0);
    CHECK_EQ(rig_take(0), NOTHING);
    out(0x4d0, 0);
    CHECK_EQ(bt_irqchip_line(rig.chip, 4, true), 0); /* an edge counts once */
    CHECK_EQ(rig_take(0), 0x24);
    out(0x20, 0x20);
    CHECK_EQ(bt_irqchip_line(rig.chip, 4, true), 0);
    CHECK_EQ(rig_take(0), NOTHING);
    rig_close();
}

/* LINT0's modes, and no APIC at all. */
static void pic_to_processors(void)
{
    REQUIRE(rig_open());
    init_pic(0x20, 0x28, 0x01);
    apic_enable_all();
    bt_lapic_set_cr8(&rig.vcpu[0], 15); /* the PIC knows no task priority */
    pulse(3);
    CHECK_EQ(rig_take(1), NOTHING);
    CHECK_EQ(rig_take(0), 0x23);
    out(0x20, 0x20);
    apic_out(0, 0x350, 0x10700);
    pulse(3);
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK(bt_lapic_set_base(&rig.vcpu[2], 0xfee00000));
    CHECK_EQ(rig_take(2), 0x23);
    out(0x20, 0x20);
    CHECK(bt_lapic_set_base(&rig.vcpu[2], 0xfee00800));
    apic_out(1, 0x350, 0x400); /* a watchdog's NMI */
    apic_out(3, 0x350, 0x44);  /* an ordinary vector: "virtual wire" without ExtINT */
    pulse(3);
    CHECK_EQ(rig_requests(1), BT_REQUEST_NMI);
    CHECK_EQ(rig_take(3), 0x44);
    rig_close();
}

/* PIT: n ticks of 1.193182 MHz, and a bit. */
static void ticks(unsigned n)
{
    rig_advance(((uint64_t)n * 1000000000 + 1193181) / 1193182);
}

static void start(unsigned channel, unsigned mode, unsigned count)
{
    out(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
    out(0x40 + channel, (uint8_t)count);
    out(0x40 + channel, (uint8_t)(count >> 8));
}

static unsigned counter(unsigned channel)
{
    unsigned low;

    out(0x43, (uint8_t)(channel << 6));
    low = in(0x40 + channel);
    return low | (unsigned)in(0x40 + channel) << 8;
}

static unsigned status(unsigned channel)
{
    out(0x43, (uint8_t)(0xe0 | 2u << channel));
    return in(0x40 + channel);
}

/* How many interrupts channel 0 gives within `n` ticks. */
static unsigned interrupts(unsigned n)
{
    unsigned count = 0, step = n > 10000 ? 64 : 16;

    for (uint64_t done = 0, at = rig.now; done < n; done += step) {
        rig.now = at + (done + step) * 1000000000 / 1193182;
        bt_timers_run(&rig.chip->timers);
        if (rig_take(0) == 0x20) {
            count++;
            out(0x20, 0x20);
        }
    }
    return count;
}

static void pit_interrupts(void)
{
    REQUIRE(rig_open());
    init_pic(0x20, 0x28, 0x01);
    CHECK_EQ(interrupts(200000), 0); /* not programmed */
    start(0, 2, 11932);
    CHECK_EQ(interrupts(1193216), 100); /* Linux' HZ=100 */
    start(0, 3, 0);
    CHECK_EQ(interrupts(65536 * 10 + 100), 10); /* the BIOS' 18.2 a second */
    start(0, 0, 1000);
    CHECK_EQ(interrupts(960), 0);
    CHECK_EQ(interrupts(65), 1);
    CHECK_EQ(interrupts(200000), 0);
    start(0, 4, 1000);
    CHECK_EQ(interrupts(5000), 1);
    start(0, 2, 11932);
    CHECK_EQ(bt_irqchip_pit_disable(rig.chip, true), 0);
    CHECK_EQ(interrupts(100000), 0);
    CHECK_EQ(bt_irqchip_pit_disable(rig.chip, false), 0);
    CHECK_EQ(interrupts(119320), 10);
    start(0, 2, 2); /* 600 kHz is more than a guest gets */
    CHECK(interrupts(119320) <= 1000);
    out(0x43, 0x34); /* a control word alone stops it */
    CHECK_EQ(interrupts(100000), 0);
    rig_close();
}

static void pit_counting(void)
{
    REQUIRE(rig_open());
    start(0, 2, 1000);
    CHECK_EQ(counter(0), 1000);
    ticks(300);
    CHECK_EQ(counter(0), 700);
    ticks(699);
    CHECK_EQ(counter(0), 1);
    CHECK_EQ(status(0) & 0x80, 0); /* low for the last tick */
    ticks(1);
    CHECK_EQ(counter(0), 1000);
    CHECK_EQ(status(0) & 0x80, 0x80);
    start(0, 3, 1000);
    ticks(300);
    CHECK_EQ(counter(0), 400); /* by two */
    CHECK_EQ(status(0) & 0x80, 0x80);
    ticks(300);
    CHECK_EQ(counter(0), 800);
    CHECK_EQ(status(0) & 0x80, 0);
    start(0, 3, 5); /* odd: three high, two low */
    ticks(2);
    CHECK_EQ(status(0) & 0x80, 0x80);
    ticks(1);
    CHECK_EQ(status(0) & 0x80, 0);
    ticks(2);
    CHECK_EQ(status(0) & 0x80, 0x80);
    start(0, 0, 1000);
    CHECK_EQ(status(0) & 0x80, 0);
    ticks(999);
    CHECK_EQ(counter(0), 1);
    CHECK_EQ(status(0) & 0x80, 0);
    ticks(1);
    CHECK_EQ(status(0) & 0x80, 0x80);
    ticks(2);
    CHECK_EQ(counter(0), 0xfffe); /* counts on */
    start(0, 4, 100);
    CHECK_EQ(status(0) & 0x80, 0x80);
    ticks(100);
    CHECK_EQ(status(0) & 0x80, 0); /* the strobe */
    ticks(1);
    CHECK_EQ(status(0) & 0x80, 0x80);
    start(1, 2, 18); /* memory refresh */
    ticks(17);
    CHECK_EQ(counter(1), 1);
    rig_close();
}

static void pit_access(void)
{
    REQUIRE(rig_open());
    out(0x43, 0x34);           /* both bytes, mode 2 */
    CHECK_EQ(status(0), 0xf4); /* output high, no count yet */
    out(0x40, 0x34);
    CHECK_EQ(status(0), 0xf4); /* half a count is none */
    out(0x40, 0x12);
    CHECK_EQ(status(0), 0xb4);
    out(0x43, 0x00); /* latched: the same until it is read */
    ticks(100);
    out(0x43, 0x00);
    CHECK_EQ(in(0x40), 0x34);
    CHECK_EQ(in(0x40), 0x12);
    CHECK_EQ(counter(0), 0x1234 - 100);
    out(0x43, 0xc2); /* read-back of count and status: status first */
    ticks(5);
    CHECK_EQ(in(0x40), 0xb4);
    CHECK_EQ(in(0x40), (0x1234 - 100) & 0xff);
    CHECK_EQ(in(0x40), (0x1234 - 100) >> 8);
    ticks(1);
    CHECK_EQ(in(0x40), (0x1234 - 106) & 0xff); /* not latched: byte by byte */
    CHECK_EQ(in(0x40), (0x1234 - 106) >> 8);
    out(0x43, 0x14); /* low byte only */
    out(0x40, 0x80);
    CHECK_EQ(in(0x40), 0x80);
    CHECK_EQ(in(0x40), 0x80);
    out(0x43, 0x24); /* high byte only */
    out(0x40, 0x80);
    ticks(0x180);
    CHECK_EQ(in(0x40), 0x7e);
    out(0x43, 0x35); /* BCD: 0 is 10000 */
    out(0x40, 0x00);
    out(0x40, 0x00);
    CHECK_EQ(counter(0), 0x0000);
    ticks(1);
    CHECK_EQ(counter(0), 0x9999);
    ticks(1234);
    CHECK_EQ(counter(0), 0x8765);
    out(0x43, 0x3e); /* mode 7 is 3 */
    CHECK_EQ(status(0) & 0x3f, 0x36);
    out(0x43, 0x94); /* the latch command of a channel without a count does no harm */
    CHECK_EQ(in(0x43), 0);
    rig_close();
}

/* Linux measures the TSC by channel 2, with the speaker off and the gate up. */
static void pit_gate(void)
{
    REQUIRE(rig_open());
    out(0x61, (in(0x61) & ~2) | 1);
    CHECK_EQ(in(0x61) & 3, 1);
    out(0x43, 0xb0);
    out(0x42, 0x9b);
    out(0x42, 0x2e);
    CHECK_EQ(in(0x61) & 0x20, 0);
    ticks(0x2e9b - 1);
    CHECK_EQ(in(0x61) & 0x20, 0);
    ticks(1);
    CHECK_EQ(in(0x61) & 0x20, 0x20);
    start(2, 0, 1000);
    ticks(400);
    out(0x61, 0x02);
    CHECK_EQ(in(0x61) & 3, 2);
    ticks(5000);
    CHECK_EQ(counter(2), 600); /* held */
    out(0x61, 0x01);
    CHECK_EQ(counter(2), 600);
    ticks(600);
    CHECK_EQ(in(0x61) & 0x20, 0x20);
    out(0x61, 0x00);
    start(2, 1, 100); /* a one-shot, triggered by the gate */
    CHECK_EQ(in(0x61) & 0x20, 0x20);
    out(0x61, 0x01);
    CHECK_EQ(in(0x61) & 0x20, 0);
    ticks(99);
    CHECK_EQ(in(0x61) & 0x20, 0);
    ticks(1);
    CHECK_EQ(in(0x61) & 0x20, 0x20);
    start(2, 3, 100);
    ticks(70);
    CHECK_EQ(in(0x61) & 0x20, 0);
    out(0x61, 0x00); /* a square wave stands high, and starts over */
    CHECK_EQ(in(0x61) & 0x20, 0x20);
    out(0x61, 0x01);
    CHECK_EQ(counter(2), 100);
    unsigned refresh = 0; /* bit 4 toggles */
    for (unsigned i = 0; i < 8; i++) {
        refresh |= BIT(in(0x61) >> 4 & 1);
        rig_advance(10000);
    }
    CHECK_EQ(refresh, 3);
    rig_close();
}

TAP_MAIN(TAP_CASE(init_as_firmware), TAP_CASE(init_as_linux), TAP_CASE(pic_priorities),
         TAP_CASE(pic_modes), TAP_CASE(pic_poll_and_spurious), TAP_CASE(pic_levels),
         TAP_CASE(pic_to_processors), TAP_CASE(pit_interrupts), TAP_CASE(pit_counting),
         TAP_CASE(pit_access), TAP_CASE(pit_gate))
