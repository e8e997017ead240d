/* SPDX-License-Identifier: Apache-2.0 */
/* `socle host`. */
#include <errno.h>
#include <string.h>

#include "cli/client/follow.h"
#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/nouns.h"

/* --- show --- */

static const struct column show_columns[] = {
    {"name", "Name", COLUMN_TEXT},
    {"product", "Product", COLUMN_TEXT},
    {"vendor", "Vendor", COLUMN_TEXT},
    {"model", "Model", COLUMN_TEXT},
    {"cpu", "Processor", COLUMN_TEXT},
    {"sockets", "Sockets", COLUMN_NUMBER},
    {"cores", "Cores", COLUMN_NUMBER},
    {"threads", "Threads", COLUMN_NUMBER},
    {"cpu_mhz", "MHz of one", COLUMN_NUMBER},
    {"cpu_used_mhz", "MHz used", COLUMN_NUMBER},
    {"memory", "Memory", COLUMN_SIZE},
    {"memory_used", "Memory used", COLUMN_SIZE},
    {"uptime", "Up", COLUMN_DURATION},
    {"booted", "Since", COLUMN_TIME},
    {"maintenance", "Maintenance", COLUMN_BOOL},
    {"vms", "VMs", COLUMN_NUMBER},
    {"vms_on", "of these on", COLUMN_NUMBER},
};

static void put(json_t *row, const char *name, const json_t *value)
{
    if (value)
        (void)json_object_set(row, name, (json_t *)(uintptr_t)value);
}

static int count_vms(struct api *api, json_t *row, struct err *err)
{
    cleanup_json json_t *vms = NULL;
    json_t *vm;
    size_t i, on = 0;
    int rc = inventory_list(api, "VirtualMachine", "runtime.powerState", &vms, err);

    json_array_foreach(vms, i, vm) on += !strcmp(api_text(vm, "runtime.powerState"), "poweredOn");
    (void)json_object_set_new(row, "vms", json_integer((json_int_t)json_array_size(vms)));
    (void)json_object_set_new(row, "vms_on", json_integer((json_int_t)on));
    return rc;
}

static int host_show(struct command *command, struct err *err)
{
    cleanup_json json_t *host = NULL, *row = json_object();
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = host_find(api, "name summary", &host, err);
    if (rc == 0)
        rc = count_vms(api, row, err);
    if (rc < 0)
        return rc;
    const json_t *summary = json_object_get(host, "summary");
    const json_t *hardware = json_object_get(summary, "hardware");
    const json_t *quick = json_object_get(summary, "quickStats");
    const json_t *used = json_object_get(quick, "overallMemoryUsage");
    put(row, "name", json_object_get(host, "name"));
    put(row, "product", json_at(summary, "config", "product", "fullName", NULL));
    put(row, "vendor", json_object_get(hardware, "vendor"));
    put(row, "model", json_object_get(hardware, "model"));
    put(row, "cpu", json_object_get(hardware, "cpuModel"));
    put(row, "sockets", json_object_get(hardware, "numCpuPkgs"));
    put(row, "cores", json_object_get(hardware, "numCpuCores"));
    put(row, "threads", json_object_get(hardware, "numCpuThreads"));
    put(row, "cpu_mhz", json_object_get(hardware, "cpuMhz"));
    put(row, "cpu_used_mhz", json_object_get(quick, "overallCpuUsage"));
    put(row, "memory", json_object_get(hardware, "memorySize"));
    put(row, "uptime", json_object_get(quick, "uptime"));
    put(row, "booted", json_at(summary, "runtime", "bootTime", NULL));
    put(row, "maintenance", json_at(summary, "runtime", "inMaintenanceMode", NULL));
    if (used)
        (void)json_object_set_new(row, "memory_used", json_integer(json_integer_value(used) << 20));
    return out_object(command, show_columns, ARRAY_SIZE(show_columns), row, err);
}

/* --- advanced options --- */

static const struct column option_columns[] = {{"name", "NAME", COLUMN_TEXT},
                                               {"value", "VALUE", COLUMN_TEXT}};

static int query(struct command *command, struct api **ret_api, const json_t **ret_manager,
                 json_t **ret_options, struct err *err)
{
    const char *name = command_operand(command, 0);
    int rc = command_api(command, ret_api, err);

    if (rc == 0)
        rc = api_host_manager(*ret_api, "advancedOption", ret_manager, err);
    return rc < 0 ? rc
                  : api_call(*ret_api, *ret_manager, "QueryOptions",
                             name ? json_pack("{s:s}", "name", name) : NULL, ret_options, err);
}

static int advanced_list(struct command *command, struct err *err)
{
    cleanup_json json_t *options = NULL, *rows = json_array();
    const json_t *manager;
    struct api *api;
    json_t *option;
    size_t i;
    int rc = query(command, &api, &manager, &options, err);

    json_array_foreach(options, i, option)
    {
        const json_t *value = json_object_get(option, "value");
        const json_t *inner = json_object_get(value, "_value");
        json_t *row = json_object();
        put(row, "name", json_object_get(option, "key"));
        put(row, "value", inner ? inner : value);
        (void)json_array_append_new(rows, row);
    }
    return rc < 0 ? rc : out_rows(command, option_columns, ARRAY_SIZE(option_columns), rows, err);
}

