/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"

/* --- the list --- */

static void no_fds(struct board_device *d)
{
    for (unsigned i = 0; i < PCI_MSIX_VECTORS_MAX; i++)
        d->msix_fd[i] = -1;
    for (unsigned i = 0; i < PCI_MSI_VECTORS_MAX; i++)
        d->msi_fd[i] = -1;
    for (unsigned i = 0; i < BOARD_DOORBELLS_MAX; i++)
        d->doorbell_fd[i] = -1;
    d->intx_fd = d->resample_fd = d->ram_fd = -1;
}

/* Appends a device whose params the caller then fills in; NULL when there is no room. */
static struct board_device *add(struct board *board, const struct dev_class *class, int slot)
{
    struct board_device *d = board->count < LINK_DEVICES_MAX ? calloc(1, sizeof *d) : NULL;
    unsigned same = 0;

    if (!d)
        return NULL;
    for (unsigned i = 0; i < board->count; i++)
        same += board->device[i]->class == class;
    (void)snprintf(d->name, sizeof d->name, "%s%u", class->name, same);
    d->class = class;
    d->number = board->count;
    d->devfn = slot < 0 ? BOARD_DEVFN_NONE : slot * 8;
    no_fds(d);
    return board->device[board->count++] = d;
}

static bool add_bridges(struct board *board, const struct vmcfg *cfg,
                        const struct board_parts *parts)
{
    bool direct = cfg->firmware == VMCFG_FIRMWARE_NONE;
    struct board_device *mch = add(board, &q35_mch_class, 0);
    struct board_device *lpc = add(board, &ich9_lpc_class, BOARD_LPC_SLOT);

    if (!mch || !lpc)
        return false;
    mch->params.mch = (struct q35_mch_params){.host = parts->pci_host,
                                              .ecam = parts->shared ? &parts->shared->ecam : NULL,
                                              .tseg = cfg->secure_boot ? parts->hooks->tseg : NULL,
                                              .ctx = parts->hooks_ctx,
                                              .ecam_on = direct};
    lpc->params.lpc = (struct ich9_lpc_params){.pmbase = direct ? ICH9_LPC_PMBASE_USUAL : 0,
                                               .smm = cfg->secure_boot,
                                               .smi = parts->hooks->smi,
                                               .pirq_routed = parts->hooks->pirq,
                                               .ctx = parts->hooks_ctx};
    return true;
}

static bool add_debugcon(struct board *board, const struct vmcfg *cfg)
{
    struct board_device *d = cfg->firmware_log ? add(board, &debugcon_class, -1) : NULL;

    if (d)
        d->params.debugcon.fd = VM_FD_FIRMWARE_LOG;
    return d || !cfg->firmware_log;
}

static bool add_debug_exit(struct board *board, const struct vmcfg *cfg,
                           const struct board_parts *parts)
{
    struct board_device *d = cfg->debug_exit ? add(board, &debug_exit_class, -1) : NULL;

    if (d)
        d->params.debug_exit = (struct debug_exit_params){.port = (uint16_t)cfg->debug_exit,
                                                          .exit = parts->hooks->debug_exit,
                                                          .ctx = parts->hooks_ctx};
    return d || !cfg->debug_exit;
}

static bool add_isa(struct board *board, const struct vmcfg *cfg, const struct board_parts *parts)
{
    struct board_device *rtc = add(board, &rtc_cmos_class, -1);
    struct board_device *uart = add(board, &uart16550_class, -1);
    uint64_t low = MIN(cfg->memory, GMEM_LOW_MAX);

    if (!rtc || !uart || !add(board, &post_port_class, -1))
        return false;
    rtc_cmos_set_memory(&rtc->params.rtc, low, cfg->memory - low);
    uart->params.uart = (struct uart16550_params){
        .base = 0x3f8, .irq = 4, .tx = parts->uart_tx, .rx = parts->uart_rx};
    return true;
}

