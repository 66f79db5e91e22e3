/* Messages with descriptors over a socket that keeps them whole (SOCK_SEQPACKET), between a process and what it starts. */
#ifndef THRUMI_MESSAGE_H
#define THRUMI_MESSAGE_H

#include <os/os.h>
#include <sys/uio.h>

enum {
  THRUMI_MESSAGE_FDS = 250,         /* the kernel's limit is 253 */
  THRUMI_MESSAGE_SHORT = 16 * 1024, /* so much always fits into a socket that is empty */
};

/* Without waiting. 0, or a negative errno: -EAGAIN: no room at present. */
int thrumi_message_send(int fd, const struct iovec *pieces, int count, const int *fds, size_t fd_count);

/* The same with a descriptor, for those who have nothing else to do: waits as long as too many descriptors of the user's are under way in
 * sockets (-ETOOMANYREFS), which others receive meanwhile; blocks the kernel thread. */
int thrumi_message_send_file(int fd, const struct iovec *pieces, int count, int file);

struct thrumi_message {
  void *data;
  size_t size; /* room, then what came */
  int *fds;
  size_t fd_count; /* likewise */
};

/* One message; -EAGAIN, unless it is to `wait` (blocking the kernel thread); -EPIPE: the end; -EMSGSIZE: longer than the room; -EMFILE: no room for the
 * descriptors: those that came are closed. */
int thrumi_message_receive(int fd, struct thrumi_message *message, bool wait);

/* The same, and the message stays, whole: of its descriptors others came. -EMFILE is no end of it, then. Does not wait. */
int thrumi_message_look(int fd, struct thrumi_message *message);
void thrumi_message_drop(int fd); /* the one that was looked at */

/* A file in memory with these bytes, read from the start, which nobody can make shorter any more. A negative errno. */
int thrumi_memory_file(const char *name, const struct iovec *pieces, int count);

/* Bytes that are kept; data is NULL if there are none, or no memory, but not for 0 bytes. */
struct thrumi_bytes {
  void *data;
  size_t size;
  bool mapped;
};
struct thrumi_bytes thrumi_bytes_copy(const void *data, size_t size);
struct thrumi_bytes thrumi_bytes_map(int fd, size_t size);       /* of a file in memory */
struct thrumi_bytes thrumi_bytes_receive(int fd, uint64_t size); /* of one that somebody else has made */
void thrumi_bytes_free(struct thrumi_bytes *bytes);

#endif
