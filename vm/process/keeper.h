/* SPDX-License-Identifier: Apache-2.0 */
/* A VM whose starter may go away: the program socle-keeper runs the pair (run.h) detached from
 * everybody, and whoever knows its socket can watch and steer it, as often and as many at a time as
 * they like. hostd's VMs are run so: they do not notice that hostd ends, and the next hostd finds
 * them again.
 *
 *   starter   memfd with the dictionary (vmcfg_encode) as descriptor 3; argv: PATH of the socket
 *   keeper    listens at PATH, then forks and lets the first process exit with 0: from then on
 *             connecting works. What fails before that goes to standard error, status 1.
 *   both      one SOCK_SEQPACKET message = one struct keeper_message
 *
 * A VM whose configuration names a state file (vmcfg.state) comes up PAUSED, with all of that state
 * in place, and begins to run with the first CHANGE: whoever lets it go on says in the same breath
 * what its .vmx is from then on. Nothing else in the keeper's life writes to a datastore.
 *
 * CHANGE is everything that is done to a running VM's disks and cards, and saving its state
 * (change.h): at most one at a time, in the keeper from the moment it is sent, whether or not the
 * client lives to see the end; CHANGED tells all clients of it. The client that sent one also gets
 * PROGRESS.
 *
 * The VM's serial port, unless the configuration sends it elsewhere, is the keeper's too: clients
 * get at it by KEEPER_SERIAL, as many at a time as serial_hub.h says.
 *
 * When the VM ends the keeper writes PATH.end (the last message, as a file), tells everybody, takes
 * PATH away and ends. A PATH that nobody listens at, without PATH.end, means that the keeper was
 * killed, and the VM with it.
 *
 * A VM runs for years, and its keeper is of the build that started it: hostd is often newer. So the
 * first message says the keeper's KEEPER_VERSION. A client sends only what that version knows
 * (keeper_knows); a keeper answers what it does not know by UNKNOWN. Kinds are never given another
 * number or meaning, fields are only added at the end of the message, and who gets a longer one
 * reads what he knows. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/vmcfg.h"
#include "vm/process/run.h"

enum { KEEPER_FD_CONFIG = 3 };

/* 0: what there was before keepers said a version. 1: the first message has it, and KEEPER_BUSY;
 * UNKNOWN. 2: NO_SPACE and RETRY; disks and cards that come and go. 3: VM_CHANGE_REOPEN */
enum { KEEPER_VERSION = 3, KEEPER_REOPENS = 3, KEEPER_BUSY = 1 };

enum keeper_kind {
    /* keeper -> client; one of the first four comes at once. Of the first three: token: the
     * keeper's version, value: KEEPER_BUSY when a change is under way */
    KEEPER_STARTING, /* the pair is on its way */
    KEEPER_PAUSED,   /* the guest's state has been restored; it waits for a CHANGE */
    KEEPER_RUNNING,  /* the guest runs */
    KEEPER_ENDED,    /* value: enum vm_end; text: why, or "" */
    KEEPER_PROGRESS, /* value: per cent of the change under way */
    KEEPER_CHANGED,  /* value: 0 or an errno, with text (0 too: change.h); us: how long the guest
                      * stood still */
    /* client -> keeper */
    KEEPER_POWER_BUTTON,
    KEEPER_RESET,
    KEEPER_STOP, /* power off, as the switch does it */
    /* keeper_change: what the change is about, each with a descriptor, and then the change */
    KEEPER_WITH_STATE,  /* the file */
    KEEPER_WITH_CONFIG, /* a dictionary (vmcfg_encode) */
    KEEPER_WITH_COMMIT, /* the new content of the file that is named in text */
    KEEPER_WITH_SIZE,   /* without a descriptor: disk `value` is to have us bytes */
    KEEPER_CHANGE,      /* value: VM_CHANGE_* */
    KEEPER_CANCEL,      /* the change under way, if it still can be */
    /* client -> keeper, and its answer: with the descriptor of a stream socket to the serial port
     * (serial_hub.h) if value is 0; else value is the errno, ENXIO: the port ends elsewhere */
    KEEPER_SERIAL,
    /* client -> keeper, and its answer: with the descriptor of the VM's counters (usage.h); text:
     * the ids of keeper, vmm, vmx in decimal, a blank between */
    KEEPER_USAGE,
    /* client -> keeper: a descriptor comes along, a socket on which the client then speaks to the
     * VM's screen (console.h) */
    KEEPER_CONSOLE,
    /* keeper -> client: it does not know what value says; token: as it came */
    KEEPER_UNKNOWN,
    /* keeper -> client, also right after the first message: the VM stands still, for there is no
     * room for what it writes to the disk that text names; client -> keeper: try again */
    KEEPER_NO_SPACE,
    KEEPER_RETRY,
    KEEPER_KIND_MAX
};

