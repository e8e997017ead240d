/* SPDX-License-Identifier: Apache-2.0 */
/* `socle vm`: what there is, coming and going, and the table of all its commands. */
#include "cli/noun/vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse_num.h"
#include "cli/client/follow.h"
#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/nouns.h"

/* --- helpers --- */

int first_vm(struct command *command, const char *paths, struct api **ret_api, json_t **ret_row,
             struct err *err)
{
    int rc = command_api(command, ret_api, err);

    return rc < 0 ? rc : vm_find(*ret_api, command_operand(command, 0), paths, ret_row, err);
}

int each_vm(struct command *command, struct err *err,
            int (*one)(struct command *command, struct api *api, const json_t *row,
                       struct err *err))
{
    struct api *api;
    int result = command_api(command, &api, err);
    const char *name;

    for (unsigned i = 0;
         result != -ENOTCONN && result != -ECANCELED && (name = command_operand(command, i)); i++) {
        cleanup_json json_t *row = NULL;
        struct err why = ERR_INIT;
        int rc = vm_find(api, name, "name", &row, &why);
        if (rc == 0 && (rc = one(command, api, row, &why)) < 0)
            (void)err_prefix(&why, rc, "%s", name);
        if (rc < 0 && result < 0) /* only one can be the last word */
            (void)fprintf(stderr, "socle vm %s: %s\n", command->verb->name, err->text);
        if (rc < 0) {
            result = rc;
            *err = why;
        }
    }
    return result;
}

int confirm(const struct command *command, const char *question, struct err *err)
{
    char answer[16] = "";

    if (command_flag(command, "force"))
        return 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return err_set(err, -EINVAL, "%s? Say so with --force", question);
    (void)fprintf(stderr, "%s? [y/N] ", question);
    if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return err_set(err, -ECANCELED, "nothing was done");
    return 0;
}

static void put(json_t *row, const char *name, const json_t *value)
{
    if (value)
        (void)json_object_set(row, name, (json_t *)(uintptr_t)value);
}

/* --- list --- */

static const struct column list_columns[] = {
    {"id", "ID", COLUMN_TEXT},
    {"name", "NAME", COLUMN_TEXT},
    {"power", "POWER", COLUMN_TEXT},
    {"cpus", "CPUS", COLUMN_NUMBER},
    {"memory", "MEMORY", COLUMN_SIZE},
    {"cpu_mhz", "CPU MHZ", COLUMN_NUMBER, .wide = true},
    {"memory_used", "USED", COLUMN_SIZE, .wide = true},
    {"uptime", "UP", COLUMN_DURATION},
    {"ip", "IP", COLUMN_TEXT, .wide = true},
    {"guest", "GUEST", COLUMN_TEXT, .wide = true},
    {"file", "FILE", COLUMN_TEXT},
    {"note", "NOTE", COLUMN_TEXT, .wide = true},
};

static const char *power_word(const char *state)
{
    return !strcmp(state, "poweredOn") ? "on" : !strcmp(state, "suspended") ? "suspended" : "off";
}

/* The members of a list that a show has too. */
static json_t *row_of(const json_t *vm)
{
    const json_t *summary = json_object_get(vm, "summary");
    const json_t *config = json_object_get(summary, "config");
    const json_t *quick = json_object_get(summary, "quickStats");
    const char *power = power_word(api_text(json_object_get(summary, "runtime"), "powerState"));
    json_t *row = json_pack("{s:s, s:s}", "id", api_id(json_object_get(vm, "ref")), "power", power);
    json_int_t memory = json_integer_value(json_object_get(config, "memorySizeMB"));
    const json_t *used = json_object_get(quick, "guestMemoryUsage");
    const char *note = api_text(config, "annotation");

    put(row, "name", json_object_get(vm, "name"));
    put(row, "cpus", json_object_get(config, "numCpu"));
    if (memory)
        (void)json_object_set_new(row, "memory", json_integer(memory << 20));
    if (!strcmp(power, "on")) {
        put(row, "uptime", json_object_get(quick, "uptimeSeconds"));
        put(row, "cpu_mhz", json_object_get(quick, "overallCpuUsage"));
        if (used)
            (void)json_object_set_new(row, "memory_used",
                                      json_integer(json_integer_value(used) << 20));
    }
    put(row, "ip", json_at(summary, "guest", "ipAddress", NULL));
    put(row, "guest", json_object_get(config, "guestFullName"));
    put(row, "file", json_object_get(config, "vmPathName"));
    if (*note)
        (void)json_object_set_new(row, "note", json_string(note));
    return row;
}

