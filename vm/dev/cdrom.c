/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberately missing: sound, raw sectors, writing, more than one session, regions and keys. */
#include "vm/dev/cdrom.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

/* SPC-3, 4.5.6 and annex D */
enum {
    SENSE_NONE = 0,
    SENSE_NOT_READY = 2,
    SENSE_MEDIUM_ERROR = 3,
    SENSE_ILLEGAL_REQUEST = 5,
    SENSE_UNIT_ATTENTION = 6,
};
enum {
    ASC_READ_ERROR = 0x11,
    ASC_INVALID_COMMAND = 0x20,
    ASC_OUT_OF_RANGE = 0x21,
    ASC_INVALID_FIELD = 0x24,
    ASC_MEDIUM_CHANGED = 0x28,
    ASC_NO_MEDIUM = 0x3a,
    ASC_REMOVAL = 0x53,
};
enum { ASCQ_TRAY_CLOSED = 1, ASCQ_TRAY_OPEN = 2, ASCQ_PREVENTED = 2 };

/* What has come to the medium: MMC-5, 6.6.3.5 */
enum cdrom_event { EVENT_NONE = 0, EVENT_NEW_MEDIUM = 2, EVENT_REMOVED = 3, EVENT_MAX };

enum { PROFILE_CD = 0x08, PROFILE_DVD = 0x10, DVD_STRUCTURE = 4 + 2048 };
/* More than a CD holds: 99 minutes of 60 seconds of 75 blocks. */
#define CD_MAX (UINT64_C(99) * 60 * 75 * CDROM_BLOCK)

/* One packet at work. */
struct work {
    struct cdrom *cd;
    uint64_t size; /* of the medium that the drive sees */
    const uint8_t *packet;
    uint8_t *data;
    struct cdrom_reply *reply;
};

static enum cdrom_answer check(struct cdrom *cd, uint8_t key, uint8_t asc, uint8_t ascq)
{
    cd->key = key;
    cd->asc = asc;
    cd->ascq = ascq;
    return CDROM_CHECK;
}

static enum cdrom_answer invalid_field(const struct work *w)
{
    return check(w->cd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
}

static uint32_t blocks(const struct work *w)
{
    return (uint32_t)MIN(w->size / CDROM_BLOCK, (uint64_t)UINT32_MAX);
}

static bool is_dvd(const struct work *w)
{
    return w->size > CD_MAX;
}

/* As much of the answer as was asked for. */
static enum cdrom_answer give(const struct work *w, uint32_t length, uint32_t allocated)
{
    w->reply->length = MIN(length, allocated);
    return CDROM_DATA;
}

static enum cdrom_answer nothing(const struct work *w)
{
    return give(w, 0, 0);
}

/* --- the drive --- */

static enum cdrom_answer request_sense(const struct work *w)
{
    struct cdrom *cd = w->cd;

    if (cd->key == SENSE_NONE && cd->attention) {
        cd->attention = 0;
        (void)check(cd, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED, 0);
    }
    w->data[0] = 0x70; /* current, fixed format */
    w->data[2] = cd->key;
    w->data[7] = 10;
    w->data[12] = cd->asc;
    w->data[13] = cd->ascq;
    (void)check(cd, SENSE_NONE, 0, 0);
    return give(w, 18, w->packet[4]);
}

static enum cdrom_answer inquiry(const struct work *w)
{
    if (w->packet[1] & 1 || w->packet[2]) /* vital product data */
        return invalid_field(w);
    w->data[0] = 5;    /* CD/DVD device */
    w->data[1] = 0x80; /* removable */
    w->data[2] = 5;    /* SPC-3 */
    w->data[3] = 2;
    w->data[4] = 36 - 5;
    memcpy(w->data + 8, "Socle   CD-ROM          1.0 ", 28);
    return give(w, 36, be16_load(w->packet + 3));
}

static enum cdrom_answer test_ready(const struct work *w)
{
    return nothing(w);
}

/* START STOP UNIT: MMC-5, 6.44. LoEj and Start: 2 ejects, 3 loads. */
static enum cdrom_answer start_stop(const struct work *w)
{
    struct cdrom *cd = w->cd;
    unsigned what = w->packet[4] & 3;

