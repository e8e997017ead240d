/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pci/pci_msi.h"

#include "base/bytes.h"
#include "base/range.h"
#include "vm/pci/pci_regs.h"

void pci_msi_init(struct pci_msi *msi, const struct engine *engine, struct engine_vm *vm,
                  unsigned count, const int *fd)
{
    msi->count = count;
    for (unsigned i = 0; i < count; i++)
        pci_message_init(&msi->vector[i], engine, vm, fd[i]);
}

void pci_msi_fini(struct pci_msi *msi)
{
    for (unsigned i = 0; i < msi->count; i++)
        pci_message_fini(&msi->vector[i]);
}

void pci_msi_cap(unsigned count, uint8_t *cap, uint8_t *writable)
{
    unsigned log = (unsigned)__builtin_ctz(count);

    cap[0] = PCI_CAP_ID_MSI;
    le16_store(cap + PCI_MSI_CONTROL, (uint16_t)(PCI_MSI_64BIT | PCI_MSI_MASKING | log << 1));
    le16_store(writable + PCI_MSI_CONTROL, PCI_MSI_ENABLE | PCI_MSI_MULTIPLE_ENABLE);
    le32_store(writable + PCI_MSI_ADDRESS, ~3u);
    le32_store(writable + PCI_MSI_ADDRESS + 4, ~0u);
    le16_store(writable + PCI_MSI_DATA, 0xffff);
    le32_store(writable + PCI_MSI_MASK, (uint32_t)(BIT64(count) - 1));
}

/* Multiple Message Enable, held to what was offered: the guest may write more, and reserved
 * encodings. */
static unsigned granted(const struct pci_msi *msi, uint16_t control)
{
    unsigned log = (control & PCI_MSI_MULTIPLE_ENABLE) >> 4;

    return control & PCI_MSI_ENABLE ? MIN(1u << log, msi->count) : 0;
}

unsigned pci_msi_update(struct pci_msi *msi, const uint8_t *cap)
{
    unsigned on = granted(msi, le16_load(cap + PCI_MSI_CONTROL));
    uint64_t address = le64_load(cap + PCI_MSI_ADDRESS);
    uint32_t masked = le32_load(cap + PCI_MSI_MASK);
    uint16_t data = le16_load(cap + PCI_MSI_DATA);

    /* A vector's number replaces the low bits of the data. */
    for (unsigned i = 0; i < msi->count; i++)
        if (i < on && !(masked >> i & 1))
            pci_message_bind(&msi->vector[i], address, (data & ~(on - 1)) | i);
        else
            pci_message_unbind(&msi->vector[i]);
    return on;
}

uint32_t pci_msi_pending(const struct pci_msi *msi, const uint8_t *cap)
{
    unsigned on = granted(msi, le16_load(cap + PCI_MSI_CONTROL));
    uint32_t bits = 0;

    for (unsigned i = 0; i < on; i++)
        bits |= (uint32_t)pci_message_pending(&msi->vector[i]) << i;
    return bits;
}
