/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as the types that clients make classes of. The version of all is the first that had
 * esxcli this way. */
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/esxcli/esxcli.h"

#define VERSION "vim.version.version5"
#define VMODL   "vim.EsxCLI."
#define WSDL    "VimEsxCLI"

static const char *without_dots(struct arena *arena, const char *text)
{
    char *out = arena_strdup(arena, text), *to = out;

    for (const char *from = text; *from; from++)
        if (*from != '.')
            *to++ = *from;
    *to = '\0';
    return out;
}

static const char *space_name(struct arena *arena, const char *space, bool wsdl)
{
    return wsdl ? arena_printf(arena, WSDL "%s", without_dots(arena, space))
                : arena_printf(arena, VMODL "%s", space);
}

static const char *method_name(struct arena *arena, const struct cli_command *c)
{
    return arena_printf(arena, WSDL "%s%s", without_dots(arena, c->space), c->name);
}

const char *cli_type_name(struct arena *arena, const struct cli_command *c, bool wsdl)
{
    return wsdl ? arena_printf(arena, WSDL "%s%s%s", without_dots(arena, c->space), c->name, c->row)
                : arena_printf(arena, VMODL "%s.%s.%s", c->space, c->name, c->row);
}

const char *cli_method_name(struct arena *arena, const struct cli_command *c)
{
    return arena_printf(arena, WSDL "%s%s", without_dots(arena, c->space), c->name);
}

static const char *result_type(struct arena *arena, const struct cli_command *c)
{
    static const char *const plain[] = {
        [CLI_STRING] = "string", [CLI_LONG] = "long", [CLI_BOOLEAN] = "boolean"};

    if (c->shape == CLI_ROWS)
        return arena_printf(arena, "%s[]", cli_type_name(arena, c, false));
    return c->shape == CLI_ROW ? cli_type_name(arena, c, false) : plain[c->shape];
}

static struct vim_DynamicTypeMgrAnnotation *optional(struct arena *arena)
{
    struct vim_DynamicTypeMgrAnnotation *a = VIM_NEW(arena, DynamicTypeMgrAnnotation);

    a->name = "optional";
    return a;
}

/* "Name:string Networks:string[]" */
static void add_fields(struct arena *arena, const char *fields,
                       struct vim_DynamicTypeMgrDataTypeInfo *type)
{
    for (const char *at = fields; *at; at += strspn(at, " ")) {
        struct vim_DynamicTypeMgrPropertyTypeInfo *p =
            VIM_NEW(arena, DynamicTypeMgrPropertyTypeInfo);
        size_t name = strcspn(at, ":"), len = strcspn(at, " ");
        p->name = arena_strndup(arena, at, name);
        p->type = arena_strndup(arena, at + name + 1, len - name - 1);
        p->version = VERSION;
        VIM_ADD(arena, &p->annotation, optional(arena));
        VIM_ADD(arena, &type->property, p);
        at += len;
    }
}

static void add_data_type(struct arena *arena, struct vim_DynamicTypeMgrAllTypeInfo *all,
                          const char *name, const char *wsdl, const char *fields)
{
    struct vim_DynamicTypeMgrDataTypeInfo *type = VIM_NEW(arena, DynamicTypeMgrDataTypeInfo);

    type->name = name;
    type->wsdlName = wsdl;
    type->version = VERSION;
    VIM_ADD(arena, &type->base, "vmodl.DynamicData");
    add_fields(arena, fields, type);
    VIM_ADD(arena, &all->dataTypeInfo, type);
}

static struct vim_DynamicTypeMgrMethodTypeInfo *
method_info(struct arena *arena, const struct cli_command *c, const char *wsdl, const char *result)
{
    struct vim_DynamicTypeMgrMethodTypeInfo *m = VIM_NEW(arena, DynamicTypeMgrMethodTypeInfo);

    m->name = c->name;
    m->wsdlName = wsdl;
    m->version = VERSION;
    for (unsigned i = 0; i < ARRAY_SIZE(c->params) && c->params[i].name; i++) {
        struct vim_DynamicTypeMgrParamTypeInfo *p = VIM_NEW(arena, DynamicTypeMgrParamTypeInfo);
        p->name = c->params[i].name;
        p->version = VERSION;
        p->type = "string";
        if (!c->params[i].required)
            VIM_ADD(arena, &p->annotation, optional(arena));
        VIM_ADD(arena, &m->paramTypeInfo, p);
    }
    m->returnTypeInfo = VIM_NEW(arena, DynamicTypeMgrParamTypeInfo);
    m->returnTypeInfo->name = "result";
    m->returnTypeInfo->version = VERSION;
    m->returnTypeInfo->type = result;
    VIM_ADD(arena, &m->fault, "vim.EsxCLI.CLIFault");
    return m;
}

static struct vim_DynamicTypeMgrManagedTypeInfo *
space_type(struct arena *arena, struct vim_DynamicTypeMgrAllTypeInfo *all, const char *space)
{
    const char *name = space_name(arena, space, false);

    for (size_t i = 0; i < all->managedTypeInfo.count; i++)
        if (!strcmp(all->managedTypeInfo.items[i]->name, name))
            return all->managedTypeInfo.items[i];
    struct vim_DynamicTypeMgrManagedTypeInfo *type = VIM_NEW(arena, DynamicTypeMgrManagedTypeInfo);
    type->name = name;
    type->wsdlName = space_name(arena, space, true);
    type->version = VERSION;
    VIM_ADD(arena, &type->base, "vmodl.ManagedObject");
    VIM_ADD(arena, &all->managedTypeInfo, type);
    return type;
}

