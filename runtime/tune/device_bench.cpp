#include "runtime/tune/device_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "flashmask/reference.h"
#include "runtime/tune/result_check.h"

namespace flashmask::tune {
namespace {

constexpr std::uint64_t kSeed = 1;
/// How many elements of each result are compared with the default's.
constexpr std::size_t kCompared = std::size_t{1} << 21;
/// Where the device does not tell its L2.
constexpr std::size_t kUsualL2Bytes = std::size_t{64} << 20;

std::vector<float> to_floats(const std::vector<std::uint16_t>& bits, DataType dtype) {
  std::vector<float> values(bits.size());
  std::ranges::transform(bits, values.begin(), [&](std::uint16_t value) { return reference::to_float(value, dtype); });
  return values;
}

/// How far results of two correct kernels may be apart, as a share of the largest value: each has rounded the same sums
/// in another order, and probabilities to the dtype at another scale.
double allowed_share(DataType dtype) {
  constexpr int kMantissaOfBfloat16 = 8;
  constexpr int kMantissaOfFloat16 = 11;
  constexpr double kUlps = 8;
  return kUlps * std::ldexp(1.0, dtype == DataType::kBfloat16 ? -kMantissaOfBfloat16 : -kMantissaOfFloat16);
}

}  // namespace

DeviceBench::DeviceBench(Runtime& runtime, const TuningProblem& problem)
    : runtime_(runtime),
      problem_(problem),
      tensors_(runtime, problem.descriptor, {problem.batch, problem.num_heads_q, problem.num_heads_kv},
               mask_of(problem), kSeed),
      timer_(runtime.device()->make_timer()),
      clock_(runtime.device()->properties().pci_bus_id) {
  const std::size_t l2 = runtime.device()->properties().l2_bytes;
  flushed_ = DeviceBuffer(runtime.device(), 2 * (l2 ? l2 : kUsualL2Bytes));
}

std::shared_ptr<const Kernel> DeviceBench::kernel_of(const TileConfig& config) {
  return runtime_.request(problem_.descriptor, {.hint = {}, .config = config});
}

void DeviceBench::run_once(const Kernel& kernel) {
  tensors_.spoil_results();
  tensors_.prepare(kernel)->launch();
  runtime_.device()->synchronize(nullptr);
}

void DeviceBench::check(const TileConfig& config) {
  const auto kernel = kernel_of(config);
  if (const std::string wrong = check_against_reference(runtime_, *kernel); !wrong.empty())
    throw BenchFailure(TrialOutcome::kWrong, wrong);
  const DataType dtype = problem_.descriptor.dtype;
  if (expected_.empty()) {
    run_once(*kernel_of(default_tile_config(problem_.descriptor)));
    expected_ = to_floats(tensors_.read_results(kCompared), dtype);
  }
  run_once(*kernel);
  const std::vector<float> found = to_floats(tensors_.read_results(kCompared), dtype);
  double largest = 0, difference = 0;
  for (std::size_t n = 0; n < found.size(); ++n) {
    if (!std::isfinite(found[n]))
      throw BenchFailure(TrialOutcome::kWrong, fmt::format("element {} of the results is no number", n));
    largest = std::max(largest, static_cast<double>(std::abs(expected_[n])));
    difference = std::max(difference, static_cast<double>(std::abs(found[n] - expected_[n])));
  }
  const double allowed = largest * allowed_share(dtype);
  if (difference > allowed)
    throw BenchFailure(
        TrialOutcome::kWrong,
        fmt::format("the results differ by {:.3g} from those of the default, {:.3g} are allowed", difference, allowed));
}

BenchTime DeviceBench::time(const TileConfig& config, int samples) {
  const auto launch = tensors_.prepare(*kernel_of(config));
  launch->launch();  // what is done at a first launch is not timed
  std::vector<double> seconds;
  for (int n = 0; n < samples; ++n) {
    runtime_.device()->fill(flushed_.get(), static_cast<std::uint8_t>(n), flushed_.bytes(), nullptr);
    timer_->start(nullptr);
    launch->launch();
    timer_->stop(nullptr);
    seconds.push_back(timer_->seconds());
  }
  std::ranges::nth_element(seconds, seconds.begin() + samples / 2);
  BenchTime time{.seconds = seconds[static_cast<std::size_t>(samples / 2)]};
  if (const auto clock = clock_.read()) {
    time.sm_clock_mhz = clock->sm_mhz;
    time.event_reasons = clock->event_reasons;
  }
  return time;
}

}  // namespace flashmask::tune
