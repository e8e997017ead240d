/* SPDX-License-Identifier: Apache-2.0 */
/* The process `vmm`: runs guest instructions, owns the interrupt controllers, timers and the bus.
 *
 * Threads: one a vCPU, and the main loop, which alone starts, pauses, resets and ends the machine.
 * It starts with the descriptors of enum vm_fd, opens the engine, builds its half of the board,
 * confines itself, waits for vmx, and runs until the guest switches off, somebody outside wants an
 * end, or one of the three processes is gone. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/vmcfg.h"
#include "vm/backend/console_page.h"
#include "vm/engine/cpu_state.h"
#include "vm/engine/cpuid.h"
#include "vm/engine/engine.h"
#include "vm/engine/host_cpu.h"
#include "vm/engine/irqchip_state.h"
#include "vm/firmware/efi_load.h"
#include "vm/firmware/fw_content.h"
#include "vm/process/board.h"
#include "vm/process/child.h"
#include "vm/process/run.h"
#include "vm/process/sandbox.h"
#include "vm/process/state_engine.h"
#include "vm/process/vcpus.h"

struct vmm {
    struct child_env env; /* configuration, memory, sockets: what both processes start with */
    struct bus *bus;
    const struct engine *engine;
    struct engine_vm *vm;
    struct pci_host *pci_host;
    struct board *board;
    struct vcpus *vcpus;
    uint64_t tseg;                  /* bytes of system management memory */
    struct irqchip_state *power_on; /* of the interrupt controllers */
    struct buf saved;               /* what it goes on from; until that is in place */
    struct state_records rest;      /* of it: what has not been taken */
    struct bytering uart_tx, uart_rx, input;
    struct console_page *console; /* NULL: no display */
    struct loop_source control, link, events;
    bool running;      /* no reset is under way */
    bool paused;       /* by the parent, or restored */
    bool pause_wanted; /* when the reset is done */
    bool held;         /* paused, until there is room on the host */
    bool hold_wanted;  /* when the reset is done */
    /* What vCPU threads and devices ask of the main loop. */
    _Atomic(unsigned) wanted; /* bits of enum machine_request */
    atomic_bool leaving; /* reset or power off has been asked for: what the guest does until its
                            processors stand still is of no account */
    _Atomic(unsigned) cards_reset; /* bits of ports whose card lost power */
    _Atomic(unsigned) cards_out;   /* and of those whose card the guest has let go */
    unsigned ejecting;             /* the slot (1 up) that the parent waits for; 0: none */
    _Atomic(int) exit_status;      /* by the debug-exit port; -1: none */
    int event_fd;
    struct err engine_notice; /* why it is not the first choice; said once the VM runs */
    struct err crash;         /* MACHINE_CRASHED: why; written before the bit is set */
    enum vm_end crash_kind;
};

static void finish(struct vmm *v, enum vm_end end, const char *text)
{
    child_report(&v->env, end, text);
    loop_stop(v->env.loop, 0);
}

/* Switched off, or ended with a status. */
static void finish_by_guest(struct vmm *v)
{
    int status = atomic_load(&v->exit_status);

    if (status < 0) {
        finish(v, VM_END_POWER_OFF, NULL);
        return;
    }
    child_report_exit(&v->env, (uint8_t)status);
    loop_stop(v->env.loop, 0);
}

/* From any thread. */
static void request(void *ctx, enum machine_request what)
{
    struct vmm *v = ctx;
    const uint64_t one = 1;

    if (what != MACHINE_CRASHED)
        atomic_store(&v->leaving, true);
    atomic_fetch_or(&v->wanted, 1u << what);
    (void)!write(v->event_fd, &one, sizeof one);
}

static void isa_irq(void *ctx, unsigned line, bool level)
{
    struct vmm *v = ctx;

    (void)v->engine->irq_line(v->vm, line, level);
}

static void vcpu_ended(void *ctx, unsigned index, enum engine_exit exit, const struct err *err)
{
    struct vmm *v = ctx;

    if (exit == ENGINE_EXIT_SHUTDOWN && atomic_load(&v->leaving))
        return; /* a processor would not have got so far */
    if (exit == ENGINE_EXIT_SHUTDOWN) {
        v->crash_kind = VM_END_TRIPLE_FAULT;
        (void)err_set(&v->crash, -EIO, "vCPU %u took a triple fault%s%s", index,
                      err->code ? ": " : "", err->text);
    } else {
        v->crash_kind = VM_END_DIED;
        (void)err_set(&v->crash, -EIO, "vCPU %u: %s", index, err->text);
    }
    request(v, MACHINE_CRASHED);
}

