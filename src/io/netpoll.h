/* The netpoller: epoll, edge-triggered, and who waits for which descriptor. */
#ifndef THRUMI_NETPOLL_H
#define THRUMI_NETPOLL_H

#include <stdbool.h>
#include <stdint.h>

enum thrumi_direction { THRUMI_IN, THRUMI_OUT };

/* Parks the caller until the descriptor may be ready in that direction. 0: look again. -ETIMEDOUT, -ECANCELED,
 * -EBADF (closed by thrum_close meanwhile), -EPERM: epoll does not take it, because it never waits (a plain file).
 * `seen` is what thrumi_netpoll_events said before the call that would have blocked. */
int thrumi_netpoll_wait(int fd, enum thrumi_direction direction, uint32_t seen, int64_t deadline);

/* How many times the descriptor was reported ready in that direction; to be read before the call is tried. An event
 * between the try and the wait is then not lost: the count has moved. -EPERM etc. as above, or the count. */
int64_t thrumi_netpoll_events(int fd, enum thrumi_direction direction);

/* Wakes all who wait for it with -EBADF and forgets it. */
void thrumi_netpoll_forget(int fd);

/* After close(2): who began to wait in between looks again. */
void thrumi_netpoll_closed(int fd);

#endif
