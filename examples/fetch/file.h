/* A file that is fetched: its URL, its pieces, and where it is kept until it is whole.
 *
 * What has come is in NAME.part, and in NAME.part.state stands which pieces of it are complete, so that a later run goes on from
 * there, if the server's file is the same one (by its strong ETag and size). Only a whole file gets its name. The state is believed only until
 * the machine starts anew: what a power cut left on the disk is not known. */
#ifndef EXAMPLES_FETCH_FILE_H
#define EXAMPLES_FETCH_FILE_H

#include <stdatomic.h>

#include "exchange.h"

enum { URL_ROOM = 2048, HOST_ROOM = 256, PORT_ROOM = 8 };

struct url {
  char host[HOST_ROOM], port[PORT_ROOM], path[URL_ROOM];
  char authority[HOST_ROOM + PORT_ROOM + 4]; /* for the Host header */
};

/* 0, or -EINVAL: not http://HOST[:PORT][/PATH], or too long. */
int url_parse(const char *text, struct url *out);

enum piece_state { PIECE_FREE, PIECE_TAKEN, PIECE_DONE };

struct piece {
  enum piece_state state;
  int64_t from, size; /* -1: until the end, wherever that is */
  int64_t got;        /* from an attempt that broke off, the next one goes on */
};

/* The state of a file, and of its pieces, is under the lock of whoever plans the work. */
enum file_state { FILE_NEW, FILE_PROBED, FILE_OPEN, FILE_WHOLE, FILE_FAILED };

struct file {
  const char *text; /* the URL as given */
  struct url url;
  char *name, *part, *record;
  enum file_state state;
  char why[160]; /* it failed */
  int fd, record_fd;
  int64_t size; /* -1: not known */
  char etag[ETAG_MAX];
  struct piece *pieces;
  int count;
  bool ranges;          /* so that pieces can be asked for */
  size_t record_at;     /* where the pieces begin in the record */
  _Atomic int64_t done; /* bytes */
};

/* `name` NULL: by the URL. 0; -EINVAL: a wrong URL; -ENOMEM. */
int file_init(struct file *f, const char *text, const char *name);
void file_free(struct file *f);

/* Once size, etag and ranges are known: makes the pieces, opens NAME.part, and takes over what an earlier run left. 0 or a negative errno; -EBUSY: another
 * program is fetching it. */
int file_open(struct file *f, int64_t piece_size);

/* Bytes of a piece, or the piece from its beginning again. 0 or a negative errno; -EMSGSIZE: more than it should have. */
int file_put(struct file *f, struct piece *p, const char *bytes, size_t size);
int file_rewind(struct file *f, struct piece *p);

/* The piece is complete. */
int file_record(struct file *f, const struct piece *p);

/* All pieces are complete: gives it its name. 0 or a negative errno; -EIO: its size is not what it should be. */
int file_finish(struct file *f);

/* It will not become whole in this run. How many bytes a later run will find; if there are none, NAME.part is removed. */
int64_t file_keep(struct file *f);

#endif