/* The variable store ends where the code begins, and the code at 4 GiB. */
static bool add_flash(struct board *board, const struct vmcfg *cfg, const struct board_parts *parts)
{
    struct board_device *d = add(board, &pflash_class, -1);
    struct stat code, vars;

    if (!d || fstat(VM_FD_FIRMWARE, &code) < 0 || fstat(VM_FD_NVRAM, &vars) < 0)
        return false;
    d->params.pflash =
        (struct pflash_params){.base = GMEM_HIGH - (uint64_t)code.st_size - (uint64_t)vars.st_size,
                               .size = (uint64_t)vars.st_size,
                               .fd = VM_FD_NVRAM,
                               .set_readable = parts->hooks->flash_readable,
                               .may_write = cfg->secure_boot ? parts->hooks->flash_may_write : NULL,
                               .ctx = parts->hooks_ctx};
    return true;
}

/* For somebody at the screen. */
static bool add_display(struct board *board, const struct vmcfg *cfg,
                        const struct board_parts *parts)
{
    struct board_device *kbc, *vga;

    if (!vmcfg_has_display(cfg))
        return true;
    if (!(kbc = add(board, &kbc8042_class, -1)) || !(vga = add(board, &vga_class, BOARD_VGA_SLOT)))
        return false;
    kbc->params.kbc = (struct kbc8042_params){.input = parts->input, .leds = parts->leds};
    vga->params.vga.sink = parts->display;
    vga->ram_fd = parts->video_fd ? fcntl(*parts->video_fd, F_DUPFD_CLOEXEC, 0) : -1;
    return !parts->video_fd || vga->ram_fd >= 0;
}

static bool add_usb(struct board *board, const struct vmcfg *cfg, const struct board_parts *parts)
{
    struct board_device *d = vmcfg_has_tablet(cfg) ? add(board, &xhci_class, BOARD_USB_SLOT) : NULL;

    if (d)
        d->params.xhci = parts->xhci;
    return d || !vmcfg_has_tablet(cfg);
}

/* For firmware. Small kernels that are loaded directly read fw_cfg too; no table names it then, and
 * larger ones do not see it. */
static bool add_fw_cfg(struct board *board, const struct board_parts *parts)
{
    struct board_device *d = add(board, &fw_cfg_class, -1);

    if (d)
        d->params.fw_cfg.items = parts->fw_cfg;
    return d;
}

/* What only firmware has a use for. A kernel that is loaded directly finds its serial console and
 * is spared probing the rest. */
static bool add_firmware(struct board *board, const struct vmcfg *cfg,
                         const struct board_parts *parts)
{
    struct board_device *hpet;

    if (cfg->firmware == VMCFG_FIRMWARE_NONE)
        return true;
    if (!(hpet = add(board, &hpet_class, -1)))
        return false;
    hpet->params.hpet = (struct hpet_params){
        .legacy = parts->hooks->hpet_legacy, .msi = parts->hooks->msi, .ctx = parts->hooks_ctx};
    return cfg->firmware != VMCFG_FIRMWARE_UEFI || add_flash(board, cfg, parts);
}

static bool add_ports(struct board *board, const struct vmcfg *cfg, const struct board_parts *parts)
{
    for (unsigned i = 0; i < VMCFG_SLOTS_MAX; i++) {
        struct board_device *d;
        if (!(cfg->slots & BIT(i)))
            continue;
        if (!(d = add(board, &root_port_class, BOARD_PORT_SLOT + (int)i)))
            return false;
        d->params.port = (struct root_port_params){.host = parts->pci_host,
                                                   .index = i,
                                                   .slot = (uint16_t)vmcfg_slot_number(i + 1),
                                                   .child_reset = parts->hooks->card_reset,
                                                   .emptied = parts->hooks->card_out,
                                                   .ctx = parts->hooks_ctx};
    }
    return true;
}

