// Faults and behaviour: forms that are made of the schemas which the simulator itself gives.

import { $, attempt, call, make, say, words } from "./parts.js";

const USUAL_S = 10;

const resolved = (schema, whole) => (schema.$ref ? whole.$defs[schema.$ref.split("/").at(-1)] : schema);

// -- one field --------------------------------------------------------------------------------------------------

// The control of a field and how its value is read; `undefined` leaves the field out.
function control(name, field, whole, value = field.default) {
  const choices = (field.anyOf ?? [field]).map((one) => resolved(one, whole));
  const schema = choices.find((one) => one.type !== "null") ?? {};
  const empty = choices.length > 1 && choices.some((one) => one.type === "null") ? null : undefined;
  if (schema.enum) return choice(name, schema.enum, value, empty);
  if (schema.type === "boolean") {
    const element = make("input", { name, type: "checkbox", checked: value ?? false });
    return { element, read: () => element.checked };
  }
  if (schema.type === "number" || schema.type === "integer") return number(name, schema, value, empty);
  if (schema.type === "string") {
    const element = make("input", { name, autocomplete: "off", value: value ?? "" });
    if (name === "account") element.setAttribute("list", "customers");
    return { element, read: () => (element.value === "" && empty === null ? null : element.value) };
  }
  const element = make("textarea", { name, spellcheck: false, value: JSON.stringify(value ?? null) });
  return { element, read: () => JSON.parse(element.value) };
}

function choice(name, values, value, empty) {
  const none = empty === null ? [make("option", { value: "" }, "–")] : [];
  const element = make("select", { name }, ...none, ...values.map((one) => make("option", { value: one }, words(one))));
  element.value = value ?? (empty === null ? "" : values[0]);
  return { element, read: () => (element.value === "" ? null : element.value) };
}

function number(name, schema, value, empty) {
  const named = /status|command/.test(name); // these may be written by name, too
  const element = make("input", { name, type: named ? "text" : "number", autocomplete: "off" });
  if (!named) element.step = schema.type === "integer" ? 1 : "any";
  element.value = value ?? "";
  const read = () => (named && !/^\d+$/.test(element.value) ? element.value : Number(element.value));
  return { element, read: () => (element.value === "" ? empty : read()) };
}

function labelled(name, { element }) {
  if (element.type === "checkbox") return make("label", { className: "check" }, element, words(name));
  return make("label", {}, make("span", {}, words(name)), element);
}

// -- faults -----------------------------------------------------------------------------------------------------

export async function offerFaults() {
  const whole = await call("GET", "faults/schema");
  for (const [kind, reference] of Object.entries(whole.discriminator.mapping)) {
    const button = make("button", { type: "button", ariaPressed: "false" }, words(kind));
    button.addEventListener("click", () => {
      for (const other of $("kinds").children) other.ariaPressed = String(other === button);
      describe(kind, resolved({ $ref: reference }, whole), whole);
    });
    $("kinds").append(button);
  }
}

function describe(kind, schema, whole) {
  const usual = schema.required?.includes("for_s") ? { for_s: USUAL_S } : {};
  const fields = Object.entries(schema.properties)
    .filter(([name]) => name !== "kind")
    .map(([name, field]) => [name, control(name, field, whole, usual[name])]);
  const form = $("fault");
  form.hidden = false;
  form.replaceChildren(
    make("p", { className: "hint" }, schema.description ?? ""),
    make("div", { className: "line" },
      ...fields.map(([name, one]) => labelled(name, one)),
      make("button", {}, `Cause ${words(kind)}`)));
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(() => cause(kind, fields));
  };
}

async function cause(kind, fields) {
  const told = fields.map(([name, one]) => [name, one.read() ?? undefined]); // JSON leaves out what is undefined
  const { hit } = await call("POST", "faults", { kind, ...Object.fromEntries(told) });
  say(`${words(kind)}: ${hit} hit`);
}

// -- behaviour --------------------------------------------------------------------------------------------------

export async function offerBehaviour() {
  const schemas = await call("GET", "behaviour/schema");
  const { account, destination, field } = $("change").elements;
  for (const [part, { properties }] of Object.entries(schemas)) {
    const options = Object.keys(properties).map((name) => make("option", { value: `${part}.${name}` }, words(name)));
    field.append(make("optgroup", { label: words(part) }, ...options));
  }
  let chosen;
  const choose = async () => {
    const [part, name] = field.value.split(".");
    const now = await call("GET", "behaviour");
    const schema = schemas[part].properties[name];
    chosen = control(name, schema, schemas[part], (now[account.value] ?? Object.values(now)[0])[part][name]);
    chosen.element.ariaLabel = `Value of ${words(name)}`;
    destination.disabled = part === "link";
    $("field-about").textContent = schema.description ?? "";
    $("value").replaceChildren(chosen.element.type === "checkbox" ? labelled(name, chosen) : chosen.element);
    differ(now);
  };
  const change = async () => {
    const [part, name] = field.value.split(".");
    const whom = part === "link" ? {} : { destination: destination.value.trim() || null };
    const told = { ...whom, account: account.value || null, [part]: { [name]: chosen.read() } };
    differ(await call("PATCH", "behaviour", told));
    say(`${words(name)} holds from now on`);
  };
  for (const select of [account, field]) select.addEventListener("change", () => attempt(choose));
  $("change").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(change);
  });
  await choose();
}

// -- profiles ---------------------------------------------------------------------------------------------------

// `begun` is called when another day has begun.
export async function offerProfiles(begun) {
  const profiles = await call("GET", "profiles");
  const { profile } = $("profile").elements;
  profile.append(...Object.keys(profiles).map((name) => make("option", {}, name)));
  const about = () => { $("profile-about").textContent = profiles[profile.value]; };
  profile.addEventListener("change", about);
  $("profile").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      differ(await call("POST", `profiles/${profile.value}`));
      begun(profile.value);
    });
  });
  about();
}

// `0.3 s` is easier to read than a delay's JSON.
function brief(value) {
  if (typeof value?.seconds === "number" && (value.kind ?? "fixed") === "fixed") return `${value.seconds} s`;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function differ(now) {
  const found = Object.entries(now).flatMap(([account, { unusual, rules }]) => [
    ...Object.values(unusual).flatMap((part) => Object.entries(part).map((field) => [account, ...field])),
    ...rules.flatMap(({ behaviour, ...conditions }) => {
      const whom = `${account} to ${Object.values(conditions).join(" ")}`;
      return Object.entries(behaviour).map((field) => [whom, ...field]);
    }),
  ]);
  const row = ([whom, name, value]) => make("tr", {},
    make("th", { scope: "row" }, whom),
    make("td", {}, words(name)),
    make("td", {}, brief(value)));
  $("differs").replaceChildren(found.length
    ? make("table", {},
      make("caption", {}, "What differs from an operator on its best day"),
      make("tbody", {}, ...found.map(row)))
    : make("p", { className: "empty" }, "An operator on its best day."));
}
