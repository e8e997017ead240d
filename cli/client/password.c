/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "base/buf.h"
#include "base/file.h"

enum { FILE_MAX = 4096 };

int password_read(const char *path, char password[PASSWORD_MAX], struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = file_load(AT_FDCWD, path, FILE_MAX, &text, NULL);

    if (rc < 0)
        return err_set(err, -EINVAL, "cannot read \"%s\": %s", path, strerror(-rc));
    (void)snprintf(password, PASSWORD_MAX, "%s", buf_cstr(&text));
    password[strcspn(password, "\r\n")] = '\0';
    explicit_bzero(text.data, text.len);
    return *password ? 0 : err_set(err, -EINVAL, "\"%s\": no password in its first line", path);
}

int password_ask(const char *question, char password[PASSWORD_MAX], struct err *err)
{
    struct termios before, quiet;
    FILE *tty = fopen("/dev/tty", "r+e");

    if (!tty || tcgetattr(fileno(tty), &before) < 0) {
        if (tty)
            (void)fclose(tty);
        return -ENOTTY;
    }
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(fileno(tty), TCSAFLUSH, &quiet); /* first: it forgets what is typed already */
    (void)fprintf(tty, "%s: ", question);
    (void)fflush(tty);
    char *got = fgets(password, PASSWORD_MAX, tty);
    (void)tcsetattr(fileno(tty), TCSAFLUSH, &before);
    (void)fputc('\n', tty);
    (void)fclose(tty);
    password[strcspn(password, "\r\n")] = '\0';
    return got && *password ? 0 : err_set(err, -ECANCELED, "no password was typed");
}