static int vm_list(struct command *command, struct err *err)
{
    cleanup_json json_t *vms = NULL, *rows = json_array();
    struct api *api;
    json_t *vm;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = inventory_list(api, "VirtualMachine", "name summary", &vms, err);
    if (rc < 0)
        return rc;
    json_array_foreach(vms, i, vm)(void) json_array_append_new(rows, row_of(vm));
    return out_rows(command, list_columns, ARRAY_SIZE(list_columns), rows, err);
}

/* --- show --- */

static const struct column show_columns[] = {
    {"id", "ID", COLUMN_TEXT},
    {"name", "Name", COLUMN_TEXT},
    {"power", "Power", COLUMN_TEXT},
    {"uptime", "Up", COLUMN_DURATION},
    {"cpus", "CPUs", COLUMN_NUMBER},
    {"cpu_mhz", "CPU MHz", COLUMN_NUMBER},
    {"memory", "Memory", COLUMN_SIZE},
    {"memory_used", "Memory used", COLUMN_SIZE},
    {"guest", "Guest", COLUMN_TEXT},
    {"ip", "IP address", COLUMN_TEXT},
    {"firmware", "Firmware", COLUMN_TEXT},
    {"file", "File", COLUMN_TEXT},
    {"uuid", "UUID", COLUMN_TEXT},
    {"storage", "Storage", COLUMN_SIZE},
    {"disks", "Disks", COLUMN_TEXT},
    {"networks", "Networks", COLUMN_TEXT},
    {"snapshot", "Snapshots", COLUMN_BOOL},
    {"autostart", "Autostart", COLUMN_BOOL},
    {"question", "Question", COLUMN_TEXT},
    {"note", "Note", COLUMN_TEXT},
};

static void add_devices(json_t *row, const json_t *devices)
{
    json_t *disks = json_array(), *networks = json_array(), *device;
    size_t i;

    json_array_foreach(devices, i, device)
    {
        const json_t *backing = json_object_get(device, "backing");
        const char *mac = api_text(device, "macAddress");
        if (!strcmp(api_type(device), "VirtualDisk"))
            (void)json_array_append_new(disks, json_string(api_text(backing, "fileName")));
        else if (*mac)
            (void)json_array_append_new(
                networks, json_sprintf("%s (%s)", api_text(backing, "deviceName"), mac));
    }
    (void)json_object_set_new(row, "disks", disks);
    (void)json_object_set_new(row, "networks", networks);
}

static int vm_show(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *row = NULL;
    struct api *api;
    int rc = first_vm(command, "name summary config snapshot", &api, &vm, err);

    if (rc < 0)
        return rc;
    const json_t *config = json_object_get(vm, "config");
    const char *question = api_text(json_at(vm, "summary", "runtime", "question", NULL), "text");
    row = row_of(vm);
    add_devices(row, json_at(config, "hardware", "device", NULL));
    put(row, "firmware", json_object_get(config, "firmware"));
    put(row, "uuid", json_object_get(config, "uuid"));
    put(row, "storage", json_at(vm, "summary", "storage", "committed", NULL));
    (void)json_object_set_new(row, "snapshot", json_boolean(json_object_get(vm, "snapshot")));
    if (*question)
        (void)json_object_set_new(row, "question", json_string(question));
    return out_object(command, show_columns, ARRAY_SIZE(show_columns), row, err);
}

/* --- coming --- */

