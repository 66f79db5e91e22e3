/* THRUM_TRACE, as text: words, each with a colon, and the file's name. */
#ifndef THRUMI_TRACE_WISH_H
#define THRUMI_TRACE_WISH_H

#include <thrum/trace.h>

/* options->file then points into the text. False: there is no name, or a number that is none. */
bool thrumi_wish_read(const char *text, thrum_trace_options *options);

#endif
