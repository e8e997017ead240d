/* SPDX-License-Identifier: Apache-2.0 */
/* The description of the service, written from the same tables that serve it: WSDL 1.1,
 * document/literal, and XML Schema; and the list of versions. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

/* `name`: vimService.wsdl, vim.wsdl, vim-types.xsd, vim-messagetypes.xsd, vimServiceVersions.xml,
 * and the names under which other servers divide the same schema (core-types.xsd, query-types.xsd
 * ...). False: there is no such file. */
bool wsdl_write(struct buf *out, const char *name);
