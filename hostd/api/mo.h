/* SPDX-License-Identifier: Apache-2.0 */
/* Managed objects: what has an identity, properties that can be read, methods that can be called.
 *
 * A class binds a managed type of the API to functions: getters that build one property's value
 * from the real state each time somebody asks, and handlers of methods. A class lists its own and,
 * by `base`, inherits those of another class (ManagedEntity's for every inventory object). A
 * property that no class of the chain lists reads as unset; a method that none lists is answered
 * NotSupported.
 *
 * An object is embedded in what it stands for, lives in one registry from mo_add to mo_remove and
 * is found by its id alone; ids are unique among all types. One thread, the loop's, owns all of it.
 *
 * Nobody polls: whoever changes state calls mo_changed for each property whose value may have
 * become another one. That costs nothing when nobody watches. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "hostd/api/vim.h"

struct call;
struct mo;

/* MO_PROPERTY(VirtualMachine, config, get_config): the names are checked when compiled. */
struct mo_property {
    uint16_t prop; /* VIM_P_<type>_<property> */
    struct vim_any (*get)(struct mo *mo, struct call *call);
};
#define MO_PROPERTY(type, property, getter) \
    {                                       \
        VIM_P_##type##_##property, getter   \
    }

/* MO_METHOD(PowerOnVM_Task, power_on) */
typedef void mo_invoke(struct mo *mo, struct call *call);
struct mo_method {
    uint16_t method; /* VIM_C_<method> */
    mo_invoke *invoke;
};
#define MO_METHOD(name, handler) \
    {                            \
        VIM_C_##name, handler    \
    }

struct mo_class {
    const struct vim_managed *type;
    const struct mo_class *base; /* NULL: none */
    const struct mo_property *props;
    const struct mo_method *methods;
    size_t prop_count, method_count;
    /* For objects that were made by a session and die with it (views, collectors): releases one.
     * NULL for all others. The object is already out of the registry. */
    void (*destroy)(struct mo *mo);
};

struct mo_watch;
struct registry;

struct mo {
    const struct mo_class *class;
    const char *id;            /* borrowed from the owner, unchanged while registered */
    struct registry *registry; /* NULL: not registered */
    struct mo *hash_next;
    struct mo_watch *watches;
    struct mo_scope *scope; /* the session that it belongs to; NULL: everybody's */
    struct mo *scope_next, **scope_prev;
    struct mo *next, *previous; /* in order of registration */
};

/* The objects of one session; embedded in it. mo_scope_end destroys them all. */
struct mo_scope {
    struct mo *first;
    struct mo *collector; /* the session's share of ha-property-collector, made at first use */
    size_t watched;       /* what its property filters keep, in values */
};

int registry_create(struct registry **ret_registry);
void registry_destroy(struct registry *registry); /* what is still in it is only forgotten */

/* -EEXIST when the id is taken. scope: NULL, or the session whose object it is. */
int mo_add(struct registry *registry, struct mo_scope *scope, struct mo *mo);
void mo_remove(struct mo *mo); /* watchers are told; accepts one that is not registered */
void mo_scope_end(struct mo_scope *scope);

struct mo *mo_find(struct registry *registry, const char *id);
/* Finds what a reference names: NULL if there is none, if it is not of the named type, or if it
 * belongs to another session. */
struct mo *mo_resolve(struct registry *registry, const struct mo_scope *scope, struct vim_ref ref);
struct vim_ref mo_ref(const struct mo *mo);   /* unset for NULL */
struct vim_any mo_value(const struct mo *mo); /* the same as a value */
/* Every object that is a `type`, in order of registration; start with NULL. */
struct mo *mo_next(struct registry *registry, const struct vim_managed *type, const struct mo *mo);

/* A property's value, VIM_NONE when unset; a method's handler, NULL if there is none. */
struct vim_any mo_get(struct mo *mo, const struct vim_property *prop, struct call *call);
mo_invoke *mo_handler(const struct mo *mo, const struct vim_method *method);

/* --- watching --- */

struct mo_watch {
    /* prop: index VIM_P_..., or MO_GONE when the object leaves the registry (the watch is already
     * detached then). Must not add or remove objects, nor detach another watch. */
    void (*changed)(struct mo_watch *watch, unsigned prop);
    struct mo *mo; /* NULL: not attached */
    struct mo_watch *next, **prev;
};
enum { MO_GONE = 0xffff };

void mo_watch(struct mo *mo, struct mo_watch *watch);
void mo_unwatch(struct mo_watch *watch); /* accepts one that is not attached */

/* mo_changed(mo, VIM_P_VirtualMachine_runtime) */
void mo_changed(struct mo *mo, unsigned prop);

/* Told of every object that comes or goes and of every change of place in the inventory: views. */
struct registry_watch {
    void (*changed)(struct registry_watch *watch);
    struct registry_watch *next, **prev;
};
void registry_watch(struct registry *registry, struct registry_watch *watch);
void registry_unwatch(struct registry_watch *watch);
void registry_moved(struct registry *registry); /* somebody's parent changed */
