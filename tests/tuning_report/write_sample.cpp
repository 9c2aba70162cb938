// Writes made-up reports into a folder: measured.html, modelled.html, empty.html, and the measured one's plots. For
// the checks of pages and pictures as other programs see them.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "tests/tuning_report/sample_report.h"
#include "tools/tuning_report/report.h"

int main(int argc, char** argv) {
  using namespace flashmask;
  if (argc != 2) {
    std::cerr << "usage: write_sample FOLDER\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder / name, std::ios::binary) << text;
  };
  const tuning_report::ReportData measured = test::sample_report();
  write("measured.html", tuning_report::report_html(measured));
  write("modelled.html", tuning_report::report_html(test::modelled_sample_report()));
  write("empty.html", tuning_report::report_html({"/tmp/tuning.db", "0.1.0", "", {}}));
  for (const tuning_report::ReportFile& file : tuning_report::report_svgs(measured)) write(file.name, file.text);
  return 0;
}
