/// Measures StarPU with the same work as our scheduler, and prints the figures as JSON.
#include <starpu.h>

#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "support/busy.hpp"

namespace {

std::uint64_t steps = 0;

void run_busy(void*[], void*) { bench::busy(steps); }

/// A task of no data.
struct starpu_codelet make_codelet() {
  struct starpu_codelet codelet;
  starpu_codelet_init(&codelet);
  codelet.cpu_funcs[0] = run_busy;
  codelet.nbuffers = 0;
  codelet.name = "busy";
  return codelet;
}

/// StarPU with a number of workers, from here to the end of its life.
class StarPU {
 public:
  explicit StarPU(int workers) {
    struct starpu_conf conf;
    starpu_conf_init(&conf);
    conf.ncpus = workers;
    conf.ncuda = 0;
    conf.nopencl = 0;
    works = starpu_init(&conf) == 0;
  }
  ~StarPU() {
    if (works) starpu_shutdown();
  }
  StarPU(const StarPU&) = delete;
  StarPU& operator=(const StarPU&) = delete;

  bool works = false;
};

double measure_tasks_per_second(struct starpu_codelet& codelet) {
  constexpr int count = 100000;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const double time = bench::microseconds([&] {
      for (int k = 0; k < count; ++k) {
        struct starpu_task* task = starpu_task_create();
        task->cl = &codelet;
        if (starpu_task_submit(task) != 0) return;
      }
      starpu_task_wait_for_all();
    });
    best = std::max(best, count / time * 1e6);
  }
  return best;
}

/// Against two plain threads. Tasks and dependencies are made before the time counts, as ours are.
double measure_graph_efficiency(struct starpu_codelet& codelet, std::size_t count) {
  const auto successors = bench::random_successors(count);
  std::vector<std::vector<std::size_t>> before(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (const std::size_t next : successors[i]) before[next].push_back(i);
  }
  bool submitted = true;
  double scheduled = std::numeric_limits<double>::max();
  double plain = scheduled;
  for (int i = 0; i < 3; ++i) {
    std::vector<struct starpu_task*> tasks;
    for (std::size_t k = 0; k < count; ++k) {
      tasks.push_back(starpu_task_create());
      tasks.back()->cl = &codelet;
      std::vector<struct starpu_task*> follows;
      for (const std::size_t other : before[k]) follows.push_back(tasks[other]);
      if (!follows.empty())
        starpu_task_declare_deps_array(tasks[k], static_cast<unsigned>(follows.size()), follows.data());
    }
    scheduled = std::min(scheduled, bench::microseconds([&] {
                           for (struct starpu_task* task : tasks) submitted &= starpu_task_submit(task) == 0;
                           starpu_task_wait_for_all();
                         }));
    // Its workers would look for tasks without end, and take the cores from the plain threads.
    starpu_pause();
    plain = std::min(plain, bench::time_of_two_threads(count, steps));
    starpu_resume();
  }
  return submitted ? plain / scheduled : 0.0;
}

}  // namespace

/// `tasks` measures tiny tasks on one worker, `graph` a graph of longer ones on two.
int main(int count, char** arguments) {
  const bool tasks = count == 2 && std::string(arguments[1]) == "tasks";
  const StarPU workers(tasks ? 1 : 2);
  if (!workers.works) {
    std::cerr << "StarPU does not start its CPU workers\n";
    return 1;
  }
  struct starpu_codelet codelet = make_codelet();
  nlohmann::ordered_json figures;
  if (tasks) {
    figures["tasks_per_second"] = measure_tasks_per_second(codelet);
  } else {
    steps = bench::steps_of(std::chrono::microseconds(50));
    figures["graph_50us_tasks_efficiency"] = measure_graph_efficiency(codelet, 100000);
  }
  std::cout << figures.dump() << "\n";
}