    if (what == 2 && cd->locked)
        return check(cd, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL, ASCQ_PREVENTED);
    if (what == 2 && !cd->open) {
        cd->open = 1;
        cd->event = EVENT_REMOVED;
    }
    if (what == 3 && cd->open)
        cdrom_changed(cd, w->size);
    return nothing(w);
}

static enum cdrom_answer prevent_allow(const struct work *w)
{
    w->cd->locked = w->packet[4] & 1;
    return nothing(w);
}

/* MMC-5, 6.6: asked for without interrupts, and of the media class only. */
static enum cdrom_answer event_status(const struct work *w)
{
    enum { MEDIA_CLASS = 4 };
    struct cdrom *cd = w->cd;

    if (!(w->packet[1] & 1))
        return invalid_field(w);
    w->data[3] = 1 << MEDIA_CLASS;
    if (!(w->packet[4] & 1 << MEDIA_CLASS)) {
        be16_store(w->data, 2);
        w->data[2] = 0x80; /* no event available */
        return give(w, 4, be16_load(w->packet + 7));
    }
    be16_store(w->data, 6);
    w->data[2] = MEDIA_CLASS;
    w->data[4] = cd->event;
    w->data[5] = (uint8_t)(cd->open | (w->size && !cd->open ? 2 : 0));
    if (be16_load(w->packet + 7) > 4)
        cd->event = EVENT_NONE;
    return give(w, 8, be16_load(w->packet + 7));
}

/* --- features: MMC-5, 5.3 and 6.5 --- */

struct feature {
    uint16_t code;
    uint8_t flags; /* version, persistent, current */
    uint8_t length;
    uint8_t data[8];
};

enum {
    ALWAYS = 3,
    WITH_CD = 0x80,
    WITH_DVD = 0x40
}; /* `flags`: current while such a medium is in */

static const struct feature features[] = {
    {0x0000, ALWAYS, 8, {0, PROFILE_DVD, 0, 0, 0, PROFILE_CD, 0, 0}}, /* profiles */
    {0x0001, ALWAYS | 2 << 2, 8, {0, 0, 0, 2, 1}}, /* core: ATAPI, GET EVENT STATUS polled */
    {0x0002, ALWAYS | 1 << 2, 4, {2}},             /* morphing: by events */
    {0x0003, ALWAYS | 1 << 2, 4, {0x29}},          /* tray, locks, ejects */
    {0x0010, WITH_CD | WITH_DVD, 8, {0, 0, 8, 0, 0, 1, 0, 0}}, /* readable: blocks of 2 KiB */
    {0x001d, WITH_CD, 0, {0}},                                 /* multi-read */
    {0x001e, WITH_CD | 2 << 2, 4, {0}},                        /* CD read */
    {0x001f, WITH_DVD | 1 << 2, 4, {0}},                       /* DVD read */
    {0x0100, ALWAYS, 0, {0}},                                  /* power management */
    {0x0105, ALWAYS, 0, {0}},                                  /* time-out */
};

static enum cdrom_answer get_configuration(const struct work *w)
{
    unsigned from = be16_load(w->packet + 2), how = w->packet[1] & 3;
    unsigned medium = !w->size ? 0 : is_dvd(w) ? WITH_DVD : WITH_CD;
    uint32_t at = 8;

    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        bool current = (f->flags & 1) || (f->flags & medium);
        if (f->code < from || (how == 1 && !current) || (how == 2 && f->code != from))
            continue;
        be16_store(w->data + at, f->code);
        w->data[at + 2] = (uint8_t)((f->flags & 0x3e) | current);
        w->data[at + 3] = f->length;
        memcpy(w->data + at + 4, f->data, f->length);
        if (f->code == 0) { /* which of the profiles is current */
            w->data[at + 6] = medium == WITH_DVD;
            w->data[at + 10] = medium == WITH_CD;
        }
        at += 4u + f->length;
    }
    be32_store(w->data, at - 4);
    be16_store(w->data + 6, medium == WITH_DVD ? PROFILE_DVD : medium ? PROFILE_CD : 0);
    return give(w, at, be16_load(w->packet + 7));
}

/* --- mode pages: MMC-5, 7 --- */

