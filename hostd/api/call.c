/* SPDX-License-Identifier: Apache-2.0 */
/* A call's way: the checks in the order that gives nothing away (session, object, method,
 * privilege), then its handler. */
#include "hostd/api/call.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "hostd/api/collector.h"
#include "hostd/api/vim_types.gen.h"

static bool anonymous(const char *priv)
{
    return !strcmp(priv, "System.Anonymous");
}

static void not_authenticated(struct call *call)
{
    struct vim_NotAuthenticated *fault = VIM_NEW(call->arena, NotAuthenticated);
    fault->object = call->target;
    fault->privilegeId = call->method->priv;
    call_fault(call, &fault->self);
}

struct mo *call_resolve(struct call *call, struct vim_ref ref)
{
    struct mo *mo = mo_resolve(call->api->registry, call->scope, ref);
    if (mo && !mo->scope && !call->api->ops->visible(call, mo))
        mo = NULL;
    if (!mo)
        call_fault_not_found(call, ref);
    return mo;
}

int call_authorize(struct call *call, struct mo *mo, const char *priv)
{
    if (!*priv || anonymous(priv) || mo->scope)
        return 0;
    int r = call->api->ops->authorize(call, mo, priv);
    if (r)
        call_fault_no_permission(call, mo, priv);
    return r;
}

struct mo *call_resolve_as(struct call *call, struct vim_ref ref, const struct vim_managed *type)
{
    struct mo *mo = call_resolve(call, ref);
    if (!mo || vim_managed_is(mo->class->type, type))
        return mo;
    struct vim_InvalidType *fault = VIM_NEW(call->arena, InvalidType);
    fault->argument = type->name;
    call_fault(call, &fault->self);
    return NULL;
}

/* One object that a parameter names. In a list some may be gone: that is the handler's matter. */
static int check_argument(struct call *call, const struct vim_property *prop, struct vim_ref ref)
{
    if (prop->shape.list && !mo_resolve(call->api->registry, call->scope, ref))
        return 0;
    struct mo *mo = call_resolve_as(call, ref, &vim_managed[prop->shape.of]);
    if (!mo)
        return -ENOENT;
    return prop->priv ? call_authorize(call, mo, prop->priv) : 0;
}

/* Parameters that name objects: of the declared type, and with the privilege that they ask for. */
static int check_arguments(struct call *call)
{
    const struct vim_type *type = call->method->args;
    for (unsigned i = 0; i < type->prop_count; i++) {
        const struct vim_property *prop = &type->props[i];
        if (prop->shape.kind != VIM_REF)
            continue;
        struct vim_any value = vim_get(call->args, prop);
        size_t count = prop->shape.list ? value.list.count : 1;
        for (size_t j = 0; value.shape.kind != VIM_NONE && j < count; j++) {
            struct vim_any one = prop->shape.list ? vim_item(&value, j) : value;
            int r = one.shape.kind == VIM_NONE ? 0 : check_argument(call, prop, one.ref);
            if (r)
                return r;
        }
    }
    return 0;
}

/* The handler that may run, or NULL with the fault set. */
static mo_invoke *admit(struct call *call)
{
    const struct vim_method *method = call->method;
    if (method->priv && !call->session) {
        not_authenticated(call);
        return NULL;
    }
    call->mo = call->session ? call_resolve(call, call->target)
                             : mo_resolve(call->api->registry, call->scope, call->target);
    if (!call->mo) {
        if (call->session)
            call_fault_not_found(call, call->target);
        else
            not_authenticated(call); /* strangers do not learn what is there */
        return NULL;
    }
    if (!vim_managed_is(call->mo->class->type, method->owner)) {
        struct vim_MethodNotFound *fault = VIM_NEW(call->arena, MethodNotFound);
        fault->receiver = mo_ref(call->mo);
        fault->method = method->name;
        call_fault(call, &fault->self);
        return NULL;
    }
    if ((method->priv && call_authorize(call, call->mo, method->priv)) || check_arguments(call))
        return NULL;
    mo_invoke *invoke = mo_handler(call->mo, method);
    if (!invoke && method == &vim_methods[VIM_C_Fetch])
        invoke = collector_fetch;
    if (!invoke)
        CALL_FAULT(call, NotSupported);
    return invoke;
}

void api_call(struct call *call)
{
    mo_invoke *invoke = admit(call);
    if (invoke && !(call->api->ops->hold && call->api->ops->hold(call)))
        invoke(call->mo, call);
    if (!call->later)
        call_finish(call);
}

void api_resume(struct call *call)
{
    call->later = false;
    call->cancel = NULL;
    call->waiting = NULL;
    api_call(call);
}

void call_return(struct call *call, struct vim_any result)
{
    call->result = result;
}

void call_later(struct call *call, void (*cancel)(struct call *call), void *waiting)
{
    call->later = true;
    call->cancel = cancel;
    call->waiting = waiting;
}

void call_finish(struct call *call)
{
    assert(!call->finished);
    call->finished = true;
    call->cancel = NULL;
    call->waiting = NULL;
    call->done(call, call->done_ctx);
}
