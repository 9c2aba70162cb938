#include "tools/command/tune_files.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/runtime.h"
#include "flashmask/tuning_database.h"
#include "tools/command/commands.h"
#include "tools/command/interrupt.h"
#include "tools/command/kernel_json.h"
#include "tools/command/output_path.h"
#include "tools/tuning_report/collect_report.h"
#include "tools/tuning_report/diff.h"
#include "tools/tuning_report/diff_report.h"
#include "tools/tuning_report/report.h"

namespace flashmask::command {
namespace {

using Json = nlohmann::ordered_json;

bool is_export(const std::string& path) {
  return path.ends_with(".json");
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw Error(ErrorCode::kInvalidArgument, fmt::format("{} cannot be read", path.string()));
  return text;
}

void warn(const std::vector<std::string>& passed_over) {
  for (const std::string& record : passed_over) fmt::print(stderr, "flashmask: warning: {}\n", record);
}

std::string counted(std::size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

std::string database_path(const std::string& given) {
  const std::string path = given.empty() ? Policy::from_environment().tuning_path : given;
  if (path.empty())
    throw Error(ErrorCode::kInvalidArgument,
                "there is no tuning database: FLASHMASK_TUNING is off, or there is no home",
                "name one: --db /absolute/file.db");
  if (is_export(path))
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is an export, and a database is needed", path),
                "name one with --db; flashmask tune import takes an export's answers into it");
  return std::filesystem::absolute(path).string();
}

ExitCode tune_report(const TuneReportArguments& arguments) {
  require_writable(arguments.output);
  const TuningDatabase database = TuningDatabase::open_read_only(database_path(arguments.database));
  tuning_report::ReportData data = tuning_report::collect_report(database);
  data.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
  save_text(arguments.output, tuning_report::report_html(data));
  if (arguments.svg_folder.empty()) return kExitOk;
  std::error_code failed;
  std::filesystem::create_directories(arguments.svg_folder, failed);
  for (const tuning_report::ReportFile& file : tuning_report::report_svgs(data)) {
    const std::filesystem::path path = arguments.svg_folder / file.name;
    require_writable(path);
    save_text(path, file.text);
  }
  return kExitOk;
}

ExitCode tune_diff(const TuneDiffArguments& arguments) {
  const tuning_report::TuningDiff diff = tuning_report::diff_records(arguments.a, read_tuning_answers(arguments.a),
                                                                     arguments.b, read_tuning_answers(arguments.b));
  if (arguments.json) {
    Json json = {{"schema", kSchema}, {"command", "tune diff"}, {"version", version()}};
    json.update(tuning_report::diff_json(diff));
    print_result(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print_result(tuning_report::diff_text(diff));
  }
  return diff.count(tuning_report::Agreement::kBeyondBand) == 0 ? kExitOk : kExitFailed;
}

ExitCode tune_export(const TuneExportArguments& arguments) {
  require_writable(arguments.output);
  const TuningDatabase database = TuningDatabase::open_read_only(database_path(arguments.database));
  std::vector<TuningRecord> records = database.records();
  std::erase_if(records, [&](const TuningRecord& record) {
    return record.key.gpu.name.find(arguments.gpu) == std::string::npos;
  });
  if (records.empty())
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} has no answer{}", database.path(),
                            arguments.gpu.empty() ? "" : fmt::format(" of a GPU called \"{}\"", arguments.gpu)),
                "flashmask tune finds them");
  save_text(arguments.output, tuning_json(records));
  if (arguments.json)
    print_result(Json{{"schema", kSchema}, {"command", "tune export"}, {"records", records.size()}}.dump(2) + "\n");
  else
    print_result(fmt::format("{}: {}\n", arguments.output.string(), counted(records.size(), "answer")));
  return kExitOk;
}

ExitCode tune_import(const TuneImportArguments& arguments) {
  const std::string text = read_text(arguments.input);
  const UninterruptedSection keeping;
  TuningDatabase database = TuningDatabase::open(database_path(arguments.database));
  const TuningImport imported = import_tuning_json(database, text, arguments.input.string());
  warn(imported.passed_over);
  if (arguments.json)
    print_result(Json{{"schema", kSchema},
                      {"command", "tune import"},
                      {"records", imported.records},
                      {"passed_over", imported.passed_over}}
                     .dump(2, ' ', false, Json::error_handler_t::replace) +
                 "\n");
  else
    print_result(fmt::format("{}: {} taken, {} passed over\n", database.path(),
                             counted(static_cast<std::size_t>(imported.records), "answer"),
                             imported.passed_over.size()));
  return imported.passed_over.empty() ? kExitOk : kExitPartly;
}

}  // namespace flashmask::command
