/* SPDX-License-Identifier: Apache-2.0 */
/* What an OVF descriptor becomes on this host: the ConfigSpec of a VM, and which of the package's
 * files go into which of its disks. What is in the way of that stands in the result as errors, what
 * is not quite as in the descriptor as warnings. */
#pragma once

#include "hostd/ovf/ovf.h"

struct call;
struct vim_OvfCreateImportSpecParams;
struct vim_OvfCreateImportSpecResult;

/* `datastore`: its name. */
void ovf_import(struct call *call, struct ovf *ovf, const char *datastore,
                const struct vim_OvfCreateImportSpecParams *params,
                struct vim_OvfCreateImportSpecResult *result);

/* The environment that guests read their properties from (DSP0243, "OVF environment"). */
const char *ovf_environment(struct arena *arena, const struct ovf *ovf,
                            const struct vim_OvfCreateImportSpecParams *params);

/* "class.key.instance", as far as there are class and instance. */
const char *ovf_property_id(struct arena *arena, const struct ovf_property *property);
