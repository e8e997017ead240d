/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a VM's screen, and what is typed for it. The VM's process is asked on a worker. */
#include "hostd/vm/vm_screen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/parse_num.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/session/http_login.h"
#include "hostd/task/worker.h"
#include "vm/process/console.h"

#define SCREENSHOT "VirtualMachine.Interact.CreateScreenshot"

enum { NAMES_MAX = 9999, KEYS_MAX = 1000, HID_PAGE_KEYBOARD = 7, KEYBOARD_USAGES = 0xe8 };

/* --- taking a picture --- */

struct shot {
    struct http_exchange *x;    /* GET /screen; NULL: the client has gone, or it is a task's */
    struct virtual_machine *vm; /* CreateScreenshot_Task's: stays, an operation is under way */
    int console, dir_fd;        /* of the datastore, or -1 */
    char rel[DSPATH_MAX];       /* in: without number and ending; out: the file */
    uint32_t width, height;
    struct buf png;
    int rc;
};

static void shot_free(struct shot *shot)
{
    (void)close_fd(shot->console);
    (void)close_fd(shot->dir_fd);
    buf_free(&shot->png);
    free(shot);
}

/* What writes it is the VM's process, so it gets a file that cannot grow. */
static int take(struct shot *shot)
{
    struct console_message m = {.kind = CONSOLE_SCREENSHOT};
    cleanup_fd int fd = memfd_create("screenshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint32_t len = 0;

    m.width = shot->width;
    m.height = shot->height;
    if (fd < 0 || ftruncate(fd, CONSOLE_PNG_MAX) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return -errno;
    int rc = console_ask(shot->console, &m, fd, &len);
    if (rc < 0)
        return rc;
    if (!len || len > CONSOLE_PNG_MAX)
        return -EIO;
    uint8_t *data = buf_grow(&shot->png, len);
    if (!data)
        return -ENOMEM;
    return pread(fd, data, len, 0) == (ssize_t)len ? 0 : -EIO;
}

/* As ESXi names them: NAME-1.png, the first that is free. */
static int store(struct shot *shot)
{
    char name[DSPATH_MAX + 32];
    int fd = -EEXIST;

    for (unsigned n = 1; n <= NAMES_MAX && fd == -EEXIST; n++) {
        (void)snprintf(name, sizeof name, "%s-%u.png", shot->rel, n);
        fd = strlen(name) < DSPATH_MAX
                 ? dspath_open(shot->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644)
                 : -ENAMETOOLONG;
    }
    if (fd < 0)
        return fd;
    int rc = file_write_all(fd, shot->png.data, shot->png.len);
    (void)close(fd);
    if (rc < 0)
        (void)dspath_remove(shot->dir_fd, name);
    (void)snprintf(shot->rel, sizeof shot->rel, "%.*s", DSPATH_MAX - 1, name);
    return rc;
}

static void shot_work(void *arg)
{
    struct shot *shot = arg;

    shot->rc = take(shot);
    if (shot->rc == 0 && shot->dir_fd >= 0)
        shot->rc = store(shot);
}

static struct shot *shot_new(struct virtual_machine *vm)
{
    struct shot *shot = calloc(1, sizeof *shot);

    if (!shot)
        return NULL;
    shot->dir_fd = -1;
    if (keeper_console(vm->keeper.fd, &shot->console) == 0)
        return shot;
    free(shot);
    return NULL;
}

/* --- CreateScreenshot_Task --- */

static void task_done(void *arg)
{
    struct shot *shot = arg;
    struct virtual_machine *vm = shot->vm;
    struct task *task = vm->task;
    char text[DSPATH_MAX + DSPATH_NAME_MAX + 8];

    dspath_format(vm->datastore->e.name, shot->rel, text, sizeof text);
    vm_end(vm);
    if (shot->rc < 0)
        task_fail_errno(task, shot->rc, NULL, text);
    else
        task_succeed(task, vim_any_string(text));
    shot_free(shot);
}

void vm_create_screenshot(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    struct task *task;

    if (!vm_begin(call, vm, &task) ||
        !vm_require_power(task, vm, VIM_VirtualMachinePowerState_poweredOn))
        return;
    struct shot *shot = shot_new(vm);
    if (shot) {
        size_t stem = strlen(vm->rel) > 4 ? strlen(vm->rel) - 4 : strlen(vm->rel);
        (void)snprintf(shot->rel, sizeof shot->rel, "%.*s", (int)stem, vm->rel);
        shot->vm = vm;
        shot->dir_fd = fcntl(vm->datastore->fd, F_DUPFD_CLOEXEC, 3);
        if (shot->dir_fd >= 0 && worker_post(vm->e.hostd->worker, shot_work, task_done, shot) == 0)
            return;
        shot_free(shot);
    }
    vm_end(vm);
    task_fail_errno(task, -EIO, NULL, vm->rel);
}

/* --- GET /screen --- */

static void screen_done(void *arg)
{
    struct shot *shot = arg;

    if (shot->x) {
        shot->x->gone = NULL;
        if (shot->rc < 0)
            http_answer_text(shot->x, 503, "the VM's screen does not answer");
        else
            http_answer(shot->x, 200, "image/png", "Cache-Control: no-store\r\n", &shot->png);
    }
    shot_free(shot);
}

static void screen_gone(struct http_exchange *x)
{
    ((struct shot *)x->user)->x = NULL;
}

static uint32_t limit_of(const struct http_exchange *x, const char *name)
{
    char text[16];
    unsigned value;

    return http_query(x->head.query, name, text, sizeof text) &&
                   parse_unsigned(text, 1, 16384, &value) == 0
               ? value
               : 0;
}

static void send_screen(struct hostd *hostd, struct http_exchange *x, const char *user)
{
    char id[ENTITY_ID_MAX];
    bool given = http_query(x->head.query, "id", id, sizeof id);
    struct virtual_machine *vm = given ? vm_by_id(hostd, id) : NULL;

    if (!vm || !entity_allows(hostd, user, &vm->e, "System.View")) {
        http_answer_text(x, given ? 404 : 400, given ? "there is no such VM" : "id is missing");
        return;
    }
    if (!entity_allows(hostd, user, &vm->e, SCREENSHOT)) {
        http_answer_text(x, 403, "Permission to perform this operation was denied.");
        return;
    }
    struct shot *shot = vm->power == VM_ON ? shot_new(vm) : NULL;
    if (!shot) {
        http_answer_text(x, 409, "the VM does not run");
        return;
    }
    shot->x = x;
    shot->width = limit_of(x, "w");
    shot->height = limit_of(x, "h");
    x->user = shot;
    x->gone = screen_gone;
    if (worker_post(hostd->worker, shot_work, screen_done, shot) == 0)
        return;
    x->gone = NULL;
    shot_free(shot);
    http_answer_text(x, 503, "out of memory");
}

void vm_screen_serve(struct hostd *hostd, struct http_exchange *x)
{
    if (x->head.method == HTTP_GET || x->head.method == HTTP_HEAD)
        http_login(hostd, x, send_screen);
    else
        http_answer_text(x, 405, "only GET");
}

/* --- PutUsbScanCodes --- */

struct typing {
    struct call *call; /* NULL: the client has gone */
    int console;
    unsigned count, typed;
    struct console_key key[];
};

static uint8_t modifiers_of(const struct vim_UsbScanCodeSpecModifierType *m)
{
    if (!m)
        return 0;
    const bool down[] = {m->leftControl.v,  m->leftShift.v,  m->leftAlt.v,  m->leftGui.v,
                         m->rightControl.v, m->rightShift.v, m->rightAlt.v, m->rightGui.v};
    uint8_t bits = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(down); i++)
        bits |= (uint8_t)(down[i] << i);
    return bits;
}

static void type_work(void *arg)
{
    struct typing *t = arg;

    while (t->typed < t->count) {
        struct console_message m = {.kind = CONSOLE_TYPE};
        uint32_t taken = 0;
        m.value = MIN(t->count - t->typed, (unsigned)CONSOLE_KEYS_MAX);
        memcpy(m.keys, t->key + t->typed, m.value * sizeof *t->key);
        if (console_ask(t->console, &m, -1, &taken) < 0)
            return;
        t->typed += MIN(taken, m.value);
        if (taken < m.value)
            return;
    }
}

static void type_done(void *arg)
{
    struct typing *t = arg;

    if (t->call) {
        call_return(t->call, vim_any_int((int32_t)t->typed));
        call_finish(t->call);
    }
    (void)close_fd(t->console);
    free(t);
}

static void type_cancel(struct call *call)
{
    ((struct typing *)call->waiting)->call = NULL;
}

/* The code has the usage page in its low half: usage << 16 | 7. */
static bool keys_of(const struct vim_UsbScanCodeSpec *spec, struct typing *t)
{
    for (size_t i = 0; i < spec->keyEvents.count; i++) {
        const struct vim_UsbScanCodeSpecKeyEvent *event = spec->keyEvents.items[i];
        uint32_t code = (uint32_t)event->usbHidCode;
        if ((code & 0xffff) != HID_PAGE_KEYBOARD || code >> 16 >= KEYBOARD_USAGES)
            return false;
        t->key[t->count++] =
            (struct console_key){(uint8_t)(code >> 16), modifiers_of(event->modifiers)};
    }
    return true;
}

void vm_put_usb_scan_codes(struct mo *mo, struct call *call)
{
    const struct vim_PutUsbScanCodes_args *args = call->args;
    struct virtual_machine *vm = vm_of(mo);
    size_t count = args->spec->keyEvents.count;
    struct typing *t = count <= KEYS_MAX ? calloc(1, sizeof *t + count * sizeof *t->key) : NULL;

    if (!t || !keys_of(args->spec, t)) {
        free(t);
        call_fault_argument(call, "spec");
        return;
    }
    if (vm->power != VM_ON || keeper_console(vm->keeper.fd, &t->console) < 0) {
        struct vim_InvalidPowerState *fault = VIM_NEW(call->arena, InvalidPowerState);
        fault->existingState = (enum vim_VirtualMachinePowerState)vm_power_state(vm);
        fault->requestedState = VIM_VirtualMachinePowerState_poweredOn;
        free(t);
        call_fault(call, &fault->self);
        return;
    }
    t->call = call;
    if (worker_post(vm->e.hostd->worker, type_work, type_done, t) == 0) {
        call_later(call, type_cancel, t);
        return;
    }
    (void)close_fd(t->console);
    free(t);
    CALL_FAULT(call, SystemError);
}
