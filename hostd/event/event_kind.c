/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/event/event_kind.h"

#include <ctype.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"

const struct vim_type *event_type(const char *what)
{
    char name[96];
    size_t len = strcspn(what, " ");

    if (len >= sizeof name)
        return NULL;
    memcpy(name, what, len);
    name[len] = '\0';
    const struct vim_type *type = vim_find_type(name);
    return vim_type_is(type, VIM_TYPE(Event)) ? type : NULL;
}

/* The API does not say which type is of which kind, but its names do. */
const char *event_category(const struct vim_type *type, const char *what)
{
    static const struct {
        const char *part, *category;
    } parts[] = {
        {"GeneralUser", "user"},    {"Error", "error"},        {"Failed", "error"},
        {"Failure", "error"},       {"Disconnected", "error"}, {"Warning", "warning"},
        {"BadUsername", "warning"}, {"NoAccess", "warning"},   {"Orphaned", "warning"},
        {"Lost", "warning"},        {"Missing", "warning"},    {"Insufficient", "warning"},
    };

    if (strstr(what, ".problem."))
        return "error";
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
        if (strstr(type->name, parts[i].part))
            return parts[i].category;
    return "info";
}

const char *event_description(struct arena *arena, const struct vim_type *type)
{
    size_t len = strlen(type->name), at = 0;
    char *text = arena_alloc(arena, 2 * len + 1);

    if (len > 5 && !strcmp(type->name + len - 5, "Event"))
        len -= 5;
    for (size_t i = 0; i < len; i++) {
        bool begins = isupper((unsigned char)type->name[i]) && i &&
                      !isupper((unsigned char)type->name[i - 1]);
        if (begins)
            text[at++] = ' ';
        text[at++] = (char)(begins ? tolower((unsigned char)type->name[i]) : type->name[i]);
    }
    return text;
}