static bool add_disk(const struct board_parts *parts, const struct vmcfg *cfg,
                     struct board_device *d, unsigned place)
{
    if (d)
        d->params.blk =
            (struct virtio_blk_params){.blk = parts->blk ? parts->blk[place] : NULL,
                                       .queues = MIN(cfg->cpus, (unsigned)VIRTIO_BLK_QUEUES_MAX)};
    return d;
}

static bool add_nic(const struct board_parts *parts, struct board_device *d, unsigned place,
                    unsigned queues)
{
    if (d)
        d->params.net = (struct virtio_net_params){.nic = parts->nic ? parts->nic[place] : NULL,
                                                   .pairs = queues};
    return d;
}

static struct board_device *find_ahci(const struct board *board, unsigned controller)
{
    for (unsigned i = 0; i < board->count; i++)
        if (board->device[i]->class == &ahci_class &&
            board->device[i]->params.ahci.controller == controller)
            return board->device[i];
    return NULL;
}

/* A drive at a port of a controller, which comes with the first of them. */
static bool add_ahci_drive(struct board *board, const struct vmcfg_disk *disk, struct blk *blk)
{
    unsigned controller = vmcfg_ahci_controller(disk);
    struct board_device *d = find_ahci(board, controller);

    if (!d && !(d = add(board, &ahci_class, BOARD_SATA_SLOT - (int)controller)))
        return false;
    d->params.ahci.controller = controller;
    d->params.ahci.drive[vmcfg_ahci_port(disk)] =
        (struct ahci_drive){.present = true, .cdrom = disk->cdrom, .blk = blk};
    return true;
}

static bool add_disks(struct board *board, const struct vmcfg *cfg, const struct board_parts *parts,
                      int *slot)
{
    for (unsigned i = 0; i < cfg->disk_count; i++) {
        const struct vmcfg_disk *disk = &cfg->disks[i];
        unsigned place = vmcfg_disk_place(cfg, i);
        if (vmcfg_is_ahci(disk)
                ? !add_ahci_drive(board, disk, parts->blk ? parts->blk[place] : NULL)
                : !disk->slot &&
                      !add_disk(parts, cfg, add(board, &virtio_blk_class, (*slot)++), place))
            return false;
    }
    return true;
}

static bool add_nics(struct board *board, const struct vmcfg *cfg, const struct board_parts *parts,
                     int *slot)
{
    for (unsigned i = 0; i < cfg->nic_count; i++)
        if (!cfg->nics[i].slot && !add_nic(parts, add(board, &virtio_net_class, (*slot)++),
                                           vmcfg_nic_place(cfg, i), cfg->nics[i].queues))
            return false;
    return true;
}

/* Behind root port `index`. */
static struct board_device *add_spare(struct board *board, const struct dev_class *class,
                                      unsigned index)
{
    struct board_device *d = add(board, class, 0);

    if (!d)
        return NULL;
    (void)snprintf(d->name, sizeof d->name, "%s-slot%u", class->name, index + 1);
    d->bridge = board_port(board, index);
    return d;
}

/* The queues of a card that stands in the slot from the start; what comes later has one pair. */
static unsigned slot_queues(const struct vmcfg *cfg, unsigned slot)
{
    for (unsigned i = 0; i < cfg->nic_count; i++)
        if (cfg->nics[i].slot == slot)
            return cfg->nics[i].queues;
    return 1;
}

static bool add_spares(struct board *board, const struct vmcfg *cfg,
                       const struct board_parts *parts)
{
    for (unsigned i = 0; i < VMCFG_SLOTS_MAX; i++)
        if (cfg->slots & BIT(i) &&
            (!add_disk(parts, cfg, add_spare(board, &virtio_blk_class, i), VMCFG_DISKS_MAX + i) ||
             !add_nic(parts, add_spare(board, &virtio_net_class, i), VMCFG_NICS_MAX + i,
                      slot_queues(cfg, i + 1))))
            return false;
    for (unsigned i = 0; i < cfg->disk_count; i++)
        if (cfg->disks[i].slot)
            board_port(board, cfg->disks[i].slot - 1)->card = board_disk(board, cfg, i);
    for (unsigned i = 0; i < cfg->nic_count; i++)
        if (cfg->nics[i].slot)
            board_port(board, cfg->nics[i].slot - 1)->card = board_nic(board, cfg, i);
    return true;
}

