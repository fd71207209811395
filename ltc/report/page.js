"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  // All text goes through textContent: nothing of a configuration is taken for HTML.
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const shown = (value, digits) => {
    if (value === null || value === undefined) return "–";
    return typeof value === "number" && digits !== undefined ? value.toFixed(digits) : String(value);
  };

  // Numbers by size, the rest as text, what is missing last.
  const compare = (a, b) => {
    const missing = (x) => x === null || x === undefined || x === "";
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const both = typeof a === "number" && typeof b === "number";
    return both ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  };

  // columns: [key, heading, digits (undefined: text), class of its cells]
  const table = (section, columns, rows, options = {}) => {
    const root = document.getElementById(section);
    if (!rows.length) return;
    root.hidden = false;
    const body = root.querySelector("tbody");
    const heading = element("tr");
    const made = rows.map((row) => {
      const line = element("tr");
      for (const [key, , digits, className] of columns) {
        const cell = element("td", undefined, className || (digits === undefined ? "text" : ""));
        if (key === "folder" && row.link) {
          // The last folder is enough; what is above it is on the pointer.
          const link = element("a", row.folder.split("/").pop());
          link.title = row.folder;
          link.href = row.link;
          link.addEventListener("click", (event) => event.stopPropagation());
          cell.append(link);
        } else cell.textContent = shown(row[key], digits);
        line.append(cell);
      }
      return { row, line, detail: null };
    });
    const place = () => {
      body.replaceChildren(...made.flatMap((m) => (m.detail ? [m.line, m.detail] : [m.line])));
    };
    columns.forEach(([key, title, digits]) => {
      const head = element("th", title, digits === undefined ? "text" : "");
      head.tabIndex = 0;
      const sort = () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heading.children) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        // What is missing stays last both ways.
        const known = (m) => m.row[key] !== null && m.row[key] !== undefined && m.row[key] !== "";
        made.sort((a, b) => {
          const order = compare(a.row[key], b.row[key]);
          return down && known(a) && known(b) ? -order : order;
        });
        place();
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
      heading.append(head);
    });
    root.querySelector("thead").replaceChildren(heading);
    if (options.detail) {
      made.forEach((one) => {
        const toggle = () => {
          one.line.classList.toggle("open", !one.detail);
          one.detail = one.detail ? null : options.detail(one.row, columns.length);
          place();
        };
        one.toggle = toggle;
        one.line.className = "run";
        one.line.tabIndex = 0;
        one.line.addEventListener("click", toggle);
        one.line.addEventListener("keydown", (event) => event.key === "Enter" && toggle());
      });
    }
    place();
    return made;
  };

  const detail = (row, width) => {
    const line = element("tr", undefined, "detail");
    const cell = element("td");
    cell.colSpan = width;
    const columns = element("div", undefined, "columns");
    const add = (title, text) => {
      const part = element("div");
      part.append(element("strong", title), element("pre", text));
      columns.append(part);
    };
    const hidden = new Set(["setting", "curve", "folder", "link", "config"]);
    const metrics = Object.entries(row).filter(([key]) => !hidden.has(key));
    add("metrics.json", metrics.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join("\n"));
    add("config.yaml", row.config.map((number) => data.lines[number]).join("\n") || "not there");
    add("folder, and how to look into it", `${row.folder}\n\ntensorboard --logdir "${row.folder}"`);
    cell.append(columns);
    line.append(cell);
    return line;
  };

  const varied = (key) => new Set(data.runs.map((run) => JSON.stringify(run.row[key]))).size > 1;
  const known = (key) => data.runs.some((run) => run.row[key] !== null && run.row[key] !== undefined);
  const runColumns = [
    ...(varied("setting") ? [["setting", "setting"]] : []),
    ["curve", "curve"],
    ["lmbda", "lmbda", undefined, "number"],
    ["seed", "seed", undefined, "number"],
    ["rate", "rate", 4],
    ["rate_stderr", "±", 4],
    ...(known("bitstream_rate") ? [["bitstream_rate", "bytes written", 4]] : []),
    ...(known("psnr_db") ? [["bits_per_pixel", "bits per pixel", 4], ["psnr_db", "PSNR (dB)", 3]] : []),
    ["distortion", "distortion", 5],
    ["snr_db", "SNR (dB)", 3],
    ["bound_rate_lower", "R(D) ≥", 4],
    ["bound_rate_upper", "R(D) ≤", 4],
    ["gap_bits", "gap (bits)", 4],
    ["gap_db", "gap (dB)", 3],
    ["seconds_total", "seconds", 1],
    ["folder", "folder"],
  ];
  const flat = data.runs.map((run) => ({ ...run.row, config: run.config, link: run.link }));
  const order = [...flat];
  const keys = ["setting", "curve", "lmbda", "seed"];
  flat.sort((a, b) => keys.reduce((found, key) => found || compare(a[key], b[key]), 0));
  const runs = table("runs", runColumns, flat, { detail }) || [];

  table("unfinished", [["state", "state"], ["reason", "reason", undefined, "text long"],
    ["folder", "folder"]], data.unfinished);

  const differences = data.differences.map(([setting, reference, curve, reason, ...numbers]) => {
    const [rate_pchip, rate_cubic, snr_pchip, snr_cubic] = numbers;
    const [of, from, to, why] = [setting, reference, curve, reason].map((i) => data.names[i]);
    return { setting: of, reference: from, curve: to, reason: why,
      rate_pchip, rate_cubic, snr_pchip, snr_cubic };
  });
  const differenceColumns = [
    ...(new Set(differences.map((d) => d.setting)).size > 1 ? [["setting", "setting"]] : []),
    ["curve", "curve"],
    ["rate_pchip", "rate (%), PCHIP", 2],
    ["rate_cubic", "rate (%), cubic", 2],
    ["snr_pchip", "SNR (dB), PCHIP", 3],
    ["snr_cubic", "SNR (dB), cubic", 3],
    ...(differences.some((d) => d.reason) ? [["reason", "refused because", undefined, "text long"]] : []),
  ];
  const select = document.querySelector("#differences select");
  for (const name of new Set(differences.map((d) => d.reference))) {
    const option = element("option", name);
    option.value = name;
    select.append(option);
  }
  const choose = () => {
    const chosen = differences.filter((d) => d.reference === select.value);
    table("differences", differenceColumns, chosen);
  };
  select.addEventListener("change", choose);
  choose();

  // A click on a point shows its runs.
  for (const graph of document.querySelectorAll(".plotly-graph-div")) {
    graph.on("plotly_click", (event) => {
      const numbers = event.points.flatMap((point) => (point.customdata || {}).runs || []);
      const clicked = runs.filter((one) => numbers.includes(order.indexOf(one.row)));
      for (const one of clicked) if (!one.detail) one.toggle();
      if (clicked.length) clicked[0].line.scrollIntoView({ behavior: "smooth" });
    });
  }
})();
