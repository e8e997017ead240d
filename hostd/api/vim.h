/* SPDX-License-Identifier: Apache-2.0 */
/* The API's values and their descriptions, as const tables.
 *
 * hostd/api/def/ declares every type once; tools/gen/vim.py makes vim_types.gen.h (C structs and
 * the names below) and the tables of it. What reads and writes values (SOAP, JSON, property paths)
 * walks the tables and knows no single type.
 *
 * A data object is a C struct of its own name, struct vim_VirtualMachineConfigSpec, whose first
 * member `self` says what it really is: a place declared as VirtualDevice holds a pointer to a
 * VirtualDisk. The members of the base come first, in the same places, so a pointer to a type is
 * also one to each of its bases (vim_is, VIM_AS).
 *
 *     declared            C member                                unset is
 *     string, typename..  const char *                            NULL
 *     int (bool, byte..)  int32_t                                 cannot be unset
 *     int ?               struct vim_opt_int {set, v}             .set == false
 *     dateTime            int64_t, microseconds since 1970, UTC   as int
 *     SomeEnum [?]        enum vim_SomeEnum                       0
 *     SomeObject [?]      struct vim_SomeObject *                 NULL
 *     SomeManaged [?]     struct vim_ref                          .id == NULL
 *     anyType [?]         struct vim_any                          .shape.kind == VIM_NONE
 *     binary [?]          struct vim_binary                       .data == NULL
 *     T[] [?]             VIM_LIST(T): {count, items}             items == NULL
 *
 * Lists of data objects hold pointers, lists of all else hold the values. An empty list that is set
 * has items != NULL. Values are built in an arena and point only into it, to constants, or to what
 * outlives it; nobody frees a part. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum vim_kind {
    VIM_NONE, /* no value */
    VIM_BOOL,
    VIM_BYTE,
    VIM_SHORT,
    VIM_INT,
    VIM_LONG,
    VIM_FLOAT,
    VIM_DOUBLE,
    VIM_TIME,
    VIM_STRING,
    VIM_URI, /* a string on the wire too, of another name */
    VIM_BINARY,
    VIM_TYPENAME, /* the wsdl name of a type, as a string */
    VIM_ENUM,
    VIM_REF,
    VIM_DATA,
    VIM_ANY,
    VIM_KIND_MAX,
};

/* What a value is: kind, whether a list of it, and for enums, references and data objects the index
 * of the type in vim_enums, vim_managed or vim_types. */
struct vim_shape {
    uint8_t kind;
    bool list;
    uint16_t of;
};

enum vim_property_flags {
    VIM_OPTIONAL = 1,
    VIM_SECRET = 2, /* never logged */
};

/* One property of a data object or managed object, or one parameter of a method. */
struct vim_property {
    const char *name;
    struct vim_shape shape;
    uint16_t offset; /* of the member; 0 for properties of managed objects */
    uint8_t flags;
    uint8_t since;    /* index in vim_versions */
    const char *priv; /* managed objects: what reading needs, NULL for nothing particular */
};

/* A data object's type; also a method's parameters, whose name then ends in RequestType. */
struct vim_type {
    const char *name;  /* on the wire, "VirtualMachineConfigSpec" */
    const char *vmodl; /* in texts and event ids, "vim.vm.ConfigSpec" */
    const struct vim_type *base;
    const struct vim_property *props; /* own ones only; on the wire the bases' come first */
    uint16_t prop_count;
    uint16_t size;
    uint8_t since;
    bool fault;
    bool derived; /* others are derived from it */
};

struct vim_enum {
    const char *name, *vmodl;
    const char *const *values; /* [0] is NULL: unset; a value's number is its index */
    uint16_t count;            /* [0] included */
    uint8_t since;
};

struct vim_managed;

struct vim_method {
    const char *name;  /* on the wire, "PowerOnVM_Task" */
    const char *vmodl; /* in descriptions, "powerOn" */
    const struct vim_managed *owner;
    const struct vim_type *args;
    struct vim_shape result; /* VIM_NONE: void */
    bool result_optional, task;
    uint8_t since;
    const char *priv; /* what calling needs on this object; "": a session; NULL: not even that */
    const uint16_t *faults; /* indexes in vim_types */
    uint16_t fault_count;
};

