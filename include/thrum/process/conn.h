/* Connections that carry whole messages, within a process and between processes.
 *
 *     thrum_conn *end[2];
 *     thrum_conn_pair(end);
 *     thrum_conn_send(end[0], "hello", 5);
 *     char text[100];
 *     ssize_t n = thrum_conn_recv(end[1], text, sizeof text);    // 5
 *
 * What is on the wire is what Python's multiprocessing.connection speaks (a length of 4 bytes, then the message), so a Connection of Python
 * may be at the other end. Messages are bytes; one of 0 bytes is a message, and one of more than 2 GiB too.
 *
 * What holds for all calls:
 *  - They park only the thread, whatever the mode of the descriptor, which is not changed; SIGPIPE is not raised.
 *  - They switch, and are cancellation points (-ECANCELED), before they begin and while they wait, but for those of which it is said.
 *  - Those with `_for` wait for so long at most: -ETIMEDOUT. 0 or less does not wait.
 *  - Several threads may use one end at the same time: one sends and one receives at a time, others wait for their turn, so a
 *    message stays whole. Between processes that share one end nothing keeps them from mixing theirs: a lock does.
 *  - -EBADF: thrum_conn_shutdown or thrum_conn_close came. -EINVAL: NULL. -EOPNOTSUPP: this end only sends, or only receives.
 *
 * In the midst of a message.
 *  - A receive that times out or is cancelled there has lost nothing: what has come is kept, and the next receive, of whatever
 *    thread, goes on with that message.
 *  - A send that times out or is cancelled before its first byte went out has done nothing. Later the rest cannot be taken back, and must
 *    not be mixed with the next message: so this direction is given up. The other end never sees that message, but the end of
 *    the stream in its midst (of a pipe that is no socket: when this end is closed), and each further send is -ECONNABORTED. What
 *    must not be cut off by a cancellation is sent in a THRUM_SHIELD. Messages to a socket of the Unix family of up to 16 KiB go out whole or not
 *    at all.
 *  - In the child of a fork, a direction that another thread of the parent's was in the midst of is -EOWNERDEAD.
 *
 * What the descriptor says is true: nothing is read ahead of the message, so poll, select and epoll may ask it, and between two
 * messages it can be handed to another process. */
#ifndef THRUM_PROCESS_CONN_H
#define THRUM_PROCESS_CONN_H

#include <thrum/base.h>
#include <thrum/select.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One end of a connection. */
typedef struct thrum_conn thrum_conn;

enum { THRUM_CONN_READ = 1, THRUM_CONN_WRITE = 2, THRUM_CONN_BOTH = 3 };

/* ---- Making and ending ------------------------------------------------------------------------------------------ */

/* Two ends, each of which sends to the other: a pair of sockets. And two of one direction: a pipe. Their descriptors are in
 * blocking mode, as children expect that inherit them, and are closed on exec. Does not switch. 0; -ENOMEM, -EMFILE, -ENFILE. */
THRUM_API int thrum_conn_pair(thrum_conn *out[2]);
THRUM_API int thrum_conn_pipe(thrum_conn **reader, thrum_conn **writer);

/* An end over a descriptor that is there already, as one that was inherited: a socket, a pipe, anything that carries a stream of
 * bytes. It is the connection's from then on. `mode` says what may be done with it: THRUM_CONN_READ, THRUM_CONN_WRITE, or both. With an
 * error it stays the caller's: -EBADF: not open, or not for this; -EINVAL: a mode that is none, or a socket that is no stream; -ENOMEM. Does not switch. */
THRUM_API int thrum_conn_open(thrum_conn **out, int fd, int mode);

/* Its descriptor, for select, poll, or to be handed on; it stays the connection's. Does not switch. */
THRUM_API int thrum_conn_fd(const thrum_conn *c);

/* Closes the descriptor: calls on the connection that wait, or come later, are -EBADF. The connection itself stays, for threads
 * that may yet call, until thrum_conn_close. May switch; no cancellation point. Again: nothing. */
THRUM_API void thrum_conn_shutdown(thrum_conn *c);

/* The same, and frees it; calls that are under way end with -EBADF first. None may begin afterwards. NULL: nothing. May switch; no
 * cancellation point. */
THRUM_API void thrum_conn_close(thrum_conn *c);

/* ---- Messages ----------------------------------------------------------------------------------------------------- */

/* Sends a message. 0 or an error, and then the other end never gets this message whole. -EPIPE, -ECONNRESET: the other end has closed;
 * -ECONNABORTED: an earlier send was cut off. */
