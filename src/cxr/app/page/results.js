// Answers as elements: tables, bars, lists.

export function fillSelect(select, choices) {
  select.replaceChildren(...choices.map(({ name, title }) => new Option(titleCase(title), name)));
}

export function titleCase(text) { return text.charAt(0).toUpperCase() + text.slice(1); }

export function drawTable(table, boxes) {
  table.hidden = !boxes.length;
  table.tBodies[0].replaceChildren(...boxes.map((box) => {
    const row = document.createElement("tr");
    const values = [box.score.toFixed(3), ...[box.x_min, box.y_min, box.x_max, box.y_max].map((value) => value.toFixed(0))];
    row.append(...values.map((value) => Object.assign(document.createElement("td"), { textContent: value })));
    return row;
  }));
}

// study: probability by class, null where the model says none
export function drawBars(list, study) {
  const most = study ? Math.max(...Object.values(study)) : 0, parts = [];
  for (const [name, value] of Object.entries(study || {})) {
    const term = Object.assign(document.createElement("dt"), { textContent: name });
    const track = document.createElement("dd"), bar = document.createElement("i"), number = document.createElement("dd");
    track.className = "track";
    track.setAttribute("aria-hidden", "true");
    bar.style.width = `${100 * value}%`;
    bar.style.background = `var(--${name})`;
    track.append(bar);
    number.className = "value";
    number.textContent = value.toFixed(3);
    if (value === most) [term, number].forEach((one) => one.classList.add("most"));
    parts.push(term, track, number);
  }
  list.replaceChildren(...parts);
}

export function drawFacts(list, answer) {
  const facts = { name: answer.name, size: `${answer.width} x ${answer.height} px`, ...answer.facts };
  list.replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [
    Object.assign(document.createElement("dt"), { textContent: name }),
    Object.assign(document.createElement("dd"), { textContent: value }),
  ]));
}