struct vim_managed {
    const char *name, *vmodl;
    const struct vim_managed *base;
    const struct vim_property *props; /* own ones only */
    uint16_t prop_count;
    uint8_t since;
};

/* The tables, of *_count entries, sorted by name (vim_versions: oldest first). */
extern const struct vim_type vim_types[];
extern const struct vim_enum vim_enums[];
extern const struct vim_managed vim_managed[];
extern const struct vim_method vim_methods[];         /* of all managed objects; names are unique */
extern const struct vim_property vim_managed_props[]; /* by VIM_P_...; by type, then as declared */
extern const char *const vim_versions[];              /* "6.5", "8.0.3.0" */
extern const unsigned vim_type_count, vim_enum_count, vim_managed_count, vim_method_count,
    vim_version_count;

/* The types from the root down to `type`: the order in which their properties stand. Returns how
 * many. */
enum { VIM_CHAIN_MAX = 12 };
unsigned vim_chain(const struct vim_type *type, const struct vim_type *chain[VIM_CHAIN_MAX]);

const struct vim_type *vim_find_type(const char *name);
const struct vim_enum *vim_find_enum(const char *name);
const struct vim_managed *vim_find_managed(const char *name);
const struct vim_method *vim_find_method(const char *name);
/* The newest version not newer than `name`; the newest of all for names that are none of ours. */
unsigned vim_find_version(const char *name, size_t len);

/* --- values --- */

struct vim_data {
    const struct vim_type *type;
};

struct vim_ref {
    const struct vim_managed *type;
    const char *id; /* NULL: unset */
};

struct vim_binary {
    const uint8_t *data; /* NULL: unset */
    size_t len;
};

struct vim_list {
    size_t count;
    void *items;
};

#define VIM_LIST(T)   \
    struct {          \
        size_t count; \
        T *items;     \
    }

struct vim_any {
    struct vim_shape shape;
    union {
        bool b;
        int8_t byte;
        int16_t s;
        int32_t i; /* VIM_INT, and VIM_ENUM: the value's number */
        int64_t l; /* VIM_LONG, VIM_TIME */
        float f;
        double d;
        const char *str; /* VIM_STRING, VIM_URI, VIM_TYPENAME */
        struct vim_binary bin;
        struct vim_ref ref;
        struct vim_data *data;
        struct vim_list list; /* shape.list */
    };
};

