/* SPDX-License-Identifier: Apache-2.0 */
/* What every object of the inventory tree is (ManagedEntity): a name, a parent, permissions, recent
 * tasks. An entity is the first member of the struct of its kind, as mo is the first of entity, so
 * that a handler that got a mo of a known class has its object by a cast (ENTITY_OF). */
#pragma once

#include "hostd/api/mo.h"
#include "hostd/hostd.h"

enum { ENTITY_NAME_MAX = 80, ENTITY_ID_MAX = 96 };

struct entity {
    struct mo mo; /* first */
    struct hostd *hostd;
    struct entity *parent;          /* NULL for the root and what has been removed */
    char id[ENTITY_ID_MAX];         /* mo.id points here */
    char name[ENTITY_NAME_MAX + 1]; /* UTF-8 as people see it */
};

extern const struct mo_class entity_class;

/* mo of a class whose struct begins with an entity, as that struct. */
#define ENTITY_OF(type, mo_) ((struct type *)(void *)(mo_))

/* Fills it in and registers it. */
int entity_add(struct hostd *hostd, struct entity *entity, const struct mo_class *class,
               const char *id, const char *name, struct entity *parent);
void entity_remove(struct entity *entity); /* permissions on it go too */

/* mo as an entity, NULL if it is none. */
struct entity *entity_from(struct mo *mo);

/* The entity whose permissions protect `mo`: itself, the VM of a snapshot ...; the root folder for
 * what belongs to the host as a whole. */
struct entity *entity_guarding(struct hostd *hostd, struct mo *mo);

/* What api_ops needs. */
int entity_authorize(struct call *call, struct mo *mo, const char *priv);
bool entity_visible(struct call *call, struct mo *mo);
struct mo *entity_parent(struct mo *mo);
/* The same for a user by name. */
bool entity_allows(struct hostd *hostd, const char *user, struct entity *entity, const char *priv);
/* The permission that counts for the user there, NULL if none. */
struct permission;
const struct permission *entity_permission(struct hostd *hostd, const char *user,
                                           const struct entity *entity);

/* A fault for a name that can not be or is taken by a child of the same parent: returns false with
 * the fault set. `self` may keep its name. */
bool entity_check_name(struct call *call, const struct entity *parent, const struct entity *self,
                       const char *name);
