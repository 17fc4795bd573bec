/// Graphs of the operations for signals, made by the typed functions.
#include <catch2/catch.hpp>

#include "cosoc/operations.hpp"

namespace {

using namespace cosoc;

TensorType type_of(const Graph& graph, Tensor tensor) { return graph.tensors()[tensor.index].type; }

TEST_CASE("operations for signals give their results the right types") {
  Graph graph("signal");
  const Tensor real = graph.input("real", {DType::float32, {3, 32}});
  const Tensor bins = rfft(graph, "bins", real);
  CHECK(type_of(graph, bins) == TensorType{DType::complex64, {3, 17}});

  const Tensor x = graph.input("x", {DType::complex64, {4, 8, 16}});
  const Tensor spectrum = graph.input("spectrum", {DType::complex64, {8, 16}});
  const FFTMultiplyOptions correlation{.direction = FFTDirection::inverse, .conjugate = true, .axis = 1};
  const Tensor product = fft_multiply(graph, "product", x, spectrum, correlation);
  CHECK(type_of(graph, product) == TensorType{DType::complex64, {4, 8, 16}});

  const Tensor samples = graph.input("samples", {DType::int16, {9, 2}});
  const Tensor sum = zip_int16(graph, "sum", {samples, samples}, {.shift = 1});
  const Tensor power = zip_int16(graph, "power", {sum}, {.operation = ZIPOperator::magnitude_squared, .shift = 15});
  CHECK(type_of(graph, sum) == TensorType{DType::int16, {9, 2}});
  CHECK(type_of(graph, power) == TensorType{DType::int16, {9}});
  for (const Tensor result : {bins, product, power}) graph.output(result);
  CHECK(graph.status());
}

TEST_CASE("a wrong call of an operation for signals is the graph's error") {
  Graph graph("signal");
  zip_int16(graph, "quotient", {graph.input("a", {DType::int16, {4, 2}})}, {.operation = ZIPOperator::div});
  REQUIRE_FALSE(graph.status());
  CHECK_THAT(graph.status().error().message, Catch::Contains("quotient") && Catch::Contains("expected 2 inputs"));
}

}  // namespace
