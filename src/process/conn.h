/* A connection from within: see conn.c. */
#ifndef THRUMI_CONN_H
#define THRUMI_CONN_H

#include <process/owned.h>
#include <process/wire.h>
#include <thrum/process/conn.h>
#include <thrum/sync/lock.h>
#include <thrum/time.h>

/* What this end sends. Under its lock. */
struct thrumi_outgoing {
  thrum_lock lock;
  bool midway; /* a message may have begun to go out */
  int error;   /* what each further send says; 0: it can go out */
};

/* What this end receives. Under its lock, but for `next`. */
struct thrumi_incoming {
  thrum_lock lock;
  bool known; /* the head is whole: `size` is what it says */
  unsigned char have, head[THRUMI_HEAD_LONG];
  uint64_t size;
  unsigned char
      *part; /* what has come of the message and was not handed over: `got` bytes of `room`. NULL: nothing */
  uint64_t got, room;
  int error;             /* what each further receive says */
  _Atomic uint64_t next; /* size + 1 of a message that was begun with; 0: none */
};

struct thrum_conn {
  struct thrumi_owned owned; /* first */
  int mode;
  bool is_socket;
  bool shows_rights; /* a Unix socket that says when a descriptor comes along */
  struct thrumi_outgoing out;
  struct thrumi_incoming in;
};

static inline int thrumi_conn_fd(const struct thrum_conn *c) { return c->owned.fd; }

/* A thread's turn at one direction of a connection. */
struct thrumi_turn {
  thrum_conn *conn;
  struct thrumi_descriptor *descriptor;
  thrum_lock *lock; /* NULL: none is held */
  thrum_time deadline;
};

/* Waits for the turn at THRUM_CONN_READ or THRUM_CONN_WRITE, or (0) only keeps the descriptor from being closed. 0, or an error: no turn. From
 * then on until the end its descriptor's number means its descriptor. */
int thrumi_conn_begin(struct thrumi_turn *turn, thrum_conn *c, int direction, thrum_duration timeout);
void thrumi_conn_end(struct thrumi_turn *turn);

/* Sends a message of at most so many pieces. A cancellation ends it before it has begun, or not at all. */
enum { THRUMI_PIECES_MAX = 3 };
struct iovec;
int thrumi_conn_send_pieces(thrum_conn *c, const struct iovec *pieces, int count, thrum_duration timeout);

/* In a turn: gives the direction up, with what further calls are to say, and tells the other end as far as it can be told. */
void thrumi_conn_give_up(thrum_conn *c, int direction, int error);

/* Whether a call that ended so may be made again: the stream is as it was. */
static inline bool thrumi_conn_goes_on(ssize_t error) {
  return error == -ETIMEDOUT || error == -ECANCELED || error == -ENOMEM || error == -ENOSPC ||
         error == -EMFILE || error == -ENFILE;
}

#endif