static uint32_t mode_pages(const struct work *w, unsigned page, uint32_t at)
{
    uint8_t *data = w->data;

    if (page == 0x01 || page == 0x3f) { /* read error recovery: five tries */
        memcpy(data + at, (const uint8_t[]){0x01, 10, 0, 5}, 4);
        at += 12;
    }
    if (page == 0x0e || page == 0x3f) { /* sound, which nobody hears */
        memcpy(data + at, (const uint8_t[]){0x0e, 14, 4}, 3);
        at += 16;
    }
    if (page == 0x2a || page == 0x3f) { /* capabilities: reads CD-R, CD-RW, DVD; tray, locks */
        memcpy(data + at, (const uint8_t[]){0x2a, 20, 0x3b, 0, 0x70, 0x60, 0x29}, 7);
        data[at + 6] |= (uint8_t)(w->cd->locked << 1);
        be16_store(data + at + 8, 7056);  /* kB/s, at most */
        be16_store(data + at + 10, 2);    /* levels of loudness */
        be16_store(data + at + 12, 2048); /* KiB of buffer */
        be16_store(data + at + 14, 7056);
        at += 22;
    }
    return at;
}

static enum cdrom_answer mode_sense(const struct work *w)
{
    bool ten = w->packet[0] == 0x5a;
    uint32_t head = ten ? 8 : 4, end = mode_pages(w, w->packet[2] & 0x3f, head);

    if (end == head || (w->packet[2] >> 6) == 3) /* not known; saved values */
        return end == head
                   ? invalid_field(w)
                   : check(w->cd, SENSE_ILLEGAL_REQUEST, 0x39 /* saving is not supported */, 0);
    if (ten)
        be16_store(w->data, (uint16_t)(end - 2));
    else
        w->data[0] = (uint8_t)(end - 1);
    return give(w, end, ten ? be16_load(w->packet + 7) : w->packet[4]);
}

/* --- the medium --- */

static enum cdrom_answer read_capacity(const struct work *w)
{
    be32_store(w->data, blocks(w) - 1);
    be32_store(w->data + 4, CDROM_BLOCK);
    return give(w, 8, 8);
}

static enum cdrom_answer read_at(const struct work *w, uint32_t lba, uint32_t count)
{
    if (!range_within(lba, count, blocks(w)))
        return check(w->cd, SENSE_ILLEGAL_REQUEST, ASC_OUT_OF_RANGE, 0);
    if (!count)
        return nothing(w);
    w->reply->lba = lba;
    w->reply->blocks = count;
    return CDROM_READ;
}

static enum cdrom_answer read_blocks(const struct work *w)
{
    const uint8_t *p = w->packet;
    uint32_t count = p[0] == 0xa8 ? be32_load(p + 6) : be16_load(p + 7);

    return read_at(w, be32_load(p + 2), count);
}

/* READ CD: sectors of data without anything around them, which is what READ gives. */
static enum cdrom_answer read_cd(const struct work *w)
{
    const uint8_t *p = w->packet;
    uint32_t count = be32_load(p + 5) & 0xffffff;

    if (!count || !p[9])
        return nothing(w);
    return p[9] == 0x10 && !p[10] ? read_at(w, be32_load(p + 2), count) : invalid_field(w);
}

/* SEEK, VERIFY: where would it be? */
static enum cdrom_answer seek(const struct work *w)
{
    bool there = be32_load(w->packet + 2) < blocks(w);

    return there ? nothing(w) : check(w->cd, SENSE_ILLEGAL_REQUEST, ASC_OUT_OF_RANGE, 0);
}

/* An address as minutes, seconds, frames, where one wants it so. */
static void put_address(uint8_t *to, uint32_t lba, bool msf)
{
    if (!msf) {
        be32_store(to, lba);
        return;
    }
    lba += 150;
    to[0] = 0;
    to[1] = (uint8_t)MIN(lba / (75 * 60), 255u);
    to[2] = (uint8_t)(lba / 75 % 60);
    to[3] = (uint8_t)(lba % 75);
}

