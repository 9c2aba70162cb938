#include "runtime/c_abi/boundary.h"
#include "runtime/c_abi/handles.h"

namespace flashmask::c_abi {
namespace {

fm_descriptor default_descriptor() {
  return {.struct_size = sizeof(fm_descriptor),
          .pass = FM_PASS_FORWARD,
          .dtype = FM_BFLOAT16,
          .head_dim_qk = 128,
          .head_dim_v = 128,
          .mask_form = FM_MASK_NONE,
          .causal_alignment = FM_BOTTOM_RIGHT,
          .target = nullptr,
          .deterministic = 0};
}

static_assert(FM_PASS_BACKWARD == static_cast<int>(Pass::kBackward) && FM_MASK_F4 == static_cast<int>(MaskForm::kF4) &&
              FM_BFLOAT16 == static_cast<int>(DataType::kBfloat16) &&
              FM_TOP_LEFT == static_cast<int>(CausalAlignment::kTopLeft) &&
              FM_COMPILED == static_cast<int>(KernelOrigin::kCompiled) &&
              FM_FROM_PACK == static_cast<int>(KernelOrigin::kPack));

KernelDescriptor descriptor_of(const fm_runtime& runtime, const fm_descriptor* given) {
  const fm_descriptor c_descriptor = taken(given, default_descriptor(), "fm_descriptor");
  KernelDescriptor descriptor;
  descriptor.pass = enumerator<Pass>(c_descriptor.pass, FM_PASS_BACKWARD, "pass");
  descriptor.dtype = enumerator<DataType>(c_descriptor.dtype, FM_BFLOAT16, "dtype");
  descriptor.head_dim_qk = c_descriptor.head_dim_qk;
  descriptor.head_dim_v = c_descriptor.head_dim_v;
  descriptor.mask_form = enumerator<MaskForm>(c_descriptor.mask_form, FM_MASK_F4, "mask_form");
  descriptor.causal_alignment =
      enumerator<CausalAlignment>(c_descriptor.causal_alignment, FM_TOP_LEFT, "causal_alignment");
  descriptor.deterministic = c_descriptor.deterministic != 0;
  if (c_descriptor.target)
    descriptor.target = target_of(c_descriptor.target);
  else if (const auto& device = runtime.runtime->device())
    descriptor.target = device->properties().target;
  else
    refuse("target is null, and this runtime has no device whose target could be taken",
           fmt::format("Name one of {}.", known_targets()));
  return descriptor;
}

RequestOptions options_of(const fm_tile_config* given) {
  RequestOptions options;
  if (!given) return options;
  const fm_tile_config config = taken(given, fm_tile_config{}, "fm_tile_config");
  options.config = TileConfig{.tile_q = config.tile_q,
                              .tile_k = config.tile_k,
                              .warps = config.warps,
                              .stages = config.stages,
                              .query_in_registers = config.query_in_registers != 0,
                              .column_warps = config.column_warps == 0 ? 1 : config.column_warps,
                              .overlap = config.overlap != 0,
                              .turns = config.turns != 0,
                              .query_slots = config.query_slots == 0 ? 1 : config.query_slots};
  return options;
}

void request(fm_runtime* runtime, const fm_descriptor* descriptor, const RequestOptions& options, fm_kernel** kernel) {
  fm_kernel*& into = needed(kernel, "kernel");
  const fm_runtime& used = needed(runtime, "runtime");
  into = new fm_kernel{used.runtime->request(descriptor_of(used, descriptor), options), used.runtime->device()};
}

fm_tile_config config_of(const TileConfig& config) {
  return {.struct_size = sizeof(fm_tile_config),
          .tile_q = config.tile_q,
          .tile_k = config.tile_k,
          .warps = config.warps,
          .stages = config.stages,
          .query_in_registers = config.query_in_registers,
          .column_warps = config.column_warps,
          .overlap = config.overlap,
          .turns = config.turns,
          .query_slots = config.query_slots};
}

}  // namespace
}  // namespace flashmask::c_abi

using namespace flashmask::c_abi;

extern "C" {

fm_status fm_init_descriptor(fm_descriptor* descriptor, size_t struct_size) {
  return guarded([&] { initialise(descriptor, struct_size, default_descriptor(), "fm_descriptor"); });
}

fm_status fm_tile_config_parse(const char* text, fm_tile_config* config) {
  return guarded([&] {
    const auto parsed = flashmask::parse_tile_config(&needed(text, "text"));
    if (!parsed)
      refuse(fmt::format("tile configuration \"{}\": it is written as 128x64,w4,s2 (tiles, warps, stages), then as "
                         "needed ,qreg ,c2 ,overlap ,turns ,q2",
                         text),
             "Kernels tell theirs in fm_kernel_info.config; `flashmask explain` lists those of a descriptor.");
    give(config, config_of(*parsed), "fm_tile_config");
  });
}

fm_status fm_runtime_request(fm_runtime* runtime, const fm_descriptor* descriptor, const fm_tile_config* config,
                             fm_kernel** kernel) {
  return guarded([&] { request(runtime, descriptor, options_of(config), kernel); });
}

fm_status fm_runtime_request_on_stream(fm_runtime* runtime, const fm_descriptor* descriptor,
                                       const fm_tile_config* config, void* stream, fm_kernel** kernel) {
  return guarded([&] {
    flashmask::RequestOptions options = options_of(config);
    options.stream = stream;
    request(runtime, descriptor, options, kernel);
  });
}

fm_status fm_init_problem_hint(fm_problem_hint* hint, size_t struct_size) {
  return guarded([&] { initialise(hint, struct_size, fm_problem_hint{}, "fm_problem_hint"); });
}

fm_status fm_runtime_request_for(fm_runtime* runtime, const fm_descriptor* descriptor, const fm_problem_hint* hint,
                                 fm_kernel** kernel) {
  return guarded([&] {
    flashmask::RequestOptions options;
    if (hint) {
      const fm_problem_hint known = taken(hint, fm_problem_hint{}, "fm_problem_hint");
      options.hint = {known.seqlen_q, known.seqlen_k, known.heads, known.density};
    }
    request(runtime, descriptor, options, kernel);
  });
}

fm_status fm_runtime_compile(fm_runtime* runtime, const fm_descriptor* descriptor, const fm_tile_config* config,
                             fm_origin* origin) {
  return guarded([&] {
    const fm_runtime& used = needed(runtime, "runtime");
    const auto compiled = used.runtime->compile(descriptor_of(used, descriptor), options_of(config));
    if (origin) *origin = static_cast<fm_origin>(compiled.origin);
  });
}

void fm_kernel_release(fm_kernel* kernel) {
  delete kernel;
}

fm_status fm_kernel_get_info(const fm_kernel* kernel, fm_kernel_info* info) {
  return guarded([&] {
    const flashmask::Kernel& loaded = *needed(kernel, "kernel").kernel;
    const flashmask::KernelResources& resources = loaded.resources();
    fm_kernel_info filled{};
    copy_text(filled.digest, loaded.digest());
    copy_text(filled.config, flashmask::to_word(loaded.config()));
    filled.origin = static_cast<fm_origin>(loaded.origin());
    filled.tile_q = loaded.config().tile_q;
    filled.tile_k = loaded.config().tile_k;
    filled.warps = loaded.config().warps;
    filled.stages = loaded.config().stages;
    filled.registers = resources.registers;
    filled.spill_bytes = resources.spill_store_bytes + resources.spill_load_bytes;
    filled.shared_bytes = resources.static_shared_bytes + resources.dynamic_shared_bytes;
    give(info, filled, "fm_kernel_info");
  });
}

}  // extern "C"