/* --- standing still, and state --- */

static void answer(int rc, const struct err *err)
{
    struct link_message m = {.kind = LINK_DONE, .value = (uint32_t)-rc};

    if (rc < 0)
        (void)snprintf(m.text, sizeof m.text, "%s", err->text);
    (void)link_send(VM_FD_CONTROL, &m, NULL, 0);
}

/* What the guest asked for until now comes first: a switched off or reset machine has no state. */
static void pause_machine(struct vmm *v)
{
    v->pause_wanted = !v->running;
    if (!v->running)
        return;
    vcpus_pause(v->vcpus);
    if (atomic_load(&v->wanted)) {
        v->pause_wanted = true;
        vcpus_resume(v->vcpus);
        return;
    }
    board_quiesce_devices(v->board, DEV_IN_VMM);
    v->paused = true;
    answer(0, NULL);
}

/* Again after each thing that it had to wait for. */
static void pause_if_wanted(struct vmm *v)
{
    if (v->pause_wanted)
        pause_machine(v);
}

static void go_on(struct vmm *v)
{
    const uint64_t one = 1;

    v->held = v->hold_wanted = v->paused = false;
    board_resume_devices(v->board, DEV_IN_VMM);
    vcpus_resume(v->vcpus);
    (void)!write(v->event_fd, &one, sizeof one); /* what came meanwhile */
}

static void resume_machine(struct vmm *v)
{
    v->pause_wanted = false;
    if (v->paused)
        go_on(v);
    answer(0, NULL);
}

/* Somebody is asked whether it may go on: so it stands still until he answers, after a reset too,
 * though that has dropped the write that waited. */
static void hold_machine(struct vmm *v)
{
    v->hold_wanted = !v->running;
    if (!v->running || v->paused || v->pause_wanted)
        return;
    vcpus_pause(v->vcpus);
    board_quiesce_devices(v->board, DEV_IN_VMM);
    v->held = v->paused = true;
}

static struct state_engine state_engine_of(struct vmm *v)
{
    return (struct state_engine){
        .engine = v->engine, .vm = v->vm, .vcpus = v->vcpus, .cpus = v->env.cfg.cpus};
}

static struct state_machine state_machine_of(struct vmm *v, const struct state_engine *engine)
{
    return (struct state_machine){.board = v->board,
                                  .shared = v->env.shared,
                                  .place = DEV_IN_VMM,
                                  .engine = engine,
                                  .put_engine = state_put_engine,
                                  .take_engine = state_take_engine};
}

static void save_machine(struct vmm *v, int fd)
{
    struct state_engine engine = state_engine_of(v);
    struct state_machine machine = state_machine_of(v, &engine);
    cleanup_buf struct buf out = {0};
    struct err err = ERR_INIT;
    int rc = v->paused && fd >= 0 ? 0 : err_set(&err, -EINVAL, "the VM does not stand still");

    if (rc == 0) /* first, for without it there is no engine to take the rest */
        state_put_section(&out, "cpuid", &cpuid_state, v->engine->cpuid(v->vm));
    if (rc == 0)
        rc = state_put(&machine, &out, &err);
    if (rc == 0 && (rc = file_write_all(fd, out.data, out.len)) < 0)
        (void)err_sys(&err, rc, "the VM's state can not be written");
    answer(rc, &err);
}

/* Before vmx has devices, for which the configuration spaces must be right. */
static int restore_machine(struct vmm *v, struct err *err)
{
    struct state_engine engine = state_engine_of(v);
    struct state_machine machine = state_machine_of(v, &engine);

    board_quiesce_devices(v->board, DEV_IN_VMM);
    v->running = v->paused = true;
    int rc = state_take(&machine, v->rest.data, v->rest.len, err);
    buf_free(&v->saved);
    return rc < 0 ? err_prefix(err, rc, "the saved state does not fit") : 0;
}

