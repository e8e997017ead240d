/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse_num.h"
#include "config/vmcfg.h"

struct sequence {
    const struct vmcfg *cfg;
    struct vmcfg_boot_device *list;
    unsigned count;
    bool disk[VMCFG_DISKS_MAX], nic[VMCFG_NICS_MAX]; /* is in it */
};

static void put_disk(struct sequence *s, unsigned i)
{
    if (!s->disk[i])
        s->list[s->count++] = (struct vmcfg_boot_device){.index = i};
    s->disk[i] = true;
}

static void put_nic(struct sequence *s, unsigned i)
{
    if (!s->nic[i])
        s->list[s->count++] = (struct vmcfg_boot_device){.nic = true, .index = i};
    s->nic[i] = true;
}

static void put_disks(struct sequence *s, bool cdrom)
{
    for (unsigned i = 0; i < s->cfg->disk_count; i++)
        if (s->cfg->disks[i].cdrom == cdrom)
            put_disk(s, i);
}

/* The next word of a list, cut to the room: false at the end. */
static bool next_word(const char **list, char *word, size_t size)
{
    const char *at = *list ? *list + strspn(*list, ", ") : "";
    size_t len = strcspn(at, ", ");

    (void)snprintf(word, size, "%.*s", (int)(len < size ? len : size - 1), at);
    *list = at + len;
    return len > 0;
}

/* Disks by their places, then those that nobody named. */
static void put_hdd(struct sequence *s)
{
    const char *list = s->cfg->boot_disks;
    char word[24], slot[24];

    while (next_word(&list, word, sizeof word))
        for (unsigned i = 0; i < s->cfg->disk_count; i++) {
            const struct vmcfg_disk *d = &s->cfg->disks[i];
            (void)snprintf(slot, sizeof slot, "%s%u:%u", vmcfg_bus_word(d->bus), d->controller,
                           d->unit);
            if (!d->cdrom && !strcasecmp(slot, word))
                put_disk(s, i);
        }
    put_disks(s, false);
}

static void put_ethernet(struct sequence *s, const char *number)
{
    unsigned n;

    if (parse_unsigned(number, 0, VMCFG_NICS_MAX - 1, &n) < 0)
        return;
    for (unsigned i = 0; i < s->cfg->nic_count; i++)
        if (s->cfg->nics[i].index == n)
            put_nic(s, i);
}

unsigned vmcfg_boot_sequence(const struct vmcfg *cfg,
                             struct vmcfg_boot_device ret_list[VMCFG_DISKS_MAX + VMCFG_NICS_MAX])
{
    struct sequence s = {.cfg = cfg, .list = ret_list};
    const char *order = cfg->boot_order;
    char word[24];

    while (next_word(&order, word, sizeof word))
        if (!strcasecmp(word, "cdrom"))
            put_disks(&s, true);
        else if (!strcasecmp(word, "hdd"))
            put_hdd(&s);
        else if (!strncasecmp(word, "ethernet", 8))
            put_ethernet(&s, word + 8);
    put_disks(&s, false);
    put_disks(&s, true);
    for (unsigned i = 0; i < cfg->nic_count; i++)
        put_nic(&s, i);
    return s.count;
}
