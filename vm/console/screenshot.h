/* SPDX-License-Identifier: Apache-2.0 */
/* A picture as a PNG file (ISO/IEC 15948), made smaller on request: libpng does the work. */
#pragma once

#include "base/buf.h"
#include "vm/console/picture.h"

/* At most `width` by `height`, whole and undistorted; 0: whatever it is. 0 or -ENOMEM. */
int screenshot_png(const struct picture *picture, uint32_t width, uint32_t height, struct buf *out);
