/* Never calls, and says how many threads and descriptors it has all the same. */
#include <dash.h>
#include <dirent.h>

#include "files.h"

static int entries(const char* folder) {
  DIR* directory = opendir(folder);
  int count = 0;
  check(directory != NULL, folder);
  for (struct dirent* entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
    count += entry->d_name[0] != '.';
  }
  closedir(directory);
  return count;
}

int main(int argc, char** argv) {
  (void)argv;
  /* The reading of the folder is a descriptor too. */
  printf("%d threads, %d descriptors\n", entries("/proc/self/task"), entries("/proc/self/fd") - 1);
  if (argc > 10) DASH_FFT_flt(NULL, NULL, 0, true);
  return 0;
}
