/* What the sanitizers and valgrind must be told. Empty in a plain build.
 *
 * ThreadSanitizer. A switch orders nothing by itself (no-sync fibers): what one thread did before is not visible
 * to the next one only because both ran on one worker. The order that thrum does promise is announced:
 *
 *     who says so first (release)      who may rely on it (acquire)
 *     spawn                            the thread's first instruction
 *     the thread's end                 a join or wait of it that succeeded
 *     whoever wakes a waiting thread   the thread, when its wait returns
 *
 * The runtime itself is therefore not instrumented in these builds (-Db_sanitize for the programs, THRUMI_TSAN for the
 * library): it passes its private data from context to context of one worker, which no-sync fibers would
 * report; and its signal handler interrupts ThreadSanitizer's own code and must not call into it. What the runtime
 * does with its shared words is checked by exhaustive interleaving instead (tests/explore).
 *
 * Not instrumented does not mean unseen: what the runtime asks of libc (memset, snprintf, malloc) is intercepted. So
 * all accesses are ignored while a thread is inside, and where the runtime allocates and frees. The ignoring
 * belongs to the fiber: it begins after `inside` is set, ends before it is cleared, and is over when a fiber is
 * destroyed. A switch leaves it as it is, since every context that is switched to is inside.
 *
 * A stack that a new thread gets is mapped afresh, which makes ThreadSanitizer forget its former user; announcing an order
 * instead would hide races between the two. For the same reason threads neither inherit stacks nor run as guests there.
 *
 * AddressSanitizer is told of each switch, and that the table of records and the stacks are roots for leaks. */
#ifndef THRUMI_SANITIZE_H
#define THRUMI_SANITIZE_H

#include <os/ignore.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define THRUMI_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define THRUMI_ASAN 1
#endif
#endif
#ifndef THRUMI_ASAN
#define THRUMI_ASAN 0
#endif

#if THRUMI_TSAN
/* From ThreadSanitizer's public interface (sanitizer/tsan_interface.h); gcc ships no header for it. */
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *address);
void __tsan_release(void *address);
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *start, size_t size,
                             const char *why);
enum { THRUMI_TSAN_NO_SYNC = 1 };
#define thrumi_announce(address) __tsan_release((void *)(address))
#define thrumi_rely_on(address) __tsan_acquire((void *)(address))
#else
#define thrumi_announce(address) ((void)(address))
#define thrumi_rely_on(address) ((void)(address))
#endif

#if THRUMI_ASAN
void __sanitizer_start_switch_fiber(void **fake, const void *low, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **low, size_t *size);
void __asan_unpoison_memory_region(const volatile void *low, size_t size);
void __asan_handle_no_return(void);
void __lsan_register_root_region(const void *start, size_t size);
#define thrumi_leak_root(start, size) __lsan_register_root_region(start, size)
#else
#define thrumi_leak_root(start, size) ((void)(start), (void)(size))
#endif

/* valgrind's client requests are a few instructions that do nothing elsewhere. It must know a stack before it sees
 * the stack pointer move there, and reads through guard markers, so under it guards are mappings. */
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define thrumi_on_valgrind() (RUNNING_ON_VALGRIND != 0)
#define thrumi_valgrind_stack(low, size) ((void)VALGRIND_STACK_REGISTER(low, (low) + (size)))
#endif
#endif
#ifndef thrumi_on_valgrind
#define thrumi_on_valgrind() 0
#define thrumi_valgrind_stack(low, size) ((void)(low), (void)(size))
#endif

#endif
