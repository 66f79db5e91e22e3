/* A reader of lines and a writer, over thrum_read and thrum_write_all.
 *
 * A reader's bytes lie in room[from..to); what was returned lies before them. When a line does not end there, they are moved to
 * the front and more is read behind them. So a line lies in one piece, each byte is moved at most once for each read,
 * and a call that was interrupted has changed nothing that the next one would miss.
 *
 * A writer's bytes lie in room[0..used). A flush that was interrupted moves what is left to the front. */
#include <io/attempt.h>
#include <os/os.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <thrum/io/file.h>
#include <thrum/io/lines.h>
#include <thrum/time.h>

/* What each call asks first; without room it was not initialised. */
static int check(const char *room) { return room ? thrumi_cancelled() : -EINVAL; }
static int check_reader(const thrum_reader *r) { return check(r ? r->room : NULL); }
static int check_writer(const thrum_writer *w) { return check(w ? w->room : NULL); }

/* ---- Reading -------------------------------------------------------------------------------------------------------- */

int thrum_reader_init(thrum_reader *r, int fd, void *room, size_t size) {
  if (!r) return -EINVAL;
  bool usable = room && size;
  *r = usable ? (thrum_reader){.fd = fd, .room = room, .size = size} : (thrum_reader){0};
  return usable ? 0 : -EINVAL;
}

static ssize_t give(thrum_reader *r, const char **line, size_t size) {
  *line = r->room + r->from;
  r->from += size;
  return (ssize_t)size;
}

/* Makes room behind the bytes, and reads. How many, 0: the end, or an error; -ENOBUFS: there is no room. */
static ssize_t fill(thrum_reader *r, thrum_duration timeout) {
  if (r->ended) return 0;
  if (r->from) memmove(r->room, r->room + r->from, r->to - r->from);
  r->to -= r->from;
  r->from = 0;
  if (r->to == r->size) return -ENOBUFS;
  ssize_t n = thrum_read_for(r->fd, r->room + r->to, r->size - r->to, timeout);
  if (n > 0) r->to += (size_t)n;
  r->ended = n == 0;
  return n;
}

ssize_t thrum_reader_line_for(thrum_reader *r, const char **line, thrum_duration timeout) {
  int error = line ? check_reader(r) : -EINVAL;
  if (error) return error;
  thrum_time deadline = thrum_after(timeout);
  for (size_t looked = 0;;) {
    size_t there = r->to - r->from;
    char *start = r->room + r->from, *end = memchr(start + looked, '\n', there - looked);
    if (end) return give(r, line, (size_t)(end - start) + 1);
    looked = there;
    ssize_t n = fill(r, thrum_left(deadline));
    if (n == 0) return give(r, line, r->to - r->from); /* the last line lacks its end, or there is none */
    if (n < 0) return n;
  }
}

ssize_t thrum_reader_line(thrum_reader *r, const char **line) {
  return thrum_reader_line_for(r, line, THRUM_FOREVER);
}

ssize_t thrum_reader_read_for(thrum_reader *r, void *buffer, size_t size, thrum_duration timeout) {
  int error = check_reader(r);
  if (error) return error;
  size_t there = r->to - r->from, n = size < there ? size : there;
  if (there == 0 && size > 0) return r->ended ? 0 : thrum_read_for(r->fd, buffer, size, timeout);
  if (n) memcpy(buffer, r->room + r->from, n);
  r->from += n;
  return (ssize_t)n;
}

ssize_t thrum_reader_read(thrum_reader *r, void *buffer, size_t size) {
  return thrum_reader_read_for(r, buffer, size, THRUM_FOREVER);
}

size_t thrum_reader_buffered(const thrum_reader *r) { return r ? r->to - r->from : 0; }

/* ---- Writing -------------------------------------------------------------------------------------------------------- */

int thrum_writer_init(thrum_writer *w, int fd, void *room, size_t size) {
  if (!w) return -EINVAL;
  bool usable = room && size;
  *w = usable ? (thrum_writer){.fd = fd, .room = room, .size = size} : (thrum_writer){0};
  return usable ? 0 : -EINVAL;
}

/* All of it, or an error; *done counts what was written before that. */
static int write_all(int fd, const char *bytes, size_t size, thrum_time deadline, size_t *done) {
  for (*done = 0; *done < size;) {
    ssize_t n = thrum_write_all_for(fd, bytes + *done, size - *done, thrum_left(deadline));
    if (n < 0) return (int)n;
    *done += (size_t)n;
  }
  return 0;
}

static int flush_until(thrum_writer *w, thrum_time deadline) {
  size_t done;
  int error = write_all(w->fd, w->room, w->used, deadline, &done);
  memmove(w->room, w->room + done, w->used - done);
  w->used -= done;
  return error;
}

int thrum_writer_flush_for(thrum_writer *w, thrum_duration timeout) {
  int error = check_writer(w);
  return error ? error : flush_until(w, thrum_after(timeout));
}

int thrum_writer_flush(thrum_writer *w) { return thrum_writer_flush_for(w, THRUM_FOREVER); }

int thrum_writer_put(thrum_writer *w, const void *bytes, size_t size) {
  int error = check_writer(w);
  if (!error && size > w->size - w->used) error = flush_until(w, THRUM_FOREVER);
  if (error) return error;
  size_t done;
  if (size >= w->size) return write_all(w->fd, bytes, size, THRUM_FOREVER, &done);
  if (size) memcpy(w->room + w->used, bytes, size);
  w->used += size;
  return 0;
}

/* The text is longer than what is left of the room, whose first part is not touched. */
static int print_long(thrum_writer *w, size_t length, const char *format, va_list arguments) {
  char *text = thrumi_os.allocate(length + 1);
  if (!text) return -ENOMEM;
  vsnprintf(text, length + 1, format, arguments);
  int error = thrum_writer_put(w, text, length);
  thrumi_os.free(text);
  return error;
}

int thrum_writer_print(thrum_writer *w, const char *format, ...) {
  int error = check_writer(w);
  if (error) return error;
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  size_t left = w->size - w->used;
  int length = vsnprintf(w->room + w->used, left, format, arguments);
  if (length < 0)
    error = -errno;
  else if ((size_t)length < left) /* vsnprintf wants a byte more, for its NUL */
    w->used += (size_t)length;
  else
    error = print_long(w, (size_t)length, format, again);
  va_end(again);
  va_end(arguments);
  return error;
}
