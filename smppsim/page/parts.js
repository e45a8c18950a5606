// What every part of the page is made of: elements, words, times, calls. Whatever came from a handset or a client is
// put into the page as text, never as markup.

export const $ = (id) => document.getElementById(id);

// `for_s` reads "for (s)".
export const words = (name) => name.replace(/_s$/, " (s)").replaceAll("_", " ");

export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// Controls, and marks that turn the direction of a text, are shown and not obeyed.
const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const named = (mark) => `‹${mark.codePointAt(0).toString(16).padStart(4, "0")}›`;
export const visible = (text) => text.replace(UNSEEN, named);
export const spoken = (text) => make("bdi", { dir: "auto" }, visible(text));

export const digits = (number) => number.replace(/[^0-9A-Za-z]/g, "");

export function clock(microseconds) {
  const instant = new Date(microseconds / 1000);
  const padded = (number, width = 2) => String(number).padStart(width, "0");
  const parts = [instant.getHours(), instant.getMinutes(), instant.getSeconds()];
  return `${parts.map((part) => padded(part)).join(":")}.${padded(instant.getMilliseconds(), 3)}`;
}

let silence = 0;
export function say(text, bad = false) {
  clearTimeout(silence);
  $("said").className = bad ? "bad" : "";
  $("said").textContent = text;
  silence = setTimeout(() => { $("said").textContent = ""; }, 6000);
}

export async function call(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, body === undefined ? { method } : { method, headers, body: JSON.stringify(body) });
  const said = answer.status === 204 ? null : await answer.json();
  if (answer.ok) return said;
  const { detail } = said;
  const fault = ({ loc, msg }) => `${loc.slice(1).join(" › ")}: ${msg}`;
  throw new Error(Array.isArray(detail) ? detail.map(fault).join("; ") : detail);
}

export async function attempt(act) {
  try {
    await act();
  } catch (error) {
    say(error.message, true);
  }
}
