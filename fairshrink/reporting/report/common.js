"use strict";
// What the other scripts share: the data, numbers as text, and elements whose text is never read as HTML.
const report = { data: JSON.parse(document.getElementById("data").textContent) };

report.byId = (id) => document.getElementById(id);

report.cell = (i) => {
  const cell = {};
  for (const [name, values] of Object.entries(report.data.cells)) cell[name] = values[i];
  cell.index = i;
  cell.compression = report.data.names.compression[i];
  cell.shown_metric = report.data.names.metric[i];
  return cell;
};
report.all = Array.from({ length: report.data.n }, (_, i) => report.cell(i));

report.isBias = (cell) => cell.kind === "intrinsic" || cell.kind === "extrinsic";

report.known = (value) => typeof value === "number";

report.number = (value) => {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4) return value.toExponential(2).replace(/-/g, "−");
  const places = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(size))));
  return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places }).replace("-", "−");
};

report.interval = (low, high) => (report.known(low) && report.known(high) ? ` [${report.number(low)}, ${report.number(high)}]` : "");

report.element = (name, text, attributes = {}) => {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

report.options = (select, pairs) => {
  const before = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => report.element("option", text, { value })));
  if (pairs.some(([value]) => String(value) === before)) select.value = before;
};

report.chip = (verdict) => {
  const look = report.data.verdicts[verdict];
  return report.element("span", look ? `${look.symbol} ${verdict}` : "no verdict", { class: `chip v-${look ? look.style : "lost"}` });
};