static const struct column made_columns[] = {{"id", "ID", COLUMN_TEXT},
                                             {"name", "NAME", COLUMN_TEXT}};

int vm_say_made(struct command *command, struct api *api, const json_t *vm, struct err *err)
{
    cleanup_json json_t *row = NULL, *rows = NULL;
    int rc = inventory_read(api, vm, "name", &row, err);

    if (rc < 0)
        return rc;
    rows = json_pack("[{s:s, s:s}]", "id", api_id(vm), "name", api_text(row, "name"));
    return out_rows(command, made_columns, ARRAY_SIZE(made_columns), rows, err);
}

int vm_places(struct api *api, json_t **ret_folder, json_t **ret_pool, struct err *err)
{
    cleanup_json json_t *centers = NULL, *pools = NULL;
    int rc = inventory_list(api, "Datacenter", "vmFolder", &centers, err);

    if (rc == 0)
        rc = inventory_list(api, "ComputeResource", "resourcePool", &pools, err);
    const json_t *folder = json_object_get(json_array_get(centers, 0), "vmFolder");
    const json_t *pool = json_object_get(json_array_get(pools, 0), "resourcePool");
    if (rc == 0 && (!folder || !pool))
        rc = err_set(err, -ENOENT, "the host has no place for virtual machines");
    if (rc < 0)
        return rc;
    *ret_folder = json_deep_copy(folder);
    *ret_pool = json_deep_copy(pool);
    return 0;
}

static const struct option create_options[] = {
    {"datastore", "NAME", "where its files go (default: the only one, or datastore1)", NULL},
    {"disk", "SIZE", "a disk; may be repeated (default 8G; 0 for none)", NULL},
    {"nic", "NETWORK", "a network card; may be repeated (default \"VM Network\")", NULL},
    {"no-nic", NULL, "no network card", NULL},
    {"cd", "FILE", "a CD drive (SATA) with this image of a datastore", NULL},
    {"start", NULL, "switch it on", NULL},
    VM_SPEC_OPTIONS,
};

static int add_disks(const struct command *command, json_t *changes, struct err *err)
{
    int key = -10;
    bool given = false;

    for (unsigned i = 0; i < command->options.hit_count; i++) {
        const struct option_hit *hit = &command->options.hits[i];
        uint64_t size = 0;
        if (strcmp(hit->option->name, "disk") != 0)
            continue;
        given = true;
        if (parse_size(hit->value, 1, &size) < 0)
            return err_set(err, -EINVAL, "--disk \"%s\": not a size; write a number with M, G or T",
                           hit->value);
        if (size)
            (void)json_array_append_new(changes, spec_disk(size, NULL, -1, key--, false));
    }
    if (!given)
        (void)json_array_append_new(changes, spec_disk((uint64_t)8 << 30, NULL, -1, key, false));
    return 0;
}

static void add_nics(const struct command *command, json_t *changes)
{
    int key = -40;

    for (unsigned i = 0; i < command->options.hit_count; i++)
        if (!strcmp(command->options.hits[i].option->name, "nic"))
            (void)json_array_append_new(
                changes, spec_nic(command->options.hits[i].value, "VirtualVmxnet3", NULL, key--));
    if (key == -40 && !command_flag(command, "no-nic"))
        (void)json_array_append_new(changes, spec_nic("VM Network", "VirtualVmxnet3", NULL, key));
}

static void set_default(json_t *spec, const char *name, json_t *value)
{
    if (json_object_get(spec, name))
        json_decref(value);
    else
        (void)json_object_set_new(spec, name, value);
}