/* One session of one track of data: MMC-5, 6.26. */
static uint32_t toc(const struct work *w, uint8_t first, bool msf)
{
    uint8_t *at = w->data + 4;

    w->data[2] = w->data[3] = 1;
    if (first <= 1) {
        memcpy(at, (const uint8_t[]){0, 0x14, 1, 0}, 4);
        put_address(at + 4, 0, msf);
        at += 8;
    }
    memcpy(at, (const uint8_t[]){0, 0x14, 0xaa, 0}, 4); /* where it ends */
    put_address(at + 4, blocks(w), msf);
    return (uint32_t)(at + 8 - w->data);
}

static uint32_t toc_sessions(const struct work *w, bool msf)
{
    w->data[2] = w->data[3] = 1;
    memcpy(w->data + 4, (const uint8_t[]){0, 0x14, 1, 0}, 4);
    put_address(w->data + 8, 0, msf);
    return 12;
}

/* As the lead-in has it: first track, last track, where it ends, the track. */
static uint32_t toc_full(const struct work *w)
{
    static const uint8_t points[] = {0xa0, 0xa1, 0xa2, 1};
    uint8_t *at = w->data + 4;

    w->data[2] = w->data[3] = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(points); i++, at += 11) {
        memcpy(at, (const uint8_t[]){1, 0x14, 0, points[i]}, 4);
        if (points[i] == 0xa0 || points[i] == 0xa1)
            at[8] = 1;
        else
            put_address(at + 7, points[i] == 0xa2 ? blocks(w) : 0, true);
    }
    return (uint32_t)(at - w->data);
}

static enum cdrom_answer read_toc(const struct work *w)
{
    bool msf = w->packet[1] & 2;
    unsigned format = w->packet[2] & 15;
    uint8_t first = w->packet[6];
    uint32_t length;

    if (!format)
        format = w->packet[9] >> 6; /* where the first drives looked */
    if (format > 2 || (format == 0 && first > 1 && first != 0xaa))
        return invalid_field(w);
    length = format == 0 ? toc(w, first, msf) : format == 1 ? toc_sessions(w, msf) : toc_full(w);
    be16_store(w->data, (uint16_t)(length - 2));
    return give(w, length, be16_load(w->packet + 7));
}

static enum cdrom_answer read_disc_info(const struct work *w)
{
    if (w->packet[1] & 7)
        return invalid_field(w);
    be16_store(w->data, 32);
    w->data[2] = 0x0e;                                     /* finished, not erasable */
    w->data[3] = w->data[4] = w->data[5] = w->data[6] = 1; /* sessions and tracks */
    w->data[7] = 0x20;                                     /* for anybody's use */
    memset(w->data + 16, 0xff, 8);                         /* nothing can be added */
    return give(w, 34, be16_load(w->packet + 7));
}

static enum cdrom_answer read_track_info(const struct work *w)
{
    unsigned kind = w->packet[1] & 3;
    uint32_t which = be32_load(w->packet + 2);

    if (kind == 0 ? which >= blocks(w) : which != 1)
        return invalid_field(w);
    be16_store(w->data, 34);
    w->data[2] = w->data[3] = 1;
    w->data[5] = 4; /* data */
    w->data[6] = 1;
    be32_store(w->data + 24, blocks(w));
    return give(w, 36, be16_load(w->packet + 7));
}

/* READ DVD STRUCTURE, of which the physical format is what systems look at. */
static enum cdrom_answer read_dvd_structure(const struct work *w)
{
    if (w->packet[7] || w->packet[1] & 15 || !is_dvd(w))
        return invalid_field(w);
    be16_store(w->data, DVD_STRUCTURE - 2);
    w->data[4] = 0x01;                /* DVD-ROM, version 1 */
    w->data[5] = 0x0f;                /* 12 cm, any rate */
    w->data[6] = 0x01;                /* one layer, of pits */
    be32_store(w->data + 8, 0x30000); /* its first sector */
    be32_store(w->data + 12, 0x30000 + blocks(w) - 1);
    return give(w, DVD_STRUCTURE, be16_load(w->packet + 8));
}

static enum cdrom_answer mechanism_status(const struct work *w)
{
    w->data[1] = (uint8_t)(w->cd->open << 4);
    w->data[5] = 1; /* slots */
    return give(w, 8, be16_load(w->packet + 8));
}

static enum cdrom_answer read_subchannel(const struct work *w)
{
    w->data[1] = 0x15; /* no sound is being played */
    return give(w, 4, be16_load(w->packet + 7));
}

/* --- packets --- */

