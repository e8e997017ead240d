/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of faults. Clients and scripts look for some of them word by word; a fault that has no
 * line of its own takes that of its base. {name} is the value of a property: text as it is, an
 * object as 'vim.Type:id', an enum's value in words. */
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/text.h"
#include "hostd/api/vim_types.gen.h"

static const struct {
    uint16_t type;
    const char *text;
} texts[] = {
    {VIM_T_AlreadyExists, "The specified key, name, or identifier already exists."},
    {VIM_T_AlreadyUpgraded, "The virtual hardware is of that version already, or newer."},
    {VIM_T_ConcurrentAccess, "The resource is being modified by another operation."},
    {VIM_T_DatastoreNotWritableOnHost, "The datastore '{name}' is not writable on this host."},
    {VIM_T_DeviceNotFound, "The device was not found."},
    {VIM_T_DuplicateName, "The name '{name}' already exists."},
    {VIM_T_FileAlreadyExists, "The specified file {file} already exists."},
    {VIM_T_FileFault, "Unable to access file {file}"},
    {VIM_T_FileLocked, "Unable to access file {file} since it is locked"},
    {VIM_T_FileNotFound, "File {file} was not found"},
    {VIM_T_GenericVmConfigFault, "{reason}"},
    {VIM_T_GuestOperationsUnavailable, "The guest operations agent could not be contacted."},
    {VIM_T_InsufficientResourcesFault,
     "The available resources are insufficient for the operation."},
    {VIM_T_InvalidArgument, "A specified parameter was not correct: {invalidProperty}"},
    {VIM_T_InvalidCollectorVersion, "The collector version is not valid."},
    {VIM_T_InvalidDatastore, "Invalid datastore '{name}'."},
    {VIM_T_InvalidDatastorePath, "Invalid datastore path '{datastorePath}'."},
    {VIM_T_InvalidDeviceBacking,
     "Incompatible device backing specified for device '{deviceIndex}'."},
    {VIM_T_InvalidDeviceOperation, "Invalid operation for device '{deviceIndex}'."},
    {VIM_T_InvalidDeviceSpec, "Invalid configuration for device '{deviceIndex}'."},
    {VIM_T_InvalidFolder, "The target folder is not valid: {target}"},
    {VIM_T_InvalidLocale, "The locale is not valid."},
    {VIM_T_InvalidLogin, "Cannot complete login due to an incorrect user name or password."},
    {VIM_T_InvalidName, "The name '{name}' is invalid."},
    {VIM_T_InvalidPowerState,
     "The attempted operation cannot be performed in the current state ({existingState})."},
    {VIM_T_InvalidPrivilege, "The privilege '{privilege}' is not valid."},
    {VIM_T_InvalidProperty, "The property '{name}' is not valid."},
    {VIM_T_InvalidRequest, "The request is not valid."},
    {VIM_T_InvalidState, "The operation is not allowed in the current state."},
    {VIM_T_InvalidType, "A type is not valid: {argument}"},
    {VIM_T_InvalidVmConfig, "The virtual machine's configuration is not valid: {property}"},
    {VIM_T_LimitExceeded, "The operation exceeds a limit: {property}"},
    {VIM_T_ManagedObjectNotFound,
     "The object {obj} has already been deleted or has not been completely created"},
    {VIM_T_MethodNotFound, "The object {receiver} has no method {method}."},
    {VIM_T_NoDiskSpace, "There is not enough space on the datastore {datastore}."},
    {VIM_T_NoPermission, "Permission to perform this operation was denied."},
    {VIM_T_NotAuthenticated, "The session is not authenticated."},
    {VIM_T_NotEnoughLicenses, "There are not enough licenses."},
    {VIM_T_NotFound, "The requested object was not found."},
    {VIM_T_NotImplemented, "The operation is not implemented."},
    {VIM_T_NotSupported, "The operation is not supported on the object."},
    {VIM_T_OutOfBounds, "The argument is out of bounds: {argumentName}"},
    {VIM_T_RequestCanceled, "The task was canceled by a user."},
    {VIM_T_ResourceInUse, "The resource '{name}' is in use."},
    {VIM_T_RestrictedVersion, "The operation is restricted."},
    {VIM_T_SystemError, "A general system error occurred: {reason}"},
    {VIM_T_TaskInProgress, "Another task is already in progress."},
    {VIM_T_Timedout, "The operation timed out."},
    {VIM_T_ToolsUnavailable,
     "Cannot complete operation because VMware Tools is not running in this virtual machine."},
    {VIM_T_UserNotFound, "The user or group named '{principal}' does not exist."},
};

