/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/method_executer.h"

#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/esxcli/esxcli.h"
#include "hostd/model/classes.h"
#include "hostd/xml/xml.h"

#define EXECUTER     "ha-managed-method-executer"
#define TYPE_MANAGER "ha-dynamic-type-manager"
#define CLI_INFO     "ha-dynamic-type-manager-local-cli-cliinfo"
#define HANDLER      "ha-cli-handler-"

enum { ARGUMENTS_MAX = 32 };

/* --- objects of commands: "ha-cli-handler-network-vm" --- */

static bool is_handler(const char *moid, const char *space)
{
    if (strncmp(moid, HANDLER, strlen(HANDLER)) != 0)
        return false;
    for (moid += strlen(HANDLER); *moid && *space; moid++, space++)
        if (*moid != (*space == '.' ? '-' : *space))
            return false;
    return !*moid && !*space;
}

/* "vim.EsxCLI.network.vm.list"; some write the last word with a capital. */
static bool is_method(const char *method, const struct cli_command *c)
{
    static const char prefix[] = "vim.EsxCLI.";
    size_t len = strlen(c->space);

    return !strncmp(method, prefix, strlen(prefix)) &&
           !strncmp(method + strlen(prefix), c->space, len) &&
           method[strlen(prefix) + len] == '.' &&
           !strcasecmp(method + strlen(prefix) + len + 1, c->name);
}

static const struct cli_command *find(const char *moid, const char *method)
{
    for (const struct cli_command *c = NULL; (c = cli_next(c));)
        if (is_handler(moid, c->space) && is_method(method, c))
            return c;
    return NULL;
}

/* --- executing --- */

static void return_response(struct call *call, struct buf *text)
{
    struct vim_ReflectManagedMethodExecuterSoapResult *result =
        VIM_NEW(call->arena, ReflectManagedMethodExecuterSoapResult);

    result->response = arena_strdup(call->arena, buf_cstr(text));
    call_return(call, vim_any_data(result));
}

/* vim.CLIInfo.FetchCLIInfo(typeName) */
static void fetch_info(struct call *call, const struct vim_ExecuteSoap_args *args)
{
    struct xml_element *name = NULL;
    cleanup_buf struct buf text = {0};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < args->argument.count; i++) {
        const struct vim_ReflectManagedMethodExecuterSoapArgument *a = args->argument.items[i];
        if (!strcmp(a->name, "typeName") &&
            xml_parse(call->arena, a->val, strlen(a->val), &name, &err) < 0)
            name = NULL;
    }
    if (!name || !cli_info(&text, name->text))
        call_fault_argument(call, "typeName");
    else
        return_response(call, &text);
}

static void execute(struct mo *mo, struct call *call)
{
    const struct vim_ExecuteSoap_args *args = call->args;
    const char *texts[ARGUMENTS_MAX];

    (void)mo;
    if (args->argument.count > ARGUMENTS_MAX) {
        call_fault_argument(call, "argument");
        return;
    }
    if (!strcmp(args->moid, CLI_INFO) && !strcasecmp(args->method, "vim.CLIInfo.FetchCLIInfo")) {
        fetch_info(call, args);
        return;
    }
    const struct cli_command *command = find(args->moid, args->method);
    if (!command) {
        CALL_FAULT_TEXT(call, InvalidRequest, "There is no method %.200s of %.200s.", args->method,
                        args->moid);
        return;
    }
    for (size_t i = 0; i < args->argument.count; i++)
        texts[i] = args->argument.items[i]->val;
    cli_execute(call, command, texts, args->argument.count);
}

static const struct mo_method executer_methods[] = {MO_METHOD(ExecuteSoap, execute)};
const struct mo_class managed_method_executer_class = {
    .type = VIM_MANAGED(ReflectManagedMethodExecuter),
    .methods = executer_methods,
    .method_count = ARRAY_SIZE(executer_methods),
};

/* --- a command as a method --- */

/* "VimEsxCLInetworkvmlist" */
static const struct cli_command *find_direct(struct arena *arena, const char *moid,
                                             const char *name)
{
    for (const struct cli_command *c = NULL; (c = cli_next(c));)
        if (is_handler(moid, c->space) && !strcasecmp(name, cli_method_name(arena, c)))
            return c;
    return NULL;
}

static void write_direct(struct buf *out, const struct call *call)
{
    const struct vim_ReflectManagedMethodExecuterSoapResult *result =
        (const void *)call->result.data;

    buf_put_str(out, result && result->response ? result->response : "");
}