/* The state that it goes on from, and what its processors have said of themselves. */
static int load_saved(struct vmm *v, struct cpuid_table *ret_shown, struct err *err)
{
    int rc = state_load_part(VM_FD_STATE, &v->saved, err);

    (void)close(VM_FD_STATE);
    v->rest = (struct state_records){v->saved.data, v->saved.len};
    if (rc == 0)
        rc = state_take_section(&v->rest, "cpuid", &cpuid_state, ret_shown, err);
    return rc < 0 ? err_prefix(err, rc, "the saved state does not fit") : 0;
}

/* --- starting and resetting --- */

static int reset_vcpu(const struct engine *engine, struct engine_vcpu *vcpu, void *ctx)
{
    (void)ctx;
    return engine->vcpu_reset(vcpu);
}

static struct cpu_model model_of(const struct vmcfg *cfg)
{
    return (struct cpu_model){.cpus = cfg->cpus,
                              .cores_per_socket = cfg->cores_per_socket,
                              .phys_bits = host_guest_phys_bits(cfg->memory),
                              .portable = cfg->portable_cpu};
}

/* How the first processor starts, and what all of them are. */
struct power_on {
    const struct boot_start *start;
    struct cpu_model model;
};

/* APIC ids beyond the 8 bits of xAPIC mode: processors are handed over in x2APIC mode, as firmware
 * does (Intel SDM volume 3, 11.12.7); without that Linux ignores those that have such ids. */
static void enter_x2apic(const struct cpu_model *model, struct cpu_state *state)
{
    enum { APIC_BASE_EXTD = 1 << 10, LAPIC_ID = 2, XAPIC_ID_MAX = 254 };

    if (cpu_model_max_apic_id(model) <= XAPIC_ID_MAX)
        return;
    state->apic_base |= APIC_BASE_EXTD;
    state->lapic[LAPIC_ID] = cpu_model_apic_id(model, vcpus_self());
}

/* The others wait for the first, set up as firmware would have left them. */
static int prepare_vcpu(const struct engine *engine, struct engine_vcpu *vcpu, void *ctx)
{
    const struct power_on *on = ctx;
    cleanup_free struct cpu_state *state = malloc(sizeof *state);
    int rc = state ? engine->vcpu_get_state(vcpu, state) : -ENOMEM;

    if (rc < 0)
        return rc;
    if (vcpus_self() == 0)
        boot_start_apply(on->start, state);
    else
        boot_start_apply_common(on->start, state);
    enter_x2apic(&on->model, state);
    return engine->vcpu_set_state(vcpu, state);
}

/* All vCPUs to power-on; the first one to where vmx says that the start program begins. */
static void start_vcpus(struct vmm *v, struct link_entry *entry)
{
    struct power_on on = {.start = &entry->start, .model = model_of(&v->env.cfg)};
    int rc = 0;

    for (unsigned i = 0; i < v->env.cfg.cpus && rc == 0; i++)
        rc = vcpus_call(v->vcpus, i, reset_vcpu, NULL);
    for (unsigned i = 0; i < v->env.cfg.cpus && rc == 0 && !entry->reset_vector; i++)
        rc = vcpus_call(v->vcpus, i, prepare_vcpu, &on);
    if (rc < 0) {
        finish(v, VM_END_DIED, "the engine refused the processors' initial state");
        return;
    }
    v->running = true;
    atomic_store(&v->leaving, false);
    vcpus_resume(v->vcpus);
    pause_if_wanted(v);
    if (v->hold_wanted)
        hold_machine(v);
}

static void begin_reset(struct vmm *v)
{
    struct link_message m = {.kind = LINK_RESET};

    if (!v->running)
        return; /* one is under way */
    vcpus_pause(v->vcpus);
    v->running = false;
    board_reset_shells(v->board);
    board_reset_devices(v->board, DEV_IN_VMM);
    pci_host_reset(v->pci_host);
    (void)v->engine->irqchip_set(v->vm, v->power_on);
    if (link_send(VM_FD_LINK, &m, NULL, 0) < 0)
        finish(v, VM_END_DIED, "vmx does not answer");
}

static void reset_cards(struct vmm *v)
{
    unsigned cards = atomic_exchange(&v->cards_reset, 0);

    for (unsigned port = 0; port < PCI_PORTS_MAX; port++) {
        struct board_device *card = cards & 1u << port ? board_card(v->board, port) : NULL;
        struct link_message m = {.kind = LINK_RESET_DEVICE, .value = card ? card->number : 0};
        if (card && link_send(VM_FD_LINK, &m, NULL, 0) < 0)
            finish(v, VM_END_DIED, "vmx does not answer");
    }
}

