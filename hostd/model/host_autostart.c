/* SPDX-License-Identifier: Apache-2.0 */
/* HostAutoStartManager: which VMs start with the host, in which order, and how they end with it.
 * Kept in AUTOSTART_FILE. VMs that run when hostd starts are left as they are: hostd's end is not
 * the host's. */
#include "hostd/model/host_autostart.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/virtual_machine.h"

#define AUTOSTART_FILE "config/autostart.json"
enum { FILE_MAX = 4 << 20, DELAY_DEFAULT_S = 120, DELAY_MAX_S = 3600 };

struct autostart {
    struct hostd *hostd;
    bool enabled;
    int start_delay, stop_delay; /* s */
    char stop_action[24];
    struct autostart_vm {
        char id[16];
        int order, start_delay, stop_delay; /* delays -1: the default */
        char start_action[24], stop_action[24];
    } * vms; /* owned; in the order of `order` */
    unsigned count;
    unsigned next; /* the one that is started next, while they are */
    struct loop_source timer;
    unsigned to_stop;    /* of the first so many the last is stopped next, while they are */
    uint64_t stop_until; /* ns; when the one that was asked to shut down is cut off */
    struct loop_source stop_timer;
};

/* --- the file --- */

static void copy(char *to, size_t size, const char *from, const char *fallback)
{
    (void)snprintf(to, size, "%s", from && strlen(from) < size ? from : fallback);
}

static int by_order(const void *a, const void *b)
{
    const struct autostart_vm *x = a, *y = b;
    unsigned p = x->order < 1 ? UINT32_MAX : (unsigned)x->order;
    unsigned q = y->order < 1 ? UINT32_MAX : (unsigned)y->order; /* -1: after the others */

    return p < q ? -1 : p > q;
}

static struct autostart_vm *find(struct autostart *a, const char *id)
{
    for (unsigned i = 0; i < a->count; i++)
        if (!strcmp(a->vms[i].id, id))
            return &a->vms[i];
    return NULL;
}

static struct autostart_vm *add(struct autostart *a, const char *id)
{
    struct autostart_vm *vms = realloc(a->vms, (a->count + 1) * sizeof *vms);

    if (!vms)
        return NULL;
    a->vms = vms;
    struct autostart_vm *vm = &vms[a->count++];
    *vm = (struct autostart_vm){.order = -1, .start_delay = -1, .stop_delay = -1};
    copy(vm->id, sizeof vm->id, id, "");
    copy(vm->start_action, sizeof vm->start_action, NULL, "none");
    copy(vm->stop_action, sizeof vm->stop_action, NULL, "systemDefault");
    return vm;
}

static int save(struct autostart *a, struct err *err)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < a->count; i++) {
        const struct autostart_vm *vm = &a->vms[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:i, s:i, s:i, s:s, s:s}", "id", vm->id, "order", vm->order,
                            "startDelay", vm->start_delay, "stopDelay", vm->stop_delay,
                            "startAction", vm->start_action, "stopAction", vm->stop_action));
    }
    json_t *root =
        json_pack("{s:b, s:i, s:i, s:s, s:o}", "enabled", a->enabled, "startDelay", a->start_delay,
                  "stopDelay", a->stop_delay, "stopAction", a->stop_action, "vms", list);
    cleanup_free char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return text ? file_replace(a->hostd->root_fd, AUTOSTART_FILE, 0600, text, strlen(text), err)
                : err_sys(err, -ENOMEM, "autostart");
}

static void read_vm(struct autostart *a, json_t *item)
{
    const char *id, *start, *stop;
    int order, start_delay, stop_delay;

    if (json_unpack(item, "{s:s, s:i, s:i, s:i, s:s, s:s}", "id", &id, "order", &order,
                    "startDelay", &start_delay, "stopDelay", &stop_delay, "startAction", &start,
                    "stopAction", &stop) < 0)
        return;
    struct autostart_vm *vm = add(a, id);
    if (!vm)
        return;
    vm->order = order;
    vm->start_delay = start_delay;
    vm->stop_delay = stop_delay;
    copy(vm->start_action, sizeof vm->start_action, start, "none");
    copy(vm->stop_action, sizeof vm->stop_action, stop, "systemDefault");
}

static int load(struct autostart *a, struct err *err)
{
    cleanup_buf struct buf text = {0};
    const char *stop = NULL;
    int enabled = 0;
    json_t *item;
    size_t i;
    int rc = file_load(a->hostd->root_fd, AUTOSTART_FILE, FILE_MAX, &text, err);

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    json_t *root = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (json_unpack(root, "{s:b, s:i, s:i, s:s}", "enabled", &enabled, "startDelay",
                    &a->start_delay, "stopDelay", &a->stop_delay, "stopAction", &stop) < 0)
        rc = err_set(err, -EBADMSG, "\"%s\" is damaged", AUTOSTART_FILE);
    a->enabled = enabled;
    copy(a->stop_action, sizeof a->stop_action, stop, "powerOff");
    json_array_foreach(json_object_get(root, "vms"), i, item) read_vm(a, item);
    json_decref(root);
    return rc;
}

