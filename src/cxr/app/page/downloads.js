// What can be taken along: the picture as it is shown, rows of a submission, the answer as it came.

export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// viewer: as it stands; boxes: those that are shown; words: a line below the picture
export function annotated(viewer, boxes, outlines, words) {
  const { canvas, size } = viewer, line = Math.max(14, Math.round(canvas.width / 45)), scale = canvas.width / size.width;
  const out = document.createElement("canvas");
  out.width = canvas.width;
  out.height = canvas.height + Math.round(line * 1.8);
  const context = out.getContext("2d");
  context.fillStyle = "#000";
  context.fillRect(0, 0, out.width, out.height);
  context.drawImage(canvas, 0, 0);
  if (viewer.hasHeat) {
    context.globalAlpha = 0.55;
    context.drawImage(viewer.heatCanvas, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
  }
  context.lineWidth = Math.max(2, canvas.width / 500);
  context.strokeStyle = "#4dd0e1";
  for (const points of outlines) {
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(x * scale, y * scale));
    context.closePath();
    context.stroke();
  }
  context.font = `600 ${line}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const box of boxes) {
    const x = box.x_min * scale, y = box.y_min * scale, text = box.score.toFixed(2);
    context.strokeStyle = "#ffb300";
    context.strokeRect(x, y, (box.x_max - box.x_min) * scale, (box.y_max - box.y_min) * scale);
    const top = Math.max(0, y - line * 1.2);
    context.fillStyle = "rgba(0, 0, 0, .65)";
    context.fillRect(x, top, context.measureText(text).width + line * 0.5, line * 1.2);
    context.fillStyle = "#ffb300";
    context.fillText(text, x + line * 0.25, top + line * 0.1);
  }
  context.fillStyle = "#ddd";
  context.fillText(words, line * 0.4, canvas.height + line * 0.4, out.width - line * 0.8);
  return new Promise((resolve) => out.toBlob(resolve, "image/png"));
}

// answers: of several requests; ids of two requests may be alike, and no row may stand for two pictures
export function submissionRows(answers) {
  const seen = new Map(), lines = ["id,PredictionString"];
  for (const answer of answers) {
    for (const [id, text] of Object.entries(answer.submission)) {
      const [, bare, suffix] = id.match(/^(.*)(_image|_study)$/);
      let own = id;
      for (let number = 2; seen.has(own) && seen.get(own) !== text; number++) own = `${bare}_${number}${suffix}`;
      if (!seen.has(own)) lines.push(`${own},${text}`);
      seen.set(own, text);
    }
  }
  return `${lines.join("\n")}\n`;
}