static void report_cards(struct vmm *v)
{
    unsigned cards = atomic_exchange(&v->cards_out, 0);

    for (unsigned port = 0; port < PCI_PORTS_MAX; port++) {
        if (!(cards & 1u << port))
            continue;
        log_info("slot %u: its card is out", port + 1);
        if (v->ejecting == port + 1) {
            v->ejecting = 0;
            answer(0, NULL);
        }
    }
}

static void insert_card(struct vmm *v, unsigned slot, bool nic)
{
    struct board_device *port = board_port(v->board, slot - 1);
    struct board_device *card =
        board_spare(v->board, slot - 1, nic ? &virtio_net_class : &virtio_blk_class);
    struct err err = ERR_INIT;
    int rc = card ? root_port_choose(port->dev, card->shell) : -ENODEV;

    if (rc == 0) {
        port->card = card;
        rc = root_port_insert(port->dev);
    }
    answer(rc < 0 ? err_sys(&err, rc, "slot %u", slot) : 0, &err);
}

static void eject_card(struct vmm *v, unsigned slot)
{
    struct board_device *port = board_port(v->board, slot - 1);
    struct err err = ERR_INIT;
    int rc = port ? root_port_eject(port->dev) : -ENOENT;

    if (rc == -ENODEV)
        answer(0, NULL); /* it is out already */
    else if (rc < 0 && rc != -EBUSY)
        answer(err_sys(&err, rc, "slot %u", slot), &err);
    else
        v->ejecting = slot;
}

static void keep_card(struct vmm *v, unsigned slot)
{
    struct err err = ERR_INIT;

    if (!slot || v->ejecting != slot || root_port_keep(board_port(v->board, slot - 1)->dev) < 0)
        return; /* it has been answered, or is about to */
    v->ejecting = 0;
    answer(err_set(&err, -ETIMEDOUT, "the guest does not let go of it"), &err);
}

static void on_events(void *ctx, uint32_t events)
{
    struct vmm *v = ctx;
    uint64_t count;

    (void)events;
    (void)!read(v->event_fd, &count, sizeof count);
    if (v->paused)
        return;
    unsigned wanted = atomic_exchange(&v->wanted, 0);
    reset_cards(v);
    report_cards(v);
    if (wanted & 1u << MACHINE_CRASHED)
        finish(v, v->crash_kind, v->crash.text);
    else if (wanted & 1u << MACHINE_POWER_OFF)
        finish_by_guest(v);
    else if (wanted & 1u << MACHINE_RESET)
        begin_reset(v);
    pause_if_wanted(v);
}

static void on_link(void *ctx, uint32_t events)
{
    struct vmm *v = ctx;
    struct link_message m;

    (void)events;
    int rc = link_receive(VM_FD_LINK, &m, NULL, 0, NULL);
    if (rc < 0) {
        loop_stop(v->env.loop, 0); /* vmx is gone; the parent knows why better than we do */
        return;
    }
    if (m.kind == LINK_READY && v->paused) {
        answer(0, NULL); /* restored */
        return;
    }
    if (m.kind == LINK_READY || m.kind == LINK_RESET_DONE)
        start_vcpus(v, &m.entry);
    else if (m.kind == LINK_REQUEST && m.value <= MACHINE_CRASHED)
        request(v, (enum machine_request)m.value);
    if (m.kind != LINK_READY)
        return;
    if (v->engine_notice.code)
        log_info("%s", v->engine_notice.text);
    child_started(&v->env);
}

static void move_card(struct vmm *v, unsigned slot)
{
    struct board_device *port = board_port(v->board, slot - 1);
    int rc = port ? root_port_insert(port->dev) : -ENODEV;

    if (rc == -EBUSY)
        rc = root_port_eject(port->dev);
    if (rc == -EBUSY)
        log_info("slot %u: the guest has not let go of its card yet", slot);
    else if (rc < 0)
        log_info("slot %u: there is no card", slot);
}

