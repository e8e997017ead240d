/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "cli/client/follow.h"
#include "cli/noun/vm.h"

static int call_one(struct command *command, struct api *api, const json_t *row, const char *method,
                    struct err *err)
{
    char label[160];

    (void)snprintf(label, sizeof label, "%s %s", command->verb->name, api_text(row, "name"));
    return follow_call(command, api, json_object_get(row, "ref"), method, NULL, label, NULL, err);
}

static int start_one(struct command *command, struct api *api, const json_t *row, struct err *err)
{
    return call_one(command, api, row, "PowerOnVM_Task", err);
}

static int stop_one(struct command *command, struct api *api, const json_t *row, struct err *err)
{
    return call_one(command, api, row, "PowerOffVM_Task", err);
}

static int reset_one(struct command *command, struct api *api, const json_t *row, struct err *err)
{
    return call_one(command, api, row, "ResetVM_Task", err);
}

static int suspend_one(struct command *command, struct api *api, const json_t *row, struct err *err)
{
    return call_one(command, api, row, "SuspendVM_Task", err);
}

static int reboot_one(struct command *command, struct api *api, const json_t *row, struct err *err)
{
    (void)command;
    return api_call(api, json_object_get(row, "ref"), "RebootGuest", NULL, NULL, err);
}

int vm_start(struct command *command, struct err *err)
{
    return each_vm(command, err, start_one);
}

int vm_stop(struct command *command, struct err *err)
{
    return each_vm(command, err, stop_one);
}

int vm_reset(struct command *command, struct err *err)
{
    return each_vm(command, err, reset_one);
}

int vm_suspend(struct command *command, struct err *err)
{
    return each_vm(command, err, suspend_one);
}

int vm_reboot(struct command *command, struct err *err)
{
    return each_vm(command, err, reboot_one);
}

/* --- shutdown --- */

const struct option vm_shutdown_options[VM_SHUTDOWN_OPTIONS] = {
    {"wait", "SECONDS", "wait until it is off; after that time it is an error", NULL},
};

static int wait_off(struct api *api, const json_t *vm, unsigned seconds, struct err *err)
{
    uint64_t deadline = clock_now() + (uint64_t)seconds * 1000000000;

    api_catch_interrupt();
    while (clock_now() < deadline) {
        cleanup_json json_t *runtime = NULL;
        int rc = api_get(api, vm, "runtime", &runtime, err);
        if (rc < 0 || !strcmp(api_text(runtime, "powerState"), "poweredOff"))
            return rc;
        if (api_interrupted())
            return err_set(err, -ECANCELED, "cancelled");
        (void)usleep(200000);
    }
    return err_set(err, -ETIMEDOUT, "it is still on after %u s; \"socle vm stop\" pulls the plug",
                   seconds);
}

static int shutdown_one(struct command *command, struct api *api, const json_t *row,
                        struct err *err)
{
    const json_t *vm = json_object_get(row, "ref");
    unsigned seconds = 0;
    int rc = command_unsigned(command, "wait", 1, 86400, &seconds, err);

    if (rc == 0)
        rc = api_call(api, vm, "ShutdownGuest", NULL, NULL, err);
    return rc == 0 && seconds ? wait_off(api, vm, seconds, err) : rc;
}

int vm_shutdown(struct command *command, struct err *err)
{
    return each_vm(command, err, shutdown_one);
}
