/* Signals and ends of child processes as something to wait for, and an event as a descriptor.
 *
 *     sigset_t stop;
 *     sigemptyset(&stop), sigaddset(&stop, SIGINT), sigaddset(&stop, SIGTERM);
 *     int signo = thrum_signal_wait(&stop);      // Ctrl-C no longer ends the program
 *
 * What holds for all calls is in <thrum/io.h>. */
#ifndef THRUM_IO_SIGNAL_H
#define THRUM_IO_SIGNAL_H

#include <signal.h>
#include <sys/select.h> /* sigset_t, also in strict C */
#include <sys/types.h>
#include <thrum/base.h>
#include <thrum/sync/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From here on thrum catches these signals in place of what they do otherwise, and remembers each that comes until a wait takes
 * it: so none is missed before the first wait. Deliveries count: ten that come are ten waits' (the kernel itself makes one of
 * those that come while the same signal is still pending, but for the real-time ones). The handler that was there
 * is called as well. Catching what is caught changes nothing, unless the program has put a handler in the place of thrum's since
 * (waits do not ask that): then it is caught again, and that handler is called as well; it must not be one that
 * calls what it replaced, which is thrum's, and through which the signal is caught anyway. Calls do not nest. Does not switch.
 *
 * Light threads' kernel threads block signals. So some other thread must be there that does not: main, as long as the
 * program has not blocked them there, in whatever call it is; an OS thread of the program's own.
 *
 * 0; -EINVAL: SIGKILL, SIGSTOP, the signal of preemption, or one that an instruction or abort causes: then none is caught. -EMFILE,
 * -ENFILE: no descriptor is to be had; some may be caught already.
 *
 * The child of a fork catches what its parent did, and has its own deliveries, from the fork on. */
THRUM_API int thrum_signal_catch(const sigset_t *set);

/* Stops that for these signals: what they did before they do again (unless the program has installed a handler since, which
 * stays), and deliveries that no wait has taken are forgotten. Waits for them that are under way go on waiting.
 * Does not switch. 0 or -EINVAL. */
THRUM_API int thrum_signal_release(const sigset_t *set);

/* Waits for one of the signals, which it catches from then on: its number; the lowest, if several have come. Each delivery is
 * taken by one wait. -EINVAL also: none in the set. thrum_case_signal is the same in a select. */
THRUM_API int thrum_signal_wait(const sigset_t *set);
THRUM_API THRUM_MUST_CHECK int thrum_signal_wait_for(const sigset_t *set, thrum_duration timeout);

/* Waits until the child has ended, and reaps it: its pid, and in *status (if not NULL) what waitpid(2) says. With an error it is not
 * reaped. -ECHILD: no child of this process, or reaped already, by another thread or because SIGCHLD is ignored;
 * -EINVAL: not above 0. Where there are no descriptors of processes (before Linux 5.3, or forbidden by a filter) it looks again and
 * again, every 50 ms in the end. thrum_case_child is the same in a select. */
THRUM_API pid_t thrum_child_wait(pid_t child, int *status);
THRUM_API THRUM_MUST_CHECK pid_t thrum_child_wait_for(pid_t child, int *status, thrum_duration timeout);

/* A descriptor that is readable once the event is set: for an epoll loop or a library that knows no thrum. Reading its 8 bytes
 * makes it wait for the next time that the event becomes set, after having been cleared; several times before
 * that read are one. What was done before the set has happened for whoever has read. An event may have several, and each has a
 * thread, a daemon, that waits for it; so no deadlock is pronounced while one is there.
 * To be closed by thrum_close, never by close(2), before the event ends: afterwards nothing of thrum's knows the event. In the child
 * of a fork nothing feeds it. Does not switch. A negative errno: no descriptor, no memory or no thread is to be had, or epoll takes no
 * more (-ENOSPC); -EINVAL: NULL. */
THRUM_API int thrum_event_fd(thrum_event *event);

#ifdef __cplusplus
}
#endif
#endif
