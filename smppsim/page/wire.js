// The wire: every PDU as it passes, newest first, decoded and in hex; it waits while one is read.

import { $, call, clock, make, spoken, visible } from "./parts.js";

const KEPT = 500;
const EVERY_MS = 150;
const AGAIN_MS = 2000;
const KEEPALIVES = new Set(["enquire_link", "enquire_link_resp"]);

let rows = [];
let waiting = [];
let paused = false;
let overhear = () => {};

const reading = () => paused || $("pdus").querySelector("details[open]") !== null;

// -- one PDU ----------------------------------------------------------------------------------------------------

function gist({ fields, text }) {
  if (fields === null) return "malformed";
  const { source_addr: from, destination_addr: to, message_id: id, system_id: name } = fields;
  const way = from || to ? `${from || "–"} → ${to || "–"}  ` : "";
  return visible(way + (text ?? id ?? name ?? "")).replaceAll("\n", " ⏎ ");
}

function dump(hex) {
  const octets = hex.match(/../g) ?? [];
  const letter = (octet) => (/^([2-6].|7[0-9a-e])$/.test(octet) ? String.fromCharCode(parseInt(octet, 16)) : "·");
  const lines = [];
  for (let at = 0; at < octets.length; at += 16) {
    const some = octets.slice(at, at + 16);
    lines.push(`${at.toString(16).padStart(4, "0")}  ${some.join(" ").padEnd(47)}  ${some.map(letter).join("")}`);
  }
  return lines.join("\n");
}

function plain(value) {
  return typeof value === "object" && value !== null ? (value.hex ?? JSON.stringify(value)) : String(value);
}

function opened(row) {
  const list = make("dl");
  const add = (name, value) => list.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  add("session", row.account ? `${row.session} of ${row.account}` : `${row.session}`);
  if (row.status) add("status", row.status);
  const { tlvs = {}, ...fields } = row.fields ?? {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== "" && value !== 0 && value !== row.text) add(name, spoken(plain(value)));
  }
  for (const [tag, value] of Object.entries(tlvs)) add(tag, value);
  const text = row.text ? [make("p", { className: "text" }, spoken(row.text))] : [];
  const hex = make("pre", { tabIndex: 0, ariaLabel: "The frame in hex" }, dump(row.hex));
  return make("div", { className: "opened" }, list, ...text, hex);
}

function summed(row) {
  const incoming = row.direction === "in";
  const failed = row.status && row.status !== "ESME_ROK";
  const cell = (name, ...content) => make("span", { className: name }, ...content);
  return make("summary", { tabIndex: -1 },
    cell("at", clock(row.at)),
    cell(`way ${row.direction}`,
      make("span", { ariaHidden: "true" }, incoming ? "→" : "←"),
      cell("unseen", incoming ? "from the client" : "from the simulator")),
    cell(`command ${row.direction}`, row.command ?? "no PDU"),
    cell("who", `${row.account ?? "–"} ${row.session}`),
    cell(row.fields === null ? "gist bad" : "gist", spoken(gist(row))),
    failed ? cell("seq bad", row.status.replace("ESME_", "")) : cell("seq", `#${row.sequence ?? "–"}`));
}

function line(row) {
  if (row.missed) return make("li", { className: "missed" }, `${row.missed} PDUs went by too fast to be shown`);
  const details = make("details", {}, summed(row));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(opened(row));
    if (!reading()) flow();
    label();
  });
  return make("li", {}, details);
}

// -- all of them ------------------------------------------------------------------------------------------------

function wanted(row) {
  const { text, account, keepalives } = $("filters").elements;
  if (row.missed) return true;
  if (!keepalives.checked && KEEPALIVES.has(row.command)) return false;
  if (account.value && row.account !== account.value) return false;
  const sought = text.value.trim().toLowerCase();
  return [row.command, row.status, row.account, row.hex, gist(row)].join(" ").toLowerCase().includes(sought);
}

function redraw() {
  $("pdus").replaceChildren(...rows.filter(wanted).map(line));
  aim($("pdus").querySelector("summary"));
}

function flow() {
  const fresh = waiting.slice(-KEPT).reverse();
  waiting = [];
  rows = [...fresh, ...rows].slice(0, KEPT);
  const list = $("pdus");
  const atTop = list.scrollTop < 8;
  list.prepend(...fresh.filter(wanted).map(line));
  while (list.childElementCount > KEPT) list.lastElementChild.remove();
  if (atTop) list.scrollTop = 0;
  if (!list.querySelector('summary[tabindex="0"]')) aim(list.querySelector("summary"));
}

function label() {
  const held = waiting.length ? ` · ${waiting.length}` : "";
  $("pause").textContent = reading() ? `Resume${held}` : "Pause";
}

function pause() {
  paused = !reading();
  for (const open of $("pdus").querySelectorAll("details[open]")) open.open = false;
  if (!paused) flow();
  label();
}

// The list is one stop for the tab key; arrows move within it.
function aim(summary) {
  if (!summary) return;
  for (const other of $("pdus").querySelectorAll('summary[tabindex="0"]')) other.tabIndex = -1;
  summary.tabIndex = 0;
}

function steer(event) {
  if (event.target.tagName !== "SUMMARY") return;
  if (event.key === "Escape") event.target.parentElement.open = false;
  const all = [...$("pdus").querySelectorAll("summary")];
  const at = all.indexOf(event.target);
  const next = all[{ ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key]];
  if (!next) return;
  event.preventDefault();
  aim(next);
  next.focus();
}

function arrived(row) {
  waiting.push(row);
  if (waiting.length > 4 * KEPT) waiting = waiting.slice(-KEPT);
  if (!row.missed) overhear(row);
}

function live(up) {
  $("live").className = up ? "on" : "off";
  $("live").textContent = up ? "Live" : "The simulator does not answer";
}

async function listen() {
  let past;
  try {
    past = await call("GET", "pdus?limit=200");
  } catch {
    live(false);
    setTimeout(listen, AGAIN_MS);
    return;
  }
  past.forEach(arrived);
  const source = new EventSource(`pdus/stream?after=${past.at(-1)?.serial ?? 0}`);
  source.addEventListener("open", () => live(true));
  source.addEventListener("error", () => live(false));
  for (const kind of ["pdu", "missed"]) source.addEventListener(kind, (event) => arrived(JSON.parse(event.data)));
}

export function clear() {
  rows = [];
  waiting = [];
  redraw();
}

// `listener` is told every PDU, shown or not.
export async function begin(listener) {
  overhear = listener;
  $("pause").addEventListener("click", pause);
  $("pdus").addEventListener("keydown", steer);
  $("pdus").addEventListener("focusin", ({ target }) => aim(target.closest("summary")));
  $("filters").addEventListener("input", redraw);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  setInterval(() => {
    if (waiting.length && !reading()) flow();
    label();
  }, EVERY_MS);
  await listen();
}
