/* A block in C that an exception passes through: compiled with -fexceptions, as the documentation wants it. */
#include <thrum.h>

void cxx_blocks_call_locked(thrum_lock *lock, void (*fn)(void *), void *arg);
void cxx_blocks_call_locked(thrum_lock *lock, void (*fn)(void *), void *arg) { THRUM_LOCKED(lock) fn(arg); }
