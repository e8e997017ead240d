/* SPDX-License-Identifier: Apache-2.0 */
/* /nfc/SECRET/disk-0.vmdk: the disks of an NFC lease (model/nfc_lease.h). POST or PUT fills the
 * disk with a stream-optimized VMDK or with its bare bytes, as the first bytes say; GET sends it as
 * a stream-optimized VMDK, made on the way. The secret in the path is the authorization. */
#pragma once

#include "hostd/hostd.h"
#include "hostd/http/server.h"

/* "/nfc/SECRET/NAME"; false for anything else. */
enum { NFC_PATH_TOKEN = 33, NFC_PATH_TARGET = 24 };
bool nfc_path_parse(const char *path, char token[NFC_PATH_TOKEN], char target[NFC_PATH_TARGET]);

void nfc_http_serve(struct hostd *hostd, struct http_exchange *x);
