/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd_up.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse_num.h"
#include "base/range.h"
#include "cli/exit.h"
#include "cli/options.h"
#include "hostd/up/up.h"

/* --- up --- */

struct up_options {
    struct up_config config;
    char address[INET6_ADDRSTRLEN + 2];
};

static int set_root(void *ctx, const char *value, struct err *err)
{
    (void)err;
    ((struct up_options *)ctx)->config.root = value;
    return 0;
}

static int check_address(const char *address)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1
               ? 0
               : -EINVAL;
}

static int set_listen(void *ctx, const char *value, struct err *err)
{
    struct up_options *options = ctx;
    const char *colon = strrchr(value, ':');
    size_t len = colon ? (size_t)(colon - value) : 0;
    unsigned port;

    if (!colon || len >= sizeof options->address || parse_unsigned(colon + 1, 1, 65535, &port) < 0)
        return err_set(err, -EINVAL, "not ADDR:PORT, such as 0.0.0.0:8443 or [::]:8443");
    if (len >= 2 && value[0] == '[' && value[len - 1] == ']') {
        value++;
        len -= 2;
    }
    memcpy(options->address, value, len);
    options->address[len] = '\0';
    if (check_address(options->address) < 0)
        return err_set(err, -EINVAL, "\"%s\" is no IP address", options->address);
    options->config.address = options->address;
    options->config.port = (uint16_t)port;
    return 0;
}

static int set_password_file(void *ctx, const char *value, struct err *err)
{
    (void)err;
    ((struct up_options *)ctx)->config.password_file = value;
    return 0;
}

static const struct option up_options[] = {
    {"root", "DIR", "folder of the host; made at first use", set_root},
    {"listen", "ADDR:PORT", "where clients connect (default 127.0.0.1:8443, as root port 443)",
     set_listen},
    {"password-file", "FILE", "root's password at first use, the first line of FILE",
     set_password_file},
};

static const struct command_line up_line = {
    .command = "socle up",
    .operands = "",
    .about =
        "Brings a host up: the vSphere API over HTTPS, with everything below one folder. Stays "
        "in the foreground; Ctrl-C ends the host and leaves its VMs running.",
    .options = up_options,
    .count = ARRAY_SIZE(up_options),
    .notes = "Without --password-file a password is generated; it is in the file \"password\" of "
             "DIR.\n\"socle down --root DIR\" ends the host from elsewhere.",
};

static int complain(const char *command, int status, const struct err *err)
{
    (void)fprintf(stderr, "socle %s: %s\n", command, err->text);
    return status;
}

int cmd_up(int argc, char **argv)
{
    cleanup_options struct parsed_options parsed = {0};
    struct up_options options = {0};
    struct err err = ERR_INIT;

    if (options_parse(&up_line, argc, argv, &parsed, &err) < 0)
        return complain("up", EXIT_USAGE, &err);
    if (parsed.help) {
        options_help(&up_line, stdout);
        return EXIT_OK;
    }
    if (options_apply(&parsed, &options, &err) < 0)
        return complain("up", EXIT_USAGE, &err);
    if (!options.config.root || parsed.operand_count) {
        (void)err_set(&err, -EINVAL, "give the host's folder: socle up --root DIR");
        return complain("up", EXIT_USAGE, &err);
    }
    return up_run(&options.config, &err) < 0 ? complain("up", EXIT_FAILED, &err) : EXIT_OK;
}

/* --- down --- */

struct down_options {
    const char *root;
    enum down_vms vms;
};

static int set_down_root(void *ctx, const char *value, struct err *err)
{
    (void)err;
    ((struct down_options *)ctx)->root = value;
    return 0;
}

static int set_vms(void *ctx, const char *value, struct err *err)
{
    static const char *const words[] = {"leave", "shutdown", "off"};

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        if (!strcmp(value, words[i])) {
            ((struct down_options *)ctx)->vms = (enum down_vms)i;
            return 0;
        }
    return err_set(err, -EINVAL, "leave, shutdown or off");
}

static const struct option down_options[] = {
    {"root", "DIR", "folder of the host", set_down_root},
    {"vms", "WHAT", "leave them running (default), shutdown by their power buttons, or off",
     set_vms},
};

static const struct command_line down_line = {
    .command = "socle down",
    .operands = "",
    .about = "Ends the host of a folder, and its VMs as told. Also ends VMs that a host left.",
    .options = down_options,
    .count = ARRAY_SIZE(down_options),
};

int cmd_down(int argc, char **argv)
{
    cleanup_options struct parsed_options parsed = {0};
    struct down_options options = {.vms = DOWN_LEAVE};
    struct err err = ERR_INIT;

    if (options_parse(&down_line, argc, argv, &parsed, &err) < 0)
        return complain("down", EXIT_USAGE, &err);
    if (parsed.help) {
        options_help(&down_line, stdout);
        return EXIT_OK;
    }
    if (options_apply(&parsed, &options, &err) < 0)
        return complain("down", EXIT_USAGE, &err);
    if (!options.root || parsed.operand_count) {
        (void)err_set(&err, -EINVAL, "give the host's folder: socle down --root DIR");
        return complain("down", EXIT_USAGE, &err);
    }
    return down_run(options.root, options.vms, &err) < 0 ? complain("down", EXIT_FAILED, &err)
                                                         : EXIT_OK;
}
