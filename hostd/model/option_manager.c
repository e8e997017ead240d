/* SPDX-License-Identifier: Apache-2.0 */
/* OptionManager: settings that are numbers and words. HostAgentSettings and ha-adv-options are two
 * doors to one list. What stands here is what hostd does; an option that nothing reads is not in
 * the list, and setting it is InvalidName. */
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/session/session.h"

static const struct {
    const char *key, *label;
    int64_t value;
} options[] = {
    {"Config.HostAgent.vmacore.soap.sessionTimeout", "Idle time of a session, minutes",
     SESSION_IDLE_S / 60},
    {"Security.AccountLockFailures", "Wrong passwords until an account is locked", LOCK_FAILURES},
    {"Security.AccountUnlockTime", "Seconds until a locked account opens", LOCK_S},
};

typedef VIM_LIST(struct vim_OptionValue *) option_list;

/* `name`: an option's, or a subtree's with a dot at its end; NULL or "": all. */
static void collect(struct call *call, const char *name, option_list *list)
{
    size_t len = name ? strlen(name) : 0;

    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        bool subtree = !len || name[len - 1] == '.';
        if (subtree ? strncmp(options[i].key, name ? name : "", len) != 0
                    : strcmp(options[i].key, name) != 0)
            continue;
        struct vim_OptionValue *value = VIM_NEW(call->arena, OptionValue);
        value->key = options[i].key;
        value->value = vim_any_long(options[i].value);
        VIM_ADD(call->arena, list, value);
    }
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
    option_list list = {0};

    (void)mo;
    collect(call, args->name, &list);
    if (!list.count) {
        invalid_name(call, args->name);
        return;
    }
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_OptionValue, &list));
}

/* They are what they are: the same value is accepted, another one is not. */
static void update_options(struct mo *mo, struct call *call)
{
    const struct vim_UpdateOptions_args *args = call->args;

    if (call_authorize(call, mo, "Host.Config.AdvancedConfig"))
        return;
    for (size_t i = 0; i < args->changedValue.count; i++) {
        const struct vim_OptionValue *value = args->changedValue.items[i];
        option_list list = {0};
        collect(call, value->key, &list);
        if (list.count != 1) {
            invalid_name(call, value->key);
            return;
        }
        int64_t wanted = value->value.shape.kind == VIM_LONG  ? value->value.l
                         : value->value.shape.kind == VIM_INT ? value->value.i
                                                              : -1;
        if (wanted != list.items[0]->value.l) {
            call_fault_argument(call, value->key);
            return;
        }
    }
}

static struct vim_any get_setting(struct mo *mo, struct call *call)
{
    option_list list = {0};

    (void)mo;
    collect(call, NULL, &list);
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
        type->valueIsReadonly = vim_bool(true);
        type->min = type->max = type->defaultValue = options[i].value;
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
