/* SPDX-License-Identifier: Apache-2.0 */
/* The host client's files for the front. They are copied to run/web at each start: the front's
 * workers may be a user who can not read the place where Socle is installed or was built, and see
 * nothing of the host beyond its folder. */
#pragma once

#include "base/err.h"

#define WEB_FILES_FOLDER "run/web"

/* 0 with *ret_count files (0: this build has no host client), below the working directory. */
int web_files_install(unsigned *ret_count, struct err *err);
