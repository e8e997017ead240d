/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/dev/device_table.h"

#include <string.h>

#include "vm/dev/ahci.h"
#include "vm/dev/uart16550.h"
#include "vm/dev/vga.h"
#include "vm/dev/virtio_balloon.h"
#include "vm/dev/virtio_blk.h"
#include "vm/dev/virtio_console.h"
#include "vm/dev/virtio_net.h"
#include "vm/dev/virtio_rng.h"
#include "vm/dev/xhci.h"

const struct dev_class *const device_table[] = {
    &ahci_class,
    &uart16550_class,
    &vga_class,
    &virtio_balloon_class,
    &virtio_blk_class,
    &virtio_console_class,
    &virtio_net_class,
    &virtio_rng_class,
    &xhci_class,
    NULL,
};

const struct dev_class *device_find(const char *name)
{
    for (const struct dev_class *const *entry = device_table; *entry; entry++)
        if (!strcmp((*entry)->name, name))
            return *entry;
    return NULL;
}
