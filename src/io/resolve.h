/* Names of hosts and services, looked up. */
#ifndef THRUMI_RESOLVE_H
#define THRUMI_RESOLVE_H

#include <thrum/base.h>

struct addrinfo;

/* As thrum_getaddrinfo_for. 0 or a negative errno: -ENOENT: no such host or service; -EAGAIN: the name servers do not answer for
 * now; -EIO: they failed; and what thrum_getaddrinfo gives as *error. */
int thrumi_resolve(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                   thrum_duration timeout);

#endif
