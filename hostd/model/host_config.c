/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/host_config.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "hostd/api/call.h"
#include "hostd/api/json.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"

enum { FILE_MAX = 4 << 20 };

int host_config_load(struct host_config *config, int root_fd, struct err *err)
{
    cleanup_buf struct buf text = {0};
    struct vim_data *data = NULL;

    config->root_fd = root_fd;
    int rc = file_load(root_fd, HOST_CONFIG_FILE, FILE_MAX, &text, err);
    if (rc == 0)
        rc = json_read_data(&config->arena, VIM_TYPE(HostConfigSpec), text.data, text.len, &data,
                            err);
    else if (rc == -ENOENT)
        data = vim_new(&config->arena, VIM_TYPE(HostConfigSpec)), rc = 0;
    config->spec = (const struct vim_HostConfigSpec *)(const void *)data;
    return rc < 0 ? err_prefix(err, rc, "\"%s\"", HOST_CONFIG_FILE) : 0;
}

void host_config_free(struct host_config *config)
{
    arena_free(&config->arena);
}

int host_config_store(struct host_config *config, const struct vim_HostConfigSpec *spec,
                      struct err *err)
{
    struct vim_any value = vim_any_data_((struct vim_data *)(void *)spec);
    cleanup_buf struct buf text = {0};

    json_write_value(&text, &value, value.shape, vim_version_count - 1);
    int rc = text.failed
                 ? err_sys(err, -ENOMEM, HOST_CONFIG_FILE)
                 : file_replace(config->root_fd, HOST_CONFIG_FILE, 0600, text.data, text.len, err);
    if (rc < 0)
        return rc;
    struct arena arena = {0};
    struct vim_any copy = vim_copy(&arena, &value);
    arena_free(&config->arena);
    config->arena = arena;
    config->spec = (const struct vim_HostConfigSpec *)(const void *)copy.data;
    return 0;
}

struct vim_HostConfigSpec *host_config_edit(struct call *call)
{
    struct vim_HostConfigSpec *spec = arena_new(call->arena, struct vim_HostConfigSpec);

    *spec = *hostd_of(call)->config.spec;
    return spec;
}

bool host_config_commit(struct call *call, const struct vim_HostConfigSpec *spec)
{
    struct err err = ERR_INIT;

    if (host_config_store(&hostd_of(call)->config, spec, &err) == 0)
        return true;
    CALL_FAULT_TEXT(call, HostConfigFault, "%s", err.text);
    return false;
}

struct vim_any host_config_extra(const struct host_config *config, const char *key)
{
    for (size_t i = 0; i < config->spec->genericConfig.count; i++)
        if (!strcmp(config->spec->genericConfig.items[i]->key, key))
            return config->spec->genericConfig.items[i]->value;
    return vim_any_none();
}

void host_config_set_extra(struct arena *arena, struct vim_HostConfigSpec *spec, const char *key,
                           struct vim_any value)
{
    __typeof__(spec->genericConfig) list = {0};
    struct vim_KeyAnyValue *set = VIM_NEW(arena, KeyAnyValue);

    for (size_t i = 0; i < spec->genericConfig.count; i++)
        if (strcmp(spec->genericConfig.items[i]->key, key) != 0)
            VIM_ADD(arena, &list, spec->genericConfig.items[i]);
    set->key = key;
    set->value = value;
    VIM_ADD(arena, &list, set);
    spec->genericConfig.count = list.count;
    spec->genericConfig.items = list.items;
}

void host_config_refuse(struct call *call, const char *what)
{
    CALL_FAULT_TEXT(call, HostConfigFault,
                    "%s belongs to the machine that this host runs on: in hosted mode it is not "
                    "changed from here.",
                    what);
}
