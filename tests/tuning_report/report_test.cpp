// The page and the pictures of a report, as text.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

#include "tests/tools/xml_check.h"
#include "tests/tuning_report/sample_report.h"
#include "tools/tuning_report/markup.h"
#include "tools/tuning_report/plots.h"
#include "tools/tuning_report/report.h"

namespace flashmask::tuning_report {
namespace {

using test::is_well_formed;
using test::sample_key;
using test::trial_of;

constexpr TileConfig kDefault{128, 128, 8, 2, false, 1, true, true, 2};
constexpr TileConfig kFaster{192, 80, 12, 2, false, 1, true, true, 2};

/// The page behind its first line, which is no element.
std::string elements_of(const std::string& html) {
  return html.substr(html.find('\n') + 1);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t times = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

// A page is too long for a matcher, which prints all of it.
void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << "missing: " << part;
}

void expect_none(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    const std::size_t at = text.find(part);
    EXPECT_EQ(at, std::string::npos) << "there: " << text.substr(at < 80 ? 0 : at - 80, 200);
  }
}

ReportData small_report() {
  ReportProblem problem;
  problem.key = sample_key();
  problem.record = test::record_of(problem.key, kFaster, kDefault, 0.9e-3, 1e-3);
  problem.trials = {trial_of(kDefault, TrialOutcome::kTimed, 1e-3), trial_of(kFaster, TrialOutcome::kTimed, 0.9e-3)};
  problem.rounds = {{"one", 1700, {{kDefault, 1e-3}, {kFaster, 0.9e-3}}}};
  problem.visible_scores = 1e9;
  return {"tuning.db", "0.1.0", "2026-11-27T12:00:00Z", {problem}};
}

TEST(ReportHtml, ShowsEveryConfigurationWithItsReasonAndEveryPrunedOne) {
  const ReportData data = test::sample_report();
  const std::string html = report_html(data);
  for (const ReportProblem& problem : data.problems) {
    expect_parts(html, {escaped(to_string(problem.key.descriptor))});
    expect_parts(html, {escaped(to_string(problem.key.bucket))});
    for (const TuningTrial& trial : problem.trials) {
      expect_parts(html, {"<code>" + to_string(trial.config) + "</code>"});
      expect_parts(html, {escaped(trial.reason)});
    }
    for (const PrunedMember& member : problem.pruned) {
      expect_parts(html, {"<code>" + to_string(member.config) + "</code>"});
      expect_parts(html, {escaped(member.reason)});
    }
    if (problem.record) {
      expect_parts(html, {escaped(problem.record->reason)});
    }
  }
}

TEST(ReportHtml, TellsWhereTheFiguresComeFrom) {
  const std::string html = report_html(small_report());
  expect_parts(html, {"NVIDIA H100 80GB HBM3", "<dd>13.0</dd>", "nvrtc 13.0.88", "1700 to 1725 MHz", "events, cold L2",
                      "<dd>full</dd>", "2026-11-27T12:00:00Z", "<code>tuning.db</code>", "1.111×"});
  expect_none(html, {"class=\"banner\""});
}

TEST(ReportHtml, WhatIsModelledSaysSoLoudly) {
  expect_parts(report_html(test::modelled_sample_report()), {"role=\"alert\"", "Modelled, not measured."});
  ReportData mixed = small_report();
  mixed.problems.push_back(mixed.problems[0]);
  mixed.problems[1].key.basis = TuningBasis::kModelled;
  const std::string html = report_html(mixed);
  expect_parts(html, {"1 of 2 problems are modelled, not measured."});
  EXPECT_EQ(count(html, "geometric mean over the default"), 2u) << "modelled and measured are never summed up together";
}

TEST(ReportHtml, IsWellFormedWithoutAnythingFromElsewhere) {
  for (const ReportData& data : {test::sample_report(), test::modelled_sample_report(), small_report(), ReportData{}}) {
    const std::string html = report_html(data);
    EXPECT_TRUE(html.starts_with("<!DOCTYPE html>\n"));
    EXPECT_TRUE(is_well_formed(elements_of(html)));
    expect_parts(html, {"default-src 'none'"});
    expect_none(html, {"<script src", "http:", "https:", "@import", "url("});
    EXPECT_EQ(count(html, "<script"), 1u);
  }
}

TEST(ReportHtml, IsTheSameEveryTime) {
  EXPECT_EQ(report_html(test::sample_report()), report_html(test::sample_report()));
}

TEST(ReportHtml, OfAnEmptyDatabaseTellsHowItIsFilled) {
  expect_parts(report_html({}), {"flashmask tune"});
  EXPECT_TRUE(report_svgs({}).empty());
}

TEST(ReportHtml, AnUndecidedProblemIsMarkedOpen) {
  ReportData data = small_report();
  data.problems[0].record.reset();
  data.problems[0].default_config = kDefault;
  data.problems[0].rounds.clear();
  const std::string html = report_html(data);
  expect_parts(html, {"not decided yet", "Not decided yet"});
  expect_parts(html, {"1.111×"});
  data.problems[0].trials.clear();
  EXPECT_TRUE(is_well_formed(elements_of(report_html(data))));
}

TEST(ReportHtml, HostileTextsStayText) {
  const std::string hostile = "</title></style><script>alert(1)</script><img src=x onerror='a'>\"&\x01\xff\xed\xa0\x80";
  ReportData data = small_report();
  ReportProblem& problem = data.problems[0];
  data.source = data.library = data.date = hostile;
  problem.key.gpu.name = problem.key.method = problem.key.templates = hostile;
  problem.record->key = problem.key;
  problem.record->reason = hostile;
  TuningProvenance& at = problem.record->provenance;
  at.driver = at.toolchain = at.library = at.problem = at.effort = at.date = hostile;
  problem.trials[1].reason = hostile;
  problem.trials.push_back(trial_of({64, 64, 4, 2}, TrialOutcome::kCrashed, 0, hostile));
  problem.pruned.push_back({{64, 16, 4, 2}, hostile});
  const std::string html = report_html(data);
  EXPECT_TRUE(is_well_formed(elements_of(html)));
  EXPECT_EQ(count(html, "<script"), 1u);
  EXPECT_EQ(count(html, "</style>"), 1u);
  expect_none(html, {"<img", "'a'>", "\x01", "\xff"});
  for (const ReportFile& file : report_svgs(data)) {
    EXPECT_TRUE(is_well_formed(file.text)) << file.name;
    expect_none(file.text, {"<script"});
    EXPECT_EQ(file.name, slug(file.name));
  }
}

TEST(ReportHtml, NumbersThatAreNoneAreNotDrawn) {
  for (const double number :
       {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e308, 1e-308}) {
    ReportData data = small_report();
    ReportProblem& problem = data.problems[0];
    problem.record->seconds = problem.record->band = number;
    problem.trials[1].coarse_seconds = problem.trials[1].compile_seconds = number;
    problem.rounds[0].seconds[1].second = number;
    problem.visible_scores = number;
    const std::string html = report_html(data);
    EXPECT_TRUE(is_well_formed(elements_of(html)));
    expect_none(html, {"=\"nan", "=\"inf", "=\"-nan"});
  }
}

TEST(ReportHtml, HundredsOfTrialsAndProblemsArePossible) {
  ReportData data = small_report();
  ReportProblem& problem = data.problems[0];
  for (int i = 0; i < 600; ++i) {
    const TileConfig config{16 * (1 + i % 40), 16 * (1 + i / 40), 4, 2};
    problem.trials.push_back(trial_of(config, TrialOutcome::kTimed, 1e-3 + 1e-6 * i));
    problem.rounds[0].seconds.emplace_back(config, 1e-3 + 1e-6 * i);
  }
  for (int i = 0; i < 200; ++i) data.problems.push_back(small_report().problems[0]);
  const std::string html = report_html(data);
  EXPECT_TRUE(is_well_formed(elements_of(html)));
  EXPECT_LT(html.size(), 8u << 20);
}

TEST(ReportSvgs, AreWellFormedNamedApartAndMarkedWhereModelled) {
  std::set<std::string> names;
  const std::vector<ReportFile> files = report_svgs(test::modelled_sample_report());
  for (const ReportFile& file : files) {
    EXPECT_TRUE(is_well_formed(file.text)) << file.name;
    EXPECT_TRUE(names.insert(file.name).second) << file.name;
    expect_parts(file.text, {"xmlns=\"http://www.w3.org/2000/svg\"", "prefers-color-scheme", "modelled, not measured"});
  }
  EXPECT_GT(files.size(), 20u);
}

TEST(HeatMap, ACellShowsTheBestOfItsVariants) {
  ReportProblem problem = small_report().problems[0];
  TileConfig variant = kFaster;
  variant.stages = 3;
  problem.trials.push_back(trial_of(variant, TrialOutcome::kSlow, 2e-3, "2.22 times as long"));
  const auto plot = heat_map(problem, rank_trials(problem));
  ASSERT_TRUE(plot);
  expect_parts(plot->body, {"192 x 80\nbest w12 s2 overlap turns q2: 1.111×\nholds the winner\n2 timed", ">1.11<",
                            ">s2otq2<", "128 x 128\nbest"});
}

TEST(Roofline, IsDrawnOnlyWhereTheScoresAreKnown) {
  ReportProblem problem = small_report().problems[0];
  const auto plot = roofline_plot(problem, rank_trials(problem));
  ASSERT_TRUE(plot);
  // 1e9 scores of 512 FLOP in 0.9 ms; 132 SMs of 4096 FLOP in a clock at 1725 MHz.
  expect_parts(plot->body, {"568.9 TFLOP/s, 61.0 % of the ceiling", "matrix units: 933 TFLOP/s"});
  problem.record->provenance.sm_clock_mhz = 0;
  expect_none(roofline_plot(problem, rank_trials(problem))->body, {"matrix units"});
  problem.visible_scores.reset();
  EXPECT_FALSE(roofline_plot(problem, rank_trials(problem)));
}

}  // namespace
}  // namespace flashmask::tuning_report
