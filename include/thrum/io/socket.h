/* Sockets, with one thread a connection.
 *
 *     for (int fd; (fd = thrum_accept(listener, NULL, NULL)) >= 0;) thrum_spawn(&t, serve, (void *)(intptr_t)fd);
 *
 * What holds for all calls is in <thrum/io.h>. Descriptors that these calls make are in non-blocking mode and are closed
 * on exec. */
#ifndef THRUM_IO_SOCKET_H
#define THRUM_IO_SOCKET_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* <sys/socket.h> has these; socklen_t is unsigned there. */
struct msghdr;
struct sockaddr;

/* As recv(2), send(2), recvmsg(2) and sendmsg(2), with the flags of those. With MSG_DONTWAIT: -EAGAIN instead of
 * waiting. MSG_WAITALL is not heeded: thrum_read_full. recvfrom and sendto are the last two with a name in the message. */
THRUM_API ssize_t thrum_recv(int fd, void *buffer, size_t size, int flags);
THRUM_API ssize_t thrum_send(int fd, const void *buffer, size_t size, int flags);
THRUM_API ssize_t thrum_recvmsg(int fd, struct msghdr *message, int flags);
THRUM_API ssize_t thrum_sendmsg(int fd, const struct msghdr *message, int flags);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_recv_for(int fd, void *buffer, size_t size, int flags,
                                                  thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_send_for(int fd, const void *buffer, size_t size, int flags,
                                                  thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_recvmsg_for(int fd, struct msghdr *message, int flags,
                                                     thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_sendmsg_for(int fd, const struct msghdr *message, int flags,
                                                     thrum_duration timeout);

/* As accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC: the descriptor of the connection, which is the caller's to close by thrum_close.
 * A connection that the peer gave up before it was accepted (ECONNABORTED) is passed over. -EMFILE and -ENFILE: no
 * descriptor is to be had; the connection stays in the queue, so close one, or wait, before the next try. -EINVAL: it does not listen,
 * or was shut down, which is how who accepts is told to stop. */
THRUM_API int thrum_accept(int fd, struct sockaddr *address, unsigned *length);
THRUM_API THRUM_MUST_CHECK int thrum_accept_for(int fd, struct sockaddr *address, unsigned *length,
                                                thrum_duration timeout);

/* As connect(2). After -ETIMEDOUT or -ECANCELED the attempt may still succeed behind: close the socket. On a socket in
 * blocking mode the attempt blocks its kernel thread, ends when the kernel says so, and cannot be cut short. */
THRUM_API int thrum_connect(int fd, const struct sockaddr *address, unsigned length);
THRUM_API THRUM_MUST_CHECK int thrum_connect_for(int fd, const struct sockaddr *address, unsigned length,
                                                 thrum_duration timeout);

#ifdef __cplusplus
}
#endif
#endif
