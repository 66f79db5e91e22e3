/* thrum: light threads for C on Linux that nothing can freeze.
 *
 *     #include <thrum.h>
 *     static intptr_t hello(void *arg) { thrum_print("Hello!\n"); return 0; }
 *     int main(void) { thrum_thread t; thrum_spawn(&t, hello, NULL); return thrum_join(t, NULL); }
 *
 * This header is all of thrum; each concept has a header of its own beside it. */
#ifndef THRUM_H
#define THRUM_H

#include <thrum/base.h>
#include <thrum/broadcast.h>
#include <thrum/executor.h>
#include <thrum/future.h>
#include <thrum/gil.h>
#include <thrum/io.h>
#include <thrum/local.h>
#include <thrum/parallel.h>
#include <thrum/process.h>
#include <thrum/queue.h>
#include <thrum/runtime.h>
#include <thrum/schedule.h>
#include <thrum/scope.h>
#include <thrum/select.h>
#include <thrum/sync.h>
#include <thrum/thread.h>
#include <thrum/ticker.h>
#include <thrum/time.h>
#include <thrum/timer.h>
#include <thrum/trace.h>
#include <thrum/watch.h>

#endif
