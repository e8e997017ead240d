/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI fixed hardware of the ICH9 (Intel ICH9 data sheet, 316972, 13.8; ACPI 6.4, 4.8): PM1
 * event, control and timer blocks, GPE0, the SMI and TCO registers: 128 ports at PMBASE. A part of
 * ich9_lpc, which owns it and moves its ports.
 *
 * What the FADT says of it, with PMBASE = 0x600:
 *     PM1a_EVT_BLK 0x600 length 4      PM1a_CNT_BLK 0x604 length 2     PM_TMR_BLK 0x608 length 4
 *     GPE0_BLK     0x620 length 16     SCI_INT 9 (level, active high)  24-bit timer
 *     SMI_CMD      0x0b2, ACPI_ENABLE ACPI_PM_APM_ENABLE, ACPI_DISABLE ACPI_PM_APM_DISABLE
 * Power and sleep button are fixed hardware (FADT flags PWR_BUTTON and SLP_BUTTON clear). SLP_TYP:
 * 7 (the ICH9's S5), 6 (S4) and 0 (what OVMF writes) with SLP_EN switch the machine off; others
 * are ignored.
 *
 * One lock; the timer is read without it. Times are nanoseconds. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "vm/machine/dev.h"

enum {
    ACPI_PM_SIZE = 0x80,
    ACPI_PM_APM_ENABLE = 0x02,
    ACPI_PM_APM_DISABLE = 0x03,
    ACPI_PM_TIMER_HZ = 3579545,
    ACPI_PM_SCI = 9,
};

struct acpi_pm {
    const struct dev_env *env; /* borrowed from the owner; irq[0] is the SCI */
    struct loop_source timer;  /* armed only while a timer overflow would interrupt */
    bool smm;                  /* the machine has system management mode */
    bool acpi_at_reset;        /* nobody will switch ACPI on: a kernel is booted directly */
    uint64_t deadline;         /* the timer's; 0: not armed */
    bool sci_level;
    bool stopped;
    pthread_mutex_t lock; /* all below, but for epoch, which changes only while vCPUs stand still */

    uint64_t epoch;       /* monotonic time at which the timer was 0 */
    uint64_t elapsed;     /* while stopped: the timer's age */
    uint64_t timer_acked; /* half-period of the timer when TMROF_STS was last cleared */
    uint16_t pm1_sts, pm1_en, pm1_cnt;
    uint64_t gpe_sts, gpe_en;
    uint32_t smi_en, smi_sts;
    uint8_t pm2_cnt;
    bool smi_locked;  /* GEN_PMCON_1.SMI_LOCK: GBL_SMI_EN can not change until a reset */
    uint16_t tco[16]; /* stored; the watchdog never runs and says so (GCS.NR) */
};

int acpi_pm_init(struct acpi_pm *pm, const struct dev_env *env, bool smm, bool acpi_at_reset);
void acpi_pm_fini(struct acpi_pm *pm); /* accepts one that is zeroed */
void acpi_pm_reset(struct acpi_pm *pm);
void acpi_pm_quiesce(struct acpi_pm *pm);
void acpi_pm_resume(struct acpi_pm *pm);

uint64_t acpi_pm_read(struct acpi_pm *pm, uint64_t offset, unsigned size);
void acpi_pm_write(struct acpi_pm *pm, uint64_t offset, unsigned size, uint64_t value);
/* A write to the APM command port: ACPI on or off. Returns whether it is to raise an SMI. */
bool acpi_pm_apm_command(struct acpi_pm *pm, uint8_t command);
/* GEN_PMCON_1.SMI_LOCK was set. */
void acpi_pm_lock_smi(struct acpi_pm *pm);

/* Events; thread-safe. */
void acpi_pm_power_button(struct acpi_pm *pm);
void acpi_pm_sleep_button(struct acpi_pm *pm);
void acpi_pm_gpe(struct acpi_pm *pm, unsigned number); /* 0-63 */

extern const struct state_table acpi_pm_state;
