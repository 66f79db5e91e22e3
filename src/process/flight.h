/* Descriptors that a start has open for its child.
 *
 * Somebody else may fork meanwhile, and that child would hold what is to be the end of a pipe or a socket elsewhere: whoever waits
 * for its end would wait for that child. So each is in a list from before the kernel makes it (the kernel writes the number before
 * the descriptor is there), and the child of a fork closes all but those of the start that it is itself from.
 *
 * One that is closed leaves the list before: a fork behind the close would else close, in its child, what has the number by then. But a fork before the
 * close keeps it; and the kernel copies the descriptors of a process before it copies the memory, so that the child may have a descriptor of which the list
 * knows nothing any more. So the last RECENT that were closed (flight.c) are noted with their identity, and the child closes what is that very
 * one still. For one to be kept that many must be closed while one fork is under way. What is the same open file by another number has no
 * identity of its own, and is closed without a note: the line's end, and in a forked one what its standard descriptors were made of.
 *
 * What goes into a record is there before it is out of the list: it may be closed twice in the child, which opens nothing in between. */
#ifndef THRUMI_FLIGHT_H
#define THRUMI_FLIGHT_H

#include <stdint.h>

struct thrum_process;

enum thrumi_flight_fd {
  THRUMI_FLIGHT_CHANNEL = 0,  /* two: ours, the child's */
  THRUMI_FLIGHT_NEWS = 2,     /* two: ours, the server's */
  THRUMI_FLIGHT_CONTROL = 4,  /* two: ours, the server's */
  THRUMI_FLIGHT_PIPE = 6,     /* two: of one standard descriptor after the other */
  THRUMI_FLIGHT_STANDARD = 8, /* three */
  THRUMI_FLIGHT_DIRECTORY = 11,
  THRUMI_FLIGHT_LIFE,
  THRUMI_FLIGHT_FDS,
  /* Of an attendant's process, as long as it lives: */
  THRUMI_FLIGHT_POST = THRUMI_FLIGHT_CHANNEL, /* two: ours, the process's */
  THRUMI_FLIGHT_BOARD = THRUMI_FLIGHT_NEWS
};

struct thrumi_flight {
  struct thrumi_flight *next;
  uint64_t thread;
  struct thrum_process *p; /* whose ends are closed in the child too; NULL: of an attendant */
  int fds[THRUMI_FLIGHT_FDS];
};

void thrumi_flight_begin(struct thrumi_flight *f, struct thrum_process *p);
void thrumi_flight_end(struct thrumi_flight *f); /* closes what is left */

void thrumi_flight_close(struct thrumi_flight *f, int which);
int thrumi_flight_take(struct thrumi_flight *f, int which); /* it is somebody else's, who has it already */

int thrumi_flight_give_up(
    struct thrumi_flight *f,
    int which); /* the caller is about to close it, in a way of his own. -1: there is none */

/* 0, or an error. */
int thrumi_flight_pair(struct thrumi_flight *f, int first);    /* of sockets that keep messages whole */
int thrumi_flight_streams(struct thrumi_flight *f, int first); /* and of such that do not */
int thrumi_flight_pipe(struct thrumi_flight *f, int first);

void thrumi_flight_fork(void);

#endif
