/* The names of functions and variables, static ones too, from libc and the program's files alone. */
#ifndef THRUMI_SYMBOL_H
#define THRUMI_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name of the function that starts at this address, cut to the buffer, which has room for at least the
 * NUL. False: none starts there, or its file was stripped, or cannot be read now; the buffer then holds
 * anything.
 * Takes libc's locks and may open a file. */
bool thrumi_symbol_name(uintptr_t function, char *buffer, size_t size);

/* The variable that holds this address: its name, with "+0x8" behind it if the address is not its beginning. */
bool thrumi_symbol_of_data(uintptr_t address, char *buffer, size_t size);

/* The same by the symbol table (.symtab) of an ELF file of any contents; `value` is its st_value. */
bool thrumi_symbol_in_file(int file, uint64_t value, char *buffer, size_t size);

#endif