/* The new value, in the type that the old one has. */
static int typed(const json_t *old, const char *text, json_t **ret_value, struct err *err)
{
    const char *type = api_type(old);
    json_error_t why;
    json_t *plain = NULL;

    if (!*type || !strcmp(type, "string")) {
        plain = json_string(text);
        type = "string";
    } else {
        plain = json_loads(text, JSON_DECODE_ANY, &why);
    }
    if (!plain || json_is_object(plain) || json_is_array(plain)) {
        json_decref(plain);
        return err_set(err, -EINVAL, "\"%s\" is no %s", text, type);
    }
    *ret_value = json_pack("{s:s, s:o}", "_typeName", type, "_value", plain);
    return 0;
}

static int advanced_set(struct command *command, struct err *err)
{
    cleanup_json json_t *options = NULL;
    const json_t *manager;
    struct api *api;
    json_t *value = NULL;
    int rc = query(command, &api, &manager, &options, err);
    const json_t *option = json_array_get(options, 0);

    if (rc == 0 && (!option || strcmp(api_text(option, "key"), command_operand(command, 0)) != 0))
        rc = err_set(err, -ENOENT, "there is no option \"%s\"", command_operand(command, 0));
    if (rc == 0)
        rc = typed(json_object_get(option, "value"), command_operand(command, 1), &value, err);
    return rc < 0 ? rc
                  : api_call(api, manager, "UpdateOptions",
                             json_pack("{s:[{s:s, s:o}]}", "changedValue", "key",
                                       command_operand(command, 0), "value", value),
                             NULL, err);
}

/* --- services --- */

static const struct column service_columns[] = {
    {"name", "NAME", COLUMN_TEXT},
    {"running", "RUNS", COLUMN_BOOL},
    {"policy", "STARTS", COLUMN_TEXT},
    {"label", "LABEL", COLUMN_TEXT},
};

static int service_list(struct command *command, struct err *err)
{
    cleanup_json json_t *info = NULL, *rows = json_array();
    const json_t *manager;
    struct api *api;
    json_t *service;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = api_host_manager(api, "serviceSystem", &manager, err);
    if (rc == 0)
        rc = api_get(api, manager, "serviceInfo", &info, err);
    json_array_foreach(json_object_get(info, "service"), i, service)
    {
        json_t *row = json_object();
        put(row, "name", json_object_get(service, "key"));
        put(row, "running", json_object_get(service, "running"));
        put(row, "policy", json_object_get(service, "policy"));
        put(row, "label", json_object_get(service, "label"));
        (void)json_array_append_new(rows, row);
    }
    return rc < 0 ? rc : out_rows(command, service_columns, ARRAY_SIZE(service_columns), rows, err);
}

static int service_change(struct command *command, const char *method, struct err *err)
{
    const json_t *manager;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = api_host_manager(api, "serviceSystem", &manager, err);
    return rc < 0 ? rc
                  : api_call(api, manager, method,
                             json_pack("{s:s}", "id", command_operand(command, 0)), NULL, err);
}

static int service_start(struct command *command, struct err *err)
{
    return service_change(command, "StartService", err);
}

static int service_stop(struct command *command, struct err *err)
{
    return service_change(command, "StopService", err);
}

/* --- maintenance --- */

static int maintenance(struct command *command, const char *method, struct err *err)
{
    cleanup_json json_t *host = NULL;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = host_find(api, "name", &host, err);
    return rc < 0 ? rc
                  : follow_call(command, api, json_object_get(host, "ref"), method,
                                json_pack("{s:i}", "timeout", 0), "maintenance mode", NULL, err);
}

static int maintenance_on(struct command *command, struct err *err)
{
    return maintenance(command, "EnterMaintenanceMode_Task", err);
}

static int maintenance_off(struct command *command, struct err *err)
{
    return maintenance(command, "ExitMaintenanceMode_Task", err);
}

static const struct verb verbs[] = {
    {"show", "", "shows the machine and what of it is used", NO_OPTIONS, host_show},
    {"advanced list", "[NAME]", "shows the advanced options, or one", NO_OPTIONS, advanced_list},
    {"advanced set", "NAME VALUE", "changes one", NO_OPTIONS, advanced_set},
    {"services list", "", "shows what services the machine has, and which run", NO_OPTIONS,
     service_list},
    {"services start", "NAME", "starts one, where the machine is the host's", NO_OPTIONS,
     service_start},
    {"services stop", "NAME", "stops one", NO_OPTIONS, service_stop},
    {"maintenance on", "", "waits until no VM runs, and lets none start", NO_OPTIONS,
     maintenance_on},
    {"maintenance off", "", "lets VMs start again", NO_OPTIONS, maintenance_off},
};

const struct noun noun_host = {"host", "The host itself.", verbs, ARRAY_SIZE(verbs)};
