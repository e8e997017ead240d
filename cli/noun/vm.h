/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of `socle vm`, by file; vm.c has the table. */
#pragma once

#include "cli/client/command.h"

/* Calls `one` for each VM that the operands name, also behind one that failed: its failure is said,
 * and the last one's is the result. `row` has ref and name. */
int each_vm(struct command *command, struct err *err,
            int (*one)(struct command *command, struct api *api, const json_t *row,
                       struct err *err));
/* The VM of the first operand: its row. */
int first_vm(struct command *command, const char *paths, struct api **ret_api, json_t **ret_row,
             struct err *err);
/* Asks on a terminal; without one, --force must say yes. 0 or -ECANCELED, -EINVAL. */
int confirm(const struct command *command, const char *question, struct err *err);

/* Where VMs belong: folder and resource pool. What was made, as a row of id and name. */
int vm_places(struct api *api, json_t **ret_folder, json_t **ret_pool, struct err *err);
int vm_say_made(struct command *command, struct api *api, const json_t *vm, struct err *err);

/* vm_spec.c: a VirtualMachineConfigSpec from the options --cpus, --memory, --set ... that were
 * given. */
int vm_spec(const struct command *command, json_t **ret_spec, struct err *err);
json_t *spec_disk(uint64_t size, const char *file, int controller, int key, bool eager);
json_t *spec_nic(const char *network, const char *model, const char *mac, int key);
json_t *spec_cdrom(const char *file, int controller, int key);
json_t *spec_change(const char *operation, json_t *device);
json_t *spec_scsi(int key);
json_t *spec_sata(int key);
/* Of `create` and `set`. */
#define VM_SPEC_OPTIONS                                                                           \
    {"cpus", "N", "virtual CPUs (a new one: 1)", NULL},                                           \
        {"memory", "SIZE", "guest memory: megabytes, or a number with M, G or T (a new one: 1G)", \
         NULL},                                                                                   \
        {"firmware", "efi|bios", "what starts the guest (a new one: efi)", NULL},                 \
        {"secure-boot", "on|off", "with efi: start only what is signed", NULL},                   \
        {"guest", "ID", "guest system, such as debian12_64Guest (a new one: otherLinux64Guest)",  \
         NULL},                                                                                   \
        {"note", "TEXT", "annotation", NULL},                                                     \
        {"set", "KEY=VALUE", "a line of the .vmx file; may be repeated", NULL},                   \
    {                                                                                             \
        "boot-delay", "MS", "time to press a key in the firmware", NULL                           \
    }

/* vm_power.c */
int vm_start(struct command *command, struct err *err);
int vm_stop(struct command *command, struct err *err);
int vm_reset(struct command *command, struct err *err);
int vm_shutdown(struct command *command, struct err *err);
int vm_reboot(struct command *command, struct err *err);
int vm_suspend(struct command *command, struct err *err);
extern const struct option vm_shutdown_options[];
enum { VM_SHUTDOWN_OPTIONS = 1 };

/* vm_answer.c */
int vm_answer(struct command *command, struct err *err);

/* vm_device.c */
int vm_device_list(struct command *command, struct err *err);
int vm_device_add_disk(struct command *command, struct err *err);
int vm_device_add_nic(struct command *command, struct err *err);
int vm_device_add_cd(struct command *command, struct err *err);
int vm_device_remove(struct command *command, struct err *err);
int vm_device_insert(struct command *command, struct err *err);
extern const struct option vm_disk_options[], vm_nic_options[], vm_remove_options[];
enum { VM_DISK_OPTIONS = 3, VM_NIC_OPTIONS = 2, VM_REMOVE_OPTIONS = 1 };

/* vm_snapshot.c */
int vm_snapshot_list(struct command *command, struct err *err);
int vm_snapshot_take(struct command *command, struct err *err);
int vm_snapshot_revert(struct command *command, struct err *err);
int vm_snapshot_delete(struct command *command, struct err *err);
extern const struct option vm_take_options[], vm_forget_options[];
enum { VM_TAKE_OPTIONS = 3, VM_FORGET_OPTIONS = 2 };

/* vm_console.c */
int vm_console(struct command *command, struct err *err);
extern const struct option vm_console_options[];
enum { VM_CONSOLE_OPTIONS = 1 };

/* vm_autostart.c */
int vm_autostart_list(struct command *command, struct err *err);
int vm_autostart_on(struct command *command, struct err *err);
int vm_autostart_off(struct command *command, struct err *err);
extern const struct option vm_autostart_options[];
enum { VM_AUTOSTART_OPTIONS = 2 };

/* vm_ovf.c */
int vm_export(struct command *command, struct err *err);
int vm_import(struct command *command, struct err *err);
extern const struct option vm_import_options[];
enum { VM_IMPORT_OPTIONS = 3 };
