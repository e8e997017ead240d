/* SPDX-License-Identifier: Apache-2.0 */
/* esxcli: commands in namespaces ("network.vm" "list") that clients find out about and call by
 * reflection (model/method_executer.c). A command is an entry of a table: what it is called, what
 * its rows hold, which parameters it takes, and a function that says the rows. What it says comes
 * from the same managed objects that the API shows, or from the machine as host/ reads it.
 *
 *   esxcli.c          the tables together; arguments, rows, answers
 *   esxcli_types.c    the commands as types: descriptions, CLIInfo
 *   esxcli_host.c esxcli_network.c esxcli_system.c   the commands
 *
 * An answer is XML in a string, as ESXi's: <obj xsi:type="..."> with one row, an array of rows, or
 * a plain value; of a call that writes its response itself (a command as a method), that response:
 * <returnval>, one a row. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hostd/api/call.h"

struct cli;

enum cli_shape { CLI_ROW, CLI_ROWS, CLI_STRING, CLI_LONG, CLI_BOOLEAN };

struct cli_param {
    const char *name, *alias, *help; /* "nicname", "-n" */
    bool required;
};

struct cli_command {
    const char *space, *name; /* "network.vm", "list" */
    const char *help;
    enum cli_shape shape;
    /* Of rows: the type's last word, and what they hold, in order: "Name:string Networks:string[]".
     */
    const char *row, *fields;
    struct cli_param params[3]; /* up to the first without a name */
    void (*run)(struct cli *cli);
};

struct cli_commands {
    const struct cli_command *items;
    size_t count;
};
extern const struct cli_commands esxcli_host, esxcli_network, esxcli_system;

/* All commands one after another: NULL first, NULL at the end. */
const struct cli_command *cli_next(const struct cli_command *command);

/* --- running one --- */

struct cli {
    struct call *call;
    const struct cli_command *command;
    struct vim_list arguments; /* of struct xml_element * */
    struct buf rows;
    const char *fault; /* what went wrong, for a person; NULL: nothing */
};

/* The answer to ExecuteSoap, or the call's fault. */
void cli_execute(struct call *call, const struct cli_command *command, const char *const *texts,
                 size_t count);

/* For commands. */
const char *cli_argument(const struct cli *cli, const char *name); /* NULL: not given */
void cli_fail(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_begin(struct cli *cli); /* a row */
void cli_end(struct cli *cli);
void cli_string(struct cli *cli, const char *field, const char *value); /* NULL: "" */
void cli_long(struct cli *cli, const char *field, int64_t value);
void cli_bool(struct cli *cli, const char *field, bool value);
/* The answer of a command whose shape is no row. */
void cli_value(struct cli *cli, const char *value);

/* A property of an object by its id: a data object, or NULL. CLI_GET(cli, "networkSystem",
 * HostNetworkSystem, networkInfo, HostNetworkInfo) */
struct vim_any cli_property(struct cli *cli, const char *id, unsigned prop);
#define CLI_GET(cli, id, managed, property, type) \
    ((const struct vim_##type *)(void *)cli_property(cli, id, VIM_P_##managed##_##property).data)

/* --- as types --- */

#define CLI_INFO_TYPE "vim.CLIInfo" /* of the object that describes commands */

/* "vim.EsxCLI." and "VimEsxCLI" names: of the namespace (name NULL), the command, its row. */
const char *cli_type_name(struct arena *arena, const struct cli_command *command, bool wsdl);
/* "VimEsxCLInetworkvmlist": the command as a method on the wire. */
const char *cli_method_name(struct arena *arena, const struct cli_command *command);
struct vim_DynamicTypeMgrAllTypeInfo;
/* `part`: only namespaces whose type's name contains it; NULL: all. */
struct vim_DynamicTypeMgrAllTypeInfo *cli_types(struct arena *arena, const char *part);
/* CLIInfo of a namespace ("vim.EsxCLI.network.vm") as XML; false: there is none. */
bool cli_info(struct buf *out, const char *type_name);

/* XML text with what it may not carry escaped, between tags of that name. */
void cli_put(struct buf *out, const char *tag, const char *text);
