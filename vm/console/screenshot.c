/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/screenshot.h"

#include <errno.h>
#include <png.h>
#include <stdlib.h>

#include "base/range.h"

enum { LEVEL = 4 }; /* of zlib: most of what there is to gain */

/* The mean of the pixels that become one. */
static void shrink_pixel(const struct picture *p, struct rect from, uint8_t out[3])
{
    uint64_t sum[3] = {0}, count = (uint64_t)from.width * from.height;

    for (uint32_t y = from.y; y < from.y + from.height; y++)
        for (uint32_t x = from.x; x < from.x + from.width; x++)
            for (unsigned c = 0; c < 3; c++)
                sum[c] += p->pixels[(size_t)y * p->width + x] >> (16 - 8 * c) & 0xff;
    for (unsigned c = 0; c < 3; c++)
        out[c] = (uint8_t)((sum[c] + count / 2) / count);
}

static void make_line(const struct picture *p, uint32_t width, uint32_t height, uint32_t y,
                      uint8_t *line)
{
    uint32_t top = (uint32_t)((uint64_t)y * p->height / height);
    uint32_t bottom = (uint32_t)((uint64_t)(y + 1) * p->height / height);

    for (uint32_t x = 0; x < width; x++) {
        uint32_t left = (uint32_t)((uint64_t)x * p->width / width);
        uint32_t right = (uint32_t)((uint64_t)(x + 1) * p->width / width);
        shrink_pixel(p, (struct rect){left, top, right - left, bottom - top}, line + 3 * (size_t)x);
    }
}

static void write_data(png_structp png, png_bytep data, size_t len)
{
    buf_put(png_get_io_ptr(png), data, len);
}

static void flush_data(png_structp png)
{
    (void)png;
}

/* libpng leaves by longjmp when memory is out. */
static int write_png(const struct picture *p, uint32_t width, uint32_t height, uint8_t *line,
                     struct buf *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;

    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return -ENOMEM;
    }
    png_set_write_fn(png, out, write_data, flush_data);
    png_set_compression_level(png, LEVEL);
    png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (uint32_t y = 0; y < height; y++) {
        make_line(p, width, height, y, line);
        png_write_row(png, line);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return out->failed ? -ENOMEM : 0;
}

int screenshot_png(const struct picture *picture, uint32_t width, uint32_t height, struct buf *out)
{
    uint64_t w = picture->width, h = picture->height;

    if (width && width < w) {
        h = MAX(h * width / w, (uint64_t)1);
        w = width;
    }
    if (height && height < h) {
        w = MAX(w * height / h, (uint64_t)1);
        h = height;
    }
    uint8_t *line = malloc(3 * w);
    int rc = line ? write_png(picture, (uint32_t)w, (uint32_t)h, line, out) : -ENOMEM;
    free(line);
    return rc;
}
