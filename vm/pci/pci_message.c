/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pci/pci_message.h"

#include <poll.h>

void pci_message_init(struct pci_message *m, const struct engine *engine, struct engine_vm *vm,
                      int fd)
{
    *m = (struct pci_message){.engine = engine, .vm = vm, .fd = fd, .route = -1};
}

void pci_message_fini(struct pci_message *m)
{
    pci_message_unbind(m);
    if (m->route >= 0)
        m->engine->msi_free(m->vm, (unsigned)m->route);
    m->route = -1;
}

void pci_message_bind(struct pci_message *m, uint64_t address, uint32_t data)
{
    bool fresh = m->route < 0;
    unsigned route;

    if (fresh) {
        if (m->engine->msi_alloc(m->vm, &route) < 0)
            return;
        m->route = (int)route;
    }
    if (fresh || m->address != address || m->data != data)
        (void)m->engine->msi_set(m->vm, (unsigned)m->route, address, data);
    m->address = address;
    m->data = data;
    if (!m->bound)
        m->bound = m->engine->irqfd(m->vm, (unsigned)m->route, m->fd, -1, true) == 0;
}

void pci_message_unbind(struct pci_message *m)
{
    if (m->bound)
        (void)m->engine->irqfd(m->vm, (unsigned)m->route, m->fd, -1, false);
    m->bound = false;
}

bool pci_message_pending(const struct pci_message *m)
{
    struct pollfd p = {.fd = m->fd, .events = POLLIN};

    return !m->bound && poll(&p, 1, 0) == 1;
}
