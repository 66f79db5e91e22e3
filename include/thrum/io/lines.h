/* A reader of lines and a writer, each with a buffer of the caller's.
 *
 *     char room[4096];
 *     thrum_reader in;
 *     thrum_reader_init(&in, fd, room, sizeof room);
 *     const char *line;
 *     for (ssize_t n; (n = thrum_reader_line(&in, &line)) > 0;) printf("%.*s", (int)n, line);
 *
 * One thread at a time uses a reader or a writer. They do not own the descriptor. */
#ifndef THRUM_IO_LINES_H
#define THRUM_IO_LINES_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The fields are private. All zeroes is one that has no room: each call on it is -EINVAL. */
typedef struct thrum_reader {
  int fd;
  char *room;
  size_t size, from, to;
  bool ended;
} thrum_reader;

typedef struct thrum_writer {
  int fd;
  char *room;
  size_t size, used;
} thrum_writer;

/* Never waits. 0; -EINVAL: no room, and then the reader has none either. */
THRUM_API int thrum_reader_init(thrum_reader *r, int fd, void *room, size_t size);

/* The next line with its '\n', which the last one may lack; it lies in the reader's room, until the next call on the reader. Its
 * length; 0: the end, from then on. -ENOBUFS: the line is longer than the room; thrum_reader_read then takes it piece by piece.
 * The timeout is for the whole line. After an error, a timeout or a cancellation the next call goes on where this one stopped. */
THRUM_API ssize_t thrum_reader_line(thrum_reader *r, const char **line);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_reader_line_for(thrum_reader *r, const char **line,
                                                         thrum_duration timeout);

/* How many bytes the reader has already. Who waits for the descriptor itself, in thrum_select or thrum_poll, asks this first:
 * lines may lie in the room while the descriptor has nothing more to say. Whether they are a whole line thrum_reader_line_for
 * says with the timeout 0. Does not switch; no cancellation point. */
THRUM_API size_t thrum_reader_buffered(const thrum_reader *r);

/* Bytes as thrum_read gives them, first those that the reader has already. */
THRUM_API ssize_t thrum_reader_read(thrum_reader *r, void *buffer, size_t size);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_reader_read_for(thrum_reader *r, void *buffer, size_t size,
                                                         thrum_duration timeout);

/* Never waits. 0; -EINVAL: no room, and then the writer has none either. */
THRUM_API int thrum_writer_init(thrum_writer *w, int fd, void *room, size_t size);

/* Collects bytes, and writes when there is no more room. 0 or a negative errno, after which an unknown part of what was
 * given since the last flush has been written. thrum_writer_print: also -ENOMEM, for a text longer than the room. */
THRUM_API int thrum_writer_put(thrum_writer *w, const void *bytes, size_t size);
THRUM_API int thrum_writer_print(thrum_writer *w, const char *format, ...) THRUM_PRINTF(2, 3);

/* Writes what is collected. Nothing is written at the end by itself. 0 or a negative errno; what is not written yet stays, so the
 * next flush goes on where this one stopped. */
THRUM_API int thrum_writer_flush(thrum_writer *w);
THRUM_API THRUM_MUST_CHECK int thrum_writer_flush_for(thrum_writer *w, thrum_duration timeout);

#ifdef __cplusplus
}
#endif
#endif
