/* SPDX-License-Identifier: Apache-2.0 */
/* GuestOperationsManager and its managers: programs, files, registry and aliases inside of a guest.
 * All of it is done by tools in the guest, which have no way to this host; so each method looks at
 * the VM as ESXi does and answers what ESXi answers while a guest has no tools. */
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/virtual_machine.h"

#define GETTER(name, type, id)                                         \
    static struct vim_any get_##name(struct mo *mo, struct call *call) \
    {                                                                  \
        (void)mo;                                                      \
        (void)call;                                                    \
        return vim_any_ref(VIM_REF(type, "ha-guest-operations-" id));  \
    }

GETTER(auth, GuestAuthManager, "auth-manager")
GETTER(file, GuestFileManager, "file-manager")
GETTER(process, GuestProcessManager, "process-manager")
GETTER(registry, GuestWindowsRegistryManager, "windows-registry-manager")
GETTER(alias, GuestAliasManager, "alias-manager")

static const struct mo_property properties[] = {
    MO_PROPERTY(GuestOperationsManager, authManager, get_auth),
    MO_PROPERTY(GuestOperationsManager, fileManager, get_file),
    MO_PROPERTY(GuestOperationsManager, processManager, get_process),
    MO_PROPERTY(GuestOperationsManager, guestWindowsRegistryManager, get_registry),
    MO_PROPERTY(GuestOperationsManager, aliasManager, get_alias),
};
const struct mo_class guest_operations_manager_class = {
    .type = VIM_MANAGED(GuestOperationsManager),
    .props = properties,
    .prop_count = ARRAY_SIZE(properties),
};

/* Every method's first parameter is the VM. */
static void refuse(struct mo *mo, struct call *call)
{
    const struct vim_ValidateCredentialsInGuest_args *args = call->args;
    struct mo *vm = call_resolve_as(call, args->vm, VIM_MANAGED(VirtualMachine));

    (void)mo;
    if (vm && vm_require_on(call, vm_of(vm)))
        CALL_FAULT(call, GuestOperationsUnavailable);
}

#define CLASS(name, type_name)                      \
    const struct mo_class name##_class = {          \
        .type = VIM_MANAGED(type_name),             \
        .methods = name##_methods,                  \
        .method_count = ARRAY_SIZE(name##_methods), \
    }

static const struct mo_method guest_auth_manager_methods[] = {
    MO_METHOD(ValidateCredentialsInGuest, refuse),
    MO_METHOD(AcquireCredentialsInGuest, refuse),
    MO_METHOD(ReleaseCredentialsInGuest, refuse),
};
CLASS(guest_auth_manager, GuestAuthManager);

static const struct mo_method guest_file_manager_methods[] = {
    MO_METHOD(MakeDirectoryInGuest, refuse),
    MO_METHOD(DeleteFileInGuest, refuse),
    MO_METHOD(DeleteDirectoryInGuest, refuse),
    MO_METHOD(MoveDirectoryInGuest, refuse),
    MO_METHOD(MoveFileInGuest, refuse),
    MO_METHOD(CreateTemporaryFileInGuest, refuse),
    MO_METHOD(CreateTemporaryDirectoryInGuest, refuse),
    MO_METHOD(ListFilesInGuest, refuse),
    MO_METHOD(ChangeFileAttributesInGuest, refuse),
    MO_METHOD(InitiateFileTransferFromGuest, refuse),
    MO_METHOD(InitiateFileTransferToGuest, refuse),
};
CLASS(guest_file_manager, GuestFileManager);

static const struct mo_method guest_process_manager_methods[] = {
    MO_METHOD(StartProgramInGuest, refuse),
    MO_METHOD(ListProcessesInGuest, refuse),
    MO_METHOD(TerminateProcessInGuest, refuse),
    MO_METHOD(ReadEnvironmentVariableInGuest, refuse),
};
CLASS(guest_process_manager, GuestProcessManager);

static const struct mo_method guest_registry_manager_methods[] = {
    MO_METHOD(CreateRegistryKeyInGuest, refuse),  MO_METHOD(ListRegistryKeysInGuest, refuse),
    MO_METHOD(DeleteRegistryKeyInGuest, refuse),  MO_METHOD(SetRegistryValueInGuest, refuse),
    MO_METHOD(ListRegistryValuesInGuest, refuse), MO_METHOD(DeleteRegistryValueInGuest, refuse),
};
CLASS(guest_registry_manager, GuestWindowsRegistryManager);

static const struct mo_method guest_alias_manager_methods[] = {
    MO_METHOD(AddGuestAlias, refuse),          MO_METHOD(RemoveGuestAlias, refuse),
    MO_METHOD(RemoveGuestAliasByCert, refuse), MO_METHOD(ListGuestAliases, refuse),
    MO_METHOD(ListGuestMappedAliases, refuse),
};
CLASS(guest_alias_manager, GuestAliasManager);
