/* Reading and writing: any descriptor. What holds for all calls is in <thrum/io.h>. */
#ifndef THRUM_IO_FILE_H
#define THRUM_IO_FILE_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iovec;
struct pollfd;

/* As read(2) and write(2). May be short, as theirs. */
THRUM_API ssize_t thrum_read(int fd, void *buffer, size_t size);
THRUM_API ssize_t thrum_write(int fd, const void *buffer, size_t size);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_read_for(int fd, void *buffer, size_t size, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_write_for(int fd, const void *buffer, size_t size,
                                                   thrum_duration timeout);

/* As readv(2) and writev(2): into and from several pieces. */
THRUM_API ssize_t thrum_readv(int fd, const struct iovec *pieces, int count);
THRUM_API ssize_t thrum_writev(int fd, const struct iovec *pieces, int count);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_readv_for(int fd, const struct iovec *pieces, int count,
                                                   thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_writev_for(int fd, const struct iovec *pieces, int count,
                                                    thrum_duration timeout);

/* All of it: again and again, until `size` bytes are there. The number of bytes, which is less than `size` only at the end of
 * the input (read), or if an error, a timeout or a cancellation came after some were transferred. The next call begins anew, with
 * a time of its own. So whether a short count of a read was the end is told by another call, for the rest: that
 * returns 0, or goes on, or says what is wrong. The timeout is for the whole.
 * -EBADF, also after some were transferred: the descriptor was closed in the midst, and its number may be another file's. */
THRUM_API ssize_t thrum_read_full(int fd, void *buffer, size_t size);
THRUM_API ssize_t thrum_write_all(int fd, const void *buffer, size_t size);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_read_full_for(int fd, void *buffer, size_t size,
                                                       thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_write_all_for(int fd, const void *buffer, size_t size,
                                                       thrum_duration timeout);

/* As pread(2), pwrite(2), open(2) and fsync(2): for files, whose calls end by themselves. Meanwhile the worker goes on
 * with others, at once where the call is known to wait for a disk. Cancellation points before they begin, and not
 * after. An open of a FIFO whose other end nobody has opened blocks its thread alone, and cannot be cancelled. */
THRUM_API ssize_t thrum_pread(int fd, void *buffer, size_t size, int64_t offset);
THRUM_API ssize_t thrum_pwrite(int fd, const void *buffer, size_t size, int64_t offset);
THRUM_API int thrum_open(const char *path, int flags, unsigned mode);
THRUM_API int thrum_fsync(int fd);

/* As sendfile(2): from a file to any descriptor, past the program's memory, or, to one in blocking mode, by 8 KiB through it. *offset
 * is moved on (NULL: the file's own is). May be short, also then. -EBADF also if the file was closed while `out` had no
 * room. -EINVAL, -ESPIPE and -ENOSYS where the kernel cannot do it for these two: read and write then. */
THRUM_API ssize_t thrum_sendfile(int out, int in, int64_t *offset, size_t size);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_sendfile_for(int out, int in, int64_t *offset, size_t size,
                                                      thrum_duration timeout);

/* As poll(2): waits until one of the descriptors is ready, and says for how many there is something in their revents. A
 * negative descriptor is left out. Takes POLLIN, POLLPRI, POLLRDHUP and POLLOUT, with POLLIN also POLLRDNORM, and with POLLOUT
 * also POLLWRNORM, which say the same; -EINVAL: others. To wait for queues and events as well, and to
 * learn of one only: thrum_select. */
THRUM_API int thrum_poll(struct pollfd *fds, size_t count);
THRUM_API THRUM_MUST_CHECK int thrum_poll_for(struct pollfd *fds, size_t count, thrum_duration timeout);

/* Closes a descriptor, and wakes whoever waits for it with -EBADF. Calls on it that are under way end first, so that none
 * meets another file with its number. May switch; no cancellation point. 0 or a negative errno; the
 * descriptor is closed in any case, unless it was none, or one of the runtime's own that wake threads, of
 * epoll and of signals that are caught (-EBADF). */
THRUM_API int thrum_close(int fd);

#ifdef __cplusplus
}
#endif
#endif
