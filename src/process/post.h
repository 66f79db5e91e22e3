/* What an executor and one of its processes say to each other: two rings of records in memory that both have, and a connection for
 * what wakes the other one, and for what is too long.
 *
 * Words that both may touch. A *flow* is one direction, with one writer and one reader.
 *
 *   word            value            meaning                                            written by
 *   tail            bytes so far     what lies before it has been written               the writer
 *   head            bytes so far     what lies before it has been read, and may go      the reader
 *   reader_sleeps   1                it waits for a record, and is to be woken          the reader; back to 0: the reader, or the
 *                                                                                       writer, who then owes it a wake-up
 *   writer_sleeps   1                it waits for room                                  likewise, the other way round
 *   a record's      WAITING          nobody has begun it                                the writer, before tail
 *   state           BEGUN            the reader has taken it up                         the reader, from WAITING
 *                   REVOKED          the writer has taken it back: it is passed over    the writer, from WAITING
 *   stop            1                the process is to end when it has nothing left     the executor
 *
 *  - Nobody misses a wake-up. A reader sets reader_sleeps, then looks at tail; a writer stores tail, then looks at reader_sleeps;
 *    between the two steps of each is a full fence (F1 in the reader, F2 in the writer), so at least one sees what the other did. The same
 *    for room, with head and writer_sleeps. `stop` is like a tail.
 *  - A wake-up is an empty message on the connection. At most one is owed for each time that somebody went to sleep, so the
 *    socket never fills up with them, and sending one does not wait.
 *  - A record too long for the ring has what it says in a file in memory, a *parcel*, whose descriptor goes over the connection
 *    before tail is moved. So whoever reads the record has the descriptor already, and waits for nothing.
 *  - Killed at any point, a process leaves the records that lie before tail whole, and nothing else counts. It may have written anything
 *    anywhere, though: so the executor believes nothing that would lead it out of the ring, keeps its own ends' positions to
 *    itself, and calls such a post broken.
 *
 * Rejected: messages alone. Each costs a system call on either side, which is more than a short task takes; several results in one would
 * either wait for a task that takes long, or be lost with it. Here a result counts once it is written, and whoever is awake
 * finds it without a call. */
#ifndef THRUMI_POST_H
#define THRUMI_POST_H

#include <core/atomic.h>
#include <process/message.h>
#include <thrum/process/conn.h>

enum {
  THRUMI_RING = 256 << 10,      /* bytes of a flow */
  THRUMI_RECORD_MAX = 64 << 10, /* longer ones are parcels */
  THRUMI_RECORD_ALIGN = 16,
  THRUMI_PARCELS = 257 /* so many may have come whose records have not been read */
};

enum thrumi_record_state { THRUMI_RECORD_WAITING, THRUMI_RECORD_BEGUN, THRUMI_RECORD_REVOKED };

struct thrumi_record {
  _Atomic uint32_t state;
  uint32_t kind; /* 0: filler, up to the end of the ring */
  uint32_t size; /* with this head, rounded up */
  uint32_t flags;
};
enum { THRUMI_RECORD_PARCEL = 1, THRUMI_RECORD_FLAG = 2 /* the first that is the user's */ };

struct thrumi_flow {
  _Alignas(64) _Atomic uint64_t tail;
  _Alignas(64) _Atomic uint64_t head;
  _Alignas(64) _Atomic uint32_t reader_sleeps;
  _Atomic uint32_t writer_sleeps;
  _Alignas(64) unsigned char bytes[THRUMI_RING];
};

struct thrumi_board {
  _Atomic uint32_t stop;
  struct thrumi_flow flow[2]; /* to the process, and from it */
};

/* One end of a board. Used by one thread. */
struct thrumi_post {
  struct thrumi_board *board;
  struct thrumi_flow *out, *in;
  uint64_t written, read; /* where we stand in each */
  uint64_t keep;          /* where the oldest record lies that we still look at; UINT64_MAX: none */
  uint32_t current;       /* size of the record that came last */
  thrum_conn *conn;
  bool broken; /* the other end has written or sent what cannot be */
  bool gone;   /* the connection has ended, or does not work */
  uint32_t parcel_first, parcel_count;
  int parcels[THRUMI_PARCELS]; /* descriptors, in the order of their records */
};

/* Our end: `side` 0: the executor's, 1: the process's. The board is all zero at the start. */
void thrumi_post_open(struct thrumi_post *post, struct thrumi_board *board, int side, thrum_conn *conn);
void thrumi_post_close(
    struct thrumi_post *post); /* the board, the connection, and parcels that nobody took */

/* Room for a record of so many bytes (THRUMI_RECORD_MAX at most), to be filled in; NULL: none at present. */
void *thrumi_post_room(struct thrumi_post *post, size_t size);

/* Records that we wrote, from this one on, are not overwritten, even if they have been read. NULL: all may be. */
void thrumi_post_keep(struct thrumi_post *post, const void *record);

/* Sends a parcel along with the record for which there is room. 0, -EAGAIN: no room for it at present, or an error. */
int thrumi_post_parcel(struct thrumi_post *post, const struct iovec *pieces, int count);

/* The record that was filled in counts from now on. */
void thrumi_post_write(struct thrumi_post *post, size_t size, uint32_t kind, uint32_t flags);

/* Wakes the other one, if it sleeps for what we have written. */
void thrumi_post_ring(struct thrumi_post *post);
void thrumi_post_stop(struct thrumi_post *post);

/* The next record that has come, which stays until thrumi_post_done; NULL: none, or it is broken. */
struct thrumi_record *thrumi_post_next(struct thrumi_post *post);
void thrumi_post_done(struct thrumi_post *post);

/* The descriptor of the parcel of the record that came next; or an error. It is the caller's, for thrum_close. -EMFILE: there is no room for one
 * more, and the parcel stays until there is. */
int thrumi_post_take_parcel(struct thrumi_post *post);

/* Maps a parcel of at least `size` bytes, and closes it. data NULL: it is none, or no memory. */
struct thrumi_bytes thrumi_parcel_map(int fd, uint64_t size);

/* Says that we sleep until a record comes. False: one is there, or the end is, and we do not. */
bool thrumi_post_sleep(struct thrumi_post *post);
/* The same until there is room for so many bytes. */
bool thrumi_post_sleep_for_room(struct thrumi_post *post, size_t size);

/* We do not sleep any more; `rung`: the connection was readable. There may be so many parcels, THRUMI_PARCELS at most, whose records have not been
 * read: with one more it is broken. */
void thrumi_post_wake(struct thrumi_post *post, bool rung, uint32_t parcels);

/* Nothing can be sent any more. What had been written before it was gone can still be read. */
static inline bool thrumi_post_is_lost(const struct thrumi_post *post) { return post->broken || post->gone; }

static inline size_t thrumi_record_round(size_t size) {
  return (size + THRUMI_RECORD_ALIGN - 1) / THRUMI_RECORD_ALIGN * THRUMI_RECORD_ALIGN;
}

#endif
