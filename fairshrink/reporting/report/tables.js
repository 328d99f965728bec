// Tables are sorted by a button in each heading; the table of cells is filtered by its form.
(() => {
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
  };
  const compare = (a, b, direction) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // what is missing comes last either way
    const numbers = !isNaN(a) && !isNaN(b);
    return direction * (numbers ? a - b : a.localeCompare(b));
  };
  const sort = (table, heading, column) => {
    const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const each of heading.parentNode.cells) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => compare(a, b, direction));
    body.append(...rows.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = report.element("button", heading.textContent, { type: "button", class: "sort" });
      button.addEventListener("click", () => sort(table, heading, column));
      heading.replaceChildren(button);
    });
  }

  const form = report.byId("filters");
  const rows = [...report.byId("cell-table").tBodies[0].rows];
  const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const filter = () => {
    const chosen = [...form.querySelectorAll("select")].filter((each) => each.value);
    const wanted = report.byId("filter-text").value.trim().toLowerCase();
    const controls = report.byId("filter-controls").checked;
    let shown = 0;
    for (const row of rows) {
      const fits = chosen.every((each) => row.dataset[each.dataset.filter] === each.value);
      row.hidden = !fits || (row.dataset.control && !controls) || (wanted && !text.get(row).includes(wanted));
      shown += !row.hidden;
    }
    report.byId("filter-count").textContent = `${shown} of ${rows.length} rows`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
