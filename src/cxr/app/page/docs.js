// The OpenAPI description as a page: paths, fields, answers.

const add = (parent, name, text = "") => {
  const made = Object.assign(document.createElement(name), { textContent: text });
  parent.append(made);
  return made;
};

const api = await (await fetch("/openapi.json")).json();
document.getElementById("about").textContent = api.info.description;
const place = document.getElementById("paths");

for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, what] of Object.entries(methods)) {
    add(place, "h2", `${method.toUpperCase()} ${path}`);
    add(place, "p", what.description || what.summary);
    const fields = [...(what.parameters || []).map(({ name, schema, description }) => [name, { ...schema, description }]), ...bodyOf(what)];
    if (fields.length) table(["field", "type", "meaning"], fields.map(([name, field]) => [name, typeOf(field), field.description || ""]));
    table(["status", "answer"], Object.entries(what.responses).filter(([status]) => status !== "422").map(([status, one]) => [status, answerOf(one)]));
  }
}

add(place, "h2", "Answers");
for (const [name, schema] of Object.entries(api.components.schemas)) {
  if (!schema.properties || /^(Body_|HTTP|Validation)/.test(name)) continue;
  add(place, "h3", name);
  if (schema.description) add(place, "p", schema.description);
  table(["field", "type", "meaning"], Object.entries(schema.properties).map(([field, one]) => [field, typeOf(one), one.description || ""]));
}

function bodyOf(what) {
  const reference = what.requestBody?.content?.["multipart/form-data"]?.schema;
  if (!reference) return [];
  const schema = reference.$ref ? api.components.schemas[reference.$ref.split("/").pop()] : reference;
  return Object.entries(schema.properties || {});
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.type === "array") return `list of ${schema.items ? typeOf(schema.items) : "anything"}`;
  if (schema.contentMediaType || schema.format === "binary") return "file";
  if (schema.additionalProperties) return `object of ${typeOf(schema.additionalProperties)}`;
  return schema.type || "anything";
}

function answerOf(one) {
  const schema = one.content?.["application/json"]?.schema;
  if (!schema || !one.content) return one.description === "Successful Response" ? "the file" : one.description;
  return one.description === "Successful Response" ? typeOf(schema) : `${one.description}: ${typeOf(schema)}`;
}

function table(head, rows) {
  const scroll = add(place, "div"), made = add(scroll, "table"), first = add(add(made, "thead"), "tr"), body = add(made, "tbody");
  scroll.style.overflowX = "auto";
  made.className = "words";
  head.forEach((text) => add(first, "th", text));
  for (const row of rows) {
    const line = add(body, "tr");
    row.forEach((text) => add(line, "td", text));
  }
}