static void on_control(void *ctx, uint32_t events)
{
    struct vmm *v = ctx;
    struct link_message m;
    cleanup_fd int fd = -1;
    unsigned count = 0;

    (void)events;
    if (link_receive(VM_FD_CONTROL, &m, &fd, 1, &count) < 0)
        loop_stop(v->env.loop, 0); /* the parent wants an end, or has ended */
    else if (m.kind == LINK_POWER_BUTTON)
        acpi_pm_power_button(ich9_lpc_pm(board_find(v->board, &ich9_lpc_class)->dev));
    else if (m.kind == LINK_RESET)
        request(v, MACHINE_RESET);
    else if (m.kind == LINK_MOVE_CARD)
        move_card(v, m.value);
    else if (m.kind == LINK_CARD_INSERT)
        insert_card(v, m.value / 2, m.value % 2);
    else if (m.kind == LINK_CARD_EJECT)
        eject_card(v, m.value);
    else if (m.kind == LINK_CARD_KEEP)
        keep_card(v, m.value);
    else if (m.kind == LINK_HOLD)
        hold_machine(v);
    else if (m.kind == LINK_RETRY && v->held)
        go_on(v);
    else if (m.kind == LINK_RETRY)
        v->hold_wanted = false;
    else if (m.kind == LINK_PAUSE)
        pause_machine(v);
    else if (m.kind == LINK_SAVE)
        save_machine(v, fd);
    else if (m.kind == LINK_RESUME)
        resume_machine(v);
}

/* --- building --- */

static void confine_irq(void)
{
    sandbox_enter(SANDBOX_VMM_IRQ);
}

static int open_engine(struct vmm *v, struct err *err)
{
    struct err why = ERR_INIT;

    v->engine = engine_choose(vmcfg_engine_word(v->env.cfg.engine), &why);
    if (!v->engine) {
        if (err)
            *err = why;
        return why.code ? why.code : -ENODEV;
    }
    v->engine_notice = why;
    cleanup_free struct cpuid_table *shown = v->env.cfg.state ? calloc(1, sizeof *shown) : NULL;
    struct cpu_model model = model_of(&v->env.cfg);
    model.shown = shown;
    int rc = shown ? load_saved(v, shown, err) : 0;
    if (rc < 0)
        return rc;
    struct engine_vm_config config = {.gmem = v->env.gmem,
                                      .bus = v->bus,
                                      .model = &model,
                                      .cpus = v->env.cfg.cpus,
                                      .confine = confine_irq};
    rc = v->engine->vm_create(&config, &v->vm, err);
    if (rc < 0)
        return rc;
    v->power_on = calloc(1, sizeof *v->power_on);
    rc = v->power_on ? v->engine->irqchip_get(v->vm, v->power_on) : -ENOMEM;
    return rc < 0 ? err_sys(err, rc, "interrupt controllers") : 0;
}

static int attach_rings(struct vmm *v)
{
    int rc = link_ring_writer(v->env.shared, LINK_UART_TX, &v->uart_tx);

    if (rc == 0)
        rc = link_ring_reader(v->env.shared, LINK_UART_RX, &v->uart_rx);
    return rc;
}

/* What there is with a display. */
static int attach_console(struct vmm *v, struct board_parts *parts, struct err *err)
{
    static const int video_fd = VM_FD_VIDEO, keys[] = {VM_FD_KEYS, VM_FD_KEYS + 1};

    if (!vmcfg_has_display(&v->env.cfg))
        return 0;
    int rc = console_page_map(VM_FD_CONSOLE_PAGE, &v->console, err);
    if (rc == 0)
        rc = console_page_reader(v->console, CONSOLE_KEYS, keys, &v->input);
    if (rc < 0)
        return rc;
    parts->input = &v->input;
    parts->leds = &v->console->leds;
    parts->video_fd = &video_fd;
    return 0;
}

/* From vCPU threads too. */
static int flash_readable(void *ctx, uint64_t base, uint64_t size, void *host, bool on)
{
    struct vmm *v = ctx;
    struct engine_memory memory = {.base = base, .size = size, .host = host, .readonly = true};

    return on ? v->engine->map(v->vm, &memory, NULL) : v->engine->unmap(v->vm, base);
}

static bool flash_may_write(void *ctx)
{
    struct vmm *v = ctx;

    return !v->engine->in_smm || v->engine->in_smm(v->vm, vcpus_self());
}

