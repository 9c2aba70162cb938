#include "runtime/tune/bench_protocol.h"

#include <istream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <stdexcept>

#include "runtime/store/kernel_record.h"

namespace flashmask::tune {
namespace {

using Json = nlohmann::json;

std::string one_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// What `read` makes of the text's JSON; nothing if it is none or lacks something.
template <typename Read>
auto parsed(const std::string& line, Read read) -> std::optional<decltype(read(Json()))> {
  try {
    return read(Json::parse(line));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::string to_line(const BenchJob& job) {
  KernelRecord kernel;
  kernel.descriptor = job.problem.descriptor;
  return one_line({{"kernel", to_json(kernel)},
                   {"batch", job.problem.batch},
                   {"num_heads_q", job.problem.num_heads_q},
                   {"num_heads_kv", job.problem.num_heads_kv},
                   {"seqlen_q", job.problem.seqlen_q},
                   {"seqlen_k", job.problem.seqlen_k},
                   {"mask_kind", job.problem.mask_kind},
                   {"mask_arguments", std::map<std::string, std::string>(job.problem.mask_arguments.begin(),
                                                                         job.problem.mask_arguments.end())},
                   {"emulated", job.emulated},
                   {"ordinal", job.ordinal},
                   {"cache_directory", job.cache_directory}});
}

std::optional<BenchJob> parse_bench_job(const std::string& line) {
  return parsed(line, [](const Json& json) {
    BenchJob job;
    std::string why;
    const auto kernel = parse_record(json.at("kernel").get<std::string>(), why);
    if (!kernel) throw std::invalid_argument(why);
    job.problem.descriptor = kernel->descriptor;
    job.problem.batch = json.at("batch");
    job.problem.num_heads_q = json.at("num_heads_q");
    job.problem.num_heads_kv = json.at("num_heads_kv");
    job.problem.seqlen_q = json.at("seqlen_q");
    job.problem.seqlen_k = json.at("seqlen_k");
    job.problem.mask_kind = json.at("mask_kind");
    for (const auto& [name, value] : json.at("mask_arguments").items())
      job.problem.mask_arguments[name] = value.get<std::string>();
    job.emulated = json.at("emulated");
    job.ordinal = json.at("ordinal");
    job.cache_directory = json.at("cache_directory");
    return job;
  });
}

std::string to_line(const BenchCommand& command) {
  return one_line({{"times", command.times}, {"config", to_word(command.config)}, {"samples", command.samples}});
}

std::optional<BenchCommand> parse_bench_command(const std::string& line) {
  return parsed(line, [](const Json& json) {
    const auto config = parse_tile_config(json.at("config").get<std::string>());
    if (!config) throw std::invalid_argument("config");
    return BenchCommand{json.at("times"), *config, json.at("samples")};
  });
}

std::string to_line(const BenchAnswer& answer) {
  if (const auto* time = std::get_if<BenchTime>(&answer))
    return one_line(
        {{"seconds", time->seconds}, {"sm_clock_mhz", time->sm_clock_mhz}, {"event_reasons", time->event_reasons}});
  const auto& fault = std::get<BenchFault>(answer);
  return one_line({{"outcome", to_string(fault.outcome)}, {"reason", fault.reason}, {"is_fatal", fault.is_fatal}});
}

std::optional<BenchAnswer> parse_bench_answer(const std::string& line) {
  return parsed(line, [](const Json& json) -> BenchAnswer {
    if (json.contains("seconds"))
      return BenchTime{json.at("seconds"), json.at("sm_clock_mhz"), json.at("event_reasons")};
    const auto outcome = parse_trial_outcome(json.at("outcome").get<std::string>());
    if (!outcome) throw std::invalid_argument("outcome");
    return BenchFault{*outcome, json.at("reason"), json.at("is_fatal")};
  });
}

int serve_bench(std::istream& in, std::ostream& out, MakeBench make_bench) {
  const auto answer = [&](const BenchAnswer& what) { out << to_line(what) << std::endl; };
  std::string line;
  if (!std::getline(in, line)) return 0;
  std::unique_ptr<Bench> bench;
  try {
    const auto job = parse_bench_job(line);
    if (!job) throw std::invalid_argument("the first line is no job");
    bench = make_bench(*job);
  } catch (const std::exception& error) {
    answer(BenchFault{TrialOutcome::kCrashed, error.what(), true});
    return 1;
  }
  answer(BenchTime{});  // ready
  while (std::getline(in, line)) {
    const auto command = parse_bench_command(line);
    if (!command) return 1;
    try {
      BenchTime time;
      if (command->times)
        time = bench->time(command->config, command->samples);
      else
        bench->check(command->config);
      answer(time);
    } catch (const BenchFailure& failure) {
      answer(BenchFault{failure.outcome(), failure.what(), false});
    } catch (const std::exception& error) {
      // An error of a GPU sticks to the process: whatever comes behind it would fail as well.
      answer(BenchFault{TrialOutcome::kCrashed, error.what(), true});
      return 1;
    }
  }
  return 0;
}

}  // namespace flashmask::tune
