/* Reading and writing arrays of an application: argv[1] is what it gets, argv[2] what it gives. */
#ifndef FILES_H
#define FILES_H

#include <stdio.h>
#include <stdlib.h>

static inline void check(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "failed: %s\n", what);
  exit(3);
}

static inline void* take(FILE* file, size_t count, size_t size) {
  void* data = malloc(count * size + 1);
  check(data && fread(data, size, count, file) == count, "reading");
  return data;
}

static inline void give(FILE* file, const void* data, size_t count, size_t size) {
  check(fwrite(data, size, count, file) == count, "writing");
}

static inline FILE* open_file(const char* name, const char* mode) {
  FILE* file = fopen(name, mode);
  check(!!file, name);
  return file;
}

#endif
