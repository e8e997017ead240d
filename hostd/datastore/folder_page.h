/* SPDX-License-Identifier: Apache-2.0 */
/* What a browser is shown of folders on datastores, and of datastores: pages whose links lead on.
 */
#pragma once

#include "base/buf.h"

/* `fd`: the folder, of which `rel` is the path on `datastore` ("" for its root). Names that begin
 * with a dot are the host's own and left out. Negative errno. */
int folder_page(struct buf *page, int fd, const char *datastore, const char *rel);

/* The page of all datastores: begin, one after another, end. */
void folder_page_begin(struct buf *page, const char *title);
void folder_page_datastore(struct buf *page, const char *datastore);
void folder_page_end(struct buf *page);
