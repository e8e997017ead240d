/* SPDX-License-Identifier: Apache-2.0 */
/* Guest operating systems as clients name them ("debian11_64Guest"), as .vmx files do
 * ("debian11-64"), and as people read them. */
#pragma once

#include <stddef.h>

struct guest_os {
    const char *id, *vmx, *full_name, *family; /* family: "linuxGuest" ... */
};

const struct guest_os *guest_os_next(const struct guest_os *os); /* NULL: first */
const struct guest_os *guest_os_by_id(const char *id);           /* NULL: not known */
const struct guest_os *guest_os_by_vmx(const char *vmx);         /* any case; never NULL: "other" */
