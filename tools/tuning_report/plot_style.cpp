#include "tools/tuning_report/plot.h"

namespace flashmask::tuning_report {

// No custom properties: viewers of SVG other than browsers do not know them. Green is faster than the default, orange
// slower, grey within the noise band; a configuration that won is dark green, the default purple.
std::string_view plot_style() {
  return R"(
.plot text { font: 11px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.plot .faint { fill: #59636e }
.plot .head { font-size: 13px; font-weight: 600 }
.plot .strong { font-weight: 600 }
.plot .mono { font: 10.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
.plot .small { font-size: 9.5px }
.plot .paper { fill: #ffffff }
.plot .grid { stroke: #e4e8ec; stroke-width: 1 }
.plot .axis { stroke: #8c959f; stroke-width: 1 }
.plot .guide { stroke: #c4ccd4; stroke-width: 1; stroke-dasharray: 2 4 }
.plot .one { stroke: #8250df; stroke-width: 1.5 }
.plot .roof { stroke: #cf222e; stroke-width: 2 }
.plot .limit { stroke: #cf222e; stroke-width: 1; stroke-dasharray: 5 3 }
.plot .band { fill: #8250df; fill-opacity: .1 }
.plot .stem { stroke: #8c959f; stroke-width: 2 }
.plot .median { stroke: #1f2328; stroke-width: 2 }
.plot .box { fill: #1f6feb; fill-opacity: .14; stroke: #1f6feb; stroke-opacity: .55 }
.plot .box.win { fill: #1a7f37; stroke: #1a7f37 }
.plot .box.def { fill: #8250df; stroke: #8250df }
.plot .dot { fill: #1f6feb; fill-opacity: .55 }
.plot .dot.slow { fill: #8c959f; fill-opacity: .5 }
.plot .dot.win { fill: #1a7f37; fill-opacity: .9 }
.plot .dot.def { fill: #8250df; fill-opacity: .9 }
.plot .dot.bad { fill: #cf222e; fill-opacity: .7 }
.plot .bar { fill: #1f6feb; fill-opacity: .75 }
.plot .bar.slow { fill: #8c959f; fill-opacity: .6 }
.plot .bar.win { fill: #1a7f37; fill-opacity: 1 }
.plot .bar.def { fill: #8250df; fill-opacity: 1 }
.plot .bar.bad { fill: #cf222e; fill-opacity: .75 }
.plot .ring { fill: none; stroke: #1f2328; stroke-width: 2 }
.plot .ring.def { stroke: #8250df; stroke-dasharray: 4 2 }
.plot .fast3 { fill: #2da44e } .plot .fast2 { fill: #6fce87 } .plot .fast1 { fill: #b4ecc0 }
.plot .even { fill: #dfe3e8 }
.plot .slow1 { fill: #fde3bf } .plot .slow2 { fill: #f9c07a } .plot .slow3 { fill: #ee9a45 }
.plot .failed { fill: #fbd5d5 } .plot .pruned { fill: #f2f4f6 } .plot .untried { fill: none; stroke: #c4ccd4 }
.plot .failed-text { fill: #b3202c }
.plot .cell-text { fill: #1f2328 }
@media (prefers-color-scheme: dark) {
  .plot text { fill: #e6edf3 }
  .plot .faint { fill: #9198a1 }
  .plot .paper { fill: #151b23 }
  .plot .grid { stroke: #2a313a }
  .plot .axis { stroke: #656d76 }
  .plot .guide { stroke: #3d444d }
  .plot .one { stroke: #b083f0 }
  .plot .roof, .plot .limit { stroke: #ff7b72 }
  .plot .band { fill: #b083f0; fill-opacity: .15 }
  .plot .stem { stroke: #656d76 }
  .plot .median { stroke: #f0f6fc }
  .plot .box { fill: #58a6ff; stroke: #58a6ff }
  .plot .box.win { fill: #3fb950; stroke: #3fb950 }
  .plot .box.def { fill: #b083f0; stroke: #b083f0 }
  .plot .dot { fill: #58a6ff }
  .plot .dot.slow { fill: #9198a1 }
  .plot .dot.win { fill: #3fb950 }
  .plot .dot.def { fill: #b083f0 }
  .plot .dot.bad { fill: #ff7b72 }
  .plot .bar { fill: #58a6ff }
  .plot .bar.slow { fill: #6e7681 }
  .plot .bar.win { fill: #3fb950 }
  .plot .bar.def { fill: #b083f0 }
  .plot .bar.bad { fill: #ff7b72 }
  .plot .ring { stroke: #f0f6fc }
  .plot .ring.def { stroke: #d2a8ff }
  .plot .fast3 { fill: #238636 } .plot .fast2 { fill: #1b6330 } .plot .fast1 { fill: #17452a }
  .plot .even { fill: #343b44 }
  .plot .slow1 { fill: #46331c } .plot .slow2 { fill: #66441a } .plot .slow3 { fill: #8a5416 }
  .plot .failed { fill: #4d2024 } .plot .pruned { fill: #1d242d } .plot .untried { stroke: #3d444d }
  .plot .failed-text { fill: #ff9d96 }
  .plot .cell-text { fill: #e6edf3 }
}
)";
}

}  // namespace flashmask::tuning_report
