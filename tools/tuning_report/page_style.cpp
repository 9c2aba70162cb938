#include "tools/tuning_report/plot.h"
#include "tools/tuning_report/sections.h"

namespace flashmask::tuning_report {
namespace {

constexpr std::string_view kColors = R"(
:root { --paper: #f6f8fa; --card: #ffffff; --text: #1f2328; --faint: #59636e; --line: #d1d9e0; --soft: #f0f3f6;
  --blue: #0969da; --bar: #1f6feb; --green: #1a7f37; --green-soft: #dafbe1; --purple: #8250df; --purple-soft: #fbefff;
  --amber: #7d4e00; --amber-soft: #fff1c2; --amber-line: #d4a72c; --red: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --card: #151b23; --text: #e6edf3; --faint: #9198a1;
  --line: #3d444d; --soft: #212830; --blue: #58a6ff; --bar: #58a6ff; --green: #3fb950; --green-soft: #12351d;
  --purple: #c297ff; --purple-soft: #2b1f42; --amber: #f2cc60; --amber-soft: #3a2d0a; --amber-line: #9e6a03;
  --red: #ff7b72; } }
)";

constexpr std::string_view kPage = R"(
* { box-sizing: border-box }
html { scroll-padding-top: 5rem }
body { margin: 0; background: var(--paper); color: var(--text);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; overflow-wrap: anywhere }
header.top, main, footer { max-width: 1400px; margin: 0 auto; padding: 0 24px }
header.top { padding-top: 32px; padding-bottom: 8px }
h1 { font-size: 30px; line-height: 1.2; margin: 0; letter-spacing: -.01em }
h2 { font-size: 20px; margin: 0 0 14px }
h3 { font-size: 15px; margin: 26px 0 8px }
p { margin: 6px 0 }
a { color: var(--blue) }
code { font: .92em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: nowrap }
.brand { color: var(--faint); font-weight: 600; letter-spacing: .02em; margin: 0 }
.sub, .note { color: var(--faint) }
.note { font-size: 12.5px }
footer { color: var(--faint); font-size: 12.5px; padding-top: 8px; padding-bottom: 40px }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 22px 24px;
  margin: 16px 0 }
.banner { background: var(--amber-soft); color: var(--amber); border: 2px solid var(--amber-line); border-radius: 10px;
  padding: 14px 20px; margin: 14px 0 }
.banner strong { font-size: 17px }
.modelled.group { border-color: var(--amber-line); border-width: 2px }
.tag, .pill { display: inline-block; border-radius: 20px; padding: 1px 9px; font-size: 12px; font-weight: 600;
  background: var(--soft); color: var(--faint); white-space: nowrap; vertical-align: middle }
.tag.measured, .tag.gain, .pill.gain { background: var(--green-soft); color: var(--green) }
.tag.modelled { background: var(--amber-soft); color: var(--amber) }
.tag.default { background: var(--purple-soft); color: var(--purple) }
.pill { font-size: 14px; padding: 3px 12px; font-variant-numeric: tabular-nums }
.open { color: var(--amber) }
.gain { color: var(--green) } .default { color: var(--purple) } .bad { color: var(--red) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px }
.tile { background: var(--soft); border-radius: 8px; padding: 12px 16px }
.tile b { display: block; font-size: 24px; line-height: 1.25; font-variant-numeric: tabular-nums }
.tile span { color: var(--faint); font-size: 12.5px }
.tile.main { background: var(--green-soft) } .tile.main b { color: var(--green) }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 8px 22px; margin: 18px 0 0 }
.facts dt { color: var(--faint); font-size: 12px }
.facts dd { margin: 0 }
)";

