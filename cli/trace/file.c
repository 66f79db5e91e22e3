/* Opening a trace: see file.h. */
#include "file.h"

#include "../command.h"
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  WINDOW = 256 << 10,
  STRING_MAX = 64 << 10,       /* bytes; the recorder's are far shorter */
  STRING_NUMBER_MAX = 1 << 24, /* one more would be a damage, and an array of gigabytes */
};

static const char *advice(const struct trace *t) {
  return t->partial ? "" : "; record it again, or see what comes before that by --partial";
}

int trace_damaged(const struct trace *t, uint64_t offset, const char *format, ...) {
  char what[160];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return fail("%s: damaged at offset %llu: %s%s", t->path, (unsigned long long)offset, what, advice(t));
}

static int cut_off(const struct trace *t, uint64_t offset, const char *within) {
  return fail(
      "%s: cut off at offset %llu, within %s: the program was killed while it wrote, or the copy is not whole%s",
      t->path, (unsigned long long)offset, within, advice(t));
}

static int no_memory(const struct trace *t) { return fail("%s: no memory", t->path); }

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* Up to `size` bytes at `offset`, through the window: blocks are small and many. How many are there; -1 after a message. */
static ssize_t read_at(struct trace *t, void *to, size_t size, uint64_t offset) {
  size_t done = 0;
  while (done < size) {
    uint64_t at = offset + done;
    if (at < t->window_offset || at >= t->window_offset + t->window_got) {
      ssize_t got = pread(t->fd, t->window, WINDOW, (off_t)at);
      if (got < 0)
        return fail("%s: cannot be read at offset %llu: %s", t->path, (unsigned long long)at,
                    strerror(errno)),
               -1;
      t->window_offset = at;
      t->window_got = (size_t)got;
      if (!got) break;
    }
    size_t skip = (size_t)(at - t->window_offset), n = t->window_got - skip;
    if (n > size - done) n = size - done;
    memcpy((char *)to + done, t->window + skip, n);
    done += n;
  }
  return (ssize_t)done;
}

/* What has no offsets (a pipe) goes to a file without a name. */
static int copy_to_file(struct trace *t) {
  FILE *file = tmpfile();
  if (!file) return fail("%s: is no file, and no temporary one can be made: %s", t->path, strerror(errno));
  ssize_t got;
  while ((got = read(t->fd, t->window, WINDOW)) > 0)
    if (fwrite(t->window, 1, (size_t)got, file) != (size_t)got) break;
  int error = got ? errno : 0;
  if (fflush(file) != 0 && !error) error = errno;
  int fd = error ? -1 : dup(fileno(file));
  if (fd < 0 && !error) error = errno;
  fclose(file);
  if (error) return fail("%s: cannot be copied to a temporary file: %s", t->path, strerror(error));
  close(t->fd);
  t->fd = fd;
  return 0;
}

/* ---- Header ----------------------------------------------------------------------------------------------------- */

static int check_header(struct trace *t, size_t got) {
  const struct thrumi_trace_header *h = &t->header;
  size_t compare = got < sizeof h->magic ? got : sizeof h->magic;
  if (!got)
    return fail("%s: is empty: no trace was written to it; record one by THRUM_TRACE=FILE PROGRAM", t->path);
  if (memcmp(h->magic, THRUMI_TRACE_MAGIC, compare) != 0)
    return fail(
        "%s: is no trace of thrum's: at offset 0 it begins with other bytes; record one by THRUM_TRACE=FILE PROGRAM",
        t->path);
  if (got < sizeof *h) return cut_off(t, got, "its header");
  if (h->version != THRUMI_TRACE_VERSION)
    return fail(
        "%s: at offset 8: a trace of version %u, and this command reads version %d; use the thrum that comes with the "
        "library that recorded it, or record it again",
        t->path, h->version, THRUMI_TRACE_VERSION);
  if (h->event_size != sizeof(struct thrumi_event))
    return trace_damaged(t, 12, "events of %u bytes, not %zu", h->event_size, sizeof(struct thrumi_event));
  if (h->began < 0) return trace_damaged(t, 16, "it began before time did");
  return 0;
}

/* ---- Blocks ----------------------------------------------------------------------------------------------------- */

static struct ring *ring_of(struct trace *t, uint16_t id) {
  for (size_t i = 0; i < t->ring_count; i++)
    if (t->rings[i].id == id) return &t->rings[i];
  struct ring *more = reallocarray(t->rings, t->ring_count + 1, sizeof *more);
  if (!more) return NULL;
  t->rings = more;
  t->rings[t->ring_count] = (struct ring){.id = id};
  return &t->rings[t->ring_count++];
}

