#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thrum.h> /* errno by thrum's means again */

enum { RECORD_ROOM = 512, PIECES_MAX = 1000000 };

/* ---- Names -------------------------------------------------------------------------------------------- */

static bool copy(char *to, size_t room, const char *from, size_t length) {
  if (length == 0 || length >= room) return false;
  memcpy(to, from, length);
  to[length] = '\0';
  return true;
}

static bool is_clean(const char *text) {
  for (; *text; text++) {
    if ((unsigned char)*text <= ' ' || *text == 0x7f) return false;
  }
  return true;
}

static bool parse_authority(const char *at, size_t length, struct url *out) {
  bool bracketed = *at == '[';
  const char *end = at + length, *host = at + bracketed;
  const char *host_end = bracketed ? memchr(at, ']', length) : memchr(at, ':', length);
  if (bracketed && !host_end) return false;
  if (!host_end) host_end = end;
  const char *colon = host_end + bracketed;
  if (memchr(at, '@', length) || !copy(out->host, sizeof out->host, host, (size_t)(host_end - host)))
    return false;
  if (colon == end) return copy(out->port, sizeof out->port, "80", 2);
  return *colon == ':' && copy(out->port, sizeof out->port, colon + 1, (size_t)(end - colon - 1));
}

int url_parse(const char *text, struct url *out) {
  if (strncasecmp(text, "http://", 7) != 0 || !is_clean(text)) return -EINVAL;
  const char *authority = text + 7, *path = authority + strcspn(authority, "/?#");
  size_t length = (size_t)(path - authority), path_length = strcspn(path, "#");
  if (!copy(out->authority, sizeof out->authority, authority, length)) return -EINVAL;
  if (!parse_authority(authority, length, out) || path_length + 2 > sizeof out->path) return -EINVAL;
  snprintf(out->path, sizeof out->path, "%s%.*s", *path == '/' ? "" : "/", (int)path_length, path);
  return 0;
}

/* The last part of the path. */
static char *name_of(const struct url *url) {
  size_t length = strcspn(url->path, "?");
  const char *end = url->path + length, *at = end;
  while (at > url->path && at[-1] != '/') at--;
  bool none = at == end || (end - at == 1 && at[0] == '.') || (end - at == 2 && at[0] == '.' && at[1] == '.');
  return none ? strdup("index.html") : strndup(at, (size_t)(end - at));
}

int file_init(struct file *f, const char *text, const char *name) {
  *f = (struct file){.text = text, .fd = -1, .record_fd = -1, .size = -1};
  if (url_parse(text, &f->url) != 0) return -EINVAL;
  f->name = name ? strdup(name) : name_of(&f->url);
  if (!f->name || asprintf(&f->part, "%s.part", f->name) < 0) return -ENOMEM;
  return asprintf(&f->record, "%s.state", f->part) < 0 ? -ENOMEM : 0;
}

void file_free(struct file *f) {
  if (f->fd >= 0) thrum_close(f->fd);
  if (f->record_fd >= 0) thrum_close(f->record_fd);
  free(f->name), free(f->part), free(f->record), free(f->pieces);
}

/* ---- The record --------------------------------------------------------------------------------------- */

static void boot_id(char id[static 64]) {
  int fd = thrum_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
  ssize_t n = fd < 0 ? 0 : thrum_pread(fd, id, 63, 0);
  if (fd >= 0) thrum_close(fd);
  id[n > 0 ? n : 0] = '\0';
  id[strcspn(id, "\n")] = '\0';
}

/* What the record begins with. It is another one if anything is different, so that what was left is not gone on with. */
static void record_head(const struct file *f, int64_t piece_size, char head[static RECORD_ROOM]) {
  char id[64];
  boot_id(id);
  snprintf(head, RECORD_ROOM, "fetch 1 %s %" PRId64 " %" PRId64 " %s\n", id, f->size, piece_size, f->etag);
}

/* Marks the pieces that are complete by the record, if it is of this file. */
static bool take_over(struct file *f, const char *head) {
  char old[RECORD_ROOM];
  size_t length = strlen(head);
  char *marks = malloc((size_t)f->count);
  struct stat part;
  bool same = marks && fstat(f->fd, &part) == 0 && part.st_size == f->size &&
              thrum_pread(f->record_fd, old, length, 0) == (ssize_t)length &&
              memcmp(old, head, length) == 0 &&
              thrum_pread(f->record_fd, marks, (size_t)f->count, (int64_t)length) == f->count;
  for (int i = 0; i < f->count && same; i++) {
    if (marks[i] != '#') continue;
    f->pieces[i].state = PIECE_DONE;
    f->pieces[i].got = f->pieces[i].size;
    atomic_fetch_add(&f->done, f->pieces[i].size);
  }
  free(marks);
  return same;
}

