/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

enum { PASSWORD_MAX = 256 };

/* The first line of a file; -EINVAL: it is empty. */
int password_read(const char *path, char password[PASSWORD_MAX], struct err *err);

/* Asks on the terminal, without showing what is typed. -ENOTTY (without a message): there is none;
 * -ECANCELED: nothing was typed. */
int password_ask(const char *question, char password[PASSWORD_MAX], struct err *err);
