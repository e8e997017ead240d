/* SPDX-License-Identifier: Apache-2.0 */
/* An OVF descriptor of any bytes. What is accepted has no text that is missing, stays within its
 * memory, and under each of its options, and under none that it has not, still has items that can
 * be followed; what is not accepted says why. */
#include "hostd/ovf/ovf.h"

#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"

static void follow(const struct ovf *ovf)
{
    for (const struct ovf_item *item = ovf->items; item; item = item->next) {
        FUZZ_CHECK(item->id && item->parent && item->sub_type && item->name && item->connection);
        FUZZ_CHECK(item->host && item->options && item->unit >= -1 && item->unit < 256);
        const struct ovf_disk *disk = ovf_find_disk(ovf, item->host);
        FUZZ_CHECK(!disk || (disk->id && disk->format));
        if (disk && *disk->file)
            (void)ovf_find_file(ovf, disk->file);
        FUZZ_CHECK(ovf_find_item(ovf, item->id));
    }
    for (const struct ovf_property *p = ovf->properties; p; p = p->next)
        FUZZ_CHECK(p->key && p->value && p->class_id && p->instance_id && p->category);
    FUZZ_CHECK(ovf->id && ovf->name && ovf->annotation && ovf->os_type && ovf->hardware);
}

static void choose(const char *text, const char *option)
{
    struct arena arena;
    struct ovf *ovf;

    arena_init(&arena, OVF_MEMORY_MAX);
    FUZZ_CHECK(ovf_parse(&arena, text, &ovf, NULL) == 0);
    if (ovf_choose_option(ovf, option) == 0)
        follow(ovf);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct arena arena;
    struct ovf *ovf = NULL;
    char *text = malloc(size + 1);
    unsigned options = 0;

    FUZZ_CHECK(text);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    arena_init(&arena, OVF_MEMORY_MAX);
    int rc = ovf_parse(&arena, text, &ovf, &err);
    FUZZ_CHECK(rc ? err.code < 0 && *err.text : ovf->systems > 0);
    if (rc == 0) {
        follow(ovf);
        choose(text, NULL);
        choose(text, "no such option");
        for (const struct ovf_option *o = ovf->options; o && options < 4; o = o->next, options++)
            choose(text, o->id);
    }
    arena_free(&arena);
    free(text);
    return 0;
}