static bool add_small(struct board *board, const struct vmcfg *cfg, const struct board_parts *parts,
                      int *slot)
{
    struct board_device *console;

    if (!add(board, &virtio_rng_class, (*slot)++) || !add(board, &virtio_balloon_class, (*slot)++))
        return false;
    if (cfg->console.type == VMCFG_STREAM_NONE)
        return true;
    if (!(console = add(board, &virtio_console_class, (*slot)++)))
        return false;
    console->params.console.chr = parts->console;
    return true;
}

/* Where those end that have the next free slot. */
static int first_fixed_slot(const struct board *board)
{
    int first = BOARD_LPC_SLOT;

    for (unsigned i = 0; i < board->count; i++) {
        const struct board_device *d = board->device[i];
        bool fixed =
            d->class == &ahci_class || d->class == &xhci_class || d->class == &root_port_class;
        if (fixed)
            first = MIN(first, d->devfn / 8);
    }
    return first;
}

int board_build(const struct vmcfg *cfg, const struct board_parts *given, struct board **ret_board,
                struct err *err)
{
    struct board *board = calloc(1, sizeof *board);
    static const struct board_hooks none;
    struct board_parts all = *given;
    const struct board_parts *parts = &all;
    int slot = BOARD_FIRST_SLOT, end, rc = 0;

    if (!board)
        return err_set(err, -ENOMEM, "out of memory");
    if (!all.hooks)
        all.hooks = &none;
    if (!add_bridges(board, cfg, parts) || !add_isa(board, cfg, parts) ||
        !add_display(board, cfg, parts) || !add_usb(board, cfg, parts) ||
        !add_fw_cfg(board, parts) || !add_firmware(board, cfg, parts) ||
        !add_debugcon(board, cfg) || !add_debug_exit(board, cfg, parts) ||
        !add_ports(board, cfg, parts) || !add_disks(board, cfg, parts, &slot) ||
        !add_nics(board, cfg, parts, &slot) || !add_small(board, cfg, parts, &slot) ||
        !add_spares(board, cfg, parts))
        rc = err_set(err, -ENOMEM, "no room for all devices of the VM");
    else if (slot > (end = first_fixed_slot(board)))
        rc = err_set(err, -ENOSPC, "the VM has more devices than the %d PCI slots there are",
                     end - BOARD_FIRST_SLOT);
    for (unsigned i = 0; i < board->count && rc == 0; i++) {
        struct board_device *d = board->device[i];
        rc = d->class->layout(&d->params, &d->layout, err);
        if (rc == 0 && d->layout.doorbell.count > BOARD_DOORBELLS_MAX)
            rc = err_set(err, -EINVAL, "%u doorbells", d->layout.doorbell.count);
        if (rc < 0)
            (void)err_prefix(err, rc, "%s", d->name);
    }
    if (rc < 0) {
        board_destroy(board);
        return rc;
    }
    *ret_board = board;
    return 0;
}

void board_destroy(struct board *board)
{
    if (!board)
        return;
    for (unsigned i = board->count; i-- > 0;) {
        struct board_device *d = board->device[i];
        pci_shell_destroy(d->shell);
        if (d->dev) {
            pci_port_stop(&d->port);
            d->class->destroy(d->dev);
        }
        int fds[LINK_FDS_MAX];
        for (unsigned n = board_list_fds(d, fds); n-- > 0;)
            (void)close_fd(fds[n]);
        free(d);
    }
    free(board);
}

struct board_device *board_find(struct board *board, const struct dev_class *class)
{
    for (unsigned i = 0; i < board->count; i++)
        if (board->device[i]->class == class)
            return board->device[i];
    return NULL;
}

