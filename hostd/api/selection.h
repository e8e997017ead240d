/* SPDX-License-Identifier: Apache-2.0 */
/* A PropertyFilterSpec at work: which objects it selects, starting from some and following
 * properties that refer to others, and which properties of them it asks for.
 *
 * A selection is prepared once (names and paths checked, recursive selection sets resolved) and run
 * as often as wanted. The work of a run is bounded by objects times traversal specs; an object that
 * is reached twice is reported once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "hostd/api/call.h"

enum {
    SELECTION_PATHS_MAX = 1000,     /* properties that one spec may ask for by name */
    SELECTION_TRAVERSALS_MAX = 100, /* traversal specs */
    SELECTION_ITEMS_MAX = 300,      /* members of all selection sets */
};

struct selection;
struct vim_LocalizedMethodFault;
struct vim_PropertyFilterSpec;

/* Prepares `spec` in `arena`; both must outlive the selection. NULL with the call's fault set: a
 * type or property that is not there, a name that names nothing. */
struct selection *selection_prepare(struct call *call, struct arena *arena,
                                    const struct vim_PropertyFilterSpec *spec);

/* Visits what can be reached from the spec's objects, for each first selected == false and, if it
 * is selected, then or later once more with true. The spec's own objects that are not there are a
 * fault when `strict` (unless the spec wants them reported), else skipped. 0 or -errno with the
 * fault set. */
int selection_run(struct selection *selection, struct call *call, bool strict,
                  void (*visit)(void *ctx, struct mo *mo, bool selected), void *ctx);

/* Does following properties depend on this one (VIM_P_...)? Is its value asked for, of this type?
 */
bool selection_follows(const struct selection *selection, unsigned prop);

/* What the selection asks for of objects of one type. */
struct select_paths {
    const struct vim_managed *type;
    size_t count;
    struct select_path {
        const char *path;
        const struct vim_property *prop; /* that it begins with */
        size_t first; /* index of the first path with the same prop: one reading serves all */
        bool keep;    /* at `first`: some path is the whole property */
    } * items;
    struct select_paths *next;
};

/* NULL: objects of this type are not reported. Made at the first call for a type. */
const struct select_paths *selection_paths(struct selection *selection,
                                           const struct vim_managed *type);

/* One property read: its value (VIM_NONE: unset), or the fault that stands for it. */
struct select_value {
    struct vim_any value;
    struct vim_LocalizedMethodFault *fault;
};

/* Reads all paths of one object into values[paths->count]. Values of whole properties are built in
 * the call's arena when `keep`, all others in `scratch`; faults in the call's. */
void selection_read(struct call *call, struct mo *mo, const struct select_paths *paths,
                    struct arena *scratch, bool keep, struct select_value *values);

/* May the call read this property of this object? 0; else a fault that says why not, in the call's
 * arena. */
struct vim_data *selection_denied(struct call *call, struct mo *mo,
                                  const struct vim_property *prop);