THRUM_API int thrum_conn_send(thrum_conn *c, const void *data, size_t size);
THRUM_API THRUM_MUST_CHECK int thrum_conn_send_for(thrum_conn *c, const void *data, size_t size,
                                                   thrum_duration timeout);

/* Receives the next message into the buffer: its length, which may be 0.
 * -EMSGSIZE: it is longer than `size`; it is kept for the next receive, and thrum_conn_next_size says how long it is.
 * -EPIPE: the other end has closed. -ECONNRESET: and had not received all that was sent to it.
 * -EBADMSG: it closed in the midst of a message. -EPROTO: what comes is no message. -ECONNABORTED: an earlier receive gave up. These
 * three are for good. */
THRUM_API ssize_t thrum_conn_recv(thrum_conn *c, void *buffer, size_t size);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_conn_recv_for(thrum_conn *c, void *buffer, size_t size,
                                                       thrum_duration timeout);

/* How long the message is that a receive has begun with and not finished. -EAGAIN: there is none. Does not switch; no cancellation
 * point. */
THRUM_API ssize_t thrum_conn_next_size(const thrum_conn *c);

/* The same into memory of its own, which the caller frees with free(3); also a message of 0 bytes gets some. It grows as the message
 * comes, so that who only claims to send much costs nothing. -EMSGSIZE: longer than `limit`: it is not read, and nothing
 * after it can be (-ECONNABORTED from then on; sending goes on). -ENOMEM: the message is kept, as far as it has come. */
THRUM_API int thrum_conn_recv_new(thrum_conn *c, void **data, size_t *size, size_t limit);
THRUM_API THRUM_MUST_CHECK int thrum_conn_recv_new_for(thrum_conn *c, void **data, size_t *size, size_t limit,
                                                       thrum_duration timeout);

/* ---- Waiting ------------------------------------------------------------------------------------------------------ */

/* Waits until a receive would find something: a message or a part of one, or the end. Receives nothing. 0 or an error. */
THRUM_API int thrum_conn_wait(thrum_conn *c);
THRUM_API THRUM_MUST_CHECK int thrum_conn_wait_for(thrum_conn *c, thrum_duration timeout);

/* One of several things to wait for: a connection, or, where that is NULL, a descriptor, as a process' sentinel. */
typedef struct thrum_conn_item {
  thrum_conn *conn;
  int fd;
  bool ready; /* written by the call */
} thrum_conn_item;

/* Waits until one of n items can be read, which what has ended can, and says of each whether it is ready. How many are; 0 only if n is
 * 0. -EBADF: one is not open, or was closed meanwhile; -ENOMEM. */
THRUM_API int thrum_conn_wait_many(thrum_conn_item *items, size_t n);
THRUM_API THRUM_MUST_CHECK int thrum_conn_wait_many_for(thrum_conn_item *items, size_t n,
                                                        thrum_duration timeout);

/* The same as a case of a select (select.h), whose status it has; the connection must not be closed before the select begins. */
static inline thrum_case thrum_case_conn(const thrum_conn *c) {
  return c ? thrum_case_readable(thrum_conn_fd(c)) : thrumi_case(THRUMI_CASE_NEVER, 0, 0, 0, 0);
}

/* ---- Descriptors --------------------------------------------------------------------------------------------------- */

/* Sends a descriptor along, between two messages; it stays the caller's. What is on the wire is what send_handle of Python's
 * multiprocessing.reduction sends. -EBADF also: not open. -EINVAL, -ENOTSOCK, -EOPNOTSUPP: a connection that carries none: they go through
 * Unix sockets alone. Other errors as thrum_conn_send. */
THRUM_API int thrum_conn_send_fd(thrum_conn *c, int fd);
THRUM_API THRUM_MUST_CHECK int thrum_conn_send_fd_for(thrum_conn *c, int fd, thrum_duration timeout);

/* Receives one: the descriptor, the caller's, closed on exec. -ENOMSG: what comes next is not a descriptor, but a message; it
 * stays. -EBUSY: a message is kept that was too long. -EMFILE: no room for one more descriptor; it stays, too, and the
 * connection readable, so close one or let some time pass before the next call. Other errors as thrum_conn_recv, which in turn says -EPROTO where a descriptor comes in place of a message. */
THRUM_API int thrum_conn_recv_fd(thrum_conn *c);
THRUM_API THRUM_MUST_CHECK int thrum_conn_recv_fd_for(thrum_conn *c, thrum_duration timeout);

#ifdef __cplusplus
}
#endif
#endif
