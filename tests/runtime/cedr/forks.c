/* Parent and child call, before and after the fork. */
#include <dash.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"

static int works(void) {
  dash_cmplx_flt_type x[8] = {{1, 0}}, y[8];
  dash_cmplx_flt_type *px = x, *py = y;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  uint32_t count = 0;
  cedr_barrier_t barrier = {&cond, &mutex, &count};
  size_t n = 8;
  bool forward = true;
  pthread_mutex_lock(&mutex);
  DASH_FFT_flt_nb(&px, &py, &n, &forward, &barrier);
  while (count != 1) pthread_cond_wait(&cond, &mutex);
  pthread_mutex_unlock(&mutex);
  return y[5].re == 1 && y[5].im == 0;
}

int main(void) {
  check(works(), "before the fork");
  const pid_t child = fork();
  if (child == 0) _exit(works() ? 5 : 6);
  check(works(), "after the fork");
  int status = 0;
  check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5, "the child");
  puts("done");
  return 0;
}