static int put_all(int fd, const char *bytes, size_t size, int64_t at) {
  while (size > 0) {
    ssize_t n = thrum_pwrite(fd, bytes, size, at);
    if (n <= 0) return n < 0 ? (int)n : -EIO;
    bytes += n;
    size -= (size_t)n;
    at += n;
  }
  return 0;
}

static int begin_record(struct file *f, const char *head) {
  char *marks = malloc((size_t)f->count);
  int error = !marks                            ? -ENOMEM
              : ftruncate(f->record_fd, 0) != 0 ? -errno
                                                : put_all(f->record_fd, head, f->record_at, 0);
  if (!error)
    error =
        put_all(f->record_fd, memset(marks, '.', (size_t)f->count), (size_t)f->count, (int64_t)f->record_at);
  free(marks);
  return error;
}

static int open_record(struct file *f, int64_t piece_size) {
  char head[RECORD_ROOM];
  record_head(f, piece_size, head);
  f->record_at = strlen(head);
  f->record_fd = thrum_open(f->record, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (f->record_fd < 0) return f->record_fd;
  return take_over(f, head) ? 0 : begin_record(f, head);
}

int file_record(struct file *f, const struct piece *p) {
  return f->ranges ? put_all(f->record_fd, "#", 1, (int64_t)f->record_at + (p - f->pieces)) : 0;
}

/* ---- The file ----------------------------------------------------------------------------------------- */

static int make_pieces(struct file *f, int64_t piece_size) {
  int64_t count = f->ranges ? (f->size + piece_size - 1) / piece_size : 1;
  if (count > PIECES_MAX) return -EFBIG;
  f->count = (int)count;
  f->pieces = calloc((size_t)count + 1, sizeof *f->pieces);
  for (int i = 0; i < f->count && f->pieces; i++) {
    int64_t from = i * piece_size, left = f->size - from;
    f->pieces[i].from = from;
    f->pieces[i].size = !f->ranges ? f->size : left < piece_size ? left : piece_size;
  }
  return f->pieces ? 0 : -ENOMEM;
}

/* It is emptied if nothing of it is gone on with; its length tells what to expect of the disk. */
static int set_length(struct file *f) {
  if (atomic_load(&f->done) == 0 && ftruncate(f->fd, 0) != 0) return -errno;
  return f->size > 0 && ftruncate(f->fd, f->size) != 0 ? -errno : 0;
}

/* Nobody else has NAME.part open, nor gave it its final name between our open and our lock. */
static bool is_ours(const struct file *f) {
  struct stat open_one, named;
  return flock(f->fd, LOCK_EX | LOCK_NB) == 0 && fstat(f->fd, &open_one) == 0 && stat(f->part, &named) == 0 &&
         open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

int file_open(struct file *f, int64_t piece_size) {
  if (f->size < 0 || !*f->etag) f->ranges = false;
  int error = make_pieces(f, piece_size);
  if (error) return error;
  f->fd = thrum_open(f->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (f->fd < 0) return f->fd;
  if (!is_ours(f)) {
    thrum_close(f->fd);
    f->fd = -1;
    return -EBUSY;
  }
  if (f->ranges) error = open_record(f, piece_size);
  return error ? error : set_length(f);
}

int file_put(struct file *f, struct piece *p, const char *bytes, size_t size) {
  if (p->size >= 0 && (int64_t)size > p->size - p->got) return -EMSGSIZE;
  int error = put_all(f->fd, bytes, size, p->from + p->got);
  if (error) return error;
  p->got += (int64_t)size;
  atomic_fetch_add(&f->done, (int64_t)size);
  return 0;
}

int file_rewind(struct file *f, struct piece *p) {
  atomic_fetch_sub(&f->done, p->got);
  p->got = 0;
  return ftruncate(f->fd, 0) != 0 ? -errno : 0;
}

int file_finish(struct file *f) {
  struct stat s;
  if (fstat(f->fd, &s) != 0) return -errno;
  if (f->size >= 0 && s.st_size != f->size) return -EIO;
  int error = thrum_fsync(f->fd);
  if (error) return error;
  if (rename(f->part, f->name) != 0) return -errno;
  unlink(f->record);
  return 0;
}

int64_t file_keep(struct file *f) {
  int64_t kept = 0;
  for (int i = 0; i < f->count && f->ranges; i++) {
    if (f->pieces[i].state == PIECE_DONE) kept += f->pieces[i].size;
  }
  if (f->fd < 0 || kept > 0) return kept;
  unlink(f->part);
  if (f->record_fd >= 0) unlink(f->record);
  return 0;
}