enum { READY = 1, /* needs a medium */ CALM = 2 /* goes on under a unit attention */ };

static const struct command {
    uint8_t code, flags;
    enum cdrom_answer (*run)(const struct work *w);
} commands[] = {
    {0x00, READY, test_ready},
    {0x03, CALM, request_sense},
    {0x12, CALM, inquiry},
    {0x1a, 0, mode_sense},
    {0x1b, 0, start_stop},
    {0x1e, 0, prevent_allow},
    {0x25, READY, read_capacity},
    {0x28, READY, read_blocks},
    {0x2b, READY, seek},
    {0x2f, READY, seek},
    {0x35, 0, nothing},
    {0x42, READY, read_subchannel},
    {0x43, READY, read_toc},
    {0x46, CALM, get_configuration},
    {0x4a, CALM, event_status},
    {0x51, READY, read_disc_info},
    {0x52, READY, read_track_info},
    {0x55, 0, nothing},
    {0x5a, 0, mode_sense},
    {0xa8, READY, read_blocks},
    {0xad, READY, read_dvd_structure},
    {0xbb, 0, nothing},
    {0xbd, 0, mechanism_status},
    {0xbe, READY, read_cd},
};

static const struct command *find(uint8_t code)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (commands[i].code == code)
            return &commands[i];
    return NULL;
}

static enum cdrom_answer no_medium(struct cdrom *cd)
{
    return check(cd, SENSE_NOT_READY, ASC_NO_MEDIUM, cd->open ? ASCQ_TRAY_OPEN : ASCQ_TRAY_CLOSED);
}

enum cdrom_answer cdrom_command(struct cdrom *cd, uint64_t size, const uint8_t packet[CDROM_PACKET],
                                uint8_t *data, struct cdrom_reply *ret_reply)
{
    const struct command *command = find(packet[0]);
    /* What lies on an open tray is nowhere, but for what closes it. */
    struct work w = {cd, cd->open && packet[0] != 0x1b ? 0 : size, packet, data, ret_reply};

    *ret_reply = (struct cdrom_reply){0};
    if (!command)
        return check(cd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_COMMAND, 0);
    memset(data, 0, CDROM_DATA_MAX);
    if (!(command->flags & CALM) && cd->attention) {
        cd->attention = 0;
        return check(cd, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED, 0);
    }
    if ((command->flags & READY) && w.size < CDROM_BLOCK)
        return no_medium(cd);
    if (packet[0] != 0x03)
        (void)check(cd, SENSE_NONE, 0, 0);
    return command->run(&w);
}

void cdrom_read_failed(struct cdrom *cd, int error)
{
    if (error == -ENOMEDIUM)
        (void)no_medium(cd);
    else
        (void)check(cd, SENSE_MEDIUM_ERROR, ASC_READ_ERROR, 0);
}

void cdrom_changed(struct cdrom *cd, uint64_t size)
{
    cd->open = 0;
    cd->attention = size != 0;
    cd->event = size ? EVENT_NEW_MEDIUM : EVENT_REMOVED;
}

void cdrom_reset(struct cdrom *cd)
{
    (void)check(cd, SENSE_NONE, 0, 0);
    cd->locked = 0;
}

static int post_load(void *object, struct err *err)
{
    const struct cdrom *cd = object;

    if (cd->event >= EVENT_MAX || cd->open > 1 || cd->locked > 1 || cd->attention > 1)
        return err_set(err, -EINVAL, "a drive in a state that none can be in");
    return 0;
}

static const struct state_field fields[] = {
    STATE_FIELD(struct cdrom, key, STATE_U8),    STATE_FIELD(struct cdrom, asc, STATE_U8),
    STATE_FIELD(struct cdrom, ascq, STATE_U8),   STATE_FIELD(struct cdrom, attention, STATE_U8),
    STATE_FIELD(struct cdrom, event, STATE_U8),  STATE_FIELD(struct cdrom, open, STATE_U8),
    STATE_FIELD(struct cdrom, locked, STATE_U8),
};
const struct state_table cdrom_state = {
    .name = "cdrom",
    .version = 1,
    .size = sizeof(struct cdrom),
    .fields = fields,
    .field_count = ARRAY_SIZE(fields),
    .post_load = post_load,
};