/* Its own text or that of what it is a kind of; else its name, in words, says more than nothing. */
static const char *template_of(struct arena *arena, const struct vim_type *type)
{
    for (const struct vim_type *t = type; t; t = t->base)
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
            if (&vim_types[texts[i].type] == t)
                return texts[i].text;
    return arena_printf(arena, "%s.", text_words(arena, type->name));
}

static const char *value_text(struct arena *arena, const struct vim_any *value)
{
    char text[TEXT_TIME_MAX];
    if (value->shape.list)
        return "";
    switch (value->shape.kind) {
    case VIM_NONE:
    case VIM_DATA:
    case VIM_ANY:
    case VIM_BINARY:
        return "";
    case VIM_STRING:
    case VIM_URI:
    case VIM_TYPENAME:
        return value->str;
    case VIM_ENUM:
        return text_words(arena, vim_enums[value->shape.of].values[value->i]);
    case VIM_REF:
        return arena_printf(arena, "'%s:%s'", value->ref.type->vmodl, value->ref.id);
    default:
        return arena_strdup(arena, text_scalar(text, value));
    }
}

const char *fault_text(struct arena *arena, const struct vim_data *fault)
{
    const char *p = template_of(arena, fault->type);
    const char *text = "";
    for (;;) {
        const char *open = strchr(p, '{'), *close = open ? strchr(open, '}') : NULL;
        if (!close)
            return *text ? arena_printf(arena, "%s%s", text, p) : p;
        const struct vim_property *prop =
            vim_type_property(fault->type, open + 1, (size_t)(close - open - 1));
        struct vim_any value = prop ? vim_get(fault, prop) : vim_any_none();
        text = arena_printf(arena, "%s%.*s%s", text, (int)(open - p), p, value_text(arena, &value));
        p = close + 1;
    }
}

struct vim_LocalizedMethodFault *fault_localized(struct arena *arena, struct vim_data *fault,
                                                 const char *text)
{
    struct vim_LocalizedMethodFault *localized = VIM_NEW(arena, LocalizedMethodFault);
    localized->fault = (struct vim_MethodFault *)fault;
    localized->localizedMessage = text ? text : fault_text(arena, fault);
    return localized;
}

/* --- of a call --- */

void call_fault(struct call *call, struct vim_data *fault)
{
    call->result = vim_any_none();
    call->fault = fault;
    call->fault_text = fault_text(call->arena, fault);
}

void call_fault_text(struct call *call, struct vim_data *fault, const char *fmt, ...)
{
    call_fault(call, fault);
    va_list ap;
    va_start(ap, fmt);
    call->fault_text = arena_vprintf(call->arena, fmt, ap);
    va_end(ap);
}

void call_fault_not_found(struct call *call, struct vim_ref ref)
{
    struct vim_ManagedObjectNotFound *fault = VIM_NEW(call->arena, ManagedObjectNotFound);
    fault->obj = ref;
    call_fault(call, &fault->self);
}

void call_fault_no_permission(struct call *call, struct mo *mo, const char *priv)
{
    struct vim_NoPermission *fault = VIM_NEW(call->arena, NoPermission);
    fault->object = mo_ref(mo);
    fault->privilegeId = priv;
    call_fault(call, &fault->self);
}

void call_fault_argument(struct call *call, const char *property)
{
    struct vim_InvalidArgument *fault = VIM_NEW(call->arena, InvalidArgument);
    fault->invalidProperty = property;
    call_fault(call, &fault->self);
}