static int create_spec(struct command *command, struct api *api, json_t **ret_spec, struct err *err)
{
    cleanup_json json_t *spec = NULL, *datastore = NULL, *changes = json_array();
    const char *cd = command_value(command, "cd");
    cleanup_free char *image = NULL;
    int rc = vm_spec(command, &spec, err);

    (void)json_array_append_new(changes, spec_scsi(-1));
    if (rc == 0)
        rc = add_disks(command, changes, err);
    if (rc == 0)
        rc = datastore_find(api, command_value(command, "datastore"), &datastore, err);
    if (rc == 0 && cd && *cd)
        rc = datastore_path(api, cd, &image, err);
    if (rc < 0)
        return rc;
    add_nics(command, changes);
    if (cd) {
        (void)json_array_append_new(changes, spec_sata(-2));
        (void)json_array_append_new(changes, spec_cdrom(image ? image : "", -2, -60));
    }
    (void)json_object_set_new(spec, "name", json_string(command_operand(command, 0)));
    (void)json_object_set_new(
        spec, "files",
        json_pack("{s:o}", "vmPathName", json_sprintf("[%s]", api_text(datastore, "name"))));
    (void)json_object_set(spec, "deviceChange", changes);
    set_default(spec, "numCPUs", json_integer(1));
    set_default(spec, "memoryMB", json_integer(1024));
    set_default(spec, "guestId", json_string("otherLinux64Guest"));
    set_default(spec, "firmware", json_string("efi"));
    *ret_spec = TAKE_PTR(spec);
    return 0;
}

static int vm_create(struct command *command, struct err *err)
{
    cleanup_json json_t *spec = NULL, *folder = NULL, *pool = NULL, *vm = NULL;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = create_spec(command, api, &spec, err);
    if (rc == 0)
        rc = vm_places(api, &folder, &pool, err);
    if (rc == 0)
        rc = follow_call(command, api, folder, "CreateVM_Task",
                         json_pack("{s:O, s:O}", "config", spec, "pool", pool), "create", &vm, err);
    if (rc == 0)
        rc = vm_say_made(command, api, vm, err);
    if (rc == 0 && command_flag(command, "start"))
        rc = follow_call(command, api, vm, "PowerOnVM_Task", NULL, "start", NULL, err);
    return rc;
}

static const struct option register_options[] = {
    {"name", "NAME", "what it is called (default: what its file says)", NULL},
};

static int vm_register(struct command *command, struct err *err)
{
    cleanup_json json_t *folder = NULL, *pool = NULL, *vm = NULL;
    cleanup_free char *path = NULL;
    const char *name = command_value(command, "name");
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = datastore_path(api, command_operand(command, 0), &path, err);
    if (rc == 0)
        rc = vm_places(api, &folder, &pool, err);
    if (rc < 0)
        return rc;
    json_t *args = json_pack("{s:s, s:b, s:O}", "path", path, "asTemplate", 0, "pool", pool);
    if (name)
        (void)json_object_set_new(args, "name", json_string(name));
    rc = follow_call(command, api, folder, "RegisterVM_Task", args, "register", &vm, err);
    return rc < 0 ? rc : vm_say_made(command, api, vm, err);
}

static const struct option clone_options[] = {
    {"datastore", "NAME", "where its files go (default: where they are)", NULL},
    {"linked", NULL, "share the disks of its current snapshot, and keep changes only", NULL},
    {"start", NULL, "switch it on", NULL},
};

static int vm_clone(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *folder = NULL, *pool = NULL, *store = NULL, *made = NULL;
    const char *datastore = command_value(command, "datastore");
    struct api *api;
    bool linked = command_flag(command, "linked");
    int rc = first_vm(command, "name snapshot", &api, &vm, err);
    const json_t *snapshot = json_at(vm, "snapshot", "currentSnapshot", NULL);

    if (rc == 0 && linked && !snapshot)
        rc = err_set(err, -EINVAL, "--linked: it has no snapshot; take one first");
    if (rc == 0)
        rc = vm_places(api, &folder, &pool, err);
    if (rc == 0 && datastore)
        rc = datastore_find(api, datastore, &store, err);
    if (rc < 0)
        return rc;
    json_t *where =
        json_pack("{s:s}", "diskMoveType",
                  command_flag(command, "linked") ? "createNewChildDiskBacking"
                                                  : "moveAllDiskBackingsAndDisallowSharing");
    if (store)
        (void)json_object_set_new(where, "datastore", ref_of(store));
    json_t *spec = json_pack("{s:o, s:b, s:b}", "location", where, "powerOn",
                             command_flag(command, "start"), "template", 0);
    if (linked)
        (void)json_object_set_new(spec, "snapshot", json_deep_copy(snapshot));
    rc = follow_call(command, api, json_object_get(vm, "ref"), "CloneVM_Task",
                     json_pack("{s:O, s:s, s:o}", "folder", folder, "name",
                               command_operand(command, 1), "spec", spec),
                     "clone", &made, err);
    return rc < 0 ? rc : vm_say_made(command, api, made, err);
}

