#pragma once

#include <memory>
#include <utility>

#include "flashmask/runtime.h"

namespace flashmask {

/// A prepared launch of a kernel that has a Dispatch, what a launch comes to, and enqueue(const Dispatch&, Stream),
/// which its launch() calls too.
template <typename LaunchedKernel>
class DispatchedLaunch final : public PreparedLaunch {
 public:
  using Dispatch = typename LaunchedKernel::Dispatch;

  DispatchedLaunch(std::shared_ptr<const LaunchedKernel> kernel, const Dispatch& dispatch)
      : kernel_(std::move(kernel)), dispatch_(dispatch) {}
  void launch(Stream stream) const override { kernel_->enqueue(dispatch_, stream); }

 private:
  std::shared_ptr<const LaunchedKernel> kernel_;
  Dispatch dispatch_;
};

}  // namespace flashmask
