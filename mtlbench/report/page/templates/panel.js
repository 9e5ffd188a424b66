"use strict";
// Delta against cost, drawn as SVG: the cost by a button, values on hover and by keyboard. Everything in it is in the tables too.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LETTERS = ["", "k", "M", "G", "T", "P", "E"];
  const make = (name, attributes, parent, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const polygon = (corners, radius, turn) => {
    const points = Array.from({ length: corners }, (_, i) => {
      const angle = turn + (2 * Math.PI * i) / corners;
      const r = Array.isArray(radius) ? radius[i % 2] : radius;
      return `${(r * Math.sin(angle)).toFixed(2)} ${(-r * Math.cos(angle)).toFixed(2)}`;
    });
    return `M${points.join("L")}Z`;
  };
  const cross = "M-2 -6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z";
  const SHAPES = {
    s: polygon(4, 7, Math.PI / 4), o: "M5.6 0A5.6 5.6 0 1 1 -5.6 0A5.6 5.6 0 1 1 5.6 0Z", "^": polygon(3, 7.4, 0), v: polygon(3, 7.4, Math.PI),
    "<": polygon(3, 7.4, -Math.PI / 2), ">": polygon(3, 7.4, Math.PI / 2), D: polygon(4, 6.6, 0), d: "M0 -7.6L4.6 0L0 7.6L-4.6 0Z",
    P: cross, X: cross, p: polygon(5, 6.6, 0), h: polygon(6, 6.4, 0), "*": polygon(10, [8.6, 3.6], 0),
  };
  const ticks = (low, high, count) => {
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((x) => x * power).find((x) => x >= raw) ?? raw;
    const found = [];
    for (let i = Math.ceil(low / step); i <= Math.floor(high / step) && found.length < 40; i += 1) found.push(i * step);
    return found;
  };
  const figure = (value) => String(Number(value.toPrecision(6))).replace("-", "\u2212");
  const range = (values, share, least) => { // least: costs that differ by less than that share of them are not spread out
    const low = Math.min(...values), high = Math.max(...values);
    const margin = Math.max((high - low) * share, Math.abs(high) * least) || Math.abs(high) * 0.1 || 1;
    return [low - margin, high + margin];
  };
  const front = (points) => {
    const found = [];
    for (const p of [...points].sort((a, b) => a.x - b.x || b.value - a.value)) if (!found.length || p.value > found[found.length - 1].value) found.push(p);
    return found;
  };
  const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

  const start = (box) => {
    const data = JSON.parse(box.dataset.points);
    const canvas = box.querySelector(".canvas"), said = box.querySelector("output"), buttons = box.querySelector(".tools");
    let cost = data.costs[0], current = null, nodes = [];
    const say = (p) => `${p.label}: ${p.figure}, ${Object.values(p.told).join(", ")}`;
    const show = (p) => {
      current = p ? p.label : null;
      for (const [q, node] of nodes) node.classList.toggle("shown", q === p);
      said.textContent = p ? say(p) : data.note;
    };
    const draw = () => {
      const width = Math.max(280, canvas.clientWidth), height = Math.min(420, Math.max(300, width * 0.5));
      const edge = { left: 62, right: 18, top: 14, bottom: 46 };
      const points = data.points.filter((p) => cost.key in p.costs);
      const most = Math.max(...points.map((p) => p.costs[cost.key]));
      const place = cost.prefix ? Math.min(Math.max(Math.floor(Math.log10(most > 0 ? most : 1) / 3), 0), LETTERS.length - 1) : 0;
      for (const p of points) p.x = p.costs[cost.key] / 1000 ** place;
      const [x0, x1] = range(points.map((p) => p.x), 0.07, 0.02);
      const [y0, y1] = range([...points.flatMap((p) => [p.value, ...(p.span ?? [])]), ...(data.zero ? [0] : [])], 0.06, 0);
      const X = (v) => edge.left + ((v - x0) / (x1 - x0)) * (width - edge.left - edge.right);
      const Y = (v) => height - edge.bottom - ((v - y0) / (y1 - y0)) * (height - edge.top - edge.bottom);
      canvas.replaceChildren();
      const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": `${data.axis} against ${cost.name}, ${points.length} points; arrow keys go from point to point` }, canvas);
      for (const v of ticks(y0, y1, 5)) {
        make("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: Y(v), y2: Y(v) }, svg);
        make("text", { class: "tick", x: edge.left - 8, y: Y(v) + 4, "text-anchor": "end" }, svg, figure(v));
      }
      for (const v of ticks(x0, x1, width < 500 ? 4 : 7)) {
        make("line", { class: "grid", y1: edge.top, y2: height - edge.bottom, x1: X(v), x2: X(v) }, svg);
        make("text", { class: "tick", x: X(v), y: height - edge.bottom + 18, "text-anchor": "middle" }, svg, figure(v));
      }
      if (data.zero) make("line", { class: "zero", x1: edge.left, x2: width - edge.right, y1: Y(0), y2: Y(0) }, svg);
      const unit = `${LETTERS[place]}${cost.unit}`;
      make("text", { class: "axis", x: (edge.left + width - edge.right) / 2, y: height - 6, "text-anchor": "middle" }, svg, unit ? `${cost.name} (${unit})` : cost.name);
      make("text", { class: "axis", "text-anchor": "middle", transform: `translate(14 ${(edge.top + height - edge.bottom) / 2}) rotate(-90)` }, svg, data.axis);
      const best = front(points.filter((p) => !p.control));
      if (best.length > 1) make("path", { class: "front", d: best.map((p, i) => (i ? `H${X(p.x)}V${Y(p.value)}` : `M${X(p.x)} ${Y(p.value)}`)).join("") }, svg);
      const taken = points.map((p) => [X(p.x) - 8, Y(p.value) - 8, X(p.x) + 8, Y(p.value) + 8]);
      nodes = points.slice().sort((a, b) => a.x - b.x).map((p) => {
        const [colour, marker, variant] = p.look;
        const node = make("g", { class: "point", tabindex: "-1", role: "img", "aria-label": say(p), transform: `translate(${X(p.x).toFixed(1)} ${Y(p.value).toFixed(1)})` }, svg);
        node.style.setProperty("--colour", colour === "#222222" ? "var(--ink)" : colour);
        if (p.span) make("path", { class: "span", d: `M0 ${(Y(p.span[0]) - Y(p.value)).toFixed(1)}V${(Y(p.span[1]) - Y(p.value)).toFixed(1)}` }, node);
        make("circle", { class: "ring", r: 13 }, node);
        make("path", { class: variant ? "mark hollow" : "mark", d: SHAPES[marker] ?? SHAPES.o, ...(marker === "X" ? { transform: "rotate(45)" } : {}) }, node);
        node.addEventListener("pointerenter", () => show(p));
        node.addEventListener("focus", () => show(p));
        node.addEventListener("click", () => node.focus());
        return [p, node];
      });
      for (const p of points.slice().sort((a, b) => b.value - a.value)) { // names where they fit
        const x = X(p.x), y = Y(p.value), text = p.label.length > 30 ? `${p.label.slice(0, 29)}…` : p.label;
        const name = make("text", { class: "name" }, svg, text);
        const long = name.getComputedTextLength();
        const spots = [[x + 12, y + 4], [x - 12 - long, y + 4], [x - long / 2, y - 13], [x - long / 2, y + 22], [x + 10, y - 9], [x + 10, y + 17], [x - 10 - long, y - 9], [x - 10 - long, y + 17]];
        const box = ([a, b]) => [a - 2, b - 11, a + long + 2, b + 4];
        const spot = spots.find((s) => { const b = box(s); return b[0] >= edge.left && b[2] <= width - 2 && b[1] >= 2 && b[3] <= height - edge.bottom && !taken.some((t) => meet(t, b)); });
        if (!spot) { name.remove(); continue; }
        name.setAttribute("x", spot[0]); name.setAttribute("y", spot[1]);
        taken.push(box(spot));
      }
      const kept = nodes.find(([p]) => p.label === current) ?? nodes[0];
      if (kept) kept[1].setAttribute("tabindex", "0");
      show(current === null ? null : kept[0]);
    };
    for (const c of data.costs) {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = c.name; button.setAttribute("aria-pressed", c === cost);
      button.addEventListener("click", () => {
        cost = c;
        for (const other of buttons.querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
        draw();
      });
      buttons.append(button);
    }
    canvas.addEventListener("pointerleave", () => { if (!canvas.contains(document.activeElement)) show(null); });
    canvas.addEventListener("focusout", () => show(null));
    canvas.addEventListener("keydown", (event) => {
      const at = nodes.findIndex(([, node]) => node === document.activeElement);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") { document.activeElement.blur(); show(null); return; }
      const to = event.key === "Home" ? 0 : event.key === "End" ? nodes.length - 1 : step && at >= 0 ? (at + step + nodes.length) % nodes.length : -1;
      if (to < 0) return;
      event.preventDefault();
      for (const [, node] of nodes) node.setAttribute("tabindex", "-1");
      nodes[to][1].setAttribute("tabindex", "0");
      nodes[to][1].focus();
    });
    box.hidden = false;
    draw();
    let drawn = canvas.clientWidth;
    new ResizeObserver(() => { if (canvas.clientWidth !== drawn) { drawn = canvas.clientWidth; draw(); } }).observe(canvas);
  };
  for (const box of document.querySelectorAll(".panel[data-points]")) start(box);
})();
