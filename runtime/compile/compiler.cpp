#include "runtime/compile/compiler.h"

#include <chrono>
#include <utility>

#include "runtime/compile/ptxas_log.h"

namespace flashmask::compile {

std::shared_ptr<const Nvrtc> Compiler::nvrtc() {
  std::lock_guard lock(mutex_);
  if (!nvrtc_) nvrtc_ = std::make_shared<const Nvrtc>(Nvrtc::open(policy_));
  return nvrtc_;
}

Compilation Compiler::compile(const std::string& text, const std::string& entry, Target target) {
  const std::shared_ptr<const Nvrtc> nvrtc = this->nvrtc();
  const auto begin = std::chrono::steady_clock::now();
  NvrtcOutput output = nvrtc->compile(text, entry, target);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;

  PtxasReport report = parse_ptxas_log(output.log, entry);
  Compilation compilation;
  compilation.cubin = std::move(output.cubin);
  compilation.toolchain = toolchain_name(output.ptx, nvrtc->version());
  compilation.ptx = std::move(output.ptx);
  compilation.log = std::move(report.text);
  compilation.warnings = std::move(report.warnings);
  if (!report.found)
    compilation.warnings.push_back(
        "the log of ptxas does not speak of the kernel: its registers and spills are unknown");
  compilation.resources = report.resources;
  compilation.seconds = spent.count();
  return compilation;
}

}  // namespace flashmask::compile