struct board_device *board_port(const struct board *board, unsigned index)
{
    for (unsigned i = 0; i < board->count; i++)
        if (board->device[i]->class == &root_port_class &&
            board->device[i]->params.port.index == index)
            return board->device[i];
    return NULL;
}

struct board_device *board_card(const struct board *board, unsigned index)
{
    const struct board_device *port = board_port(board, index);

    return port ? port->card : NULL;
}

struct board_device *board_spare(const struct board *board, unsigned index,
                                 const struct dev_class *class)
{
    const struct board_device *port = board_port(board, index);

    for (unsigned i = 0; i < board->count; i++)
        if (port && board->device[i]->bridge == port && board->device[i]->class == class)
            return board->device[i];
    return NULL;
}

/* Device `place` of a class on bus 0, or what is behind a port. */
static struct board_device *find_place(const struct board *board, const struct dev_class *class,
                                       unsigned slot, unsigned place)
{
    if (slot)
        return board_spare(board, slot - 1, class);
    for (unsigned i = 0; i < board->count; i++)
        if (board->device[i]->class == class && !board->device[i]->bridge && place-- == 0)
            return board->device[i];
    return NULL;
}

struct board_device *board_disk(const struct board *board, const struct vmcfg *cfg, unsigned index)
{
    const struct vmcfg_disk *disk = &cfg->disks[index];
    unsigned place = 0;

    if (vmcfg_is_ahci(disk))
        return find_ahci(board, vmcfg_ahci_controller(disk));
    for (unsigned i = 0; i < index; i++)
        place += !cfg->disks[i].slot && !vmcfg_is_ahci(&cfg->disks[i]);
    return find_place(board, &virtio_blk_class, disk->slot, place);
}

struct board_device *board_nic(const struct board *board, const struct vmcfg *cfg, unsigned index)
{
    return find_place(board, &virtio_net_class, cfg->nics[index].slot, vmcfg_nic_place(cfg, index));
}

/* --- descriptors: msix..., msi..., doorbells..., intx, resample, ram; those that the layout has
 * --- */

static uint64_t ram_size(const struct board_device *d)
{
    for (unsigned i = 0; i < d->layout.region_count; i++)
        if (d->layout.region[i].ram)
            return d->layout.region[i].size;
    return 0;
}

/* The places of a device's descriptors, in the order in which they travel. */
static unsigned fd_places(struct board_device *d, int **places)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->layout.pci.msix_vectors; i++)
        places[n++] = &d->msix_fd[i];
    for (unsigned i = 0; i < d->layout.pci.msi_vectors; i++)
        places[n++] = &d->msi_fd[i];
    for (unsigned i = 0; i < d->layout.doorbell.count; i++)
        places[n++] = &d->doorbell_fd[i];
    if (d->layout.is_pci && d->layout.pci.intx) {
        places[n++] = &d->intx_fd;
        places[n++] = &d->resample_fd;
    }
    if (ram_size(d))
        places[n++] = &d->ram_fd;
    return n;
}