/* --- starting --- */

static void start_next(struct autostart *a)
{
    while (a->next < a->count) {
        const struct autostart_vm *vm = &a->vms[a->next++];
        struct mo *mo = mo_find(a->hostd->api.registry, vm->id);
        bool wanted = vm->order > 0 && !strcasecmp(vm->start_action, "powerOn");
        if (!wanted || !mo || mo->class != &virtual_machine_class || vm_of(mo)->power != VM_OFF)
            continue;
        vm_power_on_by_host(vm_of(mo));
        int delay = vm->start_delay < 0 ? a->start_delay : vm->start_delay;
        (void)loop_timer_arm(&a->timer, clock_now() + (uint64_t)MAX(delay, 1) * 1000000000);
        return;
    }
}

static void on_timer(void *ctx, uint32_t events)
{
    (void)events;
    start_next(ctx);
}

static void start_all(struct autostart *a)
{
    if (a->count)
        qsort(a->vms, a->count, sizeof *a->vms, by_order);
    a->next = a->to_stop = 0;
    start_next(a);
}

/* --- stopping: in the other order, one after another --- */

enum { STOP_LOOK_MS = 250 };

/* Until it is off. */
static struct virtual_machine *running_vm(struct autostart *a, const struct autostart_vm *vm)
{
    struct mo *mo = mo_find(a->hostd->api.registry, vm->id);
    bool is_vm = mo && mo->class == &virtual_machine_class;

    return is_vm && (vm_of(mo)->power == VM_ON || vm_of(mo)->power == VM_STOPPING) ? vm_of(mo)
                                                                                   : NULL;
}

/* True: it is on its way, wait for it. VMs that are to be suspended are left alone: nobody asked
 * for that with a task of his own. */
static bool begin_stop(struct autostart *a, const struct autostart_vm *vm)
{
    const char *action =
        strcasecmp(vm->stop_action, "systemDefault") ? vm->stop_action : a->stop_action;
    struct virtual_machine *running = running_vm(a, vm);
    int delay = vm->stop_delay < 0 ? a->stop_delay : vm->stop_delay;
    bool off = !strcasecmp(action, "powerOff"), guest = !strcasecmp(action, "guestShutdown");

    if (!running || (!off && !guest))
        return false;
    a->stop_until = clock_now() + (uint64_t)MAX(delay, 1) * 1000000000;
    if (off && running->task)
        return true; /* that ends first */
    if (off)
        vm_stop_by_host(running);
    else
        vm_press_power(running);
    return true;
}

static void stop_next(struct autostart *a)
{
    while (a->to_stop) {
        const struct autostart_vm *vm = &a->vms[a->to_stop - 1];
        struct virtual_machine *running = running_vm(a, vm);
        bool begun = a->stop_until != 0;
        if (begun && running && !running->task && clock_now() >= a->stop_until)
            vm_stop_by_host(running);
        if (begun ? running != NULL : begin_stop(a, vm)) {
            (void)loop_timer_arm(&a->stop_timer, clock_now() + STOP_LOOK_MS * UINT64_C(1000000));
            return;
        }
        a->stop_until = 0;
        a->to_stop--;
    }
}

static void on_stop_timer(void *ctx, uint32_t events)
{
    (void)events;
    stop_next(ctx);
}

static void stop_all(struct autostart *a)
{
    if (a->to_stop)
        return; /* they are being stopped */
    if (a->count)
        qsort(a->vms, a->count, sizeof *a->vms, by_order);
    (void)loop_timer_arm(&a->timer, 0); /* nobody starts what is being stopped */
    a->next = a->to_stop = a->count;
    a->stop_until = 0;
    stop_next(a);
}

int autostart_create(struct hostd *hostd, struct autostart **ret_autostart, struct err *err)
{
    struct autostart *a = calloc(1, sizeof *a);
    int rc = a ? loop_add_timer(hostd->loop, &a->timer, on_timer, a) : -ENOMEM;

    if (rc == 0)
        rc = loop_add_timer(hostd->loop, &a->stop_timer, on_stop_timer, a);
    if (rc < 0) {
        autostart_destroy(a);
        return err_sys(err, rc, "autostart");
    }
    a->hostd = hostd;
    a->start_delay = a->stop_delay = DELAY_DEFAULT_S;
    copy(a->stop_action, sizeof a->stop_action, NULL, "powerOff");
    rc = load(a, err);
    if (rc < 0) {
        autostart_destroy(a);
        return rc;
    }
    *ret_autostart = a;
    if (a->enabled)
        start_all(a);
    return 0;
}

