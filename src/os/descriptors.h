/* The part of the table of OS operations that concerns descriptors, as Linux gives it. */
#ifndef THRUMI_DESCRIPTORS_H
#define THRUMI_DESCRIPTORS_H

#include <os/os.h>

/* Of a descriptor that was just made for the runtime, which is never one of 0, 1 and 2: it, or another one in its place. */
int thrumi_os_beyond_standard(int fd);

int thrumi_os_epoll_create(void);
int thrumi_os_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int thrumi_os_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout);
int thrumi_os_event_create(void);
ssize_t thrumi_os_read(int fd, void *buffer, size_t size);
ssize_t thrumi_os_write(int fd, const void *buffer, size_t size);
int thrumi_os_poll(struct pollfd *fds, size_t count);
ssize_t thrumi_os_readv(int fd, const struct iovec *pieces, int count, bool wait);
ssize_t thrumi_os_writev(int fd, const struct iovec *pieces, int count, bool wait);
ssize_t thrumi_os_pread_now(int fd, void *buffer, size_t size, int64_t offset);
ssize_t thrumi_os_recv(int fd, void *buffer, size_t size, int flags);
ssize_t thrumi_os_send(int fd, const void *buffer, size_t size, int flags);
ssize_t thrumi_os_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t thrumi_os_sendmsg(int fd, const struct msghdr *message, int flags);
int thrumi_os_accept(int fd, struct sockaddr *address, socklen_t *length);
int thrumi_os_connect(int fd, const struct sockaddr *address, socklen_t length);
ssize_t thrumi_os_sendfile(int out, int in, int64_t *offset, size_t size);

#define THRUMI_OS_DESCRIPTORS \
  .epoll_create = thrumi_os_epoll_create, .epoll_ctl = thrumi_os_epoll_ctl, \
  .epoll_wait = thrumi_os_epoll_wait, .event_create = thrumi_os_event_create, .read = thrumi_os_read, \
  .write = thrumi_os_write, .poll = thrumi_os_poll, .readv = thrumi_os_readv, .writev = thrumi_os_writev, \
  .pread_now = thrumi_os_pread_now, .recv = thrumi_os_recv, .send = thrumi_os_send, \
  .recvmsg = thrumi_os_recvmsg, .sendmsg = thrumi_os_sendmsg, .accept = thrumi_os_accept, \
  .connect = thrumi_os_connect, .sendfile = thrumi_os_sendfile

#endif