/* --- going, changing --- */

static int unregister_one(struct command *command, struct api *api, const json_t *row,
                          struct err *err)
{
    (void)command;
    return api_call(api, json_object_get(row, "ref"), "UnregisterVM", NULL, NULL, err);
}

static int vm_unregister(struct command *command, struct err *err)
{
    return each_vm(command, err, unregister_one);
}

static const struct option force_options[] = {{"force", NULL, "do not ask", NULL}};

static int delete_one(struct command *command, struct api *api, const json_t *row, struct err *err)
{
    char question[256];

    (void)snprintf(question, sizeof question, "Delete \"%s\" and its disks", api_text(row, "name"));
    int rc = confirm(command, question, err);
    return rc < 0 ? rc
                  : follow_call(command, api, json_object_get(row, "ref"), "Destroy_Task", NULL,
                                "delete", NULL, err);
}

static int vm_delete(struct command *command, struct err *err)
{
    return each_vm(command, err, delete_one);
}

static int vm_rename(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    struct api *api;
    int rc = first_vm(command, "name", &api, &vm, err);

    return rc < 0 ? rc
                  : follow_call(command, api, json_object_get(vm, "ref"), "Rename_Task",
                                json_pack("{s:s}", "newName", command_operand(command, 1)),
                                "rename", NULL, err);
}

static const struct option set_options[] = {VM_SPEC_OPTIONS};

static int vm_set(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *spec = NULL;
    struct api *api;
    int rc = vm_spec(command, &spec, err);

    if (rc == 0 && !json_object_size(spec))
        rc = err_set(err, -EINVAL, "nothing to set: --cpus, --memory, --note ...");
    if (rc == 0)
        rc = first_vm(command, "name", &api, &vm, err);
    return rc < 0 ? rc
                  : follow_call(command, api, json_object_get(vm, "ref"), "ReconfigVM_Task",
                                json_pack("{s:O}", "spec", spec), "set", NULL, err);
}

static int vm_screenshot(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    cleanup_free char *named = NULL;
    const char *target = command_operand(command, 1);
    char path[200];
    struct api *api;
    int rc = first_vm(command, "name", &api, &vm, err);

    if (rc < 0)
        return rc;
    if (!target && asprintf(&named, "%s.png", api_text(vm, "name")) < 0)
        named = NULL;
    if (!target && (!named || strchr(named, '/')))
        return err_set(err, -EINVAL, "give a file: socle vm screenshot VM FILE");
    (void)snprintf(path, sizeof path, "/screen?id=%s", api_id(json_object_get(vm, "ref")));
    if (target && !strcmp(target, "-"))
        return api_get_file(api, path, STDOUT_FILENO, NULL, err);
    return api_save_file(api, path, target ? target : named, NULL, err);
}

