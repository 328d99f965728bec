// A cell's details: its numbers in words, the items that changed most, and what it was made from.
(() => {
  const { element, number, interval } = report;
  const dialog = report.byId("details");
  const body = report.byId("details-body");
  const p = (value) => (report.known(value) ? (value < 0.001 ? "< 0.001" : String(Number(value.toPrecision(2)))) : "–");

  const whole = (value) => (report.known(value) ? Math.ceil(value).toLocaleString("en-US") : value);

  const list = (pairs) => {
    const made = element("dl");
    for (const [name, value] of pairs) {
      if (value === null || value === undefined || value === "" || value === "–") continue;
      const dd = element("dd");
      dd.append(value instanceof Node ? value : String(value));
      made.append(element("dt", name), dd);
    }
    return made;
  };
  const numbers = (c) => list([
    ["verdict", c.verdict ? report.chip(c.verdict) : null],
    ["meaning", c.verdict && report.data.verdicts[c.verdict] ? report.data.verdicts[c.verdict].meaning : null],
    ["reason", c.reason],
    ["bias", number(c.value) + interval(c.low, c.high)],
    ["uncompressed", number(c.baseline)],
    ["unbiased model", number(c.unbiased)],
    ["random model", number(c.random)],
    ["change", number(c.change) + interval(c.change_low, c.change_high)],
    ["signal kept", number(c.kept) + interval(c.kept_low, c.kept_high)],
    ["null: bias if only signal were lost", number(c.null) + interval(c.null_low, c.null_high)],
    ["residual: bias − null", number(c.residual) + interval(c.residual_low, c.residual_high)],
    ["adjusted p of the residual", p(c.residual_p_adjusted)],
    ["margin", number(c.margin)],
    ["residuals of undirected damage, 95%", interval(c.control_low, c.control_high).trim()],
    ["control checkpoints", c.n_controls],
    ["adjusted p against damage", p(c.control_p_adjusted)],
    ["detectable residual", number(c.mde)],
    ["items needed", whole(c.items_needed)],
    ["control seeds needed", whole(c.controls_needed)],
    ["damage", number(c.damage) + interval(c.damage_low, c.damage_high)],
    ["task score", number(c.task_score) + (report.known(c.task_score_baseline) ? `, uncompressed ${number(c.task_score_baseline)}` : "")],
    ["items, splits", `${c.n_items ?? "–"}, ${c.n_splits ?? "–"}`],
    ["validity of the metric here", c.validity],
  ]);
  const items = (c) => {
    const found = report.data.items[c.index];
    if (!found) return [element("p", "This page has no items for this cell.", { class: "note" })];
    const table = element("table");
    const head = element("tr");
    head.append(...found.columns.map((name) => element("th", name, { scope: "col" })));
    table.append(element("thead"), element("tbody"));
    table.tHead.append(head);
    for (const row of found.rows) {
      const line = element("tr");
      line.append(...row.map((value, i) => element(i ? "td" : "th", typeof value === "number" ? number(value) : value ?? "–", i ? {} : { scope: "row" })));
      table.tBodies[0].append(line);
    }
    const box = element("div", null, { class: "scroll", tabindex: "0", role: "region", "aria-label": "Items that changed most" });
    box.append(table);
    return [element("p", `The ${found.rows.length} items with the largest change of their score.`, { class: "note" }), box];
  };
  const origin = (c) => {
    const same = (each) => ["model", "task", "method"].every((name) => each[name] === c[name]) && (each.setting || "") === (c.setting || "");
    const made = [];
    for (const each of report.data.checkpoints.filter(same)) {
      const measured = report.data.measurements[each.key] || {};
      const code = (text) => (text === undefined || text === null ? null : element("code", typeof text === "object" ? JSON.stringify(text) : text));
      made.push(list([
        ["split", each.split], ["checkpoint", code(each.path)], ["key", code(each.key)], ["commit", code(each.commit)],
        ["code", code(each.code)], ["items of this cell", code((each.scores || {})[c.metric])],
        ...Object.entries(measured).filter(([name]) => !name.startsWith("score_")).map(([name, value]) => [`measured: ${name.replaceAll("_", " ")}`, number(value)]),
      ]));
    }
    return made.length ? made : [element("p", "Not recorded on this page; tables/results.parquet has the keys.", { class: "note" })];
  };

  report.open = (index) => {
    const c = report.cell(Number(index));
    body.replaceChildren(
      element("h2", `${c.compression}: ${c.shown_metric}`, { id: "details-title" }),
      element("p", `${c.model}, ${c.task}`, { class: "note" }),
      numbers(c), element("h3", "Items"), ...items(c), element("h3", "Made from"), ...origin(c),
    );
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };
  document.addEventListener("click", (event) => {
    const source = event.target.closest("[data-cell]");
    if (!source) {
      if (event.target === dialog) dialog.close();
      return;
    }
    event.preventDefault();
    report.open(source.dataset.cell);
  });
})();
