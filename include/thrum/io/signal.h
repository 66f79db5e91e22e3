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
#include <sys/types.h>
#include <thrum/base.h>
#include <thrum/sync/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From here on thrum catches these signals in place of what they do otherwise, and remembers those that come, each once, until a wait
 * takes it: so none is missed before the first wait. The handler that was there is called as well. 0; -EINVAL: SIGKILL, SIGSTOP, the signal of
 * preemption, or one that an instruction causes; or a negative errno. Does not switch. */
THRUM_API int thrum_signal_catch(const sigset_t *set);

/* Stops that for these signals: what they did before they do again. 0 or -EINVAL. */
THRUM_API int thrum_signal_release(const sigset_t *set);

/* Waits for one of the signals (which it catches from then on): its number. One signal that came is taken by one wait. */
THRUM_API int thrum_signal_wait(const sigset_t *set);
THRUM_API THRUM_MUST_CHECK int thrum_signal_wait_for(const sigset_t *set, thrum_duration timeout);

/* Waits until the child has ended, and reaps it: its pid, and in *status (if not NULL) what waitpid(2) says. -ECHILD: no child of
 * this process, or reaped already; -EINVAL: not above 0. */
THRUM_API pid_t thrum_child_wait(pid_t child, int *status);
THRUM_API THRUM_MUST_CHECK pid_t thrum_child_wait_for(pid_t child, int *status, thrum_duration timeout);

/* A descriptor that is readable once the event is set: for an epoll loop or a library that knows no thrum. Reading 8 bytes makes it
 * wait for the next time that the event is set, after having been cleared. To be closed by thrum_close, before the
 * event ends. A negative errno: no descriptor, or no thread, is to be had. */
THRUM_API int thrum_event_fd(thrum_event *event);

#ifdef __cplusplus
}
#endif
#endif
