// The page: files in, answers shown. Nothing that comes from a file is ever markup: text alone is set.

import { get, predict } from "./api.js";
import { annotated, save, submissionRows } from "./downloads.js";
import { drawBars, drawFacts, drawTable, fillSelect, titleCase } from "./results.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const CLASSES = ["negative", "typical", "indeterminate", "atypical"];
const FUSED = "fused";
const viewer = new Viewer($("view"));
const entries = []; // { file, name, answer, error, image, lungs, heat }
let models = [], most = { files: 1, bytes: 0 }, current = null, secondsEach = 0.8, jobs = 0, classChosen = false;

const ready = start(); // settled once the server has told its models and limits, or why not

async function start() {
  listen();
  fillSelect($("heat-of"), CLASSES.map((name) => ({ name, title: name })));
  try {
    const health = await (await get("/health")).json();
    models = health.models;
    most = { files: health.files, bytes: health.request_mb * 2 ** 20 - 2 ** 16 }; // less what stands around the files
    $("run").textContent = `run ${health.run}`;
    if (health.data === "phantom") $("learned").textContent = "These models learned from synthetic phantoms alone: on a real radiograph they tell nothing.";
    fillSelect($("boxes-by"), models.filter((one) => one.boxes));
    fillSelect($("study-by"), models.filter((one) => one.study));
  } catch (error) {
    say(error.message);
  }
}

// ------------------------------------------------------------------------------------------------ files and answers

async function add(files) {
  await ready; // how many files share a request, and which models to ask, the server tells
  for (const chunk of inRequests(files)) {
    const added = chunk.map((file) => ({ file, name: file.name, heat: {} }));
    entries.push(...added);
    drawList();
    await ask(added, spine());
  }
}

// as many files together as the server takes: those of one study should share a request
function inRequests(files) {
  const chunks = [];
  let bytes = Infinity;
  for (const file of files) {
    bytes += file.size;
    if (bytes > most.bytes || chunks.at(-1).length === most.files) { chunks.push([]); bytes = file.size; }
    chunks.at(-1).push(file);
  }
  return chunks;
}

// what a first answer holds, so that a switch between these takes no time: everything but the other papers' systems
function spine() {
  const fast = models.filter((one) => one.boxes || one.name === "studies").map((one) => one.name);
  const chosen = [$("boxes-by").value, $("study-by").value].filter(Boolean);
  return [...new Set([...(fast.length ? fast : [FUSED]), ...chosen])];
}

// send files, or ask again by token where the server still has them
async function ask(some, names) {
  say("");
  const known = some.every((entry) => entry.answer && !entry.gone);
  const end = busy(some.length * secondsEach);
  try {
    const what = known ? { tokens: some.map((entry) => entry.answer.token) } : { files: some.map((entry) => entry.file) };
    const told = await predict({ ...what, models: names }, end.progress);
    secondsEach = told.seconds / some.length;
    told.files.forEach((found, place) => take(some[place], found, names));
  } catch (error) {
    if (error.status === 404 && known) {
      some.forEach((entry) => { entry.gone = true; });
      return await ask(some, names);
    }
    for (const entry of some) if (!entry.answer) entry.error = error.message;
    say(error.message);
  } finally {
    end();
    drawList();
  }
  const first = some.find((entry) => entry.answer);
  if (first && (!current || !some.includes(current))) await open(first);
  else if (current) drawAnswer();
}

function take(entry, found, names) {
  if (found.error) { entry.error = found.error; return; }
  const before = entry.answer ? entry.answer.by_model : {};
  entry.answer = { ...found, by_model: { ...before, ...found.by_model } };
  entry.gone = false;
}

function busy(seconds) {
  const start = performance.now(), bar = $("progress").querySelector("progress"), words = $("progress").querySelector("span");
  jobs += 1;
  $("progress").hidden = false;
  bar.value = 0;
  words.textContent = "sending";
  const timer = setInterval(() => {
    const passed = (performance.now() - start) / 1000;
    if (bar.value < 0.3) return;
    bar.value = Math.min(0.97, 0.3 + 0.65 * (passed / Math.max(seconds, 0.5)));
    words.textContent = `looking, ${passed.toFixed(0)} of about ${Math.max(1, seconds).toFixed(0)} s`;
  }, 200);
  const end = () => { clearInterval(timer); jobs -= 1; if (!jobs) $("progress").hidden = true; };
  end.progress = (share) => { bar.value = 0.3 * share; };
  return end;
}

async function example(label) {
  const end = busy(1);
  try {
    const answer = await get(`/examples/${label}`);
    const file = new File([await answer.blob()], `phantom_${label}.dcm`, { type: "application/dicom" });
    await add([file]);
  } catch (error) {
    say(error.message);
  } finally {
    end();
  }
}

