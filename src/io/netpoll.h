/* The netpoller: epoll, edge-triggered, and who waits for which descriptor. */
#ifndef THRUMI_NETPOLL_H
#define THRUMI_NETPOLL_H

#include <core/wait.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct thrumi_descriptor; /* the record of a descriptor's number; kept for ever once it is there */
struct thrumi_thread;

enum thrumi_direction { THRUMI_IN, THRUMI_OUT };

/* What the number is, as far as calls have found out. Only a hint: the number may be another file's by now. */
enum thrumi_fd_kind {
  THRUMI_FD_UNKNOWN,
  THRUMI_FD_SOCKET,
  THRUMI_FD_STREAM, /* a pipe, a terminal, ... whose calls can be told not to block */
  THRUMI_FD_SLOW,   /* one whose calls cannot */
  THRUMI_FD_FILE,   /* its calls end by themselves */
};

/* Begins a call on the descriptor: until thrumi_descriptor_end no thrum_close closes it. -EBADF: no number, or it is about to be
 * closed; -ENOMEM; or what epoll says at its start. Outside. */
int thrumi_descriptor_begin(int fd, struct thrumi_descriptor **out);
void thrumi_descriptor_end(struct thrumi_descriptor *d);

/* How many times thrum_close closed the number. Between begin and end; it is the same file in another call if that did not move. */
uint32_t thrumi_descriptor_closes(const struct thrumi_descriptor *d);

/* Around a call that may block, which a close does not wait for. The end of the pause says whether the number is still the same file,
 * and stays so until the end; else it must not be tried again. */
uint32_t thrumi_descriptor_pause(struct thrumi_descriptor *d);
bool thrumi_descriptor_resume(struct thrumi_descriptor *d, uint32_t paused);

/* Which file it is, by fstat; all zeroes where it cannot be told. */
struct thrumi_file_id {
  uint64_t device, inode;
};

/* Between begin and end: the right to ask whether it is ready and to make the call, in a direction; of one thread at a time, since
 * the second one of two that heard that it is ready would block. 0: another thread has it, and gives it back as an event if it
 * has called, or if an event came while it had it, of which only it may have heard. Who has it of another file, which the number was
 * before a close(2), has it no longer: its release does nothing, as after a close. Outside. */
uint64_t thrumi_descriptor_claim(struct thrumi_descriptor *d, enum thrumi_direction direction,
                                 struct thrumi_file_id file);
void thrumi_descriptor_release(struct thrumi_descriptor *d, enum thrumi_direction direction, uint64_t claim,
                               bool called);

/* A call of thrum has just made this descriptor: what was known of its number is of no use any more. Outside. */
void thrumi_descriptor_made(int fd, enum thrumi_fd_kind kind);

enum thrumi_fd_kind thrumi_descriptor_kind(const struct thrumi_descriptor *d);
void thrumi_descriptor_set_kind(struct thrumi_descriptor *d, enum thrumi_fd_kind kind);

/* How many times it was reported ready in that direction; to be read before the call is tried. An event between the try and the
 * wait is then not lost: the count has moved. Anywhere. */
uint32_t thrumi_descriptor_events(const struct thrumi_descriptor *d, enum thrumi_direction direction);

/* Parks the caller until the descriptor may be ready in that direction; `seen` is the count of before the try. 0: try again. -ETIMEDOUT,
 * -ECANCELED, -EBADF (thrum_close came), -EPERM: epoll does not take it, because it never waits (a plain file).
 * Outside, between begin and end. */
int thrumi_descriptor_wait(struct thrumi_descriptor *d, enum thrumi_direction direction, uint32_t seen,
                           int64_t deadline);

/* For a thread that waits for several things at once with one ticket (select, poll). `events` are those of poll(2). */
struct thrumi_fd_wait {
  struct thrumi_fd_wait *next, *prev;
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
  struct thrumi_descriptor *descriptor;
  uint32_t
      events; /* POLLIN, POLLPRI, POLLRDHUP: in; POLLOUT: out; either, both or none; and POLLERR and POLLHUP */
  int32_t result;   /* 0, or -EBADF: closed by thrum_close while it was enlisted */
  bool queued, won; /* won: its waker claimed the wait */
};

/* Before: 0, -EBADF (no number), -ENOMEM, or what epoll says at its start. Outside. */
int thrumi_fd_start(int fd);

/* Inside, armed: whoever makes it ready claims w->thread with w->ticket from here on. 0; a negative errno: not enlisted (-EPERM: it never
 * waits; -EBADF). What is ready already is reported by the poller. */
int thrumi_fd_enlist(struct thrumi_fd_wait *w, int fd, uint32_t events);
int thrumi_fd_try_enlist(int fd, uint32_t events); /* Inside. What it would say; nobody waits afterwards. */
void thrumi_fd_withdraw(struct thrumi_fd_wait *w); /* Inside; afterwards nobody touches it. */

/* What poll(2) says of it at this moment: its events, or a negative errno. Anywhere. */
int thrumi_fd_poll(int fd, uint32_t events);

/* thrum_close. */
int thrumi_descriptor_close(int fd);

#endif
