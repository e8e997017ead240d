/* SPDX-License-Identifier: Apache-2.0 */
/* HostPowerSystem: how the processors trade speed for power, which is Linux's cpufreq governor. A
 * machine without cpufreq does what its firmware says. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"

#define GOVERNOR "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor"

/* The first three have ESXi's keys; the first governor of a policy is the one that is set. */
static const struct policy {
    int key;
    const char *name, *short_name, *description;
    const char *governor[3];
} policies[] = {
    {1, "PowerPolicy.static.name", "static", "High performance", {"performance"}},
    {2,
     "PowerPolicy.dynamic.name",
     "dynamic",
     "Balanced",
     {"schedutil", "ondemand", "conservative"}},
    {3, "PowerPolicy.low.name", "low", "Low power", {"powersave"}},
    {4, "PowerPolicy.custom.name", "custom", "What firmware and machine are set to", {"userspace"}},
};
enum { CUSTOM = 3 };

static const struct policy *current(void)
{
    cleanup_buf struct buf text = {0};
    char path[96];

    (void)snprintf(path, sizeof path, GOVERNOR, 0);
    if (file_load(AT_FDCWD, path, 64, &text, NULL) < 0 || !text.len)
        return &policies[CUSTOM];
    text.len--; /* the line's end */
    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
        for (unsigned j = 0; j < 3 && policies[i].governor[j]; j++)
            if (!strcmp(policies[i].governor[j], buf_cstr(&text)))
                return &policies[i];
    return &policies[CUSTOM];
}

static struct vim_HostPowerPolicy *describe(struct arena *arena, const struct policy *policy)
{
    struct vim_HostPowerPolicy *p = VIM_NEW(arena, HostPowerPolicy);

    p->key = policy->key;
    p->name = policy->name;
    p->shortName = policy->short_name;
    p->description = policy->description;
    return p;
}

static struct vim_any get_capability(struct mo *mo, struct call *call)
{
    struct vim_PowerSystemCapability *c = VIM_NEW(call->arena, PowerSystemCapability);

    (void)mo;
    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
        VIM_ADD(call->arena, &c->availablePolicy, describe(call->arena, &policies[i]));
    return vim_any_data(c);
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    struct vim_PowerSystemInfo *info = VIM_NEW(call->arena, PowerSystemInfo);

    (void)mo;
    info->currentPolicy = describe(call->arena, current());
    return vim_any_data(info);
}

static int set_governor(unsigned cpu, const char *governor)
{
    char path[96];

    (void)snprintf(path, sizeof path, GOVERNOR, cpu);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = write(fd, governor, strlen(governor)) < 0 ? -errno : 0;
    (void)close(fd);
    return rc;
}

/* Works where Linux lets us: as root on a machine with cpufreq. */
static void configure(struct mo *mo, struct call *call)
{
    const struct vim_ConfigurePowerPolicy_args *args = call->args;
    const unsigned cpus = hostd_of(call)->inventory->machine.threads;
    int rc = 0;

    if (args->key < 1 || args->key > (int)ARRAY_SIZE(policies)) {
        call_fault_argument(call, "key");
        return;
    }
    const struct policy *policy = &policies[args->key - 1];
    if (policy == current())
        return;
    for (unsigned cpu = 0; rc == 0 && cpu < cpus; cpu++)
        rc = set_governor(cpu, policy->governor[0]);
    if (rc < 0)
        CALL_FAULT_TEXT(call, HostConfigFault, "The governor of the processors cannot be set: %s",
                        strerror(-rc));
    mo_changed(mo, VIM_P_HostPowerSystem_info);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostPowerSystem, capability, get_capability),
    MO_PROPERTY(HostPowerSystem, info, get_info),
};
static const struct mo_method methods[] = {MO_METHOD(ConfigurePowerPolicy, configure)};
const struct mo_class host_power_system_class = {
    .type = VIM_MANAGED(HostPowerSystem),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