static void hpet_legacy(void *ctx, bool on)
{
    struct vmm *v = ctx;

    (void)v->engine->pit_disable(v->vm, on);
}

static void send_msi(void *ctx, uint64_t address, uint32_t data)
{
    struct vmm *v = ctx;

    (void)v->engine->msi_send(v->vm, address, data);
}

static void lead_pirq(void *ctx, unsigned pirq, int irq)
{
    struct vmm *v = ctx;

    (void)v->engine->pirq(v->vm, ENGINE_PIRQ_FIRST + pirq, irq);
}

/* System management memory is the top of low RAM, hidden from everybody else. */
static void set_tseg(void *ctx, uint64_t size)
{
    struct vmm *v = ctx;
    const struct gmem_range *low = &v->env.gmem->range[0];

    if (v->tseg)
        (void)v->engine->unmap(v->vm, low->base.v + low->size - v->tseg);
    v->tseg = MIN(size, low->size);
    struct engine_memory memory = {.base = low->base.v + low->size - v->tseg,
                                   .size = v->tseg,
                                   .host = low->host + low->size - v->tseg,
                                   .smm_only = true};
    if (v->tseg && v->engine->map(v->vm, &memory, NULL) < 0)
        v->tseg = 0;
}

/* To all processors, as a real chipset does it, only once the firmware has asked for that: OVMF
 * does not wait for the others before it has, and one that is still in there when it is sent INIT
 * and SIPI misses the SIPI. */
static void raise_smi(void *ctx)
{
    struct vmm *v = ctx;
    bool all = atomic_load(&v->env.shared->smi_features) & FW_SMI_BROADCAST;

    if (all || !v->engine->vcpu_smi)
        (void)v->engine->smi(v->vm);
    else
        (void)v->engine->vcpu_smi(v->vm, vcpus_self());
}

/* From vCPU threads: all that is not configuration space is vmx's. */
static void note_card(struct vmm *v, _Atomic(unsigned) *cards, unsigned port)
{
    const uint64_t one = 1;

    atomic_fetch_or(cards, 1u << port);
    (void)!write(v->event_fd, &one, sizeof one);
}

static void card_reset(void *ctx, unsigned port)
{
    struct vmm *v = ctx;

    note_card(v, &v->cards_reset, port);
}

static void card_out(void *ctx, unsigned port)
{
    struct vmm *v = ctx;

    note_card(v, &v->cards_out, port);
}

static void debug_exit(void *ctx, uint8_t status)
{
    struct vmm *v = ctx;
    int none = -1;

    (void)atomic_compare_exchange_strong(&v->exit_status, &none, status);
    request(v, MACHINE_POWER_OFF);
}

static const struct board_hooks hooks = {
    .flash_readable = flash_readable,
    .flash_may_write = flash_may_write,
    .hpet_legacy = hpet_legacy,
    .msi = send_msi,
    .pirq = lead_pirq,
    .tseg = set_tseg,
    .smi = raise_smi,
    .card_reset = card_reset,
    .card_out = card_out,
    .debug_exit = debug_exit,
};

/* Firmware code ends at 4 GiB. */
static int map_firmware(struct vmm *v, struct err *err)
{
    struct rom rom;
    int rc;

    if (v->env.cfg.firmware == VMCFG_FIRMWARE_NONE)
        return 0;
    rc = v->env.cfg.firmware == VMCFG_FIRMWARE_UEFI ? efi_code_map(VM_FD_FIRMWARE, &rom, err)
                                                    : bios_map(VM_FD_FIRMWARE, &rom, err);
    if (rc < 0)
        return rc;
    struct engine_memory memory = {
        .base = GMEM_HIGH - rom.size, .size = rom.size, .host = rom.data, .readonly = true};
    return v->engine->map(v->vm, &memory, err);
}

/* VGA's window of old lies where RAM would be. */
static int open_vga_window(struct vmm *v, struct err *err)
{
    static const struct engine_memory hole = {.base = 0xa0000, .size = 0x20000};

    return board_find(v->board, &vga_class) ? v->engine->map(v->vm, &hole, err) : 0;
}

