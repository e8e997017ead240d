/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/complete.h"

#include <stdio.h>
#include <string.h>

#include "cli/client/command.h"
#include "cli/client/inventory.h"

static const char bash_script[] =
    "# Completion of socle for bash: eval \"$(socle completion bash)\"\n"
    "_socle()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} word\n"
    "    local -a words=(\"${COMP_WORDS[@]:1:COMP_CWORD}\")\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r word; do\n"
    "        [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"$(printf %q \"$word\")\")\n"
    "    done < <(\"${COMP_WORDS[0]}\" complete -- \"${words[@]}\" 2>/dev/null)\n"
    "    if [[ ${#COMPREPLY[@]} -eq 0 && $cur == -* ]]; then # run, up, disk: what their help "
    "says\n"
    "        COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" \"${COMP_WORDS[1]}\" --help |\n"
    "            grep -o -e '--[a-z-]*' | sort -u)\" -- \"$cur\"))\n"
    "    fi\n"
    "    if [[ ${#COMPREPLY[@]} -eq 0 && $cur != -* ]]; then\n"
    "        compopt -o default 2>/dev/null\n"
    "    fi\n"
    "}\n"
    "complete -F _socle socle\n";

static const char zsh_script[] = "# Completion of socle for zsh: eval \"$(socle completion zsh)\"\n"
                                 "autoload -Uz bashcompinit && bashcompinit\n";

int completion_main(int argc, char **argv)
{
    bool zsh = argc == 2 && !strcmp(argv[1], "zsh");

    if (argc != 2 || (!zsh && strcmp(argv[1], "bash") != 0)) {
        (void)fprintf(stderr, "Usage: socle completion bash|zsh\n"
                              "Prints a script: eval \"$(socle completion bash)\"\n");
        return argc == 2 && !strcmp(argv[1], "--help") ? CLIENT_OK : CLIENT_USAGE;
    }
    (void)printf("%s%s", zsh ? zsh_script : "", bash_script);
    return CLIENT_OK;
}

/* --- what can stand there --- */

static void say(const char *word)
{
    if (word && *word && !word[strcspn(word, "\n")])
        (void)printf("%s\n", word);
}

static void say_nouns(void)
{
    static const char *const others[] = {"run", "up", "down", "disk", "completion", "help"};

    for (unsigned i = 0; nouns[i]; i++)
        say(nouns[i]->name);
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        say(others[i]);
}

/* The next words of verbs that begin with words[0 .. count). */
static unsigned say_verbs(const struct noun *noun, int count, char **words)
{
    char before[64] = "", last[32] = "";
    unsigned said = 0;

    for (int i = 0; i < count; i++) {
        size_t at = strlen(before);
        (void)snprintf(before + at, sizeof before - at, "%s ", words[i]);
    }
    for (unsigned i = 0; i < noun->verb_count; i++) {
        const char *name = noun->verbs[i].name;
        char next[32];
        if (strncmp(name, before, strlen(before)) != 0)
            continue;
        (void)snprintf(next, sizeof next, "%.*s", (int)strcspn(name + strlen(before), " "),
                       name + strlen(before));
        if (strcmp(next, last) != 0) /* those with the same first word stand together */
            say(next);
        said++;
        (void)snprintf(last, sizeof last, "%s", next);
    }
    return said;
}

static void say_option(const struct option *option)
{
    (void)printf("--%s\n", option->name);
}

static const struct option *option_of(const struct verb *verb, const char *word)
{
    for (unsigned i = 0; i < verb->option_count; i++)
        if (!strncmp(word, "--", 2) && !strcmp(word + 2, verb->options[i].name))
            return &verb->options[i];
    for (unsigned i = 0; i < common_option_count; i++)
        if ((!strncmp(word, "--", 2) && !strcmp(word + 2, common_options[i].name)) ||
            (common_options[i].letter && word[0] == '-' && word[1] == common_options[i].letter &&
             !word[2]))
            return &common_options[i];
    return NULL;
}

static void say_options(const struct verb *verb)
{
    for (unsigned i = 0; i < verb->option_count; i++)
        say_option(&verb->options[i]);
    for (unsigned i = 0; i < common_option_count; i++)
        say_option(&common_options[i]);
    say("--help");
}

/* --- names on the host --- */

static void say_members(const json_t *rows, const char *member)
{
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row) say(api_text(row, member));
}