static int add_extent(struct trace *t, const struct thrumi_trace_block *b, uint64_t offset) {
  if (b->a > THRUMI_TRACE_NO_WORKER)
    return trace_damaged(t, offset, "events of a ring %llu", (unsigned long long)b->a);
  if (b->bytes % sizeof(struct thrumi_event))
    return trace_damaged(t, offset, "%u bytes are no number of events", b->bytes);
  struct ring *r = ring_of(t, (uint16_t)b->a);
  if (!r || !make_room(&r->extents, &r->extent_room, r->extent_count, sizeof *r->extents))
    return no_memory(t);
  r->extents[r->extent_count++] =
      (struct extent){offset + sizeof *b, b->b, (uint32_t)(b->bytes / sizeof(struct thrumi_event))};
  uint32_t count = r->extents[r->extent_count - 1].count;
  if (count > r->largest) r->largest = count;
  t->events += count;
  if (__builtin_add_overflow(t->lost, b->b, &t->lost))
    return trace_damaged(t, offset, "more lost than can be");
  return 0;
}

static int add_string(struct trace *t, const struct thrumi_trace_block *b, uint64_t offset) {
  if (!b->a || b->a > STRING_NUMBER_MAX)
    return trace_damaged(t, offset, "a string of number %llu", (unsigned long long)b->a);
  if (b->bytes > STRING_MAX) return trace_damaged(t, offset, "a string of %u bytes", b->bytes);
  if (b->a >= t->string_count) {
    size_t count = (size_t)b->a + 1 > t->string_count * 2 ? (size_t)b->a + 1 : t->string_count * 2;
    char **more = reallocarray(t->strings, count, sizeof *more);
    if (!more) return no_memory(t);
    memset(more + t->string_count, 0, (count - t->string_count) * sizeof *more);
    t->strings = more;
    t->string_count = count;
  }
  char *text = malloc(b->bytes + 1);
  if (!text) return no_memory(t);
  free(t->strings[b->a]);
  t->strings[b->a] = text;
  ssize_t got = read_at(t, text, b->bytes, offset + sizeof *b);
  text[got < 0 ? 0 : got] = 0;
  return got < 0 ? STATUS_FAILED : 0;
}

static int add_pair(struct trace *t, struct pairs *p, const struct thrumi_trace_block *b, uint64_t offset) {
  if (b->b && !*trace_string(t, (uint32_t)(b->b > UINT32_MAX ? UINT32_MAX : b->b)))
    return trace_damaged(t, offset, "a name of number %llu that no string has", (unsigned long long)b->b);
  if (!make_room(&p->all, &p->room, p->count, sizeof *p->all)) return no_memory(t);
  p->all[p->count++] = (struct pair){b->a, (uint32_t)b->b};
  return 0;
}

static int check_end(struct trace *t, const struct thrumi_trace_block *b, uint64_t offset, uint64_t after,
                     uint64_t size) {
  if (after != size)
    return trace_damaged(t, after, "%llu bytes follow its end", (unsigned long long)(size - after));
  if (b->a != t->events)
    return trace_damaged(t, offset, "%llu events were written, and %llu are there", (unsigned long long)b->a,
                         (unsigned long long)t->events);
  t->lost_last = b->b > t->lost;
  if (t->lost_last) t->lost = b->b;
  t->cut = false;
  return 0;
}

static const char *const within[] = {[THRUMI_TRACE_EVENTS] = "a block of events",
                                     [THRUMI_TRACE_STRING] = "a string",
                                     [THRUMI_TRACE_THREAD] = "the name of a thread",
                                     [THRUMI_TRACE_OBJECT] = "the name of an object",
                                     [THRUMI_TRACE_END] = "its last block"};

static int take_block(struct trace *t, const struct thrumi_trace_block *b, uint64_t offset, uint64_t after,
                      uint64_t size) {
  if (b->kind < THRUMI_TRACE_EVENTS || b->kind > THRUMI_TRACE_END)
    return trace_damaged(t, offset, "a block of an unknown kind, %u", b->kind);
  if (after > size) return cut_off(t, size, within[b->kind]);
  switch (b->kind) {
  case THRUMI_TRACE_EVENTS: return add_extent(t, b, offset);
  case THRUMI_TRACE_STRING: return add_string(t, b, offset);
  case THRUMI_TRACE_THREAD: return add_pair(t, &t->names, b, offset);
  case THRUMI_TRACE_OBJECT: return add_pair(t, &t->objects, b, offset);
  default: return check_end(t, b, offset, after, size);
  }
}

