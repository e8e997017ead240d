/* SPDX-License-Identifier: Apache-2.0 */
/* An option is here because something in hostd reads it: setting another one is InvalidName. */
#include "hostd/model/option_manager.h"

#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"
#include "hostd/session/session.h"

enum option_number { SESSION_MINUTES, FAILURES, UNLOCK_SECONDS };

static const struct option {
    const char *key, *label;
    int64_t min, max, normal;
} options[] = {
    [SESSION_MINUTES] = {"Config.HostAgent.vmacore.soap.sessionTimeout",
                         "Idle time of a session, minutes; 0: none", 0, 1440, SESSION_IDLE_S / 60},
    [FAILURES] = {"Security.AccountLockFailures",
                  "Wrong passwords until an account is locked; 0: never", 0, 100, LOCK_FAILURES},
    [UNLOCK_SECONDS] = {"Security.AccountUnlockTime", "Seconds until a locked account opens", 1,
                        3600, LOCK_S},
};

typedef VIM_LIST(struct vim_OptionValue *) option_list;

static int64_t value_of(const struct host_config *config, const struct option *option)
{
    for (size_t i = 0; i < config->spec->option.count; i++)
        if (!strcmp(config->spec->option.items[i]->key, option->key))
            return config->spec->option.items[i]->value.l;
    return option->normal;
}

void options_apply(struct hostd *hostd)
{
    const struct host_config *config = &hostd->config;
    struct session_limits limits = {
        .idle_s = (unsigned)value_of(config, &options[SESSION_MINUTES]) * 60,
        .lock_failures = (unsigned)value_of(config, &options[FAILURES]),
        .lock_s = (unsigned)value_of(config, &options[UNLOCK_SECONDS]),
    };

    sessions_set_limits(hostd->sessions, &limits);
}

static const struct option *find(const char *key)
{
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
        if (!strcmp(options[i].key, key))
            return &options[i];
    return NULL;
}

/* `name`: an option's, or a subtree's with a dot at its end; NULL or "": all. */
static option_list collect(struct call *call, const char *name)
{
    size_t len = name ? strlen(name) : 0;
    bool subtree = !len || name[len - 1] == '.';
    option_list list = {0};

    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        if (subtree ? len && strncmp(options[i].key, name, len) != 0
                    : strcmp(options[i].key, name) != 0)
            continue;
        struct vim_OptionValue *value = VIM_NEW(call->arena, OptionValue);
        value->key = options[i].key;
        value->value = vim_any_long(value_of(&hostd_of(call)->config, &options[i]));
        VIM_ADD(call->arena, &list, value);
    }
    return list;
}

static void invalid_name(struct call *call, const char *name)
{
    struct vim_InvalidName *fault = VIM_NEW(call->arena, InvalidName);

    fault->name = name;
    call_fault(call, &fault->self);
}

static void query_options(struct mo *mo, struct call *call)
{
    const struct vim_QueryOptions_args *args = call->args;
    option_list list = collect(call, args->name);

    (void)mo;
    if (list.count)
        call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_OptionValue, &list));
    else
        invalid_name(call, args->name);
}

static bool read_number(const struct vim_any *value, const struct option *option, int64_t *ret_v)
{
    int64_t v;

    switch (value->shape.kind) {
    case VIM_LONG:
        v = value->l;
        break;
    case VIM_INT:
        v = value->i;
        break;
    default:
        return false;
    }
    *ret_v = v;
    return !value->shape.list && v >= option->min && v <= option->max;
}

/* All of them or none. Values that are back at their defaults are no longer kept. */
static void update_options(struct mo *mo, struct call *call)
{
    const struct vim_UpdateOptions_args *args = call->args;
    struct vim_HostConfigSpec *spec;
    option_list list = collect(call, NULL), kept = {0};

    if (call_authorize(call, mo, "Host.Config.AdvancedConfig"))
        return;
    for (size_t i = 0; i < args->changedValue.count; i++) {
        const struct vim_OptionValue *wanted = args->changedValue.items[i];
        const struct option *option = find(wanted->key);
        int64_t v;
        if (!option) {
            invalid_name(call, wanted->key);
            return;
        }
        if (!read_number(&wanted->value, option, &v)) {
            call_fault_argument(call, wanted->key);
            return;
        }
        list.items[option - options]->value = vim_any_long(v);
    }
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i]->value.l != options[i].normal)
            VIM_ADD(call->arena, &kept, list.items[i]);
    spec = host_config_edit(call);
    spec->option.count = kept.count;
    spec->option.items = kept.items;
    if (!host_config_commit(call, spec))
        return;
    options_apply(hostd_of(call));
    mo_changed(mo, VIM_P_OptionManager_setting);
    mo_changed(&hostd_of(call)->inventory->host.mo, VIM_P_HostSystem_config);
}

static struct vim_any get_setting(struct mo *mo, struct call *call)
{
    option_list list = collect(call, NULL);

    (void)mo;
    return VIM_ANY_LIST(VIM_DATA, VIM_T_OptionValue, &list);
}

static struct vim_any get_supported(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_OptionDef *) list = {0};

    (void)mo;
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        struct vim_OptionDef *def = VIM_NEW(call->arena, OptionDef);
        struct vim_LongOption *type = VIM_NEW(call->arena, LongOption);
        def->key = options[i].key;
        def->label = def->summary = options[i].label;
        type->valueIsReadonly = vim_bool(false);
        type->min = options[i].min;
        type->max = options[i].max;
        type->defaultValue = options[i].normal;
        def->optionType = (struct vim_OptionType *)(void *)type;
        VIM_ADD(call->arena, &list, def);
    }
    return VIM_ANY_LIST(VIM_DATA, VIM_T_OptionDef, &list);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(OptionManager, setting, get_setting),
    MO_PROPERTY(OptionManager, supportedOption, get_supported),
};
static const struct mo_method methods[] = {
    MO_METHOD(QueryOptions, query_options),
    MO_METHOD(UpdateOptions, update_options),
};
const struct mo_class option_manager_class = {
    .type = VIM_MANAGED(OptionManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
