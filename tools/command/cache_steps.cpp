#include "tools/command/cache_steps.h"

#include <fmt/format.h>

#include <utility>

#include "tools/command/interrupt.h"

namespace flashmask::command {
namespace {

constexpr int kBarWidth = 20;

}  // namespace

CacheSteps::CacheSteps(std::string what)
    : what_(std::move(what)), progress_([this] {
        const std::size_t done = done_, all = all_;
        return fmt::format("{} {}/{} {}", progress_bar(static_cast<int>(done), static_cast<int>(all), kBarWidth), done,
                           all, what_);
      }) {}

CacheProgress CacheSteps::callback() {
  return [this](std::size_t done, std::size_t all) {
    all_ = all;
    done_ = done;
    if (is_interrupted()) throw Interrupted();
  };
}

}  // namespace flashmask::command