/* What answers vim.CLIInfo.FetchCLIInfo, and what it answers: see cli_info. */
static void add_info_types(struct arena *arena, struct vim_DynamicTypeMgrAllTypeInfo *all)
{
#define ITEM "name:string displayName:string help:string"
    static const struct {
        const char *name, *wsdl, *fields;
    } types[] = {
        {CLI_INFO_TYPE ".Param", "VimCLIInfoParam", ITEM " aliases:string[] flag:boolean"},
        {CLI_INFO_TYPE ".Hint", "VimCLIInfoHint", "key:string value:string"},
        {CLI_INFO_TYPE ".Method", "VimCLIInfoMethod",
         ITEM " param:" CLI_INFO_TYPE ".Param[] hints:" CLI_INFO_TYPE ".Hint[]"},
        {CLI_INFO_TYPE ".CommandInfo", "VimCLIInfoCommandInfo",
         ITEM " method:" CLI_INFO_TYPE ".Method[]"},
    };
    static const struct cli_command fetch = {.name = "FetchCLIInfo",
                                             .params = {{"typeName", "", "", true}}};
    struct vim_DynamicTypeMgrManagedTypeInfo *type = VIM_NEW(arena, DynamicTypeMgrManagedTypeInfo);

    type->name = CLI_INFO_TYPE;
    type->wsdlName = "VimCLIInfo";
    type->version = VERSION;
    VIM_ADD(arena, &type->base, "vmodl.ManagedObject");
    VIM_EMPTY(&type->property);
    VIM_ADD(arena, &type->method,
            method_info(arena, &fetch, "VimCLIInfoFetchCLIInfo", CLI_INFO_TYPE ".CommandInfo"));
    VIM_ADD(arena, &all->managedTypeInfo, type);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        add_data_type(arena, all, types[i].name, types[i].wsdl, types[i].fields);
}

struct vim_DynamicTypeMgrAllTypeInfo *cli_types(struct arena *arena, const char *part)
{
    struct vim_DynamicTypeMgrAllTypeInfo *all = VIM_NEW(arena, DynamicTypeMgrAllTypeInfo);

    if (!part || strstr(CLI_INFO_TYPE, part))
        add_info_types(arena, all);

    for (const struct cli_command *c = NULL; (c = cli_next(c));) {
        if (part && !strstr(space_name(arena, c->space, false), part))
            continue;
        VIM_ADD(arena, &space_type(arena, all, c->space)->method,
                method_info(arena, c, method_name(arena, c), result_type(arena, c)));
        if (c->row)
            add_data_type(arena, all, cli_type_name(arena, c, false), cli_type_name(arena, c, true),
                          c->fields);
    }
    return all;
}

/* --- CLIInfo --- */

static void put_item(struct buf *out, const char *name, const char *help)
{
    cli_put(out, "name", name);
    cli_put(out, "displayName", name);
    cli_put(out, "help", help);
}

static void put_param(struct buf *out, const struct cli_param *p)
{
    char longer[64];

    buf_put_str(out, "<param>");
    put_item(out, p->name, p->help);
    cli_put(out, "aliases", p->alias);
    (void)snprintf(longer, sizeof longer, "--%s", p->name);
    cli_put(out, "aliases", longer);
    buf_put_str(out, "<flag>false</flag></param>");
}

static void put_hint(struct buf *out, const char *key, const char *value)
{
    buf_put_str(out, "<hints>");
    cli_put(out, "key", key);
    cli_put(out, "value", value);
    buf_put_str(out, "</hints>");
}

static void put_columns(struct buf *out, const char *fields)
{
    struct buf columns = {0};

    for (const char *at = fields; *at; at += strspn(at, " ")) {
        if (columns.len)
            buf_put(&columns, ",", 1);
        buf_put(&columns, at, strcspn(at, ":"));
        at += strcspn(at, " ");
    }
    put_hint(out, "table-columns", buf_cstr(&columns));
    buf_free(&columns);
}

static void put_method(struct buf *out, const struct cli_command *c)
{
    buf_put_str(out, "<method>");
    put_item(out, c->name, c->help);
    for (unsigned i = 0; i < ARRAY_SIZE(c->params) && c->params[i].name; i++)
        put_param(out, &c->params[i]);
    put_hint(out, "formatter", c->shape == CLI_ROWS ? "table" : "simple");
    if (c->shape == CLI_ROWS)
        put_columns(out, c->fields);
    buf_put_str(out, "</method>");
}

bool cli_info(struct buf *out, const char *type_name)
{
    bool found = false;

    if (strncmp(type_name, VMODL, strlen(VMODL)) != 0)
        return false;
    const char *space = type_name + strlen(VMODL);
    buf_put_str(out, "<obj xmlns=\"urn:vim25\" "
                     "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
                     "versionId=\"5.0\" xsi:type=\"VimCLIInfoCommandInfo\">");
    put_item(out, space, "");
    for (const struct cli_command *c = NULL; (c = cli_next(c));)
        if (!strcmp(c->space, space)) {
            put_method(out, c);
            found = true;
        }
    buf_put_str(out, "</obj>");
    return found;
}
