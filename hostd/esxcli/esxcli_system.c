/* SPDX-License-Identifier: Apache-2.0 */
/* hardware.clock, system. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/range.h"
#include "hostd/about.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/esxcli/esxcli.h"
#include "hostd/model/host_maintenance.h"
#include "hostd/model/inventory.h"

static void clock_get(struct cli *cli)
{
    time_t now = (time_t)(clock_realtime(&clock_host) / 1000000000);
    char text[40];
    struct tm tm;

    (void)gmtime_r(&now, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    cli_value(cli, text);
}

static void hostname_get(struct cli *cli)
{
    const struct machine *m = &hostd_of(cli->call)->inventory->machine;

    cli_begin(cli);
    cli_string(cli, "DomainName", m->domain_name);
    cli_string(cli, "FullyQualifiedDomainName",
               arena_printf(cli->call->arena, "%s%s%s", m->host_name, *m->domain_name ? "." : "",
                            m->domain_name));
    cli_string(cli, "HostName", m->host_name);
    cli_end(cli);
}

static void maintenance_get(struct cli *cli)
{
    cli_value(cli, maintenance_in(hostd_of(cli->call)) ? "Enabled" : "Disabled");
}

/* An option's path is its key with slashes: "/Security/AccountUnlockTime". */
static const char *path_of(struct arena *arena, const char *key)
{
    char *path = arena_printf(arena, "/%s", key);

    for (char *c = path; *c; c++)
        if (*c == '.')
            *c = '/';
    return path;
}

static void put_option(struct cli *cli, const struct vim_OptionDef *def, int64_t value)
{
    const struct vim_LongOption *range = VIM_AS(LongOption, def->optionType);

    cli_begin(cli);
    cli_long(cli, "DefaultIntValue", range ? range->defaultValue : 0);
    cli_string(cli, "DefaultStringValue", "");
    cli_string(cli, "Description", def->label);
    cli_long(cli, "IntValue", value);
    cli_long(cli, "MaxValue", range ? range->max : 0);
    cli_long(cli, "MinValue", range ? range->min : 0);
    cli_string(cli, "Path", path_of(cli->call->arena, def->key));
    cli_string(cli, "StringValue", "");
    cli_string(cli, "Type", "integer");
    cli_end(cli);
}

static void advanced_list(struct cli *cli)
{
    struct vim_any defs = cli_property(cli, "ha-adv-options", VIM_P_OptionManager_supportedOption);
    struct vim_any values = cli_property(cli, "ha-adv-options", VIM_P_OptionManager_setting);
    const char *wanted = cli_argument(cli, "option");

    for (size_t i = 0; i < defs.list.count; i++) {
        const struct vim_OptionDef *def = ((struct vim_OptionDef **)defs.list.items)[i];
        const struct vim_OptionValue *value = ((struct vim_OptionValue **)values.list.items)[i];
        if (!wanted || !strcmp(wanted, path_of(cli->call->arena, def->key)))
            put_option(cli, def, value->value.l);
    }
    if (wanted && !cli->rows.len)
        cli_fail(cli, "Unable to find option %s", wanted);
}

/* Microseconds. */
static void uptime_get(struct cli *cli)
{
    int64_t up = (int64_t)(clock_realtime(&clock_host) / 1000) -
                 hostd_of(cli->call)->inventory->machine.boot_us;

    cli_value(cli, arena_printf(cli->call->arena, "%lld", (long long)up));
}

static void uuid_get(struct cli *cli)
{
    cli_value(cli, hostd_of(cli->call)->inventory->machine.uuid);
}

static void version_get(struct cli *cli)
{
    cli_begin(cli);
    cli_string(cli, "Build", ABOUT_BUILD);
    cli_string(cli, "Product", ABOUT_NAME);
    cli_string(cli, "Version", ABOUT_VERSION);
    cli_end(cli);
}

static const struct cli_command commands[] = {
    {"hardware.clock",
     "get",
     "Display the current hardware clock time",
     CLI_STRING,
     NULL,
     NULL,
     {{0}},
     clock_get},
    {"system.hostname",
     "get",
     "Get the host, domain or fully qualified name",
     CLI_ROW,
     "FullyQualifiedHostName",
     "DomainName:string FullyQualifiedDomainName:string HostName:string",
     {{0}},
     hostname_get},
    {"system.maintenanceMode",
     "get",
     "Get the maintenance mode state",
     CLI_STRING,
     NULL,
     NULL,
     {{0}},
     maintenance_get},
    {"system.settings.advanced",
     "list",
     "List the advanced options",
     CLI_ROWS,
     "SettingsAdvancedOption",
     "DefaultIntValue:long DefaultStringValue:string Description:string IntValue:long "
     "MaxValue:long MinValue:long Path:string StringValue:string Type:string",
     {{"option", "-o", "Only the option of this path", false}},
     advanced_list},
    {"system.stats.uptime",
     "get",
     "Display the number of microseconds the system has been running",
     CLI_LONG,
     NULL,
     NULL,
     {{0}},
     uptime_get},
    {"system.time",
     "get",
     "Display the current system time",
     CLI_STRING,
     NULL,
     NULL,
     {{0}},
     clock_get},
    {"system.uuid", "get", "Get the system UUID", CLI_STRING, NULL, NULL, {{0}}, uuid_get},
    {"system.version",
     "get",
     "Display the product name, version and build information",
     CLI_ROW,
     "SystemVersion",
     "Build:string Product:string Version:string",
     {{0}},
     version_get},
};
const struct cli_commands esxcli_system = {commands, ARRAY_SIZE(commands)};
