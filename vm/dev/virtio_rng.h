/* SPDX-License-Identifier: Apache-2.0 */
/* virtio entropy device: VIRTIO 1.2, section 5.4. Filled from the host kernel's generator. */
#pragma once

#include "vm/machine/dev.h"

/* Takes no parameters. */
extern const struct dev_class virtio_rng_class;
