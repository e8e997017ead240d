/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pci/pci_msix.h"

#include "base/bytes.h"
#include "base/range.h"

enum { VECTOR_MASKED = 1 };

void pci_msix_init(struct pci_msix *msix, const struct engine *engine, struct engine_vm *vm,
                   unsigned count, const int *fd)
{
    *msix = (struct pci_msix){.count = count};
    for (unsigned i = 0; i < count; i++)
        pci_message_init(&msix->vector[i].message, engine, vm, fd[i]);
    pci_msix_reset(msix);
}

/* Brings the engine's view of a vector to what the guest wrote. */
static void update(struct pci_msix *msix, unsigned i)
{
    struct pci_msix_vector *v = &msix->vector[i];

    if (msix->enabled && !msix->masked && !(v->control & VECTOR_MASKED))
        pci_message_bind(&v->message, v->address, v->data);
    else
        pci_message_unbind(&v->message);
}

void pci_msix_refresh(struct pci_msix *msix)
{
    for (unsigned i = 0; i < msix->count; i++)
        update(msix, i);
}

void pci_msix_reset(struct pci_msix *msix)
{
    msix->enabled = msix->masked = false;
    for (unsigned i = 0; i < msix->count; i++) {
        msix->vector[i].address = 0;
        msix->vector[i].data = 0;
        msix->vector[i].control = VECTOR_MASKED;
    }
    pci_msix_refresh(msix);
}

void pci_msix_fini(struct pci_msix *msix)
{
    for (unsigned i = 0; i < msix->count; i++)
        pci_message_fini(&msix->vector[i].message);
}

void pci_msix_control(struct pci_msix *msix, bool enabled, bool masked)
{
    if (enabled == msix->enabled && masked == msix->masked)
        return;
    msix->enabled = enabled;
    msix->masked = masked;
    pci_msix_refresh(msix);
}

static uint64_t read_pending(const struct pci_msix *msix, uint64_t first, unsigned bits)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bits && first + i < msix->count; i++)
        value |= (uint64_t)pci_message_pending(&msix->vector[first + i].message) << i;
    return value;
}

static void entry_store(uint8_t *b, const struct pci_msix_vector *v)
{
    le64_store(b, v->address);
    le32_store(b + 8, v->data);
    le32_store(b + 12, v->control);
}

uint64_t pci_msix_read(struct pci_msix *msix, uint64_t offset, unsigned size)
{
    uint8_t entry[PCI_MSIX_ENTRY_SIZE];

    if (offset >= PCI_MSIX_PBA_OFFSET)
        return read_pending(msix, (offset - PCI_MSIX_PBA_OFFSET) * 8, size * 8);
    if (offset / PCI_MSIX_ENTRY_SIZE >= msix->count)
        return 0;
    entry_store(entry, &msix->vector[offset / PCI_MSIX_ENTRY_SIZE]);
    unsigned at = offset % PCI_MSIX_ENTRY_SIZE;
    return at + size <= sizeof entry ? le_load(entry + at, size) : UINT64_MAX;
}

void pci_msix_write(struct pci_msix *msix, uint64_t offset, unsigned size, uint64_t value)
{
    uint8_t entry[PCI_MSIX_ENTRY_SIZE];
    uint64_t i = offset / PCI_MSIX_ENTRY_SIZE;
    unsigned at = offset % PCI_MSIX_ENTRY_SIZE;

    if (i >= msix->count || at + size > sizeof entry)
        return;
    struct pci_msix_vector *v = &msix->vector[i];
    entry_store(entry, v);
    le_store(entry + at, size, value);
    v->address = le64_load(entry) & ~UINT64_C(3);
    v->data = le32_load(entry + 8);
    v->control = le32_load(entry + 12) & VECTOR_MASKED;
    update(msix, (unsigned)i);
}

static const struct state_field vector_fields[] = {
    STATE_FIELD(struct pci_msix_vector, address, STATE_U64),
    STATE_FIELD(struct pci_msix_vector, data, STATE_U32),
    STATE_FIELD(struct pci_msix_vector, control, STATE_U32),
};
static const struct state_table vector_state = {
    "msix-vector", 1, sizeof(struct pci_msix_vector), vector_fields, ARRAY_SIZE(vector_fields),
    NULL};

static const struct state_field fields[] = {
    STATE_FIELD(struct pci_msix, enabled, STATE_BOOL),
    STATE_FIELD(struct pci_msix, masked, STATE_BOOL),
    STATE_SUB(struct pci_msix, vector, &vector_state, PCI_MSIX_VECTORS_MAX),
};
const struct state_table pci_msix_state = {
    "msix", 1, sizeof(struct pci_msix), fields, ARRAY_SIZE(fields), NULL};
