/* What the sanitizers and valgrind must be told of each stack. Empty in a plain build. */
#ifndef THRUMI_SANITIZE_H
#define THRUMI_SANITIZE_H

#if defined(__SANITIZE_THREAD__)
#define THRUMI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THRUMI_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define THRUMI_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define THRUMI_ASAN 1
#endif
#endif
#ifndef THRUMI_TSAN
#define THRUMI_TSAN 0
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
enum { THRUMI_TSAN_NO_SYNC = 1 }; /* a switch orders nothing: only our atomics do */
#endif

#if THRUMI_ASAN
#include <stddef.h>
void __sanitizer_start_switch_fiber(void **fake, const void *low, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **low, size_t *size);
void __asan_unpoison_memory_region(const volatile void *low, size_t size);
void __asan_handle_no_return(void);
#endif

#endif
