/* SPDX-License-Identifier: Apache-2.0 */
/* HostDateTimeSystem: the machine's clock. In hosted mode who sets it and where it gets the time
 * from is the machine's matter; hosts tell their time in UTC, so there is one time zone. */
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/host_config.h"

static struct vim_HostDateTimeSystemTimeZone *utc(struct arena *arena)
{
    struct vim_HostDateTimeSystemTimeZone *zone = VIM_NEW(arena, HostDateTimeSystemTimeZone);

    zone->key = zone->name = zone->description = "UTC";
    return zone;
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    struct vim_HostDateTimeInfo *info = VIM_NEW(call->arena, HostDateTimeInfo);

    (void)mo;
    info->timeZone = utc(call->arena);
    info->ntpConfig = VIM_NEW(call->arena, HostNtpConfig);
    VIM_EMPTY(&info->ntpConfig->server);
    info->systemClockProtocol = "ntp";
    return vim_any_data(info);
}

static void query_zones(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostDateTimeSystemTimeZone *) list = {0};

    (void)mo;
    VIM_ADD(call->arena, &list, utc(call->arena));
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostDateTimeSystemTimeZone, &list));
}

static void query_date_time(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_time(clock_realtime(&clock_host) / 1000));
}

static void update_date_time(struct mo *mo, struct call *call)
{
    (void)mo;
    host_config_refuse(call, "The clock");
}

/* The time zone that is there may be set. */
static void update_config(struct mo *mo, struct call *call)
{
    const struct vim_UpdateDateTimeConfig_args *args = call->args;
    const struct vim_HostDateTimeConfig *config = args->config;

    (void)mo;
    if (config->timeZone && strcmp(config->timeZone, "UTC") != 0)
        call_fault_argument(call, "config.timeZone");
    else if (config->ntpConfig || config->ptpConfig || config->protocol || config->enabled.set)
        host_config_refuse(call, "The source of the time");
}

static void refresh(struct mo *mo, struct call *call)
{
    (void)call;
    mo_changed(mo, VIM_P_HostDateTimeSystem_dateTimeInfo);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostDateTimeSystem, dateTimeInfo, get_info),
};
static const struct mo_method methods[] = {
    MO_METHOD(QueryAvailableTimeZones, query_zones), MO_METHOD(QueryDateTime, query_date_time),
    MO_METHOD(UpdateDateTime, update_date_time),     MO_METHOD(UpdateDateTimeConfig, update_config),
    MO_METHOD(RefreshDateTimeSystem, refresh),
};
const struct mo_class host_date_time_system_class = {
    .type = VIM_MANAGED(HostDateTimeSystem),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
