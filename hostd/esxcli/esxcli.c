/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/esxcli/esxcli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "hostd/api/soap.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/xml/xml.h"

#define OPEN(tag)                                     \
    "<" tag " xmlns=\"urn:vim25\""                    \
    " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"" \
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" versionId=\"5.0\" xsi:type=\""

static const struct cli_commands *const tables[] = {&esxcli_host, &esxcli_network, &esxcli_system};

const struct cli_command *cli_next(const struct cli_command *command)
{
    if (!command)
        return tables[0]->items;
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        if (command >= tables[i]->items && command < tables[i]->items + tables[i]->count) {
            if (++command < tables[i]->items + tables[i]->count)
                return command;
            return i + 1 < ARRAY_SIZE(tables) ? tables[i + 1]->items : NULL;
        }
    return NULL;
}

/* --- rows --- */

void cli_put(struct buf *out, const char *tag, const char *text)
{
    struct vim_any value = vim_any_string(text ? text : "");

    soap_write_value(out, tag, &value, value.shape, vim_version_count - 1);
}

/* Called as a method its rows are the result's elements. */
static const char *row_tag(const struct cli *cli)
{
    return cli->call->write ? "returnval" : "DataObject";
}

void cli_begin(struct cli *cli)
{
    if (cli->command->shape == CLI_ROWS) {
        struct arena cleanup_arena arena = {0};
        buf_printf(&cli->rows, "<%s xsi:type=\"%s\">", row_tag(cli),
                   cli_type_name(&arena, cli->command, true));
    }
}

void cli_end(struct cli *cli)
{
    if (cli->command->shape == CLI_ROWS)
        buf_printf(&cli->rows, "</%s>", row_tag(cli));
}

void cli_string(struct cli *cli, const char *field, const char *value)
{
    cli_put(&cli->rows, field, value);
}

void cli_long(struct cli *cli, const char *field, int64_t value)
{
    buf_printf(&cli->rows, "<%s>%lld</%s>", field, (long long)value, field);
}

void cli_bool(struct cli *cli, const char *field, bool value)
{
    buf_printf(&cli->rows, "<%s>%s</%s>", field, value ? "true" : "false", field);
}

void cli_value(struct cli *cli, const char *value)
{
    cli_put(&cli->rows, "v", value);
}

void cli_fail(struct cli *cli, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    cli->fault = arena_vprintf(cli->call->arena, fmt, ap);
    va_end(ap);
}

struct vim_any cli_property(struct cli *cli, const char *id, unsigned prop)
{
    struct mo *mo = mo_find(cli->call->api->registry, id);

    return mo ? mo_get(mo, &vim_managed_props[prop], cli->call) : vim_any_none();
}

/* --- arguments: each is an element in a string --- */

static bool read_arguments(struct cli *cli, const char *const *texts, size_t count)
{
    VIM_LIST(struct xml_element *) list = {0};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < count; i++) {
        struct xml_element *root;
        if (xml_parse(cli->call->arena, texts[i], strlen(texts[i]), &root, &err) < 0)
            return false;
        VIM_ADD(cli->call->arena, &list, root);
    }
    cli->arguments = (struct vim_list){list.count, list.items};
    return true;
}

const char *cli_argument(const struct cli *cli, const char *name)
{
    struct xml_element **items = cli->arguments.items;

    for (size_t i = 0; i < cli->arguments.count; i++)
        if (!strcasecmp(items[i]->name, name))
            return items[i]->text;
    return NULL;
}

static bool has_parameters(struct cli *cli)
{
    const struct cli_param *params = cli->command->params;

    for (unsigned i = 0; i < ARRAY_SIZE(cli->command->params) && params[i].name; i++)
        if (params[i].required && !cli_argument(cli, params[i].name)) {
            cli_fail(cli, "Missing required parameter %s", params[i].alias);
            return false;
        }
    return true;
}

/* --- answers --- */

static void put_answer(struct cli *cli, struct buf *out)
{
    static const char *const plain[] = {
        [CLI_STRING] = "xsd:string", [CLI_LONG] = "xsd:long", [CLI_BOOLEAN] = "xsd:boolean"};
    const struct cli_command *command = cli->command;
    const char *rows = buf_cstr(&cli->rows), *tag = cli->call->write ? "returnval" : "obj";

    if (command->shape == CLI_ROWS && cli->call->write) {
        buf_put_str(out, rows);
    } else if (command->shape == CLI_ROWS) {
        buf_printf(out, OPEN("%s") "ArrayOfDataObject\">%s</%s>", tag, rows, tag);
    } else if (command->shape == CLI_ROW) {
        buf_printf(out, OPEN("%s") "%s\">%s</%s>", tag,
                   cli_type_name(cli->call->arena, command, true), rows, tag);
    } else {
        size_t len = strlen("<v>"), end = strlen("</v>"); /* of cli_value */
        int inner = cli->rows.len > len + end ? (int)(cli->rows.len - len - end) : 0;
        buf_printf(out, OPEN("%s") "%s\">%.*s</%s>", tag, plain[command->shape], inner, rows + len,
                   tag);
    }
}

static struct vim_ReflectManagedMethodExecuterSoapFault *cli_fault(struct arena *arena,
                                                                   const char *text)
{
    struct vim_ReflectManagedMethodExecuterSoapFault *fault =
        VIM_NEW(arena, ReflectManagedMethodExecuterSoapFault);
    cleanup_buf struct buf detail = {0};

    buf_put_str(&detail, OPEN("obj") "VimEsxCLICLIFault\">");
    cli_put(&detail, "errMsg", text);
    buf_put_str(&detail, "</obj>");
    fault->faultMsg = "EsxCLI.CLIFault.summary";
    fault->faultDetail = arena_strdup(arena, buf_cstr(&detail));
    return fault;
}

void cli_execute(struct call *call, const struct cli_command *command, const char *const *texts,
                 size_t count)
{
    struct vim_ReflectManagedMethodExecuterSoapResult *result =
        VIM_NEW(call->arena, ReflectManagedMethodExecuterSoapResult);
    struct cli cli = {.call = call, .command = command};
    cleanup_buf struct buf out = {0};

    if (!read_arguments(&cli, texts, count)) {
        call_fault_argument(call, "argument");
        return;
    }
    if (has_parameters(&cli))
        command->run(&cli);
    if (cli.fault && call->write) /* called as a method: the call itself fails */
        CALL_FAULT_TEXT(call, SystemError, "%s", cli.fault);
    else if (cli.fault)
        result->fault = cli_fault(call->arena, cli.fault);
    else
        put_answer(&cli, &out);
    if (!cli.fault)
        result->response = arena_strdup(call->arena, buf_cstr(&out));
    buf_free(&cli.rows);
    if (!call->fault)
        call_return(call, vim_any_data(result));
}
