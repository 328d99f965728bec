// The charts: bias against damage at the top, and the explorer.
(() => {
  const { byId, all, known, number, interval } = report;
  const AXES = { damage: "damage: distance of outputs from the uncompressed model’s", sparsity: "sparsity: share of weights removed", bytes: "size: megabytes stored", task_score: "performance: task score" };
  const Y = {
    value: { low: "low", high: "high", name: (c) => `${c.shown_metric} (${words(c.statistic)})` },
    residual: { low: "residual_low", high: "residual_high", name: (c) => `${c.shown_metric}: residual, not explained by lost signal` },
    change: { low: "change_low", high: "change_high", name: (c) => `${c.shown_metric}: change against uncompressed` },
  };
  const words = (text) => String(text ?? "").replaceAll("_", " ");
  const place = (c) => JSON.stringify([c.model, c.task]);
  const escape = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 36rem)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // The methods' colors are made for white paper; on dark paper they are mixed with white.
  const shade = (color) => {
    if (!dark.matches) return color;
    const parts = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
    return `rgb(${parts.map((each) => Math.round(each + 0.38 * (255 - each))).join(",")})`;
  };
  const faded = (color, alpha) => {
    const parts = color.startsWith("#") ? [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16)) : color.match(/\d+/g).slice(0, 3);
    return `rgba(${parts.join(",")},${alpha})`;
  };
  const x = (c, axis) => (axis === "bytes" ? (known(c.bytes) ? c.bytes / 1e6 : null) : axis === "sparsity" && c.method === "none" ? 0 : c[axis]);

  const hover = (c) => [
    `<b>${escape(c.compression)}</b>`,
    `${escape(c.shown_metric)}, ${escape(c.model)}, ${escape(c.task)}`,
    `bias ${number(c.value)}${interval(c.low, c.high)}`,
    known(c.baseline) && c.method !== "none" ? `uncompressed ${number(c.baseline)}` : "",
    known(c.null) ? `if only signal were lost ${number(c.null)}${interval(c.null_low, c.null_high)}` : "",
    known(c.damage) ? `damage ${number(c.damage)}` : "",
    known(c.task_score) ? `task score ${number(c.task_score)}` : "",
    c.verdict ? `<b>${escape(c.verdict)}</b>` : "",
  ].filter(Boolean).join("<br>");

  const points = (cells, axis, y, look, more) => ({
    type: "scatter", mode: "markers", hoverinfo: "text", text: cells.map(hover), customdata: cells.map((c) => c.index),
    x: cells.map((c) => x(c, axis)), y: cells.map((c) => c[y]),
    marker: { color: look.color, symbol: look.symbol, size: 9, line: { color: css("--paper"), width: 1 } },
    error_y: {
      type: "data", symmetric: false, color: look.color, thickness: 1.2, width: 3,
      array: cells.map((c) => (known(c[Y[y].high]) ? Math.max(0, c[Y[y].high] - c[y]) : 0)),
      arrayminus: cells.map((c) => (known(c[Y[y].low]) ? Math.max(0, c[y] - c[Y[y].low]) : 0)),
    },
    ...more,
  });

  const band = (xs, lows, highs, color, name) => [
    { type: "scatter", mode: "lines", x: xs, y: lows, line: { width: 0 }, hoverinfo: "skip", showlegend: false },
    { type: "scatter", mode: "lines", x: xs, y: highs, line: { width: 0 }, fill: "tonexty", fillcolor: color, hoverinfo: "skip", name, showlegend: Boolean(name) },
  ];

  // The null of cells with about the same x: means of the bounds of their intervals, in at most 12 steps.
  const nullBand = (cells, axis, log) => {
    const at = cells.filter((c) => known(c.null_low) && known(c.null_high) && known(x(c, axis)) && (!log || x(c, axis) > 0));
    if (at.length < 2) return [];
    const value = (c) => (log ? Math.log10(x(c, axis)) : x(c, axis));
    const [from, to] = [Math.min(...at.map(value)), Math.max(...at.map(value))];
    const step = (to - from) / 12 || 1;
    const groups = new Map();
    for (const c of at) {
      const i = Math.min(11, Math.floor((value(c) - from) / step));
      groups.set(i, [...(groups.get(i) || []), c]);
    }
    const mean = (of, f) => of.reduce((sum, c) => sum + f(c), 0) / of.length;
    const steps = [...groups.keys()].sort((a, b) => a - b).map((i) => groups.get(i));
    const xs = steps.map((of) => (log ? 10 ** mean(of, value) : mean(of, value)));
    return band(xs, steps.map((of) => mean(of, (c) => c.null_low)), steps.map((of) => mean(of, (c) => c.null_high)), faded(css("--band"), 0.35), "if only signal were lost");
  };

  const traces = (cells, axis, y, withControls, lines) => {
    const log = axis === "damage";
    const usable = cells.filter((c) => known(c[y]) && known(x(c, axis)) && (!log || x(c, axis) > 0));
    const made = y === "value" ? nullBand(usable, axis, log) : [];
    const controls = usable.filter((c) => c.control);
    if (withControls && controls.length) {
      made.push({ ...points(controls, axis, y, { color: faded(dark.matches ? "#a3adb8" : "#6b7580", 0.6), symbol: "circle-open" }, { name: "undirected damage" }), error_y: { visible: false } });
    }
    for (const [line, look] of Object.entries(report.data.looks)) {
      const mine = usable.filter((c) => c.line === line && !c.control && c.method !== "none").sort((a, b) => x(a, axis) - x(b, axis));
      if (!mine.length || (lines && !lines.has(line))) continue;
      const color = shade(look.color);
      const start = usable.find((c) => c.method === "none");
      const joined = start && !log ? [...mine, start].sort((a, b) => x(a, axis) - x(b, axis)) : mine;
      const curve = joined.length > 1 && mine.every((c) => known(c.sparsity));
      if (curve) {
        made.push(...band(joined.map((c) => x(c, axis)), joined.map((c) => c[Y[y].low] ?? c[y]), joined.map((c) => c[Y[y].high] ?? c[y]), faded(color, 0.12), "").map((each) => ({ ...each, legendgroup: line })));
        made.push({ type: "scatter", mode: "lines", x: joined.map((c) => x(c, axis)), y: joined.map((c) => c[y]), line: { color, width: 1.6 }, hoverinfo: "skip", showlegend: false, legendgroup: line });
      }
      made.push(points(mine, axis, y, { color, symbol: look.symbol }, { name: escape(look.name), legendgroup: line }));
    }
    const baseline = usable.filter((c) => c.method === "none");
    if (baseline.length && !log) made.push(points(baseline, axis, y, { color: css("--ink"), symbol: "circle" }, { name: "uncompressed" }));
    return made;
  };

  const levels = (cells, y) => {
    const one = cells.find((c) => c.method === "none") || cells[0];
    if (!one) return [];
    if (y !== "value") return known(one.margin) ? [[one.margin, "margin"], [-one.margin, "margin"], [0, "no change"]] : [[0, "no change"]];
    const base = known(one.baseline) ? one.baseline : one.value;
    return [[base, "uncompressed"], [one.unbiased, "unbiased"], [one.random, "random model"]].filter(([value]) => known(value));
  };

  const layout = (cells, axis, y) => {
    const [ink, quiet, line] = [css("--ink"), css("--quiet"), css("--line")];
    const named = new Map();
    for (const [value, name] of levels(cells, y)) named.set(value, named.has(value) ? `${named.get(value)}, ${name}` : name);
    const lines = [...named].map(([value, name]) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line: { color: quiet, width: 1, dash: name.includes("uncompressed") ? "solid" : "dot" } }));
    const heights = [...named.keys(), ...cells.map((c) => c[y]).filter(known)];
    const near = 0.06 * (Math.max(...heights) - Math.min(...heights));
    const crowded = (value) => [...named.keys()].some((other) => other > value && other - value < near);
    const labels = [...named].map(([value, name]) => ({ xref: "paper", x: 1, xanchor: "right", y: value, yanchor: crowded(value) ? "top" : "bottom", text: name, showarrow: false, font: { size: 11, color: quiet } }));
    const grid = { gridcolor: line, zeroline: false, linecolor: quiet, tickcolor: quiet, automargin: true };
    const title = (text) => ({ text: escape(text), font: { size: 12, color: quiet } });
    const levelsOf = [...new Set(cells.map((c) => x(c, "sparsity")).filter(known))].sort((a, b) => a - b);
    const special = axis === "damage" ? { type: "log", dtick: 1, exponentformat: "none" } : axis === "sparsity" ? { tickformat: ".0%", tickvals: levelsOf.length < 9 ? levelsOf : undefined } : {};
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 12, color: ink },
      margin: { l: 10, r: 12, t: 12, b: 10 }, hovermode: "closest", modebar: { bgcolor: "rgba(0,0,0,0)", color: quiet, activecolor: ink }, dragmode: narrow.matches ? false : "zoom",
      hoverlabel: { bgcolor: css("--panel"), bordercolor: quiet, font: { color: ink, size: 12.5 }, align: "left" },
      xaxis: { ...grid, ...special, title: title(narrow.matches ? AXES[axis].split(":")[0] : AXES[axis]) },
      yaxis: { ...grid, title: title(cells.length ? Y[y].name(cells[0]) : "") },
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, font: { size: 11.5 }, bgcolor: "rgba(0,0,0,0)" },
      shapes: lines, annotations: labels,
    };
  };
  const draw = (id, cells, axis, y, withControls, lines) => {
    const target = byId(id);
    const made = traces(cells, axis, y, withControls, lines);
    const config = { displaylogo: false, responsive: true, displayModeBar: id === "explore-plot" && !narrow.matches, modeBarButtons: [["toImage", "resetScale2d"]] };
    Plotly.react(target, made, layout(cells, axis, y), config).then(() => {
      if (target.dataset.clicks) return;
      target.dataset.clicks = "yes";
      target.on("plotly_click", (event) => {
        const [found] = event.points.filter((point) => point.customdata !== undefined);
        if (found) report.open(found.customdata);
      });
    });
    return made;
  };

  // The first chart: the metric with the most verdicts that say something.
  const telling = { "less biased": 9, "more biased": 9, "changed, as undirected damage does": 3, unchanged: 2, "only more random": 2, "changed, damage not controlled": 1, "no change beyond lost signal": 1 };
  const panels = new Map();
  for (const c of all.filter(report.isBias)) {
    const name = JSON.stringify([c.model, c.task, c.metric]);
    if (!panels.has(name)) panels.set(name, []);
    panels.get(name).push(c);
  }
  const score = (cells) => cells.reduce((sum, c) => sum + (c.control ? 0 : telling[c.verdict] || 0), 0);
  const best = [...panels].sort((a, b) => score(b[1]) - score(a[1]));
  report.options(byId("main-panel"), best.map(([name, [c]]) => [name, `${c.shown_metric} of ${c.model}, ${c.task}`]));
  const drawMain = () => {
    const cells = panels.get(byId("main-panel").value) || [];
    const axis = cells.some((c) => known(c.damage) && c.damage > 0) ? "damage" : "task_score";
    draw("main-plot", cells, axis, "value", true, null);
  };

  const chosen = () => all.filter((c) => place(c) === byId("x-place").value && c.metric === byId("x-metric").value);
  const checked = () => new Set([...byId("x-methods").querySelectorAll("input")].filter((each) => each.checked).map((each) => each.value));
  const fillMetrics = () => {
    const there = all.filter((c) => place(c) === byId("x-place").value && c.kind !== "damage");
    there.sort((a, b) => report.isBias(b) - report.isBias(a));
    report.options(byId("x-metric"), [...new Map(there.map((c) => [c.metric, c.shown_metric]))]);
  };
  const fillMethods = () => {
    const boxes = Object.entries(report.data.looks).filter(([line]) => all.some((c) => c.line === line && !c.control)).map(([line, look]) => {
      const label = report.element("label");
      const box = report.element("input", null, { type: "checkbox", value: line });
      box.checked = true;
      const swatch = report.element("span", null, { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = shade(look.color);
      label.append(box, swatch, look.name);
      return label;
    });
    byId("x-methods").replaceChildren(...boxes);
  };
  const drawExplorer = () => {
    const [axis, y] = [byId("x-x").value, byId("x-y").value];
    const cells = chosen();
    const made = draw("explore-plot", cells, axis, y, byId("x-controls").checked, checked());
    const shown = made.flatMap((trace) => trace.customdata || []).map((i) => report.cell(i));
    shown.sort((a, b) => a.control - b.control);
    report.options(byId("x-point"), shown.map((c) => [c.index, `${c.compression}${c.verdict ? ": " + c.verdict : ""}`]));
    byId("x-open").disabled = !shown.length;
    const bands = cells.some((c) => c.n_splits > 1) ? "Bars and bands are intervals of the mean over splits." : "Bars and bands are intervals over items.";
    byId("explore-caption").textContent = `${shown.length} points. ${bands}` + (shown.length ? "" : " Nothing has a value on both axes; choose another.");
  };
  byId("main-panel").addEventListener("change", drawMain);
  byId("explorer").addEventListener("submit", (event) => event.preventDefault());
  byId("explorer").addEventListener("input", (event) => {
    if (event.target.id === "x-place") fillMetrics();
    drawExplorer();
  });
  byId("x-open").addEventListener("click", () => report.open(byId("x-point").value));
  report.options(byId("x-place"), [...new Map(all.filter(report.isBias).map((c) => [place(c), `${c.model}, ${c.task}`]))]);
  fillMetrics();
  fillMethods();
  const drawAll = () => {
    fillMethodsColors();
    drawMain();
    drawExplorer();
  };
  const fillMethodsColors = () => {
    for (const label of byId("x-methods").children) {
      label.querySelector(".swatch").style.background = shade(report.data.looks[label.querySelector("input").value].color);
    }
  };
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  drawAll();
})();
