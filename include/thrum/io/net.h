/* Listening and dialing by name, with one thread a connection.
 *
 *     int listener = thrum_listen_tcp("localhost", "8080");
 *     for (int fd; (fd = thrum_accept(listener, NULL, NULL)) >= 0;) thrum_spawn(NULL, serve, (void *)(intptr_t)fd);
 *
 * What holds for all calls is in <thrum/io.h>. Descriptors that these calls make are sockets in non-blocking mode that are closed on
 * exec; they are the caller's, to be closed by thrum_close. */
#ifndef THRUM_IO_NET_H
#define THRUM_IO_NET_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct addrinfo;

/* A socket that listens at `host` (a name or a numeric address of IPv4 or IPv6; NULL: all addresses of the machine, by IPv6 and IPv4
 * where there is both) and `port` (a number or a service's name; "0": one that is free, see thrum_local_port). Of a name with
 * several addresses it is the first at which one can listen. SO_REUSEADDR is set.
 * A descriptor, or a negative errno; -ENOENT: no such host or service; -EAGAIN: the name servers do not answer for now; -EIO: they
 * failed; -EINVAL: no port (NULL or ""), or a number beyond 65535. */
THRUM_API int thrum_listen_tcp(const char *host, const char *port);

/* A connection to `host` (NULL: this machine) and `port`: its addresses are tried in turn, in the order of getaddrinfo, until one
 * answers; if none does, the error of the first one. TCP_NODELAY is set. The timeout is for the whole, the look-up included; each
 * address gets an equal part of what is left. Errors of the look-up as above; -EINVAL also for the port 0. */
THRUM_API int thrum_dial_tcp(const char *host, const char *port);
THRUM_API THRUM_MUST_CHECK int thrum_dial_tcp_for(const char *host, const char *port, thrum_duration timeout);

/* The same with a path of the file system; one that begins with '@' is a name of Linux's abstract space. To listen where a
 * socket's file is left over from a process that is no more takes its place; -EADDRINUSE: somebody listens there (and
 * sees a connection that ends at once), or it is another kind of file. -EINVAL: NULL or empty; -ENAMETOOLONG: more than 107
 * bytes. The file stays when the socket is closed. */
THRUM_API int thrum_listen_unix(const char *path);
THRUM_API int thrum_dial_unix(const char *path);
THRUM_API THRUM_MUST_CHECK int thrum_dial_unix_for(const char *path, thrum_duration timeout);

/* The port to which a socket is bound. A negative errno; -EAFNOSUPPORT: it has none. Does not switch. */
THRUM_API int thrum_local_port(int fd);

/* As getaddrinfo(3), with its arguments and its results (0 or EAI_...), which freeaddrinfo takes; the wait, which may be
 * long, is the thread's alone, and one that ends early leaves libc's look-up behind. EAI_SYSTEM: *error, if not NULL, is a negative
 * errno, -ECANCELED and -ETIMEDOUT among them. Numeric addresses and ports never wait. Of names 32 are looked up at a
 * time; others wait for their turn. */
THRUM_API int thrum_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                                struct addrinfo **out, int *error);
THRUM_API THRUM_MUST_CHECK int thrum_getaddrinfo_for(const char *host, const char *port,
                                                     const struct addrinfo *hints, struct addrinfo **out,
                                                     int *error, thrum_duration timeout);

#ifdef __cplusplus
}
#endif
#endif