static const struct verb verbs[] = {
    {"list", "", "shows all virtual machines", NO_OPTIONS, vm_list},
    {"show", "VM", "shows one in detail", NO_OPTIONS, vm_show},
    {"create", "NAME", "makes one", OPTIONS(create_options), vm_create},
    {"register", "FILE", "takes in one that is on a datastore, by its .vmx file",
     OPTIONS(register_options), vm_register},
    {"clone", "VM NAME", "makes another like it", OPTIONS(clone_options), vm_clone},
    {"export", "VM [FOLDER]", "writes it as an OVF package (default folder: its name)", NO_OPTIONS,
     vm_export},
    {"import", "FILE", "makes one of an .ovf or .ova package of this machine", vm_import_options,
     VM_IMPORT_OPTIONS, vm_import,
     "A manifest beside the package (.mf), or in it, is checked first."},
    {"unregister", "VM...", "forgets one and leaves its files", NO_OPTIONS, vm_unregister},
    {"delete", "VM...", "deletes one with its disks", OPTIONS(force_options), vm_delete},
    {"rename", "VM NAME", "gives it another name", NO_OPTIONS, vm_rename},
    {"set", "VM", "changes its CPUs, memory and other settings", OPTIONS(set_options), vm_set},
    {"start", "VM...", "switches it on, or resumes it", NO_OPTIONS, vm_start},
    {"stop", "VM...", "switches it off at once, as by pulling the plug", NO_OPTIONS, vm_stop},
    {"shutdown", "VM...", "asks the guest to shut down", vm_shutdown_options, VM_SHUTDOWN_OPTIONS,
     vm_shutdown},
    {"reset", "VM...", "presses the reset button", NO_OPTIONS, vm_reset},
    {"reboot", "VM...", "asks the guest to restart (needs tools in the guest)", NO_OPTIONS,
     vm_reboot},
    {"answer", "VM [CHOICE]", "shows what it asks, or answers it", NO_OPTIONS, vm_answer,
     "CHOICE is the number or the text of one of the choices."},
    {"suspend", "VM...", "saves its memory and switches it off; start resumes it", NO_OPTIONS,
     vm_suspend},
    {"console", "VM", "attaches this terminal to its serial port", vm_console_options,
     VM_CONSOLE_OPTIONS, vm_console,
     "Ctrl-] or Ctrl-A x leaves the console, Ctrl-A Ctrl-A sends Ctrl-A; the VM goes on.\n"
     "Without a terminal: what comes in goes to the guest, until the guest's power goes off, or\n"
     "until --detach-at-end finds the end of input."},
    {"screenshot", "VM [FILE]", "saves its screen as a PNG; - is standard output", NO_OPTIONS,
     vm_screenshot},
    {"device list", "VM", "shows its devices", NO_OPTIONS, vm_device_list},
    {"device add disk", "VM", "adds a disk, new or of a file", vm_disk_options, VM_DISK_OPTIONS,
     vm_device_add_disk},
    {"device add nic", "VM [NETWORK]", "adds a network card (default network: VM Network)",
     vm_nic_options, VM_NIC_OPTIONS, vm_device_add_nic},
    {"device add cd", "VM [FILE]", "adds a CD drive, with an image of a datastore or empty",
     NO_OPTIONS, vm_device_add_cd},
    {"device insert", "VM DEVICE [FILE]", "puts an image into a CD drive, or takes it out",
     NO_OPTIONS, vm_device_insert},
    {"device remove", "VM DEVICE...", "removes devices, by key or label", vm_remove_options,
     VM_REMOVE_OPTIONS, vm_device_remove},
    {"snapshot list", "VM", "shows its snapshots", NO_OPTIONS, vm_snapshot_list},
    {"snapshot take", "VM NAME", "takes a snapshot", vm_take_options, VM_TAKE_OPTIONS,
     vm_snapshot_take},
    {"snapshot revert", "VM [SNAPSHOT]", "goes back to a snapshot (default: the current one)",
     NO_OPTIONS, vm_snapshot_revert},
    {"snapshot delete", "VM [SNAPSHOT]", "deletes a snapshot; what is after it stays",
     vm_forget_options, VM_FORGET_OPTIONS, vm_snapshot_delete},
    {"autostart list", "", "shows what starts and stops with the host", NO_OPTIONS,
     vm_autostart_list},
    {"autostart on", "VM...", "starts it with the host", vm_autostart_options, VM_AUTOSTART_OPTIONS,
     vm_autostart_on},
    {"autostart off", "VM...", "does so no more", NO_OPTIONS, vm_autostart_off},
};

const struct noun noun_vm = {"vm", "Virtual machines of a host.", verbs, ARRAY_SIZE(verbs)};
