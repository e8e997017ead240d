/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_identity.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/task/worker.h"
#include "hostd/vm/vm_edit.h"
#include "hostd/vm/vm_plan.h"
#include "hostd/vm/vm_question.h"
#include "hostd/vm/vm_suspend.h"

/* Ours begin with "SO", ESXi's with "VM". */
static const char ours[] = "53 4f ";

static int location_of(const struct datastore *datastore, const char *rel,
                       char text[VMCFG_UUID_TEXT])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    char place[2 * DSPATH_MAX + 300];

    (void)snprintf(place, sizeof place, "%s/%s", datastore->e.id, rel);
    if (EVP_Digest(place, strlen(place), hash, NULL, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    hash[0] = 'S';
    hash[1] = 'O';
    vmcfg_uuid_format(hash, text);
    return 0;
}

int vm_identity_set(struct vmxfile *vmx, const struct datastore *datastore, const char *rel)
{
    char text[VMCFG_UUID_TEXT];
    int rc = location_of(datastore, rel, text);

    return rc < 0 ? rc : vmxfile_set(vmx, "uuid.location", text);
}

/* --- a new .vmx, and on --- */

struct identifying {
    struct virtual_machine *vm; /* stays: an operation is under way, or none may begin */
    void (*go)(struct virtual_machine *vm);
    struct plan plan;
    bool copied;
    int rc;
};

static void save(void *arg)
{
    struct identifying *id = arg;

    id->rc = plan_run(&id->plan, NULL, NULL);
}

/* Of a folder that can not be written to a VM starts all the same, as whom it is; but two of the
 * same uuid were not wanted. */
static void saved(void *arg)
{
    struct identifying *id = arg;
    struct virtual_machine *vm = id->vm;
    struct task *task = vm->task;

    vm->identifying = false;
    if (id->rc == 0)
        vm_set_vmx(vm, TAKE_PTR(id->plan.vmx));
    if (id->rc == 0 || !id->copied) {
        id->go(vm);
    } else {
        vm_end(vm);
        if (task)
            task_fail_errno(task, id->rc, &id->plan.err, id->plan.failed_file);
    }
    plan_free(&id->plan);
    free(id);
}

static void rewrite(struct virtual_machine *vm, bool copied, void (*go)(struct virtual_machine *vm))
{
    struct identifying *id = calloc(1, sizeof *id);
    int rc = id ? plan_init(&id->plan, vm->datastore, vm->rel) : -ENOMEM;

    if (rc == 0)
        rc = vm_copy_vmx(vm, &id->plan.vmx);
    if (rc == 0)
        rc = vm_identity_set(id->plan.vmx, vm->datastore, vm->rel);
    if (rc == 0 && copied && (rc = plan_new_uuids(id->plan.vmx)) == 0)
        vm_edit_new_addresses(&id->plan);
    if (rc == 0)
        rc = plan_missing_uuids(id->plan.vmx);
    if (rc == 0) {
        vm_edit_missing_addresses(&id->plan);
        id->vm = vm;
        id->go = go;
        id->copied = copied;
        vm->identifying = true;
        rc = worker_post(vm->e.hostd->worker, save, saved, id);
    }
    if (rc == 0)
        return;
    vm->identifying = false;
    if (id)
        plan_free(&id->plan);
    free(id);
    struct task *task = vm->task;
    vm_end(vm);
    if (task)
        task_fail_errno(task, rc, NULL, NULL);
}

/* --- the question --- */

static const struct vm_question_form altered = {
    .id = "msg.uuid.altered",
    .choice = {{"button.uuid.cancel", "Cancel"},
               {"button.uuid.movedTheVM", "I Moved It"},
               {"button.uuid.copiedTheVM", "I Copied It"}},
    .choices = 3,
    .proposed = 2,
};

static void cancelled(struct virtual_machine *vm)
{
    struct task *task = vm->task;

    vm_question_withdraw(vm);
    vm_end(vm);
    if (task)
        task_fail_errno(task, -ECANCELED, NULL, NULL);
}

static void cancel(struct task *task)
{
    cancelled(task->ctx);
}

static void answered(struct virtual_machine *vm, unsigned choice)
{
    if (vm->task)
        vm->task->cancel = NULL;
    if (choice == 0)
        cancelled(vm);
    else
        rewrite(vm, choice == 2, vm->when_identified);
}

bool vm_identify_cancel(struct virtual_machine *vm)
{
    bool waits = vm->power == VM_OFF && vm->question; /* one that is off has no other */

    if (waits)
        cancelled(vm);
    return waits;
}

static void ask(struct virtual_machine *vm, void (*go)(struct virtual_machine *vm))
{
    vm->when_identified = go;
    if (vm_question_ask(vm, &altered, answered,
                        "This virtual machine might have been moved or copied. In order to "
                        "configure certain management and networking features, this host needs to "
                        "know if this virtual machine was moved or copied. If you don't know, "
                        "answer \"I Copied It\".") < 0) {
        rewrite(vm, false, go);
        return;
    }
    if (vm->task) {
        vm->task->ctx = vm;
        vm->task->cancel = cancel;
    }
}

void vm_identify(struct virtual_machine *vm, void (*go)(struct virtual_machine *vm))
{
    const char *was = vm->vmx ? vmxfile_get(vm->vmx, "uuid.location") : NULL;
    const char *action = vm->vmx ? vmxfile_get(vm->vmx, "uuid.action") : NULL;
    bool known = was && !strncasecmp(was, ours, sizeof ours - 1);
    char now[VMCFG_UUID_TEXT];

    if (!vm->vmx || vm_is_suspended(vm) || location_of(vm->datastore, vm->rel, now) < 0 ||
        (was && !strcasecmp(was, now)))
        go(vm);
    else if (was && action && !strcasecmp(action, "create"))
        rewrite(vm, true, go);
    else if (!known || (action && !strcasecmp(action, "keep")))
        rewrite(vm, false, go);
    else
        ask(vm, go);
}
