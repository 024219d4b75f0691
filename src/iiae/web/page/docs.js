// The description of the API, out of openapi.json.
const add = (parent, tag, text) => {
  const node = document.createElement(tag);
  node.textContent = text ?? "";
  return parent.appendChild(node);
};
const describe = (row, schema, required, text) => {
  const values = schema.enum ?? (schema.anyOf ?? []).flatMap((one) => one.enum ?? []);
  add(row, "td", required ? "required" : "default" in schema ? `by default ${schema.default}` : "");
  add(row, "td", [(text ?? schema.description ?? "").replaceAll("`", ""), values.join(" or ")].filter(Boolean).join("; "));
};
const token = sessionStorage.getItem("token");
fetch("openapi.json", { headers: token ? { Authorization: `Bearer ${token}` } : {} })
  .then((answer) => answer.json())
  .then((api) => {
    const main = document.getElementById("routes");
    const example = document.getElementById("try"); // of this server, and of what it takes
    const own = location.href.replace(/\/docs.*$/, "");
    const numbers = "application/json" in (api.paths?.["/embed"]?.post.requestBody?.content ?? {});
    example.textContent = example.textContent.replaceAll("http://127.0.0.1:8000", own)
      .replaceAll("picture.png", numbers ? "numbers.json" : "picture.png")
      .replaceAll("curl ", token ? "curl -H 'Authorization: Bearer TOKEN' " : "curl ");
    if (!api.paths) return add(main, "p", `${api.detail}: open the page and give it there first`);
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, route] of Object.entries(methods)) {
        add(add(main, "h2"), "code", `${method.toUpperCase()} ${path}`);
        add(main, "p", (route.description ?? "").replaceAll("`", ""));
        const table = add(main, "table");
        for (const field of route.parameters ?? []) {
          const row = add(table, "tr");
          add(add(row, "th"), "code", field.name);
          describe(row, field.schema, field.required, field.description);
        }
        for (const [kind, body] of Object.entries(route.requestBody?.content ?? {})) {
          const row = add(table, "tr");
          add(row, "th", "body");
          add(row, "td", kind);
          const name = body.schema.$ref?.split("/").pop();
          const form = name ? api.components.schemas[name] : { properties: {} };
          for (const [field, schema] of Object.entries(form.properties)) {
            const row = add(table, "tr");
            add(add(row, "th"), "code", field);
            describe(row, schema, form.required?.includes(field));
          }
        }
      }
    }
  });