static int build_board(struct vmm *v, struct err *err)
{
    int rc = pci_host_create(v->bus, request, v, &v->pci_host, err);
    if (rc < 0)
        return rc;
    struct board_parts parts = {.pci_host = v->pci_host,
                                .shared = v->env.shared,
                                .uart_tx = &v->uart_tx,
                                .uart_rx = &v->uart_rx,
                                .hooks = &hooks,
                                .hooks_ctx = v};
    struct board_env env = {.gmem = v->env.gmem,
                            .loop = v->env.loop,
                            .shared = v->env.shared,
                            .bus = v->bus,
                            .irq = isa_irq,
                            .irq_ctx = v,
                            .request = request,
                            .request_ctx = v};
    struct pci_wiring wiring = {.engine = v->engine,
                                .vm = v->vm,
                                .bus = v->bus,
                                .phys_bits = host_guest_phys_bits(v->env.cfg.memory)};

    rc = attach_rings(v);
    if (rc == 0)
        rc = attach_console(v, &parts, err);
    if (rc == 0)
        rc = map_firmware(v, err);
    if (rc == 0)
        rc = board_build(&v->env.cfg, &parts, &v->board, err);
    for (unsigned i = 0; rc == 0 && i < v->board->count; i++)
        rc = board_make_fds(v->board->device[i], err);
    if (rc == 0)
        rc = board_create_devices(v->board, DEV_IN_VMM, &env, err);
    if (rc == 0)
        rc = open_vga_window(v, err);
    if (rc == 0)
        rc = board_wire(v->board, &wiring, v->pci_host, v->env.shared, err);
    return rc;
}

static int send_board(struct vmm *v, struct err *err)
{
    int fds[LINK_FDS_MAX], rc = 0;

    for (unsigned i = 0; i < v->board->count && rc == 0; i++) {
        struct board_device *d = v->board->device[i];
        struct link_message m = {.kind = LINK_DEVICE_FDS, .value = i};
        unsigned n = d->class->place == DEV_IN_VMX ? board_list_fds(d, fds) : 0;
        if (n)
            rc = link_send(VM_FD_LINK, &m, fds, n);
    }
    struct link_message done = {.kind = LINK_BUILD};
    if (rc == 0)
        rc = link_send(VM_FD_LINK, &done, NULL, 0);
    return rc < 0 ? err_sys(err, rc, "vmx does not answer") : 0;
}

static void confine_vcpu(void)
{
    sandbox_enter(SANDBOX_VMM_VCPU);
}

static int build(struct vmm *v, struct err *err)
{
    struct loop *loop = v->env.loop;

    int rc = bus_create(&v->bus);
    if (rc < 0)
        return err_sys(err, rc, "the bus");
    rc = open_engine(v, err);
    if (rc < 0) {
        child_report(&v->env, VM_END_NO_ENGINE, err->text);
        return rc;
    }
    atomic_init(&v->exit_status, -1);
    v->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = build_board(v, err);
    struct vcpus_config vcpus = {.engine = v->engine,
                                 .vm = v->vm,
                                 .count = v->env.cfg.cpus,
                                 .confine = confine_vcpu,
                                 .ended = vcpu_ended,
                                 .ctx = v};
    if (rc == 0)
        rc = vcpus_create(&vcpus, &v->vcpus, err);
    if (rc == 0 && v->env.cfg.state)
        rc = restore_machine(v, err);
    if (rc == 0)
        rc = send_board(v, err);
    if (rc == 0)
        rc = loop_add_fd(loop, &v->control, VM_FD_CONTROL, EPOLLIN, on_control, v);
    if (rc == 0)
        rc = loop_add_fd(loop, &v->link, VM_FD_LINK, EPOLLIN, on_link, v);
    if (rc == 0)
        rc = loop_add_fd(loop, &v->events, v->event_fd, EPOLLIN, on_events, v);
    return rc;
}

int main(void)
{
    struct err err = ERR_INIT;
    struct vmm v = {0};

    int rc = child_init(&v.env, "vmm", &err);
    if (rc == 0)
        rc = build(&v, &err);
    if (rc < 0) {
        child_report(&v.env, VM_END_DIED, err.text);
        return EXIT_FAILURE;
    }
    sandbox_enter(SANDBOX_VMM_MAIN);
    (void)loop_run(v.env.loop);
    /* The kernel takes everything back; a process that ends has no use for order. */
    _exit(EXIT_SUCCESS);
}
