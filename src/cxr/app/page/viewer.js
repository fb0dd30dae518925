// The picture: grey levels, zoom and move, and the layers above it. Sizes of marks are those of the file's pixels.

const SVG = "http://www.w3.org/2000/svg";
const MOST_ZOOM = 16;
const HEAT = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]; // dark to bright

export class Viewer {
  constructor(view) {
    this.view = view;
    this.stage = view.querySelector("#stage");
    this.canvas = view.querySelector("#picture");
    this.heatCanvas = view.querySelector("#heat");
    this.marks = view.querySelector("#marks");
    this.empty = view.querySelector(".empty");
    this.onlevels = () => {};
    this.size = null;
    this.pointers = new Map();
    this.resetLevels();
    this.listen();
    new ResizeObserver(() => this.size && this.place()).observe(view);
  }

  // image: a decoded picture; width, height: pixels of the file
  show(image, width, height) {
    this.size = { width, height };
    this.canvas.width = image.naturalWidth;
    this.canvas.height = image.naturalHeight;
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    this.pixels = context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const grey = new Uint8Array(this.pixels.data.length / 4);
    for (let i = 0; i < grey.length; i++) grey[i] = this.pixels.data[4 * i];
    this.grey = grey;
    this.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.marks.setAttribute("preserveAspectRatio", "none");
    this.view.style.setProperty("--shape", `${width} / ${height}`); // of the view on a narrow screen
    this.stage.hidden = false;
    this.empty.hidden = true;
    this.fit();
  }

  resetLevels() { this.level = 128; this.window = 256; this.inverted = false; }

  // as displays do: grey levels around `level` are stretched to what `window` spans
  paint() {
    if (!this.grey) return;
    const table = new Uint8Array(256);
    for (let value = 0; value < 256; value++) {
      const shown = ((value - this.level) / this.window + 0.5) * 255;
      table[value] = Math.max(0, Math.min(255, Math.round(this.inverted ? 255 - shown : shown)));
    }
    const data = this.pixels.data;
    for (let i = 0; i < this.grey.length; i++) {
      const value = table[this.grey[i]];
      data[4 * i] = data[4 * i + 1] = data[4 * i + 2] = value;
    }
    this.canvas.getContext("2d").putImageData(this.pixels, 0, 0);
    this.onlevels();
  }

  setLevels(level, window) {
    this.level = Math.max(0, Math.min(255, level));
    this.window = Math.max(2, Math.min(512, window));
    this.paint();
  }

  invert() { this.inverted = !this.inverted; this.paint(); }

  fit() {
    this.resetLevels();
    this.paint();
    this.zoom = 1;
    this.x = this.y = 0; // of the middle of the view, from that of the picture, in screen pixels
    this.place();
  }

  // px of the screen that a pixel of the file takes
  get scale() {
    const { clientWidth, clientHeight } = this.view;
    return Math.min(clientWidth / this.size.width, clientHeight / this.size.height) * this.zoom;
  }

  place() {
    const width = this.size.width * this.scale, height = this.size.height * this.scale;
    const spareX = Math.max(0, (width - this.view.clientWidth) / 2), spareY = Math.max(0, (height - this.view.clientHeight) / 2);
    this.x = Math.max(-spareX, Math.min(spareX, this.x));
    this.y = Math.max(-spareY, Math.min(spareY, this.y));
    const left = (this.view.clientWidth - width) / 2 + this.x, top = (this.view.clientHeight - height) / 2 + this.y;
    Object.assign(this.stage.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    this.sizeLabels();
  }

  // zoom so that what lies at (clientX, clientY) stays there; without a place, in the middle
  zoomBy(factor, clientX, clientY) {
    if (!this.size) return;
    const box = this.view.getBoundingClientRect();
    const atX = clientX === undefined ? 0 : clientX - box.left - box.width / 2;
    const atY = clientY === undefined ? 0 : clientY - box.top - box.height / 2;
    const before = this.zoom;
    this.zoom = Math.max(1, Math.min(MOST_ZOOM, this.zoom * factor));
    const grown = this.zoom / before;
    this.x = atX - (atX - this.x) * grown;
    this.y = atY - (atY - this.y) * grown;
    this.place();
  }

  moveBy(x, y) { if (this.size) { this.x += x; this.y += y; this.place(); } }

  // boxes: of an answer; outlines: of the lungs
  drawMarks(boxes, outlines) {
    const parts = outlines.map((points) => element("polygon", { points: points.map((point) => point.join(",")).join(" ") }));
    for (const box of boxes) {
      parts.push(element("rect", { x: box.x_min, y: box.y_min, width: box.x_max - box.x_min, height: box.y_max - box.y_min }));
    }
    for (const box of boxes) {
      const label = element("g", { "data-x": box.x_min, "data-y": box.y_min });
      label.append(element("rect", { class: "plate", x: 0, y: 0, width: 34, height: 16 }), element("text", { x: 4, y: 12.5, "font-size": 12 }));
      label.lastChild.textContent = box.score.toFixed(2);
      parts.push(label);
    }
    this.marks.replaceChildren(...parts);
    if (this.size) this.sizeLabels();
  }

  // letters keep their size on the screen, whatever a pixel of the file takes
  sizeLabels() {
    const scale = 1 / this.scale;
    for (const label of this.marks.querySelectorAll("g")) {
      const y = Math.max(0, Number(label.dataset.y) - 16 * scale);
      label.setAttribute("transform", `translate(${label.dataset.x} ${y}) scale(${scale})`);
    }
  }

  // image: grey, 255 the most; null takes the heat away
  drawHeat(image) {
    const context = this.heatCanvas.getContext("2d", { willReadFrequently: true });
    if (!image) {
      this.heatCanvas.width = this.heatCanvas.height = 1;
      context.clearRect(0, 0, 1, 1);
      this.hasHeat = false;
      return;
    }
    this.heatCanvas.width = image.naturalWidth;
    this.heatCanvas.height = image.naturalHeight;
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, this.heatCanvas.width, this.heatCanvas.height), data = pixels.data;
    for (let i = 0; i < data.length; i += 4) {
      const share = data[i] / 255, place = share * (HEAT.length - 1), low = Math.min(HEAT.length - 2, Math.floor(place));
      for (let c = 0; c < 3; c++) data[i + c] = HEAT[low][c] + (HEAT[low + 1][c] - HEAT[low][c]) * (place - low);
      data[i + 3] = 255 * Math.min(1, share * 1.6);
    }
    context.putImageData(pixels, 0, 0);
    this.hasHeat = true;
  }

  listen() {
    const view = this.view;
    view.addEventListener("wheel", (event) => {
      if (!this.size) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
    }, { passive: false });
    view.addEventListener("pointerdown", (event) => {
      view.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
    });
    view.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    view.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before || !this.size) return;
    const x = event.clientX - before.clientX, y = event.clientY - before.clientY;
    if (this.pointers.size === 2) {
      const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      this.zoomBy(apart(event) / apart(before), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
    } else if (event.shiftKey || event.buttons === 2) {
      this.setLevels(this.level - y / 2, this.window + x);
    } else {
      this.moveBy(x, y);
    }
    this.pointers.set(event.pointerId, event);
  }
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
