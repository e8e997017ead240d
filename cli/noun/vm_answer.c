/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM asks (runtime.question), and the answer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/client/out.h"
#include "cli/noun/vm.h"

static const struct column columns[] = {
    {"choice", "CHOICE", COLUMN_TEXT},
    {"text", "MEANS", COLUMN_TEXT},
    {"id", "ID", COLUMN_TEXT},
};

static const json_t *choices_of(const json_t *question)
{
    return json_object_get(json_object_get(question, "choice"), "choiceInfo");
}

static int show(struct command *command, const json_t *question, struct err *err)
{
    cleanup_json json_t *rows = json_array();
    const char *text = api_text(question, "text"), *colon = strchr(text, ':');
    json_t *choice;
    size_t i;

    (void)fprintf(stderr, "%s\n", colon ? colon + 1 : text);
    json_array_foreach(choices_of(question), i, choice)(void) json_array_append_new(
        rows, json_pack("{s:s, s:s, s:s}", "choice", api_text(choice, "key"), "text",
                        api_text(choice, "summary"), "id", api_text(choice, "label")));
    return out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

/* By number, text or id; NULL: none is called so. */
static const char *find(const json_t *question, const char *word)
{
    json_t *choice;
    size_t i;

    json_array_foreach(choices_of(question), i, choice)
    {
        if (!strcmp(api_text(choice, "key"), word) ||
            !strcasecmp(api_text(choice, "summary"), word) ||
            !strcmp(api_text(choice, "label"), word))
            return api_text(choice, "key");
    }
    return NULL;
}

int vm_answer(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    const char *word = command_operand(command, 1);
    struct api *api;
    int rc = first_vm(command, "name runtime.question", &api, &vm, err);

    if (rc < 0)
        return rc;
    const json_t *question = json_object_get(vm, "runtime.question");
    if (!json_is_object(question))
        return err_set(err, -ENOENT, "\"%s\" asks nothing", api_text(vm, "name"));
    if (!word)
        return show(command, question, err);
    const char *key = find(question, word);
    if (!key)
        return err_set(err, -EINVAL,
                       "\"%s\" is none of the choices; \"socle vm answer %s\" shows them", word,
                       api_text(vm, "name"));
    return api_call(
        api, json_object_get(vm, "ref"), "AnswerVM",
        json_pack("{s:s, s:s}", "questionId", api_text(question, "id"), "answerChoice", key), NULL,
        err);
}
