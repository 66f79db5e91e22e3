/* Sockets, with one thread a connection.
 *
 *     int listener = thrum_listen_tcp("localhost", "8080");
 *     for (int fd; (fd = thrum_accept(listener, NULL, NULL)) >= 0;) thrum_spawn(&t, serve, (void *)(intptr_t)fd);
 *
 * What holds for all calls is in <thrum/io.h>. Descriptors that these calls make are in non-blocking mode and are closed
 * on exec. */
#ifndef THRUM_IO_SOCKET_H
#define THRUM_IO_SOCKET_H

#include <sys/socket.h>
#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct addrinfo;

/* As recv(2), send(2), recvmsg(2) and sendmsg(2), with the flags of those. With MSG_DONTWAIT: -EAGAIN instead of
 * waiting. recvfrom and sendto are these two with a name in the message. */
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
 * descriptor is to be had; the connection stays in the queue, so close one, or wait, before the next try. */
THRUM_API int thrum_accept(int fd, struct sockaddr *address, socklen_t *length);
THRUM_API THRUM_MUST_CHECK int thrum_accept_for(int fd, struct sockaddr *address, socklen_t *length,
                                                thrum_duration timeout);

/* As connect(2). After -ETIMEDOUT or -ECANCELED the attempt may still succeed behind: close the socket. On a socket in
 * blocking mode the attempt blocks its kernel thread, ends when the kernel says so, and cannot be cut short. */
THRUM_API int thrum_connect(int fd, const struct sockaddr *address, socklen_t length);
THRUM_API THRUM_MUST_CHECK int thrum_connect_for(int fd, const struct sockaddr *address, socklen_t length,
                                                 thrum_duration timeout);

/* A socket that listens at `host` (a name or a numeric address of IPv4 or IPv6; NULL: all addresses of the machine, by IPv6 and IPv4
 * where there is both) and `port` (a number or a service's name; "0": one that is free, see thrum_local_port). SO_REUSEADDR is set.
 * A descriptor, or a negative errno; -ENOENT: no such host or service. */
THRUM_API int thrum_listen_tcp(const char *host, const char *port);

/* A connection to `host` and `port`: its addresses are tried in turn, in the order of getaddrinfo, until one answers; if
 * none does, the error of the first one. TCP_NODELAY is set. The timeout is for the whole, the look-up included. */
THRUM_API int thrum_dial_tcp(const char *host, const char *port);
THRUM_API THRUM_MUST_CHECK int thrum_dial_tcp_for(const char *host, const char *port, thrum_duration timeout);

/* The same with a path of the file system; one that begins with '@' is a name of Linux's abstract space. To listen where a
 * socket's file is left over from a process that is no more takes its place; -EADDRINUSE: somebody listens there. */
THRUM_API int thrum_listen_unix(const char *path);
THRUM_API int thrum_dial_unix(const char *path);
THRUM_API THRUM_MUST_CHECK int thrum_dial_unix_for(const char *path, thrum_duration timeout);

/* The port to which a socket is bound. A negative errno; -EAFNOSUPPORT: it has none. Does not switch. */
THRUM_API int thrum_local_port(int fd);

/* As getaddrinfo(3), with its arguments and its results (0 or EAI_...), which freeaddrinfo takes; the wait, which may be
 * long, is the thread's alone. EAI_SYSTEM: *error, if not NULL, is a negative errno, -ECANCELED and -ETIMEDOUT among them. */
THRUM_API int thrum_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                                struct addrinfo **out, int *error);
THRUM_API THRUM_MUST_CHECK int thrum_getaddrinfo_for(const char *host, const char *port,
                                                     const struct addrinfo *hints, struct addrinfo **out,
                                                     int *error, thrum_duration timeout);

#ifdef __cplusplus
}
#endif
#endif
