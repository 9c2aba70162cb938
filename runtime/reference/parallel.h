#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace flashmask::reference {

/// Calls task(worker, index) once for every index below `tasks`, spread over `threads` threads (0: all cores), each
/// with a worker of its own that make_worker() gave it. Which thread gets which index is not determined: tasks that
/// write disjoint results make a result that does not depend on the number of threads.
template <typename MakeWorker, typename Task>
void in_parallel(std::int64_t tasks, int threads, const MakeWorker& make_worker, const Task& task) {
  std::atomic<std::int64_t> next{0};
  const auto run = [&] {
    auto worker = make_worker();
    for (std::int64_t index = next++; index < tasks; index = next++) task(worker, index);
  };
  std::int64_t wanted = threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  wanted = std::min(wanted, tasks);
  std::vector<std::jthread> others;
  for (std::int64_t t = 1; t < wanted; ++t) others.emplace_back(run);
  run();
}

}  // namespace flashmask::reference
