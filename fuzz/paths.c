/* SPDX-License-Identifier: Apache-2.0 */
/* Names that clients give: of files on datastores in each of their forms, of parts of an upload, of
 * a lease's disks. Whatever is accepted never leads out of its datastore, and is written and read
 * again as the same. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "hostd/datastore/dspath.h"
#include "hostd/datastore/nfc_http.h"
#include "hostd/datastore/upload.h"

static void check_rel(const char *rel)
{
    char again[DSPATH_MAX];

    FUZZ_CHECK(strlen(rel) < DSPATH_MAX && *rel != '/');
    for (const char *at = rel; *at; at += strcspn(at, "/"), at += *at == '/') {
        size_t len = strcspn(at, "/");
        FUZZ_CHECK(len && !(len == 1 && *at == '.') && !(len == 2 && !strncmp(at, "..", 2)));
    }
    FUZZ_CHECK(dspath_normalize(rel, again) && !strcmp(rel, again));
}

static void check_path(const struct dspath *path)
{
    char text[DSPATH_MAX + DSPATH_NAME_MAX + 4];
    struct dspath again;

    check_rel(path->rel);
    FUZZ_CHECK(strlen(path->datastore) <= DSPATH_NAME_MAX);
    dspath_format(path->datastore, path->rel, text, sizeof text);
    if (strchr(path->datastore, ']'))
        return; /* only a /vmfs path can have it, and no datastore is called so */
    FUZZ_CHECK(dspath_parse(text, &again) == 0 && !strcmp(again.rel, path->rel) &&
               !strcmp(again.datastore, path->datastore));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char rel[DSPATH_MAX], token[NFC_PATH_TOKEN], target[NFC_PATH_TARGET];
    char *text = malloc(size + 1);
    struct content_range range;
    struct dspath path;

    FUZZ_CHECK(text);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (dspath_normalize(text, rel))
        check_rel(rel);
    if (dspath_parse(text, &path) == 0)
        check_path(&path);
    if (dspath_parse_vmfs(text, &path) == 0)
        check_path(&path);
    if (content_range_parse(text, &range) == 0)
        FUZZ_CHECK(range.query || (range.first < range.end && range.end <= range.total));
    if (nfc_path_parse(text, token, target))
        FUZZ_CHECK(strlen(token) == NFC_PATH_TOKEN - 1 && strlen(target) < NFC_PATH_TARGET &&
                   !strchr(token, '/') && !strchr(target, '/'));
    free(text);
    return 0;
}
