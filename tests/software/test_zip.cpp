/// The driver of ZIP with two engines, short second operands, and int16.
#include "cosoc/generated/zip.hpp"
#include "kernels/zip.hpp"
#include "kernels/zip_integers.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

/// A call on a CPU and on the accelerator gives the same bits; the number of commands that it took.
std::uint64_t commands_of(Machine& machine, const nlohmann::json& attributes, const std::vector<TensorType>& types,
                          const TensorType& output) {
  Tensors tensors(machine.platform->memory());
  Random random(7);
  std::vector<TensorView> inputs;
  for (const TensorType& type : types) {
    inputs.push_back(tensors.make(type));
    random.fill(inputs.back());
  }
  const std::vector<TensorView> outputs = {tensors.make(output)};
  const std::vector<TensorView> expected = {tensors.make(output)};
  const auto zip = kernel("zip", attributes);
  require_ok(machine.driver->supports(*zip, types, {&output, 1}));
  run_on_cpu(*zip, inputs, expected);
  machine.run(*zip, inputs, outputs);
  CHECK(dense(outputs[0]) == dense(expected[0]));
  return machine.driver->counters().commands;
}

TEST_CASE("two engines share a long call, at beats and where a short operand begins anew") {
  Machine machine(soc_with("zip", zip_config(4, 2)));
  const auto vector = [](Shape shape) { return tensor(DType::complex64, std::move(shape)); };
  const auto add = nlohmann::json{{"operation", "add"}};
  CHECK(commands_of(machine, add, {vector({100}), vector({100})}, vector({100})) == 1);
  CHECK(commands_of(machine, add, {vector({1001}), vector({1001})}, vector({1001})) == 2);
  CHECK(commands_of(machine, add, {vector({30, 35}), vector({35})}, vector({30, 35})) == 2);
  CHECK(commands_of(machine, add, {vector({1000}), vector({1})}, vector({1000})) == 2);
  CHECK(commands_of(machine, {{"operation", "magnitude"}}, {vector({1003})}, tensor(DType::float32, {1003})) == 2);
  CHECK(commands_of(machine, {{"operation", "scale"}, {"factor", {2, -1}}}, {vector({999})}, vector({999})) == 2);
  const std::vector<TensorType> three = {vector({700}), vector({700}), vector({700})};
  CHECK(commands_of(machine, {{"operation", "conjugate_multiply_add"}}, three, vector({700})) == 2);
}

TEST_CASE("what ZIP cannot do is told") {
  const TensorType real = tensor(DType::float32, {4, 3});
  const std::vector<TensorType> odd = {real, tensor(DType::float32, {3})};
  const auto add = kernel("zip", {{"operation", "add"}});
  Machine machine(soc_with("zip", zip_config(2)));
  CHECK_THAT(message_of(machine.driver->supports(*add, odd, {&real, 1})),
             Catch::Contains("one element, or of 8..8192 bytes in steps of 8, not of 12"));
  Machine integers(soc_with("zip", zip_config(2, 1, 1)));
  const std::vector<TensorType> same = {real, real};
  CHECK_THAT(message_of(integers.driver->supports(*add, same, {&real, 1})),
             Catch::Contains("this ZIP computes int16, not float32"));
}

TEST_CASE("wrong calls of zip are named") {
  const TensorType a = tensor(DType::complex64, {4, 6});
  const TensorType other = tensor(DType::complex64, {4});
  const TensorType real = tensor(DType::float32, {4, 6});
  const std::vector<TensorType> uneven = {a, other};
  const std::vector<TensorType> reals = {real, real};
  CHECK_THAT(message_of(kernel("zip", {{"operation", "add"}})->check(uneven, {&a, 1})),
             Catch::Contains("must be complex64[4, 6], not complex64[4]"));
  CHECK_THAT(message_of(kernel("zip", {{"operation", "conjugate_mul"}})->check(reals, {&real, 1})),
             Catch::Contains("complex64"));
  CHECK_THAT(message_of(kernel("zip", {{"operation", "magnitude"}})->check({&a, 1}, {&a, 1})),
             Catch::Contains("float32"));
  const auto scale = kernel("zip", {{"operation", "scale"}, {"factor", {1, 2}}});
  CHECK_THAT(message_of(scale->check({&real, 1}, {&real, 1})), Catch::Contains("must be real"));
  CHECK_THAT(message_of(make_kernel("zip", {{"operation", "scale"}})), Catch::Contains("factor"));
}

