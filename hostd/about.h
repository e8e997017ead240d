/* SPDX-License-Identifier: Apache-2.0 */
/* What Socle says that it is. The name is ours; the fields that clients decide by are what clients
 * of a lone host know: apiType HostAgent, productLineId embeddedEsx, version of three numbers,
 * build of digits. */
#pragma once

#define ABOUT_NAME         "Socle"
#define ABOUT_VENDOR       "Socle project"
#define ABOUT_VERSION      "8.0.3" /* of the API's generation: clients compare it */
#define ABOUT_API_VERSION  "8.0.3.0"
#define ABOUT_BUILD        "1"
#define ABOUT_FULL_NAME    "Socle " SOCLE_VERSION " (API " ABOUT_API_VERSION ")"
#define ABOUT_OS_TYPE      "vmnix-x86"
#define ABOUT_PRODUCT_LINE "embeddedEsx"
#define ABOUT_API_TYPE     "HostAgent"

struct arena;
struct vim_AboutInfo;
struct vim_AboutInfo *about_info(struct arena *arena);
