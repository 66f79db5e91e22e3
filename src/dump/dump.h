/* libthrum-dump: the two halves behind struct thrumi_backtracer. */
#ifndef THRUMI_DUMP_H
#define THRUMI_DUMP_H

#include <core/backtrace.h>

/* By libunwind; see thrumi_backtracer.walk. */
size_t thrumi_dump_walk(const ucontext_t *context, uintptr_t stack_low, uintptr_t stack_high, uintptr_t *pcs,
                        size_t max);

/* By elfutils; see thrumi_backtracer.describe. */
void thrumi_dump_describe(uintptr_t pc, bool exact, struct thrumi_frame *out);

/* Found by name in the loaded library. */
extern THRUM_API const struct thrumi_backtracer thrumi_dump_backtracer;

#endif