constexpr std::string_view kParts = R"(
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px }
.scroll.tall { max-height: 560px; overflow-y: auto }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; overflow-wrap: normal }
th, td { text-align: left; padding: 5px 8px; vertical-align: top }
td { border-top: 1px solid var(--line) }
th { position: sticky; top: 0; z-index: 1; background: var(--soft); font-weight: 600; white-space: nowrap }
th button { all: unset; cursor: pointer }
th button:focus-visible { outline: 2px solid var(--blue); border-radius: 3px }
th[aria-sort=ascending] button::after { content: " ↑" } th[aria-sort=descending] button::after { content: " ↓" }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.none { color: var(--faint) }
td.reason { color: var(--faint); min-width: 170px; max-width: 420px; overflow-wrap: anywhere }
td.config { white-space: nowrap }
td.name { min-width: 150px }
tr.win td { background: var(--green-soft) } tr.def td { background: var(--purple-soft) }
.bars { min-width: 110px }
.bars span { display: block; padding-top: 3px }
.bars i { display: block; height: 6px; margin-bottom: 2px; border-radius: 2px; background: var(--bar) }
.bars i.coarse { opacity: .38 }
tr.win .bars i { background: var(--green) } tr.def .bars i { background: var(--purple) }
.bars i.cut { border-right: 3px double var(--card); border-radius: 2px 0 0 2px }
.key { display: inline-block; width: 10px; height: 8px; margin-right: 4px; border-radius: 2px; background: var(--bar) }
.key.coarse { opacity: .38 }
.o-wrong, .o-crashed, .o-hung, .o-spills, .o-serialised, .o-uncompilable { color: var(--red) }
.o-slow { color: var(--faint) }
.problem { padding: 0 }
.problem > summary { display: flex; align-items: center; gap: 12px; padding: 14px 24px; cursor: pointer;
  list-style: none }
.problem > summary::-webkit-details-marker { display: none }
.problem > summary::after { content: "›"; color: var(--faint); font-size: 20px; line-height: 1 }
.problem[open] > summary::after { transform: rotate(90deg) }
.problem[open] > summary { border-bottom: 1px solid var(--line) }
.problem > summary:focus-visible { outline: 2px solid var(--blue); border-radius: 10px }
.number { color: var(--faint); font-variant-numeric: tabular-nums; min-width: 1.6em }
.names { flex: 1 } .names b { display: block } .names span { color: var(--faint) }
.body { padding: 14px 24px 24px }
.verdict { font-size: 15px } .verdict .reason { color: var(--faint) }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 22px 28px;
  margin-top: 18px }
figure { margin: 0; min-width: 0 }
figcaption { font-weight: 600; margin-bottom: 6px }
.figure { overflow-x: auto }
.figure svg { display: block; width: 100%; height: auto; min-width: 520px }
.figure svg[width="1120"] { min-width: 760px }
.funnel { display: flex; flex-wrap: wrap; gap: 8px; list-style: none; padding: 0; margin: 16px 0 0 }
.funnel li { flex: 1 1 88px; background: var(--soft); border-radius: 6px; padding: 6px 12px 8px }
.funnel b { display: block; font-size: 17px; font-variant-numeric: tabular-nums }
.funnel span { color: var(--faint); font-size: 12px; white-space: nowrap }
.funnel i { display: block; height: 3px; min-width: 2px; border-radius: 2px; background: var(--bar); margin-top: 4px }
.fold { border-top: 1px solid var(--line); padding: 7px 0 }
.fold summary { cursor: pointer }
.count { background: var(--soft); border-radius: 10px; padding: 0 7px; font-size: 12px; color: var(--faint) }
.reasons { margin: 6px 0 6px 18px } .reasons dt { margin-top: 6px } .reasons dd { margin: 0 0 0 14px;
  color: var(--faint) }
.reasons code { display: inline-block; margin-right: 10px }
.tools { display: flex; flex-wrap: wrap; gap: 8px; margin: 0 0 8px }
.tools input, .tools button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: 4px 10px } .tools input { flex: 0 1 280px }
.tools button { cursor: pointer }
#tip { position: fixed; z-index: 9; max-width: 320px; background: #1f2328; color: #f0f6fc; border-radius: 6px;
  padding: 7px 10px; font-size: 12px; line-height: 1.4; white-space: pre-line; pointer-events: none;
  box-shadow: 0 2px 10px #0006; border: 1px solid #656d76 }
#tip[hidden] { display: none }
.plot [data-tip]:hover { filter: brightness(1.12); stroke: #656d76; stroke-width: 1.5 }
@media (max-width: 640px) { header.top, main, footer { padding-left: 12px; padding-right: 12px }
  .card { padding: 16px 14px } .problem { padding: 0 } .problem > summary { padding: 12px 14px }
  .body { padding: 10px 14px 18px } h1 { font-size: 24px }
  .verdict code { white-space: normal } }
@media print { body { background: #ffffff } .tools { display: none } .scroll.tall { max-height: none } }
)";

}  // namespace

std::string page_style() {
  std::string style(kColors);
  return style.append(kPage).append(kParts).append(plot_style());
}

}  // namespace flashmask::tuning_report