int board_make_fds(struct board_device *d, struct err *err)
{
    int *places[LINK_FDS_MAX];
    unsigned n = fd_places(d, places);

    for (unsigned i = 0; i < n; i++) {
        if (*places[i] >= 0)
            continue; /* given to us */
        if (places[i] == &d->ram_fd) {
            *places[i] = memfd_create(d->name, MFD_CLOEXEC);
            if (*places[i] >= 0 && ftruncate(*places[i], (off_t)ram_size(d)) < 0)
                *places[i] = close_fd(*places[i]);
        } else {
            *places[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        }
        if (*places[i] < 0)
            return err_sys(err, -errno, "%s: cannot make a descriptor", d->name);
    }
    return 0;
}

unsigned board_list_fds(const struct board_device *d, int *fds)
{
    int *places[LINK_FDS_MAX];
    unsigned n = fd_places((struct board_device *)d, places);

    for (unsigned i = 0; i < n; i++)
        fds[i] = *places[i];
    return n;
}

int board_take_fds(struct board_device *d, const int *fds, unsigned count)
{
    int *places[LINK_FDS_MAX];

    if (fd_places(d, places) != count)
        return -EBADMSG;
    for (unsigned i = 0; i < count; i++)
        *places[i] = fds[i];
    return 0;
}

/* --- devices --- */

static void fill_port(struct board_device *d, const struct board_env *env)
{
    d->port = (struct pci_port){.shared = &env->shared->pci[d->number],
                                .msix_count = d->layout.pci.msix_vectors,
                                .intx_fd = d->intx_fd,
                                .resample_fd = d->resample_fd};
    memcpy(d->port.msix_fd, d->msix_fd, sizeof d->port.msix_fd);
    memcpy(d->port.msi_fd, d->msi_fd, sizeof d->port.msi_fd);
}

static int create_device(struct board_device *d, const struct board_env *env, struct err *err)
{
    struct dev_env e = {.name = d->name,
                        .gmem = env->gmem,
                        .loop = env->loop,
                        .doorbell_fd = d->doorbell_fd,
                        .ram_fd = d->ram_fd,
                        .request = env->request,
                        .request_ctx = env->request_ctx,
                        .bus = env->bus};

    for (unsigned i = 0; i < ARRAY_SIZE(e.irq); i++)
        if (d->layout.isa_irq[i])
            e.irq[i] = (struct irq){env->irq, env->irq_ctx, d->layout.isa_irq[i]};
    if (d->layout.is_pci) {
        fill_port(d, env);
        int rc = pci_port_start(&d->port, env->loop);
        if (rc < 0)
            return err_sys(err, rc, "cannot watch its interrupt");
        e.pci = &d->port;
    }
    return d->class->create(&e, &d->params, &d->dev, err);
}

int board_create_devices(struct board *board, enum dev_place place, const struct board_env *env,
                         struct err *err)
{
    for (unsigned i = 0; i < board->count; i++) {
        struct board_device *d = board->device[i];
        if (d->class->place != place)
            continue;
        int rc = create_device(d, env, err);
        if (rc < 0)
            return err_prefix(err, rc, "%s", d->name);
        d->class->reset(d->dev);
    }
    return 0;
}

void board_reset_devices(struct board *board, enum dev_place place)
{
    for (unsigned i = 0; i < board->count; i++)
        if (board->device[i]->class->place == place)
            board->device[i]->class->reset(board->device[i]->dev);
}

void board_quiesce_devices(struct board *board, enum dev_place place)
{
    for (unsigned i = 0; i < board->count; i++) {
        const struct board_device *d = board->device[i];
        if (d->class->place == place && d->class->quiesce)
            d->class->quiesce(d->dev);
    }
}

void board_resume_devices(struct board *board, enum dev_place place)
{
    for (unsigned i = 0; i < board->count; i++) {
        const struct board_device *d = board->device[i];
        if (d->class->place == place && d->class->resume)
            d->class->resume(d->dev);
    }
}

void board_reset_device(struct board *board, unsigned number)
{
    if (number < board->count && board->device[number]->dev)
        board->device[number]->class->reset(board->device[number]->dev);
}

uint64_t board_serve(struct board *board, const struct callslot *call)
{
    if (call->device >= board->count)
        return UINT64_MAX;
    struct board_device *d = board->device[call->device];
    if (!d->dev || d->class->place != DEV_IN_VMX || call->region >= d->layout.region_count)
        return UINT64_MAX;
    const struct dev_region *r = &d->layout.region[call->region];
    if (r->ram || !call->size || call->size > 8 || !is_power_of_two(call->size) ||
        call->size < r->min_width || (r->max_width && call->size > r->max_width) ||
        !range_within(call->offset, call->size, r->size))
        return UINT64_MAX;
    if (!call->is_write)
        return d->class->read(d->dev, call->region, call->offset, call->size);
    d->class->write(d->dev, call->region, call->offset, call->size, call->value);
    return 0;
}