bool executer_rewrite(struct call *call, const struct xml_element *request)
{
    const struct xml_element *this = xml_child(request, "_this");
    const struct cli_command *command =
        this ? find_direct(call->arena, this->text, request->name) : NULL;

    if (!command)
        return false;
    struct vim_ExecuteSoap_args *args = (struct vim_ExecuteSoap_args *)(void *)vim_new(
        call->arena, vim_methods[VIM_C_ExecuteSoap].args);
    args->moid = arena_strdup(call->arena, this->text);
    args->version = "urn:vim25/5.0";
    args->method = arena_printf(call->arena, "vim.EsxCLI.%s.%s", command->space, command->name);
    for (const struct xml_element *e = request->first; e; e = e->next) {
        cleanup_buf struct buf text = {0};
        if (e == this)
            continue;
        struct vim_ReflectManagedMethodExecuterSoapArgument *a =
            VIM_NEW(call->arena, ReflectManagedMethodExecuterSoapArgument);
        cli_put(&text, e->name, e->text);
        a->name = arena_strdup(call->arena, e->name);
        a->val = arena_strdup(call->arena, buf_cstr(&text));
        VIM_ADD(call->arena, &args->argument, a);
    }
    call->method = &vim_methods[VIM_C_ExecuteSoap];
    call->target = VIM_REF(ReflectManagedMethodExecuter, EXECUTER);
    call->args = args;
    call->called = arena_strdup(call->arena, request->name);
    call->write = write_direct;
    return true;
}

/* --- types --- */

static void query_types(struct mo *mo, struct call *call)
{
    const struct vim_DynamicTypeMgrQueryTypeInfo_args *args = call->args;
    const struct vim_DynamicTypeMgrTypeFilterSpec *filter =
        VIM_AS(DynamicTypeMgrTypeFilterSpec, args->filterSpec);

    (void)mo;
    call_return(call, vim_any_data(cli_types(call->arena, filter ? filter->typeSubstr : NULL)));
}

typedef VIM_LIST(struct vim_DynamicTypeMgrMoInstance *) instance_list;

static void add_instance(struct arena *arena, instance_list *list,
                         const struct vim_DynamicTypeMgrMoFilterSpec *filter, const char *id,
                         const char *type)
{
    struct vim_DynamicTypeMgrMoInstance *i = VIM_NEW(arena, DynamicTypeMgrMoInstance);

    if (filter && ((filter->id && strcmp(filter->id, id) != 0) ||
                   (filter->typeSubstr && !strstr(type, filter->typeSubstr))))
        return;
    i->id = id;
    i->moType = type;
    VIM_ADD(arena, list, i);
}

static void query_instances(struct mo *mo, struct call *call)
{
    const struct vim_DynamicTypeMgrQueryMoInstances_args *args = call->args;
    const struct vim_DynamicTypeMgrMoFilterSpec *filter =
        VIM_AS(DynamicTypeMgrMoFilterSpec, args->filterSpec);
    instance_list list = {0};
    const struct cli_command *before = NULL;

    (void)mo;
    VIM_EMPTY(&list);
    add_instance(call->arena, &list, filter, CLI_INFO, CLI_INFO_TYPE);
    for (const struct cli_command *c = NULL; (c = cli_next(c)); before = c) {
        if (before && !strcmp(before->space, c->space))
            continue;
        char *id = arena_printf(call->arena, HANDLER "%s", c->space);
        for (char *at = id; *at; at++)
            if (*at == '.')
                *at = '-';
        add_instance(call->arena, &list, filter, id,
                     arena_printf(call->arena, "vim.EsxCLI.%s", c->space));
    }
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_DynamicTypeMgrMoInstance, &list));
}

static const struct mo_method type_methods[] = {
    MO_METHOD(DynamicTypeMgrQueryTypeInfo, query_types),
    MO_METHOD(DynamicTypeMgrQueryMoInstances, query_instances),
};
const struct mo_class dynamic_type_manager_class = {
    .type = VIM_MANAGED(InternalDynamicTypeManager),
    .methods = type_methods,
    .method_count = ARRAY_SIZE(type_methods),
};

/* --- HostSystem's --- */

void host_retrieve_executer(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_ref(VIM_REF(ReflectManagedMethodExecuter, EXECUTER)));
}

void host_retrieve_type_manager(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_ref(VIM_REF(InternalDynamicTypeManager, TYPE_MANAGER)));
}
