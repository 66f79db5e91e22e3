/* Where the socket is: DIR/PID.sock, DIR being $XDG_RUNTIME_DIR/thrum or /tmp/thrum-UID.
 *
 * The directory is the lock. It belongs to the program's user, nobody else may enter it, and it is no symbolic link: then no other
 * user has put it there, nor can exchange it, since its parent is that user's own or, as /tmp, lets nobody but the owner of an entry
 * rename it (where it does not, no directory in it is taken). The socket has mode 0600 from its first moment beside that, and who
 * connects is asked for by the kernel's word (SO_PEERCRED). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inspect/inspect.h>
#include <os/quietly.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 16 };

/* Whether nobody else can exchange what is in it. */
static bool keeps(const char *parent) {
  struct stat s;
  if (stat(parent, &s) != 0) return false;
  bool owned = s.st_uid == geteuid() || s.st_uid == 0;
  return owned && (!(s.st_mode & (S_IWGRP | S_IWOTH)) || s.st_mode & S_ISVTX);
}

static bool is_private(const char *directory) {
  struct stat s;
  if (lstat(directory, &s) != 0) return false;
  return S_ISDIR(s.st_mode) && s.st_uid == geteuid() && !(s.st_mode & (S_IRWXG | S_IRWXO));
}

/* 0: the directory is there, and safe. */
static int make_directory(const char *parent, const char *directory) {
  if (!keeps(parent)) return -EACCES;
  long error = QUIETLY(mkdir(directory, S_IRWXU));
  if (error && error != -EEXIST) return (int)error;
  return is_private(directory) ? 0 : -EACCES;
}

/* Another process may listen there that has the same number, in another namespace of these. Else it is left from one that died. */
static bool somebody_listens(const struct sockaddr_un *address) {
  int fd = (int)QUIETLY(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd < 0) return true;
  long error = QUIETLY(connect(fd, (const struct sockaddr *)address, sizeof *address));
  close(fd);
  return error != -ECONNREFUSED;
}

static int bind_to(int fd, const struct sockaddr_un *address) {
  long error = QUIETLY(fchmod(fd, S_IRUSR | S_IWUSR));
  if (!error) error = QUIETLY(bind(fd, (const struct sockaddr *)address, sizeof *address));
  if (error != -EADDRINUSE || somebody_listens(address)) return (int)error;
  QUIETLY(unlink(address->sun_path));
  return (int)QUIETLY(bind(fd, (const struct sockaddr *)address, sizeof *address));
}

static int listen_at(struct thrumi_place *place) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct stat s;
  memcpy(address.sun_path, place->path, sizeof address.sun_path);
  int fd = (int)QUIETLY(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd < 0) return fd;
  long error = bind_to(fd, &address);
  if (!error) error = QUIETLY(listen(fd, BACKLOG));
  if (!error) error = QUIETLY(lstat(place->path, &s));
  if (error) {
    close(fd);
    return (int)error;
  }
  place->device = s.st_dev;
  place->inode = s.st_ino;
  return fd;
}

static int open_in(struct thrumi_place *place, const char *parent, const char *directory) {
  int length = snprintf(place->path, sizeof place->path, "%s/%d.sock", directory, (int)getpid());
  if (length >= (int)sizeof place->path) return -ENAMETOOLONG;
  int error = make_directory(parent, directory);
  return error ? error : listen_at(place);
}

int thrumi_place_open(struct thrumi_place *out) {
  char directory[sizeof out->path];
  const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
  if (runtime && *runtime == '/') {
    int length = snprintf(directory, sizeof directory, "%s/thrum", runtime);
    int fd = length < (int)sizeof directory ? open_in(out, runtime, directory) : -ENAMETOOLONG;
    if (fd >= 0) return fd;
  }
  snprintf(directory, sizeof directory, "/tmp/thrum-%u", (unsigned)geteuid());
  return open_in(out, "/tmp", directory);
}

void thrumi_place_remove(const struct thrumi_place *place) {
  struct stat s;
  if (lstat(place->path, &s) == 0 && s.st_dev == place->device && s.st_ino == place->inode)
    QUIETLY(unlink(place->path));
}

bool thrumi_place_admits(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == geteuid() || peer.uid == 0;
}
