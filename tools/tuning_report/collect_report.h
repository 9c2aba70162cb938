#pragma once

#include "flashmask/tuning_database.h"
#include "tools/tuning_report/report.h"

namespace flashmask::tuning_report {

/// Every key of the database with its trials, rounds and answer, and what this library's resource model says of the
/// space. The date is left empty. Throws what the database throws.
ReportData collect_report(const TuningDatabase& database);

}  // namespace flashmask::tuning_report
