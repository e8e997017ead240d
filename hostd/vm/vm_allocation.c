/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_allocation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse_num.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"

enum { SHARES_MAX = 1000000, AMOUNT_MAX = 1 << 30 };

static const char *const levels[] = {
    [VIM_SharesLevel_low] = "low",
    [VIM_SharesLevel_normal] = "normal",
    [VIM_SharesLevel_high] = "high",
};

static const char *key_of(char key[32], enum vm_resource resource, const char *what)
{
    (void)snprintf(key, 32, "sched.%s.%s", resource == VM_RESOURCE_CPU ? "cpu" : "mem", what);
    return key;
}

/* -1 is none, which a file says by not naming it. */
static int set_amount(struct vmxfile *vmx, enum vm_resource resource, const char *what,
                      struct vim_opt_long amount)
{
    char key[32], text[24];

    if (!amount.set)
        return 0;
    if (amount.v < -1 || amount.v > AMOUNT_MAX)
        return -EINVAL;
    (void)snprintf(text, sizeof text, "%lld", (long long)amount.v);
    if (amount.v >= 0)
        return vmxfile_set(vmx, key_of(key, resource, what), text);
    vmxfile_remove(vmx, key_of(key, resource, what));
    return 0;
}

static int set_shares(struct vmxfile *vmx, enum vm_resource resource,
                      const struct vim_SharesInfo *shares)
{
    char key[32], text[24];

    if (!shares)
        return 0;
    if (shares->level && shares->level != VIM_SharesLevel_custom)
        return vmxfile_set(vmx, key_of(key, resource, "shares"), levels[shares->level]);
    if (shares->shares < 1 || shares->shares > SHARES_MAX)
        return -EINVAL;
    (void)snprintf(text, sizeof text, "%d", shares->shares);
    return vmxfile_set(vmx, key_of(key, resource, "shares"), text);
}

int vm_allocation_set(struct vmxfile *vmx, enum vm_resource resource,
                      const struct vim_ResourceAllocationInfo *from)
{
    if (!from)
        return 0;
    if (from->reservation.set && from->limit.set && from->limit.v >= 0 &&
        from->reservation.v > from->limit.v)
        return -EINVAL;
    int rc = from->reservation.set && from->reservation.v < 0
                 ? -EINVAL
                 : set_amount(vmx, resource, "min", from->reservation);
    if (rc == 0)
        rc = set_amount(vmx, resource, "max", from->limit);
    return rc < 0 ? rc : set_shares(vmx, resource, from->shares);
}

static int64_t amount(const struct vmxfile *vmx, enum vm_resource resource, const char *what,
                      int64_t normal)
{
    const char *text;
    unsigned v;
    char key[32];

    text = vmxfile_get(vmx, key_of(key, resource, what));
    return text && parse_unsigned(text, 0, AMOUNT_MAX, &v) == 0 ? (int64_t)v : normal;
}

static struct vim_SharesInfo *shares(struct arena *arena, const char *text, int32_t normal)
{
    struct vim_SharesInfo *s = VIM_NEW(arena, SharesInfo);
    unsigned v;

    s->level = VIM_SharesLevel_normal;
    s->shares = normal;
    for (unsigned i = VIM_SharesLevel_low; text && i < ARRAY_SIZE(levels); i++)
        if (!strcasecmp(text, levels[i]))
            s->level = i;
    if (text && parse_unsigned(text, 1, SHARES_MAX, &v) == 0) {
        s->level = VIM_SharesLevel_custom;
        s->shares = (int32_t)v;
    } else if (s->level == VIM_SharesLevel_low) {
        s->shares = normal / 2;
    } else if (s->level == VIM_SharesLevel_high) {
        s->shares = normal * 2;
    }
    return s;
}

struct vim_ResourceAllocationInfo *vm_allocation_get(struct arena *arena, const struct vmxfile *vmx,
                                                     enum vm_resource resource, int32_t normal)
{
    struct vim_ResourceAllocationInfo *out = VIM_NEW(arena, ResourceAllocationInfo);
    char key[32];

    out->reservation = vim_long(amount(vmx, resource, "min", 0));
    out->limit = vim_long(amount(vmx, resource, "max", -1));
    out->expandableReservation = vim_bool(false);
    out->shares = shares(arena, vmxfile_get(vmx, key_of(key, resource, "shares")), normal);
    return out;
}

static struct vim_ResourceAllocationOption *shares_option(struct arena *arena, int32_t normal)
{
    struct vim_ResourceAllocationOption *option = VIM_NEW(arena, ResourceAllocationOption);

    option->sharesOption = VIM_NEW(arena, SharesOption);
    option->sharesOption->defaultLevel = VIM_SharesLevel_normal;
    option->sharesOption->sharesOption = VIM_NEW(arena, IntOption);
    option->sharesOption->sharesOption->min = 1;
    option->sharesOption->sharesOption->max = SHARES_MAX;
    option->sharesOption->sharesOption->defaultValue = normal;
    return option;
}

struct vim_ResourceConfigOption *allocation_options(struct arena *arena, int32_t normal_cpu,
                                                    int32_t normal_memory)
{
    struct vim_ResourceConfigOption *option = VIM_NEW(arena, ResourceConfigOption);

    option->cpuAllocationOption = shares_option(arena, normal_cpu);
    option->memoryAllocationOption = shares_option(arena, normal_memory);
    return option;
}
