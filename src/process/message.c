/* Messages with descriptors, and files in memory for what is too long for one. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <os/descriptors.h>
#include <os/quietly.h>
#include <process/message.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

union control {
  struct cmsghdr header;
  char room[CMSG_SPACE(THRUMI_MESSAGE_FDS * sizeof(int))];
};

int thrumi_message_send(int fd, const struct iovec *pieces, int count, const int *fds, size_t fd_count) {
  union control control;
  struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};
  if (fd_count) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof *fds);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(fd_count * sizeof *fds);
    memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof *fds);
  }
  ssize_t n;
  do n = thrumi_os.sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n == -EINTR);
  return n < 0 ? (int)n : 0;
}

int thrumi_message_send_file(int fd, const struct iovec *pieces, int count, int file) {
  int error, tries = 10000; /* 10 s */
  while ((error = thrumi_message_send(fd, pieces, count, &file, 1)) == -ETOOMANYREFS && tries-- > 0)
    usleep(1000);
  return error;
}

/* How many descriptors came; those beyond the room are closed. */
static size_t take_fds(struct msghdr *header, int *fds, size_t room) {
  size_t n = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      if (n < room)
        fds[n++] = fd;
      else
        close(fd);
    }
  }
  return n;
}

static int receive(int fd, struct thrumi_message *message, int flags) {
  union control control;
  memset(&control, 0, sizeof control);
  struct iovec piece = {message->data, message->size};
  struct msghdr header = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t n;
  do n = thrumi_os.recvmsg(fd, &header, MSG_CMSG_CLOEXEC | flags);
  while (n == -EINTR);
  if (n <= 0) return n < 0 ? (int)n : -EPIPE;
  size_t room = message->fd_count;
  message->size = (size_t)n;
  message->fd_count = take_fds(&header, message->fds, room);
  if (!(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) return 0;
  for (size_t i = 0; i < message->fd_count; i++) close(message->fds[i]);
  return header.msg_flags & MSG_TRUNC ? -EMSGSIZE : -EMFILE;
}

int thrumi_message_receive(int fd, struct thrumi_message *message, bool wait) {
  return receive(fd, message, wait ? 0 : MSG_DONTWAIT);
}

int thrumi_message_look(int fd, struct thrumi_message *message) {
  return receive(fd, message, MSG_DONTWAIT | MSG_PEEK);
}

void thrumi_message_drop(int fd) {
  char byte;
  while (thrumi_os.recv(fd, &byte, 1, MSG_DONTWAIT) == -EINTR) continue;
}

/* ---- Files in memory -------------------------------------------------------------------------------------------- */

static int write_all(int fd, const struct iovec *pieces, int count) {
  for (int i = 0; i < count; i++) {
    size_t done = 0;
    while (done < pieces[i].iov_len) {
      ssize_t n =
          (ssize_t)QUIETLY(write(fd, (const char *)pieces[i].iov_base + done, pieces[i].iov_len - done));
      if (n == -EINTR) continue;
      if (n < 0) return (int)n;
      done += (size_t)n;
    }
  }
  return 0;
}

int thrumi_memory_file(const char *name, const struct iovec *pieces, int count) {
  int fd = thrumi_os_beyond_standard((int)QUIETLY(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  if (fd < 0) return fd;
  int error = write_all(fd, pieces, count);
  if (!error) error = (int)QUIETLY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
  if (!error) return fd;
  close(fd);
  return error;
}

struct thrumi_bytes thrumi_bytes_copy(const void *data, size_t size) {
  struct thrumi_bytes bytes = {.data = thrumi_os.allocate(size ? size : 1), .size = size};
  if (bytes.data && size) memcpy(bytes.data, data, size);
  return bytes;
}

struct thrumi_bytes thrumi_bytes_map(int fd, size_t size) {
  if (!size) return thrumi_bytes_copy(NULL, 0);
  struct thrumi_bytes bytes = {.size = size, .mapped = true};
  void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (data != MAP_FAILED) bytes.data = data;
  return bytes;
}

/* Somebody who has gone wild may say any size, and may cut the file off while we read. */
struct thrumi_bytes thrumi_bytes_receive(int fd, uint64_t size) {
  struct stat about;
  long seals = QUIETLY(fcntl(fd, F_GET_SEALS));
  bool stays = seals > 0 && seals & F_SEAL_SHRINK;
  if (!stays || fstat(fd, &about) != 0 || (uint64_t)about.st_size < size) return (struct thrumi_bytes){0};
  return thrumi_bytes_map(fd, (size_t)size);
}

void thrumi_bytes_free(struct thrumi_bytes *bytes) {
  if (!bytes->data) return;
  if (bytes->mapped)
    munmap(bytes->data, bytes->size);
  else
    thrumi_os.free(bytes->data);
  bytes->data = NULL;
}
