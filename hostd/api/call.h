/* SPDX-License-Identifier: Apache-2.0 */
/* One request on its way: who asks what of which object, and the outcome.
 *
 * api_call() checks it (session where one is needed, object there and visible, method one of its
 * type, privileges on it and on the objects that parameters name) and runs the handler. A handler
 * ends the call at once by call_return / call_fault and returning, or says call_later(call) and
 * ends it by call_finish when the answer is there: nothing waits meanwhile, no thread, no lock.
 * Each call is finished exactly once; a handler that returns without a word means success with an
 * unset result.
 *
 * Everything of a call lives in its arena, until `done` was called. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hostd/api/mo.h"
#include "hostd/api/vim.h"

struct api;
struct buf;
struct xml_element;
struct session; /* hostd/session */

struct call {
    struct api *api;
    struct arena *arena;
    struct session *session;                 /* NULL: not logged in. A login's handler sets it */
    struct mo_scope *scope;                  /* of the session; NULL without one */
    unsigned version;                        /* what the client speaks: index in vim_versions */
    const char *operation_id, *peer, *agent; /* for the log and the session list; may be NULL */
    bool json;                               /* came by the JSON binding */
    /* Set by api_ops.rewrite: puts the children of a SOAP response instead of the result, whose
     * element has the name that the client called the method by. */
    void (*write)(struct buf *out, const struct call *call);
    const char *called;

    struct vim_ref target;
    struct mo *mo;
    const struct vim_method *method;
    /* struct vim_<method>_args, never NULL. Required members are there, but for those that are
     * newer than the method or type that has them: zero when an old client does not send them. */
    void *args;

    /* The outcome. */
    struct vim_any result;
    struct vim_data *fault; /* NULL: success */
    const char *fault_text;

    bool later, finished;
    /* For calls that wait: the client has gone, or somebody else ends the wait. Must finish the
     * call, or forget it for good. NULL when there is nothing to undo. */
    void (*cancel)(struct call *call);
    void *waiting; /* the handler's own, while later */
    /* Who encodes and sends the outcome. */
    void (*done)(struct call *call, void *ctx);
    void *done_ctx;
};

/* What the API needs of its host: sessions, permissions. */
struct api_ops {
    /* May this call use `priv` on `mo`? 0, or -EACCES. `priv` is never NULL. */
    int (*authorize)(struct call *call, struct mo *mo, const char *priv);
    /* May the call's user see that `mo` exists? False makes it ManagedObjectNotFound. */
    bool (*visible)(struct call *call, struct mo *mo);
    /* A SOAP request for a method that no table has: is it another way to call one that is there?
     * True: call->{method, target, args} say which. NULL: never. The tree goes with the request. */
    bool (*rewrite)(struct call *call, const struct xml_element *request);
    /* Is the object not ready for this call, which may be handled? True: it has said call_later,
     * and api_resume comes, or has given it its fault. NULL: never. */
    bool (*hold)(struct call *call);
};

struct api {
    struct registry *registry;
    struct loop *loop;
    const struct api_ops *ops;
    void *ctx; /* the host's own */
    /* Parent in the inventory of an entity, NULL for the root and for what is no entity; and its
     * children: views, search index. Given by the model. */
    struct mo *(*parent)(struct mo *mo);
};

void api_call(struct call *call);
void api_resume(struct call *call); /* of one that was held: all is looked at again */

void call_return(struct call *call, struct vim_any result);
void call_later(struct call *call, void (*cancel)(struct call *call), void *waiting);
void call_finish(struct call *call); /* of a call that said later */

/* --- faults --- */

/* The call fails with this fault, its result is dropped. The text is the standard one of that fault
 * (hostd/api/fault.c has those that clients look for), or the given one. */
void call_fault(struct call *call, struct vim_data *fault);
void call_fault_text(struct call *call, struct vim_data *fault, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* CALL_FAULT(call, NotSupported): one without properties of its own. */
#define CALL_FAULT(call, NAME) call_fault(call, &VIM_NEW((call)->arena, NAME)->self)
#define CALL_FAULT_TEXT(call, NAME, ...) \
    call_fault_text(call, &VIM_NEW((call)->arena, NAME)->self, __VA_ARGS__)

void call_fault_not_found(struct call *call, struct vim_ref ref);
void call_fault_no_permission(struct call *call, struct mo *mo, const char *priv);
void call_fault_argument(struct call *call, const char *property); /* InvalidArgument */

/* Like api_call's own checks, for what a handler reaches by other ways: the object of a reference,
 * NULL with the fault set when it is not there or must not be seen; 0 or -EACCES with the fault
 * set. */
struct mo *call_resolve(struct call *call, struct vim_ref ref);
/* The same for an object that must be a `type` (VIM_MANAGED(HostSystem)): InvalidType if it is
 * none. What parameters name directly is checked before the handler runs; what stands deeper in
 * them is not. */
struct mo *call_resolve_as(struct call *call, struct vim_ref ref, const struct vim_managed *type);
int call_authorize(struct call *call, struct mo *mo, const char *priv);

/* A value of LocalizedMethodFault, for TaskInfo.error and missingSets; text NULL: the standard. */
struct vim_LocalizedMethodFault *fault_localized(struct arena *arena, struct vim_data *fault,
                                                 const char *text);
/* The standard text of a fault, built from its properties; never NULL. */
const char *fault_text(struct arena *arena, const struct vim_data *fault);