// -------------------------------------------------------------------------------------------------------- one picture

async function open(entry) {
  current = entry;
  drawList();
  try {
    entry.image ??= await load(`/pictures/${entry.answer.token}`);
  } catch (error) {
    if (error.status !== 404 || entry.gone) return say(error.message);
    entry.gone = true;
    await ask([entry], spine());
    return entry.gone ? undefined : open(entry);
  }
  if (current !== entry) return;
  viewer.show(entry.image, entry.answer.width, entry.answer.height);
  drawList();
  drawAnswer();
}

async function load(path) {
  const blob = await (await get(path)).blob(), image = new Image();
  image.src = URL.createObjectURL(blob);
  await image.decode();
  return image;
}

function said(by, what) {
  const own = current.answer.by_model[by];
  return own && own[what] !== undefined ? own[what] : null;
}

const shownBoxes = () => (said($("boxes-by").value, "boxes") || []).filter((box) => box.score >= Number($("least").value));
const shownOutlines = () => ($("show-lungs").checked && current.lungs ? current.lungs.outlines : []);

function drawAnswer() {
  if (!current || !current.answer) return;
  const boxes = shownBoxes(), all = said($("boxes-by").value, "boxes") || [], study = said($("study-by").value, "study");
  viewer.drawMarks($("show-boxes").checked ? boxes : [], shownOutlines());
  drawTable($("boxes"), boxes);
  $("count").textContent = `${boxes.length} of ${all.length} boxes`;
  const none = said($("boxes-by").value, "none");
  $("none").textContent = none === null ? "" : `no opacity at all: ${none.toFixed(3)}`;
  drawBars($("study"), study);
  drawFacts($("facts"), current.answer);
  // until somebody chooses a class, the heat is that of the likeliest
  if (study && !classChosen) $("heat-of").value = CLASSES.reduce((most, name) => (study[name] > study[most] ? name : most));
  const words = boxes.map((box) => `opacity ${box.score.toFixed(2)}`).join(", ") || "no box";
  $("view").setAttribute("aria-label", `${current.name}: ${words}`);
  for (const id of ["save-png", "save-csv", "save-json"]) $(id).disabled = false;
  drawLayers();
}

// a slider asks for the layers at every step: what is under way is not asked for again
const underWay = new Map();

function once(path, ask) {
  if (!underWay.has(path)) underWay.set(path, ask(path).finally(() => underWay.delete(path)));
  return underWay.get(path);
}

async function drawLayers() {
  const entry = current, notes = [], model = $("study-by").value, label = $("heat-of").value;
  try {
    if ($("show-lungs").checked) {
      entry.lungs ??= await once(`/lungs/${entry.answer.token}`, async (path) => (await get(path)).json());
      if (entry.lungs.reason) notes.push(`the lung mask is not believed: ${entry.lungs.reason}`);
    }
    if ($("show-heat").checked && label) {
      const key = `${model} ${label}`;
      if (!entry.heat[key]) {
        $("layer-note").textContent = "asking for the heat ...";
        const path = `/heat/${entry.answer.token}?model=${encodeURIComponent(model)}&label=${encodeURIComponent(label)}`;
        entry.heat[key] = await once(path, load);
      }
      notes.push(`Grad-CAM of ${label}, each picture by its own maximum`);
    }
    if (entry !== current) return;
    viewer.drawHeat($("show-heat").checked ? entry.heat[`${model} ${label}`] : null);
    viewer.drawMarks($("show-boxes").checked ? shownBoxes() : [], shownOutlines());
    $("layer-note").textContent = notes.join("; ");
  } catch (error) {
    if (error.status === 404 && error.message.includes("no longer kept")) { entry.gone = true; return ask([entry], spine()); }
    $("layer-note").textContent = error.message;
  }
}

function drawList() {
  $("list").replaceChildren(...entries.map((entry) => {
    const item = document.createElement("li");
    if (entry.error) {
      const words = document.createElement("p");
      words.className = "bad";
      words.textContent = `${entry.name}: ${entry.error}`;
      item.append(words);
      return item;
    }
    const button = document.createElement("button"), name = document.createElement("span"), image = new Image(44, 44);
    button.type = "button";
    button.disabled = !entry.answer;
    if (entry === current) button.setAttribute("aria-current", "true");
    name.className = "name";
    name.textContent = entry.answer ? entry.name : `${entry.name} ...`;
    image.alt = "";
    if (entry.image) image.src = entry.image.src;
    button.append(image, name);
    button.addEventListener("click", () => open(entry));
    item.append(button);
    return item;
  }));
}