#define VIM_OPT_(name, T)                               \
    struct vim_opt_##name {                             \
        bool set;                                       \
        T v;                                            \
    };                                                  \
    static inline struct vim_opt_##name vim_##name(T v) \
    {                                                   \
        return (struct vim_opt_##name){true, v};        \
    }
VIM_OPT_(bool, bool)
VIM_OPT_(byte, int8_t)
VIM_OPT_(short, int16_t)
VIM_OPT_(int, int32_t)
VIM_OPT_(long, int64_t)
VIM_OPT_(float, float)
VIM_OPT_(double, double)
VIM_OPT_(time, int64_t)
#undef VIM_OPT_

/* A new, empty data object of this type: struct vim_NAME *. */
#define VIM_NEW(arena, NAME) ((struct vim_##NAME *)vim_new(arena, VIM_TYPE(NAME)))
#define VIM_TYPE(NAME)       (&vim_types[VIM_T_##NAME])
#define VIM_MANAGED(NAME)    (&vim_managed[VIM_M_##NAME])
#define VIM_REF(NAME, text)  ((struct vim_ref){VIM_MANAGED(NAME), text})

void *vim_new(struct arena *arena, const struct vim_type *type);

/* Appends `value` to a VIM_LIST that is empty or was made by VIM_ADD. Room grows by doubling; the
 * old room stays in the arena. */
#define VIM_ADD(arena, list, value)                                                      \
    do {                                                                                 \
        vim_list_room(arena, (struct vim_list *)(void *)(list), sizeof(*(list)->items)); \
        (list)->items[(list)->count++] = (value);                                        \
    } while (0)
void vim_list_room(struct arena *arena, struct vim_list *list, size_t item_size);
/* A set but empty list. */
#define VIM_EMPTY(list) ((list)->items = (void *)vim_no_items)
extern const uint64_t vim_no_items[2];

/* Is `type` the same as `base` or derived from it? False for NULL. */
bool vim_type_is(const struct vim_type *type, const struct vim_type *base);
bool vim_managed_is(const struct vim_managed *type, const struct vim_managed *base);
/* `p` (a struct vim_X *, may be NULL) as a struct vim_NAME *, or NULL if it is not one. */
#define VIM_AS(NAME, p)                                                                            \
    ({                                                                                             \
        __auto_type as_p_ = (p);                                                                   \
        as_p_ &&vim_type_is(as_p_->self.type, VIM_TYPE(NAME)) ? (struct vim_##NAME *)as_p_ : NULL; \
    })

/* Values for anyType places and getters. A NULL text, object or id gives an unset value. */
static inline struct vim_any vim_any_none(void)
{
    return (struct vim_any){0};
}
struct vim_any vim_any_bool(bool v);
struct vim_any vim_any_int(int32_t v);
struct vim_any vim_any_short(int16_t v);
struct vim_any vim_any_long(int64_t v);
struct vim_any vim_any_double(double v);
struct vim_any vim_any_time(int64_t usec);
struct vim_any vim_any_string(const char *text);
struct vim_any vim_any_ref(struct vim_ref ref);
struct vim_any vim_any_data_(struct vim_data *data);
#define vim_any_data(p)                               \
    ({                                                \
        __auto_type any_p_ = (p);                     \
        vim_any_data_(any_p_ ? &any_p_->self : NULL); \
    })
/* VIM_ANY_ENUM(VirtualMachinePowerState, poweredOn) */
#define VIM_ANY_ENUM(NAME, value) vim_any_enum(VIM_E_##NAME, VIM_##NAME##_##value)
struct vim_any vim_any_enum(unsigned of, int value); /* 0: unset */
/* VIM_ANY_LIST(VIM_DATA, VIM_T_VirtualDevice, &list) for a VIM_LIST; of is 0 for plain kinds. */
#define VIM_ANY_LIST(kind, of, list) \
    vim_any_list(kind, of, (const struct vim_list *)(const void *)(list))
struct vim_any vim_any_list(enum vim_kind kind, unsigned of, const struct vim_list *list);

/* A member as a value, and back: vim_put converts nothing, the shapes must fit (0 or -EINVAL). */
struct vim_any vim_get(const struct vim_data *data, const struct vim_property *prop);
/* As others are told it: a required text that nobody has set is the empty one. */
struct vim_any vim_told(const struct vim_data *data, const struct vim_property *prop);
int vim_put(struct vim_data *data, const struct vim_property *prop, const struct vim_any *value);
/* Item i of a list value. */
struct vim_any vim_item(const struct vim_any *list, size_t i);
size_t vim_item_size(struct vim_shape shape);

/* By name, own or inherited; NULL if there is none. */
const struct vim_property *vim_type_property(const struct vim_type *type, const char *name,
                                             size_t len);
const struct vim_property *vim_managed_property(const struct vim_managed *type, const char *name,
                                                size_t len);

/* The wire's name for a shape's element: "string", "VirtualDevice", "HostSystem" (a reference's own
 * type; the XML name of any reference is ManagedObjectReference). */
const char *vim_shape_name(struct vim_shape shape);

bool vim_equal(const struct vim_any *a, const struct vim_any *b);
/* Equal values have equal hashes; 0 is unset alone. */
uint64_t vim_hash(const struct vim_any *value);
/* A copy that shares nothing with the original but constants of the tables. */
struct vim_any vim_copy(struct arena *arena, const struct vim_any *value);
