#pragma once

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cache/store.h"
#include "flashmask/kernel_cache.h"
#include "generator/generate.h"
#include "runtime/store/kernel_digest.h"
#include "runtime/store/kernel_record.h"
#include "runtime/toolchain.h"

namespace flashmask::testing {

/// Bytes that pass for a cubin of this kernel: an ELF file for CUDA with code of its name, and no more.
inline std::vector<std::byte> fake_cubin(Target target, const std::string& entry, const std::string& code = "code") {
  const std::string text_name = ".text." + entry;
  std::string names("\0", 1);
  const std::size_t text_at = names.size();
  names.append(text_name).push_back('\0');
  const std::size_t names_at = names.size();
  names.append(".shstrtab").push_back('\0');

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_ABIVERSION] = 7;
  header.e_type = ET_EXEC;
  header.e_machine = 190;  // EM_CUDA
  header.e_flags = static_cast<Elf64_Word>(target.compute_capability);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 3;
  header.e_shstrndx = 2;
  header.e_shoff = sizeof header + code.size() + names.size();
  Elf64_Shdr sections[3]{};
  sections[1].sh_name = static_cast<Elf64_Word>(text_at);
  sections[1].sh_type = SHT_PROGBITS;
  sections[1].sh_offset = sizeof header;
  sections[1].sh_size = code.size();
  sections[2].sh_name = static_cast<Elf64_Word>(names_at);
  sections[2].sh_type = SHT_STRTAB;
  sections[2].sh_offset = sizeof header + code.size();
  sections[2].sh_size = names.size();

  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += code + names;
  bytes.append(reinterpret_cast<const char*>(sections), sizeof sections);
  const auto view = std::as_bytes(std::span(bytes));
  return {view.begin(), view.end()};
}

/// A kernel as a cache keeps it, never compiled.
struct KeptKernel {
  cache::Digest digest;
  KernelRecord record;
  std::vector<std::byte> cubin;
  std::string ptx = ".version 8.8";

  std::string tag() const { return toolchain_tag(record.toolchain); }
  void publish(cache::Store& store, bool with_ptx = true) const {
    const std::string tag_text = tag(), metadata = to_json(record);
    cache::EntryView view{digest, tag_text, metadata, {{kCubinSection, cubin}}};
    if (with_ptx) view.sections.push_back({kPtxSection, std::as_bytes(std::span(ptx))});
    const cache::PublishOutcome outcome = store.publish(view);
    if (!outcome) throw std::runtime_error(outcome.failure);
  }
  void publish(const std::string& directory, bool with_ptx = true) const {
    cache::Store store({.directory = directory});
    publish(store, with_ptx);
  }
};

inline KeptKernel kept_kernel(const KernelDescriptor& descriptor, const std::string& toolchain = "nvrtc 13.0.88",
                              const std::string& code = "code") {
  const generator::KernelSource source = generator::generate(descriptor, default_tile_config(descriptor));
  KeptKernel kernel;
  kernel.digest = digest_of(source);
  kernel.record = {source.descriptor, source.config, source.entry, {.registers = 100}, toolchain, ""};
  kernel.record.resources.dynamic_shared_bytes = source.shared_bytes;
  kernel.cubin = fake_cubin(descriptor.target, source.entry, code);
  return kernel;
}

/// A small forward kernel; the dtype tells two of them apart.
inline KernelDescriptor small_kernel(DataType dtype = DataType::kBfloat16, Target target = {80, false}) {
  KernelDescriptor descriptor;
  descriptor.dtype = dtype;
  descriptor.head_dim_qk = 32;
  descriptor.head_dim_v = 32;
  descriptor.target = target;
  return descriptor;
}

inline std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Packs kernels into a file, by way of a directory `path`.d.
inline void write_pack_of(const std::string& path, const std::vector<KeptKernel>& kernels, bool drop_ptx = false) {
  const std::string directory = path + ".d";
  for (const KeptKernel& kernel : kernels) kernel.publish(directory);
  Policy policy;
  policy.cache_directory = directory;
  ExportOptions options;
  options.drop_ptx = drop_ptx;
  KernelCache(policy).export_pack(path, options);
}

}  // namespace flashmask::testing
