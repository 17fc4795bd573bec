/// That a new policy is one file: this one has everything of it, and no other file of the project knows it.
///
/// It registers for the whole test program, so whatever is tested for every policy is tested for it too.
#include <algorithm>
#include <catch2/catch.hpp>

#include "policies/selection.hpp"
#include "policy_support.hpp"
#include "support.hpp"

namespace cosoc {
namespace {

/// Each task to the last device that may run it.
void last_device(const Round& round, PolicyState&, std::vector<Assignment>& result) {
  std::vector<Time> free_at = free_times(round.devices);
  for (std::uint32_t task = 0; task < round.tasks.size(); ++task) {
    for (auto device = static_cast<std::uint32_t>(round.devices.size()); device-- > 0;) {
      const Time end = free_at[device] + cost_on(round.tasks[task], round.devices[device], device);
      if (end >= impossible) continue;
      free_at[device] = end;
      result.push_back({task, device, end, {}});
      break;
    }
  }
}

const RegisteredPolicy registered("TEST_LAST", last_device);

}  // namespace

TEST_CASE("a policy that its own file registers is found, listed, and schedules a session") {
  CHECK(std::ranges::count(policy_names(), "TEST_LAST") == 1);
  CHECK(test::decide("TEST_LAST", test::make_round({{1, 1, -1}, {1, 5, 5}})) ==
        std::vector{test::to(0, 1, 1), test::to(1, 2, 5)});
  const Session session = test::open(test::make_soc(), test::make_faulty_platform(test::make_soc(), {}),
                                     {.mode = Mode::model, .policy = "TEST_LAST"});
  CHECK(session.state()->scheduler().policy() == "TEST_LAST");
}

}  // namespace cosoc