function turn(step) {
  const there = entries.filter((entry) => entry.answer);
  if (there.length) open(there[(there.indexOf(current) + step + there.length) % there.length]);
}

// ----------------------------------------------------------------------------------------------------------- controls

async function switchModel() {
  if (!current || !current.answer) return;
  const names = [$("boxes-by").value, $("study-by").value].filter((name) => !current.answer.by_model[name]);
  if (names.length) await ask([current], names);
  drawAnswer();
}

async function saveRows() {
  const there = entries.filter((entry) => entry.answer);
  const names = [...new Set([$("boxes-by").value, $("study-by").value])].sort((a, b) => (a === FUSED) - (b === FUSED));
  const rows = [];
  try {
    for (let i = 0; i < there.length; i += most.files) {
      const some = there.slice(i, i + most.files);
      const told = await predict({ tokens: some.map((entry) => entry.answer.token), models: names })
        .catch((error) => { if (error.status !== 404) throw error; return predict({ files: some.map((entry) => entry.file), models: names }); });
      rows.push(...told.files);
    }
    save("submission.csv", new Blob([submissionRows(rows)], { type: "text/csv" }));
  } catch (error) {
    say(error.message);
  }
}

function saveJson() {
  const { token, ...answer } = current.answer; // of no use to anybody else
  save(`${stem()}.json`, new Blob([`${JSON.stringify(answer, null, 1)}\n`], { type: "application/json" }));
}

async function savePicture() {
  const boxes = $("show-boxes").checked ? shownBoxes() : [];
  const words = `${titleOf($("boxes-by").value)}, score from ${$("least").value}. For research, not for diagnosis.`;
  save(`${stem()}.png`, await annotated(viewer, boxes, shownOutlines(), words));
}

const stem = () => current.name.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9._-]/g, "_") || "picture";
const titleOf = (name) => titleCase((models.find((one) => one.name === name) || { title: name }).title);

function say(words) { $("message").textContent = words; }

function listen() {
  $("input").addEventListener("change", () => { add([...$("input").files]); $("input").value = ""; });
  for (const button of document.querySelectorAll("[data-example]")) button.addEventListener("click", () => example(button.dataset.example));
  for (const name of ["dragenter", "dragover"]) addEventListener(name, (event) => { event.preventDefault(); document.body.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    if (event.dataTransfer.files.length) add([...event.dataTransfer.files]);
  });
  $("in").addEventListener("click", () => viewer.zoomBy(1.4));
  $("out").addEventListener("click", () => viewer.zoomBy(1 / 1.4));
  $("fit").addEventListener("click", () => viewer.size && viewer.fit());
  $("invert").addEventListener("click", () => viewer.invert());
  for (const id of ["level", "window"]) $(id).addEventListener("input", () => viewer.setLevels(Number($("level").value), Number($("window").value)));
  viewer.onlevels = () => {
    $("level").value = viewer.level;
    $("window").value = viewer.window;
    $("invert").setAttribute("aria-pressed", String(viewer.inverted));
  };
  $("least").addEventListener("input", () => { $("least-value").textContent = Number($("least").value).toFixed(2); drawAnswer(); });
  for (const id of ["boxes-by", "study-by"]) $(id).addEventListener("change", switchModel);
  $("heat-of").addEventListener("change", () => { classChosen = true; });
  for (const id of ["show-boxes", "show-lungs", "show-heat", "heat-of"]) $(id).addEventListener("change", drawAnswer);
  $("save-png").addEventListener("click", savePicture);
  $("save-csv").addEventListener("click", saveRows);
  $("save-json").addEventListener("click", saveJson);
  $("view").addEventListener("keydown", key);
  $("theme").addEventListener("click", nextTheme);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const flip = (id) => () => { $(id).checked = !$(id).checked; drawAnswer(); };
  const acts = {
    "+": () => viewer.zoomBy(1.25), "=": () => viewer.zoomBy(1.25), "-": () => viewer.zoomBy(0.8),
    0: () => viewer.size && viewer.fit(), i: () => viewer.invert(), n: () => turn(1), p: () => turn(-1),
    b: flip("show-boxes"), l: flip("show-lungs"), h: flip("show-heat"),
    ArrowLeft: () => viewer.moveBy(40, 0), ArrowRight: () => viewer.moveBy(-40, 0),
    ArrowUp: () => viewer.moveBy(0, 40), ArrowDown: () => viewer.moveBy(0, -40),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
}

function nextTheme() {
  const order = ["system", "light", "dark"], root = document.documentElement;
  const next = order[(order.indexOf(root.dataset.theme || "system") + 1) % order.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  $("theme").textContent = `Theme: ${next}`;
}
