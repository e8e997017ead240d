/* SPDX-License-Identifier: Apache-2.0 */
/* virtio console device: VIRTIO 1.2, section 5.3, with one port. */
#pragma once

#include "vm/backend/chr.h"
#include "vm/machine/dev.h"

struct virtio_console_params {
    struct chr *chr; /* on the loop of dev_env; taken over by create on success; NULL where only the
                        layout is asked for */
};

extern const struct dev_class virtio_console_class;
