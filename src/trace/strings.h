/* Numbers of the strings that events name: what a thread waits for, and the program's names of spans, counters and marks.
 *
 * A string goes by its address: these are texts that live as long as the program. The table is open, by a hash of the address; an entry
 * is claimed by one compare-and-swap from NULL and never changes again. Its place, from 1, is the string's number. So any thread, and the
 * handler of a fatal signal too, reads it without a lock. If the table, or its neighbourhood there, is full, a string has no number. */
#ifndef THRUMI_TRACE_STRINGS_H
#define THRUMI_TRACE_STRINGS_H

#include <stdint.h>

enum { THRUMI_STRINGS = 4096 };

/* 0: NULL, or no room. */
uint32_t thrumi_string_number(const char *text);

/* NULL: no such one. */
const char *thrumi_string(uint32_t number);

#endif
