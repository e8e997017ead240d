/* SPDX-License-Identifier: Apache-2.0 */
/* hardware, iscsi, software, storage, vm. */
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/esxcli/esxcli.h"
#include "hostd/model/virtual_machine.h"

static const struct machine *machine_of(struct cli *cli)
{
    return &hostd_of(cli->call)->inventory->machine;
}

static void platform_get(struct cli *cli)
{
    const struct machine *m = machine_of(cli);

    cli_begin(cli);
    cli_string(cli, "EnclosureSerialNumber", m->serial);
    cli_bool(cli, "IPMISupported", false);
    cli_string(cli, "ProductName", m->model);
    cli_string(cli, "SerialNumber", m->serial);
    cli_string(cli, "UUID", m->uuid);
    cli_string(cli, "VendorName", m->vendor);
    cli_end(cli);
}

static void memory_get(struct cli *cli)
{
    cli_begin(cli);
    cli_long(cli, "NUMANodeCount", 1);
    cli_long(cli, "PhysicalMemory", (int64_t)machine_of(cli)->memory);
    cli_long(cli, "ReliableMemory", 0);
    cli_end(cli);
}

static void cpu_get(struct cli *cli)
{
    const struct machine *m = machine_of(cli);

    cli_begin(cli);
    cli_long(cli, "CPUCores", m->cores);
    cli_long(cli, "CPUPackages", m->packages);
    cli_long(cli, "CPUThreads", m->threads);
    cli_bool(cli, "HyperthreadingActive", m->threads > m->cores);
    cli_bool(cli, "HyperthreadingEnabled", m->threads > m->cores);
    cli_bool(cli, "HyperthreadingSupported", m->threads > m->cores);
    cli_end(cli);
}

/* There is no iSCSI here. */
static void iscsi_get(struct cli *cli)
{
    cli_value(cli, "false");
}

static void vib_list(struct cli *cli)
{
    cli_begin(cli);
    cli_string(cli, "AcceptanceLevel", "CommunitySupported");
    cli_string(cli, "ID", "Socle_bootbank_socle_" SOCLE_VERSION);
    cli_string(cli, "Name", "socle");
    cli_string(cli, "Vendor", "Socle");
    cli_string(cli, "Version", SOCLE_VERSION);
    cli_end(cli);
}

static void filesystem_list(struct cli *cli)
{
    struct inventory *inventory = hostd_of(cli->call)->inventory;
    char path[256];

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));) {
        const struct vim_DatastoreSummary *s =
            CLI_GET(cli, e->id, Datastore, summary, DatastoreSummary);
        if (!s || !entity_visible(cli->call, &e->mo))
            continue;
        datastore_mount_path(ENTITY_OF(datastore, &e->mo), path, sizeof path);
        cli_begin(cli);
        cli_long(cli, "Free", s->freeSpace);
        cli_string(cli, "MountPoint", path);
        cli_bool(cli, "Mounted", s->accessible);
        cli_long(cli, "Size", s->capacity);
        cli_string(cli, "Type", s->type);
        cli_string(cli, "UUID", e->id);
        cli_string(cli, "VolumeName", e->name);
        cli_end(cli);
    }
}

/* World ids are VM numbers: unique, and known to who reads the API. */
static void process_list(struct cli *cli)
{
    struct inventory *inventory = hostd_of(cli->call)->inventory;
    char path[DSPATH_MAX + 256];

    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        const struct virtual_machine *vm = vm_of(&e->mo);
        if (vm->power == VM_OFF || !entity_visible(cli->call, &e->mo))
            continue;
        datastore_mount_path(vm->datastore, path, 256);
        size_t at = strlen(path);
        (void)snprintf(path + at, sizeof path - at, "/%s", vm->rel);
        const char *uuid = vm->vmx ? vmxfile_get(vm->vmx, "uuid.bios") : NULL;
        cli_begin(cli);
        cli_string(cli, "ConfigFile", path);
        cli_string(cli, "DisplayName", e->name);
        cli_long(cli, "ProcessID", 0);
        cli_string(cli, "UUID", uuid);
        cli_string(cli, "VMXCartelID", e->id);
        cli_string(cli, "WorldID", e->id);
        cli_end(cli);
    }
}

static const struct cli_command commands[] = {
    {"hardware.platform",
     "get",
     "Get information about the platform",
     CLI_ROW,
     "PlatformGet",
     "EnclosureSerialNumber:string IPMISupported:boolean ProductName:string SerialNumber:string "
     "UUID:string VendorName:string",
     {{0}},
     platform_get},
    {"hardware.memory",
     "get",
     "Get information about memory",
     CLI_ROW,
     "MemoryGet",
     "NUMANodeCount:long PhysicalMemory:long ReliableMemory:long",
     {{0}},
     memory_get},
    {"hardware.cpu.global",
     "get",
     "Get properties that are global to all CPUs",
     CLI_ROW,
     "Cpu",
     "CPUCores:long CPUPackages:long CPUThreads:long HyperthreadingActive:boolean "
     "HyperthreadingEnabled:boolean HyperthreadingSupported:boolean",
     {{0}},
     cpu_get},
    {"iscsi.software",
     "get",
     "Software iSCSI information",
     CLI_BOOLEAN,
     NULL,
     NULL,
     {{0}},
     iscsi_get},
    {"software.vib",
     "list",
     "Lists the installed packages",
     CLI_ROWS,
     "SummaryExt",
     "AcceptanceLevel:string ID:string Name:string Vendor:string Version:string",
     {{0}},
     vib_list},
    {"storage.filesystem",
     "list",
     "List the volumes available to the host",
     CLI_ROWS,
     "VolumeListInfo",
     "Free:long MountPoint:string Mounted:boolean Size:long Type:string UUID:string "
     "VolumeName:string",
     {{0}},
     filesystem_list},
    {"vm.process",
     "list",
     "List the virtual machines that run on this system",
     CLI_ROWS,
     "VirtualMachine",
     "ConfigFile:string DisplayName:string ProcessID:long UUID:string VMXCartelID:long "
     "WorldID:long",
     {{0}},
     process_list},
};
const struct cli_commands esxcli_host = {commands, ARRAY_SIZE(commands)};
