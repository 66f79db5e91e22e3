/* What ThreadSanitizer is not to look at; why is said in core/sanitize.h. Empty in other builds. */
#ifndef THRUMI_IGNORE_H
#define THRUMI_IGNORE_H

#ifndef THRUMI_TSAN
#define THRUMI_TSAN 0
#endif

#if THRUMI_TSAN
void __tsan_ignore_thread_begin(void);
void __tsan_ignore_thread_end(void);
#define thrumi_ignore_begin() __tsan_ignore_thread_begin()
#define thrumi_ignore_end() __tsan_ignore_thread_end()
#else
#define thrumi_ignore_begin() ((void)0)
#define thrumi_ignore_end() ((void)0)
#endif

#endif