struct keeper_message {
    uint32_t kind;
    uint32_t value;
    int64_t us; /* RUNNING: since 1970, when the guest began; CHANGED: see there; ENDED: a
                   negative errno if there is one; else 0 */
    /* From the keeper: how many changes have been done. With CHANGE: how many the client knows of,
     * and another number is refused (-ESTALE), for what is wanted then builds on what is not so. */
    uint64_t changes;
    uint64_t token; /* of CHANGE, and of all that goes with it; CHANGED has the same */
    char text[ERR_TEXT_MAX];
};

/* What is wanted of the VM; nothing is possible too. */
struct keeper_change {
    unsigned flags;          /* VM_CHANGE_* (run.h) */
    int state_fd;            /* a fresh file for the VM's state; -1: none is saved */
    const struct vmcfg *cfg; /* what the VM becomes; NULL: as it is */
    const char *commit_path; /* NULL, or a file that gets `commit` as its content (file_replace of
                                base/file.h); shorter than ERR_TEXT_MAX */
    const void *commit;
    size_t commit_len;
    uint64_t changes, token;        /* see struct keeper_message */
    uint64_t grow[VMCFG_DISKS_MAX]; /* bytes that disks are to have; 0: what they have */
};

/* Starts one. `path` is taken as it is: short (a socket's address) and relative to the working
 * directory, which the keeper keeps. Blocks until the keeper listens. What it and the VM's
 * processes log is appended to the file `log`; NULL: nowhere. */
int keeper_start(const struct vmcfg *cfg, const char *path, const char *log, struct err *err);

/* A non-blocking connection: -ECONNREFUSED or -ENOENT when nobody listens. */
int keeper_connect(const char *path, int *ret_fd);
int keeper_send(int fd, enum keeper_kind kind);
int keeper_change(int fd, const struct keeper_change *change, struct err *err);
/* 0, -EAGAIN: nothing now, -EPIPE: gone, -EBADMSG. Its kind may be one that is not known here.
 * *ret_fd (NULL: none is wanted, one that comes is closed): a descriptor that came along, the
 * caller's, or -1. */
int keeper_receive(int socket, struct keeper_message *ret_message, int *ret_fd);
/* Does a keeper of that version know this request? */
bool keeper_knows(uint64_t version, enum keeper_kind kind);
/* Both sides: a whole message, and a descriptor, which stays the caller's, or -1. */
int keeper_send_message(int socket, const struct keeper_message *message, int fd);

/* The serial port of the VM: what it sent last, then all that it sends, and what is written goes to
 * it. The socket's end is the VM's end. Asks on a connection of its own and waits for the answer,
 * KEEPER_ANSWER_MS at most. -ECONNREFUSED, -ENOENT: does not run; -ENXIO: the port goes to a file
 * or a pipe; -EUSERS: too many have it. */
enum { KEEPER_ANSWER_MS = 2000 };
int keeper_serial(const char *path, int *ret_fd);

/* A socket for the messages of console.h, on a connection to the keeper that there is already. */
int keeper_console(int keeper, int *ret_fd);

/* What PATH.end says; -ENOENT without one. keeper_forget takes it and PATH away. */
int keeper_last_words(const char *path, struct keeper_message *ret_message);
void keeper_forget(const char *path);
