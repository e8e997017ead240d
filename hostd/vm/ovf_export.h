/* SPDX-License-Identifier: Apache-2.0 */
/* A VM, as it is now or was at a snapshot, as an OVF 1.1 descriptor. */
#pragma once

struct call;
struct mo;
struct vim_OvfCreateDescriptorParams;

/* `vm`: a VirtualMachine. NULL: the call has its fault. */
const char *ovf_export(struct call *call, struct mo *vm,
                       const struct vim_OvfCreateDescriptorParams *params);
