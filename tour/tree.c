/* Reading a tree. Each folder, each file and each piece of a large file has a thread that fills in its own
 * node and nothing else; whoever started it reads the node after the join. So no lock is needed. */
#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <thrum.h>

enum {
  AT_ONCE = 64,            /* threads that one folder or one file has at a time */
  PIECE = 4 * 1024 * 1024, /* bytes of a file that one thread reads */
  BUFFER = 64 * 1024,
};

struct piece {
  struct job *job;
  int fd;
  off_t offset;
  size_t size; /* as planned, then as read: a file may shrink meanwhile */
  uint32_t crc;
  int error;
};

/* Calls fn for each item, by threads if the job wants that. Starts the next when the oldest has ended, so
 * that a folder of a million files does not become a million threads. */
static void for_each(struct job *job, thrum_fn *fn, void *items, size_t item_size, size_t count) {
  thrum_thread running[AT_ONCE] = {0};
  for (size_t i = 0; i < count + AT_ONCE; i++) {
    if (i >= AT_ONCE) thrum_join(running[i % AT_ONCE], NULL);
    running[i % AT_ONCE] = (thrum_thread){0};
    if (i >= count) continue;
    void *item = (char *)items + i * item_size;
    if (job->threads && thrum_spawn(&running[i % AT_ONCE], fn, item) == 0)
      atomic_fetch_add(&job->started, 1);
    else
      fn(item);
  }
}

/* Out of descriptors: others will close theirs, for nobody holds one while it waits for another thread that
 * has yet to open its own. */
static bool try_again(void) { return errno == EMFILE && thrum_sleep(THRUM_MS(1)) == 0; }

/* ---- Files ------------------------------------------------------------------------------------------- */

static intptr_t read_piece(void *arg) {
  struct piece *p = arg;
  size_t done = 0;
  unsigned char *buffer = malloc(BUFFER);
  if (!buffer) p->error = ENOMEM;
  while (buffer && done < p->size) {
    size_t want = p->size - done < BUFFER ? p->size - done : BUFFER;
    ssize_t n = pread(p->fd, buffer, want, p->offset + (off_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) p->error = errno;
    if (n <= 0) break;
    p->crc = (uint32_t)crc32(p->crc, buffer, (uInt)n);
    done += (size_t)n;
    atomic_fetch_add(&p->job->bytes, (size_t)n);
  }
  free(buffer);
  p->size = done;
  return 0;
}

static int checksum(struct node *node, int fd) {
  size_t size = (size_t)node->stat.st_size, count = size / PIECE + 1;
  struct piece *pieces = calloc(count, sizeof *pieces);
  if (!pieces) return ENOMEM;
  for (size_t i = 0; i < count; i++)
    pieces[i] = (struct piece){node->job, fd, (off_t)(i * PIECE), i + 1 < count ? PIECE : size % PIECE, 0, 0};
  for_each(node->job, read_piece, pieces, sizeof *pieces, count);
  int error = 0;
  for (size_t i = 0; i < count; i++) {
    node->crc = (uint32_t)crc32_combine(node->crc, pieces[i].crc, (z_off_t)pieces[i].size);
    if (!error) error = pieces[i].error;
  }
  free(pieces);
  return error;
}

/* What the name stands for may have changed since lstat; what is open is asked again before it is read. */
static int read_file(struct node *node) {
  int fd, error;
  do fd = open(node->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  while (fd < 0 && try_again());
  if (fd < 0) return errno;
  if (fstat(fd, &node->stat) < 0)
    error = errno;
  else
    error = S_ISREG(node->stat.st_mode) ? checksum(node, fd) : ESTALE;
  close(fd);
  atomic_fetch_add(&node->job->files, 1);
  return error;
}

/* ---- Folders ----------------------------------------------------------------------------------------- */

static int not_dots(const struct dirent *d) {
  return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int list_folder(struct node *folder) {
  struct dirent **names;
  int n, error = 0;
  do n = scandir(folder->path, &names, not_dots, by_name);
  while (n < 0 && try_again());
  if (n < 0) return errno;
  folder->children = calloc((size_t)n + 1, sizeof *folder->children);
  if (!folder->children) error = ENOMEM;
  for (int i = 0; i < n; i++) {
    struct node *child = error ? NULL : &folder->children[folder->count];
    if (child && asprintf(&child->path, "%s/%s", folder->path, names[i]->d_name) < 0) error = ENOMEM;
    if (!error) folder->count++, child->job = folder->job, child->stat.st_dev = folder->stat.st_dev;
    free(names[i]);
  }
  free(names);
  return error;
}

static enum kind kind_of(const struct stat *s, dev_t device) {
  if (S_ISLNK(s->st_mode)) return SYMLINK;
  if (s->st_dev != device) return ELSEWHERE;
  if (S_ISDIR(s->st_mode)) return FOLDER;
  return S_ISREG(s->st_mode) ? FILE_READ : SPECIAL;
}

void tree_look(struct node *node, dev_t device) {
  node->error = lstat(node->path, &node->stat) < 0 ? errno : 0;
  if (!node->error) node->kind = kind_of(&node->stat, device);
  if (!node->error && node->kind == FOLDER) node->error = list_folder(node);
  if (node->error) node->kind = UNREADABLE;
}

static intptr_t visit(void *arg) {
  struct node *node = arg;
  tree_look(node, node->stat.st_dev); /* the parent's */
  if (node->kind == FILE_READ) node->error = read_file(node);
  for_each(node->job, visit, node->children, sizeof *node->children, node->count);
  if (node->error) node->kind = UNREADABLE;
  return 0;
}

int tree_open(struct node *root, const char *path) {
  root->path = strdup(path);
  if (!root->path) return -ENOMEM;
  if (stat(path, &root->stat) < 0) return -errno;
  root->kind = kind_of(&root->stat, root->stat.st_dev);
  if (root->kind == FOLDER) root->error = list_folder(root);
  return -root->error;
}

int tree_read(struct node *root, const char *path, struct job *job) {
  *root = (struct node){.job = job};
  int error = tree_open(root, path);
  if (!error && root->kind != FOLDER) return -ENOTDIR;
  for_each(job, visit, root->children, sizeof *root->children, root->count);
  return error;
}

void tree_free(struct node *root) {
  for (size_t i = 0; i < root->count; i++) tree_free(&root->children[i]);
  free(root->children);
  free(root->path);
}