/* Silent where there is no host, or it would ask for something. */
static void say_names(const char *what, const struct api_config *config)
{
    static const char *const kinds[][2] = {
        {"VM", "VirtualMachine"}, {"DATASTORE", "Datastore"}, {"NETWORK", "Network"}};
    cleanup_json json_t *rows = NULL;
    struct api *api = NULL;

    if (api_open(config, &api, NULL) < 0)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strcmp(what, kinds[i][0]) &&
            inventory_list(api, kinds[i][1], "name", &rows, NULL) == 0)
            say_members(rows, "name");
    if (!strcmp(what, "ROLE") &&
        api_get(api, api_manager(api, "authorizationManager"), "roleList", &rows, NULL) == 0)
        say_members(rows, "name");
    if (!strcmp(what, "USER") &&
        api_call(api, api_manager(api, "userDirectory"), "RetrieveUserGroups",
                 json_pack("{s:s, s:b, s:b, s:b}", "searchStr", "", "exactMatch", 0, "findUsers", 1,
                           "findGroups", 0),
                 &rows, NULL) == 0)
        say_members(rows, "principal");
    api_close(api);
}

/* The alternatives of "on|off"; else the names that a word in capitals stands for. */
static void say_values(const char *arg, const struct api_config *config)
{
    if (!strchr(arg, '|')) {
        say_names(arg, config);
        return;
    }
    for (size_t len; *arg; arg += len + (arg[len] == '|')) {
        len = strcspn(arg, "|");
        (void)printf("%.*s\n", (int)len, arg);
    }
}

/* "VM SNAPSHOT..." and 0: "VM". */
static void operand_word(const char *operands, unsigned index, char word[32])
{
    word[0] = '\0';
    for (unsigned i = 0; *operands; i++) {
        size_t len = strcspn(operands, " ");
        (void)snprintf(word, 32, "%.*s", (int)strcspn(operands + (*operands == '['), ".] "),
                       operands + (*operands == '['));
        if (i == index)
            return;
        bool repeated = memmem(operands, len, "...", 3);
        operands += len + strspn(operands + len, " ");
        if (!*operands && !repeated)
            word[0] = '\0';
    }
}

static void complete_arguments(const struct verb *verb, int count, char **words)
{
    struct api_config config = {0};
    const struct option *open = NULL; /* that waits for its value */
    unsigned operands = 0;
    char word[32];

    for (int i = 0; i < count - 1; i++) {
        const struct option *option = open ? NULL : option_of(verb, words[i]);
        if (open && !strcmp(open->name, "root"))
            config.root = words[i];
        if (open && !strcmp(open->name, "url"))
            config.url = words[i];
        operands += !open && words[i][0] != '-';
        open = option && option->arg ? option : NULL;
    }
    if (open && !strcmp(open->name, "output"))
        say_values("table|json|csv", &config);
    else if (open)
        say_values(open->arg, &config);
    else if (words[count - 1][0] == '-')
        say_options(verb);
    else {
        operand_word(verb->operands, operands, word);
        say_values(word, &config);
    }
}

/* words[count - 1] is the one to be completed, perhaps "". */
static void complete(int count, char **words)
{
    const struct noun *noun = count > 1 ? noun_find(words[0]) : NULL;

    if (count <= 1)
        say_nouns();
    if (!noun)
        return;
    for (unsigned i = 0; i < noun->verb_count; i++) {
        const char *name = noun->verbs[i].name;
        int at = 1;
        while (at < count - 1 && strlen(words[at]) == strcspn(name, " ") &&
               !strncmp(name, words[at], strlen(words[at]))) {
            name += strlen(words[at]);
            at++;
            if (!*name) {
                complete_arguments(&noun->verbs[i], count - at, words + at);
                return;
            }
            name++;
        }
    }
    (void)say_verbs(noun, count - 2, words + 1);
}

int complete_main(int argc, char **argv)
{
    int from = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;

    complete(argc - from, argv + from);
    return CLIENT_OK;
}
