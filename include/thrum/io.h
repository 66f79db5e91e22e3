/* Input and output that park only the thread.
 *
 *     ssize_t n = thrum_read(fd, buffer, sizeof buffer);    // the worker goes on with another thread
 *
 * io/file.h      read, write and the like, of any descriptor; poll; close
 * io/socket.h    recv, send, accept, connect
 * io/net.h       listen and dial by name; look names up
 * io/lines.h     a reader of lines and a writer, with a buffer
 * io/signal.h    signals and ends of child processes as something to wait for; an event as a descriptor
 *
 * What holds for all of them:
 *  - They return what the calls of libc do, and a negative errno in place of errno. EINTR is never returned, and SIGPIPE not raised
 *    (but by thrum_print).
 *  - The call is tried first; only if it would block does the thread park until epoll says otherwise.
 *  - Any descriptor will do, also one that thrum did not make. Its mode, which other processes may share, is never
 *    changed; one in blocking mode works too.
 *  - They switch, and are cancellation points (-ECANCELED), before they begin and while they wait, unless it is said of one that it is
 *    not. What was
 *    transferred by then is not lost: a call that is cancelled has transferred nothing, unless it says otherwise.
 *  - Those with `_for` wait for so long at most: -ETIMEDOUT. 0 or less does not wait.
 *  - Several threads may wait for one descriptor. Each call goes on when it can; no order is promised among them.
 *  - thrum_close ends all waits for the descriptor with -EBADF, also if the number is used again at once. A descriptor that
 *    is closed by close(2) instead while threads wait for it leaves them waiting, as the kernel does.
 *  - On what is in blocking mode and cannot be told not to block (a listener, a terminal that is read, and before Linux 6.18 a pipe
 *    that is written) the kernel is asked first whether it is ready. If another process, or a call past thrum, is faster in between, the
 *    call blocks its kernel thread: neither its time nor a cancellation nor a close ends it then, but what it waits for, and it
 *    keeps its file open. In non-blocking mode that cannot be. */
#ifndef THRUM_IO_H
#define THRUM_IO_H

#include <thrum/io/file.h>
#include <thrum/io/lines.h>
#include <thrum/io/net.h>
#include <thrum/io/signal.h>
#include <thrum/io/socket.h>

#endif