std::vector<std::int16_t> integers(ZIPKind kind, std::vector<std::int16_t> a, std::vector<std::int16_t> b,
                                   std::uint32_t shift, std::vector<std::int16_t> c = {0, 0, 0, 0}) {
  const std::size_t parts = is_real(kind) ? 1 : 2;
  std::vector<std::int16_t> out(is_narrow(kind) ? a.size() / 2 : a.size());
  zip_integers(kind, {.a = a.data(),
                      .b = b.data(),
                      .c = c.data(),
                      .out = out.data(),
                      .count = a.size() / parts,
                      .b_count = b.size() / parts,
                      .shift = shift});
  return out;
}

TEST_CASE("int16 quotients go to the left and roots to the right, rounded once") {
  using Values = std::vector<std::int16_t>;
  CHECK(integers(ZIPKind::real_div, {1, 3, -1, -3, 7, -7}, {2}, 0) == Values{0, 2, 0, -2, 4, -4});
  CHECK(integers(ZIPKind::real_div, {1, -2, 32767, -32768}, {3, 3, -1, -32768}, 14) ==
        Values{5461, -10923, -32768, 16384});
  CHECK(integers(ZIPKind::real_div, {9, -9, 0, 0}, {0, 0, 0, -1}, 31) == Values{32767, -32768, 0, 0});
  CHECK(integers(ZIPKind::div, {3, 4, -32768, 0, 5, 6}, {1, 2, -32768, 0, 0, 0}, 1) == Values{4, -1, 2, 0, 0, 0});
  CHECK(integers(ZIPKind::magnitude, {3, 4, -32768, -32768, 1, 1, 0, 0}, {0, 0}, 0) == Values{5, 32767, 1, 0});
  CHECK(integers(ZIPKind::magnitude, {3, 4, -32768, -32768, 3, 0, 0, 2}, {0, 0}, 1) == Values{2, 23170, 2, 1});
  CHECK(integers(ZIPKind::magnitude, {-32768, -32768, -32768, 0}, {0, 0}, 16) == Values{1, 0});
}

TEST_CASE("int16 rounds to nearest even, then saturates") {
  using Values = std::vector<std::int16_t>;
  CHECK(integers(ZIPKind::real_mul, {1, 3, -1, -3}, {1}, 1) == Values{0, 2, 0, -2});
  CHECK(integers(ZIPKind::real_add, {32767, -32768, 5, 7}, {1, -1}, 0) == Values{32767, -32768, 6, 6});
  CHECK(integers(ZIPKind::mul, {-32768, -32768}, {-32768, -32768}, 15) == Values{0, 32767});
  CHECK(integers(ZIPKind::mul, {-32768, -32768}, {-32768, -32768}, 31) == Values{0, 1});
  CHECK(integers(ZIPKind::conjugate_mul, {3, 4}, {3, 4}, 0) == Values{25, 0});
  CHECK(integers(ZIPKind::multiply_add, {1, 2}, {3, 4}, 1, {10, -1}) == Values{8, 4});
  CHECK(integers(ZIPKind::conjugate_multiply_add, {32767, 0}, {2, 0}, 0, {-32768, 9}) == Values{32766, 9});
  CHECK(integers(ZIPKind::magnitude_squared, {3, 4, 300, 0}, {0, 0}, 0) == Values{25, 32767});
  CHECK(integers(ZIPKind::real_multiply_add, {3, 32767}, {3, -2}, 1, {-5, -32768}) == Values{-1, -32768});
  CHECK(integers(ZIPKind::sub, {1, 2, 3, 4}, {1, -1}, 0) == Values{0, 3, 2, 5});
}

}  // namespace
}  // namespace cosoc::test
