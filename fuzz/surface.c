/* SPDX-License-Identifier: Apache-2.0 */
/* A surface as a display that its guest has taken over may describe it: after surface_check all
 * lines can be read, and none is read outside of the memory. */
#include "vm/console/surface.h"
#include "base/bytes.h"
#include "fuzz/fuzz.h"

enum { FIELDS = 19, MEMORY_MAX = 64 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t f[FIELDS];

    if (size < sizeof f)
        return 0;
    for (unsigned i = 0; i < FIELDS; i++)
        f[i] = le32_load(data + 4 * i);
    struct display_surface s = {.format = (enum display_format)(f[0] % (DISPLAY_FORMAT_MAX + 1)),
                                .width = f[1],
                                .height = f[2],
                                .stride = f[3],
                                .size = f[4] % MEMORY_MAX,
                                .offset = f[5] | (uint64_t)f[6] << 32,
                                .cell_stride = f[7],
                                .cell_height = f[8],
                                .font_stride = f[9],
                                .cell_width = f[10],
                                .line_graphics = (uint8_t)f[11],
                                .blink = (uint8_t)f[12],
                                .cursor = (uint8_t)f[13],
                                .font_offset = f[14],
                                .cursor_x = f[15],
                                .cursor_y = f[16],
                                .cursor_first = f[17],
                                .cursor_last = f[18]};
    uint8_t *memory = malloc(s.size + !s.size); /* exactly as much, for the sanitizer */
    FUZZ_CHECK(memory);
    for (uint64_t i = 0; i < s.size; i++)
        memory[i] = data[i % size];
    s.memory = memory;
    surface_check(&s);
    uint32_t width = surface_width(&s), height = surface_height(&s);
    FUZZ_CHECK(width && height && (uint64_t)width * height <= SURFACE_AREA_MAX);
    uint32_t *line = malloc(width * sizeof *line);
    FUZZ_CHECK(line);
    for (uint32_t y = 0; y < height; y += height / 64 + 1)
        surface_line(&s, y, line);
    surface_line(&s, height - 1, line);
    free(line);
    free(memory);
    return 0;
}
