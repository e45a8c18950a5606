// One handset: what reached it, what it answered, whether it is on and who holds it.

import { $, attempt, call, clock, digits, make, say, visible, words } from "./parts.js";

const CHIPS = 6;
const KNOWN = 200;
const KEPT = 50;
const KIND_OF_MESSAGE = 0x3c; // of esm_class: none of these bits, no receipt (3.4 section 5.2.12)

const known = new Set();
const written = new Map();
let shown = "";
let stale = false;

const dialled = () => $("dial").elements.number.value.trim();
const isDialled = (number) => Boolean(number) && digits(number) === digits(dialled());
const spelled = (number) => (/^[0-9]{7,}$/.test(number) ? `+${number}` : number);
const path = () => `handsets/${encodeURIComponent(dialled())}`;

// Known ones keep their places: chips that dance under traffic cannot be hit.
function meet(number) {
  known.add(number);
  if (known.size > KNOWN) known.delete(known.values().next().value);
}

// A PDU has passed: whose phones does it tell of?
export function overheard({ command, direction, fields, text, part, at }) {
  if (!fields) return;
  const { source_addr: source, destination_addr: destination } = fields;
  if (command === "submit_sm" && direction === "in") meet(destination);
  if (command === "deliver_sm" && direction === "out" && (fields.esm_class & KIND_OF_MESSAGE) === 0) {
    meet(source);
    const said = written.get(digits(source)) ?? [];
    if (part > 1 && said.length) said.at(-1).text += text;
    else said.push({ text, received: at, to: destination, ours: true });
    written.set(digits(source), said.slice(-KEPT));
  }
  stale ||= isDialled(source) || isDialled(destination);
}

function chip(number) {
  const button = make("button", { type: "button" }, number);
  button.addEventListener("click", () => {
    $("dial").elements.number.value = number;
    attempt(converse);
    offer();
  });
  return make("li", {}, button);
}

function offer() {
  const list = $("recent");
  const latest = [...known].reverse().slice(0, CHIPS).map(spelled);
  const offered = [...list.children].map((one) => one.textContent);
  const held = list.contains(document.activeElement); // nobody loses the chip that has the focus
  if (latest.join() !== offered.join() && !held) list.replaceChildren(...latest.map(chip));
  for (const button of list.querySelectorAll("button")) {
    if (isDialled(button.textContent)) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

async function converse() {
  const { state, person } = $("dial").elements;
  state.disabled = person.disabled = !dialled();
  stale = false;
  const asked = dialled() ? [call("GET", `${path()}/messages`), call("GET", path())] : [[], {}];
  const [got, phone] = await Promise.all(asked);
  if (document.activeElement !== state) state.value = phone.state ?? "";
  if (document.activeElement !== person) person.value = phone.person ?? "";
  const ours = written.get(digits(dialled())) ?? [];
  const all = [...got.slice(-KEPT), ...ours].sort((one, other) => one.received - other.received);
  const now = JSON.stringify([dialled(), all]);
  if (now === shown) return;
  shown = now;
  $("conversation").replaceChildren(...all.map(bubble));
  $("conversation").scrollTop = $("conversation").scrollHeight;
}

function bubble(message) {
  const about = message.ours ? [`to ${message.to}`] : [`from ${message.source}`];
  if (message.complete === false) about.push(`${message.parts} of ${message.total} parts`);
  if (message.duplicates) about.push(`${message.duplicates} came twice`);
  about.push(clock(message.received).slice(0, 8));
  return make("li", { className: message.ours ? "ours" : "" },
    make("p", { dir: "auto" }, visible(message.text)),
    make("small", {}, about.join(" · ")));
}

// Anew only if something came to or from the handset that is open.
export async function refresh() {
  offer();
  if (stale) await converse();
}

export function clear() {
  known.clear();
  written.clear();
  stale = true;
}

async function answer(event) {
  event.preventDefault();
  const { text, to } = event.target.elements;
  if (!dialled()) {
    say("Which handset? Dial a number first.", true);
    return;
  }
  const { parts } = await call("POST", `${path()}/send`, { text: text.value, to: to.value.trim() || null });
  say(parts === 1 ? "Sent." : `Sent in ${parts} parts.`);
  text.value = "";
}

function hand(person) {
  const held = `${path()}/person`;
  return person ? call("PUT", held, { like: person, name: person }) : call("DELETE", held);
}

async function furnish() {
  const { state, person } = $("dial").elements;
  const { schemas } = (await call("GET", "openapi.json")).components;
  state.append(...schemas.PhoneState.enum.map((one) => make("option", {}, one)));
  person.append(...(await call("GET", "people")).map((one) => make("option", { value: one }, words(one))));
  for (const number of await call("GET", `handsets?limit=${KNOWN}`)) meet(digits(number));
}

export async function begin() {
  const { number, state, person } = $("dial").elements;
  $("dial").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(converse);
  });
  number.addEventListener("change", () => attempt(converse));
  state.addEventListener("change", () => attempt(() => call("PATCH", path(), { state: state.value })));
  person.addEventListener("change", () => attempt(() => hand(person.value)));
  $("reply").addEventListener("submit", (event) => attempt(() => answer(event)));
  await attempt(furnish);
}
