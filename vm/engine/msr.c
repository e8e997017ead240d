/* SPDX-License-Identifier: Apache-2.0 */
/* The tables behind msr.h. Deliberately missing: performance counters, LBR, RAPL, thermal control
 * and microcode loading, none of which a machine could keep when it moves to another host. */
#include "vm/engine/msr.h"

#include <stddef.h>

#include "base/range.h"

const struct msr_info msr_info[MSR_SLOT_MAX] = {
#define MSR(name, index, presence, since) {#name, index, presence},
#include "vm/engine/msr.def"
#undef MSR
};

static const struct msr_policy policies[] = {
    {0x34, 0, false, "SMI_COUNT: turbostat and Windows read it on any Intel family 6"},
    {0x606, 0, false, "RAPL_POWER_UNIT: Linux and Windows probe it by model number; 0 means none"},
    {0x611, 0, false, "PKG_ENERGY_STATUS: read after RAPL_POWER_UNIT by model number"},
    {0x639, 0, false, "PP0_ENERGY_STATUS: as PKG_ENERGY_STATUS"},
    {0x641, 0, false, "PP1_ENERGY_STATUS: as PKG_ENERGY_STATUS"},
    {0x619, 0, false, "DRAM_ENERGY_STATUS: as PKG_ENERGY_STATUS"},
    {0x64e, 0, false, "PPERF: Linux's perf tests it by reading"},
    {0xc0010010, 0, true, "AMD SYSCFG: Linux looks for memory encryption and TOM2"},
    {0xc001001f, 0, true, "AMD NB_CFG: Linux opens extended configuration space by family"},
    {0xc0010055, 0, false, "AMD INT_PENDING_MSG: looked at for C1E by family"},
    {0xc0010299, 0, false, "AMD RAPL_PWR_UNIT: probed by family"},
    {0xc001029a, 0, false, "AMD CORE_ENERGY_STAT: probed by family"},
    {0xc001029b, 0, false, "AMD PKG_ENERGY_STAT: probed by family"},
    {0xc0011020, 0, true, "AMD LS_CFG: errata work-arounds set a bit there unconditionally"},
    {0xc0011023, 0, true, "AMD TW_CFG / BU_CFG2: as LS_CFG"},
    {0xc0011029, 0, true, "AMD DE_CFG: as LS_CFG"},
};

const struct msr_policy *msr_policy_find(uint32_t index)
{
    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
        if (policies[i].index == index)
            return &policies[i];
    return NULL;
}