void autostart_destroy(struct autostart *a)
{
    if (!a)
        return;
    loop_del(&a->timer);
    loop_del(&a->stop_timer);
    free(a->vms);
    free(a);
}

/* --- the managed object --- */

static struct vim_any get_config(struct mo *mo, struct call *call)
{
    struct autostart *a = hostd_of(call)->autostart;
    struct vim_HostAutoStartManagerConfig *c = VIM_NEW(call->arena, HostAutoStartManagerConfig);

    (void)mo;
    c->defaults = VIM_NEW(call->arena, AutoStartDefaults);
    c->defaults->enabled = vim_bool(a->enabled);
    c->defaults->startDelay = vim_int(a->start_delay);
    c->defaults->stopDelay = vim_int(a->stop_delay);
    c->defaults->waitForHeartbeat = vim_bool(false);
    c->defaults->stopAction = a->stop_action;
    for (unsigned i = 0; i < a->count; i++) {
        const struct autostart_vm *vm = &a->vms[i];
        if (!mo_find(call->api->registry, vm->id))
            continue;
        struct vim_AutoStartPowerInfo *p = VIM_NEW(call->arena, AutoStartPowerInfo);
        p->key = VIM_REF(VirtualMachine, arena_strdup(call->arena, vm->id));
        p->startOrder = vm->order;
        p->startDelay = vm->start_delay;
        p->stopDelay = vm->stop_delay;
        p->waitForHeartbeat = VIM_AutoStartWaitHeartbeatSetting_systemDefault;
        p->startAction = arena_strdup(call->arena, vm->start_action);
        p->stopAction = arena_strdup(call->arena, vm->stop_action);
        VIM_ADD(call->arena, &c->powerInfo, p);
    }
    if (!c->powerInfo.items)
        VIM_EMPTY(&c->powerInfo);
    return vim_any_data(c);
}

static bool check(struct call *call, const struct vim_HostAutoStartManagerConfig *spec)
{
    for (size_t i = 0; i < spec->powerInfo.count; i++) {
        const struct vim_AutoStartPowerInfo *p = spec->powerInfo.items[i];
        struct mo *vm = call_resolve(call, p->key);
        if (!vm)
            return false;
        if (vm->class != &virtual_machine_class || p->startDelay > DELAY_MAX_S ||
            p->stopDelay > DELAY_MAX_S) {
            call_fault_argument(call, "spec.powerInfo");
            return false;
        }
    }
    return true;
}

static void set_defaults(struct autostart *a, const struct vim_AutoStartDefaults *d)
{
    if (!d)
        return;
    if (d->enabled.set)
        a->enabled = d->enabled.v;
    if (d->startDelay.set)
        a->start_delay = MIN(MAX(d->startDelay.v, 0), DELAY_MAX_S);
    if (d->stopDelay.set)
        a->stop_delay = MIN(MAX(d->stopDelay.v, 0), DELAY_MAX_S);
    if (d->stopAction)
        copy(a->stop_action, sizeof a->stop_action, d->stopAction, "powerOff");
}

static void reconfigure(struct mo *mo, struct call *call)
{
    const struct vim_ReconfigureAutostart_args *args = call->args;
    struct autostart *a = hostd_of(call)->autostart;
    struct err err = ERR_INIT;

    if (!check(call, args->spec))
        return;
    set_defaults(a, args->spec->defaults);
    for (size_t i = 0; i < args->spec->powerInfo.count; i++) {
        const struct vim_AutoStartPowerInfo *p = args->spec->powerInfo.items[i];
        struct autostart_vm *vm = find(a, p->key.id);
        if (!vm && !(vm = add(a, p->key.id)))
            break;
        vm->order = p->startOrder;
        vm->start_delay = p->startDelay;
        vm->stop_delay = p->stopDelay;
        copy(vm->start_action, sizeof vm->start_action, p->startAction, "none");
        copy(vm->stop_action, sizeof vm->stop_action, p->stopAction, "systemDefault");
    }
    if (save(a, &err) < 0)
        CALL_FAULT_TEXT(call, SystemError, "%s", err.text);
    mo_changed(mo, VIM_P_HostAutoStartManager_config);
}

static void power_on_all(struct mo *mo, struct call *call)
{
    (void)mo;
    start_all(hostd_of(call)->autostart);
}

static void power_off_all(struct mo *mo, struct call *call)
{
    (void)mo;
    stop_all(hostd_of(call)->autostart);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostAutoStartManager, config, get_config),
};
static const struct mo_method methods[] = {
    MO_METHOD(ReconfigureAutostart, reconfigure),
    MO_METHOD(AutoStartPowerOn, power_on_all),
    MO_METHOD(AutoStartPowerOff, power_off_all),
};
const struct mo_class host_autostart_manager_class = {
    .type = VIM_MANAGED(HostAutoStartManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