/* One block after the other. t->size is where the last good one ends. */
static int walk(struct trace *t, uint64_t size) {
  t->cut = true;
  for (uint64_t offset = sizeof t->header; offset < size;) {
    struct thrumi_trace_block b;
    ssize_t got = read_at(t, &b, sizeof b, offset);
    if (got < 0) return STATUS_FAILED;
    if ((size_t)got < sizeof b) return cut_off(t, offset + (uint64_t)got, "the head of a block");
    uint64_t after = offset + sizeof b + ((uint64_t)b.bytes + 7) / 8 * 8;
    if (take_block(t, &b, offset, after, size)) return STATUS_FAILED;
    t->size = offset = after;
  }
  return 0;
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

const char *trace_string(const struct trace *t, uint32_t number) {
  return number < t->string_count && t->strings[number] ? t->strings[number] : "";
}

/* Pairs of one key stay as they came: merge sort by hand would do, and so does the place as a second key. */
static int by_key(const void *a, const void *b) {
  const struct pair *x = a, *y = b;
  return (x->key > y->key) - (x->key < y->key);
}

/* Sorted by key, with the last one of each. glibc's qsort keeps the order of equals only while it has memory, so that is not
 * relied on: the values become places first. */
static bool settle(struct pairs *p) {
  uint32_t *values = malloc((p->count + 1) * sizeof *values);
  if (!values) return false;
  for (size_t i = 0; i < p->count; i++) {
    values[i] = p->all[i].value;
    p->all[i].value = (uint32_t)i;
  }
  if (p->count) qsort(p->all, p->count, sizeof *p->all, by_key);
  size_t kept = 0;
  for (size_t i = 0; i < p->count; i++) {
    if (kept && p->all[kept - 1].key == p->all[i].key) {
      if (p->all[i].value > p->all[kept - 1].value) p->all[kept - 1].value = p->all[i].value;
    } else {
      p->all[kept++] = p->all[i];
    }
  }
  for (size_t i = 0; i < kept; i++) p->all[i].value = values[p->all[i].value];
  p->count = kept;
  free(values);
  return true;
}

static uint32_t look_up(const struct pairs *p, uint64_t key) {
  struct pair wanted = {key, 0};
  const struct pair *found = p->count ? bsearch(&wanted, p->all, p->count, sizeof wanted, by_key) : NULL;
  return found ? found->value : 0;
}

uint32_t trace_thread_name(const struct trace *t, uint64_t id) { return look_up(&t->names, id); }

uint32_t trace_object_name(const struct trace *t, uint64_t address) { return look_up(&t->objects, address); }

/* ---- Opening and closing ---------------------------------------------------------------------------------------- */

static int open_file(struct trace *t, const char *path, struct stat *st) {
  t->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (t->fd < 0) return fail("%s: cannot be read: %s", t->path, strerror(errno));
  if (fstat(t->fd, st) != 0) return fail("%s: %s", t->path, strerror(errno));
  if (S_ISREG(st->st_mode)) return 0;
  if (S_ISDIR(st->st_mode)) return fail("%s: is a directory; a trace is a file", t->path);
  if (copy_to_file(t)) return STATUS_FAILED;
  return fstat(t->fd, st) != 0 ? fail("%s: %s", t->path, strerror(errno)) : 0;
}

static int load(struct trace *t, const char *path) {
  struct stat st;
  if (!t->window) return no_memory(t);
  if (open_file(t, path, &st)) return STATUS_FAILED;
  ssize_t got = read_at(t, &t->header, sizeof t->header, 0);
  if (got < 0 || check_header(t, (size_t)got)) return STATUS_FAILED;
  t->size = sizeof t->header;
  if (walk(t, (uint64_t)st.st_size)) {
    if (!t->partial) return STATUS_FAILED;
    warn("%s: what comes before offset %llu is shown", t->path, (unsigned long long)t->size);
  } else if (t->cut) {
    warn("%s: it has no end: the program was killed, or still runs; what was written is shown", t->path);
  }
  return settle(&t->names) && settle(&t->objects) ? trace_rewind(t) : no_memory(t);
}

int trace_open(struct trace *t, const char *path, const char *called, bool partial) {
  *t = (struct trace){.path = called, .fd = -1, .partial = partial};
  t->window = malloc(WINDOW);
  int status = load(t, path);
  free(t->window);
  t->window = NULL;
  if (status) trace_close(t);
  return status;
}

void trace_close(struct trace *t) {
  if (t->fd >= 0) close(t->fd);
  for (size_t i = 0; i < t->string_count; i++) free(t->strings[i]);
  for (size_t i = 0; i < t->ring_count; i++) {
    free(t->rings[i].extents);
    free(t->rings[i].buffer);
  }
  free(t->strings);
  free(t->rings);
  free(t->heap);
  free(t->names.all);
  free(t->objects.all);
  *t = (struct trace){.fd = -1};
}
