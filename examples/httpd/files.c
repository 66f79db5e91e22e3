/* Files below the root. What is outside is not there: not by "..", which target_decode refuses, not by symbolic links, which the
 * kernel follows only as long as they stay below (openat2 with RESOLVE_BENEATH, Linux 5.6). Without openat2 the path is walked part by
 * part, and no symbolic link is followed at all. */
#include "httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thrum.h>

/* O_NONBLOCK: a FIFO is not waited for; it is then found to be no file. */
enum { FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

static const struct type {
  const char *suffix, *type;
} types[] = {
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"c", "text/plain; charset=utf-8"},
    {"h", "text/plain; charset=utf-8"},
    {"json", "application/json"},
    {"xml", "application/xml"},
    {"pdf", "application/pdf"},
    {"wasm", "application/wasm"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"svg", "image/svg+xml"},
    {"webp", "image/webp"},
    {"ico", "image/vnd.microsoft.icon"},
    {"mp3", "audio/mpeg"},
    {"ogg", "audio/ogg"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
    {"woff2", "font/woff2"},
};

const char *file_type(const char *path) {
  const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
  for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++) {
    if (strcasecmp(dot + 1, types[i].suffix) == 0) return types[i].type;
  }
  return "application/octet-stream";
}

/* -1 with EAGAIN: something was moved while the kernel looked for "..", again and again. */
static int open_beneath(int root, const char *path) {
  struct open_how how = {.flags = FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  long fd = -1;
  for (int tries = 0; tries < 5; tries++) {
    fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return (int)fd;
}

/* Part by part, and never through a symbolic link. */
static int open_walking(int root, const char *path) {
  char part[256];
  int folder = root, fd = -1;
  for (;;) {
    size_t length = strcspn(path, "/");
    bool last = path[length] == '\0' || path[length + 1] == '\0';
    if (length >= sizeof part) errno = ENAMETOOLONG;
    if (length >= sizeof part) break;
    memcpy(part, path, length);
    part[length] = '\0';
    bool is_folder = path[length] == '/';
    int flags = last ? FLAGS : O_PATH | O_CLOEXEC;
    fd = openat(folder, part, flags | O_NOFOLLOW | (is_folder ? O_DIRECTORY : 0));
    if (last || fd < 0) break;
    if (folder != root) close(folder);
    folder = fd;
    fd = -1;
    path += length + 1;
  }
  int error = errno;
  if (folder != root) close(folder);
  errno = error;
  return fd;
}

static int open_below(int root, const char *path, bool walk) {
  int fd = walk ? -1 : open_beneath(root, path);
  bool missing = walk || (fd < 0 && (errno == ENOSYS || errno == EPERM)); /* EPERM: some seccomp filters */
  return missing ? open_walking(root, path) : fd;
}

/* What leads outside (EXDEV) or in circles (ELOOP) is told apart from what is not there by nobody. */
static int status_of(int error) {
  switch (error) {
  case EACCES:
  case ENXIO: return 403;
  case EMFILE:
  case ENFILE:
  case ENOMEM:
  case EAGAIN: return 503;
  default: return 404;
  }
}

static int look(const char *path, struct file *out) {
  struct stat s;
  if (fstat(out->fd, &s) != 0) return 503;
  if (S_ISDIR(s.st_mode)) return 301;
  if (!S_ISREG(s.st_mode)) return 403;
  out->size = s.st_size;
  out->modified = s.st_mtim;
  out->type = file_type(path);
  return 0;
}

static int open_and_look(int root, const char *path, bool walk, struct file *out) {
  out->fd = open_below(root, path, walk);
  return out->fd < 0 ? status_of(errno) : look(path, out);
}

int file_open(int root, const char *path, bool walk, struct file *out) {
  size_t length = strlen(path);
  bool whole = strcmp(path, ".") == 0 || (length > 0 && path[length - 1] == '/');
  int status = open_and_look(root, path, walk, out);
  if (status == 301 && whole) {
    int folder = out->fd;
    status = open_and_look(folder, "index.html", walk, out);
    if (status == 301) status = 403; /* a folder of that name */
    thrum_close(folder);
  }
  if (status != 0 && out->fd >= 0) {
    thrum_close(out->fd);
    out->fd = -1;
  }
  return status;
}
