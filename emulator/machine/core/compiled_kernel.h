#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emulator/machine/core/operation.h"
#include "emulator/machine/core/warp_product.h"
#include "emulator/machine/core/warpgroup_product.h"
#include "emulator/machine/machine.h"
#include "emulator/ptx/module.h"

namespace flashmask::emulator {

/// 64-byte aligned storage for vector registers.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t bytes);
  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

/// Shared memory of every CTA that belongs to the system's software.
constexpr std::uint32_t kReservedSharedBytes = 1024;

/// One entry, lowered to operations. Immutable.
struct CompiledKernel {
  std::string name;
  std::uint32_t line = 0;
  std::vector<Operation> code;  ///< ends in an exit
  AlignedBytes constants;
  std::uint32_t register_bytes = 0;
  /// kReservedSharedBytes at the start of shared memory if the kernel asks where they are, else none: nobody sees them.
  std::uint32_t reserved_shared_bytes = 0;
  /// Reserved bytes and the variables behind them.
  std::uint32_t static_shared_bytes = 0;
  /// Where dynamic shared memory begins.
  std::uint32_t dynamic_shared_offset = 0;
  std::uint32_t local_bytes = 0;
  std::uint32_t parameter_bytes = 0;
  std::vector<ParameterDeclaration> parameters;
  std::array<std::uint32_t, 3> required_threads = {0, 0, 0};
  std::array<std::uint32_t, 3> maximal_threads = {0, 0, 0};
  /// .maxnreg: registers of a thread at most; zero where not given.
  std::uint32_t maximal_registers = 0;
  /// .reqnctapercluster, zero where not given.
  std::array<std::uint32_t, 3> required_cluster = {0, 0, 0};
  std::vector<std::vector<std::uint32_t>> branch_targets;

  /// A register that an operation reads or writes.
  struct Touch {
    Ref ref;
    bool writes;
  };
  /// Only of kernels with wgmma: operation i touches touches[touch_begin[i]] up to touches[touch_begin[i + 1]].
  std::vector<Touch> touches;
  std::vector<std::uint32_t> touch_begin;
  bool tracks_registers = false;
  std::map<Ref, std::string> register_names;
  const std::string& register_name(Ref ref) const { return register_names.at(ref); }

  std::vector<WarpgroupProduct> products;  ///< of wgmma.mma_async, by Operation::immediate
  std::vector<WarpProduct> warp_products;  ///< of wmma.mma, by Operation::immediate
};

/// What Program::parse() makes.
class CompiledProgram final : public Program {
 public:
  /// Not an address, which another program may get later.
  std::uint64_t id = next_id();
  std::vector<std::string> lines;  ///< of the PTX text
  std::map<std::string, CompiledKernel, std::less<>> kernels;
  std::vector<ptx::Variable> variables;  ///< .global and .const
  std::vector<std::string> class_names;  ///< by Operation::statistics_class

  std::vector<EntryDeclaration> entries() const override;
  /// "line 12: add.s32 %r1, %r2, 3;"
  std::string quote(std::uint32_t line) const;

 private:
  static std::uint64_t next_id();
};

}  // namespace flashmask::emulator
